"""`python -m tests.live [FOLDER]`: build the site as it is hosted."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .build import build
from .vendor import LIVE, ROOT, VendorError, vendor


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line asks; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.live", description=__doc__)
    parser.add_argument("site", nargs="?", type=Path, default=ROOT / "site")
    parser.add_argument(
        "--fetch",
        action="store_true",
        help="only fetch what a browser needs; BOOK_LIVE=true mkdocs serve uses it",
    )
    options = parser.parse_args(arguments)
    try:
        if options.fetch:
            print(vendor(LIVE))
        else:
            build(options.site.resolve())
            print(options.site)
    except VendorError as error:
        print(f"tests.live: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
