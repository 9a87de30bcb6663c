"""Layers of Tensors: what networks on arrays are built of.

A layer is a Module that holds its parameters and takes a batch at
once; features are the last axis. Weights start uniform with variance
`1 / n_inputs`, as in `prosegrad.nn`, and are drawn in double
precision from NumPy's generator, whatever their dtype.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from prosegrad import tensor, windows
from prosegrad.arrays import (
    Array,
    Shape,
    array_of,
    constant_like,
    is_kind,
    library,
    range_of,
    shape_of,
    sum_to,
)
from prosegrad.elementary import Number
from prosegrad.module import Module, _members, _walk_members
from prosegrad.nn import ACTIVATIONS
from prosegrad.tensor import Tensor, linear, matmul
from prosegrad.value import Value
from prosegrad.windows import Pair, conv2d

Rng: TypeAlias = np.random.Generator | None
"""Where random numbers come from; None is a new one each time."""


def _weights(
    rng: Rng, shape: Shape, n_inputs: int, dtype: Any
) -> Tensor:
    """Return weights uniform with variance `1 / n_inputs`."""
    bound = math.sqrt(3 / n_inputs)
    drawn = np.random.default_rng(rng).uniform(-bound, bound, shape)
    return Tensor(drawn.astype(_floating(dtype)))


def _floating(dtype: Any) -> Any:
    found = np.dtype(dtype)
    if found.kind != "f":
        raise TypeError(f"parameters are of floats, not of {found}")
    return found


def _check_sizes(layer: str, **sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{layer}: {name} is {size}, at least 1")


class Linear(Module):
    """Neurons side by side without activation: `x @ weight + bias`.

    Args:
        n_inputs: How many numbers an example has.
        n_outputs: How many neurons there are.
        bias: Whether something is added; it starts at 0.
        rng: Where the weights come from. Give a seeded generator to
            get the same layer again.
        dtype: Of the parameters: float64 or float32.

    Attributes:
        weight: A Tensor `(n_inputs, n_outputs)`.
        bias: A Tensor `(n_outputs,)`, or None.

    Raises:
        ValueError: A size below 1.
        TypeError: `dtype` is not one of floats.
    """

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        bias: bool = True,
        *,
        rng: Rng = None,
        dtype: Any = np.float64,
    ) -> None:
        _check_sizes("Linear", n_inputs=n_inputs, n_outputs=n_outputs)
        shape = (n_inputs, n_outputs)
        self.weight = _weights(rng, shape, n_inputs, dtype)
        self.bias = Tensor(np.zeros(n_outputs, dtype)) if bias else None

    def __call__(self, x: Array) -> Tensor:
        """Return `(…, n_outputs)` for an array `(…, n_inputs)`."""
        if self.bias is None:
            return matmul(x, self.weight)
        return linear(x, self.weight, self.bias)


class FeedForward(Module):
    """A multi-layer perceptron of Tensors, for batches.

    Args:
        n_inputs: How many numbers an example has.
        layer_sizes: How many neurons each layer has, the output last.
        activation: What the hidden layers use, of `nn.ACTIVATIONS`.
        output: What the last layer uses.
        rng: Where the weights come from.
        dtype: Of the parameters.

    Raises:
        ValueError: No layers, a size below 1, an unknown activation.
    """

    def __init__(
        self,
        n_inputs: int,
        layer_sizes: Sequence[int],
        activation: str = "tanh",
        output: str = "linear",
        *,
        rng: Rng = None,
        dtype: Any = np.float64,
    ) -> None:
        if not layer_sizes:
            raise ValueError("FeedForward: layer_sizes is empty")
        for name in (activation, output):
            if name not in ACTIVATIONS:
                raise ValueError(
                    f"FeedForward: {name!r} is none of {ACTIVATIONS}"
                )
        rng = np.random.default_rng(rng)
        sizes = [n_inputs, *layer_sizes]
        self.layers = [
            Linear(n_in, n_out, rng=rng, dtype=dtype)
            for n_in, n_out in pairwise(sizes)
        ]
        self.activation, self.output = activation, output

    def __call__(self, x: Array) -> Tensor:
        """Return `(…, layer_sizes[-1])` for `(…, n_inputs)`."""
        *hidden, last = self.layers
        for layer in hidden:
            x = _activated(layer(x), self.activation)
        return _activated(last(x), self.output)


def _activated(x: Tensor, activation: str) -> Tensor:
    if activation == "linear":
        return x
    result: Tensor = getattr(x, activation)()
    return result


class Sequential(Module):
    """Layers and functions, one after another.

    Args:
        layers: Each takes what the one before it returns.
    """

    def __init__(self, *layers: Callable[[Any], Any]) -> None:
        self.layers: list[Any] = list(layers)

    def __call__(self, x: Any) -> Any:
        """Return what the last layer makes of it."""
        for layer in self.layers:
            x = layer(x)
        return x


class Embedding(Module):
    """A table of vectors, one for each word or letter.

    Args:
        n_entries: How many rows there are.
        n_features: The length of a row.
        rng: Where the numbers come from, which have variance 1.
        dtype: Of the parameters.

    Attributes:
        weight: A Tensor `(n_entries, n_features)`.

    Raises:
        ValueError: A size below 1.
        TypeError: `dtype` is not one of floats.
    """

    def __init__(
        self,
        n_entries: int,
        n_features: int,
        *,
        rng: Rng = None,
        dtype: Any = np.float64,
    ) -> None:
        _check_sizes(
            "Embedding", n_entries=n_entries, n_features=n_features
        )
        shape = (n_entries, n_features)
        self.weight = _weights(rng, shape, 1, dtype)

    def __call__(self, indices: Any) -> Tensor:
        """Return the rows `(…, n_features)` of indices `(…)`.

        Raises:
            TypeError: The indices are no whole numbers.
            ValueError: There is no such row.
        """
        return self.weight.take(_indices(indices, len(self.weight)))


def _indices(indices: Any, n_entries: int) -> Any:
    found = array_of(tensor._plain(indices))
    if not is_kind(found, "integral"):
        raise TypeError(
            f"Embedding: indices are whole numbers, not {found.dtype}"
        )
    low, high = range_of(found) or (0, 0)
    if low < 0 or high >= n_entries:
        raise ValueError(
            f"Embedding: indices from {low} to {high}, and there are "
            f"{n_entries} entries"
        )
    return found


def layer_norm(
    x: Array, weight: Array, bias: Array, epsilon: float = 1e-5
) -> Tensor:
    """Return `x` with mean 0 and variance 1 along the last axis.

    Then it is multiplied by `weight`, and `bias` is added (Ba, Kiros
    & Hinton 2016). All of it is one node.

    Args:
        x: An array `(…, n_features)`.
        weight: An array `(n_features,)`.
        bias: An array `(n_features,)`.
        epsilon: Added to the variance.

    Raises:
        ValueError: The shapes do not fit.
    """
    if "float16" in str(getattr(x, "dtype", "")):
        wide, w, b = (tensor._single(v) for v in (x, weight, bias))
        y: Tensor = layer_norm(wide, w, b, epsilon)
        narrow: Tensor = tensor._single(y, like=x)
        return narrow
    kind = tensor._kind_of(x, weight, bias)
    a, w, b = (tensor._inside(kind, v) for v in (x, weight, bias))
    _check_features(shape_of(a), shape_of(w), shape_of(b))
    rest = a - _mean(a)
    s = 1 / library(rest).sqrt(_mean(rest * rest) + epsilon)
    z = rest * s

    def _backward(grad: Array) -> None:
        if type(x) is kind:
            g = grad * w
            x.grad += s * (g - _mean(g) - z * _mean(g * z))
        if type(weight) is kind:
            weight.grad += sum_to(grad * z, w.shape)
        if type(bias) is kind:
            bias.grad += sum_to(grad, b.shape)

    parents = tuple(v for v in (x, weight, bias) if type(v) is kind)
    return kind(z * w + b, parents, "layer_norm", _backward)


def _mean(x: Array) -> Array:
    return library(x).sum(x, axis=-1, keepdims=True) / x.shape[-1]


def _check_features(x: Shape, weight: Shape, bias: Shape) -> None:
    if not weight == bias == x[-1:] or 0 in weight or not x:
        raise ValueError(
            f"layer_norm: x of shape {x} needs a weight and a bias of "
            f"{x[-1:] or '(n,)'}, not of {weight} and {bias}"
        )


class LayerNorm(Module):
    """Each example with mean 0 and variance 1, then scaled.

    Args:
        n_features: The length of the last axis.
        epsilon: Added to the variance.
        dtype: Of the parameters.

    Attributes:
        weight: A Tensor `(n_features,)`, at first of ones.
        bias: A Tensor `(n_features,)`, at first of zeros.

    Raises:
        ValueError: No features, or an `epsilon` that is not positive.
        TypeError: `dtype` is not one of floats.
    """

    def __init__(
        self,
        n_features: int,
        epsilon: float = 1e-5,
        *,
        dtype: Any = np.float64,
    ) -> None:
        _check_sizes("LayerNorm", n_features=n_features)
        if not epsilon > 0:
            raise ValueError(f"LayerNorm: epsilon {epsilon} is not > 0")
        self.weight = Tensor(np.ones(n_features, _floating(dtype)))
        self.bias = Tensor(np.zeros(n_features, dtype))
        self.epsilon = epsilon

    def __call__(self, x: Array) -> Tensor:
        """Return an array `(…, n_features)` of the same shape."""
        return layer_norm(x, self.weight, self.bias, self.epsilon)


class Conv2d(Module):
    """Windows that slide over pictures; the weights are shared.

    Args:
        channels_in: How many numbers a pixel has.
        channels_out: How many windows there are.
        kernel_size: Height and width of a window.
        stride: How far it moves.
        padding: How many zeros surround the picture.
        bias: Whether something is added; it starts at 0.
        rng: Where the weights come from.
        dtype: Of the parameters.

    Attributes:
        weight: A Tensor `(channels_out, channels_in, height, width)`.
        bias: A Tensor `(channels_out,)`, or None.

    Raises:
        ValueError: A size below 1.
        TypeError: `dtype` is not one of floats.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        bias: bool = True,
        *,
        rng: Rng = None,
        dtype: Any = np.float64,
    ) -> None:
        size = windows._pair("Conv2d", "kernel_size", kernel_size, 1)
        _check_sizes(
            "Conv2d", channels_in=channels_in, channels_out=channels_out
        )
        shape = (channels_out, channels_in, *size)
        self.weight = _weights(rng, shape, math.prod(shape[1:]), dtype)
        self.bias = (
            Tensor(np.zeros(channels_out, dtype)) if bias else None
        )
        self.stride, self.padding = stride, padding

    def __call__(self, x: Array) -> Tensor:
        """Return `(batch, channels_out, height, width)`.

        Args:
            x: An array `(batch, channels_in, height, width)`.
        """
        return conv2d(
            x, self.weight, self.bias, self.stride, self.padding
        )


class Dropout(Module):
    """Numbers left out by chance in training (Srivastava et al. 2014).

    Args:
        p: How likely a number becomes 0; the rest is divided by
            `1 - p`.
        rng: Which ones.

    Attributes:
        training: If False, nothing is left out. See `evaluating`.

    Raises:
        ValueError: `p` is not in [0, 1).
    """

    def __init__(self, p: float = 0.5, *, rng: Rng = None) -> None:
        if not 0 <= p < 1:
            raise ValueError(f"Dropout: p {p} is not in [0, 1)")
        self.p, self.rng = p, np.random.default_rng(rng)
        self.training = True

    def __call__(self, x: Array) -> Array:
        """Return an array of the same shape."""
        if not self.training or not self.p:
            return x
        own = array_of(tensor._plain(x))
        if is_kind(own, ("integral", "bool")):
            raise TypeError(
                f"Dropout: numbers of {own.dtype} cannot be divided "
                "by 1 - p; give floats"
            )
        kept = self.rng.random(shape_of(own)) >= self.p
        return x * constant_like(kept / (1 - self.p), own)


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Switch off in a model what is for training only.

    Every module inside that has an attribute `training` has it False
    inside the block, and back as it was afterwards.
    """
    modules = [m for m in model.modules() if hasattr(m, "training")]
    before = [m.training for m in modules]
    try:
        for module in modules:
            module.training = False
        yield
    finally:
        for module, training in zip(modules, before):
            module.training = training


def functional_call(
    model: Callable[..., Any],
    parameters: Mapping[str, Number],
    args: Any = (),
    kwargs: Mapping[str, Any] | None = None,
) -> Any:
    """Return `model(*args)`, with other parameters for this call.

    So a function of the parameters can be differentiated and
    compiled. Name and arguments are those of `torch.func`. Afterwards
    the model has its own parameters again, also if the call has
    failed. While it lasts, no other thread should use the model.

    Args:
        model: A Module that can be called.
        parameters: A number, array or Tensor for each name of
            `model.named_parameters()`, as `model.state()` returns.
        args: What the model takes: a tuple of its arguments, or the
            only one, if that is no tuple.
        kwargs: Its arguments by name.

    Raises:
        TypeError: `model` is no Module, or several arguments are not
            given as a tuple.
        ValueError: A name is missing or not known, or an array has
            another shape. Nothing has been called.
    """
    if not isinstance(model, Module):
        raise TypeError(
            f"functional_call: {model!r} of type "
            f"{type(model).__name__} is no Module"
        )
    if not isinstance(kwargs, Mapping | None):
        raise TypeError(
            "functional_call: several arguments are given as a tuple, "
            "as in functional_call(model, parameters, (x, y))"
        )
    given = args if isinstance(args, tuple) else (args,)
    swaps = list(_swaps(model, _replacements(model, parameters)))
    try:
        for holder, key, new, _ in swaps:
            holder[key] = new
        return model(*given, **(kwargs or {}))
    finally:
        for holder, key, _, old in swaps:
            holder[key] = old


def _replacements(
    model: Module, parameters: Mapping[str, Number]
) -> dict[int, Value]:
    """Return what is to stand for each parameter, by its `id`."""
    named = dict(model.named_parameters())
    missing = [name for name in named if name not in parameters]
    unknown = [name for name in parameters if name not in named]
    if missing or unknown:
        raise ValueError(
            f"functional_call: {missing} are missing, and the model "
            f"does not know {unknown}"
        )
    return {
        id(own): _boxed(name, own, parameters[name])
        for name, own in named.items()
    }


def _boxed(name: str, own: Value, given: Number) -> Value:
    """Return what is given for a parameter, as a Value."""
    box = given if isinstance(given, Value) else type(own)(given)
    expected, found = shape_of(own), shape_of(box)
    if found != expected:
        raise ValueError(
            f"functional_call: {name} has shape {expected} in the "
            f"model, and is given with {found}"
        )
    return box


def _swaps(
    model: Module, new: Mapping[int, Value]
) -> Iterator[tuple[Any, Any, Any, Any]]:
    """Yield each holder, a key of it, and what to put in and back."""
    for _, x in _walk_members(model):
        if isinstance(x, (Module, list, dict)):
            holder = vars(x) if isinstance(x, Module) else x
            for key, old in list(_members(x)):
                found = _exchanged(old, new)
                if found is not old:
                    yield holder, key, found, old


def _exchanged(x: Any, new: Mapping[int, Value]) -> Any:
    """Return what stands for a member; for a tuple, another one."""
    if not isinstance(x, tuple):
        return new.get(id(x), x)
    found = [_exchanged(member, new) for member in x]
    if all(a is b for a, b in zip(found, x)):
        return x
    return getattr(x, "_make", type(x))(found)
