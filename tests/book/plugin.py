"""Teach pytest to run the book: parser, runner, and the census at the end.

Also with pytest-xdist: a page runs whole in one process, and the count of the
blocks that ran is taken from the reports, which all reach the first process.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from pytest_markdown_docs._runners import DefaultRunner, register_runner
from pytest_markdown_docs.definitions import FenceTestDefinition

from . import census
from .figures import use_book_style
from .pages import Book, markdown_parser, parse
from .runner import BlockError, PageRun, verify


class Reading:
    """What this test session has run: one page at a time, each block once."""

    def __init__(self) -> None:
        self.book = Book(Path.cwd())
        self.ran: Counter[Path] = Counter()
        self.missing: list[str] = []
        self._run: PageRun | None = None

    def block(self, path: Path, line: int) -> None:
        """Run the block at a line of a page, and those before it if need be."""
        run = self._reach(path, line)
        if run.failed:
            place = self.book.place(path, run.failed.line)
            pytest.skip(f"the block at {place} failed")
        for fence in run.page.fences[run.position :]:
            outcome = run.run(fence)
            if fence.line == line:
                verify(self.book, fence, outcome)
                return
        raise BlockError(f"{self.book.place(path, line)}: no such block")

    def _reach(self, path: Path, line: int) -> PageRun:
        """Return a run of the page that has not passed the line yet."""
        run = self._run
        if run is not None and run.page.path == path:
            ahead = run.page.fences[run.position :]
            if run.failed or line in [fence.line for fence in ahead]:
                return run
        self.close()
        self._run = run = PageRun(self.book, parse(path))
        return run

    def leave_for(self, path: Path) -> None:
        """Close the page, unless the next test belongs to it."""
        if self._run is not None and self._run.page.path != path:
            self.close()

    def close(self) -> None:
        if self._run is not None:
            self._run.close()
        self._run = None


READING = Reading()


@register_runner(default=True)
class BookRunner(DefaultRunner):
    """Run a block as the book means it.

    Whatever a block raises arrives as a BlockError: the plugin calls a runner
    again after a TypeError, and no block may run twice.
    """

    def runtest(
        self, test: FenceTestDefinition, args: Any, *, asyncio_runner: Any = None
    ) -> None:
        READING.block(test.source_path, test.start_line)

    def repr_failure(
        self,
        test: FenceTestDefinition,
        excinfo: pytest.ExceptionInfo[BaseException],
        style: Any = None,
    ) -> str:
        if isinstance(excinfo.value, BlockError):
            return str(excinfo.value)
        return str(super().repr_failure(test, excinfo, style))


@pytest.hookimpl(tryfirst=True)  # or the plugin's own parser wins
def pytest_markdown_docs_markdown_it() -> MarkdownIt:
    """Let the plugin see the fences that the book's parser sees."""
    return markdown_parser()


def pytest_configure(config: pytest.Config) -> None:
    use_book_style()
    READING.book = Book(config.rootpath)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test of another file finds nothing that a page has left behind."""
    READING.leave_for(item.path)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count the blocks of each page that ran, in whichever process."""
    if report.when == "call" and "::[CodeFence#" in report.nodeid:
        path = READING.book.root / report.nodeid.partition("::")[0]
        READING.ran[path] += not report.skipped


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """At the end of a whole and undisturbed run, every block must have run."""
    config = session.config
    if (
        exitstatus == pytest.ExitCode.OK
        and config.args_source is pytest.Config.ArgsSource.TESTPATHS
        and not hasattr(config, "workerinput")  # a helper process of pytest-xdist
        and not any(config.getoption(o, None) for o in ("keyword", "markexpr", "lf"))
    ):
        READING.missing = census.not_run(READING.book, READING.ran)
        if READING.missing:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if READING.missing:
        terminalreporter.section("blocks that did not run", red=True)
        for line in READING.missing:
            terminalreporter.line(line)


def pytest_unconfigure() -> None:
    READING.close()
