"""Which derivative is taken inside which.

A function that is being differentiated may itself differentiate. Each
of these derivatives has Values of a level of its own, and the inner
one has the higher level; see `Value.at_level`.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Lock

from prosegrad.elementary import Number
from prosegrad.value import Value

_lent: list[int] = []
_lock = Lock()


@contextmanager
def new_level(numbers: Iterable[Number]) -> Iterator[int]:
    """Lend a level above every derivative that is being taken.

    It is above that of each of the numbers, too.

    Args:
        numbers: Those that the derivative is taken at.

    Yields:
        The level, which is free again after the `with`.
    """
    levels = [v._level for v in numbers if isinstance(v, Value)]
    with _lock:
        level = Value._FIRST_LEVEL + max([0, *_lent, *levels])
        _lent.append(level)
    try:
        yield level
    finally:
        _lent.remove(level)
