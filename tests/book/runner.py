"""Run the blocks of a page, once and in order, in one namespace.

A block sees what a reader sees who types the page from the top: one module,
named `__main__`, and an empty folder to write into. Warnings are errors.
"""

from __future__ import annotations

import ast
import contextlib
import decimal
import difflib
import gc
import io
import linecache
import sys
import tempfile
import traceback
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import figures
from .pages import Book, Fence, Page
from .reached import Reached
from .session import FUTURES, as_main, message, operands

RECURSION_LIMIT = sys.getrecursionlimit()


class BlockError(Exception):
    """A block did not do what its page says; the message is for the writer."""


@dataclass(frozen=True)
class Outcome:
    """What a block left: its printed text, its figure, its table."""

    output: str = ""
    figure: str | None = None
    table: str | None = None


def page_tree(fence: Fence, flags: int) -> ast.Module:
    """Parse a fence so that its line numbers are those of the page."""
    source = "\n" * fence.line + fence.source
    mode = flags | ast.PyCF_ONLY_AST
    tree = compile(source, str(fence.page), "exec", mode, dont_inherit=True)
    assert isinstance(tree, ast.Module)
    return tree


def page_code(fence: Fence, flags: int) -> types.CodeType:
    """Compile a fence; its tracebacks name the page and the page's line."""
    tree = page_tree(fence, flags)
    return compile_tree(tree, str(fence.page), flags)


def compile_tree(tree: ast.Module, name: str, flags: int) -> types.CodeType:
    """Compile a tree under the `__future__` imports of the page so far."""
    code = compile(tree, name, "exec", flags, dont_inherit=True)
    assert isinstance(code, types.CodeType)
    return code


class PageRun:
    """One reading of a page from the top.

    Attributes:
        page: The page.
        position: How many of its blocks have run.
        failed: The block that raised when it should not have, if any.
        reached: The published functions that its blocks have run.
    """

    def __init__(
        self,
        book: Book,
        page: Page,
        compiler: Callable[[Fence, int], types.CodeType] | None = None,
    ) -> None:
        self.book = book
        self.page = page
        self.position = 0
        self.failed: Fence | None = None
        self.reached = Reached()
        self._compiler = compiler or self._watched
        self._module = types.ModuleType("__main__")
        self._folder = tempfile.TemporaryDirectory()
        self._flags = 0
        self._check: Fence | None = None
        linecache.checkcache()

    def close(self) -> None:
        """Undo what blocks may have changed in the interpreter."""
        self._folder.cleanup()
        self._module = types.ModuleType("__main__")
        for _ in range(3):  # finalizers leave garbage; a later page counts its own
            gc.collect()
        gc.freeze()  # what is left are modules: later collections pass them over
        sys.setrecursionlimit(RECURSION_LIMIT)
        gc.enable()
        decimal.setcontext(decimal.DefaultContext)
        if "mpmath" in sys.modules:
            sys.modules["mpmath"].mp.dps = 15
        if "matplotlib" in sys.modules:
            sys.modules["matplotlib"].rc_file_defaults()

    def run(self, fence: Fence) -> Outcome:
        """Run the next block and return what it left.

        Raises:
            BlockError: The block failed, or did not fail as its role demands.
        """
        self.position = self.page.fences.index(fence) + 1
        run = getattr(self, f"_run_{fence.role}", self._run_plain)
        try:
            outcome = run(fence)
            if self.position == len(self.page.fences):
                self._refuse_unreached()
            return outcome
        except BlockError:
            self.failed = fence
            raise

    def _run_plain(self, fence: Fence) -> Outcome:
        names = self._module.__dict__
        for name in ("figure", "table"):
            if getattr(fence, name):  # a name of an earlier block does not count
                names.pop(name, None)
                names.pop(f"{name}_alt", None)
        output, error = self._execute(fence)
        if error is not None:
            raise self._failure(fence, error, output)
        return Outcome(output, self._figure(fence), self._table(fence))

    def _run_raises(self, fence: Fence) -> Outcome:
        output, error = self._execute(fence)
        if error is None:
            raise self._fault(fence, f"{fence.raises} was not raised")
        if type(error).__name__ != fence.raises:
            raise self._failure(fence, error, output, f"expected {fence.raises}, ")
        last = page_tree(fence, self._flags).body[-1]
        lines = [line for _, line in self._page_frames(error)]
        if not last.lineno <= lines[0] <= (last.end_lineno or 0):
            raise self._failure(fence, error, output, "not in its last statement, ")
        return Outcome(output + message(error) + "\n")

    def _run_check(self, fence: Fence) -> Outcome:
        """Run an exercise's test on the stub: it must fail, and leave no trace."""
        names = self._module.__dict__
        before = dict(names)
        _, error = self._execute(fence)
        names.clear()
        names.update(before)
        self._check = fence
        if error is None:
            raise self._fault(fence, "the check passes before the exercise is solved")
        if not isinstance(error, Exception):
            raise self._failure(fence, error, "")
        return Outcome()

    def _run_solution(self, fence: Fence) -> Outcome:
        """Run a solution, then the check of its exercise: it must pass."""
        outcome = self._run_plain(fence)
        if self._check is not None:
            output, error = self._execute(self._check)
            if error is not None:
                where = f"with the solution of line {fence.line}, "
                raise self._failure(self._check, error, output, where)
            if output:
                raise self._fault(self._check, "a check prints nothing")
        self._check = None
        return outcome

    def _watched(self, fence: Fence, flags: int) -> types.CodeType:
        """Compile a fence; what it publishes tells when it has run."""
        tree = page_tree(fence, flags)
        if fence.role == "published":
            self.reached.watch(tree)
        return compile_tree(tree, str(fence.page), flags)

    def _refuse_unreached(self) -> None:
        """Refuse a page that publishes a function and never runs it.

        Raises:
            BlockError: There is one; the message names each.
        """
        lines = [
            f"{self.book.place(self.page.path, line)}: {name}: "
            "published, but no block of this page runs it"
            for line, name in self.reached.missing()
        ]
        if lines:
            raise BlockError("\n".join(lines))

    def _execute(self, fence: Fence) -> tuple[str, BaseException | None]:
        """Execute a fence; return what it printed and what it raised."""
        printed = io.StringIO()
        names = self._module.__dict__
        with contextlib.ExitStack() as stack:
            stack.enter_context(as_main(self._module))
            stack.enter_context(contextlib.chdir(self._folder.name))
            stack.enter_context(warnings.catch_warnings())
            stack.enter_context(contextlib.redirect_stdout(printed))
            stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
            warnings.simplefilter("error")
            try:
                code = self._compiler(fence, self._flags)
                for future in FUTURES:
                    self._flags |= code.co_flags & future.compiler_flag
                exec(code, names)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                return printed.getvalue(), error
        return printed.getvalue(), None

    def _figure(self, fence: Fence) -> str | None:
        """Return the SVG of the picture that the block bound, if it must."""
        if not fence.figure:
            return None
        names = self._module.__dict__
        label = names.get("figure_alt")
        label = label or figures.caption(self.page.text, fence.figure)
        if "figure" not in names:
            raise self._fault(fence, "the block binds no `figure`")
        if not label:
            name = fence.figure
            raise self._fault(fence, f"figure {name} has no caption, no `figure_alt`")
        try:
            svg = figures.render(names["figure"], fence.figure, str(label))
        except (TypeError, ValueError) as error:
            raise self._fault(fence, str(error)) from None
        if "matplotlib.pyplot" in sys.modules:
            sys.modules["matplotlib.pyplot"].close("all")
        return svg

    def _table(self, fence: Fence) -> str | None:
        """Return the Markdown table that the block bound, if it must."""
        if not fence.table:
            return None
        table = self._module.__dict__.get("table")
        if not isinstance(table, str):
            raise self._fault(fence, "the block binds no string `table`")
        return table.strip() + "\n"

    def _fault(self, fence: Fence, what: str) -> BlockError:
        return BlockError(f"{self.book.place(fence.page, fence.line)}: {what}")

    def _failure(
        self, fence: Fence, error: BaseException, output: str, what: str = ""
    ) -> BlockError:
        """Describe an exception, with the page's lines and what was printed."""
        name = type(error).__name__
        parts = [f"{what}the block raised {name}", self._traceback(error)]
        if isinstance(error, AssertionError) and not error.args:
            parts += self._operands(fence, error)
        if output:
            parts += ["printed before:", output.rstrip()]
        return self._fault(fence, "\n".join(parts))

    def _traceback(self, error: BaseException) -> str:
        """Format a traceback from the first line of the page on."""
        lines = traceback.format_exception(error)
        own = [line for line in lines if f'"{__file__}"' not in line]
        return "".join(own).rstrip().replace(f'"{self.book.root}/', '"')

    def _page_frames(self, error: BaseException) -> list[tuple[types.FrameType, int]]:
        """Return the frames of an exception that run code of the page."""
        frames = traceback.walk_tb(error.__traceback__)
        page = str(self.page.path)
        return [(f, line) for f, line in frames if f.f_code.co_filename == page]

    def _operands(self, fence: Fence, error: AssertionError) -> list[str]:
        """Return both sides of the comparison that an `assert` made."""
        frames = self._page_frames(error)
        if not frames:
            return []
        frame, line = frames[-1]
        sides = operands(page_tree(fence, self._flags), frame, line)
        return [f"  {source} = {value}" for source, value in sides]


def verify(book: Book, fence: Fence, outcome: Outcome) -> None:
    """Compare what a block left with what its page shows.

    Raises:
        BlockError: They differ; the message has the difference.
    """
    shown = normal(fence.output.text) if fence.output else None
    printed = normal(outcome.output)
    problems = []
    if shown is None and printed:
        problems.append("the block prints, but no Output fence follows:\n" + printed)
    elif shown is not None and not printed:
        problems.append("an Output fence follows, but the block prints nothing")
    elif shown is not None and shown != printed:
        where = book.place(fence.page, fence.output.line) if fence.output else ""
        problems.append("the output differs\n" + _diff(shown, printed, where))
    for path, new in artefacts(book, fence, outcome).items():
        old = path.read_text("utf-8") if path.exists() else ""
        if not unchanged(path, old, new):
            problems.append("it differs\n" + _diff(old, new, book.short(path)))
    if problems:
        page = book.short(fence.page)
        hint = f"If the new is right: python -m tests.book --write {page}"
        place = book.place(fence.page, fence.line)
        raise BlockError("\n".join([f"{place}: {p}" for p in problems] + [hint]))


def artefacts(book: Book, fence: Fence, outcome: Outcome) -> dict[Path, str]:
    """Return the files that a block makes, with their texts."""
    made = {}
    if outcome.figure is not None:
        made[book.figures / f"{fence.figure}.svg"] = outcome.figure
    if outcome.table is not None:
        made[book.figures / f"{fence.table}.md"] = outcome.table
    return made


def unchanged(path: Path, old: str, new: str) -> bool:
    """Tell whether a made file says what the stored one says."""
    return figures.same(old, new) if path.suffix == ".svg" else old == new


def normal(text: str) -> str:
    """Return printed text without the blanks that nobody sees."""
    return "\n".join(line.rstrip() for line in text.rstrip().split("\n"))


def _diff(old: str, new: str, where: str) -> str:
    """Return a unified diff, cut where it stops to help."""
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), where, "now", lineterm="", n=1
    )
    return "\n".join(line[:160] for line in [*lines][:40])


def run_page(
    book: Book, page: Page, compiler: Callable[[Fence, int], Any] | None = None
) -> list[Outcome]:
    """Run every block of a page; return what each one left."""
    run = PageRun(book, page, compiler)
    try:
        return [run.run(fence) for fence in page.fences]
    finally:
        run.close()
