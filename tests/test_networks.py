"""Neurons, losses, optimisers, training."""

from __future__ import annotations

import math
import random
import sys
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prosegrad import (
    MLP,
    SGD,
    Adam,
    Layer,
    Module,
    Neuron,
    Optimiser,
    Value,
    batches,
    cross_entropy,
    fit,
    hinge,
    log_sum_exp,
    mean_squared_error,
    progress,
    softmax,
)
from prosegrad.nn import ACTIVATIONS

XOR = ([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0])


# --- networks


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_neuron_is_an_activation_of_a_weighted_sum(activation: str) -> None:
    neuron = Neuron(3, activation, random.Random(0))
    x = [0.5, -1.0, 2.0]
    total = sum((w * xi for w, xi in zip(neuron.w, x, strict=True)), neuron.b)
    expected = total if activation == "linear" else getattr(total, activation)()

    assert neuron(x).data == pytest.approx(expected.data, rel=1e-14)


def test_same_rng_same_network() -> None:
    first, second = (MLP(3, [4, 2], rng=random.Random(7)) for _ in range(2))

    assert [p.data for p in first.parameters()] == [p.data for p in second.parameters()]


def test_without_rng_the_global_seed_counts() -> None:
    random.seed(3)
    first = Neuron(2).w[0].data
    random.seed(3)

    assert Neuron(2).w[0].data == first


def test_weights_are_scaled_to_the_number_of_inputs() -> None:
    weights = [w.data for w in Neuron(10_000, rng=random.Random(0)).w]
    variance = sum(w * w for w in weights) / len(weights)

    assert variance * len(weights) == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize(
    ("sizes", "count"), [([4, 1], 17), ([1, 1], 5), ([1], 3), ([16, 16, 1], 337)]
)
def test_parameters(sizes: list[int], count: int) -> None:
    model = MLP(2, sizes)

    assert len(model.parameters()) == count
    assert isinstance(model([1.0, 2.0]), Value)


def test_several_outputs_come_as_a_list() -> None:
    outputs: Any = MLP(2, [3])([1.0, 2.0])

    assert [type(v) for v in outputs] == [Value] * 3


def test_tanh_throughout_stays_between_minus_one_and_one() -> None:
    model = MLP(2, [4, 1], activation="tanh", output="tanh", rng=random.Random(0))
    output: Any = model([50.0, -80.0])

    assert -1 <= output.data <= 1
    assert output._op == "tanh"


def test_zero_grad() -> None:
    model = MLP(2, [2, 1])
    output: Any = model([1.0, 2.0])
    output.backward()
    model.zero_grad()

    assert {p.grad for p in model.parameters()} == {0.0}


def test_repr() -> None:
    assert repr(Neuron(2)) == "Neuron(2, 'tanh')"
    assert repr(Layer(2, 3, "relu")) == "Layer(2, 3, 'relu')"
    assert repr(MLP(2, [4, 1])) == "MLP(2, [4, 1], activation='tanh', output='linear')"


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: Neuron(2)([1.0]), "2 inputs, got 1"),
        (lambda: MLP(2, [3, 1])([1.0, 2.0, 3.0]), "2 inputs, got 3"),
        (lambda: Neuron(0), "got 0"),
        (lambda: Layer(2, 0), "got 0"),
        (lambda: MLP(2, []), "^an MLP needs at least one layer size$"),
        (lambda: Neuron(2, "tahn"), "tahn"),
        (lambda: MLP(2, [1], output="softmax"), "softmax"),
    ],
)
def test_network_errors(action: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        action()


def test_a_neuron_starts_without_bias_and_adds_it() -> None:
    neuron = Neuron(1, "linear")

    assert neuron.b.data == 0.0
    neuron.b.data = 1.5
    assert neuron([2.0]).data == 2 * neuron.w[0].data + 1.5


def test_a_layer_uses_tanh_unless_asked() -> None:
    layer = Layer(2, 1)

    assert repr(layer) == "Layer(2, 1, 'tanh')"
    assert layer.neurons[0].activation == "tanh"


def test_a_module_counts_its_parameters() -> None:
    class Pair(Module):
        def parameters(self) -> list[Value]:
            return [Value(1.0), Value(2.0)]

    assert repr(Pair()) == "Pair(2 parameters)"


def test_a_module_finds_its_parameters() -> None:
    class Model(Module):
        def __init__(self) -> None:
            self.shared = Value(1.0)
            self.inside = {"a": [Value(2.0), (self.shared, Scale())], 3: Value(4.0)}
            self.computed = self.shared * 2.0
            self.me = self
            self.note = "shared"

    class Scale(Module):
        def __init__(self) -> None:
            self.factor = Value(3.0)

    model = Model()
    names = ["shared", "inside.a.0", "inside.a.1.1.factor", "inside.3"]

    assert [name for name, _ in model.named_parameters()] == names
    assert [p.data for p in model.parameters()] == [1.0, 2.0, 3.0, 4.0]
    assert [type(m) for m in model.modules()] == [Model, Scale]
    assert repr(model) == "Model(4 parameters)"
    assert Module().parameters() == []


def test_a_state_goes_in_whole_or_not_at_all() -> None:
    model, other = (MLP(2, [2, 1], rng=random.Random(seed)) for seed in (0, 1))
    state, before = model.state(), other.state()
    name = "layers.1.neurons.0.b"
    assert list(state)[-1] == name

    for wrong, error, message in (
        ({**state, name: "one"}, TypeError, name),
        ({**state, name: Value(1.0)}, TypeError, f"{name} is a Value; give its data"),
        ({**state, "c": 1.0}, ValueError, r"lacks \[\], .* not know \['c'\]"),
        ({}, ValueError, f"lacks .*'{name}'"),
    ):
        with pytest.raises(error, match=message):
            other.load_state(wrong)
        assert other.state() == before

    other.parameters()[0].grad = 1.0
    other.load_state(state)
    assert other.state() == state
    assert other.parameters()[0].grad == 0


# --- losses

logits = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=6)


def values(numbers: Any) -> list[Value]:
    return [Value(n) for n in numbers]


def test_mean_squared_error_is_a_mean() -> None:
    predictions = values([Fraction(1), Fraction(4)])
    loss = mean_squared_error(predictions, [0, 1])
    loss.backward()

    assert loss.data == 5
    assert [p.grad for p in predictions] == [1, 3]


def test_hinge() -> None:
    scores = values([2.0, 0.5, -3.0])
    loss = hinge(scores, [1, 1, 1])
    loss.backward()

    assert loss.data == pytest.approx((0 + 0.5 + 4) / 3)
    assert [s.grad for s in scores] == pytest.approx([0, -1 / 3, -1 / 3])


def test_hinge_takes_both_labels() -> None:
    assert hinge(values([0.5, 0.5]), [-1, 1]).data == (1.5 + 0.5) / 2


@given(logits)
def test_softmax_is_a_distribution(numbers: list[float]) -> None:
    probabilities = [p.data for p in softmax(values(numbers))]

    assert all(0 <= p <= 1 + 1e-12 for p in probabilities)
    assert sum(probabilities) == pytest.approx(1)


@given(logits, st.integers(0, 5))
def test_cross_entropy_slope_is_softmax_minus_one_hot(
    numbers: list[float], target: int
) -> None:
    target %= len(numbers)
    row = values(numbers)
    cross_entropy([row], [target]).backward()
    expected = [p.data for p in softmax(values(numbers))]
    expected[target] -= 1

    assert [v.grad for v in row] == pytest.approx(expected, abs=1e-12)


def test_log_sum_exp_of_huge_logits() -> None:
    assert log_sum_exp(values([1000.0, 1000.0])).data == 1000 + math.log(2)
    assert log_sum_exp(values([-1000.0, -1000.0])).data == -1000 + math.log(2)
    assert log_sum_exp(values([3.0])).data == 3.0


def test_a_sure_right_answer_keeps_its_digits() -> None:
    loss = cross_entropy([values([0.0, 50.0])], [1])

    assert loss.data == pytest.approx(math.exp(-50), rel=1e-14)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (
            lambda: mean_squared_error(values([1.0]), [1, 2]),
            "^mean_squared_error: 1 predictions, 2 targets$",
        ),
        (lambda: mean_squared_error([], []), "^mean_squared_error: no predictions$"),
        (lambda: hinge(values([1.0]), [0]), "label 0"),
        (lambda: hinge(values([1.0]), [1, 1]), "^hinge: 1 predictions, 2 targets$"),
        (lambda: hinge([], []), "^hinge: no predictions$"),
        (lambda: cross_entropy([], []), "^cross_entropy: no predictions$"),
        (lambda: cross_entropy([values([1.0, 2.0])], [2]), "target 2 of 2"),
        (lambda: cross_entropy([values([1.0, 2.0])], [-1]), "target -1"),
        (lambda: cross_entropy([[]], [0]), "target 0 of 0"),
        (lambda: softmax([]), "^no logits$"),
    ],
)
def test_loss_errors(action: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        action()


# --- optimisers


def moved(optimiser_of: Any, gradients: list[float]) -> list[float]:
    """Return where a parameter at 1.0 goes under these gradients."""
    p = Value(1.0)
    optimiser = optimiser_of([p])
    places = []
    for gradient in gradients:
        p.grad = gradient
        optimiser.step()
        places.append(p.data)
    return places


def test_sgd_with_and_without_momentum() -> None:
    assert moved(lambda p: SGD(p, 0.1), [2.0, 2.0]) == pytest.approx([0.8, 0.6])
    assert moved(lambda p: SGD(p, 0.1, 0.5), [2.0, 2.0]) == pytest.approx([0.8, 0.5])


def test_adam_follows_the_paper() -> None:
    rate, b1, b2, eps = 0.1, 0.9, 0.999, 1e-8
    m = v = 0.0
    x, expected = 1.0, []
    gradients = [2.0, -3.0, 0.5]
    for t, g in enumerate(gradients, start=1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        x -= rate * (m / (1 - b1**t)) / (math.sqrt(v / (1 - b2**t)) + eps)
        expected.append(x)

    assert moved(lambda p: Adam(p, rate), gradients) == pytest.approx(expected)


def test_learning_rates_unless_asked() -> None:
    assert SGD([Value(1.0)]).learning_rate == 0.01
    assert Adam([Value(1.0)]).learning_rate == 0.001


def test_adam_may_forget_at_once() -> None:
    """With betas of 0 a step goes by the sign of the gradient."""
    adam = moved(lambda p: Adam(p, 0.1, betas=(0.0, 0.0)), [5.0, -7.0])

    assert adam == pytest.approx([0.9, 1.0])


def test_adam_adds_epsilon_to_the_spread() -> None:
    """A gradient as large as epsilon moves by half of the rate."""
    assert moved(lambda p: Adam(p, 0.1), [1e-8]) == pytest.approx([0.95])


def test_optimiser_zero_grad_and_changing_rate() -> None:
    p = Value(1.0)
    p.grad = 3.0
    optimiser = SGD([p], 1.0)
    optimiser.learning_rate = 0.5
    optimiser.step()
    optimiser.zero_grad()

    assert (p.data, p.grad) == (-0.5, 0.0)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: SGD([]), "^an optimiser needs parameters, got none$"),
        (
            lambda: SGD([Value(1.0)], -0.1),
            "^learning rate -0.1 is not a positive finite number$",
        ),
        (lambda: SGD([Value(1.0)], 0.0), "rate 0.0"),
        (lambda: SGD([Value(1.0)], math.inf), "rate inf"),
        (lambda: SGD([Value(1.0)], math.nan), "nan"),
        (lambda: SGD([Value(1.0)], momentum=1.0), "momentum 1.0"),
        (lambda: Adam([Value(1.0)], betas=(0.9, 1.0)), "1.0"),
        (lambda: Adam([Value(1.0)], epsilon=0.0), "0.0"),
    ],
)
def test_optimiser_errors(action: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        action()


# --- training


def test_batches_hold_each_example_once() -> None:
    inputs = list(range(10))
    seen = []
    for xs, ys in batches(inputs, inputs, 4, random.Random(0)):
        assert xs == ys
        seen += xs

    assert sorted(seen) == inputs
    assert seen != inputs
    assert [len(xs) for xs, _ in batches(inputs, inputs, 4)] == [4, 4, 2]
    assert [xs for xs, _ in batches(inputs, inputs)] == [inputs]
    assert [xs for xs, _ in batches(inputs, inputs, 1)] == [[x] for x in inputs]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1], [1, 2]), "1 inputs, 2 targets"),
        (([1], [1], 0), "size 0"),
        (([], []), "^no examples$"),
    ],
)
def test_batch_errors(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(batches(*arguments))


def test_progress_is_silent_outside_a_terminal(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert list(progress([1, 2], "label")) == [1, 2]
    assert capfd.readouterr() == ("", "")


def test_progress_draws_a_line_in_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tqdm")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)

    assert list(progress([1, 2], "label")) == [1, 2]
    assert "\rlabel: " in capsys.readouterr().err
    assert list(progress([1, 2])) == [1, 2]
    assert capsys.readouterr().err.startswith("\r  0%")


def test_fit_names_its_progress_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tqdm")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    model = MLP(1, [1])
    fit(model, [[1]], [0], mean_squared_error, SGD(model.parameters()), 1)

    assert "\rtraining: " in capsys.readouterr().err


def test_fit_takes_batches_in_the_order_of_its_rng() -> None:
    """One loss a batch, of the size asked for, shuffled as `batches` does."""
    model, seen = MLP(1, [1]), []

    def loss(predictions: list[Value], targets: list[float]) -> Any:
        seen.append(targets)
        return mean_squared_error(predictions, targets)

    optimiser = SGD(model.parameters())
    targets = list(range(8))
    fit(model, [[0.1]] * 8, targets, loss, optimiser, 1, 3, random.Random(5))
    expected = [ys for _, ys in batches(targets, targets, 3, random.Random(5))]

    assert seen == expected
    assert [len(ys) for ys in seen] == [3, 3, 2]


@pytest.mark.parametrize("seed", range(0, 100, 10))
def test_xor_is_learnt(seed: int) -> None:
    """The book's setting ends below 0.01: a sample of its 100 seeds."""
    model = MLP(2, [8, 1], rng=random.Random(seed))
    optimiser = Adam(model.parameters(), learning_rate=0.1)
    history = fit(model, *XOR, mean_squared_error, optimiser, epochs=100)

    assert len(history) == 100
    assert history[-1] < 0.01


def test_fit_reports_the_mean_over_examples() -> None:
    """A short last batch weighs as many examples as it holds."""
    model: Any = MLP(1, [1], rng=random.Random(0))
    start = [(model([x]).data - y) ** 2 for x, y in ((1, 0), (2, 0), (3, 5))]
    optimiser = SGD(model.parameters(), 1e-12)
    history = fit(
        model, [[1], [2], [3]], [0, 0, 5], mean_squared_error, optimiser, 1, 2
    )

    assert history == pytest.approx([sum(start) / 3])


def test_progress_without_tqdm_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The progress line is an extra; training runs without it."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    items = [1, 2]

    assert progress(items, "label") is items


def test_an_optimiser_must_say_how_it_steps() -> None:
    with pytest.raises(NotImplementedError):
        Optimiser([Value(1.0)], 0.1).step()
