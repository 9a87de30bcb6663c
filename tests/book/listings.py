"""Keep the listings: a module as far as the book has written it.

A fence `{ .listing title="src/…" }` shows what the published fences before it
have made of a module. It lets a page begin where the one before it ended, and
shows a whole file in one block. It is no source: it is written from the
published fences, as `src/` is, and compared with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path

from . import mirror
from .pages import Book, Fence, parse

# Files that the site offers for download: each is a copy of a module.
DOWNLOADS = {"docs/assets/tiny.py": "src/prosegrad/tiny.py"}


def listings(book: Book) -> Iterator[tuple[Fence, list[Fence]]]:
    """Yield each listing, with the published fences of its module before it."""
    published: dict[str, list[Fence]] = {}
    for path in book.pages():
        for fence in parse(path).fences:
            if fence.role == "published":
                published.setdefault(fence.title, []).append(fence)
            elif fence.role == "listing":
                yield fence, published.get(fence.title, [])[:]


def text(book: Book, listing: Fence, before: list[Fence]) -> str:
    """Return what a listing must show: its module, made of the fences before it.

    Raises:
        MirrorError: They make no module; the message says where.
    """
    place = book.place(listing.page, listing.line)
    if not before:
        message = f"nothing of {listing.title!r} is published before this listing"
        raise mirror.MirrorError(f"{place}: {message}")
    try:
        return mirror.text(mirror.assemble(before))
    except (SyntaxError, mirror.MirrorError):  # the mirror says more
        message = f"{listing.title} is no module up to this listing"
        raise mirror.MirrorError(f"{place}: {message}") from None


def check(book: Book) -> list[str]:
    """Return every listing and download that is not what it is a copy of."""
    problems = []
    for fence, before in listings(book):
        try:
            wanted = text(book, fence, before)
        except mirror.MirrorError as error:
            problems.append(str(error))
        else:
            problems += _difference(book, fence, wanted)
    return problems + [
        f"{book.short(copy)} differs from {DOWNLOADS[book.short(copy)]}"
        for copy, wanted in downloads(book).items()
        if not copy.exists() or copy.read_bytes() != wanted.encode("utf-8")
    ]


def _difference(book: Book, fence: Fence, wanted: str) -> Iterator[str]:
    """Yield the first line of a listing that differs, if there is one."""
    pairs = zip_longest(fence.source.split("\n"), wanted.split("\n"))
    for number, (shown, right) in enumerate(pairs, fence.line + 1):
        if shown != right:
            place = book.place(fence.page, number)
            yield (
                f"{place} differs from {fence.title} up to this listing\n"
                f"  page: {shown!r}\n  src:  {right!r}\n"
                f"python -m tests.book --write {book.short(fence.page)}"
            )
            return


def rewritten(book: Book, pages: Iterable[Path]) -> dict[Path, str]:
    """Return the texts of those pages that have listings, with these up to date.

    Raises:
        MirrorError: The fences before a listing make no module.
    """
    wanted = set(pages)
    found = [item for item in listings(book) if item[0].page in wanted]
    lines: dict[Path, list[str]] = {}
    for fence, before in reversed(found):  # from below, or the numbers shift
        page = lines.setdefault(fence.page, parse(fence.page).text.split("\n"))
        shown = text(book, fence, before).rstrip("\n").split("\n")
        body = [(fence.prefix + line).rstrip() for line in shown]
        page[fence.line : fence.end - 1] = body
    return {path: "\n".join(page) for path, page in lines.items()}


def downloads(book: Book) -> dict[Path, str]:
    """Return the files to download, with their texts."""
    files = {book.root / copy: book.root / of for copy, of in DOWNLOADS.items()}
    return {
        copy: original.read_text("utf-8")
        for copy, original in files.items()
        if original.exists()
    }
