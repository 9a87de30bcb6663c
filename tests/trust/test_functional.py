"""Derivatives as functions, on random programs, against judges without rules."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from mpmath import mp, mpf

import prosegrad
from tests.trust import functional
from tests.trust.functional import (
    AGREED,
    DECIDING,
    FLAT_GELU,
    FLOAT_PROGRAMS,
    OURS,
    QUOTIENTS,
    Case,
    Held,
    Undecided,
    by_algebra,
    by_nudges,
    compiled_faults,
    edge_points,
    exact_faults,
    float_faults,
    needed,
    rounds_alike,
    single,
)
from tests.trust.strategies import ARITY, At, Program, Step

TRIES = settings().max_examples
few = settings(max_examples=1_000 if TRIES >= 10_000 else TRIES // 5)
NAMES = ["grad", "hessian", "hvp", "jvp", "vjp", "jacobian"]
PLANE = Program(
    (Fraction(2), Fraction(3)),
    (Step("*", (At(0), At(0))), Step("/", (At(2), At(1)))),
)  # x * x / y


def test_algebra_differentiates_as_a_pencil_does() -> None:
    """The judge of the fractions knows the derivatives of x * x / y."""
    exact = by_algebra(PLANE)

    assert exact.values[0] == Fraction(4, 3)
    assert exact.slopes[0] == [Fraction(4, 3), Fraction(-4, 9)]
    assert exact.bends == [
        [Fraction(2, 3), Fraction(-4, 9)],
        [Fraction(-4, 9), Fraction(8, 27)],
    ]


def test_nudges_differentiate_as_algebra_does() -> None:
    """The judge of the floats agrees with the judge of the fractions."""
    program = Program((2.0, 3.0), PLANE.steps)
    with mp.workdps(functional.DIGITS):
        nudged = by_nudges(program)
        for actual, row in zip(nudged.bends, by_algebra(PLANE).bends, strict=True):
            for x, exact in zip(actual, row, strict=True):
                off = abs(x - mpf(exact.numerator) / exact.denominator)
                assert off < mpf(10) ** -AGREED


@few
@given(QUOTIENTS)
def test_fractions_are_differentiated_exactly(program: Program) -> None:
    """Each function says with `==` what school algebra says."""
    assert exact_faults(program) == []


@few
@given(FLOAT_PROGRAMS)
def test_floats_lie_where_rounding_may_take_them(program: Program) -> None:
    """Each number of each function lies in the interval of the exact one."""
    try:
        assert float_faults(program) == []
    except Undecided:
        assume(False)


@few
@given(FLOAT_PROGRAMS)
def test_more_digits_are_all_right(program: Program) -> None:
    """With 60 digits inside, each function agrees with the nudges."""
    held = Held(program)
    assume(not held.operations & FLAT_GELU)
    found = held.of_digits()

    assert sorted(NAMES) == sorted(found)
    assert max(found.values()) < 10.0**-AGREED


@few
@given(FLOAT_PROGRAMS)
def test_compiled_code_does_what_the_function_does(program: Program) -> None:
    """At ordinary points and at awkward ones, but for what is written down."""
    program = needed(program)
    assume(rounds_alike(program))
    points = [list(program.inputs), *edge_points(program)]

    assert compiled_faults(program, points) == []


@pytest.mark.parametrize("op", sorted(set(ARITY) - DECIDING))
def test_compiled_operation_at_the_edges(op: str) -> None:
    """Each operation alone, at thirty awkward points."""
    for program in single(op):
        assert compiled_faults(program, edge_points(program, 30)) == []


@pytest.mark.parametrize("op", sorted(DECIDING))
def test_compiled_choice_of_the_largest(op: str) -> None:
    """The largest is found in the code, for every order of the scores."""
    (program,) = single(op)
    f = Case(program, OURS).scalar
    compiled = prosegrad.jit(prosegrad.value_and_grad(f))
    for point in ([0.3, 0.5, -2.0], [0.5, 0.5, 0.1], [700.0, -3.0, 800.0]):
        value, slopes = prosegrad.value_and_grad(f)(point)
        found, found_slopes = compiled(point)
        assert found == pytest.approx(value, rel=1e-14)
        assert found_slopes == pytest.approx(slopes, rel=1e-13, abs=1e-15)
