"""Random programs of tensors, run by us and by PyTorch."""

from __future__ import annotations

import pytest
from hypothesis import settings

from .trust.tensor_programs import NAMES, drawn
from .trust.tensors import BOUND, by_us, judge, orders, ours

PROGRAMS = 250


@pytest.mark.parametrize("part", range(10))
def test_programs(part: int) -> None:
    """Value, gradient and second derivatives are PyTorch's, to ten digits."""
    scale = max(1, settings().max_examples // 200)
    with judge("torch") as expected:
        for seed in range(part, PROGRAMS * scale, 10):
            errors = orders(by_us(drawn(seed)), expected(seed))
            assert max(errors) <= BOUND, (seed, errors, drawn(seed))


def test_programs_use_every_operation() -> None:
    used = {step.name for seed in range(PROGRAMS) for step in drawn(seed).steps}

    assert used == set(NAMES) == set(ours())
