"""Derivatives as functions of functions, in reverse mode.

`grad(f)` is a function again, so it can be differentiated in turn.
The names and the order of the arguments are JAX's. No derivative rule
is here: a function is called with Values, and `Value.backward` does
the rest.
"""

from collections.abc import Callable, Sequence
from functools import partial, singledispatch, wraps
from numbers import Number as PythonNumber
from operator import index
from threading import RLock
from typing import Any, SupportsIndex

from prosegrad.elementary import Number, holds, is_number, is_real
from prosegrad.levels import new_level
from prosegrad.trees import (
    LEAF,
    Structure,
    Tree,
    flatten,
    paths,
    unflatten,
)
from prosegrad.value import Value, namespace

Function = Callable[..., Any]
"""A function of trees of numbers, whose result is such a tree."""


@singledispatch
def find_box(x: Number) -> type[Value]:
    """Return the class that holds a number while it is differentiated.

    `find_box.register` teaches it a kind of number that needs a class
    of its own, as arrays do.
    """
    return Value


def numbers_of(
    name: str, role: str, tree: Tree
) -> tuple[list[Number], Structure]:
    """Return `flatten(tree)`, or raise if a leaf is no number."""
    leaves, structure = flatten(tree)
    for i, leaf in enumerate(leaves):
        if role == "result" and holds(leaf, Value):
            raise TypeError(
                f"{name}: a result of type {type(leaf).__name__} has "
                "taken in a Value, whose derivative would be lost; "
                "write x * c for c * x, and a list for an array"
            )
        if not is_number(leaf) and find_box(leaf) is Value:
            path = list(paths(tree))[i]
            raise TypeError(
                f"{name}: {role}{path} is {leaf!r} of type "
                f"{type(leaf).__name__}, not a number"
            )
    return leaves, structure


def unboxed(kind: type[Value], number: Number) -> Number:
    """Return what is left without the boxes above a level."""
    while isinstance(number, Value) and number._level > kind._level:
        number = number.data
    return number


def is_of(kind: type[Value], x: Number) -> bool:
    """Tell whether a number is a Value of the level of `kind`."""
    return isinstance(x, Value) and x._level == kind._level


def lower(kind: type[Value], tree: Tree) -> Tree:
    """Return the tree with numbers in place of Values of a level."""
    leaves, structure = flatten(tree)
    found = [unboxed(kind, leaf) for leaf in leaves]
    return unflatten(
        structure, [v.data if is_of(kind, v) else v for v in found]
    )


def _box_of(leaves: Sequence[Number]) -> Any:
    boxes = {find_box(leaf) for leaf in leaves}
    return max(boxes, key=lambda box: len(box.mro()), default=Value)


class Graph:
    """The graph of one call, to be walked back as often as you like.

    Args:
        name: Who asks; errors begin with it.
        f: The function.
        args: Its arguments.
        argnums: The positions of those to differentiate by, which are
            trees of numbers; all of them by default.
        has_aux: Whether `f` returns a pair, of which only the first
            member is differentiated.

    Attributes:
        result: What `f` returned, in plain numbers.
        outside: The structure of the result.
        aux: The second member of the pair, in plain numbers.

    Raises:
        TypeError: An argument or a result holds what is no number.
    """

    def __init__(
        self,
        name: str,
        f: Function,
        args: Sequence[Tree],
        argnums: Sequence[int] | None = None,
        has_aux: bool = False,
    ) -> None:
        self._lock = RLock()
        self._argnums = range(len(args)) if argnums is None else argnums
        chosen = {i: args[i] for i in self._argnums}
        leaves, self._inside = numbers_of(name, "argument", chosen)
        with new_level(leaves) as level:
            self._kind = _box_of(leaves).at_level(level)
            self._inputs = [
                self._kind(leaf, (), "input") for leaf in leaves
            ]
            inputs = unflatten(self._inside, self._inputs)
            result = f(*(inputs.get(i, x) for i, x in enumerate(args)))
        result, aux = result if has_aux else (result, None)
        outputs, self.outside = numbers_of(name, "result", result)
        self._outputs = [unboxed(self._kind, v) for v in outputs]
        self.result = lower(self._kind, result)
        self.aux = lower(self._kind, aux)

    def pull(
        self, cotangents: Sequence[Number | None]
    ) -> tuple[Tree, ...]:
        """Return the cotangents of the arguments.

        Args:
            cotangents: One for each number of the result; None is
                the zero that needs no walk.
        """
        pairs = [
            (output, seed)
            for output, seed in zip(self._outputs, cotangents)
            if is_of(self._kind, output) and seed is not None
        ]

        def _backward(grad: Number) -> None:
            for output, seed in pairs:
                output.grad += seed

        outputs = tuple(output for output, _ in pairs)
        with self._lock:  # the walk writes into nodes that are shared
            for leaf in self._inputs:
                leaf.zero_grad()
                if hasattr(leaf.data, "first_gradient"):
                    leaf.grad = leaf.data.first_gradient
            self._kind(0.0, outputs, "pull", _backward).backward(1)
            slopes = [_slope(v) for v in self._inputs]
        found = unflatten(self._inside, slopes)
        return tuple(found[i] for i in self._argnums)

    def rows(self) -> list[Tree]:
        """Return the gradients of each number of the result."""
        numbers, _ = flatten(self.result)
        return [
            rows_of(number, partial(self._pull_one, i))
            for i, number in enumerate(numbers)
        ]

    def _pull_one(self, i: int, cotangent: Number) -> tuple[Tree, ...]:
        cotangents: list[Number | None] = [None] * len(self._outputs)
        cotangents[i] = cotangent
        return self.pull(cotangents)


def _slope(leaf: Value) -> Number:
    """Return the gradient of a leaf, of the shape of the leaf."""
    data, slope = leaf.data, leaf.grad
    untouched = type(slope) is int and slope == 0
    if untouched and not isinstance(data, PythonNumber):
        return namespace(data).zeros_like(data)
    shape = getattr(_innermost(slope), "shape", ())
    if shape not in ((), getattr(_innermost(data), "shape", ())):
        raise TypeError(
            f"{_innermost(data)!r} is one number, and has met an array "
            f"of shape {shape}; write np.asarray(…) around it"
        )
    return slope


def _innermost(x: Number) -> Number:
    while isinstance(x, Value):
        x = x.data
    return x


def vjp(
    f: Function, *primals: Tree, has_aux: bool = False
) -> tuple[Any, ...]:
    """Return `f(*primals)` and the function that pulls back.

    That function takes a cotangent, a tree like the result, and
    returns the cotangents of the arguments, a tuple with one tree for
    each. It may be called many times. (*vjp* is short for
    vector-Jacobian product.)

    Args:
        f: The function.
        primals: Its arguments, trees of numbers.
        has_aux: `f` returns a pair; its second member is returned
            third and is not differentiated.

    Raises:
        TypeError: An argument or a result holds what is no number.
        ValueError: A cotangent has not the structure of the result.
    """
    graph = Graph("vjp", f, primals, has_aux=has_aux)

    def pull_back(cotangent: Tree) -> tuple[Tree, ...]:
        numbers, structure = numbers_of("vjp", "cotangent", cotangent)
        require_same("vjp", "cotangent", structure, graph.outside)
        _require_shapes(numbers, flatten(graph.result)[0])
        return graph.pull(numbers)

    found = (graph.result, pull_back)
    return (*found, graph.aux) if has_aux else found


def require_same(
    name: str, role: str, found: Structure, expected: Structure
) -> None:
    """Raise a ValueError if two structures differ."""
    if found != expected:
        raise ValueError(
            f"{name}: the {role} should be like {expected}, "
            f"and is like {found}"
        )


def _require_shapes(
    cotangents: Sequence[Number], results: Sequence[Number]
) -> None:
    for cotangent, result in zip(cotangents, results):
        shapes = [getattr(x, "shape", ()) for x in (cotangent, result)]
        if find_box(result) is not Value and shapes[0] != shapes[1]:
            raise ValueError(
                f"vjp: a cotangent has shape {shapes[0]}, and its "
                f"result {shapes[1]}"
            )


def _positions(
    name: str, argnums: SupportsIndex | Sequence[int], count: int
) -> list[int]:
    is_one = isinstance(argnums, SupportsIndex)
    some: Any = [argnums] if is_one else argnums
    wanted = [index(position) for position in some]
    for position in wanted:
        if not -count <= position < count:
            raise ValueError(
                f"{name}: argnums={argnums}, but the function was "
                f"called with {count} positional arguments"
            )
    return [position % count for position in wanted]


def _require_one(result: Tree, holomorphic: bool) -> None:
    number = _innermost(result)
    if flatten(result)[1] != LEAF or getattr(number, "shape", ()) != ():
        problem = "use jacobian or vjp for more"
    elif isinstance(number, bool):
        problem = "a truth value has no slope"
    elif not holomorphic and not is_real(number):
        problem = "for a complex derivative say holomorphic=True"
    else:
        return
    raise TypeError(
        f"grad: the function should return one real number, and "
        f"returned {number!r}; {problem}"
    )


def value_and_grad(
    f: Function,
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
) -> Function:
    """Return a function that gives the value of `f` and its gradient.

    Args:
        f: A function of trees of numbers that returns one number.
        argnums: The positions of the arguments to differentiate by.
            The gradient is a tree like that argument, and a tuple of
            them for a sequence of positions.
        has_aux: `f` returns a pair; its second member is handed
            through: the result is `((value, aux), gradient)`.
        holomorphic: `f` is a complex function of complex numbers with
            a complex derivative, and that is wanted.

    Raises:
        TypeError: When called, if an argument or the result holds
            what is no number, or the result is not one real number.
        ValueError: When called, if there are fewer arguments than
            `argnums` needs.
    """

    @wraps(f)
    def value_and_gradient(*args: Tree, **kwargs: Any) -> Any:
        chosen = _positions("grad", argnums, len(args))
        call = partial(f, **kwargs)
        graph = Graph("grad", call, args, chosen, has_aux)
        _require_one(graph.result, holomorphic)
        one = namespace(graph.result).ones_like(graph.result)
        gradient: Tree = graph.pull([one])
        if isinstance(argnums, SupportsIndex):
            (gradient,) = gradient
        value = (graph.result, graph.aux) if has_aux else graph.result
        return value, gradient

    return value_and_gradient


def grad(
    f: Function,
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
) -> Function:
    """Return the function that gives the gradient of `f`.

    It may be differentiated again: `grad(grad(f))` is the second
    derivative of a function of one number.

    Args:
        f: A function of trees of numbers that returns one number.
        argnums: As for `value_and_grad`.
        has_aux: As for `value_and_grad`; returns `(gradient, aux)`.
        holomorphic: As for `value_and_grad`.

    Raises:
        TypeError: As for `value_and_grad`.
        ValueError: As for `value_and_grad`.
    """
    both = value_and_grad(f, argnums, has_aux, holomorphic)

    @wraps(f)
    def gradient(*args: Tree, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return gradient


@singledispatch
def rows_of(result: Number, pull: Callable[[Number], Tree]) -> Tree:
    """Return the derivatives of one result by all arguments.

    `rows_of.register` teaches it a kind of result that is more than
    one number.

    Args:
        result: The result.
        pull: Takes a cotangent of the result, and returns those of
            the arguments.
    """
    return pull(namespace(result).ones_like(result))


def jacobian(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """Return the function that gives all derivatives of all results.

    Args:
        f: A function of trees of numbers that returns such a tree.
        argnums: As for `value_and_grad`.

    Returns:
        A function. It returns a tree like the result of `f`, and in
        the place of each number there is its gradient, a tree like
        the argument: `jacobian(f)(x)[i][j]` is the derivative of
        `f(x)[i]` by `x[j]`. The cost is one walk through the graph
        for each number of the result.

    Raises:
        TypeError: When called, as for `vjp`.
        ValueError: As for `value_and_grad`.
    """

    @wraps(f)
    def all_derivatives(*args: Tree, **kwargs: Any) -> Any:
        chosen = _positions("jacobian", argnums, len(args))
        graph = Graph("jacobian", partial(f, **kwargs), args, chosen)
        rows = graph.rows()
        if isinstance(argnums, SupportsIndex):
            rows = [row for (row,) in rows]
        return unflatten(graph.outside, rows)

    return all_derivatives


def hessian(
    f: Function,
    argnums: int | Sequence[int] = 0,
    holomorphic: bool = False,
) -> Function:
    """Return the function that gives all second derivatives of `f`.

    Args:
        f: A function of trees of numbers that returns one number.
        argnums: As for `value_and_grad`.
        holomorphic: As for `value_and_grad`.

    Returns:
        The Jacobian of the gradient: `hessian(f)(x)[i][j]` is the
        derivative by `x[i]` and `x[j]`.

    Raises:
        TypeError: When called, as for `grad`.
        ValueError: As for `value_and_grad`.
    """
    slopes = grad(f, argnums, holomorphic=holomorphic)
    return jacobian(slopes, argnums)
