"""Where the functions of other kinds of number live.

Complex numbers, decimals and the numbers of mpmath have no
`__array_namespace__`. Here `prosegrad.value.find_namespace` learns
where their functions are. The derivatives are those of every number.
"""

import cmath
import math
from collections.abc import Callable
from decimal import Decimal, Overflow, getcontext, localcontext
from functools import cache
from numbers import Number as PythonNumber
from typing import Any

from prosegrad import elementary
from prosegrad.elementary import Number, is_complex
from prosegrad.value import Value, find_namespace

Function = Callable[[Any], Any]

NAMES = ["exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tan"]
NAMES += ["asin", "acos", "atan", "sinh", "cosh", "tanh"]
"""The functions of one number that the rules ask for."""


def _named(name: str, function: Function) -> Function:
    """Return the function, with errors that name it and `x`."""

    def call(x: Number, /) -> Number:
        try:
            y = function(x)
        except (OverflowError, Overflow):
            raise OverflowError(
                f"{name}({x!r}): the result is too large"
            ) from None
        except (ArithmeticError, ValueError):
            y = None
        if y is None or _is_no_answer(y, x):
            raise ValueError(
                f"{name}({x!r}): the function has no value there"
            )
        return y

    return call


_INFINITE = (math.inf, -math.inf)


def _is_no_answer(y: Number, x: Number) -> bool:
    """Tell whether a function has failed and not said so."""
    return (
        elementary.turned_complex(y, x)
        or (y in _INFINITE and x not in _INFINITE)
        or (y != y and x == x)
    )


class Functions:
    """The functions of one kind of number.

    Args:
        kind: What to call such numbers in errors.
        functions: The functions by the names of the array API
            standard. Those that are missing raise a TypeError.
    """

    where = staticmethod(elementary.where)
    sign = staticmethod(elementary.sign)
    maximum = staticmethod(elementary.maximum)
    minimum = staticmethod(elementary.minimum)
    zeros_like = staticmethod(elementary.zeros_like)
    ones_like = staticmethod(elementary.ones_like)

    def __init__(self, kind: str, functions: dict[str, Function]):
        self._kind = kind
        for name, function in functions.items():
            setattr(self, name, _named(name, function))

    def __getattr__(self, name: str) -> Function:
        if name.startswith("_"):
            raise AttributeError(name)

        def missing(x: Number) -> Number:
            raise TypeError(
                f"{name}({x!r}): there is no {name} for {self._kind}"
            )

        return missing

    def sigmoid(self, x: Number) -> Number:
        """Return `1 / (1 + exp(-x))` without overflow."""
        real: Any = getattr(x, "real", x)
        z = self.exp(-x if real >= 0 else x)
        return 1 / (1 + z) if real >= 0 else z / (1 + z)

    def softplus(self, x: Number) -> Number:
        """Return `log(1 + exp(x))` without overflow."""
        z = self.log1p(self.exp(-x if x >= 0 else x))
        return x + z if x >= 0 else z


def _near_x(function: Function) -> Function:
    """Give a function that is nearly `x` near 0 digits enough."""

    def call(x: Decimal) -> Decimal:
        lost = max(0, -x.adjusted())
        if lost > getcontext().prec:
            return +x
        with localcontext() as context:
            context.prec += 5 + lost
            y: Decimal = function(x)
        return +y

    return call


def _decimal_tanh(x: Decimal) -> Decimal:
    z = (-2 * abs(x)).exp()  # between 0 and 1
    return ((1 - z) / (1 + z)).copy_sign(x)


DECIMAL = Functions(
    "decimals",
    {
        "exp": Decimal.exp,
        "log": Decimal.ln,
        "sqrt": Decimal.sqrt,
        "expm1": _near_x(lambda x: x.exp() - 1),
        "log1p": _near_x(lambda x: (1 + x).ln()),
        "sinh": _near_x(lambda x: (x.exp() - (-x).exp()) / 2),
        "cosh": lambda x: (x.exp() + (-x).exp()) / 2,
        "tanh": _near_x(_decimal_tanh),
    },
)

find_namespace.register(Decimal, lambda x: DECIMAL)


def _complex_expm1(z: complex) -> complex:
    """Return `exp(z) - 1`, exact near 0.

    With z = x + iy the real part is
    `expm1(x) * cos(y) - 2 * sin(y / 2)**2`.
    """
    x, y = z.real, z.imag
    real = math.expm1(x) * math.cos(y) - 2 * math.sin(y / 2) ** 2
    return complex(real, math.exp(x) * math.sin(y))


def _complex_log1p(z: complex) -> complex:
    """Return `log(1 + z)`, exact near 0."""
    x, y = z.real, z.imag
    if abs(z) > 0.5:
        return cmath.log(complex(1 + x, y))
    real = math.log1p(x * (2 + x) + y * y) / 2
    return complex(real, math.atan2(y, 1 + x))


class ComplexFunctions(Functions):
    """The functions of a kind of number that has no order."""

    def sign(self, z: Number) -> Number:
        """Refuse: this would be the slope of the absolute value."""
        raise TypeError(
            f"abs({z!r}): the absolute value has no complex derivative"
        )

    def maximum(self, x: Number, y: Number) -> Number:
        """Refuse: neither is the larger."""
        raise TypeError(
            f"maximum({x!r}, {y!r}): complex numbers have no order"
        )

    def minimum(self, x: Number, y: Number) -> Number:
        """Refuse: neither is the smaller."""
        raise TypeError(
            f"minimum({x!r}, {y!r}): complex numbers have no order"
        )

    def softplus(self, z: Number) -> Number:
        """Return the principal value of `log(1 + exp(z))`."""
        return self.log1p(self.exp(z))


COMPLEX = ComplexFunctions(
    "complex numbers",
    {
        name: getattr(cmath, name)
        for name in NAMES
        if hasattr(cmath, name)
    }
    | {"expm1": _complex_expm1, "log1p": _complex_log1p},
)


@cache
def _of_context(context: Any, is_complex: bool) -> Functions:
    kind = ComplexFunctions if is_complex else Functions
    functions = {name: getattr(context, name) for name in NAMES}
    return kind("mpmath's numbers", functions)


def _of_number(x: Number) -> Any:
    context = getattr(x, "context", None)  # mpmath's numbers have it
    if context is not None:
        return _of_context(context, is_complex(x))
    return COMPLEX if is_complex(x) else elementary


find_namespace.register(PythonNumber, _of_number)


def register_number(
    kind: type,
    functions: dict[str, Function],
    *,
    one: Function | None = None,
    zero: Function | None = None,
) -> None:
    """Let Values hold numbers of a class of your own.

    The class needs `+ - * /` and `**`, as far as they are used, also
    with an int on either side. Comparing is for `relu` and its like.

    Args:
        kind: The class.
        functions: Its functions, by the names of the array API
            standard: `exp`, `log`, `sin`. Those that are missing
            raise a TypeError when they are asked for.
        one: Takes a number of the class and returns the one that its
            gradient begins with; `kind(1)` by default.
        zero: Takes a number and returns its zero; `kind(0)`.

    Raises:
        TypeError: `kind` is no class, or is a kind of Value.
    """
    if not isinstance(kind, type) or issubclass(kind, Value):
        raise TypeError(
            "register_number: kind should be a class of numbers, "
            f"and is {kind!r}"
        )
    name = f"numbers of type {kind.__name__}"
    space: Any = Functions(name, functions)
    space.ones_like = one or space.ones_like
    space.zeros_like = zero or space.zeros_like
    PythonNumber.register(kind)
    find_namespace.register(kind, lambda x: space)
