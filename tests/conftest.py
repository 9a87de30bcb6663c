"""How hard the tests that invent their inputs try.

`pytest` tries a few hundred programs and some points of every function;
`pytest --hypothesis-profile=long` tries 10,000 and 20,000.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile(
    "default", derandomize=True, database=None, deadline=None, max_examples=200
)
settings.register_profile("long", settings.get_profile("default"), max_examples=10_000)
settings.load_profile("default")


@pytest.fixture
def is_long() -> bool:
    """Whether this is the long profile."""
    return bool(settings().max_examples >= settings.get_profile("long").max_examples)


@pytest.fixture(scope="session", autouse=True)
def past_the_frames_of_mutmut() -> Iterator[None]:
    """Past the frame that mutmut puts before each function, a trace looks."""
    with pytest.MonkeyPatch.context() as patch:
        if "mutmut" in sys.modules:
            from prosegrad import symbol

            is_ours = symbol._is_ours

            def is_between(scope: dict[str, Any]) -> bool:
                return is_ours(scope) or str(scope.get("__name__")).startswith("mutmut")

            patch.setattr(symbol, "_is_ours", is_between)
        yield
