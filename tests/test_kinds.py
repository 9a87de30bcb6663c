"""Numbers that are no floats: their functions, slopes and errors.

The judge is mpmath at 60 digits, by formulas that are not ours.
"""

from __future__ import annotations

import cmath
import copy
import decimal
import math
import numbers
import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import mpmath
import pytest

from prosegrad import Value, elementary, grad, hvp, jvp, value_and_grad
from prosegrad.kinds import (
    COMPLEX,
    DECIMAL,
    NAMES,
    ComplexFunctions,
    Functions,
    _near_x,
)
from prosegrad.value import find_namespace, namespace

mpf, mpc = mpmath.mpf, mpmath.mpc
NAN, INF = math.nan, math.inf
Formula = Callable[[Any], Any]

OURS = {kind: find_namespace.dispatch(kind) for kind in (Decimal, numbers.Number)}


@pytest.fixture(autouse=True)
def _the_package_is_registered() -> None:
    """The page on kinds, in the same process, registers its own copy."""
    for kind, find in OURS.items():
        find_namespace.register(kind, find)


def logistic(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x))


EXACT: dict[str, tuple[Formula, Formula]] = {
    "exp": (mpmath.exp, mpmath.exp),
    "expm1": (mpmath.expm1, mpmath.exp),
    "log": (mpmath.log, lambda x: 1 / x),
    "log1p": (mpmath.log1p, lambda x: 1 / (1 + x)),
    "sqrt": (mpmath.sqrt, lambda x: 1 / (2 * mpmath.sqrt(x))),
    "sin": (mpmath.sin, mpmath.cos),
    "cos": (mpmath.cos, lambda x: -mpmath.sin(x)),
    "tan": (mpmath.tan, lambda x: mpmath.sec(x) ** 2),
    "asin": (mpmath.asin, lambda x: 1 / mpmath.sqrt(1 - x * x)),
    "acos": (mpmath.acos, lambda x: -1 / mpmath.sqrt(1 - x * x)),
    "atan": (mpmath.atan, lambda x: 1 / (1 + x * x)),
    "sinh": (mpmath.sinh, mpmath.cosh),
    "cosh": (mpmath.cosh, mpmath.sinh),
    "tanh": (mpmath.tanh, lambda x: mpmath.sech(x) ** 2),
    "sigmoid": (logistic, lambda x: logistic(x) * logistic(-x)),
    "softplus": (lambda x: mpmath.log1p(mpmath.exp(x)), logistic),
}
"""By name, a function and its slope."""


def test_no_function_is_left_out() -> None:
    assert sorted(EXACT) == sorted([*NAMES, "sigmoid", "softplus"])


def pulled(name: str, x: Any) -> tuple[Any, Any]:
    """Return the value of a function and its slope by `backward`."""
    box = Value(x)
    y = getattr(box, name)()
    y.backward(1)
    return y.data, box.grad


def exactly(name: str, x: Any, digits: int) -> tuple[Any, Any]:
    value, slope = EXACT[name]
    with mpmath.workdps(digits):
        return value(x), slope(x)


def is_near(actual: Any, exact: Any, tolerance: float) -> bool:
    with mpmath.workdps(150):
        return bool(abs(actual - exact) <= tolerance * abs(exact))


# --- real kinds, to nearly all of their digits

SMALL = ["0.7", "-0.3", "0.01", "-1e-5", "1e-13", "-3e-14", "1e-20", "-7e-27"]
TINY = ["2e-28", "-9e-29", "1e-29", "-1e-60", "1e-3000"]
LARGE = ["2.5", "-19", "50", "-300.25", "1e4"]
ALL = [*SMALL, *TINY, *LARGE]
UNIT = [*SMALL, *TINY, "0.999999999999", "-0.5"]
POSITIVE = ["1e-3000", "1e-20", "0.7", "1.0000000000000001", "50", "1e3000"]
ABOVE_MINUS_ONE = [*SMALL, *TINY, "-0.999999999999", "50", "1e3000"]
DOMAINS = {
    "log": POSITIVE,
    "sqrt": POSITIVE,
    "log1p": ABOVE_MINUS_ONE,
    "asin": UNIT,
    "acos": UNIT,
}
POINTS = [(name, x) for name in EXACT for x in DOMAINS.get(name, ALL)]
OF_DECIMALS = [
    *("exp", "expm1", "log", "log1p", "sqrt", "sinh", "cosh", "tanh"),
    *("sigmoid", "softplus"),
]


@pytest.mark.parametrize(("name", "x"), [p for p in POINTS if p[0] in OF_DECIMALS])
@pytest.mark.parametrize("digits", [28, 50])
def test_decimals_have_all_their_digits(name: str, x: str, digits: int) -> None:
    """Value and slope are off by a few units of the last digit, at most."""
    with decimal.localcontext() as context:
        context.prec = digits
        answers = pulled(name, Decimal(x))
    spare = 6100 if x == "1e-3000" else 120
    with mpmath.workdps(spare):
        truths = exactly(name, mpf(x), spare)
        numbers = [mpf(str(answer)) for answer in answers]

    assert [type(answer) for answer in answers] == [Decimal, Decimal]
    assert all(len(answer.as_tuple().digits) <= digits for answer in answers)
    for number, truth in zip(numbers, truths):
        assert is_near(number, truth, 4 * 10.0 ** (1 - digits))


PRECISE = ["expm1", "log1p", "sinh", "tanh"]


@pytest.mark.parametrize(
    ("name", "x"), [p for p in POINTS if p[0] in PRECISE and "3000" not in p[1]]
)
def test_decimal_functions_with_digits_to_spare_round_rightly(
    name: str, x: str
) -> None:
    """Half a unit of the last digit is the least that can be lost."""
    with mpmath.workdps(200):
        exact = EXACT[name][0](mpf(x))
        answer = getattr(DECIMAL, name)(Decimal(x))
        unit = mpf(10) ** (answer.adjusted() - 27)
        assert abs(mpf(str(answer)) - exact) <= 0.501 * unit


@pytest.mark.parametrize(("name", "x"), POINTS)
def test_mpmath_has_all_its_digits(name: str, x: str) -> None:
    """Value and slope at 40 digits agree with formulas at 6,100."""
    with mpmath.workdps(40):
        answers = pulled(name, mpf(x))
    with mpmath.workdps(40):
        point = mpf(x)
    truths = exactly(name, point, 6100 if "3000" in x else 150)

    for answer, truth in zip(answers, truths):
        assert type(answer) is mpf
        assert is_near(answer, truth, 1e-38)


@pytest.mark.parametrize("x", ["1e6", "-1e6", "1e30", "-1e30"])
def test_the_saturated_functions_do_not_overflow(x: str) -> None:
    """Where the exponential of a decimal has no room, these still have."""
    at = Decimal(x)
    sign = 1 if at > 0 else -1

    assert pulled("tanh", at)[0] == sign
    assert pulled("tanh", at)[1] < Decimal("1e-800000")
    assert abs(pulled("sigmoid", at)[0] - (1 + sign) // 2) < Decimal("1e-400000")
    assert abs(pulled("softplus", at)[0] - max(at, Decimal(0))) < Decimal("1e-400000")
    assert DECIMAL.expm1(-abs(at)) == -1


def test_what_is_nearly_x_is_rounded_to_the_context() -> None:
    x = Decimal("1.23456789e-50")
    with decimal.localcontext() as context:
        context.prec = 4
        assert str(DECIMAL.expm1(x)) == "1.235E-50"
        assert str(DECIMAL.sinh(Decimal("1.23456"))) == "1.573"
        assert context.prec == 4
    assert decimal.getcontext().prec == 28


def test_digits_to_spare() -> None:
    """Five, and as many as are lost near 0; below the last digit it is x itself."""
    used = []

    def third(x: Decimal) -> Decimal:
        used.append(decimal.getcontext().prec)
        return x / 3

    call = _near_x(third)
    with decimal.localcontext() as context:
        context.prec = 6
        answers = [str(call(Decimal(x))) for x in ("2e+2", "2", "0.2", "2e-6")]
        tiny = str(call(Decimal("1.23456789e-7")))

    assert used == [11, 11, 12, 17]
    assert answers == ["66.6667", "0.666667", "0.0666667", "6.66667E-7"]
    assert tiny == "1.23457E-7"


@pytest.mark.parametrize("x", ["0", "-0", "0E-40", "0E+7"])
def test_decimal_functions_at_zero(x: str) -> None:
    for name in ("expm1", "log1p", "sinh", "tanh"):
        assert pulled(name, Decimal(x)) == (0, 1)
    assert pulled("cosh", Decimal(x)) == (1, 0)


@pytest.mark.parametrize("name", ["exp", "log1p", "tanh"])
@pytest.mark.parametrize("kind", [Decimal, mpf])
def test_nan_stays_nan(name: str, kind: Any) -> None:
    y = getattr(namespace(kind(1)), name)(kind("nan"))

    assert y != y


@pytest.mark.parametrize("kind", [Decimal, mpf])
def test_infinity_in_infinity_out(kind: Any) -> None:
    xp = namespace(kind(1))

    assert xp.exp(kind("inf")) == INF
    assert xp.log(kind("inf")) == INF
    assert xp.exp(kind("-inf")) == 0
    assert xp.sigmoid(kind("-inf")) == 0
    assert xp.tanh(kind("inf")) == 1


def test_mpmath_computes_with_the_digits_of_the_moment() -> None:
    """The value has the digits of the forward pass, the slope those of backward."""
    with mpmath.workdps(50):
        x = Value(mpf(3))
        y = 1 / x
    y.backward()
    with mpmath.workdps(60):
        assert is_near(y.data, mpf(1) / 3, 1e-49)
        assert not is_near(x.grad, -mpf(1) / 9, 1e-20)
        assert is_near(x.grad, -mpf(1) / 9, 1e-15)


def test_each_context_of_mpmath_has_its_own_functions() -> None:
    other = mpmath.MPContext()
    other.dps = 30
    x = other.mpf(2)
    y, slope = pulled("exp", x)

    assert type(y) is type(slope) is other.mpf
    with mpmath.workdps(60):
        assert is_near(mpf(y), mpmath.exp(2), 1e-29)
    assert namespace(x) is namespace(other.mpf(3))
    assert namespace(x) is not namespace(mpf(2))


# --- complex numbers

Z_POINTS = [
    *(0.6 + 0.3j, -1.2 + 0.7j, 0.1 - 2j, 2.5 - 0.5j, -0.4 - 0.001j),
    *(1e-9 + 2e-9j, -3e-12 - 1e-12j, 0.4 + 0.4j, -0.49 + 0.3j),
    *(0.5 + 1e-8j, -0.999999 + 1e-7j, 3.0 + 4.0j, -2.0 - 2.5j),
]


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("z", Z_POINTS)
def test_complex_functions_and_slopes(name: str, z: complex) -> None:
    """The slope is f'(z), and no conjugate of it."""
    answers = pulled(name, z)
    truths = exactly(name, mpc(z), 60)

    for answer, truth in zip(answers, truths):
        assert type(answer) is complex
        # 1 + tan² cancels where the tangent is near i.
        unit = max(1, 1 / abs(truth)) if name == "tan" else 1
        assert is_near(mpc(answer), truth, 4e-15 * float(unit))


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("z", Z_POINTS)
def test_functions_and_slopes_of_mpc(name: str, z: complex) -> None:
    with mpmath.workdps(40):
        answers = pulled(name, mpc(z))
    truths = exactly(name, mpc(z), 80)

    for answer, truth in zip(answers, truths):
        assert type(answer) is mpc
        unit = 1 / abs(z) if name == "asin" else 1.0  # mpmath's loses digits near 0
        assert is_near(answer, truth, 1e-37 * max(1.0, unit))


@pytest.mark.parametrize("name", ["expm1", "log1p"])
@pytest.mark.parametrize(
    "z", [1e-12 + 1e-12j, -1e-12 + 3e-15j, 1e-18 - 2e-18j, 1e-300 + 1e-300j]
)
def test_both_parts_have_their_digits_near_zero(name: str, z: complex) -> None:
    actual = getattr(COMPLEX, name)(z)
    exact, _ = exactly(name, mpc(z), 700)

    assert is_near(mpf(actual.real), exact.real, 1e-15)
    assert is_near(mpf(actual.imag), exact.imag, 1e-15)


@pytest.mark.parametrize(
    "z", [-1 + 1e-12 + 1e-12j, -1 + 1e-10 + 0j, -1 + 1e-20j, 1e200 + 1e200j, 1e-200j]
)
def test_complex_log1p_far_from_zero(z: complex) -> None:
    """Near -1 the sum of squares would subtract, and far out overflow."""
    exact, _ = exactly("log1p", mpc(z), 500)

    assert is_near(mpc(COMPLEX.log1p(z)), exact, 1e-15)


@pytest.mark.parametrize("name", ["log", "log1p", "sqrt", "asin", "acos"])
@pytest.mark.parametrize("imaginary", [0.0, -0.0])
def test_the_side_of_a_cut_is_the_sign_of_zero(name: str, imaginary: float) -> None:
    y = getattr(COMPLEX, name)(complex(-2.5, imaginary))
    other = getattr(COMPLEX, name)(complex(-2.5, -imaginary))

    assert y == other.conjugate()
    assert y.imag != 0


@pytest.mark.parametrize("y", [0.5, 3.0, 4.0, 7.0, 100.0])
@pytest.mark.parametrize("x", [-1.0, -1e-9, 0.0, 1e-9, 1.0, 30.0])
def test_complex_softplus_is_the_principal_value(x: float, y: float) -> None:
    """It does not jump at the imaginary axis."""
    z = complex(x, y)
    exact = mpmath.log(1 + mpmath.exp(mpc(z)))

    assert abs(COMPLEX.softplus(z) - complex(exact)) < 1e-13
    assert abs(namespace(mpc(z)).softplus(mpc(z)) - exact) < 1e-13


def test_the_complex_sigmoid_does_not_overflow() -> None:
    assert pulled("sigmoid", -1000 + 1j) == (0, 0)
    assert pulled("sigmoid", 1000 + 1j) == (1, 0)


@pytest.mark.parametrize("y", [-2.0, -1e-9, 0.5, 1.0, 4.0])
def test_the_sigmoid_on_the_imaginary_axis(y: float) -> None:
    """There it is `(1 + i tan(y / 2)) / 2`, and no conjugate of it."""
    assert abs(COMPLEX.sigmoid(1j * y) - (1 + 1j * math.tan(y / 2)) / 2) < 4e-15


def test_a_complex_result_wants_to_be_meant() -> None:
    """No derivative of a complex number by accident."""
    z = Value(1 + 2j)
    with pytest.raises(TypeError, match="one real number"):
        (z * z * z).backward()
    with pytest.raises(TypeError, match="holomorphic=True"):
        grad(lambda z: z * z * z)(1 + 2j)

    assert z.grad == 0
    (z * z * z).backward(1)
    assert z.grad == -9 + 12j
    assert grad(lambda z: z * z * z, holomorphic=True)(1 + 2j) == -9 + 12j
    value, slope = value_and_grad(lambda z: z * z, holomorphic=True)(2j)
    assert (value, slope) == (-4, 4j)


def test_pytorch_conjugates() -> None:
    """What the book says of PyTorch's convention."""
    torch = pytest.importorskip("torch")
    z = torch.tensor(1 + 2j, requires_grad=True)
    (z**3).backward(gradient=torch.tensor(1 + 0j))

    assert z.grad.item() == -9 - 12j


@pytest.mark.filterwarnings("default")
def test_jax_does_not_conjugate() -> None:
    """What the book says of JAX's convention."""
    jax = pytest.importorskip("jax")

    assert complex(jax.grad(lambda z: z**3, holomorphic=True)(1 + 2j)) == -9 + 12j


REFUSALS: dict[str, tuple[Formula, str]] = {
    "abs": (lambda z: abs(z).backward(), "abs({}): the absolute value has no"),
    "relu": (lambda z: z.relu(), "maximum({}, {zero}): complex numbers have no order"),
    "max": (lambda z: z.maximum(z), "maximum({}, {}): complex numbers have no order"),
    "min": (lambda z: z.minimum(z), "minimum({}, {}): complex numbers have no order"),
    "<": (lambda z: z < 1, ""),
    ">=": (lambda z: z >= z, ""),
    "leaky": (lambda z: z.leaky_relu(), "leaky_relu({}, 0.01): "),
    "gelu": (lambda z: z.gelu(), "gelu({}): maximum({}, -40.0): complex numbers"),
}


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("z", [3 + 4j, mpc(3, 4)])
def test_what_needs_an_order_refuses_complex_numbers(name: str, z: Any) -> None:
    function, message = REFUSALS[name]
    words = message.format(repr(z), repr(z), zero=repr(z * 0))
    with pytest.raises(TypeError, match=f"^{re.escape(words)}"):
        function(Value(z))


def test_complex_choices_name_themselves() -> None:
    message = re.escape("maximum(1j, 2j): complex numbers have no order")
    with pytest.raises(TypeError, match=f"^{message}$"):
        COMPLEX.maximum(1j, 2j)
    with pytest.raises(
        TypeError, match=r"^abs\(1j\): the absolute value has no complex derivative$"
    ):
        COMPLEX.sign(1j)


# --- errors

OUTSIDE = "the function has no value there"
TOO_LARGE = "the result is too large"
ERRORS: list[tuple[str, Any, type[Exception], str]] = [
    ("log", mpf(-1), ValueError, OUTSIDE),
    ("log", mpf(0), ValueError, OUTSIDE),
    ("log1p", mpf(-1), ValueError, OUTSIDE),
    ("log1p", mpf(-2), ValueError, OUTSIDE),
    ("sqrt", mpf(-4), ValueError, OUTSIDE),
    ("asin", mpf(2), ValueError, OUTSIDE),
    ("acos", mpf(-2), ValueError, OUTSIDE),
    ("sin", mpf("inf"), ValueError, OUTSIDE),
    ("log", mpc(0), ValueError, OUTSIDE),
    ("log", Decimal(-1), ValueError, OUTSIDE),
    ("log", Decimal(0), ValueError, OUTSIDE),
    ("log1p", Decimal(-1), ValueError, OUTSIDE),
    ("log1p", Decimal(-2), ValueError, OUTSIDE),
    ("sqrt", Decimal(-4), ValueError, OUTSIDE),
    ("exp", Decimal(10**7), OverflowError, TOO_LARGE),
    ("sinh", Decimal(-(10**7)), OverflowError, TOO_LARGE),
    ("cosh", Decimal(-(10**7)), OverflowError, TOO_LARGE),
    ("log", 0j, ValueError, OUTSIDE),
    ("log1p", -1 + 0j, ValueError, OUTSIDE),
    ("sin", complex(INF, 0), ValueError, OUTSIDE),
    ("expm1", complex(0, INF), ValueError, OUTSIDE),
    ("exp", 1000 + 0j, OverflowError, TOO_LARGE),
    ("expm1", 1000 + 1j, OverflowError, TOO_LARGE),
    ("cosh", 1000j + 1000, OverflowError, TOO_LARGE),
]


@pytest.mark.parametrize(("name", "x", "kind", "reason"), ERRORS)
def test_errors_name_the_function_and_the_number(
    name: str, x: Any, kind: type[Exception], reason: str
) -> None:
    message = re.escape(f"{name}({x!r}): {reason}")
    with pytest.raises(kind, match=f"^{message}$") as caught:
        getattr(Value(x), name)()

    assert type(caught.value) is kind
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def raising(error: Exception) -> Formula:
    def function(x: Any) -> Any:
        raise error

    return function


FAILURES: list[tuple[Formula, type[Exception], str]] = [
    (raising(OverflowError()), OverflowError, TOO_LARGE),
    (raising(decimal.Overflow()), OverflowError, TOO_LARGE),
    (raising(ValueError()), ValueError, OUTSIDE),
    (raising(ZeroDivisionError()), ValueError, OUTSIDE),
    (lambda x: -INF, ValueError, OUTSIDE),
    (lambda x: NAN, ValueError, OUTSIDE),
    (lambda x: 1j, ValueError, OUTSIDE),
]


@pytest.mark.parametrize(("function", "kind", "reason"), FAILURES)
def test_a_function_of_ones_own_fails_by_its_name(
    function: Formula, kind: type[Exception], reason: str
) -> None:
    xp = Functions("numbers of mine", {"halved": function})

    with pytest.raises(kind, match=rf"^halved\(2\.0\): {reason}$") as caught:
        xp.halved(2.0)
    assert type(caught.value) is kind


@pytest.mark.parametrize("x", [2.0, -INF, NAN, 1j])
def test_a_function_of_ones_own_may_hand_through_what_it_got(x: Any) -> None:
    xp = Functions("numbers of mine", {"same": lambda x: x})

    assert xp.same(x) is x


ANGLES = [name for name in NAMES if name not in OF_DECIMALS]


@pytest.mark.parametrize("name", ANGLES)
def test_a_function_that_is_missing_says_so(name: str) -> None:
    message = re.escape(f"{name}(Decimal('0.5')): there is no {name} for decimals")
    with pytest.raises(TypeError, match=f"^{message}$"):
        getattr(Value(Decimal("0.5")), name)()


def test_other_missing_functions_name_their_kind() -> None:
    for xp, kind in [
        (COMPLEX, "complex numbers"),
        (namespace(mpf(1)), "mpmath's numbers"),
        (namespace(mpc(1)), "mpmath's numbers"),
    ]:
        message = re.escape(f"erf(1): there is no erf for {kind}")
        with pytest.raises(TypeError, match=f"^{message}$"):
            xp.erf(1)


def test_functions_can_be_copied() -> None:
    """What begins with an underscore is not taken for a function."""
    twin = copy.copy(DECIMAL)

    assert twin.exp(Decimal(1)) == Decimal(1).exp()
    assert not hasattr(DECIMAL, "_exp")
    with pytest.raises(AttributeError, match=r"^_exp$"):
        DECIMAL._exp  # noqa: B018


def test_decimals_and_floats_do_not_mix() -> None:
    functions: list[Formula] = [
        lambda x: 0.1 * x,
        lambda x: x + 0.5,
        lambda x: x**0.5,
    ]
    for function in functions:
        with pytest.raises(TypeError, match="unsupported operand"):
            function(Value(Decimal(1)))


# --- where the functions are found


def test_each_kind_finds_its_functions() -> None:
    assert namespace(Decimal(1)) is DECIMAL
    assert namespace(1j) is COMPLEX
    for x in (1.0, 1, True, Fraction(1)):
        assert namespace(x) is elementary
    assert type(namespace(mpf(1))) is Functions
    assert type(namespace(mpc(1))) is ComplexFunctions
    assert namespace(mpf(1)) is namespace(mpf(2))
    assert namespace(mpmath.pi) is namespace(mpf(1))


def test_numpys_numbers_are_pythons() -> None:
    np = pytest.importorskip("numpy")

    for kind in (np.complex64, np.complex128):
        assert namespace(kind(1j)) is COMPLEX
    for kind in (np.float32, np.float64, np.int64):
        assert namespace(kind(1)) is elementary
    z = Value(np.complex64(1j))
    z.exp().backward(1)
    assert z.grad == cmath.exp(1j)


def test_the_choices_are_those_of_floats() -> None:
    for kind in (Decimal, mpf):
        xp, x = namespace(kind(1)), kind("0.5")
        assert xp.maximum(x, kind(2)) == 2
        assert xp.minimum(x, kind(2)) == x
        assert [xp.sign(kind(n)) for n in (-3, 0, 7)] == [-1, 0, 1]
        assert xp.where(True, x, 3) == x
        assert type(xp.zeros_like(x)) is kind
        box = Value(x)
        (box.relu() + box.maximum(kind("0.25")) + abs(-box)).backward()
        assert box.grad == 3


def test_a_kind_of_ones_own_is_registered_in_a_line() -> None:
    class Cents(numbers.Number):
        """Money in whole cents."""

        __hash__ = None  # type: ignore[assignment]

        def __init__(self, cents: int) -> None:
            self.cents = cents

        def __mul__(self, other: Any) -> Any:
            return Cents(self.cents * getattr(other, "cents", other))

        def __radd__(self, other: Any) -> Any:
            return self

        __rmul__ = __mul__

    find_namespace.register(
        Cents, lambda x: Functions("cents", {"exp": lambda x: Cents(x.cents + 1)})
    )
    x = Value(Cents(4))
    x.exp().backward()

    assert x.grad.cents == 5
    message = r"^log\(.*\): there is no log for cents$"
    with pytest.raises(TypeError, match=message):
        x.log()


def test_a_kind_may_answer_for_itself() -> None:
    class Answering:
        def __array_namespace__(self) -> Any:
            return Functions("answers", {"exp": lambda x: "called"})

    assert namespace(Answering()).exp(1) == "called"


# --- powers


@pytest.mark.parametrize(
    ("x", "n"),
    [("2", "0.5"), ("0.3", "-1.7"), ("1e-9", "3"), ("7", "-2"), ("5", "0.1")],
)
@pytest.mark.parametrize("kind", [Decimal, mpf])
def test_powers_and_their_slopes(kind: Any, x: str, n: str) -> None:
    """The base and the exponent get theirs, to nearly all digits."""
    with mpmath.workdps(28):
        base, exponent = Value(kind(x)), Value(kind(n))
        (base**exponent).backward()
        alone = Value(kind(x))
        (alone ** kind(n)).backward()
    with mpmath.workdps(60):
        a, b = mpf(str(base.data)), mpf(str(exponent.data))
        if kind is mpf:
            a, b = base.data, exponent.data
        exact = b * a ** (b - 1), a**b * mpmath.log(a)
        slopes = [mpf(str(s)) for s in (base.grad, exponent.grad, alone.grad)]
        if kind is mpf:
            slopes = [base.grad, exponent.grad, alone.grad]

    for slope, truth in zip(slopes, (*exact, exact[0])):
        assert is_near(slope, truth, 1e-25)
    assert type(elementary.power(kind(x), kind(n))) is kind


POWERS: list[tuple[Any, Any, type[Exception], str]] = [
    (Decimal(-2), Decimal("0.5"), ValueError, "the function has no real value there"),
    (mpf(-2), mpf("0.5"), ValueError, "the function has no real value there"),
    (Decimal(0), 0, ValueError, "the function has no real value there"),
    (mpf(0), -1, ZeroDivisionError, "zero has no negative power"),
]


@pytest.mark.parametrize(("x", "n", "kind", "reason"), POWERS)
def test_powers_without_a_value_name_both_numbers(
    x: Any, n: Any, kind: type[Exception], reason: str
) -> None:
    message = re.escape(f"{x!r} ** {n!r}: {reason}")
    with pytest.raises(kind, match=f"^{message}$"):
        elementary.power(x, n)
    with pytest.raises(kind, match=f"^{message}$"):
        Value(x) ** n


def test_whole_powers_of_fractions_stay_fractions() -> None:
    x = Value(Fraction(2, 3))
    (x**3 + x**-2).backward()

    assert x.grad == 3 * Fraction(4, 9) - 2 * Fraction(27, 8)
    assert type(x.grad) is Fraction


# --- every kind through every derivative


def rational(x: Any) -> Any:
    return x * x + 3 / x


KINDS: list[Any] = [7.0, Fraction(7), Decimal(7), mpf(7), 7 + 1j, mpc(7, 1)]


@pytest.mark.parametrize("x", KINDS, ids=lambda x: type(x).__name__)
def test_every_kind_goes_through_every_derivative(x: Any) -> None:
    """First and second derivatives, forward and reverse, of the kind put in."""
    first, second = 2 * x - 3 / (x * x), 2 + 6 / (x * x * x)
    complex_ = isinstance(x, numbers.Complex) and not isinstance(x, numbers.Real)
    slope = grad(rational, holomorphic=complex_)
    bend = grad(slope, holomorphic=complex_)
    answers = [slope(x), jvp(rational, (x,), (1,))[1]]
    answers += [bend(x), jvp(slope, (x,), (1,))[1]]
    if not complex_:
        answers.append(hvp(rational, (x,), (1,)))

    truths = [first, first, second, second, second]
    for answer, truth in zip(answers, truths):
        assert type(answer) is type(x)
        assert float(abs(answer - truth)) <= 1e-15 * float(abs(truth))
        if type(x) is Fraction:
            assert answer == truth


def test_a_fraction_with_an_exponential_becomes_a_float() -> None:
    y, slope = pulled("exp", Fraction(1, 2))

    assert (y, slope) == (math.exp(0.5), math.exp(0.5))
    assert type(y) is type(slope) is float
