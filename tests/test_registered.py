"""A class of numbers that the engine has never heard of, registered or not."""

from __future__ import annotations

import math
from collections.abc import Callable
from operator import methodcaller
from typing import Any

import numpy as np
import pytest

from prosegrad import (
    Value,
    grad,
    hessian,
    hvp,
    jacobian,
    jit,
    jvp,
    register_number,
    value_and_grad,
    vjp,
)
from prosegrad.kinds import NAMES


class Ball:
    """A float in a box, with no constructor from an int and no `real`."""

    def __init__(self, *, middle: float) -> None:
        self.middle = middle

    def __repr__(self) -> str:
        return f"Ball({self.middle})"

    def __neg__(self) -> Ball:
        return Ball(middle=-self.middle)

    def __abs__(self) -> Ball:
        return Ball(middle=abs(self.middle))

    def __eq__(self, other: object) -> bool:
        return self.middle == middle(other)

    def __lt__(self, other: Any) -> bool:
        return self.middle < middle(other)

    def __gt__(self, other: Any) -> bool:
        return self.middle > middle(other)

    def __le__(self, other: Any) -> bool:
        return self.middle <= middle(other)

    def __ge__(self, other: Any) -> bool:
        return self.middle >= middle(other)

    __hash__ = None  # type: ignore[assignment]


def middle(x: Any) -> float:
    return x.middle if isinstance(x, Ball) else x


def binary(operation: Callable[[float, float], float]) -> tuple[Any, Any]:
    def left(self: Ball, other: Any) -> Any:
        if not isinstance(other, (Ball, int, float)):
            return NotImplemented
        return Ball(middle=operation(self.middle, middle(other)))

    def right(self: Ball, other: Any) -> Any:
        if not isinstance(other, (int, float)):
            return NotImplemented
        return Ball(middle=operation(other, self.middle))

    return left, right


OPERATORS: dict[str, Callable[[float, float], float]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "truediv": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
}
for name, operation in OPERATORS.items():
    left, right = binary(operation)
    setattr(Ball, f"__{name}__", left)
    setattr(Ball, f"__r{name}__", right)


class Greedy(Ball):
    """One that takes anything in, a Value too."""

    def __mul__(self, other: Any) -> Any:
        return Greedy(middle=self.middle * other)


def lifted(function: Callable[[float], float]) -> Callable[[Ball], Ball]:
    return lambda x: Ball(middle=function(x.middle))


for kind in (Ball, Greedy):
    register_number(
        kind,
        {name: lifted(getattr(math, name)) for name in NAMES},
        one=lambda x: Ball(middle=1.0),
        zero=lambda x: Ball(middle=0.0),
    )

PROGRAMS: dict[str, Callable[[Any], Any]] = {name: methodcaller(name) for name in NAMES}
PROGRAMS |= {
    "sigmoid": lambda x: x.sigmoid(),
    "softplus": lambda x: x.softplus(),
    "silu": lambda x: x.silu(),
    "relu": lambda x: x.relu(),
    "abs": abs,
    "+": lambda x: 2 + x + 3.0,
    "-": lambda x: 2 - x - 3.0,
    "*": lambda x: 2 * x * x,
    "/": lambda x: 2 / x / 3.0,
    "**": lambda x: x**3 + x**-1.5,
    "exponent": lambda x: 2**x + x**x,
    "maximum": lambda x: x.maximum(0.1) * x.minimum(0.9),
}
WAYS: dict[str, Callable[..., Any]] = {
    "grad": grad,
    "value_and_grad": lambda f: lambda x: value_and_grad(f)(x)[1],
    "vjp": lambda f: lambda x: vjp(f, x)[1](1 if type(x) is float else one())[0],
    "jvp": lambda f: lambda x: jvp(f, (x,), (1 if type(x) is float else one(),))[1],
    "jacobian": jacobian,
    "jit": lambda f: jit(grad(f)),
    "hessian": hessian,
    "hvp": lambda f: lambda x: hvp(f, (x,), (1 if type(x) is float else one(),)),
}


def one() -> Ball:
    return Ball(middle=1.0)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_registered_kind_goes_every_way(program: str, way: str) -> None:
    take = WAYS[way](PROGRAMS[program])
    found, expected = take(Ball(middle=0.7)), take(0.7)

    assert type(found) is Ball or found == 0
    assert math.isclose(middle(found), expected, rel_tol=1e-13, abs_tol=1e-15)


@pytest.mark.parametrize(
    "program",
    [lambda c, x: c + x, lambda c, x: c - x, lambda c, x: c * x, lambda c, x: c / x],
)
def test_on_the_left_of_a_value(program: Callable[[Any, Any], Any]) -> None:
    found = grad(lambda x: program(Ball(middle=3.0), x))(Ball(middle=0.7))

    assert math.isclose(found.middle, grad(lambda x: program(3.0, x))(0.7))


class Slotted:
    """A greedy one that keeps its number in a slot."""

    __slots__ = ("inside",)

    def __init__(self, inside: Any) -> None:
        self.inside = inside

    def __mul__(self, other: Any) -> Any:
        return type(self)(self.inside * other)


class Tupled(Slotted):
    """And one that keeps it in a tuple."""

    __slots__ = ("parts",)

    def __init__(self, inside: Any) -> None:
        self.parts = (inside,)

    inside = property(lambda self: self.parts[0])


register_number(Slotted, {})
register_number(Tupled, {})


TAKING_IN: dict[str, Callable[[Any], Any]] = {
    "an attribute": lambda x: Greedy(middle=3.0) * x,
    "a slot": lambda x: Slotted(3.0) * x,
    "a tuple": lambda x: Tupled(3.0) * x,
    "one of two": lambda x: [x, Slotted(3.0) * x],
    "an array": lambda x: np.array([x, 2 * x]),
    "an array of one": lambda x: np.array(x * x),
    "an array of objects": lambda x: np.array([x, None], dtype=object),
    "a product of arrays": lambda x: np.array([[x, x]]) @ np.array([1.0, 2.0]),
    "a constant": lambda x: x * x + Value(Slotted(3.0) * x),
}


@pytest.mark.parametrize("way", ["jacobian", "vjp", "jvp", "jit"])
@pytest.mark.parametrize("name", TAKING_IN)
def test_a_result_that_takes_a_value_in_is_refused(name: str, way: str) -> None:
    """Its derivative would be 0: the Value is inside, where no walk finds it."""
    take = jit if way == "jit" else WAYS[way]
    with pytest.raises(TypeError, match=r"taken in a Value|Value holds a number"):
        take(TAKING_IN[name])(0.7)


def test_a_number_of_the_trace_inside_another_is_not_compiled() -> None:
    for kind in (Slotted, Tupled):
        fast = jit(lambda x, kind=kind: (kind(3.0) * x.exp()).inside)
        assert fast(0.0) == 3.0
        assert fast(1.0) == 3.0 * math.exp(1.0)


class Bare(Ball):
    """One without functions."""


register_number(Bare, {})


@pytest.mark.parametrize("name", [*NAMES, "sigmoid", "softplus"])
def test_what_was_not_given_is_named(name: str) -> None:
    with pytest.raises(TypeError, match=r"there is no \w+ for numbers of type Bare"):
        getattr(Value(Bare(middle=0.7)), name)()


def test_a_class_that_is_not_registered_is_refused() -> None:
    class Unknown:
        pass

    with pytest.raises(TypeError, match="Value holds a number"):
        Value(Unknown())


@pytest.mark.parametrize("kind", [Value, 3, "Ball", Ball(middle=1.0)])
def test_what_is_no_class_of_numbers(kind: Any) -> None:
    with pytest.raises(TypeError, match="register_number: kind should be"):
        register_number(kind, {})
