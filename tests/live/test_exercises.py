"""A reader answers the exercises in the page, and the page grades the answers."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.book.pages import Fence, parse
from tests.exercises.test_exercises import WRONG

from .conftest import Visit
from .test_run import BLOCK, press, settle, state
from .vendor import ROOT

PAGES = ["recall", "extend", "break"]


def of_role(page: Page, role: str) -> list[Locator]:
    return page.locator(f"{BLOCK}.{role}").all()


def fences(name: str, role: str) -> list[Fence]:
    page = parse(ROOT / f"docs/exercises/{name}.md")
    return [fence for fence in page.fences if fence.role == role]


def answer(block: Locator, text: str) -> None:
    """Write an answer in place of what the block has."""
    press(block, "Edit")
    editor = block.locator(".cm-content")
    editor.press("Control+a")
    block.page.keyboard.insert_text(text)


def check(block: Locator) -> None:
    press(block, "Check")
    settle(block.page)


@pytest.mark.parametrize("name", PAGES)
def test_every_solution_is_right(visit: Visit, name: str) -> None:
    """Empty, the exercise says so; with the book's solution, its test passes."""
    page = visit.open(f"exercises/{name}/")
    exercises, checks = of_role(page, "exercise"), of_role(page, "check")
    solutions = fences(name, "solution")
    for exercise, test, solution in zip(exercises, checks, solutions, strict=True):
        check(test)
        expect(state(test)).to_have_text("The exercise above is still empty.")
        answer(exercise, solution.source.rstrip("\n"))
        check(test)
        expect(state(test)).to_have_text("Right.")

    assert visit.complaints == []


@pytest.mark.parametrize("name", PAGES)
def test_a_wrong_answer_is_told_why(visit: Visit, name: str) -> None:
    """The first exercise of a page, with each of its typical wrong answers."""
    page = visit.open(f"exercises/{name}/")
    exercise, test = of_role(page, "exercise")[0], of_role(page, "check")[0]
    solution = fences(name, "solution")[0].source
    (wrong,) = (w for key, w in WRONG[name].items() if f"def {key}(" in solution)
    for mistake in wrong:
        answer(exercise, mistake.answer(solution).rstrip("\n"))
        check(test)
        expect(state(test)).to_have_text("Not yet.")
        expect(test.locator(".pg-run__out pre")).to_contain_text(mistake.message)


def test_a_test_looks_at_the_answer_as_it_stands(visit: Visit) -> None:
    """Also after the solution has run: the stub is still empty."""
    page = visit.open("exercises/recall/")
    solution, test = of_role(page, "solution")[0], of_role(page, "check")[0]
    press(solution, "Run")
    settle(page)
    check(test)

    expect(state(test)).to_have_text("The exercise above is still empty.")
