"""Who trains on whole arrays: each library, used as its users do.

    python -m tests.benchmarks.trainers NAME

serves one of them; see `processes`. As in `contenders`, a trainer is a
function that returns what it can do, and imports its library only there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from .contenders import Builders, module
from .processes import Run, serve
from .steps import STEPS, Convolution, Digits, Step, Text

Kinds = Mapping[type, Callable[[Any], Run]]
"""Who makes a run of which kind of step."""


def builders(kinds: Kinds) -> Builders:
    return {
        name: partial(kinds[type(step)], step)
        for name, step in STEPS.items()
        if type(step) in kinds
    }


def run_of(step: Step, start: Any, once: Any, arrays: Any = list) -> Run:
    """Return steps of training, each from where the last one ended.

    Args:
        step: What is trained.
        start: The parameters, in whatever a library likes.
        once: Makes a loss and new parameters of parameters.
        arrays: Makes a list of arrays of parameters, as ours are.
    """
    parameters = start

    def go() -> Any:
        nonlocal parameters
        loss, parameters = once(parameters)
        return loss, parameters

    def read(result: Any) -> list[float]:
        loss, new = result
        return [float(loss), *step.gradient(arrays(new))]

    return Run(go, read)


# By hand


def numpy() -> Builders:
    """Backpropagation as one writes it with a pencil, in place."""
    np = module("numpy")

    def of_digits(t: Digits) -> Run:
        x, y = t.data()
        rows = np.arange(len(y))

        def once(parameters: Any) -> Any:
            w1, b1, w2, b2 = parameters
            h = x @ w1 + b1
            a = np.maximum(h, 0.0)
            z = a @ w2 + b2
            z -= z.max(axis=1, keepdims=True)
            delta = np.exp(z)
            total = delta.sum(axis=1, keepdims=True)
            loss = (np.log(total[:, 0]) - z[rows, y]).mean()
            delta /= total
            delta[rows, y] -= 1.0
            delta /= len(y)
            below = (delta @ w2.T) * (h > 0.0)
            slopes = [x.T @ below, below.sum(0), a.T @ delta, delta.sum(0)]
            for p, slope in zip(parameters, slopes):
                p -= t.rate * slope
            return loss, parameters

        return run_of(t, t.parameters(), once)

    return builders({Digits: of_digits})


# prosegrad


def loss_of_digits(t: Digits, parameters: Sequence[Any], x: Any, y: Any) -> Any:
    from prosegrad import cross_entropy
    from prosegrad.tensor import linear

    for i in range(0, len(parameters) - 2, 2):
        x = linear(x, *parameters[i : i + 2]).relu()
    return cross_entropy(linear(x, *parameters[-2:]), y)


def loss_of_convolution(
    t: Convolution, parameters: Sequence[Any], x: Any, y: Any
) -> Any:
    from prosegrad import mean_squared_error
    from prosegrad.windows import conv2d

    weight, bias = parameters
    return mean_squared_error(conv2d(x, weight, bias, padding=1), y)


def eager() -> Builders:
    """Our engine as it is: a graph for each step, and `SGD`."""
    from prosegrad import SGD, Tensor, cross_entropy

    def trained(t: Step, parameters: Any, loss_of_batch: Any) -> Run:
        optimiser = SGD(parameters, t.rate)

        def once(parameters: Any) -> Any:
            optimiser.zero_grad()
            loss = loss_of_batch()
            loss.backward()
            optimiser.step()
            return loss.data, parameters

        return run_of(t, parameters, once, lambda ps: [p.data for p in ps])

    def of_digits(t: Digits) -> Run:
        parameters = [Tensor(p) for p in t.parameters()]
        return trained(t, parameters, partial(loss_of_digits, t, parameters, *t.data()))

    def of_text(t: Text) -> Run:
        model, (tokens, targets) = t.model(), t.data()
        return trained(
            t, model.parameters(), lambda: cross_entropy(model(tokens), targets)
        )

    def of_convolution(t: Convolution) -> Run:
        parameters = [Tensor(p) for p in t.parameters()]
        x, y = t.data()

        def loss() -> Any:
            images = Tensor(x) if t.inner else x
            return loss_of_convolution(t, parameters, images, y)

        return trained(t, parameters, loss)

    return builders({Digits: of_digits, Text: of_text, Convolution: of_convolution})


def compiled() -> Builders:
    """The whole step, forward, backward and update, by `jit_arrays`."""
    from prosegrad import cross_entropy, jit_arrays, value_and_grad
    from prosegrad.layers import functional_call

    def trained(t: Step, loss_of_batch: Any) -> Run:
        x, y = t.data()

        def step(parameters: Any, x: Any, y: Any) -> Any:
            loss, slopes = value_and_grad(loss_of_batch)(parameters, x, y)
            return loss, [p - t.rate * s for p, s in zip(parameters, slopes)]

        jitted = jit_arrays(step)
        return run_of(t, t.parameters(), lambda ps: jitted(ps, x, y))

    def of_text(t: Text) -> Run:
        model = t.model()
        names = [name for name, _ in model.named_parameters()]

        def loss(parameters: Any, tokens: Any, targets: Any) -> Any:
            named = dict(zip(names, parameters))
            return cross_entropy(functional_call(model, named, tokens), targets)

        return trained(t, loss)

    def of_convolution(t: Convolution) -> Run:
        if t.inner:
            return trained_with_images(t)
        return trained(t, partial(loss_of_convolution, t))

    def trained_with_images(t: Convolution) -> Run:
        both = value_and_grad(partial(loss_of_convolution, t), (0, 1))

        def step(parameters: Any, x: Any, y: Any) -> Any:
            loss, (slopes, of_images) = both(parameters, x, y)
            new = [p - t.rate * s for p, s in zip(parameters, slopes)]
            return loss, new, of_images

        x, y = t.data()
        jitted = jit_arrays(step)
        return run_of(t, t.parameters(), lambda ps: jitted(ps, x, y)[:2])

    def of_digits(t: Digits) -> Run:
        return trained(t, partial(loss_of_digits, t))

    return builders({Digits: of_digits, Text: of_text, Convolution: of_convolution})


# Others


def jax() -> Builders:
    """`jax.jit` of the whole step; we wait until the result is there."""
    library = module("jax")
    jnp = library.numpy

    def of_digits(t: Digits) -> Run:
        x, y = map(jnp.asarray, t.data())

        def loss(parameters: Any, x: Any, y: Any) -> Any:
            w1, b1, w2, b2 = parameters
            z = library.nn.relu(x @ w1 + b1) @ w2 + b2
            right = jnp.take_along_axis(z, y[:, None], axis=1)[:, 0]
            return (library.nn.logsumexp(z, axis=1) - right).mean()

        def step(parameters: Any, x: Any, y: Any) -> Any:
            value, slopes = library.value_and_grad(loss)(parameters, x, y)
            return value, [p - t.rate * s for p, s in zip(parameters, slopes)]

        jitted = library.jit(step)

        def once(parameters: Any) -> Any:
            return library.block_until_ready(jitted(parameters, x, y))

        return run_of(t, [*map(jnp.asarray, t.parameters())], once)

    return builders({Digits: of_digits})


def autograd() -> Builders:
    np, library = module("autograd.numpy"), module("autograd")

    def of_digits(t: Digits) -> Run:
        x, y = t.data()
        right = np.eye(t.sizes[-1], dtype=t.dtype)[y]

        def loss(parameters: Any) -> Any:
            w1, b1, w2, b2 = parameters
            z = np.dot(np.maximum(np.dot(x, w1) + b1, 0.0), w2) + b2
            z = z - np.max(z, axis=1, keepdims=True)
            total = np.log(np.sum(np.exp(z), axis=1))
            return np.mean(total - np.sum(z * right, axis=1))

        both = library.value_and_grad(loss)

        def once(parameters: Any) -> Any:
            value, slopes = both(parameters)
            return value, [p - t.rate * s for p, s in zip(parameters, slopes)]

        return run_of(t, t.parameters(), once)

    return builders({Digits: of_digits})


def mygrad() -> Builders:
    """MyGrad without its guard of memory, which makes small tensors faster."""
    library = module("mygrad")
    library.turn_memory_guarding_off()
    relu = module("mygrad.nnet.activations").relu
    cross_entropy = module("mygrad.nnet.losses").softmax_crossentropy

    def of_digits(t: Digits) -> Run:
        x, y = t.data()

        def once(parameters: Any) -> Any:
            w1, b1, w2, b2 = parameters
            hidden = relu(library.matmul(x, w1) + b1)
            loss = cross_entropy(library.matmul(hidden, w2) + b2, y)
            loss.backward()
            for p in parameters:
                p.data -= t.rate * p.grad
            return loss.data, parameters

        start = [library.tensor(p) for p in t.parameters()]
        return run_of(t, start, once, lambda ps: [p.data for p in ps])

    return builders({Digits: of_digits})


def in_torch(p: Any, transposed: bool = False) -> Any:
    """Return a parameter for PyTorch, whose weights are `(out, in)`."""
    array = p.T.copy() if transposed else p.copy()
    return module("torch").from_numpy(array).requires_grad_()


def out_of_torch(p: Any, transposed: bool = False) -> Any:
    array = p.detach().numpy()
    return array.T if transposed else array


def logits_in_torch(F: Any, t: Text, named: Mapping[str, Any], tokens: Any) -> Any:
    """Return what a GPT of these parameters makes of tokens."""
    n = t.n_features

    def normal(x: Any, name: str) -> Any:
        return F.layer_norm(x, (n,), named[f"{name}.weight"], named[f"{name}.bias"])

    def linear(x: Any, name: str) -> Any:
        return F.linear(x, named[f"{name}.weight"], named.get(f"{name}.bias"))

    def attention(x: Any, name: str) -> Any:
        parts = linear(x, f"{name}.qkv").unflatten(-1, (3, t.n_heads, -1))
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        found = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return linear(found.transpose(1, 2).flatten(2), f"{name}.out")

    x = F.embedding(tokens, named["tokens.weight"]) + named["positions.weight"]
    for i in range(t.n_blocks):
        block = f"blocks.{i}"
        x = x + attention(normal(x, f"{block}.norm1"), f"{block}.attention")
        hidden = linear(normal(x, f"{block}.norm2"), f"{block}.mlp.layers.0")
        hidden = F.gelu(hidden, approximate="tanh")
        x = x + linear(hidden, f"{block}.mlp.layers.1")
    return linear(normal(x, "norm"), "out")


def torch(by_hand: bool = False) -> Builders:
    """PyTorch, eager: `torch.nn.functional` and `torch.optim.SGD`.

    Args:
        by_hand: Update the parameters with a loop instead of the optimiser,
            which has a price of its own.
    """
    library = module("torch")
    library.set_num_threads(1)
    F = library.nn.functional

    def trained(
        t: Step, parameters: list[Any], turned: list[bool], loss_of_batch: Any
    ) -> Run:
        optimiser = library.optim.SGD(parameters, lr=t.rate)

        def once(parameters: Any) -> Any:
            optimiser.zero_grad()
            loss = loss_of_batch()
            loss.backward()
            optimiser.step()
            return loss.detach(), parameters

        def once_by_hand(parameters: Any) -> Any:
            loss = loss_of_batch()
            loss.backward()
            with library.no_grad():
                for p in parameters:
                    p.sub_(p.grad, alpha=t.rate)
                    p.grad = None
            return loss.detach(), parameters

        def arrays(parameters: Any) -> Any:
            return [*map(out_of_torch, parameters, turned)]

        return run_of(t, parameters, once_by_hand if by_hand else once, arrays)

    def of_digits(t: Digits) -> Run:
        x, y = map(library.from_numpy, t.data())
        start = t.parameters()
        turned = [p.ndim == 2 for p in start]
        w1, b1, w2, b2 = parameters = [*map(in_torch, start, turned)]

        def loss() -> Any:
            hidden = F.relu(F.linear(x, w1, b1))
            return F.cross_entropy(F.linear(hidden, w2, b2), y)

        return trained(t, parameters, turned, loss)

    def of_text(t: Text) -> Run:
        tokens, targets = map(library.from_numpy, t.data())
        named = t.model().named_parameters()
        tables = ("tokens.weight", "positions.weight")
        turned = [p.ndim == 2 and name not in tables for name, p in named]
        arrays = [p.data for _, p in named]
        parameters = [*map(in_torch, arrays, turned)]
        by_name = {name: p for (name, _), p in zip(named, parameters)}

        def loss() -> Any:
            logits = logits_in_torch(F, t, by_name, tokens)
            return F.cross_entropy(logits.flatten(0, 1), targets.flatten())

        return trained(t, parameters, turned, loss)

    def of_convolution(t: Convolution) -> Run:
        x, y = map(library.from_numpy, t.data())
        weight, bias = parameters = [*map(in_torch, t.parameters())]

        def loss() -> Any:
            images = x.detach().requires_grad_() if t.inner else x
            return F.mse_loss(F.conv2d(images, weight, bias, padding=1), y)

        return trained(t, parameters, [False, False], loss)

    kinds: Kinds = {Digits: of_digits}
    if not by_hand:
        kinds = {**kinds, Text: of_text, Convolution: of_convolution}
    return builders(kinds)


TRAINERS: dict[str, tuple[str, Callable[[], Builders]]] = {
    "numpy": ("NumPy, written by hand", numpy),
    "eager": ("prosegrad, eager", eager),
    "compiled": ("prosegrad, `jit_arrays`", compiled),
    "torch": ("PyTorch, eager", torch),
    "torch-hand": ("PyTorch, eager, updated by hand", partial(torch, by_hand=True)),
    "jax": ("JAX, `jax.jit`", jax),
    "autograd": ("HIPS autograd", autograd),
    "mygrad": ("MyGrad", mygrad),
}
"""Titles and makers."""


if __name__ == "__main__":
    serve(TRAINERS[sys.argv[1]][1])
