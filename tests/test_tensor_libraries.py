"""Every operation on one small array, in NumPy, PyTorch and JAX."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from prosegrad import cross_entropy, grad, mean_squared_error
from prosegrad.tensor import Tensor, concat, linear, stack, where

from .tensors import MASK, A, Library, assert_close, like, opened, weights

Function = Callable[..., Any]


@pytest.fixture(scope="module", params=["numpy", "torch", "jax"])
def library(request: pytest.FixtureRequest) -> Iterator[Library]:
    with opened(request.param) as found:
        yield found


UNARY = (
    "exp expm1 log log1p sqrt sin cos tan asin acos atan sinh cosh tanh sigmoid "
    "softplus relu leaky_relu silu gelu"
)
OPERATIONS: dict[str, Function] = {
    **{name: lambda x, name=name: getattr(x / 8, name)() for name in UNARY.split()},
    "abs": lambda x: abs(x - 3.5),
    "neg": lambda x: -x,
    "+ 2.5": lambda x: x + 2.5,
    "2.5 +": lambda x: 2.5 + x,
    "- 2": lambda x: x - 2,
    "2 -": lambda x: 2 - x,
    "* 2": lambda x: x * 2,
    "2.5 *": lambda x: 2.5 * x,
    "/ 2": lambda x: x / 2,
    "1 /": lambda x: 1 / x,
    "** 2": lambda x: x**2,
    "** 0.5": lambda x: x**0.5,
    "** -1": lambda x: x**-1,
    "2 **": lambda x: 2**x,
    "** array": lambda x: x ** like(np.array([1.5, 2.0, 0.25]), x),
    "array **": lambda x: like(A(3), x) ** x,
    "** itself": lambda x: (x / 2) ** (x / 3),
    "* column": lambda x: x * x[:, :1],
    "array *": lambda x: like(A(3), x) * x,
    "* array": lambda x: x * like(A(2, 1), x),
    "array -": lambda x: like(A(4, 1, 1), x) - x,
    "array /": lambda x: like(A(3), x) / x,
    "array @": lambda x: like(A(2, 2), x) @ x,
    "@ array": lambda x: x @ like(A(3), x),
    "maximum 2.5": lambda x: x.maximum(2.5),
    "maximum": lambda x: x.maximum(x[0] * 2 - 0.5),
    "minimum 2.5": lambda x: x.minimum(2.5),
    "minimum": lambda x: x.minimum(x[:, :1] * 2 - 0.5),
    "where": lambda x: where(like(MASK, x), x, x[0] * x[0]),
    "where 0.5": lambda x: where(like(MASK, x), x, 0.5),
    "0.5 where": lambda x: where(x > 3.5, 0.5, x),
    "sum": lambda x: x.sum() * x,
    "sum 0": lambda x: x.sum(0) * x,
    "sum keepdims": lambda x: x.sum(-1, keepdims=True) * x,
    "sum (1, 0)": lambda x: x.sum((1, 0)),
    "mean": lambda x: x.mean((0,)),
    "max": lambda x: x.max(),
    "max 1": lambda x: x.max(1, keepdims=True) * x,
    "min 0": lambda x: x.min(0),
    "logsumexp": lambda x: x.logsumexp(),
    "logsumexp 1": lambda x: x.logsumexp(1, keepdims=True),
    "logsumexp (0, 1)": lambda x: x.logsumexp((0, 1)),
    "softmax": lambda x: x.softmax(),
    "softmax 0": lambda x: x.softmax(0),
    "softmax None": lambda x: x.softmax(None),
    "cross_entropy": lambda x: cross_entropy(x, [2, 0]),
    "mean_squared_error": lambda x: mean_squared_error(x, x * x),
    "reshape": lambda x: x.reshape(3, -1),
    "permute_dims": lambda x: x.permute_dims((1, 0)),
    "T": lambda x: x.T,
    "mT": lambda x: x.mT,
    "broadcast_to": lambda x: x.broadcast_to((2, 2, 3)),
    "expand_dims": lambda x: x.expand_dims(1),
    "[0]": lambda x: x[0],
    "[..., 1:]": lambda x: x[..., 1:],
    "[None]": lambda x: x[None, :, ::2],
    "[mask]": lambda x: x[like(MASK, x)],
    "[list]": lambda x: x[[0, 0, 1]],
    "[arrays]": lambda x: x[np.array([0, 1, 1]), np.array([2, 0, 0])],
    "[mixed]": lambda x: x[[1, 1], 1:],
    "take": lambda x: x.take([[0, 2], [2, 2]], axis=1),
    "take -1": lambda x: x.take(np.array([-1, 0]), -1),
    "add_at": lambda x: Tensor.add_at((4, 3), np.array([1, 1]), x),
    "@": lambda x: x @ x.T,
    "@ vector": lambda x: x @ x[0],
    "vector @": lambda x: x[:, 0] @ x,
    "vectors": lambda x: x[0] @ x[1],
    "stacks": lambda x: x.broadcast_to((2, 2, 3)) @ x.T,
    "linear": lambda x: linear(x, x.T, x[:, 0]),
    "linear 1.0": lambda x: linear(x, x.T, 1.0),
    "concat": lambda x: concat([x, x * x], 1),
    "concat array": lambda x: concat([x, like(A(1, 3), x)]),
    "stack": lambda x: stack([x, x * x], -1),
}


def squares(f: Function) -> Function:
    """Return a number with curvature made of the result of `f`."""

    def score(x: Any) -> Any:
        y = f(x)
        return (y * y * like(weights(y.shape), y)).sum()

    return score


def bend(f: Function) -> Function:
    """Return the product of the Hessian of `squares(f)` with a direction."""

    def slope(x: Any) -> Any:
        return (grad(squares(f))(x) * like(weights((2, 3), 2.0), x)).sum()

    return grad(slope)


@pytest.mark.parametrize("name", OPERATIONS)
def test_libraries_agree(name: str, library: Library) -> None:
    """Result, gradient and second derivative are NumPy's, of the library's kind."""
    f = OPERATIONS[name]
    x, reference = Tensor(library.array(A(2, 3))), Tensor(A(2, 3))
    y, expected = f(x), f(reference)
    seed = weights(expected.shape)
    y.backward(library.array(seed))
    expected.backward(seed)

    assert y.dtype == x.grad.dtype == library.dtype("float64")
    assert library.owns(y.data)
    assert library.owns(x.grad)
    assert_close(y.data, expected.data)
    assert_close(x.grad, reference.grad)
    found = bend(f)(library.array(A(2, 3)))
    assert library.owns(found)
    assert_close(found, bend(f)(A(2, 3)), 1e-11)


@pytest.mark.parametrize("name", OPERATIONS)
def test_float32_stays(name: str, library: Library) -> None:
    """Python numbers take the precision of the array, forward and back."""
    if library.name == "jax" and not any(c.isdigit() for c in name):
        pytest.skip("JAX would compile each operation once more")
    x = Tensor(library.array(A(2, 3), "float32"))
    y = OPERATIONS[name](x) if "array" not in name else x.maximum(2.5)
    (y * 2.5).sum().backward()

    assert y.dtype == x.grad.dtype == library.dtype("float32")


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_gradient_of_higher_precision_is_cast(name: str) -> None:
    """The gradient has the precision of its leaf, whatever it meets."""
    x = Tensor(np.float32(A(2, 3)))
    y = OPERATIONS[name](x)
    (y * np.full(y.shape, 2.5)).sum().backward()

    assert x.grad.dtype == np.float32


WHOLE = sorted(set(OPERATIONS) - {"** -1", "maximum 2.5", "minimum 2.5"})


@pytest.mark.parametrize("name", WHOLE)
def test_whole_numbers(name: str) -> None:
    """Whole numbers are computed with as NumPy does; no gradient is rounded."""
    f = OPERATIONS[name]
    x, reference = Tensor(A(2, 3).astype(int)), Tensor(A(2, 3))
    y, expected = f(x), f(reference)
    seed = weights(expected.shape)
    y.backward(seed)
    expected.backward(seed)

    assert_close(y.data, expected.data)
    assert_close(x.grad, reference.grad)
