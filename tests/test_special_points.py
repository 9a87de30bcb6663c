"""Every operation at the points where a rule is tempted to make an exception.

A derivative that is 0, infinite or halved at one point still depends on the
operands. So the tables go over all operations, and ask for what holds of all:
a Hessian is symmetric, arrays and other numbers say what floats say, and what
cannot be done is refused by name.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import partial
from operator import methodcaller
from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mpf

import prosegrad
from prosegrad import (
    Value,
    cross_entropy,
    grad,
    hessian,
    hinge,
    jacobian,
    jit,
    jvp,
    log_sum_exp,
    softmax,
)
from prosegrad.elementary import power
from prosegrad.value import dot, where

INF, NAN = math.inf, math.nan
NAMES = [
    *("exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tan", "asin", "acos"),
    *("atan", "sinh", "cosh", "tanh", "sigmoid", "softplus", "relu", "leaky_relu"),
    *("silu", "gelu", "__abs__", "__neg__"),
]
EXPONENTS = (0, 1, 2, 3, 0.0, 1.0, 0.5, 1.5, -1, -0.5)
UNARY: dict[str, Callable[[Any], Any]] = {
    **{name: methodcaller(name) for name in NAMES},
    **{f"x**{n!r}": partial(lambda n, x: x**n, n) for n in EXPONENTS},
    **{f"{b!r}**x": partial(lambda b, x: b**x, b) for b in (0, 1, 2, 0.0, 0.5)},
    **{f"max {c}": methodcaller("maximum", c) for c in (0, 1, -1, 40)},
    **{f"min {c}": methodcaller("minimum", c) for c in (0, 1, -1, 40)},
}
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: x / y,
    "**": lambda x, y: x**y,
    "max": lambda x, y: x.maximum(y),
    "min": lambda x, y: x.minimum(y),
    "dot": lambda x, y: dot([x, y], [y, x]),
    "where": lambda x, y: where(x > y, x * y, y),
    "log_sum_exp": lambda x, y: log_sum_exp([x, y, 0.0]),
    "softmax": lambda x, y: softmax([x, 0.0, y])[0],
}
POINTS = [0.0, -0.0, 1.0, -1.0, 2.0, 0.5, -0.5, 40.0, -40.0, 0]
OUTSIDE = (ValueError, ZeroDivisionError, OverflowError)


def same(a: Any, b: Any, rel: float = 1e-13) -> bool:
    """Tell whether two numbers are equal up to rounding, NaN and all."""
    if a != a or b != b:
        return bool(a != a and b != b)
    return bool(a == b or math.isclose(a, b, rel_tol=rel, abs_tol=1e-17))


def check_hessian(f: Callable[[Any], Any], point: list[float]) -> Any:
    """Return the Hessian, which is symmetric and what jacobian(grad) is."""
    try:
        rows = hessian(f)(point)
    except OUTSIDE:
        return None
    again = jacobian(grad(f))(point)
    for i, j in itertools.product(range(len(point)), repeat=2):
        assert same(rows[i][j], rows[j][i]), (point, rows)
        assert same(rows[i][j], again[i][j]), (point, rows, again)
    return rows


@pytest.mark.parametrize("name", UNARY)
def test_the_hessian_of_a_product_with_any_function_is_symmetric(name: str) -> None:
    """The value of a node and its slope are differentiated alike, kinks and all."""
    f = UNARY[name]
    for x, w in itertools.product(POINTS, (1.0, 0.0, -2.0)):
        check_hessian(lambda p: p[0] * f(p[1]), [w, x])


@pytest.mark.parametrize("name", BINARY)
def test_the_hessian_of_two_numbers_is_symmetric(name: str) -> None:
    f = BINARY[name]
    for x, y in itertools.product(POINTS, repeat=2):
        check_hessian(lambda p: f(p[0], p[1]), [x, y])
        check_hessian(lambda p: p[2] * f(p[0], p[1]), [x, y, 3.0])


@pytest.mark.parametrize("x", [1.0, 2.0, 0.5, 40.0])
@pytest.mark.parametrize("n", [0.0, 1.0, 2.0, 0.5, -1.0, 0, 1, 0.1, -2.5])
def test_second_derivatives_of_a_power(x: float, n: float) -> None:
    with mpmath.workdps(40):
        a, b = mpf(x), mpf(n)
        log = mpmath.log(a)
        mixed = a ** (b - 1) * (1 + b * log)
        exact = [[b * (b - 1) * a ** (b - 2), mixed], [mixed, a**b * log**2]]
    found = hessian(lambda p: p[0] ** p[1])([x, n])
    for row, truth in zip(found, exact):
        assert row == pytest.approx([float(v) for v in truth], rel=1e-13)


def test_third_derivatives_of_a_power() -> None:
    """Three orders by a table of nudges in 60 digits."""
    f = lambda p: p[0] ** p[1]  # noqa: E731
    found = jacobian(hessian(f))([2.0, 1.0])
    with mpmath.workdps(60):
        for i, j, k in itertools.product(range(2), repeat=3):
            n = sum((i, j, k))
            exact = mpmath.diff(lambda x, y: x**y, (2, 1), (3 - n, n))
            assert found[i][j][k] == pytest.approx(float(exact), rel=1e-12, abs=1e-12)


LIMITS: list[tuple[list[float], list[list[float]]]] = [
    ([0.0, 2.0], [[2.0, 0.0], [0.0, 0.0]]),
    ([0.0, 3.0], [[0.0, 0.0], [0.0, 0.0]]),
    ([0.0, 1.5], [[INF, 0.0], [0.0, 0.0]]),
    ([0.0, 1.0], [[0.0, -INF], [-INF, 0.0]]),
    ([0.0, 0.5], [[-INF, -INF], [-INF, 0.0]]),
    ([0.0, 0.0], [[0.0, INF], [INF, 0.0]]),
    ([-2.0, 3.0], [[-12.0, NAN], [NAN, NAN]]),
]


@pytest.mark.parametrize(("point", "expected"), LIMITS)
def test_a_power_at_zero_has_its_limits(
    point: list[float], expected: list[list[float]]
) -> None:
    found = check_hessian(lambda p: p[0] ** p[1], point)

    for row, truth in zip(found, expected):
        assert all(map(same, row, truth)), found


INFINITE: list[tuple[str, float, list[float]]] = [
    ("sqrt", 0.0, [INF, -INF, INF]),
    ("x**0.5", 0.0, [INF, -INF, INF]),
    ("x**1.5", 0.0, [0.0, INF, -INF]),
    ("asin", 1.0, [INF, INF, INF]),
    ("asin", -1.0, [INF, -INF, INF]),
    ("acos", 1.0, [-INF, -INF, -INF]),
    ("x**2", 0.0, [0.0, 2.0, 0.0]),
    ("relu", 0.0, [0.0, 0.0, 0.0]),
    ("__abs__", 0.0, [0.0, 0.0, 0.0]),
    ("gelu", -1e306, [0.0]),
    ("gelu", 1e306, [1.0]),
]


@pytest.mark.parametrize(("name", "x", "expected"), INFINITE)
@pytest.mark.parametrize("kind", [float, mpf, Decimal])
def test_infinite_slopes_have_slopes(
    name: str, x: float, expected: list[float], kind: Any
) -> None:
    """Also those of other numbers, for whom infinity is one of them."""
    f = UNARY[name]
    if kind is Decimal and name in ("asin", "acos", "gelu", "x**0.5", "x**1.5"):
        pytest.skip("decimals have no such function")
    for truth in expected:
        f = grad(f)
        assert float(f(kind(x))) == truth
        if truth in (INF, -INF):
            assert type(f(kind(x))) is kind


# --- kinds of numbers


def kinds() -> list[Any]:
    np = pytest.importorskip("numpy")
    return [int, Fraction, mpf, np.float64, np.float32, np.int64]


def derivatives(f: Callable[[Any], Any], x: Any) -> list[Any]:
    """Return what every way of differentiating says."""
    one = type(x)(1)
    return [
        grad(f)(x),
        jvp(f, (x,), (one,))[1],
        jit(grad(f))(x),
        grad(grad(f))(x),
    ]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", UNARY)
def test_every_kind_of_number_has_the_slopes_of_floats(name: str) -> None:
    np = pytest.importorskip("numpy")
    f = UNARY[name]
    for x in (0, 1, 2, -1):
        try:
            expected = derivatives(f, float(x))
        except OUTSIDE:
            continue
        for kind in kinds():
            try:
                found = derivatives(f, kind(x))
            except ValueError:  # NumPy's integers have no 1/2
                assert kind is np.int64
                continue
            for a, b in zip(found, expected, strict=True):
                assert same(float(a), b, 1e-5), (kind, x, found, expected)


@pytest.mark.parametrize("kind", ["float64", "float32", "int64", "int8"])
def test_the_sign_of_a_scalar_of_numpy(kind: str) -> None:
    np = pytest.importorskip("numpy")
    for x in (-2, 0, 3):
        number = getattr(np, kind)(x)
        sign = (x > 0) - (x < 0)

        assert derivatives(abs, number) == [sign, sign, sign, 0]
        assert derivatives(lambda v: v * v.sign(), number) == [sign, sign, sign, 0]
        assert jit(abs)(number) == abs(x)


COMPLEX: dict[str, Callable[[Any], Any]] = {
    "2**z": lambda z: 2**z,
    "(-2)**z": lambda z: (-2) ** z,
    "0.5**z": lambda z: 0.5**z,
    "1j**z": lambda z: 1j**z,
    "z**z": lambda z: z**z,
    "z**(1+1j)": lambda z: z ** (1 + 1j),
    "z**-0.3": lambda z: z**-0.3,
    "z**0": lambda z: z**0,
    "sqrt": lambda z: z.sqrt(),
    "fraction**z": lambda z: Fraction(1, 3) ** z,
}


@pytest.mark.parametrize("name", COMPLEX)
@pytest.mark.parametrize("z", [2 + 1j, -1.5 + 0.25j, 0.3 - 2j])
def test_complex_exponents(name: str, z: complex) -> None:
    f = COMPLEX[name]
    slope = grad(f, holomorphic=True)
    bend = grad(slope, holomorphic=True)
    for function, derivative in ((f, slope), (slope, bend)):
        for h in (1e-5, 1e-5j):
            near = (function(Value(z + h)) - function(Value(z - h))) / (2 * h)
            near = getattr(near, "data", near)
            if function is slope:
                near = (function(z + h) - function(z - h)) / (2 * h)
            assert abs(derivative(z) - near) <= 1e-8 * (1 + abs(near))


def test_the_logarithm_of_a_whole_base_has_all_digits() -> None:
    """Its float has 16, and its Decimal could not be multiplied by that."""
    with mpmath.workdps(50):
        slope = grad(lambda n: 2**n)(mpf(3))
        assert abs(slope - 8 * mpmath.log(2)) < mpf(10) ** -48
    slope = grad(lambda n: 2**n)(Decimal(3))
    assert abs(slope - 8 * Decimal(2).ln()) < Decimal("1e-26")


def test_decimals_at_the_corners() -> None:
    zero = Decimal(0)

    assert grad(lambda x: x.sqrt())(zero) == Decimal("Infinity")
    assert grad(lambda x: x**1)(zero) == 1
    assert hessian(lambda x: x**2)(zero) == 2
    for n in (1, 2, Decimal("0.5")):
        assert grad(lambda n: zero**n)(Decimal(n)) == 0
        assert grad(lambda p: p[0] ** p[1])([zero, Decimal(n)])[1] == 0
    assert math.isnan(grad(lambda p: p[0] ** p[1])([Decimal(-2), Decimal(3)])[1])
    assert dot([Value(Decimal(2))], [Decimal(3)]).data == Decimal(6)
    assert dot([Value(Fraction(1, 3))], [1]).data == Fraction(1, 3)
    assert grad(lambda x: x.leaky_relu(Decimal("0.5")))(Decimal(-1)) == Decimal("0.5")


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "leaky": (lambda: Value(Decimal(-2)).leaky_relu(), r"^leaky_relu\(Decimal\('-2'\)"),
    "inside": (lambda: Value(Value(Decimal(-2))).leaky_relu(), r"^leaky_relu\(Decimal"),
    "gelu": (lambda: Value(Decimal(1)).gelu(), r"^gelu\(Decimal\('1'\)\): "),
    "order": (lambda: Value(1j).leaky_relu(), r"^leaky_relu\(1j, 0.01\): "),
    "list": (lambda: where([True], Value(2.0), 3.0), r"condition \[True\]"),
    "empty": (lambda: where([], 2.0, 3.0), r"condition \[\] is of type list"),
    "None": (lambda: where(None, 2.0, 3.0), "condition None"),
    "text": (lambda: where("no", Value(2.0), 3.0), "condition 'no'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_named(name: str) -> None:
    action, message = REFUSED[name]
    with pytest.raises(TypeError, match=message):
        action()


def test_errors_inside_show_numbers() -> None:
    """Of a Value inside a Value, the number."""
    for depth in (1, 2, 3):
        zero, minus = 0.0, -2.0
        x: Any = zero
        y: Any = minus
        for _ in range(depth):
            x, y = Value(x), Value(y)
        actions: list[tuple[Callable[[], Any], str]] = [
            (partial(lambda x: 1 / x, x), r"^1 / 0.0: division by zero$"),
            (partial(lambda x: x / x, x), r"^0.0 / 0.0: division by zero$"),
            (partial(lambda x: x**-1, x), r"^0.0 \*\* -1: zero"),
            (partial(lambda y: y**0.5, y), r"^-2.0 \*\* 0.5: the function"),
            (partial(lambda y: y.log(), y), r"^log\(-2.0\)"),
        ]
        for action, message in actions:
            with pytest.raises((ValueError, ZeroDivisionError), match=message):
                action()


def test_a_truth_value_of_numpy_chooses_as_a_bool_does() -> None:
    np = pytest.importorskip("numpy")
    x, y = Value(2.0), Value(3.0)
    for kind in (bool, np.bool_):
        assert where(kind(True), x, y) is x
        assert Value.where(kind(False), x, y) is y
        assert where(kind(True), 2.0, y) == 2.0
        assert where(Value(kind(False)), x, y) is y
    f = lambda x: where(x > np.float64(0), x.sqrt(), 0 * x)  # noqa: E731
    assert [grad(f)(kind(0)) for kind in (float, np.float64, np.float32)] == [0, 0, 0]
    largest = grad(lambda x: x.maximum(np.float64(1)))(np.float64(2))
    assert (largest, type(largest)) == (1.0, np.float64)


# --- arrays


def test_arrays_have_the_slopes_of_floats_at_zero() -> None:
    np = pytest.importorskip("numpy")
    from prosegrad.tensor import Tensor

    xs, ns = [0.0, 0.0, 0.0, 2.0, 2.0, -2.0], [2.0, 1.0, 0.0, 0.0, 0.5, 3.0]
    both = [grad(lambda p: p[0] ** p[1])([x, n]) for x, n in zip(xs, ns)]
    expected = [list(slopes) for slopes in zip(*both)]
    f = lambda x, n: (x**n).sum()  # noqa: E731
    arrays = np.array(xs), np.array(ns)
    boxes = [Value(v) for v in arrays]
    (boxes[0] ** boxes[1]).backward(np.ones(6))
    tensors = [Tensor(v) for v in arrays]
    total: Any = f(*tensors)  # type: ignore[no-untyped-call]
    total.backward()
    for found in (
        grad(f, (0, 1))(*arrays),
        jit(grad(f, (0, 1)))(*arrays),
        [v.grad for v in boxes],
        [v.grad for v in tensors],
    ):
        for row, truth in zip(found, expected, strict=True):
            assert all(map(same, np.asarray(row).tolist(), truth)), (found, expected)


def test_the_exponent_of_zero_in_a_batch() -> None:
    np = pytest.importorskip("numpy")
    slope = prosegrad.batch_mean(grad(lambda w, x: x**w), in_axes=(None, 0))
    assert slope(2.0, np.array([0.0, 0.0])) == 0.0


@pytest.mark.parametrize("shape", [(), (1,)])
@pytest.mark.parametrize("name", ["relu", "leaky_relu", "__abs__", "gelu", "max 0"])
def test_kinks_of_arrays_have_symmetric_hessians(
    name: str, shape: tuple[int, ...]
) -> None:
    np = pytest.importorskip("numpy")
    f = UNARY[name]
    for x in (0.0, 1.0, -40.0):
        rows = hessian(lambda p: (p[0] * f(p[1])).sum())(
            [np.full(shape, 1.0), np.full(shape, x)]
        )
        assert float(rows[0][1].sum()) == float(rows[1][0].sum())


def test_the_hessian_of_a_power_of_arrays_is_symmetric() -> None:
    np = pytest.importorskip("numpy")
    x, n = np.array([0.0, 0.0, 2.0, 2.0]), np.array([3.0, 2.0, 0.0, 1.0])
    rows = hessian(lambda p: (p[0] ** p[1]).sum())([x, n])
    for k, point in enumerate(zip(x.tolist(), n.tolist())):
        expected = hessian(lambda p: p[0] ** p[1])(list(point))
        for i, j in itertools.product(range(2), repeat=2):
            assert rows[i][j][k, k] == pytest.approx(expected[i][j], rel=1e-13)


# --- losses


@pytest.mark.parametrize(
    ("row", "total", "shares"),
    [
        ([-INF, -INF], -INF, [NAN, NAN]),
        ([INF, INF], INF, [NAN, NAN]),
        ([INF, 0.0], INF, [1.0, 0.0]),
        ([0.0, -INF], 0.0, [1.0, 0.0]),
        ([-INF, -INF, 0.0], 0.0, [0.0, 0.0, 1.0]),
        ([2.5], 2.5, [1.0]),
        ([-INF], -INF, [1.0]),
        ([NAN, 0.0], NAN, [NAN, NAN]),
        ([INF, NAN], NAN, [NAN, NAN]),
    ],
)
def test_infinite_scores(row: list[float], total: float, shares: list[float]) -> None:
    values = [Value(v) for v in row]
    assert same(log_sum_exp(values).data, total)
    assert same(log_sum_exp(row), total)
    for scores in (values, row):
        found = [getattr(p, "data", p) for p in softmax(scores)]
        assert any(map(math.isnan, shares)) == any(map(math.isnan, found))
        if not any(map(math.isnan, shares)):
            assert found == shares


@pytest.mark.parametrize("scores", [[0.3, -0.2], [2.0, 5.0, 0.0], [1.0, 1.0], [7.0]])
def test_plain_scores_among_values(scores: list[float]) -> None:
    """Each score may be plain, the largest or not; the others keep their slopes."""
    losses: list[Callable[[Any], Any]] = [
        log_sum_exp,
        lambda row: softmax(row)[0],
        lambda row: softmax(row)[-1],
        lambda row: cross_entropy([row], [0]),
        lambda row: cross_entropy([row], [len(row) - 1]),
        lambda row: hinge(row, [1] * len(row)),
    ]
    for loss in losses:
        whole = grad(loss)(scores)
        assert same(loss(scores), loss([Value(s) for s in scores]).data)
        for free in itertools.product([True, False], repeat=len(scores)):
            if not any(free):
                continue
            leaves = [Value(s) for s in scores]
            mixed = [v if f else s for v, f, s in zip(leaves, free, scores)]
            result = loss(mixed)
            if isinstance(result, Value):
                result.backward()
            for leaf, f, slope in zip(leaves, free, whole):
                assert not f or leaf.grad == pytest.approx(slope, abs=1e-15)


def test_second_derivatives_of_equal_scores() -> None:
    """At a tie the choice of the largest leaves no kink."""
    rows = hessian(log_sum_exp)([0.0, 0.0])
    assert rows == [[0.25, -0.25], [-0.25, 0.25]]
    assert jit(hessian(log_sum_exp))([0.0, 0.0]) == rows


def test_a_decimal_zero_has_no_negative_power() -> None:
    for base, n in ((0, Decimal(-1)), (Decimal(0), -1), (Decimal(0), Decimal(-2))):
        with pytest.raises(ZeroDivisionError, match="zero has no negative power"):
            power(base, n)


CONDITIONS: dict[str, Callable[[bool], Any]] = {
    "bool": bool,
    "int": int,
    "float": lambda c: 2.5 * c,
    "Fraction": Fraction,
    "Decimal": Decimal,
    "np.bool_": np.bool_,
    "np.int8": np.int8,
    "np.float32": np.float32,
    "Value": lambda c: Value(float(c)),
    "Value of a Value": lambda c: Value(Value(c)),
}


@pytest.mark.parametrize("name", CONDITIONS)
@pytest.mark.parametrize("holds", [True, False])
def test_a_number_decides_as_it_does_for_if(name: str, holds: bool) -> None:
    """And what was not chosen may have no slope."""
    condition = CONDITIONS[name](holds)

    def f(x: Any) -> Any:
        return where(condition, x * x, x.sqrt())

    x = 1.0 if holds else 4.0
    slopes = {grad(f)(x), jvp(f, (x,), (1.0,))[1], jit(grad(f))(x)}
    assert slopes == {2.0 if holds else 0.25}
    assert where(condition, 2.0, 3.0) == (2.0 if holds else 3.0)
