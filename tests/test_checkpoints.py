"""Checkpoints: whole or not at all, and a training that may be killed."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

np = pytest.importorskip("numpy", reason="NumPy is not installed")
safetensors = pytest.importorskip(
    "safetensors.numpy", reason="safetensors is not installed"
)
pytest.importorskip("array_api_compat", reason="array-api-compat is not installed")

from prosegrad import checkpoints as module  # noqa: E402
from prosegrad.checkpoints import (  # noqa: E402
    CheckpointError,
    Checkpoints,
    joined,
    load_checkpoint,
    part_of,
    save_checkpoint,
)
from prosegrad.tensor import Tensor  # noqa: E402

TENSORS = {"w": np.arange(6.0).reshape(2, 3), "step": 7}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- what goes in comes out


FLOATS = ["float64", "float32", "float16", "complex64"]
DTYPES = [*FLOATS, "int64", "int32", "int8", "uint8", "uint64", "bool"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3, 4)])
def test_round_trip(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=shape, scale=9).astype(dtype)
    save_checkpoint(tmp_path / "a", {"x": x})
    found = load_checkpoint(tmp_path / "a").tensors["x"]

    assert (found.dtype, found.shape) == (x.dtype, x.shape)
    assert found.tobytes() == x.tobytes()
    assert found.flags.writeable


def test_the_order_in_memory_does_not_matter(tmp_path: Path) -> None:
    """By itself, safetensors 0.8 takes the bytes as they lie."""
    x = np.arange(24.0).reshape(2, 3, 4)
    views = {
        "transposed": x.T,
        "fortran": np.asfortranarray(x),
        "strided": x[:, ::2],
        "backwards": x[::-1],
        "stretched": np.broadcast_to(x[0, 0], (5, 4)),
        "big endian": x.astype(">f8"),
    }
    save_checkpoint(tmp_path / "a", views)
    found = load_checkpoint(tmp_path / "a").tensors

    for name, view in views.items():
        np.testing.assert_array_equal(found[name], view)


@pytest.mark.parametrize("library", ["torch", "jax"])
def test_arrays_of_other_libraries(tmp_path: Path, library: str) -> None:
    x = np.arange(6, dtype="float32").reshape(2, 3)
    if library == "torch":
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        other: Any = torch.from_numpy(x).T.requires_grad_()
    else:
        jax = pytest.importorskip("jax", reason="JAX is not installed")
        other = jax.numpy.asarray(x).T
    save_checkpoint(tmp_path / "a", {"plain": other})
    found = load_checkpoint(tmp_path / "a").tensors

    np.testing.assert_array_equal(found["plain"], x.T)


def test_tensors_and_numbers(tmp_path: Path) -> None:
    x = Tensor(Tensor(np.ones(3)))
    given = {"x": x, "steps": 3, "rate": 0.1, "on": True, "list": [1, 2]}
    save_checkpoint(tmp_path / "a", given)
    found = load_checkpoint(tmp_path / "a").tensors

    assert found["x"].tolist() == [1.0, 1.0, 1.0]
    assert [found[n].item() for n in ("steps", "rate", "on")] == [3, 0.1, True]
    assert found["list"].tolist() == [1, 2]


def test_others_can_read_it(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a", TENSORS)
    found = safetensors.load_file(tmp_path / "a")

    np.testing.assert_array_equal(found["w"], TENSORS["w"])


trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(), x, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), trees, max_size=4), st.lists(st.text(), max_size=4))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_metadata_and_any_names(
    tmp_path: Path, metadata: dict[str, Any], texts: list[str]
) -> None:
    tensors = {name: np.asarray(i) for i, name in enumerate(texts)}
    save_checkpoint(tmp_path / "a", tensors, metadata)
    found = load_checkpoint(tmp_path / "a")

    assert found.metadata == metadata
    assert {n: x.item() for n, x in found.tensors.items()} == {
        n: x.item() for n, x in tensors.items()
    }


def test_what_looks_like_a_checksum(tmp_path: Path) -> None:
    zeros = "0" * 64
    save_checkpoint(
        tmp_path / "a", {f'"sha256":"{zeros}"': np.ones(2)}, {"sha256": zeros}
    )

    assert load_checkpoint(tmp_path / "a").metadata == {"sha256": zeros}


def test_the_state_of_a_generator(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rng.normal(size=5)
    save_checkpoint(tmp_path / "a", {}, {"rng": rng.bit_generator.state})
    other = np.random.default_rng(1)
    other.bit_generator.state = load_checkpoint(tmp_path / "a").metadata["rng"]

    assert other.normal(size=3).tolist() == rng.normal(size=3).tolist()


def test_joined_and_part_of() -> None:
    flat = joined(a={"x": 1, "b.y": 2}, ab={"x": 3}, none={})

    assert flat == {"a.x": 1, "a.b.y": 2, "ab.x": 3}
    assert part_of(flat, "a") == {"x": 1, "b.y": 2}
    assert part_of(flat, "none") == {}


# --- what is refused


@pytest.mark.parametrize(
    ("tensors", "metadata", "kind", "message"),
    [
        ({"x": "text"}, {}, TypeError, "x has dtype <U4"),
        ({"x": None}, {}, TypeError, "x has dtype object"),
        ({"x": [[1], [1, 2]]}, {}, TypeError, "x: "),
        ({"x": 2**70}, {}, TypeError, "x has dtype object"),
        ({"x": np.ones(2, complex)}, {}, TypeError, "complex128"),
        ({"__metadata__": 1}, {}, ValueError, "__metadata__"),
        ({}, {"x": object()}, TypeError, "metadata: "),
        ({}, {"x": (1, 2)}, TypeError, "tuples"),
        ({}, {"x": float("nan")}, TypeError, "NaN"),
        ({}, {"x": {1: 2}}, TypeError, "keys"),
    ],
)
def test_what_cannot_be_saved(
    tmp_path: Path, tensors: Any, metadata: Any, kind: Any, message: str
) -> None:
    path = tmp_path / "a"
    save_checkpoint(path, TENSORS)
    before = path.read_bytes()
    with pytest.raises(kind, match=message):
        save_checkpoint(path, tensors, metadata)

    assert path.read_bytes() == before
    assert names(tmp_path) == ["a"]


def test_bfloat16_of_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    with pytest.raises(TypeError, match="save_checkpoint: x: "):
        save_checkpoint(tmp_path / "a", {"x": torch.ones(2, dtype=torch.bfloat16)})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "a"
    save_checkpoint(path, TENSORS, {"note": "x"})
    return path.read_bytes()


def test_any_byte_altered(tmp_path: Path, whole: bytes) -> None:
    rng = random.Random(0)
    for place in range(len(whole)):
        raw = bytearray(whole)
        raw[place] ^= rng.randrange(1, 256)
        path = tmp_path / str(place)
        path.write_bytes(raw)
        with pytest.raises(CheckpointError, match=rf"{path.name} (was|is)"):
            load_checkpoint(path)
        path.unlink()


def test_cut_off_anywhere(tmp_path: Path, whole: bytes) -> None:
    for length in range(len(whole)):
        path = tmp_path / str(length)
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=f"cut off: it has {length} bytes"):
            load_checkpoint(path)
        path.unlink()


@given(st.binary(max_size=200))
def test_any_other_file(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "other"
    path.unlink(missing_ok=True)
    path.write_bytes(raw)
    with pytest.raises(CheckpointError):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"some text, and more of it\n" * 9, "no checkpoint"),
        (b"\0" * 500, "no checkpoint"),
        (b"", "cut off: it has 0 bytes"),
        (safetensors.save({"x": np.ones(2)}), "no checkpoint"),
        (safetensors.save({"x": np.ones(2)}, {"a": "b"}), "no checkpoint"),
    ],
)
def test_what_is_no_checkpoint(tmp_path: Path, raw: bytes, message: str) -> None:
    (tmp_path / "a").write_bytes(raw)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(tmp_path / "a")


def test_bytes_after_the_end(tmp_path: Path, whole: bytes) -> None:
    (tmp_path / "a").write_bytes(whole + b"\n")
    with pytest.raises(CheckpointError, match="altered"):
        load_checkpoint(tmp_path / "a")


def test_a_newer_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no damage: `latest` does not go past it."""
    folder = Checkpoints(tmp_path)
    folder.save(1, TENSORS)
    with monkeypatch.context() as patch:
        patch.setattr(module, "VERSION", 2)
        folder.save(2, TENSORS)
    with pytest.raises(ValueError, match=r"version 2; .* up to 1") as caught:
        folder.latest()

    assert not isinstance(caught.value, CheckpointError)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "a")


# --- whole or not at all


@pytest.mark.parametrize("name", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_error_on_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: Any
) -> None:
    path = tmp_path / "a"
    save_checkpoint(path, TENSORS)
    before = path.read_bytes()

    def fail(*arguments: Any) -> None:
        raise error

    monkeypatch.setattr(os, name, fail)
    with pytest.raises(error):
        save_checkpoint(path, {"w": np.zeros(9)})

    assert path.read_bytes() == before
    assert names(tmp_path) == ["a"]


@pytest.mark.skipif(os.name != "posix", reason="folders are synced on POSIX")
def test_what_is_synced_and_when(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes before the name changes, the folder afterwards."""
    events: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(handle: int) -> None:
        events.append("folder" if os.path.isdir(f"/dev/fd/{handle}") else "file")
        fsync(handle)

    def replaced(*arguments: Any) -> None:
        events.append("replace")
        replace(*arguments)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    save_checkpoint(tmp_path / "a", TENSORS)

    assert events == ["file", "replace", "folder"]


# --- folders


def test_the_last_few_stay(tmp_path: Path) -> None:
    folder = Checkpoints(tmp_path / "deep" / "run", keep=3)
    assert folder.latest() is None
    for step in (0, 10, 5, 99, 1_000_000_000):
        assert folder.save(step, {"x": step}) == folder.path(step)

    assert folder.steps() == [10, 99, 1_000_000_000]
    latest = folder.latest()
    assert latest is not None
    assert (latest[0], latest[1].tensors["x"].item()) == (10**9, 10**9)


def test_what_is_saved_is_never_what_is_removed(tmp_path: Path) -> None:
    """A training that went back keeps its new files and the later ones."""
    folder = Checkpoints(tmp_path, keep=1)
    for step in (30, 10, 20):
        folder.save(step, {"x": step})

    assert folder.steps() == [20, 30]


def test_other_files_are_left_alone_and_parts_are_swept(tmp_path: Path) -> None:
    for name in ("notes.txt", "step-1.safetensors", "x.part"):
        (tmp_path / name).write_text("mine")
    (tmp_path / "step-000000001.safetensors.abc.part").write_text("left")
    folder = Checkpoints(tmp_path)
    assert folder.steps() == []
    folder.save(2, TENSORS)

    assert names(tmp_path) == [
        "notes.txt",
        "step-000000002.safetensors",
        "step-1.safetensors",
        "x.part",
    ]


@pytest.mark.parametrize("damage", [b"", b"text", "half", "bit"])
def test_latest_goes_past_a_damaged_file(tmp_path: Path, damage: Any) -> None:
    folder = Checkpoints(tmp_path)
    for step in (1, 2):
        folder.save(step, {"x": step})
    raw = folder.path(2).read_bytes()
    if damage == "half":
        damage = raw[: len(raw) // 2]
    if damage == "bit":
        damage = raw[:-3] + bytes([raw[-3] ^ 4]) + raw[-2:]
    folder.path(2).write_bytes(damage)
    with pytest.warns(UserWarning, match="passed over: .*step-000000002") as caught:
        latest = folder.latest()

    # mutmut calls each function through one of its own, in its trampoline.py.
    assert Path(caught[0].filename).name in (Path(__file__).name, "trampoline.py")
    assert latest is not None
    assert latest[0] == 1


def test_all_damaged(tmp_path: Path) -> None:
    folder = Checkpoints(tmp_path)
    for step in (1, 2):
        folder.save(step, TENSORS)
        folder.path(step).write_bytes(b"")
    with (
        pytest.warns(UserWarning, match="passed over"),
        pytest.raises(CheckpointError, match="all 2 checkpoints are damaged"),
    ):
        folder.latest()


def test_a_file_that_goes_while_it_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Checkpoints(tmp_path, keep=1)
    folder.save(1, TENSORS)
    steps = folder.steps

    def late() -> list[int]:
        found = steps()
        monkeypatch.setattr(folder, "steps", steps)
        folder.save(2, TENSORS)  # by the training, which removes 1
        return found

    monkeypatch.setattr(folder, "steps", late)
    latest = folder.latest()

    assert latest is not None
    assert latest[0] == 2


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda folder: Checkpoints(folder, keep=0), "keep=0"),
        (lambda folder: Checkpoints(folder).save(-1, {}), "step -1"),
    ],
)
def test_settings_that_are_refused(tmp_path: Path, action: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        action(tmp_path)


# --- killed


def program() -> str:
    """Return the training of the page, `train.py`."""
    page = Path(__file__).parents[1] / "docs/tensors/checkpoints.md"
    match = re.search(r"PROGRAM = '''\n(.*?)'''", page.read_text("utf-8"), re.S)
    assert match
    return match[1]


# One interpreter, which has imported everything, forks the trainings, so that
# twenty of them take a second or two. The ballast makes the writing long enough
# to be hit now and then.
SERVER = """
import os, random, signal, sys, time

train = {"__name__": "train"}
exec(compile(open(sys.argv[1]).read(), "train.py", "exec"), train)
ballast, packed = train["np"].arange(200_000.0), train["Training"].packed


def heavy(training):
    tensors, metadata = packed(training)
    return {**tensors, "ballast": ballast}, metadata


train["Training"].packed = heavy


def started(folder, last):
    child = os.fork()
    if not child:
        status = 1
        try:
            sys.stdout = open(os.devnull, "w")
            train["main"](folder, last)
            status = 0
        finally:
            os._exit(status)
    return child


def newest():
    return max(train["Checkpoints"]("killed").steps(), default=0)


rng = random.Random()
deaths = []
for rounds in range(20):
    before, child = newest(), started("killed", 10**9)
    while rounds % 2 and newest() == before:
        time.sleep(0.001)
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "it failed by itself"
    time.sleep(rng.uniform(0, 0.03))
    os.kill(child, signal.SIGKILL)
    deaths.append(os.WTERMSIG(os.waitpid(child, 0)[1]))
assert deaths == [signal.SIGKILL] * 20, deaths
last = train["Checkpoints"]("killed").latest()[0] + 5
assert last >= 15, last
for folder in ("killed", "spared"):
    assert os.waitpid(started(folder, last), 0)[1] == 0, folder
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is of POSIX")
def test_killed_twenty_times(tmp_path: Path) -> None:
    """A training that is killed ends as one that is not, bit by bit."""
    (tmp_path / "train.txt").write_text(program())
    (tmp_path / "killed").mkdir()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", SERVER, "train.txt"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr

    ends = [Checkpoints(tmp_path / name).latest() for name in ("killed", "spared")]
    assert ends[0] is not None
    assert ends[1] is not None
    assert ends[0][0] == ends[1][0]
    assert ends[0][1].metadata == ends[1][1].metadata
    assert ends[0][1].tensors.keys() == ends[1][1].tensors.keys()
    for name, x in ends[1][1].tensors.items():
        assert ends[0][1].tensors[name].tobytes() == x.tobytes(), name
    assert not [name for name in names(tmp_path / "killed") if "part" in name]


@pytest.mark.parametrize("moment", ["written", "replaced"])
def test_killed_at_the_worst_moments(tmp_path: Path, moment: str) -> None:
    """With the new file written and not yet in place, and just after."""
    code = f"""
import os, sys, time
import numpy as np
from prosegrad.checkpoints import Checkpoints

def wait():
    print("now", flush=True)
    time.sleep(60)

replace = os.replace
def watched(*paths):
    if {moment!r} == "replaced":
        replace(*paths)
    wait()

folder = Checkpoints("run")
folder.save(1, {{"x": np.ones(3)}})
os.replace = watched
folder.save(2, {{"x": np.zeros(3)}})
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        process.kill()
        process.wait()

    folder = Checkpoints(tmp_path / "run")
    latest = folder.latest()
    assert latest is not None
    assert latest[0] == (2 if moment == "replaced" else 1)
    assert len(names(tmp_path / "run")) == 2
    folder.save(3, {"x": np.ones(3)})
    assert not [name for name in names(tmp_path / "run") if name.endswith(".part")]
