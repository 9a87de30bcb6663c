"""Tensors: what holds whatever the operation, and what arrays add to numbers.

The rules themselves are judged in `test_tensor_rules.py`.
"""

from __future__ import annotations

import copy
import gc
import math
import pickle
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import prosegrad
from prosegrad import (
    Value,
    cross_entropy,
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    mean_squared_error,
    value_and_grad,
    vjp,
)
from prosegrad.tensor import (
    Tensor,
    concat,
    linear,
    matmul,
    no_grad,
    stack,
    where,
)

from .tensors import MASK, A, Library, assert_close, opened, plain_array, weights

Function = Callable[..., Any]
F = Fraction


@pytest.fixture(scope="module", params=["numpy", "torch", "jax"])
def library(request: pytest.FixtureRequest) -> Iterator[Library]:
    with opened(request.param) as found:
        yield found


UNARY = (
    "exp expm1 log log1p sin cos tan asin acos atan sinh cosh tanh sigmoid softplus "
    "silu gelu"
)

# --- precision


def test_each_leaf_has_its_own_precision() -> None:
    x, w, n = Tensor(np.array([1, 2], np.float32)), Tensor([3.0, 4.0]), Tensor([5, 6])
    (x * w * n).sum().backward()

    assert (x.grad.dtype, w.grad.dtype) == (np.float32, np.float64)
    assert n.grad.dtype == np.float64
    assert n.grad.tolist() == [3, 8]


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_whole_numbers_meet_a_fraction(name: str, library: Library) -> None:
    x = Tensor(library.array([1, 2, 3], "int64"))
    y = getattr(x, name)(2.5)

    assert_close(y.data, getattr(np, name)([1, 2, 3], 2.5))


def test_whole_numbers_stay_exact() -> None:
    x = Tensor([3, 10**15 + 1])
    (x * x).sum().backward()

    assert x.grad.tolist() == [6, 2 * 10**15 + 2]


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda x: x * x / F(3), ["1/3", "-2", "4/3"]),
        (lambda x: x**3, ["3/4", "27", "12"]),
        (lambda x: x @ x, None),
        (lambda x: x[[0, 0, 2]] * x[1:2], None),
        (lambda x: concat([x, x * x]), None),
        (lambda x: where(x.data > 0, x * x, x), ["1", "1", "4"]),
        (lambda x: abs(x), ["1", "-1", "1"]),
    ],
)
def test_fractions_stay_exact(f: Function, expected: Any) -> None:
    """An array of Fractions has Fractions for slopes."""
    numbers = np.array([F(1, 2), F(-3), F(2)])
    x = Tensor(numbers)
    y = f(x)
    y.backward(np.full(y.shape, F(1), object))

    assert x.grad.dtype == object
    if expected is not None:
        assert x.grad.tolist() == [F(e) for e in expected]
    nudged = []
    for i in range(3):
        ends = []
        for h in (F(1, 10), F(-1, 10)):
            moved = numbers.copy()
            moved[i] += h
            ends.append(np.sum(f(Tensor(moved)).data))
        nudged.append((ends[0] - ends[1]) / F(1, 5))
    cubic = F(1, 100) if expected == ["3/4", "27", "12"] else 0
    assert x.grad.tolist() == [slope - cubic for slope in nudged]


@pytest.mark.parametrize("name", ["mean", "max"])
def test_fractions_may_be_reduced(name: str) -> None:
    x = Tensor(np.array([F(1, 2), F(3)]))
    y = getattr(x * x, name)()
    y.backward(np.array(F(1), object))

    assert x.grad.tolist() == {"mean": [F(1, 2), F(3)], "max": [0, F(6)]}[name]


# --- numbers and arrays meet


NUMBERS = st.floats(0.125, 4).map(lambda x: round(x, 3))
EXACT_ONES: dict[str, Function] = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: x / y,
    "abs": lambda x, y: abs(x - y),
    "neg": lambda x, y: -x,
    "sqrt": lambda x, y: x.sqrt(),
    "maximum": lambda x, y: x.maximum(y),
    "minimum": lambda x, y: x.minimum(y),
    "relu": lambda x, y: (x - y).relu(),
    "leaky_relu": lambda x, y: (x - y).leaky_relu(),
    "** 2": lambda x, y: x**2,
}
ROUNDED_ONES: dict[str, Function] = {
    "**": lambda x, y: x**y,
    "** 0.3": lambda x, y: x**0.3,
    **{name: lambda x, y, name=name: getattr(x / 8, name)() for name in UNARY.split()},
}


def both_engines(f: Function, xs: Any, ys: Any) -> tuple[list[Any], list[Any]]:
    """Return results and gradients of a Tensor, and of as many Values."""
    x, y = Tensor(xs), Tensor(ys)
    z = f(x, y)
    z.sum().backward()
    ours = [z.data, x.grad, y.grad + np.zeros(len(ys))]
    numbers = []
    for a, b in zip(xs, ys, strict=True):
        v, w = Value(a), Value(b)
        r = f(v, w)
        r.backward()
        numbers.append((r.data, v.grad, w.grad))
    return ours, [np.array(part) for part in zip(*numbers, strict=True)]


@pytest.mark.parametrize("name", EXACT_ONES)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=9))
@settings(max_examples=max(10, settings().max_examples // 8))
def test_a_tensor_is_many_values(name: str, pairs: list[tuple[float, float]]) -> None:
    """Each member has the bits that a Value has."""
    xs, ys = (list(part) for part in zip(*pairs, strict=True))
    ours, numbers = both_engines(EXACT_ONES[name], xs, ys)

    for found, expected in zip(ours, numbers, strict=True):
        assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("name", ROUNDED_ONES)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=9))
@settings(max_examples=max(10, settings().max_examples // 8))
def test_a_tensor_is_nearly_many_values(
    name: str, pairs: list[tuple[float, float]]
) -> None:
    """Where NumPy's functions are not those of `math`, a few last bits differ."""
    xs, ys = (list(part) for part in zip(*pairs, strict=True))
    ours, numbers = both_engines(ROUNDED_ONES[name], xs, ys)

    for found, expected in zip(ours, numbers, strict=True):
        assert np.allclose(found, expected, rtol=3e-15, atol=1e-300)


OPERATORS: dict[str, Function] = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: x / y,
    "**": lambda x, y: x**y,
}
OTHERS = {
    "int": 3,
    "float": 2.5,
    "np.float64": np.float64(2.5),
    "np.float32": np.float32(2.5),
    "np.int64": np.int64(3),
    "0-d": np.array(2.5),
    "row": A(3),
    "column": A(2, 1),
    "larger": A(2, 2, 3),
    "list": [1.0, 2.0, 4.0],
}


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("name", OPERATORS)
def test_either_side_may_be_plain(name: str, other: str) -> None:
    """What is no Tensor is a constant, on the left as on the right."""
    f, y = OPERATORS[name], OTHERS[other]
    for left in (True, False):
        x, boxed = Tensor(A(2, 3)), Tensor(A(2, 3))
        constant = Tensor(np.array(y, float))
        found = f(y, x) if left else f(x, y)
        expected = f(constant, boxed) if left else f(boxed, constant)
        found.backward(weights(found.shape))
        expected.backward(weights(expected.shape))

        assert type(found) is Tensor
        assert np.array_equal(found.data, expected.data)
        assert_close(x.grad, boxed.grad, 1e-6 if other == "np.float32" else 1e-12)


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_the_other_may_be_plain(name: str, other: str) -> None:
    found = getattr(Tensor(A(2, 3)), name)(OTHERS[other])

    assert_close(found.data, getattr(np, name)(A(2, 3), OTHERS[other]))


def test_a_numpy_scalar_meets_every_library(library: Library) -> None:
    x = Tensor(library.array([1.0, 2.0]))
    for y in (np.float64(2) * x, x * np.float64(2)):
        y.sum().backward()

        assert type(y) is Tensor
        assert type(y.data) is type(x.data)
        assert np.asarray(y.data).tolist() == [2, 4]


def test_a_constant_has_no_gradient() -> None:
    """An array that a Tensor meets is not changed, nor is a node made for it."""
    x, c = Tensor(A(3)), A(3)
    (c * x - c).sum().backward()

    assert c.tolist() == [1, 2, 3]
    assert x.grad.tolist() == [1, 2, 3]


def test_comparisons_compare_arrays() -> None:
    x = Tensor(A(3))

    assert (x < 2).tolist() == [True, False, False]
    assert (x >= A(3)).tolist() == [True] * 3
    assert (A(3) == x).tolist() == [True] * 3
    assert (x != Tensor([1.0, 0.0, 3.0])).tolist() == [False, True, False]
    assert len({x, Tensor(A(3))}) == 2


def test_a_value_meets_a_tensor() -> None:
    """A Value is a Tensor of one number, and gets its gradient."""
    for f in OPERATORS.values():
        for left in (True, False):
            v, x = Value(2.0), Tensor(A(2, 3))
            z = f(v, x) if left else f(x, v)
            boxed, same = Tensor(2.0), Tensor(A(2, 3))
            expected = f(boxed, same) if left else f(same, boxed)
            (z * z).sum().backward()
            (expected * expected).sum().backward()

            assert type(z) is Tensor
            assert float(v.grad) == pytest.approx(float(boxed.grad), rel=1e-14)
            assert np.shape(v.grad) == ()
            assert_close(x.grad, same.grad)


def test_a_graph_of_values_goes_on_in_tensors() -> None:
    v, x = Value(3.0), Tensor(A(2))
    (v * v * x + v).sum().backward()

    assert v.grad == 2 * 3 * 3 + 2
    assert x.grad.tolist() == [9, 9]


def test_where_of_a_value_and_a_tensor() -> None:
    v, x = Value(3.0), Tensor(A(2))
    where(np.array([True, False]), v, x).sum().backward()

    assert float(v.grad) == 1
    assert x.grad.tolist() == [0, 1]


def test_maximum_of_a_value_and_a_tensor() -> None:
    v, x = Value(2.0), Tensor(A(3))
    z: Any = v.maximum(x)
    z.sum().backward()

    assert type(z) is Tensor
    assert float(v.grad) == 1.5
    assert x.grad.tolist() == [0, 0.5, 1]


def test_where_of_the_package_broadcasts() -> None:
    """`prosegrad.where` is the same function for Tensors."""
    x, v = Tensor(A(2, 3)), Tensor(A(3))
    prosegrad.where(A(3) > 1, x, v).sum().backward()

    assert x.grad.tolist() == [[0, 1, 1], [0, 1, 1]]
    assert v.grad.tolist() == [2, 0, 0]
    half = prosegrad.where(A(3) > 1, Tensor(np.float32(A(3))), 0.0)
    assert half.dtype == np.float32


@pytest.mark.parametrize("shapes", [((2, 3), (3,)), ((), (3,)), ((2, 1), (1, 3))])
def test_second_derivative_of_where(shapes: Any) -> None:
    """The gradient of a gradient has the shape of its own operand."""
    x, y = (A(*shape) for shape in shapes)
    mask = A(3) > 1

    def f(x: Any, y: Any) -> Any:
        return (where(mask, x * x * x, y * y * y)).sum()

    def slope(x: Any, y: Any) -> Any:
        a, b = grad(f, (0, 1))(x, y)
        return a.sum() + b.sum()

    found = grad(slope, (0, 1))(x, y)
    counts = grad(lambda x, y: where(mask, x, y).sum(), (0, 1))(x, y)

    assert [g.shape for g in found] == list(shapes)
    assert_close(found[0], 6 * x * counts[0])
    assert_close(found[1], 6 * y * counts[1])


def test_condition_may_be_larger() -> None:
    x, y = Tensor(A(2)), Tensor(0.0)
    z = where(np.ones((3, 1), bool), x, y)
    z.sum().backward()

    assert z.shape == (3, 2)
    assert x.grad.tolist() == [3, 3]
    assert float(y.grad) == 0


def test_where_of_plain_operands() -> None:
    assert where(MASK, A(2, 3), 0.0).tolist() == [[1, 0, 3], [0, 0, 6]]
    x = Tensor(A(2))
    assert where(True, x, 0.0).data.tolist() == [1, 2]
    assert where(False, x, 0.5).data.tolist() == [0.5, 0.5]


def test_dot_broadcasts_back() -> None:
    x, v = Tensor(A(2, 3)), Tensor(A(3))
    product: Any = prosegrad.dot([x], [v])
    product.sum().backward()

    assert v.grad.tolist() == [5, 7, 9]


@pytest.mark.parametrize("order", [(1, 2, 0), (2, 0, 1), (-1, 0, -2), (0, 2, 1)])
def test_an_order_is_undone_not_done_again(order: Any) -> None:
    """The gradient goes back by the inverse, which a cycle of three is not."""
    x = Tensor(A(2, 3, 4))
    y = x.permute_dims(order)
    y.backward(np.transpose(A(2, 3, 4), order))

    assert np.array_equal(y.data, np.transpose(A(2, 3, 4), order))
    assert x.grad.tolist() == A(2, 3, 4).tolist()


# --- ties and large numbers


def test_equal_ones_share(library: Library) -> None:
    """The largest that are equal get equal parts of the gradient."""
    x = Tensor(library.array([[3.0, 1.0, 3.0], [2.0, 2.0, 2.0]]))
    slopes: dict[Function, Any] = {
        lambda x: x.max(1): [[0.5, 0, 0.5], [1 / 3] * 3],
        lambda x: x.max(): [[0.5, 0, 0.5], [0, 0, 0]],
        lambda x: x.max(0): [[1, 0, 1], [0, 1, 0]],
        lambda x: x.min(): [[0, 1, 0], [0, 0, 0]],
        lambda x: x.min(1): [[0, 1, 0], [1 / 3] * 3],
        lambda x: x.maximum(2.0): [[1, 0, 1], [0.5] * 3],
        lambda x: x.minimum(2.0): [[0, 1, 0], [0.5] * 3],
        lambda x: (x - 2).relu(): [[1, 0, 1], [0] * 3],
        lambda x: (x - 2).leaky_relu(): [[1, 0.01, 1], [0.01] * 3],
        lambda x: abs(x - 2): [[1, -1, 1], [0] * 3],
    }
    for f, expected in slopes.items():
        x.zero_grad()
        f(x).sum().backward()
        assert_close(x.grad, expected)


def test_no_number_is_too_large(library: Library) -> None:
    x = Tensor(library.array([[1e4, 0.0], [-1e4, -1e4]]))
    losses = {
        "logsumexp": x.logsumexp(1),
        "softmax": x.softmax(),
        "cross_entropy": cross_entropy(x, [1, 0]),
        "softplus": x.softplus(),
        "sigmoid": x.sigmoid(),
    }
    expected: dict[str, tuple[Any, Any]] = {
        "logsumexp": ([1e4, -1e4 + math.log(2)], [[1, 0], [0.5, 0.5]]),
        "softmax": ([[1, 0], [0.5, 0.5]], [[0, 0], [0, 0]]),
        "cross_entropy": ((1e4 + math.log(2)) / 2, [[0.5, -0.5], [-0.25, 0.25]]),
        "softplus": ([[1e4, math.log(2)], [0, 0]], [[1, 0.5], [0, 0]]),
        "sigmoid": ([[1, 0.5], [0, 0]], [[0, 0.25], [0, 0]]),
    }
    for name, y in losses.items():
        x.zero_grad()
        y.sum().backward()
        assert_close(y.data, expected[name][0])
        assert_close(x.grad, expected[name][1])


def test_minus_infinity_has_no_share(library: Library) -> None:
    """A masked score, of minus infinity, gets nothing and no NaN."""
    x = Tensor(library.array([-math.inf, 0.0, 1.0]))
    rest = Tensor(library.array([0.0, 1.0]))
    functions: list[Function] = [
        lambda x: x.logsumexp(),
        lambda x: x.softmax()[-1],
    ]
    for f in functions:
        for z in (x, rest):
            z.zero_grad()
            f(z).backward()
        assert_close(f(x).data, f(rest).data)
        assert_close(x.grad, [0, *np.asarray(rest.grad)])


@pytest.mark.parametrize("n", [0, 1, 2, 3, 0.5, 0.25, 2.5])
def test_powers_of_zero(n: float) -> None:
    """At zero a power has the slope that it has for a Value."""
    x, v = Tensor([0.0, 4.0]), Value(0.0)
    (v**n).backward()
    with np.errstate(all="ignore"):
        (x**n).sum().backward()

    assert x.grad.tolist() == [v.grad, n * 4.0 ** (n - 1)]


def test_a_power_of_zero_does_not_warn() -> None:
    (Tensor([0.0]) ** 0).sum().backward()


def test_a_constant_exponent_may_be_an_array(library: Library) -> None:
    """The second derivative of a power by an array is that by a number."""
    x = library.array([1.0, 2.0, 3.0])
    for n in (3.0, 1.5, 0.25, -2.0):
        power = library.array([n] * 3)
        inner = grad(lambda x, n=power: (x**n).sum())(Tensor(x))
        found = grad(lambda x, n=power: grad(lambda x: (x**n).sum())(x).sum())(x)

        assert library.owns(inner.data)
        assert inner.dtype == library.dtype("float64")
        assert_close(found, n * (n - 1) * A(3) ** (n - 2))


# --- a Tensor


def test_what_a_tensor_holds() -> None:
    x = Tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])

    assert (x.shape, x.ndim, x.size, len(x)) == ((2, 3), 2, 6, 2)
    assert (x.dtype, x.grad) == (np.float64, 0)
    assert repr(Tensor([1.0, 2.0])) == "Tensor(array([1., 2.]))"
    assert [row.data.tolist() for row in x] == [[1, 2, 3], [4, 5, 6]]
    assert (Tensor(2.0).shape, Tensor(2.0).ndim, Tensor(2.0).size) == ((), 0, 1)
    assert float(Tensor(2.0)) == 2
    assert f"{Tensor(2.0):.2f}" == "2.00"
    assert Tensor([]).shape == (0,)
    assert Tensor(np.zeros((2, 0))).size == 0


def test_arrays_are_held_not_copied(library: Library) -> None:
    data = library.array(A(2, 3))
    x = Tensor(data)

    assert x.data is data
    assert x.shape == (2, 3)
    assert type(x.shape) is tuple
    assert x.size == 6
    assert x.sum().data == 21


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (3, "int64"),
        (True, "bool"),
        (2.5, "float64"),
        (1j, "complex128"),
        (np.float32(2), "float32"),
        ([1, 2], "int64"),
        ([F(1, 2), 3], "object"),
        ([10**30], "object"),
    ],
)
def test_numbers_become_arrays(data: Any, dtype: str) -> None:
    x = Tensor(data)

    assert isinstance(x.data, np.ndarray | np.generic)
    assert x.dtype == dtype


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ("a", TypeError),
        (None, TypeError),
        ({}, TypeError),
        ([None], TypeError),
        (["1"], TypeError),
        ([[1], [1, 2]], ValueError),
    ],
)
def test_what_is_no_array_of_numbers(data: Any, error: Any) -> None:
    with pytest.raises(error, match=r"^Tensor"):
        Tensor(data)


def test_what_cannot_be_done() -> None:
    x = Tensor(A(3))
    with pytest.raises(TypeError, match="has no length"):
        len(Tensor(1.0))
    with pytest.raises(TypeError):
        x[0] = 1.0  # type: ignore[index]
    with pytest.raises(TypeError, match="Tensor holds numbers"):
        x + "a"
    with pytest.raises(TypeError, match="copied or pickled"):
        pickle.dumps(x * 1)


@pytest.mark.parametrize(
    "via", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_leaves_are_copied_with_their_gradient(via: Function) -> None:
    x = Tensor(A(3))
    (x * x).sum().backward()
    y = via(x)

    assert (y.data.tolist(), y.grad.tolist()) == ([1, 2, 3], [2, 4, 6])
    assert type(y) is Tensor


def test_detach() -> None:
    x = Tensor(A(2))
    y = (x * 2).detach()
    (y * x).sum().backward()

    assert y._parents == ()
    assert x.grad.tolist() == [2, 4]
    assert y.grad.tolist() == [1, 2]


# --- backward


def test_gradients_add_up_over_calls(library: Library) -> None:
    x = Tensor(library.array(A(3)))
    y = (x * x).sum()
    y.backward()
    first = x.grad
    y.backward()

    assert np.asarray(first).tolist() == [2, 4, 6]
    assert np.asarray(x.grad).tolist() == [4, 8, 12]
    x.zero_grad()
    assert x.grad == 0
    y.backward()
    assert np.asarray(x.grad).tolist() == [2, 4, 6]


def test_inner_nodes_have_the_gradient_of_the_last_call() -> None:
    x = Tensor(A(3))
    y = x * x
    z = y.sum()
    z.backward()
    z.backward()

    assert y.grad.tolist() == [1, 1, 1]
    assert float(z.grad) == 1


def test_a_gradient_stays_an_array(library: Library) -> None:
    """Also that of one number, and after more than one call."""
    x = Tensor(library.array(2.0))
    (x * x).backward()
    assert library.owns(x.grad)
    (x * x).backward()
    assert float(x.grad) == 8


def test_a_leaf_may_be_the_root() -> None:
    x = Tensor(3.0)
    x.backward()
    assert float(x.grad) == 1
    y = Tensor(A(2))
    y.backward(A(2))
    y.backward(A(2))
    assert y.grad.tolist() == [2, 4]


def test_no_array_is_changed() -> None:
    """Not data, nor seeds, nor gradients that nodes share, nor those of before."""
    x, y, seed = Tensor(A(2, 3)), Tensor(A(2, 3)), A(2, 3)
    for array in (x.data, y.data, seed):
        array.flags.writeable = False
    z = x + y - x * 1.0
    w = z + z + x
    w.backward(seed)
    old = [x.grad, y.grad]
    for array in old:
        array.flags.writeable = False
    kept = [array.copy() for array in old]
    w.backward(seed)
    (w * w).backward(seed)

    assert not np.shares_memory(old[0], old[1])
    assert not any(np.shares_memory(array, seed) for array in old)
    for array, before in zip(old, kept, strict=True):
        assert np.array_equal(array, before)
    assert kept[0].tolist() == seed.tolist()
    assert kept[1].tolist() == (2 * seed).tolist()


def test_leaves_own_their_gradients(library: Library) -> None:
    """Writing into one gradient changes no other, and no seed."""
    if library.name == "jax":
        pytest.skip("arrays of JAX cannot be written to")
    x, y = Tensor(library.array(A(3))), Tensor(library.array(A(3)))
    seed = library.make(A(3))
    (x + y).backward(seed)
    x.grad[0] = 7

    assert np.asarray(y.grad).tolist() == np.asarray(seed).tolist() == [1, 2, 3]
    x.zero_grad()
    x.sum().backward()
    x.grad[0] = 7
    assert np.asarray(x.grad).tolist() == [7, 1, 1]


def test_the_seed() -> None:
    x = Tensor(A(2))
    (x * x).backward(np.array([1.0, 10.0]))
    assert x.grad.tolist() == [2, 40]
    y = Tensor(3.0)
    (y * y).backward(2.0)
    assert float(y.grad) == 12
    with pytest.raises(
        ValueError, match=r"backward: the gradient has shape \(3,\), .* has \(2,\)"
    ):
        (x * x).backward(A(3))
    with pytest.raises(ValueError, match="backward"):
        (x * x).backward(1.0)


@pytest.mark.parametrize(
    ("data", "says"),
    [(A(2, 3), r"\(2, 3\)"), (A(1), r"\(1,\)"), (1j, "complex128"), (True, "bool")],
)
def test_backward_needs_one_real_number(data: Any, says: str) -> None:
    x = Tensor(data)
    with pytest.raises(TypeError, match=f"backward starts from one real.*{says}"):
        x.backward()

    assert x.grad == 0


class Stop(BaseException):
    """Neither an Exception nor a KeyboardInterrupt."""


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, Stop, RecursionError])
@pytest.mark.parametrize("keep_graph", [True, False])
def test_all_or_nothing(error: Any, keep_graph: bool) -> None:
    """If a rule raises, the leaves have the gradients of before, the same arrays."""
    x, y, z = Tensor(A(2)), Tensor(A(2)), Tensor(A(2))
    (x * y).sum().backward()
    before = [x.grad, y.grad, z.grad]
    product = x * y * z

    def _backward(grad: Any) -> None:
        x.grad += grad
        y.grad += grad
        z.grad += grad
        raise error

    wrong = Tensor(product.data, (product, x, y, z), "wrong", _backward)
    with pytest.raises(error):
        (wrong + x * z).sum().backward(keep_graph=keep_graph)

    assert [x.grad, y.grad, z.grad] == before or all(
        a is b for a, b in zip([x.grad, y.grad, z.grad], before, strict=True)
    )
    (x * z).sum().backward()
    assert x.grad.tolist() == [2, 4]
    assert z.grad.tolist() == [1, 2]


def test_a_gradient_that_cannot_be_added_changes_nothing() -> None:
    """The second leaf fails when the first is settled already."""
    x, y = Tensor(A(2)), Tensor(A(2))
    x.grad = A(2)
    y.grad = A(3)
    with pytest.raises(ValueError, match="broadcast"):
        (x * y).sum().backward()

    assert x.grad.tolist() == [1, 2]
    assert y.grad.tolist() == [1, 2, 3]


def test_a_leaf_that_is_not_reached_keeps_its_gradient() -> None:
    x, y = Tensor(A(2)), Tensor(A(2))
    y.grad = A(2)
    x.sum().backward()

    assert y.grad.tolist() == [1, 2]


# --- graphs


def test_no_grad() -> None:
    """What is computed inside is a constant."""
    x = Tensor(A(2))
    with no_grad():
        y = (x * x).sum()
        leaf = Tensor(A(2))

    assert y._parents == ()
    with pytest.raises(RuntimeError, match="computed inside no_grad"):
        y.backward()
    assert x.grad == 0
    (y * x * leaf).sum().backward()
    assert x.grad.tolist() == [5, 10]
    assert leaf.grad.tolist() == [5, 10]


def test_no_grad_nests_and_ends_with_an_error() -> None:
    x = Tensor(A(2))
    with no_grad():
        with pytest.raises(KeyError), no_grad():
            raise KeyError
        assert (x * x)._parents == ()
    (x * x).sum().backward()

    assert x.grad.tolist() == [2, 4]


def test_no_grad_inside_a_function() -> None:
    def f(x: Any) -> Any:
        with no_grad():
            scale = (x * x).sum()
        return (x * scale).sum()

    assert grad(f)(A(2)).tolist() == [5, 5]


def test_a_freed_graph() -> None:
    """It is walked once, and says so when asked again."""
    x = Tensor(A(3))
    y = x * x
    z = y.sum()
    z.backward(keep_graph=False)

    assert x.grad.tolist() == [2, 4, 6]
    assert (y._parents, z._parents) == ((), ())
    with pytest.raises(RuntimeError, match="keep_graph=False"):
        z.backward()
    assert x.grad.tolist() == [2, 4, 6]
    (x * 1.0).sum().backward(keep_graph=False)
    assert x.grad.tolist() == [3, 5, 7]


def test_a_graph_that_needs_a_freed_node() -> None:
    """A part of the gradient would be missing, without a word."""
    x = Tensor(A(3))
    y = x * x
    z, other = y.sum(), (y * y).sum()
    z.backward(keep_graph=False)
    for root in (other, z * 2):
        with pytest.raises(RuntimeError, match="keep_graph=False"):
            root.backward()


def test_nodes_are_freed_on_the_way() -> None:
    """With keep_graph=False a node is gone when the rules of its parents run."""
    for keep in (True, False):
        x = Tensor(A(2))
        y = x * 2.0
        z = y.exp()
        alive: list[Any] = []
        ghost, rule = weakref.ref(z.data), y._backward
        y._backward = watched(ghost, rule, alive)
        total = z.sum()
        del z
        total.backward(keep_graph=keep)

        assert alive == [keep]
        assert_close(x.grad, 2 * np.exp(2 * A(2)))


def watched(ghost: Any, rule: Any, alive: list[bool]) -> Function:
    def _backward(grad: Any) -> None:
        alive.append(ghost() is not None)
        rule(grad)

    return _backward


def test_long_chains() -> None:
    """Neither walking nor freeing a long chain recurses."""
    n = 100_000
    for keep in (True, False):
        x = Tensor(A(2))
        y = x
        for _ in range(n):
            y = y + x if keep else -y
        y.sum().backward(keep_graph=keep)
        assert x.grad.tolist() == ([n + 1] * 2 if keep else [1, 1])
        del y


def test_a_graph_has_no_cycles() -> None:
    """Reference counting frees it: the collector finds nothing."""
    gc.collect()
    gc.disable()
    try:
        x = Tensor(A(2, 3))
        y = (
            concat([x.softmax() @ x.T, linear(x, x.T, x[:, 0])], 1)
            .max(keepdims=True)
            .max(1)
        )
        ghost = weakref.ref(y.data)
        y.backward(np.ones(1))
        del y
        assert ghost() is None
    finally:
        gc.enable()


def test_without_numpy() -> None:
    """The package has no dependencies until a Tensor is asked for."""
    program = (
        "import sys, prosegrad\n"
        "found = {'numpy', 'array_api_compat', 'torch', 'jax', 'prosegrad.tensor', "
        "'prosegrad.arrays'} & set(sys.modules)\n"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


# --- levels


def test_a_tensor_of_a_tensor() -> None:
    """The upper one is differentiated, and leaves a graph in the lower one."""
    x = Tensor(A(3))
    y = Tensor(x)
    z = (y * y * y).sum()
    z.backward()
    assert type(y.grad) is Tensor
    y.grad.sum().backward()

    assert type(y) is not Tensor
    assert isinstance(y, Tensor)
    assert y.grad.data.tolist() == [3, 12, 27]
    assert x.grad.tolist() == [6, 12, 18]


def test_third_derivatives() -> None:
    def f(x: Any) -> Any:
        return (x**4 + x.exp()).sum()

    def slope(f: Function) -> Function:
        return lambda x: grad(f)(x).sum()

    found = grad(slope(slope(f)))(A(3))
    assert_close(found, 24 * A(3) + np.exp(A(3)))


def test_levels_are_not_confused() -> None:
    """The inner gradient is a constant times what is outside of it."""

    def outer(x: Any) -> Any:
        inner = grad(lambda y: (x * y).sum())(A(2) * 0 + 1)
        return (x * inner).sum()

    assert grad(outer)(A(2)).tolist() == [2, 4]


def test_grad_of_trees() -> None:
    found = grad(lambda p: (p["w"] * p["b"]).sum() * p["n"])(
        {"w": A(2, 3), "b": A(3), "n": 2.0}
    )

    assert found["w"].tolist() == (2 * np.broadcast_to(A(3), (2, 3))).tolist()
    assert found["b"].tolist() == [10, 14, 18]
    assert float(found["n"]) == 46
    both = value_and_grad(lambda x: ((x * x).sum(), x * 2), has_aux=True)(A(2))
    assert float(both[0][0]) == 5
    assert both[0][1].tolist() == both[1].tolist() == [2, 4]


def test_a_result_that_does_not_depend() -> None:
    assert grad(lambda x: 1.0)(A(3)).tolist() == [0, 0, 0]


def test_a_gradient_of_zero_has_a_shape() -> None:
    assert grad(lambda x: x.sign().sum())(A(3)).tolist() == [0, 0, 0]


def test_vjp() -> None:
    y, pull = vjp(lambda x: x * x, A(2))

    assert y.tolist() == [1, 4]
    assert pull(np.array([1.0, 10.0]))[0].tolist() == [2, 40]
    assert pull(np.array([1.0, 0.0]))[0].tolist() == [2, 0]


@pytest.mark.parametrize("cotangent", [A(3), A(1), 1.0, A(2, 2)])
def test_vjp_wants_the_shape_of_the_result(cotangent: Any) -> None:
    _, pull = vjp(lambda x: x * x, A(2))
    with pytest.raises(ValueError, match="vjp"):
        pull(cotangent)


def test_jacobian_of_arrays() -> None:
    """One axis of the result, then one of the argument."""
    assert jacobian(lambda x: x * x)(A(2)).tolist() == [[2, 0], [0, 4]]


def test_hessian_of_arrays() -> None:
    assert hessian(lambda x: (x**3).sum())(A(2)).tolist() == [[6, 0], [0, 12]]


def test_jacobian_of_a_list_of_numbers() -> None:
    found = jacobian(lambda x: [x[0] * x[1], x[1]])(A(2))

    assert [row.tolist() for row in found] == [[2, 1], [0, 1]]


def test_jvp_of_elementwise_functions() -> None:
    y, moves = jvp(lambda x: x.exp() * x, (A(2),), (np.array([1.0, 10.0]),))

    assert_close(y, A(2) * np.exp(A(2)))
    assert_close(moves, np.array([1.0, 10.0]) * (1 + A(2)) * np.exp(A(2)))


@pytest.mark.parametrize("f", [lambda x: (x * x).sum(), lambda x: x @ x])
def test_jvp_of_tensor_functions(f: Function) -> None:
    y, moves = jvp(f, (A(2),), (np.array([1.0, 10.0]),))

    assert (float(y), float(moves)) == (5, 42)


def test_hvp_of_arrays() -> None:
    found = hvp(lambda x: (x**3).sum(), (A(2),), (np.array([1.0, 10.0]),))

    assert found.tolist() == [6, 120]


# --- losses


def test_cross_entropy_takes_the_targets_of_any_library(library: Library) -> None:
    x = Tensor(library.array(A(2, 3)))
    for targets in ([2, 0], np.array([2, 0]), library.array([2, 0], "int64")):
        y = cross_entropy(x, targets)
        assert_close(y.data, math.log(1 + math.e**-1 + math.e**-2) + 1)
    one = cross_entropy(Tensor(library.array(A(3))), 2)
    assert_close(one.data, math.log(1 + math.e**-1 + math.e**-2))


@pytest.mark.parametrize(
    ("logits", "targets", "error", "says"),
    [
        (A(2, 3), [0], ValueError, r"\(2, 3\) need targets of .*\(2,\), not .*\(1,\)"),
        (A(2, 3), [[0, 1]], ValueError, r"not .*\(1, 2\)"),
        (A(2, 3), [0, 3], ValueError, "from 0 to 3, and there are 3 classes"),
        (A(2, 3), [-1, 1], ValueError, "from -1 to 1, and there are 3 classes"),
        (A(2, 3), [0.0, 1.0], TypeError, "of dtype float64"),
        (A(2, 3), [True, False], TypeError, "of dtype bool"),
        (A(), 0, ValueError, r"logits of shape \(\)"),
        (A(0, 3), np.zeros(0, int), ValueError, "no predictions"),
        (A(2, 0), [0, 0], ValueError, "0 classes"),
    ],
)
def test_errors_of_cross_entropy(
    logits: Any, targets: Any, error: Any, says: str
) -> None:
    with pytest.raises(error, match=f"cross_entropy: .*{says}|cross_entropy: {says}"):
        cross_entropy(Tensor(logits), targets)


def test_mean_squared_error_wants_one_shape() -> None:
    """Shapes that could be stretched to fit are a mistake here."""
    for targets in (A(3), A(2, 1), A(1, 2, 3), 1.0):
        with pytest.raises(ValueError, match=r"mean_squared_error: .*\(2, 3\)"):
            mean_squared_error(Tensor(A(2, 3)), targets)
    assert mean_squared_error(Tensor(A(3)), A(3) * 2).data == pytest.approx(14 / 3)


def test_mean_squared_error_of_a_list() -> None:
    assert mean_squared_error(Tensor(A(3)), [1.0, 2.0, 3.0]).data == 0


def test_mean_squared_error_of_nothing() -> None:
    with pytest.raises(ValueError, match="mean_squared_error: no predictions"):
        mean_squared_error(Tensor(A(0)), A(0))


# --- errors


def misfits() -> dict[str, tuple[Function, str]]:
    """Return calls that cannot be, and what their errors say."""
    x, v, s = Tensor(A(2, 3)), Tensor(A(2)), Tensor(2.0)
    both = r"\(2, 3\) and \(2,\)"
    return {
        "+": (lambda: x + v, f"add: .*{both}"),
        "array +": (lambda: A(2) + x, f"add: .*{both}"),
        "-": (lambda: x - v, f"sub: .*{both}"),
        "*": (lambda: x * A(2), f"mul: .*{both}"),
        "/": (lambda: x / v, f"(true)?div.*: .*{both}"),
        "**": (lambda: x**v, f"pow.*: .*{both}"),
        "maximum": (lambda: x.maximum(v), f"maximum: .*{both}"),
        "where": (lambda: where(MASK, x, v), f"where: .*{both}"),
        "where mask": (
            lambda: where(A(2) > 1, x, x),
            r"where: .*\(2,\) and \(2, 3\) and \(2, 3\)",
        ),
        "@": (lambda: x @ x, r"matmul: .*\(2, 3\) and \(2, 3\)"),
        "@ number": (lambda: x @ s, r"matmul: .*\(2, 3\) and \(\)"),
        "number @": (lambda: s @ x, r"matmul: .*\(\) and \(2, 3\)"),
        "linear": (
            lambda: linear(x, Tensor(A(2, 2)), v),
            r"(linear|matmul): .*\(2, 3\) and \(2, 2\)",
        ),
        "linear bias": (
            lambda: linear(x, Tensor(A(3, 2)), Tensor(A(3))),
            r"linear: .*\(2, 2\) and \(3,\)",
        ),
        "concat": (lambda: concat([x, v]), r"concat: .*\(2, 3\), \(2,\)"),
        "concat lengths": (
            lambda: concat([x, A(2, 2)]),
            r"concat: .*\(2, 3\), \(2, 2\).*axis 0",
        ),
        "concat nothing": (lambda: concat([]), "concat: there are no arrays"),
        "concat axis": (lambda: concat([x, x], 5), r"concat: .*axis 5.*\(2, 3\)"),
        "concat numbers": (lambda: concat([s, s]), r"concat: .*axis 0.*\(\)"),
        "permute_dims": (lambda: x.permute_dims((0,)), r"permute_dims: .*\(2, 3\)"),
        "permute_dims 5": (lambda: x.permute_dims((0, 5)), "permute_dims: "),
        "permute_dims twice": (lambda: x.permute_dims((0, 0)), "permute_dims: "),
        "take": (lambda: x.take([0], 7), r"take: .*axis 7.*\(2, 3\)"),
        "take of a number": (lambda: s.take(0), r"take: .*\(\)"),
    }


@pytest.mark.parametrize("name", misfits())
def test_errors_name_the_operation_and_the_shapes(name: str) -> None:
    call, says = misfits()[name]
    with pytest.raises(ValueError, match=f"^{says}"):
        call()


def strangers() -> dict[str, tuple[Function, str]]:
    """Return calls whose errors should say more than they do."""
    x, v, s = Tensor(A(2, 3)), Tensor(A(2)), Tensor(2.0)
    return {
        "minimum": (lambda: x.minimum(v), r"minimum: .*\(2, 3\) and \(2,\)"),
        "@ vector": (lambda: x @ v, r"matmul: .*\(2, 3\) and \(2,\)"),
        "@ stacks": (
            lambda: Tensor(A(2, 2, 3)) @ Tensor(A(3, 3, 2)),
            r"matmul: .*\(2, 2, 3\) and \(3, 3, 2\)",
        ),
        "stack": (lambda: stack([x, v]), r"stack: .*\(2, 3\), \(2,\)"),
        "stack nothing": (lambda: stack([]), "stack: there are no arrays"),
        "stack axis": (lambda: stack([x, x], 7), r"stack: .*axis 7.*\(2, 3\)"),
        "reshape": (lambda: x.reshape(4), r"reshape: .*\(2, 3\).*\(4,\)"),
        "broadcast_to": (
            lambda: x.broadcast_to((2, 2)),
            r"broadcast_to: .*\(2, 3\).*\(2, 2\)",
        ),
        "mT": (lambda: v.mT, r"mT: .*\(2,\)"),
        "mT of a number": (lambda: s.mT, r"mT: .*\(\)"),
        "expand_dims": (lambda: x.expand_dims(7), r"expand_dims: .*axis 7.*\(2, 3\)"),
        "sum": (lambda: x.sum(3), r"sum: .*axis 3.*\(2, 3\)"),
        "mean": (lambda: x.mean(-3), r"(sum|mean): .*axis -3.*\(2, 3\)"),
        "max": (lambda: x.max(2), r"max: .*axis 2.*\(2, 3\)"),
        "max of nothing": (lambda: Tensor(A(0)).max(), r"max: .*\(0,\)"),
    }


STRANGERS = set(strangers())


@pytest.mark.parametrize("name", sorted(STRANGERS))
def test_errors_that_should_say_more(name: str) -> None:
    call, says = strangers()[name]
    with pytest.raises(ValueError, match=f"^{says}"):
        call()


def test_indices_out_of_range() -> None:
    x = Tensor(A(2, 3))
    for key in (5, (0, 0, 0), "a", 1.5, [7]):
        with pytest.raises(IndexError):
            x[key]
    with pytest.raises(IndexError):
        x.take([5])


def test_keys_may_be_tensors() -> None:
    x = Tensor(A(3))

    assert x[Tensor([0, 2])].data.tolist() == [1, 3]
    assert x[[True, False, True]].data.tolist() == [1, 3]
    assert x[[]].shape == (0,)
    assert x[x > 1].data.tolist() == [2, 3]


def test_vectors_in_products() -> None:
    """An axis of a vector is gone from the result, and only that one."""
    for a, b, shape in [
        ((3,), (3,), ()),
        ((2, 3), (3,), (2,)),
        ((3,), (3, 4), (4,)),
        ((5, 2, 3), (3,), (5, 2)),
        ((3,), (5, 3, 4), (5, 4)),
        ((5, 1, 2, 3), (6, 3, 4), (5, 6, 2, 4)),
        ((1, 3), (3, 1), (1, 1)),
    ]:
        assert matmul(Tensor(A(*a)), A(*b)).shape == shape
        assert matmul(A(*a), Tensor(A(*b))).shape == shape


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((2, 2, 0), (0, 3)),
        ((2, 0, 3), (3, 2)),
        ((2, 0), (0,)),
        ((0,), (0,)),
    ],
)
def test_products_of_nothing(a: Any, b: Any) -> None:
    """Zero numbers have gradients of their shapes."""
    x, w = Tensor(np.zeros(a)), Tensor(np.zeros(b))
    (x @ w).sum().backward()

    assert x.grad.shape == a
    assert w.grad.shape == b


def test_axes_may_be_whole_numbers_of_numpy() -> None:
    x, i = Tensor(A(2, 3)), np.int64(0)
    calls: list[Function] = [
        lambda: x.sum(i),
        lambda: x.mean(i),
        lambda: x.max(i),
        lambda: x.softmax(i),
        lambda: x.logsumexp(i),
        lambda: x.reshape(np.int64(6)),
    ]
    for call in calls:
        call()


def test_plain_array() -> None:
    assert plain_array(Tensor(Tensor(A(2)))).tolist() == [1, 2]
