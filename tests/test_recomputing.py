"""What is forgotten and made again is what it was, and is forgotten."""

from __future__ import annotations

import gc
import math
import random
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prosegrad import grad, hessian, hvp, jvp, topological_order, vjp
from prosegrad.recomputing import recompute
from prosegrad.tensor import Tensor, concat, linear, no_grad

Layer = Callable[..., Any]


def plainly(f: Layer) -> Layer:
    return f


def leaf(*shape: int, seed: int = 0) -> Tensor:
    return Tensor(np.random.default_rng(seed).normal(size=shape))


def gradients(leaves: list[Tensor]) -> list[Any]:
    """Return the gradients, and clear them."""
    found = [v.grad for v in leaves]
    for v in leaves:
        v.zero_grad()
    return found


def equal(found: list[Any], expected: list[Any]) -> bool:
    pairs = zip(found, expected, strict=True)
    return all(type(a) is type(b) and np.array_equal(a, b) for a, b in pairs)


# --- the same gradients


@pytest.mark.parametrize("keep_graph", [True, False])
@pytest.mark.parametrize("length", [1, 2, 3, 6])
def test_layers_to_the_bit(length: int, keep_graph: bool) -> None:
    """Parameters that are no arguments have the gradients that they had."""
    weights = [leaf(5, 5, seed=i) for i in range(6)]
    biases = [leaf(5, seed=i) for i in range(6)]
    x = leaf(4, 5, seed=9)

    def layers(x: Tensor, start: int) -> Tensor:
        for i in range(start, start + length):
            x = linear(x, weights[i], biases[i]).tanh()
        return x

    def train(wrap: Callable[[Layer], Layer]) -> list[Any]:
        y = x
        for start in range(0, 6, length):
            y = wrap(layers)(y, start)
        (y * y).sum().backward(keep_graph=keep_graph)
        return gradients([x, *weights, *biases])

    assert equal(train(recompute), train(plainly))


UNARY: list[Layer] = [
    Tensor.sin,
    Tensor.tanh,
    lambda x: x * x,
    lambda x: x.softmax(),
    lambda x: x + x.sum(axis=-1, keepdims=True),
    lambda x: x.mT.reshape(x.shape),
    lambda x: concat([x[:, 1:], x[:, :1]], axis=1),
]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(range(len(UNARY))), min_size=1, max_size=6),
    st.integers(0, 6),
    st.integers(0, 6),
)
def test_random_chains(ops: list[int], a: int, b: int) -> None:
    """A chain with any of its parts recomputed has the same gradient."""

    def part(x: Tensor, start: int, end: int) -> Tensor:
        for i in ops[start:end]:
            x = UNARY[i](x)
        return x

    def train(wrap: Callable[[Layer], Layer]) -> list[Any]:
        x = leaf(3, 4)
        start, end = min(a, b), max(a, b)
        y = part(x, 0, start)
        y = wrap(part)(y, start, end)
        part(y, end, len(ops)).sum().backward()
        return gradients([x])

    assert equal(train(recompute), train(plainly))


def test_nested() -> None:
    """A segment may have segments inside, to any depth."""
    w = [leaf(3, seed=i) for i in range(8)]

    def halves(x: Tensor, start: int, end: int) -> Any:
        if end - start == 1:
            return (x * w[start]).sin()
        middle = (start + end) // 2
        x = recompute(halves)(x, start, middle)
        return recompute(halves)(x, middle, end)

    x = leaf(3, seed=9)
    halves(x, 0, 8).sum().backward()
    found = gradients([x, *w])
    y = x
    for v in w:
        y = (y * v).sin()
    y.sum().backward()

    assert equal(found, gradients([x, *w]))


def test_tree_of_results() -> None:
    """Each result of a tree carries its own gradient, and all of them add up."""
    calls = []

    def f(x: Any, *, scale: float) -> Any:
        calls.append(1)
        y = x["a"] * scale
        return {"sin": y.sin(), "of": (x["b"][0].cos(), "text", y)}

    a, b = leaf(3), leaf(3, seed=1)
    found = recompute(f)({"a": a, "b": [b]}, scale=2.0)
    total = found["sin"] + 3.0 * found["of"][0] + found["of"][2]
    total.sum().backward()

    assert found["of"][1] == "text"
    assert np.allclose(a.grad, 2 * np.cos(2 * a.data) + 2, rtol=1e-14)
    assert np.allclose(b.grad, -3 * np.sin(b.data), rtol=1e-14)
    assert len(calls) == 2  # one second run for all results


def test_result_that_nobody_uses() -> None:
    """A result without a gradient adds nothing, and its argument has none."""
    a, b = leaf(3), leaf(3, seed=1)
    found = recompute(lambda a, b: (a.sin(), b.cos()))(a, b)
    found[0].sum().backward()

    assert equal([a.grad], [np.cos(a.data)])
    assert type(b.grad) is int


def test_argument_twice_and_from_outside() -> None:
    """An argument may come twice, and be a parameter from outside as well."""
    x = leaf(3)
    recompute(lambda a, b: a * b * x)(x, x).sum().backward()

    assert np.allclose(x.grad, 3 * x.data**2, rtol=1e-14)


def test_results_that_are_not_computed() -> None:
    """An argument, a parameter and a constant come back as they are."""
    x, w = leaf(3).sin(), leaf(3)
    constant = np.ones(3)
    found = recompute(lambda x: [x, w, constant, None, 3])(x)

    assert all(a is b for a, b in zip(found, [x, w, constant, None, 3], strict=True))


def test_parameter_of_two_segments_and_outside() -> None:
    """A parameter sums its shares of all segments and of what is outside."""
    w, x = leaf(3), leaf(3, seed=1)
    f = recompute(lambda x: (x * w).sin())
    ((f(f(x)) + w) * w).sum().backward()
    found = gradients([w, x])
    g = plainly(lambda x: (x * w).sin())
    ((g(g(x)) + w) * w).sum().backward()

    for a, b in zip(found, gradients([w, x]), strict=True):
        assert np.allclose(a, b, rtol=1e-14, atol=1e-16)


def test_backward_twice() -> None:
    """Leaves add up over calls; each is a run of its own."""
    x = leaf(3)
    y = recompute(Tensor.sin)(x).sum()
    y.backward()
    y.backward()

    assert equal([x.grad], [np.cos(x.data) + np.cos(x.data)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype(dtype: Any) -> None:
    """Gradients have the precision of their numbers."""
    x = Tensor(np.linspace(0, 1, 5).astype(dtype))
    recompute(lambda x: x.sin() * 2.0)(x).sum().backward()

    assert x.grad.dtype == dtype


# --- derivatives of functions


def wavy(x: Any) -> Any:
    return (x.sin() * x).sum()


def test_derivatives_of_functions() -> None:
    """`grad`, `vjp`, `hessian`, `hvp` and `jvp` take it like any function."""
    x, v = np.array([0.5, 1.0, -2.0]), np.array([1.0, 0.0, 2.0])
    f = recompute(wavy)

    assert equal([grad(f)(x)], [grad(wavy)(x)])
    assert equal([*vjp(f, x)[1](2.0)], [*vjp(wavy, x)[1](2.0)])
    second = [grad(lambda x, g=g: (grad(g)(x) ** 2).sum())(x) for g in (f, wavy)]
    assert equal(second[:1], second[1:])
    assert equal([hvp(f, (x,), (v,))], [hvp(wavy, (x,), (v,))])
    assert equal([jvp(f, (x,), (v,))[1]], [jvp(wavy, (x,), (v,))[1]])


def test_parameter_of_an_outer_derivative() -> None:
    """Inside a derivative by `w`, a derivative by `x` of a segment with `w`."""

    def outer(wrap: Callable[[Layer], Layer]) -> Any:
        def by_w(w: Any) -> Any:
            def by_x(x: Any) -> Any:
                return wrap(lambda x: (x.sin() * x * w).sum())(x)

            return (grad(by_x)(w * 2.0) ** 2).sum()

        return grad(by_w)(np.array([0.5, 1.0]))

    assert equal([outer(recompute)], [outer(plainly)])


def test_derivative_inside() -> None:
    """`f` may differentiate: its levels are above ours in the second run, too."""

    def outer(wrap: Callable[[Layer], Layer]) -> Any:
        def f(w: Any) -> Any:
            def slope(w: Any) -> Any:
                return grad(lambda x: (x * x * w * x).sum())(np.array([2.0, 3.0]))

            return (wrap(slope)(w) * w).sum()

        return grad(f)(np.array([0.5, 1.0]))

    assert equal([outer(recompute)], [outer(plainly)])


# --- chance


@pytest.mark.parametrize(
    "rng", [np.random.default_rng(3), random.Random(3)], ids=["numpy", "python"]
)
def test_generator(rng: Any) -> None:
    """A generator that is an argument moves on once, and repeats itself."""
    masks = []

    def dropout(x: Tensor, rng: Any) -> Tensor:
        masks.append(np.array([rng.random() < 0.5 for _ in range(50)]))
        return x * masks[-1]

    x = leaf(50)
    y = recompute(dropout)(x, rng)
    after = rng.random()
    y.sum().backward(keep_graph=True)
    y.sum().backward()

    assert (masks[0] == masks[1]).all()
    assert (masks[0] == masks[2]).all()
    assert equal([x.grad], [2.0 * masks[0]])
    assert rng.random() != after


def test_one_generator_twice() -> None:
    """Two arguments that are one generator are one in the second run."""
    rng = np.random.default_rng(0)
    x = leaf(50)
    f = recompute(lambda x, a, b: x * a.random(50) * b.random(50))
    y = f(x, rng, rng)
    y.sum().backward()

    assert np.allclose(x.grad * x.data, y.data, rtol=1e-14)


def test_generator_from_outside() -> None:
    """Another result the second time is refused, and leaves no trace."""
    rng = np.random.default_rng(0)
    x, w = leaf(50), leaf(50, seed=1)
    w.grad = before = np.ones(50)
    y = recompute(lambda x: x * w * (rng.random(50) < 0.5))(x * 2.0)

    with pytest.raises(RuntimeError, match="not done the same again"):
        (y * w).sum().backward()
    assert type(x.grad) is int
    assert w.grad is before
    assert equal([w.grad], [np.ones(50)])


@pytest.mark.parametrize(
    "second",
    [
        lambda x: [x.sin()],
        lambda x: x.sin().sum(),
        lambda x: x.sin().data,
        lambda x: Tensor(x.data.astype(np.float32)).sin(),
        lambda x: x.cos(),
    ],
    ids=["tree", "shape", "array", "dtype", "numbers"],
)
def test_another_result(second: Layer) -> None:
    """Another structure, shape, type or number is refused."""
    functions = [Tensor.sin, second]
    x = leaf(3)
    y = recompute(lambda x: functions.pop(0)(x))(x)

    with pytest.raises(RuntimeError, match="not done the same again"):
        y.sum().backward()
    assert type(x.grad) is int


# --- what is from outside


@pytest.mark.parametrize("keep_graph", [True, False])
def test_result_from_outside(keep_graph: bool) -> None:
    """A result that is no argument is refused; handed over, it is right."""
    x = leaf(3)
    h = x.exp()

    with pytest.raises(RuntimeError, match="hand it over"):
        recompute(lambda x: x * h)(x).sum().backward(keep_graph=keep_graph)
    assert type(x.grad) is int

    h = x.exp()
    recompute(lambda x, h: x * h)(x, h).sum().backward(keep_graph=keep_graph)
    assert np.allclose(x.grad, np.exp(x.data) * (1 + x.data), rtol=1e-14)


def test_kept_by_the_function() -> None:
    """What `f` puts aside is no result from outside, unless it is used."""
    log = []

    def f(x: Tensor) -> Tensor:
        log.append(x.sin())
        return log[-1] * 2.0

    x = leaf(3)
    recompute(f)(x).sum().backward()

    assert equal([x.grad], [2.0 * np.cos(x.data)])


# --- errors


class Broken(Exception):
    pass


@pytest.mark.parametrize("run", [1, 2])
def test_exception_inside(run: int) -> None:
    """An error in either run leaves all gradients as they were."""
    calls = []
    x, w, v = leaf(3), leaf(3, seed=1), leaf(3, seed=2)
    for p in (x, w, v):
        p.grad = np.full(3, 7.0)

    def f(x: Tensor) -> Tensor:
        calls.append(1)
        y = x * w
        if len(calls) == run:
            raise Broken
        return y.sin()

    def step() -> None:
        y = recompute(f)(x * v) * v
        (y + w).sum().backward()

    with pytest.raises(Broken):
        step()
    assert len(calls) == run
    assert equal([p.grad for p in (x, w, v)], [np.full(3, 7.0)] * 3)


def test_exception_in_a_rule_of_the_second_graph() -> None:
    """An error on the inner way back leaves all gradients as they were."""
    broken: list[int] = []

    def f(x: Tensor) -> Tensor:
        y = x * w

        def _backward(grad: Any) -> None:
            y.grad += grad
            broken.append(1)
            raise KeyboardInterrupt

        return Tensor(y.data, (y,), "broken", _backward)

    x, w = leaf(3), leaf(3, seed=1)
    w.grad = np.full(3, 7.0)
    z = (recompute(f)(x) * w).sum()

    with pytest.raises(KeyboardInterrupt):
        z.backward()
    assert broken
    assert type(x.grad) is int
    assert equal([w.grad], [np.full(3, 7.0)])


# --- without a graph


def test_no_grad() -> None:
    """Inside `no_grad` nothing is remembered; `backward` there records again."""
    x = leaf(3)
    with no_grad():
        y = recompute(Tensor.sin)(x)
    assert y._parents == ()

    z = recompute(lambda x: x.sin().exp())(x).sum()
    with no_grad():
        z.backward()
    assert np.allclose(x.grad, np.cos(x.data) * np.exp(np.sin(x.data)), rtol=1e-14)


def test_plain_numbers() -> None:
    """Without a Tensor it is the function."""
    assert recompute(math.sin)(0.5) == math.sin(0.5)
    assert equal([recompute(np.sin)(np.ones(2))], [np.sin(np.ones(2))])


def test_forward_mode_and_hessians_of_numbers() -> None:
    """Numbers that are no arrays pass through, and are right."""

    def f(x: Any) -> Any:
        return x[0] * x[0] * x[1]

    for wrapped in (f, recompute(f)):
        assert jvp(wrapped, ([2.0, 3.0],), ([1.0, 0.0],)) == (12.0, 12.0)
        assert hessian(wrapped)([2.0, 3.0]) == [[6.0, 4.0], [4.0, 0.0]]
        assert hvp(wrapped, ([2.0, 3.0],), ([1.0, 0.0],)) == [6.0, 4.0]


def test_name() -> None:
    """The function keeps its name."""
    assert recompute(wavy).__name__ == "wavy"


# --- memory


class Watch:
    """Counts the arrays of layers that are alive."""

    def __init__(self) -> None:
        self.alive: set[int] = set()
        self.most = 0

    def layer(self, x: Tensor) -> Tensor:
        y = x.sin()
        key = id(y.data)
        self.alive.add(key)
        weakref.finalize(y.data, self.alive.discard, key)
        self.most = max(self.most, len(self.alive))
        return y


@pytest.mark.parametrize(("n", "k"), [(16, 4), (36, 6), (64, 8), (64, 1), (64, 64)])
def test_arrays_alive(n: int, k: int) -> None:
    """At most the results of k segments and of one whole segment are there."""
    watch = Watch()

    def segment(x: Tensor) -> Tensor:
        for _ in range(n // k):
            x = watch.layer(x)
        return x

    x = leaf(4)
    y = x
    for _ in range(k):
        y = recompute(segment)(y)
    after = len(watch.alive)
    total = y.sum()
    del y
    total.backward(keep_graph=False)

    assert after == k
    assert watch.most <= k + n // k
    assert watch.alive == set()


def test_no_cycles() -> None:
    """The graph is freed with its last name, without the collector."""
    watch = Watch()
    gc.collect()
    gc.disable()
    try:
        y = recompute(lambda x: (watch.layer(x), watch.layer(x)))(leaf(4))
        assert len(watch.alive) == 2
        del y
        assert watch.alive == set()
    finally:
        gc.enable()


def test_small_graph() -> None:
    """However long `f` is, its graph is a hub and a result."""

    def f(x: Tensor) -> Tensor:
        for _ in range(100):
            x = x.sin()
        return x

    assert len(topological_order(recompute(f)(leaf(3)))) == 3


# --- other libraries


def test_torch() -> None:
    """The same on PyTorch's arrays."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = Tensor(torch.linspace(0, 1, 5, dtype=torch.float64))
    w = Tensor(torch.ones(5, dtype=torch.float64))
    recompute(lambda x: (x * w).sin())(x).sum().backward()

    assert torch.equal(x.grad, torch.cos(x.data))
    assert torch.equal(w.grad, torch.cos(x.data) * x.data)


def test_jax() -> None:
    """The same on JAX's arrays, and while JAX compiles."""
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    x = jax.numpy.linspace(0, 1, 5)
    expected = jax.numpy.cos(x) * x + jax.numpy.sin(x)

    assert jax.numpy.allclose(grad(recompute(wavy))(x), expected)
    assert jax.numpy.allclose(jax.jit(grad(recompute(wavy)))(x), expected)
