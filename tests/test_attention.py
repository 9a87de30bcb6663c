"""Attention and the small GPT: against PyTorch, by nudges, and who sees whom."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prosegrad import grad, losses, topological_order
from prosegrad.attention import (
    GPT,
    Block,
    SelfAttention,
    attention,
    causal_mask,
    join_heads,
    split_heads,
)
from prosegrad.tensor import Tensor

cross_entropy: Any = losses.cross_entropy


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def normal(*shape: int, seed: int = 0) -> Any:
    return seeded(seed).normal(size=shape)


def torch() -> Any:
    try:
        return importlib.import_module("torch")
    except ImportError:
        pytest.skip("torch is not installed")


def close(actual: Any, expected: Any, rtol: float = 1e-9) -> None:
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=1e-12)


# --- attention


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
@pytest.mark.parametrize("masked", ["no", "causal", "random"])
def test_attention_is_that_of_pytorch(batch: tuple[int, ...], masked: str) -> None:
    peer = torch()
    shapes = ((*batch, 4, 2), (*batch, 5, 2), (*batch, 5, 3))
    data = [normal(*shape, seed=i) for i, shape in enumerate(shapes)]
    masks = {
        "no": None,
        "causal": np.tri(4, 5, dtype=bool),
        "random": (seeded(5).random((*batch, 4, 5)) < 0.5) | np.eye(4, 5, dtype=bool),
    }
    mask = masks[masked]
    ours = [Tensor(d) for d in data]
    theirs = [peer.tensor(d, requires_grad=True) for d in data]

    result = attention(ours[0], ours[1], ours[2], mask)
    expected = peer.nn.functional.scaled_dot_product_attention(
        *theirs, attn_mask=None if mask is None else peer.tensor(mask)
    )
    factor = normal(*result.shape, seed=9)
    (result * factor).sum().backward()
    (expected * peer.tensor(factor)).sum().backward()

    close(result.data, expected.detach())
    for mine, other in zip(ours, theirs, strict=True):
        close(mine.grad, other.grad)


def test_attention_is_a_mean_of_the_values() -> None:
    q, k = normal(4, 2) * 100, normal(6, 2, seed=1) * 100
    ones = attention(q, k, np.ones((6, 3)))

    close(ones.data, 1.0)
    close(attention(q * 0, k, k).data, np.broadcast_to(k.mean(0), (4, 2)))


def test_attention_has_a_second_derivative() -> None:
    q, k, v = normal(3, 3, 2)
    direction = normal(3, 2, seed=5)

    def loss(q: Any) -> Any:
        return (attention(q, k, v, causal_mask(3)) ** 2).sum()

    def slope(q: Any) -> Any:
        return (grad(loss)(q) * direction).sum()

    second, h = grad(slope)(q), 1e-5
    for i in np.ndindex(3, 2):
        step = np.zeros((3, 2))
        step[i] = h
        nudged = (slope(q + step) - slope(q - step)) / (2 * h)
        assert second[i] == pytest.approx(nudged, abs=1e-7)


def test_few_nodes() -> None:
    q, k, v = (Tensor(x) for x in normal(3, 4, 2))
    nodes = topological_order(attention(q, k, v, causal_mask(4)))

    assert [n._op for n in nodes if n._parents].count("@") == 2
    assert sum(1 for n in nodes if n._parents) == 6


def test_precision_is_kept() -> None:
    q, k, v = (Tensor(x.astype(np.float32)) for x in normal(3, 4, 2))
    result = attention(q, k, v, causal_mask(4))
    result.sum().backward()

    assert result.dtype == q.grad.dtype == np.float32


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.integers(1, 3), max_size=2),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 3),
)
def test_heads_are_split_and_joined(
    batch: list[int], n: int, heads: int, d: int
) -> None:
    x = Tensor(normal(*batch, n, 3 * heads * d))
    parts = split_heads(x, 3, heads)

    assert parts.shape == (3, *batch, heads, n, d)
    for i in range(3):
        expected = x.data[..., i * heads * d : (i + 1) * heads * d]
        assert (join_heads(parts[i]).data == expected).all()


# --- who sees whom


@settings(deadline=None, max_examples=10)
@given(st.integers(1, 6), st.integers(0, 5), st.integers(0, 100))
def test_what_comes_later_changes_nothing(n: int, place: int, seed: int) -> None:
    place = place % n
    layer = Block(4, 2, rng=seeded(seed))
    x = Tensor(normal(n, 4, seed=seed))
    later = x.data.copy()
    later[place] += 10.0

    close(layer(later).data[:place], layer(x).data[:place])
    layer(x)[: place + 1].sum(0)[0].backward()
    assert not x.grad[place + 1 :].any()
    assert x.grad[: place + 1].any()


@settings(deadline=None, max_examples=10)
@given(st.permutations(range(5)))
def test_without_positions_the_order_is_nothing(order: list[int]) -> None:
    layer = SelfAttention(4, 2, causal=False, rng=seeded())
    x = normal(2, 5, 4)

    close(layer(x[:, order]).data, layer(x).data[:, order])


def test_texts_of_a_batch_do_not_meet() -> None:
    model = GPT(5, 4, 8, 2, 2, rng=seeded())
    texts = np.array([[0, 1, 2, 3], [4, 4, 0, 1]])

    close(model(texts).data, np.stack([model(text).data for text in texts]))
    assert not np.allclose(model([0, 1]).data, model([1, 0]).data)


# --- the model


def test_all_gradients_of_a_gpt_agree_with_a_nudge() -> None:
    model = GPT(5, 4, 6, 3, 2, rng=seeded())
    texts = seeded(1).integers(0, 5, (3, 5))

    def loss() -> Any:
        return cross_entropy(model(texts[:, :-1]), texts[:, 1:])

    loss().backward()
    state, h = model.state(), 1e-6
    for name, parameter in model.named_parameters():
        direction = normal(*parameter.data.shape, seed=3)
        slope, results = (parameter.grad * direction).sum(), []
        for step in (h, -h):
            parameter.data = state[name] + step * direction
            results.append(float(loss().data))
        parameter.data = state[name]
        nudged = (results[0] - results[1]) / (2 * h)
        assert slope == pytest.approx(nudged, rel=1e-5, abs=1e-8), name


@pytest.mark.parametrize("library", ["torch", "jax.numpy"])
def test_attention_runs_on_another_library(library: str) -> None:
    try:
        module: Any = importlib.import_module(library)
    except ImportError:
        pytest.skip(f"{library} is not installed")
    asarray: Callable[[Any], Any] = module.asarray
    layer = SelfAttention(4, 2, rng=seeded(), dtype=np.float32)
    x = np.float32(normal(3, 4))
    (layer(x) ** 2).sum().backward()
    expected = {name: p.grad for name, p in layer.named_parameters()}

    layer.load_state({name: asarray(a) for name, a in layer.state().items()})
    (layer(asarray(x)) ** 2).sum().backward()

    for name, parameter in layer.named_parameters():
        assert type(parameter.grad) is type(asarray([1.0]))
        np.testing.assert_allclose(parameter.grad, expected[name], rtol=1e-3, atol=1e-5)


def test_names_sizes_and_seeds() -> None:
    model, again = (GPT(5, 4, 6, 3, 2, rng=seeded(7)) for _ in range(2))
    names = [name for name, _ in model.named_parameters()]
    state = again.state()

    assert names[:6] == [
        "tokens.weight",
        "positions.weight",
        "blocks.0.norm1.weight",
        "blocks.0.norm1.bias",
        "blocks.0.attention.qkv.weight",
        "blocks.0.attention.qkv.bias",
    ]
    assert names[-3:] == ["norm.weight", "norm.bias", "out.weight"]
    assert len(set(names)) == len(names) == 2 + 2 * 12 + 3
    for name, array in model.state().items():
        assert (array == state[name]).all()
    assert (
        repr(model) == f"GPT({(2 * 5 + 4 + 2) * 6 + 2 * (12 * 36 + 13 * 6)} parameters)"
    )
    short = GPT(5, 4, 6, 3, 2, rng=seeded(7), dtype=np.float32)
    assert {p.data.dtype for p in short.parameters()} == {np.dtype(np.float32)}
    assert short([0, 1]).dtype == np.float32
    a, b = model.blocks
    assert (a.mlp.layers[0].weight.data != b.mlp.layers[0].weight.data).any()


def test_a_block_adds() -> None:
    block = Block(4, 2, rng=seeded())
    x = normal(3, 4)
    for layer in (block.attention.out, block.mlp.layers[-1]):
        layer.weight.data = np.zeros(layer.weight.shape)

    assert (block(x).data == x).all()


# --- what is refused

Q = np.ones((3, 2))


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (lambda: attention(Q, np.ones((3, 3)), Q), ValueError, r"\(3, 2\), \(3, 3\)"),
        (lambda: attention(Q, Q, np.ones((4, 2))), ValueError, r"and \(4, 2\)"),
        (lambda: attention(Q[0], Q, Q), ValueError, r"attention: shapes \(2,\)"),
        (lambda: attention(Q[:, :0], Q[:, :0], Q), ValueError, r"\(3, 0\)"),
        (lambda: attention(Q, Q, Q, np.tri(3)), TypeError, "float64, not bool"),
        (lambda: attention(Q, Q, Q, np.tri(3, k=-1, dtype=bool)), ValueError, "no key"),
        (lambda: attention(Q, Q, Q, causal_mask(2)), ValueError, r"\(2, 2\)"),
        (lambda: SelfAttention(4, 3), ValueError, "4 features .* 3 heads"),
        (lambda: SelfAttention(0, 1), ValueError, "n_features is 0"),
        (lambda: SelfAttention(4, 0), ValueError, "n_heads is 0"),
        (lambda: SelfAttention(4, 2)(Q), ValueError, r"\(3, 2\) and \(4, 12\)"),
        (lambda: GPT(5, 2, 4, 2, 1)([0, 1, 2]), ValueError, r"\(3,\).* 2 positions"),
        (lambda: GPT(5, 2, 4, 2, 1)(np.zeros((3, 0), int)), ValueError, r"\(3, 0\)"),
        (lambda: SelfAttention(2, 1)(Q[0]), ValueError, r"tokens of shape \(2,\)"),
        (lambda: GPT(5, 2, 4, 2, 1)([0, 5]), ValueError, "from 0 to 5"),
        (lambda: GPT(5, 0, 4, 2, 1), ValueError, "n_entries is 0"),
        (lambda: GPT(5, 2, 4, 2, 1)(3), ValueError, r"GPT: tokens of shape \(\)"),
    ],
)
def test_what_is_refused(action: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        action()
