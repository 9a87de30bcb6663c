"""What is differentiated: functions of n numbers, and steps of training.

A problem has its numbers and its mathematics, in two forms: on single numbers
and on arrays. It knows no library; `contenders` puts the two together.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import mul
from typing import Any


def rosenbrock(x: Any) -> Any:
    # As on the book's pages.
    pairs = zip(x, x[1:])  # noqa: RUF007
    return sum(100 * (b - a**2) ** 2 + (1 - a) ** 2 for a, b in pairs)


def rosenbrock_of_array(x: Any, xp: Any) -> Any:
    a, b = x[:-1], x[1:]
    return (100 * (b - a**2) ** 2 + (1 - a) ** 2).sum()


def rosenbrock_by_hand(x: list[float]) -> Any:
    value, gradient = 0.0, [0.0] * len(x)
    for i in range(len(x) - 1):
        a = x[i]
        d, e = x[i + 1] - a * a, 1.0 - a
        value += 100.0 * d * d + e * e
        gradient[i] -= 400.0 * d * a + 2.0 * e
        gradient[i + 1] += 200.0 * d
    return value, gradient


def rosenbrock_by_hand_of_array(x: Any, np: Any) -> Any:
    a, b = x[:-1], x[1:]
    d, e = b - a * a, 1.0 - a
    gradient = np.zeros_like(x)
    gradient[:-1] = -400.0 * d * a - 2.0 * e
    gradient[1:] += 200.0 * d
    return 100.0 * (d @ d) + e @ e, gradient


def product(x: Any) -> Any:
    """The product of all inputs, after Speelpenning's dissertation of 1980."""
    return reduce(mul, x)


def product_of_array(x: Any, xp: Any) -> Any:
    return xp.prod(x)


def product_by_hand(x: list[float]) -> Any:
    before = [1.0]
    for number in x:
        before.append(before[-1] * number)
    gradient, after = [0.0] * len(x), 1.0
    for i in range(len(x) - 1, -1, -1):
        gradient[i] = before[i] * after
        after *= x[i]
    return after, gradient


def product_by_hand_of_array(x: Any, np: Any) -> Any:
    before = np.cumprod(x)
    after = np.cumprod(x[::-1])[::-1]
    gradient = np.ones_like(x)
    gradient[1:] = before[:-1]
    gradient[:-1] *= after[1:]
    return before[-1], gradient


@dataclass(frozen=True)
class Function:
    """A function of n numbers, and the point where we want its gradient."""

    title: str
    function: Callable[[Any], Any]
    of_array: Callable[[Any, Any], Any]
    by_hand: Callable[[list[float]], Any]
    by_hand_of_array: Callable[[Any, Any], Any]
    point: list[float]


def _point(n: int, low: float, high: float) -> list[float]:
    rng = random.Random(n)
    return [rng.uniform(low, high) for _ in range(n)]


FUNCTIONS: dict[str, Function] = {}
for _n in (10, 100):
    FUNCTIONS[f"rosenbrock_{_n}"] = Function(
        f"Rosenbrock, n = {_n}",
        rosenbrock,
        rosenbrock_of_array,
        rosenbrock_by_hand,
        rosenbrock_by_hand_of_array,
        _point(_n, -2.0, 2.0),
    )
for _n in (10, 100):
    FUNCTIONS[f"product_{_n}"] = Function(
        f"product, n = {_n}",
        product,
        product_of_array,
        product_by_hand,
        product_by_hand_of_array,
        _point(_n, 0.8, 1.2),
    )

Network = Any
"""The parameters: layers of neurons, each the weights and then the bias."""


@dataclass(frozen=True)
class Training:
    """One step of gradient descent for a network of relu neurons.

    The output is linear. The loss is the sum of squares or, with `hinge`, the
    mean of the hinge losses and 0.0001 times the sum of squared parameters.
    """

    title: str
    sizes: tuple[int, ...]
    points: list[list[float]]
    targets: list[float]
    hinge: bool
    rate: float = 0.01
    parameters: list[float] = field(init=False)

    def __post_init__(self) -> None:
        rng = random.Random(0)
        shapes = zip(self.sizes, self.sizes[1:])
        count = sum((n + 1) * m for n, m in shapes)
        numbers = [rng.uniform(-1, 1) for _ in range(count)]
        object.__setattr__(self, "parameters", numbers)

    def network(self, kind: type = list) -> Network:
        """Return the parameters as lists or tuples in one another."""
        numbers = iter(self.parameters)
        return kind(
            kind(kind(next(numbers) for _ in range(n + 1)) for _ in range(m))
            for n, m in zip(self.sizes, self.sizes[1:])
        )

    def layers(self, np: Any) -> list[Any]:
        """Return the weights and the biases as arrays, layer by layer."""
        whole = [np.array(layer) for layer in self.network()]
        parts = [(layer[:, :-1], layer[:, -1]) for layer in whole]
        return [(w.copy(), b.copy()) for w, b in parts]

    def score(self, network: Network, x: Any, relu: Any, dot: Any) -> Any:
        for layer in network[:-1]:
            x = [relu(dot(n[:-1], x, n[-1])) for n in layer]
        ((*weights, bias),) = network[-1]
        return dot(weights, x, bias)

    def loss_of_point(self, score: Any, target: Any, relu: Any) -> Any:
        if self.hinge:
            return relu(1.0 - target * score)
        return (score - target) ** 2

    def loss(self, network: Network, relu: Any, dot: Any) -> Any:
        """Return the loss of the batch, number by number."""
        total = sum(
            self.loss_of_point(self.score(network, x, relu, dot), target, relu)
            for x, target in zip(self.points, self.targets)
        )
        if not self.hinge:
            return total
        penalty = sum(p * p for p in numbers_in(network))
        return total * (1.0 / len(self.points)) + 1e-4 * penalty

    def loss_of_arrays(self, layers: Any, points: Any, targets: Any, relu: Any) -> Any:
        """Return the loss of the batch, for the arrays of any library."""
        h = points
        for w, b in layers[:-1]:
            h = relu(h @ w.T + b)
        ((w, b),) = layers[-1:]
        score = (h @ w.T + b)[:, 0]
        if not self.hinge:
            return ((score - targets) ** 2).sum()
        penalty = sum((w * w).sum() + (b * b).sum() for w, b in layers)
        return relu(1.0 - targets * score).mean() + 1e-4 * penalty

    def gradient(self, parameters: Sequence[float]) -> list[float]:
        """Return the gradient that led from our parameters to these."""
        pairs = zip(self.parameters, parameters, strict=True)
        return [(old - new) / self.rate for old, new in pairs]


def numbers_in(tree: Any) -> Iterator[Any]:
    """Yield the numbers of lists and tuples in one another."""
    if isinstance(tree, (list, tuple)):
        for member in tree:
            yield from numbers_in(member)
    else:
        yield tree


def numbers_of_layers(layers: Any) -> list[float]:
    """Return the parameters in the order of a network's numbers."""
    return [
        float(number)
        for w, b in layers
        for row, bias in zip(w.tolist(), b.tolist())
        for number in (*row, bias)
    ]


def _moons() -> tuple[list[list[float]], list[float]]:
    rng = random.Random(1)
    points = [[rng.gauss(0, 1), rng.gauss(0, 1)] for _ in range(100)]
    return points, [1.0 if x * y > 0 else -1.0 for x, y in points]


CORNERS = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
TRAININGS: dict[str, Training] = {
    "xor": Training(
        "XOR step, MLP(2, [4, 1])", (2, 4, 1), CORNERS, [0.0, 1.0, 1.0, 0.0], False
    ),
    "moons": Training(
        "moons step, MLP(2, [16, 16, 1])", (2, 16, 16, 1), *_moons(), True
    ),
}
