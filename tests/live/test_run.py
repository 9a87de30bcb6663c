"""A reader runs, edits and stops the blocks of a page, in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from .conftest import Visit

PAGES = [
    "",
    "in-one-sitting/value/",
    "in-one-sitting/operations/",
    "in-one-sitting/network/",
    "engine/value/",
    "engine/gradient-flow/",
    "engine/stepping/",
]
BLOCK = ".highlight.language-python:has(> .pg-run)"
LOADING = 60_000  # milliseconds, at most


def blocks(page: Page) -> list[Locator]:
    return page.locator(BLOCK).all()


def state(block: Locator) -> Locator:
    return block.locator(".pg-run__state")


def press(block: Locator, name: str) -> None:
    """Press a button, also inside a closed fold."""
    button = block.get_by_role("button", name=name, exact=True, include_hidden=True)
    button.dispatch_event("click")


def settle(page: Page) -> None:
    """Wait until nothing runs."""
    page.wait_for_selector("html:not(.pg-busy)", timeout=LOADING)


@pytest.fixture
def value_page(visit: Visit) -> Page:
    return visit.open("engine/value/")


@pytest.mark.parametrize("name", PAGES)
def test_every_run_button_prints_what_the_page_prints(visit: Visit, name: str) -> None:
    """One click after the other; no other host is asked, nothing complains."""
    page = visit.open(name)
    for block in blocks(page):
        press(block, "Check" if is_check(block) else "Run")
        settle(page)
        expected = "The exercise above is still empty." if is_check(block) else ""
        if shows_output(block):
            expected = "Printed the same as the page."
        expect(state(block)).to_have_text(expected or "Done; it prints nothing.")

    assert blocks(page)
    assert (visit.foreign(), visit.complaints) == ([], [])


def is_check(block: Locator) -> bool:
    return "check" in (block.get_attribute("class") or "").split()


def shows_output(block: Locator) -> bool:
    title = block.locator("xpath=following-sibling::*[1]/*[@class='filename']")
    return title.count() == 1 and title.inner_text() == "Output"


def test_nothing_of_python_is_loaded_before_the_first_click(visit: Visit) -> None:
    visit.open("engine/value/")
    visit.page.wait_for_timeout(500)

    assert not [url for url in visit.requested if "/assets/live/" in url]


def test_a_block_runs_those_above_it_first(value_page: Page) -> None:
    block = blocks(value_page)[3]
    press(block, "Run")
    settle(value_page)

    for other in blocks(value_page)[:4]:
        expect(state(other)).to_have_attribute("data-kind", "right")


def test_run_all_above_leaves_the_block_itself(value_page: Page) -> None:
    first, second, third = blocks(value_page)[:3]
    press(third, "Run all above")
    settle(value_page)

    expect(state(first)).to_have_attribute("data-kind", "right")
    expect(state(second)).to_have_attribute("data-kind", "right")
    expect(state(third)).to_have_text("2 blocks above have run.")


def test_an_endless_loop_is_stopped(value_page: Page) -> None:
    """The page answers meanwhile, and afterwards Python starts anew."""
    block = blocks(value_page)[0]
    write(block, "print('on')\nwhile True:\n    pass")
    press(block, "Run")
    expect(block.locator(".pg-run__out pre")).to_have_text("on\n", timeout=LOADING)
    assert value_page.evaluate("1 + 1") == 2
    press(block, "Stop")
    expect(state(block)).to_contain_text("Stopped.")

    press(block, "Reset")
    press(block, "Run")
    settle(value_page)
    expect(state(block)).to_have_attribute("data-kind", "right")


def write(block: Locator, text: str) -> None:
    """Replace a block's text, by keyboard."""
    press(block, "Edit")
    editor = block.locator(".cm-content")
    editor.focus()
    editor.press("Control+a")
    editor.press("Delete")
    for i, line in enumerate(text.split("\n")):
        if i:
            editor.press("Enter")
            editor.press("Shift+Home")
        editor.press_sequentially(line) if line else None


def test_an_edited_block_prints_something_else(value_page: Page) -> None:
    block = blocks(value_page)[0]
    write(block, "print(6 * 7)")
    block.locator(".cm-content").press("Control+Enter")
    settle(value_page)
    expect(block.locator(".pg-run__out pre")).to_have_text("42\n")

    press(block, "Reset")
    expect(block.locator(".pg-run__out")).to_have_count(0)
    expect(block.locator("pre > code")).to_be_visible()


def change(block: Locator, old: str, new: str) -> None:
    """Replace a piece of a block's text."""
    text = block.locator("pre > code").text_content() or ""
    assert old in text
    press(block, "Edit")
    block.locator(".cm-content").press("Control+a")
    block.page.keyboard.insert_text(text.replace(old, new).rstrip("\n"))


def test_a_change_of_the_readers_class_shows_below(visit: Visit) -> None:
    """What had run with the old class runs again."""
    page = visit.open("in-one-sitting/value/")
    rule = page.locator(BLOCK, has_text="def __add__").first
    first, second = page.locator(BLOCK, has_text="z._backward()").all()[:2]
    press(second, "Run")
    settle(page)
    expect(state(second)).to_have_text("Printed the same as the page.")

    change(rule, "self.grad += out.grad", "self.grad += 10 * out.grad")
    press(first, "Run")
    settle(page)
    expect(state(first)).to_have_text("Done. The page prints something else.")
    expect(first.locator(".pg-run__out pre")).to_contain_text(" 10.0 1.0\n")
    press(second, "Run")
    settle(page)
    expect(second.locator(".pg-run__out pre")).to_contain_text("x.grad is 11.0")

    press(rule, "Reset")
    press(second, "Run")
    settle(page)
    expect(state(second)).to_have_text("Printed the same as the page.")


def test_a_graph_is_drawn_again(visit: Visit) -> None:
    """DOT text of an edited block, and of a block below one; faults are told."""
    page = visit.open("in-one-sitting/value/")
    page.get_by_text("The code of this picture").click()
    block = page.locator(BLOCK, has_text='"""digraph').first
    change(block, "rankdir=RL", "rankdir=")
    press(block, "Run")
    settle(page)
    expect(state(block)).to_have_text("Raised an exception.")
    expect(block.locator(".pg-run__out pre")).to_contain_text("syntax error")

    change(block, "rankdir=RL", "rankdir=TB")
    press(block, "Run")
    settle(page)
    expect(block.locator(".pg-run__out svg text").first).to_have_text("z = 8.0")

    page = visit.open("in-one-sitting/network/")
    change(page.locator(BLOCK, has_text="def draw_graph").first, "grad=", "slope ")
    block = page.locator(BLOCK, has_text="= draw_graph").first
    press(block, "Run")
    settle(page)
    expect(block.locator(".pg-run__out svg")).to_contain_text("slope 4.00")
    expect(state(block)).to_have_text("Done. The page prints something else.")


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("from prosegrad import *\nprint(render_svg('digraph {}')[:4])", "<svg\n"),
        ("import mpmath, tqdm\nprint(mpmath.mpf(1) / 3)", "0.333333333333333\n"),
    ],
)
def test_what_a_reader_names_comes_with_the_block(
    value_page: Page, text: str, printed: str
) -> None:
    """Also on a page that has no need of it."""
    block = blocks(value_page)[0]
    write(block, text)
    press(block, "Run")
    settle(value_page)

    expect(block.locator(".pg-run__out pre")).to_have_text(printed)


def test_an_exception_names_the_block(value_page: Page) -> None:
    block = blocks(value_page)[1]
    write(block, "1 / 0")
    press(block, "Run")
    settle(value_page)

    expect(block.locator(".pg-run__out")).to_contain_text('File "<block 2>", line 1')
    expect(state(block)).to_have_attribute("data-kind", "wrong")


def test_the_keyboard_gets_out_of_the_editor(value_page: Page) -> None:
    """Tab moves on, and Escape goes to the Run button."""
    block = blocks(value_page)[0]
    press(block, "Edit")
    editor = block.locator(".cm-content")
    editor.press("Tab")
    expect(editor).not_to_be_focused()
    editor.focus()
    editor.press("Escape")
    expect(block.get_by_role("button", name="Run", exact=True)).to_be_focused()


def test_the_buttons_move_nothing(browser_page: Page) -> None:
    """The script adds them into room that was kept."""
    shift = browser_page.evaluate(
        "() => new Promise(done => new PerformanceObserver(list => done("
        "list.getEntries().reduce((sum, e) => sum + e.value, 0)))"
        ".observe({type: 'layout-shift', buffered: true}) || setTimeout(done, 900, 0))"
    )

    assert shift < 0.01


@pytest.fixture
def browser_page(visit: Visit) -> Page:
    return visit.open("engine/backward/")


def test_what_no_browser_has_is_said(visit: Visit) -> None:
    page = visit.open("networks/moons/")
    needs = page.locator(BLOCK, has_text="import matplotlib").first

    expect(state(needs)).to_contain_text("run it on your machine")
    expect(needs.get_by_role("button", name="Run", exact=True)).to_have_count(0)
