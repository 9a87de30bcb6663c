"""A compiler: from a Python function to straight-line Python.

`jit(f)` calls `f` once with Symbols, writes down what happened as the
source of a function without branches, loops and graphs, and runs that
from then on. It knows nothing of derivatives: `jit(grad(f))` is the
gradient of `f` as straight-line code. The names are JAX's.
"""

import linecache
import math
import textwrap
from ast import literal_eval
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, update_wrapper
from importlib import import_module
from inspect import Parameter, signature
from itertools import count
from keyword import kwlist
from numbers import Number as PythonNumber
from typing import Any
from weakref import finalize

from prosegrad import elementary
from prosegrad.derivatives import Function, Graph, numbers_of
from prosegrad.elementary import Number
from prosegrad.kinds import NAMES
from prosegrad.levels import _lent
from prosegrad.memory import collector_paused
from prosegrad.operations import (
    COMPARISONS,
    Trace,
    kind_of,
    simplified,
)
from prosegrad.symbol import (
    Symbol,
    TracingError,
    _is_ours,
    place_of,
)
from prosegrad.trees import (
    LEAF,
    Structure,
    Tree,
    flatten,
    paths,
    unflatten,
)
from prosegrad.value import Value
from prosegrad.writer import (
    SCALAR,
    WIDTH,
    Form,
    Writer,
    display,
    failures,
    fold,
    live_places,
)


@dataclass(frozen=True)
class Program:
    """A function as source.

    Attributes:
        name: Its name.
        source: Its text, one function.
        scope: What the text calls, by name.
        outside: The structure of its result.
    """

    name: str
    source: str
    scope: dict[str, Any]
    outside: Structure

    def load(self, compiler: Any = None) -> Function:
        """Return the function. Tracebacks show its lines.

        Args:
            compiler: What to do with it, such as `numba.njit`.
        """
        file = f"<jit {self.name} {next(_loaded)}>"
        lines = self.source.splitlines(keepends=True)
        linecache.cache[file] = (len(self.source), None, lines, file)
        scope = dict(self.scope)
        exec(compile(self.source, file, "exec"), scope)
        function: Function = scope[self.name]
        finalize(function, linecache.cache.pop, file, None)
        run: Function = compiler(function) if compiler else function
        if _is_plain(self.outside):
            return run
        return lambda *args: unflatten(self.outside, run(*args))


_loaded = count()


def _is_plain(structure: Structure, depth: int = 0) -> bool:
    """Tell whether the source can spell a tree of this structure."""
    if structure.kind not in (None, list, tuple, dict) or depth > 80:
        return False  # Python reads no more than 200 brackets
    return all(_is_plain(c, depth + 1) for c in structure.children)


def write(
    f: Function,
    args: Sequence[Tree],
    forms: dict[str, Form],
    scope: dict[str, Any],
    trace: Trace | None = None,
    symbol: Callable[[Any, int, Any], Symbol] | None = None,
) -> Program:
    """Trace a function and write down what it did.

    Args:
        f: The function.
        args: Its arguments; their numbers do not matter.
        forms: `SCALAR` or `ARRAY`.
        scope: What the source may call, by name.
        trace: The list to write into; a new one by default.
        symbol: Makes what stands for a number, from the trace, a
            place in it and the number; a `Symbol` by default.
    """
    taken = {*scope, "abs", *kwlist}
    (name,) = _new_names([_name_of(f)], taken)
    names = _new_names(_parameters(f, len(args)), taken)
    trace = Trace() if trace is None else trace
    make = partial(symbol or _symbol, trace)
    symbols = [
        _symbols(make, trace, *pair) for pair in zip(args, names)
    ]
    numbers, outside = numbers_of("jit", "result", f(*symbols))
    _require_keys("result", outside)
    outputs = [place_of(trace, number) for number in numbers]
    also: list[int] = []
    if forms is SCALAR:
        _require_numbers(trace)
        trace, outputs = simplified(trace, outputs)
        also = failures(trace, outputs)
    taken |= {name, *names}
    writer = Writer(trace, outputs, forms, taken, also)
    texts = [writer.texts[place][0] for place in outputs]
    shown = outside if _is_plain(outside) else _flat(len(texts))
    lines = [f"    {line}" for line in writer.lines]
    if forms is SCALAR:
        lines += _no_nan(trace, outputs, also, writer)
    lines += fold(f"return {display(shown, texts)}")
    head = f"def {name}({', '.join(names)}):"
    source = "\n".join([head, *lines, ""])
    return Program(name, source, scope | writer.constants, outside)


def _require_numbers(trace: Trace) -> None:
    """Raise a TypeError if the function itself brings an array."""
    for value in trace.constants.values():
        if _is_array(value):
            raise TypeError(
                "jit: an array among numbers, whose shape the code "
                "would not know; make it an argument"
            )


def _no_nan(
    trace: Trace,
    outputs: Sequence[int],
    also: Sequence[int],
    writer: Writer,
) -> list[str]:
    """Return lines that raise an error for a NaN out of a choice."""
    live = live_places(trace, [*outputs, *also])
    if not any(_makes_nan(trace, place) for place in live):
        return []
    tested = {*outputs, *_deciding(trace, live, also)}
    texts = (writer.texts[i][0] for i in tested - {*trace.constants})
    names = {x if x.isidentifier() else f"({x})" for x in texts}
    if not names:
        return []
    tests = " or ".join(f"{x} != {x}" for x in sorted(names))
    lines = textwrap.wrap(f"if ({tests}):", WIDTH - 4)
    return [f"    {x}" for x in [*lines, "    raise ValueError"]]


def _deciding(
    trace: Trace, live: Sequence[int], also: Sequence[int]
) -> set[int]:
    """Return what decides or may fail, made with a choice of 0."""
    found: set[int] = set()
    doubtful: set[int] = set()
    for place in live:
        op, *operands = trace.nodes[place]
        made = doubtful.intersection(operands)
        if op in COMPARISONS:
            found |= made
            continue
        if op == "where":
            found |= made & {operands[0]}
            made |= {*filter(trace.is_zero, operands)}
        if made:
            doubtful.add(place)
    return found | doubtful.intersection(also)


def _makes_nan(trace: Trace, place: int) -> bool:
    value = trace.constants.get(place)
    is_infinite = isinstance(value, float) and not math.isfinite(value)
    return is_infinite or trace.nodes[place][0] == "where"


def _symbol(trace: Trace, place: int, number: Number) -> Symbol:
    trace.types[place] = kind_of(number)
    return Symbol(trace, place)


def _symbols(
    make: Callable[..., Symbol], trace: Trace, arg: Tree, name: str
) -> Tree:
    numbers, structure = numbers_of("jit", name, arg)
    _require_keys(name, structure)
    inputs = (trace.node("input", path) for path in paths(arg, name))
    return unflatten(structure, map(make, inputs, numbers))


def _require_keys(role: str, structure: Structure) -> None:
    """Raise an error for a key that no source can spell."""
    for key in structure.keys:
        try:
            spelled = literal_eval(repr(key)) == key
        except (SyntaxError, ValueError):
            spelled = False
        if not spelled:
            raise TracingError(
                f"jit: {role} has the key {key!r}, which cannot be "
                "written down; use a string"
            )
    for child in structure.children:
        _require_keys(role, child)


def _new_names(words: list[str], taken: set[str]) -> list[str]:
    """Return the words, with underscores where they are taken."""
    names: list[str] = []
    for word in words:
        while word in taken or word in names:
            word += "_"
        names.append(word)
    return names


def _flat(count: int) -> Structure:
    return Structure(tuple, (), (LEAF,) * count)


def _name_of(f: Function) -> str:
    name = getattr(f, "__name__", "")
    return name if name.isidentifier() else "compiled"


def _parameters(f: Function, count: int) -> list[str]:
    """Return names for the arguments: those of `f`, then others."""
    named = (
        Parameter.POSITIONAL_ONLY,
        Parameter.POSITIONAL_OR_KEYWORD,
    )
    try:
        parameters = [*signature(f).parameters.values()]
    except ValueError:  # a function in C may hide them
        parameters = []
    names = [p.name for p in parameters if p.kind in named][:count]
    return names + [f"arg{i}" for i in range(len(names), count)]


FLOATS: dict[str, Any] = {name: getattr(math, name) for name in NAMES}
FLOATS |= {"pow": math.pow, "power": elementary.power, "float": float}
FLOATS |= {"zeros_like": elementary.zeros_like}
FLOATS |= {"ones_like": elementary.ones_like}
FLOATS |= {"inf": math.inf, "nan": math.nan}
"""What the source may call when the numbers are floats."""

ARRAY_NAMES = (*NAMES, "where", "maximum", "minimum", "sign")
"""What the source may call when the numbers are arrays."""


def array_scope(xp: Any, *more: str) -> dict[str, Any]:
    """Return what these names, and more, mean in a namespace."""
    found = {name: getattr(xp, name) for name in (*ARRAY_NAMES, *more)}
    return found | {"inf": math.inf, "nan": math.nan}


class Compiled:
    """A function that is traced once and then runs as plain code.

    Args:
        f: A function of trees of numbers that returns such a tree.
        compiler: What to do with the code, such as `numba.njit`.
    """

    _name = "jit"

    def __init__(self, f: Function, compiler: Any = None) -> None:
        self._f = f
        self._compiler = compiler
        self._programs: dict[Any, Function | None] = {}
        update_wrapper(self, f, updated=())

    def __call__(self, *args: Tree) -> Tree:
        """Return `f(*args)`, by the code for arguments like these.

        Where the code fails or cannot be made, `f` itself is called,
        and returns or raises what it would have without us. So it is,
        too, for numbers that are neither floats nor integers nor
        arrays, and while a derivative is being taken.
        """
        if _lent:
            return self._eagerly(args)
        key = self._key_of(args)
        program: Any = self._programs.get(key, self)
        if program is self:
            program = self._programs[key] = self._made(args)
        if isinstance(program, Compiled):
            return program(*args)
        if program is not None:
            try:
                return program(*args)
            except self._judged:
                pass
        return self._eagerly(args)

    @property
    def _judged(self) -> Any:
        """The errors after which `f` is called."""
        if self._compiler is None:
            return Exception
        return ArithmeticError, ValueError

    def _key_of(self, args: Sequence[Tree]) -> Any:
        return tuple(map(_key, args))

    def _made(self, args: Sequence[Tree]) -> Function | None:
        """Return a new program, or None if there can be none."""
        numbers_of(self._name, "argument", args)
        try:
            return self._program(args)
        except TracingError:
            raise
        except Exception:  # then f says what is wrong, or knows better
            return None

    def _program(self, args: Sequence[Tree]) -> Function | None:
        numbers = flatten(args)[0]
        if any(map(_is_array, numbers)):
            return self._of_arrays()
        if not all(isinstance(x, (float, int)) for x in numbers):
            return None
        return self._build(args)

    def _build(self, args: Sequence[Tree]) -> Function:
        with collector_paused():
            return self._write(args).load(self._compiler)

    def _write(self, args: Sequence[Tree]) -> Program:
        if any(map(_is_array, flatten(args)[0])):
            return self._of_arrays()._write(args)
        return write(self._f, args, SCALAR, FLOATS)

    def _of_arrays(self) -> "Compiled":
        """Return the compiler for arrays, which needs NumPy."""
        recording: Any = import_module("prosegrad.recording")
        compiled: Compiled = recording.jit_arrays(
            self._f, compiler=self._compiler
        )
        return compiled

    def source(self, *args: Tree) -> str:
        """Return the source of the code for arguments like these.

        Args:
            args: As for a call; the numbers do not matter.

        Raises:
            TracingError: `f` asks what the numbers are.
            TypeError: An argument or the result holds what is no
                number.
        """
        return self._write(args).source

    def _eagerly(self, args: Sequence[Tree]) -> Tree:
        scope = getattr(self._f, "__globals__", {})
        if _is_ours(scope) or any(map(_is_strange, flatten(args)[0])):
            try:
                result = self._f(*args)
            except AttributeError:
                pass  # a plain number has no sin
            else:
                numbers_of(self._name, "result", result)
                return result
        return Graph(self._name, self._f, args).result


def _key(tree: Tree) -> Any:
    """Return what decides which code serves a tree, hashable."""
    kind = type(tree)
    if kind is dict:
        return kind, tuple(tree), tuple(map(_key, tree.values()))
    if not isinstance(tree, (list, tuple)):
        return kind
    if {float}.issuperset(map(type, tree)):
        return kind, len(tree)
    return kind, tuple(map(_key, tree))


def _is_strange(x: Number) -> bool:
    return isinstance(x, STRANGERS) or _is_array(x)


def _is_array(x: Number) -> bool:
    if isinstance(x, (PythonNumber, *STRANGERS)):
        return False
    if not hasattr(x, "shape"):
        return False
    return bool(import_module("prosegrad.arrays").is_array(x))


STRANGERS = (Value, Symbol)
"""Numbers that have a namespace and are no arrays."""


def jit(f: Function, *, compiler: Any = None) -> Compiled:
    """Return a function that does what `f` does, as plain code.

    `f` is called once for each structure of its arguments and the
    types of their numbers. What it does then is what will be done: a
    branch or a loop is decided while tracing, and must not depend on
    the numbers. Arrays are compiled by `jit_arrays`.

    Args:
        f: A function of trees of numbers that returns such a tree.
            `jit(grad(f))` compiles a gradient.
        compiler: What to do with the code, such as `numba.njit`.

    Raises:
        TracingError: When called, if `f` asks what the numbers are.
        TypeError: When called, if an argument or the result holds
            what is no number.
    """
    return Compiled(f, compiler)
