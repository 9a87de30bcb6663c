"""Build the hosted site: every page, with all that runs in it or goes home."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tests.book.pages import Book

from .takeaway import write_all
from .vendor import LIVE, ROOT, VendorError, vendor

ZIP = "prosegrad-book.zip"
CODE = re.compile(r"<pre.*?</pre>", re.DOTALL)
SHIM = "assets/live/iframe-worker-shim.js"


def build(site: Path) -> None:
    """Build the site into a folder, strictly, and all that can be taken away.

    Raises:
        VendorError: What the blocks need cannot be had here, or MkDocs has
            a warning.
    """
    vendor(LIVE)
    mkdocs(site, "mkdocs.yml", BOOK_LIVE="true")
    lighten(site / "search/search_index.json")
    write_all(Book(ROOT), site)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "prosegrad-book")
        mkdocs(copy, ".mkdocs-offline.yml", BOOK_OFFLINE="true")
        pack(copy, site / ZIP)


def mkdocs(site: Path, config: str, **settings: str) -> None:
    """Run MkDocs with settings that `mkdocs.yml` reads from the environment."""
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", **settings}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    done = subprocess.run(
        [*command, "--config-file", config, "--site-dir", str(site)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise VendorError(f"mkdocs failed:\n{done.stdout}{done.stderr}".rstrip())


def lighten(index: Path) -> None:
    """Leave the blocks of code out of the index of the search.

    Every first visit fetches it, and they are more than half of it. Titles,
    prose and the names of the reference are found as before.
    """
    content = json.loads(index.read_text("utf-8"))
    for part in content["docs"]:
        part["text"] = CODE.sub("", part["text"])
    index.write_text(json.dumps(content, separators=(",", ":")), "utf-8")


def pack(folder: Path, target: Path) -> None:
    """Zip a folder, the same bytes for the same files.

    Python stays out, for a browser starts no worker from the file system.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            python = name.startswith("assets/live/") and name != SHIM
            if path.is_file() and not python and path.suffix != ".map":
                entry = zipfile.ZipInfo(f"{folder.name}/{name}")
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, path.read_bytes())
