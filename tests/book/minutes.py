"""The minutes that a page asks for: computed from its text, never typed.

A page says it in one sentence, `The page takes 12 minutes.`; another page gives
a sum as `<span data-minutes="engine/ whats-next.md">140 minutes</span>`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from markdown_it.token import Token

from .mirror import replace_files
from .pages import PYTHON, Book, Fence, Page, markdown_parser, parse

WORDS_A_MINUTE = 200
SECONDS_A_LINE = 4
# The pages that need no sentence: nobody reads them from top to bottom.
NOT_TEACHING = ("index.md", "whats-next.md", "about", "exercises", "reference")

TAG = re.compile(r"<!--.*?-->|</?[a-z][^>]*>", re.S | re.I)
# What stands in a page and not on the screen: a snippet's name, the marks of a
# block (`!!! note`), and the attributes of a heading or a picture.
HIDDEN = re.compile(
    r"^[ \t]*(?:--8<--.*|(?:!!!|\?\?\?\+?|===)[ \w]*)|\{:?\s*[#.][\w-]+[^{}\n]*\}", re.M
)
WORD = re.compile(r"\S*\w\S*")
ASIDE = re.compile(r"`[^`\n]*`|<!--.*?-->", re.S)
FORM = re.compile(
    r"The page takes (?P<own>[\w-]+) minutes?\."
    r'|<span data-minutes="(?P<names>[^"\n]*)">[^<\n]*</span>'
)

NUMBER = (
    r"(?:\d[\d.,]*|half an?|an?|(?:a )?few|several|(?:a )?couple of|one|two|three|four"
    r"|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh"
    r"|nine)teen|(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)(?:-\w+)?)"
)
TIME = rf"{NUMBER}(?:(?: to | or |\u2013|-){NUMBER})?[ -](?:minutes?|min|hours?)\b"
ABOUT = r"(?:about |only |some |under |another )?"
TEXT = r"(?:page|chapter|part|section|exercise|book|tour)"
# A time to read, in words of one's own. A computation may take its time:
# "trains in about a minute", "the training on this page takes ten minutes".
REQUEST = re.compile(
    # Standing alone, as in "*Recall; ten minutes.*"
    rf"(?:^[ >*_-]*|[.,;(—*_] ?[*_]*)(?!an? ){ABOUT}{TIME}(?= *(?:[.,;)*_]|$))"
    # "The page takes ten minutes", "eight pages of ten minutes"
    rf"|(?<!(?:on|of|in|by) this )(?<!(?:on|of|in|by) the )\b{TEXT}s?"
    rf"(?: of (?:this|the) {TEXT})?"
    rf" (?:takes?|asks? for|needs?|wants?|lasts?|costs?|is|are|of) {ABOUT}{TIME}"
    r"(?! to (?!read|work))"
    # "ten minutes of reading", "read it in ten minutes", "a ten-minute page"
    rf"|\bread(?:ing)?\b[^.;|\n]*\b{TIME}|\b{TIME}[^.;|\n]*\bread(?:ing)?\b"
    rf"|\b{TIME} {TEXT}\b"
    # "you need ten minutes", "in ten minutes you have an engine"
    rf"|\b(?:takes? you|you need|spend) {ABOUT}{TIME}|\bin {ABOUT}{TIME},? you\b",
    re.M | re.I,
)


def minutes(page: Page) -> int:
    """Return the minutes that a page asks for."""
    text = FORM.sub(lambda form: form[0] if form["own"] else "N minutes", page.text)
    words = len(WORD.findall(_read(text)))
    code = "\n".join(fence.source for fence in page.fences if _shown(fence))
    lines = sum(bool(line.strip()) for line in code.split("\n"))
    return math.ceil((words * 60 / WORDS_A_MINUTE + lines * SECONDS_A_LINE) / 60)


def _shown(fence: Fence) -> bool:
    """Tell whether a fence is read: no solution, no folded copy of other code."""
    folded = fence.role == "listing" and fence.prefix
    return fence.role != "solution" and not folded


def _read(text: str) -> str:
    """Return the words of a Markdown text but for its Python blocks."""
    tokens = markdown_parser().parse(HIDDEN.sub("", text))
    return "\n".join(_words(token) for token in tokens)


def _words(token: Token) -> str:
    """Return what a reader sees of one block of Markdown."""
    if token.type == "inline":
        return "".join(map(_piece, token.children or []))
    if token.type == "html_block":  # its text may be Markdown again
        return _read(TAG.sub(" ", token.content))
    is_text = token.type == "fence" and not PYTHON.match(token.info)
    return token.content if is_text else ""


def _piece(token: Token) -> str:
    """Return what a reader sees of one part of a line: of a link, its text."""
    if token.type in ("softbreak", "hardbreak"):
        return "\n"
    return "" if token.type == "html_inline" else token.content


def rewritten(book: Book, page: Page) -> str:
    """Return the page's text with the minutes that its own and others' texts give."""
    text = page.text
    for form in reversed([*FORM.finditer(_prose(text))]):
        text = text[: form.start()] + _filled(book, page, form) + text[form.end() :]
    return text


def write(book: Book, paths: Iterable[Path]) -> list[Path]:
    """Bring the minutes on the given pages up to date; return those that changed."""
    return replace_files({path: rewritten(book, parse(path)) for path in paths})


def check(book: Book, page: Page) -> list[str]:
    """Return what is wrong with the minutes of a page, each with its place."""
    prose = _prose(page.text)
    forms = [*FORM.finditer(prose)]
    found = [*_missing(book, page, forms), *_typed(prose)]
    for form in forms:
        found += [(form.start(), what) for what in _wrong(book, page, form)]
    lines = [(page.text.count("\n", 0, at) + 1, what) for at, what in sorted(found)]
    return [f"{book.place(page.path, line)}: {what}" for line, what in lines]


def _prose(text: str) -> str:
    """Return the text with blanks for every fence, inline code and comment."""
    lines = text.split("\n")
    for token in markdown_parser().parse(text):
        if token.type == "fence" and token.map:
            for number in range(*token.map):
                lines[number] = " " * len(lines[number])
    return _blanked(ASIDE, "\n".join(lines))


def _blanked(pattern: re.Pattern[str], text: str) -> str:
    """Return the text with blanks for what the pattern finds, as long as before."""
    return pattern.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def _filled(book: Book, page: Page, form: re.Match[str]) -> str:
    """Return a form with the minutes that it should give."""
    names = form["names"]
    if names is None:
        return f"The page takes {_spelled(minutes(page))}."
    pages = {path for name in names.split() for path in _named(book, name)}
    total = sum(minutes(parse(path)) for path in pages)
    return f'<span data-minutes="{names}">{_spelled(total)}</span>'


def _spelled(number: int) -> str:
    return f"{number} minute{'s' * (number != 1)}"


def _named(book: Book, name: str) -> list[Path]:
    """Return the page of that name, or all pages in the folder of that name."""
    found = [(path, path.relative_to(book.docs).as_posix()) for path in book.nav()]
    is_in = str.startswith if name.endswith("/") else str.__eq__
    return [path for path, own in found if is_in(own, name) and path.exists()]


def _wrong(book: Book, page: Page, form: re.Match[str]) -> Iterator[str]:
    """Yield what is wrong with one form."""
    names = (form["names"] or "").split()
    for name in names:
        if not _named(book, name):
            yield f"the navigation has no page {name!r}"
    if form["names"] is not None and not names:
        yield "the sum names no page"
    old, new = page.text[form.start() : form.end()], _filled(book, page, form)
    if old != new:
        command = f"python -m tests.book --write {book.short(page.path)}"
        yield f"{old!r} should be {new!r}: {command}"


def _missing(
    book: Book, page: Page, forms: list[re.Match[str]]
) -> Iterator[tuple[int, str]]:
    """Yield what is wrong if a page does not say its minutes exactly once."""
    own = [form.start() for form in forms if form["own"]]
    if not own and _teaches(book, page.path):
        yield 0, "the sentence `The page takes N minutes.` is missing"
    for start in own[1:]:
        yield start, "the page says a second time how long it takes"


def _teaches(book: Book, path: Path) -> bool:
    """Tell whether a page belongs to the course that is read from top to bottom."""
    if path not in book.nav():
        return False
    return path.relative_to(book.docs).parts[0] not in NOT_TEACHING


def _typed(prose: str) -> Iterator[tuple[int, str]]:
    """Yield the requests of time that someone typed."""
    for found in REQUEST.finditer(_blanked(FORM, prose)):
        words = found[0].strip(" \n.,;(*_>")
        yield found.end(), f"minutes typed by hand: {words!r}"
