"""A compiler: from a Python function to straight-line Python.

`jit(f)` calls `f` once with Symbols, writes down what happened as the
source of a function without branches, loops and graphs, and runs that
from then on. It knows nothing of derivatives: `jit(grad(f))` is the
gradient of `f` as straight-line code. The names are JAX's.
"""

import linecache
import math
from ast import literal_eval
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, update_wrapper
from inspect import Parameter, signature
from itertools import count
from keyword import kwlist
from typing import Any
from weakref import finalize

from prosegrad.derivatives import Function, Graph, numbers_of
from prosegrad.elementary import Number
from prosegrad.kinds import NAMES
from prosegrad.memory import collector_paused
from prosegrad.operations import Trace
from prosegrad.symbol import Symbol, place_of
from prosegrad.trees import (
    LEAF,
    Structure,
    Tree,
    flatten,
    paths,
    unflatten,
)
from prosegrad.value import Value
from prosegrad.writer import ARRAY, SCALAR, Form, Writer, display, fold


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


def _is_plain(structure: Structure) -> bool:
    """Tell whether the source can spell a tree of this structure."""
    plain = structure.kind in (None, list, tuple, dict)
    return plain and all(map(_is_plain, structure.children))


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
    writer = Writer(trace, outputs, forms, {name, *names, *taken})
    texts = [writer.texts[place][0] for place in outputs]
    shown = outside if _is_plain(outside) else _flat(len(texts))
    lines = [f"    {line}" for line in writer.lines]
    lines += fold(f"return {display(shown, texts)}")
    head = f"def {name}({', '.join(names)}):"
    source = "\n".join([head, *lines, ""])
    return Program(name, source, scope | writer.constants, outside)


def _symbol(trace: Trace, place: int, number: Number) -> Symbol:
    return Symbol(trace, place)


def _symbols(
    make: Callable[..., Symbol], trace: Trace, arg: Tree, name: str
) -> Tree:
    numbers, structure = numbers_of("jit", name, arg)
    _require_keys(name, structure)
    inputs = (trace.node("input", path) for path in paths(arg, name))
    return unflatten(structure, map(make, inputs, numbers))


def _require_keys(role: str, structure: Structure) -> None:
    """Raise a TypeError for a key that no source can spell."""
    for key in structure.keys:
        try:
            spelled = literal_eval(repr(key)) == key
        except (SyntaxError, ValueError):
            spelled = False
        if not spelled:
            raise TypeError(
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
FLOATS |= {"pow": math.pow, "inf": math.inf, "nan": math.nan}
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
        xp: A namespace of the array API standard, whose functions the
            code shall call; by default that of the arguments.
        compiler: What to do with the code, such as `numba.njit`.
    """

    def __init__(
        self, f: Function, xp: Any = None, compiler: Any = None
    ) -> None:
        self._f = f
        self._xp = xp
        self._compiler = compiler
        self._programs: dict[Any, Function] = {}
        update_wrapper(self, f, updated=())

    def __call__(self, *args: Tree) -> Tree:
        """Return `f(*args)`, by the code for arguments like these.

        Where the code fails, `f` itself is called, and returns or
        raises what it would have without us. So it is, too, for
        numbers that are neither floats nor arrays. What no result
        needs is left out of the code, and cannot fail.
        """
        key = tuple(map(_key, args))
        program = self._programs.get(key)
        if program is None:
            if not _is_ours(args):
                return self._eagerly(args)
            program = self._programs[key] = self._build(args)
        try:
            return program(*args)
        except (ArithmeticError, ValueError):
            pass
        return self._eagerly(args)

    def _build(self, args: Sequence[Tree]) -> Function:
        with collector_paused():
            return self._write(args).load(self._compiler)

    def _write(self, args: Sequence[Tree]) -> Program:
        xp = self._xp or _namespace_of(args)
        if xp is None:
            return write(self._f, args, SCALAR, FLOATS)
        return write(self._f, args, ARRAY, array_scope(xp))

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
        kinds = map(type, flatten(args)[0])
        if any(issubclass(kind, STRANGERS) for kind in kinds):
            return self._f(*args)
        return Graph("jit", self._f, args).result


def _key(tree: Tree) -> Any:
    """Return what decides which code serves a tree, hashable."""
    kind = type(tree)
    if kind is dict:
        return kind, tuple(tree), tuple(map(_key, tree.values()))
    if not isinstance(tree, (list, tuple)):
        return float if kind is int else kind
    if {float, int}.issuperset(map(type, tree)):
        return kind, len(tree)
    return kind, tuple(map(_key, tree))


def _namespace_of(args: Tree) -> Any:
    """Return the namespace of the arrays, or None for floats."""
    for leaf in flatten(args)[0]:
        if not isinstance(leaf, (float, int)):
            own = getattr(leaf, "__array_namespace__", None)
            return None if own is None else own()
    return None


def _is_ours(args: Sequence[Tree]) -> bool:
    """Tell whether all numbers are floats or arrays."""
    return all(
        isinstance(leaf, (float, int))
        or (_namespace_of(leaf) and not isinstance(leaf, STRANGERS))
        for leaf in flatten(args)[0]
    )


STRANGERS = (Value, Symbol)
"""Numbers that have a namespace and are no arrays."""


def jit(
    f: Function, *, xp: Any = None, compiler: Any = None
) -> Compiled:
    """Return a function that does what `f` does, as plain code.

    `f` is called once for each structure of its arguments. What it
    does then is what will be done: a branch or a loop is decided while
    tracing, and must not depend on the numbers.

    Args:
        f: A function of trees of numbers that returns such a tree.
            `jit(grad(f))` compiles a gradient.
        xp: A namespace of the array API standard, whose functions the
            code shall call; by default that of the arguments.
        compiler: What to do with the code, such as `numba.njit`.

    Raises:
        TracingError: When called, if `f` asks what the numbers are.
        TypeError: When called, if an argument or the result holds
            what is no number.
    """
    return Compiled(f, xp, compiler)
