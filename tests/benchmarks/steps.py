"""Steps of training on whole arrays: their sizes and their numbers.

A step is forward, backward, and plain gradient descent for all parameters,
always on the same batch. Weights are drawn here, so all start alike.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

BATCHES = (1, 4, 16, 64, 256, 1024, 4096)
TOLERANCES = {"float64": 1e-9, "float32": 1e-5}
"""How far two answers may be apart, times the number if that is above 1."""


def numpy() -> Any:
    """Import NumPy, without which there is no array to train."""
    return importlib.import_module("numpy")


@dataclass(frozen=True)
class Step:
    """What all steps have.

    Attributes:
        title: What the page calls it.
        batch: How many examples there are.
        dtype: Of the parameters.
        rate: The learning rate.
    """

    title: str
    batch: int
    dtype: str = "float64"
    rate: float = 0.1

    @property
    def tolerance(self) -> float:
        return TOLERANCES[self.dtype]

    def parameters(self) -> list[Any]:
        """Return the parameters to start from, new arrays each time."""
        raise NotImplementedError

    def data(self) -> tuple[Any, Any]:
        """Return the inputs and the targets of the batch."""
        raise NotImplementedError

    def gradient(self, parameters: Sequence[Any]) -> list[float]:
        """Return the gradient that led from our parameters to these."""
        np = numpy()
        pairs = zip(self.parameters(), parameters, strict=True)
        parts = [(p - np.asarray(q, "float64")) / self.rate for p, q in pairs]
        flat = [part.ravel() for part in parts]
        found: list[float] = np.concatenate(flat).tolist()
        return found

    def drawn(self, *shapes: tuple[int, ...]) -> list[Any]:
        """Return weights of variance 1 by the number of inputs."""
        rng = numpy().random.default_rng(0)
        return [
            rng.normal(0.0, prod(shape[:-1]) ** -0.5, shape).astype(self.dtype)
            for shape in shapes
        ]


@dataclass(frozen=True)
class Digits(Step):
    """An MLP on images of digits: relu inside, mean cross entropy outside.

    The parameters are weights `(n_inputs, n_outputs)` and biases in turn.
    """

    sizes: tuple[int, ...] = (64, 32, 10)

    def parameters(self) -> list[Any]:
        np = numpy()
        weights = self.drawn(*zip(self.sizes, self.sizes[1:], strict=False))
        biases = [np.zeros(w.shape[1], self.dtype) for w in weights]
        return [p for pair in zip(weights, biases) for p in pair]

    def data(self) -> tuple[Any, Any]:
        np = numpy()
        digits = importlib.import_module("sklearn.datasets").load_digits()
        chosen = np.arange(self.batch) % len(digits.target)
        images = (digits.data[chosen] / 16.0).astype(self.dtype)
        return images, digits.target[chosen].astype("int64")


@dataclass(frozen=True)
class Text(Step):
    """A small GPT that learns which token comes next."""

    dtype: str = "float32"
    n_tokens: int = 28
    n_positions: int = 16
    n_features: int = 32
    n_heads: int = 4
    n_blocks: int = 1

    def model(self) -> Any:
        """Return our model, whose numbers everyone starts from."""
        module = importlib.import_module("prosegrad.attention")
        sizes = (self.n_tokens, self.n_positions, self.n_features)
        rng = numpy().random.default_rng(0)
        return module.GPT(
            *sizes, self.n_heads, self.n_blocks, rng=rng, dtype=self.dtype
        )

    def parameters(self) -> list[Any]:
        return [p.data for p in self.model().parameters()]

    def data(self) -> tuple[Any, Any]:
        shape = (self.batch, self.n_positions + 1)
        text = numpy().random.default_rng(1).integers(0, self.n_tokens, shape)
        return text[:, :-1].copy(), text[:, 1:].copy()


@dataclass(frozen=True)
class Convolution(Step):
    """Windows of 3x3 and a border of one zero; the loss is the mean square.

    An inner layer hands a gradient on to its images, and a first layer none.
    """

    dtype: str = "float32"
    channels: tuple[int, int] = (1, 8)
    size: int = 8
    inner: bool = False

    def parameters(self) -> list[Any]:
        n_in, n_out = self.channels
        (weight,) = self.drawn((3, 3, n_in, n_out))
        np = numpy()
        kernels = np.ascontiguousarray(weight.transpose(3, 2, 0, 1))
        return [kernels, np.zeros(n_out, self.dtype)]

    def data(self) -> tuple[Any, Any]:
        rng = numpy().random.default_rng(1)
        return tuple(
            rng.normal(0.0, 1.0, (self.batch, n, self.size, self.size)).astype(
                self.dtype
            )
            for n in self.channels
        )


# ruff: noqa: RUF001 - the titles have a sign of multiplication in them
STEPS: dict[str, Step] = {
    "digits": Digits("digits, batch 32, float64", 32),
    "digits32": Digits("digits, batch 32, float32", 32, "float32"),
    **{f"batch_{n}": Digits(f"digits, batch {n:,}", n) for n in BATCHES},
    "gpt": Text("GPT, one block", 32),
    "first": Convolution("convolution, 1×8×8 to 8 channels", 32),
    "inner": Convolution(
        "convolution, 8×28×28 to 16 channels", 32, channels=(8, 16), size=28, inner=True
    ),
}
