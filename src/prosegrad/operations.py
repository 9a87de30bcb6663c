"""A list of operations, each once and in its simplest form.

An operation is a name and the places of its operands in the list.
The same operation on the same operands is not written down again, and
what is known is computed at once. Nothing here knows of derivatives.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

Node = tuple[Any, ...]
"""The name of an operation, and the places of its operands."""


class Trace:
    """The operations of one program, in the order of the program.

    Attributes:
        nodes: The operations. Inputs and constants are among them.
        constants: By their places, the values that are known.
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.constants: dict[int, Any] = {}
        self._places: dict[Node, int] = {}

    def node(self, *node: Any) -> int:
        """Return the place of a node; a new one goes to the end."""
        place = self._places.get(node)
        if place is None:
            place = self._places[node] = len(self.nodes)
            self.nodes.append(node)
        return place

    def constant(self, value: Any) -> int:
        """Return the place of a constant; integers become floats."""
        key: Any = id(value)
        if isinstance(value, (float, int)):
            small = type(value) is not bool and abs(value) < 2**53
            if isinstance(value, float) or small:
                value = float(value)
            key = (type(value), value, math.copysign(1.0, value))
        place = self.node("constant", key)
        self.constants[place] = value
        return place

    def is_number(self, place: int, number: float) -> bool:
        """Tell whether a place holds this number."""
        value = self.constants.get(place)
        return type(value) is float and value == number

    def is_plain(self, place: int) -> bool:
        """Tell whether a place holds a number that is no array."""
        return isinstance(self.constants.get(place), (float, int))

    def add(self, op: str, *places: int) -> int:
        """Return the place of an operation, in its simplest form."""
        simplify = SIMPLER.get(op)
        if simplify is None:
            return self.node(op, *places)
        return simplify(self, *places)

    def factor(self, place: int) -> tuple[int | None, int]:
        """Return the constant factor of a product and the rest."""
        op, *operands = self.nodes[place]
        if op == "*" and operands[0] in self.constants:
            return operands[0], operands[1]
        return None, place

    def merge(self, i: int | None, j: int | None) -> int | None:
        """Return the place of the product of two constants.

        None, if one of them is None or the merger could round.
        """
        if i is None or j is None:
            return None
        a, b = self.constants[i], self.constants[j]
        exact = _is_power_of_two(a) or _is_power_of_two(b)
        return self.constant(a * b) if exact else None


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
    if type(sign) is not float or not sign < 0:
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
    if (i in trace.constants, i) > (j in trace.constants, j):
        i, j = j, i  # one order for both, a constant last
    return trace.node("+", i, j)


def _subtract(trace: Trace, i: int, j: int) -> int:
    if trace.is_number(j, 0.0):
        return i
    if trace.is_number(i, 0.0):
        return _negate(trace, j)
    opposite = _opposite(trace, j)
    if opposite is not None:
        return _add(trace, i, opposite)
    return trace.node("-", i, j)


def _is_power_of_two(factor: Any) -> bool:
    return type(factor) is float and abs(math.frexp(factor)[0]) == 0.5


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
    both = trace.merge(c, d)
    if both is not None:
        return _scale(trace, both, _multiply(trace, x, y))
    return trace.node("*", min(i, j), max(i, j))


def _scale(trace: Trace, factor: int, i: int) -> int:
    if trace.is_number(factor, 1.0):
        return i
    if trace.is_number(factor, -1.0):
        return _negate(trace, i)
    if i in trace.constants:
        return trace.constant(
            trace.constants[factor] * trace.constants[i]
        )
    if trace.nodes[i][0] == "neg":
        opposite = _negate(trace, factor)
        return _scale(trace, opposite, trace.nodes[i][1])
    other, x = trace.factor(i)
    both = trace.merge(factor, other)
    if both is not None:
        return _scale(trace, both, x)
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
    if trace.is_plain(condition):
        return i if trace.constants[condition] else j
    return i if i == j else trace.node("where", condition, i, j)


def _both(trace: Trace, i: int, j: int) -> int:
    for known, other in ((i, j), (j, i)):
        if trace.is_plain(known):
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
"""For an operation, what finds the simplest place for it."""
