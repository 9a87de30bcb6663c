"""Count the Python blocks that a reader sees; each of them must have run."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import markdown
from pytest_markdown_docs.plugin import extract_fence_tests

from .pages import Book, markdown_parser

NAMES = ("py", "py3", "python", "python3", "pycon", "ipython")
PYTHON = {f"language-{name}" for name in NAMES}


class _Counter(HTMLParser):
    """Count highlighted Python blocks: a div, or a bare pre with code."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = 0
        self._before = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        classes = (dict(attrs).get("class") or "").split()
        block = tag == "div" or (tag == "code" and self._before == "pre")
        self.blocks += block and bool(PYTHON & set(classes))
        self._before = tag


def rendered(book: Book) -> dict[Path, int]:
    """Return how many Python blocks the site shows on each page."""
    os.environ["NO_MKDOCS_2_WARNING"] = "1"
    from mkdocs.config import load_config

    with warnings.catch_warnings(), contextlib.chdir(book.root):
        warnings.simplefilter("ignore")
        config = load_config("mkdocs.yml")
        converter = markdown.Markdown(
            extensions=config.markdown_extensions,
            extension_configs=config.mdx_configs or {},
        )
        return {p: _count(converter, p) for p in book.nav() if p.exists()}


def _count(converter: markdown.Markdown, path: Path) -> int:
    counter = _Counter()
    counter.feed(converter.reset().convert(path.read_text("utf-8")))
    return counter.blocks


def collectable(path: Path) -> int:
    """Return how many blocks of a page pytest collects when all is selected."""
    text = path.read_text("utf-8")
    return len(list(extract_fence_tests(markdown_parser(), text, 0, path)))


def unseen(book: Book) -> list[str]:
    """Return the pages that show blocks which pytest does not collect."""
    return [
        f"{book.short(path)}: {seen} rendered, {collectable(path)} collected"
        for path, seen in rendered(book).items()
        if seen != collectable(path)
    ]


def not_run(book: Book, ran: Counter[Path]) -> list[str]:
    """Return the pages of which not every block ran, once."""
    return [
        f"{book.short(path)}: {collectable(path)} collected, {ran[path]} ran"
        for path in book.pages()
        if collectable(path) != ran[path]
    ]
