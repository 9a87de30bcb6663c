"""A wrong answer to an exercise, and what its test must say of it."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent


@dataclass(frozen=True)
class Wrong:
    """One wrong answer.

    Attributes:
        name: What is wrong with it, in a few words.
        message: What the test must say; numbers may stand before it.
        source: The answer, if it is written out.
        changes: What to change in the solution, otherwise.
    """

    name: str
    message: str
    source: str = ""
    changes: tuple[tuple[str, str], ...] = ()

    def answer(self, solution: str) -> str:
        """Return the text to try in place of the stub.

        Raises:
            ValueError: The solution does not hold what is to be changed.
        """
        if self.source:
            return dedent(self.source).strip("\n") + "\n"
        for old, new in self.changes:
            if solution.count(old) != 1:
                raise ValueError(f"{self.name}: not once in the solution: {old!r}")
            solution = solution.replace(old, new)
        return solution

    def is_told_by(self, shown: str) -> bool:
        """Tell whether `shown` is the message, whatever stands before it."""
        return shown == self.message or shown.endswith(
            (f": {self.message}", f"\n{self.message}")
        )


def edit(name: str, message: str, *changes: tuple[str, str]) -> Wrong:
    """Return the solution with changes, as a wrong answer."""
    return Wrong(name, message, changes=changes)
