"""Every operation of a Tensor on every type of number: right, or refused."""

from __future__ import annotations

import functools
import gc
import itertools
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import prosegrad
from prosegrad import Value, grad, hessian, jacobian, jit, jvp, losses, tensor, vjp
from prosegrad.arrays import NUMPY
from prosegrad.kinds import NAMES
from prosegrad.layers import Embedding, layer_norm
from prosegrad.tensor import Tensor, concat, linear, where

WHOLE = ("bool", "uint8", "int8", "int32", "int64")
REAL = ("float16", "float32", "float64")
ALL = (*WHOLE, *REAL, "complex128")
TOLERANCE = {"float16": 3e-3, "float32": 1e-5}

# The largest members of the small types: sums, differences and opposites wrap.
EXTREME = {
    "bool": [[0, 1, 1], [1, 0, 0]],
    "uint8": [[0, 255, 3], [200, 1, 255]],
    "int8": [[-128, 127, 3], [100, -100, 0]],
}
PLAIN = [[0, 3, 2], [5, 1, -4]]

Operation = Callable[[Any], Any]


def numbers(dtype: str) -> Any:
    return np.array(EXTREME.get(dtype, PLAIN), dtype)


def as_float(x: Any) -> Any:
    wide = complex if np.iscomplexobj(x) else float
    return np.asarray(x).astype(wide)


LESS = np.array([[1, 1, 2], [3, 1, 0]])

REDUCTIONS: dict[str, Operation] = {
    f"{name} {axis}": partial(lambda name, axis, x: getattr(x, name)(axis), name, axis)
    for name in ("sum", "mean", "max", "min", "logsumexp")
    for axis in (None, 0, 1)
} | {
    f"softmax {axis}": partial(lambda axis, x: x.softmax(axis), axis)
    for axis in (0, -1)
}

PAIRS: dict[str, Operation] = {
    f"{name} {kind}": partial(lambda name, y, x: getattr(x, name)(y), name, y)
    for name in ("maximum", "minimum")
    for kind, y in (
        ("a float", 0.5),
        ("one", 1),
        ("doubles", LESS.astype(float)),
    )
} | {
    f"{name} of its kind": partial(
        lambda name, x: getattr(x, name)(x.data[::-1].copy()), name
    )
    for name in ("maximum", "minimum")
}

CURVES: dict[str, Operation] = {
    name: partial(lambda name, x: getattr(x, name)(), name)
    for name in ("relu", "leaky_relu", "silu", *tensor.CURVES)
}
DOMAINS = {"log", "log1p", "sqrt", "asin", "acos", "exp", "expm1", "sinh", "cosh"}

LOSSES: dict[str, Operation] = {
    "cross_entropy": lambda x: losses.cross_entropy(x, [2, 0]),
    "mean_squared_error": lambda x: losses.mean_squared_error(x, LESS.astype("uint8")),
    "softmax": losses.softmax,
    "log_sum_exp": losses.log_sum_exp,
}

OPERATIONS = REDUCTIONS | PAIRS | CURVES | LOSSES


def outcome(name: str, x: Any) -> tuple[Any, Any]:
    """Return the result of an operation, and the gradient of a weighted sum."""
    leaf = Tensor(x)
    y = OPERATIONS[name](leaf)
    seed = np.cos(np.arange(1.0, 1 + y.size)).reshape(y.shape)
    y.backward(seed.astype(y.dtype) if y.dtype.kind == "f" else seed)
    return y.data, leaf.grad


@pytest.mark.parametrize("dtype", [*WHOLE, *REAL])
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_type_is_as_good_as_doubles(name: str, dtype: str) -> None:
    """Result and gradient of each type are those of float64, up to its digits."""
    x = numbers(dtype)
    if name in DOMAINS and dtype != "bool":
        x = np.array([[0, 3, 5], [1, 2, 1]], dtype)
    if dtype == "bool" and name == "relu":
        pytest.skip("a truth value has no side of 0")
    with np.errstate(all="ignore"):
        y, slope = outcome(name, x)
        expected, right = outcome(name, x.astype(float))
    allowed = TOLERANCE.get(dtype, 1e-12)

    assert np.allclose(
        as_float(y), expected, rtol=allowed, atol=allowed, equal_nan=True
    )
    assert np.allclose(
        as_float(slope), right, rtol=allowed, atol=allowed, equal_nan=True
    )


ORDERED = [name for name in OPERATIONS if name.split()[0] not in ("sum", "mean")]
HOLOMORPHIC = [*tensor.CURVES, "silu", "mean_squared_error"]


@pytest.mark.parametrize("name", sorted({*ORDERED, "gelu"} - {*HOLOMORPHIC} | {"gelu"}))
def test_what_needs_an_order_refuses_complex_numbers(name: str) -> None:
    with pytest.raises(TypeError, match="complex"):
        outcome(name, numbers("complex128"))


POINTS = np.array([0.5 + 1j, -0.3 + 0.2j, 1.5 - 0.7j])

COMPLEX: dict[str, Operation] = {
    name: partial(lambda name, z: getattr(z, name)(), name)
    for name in [*NAMES, "sigmoid", "softplus", "silu", "sum", "mean"]
} | {
    "+": lambda z: z + (2 - 1j),
    "-": lambda z: (1 - 2j) - z,
    "*": lambda z: z * (1 + 2j) * z,
    "/": lambda z: (1 + 2j) / z,
    "**3": lambda z: z**3,
    "**-2": lambda z: z**-2,
    "**0.5": lambda z: z**0.5,
    "@": lambda z: z.reshape(1, 3) @ (z.reshape(3, 1) * 1j),
    "take": lambda z: z.take([0, 2, 2]),
    "concat": lambda z: concat([z, z * 1j]),
    "where": lambda z: where(np.array([True, False, True]), z, z * z),
    "linear": lambda z: linear(z.reshape(1, 3), z.reshape(3, 1), z[:1]),
    "reshape": lambda z: z.reshape(3, 1).T.broadcast_to((2, 3)),
}
LENGTHS: dict[str, Operation] = {
    "abs": abs,
    "real": lambda z: z.real(),
    "abs of a product": lambda z: abs(z * z.conj() * 1j + z),
    "z / abs(z)": lambda z: (z / abs(z) * (1 + 2j)).real(),
    "real of conj": lambda z: (z.conj() * z * (2 - 1j)).real(),
}


def moved(f: Operation, z: Any, seed: Any) -> Any:
    """Return by nudges how the real part of seed * f(z) moves: dL/dx - i dL/dy."""
    slopes = np.zeros(z.shape, complex)
    for i in range(len(z)):
        for part in (1, 1j):
            step = np.zeros(z.shape, complex)
            step[i] = part * 1e-6
            ends = [np.sum(seed * f(Tensor(z + s)).data).real for s in (step, -step)]
            slopes[i] += (ends[0] - ends[1]) / 2e-6 * part.conjugate()
    return slopes


@pytest.mark.parametrize("name", [*COMPLEX, *LENGTHS])
def test_complex_rules_follow_one_convention(name: str) -> None:
    """The gradient g is that for which the result moves by the real part of g dz."""
    f = (COMPLEX | LENGTHS)[name]
    y = f(Tensor(POINTS))
    seed = np.cos(np.arange(1.0, 1 + y.size)).reshape(y.shape)
    if y.dtype.kind == "c":
        seed = seed * (1 - 0.5j)
    leaf = Tensor(POINTS)
    f(leaf).backward(seed)

    assert np.allclose(leaf.grad, moved(f, POINTS, seed), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", LENGTHS)
def test_a_real_number_moves_in_one_direction(name: str) -> None:
    """Real leaves of complex computations have real gradients, also twice."""
    f = LENGTHS[name]
    x = np.array([1.0, -2.0, 0.5])

    def score(x: Any) -> Any:
        return f(x * x * (0.3 + 2j) + (1 - 1j)).sum()

    def nudged(g: Operation, h: float = 1e-6) -> Any:
        steps = h * np.eye(3)
        return [(g(x + s) - g(x - s)) / (2 * h) for s in steps]

    found = grad(score)(x)
    assert found.dtype == float
    assert np.allclose(found, nudged(lambda x: score(Tensor(x)).data), atol=1e-7)
    assert np.allclose(hessian(score)(x), nudged(grad(score)), atol=1e-6)


def test_the_absolute_value_of_complex_multiples() -> None:
    found = grad(lambda x: abs(x * (1 + 2j)).sum())(np.array([1.0, -2.0, 0.0]))

    assert np.allclose(found, np.sqrt(5) * np.array([1, -1, 0]))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "uint32", "uint64"])
def test_gradients_do_not_wrap(dtype: str) -> None:
    """Whole numbers have slopes outside of their range, and negative ones."""
    x, y = Tensor(np.array([5, 3], dtype)), Tensor(np.array([1, 3], dtype))
    steep = (x - 5) * 100 * 100 if dtype == "int8" else x * 100 * 100
    with np.errstate(all="ignore"):
        steep.backward(np.ones(2, dtype))
    assert x.grad.tolist() == [10_000, 10_000]

    x.zero_grad()
    (x - y).sum().backward()
    assert x.grad.tolist() == [1, 1]
    assert y.grad.tolist() == [-1, -1]


# --- labels, tokens, indices

INTEGERS = ("uint8", "int8", "uint16", "int16", "int32", "uint64", "int64")


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("rows", [3, 127, 128, 255, 256, 300, 70_000])
def test_labels_of_any_type_and_number(rows: int, dtype: str) -> None:
    logits = np.random.default_rng(0).normal(size=(rows, 3))
    labels = np.arange(rows) % 3
    expected = Tensor(logits)
    losses.cross_entropy(expected, labels).backward()
    for given in (labels.astype(dtype), Tensor(labels.astype(dtype))):
        leaf = Tensor(logits)
        loss = losses.cross_entropy(leaf, given)
        loss.backward()
        assert loss.data == losses.cross_entropy(expected, labels).data
        assert np.array_equal(leaf.grad, expected.grad)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_classes_of_any_number(dtype: str) -> None:
    """There may be more classes than the type of the labels has numbers."""
    logits = Tensor(np.random.default_rng(0).normal(size=(5, 1000)))
    labels = np.array([0, 1, 127, 100, 3])
    losses.cross_entropy(logits, labels.astype(dtype)).backward()
    found = logits.grad
    logits.zero_grad()
    losses.cross_entropy(logits, labels).backward()

    assert np.array_equal(found, logits.grad)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_indices_of_any_type(dtype: str) -> None:
    rows = np.array([0, 2, 2, 100])
    picks: list[Callable[[Any, Any], Any]] = [
        lambda x, i: x.take(i),
        lambda x, i: x[i],
        lambda x, i: x[i, i % 2],
        lambda x, i: x.take(i % 2, axis=1),
    ]
    for pick in picks:
        found = []
        for indices in (rows, rows.astype(dtype), Tensor(rows.astype(dtype))):
            leaf = Tensor(np.arange(1200.0).reshape(300, 4))
            y = pick(leaf, indices.data if isinstance(indices, Tensor) else indices)
            y.backward(np.ones(y.shape))
            found.append((y.data, leaf.grad))
        for y, slopes in found[1:]:
            assert np.array_equal(y, found[0][0])
            assert np.array_equal(slopes, found[0][1])


@pytest.mark.parametrize("dtype", INTEGERS)
def test_tokens_of_any_type(dtype: str) -> None:
    table = Embedding(300, 2, rng=np.random.default_rng(0))
    tokens = np.array([[0, 7], [120, 7]])
    for given in (tokens.astype(dtype), Tensor(tokens.astype(dtype))):
        assert np.array_equal(table(given).data, table(tokens).data)


# --- sums

LONG = 1_000_000


@pytest.mark.parametrize(
    ("dtype", "number", "count"),
    [("float16", 0.001, 30_000), ("float16", 0.125, 70_000), ("float32", 0.1, LONG)],
)
@pytest.mark.parametrize("axis", [None, 0])
def test_sums_of_many_numbers(dtype: str, number: float, count: int, axis: Any) -> None:
    x = np.full((count, 2), number, dtype)
    exact = x.astype(float)
    relative = 2 * np.finfo(dtype).eps
    with np.errstate(over="ignore"):
        found = Tensor(x).sum(axis).data
        expected = exact.sum(axis).astype(dtype)

    assert np.allclose(found, expected, rtol=relative)
    assert Tensor(x).mean(axis).dtype == dtype
    assert np.allclose(Tensor(x).mean(axis).data, number, rtol=relative + 1e-3)
    bias = Tensor(np.zeros(2, dtype))
    (Tensor(x[:, :1]) * 0 + bias).backward(x)
    with np.errstate(over="ignore"):
        assert np.allclose(bias.grad, exact.sum(0).astype(dtype), rtol=relative)


def test_sums_of_float32_are_pairwise_or_better() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(3, 4000, 5)).astype("float32")
    for axis in (None, 0, 1, (0, 1), (1, 2), -1):
        exact = x.astype(float).sum(axis)
        assert np.allclose(NUMPY.sum(x, axis), exact, rtol=1e-6)
        assert NUMPY.sum(x, axis).dtype == x.dtype


def test_half_precision_is_computed_in_single() -> None:
    """Losses and normalisation pass through numbers that half cannot hold."""
    x = np.array([[300, -300, 100, 0], [1, 2, 3, 4]], "float16")
    w, b = np.ones(4, "float16"), np.zeros(4, "float16")
    wide = layer_norm(Tensor(x.astype(float)), w.astype(float), b.astype(float))
    found = layer_norm(Tensor(x), w, b)
    assert found.dtype == "float16"
    assert np.allclose(found.data, wide.data, atol=2e-3)
    many = Tensor(np.zeros((70_000, 3), "float16"))
    loss = losses.cross_entropy(many, np.zeros(70_000, "uint8"))
    loss.backward(np.float16(60_000))
    assert np.isclose(loss.data, np.log(3), rtol=1e-3)
    assert np.allclose(many.grad[0], np.array([-2, 1, 1]) * 60_000 / 210_000, rtol=1e-2)
    far = losses.mean_squared_error(Tensor(np.array([200, 1], "float16")), np.zeros(2))
    assert np.isclose(far.data, 20_000.5)


# --- conditions


@pytest.mark.parametrize(
    "condition",
    [
        [True, False],
        (1, 0),
        np.array([True, False]),
        np.array([2, 0], "uint8"),
        np.array([0.5, 0.0]),
        Tensor([1.0, 0.0]),
        Tensor([True, False]),
    ],
)
def test_conditions_of_any_kind(condition: Any) -> None:
    x = Tensor([1.0, 2.0])
    for choose in (where, prosegrad.where, Tensor.where):
        x.zero_grad()
        y = choose(condition, x, 0.0)
        assert y.data.tolist() == [1.0, 0.0]
        y.backward(np.ones(2))
        assert x.grad.tolist() == [1.0, 0.0]
        z = choose(condition, 5.0, x)
        assert z.data.tolist() == [5.0, 2.0]


@pytest.mark.parametrize("condition", [True, np.True_, 1, np.array(True), Tensor(1.0)])
def test_one_condition(condition: Any) -> None:
    assert where(condition, Tensor([1.0, 2.0]), 0.0).data.tolist() == [1.0, 2.0]


# --- NumPy's functions

UFUNCS = {{"a": "arc"}.get(name[0], name[0]) + name[1:]: name for name in NAMES}
UFUNCS |= {"absolute": "__abs__", "negative": "__neg__", "positive": "__pos__"}
UFUNCS |= {"sign": "sign"}


@pytest.mark.parametrize("name", UFUNCS)
def test_functions_of_numpy_are_the_methods(name: str) -> None:
    for kind, number in itertools.product((Value, Tensor), (0.3, 0.7)):
        x, y = kind(number), kind(number)
        found, expected = getattr(np, name)(x), getattr(y, UFUNCS[name])()
        assert type(found) is kind
        assert found.data == expected.data
        found.backward()
        expected.backward()
        assert x.grad == y.grad
        slope = grad(lambda x: getattr(np, name)(x) + 0 * x)(number)
        assert np.isclose(slope, x.grad)


BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / y,
    "power": lambda x, y: x**y,
    "less": lambda x, y: x < y,
    "less_equal": lambda x, y: x <= y,
    "greater": lambda x, y: x > y,
    "greater_equal": lambda x, y: x >= y,
    "equal": lambda x, y: x == y,
    "not_equal": lambda x, y: x != y,
    "maximum": np.maximum,
    "minimum": np.minimum,
}


@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two_numbers(name: str) -> None:
    """On either side stands a Value, a Tensor, a number, an array."""
    kinds: tuple[Any, ...] = (float, np.float64, np.float32, Value, Tensor, np.array)
    for left, right in itertools.product(kinds, kinds):
        if not {left, right} & {Value, Tensor}:
            continue
        x, y = left(2.0), right(3.0)
        found = getattr(np, name)(x, y)
        expected = getattr(np, name)(2.0, 3.0)
        if isinstance(found, Value):
            found = found.data
            assert type(getattr(np, name)(x, y)) is (
                Tensor if Tensor in (left, right) else Value
            )
            if name not in ("maximum", "minimum"):
                assert type(BINARY[name](x, y)) is type(getattr(np, name)(x, y))
                assert BINARY[name](x, y).data == found
        assert np.isclose(found, expected)


def test_products_by_numpy() -> None:
    a: Any = np.arange(6.0).reshape(2, 3)
    x: Any = Tensor(np.ones(3))
    y = np.matmul(a, x)
    y.backward(np.ones(2))

    assert y.data.tolist() == (a @ x).data.tolist() == [3.0, 12.0]
    assert x.grad.tolist() == [3.0, 5.0, 7.0]


@pytest.mark.parametrize(
    "call",
    [
        lambda x: np.floor(x),
        lambda x: np.exp2(x),
        lambda x: np.add.reduce(x),
        lambda x: np.add(x, 1.0, out=np.zeros(2)),
        lambda x: np.hypot(x, 1.0),
        lambda x: np.fmod(x, 2),
    ],
)
@pytest.mark.parametrize("x", [Value(2.0), Tensor([1.0, 2.0])])
def test_what_is_not_there_is_named(call: Any, x: Any) -> None:
    with pytest.raises(TypeError, match=r"numpy\.\w+"):
        call(x)


# --- a number that meets an array

ROW = np.array([1.0, 2.0, 3.0])
MEETINGS: dict[str, Operation] = {
    "*": lambda t: t * ROW,
    "* reflected": lambda t: ROW * t,
    "/": lambda t: t / ROW,
    "+": lambda t: t + ROW,
    "**": lambda t: t**ROW,
    "** reflected": lambda t: ROW**t,
    "np.sin": lambda t: np.sin(t) * ROW,
    "maximum": lambda t: t.maximum(ROW),
    "Tensor": lambda t: t * Tensor(ROW),
    "in a list": lambda t: [t, t * ROW],
}
TAKERS: dict[str, Operation] = {
    "jacobian": jacobian,
    "jit(jacobian)": lambda f: jit(jacobian(f)),
    "jacobian(jit)": lambda f: jacobian(jit(f)),
    "jacobian(jacobian)": lambda f: jacobian(jacobian(f)),
    "vjp": lambda f: lambda t: pulled(f, t),
}


def pulled(f: Operation, t: Any) -> Any:
    result, pull = vjp(f, t)
    ones = [1.0, np.ones(3)] if isinstance(result, list) else np.ones(3)
    return pull(ones)


@pytest.mark.parametrize("taker", TAKERS)
@pytest.mark.parametrize("meeting", MEETINGS)
def test_a_number_that_meets_an_array_is_refused(taker: str, meeting: str) -> None:
    """Its slope is a sum over the array, which a Value does not take."""
    with pytest.raises(TypeError, match="one number, and has met an array"):
        TAKERS[taker](MEETINGS[meeting])(2.0)


@pytest.mark.parametrize("meeting", sorted(set(MEETINGS) - {"in a list"}))
def test_an_array_without_axes_may_meet_one(meeting: str) -> None:
    f = MEETINGS[meeting]
    found = jacobian(f)(np.asarray(2.0))
    _, expected = jvp(f, (2.0,), (1.0,))
    assert np.shape(found) == (3,)
    assert np.allclose(np.asarray(getattr(found, "data", found)), plain(expected))


def plain(x: Any) -> Any:
    return getattr(x, "data", x) if isinstance(x, Value) else x


# --- caches


def test_no_cache_grows_with_the_shapes() -> None:
    def kept() -> int:
        gc.collect()
        wrapped = [
            x
            for module in list(sys.modules.values())
            if getattr(module, "__name__", "").startswith("prosegrad")
            for x in vars(module).values()
            if isinstance(x, functools._lru_cache_wrapper)
        ]
        return max(x.cache_info().currsize for x in wrapped)

    for n in range(1, 4000):
        x = Tensor(np.zeros((n, 2)))
        losses.cross_entropy(x, np.zeros(n, int))
        (x + np.zeros(2)).sum(0).backward(np.ones(2))

    assert kept() <= 2000
    unbounded = [
        f"{name}.{key}"
        for name, module in list(sys.modules.items())
        if name.startswith("prosegrad")
        for key, x in vars(module).items()
        if isinstance(x, functools._lru_cache_wrapper)
        and x.cache_parameters()["maxsize"] is None
        and x.__module__ == name
    ]
    assert sorted(unbounded) == UNBOUNDED


UNBOUNDED = sorted(
    [
        "prosegrad.arrays.functions_of",  # one for each library
        "prosegrad.elementary.load_arrays",  # one
        "prosegrad.kinds._of_context",  # one for each context of mpmath
        "prosegrad.value._highest",  # one for each set of levels
    ]
)

# --- what was imported before

SCRIPT = """
import sys
import numpy as np
import prosegrad
from prosegrad import *
x = np.arange(3.0)
before = {call}
import prosegrad.tensor
after = {call}
assert np.shape(before) == np.shape(after), (before, after)
assert np.array_equal(before, after)
print(np.shape(after))
"""


@pytest.mark.parametrize(
    ("call", "shape"),
    [
        ("jacobian(lambda x: x * x)(x)", "(3, 3)"),
        ("jacobian(lambda t: t * x)(np.array(2.0))", "(3,)"),
        ("hessian(lambda x: (x * x * x).sum())(x)", "(3, 3)"),
        ("grad(lambda x: (x * x).sum())(x)", "(3,)"),
        ("grad(lambda x: x.sigmoid().sum())(x)", "(3,)"),
        ("vjp(lambda x: x * x, x)[1](x)[0]", "(3,)"),
        ("jvp(lambda x: x * x, (x,), (x,))[1]", "(3,)"),
        ("Value(x).sigmoid().data", "(3,)"),
    ],
)
def test_imports_change_nothing(call: str, shape: str) -> None:
    script = SCRIPT.format(call=call)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == shape


def test_prosegrad_alone_does_not_load_numpy() -> None:
    script = (
        "import sys, prosegrad; prosegrad.grad(lambda x: x * 2)(1.0); "
        "print('numpy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


# --- PyTorch beside NumPy


def test_torch_beside_numpy() -> None:
    """It works, or the error says what meets what."""
    torch = pytest.importorskip("torch")
    x, a = torch.ones(2, 3, dtype=torch.float64), np.arange(6.0).reshape(2, 3)
    calls: list[Callable[[Any, Any], Any]] = [
        lambda x, y: x + y,
        lambda x, y: x * y,
        lambda x, y: y - x,
        lambda x, y: y / (x + 1),
        lambda x, y: tensor.matmul(x, y.T),
        lambda x, y: where([[True, False, True]], x, y),
        lambda x, y: concat([x, y]),
        lambda x, y: losses.mean_squared_error(x, y),
        lambda x, y: Tensor.maximum(x, y),
        lambda x, y: Tensor.minimum(x, y),
    ]
    for i, call in enumerate(calls):
        right = call(Tensor(a * 0 + 1), a)
        for ours, other in ((Tensor(x), a), (Tensor(a * 0 + 1), torch.tensor(a))):
            try:
                y = call(ours, other)
            except TypeError as error:
                assert "make both of one library" in str(error), (i, error)  # noqa: PT017
                continue
            y.backward(None if y.shape == () else y.data * 0 + 1)
            assert np.allclose(np.asarray(y.data), right.data)
        with pytest.raises(TypeError, match="make both of one library"):
            call(Tensor(x), Tensor(a))
    labels = torch.tensor([0, 2], dtype=torch.uint8)
    for logits, given in ((a, labels), (torch.tensor(a), labels.numpy()), (x, labels)):
        assert losses.cross_entropy(Tensor(logits), given).data > 0
    picked = Tensor(x).take(torch.tensor([1, 0, 1], dtype=torch.uint8))
    assert picked.shape == (3, 3)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.asarray(x) * x,
        lambda x: x * np.asarray(x),
        lambda x: x + np.array(list(x), dtype=object),
        lambda x: Tensor(np.asarray(x)) * 1.0,
        lambda x: where(x > 0, np.asarray(x), x),
        lambda x: x @ np.asarray(x),
        lambda x: tensor.concat([x, np.asarray(x)]),
        lambda x: tensor.linear(np.ones((1, 2)), np.asarray([x]).T, x[:1]),
    ],
)
@pytest.mark.parametrize("transform", [grad, jacobian])
def test_an_array_of_tensors_is_no_constant(transform: Any, f: Operation) -> None:
    """NumPy makes one of a Tensor; its derivative would be lost."""
    with pytest.raises(TypeError, match=r"Tensor holds numbers|taken in a Value"):
        transform(lambda x: f(x).sum())(np.array([2.0, 3.0]))
