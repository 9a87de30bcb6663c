"""Less memory: a part of the graph that is built when it is needed.

`recompute(f)` runs `f`, forgets how, and runs it again on the way
back. PyTorch and JAX call it *checkpoint*. The idea is older than
both (Griewank & Walther 2000, "Algorithm 799: revolve"; Chen et al.
2016, "Training deep nets with sublinear memory cost"). There is no
derivative rule here.
"""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import wraps
from typing import Any
from weakref import WeakSet

import numpy as np

from prosegrad.derivatives import Function
from prosegrad.levels import new_level
from prosegrad.tensor import (
    CONSTANT,
    Tensor,
    _kind_of,
    _plain,
    _recording,
)
from prosegrad.trees import Structure, Tree, flatten, unflatten
from prosegrad.value import Value


def _between(
    results: Sequence[Value], inputs: Sequence[Any] = ()
) -> tuple[list[Value], list[Value]]:
    """Return the nodes from inputs to results, and the leaves.

    The walk stops at the inputs, which are in neither list. A leaf
    has no history and may have a gradient: mostly a parameter.
    """
    nodes: list[Value] = []
    leaves: list[Value] = []
    seen = {x for x in inputs if isinstance(x, Value)}
    stack = list(results)
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack.extend(node._parents)
            (nodes if node._parents else leaves).append(node)
    return nodes, [leaf for leaf in leaves if leaf._op != CONSTANT]


GENERATORS = (np.random.Generator, random.Random)
"""What moves on when it is used."""


def _as_they_are(inputs: Sequence[Any]) -> list[Any]:
    """Return the inputs, with a copy in place of each generator."""
    same: dict[int, Any] = {}
    return [
        deepcopy(x, same) if isinstance(x, GENERATORS) else x
        for x in inputs
    ]


def _fingerprint(result: Any) -> tuple[Any, ...]:
    """Return kind, shape, dtype, and of NumPy's arrays a sample."""
    array = _plain(result)
    if not isinstance(result, Tensor):
        return type(result), None, None, np.zeros(0)
    sample = np.zeros(0)
    if type(array) is np.ndarray and array.dtype.kind in "fc":
        sample = array.flat[:: array.size // 64 + 1]
    return type(result), array.shape, array.dtype, sample


def _alike(found: tuple[Any, ...], expected: tuple[Any, ...]) -> bool:
    """Tell whether two fingerprints agree, up to rounding."""
    return found[:-1] == expected[:-1] and np.allclose(
        found[-1], expected[-1], 1e-6, equal_nan=True
    )


@contextmanager
def _recording_above(kind: type[Tensor]) -> Iterator[None]:
    """Build graphs, and take derivatives above those of a kind."""
    token = _recording.set(True)
    try:
        with new_level([kind(0.0)]):
            yield
    finally:
        _recording.reset(token)


class Segment:
    """A call that can be made again.

    Args:
        f: The function.
        inputs: The leaves of its arguments.
        structure: That of the arguments, a tuple and a dict.
    """

    def __init__(
        self, f: Function, inputs: Sequence[Any], structure: Structure
    ) -> None:
        self._f, self._structure = f, structure
        self._inputs = _as_they_are(inputs)

    def _call(self, inputs: Sequence[Any]) -> tuple[list[Any], Any]:
        args, kwargs = unflatten(self._structure, inputs)
        return flatten(self._f(*args, **kwargs))

    def run(self, inputs: Sequence[Any]) -> Tree:
        """Return the result, and forget the graph that led to it."""
        numbers, self._outside = self._call(inputs)
        tensors = (v for v in numbers if isinstance(v, Tensor))
        self._kind = _kind_of(*tensors)
        self._places = _computed(numbers, self._kind, inputs)
        results = [numbers[i] for i in self._places]
        if results:
            self._remember(results, inputs)
            self._detach(numbers)
        return unflatten(self._outside, numbers)

    def _remember(
        self, results: Sequence[Tensor], inputs: Sequence[Any]
    ) -> None:
        self._expected = [_fingerprint(v) for v in results]
        nodes, leaves = _between(results, inputs)
        self._rules = WeakSet(node._backward for node in nodes)
        own = [x for x in inputs if self._is_own(x)]
        self._parents = tuple(dict.fromkeys([*own, *leaves]))

    def _is_own(self, x: Any) -> bool:
        return isinstance(x, Value) and x._level == self._kind._level

    def _detach(self, numbers: list[Any]) -> None:
        """Put nodes behind one hub in place of the results."""
        kind = self._kind
        hub = kind(0.0, self._parents, "recompute", self._pull)
        for i in self._places:
            numbers[i] = _behind(hub, numbers[i].data, i)

    def _again(self, inputs: Sequence[Any], seeds: Any) -> Tensor:
        """Return the root of a graph of the second run."""

        def _backward(grad: Any) -> None:
            for i, seed in seeds:
                numbers[i].grad += seed

        with _recording_above(self._kind):
            numbers, outside = self._call(inputs)
            if outside != self._outside:
                raise RuntimeError(_ANOTHER)
            results = tuple(numbers[i] for i in self._places)
            found = map(_fingerprint, results)
            if not all(map(_alike, found, self._expected)):
                raise RuntimeError(_ANOTHER)
            return self._kind(0.0, results, "again", _backward)

    def _pull(self, seeds: Any) -> None:
        inputs = [
            type(x)(x.data) if self._is_own(x) else x
            for x in _as_they_are(self._inputs)
        ]
        root = self._again(inputs, seeds)
        leaves = self._leaves(root)
        of_copy = dict(zip(map(id, inputs), self._inputs))
        parents = set(self._parents)
        for leaf, grad in zip(leaves, _gradients(root, leaves)):
            leaf = of_copy.get(id(leaf), leaf)
            if leaf in parents and type(grad) is not int:
                leaf.grad += grad

    def _leaves(self, root: Tensor) -> list[Value]:
        nodes, leaves = _between([root])
        if any(node._backward in self._rules for node in nodes):
            raise RuntimeError(
                "recompute: the function uses a result that was "
                "computed outside; hand it over as an argument"
            )
        return leaves


def _computed(
    numbers: Sequence[Any], kind: type[Tensor], inputs: Sequence[Any]
) -> list[int]:
    """Return the places of numbers that have a graph of their own."""
    given = {id(x) for x in inputs}
    return [
        i
        for i, v in enumerate(numbers)
        if type(v) is kind and v._parents and id(v) not in given
    ]


def _behind(hub: Tensor, data: Any, i: int) -> Tensor:
    def _backward(grad: Any) -> None:
        hub.grad += ((i, grad),)

    return type(hub)(data, (hub,), "recomputed", _backward)


_ANOTHER = (
    "recompute: the function has not returned the same again; what it "
    "depends on must be among its arguments, generators too"
)


def _gradients(root: Tensor, leaves: Sequence[Value]) -> list[Any]:
    """Return the gradients of the leaves, whose `grad` stays.

    The graph is freed on the way.
    """
    before = [leaf.grad for leaf in leaves]
    for leaf in leaves:
        leaf.grad = 0
    try:
        root.backward(1, keep_graph=False)
        return [leaf.grad for leaf in leaves]
    finally:
        for leaf, grad in zip(leaves, before):
            leaf.grad = grad


def recompute(f: Function) -> Function:
    """Return a function that does what `f` does, and forgets how.

    On the way back `f` is called a second time. So it must do the
    same again, whenever that is: a generator of NumPy's or Python's
    `random` that is an argument is in the same state again.

    Args:
        f: A function of trees of anything that returns such a tree.
            Parameters that it uses need not be arguments. Results
            that were computed outside must be.

    Raises:
        RuntimeError: In `backward`, if `f` returns another result, or
            uses one from outside. The leaves have the gradients of
            before.
    """

    @wraps(f)
    def recomputed(*args: Tree, **kwargs: Any) -> Tree:
        inputs, structure = flatten((args, kwargs))
        return Segment(f, inputs, structure).run(inputs)

    return recomputed
