"""From a trace to the source of a Python function.

The trace knows which operations there are; this module decides which
of them are needed, which deserve a name, and how they are spelled.
"""

import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from prosegrad.symbol import Trace
from prosegrad.trees import Structure

WIDTH = 72
"""A line of the source is not longer than this."""

LONGEST_PART = 24
"""A longer part of an expression gets a name and a line of its own."""

ATOM, NEGATIVE, PRODUCT, SUM, COMPARISON, AND, CHOICE = range(6, -1, -1)
"""How strongly an expression binds, as in Python's grammar."""

Form = tuple[str, int, int]
"""A template, how strongly it binds, and how its operands have to."""

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

ARRAY = FORMS | {"&": ("{} & {}", SUM, PRODUCT)}
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

LEFT_TO_RIGHT = ("+", "-", "*", "/")
"""Where the right operand has to bind more strongly than the left."""


class Writer:
    """Writes the operations that lead to some results.

    Args:
        trace: The operations.
        outputs: The places of the results.
        forms: `SCALAR` or `ARRAY`.
        taken: Names that mean something else already.

    Attributes:
        lines: One assignment each.
        constants: What the source cannot spell, by name.
    """

    def __init__(
        self,
        trace: Trace,
        outputs: Sequence[int],
        forms: dict[str, Form],
        taken: Iterable[str],
    ) -> None:
        self.nodes = trace.nodes
        self.known = trace.constants
        self.forms = forms
        self.taken = set(taken)
        self.lines: list[str] = []
        self.constants: dict[str, Any] = {}
        self.texts: dict[int, tuple[str, int]] = {}
        self.uses = Counter(outputs)
        self.named = set(outputs)
        self._count = 0
        for place in self._live(outputs):
            self._write(place)

    def _live(self, outputs: Sequence[int]) -> list[int]:
        """Return the places that the results need, in order."""
        live = set(outputs)
        for place in range(max(outputs, default=-1), -1, -1):
            if place in live:
                operands = self.operands(place)
                live.update(operands)
                self.uses.update(operands)
                if self.nodes[place][0] in REPEATING:
                    self.named.update(operands)
        return sorted(live)

    def operands(self, place: int) -> tuple[int, ...]:
        """Return the places of the operands of a node."""
        op, *operands = self.nodes[place]
        return () if op in ("input", "constant") else tuple(operands)

    def _write(self, place: int) -> None:
        op, *operands = self.nodes[place]
        if op == "constant":
            self.texts[place] = self._literal(self.known[place])
        elif op == "input":
            self._place(
                place, operands[0], ATOM, _identifier(operands[0])
            )
        else:
            self._place(place, *self._expression(op, operands))

    def _literal(self, value: Any) -> tuple[str, int]:
        if not isinstance(value, (float, int)):
            name = self._new_name(f"c{len(self.constants)}")
            self.constants[name] = value
            return name, ATOM
        text = repr(value)
        return text, NEGATIVE if text.startswith("-") else ATOM

    def _expression(
        self, op: str, operands: list[int]
    ) -> tuple[str, int]:
        if op == "**":
            return self._power(*operands)
        if op not in self.forms:
            inside = ", ".join(self.texts[i][0] for i in operands)
            return f"{op}({inside})", ATOM
        form, binding, least = self.forms[op]
        texts = [self._part(i, least) for i in operands]
        if op in LEFT_TO_RIGHT:
            texts[1] = self._part(operands[1], least + 1)
        return form.format(*texts), binding

    def _power(self, base: int, exponent: int) -> tuple[str, int]:
        n = self.known.get(exponent)
        whole = isinstance(n, float) and n.is_integer()
        if "where" in self.forms and not whole:
            inside = f"{self.texts[base][0]}, {self.texts[exponent][0]}"
            return f"pow({inside})", ATOM
        left = self._part(base, ATOM)
        return f"{left} ** {self._part(exponent, NEGATIVE)}", NEGATIVE

    def _part(self, place: int, least: int) -> str:
        text, binding = self.texts[place]
        return text if binding >= least else f"({text})"

    def _place(
        self, place: int, text: str, binding: int, name: str = ""
    ) -> None:
        once = self.uses[place] == 1 and place not in self.named
        if once and len(text) <= LONGEST_PART:
            self.texts[place] = (text, binding)
            return
        if not name:
            name, self._count = f"v{self._count}", self._count + 1
        name = self._new_name(name)
        self.lines.append(f"{name} = {text}")
        self.texts[place] = (name, ATOM)

    def _new_name(self, name: str) -> str:
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name


def _identifier(path: str) -> str:
    return re.sub(r"\W+", "_", path).strip("_")


def display(structure: Structure, texts: Iterable[str]) -> str:
    """Return the source of a tree with these texts as its leaves."""
    return _display(structure, iter(texts))


def _display(structure: Structure, texts: Any) -> str:
    if structure.kind is None:
        return str(next(texts))
    parts = [_display(child, texts) for child in structure.children]
    if structure.keys:
        keys = [
            repr(key).replace(" ", r"\x20") for key in structure.keys
        ]
        pairs = [f"{k}: {part}" for k, part in zip(keys, parts)]
        return "{" + ", ".join(pairs) + "}"
    inside = ", ".join(parts)
    if issubclass(structure.kind, list):
        return f"[{inside}]"
    return f"({inside},)" if len(parts) == 1 else f"({inside})"


def fold(text: str) -> list[str]:
    """Break the last line, a long one, between its parts."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=" " * 4,
        subsequent_indent=" " * 8,
        break_long_words=False,
        break_on_hyphens=False,
    )
