"""`python -m tests.names`: train the page's network in PyTorch, put it on the page.

The page `tensors/names.md` trains ours without PyTorch. Its blocks up to the
training are run here, so that both have one list, one order, one schedule.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from tests.book.pages import parse
from tests.records import circumstances, put_on_page

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/tensors/names.md"
LIST = ROOT / "docs/assets/package-names.txt"
MARKS = (1, 10, 100, 500, 1000, 2000)
PART = 100


@dataclass(frozen=True)
class Lesson:
    """What the page defines before it trains: data, model, schedule, `train`."""

    page: Path = PAGE

    @cached_property
    def names(self) -> dict[str, Any]:
        names: dict[str, Any] = {"__name__": "names"}
        for fence in parse(self.page).fences:
            if fence.role == "run":
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(compile(fence.source, str(self.page), "exec"), names)
            if "train" in names:
                return names
        raise LookupError(f"{self.page}: no block defines `train`")

    def in_prosegrad(self, dtype: str, steps: int) -> list[float]:
        """Return the loss of each step."""
        model = self.names["fresh"](np.dtype(dtype))
        losses: list[float] = self.names["train"](model, steps)
        return losses

    def in_torch(self, dtype: str, steps: int) -> list[float]:
        """Return the loss of each step of the twin, with the same first weights."""
        torch = import_module("torch")
        twin = torch_twin(self.names["fresh"](np.dtype(dtype)))
        parameters = list(twin.parameters())
        optimiser = torch.optim.AdamW(parameters)
        losses = []
        for step, batch in zip(range(steps), self.names["batches"](), strict=False):
            tokens = torch.asarray(batch)
            logits = twin(tokens[:, :-1]).flatten(0, 1)
            targets = tokens[:, 1:].flatten()
            loss = torch.nn.functional.cross_entropy(logits, targets)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.param_groups[0]["lr"] = self.names["rates"](step)
            optimiser.step()
            losses.append(loss.item())
        return losses


def torch_twin(model: Any) -> Any:
    """Return a GPT of one block as a Module of PyTorch's own layers.

    Its names are ours, so that the weights go over by name; the matrices of
    `torch.nn.Linear` are (outputs, inputs).
    """
    torch = import_module("torch")
    nn, f = torch.nn, torch.nn.functional
    state = {name: torch.asarray(x) for name, x in model.state().items()}
    n_tokens, n = state["tokens.weight"].shape
    n_heads = model.blocks[0].attention.n_heads

    class Attention(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.qkv, self.out = nn.Linear(n, 3 * n), nn.Linear(n, n)

        def forward(self, x: Any) -> Any:
            heads = self.qkv(x).unflatten(-1, (3, n_heads, -1)).permute(2, 0, 3, 1, 4)
            y = f.scaled_dot_product_attention(*heads, is_causal=True)
            return self.out(y.transpose(1, 2).flatten(2))

    class Mlp(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(n, 4 * n), nn.Linear(4 * n, n)])

        def forward(self, x: Any) -> Any:
            first, last = self.layers
            return last(f.gelu(first(x), approximate="tanh"))

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(n), nn.LayerNorm(n)
            self.attention, self.mlp = Attention(), Mlp()

        def forward(self, x: Any) -> Any:
            x = x + self.attention(self.norm1(x))
            return x + self.mlp(self.norm2(x))

    class Twin(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(n_tokens, n)
            self.positions = nn.Embedding(len(state["positions.weight"]), n)
            self.blocks = nn.ModuleList([Block()])
            self.norm, self.out = nn.LayerNorm(n), nn.Linear(n, n_tokens, bias=False)

        def forward(self, tokens: Any) -> Any:
            x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1]))
            return self.out(self.norm(self.blocks[0](x)))

    twin = Twin().to(state["tokens.weight"].dtype)
    tables = ("tokens.weight", "positions.weight")
    twin.load_state_dict(
        {k: x if x.ndim < 2 or k in tables else x.mT for k, x in state.items()}
    )
    return twin


def differences(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Return the largest difference of two curves up to each of some steps."""
    apart = np.abs(np.subtract(ours, theirs))
    return [float(apart[:mark].max()) for mark in MARKS if mark <= len(apart)]


def measure() -> str:
    lesson = Lesson()
    head = " | ".join(str(mark) for mark in MARKS)
    lines = [f"| up to step | {head} |", "|:---|" + "---:|" * len(MARKS)]
    theirs: list[float] = []
    for dtype in ("float32", "float64"):
        theirs = lesson.in_torch(dtype, MARKS[-1])
        ours = lesson.in_prosegrad(dtype, MARKS[-1])
        cells = [f"{x:.0e}" if x else "0" for x in differences(ours, theirs)]
        lines.append(f"| {dtype} | {' | '.join(cells)} |")
    means = np.reshape(theirs, (-1, PART)).mean(1)
    numbers = ", ".join(f"{x:.6f}" for x in means)
    listed = textwrap.indent(textwrap.fill(f"{numbers},", 64), "    ")
    return (
        f"{circumstances('torch')}. The largest difference of two losses:\n\n"
        + "\n".join(lines)
        + f"\n\nAnd PyTorch's losses in double precision, means of {PART} steps:\n\n"
        + "```python { continuation }\nrecorded = [\n"
        + f"{listed}\n]\n```"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.names", description=__doc__)
    parser.add_argument("--write", action="store_true", help="update the page")
    options = parser.parse_args()
    text = measure()
    print(text)
    if options.write:
        put_on_page(PAGE, text)


if __name__ == "__main__":
    main()
