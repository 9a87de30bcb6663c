"""Build the hosted site: every page, with all that runs in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from .vendor import LIVE, ROOT, VendorError, vendor


def build(site: Path) -> None:
    """Build the site into a folder, strictly, with Python for its blocks.

    Raises:
        VendorError: What the blocks need cannot be had here, or MkDocs has
            a warning.
    """
    vendor(LIVE)
    mkdocs(site, BOOK_LIVE="true")


def mkdocs(site: Path, **settings: str) -> None:
    """Run MkDocs with settings that `mkdocs.yml` reads from the environment."""
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", **settings}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    done = subprocess.run(
        [*command, "--site-dir", str(site)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise VendorError(f"mkdocs failed:\n{done.stdout}{done.stderr}".rstrip())
