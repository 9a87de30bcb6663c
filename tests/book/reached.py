"""See to it that a page runs every function that it publishes.

A published function that only the installed package runs could say anything,
and no block of its page would notice. So the runner puts one statement at the
head of each, which marks it as reached.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator

Function = ast.FunctionDef | ast.AsyncFunctionDef

NAME = "__reached__"
MARKS: list[bool] = []
setattr(builtins, NAME, MARKS)  # out of sight: no name is bound on the page


class Reached:
    """The published functions of one page, and which of them have run."""

    def __init__(self) -> None:
        self._functions: list[tuple[int, int, str]] = []

    def watch(self, tree: ast.Module) -> None:
        """Insert a mark into each function of a published block."""
        for name, function in functions(tree):
            if (head := _head(function)) is not None:
                self._functions.append((len(MARKS), function.lineno, name))
                function.body.insert(head, _mark(len(MARKS), function.body[head]))
                MARKS.append(False)

    def missing(self) -> list[tuple[int, str]]:
        """Return line and qualified name of each function that has not run."""
        return [(line, name) for i, line, name in self._functions if not MARKS[i]]


def functions(node: ast.AST, scope: str = "") -> Iterator[tuple[str, Function]]:
    """Yield the functions in a tree, with their qualified names."""
    for child in _children(node):
        if isinstance(child, Function):
            yield scope + child.name, child
            yield from functions(child, f"{scope}{child.name}.<locals>.")
        elif isinstance(child, ast.ClassDef):
            yield from functions(child, f"{scope}{child.name}.")
        else:
            yield from functions(child, scope)


def _children(node: ast.AST) -> list[ast.AST]:
    """Return what stands in a node, but for code that only a type checker reads."""
    if isinstance(node, ast.If) and _last_name(node.test) == "TYPE_CHECKING":
        return [*node.orelse]
    return [*ast.iter_child_nodes(node)]


def _last_name(node: ast.expr) -> str:
    return ast.unparse(node).split(".")[-1]


def _head(function: Function) -> int | None:
    """Return where the body begins, after a docstring; None if it has no code."""
    if "overload" in map(_last_name, function.decorator_list):
        return None
    head = int(ast.get_docstring(function, clean=False) is not None)
    code = [node for node in function.body[head:] if not _is_ellipsis(node)]
    return head if code else None


def _is_ellipsis(node: ast.stmt) -> bool:
    value = node.value if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Constant) and value.value is ...


def _mark(index: int, before: ast.stmt) -> ast.stmt:
    """Return the statement `__reached__[index] = True`, on the line of another."""
    (mark,) = ast.parse(f"{NAME}[{index}] = True").body
    for node in ast.walk(mark):
        ast.copy_location(node, before)
    return mark
