"""Value and gradient: `jit` beside what else computes them.

Every contender answers each question before a clock is started, and all
answers agree, or nothing is measured.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from .contenders import CONTENDERS
from .problems import FUNCTIONS, TRAININGS
from .processes import Worker

TOLERANCE = 1e-9
REFERENCE = "hand"
FUNCTION_TITLES = {name: f.title for name, f in FUNCTIONS.items()}
TRAINING_TITLES = {name: t.title for name, t in TRAININGS.items()}
UNITS = {"µs": 1e6, "ms": 1e3, "s": 1.0}


def written(seconds: float, unit: str = "") -> str:
    """Write a time with three digits."""
    unit = unit or ("µs" if seconds < 1e-3 else "ms" if seconds < 1 else "s")
    number = seconds * UNITS[unit]
    digits = 2 if number < 10 else 1 if number < 100 else 0
    return f"{number:,.{digits}f} {unit}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown, numbers to the right."""
    line = [":---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, line, *rows))


def verdict(reached: bool) -> str:
    return "reached" if reached else "**missed**"


Key = tuple[str, str]
"""A contender and a problem."""


@dataclass
class Contest:
    """What was measured.

    Attributes:
        seconds: Of a step, round by round.
        ready: Seconds until the first result was there.
        numbers: The first result.
        missing: Why a contender is left out.
    """

    seconds: dict[Key, list[float]] = field(default_factory=dict)
    ready: dict[Key, float] = field(default_factory=dict)
    numbers: dict[Key, list[float]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def ratio(self, one: Key, other: Key) -> float:
        """Return the median over the rounds of one time by another."""
        pairs = zip(self.seconds[one], self.seconds[other], strict=True)
        return median(a / b for a, b in pairs)

    def has(self, *names: str, problem: str) -> bool:
        return all((name, problem) in self.seconds for name in names)

    def cell(self, name: str, problem: str, to: str) -> str:
        if not self.has(name, problem=problem):
            return ""
        time = written(median(self.seconds[name, problem]))
        return f"{time} ({self.ratio((name, problem), (to, problem)):,.2f})"


def run(
    names: Sequence[str],
    problems: Sequence[str],
    rounds: int,
    module: str = "contenders",
    reference: str = REFERENCE,
    tolerances: Mapping[str, float] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Contest:
    """Let the contenders take turns, in random order in each round.

    Args:
        names: Of the contenders.
        problems: Their names.
        rounds: How many there are.
        module: Which one serves the contenders.
        reference: Whose answer the others are compared with.
        tolerances: How far an answer may be from it, by problem.
        environment: What else the processes find in theirs.
    """
    contest = Contest()
    workers = {name: Worker(name, module, environment) for name in names}
    try:
        able = {}
        for name, worker in workers.items():
            hello = worker.ask(hello=True)
            able[name] = set(hello["names"]) & set(problems)
            if hello["missing"]:
                contest.missing[name] = hello["missing"]
        for problem in problems:
            here = [name for name in names if problem in able[name]]
            answers = {name: workers[name].ask(build=problem) for name in here}
            for name, answer in answers.items():
                if "failed" in answer:
                    contest.missing[f"{name} ({problem})"] = answer["failed"]
            here = [name for name in here if "failed" not in answers[name]]
            numbers = {name: answers[name]["numbers"] for name in here}
            tolerance = (tolerances or {}).get(problem, TOLERANCE)
            agree(problem, numbers, reference, tolerance)
            for name in here:
                contest.ready[name, problem] = answers[name]["ready"]
                contest.seconds[name, problem] = []
            for _ in range(rounds):
                for name in random.sample(here, len(here)):
                    seconds = workers[name].ask(time=problem)
                    contest.seconds[name, problem].append(seconds)
    finally:
        for worker in workers.values():
            worker.close()
    return contest


def agree(
    problem: str,
    answers: dict[str, list[float]],
    reference: str = REFERENCE,
    tolerance: float = TOLERANCE,
) -> None:
    """Raise if two contenders computed different things."""
    expected = answers[reference]
    for name, numbers in answers.items():
        # A plain function has only a value.
        wanted = expected[:1] if name == "plain" else expected
        if len(numbers) != len(wanted):
            raise ValueError(f"{problem}: {name} gave {len(numbers)} numbers")
        for a, b in zip(numbers, wanted, strict=True):
            # Not ">": a NaN is not close to anything.
            if not abs(a - b) <= tolerance * max(1.0, abs(b)):
                raise ValueError(f"{problem}: {name} gave {a!r}, not {b!r}")


def timings(contest: Contest, problems: dict[str, str], to: str) -> str:
    """Return a table of times, and in brackets their ratios to one of them."""
    head = ["", *problems.values()]
    rows = [
        [title, *(contest.cell(name, problem, to) for problem in problems)]
        for name, (title, _) in CONTENDERS.items()
        if any(contest.has(name, problem=problem) for problem in problems)
    ]
    return table(head, rows)


def waiting(contest: Contest, problems: dict[str, str]) -> str:
    """Return a table of the times until the first result."""
    names = [
        name
        for name in ("jit", "numba", "numba-array", "casadi", "jax")
        if any(contest.has(name, problem=problem) for problem in problems)
    ]
    rows = [
        [
            CONTENDERS[name][0],
            *(
                written(contest.ready[name, problem])
                if contest.has(name, problem=problem)
                else ""
                for problem in problems
            ),
        ]
        for name in names
    ]
    return table(["", *problems.values()], rows)


@dataclass(frozen=True)
class Target:
    """What we set out to reach: `ours` at most `limit` times `theirs`."""

    title: str
    problem: str
    ours: str
    theirs: str
    limit: float

    def row(self, contest: Contest) -> list[str]:
        where = (FUNCTION_TITLES | TRAINING_TITLES)[self.problem]
        title = f"{where}, {CONTENDERS[self.ours][0]}: {self.title}"
        if not contest.has(self.ours, self.theirs, problem=self.problem):
            return [title, "", "not measured"]
        ratio = contest.ratio((self.ours, self.problem), (self.theirs, self.problem))
        # As the title has it: so many times the time, or so many times faster.
        shown = ratio if self.limit >= 1 else 1 / ratio
        return [title, f"{shown:,.2f}", verdict(ratio <= self.limit)]


FASTER = 1 - 1e-9
BUFFERS = ("at most 3 times CasADi through buffers", "casadi-buffer", 3.0)
BATCH = [
    ("faster than PyTorch, eager", "torch", FASTER),
    ("at most 2 times NumPy by hand", "numpy", 2.0),
]
TARGETS = [
    Target(title, problem, ours, theirs, limit)
    for problem, ours, cases in [
        (
            "rosenbrock_100",
            "jit",
            [
                ("at most 4 times the plain function", "plain", 4),
                ("at least 15 times faster than eager", "eager", 1 / 15),
                ("at least 50 times faster than micrograd", "micrograd", 1 / 50),
            ],
        ),
        ("rosenbrock_100", "numba", [BUFFERS]),
        ("rosenbrock_100", "numba-array", [BUFFERS]),
        ("moons", "jit", BATCH),
        ("moons", "numba-array", BATCH),
    ]
    for title, theirs, limit in cases
]


def targets(contest: Contest, more: Sequence[Sequence[str]] = ()) -> str:
    rows = [target.row(contest) for target in TARGETS]
    return table(["Target", "Measured", ""], [*rows, *more])
