"""A reader copies every block of a page and pastes it into a fresh Python."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.book.pages import Fence, parse
from tests.book.runner import normal

from .vendor import ROOT

# A prompt: each paste runs whole, an exception does not end it.
PROMPT = """
import code, json, sys
prompt = code.InteractiveInterpreter({"__name__": "__main__"})
for paste in json.load(sys.stdin):
    prompt.runcode(compile(paste, "<paste>", "exec"))
"""


@pytest.fixture
def page(browser: Browser, address: str) -> Page:
    context = browser.new_context(base_url=address)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    return context.new_page()


@pytest.mark.parametrize("name", ["engine/value", "engine/backward", "networks/saving"])
def test_pasted_blocks_print_what_the_page_prints(
    page: Page, name: str, tmp_path: Path
) -> None:
    page.goto(f"{name}/")
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    buttons = page.locator(".highlight.language-python .md-code__button")
    copied = []
    for button in buttons.all():
        button.dispatch_event("click")
        copied.append(page.evaluate("navigator.clipboard.readText()"))
    fences = parse(ROOT / f"docs/{name}.md").fences

    assert copied == [fence.source.rstrip("\n") for fence in fences]
    assert paste(copied, tmp_path) == normal("".join(map(printed, fences)))


def printed(fence: Fence) -> str:
    """Return what a block prints; the message of an exception is not printed."""
    lines = fence.output.text.splitlines(keepends=True) if fence.output else []
    return "".join(lines[:-1] if fence.raises else lines)


def paste(blocks: list[str], folder: Path) -> str:
    """Return what the blocks print, pasted in an empty folder."""
    done = subprocess.run(
        [sys.executable, "-c", PROMPT],
        cwd=folder,
        input=json.dumps(blocks),
        capture_output=True,
        text=True,
        check=True,
    )
    return normal(done.stdout)
