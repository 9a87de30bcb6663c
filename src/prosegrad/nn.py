"""Neurons, layers and networks, built of Values.

The signatures are those of micrograd's `nn` module. Weights start
uniform with variance `1 / n_inputs` (LeCun et al., "Efficient
BackProp", 1998), so that a sum of many inputs stays of size one.
"""

import copy
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from prosegrad.elementary import Number
from prosegrad.value import Value, dot

ACTIVATIONS = ("linear", "tanh", "relu", "sigmoid", "silu", "gelu")


class Module:
    """Something with parameters to train.

    The parameters are the Values among its attributes, also inside
    lists, tuples, dicts and other Modules. What an operation has
    computed is none.
    """

    def named_parameters(self) -> list[tuple[str, Any]]:
        """Return every parameter with its name, in a fixed order.

        A name is the way to the parameter, as `layers.0.weight`. The
        order is that of definition. A parameter that is used in two
        places stands here once, under its first name.
        """
        return [
            (name, x)
            for name, x in _found_in(self)
            if isinstance(x, Value) and not x._op
        ]

    def parameters(self) -> list[Any]:
        """Return every trainable Value or Tensor, in a fixed order."""
        return [parameter for _, parameter in self.named_parameters()]

    def modules(self) -> list["Module"]:
        """Return this module and those inside it, from the outside."""
        return [x for _, x in _found_in(self) if isinstance(x, Module)]

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to zero."""
        for parameter in self.parameters():
            parameter.zero_grad()

    def __repr__(self) -> str:
        count = sum(math.prod(_shape(p)) for p in self.parameters())
        return f"{type(self).__name__}({count} parameters)"

    def state(self) -> dict[str, Number]:
        """Return a copy of the number of every parameter, by name."""
        return {
            name: copy.deepcopy(parameter.data)
            for name, parameter in self.named_parameters()
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Give every parameter a copy of the number of its name.

        Arrays may come from another library, and in another
        precision: the parameters are then of that. The gradients are
        set to zero. If anything is raised, no parameter has changed.

        Args:
            state: As `state` returns it.

        Raises:
            TypeError: There is something else than numbers in it.
            ValueError: Its names are not those of the parameters, or
                an array has another shape.
        """
        named = dict(self.named_parameters())
        check_names("model", named, state)
        data = [_accepted(n, p, state[n]) for n, p in named.items()]
        for parameter, number in zip(named.values(), data):
            parameter.data = number
            parameter.zero_grad()


def _shape(parameter: Value) -> tuple[int, ...]:
    """Return the shape of a parameter; that of one number is `()`."""
    return tuple(getattr(parameter.data, "shape", ()))


def _found_in(module: Module) -> list[tuple[str, Any]]:
    """Return all that a module holds, each once, by its first name."""
    found: dict[int, tuple[str, Any]] = {}
    _collect(module, "", found)
    return list(found.values())


def _collect(
    x: Any, name: str, found: dict[int, tuple[str, Any]]
) -> None:
    if id(x) in found or not isinstance(x, _HOLDERS):
        return
    found[id(x)] = name, x
    for key, member in _members(x):
        _collect(member, f"{name}.{key}" if name else str(key), found)


_HOLDERS = (Value, Module, list, tuple, dict)


def _members(x: Any) -> Iterable[tuple[Any, Any]]:
    """Return what an object holds, each with its name or place."""
    if isinstance(x, Module):
        return vars(x).items()
    if isinstance(x, dict):
        return x.items()
    return enumerate(x) if isinstance(x, (list, tuple)) else ()


def check_names(
    owner: str, own: Iterable[str], state: Iterable[str]
) -> None:
    """Raise a ValueError if a state has other names than its owner."""
    own, names = dict.fromkeys(own), dict.fromkeys(state)
    missing = [name for name in own if name not in names]
    unknown = [name for name in names if name not in own]
    if missing or unknown:
        raise ValueError(
            f"load_state: the state lacks {missing}, and the {owner} "
            f"does not know {unknown}"
        )


def _accepted(name: str, parameter: Value, given: Any) -> Number:
    """Return a copy of a number for a parameter, or raise."""
    if isinstance(given, Value):
        raise TypeError(
            f"load_state: {name} is a {type(given).__name__}; give its "
            "data"
        )
    try:
        fresh = type(parameter)(given)
    except (TypeError, ValueError) as error:
        raise type(error)(f"load_state: {name}: {error}") from None
    if _shape(fresh) != _shape(parameter):
        raise ValueError(
            f"load_state: {name} has shape {_shape(parameter)} in the "
            f"model and {_shape(fresh)} in the state"
        )
    return copy.deepcopy(fresh.data)


def _check(n_inputs: int, activation: str) -> None:
    if n_inputs < 1:
        raise ValueError(f"a neuron needs inputs, got {n_inputs}")
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"activation {activation!r} is none of {ACTIVATIONS}"
        )


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
        _check(n_inputs, activation)
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
        kinds = [activation] * (len(layer_sizes) - 1) + [output]
        self.layers = [
            Layer(n_in, n_out, kind, rng)
            for n_in, n_out, kind in zip(sizes, sizes[1:], kinds)
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
