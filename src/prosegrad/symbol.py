"""A number that is not there yet: it writes down what is done to it.

A `Symbol` stands for a number, and answers an operation with the
Symbol of its result. There are no derivatives here: put a Symbol into
a `Value`, and the rules of the engine write down the gradient.
"""

import linecache
import operator
import sys
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

from prosegrad import elementary
from prosegrad.elementary import Number, holds, is_number
from prosegrad.kinds import NAMES
from prosegrad.operations import Trace
from prosegrad.value import Value, namespace, where


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
        if self.trace.constants.keys() >= {*places}:
            known = [self.trace.constants[i] for i in places]
            place = self.trace.constant(computed(op, known))
            return Symbol(self.trace, place)
        return Symbol(self.trace, self.trace.add(op, *places))

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
        if self.trace.raises and not self._is_condition():
            return NotImplemented
        return self._apply("&", self, other)

    def __rand__(self, other: Any) -> Any:
        return self.__and__(other)

    def _is_condition(self) -> bool:
        return self.trace.types[self.place] not in (float, int)

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

    def zeros_like(self) -> Number:
        """Return the zero of the same type."""
        return self._number("zeros_like", 0)

    @property
    def first_gradient(self) -> Number:
        """The zero that a gradient by this number begins with."""
        is_float = self.trace.types[self.place] is float
        return self.zeros_like() if is_float else 0

    def ones_like(self) -> Number:
        """Return the one of the same type."""
        return self._number("ones_like", 1)

    def _number(self, op: str, number: int) -> Number:
        kind = self.trace.types[self.place]
        if kind is bool:
            raise TypeError("a truth value has no slope")
        if kind in (None, Real):
            return self._apply(op, self)
        return Symbol(self.trace, self.trace.constant(kind(number)))

    def sigmoid(self) -> Number:
        """Return `1 / (1 + exp(-x))` for any x, without overflow."""
        z = self._apply("exp", -abs(self))
        return (self >= 0).where(1 / (1 + z), z / (1 + z))

    def softplus(self) -> Number:
        """Return `log(1 + exp(x))` for any x, without overflow."""
        z = self._apply("exp", -abs(self))
        y = self.maximum(0.0) + self._apply("log1p", z)
        is_known = self.trace.types[y.place] is float
        return y if is_known else self._apply("float", y)

    def __bool__(self) -> bool:
        return bool(self._known("decide by", _DECIDE))

    def __float__(self) -> float:
        return float(self._known("convert", _CONVERT))

    def __int__(self) -> int:
        return int(self._known("convert", _CONVERT))

    def __index__(self) -> int:
        return operator.index(self._known("count by", _COUNT))

    def _known(self, purpose: str, cure: str) -> Any:
        """Return the number if it is the same in each call."""
        if self.place in self.trace.constants:
            return self.trace.constants[self.place]
        raise TracingError(
            f"{_where_asked(3)}: a trace has no numbers to {purpose}; "
            f"{cure}"
        )


OPERATORS: dict[str, Callable[..., Any]] = {
    "neg": operator.neg,
    "abs": operator.abs,
    "~": operator.invert,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
"""What an operation does; any other is a function of the numbers."""


def computed(op: str, numbers: Sequence[Number]) -> Number:
    """Return what an operation makes of numbers that are known."""
    if op == "**":
        return elementary.power(*numbers)
    if op in OPERATORS:
        return OPERATORS[op](*numbers)
    spaces = [namespace(x) for x in numbers]
    of_arrays = (xp for xp in spaces if xp is not elementary)
    return getattr(next(of_arrays, elementary), op)(*numbers)


def place_of(trace: Trace, x: Number) -> int:
    """Return the place of a result: a Symbol, or a known number.

    Raises:
        TracingError: It is a Symbol of another trace.
        TypeError: It is a Value, and to take its number would lose
            the derivative.
    """
    if isinstance(x, Value):
        raise TypeError(
            "the result depends on a Value that is no argument; its "
            "derivative would be lost, so make it an argument"
        )
    if holds(x, Symbol):
        raise TypeError(f"{x!r} has taken in a number of the trace")
    if not isinstance(x, Symbol):
        return trace.constant(x)
    if x.trace is not trace:
        raise TracingError(f"{x!r} is from another trace")
    return x.place


def _is_constant(x: Any) -> bool:
    if isinstance(x, Symbol):
        raise TracingError(f"{x!r} is from another trace")
    known = is_number(x) and not isinstance(x, Value)
    return known and not holds(x, (Symbol, Value))


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

_DECIDE = "write where(condition, x, y), or x.maximum(y)"
_CONVERT = "use the methods of the number, such as x.sin()"
_COUNT = "fix the count outside, as in jit(lambda x: f(x, 3))"


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
