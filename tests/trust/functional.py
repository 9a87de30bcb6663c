"""Derivatives as functions, on random programs: are they what they should be?

Three judges, and none of them knows a rule of the engine. Quotients of
polynomials are differentiated by school algebra, in fractions, and compared
with `==`. Programs of all functions are nudged in 100 digits. And the
functions are called with intervals, which hold whatever rounding may do.
"""

from __future__ import annotations

import math
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from importlib import import_module
from itertools import combinations_with_replacement
from operator import mul
from pathlib import Path
from statistics import median
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from mpmath import iv, mp, mpf

import prosegrad
from prosegrad import Value
from prosegrad.derivatives import Graph
from prosegrad.kinds import NAMES, Functions
from prosegrad.trees import flatten
from tests.records import circumstances

from . import engines
from .laws import ENGINE
from .polynomials import Polynomial, polynomial
from .strategies import (
    ARITY,
    RATIONAL,
    At,
    Operations,
    Program,
    Step,
    float_programs,
    programs,
)

PAGE = Path("docs/trust/derivatives.md")
Numbers = list[Any]

# --- what is compared


@dataclass(frozen=True)
class Case:
    """A program as a function, and the vectors that its derivatives meet.

    The function takes a list of numbers. `scalar` returns the result of the
    program, `vector` a list: the result, a node in the middle, an input.
    """

    program: Program
    operations: Operations

    def nodes(self, xs: Sequence[Any]) -> list[Any]:
        return self.program.run(xs, self.operations)

    def scalar(self, xs: Sequence[Any]) -> Any:
        return self.nodes(xs)[-1]

    def vector(self, xs: Sequence[Any]) -> list[Any]:
        return outputs(self.nodes(xs))


def outputs(nodes: Sequence[Any]) -> list[Any]:
    """Return the nodes that a vector function returns, the result first."""
    return [nodes[-1], nodes[len(nodes) // 2], nodes[0]]


def tangent(inputs: Sequence[Any]) -> Numbers:
    """Return a direction: small numbers, exact as floats and as fractions."""
    kind = type(inputs[0])
    return [kind(n) / 4 for n in (3, -5, 2, 7)[: len(inputs)]]


def cotangent(inputs: Sequence[Any]) -> Numbers:
    """Return the weights of the three numbers of a vector function."""
    kind = type(inputs[0])
    return [kind(n) / 8 for n in (-6, 11, 3)]


def derivatives(engine: Any, case: Case, xs: Numbers) -> dict[str, Numbers]:
    """Return what each function says of a case; the names are JAX's, too."""
    v, w = tangent(xs), cotangent(xs)
    f, g = case.scalar, case.vector
    _, pull_back = engine.vjp(g, xs)
    found = {
        "grad": engine.grad(f)(xs),
        "hessian": engine.hessian(f)(xs),
        "hvp": hvp(engine)(f, [xs], [v]),
        "jvp": engine.jvp(g, (xs,), (v,)),
        "vjp": pull_back(w),
        "jacobian": engine.jacobian(g)(xs),
    }
    return {name: flatten(tree)[0] for name, tree in found.items()}


def hvp(engine: Any) -> Callable[..., Any]:
    """Return `engine.hvp`, or what JAX's documentation says instead."""
    return getattr(engine, "hvp", None) or (
        lambda f, x, v: engine.jvp(engine.grad(f), x, v)[1]
    )


@dataclass(frozen=True)
class Exact:
    """The values of a vector function, its slopes, and the bends of the first."""

    values: Numbers
    slopes: list[Numbers]
    bends: list[Numbers]

    def derivatives(self, inputs: Sequence[Any]) -> dict[str, Numbers]:
        """Return what each function should say."""
        v, w = tangent(inputs), cotangent(inputs)
        return {
            "grad": self.slopes[0],
            "hessian": [number for row in self.bends for number in row],
            "hvp": [_dot(row, v) for row in self.bends],
            "jvp": [*self.values, *(_dot(row, v) for row in self.slopes)],
            "vjp": [_dot(column, w) for column in zip(*self.slopes)],
            "jacobian": [number for row in self.slopes for number in row],
        }


def _dot(xs: Sequence[Any], ys: Sequence[Any]) -> Any:
    return sum(map(mul, xs, ys))


# --- fractions: school algebra


@dataclass(frozen=True)
class Quotient:
    """A polynomial over a polynomial, and its value at the inputs."""

    above: Polynomial
    below: Polynomial
    value: Fraction

    def __add__(self, other: Any) -> Quotient:
        q = quotient(other)
        above = self.above * q.below + q.above * self.below
        return Quotient(above, self.below * q.below, self.value + q.value)

    def __mul__(self, other: Any) -> Quotient:
        q = quotient(other)
        above, below = self.above * q.above, self.below * q.below
        return Quotient(above, below, self.value * q.value)

    __radd__ = __add__
    __rmul__ = __mul__

    def __neg__(self) -> Quotient:
        return self * Fraction(-1)

    def __sub__(self, other: Any) -> Quotient:
        return self + -quotient(other)

    def __rsub__(self, other: Any) -> Quotient:
        return quotient(other) + -self

    def __truediv__(self, other: Any) -> Quotient:
        return self * Quotient.inverse(quotient(other))

    def __rtruediv__(self, other: Any) -> Quotient:
        return quotient(other) * self.inverse()

    def __pow__(self, n: int) -> Quotient:
        base = self if n >= 0 else self.inverse()
        power: Quotient = math.prod([base] * abs(n), start=quotient(1))
        return power

    def inverse(self) -> Quotient:
        return Quotient(self.below, self.above, 1 / self.value)

    def slope(self, i: int, at: Sequence[Fraction]) -> Fraction:
        """Return the derivative, from `value * below = above`."""
        p, q = self.above.derivative(i), self.below.derivative(i)
        return (p.at(at) - self.value * q.at(at)) / self.below.at(at)

    def bend(self, i: int, j: int, at: Sequence[Fraction]) -> Fraction:
        """Return the second derivative, from the same equation."""
        q_i, q_j = self.below.derivative(i), self.below.derivative(j)
        p_ij, q_ij = self.above.derivative(i).derivative(j), q_i.derivative(j)
        rest = self.slope(i, at) * q_j.at(at) + self.slope(j, at) * q_i.at(at)
        below = self.below.at(at)
        return (p_ij.at(at) - self.value * q_ij.at(at) - rest) / below


def quotient(number: Any) -> Quotient:
    """Return a constant as a quotient; a quotient is one already."""
    if isinstance(number, Quotient):
        return number
    return Quotient(polynomial(number), polynomial(1), Fraction(number))


def start(inputs: Sequence[Fraction]) -> list[Quotient]:
    """Return the inputs as quotients."""
    return [
        Quotient(Polynomial({(i,): Fraction(1)}), polynomial(1), x)
        for i, x in enumerate(inputs)
    ]


def _short(made: Quotient) -> bool:
    terms = max(len(made.above.terms), len(made.below.terms))
    return terms <= 40 and made.value.denominator.bit_length() < 400


QUOTIENTS = programs(
    operations=RATIONAL, max_inputs=3, max_steps=10, start=start, tame=_short
)


def by_algebra(program: Program) -> Exact:
    """Return the exact derivatives of a rational program."""
    at, places = program.inputs, range(len(program.inputs))
    found = outputs(program.run(start(at), RATIONAL))
    return Exact(
        [q.value for q in found],
        [[q.slope(i, at) for i in places] for q in found],
        [[found[0].bend(i, j, at) for j in places] for i in places],
    )


def exact_faults(program: Program) -> list[str]:
    """Return the functions that differ from school algebra."""
    expected = by_algebra(program).derivatives(program.inputs)
    actual = derivatives(prosegrad, Case(program, ENGINE), list(program.inputs))
    return [name for name in expected if expected[name] != actual[name]]


# --- floats: intervals


class Undecided(Exception):
    """Rounding could carry this program over a kink, or out of a domain."""


class Interval:
    """All numbers between two floats; an operation gives all its results.

    The arithmetic is mpmath's. A comparison that holds for some of the
    numbers and not for others raises Undecided.
    """

    def __init__(self, inside: Any) -> None:
        self.inside = iv.mpf(inside)

    @property
    def ends(self) -> tuple[Any, Any]:
        return mpf(self.inside.a), mpf(self.inside.b)

    def __array_namespace__(self, *, api_version: Any = None) -> Any:
        return INTERVALS

    def __neg__(self) -> Interval:
        return Interval(-self.inside)

    def __abs__(self) -> Interval:
        return Interval(abs(self.inside))


def _operator(name: str) -> Callable[[Any, Any], Any]:
    compares = name in ("__lt__", "__le__", "__gt__", "__ge__", "__eq__", "__ne__")

    def method(self: Interval, other: Any) -> Any:
        if isinstance(other, Value):
            return NotImplemented
        if compares and other is self:
            return name in ("__le__", "__ge__", "__eq__")
        inside = other.inside if isinstance(other, Interval) else iv.mpf(other)
        found = getattr(self.inside, name)(inside)
        if found is None:
            raise Undecided
        return found if compares else Interval(found)

    return method


for _name in ("add", "sub", "mul", "truediv", "pow"):
    setattr(Interval, f"__{_name}__", _operator(f"__{_name}__"))
    setattr(Interval, f"__r{_name}__", _operator(f"__r{_name}__"))
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(Interval, f"__{_name}__", _operator(f"__{_name}__"))


ROOM = mpf(2) ** -50  # four units, more than a function of ours is ever off by


def _rounded(low: Any, high: Any) -> Interval:
    """Return an interval with room for the error of a function."""
    low, high = min(low, high), max(low, high)
    return Interval([low - abs(low) * ROOM, high + abs(high) * ROOM])


def _monotone(name: str) -> Callable[[Any], Interval]:
    """Return a function that rises everywhere, or falls: its ends are enough."""

    def call(x: Any) -> Interval:
        ends = x.ends if isinstance(x, Interval) else (mpf(x), mpf(x))
        with mp.workprec(150):
            return _rounded(*map(EXACT[name], ends))

    return call


def _with_waves(name: str) -> Callable[[Interval], Interval]:
    return lambda x: _rounded(*Interval(getattr(iv, name)(x.inside)).ends)


MONOTONE = {*NAMES, "sigmoid", "softplus"} - {"sin", "cos", "tan", "cosh"}
INTERVALS = Functions(
    "intervals",
    {name: _monotone(name) for name in MONOTONE}
    | {name: _with_waves(name) for name in ("sin", "cos", "tan")}
    | {"cosh": lambda x: _monotone("cosh")(abs(x))},
)


# --- floats: what the names mean


def our_rules() -> Operations:
    """Return what the operations mean to us, for Values and for plain numbers.

    Constants join the level of the Values that they meet.
    """

    def lifted(rule: Callable[..., Any]) -> Callable[..., Any]:
        def call(*operands: Any) -> Any:
            kinds = [type(x) for x in operands if isinstance(x, Value)]
            if not kinds:
                return rule(*map(Value, operands)).data
            kind = max(kinds, key=lambda kind: kind._level)
            return rule(*(x if type(x) is kind else kind(x) for x in operands))

        return call

    rules = {name: lifted(rule) for name, rule in engines.our_rules().items()}
    for name in ("maximum", "minimum"):
        rules[name] = _constant_last(rules[name])
    return rules | engines.OPERATORS


def _constant_last(rule: Callable[..., Any]) -> Callable[..., Any]:
    """Return the rule of a symmetric operation, which asks its first operand."""
    return lambda x, y: rule(y, x) if isinstance(x, (float, Interval)) else rule(x, y)


def rules_of(kind: Any) -> Operations:
    """Return our rules, with the constant inside one of them of another kind."""
    return {**OURS, "leaky_relu": lambda x: x.leaky_relu(kind(0.01))}


def of_kind(kind: Any, program: Program) -> Program:
    """Return a program whose inputs and constants are of another kind.

    The exponents of `**` stay what they are.
    """
    steps = tuple(
        Step(
            step.op,
            tuple(
                o if isinstance(o, At) or step.op == "**" else kind(o)
                for o in step.operands
            ),
        )
        for step in program.steps
    )
    return Program(tuple(map(kind, program.inputs)), steps)


OURS = our_rules()
# In the exact program, too, the constant of GELU is a float.
GELU = math.sqrt(8 / math.pi)
EXACT = {
    **engines.EXACT,
    "gelu": lambda x: x / (1 + mp.exp(-GELU * (x + 0.044715 * x**3))),
}
# The slope of the largest is a difference, which plain code takes in another order.
DECIDING = {"softmax", "log_sum_exp", "cross_entropy"}

# --- floats: nudges in 100 digits

DIGITS = 100
NUDGE = mpf(10) ** -25
AGREED = 30  # so many digits of a nudged second derivative are right


def by_nudges(program: Program) -> Exact:
    """Return the derivatives of a program to about 40 digits."""
    in_digits = of_kind(mpf, program)
    inputs = list(in_digits.inputs)

    def at(*nudges: tuple[int, int]) -> Numbers:
        moved = list(inputs)
        for i, sign in nudges:
            moved[i] += sign * NUDGE
        return outputs(in_digits.run(moved, EXACT))

    places = range(len(inputs))
    here = at()
    up, down = ([at((i, sign)) for i in places] for sign in (1, -1))
    slopes = [
        [(up[i][k] - down[i][k]) / (2 * NUDGE) for i in places]
        for k in range(len(here))
    ]
    bends = [[mpf(0)] * len(inputs) for _ in places]
    for i, j in combinations_with_replacement(places, 2):
        if i == j:
            twice = up[i][0] - 2 * here[0] + down[i][0]
        else:
            corners = ((1, 1), (-1, -1), (1, -1), (-1, 1))
            a, b, c, d = (at((i, s), (j, t))[0] for s, t in corners)
            twice = (a + b - c - d) / 4
        bends[i][j] = bends[j][i] = twice / NUDGE**2
    return Exact(here, slopes, bends)


def by_intervals(program: Program) -> dict[str, Numbers]:
    """Return what the functions say when the numbers are intervals.

    Each operation on two intervals gives one that holds every result of the
    operation, rounded or not. So whatever path a program takes, the exact
    result and that of floats lie in the last interval.
    """
    in_intervals = of_kind(Interval, program)
    case = Case(in_intervals, rules_of(Interval))
    found = derivatives(prosegrad, case, list(in_intervals.inputs))
    return {
        name: [x if isinstance(x, Interval) else Interval(x) for x in numbers]
        for name, numbers in found.items()
    }


# --- floats: one program, held against the judges

FLAT_GELU = {"gelu"}  # its constants are floats, and in more digits as well
TINY = mpf(10) ** -300  # floats have nothing much smaller, intervals do
PRECISE = 60  # the digits inside, when we compute with more than a float has
Tallied = dict[str, list["Found"]]


@dataclass(frozen=True)
class Found:
    """One number: in floats, by nudges, and the interval that must hold both."""

    actual: float
    exact: Any
    interval: Interval
    slack: Any

    @property
    def differs_from_zero(self) -> bool:
        return bool(abs(self.exact) > mpf(10) ** -AGREED)

    @property
    def size(self) -> Any:
        return max(abs(self.exact), mpf(10) ** -AGREED)

    @property
    def holds(self) -> bool:
        with mp.workdps(DIGITS):
            low, high = self.interval.ends
            room = self.slack * max(self.size, 1)
            exact = low - room <= self.exact <= high + room
            low, high = low - TINY, high + TINY
            return bool(exact and low <= mpf(self.actual) <= high)

    @property
    def near(self) -> bool:
        """Whether the float is inside, or at most four widths away."""
        with mp.workdps(DIGITS):
            low, high = self.interval.ends
            room = 4 * max(high - low, ROOM * abs(self.exact))
            return bool(low - room <= mpf(self.actual) <= high + room)

    @property
    def error(self) -> float:
        """The relative error of the float."""
        return float(abs(mpf(self.actual) - self.exact) / self.size)

    @property
    def width(self) -> float:
        """The width of the interval, relative to the number."""
        low, high = self.interval.ends
        return float((high - low) / self.size)


@dataclass(frozen=True)
class Held:
    """A program of floats, and what the judges say of it."""

    program: Program

    @cached_property
    def exact(self) -> dict[str, Numbers]:
        with mp.workdps(DIGITS):
            inputs = [mpf(x) for x in self.program.inputs]
            return by_nudges(self.program).derivatives(inputs)

    @cached_property
    def intervals(self) -> dict[str, Numbers]:
        try:
            found = by_intervals(self.program)
        except (ArithmeticError, ValueError) as error:
            raise Undecided from error
        everything = [x for numbers in found.values() for x in numbers]
        if not all(mp.isfinite(end) for x in everything for end in x.ends):
            raise Undecided
        return found

    @property
    def operations(self) -> set[str]:
        return {step.op for step in self.program.steps}

    def of_floats(self, rules: Operations = OURS) -> Tallied:
        """Return every number of every function, with its judges."""
        case = Case(self.program, rules)
        return self.judged(derivatives(prosegrad, case, list(self.program.inputs)))

    def judged(self, found: dict[str, Numbers]) -> Tallied:
        slack = mpf(10) ** (-15 if self.operations & FLAT_GELU else -AGREED)
        return {
            name: [
                Found(float(number), exact, interval, slack)
                for number, exact, interval in zip(
                    numbers, self.exact[name], self.intervals[name], strict=True
                )
            ]
            for name, numbers in found.items()
        }

    def of_digits(self) -> dict[str, float]:
        """Return how far each function is from the nudges, with 60 digits inside."""
        with mp.workdps(PRECISE):
            case = Case(of_kind(mpf, self.program), rules_of(mpf))
            found = derivatives(prosegrad, case, list(case.program.inputs))
            return {
                name: max(map(_distance, numbers, self.exact[name]))
                for name, numbers in found.items()
            }


def _distance(x: Any, exact: Any) -> float:
    return float(abs(x - exact) / max(abs(exact), 1))


def float_faults(program: Program, rules: Operations = OURS) -> list[str]:
    """Return the functions with a number that its interval does not hold."""
    tallied = Held(program).of_floats(rules)
    return [
        name
        for name, numbers in tallied.items()
        if not all(number.holds for number in numbers)
    ]


# --- the compiler, and the function that it compiled


EDGES = [0.0, -0.0, math.inf, -math.inf, math.nan, 1e308, -1e308, 1.5e154]
EDGES += [5e-324, -5e-324, 1e-300, -1e-160, 1.0, -1.0, 40.0, -745.2, 710.0, 0.5]
SQUARE = "a small power is written as products, and these overflow to infinity"
UNUSED = "what raises is not needed for the derivative, so it is left out"
BOTH = "both sides of a choice are computed: NaN for a number"
POWERS = {"**", "pow", "mean_squared_error"}
CHOOSING = POWERS | {"maximum", "minimum", "relu", "leaky_relu", "sigmoid"}
CHOOSING |= {"silu", "gelu", "softplus"}
Outcome = Numbers | str


def functions(case: Case) -> dict[str, Callable[[Numbers], Any]]:
    """Return what is compiled of a case."""
    return {
        "f": case.scalar,
        "grad": prosegrad.grad(case.scalar),
        "hessian": prosegrad.hessian(case.scalar),
    }


def outcome(function: Callable[[Numbers], Any], xs: Numbers) -> Outcome:
    """Return the numbers of a call, or the name of what it raised."""
    try:
        return [float(x) for x in flatten(function(xs))[0]]
    except (ArithmeticError, ValueError) as error:
        return type(error).__name__


def eagerly(function: Callable[[Numbers], Any]) -> Callable[[Numbers], Any]:
    """Return a function that runs on Values, and gives plain numbers."""
    return lambda xs: Graph("eager", function, [xs]).result


def ulps_apart(x: float, y: float) -> float:
    """Return the distance in units of the larger; 0 for NaN and NaN."""
    if x == y or (math.isnan(x) and math.isnan(y)):
        return 0.0
    if not (math.isfinite(x) and math.isfinite(y)):
        return math.inf
    return abs(x - y) / max(math.ulp(x), math.ulp(y))


def apart(eager: Outcome, compiled: Outcome) -> float:
    """Return how far two outcomes are apart, in units in the last place."""
    if isinstance(eager, str) or isinstance(compiled, str):
        return 0.0 if eager == compiled else math.inf
    return max(map(ulps_apart, eager, compiled))


def reason(name: str, program: Program, eager: Outcome, compiled: Outcome) -> str:
    """Return why compiled code may differ from its function, or nothing."""
    operations = {step.op for step in program.steps}
    if isinstance(compiled, str):
        return ""
    if isinstance(eager, str):
        if eager == "OverflowError" and operations & POWERS:
            return SQUARE
        return "" if name == "f" else UNUSED
    pairs = zip(eager, compiled, strict=True)
    nan = all(math.isnan(y) for x, y in pairs if ulps_apart(x, y) > CLOSE)
    return BOTH if nan and operations & CHOOSING and name != "f" else ""


CLOSE = 8  # units in the last place, of the larger number


def compiled_pairs(
    program: Program, points: Sequence[Numbers]
) -> Iterator[tuple[str, Numbers, Outcome, Outcome]]:
    """Yield for each function and point what eager and compiled code give."""
    for name, function in functions(Case(program, OURS)).items():
        compiled = prosegrad.jit(function)
        for point in points:
            eager = outcome(eagerly(function), point)
            yield name, point, eager, outcome(compiled, point)


def edge_points(program: Program, count: int = 4) -> list[Numbers]:
    """Return points of awkward numbers, others for each program."""
    lot = random.Random(repr(program))
    return [[lot.choice([x, *EDGES]) for x in program.inputs] for _ in range(count)]


def single(op: str) -> Iterator[Program]:
    """Yield the programs of one operation, for `**` with each exponent."""
    arity = ARITY[op]
    for n in (-3, -2, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3, 4) if op == "**" else (None,):
        operands = (*map(At, range(arity)), *(() if n is None else (n,)))
        yield Program((0.5,) * arity, (Step(op, operands),))


def compiled_faults(program: Program, points: Sequence[Numbers]) -> list[str]:
    """Return where eager and compiled code differ without a reason."""
    return [
        f"{name} at {point}: {eager}, compiled {compiled}"
        for name, point, eager, compiled in compiled_pairs(program, points)
        if apart(eager, compiled) > CLOSE and not reason(name, program, eager, compiled)
    ]


def needed(program: Program) -> Program:
    """Return the program without the steps that its result does not use."""
    first = len(program.inputs)
    used = {first + len(program.steps) - 1}
    for place in range(max(used), first - 1, -1):
        if place in used:
            operands = program.steps[place - first].operands
            used |= {o.index for o in operands if isinstance(o, At)}
    kept = [*range(first), *sorted(place for place in used if place >= first)]
    steps = (program.steps[place - first] for place in kept[first:])
    moved = {old: At(new) for new, old in enumerate(kept)}
    return Program(
        program.inputs,
        tuple(
            Step(
                s.op,
                tuple(moved[o.index] if isinstance(o, At) else o for o in s.operands),
            )
            for s in steps
        ),
    )


def rounds_alike(program: Program) -> bool:
    return not DECIDING & {step.op for step in program.steps}


# --- the long measurement


PROGRAMS = 2_000  # drawn; some come up twice
OF_JAX = 300  # so many of them on JAX, which takes most of the time
NAMES_OF_FUNCTIONS = ("grad", "hessian", "hvp", "jvp", "vjp", "jacobian")
FORMULA = "an operation that JAX computes as a difference of larger numbers"
LOG1P = "JAX's `log1p`, which loses two digits"
FLOAT_PROGRAMS = float_programs(engines.FLOATS, max_inputs=3, max_steps=20)


@dataclass
class Tally:
    """What came out for one function, over many programs."""

    exact: int = 0  # fractions that are equal
    digits: float = 0.0
    errors: list[float] = field(default_factory=list)
    widths: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)
    faults: int = 0


def drawn(strategy: st.SearchStrategy[Program], count: int) -> list[Program]:
    """Return the different ones of so many random programs."""
    found: dict[Program, None] = {}

    @settings(
        derandomize=True,
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
    )
    @given(strategy)
    def collect(program: Program) -> None:
        found[program] = None

    collect()
    return list(found)


def tally_fractions(tallies: dict[str, Tally], count: int) -> int:
    """Compare fractions; return the number of different programs."""
    tried = drawn(QUOTIENTS, count)
    for program in tried:
        faults = exact_faults(program)
        expected = by_algebra(program).derivatives(program.inputs)
        for name, numbers in expected.items():
            tallies[name].exact += len(numbers)
            tallies[name].faults += name in faults
    return len(tried)


def tally_floats(tallies: dict[str, Tally], tried: Sequence[Program]) -> list[Held]:
    """Compare floats and 60 digits; return the programs that are decided."""
    decided = []
    for held in map(Held, tried):
        try:
            found = held.of_floats()
        except Undecided:
            continue
        decided.append(held)
        digits = {} if held.operations & FLAT_GELU else held.of_digits()
        for name, numbers in found.items():
            tally = tallies[name]
            tally.digits = max(tally.digits, digits.get(name, 0.0))
            tally.errors += [n.error for n in numbers if n.differs_from_zero]
            tally.widths += [n.width for n in numbers if n.differs_from_zero]
            tally.faults += sum(not number.holds for number in numbers)
    return decided


def tally_jax(tallies: dict[str, Tally], helds: Sequence[Held]) -> Counter[str]:
    """Compare JAX; return the reasons for its numbers outside the intervals."""
    rules, jax = engines.jax().operations, import_module("jax")
    reasons: Counter[str] = Counter()
    for place, held in enumerate(helds):
        if place % 20 == 0:
            jax.clear_caches()  # which would fill the memory
        case = Case(held.program, rules)
        theirs = derivatives(jax, case, list(held.program.inputs))
        for name, numbers in held.judged(theirs).items():
            errors = [n.error for n in numbers if n.differs_from_zero]
            tallies[name].theirs += errors
            outside = sum(not number.near for number in numbers)
            reasons["numbers"] += len(numbers)
            if outside:
                reasons[_reason_of_jax(held)] += outside
    return reasons


def _reason_of_jax(held: Held) -> str:
    if "log1p" in held.operations:
        return LOG1P
    return FORMULA if held.operations & engines.DIFFERENCES else "unexplained"


def compiled_table(tried: Sequence[Program]) -> str:
    """Return the table of what compiled code makes of the programs."""
    traced = list(filter(rounds_alike, map(needed, tried)))
    equal: Counter[str] = Counter()
    total: Counter[str] = Counter()
    worst: defaultdict[str, float] = defaultdict(float)
    known: Counter[str] = Counter()
    edges = 0
    for program in traced:
        points = [list(program.inputs), *edge_points(program)]
        for name, point, eager, compiled in compiled_pairs(program, points):
            off = apart(eager, compiled)
            if point is not points[0]:
                edges += 1
                if off > CLOSE:
                    known[reason(name, program, eager, compiled) or "a bug"] += 1
                continue
            total[name] += 1
            equal[name] += off == 0
            worst[name] = max(worst[name], off)
    rows = [
        [
            f"`{call}`",
            f"{total[name]:,}",
            f"{equal[name] / total[name]:.1%}",
            f"{worst[name]:.1f}",
        ]
        for name, call in (
            ("f", "jit(f)"),
            ("grad", "jit(grad(f))"),
            ("hessian", "jit(hessian(f))"),
        )
    ]
    head = ["", "programs", "equal to the last bit", "worst, in ulp"]
    return "\n\n".join(
        [
            engines.table(head, rows),
            f"At awkward numbers, {edges:,} calls of the same functions; "
            "those that differ by more than 8 ulp, or raise something else:",
            engines.table(
                ["Reason", "calls"], [[why, f"{n:,}"] for why, n in known.most_common()]
            ),
        ]
    )


def measure(count: int = PROGRAMS, of_jax: int = OF_JAX) -> str:
    """Return what all the judges say, in Markdown."""
    begin = time.perf_counter()
    tallies = {name: Tally() for name in NAMES_OF_FUNCTIONS}
    exact = tally_fractions(tallies, count)
    tried = drawn(FLOAT_PROGRAMS, count)
    decided = tally_floats(tallies, tried)
    reasons = tally_jax(tallies, decided[:: max(1, len(decided) // of_jax)])
    compiled = compiled_table(tried)
    minutes = (time.perf_counter() - begin) / 60
    rows = [
        [
            f"`{name}`",
            f"{tally.exact:,}",
            f"{tally.digits:.0e}",
            f"{len(tally.errors):,}",
            f"{median(tally.errors):.0e}",
            f"{max(tally.errors):.0e}",
            f"{median(tally.widths):.0e}",
            f"{max(tally.theirs):.0e}",
        ]
        for name, tally in tallies.items()
    ]
    head = ["", "fractions", "60 digits, worst", "floats", "median", "worst"]
    head += ["interval, median", "JAX, worst"]
    numbers = reasons.pop("numbers")
    faults = sum(tally.faults for tally in tallies.values())
    return "\n\n".join(
        [
            f"{circumstances('hypothesis', 'mpmath', 'jax')}, by "
            f"`python -m tests.trust functional --write`, in {minutes:.0f} minutes.",
            f"{exact:,} different programs of fractions; {len(tried):,} of floats, of "
            f"which {len(tried) - len(decided):,} come too close to a kink or the end "
            f"of a domain for the intervals. Unequal fractions, and floats outside "
            f"their interval: {faults}. Errors are relative.",
            engines.table(head, rows),
            f"JAX: {numbers:,} numbers, of which are more than four widths away from "
            "their interval:",
            engines.table(
                ["Reason", "numbers"],
                [[why, f"{n:,}"] for why, n in reasons.most_common()],
            ),
            "Compiled and eager:",
            compiled,
        ]
    )
