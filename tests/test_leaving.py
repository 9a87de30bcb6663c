"""One model in three engines: the same outputs, loss and gradients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.elsewhere import (
    ENGINES,
    LEAVING,
    Found,
    distances,
    in_prosegrad,
    model,
    torch_twin,
)
from tests.records import BEGIN, END


@pytest.mark.parametrize("rows", [1, 32])
@pytest.mark.parametrize("sizes", [(4, 3), (8, 16, 16, 3), (5, 5, 5, 5, 5)])
@pytest.mark.parametrize("name", ENGINES)
def test_same_numbers(name: str, sizes: tuple[int, ...], rows: int) -> None:
    """Logits, loss and gradients agree to twelve digits of the largest."""
    pytest.importorskip(name, reason=f"{name} is not installed")
    m = model(sizes, rows)
    found = distances(ENGINES[name](m), in_prosegrad(m))

    assert max(found) < 1e-12, found


def test_transposed() -> None:
    """A square matrix that is not transposed is far off, and no error."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    m = model((5, 5, 5))
    turned = replace(m, weights=[(w.T, b) for w, b in m.weights])
    logits = torch_twin(turned)(torch.asarray(m.x)).detach().numpy()
    ours = in_prosegrad(m)

    assert distances(replace(ours, logits=logits), ours)[0] > 0.1


def test_our_side() -> None:
    """The numbers that the others are compared with are those of the formulas."""
    m = model((4, 3), 6)
    found = in_prosegrad(m)
    (w, b) = m.weights[0]
    logits = m.x @ w + b
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    wrong = (shares - np.eye(3)[m.classes]) / 6
    expected = Found(
        logits,
        float(-np.log(shares[np.arange(6), m.classes]).mean()),
        [m.x.T @ wrong, wrong.sum(axis=0)],
    )

    assert max(distances(found, expected)) < 1e-14


def test_record() -> None:
    """The page has what the command measured, for each of the engines."""
    text = LEAVING.read_text("utf-8")
    record = text.partition(BEGIN)[2].partition(END)[0]

    assert "Measured on" in record
    assert record.count("\n| ") == 1 + len(ENGINES)
