"""Backward, one step at a time."""

from collections.abc import Mapping, Sequence
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


def trace_backward(
    root: Value, names: Mapping[str, Value] | None = None
) -> list[Step]:
    """Do what `root.backward()` does and return every step of it.

    An operand that is used twice by one operation has one step, which
    holds both shares. A node without a name is called by its number in
    topological order.
    """
    order = topological_order(root)
    called = {node: f"n{i}" for i, node in enumerate(order)}
    called |= {node: name for name, node in (names or {}).items()}
    start = {node: node.grad for node in order}
    root.backward()
    totals = {n: n.grad * 0 if n._parents else start[n] for n in order}
    steps = []
    for node in reversed(order):
        for parent, local in _local_derivatives(node):
            contribution = node.grad * local
            totals[parent] += contribution
            steps.append(
                Step(
                    called[node],
                    node._op,
                    node.grad,
                    called[parent],
                    local,
                    contribution,
                    totals[parent],
                )
            )
    return steps


def _local_derivatives(node: Value) -> list[tuple[Value, Number]]:
    if node._backward is None:
        return []
    parents = list(dict.fromkeys(node._parents))
    saved = [parent.grad for parent in parents]
    for parent in parents:
        parent.zero_grad()
    node._backward(1)
    local = [parent.grad for parent in parents]
    for parent, grad in zip(parents, saved):
        parent.grad = grad
    return list(zip(parents, local))


def trace_table(steps: Sequence[Step]) -> str:
    """Return the steps as a Markdown table, one row a step."""
    rows = [
        f"| {i} | `{s.node}` | {s.op} | {_text(s.incoming)} | "
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
