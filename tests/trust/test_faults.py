"""At the edges: each outcome is right or a clear error, and nothing is half done.

A chain of a million nodes is in `tests/test_value.py`.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.records import BEGIN, END
from tests.trust import faults
from tests.trust.faults import ROWS, Deed, Row

ROOT = Path(__file__).parents[2]
PROGRAM = """
import random
from prosegrad import Value

rng = random.Random(0)
leaves = {name: Value(rng.random()) for name in ("a", "b", "c", "d")}
nodes = [*leaves.values()]
for _ in range(300):
    x, y = rng.choice(nodes), rng.choice(nodes)
    nodes.append((x * y + x / (2 + y * y)).tanh())
sum(nodes).backward()
print(*(leaf.grad.hex() for leaf in leaves.values()))
"""


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.label.replace("`", ""))
def test_row(row: Row | Deed) -> None:
    """What the page says of a row is what happens."""
    expected = row.outcome
    actual = row.ours()

    assert expected == actual


def test_no_row_stands_twice() -> None:
    labels = [row.label for row in ROWS]

    assert sorted(set(labels)) == sorted(labels)


def test_slopes_never_raise() -> None:
    """With floats a calculation is refused forward, by name, or not at all."""
    refused = 0
    for name, leaves, result in faults.at_the_edges():
        if isinstance(result, Exception):
            refused += 1
            message = str(result)
            assert f" {name} " in message or message.startswith(f"{name}(")
            assert repr(leaves[0].data) in message
        else:
            result.backward()
            kinds = {type(node.grad) for node in (*leaves, result)}
            assert kinds == {float}, (name, leaves)

    assert refused > 100


def test_nan_passes_on() -> None:
    """NaN in gives NaN out, but for `x**0` and `1**x`, which are 1, and `nan / 0`."""
    for name, leaves, result in faults.at_the_edges():
        numbers = [leaf.data for leaf in leaves]
        if not any(map(math.isnan, numbers)):
            continue
        if isinstance(result, Exception):
            assert name == "/"
            assert numbers[1] == 0
            continue
        one = name == "**" and (numbers[1] == 0 or numbers[0] == 1)
        expected = 1.0 if one else math.nan

        assert str(expected) == str(result.data), (name, numbers)


def test_a_refused_calculation_leaves_its_inputs_alone() -> None:
    for _, leaves, result in faults.at_the_edges():
        if isinstance(result, Exception):
            assert [leaf.grad for leaf in leaves] == [0.0] * len(leaves)


def test_the_hash_seed_changes_no_digit(is_long: bool) -> None:
    """Programs under different seeds print the same gradients, digit for digit."""
    seeds = range(10) if is_long else (0, 1)
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in seeds
    ]
    printed = [process.communicate()[0] for process in running]

    assert [process.returncode for process in running] == [0] * len(running)
    assert len(printed[0].split()) == 4
    assert len(set(printed)) == 1


def test_a_row_that_differs_in_silence_is_noticed() -> None:
    row = Row("x + x", ("1.0",), "2; 2")
    with pytest.raises(ValueError, match="and why"):
        faults.reason(row, "3; 2")


def test_the_page_says_what_pytorch_does() -> None:
    """Where PyTorch is installed, the recorded table is what it says now."""
    pytest.importorskip("torch", reason="PyTorch is not installed")
    page = (ROOT / faults.PAGE).read_text("utf-8")
    recorded = page.partition(BEGIN)[2].partition(END)[0].split("\n\n")[2].strip()
    measured = faults.measure().partition("\n\n")[2]

    assert recorded == measured
