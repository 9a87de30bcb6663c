"""Functions that bring their own derivative rules.

The names and the shapes of the rules are JAX's. A rule computes with
the numbers of the next level, so it may be differentiated in turn.
"""

from collections.abc import Sequence
from functools import update_wrapper
from inspect import signature
from itertools import repeat
from typing import Any

from prosegrad.derivatives import Function, find_box, vjp
from prosegrad.elementary import Number, is_number
from prosegrad.levels import new_level
from prosegrad.trees import Structure, Tree, flatten, unflatten
from prosegrad.value import Value, namespace

CONSTANT = "constant"


def _called(f: Function, *args: Tree) -> Any:
    """Call a function of plain numbers, which may use methods."""
    try:
        return f(*args)
    except AttributeError:
        pass  # a plain number has no exp
    try:
        return _with_boxes(f, args, plain=int)
    except AttributeError:
        return _with_boxes(f, args, plain=())


def _with_boxes(f: Function, args: Sequence[Tree], plain: Any) -> Any:
    leaves, structure = flatten(args)
    with new_level(leaves) as level:
        boxed = [
            find_box(x).at_level(level)(x, (), CONSTANT)
            if is_number(x) and not isinstance(x, (Value, plain))
            else x
            for x in leaves
        ]
        found, outside = flatten(f(*unflatten(structure, boxed)))
    return unflatten(
        outside,
        [
            x.data if isinstance(x, Value) and x._level == level else x
            for x in found
        ],
    )


class custom_vjp:
    """A function with a rule for reverse mode.

    Args and results are trees of numbers; what is no number among the
    arguments is a constant. Every transformation uses the rule,
    forward mode as well.

    Args:
        f: The function.
    """

    def __init__(self, f: Function) -> None:
        update_wrapper(self, f)
        self._f = f
        self._rule: tuple[Function, Function] | None = None

    def defvjp(self, fwd: Function, bwd: Function) -> None:
        """Give the function its rule.

        Args:
            fwd: Takes the arguments; returns the result and the
                residuals, anything that `bwd` needs. It calls the
                function itself, so that inner derivatives use the
                rule, too.
            bwd: Takes the residuals and a cotangent, a tree like the
                result; returns a tuple with one cotangent for each
                argument, a tree like it, or None for zero.
        """
        self._rule = fwd, bwd

    def __call__(self, *args: Tree, **kwargs: Tree) -> Tree:
        """Return the function's result.

        Raises:
            TypeError: There is no rule, or the function uses a number
                that is being differentiated and is no argument.
            ValueError: The rule returns something else than one
                cotangent for each argument.
        """
        if kwargs:
            bound = signature(self._f).bind(*args, **kwargs)
            bound.apply_defaults()
            args = bound.args
        leaves, structure = flatten(args)
        levels = [
            v._level
            for v in leaves
            if isinstance(v, Value) and v._op != CONSTANT
        ]
        if not levels:
            return _called(self._f, *args)
        if self._rule is None:
            raise TypeError(f"{self._name}: it has no derivative rule")
        return self._boxed(self._rule, leaves, structure, max(levels))

    @property
    def _name(self) -> str:
        return str(getattr(self, "__name__", "custom rule"))

    def _boxed(
        self,
        rule: tuple[Function, Function],
        leaves: list[Any],
        structure: Structure,
        level: int,
    ) -> Tree:
        fwd, bwd = rule
        inputs = [
            x
            for x in leaves
            if isinstance(x, Value) and x._level == level
        ]
        own = set(map(id, inputs))
        inner = [x.data if id(x) in own else x for x in leaves]
        out, residuals = _called(fwd, *unflatten(structure, inner))
        outputs, out_structure = flatten(out)
        self._require_inner(outputs, level)

        def node(i: int, y: Number) -> Any:
            def _backward(grad: Number) -> None:
                cotangents = _zeros(outputs)
                cotangents[i] = grad
                tree = unflatten(out_structure, cotangents)
                slopes = _called(bwd, residuals, tree)
                found = self._flat(slopes, structure)
                for x, cotangent in zip(leaves, found):
                    if id(x) in own and cotangent is not None:
                        x.grad += cotangent

            box = _box(inputs, y, level)
            return box(y, tuple(inputs), self._name, _backward)

        nodes = [node(i, y) for i, y in enumerate(outputs)]
        return unflatten(out_structure, nodes)

    def _require_inner(self, outputs: list[Any], level: int) -> None:
        for y in outputs:
            if isinstance(y, Value) and y._level >= level:
                raise TypeError(
                    f"{self._name}: it uses a number that is being "
                    "differentiated and is not an argument; make it one"
                )

    def _flat(
        self, found: Any, structure: Structure
    ) -> list[Number | None]:
        count = len(structure.children)
        if not isinstance(found, tuple) or len(found) != count:
            raise ValueError(
                f"{self._name}: the rule returns a tuple of {count} "
                f"cotangents, one for each argument, not {found!r}"
            )
        flat: list[Number | None] = []
        for tree, child in zip(found, structure.children):
            flat += _like(self._name, tree, child)
        return flat


def _zeros(numbers: Sequence[Number]) -> list[Number]:
    return [namespace(x).zeros_like(x) for x in numbers]


def _box(inputs: Sequence[Value], y: Number, level: int) -> Any:
    """Return the class for a result: of its level, fit for arrays."""
    box = find_box(y)
    boxes = [box.at_level(level) if level else box]
    boxes += [type(x) for x in inputs]
    return max(boxes, key=lambda box: len(box.mro()))


def _like(
    name: str, tree: Tree, structure: Structure
) -> list[Number | None]:
    """Return the numbers of a cotangent; Nones if it is None."""
    if tree is None:
        return flatten(unflatten(structure, repeat(None)))[0]
    leaves, found = flatten(tree)
    if found != structure:
        raise ValueError(
            f"{name}: a cotangent is {found}, and its argument is "
            f"{structure}"
        )
    return leaves


class custom_jvp(custom_vjp):
    """A function with a rule for forward mode.

    Reverse mode turns the rule around.

    Args:
        f: The function.
    """

    def defjvp(self, jvp: Function) -> Function:
        """Give the function its rule, and return the rule.

        Args:
            jvp: Takes the arguments and their tangents, two tuples
                of trees; returns the result and its tangent, which
                is linear in the tangents. The tangent of what is not
                a number is None.
        """

        def fwd(*args: Tree) -> tuple[Tree, Tree]:
            return self(*args), args

        def bwd(args: Tree, cotangent: Tree) -> tuple[Tree, ...]:
            return _turned_around(jvp, args, cotangent)

        self.defvjp(fwd, bwd)
        return jvp


def _turned_around(
    jvp: Function, args: Tree, cotangent: Tree
) -> tuple[Tree, ...]:
    """Return the cotangents that a rule of tangents gives."""
    leaves, structure = flatten(args)
    numbers = {
        i: x
        for i, x in enumerate(leaves)
        if is_number(x) or find_box(x) is not Value
    }

    def tangent(*moves: Number) -> Tree:
        by_place = dict(zip(numbers, moves))
        found = [by_place.get(i) for i in range(len(leaves))]
        return _called(jvp, args, unflatten(structure, found))[1]

    _, pull = vjp(tangent, *_zeros([*numbers.values()]))
    by_place = dict(zip(numbers, pull(cotangent)))
    found = [by_place.get(i) for i in range(len(leaves))]
    turned: tuple[Tree, ...] = unflatten(structure, found)
    return turned


def stop_gradient(x: Tree) -> Tree:
    """Return a tree of the same numbers as constants."""
    leaves, structure = flatten(x)
    found = [v.detach() if isinstance(v, Value) else v for v in leaves]
    return unflatten(structure, found)
