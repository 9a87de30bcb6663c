"""Refuse what would otherwise be silently ignored, or differ between page and src."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from .mirror import bound, reopened
from .pages import INFO, ROLES, Book, Fence, Page, parse

WIDTH = 72
Problem = tuple[int, str]


def lint(book: Book, page: Page) -> list[str]:
    """Return the faults of a page's fences, each with its place."""
    found = [*_page(page), *_exercises(page), *_parts(page)]
    for fence in page.fences:
        found += _fence(fence)
    return [f"{book.place(page.path, line)}: {what}" for line, what in sorted(found)]


def _page(page: Page) -> Iterator[Problem]:
    """Check what concerns the page as a whole."""
    for line in page.hidden:
        yield line, "this Python fence is invisible; a blank line must precede it"
    for line in page.lost:
        yield line, "this Output fence does not follow a Python block"
    for line in page.foreign:
        yield line, "only a `python` fence can publish a file under src/"
    for line in page.unknown:
        yield line, "a fence of no kind that the book has; a slip in `python`?"
    for number, fence in enumerate(page.fences):
        if number == 0 and fence.continuation:
            yield fence.line, "the first Python fence must not have `continuation`"
        if number > 0 and not fence.continuation:
            yield fence.line, "every later Python fence needs `continuation`"


def _fence(fence: Fence) -> Iterator[Problem]:
    """Check the spelling of one fence, and its lines."""
    if not INFO.fullmatch(fence.info) or fence.markup != "```":
        yield fence.line, f"unknown spelling of a Python fence: {fence.info!r}"
    if fence.prefix.strip():
        yield fence.line, "a Python fence must begin its line"
    if re.search(r"\s", fence.title):
        yield fence.line, f"a blank in the title {fence.title!r}"
    if not re.fullmatch(r"(src/prosegrad/\w+\.py)?|(?!src/).*", fence.title):
        yield fence.line, f"{fence.title} is not a module of src/prosegrad/"
    marks = [m for m in ROLES if f".{m}" in fence.attributes]
    marks += ["raises"] * bool(fence.raises)
    names_module = fence.title.startswith("src/")
    if ".listing" not in fence.attributes:
        marks += ["published"] * names_module
    elif not names_module:
        yield fence.line, "a .listing block needs the title of a module"
    if len(marks) > 1:
        yield fence.line, "one fence has several roles: " + ", ".join(marks)
    for number, line in enumerate(fence.source.split("\n"), fence.line + 1):
        if len(line) > WIDTH:
            yield number, f"{len(line)} columns, {WIDTH} are allowed"
        if line != line.rstrip():
            yield number, "blanks at the end of the line"
    if fence.source != fence.source.strip("\n") + "\n":
        yield fence.line, "a fence begins and ends with code, not a blank line"
    yield from _code(fence)


def _code(fence: Fence) -> Iterator[Problem]:
    """Check what needs the parsed code of one fence."""
    try:
        tree = ast.parse(fence.source)
    except SyntaxError as error:
        yield fence.line + (error.lineno or 1), f"syntax error: {error.msg}"
        return
    asserts = any(isinstance(node, ast.Assert) for node in ast.walk(tree))
    if fence.role in ("wrong", "check") and not asserts:
        yield fence.line, f"a .{fence.role} block must have an `assert`"
    if fence.role == "raises" and fence.output is None:
        yield fence.line, "a data-raises block needs an Output fence"
    if fence.role == "check" and fence.output is not None:
        yield fence.line, "a .check block prints nothing"


def _exercises(page: Page) -> Iterator[Problem]:
    """Check the order on the page: exercise, check, solution."""
    order = ("exercise", "check", "solution")
    fences = [fence for fence in page.fences if fence.role in order]
    for number, fence in enumerate(fences):
        if fence.role != order[number % 3]:
            wanted = order[number % 3]
            yield fence.line, f"a .{wanted} block is expected, not .{fence.role}"
            return
    if len(fences) % 3:
        missing = order[len(fences) % 3]
        yield fences[-1].line, f"this exercise has no .{missing} block"


def _parts(page: Page) -> Iterator[Problem]:
    """Check the published parts of re-opened classes."""
    earlier: dict[str, set[str]] = {}
    for fence in page.fences:
        if fence.role != "published":
            continue
        try:
            tree = ast.parse(fence.source)
            name = reopened(fence)
        except SyntaxError:
            continue
        for node in tree.body:
            if not isinstance(node, ast.ClassDef):
                continue
            before = earlier.setdefault(node.name, set())
            if node.name == name:
                yield from _part(fence, tree, node, before)
            before.update(n for inner in node.body for n in bound(inner))
        if name is None:
            yield from _late_part(fence, tree)


def _late_part(fence: Fence, tree: ast.Module) -> Iterator[Problem]:
    """Refuse a re-opened class that does not open its fence."""
    for node in tree.body[1:]:
        if isinstance(node, ast.ClassDef) and _again(node):
            line = fence.line + node.lineno
            yield line, f"class {node.name}({node.name}) must open its fence"


def _again(node: ast.ClassDef) -> bool:
    bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
    return node.name in bases


def _part(
    fence: Fence, tree: ast.Module, node: ast.ClassDef, before: set[str]
) -> Iterator[Problem]:
    """Check one fence that opens with `class X(X):`."""
    name, top = node.name, fence.line + node.lineno
    first = fence.source.split("\n")[0]
    if first != f"class {name}({name}):":
        yield fence.line + 1, f"the fence must begin with `class {name}({name}):`"
    if len(tree.body) > 1 or _trailing_comment(fence.source, node):
        yield top, f"a fence that re-opens class {name} holds only that class"
    if node.decorator_list:
        yield top, f"a decorator on the re-opened class {name}"
    if ast.get_docstring(node, clean=False) is not None:
        yield top, f"a docstring in the re-opened class {name}"
    own = {n for inner in node.body for n in bound(inner)}
    if "__slots__" in own:
        yield top, f"`__slots__` in the re-opened class {name}"
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name) and inner.id in ("super", "__class__"):
            yield fence.line + inner.lineno, f"{inner.id} means another thing in src/"
    for inner in _class_scope(node):
        if inner.id in before - own:
            line = fence.line + inner.lineno
            yield line, f"{inner.id} of an earlier part of {name} is not in reach"


def figures_nobody_makes(book: Book) -> list[str]:
    """Return the files in docs/figures/ that no page makes, or two make."""
    made: dict[str, Fence] = {}
    problems = []
    for path in book.pages():
        for fence in parse(path).fences:
            for name, end in ((fence.figure, ".svg"), (fence.table, ".md")):
                other = made.setdefault(name + end, fence)
                if name and other is not fence:
                    here, there = (book.place(f.page, f.line) for f in (fence, other))
                    problems.append(f"{here}: {name}{end} is already made at {there}")
    files = sorted(book.figures.glob("*")) if book.figures.exists() else []
    left = [book.short(path) for path in files if path.name not in made]
    return problems + [f"{name} is made by no page" for name in left]


def _trailing_comment(source: str, node: ast.ClassDef) -> bool:
    """Tell whether an unindented line follows the class."""
    rest = source.split("\n")[node.end_lineno :]
    return any(line and not line.startswith(" ") for line in rest)


def _class_scope(node: ast.AST) -> Iterator[ast.Name]:
    """Yield the names that are read when the class body itself runs."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Load):
            yield child
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            for part in [child.args, *child.decorator_list]:
                yield from _class_scope(ast.Expression(part))  # type: ignore[arg-type]
        elif not isinstance(child, ast.Lambda):
            yield from _class_scope(child)
