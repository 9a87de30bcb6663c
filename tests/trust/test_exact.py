"""The laws of calculus hold for random programs of fractions, with `==`.

200 programs by default, and as many that are polynomials; 10,000 of each in the
long profile. Every program must obey every law.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prosegrad import Value, tracing
from prosegrad import value as engine

from .laws import (
    LAWS,
    POLYNOMIAL_LAWS,
    Law,
    continued_fraction,
    continued_fraction_slope,
)
from .polynomials import polynomial_programs
from .strategies import EXACT, Program, fractions, programs

ALL_LAWS = LAWS | POLYNOMIAL_LAWS
GENERAL = programs(operations=EXACT, max_steps=9)
POLYNOMIAL = polynomial_programs()


def obey(program: Program, laws: Mapping[str, Law]) -> None:
    """Run every law on a program; an error names the law and shows the program."""
    for name, law in laws.items():
        try:
            law(program)
        except BaseException as error:
            error.add_note(f"broken: {name}\n{program}")
            raise


@given(GENERAL)
def test_every_law_holds_for_a_program(program: Program) -> None:
    obey(program, LAWS)


@given(POLYNOMIAL)
def test_every_law_holds_for_a_polynomial(program: Program) -> None:
    obey(program, POLYNOMIAL_LAWS)


@given(fractions, st.lists(st.integers(1, 9), min_size=1, max_size=60))
def test_a_deep_program(x: Fraction, terms: list[int]) -> None:
    """A continued fraction, and its slope by the formula of its convergents."""
    leaf = Value(abs(x))
    continued_fraction(leaf, terms).backward()

    assert continued_fraction_slope(abs(x), terms) == leaf.grad


def test_a_sum_of_ten_thousand_terms() -> None:
    leaf = Value(Fraction(2, 3))
    terms = [leaf * k for k in range(10_000)]
    sum(terms[1:], terms[0]).backward()

    assert sum(range(10_000)) == leaf.grad


# --- each law can fail: faults that are planted, and laws that find them

Patch = Callable[[str, Callable[..., Any]], None]


def _binary(op: str, compute: Any, by_left: Any, by_right: Any) -> Any:
    """Return an operator method with a rule that may be wrong."""

    def method(self: Value, other: Any) -> Value:
        other = self._lift(other)
        x, y = self.data, other.data

        def _backward(grad: Any) -> None:
            self.grad += grad * by_left(x, y)
            other.grad += grad * by_right(x, y)

        return Value(compute(x, y), (self, other), op, _backward)

    return method


def swapped_product(patch: Patch) -> None:
    method = _binary("*", lambda x, y: x * y, lambda x, y: x, lambda x, y: y)
    patch("__mul__", method)


def wrong_value(patch: Patch) -> None:
    tiny = Fraction(1, 10**30)
    method = _binary("*", lambda x, y: x * y + tiny, lambda x, y: y, lambda x, y: x)
    patch("__mul__", method)


def turns_into_a_float(patch: Patch) -> None:
    patch("__neg__", lambda self: Value(-float(self.data), (self,), "neg"))


def assigns(patch: Patch) -> None:
    def add(self: Value, other: Any) -> Value:
        other = self._lift(other)

        def _backward(grad: Any) -> None:
            self.grad = grad
            other.grad = grad

        return Value(self.data + other.data, (self, other), "+", _backward)

    patch("__add__", add)


def looks_late(patch: Patch) -> None:
    def mul(self: Value, other: Any) -> Value:
        other = self._lift(other)

        def _backward(grad: Any) -> None:
            self.grad += grad * other.data
            other.grad += grad * self.data

        return Value(self.data * other.data, (self, other), "*", _backward)

    patch("__mul__", mul)


def keeps_inner_gradients(patch: Patch) -> None:
    def backward(self: Value) -> None:
        self.grad += 1
        for node in reversed(engine.topological_order(self)):
            if node._backward is not None:
                node._backward(node.grad)

    patch("backward", backward)


def changes_numbers(patch: Patch) -> None:
    right = Value.backward

    def backward(self: Value) -> None:
        right(self)
        self.data += 1

    patch("backward", backward)


def leaks_into_everything(patch: Patch) -> None:
    made: list[Value] = []
    init, right = Value.__init__, Value.backward

    def remember(self: Value, *arguments: Any) -> None:
        init(self, *arguments)
        made.append(self)

    def backward(self: Value) -> None:
        right(self)
        for node in made:
            node.grad += node is not self

    patch("__init__", remember)
    patch("backward", backward)


FAULTS = [
    swapped_product,
    wrong_value,
    turns_into_a_float,
    assigns,
    looks_late,
    keeps_inner_gradients,
    changes_numbers,
    leaks_into_everything,
    lambda patch: patch("detach", lambda self: self),
    lambda patch: patch("zero_grad", lambda self: None),
    lambda patch: patch("_lift", lambda self, x: Value(getattr(x, "data", x))),
]


def some(strategy: st.SearchStrategy[Program], count: int) -> list[Program]:
    """Return programs of a strategy, the same on every run."""
    found: list[Program] = []
    keep = given(strategy)(lambda program: found.append(program))
    settings(max_examples=count, derandomize=True, database=None)(keep)()
    return [program for program in found if len(program.steps) > 3][:25]


@pytest.fixture(scope="module")
def samples() -> dict[bool, list[Program]]:
    return {True: some(GENERAL, 60), False: some(POLYNOMIAL, 60)}


def breaks(law: Law, samples: list[Program]) -> bool:
    """Tell whether a law fails for one of some programs."""
    for program in samples:
        try:
            law(program)
        except Exception:
            return True
    return False


@pytest.mark.parametrize("name", ALL_LAWS)
def test_a_law_finds_a_planted_fault(
    name: str, samples: dict[bool, list[Program]]
) -> None:
    """A law that cannot fail would prove nothing."""
    sample = samples[name in LAWS]

    assert not breaks(ALL_LAWS[name], sample)
    assert any(_caught(fault, name, sample) for fault in FAULTS)


def _caught(fault: Any, name: str, sample: list[Program]) -> bool:
    with pytest.MonkeyPatch.context() as monkey:
        fault(lambda attribute, new: monkey.setattr(Value, attribute, new))
        return breaks(ALL_LAWS[name], sample)


@pytest.mark.parametrize("number", range(len(FAULTS)))
def test_a_planted_fault_is_found_by_a_law(
    number: int, samples: dict[bool, list[Program]]
) -> None:
    caught = [n for n in ALL_LAWS if _caught(FAULTS[number], n, samples[n in LAWS])]

    assert caught


def test_the_trace_is_compared_step_by_step(
    monkeypatch: pytest.MonkeyPatch, samples: dict[bool, list[Program]]
) -> None:
    """A trace that forgets its last step is found out."""
    right = tracing.trace_backward
    monkeypatch.setattr(
        tracing, "trace_backward", lambda root, names: right(root, names)[:-1]
    )

    assert breaks(LAWS["the trace tells what backward does"], samples[True])


def test_a_program_can_be_read() -> None:
    """What a failing test shows: one line a node, in order."""
    program = some(GENERAL, 20)[0]
    lines = str(program).split("\n")

    assert len(lines) == len(program.inputs) + len(program.steps)
    assert all(a.startswith(f"n{i} = ") for i, a in enumerate(lines))
