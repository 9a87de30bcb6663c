"""Polynomials with exact coefficients: they answer to `+ - * **` like a number.

A program that runs on them is expanded by the rules of school algebra, and no
rule of the engine has a part in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import prod
from typing import Any

from hypothesis import strategies as st

from .strategies import POLYNOMIAL, Program, programs

Monomial = tuple[int, ...]  # the places of the variables: (0, 0, 2) is x0 * x0 * x2
MAX_DEGREE = 8


@dataclass(frozen=True)
class Polynomial:
    """A sum of monomials, each with its coefficient."""

    terms: Mapping[Monomial, Fraction]

    @property
    def degree(self) -> int:
        return max(map(len, self.terms), default=0)

    def __add__(self, other: Any) -> Polynomial:
        total = defaultdict(Fraction, self.terms)
        for monomial, coefficient in polynomial(other).terms.items():
            total[monomial] += coefficient
        return Polynomial(total)

    def __mul__(self, other: Any) -> Polynomial:
        other = polynomial(other)
        if self.degree + other.degree > MAX_DEGREE:
            raise OverflowError("a polynomial of too high a degree")
        total: defaultdict[Monomial, Fraction] = defaultdict(Fraction)
        for (m, a), (n, b) in product(self.terms.items(), other.terms.items()):
            total[tuple(sorted(m + n))] += a * b
        return Polynomial(total)

    __radd__ = __add__
    __rmul__ = __mul__

    def __neg__(self) -> Polynomial:
        return self * Fraction(-1)

    def __sub__(self, other: Any) -> Polynomial:
        return self + -polynomial(other)

    def __rsub__(self, other: Any) -> Polynomial:
        return -self + polynomial(other)

    def __pow__(self, n: int) -> Polynomial:
        if n < 0:
            raise ArithmeticError("not a polynomial")
        power: Polynomial = prod([self] * n, start=polynomial(1))
        return power

    def derivative(self, variable: int) -> Polynomial:
        """Return the polynomial of the slopes along one variable."""
        slopes: defaultdict[Monomial, Fraction] = defaultdict(Fraction)
        for monomial, coefficient in self.terms.items():
            if count := monomial.count(variable):
                at = monomial.index(variable)
                slopes[monomial[:at] + monomial[at + 1 :]] += count * coefficient
        return Polynomial(slopes)

    def at(self, point: Sequence[Fraction]) -> Fraction:
        """Return the value at a point."""
        values = (c * prod(point[i] for i in m) for m, c in self.terms.items())
        return sum(values, Fraction(0))


def polynomial(number: Any) -> Polynomial:
    """Return a constant as a polynomial; a polynomial is one already."""
    if isinstance(number, Polynomial):
        return number
    return Polynomial({(): Fraction(number)})


def variables(inputs: Sequence[Any]) -> list[Polynomial]:
    """Return the polynomial x0, x1, ... for each input."""
    return [Polynomial({(i,): Fraction(1)}) for i in range(len(inputs))]


def expand(program: Program) -> Polynomial:
    """Return the result of a program, multiplied out."""
    nodes = program.run(variables(program.inputs), POLYNOMIAL)
    return polynomial(nodes[-1])


def polynomial_programs(max_steps: int = 8) -> st.SearchStrategy[Program]:
    """Draw programs that can be expanded."""
    return programs(
        operations=POLYNOMIAL,
        max_inputs=3,
        max_steps=max_steps,
        start=variables,
        tame=lambda made: len(made.terms) <= 100,
    )
