"""A number that is not there yet: what it writes down, and what it refuses."""

from __future__ import annotations

import _thread
import inspect
import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from types import FunctionType
from typing import Any

import numpy as np
import pytest

import prosegrad
from prosegrad import TracingError, Value, elementary, jit, where
from prosegrad.kinds import NAMES
from prosegrad.operations import Trace, simplified
from prosegrad.symbol import Symbol, _borrowed, _method, place_of
from prosegrad.value import namespace
from tests.operators import BINARY

MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}
ORDERED = ("-", "/", "**")
OF_NUMBERS = [op for op in BINARY if op != "&"]


def inputs(names: str) -> list[Any]:
    """Return the Symbols of a new trace with these inputs."""
    trace = Trace()
    return [Symbol(trace, trace.node("input", name)) for name in names]


def read(number: Any) -> Any:
    """Return the expression of a Symbol, in nested tuples."""
    if not isinstance(number, Symbol):
        return number
    op, *operands = number.trace.nodes[number.place]
    if op == "constant":
        return number.trace.constants[number.place]
    if op == "input":
        return operands[0]
    return (op, *[read(Symbol(number.trace, i)) for i in operands])


# --- what it is


def test_attributes() -> None:
    """A trace and a place, and nothing else."""
    trace = Trace()
    x = Symbol(trace, trace.node("input", "x"))

    assert x.trace is trace
    assert x.place == 0
    assert Symbol.__slots__ == ("trace", "place")
    assert not hasattr(x, "__dict__")


def test_repr() -> None:
    """The place, and what stands there."""
    x, y = inputs("xy")

    assert repr(x) == "Symbol(0: ('input', 'x'))"
    assert repr(x + y) == "Symbol(2: ('+', 0, 1))"


def test_hash_is_the_identity() -> None:
    """Symbols are keys of a dict; two of them are two, at one place too."""
    x, y = inputs("xy")
    also_x = Symbol(x.trace, x.place)

    assert len({x, y, also_x}) == 3
    assert {x: 1}[x] == 1
    assert hash(x) == object.__hash__(x)


# --- operators


@pytest.mark.parametrize("op", OF_NUMBERS)
def test_two_symbols(op: str) -> None:
    """The operation is written down with its operands in order."""
    x, y = inputs("xy")
    z = BINARY[op](x, y)

    assert type(z) is Symbol
    assert z.trace is x.trace
    assert z.trace.nodes[z.place] == (op, 0, 1)


@pytest.mark.parametrize("op", ORDERED)
def test_the_order_of_operands(op: str) -> None:
    """Where the order matters, it is that of the program."""
    x, y = inputs("xy")

    assert read(BINARY[op](y, x)) == (op, "y", "x")


@pytest.mark.parametrize(
    "three", [3.0, 3, np.float64(3.0)], ids=["float", "int", "np.float64"]
)
@pytest.mark.parametrize("op", ["+", "-", "/", "**", *MIRRORED, "maximum", "minimum"])
def test_a_number_on_the_right(op: str, three: Any) -> None:
    """It is a constant; an integer that is added to a float is one."""
    (x,) = inputs("x")
    z = BINARY[op](x, three)
    kept = op in ("maximum", "minimum") or type(three) is not int

    assert read(z) == (op, "x", 3.0)
    assert type(read(z)[2]) is (type(three) if kept else float)


@pytest.mark.parametrize(
    "three", [3.0, 3, np.float64(3.0)], ids=["float", "int", "np.float64"]
)
@pytest.mark.parametrize(
    ("op", "expected"),
    [
        ("+", ("+", "x", 3.0)),
        ("-", ("-", 3.0, "x")),
        ("*", ("*", 3.0, "x")),
        ("/", ("/", 3.0, "x")),
        ("**", ("**", 3.0, "x")),
        *((op, (mirrored, "x", 3.0)) for op, mirrored in MIRRORED.items()),
    ],
)
def test_a_number_on_the_left(op: str, three: Any, expected: Any) -> None:
    """The reflected operation keeps the order; a comparison is mirrored."""
    (x,) = inputs("x")

    assert read(BINARY[op](three, x)) == expected


def test_both_with_a_truth_value() -> None:
    """What is known of an "and" is not written down."""
    x, y = inputs("xy")
    condition = x < y

    assert read(condition & True) == ("<", "x", "y")
    assert read(True & condition) == ("<", "x", "y")
    assert read(condition & False) is False
    assert read(False & condition) is False
    assert read((x < y) & (y < x)) == ("&", ("<", "x", "y"), ("<", "y", "x"))
    assert read((y < x) & (x < y)) == ("&", ("<", "y", "x"), ("<", "x", "y"))


@pytest.mark.parametrize("op", [*"+-*/", "**", *MIRRORED, "maximum", "minimum"])
def test_an_array_on_the_right(op: str) -> None:
    """An array is one constant, the same object."""
    (x,) = inputs("x")
    array = np.array([1.0, 2.0])
    z = BINARY[op](x, array)

    assert isinstance(z, Symbol)
    assert z.trace.nodes[z.place] == (op, 0, 1)
    assert z.trace.constants[1] is array


@pytest.mark.parametrize("op", [*"+-*/", "**", *MIRRORED])
def test_an_array_on_the_left(op: str) -> None:
    """NumPy leaves it to the Symbol, and makes no array of Symbols."""
    (x,) = inputs("x")
    array = np.array([1.0, 2.0])
    z = BINARY[op](array, x)
    flipped = op in MIRRORED

    assert isinstance(z, Symbol)
    assert z.trace.nodes[z.place] == (
        MIRRORED.get(op, op),
        *((0, 1) if flipped else (1, 0)),
    )
    assert z.trace.constants[1] is array


@pytest.mark.parametrize("number", [Fraction(1, 3), Decimal("0.5"), 1j], ids=repr)
def test_other_numbers_are_constants(number: Any) -> None:
    """They are kept as they are."""
    (x,) = inputs("x")

    assert read(x + number) == ("+", "x", number)
    assert read(number - x) == ("-", number, "x")


def test_one_operand() -> None:
    """Minus and the absolute value are operations; plus is nothing."""
    (x,) = inputs("x")

    assert read(-x) == ("neg", "x")
    assert read(abs(x)) == ("abs", "x")
    assert +x is x


def test_what_is_known_is_a_constant() -> None:
    """A power of 0 is 1; a sum with 0 is none where x is -0.0."""
    (x,) = inputs("x")

    assert (type(read(x**0)), read(x**0)) == (float, 1.0)
    assert read(x + 0) == ("+", "x", 0.0)
    assert read(x - 0) == "x"
    assert read(x * 0) == ("*", 0.0, "x")


def test_the_same_operation_is_the_same_place() -> None:
    """Nothing stands twice in the list, whoever asks."""
    x, y = inputs("xy")

    assert (x + y).place == (y + x).place == (x + y).place
    assert x.sin().place == x.sin().place
    assert x.trace.nodes == [("input", "x"), ("input", "y"), ("+", 0, 1), ("sin", 0)]


@pytest.mark.parametrize("thing", ["a", None, [1.0], {}], ids=repr)
@pytest.mark.parametrize("op", [*"+-*/", "**", "<", "<=", ">", ">=", "&"])
def test_what_is_no_number(op: str, thing: Any) -> None:
    """Python raises, and nothing is written down."""
    (x,) = inputs("x")

    with pytest.raises(TypeError):
        BINARY[op](x, thing)
    with pytest.raises(TypeError):
        BINARY[op](thing, x)
    assert x.trace.nodes == [("input", "x")]


def test_it_is_not_equal_to_what_is_no_number() -> None:
    """As with other numbers, `==` does not raise."""
    (x,) = inputs("x")

    assert (x == "a") is False
    assert (x != "a") is True
    assert (x == None) is False  # noqa: E711


@pytest.mark.parametrize("op", OF_NUMBERS)
def test_another_trace(op: str) -> None:
    """Two lists cannot be mixed; the message names the stranger."""
    (x,) = inputs("x")
    (y,) = inputs("y")

    with pytest.raises(TracingError) as error:
        BINARY[op](x, y)
    assert str(error.value) == "Symbol(0: ('input', 'y')) is from another trace"
    assert x.trace.nodes == [("input", "x")]


@pytest.mark.parametrize("other", [2.0, True, "Symbol"])
def test_and_is_for_conditions(other: Any) -> None:
    """As for floats, Python knows no `&`."""
    x, y = inputs("xy")

    with pytest.raises(TypeError, match="unsupported operand"):
        x & (y if other == "Symbol" else other)


def test_a_tracing_error_is_a_type_error() -> None:
    """The package exports it."""
    assert TracingError.__mro__[1] is TypeError
    assert prosegrad.TracingError is TracingError


# --- Values


@pytest.mark.parametrize("op", [*"+-*/", "**"])
@pytest.mark.parametrize("other", [2.0, "Symbol"])
def test_a_value_on_either_side(op: str, other: Any) -> None:
    """The result is a Value, and its number the Symbol of the same operation."""
    x, y = inputs("xy")
    number = y if other == "Symbol" else other
    right, left = BINARY[op](x, Value(number)), BINARY[op](Value(number), x)

    assert isinstance(right, Value)
    assert isinstance(left, Value)
    assert read(right.data) == read(BINARY[op](x, number))
    assert read(left.data) == read(BINARY[op](number, x))


@pytest.mark.parametrize("op", MIRRORED)
def test_a_comparison_with_a_value(op: str) -> None:
    """It is that with the number inside, and in the order of the program."""
    x, y = inputs("xy")

    assert read(BINARY[op](Value(x), Value(y))) == (op, "x", "y")
    assert read(BINARY[op](x, Value(2.0))) == (op, "x", 2.0)
    assert read(BINARY[op](Value(2.0), x)) == (MIRRORED[op], "x", 2.0)
    assert read(BINARY[op](Value(x), 2.0)) == (op, "x", 2.0)


def test_the_gradient_is_written_down() -> None:
    """The rules of the engine know nothing of Symbols."""
    x, y = map(Value, inputs("xy"))
    (x * y + x.exp()).backward()
    trace = x.data.trace
    trace, places = simplified(trace, [x.grad.place, y.grad.place])

    assert read(x.grad) == ("+", ("exp", "x"), ("+", "y", 0.0))
    assert read(Symbol(trace, places[0])) == ("+", "y", ("exp", "x"))
    assert read(y.grad) == ("+", "x", 0.0)


# --- functions


@pytest.mark.parametrize("name", [*NAMES, "sign"])
def test_a_function_of_one_number(name: str) -> None:
    """It is a node of that name, by the method and by the namespace."""
    (x,) = inputs("x")
    place = getattr(x, name)().place

    assert x.trace.nodes == [("input", "x"), (name, 0)]
    assert getattr(namespace(x), name)(x).place == place


@pytest.mark.parametrize("name", [*NAMES, "sign", "relu", "leaky_relu", "silu", "gelu"])
def test_a_function_has_a_name_and_a_text(name: str) -> None:
    """Help shows what it does, though a loop wrote it."""
    method = getattr(Symbol, name)

    assert isinstance(method, FunctionType)
    assert method.__name__ == name
    assert method.__doc__ == f"Return the {name} of the number."


def test_what_makes_such_a_function() -> None:
    """The loops have run long ago; here their two makers are called again."""
    (x,) = inputs("x")
    sine, rectifier = _method("sin"), _borrowed("leaky_relu")

    assert read(sine(x)) == ("sin", "x")
    assert rectifier(x, 0.2).place == x.leaky_relu(0.2).place
    for function, name in ((sine, "sin"), (rectifier, "leaky_relu")):
        assert function.__name__ == name
        assert function.__doc__ == f"Return the {name} of the number."


def test_numpy_cannot_ask_for_more_than_there_is() -> None:
    """A Symbol has no dtype, and says so."""
    (x,) = inputs("x")

    assert np.zeros_like(x) == 0.0
    with pytest.raises(TypeError, match="dtype"):
        np.zeros_like(x, dtype=int)


def test_the_namespace() -> None:
    """A Symbol answers the array API protocol with its own class."""
    (x,) = inputs("x")

    assert x.__array_namespace__() is Symbol
    assert x.__array_namespace__(api_version="2024.12") is Symbol
    assert namespace(x) is Symbol
    assert Symbol.__array_ufunc__ is None


def test_every_function_of_a_value() -> None:
    """What a Value can do without an argument, a Symbol can do as well."""
    names = {
        name
        for name, method in inspect.getmembers(Value, inspect.isfunction)
        if not name.startswith("_") and "__mutmut_" not in name  # its planted faults
    }

    assert names - {"backward", "zero_grad", "detach"} <= set(dir(Symbol))


def test_zeros_like() -> None:
    """Zero is no operation, where the type is known."""
    (x,) = inputs("x")

    assert repr(read(x.zeros_like())) == "0.0"
    x.trace.types[x.place] = None
    assert read(x.zeros_like()) == ("zeros_like", "x")


def test_where() -> None:
    """Either side may be a number, in both ways to say it."""
    x, y = inputs("xy")

    assert read((x < y).where(x, y)) == ("where", ("<", "x", "y"), "x", "y")
    assert read((x < y).where(y, 2)) == ("where", ("<", "x", "y"), "y", 2.0)
    assert read((x < y).where(2, y)) == ("where", ("<", "x", "y"), 2.0, "y")
    assert read(where(x < y, y, 2)) == ("where", ("<", "x", "y"), "y", 2.0)
    assert read(where(x < y, 2.0, 3.0)) == ("where", ("<", "x", "y"), 2.0, 3.0)
    assert read((x < y).where(x, x)) == "x"


def test_where_with_a_value() -> None:
    """The Value takes part in the graph, on either side."""
    x, y = inputs("xy")
    weight = Value(3.0)
    chosen = where(x < y, weight, x)
    other = where(x < y, x, weight)

    assert read(chosen.data) == ("where", ("<", "x", "y"), 3.0, "x")
    assert read(other.data) == ("where", ("<", "x", "y"), "x", 3.0)


SHAPES: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "relu": (lambda x: x.relu(), ("maximum", "x", 0.0)),
    "leaky_relu": (
        lambda x: x.leaky_relu(),
        ("where", (">", "x", 0.0), "x", ("*", 0.01, "x")),
    ),
    "leaky_relu by place": (
        lambda x: x.leaky_relu(0.2),
        ("where", (">", "x", 0.0), "x", ("*", 0.2, "x")),
    ),
}


@pytest.mark.parametrize(("function", "expected"), SHAPES.values(), ids=SHAPES)
def test_borrowed(function: Callable[[Any], Any], expected: Any) -> None:
    """The operations are those of a Value."""
    (x,) = inputs("x")

    assert read(function(x)) == expected


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "silu", "gelu"])
def test_borrowed_is_what_a_value_does(name: str) -> None:
    """A Symbol, and the very place that the Value has."""
    (x,) = inputs("x")
    found = getattr(x, name)()

    assert type(found) is Symbol
    assert found.place == getattr(Value(x), name)().data.place


SIZES = [0.0, -0.0, 1e-300, -1e-300, 1e-9, 0.5, 1.0, 30.0, 36.9, 40.0, 700.0]
SIZES += [745.2, 750.0, 1e6, 1e300, math.inf]
SIZES += [-size for size in SIZES] + [math.nan]


@pytest.mark.parametrize("name", ["sigmoid", "softplus"])
@pytest.mark.parametrize("number", SIZES)
def test_the_formulas_of_elementary(name: str, number: float) -> None:
    """No size overflows, and the digits are the same."""
    compiled = jit(lambda x: getattr(x, name)())

    assert repr(compiled(number)) == repr(getattr(elementary, name)(number))


def test_sigmoid_shares_one_exponential() -> None:
    """That of the opposite number is there already."""
    (x,) = inputs("x")
    z = ("exp", ("neg", ("abs", "x")))
    both = ("+", z, 1.0)

    assert read(x.sigmoid()) == (
        "where",
        (">=", "x", 0.0),
        ("/", 1.0, both),
        ("/", z, both),
    )
    (-x).sigmoid()
    x.softplus()
    assert [node[0] for node in x.trace.nodes].count("exp") == 1


def test_softplus() -> None:
    """The larger of the number and 0, and what is missing."""
    (x,) = inputs("x")

    assert read(x.softplus()) == (
        "+",
        ("maximum", "x", 0.0),
        ("log1p", ("exp", ("neg", ("abs", "x")))),
    )


# --- no number, no answer


def decide(x: Any) -> Any:
    if x > 1:
        return x
    return -x


def loop(x: Any) -> Any:
    while x:
        x = x - 1
    return x


def larger(x: Any) -> Any:
    return max(x, 0.0)


def member(x: Any) -> Any:
    return x in [1.0]


def chained(x: Any) -> Any:
    return 0 < x < 1


def convert(x: Any) -> Any:
    return float(x)


def sine(x: Any) -> Any:
    return math.sin(x)


def whole(x: Any) -> Any:
    return int(x)


def imaginary(x: Any) -> Any:
    return complex(x)


def turns(x: Any) -> Any:
    return sum(x for _ in range(x))


def pick(x: Any) -> Any:
    return [1.0, 2.0][x]


DECIDE = (
    "a trace has no numbers to decide by; write where(condition, x, y), or x.maximum(y)"
)
CONVERT = (
    "a trace has no numbers to convert; use the methods of the number, such as x.sin()"
)
COUNT = (
    "a trace has no numbers to count by; "
    "fix the count outside, as in jit(lambda x: f(x, 3))"
)
REFUSED = [
    (decide, "if x > 1:", DECIDE),
    (loop, "while x:", DECIDE),
    (larger, "return max(x, 0.0)", DECIDE),
    (member, "return x in [1.0]", DECIDE),
    (chained, "return 0 < x < 1", DECIDE),
    (convert, "return float(x)", CONVERT),
    (sine, "return math.sin(x)", CONVERT),
    (whole, "return int(x)", CONVERT),
    (imaginary, "return complex(x)", CONVERT),
    (turns, "return sum(x for _ in range(x))", COUNT),
    (pick, "return [1.0, 2.0][x]", COUNT),
]


def message(f: Callable[[Any], Any], line: str, reason: str) -> str:
    """Return the message that names the line of a function."""
    lines, first = inspect.getsourcelines(f)
    number = first + [text.strip() for text in lines].index(line)
    return f"{f.__name__}, line {number}, `{line}`: {reason}"


@pytest.mark.parametrize(
    ("f", "line", "reason"), REFUSED, ids=[f.__name__ for f, _, _ in REFUSED]
)
def test_a_question_without_an_answer(
    f: Callable[[Any], Any], line: str, reason: str
) -> None:
    """The error names the function, the line and the cure, in your code."""
    (x,) = inputs("x")

    with pytest.raises(TracingError) as error:
        f(x)
    assert str(error.value) == message(f, line, reason)


@pytest.mark.parametrize(
    ("f", "line", "reason"), REFUSED[:-2], ids=[f.__name__ for f, _, _ in REFUSED[:-2]]
)
@pytest.mark.parametrize("boxes", [1, 2])
def test_a_question_to_a_value(
    f: Callable[[Any], Any], line: str, reason: str, boxes: int
) -> None:
    """A Value hands the question on, and the line is still yours."""
    (number,) = inputs("x")
    for _ in range(boxes):
        number = Value(number)

    with pytest.raises(TracingError) as error:
        f(number)
    assert str(error.value) == message(f, line, reason)


@pytest.mark.parametrize("transform", [prosegrad.grad, prosegrad.value_and_grad])
def test_the_line_is_named_through_the_compiler(transform: Any) -> None:
    """However deep in the package the question is asked."""
    with pytest.raises(TracingError) as error:
        jit(transform(decide))(2.0)

    assert str(error.value) == message(decide, "if x > 1:", DECIDE)


def test_a_question_of_the_package_names_the_caller() -> None:
    """Lines of the package are skipped, to the line that called it."""

    def caller(x: Any) -> Any:
        return elementary.sign(x)

    (x,) = inputs("x")
    with pytest.raises(TracingError) as error:
        caller(x)
    assert str(error.value) == message(caller, "return elementary.sign(x)", DECIDE)


def test_only_this_package_is_skipped() -> None:
    """A module with a name like it is yours."""
    scope: dict[str, Any] = {"__name__": "prosegradient"}
    exec("def mine(x):\n    return bool(x)\n", scope)
    (x,) = inputs("x")

    with pytest.raises(TracingError, match=r"^mine, line 2, ``: a trace has"):
        scope["mine"](x)


def test_a_scope_without_a_name() -> None:
    """Code that was made by hand has no module."""
    scope: dict[str, Any] = {"__name__": None}
    exec("def nameless(x):\n    return float(x)\n", scope)
    (x,) = inputs("x")

    with pytest.raises(TracingError, match=r"^nameless, line 2, ``: a trace has"):
        scope["nameless"](x)


def test_a_question_where_all_is_ours() -> None:
    """The outermost line is named if there is no other."""
    (x,) = inputs("x")
    errors: list[Exception] = []
    done = _thread.allocate_lock()
    done.acquire()
    scope: dict[str, Any] = {"__name__": "prosegrad.elsewhere"}
    scope |= {"errors": errors, "done": done}
    source = """
def ours(x):
    try:
        bool(x)
    except Exception as error:
        errors.append(error)
    finally:
        done.release()
"""
    exec(source, scope)
    _thread.start_new_thread(scope["ours"], (x,))

    assert done.acquire(timeout=60)
    assert [str(error) for error in errors] == [f"ours, line 4, ``: {DECIDE}"]


# --- places


def test_what_is_known_has_methods_still() -> None:
    """A constant of the trace is a Symbol: `exp` and the others are there."""
    trace = Trace()
    two = Symbol(trace, trace.constant(2.0))

    exp: Any = getattr(two, "exp")  # noqa: B009

    assert read(exp() + two * 3.0) == math.exp(2.0) + 6.0
    assert bool(two > 1.0)
    assert float(two) == 2.0


def test_place_of() -> None:
    """That of the Symbol, or of a new constant; a Value has a derivative to lose."""
    (x,) = inputs("x")

    assert place_of(x.trace, x * x) == 1
    assert place_of(x.trace, 3) == 2
    assert x.trace.constants == {2: 3}
    for number in (Value(x), Value(3), Value(Value(x))):
        with pytest.raises(TypeError, match="derivative would be lost"):
            place_of(x.trace, number)
