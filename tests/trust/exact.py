"""Hold ten thousand random programs of each kind against every law."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

import tests.conftest  # noqa: F401  (it registers the profiles)
from tests.records import circumstances

from .laws import LAWS, POLYNOMIAL_LAWS, Law
from .polynomials import polynomial_programs
from .strategies import EXACT, Program, programs

PAGE = "docs/trust/exact.md"
RATIONAL_PROGRAMS = programs(operations=EXACT, max_steps=12)
POLYNOMIAL_PROGRAMS = polynomial_programs()


def obey(tried: Iterable[Program], laws: Mapping[str, Law]) -> None:
    """Assert that programs obey every law."""
    for program in tried:
        for law in laws.values():
            law(program)


def count(
    strategy: st.SearchStrategy[Program], laws: Mapping[str, Law]
) -> tuple[Counter[str], int]:
    """Return how many programs each law has passed, and how many differed."""
    passed: Counter[str] = Counter()
    different: set[Program] = set()

    @settings(settings.get_profile("long"))
    @given(strategy)
    def all_hold(program: Program) -> None:
        different.add(program)
        for name, law in laws.items():
            law(program)
            passed[name] += 1

    all_hold()
    return passed, len(different)


def measure() -> str:
    """Return the record of a long run, as Markdown."""
    start = time.perf_counter()
    rows, different = [], 0
    for kind, strategy, laws in (
        ("rational, with kinks", RATIONAL_PROGRAMS, LAWS),
        ("polynomial", POLYNOMIAL_PROGRAMS, POLYNOMIAL_LAWS),
    ):
        passed, distinct = count(strategy, laws)
        different += distinct
        rows += [f"| {name} | {kind} | {n:,} |" for name, n in passed.items()]
    minutes = (time.perf_counter() - start) / 60
    head = (
        f"{circumstances('hypothesis')}, by `python -m tests.trust exact --write`, "
        f"in {minutes:.1f} minutes: {different:,} different programs, "
        "and no law was broken."
    )
    table = ["| Law | Programs | Tried |", "| :--- | :--- | ---: |", *rows]
    return head + "\n\n" + "\n".join(table)
