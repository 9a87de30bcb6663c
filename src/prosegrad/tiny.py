"""An autograd engine in a hundred lines, and a network on top of it.

A `Value` is a number that remembers how it was computed. `backward`
walks from a result back to its inputs and leaves in each `grad` how
far the result moves when that number moves.

This file needs nothing but Python, so copy it anywhere. It is short
because it leaves things out: it is wrong at the edges, and the book
shows where. The class is that of Andrej Karpathy's micrograd.
"""

import math
import random


class Value:
    """A number that remembers how it was computed."""

    def __init__(self, data, _parents=(), _op=""):
        self.data = data
        self.grad = 0.0
        self._backward = lambda: None
        self._parents = tuple(_parents)
        self._op = _op

    def __repr__(self):
        return f"Value(data={self.data:.4f}, grad={self.grad:.4f})"

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data + other.data, (self, other), "+")

        def _backward():
            self.grad += out.grad
            other.grad += out.grad

        out._backward = _backward
        return out

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data * other.data, (self, other), "*")

        def _backward():
            self.grad += out.grad * other.data
            other.grad += out.grad * self.data

        out._backward = _backward
        return out

    def backward(self):
        """Fill in the `grad` of every number that leads to this one."""
        order, visited = [], set()

        def visit(node):
            if node not in visited:
                visited.add(node)
                for parent in node._parents:
                    visit(parent)
                order.append(node)

        visit(self)
        self.grad = 1.0
        for node in reversed(order):
            node._backward()

    def __pow__(self, n):
        assert isinstance(n, (int, float)), "only constant powers"
        out = Value(self.data**n, (self,), f"**{n}")

        def _backward():
            self.grad += out.grad * (n * self.data ** (n - 1))

        out._backward = _backward
        return out

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + (-other)

    def __truediv__(self, other):
        return self * other**-1

    def __radd__(self, other):
        return self + other

    def __rsub__(self, other):
        return -self + other

    def __rmul__(self, other):
        return self * other

    def __rtruediv__(self, other):
        return self**-1 * other

    def relu(self):
        """Return the number if it is positive, else 0."""
        out = Value(max(0, self.data), (self,), "relu")

        def _backward():
            self.grad += out.grad * (1.0 if self.data > 0 else 0.0)

        out._backward = _backward
        return out

    def tanh(self):
        """Return the hyperbolic tangent, between -1 and 1."""
        t = math.tanh(self.data)
        out = Value(t, (self,), "tanh")

        def _backward():
            self.grad += out.grad * (1 - t**2)

        out._backward = _backward
        return out

    def sigmoid(self):
        """Return 1 / (1 + exp(-x)), between 0 and 1."""
        s = 1 / (1 + math.exp(-self.data))
        out = Value(s, (self,), "sigmoid")

        def _backward():
            self.grad += out.grad * (s * (1 - s))

        out._backward = _backward
        return out

    def exp(self):
        """Return e to the power of the number."""
        out = Value(math.exp(self.data), (self,), "exp")

        def _backward():
            self.grad += out.grad * out.data

        out._backward = _backward
        return out

    def log(self):
        """Return the natural logarithm."""
        out = Value(math.log(self.data), (self,), "log")

        def _backward():
            self.grad += out.grad * (1 / self.data)

        out._backward = _backward
        return out


class Neuron:
    """A weighted sum of the inputs, bent by tanh."""

    def __init__(self, n_inputs):
        self.w = [Value(random.uniform(-1, 1)) for _ in range(n_inputs)]
        self.b = Value(0.0)

    def __call__(self, x):
        """Return the output for one example."""
        pairs = zip(self.w, x)
        total = sum((wi * xi for wi, xi in pairs), self.b)
        return total.tanh()

    def parameters(self):
        """Return the weights and the bias."""
        return [*self.w, self.b]


class Layer:
    """Neurons side by side."""

    def __init__(self, n_inputs, n_outputs):
        self.neurons = [Neuron(n_inputs) for _ in range(n_outputs)]

    def __call__(self, x):
        """Return the outputs; one output comes without a list."""
        outs = [neuron(x) for neuron in self.neurons]
        return outs[0] if len(outs) == 1 else outs

    def parameters(self):
        """Return the parameters of all neurons."""
        return [p for n in self.neurons for p in n.parameters()]


class MLP:
    """Layers one after another: a multi-layer perceptron."""

    def __init__(self, n_inputs, layer_sizes):
        sizes = [n_inputs, *layer_sizes]
        self.layers = [
            Layer(sizes[i], sizes[i + 1])
            for i in range(len(layer_sizes))
        ]

    def __call__(self, x):
        """Return the output of the last layer."""
        for layer in self.layers:
            x = layer(x)
        return x

    def parameters(self):
        """Return the parameters of all layers."""
        return [p for layer in self.layers for p in layer.parameters()]


def draw_graph(root):
    """Return the graph that leads to a Value as DOT text."""
    names = {}

    def visit(node):
        if node not in names:
            names[node] = f"n{len(names)}"
            for parent in node._parents:
                visit(parent)

    visit(root)
    dot = ["digraph G {", "  rankdir=LR;"]
    for node, name in names.items():
        label = f"{node.data:.2f}\\ngrad={node.grad:.2f}"
        dot.append(f'  "{name}" [label="{label}", shape=box];')
        if node._op:
            op = f"{name}_op"
            dot.append(f'  "{op}" [label="{node._op}", shape=circle];')
            dot.append(f'  "{op}" -> "{name}";')
            for parent in node._parents:
                dot.append(f'  "{names[parent]}" -> "{op}";')
    return "\n".join([*dot, "}"])
