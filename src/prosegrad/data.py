"""Data: batches of arrays, in an order that can be had again."""

import secrets
from collections.abc import (
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from typing import Any

import numpy as np

from prosegrad.arrays import Array, is_array
from prosegrad.optim import whole_number
from prosegrad.tensor import Tensor, no_grad
from prosegrad.training import by_position
from prosegrad.value import Value


class Loader:
    """Deals out the examples of arrays in batches, each once an epoch.

    Each `for` loop over it is an epoch. One that is broken off begins
    again, in the same order. The order of an epoch follows from the
    seed and the number of the epoch alone.

    Args:
        arrays: Arrays `(n, …)` of n examples each, of any library,
            tables of pandas, or lists of numbers.
        batch_size: Examples a batch; the last one may be smaller.
        shuffle: Whether each epoch has an order of its own.
        seed: Where the orders come from; by default another one each
            time.
        drop_last: Whether to leave out a last batch that is smaller.

    Attributes:
        epoch: How many epochs have been dealt out.
        seed: The seed.

    Raises:
        ValueError: There are no arrays or no examples, the arrays
            differ in length, `batch_size` is below 1, or `drop_last`
            would leave nothing.
    """

    def __init__(
        self,
        *arrays: Any,
        batch_size: int,
        shuffle: bool = True,
        seed: int | None = None,
        drop_last: bool = False,
    ) -> None:
        self.arrays = [_rows(x) for x in arrays]
        self.examples = _examples(self.arrays)
        smallest = self.examples if drop_last else batch_size
        if not 1 <= batch_size <= smallest:
            raise ValueError(
                f"Loader: batches of {batch_size}, of "
                f"{self.examples} examples"
            )
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = secrets.randbits(32) if seed is None else seed
        self.drop_last = drop_last
        self.epoch = self._start = self._position = 0

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        rest = 0 if self.drop_last else self.batch_size - 1
        return (self.examples + rest) // self.batch_size

    def __iter__(self) -> Iterator[tuple[Array, ...]]:
        size, n = self.batch_size, self.examples
        last = n - size if self.drop_last else n - 1
        if self._start > last:
            self.epoch, self._start = self.epoch + 1, 0
        epoch, start = self.epoch, self._start
        order = self._order(epoch)
        while start <= last:
            chosen = slice(start, start + size)
            start += size
            if start > last:
                self.epoch, self._start = epoch + 1, 0
            self._position = start if start <= last else 0
            part = chosen if order is None else order[chosen]
            yield tuple(x[part] for x in self.arrays)

    def _order(self, epoch: int) -> Array | None:
        if not self.shuffle:
            return None
        rng = np.random.default_rng([self.seed, epoch])
        return rng.permutation(self.examples)

    def state(self) -> dict[str, int]:
        """Return where in the data the next batch begins.

        Whole numbers: how many examples there are, the seed, the
        epoch, and how many examples of it were handed out.
        """
        return {
            "examples": self.examples,
            "seed": self.seed,
            "epoch": self.epoch,
            "position": self._position,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken, in another process too.

        If anything is raised, nothing has changed.

        Raises:
            TypeError: There is something else than numbers in it.
            ValueError: It is no state of a loader, or of one with
                another number of examples.
        """
        if set(state) != set(self.state()):
            raise ValueError(
                f"load_state: a loader's state has {[*self.state()]}, "
                f"not {[*state]}"
            )
        found = {n: whole_number(n, x) for n, x in state.items()}
        is_over = found["position"] >= self.examples
        if is_over or found["examples"] != self.examples:
            raise ValueError(
                f"load_state: {found} does not fit a loader of "
                f"{self.examples} examples"
            )
        self.seed, self.epoch = found["seed"], found["epoch"]
        self._start = self._position = found["position"]


def _rows(x: Any) -> Array:
    """Return what deals out rows by their place."""
    is_known = isinstance(x, Tensor) or is_array(x)
    return x if is_known else np.asarray(by_position(x))


def _examples(arrays: list[Array]) -> int:
    """Return the length of the first axis, which all must share."""
    shapes = [tuple(x.shape) for x in arrays]
    lengths = {shape[:1] for shape in shapes}
    if len(lengths) != 1 or lengths & {(), (0,)}:
        raise ValueError(
            "Loader: the arrays need one first axis of equal length, "
            f"above 0, and have the shapes {shapes}"
        )
    return int(shapes[0][0])


def evaluate(
    loss: Callable[..., Any], loader: Iterable[Sequence[Any]]
) -> float:
    """Return the mean of `loss` over all examples, without a graph.

    Args:
        loss: Takes the parts of a batch and returns their mean loss,
            or another mean, as a share of right answers.
        loader: The batches; each has parts of one length.

    Raises:
        ValueError: There are no batches.
    """
    total, count = 0.0, 0
    with no_grad():
        for batch in loader:
            value = loss(*batch)
            mean = value.data if isinstance(value, Value) else value
            total += float(mean) * len(batch[0])
            count += len(batch[0])
    if not count:
        raise ValueError("evaluate: there are no batches")
    return total / count
