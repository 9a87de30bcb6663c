"""The compiler: the source, when it is made, and what happens where it fails."""

from __future__ import annotations

import ast
import functools
import gc
import keyword
import linecache
import math
import operator
import os
import random
import re
import subprocess
import sys
import traceback
from collections import namedtuple
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import prosegrad
from prosegrad import (
    Dual,
    TracingError,
    Value,
    elementary,
    grad,
    hessian,
    hvp,
    jacobian,
    jit,
    jvp,
    value_and_grad,
)
from prosegrad.compiler import ARRAY_NAMES, FLOATS, Compiled, Program, write
from prosegrad.kinds import NAMES
from prosegrad.operations import Trace
from prosegrad.symbol import Symbol
from prosegrad.trees import Structure, flatten
from prosegrad.writer import ARRAY, SCALAR

Point = namedtuple("Point", "x y")


def rosenbrock(x: Any) -> Any:
    """Rosenbrock's valley."""
    return sum(100 * (b - a**2) ** 2 + (1 - a) ** 2 for a, b in pairwise(x))


def cube(x: Any) -> Any:
    return x * x * x


def counted(f: Callable[..., Any]) -> tuple[Callable[..., Any], list[Any]]:
    """Return `f` and a list that gets the arguments of each call."""
    calls: list[Any] = []

    @functools.wraps(f)
    def counting(*args: Any) -> Any:
        calls.append(args)
        return f(*args)

    return counting, calls


def typed(tree: Any) -> Any:
    """Return the numbers of a tree with their types, and its structure."""
    leaves, structure = flatten(tree)
    return [(type(leaf), repr(leaf)) for leaf in leaves], structure


# --- the source


def line(x: Any, slope: Any = 2.0) -> Any:
    return slope * x + 1


def tree(p: Any, rest: Any) -> Any:
    return {"sum": p["a b"] + rest[0][1], "same": (p["a b"],), "none": []}


SOURCES: dict[str, tuple[Callable[..., Any], tuple[Any, ...], str]] = {
    "a number": (cube, (2.0,), "def cube(x):\n    v0 = x * (x * x)\n    return v0\n"),
    "a default": (
        line,
        (2.0,),
        "def line(x):\n    v0 = 2.0 * x + 1.0\n    return v0\n",
    ),
    "no default": (
        line,
        (2.0, 1.0),
        "def line(x, slope):\n    v0 = x * slope + 1.0\n    return v0\n",
    ),
    "trees": (
        tree,
        ({"a b": 1.0}, [(2.0, 3.0)]),
        "def tree(p, rest):\n"
        "    p_a_b = p['a b']\n"
        "    v0 = p_a_b + rest[0][1]\n"
        "    return {'sum': v0, 'same': (p_a_b,), 'none': []}\n",
    ),
    "an argument": (lambda x: x, (2.0,), "def compiled(x):\n    return x\n"),
    "a constant": (lambda x: 3, (2.0,), "def compiled(x):\n    return 3\n"),
    "no argument": (lambda: [1, -2.5], (), "def compiled():\n    return [1, -2.5]\n"),
    "an empty list": (lambda x: x, ([],), "def compiled(x):\n    return []\n"),
    "a gradient": (
        grad(lambda x, y: x * y.sin()),
        (1.0, 2.0),
        "def compiled(x, y):\n    v0 = sin(y) + 0.0\n    return v0\n",
    ),
    "a gradient that begins with a minus": (
        grad(lambda x, y: 1.0 - x * y.sin()),
        (1.0, 2.0),
        "def compiled(x, y):\n    v0 = 0.0 - sin(y)\n    return v0\n",
    ),
    "a zero gradient": (
        grad(lambda x, y: y),
        (1.0, 2.0),
        "def compiled(x, y):\n    return 0.0\n",
    ),
}


@pytest.mark.parametrize(("f", "args", "source"), SOURCES.values(), ids=SOURCES)
def test_source(f: Callable[..., Any], args: Any, source: str) -> None:
    """The text of one function, with the names that you gave."""
    assert jit(f).source(*args) == source


def test_the_numbers_of_source_do_not_matter() -> None:
    """Their structure does, and so do their types."""
    fast = jit(rosenbrock)

    assert fast.source([0.0, 0.0]) == fast.source([5.0, math.nan])
    assert fast.source([0.0, 0.0]) != fast.source([0, 0.0])
    assert fast.source([0.0, 0.0]) != fast.source([0.0, 0.0, 0.0])


def test_source_makes_no_program() -> None:
    """It is traced for the text alone, each time."""
    f, calls = counted(cube)
    fast = jit(f)
    fast.source(1.0)
    fast.source(1.0)

    assert len(calls) == 2
    assert fast(2.0) == 8.0
    assert len(calls) == 3


def test_a_long_result_is_folded() -> None:
    """The last line is not longer than 72 columns, and reads as before."""
    fast = jit(lambda x: [a * a for a in x])
    numbers = [float(i) for i in range(100)]
    lines = fast.source(numbers).splitlines()

    assert max(map(len, lines)) <= 72
    assert lines[-1].startswith("        v")
    assert fast(numbers) == [a * a for a in numbers]


# --- names


def exp(x: Any) -> Any:
    return x.exp() + 1


def inf(inf: Any) -> Any:
    return inf * math.inf


def v0(v0: Any, v1: Any) -> Any:
    return (v0 + v1) * (v0 + v1)


def nan(exp: Any, abs: Any, pow: Any, nan: Any) -> Any:
    return exp.exp() + abs.__abs__() + pow**0.5 + math.nan * nan


def same(same: Any) -> Any:
    return same * 2


def paths(x: Any, x_0: Any) -> Any:
    return x[0] * x[0] * x_0


def where_(where: Any, maximum: Any, sign: Any) -> Any:
    return prosegrad.where(where > 0, maximum.maximum(0.0), sign.sign())


NAMED: list[tuple[Callable[..., Any], tuple[Any, ...], str]] = [
    (exp, (0.5,), "def exp_(x):"),
    (inf, (0.5,), "def inf_(inf_):"),
    (v0, (0.5, 2.0), "def v0(v0, v1):"),
    (nan, (0.5, -2.0, 4.0, 1.0), "def nan_(exp_, abs_, pow_, nan_):"),
    (same, (0.5,), "def same(same):"),
    (paths, ([3.0], 2.0), "def paths(x, x_0):"),
    (where_, (1.0, 2.0, 3.0), "def where_(where, maximum, sign):"),
    (abs, (-2.0,), "def abs_(x):"),
    (operator.mul, (3.0, 2.0), "def mul(a, b):"),
    (sum, ([3.0, 2.0],), "def sum(iterable):"),
    (pow, (3.0, 2.0), "def pow_(base, exp_):"),
    (lambda *args: args[0] * args[1], (3.0, 2.0), "def compiled(arg0, arg1):"),
    (lambda x, /, y, *z: x * y * z[0], (3.0, 2.0, 5.0), "def compiled(x, y, arg2):"),
    (lambda x, *, k=2: x * k, (3.0,), "def compiled(x):"),
    (functools.partial(operator.mul, 3.0), (2.0,), "def compiled(b):"),
    (functools.partial(line, slope=3.0), (2.0,), "def compiled(x):"),
]


@pytest.mark.parametrize(
    ("f", "args", "head"), NAMED, ids=[head for _, _, head in NAMED]
)
def test_names(f: Callable[..., Any], args: Any, head: str) -> None:
    """They are yours, unless the source calls something by that name."""
    fast = jit(f)

    assert fast.source(*args).splitlines()[0] == head
    eager = [Value(x) if isinstance(x, float) else x for x in args]
    expected = f(*eager)
    assert repr(fast(*args)) == repr(getattr(expected, "data", expected))


def test_names_of_arrays() -> None:
    """The source of arrays calls other functions, so other names are taken."""
    ones = np.ones(3)
    source = jit(where_).source(ones, ones, ones)

    assert source.splitlines()[0] == "def where_(where_, maximum_, sign_):"
    assert jit(where_)(ones, ones * 2, ones).tolist() == [2.0, 2.0, 2.0]


class Machine:
    """An object that can be called, without a name of its own."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, x: Any) -> Any:
        """Return a multiple."""
        return self.factor * x

    def method(self, x: Any) -> Any:
        return self.factor + x


def test_objects_that_can_be_called() -> None:
    """They are called `compiled`, and a method by its name."""
    machine = Machine(3.0)

    assert jit(machine).source(1.0) == (
        "def compiled(x):\n    v0 = 3.0 * x\n    return v0\n"
    )
    assert jit(machine.method).source(1.0) == (
        "def method(x):\n    v0 = x + 3.0\n    return v0\n"
    )
    assert (jit(machine)(2.0), jit(machine.method)(2.0)) == (6.0, 5.0)


def test_it_looks_like_the_function() -> None:
    """Name, text and signature are those of the original."""
    fast = jit(rosenbrock)

    assert isinstance(fast, Compiled)
    assert vars(fast)["__name__"] == "rosenbrock"
    assert fast.__doc__ == "Rosenbrock's valley."
    assert fast.__module__ == __name__
    assert vars(fast)["__wrapped__"] is rosenbrock


# --- when it is traced


def test_traced_once_for_numbers() -> None:
    """The second call runs the code, with the numbers of that call."""
    f, calls = counted(cube)
    fast = jit(f)

    assert [fast(2.0), fast(3.0), fast(-1.0)] == [8.0, 27.0, -1.0]
    assert len(calls) == 1
    assert isinstance(calls[0][0], Symbol)


def first_number(x: Any) -> Any:
    return flatten(x)[0][0] * 2


STRUCTURES: dict[str, tuple[list[Any], int]] = {
    "floats": ([[1.0, 2.0], [3.0, 4.0]], 1),
    "ints and floats": ([[1, 2], [1.0, 2], [1.0, 2.0], [3, 4]], 3),
    "lengths": ([[1.0], [1.0, 2.0], [1.0, 2.0, 3.0], [1.0]], 3),
    "list and tuple": ([[1.0, 2.0], (1.0, 2.0), [1.0, 2.0]], 2),
    "nested": ([[[1.0], 2.0], [1.0, [2.0]], [1.0, 2.0]], 3),
    "lists of lists": ([[[1.0, 2]], [[3, 4.0]], [[3.0]]], 3),
    "dicts": ([{"a": 1.0}, {"a": 2.0}, {"b": 1.0}], 2),
    "values of dicts": ([{"a": 1.0}, {"a": [2.0]}, {"a": [3.0]}], 2),
    "order of keys": ([{"a": 1.0, "b": 2.0}, {"b": 3.0, "a": 4.0}], 2),
    "named": ([Point(1.0, 2.0), (1.0, 2.0), Point(3.0, 4.0)], 2),
    "number and list": ([1.0, [1.0]], 2),
    "numpy's float": ([[np.float64(1.0)], [np.float64(2.0)]], 1),
    "arrays": ([[np.ones(2)], [np.zeros(3)], [np.zeros(2)]], 2),
    "array and float": ([[np.ones(2)], [1.0]], 2),
}


@pytest.mark.parametrize(("args", "count"), STRUCTURES.values(), ids=STRUCTURES)
def test_traced_once_for_each_structure(args: list[Any], count: int) -> None:
    """Not for each number; and each structure has its own result."""
    f, calls = counted(first_number)
    fast = jit(f)

    for _ in range(2):
        for arg in args:
            found, expected = fast(arg), first_number(arg)
            assert np.all(found == expected)
    assert len(calls) == count


def test_each_argument_counts() -> None:
    """A program serves one number of arguments, and each one's structure."""
    f, calls = counted(lambda *args: args)
    fast = jit(f)

    for args in [(), (1.0,), (1.0, 2.0), ([1.0], 2.0), (1.0, [2.0])] * 2:
        assert typed(fast(*args)) == typed(args)
    assert len(calls) == 5


def test_each_compiled_function_is_traced() -> None:
    """`jit` twice is two compilers."""
    f, calls = counted(cube)

    assert (jit(f)(2.0), jit(f)(2.0)) == (8.0, 8.0)
    assert len(calls) == 2


def test_an_error_while_tracing_leaves_no_program() -> None:
    """The next call traces again."""
    ready = False

    def f(x: Any) -> Any:
        if not ready:
            raise KeyError("not yet")
        return x * 2

    fast = jit(f)
    with pytest.raises(KeyError, match="not yet"):
        fast(1.0)
    ready = True
    assert fast(1.0) == 2.0


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_as_before(enabled: bool) -> None:
    """It is paused while a program is built, and not while it runs."""
    was_enabled = gc.isenabled()
    seen: list[bool] = []

    def traced(x: Any) -> Any:
        seen.append(gc.isenabled())
        return x * 2

    def spying(x: Any) -> Any:
        seen.append(gc.isenabled())
        return x

    (gc.enable if enabled else gc.disable)()
    try:
        fast = jit(traced, compiler=lambda program: spying)
        fast(1.0)
        seen.append(gc.isenabled())
    finally:
        (gc.enable if was_enabled else gc.disable)()
    assert seen == [False, enabled, enabled]


# --- trees in and out

RESULTS: dict[str, tuple[Callable[[Any], Any], Any, Any]] = {
    "list": (lambda x: [x[1], x[0]], [1.0, 2.0], [2.0, 1.0]),
    "tuple": (lambda x: (x[0] * 2,), (1.0,), (2.0,)),
    "dict": (
        lambda x: {"d": x["b"], "c": x["a"]},
        {"a": 1.0, "b": 2.0},
        {"d": 2.0, "c": 1.0},
    ),
    "named": (lambda p: Point(p.y, p.x * 2), Point(1.0, 2.0), Point(2.0, 2.0)),
    "named in a list": (
        lambda p: [p[0], {"k": Point(p[0].x, 3)}],
        [Point(1.0, 2.0)],
        [Point(1.0, 2.0), {"k": Point(1.0, 3)}],
    ),
    "constants": (lambda x: [1, 2.5, [], x], 3.0, [1, 2.5, [], 3.0]),
    "a number twice": (lambda x: (x, x * 2, x * 2, x), 3.0, (3.0, 6.0, 6.0, 3.0)),
    "an int": (lambda x: x, 3, 3),
    "keys": (
        lambda x: {None: x, 1: x, b"k": x},
        3.0,
        {None: 3.0, 1: 3.0, b"k": 3.0},
    ),
    "blanks": (lambda x: {" a  b ": x}, 3.0, {" a  b ": 3.0}),
}


@pytest.mark.parametrize(
    ("f", "arg", "expected"),
    RESULTS.values(),
    ids=RESULTS,
)
def test_results(f: Callable[[Any], Any], arg: Any, expected: Any) -> None:
    """The result is a tree like that of the function, of plain numbers."""
    fast = jit(f)

    for _ in range(2):
        assert typed(fast(arg)) == typed(expected)


def test_a_value_that_f_makes_is_its_result() -> None:
    """As without `jit`: it may lead to what only `f` knows."""
    w = Value(2.0)
    found = jit(lambda x: [w, x * w])(3.0)
    found[1].backward()

    assert found[0] is w
    assert w.grad == 3.0


def test_a_dict_keeps_its_order() -> None:
    """That of the function, not of the argument."""
    found = jit(lambda x: {"d": x["b"], "c": x["a"]})({"a": 1.0, "b": 2.0})

    assert list(found.items()) == [("d", 2.0), ("c", 1.0)]


def test_a_result_is_a_new_tree() -> None:
    """Not the argument, even if the function returns that."""
    numbers = [1.0, 2.0]
    found = jit(lambda x: x)(numbers)

    assert found == numbers
    assert found is not numbers


def test_what_is_no_argument_is_frozen() -> None:
    """A number that was not handed in is that of the trace."""
    rate = 2.0
    fast = jit(lambda x: rate * x)

    assert fast(1.0) == 2.0
    rate = 100.0
    assert fast(1.0) == 2.0


@pytest.mark.parametrize(
    ("f", "args", "message"),
    [
        (
            lambda x: None,
            (1.0,),
            "jit: result is None of type NoneType, not a number",
        ),
        (
            lambda x: [x, "a"],
            (1.0,),
            "jit: result[1] is 'a' of type str, not a number",
        ),
        (
            lambda x: {"k": {1.0}},
            (1.0,),
            "jit: result['k'] is {1.0} of type set, not a number",
        ),
        (cube, ("a",), "jit: argument[0] is 'a' of type str, not a number"),
        (
            lambda x, y: x,
            (1.0, [2.0, None]),
            "jit: argument[1][1] is None of type NoneType, not a number",
        ),
    ],
)
def test_what_is_no_number(f: Callable[..., Any], args: Any, message: str) -> None:
    """The error names the place, in arguments and results."""
    with pytest.raises(TypeError) as error:
        jit(f)(*args)
    assert str(error.value) == message


def test_source_of_what_is_no_number() -> None:
    """Here the arguments have their names."""
    with pytest.raises(TypeError) as error:
        jit(lambda x, y: x).source(1.0, [2.0, "a"])
    assert str(error.value) == "jit: y[1] is 'a' of type str, not a number"


def test_no_keywords() -> None:
    """A program has a place for each argument, and no names from outside."""
    with pytest.raises(TypeError, match="unexpected keyword argument 'x'"):
        jit(cube)(x=1.0)  # type: ignore[call-arg]


def test_options_have_names() -> None:
    """What is not the function must be named."""
    with pytest.raises(TypeError, match="takes 1 positional argument but 2 were given"):
        jit(cube, np)  # type: ignore[call-arg]
    assert jit(cube, compiler=None)(2.0) == 8.0


def test_too_many_arguments() -> None:
    """The error is that of the function."""
    with pytest.raises(TypeError, match="takes 1 positional argument but 2 were given"):
        jit(cube)(1.0, 2.0)


# --- programs


def test_write() -> None:
    """A program is a text, a scope, and the structure of the result."""
    third = Fraction(1, 3)
    program = write(lambda x: [x * third], (1.0,), SCALAR, {"sin": math.sin})

    assert program.name == "compiled"
    assert program.source == "def compiled(x):\n    v0 = x * c0\n    return [v0]\n"
    assert list(program.scope) == ["sin", "c0"]
    assert program.scope["c0"] is third
    assert program.outside == Structure(list, (), (Structure(),))
    assert program.load()(2.0) == [2.0 * third]


@pytest.mark.parametrize(
    "f", [lambda x: x * np.ones(2), lambda x: [np.ones(2), x]], ids=["used", "returned"]
)
def test_an_array_among_numbers_is_not_compiled(f: Callable[[Any], Any]) -> None:
    """The code would know no shapes; `f` does."""
    with pytest.raises(TypeError, match="an array among numbers"):
        jit(f).source(2.0)
    assert repr(jit(f)(2.0)) == repr(f(2.0))


def test_load_does_not_change_the_scope() -> None:
    """Each loaded function has a scope of its own."""
    program = write(cube, (1.0,), SCALAR, FLOATS)
    scope = dict(program.scope)
    one, other = program.load(), program.load()

    assert program.scope == scope
    assert one is not other
    assert (one(2.0), other(2.0)) == (8.0, 8.0)
    assert one.__code__.co_filename != other.__code__.co_filename


def test_a_program_is_what_its_source_says() -> None:
    """One that was written by hand runs as well."""
    source = "def half(x):\n    return x / two\n"
    program = Program("half", source, {"two": 2.0}, Structure())

    assert program.load()(3.0) == 1.5
    with pytest.raises(FrozenInstanceError):
        program.name = "double"  # type: ignore[misc]


def test_a_named_tuple_is_made_afterwards() -> None:
    """The source returns the numbers, in one tuple."""
    fast = jit(lambda p: [Point(p.y, 1), (p.x,)])

    assert fast.source(Point(1.0, 2.0)).splitlines()[-1] == "    return (p_1, 1, p_0)"
    assert fast(Point(1.0, 2.0)) == [Point(2.0, 1.0), (1.0,)]


def test_one_number_in_a_named_tuple() -> None:
    """The tuple of one number has its comma."""
    Single = namedtuple("Single", "x")
    fast = jit(lambda x: Single(x * 2))

    assert "return (v0,)" in fast.source(1.0)
    assert fast(2.0) == Single(4.0)


def test_a_traceback_shows_the_line() -> None:
    """Python's own tools find the text, for as long as the function lives."""
    code = write(lambda x, y: x / (y - y), (1.0, 1.0), SCALAR, FLOATS).load()
    file = code.__code__.co_filename
    with pytest.raises(ZeroDivisionError) as error:
        code(1.0, 2.0)
    last = traceback.extract_tb(error.value.__traceback__)[-1]

    assert (last.filename, last.lineno, last.name, last.line) == (
        file,
        2,
        "compiled",
        "v0 = x / (y - y)",
    )
    assert re.fullmatch(r"<jit compiled \d+>", file)
    linecache.checkcache()
    assert linecache.getlines(file) == [
        "def compiled(x, y):\n",
        "    v0 = x / (y - y)\n",
        "    return v0\n",
    ]


def test_the_text_goes_with_the_function() -> None:
    """The cache does not grow with functions that are gone."""
    code = write(cube, (1.0,), SCALAR, FLOATS).load()
    file = code.__code__.co_filename
    size, mtime, lines, name = linecache.cache[file]  # type: ignore[misc]

    assert (size, mtime, name) == (len("".join(lines)), None, file)
    del code
    gc.collect()
    assert file not in linecache.cache


def test_the_text_of_a_named_result_stays_as_well() -> None:
    """The function is wrapped then, and is not gone."""
    before = set(linecache.cache)
    fast = jit(lambda x: Point(x, x))
    fast(1.0)
    gc.collect()
    (file,) = set(linecache.cache) - before

    assert linecache.getline(file, 2) == "    return (x, x)\n"


# --- where the code fails

FAILURES: dict[str, tuple[Callable[..., Any], tuple[Any, ...], type, str]] = {
    "divide": (
        lambda x, y: x / y,
        (1.0, 0.0),
        ZeroDivisionError,
        "1.0 / 0.0: division by zero",
    ),
    "log": (
        lambda x: x.log(),
        (-1.0,),
        ValueError,
        "log(-1.0): the function has no real value there",
    ),
    "exp": (
        lambda x: x.exp(),
        (1000.0,),
        OverflowError,
        "exp(1000.0): the result is too large for a float",
    ),
    "root": (
        lambda x: x**0.5,
        (-2.0,),
        ValueError,
        "-2.0 ** 0.5: the function has no real value there",
    ),
    "power": (
        lambda x: x**-1,
        (0.0,),
        ZeroDivisionError,
        "0.0 ** -1: zero has no negative power",
    ),
    "power of numbers": (
        lambda x, y: x**y,
        (10.0, 1000.0),
        OverflowError,
        "10.0 ** 1000.0: the result is too large for a float",
    ),
    "gradient": (
        grad(lambda x: x * x.log()),
        (-1.0,),
        ValueError,
        "log(-1.0): the function has no real value there",
    ),
}


@pytest.mark.parametrize(
    ("f", "args", "kind", "message"), FAILURES.values(), ids=FAILURES
)
def test_the_function_raises(
    f: Callable[..., Any], args: Any, kind: type[Exception], message: str
) -> None:
    """The error is the engine's, without a trace of ours behind it."""
    fast = jit(f)

    for _ in range(2):
        with pytest.raises(kind) as error:
            fast(*args)
        assert str(error.value) == message
        assert type(error.value) is kind
        assert error.value.__context__ is None or error.value.__suppress_context__


SLOPES: dict[str, tuple[Callable[[Any], Any], float, float]] = {
    "root at 0": (lambda x: x.sqrt(), 0.0, math.inf),
    "power at 0": (lambda x: x**0.5, 0.0, math.inf),
    "cube at 0": (lambda x: x**3, 0.0, 0.0),
    "power by a number": (lambda x: x ** Value(2.0), 0.0, 0.0),
    "arc sine at 1": (lambda x: x.asin(), 1.0, math.inf),
    "arc cosine at 1": (lambda x: x.acos(), 1.0, -math.inf),
    "relu at 0": (lambda x: x.relu(), 0.0, 0.0),
    "abs at 0": (abs, 0.0, 0.0),
    "tie": (lambda x: x.maximum(x * 1), 1.0, 1.0),
    "tie with a number": (lambda x: x.maximum(1.0), 1.0, 0.5),
    "tanh far out": (lambda x: x.tanh(), 400.0, 0.0),
    "sigmoid far out": (lambda x: x.sigmoid(), -1000.0, 0.0),
    "gelu far out": (lambda x: x.gelu(), 1e200, 1.0),
}


@pytest.mark.parametrize(("f", "x", "slope"), SLOPES.values(), ids=SLOPES)
def test_awkward_slopes(f: Callable[[Any], Any], x: float, slope: float) -> None:
    """They are those of the engine, by the code or by the engine itself."""
    expected = grad(f)(x)

    assert jit(grad(f))(x) == getattr(expected, "data", expected) == slope


def test_the_function_is_called_only_where_the_code_fails() -> None:
    """Numbers after a failure are served by the code again."""
    f, calls = counted(lambda x: 1 / x)
    fast = jit(f)

    assert fast(2.0) == 0.5
    with pytest.raises(ZeroDivisionError):
        fast(0.0)
    assert fast(4.0) == 0.25
    assert [type(args[0]).__name__ for args in calls] == ["Symbol", "Value"]


@pytest.mark.parametrize("error", [KeyError, RuntimeError, AttributeError])
def test_other_errors_of_the_code_pass(error: type[Exception]) -> None:
    """Only failures of arithmetic are the function's to decide."""
    f, calls = counted(cube)

    def failing(program: Any) -> Any:
        def run(x: Any) -> Any:
            raise error("mine")

        return run

    with pytest.raises(error, match="mine"):
        jit(f, compiler=failing)(1.0)
    assert len(calls) == 1


@pytest.mark.parametrize("error", [ArithmeticError, FloatingPointError, ValueError])
def test_failures_of_arithmetic(error: type[Exception]) -> None:
    """Whatever the compiler makes of them."""

    def failing(program: Any) -> Any:
        def run(x: Any) -> Any:
            raise error("mine")

        return run

    assert jit(cube, compiler=failing)(2.0) == 8.0


# --- numbers that are no floats

KINDS = [
    Fraction(2, 3),
    Decimal("1.25"),
    1 + 2j,
    np.float32(1.5),
    np.int64(3),
    True,
    10**400,
]


@pytest.mark.parametrize("number", KINDS, ids=lambda n: type(n).__name__)
def test_other_numbers(number: Any) -> None:
    """A compiled function is exact where the function is."""
    assert jit(lambda x: x * x * x - x)(number) == number * number * number - number


def test_numbers_of_mpmath() -> None:
    """Fifty digits stay fifty digits."""
    with mpmath.workdps(50):
        x = mpmath.mpf(1) / 3
        assert jit(lambda x: x.sin() * x)(x) == mpmath.sin(x) * x
        assert jit(grad(lambda x: x.exp()))(x) == mpmath.exp(x)


@pytest.mark.parametrize("number", [Fraction(2, 3), Decimal("1.25"), 1 + 2j], ids=repr)
def test_other_numbers_are_not_traced(number: Any) -> None:
    """The function is called each time, with Values of them."""
    f, calls = counted(lambda x: x[0] * x[1])
    fast = jit(f)

    assert [fast([number, number]), fast([number, 2])] == [number * number, number * 2]
    assert [type(x).__name__ for (args,) in calls for x in args] == ["Value"] * 4


def test_values() -> None:
    """A compiled function is a part of a graph like any other."""
    x, y = Value(2.0), Value(3.0)
    f, calls = counted(lambda x, y: x * y + y)
    z = jit(f)(x, y)
    z.backward()

    assert type(z) is Value
    assert (z.data, x.grad, y.grad) == (9.0, 3.0, 3.0)
    assert calls == [(x, y)]
    assert calls[0][0] is x


def test_a_value_beside_a_number() -> None:
    """One is enough."""
    x = Value(2.0)
    z = jit(lambda p: p[0] * p[1])([3.0, x])
    z.backward()

    assert (z.data, x.grad) == (6.0, 3.0)


def test_a_dual() -> None:
    """Forward mode goes through as well."""
    x = Dual(2.0)
    x.tangent = 1.0
    y = jit(cube)(x)

    assert (type(y), y.data, y.tangent) == (Dual, 8.0, 12.0)


def test_a_symbol() -> None:
    """A compiled function inside of another is traced along with it."""
    trace = Trace()
    x = Symbol(trace, trace.node("input", "x"))
    y = jit(cube)(x)

    assert trace.nodes == [("input", "x"), ("*", 0, 0), ("*", 0, 1)]
    assert y.place == 2
    assert jit(lambda x: jit(cube)(x) + 1).source(1.0) == (
        "def compiled(x):\n    v0 = x * (x * x) + 1.0\n    return v0\n"
    )


def poly(x: Any) -> Any:
    return x**4 + x.sin() * 2


DERIVATIVES: dict[str, Callable[[Any], Any]] = {
    "grad(jit)": grad(jit(poly)),
    "jit(grad)": jit(grad(poly)),
    "value_and_grad(jit)": lambda x: value_and_grad(jit(poly))(x)[1],
    "jit(value_and_grad)": lambda x: jit(value_and_grad(poly))(x)[1],
    "jacobian(jit)": jacobian(jit(poly)),
    "jit(jacobian)": jit(jacobian(poly)),
    "jvp(jit)": lambda x: jvp(jit(poly), (x,), (1.0,))[1],
    "jit(jvp)": jit(lambda x: jvp(poly, (x,), (1.0,))[1]),
    "jit(a function with grad)": jit(lambda x: grad(poly)(x)),
    "jit(grad of a function with jit)": jit(grad(lambda x: jit(poly)(x))),
}
SECOND: dict[str, Callable[[Any], Any]] = {
    "grad(grad(jit))": grad(grad(jit(poly))),
    "jit(grad(grad))": jit(grad(grad(poly))),
    "grad(jit(grad))": grad(jit(grad(poly))),
    "hessian(jit)": hessian(jit(poly)),
    "jit(hessian)": jit(hessian(poly)),
    "hvp(jit)": lambda x: hvp(jit(poly), (x,), (1.0,)),
    "jit(hvp)": jit(lambda x: hvp(poly, (x,), (1.0,))),
    "jvp(jit(grad))": lambda x: jvp(jit(grad(poly)), (x,), (1.0,))[1],
}


@pytest.mark.parametrize("derivative", DERIVATIVES.values(), ids=DERIVATIVES)
def test_first_derivatives(derivative: Callable[[Any], Any]) -> None:
    """In whatever order one compiles and differentiates."""
    for x in (0.5, -1.25):
        expected = 4 * x**3 + 2 * math.cos(x)
        assert math.isclose(derivative(x), expected, rel_tol=1e-14)


@pytest.mark.parametrize("derivative", SECOND.values(), ids=SECOND)
def test_second_derivatives(derivative: Callable[[Any], Any]) -> None:
    """The second derivative too."""
    for x in (0.5, -1.25):
        expected = 12 * x**2 - 2 * math.sin(x)
        assert math.isclose(derivative(x), expected, rel_tol=1e-14)


# --- the same numbers

METHODS = [*NAMES, "sigmoid", "softplus", "relu", "leaky_relu", "silu", "gelu", "sign"]
INSIDE = {"log": 0.75, "log1p": 0.75, "sqrt": 0.75, "asin": 0.75, "acos": -0.75}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("x", [0.75, -1.5, 3.25, 0.0])
def test_functions_and_slopes(name: str, x: float) -> None:
    """Value and slope of each function are the engine's."""
    f = value_and_grad(lambda x: getattr(x, name)() * x)
    x = INSIDE.get(name, x)

    for found, expected in zip(jit(f)(x), f(x), strict=True):
        assert math.isclose(found, expected, rel_tol=1e-14, abs_tol=1e-16)


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=5))
def test_a_gradient_is_the_gradient(numbers: list[float]) -> None:
    """Compiled or not, the numbers differ by rounding alone."""
    f = value_and_grad(rosenbrock)
    (value, slopes), (same, slopes_too) = f(numbers), jit(f)(numbers)

    assert math.isclose(value, same, rel_tol=1e-13)
    for a, b in zip(slopes, slopes_too, strict=True):
        assert math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)


def test_twenty_thousand_operations() -> None:
    """A long program compiles and runs; nothing recurses with its length."""
    fast = jit(value_and_grad(rosenbrock))
    numbers = [1.0 + 0.01 * (i % 7) for i in range(1600)]
    source = fast.source(numbers)
    kinds = (ast.BinOp, ast.UnaryOp)
    count = sum(isinstance(part, kinds) for part in ast.walk(ast.parse(source)))
    value, slopes = fast(numbers)
    expected, slopes_too = value_and_grad(rosenbrock)(numbers)

    assert count > 20_000
    assert math.isclose(value, expected, rel_tol=1e-12)
    assert all(map(functools.partial(math.isclose, rel_tol=1e-9), slopes, slopes_too))


def test_a_long_chain() -> None:
    """20,000 operations one after another, each on the one before."""

    def chain(x: Any) -> Any:
        y = x
        for i in range(20_000):
            y = y * x if i % 2 else y + 0.5
        return y

    fast = jit(chain)
    lines = fast.source(0.5).splitlines()
    y = 0.5
    for i in range(20_000):
        y = y * 0.5 if i % 2 else y + 0.5

    assert fast(0.5) == y
    assert max(map(len, lines)) <= 72


PROGRAM = """
from prosegrad import jit, hessian, value_and_grad

def f(p):
    total = 0.0
    for name in {"gamma", "alpha", "beta"} and ("alpha", "beta", "gamma"):
        total = total + p[name].tanh() * p[name] / (1 + p["alpha"] ** 2)
    return total

p = {"alpha": 1.0, "beta": 2.0, "gamma": 3.0}
print(jit(value_and_grad(f)).source(p))
print(jit(hessian(f)).source(p))
"""


def test_the_source_is_always_the_same() -> None:
    """It depends on the program alone, not on the seed of Python's hashes."""
    texts = set()
    for seed in ("0", "1", "12345"):
        path = os.pathsep.join(filter(None, sys.path))
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        texts.add(done.stdout)

    (text,) = texts
    assert text.startswith("def f(p):\n    p_alpha = p['alpha']\n")


# --- arrays


def wavy(x: Any) -> Any:
    return (x[0] * x[1]).relu() + x[0].exp() / (1 + x[1] ** 2) - abs(x[1]).sqrt()


COLUMNS = [np.array([1.0, -2.0, 3.0, 0.5]), np.array([0.5, 1.0, -1.0, 2.0])]


def summed(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: f(x).sum()


@pytest.mark.parametrize("transform", [None, value_and_grad, grad])
def test_a_batch(transform: Any) -> None:
    """One run gives what the single numbers give, one after another."""
    g, calls = counted(transform(summed(wavy)) if transform else wavy)
    fast, single = jit(g), jit(transform(wavy) if transform else wavy)
    batch, _ = flatten(fast(COLUMNS))

    assert len(calls) == 1
    for i, numbers in enumerate(zip(*COLUMNS, strict=True)):
        alone, _ = flatten(single([float(x) for x in numbers]))
        for column, number in zip(batch, alone, strict=True):
            if column.shape:
                assert math.isclose(column[i], number, rel_tol=1e-14)
    fast(COLUMNS)
    assert len(calls) == 1


@pytest.mark.parametrize("name", METHODS)
def test_functions_of_arrays(name: str) -> None:
    """Value and slope of each member are those of the member alone."""

    def f(x: Any) -> Any:
        return getattr(x, name)() * x

    numbers = [INSIDE.get(name, 1.75), INSIDE.get(name, -0.25)]
    values = jit(f)(np.array(numbers))
    slopes = jit(grad(summed(f)))(np.array(numbers))

    for i, x in enumerate(numbers):
        expected, expected_slope = jit(value_and_grad(f))(x)
        assert math.isclose(values[i], expected, rel_tol=1e-14)
        assert math.isclose(slopes[i], expected_slope, rel_tol=1e-14)


def test_the_source_of_arrays() -> None:
    """It calls the functions of the arrays' own namespace."""
    f = grad(lambda x: (x[0].relu() * x[1].sin()).sum())

    assert jit(f).source(COLUMNS) == (
        "def compiled(x):\n"
        "    x_0 = x[0]\n"
        "    x_1 = x[1]\n"
        "    v0 = where(x_0 <= 0.0, 0.0, sin(x_1))\n"
        "    v1 = maximum(x_0, 0.0) * cos(x_1)\n"
        "    return [v0, v1]\n"
    )


def test_an_array_beside_a_float() -> None:
    """The float goes with every member, on either side."""
    fast = jit(lambda x, y: x * y + x.maximum(y) - y**0.5)
    array = np.array([1.0, 4.0])

    assert fast(2.0, array).tolist() == [3.0, 10.0]
    assert fast(array, 4.0).tolist() == [6.0, 18.0]
    assert "maximum(x, y)" in fast.source(2.0, array)
    assert fast.source(2.0, array) == fast.source(array, 2.0) != fast.source(2.0, 2.0)


def test_arrays_do_not_raise() -> None:
    """They follow their namespace: a root of -1 is NaN."""
    fast = jit(lambda x: x.sqrt())
    with np.errstate(invalid="ignore"):
        found = fast(np.array([4.0, -1.0]))

    assert found[0] == 2.0
    assert math.isnan(found[1])


def test_infinity_and_nan_in_a_source_of_arrays() -> None:
    """They are names there, too."""
    found = jit(lambda x: [x.minimum(math.inf), x + math.nan, x - math.inf])(
        np.array([1.0])
    )

    assert [float(x[0]) for x in found][::2] == [1.0, -math.inf]
    assert math.isnan(found[1][0])


def test_array_names() -> None:
    """What an array namespace is asked for."""
    assert (*NAMES, "where", "maximum", "minimum", "sign") == ARRAY_NAMES
    ours = {"float", "ones_like", "power", "zeros_like"}
    assert {*FLOATS} == {*NAMES, "pow", "inf", "nan", *ours}
    assert all(FLOATS[name] is getattr(math, name) for name in {*FLOATS} - ours)
    assert not any(map(keyword.iskeyword, [*FLOATS, *ARRAY_NAMES]))
    assert ARRAY["&"] != SCALAR["&"]


def test_compiler() -> None:
    """It gets each program once, and what it returns is called."""
    programs: list[Any] = []

    def compiler(program: Any) -> Any:
        programs.append(program)
        return lambda *args: ("compiled", program(*args))

    fast = jit(cube, compiler=compiler)

    assert [fast(2.0), fast(3.0)] == [("compiled", 8.0), ("compiled", 27.0)]
    assert [program.__name__ for program in programs] == ["cube"]
    fast(np.ones(2))
    assert len(programs) == 2


def test_numba() -> None:
    """The source is what Numba takes."""
    numba = pytest.importorskip("numba", reason="Numba is not installed")
    f = value_and_grad(lambda x, y: (x * y).tanh() + (x**3).maximum(y) + y**0.5)
    found = jit(f, compiler=numba.njit)(0.5, 2.0)

    for ours, theirs in zip(found, f(0.5, 2.0), strict=True):
        assert math.isclose(ours, theirs, rel_tol=1e-13)


def test_jax() -> None:
    """The source is what JAX takes."""
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    f = value_and_grad(summed(wavy))
    fast = jit(f, compiler=jax.jit)
    value, slopes = fast([jax.numpy.asarray(column) for column in COLUMNS])
    expected, expected_slopes = jit(f)(COLUMNS)

    assert isinstance(value, jax.Array)
    np.testing.assert_allclose(value, expected, rtol=1e-4)
    for ours, theirs in zip(slopes, expected_slopes, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def test_arrays_of_jax() -> None:
    """They bring their namespace along."""
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    x = jax.numpy.asarray([0.5, 1.5])
    found = jit(grad(lambda x: (x.sin() * x.relu()).sum()))(x)

    assert isinstance(found, jax.Array)
    np.testing.assert_allclose(found, np.sin(x) + x * np.cos(x), rtol=1e-5)


# --- questions


def test_a_branch_on_a_number() -> None:
    """The error comes at the first call, and names the line."""

    def hinge(x: Any) -> Any:
        if x > 1:
            return 0.0
        return 1 - x

    with pytest.raises(TracingError, match=r"^hinge, line \d+, `if x > 1:`: a trace"):
        jit(hinge)(2.0)
    with pytest.raises(TracingError, match=r"^hinge, line \d+, `if x > 1:`: a trace"):
        jit(hinge).source(2.0)
    assert hinge(elementary.maximum(2.0, 1.0)) == 0.0


def test_random_numbers_are_frozen() -> None:
    """What was drawn while tracing stays."""
    rng = random.Random(0)
    fast = jit(lambda x: x + rng.random())

    assert fast(1.0) == fast(1.0)
