"""Forward mode, by the rules of reverse mode.

A `Dual` is a Value that knows how fast it moves. It asks the rule of
the operation that made it for the local slopes, at once, and needs
neither the rule nor its operands any more: no graph is kept.
"""

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Self

from prosegrad.derivatives import (
    Function,
    find_box,
    grad,
    lower,
    numbers_of,
    require_same,
    unboxed,
    vjp,
)
from prosegrad.elementary import Number
from prosegrad.levels import new_level
from prosegrad.trees import Tree, unflatten
from prosegrad.value import Value, namespace


class Dual(Value):
    """A number and its tangent.

    Args:
        data: The number, the *primal*.

    Attributes:
        tangent: How fast the number moves; None for a constant.
    """

    __slots__ = ("tangent",)
    _level = 1

    def __init__(
        self,
        data: Number,
        _parents: tuple[Value, ...] = (),
        _op: str = "",
        _backward: Callable[[Number], None] | None = None,
    ) -> None:
        super().__init__(data)
        self.tangent: Number | None = None
        if _backward is not None:
            one = namespace(data).ones_like(data)
            self.tangent = _push(one, _parents, _backward)

    def _node(
        self,
        data: Number,
        parents: tuple[Value, ...],
        op: str,
        backward: Callable[[Number], None],
    ) -> Self:
        return type(self)(data, parents, op, backward)

    def _is_constant(self) -> bool:
        return self.tangent is None

    def __repr__(self) -> str:
        return f"Dual(data={self.data!r}, tangent={self.tangent!r})"

    def backward(self, gradient: Number | None = None) -> NoReturn:
        """Refuse: there is no graph to walk back through."""
        raise TypeError(
            "backward: a Dual keeps no graph; its derivative is in "
            "its tangent"
        )

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Dual cannot be copied or pickled")


def _push(
    one: Number, parents: Sequence[Any], rule: Callable[[Number], None]
) -> Number | None:
    """Return the sum of local slope times tangent of the operands."""
    if all(parent.tangent is None for parent in parents):
        return None
    for parent in parents:
        parent.grad = 0
    rule(one)
    tangent = None
    for parent in dict.fromkeys(parents):
        if parent.tangent is not None:
            share = parent.grad * parent.tangent
            tangent = share if tangent is None else tangent + share
    return tangent


def jvp(
    f: Function,
    primals: Sequence[Tree],
    tangents: Sequence[Tree],
    has_aux: bool = False,
) -> tuple[Any, ...]:
    """Return `f(*primals)` and how fast it moves with the arguments.

    One call in forward mode, without a graph. (*jvp* is short for
    Jacobian-vector product.)

    Args:
        f: A function of trees of numbers that returns such a tree.
        primals: The arguments of `f`.
        tangents: How fast each number of them moves; a tree like
            `primals`.
        has_aux: `f` returns a pair; its second member is returned
            third and is not differentiated.

    Raises:
        TypeError: An argument, a tangent or a result holds what is no
            number.
        ValueError: `tangents` has not the structure of `primals`.
    """
    numbers, inside = numbers_of("jvp", "primals", tuple(primals))
    speeds, found = numbers_of("jvp", "tangents", tuple(tangents))
    require_same("jvp", "tangent", found, inside)
    if any(find_box(number) is not Value for number in numbers):
        return _transposed_twice(f, primals, tangents, has_aux)
    with new_level([*numbers, *speeds]) as level:
        kind = Dual.at_level(level)
        inputs = [kind(number) for number in numbers]
        for dual, speed in zip(inputs, speeds):
            dual.tangent = speed
        result = f(*unflatten(inside, inputs))
    result, aux = result if has_aux else (result, None)
    outputs, outside = numbers_of("jvp", "result", result)
    moves = [_tangent(kind, output) for output in outputs]
    both = (lower(kind, result), unflatten(outside, moves))
    return (*both, lower(kind, aux)) if has_aux else both


def _tangent(kind: type[Dual], output: Number) -> Number:
    output = unboxed(kind, output)
    if type(output) is kind and output.tangent is not None:
        return output.tangent
    number = output.data if type(output) is kind else output
    return namespace(number).zeros_like(number)


def _transposed_twice(
    f: Function,
    primals: Sequence[Tree],
    tangents: Sequence[Tree],
    has_aux: bool,
) -> tuple[Any, ...]:
    """Return what `jvp` does, by reverse mode alone."""
    result, pull_back, *aux = vjp(f, *primals, has_aux=has_aux)
    numbers, outside = numbers_of("jvp", "result", result)
    zeros = [namespace(v).zeros_like(v) for v in numbers]
    _, push = vjp(pull_back, unflatten(outside, zeros))
    return result, *push(tuple(tangents)), *aux


def hvp(
    f: Function,
    primals: Sequence[Tree],
    tangents: Sequence[Tree],
    holomorphic: bool = False,
) -> Tree:
    """Return the Hessian of `f` times the tangents.

    Forward mode over reverse mode: a few times the work of a
    gradient, however many arguments there are (Pearlmutter 1994).

    Args:
        f: A function of trees of numbers that returns one number.
        primals: The arguments of `f`.
        tangents: The vector, a tree like `primals`.
        holomorphic: As for `grad`.

    Returns:
        A tree like the argument, or a tuple of them if `f` has more
        than one.

    Raises:
        TypeError: As for `grad` and `jvp`.
        ValueError: As for `jvp`.
    """
    argnums = 0 if len(primals) == 1 else tuple(range(len(primals)))
    slopes = grad(f, argnums, holomorphic=holomorphic)
    return jvp(slopes, primals, tangents)[1]
