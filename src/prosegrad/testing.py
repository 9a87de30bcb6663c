"""Checking gradients: by nudges, and in units in the last place.

A check is evidence, not proof: a nudge sees about ten digits, at the
points that were tried, and only in directions that were tried.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from numbers import Rational

from prosegrad.elementary import Number
from prosegrad.value import Value


@dataclass(frozen=True)
class Probe:
    """What nudges along one direction showed.

    Attributes:
        direction: -1, 0 or 1 for each input.
        predicted: The slope along it, by the gradient.
        left: The slope of the step back.
        right: The slope of the step forth.
        allowed: How far `predicted` may be from `measured`.
        kink: Whether the two sides have slopes of their own.
    """

    direction: tuple[int, ...]
    predicted: Number
    left: Number
    right: Number
    allowed: Number
    kink: bool

    @property
    def measured(self) -> Number:
        """The slope of the step from back to forth."""
        return (self.left + self.right) / 2

    @property
    def error(self) -> Number:
        """How far the prediction is outside of what was measured."""
        low = high = self.measured
        if self.kink:
            low = min(self.left, self.right)
            high = max(self.left, self.right)
        return max(low - self.predicted, self.predicted - high, 0)

    @property
    def agrees(self) -> bool:
        """Whether the prediction is as near as it must be."""
        return bool(self.error <= self.allowed)


def _compute(
    f: Callable[..., Value], inputs: Sequence[Number]
) -> tuple[Value, list[Value]]:
    leaves = [Value(x) for x in inputs]
    result = f(*leaves)
    if not isinstance(result, Value):
        raise TypeError(
            f"gradcheck: f returned {result!r} of type "
            f"{type(result).__name__}, not a Value"
        )
    return result, leaves


def _moved(
    inputs: Sequence[Number], direction: Sequence[int], step: Number
) -> list[Number]:
    return [x + d * step for x, d in zip(inputs, direction)]


def _sides(
    f: Callable[..., Value],
    inputs: Sequence[Number],
    direction: Sequence[int],
    step: Number,
    middle: Number,
) -> tuple[Number, Number]:
    low = _compute(f, _moved(inputs, direction, -step))[0].data
    high = _compute(f, _moved(inputs, direction, step))[0].data
    return (middle - low) / step, (high - middle) / step


def _probe(
    f: Callable[..., Value],
    inputs: Sequence[Number],
    gradient: Sequence[Number],
    direction: tuple[int, ...],
    step: Number,
    middle: Number,
    allow: Callable[[Number], Number],
) -> Probe:
    left, right = _sides(f, inputs, direction, step, middle)
    near = _sides(f, inputs, direction, step / 2, middle)
    allowed = allow(max(abs(left), abs(right)))
    bend = (right - left) - 2 * (near[1] - near[0])
    kink = bool(abs(bend) > 4 * allowed)
    slope = _predicted(gradient, inputs, direction, step)
    return Probe(direction, slope, left, right, allowed, kink)


def _predicted(
    gradient: Sequence[Number],
    inputs: Sequence[Number],
    direction: Sequence[int],
    step: Number,
) -> Number:
    """Count the moves that were made: `x + step` has been rounded."""
    back = _moved(inputs, direction, -step)
    forth = _moved(inputs, direction, step)
    moves = zip(gradient, back, forth)
    return sum(g * (b - a) for g, a, b in moves if a != b) / (2 * step)


def _rounding(value: Number, step: Number) -> Number:
    exact = not isinstance(value, float)
    return 0 if exact else 8 * math.ulp(value) / step


@dataclass(frozen=True)
class GradientReport:
    """What `gradcheck` found, when it found no fault.

    Attributes:
        inputs: The n inputs.
        gradient: The n derivatives, by `backward`.
        probes: One a direction.
    """

    inputs: tuple[Number, ...]
    gradient: tuple[Number, ...]
    probes: tuple[Probe, ...]

    @property
    def error(self) -> Number:
        """The largest error of a probe."""
        return max(probe.error for probe in self.probes)

    @property
    def kinks(self) -> tuple[Probe, ...]:
        """The probes that met a kink within their step."""
        return tuple(probe for probe in self.probes if probe.kink)


class GradcheckError(AssertionError):
    """A gradient differs from what nudges show."""


def gradcheck(
    f: Callable[..., Value],
    inputs: Sequence[Number],
    *,
    step: Number = 1e-5,
    rtol: Number = 1e-6,
    atol: Number = 1e-9,
    coordinates: bool = True,
    directions: int = 4,
    rng: random.Random | None = None,
) -> GradientReport:
    """Compare the gradient of `f` with central differences.

    Each input is nudged alone, and then all of them together along
    random directions of -1 and 1. At a kink within the step, such as
    relu at 0 or a tie of maximum, any gradient between the slopes of
    the two sides is right; the report names it.

    Args:
        f: Takes n Values and returns one.
        inputs: The n numbers to check at. Fractions, with a Fraction
            for `step`, are nudged without rounding errors.
        step: The nudge. Large inputs may need a larger one.
        rtol: The tolerance, relative to the slope.
        atol: The absolute tolerance.
        coordinates: Whether to nudge each input alone: 4n calls.
        directions: How many random directions, 4 calls each.
        rng: Draws them; `random.Random(0)` if not given.

    Raises:
        GradcheckError: The gradient is wrong. The message shows the
            inputs, both gradients and the worst direction.
        ValueError: There are no inputs or no directions, the step is
            not positive, or `f` gives two values for the same inputs.
        TypeError: `f` does not return a Value.
        Exception: What `f` itself raises at a nudged input.
    """
    inputs = tuple(inputs)
    probing = _directions(len(inputs), coordinates, directions, rng)
    if not probing or not step > 0:
        raise ValueError(
            f"gradcheck: {len(inputs)} inputs, {len(probing)} "
            f"directions, step {step!r}: nothing to nudge"
        )
    result, leaves = _compute(f, inputs)
    result.backward()
    value = result.data
    _require_same(value, _compute(f, inputs)[0].data)

    def allow(slope: Number) -> Number:
        return atol + rtol * slope + _rounding(value, step)

    gradient = tuple(leaf.grad for leaf in leaves)
    probes = tuple(
        _probe(f, inputs, gradient, d, step, value, allow)
        for d in probing
    )
    report = GradientReport(inputs, gradient, probes)
    if not all(probe.agrees for probe in probes):
        raise GradcheckError(_complaint(report, step))
    return report


def _directions(
    n: int, coordinates: bool, count: int, rng: random.Random | None
) -> list[tuple[int, ...]]:
    rng = rng or random.Random(0)
    alone = range(n if coordinates else 0)
    return [tuple(int(i == j) for j in range(n)) for i in alone] + [
        tuple(rng.choice((-1, 1)) for _ in range(n))
        for _ in range(count if n else 0)
    ]


def _require_same(first: Number, second: Number) -> None:
    both_nan = first != first and second != second
    if first != second and not both_nan:
        raise ValueError(
            f"gradcheck: f gave {first!r} and then {second!r} for the "
            "same inputs"
        )


def _complaint(report: GradientReport, step: Number) -> str:
    wrong = [probe for probe in report.probes if not probe.agrees]
    worst = max(wrong, key=lambda probe: probe.error)
    alone = {
        probe.direction: probe.measured
        for probe in report.probes
        if sorted(probe.direction)[-2:] in ([1], [0, 1])
    }
    measured = tuple(alone.values())
    return (
        f"gradcheck: {len(wrong)} of {len(report.probes)} directions "
        f"disagree, the worst is {worst.direction}\n"
        f"  inputs    {report.inputs}\n"
        f"  gradient  {report.gradient}\n"
        f"  measured  {measured}\n"
        f"  along it  {worst.predicted:.9g} predicted, "
        f"{worst.left:.9g} left, {worst.right:.9g} right\n"
        f"  allowed   {worst.allowed:.1e} with the step {step}"
    )


def ulp_error(actual: float, exact: Number) -> float:
    """Return the error of a float in units in the last place.

    The unit is the gap between floats at the exact result. A correctly
    rounded result is off by 0.5 at most.

    Args:
        actual: The float.
        exact: What it should be: an int, a Fraction, a float, or an
            mpmath number with more digits than a float.

    Raises:
        OverflowError: `exact` is too large for a float.
    """
    if not math.isfinite(actual):
        return math.inf
    try:
        unit = math.ulp(float(exact))
    except OverflowError:
        unit = math.inf
    if math.isinf(unit):
        raise OverflowError(f"ulp_error: no float is near {exact!r}")
    kind = Fraction if isinstance(exact, Rational) else type(exact)
    return float(abs(kind(actual) - exact) / kind(unit))
