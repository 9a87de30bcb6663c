"""Optimisers: how parameters follow their gradients downhill."""

import math
from collections.abc import Iterable

from prosegrad.value import Value


class Optimiser:
    """What every optimiser has: parameters and a learning rate.

    Args:
        parameters: The Values to move, as `model.parameters()`.
        learning_rate: How far one step goes. May be changed between
            steps.

    Raises:
        ValueError: No parameters, or a learning rate that is not a
            positive finite number.
    """

    def __init__(
        self, parameters: Iterable[Value], learning_rate: float
    ) -> None:
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError("an optimiser needs parameters, got none")
        if not 0 < learning_rate < math.inf:
            raise ValueError(
                f"learning rate {learning_rate!r} is not a positive "
                "finite number"
            )
        self.learning_rate = learning_rate

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to zero."""
        for parameter in self.parameters:
            parameter.zero_grad()

    def step(self) -> None:
        """Move every parameter once."""
        raise NotImplementedError


class SGD(Optimiser):
    """Gradient descent, with momentum if asked, as in PyTorch.

    Args:
        parameters: The Values to move.
        learning_rate: How far one step goes.
        momentum: What part of the last step's velocity stays.

    Raises:
        ValueError: No parameters, a learning rate that is not a
            positive finite number, a momentum outside [0, 1).
    """

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
        self.velocity = [0.0] * len(self.parameters)

    def step(self) -> None:
        """Move every parameter against its running gradient."""
        for i, parameter in enumerate(self.parameters):
            v = self.momentum * self.velocity[i] + parameter.grad
            self.velocity[i] = v
            parameter.data -= self.learning_rate * v


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
        ValueError: No parameters, a learning rate that is not a
            positive finite number, betas outside [0, 1), or an
            epsilon that is not positive.
    """

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
        self.steps = 0
        self.mean = [0.0] * len(self.parameters)
        self.square = [0.0] * len(self.parameters)

    def step(self) -> None:
        """Move every parameter by its mean over its spread."""
        self.steps += 1
        b1, b2 = self.betas
        for i, parameter in enumerate(self.parameters):
            g = parameter.grad
            self.mean[i] += (1 - b1) * (g - self.mean[i])
            self.square[i] += (1 - b2) * (g * g - self.square[i])
            mean = self.mean[i] / (1 - b1**self.steps)
            square = self.square[i] / (1 - b2**self.steps)
            move = mean / (math.sqrt(square) + self.epsilon)
            parameter.data -= self.learning_rate * move
