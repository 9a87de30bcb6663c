"""A list of operations, each once and in its simplest form.

An operation is a name and the places of its operands in the list.
The same operation on the same operands is not written down again, and
what is known is computed at once. Nothing here knows of derivatives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from numbers import Real
from typing import Any

Node = tuple[Any, ...]
"""The name of an operation, and the places of its operands."""


class Trace:
    """The operations of one program, in the order of the program.

    Args:
        raises: Whether the numbers raise errors, as Python's do; an
            array holds infinity and NaN instead.

    Attributes:
        nodes: The operations. Inputs and constants are among them.
        constants: By their places, the values that are known.
        types: By their places, the types of the numbers: `Real` for
            one of Python's without saying which, None for any. In
            a trace that does not raise, any number is a float.
        unsigned: The places of numbers that are never -0.0.
    """

    def __init__(self, raises: bool = True) -> None:
        self.raises = raises
        self.nodes: list[Node] = []
        self.constants: dict[int, Any] = {}
        self.types: dict[int, Any] = {}
        self.unsigned: set[int] = set()
        self._places: dict[Node, int] = {}

    def node(self, *node: Any) -> int:
        """Return the place of a node; a new one goes to the end."""
        place = self._places.get(node)
        if place is None:
            place = self._places[node] = len(self.nodes)
            self.nodes.append(node)
            self.types[place] = self.type_of(*node)
            if self._is_unsigned(*node):
                self.unsigned.add(place)
        return place

    def constant(self, value: Any) -> int:
        """Return the place of a constant; `1` and `1.0` are two."""
        key: Any = id(value)
        if isinstance(value, int) and type(value) not in PYTHON:
            value = int(value)  # a member of an enumeration
        if type(value) in PYTHON:
            key = type(value), value, str(value)[:1] == "-"
        place = self.node("constant", key)
        self.constants[place] = value
        kind = kind_of(value)
        known = self.raises or kind is bool
        self.types[place] = kind if known else float
        if not self.is_number(place, -0.0):
            self.unsigned.add(place)
        return place

    def is_number(self, place: int, number: float) -> bool:
        """Tell whether a place holds this float, zeros by sign."""
        value = self.constants.get(place)
        same = type(value) is float and value == number
        return same and str(value)[0] == str(number)[0]

    def is_plain(self, place: int) -> bool:
        """Tell whether a place holds a number that is no array."""
        return isinstance(self.constants.get(place), (float, int))

    def is_zero(self, place: int) -> bool:
        """Tell whether a place holds 0, of any type and sign."""
        return self.is_plain(place) and not self.constants[place]

    def type_of(self, op: str, *operands: Any) -> Any:
        """Return the type of the result, None if it is not known."""
        if op == "input":
            return float
        if op == "constant":
            return None  # `constant` knows it
        if not self.raises:
            return bool if op in (*COMPARISONS, "&") else float
        kinds = [self.types.get(i) for i in operands[op == "where" :]]
        widest = max(kinds, key=_width, default=None)
        if None in kinds:
            return None
        if op in CHOICES and len(set(kinds)) == 1:
            return widest
        if op in ("neg", "abs", *ARITHMETIC):
            return self._of_arithmetic(op, operands, widest)
        if op in (*COMPARISONS, "&"):
            return bool
        if op in (*CHOICES, "sign", "zeros_like", "ones_like"):
            return Real if widest in PYTHON else None
        return float

    def _of_arithmetic(
        self, op: str, operands: Sequence[int], widest: Any
    ) -> Any:
        if widest in (Real, float) or widest not in PYTHON:
            return float if op == "/" and widest is Real else widest
        if op == "/":
            return float
        if op == "**" and not self.constants.get(operands[1], -1) >= 0:
            return Real
        return int

    def _as_floats(self, places: Sequence[int]) -> list[int]:
        """Return the places, with small integers as floats."""
        if not any(is_float(self.types.get(i)) for i in places):
            return list(places)
        return [self._as_float(i) for i in places]

    def _as_float(self, place: int) -> int:
        value = self.constants.get(place)
        if type(value) is int and abs(value) < 2**53:
            return self.constant(float(value))
        return place

    def _is_unsigned(self, op: str, *operands: Any) -> bool:
        if op == "+":
            return not self.unsigned.isdisjoint(operands)
        if op == "-":
            return operands[0] in self.unsigned
        if op == "**" and self.is_plain(operands[1]):
            return bool(self.constants[operands[1]] % 2 == 0)
        is_square = op == "*" and operands[0] == operands[1]
        return is_square or op in ("exp", "abs", "cosh")

    def add(self, op: str, *places: int, free: bool = False) -> int:
        """Return the place of an operation, in its simplest form.

        Args:
            op: The name of the operation.
            places: Those of its operands.
            free: Nobody sees the sign of the result if it is zero.
        """
        if op in (*ARITHMETIC, *COMPARISONS):
            places = tuple(self._as_floats(places))
        simplify = SIMPLER.get(op)
        if simplify is not None and self._may_simplify(op, places):
            return simplify(self, *places, free)
        return self.node(op, *places)

    def _may_simplify(self, op: str, places: Iterable[int]) -> bool:
        if not self.raises or op in ("where", "&"):
            return True  # members of an array are of one type
        return all(is_float(self.types.get(i)) for i in places)

    def factor(self, place: int) -> tuple[int | None, int]:
        """Return the constant factor of a float and the rest."""
        op, *operands = self.nodes[place]
        if op != "*" or operands[0] not in self.constants:
            return None, place
        if not self.keeps_type(place, operands[1]):
            return None, place
        return operands[0], operands[1]

    def keeps_type(self, place: int, x: int) -> bool:
        """Tell whether a product is of the type of its factor x."""
        return not self.raises or is_float(self.types[x])

    def merge(self, i: int, j: int | None) -> int | None:
        """Return the place of the product of two constants.

        None, if `i * (j * x)` could be another number.
        """
        c = self.constants[i]
        d = None if j is None else self.constants[j]
        if type(c) is not float or type(d) is not float:
            return None
        exact = abs(d) >= 1 and abs(math.frexp(d)[0]) == 0.5
        if exact and abs(c) >= 1 and abs(c * d) <= LARGEST_FACTOR:
            return self.constant(c * d)
        return None


PYTHON = (bool, int, Real, float)
"""Types of Python's numbers, each wider than the one before."""


def kind_of(x: Any) -> Any:
    """Return the type of a number, if it is of one that we know."""
    kind = type(x)
    is_numpy = isinstance(x, float) and hasattr(x, "dtype")
    return kind if kind in PYTHON or is_numpy else None


COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")

ARITHMETIC = ("+", "-", "*", "/", "**")

CHOICES = ("where", "maximum", "minimum")


def _width(kind: Any) -> int:
    return PYTHON.index(kind) if kind in PYTHON else len(PYTHON)


def is_float(kind: Any) -> bool:
    """Tell whether numbers of a type are floats, or NumPy's."""
    return kind is not None and issubclass(kind, float)


def _negate(trace: Trace, i: int, free: bool) -> int:
    op, *operands = trace.nodes[i]
    if i in trace.constants:
        return trace.constant(-trace.constants[i])
    if op == "neg":
        return int(operands[0])
    if op == "-" and free:
        return _subtract(trace, operands[1], operands[0], free)
    factor, x = trace.factor(i)
    if factor is not None and trace.is_plain(factor):
        opposite = trace.constant(-trace.constants[factor])
        return _scale(trace, opposite, x, free)
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
    return positive if factor is None else trace.add("*", positive, x)


def _add(trace: Trace, i: int, j: int, free: bool) -> int:
    for a, b in ((i, j), (j, i)):
        zero = trace.is_number(a, 0.0)
        if trace.is_number(a, -0.0) or (
            zero and (free or b in trace.unsigned)
        ):
            return b
        is_sum = zero and trace.nodes[b][0] != "neg"
        opposite = None if is_sum else _opposite(trace, b)
        if opposite is not None:
            return _subtract(trace, a, opposite, free)
    if (i in trace.constants, i) > (j in trace.constants, j):
        i, j = j, i  # one order for both, a constant last
    return trace.node("+", i, j)


def _subtract(trace: Trace, i: int, j: int, free: bool) -> int:
    if trace.is_number(j, 0.0):
        return i
    if trace.is_number(i, -0.0) or (free and trace.is_number(i, 0.0)):
        return _negate(trace, j, free)
    opposite = _opposite(trace, j)
    if opposite is not None:
        return _add(trace, i, opposite, free)
    return trace.node("-", i, j)


LARGEST_FACTOR = 2.0**15  # fits into 16 bits


def _multiply(trace: Trace, i: int, j: int, free: bool) -> int:
    if j in trace.constants:
        i, j = j, i
    if i in trace.constants:
        return _scale(trace, i, j, free)
    for a, b in ((i, j), (j, i)):
        if trace.nodes[a][0] == "neg":
            product = _multiply(trace, trace.nodes[a][1], b, free)
            return _negate(trace, product, free)
    return trace.node("*", min(i, j), max(i, j))


def _scale(trace: Trace, factor: int, i: int, free: bool) -> int:
    if trace.is_number(factor, 1.0):
        return i
    if trace.is_number(factor, -1.0):
        return _negate(trace, i, free)
    if trace.nodes[i][0] == "neg" and trace.is_plain(factor):
        opposite = trace.constant(-trace.constants[factor])
        return _scale(trace, opposite, trace.nodes[i][1], free)
    other, x = trace.factor(i)
    both = trace.merge(factor, other)
    if both is not None:
        return _scale(trace, both, x, free)
    return trace.node("*", factor, i)


def _divide(trace: Trace, i: int, j: int, free: bool) -> int:
    if trace.is_number(j, 1.0):
        return i
    if trace.nodes[i][0] == "neg":
        quotient = _divide(trace, trace.nodes[i][1], j, free)
        return _negate(trace, quotient, free)
    return trace.node("/", i, j)


def _power(trace: Trace, i: int, j: int, free: bool) -> int:
    is_zero = trace.is_number(j, 0.0) or trace.is_number(j, -0.0)
    if is_zero and (trace.types[i] is float or not trace.raises):
        return trace.constant(1.0)
    if trace.is_number(j, 1.0):
        return i
    if trace.is_number(j, 2.0) and not trace.raises:
        return _multiply(trace, i, i, free)
    return trace.node("**", i, j)


def _absolute(trace: Trace, i: int, free: bool) -> int:
    op, *operands = trace.nodes[i]
    return trace.node("abs", operands[0] if op == "neg" else i)


def _choose(
    trace: Trace, condition: int, i: int, j: int, free: bool
) -> int:
    if trace.is_plain(condition):
        return i if trace.constants[condition] else j
    same = i == j and not (trace.raises and trace.is_zero(i))
    return i if same else trace.node("where", condition, i, j)


def _both(trace: Trace, i: int, j: int, free: bool) -> int:
    for known, other in ((i, j), (j, i)):
        if type(trace.constants.get(known)) is bool:
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

HIDING = (*COMPARISONS, "&", "exp", "abs", "cos", "cosh", "acos")
"""Operations that do not tell a zero from minus zero."""


def signed_places(trace: Trace, outputs: Iterable[int]) -> set[int]:
    """Return where the sign of a zero may show in the outputs."""
    found = set(outputs)
    for place in range(len(trace.nodes) - 1, -1, -1):
        op, *operands = trace.nodes[place]
        if op in ("input", "constant", *HIDING):
            continue
        if op in ("/", "**") and not trace.raises:
            found.update(operands)
        if place in found:
            found.update(_showing(trace, op, operands))
    return found


def _showing(trace: Trace, op: str, operands: list[int]) -> list[int]:
    """Return the operands whose sign shows if that of `op` does."""
    if op == "where":
        return operands[1:]
    if op == "/":
        return operands[:1]
    if op not in ("+", "-"):
        return operands
    i, j = operands
    if i in trace.unsigned:
        return [i]
    return [j] if op == "+" and j in trace.unsigned else operands


def simplified(
    trace: Trace, outputs: Sequence[int]
) -> tuple[Trace, list[int]]:
    """Return the same program, simpler, and where its outputs are."""
    signed = signed_places(trace, outputs if trace.raises else ())
    new = Trace(trace.raises)
    places: list[int] = []
    for place, (op, *operands) in enumerate(trace.nodes):
        if op == "constant":
            places.append(new.constant(trace.constants[place]))
        elif op == "input":
            places.append(new.node(op, *operands))
            new.types[places[-1]] = trace.types[place]
        else:
            moved = (places[i] for i in operands)
            found = new.add(op, *moved, free=place not in signed)
            places.append(found)
    return new, [places[i] for i in outputs]
