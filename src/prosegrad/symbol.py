"""A number that is not there yet: it remembers what is done to it.

A `Symbol` stands for a number in a `Trace`, a list of operations.
Two operations that are the same are one, and what is known already is
computed at once. There are no derivatives here: put a Symbol into a
Value, and the rules of the engine leave the gradient in the trace.
"""

from __future__ import annotations

import linecache
import math
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from prosegrad.elementary import Number
from prosegrad.kinds import NAMES
from prosegrad.value import Value, _is_number

Node = tuple[Any, ...]
"""An operation and the places of its operands in the trace."""


class TracingError(TypeError):
    """A program asked for a number that a trace does not have."""


class Trace:
    """The operations of one program, in the order of the program.

    Attributes:
        nodes: One tuple for each operation: its name, and the places
            of its operands. Inputs and constants are nodes, too.
        constants: The values of the nodes that are known.
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.constants: dict[int, Any] = {}
        self._places: dict[Node, int] = {}

    def input(self, text: str) -> Symbol:
        """Return the Symbol of an input, called by its text."""
        return Symbol(self, self.node("input", text))

    def node(self, *node: Any) -> int:
        """Return the place of a node; a new one goes to the end."""
        place = self._places.get(node)
        if place is None:
            place = self._places[node] = len(self.nodes)
            self.nodes.append(node)
        return place

    def constant(self, value: Any) -> int:
        """Return the place of a constant; integers become floats."""
        if (type(value) is int and abs(value) < 2**53) or isinstance(
            value, float
        ):
            value = float(value)
        plain = isinstance(value, (float, int))
        key = (type(value), repr(value)) if plain else id(value)
        place = self.node("constant", key)
        self.constants[place] = value
        return place

    def is_number(self, place: int, number: float) -> bool:
        """Tell whether a place holds this number."""
        value = self.constants.get(place)
        return type(value) is float and value == number

    def factor(self, place: int) -> tuple[int | None, int]:
        """Return the constant factor of a product and the rest."""
        op, *operands = self.nodes[place]
        if op == "*" and operands[0] in self.constants:
            return operands[0], operands[1]
        return None, place

    def merge_exactly(self, i: int, j: int) -> bool:
        """Tell whether one of two factors only moves the point."""
        factors = [self.constants.get(place) for place in (i, j)]
        return any(
            type(c) is float and abs(math.frexp(c)[0]) == 0.5
            for c in factors
        )

    def constants_last(self, place: int) -> tuple[bool, int]:
        """Return a key to sort places by."""
        return place in self.constants, place

    def fold(self, i: int, j: int) -> int:
        """Return the place of the product of two constants."""
        return self.constant(self.constants[i] * self.constants[j])

    def place(self, x: Number) -> int:
        """Return the place of an operand, a Symbol or a number."""
        if not isinstance(x, Symbol):
            return self.constant(x)
        if x.trace is not self:
            raise TracingError(f"{x!r} belongs to another trace")
        return x.index

    def number(self, place: int) -> Number:
        """Return the Symbol of a place, or its value if it is known."""
        if place in self.constants:
            return self.constants[place]
        return Symbol(self, place)


def apply(op: str, *operands: Number) -> Number:
    """Return the result of an operation with a Symbol among them."""
    if not all(map(_is_operand, operands)):
        return NotImplemented
    trace = next(x.trace for x in operands if isinstance(x, Symbol))
    places = [trace.place(x) for x in operands]
    simplify = SIMPLER.get(op)
    if simplify is None:
        return Symbol(trace, trace.node(op, *places))
    return trace.number(simplify(trace, *places))


def _is_operand(x: Any) -> bool:
    if isinstance(x, (Symbol, float)):
        return True
    return _is_number(x) and not isinstance(x, Value)


def _negate(trace: Trace, i: int) -> int:
    op, *operands = trace.nodes[i]
    if i in trace.constants:
        return trace.constant(-trace.constants[i])
    if op == "neg":
        return int(operands[0])
    if op == "-":
        return trace.node("-", operands[1], operands[0])
    factor, x = trace.factor(i)
    if factor is not None:
        return _scale(trace, _negate(trace, factor), x)
    return trace.node("neg", i)


def _opposite(trace: Trace, i: int) -> int | None:
    """Return the place of `-i` if it is the simpler of the two."""
    op, *operands = trace.nodes[i]
    if op == "neg":
        return int(operands[0])
    factor, x = trace.factor(i)
    sign = trace.constants.get(i if factor is None else factor)
    if type(sign) is not float or sign >= 0 or math.isnan(sign):
        return None
    positive = trace.constant(-sign)
    return positive if factor is None else _scale(trace, positive, x)


def _add(trace: Trace, i: int, j: int) -> int:
    for a, b in ((i, j), (j, i)):
        if trace.is_number(a, 0.0):
            return b
        opposite = _opposite(trace, b)
        if opposite is not None:
            return _subtract(trace, a, opposite)
    return trace.node("+", *sorted((i, j), key=trace.constants_last))


def _subtract(trace: Trace, i: int, j: int) -> int:
    if trace.is_number(j, 0.0):
        return i
    if trace.is_number(i, 0.0):
        return _negate(trace, j)
    opposite = _opposite(trace, j)
    if opposite is not None:
        return _add(trace, i, opposite)
    return trace.node("-", i, j)


def _multiply(trace: Trace, i: int, j: int) -> int:
    if j in trace.constants:
        i, j = j, i
    if i in trace.constants:
        return _scale(trace, i, j)
    for a, b in ((i, j), (j, i)):
        if trace.nodes[a][0] == "neg":
            product = _multiply(trace, trace.nodes[a][1], b)
            return _negate(trace, product)
    (c, x), (d, y) = trace.factor(i), trace.factor(j)
    if c is not None and d is not None and trace.merge_exactly(c, d):
        return _scale(trace, trace.fold(c, d), _multiply(trace, x, y))
    return trace.node("*", min(i, j), max(i, j))


def _scale(trace: Trace, factor: int, i: int) -> int:
    """Multiply by a constant; merge two, if that rounds nothing."""
    op, *operands = trace.nodes[i]
    if trace.is_number(factor, 1.0):
        return i
    if trace.is_number(factor, -1.0):
        return _negate(trace, i)
    if i in trace.constants:
        return trace.fold(factor, i)
    if op == "neg":
        return _scale(trace, _negate(trace, factor), operands[0])
    other, x = trace.factor(i)
    if other is not None and trace.merge_exactly(factor, other):
        return _scale(trace, trace.fold(factor, other), x)
    return trace.node("*", factor, i)


def _divide(trace: Trace, i: int, j: int) -> int:
    if trace.is_number(j, 1.0):
        return i
    if trace.nodes[i][0] == "neg":
        return _negate(trace, _divide(trace, trace.nodes[i][1], j))
    return trace.node("/", i, j)


def _power(trace: Trace, i: int, j: int) -> int:
    if trace.is_number(j, 0.0):
        return trace.constant(1.0)
    if trace.is_number(j, 1.0):
        return i
    if trace.is_number(j, 2.0):
        return _multiply(trace, i, i)
    return trace.node("**", i, j)


def _absolute(trace: Trace, i: int) -> int:
    op, *operands = trace.nodes[i]
    return trace.node("abs", operands[0] if op == "neg" else i)


def _choose(trace: Trace, condition: int, i: int, j: int) -> int:
    if condition in trace.constants:
        return i if trace.constants[condition] else j
    return i if i == j else trace.node("where", condition, i, j)


def _both(trace: Trace, i: int, j: int) -> int:
    for known, other in ((i, j), (j, i)):
        if known in trace.constants:
            return other if trace.constants[known] else known
    return trace.node("&", i, j)


SIMPLER: dict[str, Callable[..., int]] = {
    "neg": _negate,
    "+": _add,
    "-": _subtract,
    "*": _multiply,
    "/": _divide,
    "**": _power,
    "abs": _absolute,
    "where": _choose,
    "&": _both,
}
"""What an operation on places is when some operands are known."""


class Symbol:
    """A number in a trace.

    Args:
        trace: The trace.
        index: The place in the trace.
    """

    __slots__ = ("trace", "index")

    def __init__(self, trace: Trace, index: int) -> None:
        self.trace = trace
        self.index = index

    def __repr__(self) -> str:
        op, *operands = self.trace.nodes[self.index]
        return f"Symbol({op}, {', '.join(map(str, operands))})"

    def __add__(self, other: Number) -> Number:
        return apply("+", self, other)

    def __radd__(self, other: Number) -> Number:
        return apply("+", other, self)

    def __sub__(self, other: Number) -> Number:
        return apply("-", self, other)

    def __rsub__(self, other: Number) -> Number:
        return apply("-", other, self)

    def __mul__(self, other: Number) -> Number:
        return apply("*", self, other)

    def __rmul__(self, other: Number) -> Number:
        return apply("*", other, self)

    def __truediv__(self, other: Number) -> Number:
        return apply("/", self, other)

    def __rtruediv__(self, other: Number) -> Number:
        return apply("/", other, self)

    def __pow__(self, other: Number) -> Number:
        return apply("**", self, other)

    def __rpow__(self, other: Number) -> Number:
        return apply("**", other, self)

    def __neg__(self) -> Number:
        return apply("neg", self)

    def __pos__(self) -> Number:
        return self

    def __abs__(self) -> Number:
        return apply("abs", self)

    def __lt__(self, other: Number) -> Any:
        return apply("<", self, other)

    def __le__(self, other: Number) -> Any:
        return apply("<=", self, other)

    def __gt__(self, other: Number) -> Any:
        return apply(">", self, other)

    def __ge__(self, other: Number) -> Any:
        return apply(">=", self, other)

    def __eq__(self, other: object) -> Any:
        return apply("==", self, other)

    def __ne__(self, other: object) -> Any:
        return apply("!=", self, other)

    def __and__(self, other: Any) -> Any:
        return apply("&", self, other)

    def __rand__(self, other: Any) -> Any:
        return apply("&", other, self)

    __hash__ = object.__hash__
    __array_ufunc__ = None

    def __array_namespace__(self, *, api_version: Any = None) -> Any:
        return Symbol

    def __bool__(self) -> NoReturn:
        raise TracingError(
            f"{_where_asked()}: a trace has no numbers to decide by; "
            "write where(condition, x, y), or x.maximum(y)"
        )

    def __float__(self) -> NoReturn:
        raise TracingError(
            f"{_where_asked()}: a trace has no numbers to convert; "
            "use the methods of the number, such as x.sin()"
        )

    __int__ = __index__ = __float__

    def maximum(self, other: Number) -> Number:
        """Return the larger of two numbers."""
        return apply("maximum", self, other)

    def minimum(self, other: Number) -> Number:
        """Return the smaller of two numbers."""
        return apply("minimum", self, other)

    @staticmethod
    def where(condition: Any, x: Number, y: Number) -> Number:
        """Return `x` where the condition holds, else `y`."""
        return apply("where", condition, x, y)

    def zeros_like(self) -> float:
        """Return 0: a constant fits every shape."""
        return 0.0

    def sigmoid(self) -> Number:
        """Return `1 / (1 + exp(-x))` for any x, without overflow."""
        z = (-abs(self)).exp()
        return self.where(self >= 0, 1 / (1 + z), z / (1 + z))

    def softplus(self) -> Number:
        """Return `log(1 + exp(x))` for any x, without overflow."""
        return self.maximum(0.0) + (-abs(self)).exp().log1p()


def _method(name: str) -> Callable[[Symbol], Number]:
    def method(self: Symbol) -> Number:
        return apply(name, self)

    method.__name__ = name
    method.__doc__ = f"Return the {name} of the number, in the trace."
    return method


for _name in (*NAMES, "sign"):
    setattr(Symbol, _name, _method(_name))


def _where_asked() -> str:
    """Name the line outside of this package that is running."""
    frame = sys._getframe(2)
    while frame.f_back and _is_ours(frame.f_globals):
        frame = frame.f_back
    name, number = frame.f_code.co_filename, frame.f_lineno
    line = linecache.getline(name, number).strip()
    return f"{frame.f_code.co_name}, line {number}, `{line}`"


def _is_ours(scope: dict[str, Any]) -> bool:
    return str(scope.get("__name__")).startswith("prosegrad.")
