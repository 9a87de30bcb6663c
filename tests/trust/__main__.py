"""`python -m tests.trust`: make a long measurement, print it, put it on its page."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from tests.records import put_on_page

ROOT = Path(__file__).parents[2]
# Each is a module here, with `PAGE` and `measure() -> str`.
MEASUREMENTS = (
    "accuracy",
    "exact",
    "changes",
    "covered",
    "engines",
    "faults",
    "functional",
    "mutants",
    "tensors",
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.trust", description=__doc__)
    parser.add_argument("what", choices=MEASUREMENTS)
    parser.add_argument("--write", action="store_true", help="update the page")
    options = parser.parse_args()
    measurement = import_module(f"tests.trust.{options.what}")
    text = measurement.measure()
    print(text)
    if options.write:
        name = getattr(measurement, "NAME", "")
        put_on_page(ROOT / measurement.PAGE, text, name)


if __name__ == "__main__":
    main()
