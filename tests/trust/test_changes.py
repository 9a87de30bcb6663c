"""The mirror, the lint and the census notice a change of one character."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.book import mirror
from tests.book.pages import Book

from .changes import COUNT, ESCAPED, SIDES, draw, made, places, small_books, trial

# Without the long profile: few changes, to modules that are read quickly.
SAMPLE = 6
SMALL = ("src/prosegrad/memory.py", "src/prosegrad/saving.py")


@pytest.fixture
def books(tmp_path: Path, is_long: bool) -> list[Book]:
    return small_books(tmp_path, () if is_long else SMALL)


@pytest.mark.parametrize("side", SIDES)
def test_a_changed_character_is_noticed(
    side: str, books: list[Book], is_long: bool
) -> None:
    """Whatever is replaced, inserted or deleted, one of the checks reports it."""
    found = trial(places(books)[side], COUNT if is_long else SAMPLE)

    assert [str(change) for change, by in found.items() if by == ESCAPED] == []


def test_an_unchanged_book_is_not_reported(tmp_path: Path) -> None:
    """What is noticed above is the change: before and after, all is well."""
    (place, *_) = places(small_books(tmp_path, SMALL))["src"]
    change = draw([place], random.Random(0))
    before = mirror.check(place.book)
    with made(change):
        during = mirror.check(place.book)

    assert (before, mirror.check(place.book)) == ([], [])
    assert during
