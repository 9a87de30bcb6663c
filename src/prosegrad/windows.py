"""Images through windows: convolution and pooling.

A look-up cuts images into all their windows, and its transpose adds
the windows up again. A convolution is then one product of matrices,
and pooling a maximum or a mean. Names and shapes are those of
`torch.nn.functional`; there is no dilation, and there are no groups.
"""

import math
import operator
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, SupportsIndex, TypeAlias

import array_api_compat

from prosegrad.arrays import Array, Shape, library, shape_of
from prosegrad.elementary import Number
from prosegrad.tensor import Tensor, _as_array, _node, matmul

Pair: TypeAlias = SupportsIndex | Sequence[SupportsIndex]
"""A height and a width, or one number for both."""


class Grid:
    """Where windows stand on images, and which pixels they show.

    Args:
        operation: Who asks, for the error.
        images: The shape `(…, h, w)` of the images.
        size: The height and the width of a window.
        stride: How far it is to the next one, down and to the right.

    Attributes:
        images: The shape of the images.
        windows: The shape `(…, kh, kw, oh, ow)` of the windows.
        parts: For each pixel of a window, the slices of the images
            that all windows show there.

    Raises:
        ValueError: A window is larger than the images.
    """

    def __init__(
        self, operation: str, images: Shape, size: Shape, stride: Shape
    ) -> None:
        too_large = any(k > n for k, n in zip(size, images[-2:]))
        if len(images) < 2 or too_large:
            raise ValueError(
                f"{operation}: windows of shape {size} do not fit into "
                f"images of shape {images}"
            )
        down, right = (
            _steps(*lengths)
            for lengths in zip(images[-2:], size, stride)
        )
        self.images = images
        self.parts = [(..., i, j) for i in down for j in right]
        counts = map(_count, images[-2:], size, stride)
        self.windows = (*images[:-2], *size, *counts)

    def cut(self, x: Array) -> Array:
        """Return the windows of an array of images."""
        xp = library(x)
        parts = xp.stack([x[part] for part in self.parts], axis=-3)
        return xp.reshape(parts, self.windows)

    def add_up(self, windows: Array) -> Array:
        """Return images: in each pixel the sum of its copies."""
        before, counts = self.windows[:-4], self.windows[-2:]
        flat = (*before, len(self.parts), *counts)
        stack = library(windows).reshape(windows, flat)
        total = _zeros_like(windows, self.images)
        for i, part in enumerate(self.parts):
            total = _add(total, part, stack[..., i, :, :])
        return total


def _count(length: int, size: int, stride: int) -> int:
    """Return how many windows fit into a length."""
    return (length - size) // stride + 1


def _steps(length: int, size: int, stride: int) -> list[slice]:
    """Return for each pixel of a window where all windows have it."""
    end = (_count(length, size, stride) - 1) * stride + 1
    return [slice(i, i + end, stride) for i in range(size)]


def _zeros_like(x: Array, shape: Shape) -> Array:
    """Return zeros of another shape, of the type and place of x."""
    device = array_api_compat.device(x)
    return library(x).zeros(shape, dtype=x.dtype, device=device)


def _add(total: Array, part: Any, x: Array) -> Array:
    """Add to a part of an array that nobody else has; return it."""
    if hasattr(total, "at"):  # JAX, whose arrays never change
        return total.at[part].add(x)
    total[part] += x
    return total


grid_of = lru_cache(200)(Grid)
"""Return the `Grid` of these arguments, mostly the same one."""

Named: TypeAlias = tuple[str, Callable[[Array], Array]]
"""A linear function of arrays, and its name in a graph."""


def _linear(x: Number, there: Named, back: Named) -> Any:
    """Return a linear function of a Tensor or an array.

    Args:
        x: The argument. An array has no graph, and needs no node.
        there: The function.
        back: Its transpose.
    """
    name, function = there
    if not isinstance(x, Tensor):
        return function(x)
    y = _linear(x.data, there, back)
    return _node(x, y, name, lambda g: _linear(g, back, there))


def windows(x: Number, size: Pair, stride: Pair = 1) -> Any:
    """Return all windows of images.

    PyTorch calls it `unfold`, and others im2col: Chellapilla, Puri
    and Simard, "High Performance Convolutional Neural Networks for
    Document Processing", 2006.

    Args:
        x: Images `(…, h, w)`.
        size: The height kh and the width kw of a window.
        stride: How far it is to the next one, down and to the right.

    Returns:
        An array `(…, kh, kw, oh, ow)`, or a Tensor if `x` is one. At
        `[…, i, j, a, b]` stands the pixel `(i, j)` of the window
        `(a, b)`. There are `oh = (h - kh) // stride + 1` windows
        down, and pixels that are left over are in none.

    Raises:
        ValueError: The window is larger than the images, or a length
            is no whole number from 1 on.
    """
    return _windows("windows", x, size, stride)


def _windows(
    operation: str, x: Number, size: Pair, stride: Pair
) -> Any:
    x = _as_given(x)
    size = _pair(operation, "size", size, 1)
    stride = _pair(operation, "stride", stride, 1)
    grid = grid_of(operation, shape_of(x), size, stride)
    return _linear(x, ("windows", grid.cut), ("fold", grid.add_up))


def fold(x: Number, size: Pair, stride: Pair = 1) -> Any:
    """Return images: in each pixel the sum of its copies in windows.

    This undoes `windows`: it is its transpose. PyTorch's has the same
    name.

    Args:
        x: Windows `(…, kh, kw, oh, ow)`.
        size: The height h and the width w of the images.
        stride: That of the windows.

    Returns:
        An array `(…, h, w)`, or a Tensor if `x` is one.

    Raises:
        ValueError: Images of this size have other windows, or a
            length is no whole number from 1 on.
    """
    x = _as_given(x)
    shape, size = shape_of(x), _pair("fold", "size", size, 1)
    stride = _pair("fold", "stride", stride, 1)
    if len(shape) < 4:
        raise ValueError(
            "fold: windows have the shape (…, kh, kw, oh, ow), not "
            f"{shape}"
        )
    images = (*shape[:-4], *size)
    grid = grid_of("fold", images, shape[-4:-2], stride)
    if grid.windows != shape:
        raise ValueError(
            f"fold: images of shape {images} have windows of shape "
            f"{grid.windows}, not {shape}"
        )
    return _linear(x, ("fold", grid.add_up), ("windows", grid.cut))


def _as_given(x: Number) -> Number:
    """Return a Tensor as it is, and anything else as an array."""
    return x if isinstance(x, Tensor) else _as_array(x)


def _pair(operation: str, name: str, given: Pair, least: int) -> Shape:
    """Return a height and a width, from one number or from two."""
    pair = given if isinstance(given, Sequence) else (given, given)
    try:
        lengths = tuple(map(operator.index, pair))
    except TypeError:  # not a whole number
        lengths = ()
    if len(lengths) != 2 or min(lengths) < least:
        raise ValueError(
            f"{operation}: {name} is {given!r}, not a whole number "
            f"from {least} on, or two of them"
        )
    return lengths


def pad2d(x: Number, padding: Pair) -> Any:
    """Return images with a border of zeros.

    Args:
        x: Images `(…, h, w)`.
        padding: How many rows above and below, and how many columns
            on the left and on the right.

    Returns:
        An array `(…, h + 2 * rows, w + 2 * columns)`, or a Tensor if
        `x` is one.

    Raises:
        ValueError: `x` is no image, or `padding` is no whole number
            from 0 on.
    """
    return _padded("pad2d", x, padding)


def _padded(operation: str, x: Number, padding: Pair) -> Any:
    x, (p, q) = _as_given(x), _pair(operation, "padding", padding, 0)
    if len(shape_of(x)) < 2:
        raise ValueError(
            f"{operation}: shape {shape_of(x)} is not that of images"
        )
    *before, h, w = shape_of(x)
    larger = (*before, h + 2 * p, w + 2 * q)
    inner = (..., slice(p, p + h), slice(q, q + w))

    def put(x: Array) -> Array:
        return _add(_zeros_like(x, larger), inner, x)

    def crop(y: Array) -> Array:
        return y[inner]

    return _linear(x, ("pad2d", put), ("crop", crop)) if p or q else x


def conv2d(
    x: Number,
    weight: Number,
    bias: Number | None = None,
    stride: Pair = 1,
    padding: Pair = 0,
) -> Tensor:
    """Return what each kernel finds at each place of the images.

    A kernel is laid over a window and not turned around, so to be
    exact this is a cross-correlation.

    Args:
        x: Images `(n, channels_in, h, w)`.
        weight: Kernels `(channels_out, channels_in, kh, kw)`.
        bias: What to add to each channel, `(channels_out,)`.
        stride: How far the kernel moves, down and to the right.
        padding: How many rows and columns of zeros are put around.

    Returns:
        Images `(n, channels_out, oh, ow)` with
        `oh = (h + 2 * padding - kh) // stride + 1`, and so `ow`.

    Raises:
        ValueError: The shapes do not fit, or a length is no whole
            number.
    """
    x, weight = _as_given(x), _as_given(weight)
    outputs, length, size = _kernels(shape_of(x), shape_of(weight))
    bordered = _padded("conv2d", x, padding)
    parts = _windows("conv2d", bordered, size, stride)
    n, *_, oh, ow = shape_of(parts)
    columns = library(parts).reshape(parts, (n, length, oh * ow))
    rows = library(weight).reshape(weight, (outputs, length))
    y = matmul(rows, columns)
    if bias is not None:
        y = y + _column(bias, outputs)
    return y.reshape(n, outputs, oh, ow)


def _kernels(x: Shape, weight: Shape) -> tuple[int, int, Shape]:
    """Return how many kernels there are, how long, and their size."""
    if len(x) != 4 or len(weight) != 4 or x[1] != weight[1]:
        raise ValueError(
            f"conv2d: shapes {x} and {weight} do not fit; images are "
            "(n, channels_in, h, w), and weights (channels_out, "
            "channels_in, kh, kw)"
        )
    return weight[0], math.prod(weight[1:]), weight[2:]


def _column(bias: Number, outputs: int) -> Any:
    """Return a bias as a column, one row for each channel."""
    bias = _as_given(bias)
    if shape_of(bias) != (outputs,):
        raise ValueError(
            f"conv2d: a bias of shape {shape_of(bias)} does not fit "
            f"{outputs} channels; it should be {(outputs,)}"
        )
    return library(bias).reshape(bias, (outputs, 1))


def max_pool2d(
    x: Number, size: Pair, stride: Pair | None = None
) -> Tensor:
    """Return the largest pixel of each window.

    Equal ones share the gradient; in PyTorch the first has it all.

    Args:
        x: Images `(…, h, w)`.
        size: The height and the width of a window.
        stride: How far it is to the next one; `size` by default, so
            that no two overlap.

    Returns:
        Images `(…, oh, ow)`, as many pixels as `windows` are there.

    Raises:
        ValueError: As for `windows`.
    """
    return _pools("max_pool2d", x, size, stride).max(axis=(-4, -3))


def avg_pool2d(
    x: Number, size: Pair, stride: Pair | None = None
) -> Tensor:
    """Return the mean of each window.

    Args:
        x: Images `(…, h, w)`.
        size: The height and the width of a window.
        stride: How far it is to the next one; `size` by default, so
            that no two overlap.

    Returns:
        Images `(…, oh, ow)`, as many pixels as `windows` are there.

    Raises:
        ValueError: As for `windows`.
    """
    return _pools("avg_pool2d", x, size, stride).mean(axis=(-4, -3))


def _pools(
    operation: str, x: Number, size: Pair, stride: Pair | None
) -> Tensor:
    stride = size if stride is None else stride
    parts = _windows(operation, x, size, stride)
    return parts if isinstance(parts, Tensor) else Tensor(parts)
