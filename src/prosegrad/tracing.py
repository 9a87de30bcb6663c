"""Backward, one step at a time."""

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prosegrad.drawing import names_of
from prosegrad.elementary import Number
from prosegrad.value import Value, namespace, topological_order


@dataclass(frozen=True)
class Step:
    """One edge of the graph, as `backward` walks it.

    Attributes:
        node: The result whose rule runs, by name.
        op: The operation that made it.
        incoming: The gradient that arrives at the node.
        parent: The operand that receives a share, by name.
        local: The derivative of the node with respect to the operand.
        contribution: The share, `incoming` times `local`.
        total: The gradient of the operand after this step.
    """

    node: str
    op: str
    incoming: Number
    parent: str
    local: Number
    contribution: Number
    total: Number

    @property
    def code(self) -> str:
        """The step in Python, with its numbers."""
        factors = map(number_text, (self.incoming, self.local))
        return f"{self.parent}.grad += {' * '.join(factors)}"


def number_text(x: Number) -> str:
    """Return a number in a few characters."""
    if isinstance(x, Value):
        return f"({number_text(x.data)})"
    return f"{x:g}" if isinstance(x, float) else str(x)


def _shares(
    node: Value, rule: Callable[[Number], None], grad: Number
) -> dict[Value, Number]:
    saved = {parent: parent.grad for parent in node._parents}
    for parent in saved:
        parent.zero_grad()
    rule(grad)
    shares = {parent: parent.grad for parent in saved}
    for parent, old in saved.items():
        parent.grad = old
    return shares


def trace_backward(
    root: Value, names: Mapping[Any, Any] | None = None
) -> list[Step]:
    """Do what `root.backward()` does and return every step of it.

    An operand that is used twice by one operation has one step, which
    holds both shares. A node without a name is called by its number in
    topological order.

    Args:
        root: The result.
        names: What to call nodes, such as `{"x": x}`. What is not a
            node is passed over, so `globals()` will do.

    Raises:
        TypeError: As `root.backward()`, or a node holds an array.
        Exception: What a rule raises. No `grad` has changed.
    """
    order = topological_order(root)
    _require_numbers(order)
    called = {node: f"n{i}" for i, node in enumerate(order)}
    called |= names_of(order, names)
    before = {node: node.grad for node in order}
    try:
        root.backward()
        return _steps(order, before, called)
    except BaseException:
        for node, grad in before.items():
            node.grad = grad
        raise


def _require_numbers(order: Sequence[Value]) -> None:
    for node in order:
        if getattr(node.data, "shape", ()) != ():
            raise TypeError(
                f"a step is about single numbers, and {node!r} holds "
                "an array"
            )


def _steps(
    order: Sequence[Value],
    before: Mapping[Value, Number],
    called: Mapping[Value, str],
) -> list[Step]:
    arrived = {node: node.grad for node in order}
    for node in order[:-1]:
        node.zero_grad()
        if not node._parents:
            node.grad = before[node]
    steps: list[Step] = []
    for node in reversed(order):
        steps += _walk(node, arrived[node], called)
    return steps


def _walk(
    node: Value, grad: Number, called: Mapping[Value, str]
) -> list[Step]:
    rule = node._backward
    if rule is None:
        return []
    one = namespace(node.data).ones_like(node.data)
    local = _shares(node, rule, one)
    share = _shares(node, rule, grad)
    rule(grad)
    name, op = called[node], node._op
    return [
        Step(
            node=name,
            op=op,
            incoming=grad,
            parent=called[p],
            local=local[p],
            contribution=share[p],
            total=p.grad,
        )
        for p in local
    ]


def trace_table(steps: Sequence[Step]) -> str:
    """Return the steps as a Markdown table, one row a step."""
    rows = [
        f"| {i} | {_cell(s.node)} | {_cell(s.op)} | "
        f"{number_text(s.incoming)} | {_cell(s.parent)} | "
        f"{number_text(s.local)} | {number_text(s.contribution)} | "
        f"{number_text(s.total)} |"
        for i, s in enumerate(steps, start=1)
    ]
    return "\n".join([_TABLE_HEAD, *rows])


def _cell(name: str) -> str:
    if not set(name) & set("`|<>&\n"):
        return f"`{name}`"
    text = html.escape(" ".join(name.split()))
    text = text.replace("|", "&#124;").replace("`", "&#96;")
    return f"<code>{text}</code>"


_TABLE_HEAD = """\
| Step | Node | Rule | Arrives | Parent | Local | Adds | Total |
| ---: | :--- | :--: | ---: | :--- | ---: | ---: | ---: |"""
