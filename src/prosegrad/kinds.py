"""Where the functions of other kinds of number live.

Complex numbers, decimals and the numbers of mpmath have no
`__array_namespace__`. Here `prosegrad.value.find_namespace` learns
where their functions are. The derivatives are those of every number.
"""

import cmath
import math
from collections.abc import Callable
from decimal import Decimal, Overflow, localcontext
from functools import cache
from numbers import Number as PythonNumber
from typing import Any

from prosegrad import elementary
from prosegrad.elementary import Number
from prosegrad.value import find_namespace

Function = Callable[[Any], Any]


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
        z = self.exp(-x if x.real >= 0 else x)
        return 1 / (1 + z) if x.real >= 0 else z / (1 + z)

    def softplus(self, x: Number) -> Number:
        """Return `log(1 + exp(x))` without overflow."""
        z = self.log1p(self.exp(-x if x.real >= 0 else x))
        return x + z if x.real >= 0 else z


def _named(name: str, function: Function) -> Function:
    def call(x: Number, /) -> Number:
        try:
            y = function(x)
        except (OverflowError, Overflow):
            raise OverflowError(
                f"{name}({x!r}): the result is too large"
            ) from None
        except (ArithmeticError, ValueError):
            y = None
        if y is None or elementary.turned_complex(y, x):
            raise ValueError(
                f"{name}({x!r}): the function has no value there"
            )
        return y

    return call


NAMES = ["exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tan"]
NAMES += ["asin", "acos", "atan", "sinh", "cosh", "tanh"]


def _complex_expm1(z: complex) -> complex:
    """Return `exp(z) - 1`, exact near 0.

    With z = x + iy the real part is
    `expm1(x) * cos(y) - 2 * sin(y / 2)**2`.
    """
    x, y = z.real, z.imag
    real = math.expm1(x) * math.cos(y) - 2 * math.sin(y / 2) ** 2
    return complex(real, math.exp(x) * math.sin(y))


def _complex_log1p(z: complex) -> complex:
    x, y = z.real, z.imag
    real = math.log1p(x * (2 + x) + y * y) / 2
    return complex(real, math.atan2(y, 1 + x))


def _complex_sign(z: complex) -> complex:
    raise TypeError(
        f"abs({z!r}): the absolute value has no complex derivative"
    )


COMPLEX = Functions(
    "complex numbers",
    {
        name: getattr(cmath, name)
        for name in NAMES
        if hasattr(cmath, name)
    }
    | {"expm1": _complex_expm1, "log1p": _complex_log1p},
)
COMPLEX.sign = _complex_sign


def _more_digits(function: Function) -> Function:
    """Compute with so many digits that a small `x` loses none."""

    def call(x: Decimal) -> Decimal:
        with localcontext() as context:
            context.prec += 5 + max(0, -2 * x.adjusted())
            y: Decimal = function(x)
        return +y

    return call


DECIMAL = Functions(
    "decimals",
    {
        "exp": Decimal.exp,
        "log": Decimal.ln,
        "sqrt": Decimal.sqrt,
        "expm1": _more_digits(lambda x: x.exp() - 1),
        "log1p": _more_digits(lambda x: (1 + x).ln()),
        "sinh": _more_digits(lambda x: (x.exp() - (-x).exp()) / 2),
        "cosh": _more_digits(lambda x: (x.exp() + (-x).exp()) / 2),
        "tanh": _more_digits(lambda x: 1 - 2 / ((2 * x).exp() + 1)),
    },
)


@cache
def _of_context(context: Any) -> Functions:
    functions = {name: getattr(context, name) for name in NAMES}
    return Functions("this context", functions)


def _of_number(x: Number) -> Any:
    """Mpmath's numbers know their context, and it has the functions."""
    context = getattr(x, "context", None)
    return elementary if context is None else _of_context(context)


find_namespace.register(complex, lambda x: COMPLEX)
find_namespace.register(Decimal, lambda x: DECIMAL)
find_namespace.register(PythonNumber, _of_number)
