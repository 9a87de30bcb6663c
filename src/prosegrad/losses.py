"""Losses: how wrong a batch of predictions is, as one Value."""

import math
from collections.abc import Sequence
from functools import singledispatch
from typing import Any

from prosegrad.elementary import Number, maximum
from prosegrad.value import Value, namespace, where


def _check_pairs(
    name: str, left: Sequence[Any], right: Sequence[Any]
) -> None:
    if len(left) != len(right):
        raise ValueError(
            f"{name}: {len(left)} predictions, {len(right)} targets"
        )
    if len(left) == 0:
        raise ValueError(f"{name}: no predictions")


def _mean(terms: Sequence[Value]) -> Value:
    return sum(terms[1:], terms[0]) / len(terms)


@singledispatch
def mean_squared_error(predictions: Any, targets: Any) -> Any:
    """Return the mean of `(prediction - target)**2`.

    Args:
        predictions: A sequence of Values, or a Tensor.
        targets: As many numbers, or an array of the same shape.

    Raises:
        ValueError: The lengths differ or are 0.
    """
    _check_pairs("mean_squared_error", predictions, targets)
    return _mean([(p - t) ** 2 for p, t in zip(predictions, targets)])


@singledispatch
def hinge(scores: Any, labels: Any) -> Any:
    """Return the mean of `max(0, 1 - label * score)`.

    The loss of a support vector machine, as in micrograd's demo.

    Args:
        scores: A sequence of Values, or a Tensor.
        labels: For each score -1 or 1.

    Raises:
        ValueError: The lengths differ or are 0, or a label is neither
            -1 nor 1.
    """
    _check_pairs("hinge", scores, labels)
    for label in labels:
        if label not in (-1, 1):
            raise ValueError(f"hinge: label {label!r} is not -1 or 1")
    return _mean([_relu(1 - y * s) for s, y in zip(scores, labels)])


def _relu(x: Number) -> Number:
    return x.relu() if hasattr(x, "relu") else maximum(x, 0)


def _largest_and_others(logits: Sequence[Number]) -> tuple[Any, Any]:
    if len(logits) == 0:
        raise ValueError("no logits")
    largest, others = logits[0], []
    for v in logits[1:]:
        larger = v > largest
        others.append(where(larger, largest, v))
        largest = where(larger, v, largest)
    return largest, others


def _exp(x: Number) -> Number:
    return namespace(x).exp(x)


def _rest(gaps: Sequence[Number], largest: Number) -> Number:
    zero = namespace(largest).zeros_like(largest)
    return sum(map(_exp, gaps), zero)


@singledispatch
def softmax(logits: Any) -> Any:
    """Return n probabilities for n logits: none negative, 1 in sum.

    Args:
        logits: A sequence of Values, or a Tensor, each of whose rows
            is one.

    Raises:
        ValueError: There are no logits.
    """
    largest, others = _largest_and_others(logits)
    total = 1 + _rest([v - largest for v in others], largest)
    return [
        (1 if v is largest else _exp(v - largest)) / total
        for v in logits
    ]


@singledispatch
def log_sum_exp(logits: Any) -> Any:
    """Return `log(exp(a) + exp(b) + …)` without overflow.

    Args:
        logits: As for `softmax`.

    Raises:
        ValueError: There are no logits.
    """
    largest, others = _largest_and_others(logits)
    infinite = where(largest < math.inf, largest <= -math.inf, True)
    gaps = []
    for v in others:
        zero = namespace(v).zeros_like(v)
        tie = infinite & (v == largest)
        gaps.append(where(tie, zero, v - largest))
    rest = _rest(gaps, largest)
    return largest + namespace(rest).log1p(rest)


@singledispatch
def cross_entropy(logits: Any, targets: Any) -> Any:
    """Return the mean of `-log(softmax(row)[target])` over the rows.

    Args:
        logits: A row of scores, one a class, for each example: a
            sequence of sequences of Values, or a Tensor whose last
            axis is the classes.
        targets: The number of the right class of each example.

    Raises:
        ValueError: The lengths differ or are 0, or a target is not
            the number of a class.
    """
    _check_pairs("cross_entropy", logits, targets)
    return _mean([_surprise(r, t) for r, t in zip(logits, targets)])


def _surprise(logits: Sequence[Value], target: int) -> Any:
    if not 0 <= target < len(logits):
        raise ValueError(
            f"cross_entropy: target {target} of {len(logits)} classes"
        )
    largest, others = _largest_and_others(logits)
    rest = _rest([v - largest for v in others], largest)
    return (largest - logits[target]) + namespace(rest).log1p(rest)
