"""What the compiler once got wrong: each of these failed until it was mended."""

from __future__ import annotations

import enum
import math
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from prosegrad import TracingError, Value, grad, jit, kinds, value_and_grad, where
from prosegrad.derivatives import Graph
from prosegrad.operations import Trace
from prosegrad.symbol import Symbol

Point = namedtuple("Point", "x y")


def cube(x: Any) -> Any:
    return x * x * x


def outcome(f: Callable[..., Any], *args: Any) -> str:
    """Return what a function returns or raises."""
    try:
        return repr(f(*args))
    except Exception as error:
        return type(error).__name__


class Colour(enum.Enum):
    RED = 1


class Size(enum.IntEnum):
    SMALL = 2


# --- test_compiler.py


def test_a_compiled_gradient_of_a_compiled_function() -> None:
    """Each has its own function and programs, whatever was wrapped."""
    inner = jit(cube)

    assert jit(grad(inner))(2.0) == 12.0
    assert jit(grad(jit(grad(inner))))(2.0) == 12.0
    assert jit(value_and_grad(inner))(2.0) == (8.0, 12.0)
    assert inner(2.0) == 8.0
    assert jit(inner, compiler=lambda f: lambda x: -f(x))(2.0) == -8.0
    assert inner(2.0) == 8.0


def test_attributes_of_the_function_stay_there() -> None:
    """They are not in the way of our own."""

    class Model:
        def __init__(self) -> None:
            self.source, self._f, self._programs = "mine", None, None

        def __call__(self, x: Any) -> Any:
            return x * 2

    fast = jit(Model())

    assert fast(2.0) == 4.0
    assert fast.source(1.0).startswith("def compiled(x):\n")


NAMES: list[tuple[Callable[..., Any], tuple[Any, ...], str]] = [
    (lambda exp, exp_: exp * exp_, (2.0, 3.0), "def compiled(exp_, exp__):"),
    (lambda arg1, *rest: arg1 * rest[0], (2.0, 3.0), "def compiled(arg1, arg1_):"),
    (lambda _: _[0] * _[0], ([3.0],), "def compiled(_):"),
    (lambda é: é[0] * é[0], ([3.0],), "def compiled(é):"),
]


@pytest.mark.parametrize(("f", "args", "head"), NAMES, ids=[n for _, _, n in NAMES])
def test_two_names_are_never_one(f: Callable[..., Any], args: Any, head: str) -> None:
    """Neither in the head of the source nor inside."""
    fast = jit(f)

    assert fast.source(*args).splitlines()[0] == head
    assert fast(*args) == f(*args)


def test_a_name_that_is_a_keyword() -> None:
    """A name that was set by hand need not be one that Python takes."""

    def f(x: Any) -> Any:
        return x * 2

    f.__name__ = "class"

    assert jit(f).source(1.0).startswith("def class_(x):\n")


@pytest.mark.parametrize(
    ("f", "reason"),
    [(max, "no numbers to decide by"), (math.hypot, "no numbers to convert")],
)
def test_a_function_that_hides_its_signature(f: Any, reason: str) -> None:
    """It is traced like others, and the error is about what it does."""
    with pytest.raises(TracingError, match=reason):
        jit(f)(1.0, 2.0)


def test_a_type_has_a_program_of_its_own() -> None:
    """Alone and at any depth: integers do not round."""
    calls = []

    def f(x: Any) -> Any:
        calls.append(x)
        return x

    fast = jit(f)
    for x in (1.0, 2, [1.0, [2]], [1, [2.0]], {"a": 1}, {"a": 1.0}) * 2:
        assert repr(fast(x)) == repr(x)
    assert len(calls) == 6


def test_a_compiler_gets_the_function_itself() -> None:
    """A named tuple is made from what the compiled code returns."""
    names = []

    def compiler(program: Any) -> Any:
        names.append(program.__name__)
        return program

    def swapped(p: Any) -> Any:
        return Point(p.y, p.x)

    assert jit(swapped, compiler=compiler)(Point(1.0, 2.0)) == Point(2.0, 1.0)
    assert names == ["swapped"]


@pytest.mark.parametrize("key", [Colour.RED, Size.SMALL, np.int64(1), math.nan])
def test_a_key_that_cannot_be_written_down(key: Any) -> None:
    """Arguments and results name it."""
    with pytest.raises(TypeError) as error:
        jit(lambda p: p[key] * 2)([{key: 1.0}][0])
    assert str(error.value) == (
        f"jit: p has the key {key!r}, which cannot be written down; use a string"
    )
    with pytest.raises(TypeError, match=r"^jit: result has the key"):
        jit(lambda x: [{key: x}])(1.0)


@pytest.mark.parametrize("key", [("a", "b c"), ("a",), (), (1, ("  ", None))])
def test_a_key_that_is_a_tuple(key: Any) -> None:
    """It is spelled without a blank, and is the same key."""
    fast = jit(value_and_grad(lambda p: p[key] * p[key]))

    assert fast({key: 3.0}) == (9.0, {key: 6.0})


@pytest.mark.parametrize("keys", [("\ufb01", "fi"), ("x²", "y²"), ("é", "è")])
def test_keys_beyond_ascii(keys: tuple[str, str]) -> None:
    """Python reads some letters as others; no two paths get one name."""
    one, other = keys
    fast = jit(lambda p: p[one] * p[one] + 10 * p[other] * p[other])

    assert fast({one: 3.0, other: 1.0}) == 19.0


def test_a_result_of_another_trace() -> None:
    """A Symbol that was kept is no result of another program."""
    kept: list[Any] = []
    jit(lambda x: kept.append(x) or x)(1.0)  # type: ignore[func-returns-value]

    with pytest.raises(TracingError) as error:
        jit(lambda x, y: kept[0])(1.0, 2.0)
    assert str(error.value) == "Symbol(0: ('input', 'x')) is from another trace"


MASK = np.array([True, False, True])
MASKED: dict[str, Callable[[Any], Any]] = {
    "where": lambda x: where(MASK, x * x, 0.0),
    "where, other side": lambda x: where(~MASK, 0.0, x * x),
    "both": lambda x: where((x > -9) & MASK, x * x, 0.0),
    "both, other side": lambda x: where(MASK & (x > -9), x * x, 0.0),
}


@pytest.mark.parametrize("f", MASKED.values(), ids=MASKED)
def test_a_mask_that_is_no_argument(f: Callable[[Any], Any]) -> None:
    """An array of truth values is a constant; it decides member by member."""
    x = np.array([1.0, 2.0, 3.0])
    total, slope = jit(value_and_grad(lambda x: f(x).sum()))(x)

    assert total == 10.0
    assert slope.tolist() == [2.0, 0.0, 6.0]
    assert jit(f)(x).tolist() == [1.0, 0.0, 9.0]


def test_brackets_around_and_on_arrays() -> None:
    """`&` binds less than `+`."""
    a, b, c = (
        np.array([1.0, 3.0, 1.0]),
        np.array([0.0, 2.0, 5.0]),
        np.array([2.0, 1.0, 0.0]),
    )
    fast = jit(lambda a, b, c: ((a > b) & (b > c)) + (a > c))

    assert "v0 = ((a > b) & (b > c)) + (a > c)\n" in fast.source(a, b, c)
    assert fast(a, b, c).tolist() == [False, True, True]
    assert jit(lambda a, b: ((a > b) & (b > 1)) + 1.0)(a, b).tolist() == [1, 2, 1]


# --- test_symbol.py


def symbols(names: str) -> list[Any]:
    trace = Trace()
    return [Symbol(trace, trace.node("input", name)) for name in names]


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_a_value_is_an_argument_of_a_method(name: str) -> None:
    """The Value takes part in the graph, as with an operator."""
    (x,) = symbols("x")
    weight = Value(3.0)
    found = getattr(x, name)(weight)
    found.backward()

    assert isinstance(found, Value)
    assert isinstance(weight.grad, Symbol)
    assert (
        jit(lambda x: getattr(x, name)(weight))(3.5)
        == ({"maximum": 3.5, "minimum": 3.0}[name])
    )


def test_where_of_a_condition_and_a_value() -> None:
    """The method and the function do the same."""
    x, y = symbols("xy")
    weight = Value(3.0)

    assert (x < y).where(weight, x).data.place == where(x < y, weight, x).data.place
    assert (x < y).where(x, weight).data.place == where(x < y, x, weight).data.place
    assert jit(grad(lambda x: Value(0.0) ** x))(2.0) == 0.0


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.maximum("a"),
        lambda x: x.minimum("a"),
        lambda x: (x > 0).where("a", x),
        lambda x: (x > 0).where(x, None),
    ],
)
def test_a_method_of_what_is_no_number(call: Callable[[Any], Any]) -> None:
    """It raises at once, like an operator."""
    with pytest.raises(TypeError, match=r"^(maximum|minimum|where): not all of "):
        call(symbols("x")[0])


def chosen(x: Any) -> Any:
    """Return x, unless it is large, with a slope that overflows elsewhere."""
    return where(x < 1, x, x * (x * x))


NAN_IN_BETWEEN: dict[str, Callable[[Any], Any]] = {
    "compared": lambda x: where(grad(chosen)(x) > 0, x, 2.0 * x),
    "compared in a sum": lambda x: where(2.0 + grad(chosen)(x) == 3.0, x, 2.0 * x),
    "maximum": lambda x: (grad(chosen)(x) * x).maximum(x * 0.5),
    "minimum": lambda x: (x * 0.5).minimum(grad(chosen)(x) * x),
    "sign": lambda x: grad(chosen)(x).sign() * x,
    "relu": lambda x: grad(lambda x: (chosen(x) * x).relu())(x) + x,
    "power": lambda x: grad(chosen)(x) ** (x * 0.0),
    "slope of it": grad(lambda x: where(grad(chosen)(x) > 0, x, 2.0 * x)),
    "a choice compared": lambda x: where(
        where(x < 2, grad(chosen)(x), 0.5) == 1.0, x, 2.0 * x
    ),
    "what only fails": grad(lambda x: 0.0 * (1.0 - grad(chosen)(x)).log() + x),
    "0 times a choice": grad(lambda x: 0.0 * where(x < 1, x, x * (x * x))),
    "0 times, compared": lambda x: where(
        grad(lambda x: 0.0 * chosen(x))(x) == 0.0, x, 2.0 * x
    ),
}


@pytest.mark.parametrize("x", [-1e200, 1e200, math.nan, 0.5])
@pytest.mark.parametrize("f", NAN_IN_BETWEEN.values(), ids=NAN_IN_BETWEEN)
def test_a_slope_of_the_side_that_was_not_taken(f: Any, x: float) -> None:
    """It is 0 times infinity in the code only, and does not decide."""
    expected = outcome(lambda x: Graph("jit", f, (x,)).result, x)

    assert outcome(jit(f), x) == expected


def test_a_constant_is_not_tested_for_nan() -> None:
    """A choice that may fail, and that nobody needs, adds no empty condition."""
    source = jit(grad(lambda x: where(x > 0, x, 2.0).log() * 0.0)).source(1.0)
    assert "if ():" not in source
    source = jit(lambda x: (where(x > 0, x, 2.0).log() ** 0.0, 3)).source(1.0)
    assert "log(" in source
    assert "if (" not in source


@pytest.mark.parametrize("x", [10**400, -(10**400), 3], ids=["+", "-", "small"])
@pytest.mark.parametrize("name", kinds.NAMES)
def test_an_integer_that_is_too_large_for_a_float(name: str, x: int) -> None:
    """No function takes it, though nobody needs what it returns."""

    def small(x: Any) -> Any:
        return getattr(-abs(x), name)()

    for f in (
        lambda x, y: where(x > 0, y, getattr(x, name)()),
        lambda x, y: where(x > 0, small(x), y) * 0.0 + y,
        grad(lambda x, y: getattr(x, name)() + y, 1),
        grad(lambda x, y: small(x) + y, 1),
    ):
        expected = outcome(lambda *args, f=f: Graph("jit", f, args).result, x, 2.0)
        assert outcome(jit(f), x, 2.0) == expected


def test_functions_of_numpy() -> None:
    """They are ours where we have them, and refuse otherwise."""
    x, _y = symbols("xy")

    assert np.where(MASK, x, 0.0).trace is x.trace
    with pytest.raises(TypeError, match=r"no implementation found for 'numpy\.sum'"):
        np.sum(x)
    with pytest.raises(TypeError, match="does not support ufuncs"):
        np.sin(x)


# --- test_operations.py


def test_a_member_of_an_enum_is_its_number() -> None:
    """Its name means nothing in the source."""
    trace = Trace()

    assert repr(trace.constants[trace.constant(Size.SMALL)]) == "2"
    assert repr(trace.constants[trace.constant(True)]) == "True"
    assert jit(lambda x: x + Size.SMALL)(1.0) == 3.0


def test_a_constant_array_decides_nothing_at_once() -> None:
    """A choice by it, and an "and" with it, are written down."""
    trace = Trace()
    x, y = trace.node("input", "x"), trace.node("input", "y")
    mask = trace.constant(MASK)

    assert trace.nodes[trace.add("where", mask, x, y)] == ("where", mask, x, y)
    assert trace.nodes[trace.add("&", x, mask)] == ("&", x, mask)
    assert trace.nodes[trace.add("&", mask, x)] == ("&", mask, x)
