"""Rewrite what the pages determine: `src/`, listings, outputs, figures, minutes.

Each page runs in an interpreter of its own, so that it imports the package
that was just written.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

from . import listings, minutes, mirror
from .figures import use_book_style
from .lint import lint
from .pages import OUTPUT, Book, Fence, Page, parse
from .runner import BlockError, Outcome, artefacts, normal, run_page, unchanged

# A module written twice in a second would be taken from the cache.
NO_CACHE = {"PYTHONDONTWRITEBYTECODE": "1"}
HERE = Path(__file__).resolve().parents[2]


def write(book: Book, paths: Iterable[Path], say: Callable[[str], None]) -> bool:
    """Rewrite `src/` and listings from the given pages, then what those show.

    Returns:
        Whether all went well. A page that fails is left as it was.
    """
    pages = list(paths)
    try:
        listed = listings.rewritten(book, pages)
        changed = mirror.write(book, pages)
    except mirror.MirrorError as error:
        say(f"src/ is left as it was:\n{error}")
        return False
    changed += mirror.replace_files(listed | listings.downloads(book))
    for path in changed:
        say(f"wrote {book.short(path)}")
    done = [path for path in pages if _write_page(book, path, say)]
    for path in minutes.write(book, done):
        say(f"wrote {book.short(path)}")
    return done == pages


def _write_page(book: Book, path: Path, say: Callable[[str], None]) -> bool:
    """Run one page and store what it left."""
    page = parse(path)
    problems = [p for p in lint(book, page) if "needs an Output fence" not in p]
    if problems:
        say("\n".join(problems))
        return False
    start = time.perf_counter()
    try:
        outcomes = run_apart(book, path) if page.fences else []
        files = changes(book, page, outcomes)
    except BlockError as error:
        say(str(error))
        return False
    if path.read_text("utf-8") != page.text:
        say(f"{book.short(path)} was edited while it ran; run again")
        return False
    count, seconds = len(page.fences), time.perf_counter() - start
    say(f"{book.short(path)}: {count} blocks ran in {seconds:.1f} s")
    for changed in mirror.replace_files(files):
        say(f"wrote {book.short(changed)}")
    return True


def changes(book: Book, page: Page, outcomes: list[Outcome]) -> dict[Path, str]:
    """Return the texts of the page and of its files, with what its blocks left.

    Raises:
        BlockError: An Output fence follows a block that prints nothing, or a
            block prints a fence.
    """
    lines = page.text.split("\n")
    files: dict[Path, str] = {}
    for fence, outcome in reversed([*zip(page.fences, outcomes, strict=True)]):
        _show(book, lines, fence, normal(outcome.output))
        for path, new in artefacts(book, fence, outcome).items():
            old = path.read_text("utf-8") if path.exists() else ""
            if not unchanged(path, old, new):
                files[path] = new
    files[page.path] = "\n".join(lines)
    return files


def _show(book: Book, lines: list[str], fence: Fence, printed: str) -> None:
    """Put printed text into the Output fence of a block; make one if need be."""
    place = book.place(fence.page, fence.line)
    if "```" in printed:
        raise BlockError(f"{place}: the block prints a fence")
    if fence.output is None and not printed:
        return
    if not printed:
        raise BlockError(f"{place}: an Output fence follows, but nothing is printed")
    body = [(fence.prefix + text).rstrip() for text in printed.split("\n")]
    if fence.output is not None:
        lines[fence.output.line : fence.output.end - 1] = body
    else:
        frame = [fence.prefix + "```" + OUTPUT, *body, fence.prefix + "```"]
        lines[fence.end : fence.end] = ["", *frame]


def run_apart(book: Book, path: Path) -> list[Outcome]:
    """Run a page in a fresh interpreter.

    Raises:
        BlockError: A block failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder, "answer.json")
        command = [sys.executable, "-m", "tests.book.writer"]
        given = [str(book.root), str(path), str(answer)]
        paths = os.pathsep.join([str(book.src), str(HERE)])
        environment = {**os.environ, "PYTHONPATH": paths, **NO_CACHE}
        subprocess.run(command + given, cwd=HERE, env=environment, check=False)
        if not answer.exists():
            raise BlockError(f"{book.short(path)}: the interpreter died")
        data = json.loads(answer.read_text("utf-8"))
    if "error" in data:
        raise BlockError(data["error"])
    return [Outcome(**item) for item in data["outcomes"]]


def _run_here(root: str, path: str, answer: str) -> None:
    """Run a page in this interpreter and store what it left."""
    use_book_style()
    try:
        outcomes = run_page(Book(Path(root)), parse(Path(path)))
        data = {"outcomes": [asdict(outcome) for outcome in outcomes]}
    except BlockError as error:
        data = {"error": str(error)}  # type: ignore[dict-item]
    Path(answer).write_text(json.dumps(data), "utf-8")


if __name__ == "__main__":
    _run_here(*sys.argv[1:])
