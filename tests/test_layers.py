"""Layers of Tensors: against PyTorch, by differences, and what they refuse."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prosegrad import MLP, grad, value_and_grad
from prosegrad.layers import (
    Conv2d,
    Dropout,
    Embedding,
    FeedForward,
    LayerNorm,
    Linear,
    Sequential,
    evaluating,
    functional_call,
    layer_norm,
)
from prosegrad.losses import cross_entropy
from prosegrad.module import Module
from prosegrad.nn import ACTIVATIONS
from prosegrad.recording import jit_arrays
from prosegrad.tensor import Tensor

X = np.random.default_rng(9).normal(size=(2, 3, 4))


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def arrays_of(name: str) -> Callable[[Any], Any]:
    """Return what makes arrays of a library, or skip."""
    try:
        library = importlib.import_module(name)
    except ImportError:
        pytest.skip(f"{name} is not installed")
    asarray: Callable[[Any], Any] = getattr(library, "asarray", None) or library.array
    return asarray


def torch() -> Any:
    arrays_of("torch")
    return importlib.import_module("torch")


def close(actual: Any, expected: Any, rtol: float = 1e-10) -> None:
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=1e-12)


# --- each layer against PyTorch, values and gradients

PAIRS: dict[str, tuple[Callable[[], Any], Any, Callable[..., Any]]] = {
    "linear": (
        lambda: Linear(4, 5, rng=seeded()),
        X,
        lambda F, x, weight, bias: F.linear(x, weight.T, bias),
    ),
    "linear without bias": (
        lambda: Linear(4, 5, bias=False, rng=seeded()),
        X,
        lambda F, x, weight: F.linear(x, weight.T),
    ),
    "layer_norm": (
        lambda: LayerNorm(4),
        X,
        lambda F, x, weight, bias: F.layer_norm(x, (4,), weight, bias),
    ),
    "embedding": (
        lambda: Embedding(5, 3, rng=seeded()),
        np.array([[0, 4, 0], [1, 0, 4]]),
        lambda F, x, weight: F.embedding(x, weight),
    ),
    "conv2d": (
        lambda: Conv2d(3, 2, (3, 2), stride=2, padding=1, rng=seeded()),
        seeded().normal(size=(2, 3, 7, 6)),
        lambda F, x, weight, bias: F.conv2d(x, weight, bias, 2, 1),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_layer_is_that_of_pytorch(name: str) -> None:
    make, x, function = PAIRS[name]
    peer = torch()
    layer = make()
    for parameter in layer.parameters():
        parameter.data = parameter.data + seeded(5).normal(size=parameter.shape)
    floats = x.dtype.kind == "f"
    ours = Tensor(x) if floats else x
    theirs = peer.tensor(x, requires_grad=floats)
    weights = {
        name: peer.tensor(p.data, requires_grad=True)
        for name, p in layer.named_parameters()
    }

    result = layer(ours)
    expected = function(peer.nn.functional, theirs, **weights)
    factor = seeded(6).normal(size=result.shape)
    (result * factor).sum().backward()
    (expected * peer.tensor(factor)).sum().backward()

    close(result.data, expected.detach())
    for key, parameter in layer.named_parameters():
        close(parameter.grad, weights[key].grad)
    if floats:
        close(ours.grad, theirs.grad)


@pytest.mark.parametrize("library", ["torch", "jax.numpy"])
def test_a_state_moves_a_model_to_another_library(library: str) -> None:
    asarray = arrays_of(library)
    rng = seeded()
    model = Sequential(
        Embedding(5, 4, rng=rng), LayerNorm(4), FeedForward(4, [3, 1], "gelu", rng=rng)
    )
    text = np.array([[0, 3, 3], [4, 0, 1]])
    (model(text) ** 2).sum().backward()
    expected = {name: p.grad for name, p in model.named_parameters()}

    model.load_state({name: asarray(a) for name, a in model.state().items()})
    assert [p.grad for p in model.parameters()] == [0] * 7
    (model(text) ** 2).sum().backward()

    for name, parameter in model.named_parameters():
        assert type(parameter.data) is type(asarray([1.0]))
        assert type(parameter.grad) is type(asarray([1.0]))
        np.testing.assert_allclose(parameter.grad, expected[name], rtol=2e-4, atol=1e-5)


# --- layer_norm


def composed(x: Any, weight: Any, bias: Any, epsilon: float = 1e-5) -> Any:
    rest = x - x.mean(-1, keepdims=True)
    variance = (rest * rest).mean(-1, keepdims=True)
    return rest / (variance + epsilon).sqrt() * weight + bias


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(1, 3), max_size=2),
    st.integers(1, 5),
    st.sampled_from([1e-5, 0.1, 2.0]),
    st.integers(0, 1000),
)
def test_layer_norm_is_that_of_operators(
    before: list[int], n: int, epsilon: float, seed: int
) -> None:
    rng = seeded(seed)
    data = [rng.normal(size=shape) for shape in ((*before, n), (n,), (n,))]
    factor = rng.normal(size=(*before, n))
    found = []
    functions: tuple[Any, ...] = (layer_norm, composed)
    for function in functions:
        operands = [Tensor(d) for d in data]
        result = function(*operands, epsilon)
        (result * factor).sum().backward()
        found.append([result.data, *(t.grad for t in operands)])

    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("which", range(3))
def test_layer_norm_has_a_second_derivative(which: int) -> None:
    rng = seeded(which)
    operands = [X[0], rng.normal(size=4), rng.normal(size=4)]
    factor, direction = rng.normal(size=(3, 4)), rng.normal(size=operands[which].shape)

    def slope(function: Callable[..., Any]) -> Any:
        def loss(v: Any) -> Any:
            chosen = [*operands]
            chosen[which] = v
            return (function(*chosen).sin() * factor).sum()

        return lambda v: (grad(loss)(v) * direction).sum()

    second = grad(slope(layer_norm))(operands[which])
    expected = grad(slope(composed))(operands[which]) if which == 0 else None
    nudged, h = slope(layer_norm), 1e-5
    for i in np.ndindex(second.shape):
        step = np.zeros(second.shape)
        step[i] = h
        ahead, behind = nudged(operands[which] + step), nudged(operands[which] - step)
        assert second[i] == pytest.approx((ahead - behind) / (2 * h), abs=1e-7)
    if expected is not None:
        close(second, expected, rtol=1e-8)


def test_layer_norm_takes_arrays_and_tensors() -> None:
    weight, bias = np.full(4, 2.0), np.ones(4)
    plain = layer_norm(X, weight, bias)
    mixed = layer_norm(X, Tensor(weight), bias)

    assert plain._parents == ()
    assert len(mixed._parents) == 1
    close(plain.data, mixed.data)
    close(plain.data.mean(-1), 1.0)
    close(plain.data.std(-1), 2.0, rtol=1e-4)


def test_equal_features_become_the_bias() -> None:
    x = Tensor(np.full((2, 3), 7.0))
    result = layer_norm(x, np.ones(3), np.arange(3.0))
    (result**2).sum().backward()

    close(result.data, [[0.0, 1.0, 2.0]] * 2)
    assert np.isfinite(x.grad).all()


def test_layer_norm_is_one_node_of_its_own_precision() -> None:
    x = np.float32(X)
    norm = LayerNorm(4, dtype=np.float32)
    result = norm(Tensor(x))
    result.sum().backward()

    assert result._op == "layer_norm"
    assert result.dtype == norm.weight.grad.dtype == np.float32


# --- networks


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_feed_forward_is_layers_and_activations(activation: str) -> None:
    model = FeedForward(4, [5, 2], activation, "tanh", rng=seeded())
    first, last = model.layers
    hidden = first(X)
    if activation != "linear":
        hidden = getattr(hidden, activation)()

    assert (model(X).data == last(hidden).tanh().data).all()
    assert model(X).shape == (2, 3, 2)


def test_names_are_in_order_of_definition() -> None:
    model = Sequential(FeedForward(2, [3, 1]), Tensor.relu, LayerNorm(1), Dropout())

    assert [name for name, _ in model.named_parameters()] == [
        "layers.0.layers.0.weight",
        "layers.0.layers.0.bias",
        "layers.0.layers.1.weight",
        "layers.0.layers.1.bias",
        "layers.2.weight",
        "layers.2.bias",
    ]
    assert [p.data.shape for p in model.parameters()][:3] == [(2, 3), (3,), (3, 1)]
    assert repr(model) == "Sequential(15 parameters)"
    assert Sequential()(X) is X


def test_a_layer_without_bias_has_one_parameter() -> None:
    names = [name for name, _ in Linear(2, 3, bias=False).named_parameters()]
    kernels = Conv2d(1, 2, 3, bias=False)

    assert names == ["weight"]
    assert [p.data.shape for p in kernels.parameters()] == [(2, 1, 3, 3)]


@pytest.mark.parametrize(
    ("make", "n_inputs"),
    [
        (lambda rng: Linear(1000, 50, rng=rng), 1000),
        (lambda rng: Embedding(1000, 50, rng=rng), 1),
        (lambda rng: Conv2d(10, 50, (5, 20), rng=rng), 1000),
    ],
)
def test_weights_have_variance_one_over_the_inputs(make: Any, n_inputs: int) -> None:
    weight = make(seeded()).weight.data

    assert weight.var() * n_inputs == pytest.approx(1, rel=0.02)
    assert abs(weight).max() <= np.sqrt(3 / n_inputs)


@pytest.mark.parametrize(
    "make",
    [
        lambda **options: Linear(3, 4, **options),
        lambda **options: FeedForward(3, [4, 4], **options),
        lambda **options: Embedding(3, 4, **options),
        lambda **options: Conv2d(3, 4, 2, **options),
    ],
)
def test_the_seed_and_the_precision(make: Any) -> None:
    first, again = make(rng=seeded(1)), make(rng=seeded(1))
    other, short = make(rng=seeded(2)), make(rng=seeded(1), dtype=np.float32)

    for a, b, c, d in zip(*(m.parameters() for m in (first, again, other, short))):
        assert (a.data == b.data).all()
        assert a.dtype == np.float64
        assert d.dtype == np.float32
        assert (d.data == a.data.astype(np.float32)).all()
        if a.data.any():
            assert (a.data != c.data).any()
    layers = FeedForward(4, [4, 4], rng=seeded()).layers
    assert (layers[0].weight.data != layers[1].weight.data).any()


def test_a_state_survives_the_round_trip() -> None:
    model, other = (FeedForward(3, [4, 1], rng=seeded(seed)) for seed in (0, 1))
    state = model.state()
    other.load_state(state)
    state["layers.0.weight"][:] = 0.0
    model.layers[1].weight.data[:] = 0.0

    assert (other(X[..., :3]).data != 0).all()
    assert (model.layers[0].weight.data != 0).all()
    assert (state["layers.1.weight"] != 0).all()


def test_a_state_goes_in_whole_or_not_at_all() -> None:
    model = FeedForward(3, [4, 1])
    before, shape = model.state(), r"layers.1.weight has shape \(4, 1\) .* \(4,\)"
    wrong = {**before, "layers.0.weight": np.zeros((3, 4))}
    for bad, error, message in (
        (np.zeros(4), ValueError, shape),
        ("text", TypeError, "layers.1.weight"),
        ([[1.0], [2.0, 3.0]], ValueError, "layers.1.weight"),
        (Tensor(np.zeros((4, 1))), TypeError, "layers.1.weight is a Tensor"),
    ):
        with pytest.raises(error, match=message):
            model.load_state({**wrong, "layers.1.weight": bad})
        for name, array in model.state().items():
            assert (array == before[name]).all()


# --- embedding


def test_a_row_used_twice_gets_two_shares() -> None:
    table = Embedding(4, 2, rng=seeded())
    table([[1, 3], [1, 1]]).sum().backward()

    assert table.weight.grad.tolist() == [[0, 0], [3, 3], [0, 0], [1, 1]]
    assert table(2).shape == (2,)
    assert table(np.zeros((0,), int)).shape == (0, 2)


# --- dropout


@settings(deadline=None, max_examples=20)
@given(st.floats(0, 0.99), st.integers(0, 100))
def test_dropout_keeps_or_scales(p: float, seed: int) -> None:
    layer, x = Dropout(p, rng=seeded(seed)), Tensor(X)
    y = layer(x)
    (y * 1.0).sum().backward()
    scales = y.data / X

    assert np.isin(np.round(scales * (1 - p), 9), (0.0, 1.0)).all()
    close(x.grad, scales)


def test_dropout_is_reproducible_and_about_p() -> None:
    x = np.ones(100_000, np.float32)
    first, again = (Dropout(0.3, rng=seeded(4))(x) for _ in range(2))

    assert (first == again).all()
    assert first.dtype == np.float32
    assert (first == 0).mean() == pytest.approx(0.3, abs=0.01)
    assert first.mean() == pytest.approx(1, abs=0.01)


def test_evaluating_ends_with_its_block() -> None:
    model = Sequential(Dropout(), Sequential(Dropout()))
    inner = model.layers[1].layers[0]
    inner.training = False

    with evaluating(model):
        assert model(X) is X
    assert model.layers[0].training
    assert not inner.training
    assert (model(X) == 0).any()

    with pytest.raises(KeyError), evaluating(model):
        raise KeyError
    assert model.layers[0].training


def test_evaluating_knows_modules_of_others() -> None:
    class Mine(Module):
        training = True

    mine = Mine()
    with evaluating(mine):
        assert not mine.training
    assert mine.training


# --- other parameters for one call


class Pair(NamedTuple):
    left: Any
    right: Any


class Holders(Module):
    """Parameters wherever one may stand, and one of them four times."""

    def __init__(self) -> None:
        self.shared = Tensor([1.0, 2.0])
        self.parts: Any = [self.shared, (Tensor(3.0), [self.shared])]
        pair = Pair(self.shared, Tensor([4.0]))
        self.named: Any = {"pair": pair, "other": (1, "text")}
        self.inside = Sequential(Linear(2, 1, rng=seeded()))
        self.inside.layers.append(lambda x: x * self.parts[1][0])
        self.calls = 0

    def __call__(self, x: Any) -> Any:
        self.calls += 1
        self.met = [type(member).__name__ for member in self.parts[1]]
        once, (scale, (again,)) = self.parts
        pair = self.named["pair"]
        assert once is again is pair.left is self.shared
        return self.inside(x * self.shared + once * pair.right) + scale


def holders_of(x: Any) -> list[Any]:
    return [
        x.shared,
        x.parts,
        x.parts[0],
        x.parts[1],
        *x.parts[1],
        x.named["pair"],
        x.named["other"],
        *x.named["pair"],
        *x.inside.layers,
        *x.inside.parameters(),
    ]


def test_other_parameters_stand_wherever_the_own_ones_did() -> None:
    model, peer = Holders(), Holders()
    before = holders_of(model)
    names = [name for name, _ in model.named_parameters()]
    state = {
        n: a + seeded(i).normal(size=a.shape)
        for i, (n, a) in enumerate(model.state().items())
    }
    peer.load_state(state)
    result = functional_call(model, state, X[0, :, :2])

    assert names[:3] == ["shared", "parts.1.0", "named.pair.1"]
    assert (result.data == peer(X[0, :, :2]).data).all()
    assert all(a is b for a, b in zip(holders_of(model), before, strict=True))
    assert model.calls == 1
    assert model.met == ["Tensor", "list"]


@pytest.mark.parametrize("compiled", [False, True])
def test_the_gradient_by_a_dict_is_that_of_the_parameters(compiled: bool) -> None:
    model, x = Holders(), X[0, :, :2]

    def loss(parameters: Any, x: Any) -> Any:
        return (functional_call(model, parameters, x) ** 2).sum()

    both = value_and_grad(loss)
    value, slopes = (jit_arrays(both) if compiled else both)(model.state(), x)
    expected = (model(x) ** 2).sum()
    expected.backward()

    close(value, expected.data)
    for name, parameter in model.named_parameters():
        close(slopes[name], parameter.grad)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_network_of_layers_is_a_function_of_its_state(compiled: bool) -> None:
    rng = seeded()
    model = Sequential(
        Conv2d(1, 3, 2, rng=rng),
        Tensor.relu,
        lambda x: x.reshape(len(x), -1),
        LayerNorm(12),
        FeedForward(12, [4, 3], rng=rng),
    )
    x, y = rng.normal(size=(5, 1, 3, 3)), np.array([0, 1, 2, 2, 0])

    def loss(parameters: Any, x: Any, y: Any) -> Any:
        return cross_entropy(functional_call(model, parameters, x), y)

    both = value_and_grad(loss)
    value, slopes = (jit_arrays(both) if compiled else both)(model.state(), x, y)
    expected = cross_entropy(model(x), y)
    expected.backward()

    close(value, expected.data)
    for name, parameter in model.named_parameters():
        close(slopes[name], parameter.grad)


def test_it_can_be_differentiated_twice() -> None:
    model = FeedForward(2, [3, 1], rng=seeded())
    state = model.state()
    direction = {n: seeded(3).normal(size=a.shape) for n, a in state.items()}

    def loss(parameters: Any) -> Any:
        return (functional_call(model, parameters, X[0, :, :2]) ** 2).sum()

    def slope(parameters: Any) -> Any:
        slopes = grad(loss)(parameters)
        return sum((slopes[n] * direction[n]).sum() for n in slopes)

    def nudged(h: float) -> Any:
        return grad(loss)({n: a + h * direction[n] for n, a in state.items()})

    ahead, behind = nudged(1e-5), nudged(-1e-5)
    for name, found in grad(slope)(state).items():
        expected = (ahead[name] - behind[name]) / 2e-5
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


def test_tensors_are_taken_as_they_are() -> None:
    model, other = Linear(2, 1, rng=seeded()), Linear(2, 1, rng=seeded(1))
    result = functional_call(model, dict(other.named_parameters()), X[..., :2])
    result.sum().backward()

    assert (result.data == other(X[..., :2]).data).all()
    assert other.bias is not None
    assert other.bias.grad.tolist() == [6]
    assert [p.grad for p in model.parameters()] == [0, 0]


def test_a_network_of_values_has_other_numbers_too() -> None:
    model, other = MLP(2, [3, 1]), MLP(2, [3, 1])
    expected: Any = other([1.0, 2.0])

    assert functional_call(model, other.state(), [1.0, 2.0]).data == expected.data


class Failing(Holders):
    def __call__(self, x: Any) -> Any:
        super().__call__(x)
        raise KeyError("on purpose")


def test_the_own_parameters_are_back_after_an_error() -> None:
    model = Failing()
    before, state = holders_of(model), Holders().state()
    for x, error in ((X[..., :2], KeyError), (X, ValueError)):
        with pytest.raises(error):
            functional_call(model, state, x)

        assert all(a is b for a, b in zip(holders_of(model), before, strict=True))


def test_a_model_without_a_gradient_is_compiled_too() -> None:
    model = Holders()
    state = {name: a + 1.0 for name, a in model.state().items()}
    calls = []

    def predict(state: Any, x: Any) -> Any:
        calls.append(x)
        return functional_call(model, state, x).data

    run, x = jit_arrays(predict), X[0, :, :2]

    close(run(state, x), predict(state, x))
    close(run(state, x), functional_call(model, state, x).data)
    assert len(calls) == 2


def test_a_call_inside_a_call() -> None:
    model = Linear(2, 1, rng=seeded())
    low, high = (
        {n: np.full(p.shape, v) for n, p in model.named_parameters()} for v in (1, 5)
    )
    outer = Sequential(
        model,
        lambda x: functional_call(model, high, x + np.zeros(2)),
        lambda x: model(x * np.ones(2)),
    )
    names = {f"layers.0.{name}": x for name, x in low.items()}
    own = model.state()

    assert functional_call(outer, names, [[1.0, 2.0]]).data.tolist() == [[91.0]]
    assert all((model.state()[n] == a).all() for n, a in own.items())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"weight": None}, ValueError, r"\['weight'\] are missing"),
        ({"wieght": 1.0}, ValueError, r"does not know \['wieght'\]"),
        (
            {"weight": np.ones((1, 2))},
            ValueError,
            r"weight has shape \(2, 1\).*\(1, 2\)",
        ),
        ({"bias": 0.0}, ValueError, r"bias has shape \(1,\).*\(\)"),
        ({"weight": Tensor(np.ones(2))}, ValueError, r"weight has shape \(2, 1\)"),
        ({"bias": ["text"]}, TypeError, "text"),
    ],
)
def test_other_parameters_that_do_not_fit(
    change: Any, error: Any, message: str
) -> None:
    model = Linear(2, 1)
    own = model.parameters()
    given = {n: x for n, x in {**model.state(), **change}.items() if x is not None}
    with pytest.raises(error, match=message):
        functional_call(model, given, X[..., :2])

    assert all(a is b for a, b in zip(model.parameters(), own, strict=True))


def test_only_modules_have_parameters() -> None:
    with pytest.raises(TypeError, match=r"functional_call: .* of type .* is no Module"):
        functional_call(abs, {}, 1.0)


# --- what is refused


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (lambda: Linear(0, 1), ValueError, "Linear: n_inputs is 0"),
        (lambda: Linear(1, 0), ValueError, "Linear: n_outputs is 0"),
        (lambda: Linear(1, 1, dtype=int), TypeError, "int64"),
        (lambda: Linear(1, 1, dtype=complex), TypeError, "complex128"),
        (lambda: Linear(2, 1)(X), ValueError, r"\(2, 3, 4\) and \(2, 1\)"),
        (lambda: FeedForward(2, []), ValueError, "layer_sizes is empty"),
        (lambda: FeedForward(2, [0]), ValueError, "n_outputs is 0"),
        (lambda: FeedForward(2, [1], "step"), ValueError, "'step' is none"),
        (lambda: FeedForward(2, [1], output="exp"), ValueError, "'exp' is none"),
        (lambda: Embedding(0, 1), ValueError, "Embedding: n_entries is 0"),
        (lambda: Embedding(1, 0), ValueError, "Embedding: n_features is 0"),
        (lambda: Embedding(2, 1)([1.0]), TypeError, "not float64"),
        (lambda: Embedding(2, 1)([-1, 0]), ValueError, "from -1 to 0.* 2 entries"),
        (lambda: Embedding(2, 1)([[2]]), ValueError, "from 2 to 2"),
        (lambda: LayerNorm(0), ValueError, "LayerNorm: n_features is 0"),
        (lambda: LayerNorm(2, 0.0), ValueError, "epsilon 0.0"),
        (lambda: LayerNorm(2, dtype=int), TypeError, "int64"),
        (lambda: LayerNorm(3)(X), ValueError, r"layer_norm: x of shape \(2, 3, 4\)"),
        (lambda: layer_norm(X, np.ones(4), 0.0), ValueError, r"\(4,\) and \(\)"),
        (lambda: layer_norm(1.0, 1.0, 1.0), ValueError, r"shape \(\)"),
        (lambda: layer_norm([], [], []), ValueError, r"shape \(0,\)"),
        (lambda: Conv2d(0, 1, 2), ValueError, "Conv2d: channels_in is 0"),
        (lambda: Conv2d(1, 0, 2), ValueError, "Conv2d: channels_out is 0"),
        (lambda: Conv2d(1, 1, 0), ValueError, "Conv2d: kernel_size is 0"),
        (lambda: Dropout(1.0), ValueError, "p 1.0"),
        (lambda: Dropout(-0.1), ValueError, "p -0.1"),
    ],
)
def test_what_is_refused(action: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        action()
