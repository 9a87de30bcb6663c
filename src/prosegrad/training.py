"""Training: mini-batches, a loop and a progress line."""

import random
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from prosegrad.memory import collector_paused
from prosegrad.optim import Optimiser, clip_gradients
from prosegrad.value import Value, namespace

T = TypeVar("T")


def batches(
    inputs: Sequence[Any],
    targets: Sequence[Any],
    size: int | None = None,
    rng: random.Random | None = None,
) -> Iterator[tuple[list[Any], list[Any]]]:
    """Yield the examples in batches of `size`, each example once.

    Args:
        inputs: n inputs; of arrays and pandas' tables, the rows.
        targets: n targets.
        size: Examples a batch; the last batch may be smaller. None
            means all in one.
        rng: If given, it shuffles the order.

    Raises:
        ValueError: The lengths differ or are 0, or `size` is below 1.
    """
    inputs, targets = by_position(inputs), by_position(targets)
    n = len(inputs)
    if n != len(targets):
        raise ValueError(f"{n} inputs, {len(targets)} targets")
    if n == 0:
        raise ValueError("no examples")
    size = n if size is None else size
    if size < 1:
        raise ValueError(f"batch size {size} is below 1")
    order = list(range(n))
    if rng is not None:
        rng.shuffle(order)
    for start in range(0, n, size):
        chosen = order[start : start + size]
        yield [inputs[i] for i in chosen], [targets[i] for i in chosen]


def by_position(x: Any) -> Any:
    """Return a table of pandas or polars as its array, else `x`."""
    return x.to_numpy() if hasattr(x, "to_numpy") else x


def progress(items: Iterable[T], label: str = "") -> Iterable[T]:
    """Return `items`; in a terminal, looping draws a progress line.

    Args:
        items: What to loop over.
        label: What the line begins with.
    """
    if not sys.stderr.isatty():
        return items
    try:
        from tqdm import tqdm
    except ImportError:
        return items
    line: Iterable[T] = tqdm(items, desc=label)
    return line


def train_epoch(
    loss: Callable[..., Value],
    loader: Iterable[Sequence[Any]],
    optimiser: Optimiser,
    schedule: Callable[[int], float] | None = None,
    max_norm: float | None = None,
) -> float:
    """Take a step for each batch, and return the mean loss.

    Each batch is measured before the step that it causes.

    Args:
        loss: Takes the parts of a batch, returns their mean loss.
        loader: The batches; each has parts of one length, as inputs
            and targets.
        optimiser: Moves the parameters.
        schedule: Takes the number of steps so far and returns the
            learning rate of the next; None leaves it as it is.
        max_norm: How long the gradient may be; None means any length.

    Raises:
        ValueError: There are no batches, or the gradient should be
            clipped and is not finite.
    """
    total, count = 0.0, 0
    with collector_paused():
        for batch in loader:
            value = loss(*batch)
            optimiser.zero_grad()
            value.backward()
            if max_norm is not None:
                clip_gradients(optimiser.parameters, max_norm)
            if schedule is not None:
                optimiser.learning_rate = schedule(optimiser.steps)
            optimiser.step()
            total += float(value.data) * len(batch[0])
            count += len(batch[0])
    if not count:
        raise ValueError("train_epoch: there are no batches")
    return total / count


def fit(
    model: Callable[[Any], Any],
    inputs: Sequence[Any],
    targets: Sequence[Any],
    loss: Callable[[list[Any], list[Any]], Value],
    optimiser: Optimiser,
    epochs: int,
    batch_size: int | None = None,
    rng: random.Random | None = None,
) -> list[float]:
    """Train, and return the mean loss of every epoch.

    Each batch is measured before the step that it causes.

    Args:
        model: Takes one input and returns its prediction. If its
            parameters are arrays, it takes a batch of inputs as an
            array like them, and returns a row for each.
        inputs: n inputs; of arrays and pandas' tables, the rows.
        targets: n targets.
        loss: Takes predictions and targets, returns their mean loss.
        optimiser: Moves the parameters of `model`.
        epochs: How many times to go through the examples.
        batch_size: Examples a step; None means all.
        rng: If given, it shuffles the examples anew every epoch.

    Raises:
        ValueError: The lengths differ, there are no examples,
            `batch_size` is below 1, or a model of arrays does not
            return a row for each example.
    """
    data = optimiser.parameters[0].data

    def of_batch(xs: list[Any], ys: list[Any]) -> Value:
        if not getattr(data, "shape", ()):
            return loss([model(x) for x in xs], ys)
        rows = _stacked(ys, data)
        return loss(_rows(model(_stacked(xs, data)), rows), rows)

    history = []
    for _ in progress(range(epochs), "training"):
        loader = batches(inputs, targets, batch_size, rng)
        history.append(train_epoch(of_batch, loader, optimiser))
    return history


def _stacked(rows: list[Any], data: Any) -> Any:
    """Return one array of all rows, of the kind of a parameter."""
    xp, where = namespace(data), getattr(data, "device", None)
    parts = [xp.asarray(row, device=where) for row in rows]
    stack = xp.stack(parts)
    is_real = xp.isdtype(stack.dtype, "real floating")
    return xp.astype(stack, data.dtype) if is_real else stack


def _rows(predictions: Any, targets: Any) -> Any:
    """Return a row for each target; a column is bare numbers."""
    shape, n = tuple(predictions.shape), targets.shape[0]
    if shape[:1] != (n,):
        raise ValueError(
            f"fit: the model has returned an array of shape {shape} "
            f"for {n} examples, and not a row for each"
        )
    is_column = shape == (n, 1) and targets.shape == (n,)
    return predictions[:, 0] if is_column else predictions
