"""The engine: a number that remembers how it was computed.

A `Value` holds a number and the operations that led to it.
`Value.backward` walks that graph once, from the result to the leaves,
and leaves in every `grad` the derivative of the result.

There are no tensors here, no devices and no optimisers.
The idea and the names come from Andrej Karpathy's micrograd.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from functools import cache, singledispatch
from numbers import Number as PythonNumber
from typing import Any, ClassVar, Self

from prosegrad import elementary
from prosegrad.elementary import Number, holds, is_number, is_real


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
    _level: ClassVar[int] = 0  # which derivative it belongs to

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
        if _parents:
            self._check_parents(_parents, _op)
        self.data = data
        self._parents = _parents
        self._op = _op
        self._backward = _backward

    def _check(self, data: Number) -> None:
        if isinstance(data, Value):
            self._set_level(data)
        elif not is_number(data) or holds(data, Value):
            raise TypeError(
                "Value holds a number (float, int, Fraction, Value, "
                f"array …), not {data!r} of type {type(data).__name__}"
            )

    def _check_parents(
        self, parents: tuple[Value, ...], op: str
    ) -> None:
        if any(parent._level > self._level for parent in parents):
            raise TypeError(
                f"{op}: a Value made of numbers that are being "
                "differentiated would lose their derivative; write "
                "type(x)(…) for Value(…), or use custom_vjp"
            )

    def __repr__(self) -> str:
        return f"Value(data={self.data!r}, grad={self.grad!r})"

    def _node(
        self,
        data: Number,
        parents: tuple[Value, ...],
        op: str,
        backward: Callable[[Number], None],
    ) -> Self:
        node = object.__new__(type(self))
        node.data = data
        node.grad = 0.0 if type(data) is float else 0
        node._parents = parents
        node._op = op
        node._backward = backward
        return node

    def __add__(self, other: Number) -> Self:
        if type(other) is not type(self):
            self, other = lift(self, other)

        def _backward(grad: Number) -> None:
            self.grad += grad
            other.grad += grad

        data = self.data + other.data
        return self._node(data, (self, other), "+", _backward)

    def __radd__(self, other: Number) -> Self:
        return type(self)(other).__add__(self)

    def __mul__(self, other: Number) -> Self:
        if type(other) is not type(self):
            self, other = lift(self, other)
        x, y = self.data, other.data

        def _backward(grad: Number) -> None:
            self.grad += grad * y
            other.grad += grad * x

        return self._node(x * y, (self, other), "*", _backward)

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

        return self._node(-self.data, (self,), "neg", _backward)

    def __pos__(self) -> Self:
        return self

    def __sub__(self, other: Number) -> Self:
        if type(other) is not type(self):
            self, other = lift(self, other)

        def _backward(grad: Number) -> None:
            self.grad += grad
            other.grad -= grad

        data = self.data - other.data
        return self._node(data, (self, other), "-", _backward)

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

        return self._node(z, (self, other), "/", _backward)

    def __rtruediv__(self, other: Number) -> Self:
        return type(self)(other).__truediv__(self)

    def __pow__(self, n: Number) -> Self:
        result: Self = _power(self, n)
        return result

    def __rpow__(self, other: Number) -> Self:
        result: Self = _power(other, self)
        return result

    def _paired(self, op: str, other: Number) -> tuple[Any, Any]:
        return lift(self, other)

    def __abs__(self) -> Self:
        x = self.data

        def _backward(grad: Number) -> None:
            self.grad += grad * namespace(x).sign(x)

        return self._node(abs(x), (self,), "abs", _backward)

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
        return float(self._plain("float"))

    def __int__(self) -> int:
        return int(self._plain("int"))

    def __bool__(self) -> bool:
        return bool(self.data)

    def __format__(self, spec: str) -> str:
        return format(self.data, spec) if spec else repr(self)

    def _plain(self, convert: str) -> Number:
        """Return the number where no derivative is lost by it."""
        if not self._is_constant():
            message = (
                f"{convert}(x) makes a constant of a number that is "
                "being differentiated; write x.exp() for math.exp(x), "
                f"or, on purpose, {convert}(x.detach())"
            )
            if self._level >= self._FIRST_LEVEL:
                raise TypeError(message)
            warnings.warn(message, stacklevel=3)
        return self.data

    def _is_constant(self) -> bool:
        return not self._parents and self._op != "input"

    def _unary(
        self, op: str, y: Number, slope: Callable[[], Number]
    ) -> Self:
        def _backward(grad: Number) -> None:
            self.grad += grad * slope()

        return self._node(y, (self,), op, _backward)

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
        return self._unary("sqrt", y, lambda: _reciprocal(y, 2))

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
        condition = _condition(condition)
        if elementary.is_truth_value(condition):
            return x if condition else y
        if isinstance(x, Value):
            return _where(condition, *lift(x, y))
        if isinstance(y, Value):
            return _where(condition, *reversed(lift(y, x)))
        return namespace(condition).where(condition, x, y)

    def __array_namespace__(self, *, api_version: Any = None) -> Any:
        return type(self)

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

        if isinstance(x, Value):
            y = x.relu()
        else:
            y = xp.maximum(x, xp.zeros_like(x))
        return self._node(y, (self,), "relu", _backward)

    def leaky_relu(self, slope: float = 0.01) -> Self:
        """Return x above 0, else `slope * x`; the slope at 0 too."""
        x, xp = self.data, namespace(self.data)

        def _backward(grad: Number) -> None:
            self.grad += xp.where(x > 0, grad, grad * slope)

        try:
            y = xp.where(x > 0, x, slope * x)
        except TypeError as error:
            raise _refusal(error, "leaky_relu", x, slope) from None
        return self._node(y, (self,), "leaky_relu", _backward)

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

        largest = _extreme("maximum", x, y)
        return self._node(largest, (self, other), "max", _backward)

    def minimum(self, other: Number) -> Self:
        """Return the smaller; a tie gives each side half the slope."""
        if type(other) is not type(self):
            if _is_of_subclass(other, self):
                smaller: Self = other.minimum(self)
                return smaller
            self, other = lift(self, other)
        x, y = self.data, other.data

        def _backward(grad: Number) -> None:
            self.grad += _share(x > y, x == y, grad)
            other.grad += _share(x < y, x == y, grad)

        smallest = _extreme("minimum", x, y)
        return self._node(smallest, (self, other), "min", _backward)

    def silu(self) -> Self:
        """Return `x * sigmoid(x)` (Elfwing et al. 2017)."""
        return self * self.sigmoid()

    def gelu(self) -> Self:
        """Return GELU in its tanh form (Hendrycks & Gimpel 2016)."""
        x, xp = self.data, namespace(self.data)
        c = math.sqrt(8 / math.pi)
        try:
            near = xp.minimum(xp.maximum(x, -40.0), 40.0)
            v = c * (near + 0.044715 * near * near * near)
        except TypeError as error:
            raise _refusal(error, "gelu", x) from None
        s = xp.sigmoid(v)
        y = x.gelu() if isinstance(x, Value) else x * s

        def slope() -> Number:
            inner = c * (1 + 3 * 0.044715 * near * near)
            return s + y * xp.sigmoid(-v) * inner

        return self._unary("gelu", y, slope)

    def __reduce__(self) -> Any:
        if self._parents:
            raise TypeError(
                "a result cannot be copied or pickled: its rule is "
                "the original's; copy its leaves, or detach it first"
            )
        if not self._is_constant():
            raise TypeError(
                "a number that is being differentiated cannot be "
                "copied: the copy would be a constant"
            )
        kind = Value if self._level else type(self)
        return kind, (self.data,), (None, {"grad": self.grad})

    _FIRST_LEVEL: ClassVar[int] = 10  # below: boxes nested by hand

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

    _of_numpy: ClassVar[dict[str, str]] = {
        "absolute": "__abs__",
        "add": "__add__ __radd__",
        "arccos": "acos",
        "arcsin": "asin",
        "arctan": "atan",
        "divide": "__truediv__ __rtruediv__",
        "equal": "__eq__",
        "greater": "__gt__ __lt__",
        "greater_equal": "__ge__ __le__",
        "less": "__lt__ __gt__",
        "less_equal": "__le__ __ge__",
        "matmul": "__matmul__ __rmatmul__",
        "multiply": "__mul__ __rmul__",
        "negative": "__neg__",
        "not_equal": "__ne__",
        "positive": "__pos__",
        "power": "__pow__ __rpow__",
        "subtract": "__sub__ __rsub__",
    }

    def __array_ufunc__(
        self, function: Any, call: str, *operands: Any, **options: Any
    ) -> Any:
        """Answer a function of NumPy by the method of its name."""
        name = function.__name__
        names = Value._of_numpy.get(name, name).split()
        first = operands[0] is self
        method = getattr(self, names[0 if first else -1], None)
        if method is None or call != "__call__" or options:
            options_text = ", ".join([call.strip("_"), *options])
            raise TypeError(
                f"numpy.{name} ({options_text}): a "
                f"{type(self).__name__} has no such function"
            )
        return method(*(operands[1:] if first else operands[:1]))


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


def _factors(n: Number, i: int, k: int) -> list[Number]:
    """Return the polynomial in log x, its highest power first."""
    if not k:
        return [math.prod([n - m for m in range(1, i)], start=n)]
    factors = [n, 1] if i else [1]
    for m in range(1, i):
        pairs = zip(factors[1:], factors)
        rest = [(n - m) * u + v for u, v in pairs]
        factors = [(n - m) * factors[0], *rest, 1]
    return [math.perm(k, j) * u for j, u in enumerate(factors[: k + 1])]


def _power(base: Any, exponent: Any, i: int = 0, k: int = 0) -> Any:
    """Return a node: the power, or a derivative of it."""
    fixed = not isinstance(exponent, Value) and _is_plain(exponent)
    if not isinstance(base, Value) or _is_of_subclass(exponent, base):
        exponent, base = exponent._paired("power", base)
    elif not fixed:
        base, exponent = base._paired("power", exponent)
    x, n = base.data, exponent if fixed else exponent.data

    def _backward(grad: Number) -> None:
        base.grad += grad * _power_slope(x, n, i + 1, k)
        if not fixed:
            exponent.grad += grad * _power_slope(x, n, i, k + 1)

    y = _power_slope(x, n, i, k)
    op = (f"**{n}" if fixed else "**") + "'" * (i + k)
    parents = (base,) if fixed else (base, exponent)
    return base._node(y, parents, op, _backward)


def _is_of_subclass(y: Any, x: Value) -> bool:
    return isinstance(y, type(x)) and type(y) is not type(x)


def _power_slope(x: Number, n: Number, i: int, k: int) -> Number:
    """Differentiate `x**n` i times by x and k times by n."""
    if isinstance(x, Value) or isinstance(n, Value):
        return _power(x, n, i, k)
    if not i and not k:
        return elementary.power(x, n)
    if _is_plain(x) and _is_plain(n):
        return _slope_of_number(x, n, i, k)
    return _slope_of_array(x, n, i, k)


def _is_plain(x: Number) -> bool:
    return type(x) in (float, int) or isinstance(x, PythonNumber)


def _slope_of_number(x: Number, n: Number, i: int, k: int) -> Number:
    total, *factors = _factors(n, i, k)
    if k:
        x = _of_kind(n, x)
        total = _times_logs(x, total, factors, k)
    p = n - i
    real: Any = getattr(n, "real", n)
    if total == 0 or (x == 0 and (real > i or i == p == 0)):
        return 0
    if p == 0:
        return total
    if x == 0:
        return total * elementary.special(x, "inf")
    if 2 * real < i and abs(x) < math.inf:
        return _divided(total * x**n, x, i)
    try:
        return total * x**p
    except OverflowError:
        return total * math.inf


def _times_logs(
    x: Number, total: Number, factors: list[Number], k: int
) -> Number:
    log = _logarithm(x)
    for j in range(k):
        factor = factors[j] if j < len(factors) else 0
        lost = x == 0 and total == 0  # where 0 * inf would be NaN
        total = factor if lost else total * log + factor
    return total


def _logarithm(x: Number) -> Number:
    if x == 0:
        return -elementary.special(x, "inf")
    try:
        return namespace(x).log(x)
    except ValueError:
        return elementary.special(x, "nan")


def _of_kind(n: Number, x: Number) -> Number:
    """Return x with a complex or a long logarithm, if n is so."""
    if type(x) is type(n):
        return x
    plain = namespace(x) is elementary is not namespace(n)
    if plain or elementary.is_complex(n) > elementary.is_complex(x):
        return x + namespace(n).zeros_like(n)
    return x


def _divided(y: Number, x: Number, i: int) -> Number:
    for _ in range(i):
        y = y / x
    return y


def _slope_of_array(x: Any, n: Any, i: int, k: int) -> Any:
    total, *factors = _factors(n, i, k)
    like = n if _is_plain(x) else x
    p, zero = n - i, x == 0
    if k:
        log = _spread(_logarithms(x, n), like)
        for j in range(k):
            factor = factors[j] if j < len(factors) else 0
            lost = zero & (total == 0)
            total = total * where(lost, 0, log) + factor
        limit = getattr(p, "real", p)
        total = where(zero & (limit > 0 if i else limit >= 0), 0, total)
    if not i:
        return total * x**n
    empty, far = total == 0, 2 * getattr(n, "real", n) < i
    empty = bool(empty) if _is_plain(total) else empty
    far = bool(far) if _is_plain(n) else far
    if empty is True:
        return namespace(x).zeros_like(x)
    if empty is not False:
        p = where(empty, 0, _spread(p, like))
    near = total * x**p
    if far is False:
        return near
    far = far & (abs(x) < math.inf) & (x != 0)
    x = where(far, _spread(x, like), 1)
    return where(far, _divided(total * x**n, x, i), near)


def _spread(x: Any, like: Any) -> Any:
    """Return a plain number as an array, of the type of another."""
    if not _is_plain(x):
        return x
    return namespace(like).zeros_like(like) + x


def _logarithms(x: Any, n: Any) -> Any:
    if _is_plain(x):
        return _logarithm(x)
    if "complex" in str(getattr(x, "dtype", "")):
        return namespace(x).log(where(x == 0, 1, x))
    log = namespace(x).log(where(x > 0, x, 1))
    lowest = where(x == 0, -math.inf, math.nan)
    return where(x > 0, log, lowest)


def _data(other: Any) -> Any:
    return other.data if isinstance(other, Value) else other


def _reciprocal(x: Number, n: int = 1) -> Number:
    """Return `1 / (n * x)`."""
    if not isinstance(x, Value):
        return elementary.reciprocal(n * x)
    y = _reciprocal(x.data, n)
    return x._unary("1/", y, lambda: -n * y * y)


def _arc_slope(x: Number) -> Number:
    return _reciprocal(namespace(x).sqrt(_gap(x)))


def _gap(x: Number) -> Number:
    if not isinstance(x, Value):
        return (1 - x) * (1 + x)
    inner = x.data
    return x._unary("1-x**2", _gap(inner), lambda: -2 * inner)


def where(condition: Any, x: Number, y: Number) -> Any:
    """Return `x` where the condition holds, else `y`.

    Both are computed before one is chosen, and the gradient goes to
    the one that was chosen.

    Args:
        condition: A bool or an array of them; a number holds unless
            it is 0.
        x: A number, a Value or plain.
        y: A number, a Value or plain.

    Raises:
        TypeError: The condition is none of these.
    """
    special = isinstance(x, type(y)) or not isinstance(y, Value)
    box = x if special else y
    kind = type(box) if isinstance(box, Value) else Value
    return kind.where(condition, x, y)


def _condition(condition: Any) -> Any:
    while isinstance(condition, Value):
        condition = condition.data
    if elementary.is_truth_value(condition):
        return condition
    if isinstance(condition, PythonNumber):
        return bool(condition)
    if namespace(condition) is elementary:
        raise TypeError(
            f"where: the condition {condition!r} is of type "
            f"{type(condition).__name__}; it should be a bool or an "
            "array of them, as x > 0 is"
        )
    return condition


def _where(condition: Any, x: Value, y: Value) -> Value:
    def _backward(grad: Number) -> None:
        nothing = namespace(grad).zeros_like(grad)
        x.grad += where(condition, grad, nothing)
        y.grad += where(condition, nothing, grad)

    chosen = where(condition, x.data, y.data)
    return type(x)(chosen, (x, y), "where", _backward)


def _refusal(error: TypeError, name: str, *args: Any) -> TypeError:
    """Return an error that names the function and its numbers."""
    if type(error) is not TypeError:  # it knows better
        return error
    shown = ", ".join(repr(_number(x)) for x in args)
    return TypeError(f"{name}({shown}): {error}")


def _number(x: Any) -> Any:
    while isinstance(x, Value):
        x = x.data
    return x


def _share(loses: Any, ties: Any, grad: Number) -> Number:
    nothing = namespace(grad).zeros_like(grad)
    return where(loses, nothing, where(ties, grad / 2, grad))


def _extreme(name: str, x: Number, y: Number) -> Number:
    if namespace(x) is elementary is not namespace(y):
        x, y = y, x  # a plain number has no maximum for other kinds
    return getattr(namespace(x), name)(x, y)


def dot(
    left: Sequence[Number], right: Sequence[Number], start: Number = 0
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
    if not left and type(start) is int:
        start = float(start)  # an empty sum is a float
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
