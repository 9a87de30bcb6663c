"""A contender in a process of its own: it reads requests and answers.

A process of its own keeps one library's garbage out of the other's way.
Everything runs on one thread.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "JAX_PLATFORMS": "cpu",
    "JAX_ENABLE_X64": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
KEEPING = {
    "MALLOC_MMAP_THRESHOLD_": "1000000000",
    "MALLOC_TRIM_THRESHOLD_": "1000000000",
}
"""Lets glibc keep the memory that is free, instead of giving it back."""
SAMPLE = 5e-3
"""So many seconds one measurement takes, or one step if that takes longer."""


class Worker:
    """The parent's side."""

    def __init__(
        self,
        name: str,
        module: str = "worker",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"tests.benchmarks.{module}", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | ONE_THREAD | dict(environment or {}),
        )

    def ask(self, **request: Any) -> Any:
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps(request), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.name} ended at {request}")
        return json.loads(answer)

    def close(self) -> None:
        self.process.communicate()


@dataclass(frozen=True)
class Run:
    """One thing to time.

    Attributes:
        step: Does it once.
        read: Makes a list of numbers of what `step` returns, to compare.
    """

    step: Callable[[], Any]
    read: Callable[[Any], list[float]]


def timed(step: Callable[[], Any], repeat: int) -> float:
    start = perf_counter()
    for _ in range(repeat):
        step()
    return (perf_counter() - start) / repeat


class Timer:
    """The child's side: builds a run when it is first asked for."""

    def __init__(
        self, builders: dict[str, Callable[[], Run]], missing: str = ""
    ) -> None:
        self.builders = builders
        self.missing = missing
        self.runs: dict[str, tuple[Run, int]] = {}

    def build(self, name: str) -> dict[str, Any]:
        """Return what the first step gave and after how long.

        A library that cannot do this is left out, and says why.
        """
        start = perf_counter()
        try:
            run = self.builders[name]()
            first = run.step()
            ready = perf_counter() - start
            numbers = run.read(first)
        except Exception as error:
            return {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}
        once = timed(run.step, 2)
        repeat = max(1, round(SAMPLE / once))
        self.runs[name] = run, repeat
        gc.collect()
        gc.freeze()
        return {"ready": ready, "numbers": numbers}

    def time(self, name: str) -> float:
        """Return the seconds of a step, the collector off."""
        run, repeat = self.runs[name]
        gc.collect()
        gc.disable()
        try:
            return timed(run.step, repeat)
        finally:
            gc.enable()

    def serve(self, requests: Iterable[str]) -> None:
        """Answer requests, each a line, until they end."""
        for line in requests:
            request = json.loads(line)
            if "build" in request:
                answer: Any = self.build(request["build"])
            elif "time" in request:
                answer = self.time(request["time"])
            else:
                answer = {"names": list(self.builders), "missing": self.missing}
            print(json.dumps(answer), flush=True)


def serve(make: Callable[[], dict[str, Callable[[], Run]]]) -> None:
    """Answer what is asked of a contender, or say which library it lacks."""
    try:
        timer = Timer(make())
    except ImportError as error:
        timer = Timer({}, str(error))
    timer.serve(sys.stdin)
