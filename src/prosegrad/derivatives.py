"""Derivatives as functions of functions, in reverse mode.

`grad(f)` is a function again, so it can be differentiated in turn.
The names and the order of the arguments are JAX's. No derivative rule
is here: a function is called with Values, and `Value.backward` does
the rest.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from prosegrad.elementary import Number
from prosegrad.levels import new_level
from prosegrad.trees import (
    LEAF,
    Structure,
    Tree,
    flatten,
    paths,
    unflatten,
)
from prosegrad.value import (
    Value,
    _is_number,
    _is_real_scalar,
    at_level,
    one_like,
)

Function = Callable[..., Any]
"""A function of trees of numbers, whose result is such a tree."""


class Graph:
    """The graph of one call, to be walked back as often as you like.

    Args:
        name: Who asks; errors begin with it.
        f: The function.
        primals: Its arguments, trees of numbers.
        has_aux: Whether `f` returns a pair, of which only the first
            member is differentiated.

    Attributes:
        result: What `f` returned, in plain numbers.
        aux: The second member of the pair, in plain numbers.

    Raises:
        TypeError: An argument or a result holds what is no number.
    """

    def __init__(
        self,
        name: str,
        f: Function,
        primals: Sequence[Tree],
        has_aux: bool = False,
    ) -> None:
        leaves, self.inside = numbers_of(name, "argument", primals)
        with new_level(leaves) as level:
            self._kind = at_level(Value, level)
            self._inputs = [self._kind(leaf) for leaf in leaves]
            result = f(*unflatten(self.inside, self._inputs))
        result, aux = result if has_aux else (result, None)
        self._outputs, self.outside = numbers_of(name, "result", result)
        self.result = lower(self._kind, result)
        self.aux = lower(self._kind, aux)

    def pull(self, cotangents: Sequence[Number | None]) -> Tree:
        """Return the cotangents of the arguments.

        Args:
            cotangents: One for each number of the result; None is
                the zero that needs no walk.
        """
        pairs = [
            (output, seed)
            for output, seed in zip(self._outputs, cotangents)
            if type(output) is self._kind and seed is not None
        ]

        def _backward(grad: Number) -> None:
            for output, seed in pairs:
                output.grad += seed

        for leaf in self._inputs:
            leaf.zero_grad()
        outputs = tuple(output for output, _ in pairs)
        self._kind(0.0, outputs, "pull", _backward).backward(1)
        return unflatten(self.inside, [v.grad for v in self._inputs])

    def rows(self) -> list[Tree]:
        """Return the gradient of each number of the result."""
        numbers, _ = flatten(self.result)
        rows = []
        for i, number in enumerate(numbers):
            unit: list[Number | None] = [None] * len(numbers)
            unit[i] = one_like(number)
            rows.append(self.pull(unit))
        return rows


def numbers_of(name: str, role: str, tree: Tree) -> Any:
    """Return `flatten(tree)`, or raise if a leaf is no number."""
    leaves, structure = flatten(tree)
    for leaf, path in zip(leaves, paths(tree)):
        if not _is_number(leaf):
            raise TypeError(
                f"{name}: {role}{path} is {leaf!r} of type "
                f"{type(leaf).__name__}, not a number"
            )
    return leaves, structure


def lower(kind: type[Value], tree: Tree) -> Tree:
    """Return the tree with numbers in place of Values of a level."""
    leaves, structure = flatten(tree)
    return unflatten(
        structure, [v.data if type(v) is kind else v for v in leaves]
    )


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
    graph = Graph("vjp", f, primals, has_aux)

    def pull_back(cotangent: Tree) -> Tree:
        numbers, structure = numbers_of("vjp", "cotangent", cotangent)
        require_same("vjp", "cotangent", structure, graph.outside)
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
    """

    @wraps(f)
    def value_and_gradient(*args: Tree, **kwargs: Any) -> Any:
        graph = _graph("grad", f, argnums, args, kwargs, has_aux)
        _require_one(graph.result, holomorphic)
        gradient = graph.pull([one_like(graph.result)])
        if isinstance(argnums, int):
            (gradient,) = gradient
        value = (graph.result, graph.aux) if has_aux else graph.result
        return value, gradient

    return value_and_gradient


def _graph(
    name: str,
    f: Function,
    argnums: int | Sequence[int],
    args: Sequence[Tree],
    kwargs: dict[str, Any],
    has_aux: bool = False,
) -> Graph:
    positions = [argnums] if isinstance(argnums, int) else argnums
    for position in positions:
        if not -len(args) <= position < len(args):
            raise ValueError(
                f"{name}: argnums={argnums}, but the function was "
                f"called with {len(args)} positional arguments"
            )

    def of_chosen(*chosen: Tree) -> Tree:
        everything = list(args)
        for position, argument in zip(positions, chosen):
            everything[position] = argument
        return f(*everything, **kwargs)

    return Graph(name, of_chosen, [args[p] for p in positions], has_aux)


def _require_one(result: Tree, holomorphic: bool) -> None:
    number = result
    while isinstance(number, Value):
        number = number.data
    if flatten(result)[1] != LEAF or getattr(number, "shape", ()) != ():
        problem = "use jacobian or vjp for more"
    elif not holomorphic and not _is_real_scalar(number):
        problem = "for a complex derivative say holomorphic=True"
    else:
        return
    raise TypeError(
        f"grad: the function should return one real number, and "
        f"returned {result!r}; {problem}"
    )


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
    """
    both = value_and_grad(f, argnums, has_aux, holomorphic)

    @wraps(f)
    def gradient(*args: Tree, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return gradient


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
    """

    @wraps(f)
    def all_derivatives(*args: Tree, **kwargs: Any) -> Any:
        graph = _graph("jacobian", f, argnums, args, kwargs)
        rows = graph.rows()
        if isinstance(argnums, int):
            rows = [row[0] for row in rows]
        return unflatten(graph.outside, rows)

    return all_derivatives


def hessian(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """Return the function that gives all second derivatives of `f`.

    Args:
        f: A function of trees of numbers that returns one number.
        argnums: As for `value_and_grad`.

    Returns:
        The Jacobian of the gradient: `hessian(f)(x)[i][j]` is the
        derivative by `x[i]` and `x[j]`.

    Raises:
        TypeError: When called, as for `grad`.
    """
    return jacobian(grad(f, argnums), argnums)
