"""The site is the same book under Material for MkDocs and under Zensical.

Zensical is no requirement: `.ci/run` installs it where it can be had.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urljoin

import pytest

ROOT = Path(__file__).parents[1]
BUILDERS = {
    "mkdocs": ["build", "--strict", "--quiet"],
    "zensical": ["build", "--strict", "--clean"],
}


class Article(HTMLParser):
    """What a page has between the parts that the theme puts around it."""

    def __init__(self, address: str, text: str) -> None:
        super().__init__()
        self.address = address
        self.depth = 0
        self.anchors: list[str] = []
        self.links: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.depth += tag == "article"
        if not self.depth:
            return
        for name, value in attrs:
            if name == "id" and value and not value.startswith("__"):  # the theme's
                self.anchors.append(value)
            if name in ("href", "src"):
                self.links.append((tag, name, urljoin(self.address, value)))

    def handle_endtag(self, tag: str) -> None:
        self.depth -= tag == "article"

    def handle_data(self, data: str) -> None:
        if self.depth:
            self.text += data.split()


def built(builder: str, folder: Path) -> dict[str, Article]:
    """Build the book strictly in a folder of its own, and read its pages."""
    for name in ("docs", "src"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "mkdocs.yml", folder)
    result = subprocess.run(
        [sys.executable, "-m", builder, *BUILDERS[builder]],
        cwd=folder,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "BOOK_LIVE": "false"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    site = folder / "site"
    names = [path.relative_to(site).as_posix() for path in site.rglob("*.html")]
    return {
        name: Article(
            "https://book/" + name.removesuffix("index.html"),
            (site / name).read_text("utf-8"),
        )
        for name in names
    }


def test_both_builders_make_the_same_book(tmp_path: Path) -> None:
    """The same pages, and on each the same words, links and places to link to."""
    if find_spec("zensical") is None:
        pytest.skip("Zensical is not installed")
    one, two = (built(builder, tmp_path / builder) for builder in BUILDERS)

    assert one.keys() == two.keys()
    assert len(one) > 100
    for name, page in one.items():
        assert page.links == two[name].links, name
        assert page.anchors == two[name].anchors, name
        assert page.text == two[name].text, name
