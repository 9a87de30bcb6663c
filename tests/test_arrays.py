"""`prosegrad.arrays`: where functions of arrays live, and what broadcasting needs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from prosegrad import Value, elementary
from prosegrad.arrays import (
    NUMPY,
    ArrayFunctions,
    axes_of,
    broadcast_shape,
    constant_like,
    functions_of,
    is_array,
    library,
    shape_of,
    spread,
    squeezed,
    stretched,
    sum_to,
)
from prosegrad.tensor import Tensor
from prosegrad.value import find_namespace, namespace

from .tensors import SHAPES, Library, assert_close, axes, opened


@pytest.fixture(scope="module", params=["numpy", "torch", "jax"])
def arrays(request: pytest.FixtureRequest) -> Iterator[Library]:
    with opened(request.param) as found:
        yield found


def counting(shape: Any, start: int = 1) -> Any:
    """Return 1, 2, 3 … in a shape."""
    count = int(np.prod(shape, dtype=int))
    return np.arange(float(start), start + count).reshape(shape)


# --- namespaces


def test_a_library_is_always_the_same_object(arrays: Library) -> None:
    x = arrays.array([1.0, 2.0])

    assert library(x) is library(arrays.array([[3]], "int64"))
    assert library(x) is namespace(x) is find_namespace(x)
    assert isinstance(library(x), ArrayFunctions)
    assert library(x).exp is library(x).exp


def test_arrays_and_what_is_none(arrays: Library) -> None:
    assert is_array(arrays.array(1.0))
    for other in (1, 2.5, Fraction(1, 2), "a", None, [1.0], Value(1.0)):
        assert not is_array(other)


def test_numbers_keep_their_functions() -> None:
    """Arrays change nothing for numbers; a member of an array counts as one here."""
    assert namespace(2.0) is elementary
    assert namespace(Fraction(1, 2)) is elementary
    assert namespace(Value(2.0)) is Value
    assert namespace(Tensor(2.0)) is Tensor
    assert library(np.float64(2)) is NUMPY
    assert library(np.zeros(2)) is NUMPY is find_namespace(np.zeros(2))


def test_a_library_that_lacks_functions_gets_them() -> None:
    """What has an `__array_namespace__` without `sigmoid` is completed."""

    class Own:
        def __array_namespace__(self) -> Any:
            return np

    found = find_namespace(Own())

    assert found is functions_of(np) is functions_of(np)
    assert found.sin is np.sin
    with pytest.raises(AttributeError):
        _ = found.no_such_function


# --- functions that libraries lack


def test_sigmoid_and_softplus(arrays: Library) -> None:
    """They are exact to the last digits, and never overflow."""
    numbers = [-1e4, -800.0, -40.0, -1.0, -1e-9, 0.0, 1e-9, 1.0, 40.0, 800.0, 1e4]
    x = arrays.array(numbers)
    s, p = library(x).sigmoid(x), library(x).softplus(x)

    assert arrays.owns(s)
    assert arrays.owns(p)
    for i, number in enumerate(numbers):
        assert float(s[i]) == pytest.approx(elementary.sigmoid(number), rel=1e-14)
        assert float(p[i]) == pytest.approx(elementary.softplus(number), rel=1e-14)
    for dtype in ("float32", "float64"):
        small = arrays.array([-1.0, 2.0], dtype)
        assert library(small).sigmoid(small).dtype == arrays.dtype(dtype)
        assert library(small).softplus(small).dtype == arrays.dtype(dtype)


def test_sigmoid_and_softplus_pass_nan_on(arrays: Library) -> None:
    x = arrays.array([math.nan, 0.0])

    assert math.isnan(float(library(x).sigmoid(x)[0]))
    assert math.isnan(float(library(x).softplus(x)[0]))


def test_maximum_and_minimum(arrays: Library) -> None:
    """The other may be an array or one number, which takes the precision."""
    x = arrays.array([1.0, 2.0, 3.0], "float32")
    xp = library(x)
    for y in (2.0, 2, arrays.array([2.0, 2.0, 2.0], "float32")):
        assert np.asarray(xp.maximum(x, y)).tolist() == [2, 2, 3]
        assert np.asarray(xp.minimum(x, y)).tolist() == [1, 2, 2]
        assert xp.maximum(x, y).dtype == arrays.dtype("float32")
        assert xp.minimum(x, y).dtype == arrays.dtype("float32")


def test_numpy_sums_and_maxima_are_numpys() -> None:
    x = counting((2, 3, 4))
    for axis in (None, 0, -1, (0, 2), (), (-1, 0)):
        for keep in (False, True):
            ours = NUMPY.sum(x, axis=axis, keepdims=keep)
            assert np.array_equal(ours, np.sum(x, axis=axis, keepdims=keep))
            ours = NUMPY.max(x, axis=axis, keepdims=keep)
            assert np.array_equal(ours, np.max(x, axis=axis, keepdims=keep))
    assert NUMPY.sum(np.array([True, True])) == 2


KEYS: list[Any] = [
    (0, (2, 3)),
    ((slice(None), [0, 0, 2]), (2, 3)),
    ((np.array([0, 1, 1]), np.array([2, 0, 0])), (2, 3)),
    (np.array([[1, 1], [0, 1]]), (2, 3)),
    (np.array([[True, False, True], [False, False, True]]), (2, 3)),
    ((..., None, slice(1, 3)), (2, 3)),
    (np.zeros(0, int), (2, 3)),
    ((), ()),
]


@pytest.mark.parametrize("i", range(len(KEYS)))
def test_add_at_is_the_transpose_of_indexing(i: int, arrays: Library) -> None:
    """What is at a place twice arrives there twice; the shapes are those of x."""
    key, shape = KEYS[i]
    part = np.zeros(shape)[key]
    values = arrays.array(counting(part.shape))
    found = library(values).add_at(shape, key, values)
    expected = np.zeros(shape)
    np.add.at(expected, key, counting(part.shape))

    assert arrays.owns(found)
    assert found.dtype == arrays.dtype("float64")
    assert np.array_equal(np.asarray(found), expected)
    assert np.array_equal(np.asarray(values), counting(part.shape))
    small = arrays.array(counting(part.shape), "float32")
    assert library(small).add_at(shape, key, small).dtype == arrays.dtype("float32")


def test_constants_like_an_array(arrays: Library) -> None:
    x = arrays.array([1.0], "float32")
    found = constant_like(np.array([[True, False]]), x)

    assert arrays.owns(found)
    assert found.dtype == arrays.dtype("float32")
    assert np.asarray(found).tolist() == [[1, 0]]


# --- shapes


def test_shapes_of_arrays_and_numbers(arrays: Library) -> None:
    for shape in ((), (3,), (2, 0, 3)):
        found = shape_of(arrays.array(np.zeros(shape)))
        assert found == shape
        assert type(found) is tuple
    for number in (1, 2.5, Fraction(1, 2), Value(2.0)):
        assert shape_of(number) == ()
    assert shape_of(Tensor([1.0, 2.0])) == (2,)


@given(hnp.mutually_broadcastable_shapes(num_shapes=3, min_side=0, max_side=4))
def test_broadcast_shape_is_numpys(shapes: Any) -> None:
    assert broadcast_shape("f", *shapes.input_shapes) == shapes.result_shape


@given(st.lists(st.lists(st.integers(0, 3), max_size=3).map(tuple), min_size=2))
def test_shapes_that_do_not_fit_are_named(shapes: list[Any]) -> None:
    try:
        expected = np.broadcast_shapes(*shapes)
    except ValueError:
        with pytest.raises(ValueError, match="do not fit") as error:
            broadcast_shape("multiply", *shapes)
        assert str(error.value).startswith("multiply: shapes ")
        for shape in shapes:
            assert str(shape) in str(error.value)
        assert error.value.__cause__ is None
    else:
        assert broadcast_shape("multiply", *shapes) == expected


@st.composite
def broadcasts(draw: Any) -> tuple[Any, Any]:
    """Draw a shape and a larger one that it is stretched to."""
    found = draw(
        hnp.mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_side=3)
    )
    return found.input_shapes[0], found.result_shape


@given(broadcasts())
def test_sum_to_undoes_broadcasting(shapes: Any) -> None:
    """Each number gets the sum of all the places that it was stretched to."""
    shape, larger = shapes
    x = counting(larger)
    count = int(np.prod(shape, dtype=int))
    places = np.broadcast_to(np.arange(count).reshape(shape), larger)
    expected = np.bincount(places.ravel(), x.ravel(), minlength=count)
    found = sum_to(x, shape)

    assert found.shape == shape
    assert np.asarray(found).ravel().tolist() == expected.tolist()
    assert np.array_equal(x, counting(larger))


def test_sum_to_its_own_shape_is_the_same_array() -> None:
    x = counting((2, 3))

    assert sum_to(x, (2, 3)) is x


@given(broadcasts())
def test_stretched_axes(shapes: Any) -> None:
    """Those are new axes, and axes of length 1 that are longer now."""
    shape, larger = shapes
    extra = len(larger) - len(shape)
    expected = [
        i
        for i, n in enumerate(larger)
        if i < extra or (shape[i - extra] == 1 and n != 1)
    ]

    assert list(stretched(shape, larger)) == expected


@st.composite
def shapes_and_axes(draw: Any) -> tuple[Any, Any]:
    shape = draw(SHAPES)
    return shape, draw(axes(len(shape)))


@given(shapes_and_axes(), st.booleans())
def test_spread_is_the_transpose_of_a_sum(case: Any, keep: bool) -> None:
    """For all x and y, the product of y and sum(x) is that of spread(y) and x."""
    shape, axis = case
    x = counting(shape)
    y = counting(x.sum(axis=axis, keepdims=keep).shape, start=7)
    found = spread(y, shape, axis)

    assert found.shape == shape
    assert np.sum(found * x) == np.sum(y * x.sum(axis=axis, keepdims=keep))


@given(shapes_and_axes())
def test_squeezed(case: Any) -> None:
    shape, axis = case
    x = counting(shape)
    kept, gone = (np.sum(x, axis=axis, keepdims=keep) for keep in (True, False))
    found = squeezed(kept, axis)

    assert np.shape(found) == gone.shape
    assert np.array_equal(found, gone)


def test_axes_from_zero() -> None:
    assert axes_of(None, 3) == (0, 1, 2)
    assert axes_of(-1, 3) == (2,)
    assert axes_of(0, 3) == (0,)
    assert axes_of((-1, 0), 3) == (2, 0)
    assert axes_of([1, -3], 3) == (1, 0)
    assert axes_of((), 3) == ()
    assert axes_of(None, 0) == ()


def test_shapes_in_every_library(arrays: Library) -> None:
    x = arrays.array(counting((2, 3)))

    assert_close(sum_to(x, (3,)), [5, 7, 9])
    assert_close(sum_to(x, (2, 1)), [[6], [15]])
    assert_close(sum_to(x, (1, 1)), [[21]])
    assert_close(sum_to(x, (1,)), [21])
    assert_close(sum_to(x, ()), 21)
    assert_close(spread(x, (2, 4, 3), 1), np.repeat(counting((2, 1, 3)), 4, 1))
    assert_close(squeezed(x[:, :1], 1), [1, 4])
