"""Neurons, layers and networks, with the signatures of micrograd.

Weights start uniform with variance `1 / n_inputs` (LeCun et al.,
"Efficient BackProp", 1998): a sum of many inputs stays of size one.
"""

import math
import random
from collections.abc import Sequence

from prosegrad.elementary import Number
from prosegrad.module import Module
from prosegrad.value import Value, dot

ACTIVATIONS = ("linear", "tanh", "relu", "sigmoid", "silu", "gelu")


class Neuron(Module):
    """One neuron: `activation(w · x + b)`.

    Args:
        n_inputs: How many numbers it takes.
        activation: One of `ACTIVATIONS`.
        rng: Where the weights come from. Give a seeded
            `random.Random` to get the same neuron again.

    Raises:
        ValueError: No inputs, or an unknown activation.
    """

    def __init__(
        self,
        n_inputs: int,
        activation: str = "tanh",
        rng: random.Random | None = None,
    ) -> None:
        if n_inputs < 1:
            raise ValueError(f"a neuron needs inputs, got {n_inputs}")
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"activation {activation!r} is none of {ACTIVATIONS}"
            )
        uniform = random.uniform if rng is None else rng.uniform
        bound = math.sqrt(3 / n_inputs)
        self.w = [
            Value(uniform(-bound, bound)) for _ in range(n_inputs)
        ]
        self.b = Value(0.0)
        self.activation = activation

    def __repr__(self) -> str:
        return f"Neuron({len(self.w)}, {self.activation!r})"

    def __call__(self, x: Sequence[Number]) -> Value:
        """Return the output for one example of `n_inputs` numbers."""
        if len(x) != len(self.w):
            raise ValueError(
                f"{self!r} takes {len(self.w)} inputs, got {len(x)}"
            )
        total = dot(self.w, x, self.b)
        if self.activation == "linear":
            return total
        result: Value = getattr(total, self.activation)()
        return result


class Layer(Module):
    """Neurons side by side, all fed the same inputs.

    Args:
        n_inputs: How many numbers each neuron takes.
        n_outputs: How many neurons there are.
        activation: One of `ACTIVATIONS`.
        rng: Where the weights come from.

    Raises:
        ValueError: A size below 1, or an unknown activation.
    """

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        activation: str = "tanh",
        rng: random.Random | None = None,
    ) -> None:
        if n_outputs < 1:
            raise ValueError(f"a layer needs neurons, got {n_outputs}")
        self.neurons = [
            Neuron(n_inputs, activation, rng) for _ in range(n_outputs)
        ]

    def __call__(self, x: Sequence[Number]) -> list[Value]:
        """Return one output a neuron, `n_outputs` in all."""
        return [neuron(x) for neuron in self.neurons]

    def __repr__(self) -> str:
        first = self.neurons[0]
        return (
            f"Layer({len(first.w)}, {len(self.neurons)}, "
            f"{first.activation!r})"
        )


class MLP(Module):
    """A multi-layer perceptron: layers one after another.

    Args:
        n_inputs: How many numbers the network takes.
        layer_sizes: How many neurons each layer has, the output last.
        activation: What the hidden layers use, of `ACTIVATIONS`.
        output: What the last layer uses. "linear" reaches any target;
            "tanh" stays between -1 and 1.
        rng: Where the weights come from.

    Raises:
        ValueError: No layers, a size below 1, an unknown activation.
    """

    def __init__(
        self,
        n_inputs: int,
        layer_sizes: Sequence[int],
        activation: str = "tanh",
        output: str = "linear",
        rng: random.Random | None = None,
    ) -> None:
        if not layer_sizes:
            raise ValueError("an MLP needs at least one layer size")
        sizes = [n_inputs, *layer_sizes]
        activations = [activation] * (len(layer_sizes) - 1) + [output]
        self.layers = [
            Layer(n_in, n_out, name, rng)
            for n_in, n_out, name in zip(sizes, sizes[1:], activations)
        ]
        self._repr = (
            f"MLP({n_inputs}, {list(layer_sizes)}, "
            f"activation={activation!r}, output={output!r})"
        )

    def __call__(self, x: Sequence[Number]) -> Value | list[Value]:
        """Return the last layer's outputs; a single one is bare."""
        for layer in self.layers:
            x = layer(x)
        return x[0] if len(x) == 1 else list(x)

    def __repr__(self) -> str:
        return self._repr
