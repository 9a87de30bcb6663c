"""Put what a long measurement found on its page, between two marks."""

from __future__ import annotations

import platform
from datetime import date
from importlib.metadata import PackageNotFoundError, version
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


def installed(*packages: str) -> list[str]:
    """Return those of the packages that are here."""
    found = []
    for name in packages:
        try:
            version(name)
        except PackageNotFoundError:
            continue
        found.append(name)
    return found


def put_on_page(page: Path, text: str, name: str = "") -> None:
    """Replace what stands between the two marks of a page.

    Args:
        page: The page.
        text: What was found.
        name: Tells the marks apart where a page has several measurements.

    Raises:
        ValueError: The page does not have the two marks, once each.
    """
    begin, end = (
        mark.replace("measured:", f"measured {name}:" if name else "measured:")
        for mark in (BEGIN, END)
    )
    before, _, rest = page.read_text("utf-8").partition(begin)
    _, mark, after = rest.partition(end)
    if not mark or begin in after:
        raise ValueError(f"{page}: needs {begin} and {end}, once each")
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", "utf-8")
