"""One function on arrays of every library, wherever they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from prosegrad import cross_entropy, grad, value_and_grad
from prosegrad.tensor import Tensor, concat, linear
from tests.elsewhere import DEVICES, LAZY, on_dask, program, run

Function = Callable[..., Any]

ROWS, FEATURES, CLASSES = 12, 5, 3
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, FEATURES))
W = RNG.normal(size=(FEATURES, CLASSES))
B = RNG.normal(size=CLASSES)
TARGETS = RNG.integers(0, CLASSES, ROWS)
RIGHT = np.eye(CLASSES)[TARGETS]

# Each takes (w, b, x) and returns one number.
FUNCTIONS: dict[str, Function] = {
    "network": lambda w, b, x: linear(x, w, b).relu().sum(),
    "softmax": lambda w, b, x: ((x @ w + b).softmax() ** 2).sum(),
    "logsumexp": lambda w, b, x: linear(x, w, b).logsumexp(axis=-1).mean(),
    "cross entropy": lambda w, b, x: cross_entropy(linear(x, w, b), TARGETS),
    "activations": lambda w, b, x: (
        linear(x, w, b).tanh().gelu() + b.sigmoid() * b.softplus()
    ).sum(),
    "largest": lambda w, b, x: linear(x, w, b).max(axis=-1).sum() + b.min(),
    "clipped": lambda w, b, x: linear(x, w, b).maximum(0.1).minimum(2.0).sum(),
    "where": lambda w, b, x: Tensor.where(w > 0, w * 2.0, w * b).sum(),
    "parts": lambda w, b, x: (w[1:, :2] * w[[0, 0, 2, 3], 1:]).sum() + b[0],
    "shapes": lambda w, b, x: (
        concat([w.mT.reshape(-1), b], axis=0).broadcast_to((2, 18)) ** 2
    ).sum(),
    "powers": lambda w, b, x: (1.0 / (abs(w) + 1.0) ** 0.5 - 2.0**b).mean(),
}


def of_numpy(f: Function) -> tuple[Any, Any]:
    value, gradients = value_and_grad(f, (0, 1))(W, B, X)
    return value, gradients


def close(found: Any, expected: Any) -> bool:
    pairs = zip(found, expected, strict=True)
    return all(np.allclose(np.asarray(a), b, rtol=1e-12, atol=1e-13) for a, b in pairs)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_torch(name: str) -> None:
    """The gradients on PyTorch's arrays are those on NumPy's."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    arrays = [torch.asarray(a) for a in (W, B, X)]
    found = value_and_grad(FUNCTIONS[name], (0, 1))(*arrays)[1]

    assert {type(g) for g in found} == {torch.Tensor}
    assert close(found, of_numpy(FUNCTIONS[name])[1])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_jax(name: str) -> None:
    """The gradients on JAX's arrays are those on NumPy's."""
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    with jax.enable_x64(True):
        arrays = [jax.numpy.asarray(a) for a in (W, B, X)]
        found = value_and_grad(FUNCTIONS[name], (0, 1))(*arrays)[1]

    assert all(isinstance(g, jax.Array) for g in found)
    assert close(found, of_numpy(FUNCTIONS[name])[1])


@pytest.mark.parametrize("name", ["network", "logsumexp", "where", "parts"])
def test_jax_compiled(name: str) -> None:
    """JAX compiles our walk back like any function of arrays."""
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    with jax.enable_x64(True):
        found = jax.jit(grad(FUNCTIONS[name], (0, 1)))(W, B, X)

    assert close(found, of_numpy(FUNCTIONS[name])[1])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_rule_leaves_the_device(name: str) -> None:
    """On a device whose arrays have no numbers, no rule asks for one.

    It is not the main memory, so an array that a rule makes there is an error.
    """
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    arrays = [torch.asarray(a, device="meta") for a in (W, B, X)]
    value, found = value_and_grad(FUNCTIONS[name], (0, 1))(*arrays)

    assert value.device.type == "meta"
    assert [g.device.type for g in found] == ["meta"] * 2
    assert [tuple(g.shape) for g in found] == [W.shape, B.shape]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_graphics_card(name: str) -> None:
    """On a graphics card the gradients are NumPy's, and stay there."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    if not torch.cuda.is_available():
        pytest.skip("there is no graphics card")
    arrays = [torch.asarray(a, device="cuda") for a in (W, B, X)]
    found = value_and_grad(FUNCTIONS[name], (0, 1))(*arrays)[1]

    assert [g.device.type for g in found] == ["cuda"] * 2
    assert close([g.cpu() for g in found], of_numpy(FUNCTIONS[name])[1])


def test_four_devices() -> None:
    """The page's program runs: spread arrays, compiled and not, and one device."""
    pytest.importorskip("jax", reason="JAX is not installed")
    printed = dict(line.split(": ", 1) for line in run(program()).splitlines())

    assert printed["batch"] == "4 devices, parts {(8, 8)}"
    assert printed["first gradient"] == "4 devices, parts {(8, 16)}"
    assert printed["on one device"] == "{'cpu:2'}"
    for what, found in printed.items():
        if what != "all-reduces, compiled":  # may be another number in another JAX
            assert f"| {what} | `{found}` |" in DEVICES.read_text("utf-8")


def test_parts_of_a_batch() -> None:
    """The gradient of a batch is the mean of those of its parts, on NumPy alone."""
    f = FUNCTIONS["logsumexp"]
    parts = [grad(f, (0, 1))(W, B, x) for x in np.split(X, 4)]
    mean = [sum(gs) / 4 for gs in zip(*parts, strict=True)]

    assert close(mean, of_numpy(f)[1])


@pytest.mark.parametrize("name", [n for n in LAZY if "parts" not in n][:-1])
def test_dask(name: str) -> None:
    """Elementwise functions and sums have gradients on Dask's blocks."""
    pytest.importorskip("dask.array", reason="Dask is not installed")

    assert on_dask(LAZY[name], np.random.default_rng(0).normal(size=(32, 8)))
