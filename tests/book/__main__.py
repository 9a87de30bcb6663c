"""`python -m tests.book`: write what the pages determine, or check it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import census, listings, minutes, mirror, writer
from .coverage import measure
from .figures import use_book_style
from .lint import figures_nobody_makes, lint
from .pages import Book, parse

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line asks; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.book", description=__doc__)
    group = parser.add_mutually_exclusive_group(required=True)
    add = group.add_argument
    add("--write", action="store_true", help="rewrite src/, outputs, figures, minutes")
    add("--check", action="store_true", help="compare src/ with the pages, and lint")
    add("--census", action="store_true", help="count the Python blocks of each page")
    add(
        "--coverage",
        action="store_true",
        help="lines and branches of src/ that pages execute",
    )
    parser.add_argument("pages", nargs="*", type=Path, help="default: every page")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    book = Book(options.root.resolve())
    pages = [path.resolve() for path in options.pages] or book.pages()
    if unknown := [str(path) for path in pages if path not in book.pages()]:
        parser.error(f"not a page of {book.root}: {', '.join(unknown)}")
    use_book_style()
    if options.write:
        return int(not writer.write(book, pages, lambda line: print(line, flush=True)))
    if options.check:
        return _check(book, pages)
    if options.census:
        return _census(book)
    measure(book)
    return 0


def _check(book: Book, pages: list[Path]) -> int:
    problems = mirror.check(book) + figures_nobody_makes(book)
    problems += listings.check(book)
    for path in pages:
        page = parse(path)
        problems += lint(book, page) + minutes.check(book, page)
    print("\n".join(problems) or "the pages and src/ are one text")
    return int(bool(problems))


def _census(book: Book) -> int:
    """Print, for each page, the blocks that a reader sees and those that run."""
    counts = census.rendered(book)
    wrong = 0
    for path, seen in counts.items():
        run = census.collectable(path)
        wrong += seen != run
        mark = "" if seen == run else "  <-- differs"
        print(f"{seen:4} rendered {run:4} run  {book.short(path)}{mark}")
    print(f"{sum(counts.values()):4} in all, {wrong} pages differ")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
