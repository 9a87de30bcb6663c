"""Optimisers on arrays: as on numbers, as in PyTorch, and nothing in place."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

from prosegrad.optim import SGD, Adam, AdamW, Optimiser, clip_gradients
from prosegrad.value import Value

np = pytest.importorskip("numpy", reason="NumPy is not installed")
pytest.importorskip("array_api_compat", reason="array-api-compat is not installed")

from prosegrad.tensor import Tensor  # noqa: E402

Make = Callable[[list[Any]], Optimiser]

MAKERS: dict[str, Make] = {
    "sgd": lambda p: SGD(p, 0.05),
    "momentum": lambda p: SGD(p, 0.05, momentum=0.9),
    "adam": lambda p: Adam(p, 0.05),
    "adamw": lambda p: AdamW(p, 0.05, weight_decay=0.1),
}
LIBRARIES = ("numpy", "torch", "jax")


def arrays_of(library: str) -> Callable[..., Any]:
    """Return what makes an array of a library from one of NumPy."""
    if library == "numpy":
        return lambda x: np.array(x)
    if library == "torch":
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        return lambda x: torch.from_numpy(np.array(x))
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    return lambda x: jax.numpy.asarray(x)


def loss_of(parameters: list[Any]) -> Any:
    w, b = parameters
    return ((w * w * w - b) ** 2).sum() + (b * w).sum()


def start(dtype: str = "float64") -> list[Any]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=(3, 2)).astype(dtype), np.asarray(0.3, dtype=dtype)]


def train(parameters: list[Any], optimiser: Optimiser, steps: int) -> None:
    for _ in range(steps):
        optimiser.zero_grad()
        loss_of(parameters).backward()
        optimiser.step()


# --- as in PyTorch


@pytest.mark.parametrize("name", MAKERS)
def test_as_torch_optim(name: str) -> None:
    """Twenty steps end where PyTorch's do."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs = [torch.tensor(x, requires_grad=True) for x in start()]
    peer = {
        "sgd": lambda p: torch.optim.SGD(p, 0.05),
        "momentum": lambda p: torch.optim.SGD(p, 0.05, momentum=0.9),
        "adam": lambda p: torch.optim.Adam(p, 0.05),
        "adamw": lambda p: torch.optim.AdamW(p, 0.05, weight_decay=0.1),
    }[name](theirs)
    for _ in range(20):
        peer.zero_grad()
        loss_of(theirs).backward()
        peer.step()
    ours = [Tensor(x) for x in start()]
    train(ours, MAKERS[name](ours), 20)

    for x, y in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(x.data, y.detach().numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("max_norm", [0.1, 5.0, 1e9])
def test_clip_as_in_torch(max_norm: float) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    ours = [Tensor(x) for x in start()]
    theirs = [torch.tensor(x, requires_grad=True) for x in start()]
    loss_of(ours).backward()
    loss_of(theirs).backward()

    norm = clip_gradients(ours, max_norm)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm)

    assert norm == pytest.approx(float(expected), rel=1e-12)
    for x, y in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(x.grad, y.grad.numpy(), rtol=1e-12, atol=1e-15)


# --- arrays of every library


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", MAKERS)
def test_libraries_agree_and_no_array_is_written_into(library: str, name: str) -> None:
    make = arrays_of(library)
    given = [make(x) for x in start("float32")]
    before = [np.asarray(x).copy() for x in given]
    parameters = [Tensor(x) for x in given]
    optimiser = MAKERS[name](parameters)
    train(parameters, optimiser, 5)
    states = [np.asarray(x).copy() for x in optimiser.state().values()]
    kept = optimiser.state()
    train(parameters, optimiser, 1)

    reference = [Tensor(x) for x in start("float32")]
    train(reference, MAKERS[name](reference), 6)
    for p, own, old, expected in zip(parameters, given, before, reference, strict=True):
        assert type(p.data) is type(own)
        assert p.data.dtype == own.dtype
        assert tuple(p.data.shape) == tuple(own.shape)
        np.testing.assert_array_equal(np.asarray(own), old)
        np.testing.assert_allclose(np.asarray(p.data), expected.data, rtol=2e-5)
    for x, copy in zip(kept.values(), states, strict=True):
        np.testing.assert_array_equal(np.asarray(x), copy)
        assert np.asarray(x).dtype in (np.float32, np.float64, np.int64)


@pytest.mark.parametrize("name", MAKERS)
def test_members_move_as_numbers_do(name: str) -> None:
    numbers = [Value(float(x)) for x in (5.0, -3.0, 0.1)]
    tensor = Tensor(np.asarray([5.0, -3.0, 0.1]))
    one_by_one, at_once = MAKERS[name](numbers), MAKERS[name]([tensor])
    for _ in range(20):
        one_by_one.zero_grad()
        for v in numbers:
            (v**2 + v).backward()
        one_by_one.step()
        at_once.zero_grad()
        (tensor**2 + tensor).sum().backward()
        at_once.step()

    expected = [v.data for v in numbers]
    np.testing.assert_allclose(tensor.data, expected, rtol=1e-12)


@pytest.mark.parametrize("name", MAKERS)
def test_a_learning_rate_of_numpy_does_not_raise_the_precision(name: str) -> None:
    parameters = [Tensor(x) for x in start("float32")]
    optimiser = MAKERS[name](parameters)
    optimiser.learning_rate = np.float64(0.1)
    train(parameters, optimiser, 2)

    assert [p.data.dtype for p in parameters] == [np.float32] * 2
    assert [type(p.data) for p in parameters] == [np.ndarray] * 2


@pytest.mark.parametrize("name", MAKERS)
def test_without_a_gradient_it_is_zero(name: str) -> None:
    """What no backward has reached stays, and the state has its shape."""
    parameters = [Tensor(x) for x in start()]
    optimiser = MAKERS[name](parameters)
    optimiser.weight_decay = 0.0  # type: ignore[attr-defined]
    optimiser.step()

    for p, x in zip(parameters, start(), strict=True):
        np.testing.assert_array_equal(p.data, x)
    again = MAKERS[name](parameters)
    again.load_state(optimiser.state())


def test_whole_numbers_become_floats() -> None:
    x = Tensor(np.asarray([1, 2]))
    optimiser = SGD([x], 0.25)
    x.grad = np.asarray([1.0, 2.0])
    optimiser.step()

    assert x.data.tolist() == [0.75, 1.5]


def test_fractions_stay_exact() -> None:
    x = Value(Fraction(1, 3))
    optimiser = SGD([x], Fraction(1, 2), Fraction(1, 2))  # type: ignore[arg-type]
    for _ in range(2):
        x.grad = Fraction(1, 7)
        optimiser.step()

    assert x.data == Fraction(1, 3) - Fraction(1, 14) - Fraction(3, 28)


def test_a_gradient_of_another_shape() -> None:
    """It is refused, and nothing has moved."""
    parameters = [Tensor(np.ones(2)), Tensor(np.ones(3))]
    parameters[0].grad = np.ones(2)
    parameters[1].grad = np.ones((2, 3))
    for make in MAKERS.values():
        optimiser = make(parameters)
        with pytest.raises(
            ValueError, match=r"parameter 1 has shape \(3,\), .* gradient \(2, 3\)"
        ):
            optimiser.step()

        assert optimiser.steps == 0
    assert parameters[0].data.tolist() == [1.0, 1.0]


def test_momentum_does_not_remember_unless_asked() -> None:
    """A gradient of infinity leaves no trace in plain descent."""
    x = Tensor(np.zeros(2))
    optimiser = SGD([x], 1.0)
    x.grad = np.asarray([math.inf, 0.0])
    optimiser.step()
    x.data, x.grad = np.zeros(2), np.ones(2)
    optimiser.step()

    assert x.data.tolist() == [-1.0, -1.0]
    assert list(optimiser.state()) == ["learning_rate", "steps"]


@pytest.mark.parametrize("make", MAKERS.values())
def test_a_parameter_twice(make: Make) -> None:
    x = Tensor(np.ones(2))
    with pytest.raises(ValueError, match="given twice"):
        make([x, Tensor(np.ones(2)), x])


# --- clipping


@pytest.mark.parametrize("library", LIBRARIES)
def test_clip_keeps_precision_and_writes_into_nothing(library: str) -> None:
    make = arrays_of(library)
    grad = make(np.asarray([3.0, 4.0], dtype="float32"))
    x = Tensor(make(np.ones(2, dtype="float32")))
    x.grad = grad
    norm = clip_gradients([x], 1.0)

    assert norm == pytest.approx(5.0)
    assert np.asarray(x.grad).tolist() == pytest.approx([0.6, 0.8], rel=1e-5)
    assert x.grad.dtype == grad.dtype
    assert np.asarray(grad).tolist() == [3.0, 4.0]


def test_clip_of_huge_and_tiny_gradients() -> None:
    """No square overflows, and none is lost."""
    x, y = Tensor(np.ones(2, dtype="float32")), Value(1.0)
    x.grad, y.grad = np.asarray([3e30, 0.0], dtype="float32"), 4e30

    assert clip_gradients([x, y], 1.0) == pytest.approx(5e30)
    x.grad, y.grad = np.asarray([3e-30, 0.0], dtype="float32"), 4e-30
    assert clip_gradients([x, y], 1.0) == pytest.approx(5e-30)
    assert y.grad == 4e-30


def test_clip_of_nothing() -> None:
    parameters = [Value(1.0), Tensor(np.ones(3)), Tensor(np.ones((0, 2)))]
    parameters[2].grad = np.ones((0, 2))

    assert clip_gradients(parameters, 1.0) == 0.0
    assert clip_gradients([], 1.0) == 0.0


@pytest.mark.parametrize("bad", [math.inf, math.nan, -math.inf])
def test_clip_of_what_is_not_finite(bad: float) -> None:
    parameters = [Tensor(np.ones(2)), Tensor(np.ones(2))]
    parameters[0].grad, parameters[1].grad = np.ones(2) * 9, np.asarray([1.0, bad])
    with pytest.raises(ValueError, match="gradient of parameter 1 is not finite"):
        clip_gradients(parameters, 1.0)

    assert parameters[0].grad.tolist() == [9.0, 9.0]


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan])
def test_clip_needs_a_length(bad: float) -> None:
    with pytest.raises(ValueError, match="max_norm"):
        clip_gradients([Value(1.0)], bad)


def test_clip_takes_any_iterable() -> None:
    x = Value(1.0)
    x.grad = 2.0
    assert clip_gradients(iter([x]), 1.0) == 2.0
    assert x.grad == pytest.approx(1.0)


# --- state


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", MAKERS)
def test_state_goes_on_as_if_nothing_had_happened(library: str, name: str) -> None:
    """It comes as arrays of NumPy, as from a file."""
    make = arrays_of(library)
    whole = [Tensor(make(x)) for x in start("float32")]
    train(whole, MAKERS[name](whole), 10)

    half = [Tensor(make(x)) for x in start("float32")]
    first = MAKERS[name](half)
    train(half, first, 4)
    saved = {n: np.asarray(x) for n, x in first.state().items()}
    rest = [Tensor(x.data) for x in half]
    second = MAKERS[name](rest)
    second.learning_rate = 1.0
    second.load_state(saved)
    train(rest, second, 6)

    assert second.steps == 10
    assert type(second.steps) is int
    assert type(second.learning_rate) is float
    for x, y in zip(rest, whole, strict=True):
        assert np.asarray(x.data).tobytes() == np.asarray(y.data).tobytes()


def test_state_of_numbers() -> None:
    x = Value(1.0)
    optimiser = Adam([x], 0.1)
    x.grad = 2.0
    optimiser.step()
    saved = {n: np.asarray(v) for n, v in optimiser.state().items()}
    other = Adam([Value(1.0)], 0.1)
    other.load_state(saved)

    assert other.state() == optimiser.state()
    assert {type(v) for v in other.state().values()} == {float, int}


def test_load_state_copies() -> None:
    x = Tensor(np.ones(2))
    optimiser = SGD([x], 0.1, momentum=0.5)
    state = optimiser.state()
    state["velocity.0"] = np.ones(2)
    optimiser.load_state(state)
    state["velocity.0"][:] = 9.0

    assert optimiser.state()["velocity.0"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean.1": np.ones(3)}, r"mean.1 has shape \(3,\), and the parameter \(\)"),
        ({"square.0": np.ones(3)}, r"square.0 has shape \(3,\)"),
        ({"velocity.0": 1.0}, r"does not know \['velocity.0'\]"),
        ({"steps": None}, r"lacks \['steps'\]"),
        ({"mean.0": None}, r"lacks \['mean.0'\]"),
    ],
)
def test_a_state_that_does_not_fit(change: dict[str, Any], message: str) -> None:
    parameters = [Tensor(x) for x in start()]
    optimiser = Adam(parameters, 0.1)
    train(parameters, optimiser, 2)
    before = optimiser.state()
    spoiled = {**Adam(parameters, 0.5).state(), **change}
    with pytest.raises(ValueError, match=message):
        optimiser.load_state({n: x for n, x in spoiled.items() if x is not None})

    after = optimiser.state()
    assert after.keys() == before.keys()
    assert all(after[n] is before[n] for n in before)


@pytest.mark.parametrize("bad", ["fast", [1.0, 2.0], None])
def test_a_state_that_is_no_number(bad: Any) -> None:
    optimiser = SGD([Value(1.0)], 0.1)
    with pytest.raises((TypeError, ValueError)):
        optimiser.load_state({"learning_rate": bad, "steps": 3})

    assert optimiser.state() == {"learning_rate": 0.1, "steps": 0}


@pytest.mark.parametrize("bad", [-0.1, math.inf, math.nan])
def test_weight_decay_must_be_possible(bad: float) -> None:
    with pytest.raises(ValueError, match="weight decay"):
        AdamW([Value(1.0)], weight_decay=bad)


def test_adamw_is_adam_without_decay() -> None:
    ours, theirs = ([Tensor(x) for x in start()] for _ in range(2))
    train(ours, Adam(ours, 0.1), 5)
    train(theirs, AdamW(theirs, 0.1, weight_decay=0.0), 5)

    assert ours[0].data.tobytes() == theirs[0].data.tobytes()
    assert AdamW([Value(1.0)]).weight_decay == 0.01
