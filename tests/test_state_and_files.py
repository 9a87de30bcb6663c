"""Every optimiser, Module and file: no state is lost, none accepted that is wrong."""

from __future__ import annotations

import math
import os
import random
import stat
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from prosegrad import (
    MLP,
    SGD,
    Adam,
    AdamW,
    Layer,
    Module,
    Neuron,
    Optimiser,
    Value,
    batches,
    clip_gradients,
    fit,
    load_parameters,
    mean_squared_error,
    save_parameters,
)

np = pytest.importorskip("numpy", reason="NumPy is not installed")
pytest.importorskip("array_api_compat", reason="array-api-compat is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

from prosegrad.attention import GPT, Block, SelfAttention  # noqa: E402
from prosegrad.checkpoints import Checkpoints, joined, save_checkpoint  # noqa: E402
from prosegrad.data import Loader  # noqa: E402
from prosegrad.layers import (  # noqa: E402
    Conv2d,
    Dropout,
    Embedding,
    FeedForward,
    LayerNorm,
    Linear,
    Sequential,
    functional_call,
    layer_norm,
)
from prosegrad.recomputing import recompute  # noqa: E402
from prosegrad.schedules import EarlyStopping  # noqa: E402
from prosegrad.tensor import Tensor, matmul  # noqa: E402

# --- optimisers against a reference in double precision

BETAS = (0.0, 1e-8, 0.3, 0.5, 0.9, 0.999, 0.9999)
GRADIENTS = {
    "falling": [1.0, 1e-4, 1e-4, 1e-8],
    "rising": [1e-6, 1.0, 1e3],
    "signs": [1.0, -1.0, 2.0, -3.0, 1.0],
    "constant": [0.3] * 6,
}


def adam_reference(gradients: list[float], betas: tuple[float, float]) -> list[float]:
    """Return the moves of Adam from explicit sums, without running means."""
    moves = []
    for k in range(1, len(gradients) + 1):
        sums = []
        for beta, power in zip(betas, (1, 2), strict=True):
            weights = [(1 - beta) * beta ** (k - 1 - j) for j in range(k)]
            terms = [w * g**power for w, g in zip(weights, gradients[:k], strict=True)]
            sums.append(math.fsum(terms) / math.fsum(weights))
        moves.append(sums[0] / (math.sqrt(sums[1]) + 1e-8))
    return moves


def run(
    optimiser: Optimiser, x: Any, gradients: list[float], shape: Any
) -> list[float]:
    places = [0.0]
    for g in gradients:
        x.grad = g if shape is None else np.full(shape, g, x.data.dtype)
        optimiser.step()
        found = x.data if shape is None else x.data.flat[0]
        places.append(float(found))
    return [a - b for a, b in pairwise(places)]


@pytest.mark.parametrize("gradients", GRADIENTS.values(), ids=GRADIENTS)
@pytest.mark.parametrize("beta1", BETAS)
@pytest.mark.parametrize("beta2", BETAS)
@pytest.mark.parametrize("kind", [None, "float64", "float32"])
def test_adam_at_all_betas(
    beta1: float, beta2: float, gradients: list[float], kind: str | None
) -> None:
    x: Any = Value(0.0) if kind is None else Tensor(np.zeros(2, kind))
    optimiser = Adam([x], 1.0, betas=(beta1, beta2))
    found = run(optimiser, x, gradients, None if kind is None else (2,))

    assert found == pytest.approx(
        adam_reference(gradients, (beta1, beta2)),
        rel=1e-4 if kind == "float32" else 1e-10,
        abs=1e-4 if kind == "float32" else 1e-9,
    )


@pytest.mark.parametrize("momentum", BETAS)
def test_momentum_is_not_rounded_to_the_precision_of_the_array(momentum: float) -> None:
    single, double = (Tensor(np.zeros(1, dtype)) for dtype in ("f4", "f8"))
    ends = []
    for x in (single, double):
        optimiser = SGD([x], 1e-6, momentum=momentum)
        for _ in range(3000):
            x.grad = np.ones(1, x.data.dtype)
            optimiser.step()
        velocity = optimiser.velocity[0] if momentum else np.ones(1)
        ends.append(float(velocity[0]))

    assert ends[0] == pytest.approx(ends[1], rel=5e-6)


MAKERS: dict[str, Callable[[Any], Optimiser]] = {
    "sgd": lambda p: SGD(p, 0.05),
    "momentum": lambda p: SGD(p, 0.05, momentum=0.9),
    "adam": lambda p: Adam(p, 0.05),
    "adamw": lambda p: AdamW(p, 0.05, weight_decay=0.1),
}


@pytest.mark.parametrize("size", [1e-4, 0.1, 300.0, 6e4])
@pytest.mark.parametrize("name", MAKERS)
def test_half_precision_moves_as_single_precision_does(name: str, size: float) -> None:
    ends = []
    for dtype in ("f2", "f4"):
        x = Tensor(np.ones(3, dtype))
        optimiser = MAKERS[name]([x])
        for _ in range(2):
            x.grad = np.full(3, np.float16(size), dtype)
            optimiser.step()
        ends.append(x.data.astype("f8"))

    assert ends[0] == pytest.approx(ends[1], rel=5e-3)


@pytest.mark.parametrize(
    "gradient", [np.full(70_000, 0.1), np.full(9, 6e4), np.full(70_000, 300.0)]
)
def test_clipping_in_half_precision(gradient: Any) -> None:
    half, single = (Value(np.ones(gradient.shape, d)) for d in ("f2", "f4"))
    for x, dtype in ((half, "f2"), (single, "f4")):
        x.grad = gradient.astype("f2").astype(dtype)
    norm = clip_gradients([half], 1.0)

    assert norm == pytest.approx(clip_gradients([single], 1.0), rel=1e-5)
    assert half.grad.dtype == np.float16
    np.testing.assert_allclose(half.grad, single.grad, rtol=2e-3, atol=1e-7)


def test_layer_norm_in_half_precision() -> None:
    data = [np.array([[300.0, -300.0, 10.0]]), np.ones(3), np.zeros(3)]
    ends = []
    for dtype in ("f2", "f4"):
        x, w, b = (Tensor(d.astype(dtype)) for d in data)
        y = layer_norm(x, w, b)
        assert y.dtype == dtype
        (y * Tensor(np.arange(3).astype(dtype))).sum().backward()
        ends.append([v.astype("f8") for v in (y.data, x.grad, w.grad, b.grad)])
    for half, single in zip(*ends, strict=True):
        np.testing.assert_allclose(half, single, rtol=5e-3, atol=1e-5)


# --- states that cannot be


def trained(name: str) -> tuple[list[Any], Optimiser]:
    x = [Value(1.0), Tensor(np.ones(2))]
    optimiser = MAKERS[name](x)
    for p in x:
        p.grad = 0.5 * p.data
    optimiser.step()
    return x, optimiser


WRONG = (math.nan, math.inf, -math.inf, 1j, "text", None)


@pytest.mark.parametrize("name", MAKERS)
def test_an_impossible_entry_is_refused_before_anything_changes(name: str) -> None:
    _, source = trained(name)
    state = source.state()
    _, optimiser = trained(name)
    before = {n: np.array(x) for n, x in optimiser.state().items()}
    for entry, good in state.items():
        wrongs: list[Any] = list(WRONG)
        if entry.startswith(("square", "learning_rate", "steps")):
            wrongs.append(-1)
        if entry == "steps":
            wrongs += [2.5, "3", np.float64(0.5), np.ones(2)]
        for wrong in wrongs:
            if np.shape(good) and isinstance(wrong, (int, float, complex)):
                wrong = np.asarray([wrong, 1.0])
            with pytest.raises((TypeError, ValueError), match=entry):
                optimiser.load_state({**state, entry: wrong})
            after = optimiser.state()
            assert all(np.array_equal(after[n], x) for n, x in before.items())


def test_a_rate_of_zero_and_its_own_state_are_possible() -> None:
    for name in MAKERS:
        _, optimiser = trained(name)
        optimiser.learning_rate = 0.0  # where a schedule ends
        state = {n: np.asarray(x) for n, x in optimiser.state().items()}
        _, other = trained(name)
        other.load_state(state)

        assert other.learning_rate == 0.0
        assert other.steps == 1


@pytest.mark.parametrize("wrong", [-1, 1.5, math.nan, math.inf, "2", None])
def test_loaders_and_early_stopping_refuse_it_too(wrong: Any) -> None:
    loader = Loader(range(6), batch_size=2, seed=1)
    for entry in loader.state():
        with pytest.raises((TypeError, ValueError)):
            loader.load_state({**loader.state(), entry: wrong})
    with pytest.raises(ValueError, match="position"):
        loader.load_state({**loader.state(), "position": 6})
    stopping = EarlyStopping(2)
    stopping(0.5, {"w": 1.0})
    state = stopping.state()
    with pytest.raises((TypeError, ValueError)):
        stopping.load_state({**state, "waited": wrong})
    with pytest.raises(ValueError, match="best"):
        stopping.load_state({**state, "best": math.nan})
    with pytest.raises(ValueError, match="names"):
        stopping.load_state({**state, "w": 1.0})

    assert stopping.state() == state


# --- names


CLASHES: dict[str, Callable[[], Any]] = {
    "dot": lambda: {"x.y": Value(1.0), "x": {"y": Value(2.0)}},
    "number": lambda: {1: Value(1.0), "1": Value(2.0)},
    "list": lambda: {"a.0": Value(1.0), "a": [Value(2.0)]},
    "none": lambda: {None: Value(1.0), "None": Value(2.0)},
    "tuple": lambda: {(1, 2): Value(1.0), "(1, 2)": Value(2.0)},
}


@pytest.mark.parametrize("clash", CLASHES.values(), ids=CLASHES)
def test_two_parameters_with_one_name_are_an_error(
    clash: Callable[[], Any], tmp_path: Path
) -> None:
    model: Any = Module()
    model.parts = clash()
    state = {"parts.x": 1.0}
    actions: list[Callable[[], Any]] = [
        model.named_parameters,
        model.state,
        lambda: model.load_state(state),
        lambda: save_parameters(model, tmp_path / "model.json"),
        lambda: functional_call(model, state, ()),
    ]
    for action in actions:
        with pytest.raises(ValueError, match=r"parameters at .*parts.* and .*parts"):
            action()

    assert len(model.parameters()) == 2


def test_joined_parts_can_be_taken_apart() -> None:
    for parts in ({"a": {"b.c": 1}, "a.b": {"c": 2}}, {"a": {1: 0, "1": 2}}):
        with pytest.raises(ValueError, match="joined"):
            joined(**parts)


# --- all modules are saved, and trained, in one way


def seeded() -> Any:
    return np.random.default_rng(0)


MODULES: dict[str, Callable[[str], Module]] = {
    "Neuron": lambda d: Neuron(2),
    "Layer": lambda d: Layer(2, 1),
    "MLP": lambda d: MLP(2, [3, 1]),
    "Linear": lambda d: Linear(2, 3, rng=seeded(), dtype=d),
    "FeedForward": lambda d: FeedForward(2, [3, 1], rng=seeded(), dtype=d),
    "Sequential": lambda d: Sequential(Linear(2, 3, dtype=d), Dropout(0.5)),
    "Embedding": lambda d: Embedding(3, 2, dtype=d),
    "LayerNorm": lambda d: LayerNorm(2, dtype=d),
    "Conv2d": lambda d: Conv2d(1, 2, 3, dtype=d),
    "SelfAttention": lambda d: SelfAttention(4, 2, dtype=d),
    "Block": lambda d: Block(4, 2, dtype=d),
    "GPT": lambda d: GPT(5, 4, 4, 2, 1, dtype=d),
}


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("name", MODULES)
def test_every_module_is_saved_to_the_bit(
    name: str, dtype: str, tmp_path: Path
) -> None:
    model, other = MODULES[name](dtype), MODULES[name](dtype)
    for p in other.parameters():
        p.data = p.data * 0.0
    save_parameters(model, tmp_path / "model.json")
    load_parameters(other, tmp_path / "model.json")

    for (n, a), (_, b) in zip(
        model.state().items(), other.state().items(), strict=True
    ):
        assert type(a) is type(b), n
        assert np.asarray(a).dtype == np.asarray(b).dtype
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


class Renamed(MLP):
    """Another class with the same parameters and the same words."""


@pytest.mark.parametrize(
    ("model", "other"),
    [
        (MLP(2, [3, 1]), Renamed(2, [3, 1])),
        (FeedForward(2, [3]), FeedForward(8, [1])),
        (FeedForward(2, [3, 1]), FeedForward(2, [3, 1], "relu")),
        (FeedForward(2, [3, 1]), Sequential(Linear(2, 3), Linear(3, 1))),
        (Linear(2, 3), Linear(3, 2, bias=True)),
        (Linear(2, 2, bias=False), Embedding(2, 2)),
        (SelfAttention(4, 2), SelfAttention(4, 4)),
        (SelfAttention(4, 2), SelfAttention(4, 2, causal=False)),
        (LayerNorm(2), LayerNorm(2, 1e-3)),
        (Conv2d(1, 2, 3), Conv2d(1, 2, 3, stride=2)),
    ],
    ids=lambda m: type(m).__name__,
)
def test_another_model_is_refused(model: Module, other: Module, tmp_path: Path) -> None:
    for a, b in ((model, other), (other, model)):
        save_parameters(a, tmp_path / "model.json")
        before = {n: np.array(x) for n, x in b.state().items()}
        with pytest.raises(ValueError, match=r"model\.json"):
            load_parameters(b, tmp_path / "model.json")
        assert all((b.state()[n] == x).all() for n, x in before.items())


XOR = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0.0, 1.0, 1.0, 0.0]


@pytest.mark.parametrize("batch_size", [None, 3])
@pytest.mark.parametrize("as_arrays", [False, True])
@pytest.mark.parametrize("kind", ["values", "f8", "f4", "sequential"])
def test_fit_trains_every_kind_of_network(
    kind: str, as_arrays: bool, batch_size: int | None
) -> None:
    model: Any
    if kind == "values":
        model = MLP(2, [8, 1], rng=random.Random(0))
    elif kind == "sequential":
        rng = seeded()
        model = Sequential(Linear(2, 8, rng=rng), Tensor.tanh, Linear(8, 1, rng=rng))
    else:
        model = FeedForward(2, [8, 1], rng=seeded(), dtype=kind)
    inputs, targets = map(np.array, XOR) if as_arrays else XOR
    optimiser = Adam(model.parameters(), 0.1)
    rng = random.Random(1) if batch_size else None
    losses = fit(
        model, inputs, targets, mean_squared_error, optimiser, 150, batch_size, rng
    )

    assert losses[-1] < 0.02


def test_functional_call_takes_its_arguments_as_torch_does() -> None:
    class Sum(Module):
        def __init__(self) -> None:
            self.w = Tensor(2.0)

        def __call__(self, x: Any, y: Any = 0.0, *, scale: float = 1.0) -> Any:
            return (x * self.w + y) * scale

    x, state = np.ones(3), {"w": 5.0}
    for args, expected in ((x, 5.0), ((x,), 5.0), ((x, x), 6.0)):
        assert functional_call(Sum(), state, args).data.tolist() == [expected] * 3
    found = functional_call(Sum(), state, (x,), {"scale": 2.0})
    assert found.data.tolist() == [10.0] * 3
    with pytest.raises(TypeError, match="as a tuple"):
        functional_call(Sum(), state, x, x)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "int8", "bool"])
def test_dropout_of_whole_numbers_is_refused(dtype: str) -> None:
    for wrap in (np.asarray, Tensor):
        with pytest.raises(TypeError, match=f"Dropout: numbers of {dtype}"):
            Dropout(0.3)(wrap(np.ones(4, dtype)))


# --- tables


def test_tables_are_dealt_out_by_position() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    n = 7
    index = [*range(n)][::-1]
    x = np.arange(2.0 * n).reshape(n, 2)
    frame = pandas.DataFrame(x, columns=["a", "b"], index=index)
    y = pandas.Series(x[:, 0] * 10, index=index)
    same = pandas.DataFrame(x, columns=[0, 1], index=index)
    for shuffle in (False, True):
        for table in (frame, same):
            loader = Loader(table, y, x, batch_size=3, shuffle=shuffle, seed=0)
            for a, b, c in loader:
                assert (a == c).all()
                assert (b == c[:, 0] * 10).all()
    for table in (frame, same):
        for a, b in batches(table, y, 3, random.Random(0)):
            assert [row[0] * 10 for row in a] == b
    history = fit(
        FeedForward(2, [1], rng=seeded()),
        frame,
        y,
        mean_squared_error,
        Adam([Tensor(np.ones(1))], 0.1),
        1,
    )
    assert len(history) == 1


@pytest.mark.parametrize("size", [1e-300, 1e-170, 1e-30, 1.0, 1e30, 1e160, 1e300])
def test_the_regressor_scales_targets_of_any_size(size: float) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    from prosegrad.estimator import FeedForwardRegressor

    x = seeded().normal(size=(60, 2))
    y = x[:, 0] - 2 * x[:, 1] + 3
    model = FeedForwardRegressor((8,), max_iter=10, random_state=0)
    expected = model.fit(x, y).predict(x)
    found = model.fit(x, size * y).predict(x)

    np.testing.assert_allclose(found / size, expected, rtol=1e-6)


# --- files, as `open` would make them


def save_all() -> dict[str, Callable[[Path, float], Any]]:
    def parameters(path: Path, number: float) -> None:
        model = Neuron(1)
        model.b.data = number
        save_parameters(model, path)

    return {
        "save_parameters": parameters,
        "save_checkpoint": lambda path, number: save_checkpoint(path, {"x": number}),
    }


WRITERS = save_all()
posix = pytest.mark.skipif(os.name != "posix", reason="rights and links of POSIX")


@posix
@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077, 0o000])
@pytest.mark.parametrize("old", [None, 0o664, 0o600, 0o640, 0o755])
@pytest.mark.parametrize("name", WRITERS)
def test_a_file_has_the_rights_that_open_gives(
    name: str, old: int | None, umask: int, tmp_path: Path
) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    before = os.umask(umask)
    try:
        if old is not None:
            for path in (ours, theirs):
                path.write_text("old")
                path.chmod(old)
        WRITERS[name](ours, 1.0)
        with open(theirs, "w") as file:
            file.write("new")
    finally:
        os.umask(before)

    assert stat.filemode(ours.stat().st_mode) == stat.filemode(theirs.stat().st_mode)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ours", "theirs"]


@posix
@pytest.mark.parametrize("name", WRITERS)
def test_links_are_followed(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "real").write_text("old")
    (tmp_path / "link").symlink_to("folder/real")
    (tmp_path / "chain").symlink_to("link")
    (tmp_path / "dangling").symlink_to("folder/new")
    for link, target in (("link", "real"), ("chain", "real"), ("dangling", "new")):
        WRITERS[name](tmp_path / link, 2.0)
        assert (tmp_path / link).is_symlink()
        assert (folder / target).read_bytes() == (tmp_path / link).read_bytes()
        assert (folder / target).stat().st_size > 10
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="loop"):
        WRITERS[name](tmp_path / "loop", 2.0)
    with pytest.raises(IsADirectoryError):
        WRITERS[name](folder, 2.0)


@posix
@pytest.mark.parametrize("name", WRITERS)
def test_long_names_pipes_and_paths_that_are_relative(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in ("n" * 255, "ü" * 127, "short"):
        WRITERS[name](Path(path), 1.0)
        assert (tmp_path / path).is_file()
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    WRITERS[name](Path("pipe"), 1.0)
    assert len(os.read(reader, 10_000)) > 10
    os.close(reader)
    assert stat.S_ISFIFO(os.stat("pipe").st_mode)
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("name", WRITERS)
def test_a_crash_leaves_the_old_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    WRITERS[name](path, 1.0)
    before = path.read_bytes()
    for step in ("fsync", "replace", "chmod"):
        if os.name != "posix" and step == "chmod":
            continue

        def crash(*_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(os, step, crash)
            with pytest.raises(KeyboardInterrupt):
                WRITERS[name](path, 2.0)
        assert path.read_bytes() == before
        assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_what_looks_like_a_checkpoint_is_passed_by(tmp_path: Path) -> None:
    folder = Checkpoints(tmp_path, keep=1)
    folder.path(9).mkdir()
    (tmp_path / "step-0000000008.safetensors").write_bytes(b"")
    (tmp_path / f"step-{chr(0x0661) * 9}.safetensors").write_bytes(b"")
    (tmp_path / "step-000000001.safetensors.left.part").mkdir()
    assert folder.steps() == []
    assert folder.latest() is None
    for step in (1, 2):
        folder.save(step, {"x": step})

    assert folder.steps() == [2]
    latest = folder.latest()
    assert latest is not None
    assert latest[0] == 2
    assert folder.path(9).is_dir()


# --- recompute: right or refused


def hidden_masks(n: int) -> dict[str, Callable[[Any, Any], Any]]:
    """Return functions that use chance where it may not show in the result."""
    return {
        "mask": lambda x, r: x * (r.random(n) < 0.5),
        "tiny mask": lambda x, r: x * (1 + 1e-9 * r.random(n)),
        "last bit": lambda x, r: x * (1 + 2e-16 * (r.random(n) < 0.5)),
        "one element": lambda x, r: x * (np.arange(n) != r.integers(n)),
        "product": lambda x, r: matmul(x, r.normal(size=(n, n))),
        "places": lambda x, r: x[r.permutation(n)],
        "noise behind relu": lambda x, r: (x - 10.0 + r.random(n)).relu(),
        "times zero": lambda x, r: (x * r.random(n)) * 0.0 + x,
        "branch": lambda x, r: x * 2.0 if r.random() < 0.5 else x + x,
        "dropout layer": lambda x, r: Dropout(0.5, rng=r)(x),
    }


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("points", ["zeros", "one-hot", "numbers"])
@pytest.mark.parametrize("name", hidden_masks(4))
def test_another_cast_of_dice_is_right_or_refused(
    name: str, points: str, library: str
) -> None:
    n = 200
    f = hidden_masks(n)[name]
    data = np.zeros(n) if points != "numbers" else seeded().normal(size=n)
    if points == "one-hot":
        data[3] = 1.0
    if library == "torch":
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        data = torch.from_numpy(data)
        if name in ("mask", "one element", "tiny mask", "last bit", "times zero"):
            inner = f

            def f(x: Any, r: Any) -> Any:
                return inner(x, Torched(r))

        elif name != "dropout layer":
            pytest.skip("arrays of NumPy in a function of torch")
    for seed in range(5):
        rng, kept = np.random.default_rng(seed), np.random.default_rng(seed)
        x, y = Tensor(data), Tensor(data)
        f(y, kept).sum().backward()
        refused = ""
        try:
            recompute(lambda x, r=rng: f(x, r))(x).sum().backward()
        except RuntimeError as error:
            refused = str(error)
        if refused:
            assert "not done the same again" in refused
            continue
        assert np.array_equal(np.asarray(x.grad), np.asarray(y.grad))


class Torched:
    """A generator that returns arrays of PyTorch."""

    def __init__(self, rng: Any) -> None:
        self._rng = rng

    def random(self, n: int) -> Any:
        import torch

        return torch.from_numpy(self._rng.random(n))

    def integers(self, n: int) -> Any:
        return self._rng.integers(n)


def test_a_parameter_in_the_place_of_an_equal_one_gets_nothing() -> None:
    """The gradient goes to the one of the first run, with the same numbers."""
    first, second = Tensor(np.ones(3)), Tensor(np.ones(3))
    queue = [first, second]
    x = Tensor(np.arange(3.0))
    recompute(lambda x: x * queue.pop(0))(x).sum().backward()

    assert np.array_equal(first.grad, np.arange(3.0))
    assert type(second.grad) is int


def test_an_argument_with_a_history_from_outside_is_refused() -> None:
    x = Tensor(np.arange(3.0))
    h = x.exp()
    with pytest.raises(RuntimeError, match="hand it over"):
        recompute(lambda a: a * h)(h).sum().backward()


def test_a_layer_that_does_the_same_again_is_right() -> None:
    """The checksum is the same for all layers, in trees, twice and nested."""
    rng = seeded()
    net = Sequential(
        Linear(3, 8, rng=rng),
        Tensor.gelu,
        LayerNorm(8),
        FeedForward(8, [8, 3], "relu", rng=rng),
        lambda x: x.softmax(-1),
    )
    inner = Sequential(recompute(net.layers[0]), *net.layers[1:])
    data = rng.normal(size=(4, 3))
    ends = []
    for model in (net, recompute(net), recompute(inner)):
        x = Tensor(data)
        (model(x) ** 2).sum().backward()
        ends.append([x.grad, *(p.grad for p in net.parameters())])
        net.zero_grad()
    for end in ends[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(ends[0], end, strict=True))
    gpt = Block(4, 2, rng=rng)
    x = Tensor(rng.normal(size=(2, 3, 4)))
    recompute(gpt)(x).sum().backward()
    assert x.grad.shape == (2, 3, 4)
