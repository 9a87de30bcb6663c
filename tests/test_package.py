"""What a user who installs the package sees, and how it is kept."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.resources import files
from pathlib import Path

import pytest

import prosegrad

ROOT = Path(__file__).parents[1]
MODULES = sorted(p.stem for p in (ROOT / "src/prosegrad").glob("[!_]*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_public_names_exist_and_are_documented() -> None:
    for name in prosegrad.__all__:
        assert getattr(prosegrad, name).__doc__, name


@pytest.mark.parametrize("module", MODULES)
def test_public_objects_live_in_documented_modules(module: str) -> None:
    assert import_module(f"prosegrad.{module}").__doc__
    assert (ROOT / f"docs/reference/{module}.md").exists()


def test_package_is_typed_and_needs_nothing() -> None:
    assert files("prosegrad").joinpath("py.typed").is_file()
    assert PROJECT["dependencies"] == []


def test_the_package_under_test(request: pytest.FixtureRequest) -> None:
    """It is that of src/, or an installed one that has the same files.

    `-o pythonpath=.` asks for the installed one.
    """
    here, there = ROOT / "src/prosegrad", Path(prosegrad.__file__).parent
    asked_for_src = here.parent in request.config.getini("pythonpath")
    texts = [
        {p.name: p.read_text("utf-8") for p in f.glob("*.*")} for f in (here, there)
    ]

    assert (there == here) == asked_for_src
    assert texts[0] == texts[1]


def test_change_log_begins_with_this_version() -> None:
    log = (ROOT / "docs/about/changelog.md").read_text()
    versions = re.findall(r"^## (\d+\.\d+\.\d+)", log, flags=re.M)

    assert versions[0] == PROJECT["version"]


def test_top_level_holds_the_agreed_files_only() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if tracked.returncode:
        pytest.skip("not a git checkout")
    tops = {line.split("/")[0] for line in tracked.stdout.splitlines()}
    agreed = {"docs", "src", "tests", "mkdocs.yml", "pyproject.toml", "README.md"}

    assert {t for t in tops if t[0] != "."} == agreed | {"LICENSE"}


@pytest.mark.parametrize(
    "command",
    [
        ["mypy", "src", "tests"],
        ["ruff", "check", "src", "tests"],
        ["ruff", "format", "--check", "src", "tests"],
    ],
    ids=" ".join,
)
def test_checkers_find_nothing(command: list[str]) -> None:
    """The types and the style of src/ and tests/ are clean."""
    result = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True
    )

    assert result.returncode == 0, result.stdout + result.stderr


def test_benchmarks_run() -> None:
    """One round of the benchmark, to know that it still works."""
    pytest.importorskip("micrograd")
    result = subprocess.run(
        [sys.executable, "-c", CHECK_BENCHMARK],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    assert result.returncode == 0, result.stderr
    assert "XOR step" in result.stdout


CHECK_BENCHMARK = """
from tests.benchmarks import __main__ as benchmark

benchmark.ROWS = [row for row in benchmark.ROWS if "XOR" in row[0]]
benchmark.CHAINS = (10**3,)
workers = {name: benchmark.Worker(name) for name in benchmark.LIBRARIES}
print(benchmark.comparison(workers, 1), benchmark.chains(workers, 1))
for worker in workers.values():
    worker.close()
"""
