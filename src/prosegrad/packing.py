"""From single numbers back to matrices.

A function of one example is traced, operation by operation. Here the
operations that do the same to different numbers are packed into one
operation on an array, and sums of products into products of matrices.
What comes out is the mean over a batch of examples.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from prosegrad.compiler import ARRAY_NAMES
from prosegrad.derivatives import Function, numbers_of
from prosegrad.elementary import Number
from prosegrad.memory import collector_paused
from prosegrad.operations import Trace
from prosegrad.symbol import Symbol, place_of
from prosegrad.trees import LEAF, Structure, Tree, flatten, unflatten
from prosegrad.value import namespace
from prosegrad.writer import ARRAY, live_places, operands_of

Factors = tuple[int, ...]
"""The places of two numbers that are multiplied, or of one, or none."""

Sum = dict[Factors, float]
"""Products, and how often each of them is added."""


def as_sum(trace: Trace, place: int, open_places: set[int]) -> Sum:
    """Return a number as a sum of products.

    Args:
        trace: The operations.
        place: Where the number is.
        open_places: What may be taken apart in turn; the rest are
            factors.
    """
    found: Sum = defaultdict(float)
    stack = [(1.0, place, True)]
    while stack:
        c, place, is_open = stack.pop()
        if place in trace.constants:
            found[()] += c * trace.constants[place]
            continue
        parts = _parts(trace, place) if is_open else ()
        if not parts:
            found[_factors(trace, place, is_open)] += c
        for sign, part in parts:
            stack.append((c * sign, part, part in open_places))
    return found


def _parts(trace: Trace, place: int) -> Sequence[tuple[float, int]]:
    """Return what is added to make a number, with signs."""
    op, *operands = trace.nodes[place]
    if op in ("+", "-"):
        sign = 1.0 if op == "+" else -1.0
        return (1.0, operands[0]), (sign, operands[1])
    if op == "neg":
        return ((-1.0, operands[0]),)
    factor, rest = trace.factor(place)
    if factor is not None and _is_float(trace, factor):
        return ((trace.constants[factor], rest),)
    return ()


def _is_float(trace: Trace, place: int) -> bool:
    return isinstance(trace.constants.get(place), float)


def _factors(trace: Trace, place: int, is_open: bool) -> Factors:
    op, *operands = trace.nodes[place]
    is_product = is_open and op == "*"
    return tuple(operands) if is_product else (place,)


class Bank:
    """Arrays with a number in each row, and which row is whose.

    Attributes:
        scope: Constants that the source needs, by name.
    """

    def __init__(self, trace: Trace) -> None:
        self.scope: dict[str, Any] = {}
        self._known = trace.constants
        self._home: dict[int, tuple[str, int]] = {}
        self._blocks: dict[str, tuple[int, bool]] = {}

    def settle(
        self, block: str, places: Sequence[int], is_batch: bool
    ) -> None:
        """Say that these numbers are the rows of an array."""
        self._blocks[block] = len(places), is_batch
        for row, place in enumerate(places):
            self._home[place] = block, row

    def is_batch(self, place: int) -> bool:
        """Tell whether a number has a value for each example."""
        if place in self._known:
            return False
        return self._blocks[self._home[place][0]][1]

    def constant(self, value: Any) -> str:
        """Return a name for a list of numbers."""
        name = f"c{len(self.scope)}"
        self.scope[name] = value
        return name

    def rows(self, places: Sequence[int], exact: bool = False) -> str:
        """Return the source of an array with these rows, in order.

        If all are the same, one row serves, unless `exact`.
        """
        if all(place in self._known for place in places):
            return self._constants([self._known[i] for i in places])
        if len(set(places)) == 1 and not exact:
            places = places[:1]
        blocks = {self._home.get(place, ("", 0))[0] for place in places}
        if len(blocks) > 1:
            return self._from_many(places, sorted(blocks - {""}))
        (block,) = blocks
        return self._pick(block, [self._home[i][1] for i in places])

    def _constants(self, values: Sequence[float]) -> str:
        if len(set(map(repr, values))) == 1:
            return repr(values[0])
        return self.constant([[value] for value in values])

    def _pick(self, block: str, rows: Sequence[int]) -> str:
        first, size = rows[0], len(rows)
        if not _is_run(rows):
            return f"{block}[{self.constant(list(rows))}]"
        whole = size == self._blocks[block][0]
        return block if whole else f"{block}[{first}:{first + size}]"

    def matrix(self, places: Sequence[int], width: int) -> str:
        """Return the source of a matrix of numbers without batch."""
        height = len(places) // width
        turned = [p for i in range(width) for p in places[i::width]]
        homes = [self._home.get(place, ("", 0)) for place in turned]
        one_block = len({block for block, _ in homes}) == 1
        if one_block and width > 1 and _is_run([r for _, r in homes]):
            rows = self.rows(turned, True)
            return f"{rows}.reshape({width}, {height}).T"
        return f"{self.rows(places, True)}.reshape({height}, {width})"

    def _from_many(
        self, places: Sequence[int], blocks: Sequence[str]
    ) -> str:
        """Put arrays on top of each other, then pick rows."""
        widen = " + zero" if any(map(self.is_batch, places)) else ""
        texts, start, height = [], {}, 0
        for block in blocks:
            size, is_batch = self._blocks[block]
            start[block], height = height, height + size
            texts.append(block if is_batch else block + widen)
        known = [i for i in dict.fromkeys(places) if i in self._known]
        if known:
            column = [[float(self._known[i])] for i in known]
            texts.append(self.constant(column) + widen)
        rows = [
            height + known.index(place)
            if place in self._known
            else start[self._home[place][0]] + self._home[place][1]
            for place in places
        ]
        return f"concat([{', '.join(texts)}])[{self.constant(rows)}]"


def _is_run(rows: Sequence[int]) -> bool:
    return list(rows) == list(range(rows[0], rows[0] + len(rows)))


@dataclass(order=True)
class Lane:
    """One sum: a part that is a row of a matrix, and the rest.

    Attributes:
        matrix: Triples: a number of the batch, a weight, and how
            often their product is added.
        rest: Other products: their pattern, factors and coefficient.
    """

    matrix: list[tuple[int, int, float]]
    rest: list[tuple[tuple[bool, ...], Factors, float]]

    def pattern(self) -> Any:
        """Return what lanes must share to be packed."""
        shared = tuple(number for number, _, _ in self.matrix)
        return shared, tuple(flags for flags, _, _ in self.rest)


class Packer:
    """Packs the operations that lead to some results.

    Args:
        trace: The operations for one example.
        outputs: The places of the results.
        inputs: The places of the inputs without batch, and of those
            with one.

    Attributes:
        lines: The source, one assignment a line.
        bank: Where the numbers are.
        results: The results, as sums of what is in the bank.
    """

    def __init__(
        self,
        trace: Trace,
        outputs: Sequence[int],
        inputs: tuple[Sequence[int], Sequence[int]],
    ) -> None:
        self.lines: list[str] = []
        self.bank = Bank(trace)
        self.bank.settle("p", inputs[0], False)
        self.bank.settle("x", inputs[1], True)
        self._trace = trace
        self._batch = set(inputs[1])
        uses = Counter(outputs)
        for place in live_places(trace, outputs):
            operands = operands_of(trace.nodes[place])
            uses.update(operands)
            if not self._batch.isdisjoint(operands):
                self._batch.add(place)
        self._once = {place for place in uses if uses[place] == 1}
        self._sums: dict[int, Sum] = {}
        self._lanes: dict[int, Lane] = {}
        inner = self._once & self._batch
        self.results = [as_sum(trace, o, inner) for o in outputs]
        self._pack(self._needed(), {*inputs[0], *inputs[1]})

    def _needed(self) -> list[int]:
        """Return the places to compute, operands first."""
        found = set(self._trace.constants)
        stack = [i for result in self.results for i in _places(result)]
        while stack:
            place = stack.pop()
            if place not in found:
                found.add(place)
                stack += self._operands(place)
        return sorted(found - set(self._trace.constants))

    def _operands(self, place: int) -> Sequence[int]:
        node = self._trace.nodes[place]
        if node[0] not in ("+", "-"):
            return operands_of(node)
        if place not in self._sums:
            found = as_sum(self._trace, place, self._once)
            self._sums[place] = found
        return _places(self._sums[place])

    def _pack(self, needed: Sequence[int], inputs: set[int]) -> None:
        depths: dict[int, int] = dict.fromkeys(inputs, 0)
        groups: dict[Any, list[int]] = defaultdict(list)
        for place in needed:
            if place not in inputs:
                operands = self._operands(place)
                below = (depths.get(i, 0) for i in operands)
                depths[place] = 1 + max(below, default=0)
                key = depths[place], place in self._batch
                groups[key, self._kind(place)].append(place)
        for key in sorted(groups, key=lambda k: (k[0][0], groups[k])):
            self._compute(groups[key], is_batch=key[0][1])

    def _kind(self, place: int) -> Any:
        """Return what operations must share to be packed."""
        if place not in self._sums:
            return self._trace.nodes[place][0]
        lane = self._lanes[place] = self._lane(self._sums[place])
        return lane.pattern()

    def _lane(self, found: Sum) -> Lane:
        """Part a sum: weights times the batch, and the rest."""
        matrix, rest = [], []
        for factors, c in found.items():
            flags = tuple(i in self._batch for i in factors)
            if len(set(flags)) == 2:
                number, weight = factors if flags[0] else factors[::-1]
                matrix.append((number, weight, c))
            else:
                rest.append((flags, factors, c))
        if len(matrix) != len({number for number, _, _ in matrix}):
            rest += [((True, False), m[:2], m[2]) for m in matrix]
            matrix = []
        return Lane(sorted(matrix), sorted(rest))

    def _compute(self, places: Sequence[int], is_batch: bool) -> None:
        """Write one line that computes all of these numbers."""
        name = f"v{len(self.lines)}"
        if places[0] in self._sums:
            text = self._sum([self._lanes[place] for place in places])
        else:
            nodes = [self._trace.nodes[place] for place in places]
            columns = zip(*map(operands_of, nodes))
            text = spelled(nodes[0][0], map(self.bank.rows, columns))
        self.lines.append(f"{name} = {text}")
        self.bank.settle(name, places, is_batch)

    def _sum(self, lanes: Sequence[Lane]) -> str:
        parts = []
        numbers = [number for number, _, _ in lanes[0].matrix]
        if numbers:
            cells = [cell for lane in lanes for cell in lane.matrix]
            weights = [weight for _, weight, _ in cells]
            matrix = self.bank.matrix(weights, len(numbers))
            scale = self._scale([c for *_, c in cells], len(numbers))
            batch = self.bank.rows(numbers)
            parts.append(f"({scale}{matrix}) @ {batch}")
        columns = zip(*(lane.rest for lane in lanes))
        for _, same in groupby(columns, key=lambda cells: cells[0][0]):
            parts.append(self._products(list(zip(*same))))
        return " + ".join(parts)

    def _products(self, lanes: Sequence[Sequence[Any]]) -> str:
        """Add up products of one pattern, as many in each lane."""
        cells = [cell for lane in lanes for cell in lane]
        width = len(lanes[0])
        if not cells[0][1]:
            return self.bank.constant([[cell[2]] for cell in cells])
        scale = self._scale([c for *_, c in cells], 1)
        factors = zip(*(factors for _, factors, _ in cells))
        text = scale + " * ".join(map(self.bank.rows, factors))
        if width == 1:
            return text
        return f"({text}).reshape({len(lanes)}, {width}, -1).sum(1)"

    def _scale(self, cs: Sequence[float], width: int) -> str:
        """Return the source of coefficients, nothing if all are 1."""
        if set(cs) == {1.0}:
            return ""
        if len(set(cs)) == 1:
            return f"{cs[0]!r} * "
        steps = range(0, len(cs), width or len(cs))
        rows = [list(cs[i : i + width]) for i in steps]
        return f"{self.bank.constant(rows if width else list(cs))} * "

    def means(self) -> list[str]:
        """Return the lines that compute the means of the results."""
        terms = sorted(
            Term([i in self._batch for i in factors], factors, owner, c)
            for owner, found in enumerate(self.results)
            for factors, c in found.items()
        )
        parts: list[str] = []
        owners: list[int] = []
        for flags, same in groupby(terms, key=lambda term: term.flags):
            mean = self._outer if flags == [True, True] else self._inner
            for text, chosen in mean(list(same)):
                parts.append(text)
                owners += [term.owner for term in chosen]
        return self._collected(parts, owners)

    def _inner(self, terms: Sequence[Term]) -> Iterable[Any]:
        """Yield means of terms with one number of the batch at most."""
        if not terms[0].factors:
            yield self.bank.constant([term.c for term in terms]), terms
            return
        texts = []
        columns = zip(*(term.factors for term in terms))
        for is_batch, column in zip(terms[0].flags, columns):
            rows = self.bank.rows(column, exact=True)
            texts.append(rows + (".mean(1)" if is_batch else "[:, 0]"))
        scale = self._scale([term.c for term in terms], 0)
        yield scale + " * ".join(texts), terms

    def _outer(self, terms: Sequence[Term]) -> Iterable[Any]:
        """Yield means of products of two numbers of the batch."""
        partners: dict[int, dict[int, Any]] = defaultdict(dict)
        for term in terms:
            left, right = term.factors
            partners[left].setdefault(right, []).append(term)
        families: dict[Any, list[int]] = defaultdict(list)
        for left, row in partners.items():
            families[tuple(sorted(row))].append(left)
        for rights, lefts in families.items():
            grid = [partners[i][j] for i in lefts for j in rights]
            yield self._block(lefts, rights, grid)

    def _block(
        self, lefts: Sequence[int], rights: Sequence[int], grid: Any
    ) -> Any:
        """Return the means of all products of some with others."""
        chosen = [term for cell in grid for term in cell]
        text = f"({self.bank.rows(lefts)} @ {self.bank.rows(rights)}.T)"
        text += ".reshape(-1) / n"
        if len(chosen) > len(grid):
            cells = [k for k, cell in enumerate(grid) for _ in cell]
            text = f"({text})[{self.bank.constant(cells)}]"
        scale = self._scale([term.c for term in chosen], 0)
        return scale + text, chosen

    def _collected(
        self, parts: Sequence[str], owners: Sequence[int]
    ) -> list[str]:
        """Return the lines that add up the parts of each result."""
        where: list[list[int]] = [[] for _ in self.results]
        for position, owner in enumerate(owners):
            where[owner].append(position)
        most = max(map(len, where), default=0)
        parts = [*parts, self.bank.constant([0.0])]
        for positions in where:
            positions += [len(owners)] * (most - len(positions))
        picks = [self.bank.constant(list(pick)) for pick in zip(*where)]
        return [
            f"r = concat([{', '.join(parts)}])",
            f"return {' + '.join(f'r[{pick}]' for pick in picks)}",
        ]


def _places(found: Sum) -> list[int]:
    return [place for factors in found for place in factors]


def spelled(op: str, texts: Iterable[str]) -> str:
    """Return the source of one operation on arrays."""
    if op in ARRAY:
        return ARRAY[op][0].format(*texts)
    return f"{op}({', '.join(texts)})"


@dataclass(order=True)
class Term:
    """A product in a result.

    Attributes:
        flags: For each factor, whether it has a value an example.
        factors: The places of the factors.
        owner: Which result it is a part of.
        c: How often it is added.
    """

    flags: list[bool]
    factors: Factors
    owner: int
    c: float


class Rows(tuple[Any, ...]):
    """A tuple that was an array, and will be one."""

    __slots__ = ()

    @classmethod
    def _make(cls, members: Iterable[Any]) -> Any:
        return cls(members)


def _as_rows(shape: Sequence[int], numbers: Iterator[Number]) -> Tree:
    """Return nested rows of this shape, filled with numbers."""
    if not shape:
        return next(numbers)
    return Rows(_as_rows(shape[1:], numbers) for _ in range(shape[0]))


def _shape_of(structure: Structure) -> tuple[int, ...]:
    """Return the shape of the array that rows were."""
    if structure.kind is not Rows:
        return ()
    return len(structure.children), *_shape_of(structure.children[0])


def _without_rows(structure: Structure, shapes: list[Any]) -> Structure:
    """Return a structure with one leaf for each array."""
    if structure.kind in (None, Rows):
        shapes.append(_shape_of(structure))
        return LEAF
    inside = tuple(_without_rows(c, shapes) for c in structure.children)
    return Structure(structure.kind, structure.keys, inside)


@dataclass(frozen=True)
class Batched:
    """A program for a batch, and what it returns.

    Attributes:
        source: The text of the program.
        run: The program: from the parameters, a column, and the
            batch, a column for each example, to the means.
        outside: The structure of the result, arrays as leaves.
        shapes: The shapes of these arrays.
    """

    source: str
    run: Function
    outside: Structure
    shapes: Sequence[tuple[int, ...]]

    def __call__(self, p: Any, x: Any) -> Tree:
        """Return the means as a tree of arrays."""
        means, leaves, start = self.run(p, x), [], 0
        for shape in self.shapes:
            stop = start + math.prod(shape)
            part = means[start:stop].reshape(shape)
            leaves.append(part if shape else means[start])
            start = stop
        return unflatten(self.outside, leaves)


class BatchMean:
    """The mean of a function over a batch, as matrix products.

    Args:
        f: A function of one example.
        in_axes: For each argument 0 if its first axis is that of the
            examples, and None if all examples share it.
        compiler: What to do with the code, such as `jax.jit`.
    """

    def __init__(
        self,
        f: Function,
        in_axes: Sequence[int | None],
        compiler: Any = None,
    ) -> None:
        self._f = f
        self._in_axes = tuple(in_axes)
        self._compiler = compiler
        self._flags: dict[Structure, list[bool]] = {}
        self._programs: dict[Any, Batched] = {}

    def __call__(self, *args: Tree) -> Tree:
        """Return the mean of `f` over the examples.

        Arrays come back as arrays of the same namespace.

        Raises:
            ValueError: The arguments have other axes than `in_axes`
                says, or different numbers of examples.
        """
        program, xp, leaves, flags = self._prepared(args)
        p, x = [xp.zeros(0)], []
        for leaf, is_batch in zip(leaves, flags):
            if is_batch:
                x.append(leaf.reshape(len(leaf), -1).T)
            else:
                p.append(xp.asarray(leaf).reshape(-1))
        return program(xp.concat(p).reshape(-1, 1), xp.concat(x))

    def source(self, *args: Tree) -> str:
        """Return the source of the program for arguments like these."""
        program: Batched = self._prepared(args)[0]
        return program.source

    def _prepared(self, args: Sequence[Tree]) -> Any:
        """Return the program, and what it needs of the arguments."""
        leaves, structure = flatten(args)
        if structure not in self._flags:
            self._flags[structure] = self._find_flags(structure)
        flags = self._flags[structure]
        xp = _namespace_of(leaves, flags)
        shapes = tuple(
            getattr(leaf, "shape", ())[is_batch:]
            for leaf, is_batch in zip(leaves, flags)
        )
        key = xp, structure, shapes
        program = self._programs.get(key)
        if program is None:
            with collector_paused():
                program = self._programs[key] = self._build(*key)
        return program, xp, leaves, flags

    def _find_flags(self, structure: Structure) -> list[bool]:
        if len(structure.children) != len(self._in_axes):
            raise ValueError(
                f"batch_mean: in_axes is for {len(self._in_axes)} "
                f"arguments, and there are {len(structure.children)}"
            )
        return [
            axis == 0
            for axis, arg in zip(self._in_axes, structure.children)
            for _ in range(_size(arg))
        ]

    def _build(
        self,
        xp: Any,
        structure: Structure,
        shapes: Sequence[tuple[int, ...]],
    ) -> Batched:
        trace = Trace()
        inputs: tuple[list[int], list[int]] = ([], [])
        arrays = []
        for shape, is_batch in zip(shapes, self._flags[structure]):
            first = len(trace.nodes)
            places = range(first, first + math.prod(shape))
            for place in places:
                trace.node("input", place)
            symbols = (Symbol(trace, place) for place in places)
            arrays.append(_as_rows(shape, symbols))
            inputs[is_batch].extend(places)
        result = self._f(*unflatten(structure, arrays))
        numbers, outside = numbers_of("batch_mean", "result", result)
        outputs = [place_of(trace, number) for number in numbers]
        source, scope = packed(trace, outputs, inputs)
        run = loaded(source, scope, xp)
        if self._compiler is not None:
            run = self._compiler(run)
        found: list[tuple[int, ...]] = []
        outside = _without_rows(outside, found)
        return Batched(source, run, outside, found)


def _size(structure: Structure) -> int:
    if structure.kind is None:
        return 1
    return sum(map(_size, structure.children))


def _namespace_of(leaves: Sequence[Any], flags: Sequence[bool]) -> Any:
    """Return the namespace of the batch; it must have one length."""
    batch = [leaf for leaf, is_batch in zip(leaves, flags) if is_batch]
    sizes = {leaf.shape[:1] for leaf in batch if hasattr(leaf, "shape")}
    if len(sizes) != 1 or not all(sizes):
        raise ValueError(
            "batch_mean: where in_axes says 0 there should be arrays "
            "with one number of examples"
        )
    return namespace(batch[0])


def packed(
    trace: Trace,
    outputs: Sequence[int],
    inputs: tuple[Sequence[int], Sequence[int]],
) -> tuple[str, dict[str, Any]]:
    """Return the source for a batch, and the constants it needs.

    Args:
        trace: The operations for one example.
        outputs: The places of the results.
        inputs: The places of the inputs without batch, and of those
            with one.
    """
    packer = Packer(trace, outputs, inputs)
    lines = [*packer.lines, *packer.means()]
    if any("zero" in line for line in lines):
        lines.insert(0, "zero = zeros((1, n))")
    lines.insert(0, "n = x.shape[1]")
    body = "".join(f"    {line}\n" for line in lines)
    return f"def batch(p, x):\n{body}", packer.bank.scope


def loaded(source: str, scope: dict[str, Any], xp: Any) -> Function:
    """Return the function of a source, for a namespace of arrays."""
    names = (*ARRAY_NAMES, "concat", "zeros")
    found = {name: getattr(xp, name) for name in names}
    found |= {"inf": math.inf, "nan": math.nan}
    found |= {name: xp.asarray(value) for name, value in scope.items()}
    exec(compile(source, "<batch_mean>", "exec"), found)
    function: Function = found["batch"]
    return function


def batch_mean(
    f: Function,
    in_axes: Sequence[int | None],
    *,
    compiler: Any = None,
) -> BatchMean:
    """Return the mean of a function over a batch of examples.

    `f` is traced once, for one example. Its operations are packed into
    operations on arrays, and its sums of products into products of
    matrices.

    Args:
        f: A function of trees of numbers that returns such a tree,
            such as `value_and_grad(loss)`. An array that it is called
            with is to it a nested tuple of numbers.
        in_axes: For each argument 0 if the first axis of its arrays is
            that of the examples, and None if all examples share it.
        compiler: What to do with the program, such as `jax.jit`.

    Raises:
        TracingError: When called, if `f` asks what the numbers are.
        ValueError: When called, if the arguments have not the axes
            that `in_axes` says.
    """
    return BatchMean(f, in_axes, compiler)
