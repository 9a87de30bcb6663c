"""Less memory: a part of the graph that is built when it is needed.

`recompute(f)` runs `f`, forgets how, and runs it again on the way
back. PyTorch and JAX call it *checkpoint*. The idea is older than
both (Griewank & Walther 2000, "Algorithm 799: revolve"; Chen et al.
2016, "Training deep nets with sublinear memory cost"). There is no
derivative rule here.
"""

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import wraps
from types import CellType, EllipsisType, FunctionType, ModuleType
from typing import Any
from weakref import WeakSet

import numpy as np
from array_api_compat import is_torch_array

from prosegrad.arrays import ArrayFunctions
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


class Fingerprint:
    """A checksum of all that gradients of some results depend on.

    Args:
        kind: The class of the nodes.
        inputs: The arguments, which may stand for each other: the
            number of each by its `id`.
    """

    def __init__(
        self, kind: type[Tensor], inputs: Mapping[int, int]
    ) -> None:
        self._kind, self._numbers = kind, dict(inputs)
        self._given = len(inputs)
        self._there: list[Any] = []  # so that no id is used again
        self._known = hashlib.sha256()
        self.unknown: list[Any] = []

    def of(self, results: Sequence[Any]) -> str:
        """Return the checksum; call it once."""
        stack = list(results)
        while stack:
            x = stack.pop()
            self._there.append(x)
            text, members = self._look(x)
            text = f"{type(x).__name__} {text} {len(members)};"
            self._known.update(text.encode())
            stack.extend(members)
        self._there.clear()
        return self._known.hexdigest()

    def _look(self, x: Any) -> tuple[str, Sequence[Any]]:
        if isinstance(x, _ATOMS):
            return repr(x), ()
        is_node = isinstance(x, Value)
        has_shape = isinstance(getattr(x, "shape", None), tuple)
        if not is_node and has_shape and hasattr(x, "dtype"):
            return _checksum(x)
        number = self._numbers.get(id(x))
        if number is not None:
            return f"again {number}", ()
        self._numbers[id(x)] = len(self._numbers) - self._given
        if not is_node:
            return self._inside(x)
        if x._level != self._kind._level:
            return "another level", (_plain(x),)
        rule = (x._backward, *x._parents) if x._parents else ()
        return x._op, (_plain(x), *rule)

    def _inside(self, x: Any) -> tuple[str, Sequence[Any]]:
        """Return what is in a rule, a list, or any other object."""
        if isinstance(x, FunctionType):
            code, cells = hash(x.__code__), x.__closure__ or ()
            return f"{code}", (x.__defaults__, x.__kwdefaults__, *cells)
        if isinstance(x, CellType):
            return "", (x.cell_contents,)
        if isinstance(x, (tuple, list)):
            return "", x
        if isinstance(x, Segment):
            return x.expected, ()
        try:
            return "", [x.__reduce_ex__(4)]
        except Exception:
            self.unknown.append(x)
            return f"{id(x)}", ()


_ATOMS = (
    *(type(None), EllipsisType, ModuleType, type, ArrayFunctions),
    *(bool, int, float, complex, str, bytes),
)


def _checksum(x: Any) -> tuple[str, Sequence[Any]]:
    """Return type, shape and checksum of an array, if it has numbers.

    One that is being traced has none. It is what its operations make
    of its operands, and those are compared.
    """
    about = f"{x.dtype} {tuple(x.shape)}"
    try:
        if is_torch_array(x):
            x = x.detach().cpu().resolve_conj().resolve_neg()
            x = x.float() if "bfloat16" in about else x
        numbers = np.asarray(x, order="C")
    except TypeError:
        return about, ()
    if numbers.dtype == object:
        return about, numbers.ravel().tolist()
    raw = numbers.reshape(-1).view(np.uint8).data
    return f"{about} {hashlib.sha256(raw).hexdigest()}", ()


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

    def _fingerprint(
        self, results: Sequence[Any], inputs: Sequence[Any]
    ) -> str:
        """Return that of a run with these inputs, which are numbered.

        An input and its copy have the same number.
        """
        both = zip(self._inputs, inputs)
        pairs = [xs for xs in both if isinstance(xs[0], Value)]
        first: dict[int, int] = {}
        for i, (x, _) in enumerate(pairs):
            first.setdefault(id(x), i)
        numbers = {id(y): ~first[id(x)] for x, y in pairs}
        numbers |= {key: ~i for key, i in first.items()}
        made = Fingerprint(self._kind, numbers)
        found = made.of([*results, *(_plain(x) for x, _ in pairs)])
        self._unknown = made.unknown
        return found

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
        self.expected = self._fingerprint(results, inputs)
        nodes, self._used = _between(results, inputs)
        self._rules = WeakSet(node._backward for node in nodes)
        own = [x for x in inputs if self._is_own(x)]
        self._parents = tuple(dict.fromkeys([*own, *self._used]))

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
            if self._fingerprint(results, inputs) != self.expected:
                raise RuntimeError(_ANOTHER)
            return self._kind(0.0, results, "again", _backward)

    def _pull(self, found: Any) -> None:
        (seeds,) = found
        inputs = [
            type(x)(x.data) if self._is_own(x) else x
            for x in _as_they_are(self._inputs)
        ]
        root = self._again(inputs, seeds)
        leaves = self._leaves(root)
        stands_for = {id(x): x for x in self._inputs}
        stands_for |= dict(zip(map(id, inputs), self._inputs))
        used = [v for v in leaves if id(v) not in stands_for]
        stands_for |= dict(zip(map(id, used), self._used, strict=True))
        for leaf, grad in zip(leaves, _gradients(root, leaves)):
            if type(grad) is not int:
                stands_for[id(leaf)].grad += grad

    def _leaves(self, root: Tensor) -> list[Value]:
        nodes, leaves = _between([root])
        outside = set(map(id, self._inputs))
        if any(
            node._backward in self._rules or id(node) in outside
            for node in nodes
        ):
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
        pair = np.empty(1, object)
        pair[0] = ((i, grad),)
        hub.grad += pair

    return type(hub)(data, (hub,), "recomputed", _backward)


_ANOTHER = (
    "recompute: the function has not done the same again; what it "
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

    Whether it did is found out by checksums of all arrays of both
    runs; those of a GPU are copied for that.

    Args:
        f: A function of trees of anything that returns such a tree.
            Parameters that it uses need not be arguments. Results
            that were computed outside must be.

    Raises:
        RuntimeError: In `backward`, if `f` does something else than
            before, or uses a result from outside. The leaves have
            the gradients of before.
    """

    @wraps(f)
    def recomputed(*args: Tree, **kwargs: Any) -> Tree:
        inputs, structure = flatten((args, kwargs))
        return Segment(f, inputs, structure).run(inputs)

    return recomputed
