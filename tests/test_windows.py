"""Windows, convolution and pooling: against loops, transposes and PyTorch.

Small whole numbers have no rounding in any library, so nearly every test asks
for equality. Convolution is linear in each operand: a nudge may have any size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prosegrad import grad, topological_order
from prosegrad.tensor import Tensor, no_grad
from prosegrad.windows import (
    Grid,
    avg_pool2d,
    conv2d,
    fold,
    max_pool2d,
    pad2d,
    windows,
)

from .tensors import LAYOUTS, Library, opened, plain_array


def some(share: int) -> settings:
    """Return settings with one of so many examples of the profile."""
    return settings(
        max_examples=max(1, settings().max_examples // share),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


@pytest.fixture(scope="module", params=["numpy", "torch", "jax"])
def library(request: pytest.FixtureRequest) -> Iterator[Library]:
    with opened(request.param) as found:
        yield found


@pytest.fixture(scope="module", params=["numpy", "torch"])
def eager(request: pytest.FixtureRequest) -> Iterator[Library]:
    """A library for many shapes; JAX compiles each operation for each of them."""
    with opened(request.param) as found:
        yield found


# --- the judges


def pairs(low: int, high: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(low, high), st.integers(low, high))


@dataclass(frozen=True)
class Case:
    """A convolution: its shapes, and a seed for its numbers."""

    images: tuple[int, int]
    size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    lengths: tuple[int, int, int]
    seed: int

    @property
    def n(self) -> int:
        return self.lengths[0]

    def operands(self) -> tuple[Any, Any, Any]:
        """Return images, kernels and a bias of whole numbers."""
        n, channels, outputs = self.lengths
        shapes = [
            (n, channels, *self.images),
            (outputs, channels, *self.size),
            (outputs,),
        ]
        x, w, b = (self.numbers(shape, i) for i, shape in enumerate(shapes))
        return x, w, b

    def numbers(self, shape: Any, i: int = 9) -> Any:
        rng = np.random.default_rng((self.seed, i))
        return rng.integers(-4, 5, shape)

    def conv(self, x: Any, w: Any, b: Any = None) -> Tensor:
        return conv2d(x, w, b, self.stride, self.padding)


@st.composite
def cases(draw: Any, first: int = 0) -> Case:
    """Draw shapes where at least one window fits; first is the least batch."""
    size, stride, padding = draw(pairs(1, 4)), draw(pairs(1, 3)), draw(pairs(0, 2))
    least = [max(1, k - 2 * p) for k, p in zip(size, padding)]
    images = tuple(k + draw(st.integers(0, 3)) for k in least)
    lengths = (draw(st.integers(first, 2)), *draw(pairs(1, 2)))
    return Case(images, size, stride, padding, lengths, draw(st.integers(0, 99)))


def looped(case: Case, x: Any, w: Any, b: Any) -> Any:
    """Return the convolution by its definition, one product at a time."""
    n, channels, h, width = x.shape
    (p, q), (s, t), (kh, kw) = case.padding, case.stride, case.size
    down, right = (h + 2 * p - kh) // s + 1, (width + 2 * q - kw) // t + 1
    y = np.empty((n, len(w), down, right), object)
    for k, o, a, c in np.ndindex(y.shape):
        total = b[o]
        for channel, i, j in product(range(channels), range(kh), range(kw)):
            row, column = a * s + i - p, c * t + j - q
            if 0 <= row < h and 0 <= column < width:
                total += w[o, channel, i, j] * x[k, channel, row, column]
        y[k, o, a, c] = total
    return y


def pooled(x: Any, case: Case, of: Callable[[Any], Any]) -> Any:
    """Return a function of each window, one window at a time."""
    (s, t), (kh, kw) = case.stride, case.size
    down, right = (x.shape[-2] - kh) // s + 1, (x.shape[-1] - kw) // t + 1
    y = np.empty((*x.shape[:-2], down, right), object)
    for place in np.ndindex(y.shape):
        *before, a, c = place
        window = x[(*before, slice(a * s, a * s + kh), slice(c * t, c * t + kw))]
        y[place] = of(window.reshape(-1).tolist())
    return y


def fractions(x: Any) -> Any:
    """Return a third of each whole number, exactly."""
    found: Any = np.empty(x.shape, object)
    found.reshape(-1)[:] = [Fraction(int(v), 3) for v in x.reshape(-1)]
    return found


def dot(x: Any, y: Any) -> Any:
    """Return the sum of all products of two arrays of one shape."""
    assert x.shape == y.shape

    return sum((np.asarray(x, object) * np.asarray(y, object)).reshape(-1))


# --- values and gradients, exactly


@some(2)
@given(cases())
def test_convolution_is_the_loop(case: Case) -> None:
    """With fractions each number is the one of the definition."""
    operands = [fractions(x) for x in case.operands()]
    y = case.conv(*map(Tensor, operands))
    expected = looped(case, *operands)

    assert y.shape == expected.shape
    assert np.all(y.data == expected)


@some(2)
@given(cases())
def test_gradients_of_a_convolution(case: Case) -> None:
    """A nudge of one operand changes the loop as its gradient says."""
    operands = [fractions(x) for x in case.operands()]
    leaves = [Tensor(x) for x in operands]
    y = case.conv(*leaves)
    seed = fractions(case.numbers(y.shape))
    y.backward(seed)

    before = looped(case, *operands)
    for i, leaf in enumerate(leaves):
        nudge = fractions(case.numbers(leaf.shape, 20 + i))
        moved = [x + nudge if i == j else x for j, x in enumerate(operands)]
        change = looped(case, *moved) - before

        assert leaf.grad.shape == leaf.shape
        assert dot(leaf.grad, nudge) == dot(seed, change)


@some(4)
@given(cases(first=1))
def test_second_derivatives_of_a_convolution(case: Case) -> None:
    """How the gradient of one operand moves with the other is exact, too."""
    x, w, b = (fractions(v) for v in case.operands())
    seed = fractions(case.numbers(case.conv(x, w, b).shape))
    v, nudge = fractions(case.numbers(x.shape, 5)), fractions(case.numbers(w.shape, 6))

    def score(x: Any, w: Any) -> Any:
        return (case.conv(x, w, b) * seed).sum()

    def along(w: Any) -> Any:
        return (grad(score)(x, w) * v).sum()

    change = grad(score)(x, w + nudge) - grad(score)(x, w)

    assert dot(plain_array(grad(along)(w)), nudge) == dot(change, v)


@some(4)
@given(cases(first=1))
def test_hessian_of_squares(case: Case) -> None:
    """Of a square the gradient is linear: its slope is its change."""
    x, w, b = (fractions(v) for v in case.operands())
    v = fractions(case.numbers(x.shape, 5))

    def score(x: Any) -> Any:
        y = case.conv(x, w, b)
        return (y * y).sum()

    def along(x: Any) -> Any:
        return (grad(score)(x) * v).sum()

    change = grad(score)(x + v) - grad(score)(x)

    assert np.all(plain_array(grad(along)(x)) == change)


@some(2)
@given(cases())
def test_pooling_is_the_loop(case: Case) -> None:
    """The maximum and the mean of each window, one by one."""
    x = fractions(case.numbers((case.n, *np.maximum(case.images, case.size))))
    largest, mean = pooled(x, case, max), pooled(x, case, lambda v: sum(v) / len(v))

    assert np.all(max_pool2d(x, case.size, case.stride).data == largest)
    assert np.all(avg_pool2d(x, case.size, case.stride).data == mean)


@some(2)
@given(cases(first=1))
def test_gradients_of_pooling(case: Case) -> None:
    """The winner has it all, or each has its share; overlaps add up."""
    shape = (case.n, *np.maximum(case.images, case.size))
    rng = np.random.default_rng(case.seed)
    x = rng.permutation(int(np.prod(shape))).reshape(shape)  # no two alike
    nudge = fractions(case.numbers(shape, 5))
    moves = dict(zip(x.reshape(-1).tolist(), nudge.reshape(-1), strict=True))
    changes = {
        max_pool2d: pooled(x, case, lambda v: moves[max(v)]),
        avg_pool2d: pooled(nudge, case, lambda v: sum(v) / len(v)),
    }

    for pool, change in changes.items():
        leaf = Tensor(fractions(x))
        y = pool(leaf, case.size, case.stride)
        seed = fractions(case.numbers(y.shape))
        y.backward(seed)

        assert dot(leaf.grad, nudge) == dot(seed, change)


def test_equal_ones_share_the_gradient() -> None:
    """A tie of four gives each a quarter, as `max` does."""
    x = Tensor(np.ones((1, 2, 2)))
    max_pool2d(x, 2).sum().backward()

    assert x.grad.tolist() == [[[0.25, 0.25], [0.25, 0.25]]]


# --- transposes


def check_transpose(library: Library, case: Case, layout: str) -> None:
    """<windows(x), y> = <x, fold(y)>, of any library and layout."""
    shape = (case.n, *np.maximum(case.images, case.size))
    x = case.numbers(shape)
    found = windows(library.laid(x, layout), case.size, case.stride)
    y = case.numbers(found.shape)
    images = fold(library.laid(y, layout), shape[1:], case.stride)

    assert type(found) is type(images) is type(library.array(0.0))
    assert dot(np.asarray(found), y) == dot(x, np.asarray(images))


def check_rules(library: Library, case: Case, layout: str) -> None:
    """A backward through one is a call of the other, bit by bit."""
    shape = (case.n, *np.maximum(case.images, case.size))
    size, stride = case.size, case.stride
    x = Tensor(library.laid(case.numbers(shape), layout))
    parts = windows(x, size, stride)
    seed = library.laid(case.numbers(parts.shape), layout)
    parts.backward(seed)
    expected = fold(seed, shape[1:], stride)
    assert np.array_equal(np.asarray(x.grad), np.asarray(expected))

    y = Tensor(seed)
    images = fold(y, shape[1:], stride)
    seed = library.laid(case.numbers(shape, 5), layout)
    images.backward(seed)
    expected = windows(seed, size, stride)
    assert np.array_equal(np.asarray(y.grad), np.asarray(expected))


def test_a_fold_counts_the_windows_over_a_pixel() -> None:
    """Windows of two by two at each place of four by four."""
    counts = fold(np.ones((2, 2, 3, 3)), (4, 4))

    assert counts.tolist() == [[1, 2, 2, 1], [2, 4, 4, 2], [2, 4, 4, 2], [1, 2, 2, 1]]


def test_pixels_that_are_left_over_have_no_gradient() -> None:
    """A stride of 3 leaves out what is between windows, and the rest."""
    x = Tensor(np.ones((6, 5)))
    windows(x, 2, 3).sum().backward()
    expected = np.zeros((6, 5))
    expected[np.ix_([0, 1, 3, 4], [0, 1, 3, 4])] = 1

    assert np.array_equal(x.grad, expected)


def check_padding(library: Library, case: Case, layout: str) -> None:
    """A border of zeros; on the way back it is cut off."""
    (p, q), (h, w) = case.padding, case.images
    array = case.numbers((case.n, h, w))
    x = Tensor(library.laid(array, layout))
    y = pad2d(x, (p, q))
    expected = np.pad(array, ((0, 0), (p, p), (q, q)))
    assert np.array_equal(plain_array(y), expected)

    seed = case.numbers(y.shape, 5)
    y.backward(library.laid(seed, layout))
    assert np.array_equal(plain_array(x.grad), seed[:, p : p + h, q : q + w])


# --- libraries


def check_against_fractions(library: Library, case: Case, layout: str) -> None:
    """Results and gradients are those of whole numbers, in both precisions."""
    operands = case.operands()
    exact = [Tensor(fractions(3 * x)) for x in operands]
    y = case.conv(*exact)
    seed = case.numbers(y.shape).astype(float)
    y.backward(fractions(3 * seed))

    leaves = [Tensor(library.laid(x.astype(float), layout)) for x in operands]
    found = case.conv(*leaves)
    found.backward(library.laid(seed, layout))

    assert type(found.data) is type(library.array(0.0))
    assert np.array_equal(np.asarray(found.data), y.data.astype(float))
    for leaf, expected in zip(leaves, exact, strict=True):
        assert leaf.grad.dtype == leaf.dtype
        assert np.array_equal(np.asarray(leaf.grad), expected.grad.astype(float))


CHECKS = [check_transpose, check_rules, check_padding, check_against_fractions]


@pytest.mark.parametrize("check", CHECKS)
@some(4)
@given(case=cases(), layout=st.sampled_from(LAYOUTS))
def test_many_shapes(
    check: Callable[[Library, Case, str], None],
    eager: Library,
    case: Case,
    layout: str,
) -> None:
    """NumPy and PyTorch, with arrays that lie in memory in any order."""
    check(eager, case, layout)


@pytest.mark.parametrize("check", CHECKS)
def test_jax(check: Callable[[Library, Case, str], None]) -> None:
    """JAX, with a shape where every length is another one."""
    case = Case((5, 7), (3, 2), (1, 2), (2, 1), (2, 1, 3), 7)
    with opened("jax") as library:
        check(library, case, "strided")


def test_single_precision_stays(library: Library) -> None:
    """Nothing on the way is of another precision, nor is a gradient."""
    x, w, b = (
        Tensor(library.array(np.ones(shape), "float32"))
        for shape in ((2, 1, 6, 6), (3, 1, 2, 2), (3,))
    )
    y = avg_pool2d(max_pool2d(conv2d(x, w, b, padding=1), 3, 2), 2, 1)
    y.sum().backward()
    arrays: list[Any] = [t for t in topological_order(y) if not isinstance(t.data, int)]

    assert all(t.dtype == library.dtype("float32") for t in arrays)
    assert all(t.grad.dtype == library.dtype("float32") for t in (x, w, b))


def test_an_empty_batch(library: Library) -> None:
    """No images give no results, and zeros for the weights."""
    x, w, b = (
        Tensor(library.array(np.ones(shape)))
        for shape in ((0, 2, 5, 5), (3, 2, 2, 2), (3,))
    )
    y = max_pool2d(conv2d(x, w, b, 2, 1), 2)
    y.sum().backward()

    assert y.shape == (0, 3, 1, 1)
    assert x.grad.shape == x.shape
    for leaf in (w, b):
        assert np.array_equal(np.asarray(leaf.grad), np.zeros(leaf.shape))


def test_second_derivatives_of_each_library(library: Library) -> None:
    """The slope of a slope, once with whole numbers, once in the library."""
    case = Case((4, 5), (2, 3), (2, 1), (1, 0), (2, 2, 2), 7)

    def score(x: Any, w: Any) -> Any:
        y = max_pool2d(case.conv(x, w), (2, 1), 1)
        return (y * y * avg_pool2d(y, 1)).sum()

    def along(x: Any, w: Any) -> Any:
        by_x, by_w = grad(score, (0, 1))(x, w)
        return (by_x * by_x).sum() + by_w.sum()

    x, w, _ = case.operands()
    expected = grad(along, (0, 1))(x.astype(object), w.astype(object))
    found = grad(along, (0, 1))(library.array(x), library.array(w))

    for ours, exact in zip(found, expected, strict=True):
        assert np.any(plain_array(exact) != 0)
        np.testing.assert_allclose(
            plain_array(ours), plain_array(exact).astype(float), rtol=1e-12, atol=1e-9
        )


def test_a_compiled_convolution() -> None:
    """`jax.jit` sees arrays without numbers, and without a device."""
    jax = pytest.importorskip("jax", reason="JAX is not installed")

    def loss(w: Any) -> Any:
        t = Tensor(w)
        max_pool2d(
            conv2d(np.ones((1, 1, 4, 4), "float32"), t, padding=1), 2
        ).sum().backward()
        return t.grad

    w = jax.numpy.ones((1, 1, 3, 3), "float32")

    np.testing.assert_array_equal(jax.jit(loss)(w), loss(w))


# --- PyTorch


@some(2)
@given(cases(first=1))
def test_convolution_of_pytorch(case: Case) -> None:
    """Values and gradients of whole numbers are PyTorch's."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    operands = case.operands()
    ours = [Tensor(x.astype(float)) for x in operands]
    theirs = [torch.tensor(x.data, requires_grad=True) for x in ours]
    y = case.conv(*ours)
    expected = torch.nn.functional.conv2d(
        *theirs, stride=case.stride, padding=case.padding
    )
    seed = case.numbers(y.shape).astype(float)
    y.backward(seed)
    expected.backward(torch.tensor(seed))

    np.testing.assert_allclose(y.data, expected.detach(), atol=1e-12)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.grad, b.grad, atol=1e-12)


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
@some(2)
@given(cases(first=1))
def test_pooling_of_pytorch(name: str, case: Case) -> None:
    """Values and gradients are PyTorch's, if no two numbers are alike."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    pool = {"max_pool2d": max_pool2d, "avg_pool2d": avg_pool2d}[name]
    shape = (case.n, 2, *np.maximum(case.images, case.size))
    numbers = np.random.default_rng(case.seed).permutation(int(np.prod(shape)))
    ours = Tensor(numbers.reshape(shape).astype(float))
    theirs = torch.tensor(ours.data, requires_grad=True)
    y = pool(ours, case.size, case.stride)
    expected = getattr(torch.nn.functional, name)(theirs, case.size, case.stride)
    seed = case.numbers(y.shape).astype(float)
    y.backward(seed)
    expected.backward(torch.tensor(seed))

    np.testing.assert_allclose(y.data, expected.detach(), atol=1e-12)
    np.testing.assert_allclose(ours.grad, theirs.grad, atol=1e-12)


def test_windows_of_pytorch() -> None:
    """`unfold` has the same numbers, with all axes of a window in one."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = torch.arange(2 * 3 * 5 * 6, dtype=torch.float64).reshape(2, 3, 5, 6)
    ours = windows(x, (2, 3), (2, 1))
    theirs = torch.nn.functional.unfold(x, (2, 3), stride=(2, 1))
    assert torch.equal(ours.reshape(theirs.shape), theirs)

    expected = torch.nn.functional.fold(theirs, (5, 6), (2, 3), stride=(2, 1))
    assert torch.equal(fold(ours, (5, 6), (2, 1)), expected)


# --- graphs


def test_the_stride_of_a_pool_is_its_size() -> None:
    """Without one, no two windows overlap."""
    x = np.arange(48.0).reshape(6, 8)

    for pool in (max_pool2d, avg_pool2d):
        assert np.array_equal(pool(x, (2, 3)).data, pool(x, (2, 3), (2, 3)).data)


def test_a_constant_has_no_node() -> None:
    """Images that are arrays cost no gradient, and no more do weights."""
    x, w = np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2))
    leaf = Tensor(w)
    names = [v._op for v in topological_order(conv2d(x, leaf, padding=1)) if v._op]
    assert names == ["reshape", "@", "reshape"]

    leaf = Tensor(x)
    names = [v._op for v in topological_order(conv2d(leaf, w, padding=1)) if v._op]
    assert names == ["pad2d", "windows", "reshape", "@", "reshape"]

    assert isinstance(windows(x, 2), np.ndarray)
    assert isinstance(conv2d(x, w), Tensor)
    assert isinstance(max_pool2d(x, 2), Tensor)


def test_lists_are_arrays() -> None:
    """Nested lists are taken, as for a Tensor."""
    y = conv2d([[[[1.0, 2.0, 4.0]]]], [[[[-1.0, 1.0]]]], [0.5])

    assert y.data.tolist() == [[[[1.5, 2.5]]]]
    assert max_pool2d([[1, 5], [3, 2]], 2).data.tolist() == [[5]]


def test_numbers_of_numpy_are_whole_numbers() -> None:
    """A length may come out of an array."""
    x = np.ones((1, 1, 4, 4))
    y = conv2d(x, x[..., :2, :2], stride=np.int64(2), padding=[np.int64(1), 0])

    assert y.shape == (1, 1, 3, 2)


def test_a_length_is_whatever_is_an_index() -> None:
    """As for a slice, `__index__` decides what is a whole number."""

    class Two:
        def __index__(self) -> int:
            return 2

    x = np.ones((4, 4))

    assert windows(x, Two(), [Two(), 1]).shape == (2, 2, 2, 3)
    with pytest.raises(ValueError, match=r"size is array\(\[2, 2\]\)"):
        windows(x, np.array([2, 2]))


def test_operands_of_two_levels() -> None:
    """Images of an outer gradient meet weights of an inner one."""
    x, w = np.arange(9.0).reshape(1, 1, 3, 3), np.ones((1, 1, 2, 2))

    def outer(x: Any) -> Any:
        return (grad(lambda w: (conv2d(x, w) ** 2).sum())(w) ** 2).sum()

    def changed(x: Any) -> Any:
        return float(plain_array(outer(x)))

    found, nudge = grad(outer)(x), np.zeros_like(x)
    nudge[0, 0, 1, 2] = 1e-4
    slope = (changed(x + nudge) - changed(x - nudge)) / 2e-4

    assert found[0, 0, 1, 2] == pytest.approx(slope, rel=1e-6)


def test_without_a_graph() -> None:
    """Inside `no_grad` nothing is recorded."""
    x = Tensor(np.ones((1, 1, 3, 3)))
    with no_grad():
        y = max_pool2d(conv2d(x, Tensor(np.ones((1, 1, 2, 2)))), 2)

    assert y._parents == ()
    assert y._backward is None


def test_operands_stay_as_they_were() -> None:
    """Nothing is written into an operand, a result or a gradient."""
    x, w = np.arange(16.0).reshape(1, 1, 4, 4), np.ones((1, 1, 2, 2))
    leaves = Tensor(x.copy()), Tensor(w.copy())
    y = conv2d(*leaves, padding=1)
    seed = np.ones(y.shape)
    for array in (leaves[0].data, leaves[1].data, y.data, seed):
        array.flags.writeable = False
    y.backward(seed)
    first = leaves[0].grad.copy()
    y.backward(seed)

    assert np.array_equal(leaves[0].grad, 2 * first)


# --- errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: conv2d(np.ones((1, 2, 4, 4)), np.ones((1, 3, 2, 2))),
            r"conv2d: shapes \(1, 2, 4, 4\) and \(1, 3, 2, 2\) do not fit",
        ),
        (
            lambda: conv2d(np.ones((2, 4, 4)), np.ones((1, 2, 2, 2))),
            r"conv2d: shapes \(2, 4, 4\) and \(1, 2, 2, 2\) do not fit",
        ),
        (
            lambda: conv2d(np.ones((1, 1, 2, 4)), np.ones((1, 1, 5, 2)), padding=1),
            r"conv2d: windows of shape \(5, 2\) .* images of shape \(1, 1, 4, 6\)",
        ),
        (
            lambda: conv2d(np.ones((1, 1, 2, 2)), np.ones((3, 1, 2, 2)), np.ones(1)),
            r"conv2d: a bias of shape \(1,\) does not fit 3 channels",
        ),
        (
            lambda: conv2d(np.ones((1, 1, 2, 2)), np.ones((3, 1, 2, 2)), stride=0),
            "conv2d: stride is 0, not a whole number from 1 on",
        ),
        (
            lambda: conv2d(np.ones((1, 1, 2, 2)), np.ones((3, 1, 2, 2)), padding=-1),
            "conv2d: padding is -1, not a whole number from 0 on",
        ),
        (
            lambda: max_pool2d(np.ones((2, 2)), 3),
            r"max_pool2d: windows of shape \(3, 3\) .* images of shape \(2, 2\)",
        ),
        (
            lambda: avg_pool2d(np.ones((2, 2)), (1, 3)),
            r"avg_pool2d: windows of shape \(1, 3\) .* images of shape \(2, 2\)",
        ),
        (
            lambda: windows(np.ones(2), 1),
            r"windows: windows of shape \(1, 1\) .* images of shape \(2,\)",
        ),
        (
            lambda: windows(np.ones((2, 2)), (1, 2, 3)),
            r"windows: size is \(1, 2, 3\), not a whole number from 1 on, or two",
        ),
        (
            lambda: windows(np.ones((2, 2)), 1.5),  # type: ignore[arg-type]
            "windows: size is 1.5, not a whole number",
        ),
        (
            lambda: fold(np.ones((2, 2, 3, 3)), (4, 5)),
            r"fold: images of shape \(4, 5\) have windows of shape "
            r"\(2, 2, 3, 4\), not \(2, 2, 3, 3\)",
        ),
        (
            lambda: fold(np.ones((3, 3)), (4, 5)),
            r"fold: windows have the shape \(…, kh, kw, oh, ow\), not \(3, 3\)",
        ),
        (
            lambda: pad2d(np.ones(3), 1),
            r"pad2d: shape \(3,\) is not that of images",
        ),
        (
            lambda: pad2d(np.ones((3, 3)), (1, -1)),
            r"pad2d: padding is \(1, -1\), not a whole number from 0 on",
        ),
    ],
)
def test_errors_name_the_operation_and_the_shapes(
    call: Callable[[], Any], message: str
) -> None:
    """What does not fit is refused, with what it did not fit."""
    with pytest.raises(ValueError, match=message):
        call()


def test_a_grid_is_made_once() -> None:
    """The windows of one shape are looked up, and not worked out again."""
    from prosegrad.windows import grid_of

    asked = ("page", (4, 4), (2, 2), (1, 1))

    assert grid_of(*asked) is grid_of(*asked)
    assert Grid(*asked).windows == (2, 2, 3, 3)
