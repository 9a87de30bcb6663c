"""Custom rules, and numbers that must not leave the graph unnoticed."""

from __future__ import annotations

import copy
import math
import pickle
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import Any

import pytest

from prosegrad import (
    Value,
    custom_jvp,
    custom_vjp,
    grad,
    hessian,
    hvp,
    jacobian,
    jit,
    jvp,
    stop_gradient,
    value_and_grad,
    vjp,
)
from prosegrad.value import namespace

Function = Callable[..., Any]


# --- the same rules, once composed of operations and once as a rule


def product(x: Any, y: Any) -> Any:
    return x * x * y + namespace(x).sin(x)


def by_vjp() -> Function:
    f = custom_vjp(product)

    def fwd(x: Any, y: Any) -> Any:
        return f(x, y), (x, y)

    def bwd(residuals: Any, cotangent: Any) -> Any:
        x, y = residuals
        slope = 2 * x * y + namespace(x).cos(x)
        return cotangent * slope, cotangent * x * x

    f.defvjp(fwd, bwd)
    return f


def by_jvp() -> Function:
    f = custom_jvp(product)

    @f.defjvp
    def rule(primals: Any, tangents: Any) -> Any:
        (x, y), (dx, dy) = primals, tangents
        slope = 2 * x * y + namespace(x).cos(x)
        return f(x, y), slope * dx + x * x * dy

    return f


RULES = {"vjp": by_vjp(), "jvp": by_jvp()}
AT = (0.7, -1.3)


def pair(f: Function) -> Function:
    return lambda p: f(p[0], p[1])


TRANSFORMED: dict[str, Callable[[Function], Any]] = {
    "value_and_grad": lambda f: value_and_grad(f, (0, 1))(*AT),
    "grad by the second": lambda f: grad(f, 1)(*AT),
    "vjp": lambda f: vjp(f, *AT)[1](3.0),
    "jvp": lambda f: jvp(f, AT, (1.0, 2.0)),
    "jacobian": lambda f: jacobian(pair(f))(list(AT)),
    "hessian": lambda f: hessian(pair(f))(list(AT)),
    "hvp": lambda f: hvp(pair(f), [list(AT)], [[1.0, 2.0]]),
    "grad of jvp": lambda f: grad(lambda x: jvp(f, (x, 2.0), (1.0, 0.5))[1])(0.7),
    "jvp of grad": lambda f: jvp(grad(f), AT, (1.0, 2.0)),
    "three times": lambda f: grad(grad(grad(f)))(*AT),
    "constant in between": lambda f: grad(lambda x: x * grad(f)(1.0, x))(0.7),
    "twice": lambda f: grad(lambda x: f(x, x) * f(x, 3.0))(0.7),
    "compiled": lambda f: jit(grad(f, (0, 1)))(*AT),
    "compiled twice": lambda f: jit(hessian(pair(f)))(list(AT)),
}


def numbers(x: Any) -> list[float]:
    if isinstance(x, list | tuple):
        return [n for member in x for n in numbers(member)]
    return [x]


@pytest.mark.parametrize("name", TRANSFORMED)
@pytest.mark.parametrize("rule", RULES)
def test_every_transformation_uses_the_rule(rule: str, name: str) -> None:
    found = TRANSFORMED[name](RULES[rule])
    expected = TRANSFORMED[name](product)

    assert numbers(found) == pytest.approx(numbers(expected), rel=1e-13)


@pytest.mark.parametrize("rule", RULES)
def test_eager_values_use_it(rule: str) -> None:
    x, y = Value(AT[0]), Value(AT[1])
    (2 * RULES[rule](x, y=y)).backward()
    ours = [x.grad, y.grad]
    x, y = Value(AT[0]), Value(AT[1])
    (2 * product(x, y)).backward()

    assert ours == pytest.approx([x.grad, y.grad], rel=1e-14)


def test_the_rule_is_used_and_not_the_function() -> None:
    """A rule that is ten times too steep shows at every order."""
    steep = custom_vjp(lambda x: x**3)
    steep.defvjp(lambda x: (steep(x), x), lambda x, ct: (ct * 30 * x * x,))

    assert grad(steep)(1.0) == 30.0
    assert grad(grad(steep))(1.0) == 60.0
    assert jvp(steep, (1.0,), (1.0,)) == (1.0, 30.0)


def test_containers_several_results_and_constants() -> None:
    @custom_vjp
    def f(p: Any, name: str) -> Any:
        return {"sum": p["a"] + p["b"][0], name: p["a"] * p["b"][0]}

    def fwd(p: Any, name: str) -> Any:
        return f(p, name), (p, name)

    def bwd(residuals: Any, ct: Any) -> Any:
        p, name = residuals
        a = ct["sum"] + ct[name] * p["b"][0]
        b = ct["sum"] + ct[name] * p["a"]
        return {"a": a, "b": [b]}, None

    f.defvjp(fwd, bwd)
    at = {"a": Fraction(2), "b": [Fraction(5)]}

    assert jacobian(lambda p: f(p, "product"))(at) == {
        "sum": {"a": 1, "b": [1]},
        "product": {"a": 5, "b": [2]},
    }
    assert grad(lambda p: f(p, "x")["x"])(at) == {"a": 5, "b": [2]}


def test_arrays() -> None:
    np = pytest.importorskip("numpy")
    pytest.importorskip("array_api_compat")
    import prosegrad.tensor  # noqa: F401

    @custom_vjp
    def square_sum(x: Any) -> Any:
        return (x * x).sum()

    square_sum.defvjp(lambda x: (square_sum(x), x), lambda x, ct: (2 * ct * x,))
    x = np.array([1.0, -2.0, 3.0])

    assert grad(square_sum)(x).tolist() == [2.0, -4.0, 6.0]
    assert hessian(square_sum)(x).tolist() == (2 * np.eye(3)).tolist()
    assert jvp(square_sum, (x,), (x,))[1] == 28.0


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ((1.0,), "a tuple of 2"),
        (1.0, "a tuple of 2"),
        (([1.0], 1.0), "a cotangent is"),
    ],
)
def test_a_wrong_number_of_cotangents(returned: Any, message: str) -> None:
    f = custom_vjp(lambda x, y: x * y)
    f.defvjp(lambda x, y: (x * y, None), lambda _, ct: returned)

    with pytest.raises(ValueError, match=message):
        grad(f)(1.0, 2.0)


def test_a_missing_rule_and_a_captured_number() -> None:
    f = custom_vjp(lambda x: x)

    assert f(2.0) == 2.0
    with pytest.raises(TypeError, match="no derivative rule"):
        grad(f)(2.0)

    def captured(w: Any) -> Any:
        g = custom_vjp(lambda x: x * w)
        g.defvjp(lambda x: (x * w, None), lambda _, ct: (ct * w,))
        return g(w)

    with pytest.raises(TypeError, match="not an argument"):
        grad(captured)(2.0)


# --- nothing leaves the graph unnoticed

DERIVATIVES: dict[str, Callable[[Function, float], Any]] = {
    "grad": lambda f, x: grad(f)(x),
    "value_and_grad": lambda f, x: value_and_grad(f)(x),
    "vjp": lambda f, x: vjp(f, x)[1](1.0),
    "jvp": lambda f, x: jvp(f, (x,), (1.0,)),
    "jacobian": lambda f, x: jacobian(f)(x),
    "hessian": lambda f, x: hessian(f)(x),
    "hvp": lambda f, x: hvp(f, (x,), (1.0,)),
    "inside": lambda f, x: grad(lambda y: y * grad(f)(y))(x),
    "outside": lambda f, x: grad(lambda y: grad(lambda z: z * f(y))(1.0))(x),
    "a box inside": lambda f, x: grad(lambda y: f(Value(y)).data)(x),
}
OF_MATH = [
    name
    for name in dir(math)
    if name in ("sin", "exp", "log", "sqrt", "erf", "gamma", "atan", "floor")
    or name in ("expm1", "log1p", "cbrt", "exp2", "fabs", "degrees", "isnan")
]
ESCAPES: dict[str, Function] = {
    **{name: getattr(math, name) for name in OF_MATH},
    "float": float,
    "int": int,
    "complex": complex,
    "index": lambda x: range(10)[x],
    "hypot": lambda x: math.hypot(x, 1.0),
    "pow": lambda x: math.pow(x, 2.0),
    "atan2": lambda x: math.atan2(1.0, x),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
}


@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize("name", DERIVATIVES)
@pytest.mark.parametrize("computed", [False, True], ids=["input", "computed"])
def test_a_number_that_is_differentiated_stays(
    name: str, escape: str, computed: bool
) -> None:
    """Whether it is the input itself or was computed from it."""

    def f(x: Any) -> Any:
        return x * ESCAPES[escape](x * 1.5 if computed else x)

    if (name, escape, computed) == ("a box inside", "copy", False):
        assert DERIVATIVES[name](f, 2.0) == 4.0  # the copy holds the number
        return
    with pytest.raises(TypeError):
        DERIVATIVES[name](f, 2.0)


@pytest.mark.parametrize("name", [n for n in DERIVATIVES if n != "a box inside"])
def test_on_purpose_it_may_leave(name: str) -> None:
    def f(x: Any) -> Any:
        return x * float(x.detach()) + x * float(stop_gradient(x * 1.0))

    DERIVATIVES[name](f, 2.0)
    assert grad(f)(2.0) == 4.0


def test_eager_conversions_of_results_warn_with_their_line() -> None:
    x = Value(2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (float(x), int(x), float((x * 2).detach())) == (2.0, 2, 4.0)
        assert f"{x * 2:.1f}" == "4.0"
    for convert in (float, int, math.sin):
        with pytest.warns(UserWarning, match=r"x\.detach") as caught:
            convert(x * 2)
        assert caught[0].filename == __file__


@pytest.mark.parametrize("name", [n for n in DERIVATIVES if n != "a box inside"])
def test_a_node_made_by_hand_is_refused(name: str) -> None:
    """Plain `Value` over numbers of a derivative: never a derivative of 0."""

    def square(x: Any) -> Any:
        def _backward(grad: Any) -> None:
            x.grad += grad * 2 * x.data

        return Value(x.data * x.data, (x,), "square", _backward)

    for f in (square, lambda x: x * square(x), lambda x: square(x * 2) * 3.0):
        with pytest.raises(TypeError, match="custom_vjp"):
            DERIVATIVES[name](f, 2.0)


def test_threads_may_share_a_pull_back() -> None:
    _, pull = vjp(lambda x, y: (x * y).sin() * x + y.exp(), 0.7, 1.3)
    cotangents = [float(i) for i in range(40)]
    expected = [pull(ct) for ct in cotangents]
    with ThreadPoolExecutor(4) as pool:
        found = [*pool.map(pull, cotangents * 5)]

    assert found == expected * 5


# --- rules that call methods, as functions for `grad` do


def waves(x: Any, n: int = 3) -> Any:
    total = 0.0 * x
    for k in range(n):
        total = total + (k * x).sin() * x.exp()
    return total


def waves_by_vjp() -> Function:
    f = custom_vjp(waves)

    def bwd(residuals: Any, cotangent: Any) -> Any:
        x, n = residuals
        slope: Any = 0.0 * x
        for k in range(n):
            slope = slope + ((k * x).cos() * k + (k * x).sin()) * x.exp()
        return cotangent * slope, None

    f.defvjp(lambda x, n: (f(x, n), (x, n)), bwd)
    return f


def waves_by_jvp() -> Function:
    f = custom_jvp(waves)

    @f.defjvp
    def rule(primals: Any, tangents: Any) -> Any:
        (x, n), (dx, _) = primals, tangents
        slope: Any = 0.0 * x
        for k in range(n):
            slope = slope + ((k * x).cos() * k + (k * x).sin()) * x.exp()
        return f(x, n), slope * dx

    return f


WAYS: dict[str, Callable[[Function], Function]] = {
    "plain": lambda f: f,
    "grad": grad,
    "value_and_grad": value_and_grad,
    "jvp": lambda f: lambda x: jvp(f, (x,), (1.0,)),
    "vjp": lambda f: lambda x: vjp(f, x)[1](1.0),
    "jacobian": jacobian,
    "hessian": hessian,
    "hvp": lambda f: lambda x: hvp(f, (x,), (1.0,)),
    "third": lambda f: grad(grad(grad(f))),
    "jit": jit,
    "jit(grad)": lambda f: jit(grad(f)),
    "jit(hessian)": lambda f: jit(hessian(f)),
    "grad(jit)": lambda f: grad(jit(f)),
}


@pytest.mark.parametrize("x", [0.7, -2.0])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("make", [waves_by_vjp, waves_by_jvp])
def test_rules_may_call_methods(make: Callable[[], Function], way: str, x: Any) -> None:
    """A number that is only counted with stays an int."""
    rule = make()
    found = WAYS[way](lambda x: rule(x, 3))(x)
    point: Any = Value(float(x)) if way == "plain" else x
    expected = WAYS[way](lambda x: waves(x, 3))(point)
    if way == "plain":
        expected = expected.data

    flat = found if isinstance(found, tuple) else (found,)
    truth = expected if isinstance(expected, tuple) else (expected,)
    for a, b in zip(flat, truth, strict=True):
        assert type(a) in (float, int)
        assert math.isclose(a, b, rel_tol=1e-12)


@pytest.mark.parametrize("make", [waves_by_vjp, waves_by_jvp])
def test_rules_may_call_methods_of_arrays(make: Callable[[], Function]) -> None:
    np = pytest.importorskip("numpy")
    f = make()
    x = np.array([0.3, 0.7])

    for g in (grad, lambda f: jit(grad(f)), lambda f: grad(jit(f))):
        found = g(lambda x: f(x, 3).sum())(x)
        assert np.allclose(found, [grad(lambda x: waves(x))(float(v)) for v in x])


def test_a_whole_number_has_methods_too() -> None:
    f = custom_vjp(lambda x: x.sin())
    f.defvjp(lambda x: (f(x), x), lambda x, cotangent: (cotangent * x.cos(),))

    assert f(2) == math.sin(2)
    assert grad(f)(2) == math.cos(2)
    assert grad(grad(f))(2) == -math.sin(2)


def test_an_attribute_that_is_missing_is_named() -> None:
    f = custom_vjp(lambda x: x.sinus())
    f.defvjp(lambda x: (f(x), x), lambda x, cotangent: (cotangent,))

    with pytest.raises(AttributeError, match="sinus"):
        grad(f)(1.0)
