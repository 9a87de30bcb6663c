"""From a trace to the text of a function: what is written, and how it is spelled."""

from __future__ import annotations

import functools
import itertools
import math
import operator
import random
import re
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prosegrad import elementary
from prosegrad.compiler import ARRAY_NAMES, FLOATS
from prosegrad.operations import Trace
from prosegrad.symbol import Symbol, place_of
from prosegrad.trees import Structure, flatten
from prosegrad.writer import (
    AND,
    ARRAY,
    ATOM,
    CHOICE,
    COMPARISON,
    FORMS,
    LEFT_TO_RIGHT,
    LONGEST_PART,
    NEGATIVE,
    PRODUCT,
    REPEATING,
    SCALAR,
    SUM,
    WIDTH,
    Writer,
    display,
    fold,
    live_places,
    may_fail,
    operands_of,
)
from tests.operators import BINARY

ARRAYS = {name: getattr(np, name) for name in ARRAY_NAMES}


def traced(
    function: Callable[..., Any], names: Iterable[str] = "abc"
) -> tuple[Trace, list[int]]:
    """Return the trace of a function, and the places of its results."""
    trace = Trace()
    inputs = [Symbol(trace, trace.node("input", name)) for name in names]
    result = function(*inputs)
    results = result if isinstance(result, list) else [result]
    return trace, [place_of(trace, number) for number in results]


def written(
    function: Callable[..., Any],
    names: Iterable[str] = "abc",
    forms: Any = SCALAR,
    taken: Iterable[str] = (),
) -> list[str]:
    """Return the lines for a function, and last the texts of its results."""
    trace, outputs = traced(function, names)
    writer = Writer(trace, outputs, forms, {*names, *taken})
    return [*writer.lines, ", ".join(writer.texts[place][0] for place in outputs)]


def spelled(function: Callable[..., Any], forms: Any = SCALAR) -> str:
    """Return the expression of a function that is written in one line."""
    line, name = written(function, forms=forms)
    assert (line[:5], name) == ("v0 = ", "v0")
    return line[5:]


# --- what is needed


@pytest.mark.parametrize(
    ("node", "operands"),
    [
        (("input", "x"), ()),
        (("constant", (float, 2.0, 1.0)), ()),
        (("neg", 3), (3,)),
        (("*", 3, 3), (3, 3)),
        (("where", 5, 3, 4), (5, 3, 4)),
    ],
)
def test_operands_of(node: Any, operands: tuple[int, ...]) -> None:
    """Inputs and constants have none; another node has those behind its name."""
    assert operands_of(node) == operands


def test_live_places() -> None:
    """What an output needs, operands first, and nothing else."""
    trace = Trace()
    x, y = trace.node("input", "x"), trace.node("input", "y")
    two = trace.constant(2.0)
    doubled, unused = trace.node("*", two, x), trace.node("sin", x)
    total = trace.node("+", doubled, doubled)
    later = trace.node("cos", total)

    assert live_places(trace, [total]) == [x, two, doubled, total]
    assert live_places(trace, [total, y]) == [x, y, two, doubled, total]
    assert live_places(trace, [y, total]) == [x, y, two, doubled, total]
    assert live_places(trace, [total, total]) == [x, two, doubled, total]
    assert live_places(trace, [x]) == [x]
    assert live_places(trace, [two]) == [two]
    assert live_places(trace, []) == []
    assert live_places(trace, [later, unused]) == [0, 2, 3, 4, 5, 6]


def test_dead_code_is_not_written() -> None:
    """What was computed on the way, and is not in the result, is gone."""

    def f(a: Any, b: Any, c: Any) -> Any:
        b.exp() + c
        return a * b

    assert written(f) == ["v0 = a * b", "v0"]


# --- names


def test_what_is_used_once_needs_no_name() -> None:
    """It stands where it is used, if it is short."""
    assert written(lambda a, b, c: (a + b) * c) == ["v0 = c * (a + b)", "v0"]


def test_what_is_used_twice_has_a_name() -> None:
    """And a line of its own, before it is used."""
    assert written(lambda a, b, c: (a + b) * (a + b)) == [
        "v0 = a + b",
        "v1 = v0 * v0",
        "v1",
    ]


def test_a_result_has_a_name() -> None:
    """One that is used on the way as well has the same."""
    assert written(lambda a, b, c: [a * b, a * b + c, a * b]) == [
        "v0 = a * b",
        "v1 = c + v0",
        "v0, v1, v0",
    ]


def test_inputs_and_constants_are_results() -> None:
    """They need no line."""
    assert written(lambda a, b, c: [b, 2, -1.5, a, b]) == ["b, 2, -1.5, a, b"]


def test_the_longest_part() -> None:
    """A part of 24 letters stands in another line, one of 25 has its own."""
    short, long = "x" * 20, "x" * 21
    names = [short, "y", "z"]

    assert LONGEST_PART == 24
    assert written(lambda x, y, z: (x + y) * z, names) == [
        f"v0 = z * ({short} + y)",
        "v0",
    ]
    assert written(lambda x, y, z: (x + y) * z, [long, "y", "z"]) == [
        f"v0 = {long} + y",
        "v1 = z * v0",
        "v1",
    ]


def test_an_input_that_is_no_name() -> None:
    """It stands where it is used, and has a name if it is used twice."""
    names = ["x[0]", "x[1][2]", "p['a b']"]

    assert written(lambda a, b, c: a + b * c, names) == [
        "v0 = x[0] + x[1][2] * p['a b']",
        "v0",
    ]
    assert written(lambda a, b, c: (a * a) + (b * b) + (c * c), names) == [
        "x_0 = x[0]",
        "x_1_2 = x[1][2]",
        "p_a_b = p['a b']",
        "v0 = x_0 * x_0 + x_1_2 * x_1_2",
        "v1 = v0 + p_a_b * p_a_b",
        "v1",
    ]


def test_an_input_that_is_a_result_has_a_name() -> None:
    """So a result is a name, or a number."""
    assert written(lambda a: a, ["x[3]"]) == ["x_3 = x[3]", "x_3"]
    assert written(lambda a: a, ["X['X']"]) == ["X_X = X['X']", "X_X"]


def test_a_long_path_has_a_name() -> None:
    """A path is a part like others: 24 letters stand, 25 have a line."""
    short, long = "x['" + "k" * 19 + "']", "x['" + "k" * 20 + "']"

    assert (len(short), len(long)) == (24, 25)
    assert written(lambda a: a.sin(), [short]) == [f"v0 = sin({short})", "v0"]
    assert written(lambda a: a.sin(), [long]) == [
        f"x_{'k' * 20} = {long}",
        f"v0 = sin(x_{'k' * 20})",
        "v0",
    ]


def test_an_input_that_is_a_name_has_no_line() -> None:
    """However often it is used, and however long it is."""
    name = "a_name_that_is_longer_than_a_part_may_be"

    assert written(lambda x: x * x + x, [name]) == [
        f"v0 = {name} * {name}",
        f"v1 = {name} + v0",
        "v1",
    ]


def test_names_that_are_taken() -> None:
    """An underscore is added until the name is free."""
    assert written(
        lambda a, b, c: [a * b, a.sin()], taken=["v0", "v0_", "v1", "sin"]
    ) == ["v0__ = a * b", "v1_ = sin(a)", "v0__, v1_"]
    assert written(lambda a, b: [a * a, b * b], ["x[0]", "x_0['']"], taken=["x_0"]) == [
        "x_0_ = x[0]",
        "x_0__ = x_0['']",
        "v0 = x_0_ * x_0_",
        "v1 = x_0__ * x_0__",
        "v0, v1",
    ]


def test_two_paths_with_one_name() -> None:
    """The second gets another."""
    names = ["x['a b']", "x['a-b']", "x[('a', 'b')]"]

    assert written(lambda a, b, c: [a, b, c], names) == [
        "x_a_b = x['a b']",
        "x_a_b_ = x['a-b']",
        "x_a_b__ = x[('a', 'b')]",
        "x_a_b, x_a_b_, x_a_b__",
    ]


def test_what_is_taken_is_not_changed() -> None:
    """The names of one program do not reach another."""
    taken = {"a", "b"}
    trace, outputs = traced(lambda a, b: a * b, "ab")
    Writer(trace, outputs, SCALAR, taken)

    assert taken == {"a", "b"}


def test_the_attributes() -> None:
    """Every place that is needed has a text, and how strongly that binds."""
    trace, outputs = traced(lambda a, b, c: [(a - b) / c, -b * (a * c)])
    array = np.array([1.0])
    outputs.append(trace.add("*", trace.constant(array), 0))
    writer = Writer(trace, outputs, SCALAR, "abc")

    assert writer.lines == ["v0 = (a - b) / c", "v1 = -(b * (a * c))", "v2 = c0 * a"]
    assert [writer.texts[place] for place in sorted(writer.texts)] == [
        ("a", ATOM),
        ("b", ATOM),
        ("c", ATOM),
        ("a - b", SUM),
        ("v0", ATOM),
        ("a * c", PRODUCT),
        ("b * (a * c)", PRODUCT),
        ("v1", ATOM),
        ("c0", ATOM),
        ("v2", ATOM),
    ]
    assert list(writer.constants) == ["c0"]
    assert writer.constants["c0"] is array


def test_nothing_to_write() -> None:
    """No results, no lines."""
    writer = Writer(Trace(), [], SCALAR, [])

    assert (writer.lines, writer.texts, writer.constants) == ([], {}, {})


# --- literals


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (2, "2"),
        (2.0, "2.0"),
        (0.1, "0.1"),
        (-0.5, "-0.5"),
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1e-300, "1e-300"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (math.nan, "nan"),
        (2**60 + 1, "1152921504606846977"),
        (-(2**60), "-1152921504606846976"),
        (True, "True"),
    ],
)
def test_a_literal(number: Any, text: str) -> None:
    """It is read as the same number again; negative ones bind less."""
    trace = Trace()
    place = trace.constant(number)
    writer = Writer(trace, [place], SCALAR, [])

    assert writer.texts == {place: (text, NEGATIVE if text[0] == "-" else ATOM)}
    assert repr(eval(text, dict(FLOATS))) == repr(trace.constants[place])
    assert (writer.lines, writer.constants) == ([], {})


def test_what_cannot_be_spelled() -> None:
    """An array, a Fraction: each has a name, in the order of the program."""
    trace = Trace()
    things = [np.array([1.0, 2.0]), Fraction(1, 3), np.float32(0.1), 1j]
    x = trace.node("input", "x")
    outputs = [trace.add("/", x, trace.constant(thing)) for thing in things]
    writer = Writer(trace, outputs, SCALAR, ["x", "c1"])

    assert writer.lines == ["v0 = x / c0", "v1 = x / c1_", "v2 = x / c2", "v3 = x / c3"]
    assert list(writer.constants) == ["c0", "c1_", "c2", "c3"]
    assert all(a is b for a, b in zip(writer.constants.values(), things, strict=True))


# --- spelling


def test_the_order_of_binding() -> None:
    """From a name, which never needs brackets, to a choice, which always does."""
    order = [ATOM, NEGATIVE, PRODUCT, SUM, COMPARISON, AND, CHOICE]

    assert order == [6, 5, 4, 3, 2, 1, 0]
    assert LEFT_TO_RIGHT == ("+", "-", "*", "/")
    assert REPEATING == ("maximum", "minimum", "sign")
    assert {*SCALAR} - {*FORMS} == {"&", "where", "maximum", "minimum", "sign"}
    assert {*ARRAY} - {*FORMS} == {"&"}
    assert all(SCALAR[op] == ARRAY[op] == FORMS[op] for op in FORMS)


SPELLINGS: dict[str, Callable[..., Any]] = {
    "-a": lambda a, b, c: -a,
    "a + b": lambda a, b, c: a + b,
    "a - b": lambda a, b, c: a - b,
    "a * b": lambda a, b, c: a * b,
    "a / b": lambda a, b, c: a / b,
    "a ** 3.0": lambda a, b, c: a**3,
    "a ** (-1.0)": lambda a, b, c: a**-1,
    "(-a) ** 3.0": lambda a, b, c: (-a) ** 3,
    "(a + b) ** 3.0": lambda a, b, c: (a + b) ** 3,
    "(a ** 3.0) ** 5.0": lambda a, b, c: (a**3) ** 5,
    "-(a ** 3.0)": lambda a, b, c: -(a**3),
    "-(a * b)": lambda a, b, c: -(a * b),
    "-(a + b)": lambda a, b, c: -(a + b),
    "-(a / b)": lambda a, b, c: -(a / b),
    "-sin(a)": lambda a, b, c: -a.sin(),
    "-a - b": lambda a, b, c: -a - b,
    "a - (b - c)": lambda a, b, c: a - (b - c),
    "a - b - c": lambda a, b, c: a - b - c,
    "a - (b + c)": lambda a, b, c: a - (b + c),
    "a + (b + c)": lambda a, b, c: a + (b + c),
    "a + (b - c)": lambda a, b, c: a + (b - c),
    "a + b * c": lambda a, b, c: a + b * c,
    "a - b / c": lambda a, b, c: a - b / c,
    "a * (b + c)": lambda a, b, c: a * (b + c),
    "a * (b * c)": lambda a, b, c: a * (b * c),
    "a * (b / c)": lambda a, b, c: a * (b / c),
    "a / (b / c)": lambda a, b, c: a / (b / c),
    "a / (b * c)": lambda a, b, c: a / (b * c),
    "a / b / c": lambda a, b, c: a / b / c,
    "a * b / c": lambda a, b, c: a * b / c,
    "a / (b - c)": lambda a, b, c: a / (b - c),
    "(a - b) / c": lambda a, b, c: (a - b) / c,
    "a / -b": lambda a, b, c: a / -b,
    "a / -2.5": lambda a, b, c: a / -2.5,
    "-2.5 / a": lambda a, b, c: -2.5 / a,
    "-2.5 * a": lambda a, b, c: a * -2.5,
    "a + 2.5": lambda a, b, c: 2.5 + a,
    "2.5 - a": lambda a, b, c: 2.5 - a,
    "a * b ** 3.0": lambda a, b, c: a * b**3,
    "a < b": lambda a, b, c: a < b,
    "a <= b": lambda a, b, c: a <= b,
    "a > b": lambda a, b, c: a > b,
    "a >= b": lambda a, b, c: a >= b,
    "a == b": lambda a, b, c: a == b,
    "a != b": lambda a, b, c: a != b,
    "a + b < b - c": lambda a, b, c: a + b < b - c,
    "(a < b) == (b < c)": lambda a, b, c: (a < b) == (b < c),
    "a * (a < b)": lambda a, b, c: a * (a < b),
    "a + (a < b)": lambda a, b, c: a + (a < b),
    "-(a < b)": lambda a, b, c: -(a < b),
    "abs(a + b)": lambda a, b, c: abs(a + b),
    "exp(a) + log1p(-b)": lambda a, b, c: a.exp() + (-b).log1p(),
    "tanh(sin(a) * b)": lambda a, b, c: (a.sin() * b).tanh(),
}


@pytest.mark.parametrize("forms", [SCALAR, ARRAY], ids=["scalar", "array"])
@pytest.mark.parametrize("text", SPELLINGS)
def test_a_spelling(text: str, forms: Any) -> None:
    """With the brackets that Python or the eye needs, in both dialects."""
    assert spelled(SPELLINGS[text], forms).replace("b * sin(a)", "sin(a) * b") == text


BOTH_DIALECTS: dict[str, tuple[Callable[..., Any], str, str]] = {
    "and": (
        lambda a, b, c: (a < b) & (b < c),
        "a < b and b < c",
        "(a < b) & (b < c)",
    ),
    "and and": (
        lambda a, b, c: ((a < b) & (b < c)) & (a == c),
        "(a < b and b < c) and a == c",
        "((a < b) & (b < c)) & (a == c)",
    ),
    "where": (
        lambda a, b, c: (a < b).where(a + b, -c),
        "a + b if a < b else -c",
        "where(a < b, a + b, -c)",
    ),
    "where and": (
        lambda a, b, c: ((a < b) & (b < c)).where(a, 1.5),
        "a if a < b and b < c else 1.5",
        "where((a < b) & (b < c), a, 1.5)",
    ),
    "where in a sum": (
        lambda a, b, c: 1.5 - (a < b).where(a, c),
        "1.5 - (a if a < b else c)",
        "1.5 - where(a < b, a, c)",
    ),
    "where of a condition": (
        lambda a, b, c: (a < b).where(a < c, b < c),
        "a < c if a < b else b < c",
        "where(a < b, a < c, b < c)",
    ),
    "where in where": (
        lambda a, b, c: (a < b).where((b < c).where(a, b), (c < a).where(a, c)),
        "(a if b < c else b) if a < b else (a if c < a else c)",
        "where(a < b, where(b < c, a, b), where(c < a, a, c))",
    ),
    "where by where": (
        lambda a, b, c: (a < b).where(a, c).where(b, c),
        "b if (a if a < b else c) else c",
        "where(where(a < b, a, c), b, c)",
    ),
    "maximum": (
        lambda a, b, c: a.maximum(b),
        "a if a >= b or a != a else b",
        "maximum(a, b)",
    ),
    "maximum with a negative": (
        lambda a, b, c: a.maximum(-1.5),
        "a if a >= (-1.5) or a != a else (-1.5)",
        "maximum(a, -1.5)",
    ),
    "minimum": (
        lambda a, b, c: a.minimum(2),
        "a if a <= 2 or a != a else 2",
        "minimum(a, 2)",
    ),
    "sign": (
        lambda a, b, c: a.sign(),
        "a if a != a else (a > 0) - (a < 0)",
        "sign(a)",
    ),
    "sign in a product": (
        lambda a, b, c: b * a.sign(),
        "b * (a if a != a else (a > 0) - (a < 0))",
        "b * sign(a)",
    ),
    "power": (lambda a, b, c: a**0.5, "pow(a, 0.5)", "a ** 0.5"),
    "power of a power": (
        lambda a, b, c: (a + b) ** -1.5,
        "pow(a + b, -1.5)",
        "(a + b) ** (-1.5)",
    ),
    "power by a number": (lambda a, b, c: a**b, "pow(a, b)", "a ** b"),
    "power of 2": (lambda a, b, c: 2**a, "pow(2.0, a)", "2.0 ** a"),
    "infinite power": (lambda a, b, c: a**math.inf, "pow(a, inf)", "a ** inf"),
    "undefined power": (lambda a, b, c: a**math.nan, "pow(a, nan)", "a ** nan"),
    "huge power": (
        lambda a, b, c: a ** (2**60),
        "pow(a, 1152921504606846976)",
        "a ** 1152921504606846976",
    ),
}
LONG = ["where in where", "sign in a product", "where by where"]


@pytest.mark.parametrize("name", [name for name in BOTH_DIALECTS if name not in LONG])
def test_two_dialects(name: str) -> None:
    """Floats have an expression of their own where arrays need a function."""
    function, scalar, array = BOTH_DIALECTS[name]

    assert (spelled(function, SCALAR), spelled(function, ARRAY)) == (scalar, array)


@pytest.mark.parametrize("name", LONG)
def test_two_dialects_without_lines(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The brackets are right where a long part stands inside, too."""
    monkeypatch.setattr("prosegrad.writer.LONGEST_PART", 1000)
    function, scalar, array = BOTH_DIALECTS[name]

    assert (spelled(function, SCALAR), spelled(function, ARRAY)) == (scalar, array)


def test_what_is_written_twice_has_a_name() -> None:
    """A maximum names its operands three times, so they are computed before."""
    assert written(lambda a, b, c: (a * b).maximum(b - c)) == [
        "v0 = a * b",
        "v1 = b - c",
        "v2 = v0 if v0 >= v1 or v0 != v0 else v1",
        "v2",
    ]
    assert written(lambda a, b, c: (a * b).minimum(3)) == [
        "v0 = a * b",
        "v1 = v0 if v0 <= 3 or v0 != v0 else 3",
        "v1",
    ]
    assert written(lambda a, b, c: (a * b).sign()) == [
        "v0 = a * b",
        "v1 = v0 if v0 != v0 else (v0 > 0) - (v0 < 0)",
        "v1",
    ]
    assert written(lambda a: a.sign(), ["x[0]"]) == [
        "x_0 = x[0]",
        "v0 = x_0 if x_0 != x_0 else (x_0 > 0) - (x_0 < 0)",
        "v0",
    ]


# --- the same numbers

ONE: dict[str, Callable[[Any], Any]] = {
    "neg": operator.neg,
    "abs": abs,
    "sin": lambda x: x.sin(),
    "sign": lambda x: x.sign(),
    "** 3": lambda x: x**3,
}
TWO = {op: f for op, f in BINARY.items() if op not in ("**", "&")}
PLAIN: dict[str, Callable[..., Any]] = {
    **ONE,
    **TWO,
    "sin": elementary.sin,
    "sign": elementary.sign,
    "maximum": elementary.maximum,
    "minimum": elementary.minimum,
    "** 3": lambda x: x**3.0,
}
POINTS = [(0.75, -1.5, 2.25), (-3.0, 0.5, 0.5), (1.0, 2.0, -4.0), (-0.5, -0.25, 1.5)]


def evaluated(
    function: Callable[..., Any], numbers: tuple[Any, ...], forms: Any = SCALAR
) -> Any:
    """Write a function down, and run what was written."""
    trace, (output,) = traced(function)
    writer = Writer(trace, [output], forms, "abc")
    scope = {**(FLOATS if forms is SCALAR else ARRAYS), "inf": math.inf}
    scope |= dict(zip("abc", numbers, strict=True)) | writer.constants
    exec("\n".join(writer.lines), scope)
    return eval(writer.texts[output][0], scope)


def nested(
    outer: Callable[..., Any], inner: Callable[..., Any], two: tuple[bool, bool]
) -> list[Callable[..., Any]]:
    """Return functions with one operation as an operand of the other."""

    def inside(a: Any, b: Any) -> Any:
        return inner(a, b) if two[1] else inner(a)

    if not two[0]:
        return [lambda a, b, c: outer(inside(a, b))]
    return [
        lambda a, b, c: outer(inside(a, b), c),
        lambda a, b, c: outer(c, inside(a, b)),
    ]


PAIRS = list(itertools.product([*ONE, *TWO], repeat=2))


@pytest.mark.parametrize("width", [LONGEST_PART, 1000], ids=["lines", "no lines"])
@pytest.mark.parametrize(("outer", "inner"), PAIRS, ids=map(" of ".join, PAIRS))
def test_the_brackets_of_every_pair(
    outer: str, inner: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One operation as an operand of another computes what both do."""
    monkeypatch.setattr("prosegrad.writer.LONGEST_PART", width)
    two = (outer in TWO, inner in TWO)
    symbolic = nested((ONE | TWO)[outer], (ONE | TWO)[inner], two)
    plain = nested(PLAIN[outer], PLAIN[inner], two)

    for ours, theirs in zip(symbolic, plain, strict=True):
        for numbers in POINTS:
            try:
                expected = theirs(*numbers)
            except ZeroDivisionError:
                continue
            assert evaluated(ours, numbers) == expected


TRUTHS = ("<", "<=", ">", ">=", "==", "!=")
# NumPy's truth values have no sign and no opposite.
ARRAY_PAIRS = [pair for pair in PAIRS if not (pair[0] in ONE and pair[1] in TRUTHS)]


@pytest.mark.parametrize(
    ("outer", "inner"), ARRAY_PAIRS, ids=map(" of ".join, ARRAY_PAIRS)
)
def test_the_brackets_of_every_pair_on_arrays(
    outer: str, inner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the other dialect the members are the same numbers."""
    monkeypatch.setattr("prosegrad.writer.LONGEST_PART", 1000)
    two = (outer in TWO, inner in TWO)
    columns = tuple(np.array(column) for column in zip(*POINTS, strict=True))

    for f in nested((ONE | TWO)[outer], (ONE | TWO)[inner], two):
        with np.errstate(all="ignore"):
            found = evaluated(f, columns, ARRAY)
        for i, numbers in enumerate(POINTS):
            try:
                expected = evaluated(f, numbers)
            except ZeroDivisionError:
                continue
            assert math.isclose(found[i], expected, rel_tol=1e-15, abs_tol=1e-15)


CONDITIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "a sum": (
        lambda a, b, c: ((a < b) & (b < c)) + (a < c),
        lambda a, b, c: (a < b and b < c) + (a < c),
    ),
    "a product": (
        lambda a, b, c: ((a < b) & (b < c)) * a,
        lambda a, b, c: (a < b and b < c) * a,
    ),
    "a comparison": (
        lambda a, b, c: ((a < b) & (b < c)) == (a < c),
        lambda a, b, c: (a < b and b < c) == (a < c),
    ),
    "and": (
        lambda a, b, c: (a < b) & ((b < c) & (a < c)),
        lambda a, b, c: a < b and b < c and a < c,
    ),
    "a condition": (
        lambda a, b, c: ((a < b) & (b < c)).where(a * b, c),
        lambda a, b, c: a * b if a < b and b < c else c,
    ),
    "a choice": (
        lambda a, b, c: (a < b).where((b < c) & (a < c), a > c),
        lambda a, b, c: (b < c and a < c) if a < b else a > c,
    ),
    "a choice in and": (
        lambda a, b, c: (a < b).where(b < c, a > c) & (a < c),
        lambda a, b, c: (b < c if a < b else a > c) and a < c,
    ),
    "a choice in a product": (
        lambda a, b, c: (a < b).where(b, c) * a,
        lambda a, b, c: (b if a < b else c) * a,
    ),
    "a choice in a call": (
        lambda a, b, c: (a < b).where(b, c).sin(),
        lambda a, b, c: math.sin(b if a < b else c),
    ),
    "a choice in a comparison": (
        lambda a, b, c: (a < b).where(b, c) < a,
        lambda a, b, c: (b if a < b else c) < a,
    ),
    "a choice in a choice": (
        lambda a, b, c: (a < b).where(b, (b < c).where(a, c)),
        lambda a, b, c: b if a < b else (a if b < c else c),
    ),
    "a sum in a choice": (
        lambda a, b, c: (a + b < c).where(a - b, -c),
        lambda a, b, c: a - b if a + b < c else -c,
    ),
}


@pytest.mark.parametrize(
    ("make", "is_named"),
    [
        (lambda a, b, c: 1.0 / (a.exp() + 1.0), False),
        (lambda a, b, c: 1.0 / (2.0 + (-abs(a)).exp()), False),
        (lambda a, b, c: a / 2.0, False),
        (lambda a, b, c: a / math.inf, False),
        (lambda a, b, c: a / math.nan, False),
        (lambda a, b, c: (-abs(a)).exp(), False),
        (lambda a, b, c: a.atan() - a.tanh(), False),
        (lambda a, b, c: a / a.exp(), True),
        (lambda a, b, c: a / (a.exp() - 1.0), True),
        (lambda a, b, c: a / (a.exp() + b), True),
        (lambda a, b, c: a / (a.sin() + 1.0), True),
        (lambda a, b, c: a / 0.0, True),
        (lambda a, b, c: a / -0.0, True),
        (lambda a, b, c: a.exp(), True),
        (lambda a, b, c: (-b).exp(), True),
        (lambda a, b, c: a**2, True),
    ],
)
def test_what_may_fail_is_computed_before_the_choice(
    make: Callable[..., Any], is_named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what cannot fail is computed where it was chosen."""
    monkeypatch.setattr("prosegrad.writer.LONGEST_PART", 1000)
    trace, (place,) = traced(make)

    assert may_fail(trace, place) is is_named
    line = written(lambda a, b, c: (b > c).where(make(a, b, c), c))[-2]
    assert line.endswith(" if b > c else c")
    assert bool(re.search(r"= v\d+ if", line)) is is_named


@pytest.mark.parametrize("width", [LONGEST_PART, 1000], ids=["lines", "no lines"])
@pytest.mark.parametrize(("symbolic", "plain"), CONDITIONS.values(), ids=CONDITIONS)
def test_the_brackets_of_conditions(
    symbolic: Callable[..., Any],
    plain: Callable[..., Any],
    width: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Truth values and choices as operands, and operations inside of them."""
    monkeypatch.setattr("prosegrad.writer.LONGEST_PART", width)

    for numbers in itertools.product([0.5, -1.0, 2.0], repeat=3):
        assert evaluated(symbolic, numbers) == plain(*numbers)


@pytest.mark.parametrize("name", [name for name in CONDITIONS if name != "a sum"])
def test_the_brackets_of_conditions_on_arrays(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the other dialect the members are the same numbers."""
    monkeypatch.setattr("prosegrad.writer.LONGEST_PART", 1000)
    symbolic, plain = CONDITIONS[name]
    points = list(itertools.product([0.5, -1.0, 2.0], repeat=3))
    columns = tuple(np.array(column) for column in zip(*points, strict=True))

    assert evaluated(symbolic, columns, ARRAY).tolist() == [plain(*p) for p in points]


@given(st.integers(0, 2**32), st.sampled_from([0, 10, LONGEST_PART, 1000]))
def test_what_is_written_computes_what_was_traced(seed: int, longest: int) -> None:
    """A random program, run as text, gives the floats of the program itself."""
    rng = random.Random(seed)
    ways = [rng.choice(["+", "-", "*", "neg", "maximum", "<"]) for _ in range(12)]
    picks = [(rng.random(), rng.random()) for _ in ways]
    constants = [rng.choice([2.0, -0.5, 0.1, -3.0]) for _ in range(2)]

    def program(table: dict[str, Any], *numbers: Any) -> Any:
        found = [*numbers, *constants]
        for way, places in zip(ways, picks, strict=True):
            a, b = (found[int(p * len(found))] for p in places)
            known = [isinstance(x, (float, int)) for x in (a, b)]
            rule = PLAIN[way] if all(known) else table[way]
            if known[0] and way == "maximum":
                a, b = b, a  # a plain number has no method
            found.append(rule(a) if way == "neg" else rule(a, b))
        # Not `sum`: it adds floats exactly since Python 3.12, and no other numbers.
        return functools.reduce(operator.add, found[5:], found[0])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("prosegrad.writer.LONGEST_PART", longest)
        numbers = tuple(rng.uniform(-2.0, 2.0) for _ in range(3))
        found = evaluated(lambda *xs: program(ONE | TWO, *xs), numbers)
    assert found == program(PLAIN, *numbers)


# --- the last line


def shown(tree: Any) -> str:
    """Return the source of a tree, as it would be returned."""
    leaves, structure = flatten(tree)
    return display(structure, map(repr, leaves))


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        (1.5, "1.5"),
        ([], "[]"),
        ((), "()"),
        ({}, "{}"),
        ([1.0], "[1.0]"),
        ((1.0,), "(1.0,)"),
        ({"a": 1.0}, "{'a': 1.0}"),
        ([1.0, 2.0], "[1.0, 2.0]"),
        ((1.0, 2.0), "(1.0, 2.0)"),
        ({"a": 1.0, 2: 3.0}, "{'a': 1.0, 2: 3.0}"),
        (([1.0],), "([1.0],)"),
        ([(), [], {}, (1.0,)], "[(), [], {}, (1.0,)]"),
        ({"a b": [1.0, {"": (2.0, 3.0)}]}, r"{'a\x20b': [1.0, {'': (2.0, 3.0)}]}"),
        ({"  ": 1.0, " a ": 2.0}, r"{'\x20\x20': 1.0, '\x20a\x20': 2.0}"),
        ({"it's": 1.0, 'a "b': 2.0}, "{\"it's\": 1.0, 'a\\x20\"b': 2.0}"),
        ({b"a b": 1.0}, r"{b'a\x20b': 1.0}"),
        ({"new\nline\t": 1.0}, r"{'new\nline\t': 1.0}"),
        ({"\\ x": 1.0}, r"{'\\\x20x': 1.0}"),
        ({None: 1.0, True: 2.0, -3: 4.0}, "{None: 1.0, True: 2.0, -3: 4.0}"),
    ],
    ids=repr,
)
def test_display(tree: Any, text: str) -> None:
    """The text is read as the same tree again."""
    assert shown(tree) == text
    assert repr(eval(text)) == repr(tree)


def test_display_takes_the_texts_in_order() -> None:
    """Whatever they are."""
    structure = flatten({"a": [1, 2], "b": (3,)})[1]

    assert display(structure, ["x", "y", "z"]) == "{'a': [x, y], 'b': (z,)}"
    assert display(Structure(), iter(["x"])) == "x"


@pytest.mark.parametrize("length", [1, 67, 68])
def test_a_line_that_fits(length: int) -> None:
    """It is indented by four, and 72 columns are not too many."""
    assert WIDTH == 72
    assert fold("x" * length) == ["    " + "x" * length]


def test_a_long_line_is_folded_between_its_parts() -> None:
    """No line is longer than 72 columns, and the second is indented by eight."""
    x, y, z = "x" * 20, "y" * 20, "z" * 26

    assert fold(f"{x} {y} {z}") == [f"    {x} {y} {z}"]
    assert len(fold(f"{x} {y} {z}")[0]) == 72
    assert fold(f"{x} {y} {z}z w") == [f"    {x} {y}", f"        {z}z w"]
    assert fold(f"{z} {z} {z} {z} {z}") == [
        f"    {z} {z}",
        f"        {z} {z}",
        f"        {z}",
    ]


def test_what_cannot_be_folded() -> None:
    """A name is not broken, and neither is `return` from what follows."""
    long, hyphened = "x" * 100, "-".join(["a" * 30] * 3)

    assert fold(f"return {long}") == [f"    return {long}"]
    assert fold(f"return {hyphened}") == [f"    return {hyphened}"]
    assert fold(f"v0 = {long}") == ["    v0 =", f"        {long}"]


KEYS = st.text(max_size=12) | st.integers() | st.binary(max_size=8)
TREES = st.recursive(
    st.floats(allow_nan=False, allow_infinity=False),
    lambda members: (
        st.lists(members, max_size=6)
        | st.lists(members, max_size=6).map(tuple)
        | st.dictionaries(KEYS, members, max_size=6)
    ),
    max_leaves=40,
)


@given(TREES)
def test_a_folded_tree_is_the_same_tree(tree: Any) -> None:
    """Brackets hold the lines together, and no key is changed."""
    lines = fold(f"[{shown(tree)}]")
    (again,) = eval("\n".join(lines).strip())

    assert repr(again) == repr(tree)
    assert all(len(line) <= WIDTH or line.count(" ") == 8 for line in lines[1:])


def test_a_long_dict() -> None:
    """Keys with blanks stay whole, and each line is full."""
    tree = {f"a key {i}": float(i) for i in range(20)}
    lines = fold(f"return {shown(tree)}")

    assert (
        lines[0]
        == r"    return {'a\x20key\x200': 0.0, 'a\x20key\x201': 1.0, 'a\x20key\x202':"
    )
    assert lines[1] == r"        2.0, 'a\x20key\x203': 3.0, 'a\x20key\x204': 4.0,"
    assert max(map(len, lines)) <= WIDTH
    assert eval(" ".join(lines).split("return ")[1]) == tree
