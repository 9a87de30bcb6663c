"""Attention, and the network of GPT-2 that is made of it.

Everything is composed from operations of Tensor; there is no rule
here. Arrays end in the axes (tokens, features), and whatever stands
before them is a batch.
"""

import math
from typing import Any

import numpy as np

from prosegrad import tensor
from prosegrad.arrays import (
    Array,
    Shape,
    array_of,
    constant_like,
    shape_of,
)
from prosegrad.layers import (
    Embedding,
    FeedForward,
    LayerNorm,
    Linear,
    Rng,
    _check_sizes,
)
from prosegrad.module import Module
from prosegrad.tensor import Tensor, matmul


def attention(q: Array, k: Array, v: Array, mask: Any = None) -> Tensor:
    """Return for each query a mean of the values.

    A value's share is the softmax of its key's product with the
    query, over the root of its length (Vaswani et al. 2017).

    Args:
        q: Queries `(…, n, d)`.
        k: Keys `(…, m, d)`.
        v: Values `(…, m, f)`, one for each key.
        mask: Which query may look at which key, bools `(…, n, m)`.
            All may look at all by default.

    Returns:
        An array `(…, n, f)`.

    Raises:
        ValueError: The shapes do not fit, or a query may look at
            nothing.
        TypeError: The mask is not of bools.
    """
    _check_heads(shape_of(q), shape_of(k), shape_of(v))
    scores = matmul(q * (1 / math.sqrt(shape_of(q)[-1])), k.mT)
    if mask is not None:
        scores = scores + _hiding(mask, scores)
    return matmul(scores.softmax(-1), v)


def _check_heads(q: Shape, k: Shape, v: Shape) -> None:
    fit = min(len(q), len(k), len(v)) > 1 and q[-1] == k[-1] > 0
    if not fit or k[-2] != v[-2]:
        raise ValueError(
            f"attention: shapes {q}, {k} and {v} do not fit; queries "
            "are (…, n, d), keys (…, m, d) and values (…, m, f)"
        )


def _hiding(mask: Any, scores: Tensor) -> Array:
    """Return what to add to scores: 0, and minus infinity."""
    seen = np.asarray(mask)
    if seen.dtype != bool:
        raise TypeError(f"attention: a mask of {seen.dtype}, not bool")
    if not seen.any(axis=-1).all():
        raise ValueError("attention: a query may look at no key")
    hidden = np.where(seen, 0.0, -np.inf)
    return constant_like(hidden, tensor._plain(scores))


def causal_mask(n: int) -> Any:
    """Return which of n tokens may look at which: not ahead.

    Returns:
        Bools `(n, n)`; row `i` is True up to column `i`.
    """
    return np.tri(n, dtype=bool)


def split_heads(x: Tensor, n_parts: int, n_heads: int) -> Tensor:
    """Return parts and heads as axes of their own.

    Args:
        x: A Tensor `(…, n, n_parts * n_heads * d)`.
        n_parts: How many arrays stand side by side.
        n_heads: How many heads each of them has.

    Returns:
        A Tensor `(n_parts, …, n_heads, n, d)`.
    """
    *batch, n, width = x.shape
    d, b = width // (n_parts * n_heads), len(batch)
    apart = x.reshape(*batch, n, n_parts, n_heads, d)
    return apart.permute_dims([b + 1, *range(b), b + 2, b, b + 3])


def join_heads(x: Tensor) -> Tensor:
    """Return `(…, n, n_heads * d)` for `(…, n_heads, n, d)`."""
    *batch, n_heads, n, d = x.shape
    b = len(batch)
    turned = x.permute_dims([*range(b), b + 1, b, b + 2])
    return turned.reshape(*batch, n, n_heads * d)


class SelfAttention(Module):
    """Tokens that look at each other, with several heads.

    Args:
        n_features: How many numbers a token has.
        n_heads: How many heads share them.
        causal: Whether a token looks only at itself and back.
        rng: Where the weights come from.
        dtype: Of the parameters.

    Raises:
        ValueError: A size below 1, or heads that do not divide the
            features.
    """

    def __init__(
        self,
        n_features: int,
        n_heads: int,
        causal: bool = True,
        *,
        rng: Rng = None,
        dtype: Any = np.float64,
    ) -> None:
        _check_sizes(
            "SelfAttention", n_features=n_features, n_heads=n_heads
        )
        if n_features % n_heads:
            raise ValueError(
                f"SelfAttention: {n_features} features cannot be "
                f"shared by {n_heads} heads"
            )
        rng, n = np.random.default_rng(rng), n_features
        self.qkv = Linear(n, 3 * n, rng=rng, dtype=dtype)
        self.out = Linear(n, n, rng=rng, dtype=dtype)
        self.n_heads, self.causal = n_heads, causal

    def __call__(self, x: Array) -> Tensor:
        """Return an array `(…, n, n_features)` of the same shape."""
        shape = shape_of(x)
        if len(shape) < 2:
            raise ValueError(
                f"SelfAttention: tokens of shape {shape}, and they are "
                "(…, n, n_features)"
            )
        mask = causal_mask(shape[-2]) if self.causal else None
        q, k, v = split_heads(self.qkv(x), 3, self.n_heads)
        return self.out(join_heads(attention(q, k, v, mask)))


class Block(Module):
    """Attention between tokens, then a network on each, both added.

    Args:
        n_features: How many numbers a token has; the network has a
            hidden layer of four times as many, with gelu.
        n_heads: How many heads share them.
        causal: Whether a token looks only at itself and back.
        rng: Where the weights come from.
        dtype: Of the parameters.

    Raises:
        ValueError: As for `SelfAttention`.
    """

    def __init__(
        self,
        n_features: int,
        n_heads: int,
        causal: bool = True,
        *,
        rng: Rng = None,
        dtype: Any = np.float64,
    ) -> None:
        rng, n = np.random.default_rng(rng), n_features
        self.norm1 = LayerNorm(n, dtype=dtype)
        self.attention = SelfAttention(
            n, n_heads, causal, rng=rng, dtype=dtype
        )
        self.norm2 = LayerNorm(n, dtype=dtype)
        self.mlp = FeedForward(
            n, [4 * n, n], "gelu", rng=rng, dtype=dtype
        )

    def __call__(self, x: Array) -> Tensor:
        """Return an array `(…, n, n_features)` of the same shape."""
        x = x + self.attention(self.norm1(x))
        result: Tensor = x + self.mlp(self.norm2(x))
        return result


class GPT(Module):
    """A network that says which token comes next, as GPT-2 does.

    Args:
        n_tokens: How many tokens there are to choose from.
        n_positions: How long a text may be.
        n_features: How many numbers a token has inside.
        n_heads: How many heads each block has.
        n_blocks: How many blocks there are.
        rng: Where the weights come from.
        dtype: Of the parameters.

    Raises:
        ValueError: As for `SelfAttention` and `Embedding`.
    """

    def __init__(
        self,
        n_tokens: int,
        n_positions: int,
        n_features: int,
        n_heads: int,
        n_blocks: int,
        *,
        rng: Rng = None,
        dtype: Any = np.float64,
    ) -> None:
        rng, n = np.random.default_rng(rng), n_features
        self.tokens = Embedding(n_tokens, n, rng=rng, dtype=dtype)
        self.positions = Embedding(n_positions, n, rng=rng, dtype=dtype)
        self.blocks = [
            Block(n, n_heads, rng=rng, dtype=dtype)
            for _ in range(n_blocks)
        ]
        self.norm = LayerNorm(n, dtype=dtype)
        self.out = Linear(n, n_tokens, bias=False, rng=rng, dtype=dtype)

    def __call__(self, tokens: Any) -> Tensor:
        """Return logits `(…, n, n_tokens)` of the next tokens.

        Args:
            tokens: Whole numbers `(…, n)`.

        Raises:
            ValueError: There are more tokens than positions, none,
                or no such token.
        """
        known = array_of(tokens)
        shape, longest = shape_of(known), len(self.positions.weight)
        if not shape or not 0 < shape[-1] <= longest:
            raise ValueError(
                f"GPT: tokens of shape {shape}, and there are "
                f"{longest} positions"
            )
        x = self.tokens(known) + self.positions(np.arange(shape[-1]))
        for block in self.blocks:
            x = block(x)
        return self.out(self.norm(x))
