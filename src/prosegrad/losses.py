"""Losses: how wrong a batch of predictions is, as one Value."""

from collections.abc import Sequence
from functools import singledispatch
from typing import Any

from prosegrad.value import Value


def _check_pairs(
    name: str, left: Sequence[Any], right: Sequence[Any]
) -> None:
    if len(left) != len(right):
        raise ValueError(
            f"{name}: {len(left)} predictions, {len(right)} targets"
        )
    if not left:
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


def hinge(scores: Sequence[Value], labels: Sequence[int]) -> Value:
    """Return the mean of `max(0, 1 - label * score)`.

    The loss of a support vector machine, as in micrograd's demo.

    Raises:
        ValueError: The lengths differ or are 0, or a label is neither
            -1 nor 1.
    """
    _check_pairs("hinge", scores, labels)
    for label in labels:
        if label not in (-1, 1):
            raise ValueError(f"hinge: label {label!r} is not -1 or 1")
    return _mean([(1 - y * s).relu() for s, y in zip(scores, labels)])


def _largest_and_rest(logits: Sequence[Value]) -> tuple[Value, Value]:
    if not logits:
        raise ValueError("no logits")
    at = max(range(len(logits)), key=logits.__getitem__)
    largest = logits[at]
    others = [*logits[:at], *logits[at + 1 :]]
    zero = largest.zeros_like()
    return largest, sum(((v - largest).exp() for v in others), zero)


def softmax(logits: Sequence[Value]) -> list[Value]:
    """Return n probabilities for n logits: none negative, 1 in sum.

    Raises:
        ValueError: There are no logits.
    """
    largest, rest = _largest_and_rest(logits)
    total = 1 + rest
    return [(v - largest).exp() / total for v in logits]


def log_sum_exp(logits: Sequence[Value]) -> Value:
    """Return `log(exp(a) + exp(b) + …)` without overflow.

    Raises:
        ValueError: There are no logits.
    """
    largest, rest = _largest_and_rest(logits)
    return largest + rest.log1p()


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


def _surprise(logits: Sequence[Value], target: int) -> Value:
    if not 0 <= target < len(logits):
        raise ValueError(
            f"cross_entropy: target {target} of {len(logits)} classes"
        )
    largest, rest = _largest_and_rest(logits)
    return (largest - logits[target]) + rest.log1p()
