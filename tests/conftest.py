"""How hard the tests that invent their inputs try.

`pytest` tries a few hundred programs and some points of every function;
`pytest --hypothesis-profile=long` tries 10,000 and 20,000.
"""

from __future__ import annotations

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
    return settings().max_examples >= settings.get_profile("long").max_examples
