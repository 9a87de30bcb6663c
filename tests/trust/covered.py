"""Which lines and branches of the package run: in its tests, and on the pages."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from tests.records import circumstances

ROOT = Path(__file__).parents[2]
PAGE = Path("docs/trust/mutants.md")
NAME = "covered"


def measure() -> str:
    """Return one row for the tests, one for the pages, in Markdown."""
    rows = {
        "the tests of behaviour alone": _by_tests(),
        "the blocks of the pages alone": _total(["-m", "tests.book", "--coverage"]),
    }
    lines = [
        circumstances("coverage") + ".\n",
        "| What runs | Statements | not run | Branches | of those, half taken "
        "| Covered |",
        "|:---|---:|---:|---:|---:|---:|",
        *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()),
    ]
    return "\n".join(lines)


def _by_tests() -> list[str]:
    """Run the tests that judge mutants, with a meter."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]
    command = ["-m", "coverage", "run", "-m", "pytest", "-q"]
    command += settings["pytest_add_cli_args"]
    command += settings["pytest_add_cli_args_test_selection"]
    with tempfile.TemporaryDirectory() as folder:
        data = {"COVERAGE_FILE": os.path.join(folder, "data")}
        _python(command, data)
        return _total(["-m", "coverage", "report"], data)


def _total(command: list[str], more: dict[str, str] | None = None) -> list[str]:
    """Return the numbers in the last line of the report that a command prints."""
    report = _python(command, more or {})
    (total,) = [line for line in report.splitlines() if line.startswith("TOTAL")]
    return total.split()[1:]


def _python(command: list[str], more: dict[str, str]) -> str:
    run = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, **more},
        capture_output=True,
        text=True,
    )
    if run.returncode:
        raise RuntimeError(f"{command} failed:\n{run.stdout[-3000:]}\n{run.stderr}")
    return run.stdout
