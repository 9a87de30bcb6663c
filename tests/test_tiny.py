"""The engine of In one sitting: short, alone, and right where it claims to be."""

from __future__ import annotations

import ast
import importlib
import inspect
import io
import math
import random
import re
import subprocess
import sys
import tokenize
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prosegrad import Value as FullValue
from tests.book.pages import Book, parse

tiny: Any = importlib.import_module("prosegrad.tiny")  # it has no types
BOOK = Book(Path(__file__).resolve().parents[1])
PAGES = [p for p in BOOK.nav() if p.parent.name == "in-one-sitting"]
SOURCE = Path(tiny.__file__).read_text("utf-8")


def lines_of_code(source: str) -> int:
    """Count the lines that are neither blank, nor comment, nor docstring."""
    ignored = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER}
    ignored |= {tokenize.INDENT, tokenize.DEDENT}
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in ignored:
            lines |= {*range(token.start[0], token.end[0] + 1)}
    return len(lines - docstring_lines(ast.parse(source)))


def docstring_lines(tree: ast.Module) -> set[int]:
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef)
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, owners) and ast.get_docstring(node) is not None:
            first = node.body[0]
            found |= {*range(first.lineno, (first.end_lineno or 0) + 1)}
    return found


def test_it_is_as_short_as_promised() -> None:
    """At most 100 lines of code for the class, 170 for the file."""
    value = lines_of_code(inspect.getsource(tiny.Value))
    whole = lines_of_code(SOURCE)

    assert value <= 100
    assert whole <= 170


def test_it_imports_math_and_random_only() -> None:
    imports = [n for n in ast.walk(ast.parse(SOURCE)) if isinstance(n, ast.Import)]

    assert [a.name for n in imports for a in n.names] == ["math", "random"]
    assert "from " not in re.findall(r"^from .*", SOURCE, re.M)


def test_a_copy_runs_where_nothing_is_installed(tmp_path: Path) -> None:
    """`-I -S`: no site-packages, no path but the file's own."""
    copy = tmp_path / "mine.py"
    use = "\nx = Value(2.0)\n(x * 3 + x).tanh().backward()\nprint(MLP(2, [4, 1]))\n"
    copy.write_text(SOURCE + use, "utf-8")
    command = [sys.executable, "-I", "-S", str(copy)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    assert result.returncode == 0, result.stderr


def test_no_block_of_its_pages_imports_the_package() -> None:
    """The reader's own class runs, so that each change has an effect."""
    blocks = [f for page in PAGES for f in parse(page).fences]
    imports = [f.line for f in blocks if re.search(r"import.*prosegrad|from prosegrad",
                                                   f.source)]  # fmt: skip

    assert len(PAGES) == 3
    assert blocks
    assert imports == []


def test_the_blocks_make_one_file_that_prints_what_the_pages_print(
    tmp_path: Path,
) -> None:
    """A reader types one block below the other into an empty file.

    The listings are the file so far, which this reader has; what must raise
    would end the run.
    """
    left_out = {"listing", "raises", "exercise", "check"}
    blocks = [f for p in PAGES for f in parse(p).fences if f.role not in left_out]
    file = tmp_path / "mine.py"
    file.write_text("\n\n".join(f.source for f in blocks), "utf-8")
    command = [sys.executable, "-I", "-S", str(file)]
    result = subprocess.run(command, capture_output=True, text=True)

    assert result.stderr == ""
    assert result.stdout == "".join(f.output.text for f in blocks if f.output)


# --- the interface of the source text


def test_the_constructor_and_its_attributes() -> None:
    x = tiny.Value(2)
    node = tiny.Value(8.0, _parents=(x, x), _op="+")

    assert (x.data, x.grad, x._parents, x._op) == (2, 0.0, (), "")
    assert x._backward() is None
    assert (node._parents, node._op) == ((x, x), "+")
    assert repr(tiny.Value(2 / 3)) == "Value(data=0.6667, grad=0.0000)"


def test_a_power_must_be_constant() -> None:
    with pytest.raises(AssertionError, match="constant"):
        tiny.Value(2.0) ** tiny.Value(3.0)


def test_a_new_operation_is_added_as_in_the_source_text() -> None:
    """The recipe: a closure without arguments that reads `out.grad`."""

    def sqrt(self: Any) -> Any:
        out = tiny.Value(math.sqrt(self.data), (self,), "sqrt")

        def _backward() -> None:
            self.grad += out.grad * 0.5 / out.data

        out._backward = _backward
        return out

    x = tiny.Value(9.0)
    (sqrt(x) * 6).backward()

    assert x.grad == 1.0


def test_layers_and_networks() -> None:
    random.seed(1)
    one, many = tiny.Layer(3, 1), tiny.Layer(3, 2)
    model = tiny.MLP(2, [4, 1])

    assert len(tiny.Neuron(3).parameters()) == 4
    assert isinstance(one([1, 2, 3]), tiny.Value)
    assert [type(v) for v in many([1, 2, 3])] == [tiny.Value] * 2
    assert len(model.parameters()) == 17
    assert isinstance(model([0, 1]), tiny.Value)


def test_a_graph_has_boxes_and_circles() -> None:
    x = tiny.Value(3.0)
    dot = tiny.draw_graph(x * x + 1)

    assert dot.startswith("digraph G {")
    assert dot.endswith("}")
    assert dot.count("shape=box") == 4
    assert dot.count("shape=circle") == 2
    assert dot.count(" -> ") == 2 + 2 + 2
    assert "3.00\\ngrad=0.00" in dot
    assert dot == tiny.draw_graph(x * x + 1)


# --- the same gradients as the full engine

UNARY: list[Callable[[Any], Any]] = [
    lambda x: -x,
    lambda x: x * x,
    lambda x: 2 - x,
    lambda x: 3 * x,
    lambda x: 1 + x,
    lambda x: x / 4,
    lambda x: 1 / (x * x + 1),
    lambda x: (x * x + 1) ** -1.5,
    lambda x: x.relu(),
    lambda x: x.tanh(),
    lambda x: x.sigmoid(),
    lambda x: x.tanh().exp(),
    lambda x: (x * x + 0.5).log(),
]
BINARY: list[Callable[[Any, Any], Any]] = [
    lambda x, y: x + y,
    lambda x, y: x - y,
    lambda x, y: x * y,
    lambda x, y: x / (y * y + 1),
]


def random_program(seed: int, make: Callable[[float], Any]) -> list[float]:
    """Return the value and the gradient of a random formula."""
    rng = random.Random(seed)
    inputs = [make(rng.uniform(-2, 2)) for _ in range(3)]
    nodes = list(inputs)
    for _ in range(rng.randint(3, 15)):
        if rng.random() < 0.5:
            node = rng.choice(UNARY)(rng.choice(nodes))
        else:
            node = rng.choice(BINARY)(rng.choice(nodes), rng.choice(nodes))
        # tanh keeps a chain of squares from growing without bound
        nodes.append(node.tanh() if abs(node.data) > 10 else node)
    result = sum(nodes)
    result.backward()
    return [result.data, *(x.grad for x in inputs)]


def test_a_thousand_random_programs_agree_with_the_full_engine() -> None:
    """To the last few bits: the two may round a quotient differently."""
    worst = 0.0
    for seed in range(1000):
        ours = random_program(seed, FullValue)
        theirs = random_program(seed, tiny.Value)
        size = max(map(abs, ours))
        errors = [abs(a - b) / size for a, b in zip(ours, theirs)]
        worst = max(worst, *errors)

    assert worst < 16 * sys.float_info.epsilon, worst


# --- XOR, with the setting of the page


def train(seed: int) -> float:
    """Run the page's own training block from another seed; return the loss."""
    page = parse(PAGES[-1])
    (block,) = (f for f in page.fences if "learning_rate =" in f.source)
    random.seed(seed)
    names = {"model": tiny.MLP(2, [4, 1]), "print": lambda *_: None}
    exec(block.source, names)
    return float(names["loss"].data)


@pytest.mark.parametrize("tens", range(10))
def test_xor_is_learned_from_every_seed(tens: int) -> None:
    losses = {seed: train(seed) for seed in range(10 * tens, 10 * tens + 10)}

    assert max(losses.values()) < 0.01, losses
