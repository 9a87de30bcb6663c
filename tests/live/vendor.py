"""Fetch what a page needs to run Python, into `docs/assets/live/`.

Nothing of it is committed: `package.json` beside this file pins what comes
from npm, `WHEELS` what comes from PyPI, and our own wheel is built here.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LIVE = ROOT / "docs/assets/live"
BUILD = ROOT / "build/live"  # what only the tests need
# Pure Python that pages import, by the name in the import.
WHEELS = {"mpmath": "mpmath==1.4.1", "tqdm": "tqdm==4.67.1"}
SESSION = ROOT / "tests/book/session.py"  # how a page runs, here and there
PYODIDE = (
    "pyodide.mjs",
    "pyodide.asm.mjs",
    "pyodide.asm.wasm",
    "python_stdlib.zip",
    "pyodide-lock.json",
)
VIZ = "@viz-js/viz/dist/viz.js"
SHIM = "iframe-worker/shim/index.js"
AXE = "axe-core/axe.min.js"


class VendorError(Exception):
    """Something that the live site needs cannot be had here."""


def vendor(folder: Path = LIVE) -> Path:
    """Fill `folder`, unless it holds the same already; return it.

    Raises:
        VendorError: npm or pip is missing, or one of them failed.
    """
    wanted = fingerprint()
    stamp = folder / "manifest.json"
    if (
        BUILD.exists()
        and stamp.exists()
        and json.loads(stamp.read_text())["of"] == wanted
    ):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".live-") as scratch:
        ready = Path(scratch, "live")
        ready.mkdir()
        modules = _npm(Path(scratch, "npm"))
        _bundle_editor(modules, ready)
        _copy(modules, ready)
        wheels = _wheels(ready)
        _write_manifest(ready, wheels, wanted)
        if folder.exists():
            shutil.rmtree(folder)
        ready.rename(folder)
    return folder


def _made_of(folder: Path) -> str:
    """Return the fingerprint that a filled folder has, or nothing."""
    manifest = folder / "manifest.json"
    return str(json.loads(manifest.read_text())["of"]) if manifest.exists() else ""


def fingerprint() -> str:
    """Return a digest of all that decides what the folder holds."""
    digest = hashlib.sha256()
    sources = sorted((ROOT / "src").rglob("*.py"))
    own = [HERE / "package.json", HERE / "editor.js", SESSION, Path(__file__)]
    for path in [*own, ROOT / "pyproject.toml", *sources]:
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def _npm(folder: Path) -> Path:
    """Install the pinned packages; no script of theirs runs."""
    npm = shutil.which("npm")
    if npm is None:
        raise VendorError("npm is not installed; it comes with Node.js")
    folder.mkdir()
    shutil.copy(HERE / "package.json", folder)
    quiet = ["--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
    _call([npm, "install", "--ignore-scripts", *quiet], folder)
    return folder / "node_modules"


def _bundle_editor(modules: Path, ready: Path) -> None:
    """Make one small file of the editor and what it imports."""
    shutil.copy(HERE / "editor.js", modules.parent)
    form = ["--bundle", "--minify", "--format=esm", "--legal-comments=none"]
    out = f"--outfile={ready / 'editor.js'}"
    _call([str(modules / ".bin/esbuild"), "editor.js", *form, out], modules.parent)


def _copy(modules: Path, ready: Path) -> None:
    for name in PYODIDE:
        shutil.copy(modules / "pyodide" / name, ready)
    shutil.copy(modules / VIZ, ready)
    shutil.copy(SESSION, ready)
    shutil.copy(modules / SHIM, ready / "iframe-worker-shim.js")
    BUILD.mkdir(parents=True, exist_ok=True)
    shutil.copy(modules / AXE, BUILD)
    _licences(modules, ready)


def _licences(modules: Path, ready: Path) -> None:
    """Gather the licences of what is copied or bundled into one text."""
    parts = []
    for package in json.loads((HERE / "package.json").read_text())["dependencies"]:
        about = json.loads((modules / package / "package.json").read_text())
        head = f"{package} {about['version']}: {about.get('license', 'see below')}"
        texts = sorted((modules / package).glob("LICEN[CS]E*"))
        parts.append("\n\n".join([head, *(text.read_text() for text in texts)]))
    (ready / "licences.txt").write_text("\n\n---\n\n".join(parts))


def _wheels(ready: Path) -> dict[str, str]:
    """Build our wheel, download the others; return file names by import name."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    quiet = ["--quiet", "--no-deps"]
    _call([*pip, "wheel", *quiet, "--wheel-dir", str(ready), str(ROOT)], ROOT)
    pure = ["--only-binary=:all:", "--dest", str(ready)]
    _call([*pip, "download", *quiet, *pure, *WHEELS.values()], ROOT)
    return {path.name.split("-")[0]: path.name for path in sorted(ready.glob("*.whl"))}


def _write_manifest(ready: Path, wheels: dict[str, str], of: str) -> None:
    """Say which files there are, how large, and what they were made of."""
    sizes = {path.name: path.stat().st_size for path in sorted(ready.iterdir())}
    manifest = {
        "of": of,
        "always": [*PYODIDE, wheels["prosegrad"]],
        "extra": {name: wheels[name] for name in WHEELS} | {"graphviz": "viz.js"},
        "sizes": sizes,
    }
    (ready / "manifest.json").write_text(json.dumps(manifest, indent=1))


def _call(command: list[str], folder: Path) -> None:
    """Run a command in a folder; on failure say what it said."""
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        name = Path(command[0]).name
        raise VendorError(f"{name} failed:\n{done.stdout}{done.stderr}".rstrip())
