"""Benchmarks: who is timed computes the right thing; no time is asserted."""

from __future__ import annotations

from math import inf, nan

import pytest

from tests.benchmarks.contenders import CONTENDERS
from tests.benchmarks.gradients import Contest, Target, agree
from tests.benchmarks.problems import FUNCTIONS, TRAININGS

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
