"""The Python that a page runs in the browser, here without a browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.book.pages import Book, parse
from tests.book.runner import normal
from tests.book.session import Session

ROOT = Path(__file__).parents[1]
PAGES = [
    "in-one-sitting/network",
    "engine/value",
    "engine/gradient-flow",
    "foundations/derivatives",
]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_prints_what_it_shows(name: str) -> None:
    """Block after block; a test fails on the stub and passes on the solution."""
    said: list[str] = []
    session = Session(said.append)
    for number, fence in enumerate(parse(ROOT / f"docs/{name}.md").fences, 1):
        said.clear()
        left = session.run(fence.source, number, fence.role, fence.raises)
        shown = fence.output.text if fence.output else ""

        assert (normal("".join(said)), bool(left["error"])) == (
            normal(shown),
            fence.role == "check",
        )
        if fence.role == "check":
            check = fence
        elif fence.role == "solution":
            assert session.run(check.source, number, "check")["error"] == ""


def test_a_failed_test_leaves_no_names() -> None:
    session = Session(print)
    session.run("x = 1", 1)
    session.run("x = 2\nassert x == 1", 2, "check")

    assert session.run("assert x == 1", 3)["error"] == ""


def test_an_error_names_the_block_and_both_sides() -> None:
    session = Session(print)
    error = session.run("x = 2\nassert x + 1 == 4", 7)["error"]

    assert 'File "<block 7>", line 2' in error
    assert error.endswith("x + 1 is 3\n  4 is 4")
    assert "session.py" not in error


def test_printed_text_comes_line_by_line() -> None:
    """So that a long training run shows that it goes on."""
    said: list[str] = []
    Session(said.append).run("print(1)\nprint(2, end='')", 1)

    assert said == ["1\n", "2"]


def test_another_exception_than_the_named_is_an_error() -> None:
    said: list[str] = []
    session = Session(said.append)

    assert session.run("1 / 0", 1, "", "ZeroDivisionError")["error"] == ""
    assert said == ["ZeroDivisionError: division by zero\n"]
    assert "ZeroDivisionError" in session.run("1 / 0", 2, "", "TypeError")["error"]


def test_a_picture_is_handed_on_once() -> None:
    session = Session(print)

    assert session.run("figure = '<svg></svg>'", 1)["figure"] == "<svg></svg>"
    assert session.run("x = 1", 2)["figure"] == ""


def test_dot_text_is_drawn_when_asked() -> None:
    """The page asks only if the picture may differ from the one that it has."""
    session = Session(print)
    left = session.run("figure = 'digraph { a -> b; }'", 1)

    assert left == {"error": "", "figure": "digraph { a -> b; }"}
    drawn = session.draw(left["figure"])
    assert drawn["error"] == ""
    assert drawn["figure"].startswith("<svg")
    assert ">a</text>" in drawn["figure"]


def test_dot_text_with_a_fault_is_an_error() -> None:
    drawn = Session(print).draw("digraph {")

    assert drawn["figure"] == ""
    assert drawn["error"].startswith("RenderError: ")


def test_the_pages_that_are_tried_exist() -> None:
    names = {p.relative_to(ROOT / "docs").as_posix() for p in Book(ROOT).nav()}

    assert {f"{name}.md" for name in PAGES} <= names
