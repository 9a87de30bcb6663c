"""From a trace to the source of a Python function.

The trace knows which operations there are. Here it is decided which
of them are needed, which deserve a name, and how they are spelled.
"""

import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from numbers import Real
from typing import Any

from prosegrad.kinds import NAMES
from prosegrad.operations import (
    ARITHMETIC,
    PYTHON,
    Node,
    Trace,
    is_float,
)
from prosegrad.trees import Structure


def operands_of(node: Node) -> tuple[int, ...]:
    """Return the places of the operands of a node."""
    return () if node[0] in ("input", "constant") else node[1:]


def live_places(trace: Trace, outputs: Sequence[int]) -> list[int]:
    """Return the places that the outputs need, operands first."""
    live = set(outputs)
    for place in range(max(outputs, default=-1), -1, -1):
        if place in live:
            live.update(operands_of(trace.nodes[place]))
    return sorted(live)


def mixes_types(trace: Trace, place: int) -> bool:
    """Tell whether an integer becomes a float; 10**400 does not."""
    op, *operands = trace.nodes[place]
    if op not in ARITHMETIC:
        return False
    kinds = {trace.types[i] for i in (place, *operands)} - {bool}
    return len(kinds) > 1 or Real in kinds


def is_never_zero(trace: Trace, place: int) -> bool:
    """Tell whether it is safe to divide by a number."""
    op, *operands = trace.nodes[place]
    if op != "+" or trace.nodes[operands[0]][0] != "exp":
        return bool(trace.constants.get(place))
    return bool(trace.constants.get(operands[1], 0) > 0)


def may_fail(trace: Trace, place: int) -> bool:
    """Tell whether an operation on floats may raise an error."""
    op, *operands = trace.nodes[place]
    if op in ("input", "constant"):
        return False
    kinds = [trace.types[i] for i in (place, *operands)]
    if None in kinds or op == "**":
        return True
    if op in NAMES:
        return not (is_float(kinds[1]) and _is_tame(trace, place))
    by_zero = op == "/" and not is_never_zero(trace, operands[1])
    return by_zero or mixes_types(trace, place)


def _is_tame(trace: Trace, place: int) -> bool:
    op, x = trace.nodes[place]
    if op != "exp":
        return op in ("tanh", "atan")
    op, *operands = trace.nodes[x]
    return op == "neg" and bool(trace.nodes[operands[0]][0] == "abs")


def failures(trace: Trace, outputs: Sequence[int]) -> list[int]:
    """Return what may fail, beside that which the outputs need."""
    live = set(live_places(trace, outputs))
    nodes = trace.nodes
    divisors = {nodes[i][2] for i in live if nodes[i][0] == "/"}
    found: list[int] = []
    for place, node in enumerate(nodes):
        if place in live or not may_fail(trace, place):
            continue
        is_known = node[0] == "/" and node[2] in divisors
        if not is_known or mixes_types(trace, place):
            found.append(place)
        if node[0] == "/":
            divisors.add(node[2])
    return found


def hidden_failures(trace: Trace, live: Iterable[int]) -> set[int]:
    """Return what may fail and would stand inside a choice."""
    inside: set[int] = set()
    for place in sorted(live, reverse=True):
        op, *operands = trace.nodes[place]
        if op in ("where", "&"):
            inside.update(operands[1:])
        if place in inside:
            inside.update(operands_of(trace.nodes[place]))
    return {i for i in inside if may_fail(trace, i)}


ATOM, NEGATIVE, PRODUCT, SUM, COMPARISON, AND, CHOICE = range(6, -1, -1)
"""How strongly an expression binds, as in Python's grammar."""

Form = tuple[str, int, int]
"""A template, how strongly it binds, and how its operands must."""

FORMS: dict[str, Form] = {
    "neg": ("-{}", NEGATIVE, ATOM),
    "+": ("{} + {}", SUM, SUM),
    "-": ("{} - {}", SUM, SUM),
    "*": ("{} * {}", PRODUCT, PRODUCT),
    "/": ("{} / {}", PRODUCT, PRODUCT),
    "**": ("{} ** {}", NEGATIVE, ATOM),
    "<": ("{} < {}", COMPARISON, SUM),
    "<=": ("{} <= {}", COMPARISON, SUM),
    ">": ("{} > {}", COMPARISON, SUM),
    ">=": ("{} >= {}", COMPARISON, SUM),
    "==": ("{} == {}", COMPARISON, SUM),
    "!=": ("{} != {}", COMPARISON, SUM),
}
"""How an operation is spelled; any other is a call."""

LEFT_TO_RIGHT = ("+", "-", "*", "/")
"""Where the right operand must bind more strongly than the left."""

ARRAY = FORMS | {"&": ("{} & {}", COMPARISON, PRODUCT)}
"""How an operation on arrays is spelled."""

_MAXIMUM = "{0} if {0} >= {1} or {0} != {0} else {1}"
_MINIMUM = "{0} if {0} <= {1} or {0} != {0} else {1}"
_SIGN = "{0} if {0} != {0} else ({0} > 0) - ({0} < 0)"

SCALAR = FORMS | {
    "&": ("{} and {}", AND, COMPARISON),
    "where": ("{1} if {0} else {2}", CHOICE, AND),
    "maximum": (_MAXIMUM, CHOICE, ATOM),
    "minimum": (_MINIMUM, CHOICE, ATOM),
    "sign": (_SIGN, CHOICE, ATOM),
}
"""How an operation on floats is spelled."""

REPEATING = ("maximum", "minimum", "sign")
"""Where an operand is written twice, and so has to have a name."""

WIDTH = 72
"""A line of the source is not longer than this."""

LONGEST_PART = 24
"""A longer part of an expression gets a name and a line of its own."""


class Writer:
    """Writes the operations that lead to some results.

    Args:
        trace: The operations.
        outputs: The places of the results.
        forms: `SCALAR` or `ARRAY`.
        taken: Names that mean something else already.
        also: Places to compute although no result needs them.

    Attributes:
        lines: The source, one assignment a line.
        texts: For each place, what stands for it, and its binding.
        constants: What the source cannot spell, by name.
    """

    def __init__(
        self,
        trace: Trace,
        outputs: Sequence[int],
        forms: dict[str, Form],
        taken: Iterable[str],
        also: Sequence[int] = (),
    ) -> None:
        self.lines: list[str] = []
        self.texts: dict[int, tuple[str, int]] = {}
        self.constants: dict[str, Any] = {}
        self._trace = trace
        self._forms = forms
        self._taken = set(taken)
        self._names = (f"v{i}" for i in range(len(trace.nodes)))
        live = live_places(trace, [*outputs, *also])
        self._uses = Counter(outputs)
        self._named = set(outputs)
        for place in live:
            self._look_at(trace.nodes[place])
        if forms is SCALAR:
            self._named |= hidden_failures(trace, live)
        for place in live:
            self._write(place)

    def _look_at(self, node: Node) -> None:
        operands = operands_of(node)
        self._uses.update(operands)
        if node[0] in REPEATING:
            self._named.update(operands)

    def _write(self, place: int) -> None:
        op, *operands = self._trace.nodes[place]
        if op == "constant":
            self.texts[place] = self._literal(place)
        elif op == "input":
            self._put_input(place, *operands)
        else:
            self._put(place, *self._expression(place, op, operands))

    def _put(
        self, place: int, text: str, binding: int, name: str = ""
    ) -> None:
        once = self._uses[place] == 1 and place not in self._named
        if once and len(text) <= LONGEST_PART:
            self.texts[place] = text, binding
            return
        name = self._new_name(name or next(self._names))
        self.lines.append(f"{name} = {text}")
        self.texts[place] = name, ATOM

    def _put_input(self, place: int, path: str) -> None:
        if path.isidentifier():
            self.texts[place] = path, ATOM
        else:
            self._put(place, path, ATOM, _identifier(path))

    def _new_name(self, name: str) -> str:
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name

    def _expression(
        self, place: int, op: str, operands: list[int]
    ) -> tuple[str, int]:
        if op == "**":
            op = self._power(self._trace.types[place], operands[1])
        if op not in self._forms:
            inside = ", ".join(self.texts[i][0] for i in operands)
            return f"{op}({inside})", ATOM
        form, binding, least = self._forms[op]
        parts = [self._part(i, least) for i in operands]
        if op in LEFT_TO_RIGHT:
            parts[1] = self._part(operands[1], least + 1)
        return form.format(*parts), binding

    def _part(self, place: int, least: int) -> str:
        text, binding = self.texts[place]
        return text if binding >= least else f"({text})"

    def _power(self, kind: Any, exponent: int) -> str:
        """Return what gives no complex power of a real number."""
        n = self._trace.constants.get(exponent)
        is_whole = type(n) is float and n.is_integer()
        if self._forms is not SCALAR or is_whole or kind is int:
            return "**"
        if kind in (None, Real):
            return "power"
        return "pow" if kind is float else "**"

    def _literal(self, place: int) -> tuple[str, int]:
        value = self._trace.constants[place]
        is_short = type(value) is not int or abs(value) < 2**63
        if type(value) in PYTHON and is_short:
            text = repr(value)
            return text, NEGATIVE if text[0] == "-" else ATOM
        name = self._new_name(f"c{len(self.constants)}")
        self.constants[name] = value
        return name, ATOM


def _identifier(path: str) -> str:
    return re.sub(r"\W+", "_", path, flags=re.ASCII).rstrip("_")


def display(structure: Structure, texts: Iterable[str]) -> str:
    """Return the source of a tree with these texts as its leaves."""
    return _display(structure, iter(texts))


def _display(structure: Structure, texts: Iterator[str]) -> str:
    if structure.kind is None:
        return next(texts)
    parts = [_display(child, texts) for child in structure.children]
    if structure.kind is dict:
        keys = map(_key, structure.keys)
        pairs = (f"{key}: {part}" for key, part in zip(keys, parts))
        return "{" + ", ".join(pairs) + "}"
    inside = ", ".join(parts)
    if structure.kind is list:
        return f"[{inside}]"
    return f"({inside},)" if len(parts) == 1 else f"({inside})"


def _key(key: Any) -> str:
    """Spell a key so that no line can be folded inside it."""
    if type(key) is tuple:
        return f"({''.join(f'{_key(part)},' for part in key)})"
    return repr(key).replace(" ", r"\x20")


def fold(text: str) -> list[str]:
    """Break a line that is too long, between its parts."""
    lines = textwrap.wrap(
        text.replace(" ", "\xa0", 1),  # not after `return`
        WIDTH,
        initial_indent=" " * 4,
        subsequent_indent=" " * 8,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\xa0", " ") for line in lines]
