"""The book as files: unpacked, opened from the file system, without a server."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from .build import ZIP, pack


@pytest.fixture(scope="module")
def book(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("offline")
    with zipfile.ZipFile(site / ZIP) as archive:
        archive.extractall(folder)
    return folder / "prosegrad-book"


def test_the_copy_is_read_searched_and_stepped(browser: Browser, book: Path) -> None:
    """Nothing is asked of a network, and a page says that it runs no code."""
    page = browser.new_page()
    asked: list[str] = []
    said: list[tuple[str, str]] = []
    page.on("request", lambda r: asked.append(r.url))
    page.on("console", lambda m: said.append((m.type, m.text)))
    page.goto((book / "index.html").as_uri())
    page.get_by_role("link", name="The engine").first.click()
    expect(page).to_have_url((book / "engine/index.html").as_uri())
    page.goto((book / "engine/backward.html").as_uri())
    expect(page.locator(".pg-aside")).to_contain_text("does not run it")
    step(page)
    search(page, "overflow")

    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert [text for kind, text in said if kind == "error"] == []
    page.close()


def step(page: Page) -> None:
    walk = page.locator(".pg-walk").first
    walk.get_by_role("button", name="Start", exact=True).click()
    expect(walk.locator(".pg-walk__note")).to_contain_text("Step 0 of 8")


def search(page: Page, word: str) -> None:
    page.get_by_role("textbox", name="Search").fill(word)
    expect(page.locator(".md-search-result__item").first).to_contain_text(word)


def test_the_copy_is_small_and_holds_no_python(site: Path) -> None:
    with zipfile.ZipFile(site / ZIP) as archive:
        names = archive.namelist()

    assert not [name for name in names if "pyodide" in name]
    assert "prosegrad-book/index.html" in names
    assert (site / ZIP).stat().st_size < 4_000_000


def test_the_same_files_make_the_same_zip(tmp_path: Path) -> None:
    folder = tmp_path / "book"
    (folder / "assets/live").mkdir(parents=True)
    (folder / "b.html").write_text("b")
    (folder / "assets/live/pyodide.mjs").write_text("p")
    for name in ("1.zip", "2.zip"):
        pack(folder, tmp_path / name)
        (folder / "b.html").touch()

    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "1.zip") as archive:
        assert archive.namelist() == ["book/b.html"]
