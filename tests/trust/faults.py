"""What happens at the edges: each row is a calculation and its outcome.

A row is text, so that the page shows, the tests run and PyTorch computes the same
calculation. `measure` says where PyTorch's outcome is another one, and why.
"""

from __future__ import annotations

import copy
import itertools
import math
import operator
import pickle
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from prosegrad import Value, dot
from tests.operators import BINARY
from tests.records import circumstances

PAGE = Path("docs/trust/faults.md")
FAN_OUT = 100_000
NAMES = {
    "nan": math.nan,
    "inf": math.inf,
    "tiny": 5e-324,
    "np": np,
    "Fraction": Fraction,
    "Decimal": Decimal,
    "Value": Value,
    "dot": dot,
}
Leaf = Callable[[Any], Any]

NO_REAL = "the function has no real value there"
TOO_LARGE = "the result is too large for a float"
NUMBER = "Value holds a number (float, int, Fraction, Value, array …)"
REAL = "backward starts from one real number"


@dataclass(frozen=True)
class Row:
    """A calculation with `x` and `y`, the numbers there, and what comes out.

    `why` is for a row whose outcome in PyTorch is another one.
    """

    text: str
    inputs: tuple[str, ...]
    outcome: str
    why: str = ""

    @property
    def label(self) -> str:
        """Return the calculation as the page shows it."""
        at = ", ".join(self.inputs)
        return f"`{self.text}` at {at}" if at else f"`{self.text}`"

    def ours(self) -> str:
        """Run the row here."""
        return outcome(lambda: self._run(Value, self.text))

    def torchs(self) -> str:
        """Run the row in PyTorch."""
        functional = {"F": import_module("torch.nn.functional")}
        text = re.sub(r"(\w+)\.(softplus|silu|leaky_relu)\(\)", r"F.\2(\1)", self.text)
        text = re.sub(r"(\w+)\.gelu\(\)", r"F.gelu(\1, approximate='tanh')", text)
        return outcome(lambda: self._run(torch_leaf, text, functional))

    def _run(self, leaf: Leaf, text: str, extra: dict[str, Any] | None = None) -> str:
        names = {**NAMES, **(extra or {})}
        leaves = [leaf(eval(number, names)) for number in self.inputs]
        result = eval(text, {**names, **dict(zip("xy", leaves, strict=False))})
        result.backward()
        slopes = ", ".join(shown(leaf.grad) for leaf in leaves)
        return "; ".join(filter(None, [shown(result.data), slopes]))


@dataclass(frozen=True)
class Deed:
    """Something done to a graph, with any engine's leaves, and what comes out."""

    label: str
    program: Callable[[Leaf], str]
    outcome: str
    why: str = ""

    def ours(self) -> str:
        return outcome(lambda: self.program(Value))

    def torchs(self) -> str:
        return outcome(lambda: self.program(torch_leaf))


def outcome(run: Callable[[], str]) -> str:
    """Return what a calculation gives, or the error that it raises."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy warns of what it returns
            return run()
    except Exception as error:
        return f"{type(error).__name__}: {error}".split("\n")[0]


def shown(number: Any) -> str:
    """Return six digits of a float; any other kind says its name."""
    if type(number).__name__ == "Tensor":
        number = number.item()
    if number is None or isinstance(number, str):
        return str(number)
    kind = type(number).__name__
    digits = f"{number:.6g}" if isinstance(number, float) else f"{number}"
    return digits if kind == "float" else f"{kind} {digits}"


def torch_leaf(number: Any) -> Any:
    """Return a leaf of PyTorch, in float64 if the number is a float."""
    torch = import_module("torch")
    kind = torch.float64 if type(number) is float else None
    return torch.tensor(number, dtype=kind, requires_grad=True)


RAISES = "an array's other entries must go on; a single number has no others"
KIND = "PyTorch differentiates floating-point tensors only"
ZERO = "we add a gradient to 0, and `0 + -0` is 0"
ONE_SIDE = "below 0 there is no root: ours is the slope from above"
POWER = "Python's root of -0 by a power is 0, PyTorch's is -0; " + ONE_SIDE
SIGN = "ours passes NaN on, PyTorch's slope there is 0"
CUBE = "PyTorch's cube overflows on the way, and `inf * 0` is NaN"

# --- calculations: what they are, where, and what comes out

EVERYWHERE: dict[str, tuple[str, str, str]] = {
    # at nan, inf and -inf
    "exp": ("nan; nan", "inf; inf", "0; 0"),
    "expm1": ("nan; nan", "inf; inf", "-1; 0"),
    "log": ("nan; nan", "inf; 0", "no real value"),
    "log1p": ("nan; nan", "inf; 0", "no real value"),
    "sqrt": ("nan; nan", "inf; 0", "no real value"),
    "sin": ("nan; nan", "no real value", "no real value"),
    "cos": ("nan; nan", "no real value", "no real value"),
    "tan": ("nan; nan", "no real value", "no real value"),
    "asin": ("nan; nan", "no real value", "no real value"),
    "acos": ("nan; nan", "no real value", "no real value"),
    "atan": ("nan; nan", "1.5708; 0", "-1.5708; 0"),
    "sinh": ("nan; nan", "inf; inf", "-inf; inf"),
    "cosh": ("nan; nan", "inf; inf", "inf; -inf"),
    "tanh": ("nan; nan", "1; 0", "-1; 0"),
    "sigmoid": ("nan; nan", "1; 0", "0; 0"),
    "softplus": ("nan; nan", "inf; 1", "0; 0"),
    "relu": ("nan; 1", "inf; 1", "0; 0"),
    "leaky_relu": ("nan; 0.01", "inf; 1", "-inf; 0.01"),
    "silu": ("nan; nan", "inf; nan", "nan; nan"),
    "gelu": ("nan; nan", "inf; nan", "nan; nan"),
}


def everywhere() -> Iterator[Row]:
    """Yield a row for each function at NaN, infinity and minus infinity."""
    for name, outcomes in EVERYWHERE.items():
        for number, expected in zip(("nan", "inf", "-inf"), outcomes, strict=True):
            if expected == "no real value":
                expected = f"ValueError: {name}({number}): {NO_REAL}"
            yield Row(f"x.{name}()", (number,), expected)


NUMBERS = [
    Row("x + y", ("inf", "-inf"), "nan; 1, 1"),
    Row("x - y", ("inf", "inf"), "nan; 1, -1"),
    Row("x * y", ("nan", "2.0"), "nan; 2, nan"),
    Row("x * y", ("inf", "0.0"), "nan; 0, inf"),
    Row("x / y", ("nan", "2.0"), "nan; 0.5, nan"),
    Row("x / y", ("inf", "inf"), "nan; 0, nan"),
    Row("x / y", ("1.0", "inf"), "0; 0, 0"),
    Row("x ** 2", ("nan",), "nan; nan"),
    Row("x ** 2", ("-inf",), "inf; -inf"),
    Row("x ** 0", ("nan",), "1; 0"),
    Row("x ** y", ("1.0", "nan"), "1; nan, 0"),
    Row("x ** y", ("nan", "2.0"), "nan; nan, nan"),
    Row("x ** y", ("0.5", "inf"), "0; nan, 0"),
    Row("x.maximum(y)", ("nan", "1.0"), "nan; 1, 1"),
    Row("x.minimum(y)", ("1.0", "nan"), "nan; 1, 1"),
    Row("-x", ("nan",), "nan; -1"),
    Row("abs(x)", ("nan",), "nan; nan", SIGN),
    Row("abs(x)", ("-inf",), "inf; -1"),
]

POWERS = [
    Row(
        "x ** -1", ("0.0",), "ZeroDivisionError: 0.0 ** -1: zero has no negative power"
    ),
    Row("x ** 0", ("0.0",), "1; 0"),
    Row("x ** 0.5", ("0.0",), "0; inf"),
    Row("x ** 1", ("0.0",), "0; 1"),
    Row("x ** 1.5", ("0.0",), "0; 0"),
    Row("x ** 2", ("0.0",), "0; 0"),
    Row(
        "x ** -1",
        ("-0.0",),
        "ZeroDivisionError: -0.0 ** -1: zero has no negative power",
    ),
    Row("x ** 0.5", ("-0.0",), "0; inf", POWER),
    Row("x ** 1", ("-0.0",), "-0; 1"),
    Row(
        "x ** y",
        ("0.0", "-1.0"),
        "ZeroDivisionError: 0.0 ** -1.0: zero has no negative power",
    ),
    Row("x ** y", ("0.0", "0.0"), "1; 0, 0"),
    Row("x ** y", ("0.0", "0.5"), "0; inf, 0"),
    Row("x ** y", ("0.0", "2.0"), "0; 0, 0"),
    Row("0 ** x", ("0.0",), "1; 0"),
    Row("0 ** x", ("2.0",), "0; 0"),
    Row("x ** 0", ("3.0",), "1; 0"),
    Row("x ** 3", ("-2.0",), "-8; 12"),
    Row("x ** y", ("2.0", "3.0"), "8; 12, 5.54518"),
    Row("x ** y", ("-2.0", "3.0"), "-8; 12, nan"),
    Row("2 ** x", ("3.0",), "8; 5.54518"),
    Row("x.sqrt()", ("0.0",), "0; inf"),
    Row("x.sqrt()", ("-0.0",), "-0; inf", ONE_SIDE),
    Row("x.relu()", ("0.0",), "0; 0"),
    Row("x.relu()", ("-0.0",), "-0; 0"),
    Row("abs(x)", ("0.0",), "0; 0"),
    Row("x.maximum(y)", ("2.0", "2.0"), "2; 0.5, 0.5"),
]

DOMAIN = [
    Row("x.log()", ("0.0",), f"ValueError: log(0.0): {NO_REAL}"),
    Row("x.log()", ("-1.0",), f"ValueError: log(-1.0): {NO_REAL}"),
    Row("x.log1p()", ("-1.0",), f"ValueError: log1p(-1.0): {NO_REAL}"),
    Row("x.sqrt()", ("-1.0",), f"ValueError: sqrt(-1.0): {NO_REAL}"),
    Row("x ** 0.5", ("-2.0",), f"ValueError: -2.0 ** 0.5: {NO_REAL}"),
    Row("x ** y", ("-2.0", "0.5"), f"ValueError: -2.0 ** 0.5: {NO_REAL}"),
    Row("x.asin()", ("2.0",), f"ValueError: asin(2.0): {NO_REAL}"),
    Row("x.acos()", ("-2.0",), f"ValueError: acos(-2.0): {NO_REAL}"),
    Row("x.asin()", ("1.0",), "1.5708; inf"),
    Row("x.acos()", ("1.0",), "0; -inf"),
    Row("x / 0", ("1.0",), "ZeroDivisionError: 1.0 / 0: division by zero"),
    Row("x / y", ("1.0", "0.0"), "ZeroDivisionError: 1.0 / 0.0: division by zero"),
    Row("x / y", ("0.0", "0.0"), "ZeroDivisionError: 0.0 / 0.0: division by zero"),
    Row("1 / x", ("0.0",), "ZeroDivisionError: 1 / 0.0: division by zero"),
]

SIZE = [
    Row("x.exp()", ("1000.0",), f"OverflowError: exp(1000.0): {TOO_LARGE}"),
    Row("x.expm1()", ("1000.0",), f"OverflowError: expm1(1000.0): {TOO_LARGE}"),
    Row("x.sinh()", ("1000.0",), f"OverflowError: sinh(1000.0): {TOO_LARGE}"),
    Row("x.cosh()", ("-1000.0",), f"OverflowError: cosh(-1000.0): {TOO_LARGE}"),
    Row("x ** 2", ("1e200",), f"OverflowError: 1e+200 ** 2: {TOO_LARGE}"),
    Row("x ** -1", ("1e-310",), f"OverflowError: 1e-310 ** -1: {TOO_LARGE}"),
    Row("1 / x", ("1e-310",), "inf; -inf"),
    Row("x / y", ("1.0", "tiny"), "inf; inf, -inf"),
    Row("x * y", ("1e200", "1e200"), "inf; 1e+200, 1e+200"),
    Row("x + x", ("1e308",), "inf; 2"),
    Row("x.log()", ("tiny",), "-744.44; inf"),
    Row("x ** -1", ("1e-200",), "1e+200; -inf"),
    Row("x ** 2", ("1e-200",), "0; 2e-200"),
    Row("x / x", ("1e-310",), "1; nan"),
    Row("x.exp()", ("-1000.0",), "0; 0"),
    Row("x.expm1()", ("-1000.0",), "-1; 0"),
    Row("x.tanh()", ("1000.0",), "1; 0"),
    Row("x.sigmoid()", ("1000.0",), "1; 0"),
    Row("x.sigmoid()", ("-1000.0",), "0; 0"),
    Row("x.softplus()", ("1000.0",), "1000; 1"),
    Row("x.softplus()", ("-1000.0",), "0; 0"),
    Row("x.silu()", ("-1000.0",), "-0; 0"),
    Row("x.gelu()", ("1e200",), "1e+200; 1", CUBE),
    Row("x.gelu()", ("-1e200",), "-0; 0", CUBE),
]

KINDS = [
    Row("x * x", ("3",), "int 9; int 6"),
    Row("x ** -1", ("2",), "0.5; -0.25"),
    Row("1 / x", ("4.0",), "0.25; -0.0625"),
    Row("x / 3", ("Fraction(1, 2)",), "Fraction 1/6; Fraction 1/3"),
    Row("x * 0.5", ("Fraction(1, 2)",), "0.25; 0.5"),
    Row("x * x", ("Decimal(3)",), "Decimal 9; Decimal 6"),
    Row(
        "x * 0.5",
        ("Decimal(3)",),
        "TypeError: unsupported operand type(s) for *: 'decimal.Decimal' and 'float'",
    ),
    Row("x * np.float64(2)", ("3.0",), "float64 6; float64 2"),
    Row("np.float64(2) * x", ("3.0",), "float64 6; float64 2"),
    Row("x ** np.int64(2)", ("3.0",), "float64 9; float64 6"),
    Row("np.float32(2) + x", ("3.0",), "float32 5.0; float32 1.0"),
    Row("np.int64(2) - x", ("3.0",), "float64 -1; float64 -1"),
    Row("x * x", ("np.float64(3)",), "float64 9; float64 6"),
    Row("x * x", ("np.float32(3)",), "float32 9.0; float32 6.0"),
    Row("x * x", ("np.int64(3)",), "int64 9; int64 6"),
    Row("x.tanh()", ("np.float64(0)",), "0; 1"),
    Row("x.sigmoid()", ("np.float32(0)",), "0.5; 0.25"),
    Row("1 / x", ("np.float64(0)",), "float64 inf; float64 -inf"),
    Row("x * True", ("3.0",), "3; 1"),
    Row("x * 1", ("True",), "int 1; int 1"),
    Row("+x", ("True",), f"TypeError: {REAL}, not from True"),
    Row("x * x", ("1j",), f"TypeError: {REAL}, not from (-1+0j)"),
    Row("x * 1j", ("2.0",), f"TypeError: {REAL}, not from 2j"),
    Row("x * np.ones(2)", ("2.0",), f"TypeError: {REAL}, not from array([2., 2.])"),
    Row("x + x", ("'a'",), f"TypeError: {NUMBER}, not 'a' of type str"),
    Row("x + 'a'", ("2.0",), f"TypeError: {NUMBER}, not 'a' of type str"),
    Row("x + x", ("None",), f"TypeError: {NUMBER}, not None of type NoneType"),
    Row("x * None", ("2.0",), f"TypeError: {NUMBER}, not None of type NoneType"),
    Row("x + [1.0]", ("2.0",), f"TypeError: {NUMBER}, not [1.0] of type list"),
    Row(
        "x * 3.0",
        ("Value(2.0)",),
        "Value Value(data=6.0, grad=0.0); Value Value(data=3.0, grad=0.0)",
    ),
    Row(
        "x * y",
        ("Value(2.0)", "3.0"),
        "Value Value(data=6.0, grad=0.0); Value Value(data=3.0, grad=0.0), 0",
    ),
    Row("sum([])", (), "AttributeError: 'int' object has no attribute 'backward'"),
    Row("sum([x])", ("2.0",), "2; 1"),
    Row("sum([]) / len([])", (), "ZeroDivisionError: division by zero"),
    Row("dot([], [])", (), "0"),
    Row(
        "dot([x], [])",
        ("2.0",),
        "ValueError: dot: 1 numbers on the left, 0 on the right",
    ),
]


# --- deeds: what is done to a graph


def from_a_leaf(leaf: Leaf) -> str:
    x = leaf(3.0)
    x.backward()
    return shown(x.grad)


def twice(leaf: Leaf) -> str:
    x = leaf(3.0)
    z = x * x
    z.backward()
    z.backward()
    return shown(x.grad)


def two_graphs(leaf: Leaf) -> str:
    x = leaf(3.0)
    for _ in range(2):
        (x * x).backward()
    return shown(x.grad)


def inner_gradient(leaf: Leaf) -> str:
    x = leaf(3.0)
    y = x * x
    (y * y).backward()
    return shown(y.grad)


def inner_name_gone(leaf: Leaf) -> str:
    x = leaf(3.0)
    y = x * x
    z = y * y
    del y
    z.backward()
    return shown(x.grad)


def leaf_changed(leaf: Leaf) -> str:
    x, y = leaf(2.0), leaf(3.0)
    z = x * y
    x.data = x.data * 0 + 100.0
    z.backward()
    return f"{shown(x.grad)}, {shown(y.grad)}"


def result_changed(leaf: Leaf) -> str:
    x = leaf(0.0)
    z = x.exp()
    z.data = z.data * 0 + 7.0
    z.backward()
    return shown(x.grad)


def gradient_changed(leaf: Leaf) -> str:
    x = leaf(3.0)
    (x * x).backward()
    x.grad = x.grad * 0 + 100.0
    (x * x).backward()
    return shown(x.grad)


def leaf_copied(leaf: Leaf) -> str:
    x = leaf(2.0)
    y = copy.deepcopy(x)
    (y * 3.0).backward()
    return f"{shown(x.grad)}, {shown(y.grad)}"


def leaf_pickled(leaf: Leaf) -> str:
    x = leaf(2.0)
    y = pickle.loads(pickle.dumps(x))
    (y * 3.0).backward()
    return f"{shown(x.grad)}, {shown(y.grad)}"


def long_chain(leaf: Leaf) -> str:
    x = leaf(1.0)
    y = x
    for _ in range(10_000):
        y = y + 1.0
    y.backward()
    return shown(x.grad)


def wide_fan(leaf: Leaf) -> str:
    x = leaf(1.0)
    total = x * 2.0
    for _ in range(FAN_OUT - 1):
        total = total + x * 2.0
    total.backward()
    return f"{x.grad:.0f}"


def eight_threads(leaf: Leaf) -> str:
    """Differentiate eight graphs at once; say how many gradients are right."""
    leaves = [leaf(float(i)) for i in range(8)]

    def differentiate(x: Any) -> None:
        y = x
        for _ in range(500):
            y = y * 0.5 + x
        y.backward()

    threads = [threading.Thread(target=differentiate, args=(x,)) for x in leaves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return f"{sum(float(x.grad) == 2.0 for x in leaves)} of 8"


def compared_with_nan(leaf: Leaf) -> str:
    x = leaf(math.nan)
    return f"{bool(x < 1)}, {bool(x == x)}, {bool(x != x)}"


def fails(node: Any, error: BaseException) -> Any:
    """Return a node whose rule raises."""

    def rule(grad: Any) -> None:
        raise error

    if isinstance(node, Value):
        return Value(node.data, (node,), "fails", rule)
    result = node * 1.0
    result.register_hook(rule)
    return result


def stopped(error: BaseException) -> Callable[[Leaf], str]:
    """Return the program whose second backward is stopped in the middle."""

    def program(leaf: Leaf) -> str:
        x, y, w = leaf(2.0), leaf(3.0), leaf(4.0)
        (x * 5.0 + y * 5.0 + w * 5.0).backward()
        try:
            # Whichever side an engine walks first, one leaf is done before the error.
            (y * 1.0 + fails(x, error) + w * 1.0).backward()
        except type(error):
            return ", ".join(shown(leaf.grad) for leaf in (x, y, w))
        return "nothing was raised"

    return program


FREED = "PyTorch frees what its rules keep, unless told `retain_graph=True`"
HALF = "PyTorch keeps what the rules before the error have added"
INNER = "PyTorch drops inner gradients, unless told `retain_grad()`"
LATE = "PyTorch keeps the tensor, and a change through `.data` passes its count"
NONE = "PyTorch's gradient is None until the first backward"

DEEDS = [
    Deed("backward from the leaf 3", from_a_leaf, "1"),
    Deed("`z = x * x`, backward twice from `z`", twice, "12", FREED),
    Deed("`x * x` twice, backward from each", two_graphs, "12"),
    Deed("the gradient of `y = x * x` below `y * y`", inner_gradient, "18", INNER),
    Deed("the same with the name `y` gone: that of `x`", inner_name_gone, "108"),
    Deed("`x.data` changed after `x * y`", leaf_changed, "3, 2", LATE),
    Deed("`z.data` changed after `z = x.exp()`", result_changed, "1", LATE),
    Deed("`x.grad` set to 100 between two backwards", gradient_changed, "106"),
    Deed("a leaf copied, backward from the copy", leaf_copied, "0, 3", NONE),
    Deed("a leaf pickled, backward from what was read", leaf_pickled, "0, 3", NONE),
    Deed("a chain of 10,000 additions", long_chain, "1"),
    Deed("one leaf used 100,000 times, times 2", wide_fan, "200000"),
    Deed("eight threads, eight graphs", eight_threads, "8 of 8"),
    Deed("NaN: `x < 1`, `x == x`, `x != x`", compared_with_nan, "False, False, True"),
    Deed(
        "an error in the middle", stopped(ArithmeticError("no slope")), "5, 5, 5", HALF
    ),
    Deed("Ctrl+C in the middle", stopped(KeyboardInterrupt()), "5, 5, 5", HALF),
]

GROUPS: dict[str, list[Row] | list[Deed]] = {
    "functions": [*everywhere()],
    "operators": NUMBERS,
    "zero": POWERS,
    "domain": DOMAIN,
    "size": SIZE,
    "kinds": KINDS,
    "graph": DEEDS,
}
ROWS: list[Row | Deed] = [row for rows in GROUPS.values() for row in rows]


# --- every function and operator at the edges

EDGES = [
    *(0.0, 5e-324, 1e-310, sys.float_info.min, 1e-200, 1e-17, 0.5, 1.0, 2.0, 3.0),
    *(math.nextafter(1.0, 0.0), 36.7, 709.78, 710.47, 711.0, 745.2, 1e16, 1e22),
    *(1e154, 1e200, sys.float_info.max, math.inf),
]
NUMBERS_AT_EDGES = [*EDGES, *(-x for x in EDGES), math.nan]
OPERATORS = {op: BINARY[op] for op in ("+", "-", "*", "/", "**", "maximum", "minimum")}
REFUSALS = (ValueError, ZeroDivisionError, OverflowError)


def at_the_edges() -> Iterator[tuple[str, list[Value], Value | Exception]]:
    """Yield the name, the leaves and the result of each calculation, or its error."""
    for name in EVERYWHERE:
        function = operator.methodcaller(name)
        for x in NUMBERS_AT_EDGES:
            yield _tried(name, function, x)
    for name, combine in OPERATORS.items():
        for x, y in itertools.product(NUMBERS_AT_EDGES, repeat=2):
            yield _tried(name, combine, x, y)


def _tried(
    name: str, function: Callable[..., Any], *numbers: float
) -> tuple[str, list[Value], Value | Exception]:
    leaves = [Value(number) for number in numbers]
    try:
        return name, leaves, function(*leaves)
    except REFUSALS as error:
        return name, leaves, error


# --- tables


def table(group: str) -> str:
    """Return a group of rows as they come out now, in Markdown.

    Raises:
        AssertionError: A row comes out otherwise than the tests expect.
    """
    lines = ["| What | Value; gradients |", "|:---|:---|"]
    for row in GROUPS[group]:
        now = row.ours()
        assert row.outcome == now, (row, now)
        lines.append(f"| {row.label} | {cell(now)} |")
    return "\n".join(lines) + "\n"


def table_of_functions() -> str:
    """Return all functions at NaN and both infinities, in Markdown."""
    lines = ["| | NaN | inf | -inf |", "|:---|:---|:---|:---|"]
    rows = [*everywhere()]
    for three in zip(rows[::3], rows[1::3], rows[2::3], strict=True):
        assert [row.outcome for row in three] == [row.ours() for row in three]
        cells = [cell(row.outcome).split(":")[0].strip("`") for row in three]
        lines.append(f"| `{three[0].text}` | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def cell(text: str) -> str:
    """Return an outcome as a cell of a table shows it: an error as code."""
    return f"`{text}`" if is_error(text) else text


def is_error(text: str) -> bool:
    return bool(re.match(r"\w+Error: ", text))


# --- PyTorch


def agree(ours: str, theirs: str) -> bool:
    """Tell whether two outcomes are the same, apart from the kind of number."""
    if is_error(ours) or is_error(theirs):
        return is_error(ours) and is_error(theirs)
    return _plain(ours) == _plain(theirs)


def _plain(text: str) -> str:
    return re.sub(r"\b(?:int|float|int64|float32|float64) |\.0\b", "", text)


def reason(row: Row | Deed, theirs: str) -> str:
    """Return why the outcome of a row differs in PyTorch.

    Raises:
        ValueError: Nobody knows.
    """
    ours = row.outcome
    if row.why:
        return row.why
    if is_error(ours):
        return RAISES
    if theirs.startswith("RuntimeError"):
        return KIND
    if re.sub(r"-0\b", "0", ours) == re.sub(r"-0\b", "0", theirs):
        return ZERO
    raise ValueError(f"{row.label}: {ours} here, {theirs} in PyTorch, and why?")


def measure() -> str:
    """Return the rows in which PyTorch's outcome is another one."""
    lines = ["| What | Here | PyTorch | Why |", "|:---|:---|:---|:---|"]
    refused = 0
    for row in ROWS:
        theirs = row.torchs()
        refused += is_error(row.outcome) and is_error(theirs)
        if not agree(row.outcome, theirs):
            here, there = (cell(text).split(":")[0] for text in (row.outcome, theirs))
            why = reason(row, theirs)
            lines.append(
                f"| {row.label} | {here.strip('`')} | {there.strip('`')} | {why} |"
            )
    differ = len(lines) - 2
    intro = (
        f"{circumstances('torch')}. Of {len(ROWS)} rows, {len(ROWS) - differ} agree, "
        f"{refused} of them in that both refuse; {differ} differ."
    )
    return "\n".join([intro, "", *lines])
