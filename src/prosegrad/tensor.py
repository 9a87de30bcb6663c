"""Tensors: a Value that holds an array.

The rules of one number are inherited. Here is what only arrays have:
shapes, products of matrices, sums along an axis, and parts.

Names and the order of arguments are those of the Python array API
standard, and so of NumPy.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from itertools import accumulate
from numbers import Number as PythonNumber
from typing import Any, Self, SupportsIndex

import numpy as np
from array_api_compat import is_torch_array

from prosegrad import losses, value
from prosegrad.arrays import (
    NUMPY,
    Array,
    Shape,
    array_of,
    axes_of,
    broadcast_shape,
    constant_like,
    counting,
    is_array,
    is_kind,
    library,
    range_of,
    require_order,
    shape_of,
    spread,
    squeezed,
    sum_to,
)
from prosegrad.derivatives import find_box, rows_of
from prosegrad.elementary import Number, holds
from prosegrad.kinds import NAMES
from prosegrad.trees import Tree, flatten, unflatten
from prosegrad.value import (
    Value,
    lift,
    namespace,
    topological_order,
)

Axis = SupportsIndex | Sequence[SupportsIndex] | None
"""One axis, some, or all of them."""


def _as_array(data: Any) -> Array:
    if type(data) is np.ndarray and data.dtype.kind in "fiub":
        return data
    if is_array(data) and not holds(data, Value):
        return data
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise ValueError(f"Tensor: {error}") from None
    members = array.ravel().tolist() if array.dtype == object else ()
    if array.dtype.kind not in "biufcO" or not all(
        isinstance(x, PythonNumber) for x in members
    ):
        raise TypeError(
            f"Tensor holds numbers, not {data!r} of type "
            f"{type(data).__name__}"
        )
    return array


_recording = ContextVar("_recording", default=True)


class Tensor(Value):
    """An array in a computational graph.

    Args:
        data: The array: of NumPy, JAX, PyTorch, or another Tensor.
            Numbers and nested lists become an array of NumPy.

    Attributes:
        data: The array.
        grad: The derivatives with respect to its members of whatever
            `backward` was called on, an array of the same shape; 0
            before that.

    Raises:
        TypeError: `data` is not numbers.
        ValueError: The lists have not the shape of an array.
    """

    __slots__ = ()

    def __init__(
        self,
        data: Any,
        _parents: tuple[Value, ...] = (),
        _op: str = "",
        _backward: Callable[[Number], None] | None = None,
    ) -> None:
        if isinstance(data, Value):
            self._set_level(data)
        elif not _parents or type(data) is not np.ndarray:
            data = _as_array(data)
        if _parents:
            self._check_parents(_parents, _op)
        if _parents and not _recording.get():
            _parents, _op, _backward = (), "no_grad", None
        self.data = data
        self.grad = 0
        self._parents = _parents
        self._op = _op
        self._backward = _backward

    def _node(
        self,
        data: Array,
        parents: tuple[Value, ...],
        op: str,
        backward: Callable[[Number], None],
    ) -> Self:
        return type(self)(data, parents, op, backward)

    def __repr__(self) -> str:
        return f"Tensor({self.data!r})"

    @property
    def shape(self) -> Shape:
        """The lengths of the axes."""
        return shape_of(self.data)

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return int(np.prod(self.shape, dtype=int))

    @property
    def dtype(self) -> Any:
        """The type of the numbers, as the array library names it."""
        return self.data.dtype

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a Tensor of shape () has no length")
        return self.shape[0]

    def __array_namespace__(self, *, api_version: Any = None) -> Any:
        return type(self)

    def backward(
        self, gradient: Number | None = None, *, keep_graph: bool = True
    ) -> None:
        """Add to the `grad` of every leaf the derivative of `self`.

        No array is changed in place. If anything is raised, the
        leaves have the gradients of before.

        Args:
            gradient: How far the final result moves with `self`, an
                array of its shape; 1 by default, which needs a
                single number.
            keep_graph: Whether the graph is there afterwards. If
                not, each node is freed as soon as its rule has run.

        Raises:
            TypeError: There is no `gradient` and `self` is not one
                real number.
            ValueError: `gradient` has another shape.
            RuntimeError: `self` was computed inside `no_grad`, or a
                node of its graph has been freed.
        """
        seed = _seed(self, gradient)
        order = topological_order(self)
        leaves = [node for node in order if not node._parents]
        before = [(leaf, leaf.grad) for leaf in leaves]
        _check_leaves(leaves)
        for node in order:
            node.grad = Total()
        try:
            self.grad += seed
            _walk(order, keep_graph)
            found = [_settled(leaf, old) for leaf, old in before]
        except BaseException:
            for leaf, old in before:
                leaf.grad = old
            raise
        for (leaf, _), new in zip(before, found):
            leaf.grad = new

    def zero_grad(self) -> None:
        """Set `grad` to zero."""
        self.grad = 0

    def conj(self) -> Tensor:
        """Return the complex conjugates."""
        y = library(self.data).conj(self.data)
        return _node(self, y, "conj", lambda g: library(g).conj(g))

    def real(self) -> Tensor:
        """Return the real parts."""
        y = library(self.data).real(self.data)
        return _node(self, y, "real", lambda g: g)

    def __abs__(self) -> Tensor:
        x = self.data
        if not is_kind(x, "complex floating"):
            return Value.__abs__(self)
        size = abs(x)

        def back(grad: Array) -> Array:
            nothing = _as_numbers(size == 0, size)
            return grad / (size + nothing) * library(x).conj(x)

        return _node(self, size, "abs", back)

    def __add__(self, other: Number) -> Tensor:
        return _elementwise(Value.__add__, self, other)

    def __radd__(self, other: Number) -> Tensor:
        return _reflected(Value.__add__, other, self)

    def __sub__(self, other: Number) -> Tensor:
        return _elementwise(Value.__sub__, self, other)

    def __rsub__(self, other: Number) -> Tensor:
        return _reflected(Value.__sub__, other, self)

    def __mul__(self, other: Number) -> Tensor:
        return _elementwise(Value.__mul__, self, other)

    def __rmul__(self, other: Number) -> Tensor:
        return _reflected(Value.__mul__, other, self)

    def __truediv__(self, other: Number) -> Tensor:
        return _elementwise(Value.__truediv__, self, other)

    def __rtruediv__(self, other: Number) -> Tensor:
        return _reflected(Value.__truediv__, other, self)

    def _paired(self, op: str, other: Number) -> tuple[Any, Any]:
        return _matched(op, self, other)

    def __pow__(self, n: Number) -> Tensor:
        return Value.__pow__(_counted(self), n)

    def maximum(self, other: Number) -> Tensor:
        """Return the larger; a tie gives each side half the slope."""
        return _elementwise(Value.maximum, self, other)

    def minimum(self, other: Number) -> Tensor:
        """Return the smaller; a tie gives each side half the slope."""
        return _elementwise(Value.minimum, self, other)

    def leaky_relu(self, slope: float = 0.01) -> Tensor:
        """Return x above 0, else `slope * x`; the slope at 0 too."""
        require_order("leaky_relu", self.data)
        return Value.leaky_relu(self, slope)

    @staticmethod
    def where(condition: Any, x: Number, y: Number) -> Any:
        """Return `x` where the condition holds, else `y`."""
        return where(condition, x, y)

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Return the sum of the numbers along an axis, or of all."""
        shape = self.shape
        y = _reduced("sum", self.data, axis, keepdims)
        return _node(self, y, "sum", lambda g: spread(g, shape, axis))

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Return the mean of the numbers along an axis, or of all."""
        total = _single(self).sum(axis, keepdims)
        axes = axes_of(axis, self.ndim)
        total = total / math.prod(self.shape[i] for i in axes)
        mean: Tensor = _single(total, like=self)
        return mean

    def max(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Return the largest; equal ones share the gradient."""
        return _extreme("max", self, axis, keepdims)

    def min(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Return the smallest; equal ones share the gradient."""
        return _extreme("min", self, axis, keepdims)

    def logsumexp(
        self, axis: Axis = None, keepdims: bool = False
    ) -> Tensor:
        """Return `log(sum(exp(x)))` along an axis, or of all.

        No `x` is too large or small. The slope is the softmax.
        """
        x, shape = _floats("logsumexp", self.data), self.shape
        xp, largest = library(x), _largest(x, axis)
        z = xp.exp(x - largest)
        total = xp.sum(z, axis=_axis(axis), keepdims=True)
        y = xp.log(total) + largest

        def back(grad: Array) -> Array:
            return spread(grad, shape, axis) * xp.exp(x - y)

        result = y if keepdims else squeezed(y, axis)
        result = _single(result, like=self.data)
        return _node(self, result, "logsumexp", back)

    def softmax(self, axis: Axis = -1) -> Tensor:
        """Return shares of one along an axis, as `exp(x)` is large.

        Args:
            axis: Along which the shares add up to one.
        """
        x, axis = _floats("softmax", self.data), _axis(axis)
        xp = library(x)
        z = xp.exp(x - _largest(x, axis))
        y = z / xp.sum(z, axis=axis, keepdims=True)

        def back(grad: Array) -> Array:
            part = grad * y
            total = library(part).sum(part, axis=axis, keepdims=True)
            return part - y * total

        shares = _single(y, like=self.data)
        return _node(self, shares, "softmax", back)

    def __matmul__(self, other: Number) -> Tensor:
        return matmul(self, other)

    def __rmatmul__(self, other: Number) -> Tensor:
        return matmul(other, self)

    def reshape(
        self, *shape: SupportsIndex | Sequence[SupportsIndex]
    ) -> Tensor:
        """Return the numbers, in order, in another shape.

        Args:
            shape: The lengths of the axes, or a sequence of them. One
                may be -1, which means whatever is left.
        """
        lengths: Any = shape[0] if len(shape) == 1 else shape
        if hasattr(lengths, "__index__"):
            lengths = (lengths,)
        x, own = self.data, self.shape
        y = _reshaped(x, tuple(lengths))
        return _node(
            self, y, "reshape", lambda g: library(g).reshape(g, own)
        )

    def expand_dims(self, axis: int = 0) -> Tensor:
        """Return the array with an axis of length 1 more.

        Args:
            axis: Where it stands in the result.

        Raises:
            ValueError: The result has no such axis.
        """
        shape = [*self.shape]
        shape.insert(_axis_in("expand_dims", axis, self.shape, 1), 1)
        return self.reshape(shape)

    def permute_dims(self, axes: Sequence[int]) -> Tensor:
        """Return the array with its axes in another order.

        Args:
            axes: The present axes, in their new order.

        Raises:
            ValueError: One is missing, or there twice.
        """
        x, n, own = self.data, self.ndim, self.shape
        order = tuple(_axis_in("permute_dims", i, own) for i in axes)
        if sorted(order) != [*range(n)]:
            raise ValueError(
                f"permute_dims: {order} is no order of the axes of "
                f"shape {own}"
            )
        inverse = tuple(order.index(i) for i in range(n))
        y = library(x).permute_dims(x, order)
        return _node(
            self,
            y,
            "permute_dims",
            lambda g: library(g).permute_dims(g, inverse),
        )

    @property
    def T(self) -> Tensor:
        """The array with its axes in reverse order."""
        return self.permute_dims(range(self.ndim)[::-1])

    @property
    def mT(self) -> Tensor:
        """Each matrix, the last two axes, transposed."""
        n = self.ndim
        if n < 2:
            raise ValueError(f"mT: shape {self.shape} has no matrix")
        return self.permute_dims([*range(n - 2), n - 1, n - 2])

    def broadcast_to(self, shape: Shape) -> Tensor:
        """Return the array stretched to a larger shape.

        Raises:
            ValueError: It cannot be stretched to that shape.
        """
        x, own, shape = self.data, self.shape, tuple(shape)
        if broadcast_shape("broadcast_to", own, shape) != shape:
            raise ValueError(
                f"broadcast_to: {shape} is not larger than {own}"
            )
        y = library(x).broadcast_to(x, shape)
        return _node(self, y, "broadcast_to", lambda g: sum_to(g, own))

    @staticmethod
    def add_at(shape: Shape, key: Any, values: Tensor) -> Tensor:
        """Return zeros, and at `key` the sum of `values`."""
        v = values.data
        y = library(v).add_at(shape, key, v)
        return _node(values, y, "add_at", lambda g: g[key])

    def __getitem__(self, key: Any) -> Tensor:
        x, own, key = self.data, self.shape, _key(key)
        return _node(
            self,
            x[key],
            "getitem",
            lambda g: library(g).add_at(own, key, g),
        )

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def take(self, indices: Any, axis: int = 0) -> Tensor:
        """Return the parts of these numbers along an axis.

        Args:
            indices: Whole numbers, an array of any shape. A part may
                be taken many times; its gradients add up.
            axis: The axis, which is replaced by those of `indices`.

        Raises:
            ValueError: There is no such axis.
        """
        axis = _axis_in("take", axis, self.shape)
        before = (slice(None),) * axis
        return self[(*before, indices)]

    @staticmethod
    def concat(tensors: Sequence[Number], axis: int = 0) -> Tensor:
        """Return arrays one after another along an axis."""
        return concat(tensors, axis)


def _seed(root: Tensor, gradient: Number | None) -> Array:
    if root._op in _LOST:
        raise RuntimeError(
            "backward: this Tensor has no graph; it was "
            f"{_LOST[root._op]}"
        )
    if gradient is None:
        return _one(root)
    if shape_of(gradient) != root.shape:
        raise ValueError(
            f"backward: the gradient has shape {shape_of(gradient)}, "
            f"and the Tensor has {root.shape}"
        )
    return gradient


_LOST = {
    "no_grad": "computed inside no_grad",
    "freed": "freed by backward(keep_graph=False)",
}


def _check_leaves(leaves: list[Value]) -> None:
    if any(leaf._op == "freed" for leaf in leaves):
        raise RuntimeError(
            "backward: a part of the graph was freed by "
            "backward(keep_graph=False)"
        )


def _plain(data: Number) -> Array:
    """Return the array inside all Tensors."""
    while isinstance(data, Value):
        data = data.data
    return data


def _one(root: Tensor) -> Array:
    array = _plain(root)
    unreal = is_kind(array, ("complex floating", "bool"))
    if root.shape != () or unreal:
        raise TypeError(
            "backward starts from one real number, and this Tensor "
            f"has shape {root.shape} and dtype {array.dtype}; sum it, "
            "or give a gradient"
        )
    return namespace(root.data).ones_like(root.data)


class Total:
    """What has been added up so far, in arrays that nobody changes.

    A rule says `parent.grad += grad`, which for an array would write
    into it, and another node may hold the same one. A total takes the
    first as it is, and makes a new array of the second.
    """

    __slots__ = ("sum",)

    def __init__(self) -> None:
        self.sum: Array | None = None

    def __iadd__(self, grad: Array) -> Total:
        self.sum = grad if self.sum is None else self.sum + grad
        return self

    def __isub__(self, grad: Array) -> Total:
        self.sum = -grad if self.sum is None else self.sum - grad
        return self


def _walk(order: list[Value], keep_graph: bool) -> None:
    """Run the rules from the last node to the first."""
    while order:
        node = order.pop()
        rule, grad = node._backward, node.grad.sum
        if rule is None or not node._parents:
            continue
        if grad is None:
            node.grad = 0
        else:
            if type(grad) is not np.ndarray or grad.dtype.kind != "f":
                grad = _as_gradient(grad, node.data)
            node.grad = grad
            rule(grad)
        if not keep_graph:
            node._backward, node._parents = None, ()
            node._op, node.grad = "freed", 0


def _as_gradient(grad: Number, data: Number) -> Array:
    """Return a gradient as an array of a type that suits the data."""
    array = _plain(data)
    if isinstance(grad, PythonNumber) and is_array(array):
        grad = _widened(library(array).ones_like(array)) * grad
    if isinstance(grad, (np.generic, PythonNumber)):
        grad = np.asarray(grad)
    complex_kind = "complex floating"
    if is_kind(grad, complex_kind) and not is_kind(array, complex_kind):
        return library(grad).real(grad)
    return _widened(grad)


def _widened(grad: Array) -> Array:
    """Return whole numbers in a type that does not wrap."""
    small = is_kind(grad, ("integral", "bool"))
    small = small and not isinstance(grad, Value)
    return counting(grad) if small else grad


CONSTANT = "constant"


def _settled(leaf: Value, before: Number) -> Number:
    """Return the gradient that a leaf is left with."""
    found, data = leaf.grad.sum, leaf.data
    if found is None or leaf._op == CONSTANT:
        return before
    found = _as_gradient(found, data)
    if isinstance(found, Value):
        return before + found
    if getattr(data, "dtype", found.dtype) != found.dtype:
        found = _cast(found, _plain(data))
    if type(before) is int:
        return library(found).asarray(found, copy=True)
    return before + found


def _cast(grad: Array, data: Array) -> Array:
    """Return the gradient in the precision of the data."""
    floating = ("real floating", "complex floating")
    if is_kind(data, floating) and is_kind(grad, "numeric"):
        return library(data).astype(grad, data.dtype)
    return grad


@contextmanager
def no_grad() -> Iterator[None]:
    """Let Tensors compute without a graph, which saves its memory.

    What is computed inside is a constant, and `backward` refuses it.
    """
    token = _recording.set(False)
    try:
        yield
    finally:
        _recording.reset(token)


@find_box.register(object)
def _(x: Number) -> type[Value]:
    """Let what is differentiated with arrays be a Tensor."""
    return Tensor if is_array(x) else Value


def _stretched(x: Tensor, own: Shape) -> Tensor:
    """Return a node that stands for `x` at a larger shape.

    It holds the same array; the operation that follows stretches it
    on the way.
    """

    def _backward(grad: Array) -> None:
        x.grad += sum_to(grad, own)

    return type(x)(x.data, (x,), "broadcast", _backward)


def _constant(x: Tensor, number: Number) -> Tensor:
    """Return what `x` meets and nobody asks the gradient of.

    A Python number stays one, so that it takes the precision of the
    array that it meets.
    """
    kind = type(x)
    made = kind.__new__(kind)
    alike = type(number) is type(x.data) and number.dtype != object
    if not alike and type(number) not in _PLAIN:
        number = _known_to(_plain(x), number)
    made.data, made.grad = number, 0
    made._parents, made._op, made._backward = (), CONSTANT, None
    return made


def _known_to(array: Array, number: Number) -> Array:
    """Return a number in a form that the library of an array knows."""
    if isinstance(number, np.generic) and library(array) is not NUMPY:
        return number.item()
    number = _as_array(number)
    if is_torch_array(array) and type(number) is np.ndarray:
        place = array.device
        return library(array).asarray(number.copy(), device=place)
    _require_one_library(array, number)
    return number


def _require_one_library(x: Array, y: Array) -> None:
    """Raise a TypeError if only one of two arrays is PyTorch's."""
    arrays = shape_of(x) != () and shape_of(y) != ()
    if arrays and is_torch_array(x) != is_torch_array(y):
        raise TypeError(
            f"a Tensor of {type(_plain(x))} meets one of "
            f"{type(_plain(y))}; make both of one library"
        )


_PLAIN = (int, float, complex, bool)


def _joined(y: Value) -> Tensor:
    """Return a Tensor of one number that is a node after `y`."""

    def _backward(grad: Array) -> None:
        y.grad += grad

    kind: type[Tensor] = Tensor
    if y._level:
        kind = Tensor.at_level(y._level)
    return kind(y.data, (y,), "tensor", _backward)


def _matched(
    operation: str, x: Tensor, y: Number
) -> tuple[Tensor, Tensor]:
    """Return two Tensors of one level, and in effect of one shape."""
    if not isinstance(y, Value):
        y = _constant(x, y)
    else:
        if type(y) is not type(x):
            x, y = lift(x, y if isinstance(y, Tensor) else _joined(y))
        if type(x.data) is not type(y.data):
            _require_one_library(_plain(x), _plain(y))
    a, b = shape_of(x.data), shape_of(y.data)
    if a == b:
        return x, y
    shape = broadcast_shape(operation.strip("_"), a, b)
    if a != shape and x._op != CONSTANT:
        x = _stretched(x, a)
    if b != shape and y._op != CONSTANT:
        y = _stretched(y, b)
    return x, y


def _elementwise(
    rule: Callable[[Any, Any], Any], x: Tensor, y: Number
) -> Tensor:
    """Apply the rule of a Value to operands of any two shapes."""
    result: Tensor = rule(*_matched(rule.__name__, x, y))
    return result


def _reflected(
    rule: Callable[[Any, Any], Any], x: Number, y: Tensor
) -> Tensor:
    y, x = _matched(rule.__name__, y, x)
    result: Tensor = rule(x, y)
    return result


def _counted(x: Tensor) -> Tensor:
    """Return whole numbers in the type that their library counts in."""
    y = x.data
    if isinstance(y, Value) or not is_kind(y, "integral"):
        return x
    wide = counting(y)
    return x if wide is y else _node(x, wide, "astype", lambda g: g)


def _of_floats(name: str) -> Callable[[Any], Any]:
    """Return a method that turns whole numbers into floats first."""

    @wraps(getattr(Value, name))
    def method(self: Tensor) -> Any:
        x = self.data
        plain = type(x) is np.ndarray and x.dtype.kind == "f"
        if not plain and is_kind(x, ("integral", "bool")):
            self = self * 1.0
        return getattr(Value, name)(self)

    return method


CURVES = [*NAMES, "sigmoid", "softplus", "gelu"]
for _name in CURVES:
    setattr(Tensor, _name, _of_floats(_name))


def where(condition: Any, x: Number, y: Number) -> Any:
    """Return `x` where the condition holds, else `y`.

    Args:
        condition: A bool, or an array, a list or a Tensor of them.
            Numbers hold if they are not 0.
        x: A Tensor, an array or a number.
        y: A Tensor, an array or a number.

    Raises:
        ValueError: The three shapes do not fit.
    """
    if isinstance(x, Tensor):
        x, y = _matched("where", x, y)
    elif isinstance(y, Tensor):
        y, x = _matched("where", y, x)
    else:
        return value.where(condition, x, y)
    condition = _truths(x, condition)
    shapes = [shape_of(v) for v in (condition, x, y)]
    shape = broadcast_shape("where", *shapes)
    if isinstance(condition, bool):
        chosen = x if condition else y
        own = chosen.shape == shape
        return chosen if own else chosen.broadcast_to(shape)
    x, y = (
        v if own == shape or v._op == CONSTANT else _stretched(v, own)
        for v, own in zip((x, y), shapes[1:])
    )
    return Value.where(condition, x, y)


def _truths(x: Tensor, condition: Any) -> Any:
    """Return a condition as a bool, or as an array beside `x`."""
    if isinstance(condition, (bool, np.bool_)):
        return bool(condition)
    truths = _known_to(_plain(x), array_of(condition))
    return truths if is_kind(truths, "bool") else truths != 0


def _node(
    x: Tensor, data: Array, op: str, back: Callable[[Array], Array]
) -> Tensor:
    """Return a node after `x`; `back` is the transpose of its slope.

    Args:
        x: The only parent.
        data: The result.
        op: What to call the operation in a drawing.
        back: Takes the gradient of the result, returns that of `x`.
    """

    def _backward(grad: Array) -> None:
        x.grad += back(grad)

    return type(x)(data, (x,), op, _backward)


def _axis(axis: Axis) -> int | tuple[int, ...] | None:
    """Return the axis as every library takes it."""
    if axis is None:
        return None
    if hasattr(axis, "__index__"):
        return operator.index(axis)
    return tuple(map(operator.index, axis))


def _reduced(name: str, x: Array, axis: Axis, keepdims: bool) -> Array:
    """Return a sum or a maximum along axes, or say what is wrong."""
    function = getattr(library(x), name)
    try:
        return function(x, axis=_axis(axis), keepdims=keepdims)
    except (IndexError, RuntimeError, ValueError):
        raise ValueError(
            f"{name}: there is no axis {axis}, or no number along it, "
            f"in shape {shape_of(x)}"
        ) from None


def _single(x: Any, like: Any = None) -> Any:
    """Return half precision as single precision, or it back again.

    Args:
        x: A Tensor or an array.
        like: What was in half precision, for the way back.
    """
    dtype = (x if like is None else like).dtype
    if "float16" not in str(dtype):
        return x
    if like is None:
        dtype = library(_plain(x)).float32
    return _in_type(x, dtype)


def _in_type(x: Any, dtype: Any) -> Any:
    """Return an array of floats, or a Tensor, in another precision."""
    if not isinstance(x, Tensor):
        return library(x).astype(x, dtype)
    own, y = x.dtype, _in_type(x.data, dtype)
    return _node(x, y, "astype", lambda g: _in_type(g, own))


def _as_numbers(condition: Array, x: Array) -> Array:
    """Return 1 where a condition holds and else 0, of the type of x."""
    return library(condition).astype(condition, _plain(x).dtype)


def _extreme(
    name: str, self: Tensor, axis: Axis, keepdims: bool
) -> Tensor:
    x, shape = self.data, self.shape
    require_order(name, x)
    y = _reduced(name, x, axis, keepdims)

    def back(grad: Array) -> Array:
        winners = _as_numbers(x == spread(y, shape, axis), x)
        count = library(winners).sum(
            winners, axis=_axis(axis), keepdims=keepdims
        )
        return spread(grad / count, shape, axis) * winners

    return _node(self, y, name, back)


def _largest(x: Array, axis: Axis) -> Array:
    """Return the maxima along an axis, and 0 for what is infinite.

    They are constants: a shift that is taken back has no slope.
    """
    array = _plain(x)
    xp = library(array)
    found = xp.max(array, axis=_axis(axis), keepdims=True)
    return xp.where(xp.isfinite(found), found, xp.zeros_like(found))


def _floats(name: str, x: Any) -> Any:
    """Return real numbers in a type in which they can be shifted."""
    require_order(name, x)
    return x * 1.0 if is_kind(x, ("integral", "bool")) else _single(x)


def _mean_square(predictions: Tensor, targets: Any) -> Tensor:
    if not isinstance(targets, Value):
        targets = array_of(targets)
    if predictions.shape != shape_of(targets):
        raise ValueError(
            f"mean_squared_error: predictions of shape "
            f"{predictions.shape}, targets of {shape_of(targets)}"
        )
    if 0 in predictions.shape:
        raise ValueError("mean_squared_error: no predictions")
    number = predictions * 1.0
    whole = is_kind(predictions, ("integral", "bool"))
    errors = (number if whole else _single(predictions)) - targets
    mean: Tensor = _single((errors**2).mean(), like=predictions)
    return mean


losses.mean_squared_error.register(Tensor, _mean_square)


def _classes(targets: Any, logits: Tensor) -> Array:
    """Return the right class of each row, one row after another."""
    classes, shape = array_of(targets), logits.shape
    own = shape_of(classes)
    if own != shape[:-1] or not shape:
        raise ValueError(
            f"cross_entropy: logits of shape {shape} need targets of "
            f"shape {shape[:-1]}, not {own}"
        )
    if 0 in own:
        raise ValueError("cross_entropy: no predictions")
    if not is_kind(classes, "integral"):
        raise TypeError(
            "cross_entropy: targets are the numbers of classes, not "
            f"of dtype {classes.dtype}"
        )
    _check_classes(classes, shape[-1])
    if type(_plain(logits)) is np.ndarray and is_torch_array(classes):
        classes = np.asarray(classes)
    return counting(library(classes).reshape(classes, (-1,)))


def _check_classes(classes: Array, count: int) -> None:
    low, high = range_of(classes) or (0, 0)
    if low < 0 or high >= count:
        raise ValueError(
            f"cross_entropy: targets from {low} to {high}, and there "
            f"are {count} classes"
        )


def _cross_entropy(logits: Tensor, targets: Any) -> Tensor:
    classes = _classes(targets, logits)
    if logits.ndim != 2:
        logits = logits.reshape(-1, logits.shape[-1])
    x = _floats("cross_entropy", logits.data)
    xp, count = library(x), len(classes)
    z = x - _constant_max(x)
    e = xp.exp(z)
    total = xp.sum(e, axis=-1, keepdims=True)
    rows = _numbered(count, classes)
    surprise = xp.log(total)[:, 0] - z[rows, classes]

    def back(grad: Array) -> Array:
        right = classes[:, None] == _numbered(x.shape[-1], classes)
        wrong = e / total - constant_like(right, _plain(x))
        return wrong * grad / count

    y = _single(xp.sum(surprise) / count, like=logits.data)
    return _node(logits, y, "cross_entropy", back)


def _constant_max(x: Array) -> Array:
    """Return the largest of each row, as a constant."""
    array = _plain(x)
    return library(array).max(array, axis=-1, keepdims=True)


losses.cross_entropy.register(Tensor, _cross_entropy)


def _numbered(count: int, like: Array) -> Array:
    """Return 0, 1, 2 … in the library of an array."""
    return constant_like(np.arange(count), like)


def _hinge(scores: Tensor, labels: Any) -> Tensor:
    signs = array_of(labels)
    if scores.shape != shape_of(signs) or 0 in scores.shape:
        raise ValueError(
            f"hinge: scores of shape {scores.shape}, labels of "
            f"{shape_of(signs)}"
        )
    if not bool(library(signs).all((signs == 1) | (signs == -1))):
        raise ValueError("hinge: a label is not -1 or 1")
    gaps: Tensor = 1 - _known_to(_plain(scores), signs) * scores
    return gaps.relu().mean()


losses.hinge.register(Tensor, _hinge)
losses.softmax.register(Tensor, Tensor.softmax)
losses.log_sum_exp.register(Tensor, lambda x: x.logsumexp(axis=-1))


def _kind_of(*operands: Number) -> type[Tensor]:
    """Return the class of the operands of the highest level."""
    kind = value._highest(frozenset(map(type, operands)))
    return kind if issubclass(kind, Tensor) else Tensor


def _inside(kind: type[Tensor], x: Number) -> Array:
    """Return the array of an operand, which may be a constant."""
    if isinstance(x, Tensor):
        return x.data if type(x) is kind else x
    if isinstance(x, Value):
        raise TypeError(f"matmul: {x!r} is one number, not an array")
    return _as_array(x)


def _together(
    kind: type[Tensor], x: Number, y: Number
) -> tuple[Array, Array]:
    """Return the arrays of two operands, of one library."""
    a, b = _inside(kind, x), _inside(kind, y)
    if not isinstance(x, Value):
        a = _known_to(_plain(b), a)
    elif not isinstance(y, Value):
        b = _known_to(_plain(a), b)
    else:
        _require_one_library(_plain(a), _plain(b))
    return a, b


def _check_product(a: Shape, b: Shape) -> None:
    if a[-1] != b[-2]:
        raise ValueError(
            f"matmul: shapes {a} and {b} do not fit; rows of {a[-1]} "
            f"numbers meet columns of {b[-2]}"
        )
    try:
        broadcast_shape("matmul", a[:-2], b[:-2])
    except ValueError:
        raise ValueError(
            f"matmul: stacks of shapes {a} and {b} do not fit"
        ) from None


def _sum_of_products(a: Array, grad: Array, shape: Shape) -> Array:
    """Return `a.mT @ grad` in a shape that was stretched.

    For a single matrix the stack of rows is one long matrix, and the
    sum over the stack is part of the product.
    """
    if len(shape) > 2 or len(a.shape) == 2:
        return sum_to(a.mT @ grad, shape)
    rows, grads = (
        library(z).reshape(z, (math.prod(z.shape[:-1]), z.shape[-1]))
        for z in (a, grad)
    )
    product: Array = rows.mT @ grads
    return product


def matmul(x: Number, y: Number) -> Tensor:
    """Return the products of matrices, the last two axes.

    Args:
        x: An array `(…, n, k)`, or `(k,)`, taken as a row.
        y: An array `(…, k, m)`, or `(k,)`, taken as a column.

    Returns:
        An array `(…, n, m)`, without the axis of a row or a column.

    Raises:
        ValueError: The shapes do not fit.
    """
    kind = _kind_of(x, y)
    a, b = _together(kind, x, y)
    if len(a.shape) < 2 or len(b.shape) < 2:
        return _with_a_vector(kind, x, y)
    _check_product(a.shape, b.shape)

    def _backward(grad: Array) -> None:
        if type(x) is kind:
            x.grad += sum_to(grad @ b.mT, a.shape)
        if type(y) is kind:
            y.grad += _sum_of_products(a, grad, b.shape)

    parents = tuple(v for v in (x, y) if type(v) is kind)
    return kind(a @ b, parents, "@", _backward)


def _with_a_vector(kind: type[Tensor], x: Number, y: Number) -> Tensor:
    x, y = (v if type(v) is kind else kind(v) for v in (x, y))
    if not x.shape or not y.shape:
        raise ValueError(
            f"matmul: shapes {x.shape} and {y.shape} do not fit; a "
            "single number is no matrix"
        )
    if x.shape[-1] != y.shape[-min(y.ndim, 2)]:
        raise ValueError(
            f"matmul: shapes {x.shape} and {y.shape} do not fit"
        )
    rows = x if x.ndim > 1 else x.expand_dims(0)
    columns = y if y.ndim > 1 else y.expand_dims(1)
    z = matmul(rows, columns)
    shape = z.shape if y.ndim > 1 else z.shape[:-1]
    if x.ndim == 1:
        shape = z.shape[:-2] + shape[len(z.shape) - 1 :]
    return z.reshape(shape)


def linear(x: Number, weight: Number, bias: Number) -> Tensor:
    """Return `x @ weight + bias`, in most cases as one node.

    Args:
        x: An array `(…, n_inputs)`.
        weight: An array `(n_inputs, n_outputs)`.
        bias: An array `(n_outputs,)`.

    Returns:
        An array `(…, n_outputs)`.

    Raises:
        ValueError: The shapes do not fit.
    """
    product = matmul(x, weight)
    shape, own = product.shape, shape_of(bias)
    larger = broadcast_shape("linear", shape, own) != shape
    if type(bias) is not type(product) or larger or len(shape) < 2:
        total: Tensor = product + bias
        return total
    rule: Any = product._backward

    def _backward(grad: Array) -> None:
        rule(grad)
        bias.grad += sum_to(grad, own)

    parents, y = (*product._parents, bias), product.data + bias.data
    return type(product)(y, parents, "linear", _backward)


def _reshaped(x: Array, lengths: Shape) -> Array:
    try:
        return library(x).reshape(x, lengths)
    except (RuntimeError, TypeError, ValueError):
        raise ValueError(
            f"reshape: an array of shape {shape_of(x)} cannot be made "
            f"of shape {lengths}"
        ) from None


def _axis_in(
    operation: str, axis: int, shape: Shape, more: int = 0
) -> int:
    """Return the axis from 0 on; raise if there is none such.

    Args:
        operation: Who asks.
        axis: The axis, from either end.
        shape: The shape.
        more: How many axes the result has more.
    """
    n = len(shape) + more
    if not -n <= axis < n:
        raise ValueError(
            f"{operation}: there is no axis {axis} for shape {shape}"
        )
    return axis % n


def _key(key: Any) -> Any:
    if isinstance(key, tuple):
        return tuple(_key(part) for part in key)
    if isinstance(key, list):
        return np.asarray(key, dtype=int if not key else None)
    key = _plain(key)
    whole = is_array(key) and is_kind(key, "integral")
    return counting(key) if whole else key


def _same_but(axis: int, shapes: list[Shape]) -> int:
    """Return the axis from 0 on; raise if another one differs."""
    axis = _axis_in("concat", axis, shapes[0])
    if len({(len(s), *s[:axis], *s[axis + 1 :]) for s in shapes}) > 1:
        raise ValueError(
            f"concat: shapes {', '.join(map(str, shapes))} differ in "
            f"more than axis {axis}"
        )
    return axis


def _raised(arrays: list[Array]) -> list[Array]:
    """Return arrays of one kind, for some may be Tensors inside."""
    if not any(isinstance(x, Value) for x in arrays):
        return arrays
    kind = _kind_of(*arrays)
    return [x if type(x) is kind else kind(x) for x in arrays]


def concat(tensors: Sequence[Number], axis: int = 0) -> Tensor:
    """Return arrays one after another along an axis.

    Args:
        tensors: Tensors and arrays, whose shapes differ at most along
            the axis.
        axis: The axis that gets longer.

    Raises:
        ValueError: There are none, or their shapes do not fit.
    """
    if not tensors:
        raise ValueError("concat: there are no arrays")
    kind = _kind_of(*tensors)
    parts = [x if type(x) is kind else kind(x) for x in tensors]
    axis = _same_but(axis, [x.shape for x in parts])
    before = (slice(None),) * axis
    ends = [0, *accumulate(x.shape[axis] for x in parts)]

    def _backward(grad: Array) -> None:
        for x, start, end in zip(parts, ends, ends[1:]):
            x.grad += grad[(*before, slice(start, end))]

    arrays = _raised([x.data for x in parts])
    for x in arrays[1:]:
        _require_one_library(_plain(arrays[0]), _plain(x))
    traced = (x for x in arrays if hasattr(x, "example"))
    y = library(next(traced, arrays[0])).concat(arrays, axis=axis)
    return kind(y, tuple(parts), "concat", _backward)


def stack(tensors: Sequence[Number], axis: int = 0) -> Tensor:
    """Return arrays of one shape side by side along a new axis.

    Args:
        tensors: Tensors and arrays of one shape.
        axis: Where the new axis stands.

    Raises:
        ValueError: There are none, or their shapes differ.
    """
    boxes = [x if isinstance(x, Tensor) else Tensor(x) for x in tensors]
    if not boxes:
        raise ValueError("stack: there are no arrays")
    shapes = list(dict.fromkeys(x.shape for x in boxes))
    if len(shapes) > 1:
        raise ValueError(
            f"stack: shapes {', '.join(map(str, shapes))} differ"
        )
    axis = _axis_in("stack", axis, shapes[0], 1)
    return concat([x.expand_dims(axis) for x in boxes], axis)


_row_of_number = rows_of.dispatch(object)


@rows_of.register(object)
def _rows(result: Number, pull: Callable[[Number], Tree]) -> Tree:
    """Return a row for each number of what may be an array."""
    if not is_array(result):
        return _row_of_number(result, pull)
    shape, like = shape_of(result), _plain(result)
    rows = [flatten(pull(unit)) for unit in _units(shape, like)]
    columns = zip(*(leaves for leaves, _ in rows))
    return unflatten(
        rows[0][1], [_stacked(c, shape, like) for c in columns]
    )


def _units(shape: Shape, like: Array) -> list[Array]:
    """Return arrays with a single 1; one of zeros if there are none."""
    count = math.prod(shape)
    units = np.eye(max(count, 1), count)
    return [constant_like(u.reshape(shape), like) for u in units]


def _stacked(
    rows: Sequence[Number], shape: Shape, like: Array
) -> Array:
    """Return the rows as one array `(*shape, …)`."""
    lengths = (*shape, *shape_of(rows[0]))
    if any(isinstance(row, Value) for row in rows):
        return stack(rows).reshape(lengths)
    xp = library(like)
    found = xp.stack([xp.asarray(row) for row in rows])
    return xp.reshape(found[: math.prod(shape)], lengths)
