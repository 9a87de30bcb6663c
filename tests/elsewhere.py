"""`python -m tests.elsewhere`: run what needs PyTorch and JAX, put it on its page.

The pages `tensors/devices.md` and `tensors/leaving.md` run without these two, and
show what came out where they are. The same programs are the tests'.
"""

from __future__ import annotations

import argparse
import ast
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from prosegrad import cross_entropy, value_and_grad
from prosegrad.tensor import Tensor, linear
from tests.book.pages import parse
from tests.records import circumstances, put_on_page

ROOT = Path(__file__).parents[1]
DEVICES = ROOT / "docs/tensors/devices.md"
LEAVING = ROOT / "docs/tensors/leaving.md"

# --- leaving: one model, three engines


@dataclass(frozen=True)
class Model:
    """A multilayer perceptron, its data, and nothing of any engine.

    Attributes:
        weights: Pairs of an array (inputs, outputs) and one (outputs,).
        x: An array (examples, inputs).
        classes: The right class of each example.
    """

    weights: list[tuple[Any, Any]]
    x: Any
    classes: Any


@dataclass(frozen=True)
class Found:
    """What an engine makes of a model, in arrays of NumPy and in our shapes."""

    logits: Any
    loss: float
    gradients: list[Any]


def model(sizes: Sequence[int] = (8, 16, 16, 3), rows: int = 32) -> Model:
    """Return a model with random weights, the same each time."""
    rng = np.random.default_rng(0)
    weights = [
        (rng.normal(0, n**-0.5, (n, m)), rng.normal(size=m)) for n, m in pairwise(sizes)
    ]
    return Model(
        weights,
        rng.normal(size=(rows, sizes[0])),
        rng.integers(0, sizes[-1], rows),
    )


def _forward(weights: Any, x: Any) -> Any:
    *hidden, last = weights
    for w, b in hidden:
        x = linear(x, w, b).relu()
    return linear(x, *last)


def in_prosegrad(m: Model) -> Found:
    loss, gradients = value_and_grad(
        lambda weights: cross_entropy(_forward(weights, m.x), m.classes)
    )(m.weights)
    logits = _forward(m.weights, m.x).data
    return Found(logits, float(loss), [g for pair in gradients for g in pair])


def torch_twin(m: Model) -> Any:
    """Return the model as a Module: its matrices are (outputs, inputs)."""
    torch = import_module("torch")
    layers: list[Any] = []
    for w, b in m.weights:
        layer = torch.nn.Linear(*w.shape, dtype=torch.float64)
        with torch.no_grad():
            layer.weight.copy_(torch.asarray(w.T))
            layer.bias.copy_(torch.asarray(b))
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def in_torch(m: Model) -> Found:
    torch = import_module("torch")
    twin = torch_twin(m)
    logits = twin(torch.asarray(m.x))
    loss = torch.nn.functional.cross_entropy(logits, torch.asarray(m.classes))
    loss.backward()
    gradients = [p.grad.numpy().T for p in twin.parameters()]
    return Found(logits.detach().numpy(), loss.item(), gradients)


def in_jax(m: Model) -> Found:
    jax = import_module("jax")

    def forward(weights: Any, x: Any) -> Any:
        *hidden, (w, b) = weights
        for u, c in hidden:
            x = jax.nn.relu(x @ u + c)
        return x @ w + b

    def loss(weights: Any) -> Any:
        shares = jax.nn.log_softmax(forward(weights, m.x))
        return -shares[np.arange(len(m.classes)), m.classes].mean()

    with jax.enable_x64(True):
        weights = jax.tree.map(jax.numpy.asarray, m.weights)
        value, gradients = jax.jit(jax.value_and_grad(loss))(weights)
        logits = forward(weights, m.x)
        leaves = [np.asarray(g) for g in jax.tree.leaves(gradients)]
        return Found(np.asarray(logits), float(value), leaves)


ENGINES: dict[str, Callable[[Model], Found]] = {"torch": in_torch, "jax": in_jax}
TITLES = {"torch": "PyTorch", "jax": "JAX, `jit`"}


def distance(found: Any, expected: Any) -> float:
    """Return the largest difference, by the largest number."""
    scale = np.max(np.abs(expected))
    return float(np.max(np.abs(np.asarray(found) - expected)) / scale)


def distances(found: Found, expected: Found) -> list[float]:
    """Return how far logits, loss, and the worst of the gradients are away."""
    pairs = zip(found.gradients, expected.gradients, strict=True)
    return [
        distance(found.logits, expected.logits),
        distance(found.loss, expected.loss),
        max(distance(a, b) for a, b in pairs),
    ]


def measure_leaving() -> str:
    m = model()
    ours = in_prosegrad(m)
    lines = ["| | logits | loss | gradients |", "|:---|---:|---:|---:|"]
    for name, engine in ENGINES.items():
        cells = [f"{d:.0e}" if d else "0" for d in distances(engine(m), ours)]
        lines.append(f"| {TITLES[name]} | {' | '.join(cells)} |")
    head = f"{circumstances('torch', 'jax')}. The largest difference from ours, "
    return head + "by the largest number:\n\n" + "\n".join(lines)


# --- devices: the page's program, in a process of its own


def program() -> str:
    """Return the program of four devices, as the page has it."""
    for fence in parse(DEVICES).fences:
        for node in ast.parse(fence.source).body:
            if not isinstance(node, ast.Assign):
                continue
            if [ast.unparse(target) for target in node.targets] == ["program"]:
                return str(ast.literal_eval(node.value))
    raise LookupError(f"{DEVICES}: there is no `program`")


def run(source: str) -> str:
    """Return what a program prints on four devices of JAX, or raise."""
    flags = "--xla_force_host_platform_device_count=4"
    path = os.pathsep.join([str(ROOT / "src"), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", source],
        env=os.environ | {"XLA_FLAGS": flags, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


# What was asked of Dask's arrays, each a function whose gradient is wanted.
LAZY: dict[str, Callable[[Any], Any]] = {
    "`tanh`": lambda x: x.tanh().sum(),
    "`sigmoid`": lambda x: x.sigmoid().sum(),
    "`relu`": lambda x: x.relu().sum(),
    "`where`": lambda x: Tensor.where(x > 0, x, x * x).sum(),
    "sums": lambda x: (x.sum(axis=1) ** 2).mean(),
    "`max`": lambda x: x.max(axis=1).sum(),
    "`softmax`": lambda x: (x.softmax() * x).sum(),
    "`logsumexp`": lambda x: x.logsumexp(axis=-1).sum(),
    "`permute_dims`": lambda x: (x.permute_dims((1, 0)) * 2.0).sum(),
    "products of matrices": lambda x: (x.mT @ x).sum(),
    "parts, `x[:, 1:3]`": lambda x: (x[:, 1:3] ** 2).sum(),
}


def on_dask(f: Callable[[Any], Any], x: Any) -> bool:
    """Tell whether a gradient on an array in four blocks is that of NumPy."""
    dask = import_module("dask.array")
    expected = value_and_grad(f)(x)[1]
    try:
        found = value_and_grad(f)(dask.from_array(x, chunks=(8, 8)))[1]
    except (AttributeError, NotImplementedError, TypeError):
        return False
    if not isinstance(found, dask.Array):
        return False
    return bool(np.allclose(found.compute(), expected, rtol=1e-12, atol=1e-12))


def measure_dask() -> str:
    x = np.random.default_rng(0).normal(size=(32, 8))
    right = [name for name, f in LAZY.items() if on_dask(f, x)]
    wrong = [name for name in LAZY if name not in right]
    return (
        f"{circumstances('dask')}. The gradient is NumPy's, and lazy: "
        f"{', '.join(right)}. No gradient: {', '.join(wrong) or 'none'}."
    )


def measure_devices() -> str:
    lines = [line.partition(": ") for line in run(program()).splitlines()]
    rows = [f"| {what} | `{found}` |" for what, _, found in lines]
    return "\n".join([f"{circumstances('jax')}.\n", "| | |", "|:---|:---|", *rows])


MEASUREMENTS = {
    "leaving": (LEAVING, measure_leaving, ""),
    "devices": (DEVICES, measure_devices, "devices"),
    "dask": (DEVICES, measure_dask, "dask"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.elsewhere", description=__doc__
    )
    parser.add_argument("what", choices=MEASUREMENTS)
    parser.add_argument("--write", action="store_true", help="update the page")
    options = parser.parse_args()
    page, measure, name = MEASUREMENTS[options.what]
    text = measure()
    print(text)
    if options.write:
        put_on_page(page, text, name)


if __name__ == "__main__":
    main()
