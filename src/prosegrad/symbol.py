"""A number that is not there yet: it writes down what is done to it.

A `Symbol` stands for a number, and answers an operation with the
Symbol of its result. There are no derivatives here: put a Symbol into
a `Value`, and the rules of the engine write down the gradient.
"""

import linecache
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from prosegrad.elementary import Number, is_number
from prosegrad.kinds import NAMES
from prosegrad.operations import Trace
from prosegrad.value import Value, where


class TracingError(TypeError):
    """A program asked for a number that is not there yet."""


class Symbol:
    """A number that is not there yet.

    Args:
        trace: The list of operations.
        place: Where in the list the number comes about.
    """

    __slots__ = ("trace", "place")

    def __init__(self, trace: Trace, place: int) -> None:
        self.trace = trace
        self.place = place

    def __repr__(self) -> str:
        return f"Symbol({self.place}: {self.trace.nodes[self.place]})"

    def _apply(self, op: str, *operands: Number) -> Number:
        places = []
        for x in operands:
            if type(x) is type(self) and x.trace is self.trace:
                places.append(x.place)
            elif type(x) is float or _is_constant(x):
                places.append(self.trace.constant(x))
            else:
                return NotImplemented
        return at(self.trace, self.trace.add(op, *places))

    def _call(self, op: str, *operands: Number) -> Number:
        found = self._apply(op, *operands)
        if found is NotImplemented:
            raise TypeError(f"{op}: not all of {operands} are numbers")
        return found

    def __add__(self, other: Number) -> Number:
        return self._apply("+", self, other)

    def __radd__(self, other: Number) -> Number:
        return self._apply("+", other, self)

    def __sub__(self, other: Number) -> Number:
        return self._apply("-", self, other)

    def __rsub__(self, other: Number) -> Number:
        return self._apply("-", other, self)

    def __mul__(self, other: Number) -> Number:
        return self._apply("*", self, other)

    def __rmul__(self, other: Number) -> Number:
        return self._apply("*", other, self)

    def __truediv__(self, other: Number) -> Number:
        return self._apply("/", self, other)

    def __rtruediv__(self, other: Number) -> Number:
        return self._apply("/", other, self)

    def __pow__(self, other: Number) -> Number:
        return self._apply("**", self, other)

    def __rpow__(self, other: Number) -> Number:
        return self._apply("**", other, self)

    def __neg__(self) -> Number:
        return self._apply("neg", self)

    def __pos__(self) -> Number:
        return self

    def __abs__(self) -> Number:
        return self._apply("abs", self)

    def __lt__(self, other: Number) -> Any:
        return self._apply("<", self, other)

    def __le__(self, other: Number) -> Any:
        return self._apply("<=", self, other)

    def __gt__(self, other: Number) -> Any:
        return self._apply(">", self, other)

    def __ge__(self, other: Number) -> Any:
        return self._apply(">=", self, other)

    def __eq__(self, other: object) -> Any:
        return self._apply("==", self, other)

    def __ne__(self, other: object) -> Any:
        return self._apply("!=", self, other)

    def __and__(self, other: Any) -> Any:
        return self._apply("&", self, other)

    def __rand__(self, other: Any) -> Any:
        return self._apply("&", other, self)

    __hash__ = object.__hash__

    def __array_namespace__(self, *, api_version: Any = None) -> Any:
        return Symbol

    __array_ufunc__ = None

    def __array_function__(
        self, function: Any, types: Any, args: Any, kwargs: Any
    ) -> Any:
        """Answer `numpy.where` by ours, and refuse what we have not."""
        ours = getattr(Symbol, function.__name__, None)
        return NotImplemented if ours is None else ours(*args, **kwargs)

    def maximum(self, other: Number) -> Number:
        """Return the larger of two numbers."""
        if isinstance(other, Value):
            return other.maximum(self)
        return self._call("maximum", self, other)

    def minimum(self, other: Number) -> Number:
        """Return the smaller of two numbers."""
        if isinstance(other, Value):
            return other.minimum(self)
        return self._call("minimum", self, other)

    def where(self, x: Number, y: Number) -> Number:
        """Return `x` where this condition holds, else `y`."""
        if isinstance(x, Value) or isinstance(y, Value):
            return where(self, x, y)
        one = x if isinstance(x, Symbol) else y
        one = self if isinstance(self, Symbol) else one
        return one._call("where", self, x, y)

    def zeros_like(self) -> float:
        """Return 0: a constant fits every shape."""
        return 0.0

    def ones_like(self) -> int:
        """Return 1: a constant fits every shape."""
        return 1

    def sigmoid(self) -> Number:
        """Return `1 / (1 + exp(-x))` for any x, without overflow."""
        z = self._apply("exp", -abs(self))
        return (self >= 0).where(1 / (1 + z), z / (1 + z))

    def softplus(self) -> Number:
        """Return `log(1 + exp(x))` for any x, without overflow."""
        z = self._apply("exp", -abs(self))
        return self.maximum(0.0) + self._apply("log1p", z)

    def __bool__(self) -> NoReturn:
        raise TracingError(
            f"{_where_asked()}: a trace has no numbers to decide by; "
            "write where(condition, x, y), or x.maximum(y)"
        )

    def __float__(self) -> NoReturn:
        raise TracingError(
            f"{_where_asked()}: a trace has no numbers to convert; "
            "use the methods of the number, such as x.sin()"
        )

    __int__ = __float__

    def __index__(self) -> NoReturn:
        raise TracingError(
            f"{_where_asked()}: a trace has no numbers to count by; "
            "fix the count outside, as in jit(lambda x: f(x, 3))"
        )


def at(trace: Trace, place: int) -> Number:
    """Return the Symbol of a place, or its number if that is known."""
    if place in trace.constants:
        return trace.constants[place]
    return Symbol(trace, place)


def place_of(trace: Trace, x: Number) -> int:
    """Return the place of a result: a Symbol, or a known number."""
    while isinstance(x, Value):
        x = x.data
    if not isinstance(x, Symbol):
        return trace.constant(x)
    if x.trace is not trace:
        raise TracingError(f"{x!r} is from another trace")
    return x.place


def _is_constant(x: Any) -> bool:
    if isinstance(x, Symbol):
        raise TracingError(f"{x!r} is from another trace")
    return is_number(x) and not isinstance(x, Value)


def _method(name: str) -> Callable[[Symbol], Number]:
    def method(self: Symbol) -> Number:
        return self._apply(name, self)

    method.__name__ = name
    method.__doc__ = f"Return the {name} of the number."
    return method


for _name in (*NAMES, "sign"):
    setattr(Symbol, _name, _method(_name))


def _borrowed(name: str) -> Callable[..., Number]:
    def method(self: Symbol, *args: Number) -> Number:
        return getattr(Value(self), name)(*args).data

    method.__name__ = name
    method.__doc__ = f"Return the {name} of the number."
    return method


for _name in ("relu", "leaky_relu", "silu", "gelu"):
    setattr(Symbol, _name, _borrowed(_name))


def _where_asked(depth: int = 2) -> str:
    """Name the line that asked, outside of this package.

    Args:
        depth: How many calls ago it ran, or earlier.
    """
    frame = sys._getframe(depth)
    while frame.f_back and _is_ours(frame.f_globals):
        frame = frame.f_back
    name, number = frame.f_code.co_filename, frame.f_lineno
    line = linecache.getline(name, number).strip()
    return f"{frame.f_code.co_name}, line {number}, `{line}`"


def _is_ours(scope: dict[str, Any]) -> bool:
    name = str(scope.get("__name__"))
    return name.startswith("prosegrad.") or name == "functools"
