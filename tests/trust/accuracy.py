"""Count the error of every rule in units in the last place (ulp).

Each function and operator is computed at floats of every size, value and slope,
and compared with the same formula in 50-digit arithmetic.
"""

from __future__ import annotations

import math
import operator
import random
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import mpmath
from mpmath import mp

from prosegrad import Value, cross_entropy, dot, log_sum_exp, softmax
from prosegrad.testing import ulp_error
from tests.records import circumstances

PAGE = Path("docs/trust/accuracy.md")
POINTS = 20_000
DIGITS = 50
TARGET = 4.0  # ulp
# A result that moves by more than this when each input moves by one ulp is badly
# conditioned: rounding the inputs alone may cost half of it.
CONDITION = 2.0
SMALLEST, LARGEST = sys.float_info.min, sys.float_info.max
Exact = Callable[..., Any]
Point = tuple[float, ...]

EDGES = [
    *(0.0, 5e-324, math.nextafter(SMALLEST, 0), SMALLEST, 0.5, 1.0, 2.0, LARGEST),
    *(1e-8, 1e8, 1.34e154, 1e300),  # where a square vanishes beside 1, or overflows
    *(18.7, 36.7, 37.4, 708.4, 709.78, 710.4, 745.1),  # where exp and its kin end
    *(math.pi / 2, math.pi),
]


def number(rng: random.Random) -> float:
    """Return a finite float: of any size, at an edge, near a pole, or moderate."""
    kind = rng.randrange(7)
    if kind == 0:
        return _any_bits(rng)
    if kind == 1:
        return rng.choice((-1, 1)) * math.ldexp(rng.random(), -1022)
    if kind == 2:
        return _neighbour(rng, rng.choice((-1, 1)) * rng.choice(EDGES))
    if kind == 3:
        return rng.uniform(-750, 750)
    if kind == 4:
        return rng.uniform(-40, 40)
    if kind == 5:
        near = rng.choice((-1.0, 0.0, 1.0, math.pi / 2 * rng.randrange(-50, 50)))
        return near + _magnitude(rng, -60, 0)
    return _magnitude(rng, -30, 30)


def _any_bits(rng: random.Random) -> float:
    while True:
        (x,) = struct.unpack("<d", rng.randbytes(8))
        if math.isfinite(x):
            return float(x)


def _neighbour(rng: random.Random, x: float) -> float:
    for _ in range(rng.randrange(4)):
        x = math.nextafter(x, rng.choice((-math.inf, math.inf)))
    return x if math.isfinite(x) else LARGEST


def _magnitude(rng: random.Random, low: int, high: int) -> float:
    mantissa = rng.choice((-1, 1)) * rng.uniform(1, 2)
    return math.ldexp(mantissa, rng.randrange(low, high))


def one(rng: random.Random) -> Point:
    return (number(rng),)


def two(rng: random.Random) -> Point:
    """Return two numbers: independent, close together, or of like size."""
    x = number(rng)
    kind = rng.randrange(4)
    if kind == 0:
        return x, _neighbour(rng, x)
    if kind == 1:
        y = x * rng.uniform(0.5, 2)
        return x, y if math.isfinite(y) else x
    return x, number(rng)


def power_pair(rng: random.Random) -> Point:
    """Return a base and an exponent whose power a float can hold, mostly."""
    kind = rng.randrange(4)
    if kind == 0:
        return number(rng), float(rng.randrange(-5, 6))
    x = abs(number(rng))
    if kind == 1:
        return x, rng.uniform(-3, 3)
    if kind == 2 or x in (0.0, 1.0):
        return x, _magnitude(rng, -60, 4)
    return x, rng.uniform(-745, 710) / math.log(x)


def logits(rng: random.Random) -> Point:
    scale = 10.0 ** rng.uniform(-8, 3)
    shift = rng.choice((0.0, 1000.0, -1000.0)) * rng.random()
    return tuple(shift + rng.gauss(0, scale) for _ in range(3))


@dataclass(frozen=True)
class Rule:
    """A function of ours, and the same function and its slopes in 50 digits.

    Attributes:
        ours: Takes Values, returns a Value.
        exact: Takes and returns mpmath numbers.
        slopes: The derivative by each operand.
        points: Draws the operands.
        rule: Whether the engine has a rule for it; else it is composed of others.
    """

    ours: Callable[..., Value]
    exact: Exact
    slopes: tuple[Exact, ...]
    points: Callable[[random.Random], Point] = one
    rule: bool = True


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def _bell(x: Any) -> Any:
    return _sigmoid(x) * _sigmoid(-x)


def _arc(x: Any) -> Any:
    return 1 / mp.sqrt((1 - x) * (1 + x))


def _step(x: Any) -> Any:
    return mp.mpf(x > 0)


def _gelu_inner(x: Any) -> Any:
    return mp.sqrt(8 / mp.pi) * (x + mp.mpf(0.044715) * x**3)


def _gelu_slope(x: Any) -> Any:
    inner = mp.sqrt(8 / mp.pi) * (1 + 3 * mp.mpf(0.044715) * x**2)
    return _sigmoid(_gelu_inner(x)) + x * _bell(_gelu_inner(x)) * inner


def _weights(*xs: Any) -> list[Any]:
    top = max(xs)
    powers = [mp.exp(x - top) for x in xs]
    return [p / sum(powers) for p in powers]


def _log_sum_exp(*xs: Any) -> Any:
    return max(xs) + mp.log(sum(mp.exp(x - max(xs)) for x in xs))


def _softmax_slope(k: int) -> Exact:
    def slope(*xs: Any) -> Any:
        p = _weights(*xs)
        return p[0] * (p[1] + p[2]) if k == 0 else -p[0] * p[k]

    return slope


def _entropy(*xs: Any) -> Any:
    return mp.log1p(sum(mp.exp(x - xs[0]) for x in xs[1:]))


def _entropy_slope(k: int) -> Exact:
    def slope(*xs: Any) -> Any:
        p = _weights(*xs)
        return -(p[1] + p[2]) if k == 0 else p[k]

    return slope


def _constant(c: float) -> Exact:
    return lambda *xs: mp.mpf(c)


RULES: dict[str, Rule] = {
    "x + y": Rule(operator.add, operator.add, (_constant(1), _constant(1)), two),
    "x - y": Rule(operator.sub, operator.sub, (_constant(1), _constant(-1)), two),
    "x * y": Rule(operator.mul, operator.mul, (lambda x, y: y, lambda x, y: x), two),
    "x / y": Rule(
        operator.truediv,
        operator.truediv,
        (lambda x, y: 1 / y, lambda x, y: -x / y**2),
        two,
    ),
    "-x": Rule(operator.neg, operator.neg, (_constant(-1),)),
    "abs": Rule(abs, abs, (mp.sign,)),
    "x ** 3": Rule(lambda x: x**3, lambda x: x**3, (lambda x: 3 * x**2,)),
    "x ** -1": Rule(lambda x: x**-1, lambda x: 1 / x, (lambda x: -1 / x**2,)),
    "x ** 0.1": Rule(
        lambda x: x**0.1,
        lambda x: x ** mp.mpf(0.1),
        (lambda x: mp.mpf(0.1) * x ** (mp.mpf(0.1) - 1),),
    ),
    "x ** y": Rule(
        operator.pow,
        operator.pow,
        (lambda x, y: y * x ** (y - 1), lambda x, y: x**y * mp.log(x)),
        power_pair,
    ),
    "exp": Rule(Value.exp, mp.exp, (mp.exp,)),
    "expm1": Rule(Value.expm1, mp.expm1, (mp.exp,)),
    "log": Rule(Value.log, mp.log, (lambda x: 1 / x,)),
    "log1p": Rule(Value.log1p, mp.log1p, (lambda x: 1 / (1 + x),)),
    "sqrt": Rule(Value.sqrt, mp.sqrt, (lambda x: 1 / (2 * mp.sqrt(x)),)),
    "sin": Rule(Value.sin, mp.sin, (mp.cos,)),
    "cos": Rule(Value.cos, mp.cos, (lambda x: -mp.sin(x),)),
    "tan": Rule(Value.tan, mp.tan, (lambda x: 1 + mp.tan(x) ** 2,)),
    "asin": Rule(Value.asin, mp.asin, (_arc,)),
    "acos": Rule(Value.acos, mp.acos, (lambda x: -_arc(x),)),
    "atan": Rule(Value.atan, mp.atan, (lambda x: 1 / (1 + x * x),)),
    "sinh": Rule(Value.sinh, mp.sinh, (mp.cosh,)),
    "cosh": Rule(Value.cosh, mp.cosh, (mp.sinh,)),
    "tanh": Rule(Value.tanh, mp.tanh, (lambda x: mp.sech(x) ** 2,)),
    "sigmoid": Rule(Value.sigmoid, _sigmoid, (_bell,)),
    "softplus": Rule(Value.softplus, lambda x: mp.log1p(mp.exp(x)), (_sigmoid,)),
    "relu": Rule(Value.relu, lambda x: max(x, mp.zero), (_step,)),
    "leaky_relu": Rule(
        Value.leaky_relu,
        lambda x: x if x > 0 else mp.mpf(0.01) * x,
        (lambda x: mp.one if x > 0 else mp.mpf(0.01),),
    ),
    "maximum": Rule(
        Value.maximum,
        max,
        (lambda x, y: _share(x, y), lambda x, y: _share(y, x)),
        two,
    ),
    "minimum": Rule(
        Value.minimum,
        min,
        (lambda x, y: _share(y, x), lambda x, y: _share(x, y)),
        two,
    ),
    "dot": Rule(
        lambda x, y: dot([x], [y]),
        operator.mul,
        (lambda x, y: y, lambda x, y: x),
        two,
    ),
    "silu": Rule(
        Value.silu,
        lambda x: x * _sigmoid(x),
        (lambda x: _sigmoid(x) + x * _bell(x),),
        rule=False,
    ),
    "gelu": Rule(
        Value.gelu,
        lambda x: x * _sigmoid(_gelu_inner(x)),
        (_gelu_slope,),
    ),
    "log_sum_exp": Rule(
        lambda *xs: log_sum_exp(xs),
        _log_sum_exp,
        tuple(lambda *xs, k=k: _weights(*xs)[k] for k in range(3)),
        logits,
        rule=False,
    ),
    "softmax": Rule(
        lambda *xs: softmax(xs)[0],
        lambda *xs: _weights(*xs)[0],
        tuple(_softmax_slope(k) for k in range(3)),
        logits,
        rule=False,
    ),
    "cross_entropy": Rule(
        lambda *xs: cross_entropy([xs], [0]),
        _entropy,
        tuple(_entropy_slope(k) for k in range(3)),
        logits,
        rule=False,
    ),
}


def _share(x: Any, y: Any) -> Any:
    """Return the slope of the larger of x and y by x."""
    return (mp.mpf(x > y) + mp.mpf(x >= y)) / 2


@dataclass
class Errors:
    """The errors of one result, in ulp, and where the largest one is.

    Attributes:
        all: The error at each point where the exact result is a normal float.
        ill: How many of them were over the target and badly conditioned.
        worst: The largest of the others, and its point.
    """

    all: list[float] = field(default_factory=list)
    ill: int = 0
    worst: float = 0.0
    at: Point = ()

    def add(self, actual: float, exact: Any, function: Exact, point: Point) -> None:
        if not SMALLEST <= abs(exact) <= LARGEST:
            return
        error = ulp_error(actual, exact)
        self.all.append(error)
        if error <= self.worst:
            return
        if error > TARGET and sensitivity(function, point, exact) > CONDITION:
            self.ill += 1
        else:
            self.worst, self.at = error, point


def sensitivity(function: Exact, point: Point, exact: Any) -> float:
    """Return by how many ulp a result moves when each operand moves by one."""
    total = 0.0
    for i, x in enumerate(point):
        sides = []
        for limit in (-math.inf, math.inf):
            moved = [*point[:i], math.nextafter(x, limit), *point[i + 1 :]]
            sides.append(_evaluate(function, moved))
        if None in sides:
            return math.inf
        total += float(abs(sides[1] - sides[0]) / 2 / math.ulp(float(exact)))
    return total


def _evaluate(function: Exact, point: Sequence[float]) -> Any:
    """Return the exact real result, or None if there is none."""
    try:
        result = function(*map(mp.mpf, point))
    except (ArithmeticError, ValueError):
        return None
    return None if isinstance(result, mpmath.mpc) or mp.isnan(result) else result


@dataclass
class Measured:
    """The errors of one rule: of its value, and of its slopes together."""

    points: int = 0
    value: Errors = field(default_factory=Errors)
    slope: Errors = field(default_factory=Errors)


def measure_rule(rule: Rule, points: int, seed: int = 0) -> Measured:
    """Compare a rule with 50 digits at a number of points of its domain."""
    measured = Measured()
    with mp.workdps(DIGITS):
        for point in _drawn(rule, random.Random(seed)):
            if _compare(rule, point, measured):
                measured.points += 1
            if measured.points == points:
                break
    return measured


def _drawn(rule: Rule, rng: random.Random) -> Iterator[Point]:
    while True:
        yield rule.points(rng)


def _compare(rule: Rule, point: Point, measured: Measured) -> bool:
    """Add the errors at one point; tell whether the function exists there."""
    exact = _evaluate(rule.exact, point)
    if exact is None or not abs(exact) <= LARGEST:
        return False
    leaves = [Value(x) for x in point]
    try:
        result = rule.ours(*leaves)
    except OverflowError:  # the exact result is within half an ulp of the largest
        return False
    result.backward()
    measured.value.add(result.data, exact, rule.exact, point)
    for leaf, function in zip(leaves, rule.slopes, strict=True):
        slope = _evaluate(function, point)
        if slope is not None:
            measured.slope.add(leaf.grad, slope, function, point)
    return True


def measure() -> str:
    """Return the table of all rules, in Markdown."""
    with ProcessPoolExecutor() as pool:
        rows = list(pool.map(_measure_named, RULES))
    head = (
        "| | value, worst | median | slopes, worst | median | left out |\n"
        "|---|---:|---:|---:|---:|---:|"
    )
    return "\n".join(
        [
            f"{circumstances('mpmath')}. Errors in ulp, {POINTS:,} points a row.\n",
            head,
            *(_row(name, found) for name, found in zip(RULES, rows, strict=True)),
        ]
    )


def _measure_named(name: str) -> Measured:
    return measure_rule(RULES[name], POINTS)


def _row(name: str, found: Measured) -> str:
    cells = [
        f"{number:.2f}"
        for errors in (found.value, found.slope)
        for number in (errors.worst, median(errors.all))
    ]
    mark = "" if RULES[name].rule else ", composed"
    left_out = found.value.ill + found.slope.ill
    return f"| `{name}`{mark} | {' | '.join(cells)} | {left_out:,} |"
