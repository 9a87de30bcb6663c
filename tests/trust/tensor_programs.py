"""Random programs of tensors, as data: leaves of given shapes, and steps.

What an operation means is said elsewhere, once for each library. Here are the
shapes: which operands fit, and what comes out.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np

from ..tensors import LAYOUTS, Library, weights

Shape = tuple[int, ...]

SIZES: tuple[Shape, ...] = ((), (1,), (3,), (2, 3), (3, 2), (3, 3), (1, 3), (2, 1))
SIZES += ((2, 2, 3), (2, 3, 0), (0, 3))
# Leaves that fit the operations of three operands.
TOGETHER: tuple[tuple[Shape, ...], ...] = (
    ((1, 2, 3, 4), (2, 2, 2, 2), (2,)),
    ((2, 1, 3, 3), (3, 1, 2, 1), (3,)),
    ((2, 2, 2, 3), (1, 2, 1, 2), (1,)),
    ((2, 3), (3,), (3,)),
    ((2, 2, 3), (3,), (3,)),
    ((2, 3), (3, 3), (3, 2)),
    ((2, 2, 3), (2, 1, 3), (2, 1, 2)),
)
STEPS = 6
LARGEST = 60  # numbers in a node

UNARY = ["tanh", "sigmoid", "softplus", "gelu", "silu", "relu", "leaky_relu"]
UNARY += ["sin", "cos", "atan", "exp", "expm1", "abs", "log", "sqrt", "pow3"]
BINARY = ["+", "-", "*", "/", "**", "maximum", "minimum", "where"]
REDUCTIONS = ["sum", "mean", "max", "min", "logsumexp"]
SHAPERS = ["reshape", "permute", "mT", "broadcast_to", "expand_dims", "getitem", "take"]
JOINTS = ["@", "concat", "stack", "mean_squared_error"]
TRIPLES: dict[str, Callable[[Shape, Shape, Shape], bool]] = {
    "linear": lambda a, b, c: len(b) == 2 and a[-1:] == b[:1] and c in ((), b[1:]),
    "layer_norm": lambda x, w, b: len(x) > 0 and w == b == x[-1:] and 0 not in x,
    "attention": lambda q, k, v: (
        len(q) == len(k) == len(v) >= 2
        and q[:-2] == k[:-2] == v[:-2]
        and q[-1] == k[-1]
        and k[-2] == v[-2]
        and 0 not in q + k + v
    ),
    "conv2d": lambda x, w, b: (
        len(x) == len(w) == 4
        and x[1:2] + w[:1] == w[1:2] + b
        and x[2] >= w[2] > 0
        and x[3] >= w[3] > 0
        and 0 not in x[:2] + w[:2]
    ),
}
POOLS = ["max_pool2d", "avg_pool2d"]
IMAGES = ["windows", "fold", "pad2d", *POOLS]
LOSSES = ["softmax", "cross_entropy"]
NOT_OF_NOTHING = ("max", "min", "logsumexp", "mean", "softmax", "cross_entropy")
# Some twice, and so more often.
FAMILIES = [UNARY, BINARY, BINARY, REDUCTIONS, SHAPERS, SHAPERS, JOINTS, JOINTS]
FAMILIES += [LOSSES, list(TRIPLES), IMAGES, IMAGES]
NAMES = sorted({name for family in FAMILIES for name in family})


@dataclass(frozen=True)
class Step:
    """An operation on nodes of the program, and what it needs besides."""

    name: str
    operands: tuple[int, ...]
    options: tuple[Any, ...] = ()

    def __repr__(self) -> str:
        given = [f"v{i}" for i in self.operands] + [repr(o) for o in self.options]
        return f"{self.name}({', '.join(given)})"


@dataclass(frozen=True)
class Program:
    """Leaves of given shapes and layouts, and steps."""

    shapes: tuple[Shape, ...]
    steps: tuple[Step, ...]
    layouts: tuple[str, ...]
    phase: float

    def __str__(self) -> str:
        leaves = zip(self.shapes, self.layouts, strict=True)
        lines = [f"{layout} array of shape {shape}" for shape, layout in leaves]
        lines += map(repr, self.steps)
        return "\n".join(f"v{i} = {line}" for i, line in enumerate(lines))

    def leaves(self, library: Library) -> list[Any]:
        return [
            library.laid(weights(shape, self.phase + i), layout)
            for i, (shape, layout) in enumerate(zip(self.shapes, self.layouts))
        ]

    def directions(self) -> list[Any]:
        return [weights(shape, 2.0 + i) for i, shape in enumerate(self.shapes)]

    def run(self, leaves: Sequence[Any], operations: dict[str, Any]) -> list[Any]:
        nodes = list(leaves)
        for step in self.steps:
            operands = [nodes[i] for i in step.operands]
            nodes.append(operations[step.name](*operands, *step.options))
        return nodes


def drawn(seed: int) -> Program:
    """Return the program of a seed."""
    rng = random.Random(seed)
    any_three = tuple(rng.choice(SIZES) for _ in range(rng.randint(1, 3)))
    shapes = rng.choice(TOGETHER) if rng.random() < 0.3 else any_three
    nodes: list[Any] = [np.zeros(shape) for shape in shapes]
    steps: list[Step] = []
    while len(steps) < STEPS:
        step = _drawn_step(rng, nodes, len(shapes))
        if step is not None:
            nodes.append(np.asarray(_step_of_shapes(step, nodes)))
            steps.append(step)
    layouts = tuple(rng.choice(LAYOUTS) for _ in shapes)
    return Program(shapes, tuple(steps), layouts, round(rng.uniform(0, 6), 3))


def _drawn_step(rng: random.Random, nodes: Sequence[Any], leaves: int) -> Step | None:
    """Return a step, or None if it does not fit these nodes."""
    name = rng.choice(rng.choice(FAMILIES))
    # PyTorch gives all to the first of a tie, and leaves have none.
    among = leaves if name == "max_pool2d" else len(nodes)
    count = 2 if name in (*BINARY, *JOINTS) else 1
    chosen = tuple(rng.randrange(among) for _ in range(count))
    if name in TRIPLES or name == "fold":
        found = _triples(name, nodes) if name in TRIPLES else _stacks(nodes)
        if not found:
            return None
        chosen = rng.choice(found)
    step = Step(name, chosen, _options_of(rng, name, nodes[chosen[0]]))
    try:
        result = np.asarray(_step_of_shapes(step, nodes))
    except (ValueError, IndexError, ZeroDivisionError, DeprecationWarning):
        # NumPy before 2.3 only warns of an index outside of an empty array.
        return None
    return step if result.size <= LARGEST and result.ndim <= 6 else None


def _triples(name: str, nodes: Sequence[Any]) -> list[tuple[int, ...]]:
    """Return the places of all operands that an operation of three takes."""
    fit, places = TRIPLES[name], range(len(nodes))
    triples = product(places, repeat=3)
    return [(i, *rest) for i, *rest in triples if fit(*_shapes(nodes, i, *rest))]


def _stacks(nodes: Sequence[Any]) -> list[tuple[int, ...]]:
    """Return the places of all operands that `fold` takes."""
    return [(i,) for i, x in enumerate(nodes) if x.ndim >= 4 and x.size]


def _shapes(nodes: Sequence[Any], i: int, j: int, k: int) -> tuple[Shape, Shape, Shape]:
    return nodes[i].shape, nodes[j].shape, nodes[k].shape


def _options_of(rng: random.Random, name: str, x: Any) -> tuple[Any, ...]:
    axis = rng.randrange(-x.ndim, x.ndim) if x.ndim else None
    pair = rng.randint(1, 2), rng.randint(1, 2)
    if name in REDUCTIONS:
        count = rng.randint(1, x.ndim) if x.ndim else 0
        many = tuple(rng.sample(range(x.ndim), count)) or None
        return rng.choice([None, axis, many]), rng.random() < 0.5
    if name == "softmax":
        return (axis if x.ndim else 0,)
    if name == "cross_entropy" and x.ndim and 0 not in x.shape:
        return (np.arange(x.size // x.shape[-1]).reshape(x.shape[:-1]) % x.shape[-1],)
    if name == "where":
        return (rng.random(),)
    if name == "reshape":
        return (rng.choice([(x.size,), (x.size, 1), (2, x.size // 2), (1, 3, -1)]),)
    if name == "permute":
        return (tuple(rng.sample(range(x.ndim), x.ndim)),)
    if name == "broadcast_to":
        return ((rng.randint(1, 2), *x.shape),)
    if name in ("expand_dims", "stack"):
        return (rng.randrange(-x.ndim - 1, x.ndim + 1),)
    if name == "concat":
        return (axis or 0,)
    if name == "take":
        return tuple(rng.randrange(3) for _ in range(rng.randint(1, 4))), axis or 0
    if name == "getitem":
        keys = [0, -1, slice(1, None), slice(None, None, 2), (..., 0), (None, 0)]
        return (rng.choice([*keys, (slice(None), None), [0, 0, 1], (..., [0, 0])]),)
    if name == "layer_norm":
        return (rng.choice([1e-5, 0.1]),)
    if name in ("windows", *POOLS):
        return (rng.randint(1, 2), rng.randint(1, 3)), pair
    if name == "fold" and x.ndim >= 4:
        steps = zip(x.shape[-2:], x.shape[-4:-2], pair)
        return tuple((o - 1) * s + k for o, k, s in steps), pair
    if name == "conv2d":
        return pair, (rng.randint(0, 1), rng.randint(0, 1))
    return (pair,) if name == "pad2d" else ()


def _step_of_shapes(step: Step, nodes: Sequence[Any]) -> Any:
    """Run a step by its rule for shapes, which is NumPy's."""
    x, *others = (nodes[i] for i in step.operands)
    if x.size == 0 and step.name in NOT_OF_NOTHING:
        raise ValueError
    if x.ndim == 0 and step.name in ("softmax", "take", "cross_entropy"):
        raise ValueError
    if step.name == "mean_squared_error" and (x.shape != others[0].shape or not x.size):
        raise ValueError
    if step.name in ("cross_entropy", "mean_squared_error"):
        return np.zeros(())
    if step.name in ("conv2d", *IMAGES):
        return np.zeros(_images(step, x.shape, *(other.shape for other in others)))
    plain: dict[str, Callable[..., Any]] = {
        "permute": np.transpose,
        "mT": lambda x: np.swapaxes(x, -1, -2),
        "getitem": lambda x, key: np.asarray(x[key]),
        # `np.take` of nothing does not look whether there is such an index.
        "take": lambda x, indices, axis: np.moveaxis(
            np.moveaxis(x, axis, 0)[list(indices)], 0, axis
        ),
        "@": np.matmul,
        "linear": lambda x, w, b: np.matmul(x, w) + b,
        "layer_norm": lambda x, w, b, epsilon: x,
        "attention": lambda q, k, v: np.zeros((*q.shape[:-1], v.shape[-1])),
        "concat": lambda x, y, axis: np.concatenate([x, y], axis),
        "stack": lambda x, y, axis: np.stack([x, y], axis),
        "where": lambda x, y, phase: x + y,
    }
    if step.name in plain:
        return plain[step.name](x, *others, *step.options)
    if step.name in BINARY:
        return x + others[0]
    if step.name in REDUCTIONS:
        return np.sum(x, axis=step.options[0], keepdims=step.options[1])
    if step.name in ("reshape", "broadcast_to", "expand_dims"):
        return getattr(np, step.name)(x, *step.options)
    return x


def _images(step: Step, x: Shape, weight: Shape = (), bias: Shape = ()) -> Shape:
    """Return the shape of the images or windows that come out."""
    if len(x) < (4 if step.name == "fold" else 2) or 0 in x:
        raise ValueError
    first, *rest = step.options
    if step.name == "fold":
        return (*x[:-4], *first)
    if step.name == "pad2d":
        return (*x[:-2], x[-2] + 2 * first[0], x[-1] + 2 * first[1])
    if step.name == "conv2d":
        padded = (n + 2 * p for n, p in zip(x[-2:], rest[0]))
        return (x[0], weight[0], *_counts(padded, weight[-2:], first))
    counts = _counts(x[-2:], first, rest[0])
    shape = (*x[:-2], *first, *counts)
    return (*x[:-2], *counts) if step.name in POOLS else shape


def _counts(lengths: Any, size: Sequence[int], stride: Sequence[int]) -> Shape:
    counts = tuple((n - k) // s + 1 for n, k, s in zip(lengths, size, stride))
    if min(counts) < 1 or not prod(counts):
        raise ValueError
    return counts
