"""Compiled functions of whole arrays are the functions, in every library."""

from __future__ import annotations

import math
from collections import namedtuple
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prosegrad import (
    TracingError,
    cross_entropy,
    grad,
    hessian,
    hvp,
    jit_arrays,
    jvp,
    mean_squared_error,
    value_and_grad,
)
from prosegrad.arrays import library
from prosegrad.attention import attention, causal_mask
from prosegrad.layers import Dropout, layer_norm
from prosegrad.tensor import Tensor, concat, linear, matmul, no_grad, stack, where
from prosegrad.trees import flatten
from prosegrad.windows import avg_pool2d, conv2d, fold, max_pool2d, windows

from .tensors import Library, opened

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


def some(share: int) -> settings:
    """Return settings with one of so many examples of the profile."""
    return settings(
        max_examples=max(1, settings().max_examples // share),
        suppress_health_check=SLOW,
    )


@pytest.fixture(scope="module", params=["numpy", "torch"])
def lib(request: Any) -> Iterator[Library]:
    with opened(request.param) as found:
        yield found


@pytest.fixture(scope="module")
def jax() -> Iterator[Library]:
    with opened("jax") as found:
        yield found


def normal(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng((seed, *shape)).normal(size=shape)


def assert_same(expected: Any, found: Any, tolerance: float | None = None) -> None:
    """Compare two trees: structure, shapes, types, and every number.

    Without a tolerance, to the last bit.
    """
    (left, outside), (right, structure) = flatten(expected), flatten(found)
    assert outside == structure
    for a, b in zip(map(np.asarray, left), map(np.asarray, right), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        if tolerance is None:
            np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def second(f: Callable[..., Any]) -> Callable[..., Any]:
    """Return a gradient of a gradient, by the first argument."""

    def length(*args: Any) -> Any:
        slopes = flatten(grad(f)(*args))[0]
        return sum((slope * slope).sum() for slope in slopes)

    return grad(length)


# --- random programs

UNARY: dict[str, Callable[[Any], Any]] = {
    "tanh": lambda x: x.tanh(),
    "sigmoid": lambda x: x.sigmoid(),
    "softplus": lambda x: x.softplus(),
    "exp": lambda x: (-x * x).exp(),
    "log": lambda x: (x * x + 1).log(),
    "sqrt": lambda x: (x * x + 0.5).sqrt(),
    "power": lambda x: (x * x + 0.5) ** 1.5,
    "cube": lambda x: x.tanh() ** 3,
    "root of": lambda x: 2 ** (x.tanh()),
    "relu": lambda x: x.relu(),
    "leaky": lambda x: x.leaky_relu(),
    "silu": lambda x: x.silu(),
    "gelu": lambda x: x.gelu(),
    "abs": lambda x: abs(x),
    "neg": lambda x: -x,
    "affine": lambda x: 3 - 2 * x,
    "inverse": lambda x: 1 / (1 + x * x),
    "sum": lambda x: x.sum(),
    "sums": lambda x: x.sum(axis=-1, keepdims=True),
    "mean": lambda x: x.mean(),
    "means": lambda x: x.mean(axis=0),
    "max": lambda x: x.max(),
    "maxima": lambda x: x.max(axis=-1, keepdims=True),
    "min": lambda x: x.min(axis=0),
    "logsumexp": lambda x: x.logsumexp(axis=-1),
    "softmax": lambda x: x.softmax(-1),
    "flat": lambda x: x.reshape(-1),
    "column": lambda x: x.reshape(-1, 1),
    "axis": lambda x: x.expand_dims(0),
    "T": lambda x: x.T,
    "stretched": lambda x: x.broadcast_to((2, *x.shape)),
    "first": lambda x: x[0],
    "back": lambda x: x[..., :1],
    "taken": lambda x: x.take(np.array([0, -1, 0])),
    "twice": lambda x: concat([x, 2 * x], axis=-1),
    "stack": lambda x: stack([x, x * x]),
    "gram": lambda x: matmul(x, x.mT) if x.ndim > 1 else matmul(x, x),
    "some": lambda x: where(x.data > 0.1, x, 0.5 * x),
    "constant": lambda x: x * np.linspace(-1.0, 1.0, x.size).reshape(x.shape),
}
NEEDS_AXIS = {"means", "maxima", "min", "logsumexp", "softmax", "sums"}
NEEDS_AXIS |= {"first", "back", "taken", "twice", "gram"}

BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: x / (y * y + 0.5),
    "maximum": lambda x, y: x.maximum(y),
    "minimum": lambda x, y: x.minimum(y),
    "where": lambda x, y: where(x.data < y.data, x, y),
}

Step = tuple[str, int, int]


def apply(steps: list[Step], *arrays: Any) -> list[Any]:
    """Return what a program makes, each step of earlier results."""
    made = list(arrays)
    for name, i, j in steps:
        x, y = made[-1 - i % len(made)], made[-1 - j % len(made)]
        if (name in NEEDS_AXIS and not x.ndim) or x.size > 60:
            continue
        if name in UNARY:
            made.append(UNARY[name](x))
        else:
            try:
                np.broadcast_shapes(x.shape, y.shape)
            except ValueError:
                continue
            made.append(BINARY[name](x, y))
    return made


def run(steps: list[Step], *arrays: Any) -> Any:
    """Return one number, in which what a program makes has weights."""
    made = apply(steps, *arrays)
    weights = np.cos(np.arange(1, 1 + made[-1].size)).reshape(made[-1].shape)
    last: Any = made[-1] * weights * 0.5
    return last.tanh().sum() + 0.1 * made[len(made) // 2].sum()


places = st.integers(0, 5)
programs = st.lists(
    st.tuples(st.sampled_from([*UNARY, *BINARY]), places, places),
    min_size=1,
    max_size=8,
)


def lifted(steps: list[Step]) -> Callable[[Any], Any]:
    """Return the program as a function of a list; all of it enters the result."""

    def f(xs: Any) -> Any:
        return run(steps, *xs) + sum((x * x).sum() for x in xs)

    return f


@given(programs, st.integers(0, 3))
def test_a_random_program_compiled_is_the_program(steps: list[Step], seed: int) -> None:
    """Value and gradient are those of the graph, whatever the numbers."""
    xs = [normal(2, 3, seed=seed), normal(3, seed=seed), normal(seed=seed)]
    f = value_and_grad(lifted(steps))
    compiled = jit_arrays(f)

    assert_same(f(xs), compiled(xs), 1e-12)
    ys = [x[::-1] if x.ndim else x + 1 for x in xs]
    assert_same(f(ys), compiled(ys), 1e-12)


@given(programs)
def test_so_are_its_second_derivatives(steps: list[Step]) -> None:
    """A gradient of a gradient compiles as a gradient does."""
    xs = [normal(2, 3), normal(3), normal()]
    f = second(lifted(steps))

    assert_same(f(xs), jit_arrays(f)(xs), 1e-11)


def test_random_programs_in_torch() -> None:
    """Only sums of arrays that lie otherwise in memory may round otherwise."""
    with opened("torch") as lib:

        @some(4)
        @given(programs)
        def check(steps: list[Step]) -> None:
            # What is constant in a program is of NumPy.
            steps = [s for s in steps if s[0] not in ("constant", "taken")]

            def f(xs: Any) -> Any:
                last = apply(steps, *xs)[-1]
                return last.tanh().sum() + sum((x * x).sum() for x in xs)

            xs = [lib.array(x) for x in (normal(2, 3), normal(3), normal())]
            for g in (value_and_grad(f), second(f)):
                assert_same(g(xs), jit_arrays(g)(xs), 1e-11)

        check()


# --- what networks are made of

IMAGES = normal(2, 3, 6, 6)
CASES: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "linear": (
        lambda x, w, b: (linear(x, w, b).tanh() ** 2).sum(),
        (normal(2, 4, 3), normal(3, 2), normal(2)),
    ),
    "vectors": (lambda x, y: matmul(x, y) ** 2, (normal(3), normal(3, seed=1))),
    "layer_norm": (
        lambda x, w, b: (layer_norm(x, w, b) ** 3).sum(),
        (normal(4, 5), normal(5), normal(5, seed=1)),
    ),
    "attention": (
        lambda q, k, v: (attention(q, k, v, causal_mask(4)) ** 2).sum(),
        (normal(2, 4, 3), normal(2, 4, 3, seed=1), normal(2, 4, 3, seed=2)),
    ),
    "conv2d": (
        lambda x, w, b: (conv2d(x, w, b, stride=(1, 2), padding=1) ** 2).sum(),
        (IMAGES, normal(4, 3, 3, 3), normal(4)),
    ),
    "max_pool2d": (lambda x: (max_pool2d(x, 3, 1) ** 2).sum(), (IMAGES,)),
    "avg_pool2d": (lambda x: (avg_pool2d(x, 2) ** 2).sum(), (IMAGES,)),
    "fold": (lambda x: (fold(windows(x * x, 2), 6) ** 2).sum(), (IMAGES,)),
    "take": (
        lambda w, i: (w.take(i) ** 2).sum(),
        (normal(7, 3), np.array([[1, 2], [2, 6]])),
    ),
    "indices": (
        lambda w, i: (w[i + 1] ** 2).sum() + (w[i // 2, i % 3] ** 2).sum(),
        (normal(9, 3), np.array([[1, 2], [2, 6]])),
    ),
    "cross_entropy": (cross_entropy, (normal(4, 5), np.array([0, 4, 2, 2]))),
    "of words": (
        cross_entropy,
        (normal(2, 3, 5), np.array([[0, 4, 2], [1, 1, 3]])),
    ),
    "mean_squared_error": (
        mean_squared_error,
        (normal(4, 5), normal(4, 5, seed=1)),
    ),
    "a rate": (lambda x, rate: ((x * rate) ** 2).sum() + rate, (normal(3, 2), 0.1)),
    "a count": (lambda x, n: ((x * n) ** 2).sum() / n, (normal(3, 2), 3)),
    "a mask": (
        lambda x, mask: where((x.data > 0.5) | ~mask, x * x, -x).sum(),
        (normal(3, 2), normal(3, 2) > 0),
    ),
    "masks": (
        lambda x, a, b: where((a & (x.data < 1)) ^ b, x * x, x).sum(),
        (normal(3, 2), normal(3, 2) > 0, normal(3, 2, seed=1) > 0),
    ),
    "weights that count": (
        lambda x, i: (x * i * x).sum() + (x * (2 * -i)).sum(),
        (normal(3), np.array([1, 2, 3])),
    ),
    "no rows": (lambda x, w: (matmul(x, w) ** 2).sum(), (normal(0, 2), normal(2, 3))),
    "one number": (lambda x: x * x * x, (np.asarray(2.0),)),
    "a dict": (
        lambda p, x: (linear(x, p["w"][0], p["b"]) ** 2).sum(),
        ({"w": [normal(3, 2)], "b": normal(2)}, normal(4, 3)),
    ),
    "a largest": (lambda x: (x.max(axis=0) * x.min()).sum(), (normal(4, 3),)),
}


def made(lib: Library, dtype: str, tree: Any) -> Any:
    """Return a tree of arrays of a library; floats get the type."""
    if isinstance(tree, dict):
        return {key: made(lib, dtype, x) for key, x in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(made(lib, dtype, x) for x in tree)
    if not isinstance(tree, np.ndarray):
        return tree
    return lib.array(tree, dtype if tree.dtype.kind == "f" else str(tree.dtype))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES)
def test_what_networks_are_made_of(lib: Library, case: str, dtype: str) -> None:
    """Compiled is eager, in each library and precision, types and all."""
    f, args = CASES[case]
    args = made(lib, dtype, args)
    loose = 1e-11 if dtype == "float64" else 2e-4
    exact = None if lib.name == "numpy" else loose

    for g, tolerance in ((value_and_grad(f), exact), (second(f), loose)):
        expected, compiled = g(*args), jit_arrays(g)
        found = compiled(*args)
        assert_same(expected, found, tolerance)
        for a, b in zip(flatten(expected)[0], flatten(found)[0], strict=True):
            assert type(a) is type(b)
        assert_same(found, compiled(*args))


IN_JAX = ("linear", "cross_entropy", "conv2d", "take", "a rate", "a mask", "a dict")


@pytest.mark.parametrize("case", IN_JAX)
def test_what_networks_are_made_of_in_jax(jax: Library, case: str) -> None:
    """JAX is slow until an operation was used once, so it has fewer tests."""
    f, args = CASES[case]
    dtype = "float32" if case in ("linear", "cross_entropy") else "float64"
    args, both = made(jax, dtype, args), value_and_grad(f)
    loose = 1e-11 if dtype == "float64" else 2e-4

    assert_same(both(*args), jit_arrays(both)(*args), loose)


@pytest.mark.parametrize("name", ["hessian", "hvp", "jvp"])
def test_other_derivatives(lib: Library, name: str) -> None:
    a, b = lib.array(normal(2, 3)), lib.array(normal(3, 2))

    def f(a: Any, b: Any) -> Any:
        return (((a @ b).tanh() ** 2).sum() * (a * a).mean()).exp()

    def hvp_along(a: Any, b: Any) -> Any:
        return hvp(f, (a, b), (a * 2, b))

    def jvp_along(a: Any, b: Any) -> Any:
        return jvp(f, (a, b), (a * 2, b))

    g = {"hessian": hessian(f), "hvp": hvp_along, "jvp": jvp_along}[name]

    assert_same(g(a, b), jit_arrays(g)(a, b), 1e-12)


def test_two_precisions_meet() -> None:
    """Zeros and ones have the type of their array, in the source as well."""
    x, y = normal(3).astype("float32"), normal(3, seed=1)
    functions: list[Callable[..., Any]] = [
        lambda x, y: ((x - y) ** 2).mean(),
        lambda x, y: x.sum() * (y.sum() + (x * x).sum()),
        lambda x, y: (x.relu() * y.sum()).sum(),
        lambda x, y: x.maximum(y).sum(),
    ]

    for f in functions:
        both = value_and_grad(f, (0, 1))
        assert_same(both(x, y), jit_arrays(both)(x, y))

    ones = jit_arrays(lambda x, y: library(y).ones_like(y) * x + 1)
    assert ones(x, y).dtype == np.float64
    assert ones(y, x).dtype == np.float64


def test_whole_numbers_stay_whole() -> None:
    """1 is no 1.0, and small numbers wrap around as they do."""
    i = np.array([1, 250, 3], np.uint8)
    functions: list[Callable[..., Any]] = [
        lambda i: i + 10,
        lambda i: 2 * -i,
        lambda i: i * 1,
        lambda i: i * 1.0,
        lambda i: i / 1,
        lambda i: i**2,
        lambda i: i - 0,
        lambda i: i + 0.0,
        lambda i: (i // 2) % 3,
        lambda i: 7 // i + 7 % i,
        lambda i: (i & 3) | 4,
        lambda i: (1 | i) ^ 5,
        lambda i: 6 ^ (6 & i),
        lambda i: ~i,
        lambda i: i == 3,
        lambda i: abs(-i),
        lambda i: i.sum(),
        lambda i: i.astype(np.float32),
        lambda i: i.astype(np.int16),
    ]

    with np.errstate(over="ignore"):
        for f in functions:
            assert_same(f(i), jit_arrays(f)(i))


def test_complex_numbers() -> None:
    z = np.array([1 + 2j, -3j])

    def f(z: Any) -> Any:
        return (z * z - z) * 2 + abs(z) * 0.5

    assert_same(f(z), jit_arrays(f)(z))


def test_functions_of_arrays_that_are_no_tensors() -> None:
    x, fixed = normal(3, 4), normal(4)

    def f(x: Any) -> Any:
        xp = library(x)
        parts = [x.sum(), x.mean(axis=0), x.max(axis=(0, 1)), x.min(axis=1)]
        parts += [x.argmax(axis=1), x.T, x.mT, x.reshape(2, 6), x.reshape((12,))]
        parts += [xp.exp(x), xp.isfinite(x), xp.ones((2,)) + x[0, :2], x[None, 1:, -1]]
        parts += [xp.concat([x, x]), xp.stack([x, x], axis=1), x[[0, 2]]]
        parts += [xp.zeros((2, 4)) + x[:2], xp.zeros((2,), dtype=xp.int64) + 1]
        parts += [xp.maximum(fixed, x), xp.minimum(fixed, x), xp.maximum(x, fixed)]
        return [*parts, [row.sum() for row in x], len(x), x.ndim, x.size]

    assert_same(f(x), jit_arrays(f)(x))


# --- the source


def test_sources() -> None:
    """What is written is what one would write."""
    x, b = np.zeros((2, 4)), np.zeros(4)

    def affine(x: Any, b: Any) -> Any:
        return ((x + b) ** 2).mean()

    assert jit_arrays(value_and_grad(affine, (0, 1))).source(x, b) == (
        "def affine(x, b):\n"
        "    v0 = x + b\n"
        "    v1 = 0.125 * (2.0 * v0)\n"
        "    v2 = sum(v1, axis=0)\n"
        "    v3 = asarray(sum(v0 * v0) / 8.0)\n"
        "    return (v3, (v1, v2))\n"
    )

    def relu(x: Any) -> Any:
        return x.relu().sum()

    assert jit_arrays(grad(relu)).source(x) == (
        "def relu(x):\n    v0 = where(x <= 0.0, 0.0, c0)\n    return v0\n"
    )


def test_the_source_of_parts() -> None:
    x, i = np.zeros((3, 4)), np.array([0, 2])

    def parts(x: Any, i: Any) -> Any:
        return [x[i, 1:], x[..., ::2], x[None, 0], x.T.T, x[1, -1] * 2]

    assert jit_arrays(parts).source(x, i) == (
        "def parts(x, i):\n"
        "    v0 = permute_dims(permute_dims(x, (1, 0)), (1, 0))\n"
        "    v1 = asarray(x[i, 1:], copy=True)\n"
        "    v2 = asarray(x[..., ::2], copy=True)\n"
        "    v3 = asarray(x[None, 0], copy=True)\n"
        "    v4 = asarray(v0, copy=True)\n"
        "    v5 = asarray(2.0 * x[1, -1])\n"
        "    return [v1, v2, v3, v4, v5]\n"
    )

    def scattered(x: Any, i: Any) -> Any:
        return (x[i, 1:] * x[i, 1:]).sum()

    assert "add_at((3, 4), (i, slice(1, None, None),), " in jit_arrays(
        grad(scattered)
    ).source(x, i)


def test_what_is_done_twice_is_written_once() -> None:
    source = jit_arrays(lambda x: x.sum() + x.sum() + x[0] * x[0]).source(np.ones(3))

    assert source.count("sum(") == 1
    assert source.count("x[0]") == 1


# --- one program for each shape


def test_a_program_for_each_shape_type_and_structure() -> None:
    traced = []

    def f(tree: Any, rate: Any) -> Any:
        traced.append(tree)
        leaves = flatten(tree)[0]
        return sum((leaf * leaf).sum() * rate for leaf in leaves)

    Pair = namedtuple("Pair", "a b")
    compiled = jit_arrays(f)
    x, y = np.ones(3), np.ones((2, 2))
    trees = [
        x,
        y,
        x.astype("float32"),
        [x, y],
        (x, y),
        [y, x],
        {"a": x, "b": y},
        {"b": x, "a": y},
        Pair(x, y),
    ]
    for tree in [*trees, *trees]:
        for rate in (0.1, 0.2):
            np.testing.assert_allclose(
                compiled(tree, rate),
                sum((v * v).sum() * rate for v in flatten(tree)[0]),
            )

    assert len(traced) == len(trees)
    compiled(x, 1)
    assert len(traced) == len(trees) + 1


def test_results_keep_their_containers() -> None:
    Pair = namedtuple("Pair", "a b")

    def f(x: Any) -> Any:
        return {"pair": Pair(x + 1, (x * 2,)), "list": [x - 1], "fixed": 3, "yes": True}

    x = normal(2)
    assert_same(f(x), jit_arrays(f)(x))
    assert jit_arrays(f)(x)["fixed"] == 3


def test_a_compiler_takes_the_program() -> None:
    programs = []

    def kept(program: Any) -> Any:
        programs.append(program)
        return program

    double = jit_arrays(lambda x: x * 2, compiler=kept)
    double(np.ones(2))
    double(np.ones(2))
    double(np.ones(3))

    assert len(programs) == 2


def test_jax_compiles_the_program(jax: Library) -> None:
    from jax import jit

    def f(x: Any) -> Any:
        return (x.softmax() * x).sum()

    x, both = jax.array(normal(3, 4)), value_and_grad(f)

    assert_same(both(x), jit_arrays(both, compiler=jit)(x), 1e-12)
    along = jit_arrays(lambda x: hvp(f, (x,), (x,)), compiler=jit)
    assert_same(hvp(f, (x,), (x,)), along(x), 1e-12)


# --- whose arrays they are


def test_a_result_has_memory_of_its_own() -> None:
    """No result is part of an argument, of a constant, or of another result."""
    table = np.array([1.0, 2.0, 3.0])

    def f(x: Any, y: Any) -> Any:
        slopes = grad(lambda x, y: (x * y).sum(), (0, 1))(x, y)
        return [
            *slopes,
            *grad(lambda x, y: (x + y).sum(), (0, 1))(x, y),
            x,
            x,
            x[1:],
            x.T,
            table,
            table + 0.0,
            library(x).zeros_like(x),
            x * 2,
            x * 2,
            (x * 2)[:1],
        ]

    x, y = normal(3), normal(3, seed=1)
    compiled = jit_arrays(f)
    expected = [a.copy() for a in compiled(x, y)]
    found = compiled(x, y)
    for i, a in enumerate(found):
        others = [x, y, table, *found[:i], *found[i + 1 :], *expected]
        assert not any(np.shares_memory(a, b) for b in others)
        assert a.flags.writeable
    for a in found:
        a[...] = 99.0

    assert_same(expected, compiled(x, y))
    assert_same(expected[:2], [y, x])


def test_arguments_are_never_changed() -> None:
    x, y = normal(3), normal(3, seed=1)
    before = x.copy(), y.copy()

    def f(x: Any, y: Any) -> Any:
        x -= 0.1 * y
        x *= 2
        return x

    found = jit_arrays(f)(x, y)

    assert_same((x, y), before)
    assert_same(found, (before[0] - 0.1 * before[1]) * 2)


def test_a_constant_is_as_it_was() -> None:
    table = np.array([1.0, 2.0])

    def f(x: Any) -> Any:
        table[0] += 1
        once = x * table
        table[0] += 1
        return once, x * table

    compiled = jit_arrays(f)
    compiled(np.ones(2))
    table[:] = 0

    assert_same(compiled(np.ones(2)), (np.array([2.0, 2]), np.array([3.0, 2])))


def test_random_numbers_are_those_of_the_trace() -> None:
    drop = Dropout(0.5, rng=np.random.default_rng(0))
    compiled = jit_arrays(drop)
    x = np.ones(20)

    assert_same(compiled(x), compiled(x))
    assert set(compiled(x).tolist()) == {0.0, 2.0}
    assert (compiled(2 * x) == 2 * compiled(x)).all()


# --- inside one another


def test_a_compiled_function_is_differentiated() -> None:
    x = normal(3)

    def f(x: Any) -> Any:
        return (x.exp() * x).sum()

    compiled = jit_arrays(f)
    assert_same(grad(f)(x), grad(compiled)(x))
    assert_same(hessian(f)(x), hessian(compiled)(x))

    leaf = Tensor(x)
    compiled(leaf).backward()
    assert_same(leaf.grad, grad(f)(x))


def test_compiled_in_compiled() -> None:
    x = normal(3)
    inner = jit_arrays(lambda x: (x * x).sum())
    nested = jit_arrays(grad(lambda x: inner(x) * x.sum()))

    assert_same(nested(x), grad(lambda x: (x * x).sum() * x.sum())(x))
    assert "sum(x * x)" in nested.source(x)


def test_no_grad_inside() -> None:
    def f(x: Any) -> Any:
        with no_grad():
            fixed = x * x
        return (x * fixed.data).sum()

    x = normal(3)
    assert_same(jit_arrays(grad(f))(x), x * x)


# --- what is refused


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "branch": (lambda x: x if x.sum() > 0 else -x, "decide by"),
    "float": (lambda x: float(x.sum()), "convert it outside"),
    "int": (lambda x: int(x[0]), "convert it outside"),
    "math": (lambda x: math.exp(x[0]), "convert it outside"),
    "range": (lambda x: [x for _ in range(x[0])], "count by"),
    "slice": (lambda x: x[: x[0]], "count by"),
    "asarray": (lambda x: np.asarray(x), "look at"),
    "mask": (lambda x: x[x > 0], "where"),
    "masks": (lambda x: x[(x > 0) & (x < 1)], "where"),
    "graph": (lambda x: grad(lambda x: x[x.data > 0].sum())(x), "where"),
    "assignment": (lambda x: x.__setitem__(0, 1.0), "in place"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_asks_for_numbers_is_refused(name: str) -> None:
    """The error names us, the line, and what to do instead."""
    f, advice = REFUSED[name]

    with pytest.raises(TracingError, match=f"^jit_arrays: .*line .*{advice}"):
        jit_arrays(f)(np.ones(3))


def test_a_refused_trace_leaves_nothing() -> None:
    flag = [True]

    def f(x: Any) -> Any:
        return x if flag[0] and x.sum() > 0 else 2 * x

    compiled = jit_arrays(f)
    with pytest.raises(TracingError):
        compiled(np.ones(3))
    flag[0] = False

    assert compiled(np.ones(3)).tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((1.0, [2.0]), "jit_arrays: there is no array among the arguments"),
        ((), "jit_arrays: there is no array among the arguments"),
        ((np.ones(2), np.random.default_rng(0)), "of type Generator, not a number"),
        ((np.ones(2), {"a": None}), r"jit_arrays: argument\[1\]\['a'\] is None"),
        ((np.ones(2), "text"), r"jit_arrays: argument\[1\] is 'text'"),
    ],
)
def test_what_is_no_array_is_refused(args: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        jit_arrays(lambda *args: args[0])(*args)


def test_a_result_that_is_no_number() -> None:
    """It is refused each time; a number that is constant comes back."""
    f = jit_arrays(lambda x: [x, "text"])
    for _ in range(2):
        with pytest.raises(TypeError, match=r"jit_arrays: result\[1\] is 'text'"):
            f(np.ones(2))

    constants = jit_arrays(lambda x: [3, True, 2.5, 1j])(np.ones(2))
    assert repr(constants) == "[3, True, 2.5, 1j]"


def test_shapes_that_do_not_fit() -> None:
    f = jit_arrays(grad(lambda x, y: (x * y).sum()))

    with pytest.raises(ValueError, match=r"shapes \(2,\) and \(3,\) do not fit"):
        f(np.ones(2), np.ones(3))


def test_an_array_without_axes_has_no_length() -> None:
    with pytest.raises(TypeError, match="no len"):
        jit_arrays(lambda x: len(x.sum()))(np.ones(2))


def test_a_symbol_of_another_trace() -> None:
    kept = []

    def keep(x: Any) -> Any:
        kept.append(x)
        return x

    jit_arrays(keep)(np.ones(2))

    with pytest.raises(TracingError, match="another trace"):
        jit_arrays(lambda x: x + kept[0])(np.ones(2))
