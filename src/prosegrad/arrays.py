"""Where the functions of arrays live.

Arrays of NumPy and JAX name their own namespace, as the Python array
API standard asks, and `array-api-compat` knows PyTorch's. What the
rules need and the standard lacks is here. The derivatives are those
of every number.
"""

import math
import operator
from collections.abc import Sequence
from functools import cache, lru_cache
from numbers import Number as PythonNumber
from typing import Any, SupportsIndex, TypeAlias

import array_api_compat
import numpy as np

from prosegrad.elementary import Number
from prosegrad.value import (
    Value,
    find_namespace,
    namespace,
    where,
)

Shape: TypeAlias = tuple[int, ...]
"""The lengths of an array's axes."""

Array: TypeAlias = Any
"""An array of NumPy, JAX, PyTorch …"""


class ArrayFunctions:
    """The functions of one array library, and a few that it lacks.

    Args:
        library: The namespace of the library.
    """

    def __init__(self, library: Any) -> None:
        self._library = library

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._library, name)
        setattr(self, name, function)
        return function

    def sigmoid(self, x: Array) -> Array:
        """Return `1 / (1 + exp(-x))` without overflow."""
        if is_kind(x, "complex floating"):
            right = self.real(x) >= 0
            z = self.exp(self.where(right, -x, x))
            return self.where(right, 1 / (1 + z), z / (1 + z))
        z = self.exp(-self.abs(x))
        return self.exp(self.minimum(x, 0.0)) / (1 + z)

    def softplus(self, x: Array) -> Array:
        """Return `log(1 + exp(x))`; real numbers do not overflow."""
        if is_kind(x, "complex floating"):
            return self.log1p(self.exp(x))
        return self.maximum(x, 0.0) + self.log1p(self.exp(-self.abs(x)))

    def where(self, condition: Any, x: Array, y: Array) -> Array:
        """Return `x` where the condition holds, else `y`."""
        if isinstance(x, Value) or isinstance(y, Value):
            return where(condition, x, y)
        return self._of(condition, x, y).where(condition, x, y)

    def maximum(self, x: Array, y: Array | float) -> Array:
        """Return the larger of each pair; `y` may be one number."""
        require_order("maximum", x, y)
        return self._of(x, y).maximum(x, self._like(y, x))

    def minimum(self, x: Array, y: Array | float) -> Array:
        """Return the smaller of each pair; `y` may be one number."""
        require_order("minimum", x, y)
        return self._of(x, y).minimum(x, self._like(y, x))

    def sign(self, x: Array) -> Array:
        """Return -1, 0 or 1 for each number."""
        require_order("sign", x)
        return self._of(x).sign(x)

    def _of(self, *arrays: Array | float) -> Any:
        """Return the functions of an array not there yet, or ours."""
        for x in arrays:
            if hasattr(x, "example"):
                return library(x)
        return self._library

    def _like(self, y: Array | float, x: Array) -> Array:
        if not isinstance(y, PythonNumber):
            return y
        dtype = self.result_type(_concrete(x), y)
        return self.asarray(y, dtype=dtype)

    def add_at(self, shape: Shape, key: Any, values: Array) -> Array:
        """Return zeros, and at `key` the sum of `values`.

        A position that `key` names many times gets the sum of all
        its values. This undoes `x[key]` of an array of `shape`: it
        is its transpose.
        """
        if array_api_compat.is_torch_array(values):
            return _torch_add_at(self, shape, key, values)
        zeros = self.zeros(shape, dtype=values.dtype)
        if hasattr(zeros, "at"):  # JAX
            return zeros.at[key].add(values)
        if _is_basic(key):
            zeros[key] = values
        else:
            np.add.at(zeros, key, values)
        return zeros


def require_order(name: str, *arrays: Array | float) -> None:
    """Raise a TypeError if there are complex numbers."""
    for x in arrays:
        if is_kind(x, "complex floating"):
            raise TypeError(
                f"{name}: complex numbers have no order, and no sign"
            )


def _is_basic(key: Any) -> bool:
    """Tell whether a key names no position twice."""
    parts = key if isinstance(key, tuple) else (key,)
    return all(
        part is None or part is ... or isinstance(part, (int, slice))
        for part in parts
    )


def _torch_add_at(
    xp: Any, shape: Shape, key: Any, values: Array
) -> Array:
    flat = values.new_zeros(math.prod(shape))
    if _is_basic(key):
        zeros = flat.reshape(shape)
        zeros[key] = values
        return zeros
    numbers = xp.arange(len(flat), device=flat.device)
    places = numbers.reshape(shape)[key]
    flat.index_add_(0, places.reshape(-1), values.reshape(-1))
    return flat.reshape(shape)


functions_of = cache(ArrayFunctions)
"""Return the `ArrayFunctions` of a library, always the same."""


def is_array(x: Any) -> bool:
    """Tell whether `x` is an array of a library that is known.

    A member of an array of NumPy is a number.
    """
    if isinstance(x, np.generic) or not hasattr(x, "shape"):
        return False
    return bool(array_api_compat.is_array_api_obj(x))


def array_of(x: Any) -> Array:
    """Return an array as it is, and all else as one of NumPy.

    Of a Value it is what is inside.
    """
    if type(x) is np.ndarray:
        return x
    while isinstance(x, Value):
        x = x.data
    return x if is_array(x) else np.asarray(x)


def range_of(x: Array) -> tuple[Number, Number] | None:
    """Return the least and the largest number of an array.

    None, if there are none, or if `x` is being traced and has no
    numbers to look at.
    """
    try:
        numbers = np.asarray(x)
    except TypeError:
        return None
    return (numbers.min(), numbers.max()) if numbers.size else None


_of_number = find_namespace.dispatch(object)


@find_namespace.register(object)
def _(x: Number) -> Any:
    """Find the functions of what may be an array."""
    if not hasattr(x, "__array_namespace__") and is_array(x):
        return functions_of(array_api_compat.array_namespace(x))
    return _complete(_of_number(x))


def _complete(found: Any) -> Any:
    if hasattr(found, "sigmoid") and hasattr(found, "softplus"):
        return found
    return functions_of(found)


_sum: Any = np.add.reduce
_max: Any = np.maximum.reduce


class NumpyFunctions(ArrayFunctions):
    """The functions of NumPy, by the shorter way where there is one."""

    def sum(
        self, x: Array, axis: Any = None, keepdims: bool = False
    ) -> Array:
        """Return the sum along axes, or of all.

        Numbers of half precision, and many of single precision, are
        added in double precision.
        """
        if _loses_digits(x, axis):
            total = _sum(x, axis, np.float64, None, keepdims)
            return total.astype(x.dtype)
        return _sum(x, axis, None, None, keepdims)

    def max(
        self, x: Array, axis: Any = None, keepdims: bool = False
    ) -> Array:
        """Return the largest along axes, or of all."""
        return _max(x, axis, None, None, keepdims)

    def ones_like(self, x: Array) -> Array:
        """Return ones of the kind of the numbers of x."""
        ones = np.ones_like(x)
        if ones.dtype == object:
            ones[...] = np.vectorize(_one, otypes="O")(x)
        return ones


def _loses_digits(x: Array, axis: Any) -> bool:
    """Tell whether a sum in the type of its numbers is a poor one."""
    if x.dtype == np.float16:
        return True
    if x.dtype != np.float32 or x.size < _MANY:
        return False
    counts = (x.shape[i] for i in axes_of(axis, x.ndim))
    return bool(math.prod(counts) >= _MANY)


_MANY = 1000


def _one(x: Number) -> Number:
    return namespace(x).ones_like(x)


NUMPY = NumpyFunctions(np)
find_namespace.register(np.ndarray, lambda x: NUMPY)

_MEMBERS = (np.generic, PythonNumber)


def library(x: Array) -> Any:
    """Return where the functions for an array like `x` live.

    A member of an array of NumPy counts as an array here, and so
    does a number.
    """
    if type(x) is np.ndarray or isinstance(x, _MEMBERS):
        return NUMPY
    return find_namespace(x)


def shape_of(x: Number) -> Shape:
    """Return the shape of an array; that of a number is `()`."""
    shape: Shape = getattr(x, "shape", ())
    return shape if type(shape) is tuple else tuple(shape)


@lru_cache(2000)
def broadcast_shape(operation: str, *shapes: Shape) -> Shape:
    """Return the shape that arrays of these shapes are stretched to.

    Raises:
        ValueError: They do not fit; it names `operation` and them.
    """
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        named = " and ".join(map(str, shapes))
        raise ValueError(
            f"{operation}: shapes {named} do not fit; from the right, "
            "each pair of lengths must be equal, or one of them 1"
        ) from None


def sum_to(x: Array, shape: Shape) -> Array:
    """Return `x` summed along each axis that `shape` was stretched.

    This undoes broadcasting: it is its transpose.
    """
    if x.shape == shape:
        return x
    xp = library(x)
    extra = len(x.shape) - len(shape)
    total = xp.sum(
        x, axis=stretched(shape, x.shape), keepdims=not extra
    )
    return xp.reshape(total, shape) if extra and 1 in shape else total


@lru_cache(2000)
def stretched(shape: Shape, larger: Shape) -> tuple[int, ...]:
    """Return the axes of `larger` along which `shape` was stretched."""
    extra = len(larger) - len(shape)
    padded = (1,) * extra + shape
    pairs = enumerate(zip(padded, larger))
    return tuple(i for i, (a, b) in pairs if i < extra or a != b)


def spread(
    x: Array,
    shape: Shape,
    axis: SupportsIndex | Sequence[SupportsIndex] | None,
) -> Array:
    """Return `x` with the axes back that a sum took, at full length.

    This undoes a sum over `axis` of an array of `shape`: it is its
    transpose.
    """
    xp = library(x)
    kept = list(shape)
    for i in axes_of(axis, len(shape)):
        kept[i] = 1
    return xp.broadcast_to(xp.reshape(x, tuple(kept)), shape)


def axes_of(
    axis: SupportsIndex | Sequence[SupportsIndex] | None, ndim: int
) -> tuple[int, ...]:
    """Return the axes as numbers from 0; None means all of them."""
    if axis is None:
        return tuple(range(ndim))
    if hasattr(axis, "__index__"):
        axis = (operator.index(axis),)
    return tuple(operator.index(i) % ndim for i in axis)


def squeezed(
    x: Array, axis: SupportsIndex | Sequence[SupportsIndex] | None
) -> Array:
    """Return `x` without the axes of length 1 that a sum has kept."""
    gone = axes_of(axis, len(x.shape))
    shape = (n for i, n in enumerate(x.shape) if i not in gone)
    return library(x).reshape(x, tuple(shape))


def is_kind(x: Array, kind: str | tuple[str, ...]) -> bool:
    """Tell whether the numbers are of a kind, such as "integral"."""
    x = _concrete(array_of(x))
    return bool(library(x).isdtype(x.dtype, kind))


def _concrete(x: Array) -> Array:
    """Return the array, or the example of one not there yet."""
    return getattr(x, "example", x)


def counting(x: Array) -> Array:
    """Return whole numbers in the type that its library counts in.

    Labels and tokens often come in 8 bits, and 255 + 1 is 0 there.
    """
    dtype = library(_concrete(x)).arange(1).dtype
    return x if x.dtype == dtype else library(x).astype(x, dtype)


def constant_like(values: Any, x: Array) -> Array:
    """Return numbers of NumPy as an array like `x`.

    It is of the library and the precision of `x`, and where `x` is.
    Numbers of another library stay there.
    """
    x = _concrete(x)
    if type(values) is not np.ndarray:
        return library(values).astype(values, x.dtype)
    if type(x) is np.ndarray:
        return values.astype(x.dtype, copy=False)
    device = getattr(x, "device", None)  # JAX has none in a trace
    return library(x).asarray(values, dtype=x.dtype, device=device)
