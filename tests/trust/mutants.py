"""Mutation testing: plant a small fault, run the tests, and see whether one fails.

mutmut plants them in a copy of the repository, one at a time, and runs only
the tests that call the changed function. Which tests may judge is written in
pyproject.toml.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.records import circumstances

from .survivors import REASONS

ROOT = Path(__file__).parents[2]
PAGE = Path("docs/trust/mutants.md")
NAME = "mutants"
NEEDED = ("docs", "src", "tests", "mkdocs.yml", "pyproject.toml", "README.md")
SEPARATOR = "ǁ"  # mutmut's own, between a class and its method
# Functions that run while their module is imported. mutmut imports it once, with
# every mutant asleep; so what it calls a survivor there gets a process of its own.
AT_IMPORT = ("elementary._named",)
CAUGHT = ("killed", "timeout", "segfault")
STATUSES = (*CAUGHT, "survived", "no tests")
UNEXPLAINED = "No explanation."


@dataclass(frozen=True)
class Mutant:
    """A fault that was planted: where, how, and what became of it."""

    name: str
    status: str

    @property
    def module(self) -> str:
        return self.name.split(".")[1]

    @property
    def function(self) -> str:
        """Return `module.function` or `module.Class.method`."""
        mangled = self.name.split(".")[2].rpartition("__mutmut_")[0]
        plain = mangled.removeprefix("x").removeprefix("_" * (SEPARATOR not in mangled))
        return ".".join([self.module, *plain.split(SEPARATOR)]).replace("..", ".")

    @property
    def caught(self) -> bool:
        return self.status in CAUGHT


def measure() -> str:
    """Return the table of all modules and the list of survivors, in Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder).resolve()
        copy_repository(copy)
        found = plant_all(copy)
        changes = {m.name: _change(copy, m) for m in found if not m.caught}
    return "\n\n".join(
        [
            circumstances("mutmut") + ", each row one module.",
            _table(found),
            _survivors([m for m in found if not m.caught], changes),
        ]
    )


def copy_repository(copy: Path) -> None:
    """Copy what the tests need, and nothing that they leave behind."""
    junk = shutil.ignore_patterns("__pycache__", ".*")
    for name in NEEDED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=junk)
        else:
            shutil.copy(ROOT / name, copy / name)


def plant_all(copy: Path) -> list[Mutant]:
    """Run mutmut in a copy of the repository; return every mutant.

    Raises:
        RuntimeError: mutmut did not come to an end.
    """
    command = [sys.executable, "-m", "mutmut", "run"]
    command += ["--max-children", str(os.cpu_count())]
    run = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    found = [
        Mutant(name, _status(code))
        for meta in sorted((copy / "mutants/src/prosegrad").glob("*.meta"))
        for name, code in json.loads(meta.read_text())["exit_code_by_key"].items()
    ]
    if not found or any(mutant.status not in STATUSES for mutant in found):
        raise RuntimeError(f"mutmut failed:\n{run.stdout[-3000:]}\n{run.stderr}")
    return [_again(copy, mutant) for mutant in found]


def _status(code: int | None) -> str:
    from mutmut.stats import status_by_exit_code

    return str(status_by_exit_code[code])


def _again(copy: Path, mutant: Mutant) -> Mutant:
    """Judge a survivor of a module's import in a process of its own."""
    if mutant.caught or mutant.function not in AT_IMPORT:
        return mutant
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]
    command = [sys.executable, "-m", "pytest", "-x", "-q"]
    command += settings["pytest_add_cli_args"]
    command += settings["pytest_add_cli_args_test_selection"]
    environment = {**os.environ, "MUTANT_UNDER_TEST": mutant.name}
    run = subprocess.run(
        command, cwd=copy / "mutants", env=environment, capture_output=True
    )
    return Mutant(mutant.name, "killed" if run.returncode else "survived")


def _change(copy: Path, mutant: Mutant) -> tuple[str, str]:
    """Return the lines that a mutant takes away, and those that it puts there."""
    from mutmut.mutation.diff_apply import get_diff_for_mutant

    with contextlib.chdir(copy):
        lines = get_diff_for_mutant(mutant.name).splitlines()[2:]
    old, new = (
        " ".join(line[1:].strip() for line in lines if line.startswith(sign))
        for sign in "-+"
    )
    return old, new


def _table(found: list[Mutant]) -> str:
    heads = "Mutants | Killed | by a timeout | by a crash | Survived | No test | Caught"
    lines = [f"| Module | {heads} |", "|:---|---:|---:|---:|---:|---:|---:|---:|"]
    modules = sorted({mutant.module for mutant in found})
    for module in modules:
        lines.append(_row(f"`{module}`", [m for m in found if m.module == module]))
    return "\n".join([*lines, _row("All", found)])


def _row(name: str, found: list[Mutant]) -> str:
    counts = Counter(mutant.status for mutant in found)
    cells = [str(len(found)), *(str(counts[status]) for status in STATUSES)]
    caught = sum(mutant.caught for mutant in found) / len(found)
    return f"| {name} | {' | '.join(cells)} | {caught:.1%} |"


def _survivors(found: list[Mutant], changes: dict[str, tuple[str, str]]) -> str:
    """Return the survivors, those of one reason together."""
    reasons = {key: why for why, keys in REASONS.items() for key in keys}

    def why(mutant: Mutant) -> str:
        key = f"{mutant.function}: {changes[mutant.name][1]}"
        return reasons.get(key, UNEXPLAINED)

    parts = [f"The survivors, {len(found)} in all:"]
    for reason, group in _grouped(found, why):
        lines = [f'??? note "{len(group)}: {reason}"', "", "    ```diff"]
        for mutant in group:
            old, new = changes[mutant.name]
            lines += [f"    {mutant.function}", f"    - {old}", f"    + {new}"]
        parts.append("\n".join([*lines, "    ```"]))
    return "\n\n".join(parts)


def _grouped(
    found: list[Mutant], why: Callable[[Mutant], str]
) -> Iterator[tuple[str, list[Mutant]]]:
    groups: dict[str, list[Mutant]] = {}
    for mutant in found:
        groups.setdefault(why(mutant), []).append(mutant)
    yield from groups.items()
