"""Benchmarks: who is timed computes the right thing; no time is asserted."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from functools import cache
from math import inf, nan
from typing import Any

import pytest

from tests.benchmarks.contenders import CONTENDERS
from tests.benchmarks.gradients import Contest, Target, agree
from tests.benchmarks.problems import FUNCTIONS, TRAININGS
from tests.benchmarks.steps import BATCHES, STEPS
from tests.benchmarks.tensors import REST, Goal, crossing, crossings
from tests.benchmarks.trainers import TRAINERS

# The others need packages that the tests do without.
HERE = ("plain", "hand", "eager", "jit", "micrograd", "autograd", "numpy")


def numbers(name: str, problem: str) -> list[float]:
    run = CONTENDERS[name][1]()[problem]()
    return run.read(run.step())


@pytest.mark.parametrize("problem", [*FUNCTIONS, *TRAININGS])
def test_contenders_agree(problem: str) -> None:
    """Every contender computes the same value and the same gradient."""
    answers = {name: numbers(name, problem) for name in HERE}

    agree(problem, answers)
    assert len(answers["jit"]) == len(answers["hand"]) > len(answers["plain"])


@pytest.mark.parametrize("problem", TRAININGS)
def test_steps_follow_one_another(problem: str) -> None:
    """A second step starts where the first one ended."""
    seconds = {}
    for name in ("hand", "eager", "jit", "numpy"):
        run = CONTENDERS[name][1]()[problem]()
        first = run.read(run.step())
        seconds[name] = run.read(run.step())
        assert seconds[name][0] < first[0]

    agree(problem, seconds)


@pytest.mark.parametrize("wrong", [[1.0, 2.0 + 1e-8], [1.0], [1.0, nan], [1.0, inf]])
def test_a_wrong_gradient_ends_the_benchmark(wrong: list[float]) -> None:
    """Nothing is measured when two contenders disagree."""
    with pytest.raises(ValueError, match="problem: other"):
        agree("problem", {"hand": [1.0, 2.0], "other": wrong})


@pytest.mark.parametrize(
    ("ours", "limit", "expected"),
    [
        ([4.0, 2.0, 4.0], 4.0, ["4.00", "reached"]),
        ([4.0, 5.0, 9.0], 4.0, ["5.00", "**missed**"]),
        ([0.05, 0.05, 1.0], 0.1, ["20.00", "reached"]),
        ([0.2, 0.2, 0.2], 0.1, ["5.00", "**missed**"]),
        (None, 4.0, ["", "not measured"]),
    ],
)
def test_a_miss_is_called_a_miss(
    ours: list[float] | None, limit: float, expected: list[str]
) -> None:
    """A target counts as reached by the median ratio, measured in one run."""
    contest = Contest()
    contest.seconds["plain", "xor"] = [1.0, 1.0, 1.0]
    if ours is not None:
        contest.seconds["jit", "xor"] = ours

    row = Target("a target", "xor", "jit", "plain", limit).row(contest)

    assert expected == row[1:]


# A large batch is the same code as a small one.
SMALL = ("digits", "digits32", "batch_1", "batch_4")
PAIRS = [
    *((name, step) for name in TRAINERS if name != "eager" for step in SMALL),
    *((name, step) for name in ("compiled", "torch") for step in REST),
]


@pytest.fixture
def double_precision() -> Iterator[None]:
    """Keep JAX from making float32 of float64, if it is here."""
    try:
        jax = importlib.import_module("jax")
    except ImportError:
        yield
    else:
        with jax.enable_x64(True):
            yield


@cache
def trainer(name: str) -> dict[str, Any]:
    """Return what a trainer can do, or skip if its library is not here."""
    try:
        return TRAINERS[name][1]()
    except ImportError as error:
        pytest.skip(str(error))


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize(("name", "step"), PAIRS)
def test_trainers_agree(name: str, step: str) -> None:
    """Every trainer has the loss and the gradient of ours, twice."""
    runs = {title: trainer(title)[step]() for title in ("eager", name)}
    losses = []
    for _ in range(2):
        answers = {title: run.read(run.step()) for title, run in runs.items()}
        losses.append(answers["eager"][0])

        agree(step, answers, "eager", STEPS[step].tolerance)
    assert losses[1] < losses[0]


@pytest.mark.parametrize("step", ["digits", *REST])
def test_every_parameter_has_a_gradient(step: str) -> None:
    """Agreement means little where all is zero."""
    run = trainer("eager")[step]()
    gradient = run.read(run.step())[1:]
    start = 0
    for p in STEPS[step].parameters():
        part = gradient[start : start + p.size]
        start += p.size

        assert any(abs(number) > 1e-4 for number in part)
    assert start == len(gradient)


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [
        ({1: 3.0, 4: 2.0}, "faster than b at every batch here."),
        ({1: 0.3, 4: 1.0}, "faster than b at no batch here."),
        (
            {1: 3.0, 16: 1.01, 1024: 0.9, 4096: 0.5},
            "faster than b up to a batch of 16, slower from 1,024 on.",
        ),
        ({1: 3.0, 16: 0.9, 64: 1.1}, "faster than b at 1 and 64, slower at 16."),
        ({1: 0.5, 4: 2.0}, "faster than b at 4, slower at 1."),
    ],
)
def test_the_crossing_is_read_from_the_ratios(
    ratios: dict[int, float], expected: str
) -> None:
    """Where PyTorch overtakes is computed, and nobody types it."""
    assert crossing("a", "b", ratios) == f"a: {expected}"


def test_a_library_that_is_missing_has_no_crossing() -> None:
    contest = Contest()
    for n in BATCHES:
        contest.seconds["eager", f"batch_{n}"] = [1.0]
        contest.seconds["torch", f"batch_{n}"] = [2.0]

    assert crossings(contest) == (
        "- prosegrad, eager: faster than PyTorch, eager at every batch here."
    )


@pytest.mark.parametrize(
    ("limit", "faster", "expected"),
    [
        (0.5, False, ["0.50", "reached"]),
        (0.4, False, ["0.50", "**missed**"]),
        (2.0, True, ["2.00", "reached"]),
        (2.1, True, ["2.00", "**missed**"]),
    ],
)
def test_a_goal_has_the_verdict_of_its_ratio(
    limit: float, faster: bool, expected: list[str]
) -> None:
    contest = Contest()
    contest.seconds["eager", "gpt"] = [1.0, 1.0, 4.0]
    contest.seconds["torch", "gpt"] = [2.0, 2.0, 2.0]
    goal = Goal("gpt", "a goal", "eager", "torch", limit, faster)

    assert goal.row(contest)[1:] == expected
    assert goal.row(Contest())[1:] == ["", "not measured"]
