"""Backward, one step at a time."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import CodeType

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
        code: The line of the rule that adds the share; empty if the
            source of the rule is not at hand.
    """

    node: str
    op: str
    incoming: Number
    parent: str
    local: Number
    contribution: Number
    total: Number
    code: str = ""


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


def _code(rule: Callable[[Number], None], parent: Value) -> str:
    held = inspect.getclosurevars(rule).nonlocals
    names = [name for name, value in held.items() if value is parent]
    lines = _grad_lines(rule.__code__)
    for line in lines:
        if any(line.startswith(f"{name}.grad") for name in names):
            return line
    return lines[0] if lines else ""


@cache
def _grad_lines(code: CodeType) -> list[str]:
    try:
        source = inspect.getsource(code)
    except OSError:
        return []
    lines = [line.strip() for line in source.splitlines()]
    return [line for line in lines if ".grad" in line]


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
        Step(
            node=name,
            op=op,
            incoming=grad,
            parent=called[p],
            local=local[p],
            contribution=share[p],
            total=p.grad,
            code=_code(rule, p),
        )
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
