"""Which derivative is taken inside which.

A function that is being differentiated may itself differentiate. Each
of these derivatives has Values of a level of its own, and the inner
one has the higher level; see `Value.at_level`.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from prosegrad.elementary import Number
from prosegrad.value import Value

NESTED_BY_HAND = 10
"""How many levels a derivative leaves for Values nested by hand."""

_innermost = ContextVar("_innermost", default=0)


@contextmanager
def new_level(numbers: Iterable[Number]) -> Iterator[int]:
    """Lend a level above every derivative that is being taken.

    It is above that of each of the numbers, too. Threads and tasks
    have levels of their own.

    Args:
        numbers: Those that the derivative is taken at.

    Yields:
        The level, which is free again after the `with`.
    """
    levels = (v._level for v in numbers if isinstance(v, Value))
    level = NESTED_BY_HAND + max([_innermost.get(), *levels])
    token = _innermost.set(level)
    try:
        yield level
    finally:
        _innermost.reset(token)
