"""See to it that a page runs every function that it publishes.

A published function that only the installed package runs could say anything,
and no block of its page would notice. So the runner puts one statement at the
head of each, which marks it as reached; in a lambda, that is an expression.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from typing import TypeVar

Node = TypeVar("Node", bound=ast.AST)
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

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
            if _insert_mark(function, len(MARKS)):
                self._functions.append((len(MARKS), function.lineno, name))
                MARKS.append(False)

    def missing(self) -> list[tuple[int, str]]:
        """Return line and qualified name of each function that has not run."""
        return [(line, name) for i, line, name in self._functions if not MARKS[i]]


def functions(node: ast.AST, scope: str = "") -> Iterator[tuple[str, Function]]:
    """Yield the functions in a tree, with their qualified names."""
    for child in _children(node):
        if isinstance(child, Function):
            name = scope + getattr(child, "name", "<lambda>")
            yield name, child
            yield from functions(child, f"{name}.<locals>.")
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


def _insert_mark(function: Function, index: int) -> bool:
    """Let a function mark itself when it runs; return False if it has no code."""
    if isinstance(function, ast.Lambda):
        text = f"{NAME}.__setitem__({index}, True) or 0"
        either = _placed(ast.parse(text, mode="eval").body, function.body)
        assert isinstance(either, ast.BoolOp)
        either.values[1] = function.body
        function.body = either
        return True
    if "overload" in map(_last_name, function.decorator_list):
        return False
    head = int(ast.get_docstring(function, clean=False) is not None)
    if all(map(_is_ellipsis, function.body[head:])):
        return False
    (mark,) = ast.parse(f"{NAME}[{index}] = True").body
    function.body.insert(head, _placed(mark, function.body[head]))
    return True


def _is_ellipsis(node: ast.stmt) -> bool:
    value = node.value if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Constant) and value.value is ...


def _placed(mark: Node, before: ast.AST) -> Node:
    """Return a mark that stands where another node does."""
    for node in ast.walk(mark):
        ast.copy_location(node, before)
    return mark
