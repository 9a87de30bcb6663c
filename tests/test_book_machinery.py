"""The machinery under `tests/book/`: each rule with a case that breaks it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.book import census, figures, listings, minutes, mirror, writer
from tests.book.coverage import compiler
from tests.book.lint import figures_nobody_makes, lint
from tests.book.pages import Book, parse
from tests.book.runner import BlockError, PageRun, run_page, verify

ROOT = Path(__file__).resolve().parents[1]
MKDOCS = """\
site_name: A book
nav: [{nav}]
markdown_extensions:
  - admonition
  - attr_list
  - md_in_html
  - pymdownx.details
  - pymdownx.highlight: {{pygments_lang_class: true}}
  - pymdownx.snippets: {{base_path: [docs], check_paths: true}}
  - pymdownx.superfences
  - pymdownx.unknown_tag: !!python/name:os.path.join
"""
VALUE = "src/prosegrad/value.py"

Make = Callable[..., Book]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return a function that makes a book of pages a.md, b.md, …."""

    def make_book(*pages: str) -> Book:
        names = [f"{letter}.md" for letter, _ in zip("abcdef", pages, strict=False)]
        (tmp_path / "docs").mkdir(exist_ok=True)
        config = MKDOCS.format(nav=", ".join(names))
        config = "\n".join(x for x in config.split("\n") if "unknown_tag" not in x)
        (tmp_path / "mkdocs.yml").write_text(config)
        for name, text in zip(names, pages, strict=True):
            (tmp_path / "docs" / name).write_text(text)
        return Book(tmp_path)

    return make_book


def fence(code: str, attributes: str = "") -> str:
    """Return a Python fence."""
    info = f" {{ {attributes} }}" if attributes else ""
    return f"```python{info}\n{code}\n```\n\n"


def shown(text: str) -> str:
    """Return an Output fence."""
    return f'```text {{ title="Output" }}\n{text}\n```\n\n'


def published(code: str, more: bool = True, module: str = VALUE) -> str:
    """Return a published fence."""
    return fence(code, f'title="{module}"' + " continuation" * more)


def indented(text: str) -> str:
    """Return Markdown as it stands in a box."""
    return "".join("    " * bool(x.strip()) + x for x in text.splitlines(True))


def page(book: Book, name: str = "a") -> Path:
    return book.docs / f"{name}.md"


def run(book: Book, name: str = "a") -> None:
    """Run a page as pytest does: every block, its output compared."""
    reading = PageRun(book, parse(page(book, name)))
    try:
        for block in reading.page.fences:
            verify(book, block, reading.run(block))
    finally:
        reading.close()


GOOD = published('"""A."""\n\n\nclass V:\n    """A."""\n\n\nN = 1', more=False)
PART = published("class V(V):\n    def f(self):\n        return N")


# Pages -----------------------------------------------------------------


def test_nested_fences_are_dedented(make: Make) -> None:
    """A fence in an admonition is seen, with its own Output fence."""
    text = "!!! note\n\n    ```python\n    print(1)\n    ```\n\n    " + shown(
        "1"
    ).replace("\n", "\n    ")
    block = parse(page(make(text))).fences[0]

    assert block.source == "print(1)\n"
    assert block.output is not None
    assert block.output.text == "1\n"


def test_nav_reads_nested_lists_and_tags(tmp_path: Path) -> None:
    """The navigation is read in order, tags and links are passed over."""
    text = "nav: [{Part: [a.md, {B: b.md}]}, {Link: 'https://x.org'}]\n"
    tags = "x: !!python/name:os.path.join\ny: !ENV [A, 1]\n"
    (tmp_path / "mkdocs.yml").write_text(text + tags)

    assert [p.name for p in Book(tmp_path).nav()] == ["a.md", "b.md"]


# Lint ------------------------------------------------------------------

FIRST = fence("x = 1")
CONT = "continuation"
LISTING = f'.listing title="{VALUE}"'
RAISES = 'data-raises="ZeroDivisionError"'
BAD = {
    "unknown spelling": "```python continuation\nx = 1\n```",
    "unknown spelling ": "```{.python }\nx = 1\n```",
    "unknown spelling  ": "~~~python\nx = 1\n~~~",
    "unknown spelling   ": "```py\nx = 1\n```",
    "unknown spelling    ": "```python { notest }\nx = 1\n```",
    "must begin its line": "> ```python\n> x = 1\n> ```",
    "a blank in the title": FIRST + fence("x = 1", 'title="a b" continuation'),
    "not a module of": fence("x = 1", 'title="src/other/a.py"'),
    "only a `python` fence": '```text { title="src/prosegrad/a.py" }\n```',
    "several roles": FIRST + fence("assert 1", ".wrong .check continuation"),
    "73 columns": fence("x = " + "1" * 69),
    "blanks at the end": fence("x = 1 "),
    "begins and ends": fence("x = 1\n"),
    "begins and ends ": fence("\nx = 1"),
    "syntax error": fence("x ="),
    "invisible": "!!! note\n    ```python\n    x = 1\n    ```",
    "invisible ": "!!! note\n\n x  ```python\n    x = 1\n    ```",
    "invisible  ": "!!! note\n\n`    ```python\n    x = 1\n    ```",
    "does not follow a Python": FIRST + "Text.\n\n" + shown("1"),
    "several roles: wrong, listing": fence("assert 1", f".wrong {LISTING}"),
    "several roles: listing, raises": fence("1 / 0", f"{LISTING} {RAISES}"),
    "needs the title of a module": fence("x = 1", ".listing"),
    ".wrong block must": FIRST + fence("x = 1", ".wrong continuation"),
    "the first Python fence": fence("x = 1", CONT),
    "every later": FIRST + FIRST,
    "needs an Output": FIRST + fence("1 / 0", f'{CONT} data-raises="E"'),
    "a .exercise block is": FIRST + fence("x = 1", f".solution {CONT}"),
    "this exercise has no .check": FIRST + fence("x = 1", f".exercise {CONT}"),
    "prints nothing": FIRST
    + fence("x = 1", f".exercise {CONT}")
    + fence("assert x", f".check {CONT}")
    + shown("1"),
    "super means": GOOD
    + published("class V(V):\n    def f(self):\n        return super().f()"),
    "a docstring in": GOOD + published('class V(V):\n    """Again."""'),
    "a decorator on": GOOD + published("@final\nclass V(V):\n    x = 1"),
    "`__slots__` in": GOOD + published("class V(V):\n    __slots__ = ()"),
    "f of an earlier part": GOOD + PART + published("class V(V):\n    g = f"),
    "f of an earlier part ": GOOD
    + PART
    + published("class V(V):\n    def g(self, h=f):\n        return h"),
    "must open its fence": GOOD + published("M = 1\n\n\nclass V(V):\n    g = 1"),
    "must begin with `class": GOOD + published("# Why\nclass V(V):\n    g = 1"),
    "holds only that class": GOOD + published("class V(V):\n    g = 1\n\n\nM = 1"),
    "holds only that class ": GOOD + published("class V(V):\n    g = 1\n# Why"),
}


@pytest.mark.parametrize(("fault", "text"), BAD.items(), ids=BAD)
def test_lint_refuses(make: Make, fault: str, text: str) -> None:
    """Each rule has an example that breaks it; the message names the place."""
    book = make(text)
    problems = lint(book, parse(page(book)))

    assert any(fault.strip() in problem for problem in problems), problems
    assert all(problem.startswith("docs/a.md:") for problem in problems)


def test_lint_accepts_the_spellings_of_the_book(make: Make) -> None:
    """The allowed forms pass, a longer fence may show them as text."""
    text = (
        GOOD
        + PART
        + published("class V(V):\n    g = 1\n    h = g")
        + fence("x = 1", f'{CONT} figure="f" hl_lines="1 2" #here')
        + fence("x = 1", f"{LISTING} {CONT}")
        + "````markdown\n```python notest\n```\n````\n"
    )
    book = make(text)

    assert lint(book, parse(page(book))) == []


def test_stale_and_doubled_figures_are_reported(make: Make) -> None:
    """A file in docs/figures/ belongs to exactly one block."""
    book = make(fence("x = 1", 'figure="f"'), fence("x = 1", 'figure="f"'))
    book.figures.mkdir()
    (book.figures / "old.md").touch()
    (book.figures / "f.svg").touch()

    assert figures_nobody_makes(book) == [
        "docs/b.md:1: f.svg is already made at docs/a.md:1",
        "docs/figures/old.md is made by no page",
    ]


# Mirror ----------------------------------------------------------------


def test_a_module_is_its_fences_in_order(make: Make) -> None:
    """Class parts join their class, also over neighbouring pages."""
    more = published("class V(V):\n    # Why.\n    g = 1\n    # End.", more=False)
    book = make(GOOD + PART + fence("x = 1", CONT), more + published("M = 2"))
    mirror.write(book)

    expected = (
        '"""A."""\n\n\nclass V:\n    """A."""\n\n    def f(self):\n'
        "        return N\n\n    # Why.\n    g = 1\n    # End.\n\n\nN = 1\n\nM = 2\n"
    )
    assert (book.root / VALUE).read_text() == expected
    assert mirror.check(book) == []


def test_write_twice_changes_nothing(make: Make) -> None:
    """The second run finds nothing to write."""
    book = make(GOOD + PART)

    assert mirror.write(book) == [book.root / VALUE]
    assert mirror.write(book) == []


@pytest.mark.parametrize("side", ["page", "src"])
def test_every_changed_character_is_caught(make: Make, side: str) -> None:
    """Any one character changed on either side is a difference."""
    book = make(GOOD + PART)
    mirror.write(book)
    path = book.root / VALUE if side == "src" else page(book)
    old = path.read_text()
    inside = False
    for number, line in enumerate(old.splitlines(keepends=True)):
        if line.startswith("```"):
            inside = not inside
        # The words `class V(V):` are not in src/; the lint guards them.
        elif side == "src" or (inside and line.strip() and "V(V)" not in line):
            lines = old.splitlines(keepends=True)
            lines[number] = line[:-2] + "~" + line[-1:]
            path.write_text("".join(lines))
            assert mirror.check(book), line
    path.write_text(old)

    assert mirror.check(book) == []


@pytest.mark.parametrize(
    ("old", "new"), [("N = 1\n", "N = 1"), ("N = 1\n", "N = 1\r\n")]
)
def test_line_ends_are_compared(make: Make, old: str, new: str) -> None:
    """A missing last newline, or another kind, is a difference."""
    book = make(GOOD)
    mirror.write(book)
    path = book.root / VALUE
    path.write_bytes(path.read_text().replace(old, new).encode())

    assert mirror.check(book)


def test_a_difference_names_both_places(make: Make) -> None:
    """The message has page:line, src:line and both texts."""
    book = make(GOOD + PART)
    mirror.write(book)
    path = book.root / VALUE
    path.write_text(path.read_text().replace("return N", "return M"))
    (problem,) = mirror.check(book)

    assert problem == (
        "docs/a.md:15 differs from src/prosegrad/value.py:8\n"
        "  page: '        return N'\n  src:  '        return M'"
    )


def test_files_that_belong_nowhere_are_reported(make: Make) -> None:
    """A source on no page, and pages outside the navigation, either way."""
    book = make(GOOD, "")
    mirror.write(book)
    (book.src / "prosegrad" / "py.typed").touch()
    (book.src / "prosegrad" / "extra.py").touch()
    (book.docs / "stray.md").touch()
    page(book, "b").unlink()

    assert mirror.check(book) == [
        "docs/b.md is in the navigation, but not in docs/",
        "docs/stray.md is not in the navigation",
        "src/prosegrad/extra.py is published on no page",
    ]


OTHER = "src/prosegrad/other.py"
AGAIN = published("class V(V):\n    g = 1")
ELSEWHERE = published("M = 1", module=OTHER) + AGAIN


@pytest.mark.parametrize("text", [ELSEWHERE, AGAIN + published("M = 1", module=OTHER)])
def test_a_page_that_builds_a_module_may_reopen_a_class(make: Make, text: str) -> None:
    """Of another module, however far away."""
    book = make(GOOD, "", text, published("K = 1", module=OTHER))
    mirror.write(book)

    assert mirror.check(book) == []
    assert (book.root / OTHER).read_text() == "M = 1\n\nK = 1\n"
    assert '    """A."""\n\n    g = 1\n\n\nN' in (book.root / VALUE).read_text()


BROKEN = {
    "docs/a.md:20: V.f is already defined at docs/a.md:14": [GOOD + PART + PART],
    "docs/a.md:13: N is already defined at docs/a.md:9": [GOOD + published("N = 2")],
    "docs/a.md:12: the page already publishes src/prosegrad/value.py": [
        GOOD + published("M = 1", module=OTHER)
    ],
    "is published on distant pages: docs/a.md:1 and docs/c.md:1": [GOOD, "", GOOD],
    "docs/a.md:12: class W is re-opened": [GOOD + published("class W(W):\n    x = 1")],
    "docs/a.md:13: invalid syntax": [GOOD + published("x = = 1")],
    f"{VALUE} is published on distant pages: docs/a.md:1 and docs/c.md:1": [
        GOOD,
        "",
        AGAIN,
    ],
    "docs/a.md:5: class V is re-opened": [ELSEWHERE, GOOD],
    f"docs/c.md:1: the page already publishes {VALUE} (docs/c.md:10)": [
        GOOD,
        "",
        ELSEWHERE + published("def f(): ..."),
    ],
    f"docs/c.md:6: the page already publishes {VALUE} (docs/c.md:1)": [
        GOOD,
        published("class W: ...", module=OTHER),
        AGAIN + published("class W(W):\n    x = 1", module=OTHER),
    ],
}


@pytest.mark.parametrize(("fault", "pages"), BROKEN.items(), ids=BROKEN)
def test_mirror_refuses(make: Make, fault: str, pages: list[str]) -> None:
    """What makes no module is refused, and nothing is written."""
    book = make(*pages)

    with pytest.raises(mirror.MirrorError, match=r"docs/[ac]\.md") as caught:
        mirror.write(book)
    assert not book.src.exists()
    assert mirror.check(book) == str(caught.value).split("\n")
    assert fault in str(caught.value)


@pytest.mark.parametrize("step", ["fdopen", "replace"])
def test_a_half_done_write_leaves_src_whole(
    make: Make, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A failure on the way leaves the old text, and nothing beside it."""
    book = make(GOOD)
    mirror.write(book)
    path = book.root / VALUE
    old = path.read_text()
    make(GOOD + PART)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="disk full"):
        mirror.write(book)

    assert path.read_text() == old
    assert [p.name for p in path.parent.iterdir()] == ["value.py"]


# Runner ----------------------------------------------------------------

STUB = fence("def f():\n    ...", ".exercise")
CHECK = fence("assert f() == 4", f".check {CONT}")
SOLUTION = fence("def f():\n    return 4", f".solution {CONT}")
PASSES = {
    "published": GOOD + PART + fence("print(V().f())", CONT) + shown("1"),
    "run": fence("print(1)\nprint(2)") + shown("1\n2"),
    "raises": fence("print(1)\n1 / 0", RAISES)
    + shown("1\nZeroDivisionError: division by zero"),
    "recursion": fence("def f():\n    f()\n\n\nf()", 'data-raises="RecursionError"')
    + shown("RecursionError: maximum recursion depth exceeded"),
    "wrong": fence("x = 0.1 + 0.2\nassert x != 0.3", ".wrong"),
    "exercise": STUB + CHECK + SOLUTION,
    "namespace": fence("x = 1") + fence("x += 1\nprint(x)", CONT) + shown("2"),
    "figure name": fence("figure = 1") + fence("figure", CONT),
    "main": fence("print(__name__)\nclass A:\n    pass\n\n\nprint(A)")
    + shown("__main__\n<class '__main__.A'>"),
    "pickle": fence("import pickle\n\n\nclass A:\n    pass\n\n\npickle.dumps(A())"),
    "folder": fence("open('x', 'w').close()"),
    "future": fence("from __future__ import annotations")
    + fence("def f(x: unknown): ...", CONT),
}
FAILS = {
    "raised ZeroDivisionError": fence("x = 1\n1 / 0"),
    '"docs/a.md", line 3, in <module>': fence("x = 1\n1 / 0"),
    "x + 1 = 2": fence("x = 1\nassert x + 1 == 3"),
    "printed before:\nhello": fence("print('hello')\n1 / 0"),
    "the output differs": fence("print(1)") + shown("2"),
    "-2\n+1": fence("print(1)") + shown("2"),
    "no Output fence follows": fence("print(1)"),
    "prints nothing": fence("x = 1") + shown("1"),
    "ZeroDivisionError was not raised": fence("x = 1", RAISES),
    "expected ZeroDivisionError": fence("int('a')", RAISES),
    "not in its last statement": fence("1 / 0\nx = 1", RAISES),
    "raised AssertionError": fence("assert 1 != 1", ".wrong"),
    "passes before": fence("def f():\n    return 4", ".exercise") + CHECK,
    "with the solution": STUB + CHECK + SOLUTION.replace("return 4", "return 5"),
    "raised DeprecationWarning": fence(
        "import warnings\nwarnings.warn('x', DeprecationWarning)"
    ),
    "raised SystemExit": fence("raise SystemExit(0)"),
    "raised SyntaxError": fence("x ="),
    "binds no `figure`": fence("x = 1", 'figure="f"'),
    "no caption": fence("figure = '<svg/>'", 'figure="f"'),
    "needs a viewBox": fence("figure = '<svg>'; figure_alt = 'a'", 'figure="f"'),
    "not int": fence("figure = 1; figure_alt = 'a'", 'figure="f"'),
    "figure` as DOT": fence("figure = 'digraph'; figure_alt = 'a'", 'figure="f"'),
    "no string `table`": fence("table = 1", 'table="t"'),
    "+| a |": fence("table = '| a |'", 'table="t"'),
}


@pytest.mark.parametrize("text", PASSES.values(), ids=PASSES)
def test_runner_accepts(make: Make, text: str) -> None:
    """Each role has a page that passes."""
    run(make(text))


@pytest.mark.parametrize(("fault", "text"), FAILS.items(), ids=FAILS)
def test_runner_refuses(make: Make, fault: str, text: str) -> None:
    """Each role has a page that fails; the message names page and line."""
    with pytest.raises(BlockError) as caught:
        run(make(text))

    assert str(caught.value).startswith("docs/a.md:")
    assert fault in str(caught.value)


def test_a_failing_check_leaves_no_names(make: Make) -> None:
    """What the check did on the stub is undone."""
    check = fence("seen = 1\nassert f() == 4", f".check {CONT}")
    book = make(STUB + check + fence("seen", CONT))

    with pytest.raises(BlockError, match="raised NameError"):
        run(book)


# Reached ---------------------------------------------------------------

UNREACHED = "published, but no block of this page runs it"
METHOD = "class A:\n    {}\n    def f(self):\n        return 1"
MUST_RUN = {
    "function": ("def f():\n    return 1", "f()"),
    "after a docstring": ('def f():\n    """F."""\n    global x\n    x = 1', "f()"),
    "inner": ("def f():\n    def g():\n        return 1\n\n    return g", "f()()"),
    "generator": ("def f():\n    yield 1", "next(f())"),
    "lambda": ("f = lambda: 1", "f()"),
    "lambda in a function": ("def f():\n    return lambda: 1", "f()()"),
    "lambda in a table": ("F = {\n    1: lambda x: x,\n}", "F[1](0)"),
    # Not asyncio.run: another test of this process may have a loop running.
    "coroutine": ("async def f():\n    pass", "for _ in f().__await__():\n    pass"),
    "in a branch": ("if True:\n\n    def f():\n        return 1", "f()"),
    "at run time": (
        "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    pass\n"
        "else:\n\n    def f():\n        return 1",
        "f()",
    ),
    "method": (METHOD.format("x = 1"), "A().f()"),
    "property": (METHOD.format("@property"), "A().f"),
    "private": (METHOD.replace("f(", "__f(").format("x = 1"), "A()._A__f()"),
}
NEED_NOT = {
    "overload": "from typing import overload\n\n\n@overload\n"
    "def f(x: int) -> int:\n    return x",
    "overload, by its full name": "import typing\n\n\n@typing.overload\n"
    "def f(x: int) -> int:\n    return x",
    "protocol": "class P:\n    def f(self): ...\n\n"
    '    def g(self):\n        """G."""\n\n'
    '    def h(self):\n        """H."""\n        ...',
    "for type checkers": "import typing\n\nif typing.TYPE_CHECKING:\n\n"
    "    def f():\n        return 1",
}


@pytest.mark.parametrize(("code", "use"), MUST_RUN.values(), ids=MUST_RUN)
def test_a_published_function_must_run(make: Make, code: str, use: str) -> None:
    """One use on the page will do; without it the page fails at its end."""
    book = make(published(code, more=False) + fence(use, CONT))
    run(book)

    book = make(published(code, more=False) + fence("x = 1", CONT))
    with pytest.raises(BlockError, match=UNREACHED):
        run(book)


@pytest.mark.parametrize("code", NEED_NOT.values(), ids=NEED_NOT)
def test_what_has_no_code_need_not_run(make: Make, code: str) -> None:
    run(make(published(code, more=False)))


@pytest.mark.parametrize("use", ["f()", "A.g", "A().h"])
def test_a_function_that_is_only_named_has_not_run(make: Make, use: str) -> None:
    """Nor has a generator that was made, or a property of the class."""
    code = (
        "def f():\n    yield 1\n\n\nclass A:\n    @property\n    def g(self):\n"
        "        return 1\n\n    def h(self):\n        return 1"
    )
    used = {"f()": "next(f())", "A.g": "A().g", "A().h": "A().h()"}
    others = [good for bad, good in used.items() if bad != use]
    book = make(published(code, more=False) + fence("\n".join([use, *others]), CONT))

    with pytest.raises(BlockError, match=UNREACHED):
        run(book)


def test_an_unreached_function_is_named_with_its_line(make: Make) -> None:
    """All of them, in order; the line is that of its `def`."""
    again = "class V(V):\n    @property\n    def g(self):\n        return N"
    book = make(GOOD + PART + published(again) + fence("V()", CONT))

    with pytest.raises(BlockError) as caught:
        run(book)
    assert str(caught.value) == (
        f"docs/a.md:14: V.f: {UNREACHED}\ndocs/a.md:21: V.g: {UNREACHED}"
    )


@pytest.mark.parametrize(
    "uses",
    ["import copied\n\ncopied.V().f()", "from copied import V\n\nV().f()"],
)
def test_a_copy_of_the_function_does_not_count(
    make: Make, monkeypatch: pytest.MonkeyPatch, uses: str
) -> None:
    """The package has the same text, and a reader changes only the page."""
    text = (GOOD + PART).replace(VALUE, "src/copied.py")
    book = make(text + fence(uses, CONT))
    mirror.write(book)
    monkeypatch.syspath_prepend(str(book.src))

    with pytest.raises(BlockError, match=f"V.f: {UNREACHED}"):
        run(book)
    del sys.modules["copied"]


def test_a_solution_may_run_a_function(make: Make) -> None:
    """The last block of a page is often one."""
    solution = SOLUTION.replace("return 4", "return V().f() + 3")
    run(make(GOOD + PART + STUB + CHECK + solution))


def test_a_page_is_judged_at_its_end(make: Make) -> None:
    """Not before, when a block in the middle is asked for."""
    book = make(GOOD + PART + FIRST)
    reading = PageRun(book, parse(page(book)))
    for block in reading.page.fences[:2]:
        reading.run(block)

    with pytest.raises(BlockError, match=UNREACHED):
        reading.run(reading.page.fences[2])
    reading.close()


def test_the_mark_cannot_be_seen(make: Make) -> None:
    """No name, no other line and no other text; the docstring stays."""
    code = 'def f(x):\n    """F."""\n    return 1 / x'
    look = (
        "import inspect\n\n"
        "assert not [n for n in dir() if 'reached' in n]\n"
        "assert f.__doc__ == 'F.' and f(1) == 1\n"
        f"assert inspect.getsource(f) == {code + chr(10)!r}\n"
        "f(0)"
    )
    book = make(published(code, more=False) + fence(look, CONT))

    with pytest.raises(BlockError, match="ZeroDivisionError") as caught:
        run(book)
    assert '"docs/a.md", line 4, in f\n    return 1 / x' in str(caught.value)


# Figures ---------------------------------------------------------------

SVG = (
    '<?xml version="1.0"?>\n<!DOCTYPE svg>\n'
    '<svg width="90pt" height="20pt" viewBox="0.00 0.00 90.00 20.00">\n\n'
    '<g id="n1"><title>n1</title><path id="p" fill="#1F5FBF" d="M 1.2345678\n2"/>\n'
    '<use href="#p" stroke="black" style="fill: #123456"/>\n'
    "<text x='1.5000001'>3.14159</text>"
    "<text style=\"font: italic 700 10px 'DejaVu'; fill: #c45500\">a*b</text>"
    "</g></svg>\n"
)


def test_a_figure_is_made_ready_for_a_page() -> None:
    """Frame, names, sizes and known colours are replaced, text stays text."""
    svg = figures.render(SVG, "f", 'A "curve"')

    assert svg.startswith("<svg ")
    assert 'aria-label="A &quot;curve&quot;"' in svg
    assert 'viewBox="0 0 90 20"' in svg
    assert "width: 100%; max-width: 120px" in svg
    assert 'fill="var(--pg-data, #1F5FBF)" d="M 1.23 2"' in svg
    assert 'id="f-p"' in svg
    assert 'href="#f-p" stroke="var(--pg-ink, black)" style="fill: #123456"' in svg
    assert "font-size: 10px; font-style: italic; font-weight: 700" in svg
    assert ">a&#42;b</text>" in svg
    assert "<text x='1.5'>3.14159</text>" in svg
    assert "title" not in svg
    assert "\n\n" not in svg


def test_figures_agree_but_for_the_last_digits() -> None:
    """Another machine's rounding is no difference; another number is."""
    assert figures.same('<p d="M 1.23 2"/>', '<p d="M 1.24 1.99"/>')
    assert not figures.same('<p d="M 1.23 2"/>', '<p d="M 1.33 2"/>')
    assert not figures.same('<p d="M 1.23 2"/>', '<p d="L 1.23 2"/>')
    assert not figures.same('<p fill="#111111"/>', '<p fill="#111112"/>')
    assert not figures.same("<t>3.14</t>", "<t>3.15</t>")


def test_a_plot_is_the_same_twice(make: Make) -> None:
    """A matplotlib figure gives one text, with its caption as its label."""
    code = (
        "import matplotlib.pyplot as plt\n\n"
        "figure, axes = plt.subplots()\naxes.plot([1, 2])"
    )
    text = '<figure>\n--8<-- "figures/f.svg"\n<figcaption>A `line`.</figcaption>\n'
    book = make(fence(code, 'figure="f"') + text + "</figure>")
    first, second = (run_page(book, parse(page(book)))[0].figure for _ in range(2))

    assert first is not None
    assert first == second
    assert 'aria-label="A line."' in first


def test_dot_text_is_laid_out_the_same_twice(make: Make) -> None:
    """With a mark for the notebook, which must lay it out again."""
    code = 'figure = "digraph { a -> b [label=c]; }"\nfigure_alt = "A graph"'
    book = make(fence(code, 'figure="f"'))
    first, second = (run_page(book, parse(page(book)))[0].figure for _ in range(2))

    assert first is not None
    assert first == second
    assert 'class="pg-svg pg-dot"' in first
    assert 'aria-label="A graph"' in first
    assert ">c</text>" in first


# Writer ----------------------------------------------------------------


def test_the_writer_fills_outputs_tables_and_src(make: Make) -> None:
    """One run writes all, the second nothing; blocks see the new package."""
    book = make(
        GOOD
        + "!!! note\n\n    ```python { continuation }\n    print(N)\n    ```\n\n"
        + fence("import prosegrad.value\n\nprint(prosegrad.value.N)", CONT)
        + shown("").replace("\n\n", "\n", 1)
        + fence("table = '| a |'", f'{CONT} table="t"')
    )
    package = book.src / "prosegrad"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()  # or an installed prosegrad would win
    said: list[str] = []

    assert writer.write(book, [page(book)], said.append), said
    assert "    ```text" in page(book).read_text()
    assert (book.figures / "t.md").read_text() == "| a |\n"
    assert sum(line.startswith("wrote") for line in said) == 3

    said.clear()
    assert writer.write(book, [page(book)], said.append)
    assert [line for line in said if line.startswith("wrote")] == []


@pytest.mark.parametrize(
    ("fault", "text"),
    {
        "docs/a.md:5: the block raised ZeroDivisionError": FIRST + fence("1 / 0", CONT),
        "every later": FIRST + FIRST,
        "prints a fence": fence("print('```')"),
        "nothing is printed": FIRST + shown("1"),
        "invalid syntax": published("x = = 1", more=False),
        f"docs/a.md:14: V.f: {UNREACHED}": GOOD + PART,
    }.items(),
)
def test_the_writer_leaves_a_failing_page(make: Make, fault: str, text: str) -> None:
    """A page that fails is reported and not touched."""
    book = make(text)
    said: list[str] = []

    assert not writer.write(book, [page(book)], said.append)
    assert fault in "\n".join(said)
    assert page(book).read_text() == text


# Listings --------------------------------------------------------------


@pytest.fixture
def listed(make: Make) -> Book:
    """A book with a folded listing, and one between published parts."""
    folded = '??? note "So far"\n\n' + indented(fence("...", LISTING))
    more = "class V(V):\n    def g(self):\n\n        return 2"
    after = fence("print(V().f(), V().g(), M)", CONT) + shown("1 2 3")
    book = make(
        GOOD + PART + fence("assert V().f() == 1", CONT),
        folded
        + published(more)
        + fence("assert V().g() == 2", CONT)
        + fence("...", f"{LISTING} {CONT}")
        + published("M = 3")
        + after,
    )
    said: list[str] = []
    assert writer.write(book, book.nav(), said.append), said
    assert f"wrote {book.short(page(book, 'b'))}" in said
    return book


def test_a_listing_shows_what_is_published_before_it(listed: Book) -> None:
    """Whatever comes later on the page; and it publishes nothing itself."""
    module = (listed.root / VALUE).read_text()
    folded, _, _, middle, *_ = parse(page(listed, "b")).fences

    assert middle.source == module.removesuffix("\nM = 3\n")
    assert folded.source == middle.source.replace(
        "\n    def g(self):\n\n        return 2\n", ""
    )
    assert "    def f(self):\n        return N\n\n\nN = 1\n" in folded.source
    assert page(listed, "b").read_text().startswith("??? note")


def test_a_listing_is_a_block_like_others(listed: Book) -> None:
    """It is run, seen, spelled right, written once, and no source."""
    said: list[str] = []
    run(listed, "b")

    assert [p for path in listed.nav() for p in lint(listed, parse(path))] == []
    assert listings.check(listed) == mirror.check(listed) == []
    assert census.rendered(listed)[page(listed, "b")] == 6
    assert census.unseen(listed) == []
    assert writer.write(listed, listed.nav(), said.append)
    assert [line for line in said if line.startswith("wrote")] == []


def test_every_changed_line_of_a_listing_is_caught(listed: Book) -> None:
    path = page(listed, "b")
    old = path.read_text().splitlines(keepends=True)
    blocks = [fence for fence in parse(path).fences if fence.role == "listing"]
    for block in blocks:
        shift = len(block.prefix)
        for number in range(block.line, block.end - 1):
            new = f"{block.prefix}~\n"
            path.write_text("".join([*old[:number], new, *old[number + 1 :]]))
            (problem,) = listings.check(listed)

            assert problem == (
                f"docs/b.md:{number + 1} differs from {VALUE} up to this listing\n"
                f"  page: '~'\n  src:  {old[number].rstrip()[shift:]!r}\n"
                "python -m tests.book --write docs/b.md"
            )


def test_every_changed_line_of_a_source_is_caught(listed: Book) -> None:
    """Both listings are older than the page that they repeat."""
    path = page(listed)
    old = path.read_text().splitlines(keepends=True)
    blocks = [fence for fence in parse(path).fences if fence.role == "published"]
    for number in (n for block in blocks for n in range(block.line, block.end - 1)):
        if old[number].strip() and "V(V)" not in old[number]:
            new = old[number].replace("\n", "~\n")
            path.write_text("".join([*old[:number], new, *old[number + 1 :]]))

            assert len(listings.check(listed)) == 2


NO_LISTING = {
    f"docs/a.md:1: nothing of '{VALUE}' is published before this listing": [
        fence("x = 1", LISTING) + PART,
        GOOD,
    ],
    "docs/a.md:12: nothing of 'src/a.py' is published before this listing": [
        GOOD + fence("x = 1", f'.listing title="src/a.py" {CONT}')
    ],
    f"docs/b.md:1: {VALUE} is no module up to this listing": [
        published("x = = 1"),
        fence("x = 1", LISTING),
    ],
    f"docs/b.md:1: {VALUE} is no module up to this listing ": [
        PART,
        fence("x = 1", LISTING),
    ],
}


@pytest.mark.parametrize(("fault", "pages"), NO_LISTING.items(), ids=NO_LISTING)
def test_a_listing_of_nothing_is_refused(
    make: Make, fault: str, pages: list[str]
) -> None:
    """Also by the writer, before it writes anything."""
    book = make(*pages)
    said: list[str] = []

    assert listings.check(book) == [fault.strip()]
    assert not writer.write(book, book.nav(), said.append)
    assert fault.strip() in "\n".join(said)
    assert not book.src.exists()


def test_a_download_is_a_copy_of_a_module(make: Make) -> None:
    book = make(published("N = 1", more=False, module="src/prosegrad/tiny.py"))
    copy = book.docs / "assets/tiny.py"
    mirror.write(book)
    fault = "docs/assets/tiny.py differs from src/prosegrad/tiny.py"
    assert listings.check(book) == [fault]

    assert writer.write(book, book.nav(), lambda _: None)
    assert copy.read_text() == "N = 1\n"
    assert listings.check(book) == []
    copy.write_text("N = 1")
    assert listings.check(book) == [fault]


# Minutes ---------------------------------------------------------------

SAYS = "The page takes 1 minute.\n\n"
CODE = "\n\n".join(["x = 1"] * 15)  # a minute of it
WEIGHS = {
    "a minute of words": ("word " * 195, 1),
    "a word more": ("word " * 196, 2),
    "lines of code": (fence(CODE), 2),
    "code in an admonition": ("!!! note\n\n    ```python\n    x = 1\n    ```", 1),
    "a solution": (fence(CODE, ".solution"), 1),
    "a listing": (fence(CODE, ".listing"), 2),
    "a folded listing": (
        '??? note "Again"\n\n'
        + ("    " + fence(CODE, ".listing")).replace("\n", "\n    "),
        1,
    ),
    "an output": (shown("word " * 195), 1),
    "a long output": (shown("word " * 196), 2),
    "inline code": ("`a b` " * 98, 2),
    "a formula": ("$a + b$ " * 98, 2),
    "a table": ("| a | b |\n|---|---|\n" + "| 1 | `-` 2 |\n" * 97, 2),
    "a link": ("[word](https://a.org/b-c) " * 195, 1),
    "a reference": ("[word][a b]\n" * 195 + "\n[a b]: https://a.org", 1),
    "a comment": (f"<!-- {'word ' * 200} -->", 1),
    "an element": ("<b class='a b' id='c'>word</b> " * 195, 1),
    "a block": (f"<div\nid='a b'>\n{'word ' * 195}\n</div>", 1),
    "a caption": (f"<figcaption>\n{'word ' * 196}\n</figcaption>", 2),
    "snippets": ('--8<-- "figures/a.svg"\n' * 100, 1),
    "attributes": ("## A { #b .c }\n\n" * 195, 1),
    "marks of blocks": ("!!! question\n    word\n\n" * 195, 1),
}


@pytest.mark.parametrize(("text", "count"), WEIGHS.values(), ids=WEIGHS)
def test_minutes_count_what_is_read(make: Make, text: str, count: int) -> None:
    """200 words a minute, 4 seconds a line of code; the page has 5 words more."""
    assert minutes.minutes(parse(page(make(SAYS + text)))) == count


def test_minutes_are_written_in_both_forms(make: Make) -> None:
    """A page's own number, and sums; the second run changes nothing."""
    sums = (
        'A <span data-minutes="b.md">?</span>, <span data-minutes="a.md b.md"></span>.'
    )
    book = make(SAYS + sums, "The page takes ten minutes.\n\n" + "word " * 12_000)
    said: list[str] = []

    assert writer.write(book, [page(book, "b"), page(book)], said.append), said
    assert page(book, "b").read_text().startswith("The page takes 61 minutes.\n")
    assert page(book).read_text() == SAYS + (
        'A <span data-minutes="b.md">61 minutes</span>, '
        '<span data-minutes="a.md b.md">62 minutes</span>.'
    )
    assert [line for line in said if "wrote" in line] == [
        "wrote docs/b.md",
        "wrote docs/a.md",
    ]
    assert minutes.write(book, book.nav()) == []
    assert [p for path in book.nav() for p in minutes.check(book, parse(path))] == []


def test_a_sum_takes_the_pages_of_a_folder(make: Make) -> None:
    """All those in the navigation, each once."""
    text = '<span data-minutes="part/ part/one.md a.md"></span>'
    book = make(text)
    (book.docs / "part").mkdir()
    for name in ("one", "two", "stray"):
        (book.docs / "part" / f"{name}.md").write_text("word " * 300)
    nav = "nav: [a.md, part/one.md, part/two.md]\n"
    (book.root / "mkdocs.yml").write_text(nav)
    minutes.write(book, [page(book)])

    assert page(book).read_text() == text.replace("><", ">5 minutes<")


TIMES = {
    "a number that differs": (
        "The page takes 2 minutes.",
        "docs/a.md:1: 'The page takes 2 minutes.' should be "
        "'The page takes 1 minute.': python -m tests.book --write docs/a.md",
    ),
    "a sum that differs": (
        SAYS + 'A\n<span data-minutes="a.md">2 minutes</span>',
        """docs/a.md:4: '<span data-minutes="a.md">2 minutes</span>' should be """
        """'<span data-minutes="a.md">1 minute</span>': """
        "python -m tests.book --write docs/a.md",
    ),
    "no sentence": (
        "`The page takes 1 minute.`",
        "docs/a.md:1: the sentence `The page takes N minutes.` is missing",
    ),
    "two sentences": (
        SAYS * 2,
        "docs/a.md:3: the page says a second time how long it takes",
    ),
    "an unknown page": (
        SAYS + '<span data-minutes="b.md">0 minutes</span>',
        "docs/a.md:3: the navigation has no page 'b.md'",
    ),
    "a sum of nothing": (
        SAYS + '<span data-minutes="">0 minutes</span>',
        "docs/a.md:3: the sum names no page",
    ),
    "typed by hand": (
        SAYS + "A page takes ten to fifteen minutes.",
        "docs/a.md:3: minutes typed by hand: 'page takes ten to fifteen minutes'",
    ),
}


@pytest.mark.parametrize(("text", "fault"), TIMES.values(), ids=TIMES)
def test_false_minutes_are_refused(make: Make, text: str, fault: str) -> None:
    book = make(text)

    assert minutes.check(book, parse(page(book))) == [fault]


@pytest.mark.parametrize("name", ["index.md", "about/a.md", "exercises/a.md"])
def test_only_a_page_of_the_course_needs_the_sentence(make: Make, name: str) -> None:
    book = make("")
    (book.root / "mkdocs.yml").write_text(f"nav: [{name}]\n")
    path = book.docs / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("Some text.")

    assert minutes.check(book, parse(path)) == []


REQUESTS = """\
The page takes fifteen minutes; it is the heart of the book.
The page takes twenty minutes, less if you skip what you know.
This page takes ten minutes and builds nothing.
A page takes ten to fifteen minutes.
This part takes about 2 hours.
The pages of this part take half an hour.
The chapter has eight pages of eight to fifteen minutes.
The book asks for an hour.
*Recall; ten minutes; after [Backward](backward.md).*
*Ten minutes. You need nothing.*
Five minutes, for those who have read the rest.
[In one sitting](value.md) (thirty minutes) has three pages.
[In one sitting](value.md): three pages, **20 minutes**, no calculus.
You can read it in ten minutes.
It is ten minutes of reading.
Reading time: 12 min
This is a ten-minute page.
You need ten minutes and a pencil.
In fifteen minutes you have an engine.
> Twenty-five minutes.
"""
ALLOWED = """\
It is enough to train on real handwritten digits in about a minute, and no more.
One command measures this part alone, in about a minute:
Measured by `python -m tests.trust exact --write`, in 4.7 minutes: 18,202 programs.
For a million parameters it would be minutes.
The training on this page takes ten minutes.
The book takes two minutes to build.
The search takes ten minutes on a laptop.
After ten minutes the loss is below 0.01.
A minute later the gradient is zero.
A checkpoint after each hour may lose an hour.
The page counts the minutes that a run takes.
`The page takes ten minutes;` is typed by hand.
<!-- The page takes ten minutes; so they say. -->
"""


@pytest.mark.parametrize("line", REQUESTS.splitlines())
def test_a_typed_request_of_time_is_refused(make: Make, line: str) -> None:
    """In whatever words, a number of minutes that asks for a reader's time."""
    book = make(f"{SAYS}{line}\n")
    (fault,) = minutes.check(book, parse(page(book)))

    assert fault.startswith("docs/a.md:3: minutes typed by hand: ")


@pytest.mark.parametrize("line", ALLOWED.splitlines())
def test_a_computation_may_take_its_time(make: Make, line: str) -> None:
    book = make(f"{SAYS}{line}\n\n" + shown(REQUESTS) + fence('"""Ten minutes."""'))

    assert minutes.check(book, parse(page(book))) == []


# Coverage and census ---------------------------------------------------


def test_published_code_is_compiled_at_its_place_in_src(make: Make) -> None:
    """Coverage sees a page's published lines as lines of the module."""
    book = make(GOOD + PART)
    block = parse(page(book)).fences[1]
    code = compiler(book)(block, 0)
    body = next(c for c in code.co_consts if hasattr(c, "co_code"))
    method = next(c for c in body.co_consts if hasattr(c, "co_code"))

    assert method.co_filename == str(book.root / VALUE)
    assert method.co_firstlineno == 7


def test_census_counts_what_is_rendered(make: Make) -> None:
    """Equal counts pass; a block that did not run, or ran twice, does not."""
    nested = "!!! note\n\n    " + FIRST.replace("\n", "\n    ")
    book = make(FIRST + nested)

    assert census.unseen(book) == []
    assert census.not_run(book, Counter({page(book): 2})) == []
    for ran in (0, 1, 3):
        assert census.not_run(book, Counter({page(book): ran})) == [
            f"docs/a.md: 2 collected, {ran} ran"
        ]


@pytest.mark.parametrize(
    "text",
    [
        "!!! note\n    ```python\n    x = 1\n    ```",
        "```{.python title=here}\nx = 1\n```",
        "```python continuation\nx = 1\n```",
        "```python { notest }\nx = 1\n```",
    ],
)
def test_census_catches_an_invisible_fence(make: Make, text: str) -> None:
    """What only one of reader and pytest sees is a difference."""
    book = make(text)

    assert len(census.unseen(book)) == 1


# The plugin, in a pytest of its own -------------------------------------

LOG = "open({path!r}, 'a').write('{mark}')"


def pytest_run(book: Book, *arguments: str) -> str:
    """Run pytest on a book with the project's configuration."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.book.plugin"]
    options = ["-p", "no:cacheprovider", "--markdown-docs", f"--rootdir={book.root}"]
    done = subprocess.run(
        [*command, *options, "-c", os.devnull, *arguments],
        cwd=book.root,  # testpaths count only in the root
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_each_block_runs_once(make: Make, tmp_path: Path) -> None:
    """Also one that raises a TypeError; those after it do not run at all."""
    path = str(tmp_path / "log")
    blocks = [LOG.format(path=path, mark=mark) for mark in "abc"]
    blocks[1] += "\nlen(1)"
    first, *rest = blocks
    book = make(fence(first) + "".join(fence(block, CONT) for block in rest))
    report = pytest_run(book, str(book.docs))

    assert "1 failed, 1 passed, 1 skipped" in report
    assert "docs/a.md:5: the block raised TypeError" in report
    assert Path(path).read_text() == "ab"


def test_an_unreached_function_fails_the_last_block(make: Make) -> None:
    book = make(GOOD + PART + fence("x = 1", CONT))
    report = pytest_run(book, str(book.docs))

    assert "1 failed, 2 passed" in report
    assert f"docs/a.md:14: V.f: {UNREACHED}" in report


def test_a_block_selected_alone_runs_after_its_prefix(make: Make) -> None:
    """The earlier blocks of the page run first, silently."""
    book = make(FIRST + fence("y = x + 1", CONT) + fence("assert y == 2", CONT))
    report = pytest_run(book, f"{page(book)}::[CodeFence#3][line:9]")

    assert "1 passed" in report


def test_a_whole_session_ran_every_block(make: Make) -> None:
    book = make(FIRST + fence("y = x + 1", CONT))
    report = pytest_run(book, "-o", "testpaths=docs")

    assert "2 passed" in report
    assert "did not run" not in report


@pytest.mark.parametrize("workers", [[], ["-p", "xdist", "-n", "2", "--dist=loadfile"]])
def test_a_lost_block_fails_the_session(make: Make, workers: list[str]) -> None:
    """Every test passes, and yet one block of the book was not among them."""
    book = make(FIRST + fence("y = x + 1", CONT))
    lost = "--deselect=docs/a.md::[CodeFence#2][line:5]"
    report = pytest_run(book, "-o", "testpaths=docs", *workers, lost)

    assert "1 passed" in report
    assert "docs/a.md: 2 collected, 1 ran" in report
