"""Random programs of tensors, run by us, by PyTorch and by JAX.

Each number of ours is held against the judge's: the value, the gradient, and the
Hessian times a vector. We run each program twice: as it is, where the product is
the gradient of a gradient, and compiled, where it is forward over reverse.
"""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from prosegrad import (
    cross_entropy,
    grad,
    hvp,
    jit_arrays,
    layers,
    mean_squared_error,
    tensor,
    value_and_grad,
    windows,
)
from prosegrad.attention import attention
from prosegrad.tensor import Tensor
from tests.records import circumstances

from ..tensors import Library, opened, weights
from .engines import TITLES, table
from .tensor_programs import NAMES, Program, drawn

PAGE = Path("docs/trust/engines.md")
NAME = "tensors"

Rules = dict[str, Callable[..., Any]]
Numbers = list[Any]  # arrays: the value, the gradients, the products

# --- what the operations mean

OPERATORS: Rules = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda x, y: x / (y * y + 1),
    "pow3": lambda x: x**3,
    "**": lambda x, y: (x * x + 0.5) ** y,
    "@": operator.matmul,
    "abs": abs,
    "mT": lambda x: x.mT,
    "getitem": lambda x, key: x[key],
}


def mask(x: Any, y: Any, phase: float) -> Any:
    return weights(np.broadcast_shapes(x.shape, y.shape), phase) > 0


def ours() -> Rules:
    """Return what the operations mean to us; looked up anew at each call."""
    same = "tanh sigmoid softplus gelu silu sin cos exp expm1 relu leaky_relu atan "
    same += "maximum minimum sum mean max min logsumexp softmax reshape broadcast_to "
    same += "expand_dims"
    return OPERATORS | {
        **{name: getattr(Tensor, name) for name in same.split()},
        "log": lambda x: (x * x + 0.5).log(),
        "sqrt": lambda x: (x * x + 0.5).sqrt(),
        "where": lambda x, y, phase: tensor.where(mask(x, y, phase), x, y),
        "cross_entropy": lambda x, targets: cross_entropy(x, np.array(targets)),
        "mean_squared_error": mean_squared_error,
        "permute": Tensor.permute_dims,
        "take": lambda x, indices, axis: x.take(list(indices), axis),
        "linear": tensor.linear,
        "concat": lambda x, y, axis: tensor.concat([x, y], axis),
        "stack": lambda x, y, axis: tensor.stack([x, y], axis),
        "layer_norm": layers.layer_norm,
        "attention": attention,
        "conv2d": windows.conv2d,
        "windows": windows.windows,
        "fold": windows.fold,
        "pad2d": windows.pad2d,
        "max_pool2d": windows.max_pool2d,
        "avg_pool2d": windows.avg_pool2d,
    }


def of_torch() -> Rules:
    """Return what the operations mean to PyTorch."""
    torch = import_module("torch")
    f, kernels = torch.nn.functional, import_module("torch.nn.attention")
    same = "tanh sigmoid sin cos exp expm1 relu atan maximum minimum reshape permute "
    same += "broadcast_to softmax"

    def axes(x: Any, axis: Any) -> Any:
        return tuple(range(x.ndim)) if axis is None else axis

    def reduced(name: str) -> Callable[..., Any]:
        return lambda x, axis, keep: getattr(x, name)(axes(x, axis), keepdim=keep)

    def attend(q: Any, k: Any, v: Any) -> Any:
        # The other kernels cannot be differentiated twice.
        with kernels.sdpa_kernel(kernels.SDPBackend.MATH):
            return f.scaled_dot_product_attention(q, k, v)

    def cut(x: Any, size: Any, stride: Any) -> Any:
        parts = x.unfold(-2, size[0], stride[0]).unfold(-2, size[1], stride[1])
        return parts.movedim((-2, -1), (-4, -3))

    def fold(x: Any, size: Any, stride: Any) -> Any:
        *before, kh, kw, oh, ow = x.shape
        columns = x.reshape(-1, kh * kw, oh * ow)
        images = f.fold(columns, size, (kh, kw), stride=stride)
        return images.reshape(*before, *size)

    def pool(function: Any) -> Callable[..., Any]:
        def call(x: Any, size: Any, stride: Any) -> Any:
            images = x.reshape(-1, 1, *x.shape[-2:])
            found = function(images, size, stride)
            return found.reshape(*x.shape[:-2], *found.shape[-2:])

        return call

    return OPERATORS | {
        **{name: getattr(torch, name) for name in same.split()},
        "softplus": lambda x: f.softplus(x, threshold=40),
        "gelu": lambda x: f.gelu(x, approximate="tanh"),
        "silu": f.silu,
        "leaky_relu": f.leaky_relu,
        "log": lambda x: torch.log(x * x + 0.5),
        "sqrt": lambda x: torch.sqrt(x * x + 0.5),
        "where": lambda x, y, phase: torch.where(torch.tensor(mask(x, y, phase)), x, y),
        "sum": reduced("sum"),
        "mean": reduced("mean"),
        "max": reduced("amax"),
        "min": reduced("amin"),
        "logsumexp": reduced("logsumexp"),
        "cross_entropy": lambda x, targets: f.cross_entropy(
            x.reshape(-1, x.shape[-1]), torch.tensor(targets).reshape(-1)
        ),
        "mean_squared_error": f.mse_loss,
        "expand_dims": torch.unsqueeze,
        "take": lambda x, indices, axis: x.index_select(axis, torch.tensor(indices)),
        "linear": lambda x, w, b: f.linear(x, w.T, b.broadcast_to(w.shape[1:])),
        "concat": lambda x, y, axis: torch.cat([x, y], axis),
        "stack": lambda x, y, axis: torch.stack([x, y], axis),
        "layer_norm": lambda x, w, b, e: f.layer_norm(x, w.shape, w, b, e),
        "attention": attend,
        "conv2d": f.conv2d,
        "windows": cut,
        "fold": fold,
        "pad2d": lambda x, by: f.pad(x, (by[1], by[1], by[0], by[0])),
        "max_pool2d": pool(f.max_pool2d),
        "avg_pool2d": pool(f.avg_pool2d),
    }


def of_jax() -> Rules:
    """Return what the operations mean to JAX."""
    jax = import_module("jax")
    np_, nn, lax = jax.numpy, jax.nn, jax.lax
    same = "tanh sin cos exp expm1 maximum minimum reshape broadcast_to expand_dims"
    of_networks = "sigmoid softplus silu gelu relu leaky_relu softmax"

    def key(parts: Any) -> Any:
        if isinstance(parts, tuple):
            return tuple(map(key, parts))
        return np.array(parts) if isinstance(parts, list) else parts

    def reduced(function: Any) -> Callable[..., Any]:
        return lambda x, axis, keep: function(x, axis=axis, keepdims=keep)

    def entropy(x: Any, targets: Any) -> Any:
        logs = nn.log_softmax(x)
        return -np_.mean(np_.take_along_axis(logs, targets[..., None], -1))

    def norm(x: Any, w: Any, b: Any, epsilon: float) -> Any:
        rest = x - x.mean(-1, keepdims=True)
        return nn.standardize(rest, epsilon=epsilon) * w + b

    def attend(q: Any, k: Any, v: Any) -> Any:
        return nn.softmax(q @ k.mT / np.sqrt(q.shape[-1])) @ v

    def convolve(x: Any, w: Any, b: Any, stride: Any, padding: Any) -> Any:
        around = [(p, p) for p in padding]
        return lax.conv_general_dilated(x, w, stride, around) + b[:, None, None]

    def cut(x: Any, size: Any, stride: Any) -> Any:
        (kh, kw), (s, t) = size, stride
        oh, ow = (x.shape[-2] - kh) // s + 1, (x.shape[-1] - kw) // t + 1
        i, j, a, b = np.ogrid[:kh, :kw, :oh, :ow]
        return x[..., i + s * a, j + t * b]

    def fold(x: Any, size: Any, stride: Any) -> Any:
        images = jax.ShapeDtypeStruct((*x.shape[:-4], *size), x.dtype)
        there = jax.linear_transpose(lambda y: cut(y, x.shape[-4:-2], stride), images)
        return there(x)[0]

    def pad(x: Any, by: Any) -> Any:
        return np_.pad(x, [(0, 0)] * (x.ndim - 2) + [(n, n) for n in by])

    return OPERATORS | {
        **{name: getattr(np_, name) for name in same.split()},
        **{name: getattr(nn, name) for name in of_networks.split()},
        "atan": np_.arctan,
        "log": lambda x: np_.log(x * x + 0.5),
        "sqrt": lambda x: np_.sqrt(x * x + 0.5),
        "where": lambda x, y, phase: np_.where(mask(x, y, phase), x, y),
        **{n: reduced(getattr(np_, n)) for n in ("sum", "mean", "max", "min")},
        "logsumexp": reduced(nn.logsumexp),
        "cross_entropy": entropy,
        "mean_squared_error": lambda x, y: np_.mean((x - y) ** 2),
        "permute": np_.transpose,
        "getitem": lambda x, parts: x[key(parts)],
        "take": lambda x, indices, axis: np_.take(x, np.array(indices), axis),
        "linear": lambda x, w, b: x @ w + b,
        "concat": lambda x, y, axis: np_.concatenate([x, y], axis),
        "stack": lambda x, y, axis: np_.stack([x, y], axis),
        "layer_norm": norm,
        "attention": attend,
        "conv2d": convolve,
        "windows": cut,
        "fold": fold,
        "pad2d": pad,
        "max_pool2d": lambda *xs: cut(*xs).max((-4, -3)),
        "avg_pool2d": lambda *xs: cut(*xs).mean((-4, -3)),
    }


# --- how a program is run and differentiated


def total(program: Program, leaves: Sequence[Any], rules: Rules, make: Any) -> Any:
    """Return one bounded number that every node has a part in."""
    nodes = program.run(leaves, rules)
    return _sum(
        (rules["tanh"](v) * make(weights(v.shape, 1.0 + i))).sum()
        for i, v in enumerate(nodes)
    )


def _sum(terms: Any) -> Any:
    first, *rest = terms
    return sum(rest, first)


def _along(gradient: Sequence[Any], program: Program, make: Any) -> Any:
    """Return the slope along the directions of a program."""
    moves = map(make, program.directions())
    return _sum((g * v).sum() for g, v in zip(gradient, moves, strict=True))


NUMPY = Library("numpy", np.array)


def by_us(program: Program) -> Numbers:
    """Return value, gradient, and the gradient of a slope."""
    rules, leaves = ours(), program.leaves(NUMPY)
    everywhere = tuple(range(len(leaves)))

    def f(*xs: Any) -> Any:
        return total(program, xs, rules, np.asarray)

    def slope(*xs: Any) -> Any:
        return _along(grad(f, everywhere)(*xs), program, np.asarray)

    value, gradient = value_and_grad(f, everywhere)(*leaves)
    return [value, *gradient, *grad(slope, everywhere)(*leaves)]


def compiled(program: Program) -> Numbers:
    """Return the same, by code that `jit_arrays` wrote."""
    rules, leaves = ours(), program.leaves(NUMPY)
    everywhere = tuple(range(len(leaves)))

    def f(*xs: Any) -> Any:
        return total(program, xs, rules, np.asarray)

    def all_of_it(*xs: Any) -> Any:
        bends = hvp(f, xs, program.directions())
        return value_and_grad(f, everywhere)(*xs), bends

    (value, gradient), bends = jit_arrays(all_of_it)(*leaves)
    return [value, *gradient, *(bends if len(leaves) > 1 else (bends,))]


def by_torch(program: Program, library: Library) -> Numbers:
    torch, make = import_module("torch"), library.array
    leaves = [x.requires_grad_() for x in program.leaves(library)]
    y = total(program, leaves, of_torch(), make)
    gradient = torch.autograd.grad(y, leaves, create_graph=True)
    along = _along(gradient, program, make)
    bends = torch.autograd.grad(along, leaves, materialize_grads=True)
    return [part.detach().numpy() for part in (y, *gradient, *bends)]


def by_jax(program: Program, library: Library) -> Numbers:
    jax, rules = import_module("jax"), of_jax()
    leaves = tuple(program.leaves(library))
    moves = tuple(map(library.array, program.directions()))

    def f(*xs: Any) -> Any:
        return total(program, xs, rules, library.array)

    def all_of_it(xs: Any) -> Any:
        slopes = jax.grad(f, tuple(range(len(xs))))
        return f(*xs), *jax.jvp(slopes, xs, moves)

    value, gradient, bends = jax.jit(all_of_it)(leaves)
    return [np.asarray(part) for part in (value, *gradient, *bends)]


RUNS = {"as it is": by_us, "compiled": compiled}
JUDGES = {"torch": by_torch, "jax": by_jax}

# --- how far apart

BOUND = 1e-10  # in units of the larger of 1 and the number


def apart(found: Any, expected: Any) -> float:
    """Return the largest difference, in units of the larger of 1 and the number.

    Another shape, or a number that is not finite, is infinitely far.
    """
    found = np.asarray(found)
    if found.shape != expected.shape or not (
        np.isfinite(found).all() and np.isfinite(expected).all()
    ):
        return np.inf
    errors = np.abs(found - expected) / np.maximum(1, np.abs(expected))
    return float(np.max(errors, initial=0))


@dataclass
class Tally:
    """What came out for one judge and one way to run, over many programs."""

    programs: int = 0
    operations: set[str] = field(default_factory=set)
    numbers: int = 0
    worst: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    beyond: list[int] = field(default_factory=list)

    def add(self, seed: int, found: Numbers, expected: Numbers) -> None:
        program = drawn(seed)
        errors = orders(found, expected)
        self.programs += 1
        self.operations |= {step.name for step in program.steps}
        self.numbers += sum(part.size for part in expected)
        self.worst = list(map(max, self.worst, errors))
        self.beyond += [seed] * (max(errors) > BOUND)


def orders(found: Numbers, expected: Numbers) -> list[float]:
    """Return how far value, gradient and second derivatives are off."""
    errors = [apart(*pair) for pair in zip(found, expected, strict=True)]
    leaves = len(errors) // 2
    return [errors[0], max(errors[1 : 1 + leaves]), max(errors[1 + leaves :])]


@contextmanager
def judge(name: str) -> Iterator[Callable[[int], Numbers]]:
    """Give what a judge says of the program of a seed, JAX with 64 bits."""
    with opened(name) as library:
        yield cache(lambda seed: JUDGES[name](drawn(seed), library))


def compare(name: str, seeds: Sequence[int]) -> dict[str, Tally]:
    """Return what came out when we and a judge ran the programs of the seeds."""
    tallies: dict[str, Tally] = defaultdict(Tally)
    with judge(name) as expected:
        for seed in seeds:
            for way, run in RUNS.items():
                tallies[way].add(seed, run(drawn(seed)), expected(seed))
    return dict(tallies)


# --- the long measurement

PROGRAMS = {"torch": 2_000, "jax": 150}  # JAX compiles each of them


def measure() -> str:
    """Return the table of both judges, and what was in the programs."""
    head = ["Judge", "we run it", "programs", "operations", "numbers"]
    head += ["value", "gradient", "Hessian times vector", "beyond"]
    rows = []
    for name, count in PROGRAMS.items():
        for way, tally in compare(name, range(count)).items():
            counts = tally.programs, len(tally.operations), tally.numbers
            rows.append(
                [TITLES[name], way]
                + [f"{n:,}" for n in counts]
                + [f"{error:.1e}" for error in tally.worst]
                + [f"{len(tally.beyond)}"]
            )
    return "\n\n".join(
        [
            circumstances("torch", "jax", "numpy") + ".",
            "The largest difference, in units of the larger of 1 and the number, and "
            f"the programs with a difference beyond ${_power(BOUND)}$.",
            table(head, rows),
            _contents(range(max(PROGRAMS.values()))),
        ]
    )


def _power(number: float) -> str:
    return f"10^{{{int(f'{number:e}'.split('e')[1])}}}"


def _contents(seeds: Sequence[int]) -> str:
    """Return what the programs had in them, in a sentence or two."""
    programs = list(map(drawn, seeds))
    of_nothing = sum(any(0 in s for s in p.shapes) for p in programs)
    laid = sum(any(not x.flags.c_contiguous for x in p.leaves(NUMPY)) for p in programs)
    names = ", ".join(f"`{name}`" for name in NAMES)
    return (
        f"Of the {len(programs):,} programs, {of_nothing:,} have a leaf without any "
        f"number, and {laid:,} one that does not lie in memory row by row.\n"
        f"The {len(NAMES)} operations: {names}."
    )
