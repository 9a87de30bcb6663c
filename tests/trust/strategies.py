"""Hypothesis strategies: random numbers, and random programs that use them.

A program is data, so that any engine can run it: it names its operations, and
each engine says what the names mean.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

Number = Any
Operations = Mapping[str, Callable[..., Any]]


@dataclass(frozen=True)
class At:
    """The result of an earlier step, or an input: a place in the list of nodes."""

    index: int


@dataclass(frozen=True)
class Step:
    """One operation; an operand is a place, or a constant."""

    op: str
    operands: tuple[At | Number, ...]


@dataclass(frozen=True)
class Program:
    """Numbers to begin with, and steps that each add one node."""

    inputs: tuple[Number, ...]
    steps: tuple[Step, ...]

    def run(self, leaves: Sequence[Any], operations: Operations) -> list[Any]:
        """Return all nodes, the leaves first; the last one is the result."""
        nodes = list(leaves)
        for step in self.steps:
            operands = [
                nodes[o.index] if isinstance(o, At) else o for o in step.operands
            ]
            nodes.append(operations[step.op](*operands))
        return nodes


RATIONAL: dict[str, Callable[..., Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": operator.pow,
    "neg": operator.neg,
}
UNARY = {"neg"}
BITS = 400  # a fraction with longer parts slows a test down and proves no more

fractions = st.fractions(min_value=-9, max_value=9, max_denominator=9)


def _tame(number: Number) -> bool:
    """Tell whether a result is worth going on with."""
    if isinstance(number, Fraction):
        parts = number.numerator, number.denominator
        return max(part.bit_length() for part in parts) < BITS
    return bool(1e-3 < abs(number) < 1e3)


@st.composite
def programs(
    draw: st.DrawFn,
    numbers: st.SearchStrategy[Number] = fractions,
    operations: Operations = RATIONAL,
    unary: set[str] = UNARY,
    max_inputs: int = 4,
    max_steps: int = 30,
) -> Program:
    """Draw a program with shared nodes and constants, of any depth.

    A step whose result does not exist or is not tame is left out.
    """
    inputs = draw(st.lists(numbers, min_size=1, max_size=max_inputs))
    nodes = list(inputs)
    steps: list[Step] = []
    for _ in range(draw(st.integers(1, max_steps))):
        op = draw(st.sampled_from(sorted(operations)))
        # Any earlier node, with the latest as the most frequent: deep and shared.
        places = st.one_of(st.just(len(nodes) - 1), st.integers(0, len(nodes) - 1))
        operands: list[At | Number] = [At(draw(places))]
        if op == "**":
            operands.append(draw(st.integers(-3, 4)))
        elif op not in unary:
            operands.append(draw(st.one_of(places.map(At), numbers)))
            if draw(st.booleans()):
                operands.reverse()
        step = Step(op, tuple(operands))
        try:
            made = Program(tuple(inputs), (step,)).run(nodes, operations)[-1]
        except (ArithmeticError, ValueError):
            continue
        if _tame(made):
            nodes.append(made)
            steps.append(step)
    return Program(tuple(inputs), tuple(steps))
