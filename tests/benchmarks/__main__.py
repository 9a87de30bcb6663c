"""Time prosegrad beside its peers and print tables.

    python -m tests.benchmarks                      print the tables
    python -m tests.benchmarks engine               one part of them
    python -m tests.benchmarks --write              and put them on the book's page

The contenders take turns, in random order; a ratio is the median of the
ratios of the same rounds, so a machine that slows down slows all.
"""

from __future__ import annotations

import argparse
import random
from math import isnan
from pathlib import Path
from statistics import median
from typing import Any

from tests.records import circumstances, installed, put_on_page

from . import gradients, tensors
from .contenders import CONTENDERS
from .processes import Worker
from .workloads import OPERATIONS

PAGE = Path("docs/about/benchmarks.md")
LIBRARIES = ("prosegrad", "micrograd")
PEERS = ("micrograd", "casadi", "jax", "autograd", "torch", "numba", "numpy")
USERS, OFF = "as users run it", "collector off for both"
# name on the page, workload, collector, steps a run, unit, units a step
ROWS = [
    ("1,000 mixed operations", "mixed_operations", OFF, 20, "µs/op", OPERATIONS),
    ("XOR step, plain operators", "plain_neurons", OFF, 60, "µs", 1),
    ("XOR step, MLP(2, [4, 1])", "xor_step", OFF, 60, "µs", 1),
    ("moons step, MLP(2, [16, 16, 1])", "moons_step", OFF, 1, "ms", 1),
    ("1,000 mixed operations", "mixed_operations", USERS, 20, "µs/op", OPERATIONS),
    ("XOR step, MLP(2, [4, 1])", "xor_step", USERS, 60, "µs", 1),
    ("moons step, MLP(2, [16, 16, 1])", "moons_step", USERS, 1, "ms", 1),
]
CHAINS = (10**3, 10**4, 10**5, 10**6)
SCALE = {"µs": 1e6, "µs/op": 1e6, "ms": 1e3}


def pairs(workers: dict[str, Worker], row: tuple[Any, ...], rounds: int) -> Any:
    """Return the seconds of both libraries, round by round."""
    _, workload, collector, repeat, _, _ = row
    seconds: dict[str, list[float]] = {name: [] for name in LIBRARIES}
    for _ in range(rounds):
        for name in random.sample(LIBRARIES, 2):
            answer = workers[name].ask(
                workload=workload, collector=collector, repeat=repeat
            )
            seconds[name].append(answer)
    return seconds


def comparison(workers: dict[str, Worker], rounds: int) -> str:
    lines = [
        "| Workload | Collector | prosegrad | micrograd | Ratio |",
        "| :--- | :--- | ---: | ---: | ---: |",
    ]
    for row in ROWS:
        seconds = pairs(workers, row, rounds)
        ours, theirs = (seconds[name] for name in LIBRARIES)
        ratio = median(t / o for o, t in zip(ours, theirs, strict=True))
        scale = SCALE[row[4]] / row[5]
        cells = [f"{median(s) * scale:,.2f} {row[4]}" for s in (ours, theirs)]
        lines.append(f"| {row[0]} | {row[2]} | {' | '.join(cells)} | {ratio:.2f} |")
    return "\n".join(lines)


def chains(workers: dict[str, Worker], rounds: int) -> str:
    """Return the cost of a node in chains of growing length."""
    runs = [
        {(name, n): workers[name].ask(chain=n) for n in CHAINS for name in LIBRARIES}
        for _ in range(rounds)
    ]

    def cost(name: str, n: int) -> str:
        value = median(run[name, n]["seconds"] for run in runs)
        return "RecursionError" if isnan(value) else f"{value * 1e6:.2f} µs"

    def growth(n: int) -> Any:
        ours = LIBRARIES[0]
        return median(
            run[ours, n]["seconds"] / run[ours, CHAINS[0]]["seconds"] for run in runs
        )

    lines = [
        "| Nodes | prosegrad, a node | against 1,000 | Left for the collector "
        "| micrograd, a node |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for n in CHAINS:
        left = max(run[LIBRARIES[0], n]["left"] for run in runs)
        lines.append(
            f"| {n:,} | {cost('prosegrad', n)} | {growth(n):.2f} | {left} "
            f"| {cost('micrograd', n)} |"
        )
    return "\n".join(lines)


def engine(rounds: int) -> str:
    """Return what was measured beside micrograd."""
    workers = {name: Worker(name) for name in LIBRARIES}
    parts = [
        circumstances("micrograd") + f", medians of {rounds} interleaved rounds.",
        comparison(workers, rounds),
        chains(workers, max(1, rounds // 4)),
    ]
    for worker in workers.values():
        worker.close()
    return "\n\n".join(parts)


def peers(rounds: int) -> str:
    """Return what was measured beside everything that computes gradients."""
    from . import costs

    functions, trainings = gradients.FUNCTION_TITLES, gradients.TRAINING_TITLES
    both = functions | trainings
    contest = gradients.run(list(CONTENDERS), list(both), rounds)
    derivatives, compiling, compiler_targets = costs.measure(rounds)
    for name, reason in contest.missing.items():
        print(f"left out: {name}: {reason}")
    parts = [
        circumstances(*installed(*PEERS)) + f", medians of {rounds} interleaved rounds."
        " In brackets, the ratio to the plain Python function in the first table,"
        " and to NumPy by hand in the second; the third is the time until the"
        " first result.",
        *[f"Left out: {name}, {why}." for name, why in contest.missing.items()],
        gradients.timings(contest, functions, to="plain"),
        gradients.timings(contest, trainings, to="numpy"),
        gradients.waiting(contest, both),
        "Further derivatives, eager and compiled:",
        derivatives,
        "The compiler's own time, for chains of growing length:",
        compiling,
        "What we set out to reach:",
        gradients.targets(contest, compiler_targets),
    ]
    return "\n\n".join(parts)


# The part and the name of its marks on the page.
PARTS = {
    "engine": (engine, ""),
    "gradients": (peers, "gradients"),
    "tensors": (tensors.measure, "tensors"),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; or all")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--write", action="store_true", help="update the page")
    options = parser.parse_args()
    for part in options.parts or PARTS:
        measure, name = PARTS[part]
        text = measure(options.rounds)
        print(text, end="\n\n")
        if options.write:
            put_on_page(PAGE, text, name)


if __name__ == "__main__":
    main()
