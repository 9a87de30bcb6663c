"""Checking gradients: by nudges, and in units in the last place.

A check is evidence, not proof: a nudge sees about ten digits, at the
points that were tried, and only in directions that were tried.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, getcontext
from fractions import Fraction
from functools import cache
from importlib import import_module
from itertools import islice
from numbers import Number as PythonNumber
from numbers import Rational
from typing import Any, TypeAlias

from prosegrad.derivatives import find_box, vjp
from prosegrad.elementary import Number, is_real
from prosegrad.forward import jvp
from prosegrad.trees import Tree, flatten, paths, unflatten
from prosegrad.value import Value

Signs: TypeAlias = tuple[int, ...]
"""A number for each number of a tree, most often -1, 0 or 1."""


@dataclass(frozen=True)
class Probe:
    """What nudges along one direction showed.

    Attributes:
        direction: -1, 0 or 1 for each number of the inputs.
        predicted: The slope along it, by the gradient.
        left: The slope of the step back.
        right: The slope of the step forth.
        allowed: How far `predicted` may be from `measured`.
        kink: Whether the two sides have slopes of their own.
        weights: How often each number of the result counts.
    """

    direction: Signs
    predicted: Number
    left: Number
    right: Number
    allowed: Number
    kink: bool
    weights: Signs = (1,)

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


def _members(tree: Tree) -> list[Number]:
    """Return all numbers of a tree, those of arrays one by one."""
    leaves = flatten(_unboxed(tree))[0]
    return [x for leaf in leaves for x in _listed(leaf)]


def _unboxed(tree: Tree) -> Tree:
    leaves, structure = flatten(tree)
    return unflatten(structure, map(_without_box, leaves))


def _without_box(x: Number) -> Number:
    return _without_box(x.data) if isinstance(x, Value) else x


def _listed(leaf: Number) -> list[Number]:
    if not hasattr(leaf, "shape"):
        return [leaf]
    numbers: list[Number] = leaf.reshape(-1).tolist()
    return numbers


def _like(tree: Tree, numbers: Iterable[Number]) -> Tree:
    """Return a tree of the same form with other numbers."""
    leaves, structure = flatten(tree)
    flow = iter(numbers)
    filled = [_filled(leaf, flow) for leaf in leaves]
    return unflatten(structure, filled)


def _filled(leaf: Number, flow: Iterator[Number]) -> Number:
    if not hasattr(leaf, "shape") or isinstance(leaf, Rational):
        return next(flow)
    array: Any = leaf
    if isinstance(leaf, PythonNumber):  # a member of an array
        return array.dtype.type(next(flow))
    arrays = import_module("prosegrad.arrays")
    numbers = list(islice(flow, math.prod(leaf.shape)))
    flat = arrays.NUMPY.asarray(numbers).reshape(leaf.shape)
    return arrays.constant_like(flat, leaf)


def _unit(x: Number, leaf: Number) -> Number:
    """Return how far apart the numbers near a member of `leaf` are."""
    if isinstance(x, float):
        size = getattr(getattr(leaf, "dtype", None), "itemsize", 8)
        return abs(x) * {2: 2.0**-10, 4: 2.0**-23}.get(size, 2.0**-52)
    if isinstance(x, Decimal):
        return abs(x).scaleb(1 - getcontext().prec)
    context = getattr(x, "context", None)  # mpmath's numbers have it
    return 0 if context is None else abs(x) * context.eps


def _run(
    f: Callable[..., Tree], inputs: tuple[Tree, ...]
) -> tuple[Tree, list[Value]]:
    """Return what `f` makes of boxes, and the boxes."""
    leaves, structure = flatten(inputs)
    if any(hasattr(leaf, "shape") for leaf in leaves):
        import_module("prosegrad.tensor")  # teaches find_box arrays
    kinds = {find_box(leaf) for leaf in leaves}
    kind = max(kinds, key=lambda kind: len(kind.mro()))
    boxes = [kind(leaf) for leaf in leaves]
    return f(*unflatten(structure, boxes)), boxes


class _Point:
    """A function at its inputs, and what nudges of them do."""

    def __init__(
        self,
        f: Callable[..., Tree],
        inputs: tuple[Tree, ...],
        step: Number,
    ) -> None:
        self.f, self.inputs, self.step = f, inputs, step
        self.numbers = _members(inputs)
        self.boxed = _run(f, inputs)[0]
        self.result = _unboxed(self.boxed)
        self.middle = _members(self.result)
        leaves = flatten(self.result)[0]
        self.units = [
            _unit(x, leaf) for leaf in leaves for x in _listed(leaf)
        ]

    def _at(self, numbers: Iterable[Number]) -> list[Number]:
        return _members(_run(self.f, _like(self.inputs, numbers))[0])

    def moved(
        self, direction: Sequence[int], step: Number
    ) -> list[Number]:
        """Return the inputs after a step, rounded as their kind is."""
        pairs = zip(self.numbers, direction)
        forth = [x + d * step for x, d in pairs]
        return _members(_like(self.inputs, forth))

    def sides(
        self, direction: Sequence[int], step: Number
    ) -> tuple[list[Number], list[Number]]:
        """Return the slopes of the step back and of the step forth."""
        low = self._at(self.moved(direction, -step))
        high = self._at(self.moved(direction, step))
        return (
            [(y - x) / step for x, y in zip(low, self.middle)],
            [(y - x) / step for x, y in zip(self.middle, high)],
        )

    def moves(self, direction: Sequence[int]) -> list[Number]:
        """Return how many steps each input really moves."""
        back = self.moved(direction, -self.step)
        forth = self.moved(direction, self.step)
        return [(b - a) / (2 * self.step) for a, b in zip(back, forth)]


def _probes(
    point: _Point,
    direction: Signs,
    weightings: Sequence[Signs],
    allow: Callable[[Number], Number],
) -> Iterator[Probe]:
    """Yield a probe for each weighting, with no prediction yet."""
    sides = point.sides(direction, point.step)
    halves = point.sides(direction, point.step / 2)
    for weights in weightings:
        left, right = (_dot(weights, side) for side in sides)
        near = [_dot(weights, side) for side in halves]
        allowed = allow(max(abs(left), abs(right)))
        allowed += _rounding(point, weights)
        bend = (right - left) - 2 * (near[1] - near[0])
        kink = bool(abs(bend) > 4 * allowed)
        yield Probe(direction, 0, left, right, allowed, kink, weights)


def _dot(
    weights: Iterable[Number], numbers: Iterable[Number]
) -> Number:
    return sum(w * x for w, x in zip(weights, numbers) if w != 0)


def _rounding(point: _Point, weights: Signs) -> Number:
    """Return what the rounding of the result can make of a slope."""
    return 8 * _dot(map(abs, weights), point.units) / point.step


Gradients: TypeAlias = dict[Signs, list[Number]]
"""For each weighting of the results, the gradient of that sum."""


def _by_backward(
    point: _Point, weightings: Iterable[Signs]
) -> Gradients:
    return {
        weights: _pulled(
            point.f, point.inputs, _like(point.result, weights)
        )
        for weights in weightings
    }


def _pulled(
    f: Callable[..., Tree], inputs: tuple[Tree, ...], seeds: Tree
) -> list[Number]:
    """Return what `backward` from each result leaves in the inputs."""
    result, boxes = _run(f, inputs)
    for output, seed in zip(flatten(result)[0], flatten(seeds)[0]):
        if isinstance(output, Value):
            output.backward(seed)
    return [slope for box in boxes for slope in _slopes(box)]


def _slopes(box: Value) -> list[Number]:
    count, slopes = len(_members(box)), _members(box.grad)
    return slopes * count if type(box.grad) is int else slopes


def _by_vjp(point: _Point, weightings: Iterable[Signs]) -> Gradients:
    pull = vjp(point.f, *point.inputs)[1]
    return {
        weights: _members(pull(_like(point.result, weights)))
        for weights in weightings
    }


def _predict(
    point: _Point, probes: Iterable[Probe], gradients: Gradients
) -> tuple[Probe, ...]:
    """Return the probes with what the gradients predict."""
    moves = cache(point.moves)
    pairs = [
        (p, _dot(moves(p.direction), gradients[p.weights]))
        for p in probes
    ]
    return tuple(replace(p, predicted=slope) for p, slope in pairs)


def _push(point: _Point, probes: Iterable[Probe]) -> tuple[Probe, ...]:
    """Return the probes with what forward mode predicts."""

    @cache
    def slopes(direction: Signs) -> list[Number]:
        moves = _like(point.inputs, point.moves(direction))
        return _members(jvp(point.f, point.inputs, moves)[1])

    return tuple(
        replace(p, predicted=_dot(p.weights, slopes(p.direction)))
        for p in probes
    )


@dataclass(frozen=True)
class GradientReport:
    """What `gradcheck` found, when it found no fault.

    Attributes:
        inputs: The arguments.
        gradient: The derivatives, by `backward`, in the form of the
            inputs; of several results, those of their sum.
        probes: One a direction, and of several results one for each
            weighting.
    """

    inputs: tuple[Tree, ...]
    gradient: tuple[Tree, ...]
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
    f: Callable[..., Tree],
    inputs: Sequence[Tree],
    *,
    step: Number | None = None,
    rtol: Number = 1e-6,
    atol: Number = 1e-9,
    coordinates: bool = True,
    directions: int = 4,
    order: int = 1,
    rng: random.Random | None = None,
) -> GradientReport:
    """Compare the gradient of `f` with central differences.

    Each number is nudged alone, and then all of them together along
    random directions of -1 and 1. `backward`, `vjp` (and so `grad`)
    and `jvp` must predict what the nudges show. At a kink within the
    step, such as relu at 0 or a tie of maximum, any gradient between
    the slopes of the two sides is right; the report names it.

    Args:
        f: A function of n arguments. It is called with Values, and
            with Tensors for arrays, and returns a tree of them.
        inputs: The n arguments to check at: numbers, arrays, or trees
            of them. Fractions, with a Fraction for `step`, are nudged
            without rounding errors.
        step: The nudge; 1e-5 if not given. For numbers with fewer
            digits than a float it is larger, and the tolerances are
            at least ten times its square. Large inputs may need more.
        rtol: The tolerance, relative to the slope.
        atol: The absolute tolerance.
        coordinates: Whether to nudge each number alone, 4 calls each,
            and to look at each number of the result alone.
        directions: How many random directions, 4 calls each.
        order: 2 checks the derivatives of the gradient, too.
        rng: Draws them; `random.Random(0)` if not given.

    Raises:
        GradcheckError: The gradient is wrong. The message shows the
            inputs, both gradients and the worst direction.
        ValueError: The nudges show nothing: there are no inputs or no
            directions, the step is not positive or lost in rounding,
            or `f` gives two values for the same inputs.
        TypeError: An input or a result is not a real number, or no
            result is a Value.
        Exception: What `f` itself raises at a nudged input.
    """
    args: tuple[Tree, ...] = _unboxed(tuple(inputs))
    _require_real("input", args)
    if step is None:
        step = _default_step(args)
        bent = 10 * step * step if step > 1e-5 else 0
        rtol, atol = max(rtol, bent), max(atol, bent)
    rng = rng or random.Random(0)
    n = len(_members(args))
    probing = _directions(n, coordinates, directions, rng)
    if not probing or not step > 0 or order < 1:
        raise ValueError(
            f"gradcheck: {n} inputs, {len(probing)} directions, step "
            f"{step!r}, order {order}: nothing to nudge"
        )
    reports = []
    for k in range(order):
        point = _Point(f, args, step)
        if not k:
            _require_boxes(point.boxed)
        m = len(point.middle)
        alone = _directions(m, coordinates, directions, rng)
        weightings = [(1,) * m, *(alone if m > 1 else [])]
        of = f", order {k + 1}" if k else ""
        reports.append(
            _compare(of, point, probing, weightings, rtol, atol)
        )
        f = _gradient_of(f, point.result)
    return reports[0]


def _compare(
    of: str,
    point: _Point,
    probing: Iterable[Signs],
    weightings: Sequence[Signs],
    rtol: Number,
    atol: Number,
) -> GradientReport:
    _require_moves(point)
    _require_same(point.middle, point._at(point.numbers))
    measured = [
        probe
        for direction in probing
        for probe in _probes(
            point, direction, weightings, lambda x: atol + rtol * x
        )
    ]
    slopes = _by_backward(point, weightings)
    probes = _predict(point, measured, slopes)
    gradient = _like(point.inputs, slopes[weightings[0]])
    _require_agreement(of, point, slopes, probes)
    _require_sight(point, slopes, probes, rtol)
    others = _by_vjp(point, weightings)
    pulled = _predict(point, measured, others)
    _require_agreement(f" of vjp{of}", point, others, pulled)
    pushed = _push(point, measured)
    _require_agreement(f" of jvp{of}", point, slopes, pushed)
    return GradientReport(point.inputs, gradient, probes)


def _gradient_of(f: Callable[..., Tree], result: Tree) -> Any:
    """Return the function that pulls back unequal weights."""
    weights = [1 + i % 7 for i in range(len(_members(result)))]
    return lambda *args: vjp(f, *args)[1](_like(result, weights))


def _default_step(inputs: Tree) -> float:
    return float(1e-5 * (_coarsest(inputs) / 2.0**-52) ** (1 / 3))


def _coarsest(tree: Tree) -> Number:
    """Return the gap above 1 of the numbers with the fewest digits."""
    units = [_unit(1.0, leaf) for leaf in flatten(tree)[0]]
    return max(units, default=2.0**-52)


def _directions(
    n: int, coordinates: bool, count: int, rng: random.Random
) -> list[Signs]:
    alone = range(n if coordinates else 0)
    return [tuple(int(i == j) for j in range(n)) for i in alone] + [
        tuple(rng.choice((-1, 1)) for _ in range(n))
        for _ in range(count if n else 0)
    ]


def _require_real(role: str, tree: Tree) -> None:
    for x in _members(tree):
        if not is_real(x):
            raise TypeError(
                f"gradcheck: an {role} is {x!r}; nudges go along the "
                "real line"
            )


def _require_boxes(result: Tree) -> None:
    if not any(isinstance(x, Value) for x in flatten(result)[0]):
        raise TypeError(
            f"gradcheck: f returned {result!r} of type "
            f"{type(result).__name__}, not a Value"
        )
    _require_real("output", result)


def _require_same(
    first: Sequence[Number], second: Sequence[Number]
) -> None:
    for x, y in zip(first, second):
        both_nan = x != x and y != y
        if x != y and not both_nan:
            raise ValueError(
                f"gradcheck: f gave {x!r} and then {y!r} for the "
                "same inputs"
            )


def _require_moves(point: _Point) -> None:
    all_of_them = [1] * len(point.numbers)
    moved = point.moved(all_of_them, point.step / 2)
    leaves = flatten(point.inputs)[0]
    names = [
        name
        for name, leaf in zip(paths(point.inputs, "inputs"), leaves)
        for _ in _listed(leaf)
    ]
    for name, x, y in zip(names, point.numbers, moved):
        if x == y:
            raise ValueError(
                f"gradcheck: the step is lost in rounding: {name} "
                f"holds {x!r}, and half of the step {point.step} does "
                "not move it; take a larger step"
            )


def _require_sight(
    point: _Point,
    slopes: Gradients,
    probes: Iterable[Probe],
    rtol: Number,
) -> None:
    moves = cache(point.moves)
    for probe in probes:
        shares = zip(moves(probe.direction), slopes[probe.weights])
        size = sum(abs(move * slope) for move, slope in shares if move)
        size = max(abs(probe.left), abs(probe.right), size)
        hidden = _rounding(point, probe.weights)
        if hidden > max(rtol, size / 10 if size else 0.01):
            raise ValueError(
                "gradcheck: the step is lost in rounding: along "
                f"{probe.direction} the slope is {_text(size)}, and "
                f"rounding hides {_text(hidden)} with the step "
                f"{point.step}; take a larger step"
            )


def _require_agreement(
    of: str,
    point: _Point,
    slopes: Gradients,
    probes: Sequence[Probe],
) -> None:
    wrong = [probe for probe in probes if not probe.agrees]
    if not wrong:
        return
    worst = max(wrong, key=lambda probe: probe.error)
    alone = {
        probe.direction: probe.measured
        for probe in probes
        if probe.weights == worst.weights
        and sorted(probe.direction)[-2:] in ([1], [0, 1])
    }
    lines = [
        f"gradcheck{of}: {len(wrong)} of {len(probes)} directions "
        f"disagree, the worst is {worst.direction}",
        f"  inputs    {point.inputs}",
        f"  gradient  {tuple(slopes[worst.weights])}",
        f"  measured  {tuple(alone.values())}",
        f"  along it  {_text(worst.predicted)} predicted, "
        f"{_text(worst.left)} left, {_text(worst.right)} right",
        f"  allowed   {float(worst.allowed):.1e} with the step "
        f"{point.step}",
    ]
    if len(worst.weights) > 1:
        lines.append(f"  results   counted {worst.weights}")
    raise GradcheckError("\n".join(lines))


def _text(x: Number) -> str:
    return f"{float(x):.9g}"


def check_adjoint(
    f: Callable[[Tree], Tree],
    like: Tree,
    adjoint: Callable[[Tree], Tree] | None = None,
    *,
    rtol: float = 1e-9,
    rng: random.Random | None = None,
) -> None:
    """Raise unless the sum of `f(x) * y` is that of `x * adjoint(y)`.

    `x` and `y` are drawn from the whole numbers from -9 to 9, four
    times.

    Args:
        f: A linear function of a tree of numbers and arrays.
        like: What its argument is like: only the form counts.
        adjoint: Takes what `f` returns. Both are called with plain
            numbers and arrays. If it is not given, `f` is called with
            Values and Tensors, and judged are `backward` and `vjp`,
            and whether `jvp` moves as `f` does.
        rtol: The tolerance, relative to the sum of the sizes; a few
            units in the last place are added.
        rng: Draws the numbers; `random.Random(0)` if not given.

    Raises:
        GradcheckError: The sums differ, or `adjoint` returns another
            form than that of `like`.
        ValueError: There are no numbers to draw.
    """
    rng = rng or random.Random(0)
    like = _unboxed(like)
    for _ in range(4):
        x = _drawn(like, rng)
        forth = f(x) if adjoint else _unboxed(_run(f, (x,))[0])
        y = _drawn(forth, rng)
        for name, back in _adjoints(f, x, y, adjoint):
            if name == "jvp":
                _require_equal_sums(name, forth, y, back, y, rtol)
                continue
            _require_form(back, like)
            _require_equal_sums(name, forth, y, back, x, rtol)


def _drawn(like: Tree, rng: random.Random) -> Tree:
    digits = [d for d in range(-9, 10) if d]
    drawn = [rng.choice(digits) for _ in _members(like)]
    if not drawn:
        raise ValueError(f"check_adjoint: no numbers in {like!r}")
    return _like(like, drawn)


def _adjoints(
    f: Callable[[Tree], Tree],
    x: Tree,
    y: Tree,
    adjoint: Callable[[Tree], Tree] | None,
) -> Iterator[tuple[str, Tree]]:
    if adjoint is not None:
        yield "adjoint", adjoint(y)
        return
    yield "backward", _like(x, _pulled(f, (x,), y))
    yield "vjp", vjp(f, x)[1](y)[0]
    yield "jvp", jvp(f, (x,), (x,))[1]


def _require_form(found: Tree, like: Tree) -> None:
    forms = [
        (structure, [getattr(leaf, "shape", ()) for leaf in leaves])
        for leaves, structure in map(flatten, (found, like))
    ]
    if forms[0] != forms[1]:
        raise GradcheckError(
            f"check_adjoint: the adjoint returned {found!r}, which "
            f"has not the form of {like!r}"
        )


def _require_equal_sums(
    name: str, a: Tree, y: Tree, b: Tree, x: Tree, rtol: float
) -> None:
    forth = [p * q for p, q in zip(_members(a), _members(y))]
    back = [p * q for p, q in zip(_members(b), _members(x))]
    one, two = sum(forth), sum(back)
    rtol += 8 * _coarsest((a, b))
    if not abs(one - two) <= rtol * sum(map(abs, forth)):
        raise GradcheckError(
            f"check_adjoint: {one} forth and {two} back, by {name}: f "
            "is not linear, or that is not its adjoint"
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
