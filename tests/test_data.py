"""Loaders: each example once an epoch, and the same order when asked again."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

np = pytest.importorskip("numpy", reason="NumPy is not installed")
pytest.importorskip("array_api_compat", reason="array-api-compat is not installed")

from prosegrad.data import Loader, evaluate  # noqa: E402
from prosegrad.tensor import Tensor  # noqa: E402


def epoch(loader: Loader) -> list[list[int]]:
    return [x.tolist() for (x,) in loader]


sizes = st.integers(1, 30)


@given(sizes, sizes, st.booleans(), st.booleans(), st.integers(0, 2**40))
def test_an_epoch_holds_each_example_once(
    n: int, size: int, shuffle: bool, drop: bool, seed: int
) -> None:
    size = min(size, n) if drop else size
    loader = Loader(
        np.arange(n), batch_size=size, shuffle=shuffle, seed=seed, drop_last=drop
    )
    for number in (1, 2):
        found = epoch(loader)
        flat = [i for batch in found for i in batch]

        assert len(found) == len(loader)
        assert all(len(x) == size for x in found[:-1])
        assert len(set(flat)) == len(flat)
        assert len(flat) == (n - n % size if drop else n)
        assert shuffle or flat == list(range(len(flat)))
        assert loader.epoch == number


@given(sizes, sizes, st.booleans(), st.integers(0, 70), st.integers(0, 2**20))
def test_it_goes_on_where_it_was(
    n: int, size: int, drop: bool, count: int, seed: int
) -> None:
    """Cut anywhere, the rest is what an uninterrupted one deals out."""

    def fresh(seed: int) -> Loader:
        return Loader(np.arange(n), batch_size=min(size, n), seed=seed, drop_last=drop)

    def endless(loader: Loader) -> Any:
        while True:
            yield from loader

    whole = fresh(seed)
    list(islice(endless(whole), count))
    later = fresh(seed + 1)
    later.load_state({k: np.asarray(v) for k, v in whole.state().items()})
    rest = [x.tolist() for (x,) in islice(endless(later), 10)]

    again = [x.tolist() for (x,) in islice(endless(fresh(seed)), count + 10)]
    assert rest == again[count:]


def test_each_epoch_has_its_own_order() -> None:
    loader = Loader(range(100), batch_size=100, seed=0)
    orders = [tuple(epoch(loader)[0]) for _ in range(5)]

    assert len(set(orders)) == 5


def test_without_a_seed_each_loader_has_another_one() -> None:
    seeds = {Loader(range(3), batch_size=1).seed for _ in range(5)}

    assert len(seeds) > 1


def test_a_state_brings_its_seed() -> None:
    one, other = (Loader(range(50), batch_size=50) for _ in range(2))
    other.load_state(one.state())

    assert epoch(one) == epoch(other)


def test_parts_belong_together() -> None:
    loader = Loader(np.arange(20), -np.arange(20.0), batch_size=3, seed=0)
    for x, y in loader:
        assert (x == -y).all()


def test_a_broken_off_epoch_begins_again() -> None:
    loader = Loader(range(10), batch_size=3, seed=0)
    first = next(iter(loader))[0].tolist()

    assert loader.epoch == 0
    assert epoch(loader)[0] == first
    assert loader.epoch == 1


def test_two_loops_at_once() -> None:
    loader = Loader(range(6), batch_size=2, seed=0)
    for (x,), (y,) in zip(loader, loader, strict=True):
        assert x.tolist() == y.tolist()
    assert loader.epoch == 1


def test_in_the_middle_with_another_batch_size() -> None:
    loader = Loader(range(10), batch_size=3, seed=0)
    seen = next(iter(loader))[0].tolist()
    other = Loader(range(10), batch_size=5)
    other.load_state(loader.state())
    rest = epoch(other)

    assert [len(x) for x in rest] == [5, 2]
    assert sorted([*seen, *rest[0], *rest[1]]) == list(range(10))


def test_a_place_from_which_no_batch_is_left() -> None:
    """With larger batches and drop_last the next epoch begins."""
    loader = Loader(range(10), batch_size=5, drop_last=True, seed=0)
    state = loader.state()
    loader.load_state({**state, "position": 8})

    assert len(epoch(loader)) == 2
    assert loader.epoch == 2


@pytest.mark.parametrize("library", ["numpy", "torch", "jax"])
@pytest.mark.parametrize("shuffle", [True, False])
def test_arrays_of_every_library(library: str, shuffle: bool) -> None:
    x: Any = np.arange(12.0).reshape(6, 2)
    if library == "torch":
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        x = torch.from_numpy(x)
    if library == "jax":
        jax = pytest.importorskip("jax", reason="JAX is not installed")
        x = jax.numpy.asarray(x, dtype="float32")
    parts = [part for (part,) in Loader(x, batch_size=4, shuffle=shuffle, seed=0)]

    assert all(type(part) is type(x) for part in parts)
    assert [len(part) for part in parts] == [4, 2]
    found = np.concatenate([np.asarray(part) for part in parts])
    assert sorted(found.ravel()) == list(range(12))


@pytest.mark.parametrize(
    ("arrays", "settings", "message"),
    [
        ((), {}, "equal length"),
        (([],), {}, r"shapes \[\(0,\)\]"),
        ((3.0,), {}, r"shapes \[\(\)\]"),
        (([1, 2], [1]), {}, r"shapes \[\(2,\), \(1,\)\]"),
        (([1, 2],), {"batch_size": 0}, "batches of 0, of 2"),
        (([1, 2],), {"batch_size": 3, "drop_last": True}, "batches of 3, of 2"),
    ],
)
def test_what_is_refused(
    arrays: tuple[Any, ...], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Loader(*arrays, **{"batch_size": 1, **settings})


@pytest.mark.parametrize(
    "change",
    [{"examples": 9}, {"epoch": -1}, {"position": -1}, {"more": 1}, {"seed": None}],
)
def test_a_state_that_does_not_fit(change: dict[str, Any]) -> None:
    loader = Loader(range(10), batch_size=2, seed=5)
    before = loader.state()
    state = {k: v for k, v in {**before, **change}.items() if v is not None}
    with pytest.raises(ValueError, match="load_state"):
        loader.load_state(state)

    assert loader.state() == before


# --- evaluate


def test_evaluate_is_the_mean_over_examples() -> None:
    x = np.arange(10.0)
    loader = Loader(x, batch_size=4, shuffle=False)

    assert evaluate(lambda part: part.mean(), loader) == pytest.approx(x.mean())


def test_evaluate_makes_no_graph() -> None:
    w, made = Tensor(np.ones(2)), []

    def loss(x: Any) -> Any:
        made.append((w * x).sum())
        return made[-1]

    evaluate(loss, [(np.ones(2),)])

    assert made[0]._parents == ()
    with pytest.raises(RuntimeError, match="no_grad"):
        made[0].backward()
    (w * w).sum().backward()  # and afterwards there is one again
    assert w.grad.tolist() == [2.0, 2.0]


def test_evaluate_of_nothing() -> None:
    with pytest.raises(ValueError, match="no batches"):
        evaluate(lambda x: x, [])
