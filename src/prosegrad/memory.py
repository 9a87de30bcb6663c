"""Pausing Python's cyclic garbage collector, safely.

A graph of Values has no reference cycles: it is freed the moment its
last name goes. The collector finds nothing there, and the search costs
more than the arithmetic. A training loop may therefore pause it.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the cyclic collector inside a `with` block.

    Blocks may nest; the outermost one switches the collector on again,
    also after an error, and only if it was on before. The switch is one
    for the whole process, so other threads are paused too. Code in the
    block that makes cycles keeps their memory until the block ends.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
