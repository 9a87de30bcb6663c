"""Elementary functions of Python numbers.

These are the functions of the `math` module, with two changes.
An error names the function and the number. The names are those of the
Python array API standard, so a rule that is written with them works for
any kind of number that answers to the same names.

Derivatives are not here: `prosegrad.value` has them.
"""

import math
from collections.abc import Callable
from functools import cache
from importlib import import_module
from numbers import Complex, Real
from numbers import Number as PythonNumber
from typing import Any, TypeAlias

Number: TypeAlias = Any
"""A number of any kind: whatever answers to `+ - * / **`."""


_OUTSIDE = "the function has no real value there"


_OVERFLOW = "the result is too large for a float"


def _named(name: str) -> Callable[[Number], float]:
    function = getattr(math, name)

    def call(x: Number, /) -> float:
        try:
            return float(function(x))
        except OverflowError:
            problem: Exception = OverflowError(
                f"{name}({x!r}): {_OVERFLOW}"
            )
        except ValueError:
            problem = ValueError(f"{name}({x!r}): {_OUTSIDE}")
        raise problem

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"Return `math.{name}(x)`; errors name `x`."
    return call


exp = _named("exp")
expm1 = _named("expm1")
log = _named("log")
log1p = _named("log1p")
sqrt = _named("sqrt")
sin = _named("sin")
cos = _named("cos")
tan = _named("tan")
asin = _named("asin")
acos = _named("acos")
atan = _named("atan")
sinh = _named("sinh")
cosh = _named("cosh")
tanh = _named("tanh")


def where(condition: bool, x: Number, y: Number, /) -> Number:
    """Return `x` if the condition holds, else `y`."""
    return x if condition else y


def sign(x: Number, /) -> Number:
    """Return -1, 0 or 1; NaN stays NaN."""
    return x if x != x else int(x > 0) - int(x < 0)


def maximum(x: Number, y: Number, /) -> Number:
    """Return the larger number; NaN if either is NaN."""
    return x if x >= y or x != x else y


def minimum(x: Number, y: Number, /) -> Number:
    """Return the smaller number; NaN if either is NaN."""
    return x if x <= y or x != x else y


def zeros_like(x: Number, /) -> Number:
    """Return the zero of the same type as `x`."""
    return type(x)(0)


def ones_like(x: Number, /) -> Number:
    """Return the one of the same type as `x`."""
    return type(x)(1)


def is_number(x: Any, /) -> bool:
    """Tell whether `x` is a number of any kind, or an array."""
    if isinstance(x, PythonNumber):
        return True
    if hasattr(x, "shape"):
        load_arrays()
    return hasattr(x, "__array_namespace__")


@cache
def load_arrays() -> None:
    """Load what knows arrays, when the first one is met.

    Raises:
        ImportError: The packages that it needs are missing.
    """
    try:
        import_module("prosegrad.tensor")
    except ModuleNotFoundError as error:
        raise ImportError(
            f"arrays need {error.name}: pip install 'prosegrad[tensor]'"
        ) from error


def is_real(x: Any, /) -> bool:
    """Tell whether a number is a single real one.

    A truth value is not, and an array is if its shape is ().
    """
    if is_truth_value(x) or getattr(x, "shape", ()) != ():
        return False
    return isinstance(x, Real) or not isinstance(x, Complex)


def is_truth_value(x: Any, /) -> bool:
    """Tell whether `x` is True or False, of Python or of NumPy."""
    return type(x).__name__ in ("bool", "bool_")


def holds(x: Any, kind: Any, /) -> bool:
    """Tell whether a number has one of a class among its parts.

    They are the members of an array of objects, or attributes.
    """
    if isinstance(x, (int, float, complex, kind)):
        return False
    if hasattr(x, "dtype"):
        parts = x.ravel().tolist() if x.dtype == object else []
    else:
        parts = _attributes(x)
    return any(isinstance(part, kind) for part in parts)


def _attributes(x: Any) -> list[Any]:
    names = [*getattr(x, "__dict__", ())]
    for each in type(x).__mro__:
        slots = getattr(each, "__slots__", ())
        names += [slots] if isinstance(slots, str) else slots
    parts = [getattr(x, name, None) for name in names]
    members = (v for v in parts if isinstance(v, (list, tuple)))
    return parts + [part for part in members for part in part]


def sigmoid(x: Number, /) -> float:
    """Return `1 / (1 + exp(-x))`; no `x` is too large or small."""
    z = exp(-abs(x))
    return 1 / (1 + z) if x >= 0 else z / (1 + z)


def softplus(x: Number, /) -> float:
    """Return `log(1 + exp(x))`; no `x` is too large or small."""
    return float(maximum(x, 0.0) + log1p(exp(-abs(x))))


def power(x: Number, n: Number, /) -> Number:
    """Return `x ** n`, and never a complex number from real ones.

    Raises:
        ValueError: A negative base has a fractional exponent.
        ZeroDivisionError: Zero has a negative exponent.
        OverflowError: The result is too large for a float.
    """
    try:
        y = x**n
        if type(y) is not float and _is_pole(x, y):
            raise ZeroDivisionError
    except ZeroDivisionError:
        raise ZeroDivisionError(
            f"{x!r} ** {n!r}: zero has no negative power"
        ) from None
    except OverflowError:
        raise OverflowError(f"{x!r} ** {n!r}: {_OVERFLOW}") from None
    except ArithmeticError:  # what a Decimal raises
        raise ValueError(f"{x!r} ** {n!r}: {_OUTSIDE}") from None
    if type(y) is not float and turned_complex(y, x, n):
        raise ValueError(f"{x!r} ** {n!r}: {_OUTSIDE}")
    return y


def _is_pole(x: Number, y: Number) -> bool:
    """Tell whether a Decimal went to infinity and did not say so."""
    plain = isinstance(y, PythonNumber) and not hasattr(y, "dtype")
    return plain and x == 0 and abs(y) == math.inf


def turned_complex(y: Number, *operands: Number) -> bool:
    """Tell whether `y` is complex and its operands were not."""
    return is_complex(y) and not any(map(is_complex, operands))


def is_complex(x: Number) -> bool:
    """Tell whether a number may have an imaginary part."""
    return isinstance(x, Complex) and not isinstance(x, Real)


def divide(x: Number, y: Number, /) -> Number:
    """Return `x / y`.

    Raises:
        ZeroDivisionError: The divisor is zero.
    """
    try:
        return x / y
    except ZeroDivisionError:
        if not all(isinstance(v, PythonNumber) for v in (x, y)):
            raise  # a Value has named the numbers
        raise ZeroDivisionError(
            f"{x!r} / {y!r}: division by zero"
        ) from None


def reciprocal(x: Number, /) -> Number:
    """Return `1 / x`, and infinity for zero."""
    try:
        return 1 / x
    except ZeroDivisionError:
        return special(x, "inf")


def special(x: Number, name: str) -> Number:
    """Return "inf" or "nan" as a number that can be added to `x`."""
    try:
        return type(x)(name)
    except (TypeError, ValueError):  # an int or a Fraction has none
        return float(name)
