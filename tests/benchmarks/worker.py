"""One library in one process: reads requests, answers with seconds.

A process of its own keeps one library's garbage out of the other's way.
"""

from __future__ import annotations

import gc
import json
import sys
from contextlib import nullcontext
from typing import Any

from . import workloads
from .processes import timed
from .workloads import Engine, Step


def engine(name: str) -> Engine:
    if name == "micrograd":
        from micrograd.engine import Value
        from micrograd.nn import MLP

        return Engine(name, Value, MLP, nullcontext)
    import prosegrad

    def mlp(n_inputs: int, sizes: list[int]) -> Any:
        return prosegrad.MLP(n_inputs, sizes, activation="relu")

    return Engine(name, prosegrad.Value, mlp, prosegrad.collector_paused)


def measure(request: dict[str, Any], library: Engine, steps: dict[str, Step]) -> Any:
    """Time one workload, in one of three ways of using the collector."""
    step, repeat = steps[request["workload"]], request["repeat"]
    gc.collect()
    if request["collector"] == "as users run it":
        with library.pause():
            return timed(step, repeat)
    gc.disable()
    try:
        return timed(step, repeat)
    finally:
        gc.enable()


def chain(library: Engine, length: int) -> dict[str, float]:
    """Return seconds a node and what the chain leaves for the collector."""
    gc.collect()
    gc.disable()
    try:
        seconds = timed(workloads.chain(library, length), 1)
        return {"seconds": seconds / length, "left": gc.collect()}
    except RecursionError:
        return {"seconds": float("nan"), "left": gc.collect()}
    finally:
        gc.enable()


def main() -> None:
    library = engine(sys.argv[1])
    names = ("mixed_operations", "plain_neurons", "xor_step", "moons_step")
    steps = {name: getattr(workloads, name)(library) for name in names}
    for step in steps.values():
        step()
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        request = json.loads(line)
        if "chain" in request:
            answer: Any = chain(library, request["chain"])
        else:
            answer = measure(request, library, steps)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
