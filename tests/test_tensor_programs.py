"""Random programs of tensors, run by us and by PyTorch."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from prosegrad import cross_entropy, grad, mean_squared_error
from prosegrad.tensor import Tensor, concat, linear, stack, where

from .tensors import opened, weights

PROGRAMS = 250
ALLOWED = 1e-10
SIZES = ((), (1,), (3,), (2, 3), (3, 2), (1, 3), (2, 1), (2, 2, 3), (2, 3, 0))


UNARY = [
    *[
        "tanh",
        "sigmoid",
        "softplus",
        "gelu",
        "silu",
        "sin",
        "cos",
        "exp",
        "abs",
        "relu",
        "atan",
    ],
    "pow3",
]
SAME = "tanh sigmoid sin cos exp abs atan"


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
    """Leaves of given shapes, and steps; its result is the sum of all nodes."""

    shapes: tuple[tuple[int, ...], ...]
    steps: tuple[Step, ...]

    def leaves(self) -> list[Any]:
        return [weights(shape, 0.3 + i) for i, shape in enumerate(self.shapes)]

    def run(self, leaves: Sequence[Any], operations: dict[str, Any]) -> list[Any]:
        nodes = list(leaves)
        for step in self.steps:
            operands = [nodes[i] for i in step.operands]
            nodes.append(operations[step.name](*operands, *step.options))
        return nodes


def ours() -> dict[str, Callable[..., Any]]:
    """Return what the operations mean to us."""
    same = "tanh sigmoid softplus gelu silu sin cos exp relu atan"
    return {
        **{name: getattr(Tensor, name) for name in same.split()},
        "abs": abs,
        "+": lambda x, y: x + y,
        "-": lambda x, y: x - y,
        "*": lambda x, y: x * y,
        "/": lambda x, y: x / (y * y + 1),
        "pow3": lambda x: x**3,
        "**": lambda x, y: (x * x + 0.5) ** y,
        "maximum": lambda x, y: x.maximum(y),
        "minimum": lambda x, y: x.minimum(y),
        "where": lambda x, y, phase: where(mask(x, y, phase), x, y),
        "sum": lambda x, axis, keep: x.sum(axis, keep),
        "mean": lambda x, axis, keep: x.mean(axis, keep),
        "max": lambda x, axis, keep: x.max(axis, keep),
        "min": lambda x, axis, keep: x.min(axis, keep),
        "logsumexp": lambda x, axis, keep: x.logsumexp(axis, keep),
        "softmax": lambda x, axis: x.softmax(axis),
        "cross_entropy": lambda x, targets: cross_entropy(x, np.array(targets)),
        "mean_squared_error": mean_squared_error,
        "reshape": lambda x, shape: x.reshape(shape),
        "permute": lambda x, order: x.permute_dims(order),
        "mT": lambda x: x.mT,
        "broadcast_to": lambda x, shape: x.broadcast_to(shape),
        "expand_dims": lambda x, axis: x.expand_dims(axis),
        "getitem": lambda x, key: x[key],
        "take": lambda x, indices, axis: x.take(list(indices), axis),
        "@": lambda x, y: x @ y,
        "linear": linear,
        "concat": lambda x, y, axis: concat([x, y], axis),
        "stack": lambda x, y, axis: stack([x, y], axis),
    }


def mask(x: Any, y: Any, phase: float) -> Any:
    return weights(np.broadcast_shapes(x.shape, y.shape), phase) > 0


def theirs(torch: Any) -> dict[str, Callable[..., Any]]:
    """Return what the operations mean to PyTorch."""
    f = torch.nn.functional

    def axes(x: Any, axis: Any) -> Any:
        return tuple(range(x.ndim)) if axis is None else axis

    return {
        **{n: getattr(torch, n) for n in SAME.split()},
        "relu": torch.relu,
        "softplus": lambda x: f.softplus(x, threshold=40),
        "gelu": lambda x: f.gelu(x, approximate="tanh"),
        "silu": f.silu,
        "+": torch.add,
        "-": torch.sub,
        "*": torch.mul,
        "/": lambda x, y: x / (y * y + 1),
        "pow3": lambda x: x**3,
        "**": lambda x, y: (x * x + 0.5) ** y,
        "maximum": torch.maximum,
        "minimum": torch.minimum,
        "where": lambda x, y, phase: torch.where(torch.tensor(mask(x, y, phase)), x, y),
        "sum": lambda x, axis, keep: x.sum(axes(x, axis), keepdim=keep),
        "mean": lambda x, axis, keep: x.mean(axes(x, axis), keepdim=keep),
        "max": lambda x, axis, keep: x.amax(axes(x, axis), keepdim=keep),
        "min": lambda x, axis, keep: x.amin(axes(x, axis), keepdim=keep),
        "logsumexp": lambda x, axis, keep: x.logsumexp(axes(x, axis), keepdim=keep),
        "softmax": lambda x, axis: x.softmax(axis),
        "cross_entropy": lambda x, targets: f.cross_entropy(
            x.reshape(-1, x.shape[-1]), torch.tensor(targets).reshape(-1)
        ),
        "mean_squared_error": f.mse_loss,
        "reshape": torch.reshape,
        "permute": torch.permute,
        "mT": lambda x: x.mT,
        "broadcast_to": torch.broadcast_to,
        "expand_dims": torch.unsqueeze,
        "getitem": lambda x, key: x[key],
        "take": lambda x, indices, axis: x.index_select(axis, torch.tensor(indices)),
        "@": torch.matmul,
        "linear": lambda x, w, b: x @ w + b,
        "concat": lambda x, y, axis: torch.cat([x, y], axis),
        "stack": lambda x, y, axis: torch.stack([x, y], axis),
    }


BINARY = ["+", "-", "*", "/", "**", "maximum", "minimum", "where"]
REDUCTIONS = ["sum", "mean", "max", "min", "logsumexp"]
SHAPERS = ["reshape", "permute", "mT", "broadcast_to", "expand_dims", "getitem", "take"]
JOINTS = ["@", "linear", "concat", "stack", "mean_squared_error"]
NOT_OF_NOTHING = ("max", "min", "logsumexp", "mean", "softmax", "cross_entropy")
LOSSES = ["softmax", "cross_entropy"]
FAMILIES = (UNARY, BINARY, BINARY, REDUCTIONS, SHAPERS, SHAPERS, JOINTS, JOINTS, LOSSES)


def drawn_step(rng: random.Random, nodes: Sequence[Any]) -> Step | None:
    """Return a step, or None if it does not fit these nodes."""
    name = rng.choice(rng.choice(FAMILIES))
    count = 3 if name == "linear" else 2 if name in (*BINARY, *JOINTS) else 1
    chosen = tuple(rng.randrange(len(nodes)) for _ in range(count))
    if name == "linear":
        chosen = rng.choice(lines(nodes) or [chosen])
    x = nodes[chosen[0]]
    step = Step(name, chosen, options_of(rng, name, x))
    try:
        result = step_of_shapes(step, nodes)
    except (ValueError, IndexError, ZeroDivisionError):
        return None
    return step if result.size <= 40 and result.ndim <= 4 else None


def lines(nodes: Sequence[Any]) -> list[tuple[int, int, int]]:
    """Return the places of all operands that `linear` takes."""
    shapes = [x.shape for x in nodes]
    return [
        (i, j, k)
        for (i, a), (j, b), (k, c) in product(enumerate(shapes), repeat=3)
        if len(b) == 2 and a[-1:] == b[:1] and c in ((), b[1:])
    ]


def options_of(rng: random.Random, name: str, x: Any) -> tuple[Any, ...]:
    axis = rng.randrange(-x.ndim, x.ndim) if x.ndim else None
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
    return ()


def step_of_shapes(step: Step, nodes: Sequence[Any]) -> Any:
    """Run a step by its rule for shapes, which is NumPy's."""
    x, *others = (nodes[i] for i in step.operands)
    if x.size == 0 and step.name in NOT_OF_NOTHING:
        raise ValueError
    if x.ndim == 0 and step.name in ("softmax", "take"):
        raise ValueError
    if step.name == "cross_entropy":
        if not x.ndim:
            raise ValueError
        return np.zeros(())
    if step.name == "mean_squared_error":
        if x.shape != others[0].shape or not x.size:
            raise ValueError
        return np.zeros(())
    if step.name == "linear":
        if others[0].ndim != 2 or others[1].shape not in ((), others[0].shape[1:]):
            raise ValueError
        return np.matmul(x, others[0]) + others[1]
    plain: dict[str, Callable[..., Any]] = {
        "permute": np.transpose,
        "mT": lambda x: np.swapaxes(x, -1, -2),
        "getitem": lambda x, key: np.asarray(x[key]),
        "take": np.take,
        "@": np.matmul,
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


def drawn(seed: int) -> Program:
    """Return the program of a seed."""
    rng = random.Random(seed)
    shapes = tuple(rng.choice(SIZES) for _ in range(rng.randint(1, 3)))
    nodes: list[Any] = [np.zeros(shape) for shape in shapes]
    steps: list[Step] = []
    while len(steps) < 6:
        step = drawn_step(rng, nodes)
        if step is not None:
            nodes.append(np.asarray(step_of_shapes(step, nodes)))
            steps.append(step)
    return Program(shapes, tuple(steps))


def total(nodes: Sequence[Any], make: Callable[[Any], Any]) -> Any:
    """Return one bounded number that every node has a part in."""
    terms = [
        (v.tanh() * make(weights(v.shape, 1.0 + i))).sum() for i, v in enumerate(nodes)
    ]
    return sum(terms[1:], terms[0])


def by_us(program: Program) -> list[Any]:
    """Return the value, the gradient and a product with the Hessian."""
    operations = ours()
    leaves = program.leaves()
    argnums = tuple(range(len(leaves)))

    def f(*xs: Any) -> Any:
        return total(program.run(xs, operations), lambda w: w)

    def slope(*xs: Any) -> Any:
        pairs = enumerate(grad(f, argnums)(*xs))
        terms = [(g * weights(g.shape, 2.0 + i)).sum() for i, g in pairs]
        return sum(terms[1:], terms[0])

    value = f(*(Tensor(x) for x in leaves)).data
    return [value, *grad(f, argnums)(*leaves), *grad(slope, argnums)(*leaves)]


def by_them(program: Program, torch: Any) -> list[Any]:
    leaves = [torch.tensor(x, requires_grad=True) for x in program.leaves()]
    y = total(program.run(leaves, theirs(torch)), torch.tensor)
    gradient = torch.autograd.grad(y, leaves, create_graph=True)
    terms = [
        (g * torch.tensor(weights(g.shape, 2.0 + i))).sum()
        for i, g in enumerate(gradient)
    ]
    bends = torch.autograd.grad(sum(terms), leaves, allow_unused=True)
    found = [torch.zeros_like(x) if b is None else b for b, x in zip(bends, leaves)]
    return [part.detach().numpy() for part in (y, *gradient, *found)]


@pytest.fixture(scope="module")
def torch() -> Iterator[Any]:
    with opened("torch"):
        yield pytest.importorskip("torch")


@pytest.mark.parametrize("part", range(10))
def test_programs(part: int, torch: Any) -> None:
    """Value, gradient and second derivatives are PyTorch's, to ten digits."""
    scale = max(1, settings().max_examples // 200)
    for seed in range(part * PROGRAMS * scale, (part + 1) * PROGRAMS * scale, 10):
        program = drawn(seed)
        pairs = zip(by_us(program), by_them(program, torch), strict=True)
        for found, expected in pairs:
            assert np.shape(found) == expected.shape, program
            if expected.size:
                largest = max(1.0, float(np.max(np.abs(expected))))
                error = float(np.max(np.abs(found - expected))) / largest
                assert error <= ALLOWED, (seed, error, program)


def test_programs_use_every_operation() -> None:
    used = {step.name for seed in range(PROGRAMS) for step in drawn(seed).steps}

    assert used == set(ours())
