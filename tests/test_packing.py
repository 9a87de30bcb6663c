"""A function of one example, packed into arrays: the mean over a batch."""

import math
import operator
import random
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from prosegrad import batch_mean, grad, hessian, value_and_grad, where
from prosegrad.operations import Trace
from prosegrad.packing import Bank, Rows, as_sum, packed
from prosegrad.symbol import Symbol
from prosegrad.trees import flatten

np = pytest.importorskip("numpy", reason="NumPy is not installed")

ROOT = Path(__file__).parents[1]


def symbols(trace: Trace, names: str) -> list[Any]:
    return [Symbol(trace, trace.node("input", name)) for name in names]


def every(trace: Trace) -> set[int]:
    return set(range(len(trace.nodes)))


# --- sums of products


def test_a_chain_of_sums_is_seen_through() -> None:
    """A chain of additions is its products, each with how often it is added."""
    trace = Trace()
    a, b, c, d = symbols(trace, "abcd")
    total = a * b - 2 * (c * d) + c - 3.0

    assert as_sum(trace, total.place, every(trace)) == {
        (a.place, b.place): 1.0,
        (c.place, d.place): -2.0,
        (c.place,): 1.0,
        (): -3.0,
    }


def test_equal_terms_are_added_up() -> None:
    """A number that is added twice stands once, with the factor 2."""
    trace = Trace()
    (a,) = symbols(trace, "a")
    total = a + a.sin() + a

    found = as_sum(trace, total.place, every(trace))
    assert found == {(a.place,): 2.0, (a.sin().place,): 1.0}


def test_what_is_used_elsewhere_stays_one_factor() -> None:
    """A product that may not be taken apart is one factor."""
    trace = Trace()
    a, b = symbols(trace, "ab")
    product = a * b
    total = product + b

    assert as_sum(trace, total.place, set()) == {(product.place,): 1.0, (b.place,): 1.0}


def test_signs_and_factors_go_into_a_sum() -> None:
    """A sign or a factor before a bracket goes to what is in the bracket."""
    trace = Trace()
    a, b, c = symbols(trace, "abc")
    total = c - 2 * (a - b.exp())

    assert as_sum(trace, total.place, every(trace)) == {
        (c.place,): 1.0,
        (a.place,): -2.0,
        (b.exp().place,): 2.0,
    }


def test_a_product_used_twice_is_one_factor_twice() -> None:
    """What is used by others is not taken apart; a sum of it counts how often."""
    trace = Trace()
    a, b = symbols(trace, "ab")
    product = a * b
    total = product + (product + a)

    assert as_sum(trace, total.place, {(product + a).place}) == {
        (product.place,): 2.0,
        (a.place,): 1.0,
    }


def test_two_associations_are_one_sum() -> None:
    """However a sum is bracketed, it is the same sum."""
    trace = Trace()
    a, b, c = symbols(trace, "abc")
    left, right = (a + b) - c, a - (c - b)
    open_places = every(trace)

    assert left.place != right.place
    assert as_sum(trace, left.place, open_places) == {
        (a.place,): 1.0,
        (b.place,): 1.0,
        (c.place,): -1.0,
    }
    assert as_sum(trace, right.place, open_places) == as_sum(
        trace, left.place, open_places
    )


def test_what_cancels_stays_with_the_factor_0() -> None:
    """`x - x` is 0 times x, for x may be infinite."""
    trace = Trace()
    a, b = symbols(trace, "ab")
    total = (a + b) - a

    found = as_sum(trace, total.place, every(trace))
    assert found == {(a.place,): 0.0, (b.place,): 1.0}


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda a, b: -a, {(0,): -1.0}),
        (lambda a, b: -(a * b), {(0, 1): -1.0}),
        (lambda a, b: a * b, {(0, 1): 1.0}),
        (lambda a, b: 3 * (a * b), {(0, 1): 3.0}),
        (lambda a, b: 3 * (0.1 * a), {(0,): 3 * 0.1}),
        (lambda a, b: 2.0 - 3 * (a + 1.0), {(): -1.0, (0,): -3.0}),
        (lambda a, b: True * a, {(0,): 1.0}),
        (lambda a, b: a, {(0,): 1.0}),
        (lambda a, b: a * a, {(0, 0): 1.0}),
        (lambda a, b: a.exp(), {(2,): 1.0}),
    ],
)
def test_what_a_sum_is_made_of(make: Callable[..., Any], expected: Any) -> None:
    """Signs, constants and products are seen, and other operations are factors."""
    trace = Trace()
    a, b = symbols(trace, "ab")
    total = make(a, b)

    assert as_sum(trace, total.place, every(trace)) == expected


def test_a_constant_is_a_sum_without_factors() -> None:
    """A known number is a sum of nothing but itself."""
    trace = Trace()

    assert as_sum(trace, trace.constant(2.5), set()) == {(): 2.5}


def test_a_sum_of_a_thousand_is_no_recursion() -> None:
    """A chain of any length is seen through."""
    trace = Trace()
    (a,) = symbols(trace, "a")
    total = a
    for _ in range(5000):
        total = total + a

    assert as_sum(trace, total.place, every(trace)) == {(a.place,): 5001.0}


# --- rows


def bank() -> tuple[Bank, list[int]]:
    trace = Trace()
    places = [s.place for s in symbols(trace, "abcxy")]
    two = trace.constant(2.0)
    found = Bank(trace)
    found.settle("p", places[:3], False)
    found.settle("x", places[3:], True)
    return found, [*places, two]


def test_rows_that_follow_each_other_are_a_slice() -> None:
    """A run of rows is a slice, and all rows are the array itself."""
    found, (a, b, c, x, y, _) = bank()

    assert found.rows([a, b, c]) == "p"
    assert found.rows([b, c]) == "p[1:3]"
    assert found.rows([x]) == "x[0:1]"
    assert found.rows([x, y]) == "x"
    assert found.scope == {}


def test_rows_in_another_order_are_picked() -> None:
    """Rows in any order are picked by a list."""
    found, (a, _, c, *_) = bank()

    assert found.rows([c, a]) == "p[c0]"
    assert found.scope == {"c0": [2, 0]}


def test_one_row_serves_for_many_unless_all_are_wanted() -> None:
    """The same number again and again is one row, unless it may not be."""
    found, (a, *_) = bank()

    assert found.rows([a, a]) == "p[0:1]"
    assert found.rows([a, a], exact=True) == "p[c0]"
    assert found.scope == {"c0": [0, 0]}


def test_rows_of_several_arrays_are_put_together() -> None:
    found, (a, _, _, x, _, two) = bank()
    text = found.rows([x, a, two])

    assert text == (
        "concat([x[0:1], broadcast_to(p[0:1], (1, n)), broadcast_to(c0, (1, n))])"
    )
    assert found.scope == {"c0": [[2.0]]}


def test_rows_of_several_arrays_in_any_order() -> None:
    """Of each array only the rows that are wanted are stacked, and then ordered."""
    found, (a, b, c, x, y, _) = bank()
    text = found.rows([y, c, x, b, y])

    assert text == "concat([x, broadcast_to(p[1:3], (2, n))])[c0]"
    assert found.scope == {"c0": [1, 3, 0, 2, 1]}
    assert found.rows([y, x, a, c]) == "concat([x, broadcast_to(p[c1], (2, n))])[c2]"
    assert (found.scope["c1"], found.scope["c2"]) == ([0, 2], [1, 0, 2, 3])


def test_shared_rows_among_shared_rows_stay_narrow() -> None:
    """Arrays with one column are stacked as they are."""
    found, (a, b, _, _, _, two) = bank()
    found.settle("v0", [100], is_batch=False)

    assert found.rows([a, b, 100]) == "concat([p[0:2], v0])"
    assert found.rows([two, 100, two]) == "concat([c0, v0])[c1]"
    assert found.scope == {"c0": [[2.0]], "c1": [0, 1, 0]}


def test_constants_are_settled_once() -> None:
    """Constants among other numbers get an array, and keep it."""
    trace = Trace()
    (a,) = symbols(trace, "a")
    two, three = trace.constant(2.0), trace.constant(3.0)
    found = Bank(trace)
    found.settle("p", [a.place], False)

    assert found.rows([two, a.place, three, two]) == "concat([c0, p])[c1]"
    assert found.rows([three, two]) == "c0[c2]"
    assert found.rows([a.place, three]) == "concat([p, c0[1:2]])"
    assert found.scope == {"c0": [[2.0], [3.0]], "c1": [0, 2, 1, 0], "c2": [1, 0]}


@pytest.mark.parametrize(
    ("number", "text"),
    [(2.5, "2.5"), (-2.5, "-2.5"), (-math.inf, "-inf"), (math.nan, "nan")],
)
def test_a_constant_alone_is_written_down(number: float, text: str) -> None:
    """A constant needs no array, if it is the only number."""
    trace = Trace()
    place = trace.constant(number)

    assert Bank(trace).rows([place]) == text


def test_a_number_may_join_another() -> None:
    """A number that equals another one needs no row."""
    found, (a, b, *_) = bank()
    found.join(100, b)

    assert found.home(100) == ("p", 1)
    assert found.rows([a, 100]) == "p[0:2]"


@pytest.mark.parametrize(
    ("rows", "width", "text", "scope"),
    [
        ([0, 1, 2, 3, 4, 5], 3, "p[0:6].reshape(2, 3)", {}),
        ([0, 3, 1, 4, 2, 5], 2, "p[0:6].reshape(2, 3).T", {}),
        ([1, 4, 2, 5, 3, 6], 2, "p[1:7].reshape(2, 3).T", {}),
        ([0, 3, 1, 4, 2, 6], 2, "p[c0].reshape(3, 2)", {"c0": [0, 3, 1, 4, 2, 6]}),
        ([4], 1, "p[4:5].reshape(1, 1)", {}),
        ([1, 2, 3], 1, "p[1:4].reshape(3, 1)", {}),
        ([1, 2, 3], 3, "p[1:4].reshape(3, 1).T", {}),
        ([1, 1, 1, 1], 2, "p[c0].reshape(2, 2)", {"c0": [1, 1, 1, 1]}),
        (
            [0, 7, 1, 8],
            2,
            "concat([p[0:2], q])[c0].reshape(2, 2)",
            {"c0": [0, 2, 1, 3]},
        ),
    ],
)
def test_a_matrix_of_weights(
    rows: list[int], width: int, text: str, scope: Any
) -> None:
    """A matrix is reshaped where it can be, turned where it lies turned, or picked."""
    found = Bank(Trace())
    found.settle("p", range(7), False)
    found.settle("q", [7, 8], False)

    assert found.matrix(rows, width) == text
    assert found.scope == scope


def test_constants_alone_need_no_array() -> None:
    """A constant is written down."""
    found, (*_, two) = bank()

    assert found.rows([two, two]) == "2.0"


# --- whole programs


def mean_of(f: Callable[..., Any], shared: Any, *batch: Any) -> list[float]:
    """Return the mean over the examples, one by one."""
    plain = [np.asarray(b).tolist() for b in batch]
    found = [flatten(f(shared, *example))[0] for example in zip(*plain, strict=True)]
    return [math.fsum(column) / len(found) for column in zip(*found, strict=True)]


def numbers(tree: Any) -> list[float]:
    return [float(v) for leaf in flatten(tree)[0] for v in np.ravel(leaf)]


def squared_error(w: Any, x: Any, y: Any) -> Any:
    hidden = [sum(a * b for a, b in zip(row, x, strict=True)).tanh() for row in w[0]]
    found = sum(a * b for a, b in zip(w[1], hidden, strict=True)) + w[2]
    return (found - y) ** 2


RNG = np.random.default_rng(0)
W = (RNG.normal(size=(3, 2)), RNG.normal(size=3), 0.5)
W_PLAIN = (W[0].tolist(), W[1].tolist(), 0.5)
X, Y = RNG.normal(size=(7, 2)), RNG.normal(size=7)


def test_the_mean_of_a_loss_and_its_gradient() -> None:
    """The program finds what the engine finds for one example after the other."""
    both = value_and_grad(squared_error)
    found = batch_mean(both, (None, 0, 0))(W, X, Y)

    expected = mean_of(both, W_PLAIN, X, Y)
    assert numbers(found) == pytest.approx(expected, rel=1e-12)


def test_arrays_come_back_as_arrays_in_the_same_containers() -> None:
    """A gradient has the containers and the shapes of its argument."""
    _, slopes = batch_mean(value_and_grad(squared_error), (None, 0, 0))(W, X, Y)

    assert type(slopes) is tuple
    assert [np.shape(part) for part in slopes] == [(3, 2), (3,), ()]


def test_a_number_comes_back_as_a_number() -> None:
    """Not as an array without axes, which would be no key of a dict."""
    found = batch_mean(lambda x: x, (0,))(np.array([1.0, 3.0]))

    assert (type(found), found) == (np.float64, 2.0)


def test_the_numbers_are_inputs_in_order() -> None:
    """So a message that shows one tells where it comes from."""
    seen = []

    def f(w: Any, x: Any) -> Any:
        seen.extend([repr(w), repr(x)])
        return w * x

    batch_mean(f, (None, 0))(2.0, np.ones(3))

    assert seen == ["Symbol(0: ('input', 0))", "Symbol(1: ('input', 1))"]


class Strict(np.ndarray):  # type: ignore[misc, name-defined, unused-ignore]
    """An array with the reshape of the standard: -1 alone is an open size."""

    def reshape(self, *shape: Any) -> Any:
        assert all(size >= -1 for size in np.ravel(shape)), shape
        return super().reshape(*shape)

    def __array_namespace__(self, **_: Any) -> Any:
        return StrictNumPy()


class StrictNumPy:
    """NumPy with strict arrays."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = getattr(np, name)
        return lambda *args: np.asarray(function(*args)).view(Strict)


def test_what_is_open_in_a_shape_is_minus_one() -> None:
    """NumPy would take any negative number; the standard takes one."""
    x = np.ones((4, 3, 2)).view(Strict)
    w = np.full((3, 2), 0.5).view(Strict)
    found = batch_mean(lambda w, x: w[2][1] * x[2][1] + w[0][0], (None, 0))(w, x)

    assert found == 1.0


def test_layers_are_matrix_products() -> None:
    """Two layers are two products forward, and one for each matrix of slopes."""
    source = batch_mean(grad(squared_error), (None, 0, 0)).source(W, X, Y)

    assert source.startswith("def batch(p, x):\n    n = x.shape[1]\n")
    assert "p[0:6].reshape(3, 2)" in source
    assert source.count("@") == 4


def test_a_transposed_matrix_is_no_list_of_rows() -> None:
    """Going backward, a matrix is turned, and nothing is picked."""

    def two_layers(w: Any, x: Any) -> Any:
        for rows in w:
            x = [sum(a * b for a, b in zip(row, x, strict=True)).tanh() for row in rows]
        return sum(x)

    w = (RNG.normal(size=(3, 3)), RNG.normal(size=(3, 3)))
    source = batch_mean(grad(two_layers), (None, 0)).source(w, RNG.normal(size=(4, 3)))

    assert "p[9:18].reshape(3, 3).T" in source


def test_one_program_serves_any_number_of_examples() -> None:
    """The function is called once, however many examples there are."""
    calls = []

    def f(w: Any, x: Any) -> Any:
        calls.append(1)
        return w * x * x

    mean = batch_mean(f, (None, 0))
    for size in (1, 2, 50):
        x = np.arange(1.0, size + 1)
        assert mean(3.0, x) == pytest.approx(3 * (x**2).mean(), rel=1e-14)
    assert len(calls) == 1


def test_another_shape_is_another_program() -> None:
    """Arrays of another shape have a program of their own."""
    mean = batch_mean(lambda x: sum(x), (0,))

    assert mean(np.ones((4, 2))) == 2.0
    assert mean(np.ones((4, 3))) == 3.0


class Pair(NamedTuple):
    left: Any
    right: Any


def test_containers_of_every_kind() -> None:
    """Dicts, named tuples and lists go in and come out."""

    def f(w: Any, x: Any) -> Any:
        return {"sum": w["a"] + x, "pair": Pair(w["b"][0] * x, [x])}

    found = batch_mean(f, (None, 0))(
        {"a": 1.0, "b": np.array([2.0])}, np.array([1.0, 3.0])
    )

    assert found == {"sum": 3.0, "pair": Pair(4.0, [2.0])}


def test_results_without_a_batch_are_themselves() -> None:
    """What is the same for all examples is its own mean."""

    def f(w: Any, x: Any) -> Any:
        return [w, w * w, 7.0, x, w + x, w * x, -w, w.exp() * x, w - 2.0]

    found = batch_mean(f, (None, 0))(3.0, np.array([1.0, 2.0]))

    expected = [3.0, 9.0, 7.0, 1.5, 4.5, 4.5, -3.0, 1.5 * math.exp(3.0), 1.0]
    assert numbers(found) == pytest.approx(expected, rel=1e-15)


def test_the_same_result_twice_and_parts_in_common() -> None:
    """Results may be equal, and have parts in common."""

    def f(x: Any, y: Any) -> Any:
        return [x * y, x * y, 2 * (x * y), x * y + x, x * x, x * y + x * y, x + x]

    x, y = np.array([1.0, 2.0]), np.array([3.0, 5.0])
    found = batch_mean(f, (0, 0))(x, y)

    assert numbers(found) == [6.5, 6.5, 13.0, 8.0, 2.5, 13.0, 3.0]


def test_one_weight_in_two_places_of_a_matrix() -> None:
    """A matrix may hold one weight twice."""
    found = batch_mean(lambda w, x: w * x[0] + w * x[1].sin(), (None, 0))
    x = np.array([[1.0, 2.0], [3.0, 5.0]])

    expected = 0.7 * (x[:, 0] + np.sin(x[:, 1])).mean()
    assert found(0.7, x) == pytest.approx(expected, rel=1e-14)


def test_choices_and_powers() -> None:
    """Conditions, choices, kinks and powers work member by member."""

    def f(w: Any, x: Any) -> Any:
        choice = where((x > 0) & (x < 2), abs(x) ** 2.5, w * x)
        return choice + x.relu() + x.maximum(w) + abs(x) ** 0.5 + x.sign()

    x = np.array([-1.0, 0.5, 1.5, 3.0])
    found = batch_mean(f, (None, 0))(0.7, x)

    kept = np.where((x > 0) & (x < 2), np.abs(x) ** 2.5, 0.7 * x)
    rest = np.maximum(x, 0) + np.maximum(x, 0.7) + np.abs(x) ** 0.5 + np.sign(x)
    assert found == pytest.approx((kept + rest).mean(), rel=1e-14)


def lines_of(f: Callable[..., Any], shared: str, batch: str) -> list[str]:
    """Return the lines of a program, without the first two, and its constants."""
    trace = Trace()
    w, x = symbols(trace, shared), symbols(trace, batch)
    found = f(*w, *x)
    outputs = [v.place for v in (found if isinstance(found, list) else [found])]
    places = ([v.place for v in w], [v.place for v in x])
    source, scope = packed(trace, outputs, places)
    head, first, *lines = (line.strip() for line in source.splitlines())
    assert (head, first) == ("def batch(p, x):", "n = x.shape[1]")
    return [*lines, *(f"{name}: {value}" for name, value in scope.items())]


@pytest.mark.parametrize(
    ("f", "shared", "batch", "lines"),
    [
        (lambda x: x, "", "x", ["s0 = x.sum(1)", "s = s0 / n", "r = s", "return r"]),
        (lambda w, x: w, "w", "x", ["r = p[:, 0]", "return r"]),
        (lambda x: -x, "", "x", ["s0 = x.sum(1)", "s = s0 / n", "r = -s", "return r"]),
        (
            lambda w, x: w * x,
            "w",
            "x",
            ["s0 = x.sum(1) * p[:, 0]", "s = s0 / n", "r = s", "return r"],
        ),
        (
            lambda w, v, x: w * v,
            "wv",
            "x",
            ["r = (p[0:1] * p[1:2])[:, 0]", "return r"],
        ),
        (
            lambda x, y: 3 * (x * y),
            "",
            "xy",
            ["s0 = (x[0:1] * x[1:2]).sum(1)", "s = s0 / n", "r = 3.0 * s", "return r"],
        ),
        (
            lambda w, x, y: [w, x * y, w - y],
            "w",
            "xy",
            [
                "s0 = x[1:2].sum(1)",
                "s1 = (x[0:1] * x[1:2]).sum(1)",
                "s = concat([s0, s1]) / n",
                "r = c2 * concat([s, p[c0][:, 0], c1])",
                "return r[c3] + r[c4]",
                "c0: [0, 0]",
                "c1: [0.0]",
                "c2: [-1.0, 1.0, 1.0, 1.0, 1.0]",
                "c3: [2, 1, 0]",
                "c4: [4, 4, 3]",
            ],
        ),
        (
            lambda w, v, x, y: [(w * x + v * y).exp(), (v * x + w * y).exp()],
            "wv",
            "xy",
            [
                "v0 = (p[c0].reshape(2, 2)) @ x",
                "v1 = exp(v0)",
                "s0 = v1.sum(1)",
                "s = s0 / n",
                "r = s",
                "return r",
                "c0: [0, 1, 1, 0]",
            ],
        ),
        (
            lambda w, v, x, y: [(w * x + 2 * y - 1).exp(), (v * x - y).exp()],
            "wv",
            "xy",
            [
                "v0 = (p[0:1].reshape(1, 1)) @ x[0:1] - 1.0 + 2.0 * x[1:2]",
                "v1 = (p[1:2].reshape(1, 1)) @ x[0:1] - x[1:2]",
                "v2 = exp(concat([v0, v1]))",
            ],
        ),
        (
            lambda w, v, x, y: [(5 - w * x).exp(), (5 - 2 * (v * x)).exp()],
            "wv",
            "xy",
            [
                "v0 = (c0 * p.reshape(2, 1)) @ x[0:1] + 5.0",
                "v1 = exp(v0)",
                "s0 = v1.sum(1)",
                "s = s0 / n",
                "r = s",
                "return r",
                "c0: [[-1.0], [-2.0]]",
            ],
        ),
        (
            lambda w, v, x, y: [(x * y + w * v).sin(), (x * x + w * w).sin()],
            "wv",
            "xy",
            [
                "v0 = p[0:1] * p[c0] + x[0:1] * x[c1]",
                "v1 = sin(v0)",
                "s0 = v1.sum(1)",
                "s = s0 / n",
                "r = s",
                "return r",
                "c0: [1, 0]",
                "c1: [1, 0]",
            ],
        ),
        (
            lambda a, b, c, d: [a * c, a * d, b * c, 3 * (b * d)],
            "",
            "abcd",
            [
                "s0 = (x[0:2] @ x[2:4].T).reshape(-1)",
                "s = s0 / n",
                "r = c0 * s",
                "return r",
                "c0: [1.0, 1.0, 1.0, 3.0]",
            ],
        ),
        (
            lambda a, b, c: [a * c, b * c, a * c + a, a * c],
            "",
            "abc",
            [
                "v0 = x[0:1] * x[2:3]",
            ],
        ),
        (
            lambda x, y: (x * y - x * x - 1).relu(),
            "",
            "xy",
            [
                "v0 = -1.0 + (c0 * x[0:1] * x).reshape(1, 2, -1).sum(1)",
                "v1 = maximum(v0, 0.0)",
                "s0 = v1.sum(1)",
                "s = s0 / n",
                "r = s",
                "return r",
                "c0: [[-1.0], [1.0]]",
            ],
        ),
        (
            lambda x, y: [(x**-1.5).sin(), ((-2.0) ** y).sin()],
            "",
            "xy",
            [
                "v0 = concat([x[0:1], broadcast_to(c0, (1, n))])"
                " ** concat([broadcast_to(c1, (1, n)), x[1:2]])",
            ],
        ),
        (
            lambda x: ((-2.0) ** x / -4.0).sin(),
            "",
            "x",
            ["v0 = (-2.0) ** x", "v1 = v0 / -4.0", "v2 = sin(v1)"],
        ),
        (
            lambda x, y: where((x > 0) & (y > 0), x, 0.5),
            "",
            "xy",
            [
                "v0 = x > 0.0",
                "v1 = v0[0:1] * v0[1:2]",
                "v2 = where(v1, x[0:1], 0.5)",
            ],
        ),
        (
            lambda w, x, y: [x.maximum(0.5).exp(), y.maximum(w).exp()],
            "w",
            "xy",
            ["v0 = maximum(x, concat([c0, p]))", "v1 = exp(v0)"],
        ),
        (
            lambda w, v, x, y: (w * x + v * x + x * y).sin(),
            "wv",
            "xy",
            [
                "v0 = (x[0:1] * p).reshape(1, 2, -1).sum(1) + x[0:1] * x[1:2]",
                "v1 = sin(v0)",
            ],
        ),
        (
            lambda w, v, x, y: (w * x + v * x + w * v).sin(),
            "wv",
            "xy",
            [
                "v0 = p[0:1] * p[1:2] + (x[0:1] * p).reshape(1, 2, -1).sum(1)",
                "v1 = sin(v0)",
            ],
        ),
        (
            lambda x, y: (x > y).where(x, 2.0) * (x < y),
            "",
            "xy",
            [
                "v0 = x[0:1] > x[1:2]",
                "v1 = 1.0 * (x[0:1] < x[1:2])",
                "v2 = where(v0, x[0:1], 2.0)",
                "s0 = (v2 * v1).sum(1)",
                "s = s0 / n",
                "r = s",
                "return r",
            ],
        ),
    ],
)
def test_the_lines_of_a_program(
    f: Callable[..., Any], shared: str, batch: str, lines: list[str]
) -> None:
    """Small programs, to the letter."""
    found = lines_of(f, shared, batch)

    assert found[: len(lines)] == lines


def mean_of_batch(f: Callable[..., Any], *batch: Any) -> Any:
    """Return the mean of a function all whose arguments are a batch."""
    arrays = [np.asarray(b, dtype=float) for b in batch]
    return batch_mean(f, (0,) * len(batch))(*arrays)


def test_the_same_sum_twice_is_one_row() -> None:
    """Sums that are the same in other brackets are computed once, each result right."""

    def f(x: Any, y: Any) -> Any:
        sums = [(x + y) + 1.0, x + (y + 1.0), x + y + 1.0 + x]
        return [s.exp() for s in sums]

    x, y = [0.0, 1.0], [0.5, -1.0]
    found = mean_of_batch(f, x, y)
    source = batch_mean(f, (0, 0)).source(np.array(x), np.array(y))

    once, twice = [math.exp(1.5), math.exp(1.0)], [math.exp(1.5), math.exp(2.0)]
    expected = [sum(once) / 2, sum(once) / 2, sum(twice) / 2]
    assert found == pytest.approx(expected, rel=1e-15)
    assert "(1, 2, -1)" in source


def test_conditions_are_numbers_where_they_are_multiplied() -> None:
    """True counts as 1, in sums, in differences and in products of conditions."""

    def f(x: Any, y: Any) -> Any:
        above, below = x > 0, y < 1
        return [
            above * below,
            above + below,
            2.0 - above,
            -(above * x),
            where(above & below, x, y),
            above == below,
            above,
        ]

    x, y = np.array([-1.0, 0.5, 1.5, 3.0]), np.array([0.5, 0.25, 2.0, 0.0])
    a, b = x > 0, y < 1
    found = batch_mean(f, (0, 0))(x, y)

    assert found == pytest.approx(
        [
            (a & b).mean(),
            (a * 1.0 + b).mean(),
            (2.0 - a).mean(),
            -(a * x).mean(),
            np.where(a & b, x, y).mean(),
            (a == b).mean(),
            a.mean(),
        ],
        rel=1e-15,
    )


@pytest.mark.parametrize("compare", ["lt", "le", "gt", "ge", "eq", "ne", "and_"])
def test_every_condition_may_be_multiplied(compare: str) -> None:
    """A condition with a sign, and a sum of conditions, are numbers."""
    way = getattr(operator, compare)

    def f(x: Any, y: Any) -> Any:
        found = way(x, y) if compare != "and_" else way(x > 1, y > 1)
        return [(-(found * x)).exp(), (found + found) * 2.5, (-found).exp()]

    x, y = np.array([1.0, 2.0, 3.0, 2.0]), np.array([1.0, 3.0, 2.0, 2.0])
    found = batch_mean(f, (0, 0))(x, y)

    yes = (way(x, y) if compare != "and_" else way(x > 1, y > 1)).astype(float)
    expected = [np.exp(-yes * x), 5 * yes, np.exp(-yes)]
    assert found == pytest.approx([e.mean() for e in expected], rel=1e-15)


def test_the_gradient_of_a_product_with_a_condition() -> None:
    """The slope of `c * x` is the condition, and may have a sign before it."""

    def f(w: Any, x: Any) -> Any:
        return (1 - w * (x > 0)) ** 2

    x = np.array([1.0, -1.0, 2.0, 3.0])
    value, slope = batch_mean(value_and_grad(f), (None, 0))(0.25, x)

    assert value == pytest.approx((3 * 0.75**2 + 1) / 4, rel=1e-15)
    assert slope == pytest.approx(-2 * 0.75 * 3 / 4, rel=1e-15)


def test_conditions_on_the_batch_and_on_what_is_shared() -> None:
    """A condition that is shared and one that is not may meet."""

    def f(w: Any, x: Any) -> Any:
        return [
            where((w > 0) & (x > 0), w, x),
            where((x < 2) & (x > w), 1.0, 0.0),
            where(w > 0, w, x),
        ]

    x = np.array([-1.0, 0.5, 3.0])
    found = batch_mean(f, (None, 0))(0.25, x)

    assert found == pytest.approx([(-1 + 0.25 + 0.25) / 3, 1 / 3, 0.25], rel=1e-15)


def test_powers_of_every_kind() -> None:
    """Exponents may be fractions, negative, shared, or from the batch."""

    def f(w: Any, x: Any) -> Any:
        return [x**0.5, x**-1, x**3, x**-2.5, w**x, 2**x, x**w, 0.5**x * x**1.5]

    x, w = np.array([0.5, 1.5, 4.0]), 1.25
    found = batch_mean(f, (None, 0))(w, x)

    expected = [x**0.5, 1 / x, x**3, x**-2.5, w**x, 2**x, x**w, 0.5**x * x**1.5]
    assert found == pytest.approx([e.mean() for e in expected], rel=1e-14)


def test_products_of_two_numbers_of_the_batch_in_pairs() -> None:
    """A sum of squares is no product of matrices, and right."""

    def f(x: Any, y: Any) -> Any:
        return sum((a - b) ** 2 for a, b in zip(x, y, strict=True))

    x, y = RNG.normal(size=(5, 6)), RNG.normal(size=(5, 6))
    mean = batch_mean(f, (0, 0))

    assert mean(x, y) == pytest.approx(((x - y) ** 2).sum(1).mean(), rel=1e-14)
    assert mean.source(x, y).count("@") == 0


def test_all_products_of_some_with_others_are_one_matrix() -> None:
    """Products of each with each are a product of matrices, with others beside it."""

    def f(x: Any, y: Any) -> Any:
        table = [a * b for a in x for b in y]
        return [*table, 2 * (x[1] * y[2].sin()) + x[0] * x[0]]

    x, y = RNG.normal(size=(5, 2)), RNG.normal(size=(5, 3))
    mean = batch_mean(f, (0, 0))
    found = mean(x, y)

    table = x.T @ y / 5
    last = (2 * x[:, 1] * np.sin(y[:, 2]) + x[:, 0] ** 2).mean()
    assert found == pytest.approx([*table.ravel(), last], rel=1e-14)


def test_an_infinite_number_is_not_lost() -> None:
    """What cancels still shows that it was infinite."""
    with np.errstate(invalid="ignore"):
        found = mean_of_batch(lambda x: [x - x, x + 1.0], [1.0, math.inf])

    assert math.isnan(found[0])
    assert found[1] == math.inf


def test_constants_that_are_no_finite_numbers() -> None:
    """An infinity and a NaN are spelled in the source."""

    def f(x: Any) -> Any:
        ratio = x.maximum(-math.inf) / math.inf
        return [x.minimum(math.inf), x * math.nan, ratio]

    found = mean_of_batch(f, [1.0, 3.0])

    assert found[0] == 2.0
    assert math.isnan(found[1])
    assert found[2] == 0.0


@pytest.mark.parametrize(
    "constant",
    [True, 2**70, Fraction(1, 4), Decimal("0.25"), np.float32(0.25), np.array(0.25)],
    ids=lambda constant: type(constant).__name__,
)
def test_constants_of_other_types(constant: Any) -> None:
    """A constant may be any real number; it becomes a float."""
    found = mean_of_batch(lambda x: [x * constant, constant - x], [1.0, 3.0])

    assert found == [2 * float(constant), float(constant) - 2.0]


def test_a_result_that_is_a_constant_of_another_type() -> None:
    """A result that is known is a float, too."""
    found = mean_of_batch(lambda x: [True, np.float32(0.5), x], [1.0, 3.0])

    assert found == [1.0, 0.5, 2.0]


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_any_number_of_examples(size: int) -> None:
    """A batch may have one example, or many."""
    x, y = RNG.normal(size=(size, 2)), RNG.normal(size=size)
    both = value_and_grad(squared_error)
    found = batch_mean(both, (None, 0, 0))(W, x, y)

    assert numbers(found) == pytest.approx(mean_of(both, W_PLAIN, x, y), rel=1e-11)


def test_the_function_is_called_once_for_each_kind_of_arguments() -> None:
    """Another number of examples, another dtype, and `source` trace nothing anew."""
    calls = []

    def f(w: Any, x: Any) -> Any:
        calls.append(flatten(w)[1])
        return sum(x) * flatten(w)[0][0]

    mean = batch_mean(f, (None, 0))
    for size in (1, 3, 1000):
        mean([2.0], np.ones((size, 2)))
    mean([2], np.ones((4, 2), dtype=int))
    mean.source([1.0], np.ones((4, 2)))
    assert len(calls) == 1
    mean((2.0,), np.ones((4, 2)))
    mean([2.0], np.ones((4, 1)))
    mean([np.array([2.0])], np.ones((4, 2)))
    assert len(calls) == 4


def test_rows_are_nested_tuples() -> None:
    """An array is to the function a nested tuple; a number stays a number."""
    seen = []

    def f(w: Any, x: Any, y: Any) -> Any:
        seen.append((w, x, y))
        return x[0][0]

    batch_mean(f, (None, 0, 0))(np.ones((2, 3)), np.ones((4, 3, 2)), np.ones(4))

    ((w, x, y),) = seen
    assert [type(v) for v in (w, w[0], x, x[0])] == [Rows] * 4
    assert [len(v) for v in (w, w[0], x, x[0])] == [2, 3, 3, 2]
    assert [type(v) for v in (w[0][0], x[0][0], y)] == [Symbol] * 3
    assert isinstance(w, tuple)


def test_an_argument_comes_back_as_it_was() -> None:
    """Arrays of every shape are arrays again, and a list of numbers is a list."""
    w = {
        "matrix": RNG.normal(size=(2, 3)),
        "cube": RNG.normal(size=(2, 1, 2)),
        "none": np.zeros(0),
        "list": [1.5, -2.0],
        "pair": Pair(np.array(3.0), 4.0),
    }
    found = batch_mean(lambda w, x: [w, x], (None, 0))(w, np.array([[1.0], [3.0]]))

    back, x = found
    assert list(back) == list(w)
    assert [type(v) for v in back.values()] == [type(v) for v in w.values()]
    for name in ("matrix", "cube", "none"):
        assert np.array_equal(back[name], w[name])
        assert back[name].shape == w[name].shape
    assert back["list"] == [1.5, -2.0]
    assert back["pair"] == (3.0, 4.0)
    assert np.array_equal(x, [2.0])


@pytest.mark.parametrize("kind", [int, np.int8, np.float32, bool, float])
def test_the_result_is_of_the_default_type(kind: Any) -> None:
    """Whole numbers, truth values and short floats are computed as long floats."""
    x, w = np.array([[1, 0], [1, 1]]).astype(kind), np.array([100, 100]).astype(kind)

    def f(w: Any, x: Any) -> Any:
        return sum(a * b for a, b in zip(w, x, strict=True)) ** 2 / 3

    value, slope = batch_mean(value_and_grad(f), (None, 0))(w, x)

    one = float(w[0])
    assert value == pytest.approx((one**2 + (2 * one) ** 2) / 6, rel=1e-15)
    assert slope == pytest.approx([one, 2 * one / 3], rel=1e-15)
    assert value.dtype == slope.dtype == np.float64


def test_shared_numbers_may_be_none_at_all() -> None:
    """A function of the batch alone, and one with an empty argument."""
    assert batch_mean(lambda x: x * x, (0,))(np.array([1.0, 3.0])) == 5.0
    assert batch_mean(lambda w, x: x, (None, 0))([], np.array([1.0, 3.0])) == 2.0


def test_second_derivatives() -> None:
    """The Hessian of a mean is the mean of the Hessians."""
    x = RNG.normal(size=(6, 2))
    found = batch_mean(
        hessian(lambda w, x: (w[0] * x[0] + w[1] * x[1]) ** 2), (None, 0)
    )
    table = found(np.array([0.5, 2.0]), x)

    assert np.asarray(table).tolist() == pytest.approx(2 * x.T @ x / 6, rel=1e-14)


# --- any program


ONE: list[Any] = [
    lambda a: a.tanh(),
    lambda a: (a - 0.0371).relu(),
    lambda a: a.sin(),
    lambda a: -a,
    lambda a: a.sigmoid(),
    lambda a: 0.5 * a,
    lambda a: a - 1.0,
    lambda a: 2.0 - a * a,
    lambda a: (a * a + 0.5) ** 1.5,
    lambda a: 1.5 ** a.tanh(),
]
TWO: list[Any] = [
    operator.add,
    operator.sub,
    operator.mul,
    lambda a, b: a.maximum(b + 0.0371),
    lambda a, b: a / (2 + b * b),
    lambda a, b: (a > b + 0.0371) * b,
    lambda a, b: where((a > 0.0371) & (b < 1.0371), a, 3 * b),
    lambda a, b: 3 * a - 0.1 * b + 1.0,
]


def layer(rng: random.Random, size: int) -> tuple[Callable[..., Any], int]:
    """Return a step that adds sums of products with the same numbers."""
    inputs = rng.choices(range(size), k=rng.randrange(1, 4))
    start, width = rng.randrange(size), len(inputs)
    count, is_kinked = rng.randrange(1, 4), rng.random() < 0.5

    def step(found: list[Any]) -> list[Any]:
        sums = [
            sum(found[(start + j * width + k) % size] * found[i] for k, i in picks)
            for j in range(count)
        ]
        return [(s - 0.0371).relu() if is_kinked else s.tanh() for s in sums]

    picks = list(enumerate(inputs))
    return step, count


def operation(rng: random.Random, size: int) -> tuple[Callable[..., Any], int]:
    """Return a step that adds one operation, or one sum in two associations."""
    i, j, k = (rng.randrange(size) for _ in range(3))
    one, two, kind = rng.choice(ONE), rng.choice(TWO), rng.random()

    def step(found: list[Any]) -> list[Any]:
        a, b, c = found[i], found[j], found[k]
        if kind < 0.1:
            return [(a + b) - c, a + (b - c)]
        return [one(a)] if kind < 0.4 else [two(a, b)]

    return step, 2 if kind < 0.1 else 1


def some_function(rng: random.Random) -> Callable[..., Any]:
    """Return a function of two shared and two batch numbers."""
    steps: list[Any] = []
    size = 4
    for _ in range(rng.randrange(3, 14)):
        make = layer if rng.random() < 0.25 else operation
        step, count = make(rng, size)
        steps.append(step)
        size += count
    kept = rng.randrange(1, 4)

    def f(w: Any, x: Any) -> Any:
        found = [*w, *x]
        for step in steps:
            found += step(found)
        return sum(found[-kept:])

    return f


def test_any_function_has_its_mean(is_long: bool) -> None:
    """Value and gradient of random programs, against one by one.

    No kink is where the numbers are, for there the last digit decides.
    """
    rng = random.Random(1)
    x, w = X[:3], W_PLAIN[1][:2]
    for _ in range(5000 if is_long else 300):
        both = value_and_grad(some_function(rng), (0, 1))
        found = batch_mean(both, (None, 0))(np.array(w), x)
        expected = mean_of(both, w, x)

        size = 1 + max(map(abs, expected))
        assert numbers(found) == pytest.approx(expected, rel=1e-9, abs=1e-12 * size)


# --- what is refused


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((1.0,), "in_axes is for 2 arguments, and there are 1"),
        (
            (1.0, 2.0),
            "where in_axes says 0 there should be arrays with one number of "
            "examples, which is not 0$",
        ),
        ((1.0, [np.ones(2), np.ones(3)]), "with one number of examples"),
        ((1.0, np.array(3.0)), "with one number of examples"),
        ((1.0, 3.0), "with one number of examples"),
        ((1.0, [np.ones(2), 3.0]), "with one number of examples"),
        ((1.0, np.ones(0)), "which is not 0"),
        ((1.0, 2.0, np.ones(2)), "in_axes is for 2 arguments, and there are 3"),
    ],
)
def test_other_axes_are_refused(args: Any, message: str) -> None:
    """Arguments that are not as `in_axes` says are an error that says so."""
    mean = batch_mean(lambda w, x: w, (None, 0))

    with pytest.raises(ValueError, match=f"^batch_mean: .*{message}"):
        mean(*args)


@pytest.mark.parametrize("in_axes", [(1,), (None, 2), (0, "0"), ([0],)])
def test_other_values_of_in_axes_are_refused(in_axes: Any) -> None:
    """An axis is the first, or none."""
    message = (
        r"^batch_mean: in_axes should have a 0 or a None for each argument, and is"
    )

    with pytest.raises(ValueError, match=message):
        batch_mean(lambda x: x, in_axes)


@pytest.mark.parametrize("constant", [np.ones(3), np.ones((1, 1)), 2j])
def test_a_constant_that_is_no_number_is_refused(constant: Any) -> None:
    """An array that is no argument is an error that tells the cure."""
    kind = type(constant).__name__
    message = f"^batch_mean: the function uses a constant of type {kind}, which is no "
    message += "real number; make it an argument$"

    with pytest.raises(TypeError, match=message):
        batch_mean(lambda x: x * constant, (0,))(np.ones(2))


def test_a_constant_that_nobody_needs_is_not_looked_at() -> None:
    """What is not in the result cannot be wrong."""

    def f(x: Any) -> Any:
        x * np.ones(3)
        return x

    assert batch_mean(f, (0,))(np.array([1.0, 3.0])) == 2.0


def test_a_result_without_a_number_is_refused() -> None:
    """The mean of nothing is an error."""
    with pytest.raises(ValueError, match=r"^batch_mean: the result has no number$"):
        batch_mean(lambda x: [], (0,))(np.ones(2))


def test_arrays_of_no_namespace_are_refused() -> None:
    """A batch must know the functions of its kind."""
    lonely = SimpleNamespace(shape=(2,))

    with pytest.raises(AttributeError, match="__array_namespace__"):
        batch_mean(lambda x: x, (0,))(lonely)


def test_after_an_error_the_next_call_is_traced() -> None:
    """A program that could not be built is not kept."""
    errors = [ZeroDivisionError, None]

    def f(x: Any) -> Any:
        error = errors.pop(0)
        if error:
            raise error
        return x

    mean = batch_mean(f, (0,))
    with pytest.raises(ZeroDivisionError):
        mean(np.ones(2))
    assert mean(np.array([1.0, 3.0])) == 2.0


def test_a_branch_is_refused() -> None:
    """A question about a number is an error while tracing."""
    with pytest.raises(TypeError, match="a trace has no numbers to decide by"):
        batch_mean(lambda x: x if x > 0 else -x, (0,))(np.ones(2))


def test_a_result_that_is_no_number_is_refused() -> None:
    """A result that is no number is an error that names the function."""
    with pytest.raises(TypeError, match=r"^batch_mean: result is None"):
        batch_mean(lambda x: None, (0,))(np.ones(2))


# --- other libraries, other processes


def test_the_program_may_be_handed_on() -> None:
    """Another compiler gets the program, once."""
    seen = []

    def compiler(run: Any) -> Any:
        seen.append(run)
        return run

    assert batch_mean(lambda x: x, (0,), compiler=compiler)(np.array([1.0, 3.0])) == 2.0
    assert len(seen) == 1


def test_arrays_of_jax() -> None:
    """JAX arrays go in and come out, and `jax.jit` may compile the program."""
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    jax.config.update("jax_enable_x64", True)
    w = tuple(jax.numpy.asarray(part) for part in W)
    mean = batch_mean(value_and_grad(squared_error), (None, 0, 0), compiler=jax.jit)
    found = mean(w, jax.numpy.asarray(X), jax.numpy.asarray(Y))

    expected = mean_of(value_and_grad(squared_error), W_PLAIN, X, Y)
    assert numbers(found) == pytest.approx(expected, rel=1e-11)
    assert isinstance(found[1][0], jax.Array)


def test_vmap_finds_no_matrix_product() -> None:
    """As the page says: JAX leaves single numbers alone, and we do not."""
    jax = pytest.importorskip("jax", reason="JAX is not installed")

    def loss(w: Any, x: Any, y: Any) -> Any:
        sums = [sum(a * b for a, b in zip(row, x, strict=True)) for row in w]
        return (y - sum(jax.numpy.maximum(s, 0.0) for s in sums)) ** 2

    batched = jax.vmap(jax.value_and_grad(loss), (None, 0, 0))
    program = str(jax.make_jaxpr(batched)(W[0], X, Y))
    ours = batch_mean(value_and_grad(squared_error), (None, 0, 0)).source(W, X, Y)

    assert (program.count("dot_general"), program.count(" mul ") > 12) == (0, True)
    assert ours.count("@") > 0


def test_the_source_does_not_depend_on_the_hash_seed() -> None:
    """The source is the same in every process."""
    program = "from tests.test_packing import *; print(batch_mean("
    program += "value_and_grad(squared_error), (None, 0, 0)).source(W, X, Y))"
    sources = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(sources) == 1


def test_packed_needs_no_arrays() -> None:
    """The source of a program and its constants are plain."""
    trace = Trace()
    w, x, y = symbols(trace, "wxy")
    total = w * x + y
    source, scope = packed(trace, [total.place], ([w.place], [x.place, y.place]))

    assert source.splitlines()[0] == "def batch(p, x):"
    assert all(isinstance(value, list) for value in scope.values())
