"""One program, several engines: how far is each from the exact result?

The judge is arithmetic of 100 digits that knows no rule of differentiation: it
nudges. Beside each exact number stands its allowance, what that number may be
off by if every operation of the program, and every slope, is rounded once.
"""

from __future__ import annotations

import math
import operator
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any
from zlib import crc32

import mpmath
from hypothesis import Phase, given, settings
from mpmath import mpf

from prosegrad import Value, cross_entropy, log_sum_exp, mean_squared_error, softmax
from tests.records import circumstances
from tests.trust.strategies import (
    ARITY,
    At,
    Operations,
    Program,
    Step,
    float_programs,
)

PAGE = Path("docs/trust/engines.md")

# --- the engines: each says what the names of the operations mean


@dataclass(frozen=True)
class Engine:
    """An engine: its rules, and how it runs a program forward and back.

    `differences` are the operations whose results and slopes it finds as a
    difference of larger numbers, so that their last digits are lost.
    """

    name: str
    operations: Operations
    differences: frozenset[str]
    value_and_gradient: Callable[[Program], tuple[float, list[float]]]
    every: int = 1  # a slow engine runs one of so many random programs
    faulty: frozenset[str] = frozenset()  # known to be further off than allowed

    def takes(self, program: Program) -> bool:
        """Tell whether a random program is for this engine."""
        operations = {step.op for step in program.steps}
        lot = crc32(repr(program).encode())
        return lot % self.every == 0 and not operations & self.faulty


OPERATORS: dict[str, Callable[..., Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": operator.pow,
    "pow": operator.pow,
    "neg": operator.neg,
    "abs": abs,
}


OUR_DIFFERENCES = frozenset({"softmax", "log_sum_exp", "cross_entropy"})
# 1 - t * t for tanh, y + 1 for expm1, y * (1 - y) for sigmoid, …
DIFFERENCES = OUR_DIFFERENCES | {"expm1", "tanh", "sigmoid", "softplus"}
DIFFERENCES |= {"silu", "gelu", "tan"}


def our_rules() -> Operations:
    """Return what the operations mean to us."""
    methods = set(ARITY) & set(dir(Value))

    def lifted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*operands: Any) -> Any:
            return function(
                *(x if isinstance(x, Value) else Value(x) for x in operands)
            )

        return call

    return {name: lifted(getattr(Value, name)) for name in methods} | {
        "softmax": lifted(lambda *xs: softmax(xs)[0]),
        "log_sum_exp": lifted(lambda *xs: log_sum_exp(xs)),
        "cross_entropy": lifted(lambda *xs: cross_entropy([xs], [0])),
        "mean_squared_error": lifted(
            lambda a, b, c, d: mean_squared_error([a, b], [c, d])
        ),
        **OPERATORS,
    }


def prosegrad(rules: Operations | None = None) -> Engine:
    """Return our engine, or one with other rules."""
    operations = our_rules() if rules is None else rules

    def value_and_gradient(program: Program) -> tuple[float, list[float]]:
        leaves = [Value(x) for x in program.inputs]
        result = program.run(leaves, operations)[-1]
        result.backward()
        return result.data, [leaf.grad for leaf in leaves]

    return Engine("prosegrad", operations, OUR_DIFFERENCES, value_and_gradient)


def _same_names(xp: Any) -> dict[str, Callable[..., Any]]:
    """Return what NumPy, PyTorch and JAX have under the same names."""
    same = "exp expm1 log log1p sqrt sin cos tan sinh cosh tanh maximum minimum"
    return (
        OPERATORS
        | {name: getattr(xp, name) for name in same.split()}
        | {f"a{name}": getattr(xp, f"arc{name}") for name in ("sin", "cos", "tan")}
    )


def _functional(
    engine: Any, operations: Operations
) -> Callable[[Program], tuple[float, list[float]]]:
    """Return how to run a program where functions are differentiated."""

    def value_and_gradient(program: Program) -> tuple[float, list[float]]:
        both = engine.value_and_grad(
            lambda *leaves: program.run(leaves, operations)[-1],
            tuple(range(len(program.inputs))),
        )
        value, gradient = both(*program.inputs)
        return float(value), [float(slope) for slope in gradient]

    return value_and_gradient


def hips_autograd() -> Engine:
    """Return HIPS autograd, which differentiates NumPy."""
    np = import_module("autograd.numpy")
    special = import_module("autograd.scipy.special")

    def gelu(x: Any) -> Any:
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
        return 0.5 * x * (1 + np.tanh(inner))

    operations = _same_names(np) | {
        "relu": lambda x: np.maximum(x, 0.0),
        "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
        "sigmoid": special.expit,
        "softplus": lambda x: np.logaddexp(x, 0.0),
        "silu": lambda x: x * special.expit(x),
        "gelu": gelu,
        "softmax": lambda *xs: np.exp(xs[0] - special.logsumexp(np.array(xs))),
        "log_sum_exp": lambda *xs: special.logsumexp(np.array(xs)),
        "cross_entropy": lambda *xs: special.logsumexp(np.array(xs)) - xs[0],
        "mean_squared_error": lambda a, b, c, d: ((a - c) ** 2 + (b - d) ** 2) / 2,
    }
    run = _functional(import_module("autograd"), operations)

    def quietly(program: Program) -> tuple[float, list[float]]:
        # Its slope of tanh divides by a square that may overflow, and is right.
        with np.errstate(over="ignore"):
            return run(program)

    return Engine("autograd", operations, DIFFERENCES, quietly)


def jax() -> Engine:
    """Return JAX, one operation after the other, with 64 bits."""
    library = import_module("jax")
    library.config.update("jax_enable_x64", True)
    library.config.update("jax_platforms", "cpu")
    np, nn = library.numpy, library.nn
    operations = _same_names(np) | {
        "relu": nn.relu,
        "leaky_relu": nn.leaky_relu,
        "sigmoid": nn.sigmoid,
        "softplus": nn.softplus,
        "silu": nn.silu,
        "gelu": nn.gelu,  # the tanh form, unless told otherwise
        "softmax": lambda *xs: nn.softmax(np.stack(xs))[0],
        "log_sum_exp": lambda *xs: nn.logsumexp(np.stack(xs)),
        "cross_entropy": lambda *xs: -nn.log_softmax(np.stack(xs))[0],
        "mean_squared_error": lambda a, b, c, d: np.mean(
            (np.stack([a, b]) - np.stack([c, d])) ** 2
        ),
    }
    run = _functional(library, operations)
    # XLA's log1p loses two digits near -0.4, see `log1p_of_jax`.
    faulty = frozenset({"log1p"})
    return Engine("jax", operations, DIFFERENCES, run, every=10, faulty=faulty)


def torch() -> Engine:
    """Return PyTorch with tensors of one float64."""
    library = import_module("torch")
    functional = import_module("torch.nn.functional")

    def lift(x: Any) -> Any:
        return library.as_tensor(x, dtype=library.float64)

    def stack(xs: Sequence[Any]) -> Any:
        return library.stack([lift(x) for x in xs])

    operations = _same_names(library) | {
        **{n: getattr(functional, n) for n in ["relu", "leaky_relu", "silu"]},
        "maximum": lambda x, y: library.maximum(lift(x), lift(y)),
        "minimum": lambda x, y: library.minimum(lift(x), lift(y)),
        "sigmoid": library.sigmoid,
        # From its default of 20 on, softplus would be the identity.
        "softplus": lambda x: functional.softplus(x, threshold=40),
        "gelu": lambda x: functional.gelu(x, approximate="tanh"),
        "softmax": lambda *xs: library.softmax(stack(xs), 0)[0],
        "log_sum_exp": lambda *xs: library.logsumexp(stack(xs), 0),
        "cross_entropy": lambda *xs: functional.cross_entropy(
            stack(xs)[None], library.tensor([0])
        ),
        "mean_squared_error": lambda a, b, c, d: functional.mse_loss(
            stack([a, b]), stack([c, d])
        ),
    }

    def value_and_gradient(program: Program) -> tuple[float, list[float]]:
        leaves = [lift(x).requires_grad_() for x in program.inputs]
        result = program.run(leaves, operations)[-1]
        result.backward()
        slopes = [0.0 if x.grad is None else float(x.grad) for x in leaves]
        return float(result.detach()), slopes

    return Engine("torch", operations, DIFFERENCES, value_and_gradient)


ENGINES: dict[str, Callable[[], Engine]] = {
    "prosegrad": prosegrad,
    "autograd": hips_autograd,
    "torch": torch,
    "jax": jax,
}
TITLES = {
    "prosegrad": "prosegrad",
    "autograd": "HIPS autograd",
    "torch": "PyTorch",
    "jax": "JAX",
}


def installed() -> list[Engine]:
    """Return the engines that this machine has."""
    engines = []
    for make in ENGINES.values():
        with suppress(ModuleNotFoundError):
            engines.append(make())
    return engines


# --- the judge

DIGITS = 100
NUDGE = mpf(10) ** -25  # leaves 50 digits right
ROUNDING = mpf(2) ** -53
NOTHING = mpf(10) ** -40  # smaller than that is a zero that was nudged


def meanings(context: Any) -> Operations:
    """Return what the operations mean in a context of mpmath."""
    names = "exp expm1 log log1p sqrt sin cos tan asin acos atan sinh cosh tanh"
    c = context

    def log_sum_exp(*xs: Any) -> Any:
        return c.log(sum(c.exp(x) for x in xs))

    def gelu(x: Any) -> Any:
        return x / 2 * (1 + c.tanh(c.sqrt(2 / c.pi) * (x + 0.044715 * x**3)))

    return OPERATORS | {
        **{name: getattr(c, name) for name in names.split()},
        "relu": lambda x: max(x, 0 * x),
        "leaky_relu": lambda x: x if x > 0 else x * 0.01,
        "maximum": max,
        "minimum": min,
        "sigmoid": lambda x: 1 / (1 + c.exp(-x)),
        "softplus": lambda x: c.log1p(c.exp(x)),
        "silu": lambda x: x / (1 + c.exp(-x)),
        "gelu": gelu,
        "softmax": lambda *xs: c.exp(xs[0]) / sum(c.exp(x) for x in xs),
        "log_sum_exp": log_sum_exp,
        "cross_entropy": lambda *xs: log_sum_exp(*xs) - xs[0],
        "mean_squared_error": lambda p, q, s, t: ((p - s) ** 2 + (q - t) ** 2) / 2,
    }


EXACT = meanings(mpmath.mp)
FLOATS = meanings(mpmath.fp)


@dataclass(frozen=True)
class Local:
    """One step of a run: its operands, slopes and second derivatives."""

    step: Step
    operands: list[tuple[int, Any]]  # the node's place and its number
    result: Any
    slopes: list[Any]
    bends: list[list[Any]]


def _local(step: Step, nodes: Sequence[Any]) -> Local:
    """Nudge one step's operands, alone and in pairs."""
    used = [(i, o.index) for i, o in enumerate(step.operands) if isinstance(o, At)]
    places = [i for i, _ in used]
    point = [nodes[o.index] if isinstance(o, At) else mpf(o) for o in step.operands]

    @cache
    def at(*nudges: tuple[int, int]) -> Any:
        moved = list(point)
        for i, sign in nudges:
            moved[i] += sign * NUDGE
        return EXACT[step.op](*moved)

    def bend(i: int, j: int) -> Any:
        if i == j:
            return (at((i, 1)) - 2 * at() + at((i, -1))) / NUDGE**2
        i, j = sorted((i, j))
        up = at((i, 1), (j, 1)) - at((i, 1), (j, -1))
        down = at((i, -1), (j, 1)) - at((i, -1), (j, -1))
        return (up - down) / (4 * NUDGE**2)

    return Local(
        step,
        [(node, point[i]) for i, node in used],
        at(),
        [(at((i, 1)) - at((i, -1))) / (2 * NUDGE) for i in places],
        [[bend(i, j) for j in places] for i in places],
    )


@dataclass(frozen=True)
class Judge:
    """The exact results of a program, and what rounding may do to them.

    The allowances are of first order. They hold for a program whose nodes
    stay where they are: `steady` says whether rounding can move one of them
    by a millionth of the distance to the nearest kink.
    """

    program: Program

    @cached_property
    def exact(self) -> list[Any]:
        """The value and the gradient, to 50 digits."""
        with mpmath.workdps(DIGITS):
            value = self._nodes(self.program.inputs)[-1]
            return [value, *map(self._slope, range(len(self.program.inputs)))]

    def _nodes(self, inputs: Sequence[Any]) -> list[Any]:
        steps = tuple(
            Step(s.op, tuple(o if isinstance(o, At) else mpf(o) for o in s.operands))
            for s in self.program.steps
        )
        return Program(tuple(inputs), steps).run([mpf(x) for x in inputs], EXACT)

    def _slope(self, i: int) -> Any:
        ends = []
        for nudge in (NUDGE, -NUDGE):
            inputs = [mpf(x) for x in self.program.inputs]
            inputs[i] += nudge
            ends.append(self._nodes(inputs)[-1])
        slope = (ends[0] - ends[1]) / (2 * NUDGE)
        return slope if abs(slope) > NOTHING else mpf(0)

    def allowances(self, differences: frozenset[str]) -> list[Any]:
        """What an engine's value and gradient may be off by."""
        with mpmath.workdps(DIGITS):
            drift = self.drift(differences)
            return [drift[-1], *self._gradient_allowances(drift, differences)]

    @cached_property
    def steady(self) -> bool:
        return bool(max(self.drift(DIFFERENCES)) < 1e-9)

    @cached_property
    def _locals(self) -> list[Local]:
        with mpmath.workdps(DIGITS):
            nodes = self._nodes(self.program.inputs)
            return [_local(step, nodes) for step in self.program.steps]

    def drift(self, differences: frozenset[str]) -> list[Any]:
        """How far rounding may move each node."""
        with mpmath.workdps(DIGITS):
            drift = [mpf(0) for _ in self.program.inputs]
            for local in self._locals:
                moves = zip(local.slopes, _wobble(local, drift), strict=True)
                carried = sum(abs(slope) * wobble for slope, wobble in moves)
                lost = abs(local.result) + _lost(local, differences)
                drift.append(carried + ROUNDING * lost)
            return drift

    def _gradient_allowances(
        self, drift: Sequence[Any], differences: frozenset[str]
    ) -> list[Any]:
        """Carry gradients and their errors back through the steps."""
        inputs, size = len(self.program.inputs), len(drift)
        gradient, error = [mpf(0)] * size, [mpf(0)] * size
        gradient[-1] = mpf(1)
        uses = Counter(place for local in self._locals for place, _ in local.operands)
        for at in reversed(range(inputs, size)):
            local = self._locals[at - inputs]
            wobble = _wobble(local, drift)
            for (place, _), slope, bends in zip(
                local.operands, local.slopes, local.bends, strict=True
            ):
                curved = sum(abs(b) * w for b, w in zip(bends, wobble, strict=True))
                # The slope, its product with the gradient, and each sum.
                lost = (2 + uses[place]) * abs(slope) + _lost(local, differences)
                gradient[place] += gradient[at] * slope
                error[place] += error[at] * abs(slope)
                error[place] += abs(gradient[at]) * (curved + ROUNDING * lost)
        return error[:inputs]


def _wobble(local: Local, drift: Sequence[Any]) -> list[Any]:
    """Return how uncertain the operands of a step are.

    A function may do as if its operands had been rounded once more.
    """
    extra = 0 if local.step.op in OPERATORS else ROUNDING
    return [drift[i] + extra * abs(x) for i, x in local.operands]


def _lost(local: Local, differences: frozenset[str]) -> Any:
    """Return the size of the numbers whose difference an engine takes."""
    if local.step.op not in differences:
        return 0
    size = 1 + sum(abs(x) for _, x in local.operands)
    if local.step.op == "gelu":  # has a cube of its operand inside
        size += sum(abs(x) ** 3 for _, x in local.operands)
    return size


@dataclass(frozen=True)
class Verdict:
    """What one engine makes of one program, in the order of `Judge.exact`."""

    engine: Engine
    judge: Judge
    numbers: list[float]

    @property
    def in_allowances(self) -> list[float]:
        """Each number's error, by its allowance."""
        allowances = self.judge.allowances(self.engine.differences)
        return [
            float(self._ratio(abs(mpf(number) - exact), allowance))
            for number, exact, allowance in zip(
                self.numbers, self.judge.exact, allowances, strict=True
            )
        ]

    @staticmethod
    def _ratio(error: Any, allowance: Any) -> Any:
        if error <= NOTHING:
            return 0
        return error / allowance if allowance else math.inf

    @property
    def in_ulp(self) -> list[float]:
        """Each number's error in units in the last place, where it is not 0."""
        return [
            float(abs(mpf(number) - exact) / math.ulp(float(exact)))
            for number, exact in zip(self.numbers, self.judge.exact, strict=True)
            if exact
        ]


def verdict(engine: Engine, judge: Judge) -> Verdict:
    """Run the program of the judge on an engine."""
    value, gradient = engine.value_and_gradient(judge.program)
    return Verdict(engine, judge, [value, *gradient])


LIMIT = 4  # in allowances: an operation may be off by a few roundings


def differing(judge: Judge, engines: Sequence[Engine]) -> list[str]:
    """Return the engines that are further from the exact numbers than allowed."""
    return [
        engine.name
        for engine in engines
        if not max(verdict(engine, judge).in_allowances) <= LIMIT
    ]


# --- the long measurement

PROGRAMS = 2_000  # JAX takes most of the time


@dataclass
class Tally:
    """What an engine's numbers were like, over many programs."""

    ulps: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    closest: int = 0


def judged(count: int) -> list[Judge]:
    """Return the judges of random programs, without those that are not steady."""
    judges: list[Judge] = []

    @settings(
        derandomize=True,
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
    )
    @given(float_programs(FLOATS))
    def collect(program: Program) -> None:
        judges.append(Judge(program))

    collect()
    return judges


def tallies(engines: Sequence[Engine], count: int) -> tuple[int, dict[str, Tally]]:
    """Return how many programs were compared, and what came out."""
    found = {engine.name: Tally() for engine in engines}
    compared = 0
    for judge in map(Judge, {judge.program: None for judge in judged(count)}):
        if not judge.steady:
            continue
        compared += 1
        verdicts = [verdict(engine, judge) for engine in engines]
        for result in verdicts:
            found[result.engine.name].ulps += result.in_ulp
            found[result.engine.name].ratios += result.in_allowances
        for errors in zip(*(result.in_ulp for result in verdicts), strict=True):
            for engine, error in zip(engines, errors, strict=True):
                found[engine.name].closest += error == min(errors)
    return compared, found


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, [":---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def distances(engines: Sequence[Engine], count: int) -> str:
    """Return the table of how far each engine is from the exact numbers."""
    compared, found = tallies(engines, count)
    rows = []
    for name, tally in found.items():
        ulps = sorted(tally.ulps)
        rows.append(
            [
                TITLES[name],
                f"{median(ulps):.2f}",
                f"{ulps[len(ulps) * 99 // 100]:,.0f}",
                f"{ulps[-1]:.1e}",
                f"{max(tally.ratios):.2f}",
                f"{tally.closest / len(ulps):.1%}",
            ]
        )
    head = ["Engine", "median", "99 of 100 within", "worst"]
    head += ["worst, in allowances", "closest, or as close"]
    numbers = len(next(iter(found.values())).ulps)
    return (
        f"{compared:,} different random programs, {numbers:,} values and gradients "
        f"that are not 0; errors in ulp.\n\n{table(head, rows)}"
    )


def one(op: str, *operands: float) -> Program:
    """Return the program of one operation; an integer is a constant of it."""
    leaves = tuple(x for x in operands if isinstance(x, float))
    places = iter(range(len(leaves)))
    steps = (At(next(places)) if isinstance(x, float) else x for x in operands)
    return Program(leaves, (Step(op, tuple(steps)),))


SHARED = [("tanh", x) for x in (1.0, 5.0, 10.0, 20.0)] + [
    ("expm1", -10.0),
    ("expm1", -40.0),
    ("sigmoid", 10.0),
    ("sigmoid", 40.0),
    ("gelu", -5.0),
]


def shared_mistakes(engines: Sequence[Engine]) -> str:
    """Return the table of slopes that several engines lose in the same way."""
    rows = []
    for op, x in SHARED:
        judge = Judge(one(op, x))
        cells = []
        for engine in engines:
            result = verdict(engine, judge)
            cells.append(f"{result.numbers[1]:.10g} ({result.in_ulp[1]:.2g} ulp)")
        exact = mpmath.nstr(judge.exact[1], 10)
        rows.append([f"{op} at {x:g}", exact, *cells])
    head = ["Slope of", "50 digits", *(TITLES[engine.name] for engine in engines)]
    return table(head, rows)


NAN = math.nan
CONVENTIONS = {
    "`x * x` at 3": Program((3.0,), (Step("*", (At(0), At(0))),)),
    "`x**3` at -2": one("**", -2.0, 3),
    "`1 / x` at 4": one("/", 1, 4.0),
    "`2**x` at 3": one("pow", 2, 3.0),
    "`x**0` at 0": one("**", 0.0, 0),
    "`x**0.5` at 0": Program((0.0,), (Step("**", (At(0), 0.5)),)),
    "relu at 0": one("relu", 0.0),
    "relu at NaN": one("relu", NAN),
    "leaky relu at 0": one("leaky_relu", 0.0),
    "abs at 0": one("abs", 0.0),
    "maximum of 2 and 2": one("maximum", 2.0, 2.0),
    "sqrt at 0": one("sqrt", 0.0),
    "log at 0": one("log", 0.0),
    "log at -1": one("log", -1.0),
    "exp at 1000": one("exp", 1000.0),
}


def convention(engine: Engine, program: Program) -> str:
    """Return an engine's gradient, or the name of its error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's, of a division by zero
        try:
            _, gradient = engine.value_and_gradient(program)
        except (ArithmeticError, ValueError) as error:
            return type(error).__name__
    return ", ".join(f"{slope:.6g}" for slope in gradient)


def conventions(engines: Sequence[Engine]) -> str:
    rows = [
        [title, *(convention(engine, program) for engine in engines)]
        for title, program in CONVENTIONS.items()
    ]
    return table(["Gradient of", *(TITLES[e.name] for e in engines)], rows)


def default_softplus() -> str:
    """Return what PyTorch's softplus gives where it turns into the identity."""
    library, functional = import_module("torch"), import_module("torch.nn.functional")
    x = library.tensor(21.0, dtype=library.float64)
    exact = Judge(one("softplus", 21.0)).exact[0]
    theirs = float(functional.softplus(x))
    error = float(abs(theirs - exact) / math.ulp(float(exact)))
    return (
        f"PyTorch's `softplus` as it comes gives {theirs!r} at 21, where the 50 "
        f"digits begin with {mpmath.nstr(exact, 17)}: {error:,.0f} ulp. With "
        f"`threshold=40`, as we call it above, it gives "
        f"{float(functional.softplus(x, threshold=40))!r}."
    )


def log1p_of_jax(at: float = -0.4073) -> str:
    """Return what JAX's log1p gives where it is worst."""
    judge = Judge(one("log1p", at))
    result = verdict(jax(), judge)
    return (
        f"JAX's `log1p` gives {result.numbers[0]!r} at {at}, where the 50 digits "
        f"begin with {mpmath.nstr(judge.exact[0], 17)}: {result.in_ulp[0]:,.0f} ulp, "
        f"or {result.in_allowances[0]:,.0f} allowances."
    )


def measure() -> str:
    """Return what all four engines make of the programs and of the corners."""
    engines = [make() for make in ENGINES.values()]
    return "\n\n".join(
        [
            circumstances("autograd", "torch", "jax", "mpmath") + ".",
            distances(engines, PROGRAMS),
            "Slopes where a formula loses digits:",
            shared_mistakes(engines),
            "Conventions:",
            conventions(engines),
            default_softplus(),
            log1p_of_jax(),
        ]
    )
