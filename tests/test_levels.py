"""Values inside Values: who is a constant of whom."""

import asyncio
import copy
import itertools
import pickle
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from fractions import Fraction
from threading import Barrier
from typing import Any

import pytest

from prosegrad import Value, dot, grad, hessian, hvp, jacobian, jvp, vjp
from prosegrad.levels import new_level
from prosegrad.value import lift, where

OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: a**b,
    "max": lambda a, b: a.maximum(b),
    "min": lambda a, b: a.minimum(b),
    "dot": lambda a, b: dot([a, 2.0], [b, a], start=b),
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("lower_first", [True, False])
def test_a_lower_operand_is_a_constant_above(name: str, lower_first: bool) -> None:
    """It gets no gradient there, and a derivative of the gradient here."""
    function = OPERATIONS[name]
    low, high = Value(1.3), Value(Value(1.7))
    operands = (low, high) if lower_first else (high, low)
    result = function(*operands)
    result.backward()

    assert type(result) is type(high)
    assert low.grad == 0.0
    number = function(*(Value(v.data) if v is low else v.data for v in operands))
    assert result.data.data == number.data


def test_the_gradient_above_depends_on_the_lower_operand() -> None:
    """d/dx of x * x * y is 2xy, whose slopes are 2y and 2x."""
    inner, y = Value(3.0), Value(5.0)
    x = Value(inner)
    (x * y * x).backward()
    x.grad.backward()

    assert x.grad.data == 30.0
    assert (inner.grad, y.grad) == (10.0, 6.0)


def test_a_level_is_one_above_what_it_holds() -> None:
    x = Value(1.0)
    deep = Value(Value(x))

    assert (x._level, deep._level) == (0, 2)
    assert type(Value(Value(1.0))) is type(Value(Value(2)))


def test_lift_leaves_equals_alone() -> None:
    x, y = Value(1.0), Value(2.0)

    assert lift(x, y)[0] is x
    assert lift(x, y)[1] is y
    deep = Value(x)
    assert lift(deep, y)[1].data is y
    assert lift(y, deep)[0].data is y
    assert lift(y, deep)[1] is deep
    assert type(lift(x, 3)[1]) is Value
    assert lift(x, 3)[1].data == 3


def test_detach_cuts_every_level() -> None:
    """As a constant, it has no derivative of any order."""
    inner = Value(3.0)
    x = Value(inner)
    (x * x.detach()).backward()

    assert type(x.detach()) is type(x)
    assert x.grad.data == 3.0
    x.grad.backward()
    assert inner.grad == 0.0


def test_a_nested_leaf_is_copied_and_pickled() -> None:
    x = Value(Value(2.0))
    x.data.grad = 7.0
    for twin in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert type(twin) is type(x)
        assert (twin.data.data, twin.data.grad, twin.grad) == (2.0, 7.0, 0)
        assert twin.data is not x.data


def test_a_subclass_keeps_its_kind() -> None:
    class Named(Value):
        __slots__ = ()

    assert type(Named(2.0) * 3) is Named
    assert isinstance(Named(Value(2.0)), Named)


def test_backward_may_begin_with_a_given_gradient() -> None:
    x, y = Value(2.0), Value(3.0)
    z = x * y
    z.backward(10.0)

    assert (x.grad, y.grad, z.grad) == (30.0, 20.0, 10.0)
    w = Value(1j)
    (w * w).backward(1)
    assert w.grad == 2j


def test_where_hands_the_gradient_to_what_was_chosen() -> None:
    np = pytest.importorskip("numpy")
    x, y = Value(np.array([1.0, 2.0, 3.0])), Value(np.array([4.0, 5.0, 6.0]))
    chosen = where(np.array([True, False, True]), x, y)
    chosen.backward(np.array([10.0, 20.0, 30.0]))

    assert chosen.data.tolist() == [1.0, 5.0, 3.0]
    assert chosen._op == "where"
    assert x.grad.tolist() == [10.0, 0.0, 30.0]
    assert y.grad.tolist() == [0.0, 20.0, 0.0]


def test_where_lifts_either_operand() -> None:
    np = pytest.importorskip("numpy")
    mask, x = np.array([True, False]), Value(np.array([1.0, 2.0]))

    assert where(mask, x, 7.0).data.tolist() == [1.0, 7.0]
    assert where(mask, 7.0, x).data.tolist() == [7.0, 2.0]
    assert where(mask, 7.0, 8.0).tolist() == [7.0, 8.0]
    deep = Value(x)
    assert where(mask, x, deep)._parents[1] is deep
    assert where(mask, deep, x)._parents[0] is deep


def test_where_with_a_decided_condition_is_the_operand() -> None:
    x, y = Value(1.0), Value(2.0)

    assert where(True, x, y) is x
    assert where(False, x, y) is y
    assert Value.where(False, x, 3.0) == 3.0


Operator = Callable[[Callable[[Any], Any], Any], Any]

FIRST: dict[str, Operator] = {
    "grad": lambda f, x: grad(f)(x),
    "vjp": lambda f, x: vjp(f, x)[1](1)[0],
    "jvp": lambda f, x: jvp(f, (x,), (1,))[1],
    "jacobian": lambda f, x: jacobian(f)(x),
}
SECOND: dict[str, Operator] = {
    "hvp": lambda f, x: hvp(f, (x,), (1,)),
    "hessian": lambda f, x: hessian(f)(x),
}
ALL = FIRST | SECOND


@pytest.mark.parametrize("outer", FIRST)
@pytest.mark.parametrize("inner", FIRST)
def test_siskind_and_pearlmutter_get_their_one(outer: str, inner: str) -> None:
    """d/dx of x * d/dy (x + y) is 1; an engine without levels says 2."""
    D, d = FIRST[outer], FIRST[inner]

    assert D(lambda x: x * d(lambda y: x + y, 1.0), 1.0) == 1.0
    assert D(lambda x: x * d(lambda y: x * y, 1.0), 4.0) == 8.0


def closed_form(orders: tuple[int, int], x: Fraction) -> Fraction:
    """Return what the derivatives of the next test are, by hand.

    The inner function is g = x y**3 + x**2 y at y = 2, and the outer one x g'
    or x g''.
    """
    return {
        (1, 1): 24 * x + 3 * x**2,
        (2, 1): 24 + 6 * x,
        (1, 2): 24 * x,
        (2, 2): Fraction(24),
    }[orders]


@pytest.mark.parametrize("outer", ALL)
@pytest.mark.parametrize("inner", ALL)
def test_every_derivative_nests_in_every_other(outer: str, inner: str) -> None:
    """The inner function is a closure over the variable of the outer one."""
    D, d = ALL[outer], ALL[inner]
    x = Fraction(5, 3)
    result = D(lambda x: x * d(lambda y: x * y**3 + y * x**2, Fraction(2)), x)

    orders = 1 + (outer in SECOND), 1 + (inner in SECOND)
    assert result == closed_form(orders, x)


@pytest.mark.parametrize(
    "names", list(itertools.product(FIRST, repeat=3)), ids="-".join
)
def test_three_derivatives_nest(names: tuple[str, str, str]) -> None:
    """Each function mentions the variables of all those around it."""
    one, two, three = (FIRST[name] for name in names)

    def f(x: Any) -> Any:
        def g(y: Any) -> Any:
            return y * y * three(lambda z: x * x * y * z * z, x)

        return x * two(g, x)

    # z: 2 x**3 y; y: 6 x**3 y**2 = 6 x**5; x: 36 x**5
    assert one(f, Fraction(2)) == 36 * 2**5


@pytest.mark.parametrize("outer", ALL)
@pytest.mark.parametrize("inner", ALL)
def test_the_inner_point_may_be_the_outer_variable(outer: str, inner: str) -> None:
    """The derivatives of x**6 follow each other, whoever takes them."""
    order = 2 + (outer in SECOND) + (inner in SECOND)
    result = ALL[outer](lambda x: ALL[inner](lambda y: y**6, x), Fraction(2))

    assert result == {2: 30 * 2**4, 3: 120 * 2**3, 4: 360 * 2**2}[order]


@pytest.mark.parametrize("name", ALL)
def test_a_captured_value_is_a_variable_of_the_answer(name: str) -> None:
    """A product w x**3 has the slopes 3 w x**2 and 6 w x, and w its own afterwards."""
    w = Value(Fraction(3))
    result = ALL[name](lambda x: w * x**3, Fraction(2))

    assert w.grad == 0
    assert type(result) is Value
    assert result.data == 36  # at 2, 3 w x**2 and 6 w x are one number
    result.backward()
    assert w.grad == 12


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_values_nested_by_hand_are_below(name: str, depth: int) -> None:
    """A box in a box that the function mentions is a constant as well."""
    w: Any = Fraction(3)
    for _ in range(depth):
        w = Value(w)
    result = ALL[name](lambda x: w * x**3, Fraction(2))

    assert type(result) is type(w)
    result.backward()
    assert w.grad == 12


@pytest.mark.parametrize("name", FIRST)
def test_a_box_made_inside_is_below_the_next_derivative(name: str) -> None:
    """It stands between the two levels, and both are told apart from it."""

    def f(x: Any) -> Any:
        box = Value(x)
        FIRST[name](lambda y: box * box * y, Fraction(7)).backward()
        return box.grad  # 2 x

    assert grad(f)(Fraction(5)) == 2
    assert FIRST[name](f, Fraction(5)) == 2


def test_levels_are_apart_and_above_what_they_are_given() -> None:
    deep = Value.at_level(13)(1.0)
    with new_level([]) as one, new_level([1.0, Value(1.0)]) as two:
        assert (one, two) == (10, 20)
    with new_level([]), new_level([]), new_level([deep]) as three:
        assert three == 30
    with new_level([Value(1.0), deep]) as one:
        assert one == 13 + 10


@pytest.mark.parametrize("name", ALL)
def test_a_failing_function_gives_its_level_back(name: str) -> None:
    def fail(x: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ALL[name](fail, 1.0)
    with new_level([]) as level:
        assert level == 10


def test_threads_do_not_disturb_each_other() -> None:
    """Both are inside a derivative at once, each at a level of its own."""
    barrier = Barrier(2, timeout=60)

    def wait(x: Any) -> Any:
        barrier.wait()
        levels.append(x._level)
        barrier.wait()
        return x**2 * grad(lambda y: x * y)(1.0)

    levels: list[int] = []
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(Context().run, grad(wait), x) for x in (2.0, 3.0)]

        assert [run.result() for run in runs] == [12.0, 27.0]
    assert sorted(levels) == [10, 20]


@pytest.mark.parametrize("outer", FIRST)
@pytest.mark.parametrize("inner", FIRST)
def test_a_derivative_in_a_thread_nests_with_its_context(
    outer: str, inner: str
) -> None:
    """`copy_context` tells the thread what it is inside of."""
    with ThreadPoolExecutor(1) as pool:

        def f(x: Any) -> Any:
            context = copy_context()
            d = pool.submit(context.run, FIRST[inner], lambda y: x * y, 1.0)
            return x * d.result()

        assert FIRST[outer](f, 4.0) == 8.0


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run in a thread: another test may have left a loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        here = copy_context()
        return pool.submit(here.run, asyncio.run, coroutine).result()


def test_tasks_do_not_see_each_other() -> None:
    """Tasks that wait inside of one another's levels have levels of their own."""

    async def task(number: int) -> tuple[int, int, float]:
        with new_level([]) as level:
            for _ in range(number):
                await asyncio.sleep(0)
            with new_level([]) as inner:
                await asyncio.sleep(0)
                slope = grad(lambda x: x**2)(float(number))
        return level, inner, slope

    async def main() -> list[tuple[int, int, float]]:
        return await asyncio.gather(*(task(number) for number in range(4)))

    results = run(main())
    assert [slope for *_, slope in results] == [0.0, 2.0, 4.0, 6.0]
    assert all(outer < inner for outer, inner, _ in results)


def test_a_task_that_outlives_a_level_is_above_it() -> None:
    async def level() -> int:
        with new_level([]) as own:
            return own

    async def main() -> list[int]:
        with new_level([]):
            inside = await asyncio.create_task(level())
        return [inside, await asyncio.create_task(level())]

    assert run(main()) == [20, 10]


def test_an_asyncio_thread_nests() -> None:
    def f(x: Any) -> Any:
        async def inner() -> Any:
            return await asyncio.to_thread(grad(lambda y: x * y), 1.0)

        return x * run(inner())

    assert grad(f)(4.0) == 8.0


@pytest.mark.filterwarnings("ignore:Using backward.. with create_graph=True")
def test_torch_confuses_when_it_accumulates() -> None:
    """What the book says of `backward(create_graph=True)`."""
    torch = pytest.importorskip("torch")

    def slope(f: Any, at: float) -> Any:
        x = torch.tensor(at, requires_grad=True)
        f(x).backward(create_graph=True)
        return x.grad

    assert slope(lambda x: x * slope(lambda y: x + y, 1.0), 1.0) == 2.0
