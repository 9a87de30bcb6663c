"""Run the blocks of one page in a browser, as the tests run them.

The hosted site serves this file, and the page's worker imports it into Pyodide:
it needs nothing but Python.
"""

from __future__ import annotations
import __future__

import ast
import contextlib
import linecache
import re
import sys
import tempfile
import traceback
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

FUTURES = [getattr(__future__, name) for name in __future__.all_feature_names]
# Texts that differ between versions of Python, and what the page shows.
VARYING = {
    r"(maximum recursion depth exceeded)[\w ]*": r"\1",
    r"zero to a negative power": "0.0 cannot be raised to a negative power",  # 3.14
}


class Printer:
    """A text stream that hands on what is written, line by line."""

    encoding = "utf-8"

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._rest = ""

    def write(self, text: str) -> int:
        """Hand on whole lines; keep the rest for later."""
        head, newline, self._rest = (self._rest + text).rpartition("\n")
        if newline:
            self._say(head + newline)
        return len(text)

    def flush(self) -> None:
        """Hand on what is left of a line."""
        if self._rest:
            self._say(self._rest)
        self._rest = ""


class Session:
    """One namespace, in which the blocks of a page run.

    Args:
        say: Called with each piece of text that a block prints.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._printer = Printer(say)
        self._module = types.ModuleType("__main__")
        self._flags = 0
        self.folder = tempfile.mkdtemp()

    def run(
        self, source: str, number: int, role: str = "", raises: str = ""
    ) -> dict[str, str]:
        """Run one block; return what it raised and the picture it made.

        Args:
            source: The text of the block.
            number: Its place on the page; tracebacks name it.
            role: `check` for a test: if it fails, it binds nothing.
            raises: The exception that the block must raise, if any. Its
                message is printed, as the page prints it.

        Returns:
            `error`, a traceback that begins in the block, or empty; and
            `figure`, a picture that it has newly bound, or empty. DOT text
            is for `draw`.
        """
        names = self._module.__dict__
        before = dict(names)
        error = self._execute(source, f"<block {number}>")
        if error is not None and type(error).__name__ == raises:
            self._printer.write(message(error) + "\n")
            error = None
        elif error is not None and role == "check":
            names.clear()
            names.update(before)
        self._printer.flush()
        return {
            "error": self._explain(error) if error else "",
            "figure": _picture(names, before),
        }

    def draw(self, dot: str) -> dict[str, str]:
        """Return the `figure` of DOT text, or the `error` that is in it."""
        try:
            return {"error": "", "figure": laid_out(dot)}
        except Exception as error:  # each build of Graphviz has its own
            return {"error": message(error), "figure": ""}

    def _execute(self, source: str, name: str) -> BaseException | None:
        lines = source.splitlines(keepends=True)
        linecache.cache[name] = (len(source), None, lines, name)
        try:
            with (
                as_main(self._module),
                contextlib.chdir(self.folder),
                warnings.catch_warnings(),
                contextlib.redirect_stdout(self._printer),
                contextlib.redirect_stderr(self._printer),
            ):
                warnings.simplefilter("error")
                code = compile(source, name, "exec", self._flags, dont_inherit=True)
                for future in FUTURES:
                    self._flags |= code.co_flags & future.compiler_flag
                exec(code, self._module.__dict__)
        except BaseException as error:
            return error
        return None

    def _explain(self, error: BaseException) -> str:
        """Format a traceback from the first line of a block on."""
        lines = traceback.format_exception(error)
        text = "".join(line for line in lines if f'"{__file__}"' not in line)
        if isinstance(error, AssertionError) and not error.args:
            text += self._operands(error)
        return text.rstrip()

    def _operands(self, error: AssertionError) -> str:
        """Return both sides of the comparison that an `assert` made."""
        frame, line = [*traceback.walk_tb(error.__traceback__)][-1]
        tree = ast.parse("".join(linecache.getlines(frame.f_code.co_filename)))
        sides = operands(tree, frame, line)
        return "\n".join(f"  {source} is {value}" for source, value in sides)


@contextlib.contextmanager
def as_main(module: types.ModuleType) -> Iterator[None]:
    """Let `module` be `__main__`, as at a reader's prompt."""
    before = sys.modules["__main__"]
    sys.modules["__main__"] = module
    try:
        yield
    finally:
        sys.modules["__main__"] = before


def operands(tree: ast.AST, frame: types.FrameType, line: int) -> list[tuple[str, str]]:
    """Return the sides of the comparison asserted at a line, and their values."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Assert)
            and node.lineno <= line <= (node.end_lineno or line)
            and isinstance(node.test, ast.Compare)
        ):
            sides = [node.test.left, *node.test.comparators]
            return [(ast.unparse(side), _value(side, frame)) for side in sides]
    return []


def _value(node: ast.expr, frame: types.FrameType) -> str:
    """Evaluate an expression again where it failed, and show it."""
    code = compile(ast.Expression(node), "assert", "eval")
    try:
        return repr(eval(code, frame.f_globals, frame.f_locals))
    except Exception as error:
        return f"({type(error).__name__})"


def message(error: BaseException) -> str:
    """Return what the book prints of an exception."""
    text = str(error)
    for pattern, shown in VARYING.items():
        text = re.sub(pattern, shown, text)
    return f"{type(error).__name__}: {text}".removesuffix(": ")


def _picture(names: dict[str, Any], before: dict[str, Any]) -> str:
    """Return the SVG, HTML or DOT of a picture that a block has bound."""
    for name in ("figure", "table"):
        figure = names.get(name)
        is_new = figure is not before.get(name)
        if is_new and (is_dot(figure) or "<svg" in str(figure)):
            return str(figure)
    return ""


def is_dot(figure: object) -> bool:
    """Tell whether a figure is DOT text, which Graphviz lays out."""
    return isinstance(figure, str) and figure.startswith("digraph")


# Graphviz must measure the letters that the site's style sheet draws with.
LETTERS = (
    'node [fontname="Courier" fontsize=11]; edge [fontname="Courier" fontsize=10];'
)


def laid_out(dot: str) -> str:
    """Return the picture of DOT text, as SVG."""
    from prosegrad import render_svg

    return render_svg(dot.replace("{", "{ " + LETTERS, 1))
