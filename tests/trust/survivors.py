"""Why some mutants survive: a reason, and the mutants that it explains.

A mutant is its function and the line that it puts in place of another.
"""

from __future__ import annotations

REASONS: dict[str, tuple[str, ...]] = {}
