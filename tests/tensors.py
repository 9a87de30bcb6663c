"""What tests of tensors share: libraries, layouts, calls, and an exact judge.

A call is one operation with its operands. It is written twice: with the methods
of a Tensor, and plainly, with NumPy on arrays of numbers of 50 digits. The judge
nudges the plain one, and so knows no rule of differentiation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mpmath import mpf

from prosegrad import cross_entropy, grad, mean_squared_error
from prosegrad.tensor import Tensor, concat, linear, matmul, stack, where

MASK = np.array([[True, False, True], [False, False, True]])
TITLES = {"numpy": "NumPy", "torch": "PyTorch", "jax": "JAX"}
DIGITS = 50
NUDGE = mpf(10) ** -14  # squared, it leaves 28 digits right

# --- the libraries


@dataclass(frozen=True)
class Library:
    """An array library: how to make an array, and how to read it."""

    name: str
    make: Callable[..., Any]

    def array(self, x: Any, dtype: str = "float64") -> Any:
        """Return a new array; one of NumPy cannot be written to."""
        return self._locked(self.make(np.array(x, dtype)))

    def laid(self, x: Any, layout: str) -> Any:
        """Return `x` as an array that lies in memory in another order."""
        if layout == "transposed" and x.ndim > 1:
            axes = tuple(range(x.ndim))[::-1]
            y = self.make(np.array(x.transpose()))
            return self._locked(y.permute(axes) if self.name == "torch" else y.T)
        if layout == "strided" and x.ndim:
            return self._locked(self.make(np.repeat(x, 2, axis=-1))[..., ::2])
        if layout == "reversed" and x.ndim and self.name == "numpy":
            return self._locked(np.array(x[::-1])[::-1])
        return self.array(x)

    def _locked(self, x: Any) -> Any:
        if self.name == "numpy":
            x.flags.writeable = False
        return x

    def owns(self, x: Any) -> bool:
        """Tell whether `x` is an array of this library; NumPy has members too."""
        kinds = (type(self.array(0.0)), *[np.generic] * (self.name == "numpy"))
        return isinstance(x, kinds)

    def dtype(self, name: str) -> Any:
        return getattr(
            import_module("jax.numpy" if self.name == "jax" else self.name), name
        )


@contextmanager
def opened(name: str) -> Iterator[Library]:
    """Give a library, JAX with 64 bits until the end; skip if it is missing."""
    if name == "numpy":
        yield Library(name, np.array)
        return
    module = pytest.importorskip(name, reason=f"{TITLES[name]} is not installed")
    if name == "torch":
        yield Library(name, module.tensor)
        return
    before = module.config.jax_enable_x64
    module.config.update("jax_enable_x64", True)
    try:
        yield Library(name, module.numpy.asarray)
    finally:
        module.config.update("jax_enable_x64", before)


LAYOUTS = ("plain", "transposed", "strided", "reversed")

# --- calls


@dataclass(frozen=True)
class Call:
    """One operation on some operands, and what it means."""

    text: str
    ours: Callable[..., Any]
    plain: Callable[..., Any]
    arrays: tuple[Any, ...]
    layout: str = "plain"

    def __repr__(self) -> str:
        arrays = ", ".join(repr(x.tolist()) for x in self.arrays)
        return (
            f"<{self.text} of {[x.shape for x in self.arrays]} {arrays} {self.layout}>"
        )


def A(*shape: int) -> Any:
    """Return 1, 2, 3 … in a shape."""
    return np.arange(1.0, 1 + np.prod(shape, dtype=int)).reshape(shape)


def lifted(x: Any) -> Any:
    """Return the numbers of an array with 50 digits."""
    numbers = np.empty(np.shape(x), object)
    numbers.reshape(-1)[:] = [mpf(v) for v in np.asarray(x).reshape(-1).tolist()]
    return numbers


def each(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function of one number as one of arrays."""
    return lambda x: np.vectorize(function, otypes=[object])(x)


def weights(shape: Sequence[int], phase: float = 0.5) -> Any:
    """Return numbers that are all different, none of them 0 or 1."""
    count = int(np.prod(shape, dtype=int))
    return np.round(np.cos(phase + np.arange(count)), 6).reshape(tuple(shape))


@dataclass(frozen=True)
class Exact:
    """The result of a call, its gradients, and those of a slope."""

    call: Call

    def value(self) -> Any:
        return self._run([lifted(x) for x in self.call.arrays])

    def _run(self, arrays: Sequence[Any]) -> Any:
        with mpmath.workdps(DIGITS):
            y = self.call.plain(*(np.asarray(x, object) for x in arrays))
            return np.asarray(y, object)

    def _total(self, arrays: Sequence[Any], square: bool) -> Any:
        y = self._run(arrays)
        with mpmath.workdps(DIGITS):
            return np.sum(lifted(weights(y.shape)) * (y * y if square else y))

    def _nudged(self, score: Callable[[Sequence[Any]], Any]) -> list[Any]:
        found = []
        start = [lifted(x) for x in self.call.arrays]
        with mpmath.workdps(DIGITS):
            for i, x in enumerate(start):
                slopes = np.empty(x.shape, object)
                for place in np.ndindex(x.shape):
                    ends = []
                    for sign in (1, -1):
                        moved = [a.copy() for a in start]
                        moved[i][place] += sign * NUDGE
                        ends.append(score(moved))
                    slopes[place] = (ends[0] - ends[1]) / (2 * NUDGE)
                found.append(slopes.astype(float))
        return found

    def gradients(self) -> list[Any]:
        """Return the gradients of the weighted sum of the result."""
        return self._nudged(lambda arrays: self._total(arrays, False))

    def bends(self) -> list[Any]:
        """Return the Hessian of the weighted squares, times `directions`."""
        moves = [lifted(v) for v in directions(self.call)]

        def slope(arrays: Sequence[Any]) -> Any:
            ends = [
                self._total(
                    [a + sign * NUDGE * v for a, v in zip(arrays, moves, strict=True)],
                    True,
                )
                for sign in (1, -1)
            ]
            return (ends[0] - ends[1]) / (2 * NUDGE)

        return self._nudged(slope)


def directions(call: Call) -> list[Any]:
    return [weights(x.shape, 2.0 + i) for i, x in enumerate(call.arrays)]


def plain_array(x: Any) -> Any:
    """Return what a Tensor holds, as an array of NumPy."""
    while isinstance(x, Tensor):
        x = x.data
    return np.asarray(x)


def assert_close(found: Any, expected: Any, allowed: float = 1e-12) -> None:
    found, expected = np.asarray(found), np.asarray(expected).astype(float)

    assert found.shape == expected.shape
    if expected.size:
        scale = max(1.0, float(np.max(np.abs(expected))))
        assert np.max(np.abs(found - expected)) <= allowed * scale, (found, expected)


def leaves_of(library: Library, call: Call) -> list[Tensor]:
    return [Tensor(library.laid(x, call.layout)) for x in call.arrays]


def bends_of(library: Library, call: Call) -> list[Any]:
    """Return the Hessian times `directions`, by the gradient of a gradient."""
    argnums = tuple(range(len(call.arrays)))
    moves = [library.array(v) for v in directions(call)]

    def score(*xs: Any) -> Any:
        y = call.ours(*xs)
        return (library.array(weights(y.shape)) * (y * y)).sum()

    def slope(*xs: Any) -> Any:
        pairs = zip(grad(score, argnums)(*xs), moves, strict=True)
        terms = [(g * v).sum() for g, v in pairs]
        return sum(terms[1:], terms[0])

    arrays = [library.laid(x, call.layout) for x in call.arrays]
    found: list[Any] = [plain_array(g) for g in grad(slope, argnums)(*arrays)]
    return found


def check(library: Library, call: Call, second: bool = True) -> None:
    """Check result, shapes, types, gradients and second derivatives of a call."""
    exact = Exact(call)
    leaves = leaves_of(library, call)
    before = [np.array(plain_array(x)) for x in leaves]
    y = call.ours(*leaves)
    assert_close(y.data, exact.value())
    assert y.dtype == library.dtype("float64")
    assert library.owns(y.data)

    seed = library.array(weights(y.shape))
    y.backward(seed)
    for x, expected in zip(leaves, exact.gradients(), strict=True):
        assert library.owns(x.grad)
        assert x.grad.dtype == x.dtype
        assert_close(x.grad, expected)
    for x, old in zip(leaves, before, strict=True):
        assert np.array_equal(plain_array(x), old)
    assert np.array_equal(np.asarray(seed), weights(y.shape))
    if second:
        bends = bends_of(library, call)
        for found, expected in zip(bends, exact.bends(), strict=True):
            assert_close(found, expected, 1e-10)


# --- strategies

SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
FULL = hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=3)


def arrays(
    shape: Any, low: float = -2, high: float = 2, odd: bool = True, unique: bool = False
) -> st.SearchStrategy[Any]:
    """Draw odd multiples of 1/32, and so never 0, or even ones."""
    first, last = int(low * 16), int(high * 16) - 1
    numbers = st.integers(first, last).map(lambda k: (2 * k + odd) / 32)
    return hnp.arrays(float, shape, elements=numbers, unique=unique)


# --- the rules: for each name, calls drawn at random


def unary(
    name: str, plain: Callable[[Any], Any], low: float = -2, high: float = 2
) -> st.SearchStrategy[Call]:
    def ours(x: Any) -> Any:
        return getattr(x, name)()

    return st.builds(
        lambda x, layout: Call(name, ours, plain, (x,), layout),
        SHAPES.flatmap(lambda shape: arrays(shape, low, high)),
        st.sampled_from(LAYOUTS),
    )


def sigmoid(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x))


def gelu(x: Any) -> Any:
    return x * sigmoid(mpmath.sqrt(8 / mpmath.pi) * (x + mpf(0.044715) * x**3))


UNARY: dict[str, st.SearchStrategy[Call]] = {
    "exp": unary("exp", each(mpmath.exp)),
    "expm1": unary("expm1", each(mpmath.expm1)),
    "log": unary("log", each(mpmath.log), 0.25, 4),
    "log1p": unary("log1p", each(mpmath.log1p), -0.75, 4),
    "sqrt": unary("sqrt", each(mpmath.sqrt), 0.25, 4),
    "sin": unary("sin", each(mpmath.sin)),
    "cos": unary("cos", each(mpmath.cos)),
    "tan": unary("tan", each(mpmath.tan), -1, 1),
    "asin": unary("asin", each(mpmath.asin), -0.75, 0.75),
    "acos": unary("acos", each(mpmath.acos), -0.75, 0.75),
    "atan": unary("atan", each(mpmath.atan)),
    "sinh": unary("sinh", each(mpmath.sinh)),
    "cosh": unary("cosh", each(mpmath.cosh)),
    "tanh": unary("tanh", each(mpmath.tanh)),
    "sigmoid": unary("sigmoid", each(sigmoid)),
    "softplus": unary("softplus", each(lambda x: mpmath.log1p(mpmath.exp(x)))),
    "relu": unary("relu", each(lambda x: x if x > 0 else 0 * x)),
    "leaky_relu": unary("leaky_relu", each(lambda x: x if x > 0 else mpf(0.01) * x)),
    "silu": unary("silu", each(lambda x: x * sigmoid(x))),
    "gelu": unary("gelu", each(gelu)),
    "__abs__": unary("__abs__", each(abs)),
    "__neg__": unary("__neg__", lambda x: -x),
    "__pos__": unary("__pos__", lambda x: x),
}


def powers(n: float) -> st.SearchStrategy[Call]:
    low = 0.5 if n != int(n) or n < 0 else -2
    return st.builds(
        lambda x, layout: Call(
            f"**{n}", lambda x: x**n, lambda x: x ** mpf(n), (x,), layout
        ),
        SHAPES.flatmap(lambda shape: arrays(shape, low, 2)),
        st.sampled_from(LAYOUTS),
    )


POWERS = {f"** {n}": powers(n) for n in (0, 1, 2, 3, -1, -2, 0.5, 0.25, -0.5, 2.5)}


def binary(
    name: str,
    ours: Callable[[Any, Any], Any],
    plain: Callable[[Any, Any], Any],
    low: float = -2,
    high: float = 2,
) -> st.SearchStrategy[Call]:
    """Draw two operands of any shapes that fit, which are nowhere equal."""

    @st.composite
    def call(draw: Any) -> Call:
        fits = hnp.mutually_broadcastable_shapes(
            num_shapes=2, max_dims=3, min_side=0, max_side=3
        )
        a, b = draw(fits).input_shapes
        x, y = draw(arrays(a, low, high)), draw(arrays(b, low, high, odd=False))
        y = np.where(y == 0, 1.0, y)
        return Call(name, ours, plain, (x, y), draw(st.sampled_from(LAYOUTS)))

    return call()


BINARY: dict[str, tuple[Any, Any, float, float]] = {
    "+": (lambda x, y: x + y, lambda x, y: x + y, -2, 2),
    "-": (lambda x, y: x - y, lambda x, y: x - y, -2, 2),
    "*": (lambda x, y: x * y, lambda x, y: x * y, -2, 2),
    "/": (lambda x, y: x / y, lambda x, y: x / y, 0.5, 3),
    "**": (lambda x, y: x**y, lambda x, y: x**y, 0.5, 2),
    "maximum": (lambda x, y: Tensor.maximum(x, y), np.maximum, -2, 2),
    "minimum": (lambda x, y: Tensor.minimum(x, y), np.minimum, -2, 2),
}


@st.composite
def choices(draw: Any) -> Call:
    """Draw a `where` of three shapes that fit."""
    fits = hnp.mutually_broadcastable_shapes(
        num_shapes=3, max_dims=3, min_side=0, max_side=3
    )
    a, b, c = draw(fits).input_shapes
    mask = draw(hnp.arrays(bool, a))
    return Call(
        f"where {mask.tolist()}",
        lambda x, y: where(like(mask, x), x, y),
        lambda x, y: np.where(mask, x, y),
        (draw(arrays(b)), draw(arrays(c))),
        draw(st.sampled_from(LAYOUTS)),
    )


def like(x: Any, other: Any) -> Any:
    """Return an array of NumPy as one of the library of another."""
    while isinstance(other, Tensor):
        other = other.data
    kind = type(other).__module__.split(".")[0]
    if kind == "torch":
        return import_module("torch").tensor(x)
    return x if kind == "numpy" else import_module("jax.numpy").asarray(x)


def axes(ndim: int) -> st.SearchStrategy[Any]:
    """Draw None, an axis, or some, in any order, from the front or the back."""
    one = st.integers(-ndim, ndim - 1)
    many = st.lists(one, unique_by=lambda i: i % ndim, max_size=ndim).map(tuple)
    return st.none() | one | many if ndim else st.sampled_from([None, ()])


def log_sum_exp(x: Any, axis: Any, keepdims: bool) -> Any:
    total = np.asarray(each(mpmath.exp)(x).sum(axis=axis, keepdims=keepdims))
    return each(mpmath.log)(total.astype(object))


def mean(x: Any, axis: Any, keepdims: bool) -> Any:
    total = np.asarray(x.sum(axis=axis, keepdims=keepdims), object)
    return total / mpf(x.size // max(1, total.size))


REDUCTIONS: dict[str, Any] = {
    "sum": lambda x, axis, keepdims: np.sum(x, axis=axis, keepdims=keepdims),
    "mean": mean,
    "max": lambda x, axis, keepdims: np.max(x, axis=axis, keepdims=keepdims),
    "min": lambda x, axis, keepdims: np.min(x, axis=axis, keepdims=keepdims),
    "logsumexp": log_sum_exp,
}


@st.composite
def reductions(draw: Any, name: str) -> Call:
    shapes = SHAPES if name == "sum" else FULL | st.just(())
    if name in ("max", "min", "logsumexp"):
        # Without members along the axis there is no largest, but beside it …
        shapes = shapes | st.sampled_from([(0, 2), (0, 3, 2)])
    shape = draw(shapes)
    axis = draw(axes(len(shape)))
    if 0 in shape and name != "sum":
        axis = draw(st.sampled_from([-1, 1, (1,)]))
    keepdims = draw(st.booleans())
    plain = REDUCTIONS[name]
    return Call(
        f"{name} axis={axis} keepdims={keepdims}",
        lambda x: getattr(x, name)(axis=axis, keepdims=keepdims),
        lambda x: plain(x, axis, keepdims),
        (draw(arrays(shape, -3, 3, unique=True)),),
        draw(st.sampled_from(LAYOUTS)),
    )


@st.composite
def softmaxes(draw: Any) -> Call:
    shape = draw(FULL | st.just(()) | st.just((0, 3)))
    axis = draw(st.just(-1) if 0 in shape else axes(len(shape)))

    def plain(x: Any) -> Any:
        e = each(mpmath.exp)(x)
        return e / np.sum(e, axis=axis, keepdims=True)

    return Call(
        f"softmax axis={axis}",
        lambda x: x.softmax(axis),
        plain,
        (draw(arrays(shape)),),
        draw(st.sampled_from(LAYOUTS)),
    )


@st.composite
def cross_entropies(draw: Any) -> Call:
    shape = draw(FULL)
    classes = draw(hnp.arrays(int, shape[:-1], elements=st.integers(0, shape[-1] - 1)))

    def plain(x: Any) -> Any:
        logs = log_sum_exp(x, -1, False)
        right = np.take_along_axis(x, classes[..., None], -1)[..., 0]
        return np.sum(logs - right) / mpf(classes.size)

    return Call(
        f"cross_entropy {classes.tolist()}",
        lambda x: cross_entropy(x, classes),
        plain,
        (draw(arrays(shape)),),
        draw(st.sampled_from(LAYOUTS)),
    )


@st.composite
def mean_squares(draw: Any) -> Call:
    shape = draw(FULL | st.just(()))
    return Call(
        "mean_squared_error",
        mean_squared_error,
        lambda x, y: np.sum((x - y) ** 2) / mpf(x.size),
        (draw(arrays(shape)), draw(arrays(shape))),
        draw(st.sampled_from(LAYOUTS)),
    )


def factors(n: int) -> list[tuple[int, ...]]:
    """Return shapes of three axes at most for `n` numbers, -1 among the lengths."""
    pairs = [(k, n // k) for k in range(1, n + 1) if n % k == 0] or [(0, 2), (3, 0)]
    shapes = [(n,), *pairs, *((k, 1, m) for k, m in pairs)]
    return shapes + ([(-1,), *((k, -1) for k, _ in pairs if k)] if n else [])


@st.composite
def reshapes(draw: Any) -> Call:
    x = draw(SHAPES.flatmap(arrays))
    shape = draw(st.sampled_from(factors(x.size)))
    spread = draw(st.booleans())
    return Call(
        f"reshape {shape}",
        lambda x: x.reshape(*shape) if spread else x.reshape(shape),
        lambda x: x.reshape(shape),
        (x,),
        draw(st.sampled_from(LAYOUTS)),
    )


@st.composite
def permutations(draw: Any) -> Call:
    shape = draw(SHAPES | st.just((1, 2, 3)))
    n = len(shape)
    order = tuple(i - n * draw(st.booleans()) for i in draw(st.permutations(range(n))))
    return Call(
        f"permute_dims {order}",
        lambda x: x.permute_dims(order),
        lambda x: np.transpose(x, order),
        (draw(arrays(shape)),),
        draw(st.sampled_from(LAYOUTS)),
    )


@st.composite
def transposes(draw: Any, name: str) -> Call:
    shape = draw(
        hnp.array_shapes(min_dims=0 if name == "T" else 2, max_dims=4, max_side=3)
    )
    return Call(
        name,
        lambda x: getattr(x, name),
        lambda x: x.T if name == "T" else np.swapaxes(x, -1, -2),
        (draw(arrays(shape)),),
        draw(st.sampled_from(LAYOUTS)),
    )


@st.composite
def stretches(draw: Any) -> Call:
    shape = draw(SHAPES)
    larger = [draw(st.integers(0, 3)) if n == 1 else n for n in shape]
    larger = [*draw(st.lists(st.integers(0, 3), max_size=2)), *larger]
    return Call(
        f"broadcast_to {larger}",
        lambda x: x.broadcast_to(tuple(larger)),
        lambda x: np.broadcast_to(x, larger),
        (draw(arrays(shape)),),
        draw(st.sampled_from(LAYOUTS)),
    )


@st.composite
def expansions(draw: Any) -> Call:
    x = draw(SHAPES.flatmap(arrays))
    axis = draw(st.integers(-x.ndim - 1, x.ndim))
    return Call(
        f"expand_dims {axis}",
        lambda x: x.expand_dims(axis),
        lambda x: np.expand_dims(x, axis),
        (x,),
        draw(st.sampled_from(LAYOUTS)),
    )


def indices(n: int, min_dims: int = 1) -> st.SearchStrategy[Any]:
    """Draw whole numbers for an axis of n, from both ends, with repeats."""
    shape = hnp.array_shapes(min_dims=min_dims, max_dims=2, min_side=0, max_side=3)
    shape = shape if n else st.just((0,))
    return hnp.arrays(int, shape, elements=st.integers(-n, max(0, n - 1)))


@st.composite
def keys(draw: Any, shape: Any) -> Any:
    """Draw whatever an array of this shape may be indexed with."""
    kinds = ["basic", "mask"]
    if shape:
        kinds += ["first", "list", "rows of a mask"]
    if shape and 0 not in shape:
        kinds += ["integers", "mixed"]
    kind = draw(st.sampled_from(kinds))
    if kind == "mask":
        return draw(hnp.arrays(bool, shape))
    if kind == "rows of a mask":
        return draw(hnp.arrays(bool, shape[:1]))
    if kind == "first":
        return draw(indices(shape[0]))
    if kind == "list":
        return draw(indices(shape[0], 1)).reshape(-1).tolist()
    if kind == "integers":
        return draw(hnp.integer_array_indices(shape, result_shape=FULL))
    if kind == "mixed":
        return (
            draw(indices(shape[0])),
            ...,
            None,
            *[slice(None, 2)] * (len(shape) > 1),
        )
    return draw(hnp.basic_indices(shape, allow_newaxis=True, max_dims=4))


def is_for_torch(key: Any) -> bool:
    """Tell whether PyTorch takes it: no negative step, nor one truth value."""
    parts = key if isinstance(key, tuple) else (key,)
    return not any(isinstance(p, slice) and (p.step or 1) < 0 for p in parts) and (
        not isinstance(key, np.ndarray) or key.ndim > 0
    )


@st.composite
def parts(draw: Any, negative: bool = True) -> Call:
    x = draw(SHAPES.flatmap(arrays))
    key = draw(keys(x.shape).filter(lambda key: negative or is_for_torch(key)))
    return Call(
        f"[{key!r}]",
        lambda x: x[key],
        lambda x: np.asarray(x[key], object),
        (x,),
        draw(st.sampled_from(LAYOUTS)),
    )


@st.composite
def takes(draw: Any) -> Call:
    x = draw(hnp.array_shapes(max_dims=3, min_side=0, max_side=3).flatmap(arrays))
    axis = draw(st.integers(-x.ndim, x.ndim - 1))
    wanted = draw(indices(x.shape[axis]))
    return Call(
        f"take {wanted.tolist()} axis={axis}",
        lambda x: x.take(wanted, axis=axis),
        lambda x: np.take(x, wanted, axis=axis),
        (x,),
        draw(st.sampled_from(LAYOUTS)),
    )


@st.composite
def additions_at(draw: Any, negative: bool = True) -> Call:
    shape = draw(SHAPES)
    key = draw(keys(shape).filter(lambda key: negative or is_for_torch(key)))
    inside = np.zeros(shape)[key].shape

    def plain(values: Any) -> Any:
        found = lifted(np.zeros(shape))
        np.add.at(found, key, values)
        return found

    return Call(
        f"add_at {shape} [{key!r}]",
        lambda x: Tensor.add_at(shape, key, x),
        plain,
        (draw(arrays(inside)),),
        draw(st.sampled_from(LAYOUTS)),
    )


@st.composite
def products(draw: Any) -> Call:
    """Draw operands of `@`: vectors, matrices, and stacks of any that fit."""
    fits = hnp.mutually_broadcastable_shapes(
        signature=np.matmul.signature, max_dims=2, min_side=0, max_side=3
    )
    a, b = draw(fits).input_shapes
    return Call(
        "@",
        draw(st.sampled_from([matmul, lambda x, y: x @ y])),
        lambda x, y: (
            np.matmul(x, y)
            if x.shape[-1]
            else mpf(0) + np.zeros(np.matmul(np.zeros(a), np.zeros(b)).shape)
        ),
        (draw(arrays(a)), draw(arrays(b))),
        draw(st.sampled_from(LAYOUTS)),
    )


@st.composite
def linears(draw: Any) -> Call:
    n, k, m = (draw(st.integers(0, 3)) for _ in range(3))
    rows = draw(st.sampled_from([(), (n,), (2, n), (2, 1, n)]))
    bias = draw(st.sampled_from([(m,), (1,), (), (1, m), (2, 1, 1, m)]))
    shapes = ((*rows, k), (k, m), bias)

    def plain(x: Any, weight: Any, bias: Any) -> Any:
        y = np.matmul(x, weight) if k else mpf(0) + np.zeros((*rows, m))
        return y + bias

    return Call(
        "linear",
        linear,
        plain,
        tuple(draw(arrays(shape)) for shape in shapes),
        draw(st.sampled_from(LAYOUTS)),
    )


@st.composite
def joints(draw: Any, name: str) -> Call:
    shape = list(draw(FULL | st.sampled_from([(0, 2), (2, 0)])))
    count = draw(st.integers(1, 3))
    if name == "stack":
        axis = draw(st.integers(-len(shape) - 1, len(shape)))
        shapes = [shape] * count
    else:
        axis = draw(st.integers(-len(shape), len(shape) - 1))
        shapes = [list(shape) for _ in range(count)]
        for one in shapes:
            one[axis] = draw(st.integers(0, 3))
    pairs: dict[str, Any] = {
        "stack": (stack, np.stack),
        "concat": (concat, np.concatenate),
    }
    joined = pairs[name]
    return Call(
        f"{name} axis={axis}",
        lambda *xs: joined[0](xs, axis=axis),
        lambda *xs: joined[1](xs, axis=axis),
        tuple(draw(arrays(tuple(s))) for s in shapes),
        draw(st.sampled_from(LAYOUTS)),
    )


def rules(negative: bool = True) -> dict[str, st.SearchStrategy[Call]]:
    """Return a strategy for each rule; PyTorch has no negative steps."""
    return {
        **UNARY,
        **POWERS,
        **{name: binary(name, *rest) for name, rest in BINARY.items()},
        "where": choices(),
        **{name: reductions(name) for name in REDUCTIONS},
        "softmax": softmaxes(),
        "cross_entropy": cross_entropies(),
        "mean_squared_error": mean_squares(),
        "reshape": reshapes(),
        "permute_dims": permutations(),
        "T": transposes("T"),
        "mT": transposes("mT"),
        "broadcast_to": stretches(),
        "expand_dims": expansions(),
        "getitem": parts(negative),
        "take": takes(),
        "add_at": additions_at(negative),
        "matmul": products(),
        "linear": linears(),
        "concat": joints("concat"),
        "stack": joints("stack"),
    }


RULES = rules()
