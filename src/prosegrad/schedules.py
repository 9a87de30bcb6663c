"""Schedules: the learning rate at each step, and when to stop."""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from prosegrad.optim import whole_number

Schedule: TypeAlias = Callable[[int], float]
"""From the number of steps taken to the next learning rate."""


def step_decay(
    rate: float, every: int, factor: float = 0.1
) -> Schedule:
    """Multiply the learning rate by `factor` every so many steps.

    Residual networks were trained so (He et al. 2016).

    Args:
        rate: The learning rate of the first steps.
        every: Steps on each stair.
        factor: From one stair to the next.

    Raises:
        ValueError: A number is not positive.
    """
    _require_positive(rate=rate, every=every, factor=factor)
    return lambda step: rate * factor ** (step // every)


def linear_decay(
    rate: float, steps: int, final: float = 0.0
) -> Schedule:
    """Go from `rate` to `final` along a line, and stay there.

    Defazio et al. (2023) derive it and compare it with others.

    Args:
        rate: The learning rate of the first step.
        steps: Where the line ends.
        final: The learning rate from there on.

    Raises:
        ValueError: `rate` or `steps` is not positive, or `final` is
            negative.
    """
    _require_positive(rate=rate, steps=steps)
    _require(final >= 0, "final", final)
    return lambda step: rate + (final - rate) * min(step / steps, 1.0)


def _require_positive(**numbers: float) -> None:
    for name, number in numbers.items():
        _require(0 < number < math.inf, name, number)


def _require(condition: bool, name: str, number: float) -> None:
    if not condition:
        raise ValueError(f"schedule: {name}={number!r} is out of range")


def warmup_cosine(
    rate: float, steps: int, warmup: int = 0, final: float = 0.0
) -> Schedule:
    """Climb to `rate`, then fall to `final` along half a cosine.

    The climb is by Goyal et al. (2017), the cosine by Loshchilov and
    Hutter (2017).

    Args:
        rate: The highest learning rate.
        steps: Where the fall ends; the climb is part of it.
        warmup: Steps of the climb. The first step has not the rate 0,
            which would waste it, but `rate / warmup`.
        final: The learning rate from the end on.

    Raises:
        ValueError: `rate` or `steps` is not positive, `warmup` is not
            below `steps`, or `warmup` or `final` is negative.
    """
    _require_positive(rate=rate, steps=steps)
    _require(0 <= warmup < steps, "warmup", warmup)
    _require(final >= 0, "final", final)

    def schedule(step: int) -> float:
        if step < warmup:
            return rate * (step + 1) / warmup
        part = min((step - warmup) / (steps - warmup), 1.0)
        fallen = (1 + math.cos(math.pi * part)) / 2
        return final + (rate - final) * fallen

    return schedule


class EarlyStopping:
    """Tells when a loss has ceased to fall, and keeps the best state.

    Prechelt (1998) compares such rules.

    Args:
        patience: How many losses in a row may be no better.
        min_delta: By how much a loss must be lower to be better.

    Attributes:
        best: The lowest loss.
        best_state: The state that was given with it.
        waited: How many losses have been no better since.

    Raises:
        ValueError: `patience` is below 1, or `min_delta` negative.
    """

    def __init__(self, patience: int, min_delta: float = 0.0) -> None:
        if patience < 1 or not min_delta >= 0:
            raise ValueError(
                f"EarlyStopping: patience {patience!r} is below 1, or "
                f"min_delta {min_delta!r} negative"
            )
        self.patience = patience
        self.min_delta = min_delta
        self.best = math.inf
        self.best_state: dict[str, Any] = {}
        self.waited = 0

    def __call__(
        self, loss: float, state: Mapping[str, Any] | None = None
    ) -> bool:
        """Take the loss of an epoch; return whether to stop.

        Args:
            loss: The loss on held-out examples. NaN is no better.
            state: What to keep if it is the best so far, by name. The
                arrays are not copied: no optimiser writes into one.
        """
        if loss < self.best - self.min_delta:
            self.best, self.best_state = loss, dict(state or {})
            self.waited = 0
        else:
            self.waited += 1
        return self.waited >= self.patience

    def state(self) -> dict[str, Any]:
        """Return what it remembers, by name, to be saved."""
        kept = {f"state.{n}": x for n, x in self.best_state.items()}
        return {"best": self.best, "waited": self.waited, **kept}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` has returned.

        Raises:
            TypeError: A number is something else.
            ValueError: It is no such state. Nothing has changed.
        """
        kept = dict(state)
        try:
            best, waited = kept.pop("best"), kept.pop("waited")
        except KeyError as name:
            raise ValueError(f"load_state: no {name}") from None
        start = "state."
        strange = [n for n in kept if not str(n).startswith(start)]
        if strange or not float(best) <= math.inf:
            raise ValueError(
                f"load_state: best is {best!r}, and there are the "
                f"names {strange}"
            )
        self.waited = whole_number("waited", waited)
        self.best = float(best)
        self.best_state = {
            name.removeprefix(start): x for name, x in kept.items()
        }
