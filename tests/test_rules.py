"""Every derivative rule is written once, and everything else makes use of it.

The rules are counted in the source. Then each is made wrong, and every
function that differentiates must become wrong in the same way: what had a rule
of its own would stay right.
"""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import prosegrad
import prosegrad.tensor
from prosegrad import Dual, Value
from prosegrad import value as engine
from prosegrad.tensor import Tensor
from prosegrad.trees import flatten

PACKAGE = Path(prosegrad.__file__).parent
# tiny.py is an engine of its own, which nothing in the package uses.
SOURCES = sorted({*PACKAGE.glob("*.py")} - {PACKAGE / "tiny.py"})
SEED = "Graph.pull"  # hands the seed to the results of a function
Function = Callable[[Sequence[Any]], Any]

# Where a rule stands, and a program that uses it.
RULES: dict[str, Function] = {
    "Value.__add__": lambda x: x[0] + x[1],
    "Value.__sub__": lambda x: x[0] - x[1],
    "Value.__mul__": lambda x: x[0] * x[1],
    "Value.__truediv__": lambda x: x[0] / x[1],
    "Value.__neg__": lambda x: -x[0],
    "Value.__abs__": lambda x: abs(-x[0]),
    "_power": lambda x: x[0] ** x[1] + x[0] ** 3,
    "dot": lambda x: engine.dot(x, [x[1], 2.0], x[0]),
    "Value.maximum": lambda x: x[0].maximum(x[1]),
    "Value.minimum": lambda x: (-x[0]).minimum(x[1]),
    "Value.relu": lambda x: x[0].relu(),
    "Value.leaky_relu": lambda x: (-x[0]).leaky_relu(),
    "Value.exp": lambda x: x[0].exp(),
    "Value.expm1": lambda x: x[0].expm1(),
    "Value.log": lambda x: x[0].log(),
    "Value.log1p": lambda x: x[0].log1p(),
    "Value.sqrt": lambda x: x[0].sqrt(),
    "Value.sin": lambda x: x[0].sin(),
    "Value.cos": lambda x: x[0].cos(),
    "Value.tan": lambda x: x[0].tan(),
    "Value.asin": lambda x: x[0].asin(),
    "Value.acos": lambda x: x[0].acos(),
    "Value.atan": lambda x: x[0].atan(),
    "Value.sinh": lambda x: x[0].sinh(),
    "Value.cosh": lambda x: x[0].cosh(),
    "Value.tanh": lambda x: x[0].tanh(),
    "Value.sigmoid": lambda x: x[0].sigmoid(),
    "Value.softplus": lambda x: x[0].softplus(),
    "Value.gelu": lambda x: x[0].gelu(),
}
OF_ARRAYS = {"_where"}  # with floats, a choice is made before it is an operation
# Parts of slopes that may be infinite; a number inside has them without a node.
OF_SLOPES = {"_gap", "_reciprocal"}
CALLS = "__wrapped__"  # what a function calls in the end
HELPER = "Value._unary"  # the rule of all functions of one number
# Modules with rules that no single number has: of shapes, sums, products, parts.
OF_SHAPES = {"tensor", "windows", "layers", "attention"}
# Modules that hand on what a walk, or a rule of the reader, has found.
HANDING_ON = {"custom", "recomputing"}
# One complex number has no slope of this; arrays of them have, of real losses.
OF_COMPLEX = {"Tensor.__abs__"}
# Where they stand in `tensor`, and who gives a slope to `_node`.
IN_TENSOR = ["_joined", "_node", "_stretched", "concat", "linear", "matmul"]
# A pass makes use of these itself, and other modes of them at other places. So
# they agree on what is wrong only if they go forward and back in one order.
ARITHMETIC = {"Value.__add__", "Value.__sub__", "Value.__mul__", "Value.__truediv__"}
ARITHMETIC |= {"dot"}
POINT = [0.7, 0.3]
VECTOR = [1.0, -0.5]


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Yield the functions and methods of a module."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef):
                    yield f"{node.name}.{inner.name}", inner


def _hands_on(node: ast.AST) -> bool:
    """Tell whether a statement adds to the gradient of an operand."""
    targets = [node.target] if isinstance(node, ast.AugAssign) else []
    return any(isinstance(t, ast.Attribute) and t.attr == "grad" for t in targets)


def _gives_a_slope(node: ast.AST) -> bool:
    """Tell whether an expression is a call of `_unary`."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "_unary"
    )


def places(source: str) -> list[str]:
    """Return the functions of a module in which there is a rule.

    That is a function inside, which adds to gradients, or a call of `_unary`.
    """
    found = []
    for name, function in _functions(ast.parse(source)):
        inner = [n for n in ast.walk(function) if n is not function]
        rules = [n for n in inner if isinstance(n, ast.FunctionDef)]
        handed = any(_hands_on(n) for rule in rules for n in ast.walk(rule))
        if handed or any(map(_gives_a_slope, inner)):
            found.append(name)
    return found


def makers(source: str) -> list[str]:
    """Return the functions of a module that give a slope to `_node`."""
    return [
        name
        for name, function in _functions(ast.parse(source))
        if any(
            isinstance(node, ast.Call) and ast.unparse(node.func) == "_node"
            for node in ast.walk(function)
        )
    ]


def own_name(place: str) -> str:
    """Return the name of an operation, without its class and underscores."""
    return place.split(".")[-1].strip("_")


def test_every_rule_of_a_number_is_in_one_module_and_is_tried_here() -> None:
    """There are thirty rules, one helper, and one function that only adds seeds."""
    found = {path.stem: places(path.read_text("utf-8")) for path in SOURCES}
    rules = found.pop("value")

    assert found.pop("derivatives") == [SEED]
    with_rules = {module for module, names in found.items() if names}
    assert with_rules <= OF_SHAPES | HANDING_ON
    assert sorted([*RULES, *OF_ARRAYS, *OF_SLOPES, HELPER]) == sorted(rules)
    assert len(RULES) + len(OF_ARRAYS) == 30


def test_the_rules_of_shapes_are_others() -> None:
    """None of them is of an operation that a single number has."""
    sources = {path.stem: path.read_text("utf-8") for path in SOURCES}
    made = {name: makers(sources[name]) for name in sources}
    of_numbers = {own_name(place) for place in (*RULES, *OF_ARRAYS)}

    assert sorted(places(sources["tensor"])) == IN_TENSOR
    assert {name for name in made if made[name]} <= OF_SHAPES
    for module in (OF_SHAPES | HANDING_ON) & set(sources):
        tree = ast.parse(sources[module])
        others = {*places(sources[module]), *made[module]} - OF_COMPLEX
        assert of_numbers.isdisjoint(map(own_name, others))
        assert not any(map(_gives_a_slope, ast.walk(tree)))


def test_a_tensor_takes_the_functions_of_one_number_as_they_are() -> None:
    """What it defines anew calls them, after a look at shapes and types."""
    with_rule = {place.removeprefix("Value.") for place in RULES if "Value." in place}
    wrapped = {name for name in with_rule if hasattr(getattr(Tensor, name), CALLS)}
    for name in wrapped:
        assert getattr(getattr(Tensor, name), CALLS) is getattr(Value, name)
    anew = (with_rule - wrapped) & set(vars(Tensor))

    assert anew == {
        *("__add__", "__sub__", "__mul__", "__truediv__"),
        *("maximum", "minimum", "leaky_relu", "__abs__"),
    }
    for name in anew:
        assert f"Value.{name}" in inspect.getsource(getattr(Tensor, name))


def test_nothing_else_adds_to_a_gradient() -> None:
    """Outside of the rules, the seed of `backward` is the only thing added.

    `recomputing` hands on what `backward` has found for the copy of a graph,
    and `custom` what the reader's rule returns.
    """
    adding = []
    for path in SOURCES:
        source = path.read_text("utf-8")
        rules = places(source)
        adding += [
            (path.stem, name)
            for name, function in _functions(ast.parse(source))
            if name not in rules and any(map(_hands_on, ast.walk(function)))
        ]
    adding = [place for place in adding if place[0] not in HANDING_ON]

    assert adding == [("tensor", "Tensor.backward"), ("value", "Value.backward")]


def added(module: str) -> list[ast.AugAssign]:
    """Return the statements of a module that add to a gradient."""
    sources = [path.read_text("utf-8") for path in SOURCES if path.stem == module]
    nodes = [node for source in sources for node in ast.walk(ast.parse(source))]
    return [n for n in nodes if isinstance(n, ast.AugAssign) and _hands_on(n)]


def test_the_seed_is_added_as_it_came() -> None:
    """What `Graph.pull` adds is a name; none that hands on multiplies."""
    assert [ast.unparse(n) for n in added("derivatives")] == ["output.grad += seed"]
    statements = [statement for module in HANDING_ON for statement in added(module)]
    assert statements
    for statement in statements:
        parts = ast.walk(statement.value)
        assert not any(isinstance(part, ast.BinOp | ast.Call) for part in parts)


def test_a_second_rule_would_be_found() -> None:
    source = (
        "class Other:\n"
        "    def sin(self):\n"
        "        def _backward(grad):\n"
        "            self.grad += grad * cos(self.data)\n"
        "        return Value(sin(self.data), (self,), 'sin', _backward)\n"
        "    def cos(self):\n"
        "        return self._unary('cos', cos(self.data), lambda: -sin(self.data))\n"
        "def harmless(x):\n"
        "    return x.sin()\n"
    )

    assert places(source) == ["Other.sin", "Other.cos"]


# --- one wrong rule makes all wrong


def first(f: Function) -> dict[str, list[float]]:
    """Return the first derivatives, by every function that gives them."""
    unit = [[1.0, 0.0], [0.0, 1.0]]
    return {
        "grad": prosegrad.grad(f)(POINT),
        "jacobian": prosegrad.jacobian(f)(POINT),
        "vjp": prosegrad.vjp(f, POINT)[1](1.0)[0],
        "jvp": [prosegrad.jvp(f, [POINT], [v])[1] for v in unit],
        "jit(grad)": prosegrad.jit(prosegrad.grad(f))(POINT),
        "jit(jvp)": [
            prosegrad.jit(lambda x, v=v: prosegrad.jvp(f, [x], [v])[1])(POINT)
            for v in unit
        ],
    }


def second(f: Function) -> dict[str, list[float]]:
    """Return the Hessian times a vector, by every function that gives it."""
    found: dict[str, Any] = {
        "hvp": prosegrad.hvp(f, [POINT], [VECTOR]),
        "jit(hvp)": prosegrad.jit(lambda x: prosegrad.hvp(f, [x], [VECTOR]))(POINT),
    }
    for name, function in (
        ("hessian", prosegrad.hessian(f)),
        ("jit(hessian)", prosegrad.jit(prosegrad.hessian(f))),
        ("jacobian(grad)", prosegrad.jacobian(prosegrad.grad(f))),
    ):
        rows = function(POINT)
        found[name] = [sum(map(float.__mul__, row, VECTOR)) for row in rows]
    backwards = prosegrad.grad(lambda x: prosegrad.jvp(f, [x], [VECTOR])[1])
    return found | {"grad(jvp)": backwards(POINT)}


def agree(found: dict[str, list[float]]) -> bool:
    """Tell whether all the functions say the same."""
    expected = pytest.approx(next(iter(found.values())), rel=1e-11, abs=1e-13)
    return all(flatten(numbers)[0] == expected for numbers in found.values())


def twice_as_steep(rule: Callable[..., Value]) -> Callable[..., Value]:
    """Return an operation with the same value and twice the slopes."""

    def wrong(*operands: Any) -> Value:
        right = rule(*operands)

        def _backward(grad: Any) -> None:
            right.grad += grad
            right.grad += grad

        return type(right)(right.data, (right,), "wrong", _backward)

    return wrong


def plant(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """Make one rule wrong, where it stands."""
    owner: Any = Value if place.startswith("Value.") else engine
    name = place.removeprefix("Value.")
    monkeypatch.setattr(owner, name, twice_as_steep(getattr(owner, name)))


def curved(f: Function) -> Function:
    """Return a function whose second derivative has the slopes of f in it."""
    return lambda x: f(x) * (x[0] + 2.0 * f(x))


@pytest.mark.parametrize("place", RULES)
def test_one_wrong_rule_makes_all_wrong_alike(
    monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """All modes, compiled or not, agree; and agree again on what is wrong."""
    f = curved(RULES[place])
    before = first(f), second(f)
    plant(monkeypatch, place)
    after = first(f), second(f)
    if place in ARITHMETIC:
        del after[1]["grad(jvp)"]

    for right, wrong in zip(before, after, strict=True):
        assert agree(right), right
        assert agree(wrong), wrong
        assert not agree({"right": right[min(right)], "wrong": wrong[min(wrong)]})


# Programs for arrays, where those above do not fit: `dot` knows no shapes.
FOR_ARRAYS: dict[str, Function] = {
    "dot": lambda x: engine.dot(x[:1], x[:1]),
    "_where": lambda x: prosegrad.tensor.where(x[1].data > 0.5, x[0], x[1]),
}


def slopes_of_arrays(f: Function) -> list[Any]:
    """Return the slopes of a function of two arrays that differ in shape."""
    x = [Tensor(np.array([0.7, 0.4])), Tensor(np.array([[0.3], [0.6]]))]
    result = f(x)
    result.backward(np.ones(result.shape))
    return [np.asarray(v.grad) for v in x if type(v.grad) is not int]


@pytest.mark.parametrize("place", [*RULES, *OF_ARRAYS])
def test_one_wrong_rule_makes_a_tensor_wrong_alike(
    monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """A Tensor has no rule of its own for what a number can do."""
    f = (RULES | FOR_ARRAYS)[place]
    before = slopes_of_arrays(f)
    plant(monkeypatch, place)
    after = slopes_of_arrays(f)

    assert before
    for right, wrong in zip(before, after, strict=True):
        assert np.allclose(wrong, 2 * right)


def test_a_mode_with_a_rule_of_its_own_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A Dual that has its own sine stays right when the rule is wrong."""

    def own(self: Dual) -> Dual:
        result = type(self)(_sin(self.data))
        result.tangent = _cos(self.data) * self.tangent
        return result

    def _sin(x: Any) -> Any:
        return math.sin(x) if isinstance(x, float) else x.sin()

    def _cos(x: Any) -> Any:
        return math.cos(x) if isinstance(x, float) else x.cos()

    monkeypatch.setattr(Dual, "sin", own, raising=False)
    assert agree(first(RULES["Value.sin"]))
    plant(monkeypatch, "Value.sin")

    assert not agree(first(RULES["Value.sin"]))


@pytest.mark.parametrize("place", RULES)
@pytest.mark.parametrize("kind", [Value.at_level(3), Dual.at_level(3)])
def test_an_operation_keeps_the_level_of_its_operands(
    place: str, kind: type[Value]
) -> None:
    """Its result is what the operands are, so no derivative is lost."""
    result = RULES[place]([kind(Value(x)) for x in POINT])

    assert kind is type(result)
    assert type(result.data) is Value
