"""A function of one example, packed into arrays: the mean over a batch."""

import math
import operator
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from prosegrad import batch_mean, grad, value_and_grad, where
from prosegrad.operations import Trace
from prosegrad.packing import Bank, as_sum, packed
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
    trace = Trace()
    (a,) = symbols(trace, "a")
    total = a + a.sin() + a

    found = as_sum(trace, total.place, every(trace))
    assert found == {(a.place,): 2.0, (a.sin().place,): 1.0}


def test_what_is_used_elsewhere_stays_one_factor() -> None:
    trace = Trace()
    a, b = symbols(trace, "ab")
    product = a * b
    total = product + b

    assert as_sum(trace, total.place, set()) == {(product.place,): 1.0, (b.place,): 1.0}


def test_signs_and_factors_go_into_a_sum() -> None:
    trace = Trace()
    a, b, c = symbols(trace, "abc")
    total = c - 2 * (a - b.exp())

    assert as_sum(trace, total.place, every(trace)) == {
        (c.place,): 1.0,
        (a.place,): -2.0,
        (b.exp().place,): 2.0,
    }


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
    found, (a, b, c, x, y, _) = bank()

    assert found.rows([a, b, c]) == "p"
    assert found.rows([b, c]) == "p[1:3]"
    assert found.rows([x]) == "x[0:1]"
    assert found.rows([x, y]) == "x"
    assert found.scope == {}


def test_rows_in_another_order_are_picked() -> None:
    found, (a, _, c, *_) = bank()

    assert found.rows([c, a]) == "p[c0]"
    assert found.scope == {"c0": [2, 0]}


def test_one_row_serves_for_many_unless_all_are_wanted() -> None:
    found, (a, *_) = bank()

    assert found.rows([a, a]) == "p[0:1]"
    assert found.rows([a, a], exact=True) == "p[c0]"
    assert found.scope == {"c0": [0, 0]}


def test_rows_of_several_arrays_are_put_together() -> None:
    found, (a, _, _, x, _, two) = bank()
    text = found.rows([x, a, two])

    assert text == "concat([p + zero, x, c0 + zero])[c1]"
    assert found.scope == {"c0": [[2.0]], "c1": [3, 0, 5]}


def test_constants_alone_need_no_array() -> None:
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
    both = value_and_grad(squared_error)
    found = batch_mean(both, (None, 0, 0))(W, X, Y)

    expected = mean_of(both, W_PLAIN, X, Y)
    assert numbers(found) == pytest.approx(expected, rel=1e-12)


def test_arrays_come_back_as_arrays_in_the_same_containers() -> None:
    _, slopes = batch_mean(value_and_grad(squared_error), (None, 0, 0))(W, X, Y)

    assert type(slopes) is tuple
    assert [np.shape(part) for part in slopes] == [(3, 2), (3,), ()]


def test_layers_are_matrix_products() -> None:
    source = batch_mean(grad(squared_error), (None, 0, 0)).source(W, X, Y)

    assert source.startswith("def batch(p, x):\n    n = x.shape[1]\n")
    assert "p[0:6].reshape(3, 2)" in source
    assert source.count("@") == 4


def test_a_transposed_matrix_is_no_list_of_rows() -> None:
    def two_layers(w: Any, x: Any) -> Any:
        for rows in w:
            x = [sum(a * b for a, b in zip(row, x, strict=True)).tanh() for row in rows]
        return sum(x)

    w = (RNG.normal(size=(3, 3)), RNG.normal(size=(3, 3)))
    source = batch_mean(grad(two_layers), (None, 0)).source(w, RNG.normal(size=(4, 3)))

    assert "p[9:18].reshape(3, 3).T" in source


def test_one_program_serves_any_number_of_examples() -> None:
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
    mean = batch_mean(lambda x: sum(x), (0,))

    assert mean(np.ones((4, 2))) == 2.0
    assert mean(np.ones((4, 3))) == 3.0


class Pair(NamedTuple):
    left: Any
    right: Any


def test_containers_of_every_kind() -> None:
    def f(w: Any, x: Any) -> Any:
        return {"sum": w["a"] + x, "pair": Pair(w["b"][0] * x, [x])}

    found = batch_mean(f, (None, 0))(
        {"a": 1.0, "b": np.array([2.0])}, np.array([1.0, 3.0])
    )

    assert found == {"sum": 3.0, "pair": Pair(4.0, [2.0])}


def test_results_without_a_batch_are_themselves() -> None:
    def f(w: Any, x: Any) -> Any:
        return [w, w * w, 7.0, x, w + x, w * x, -w, w.exp() * x, w - 2.0]

    found = batch_mean(f, (None, 0))(3.0, np.array([1.0, 2.0]))

    expected = [3.0, 9.0, 7.0, 1.5, 4.5, 4.5, -3.0, 1.5 * math.exp(3.0), 1.0]
    assert numbers(found) == pytest.approx(expected, rel=1e-15)


def test_the_same_result_twice_and_parts_in_common() -> None:
    def f(x: Any, y: Any) -> Any:
        return [x * y, x * y, 2 * (x * y), x * y + x, x * x, x * y + x * y, x + x]

    x, y = np.array([1.0, 2.0]), np.array([3.0, 5.0])
    found = batch_mean(f, (0, 0))(x, y)

    assert numbers(found) == [6.5, 6.5, 13.0, 8.0, 2.5, 13.0, 3.0]


def test_one_weight_in_two_places_of_a_matrix() -> None:
    found = batch_mean(lambda w, x: w * x[0] + w * x[1].sin(), (None, 0))
    x = np.array([[1.0, 2.0], [3.0, 5.0]])

    expected = 0.7 * (x[:, 0] + np.sin(x[:, 1])).mean()
    assert found(0.7, x) == pytest.approx(expected, rel=1e-14)


def test_choices_and_powers() -> None:
    def f(w: Any, x: Any) -> Any:
        choice = where((x > 0) & (x < 2), abs(x) ** 2.5, w * x)
        return choice + x.relu() + x.maximum(w) + abs(x) ** 0.5 + x.sign()

    x = np.array([-1.0, 0.5, 1.5, 3.0])
    found = batch_mean(f, (None, 0))(0.7, x)

    kept = np.where((x > 0) & (x < 2), np.abs(x) ** 2.5, 0.7 * x)
    rest = np.maximum(x, 0) + np.maximum(x, 0.7) + np.abs(x) ** 0.5 + np.sign(x)
    assert found == pytest.approx((kept + rest).mean(), rel=1e-14)


# --- any program


FUNCTIONS = [
    lambda a: a.tanh(),
    lambda a: a.relu(),
    lambda a: a.sin(),
    lambda a: -a,
    lambda a: a.sigmoid(),
    lambda a: 0.5 * a,
    lambda a: a - 1.0,
]
OPERATORS = [operator.add, operator.sub, operator.mul, lambda a, b: a.maximum(b)]


def some_function(rng: random.Random) -> Callable[..., Any]:
    """Return a function of two shared and two batch numbers."""
    steps = []
    for size in range(4, 4 + rng.randrange(3, 14)):
        one = rng.random() < 0.3
        ways: Any = FUNCTIONS if one else OPERATORS
        picks = rng.choices(range(size), k=1 if one else 2)
        steps.append((rng.choice(ways), picks))
    kept = rng.randrange(1, 4)

    def f(w: Any, x: Any) -> Any:
        found = [*w, *x]
        for way, picks in steps:
            found.append(way(*(found[i] for i in picks)))
        return sum(found[-kept:])

    return f


def test_any_function_has_its_mean(is_long: bool) -> None:
    """Value and gradient of random programs, against one by one."""
    rng = random.Random(1)
    x = np.array([[0.3, -1.2], [1.1, 0.4], [-0.6, 0.9]])
    w = [0.7, -0.4]
    for _ in range(5000 if is_long else 300):
        both = value_and_grad(some_function(rng), (0, 1))
        found = batch_mean(both, (None, 0))(np.array(w), x)
        expected = mean_of(both, w, x)

        assert numbers(found) == pytest.approx(expected, rel=1e-9, abs=1e-12)


# --- what is refused


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((1.0,), "in_axes is for 2 arguments, and there are 1"),
        ((1.0, 2.0), "where in_axes says 0 there should be arrays"),
        ((1.0, [np.ones(2), np.ones(3)]), "with one number of examples"),
        ((1.0, np.array(3.0)), "with one number of examples"),
    ],
)
def test_other_axes_are_refused(args: Any, message: str) -> None:
    mean = batch_mean(lambda w, x: w, (None, 0))

    with pytest.raises(ValueError, match=f"^batch_mean: .*{message}"):
        mean(*args)


def test_a_branch_is_refused() -> None:
    with pytest.raises(TypeError, match="a trace has no numbers to decide by"):
        batch_mean(lambda x: x if x > 0 else -x, (0,))(np.ones(2))


def test_a_result_that_is_no_number_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^batch_mean: result is None"):
        batch_mean(lambda x: None, (0,))(np.ones(2))


# --- other libraries, other processes


def test_the_program_may_be_handed_on() -> None:
    seen = []

    def compiler(run: Any) -> Any:
        seen.append(run)
        return run

    assert batch_mean(lambda x: x, (0,), compiler=compiler)(np.array([1.0, 3.0])) == 2.0
    assert len(seen) == 1


def test_arrays_of_jax() -> None:
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    jax.config.update("jax_enable_x64", True)
    w = tuple(jax.numpy.asarray(part) for part in W)
    mean = batch_mean(value_and_grad(squared_error), (None, 0, 0), compiler=jax.jit)
    found = mean(w, jax.numpy.asarray(X), jax.numpy.asarray(Y))

    expected = mean_of(value_and_grad(squared_error), W_PLAIN, X, Y)
    assert numbers(found) == pytest.approx(expected, rel=1e-11)
    assert isinstance(found[1][0], jax.Array)


def test_the_source_does_not_depend_on_the_hash_seed() -> None:
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
