"""`python -m tests.bare PAGE...`: the package alone, in a Python with nothing else.

Only what Python brings is imported here: no pytest, no parser of Markdown.
"""

from __future__ import annotations

import contextlib
import io
import pkgutil
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import prosegrad

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^( *)```(python|text)(.*)\n((?:.*\n)*?)\1```$", re.M)


def blocks(page: str) -> Iterator[tuple[str, str, str]]:
    """Return of each block its fence, its source, and what it has to print."""
    fences = [
        (kind, info, re.sub(f"^{indent}", "", text, flags=re.M))
        for indent, kind, info, text in FENCE.findall(page)
    ]
    for (kind, info, text), after in zip(fences, [*fences[1:], ("", "", "")]):
        # An exercise and its check wait for a reader; a solution does not.
        if kind == "python" and ".exercise" not in info and ".check" not in info:
            yield info, text, after[2] if after[0] == "text" else ""


def run(page: str) -> int:
    """Run the blocks of a page, compare what they print, and count them."""
    scope: dict[str, Any] = {}
    count = 0
    for count, (info, source, expected) in enumerate(blocks(page), 1):
        if " continuation" not in info:
            scope = {"__name__": "page"}
        raises = re.search('data-raises="(.*?)"', info)
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                exec(compile(source, f"block {count}", "exec"), scope)
        except Exception as error:
            if raises is None or type(error).__name__ != raises[1]:
                raise
        else:
            assert raises is None, f"block {count} raises no {raises}"
            assert printed.getvalue() == expected, (count, printed.getvalue(), expected)
    return count


def modules() -> list[str]:
    """Import all modules; return those that need another package, and say so."""
    needy = []
    for module in pkgutil.iter_modules(prosegrad.__path__):
        try:
            import_module(f"prosegrad.{module.name}")
        except ImportError as error:
            if (error.name or "").startswith("prosegrad"):
                raise
            needy.append(module.name)
    return needy


def main() -> None:
    place = Path(prosegrad.__file__)
    assert ROOT / "src" not in place.parents, f"{place} is not installed"
    for name in prosegrad.__all__:
        getattr(prosegrad, name)
    print("need more than Python:", *modules())
    for page in sys.argv[1:]:
        print(page, run(Path(page).read_text("utf-8")), "blocks")


if __name__ == "__main__":
    main()
