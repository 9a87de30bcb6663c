"""Values inside Values: who is a constant of whom."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from prosegrad import Value, dot
from prosegrad.value import lift, where

OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: a**b,
    "max": lambda a, b: a.maximum(b),
    "min": lambda a, b: a.minimum(b),
    "dot": lambda a, b: dot([a, 2.0], [b, a], start=b),
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("lower_first", [True, False])
def test_a_lower_operand_is_a_constant_above(name: str, lower_first: bool) -> None:
    """It gets no gradient there, and a derivative of the gradient here."""
    function = OPERATIONS[name]
    low, high = Value(1.3), Value(Value(1.7))
    operands = (low, high) if lower_first else (high, low)
    result = function(*operands)
    result.backward()

    assert type(result) is type(high)
    assert low.grad == 0.0
    number = function(*(Value(v.data) if v is low else v.data for v in operands))
    assert result.data.data == number.data


def test_the_gradient_above_depends_on_the_lower_operand() -> None:
    """d/dx of x * x * y is 2xy, whose slopes are 2y and 2x."""
    inner, y = Value(3.0), Value(5.0)
    x = Value(inner)
    (x * y * x).backward()
    x.grad.backward()

    assert x.grad.data == 30.0
    assert (inner.grad, y.grad) == (10.0, 6.0)


def test_a_level_is_one_above_what_it_holds() -> None:
    x = Value(1.0)
    deep = Value(Value(x))

    assert (x._level, deep._level) == (0, 2)
    assert type(Value(Value(1.0))) is type(Value(Value(2)))


def test_lift_leaves_equals_alone() -> None:
    x, y = Value(1.0), Value(2.0)

    assert lift(x, y)[0] is x
    assert lift(x, y)[1] is y
    deep = Value(x)
    assert lift(deep, y)[1].data is y
    assert lift(y, deep)[0].data is y
    assert lift(y, deep)[1] is deep
    assert type(lift(x, 3)[1]) is Value
    assert lift(x, 3)[1].data == 3


def test_detach_cuts_every_level() -> None:
    """As a constant, it has no derivative of any order."""
    inner = Value(3.0)
    x = Value(inner)
    (x * x.detach()).backward()

    assert type(x.detach()) is type(x)
    assert x.grad.data == 3.0
    x.grad.backward()
    assert inner.grad == 0.0


def test_a_nested_leaf_is_copied_and_pickled() -> None:
    x = Value(Value(2.0))
    x.data.grad = 7.0
    for twin in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert type(twin) is type(x)
        assert (twin.data.data, twin.data.grad, twin.grad) == (2.0, 7.0, 0)
        assert twin.data is not x.data


def test_a_subclass_keeps_its_kind() -> None:
    class Named(Value):
        __slots__ = ()

    assert type(Named(2.0) * 3) is Named
    assert isinstance(Named(Value(2.0)), Named)


def test_backward_may_begin_with_a_given_gradient() -> None:
    x, y = Value(2.0), Value(3.0)
    z = x * y
    z.backward(10.0)

    assert (x.grad, y.grad, z.grad) == (30.0, 20.0, 10.0)
    w = Value(1j)
    (w * w).backward(1)
    assert w.grad == 2j


def test_where_hands_the_gradient_to_what_was_chosen() -> None:
    np = pytest.importorskip("numpy")
    x, y = Value(np.array([1.0, 2.0, 3.0])), Value(np.array([4.0, 5.0, 6.0]))
    chosen = where(np.array([True, False, True]), x, y)
    chosen.backward(np.array([10.0, 20.0, 30.0]))

    assert chosen.data.tolist() == [1.0, 5.0, 3.0]
    assert chosen._op == "where"
    assert x.grad.tolist() == [10.0, 0.0, 30.0]
    assert y.grad.tolist() == [0.0, 20.0, 0.0]


def test_where_lifts_either_operand() -> None:
    np = pytest.importorskip("numpy")
    mask, x = np.array([True, False]), Value(np.array([1.0, 2.0]))

    assert where(mask, x, 7.0).data.tolist() == [1.0, 7.0]
    assert where(mask, 7.0, x).data.tolist() == [7.0, 2.0]
    assert where(mask, 7.0, 8.0).tolist() == [7.0, 8.0]
    deep = Value(x)
    assert where(mask, x, deep)._parents[1] is deep
    assert where(mask, deep, x)._parents[0] is deep


def test_where_with_a_decided_condition_is_the_operand() -> None:
    x, y = Value(1.0), Value(2.0)

    assert where(True, x, y) is x
    assert where(False, x, y) is y
    assert Value.where(False, x, 3.0) == 3.0
