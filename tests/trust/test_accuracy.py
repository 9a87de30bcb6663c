"""Every rule within 4 units in the last place of 50-digit arithmetic."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from mpmath import mp

from prosegrad.testing import ulp_error

from .accuracy import CONDITION, PAGE, POINTS, RULES, TARGET, measure_rule, sensitivity

ROOT = Path(__file__).parents[2]
# Slopes that are sums of terms of opposite sign; the page says so.
MISSES = {"gelu": 8.0, "softmax": 8.0}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_within_the_target(name: str, is_long: bool) -> None:
    """Value and slopes are right to 4 ulp at floats of every size."""
    found = measure_rule(RULES[name], POINTS if is_long else 150)

    assert found.value.worst <= TARGET, found.value.at
    assert found.slope.worst <= MISSES.get(name, TARGET), found.slope.at
    assert len(found.slope.all) > found.slope.ill


@pytest.mark.parametrize("name", RULES)
def test_the_exact_slope_is_the_derivative_of_the_exact_value(name: str) -> None:
    """The oracle's two halves agree, so it cannot share a wrong rule of ours."""
    rule = RULES[name]
    rng = random.Random(name)
    arity = len(rule.slopes)
    with mp.workdps(60):
        for _ in range(3):
            point = [mp.mpf(rng.uniform(0.1, 0.9)) for _ in range(arity)]
            for i, slope in enumerate(rule.slopes):
                order = tuple(int(i == j) for j in range(arity))
                expected = mp.diff(rule.exact, tuple(point), order)

                assert mp.almosteq(expected, slope(*point), rel_eps=1e-20)


def test_a_wrong_digit_is_counted() -> None:
    """The harness sees a value that is one unit off."""
    exact = mp.mpf(2)

    assert ulp_error(2.0, exact) == 0.0
    assert ulp_error(2.0 + 4.5e-16, exact) == 1.0


def test_condition_is_large_near_a_zero_and_small_elsewhere() -> None:
    with mp.workdps(50):
        near_zero = sensitivity(mp.sin, (3.14159,), mp.sin(mp.mpf(3.14159)))
        ordinary = sensitivity(mp.sin, (1.0,), mp.sin(mp.mpf(1)))

    assert near_zero > 1000
    assert ordinary < CONDITION


def test_the_published_table_has_every_rule() -> None:
    """No rule is measured and then left off the page."""
    page = (ROOT / PAGE).read_text("utf-8")
    published = re.findall(r"^\| `([^`]+)`(?:, composed)? \|", page, re.M)

    assert published == list(RULES)
