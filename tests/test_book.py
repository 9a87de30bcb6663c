"""The book: no fault in its fences, minutes that are true, pages equal to src/.

That pytest collects what the site shows is proved, for every page, by a block of
about/how-this-book-is-made.md; that all of it ran, by the plugin at the end.
"""

from pathlib import Path

import pytest

from tests.book import listings, minutes, mirror
from tests.book.lint import figures_nobody_makes, lint
from tests.book.pages import Book, parse

BOOK = Book(Path(__file__).resolve().parents[1])


@pytest.mark.parametrize("path", BOOK.pages(), ids=BOOK.short)
def test_fences_of(path: Path) -> None:
    """A page spells its fences so that nothing in it is ignored."""
    problems = lint(BOOK, parse(path))
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


@pytest.mark.parametrize("path", BOOK.pages(), ids=BOOK.short)
def test_minutes_of(path: Path) -> None:
    """A page says how long it takes, as computed from its text."""
    problems = minutes.check(BOOK, parse(path))
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


def test_pages_and_src_are_one_text() -> None:
    """Every line of src/ stands on one page, and every published line in src/."""
    problems = mirror.check(BOOK)
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


def test_every_figure_is_made_by_one_page() -> None:
    """A picture or table that no page makes any more is stale."""
    assert figures_nobody_makes(BOOK) == []


def test_listings_show_the_file_so_far() -> None:
    """A listing, and the file to download, are copies of what is published."""
    problems = listings.check(BOOK)
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)
