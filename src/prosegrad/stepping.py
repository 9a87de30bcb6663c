"""A forward and a backward pass, as a walk through a picture."""

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prosegrad.drawing import draw_graph, names_of, render_svg
from prosegrad.elementary import Number
from prosegrad.tracing import Step, number_text, trace_backward
from prosegrad.value import Value, namespace, topological_order


@dataclass(frozen=True)
class Formed:
    """One node of a graph, as the forward pass makes it.

    Attributes:
        node: Its name.
        code: The operation in Python, such as `x * y`; its number, if
            it is a leaf.
        data: Its number.
        grad: Its gradient when the backward pass begins.
    """

    node: str
    code: str
    data: Number
    grad: Number


def _expression(node: Value, called: Mapping[Value, str]) -> str:
    operands = [called[parent] for parent in node._parents]
    if not operands:
        is_plain = not isinstance(node.data, Value)
        return str(node.data) if is_plain else number_text(node.data)
    if node._op == "neg":
        return f"-{operands[0]}"
    if len(operands) == 2 and node._op in ("+", "-", "*", "/", "**"):
        return f"{operands[0]} {node._op} {operands[1]}"
    if node._op.startswith("**"):
        return operands[0] + node._op
    return f"{node._op}({', '.join(operands)})"


def _formed(
    order: Sequence[Value], called: Mapping[Value, str]
) -> list[Formed]:
    return [
        Formed(
            node=called[node],
            code=_expression(node, called),
            data=node.data,
            grad=_zero(node) if node._parents else node.grad,
        )
        for node in order
    ]


def _zero(node: Value) -> Number:
    return namespace(node.data).zeros_like(node.data)


@dataclass(frozen=True)
class Walk:
    """A forward and a backward pass; notebooks show it.

    Attributes:
        forward: The nodes, in topological order.
        backward: The steps of the trace.
        edges: The ends of each arrow in the picture, result first.
        svg: The picture of the graph, after the walk.
        key: What the addresses of the steps begin with.
    """

    forward: Sequence[Formed]
    backward: Sequence[Step]
    edges: Sequence[tuple[str, str]]
    svg: str
    key: str

    def html(self) -> str:
        """Return the picture and the table of steps as HTML."""
        return _page(self)

    def _repr_html_(self) -> str:
        return self.html()


def step_through(
    root: Value,
    names: Mapping[Any, Any] | None = None,
    key: str = "walk",
    limit: int = 40,
) -> Walk:
    """Do what `root.backward()` does and return it step by step.

    Args:
        root: The result.
        names: What to call nodes, such as `{"x": x}`. What is not a
            node is passed over, so `globals()` will do.
        key: What the addresses of the steps begin with; two walks on
            one page need two.
        limit: How many nodes the picture may have.

    Raises:
        ValueError: The graph has more. No `grad` has changed.
        TypeError: As `trace_backward`. No `grad` has changed.
        ImportError: The extra `prosegrad[draw]` is not installed.
    """
    order = topological_order(root)
    if len(order) > limit:
        raise ValueError(
            f"step_through: {len(order)} nodes, at most {limit} fit"
        )
    called = _called(order, names_of(order, names))
    ahead = _formed(order, called)
    render_svg("digraph {}")  # fails here, if it must, not half way
    back = trace_backward(root, {called[node]: node for node in order})
    edges = [(called[n], called[p]) for n in order for p in n._parents]
    svg = render_svg(draw_graph(root, names, limit))
    return Walk(ahead, back, edges, svg, key)


def _called(
    order: Sequence[Value], known: Mapping[Value, str]
) -> dict[Value, str]:
    taken = set(known.values())
    called = dict(known)
    for i, node in enumerate(order):
        name = f"n{i}"
        while name in taken:
            name += "_"
        called.setdefault(node, name)
    return called


def _page(walk: Walk) -> str:
    svg = walk.svg.replace(' id="', ' data-id="')
    root = walk.forward[-1].node
    rows = [*_forward_rows(walk), *_backward_rows(walk)]
    lines = [
        f'<div class="pg-walk" id="{html.escape(walk.key)}">',
        f'<div class="pg-walk__picture" role="img" '
        f'aria-label="The graph of {html.escape(root)}">',
        svg,
        "</div>",
        '<div class="pg-walk__steps">',
        "<table>",
        _HEAD,
        "<tbody>",
        *(_row(walk.key, i, *row) for i, row in enumerate(rows, 1)),
        "</tbody>",
        "</table>",
        "</div>",
        "</div>",
    ]
    return "\n".join(line for line in lines if line)


_HEAD = (
    "<thead><tr><th>Step</th><th>What</th><th>Code</th>"
    "<th>Arrives</th><th>Local</th><th>Adds</th><th>Total</th>"
    "</tr></thead>"
)


def _row(
    key: str, i: int, about: Mapping[str, str], cells: Iterable[str]
) -> str:
    step = html.escape(f"{key}-step-{i}")
    marks = "".join(
        f' data-{name}="{value}"' for name, value in about.items()
    )
    tail = "".join(f"<td>{cell}</td>" for cell in cells)
    link = f'<th scope="row"><a href="#{step}">{i}</a></th>'
    return f'<tr id="{step}"{marks}>{link}{tail}</tr>'


def _boxes(walk: Walk) -> dict[str, str]:
    names = [formed.node for formed in walk.forward]
    return {name: f"node{i}" for i, name in enumerate(names, 1)}


def _forward_rows(
    walk: Walk,
) -> Iterable[tuple[dict[str, str], list[str]]]:
    boxes = _boxes(walk)
    for formed in walk.forward:
        about = {"node": boxes[formed.node], "grad": _text(formed.grad)}
        what = f"{_name(formed.node)} = {_text(formed.data)}"
        code = f"<code>{html.escape(formed.code)}</code>"
        yield about, [what, code, "", "", "", ""]


def _backward_rows(
    walk: Walk,
) -> Iterable[tuple[dict[str, str], list[str]]]:
    boxes = _boxes(walk)
    for step in walk.backward:
        ends = (step.node, step.parent)
        arrows = [i for i, e in enumerate(walk.edges, 1) if e == ends]
        about = {
            "from": boxes[step.node],
            "to": boxes[step.parent],
            "edges": " ".join(f"edge{i}" for i in arrows),
            "total": _text(step.total),
        }
        what = f"{_name(step.node)} → {_name(step.parent)}"
        code = f"<code>{html.escape(step.code)}</code>"
        numbers = [step.incoming, step.local, step.contribution]
        yield about, [what, code, *map(_text, [*numbers, step.total])]


def _name(name: str) -> str:
    return f"<var>{html.escape(name)}</var>"


def _text(number: Number) -> str:
    if isinstance(number, float):
        return f"{number:.4g}"
    return html.escape(number_text(number))
