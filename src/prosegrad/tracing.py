"""Backward, one step at a time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from prosegrad.elementary import Number
from prosegrad.value import Value, topological_order


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
    root: Value, names: Mapping[str, Value] | None = None
) -> list[Step]:
    """Do what `root.backward()` does and return every step of it.

    An operand that is used twice by one operation has one step, which
    holds both shares. A node without a name is called by its number in
    topological order.

    Args:
        root: The result.
        names: What to call nodes, such as `{"x": x}`.

    Raises:
        TypeError: As `root.backward()`. No `grad` has changed.
    """
    order = topological_order(root)
    called = {node: f"n{i}" for i, node in enumerate(order)}
    called |= {node: name for name, node in (names or {}).items()}
    before = {node: node.grad for node in order}
    root.backward()
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
    local = _shares(node, rule, type(node.data)(1))
    share = _shares(node, rule, grad)
    rule(grad)
    name, op = called[node], node._op
    return [
        Step(name, op, grad, called[p], local[p], share[p], p.grad)
        for p in local
    ]


def trace_table(steps: Sequence[Step]) -> str:
    """Return the steps as a Markdown table, one row a step."""
    rows = [
        f"| {i} | `{s.node}` | `{s.op}` | {_text(s.incoming)} | "
        f"`{s.parent}` | {_text(s.local)} | {_text(s.contribution)} | "
        f"{_text(s.total)} |"
        for i, s in enumerate(steps, start=1)
    ]
    return "\n".join([_TABLE_HEAD, *rows])


_TABLE_HEAD = """\
| Step | Node | Rule | Arrives | Parent | Local | Adds | Total |
| ---: | :--- | :--: | ---: | :--- | ---: | ---: | ---: |"""


def _text(number: Number) -> str:
    return f"{number:g}" if isinstance(number, float) else str(number)
