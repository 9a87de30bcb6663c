"""Who computes value and gradient: each library, used as its users do.

    python -m tests.benchmarks.contenders NAME

serves one of them; see `processes`. A contender is a function that returns
what it can do, by the names of the problems. Its library is imported only
there, so a library that is not installed leaves out no other.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from .problems import (
    FUNCTIONS,
    TRAININGS,
    Function,
    Network,
    Training,
    numbers_in,
    numbers_of_layers,
)
from .processes import Run, serve

Builders = dict[str, Callable[[], Run]]


def module(name: str) -> Any:
    """Import a library that may not be there, and has no types."""
    return importlib.import_module(name)


def pair(result: Any) -> list[float]:
    """Read a value and a gradient, of any kind of number."""
    value, gradient = result
    tolist = getattr(gradient, "tolist", None)
    return [float(value), *(gradient if tolist is None else tolist())]


def builders(
    of_function: Callable[[Function], Run],
    of_training: Callable[[Training], Run] | None = None,
) -> Builders:
    found: Builders = {k: partial(of_function, f) for k, f in FUNCTIONS.items()}
    if of_training is not None:
        found |= {k: partial(of_training, t) for k, t in TRAININGS.items()}
    return found


class Descent:
    """Steps of training, each from where the last one ended."""

    def __init__(self, training: Training, start: Any, step: Any) -> None:
        self.training = training
        self.parameters = start
        self.once = step

    def step(self) -> Any:
        loss, self.parameters = self.once(self.parameters)
        return loss, self.parameters

    def run(self, numbers: Callable[[Any], Any] = numbers_in) -> Run:
        def read(result: Any) -> list[float]:
            loss, parameters = result
            new = [float(number) for number in numbers(parameters)]
            return [float(loss), *self.training.gradient(new)]

        return Run(self.step, read)


# Python


def relu_of_float(x: float) -> float:
    return x if x > 0.0 else 0.0


def dot_of_floats(w: Sequence[float], x: Sequence[float], start: float) -> float:
    for a, b in zip(w, x, strict=True):
        start += a * b
    return start


def plain() -> Builders:
    """The function itself: the value alone."""

    def of_function(f: Function) -> Run:
        return Run(lambda: f.function(f.point), lambda value: [value])

    def of_training(t: Training) -> Run:
        network = t.network()
        return Run(
            lambda: t.loss(network, relu_of_float, dot_of_floats), lambda loss: [loss]
        )

    return builders(of_function, of_training)


def hand() -> Builders:
    """Value and gradient as one writes them with a pencil, on floats."""

    def of_function(f: Function) -> Run:
        return Run(lambda: f.by_hand(f.point), pair)

    def of_training(t: Training) -> Run:
        return Descent(t, t.network(), partial(step_by_hand, t)).run()

    return builders(of_function, of_training)


def step_by_hand(t: Training, network: Network) -> tuple[float, Network]:
    """One step of gradient descent with backpropagation written out."""
    slopes = [[[0.0] * len(n) for n in layer] for layer in network]
    loss = 0.0
    share = 1.0 / len(t.points) if t.hinge else 1.0
    for x, target in zip(t.points, t.targets):
        outputs = [x]
        for layer in network[:-1]:
            x = [relu_of_float(dot_of_floats(n[:-1], x, n[-1])) for n in layer]
            outputs.append(x)
        output = network[-1][0]
        score = dot_of_floats(output[:-1], x, output[-1])
        if t.hinge:
            margin = relu_of_float(1.0 - target * score)
            loss += margin * share
            deltas = [-target * share if margin > 0.0 else 0.0]
        else:
            loss += (score - target) ** 2
            deltas = [2.0 * (score - target)]
        for i in range(len(network) - 1, -1, -1):
            x = outputs[i]
            below = [0.0] * len(x)
            for n, slope, delta in zip(network[i], slopes[i], deltas):
                if delta != 0.0:
                    slope[-1] += delta
                    for j, number in enumerate(x):
                        slope[j] += delta * number
                        below[j] += delta * n[j]
            deltas = [d if number > 0.0 else 0.0 for d, number in zip(below, x)]
    shrink = 2e-4 if t.hinge else 0.0
    if t.hinge:
        loss += 1e-4 * sum(p * p for p in numbers_in(network))
    return loss, [
        [
            [p - t.rate * (s + shrink * p) for p, s in zip(n, slope)]
            for n, slope in zip(layer, layer_slopes)
        ]
        for layer, layer_slopes in zip(network, slopes)
    ]


# prosegrad


def relu_of_value(x: Any) -> Any:
    return x.relu()


def whole_step(t: Training, network: Network) -> Any:
    """One step of gradient descent, for `jit` or as it is."""
    from prosegrad import dot, value_and_grad

    def loss(network: Network) -> Any:
        return t.loss(network, relu_of_value, dot)

    value, slopes = value_and_grad(loss)(network)
    kind = type(network)
    return value, kind(
        kind(kind(p - t.rate * s for p, s in zip(*pairs)) for pairs in zip(*layers))
        for layers in zip(network, slopes)
    )


def eager() -> Builders:
    """Our engine as it is: a graph for each call."""
    from prosegrad import value_and_grad

    def of_function(f: Function) -> Run:
        both = value_and_grad(f.function)
        return Run(lambda: both(f.point), pair)

    def of_training(t: Training) -> Run:
        return Descent(t, t.network(), partial(whole_step, t)).run()

    return builders(of_function, of_training)


def compiled() -> Builders:
    """`jit`, the code run by Python itself; the moons step by `batch_mean`."""
    from prosegrad import jit, value_and_grad

    def of_function(f: Function) -> Run:
        both = jit(value_and_grad(f.function))
        return Run(lambda: both(f.point), pair)

    def of_training(t: Training) -> Run:
        if t.hinge:
            return batch_in_numpy(t)
        return Descent(t, t.network(), jit(partial(whole_step, t))).run()

    return builders(of_function, of_training)


def loss_and_slopes_of_point(t: Training) -> Any:
    """Return a function of (parameters, x, target), for one point.

    The parameters are one list, and so are the slopes.
    """
    from prosegrad import dot, value_and_grad

    shape = t.network()

    def loss(parameters: Any, x: Any, target: Any) -> Any:
        score = t.score(nested(shape, parameters), x, relu_of_value, dot)
        return t.loss_of_point(score, target, relu_of_value)

    return value_and_grad(loss)


def batch_in_numpy(t: Training) -> Run:
    """The loss of a point, packed into matrix products over the batch."""
    from prosegrad import batch_mean

    np = module("numpy")

    both = batch_mean(loss_and_slopes_of_point(t), (None, 0, 0))
    points, targets = np.array(t.points), np.array(t.targets)

    def step(parameters: Any) -> Any:
        loss, slopes = both(parameters, points, targets)
        gradient = slopes + 2e-4 * parameters
        loss = loss + 1e-4 * (parameters @ parameters)
        return loss, parameters - t.rate * gradient

    return Descent(t, np.array(t.parameters), step).run(list)


def nested(shape: Network, numbers: list[float]) -> Network:
    """Return the numbers in the lists of a network."""
    found: list[Any] = []
    i = 0
    for layer in shape:
        found.append([])
        for n in layer:
            found[-1].append(numbers[i : i + len(n)])
            i += len(n)
    return found


def numba_tuples() -> Builders:
    """`jit(f, compiler=numba.njit)`, called with tuples of floats."""
    from prosegrad import jit, value_and_grad

    njit = module("numba").njit

    def of_function(f: Function) -> Run:
        both = jit(value_and_grad(f.function), compiler=njit)
        point = tuple(f.point)
        return Run(lambda: both(point), pair)

    def of_xor() -> Run:
        t = TRAININGS["xor"]
        step = jit(partial(whole_step, t), compiler=njit)
        return Descent(t, t.network(tuple), step).run()

    return builders(of_function) | {"xor": of_xor}


def straight_line(f: Callable[..., Any], *args: Any) -> Any:
    """Return the straight-line function that `jit` makes of `f`."""
    from prosegrad import jit

    found: list[Any] = []

    def keep(function: Any) -> Any:
        found.append(function)
        return function

    jit(f, compiler=keep)(*args)
    return found[0]


def numba_arrays() -> Builders:
    """The code that `jit` writes under `numba.njit`, called with arrays."""
    from prosegrad import value_and_grad

    np = module("numpy")

    njit = module("numba").njit

    def of_function(f: Function) -> Run:
        point = np.array(f.point)
        both = njit(straight_line(value_and_grad(f.function), f.point))
        return Run(lambda: both(point), pair)

    def of_training(t: Training) -> Run:
        # A tuple of slopes: Numba makes one on the stack, and a list not.
        args = (tuple(t.parameters), t.points[0], t.targets[0])
        of_point = njit(straight_line(loss_and_slopes_of_point(t), *args))
        points, targets = np.array(t.points), np.array(t.targets)
        share, shrink = (1 / len(points), 1e-4) if t.hinge else (1.0, 0.0)
        rate = t.rate

        def step(parameters: Any) -> Any:
            loss, gradient = 0.0, np.zeros_like(parameters)
            for i in range(len(targets)):
                value, slopes = of_point(parameters, points[i], targets[i])
                loss += value
                for k in range(len(gradient)):
                    gradient[k] += slopes[k]
            loss = loss * share + shrink * (parameters * parameters).sum()
            gradient = gradient * share + 2 * shrink * parameters
            return loss, parameters - rate * gradient

        return Descent(t, np.array(t.parameters), njit(step)).run(list)

    return builders(of_function, of_training)


# Others


def micrograd() -> Builders:
    engine, nn = module("micrograd.engine"), module("micrograd.nn")

    def of_function(f: Function) -> Run:
        def step() -> Any:
            x = [engine.Value(number) for number in f.point]
            y = f.function(x)
            y.backward()
            return y.data, [v.grad for v in x]

        return Run(step, pair)

    def of_training(t: Training) -> Run:
        model = nn.MLP(t.sizes[0], list(t.sizes[1:]))
        parameters = model.parameters()
        for p, number in zip(parameters, t.parameters, strict=True):
            p.data = number

        def step(parameters: Any) -> Any:
            scores = [model(x) for x in t.points]
            pairs = zip(scores, t.targets, strict=True)
            if t.hinge:
                loss = sum((1 + -y * s).relu() for s, y in pairs)
                loss = loss * (1.0 / len(scores))
                loss = loss + 1e-4 * sum(p * p for p in parameters)
            else:
                loss = sum((s - y) ** 2 for s, y in pairs)
            model.zero_grad()
            loss.backward()
            for p in parameters:
                p.data -= t.rate * p.grad
            return loss.data, parameters

        descent = Descent(t, parameters, step)
        return descent.run(lambda values: [v.data for v in values])

    return builders(of_function, of_training)


def casadi_function(ca: Any, f: Function) -> Any:
    x = ca.SX.sym("x", len(f.point))
    y = f.function([x[i] for i in range(len(f.point))])
    return ca.Function("both", [x], [y, ca.gradient(y, x)])


def casadi_step(ca: Any, t: Training) -> Any:
    p = ca.SX.sym("p", len(t.parameters))
    network = nested(t.network(), ca.vertsplit(p))
    loss = t.loss(network, lambda x: ca.fmax(x, 0.0), dot_of_floats)
    return ca.Function("step", [p], [loss, p - t.rate * ca.gradient(loss, p)])


def casadi_call() -> Builders:
    np = module("numpy")

    ca = module("casadi")

    def of_function(f: Function) -> Run:
        both, point = casadi_function(ca, f), np.array(f.point)
        return Run(lambda: both(point), read_casadi)

    def of_training(t: Training) -> Run:
        step = casadi_step(ca, t)
        start = ca.DM(t.parameters)
        return Descent(t, start, step).run(lambda p: p.full().ravel())

    return builders(of_function, of_training)


def read_casadi(result: Any) -> list[float]:
    value, gradient = result
    return [float(value), *gradient.full().ravel().tolist()]


def casadi_buffers() -> Builders:
    """CasADi's way to call a function without a copy or an allocation."""
    np = module("numpy")

    ca = module("casadi")

    def of_function(f: Function) -> Run:
        both = Buffered(casadi_function(ca, f), np.array(f.point))
        return Run(both.call, lambda _: [both.value[0], *both.vector])

    def of_training(t: Training) -> Run:
        both = Buffered(casadi_step(ca, t), np.array(t.parameters))

        def step(parameters: Any) -> Any:
            both.call()
            parameters[:] = both.vector
            return both.value[0], parameters

        return Descent(t, both.point, step).run(list)

    return builders(of_function, of_training)


class Buffered:
    """A CasADi function that reads and writes the same memory each time."""

    def __init__(self, function: Any, point: Any) -> None:
        np = module("numpy")

        self.point, self.value, self.vector = point, np.zeros(1), np.zeros(len(point))
        self.buffer, self.call = function.buffer()
        self.buffer.set_arg(0, memoryview(self.point))
        self.buffer.set_res(0, memoryview(self.value))
        self.buffer.set_res(1, memoryview(self.vector))


def jax() -> Builders:
    """`jax.jit`, on arrays; we wait until the result is there."""
    library = module("jax")
    jnp = library.numpy

    def of_function(f: Function) -> Run:
        both = library.jit(library.value_and_grad(lambda x: f.of_array(x, jnp)))
        point = jnp.array(f.point)
        return Run(lambda: library.block_until_ready(both(point)), pair)

    def of_training(t: Training) -> Run:
        points, targets = jnp.array(t.points), jnp.array(t.targets)

        def loss(layers: Any) -> Any:
            relu = library.nn.relu
            return t.loss_of_arrays(layers, points, targets, relu)

        def step(layers: Any) -> Any:
            value, slopes = library.value_and_grad(loss)(layers)
            return value, library.tree.map(lambda p, s: p - t.rate * s, layers, slopes)

        jitted = library.jit(step)

        def finished(layers: Any) -> Any:
            return library.block_until_ready(jitted(layers))

        return Descent(t, t.layers(jnp), finished).run(numbers_of_layers)

    return builders(of_function, of_training)


def autograd() -> Builders:
    np, library = module("autograd.numpy"), module("autograd")

    def of_function(f: Function) -> Run:
        both = library.value_and_grad(lambda x: f.of_array(x, np))
        point = np.array(f.point)
        return Run(lambda: both(point), pair)

    def of_training(t: Training) -> Run:
        points, targets = np.array(t.points), np.array(t.targets)

        def loss(layers: Any) -> Any:
            return t.loss_of_arrays(
                layers, points, targets, lambda x: np.maximum(x, 0.0)
            )

        both = library.value_and_grad(loss)

        def step(layers: Any) -> Any:
            value, slopes = both(layers)
            return value, descended(t, layers, slopes)

        return Descent(t, t.layers(np), step).run(numbers_of_layers)

    return builders(of_function, of_training)


def descended(t: Training, layers: Any, slopes: Any) -> Any:
    return [
        tuple(p - t.rate * s for p, s in zip(*pairs)) for pairs in zip(layers, slopes)
    ]


def torch() -> Builders:
    """PyTorch, eager, on tensors of float64."""
    library = module("torch")
    library.set_num_threads(1)
    tensor = partial(library.tensor, dtype=library.float64)

    def of_function(f: Function) -> Run:
        point = tensor(f.point).requires_grad_()

        def step() -> Any:
            y = f.of_array(point, library)
            (gradient,) = library.autograd.grad(y, point)
            return y.detach(), gradient

        return Run(step, pair)

    def of_training(t: Training) -> Run:
        points, targets = tensor(t.points), tensor(t.targets)
        layers = [
            (tensor(w).requires_grad_(), tensor(b).requires_grad_())
            for w, b in plain_layers(t)
        ]
        parameters = [p for layer in layers for p in layer]

        def step(layers: Any) -> Any:
            loss = t.loss_of_arrays(layers, points, targets, library.relu)
            slopes = library.autograd.grad(loss, parameters)
            with library.no_grad():
                for p, slope in zip(parameters, slopes):
                    p -= t.rate * slope
            return loss.detach(), layers

        return Descent(t, layers, step).run(numbers_of_layers)

    return builders(of_function, of_training)


def plain_layers(t: Training) -> Any:
    network = t.network()
    return [([n[:-1] for n in layer], [n[-1] for n in layer]) for layer in network]


def numpy() -> Builders:
    """Value and gradient as one writes them with a pencil, on arrays."""
    np = module("numpy")

    def of_function(f: Function) -> Run:
        point = np.array(f.point)
        return Run(lambda: f.by_hand_of_array(point, np), pair)

    def of_training(t: Training) -> Run:
        points, targets = np.array(t.points), np.array(t.targets)
        step = partial(step_in_numpy, np, t, points, targets)
        return Descent(t, t.layers(np), step).run(numbers_of_layers)

    return builders(of_function, of_training)


def step_in_numpy(np: Any, t: Training, points: Any, targets: Any, layers: Any) -> Any:
    outputs = [points]
    for w, b in layers[:-1]:
        outputs.append(np.maximum(outputs[-1] @ w.T + b, 0.0))
    ((w, b),) = layers[-1:]
    score = (outputs[-1] @ w.T + b)[:, 0]
    if t.hinge:
        margins = np.maximum(1.0 - targets * score, 0.0)
        loss = margins.sum() / len(points)
        loss += 1e-4 * sum((w * w).sum() + (b * b).sum() for w, b in layers)
        delta = np.where(margins > 0.0, targets / -len(points), 0.0)[:, None]
    else:
        errors = score - targets
        loss, delta = errors @ errors, 2.0 * errors[:, None]
    new = []
    shrink = 2e-4 if t.hinge else 0.0
    for (w, b), x in zip(reversed(layers), reversed(outputs)):
        slope, bias_slope = delta.T @ x, delta.sum(axis=0)
        delta = (delta @ w) * (x > 0.0)
        new.append(
            (w - t.rate * (slope + shrink * w), b - t.rate * (bias_slope + shrink * b))
        )
    return loss, new[::-1]


CONTENDERS: dict[str, tuple[str, Callable[[], Builders]]] = {
    "plain": ("Python, the value alone", plain),
    "hand": ("Python, written by hand", hand),
    "eager": ("prosegrad, eager", eager),
    "jit": ("prosegrad, `jit`", compiled),
    "numba": ("prosegrad, `jit` and Numba, tuples", numba_tuples),
    "numba-array": ("prosegrad, `jit` and Numba, arrays", numba_arrays),
    "micrograd": ("micrograd", micrograd),
    "casadi": ("CasADi, called", casadi_call),
    "casadi-buffer": ("CasADi, through buffers", casadi_buffers),
    "jax": ("JAX, `jax.jit`", jax),
    "autograd": ("HIPS autograd", autograd),
    "torch": ("PyTorch, eager", torch),
    "numpy": ("NumPy, written by hand", numpy),
}
"""Titles and makers."""


if __name__ == "__main__":
    serve(CONTENDERS[sys.argv[1]][1])
