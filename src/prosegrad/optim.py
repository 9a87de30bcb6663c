"""Optimisers: how parameters follow their gradients downhill.

A parameter is a number or an array of any library. No array is changed
in place, so a reference to an old one is a copy of it.
"""

import math
from collections.abc import Iterable, Mapping
from numbers import Number as PythonNumber
from typing import Any, ClassVar

from prosegrad.elementary import Number
from prosegrad.module import check_names
from prosegrad.value import Value, namespace


class Optimiser:
    """What every optimiser has: parameters and a learning rate.

    Args:
        parameters: The Values to move, as `model.parameters()`.
        learning_rate: How far one step goes. May be changed between
            steps.

    Attributes:
        steps: How many steps it has taken.

    Raises:
        ValueError: No parameters, one of them twice, or a learning
            rate that is not a positive finite number.
    """

    _memories: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, parameters: Iterable[Value], learning_rate: float
    ) -> None:
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError("an optimiser needs parameters, got none")
        if len(set(map(id, self.parameters))) < len(self.parameters):
            raise ValueError("a parameter is given twice")
        if not 0 < learning_rate < math.inf:
            raise ValueError(
                f"learning rate {learning_rate!r} is not a positive "
                "finite number"
            )
        self.learning_rate = learning_rate
        self.steps = 0

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to zero."""
        for parameter in self.parameters:
            parameter.zero_grad()

    def step(self) -> None:
        """Move every parameter once."""
        raise NotImplementedError

    def state(self) -> dict[str, Number]:
        """Return all that steps have changed, by name.

        The learning rate, the number of steps and what is remembered
        of each parameter, as `mean.0`. Nothing in it will change, for
        no step writes into an array.
        """
        state = {
            "learning_rate": self.learning_rate,
            "steps": self.steps,
        }
        for name in self._memories:
            for i, x in enumerate(getattr(self, name)):
                state[f"{name}.{i}"] = x
        return state

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` has returned.

        Arrays may come from another library; they are copied. If
        anything is raised, nothing has changed.

        Raises:
            TypeError: There is something else than numbers in it.
            ValueError: It is the state of another kind of optimiser,
                or of other parameters, or no steps lead to it.
        """
        check_names("optimiser", self.state(), state)
        rate = _accepted("learning_rate", state, 0.0, 0.0)
        found: dict[str, Any] = {
            "learning_rate": float(rate),
            "steps": whole_number("steps", state["steps"]),
        }
        for name in self._memories:
            own = zip(getattr(self, name), self.parameters)
            found[name] = [
                _accepted(f"{name}.{i}", state, x, parameter.data)
                for i, (x, parameter) in enumerate(own)
            ]
        vars(self).update(found)


def _like(x: Number, data: Number) -> Number:
    """Return `x` in the precision and the shape of an array.

    NumPy makes a number of a result without axes, and a learning
    rate of NumPy would make float64 of float32.
    """
    dtype = getattr(data, "dtype", None)
    if dtype is None or isinstance(data, (PythonNumber, Value)):
        return x
    is_like = type(x) is type(data) and x.dtype == dtype
    if is_like and x.shape == data.shape:
        return x
    xp = namespace(data)
    if not xp.isdtype(dtype, "real floating"):
        return x
    if getattr(x, "shape", ()) == ():
        return xp.full_like(data, x)
    return xp.asarray(x, dtype=dtype)


def _wide(x: Number) -> Number:
    """Return numbers of half precision in single precision."""
    dtype = getattr(x, "dtype", None)
    if dtype is None or dtype.itemsize > 2 or isinstance(x, Value):
        return x
    if isinstance(x, PythonNumber):
        return float(x)  # type: ignore[arg-type]
    xp = namespace(x)
    is_half = xp.isdtype(dtype, "real floating")
    return xp.astype(x, xp.float32) if is_half else x


def _gradients(parameters: list[Value]) -> list[Number]:
    """Return every gradient, in single precision at least."""
    for i, p in enumerate(parameters):
        own, found = (getattr(x, "shape", ()) for x in (p.data, p.grad))
        if found not in (own, ()):
            raise ValueError(
                f"step: parameter {i} has shape {tuple(own)}, and its "
                f"gradient {tuple(found)}"
            )
    return [_wide(_like(p.grad, p.data)) for p in parameters]


def _mixed(beta: float, old: Number, new: Number) -> Number:
    """Return `beta * old + (1 - beta) * new`; nothing cancels."""
    if beta < 0.5:
        return new + beta * (old - new)
    return old + (1 - beta) * (new - old)


def _zeros(parameters: list[Value]) -> list[Number]:
    """Return a memory of zeros for every parameter."""
    return [_wide(_like(0, p.data)) for p in parameters]


class SGD(Optimiser):
    """Gradient descent, with momentum if asked, as in PyTorch.

    Args:
        parameters: The Values to move.
        learning_rate: How far one step goes.
        momentum: What part of the last step's velocity stays.

    Raises:
        ValueError: No parameters, one of them twice, a learning rate
            that is not a positive finite number, or a momentum
            outside [0, 1).
    """

    _memories = ("velocity",)

    def __init__(
        self,
        parameters: Iterable[Value],
        learning_rate: float = 0.01,
        momentum: float = 0.0,
    ) -> None:
        super().__init__(parameters, learning_rate)
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum {momentum!r} is not in [0, 1)")
        self.momentum = momentum
        self.velocity: list[Number] = []
        if momentum:
            self.velocity = _zeros(self.parameters)

    def step(self) -> None:
        """Move every parameter against its running gradient."""
        gradients = _gradients(self.parameters)
        self.steps += 1
        for i, (parameter, v) in enumerate(
            zip(self.parameters, gradients)
        ):
            data = parameter.data
            if self.momentum:
                old = self.velocity[i]
                v = _like(_mixed(self.momentum, old, 0) + v, old)
                self.velocity[i] = v
            parameter.data = _like(data - self.learning_rate * v, data)


class Adam(Optimiser):
    """Adam (Kingma & Ba 2015), with the paper's defaults.

    Args:
        parameters: The Values to move.
        learning_rate: How far one step goes.
        betas: How much of the running means of the gradient and of
            its square stays at each step.
        epsilon: Added to the root of the square, against division
            by zero.

    Raises:
        ValueError: No parameters, one of them twice, a learning rate
            that is not a positive finite number, betas outside
            [0, 1), or an epsilon that is not positive.
    """

    _memories = ("mean", "square")
    weight_decay = 0.0

    def __init__(
        self,
        parameters: Iterable[Value],
        learning_rate: float = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
    ) -> None:
        super().__init__(parameters, learning_rate)
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas {betas!r} are not in [0, 1)")
        if not epsilon > 0:
            raise ValueError(f"epsilon {epsilon!r} is not positive")
        self.betas = betas
        self.epsilon = epsilon
        self.mean = _zeros(self.parameters)
        self.square = _zeros(self.parameters)

    def step(self) -> None:
        """Move every parameter by its mean over its spread."""
        gradients = _gradients(self.parameters)
        self.steps += 1
        weights = [1 - beta**self.steps for beta in self.betas]
        for i, parameter in enumerate(self.parameters):
            data = parameter.data
            move = self._direction(i, gradients[i], weights)
            if self.weight_decay:
                move = move + self.weight_decay * data
            parameter.data = _like(
                data - self.learning_rate * move, data
            )

    def _direction(
        self, i: int, g: Number, weights: list[float]
    ) -> Number:
        b1, b2 = self.betas
        m, s = self.mean[i], self.square[i]
        self.mean[i] = m = _like(_mixed(b1, m, g), m)
        self.square[i] = s = _like(_mixed(b2, s, g * g), s)
        mean, square = m / weights[0], s / weights[1]
        root = namespace(square).sqrt(square)
        return mean / (root + self.epsilon)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019).

    Args:
        parameters: The Values to move.
        learning_rate: How far one step goes.
        betas: As for Adam.
        epsilon: As for Adam.
        weight_decay: What part of a parameter goes at each step,
            times the learning rate.

    Raises:
        ValueError: As for Adam, or a weight decay that is negative or
            not finite.
    """

    def __init__(
        self,
        parameters: Iterable[Value],
        learning_rate: float = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(parameters, learning_rate, betas, epsilon)
        if not 0 <= weight_decay < math.inf:
            raise ValueError(
                f"weight decay {weight_decay!r} is negative or not "
                "finite"
            )
        self.weight_decay = weight_decay


def clip_gradients(
    parameters: Iterable[Value], max_norm: float
) -> float:
    """Shrink the gradients together to a length of `max_norm`.

    As in PyTorch, the factor is `max_norm / (norm + 1e-6)` if that is
    below 1. The idea is by Pascanu, Mikolov and Bengio (2013).

    Args:
        parameters: The Values whose gradients are one long vector.
        max_norm: How long it may be.

    Returns:
        Its Euclidean length before.

    Raises:
        ValueError: `max_norm` is not positive, or a gradient is not
            finite. No gradient has changed.
    """
    if not max_norm > 0:
        raise ValueError(f"max_norm {max_norm!r} is not positive")
    parameters = list(parameters)
    lengths = [_length(_wide(p.grad)) for p in parameters]
    for i, length in enumerate(lengths):
        if not math.isfinite(length):
            raise ValueError(
                f"clip_gradients: the gradient of parameter {i} is "
                "not finite"
            )
    norm = math.hypot(*lengths)
    factor = max_norm / (norm + 1e-6)
    if factor < 1:
        for p in parameters:
            p.grad = _like(_wide(p.grad) * factor, p.grad)
    return norm


def _length(x: Number) -> float:
    """Return the Euclidean length, also if a square overflows."""
    sizes = abs(x)
    if not getattr(sizes, "shape", ()):
        return float(sizes)
    if 0 in sizes.shape:
        return 0.0
    xp = namespace(sizes)
    largest = float(xp.max(sizes))
    if largest == 0 or not math.isfinite(largest):
        return largest
    parts = sizes / largest
    return largest * math.sqrt(float(xp.sum(parts * parts)))


def whole_number(name: str, x: Any) -> int:
    """Return an entry of a state that counts something.

    Raises:
        TypeError: It is not a number.
        ValueError: It is not a whole number, or it is negative.
    """
    is_one = tuple(getattr(x, "shape", ())) == ()
    number = x.item() if is_one and hasattr(x, "item") else x
    if not isinstance(number, (int, float)):
        raise TypeError(f"load_state: {name} is {x!r}, not a number")
    if not number >= 0 or number % 1 != 0:
        raise ValueError(
            f"load_state: {name} is {number!r}, not a whole number "
            "from 0 on"
        )
    return int(number)


def _accepted(
    name: str, state: Mapping[str, Any], own: Any, data: Number
) -> Any:
    """Return a copy of a memory, of the kind of the one it is for."""
    given = state[name]
    shape, found = (
        tuple(getattr(x, "shape", ())) for x in (own, given)
    )
    if shape != found:
        raise ValueError(
            f"load_state: {name} has shape {found}, and the parameter "
            f"{shape}"
        )
    try:
        x = _copied(given, own)
    except (TypeError, ValueError) as error:
        raise type(error)(f"load_state: {name}: {error}") from None
    if _is_complex(x) and not _is_complex(data):
        raise TypeError(f"load_state: {name} is complex")
    if not _is_possible(x, name):
        raise ValueError(
            f"load_state: {name} has a number that no step leaves: "
            "NaN, infinity, or one that should not be negative"
        )
    return x


def _copied(x: Any, own: Any) -> Any:
    if not hasattr(own, "dtype") or isinstance(own, Value):
        return x.item() if hasattr(x, "item") else +x
    if isinstance(own, PythonNumber):
        return type(own)(x)  # type: ignore[call-arg]
    xp, dtype = namespace(own), own.dtype
    if _is_complex(x):
        dtype = None
    return xp.asarray(x, dtype=dtype, device=own.device, copy=True)


def _is_complex(x: Number) -> bool:
    kind = str(getattr(x, "dtype", ""))
    return isinstance(x, complex) or "complex" in kind


def _is_possible(x: Any, name: str) -> bool:
    """Tell whether steps can have left this: finite, a square >= 0."""
    possible = abs(x) < math.inf
    if name.startswith(("square", "learning_rate")):
        possible = possible & (x >= 0)
    return bool(getattr(possible, "all", lambda: possible)())
