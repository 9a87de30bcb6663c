"""The engine: a number that remembers how it was computed.

A `Value` holds a number and the operations that led to it.
`Value.backward` walks that graph once, from the result to the leaves,
and leaves in every `grad` the derivative of the result.

There are no tensors here, no devices and no optimisers.
The idea and the names come from Andrej Karpathy's micrograd.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache, singledispatch
from numbers import Number as PythonNumber
from typing import Any, ClassVar, Self

from prosegrad import elementary
from prosegrad.elementary import Number, is_number, is_real


class Value:
    """A number in a computational graph.

    `==` and the order compare the numbers, as in PyTorch, so that
    `loss < 0.01` reads as it should. The hash is the identity: two
    Values that hold the same number are still two nodes of a graph,
    and one dict can hold both as keys. To ask whether two names mean
    the same node, use `is`.

    Args:
        data: The number: a float, an int, a Fraction, another Value,
            or anything that has an `__array_namespace__`.

    Attributes:
        data: The number.
        grad: The derivative with respect to this Value of whatever
            `backward` was called on. Leaves add up over calls.

    Raises:
        TypeError: `data` is not a number.
    """

    __slots__ = ("data", "grad", "_parents", "_op", "_backward")

    def __init__(
        self,
        data: Number,
        _parents: tuple[Value, ...] = (),
        _op: str = "",
        _backward: Callable[[Number], None] | None = None,
    ) -> None:
        if type(data) is float:
            self.grad: Number = 0.0
        else:
            self._check(data)
            self.grad = 0
        self.data = data
        self._parents = _parents
        self._op = _op
        self._backward = _backward

    def _check(self, data: Number) -> None:
        if isinstance(data, Value):
            self._set_level(data)
        elif not is_number(data):
            raise TypeError(
                "Value holds a number (float, int, Fraction, Value, "
                f"array …), not {data!r} of type {type(data).__name__}"
            )

    def __repr__(self) -> str:
        return f"Value(data={self.data!r}, grad={self.grad!r})"

    def __add__(self, other: Number) -> Self:
        if type(other) is not type(self):
            self, other = lift(self, other)

        def _backward(grad: Number) -> None:
            self.grad += grad
            other.grad += grad

        data = self.data + other.data
        return type(self)(data, (self, other), "+", _backward)

    def __radd__(self, other: Number) -> Self:
        return type(self)(other).__add__(self)

    def __mul__(self, other: Number) -> Self:
        if type(other) is not type(self):
            self, other = lift(self, other)
        x, y = self.data, other.data

        def _backward(grad: Number) -> None:
            self.grad += grad * y
            other.grad += grad * x

        return type(self)(x * y, (self, other), "*", _backward)

    def __rmul__(self, other: Number) -> Self:
        return type(self)(other).__mul__(self)

    def backward(self, gradient: Number | None = None) -> None:
        """Add to the `grad` of every leaf the derivative of `self`.

        Leaves accumulate over calls; inner nodes start from zero. If
        anything is raised, the leaves have the gradients of before.

        Args:
            gradient: How far the final result moves with `self`, the
                cotangent; 1 by default, as `self` is the result.

        Raises:
            TypeError: There is no `gradient` and `data` is not one
                real number, so that "the derivative of it" has no
                meaning.
        """
        seed = _seed(self.data) if gradient is None else gradient
        order = topological_order(self)
        leaves = [node for node in order if not node._parents]
        before = [leaf.grad for leaf in leaves]
        for node in order:
            if node._parents:
                node.grad = 0.0 if type(node.data) is float else 0
        try:
            self.grad += seed
            for node in reversed(order):
                if node._backward is not None:
                    node._backward(node.grad)
        except BaseException:
            for leaf, grad in zip(leaves, before):
                leaf.grad = grad
            raise

    def zero_grad(self) -> None:
        """Set `grad` to zero."""
        self.grad = 0.0 if type(self.data) is float else 0

    def detach(self) -> Self:
        """Return a leaf with the same number and no history."""
        data = self.data
        return type(self)(
            data.detach() if isinstance(data, Value) else data
        )

    def __neg__(self) -> Self:
        def _backward(grad: Number) -> None:
            self.grad -= grad

        return type(self)(-self.data, (self,), "neg", _backward)

    def __pos__(self) -> Self:
        return self

    def __sub__(self, other: Number) -> Self:
        if type(other) is not type(self):
            self, other = lift(self, other)

        def _backward(grad: Number) -> None:
            self.grad += grad
            other.grad -= grad

        data = self.data - other.data
        return type(self)(data, (self, other), "-", _backward)

    def __rsub__(self, other: Number) -> Self:
        return type(self)(other).__sub__(self)

    def __truediv__(self, other: Number) -> Self:
        if type(other) is not type(self):
            self, other = lift(self, other)
        y = other.data
        z = elementary.divide(self.data, y)

        def _backward(grad: Number) -> None:
            self.grad += grad / y
            other.grad -= grad * z / y

        return type(self)(z, (self, other), "/", _backward)

    def __rtruediv__(self, other: Number) -> Self:
        return type(self)(other).__truediv__(self)

    def __pow__(self, n: Number) -> Self:
        if isinstance(n, Value):
            result: Self = _power(self, n)
            return result
        x = self.data
        y = elementary.power(x, n)

        def _backward(grad: Number) -> None:
            self.grad += grad * _base_slope(x, n, y)

        return type(self)(y, (self,), f"**{n}", _backward)

    def __rpow__(self, other: Number) -> Self:
        result: Self = _power(type(self)(other), self)
        return result

    def __abs__(self) -> Self:
        x = self.data

        def _backward(grad: Number) -> None:
            self.grad += grad * namespace(x).sign(x)

        return type(self)(abs(x), (self,), "abs", _backward)

    def __eq__(self, other: object) -> Any:
        return self.data == _data(other)

    def __ne__(self, other: object) -> Any:
        return self.data != _data(other)

    def __lt__(self, other: Number) -> Any:
        return self.data < _data(other)

    def __le__(self, other: Number) -> Any:
        return self.data <= _data(other)

    def __gt__(self, other: Number) -> Any:
        return self.data > _data(other)

    def __ge__(self, other: Number) -> Any:
        return self.data >= _data(other)

    __hash__ = object.__hash__

    def __float__(self) -> float:
        return float(self.data)

    def __int__(self) -> int:
        return int(self.data)

    def __bool__(self) -> bool:
        return bool(self.data)

    def __format__(self, spec: str) -> str:
        return format(self.data, spec) if spec else repr(self)

    def _unary(
        self, op: str, y: Number, slope: Callable[[], Number]
    ) -> Self:
        def _backward(grad: Number) -> None:
            self.grad += grad * slope()

        return type(self)(y, (self,), op, _backward)

    def exp(self) -> Self:
        """Return e to the power of this Value; the slope is itself."""
        y = namespace(self.data).exp(self.data)
        return self._unary("exp", y, lambda: y)

    def expm1(self) -> Self:
        """Return `exp(x) - 1`, exact to the last digits near 0."""
        x, xp = self.data, namespace(self.data)
        return self._unary("expm1", xp.expm1(x), lambda: xp.exp(x))

    def log(self) -> Self:
        """Return the natural logarithm; the slope is `1 / x`."""
        x, xp = self.data, namespace(self.data)
        return self._unary("log", xp.log(x), lambda: 1 / x)

    def log1p(self) -> Self:
        """Return `log(1 + x)`, exact to the last digits near 0."""
        x, xp = self.data, namespace(self.data)
        return self._unary("log1p", xp.log1p(x), lambda: 1 / (1 + x))

    def sqrt(self) -> Self:
        """Return the square root; its slope at 0 is infinite."""
        y = namespace(self.data).sqrt(self.data)
        return self._unary("sqrt", y, lambda: _reciprocal(2 * y))

    def sin(self) -> Self:
        """Return the sine; the slope is the cosine."""
        x, xp = self.data, namespace(self.data)
        return self._unary("sin", xp.sin(x), lambda: xp.cos(x))

    def cos(self) -> Self:
        """Return the cosine; the slope is minus the sine."""
        x, xp = self.data, namespace(self.data)
        return self._unary("cos", xp.cos(x), lambda: -xp.sin(x))

    def tan(self) -> Self:
        """Return the tangent; the slope is 1 plus its square."""
        y = namespace(self.data).tan(self.data)
        return self._unary("tan", y, lambda: 1 + y * y)

    def asin(self) -> Self:
        """Return the arc sine; its slope at -1 and 1 is infinite."""
        x, xp = self.data, namespace(self.data)
        return self._unary("asin", xp.asin(x), lambda: _arc_slope(x))

    def acos(self) -> Self:
        """Return the arc cosine; the slope is minus that of asin."""
        x, xp = self.data, namespace(self.data)
        return self._unary("acos", xp.acos(x), lambda: -_arc_slope(x))

    def atan(self) -> Self:
        """Return the arc tangent; the slope is `1 / (1 + x**2)`."""
        x, xp = self.data, namespace(self.data)
        return self._unary("atan", xp.atan(x), lambda: 1 / (1 + x * x))

    def sinh(self) -> Self:
        """Return the hyperbolic sine; the slope is the cosine."""
        x, xp = self.data, namespace(self.data)
        return self._unary("sinh", xp.sinh(x), lambda: xp.cosh(x))

    def cosh(self) -> Self:
        """Return the hyperbolic cosine; the slope is the sine."""
        x, xp = self.data, namespace(self.data)
        return self._unary("cosh", xp.cosh(x), lambda: xp.sinh(x))

    def sign(self) -> Self:
        """Return -1, 0 or 1, a constant of the graph."""
        return type(self)(namespace(self.data).sign(self.data))

    def zeros_like(self) -> Self:
        """Return a Value that holds the zero of the same kind."""
        return type(self)(namespace(self.data).zeros_like(self.data))

    def ones_like(self) -> Self:
        """Return a Value that holds the one of the same kind."""
        return type(self)(namespace(self.data).ones_like(self.data))

    @staticmethod
    def where(condition: Any, x: Number, y: Number) -> Any:
        """Return `x` where the condition holds, else `y`."""
        if isinstance(condition, bool):
            return x if condition else y
        if isinstance(x, Value):
            return _where(condition, *lift(x, y))
        if isinstance(y, Value):
            return _where(condition, *reversed(lift(y, x)))
        return namespace(condition).where(condition, x, y)

    def __array_namespace__(self, *, api_version: Any = None) -> Any:
        return type(self)

    __array_ufunc__ = None

    def tanh(self) -> Self:
        """Return the hyperbolic tangent, between -1 and 1."""
        x, xp = self.data, namespace(self.data)

        def slope() -> Number:
            return 4 * xp.sigmoid(2 * x) * xp.sigmoid(-2 * x)

        return self._unary("tanh", xp.tanh(x), slope)

    def sigmoid(self) -> Self:
        """Return `1 / (1 + exp(-x))` for any x, without overflow."""
        x, xp = self.data, namespace(self.data)
        y = xp.sigmoid(x)
        return self._unary("sigmoid", y, lambda: y * xp.sigmoid(-x))

    def softplus(self) -> Self:
        """Return `log(1 + exp(x))` for any x, without overflow."""
        x, xp = self.data, namespace(self.data)
        y = xp.softplus(x)
        return self._unary("softplus", y, lambda: xp.sigmoid(x))

    def relu(self) -> Self:
        """Return `max(0, x)`; the slope at 0 is 0. NaN passes on."""
        x, xp = self.data, namespace(self.data)

        def _backward(grad: Number) -> None:
            nothing = namespace(grad).zeros_like(grad)
            self.grad += xp.where(x <= 0, nothing, grad)

        y = xp.maximum(x, xp.zeros_like(x))
        return type(self)(y, (self,), "relu", _backward)

    def leaky_relu(self, slope: float = 0.01) -> Self:
        """Return x above 0, else `slope * x`; the slope at 0 too."""
        x, xp = self.data, namespace(self.data)

        def _backward(grad: Number) -> None:
            self.grad += xp.where(x > 0, grad, grad * slope)

        y = xp.where(x > 0, x, slope * x)
        return type(self)(y, (self,), "leaky_relu", _backward)

    def maximum(self, other: Number) -> Self:
        """Return the larger; a tie gives each side half the slope."""
        if type(other) is not type(self):
            if _is_of_subclass(other, self):
                larger: Self = other.maximum(self)
                return larger
            self, other = lift(self, other)
        x, y = self.data, other.data

        def _backward(grad: Number) -> None:
            self.grad += _share(x < y, x == y, grad)
            other.grad += _share(x > y, x == y, grad)

        largest = _larger(x, y)
        return type(self)(largest, (self, other), "max", _backward)

    def minimum(self, other: Number) -> Self:
        """Return the smaller; a tie gives each side half the slope."""
        return -(-self).maximum(-other)

    def silu(self) -> Self:
        """Return `x * sigmoid(x)` (Elfwing et al. 2017)."""
        return self * self.sigmoid()

    def gelu(self) -> Self:
        """Return GELU in its tanh form (Hendrycks & Gimpel 2016)."""
        x, xp = self.data, namespace(self.data)
        c = math.sqrt(8 / math.pi)
        near = xp.minimum(xp.maximum(x, -40.0), 40.0)
        v = c * (near + 0.044715 * near * near * near)
        s = xp.sigmoid(v)

        def slope() -> Number:
            inner = c * (1 + 3 * 0.044715 * near * near)
            return s * (1 + x * xp.sigmoid(-v) * inner)

        return self._unary("gelu", x * s, slope)

    def __reduce__(self) -> Any:
        if self._parents:
            raise TypeError(
                "a result cannot be copied or pickled: its rule is "
                "the original's; copy its leaves, or detach it first"
            )
        kind = Value if self._level else type(self)
        return kind, (self.data,), (None, {"grad": self.grad})

    _level: ClassVar[int] = 0

    def _set_level(self, data: Value) -> None:
        if data._level >= self._level:
            level = data._level + 1
            self.__class__ = type(self).at_level(level)

    @classmethod
    @cache
    def at_level(cls, level: int) -> Any:
        """Return the subclass whose Values are at `level`.

        An operation on two levels belongs to the higher one, and
        there the lower operand is a constant.
        """
        parts = {"__slots__": (), "_level": level}
        return type(cls.__name__, (cls,), parts)


def lift(x: Value, y: Number) -> tuple[Any, Any]:
    """Return both operands as Values of the higher level of the two.

    What is no Value, or one of a lower level, becomes a constant.
    """
    if not isinstance(y, Value) or y._level < x._level:
        return x, type(x)(y)
    return (x if y._level == x._level else type(y)(x)), y


def topological_order(root: Value) -> list[Value]:
    """Return the nodes that lead to `root`, parents before children.

    The walk is depth first with a stack of our own, so that no graph
    is too deep. The order depends on the graph alone.
    """
    order: list[Value] = []
    seen: set[Value] = set()
    pending: list[Value] = []
    stack: list[Value | None] = [root]
    while stack:
        node = stack.pop()
        if node is None:
            order.append(pending.pop())
        elif node not in seen:
            seen.add(node)
            if node._parents:
                pending.append(node)
                stack.append(None)
                stack.extend(node._parents)
            else:
                order.append(node)
    return order


def _seed(data: Number) -> Number:
    number = data
    while isinstance(number, Value):
        number = number.data
    if not is_number(number) or not is_real(number):
        raise TypeError(
            f"backward starts from one real number, not from {number!r}"
        )
    return namespace(data).ones_like(data)


def namespace(x: Number) -> Any:
    """Return where the functions for numbers like `x` live.

    Python's numbers use `prosegrad.elementary`, and so do NumPy's
    scalars, which are numbers too. Every other kind names its own, as
    the Python array API standard asks, or is registered with
    `find_namespace`.
    """
    return elementary if type(x) is float else find_namespace(x)


@singledispatch
def find_namespace(x: Number) -> Any:
    """Return the namespace of a number that is no float.

    `find_namespace.register` teaches it a kind of number that has no
    `__array_namespace__`.
    """
    own = getattr(x, "__array_namespace__", None)
    if own is None or isinstance(x, PythonNumber):
        return elementary
    return own()


def _base_slope(x: Number, n: Number, y: Number) -> Number:
    if (n == 0) is True:
        return 0
    # Below 1/2, n - 1 rounds, and the power would amplify that.
    rounds = n < 0.5
    if rounds is not False:
        rounds = rounds & (abs(x) < math.inf)
    if not isinstance(rounds, bool):
        rounds = rounds & (x != 0)
    try:
        slope = _choose(
            rounds, lambda: n * y / x, lambda: n * x ** (n - 1)
        )
    except ZeroDivisionError:
        slope = math.inf
    return namespace(n).where(n == 0, 0, slope)


def _choose(
    condition: Any, x: Callable[[], Number], y: Callable[[], Number]
) -> Number:
    if isinstance(condition, bool):
        return x() if condition else y()
    return where(condition, x(), y())


def _exponent_slope(x: Number, y: Number) -> Number:
    try:
        return y * namespace(x).log(x)
    except ValueError:
        return 0.0 if x == 0 else math.nan


def _power(base: Value, exponent: Value) -> Any:
    if type(base) is not type(exponent):
        base, exponent = lift(base, exponent)
    x, n = base.data, exponent.data
    y = elementary.power(x, n)

    def _backward(grad: Number) -> None:
        base.grad += grad * _base_slope(x, n, y)
        exponent.grad += grad * _exponent_slope(x, y)

    return type(base)(y, (base, exponent), "**", _backward)


def _data(other: Any) -> Any:
    return other.data if isinstance(other, Value) else other


def _reciprocal(x: Number) -> Number:
    try:
        return 1 / x
    except ZeroDivisionError:
        return math.inf


def _arc_slope(x: Number) -> Number:
    return _reciprocal(namespace(x).sqrt((1 - x) * (1 + x)))


def where(condition: Any, x: Number, y: Number) -> Any:
    """Return `x` where the condition holds, else `y`.

    Both are computed before one is chosen, and the gradient goes to
    the one that was chosen.

    Args:
        condition: A bool, or an array of them.
        x: A number, a Value or plain.
        y: A number, a Value or plain.
    """
    special = isinstance(x, type(y)) or not isinstance(y, Value)
    box = x if special else y
    kind = type(box) if isinstance(box, Value) else Value
    return kind.where(condition, x, y)


def _where(condition: Any, x: Value, y: Value) -> Value:
    def _backward(grad: Number) -> None:
        nothing = namespace(grad).zeros_like(grad)
        x.grad += where(condition, grad, nothing)
        y.grad += where(condition, nothing, grad)

    chosen = where(condition, x.data, y.data)
    return type(x)(chosen, (x, y), "where", _backward)


def _share(loses: Any, ties: Any, grad: Number) -> Number:
    nothing = namespace(grad).zeros_like(grad)
    return where(loses, nothing, where(ties, grad / 2, grad))


def _larger(x: Number, y: Number) -> Number:
    if namespace(x) is elementary is not namespace(y):
        x, y = y, x  # a plain number has no maximum for other kinds
    return namespace(x).maximum(x, y)


def _is_of_subclass(y: Any, x: Value) -> bool:
    return isinstance(y, type(x)) and type(y) is not type(x)


def dot(
    left: Sequence[Number], right: Sequence[Number], start: Number = 0.0
) -> Value:
    """Return `start + left[0] * right[0] + …` as one node.

    Args:
        left: n numbers, Values or plain.
        right: n numbers, Values or plain.
        start: The number to begin with.

    Raises:
        ValueError: `left` and `right` differ in length.
    """
    if len(left) != len(right):
        raise ValueError(
            f"dot: {len(left)} numbers on the left, {len(right)} on "
            "the right"
        )
    kinds = {type(start), *map(type, left), *map(type, right)}
    kind = _highest(frozenset(kinds))
    if kind.__mul__ is not Value.__mul__:  # its numbers have shapes
        return sum((x * y for x, y in zip(left, right)), kind(start))
    parents: list[Value] = []
    slopes: list[Number] = []
    total = start
    if type(start) is kind:
        total = start.data
        parents.append(start)
        slopes.append(1)
    for a, b in zip(left, right, strict=True):
        x = a.data if type(a) is kind else a
        y = b.data if type(b) is kind else b
        total = total + x * y
        if x is not a:
            parents.append(a)
            slopes.append(y)
        if y is not b:
            parents.append(b)
            slopes.append(x)

    def _backward(grad: Number) -> None:
        for parent, slope in zip(parents, slopes, strict=True):
            parent.grad += grad * slope

    return kind(total, tuple(parents), "dot", _backward)


@cache
def _highest(kinds: frozenset[type]) -> type[Value]:
    levels = [kind for kind in kinds if issubclass(kind, Value)]
    return max(levels, key=lambda kind: kind._level, default=Value)
