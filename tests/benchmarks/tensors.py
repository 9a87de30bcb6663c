"""Training on whole arrays: `Tensor` and `jit_arrays` beside their peers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import median

from tests.records import circumstances, installed

from .gradients import Contest, run, table, verdict, written
from .processes import KEEPING
from .steps import BATCHES, STEPS
from .trainers import TRAINERS

PEERS = ("torch", "jax", "autograd", "mygrad", "scikit-learn", "numpy")
REFERENCE = "eager"
OURS = ("eager", "compiled")
BOTH = (*OURS, "torch")
TITLES = {name: title for name, (title, _) in TRAINERS.items()}
GROWING = ("numpy", *OURS, "torch", "torch-hand", "jax")
"""Who is shown while the batch grows."""

DIGITS, REST = ("digits", "digits32"), ("gpt", "first", "inner")
LARGEST = f"batch_{max(BATCHES)}"


@dataclass(frozen=True)
class Goal:
    """What we set out to reach: a ratio of times, at most or at least.

    Attributes:
        step: What is timed.
        title: The goal in words.
        ours: Our contender.
        theirs: The other one.
        limit: At most so many times their time.
        faster: If set, it is "at least so many times faster" instead.
    """

    step: str
    title: str
    ours: str
    theirs: str
    limit: float
    faster: bool

    def row(self, contest: Contest) -> list[str]:
        title = f"{STEPS[self.step].title}, {TITLES[self.ours]}: {self.title}"
        if not contest.has(self.ours, self.theirs, problem=self.step):
            return [title, "", "not measured"]
        ours, theirs = (self.ours, self.step), (self.theirs, self.step)
        if self.faster:
            ratio = contest.ratio(theirs, ours)
            reached = ratio >= self.limit
        else:
            ratio = contest.ratio(ours, theirs)
            reached = ratio <= self.limit
        return [title, f"{ratio:,.2f}", verdict(reached)]


FASTER = ("at least 2.5 times faster than PyTorch, eager", "torch", 2.5, True)
NEAR = ("at most 1.3 times NumPy by hand", "numpy", 1.3, False)
TWICE = ("at most 2 times PyTorch, eager", "torch", 2.0, False)
GOALS = [
    Goal(step, title, ours, theirs, limit, faster)
    for step, cases in [("digits", (FASTER, NEAR)), ("gpt", (TWICE,))]
    for ours in OURS
    for title, theirs, limit, faster in cases
]


def digits(contest: Contest) -> str:
    """Return a table of one step, with ratios to NumPy and to PyTorch."""
    head = ["", *(part for step in DIGITS for part in columns(step))]
    rows = []
    for name, title in TITLES.items():
        if any(contest.has(name, problem=step) for step in DIGITS):
            cells = [cell for s in DIGITS for cell in compared(contest, name, s)]
            rows.append([title, *cells])
    return table(head, rows)


def columns(step: str) -> list[str]:
    return [STEPS[step].dtype, "by NumPy", "PyTorch by it"]


def compared(contest: Contest, name: str, step: str) -> list[str]:
    """Return a time, its ratio to NumPy's, and PyTorch's ratio to it."""
    if not contest.has(name, problem=step):
        return ["", "", ""]
    time = written(median(contest.seconds[name, step]))
    return [
        time,
        ratio(contest, name, "numpy", step),
        ratio(contest, "torch", name, step),
    ]


def ratio(contest: Contest, one: str, other: str, step: str) -> str:
    if not contest.has(one, other, problem=step):
        return ""
    return f"{contest.ratio((one, step), (other, step)):,.2f}"


def growing(contest: Contest) -> str:
    """Return a table of times while the batch grows."""
    head = [
        "Batch",
        *(TITLES[name] for name in GROWING),
        "PyTorch by eager",
        "PyTorch by `jit_arrays`",
    ]
    rows = []
    for n in BATCHES:
        step = f"batch_{n}"
        times = [compared(contest, name, step)[0] for name in GROWING]
        ratios = [ratio(contest, "torch", name, step) for name in OURS]
        rows.append([f"{n:,}", *times, *ratios])
    return table(head, rows)


def crossing(one: str, other: str, ratios: Mapping[int, float]) -> str:
    """Say at which batches one is faster than the other.

    Args:
        one: The title of the one.
        other: The title of the other.
        ratios: The other's time by that of the one, by the size of the batch.
    """
    is_faster = f"{one}: faster than {other}"
    sizes = sorted(ratios)
    faster = [n for n in sizes if ratios[n] > 1]
    slower = [n for n in sizes if ratios[n] <= 1]
    if not slower:
        return f"{is_faster} at every batch here."
    if not faster:
        return f"{is_faster} at no batch here."
    if max(faster) < min(slower):
        up_to, from_on = f"{max(faster):,}", f"{min(slower):,}"
        return f"{is_faster} up to a batch of {up_to}, slower from {from_on} on."
    return f"{is_faster} at {listed(faster)}, slower at {listed(slower)}."


def listed(sizes: Sequence[int]) -> str:
    *rest, last = (f"{n:,}" for n in sizes)
    return f"{', '.join(rest)} and {last}" if rest else last


def crossings(contest: Contest) -> str:
    """Return a line for each of ours and each PyTorch beside it."""
    lines = []
    for ours, theirs in product(OURS, ("torch", "torch-hand")):
        ratios = {
            n: contest.ratio((theirs, f"batch_{n}"), (ours, f"batch_{n}"))
            for n in BATCHES
            if contest.has(ours, theirs, problem=f"batch_{n}")
        }
        if ratios:
            lines.append(f"- {crossing(TITLES[ours], TITLES[theirs], ratios)}")
    return "\n".join(lines)


def larger(contest: Contest) -> str:
    """Return a table of the large steps, in brackets the ratio to PyTorch."""
    rows = []
    for step in (LARGEST, *REST):
        cells = [contest.cell(name, step, "torch") for name in BOTH]
        rows.append([STEPS[step].title, *cells])
    return table(["", *(TITLES[name] for name in BOTH)], rows)


def goals(contest: Contest) -> str:
    return table(["Target", "Measured", ""], [goal.row(contest) for goal in GOALS])


def measure(rounds: int) -> str:
    """Return what was measured of training on arrays."""
    tolerances = {name: step.tolerance for name, step in STEPS.items()}
    how = (rounds, "trainers", REFERENCE, tolerances)
    contest = run(list(TRAINERS), list(STEPS), *how)
    keeping = run(BOTH, (LARGEST, *REST), *how, KEEPING)
    parts = [
        circumstances(*installed(*PEERS))
        + f", medians of {rounds} interleaved rounds.",
        *[f"Left out: {name}, {why}." for name, why in contest.missing.items()],
        "A step with a batch of 32:",
        digits(contest),
        "The same step in float64, with a growing batch:",
        growing(contest),
        crossings(contest),
        "Larger operations, in brackets the ratio to PyTorch:",
        larger(contest),
        "The same, while the allocator keeps free memory:",
        larger(keeping),
        "What we set out to reach:",
        goals(contest),
    ]
    return "\n\n".join(part for part in parts if part)
