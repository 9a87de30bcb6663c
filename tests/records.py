"""Put what a long measurement found on its page, between two marks."""

from __future__ import annotations

import platform
from datetime import date
from importlib.metadata import version
from pathlib import Path

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def circumstances(*packages: str) -> str:
    """Return when and where a measurement was made, as the start of a sentence."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    machine = f"{platform.system()} {platform.machine()}"
    versions = [f"{name} {version(name)}" for name in packages]
    return f"Measured on {date.today():%d %B %Y}, " + ", ".join(
        [python, machine, *versions]
    )


def put_on_page(page: Path, text: str) -> None:
    """Replace what stands between the two marks of a page.

    Raises:
        ValueError: The page does not have the two marks, once each.
    """
    before, _, rest = page.read_text("utf-8").partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark or BEGIN in after:
        raise ValueError(f"{page}: needs {BEGIN} and {END}, once each")
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", "utf-8")
