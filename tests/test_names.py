"""The list of names, and the network of the page beside PyTorch's."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.names import LIST, Lesson, torch_twin

LESSON = Lesson()


def test_the_list_is_what_the_page_says_it_is() -> None:
    text = LIST.read_text("ascii")
    names = text.splitlines()

    assert text.endswith("\n")
    assert len(text) < 120_000
    assert len(set(names)) == len(names) > 9_000
    assert [n for n in names if not re.fullmatch("[a-z-]{1,15}", n)] == []


@pytest.fixture
def _torch() -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")


@pytest.mark.usefixtures("_torch")
@pytest.mark.parametrize(("dtype", "allowed"), [("float64", 1e-11), ("float32", 1e-4)])
def test_fifty_steps_are_those_of_pytorch(dtype: str, allowed: float) -> None:
    ours = LESSON.in_prosegrad(dtype, 50)
    theirs = LESSON.in_torch(dtype, 50)

    assert ours[-1] < ours[0] - 0.5
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=allowed)


@pytest.mark.usefixtures("_torch")
def test_every_weight_of_the_twin_is_ours() -> None:
    model = LESSON.names["fresh"]()
    twin = dict(torch_twin(model).named_parameters())
    ours = model.state()

    assert set(twin) == set(ours)
    tables = ("tokens.weight", "positions.weight")
    for name, x in twin.items():
        found = x.detach().numpy()
        as_ours = found.T if found.ndim == 2 and name not in tables else found
        np.testing.assert_array_equal(as_ours, ours[name], err_msg=name)
