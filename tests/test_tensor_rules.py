"""Every rule of a Tensor, at random shapes, against nudges of 50 digits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .tensors import RULES, Library, check, opened, rules

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


def some(share: int) -> settings:
    """Return settings with one of so many examples of the profile."""
    return settings(
        max_examples=max(1, settings().max_examples // share),
        suppress_health_check=SLOW,
    )


@pytest.fixture(scope="module")
def torch() -> Iterator[Library]:
    with opened("torch") as library:
        yield library


@pytest.mark.parametrize("rule", RULES)
@some(10)
@given(st.data())
def test_numpy(rule: str, data: st.DataObject) -> None:
    """Result, gradient and second derivative are those of nudges."""
    with opened("numpy") as library:
        check(library, data.draw(RULES[rule]))


@pytest.mark.parametrize("rule", RULES)
@some(25)
@given(st.data())
def test_torch(rule: str, torch: Library, data: st.DataObject) -> None:
    """PyTorch follows the same rules."""
    check(torch, data.draw(rules(negative=False)[rule]))
