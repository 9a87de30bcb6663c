"""A reader steps through a backward pass, in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Locator, expect

from prosegrad import Value

from .conftest import Visit

PAGE = "engine/backward/"


@pytest.fixture
def walk(visit: Visit) -> Locator:
    return visit.open(PAGE).locator(".pg-walk").first


def press(walk: Locator, name: str) -> None:
    walk.get_by_role("button", name=name, exact=True).click()


def grads(walk: Locator) -> dict[str, str]:
    """Return the gradient that the picture shows at each node."""
    boxes = walk.locator("g.node").all()
    texts = [box.locator("text").all_text_contents() for box in boxes]
    return {head.split()[0]: grad.split()[1] for head, _, grad in texts}


def test_the_last_step_shows_what_backward_leaves(walk: Locator) -> None:
    """The end by steps, the end as printed and the library are one."""
    x, y = Value(2.0), Value(3.0)
    a = x * y
    z = a + x
    z.backward()
    printed = grads(walk)
    press(walk, "Start")
    for _ in range(8):
        press(walk, "Next")
    expected = {"x": x, "y": y, "a": a, "z": z}

    assert printed == grads(walk)
    assert printed == {name: f"{node.grad:g}" for name, node in expected.items()}


def test_a_step_shows_the_sums_so_far(walk: Locator) -> None:
    """At step 6 of 8 the first share has reached x, the second not yet."""
    press(walk, "Start")
    assert grads(walk) == {"x": "0", "y": "0", "a": "0", "z": "0"}
    press(walk, "Next")
    for _ in range(5):
        walk.page.keyboard.press("n")

    assert grads(walk) == {"x": "1", "y": "0", "a": "1", "z": "1"}
    note = walk.locator(".pg-walk__note")
    expect(note).to_contain_text("Step 6 of 8, backward: z → x.")
    expect(note).to_contain_text("1 arrives, times 1 adds 1; the grad of x is now 1.")
    expect(note).to_contain_text("x.grad += 1 * 1")
    expect(walk.locator("tr[aria-current=step]")).to_contain_text("z → x")


def test_keys_turn_no_page(walk: Locator) -> None:
    """The letters are the walk's while it has the focus, and it keeps it."""
    press(walk, "Start")
    for key in "npnnpn" + "n" * 20:
        walk.page.keyboard.press(key)

    assert walk.page.url.endswith(PAGE)
    expect(walk.locator(".pg-walk__note")).to_contain_text("Step 8 of 8")
    expect(walk.get_by_role("button", name="Back", exact=True)).to_be_focused()


def test_a_link_leads_to_a_step(visit: Visit) -> None:
    page = visit.open(PAGE + "#product-plus-x-step-7")
    walk = page.locator(".pg-walk").first

    expect(walk.locator(".pg-walk__note")).to_contain_text("Step 7 of 8")
    walk.get_by_role("link", name="5", exact=True).click()
    expect(walk.locator(".pg-walk__note")).to_contain_text("Step 5 of 8")
    assert page.url.endswith("#product-plus-x-step-5")


def test_without_scripts_the_table_stands(browser: Browser, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address + PAGE)
    walk = page.locator(".pg-walk").first

    expect(walk.locator("tbody tr")).to_have_count(8)
    expect(walk.locator("button")).to_have_count(0)
    assert grads(walk)["x"] == "4"
    context.close()


def test_a_readers_own_graph_can_be_walked(visit: Visit) -> None:
    """Edit the block, run it, and step through what it made."""
    page = visit.open("engine/stepping/")
    block = page.locator(".highlight.language-python", has_text="globals()").last
    block.get_by_role("button", name="Edit", exact=True).click()
    editor = block.locator(".cm-content")
    editor.press("Control+End")
    editor.press_sequentially('\ntable = step_through(x * x, {"x": x}, "mine").html()')
    editor.press("Control+Enter")
    own = block.locator(".pg-walk")
    expect(own).to_have_count(1, timeout=60_000)
    press(own, "Back")

    expect(own.locator(".pg-walk__note")).to_contain_text("Step 2 of 3")
