"""A compiled function does what the function does: value, type, sign and error."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from operator import methodcaller
from typing import Any

import numpy as np
import pytest

from prosegrad import Value, batch_mean, grad, hessian, jit, jit_arrays, vjp, where
from prosegrad.derivatives import Graph
from prosegrad.kinds import NAMES

CONSTANTS = [0, 1, -1, 2, 3, 0.0, -0.0, 1.0, -1.0, 2.0, 0.5, -2.5]
CONSTANTS += [math.inf, -math.inf, math.nan, 10**400, 2**60 + 1]
FLOATS = [0.75, -2.0, 0.0, -0.0, 1.0, 1e-300, -3e200, 1e300, 5e-324]
FLOATS += [math.inf, -math.inf, math.nan]
OTHERS = [0, 1, -3, 2**60 + 1, Fraction(1, 3), np.float64(0.75)]
OTHERS += [np.float64(-2.0), np.float32(1.5), np.int32(3), 0.5 + 1j]


ZERO = re.compile(r"(?<!-)\b0\.0\b|np\.float64\(0\.0\)|np\.int32\(0\)")
LARGE = {2**60 + 1, 10**400}

ACTIVATIONS = ["sigmoid", "softplus", "relu", "leaky_relu", "silu", "gelu"]
UNARY: dict[str, Callable[[Any], Any]] = {
    "neg": lambda x: -x,
    "abs": abs,
    "square": lambda x: x * x,
    **{name: methodcaller(name) for name in [*NAMES, *ACTIVATIONS]},
}
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: x / y,
    "**": lambda x, y: x**y,
    "maximum": lambda x, y: (x if hasattr(x, "maximum") else y).maximum(
        y if hasattr(x, "maximum") else x
    ),
    "<": lambda x, y: x < y,
    "where": lambda x, y: where(x > 0, x * x, y),
    "where, other": lambda x, y: where(x == y, y, y - x),
}


def answer(f: Callable[..., Any], *args: Any) -> str:
    """Return what a function returns or raises, with the sign and the type."""
    try:
        with np.errstate(all="ignore"):
            return repr(f(*args))
    except Exception as error:
        return type(error).__name__


def eager(f: Callable[..., Any]) -> Callable[..., Any]:
    """Return what the engine makes of the function, in plain numbers."""
    return lambda *args: Graph("jit", f, args).result


def agree(f: Callable[..., Any], *args: Any) -> None:
    """Compare twice, for the second call finds a program."""
    for function, expected in ((f, eager(f)), (grad(f), grad(f))):
        compiled = jit(function)
        wanted = answer(expected, *args)
        assert same(answer(compiled, *args), wanted, args)
        assert same(answer(compiled, *args), wanted, args)


def same(found: str, wanted: str, args: Any) -> bool:
    """Compare; of the zeros that begin a gradient by an integer, not the type."""
    if {float} >= {*map(type, args)}:
        return found == wanted
    return ZERO.sub("0", found) == ZERO.sub("0", wanted)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("other", UNARY)
def test_two_functions(name: str, other: str) -> None:
    """One of the other, at all points."""
    f, g = UNARY[name], UNARY[other]
    for x in FLOATS + OTHERS:
        agree(lambda x: g(f(x)), x)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("constant", CONSTANTS, ids=lambda c: repr(c)[:12])
@pytest.mark.parametrize("name", BINARY)
def test_an_operation_with_a_constant(name: str, constant: Any) -> None:
    """On either side, and then some other operation that could be merged."""
    op = BINARY[name]
    for x in FLOATS + OTHERS:
        if name == "**" and type(x) is not float and (LARGE & {x, constant}):
            continue  # an integer of a billion digits
        agree(lambda x: op(x, constant), x)
        if name != "**" or type(x) is not int:  # whose slope is 0 or 0.0
            agree(lambda x: op(constant, x), x)
        agree(lambda x: op(x, constant) * 3.0 - x, x)


def program(seed: int, operations: list[str]) -> Callable[..., Any]:
    """Return a random function of two numbers."""
    constants: list[Any] = CONSTANTS
    if "**" in operations:  # of integers it is too large
        constants = [c for c in CONSTANTS if type(c) is float]

    def f(x: Any, y: Any) -> Any:
        rng = random.Random(seed)
        found = [x, y, x, y, *rng.sample(constants, 4)]
        for _ in range(7):
            if rng.random() < 0.25:
                z = rng.choice(found)
                name = rng.choice([*UNARY])
                found.append(UNARY[name](z) if hasattr(z, "sin") else -z)
            else:
                name = rng.choice(operations)
                a, b = rng.choices(found, k=2)
                if hasattr(a, "sin") or hasattr(b, "sin"):
                    found.append(BINARY[name](a, b))
        return found[-1] + 0 * x

    return f


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("seeds", range(20))
def test_random_programs(seeds: int) -> None:
    """Value and gradient of programs from all operations and constants."""
    for seed in range(40 * seeds, 40 * seeds + 40):
        rng = random.Random(-seed)
        with_ints = seed % 2 == 0  # and then without powers, which are too large
        f = program(seed, ["+", "-", "*", "/", "maximum", "+" if with_ints else "**"])
        compiled, slope = jit(f), jit(grad(f, (0, 1)))
        for _ in range(4):
            args = rng.choices(FLOATS + (OTHERS[:4] if with_ints else []), k=2)
            assert answer(compiled, *args) == answer(eager(f), *args)
            wanted = answer(grad(f, (0, 1)), *args)
            assert same(answer(slope, *args), wanted, args)


def test_the_second_derivative() -> None:
    """What simplifies a gradient does not change the gradient of it."""
    for seed in range(60):
        f = program(seed, ["+", "-", "*", "/", "**", "maximum"])
        for args in ((0.75, -2.0), (1.5, 0.25), (0.0, 1.0)):
            found = answer(jit(hessian(f, (0, 1))), *args)
            assert found == answer(hessian(f, (0, 1)), *args)


# --- numbers that are being differentiated


def test_a_captured_number() -> None:
    """It is no constant, however the function was compiled."""

    def root(p: Any) -> Any:
        f = jit(lambda x: x * x - p)
        x = 1.0
        for _ in range(20):
            x = x - f(x) / (2 * x)
        return x

    assert grad(root)(4.0) == pytest.approx(0.25)
    assert grad(lambda x: jit(lambda y: y * x)(2.0))(3.0) == 2.0
    assert grad(lambda x: jit(lambda y: y.sin() * x)(2.0))(3.0) == math.sin(2.0)
    assert grad(grad(lambda x: jit(lambda y: y * x * x * x)(2.0)))(3.0) == 36.0
    assert grad(lambda x: jit(grad(lambda y: y * y * x))(2.0))(3.0) == 4.0
    assert jit(grad(lambda x: jit(lambda y: y * x)(2.0)))(3.0) == 2.0
    assert vjp(lambda x: jit(lambda y: y * x)(2.0), 3.0)[1](1.0) == (2.0,)


def test_a_program_that_was_made_before() -> None:
    """The number was a plain one, and is being differentiated later."""
    box: list[Any] = [3.0]
    f = jit(lambda y: y * box[0])

    def g(x: Any) -> Any:
        box[0] = x
        return f(2.0)

    assert f(2.0) == 6.0
    assert grad(g)(5.0) == 2.0


def test_arguments_of_two_kinds() -> None:
    """A plain number beside a Value has the functions of a Value."""
    f = jit(lambda x, y: x * y.sin())

    assert grad(lambda x: f(x, 2.0))(3.0) == math.sin(2.0)
    x = Value(3.0)
    f(x, 2.0).backward()
    assert x.grad == math.sin(2.0)


def test_a_value_that_is_captured() -> None:
    """The result is a Value, with its graph."""
    w = Value(3.0)
    for _ in range(2):
        jit(lambda x: w * x)(2.0).backward()
    assert w.grad == 4.0


def test_batches_and_arrays() -> None:
    """They are right, or say what to write."""
    ones = np.ones(3)

    def of_batch(w: Any) -> Any:
        return batch_mean(lambda x: w * x, (0,))(ones)

    assert grad(lambda w: jit_arrays(lambda x: (x * w).sum())(ones))(2.0) == 3.0
    assert grad(lambda w: jit(lambda x: (x * w).sum())(ones))(2.0) == 3.0
    with pytest.raises(TypeError, match="is no argument"):
        grad(of_batch)(2.0)
    with pytest.raises(TypeError, match=r"batch_mean\(grad\(f\)\)"):
        grad(batch_mean(lambda w, x: w * x, (None, 0)))(2.0, ones)


# --- sources


KEYS = ["a" * 90, "it's", 'say "x"', "two\nlines", "class", "{}", "a\\ b", "\u2028"]


@pytest.mark.parametrize("key", KEYS)
def test_any_text_is_a_key(key: str) -> None:
    """Of an argument and of a result, first and last."""
    assert jit(lambda p: {key: p[key], "b": p[key] * 2})({key: 3.0}) == {
        key: 3.0,
        "b": 6.0,
    }


@pytest.mark.parametrize("depth", [1, 70, 90, 250])
def test_a_nest(depth: int) -> None:
    """It is built, though Python would not read as many brackets."""

    def nest(x: Any) -> Any:
        for _ in range(depth):
            x = [x]
        return x

    assert jit(lambda x: nest(x * 2))(3.0) == nest(6.0)


BROUGHT = [2, True, 2.0, np.float64(2.0), np.float32(2.0), np.int8(2), np.uint8(2)]
BROUGHT += [np.array(2.0), np.array(2, np.uint8)]
OF_A_BATCH: dict[str, Callable[[Any, Any, Any], Any]] = {
    "-": lambda c, w, x: -(c * x) * w,
    "- inside": lambda c, w, x: c * (-x) * w,
    "+": lambda c, w, x: w + c * x,
    "-c": lambda c, w, x: w * x - c * x,
    "/": lambda c, w, x: 1 / (c * x * w),
    "**": lambda c, w, x: (c * x) ** w,
    "abs": lambda c, w, x: abs(c * x * w),
    "sign": lambda c, w, x: (c * x * w).sign() * w,
    "maximum": lambda c, w, x: (c * x * w).maximum(3.0),
    "where": lambda c, w, x: where(c * x > 3, w * x, w - c),
}


def called(name: str, c: Any, w: Any, x: Any) -> Any:
    return methodcaller(name)(c * x * w)


OF_A_BATCH |= {n: partial(called, n) for n in ["exp", "log", "tanh", *ACTIVATIONS]}


@pytest.mark.parametrize("constant", BROUGHT, ids=lambda c: f"{type(c).__name__} {c}")
@pytest.mark.parametrize("name", OF_A_BATCH)
def test_a_batch_with_constants_of_any_type(name: str, constant: Any) -> None:
    """The mean is that of the examples, one after another in plain floats."""
    xs = np.array([1.5, 2.5, 4.0])
    for transform in (lambda f: f, grad):
        found = batch_mean(
            transform(partial(OF_A_BATCH[name], constant)), in_axes=(None, 0)
        )(1.5, xs)
        plain = jit(transform(partial(OF_A_BATCH[name], float(constant))))
        expected = np.mean([plain(1.5, float(x)) for x in xs])
        assert np.isclose(found, expected, rtol=1e-12)


# --- arrays


ARRAYS = [
    np.array([100_000, 3], np.int32),
    np.array([0.0, -0.0, 1.5], np.float32),
    np.array([0.5, -2.0, 1e300]),
    np.array(-0.0),
]
OF_ARRAYS: dict[str, Callable[[Any], Any]] = {
    "1.0 * x * x": lambda x: (1.0 * x) * x,
    "-(-1.0 * x) * x": lambda x: -(-1.0 * x) * x,
    "-(uint8 * x)": lambda x: -(np.array(3, np.uint8) * x),
    "x / 1": lambda x: x / 1,
    "x + 0.0": lambda x: 1 / (x + 0.0),
    "0 + x": lambda x: 1 / (0 + x),
    "0.0 - x": lambda x: 1 / (0.0 - x),
    "-(x - x)": lambda x: 1 / -(x - x),
    "x**0": lambda x: x**0,
    "x**1.0": lambda x: x**1.0,
    "x**2": lambda x: x**2,
    "scaled": lambda x: (2.0**-400 * x) * (2.0**-400 * x),
    "sum": lambda x: x.sum(),
    "mean": lambda x: x.mean(),
    "condition": lambda x: where(x > 0, x, 0 * x),
}


@pytest.mark.parametrize("x", ARRAYS, ids=lambda x: f"{x.dtype}{x.shape}")
@pytest.mark.parametrize("name", OF_ARRAYS)
def test_arrays(name: str, x: Any) -> None:
    """Shape, type, and each number to the sign of its zero."""
    f = OF_ARRAYS[name]
    with np.errstate(all="ignore"):
        expected = np.asarray(f(x))
        for compiled in (jit(f), jit_arrays(f)):
            found = compiled(x)
            assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
            assert repr(found.tolist()) == repr(expected.tolist())


TYPES = ["bool", "uint8", "int8", "int32", "int64"]
TYPES += ["float16", "float32", "float64", "complex128"]
FACTORS: list[Any] = [1.0, -1.0, 0.0, -0.0, 2.0, -2.0, 0.5, 1, -1, 0, 2, True]
FACTORS += [np.float64(-1.0), np.float32(2.0), np.int8(-1), np.uint8(2)]
FACTORS += [np.array([1, 2], np.uint8), np.array([-1.0, 2.0])]


def program_of_arrays(rng: random.Random, depth: int) -> Callable[[Any, Any], Any]:
    """Return a random function of two arrays: signs, factors, sums, powers."""
    if depth == 0:
        constant = rng.choice(FACTORS)
        leaves: list[Callable[[Any, Any], Any]] = [
            lambda x, y: x,
            lambda x, y: y,
            lambda x, y: constant,
        ]
        return rng.choices(leaves, (5, 2, 5))[0]
    left, right = (program_of_arrays(rng, rng.randrange(depth)) for _ in "ab")
    n, edge = rng.choice([0, 1, 2, 1.0, 2.0]), rng.choice([0.0, 1.0])
    inner: list[Callable[[Any, Any], Any]] = [
        lambda x, y: -left(x, y),
        lambda x, y: abs(left(x, y)),
        lambda x, y: left(x, y) ** n,
        lambda x, y: where(x > edge, left(x, y), right(x, y)),
        lambda x, y: left(x, y) * right(x, y),
        lambda x, y: left(x, y) + right(x, y),
        lambda x, y: left(x, y) - right(x, y),
        lambda x, y: left(x, y) / right(x, y),
    ]
    return rng.choices(inner, (4, 1, 1, 1, 4, 2, 2, 1))[0]


def array_or_error(f: Callable[..., Any], *args: Any) -> Any:
    """Return the type, the shape and the numbers of a result, or the error."""
    try:
        with np.errstate(all="ignore"):
            found = np.asarray(f(*args))
    except Exception as error:
        return type(error)
    return found.dtype, found.shape, repr(found.tolist()).replace("-nan", "nan")


@pytest.mark.parametrize("kind", TYPES)
def test_random_programs_of_arrays(kind: str) -> None:
    """Of every type: what a factor or a sign is taken from keeps its type."""
    numbers = [0, 1, 3, -2, 100, 255, -0.0, 0.5, -1.5, 100_000]
    for seed in range(400):
        rng = random.Random(seed)
        f = program_of_arrays(rng, 5)
        with np.errstate(all="ignore"):
            x = np.array(rng.choices(numbers, k=4)).astype(kind).reshape(2, 2)
            y = np.array(rng.choices(numbers, k=2)).astype(rng.choice(TYPES))
        assert array_or_error(jit(f), x, y) == array_or_error(f, x, y), seed


def test_a_gradient_of_an_array() -> None:
    """It is refused as without jit, and a sum is compiled."""
    with pytest.raises(TypeError, match="should return one real number"):
        jit(grad(lambda w, x: w * x))(np.array(2.0), np.array([1.0, 7.0]))
    found = jit(grad(lambda w, x: (w * x).sum()))(np.array(2.0), np.array([1.0, 7.0]))
    assert found == 8.0


def test_types_of_torch() -> None:
    """An array without axes has a say where it was stretched."""
    torch = pytest.importorskip("torch")
    from prosegrad.arrays import library

    def f(x: Any, s: Any) -> Any:
        return library(x).broadcast_to(x, (3,)) * s

    args = torch.tensor(1.5, dtype=torch.float64), torch.ones(3)
    found, expected = jit_arrays(f)(*args), f(*args)
    assert found.dtype == expected.dtype == torch.float64
