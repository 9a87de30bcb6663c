"""Make `src/` from the published fences of the pages, and compare the two.

A module is its published fences in the order of the pages. A fence that opens
with `class X(X):` re-opens class X: its body goes to the end of that class.
Nothing else happens to the text, so every line of `src/` has one place in one
page, and this module knows which.
"""

from __future__ import annotations

import ast
import difflib
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .pages import Book, Fence, parse


class MirrorError(Exception):
    """The published fences do not make a module; the message says where."""


@dataclass(frozen=True)
class Line:
    """A line of a module, and the place in a page that it comes from."""

    text: str = ""
    page: Path | None = None
    number: int = 0


Modules = dict[Path, list[Line]]


def reopened(fence: Fence) -> str | None:
    """Return X if the fence opens with `class X(X):`, else None."""
    body = ast.parse(fence.source).body
    if not body or not isinstance(first := body[0], ast.ClassDef):
        return None
    bases = [base.id for base in first.bases if isinstance(base, ast.Name)]
    return first.name if first.name in bases else None


def assemble(fences: Iterable[Fence]) -> list[Line]:
    """Join published fences into the lines of one module."""
    lines: list[Line] = []
    for fence in fences:
        texts = enumerate(fence.source.rstrip().split("\n"), fence.line + 1)
        part = [Line(text, fence.page, number) for number, text in texts]
        name = reopened(fence)
        if name is None:
            lines += _gap(lines, fence) + part
        else:
            at = _class_end(lines, name, fence)
            lines[at:at] = [Line(), *part[1:]]
    return lines


def _gap(lines: list[Line], fence: Fence) -> list[Line]:
    """Return the blank lines before a fence: two next to a def or a class."""
    if not lines:
        return []
    before = ast.parse("\n".join(line.text for line in lines)).body[-1:]
    after = ast.parse(fence.source).body[:1]
    blocks = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    wide = any(isinstance(node, blocks) for node in before + after)
    return [Line()] * (2 if wide else 1)


def _class_end(lines: list[Line], name: str, fence: Fence) -> int:
    """Return the number of lines up to the end of class `name`."""
    texts = [line.text for line in lines]
    for node in ast.parse("\n".join(texts)).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            break
    else:
        message = f"class {name} is re-opened, but no earlier fence opens it"
        raise MirrorError(f"{fence.page}:{fence.line}: {message}")
    end = number = node.end_lineno or 0
    while number < len(texts) and texts[number][:1] in ("", " "):
        number += 1
        if texts[number - 1]:  # a comment that ends the class
            end = number
    return end


def published(book: Book) -> dict[str, list[Fence]]:
    """Return the published fences of every module, in the order of the pages."""
    modules: dict[str, list[Fence]] = {}
    for path in book.nav():
        for fence in parse(path).fences if path.exists() else []:
            if fence.role == "published":
                modules.setdefault(fence.title, []).append(fence)
    return modules


def build(book: Book, only: Iterable[Path] | None = None) -> Modules:
    """Return the lines of every module.

    Args:
        book: The book.
        only: Build only the modules that these pages publish.

    Raises:
        MirrorError: A fence does not parse, re-opens an unknown class or
            defines a name twice, or a module is spread over distant pages.
    """
    modules = published(book)
    problems = [*_misplaced(book, modules)]
    pages = set(book.nav() if only is None else only)
    made: Modules = {}
    for title, fences in modules.items():
        if not pages & {fence.page for fence in fences}:
            continue
        try:
            made[book.root / title] = lines = assemble(fences)
            compile(text(lines), title, "exec", dont_inherit=True)
            problems += _repeated(book, fences)
        except SyntaxError as error:
            problems.append(_syntax_problem(book, fences, error))
        except MirrorError as error:
            problems.append(str(error).replace(f"{book.root}/", ""))
    if problems:
        raise MirrorError("\n".join(problems))
    return made


def _syntax_problem(book: Book, fences: list[Fence], error: SyntaxError) -> str:
    """Find the fence that does not parse and name the line of the page."""
    for fence in fences:
        try:
            ast.parse(fence.source)
        except SyntaxError as own:
            line = fence.line + (own.lineno or 1)
            return f"{book.place(fence.page, line)}: {own.msg}"
    return f"{fences[0].title}:{error.lineno}: {error.msg}"


def _misplaced(book: Book, modules: dict[str, list[Fence]]) -> Iterator[str]:
    """Yield what breaks: one page, one module; a module, neighbouring pages."""
    order = {page: number for number, page in enumerate(book.nav())}
    home = _homes(modules)
    owner: dict[Path, Fence] = {}
    for fences in modules.values():
        pages = {f.page: f for f in fences if home.get(f.page, f.title) == f.title}
        for page, fence in pages.items():
            other = owner.setdefault(page, fence)
            if other.title != fence.title:
                here = book.place(page, fence.line)
                there = book.place(page, other.line)
                yield f"{here}: the page already publishes {other.title} ({there})"
        numbers = sorted(order[page] for page in pages)
        if numbers and numbers[-1] - numbers[0] >= len(numbers):
            places = " and ".join(book.place(p, f.line) for p, f in pages.items())
            yield f"{fences[0].title} is published on distant pages: {places}"


def _homes(modules: dict[str, list[Fence]]) -> dict[Path, str]:
    """Return the module of each page that builds one.

    Such a page may re-open a class of another module, wherever that stands.
    """
    homes: dict[Path, set[str]] = {}
    for title, fences in modules.items():
        for fence in fences:
            if _adds(fence):
                homes.setdefault(fence.page, set()).add(title)
    return {page: min(titles) for page, titles in homes.items() if len(titles) == 1}


def _adds(fence: Fence) -> bool:
    """Tell whether a fence adds to its module more than a part of a class."""
    try:
        return reopened(fence) is None
    except SyntaxError:  # reported where the module is made
        return False


def _repeated(book: Book, fences: list[Fence]) -> Iterator[str]:
    """Yield every name that a module or a class of it defines twice."""
    seen: dict[tuple[str, str], str] = {}
    for fence in fences:
        for scope, name, number in definitions(fence):
            here = book.place(fence.page, fence.line + number)
            there = seen.setdefault((scope, name), here)
            if there != here:
                label = f"{scope}.{name}" if scope else name
                yield f"{here}: {label} is already defined at {there}"


def definitions(fence: Fence) -> Iterator[tuple[str, str, int]]:
    """Yield (class or "", name, line) for each name that the fence defines."""
    again = reopened(fence)
    for node in ast.parse(fence.source).body:
        for name in bound(node):
            if name != again:
                yield "", name, node.lineno
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                for name in bound(inner):
                    yield node.name, name, inner.lineno


def bound(node: ast.stmt) -> list[str]:
    """Return the names that a statement defines, unless it is an overload."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        marks = {ast.unparse(mark).split(".")[-1] for mark in node.decorator_list}
        return [] if marks & {"overload", "setter", "deleter"} else [node.name]
    if isinstance(node, ast.Assign):
        return [name.id for name in node.targets if isinstance(name, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    return []


def text(lines: list[Line]) -> str:
    """Return the module's text."""
    return "\n".join(line.text for line in lines) + "\n"


def check(book: Book) -> list[str]:
    """Return every difference between the pages and `src/`, to be read."""
    try:
        modules = build(book)
    except MirrorError as error:
        return str(error).split("\n")
    missing = [f"{book.short(p)} is in the navigation, but not in docs/"
               for p in book.nav() if not p.exists()]  # fmt: skip
    strays = [f"{book.short(p)} is not in the navigation" for p in book.strays()]
    files = {path for path in book.src.rglob("*") if path.is_file()}
    extra = [
        f"{book.short(path)} is published on no page"
        for path in sorted(files - set(modules))
        if path.name != "py.typed" and "__pycache__" not in path.parts
    ]
    changed = [d for path, ls in modules.items() for d in _differences(book, path, ls)]
    return missing + strays + extra + changed


def _differences(book: Book, path: Path, lines: list[Line]) -> Iterator[str]:
    """Yield each difference between a module's fences and its file."""
    if not path.exists():
        yield f"{book.short(path)} is published, but does not exist"
        return
    ours = [line.text for line in [*lines, Line()]]
    theirs = path.read_bytes().decode("utf-8").split("\n")
    matcher = difflib.SequenceMatcher(None, ours, theirs, autojunk=False)
    for kind, i, i_end, j, j_end in matcher.get_opcodes():
        if kind != "equal":
            old = [f"  page: {line!r}" for line in ours[i:i_end] or ["(nothing)"]]
            new = [f"  src:  {line!r}" for line in theirs[j:j_end] or ["(nothing)"]]
            here = _origin(book, lines, i)
            there = book.place(path, j + 1)
            yield "\n".join([f"{here} differs from {there}", *old, *new])


def _origin(book: Book, lines: list[Line], index: int) -> str:
    """Return the page's place of a line; of the nearest, if it is a seam."""
    around = [*reversed(lines[: index + 1]), *lines[index:]]
    for line in around:
        if line.page is not None:
            return book.place(line.page, line.number)
    return "(no page)"


def write(book: Book, only: Iterable[Path] | None = None) -> list[Path]:
    """Rewrite `src/` from the pages; return the files that changed.

    Everything is computed and compiled before the first file is touched.

    Args:
        book: The book.
        only: Write only the modules that these pages publish.

    Raises:
        MirrorError: The pages do not make modules; nothing was written.
    """
    modules = build(book, only)
    return replace_files({path: text(lines) for path, lines in modules.items()})


def replace_files(wanted: dict[Path, str]) -> list[Path]:
    """Write the files whose text differs, each in one step.

    All new texts stand complete on the disk before the first one is moved to
    its place, so a failure on the way leaves every old file as it was.
    """
    changed = {
        path: new.encode("utf-8")
        for path, new in wanted.items()
        if not path.exists() or path.read_bytes() != new.encode("utf-8")
    }
    ready: list[tuple[str, Path]] = []
    try:
        for path, data in changed.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=".", dir=path.parent)
            ready.append((name, path))
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.chmod(name, path.stat().st_mode if path.exists() else 0o644)
        while ready:
            os.replace(*ready[0])
            del ready[0]
    finally:
        for name, _ in ready:
            os.unlink(name)
    return list(changed)
