"""The notebooks and Python files say what their pages say, and do it when run."""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.book.figures import render
from tests.book.pages import Book, Fence, Page, parse
from tests.book.runner import normal
from tests.book.session import VARYING

from .takeaway import Origin, TakeAway, takeaway, write_all

BOOK = Book(Path(__file__).parents[2])
PATHS = [p for p in BOOK.nav() if p.exists() and "```python" in p.read_text("utf-8")]
# Short to run; among them a picture in DOT, an exercise, exceptions, files that
# are written.
SHORT = (
    "in-one-sitting/value",
    "networks/saving",
    "engine/operators",
    "foundations/python",
)
SCRIPTS = [BOOK.docs / f"{name}.md" for name in SHORT]
NOTEBOOKS = SCRIPTS[:2]
EXECUTE = """\
import sys, nbclient, nbformat
book = nbformat.read(sys.argv[1], 4)
nbclient.NotebookClient(book, timeout=600, kernel_name="python3").execute()
nbformat.write(book, sys.argv[1])
"""
STYLE = ("MATPLOTLIBRC", "MPLBACKEND")  # of the book's own runs
MAKE = """\
import sys
from pathlib import Path
from tests.live.takeaway import Book, parse, takeaway
root, *paths = map(Path, sys.argv[1:])
print([takeaway(Book(root), parse(path)) for path in paths])
"""
DOT = "digraph { a -> b; }"
SITE_ONLY = re.compile(r"^\s*(!!!|\?\?\?|--8<--|:::)|\{ #|\]\[prosegrad\.|</?figure")

each_page = pytest.mark.parametrize("path", PATHS, ids=BOOK.short)


@cache
def page_at(path: Path) -> Page:
    return parse(path)


@cache
def files(path: Path) -> TakeAway:
    return takeaway(BOOK, page_at(path))


@cache
def cells(notebook: str, kind: str) -> list[dict[str, Any]]:
    """Return the cells of a kind, of a notebook that is valid."""
    made = nbformat.reads(notebook, 4)  # type: ignore[no-untyped-call]
    nbformat.validate(made)
    found: list[dict[str, Any]] = made["cells"]
    return [cell for cell in found if cell["cell_type"] == kind]


def sources(notebook: str, kind: str) -> list[str]:
    return [str(cell["source"]) for cell in cells(notebook, kind)]


def expected(fence: Fence) -> str:
    return normal(fence.output.text) if fence.output else ""


def shown(cell: dict[str, Any]) -> str:
    """Return what a cell prints or raises, as a page would show it."""
    return as_the_page_shows("".join(map(_text, cell["outputs"])))


def _text(output: dict[str, Any]) -> str:
    """Return the text of one output; a picture and the error stream have none."""
    match output:
        case {"output_type": "stream", "name": "stdout", "text": text}:
            return str(text)
        case {"output_type": "error", "ename": name, "evalue": message}:
            return f"{name}: {message}".removesuffix(": ")
        case {"output_type": "execute_result", "data": data}:
            return str(data["text/plain"])
    return ""


def as_the_page_shows(text: str) -> str:
    for pattern, instead in VARYING.items():
        text = re.sub(pattern, instead, text)
    return normal(text)


# --- what the files hold


@each_page
def test_the_notebook_has_each_block_once_and_in_order(path: Path) -> None:
    found = sources(files(path).notebook, "code")
    fences = page_at(path).fences
    assert len(found) == len(fences)
    for source, fence in zip(found, fences, strict=True):
        assert fence.source.rstrip("\n") in source


@each_page
def test_the_notebook_shows_what_the_page_shows(path: Path) -> None:
    found = cells(files(path).notebook, "code")
    for cell, fence in zip(found, page_at(path).fences, strict=True):
        assert shown(cell) == expected(fence)
        drawn = [o for o in cell["outputs"] if o["output_type"] == "display_data"]
        assert not fence.figure or "image/svg+xml" in drawn[0]["data"]


@each_page
def test_no_syntax_of_the_site_is_left_in_the_prose(path: Path) -> None:
    text = "\n".join(sources(files(path).notebook, "markdown"))
    assert [line for line in text.split("\n") if SITE_ONLY.search(line)] == []


@each_page
def test_no_link_is_relative(path: Path) -> None:
    text = "\n".join(sources(files(path).notebook, "markdown"))
    links = re.findall(r"\]\(([^)\s]*(?:\.md|/|#)[^)\s]*)\)", text)
    assert [link for link in links if not link.startswith("http")] == []


@each_page
def test_the_python_file_compiles_and_has_each_block(path: Path) -> None:
    script = files(path).script
    compile(script, "page.py", "exec")
    assert files(path).name not in {"prosegrad", *sys.stdlib_module_names}
    marks = re.findall(r"^# %% Block (\d+), line (\d+)", script, re.M)
    places = [(n, fence.line) for n, fence in enumerate(page_at(path).fences, 1)]
    assert sorted((int(n), int(line)) for n, line in marks) == places
    assert re.search(r"[^\n]\n\Z", script)


def test_every_page_is_written_where_the_site_has_it(tmp_path: Path) -> None:
    small = Book(tmp_path)
    (tmp_path / "mkdocs.yml").write_text(
        "site_url: https://example.org/book/\n"
        "nav: [index.md, part/index.md, part/page.md, part/prose.md]\n"
    )
    block = "# A page\n\n[Up](../index.md#top)\n\n```python\nprint(1)\n```\n"
    (small.docs / "part").mkdir(parents=True)
    for name in ("index", "part/index", "part/page"):
        (small.docs / f"{name}.md").write_text(block)
    (small.docs / "part/prose.md").write_text("# Words\n")
    site = tmp_path / "site"
    write_all(small, site)
    found = sorted(p.relative_to(site).as_posix() for p in site.rglob("*.*"))
    names = ["part/page/page", "part/part", "start"]
    assert found == [f"{name}.{end}" for name in names for end in ("ipynb", "py")]
    notebook = (site / "part/part.ipynb").read_text()
    assert "[Up](https://example.org/book/#top)" in notebook


# --- constructs


SAMPLE = '''\
# Sample

See [`Value`][prosegrad.value.Value], [a page](other.md#part) and [below](#end).

!!! question "How *many*?"
    Guess.

    ??? choice right "`1`"

        Right.

        ```python { .wrong continuation }
        print(1)
        ```

        ```text { title="Output" }
        1
        ```

??? tip "A hint: `x`"
    Look [there](other.md).

    ```diff
    - !!! not a box
    ```

## The end { #end }

```python { continuation data-raises="KeyError" }
# Comment.
text = """
kept
"""
raise KeyError(
    """
a""",
)
```

```text { title="Output" }
KeyError: '\\\\na'
```

```python { .exercise continuation }
def one():
    raise NotImplementedError
```

```python { .check continuation }
assert one() == 1
```

??? success "Solution"

    ```python { .solution continuation }
    from __future__ import annotations


    def one():
        return 1
    ```
'''


DRAWN = """\
# Drawn

??? note "So far"

    ```python { .listing title="src/prosegrad/tiny.py" }
    import math
    ```

```python { continuation figure="drawn" }
figure = "digraph { a -> b; }"
```
"""


def made(folder: Path, text: str) -> TakeAway:
    """Return what can be taken away of a page of that text, sample.md."""
    book = Book(folder)
    (folder / "mkdocs.yml").write_text("site_url: https://example.org/\n")
    book.figures.mkdir(parents=True)
    (book.figures / "drawn.svg").write_text(render(DOT, "drawn", "A graph"))
    (book.docs / "sample.md").write_text(text)
    return takeaway(book, parse(book.docs / "sample.md"))


@pytest.fixture
def sample(tmp_path: Path) -> TakeAway:
    return made(tmp_path, SAMPLE)


def test_prose_is_plain_markdown(sample: TakeAway) -> None:
    opening, hint, heading, solution = sources(sample.notebook, "markdown")
    for text in (
        "This notebook is the page <https://example.org/sample/>.",
        "See `Value`, [a page](https://example.org/other/#part)"
        " and [below](https://example.org/sample/#end).",
        "> **How *many*?**\n>\n> Guess.",
        "<details><summary><code>1</code></summary>\n\nRight.\n\n</details>",
    ):
        assert text in opening
    assert "```diff\n- !!! not a box\n```\n\n</details>" in hint
    assert (heading, solution) == ("## The end", "**Solution**")


def test_cells_say_what_to_expect_of_them(sample: TakeAway) -> None:
    wrong, raises, exercise, check, solution = cells(sample.notebook, "code")
    hidden, free = {"jupyter": {"source_hidden": True}}, {"tags": ["raises-exception"]}
    assert wrong["metadata"] == solution["metadata"] == hidden
    assert raises["metadata"] == check["metadata"] == free
    assert exercise["metadata"] == {}
    assert check["source"].startswith("# The test: it fails until")


def test_an_exception_is_caught_and_no_string_is_indented(sample: TakeAway) -> None:
    assert (
        """text = \"\"\"
kept
\"\"\"
try:
    raise KeyError(
        \"\"\"
a\"\"\",
    )
except KeyError as _raised:
    print(f"{type(_raised).__name__}: {_raised}")
"""
        in sample.script
    )


def test_the_solution_stands_before_its_test(sample: TakeAway) -> None:
    marks = re.findall(r"^# %% Block (\d)", sample.script, re.M)
    assert marks == ["1", "2", "3", "5", "4"]


def test_imports_from_the_future_come_first(sample: TakeAway) -> None:
    first = [line for line in sample.script.split("\n") if line[:1] not in ("#", "")]
    assert first[0] == "from __future__ import annotations"


def test_what_is_bound_as_dot_text_is_laid_out_in_the_notebook(tmp_path: Path) -> None:
    """There alone: the page's own code imports nothing."""
    files = made(tmp_path, DRAWN)
    listing, drawn = cells(files.notebook, "code")
    opening = sources(files.notebook, "markdown")[0]

    assert listing["source"] == "# The file so far.\nimport math"
    assert listing["metadata"] == {"jupyter": {"source_hidden": True}}
    assert drawn["source"] == (
        f'figure = "{DOT}"\n\nfrom IPython.display import SVG, display\n'
        "from prosegrad import render_svg\n\ndisplay(SVG(render_svg(figure)))"
    )
    assert "<svg" in drawn["outputs"][0]["data"]["image/svg+xml"]
    assert "in a clone of the repository: `pip install '.[draw]'`." in opening
    assert "# It needs nothing but Python.\n" in files.script
    assert "sample.md: src/prosegrad/tiny.py so far\nimport math" in files.script
    assert "import render_svg" not in files.script


def test_a_cell_shows_what_it_prints_and_not_what_it_is_worth(tmp_path: Path) -> None:
    blocks = ["len('a')", "print(1)", "x = 1", "N = 1\n'''Doc.'''", "len('a')  # 1"]
    text = "# A\n\n" + "".join(f"```python\n{block}\n```\n\n" for block in blocks)

    assert sources(made(tmp_path, text).notebook, "code") == [
        *("len('a');", "print(1)", "x = 1", "N = 1\n'''Doc.''';", "len('a')  # 1")
    ]


def test_a_page_without_imports_installs_nothing(sample: TakeAway) -> None:
    assert "It needs nothing but Python." in sources(sample.notebook, "markdown")[0]
    assert "# It needs nothing but Python.\n" in sample.script


def test_another_hash_seed_makes_the_same(tmp_path: Path, is_long: bool) -> None:
    paths = PATHS if is_long else NOTEBOOKS
    given = map(str, [BOOK.root, *paths])
    done = run(["-c", MAKE, *given], tmp_path, [BOOK.root])
    is_same = done.stdout == f"{[files(path) for path in paths]}\n"
    assert is_same, done.stderr  # the texts are long


# --- what the files do


def test_python_files_print_what_their_pages_print(is_long: bool) -> None:
    paths = PATHS if is_long else SCRIPTS
    assert faults(paths, script_fault) == {}


def test_notebooks_give_the_outputs_they_came_with(is_long: bool) -> None:
    paths = PATHS if is_long else NOTEBOOKS
    assert faults(paths, notebook_fault) == {}


def faults(paths: list[Path], fault: Callable[[Path], str]) -> dict[str, str]:
    """Return what is wrong with pages, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        found = zip(paths, pool.map(fault, paths), strict=True)
        return {BOOK.short(path): what for path, what in found if what}


def script_fault(path: Path) -> str:
    """Run a page's Python file; return how its output differs from the page."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"{files(path).name}.py")
        file.write_text(files(path).script, "utf-8")
        done = run([str(file)], Path(folder), clone(path))
    if done.returncode:
        return done.stderr[-2000:]
    wanted = "\n".join(map(expected, page_at(path).fences))
    return difference(without_gaps(wanted), without_gaps(done.stdout))


def without_gaps(text: str) -> str:
    """Return a text without empty lines: a page cuts them where a block ends."""
    return re.sub(r"\n\s*\n", "\n", as_the_page_shows(text)).lstrip("\n")


def notebook_fault(path: Path) -> str:
    """Run a page's notebook; return how its outputs differ from the stored."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"{files(path).name}.ipynb")
        file.write_text(files(path).notebook, "utf-8")
        done = run(["-c", EXECUTE, str(file)], Path(folder), clone(path))
        ran = cells(file.read_text("utf-8"), "code")
    if done.returncode:
        return done.stderr[-2000:]
    before = cells(files(path).notebook, "code")
    return "\n".join(
        filter(None, map(cell_difference, page_at(path).fences, before, ran))
    )


def cell_difference(fence: Fence, before: dict[str, Any], ran: dict[str, Any]) -> str:
    """Return how a cell's outputs differ; the test of an exercise must fail."""
    if fence.role == "check":
        failed = any(o["output_type"] == "error" for o in ran["outputs"])
        return "" if failed else f"line {fence.line}: the test passes on the stub"
    found = difference(shown(before), shown(ran))
    if n_pictures(before) != n_pictures(ran):
        found += "\nthe picture is missing"
    return found and f"line {fence.line}:\n{found}"


def n_pictures(cell: dict[str, Any]) -> int:
    return sum(o["output_type"] == "display_data" for o in cell["outputs"])


def difference(wanted: str, found: str) -> str:
    lines = difflib.unified_diff(wanted.split("\n"), found.split("\n"), n=1)
    return "\n".join(lines)


def clone(path: Path) -> list[Path]:
    """Return what a page needs on the path beside the package."""
    return [BOOK.root] if Origin(BOOK, page_at(path)).needs_clone else []


def run(
    command: list[str], folder: Path, beside: list[Path]
) -> subprocess.CompletedProcess[str]:
    """Run a fresh Python in an empty folder, without the style of the book's tests."""
    kept = {k: v for k, v in os.environ.items() if k not in STYLE}
    paths = os.pathsep.join(map(str, [BOOK.src, *beside]))
    own = {"PYTHONPATH": paths, "PYTHONHASHSEED": "7", "IPYTHONDIR": str(folder)}
    empty = folder / "empty"
    empty.mkdir()
    return subprocess.run(
        [sys.executable, *command],
        cwd=empty,
        env=kept | own,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
