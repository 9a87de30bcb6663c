"""Hypothesis strategies: random numbers, and random programs that use them.

A program is data, so that any engine can run it: it names its operations, and
each engine says what the names mean.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

Number = Any
Operations = Mapping[str, Callable[..., Any]]


@dataclass(frozen=True)
class At:
    """The result of an earlier step, or an input: a place in the list of nodes."""

    index: int

    def __str__(self) -> str:
        return f"n{self.index}"


@dataclass(frozen=True)
class Step:
    """One operation; an operand is a place, or a constant."""

    op: str
    operands: tuple[At | Number, ...]

    def __str__(self) -> str:
        first, *rest = map(str, self.operands)
        if len(rest) == 1 and not self.op.isalpha():
            return f"{first} {self.op} {rest[0]}"
        return f"{self.op}({', '.join([first, *rest])})"


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

    def prefix(self, steps: int) -> Program:
        """Return the program that stops after some steps."""
        return Program(self.inputs, self.steps[:steps])

    def __str__(self) -> str:
        """Return the program as lines, one a node."""
        lines = [*self.inputs, *self.steps]
        return "\n".join(f"n{i} = {line}" for i, line in enumerate(lines))


RATIONAL: dict[str, Callable[..., Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": operator.pow,
    "neg": operator.neg,
}


def sum_of_products(start: Number, *factors: Number) -> Number:
    """Return `start` and the products of neighbours: the 1st by the 2nd, ..."""
    return sum(map(operator.mul, factors[::2], factors[1::2]), start)


POLYNOMIAL = {op: RATIONAL[op] for op in ("+", "-", "*", "**", "neg")} | {
    "dot": sum_of_products
}
# Rational on either side of a kink.
EXACT: dict[str, Callable[..., Any]] = {
    **RATIONAL,
    "dot": sum_of_products,
    "abs": abs,
    "max": max,
    "min": min,
    "relu": lambda x: max(x, 0 * x),
}
UNARY = {"neg", "abs", "relu"}
EXPONENTS = st.integers(-3, 4)
PAIRS = st.integers(1, 2)
BITS = 400  # a fraction with longer parts slows a test down and proves no more

# Ten times as fast as `st.fractions`, and simple ones come up more often.
fractions = st.builds(Fraction, st.integers(-9, 9), st.integers(1, 9))


def _tame(number: Number) -> bool:
    """Tell whether a result is worth going on with."""
    if isinstance(number, Fraction):
        parts = number.numerator, number.denominator
        return max(part.bit_length() for part in parts) < BITS
    return bool(1e-3 < abs(number) < 1e3)


@cache
def _places(nodes: int) -> st.SearchStrategy[At]:
    """Draw an earlier node, the latest as the most frequent: deep and shared."""
    return st.one_of(st.just(nodes - 1), st.integers(0, nodes - 1)).map(At)


@cache
def _operands(
    nodes: int, numbers: st.SearchStrategy[Number]
) -> st.SearchStrategy[At | Number]:
    return _places(nodes) | numbers


def _draw_step(
    draw: st.DrawFn,
    op: str,
    nodes: int,
    numbers: st.SearchStrategy[Number],
    unary: set[str],
) -> Step:
    """Draw the operands of one step; at least one is a node."""
    operands: list[At | Number] = [draw(_places(nodes))]
    if op == "**":
        operands.append(draw(EXPONENTS))
    elif op not in unary:
        others = draw(PAIRS) * 2 if op == "dot" else 1
        operands += [draw(_operands(nodes, numbers)) for _ in range(others)]
        if draw(st.booleans()):
            operands.reverse()
    return Step(op, tuple(operands))


@st.composite
def programs(
    draw: st.DrawFn,
    numbers: st.SearchStrategy[Number] = fractions,
    operations: Operations = RATIONAL,
    unary: set[str] = UNARY,
    max_inputs: int = 4,
    max_steps: int = 30,
    start: Callable[[Sequence[Number]], list[Any]] = list,
    tame: Callable[[Any], bool] = _tame,
) -> Program:
    """Draw a program with shared nodes and constants, of any depth.

    A step whose result does not exist or is not tame is left out. `start`
    says what the inputs are while the program is drawn, if not themselves.
    """
    inputs = draw(st.lists(numbers, min_size=1, max_size=max_inputs))
    nodes = start(inputs)
    steps: list[Step] = []
    names = st.sampled_from(sorted(operations))
    for _ in range(draw(st.integers(1, max_steps))):
        step = _draw_step(draw, draw(names), len(nodes), numbers, unary)
        try:
            made = Program(tuple(inputs), (step,)).run(nodes, operations)[-1]
        except (ArithmeticError, ValueError):
            continue
        if tame(made):
            nodes.append(made)
            steps.append(step)
    return Program(tuple(inputs), tuple(steps))


# --- programs on floats

FUNCTIONS = [
    "neg",
    "abs",
    "relu",
    "leaky_relu",
    "exp",
    "expm1",
    "log",
    "log1p",
    "sqrt",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "sigmoid",
    "softplus",
    "silu",
    "gelu",
]
PAIRED = ["+", "-", "*", "/", "pow", "maximum", "minimum"]
LISTED = {"softmax": 3, "log_sum_exp": 3, "cross_entropy": 3, "mean_squared_error": 4}
ARITY = (
    dict.fromkeys(FUNCTIONS, 1) | dict.fromkeys(PAIRED, 2) | {"**": 1, **LISTED}
)  # of "**" without its exponent, which is a constant
MARGIN = 1e-3  # no rounding error of a tame program carries it over a kink

floats = st.builds(
    lambda size, sign: sign * size, st.floats(0.01, 9), st.sampled_from([1.0, -1.0])
)
exponents = st.sampled_from([-3, -2, -1, -0.5, 0.5, 1, 1.5, 2, 3, 4])


def _at_an_edge(op: str, operands: Sequence[float]) -> bool:
    """Tell whether an operand is close to a kink, or to the end of a domain."""
    x = operands[0]
    if op in {"abs", "relu", "leaky_relu"}:
        return abs(x) < MARGIN
    if op in {"asin", "acos"}:
        return abs(x) > 1 - MARGIN
    if op == "pow":
        return x < MARGIN  # a negative base has no slope in its exponent
    return op in {"maximum", "minimum"} and abs(x - operands[1]) < MARGIN


@cache
def _float_operands(nodes: int) -> st.SearchStrategy[At | float]:
    return _places(nodes) | floats


OPS = st.sampled_from(sorted(ARITY))


def _go_on(op: str, made: Any) -> bool:
    """Tell whether a step gave a real number of a size worth going on with."""
    return type(made) is float and (_tame(made) or (op == "relu" and made == 0.0))


@st.composite
def float_programs(
    draw: st.DrawFn, operations: Operations, max_inputs: int = 4, max_steps: int = 25
) -> Program:
    """Draw a program of all operations that engines share, away from kinks."""
    nodes = draw(st.lists(floats, min_size=1, max_size=max_inputs))
    program = Program(tuple(nodes), ())
    for _ in range(draw(st.integers(1, max_steps))):
        op = draw(OPS)
        operands: list[At | float] = [draw(_places(len(nodes)))]
        operands += [draw(_float_operands(len(nodes))) for _ in range(ARITY[op] - 1)]
        if op == "**":
            operands.append(draw(exponents))
        elif draw(st.booleans()):
            operands.reverse()
        numbers = [nodes[o.index] if isinstance(o, At) else o for o in operands]
        if _at_an_edge(op, numbers):
            continue
        try:
            made = operations[op](*numbers)
        except (ArithmeticError, ValueError):
            continue
        if _go_on(op, made):
            nodes.append(made)
            program = replace(
                program, steps=(*program.steps, Step(op, tuple(operands)))
            )
    assume(program.steps)
    return program
