"""What must hold for every program, exactly.

A law takes a program, runs it on Values that hold Fractions, and compares with
`==`. A broken law is an AssertionError. The oracles here know nothing of the
engine: the slopes of `SLOPES` are written by hand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from itertools import pairwise
from typing import Any

from prosegrad import Value, tracing
from prosegrad import value as engine

from .polynomials import expand
from .strategies import EXACT, At, Number, Program, Step

Law = Callable[[Program], None]
LAWS: dict[str, Law] = {}
POLYNOMIAL_LAWS: dict[str, Law] = {}


def _law(name: str, laws: dict[str, Law] = LAWS) -> Callable[[Law], Law]:
    def keep(law: Law) -> Law:
        laws[name] = law
        return law

    return keep


# --- programs on the engine


def _dot(start: Any, *factors: Any) -> Value:
    return engine.dot(factors[::2], factors[1::2], start)


def _either(name: str, x: Any, y: Any) -> Value:
    """Call a method of whichever is a Value; for `maximum` the order is nothing."""
    if isinstance(x, Value):
        return getattr(x, name)(y)  # type: ignore[no-any-return]
    return getattr(y, name)(x)  # type: ignore[no-any-return]


ENGINE: dict[str, Callable[..., Any]] = EXACT | {
    "dot": _dot,
    "max": partial(_either, "maximum"),
    "min": partial(_either, "minimum"),
    "relu": lambda x: x.relu(),
}


def build(program: Program) -> list[Value]:
    """Return the nodes of a program, on fresh leaves."""
    return program.run([Value(number) for number in program.inputs], ENGINE)


def gradients(root: Value, nodes: Sequence[Value]) -> list[Number]:
    """Return the derivative of the root by each node, from one pass."""
    for node in nodes:
        node.zero_grad()
    root.backward()
    return [node.grad for node in nodes]


def three(nodes: Sequence[Value]) -> tuple[Value, Value, Value]:
    """Return the result, a node in the middle and the first leaf."""
    return nodes[-1], nodes[len(nodes) // 2], nodes[0]


# --- the oracles


def _wins(x: Number, y: Number) -> Fraction:
    return Fraction((x > y) + (x >= y), 2)


SLOPES: dict[str, Callable[..., tuple[Number, ...]]] = {
    "+": lambda x, y: (1, 1),
    "-": lambda x, y: (1, -1),
    "*": lambda x, y: (y, x),
    "/": lambda x, y: (1 / y, -x / y**2),
    "**": lambda x, n: (n * x ** (n - 1) if n else 0, None),
    "neg": lambda x: (-1,),
    "abs": lambda x: ((x > 0) - (x < 0),),
    "max": lambda x, y: (_wins(x, y), _wins(y, x)),
    "min": lambda x, y: (_wins(y, x), _wins(x, y)),
    "relu": lambda x: (int(x > 0),),
    "dot": lambda start, *factors: (
        1,
        *(factors[i ^ 1] for i in range(len(factors))),
    ),
}
Edges = list[list[tuple[int, Number]]]


def edges_of(program: Program) -> Edges:
    """Return for each node its operands: their places, and the slopes."""
    numbers = program.run(program.inputs, EXACT)
    edges: Edges = [[] for _ in program.inputs]
    for step in program.steps:
        operands = [numbers[o.index] if isinstance(o, At) else o for o in step.operands]
        slopes = zip(step.operands, SLOPES[step.op](*operands), strict=True)
        edges.append([(o.index, slope) for o, slope in slopes if isinstance(o, At)])
    return edges


def forward_mode(edges: Edges, place: int) -> Number:
    """Return how far the result moves when the node at a place does."""
    moved: list[Number] = []
    for own in edges:
        here = len(moved) == place
        moved.append(1 if here else sum(slope * moved[i] for i, slope in own))
    return moved[-1]


def paths(edges: Edges, place: int, end: int) -> Iterator[list[Number]]:
    """Yield for each path from a place to the end the slopes along it."""
    if place == end:
        yield []
    for parent, slope in edges[end]:
        for path in paths(edges, place, parent):
            yield [*path, slope]


# --- the laws


@_law("the value is that of the plain program")
def value(program: Program) -> None:
    expected = program.run(program.inputs, EXACT)

    assert expected == [node.data for node in build(program)]


@_law("fractions stay fractions")
def kind(program: Program) -> None:
    nodes = build(program)
    slopes = gradients(nodes[-1], nodes)

    assert {Fraction} == {type(node.data) for node in nodes}
    assert {Fraction, int} >= {type(slope) for slope in slopes}


@_law("forward mode, from every node")
def forward(program: Program) -> None:
    nodes, edges = build(program), edges_of(program)
    expected = [forward_mode(edges, place) for place in range(len(nodes))]

    assert expected == gradients(nodes[-1], nodes)


@_law("the sum over all paths")
def sum_over_paths(program: Program) -> None:
    short = program.prefix(5)  # the number of paths grows too fast for more
    nodes, edges = build(short), edges_of(short)
    end = len(nodes) - 1
    expected = [sum(map(math.prod, paths(edges, i, end))) for i in range(len(nodes))]

    assert expected == gradients(nodes[-1], nodes)


@_law("linearity")
def linearity(program: Program) -> None:
    nodes = build(program)
    f, g, _ = three(nodes)
    a, b = Fraction(-7, 3), Fraction(5, 2)
    mixed = gradients(a * f + g * b, nodes)
    of_f, of_g = gradients(f, nodes), gradients(g, nodes)

    assert [a * x + b * y for x, y in zip(of_f, of_g, strict=True)] == mixed


@_law("the product rule")
def product_rule(program: Program) -> None:
    nodes = build(program)
    f, g, _ = three(nodes)
    product = gradients(f * g, nodes)
    pairs = zip(gradients(f, nodes), gradients(g, nodes), strict=True)

    assert [x * g.data + f.data * y for x, y in pairs] == product


@_law("the quotient rule")
def quotient_rule(program: Program) -> None:
    nodes = build(program)
    f, g, _ = three(nodes)
    below = g if g.data else g + 1
    quotient = gradients(f / below, nodes)
    pairs = zip(gradients(f, nodes), gradients(below, nodes), strict=True)
    square = below.data**2

    assert [(x * below.data - f.data * y) / square for x, y in pairs] == quotient


@_law("the chain rule, cut at every third node")
def chain_rule(program: Program) -> None:
    whole = build(program)
    inputs = len(program.inputs)
    expected = gradients(whole[-1], whole[:inputs])
    for cut in range(1, len(program.steps) + 1, 3):
        inner = build(program.prefix(cut))
        numbers = tuple(node.data for node in inner)
        outer = build(Program(numbers, program.steps[cut:]))
        slopes = gradients(outer[-1], outer)[: len(inner)]
        total: list[Number] = [0] * inputs
        for slope, node in zip(slopes, inner, strict=True):
            own = gradients(node, inner)[:inputs]
            total = [t + slope * x for t, x in zip(total, own, strict=True)]

        assert expected == total


Sides = Callable[[Any, Any, Any], tuple[Any, Any]]
IDENTITIES: dict[str, Sides] = {
    "u + v = v + u": lambda u, v, w: (u + v, v + u),
    "u v = v u": lambda u, v, w: (u * v, v * u),
    "(u + v) + w = u + (v + w)": lambda u, v, w: ((u + v) + w, u + (v + w)),
    "(u v) w = u (v w)": lambda u, v, w: ((u * v) * w, u * (v * w)),
    "u (v + w) = u v + u w": lambda u, v, w: (u * (v + w), u * v + u * w),
    "u - v = u + -v": lambda u, v, w: (u - v, u + -v),
    "u - v = -(v - u)": lambda u, v, w: (u - v, -(v - u)),
    "5 - u = -(u - 5)": lambda u, v, w: (5 - u, -(u - 5)),
    "3 + u = u + 3": lambda u, v, w: (3 + u, u + 3),
    "3 u = u 3": lambda u, v, w: (3 * u, u * 3),
    "3 u = u + u + u": lambda u, v, w: (3 * u, u + u + u),
    "u 0 + v = v + 0": lambda u, v, w: (u * 0 + v, v + 0),
    "+u = u": lambda u, v, w: (+u, u),
    "0 - -u = u": lambda u, v, w: (0 - (-u), u),
    "u / v = u v**-1": lambda u, v, w: (u / v, u * v**-1),
    "u / v = 1 / (v / u)": lambda u, v, w: (u / v, 1 / (v / u)),
    "(u / v) / w = u / (v w)": lambda u, v, w: (u / v / w, u / (v * w)),
    "u / u + v = 1 + v": lambda u, v, w: (u / u + v, 1 + v),
    "u / 7 = u (1/7)": lambda u, v, w: (u / 7, u * Fraction(1, 7)),
    "u**0 + v = 1 + v": lambda u, v, w: (u**0 + v, 1 + v),
    "u**1 = u": lambda u, v, w: (u**1, u),
    "u**3 = u u u": lambda u, v, w: (u**3, u * u * u),
    "u**5 = u**2 u**3": lambda u, v, w: (u**5, u**2 * u**3),
    "u**-2 = 1 / (u u)": lambda u, v, w: (u**-2, 1 / (u * u)),
    "(u + v) (u - v) = u**2 - v**2": lambda u, v, w: (
        (u + v) * (u - v),
        u**2 - v**2,
    ),
    "dot = its products": lambda u, v, w: (
        engine.dot([u, v, 2], [v, w, u], w),
        w + u * v + v * w + 2 * u,
    ),
    "|u| |u| = u u": lambda u, v, w: (abs(u) * abs(u), u * u),
    "|u| = max(u, -u)": lambda u, v, w: (abs(u), u.maximum(-u)),
    "|u v| = |u| |v|": lambda u, v, w: (abs(u * v), abs(u) * abs(v)),
    "max(u, v) = max(v, u)": lambda u, v, w: (u.maximum(v), v.maximum(u)),
    "max(u, u) = u": lambda u, v, w: (u.maximum(u), u),
    "max(u, v) + min(u, v) = u + v": lambda u, v, w: (
        u.maximum(v) + u.minimum(v),
        u + v,
    ),
    "max(u, v) min(u, v) = u v": lambda u, v, w: (
        u.maximum(v) * u.minimum(v),
        u * v,
    ),
    "max(u, v) - min(u, v) = |u - v|": lambda u, v, w: (
        u.maximum(v) - u.minimum(v),
        abs(u - v),
    ),
    "relu(u) + relu(-u) = |u|": lambda u, v, w: (u.relu() + (-u).relu(), abs(u)),
}
# At u = 0 the two sides have other conventions: relu 0, the others 1/2 or 1.
OFF_THE_KINK: dict[str, Sides] = {
    "relu(u) - relu(-u) = u": lambda u, v, w: (u.relu() - (-u).relu(), u),
    "relu(u) = max(u, 0)": lambda u, v, w: (u.relu(), u.maximum(0)),
    "leaky_relu(u) = max(u, u/3)": lambda u, v, w: (
        u.leaky_relu(Fraction(1, 3)),
        u.maximum(u / Fraction(3)),
    ),
}


def both_sides_agree(sides: Sides, nodes: Sequence[Value]) -> None:
    """Assert that two formulas of the same number have the same gradients."""
    try:
        left, right = sides(*three(nodes))
    except ZeroDivisionError:  # neither side has a value
        return

    assert left.data == right.data
    assert gradients(left, nodes) == gradients(right, nodes)


@_law("the identities of algebra")
def identities(program: Program) -> None:
    nodes = build(program)
    for sides in IDENTITIES.values():
        both_sides_agree(sides, nodes)
    if nodes[-1].data:
        for sides in OFF_THE_KINK.values():
            both_sides_agree(sides, nodes)


@_law("a shared node equals its copies")
def copies(program: Program) -> None:
    once = build(program)
    leaves = len(program.inputs)
    twice = [[node, node] for node in build(program.prefix(0))]
    for number, step in enumerate(program.steps):
        pair = []
        for copy in (0, 1):  # each copy uses other copies of its operands
            operands = [
                twice[o.index][(number + copy + i) % 2] if isinstance(o, At) else o
                for i, o in enumerate(step.operands)
            ]
            pair.append(ENGINE[step.op](*operands))
        twice.append(pair)
    expected = gradients(once[-1], once[:leaves])

    assert expected == gradients(twice[-1][0], [a for a, _ in twice[:leaves]])


@_law("a leaf equals the sum of its uses")
def uses(program: Program) -> None:
    leaves = len(program.inputs)
    shared = build(program)
    separate: list[list[Value]] = [[] for _ in program.inputs]
    nodes: list[Any] = [None] * leaves
    for step in program.steps:
        operands: list[Any] = []
        for operand in step.operands:
            if isinstance(operand, At) and operand.index < leaves:
                operands.append(Value(program.inputs[operand.index]))
                separate[operand.index].append(operands[-1])
            else:
                operands.append(
                    nodes[operand.index] if isinstance(operand, At) else operand
                )
        nodes.append(ENGINE[step.op](*operands))
    if not program.steps:
        return
    nodes[-1].backward()

    assert [sum(v.grad for v in values) for values in separate] == gradients(
        shared[-1], shared[:leaves]
    )


@_law("a constant is a leaf that nobody asks")
def constants(program: Program) -> None:
    leaves = [Value(number) for number in program.inputs]
    steps = []
    for step in program.steps:
        lifted = [Value(o) if isinstance(o, Fraction) else o for o in step.operands]
        steps.append(Step(step.op, tuple(lifted)))
    explicit = Program(program.inputs, tuple(steps)).run(leaves, ENGINE)
    plain = build(program)

    assert gradients(plain[-1], plain) == gradients(explicit[-1], explicit)


@_law("k passes count k times in leaves, once in inner nodes")
def repeated(program: Program) -> None:
    nodes = build(program)
    once = gradients(nodes[-1], nodes)
    for k in (2, 3):
        nodes[-1].backward()
        times = [1 if node._parents else k for node in nodes]

        assert [n * x for n, x in zip(times, once, strict=True)] == [
            node.grad for node in nodes
        ]


@_law("zero_grad starts anew")
def zero_grad(program: Program) -> None:
    nodes = build(program)
    nodes[-1].backward()
    once = [node.grad for node in nodes]
    for node in nodes:
        node.zero_grad()

    assert [0] * len(nodes) == [node.grad for node in nodes]
    nodes[-1].backward()
    assert once == [node.grad for node in nodes]


@_law("two roots over one graph add up")
def two_roots(program: Program) -> None:
    nodes = build(program)
    leaves = nodes[: len(program.inputs)]
    f, g, _ = three(nodes)
    of_f, of_g = gradients(f, leaves), gradients(g, leaves)
    f.backward()

    assert [x + y for x, y in zip(of_f, of_g, strict=True)] == [
        leaf.grad for leaf in leaves
    ]


@_law("detach cuts: what lies behind it is a constant")
def detach(program: Program) -> None:
    cut = len(program.steps) // 2
    before = build(program.prefix(cut))
    whole = build(program)
    place = len(before) - 1
    loose = before[-1].detach()
    rest = Program((), program.steps[cut:]).run([*before[:-1], loose], ENGINE)
    total = gradients(rest[-1], rest)
    outer = build(Program(tuple(n.data for n in before), program.steps[cut:]))
    direct = gradients(outer[-1], outer)
    expected: list[Number] = [0] * place
    for slope, node in zip(direct[:place], before[:-1], strict=True):
        own = gradients(node, before[:-1])
        expected = [t + slope * x for t, x in zip(expected, own, strict=True)]

    assert expected == total[:place]
    assert gradients(whole[-1], whole)[place] == total[place]


@_law("what the result does not use gets nothing")
def unused(program: Program) -> None:
    edges, nodes = edges_of(program), build(program)
    used = {len(nodes) - 1}
    for place in reversed(range(len(nodes))):
        if place in used:
            used |= {parent for parent, _ in edges[place]}
    gradients(nodes[-1], nodes)

    assert {0} >= {n.grad for place, n in enumerate(nodes) if place not in used}
    assert nodes[-1].grad == 1


@_law("a rule holds numbers, not the nodes that had them")
def late_change(program: Program) -> None:
    nodes = build(program)
    expected = gradients(nodes[-1], nodes)
    for node in nodes:
        node.data += 1

    assert expected == gradients(nodes[-1], nodes)


@_law("backward changes no number")
def unchanged(program: Program) -> None:
    nodes = build(program)
    before = [node.data for node in nodes]
    nodes[-1].backward()

    assert before == [node.data for node in nodes]


@_law("the trace tells what backward does")
def trace(program: Program) -> None:
    nodes, edges = build(program), edges_of(program)
    expected = gradients(nodes[-1], nodes)
    for node in nodes:
        node.zero_grad()
    names = {str(place): node for place, node in enumerate(nodes)}
    steps = tracing.trace_backward(nodes[-1], names)
    local: dict[tuple[str, str], Number] = {}
    for child, own in enumerate(edges):
        for parent, slope in own:
            edge = str(child), str(parent)
            local[edge] = local.get(edge, 0) + slope
    totals = {names[s.parent]: s.total for s in steps if s.parent in names}

    assert expected == [node.grad for node in nodes]
    for step in steps:
        edge = step.node, step.parent
        assert step.contribution == step.incoming * step.local
        assert step.local == local.get(edge, step.local)  # minimum is three nodes
    assert totals == {node: node.grad for node in totals}


# --- laws of polynomials


@_law("the expanded polynomial's gradient", POLYNOMIAL_LAWS)
def expansion(program: Program) -> None:
    nodes, polynomial = build(program), expand(program)
    inputs = range(len(program.inputs))
    expected = [polynomial.derivative(i).at(program.inputs) for i in inputs]

    assert polynomial.at(program.inputs) == nodes[-1].data
    assert expected == gradients(nodes[-1], nodes[: len(inputs)])


@_law("the exact difference quotient", POLYNOMIAL_LAWS)
def difference_quotient(program: Program) -> None:
    nodes, degree = build(program), expand(program).degree
    expected = []
    for i, x in enumerate(program.inputs):
        nudged = [
            (*program.inputs[:i], x + step, *program.inputs[i + 1 :])
            for step in range(degree + 1)
        ]
        values = [program.run(point, EXACT)[-1] for point in nudged]
        expected.append(slope_of_values(values))

    assert expected == gradients(nodes[-1], nodes[: len(expected)])


def slope_of_values(values: Sequence[Fraction]) -> Fraction:
    """Return the slope at 0 of the polynomial with these values at 0, 1, 2, ...

    Newton's series of differences, which ends at the polynomial's degree.
    """
    slope = Fraction(0)
    for k in range(1, len(values)):
        values = [b - a for a, b in pairwise(values)]
        slope += Fraction((-1) ** (k - 1), k) * values[0]
    return slope


@_law("second derivatives, by a Value in a Value", POLYNOMIAL_LAWS)
def second_derivatives(program: Program) -> None:
    inner = [Value(number) for number in program.inputs]
    outer = [Value(value) for value in inner]
    nodes = program.run(outer, ENGINE)
    nodes[-1].backward()
    polynomial = expand(program)
    for i, leaf in enumerate(outer):
        slopes = polynomial.derivative(i)
        expected = [slopes.derivative(j).at(program.inputs) for j in range(len(inner))]
        slope = leaf.grad if isinstance(leaf.grad, Value) else Value(leaf.grad)

        assert slopes.at(program.inputs) == slope.data
        assert expected == gradients(slope, inner)


# --- deep programs


def continued_fraction(x: Any, terms: Sequence[int]) -> Any:
    """Return 1 / (a + 1 / (b + ... 1 / (z + x)))."""
    for term in reversed(terms):
        x = 1 / (term + x)
    return x


def continued_fraction_slope(x: Fraction, terms: Sequence[int]) -> Fraction:
    """Return its slope: it is (a x + b) / (c x + d), with a d - b c = 1 or -1."""
    a, b, c, d = 1, 0, 0, 1
    for term in reversed(terms):
        a, b, c, d = c, d, term * c + a, term * d + b
    return (a * d - b * c) / (c * x + d) ** 2
