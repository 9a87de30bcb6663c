"""One-character changes to the book, each of which its own tests must notice.

The book is cut into small books, one a module: the pages that publish it and
its file. The checks run on them unchanged, and need not read the other pages.
"""

from __future__ import annotations

import contextlib
import random
import re
import string
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.book import census, mirror
from tests.book.lint import lint
from tests.book.pages import Book, Page, parse
from tests.book.runner import BlockError, run_page, verify
from tests.records import circumstances

ROOT = Path(__file__).parents[2]
PAGE = Path("docs/trust/mutants.md")
NAME = "changes"
COUNT = 200
SIDES = {
    "src": "`src/`",
    "page": "published blocks",
    "fence": "fence lines",
}
CHARACTERS = string.ascii_letters + string.digits + string.punctuation + " \n"
PUBLISHES = re.compile(r'^```python \{ title="(src/prosegrad/\w+\.py)"', re.M)
NOTICED = ("mirror", "lint", "census", "runner")
NO_CHANGE, ESCAPED = "same", "escaped"
OUTCOMES = (*NOTICED, NO_CHANGE, ESCAPED)


@dataclass(frozen=True)
class Place:
    """A piece of a file of a small book, that a change may hit."""

    book: Book
    path: Path
    start: int
    end: int


@dataclass(frozen=True)
class Change:
    """Some text of a file replaced by some other; one of them may be empty."""

    place: Place
    at: int
    old: str
    new: str

    def __str__(self) -> str:
        where = self.place.path.relative_to(self.place.book.root).as_posix()
        return f"{where}, character {self.at}: {self.old!r} became {self.new!r}"


def draw(places: list[Place], rng: random.Random) -> Change:
    """Replace, insert or delete one character, each as likely as any other."""
    sizes = [place.end - place.start for place in places]
    (place,) = rng.choices(places, sizes)
    at = rng.randrange(place.start, place.end)
    character = _read(place.path)[at]
    kind = rng.choice(("replace", "insert", "delete"))
    old = "" if kind == "insert" else character
    others = [c for c in CHARACTERS if c != old]
    return Change(place, at, old, "" if kind == "delete" else rng.choice(others))


@contextlib.contextmanager
def made(change: Change) -> Iterator[None]:
    """Change the file inside a `with` block."""
    path, before = change.place.path, _read(change.place.path)
    after = before[: change.at] + change.new + before[change.at + len(change.old) :]
    _write(path, after)
    try:
        yield
    finally:
        _write(path, before)


def outcome(change: Change) -> str:
    """Return which check notices a change first, `same` or `escaped`."""
    book, path = change.place.book, change.place.path
    on_a_page = path.suffix == ".md"
    before = _blocks(parse(path)) if on_a_page else []
    with made(change):
        if mirror.check(book):
            return "mirror"
        if not on_a_page:
            return ESCAPED
        page = parse(path)
        if lint(book, page):
            return "lint"
        if census.unseen(_OnePage(book.root, path)):
            return "census"
        if _blocks(page) == before:
            return NO_CHANGE
        return ESCAPED if _runs(book, page) else "runner"


@dataclass(frozen=True)
class _OnePage(Book):
    """A book whose navigation has one page."""

    path: Path

    def nav(self) -> list[Path]:
        return [self.path]


def _blocks(page: Page) -> list[tuple[object, ...]]:
    """Return all that the site and the runner know of the blocks of a page."""
    return [(f.attributes, f.source, f.output and f.output.text) for f in page.fences]


def _runs(book: Book, page: Page) -> bool:
    """Tell whether every block does what the page says."""
    try:
        for fence, found in zip(page.fences, run_page(book, page), strict=True):
            verify(book, fence, found)
    except BlockError:
        return False
    return True


def small_books(folder: Path, only: Sequence[str] = ()) -> list[Book]:
    """Write the small books into an empty folder; all, or some by title."""
    whole = Book(ROOT)
    groups: dict[str, list[Path]] = {}
    for path in whole.nav():
        if path.exists():
            title = PUBLISHES.search(_read(path))
            name = title[1] if title else whole.short(path)
            if not only or name in only:
                groups.setdefault(name, []).append(path)
    return [
        _small_book(whole, folder / str(i), title, pages)
        for i, (title, pages) in enumerate(groups.items())
    ]


def _small_book(whole: Book, root: Path, title: str, pages: list[Path]) -> Book:
    files = [*pages, *whole.figures.iterdir()]
    files += [whole.root / title] * title.startswith("src/")
    for path in files:
        copy = root / path.relative_to(whole.root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    settings = (whole.root / "mkdocs.yml").read_text("utf-8")
    for folder in ("src", "docs/overrides"):  # settings of the site name them
        (root / folder).mkdir(exist_ok=True)
    head, _, rest = settings.partition("\nnav:\n")
    names = [path.relative_to(whole.docs).as_posix() for path in pages]
    nav = "".join(f"  - {name}\n" for name in names)
    tail = rest[rest.index("\n\n") :]
    (root / "mkdocs.yml").write_text(f"{head}\nnav:\n{nav}{tail}", "utf-8")
    return Book(root)


def places(books: list[Book]) -> dict[str, list[Place]]:
    """Return the places of each side."""
    found: dict[str, list[Place]] = {side: [] for side in SIDES}
    for book in books:
        for path in book.src.rglob("*.py"):
            found["src"].append(Place(book, path, 0, len(_read(path))))
        for path in book.nav():
            starts = _line_starts(path)
            for fence in parse(path).fences:
                opening, closing = fence.line - 1, fence.end - 1
                for line in (opening, closing):
                    here = Place(book, path, starts[line], starts[line + 1])
                    found["fence"].append(here)
                if fence.role == "published":
                    start, end = starts[opening + 1], starts[closing]
                    found["page"].append(Place(book, path, start, end))
    return found


def _line_starts(path: Path) -> list[int]:
    starts = [0]
    for line in _read(path).splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    return starts


def _read(path: Path) -> str:
    return path.read_bytes().decode("utf-8")


def _write(path: Path, text: str) -> None:
    path.write_bytes(text.encode("utf-8"))


def trial(where: list[Place], count: int) -> dict[Change, str]:
    """Make `count` different changes, one at a time; return what noticed each."""
    rng = random.Random(0)
    found: dict[Change, str] = {}
    while len(found) < count:
        change = draw(where, rng)
        if change not in found:
            found[change] = outcome(change)
    return found


def measure() -> str:
    """Return the table of all sides, in Markdown."""
    lines = [
        circumstances() + f". {COUNT} different changes a row, one at a time.\n",
        "| One character of | Noticed by the mirror | by the lint | by the census "
        "| by running the page | Changes nothing | Escaped |",
        "|:---|---:|---:|---:|---:|---:|---:|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        where = places(small_books(Path(folder)))
        for side, name in SIDES.items():
            counts = Counter(trial(where[side], COUNT).values())
            lines.append(f"| {name} | {' | '.join(str(counts[o]) for o in OUTCOMES)} |")
    return "\n".join(lines)
