"""A list of operations: each once, in its simplest form, and never another number."""

from __future__ import annotations

import math
import operator
import random
from collections.abc import Callable
from enum import IntEnum
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prosegrad import elementary
from prosegrad.operations import SIMPLER, Trace

INPUTS = ("x", "y", "z")
BIG = 2**53


def written(trace: Trace, expression: Any, free: bool = True) -> int:
    """Add an expression: a name, a number, or an operation in a tuple."""
    if isinstance(expression, str):
        return trace.node("input", expression)
    if not isinstance(expression, tuple):
        return trace.constant(expression)
    op, *operands = expression
    places = [written(trace, operand, free) for operand in operands]
    return trace.add(op, *places, free=free)


def read(trace: Trace, place: int) -> Any:
    """Return the expression at a place, the inverse of `written`."""
    op, *operands = trace.nodes[place]
    if op == "input":
        return operands[0]
    if op == "constant":
        return trace.constants[place]
    return (op, *[read(trace, operand) for operand in operands])


def simplest(expression: Any, free: bool = True) -> Any:
    """Return what a trace makes of an expression; x, y, z are in order."""
    trace = Trace()
    for name in INPUTS:
        trace.node("input", name)
    return read(trace, written(trace, expression, free))


# --- nodes


def test_a_new_trace_is_empty() -> None:
    """There is nothing in it, and two traces share nothing."""
    one, other = Trace(), Trace()
    one.constant(1.0)

    assert (other.nodes, other.constants) == ([], {})
    assert one.nodes == [("constant", (float, 1.0, False))]
    assert one.constants == {0: 1.0}


def test_a_node_has_one_place() -> None:
    """A new node goes to the end; one that is there is found."""
    trace = Trace()

    assert trace.node("input", "x") == 0
    assert trace.node("input", "y") == 1
    assert trace.node("sin", 0) == 2
    assert trace.node("input", "x") == 0
    assert trace.node("sin", 0) == 2
    assert trace.node("sin", 1) == 3
    assert trace.nodes == [("input", "x"), ("input", "y"), ("sin", 0), ("sin", 1)]


def test_a_node_is_not_simplified() -> None:
    """`node` writes what it is told; only `add` looks for less."""
    trace = Trace()
    x, one = trace.node("input", "x"), trace.constant(1.0)

    assert trace.nodes[trace.node("*", one, x)] == ("*", one, x)
    assert trace.nodes[trace.node("*", x, one)] == ("*", x, one)
    assert trace.nodes[trace.node("neg", trace.node("neg", x))] == ("neg", 4)


# --- constants


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (2, 2),
        (-3.0, -3.0),
        (0.0, 0.0),
        (math.inf, float("inf")),
        (BIG, BIG),
        (2**60 + 1, 2**60 + 1),
        (math.nan, math.nan),
    ],
)
def test_equal_numbers_are_one_constant(one: Any, other: Any) -> None:
    """One number of one type is one constant."""
    trace = Trace()

    assert trace.constant(one) == trace.constant(other)
    assert len(trace.nodes) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (0.0, -0.0),
        (0, 0.0),
        (2, 2.0),
        (np.float64(2.5), 2.5),
        (math.inf, -math.inf),
        (1.0, math.nextafter(1.0, 2.0)),
        (True, 1.0),
        (False, 0),
        (True, False),
        (BIG, float(BIG)),
        (-BIG, float(-BIG)),
        (BIG, BIG + 1),
        (math.nan, 0.0),
    ],
)
def test_other_numbers_are_other_constants(one: Any, other: Any) -> None:
    """Zero has a sign, and a number has a type."""
    trace = Trace()

    assert trace.constant(one) != trace.constant(other)
    assert len(trace.nodes) == len(trace.constants) == 2


class Level(IntEnum):
    LOW = 2


@pytest.mark.parametrize(
    "value", [2, True, -7, -7.5, np.float64(0.5), np.float32(0.5), BIG, 2**60 + 1]
)
def test_a_constant_is_kept(value: Any) -> None:
    """An integer stays one: Python would compute with it exactly."""
    trace = Trace()

    assert trace.constants[trace.constant(value)] is value


def test_a_member_of_an_enumeration_becomes_its_number() -> None:
    trace = Trace()
    found = trace.constants[trace.constant(Level.LOW)]

    assert (type(found), found) == (int, 2)


@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_a_zero_keeps_its_sign(zero: float) -> None:
    """The key has the sign in it, and so has what is kept."""
    trace = Trace()
    place = trace.constant(zero)

    assert math.copysign(1.0, trace.constants[place]) == math.copysign(1.0, zero)
    assert trace.nodes == [("constant", (float, 0.0, str(zero) == "-0.0"))]


@pytest.mark.parametrize(
    "make",
    [lambda: np.array([1.0, 2.0]), lambda: Fraction(1, 3), lambda: np.float32(0.5)],
    ids=["array", "fraction", "float32"],
)
def test_other_kinds_of_number_count_by_identity(make: Callable[[], Any]) -> None:
    """One object is one constant; an equal object is another."""
    trace = Trace()
    one, other = make(), make()

    assert trace.constant(one) == trace.constant(one) == 0
    assert trace.constant(other) == 1
    assert trace.constants[0] is one
    assert trace.constants[1] is other


def test_an_identity_is_not_used_twice() -> None:
    """The trace keeps what it counts by identity, so no other takes its place."""
    trace = Trace()
    places = [trace.constant(np.array([float(i)])) for i in range(100)]

    assert places == list(range(100))
    assert [trace.constants[i][0] for i in places] == [float(i) for i in range(100)]


@pytest.mark.parametrize(
    ("value", "number", "answer"),
    [
        (2.0, 2.0, True),
        (2, 2.0, False),
        (True, 1.0, False),
        (2.0, 3.0, False),
        (-0.0, 0.0, False),
        (-0.0, -0.0, True),
        (math.nan, math.nan, False),
        (Fraction(2), 2.0, False),
        (float(BIG), float(BIG), True),
        (BIG, float(BIG), False),
        (np.float32(2.0), 2.0, False),
    ],
)
def test_is_number(value: Any, number: float, answer: bool) -> None:
    """Only floats are compared: no array is asked whether it is 1."""
    trace = Trace()
    x, constant = trace.node("input", "x"), trace.constant(value)

    assert trace.is_number(constant, number) is answer
    assert not trace.is_number(x, number)


def test_is_number_does_not_compare_arrays() -> None:
    """An array would answer with an array, and that has no truth value."""
    trace = Trace()

    assert trace.is_number(trace.constant(np.array([1.0, 1.0])), 1.0) is False


# --- simpler forms

ARRAY = np.array([2.0, 3.0])
THIRD = Fraction(1, 3)

SIMPLE = {
    # a sign
    "-c": (("neg", 2.0), -2.0),
    "-0": (("neg", 0.0), -0.0),
    "-(-0)": (("neg", -0.0), 0.0),
    "-inf": (("neg", math.inf), -math.inf),
    "-nan": (("neg", math.nan), math.nan),
    "-big": (("neg", BIG), ("neg", BIG)),
    "-(1/3)": (("neg", THIRD), ("neg", THIRD)),
    "-x": (("neg", "x"), ("neg", "x")),
    "-(-x)": (("neg", ("neg", "x")), "x"),
    "-(-(-x))": (("neg", ("neg", ("neg", "x"))), ("neg", "x")),
    "-(x - y)": (("neg", ("-", "x", "y")), ("-", "y", "x")),
    "-(x + y)": (("neg", ("+", "x", "y")), ("neg", ("+", "x", "y"))),
    "-(2x)": (("neg", ("*", 2.0, "x")), ("*", -2.0, "x")),
    "-(-2x)": (("neg", ("*", -2.0, "x")), ("*", 2.0, "x")),
    "-(0x)": (("neg", ("*", 0.0, "x")), ("*", -0.0, "x")),
    "-(xy)": (("neg", ("*", "x", "y")), ("neg", ("*", "x", "y"))),
    "-(x / y)": (("neg", ("/", "x", "y")), ("neg", ("/", "x", "y"))),
    "-sin x": (("neg", ("sin", "x")), ("neg", ("sin", "x"))),
    # a sum
    "x + y": (("+", "x", "y"), ("+", "x", "y")),
    "y + x": (("+", "y", "x"), ("+", "x", "y")),
    "x + x": (("+", "x", "x"), ("+", "x", "x")),
    "x + 3": (("+", "x", 3.0), ("+", "x", 3.0)),
    "3 + x": (("+", 3.0, "x"), ("+", "x", 3.0)),
    "x + 0": (("+", "x", 0.0), "x"),
    "0 + x": (("+", 0.0, "x"), "x"),
    "x + -0": (("+", "x", -0.0), "x"),
    "x + 1": (("+", "x", 1.0), ("+", "x", 1.0)),
    "x + nan": (("+", "x", math.nan), ("+", "x", math.nan)),
    "x + inf": (("+", "x", math.inf), ("+", "x", math.inf)),
    "x + -inf": (("+", "x", -math.inf), ("-", "x", math.inf)),
    "x + -3": (("+", "x", -3.0), ("-", "x", 3.0)),
    "-3 + x": (("+", -3.0, "x"), ("-", "x", 3.0)),
    "x + -y": (("+", "x", ("neg", "y")), ("-", "x", "y")),
    "-y + x": (("+", ("neg", "y"), "x"), ("-", "x", "y")),
    "-x + y": (("+", ("neg", "x"), "y"), ("-", "y", "x")),
    "-x + -y": (("+", ("neg", "x"), ("neg", "y")), ("-", ("neg", "x"), "y")),
    "x + -x": (("+", "x", ("neg", "x")), ("-", "x", "x")),
    "x + -3y": (("+", "x", ("*", -3.0, "y")), ("-", "x", ("*", 3.0, "y"))),
    "-3x + y": (("+", ("*", -3.0, "x"), "y"), ("-", "y", ("*", 3.0, "x"))),
    "x + 3y": (("+", "x", ("*", 3.0, "y")), ("+", "x", ("*", 3.0, "y"))),
    "x + 0y": (("+", "x", ("*", 0.0, "y")), ("+", "x", ("*", 0.0, "y"))),
    "x + -0y": (("+", "x", ("*", -0.0, "y")), ("+", "x", ("*", -0.0, "y"))),
    "x + nan y": (
        ("+", "x", ("*", math.nan, "y")),
        ("+", "x", ("*", math.nan, "y")),
    ),
    "x + -big": (("+", "x", -BIG), ("+", "x", -BIG)),
    "x + -1/3": (("+", "x", -THIRD), ("+", "x", -THIRD)),
    "x + (y - x)": (("+", "x", ("-", "y", "x")), ("+", "x", ("-", "y", "x"))),
    "(x + y) + z": (("+", ("+", "x", "y"), "z"), ("+", "z", ("+", "x", "y"))),
    "x + (y + z)": (("+", "x", ("+", "y", "z")), ("+", "x", ("+", "y", "z"))),
    "(x + 1) + 2": (("+", ("+", "x", 1.0), 2.0), ("+", ("+", "x", 1.0), 2.0)),
    # a difference
    "x - y": (("-", "x", "y"), ("-", "x", "y")),
    "y - x": (("-", "y", "x"), ("-", "y", "x")),
    "x - x": (("-", "x", "x"), ("-", "x", "x")),
    "x - 0": (("-", "x", 0.0), "x"),
    "x - -0": (("-", "x", -0.0), ("-", "x", -0.0)),
    "0 - x": (("-", 0.0, "x"), ("neg", "x")),
    "0 - 2x": (("-", 0.0, ("*", 2.0, "x")), ("*", -2.0, "x")),
    "0 - (x - y)": (("-", 0.0, ("-", "x", "y")), ("-", "y", "x")),
    "1 - x": (("-", 1.0, "x"), ("-", 1.0, "x")),
    "x - 1": (("-", "x", 1.0), ("-", "x", 1.0)),
    "x - -3": (("-", "x", -3.0), ("+", "x", 3.0)),
    "x - -y": (("-", "x", ("neg", "y")), ("+", "x", "y")),
    "-x - y": (("-", ("neg", "x"), "y"), ("-", ("neg", "x"), "y")),
    "-x - -y": (("-", ("neg", "x"), ("neg", "y")), ("-", "y", "x")),
    "x - -3y": (("-", "x", ("*", -3.0, "y")), ("+", "x", ("*", 3.0, "y"))),
    "x - -1y": (("-", "x", ("*", -1.0, "y")), ("+", "x", "y")),
    "-3x - y": (("-", ("*", -3.0, "x"), "y"), ("-", ("*", -3.0, "x"), "y")),
    "x - nan": (("-", "x", math.nan), ("-", "x", math.nan)),
    "x - -inf": (("-", "x", -math.inf), ("+", "x", math.inf)),
    "(x - y) - z": (("-", ("-", "x", "y"), "z"), ("-", ("-", "x", "y"), "z")),
    "x - (y - z)": (("-", "x", ("-", "y", "z")), ("-", "x", ("-", "y", "z"))),
    # a product
    "xy": (("*", "x", "y"), ("*", "x", "y")),
    "yx": (("*", "y", "x"), ("*", "x", "y")),
    "xx": (("*", "x", "x"), ("*", "x", "x")),
    "1x": (("*", 1.0, "x"), "x"),
    "x1": (("*", "x", 1.0), "x"),
    "-1x": (("*", -1.0, "x"), ("neg", "x")),
    "x -1": (("*", "x", -1.0), ("neg", "x")),
    "-1 (x - y)": (("*", -1.0, ("-", "x", "y")), ("-", "y", "x")),
    "0x": (("*", 0.0, "x"), ("*", 0.0, "x")),
    "x0": (("*", "x", 0.0), ("*", 0.0, "x")),
    "-0x": (("*", -0.0, "x"), ("*", -0.0, "x")),
    "inf x": (("*", "x", math.inf), ("*", math.inf, "x")),
    "nan x": (("*", "x", math.nan), ("*", math.nan, "x")),
    "x 2.5": (("*", "x", 2.5), ("*", 2.5, "x")),
    "2 * 3": (("*", 2.0, 3.0), ("*", 3.0, 2.0)),
    "3 * 0.1": (("*", 3.0, 0.1), ("*", 0.1, 3.0)),
    "inf * 0": (("*", math.inf, 0.0), ("*", 0.0, math.inf)),
    "-x y": (("*", ("neg", "x"), "y"), ("neg", ("*", "x", "y"))),
    "x -y": (("*", "x", ("neg", "y")), ("neg", ("*", "x", "y"))),
    "-x -y": (("*", ("neg", "x"), ("neg", "y")), ("*", "x", "y")),
    "-x -x": (("*", ("neg", "x"), ("neg", "x")), ("*", "x", "x")),
    "3 (-x)": (("*", 3.0, ("neg", "x")), ("*", -3.0, "x")),
    "-3 (-x)": (("*", -3.0, ("neg", "x")), ("*", 3.0, "x")),
    "(-x) 3": (("*", ("neg", "x"), 3.0), ("*", -3.0, "x")),
    "(3x)(-y)": (
        ("*", ("*", 3.0, "x"), ("neg", "y")),
        ("neg", ("*", "y", ("*", 3.0, "x"))),
    ),
    # factors, which may not leave the range of floats on the way
    "3 (2x)": (("*", 3.0, ("*", 2.0, "x")), ("*", 6.0, "x")),
    "-3 (4x)": (("*", -3.0, ("*", 4.0, "x")), ("*", -12.0, "x")),
    "1.5 (-2x)": (("*", 1.5, ("*", -2.0, "x")), ("*", -3.0, "x")),
    "3 (2^15 x)": (
        ("*", 3.0, ("*", 2.0**15, "x")),
        ("*", 3.0, ("*", 2.0**15, "x")),
    ),
    "2 (0.1x)": (("*", 2.0, ("*", 0.1, "x")), ("*", 2.0, ("*", 0.1, "x"))),
    "0.1 (2x)": (("*", 0.1, ("*", 2.0, "x")), ("*", 0.1, ("*", 2.0, "x"))),
    "-0.5 (0.1x)": (("*", -0.5, ("*", 0.1, "x")), ("*", -0.5, ("*", 0.1, "x"))),
    "0.5 (2x)": (("*", 0.5, ("*", 2.0, "x")), ("*", 0.5, ("*", 2.0, "x"))),
    "-0.5 (2x)": (("*", -0.5, ("*", 2.0, "x")), ("*", -0.5, ("*", 2.0, "x"))),
    "0.25 (-4x)": (("*", 0.25, ("*", -4.0, "x")), ("*", 0.25, ("*", -4.0, "x"))),
    "3 (0.1x)": (
        ("*", 3.0, ("*", 0.1, "x")),
        ("*", 3.0, ("*", 0.1, "x")),
    ),
    "0 (2x)": (("*", 0.0, ("*", 2.0, "x")), ("*", 0.0, ("*", 2.0, "x"))),
    "3 (0x)": (("*", 3.0, ("*", 0.0, "x")), ("*", 3.0, ("*", 0.0, "x"))),
    "3 (inf x)": (
        ("*", 3.0, ("*", math.inf, "x")),
        ("*", 3.0, ("*", math.inf, "x")),
    ),
    "2 (inf x)": (("*", 2.0, ("*", math.inf, "x")), ("*", 2.0, ("*", math.inf, "x"))),
    "2 (3 (0.1x))": (
        ("*", 2.0, ("*", 3.0, ("*", 0.1, "x"))),
        ("*", 2.0, ("*", 3.0, ("*", 0.1, "x"))),
    ),
    "(2x)(3y)": (
        ("*", ("*", 2.0, "x"), ("*", 3.0, "y")),
        ("*", ("*", 2.0, "x"), ("*", 3.0, "y")),
    ),
    "(3x)(2y)": (
        ("*", ("*", 3.0, "x"), ("*", 2.0, "y")),
        ("*", ("*", 3.0, "x"), ("*", 2.0, "y")),
    ),
    "(2x)(0.5y)": (
        ("*", ("*", 2.0, "x"), ("*", 0.5, "y")),
        ("*", ("*", 2.0, "x"), ("*", 0.5, "y")),
    ),
    "(2x)(2x)": (
        ("*", ("*", 2.0, "x"), ("*", 2.0, "x")),
        ("*", ("*", 2.0, "x"), ("*", 2.0, "x")),
    ),
    "(3x)(5y)": (
        ("*", ("*", 3.0, "x"), ("*", 5.0, "y")),
        ("*", ("*", 3.0, "x"), ("*", 5.0, "y")),
    ),
    "(2x)y": (("*", ("*", 2.0, "x"), "y"), ("*", "y", ("*", 2.0, "x"))),
    "y(2x)": (("*", "y", ("*", 2.0, "x")), ("*", "y", ("*", 2.0, "x"))),
    "(xy)z": (("*", ("*", "x", "y"), "z"), ("*", "z", ("*", "x", "y"))),
    "x(yz)": (("*", "x", ("*", "y", "z")), ("*", "x", ("*", "y", "z"))),
    "2 (x + y)": (("*", 2.0, ("+", "x", "y")), ("*", 2.0, ("+", "x", "y"))),
    "2 (1/3 x)": (("*", 2.0, ("*", THIRD, "x")), ("*", 2.0, ("*", THIRD, "x"))),
    "big (3x)": (("*", BIG, ("*", 3.0, "x")), ("*", BIG, ("*", 3.0, "x"))),
    # a quotient
    "x / y": (("/", "x", "y"), ("/", "x", "y")),
    "x / x": (("/", "x", "x"), ("/", "x", "x")),
    "x / 1": (("/", "x", 1.0), "x"),
    "x / -1": (("/", "x", -1.0), ("/", "x", -1.0)),
    "x / 2": (("/", "x", 2.0), ("/", "x", 2.0)),
    "x / 0": (("/", "x", 0.0), ("/", "x", 0.0)),
    "1 / x": (("/", 1.0, "x"), ("/", 1.0, "x")),
    "0 / x": (("/", 0.0, "x"), ("/", 0.0, "x")),
    "-x / y": (("/", ("neg", "x"), "y"), ("neg", ("/", "x", "y"))),
    "x / -y": (("/", "x", ("neg", "y")), ("/", "x", ("neg", "y"))),
    "-x / 1": (("/", ("neg", "x"), 1.0), ("neg", "x")),
    "(xy) / y": (("/", ("*", "x", "y"), "y"), ("/", ("*", "x", "y"), "y")),
    # a power
    "x ** y": (("**", "x", "y"), ("**", "x", "y")),
    "x ** 0": (("**", "x", 0.0), 1.0),
    "x ** -0": (("**", "x", -0.0), 1.0),
    "x ** 1": (("**", "x", 1.0), "x"),
    "x ** 2": (("**", "x", 2.0), ("**", "x", 2.0)),
    "(-x) ** 2": (("**", ("neg", "x"), 2.0), ("**", ("neg", "x"), 2.0)),
    "(2x) ** 2": (("**", ("*", 2.0, "x"), 2.0), ("**", ("*", 2.0, "x"), 2.0)),
    "x ** 3": (("**", "x", 3.0), ("**", "x", 3.0)),
    "x ** 0.5": (("**", "x", 0.5), ("**", "x", 0.5)),
    "x ** -1": (("**", "x", -1.0), ("**", "x", -1.0)),
    "2 ** x": (("**", 2.0, "x"), ("**", 2.0, "x")),
    "1 ** x": (("**", 1.0, "x"), ("**", 1.0, "x")),
    # an absolute value
    "|x|": (("abs", "x"), ("abs", "x")),
    "|-x|": (("abs", ("neg", "x")), ("abs", "x")),
    "||x||": (("abs", ("abs", "x")), ("abs", ("abs", "x"))),
    "|x - y|": (("abs", ("-", "x", "y")), ("abs", ("-", "x", "y"))),
    # a choice
    "x if c else y": (
        ("where", ("<", "x", "y"), "x", "y"),
        ("where", ("<", "x", "y"), "x", "y"),
    ),
    "x if c else x": (("where", ("<", "x", "y"), "x", "x"), "x"),
    "x if True else y": (("where", True, "x", "y"), "x"),
    "x if False else y": (("where", False, "x", "y"), "y"),
    "x if 2 else y": (("where", 2.0, "x", "y"), "x"),
    "2 if c else 3": (
        ("where", ("<", "x", "y"), 2.0, 3.0),
        ("where", ("<", "x", "y"), 2.0, 3.0),
    ),
    # both
    "c and d": (
        ("&", ("<", "x", "y"), ("<", "y", "z")),
        ("&", ("<", "x", "y"), ("<", "y", "z")),
    ),
    "d and c": (
        ("&", ("<", "y", "z"), ("<", "x", "y")),
        ("&", ("<", "y", "z"), ("<", "x", "y")),
    ),
    "c and True": (("&", ("<", "x", "y"), True), ("<", "x", "y")),
    "True and c": (("&", True, ("<", "x", "y")), ("<", "x", "y")),
    "c and False": (("&", ("<", "x", "y"), False), False),
    "False and c": (("&", False, ("<", "x", "y")), False),
    "True and True": (("&", True, True), True),
    "True and False": (("&", True, False), False),
    # no rule
    "x < x": (("<", "x", "x"), ("<", "x", "x")),
    "y == x": (("==", "y", "x"), ("==", "y", "x")),
    "x != x": (("!=", "x", "x"), ("!=", "x", "x")),
    "max(y, x)": (("maximum", "y", "x"), ("maximum", "y", "x")),
    "max(x, x)": (("maximum", "x", "x"), ("maximum", "x", "x")),
    "sin(-x)": (("sin", ("neg", "x")), ("sin", ("neg", "x"))),
    "sqrt(xx)": (("sqrt", ("*", "x", "x")), ("sqrt", ("*", "x", "x"))),
}


@pytest.mark.parametrize(("expression", "expected"), SIMPLE.values(), ids=SIMPLE)
def test_the_simplest_form(expression: Any, expected: Any) -> None:
    """What can be simpler is, and what would round in another way stays."""
    assert repr(simplest(expression)) == repr(expected)


def test_nothing_else_has_a_simpler_form() -> None:
    """These operations have rules; any other stands as it is written."""
    assert list(SIMPLER) == ["neg", "+", "-", "*", "/", "**", "abs", "where", "&"]


SIGNED = {
    "-(x - y)": ("neg", ("-", "x", "y")),
    "x + 0": ("+", "x", 0.0),
    "0 - x": ("-", 0.0, "x"),
    "0 - 2x": ("-", 0.0, ("*", 2.0, "x")),
    "0 - (x - y)": ("-", 0.0, ("-", "x", "y")),
    "-1 (x - y)": ("neg", ("-", "x", "y")),
}


@pytest.mark.parametrize("name", SIMPLE)
def test_the_simplest_form_where_the_sign_of_a_zero_shows(name: str) -> None:
    """Some forms are simpler only where it does not."""
    expression, expected = SIMPLE[name]
    if name == "0 + x":
        expected = ("+", "x", 0.0)

    assert repr(simplest(expression, False)) == repr(SIGNED.get(name, expected))


WHOLE = ["-(x - y)", "x + 0", "x + -0", "1x", "x / 1", "x ** 0", "x ** 1", "3 (2x)"]


@pytest.mark.parametrize("kind", [int, bool, None])
@pytest.mark.parametrize("name", WHOLE)
def test_what_may_be_an_integer_stays_as_it_is(name: str, kind: Any) -> None:
    """`1.0 * x` makes a float of it."""
    trace = Trace()
    for letter in INPUTS:
        trace.types[trace.node("input", letter)] = kind
    op, *operands = SIMPLE[name][0]
    place = written(trace, (op, *operands))

    assert trace.nodes[place][0] == op


def test_members_of_an_array_are_floats() -> None:
    """A trace of arrays has more rules, for arrays raise no errors."""
    trace = Trace(raises=False)
    x = trace.node("input", "x")

    assert read(trace, written(trace, ("**", "x", 2.0))) == ("*", "x", "x")
    assert written(trace, ("*", 1.0, "x")) == x
    assert read(trace, written(trace, ("**", "x", 0.0))) == 1.0


def test_an_array_is_no_factor() -> None:
    """It is not compared, and nothing is made of it."""
    trace = Trace()
    x, array = trace.node("input", "x"), trace.constant(ARRAY)
    for op in ("*", "+", "-", "/", "**"):
        assert trace.nodes[trace.add(op, x, array)] == (op, x, array)
    assert trace.nodes[trace.add("neg", array)] == ("neg", array)


def test_a_sum_has_one_order() -> None:
    """Constants go last and the older operand first, in both spellings."""
    trace = Trace()
    two, x, y = trace.constant(2.0), trace.node("input", "x"), trace.node("input", "y")

    assert trace.nodes[trace.add("+", two, x)] == ("+", x, two)
    assert trace.add("+", two, x) == trace.add("+", x, two)
    assert trace.add("+", y, x) == trace.add("+", x, y)
    assert trace.nodes[trace.add("+", y, x)] == ("+", x, y)
    assert trace.add("*", y, x) == trace.add("*", x, y)
    assert trace.nodes[trace.add("*", x, two)] == ("*", two, x)
    assert trace.add("-", y, x) != trace.add("-", x, y)


def test_a_simplification_reads_the_list_and_no_more() -> None:
    """The nodes of a small program, in order, with none left over."""
    trace = Trace()
    x, y = trace.node("input", "x"), trace.node("input", "y")
    difference = trace.add("-", x, y)
    opposite = trace.add("neg", difference, free=True)
    trace.add("*", difference, opposite)
    trace.add("abs", trace.add("neg", x))

    assert trace.nodes == [
        ("input", "x"),
        ("input", "y"),
        ("-", 0, 1),
        ("-", 1, 0),
        ("*", 2, 3),
        ("neg", 0),
        ("abs", 0),
    ]


# --- factors


def test_factor() -> None:
    """Only a product with a constant in front has a factor."""
    trace = Trace()
    x, two = trace.node("input", "x"), trace.constant(2.0)
    scaled = trace.node("*", two, x)
    square, total = trace.node("*", x, x), trace.node("+", two, x)

    assert trace.factor(scaled) == (two, x)
    assert [trace.factor(i) for i in (x, two, square, total)] == [
        (None, x),
        (None, two),
        (None, square),
        (None, total),
    ]


@pytest.mark.parametrize(
    ("a", "b", "product"),
    [
        (3.0, 2.0, 6.0),
        (-3.0, 4.0, -12.0),
        (1.5, -2.0, -3.0),
        (1.0, 1.0, 1.0),
        (2.0, 0.1, None),
        (0.1, 2.0, None),
        (0.5, 2.0, None),
        (2.0, 0.5, None),
        (3.0, 2.0**15, None),
        (3.0, 0.1, None),
        (3.0, 0.0, None),
        (0.0, 2.0, None),
        (3.0, math.inf, None),
        (math.inf, 2.0, None),
        (math.nan, 2.0, None),
        (3.0, math.nan, None),
        (3, 2.0, None),
        (3.0, 2, None),
        (THIRD, 2.0, None),
        (3.0, THIRD, None),
    ],
)
def test_merge(a: Any, b: Any, product: Any) -> None:
    """Two floats, if no step is rounded in another way or out of range."""
    trace = Trace()
    i, j = trace.constant(a), trace.constant(b)
    merged = trace.merge(i, j)

    assert (None if merged is None else trace.constants[merged]) == product
    assert trace.merge(i, None) is None


# --- the same numbers

COMPUTE: dict[str, Callable[..., Any]] = {
    "neg": operator.neg,
    "abs": abs,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda a, b: a / b if b else math.nan,
    "maximum": elementary.maximum,
    "where": elementary.where,
    "<": operator.lt,
}
SIZES = {"neg": 1, "abs": 1, "where": 3}
CONSTANTS = (0.0, 1.0, -1.0, 2.0, 0.5, -4.0, 3.0, 0.1, math.inf)
# Eight operations on these do not leave the range of floats in one form only.
NUMBERS = st.floats(-1e3, 1e3).filter(lambda x: not 0 < abs(x) < 1e-3)


def computed(trace: Trace, inputs: dict[str, float]) -> list[Any]:
    """Compute all of a list, whatever stands there."""
    found: list[Any] = []
    for place, (op, *operands) in enumerate(trace.nodes):
        if op == "constant":
            found.append(trace.constants[place])
        elif op == "input":
            found.append(inputs[operands[0]])
        else:
            found.append(COMPUTE[op](*[found[i] for i in operands]))
    return found


@given(st.integers(0, 2**32), st.tuples(NUMBERS, NUMBERS, NUMBERS))
@example(0, (0.0, -0.0, 1.0))
def test_a_simpler_program_is_the_same_program(
    seed: int, numbers: tuple[float, float, float]
) -> None:
    """A random program computes the same floats in both forms, to the last digit."""
    rng = random.Random(seed)
    simple, plain = Trace(), Trace()
    ours = [simple.node("input", name) for name in INPUTS]
    theirs = [plain.node("input", name) for name in INPUTS]
    for constant in CONSTANTS:
        ours.append(simple.constant(constant))
        theirs.append(plain.constant(constant))
    free = rng.random() < 0.5
    for _ in range(8):
        op = rng.choice(list(COMPUTE))
        picks = [rng.randrange(len(ours)) for _ in range(SIZES.get(op, 2))]
        if any(ours[i] not in simple.constants for i in picks):
            ours.append(simple.add(op, *[ours[i] for i in picks], free=free))
            theirs.append(plain.node(op, *[theirs[i] for i in picks]))
    inputs = dict(zip(INPUTS, numbers, strict=True))
    found, expected = computed(simple, inputs), computed(plain, inputs)

    for i, j in zip(ours, theirs, strict=True):
        a, b = found[i], expected[j]
        assert a == b or (math.isnan(a) and math.isnan(b))
        assert free or math.isnan(a) or str(a) == str(b)
