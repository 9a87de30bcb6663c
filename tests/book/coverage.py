"""Measure which lines and branches of the package the pages alone execute."""

from __future__ import annotations

import ast
import sys
import types
from collections.abc import Callable

import coverage

from . import mirror
from .pages import Book, Fence, parse
from .runner import compile_tree, page_code, page_tree, run_page


def compiler(book: Book) -> Callable[[Fence, int], types.CodeType]:
    """Return a compiler that gives published code its place in `src/`."""
    places = {
        (line.page, line.number): (str(path), number)
        for path, lines in mirror.build(book).items()
        for number, line in enumerate(lines, 1)
        if line.page is not None
    }

    def compile_there(fence: Fence, flags: int) -> types.CodeType:
        if fence.role != "published":
            return page_code(fence, flags)
        tree = page_tree(fence, flags)
        for node in ast.walk(tree):
            for attribute in ("lineno", "end_lineno"):
                line = getattr(node, attribute, None)
                if line is not None:
                    # The line `class X(X):` is in no module: take the next.
                    there = places.get((fence.page, line))
                    there = there or places[(fence.page, line + 1)]
                    setattr(node, attribute, there[1])
        return compile_tree(tree, str(book.root / fence.title), flags)

    return compile_there


def measure(book: Book) -> float:
    """Run every page, print the table, return the percentage covered."""
    sys.path.insert(0, str(book.src))
    package = str(book.src / "prosegrad")
    meter = coverage.Coverage(
        data_file=None, config_file=False, branch=True, include=[f"{package}/*"]
    )
    meter.exclude("if TYPE_CHECKING:")
    meter.start()
    try:
        for path in book.pages():
            run_page(book, parse(path), compiler(book))
    finally:
        meter.stop()
    return meter.report(show_missing=True)
