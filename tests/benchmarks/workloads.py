"""What is timed. Each workload is the same for both libraries.

An engine is a library's `Value` class and its `MLP`. A workload is built once
(`build(engine)`) and returns a function that does one step, forward and
backward and the freeing of the graph.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Step = Callable[[], None]

OPERATIONS = 1000
XOR = ([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0.0, 1.0, 1.0, 0.0])


@dataclass(frozen=True)
class Engine:
    """One of the two libraries."""

    name: str
    value: Any
    mlp: Callable[[int, list[int]], Any]
    pause: Callable[[], Any]


def mixed_operations(engine: Engine) -> Step:
    """1,000 scalar operations: + - * / ** neg relu, numbers among them."""
    a, b = engine.value(1.1), engine.value(0.7)

    def step() -> None:
        x = a
        for _ in range(OPERATIONS // 10):
            c = a * x + b
            d = (c - a).relu() / (b + 2.0)
            x = -(d**2) * 0.1 + x
            x = x * 0.5
        x.backward()

    return step


def plain_neurons(engine: Engine) -> Step:
    """One XOR step with neurons written out in the shared operators."""
    rng = random.Random(0)
    value = engine.value
    hidden = [
        ([value(rng.uniform(-1, 1)) for _ in range(2)], value(0.0)) for _ in range(4)
    ]
    output = ([value(rng.uniform(-1, 1)) for _ in range(4)], value(0.0))

    def neuron(weights: list[Any], bias: Any, x: list[Any]) -> Any:
        return sum((w * xi for w, xi in zip(weights, x, strict=True)), bias)

    def step() -> None:
        loss = value(0.0)
        for x, target in zip(*XOR, strict=True):
            h = [neuron(w, b, x).relu() for w, b in hidden]
            loss = loss + (neuron(*output, h) - target) ** 2
        loss.backward()

    return step


def xor_step(engine: Engine) -> Step:
    """One training step on XOR, MLP(2, [4, 1]), four points."""
    random.seed(0)
    model = engine.mlp(2, [4, 1])
    parameters = model.parameters()

    def step() -> None:
        scores = [model(x) for x in XOR[0]]
        loss = sum(
            ((s - t) ** 2 for s, t in zip(scores, XOR[1], strict=True)),
            engine.value(0.0),
        )
        descend(loss, parameters, 0.01)

    return step


def moons_step(engine: Engine) -> Step:
    """One step of micrograd's demo: MLP(2, [16, 16, 1]), 100 points."""
    random.seed(0)
    model = engine.mlp(2, [16, 16, 1])
    parameters = model.parameters()
    rng = random.Random(1)
    points = [[rng.gauss(0, 1), rng.gauss(0, 1)] for _ in range(100)]
    labels = [1 if x * y > 0 else -1 for x, y in points]

    def step() -> None:
        scores = [model(p) for p in points]
        margins = [(1 + -y * s).relu() for y, s in zip(labels, scores, strict=True)]
        loss = sum(margins) * (1.0 / len(margins))
        loss = loss + 1e-4 * sum(p * p for p in parameters)
        descend(loss, parameters, 0.01)

    return step


def descend(loss: Any, parameters: list[Any], rate: float) -> None:
    """Zero, backward, update: the same lines for both libraries."""
    for p in parameters:
        p.grad = 0.0
    loss.backward()
    for p in parameters:
        p.data -= rate * p.grad


def chain(engine: Engine, length: int) -> Step:
    """A chain of `length` multiplications, built, differentiated and freed."""

    def step() -> None:
        x = engine.value(1.0)
        for _ in range(length):
            x = x * 1.0000001
        x.backward()

    return step
