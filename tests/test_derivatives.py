"""Derivatives as functions: what each returns, of what shape, and how often it asks."""

from __future__ import annotations

import math
from collections import namedtuple
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given

from prosegrad import Value, grad, hessian, jacobian, value_and_grad, vjp
from prosegrad.derivatives import (
    Graph,
    lower,
    numbers_of,
    require_same,
    unboxed,
)
from prosegrad.trees import LEAF, flatten
from prosegrad.value import namespace

from .trust.exact import RATIONAL_PROGRAMS
from .trust.laws import ENGINE
from .trust.strategies import Program

Point = namedtuple("Point", "x y")
HALF, THIRD = Fraction(1, 2), Fraction(1, 3)


def bend(x: Any, y: Any) -> Any:
    """A function whose derivatives are easily written down."""
    return x * x * y + 3 * y


def rectangle(a: Any, b: Any) -> Any:
    return [a * b, {"edge": 2 * (a + b)}]


def counting(f: Callable[..., Any]) -> tuple[Callable[..., Any], list[int]]:
    """Return `f`, and a list that gets a member with every call."""
    calls: list[int] = []

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return f(*args, **kwargs)

    return counted, calls


def typed(tree: Any) -> Any:
    """Return the numbers of a tree with their types, and its structure."""
    leaves, structure = flatten(tree)
    return [(type(leaf), leaf) for leaf in leaves], structure


# --- grad and value_and_grad

FLOATS: dict[str, tuple[Callable[..., Any], tuple[float, ...]]] = {
    "+": (lambda x, y: x + y, (0.3, 0.7)),
    "-": (lambda x, y: 3 - x - y, (0.3, 0.7)),
    "*": (lambda x, y: x * y * x, (0.3, 0.7)),
    "/": (lambda x, y: x / y / 7, (0.3, 0.7)),
    "**": (lambda x, y: x**y + x**3 + 2.0**y, (0.3, 0.7)),
    "neg": (lambda x: -x * x, (0.3,)),
    "abs": (lambda x: abs(x) * 3, (-0.3,)),
    "max": (lambda x, y: x.maximum(y) * 3, (0.3, 0.7)),
    "tanh": (lambda x, y: (x * y).tanh() / (x - y) + y * x.exp(), (0.3, 0.7)),
    "many": (lambda x: sum((x.sin() * i).cos() for i in range(20)), (0.3,)),
}


@pytest.mark.parametrize("name", FLOATS)
def test_the_bits_are_those_of_backward(name: str) -> None:
    """Value and gradient are what `backward` leaves, to the last bit."""
    function, numbers = FLOATS[name]
    leaves = [Value(number) for number in numbers]
    result = function(*leaves)
    result.backward()
    argnums = tuple(range(len(numbers)))

    assert value_and_grad(function, argnums)(*numbers) == (
        result.data,
        tuple(leaf.grad for leaf in leaves),
    )


@given(RATIONAL_PROGRAMS)
def test_fractions_stay_exact(program: Program) -> None:
    """For any rational program, the gradient is that of `backward`."""

    def run(*inputs: Any) -> Any:
        return program.run(inputs, ENGINE)[-1]

    leaves = [Value(number) for number in program.inputs]
    run(*leaves).backward()
    found = grad(run, tuple(range(len(leaves))))(*program.inputs)

    assert found == tuple(leaf.grad for leaf in leaves)


def test_a_third_derivative_is_exact() -> None:
    third = grad(grad(grad(lambda x: 1 / (1 + x * x))))

    assert typed(third(HALF)) == typed(Fraction(2304, 625))


def test_a_float_gives_floats_and_a_fraction_fractions() -> None:
    """The gradient is of the kind of the argument."""
    assert typed(grad(bend)(2.0, 3.0)) == typed(12.0)
    assert typed(grad(bend)(HALF, THIRD)) == typed(THIRD)
    assert typed(grad(bend)(2, 3)) == typed(12)
    assert typed(value_and_grad(bend)(2.0, 3.0)) == typed((21.0, 12.0))


@pytest.mark.parametrize(
    ("argnums", "expected"),
    [
        (0, 12.0),
        (1, 7.0),
        (-1, 7.0),
        (-2, 12.0),
        ((0,), (12.0,)),
        ((0, 1), (12.0, 7.0)),
        ([1, 0], (7.0, 12.0)),
        ((-1, 0), (7.0, 12.0)),
        ((0, -2), (12.0, 12.0)),
        ((), ()),
    ],
)
def test_argnums_choose_the_arguments(argnums: Any, expected: Any) -> None:
    """An int gives one gradient, a sequence a tuple in its order."""
    assert grad(bend, argnums)(2.0, 3.0) == expected
    assert value_and_grad(bend, argnums)(2.0, 3.0) == (21.0, expected)
    assert typed(grad(bend, argnums)(2.0, 3.0)) == typed(expected)


def test_argnums_may_be_given_by_name() -> None:
    assert grad(bend, argnums=1)(2.0, 3.0) == 7.0
    assert value_and_grad(bend, argnums=1)(2.0, 3.0) == (21.0, 7.0)
    assert jacobian(bend, argnums=1)(2.0, 3.0) == 7.0
    assert hessian(bend, argnums=0)(2.0, 3.0) == 6.0


def test_other_arguments_are_handed_over_untouched() -> None:
    """They need not be numbers, and they are the caller's objects."""
    seen: list[Any] = []

    def f(first: Any, x: Any, *rest: Any, **named: Any) -> Any:
        seen.extend([first, rest, named])
        return x * x

    thing = object()

    assert grad(f, 1)(thing, 3.0, "a", [], key=thing) == 6.0
    assert seen == [thing, ("a", []), {"key": thing}]


@pytest.mark.parametrize("transform", [grad, value_and_grad, jacobian, hessian])
@pytest.mark.parametrize(
    ("argnums", "args", "count"),
    [(0, (), 0), (2, (1.0, 2.0), 2), (-3, (1.0, 2.0), 2), ((0, 5), (1.0,), 1)],
)
def test_argnums_out_of_range(
    transform: Any, argnums: Any, args: Any, count: int
) -> None:
    """The error names the wish and the number of arguments."""
    function, calls = counting(bend)
    who = "jacobian" if transform in (jacobian, hessian) else "grad"

    with pytest.raises(ValueError, match="argnums") as error:
        transform(function, argnums)(*args)
    assert str(error.value) == (
        f"{who}: argnums={argnums}, but the function was called with "
        f"{count} positional arguments"
    )
    assert calls == []


def test_keywords_are_passed_through() -> None:
    def f(x: Any, *, power: int, scale: float = 1.0) -> Any:
        return scale * x**power

    assert grad(f)(2.0, power=3) == 12.0
    assert value_and_grad(f)(2.0, power=3, scale=10.0) == (80.0, 120.0)
    assert jacobian(f)(2.0, power=3, scale=10.0) == 120.0
    assert hessian(f)(2.0, power=3, scale=10.0) == 120.0


@pytest.mark.parametrize("transform", [grad, value_and_grad, jacobian, hessian])
def test_the_function_is_called_once(transform: Any) -> None:
    """However many numbers there are, `f` is asked once."""
    function, calls = counting(lambda xs: sum(x * x for x in xs))
    transform(function)([1.0, 2.0, 3.0])

    assert len(calls) == 1


def test_nothing_is_called_before_the_numbers_are_there() -> None:
    function, calls = counting(bend)
    for transform in (grad, value_and_grad, jacobian, hessian):
        transform(function)

    assert calls == []


def test_the_derivative_keeps_name_and_words() -> None:
    for transform in (grad, value_and_grad, jacobian, hessian):
        assert transform(bend).__name__ == "bend"
        assert transform(bend).__doc__ == bend.__doc__


def test_calls_do_not_add_up() -> None:
    slope = grad(bend)

    assert [slope(2.0, 3.0), slope(2.0, 3.0), slope(1.0, 3.0)] == [12.0, 12.0, 6.0]


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ([2.0, 3.0], [12.0, 7.0]),
        ((2.0, 3.0), (12.0, 7.0)),
        (Point(2.0, 3.0), Point(12.0, 7.0)),
        ({"x": 2.0, "y": 3.0}, {"x": 12.0, "y": 7.0}),
        ([[2.0], ({"y": 3.0}, [])], [[12.0], ({"y": 7.0}, [])]),
    ],
)
def test_the_gradient_is_a_tree_like_the_argument(argument: Any, expected: Any) -> None:
    """Each container comes back, with gradients in it."""

    def f(tree: Any) -> Any:
        return bend(*flatten(tree)[0])

    assert typed(grad(f)(argument)) == typed(expected)
    assert typed(vjp(f, argument)[1](1.0)) == typed((expected,))


def test_the_argument_is_not_changed() -> None:
    """`f` gets containers of its own, and may do with them what it likes."""

    def running(xs: Any) -> Any:
        for i in range(1, len(xs)):
            xs[i] = xs[i - 1] * xs[i]
        return xs.pop()

    given = [2.0, 3.0, 5.0]

    assert grad(running)(given) == [15.0, 10.0, 6.0]
    assert given == [2.0, 3.0, 5.0]


@pytest.mark.parametrize(
    "f", [lambda x, y: 7.0, lambda x, y: y * y, lambda x, y: Value(7.0) * y]
)
def test_what_does_not_depend_has_the_slope_zero(f: Any) -> None:
    assert typed(grad(f)(2.0, 3.0)) == typed(0.0)
    assert grad(f)(HALF, THIRD) == 0


def test_the_argument_as_the_result() -> None:
    assert value_and_grad(lambda x: x)(3.0) == (3.0, 1.0)
    assert typed(grad(lambda x: x)(HALF)) == typed(Fraction(1))
    assert jacobian(lambda x: [x, x])(3.0) == [1.0, 1.0]
    assert typed(jacobian(lambda x: [x])(HALF)) == typed([Fraction(1)])


def test_has_aux_hands_the_second_member_through() -> None:
    """In plain numbers, in its own containers; what is no number stays."""
    thing = object()

    def f(x: Any) -> Any:
        return x * x, {"double": 2 * x, "rest": (thing, "a", None, 7)}

    aux = {"double": 6.0, "rest": (thing, "a", None, 7)}

    assert grad(f, has_aux=True)(3.0) == (6.0, aux)
    assert value_and_grad(f, has_aux=True)(3.0) == ((9.0, aux), 6.0)
    value, pull_back, found = vjp(f, 3.0, has_aux=True)
    assert (value, found, pull_back(1.0)) == (9.0, aux, (6.0,))
    assert type(found["double"]) is float


def test_has_aux_and_argnums() -> None:
    def f(x: Any, y: Any) -> Any:
        return bend(x, y), x

    assert grad(f, (0, 1), True)(2.0, 3.0) == ((12.0, 7.0), 2.0)
    assert value_and_grad(f, 1, True)(2.0, 3.0) == ((21.0, 2.0), 7.0)


@pytest.mark.parametrize("z", [1 + 2j, -0.5 + 0j, 3j])
def test_a_complex_derivative(z: complex) -> None:
    """With holomorphic=True the derivative is f'(z), without conjugation."""

    def f(z: Any) -> Any:
        return z * z * z + 2 / z

    expected = 3 * z * z - 2 / (z * z)
    value, slope = value_and_grad(f, holomorphic=True)(z)
    found = grad(f, holomorphic=True)(z)

    assert value == f(z)
    assert abs(found - expected) <= 1e-15 * abs(expected)
    assert slope == found
    assert vjp(f, z)[1](1) == (found,)
    assert abs(jacobian(f)(z) - expected) <= 1e-15 * abs(expected)


def test_holomorphic_allows_what_is_real() -> None:
    assert grad(bend, holomorphic=True)(2.0, 3.0) == 12.0


NOT_ONE: list[tuple[Any, str]] = [
    (lambda x: [x, 2 * x], "[3.0, 6.0]; use jacobian or vjp for more"),
    (lambda x: (x,), "(3.0,); use jacobian or vjp for more"),
    (lambda x: [], "[]; use jacobian or vjp for more"),
    (lambda x: x < 5, "True; a truth value has no slope"),
    (
        lambda x: x * 1j,
        "3j; for a complex derivative say holomorphic=True",
    ),
]


@pytest.mark.parametrize(("f", "end"), NOT_ONE)
def test_a_gradient_is_of_one_real_number(f: Any, end: str) -> None:
    """What else is returned is named, with the way out."""
    for transform in (grad, value_and_grad):
        with pytest.raises(TypeError) as error:
            transform(f)(3.0)
        assert str(error.value) == (
            f"grad: the function should return one real number, and returned {end}"
        )


@pytest.mark.parametrize(("f", "end"), NOT_ONE[:4])
def test_holomorphic_does_not_allow_more(f: Any, end: str) -> None:
    with pytest.raises(TypeError, match="one real number"):
        grad(f, holomorphic=True)(3.0)


def test_an_array_is_not_one_number() -> None:
    np = pytest.importorskip("numpy")

    with pytest.raises(TypeError, match=r"returned array\(.*; use jacobian or vjp"):
        grad(lambda x: x * np.array([1.0, 2.0]))(3.0)
    assert grad(lambda x: x * x)(np.float64(3.0)) == 6.0


def test_a_nested_complex_result_is_seen() -> None:
    """A captured Value may hold it, and a derivative around it."""
    w = Value(1j)
    with pytest.raises(TypeError, match="say holomorphic=True"):
        grad(lambda x: x * w)(3.0)
    with pytest.raises(TypeError, match="say holomorphic=True"):
        grad(grad(lambda x: x * x))(1j)


@pytest.mark.parametrize(
    ("args", "argnums", "text"),
    [
        (("a",), 0, "argument[0] is 'a' of type str"),
        ((2.0, None), 1, "argument[1] is None of type NoneType"),
        ((2.0, [0.0, {"k": "a"}]), -1, "argument[1][1]['k'] is 'a' of type str"),
        (([0.0], {"k": set()}), (1, 0), "argument[1]['k'] is set() of type set"),
    ],
)
def test_an_argument_that_is_no_number(args: Any, argnums: Any, text: str) -> None:
    """The error says which, by its position and the way through it."""
    function, calls = counting(bend)
    for name, transform in (("grad", grad), ("jacobian", jacobian)):
        with pytest.raises(TypeError) as error:
            transform(function, argnums)(*args)
        assert str(error.value) == f"{name}: {text}, not a number"
    assert calls == []


def test_a_result_that_is_no_number() -> None:
    def f(x: Any) -> Any:
        return {"a": [x, None]}

    for name, call in (
        ("grad", lambda: grad(f)(1.0)),
        ("jacobian", lambda: jacobian(f)(1.0)),
        ("vjp", lambda: vjp(f, 1.0)),
    ):
        with pytest.raises(TypeError) as error:
            call()
        assert str(error.value) == (
            f"{name}: result['a'][1] is None of type NoneType, not a number"
        )


def test_an_error_of_the_function_passes() -> None:
    """It is the caller's, and the next call finds everything in order."""

    def f(x: Any) -> Any:
        if x < 0:
            raise KeyError("mine")
        return x * x

    with pytest.raises(KeyError, match="mine"):
        grad(f)(-1.0)
    assert grad(f)(3.0) == 6.0


# --- what runs is what is differentiated


@pytest.mark.parametrize(
    ("x", "expected"), [(3.0, 8 * 3.0**7), (10.0, 20.0), (100.0, 1.0)]
)
def test_branches_and_loops(x: float, expected: float) -> None:
    def squared_up(x: Any) -> Any:
        while x < 100:
            x = x * x
        return x

    assert grad(squared_up)(x) == expected


def test_a_captured_value_is_a_constant_that_is_remembered() -> None:
    """The gradient is a function of it, and its own grad is not touched."""
    w = Value(3.0)
    value, slope = value_and_grad(lambda x: w * x * x)(5.0)

    assert (type(value), type(slope)) == (Value, Value)
    assert (value.data, slope.data, w.grad) == (75.0, 30.0, 0.0)
    slope.backward()
    assert w.grad == 10.0


def test_the_argument_may_be_a_value() -> None:
    x = Value(3.0)
    slope = grad(lambda x: x * x * x)(x)

    assert (slope.data, x.grad) == (27.0, 0.0)
    slope.backward()
    assert x.grad == 18.0


@pytest.mark.parametrize("boxes", [1, 2])
def test_boxes_that_the_function_makes(boxes: int) -> None:
    """What it puts into boxes of its own is found inside."""

    def f(x: Any) -> Any:
        boxed = x
        for _ in range(boxes):
            boxed = Value(boxed)
        return boxed * x

    assert value_and_grad(f)(5.0) == (25.0, 10.0)
    assert type(value_and_grad(f)(5.0)[0]) is float
    assert grad(grad(f))(5.0) == 2.0
    assert grad(lambda x: (x * x, [f(x)]), has_aux=True)(5.0) == (10.0, [25.0])


def test_a_function_of_both_kinds_of_number() -> None:
    """The namespace of a number serves floats and Values alike."""

    def f(x: Any) -> Any:
        return namespace(x).sin(x)

    assert f(0.3) == math.sin(0.3)
    assert grad(f)(0.3) == math.cos(0.3)


# --- vjp


def test_vjp_returns_the_value_and_pulls_back() -> None:
    value, pull_back = vjp(rectangle, 3.0, 5.0)

    assert typed(value) == typed([15.0, {"edge": 16.0}])
    assert typed(pull_back([10.0, {"edge": 1.0}])) == typed((52.0, 32.0))


def test_pulling_back_twice_gives_the_same_again() -> None:
    function, calls = counting(rectangle)
    _, pull_back = vjp(function, 3.0, 5.0)

    assert pull_back([10.0, {"edge": 1.0}]) == (52.0, 32.0)
    assert pull_back([0.0, {"edge": 1.0}]) == (2.0, 2.0)
    assert pull_back([10.0, {"edge": 1.0}]) == (52.0, 32.0)
    assert len(calls) == 1


def test_two_graphs_do_not_meet() -> None:
    _, first = vjp(rectangle, 3.0, 5.0)
    _, second = vjp(rectangle, 30.0, 50.0)
    one = [1.0, {"edge": 0.0}]

    assert [first(one), second(one), first(one)] == [
        (5.0, 3.0),
        (50.0, 30.0),
        (5.0, 3.0),
    ]


def test_a_graph_does_not_see_later_changes() -> None:
    given = [3.0, 5.0]
    _, pull_back = vjp(lambda v: v[0] * v[1], given)
    given[0] = 100.0

    assert pull_back(1.0) == ([5.0, 3.0],)


def test_cotangents_add_up_where_results_are_one_node() -> None:
    _, pull_back = vjp(lambda x: [x, x, x * x, 7.0], 3.0)

    assert pull_back([10.0, 1.0, 0.5, 100.0]) == (14.0,)


def test_a_result_behind_another_result() -> None:
    """The first has its cotangent before its own rule runs."""

    def f(x: Any) -> Any:
        y = x * x
        return [y, y * y]

    assert vjp(f, 3.0)[1]([1.0, 1.0]) == (6.0 + 108.0,)
    assert jacobian(f)(3.0) == [6.0, 108.0]


def test_a_cotangent_may_be_differentiated_by() -> None:
    """Pulling back is linear, so its derivative is the Jacobian."""
    _, pull_back = vjp(lambda x: x * x, 3.0)

    assert grad(lambda c: pull_back(c)[0])(10.0) == 6.0


def test_a_vjp_in_a_derivative() -> None:
    def slope(x: Any) -> Any:
        return vjp(lambda x: x * x * x, x)[1](1.0)[0]

    assert (slope(2.0), grad(slope)(2.0)) == (12.0, 12.0)


def test_vjp_without_arguments() -> None:
    value, pull_back = vjp(lambda: 3.0)

    assert (value, pull_back(1.0)) == (3.0, ())


@pytest.mark.parametrize(
    ("cotangent", "found"),
    [
        ((1.0, {"edge": 1.0}), "(*, {'edge': *})"),
        ([1.0], "[*]"),
        (1.0, "*"),
        ([1.0, {"rim": 1.0}], "[*, {'rim': *}]"),
    ],
)
def test_a_cotangent_of_another_structure(cotangent: Any, found: str) -> None:
    _, pull_back = vjp(rectangle, 3.0, 5.0)

    with pytest.raises(ValueError, match="like") as error:
        pull_back(cotangent)
    assert str(error.value) == (
        "vjp: the cotangent should be like [*, {'edge': *}], and is like " + found
    )


def test_a_cotangent_that_is_no_number() -> None:
    _, pull_back = vjp(rectangle, 3.0, 5.0)

    with pytest.raises(TypeError) as error:
        pull_back([1.0, {"edge": None}])
    assert str(error.value) == (
        "vjp: cotangent[1]['edge'] is None of type NoneType, not a number"
    )


# --- jacobian and hessian


@pytest.mark.parametrize(
    ("argnums", "expected"),
    [
        (0, [5.0, {"edge": 2.0}]),
        (-1, [3.0, {"edge": 2.0}]),
        ((0, 1), [(5.0, 3.0), {"edge": (2.0, 2.0)}]),
        ([1], [(3.0,), {"edge": (2.0,)}]),
    ],
)
def test_a_jacobian_has_gradients_in_place_of_numbers(
    argnums: Any, expected: Any
) -> None:
    """A tree like the result, and in it trees like the arguments."""
    assert typed(jacobian(rectangle, argnums)(3.0, 5.0)) == typed(expected)


def test_a_jacobian_of_trees() -> None:
    def f(v: Any) -> Any:
        return Point(v["a"] * v["b"][0], 7.0)

    assert jacobian(f)({"a": 2.0, "b": [3.0]}) == Point(
        {"a": 3.0, "b": [2.0]}, {"a": 0.0, "b": [0.0]}
    )


def test_a_jacobian_of_one_number_is_its_gradient() -> None:
    assert jacobian(bend, (0, 1))(2.0, 3.0) == grad(bend, (0, 1))(2.0, 3.0)
    assert jacobian(lambda xs: [])([1.0]) == []


def test_a_jacobian_of_fractions_is_exact() -> None:
    def f(x: Any, y: Any) -> Any:
        return [x / y, x * x]

    assert typed(jacobian(f, (0, 1))(HALF, THIRD)) == typed(
        [(Fraction(3), Fraction(-9, 2)), (Fraction(1), 0)]
    )


def test_a_jacobian_walks_once_for_each_result() -> None:
    walks: list[int] = []

    def counted(v: Any) -> Any:
        def _backward(gradient: Any) -> None:
            walks.append(1)
            v.grad += gradient

        return type(v)(v.data, (v,), "counted", _backward)

    jacobian(lambda x: [counted(x) * i for i in range(1, 6)])(2.0)
    assert len(walks) == 5
    walks.clear()
    jacobian(lambda xs: counted(sum(xs)))([1.0] * 5)
    assert len(walks) == 1


HESSIANS: dict[str, tuple[Any, Any]] = {
    "product": (
        lambda x, y, z: x * y * z,
        lambda x, y, z: [[0, z, y], [z, 0, x], [y, x, 0]],
    ),
    "cubes": (
        lambda x, y, z: x**3 + y**3 * z,
        lambda x, y, z: [
            [6 * x, 0, 0],
            [0, 6 * y * z, 3 * y * y],
            [0, 3 * y * y, 0],
        ],
    ),
    "quotient": (
        lambda x, y, z: x / y + z * z,
        lambda x, y, z: [
            [0, -1 / y**2, 0],
            [-1 / y**2, 2 * x / y**3, 0],
            [0, 0, 2],
        ],
    ),
    "linear": (lambda x, y, z: 3 * x - y, lambda x, y, z: [[0] * 3] * 3),
}


@pytest.mark.parametrize("name", HESSIANS)
def test_a_hessian_is_that_by_hand(name: str) -> None:
    """Exactly, with fractions, and so it is symmetric."""
    f, by_hand = HESSIANS[name]
    at = [HALF, THIRD, Fraction(-5, 7)]
    found = hessian(lambda v: f(*v))(at)

    assert found == by_hand(*at)
    assert found == [list(column) for column in zip(*found)]


@pytest.mark.parametrize(
    ("argnums", "expected"),
    [
        (0, 6.0),
        (-1, 0.0),
        ((0, 1), ((6.0, 4.0), (4.0, 0.0))),
        ([1, 0], ((0.0, 4.0), (4.0, 6.0))),
    ],
)
def test_a_hessian_by_argnums(argnums: Any, expected: Any) -> None:
    assert typed(hessian(bend, argnums)(2.0, 3.0)) == typed(expected)


def test_a_hessian_of_trees() -> None:
    found = hessian(lambda v: v["a"] * v["a"] * v["b"])({"a": 2.0, "b": 3.0})

    assert found == {"a": {"a": 6.0, "b": 4.0}, "b": {"a": 4.0, "b": 0.0}}


def test_a_hessian_is_of_one_number() -> None:
    with pytest.raises(TypeError, match=r"^grad: .* returned \[.*use jacobian or vjp"):
        hessian(lambda x: [x])(3.0)


# --- the parts


def test_numbers_of_returns_what_flatten_does() -> None:
    assert numbers_of("me", "it", [1, (2.0,)]) == flatten([1, (2.0,)])
    assert numbers_of("me", "it", 3j) == ([3j], LEAF)


def test_require_same_is_silent_or_names_both() -> None:
    one, two = flatten([1])[1], flatten([1, 2])[1]
    require_same("me", "it", one, flatten([3.0])[1])

    with pytest.raises(ValueError, match="like") as error:
        require_same("me", "it", one, two)
    assert str(error.value) == "me: the it should be like [*, *], and is like [*]"


def test_lower_opens_the_boxes_of_a_level() -> None:
    """Those above too; those below are the caller's, and stay."""
    kind = Value.at_level(10)
    ours, theirs = kind(2.0), Value(3.0)
    found = lower(kind, {"a": [ours, Value(Value(ours))], "b": (theirs, "c")})

    assert found == {"a": [2.0, 2.0], "b": (theirs, "c")}
    assert found["b"][0] is theirs
    assert type(found["a"][1]) is float


def test_unboxed_stops_at_the_level() -> None:
    kind = Value.at_level(10)
    ours, theirs = kind(2.0), Value(3.0)

    assert unboxed(kind, ours) is ours
    assert unboxed(kind, Value(Value(ours))) is ours
    assert unboxed(kind, theirs) is theirs
    assert unboxed(kind, 4.0) == 4.0


def test_a_graph_has_result_structure_and_aux() -> None:
    graph = Graph("me", lambda x, y: ([x * y], x), [2.0, 3.0], has_aux=True)

    assert (graph.result, graph.aux) == ([6.0], 2.0)
    assert graph.outside == flatten([0])[1]
    assert graph.pull([1.0]) == (3.0, 2.0)
    assert graph.rows() == [(3.0, 2.0)]
    assert Graph("me", lambda x: x, [2.0]).aux is None


def test_a_graph_of_chosen_arguments() -> None:
    graph = Graph("me", lambda *args: args[1] * args[2], ["a", 2.0, 3.0], [2, 1])

    assert graph.pull([1.0]) == (2.0, 3.0)


def test_none_is_the_zero_that_needs_no_walk() -> None:
    """An infinite slope behind it does no harm, as with a zero it would."""
    graph = Graph("me", lambda x: [x.sqrt(), x], [0.0])

    assert graph.pull([None, 1.0]) == (1.0,)
    assert math.isnan(graph.pull([0.0, 1.0])[0])
    assert graph.rows() == [(math.inf,), (1.0,)]
