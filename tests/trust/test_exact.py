"""Random programs on fractions obey every law, and each law can be broken."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings

from prosegrad import Value, dot, topological_order, tracing
from prosegrad import value as engine
from prosegrad.value import lift

from .exact import POLYNOMIAL_PROGRAMS, RATIONAL_PROGRAMS, obey
from .laws import (
    LAWS,
    POLYNOMIAL_LAWS,
    continued_fraction,
    continued_fraction_slope,
    forward,
    kind,
)
from .strategies import At, Program, Step

# All laws on one program cost as much as a dozen tests; a few hundred will do.
TRIES = settings().max_examples
enough = settings(max_examples=TRIES if TRIES >= 10_000 else TRIES // 2)


@enough
@given(RATIONAL_PROGRAMS)
def test_rational_programs_obey_the_laws(program: Program) -> None:
    """Whatever the operations and however shared, every law holds with `==`."""
    obey([program], LAWS)


@enough
@given(POLYNOMIAL_PROGRAMS)
def test_polynomial_programs_obey_the_laws(program: Program) -> None:
    """The engine differentiates as school algebra does, twice."""
    obey([program], POLYNOMIAL_LAWS)


def test_a_tie_above_a_lost_branch_stays_exact() -> None:
    """The tie receives the zero of the branch that lost, and hands on a fraction."""
    third = Fraction(1, 3)
    tie, lost = Step("max", (At(0), At(0))), Step("min", (At(1), Fraction(-9)))
    rest = Step("*", (At(0), third)), Step("+", (At(2), At(3)))
    program = Program((third,), (tie, lost, *rest))

    forward(program)
    kind(program)


# --- deep and wide


def test_a_sum_of_ten_thousand_terms() -> None:
    """No term is lost, and none is counted twice."""
    x = Value(Fraction(2, 3))
    slopes = [Fraction(i % 89 - 44, i % 7 + 1) for i in range(10_000)]
    total = sum((slope * x for slope in slopes), Value(Fraction(0)))
    total.backward()

    assert sum(slopes) == x.grad


def test_a_continued_fraction_of_a_thousand_levels() -> None:
    """The slope of the whole is plus or minus one, over one square."""
    terms = [1 + i % 4 for i in range(1000)]
    x = Value(Fraction(2, 3))
    continued_fraction(x, terms).backward()

    assert continued_fraction_slope(Fraction(2, 3), terms) == x.grad


# --- each law catches a planted fault


def wrong(
    compute: Callable[[Any, Any], Any],
    left: Callable[[Any, Any, Any], Any],
    right: Callable[[Any, Any, Any], Any],
) -> Callable[[Value, Any], Value]:
    """Return an operator with these shares: of the gradient and two numbers."""

    def method(self: Value, other: Any) -> Value:
        self, other = lift(self, other)
        x, y = self.data, other.data

        def _backward(grad: Any) -> None:
            self.grad += left(grad, x, y)
            other.grad += right(grad, x, y)

        return Value(compute(x, y), (self, other), "wrong", _backward)

    return method


def times(left: Callable[..., Any], right: Callable[..., Any]) -> Any:
    return wrong(lambda x, y: x * y, left, right)


def overwrite(self: Value, other: Any) -> Value:
    self, other = lift(self, other)

    def _backward(grad: Any) -> None:
        self.grad = grad
        other.grad = grad

    return Value(self.data + other.data, (self, other), "+", _backward)


def clipped(grad: Any, x: Any, y: Any) -> Any:
    return max(-1, min(grad, 1))


def forget_what_arrives(self: Value) -> Value:
    def _backward(grad: Any) -> None:
        self.grad -= 1

    return Value(-self.data, (self,), "neg", _backward)


def negate_the_operand(self: Value) -> Value:
    def _backward(grad: Any) -> None:
        self.grad -= grad
        self.data = -self.data

    return Value(-self.data, (self,), "neg", _backward)


def one_share_of_two(self: Value, other: Any) -> Value:
    """Take `x * x` for a product with one operand."""
    self, other = lift(self, other)
    x, y = self.data, other.data

    def _backward(grad: Any) -> None:
        self.grad += grad * y
        if other is not self:
            other.grad += grad * x

    return Value(x * y, (self, other), "*", _backward)


def read_late(self: Value, other: Any) -> Value:
    self, other = lift(self, other)

    def _backward(grad: Any) -> None:
        self.grad += grad * other.data
        other.grad += grad * self.data

    return Value(self.data * other.data, (self, other), "*", _backward)


def ignore_a_plain_factor(self: Value, other: Any) -> Value:
    product = times(lambda g, x, y: g * y, lambda g, x, y: g * x)
    if isinstance(other, Value):
        return product(self, other)  # type: ignore[no-any-return]

    def _backward(grad: Any) -> None:
        self.grad += grad

    return Value(self.data * other, (self,), "*", _backward)


def constant_slopes(self: Value, other: Any) -> Value:
    """Cut the graph of the slopes: no second derivative comes through."""
    self, other = lift(self, other)
    x, y = (v.data.detach() if type(v.data) is Value else v.data for v in (self, other))

    def _backward(grad: Any) -> None:
        self.grad += grad * y
        other.grad += grad * x

    return Value(self.data * other.data, (self, other), "*", _backward)


def start_of_dot_is_a_constant(left: Any, right: Any, start: Any = 0) -> Value:
    return dot(left, right, start.data if isinstance(start, Value) else start)


def order_by_number(root: Value) -> list[Value]:
    """Take two nodes with one number for one node."""
    return list({node.data: node for node in topological_order(root)}.values())


def keep_inner_nodes(self: Value) -> None:
    self.grad += 1
    for node in reversed(topological_order(self)):
        if node._backward:
            node._backward(node.grad)


def clear_everything(self: Value, seed: int = 1) -> None:
    for node in topological_order(self):
        node.zero_grad()
    self.grad = Fraction(seed)
    for node in reversed(topological_order(self)):
        if node._backward:
            node._backward(node.grad)


def leave_the_sums(
    node: Value, rule: Callable[[Any], None], grad: Any
) -> dict[Value, Any]:
    """Forget to put the operands' gradients back after a look at the shares."""
    for parent in node._parents:
        parent.zero_grad()
    rule(grad)
    return {parent: parent.grad for parent in node._parents}


def power_with(slope: Callable[[Any, Any], Any]) -> Callable[[Value, Any], Value]:
    def method(self: Value, n: Any) -> Value:
        x = self.data

        def _backward(grad: Any) -> None:
            self.grad += grad * slope(x, n)

        return Value(x**n, (self,), "**", _backward)

    return method


def divide(left: Callable[..., Any], right: Callable[..., Any]) -> Any:
    return wrong(lambda x, y: x / y, left, right)


ALL_LAWS = LAWS | POLYNOMIAL_LAWS
TINY = 1 + Fraction(1, 10**9)
FAULTS: list[tuple[str, str, Any, str, Any]] = [
    (
        "the value is that of the plain program",
        "5 - x computes x - 5",
        Value,
        "__rsub__",
        lambda self, other: self - other,
    ),
    (
        "fractions stay fractions",
        "a quotient's slope goes through a float",
        Value,
        "__truediv__",
        divide(lambda g, x, y: g / float(y), lambda g, x, y: -g * x / y / y),
    ),
    (
        "forward mode, from every node",
        "one part in a thousand million",
        Value,
        "__mul__",
        times(lambda g, x, y: g * y * TINY, lambda g, x, y: g * x),
    ),
    (
        "the sum over all paths",
        "= for +=",
        Value,
        "__add__",
        overwrite,
    ),
    (
        "linearity",
        "the gradient is clipped",
        Value,
        "__add__",
        wrong(lambda x, y: x + y, clipped, clipped),
    ),
    (
        "the product rule",
        "the left operand gets no share",
        Value,
        "__mul__",
        times(lambda g, x, y: 0, lambda g, x, y: g * x),
    ),
    (
        "the quotient rule",
        "the divisor is not squared",
        Value,
        "__truediv__",
        divide(lambda g, x, y: g / y, lambda g, x, y: -g * x / y),
    ),
    (
        "the chain rule, cut at every third node",
        "what arrives is forgotten",
        Value,
        "__neg__",
        forget_what_arrives,
    ),
    (
        "the identities of algebra",
        "n x**n for n x**(n-1)",
        Value,
        "__pow__",
        power_with(lambda x, n: n * x**n),
    ),
    (
        "the identities of algebra",
        "the two slopes of a product are exchanged",
        Value,
        "__mul__",
        times(lambda g, x, y: g * x, lambda g, x, y: g * y),
    ),
    (
        "the identities of algebra",
        "dot forgets its start",
        engine,
        "dot",
        start_of_dot_is_a_constant,
    ),
    (
        "the identities of algebra",
        "a tie of maximum goes to both",
        engine,
        "_share",
        lambda loses, ties, grad: 0 if loses else grad,
    ),
    (
        "a shared node equals its copies",
        "two nodes with one number are one",
        engine,
        "topological_order",
        order_by_number,
    ),
    (
        "a leaf equals the sum of its uses",
        "x * x has one operand",
        Value,
        "__mul__",
        one_share_of_two,
    ),
    (
        "a constant is a leaf that nobody asks",
        "a plain factor is left out of the slope",
        Value,
        "__mul__",
        ignore_a_plain_factor,
    ),
    (
        "k passes count k times in leaves, once in inner nodes",
        "inner nodes keep their gradient",
        Value,
        "backward",
        keep_inner_nodes,
    ),
    (
        "zero_grad starts anew",
        "zero_grad does nothing",
        Value,
        "zero_grad",
        lambda self: None,
    ),
    (
        "two roots over one graph add up",
        "backward clears the leaves",
        Value,
        "backward",
        clear_everything,
    ),
    (
        "detach cuts: what lies behind it is a constant",
        "detach keeps the history",
        Value,
        "detach",
        lambda self: self,
    ),
    (
        "what the result does not use gets nothing",
        "the pass begins with 2",
        Value,
        "backward",
        lambda self: clear_everything(self, seed=2),
    ),
    (
        "a rule holds numbers, not the nodes that had them",
        "the numbers are read in the backward pass",
        Value,
        "__mul__",
        read_late,
    ),
    (
        "backward changes no number",
        "a rule changes its operand",
        Value,
        "__neg__",
        negate_the_operand,
    ),
    (
        "the trace tells what backward does",
        "the trace leaves its samples in the sums",
        tracing,
        "_shares",
        leave_the_sums,
    ),
    (
        "the expanded polynomial's gradient",
        "x**n loses a factor n",
        Value,
        "__pow__",
        power_with(lambda x, n: x ** (n - 1) if n else 0),
    ),
    (
        "the exact difference quotient",
        "a difference adds to both sides",
        Value,
        "__sub__",
        wrong(lambda x, y: x - y, lambda g, x, y: g, lambda g, x, y: g),
    ),
    (
        "second derivatives, by a Value in a Value",
        "slopes are cut from the graph",
        Value,
        "__mul__",
        constant_slopes,
    ),
]


@cache
def sample(rational: bool) -> list[Program]:
    """Return the first programs that Hypothesis draws."""
    drawn: list[Program] = []

    @settings(max_examples=400)
    @given(RATIONAL_PROGRAMS if rational else POLYNOMIAL_PROGRAMS)
    def draw(program: Program) -> None:
        drawn.append(program)

    draw()
    return drawn


@pytest.mark.parametrize(
    ("law", "target", "name", "fault"),
    [pytest.param(f[0], *f[2:], id=f"{f[0]}: {f[1]}") for f in FAULTS],
)
def test_each_law_catches_a_planted_fault(
    monkeypatch: pytest.MonkeyPatch, law: str, target: Any, name: str, fault: Any
) -> None:
    """Four hundred programs pass; with the fault, one of them breaks the law."""
    check = ALL_LAWS[law]
    tried = sample(law in LAWS)
    obey(tried, {law: check})
    monkeypatch.setattr(target, name, fault)

    with pytest.raises(AssertionError):
        obey(tried, {law: check})


def test_no_law_is_without_a_fault() -> None:
    assert set(ALL_LAWS) == {fault[0] for fault in FAULTS}
