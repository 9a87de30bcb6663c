"""The engine: every rule, every kind of number, every clear error."""

from __future__ import annotations

import copy
import gc
import math
import operator
import pickle
import random
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Self

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prosegrad import Value, dot, elementary, topological_order, where
from prosegrad.value import namespace

from .trust.strategies import fractions

NAN, INF = math.nan, math.inf


def gradients(function: Callable[..., Value], *numbers: Any) -> list[Any]:
    leaves = [Value(number) for number in numbers]
    function(*leaves).backward()
    return [leaf.grad for leaf in leaves]


def same(expected: float, actual: float) -> bool:
    return expected == actual or (expected != expected and actual != actual)


# --- every function against mpmath at 50 digits

FUNCTIONS: dict[str, tuple[Callable[[Any], Any], list[float]]] = {
    "exp": (mpmath.exp, [-700.0, -1.5, 0.0, 0.3, 700.0]),
    "expm1": (mpmath.expm1, [-40.0, -1e-12, 0.0, 1e-12, 2.0]),
    "log": (mpmath.log, [1e-300, 0.3, 1.0, 2.5, 1e300]),
    "log1p": (mpmath.log1p, [-0.999, -1e-12, 0.0, 1e-12, 1e10]),
    "sqrt": (mpmath.sqrt, [1e-300, 0.25, 2.0, 1e300]),
    "sin": (mpmath.sin, [-3.0, 0.0, 0.5, 100.0]),
    "cos": (mpmath.cos, [-3.0, 0.0, 0.5, 100.0]),
    "tan": (mpmath.tan, [-1.0, 0.0, 0.5, 1.5]),
    "asin": (mpmath.asin, [-0.9999, -0.3, 0.0, 0.7]),
    "acos": (mpmath.acos, [-0.9999, -0.3, 0.0, 0.7]),
    "atan": (mpmath.atan, [-1e10, -0.3, 0.0, 7.0]),
    "sinh": (mpmath.sinh, [-5.0, -1e-9, 0.0, 2.0]),
    "cosh": (mpmath.cosh, [-5.0, -1e-9, 0.0, 2.0]),
    "tanh": (mpmath.tanh, [-300.0, -18.0, -0.3, 0.0, 1e-9, 5.0, 300.0]),
    "sigmoid": (
        lambda x: 1 / (1 + mpmath.exp(-x)),
        [-700.0, -40.0, -0.3, 0.0, 2.0, 40.0, 700.0],
    ),
    "softplus": (
        lambda x: mpmath.log1p(mpmath.exp(x)),
        [-700.0, -40.0, -0.3, 0.0, 2.0, 40.0, 700.0],
    ),
    "silu": (lambda x: x / (1 + mpmath.exp(-x)), [-30.0, -0.5, 0.0, 2.0]),
    "gelu": (
        lambda x: (
            x
            / 2
            * (1 + mpmath.tanh(mpmath.sqrt(2 / mpmath.pi) * (x + 0.044715 * x**3)))
        ),
        [-5.0, -0.5, 0.0, 2.0],
    ),
}
POINTS = [(name, x) for name, (_, xs) in FUNCTIONS.items() for x in xs]


@pytest.mark.parametrize(("name", "x"), POINTS)
def test_function_and_slope_agree_with_mpmath(name: str, x: float) -> None:
    """Value and slope are right to a few units in the last place."""
    exact = FUNCTIONS[name][0]
    leaf = Value(x)
    result = getattr(leaf, name)()
    result.backward()
    with mpmath.workdps(700):
        value, slope = exact(mpmath.mpf(x)), mpmath.diff(exact, mpmath.mpf(x))

        assert result.data == pytest.approx(float(value), rel=3e-15, abs=1e-300)
        assert leaf.grad == pytest.approx(float(slope), rel=2e-14, abs=1e-300)


@pytest.mark.parametrize(
    ("name", "x"), [p for p in POINTS if 0.1 < abs(p[1]) < 4 or p[1] == 0]
)
def test_second_derivative_by_nesting(name: str, x: float) -> None:
    """A Value inside a Value gives the slope of the slope."""
    exact = FUNCTIONS[name][0]
    inner = Value(x)
    outer = Value(inner)
    getattr(outer, name)().backward()
    outer.grad.backward()
    with mpmath.workdps(60):
        expected = float(mpmath.diff(exact, mpmath.mpf(x), 2))

    assert inner.grad == pytest.approx(expected, rel=1e-9, abs=1e-9)


# --- operators

OPERATORS: list[Callable[[Any, Any], Any]] = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.pow,
]


@pytest.mark.parametrize("function", OPERATORS)
@pytest.mark.parametrize("kinds", ["vv", "vn", "nv"])
def test_operator_with_a_number_on_either_side(
    function: Callable[[Any, Any], Any], kinds: str
) -> None:
    """An operator takes a plain number left or right, and its rule holds."""
    x, y, h = 1.7, 2.3, 1e-6
    left = Value(x) if kinds[0] == "v" else x
    right = Value(y) if kinds[1] == "v" else y
    result = function(left, right)
    result.backward()

    assert result.data == function(x, y)
    if isinstance(left, Value):
        nudged = (function(x + h, y) - function(x - h, y)) / (2 * h)
        assert left.grad == pytest.approx(nudged, rel=1e-8)
    if isinstance(right, Value):
        nudged = (function(x, y + h) - function(x, y - h)) / (2 * h)
        assert right.grad == pytest.approx(nudged, rel=1e-8)


@given(fractions, fractions, fractions.filter(bool))
def test_rational_rules_are_exact(x: Fraction, y: Fraction, z: Fraction) -> None:
    """With Fractions a gradient equals the formula, with no tolerance."""
    actual = gradients(lambda x, y, z: (x * y - x) / z + x**3 - (-y) * 2, x, y, z)

    assert actual == [
        (y - 1) / z + 3 * x**2,
        x / z + 2,
        -(x * y - x) / z**2,
    ]
    assert all(isinstance(g, (Fraction, int)) for g in actual)


def test_every_kind_of_number() -> None:
    """Ints, Fractions and nested Values keep their kind."""
    (whole,) = gradients(lambda x: x * x, 3)
    (exact,) = gradients(lambda x: x / 3, Fraction(1, 2))

    assert (whole, type(whole)) == (6, int)
    assert (exact, type(exact)) == (Fraction(1, 3), Fraction)


def test_unary_operators() -> None:
    x = Value(-3.0)

    assert (-x).data == 3.0
    assert (+x) is x
    assert abs(x).data == 3.0
    assert gradients(lambda x: -x, 2.0) == [-1.0]
    assert gradients(abs, -3.0) == [-1.0]
    assert gradients(abs, 3.0) == [1.0]
    assert gradients(abs, 0.0) == [0.0]
    assert same(NAN, gradients(abs, NAN)[0])


def test_sum_starts_from_zero() -> None:
    leaves = [Value(float(i)) for i in range(4)]
    total: Any = sum(leaves)
    total.backward()

    assert total.data == 6.0
    assert [leaf.grad for leaf in leaves] == [1.0] * 4


# --- every operation, by the name it has in a drawing

OPERATIONS: dict[str, Callable[[Value, Value], Value]] = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: x / y,
    "**": lambda x, y: x**y,
    "**3": lambda x, y: x**3,
    "neg": lambda x, y: -x,
    "abs": lambda x, y: abs(x),
    "max": lambda x, y: x.maximum(y),
    "dot": lambda x, y: dot([x, 2.0], [y, y], x),
}


def _method(name: str) -> Callable[[Value, Value], Value]:
    def call(x: Value, _: Value) -> Value:
        result: Value = getattr(x, name)()
        return result

    return call


METHODS = [n for n in FUNCTIONS if n != "silu"] + ["relu", "leaky_relu"]
OPERATIONS |= {name: _method(name) for name in METHODS}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_has_its_name(name: str) -> None:
    assert OPERATIONS[name](Value(0.3), Value(0.7))._op == name


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_rule_adds_to_gradients_and_passes_them_on(name: str) -> None:
    """Inner nodes that are used twice get both shares, and hand them down."""
    function = OPERATIONS[name]

    def twice(x: Value, y: Value) -> Value:
        u, v = x * 1.0, y * 1.0
        return function(u, v) + function(u, v)

    once = gradients(function, 0.3, 0.7)

    expected = [2 * slope for slope in once]
    assert gradients(twice, 0.3, 0.7) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_of_nested_values_stays_nested(name: str) -> None:
    """Number and gradient are Values again, with a graph of their own."""
    x, y = Value(Value(0.3)), Value(Value(0.7))
    result = OPERATIONS[name](x, y)
    result.backward()

    assert isinstance(result.data, Value)
    assert result.data.data == OPERATIONS[name](Value(0.3), Value(0.7)).data
    assert isinstance(y.grad if name == "max" else x.grad, Value)


NOT_IN_NUMPY = ("sigmoid", "softplus", "gelu", "tanh", "**", "dot")
ARRAY_FUNCTIONS = [name for name in OPERATIONS if name not in NOT_IN_NUMPY]


@pytest.mark.parametrize("name", ARRAY_FUNCTIONS)
def test_a_rule_asks_arrays_for_their_functions(name: str) -> None:
    """An array of two numbers gets what each number gets alone."""
    np = pytest.importorskip("numpy")
    function, xs, y = OPERATIONS[name], [0.3, 0.8], 0.7
    leaf = Value(np.array(xs))
    result = function(leaf, Value(np.array([y, y])))
    assert result._backward is not None
    result._backward(np.ones(2))
    alone = [gradients(function, x, y)[0] for x in xs]
    numbers = [function(Value(x), Value(y)).data for x in xs]

    assert result.data.tolist() == pytest.approx(numbers, rel=1e-15)
    assert leaf.grad.tolist() == pytest.approx(alone, rel=1e-15)


def test_sign_and_zero_ask_arrays_too() -> None:
    np = pytest.importorskip("numpy")
    x = Value(np.array([-2.0, 0.0, 2.0]))

    assert x.sign().data.tolist() == [-1, 0, 1]
    assert x.zeros_like().data.tolist() == [0, 0, 0]


def test_the_zero_of_a_nested_value_is_nested() -> None:
    zero = Value(Value(2.0)).zeros_like().data

    assert (type(zero), type(zero.data), zero.data) == (Value, float, 0.0)


def test_backward_from_an_array_of_one_number() -> None:
    np = pytest.importorskip("numpy")
    x = Value(np.array(3.0))
    x.backward()

    assert (np.shape(x.grad), float(x.grad)) == ((), 1.0)


def test_a_gradient_of_floats_is_a_float() -> None:
    """Also where it has only been set to zero."""
    x = Value(-1.0)
    inner = x * 1.0
    inner.relu().backward()

    assert [(v.grad, type(v.grad)) for v in (inner, x)] == [(0.0, float)] * 2
    stop = Value(5.0, (inner,), "stop", lambda grad: None)
    stop.backward()
    assert (inner.grad, type(inner.grad)) == (0.0, float)
    x.grad = 3.0
    x.zero_grad()
    assert (x.grad, type(x.grad)) == (0.0, float)


@pytest.mark.parametrize("x", [0.1, 0.3, 0.7, 1.9, 5.3, 1e10])
def test_the_slope_of_a_root_is_that_of_the_textbook(x: float) -> None:
    """From 1/2 on the exponent minus 1 is exact, and one rounding less is made."""
    assert gradients(lambda x: x**0.5, x) == [0.5 * x**-0.5]


def test_the_slope_by_an_exponent_has_a_slope() -> None:
    """The derivative of x**n by n, by x: the logarithm stays in the graph."""
    x, n = Value(2.0), Value(3.0)
    outer_x, outer_n = Value(x), Value(n)
    (outer_x**outer_n).backward()
    outer_n.grad.backward()

    assert x.grad == pytest.approx(12 * math.log(2) + 4, rel=1e-15)
    assert n.grad == pytest.approx(8 * math.log(2) ** 2, rel=1e-15)


@pytest.mark.parametrize("x", [1e300, 1e-300, 2.0**1000])
def test_the_slope_of_a_root_of_an_array_is_that_of_each_number(x: float) -> None:
    """Below 1/2 the exponent minus 1 rounds, and a large power shows that."""
    np = pytest.importorskip("numpy")
    leaf = Value(np.array([x, 1.0]))
    (leaf**0.1).backward(np.ones(2))

    (alone,) = gradients(lambda x: x**0.1, x)
    assert leaf.grad.tolist() == pytest.approx([alone, 0.1], rel=1e-15)


def test_the_one_of_a_nested_value_is_nested() -> None:
    one = Value(Value(Fraction(5, 2))).ones_like()

    assert (type(one), type(one.data)) == (type(Value(Value(1))), Value)
    assert (one.data.data, type(one.data.data)) == (1, Fraction)
    assert type(Value(2.0).ones_like().data) is float


def test_a_choice_that_is_used_twice_adds_up() -> None:
    """Each side gets the shares of both uses, where it was chosen."""
    np = pytest.importorskip("numpy")
    x, y = Value(np.array([1.0, 2.0])), Value(np.array([3.0, 4.0]))
    first = np.array([True, False])
    (where(first, x, y) + where(first, x, y)).backward(np.ones(2))

    assert (x.grad.tolist(), y.grad.tolist()) == ([2.0, 0.0], [0.0, 2.0])


def test_the_larger_of_nested_values_keeps_the_order() -> None:
    x, y = Value(1.0), Value(2.0)

    assert Value(x).maximum(Value(y)).data._parents[0] is x


def test_a_leaf_has_no_operation_and_no_parents() -> None:
    assert (Value(1.0)._op, Value(1.0)._parents) == ("", ())


# --- special points: (function, inputs, value, gradients)

SPECIAL: list[tuple[Callable[..., Value], tuple[float, ...], float, list[float]]] = [
    (lambda x: x**0, (0.0,), 1.0, [0.0]),
    (lambda x: x**0, (3.0,), 1.0, [0.0]),
    (lambda x: x**1, (0.0,), 0.0, [1.0]),
    (lambda x: x**2, (0.0,), 0.0, [0.0]),
    (lambda x: x**0.5, (0.0,), 0.0, [INF]),
    (lambda x: x**0.1, (INF,), INF, [0.0]),
    (lambda x: x**3, (-2.0,), -8.0, [12.0]),
    (lambda x: x**-1, (1e-200,), 1e200, [-INF]),
    (lambda x: x**-1, (-1e-200,), -1e200, [-INF]),
    (lambda x: x**-2, (-1e-140,), 1e280, [INF]),
    (lambda x: x.sqrt(), (0.0,), 0.0, [INF]),
    (lambda x: x.asin(), (1.0,), math.pi / 2, [INF]),
    (lambda x: x.acos(), (1.0,), 0.0, [-INF]),
    (lambda x, y: x**y, (2.0, 3.0), 8.0, [12.0, 8 * math.log(2)]),
    (lambda x, y: x**y, (-2.0, 3.0), -8.0, [12.0, NAN]),
    (lambda x, y: x**y, (0.0, 0.0), 1.0, [0.0, 0.0]),
    (lambda x, y: x**y, (0.0, 2.0), 0.0, [0.0, 0.0]),
    (lambda x: 2**x, (3.0,), 8.0, [8 * math.log(2)]),
    (lambda x: x.relu(), (0.0,), 0.0, [0.0]),
    (lambda x: x.relu(), (-1.0,), 0.0, [0.0]),
    (lambda x: x.relu(), (2.0,), 2.0, [1.0]),
    (lambda x: x.relu(), (NAN,), NAN, [1.0]),
    (lambda x: x.relu(), (INF,), INF, [1.0]),
    (lambda x: x.relu(), (-INF,), 0.0, [0.0]),
    (lambda x: x.leaky_relu(), (-2.0,), -0.02, [0.01]),
    (lambda x: x.leaky_relu(0.5), (3.0,), 3.0, [1.0]),
    (lambda x: x.leaky_relu(0.5), (0.25,), 0.25, [1.0]),
    (lambda x: x.leaky_relu(0.5), (0.0,), 0.0, [0.5]),
    (lambda x: x.leaky_relu(), (0.0,), 0.0, [0.01]),
    (lambda x: x.leaky_relu(), (NAN,), NAN, [0.01]),
    (lambda x: x.gelu(), (1e200,), 1e200, [1.0]),
    (lambda x: x.gelu(), (-1e200,), -0.0, [0.0]),
    (lambda x: x**0.3, (INF,), INF, [0.0]),
    (lambda x: x**-0.3, (INF,), 0.0, [-0.0]),
    (lambda x: x**0.25, (2.0**1000,), 2.0**250, [2.0**-752]),
    (lambda x: x**2, (1e-200,), 0.0, [2e-200]),
    (lambda x: x.sigmoid(), (-1000.0,), 0.0, [0.0]),
    (lambda x: x.sigmoid(), (1000.0,), 1.0, [0.0]),
    (lambda x: x.sigmoid(), (NAN,), NAN, [NAN]),
    (lambda x: x.tanh(), (1000.0,), 1.0, [0.0]),
    (lambda x: x.softplus(), (1000.0,), 1000.0, [1.0]),
    (lambda x: x.softplus(), (-1000.0,), 0.0, [0.0]),
    (lambda x: x.exp(), (-1000.0,), 0.0, [0.0]),
    (lambda x, y: x.maximum(y), (1.0, 2.0), 2.0, [0.0, 1.0]),
    (lambda x, y: x.maximum(y), (2.0, 1.0), 2.0, [1.0, 0.0]),
    (lambda x, y: x.maximum(y), (2.0, 2.0), 2.0, [0.5, 0.5]),
    (lambda x, y: x.minimum(y), (1.0, 2.0), 1.0, [1.0, 0.0]),
    (lambda x, y: x.minimum(y), (2.0, 2.0), 2.0, [0.5, 0.5]),
    (lambda x: x.maximum(1.0), (3.0,), 3.0, [1.0]),
    (lambda x: x.minimum(1.0), (3.0,), 1.0, [0.0]),
    (lambda x, y: x * y, (INF, 0.0), NAN, [0.0, INF]),
    (lambda x: x / x, (1e-310,), 1.0, [NAN]),
]


@pytest.mark.parametrize(("function", "inputs", "value", "slopes"), SPECIAL)
def test_special_points(
    function: Callable[..., Value],
    inputs: tuple[float, ...],
    value: float,
    slopes: list[float],
) -> None:
    """Kinks, poles and limits have the gradients that PyTorch gives."""
    leaves = [Value(x) for x in inputs]
    result = function(*leaves)
    result.backward()

    assert same(value, result.data)
    assert type(result.data) is float
    actual = [leaf.grad for leaf in leaves]
    assert all(map(same, slopes, actual)), actual


@pytest.mark.parametrize(
    ("name", "x", "other"), [("maximum", NAN, 1.0), ("maximum", 1.0, NAN)]
)
def test_maximum_passes_nan_on(name: str, x: float, other: float) -> None:
    assert math.isnan(getattr(Value(x), name)(other).data)


def test_sign_and_zeros_like() -> None:
    assert [Value(x).sign().data for x in (-2.0, 0.0, 2.0)] == [-1, 0, 1]
    assert Value(Fraction(1, 2)).zeros_like().data == Fraction(0)


# --- errors

ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (
        lambda: Value("3"),
        TypeError,
        r"^Value holds a number \(float, int, Fraction, Value, array …\), "
        "not '3' of type str$",
    ),
    (lambda: Value(None), TypeError, "NoneType"),
    (lambda: Value([1, 2]), TypeError, r"\[1, 2\]"),
    (lambda: Value(1.0) + "a", TypeError, "'a'"),
    (lambda: Value(1.0) + None, TypeError, "not None of type NoneType$"),
    (lambda: Value(1.0) - None, TypeError, "not None of type NoneType$"),
    (lambda: Value(1.0) * None, TypeError, "not None of type NoneType$"),
    (lambda: Value(1.0) / None, TypeError, "not None of type NoneType$"),
    (lambda: Value(1.0).maximum(None), TypeError, "not None of type NoneType$"),
    (lambda: Value(-1.0).log(), ValueError, r"log\(-1.0\)"),
    (lambda: Value(0.0).log(), ValueError, r"log\(0.0\)"),
    (lambda: Value(-1.0).log1p(), ValueError, r"log1p\(-1.0\)"),
    (lambda: Value(-1.0).sqrt(), ValueError, r"sqrt\(-1.0\)"),
    (lambda: Value(2.0).asin(), ValueError, r"asin\(2.0\)"),
    (lambda: Value(2.0).acos(), ValueError, r"acos\(2.0\)"),
    (lambda: Value(INF).sin(), ValueError, r"sin\(inf\)"),
    (lambda: Value(1000.0).exp(), OverflowError, r"exp\(1000.0\)"),
    (lambda: Value(1000.0).expm1(), OverflowError, r"expm1\(1000.0\)"),
    (lambda: Value(1000.0).sinh(), OverflowError, r"sinh\(1000.0\)"),
    (lambda: Value(1e200) ** 2, OverflowError, r"1e\+200 \*\* 2"),
    (lambda: Value(-2.0) ** 0.5, ValueError, r"-2.0 \*\* 0.5"),
    (lambda: Value(-2.0) ** Value(0.5), ValueError, r"-2.0 \*\* 0.5"),
    (lambda: (-2) ** Value(0.5), ValueError, r"-2 \*\* 0.5"),
    (lambda: Value(0.0) ** -1, ZeroDivisionError, r"0.0 \*\* -1"),
    (lambda: Value(1.0) / 0, ZeroDivisionError, "1.0 / 0"),
    (lambda: 1 / Value(0.0), ZeroDivisionError, "1 / 0.0"),
    (lambda: Value(1j).backward(), TypeError, "one real number"),
    (lambda: Value(True).backward(), TypeError, "True"),
    (
        lambda: dot([Value(1.0)], [1.0, 2.0]),
        ValueError,
        "^dot: 1 numbers on the left, 2 on the right$",
    ),
]


@pytest.mark.parametrize(("action", "kind", "message"), ERRORS)
def test_errors_name_operation_and_number(
    action: Callable[[], Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        action()


def test_failed_backward_changes_nothing() -> None:
    """A Value that holds no real number refuses before any gradient moves."""
    x = Value(2.0)
    y = x * 3.0
    y.data = None
    with pytest.raises(TypeError, match="None"):
        y.backward()

    assert (x.grad, y.grad) == (0.0, 0.0)


def test_a_rule_that_fails_leaves_the_leaves_as_they_were() -> None:
    """Half of a gradient would look like a whole one."""
    x, y = Value(2.0), Value(3.0)
    x.grad, y.grad = 0.5, 5.0
    seen = []

    def _backward(grad: Any) -> None:
        seen.append(y.grad)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        (x * y + Value(1.0, (x,), "fails", _backward)).backward()

    assert seen == [7.0]
    assert (x.grad, y.grad) == (0.5, 5.0)


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "softplus", "silu", "gelu", "sin"])
def test_numpy_scalars_inside(name: str) -> None:
    """A NumPy scalar is a number, and gives what a float gives."""
    np = pytest.importorskip("numpy")
    expected = Value(0.5)
    getattr(expected, name)().backward()
    for kind in (np.float64, np.float32):
        x = Value(kind(0.5))
        getattr(x, name)().backward()

        assert x.grad == pytest.approx(expected.grad, rel=float(np.finfo(kind).eps))


def test_numpy_scalars_on_either_side() -> None:
    np = pytest.importorskip("numpy")
    x = Value(3.0)
    for result in (x * np.float64(2), np.float64(2) * x, x ** np.int64(2)):
        assert isinstance(result, Value)
    with pytest.raises(TypeError, match="real number"):
        (x * np.ones(2)).backward()


# --- comparison and conversion


def test_comparison_is_by_number_and_hash_by_identity() -> None:
    x, y = Value(2.0), Value(2.0)

    assert x == y
    assert x == 2
    assert x != 3.0
    assert x != "2"
    assert (x != y) is False
    assert x <= y
    assert x >= y
    assert not x < y
    assert not x > y
    assert x < 3.0 <= Value(3.0)
    assert Value(3.0) > x >= 2.0
    assert len({x, y}) == 2


def test_conversion() -> None:
    x = Value(2.75)

    assert (float(x), int(x), bool(x), bool(Value(0.0))) == (2.75, 2, True, False)
    assert f"{x:.1f}" == "2.8"
    assert f"{x}" == repr(x) == "Value(data=2.75, grad=0.0)"


# --- the pass


def test_leaves_accumulate_and_inner_nodes_do_not() -> None:
    x = Value(3.0)
    y = x * x
    z = y * y
    z.backward()
    first = x.grad
    z.backward()

    assert first == 108.0
    assert x.grad == 216.0
    assert y.grad == 18.0


def test_backward_from_a_leaf_counts_as_one() -> None:
    x = Value(3.0)
    x.backward()
    x.backward()

    assert x.grad == 2.0


def test_zero_grad_and_detach() -> None:
    x = Value(3.0)
    y = x * 2.0
    y.backward()
    x.zero_grad()
    z = y.detach()

    assert (x.grad, z.data, z._parents) == (0.0, 6.0, ())


def test_closures_hold_numbers() -> None:
    """A change after the forward pass does not reach the gradient."""
    x, y = Value(2.0), Value(3.0)
    z = x * y
    x.data = 100.0
    z.backward()

    assert y.grad == 2.0


def test_parents_stand_in_operand_order() -> None:
    x, y = Value(2.0), Value(3.0)

    assert (x - y)._parents[0] is x
    assert (2 - y)._parents[1] is y
    assert len((x * x)._parents) == 2


def test_topological_order_puts_parents_first() -> None:
    rng = random.Random(0)
    nodes = [Value(1.0)]
    for _ in range(200):
        nodes.append(rng.choice(nodes) * rng.choice(nodes))
    order = topological_order(nodes[-1])
    place = {node: i for i, node in enumerate(order)}

    assert order[-1] is nodes[-1]
    assert len(place) == len(order)
    assert all(place[p] < place[n] for n in order for p in n._parents)


def test_a_million_nodes_leave_nothing_for_the_collector() -> None:
    """Built, differentiated and freed, with the collector off."""
    gc.collect()
    gc.disable()
    try:
        x = Value(1.0)
        y = x
        for _ in range(1_000_000):
            y = y + 1.0
        y.backward()
        del y

        assert x.grad == 1.0
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_one_leaf_used_many_times() -> None:
    x = Value(1.0)
    total = sum((x * 2.0 for _ in range(10_000)), Value(0.0))
    total.backward()

    assert x.grad == 20_000.0


# --- dot

numbers = st.floats(-100, 100)


@given(st.lists(st.tuples(fractions, fractions), max_size=6), fractions)
def test_dot_equals_its_operators(
    pairs: list[tuple[Fraction, Fraction]], start: Fraction
) -> None:
    """One node, the same value and exactly the same gradients."""
    xs = [Value(x) for x, _ in pairs]
    ys = [Value(y) for _, y in pairs]
    b = Value(start)
    fused = dot(xs, ys, b)
    fused.backward()
    actual = [v.grad for v in (*xs, *ys, b)]
    for v in (*xs, *ys, b):
        v.zero_grad()
    plain = sum((x * y for x, y in zip(xs, ys, strict=True)), b)
    plain.backward()

    assert fused == plain
    assert actual == [v.grad for v in (*xs, *ys)] + [1]


def test_dot_starts_from_zero() -> None:
    assert dot([Value(2.0)], [3.0]).data == 6.0
    assert dot([], []).data == 0.0


def test_dot_with_plain_numbers_and_repeats() -> None:
    w = Value(2.0)
    result = dot([w, 3.0, w], [w, w, 4.0], 1.0)
    result.backward()

    assert result.data == 1 + 4 + 6 + 8
    assert w.grad == 4 + 3 + 4
    assert re.match(r"dot", result._op)


def test_dot_may_start_from_a_higher_level() -> None:
    """The result is of the level of its start, though the rest is below."""
    start = Value(Value(1.0))
    result = dot([Value(2.0)], [3.0], start)
    result.backward()

    assert type(result) is type(start)
    assert (result.data.data, start.grad.data) == (7.0, 1.0)


# --- elementary functions of plain numbers


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if hasattr(math, n)])
def test_an_elementary_function_is_named_and_documented(name: str) -> None:
    function = getattr(elementary, name)

    assert function.__name__ == function.__qualname__ == name
    assert function.__doc__ == f"Return `math.{name}(x)`; errors name `x`."


def test_a_number_without_functions_of_its_own_gets_those_of_python() -> None:
    assert namespace(2.0) is namespace(Fraction(2)) is elementary
    assert namespace(Value(2.0)) is Value
    assert namespace(object()) is elementary


def test_smaller_larger_and_sign() -> None:
    assert elementary.minimum(1.0, 2.0) == 1.0
    assert elementary.minimum(2.0, 1.0) == 1.0
    assert elementary.maximum(1.0, 2.0) == 2.0
    assert [elementary.sign(x) for x in (-0.5, 0.0, 0.5)] == [-1, 0, 1]


@pytest.mark.parametrize(("x", "y"), [(NAN, 1.0), (1.0, NAN)])
def test_smaller_and_larger_pass_nan_on(x: float, y: float) -> None:
    assert math.isnan(elementary.minimum(x, y))
    assert math.isnan(elementary.maximum(x, y))


def test_complex_numbers_may_have_complex_powers() -> None:
    """Only a complex result of real numbers is refused."""
    assert elementary.power(1j, 2) == -1
    assert elementary.power(1.0, 1j) == 1


def test_a_subclass_may_override_reflected_operators() -> None:
    """Python asks a subclass's reflected method first; that must end."""

    class Loud(Value):
        def __rsub__(self, other: Any) -> Self:
            return super().__rsub__(other)

        def __radd__(self, other: Any) -> Self:
            return super().__radd__(other)

        def __rmul__(self, other: Any) -> Self:
            return super().__rmul__(other)

        def __rtruediv__(self, other: Any) -> Self:
            return super().__rtruediv__(other)

    x = Loud(2.0)

    assert [(5 - x).data, (5 + x).data, (5 * x).data, (5 / x).data] == [3, 7, 10, 2.5]


COPIES: list[Callable[[Any], Any]] = [
    copy.copy,
    copy.deepcopy,
    lambda v: pickle.loads(pickle.dumps(v)),
]


@pytest.mark.parametrize("duplicate", COPIES)
def test_a_leaf_is_copied_and_a_result_refuses(duplicate: Any) -> None:
    """The copy of a result would add to the leaves of the original."""
    x = Value(Fraction(2, 3))
    x.grad = Fraction(5)
    twin = duplicate(x)

    assert (twin.data, twin.grad, twin._parents) == (x.data, x.grad, ())
    assert twin is not x
    message = (
        "^a result cannot be copied or pickled: its rule is the original's; "
        "copy its leaves, or detach it first$"
    )
    with pytest.raises(TypeError, match=message):
        duplicate(x * 2)


class Marked(Value):
    """A kind of Value that a program may add."""

    __slots__ = ()


@pytest.mark.parametrize("duplicate", COPIES)
def test_a_copy_is_of_the_same_kind(duplicate: Any) -> None:
    twin = duplicate(Marked(2.0))

    assert (type(twin), twin.data) == (Marked, 2.0)
