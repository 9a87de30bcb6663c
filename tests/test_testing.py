"""`prosegrad.testing`: gradcheck finds what is wrong, and nothing else."""

from __future__ import annotations

import itertools
import math
import random
import re
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest

from prosegrad import Dual, Value, softmax
from prosegrad.tensor import Tensor
from prosegrad.testing import (
    GradcheckError,
    Probe,
    check_adjoint,
    gradcheck,
    ulp_error,
)


def wrong_product(x: Value, y: Value) -> Value:
    """A product whose rule forgets a factor."""

    def _backward(grad: Any) -> None:
        x.grad += grad * y.data
        y.grad += grad

    return type(x)(x.data * y.data, (x, y), "*", _backward)


def with_slope(value: Callable[[Any], Any], slope: Callable[[Any], Any]) -> Any:
    """Return a function of one Value with a rule that may be wrong."""

    def function(x: Value) -> Value:
        def _backward(grad: Any) -> None:
            x.grad += grad * slope(x.data)

        return type(x)(value(x.data), (x,), "test", _backward)

    return function


def probe(**changes: Any) -> Probe:
    given = {"direction": (1,), "predicted": 2.0, "left": 1.0, "right": 3.0}
    return Probe(**(given | {"allowed": 0.25, "kink": False} | changes))  # type: ignore[arg-type]


# --- a probe


@pytest.mark.parametrize(
    ("changes", "error", "agrees"),
    [
        ({}, 0.0, True),
        ({"predicted": 2.25}, 0.25, True),
        ({"predicted": 1.75}, 0.25, True),
        ({"predicted": 2.5}, 0.5, False),
        ({"predicted": 1.5}, 0.5, False),
        ({"predicted": 3.0, "kink": True}, 0.0, True),
        ({"predicted": 1.0, "kink": True}, 0.0, True),
        ({"predicted": 3.5, "kink": True}, 0.5, False),
        ({"predicted": 0.5, "kink": True}, 0.5, False),
        ({"predicted": 3.5, "kink": True, "left": 3.0, "right": 1.0}, 0.5, False),
    ],
)
def test_a_probe_measures_to_the_nearest_slope(
    changes: dict[str, Any], error: float, agrees: bool
) -> None:
    """At a kink every slope between the two sides is right, elsewhere the mean."""
    made = probe(**changes)

    assert made.measured == 2.0
    assert made.error == error
    assert made.agrees is agrees


@pytest.mark.parametrize("name", ["predicted", "left", "right"])
def test_a_nan_never_agrees(name: str) -> None:
    assert not probe(**{name: math.nan}).agrees


# --- what is right passes


def test_a_right_gradient_is_reported() -> None:
    report = gradcheck(lambda x, y: x * y + x.sin(), [0.5, -2.0])

    assert report.inputs == (0.5, -2.0)
    assert report.gradient == (-2.0 + math.cos(0.5), 0.5)
    assert report.kinks == ()
    assert 0 < report.error < 1e-9
    assert report.error == max(p.error for p in report.probes)
    assert [p.direction for p in report.probes][:2] == [(1, 0), (0, 1)]
    assert len(report.probes) == 2 + 4


def test_directions_are_drawn_by_the_given_generator() -> None:
    """Each has a -1 or 1 for every input, and the default is always the same."""

    def drawn(rng: random.Random | None = None) -> list[tuple[int, ...]]:
        report = gradcheck(
            lambda *xs: sum(xs, Value(0.0)),
            [1.0] * 5,
            coordinates=False,
            directions=30,
            rng=rng,
        )
        return [p.direction for p in report.probes]

    assert len(drawn()) == 30
    assert set(itertools.chain(*drawn())) == {-1, 1}
    assert drawn() == drawn() == drawn(random.Random(0))
    assert drawn(random.Random(1)) != drawn()


def test_without_random_directions_each_input_is_nudged_alone() -> None:
    report = gradcheck(lambda x, y, z: x * y * z, [1.0, 2.0, 3.0], directions=0)

    assert [p.direction for p in report.probes] == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
    assert [p.predicted for p in report.probes] == pytest.approx([6, 3, 2], rel=1e-9)


def test_how_often_the_function_is_called() -> None:
    """Four nudges and a `jvp` a direction; twice for the value, `backward`, `vjp`."""
    calls = []

    def f(x: Value) -> Value:
        calls.append(x.data)
        return x * x

    gradcheck(f, [1.0], directions=0, step=0.5)

    assert sorted(calls) == [0.5, 0.75, *[1.0] * 5, 1.25, 1.5]


def test_fractions_are_nudged_exactly() -> None:
    """A square has no truncation error, and fractions have no rounding."""
    step = Fraction(1, 10**30)
    x = Fraction(1, 3)
    report = gradcheck(lambda x: x * x / 7, [x], step=step, rtol=0, atol=0)

    assert report.error == 0
    assert report.probes[0].left == (2 * x - step) / 7
    assert report.probes[0].right == (2 * x + step) / 7
    assert report.probes[0].allowed == 0


def test_large_inputs_do_not_accuse() -> None:
    """The moves that were made are counted, and the rounding of f is allowed."""
    report = gradcheck(lambda x: x * x, [1e8])

    assert report.probes[0].allowed > 8 * math.ulp(1e16) / 1e-5
    assert report.error <= report.probes[0].allowed


def test_an_input_that_does_not_matter_may_have_an_infinite_gradient() -> None:
    """A direction that leaves an input alone does not look at its gradient."""
    f = with_slope(lambda x: x, lambda x: math.inf)
    with pytest.raises(GradcheckError) as caught:
        gradcheck(lambda x, y: f(x) + y, [1.0, 2.0], directions=0)

    assert "1 of 2 directions" in str(caught.value)


# --- what is wrong does not


def test_the_message_shows_inputs_both_gradients_and_the_worst() -> None:
    with pytest.raises(GradcheckError) as caught:
        gradcheck(wrong_product, [2.0, 3.0], directions=1)
    text = str(caught.value)
    lines = text.split("\n")

    assert lines[0] == ("gradcheck: 2 of 3 directions disagree, the worst is (0, 1)")
    assert lines[1] == "  inputs    (2.0, 3.0)"
    assert lines[2] == "  gradient  (3.0, 1.0)"
    assert re.fullmatch(r"  measured  \((3\.0|2\.9)\d+, (2\.0|1\.9)\d+\)", lines[3])
    assert lines[4] == "  along it  1 predicted, 2 left, 2 right"
    assert lines[5] == "  allowed   2.0e-06 with the step 1e-05"
    assert len(lines) == 6


def test_measured_is_by_input_and_not_by_direction() -> None:
    """With one input every direction is along it; the slope is shown once."""
    with pytest.raises(GradcheckError, match=r"measured  \([^,]*,\)\n"):
        gradcheck(with_slope(lambda x: x * x, lambda x: x), [1.0])


def test_measured_has_an_entry_for_each_of_three_inputs() -> None:
    with pytest.raises(GradcheckError) as caught:
        gradcheck(lambda x, y, z: wrong_product(x, y) + z, [2.0, 3.0, 4.0])

    measured = re.search(r"measured  \((.*)\)", str(caught.value))
    assert measured is not None
    assert [round(float(m), 6) for m in measured[1].split(", ")] == [3.0, 2.0, 1.0]


def test_without_coordinates_nothing_is_measured_by_input() -> None:
    with pytest.raises(GradcheckError, match=r"measured  \(\)\n"):
        gradcheck(wrong_product, [2.0, 3.0], coordinates=False)


@pytest.mark.parametrize(("relative", "passes"), [(5e-7, True), (2e-6, False)])
def test_the_relative_tolerance(relative: float, passes: bool) -> None:
    f = with_slope(lambda x: 1000 * x, lambda x: 1000 * (1 + relative))
    if passes:
        gradcheck(f, [1.0])
    else:
        with pytest.raises(GradcheckError):
            gradcheck(f, [1.0])
    gradcheck(f, [1.0], rtol=1e-5)


@pytest.mark.parametrize(("absolute", "passes"), [(5e-10, True), (2e-9, False)])
def test_the_absolute_tolerance(absolute: float, passes: bool) -> None:
    f = with_slope(lambda x: 0 * x, lambda x: absolute)
    if passes:
        gradcheck(f, [0.0])
    else:
        with pytest.raises(GradcheckError):
            gradcheck(f, [0.0])
    gradcheck(f, [0.0], atol=1e-8)


def test_a_nan_gradient_is_wrong() -> None:
    with pytest.raises(GradcheckError):
        gradcheck(with_slope(lambda x: x, lambda x: math.nan), [1.0])


# --- kinks


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x.relu(),
        abs,
        lambda x: x.maximum(0.0),
        lambda x: x.minimum(0.0),
        lambda x: x.leaky_relu(),
        lambda x: x.relu() + x * x,
    ],
)
@pytest.mark.parametrize("at", [0.0, 4e-6, -4e-6, 9e-6])
def test_a_kink_within_the_step_is_reported(
    f: Callable[[Value], Value], at: float
) -> None:
    """Neither a failure nor silence, at the kink and beside it."""
    report = gradcheck(f, [at])

    assert len(report.kinks) == len(report.probes) == 5


@pytest.mark.parametrize("at", [2e-5, -2e-5, 1.0])
def test_a_kink_beyond_the_step_is_not(at: float) -> None:
    assert gradcheck(lambda x: x.relu(), [at]).kinks == ()


@pytest.mark.parametrize("name", ["exp", "sin", "tanh", "cosh", "softplus"])
@pytest.mark.parametrize("at", [0.0, 1.0, -3.0])
def test_a_bend_is_no_kink(name: str, at: float) -> None:
    assert gradcheck(lambda x: getattr(x, name)() * 5, [at]).kinks == ()


def test_a_strong_bend_is_no_kink() -> None:
    """What halves with the step is a bend, however strong."""
    assert gradcheck(lambda x: 1e6 * x * x, [0.0]).kinks == ()


@pytest.mark.parametrize("slope", [-0.1, 1.1])
def test_a_gradient_outside_of_a_kink_is_wrong(slope: float) -> None:
    f = with_slope(lambda x: max(x, 0.0), lambda x: slope)
    with pytest.raises(GradcheckError):
        gradcheck(f, [0.0])


# --- bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inputs": []}, "0 inputs, 0 directions"),
        ({"inputs": [1.0], "coordinates": False, "directions": 0}, "0 directions"),
        ({"inputs": [1.0], "step": 0.0}, "step 0.0"),
        ({"inputs": [1.0], "step": -1e-5}, "step -1e-05"),
        ({"inputs": [1.0], "step": math.nan}, "step nan"),
    ],
)
def test_nothing_to_nudge(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^gradcheck: .*{message}.*nothing to nudge$"):
        gradcheck(lambda *xs: xs[0] * 2, **arguments)


def test_a_function_that_rolls_dice_is_refused() -> None:
    rng = random.Random(0)
    with pytest.raises(
        ValueError,
        match=r"gradcheck: f gave 0\.8.* and then 0\.7.*for the same inputs$",
    ):
        gradcheck(lambda x: x * rng.random(), [1.0])


def test_nan_twice_is_the_same_and_does_not_pass() -> None:
    with pytest.raises(GradcheckError):
        gradcheck(lambda x: x * math.nan, [1.0])


def test_nan_once_is_not_the_same() -> None:
    results = itertools.cycle([math.nan, 1.0])
    with pytest.raises(ValueError, match=r"nan and then 1\.0"):
        gradcheck(lambda x: x * next(results), [1.0])


def test_a_result_that_is_no_value() -> None:
    with pytest.raises(
        TypeError, match=r"^gradcheck: f returned 1\.0 of type float, not a Value$"
    ):
        gradcheck(lambda x: x.data, [1.0])


def test_an_error_of_the_function_at_a_nudged_input_arrives() -> None:
    with pytest.raises(ValueError, match=r"sqrt\(-1e-05\)"):
        gradcheck(lambda x: x.sqrt(), [0.0])


@pytest.mark.parametrize(("slope", "kinks"), [(2.0, 0), (2.25, 1)])
def test_a_kink_bends_by_more_than_four_tolerances(slope: float, kinks: int) -> None:
    """At 0 the slopes of c|x| bend by 2c; the steps here round nothing."""
    report = gradcheck(
        lambda x: slope * abs(x), [0.0], step=0.5, rtol=0.0, atol=1.0, directions=0
    )

    assert len(report.kinks) == kinks


@pytest.mark.parametrize(("units", "passes"), [(7.5, True), (8.5, False)])
def test_rounding_may_cost_eight_units_of_the_value(units: float, passes: bool) -> None:
    """With tolerances of 0, what a slope of 0 may be off by is eight ulp a step."""
    step = 0.5
    constant = with_slope(lambda x: 1.0, lambda x: units * math.ulp(1.0) / step)
    exact: dict[str, Any] = {"step": step, "rtol": 1e-12, "atol": 0.0}

    if passes:
        assert gradcheck(constant, [1.0], **exact).error > 0
    else:
        with pytest.raises(GradcheckError):
            gradcheck(constant, [1.0], **exact)


# --- a step that is lost


def cut(x: Any) -> Any:
    """A square with half of its slope."""
    return x * x.detach()


@pytest.mark.parametrize(
    ("f", "inputs"),
    [
        (cut, [1e12]),
        (cut, [-1e10]),
        (lambda x, y: cut(x) + y, [1e12, 1.0]),
        (lambda x, y: y * 1e10 + cut(x), [1.0, 1.0]),
        (lambda x: cut(x) + 1e16, [1.0]),
        (lambda x: x.detach() + 1e16, [1.0]),
        (lambda p: cut(p["w"][1]), [{"w": [1.0, 1e12]}]),
        (lambda x: cut(x).sum(), [np.array([1.0, 1e12])]),
        (lambda x: [x.sum(), cut(x)[0] + 1e16], [np.array([1.0, 2.0])]),
        (lambda x: cut(x).sum(), [np.array([1, 2])]),
        (lambda x: cut(x), [mpmath.mpf(1e12)]),
    ],
)
def test_a_step_that_is_lost_is_an_error(
    f: Callable[..., Any], inputs: list[Any]
) -> None:
    """Where rounding hides the slope, nothing was seen, and nothing passes."""
    with pytest.raises(ValueError, match=r"^gradcheck: the step is lost in rounding: "):
        gradcheck(f, inputs)


@pytest.mark.parametrize("at", [1e3, 1e6, 1e9, 1e12, -1e12])
def test_no_size_of_input_lets_half_a_slope_pass(at: float) -> None:
    for inputs, f in (([at], cut), ([np.array([at])], lambda x: cut(x).sum())):
        with pytest.raises((GradcheckError, ValueError)):
            gradcheck(f, inputs)


def test_a_flat_function_is_seen() -> None:
    """A slope of 0 is measured as 0, also beside a large constant."""
    for f in (lambda x: 0 * x, lambda x: x.relu() + 1e3, lambda x: 0 * x + 1e6):
        assert gradcheck(f, [-2.0]).error == 0


# --- everything that has a gradient

FUNCTIONS = ["exp", "log", "sqrt", "sin", "cos", "tan", "tanh", "sinh", "cosh"]
FUNCTIONS += ["sigmoid", "softplus", "relu", "leaky_relu", "gelu", "log1p", "expm1"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_tensors_in_second_order(name: str) -> None:
    def f(x: Any) -> Any:
        return getattr(x, name)() * x

    gradcheck(f, [0.7], order=2)
    gradcheck(f, [np.array([0.7, 1.3])], order=2)


@pytest.mark.parametrize("inputs", [[3.0, [1.0, {"a": 2.0}]], [2, [1.5, {"a": 7}]]])
def test_containers_in_and_out(inputs: list[Any]) -> None:
    report = gradcheck(
        lambda x, p: {"y": [x * p[0], p[1]["a"].sin()], "z": (x + p[0],)},
        inputs,
        order=2,
    )
    x, (w, p) = inputs

    assert report.inputs == tuple(inputs)
    assert report.gradient == (w + 1, [x + 1, {"a": math.cos(p["a"])}])
    assert len(report.probes[0].direction) == len(report.probes[0].weights) == 3


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_arrays_of_every_precision(dtype: str) -> None:
    x = np.array([[0.5, -1.5], [1.0, 2.0]], dtype)
    report = gradcheck(lambda x, s: (x * s).tanh().sum(axis=0), [x, 0.5])

    assert report.gradient[0].dtype == dtype
    with pytest.raises((GradcheckError, ValueError)):
        gradcheck(lambda x: cut(x).sum(), [x])


@pytest.mark.parametrize("at", [np.float64(2.0), np.float32(2.0), np.int64(2), 2])
def test_members_of_arrays_and_boxes_are_numbers(at: Any) -> None:
    assert gradcheck(lambda x: x * x, [at]).gradient == (4.0,)
    assert gradcheck(lambda x: x * x, [Value(at)]).gradient == (4.0,)


def test_an_array_of_fractions_is_exact() -> None:
    tiny = Fraction(1, 10**30)
    x = np.array([Fraction(1, 3), Fraction(2, 7)])
    assert gradcheck(lambda x: (x * x).sum(), [x], step=tiny, rtol=0, atol=0).error == 0


@pytest.mark.parametrize("place", range(3))
def test_one_wrong_slope_of_one_result_is_found(place: int) -> None:
    """Beside large results, and with the weights of the results in the message."""
    wrong = with_slope(math.exp, lambda x: math.exp(x) * 1.001)
    functions: list[Any] = [lambda x: 1e6 * x, lambda x: -1e6 * x, lambda x: x]
    functions[place] = wrong
    with pytest.raises(GradcheckError, match=r"results   counted \("):
        gradcheck(lambda x: [f(x) for f in functions], [0.5])


def test_results_whose_sum_is_constant_are_seen_in_second_order() -> None:
    def wrong(*xs: Any) -> Any:
        first, second = softmax(xs)
        return first + forgetful(xs[0]), second

    def forgetful(x: Any) -> Any:
        def _backward(grad: Any) -> None:
            x.grad += grad * (2 * x.data if x.data != 1 else 2)

        return type(x)(x.data * x.data, (x,), "square", _backward)

    gradcheck(wrong, [1.0, 2.0])
    with pytest.raises(GradcheckError, match=r"^gradcheck, order 2: "):
        gradcheck(wrong, [1.0, 2.0], order=2)


def test_each_way_to_a_gradient_is_judged() -> None:
    def only_backward(x: Any) -> Any:
        return x * x if x._level == 0 else x * 2

    def not_forward(x: Any) -> Any:
        return x * 2 if isinstance(x, Dual) else x * x

    with pytest.raises(GradcheckError, match=r"^gradcheck of vjp: "):
        gradcheck(only_backward, [3.0])
    with pytest.raises(GradcheckError, match=r"^gradcheck of jvp: "):
        gradcheck(not_forward, [3.0])
    with pytest.raises(GradcheckError, match=r"^gradcheck: "):
        gradcheck(lambda x: cut(x), [3.0])


@pytest.mark.parametrize(
    ("f", "inputs"),
    [(abs, [1j]), (lambda x: x.sum(), [np.array([1j])]), (lambda x: x * 1j, [1.0])],
)
def test_complex_numbers_are_refused(f: Callable[..., Any], inputs: list[Any]) -> None:
    with pytest.raises(TypeError, match=r"^gradcheck: an (in|out)put is .*real line$"):
        gradcheck(f, inputs)


def test_a_fault_in_fractions_is_reported_as_one() -> None:
    """Fractions have no format of their own before Python 3.12."""
    with pytest.raises(GradcheckError, match="along it  1 predicted, 2 left, 2 right"):
        gradcheck(
            cut,
            [Fraction(1)],
            step=Fraction(1, 10**20),
            rtol=0,
            atol=Fraction(1, 10**9),
        )


def test_neither_needs_numpy() -> None:
    code = (
        "import sys; from prosegrad.testing import check_adjoint, gradcheck;"
        "gradcheck(lambda x: x * x, [2.0]); check_adjoint(lambda x: x * 2, 1);"
        "print('numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert done.stdout == "False\n", done.stderr


# --- check_adjoint


@pytest.mark.parametrize(
    ("f", "like"),
    [
        (lambda x: x * 3, 0.0),
        (lambda xs: [xs[1], xs[0] - xs[1]], [0, 0]),
        (
            lambda t: {"a": t["x"] * 2, "b": t["y"].sum(axis=0)},
            {"x": 1, "y": np.eye(3)},
        ),
        (lambda x: x.T.reshape(6)[::2], np.zeros((2, 3))),
        (lambda x: x.sum(axis=1) / 3, np.zeros((2, 3), "float32")),
    ],
)
def test_a_linear_function_passes(f: Callable[[Any], Any], like: Any) -> None:
    check_adjoint(f, like)


def wrong_sum(x: Any) -> Any:
    """A sum whose rule shares the gradient out."""

    def _backward(grad: Any) -> None:
        x.grad += np.ones(x.shape) * grad / 3

    return type(x)(x.data.sum(), (x,), "sum", _backward)


@pytest.mark.parametrize(
    ("f", "like", "adjoint"),
    [
        (wrong_sum, np.zeros(3), None),
        (lambda x: x + 1, 0.0, None),
        (lambda x: x * x, 0.0, None),
        (lambda x: x.detach() * 2, 0.0, None),
        (lambda x: x.sum(), np.zeros(3), lambda y: y),
        (lambda x: x[::-1], [1, 2, 3], lambda y: y),
        (lambda x: x, np.zeros((2, 3)), lambda y: y.reshape(6)),
        (lambda x: x, [1, 2], tuple),
    ],
)
def test_a_wrong_adjoint_does_not(
    f: Callable[[Any], Any], like: Any, adjoint: Callable[[Any], Any] | None
) -> None:
    with pytest.raises(GradcheckError, match=r"^check_adjoint: "):
        check_adjoint(f, like, adjoint)


def test_check_adjoint_with_nothing_to_draw() -> None:
    with pytest.raises(ValueError, match=r"^check_adjoint: no numbers in \[\]"):
        check_adjoint(lambda x: x, [])


def test_check_adjoint_takes_values_and_tensors_as_examples() -> None:
    check_adjoint(lambda x: x.sum(), Tensor([1.0, 2.0]))
    check_adjoint(lambda x: x * 2, Value(1.0))


# --- ulp_error


@pytest.mark.parametrize(
    ("actual", "exact", "error"),
    [
        (1.0, 1, 0.0),
        (1.0 + math.ulp(1.0), 1, 1.0),
        (1.0 - math.ulp(1.0), Fraction(1), 1.0),
        (0.1 + 0.2, 0.3, 1.0),
        (2.5, 2, 0.5 / math.ulp(2.0)),
        (0.0, 5e-324, 1.0),
        (math.nan, 1.0, math.inf),
        (math.inf, Fraction(1), math.inf),
    ],
)
def test_units_are_counted(actual: float, exact: Any, error: float) -> None:
    assert ulp_error(actual, exact) == error
    assert type(ulp_error(actual, exact)) is float


def test_fractions_of_a_unit_are_counted() -> None:
    """One third is a third of a unit away from its float."""
    assert ulp_error(1 / 3, Fraction(1, 3)) == pytest.approx(1 / 3, rel=1e-12)
    with mpmath.workdps(50):
        assert ulp_error(1 / 3, mpmath.mpf(1) / 3) == pytest.approx(1 / 3, rel=1e-12)


@pytest.mark.parametrize("exact", [10**400, Fraction(10**400), mpmath.mpf("1e400")])
def test_no_float_is_near(exact: Any) -> None:
    with pytest.raises(OverflowError, match=r"^ulp_error: no float is near"):
        ulp_error(1.0, exact)
