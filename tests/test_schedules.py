"""Schedules, against PyTorch's; early stopping; and training with both."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from prosegrad import MLP, SGD, Adam, Value, mean_squared_error
from prosegrad.schedules import (
    EarlyStopping,
    Schedule,
    linear_decay,
    step_decay,
    warmup_cosine,
)
from prosegrad.training import train_epoch


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (step_decay(0.1, 2), {0: 0.1, 1: 0.1, 2: 0.01, 5: 0.001}),
        (step_decay(1.0, 10, 0.5), {9: 1.0, 10: 0.5, 39: 0.125}),
        (linear_decay(1.0, 4), {0: 1.0, 1: 0.75, 4: 0.0, 9: 0.0}),
        (linear_decay(1.0, 4, 0.2), {0: 1.0, 2: 0.6, 4: 0.2, 9: 0.2}),
        (warmup_cosine(1.0, 10), {0: 1.0, 5: 0.5, 10: 0.0, 99: 0.0}),
        (warmup_cosine(1.0, 10, 4), {0: 0.25, 3: 1.0, 4: 1.0, 7: 0.5, 10: 0.0}),
        (warmup_cosine(1.0, 10, final=0.5), {0: 1.0, 5: 0.75, 10: 0.5, 11: 0.5}),
    ],
)
def test_some_rates(schedule: Schedule, expected: dict[int, float]) -> None:
    for step, rate in expected.items():
        assert schedule(step) == pytest.approx(rate, abs=1e-12)
        assert type(schedule(step)) is float


@pytest.mark.parametrize("name", ["step", "linear", "cosine"])
def test_as_in_torch(name: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    optimiser = torch.optim.SGD([torch.ones(1, requires_grad=True)], 0.5)
    rates = torch.optim.lr_scheduler
    ours, theirs = {
        "step": lambda: (step_decay(0.5, 7, 0.3), rates.StepLR(optimiser, 7, 0.3)),
        "linear": lambda: (
            linear_decay(0.5, 20, 0.1),
            rates.LinearLR(optimiser, 1.0, 0.2, 20),
        ),
        "cosine": lambda: (
            warmup_cosine(0.5, 30, final=0.01),
            rates.CosineAnnealingLR(optimiser, 30, 0.01),
        ),
    }[name]()
    for step in range(30):
        assert ours(step) == pytest.approx(theirs.get_last_lr()[0], rel=1e-9)
        optimiser.step()
        theirs.step()


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: step_decay(0.0, 1), "rate=0.0"),
        (lambda: step_decay(0.1, 0), "every=0"),
        (lambda: step_decay(0.1, 1, -1.0), "factor=-1.0"),
        (lambda: linear_decay(math.nan, 1), "rate=nan"),
        (lambda: linear_decay(0.1, 0), "steps=0"),
        (lambda: linear_decay(0.1, 1, -0.1), "final=-0.1"),
        (lambda: warmup_cosine(math.inf, 1), "rate=inf"),
        (lambda: warmup_cosine(0.1, 0), "steps=0"),
        (lambda: warmup_cosine(0.1, 5, 5), "warmup=5"),
        (lambda: warmup_cosine(0.1, 5, -1), "warmup=-1"),
        (lambda: warmup_cosine(0.1, 5, 1, -1.0), "final=-1.0"),
        (lambda: EarlyStopping(0), "patience 0"),
        (lambda: EarlyStopping(1, -0.1), "min_delta -0.1"),
        (lambda: EarlyStopping(1, math.nan), "min_delta nan"),
    ],
)
def test_what_is_refused(action: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        action()


# --- early stopping


def stops(stopping: EarlyStopping, losses: list[float]) -> int | None:
    """Return the place of the loss at which it stops."""
    for i, loss in enumerate(losses):
        if stopping(loss, {"i": i}):
            return i
    return None


@pytest.mark.parametrize(
    ("patience", "min_delta", "losses", "end", "best"),
    [
        (1, 0.0, [3, 2, 2, 1], 2, 1),
        (2, 0.0, [3, 2, 2, 1, 1, 1], 5, 3),
        (2, 0.0, [3, 2, 1, 0], None, 3),
        (2, 0.5, [3.0, 2.6, 2.51, 0.0], 2, 0),
        (2, 0.5, [3.0, 2.6, 2.4, 2.3, 2.2], 4, 2),
        (2, 0.0, [math.nan, 3, math.nan, math.inf], 3, 1),
        (1, 0.0, [math.nan], 0, None),
    ],
)
def test_when_it_stops(
    patience: int,
    min_delta: float,
    losses: list[float],
    end: int | None,
    best: int | None,
) -> None:
    stopping = EarlyStopping(patience, min_delta)

    assert stops(stopping, losses) == end
    assert stopping.best_state.get("i") == best
    assert stopping.best == (math.inf if best is None else losses[best])


def test_it_can_be_saved() -> None:
    losses = [3.0, 2.0, 2.5, 1.9, 2.1, 2.2, 2.3, 2.4]
    for cut in range(7):
        first, second = EarlyStopping(3), EarlyStopping(3)
        assert stops(first, losses[:cut]) is None
        second.load_state(first.state())

        assert second.state() == first.state()
        assert stops(second, losses[cut:]) == 6 - cut


def test_a_state_without_its_best() -> None:
    stopping = EarlyStopping(3)
    stopping(1.0, {"w": 5})
    with pytest.raises(ValueError, match="'waited'"):
        stopping.load_state({"best": 0.5})

    assert stopping.state() == {"best": 1.0, "waited": 0, "state.w": 5}


# --- training


def squares(parameter: Value) -> Any:
    """Return a loss: the mean distance to some numbers."""

    def loss(targets: list[float]) -> Any:
        return mean_squared_error([parameter] * len(targets), targets)

    return loss


def test_train_epoch_asks_the_schedule_before_each_step() -> None:
    x, rates = Value(0.0), []

    def schedule(step: int) -> float:
        rates.append(step)
        return 0.5 / (step + 1)

    optimiser = SGD([x], 9.0)
    numbers = [3.0, 5.0, 10.0]
    train_epoch(squares(x), [([n],) for n in numbers], optimiser, schedule)

    assert rates == [0, 1, 2]
    assert x.data == pytest.approx(6.0)  # the mean of what it saw
    assert optimiser.learning_rate == 0.5 / 3


def test_train_epoch_clips() -> None:
    x = Value(0.0)
    train_epoch(squares(x), [([100.0],)], SGD([x], 1.0), max_norm=0.5)

    assert x.data == pytest.approx(0.5, rel=1e-6)


def test_train_epoch_reports_the_mean_over_examples() -> None:
    x = Value(0.0)
    batches = [([1.0, 1.0, 1.0],), ([3.0],)]
    optimiser = SGD([x], 1e-12)

    assert train_epoch(squares(x), batches, optimiser) == pytest.approx(3.0)


def test_train_epoch_of_nothing() -> None:
    x = Value(0.0)
    with pytest.raises(ValueError, match="no batches"):
        train_epoch(squares(x), [], SGD([x], 1.0))


def test_a_network_of_numbers_with_all_of_it() -> None:
    inputs, targets = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    model = MLP(2, [8, 1], rng=random.Random(0))
    optimiser = Adam(model.parameters(), 0.1)
    stopping = EarlyStopping(20)

    def loss(xs: Any, ys: Any) -> Any:
        return mean_squared_error([model(x) for x in xs], ys)

    plan = warmup_cosine(0.1, 200, 10)
    for _ in range(200):
        value = train_epoch(loss, [(inputs, targets)], optimiser, plan, 1.0)
        if stopping(value):
            break
    assert stopping.best < 0.01
