"""Read the book's pages: the fences of a page, the pages of the book."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROLES = ("wrong", "exercise", "check", "solution", "listing")
ATTRIBUTE = (
    r"continuation|#[\w-]+|\.(?:wrong|exercise|check|solution|listing|annotate)"
    r'|(?:title|data-raises|figure|table|hl_lines)="[^"]*"'
)
INFO = re.compile(rf"python(?: \{{ (?:{ATTRIBUTE})(?: (?:{ATTRIBUTE}))* \}})?")
PYTHON = re.compile(r"[\s{.]*(?:python3?|py3?|pycon|pyi|ipython3?)(?![\w-])", re.I)
OUTPUT = 'text { title="Output" }'
# The fences that are no Python; a new kind stands here.
OTHERS = (OUTPUT, "bash", "diff", "markdown")
NOT_PAGES = ("assets", "figures", "includes", "overrides")


def markdown_parser() -> MarkdownIt:
    """Return the parser that also sees fences nested in indented blocks."""
    return MarkdownIt("commonmark").disable("code")


@dataclass(frozen=True)
class Output:
    """The Output fence below a block; `line` and `end` are its two fence lines."""

    line: int
    end: int
    text: str


@dataclass(frozen=True)
class Fence:
    """One Python fence of a page. Line numbers count from 1."""

    page: Path
    line: int
    end: int
    info: str
    markup: str
    prefix: str
    source: str
    output: Output | None = None

    @cached_property
    def attributes(self) -> dict[str, str]:
        """Return what stands in the braces, bare words with an empty value."""
        found = re.findall(ATTRIBUTE, self.info)
        pairs = (item.partition("=") for item in found)
        return {name: value.strip('"') for name, _, value in pairs}

    @property
    def role(self) -> str:
        """Return published, run, raises, or the role that the fence names."""
        for role in ROLES:
            if f".{role}" in self.attributes:
                return role
        if self.raises:
            return "raises"
        return "published" if self.title.startswith("src/") else "run"

    @property
    def title(self) -> str:
        return self.attributes.get("title", "")

    @property
    def raises(self) -> str:
        return self.attributes.get("data-raises", "")

    @property
    def figure(self) -> str:
        return self.attributes.get("figure", "")

    @property
    def table(self) -> str:
        return self.attributes.get("table", "")

    @property
    def continuation(self) -> bool:
        return "continuation" in self.attributes


@dataclass(frozen=True)
class Page:
    """A page: its text, its Python fences, and the fences that are hidden.

    `lost` has the lines of Output fences that follow no Python fence;
    `hidden` those of Python fences that the parser does not see; `unknown`
    those of fences in a language that the book does not have.
    """

    path: Path
    text: str
    fences: list[Fence] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    hidden: list[int] = field(default_factory=list)
    foreign: list[int] = field(default_factory=list)
    unknown: list[int] = field(default_factory=list)


def parse(path: Path) -> Page:
    """Read the page at `path`."""
    text = path.read_text("utf-8")
    lines = text.split("\n")
    tokens = [t for t in markdown_parser().parse(text) if t.type == "fence" and t.map]
    page = Page(path, text, hidden=_hidden(lines, tokens))
    for i, token in enumerate(tokens):
        before = tokens[i - 1] if i else None
        after = tokens[i + 1] if i + 1 < len(tokens) else None
        if PYTHON.match(token.info):
            page.fences.append(_fence(path, lines, token, after))
        elif token.info == OUTPUT and not _follows(lines, before, token):
            page.lost.append(_start(token) + 1)
        elif 'title="src/' in token.info:
            page.foreign.append(_start(token) + 1)
        elif token.info not in OTHERS:
            page.unknown.append(_start(token) + 1)
    return page


def _start(token: Token) -> int:
    assert token.map is not None
    return token.map[0]


def _end(token: Token) -> int:
    assert token.map is not None
    return token.map[1]


def _fence(path: Path, lines: list[str], token: Token, after: Token | None) -> Fence:
    """Return the Python fence, with the Output fence directly below it."""
    output = None
    if after is not None and after.info == OUTPUT and _follows(lines, token, after):
        output = Output(_start(after) + 1, _end(after), after.content)
    return Fence(
        page=path,
        line=_start(token) + 1,
        end=_end(token),
        info=token.info,
        markup=token.markup,
        prefix=lines[_start(token)].split(token.markup)[0],
        source=token.content,
        output=output,
    )


def _follows(lines: list[str], before: Token | None, after: Token) -> bool:
    """Tell whether only blank lines stand between a Python fence and `after`."""
    if before is None or not PYTHON.match(before.info):
        return False
    return not "".join(lines[_end(before) : _start(after)]).strip()


def _hidden(lines: list[str], tokens: list[Token]) -> list[int]:
    """Return the lines that look like a Python fence and are in no fence.

    Whatever stands before the marks: a letter there makes the whole block text.
    """
    seen = {n for t in tokens for n in range(_start(t), _end(t))}
    opening = re.compile(r".*?(?:`{3,}|~{3,})(?P<info>.*)")
    found = []
    for number, line in enumerate(lines):
        match = opening.match(line)
        if match and number not in seen and PYTHON.match(match["info"]):
            found.append(number + 1)
    return found


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """A YAML loader that passes over the tags of the site's configuration."""


def _ignore(loader: yaml.Loader, suffix: str, node: yaml.Node) -> None:
    """Stand in for a tag such as `!!python/name:…` or `!ENV`."""


_Loader.add_multi_constructor("tag:yaml.org,2002:python/", _ignore)
_Loader.add_multi_constructor("!", _ignore)


@dataclass(frozen=True)
class Book:
    """The repository: the pages in the order of the site's navigation."""

    root: Path

    @property
    def docs(self) -> Path:
        return self.root / "docs"

    @property
    def figures(self) -> Path:
        return self.docs / "figures"

    @property
    def src(self) -> Path:
        return self.root / "src"

    def nav(self) -> list[Path]:
        """Return every page that the navigation names, in its order."""
        text = (self.root / "mkdocs.yml").read_text("utf-8")
        config = yaml.load(text, _Loader)
        return [self.docs / name for name in _leaves(config.get("nav", []))]

    def pages(self) -> list[Path]:
        """Return the pages that exist, and README.md: everything that runs."""
        paths = [*self.nav(), self.root / "README.md"]
        return [path for path in paths if path.exists()]

    def strays(self) -> list[Path]:
        """Return the Markdown files under docs/ that the navigation forgets."""
        known = set(self.nav())
        found = sorted(self.docs.rglob("*.md"))
        return [
            path
            for path in found
            if path not in known
            and path.relative_to(self.docs).parts[0] not in NOT_PAGES
        ]

    def short(self, path: Path) -> str:
        """Return `path` as a reader of the repository writes it."""
        return path.relative_to(self.root).as_posix()

    def place(self, path: Path, line: int) -> str:
        """Return `page:line`, as an editor opens it."""
        return f"{self.short(path)}:{line}"


def _leaves(item: Any) -> list[str]:
    """Return the Markdown files of a navigation entry, depth first."""
    if isinstance(item, str):
        return [item] if item.endswith(".md") and "://" not in item else []
    values = item.values() if isinstance(item, dict) else item
    return [leaf for value in values or [] for leaf in _leaves(value)]
