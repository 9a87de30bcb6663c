"""The same programs on four engines, and the exact result as the judge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given

from tests.trust.engines import (
    ENGINES,
    FLOATS,
    LIMIT,
    TITLES,
    Engine,
    Judge,
    differing,
    installed,
    one,
    prosegrad,
    verdict,
)
from tests.trust.strategies import ARITY, Program, float_programs

POINTS = [
    (0.7, 0.3, -0.4, 1.1),
    (0.25, 1.75, 0.5, -0.6),
    (-0.6, 2.5, 1.2, 0.9),
    (2.5, -1.25, 3.5, 0.1),
]


@pytest.fixture(scope="module")
def engines() -> list[Engine]:
    return installed()


def single(op: str) -> list[Program]:
    """Return programs of one operation, at points where it has a real value."""
    programs = []
    for point in POINTS:
        operands = (*point[: ARITY[op]], *((3,) if op == "**" else ()))
        if type(FLOATS[op](*operands)) is float:
            programs.append(one(op, *operands))
    return programs


@pytest.mark.parametrize("name", ENGINES)
def test_engine_takes_part(name: str) -> None:
    """An engine that is installed is compared; another one says how to get it."""
    reason = f"{TITLES[name]} is not installed, so not compared: pip install {name}"
    pytest.importorskip(name, reason=reason)

    assert name in [engine.name for engine in installed()]


@pytest.mark.parametrize("op", sorted(ARITY))
def test_single_operation(op: str, engines: list[Engine]) -> None:
    """Every engine's value and gradient of one operation are right."""
    programs = single(op)

    assert len(programs) >= 2
    for program in programs:
        assert differing(Judge(program), engines) == [], program


def test_random_programs(engines: list[Engine]) -> None:
    """Every engine's values and gradients are as near to the exact as they can."""
    seen: Counter[str] = Counter()

    @given(float_programs(FLOATS))
    def compare(program: Program) -> None:
        judge = Judge(program)
        assume(judge.steady)
        seen.update(step.op for step in program.steps)
        taking_part = [engine for engine in engines if engine.takes(program)]

        assert differing(judge, taking_part) == [], program

    compare()
    assert set(seen) == set(ARITY)


def slightly_wrong(rule: Callable[..., Any]) -> Callable[..., Any]:
    """Return a rule with the same value and a slope that is larger by 1e-13."""

    def wrong(x: Any, *others: Any) -> Any:
        return rule(x, *others) + 1e-13 * (x - x.detach())

    return wrong


@pytest.mark.parametrize("op", sorted(ARITY))
def test_wrong_rule_is_seen(op: str) -> None:
    """A slope that is wrong in its thirteenth digit is further off than allowed."""
    right = prosegrad()
    rules = {**right.operations, op: slightly_wrong(right.operations[op])}
    engine = prosegrad(rules)

    for program in single(op):
        assert max(verdict(engine, Judge(program)).in_allowances) > LIMIT


def test_judge_knows_the_slope_of_a_cube() -> None:
    """The judge's numbers are the ones that a pencil finds."""
    judge = Judge(one("**", 2.0, 3))

    assert abs(judge.exact[0] - 8) < 1e-48
    assert abs(judge.exact[1] - 12) < 1e-48


def test_missing_engine_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that cannot be imported is not compared, and no other is lost."""

    def missing() -> Engine:
        raise ModuleNotFoundError("torch")

    before = [engine.name for engine in installed()]
    monkeypatch.setitem(ENGINES, "torch", missing)

    assert [n for n in before if n != "torch"] == [e.name for e in installed()]
