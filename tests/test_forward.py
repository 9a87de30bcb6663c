"""Forward mode: the rules of reverse mode, asked at once, and no graph."""

from __future__ import annotations

import copy
import gc
import math
import pickle
import random
import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import pytest

from prosegrad import (
    Dual,
    Value,
    dot,
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    topological_order,
    vjp,
    where,
)

from .test_value import OPERATIONS as NAMED


def moving(number: Any, speed: Any) -> Any:
    """Return a Dual that moves."""
    dual = Dual(number)
    dual.tangent = speed
    return dual


def by_reverse(f: Callable[..., Any], at: Sequence[Any], speeds: Sequence[Any]) -> Any:
    """Return the tangent of one result, from its gradient."""
    value, pull_back = vjp(f, *at)
    shares = pull_back(type(value)(1))
    return value, sum(g * s for g, s in zip(shares, speeds, strict=True))


# --- every operation, against reverse mode

RATIONAL: dict[str, Callable[[Any, Any], Any]] = {
    "x + y": lambda x, y: x + y,
    "x + 3": lambda x, y: x + 3,
    "3 + x": lambda x, y: 3 + x,
    "x - y": lambda x, y: x - y,
    "x - 3": lambda x, y: x - 3,
    "3 - x": lambda x, y: 3 - x,
    "x * y": lambda x, y: x * y,
    "x * 3": lambda x, y: x * 3,
    "3 * x": lambda x, y: 3 * x,
    "x / y": lambda x, y: x / y,
    "x / 3": lambda x, y: x / 3,
    "3 / x": lambda x, y: 3 / x,
    "x ** 3": lambda x, y: x**3,
    "x ** -2": lambda x, y: x**-2,
    "x ** 0": lambda x, y: x**0,
    "-x": lambda x, y: -x,
    "+x": lambda x, y: +x,
    "abs x": lambda x, y: abs(x),
    "max": lambda x, y: x.maximum(y),
    "max of x and 1": lambda x, y: x.maximum(1),
    "tie of max": lambda x, y: x.maximum(x * 1),
    "min": lambda x, y: x.minimum(y),
    "min of x and 1": lambda x, y: x.minimum(1),
    "tie of min": lambda x, y: x.minimum(x * 1),
    "relu": lambda x, y: x.relu(),
    "leaky_relu": lambda x, y: x.leaky_relu(Fraction(1, 4)),
    "dot": lambda x, y: dot([x, 2, y], [y, x, 3], x),
    "dot, one side plain": lambda x, y: dot([2, 3], [x, y], 1),
    "dot of a list with itself": lambda x, y: dot([x, y], [x, y], 0),
    "where": lambda x, y: where(x < y, x * y, x - y),
    "x with itself": lambda x, y: (x + x) * x / (x * x),
    "shared": lambda x, y: (x * y) * (x * y) - x * y,
    "sign": lambda x, y: x.sign() * y,
    "zeros_like": lambda x, y: x.zeros_like() + y,
    "detach": lambda x, y: x * x.detach() + y,
}
POINTS = [
    (2, 3),
    (-2, 3),
    (Fraction(2, 3), Fraction(-5, 7)),
    (Fraction(3), Fraction(3)),
]
SPEEDS = [(1, 0), (0, 1), (Fraction(3, 5), Fraction(-7, 2))]


@pytest.mark.parametrize("name", RATIONAL)
@pytest.mark.parametrize("at", POINTS, ids=str)
def test_fractions_agree_exactly(name: str, at: tuple[Any, Any]) -> None:
    """Both modes give one derivative, and the value of the plain call."""
    f = RATIONAL[name]
    point = [Fraction(number) for number in at]
    for speeds in SPEEDS:
        value, tangent = jvp(f, point, speeds)

        assert (value, tangent) == by_reverse(f, point, speeds)
        assert isinstance(tangent, (Fraction, int))


FLOATS: dict[str, Callable[[Any, Any], Any]] = {
    **RATIONAL,
    **{f"named {name}": function for name, function in NAMED.items()},
    "silu": lambda x, y: x.silu(),
    "3 ** x": lambda x, y: 3.0**x,
    "x ** 0.5": lambda x, y: x**0.5,
    "log of a sum": lambda x, y: (x.exp() + y.exp()).log(),
    "sine of a product": lambda x, y: (x * y).sin() * x.cos(),
}


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("at", [(0.3, 0.7), (0.9, 0.2), (0.5, 0.5)], ids=str)
@pytest.mark.parametrize("speeds", [(1.0, 0.0), (0.25, 3.0)], ids=str)
def test_floats_agree_to_the_last_digits(
    name: str, at: tuple[float, float], speeds: tuple[float, float]
) -> None:
    """Both modes multiply the same slopes, in another order."""
    f = FLOATS[name]
    value, tangent = jvp(f, at, speeds)
    expected_value, expected = by_reverse(f, at, speeds)

    assert value == expected_value
    assert abs(tangent - expected) <= 4 * math.ulp(expected)
    assert type(tangent) is float


@pytest.mark.parametrize("name", NAMED)
def test_one_operation_has_the_slopes_of_its_rule(name: str) -> None:
    """With one operation, a unit tangent is the gradient to the last bit."""
    f = NAMED[name]
    for at in [(0.3, 0.7), (0.9, 0.2)]:
        leaves = [Value(number) for number in at]
        f(*leaves).backward()
        tangents = [jvp(f, at, unit)[1] for unit in ((1.0, 0.0), (0.0, 1.0))]

        assert tangents == [leaf.grad for leaf in leaves]


def test_random_programs_agree_exactly() -> None:
    """Two hundred shared, nested formulas, with speeds of both signs."""
    rng = random.Random(4)
    for _ in range(200):
        steps = [
            (rng.choice("+-*m"), rng.randrange(k), rng.randrange(k))
            for k in range(2, 9)
        ]

        def formula(x: Any, y: Any, steps: Any = steps) -> Any:
            nodes = [x, y]
            for op, i, j in steps:
                a, b = nodes[i], nodes[j]
                pick = {"+": a + b, "-": a - b, "*": a * b, "m": a.maximum(b)}
                nodes.append(pick[op])
            return nodes[-1]

        at, speeds = ([Fraction(rng.randint(-9, 9), 7) for _ in "xy"] for _ in "ab")

        assert jvp(formula, at, speeds) == by_reverse(formula, at, speeds)


def test_one_operand_twice_counts_once() -> None:
    """The rule of x * x leaves both shares in one place."""
    x = moving(5.0, 1.0)

    assert (x * x).tangent == 10.0
    assert (x + x).tangent == 2.0
    assert (x - x).tangent == 0.0
    assert (x / x).tangent == 0.0
    total: Any = dot([x, x], [x, x])
    assert total.tangent == 20.0
    assert x.tangent == 1.0


def test_a_rule_that_was_asked_before_does_not_count_again() -> None:
    """A second use of an operand starts from a clean gradient."""
    x, y = moving(5.0, 1.0), moving(3.0, 2.0)
    first, second = x * y, x * y

    assert (first.tangent, second.tangent) == (13.0, 13.0)


# --- a Dual


def test_a_dual_begins_as_a_constant() -> None:
    x = Dual(2.0)

    assert (x.data, x.tangent) == (2.0, None)
    assert isinstance(x, Value)


def test_constants_have_no_tangent() -> None:
    """What comes of constants alone is a constant."""
    c = Dual(2.0)
    for result in (c + 1, 2 * c, c * c, c.sin(), -c, dot([c], [c])):
        assert type(result) is Dual
        assert result.tangent is None
    assert (moving(2.0, 1.0) * 3).tangent == 3.0
    assert (3 * moving(2.0, 1.0)).tangent == 3.0


def test_the_rule_of_a_constant_is_not_asked() -> None:
    """A rule that would raise does not, if nothing moves."""

    def rule(grad: Any) -> None:
        raise AssertionError

    still = Dual(1.0)

    assert Dual(2.0, (still,), "test", rule).tangent is None
    with pytest.raises(AssertionError):
        Dual(2.0, (still, moving(1.0, 1.0)), "test", rule)


def test_a_constant_with_an_infinite_slope_does_no_harm() -> None:
    """Zero times infinity is no number; no tangent times it is nothing."""
    x = moving(0.5, 1.0)

    assert (Dual(0.0) ** x).tangent == 0.0
    assert (0.0**x).tangent == 0.0
    assert math.isnan((moving(0.0, 0.0) ** x).tangent)
    assert moving(0.0, 1.0).sqrt().tangent == math.inf


@pytest.mark.parametrize("name", NAMED)
def test_no_graph_is_kept(name: str) -> None:
    """A result knows neither its operands nor its rule."""
    result: Any = NAMED[name](moving(0.3, 1.0), moving(0.7, 1.0))

    assert type(result) is Dual
    assert (result._parents, result._backward) == ((), None)
    assert topological_order(result) == [result]


def test_a_long_chain_needs_no_more_memory_than_a_short_one() -> None:
    """At any time, only the operands in use are alive."""

    class Watched(Dual):
        __slots__ = ()

    x = Watched(1.0)
    y: Value = x
    x.tangent = 1.0
    for _ in range(1000):
        y = y * x + 0.5
    y = y * x
    living = sum(type(o) is Watched for o in gc.get_objects())

    assert living == 2
    assert type(y) is Watched


def test_a_dual_shows_number_and_tangent() -> None:
    assert repr(Dual(2.0)) == "Dual(data=2.0, tangent=None)"
    assert repr(moving(2, 1.5)) == "Dual(data=2, tangent=1.5)"


def test_there_is_no_way_back() -> None:
    x = moving(2.0, 1.0)
    message = "backward: a Dual keeps no graph; its derivative is in its tangent"
    for dual in (x, x * x, Dual(1.0)):
        with pytest.raises(TypeError, match=f"^{message}$"):
            dual.backward()
    with pytest.raises(TypeError, match=message):
        x.backward(2.0)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_dual_is_not_copied(duplicate: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match=r"^a Dual cannot be copied or pickled$"):
        duplicate(moving(2.0, 1.0))


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(TypeError, match="Value holds a number"):
        Dual("2")


def test_a_dual_has_places_for_its_attributes_only() -> None:
    with pytest.raises(AttributeError):
        Dual(2.0).tangents = 1.0  # type: ignore[attr-defined]


def test_comparison_and_control_flow_go_by_the_number() -> None:
    def f(x: Any) -> Any:
        return x * x if x > 1 else -x

    assert jvp(f, (3.0,), (1.0,)) == (9.0, 6.0)
    assert jvp(f, (0.5,), (1.0,)) == (-0.5, -1.0)


# --- jvp


def test_jvp_takes_and_returns_trees() -> None:
    """The tangent has the structure of the result."""

    class Point(NamedTuple):
        x: Any
        y: Any

    def f(scale: Any, parts: Any) -> Any:
        point = Point(parts["a"][0] * scale, parts["a"][1])
        return {"point": point, "list": [scale * scale]}

    value, tangent = jvp(f, (2, {"a": (3, 5)}), (1, {"a": (10, 100)}))

    assert value == {"point": Point(6, 5), "list": [4]}
    assert tangent == {"point": Point(23, 100), "list": [4]}
    assert type(tangent["point"]) is Point


def test_results_are_plain_numbers() -> None:
    """No Dual of the call is left in what it returns."""
    value, tangent, aux = jvp(
        lambda x: ([x, x * x, 5], {"seen": x, "name": "text", "n": 3}),
        (2.0,),
        (1.0,),
        has_aux=True,
    )

    assert [type(number) for number in value] == [float, float, int]
    assert (value, tangent) == ([2.0, 4.0, 5], [1.0, 4.0, 0])
    assert aux == {"seen": 2.0, "name": "text", "n": 3}
    assert type(aux["seen"]) is float


@pytest.mark.parametrize("constant", [7, 7.0, Fraction(7), 7 + 0j], ids=repr)
def test_a_constant_result_has_a_zero_of_its_kind(constant: Any) -> None:
    plain = jvp(lambda x: constant, (2.0,), (1.0,))
    still = jvp(lambda x: x.detach(), (constant,), (1.0,))

    for value, tangent in (plain, still):
        assert (value, tangent) == (constant, 0)
        assert type(value) is type(tangent) is type(constant)


def test_arrays_have_arrays_for_tangents() -> None:
    np = pytest.importorskip("numpy")
    x = np.array([0.5, 2.0, 3.0])

    def f(x: Any) -> Any:
        return [x * x.sin(), x.maximum(2.0), where(x.data > 1, x, 3 * x), x.detach()]

    values, tangents = jvp(f, (x,), (np.array([1.0, 10.0, 100.0]),))
    expected = [
        (np.sin(x) + x * np.cos(x)) * [1, 10, 100],
        [0.0, 5.0, 100.0],
        [3.0, 10.0, 100.0],
        [0.0, 0.0, 0.0],
    ]

    for tangent, numbers in zip(tangents, expected, strict=True):
        assert tangent.tolist() == pytest.approx(list(numbers), rel=1e-15)
    assert values[1].tolist() == [2.0, 2.0, 3.0]


def test_a_pair_is_needed_for_aux() -> None:
    with pytest.raises(ValueError, match="unpack"):
        jvp(lambda x: (x, x, x), (2.0,), (1.0,), has_aux=True)
    assert jvp(lambda x: (x, None), (2.0,), (3.0,), has_aux=True) == (2.0, 3.0, None)


ERRORS: list[tuple[Any, Any, type[Exception], str]] = [
    ((1.0,), (1.0, 2.0), ValueError, "the tangent should be like (*,), and is like "),
    (([1.0],), ((1.0,),), ValueError, "like ([*],), and is like ((*,),)"),
    (({"a": 1.0},), ({"b": 1.0},), ValueError, "like ({'a': *},), and is like "),
    (("1",), (1.0,), TypeError, "primals[0] is '1' of type str, not a number"),
    ((1.0,), (None,), TypeError, "tangents[0] is None of type NoneType, not a "),
    (([1.0],), (["1"],), TypeError, "tangents[0][0] is '1' of type str"),
]


@pytest.mark.parametrize(("primals", "tangents", "error", "message"), ERRORS)
def test_errors_name_the_argument(
    primals: Any, tangents: Any, error: type[Exception], message: str
) -> None:
    """The function is not called, and the message says what was wrong."""

    def f(*_: Any) -> Any:
        raise AssertionError("the function was called")

    with pytest.raises(error, match="^jvp: .*" + re.escape(message)):
        jvp(f, primals, tangents)


def test_a_result_that_is_no_number_is_named() -> None:
    with pytest.raises(TypeError, match=r"^jvp: result\['a'\] is 'text' of type str"):
        jvp(lambda x: {"a": "text"}, (1.0,), (1.0,))


def test_primals_and_tangents_may_be_lists_or_tuples() -> None:
    assert jvp(lambda x, y: x * y, [2, 3], (1, 0)) == (6, 3)
    assert jvp(lambda x, y: x * y, (2, 3), [0, 1]) == (6, 2)


def test_jacobian_by_columns_is_the_jacobian_by_rows() -> None:
    def f(x: Any) -> Any:
        return [x[0] * x[1], x[1] / x[2], x[0] - x[2] ** 3]

    x = [Fraction(2), Fraction(3, 4), Fraction(-5)]
    columns = [jvp(f, (x,), ([int(i == j) for j in range(3)],))[1] for i in range(3)]

    assert [list(row) for row in zip(*columns, strict=True)] == jacobian(f)(x)


def test_a_complex_number_moves_too() -> None:
    assert jvp(lambda z: z * z, (1 + 2j,), (1j,)) == ((1 + 2j) ** 2, 2j * (1 + 2j))


# --- one inside another


def test_a_box_that_the_function_makes_is_opened() -> None:
    assert jvp(lambda x: Value(x) * x, (3,), (1,))[1] == 6


@pytest.mark.parametrize("value_first", [True, False])
def test_a_value_is_a_constant_beside_a_dual(value_first: bool) -> None:
    """Both made by hand; the order does not matter."""
    x, c = moving(Fraction(3), 1), Value(Fraction(2))
    product = c * x if value_first else x * c

    assert (product.data, product.tangent) == (6, 2)
    assert c.grad == 0


def test_a_dual_in_a_dual_has_a_second_derivative() -> None:
    inner = moving(Fraction(2), 1)
    outer = moving(inner, 1)
    cube = outer**3

    assert type(outer) is Dual.at_level(2)
    assert (cube.data.data, cube.data.tangent) == (8, 12)
    assert (cube.tangent.data, cube.tangent.tangent) == (12, 12)


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda x: x**4, (16, 32, 48, 48)),
        (lambda x: x * x, (4, 4, 2, 0)),
        (
            lambda x: 1 / x,
            (Fraction(1, 2), Fraction(-1, 4), Fraction(1, 4), -Fraction(3, 8)),
        ),
    ],
)
def test_jvp_of_jvp(f: Callable[[Any], Any], expected: tuple[Any, ...]) -> None:
    """The tangent of a tangent is the next derivative."""

    def derivative(g: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda x: jvp(g, (x,), (1,))[1]

    found = []
    for _ in expected:
        found.append(f(Fraction(2)))
        f = derivative(f)

    assert tuple(found) == expected


def test_levels_keep_derivatives_apart() -> None:
    """The inner derivative takes the outer variable for a constant."""

    def inner(x: Any) -> Any:
        return jvp(lambda y: x * y, (1.0,), (1.0,))[1]

    assert jvp(lambda x: x * inner(x), (4.0,), (1.0,)) == (16.0, 8.0)
    assert jvp(lambda x: x * grad(lambda y: x * y)(1.0), (4.0,), (1.0,)) == (16.0, 8.0)
    assert grad(lambda x: x * inner(x))(4.0) == 8.0


def test_a_speed_may_be_of_another_derivative() -> None:
    """The tangent is linear in the speeds, and can be differentiated by them."""
    slope = grad(lambda s: jvp(lambda x: x**3, (2,), (s,))[1])

    assert slope(5.0) == 12.0


def test_an_outer_variable_is_a_constant_inside() -> None:
    """The inner derivative of what moves outside only is zero."""

    def inner(x: Any) -> Any:
        return jvp(lambda y: x, (1.0,), (1.0,))

    assert jvp(inner, (4.0,), (1.0,)) == ((4.0, 0.0), (1.0, 0.0))


def test_the_level_is_above_that_of_arguments_and_speeds() -> None:
    """Values of any level, nested by hand, may be primals or tangents."""
    high = Value.at_level(40)(3.0)
    for value, tangent in (
        jvp(lambda x: x * x, (high,), (1.0,)),
        jvp(lambda x: x * high, (3.0,), (2.0 * high / high.data,)),
    ):
        assert type(value) is type(tangent) is type(high)
        assert (value.data, tangent.data) == (9.0, 6.0)


def test_all_four_orders_of_two_modes_agree() -> None:
    def f(x: Any) -> Any:
        return x**5 / (1 + x * x)

    def forward(g: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda x: jvp(g, (x,), (1,))[1]

    x = Fraction(2, 3)
    found = {
        outer(inner(f))(x) for outer in (forward, grad) for inner in (forward, grad)
    }

    assert len(found) == 1


# --- the Hessian times a vector


def cubic(x: Any) -> Any:
    return x[0] ** 3 * x[1] + x[1] * x[2] * x[2] / (1 + x[0] * x[0])


def test_a_value_of_a_dual() -> None:
    """The gradient of the box knows how fast it moves."""
    box = Value(moving(Fraction(2), 3))
    (box**3).backward()

    assert (box.grad.data, box.grad.tangent) == (12, 36)


def test_hvp_is_the_hessian_times_the_vector() -> None:
    x = [Fraction(1, 2), Fraction(-3), Fraction(2, 5)]
    rows = hessian(cubic)(x)
    for v in ([1, 0, 0], [0, 1, 0], [Fraction(2, 3), -1, Fraction(7, 4)]):
        expected = [sum(h * s for h, s in zip(row, v, strict=True)) for row in rows]

        assert hvp(cubic, (x,), (v,)) == expected


def test_hvp_of_several_arguments_is_a_tuple() -> None:
    """Mixed derivatives count: the Hessian goes over all arguments."""

    def f(x: Any, pair: Any) -> Any:
        return x * x * pair["a"] + pair["b"] ** 3 * x

    found = hvp(f, (2, {"a": 3, "b": 5}), (1, {"a": 10, "b": 100}))

    assert found == (2 * 3 + 4 * 10 + 75 * 100, {"a": 4, "b": 75 + 60 * 100})


def test_hvp_of_one_argument_is_like_it() -> None:
    assert hvp(lambda x: x**3, (2,), (5,)) == 60
    assert hvp(lambda x: x["a"] ** 3, ({"a": 2},), ({"a": 1},)) == {"a": 12}
    assert hvp(lambda x, y: x * y, (2, 3), (1, 0)) == (0, 1)


def test_hvp_is_zero_where_nothing_bends() -> None:
    assert hvp(lambda x: 3.0 * x, (2.0,), (1.0,)) == 0.0
    assert hvp(lambda x, y: 3.0 * x, (2.0, 1.0), (1.0, 1.0)) == (0.0, 0.0)


def test_hvp_of_functions_that_are_not_rational() -> None:
    def f(x: Any) -> Any:
        return (x[0] * x[1]).sin() * x[0].exp() + x[1].tanh() * x[0].relu()

    x, v = [0.3, 0.7], [2.0, -1.0]
    rows = hessian(f)(x)
    expected = [sum(h * s for h, s in zip(row, v, strict=True)) for row in rows]

    assert hvp(f, (x,), (v,)) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("f", [lambda x: [x, x], lambda x: x * 1j])
def test_hvp_asks_for_one_real_number(f: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match=r"^grad: the function should return one real"):
        hvp(f, (2.0,), (1.0,))


def test_hvp_asks_for_a_vector_like_the_arguments() -> None:
    with pytest.raises(ValueError, match=r"^jvp: the tangent should be like"):
        hvp(lambda x, y: x * y, (2.0, 3.0), (1.0,))
