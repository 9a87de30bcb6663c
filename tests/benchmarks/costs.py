"""Our own costs: derivatives beside the function, and the compiler's time.

    python -m tests.benchmarks.costs prosegrad

serves both; see `processes`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

from prosegrad import grad, hessian, hvp, jit, jvp, value_and_grad
from prosegrad.operations import Trace
from prosegrad.symbol import Symbol

from .gradients import Contest, table, verdict, written
from .problems import FUNCTIONS, numbers_in, rosenbrock
from .processes import Run, Timer, Worker

NAME = "prosegrad"
OPERATIONS = (10**3, 10**4, 10**5)
COMPILE_LIMIT = 20e-6
"""So many seconds we allow an operation of the trace."""
LINEAR = 1.5
"""So many times as long an operation may take in the longest chain."""


def push(x: Any, v: Any) -> Any:
    return jvp(rosenbrock, (x,), (v,))


def second(x: Any, v: Any) -> Any:
    return hvp(rosenbrock, (x,), (v,))


def only(function: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """Return a function that takes a direction, and needs none."""

    def of_point(x: Any, v: Any) -> Any:
        return function(x)

    return of_point


# name, function of a point and a direction, the problem
DERIVATIVES: list[tuple[str, Any, str]] = [
    ("`grad`", only(grad(rosenbrock)), "rosenbrock_100"),
    ("`jvp`", push, "rosenbrock_100"),
    ("`hvp`", second, "rosenbrock_100"),
    ("`grad`", only(grad(rosenbrock)), "rosenbrock_10"),
    ("`hvp`", second, "rosenbrock_10"),
    ("`hessian`", only(hessian(rosenbrock)), "rosenbrock_10"),
]
WAYS: dict[str, Callable[[Any], Any]] = {"eager": lambda f: f, "jit": jit}


def derivative(function: Any, problem: str) -> Run:
    point = FUNCTIONS[problem].point
    direction = [(-1.0) ** i for i in range(len(point))]
    return Run(lambda: function(point, direction), numbers)


def numbers(result: Any) -> list[float]:
    return [float(number) for number in numbers_in(result)]


def chain(operations: int) -> Callable[[Any, Any], Any]:
    """Return a function of so many operations, each needed by the next."""

    def function(y: Any, x: Any) -> Any:
        for _ in range(operations // 6):
            y = ((y * x + 0.3) / (1.5 + x * x)).sin()
        return y

    return function


def gradient_of(f: Callable[..., Any]) -> Callable[..., Any]:
    gradient: Callable[..., Any] = value_and_grad(f, argnums=(0, 1))
    return gradient


def nodes(f: Callable[[Any, Any], Any]) -> int:
    """Count the operations that the gradient of a chain has in its trace."""
    trace = Trace()
    places = [Symbol(trace, trace.node("input", name)) for name in "yx"]
    gradient_of(f)(*places)
    return len(trace.nodes)


def compiling(operations: int) -> Run:
    """Compile anew each time, and call once."""
    f = chain(operations)

    def compiled() -> Any:
        return jit(gradient_of(f))(0.5, 0.7)

    return Run(compiled, lambda _: [float(nodes(f))])


def writing(operations: int) -> Run:
    """Trace and write the source, and leave Python's compiler out."""
    f = chain(operations)
    return Run(lambda: jit(gradient_of(f)).source(0.5, 0.7), lambda _: [])


def derivatives() -> dict[str, Callable[[], Run]]:
    found: dict[str, Callable[[], Run]] = {}
    for problem in ("rosenbrock_100", "rosenbrock_10"):
        found[f"f {problem}"] = partial(derivative, only(rosenbrock), problem)
    for name, function, problem in DERIVATIVES:
        for way, change in WAYS.items():
            key = f"{way} {name} {problem}"
            found[key] = partial(derivative, change(function), problem)
    return found


def compilations() -> dict[str, Callable[[], Run]]:
    found: dict[str, Callable[[], Run]] = {}
    for n in OPERATIONS:
        found[f"compile {n}"] = partial(compiling, n)
        found[f"write {n}"] = partial(writing, n)
    return found


def measure(rounds: int) -> tuple[str, str, list[list[str]]]:
    """Return the two tables, and the rows for the compiler's targets."""
    worker = Worker(NAME, "costs")
    try:
        contest = Contest()
        time(worker, contest, list(derivatives()), rounds)
        time(worker, contest, list(compilations()), max(1, rounds // 4))
    finally:
        worker.close()
    return costs(contest), compile_times(contest), compile_targets(contest)


def time(worker: Worker, contest: Contest, steps: list[str], rounds: int) -> None:
    for step in steps:
        answer = worker.ask(build=step)
        if "failed" in answer:
            raise RuntimeError(f"{step}: {answer['failed']}")
        contest.numbers[NAME, step] = answer["numbers"]
        contest.seconds[NAME, step] = []
    for _ in range(rounds):
        for step in steps:
            contest.seconds[NAME, step].append(worker.ask(time=step))


def costs(contest: Contest) -> str:
    rows = []
    for name, _, problem in DERIVATIVES:
        cells = [f"{name}, n = {problem.partition('_')[2]}"]
        for way in WAYS:
            step, first = f"{way} {name} {problem}", f"{way} `grad` {problem}"
            cells.append(written(median(contest.seconds[NAME, step])))
            for other in (f"f {problem}", first):
                cells.append(f"{contest.ratio((NAME, step), (NAME, other)):,.2f}")
        rows.append(cells)
    head = ["Rosenbrock", "eager", "by f", "by `grad`", "`jit`", "by f", "by `grad`"]
    return table(head, rows)


def per_operation(contest: Contest, what: str, n: int) -> list[float]:
    """Return the seconds for an operation of the trace, round by round."""
    (count,) = contest.numbers[NAME, f"compile {n}"]
    return [s / count for s in contest.seconds[NAME, f"{what} {n}"]]


def compile_times(contest: Contest) -> str:
    rows = []
    for n in OPERATIONS:
        (count,) = contest.numbers[NAME, f"compile {n}"]
        whole = median(contest.seconds[NAME, f"compile {n}"])
        cells = [f"{n:,}", f"{count:,.0f}", written(whole), written(whole / n, "µs")]
        for what in ("compile", "write"):
            cells.append(written(median(per_operation(contest, what, n)), "µs"))
        rows.append(cells)
    head = ["Operations of f", "of the trace", "compiled after"]
    head += ["by operation of f", "by operation of the trace", "of it, until written"]
    return table(head, rows)


def compile_targets(contest: Contest) -> list[list[str]]:
    runs = {n: per_operation(contest, "compile", n) for n in OPERATIONS}
    worst = max(median(seconds) for seconds in runs.values())
    ends = zip(runs[OPERATIONS[-1]], runs[OPERATIONS[0]], strict=True)
    growth = median(a / b for a, b in ends)
    return [
        [
            "compiling: at most 20 µs for an operation of the trace",
            written(worst, "µs"),
            verdict(worst <= COMPILE_LIMIT),
        ],
        [
            "compiling is linear: for an operation, at most 1.5 times as long in "
            "100,000 as in 1,000",
            f"{growth:.2f}",
            verdict(growth <= LINEAR),
        ],
    ]


def main() -> None:
    Timer(derivatives() | compilations()).serve(sys.stdin)


if __name__ == "__main__":
    main()
