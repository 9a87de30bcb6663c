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
from itertools import compress, groupby, zip_longest
from typing import Any

from prosegrad.compiler import Program, array_scope
from prosegrad.derivatives import Function, numbers_of
from prosegrad.elementary import Number
from prosegrad.levels import _lent
from prosegrad.memory import collector_paused
from prosegrad.operations import Trace, simplified
from prosegrad.symbol import Symbol, place_of
from prosegrad.trees import LEAF, Structure, Tree, flatten, unflatten
from prosegrad.value import Value
from prosegrad.writer import ARRAY, live_places, operands_of

Factors = tuple[int, ...]
"""The places of two numbers that are multiplied, or of one, or none."""

Sum = dict[Factors, float]
"""Products, and how often each of them is added."""

Home = tuple[str, int]
"""The name of an array, and a row of it."""


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
    return () if factor is None else ((trace.constants[factor], rest),)


def _factors(trace: Trace, place: int, is_open: bool) -> Factors:
    op, *operands = trace.nodes[place]
    return tuple(operands) if is_open and op == "*" else (place,)


class Bank:
    """Arrays with a number in each row, and which row is whose.

    Attributes:
        scope: Constants that the source needs, by name.
    """

    def __init__(self, trace: Trace) -> None:
        self.scope: dict[str, Any] = {}
        self._known = trace.constants
        self._homes: dict[int, Home] = {}
        self._blocks: dict[str, tuple[int, bool]] = {}

    def settle(
        self, block: str, places: Sequence[int], is_batch: bool
    ) -> None:
        """Say that these numbers are the rows of an array."""
        self._blocks[block] = len(places), is_batch
        for row, place in enumerate(places):
            self._homes[place] = block, row

    def join(self, place: int, twin: int) -> None:
        """Say that a number is the same as one that has a row."""
        self._homes[place] = self._homes[twin]

    def home(self, place: int) -> Home:
        """Return the array and the row of a number."""
        return self._homes[place]

    def constant(self, value: Any) -> str:
        """Return a name for a list of numbers."""
        name = f"c{len(self.scope)}"
        self.scope[name] = value
        return name

    def pick(self, text: str, rows: Sequence[int], height: int) -> str:
        """Return the source of some rows of an array."""
        first, stop = rows[0], rows[0] + len(rows)
        if list(rows) != list(range(first, stop)):
            return f"{text}[{self.constant(list(rows))}]"
        whole = (first, stop) == (0, height)
        return text if whole else f"{text}[{first}:{stop}]"

    def rows(self, places: Sequence[int], exact: bool = False) -> str:
        """Return the source of an array with these rows, in order.

        If all are the same, one row serves, unless `exact`.
        """
        if len(set(places)) == 1 and not exact:
            places = places[:1]
            if places[0] in self._known:
                return repr(self._known[places[0]])
        new = [p for p in dict.fromkeys(places) if p not in self._homes]
        if new:
            column = [[self._known[place]] for place in new]
            self.settle(self.constant(column), new, False)
        return self.stack([self._homes[place] for place in places])

    def stack(self, homes: Sequence[Home]) -> str:
        """Return the source of an array of these rows, in order."""
        blocks: dict[str, list[int]] = defaultdict(list)
        for block, row in dict.fromkeys(homes):
            blocks[block].append(row)
        if len(blocks) == 1:
            (block,) = blocks
            height, _ = self._blocks[block]
            return self.pick(block, [row for _, row in homes], height)
        texts = ", ".join(self._parts(blocks))
        order = [(b, i) for b in blocks for i in sorted(blocks[b])]
        where = {home: row for row, home in enumerate(order)}
        rows = [where[home] for home in homes]
        return self.pick(f"concat([{texts}])", rows, len(where))

    def _parts(self, blocks: dict[str, list[int]]) -> Iterator[str]:
        """Yield rows of arrays, all as wide as the widest."""
        is_wide = any(self._blocks[block][1] for block in blocks)
        for block, rows in blocks.items():
            height, is_batch = self._blocks[block]
            text = self.pick(block, sorted(rows), height)
            if is_wide and not is_batch:
                text = f"broadcast_to({text}, ({len(rows)}, n))"
            yield text

    def matrix(self, places: Sequence[int], width: int) -> str:
        """Return the source of a matrix of numbers without batch."""
        height = len(places) // width
        turned = [p for i in range(width) for p in places[i::width]]
        homes = [self._homes[place] for place in turned]
        block, first = homes[0]
        run = [(block, first + i) for i in range(len(turned))]
        if width > 1 and homes == run:
            return f"{self.rows(turned)}.reshape({width}, {height}).T"
        rows = self.rows(places, exact=True)
        return f"{rows}.reshape({height}, {width})"


@dataclass(frozen=True)
class Lane:
    """One sum: a part that is a row of a matrix, and the rest.

    Attributes:
        matrix: Triples: a number of the batch, a weight, and how
            often their product is added.
        rest: Other products: their pattern, factors and coefficient.
    """

    matrix: tuple[tuple[int, int, float], ...]
    rest: tuple[tuple[tuple[bool, ...], Factors, float], ...]

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
        self._numbers = set(outputs)
        uses = Counter(outputs)
        for place in live_places(trace, outputs):
            uses.update(self._look_at(place))
        self._once = {place for place in uses if uses[place] == 1}
        self._sums: dict[int, Sum] = {}
        self._lanes: dict[int, Lane] = {}
        inner = self._once & self._batch
        self.results = [as_sum(trace, o, inner) for o in outputs]
        self._pack(self._needed(), {*inputs[0], *inputs[1]})

    def _look_at(self, place: int) -> Sequence[int]:
        """Learn from an operation what its operands are to it."""
        node = self._trace.nodes[place]
        operands = operands_of(node)
        if not self._batch.isdisjoint(operands):
            self._batch.add(place)
        if node[0] != "&":
            self._numbers.update(operands[node[0] == "where" :])
        return operands

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
                depths[place] = 1 + max(below)
                key = depths[place], place in self._batch
                groups[key, self._kind(place)].append(place)
        for key in sorted(groups, key=lambda k: (k[0][0], groups[k])):
            self._compute(groups[key], is_batch=key[0][1])

    def _kind(self, place: int) -> Any:
        """Return what operations must share to be packed."""
        if place not in self._sums:
            op = self._trace.nodes[place][0]
            return op, op in CONDITIONS and place in self._numbers
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
        return Lane(tuple(sorted(matrix)), tuple(sorted(rest)))

    def _compute(self, places: Sequence[int], is_batch: bool) -> None:
        """Write one line that computes all of these numbers."""
        name = f"v{len(self.lines)}"
        if places[0] in self._sums:
            first: dict[Lane, int] = {}
            for place in places:
                first.setdefault(self._lanes[place], place)
            text = self._sum(list(first))
            self.bank.settle(name, list(first.values()), is_batch)
            for place in places:
                self.bank.join(place, first[self._lanes[place]])
        else:
            text = self._operation(places)
            self.bank.settle(name, places, is_batch)
        self.lines.append(f"{name} = {text}")

    def _operation(self, places: Sequence[int]) -> str:
        op, is_number = self._kind(places[0])
        nodes = [self._trace.nodes[place] for place in places]
        columns = zip(*map(operands_of, nodes))
        text = spelled(op, map(self.bank.rows, columns))
        return f"1.0 * ({text})" if is_number else text

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
        return " + ".join(parts).replace("+ -", "- ")

    def _products(self, lanes: Sequence[Sequence[Any]]) -> str:
        """Add up products of one pattern, as many in each lane."""
        cells = [cell for lane in lanes for cell in lane]
        width = len(lanes[0])
        cs = [c for *_, c in cells]
        if not cells[0][1]:
            return self._coefficients(cs, 1)
        factors = zip(*(factors for _, factors, _ in cells))
        text = " * ".join(map(self.bank.rows, factors))
        text = self._scale(cs, 1) + text
        if width == 1:
            return text
        return f"({text}).reshape({len(lanes)}, {width}, -1).sum(1)"

    def _scale(self, cs: Sequence[float], width: int) -> str:
        """Return the source of coefficients, nothing if all are 1."""
        text = self._coefficients(cs, width)
        return {"1.0": "", "-1.0": "-"}.get(text, f"{text} * ")

    def _coefficients(self, cs: Sequence[float], width: int) -> str:
        """Return the source of numbers: one, a list, or a matrix."""
        if len(set(cs)) == 1:
            return repr(cs[0])
        steps = range(0, len(cs), width or len(cs))
        rows = [list(cs[i : i + width]) for i in steps]
        return self.bank.constant(rows if width else list(cs))

    def means(self) -> list[str]:
        """Return the lines that compute the means of the results."""
        sums: list[Part] = []
        others: list[Part] = []
        terms = sorted(self._terms())
        for flags, same in groupby(terms, key=lambda term: term.flags):
            parts = sums if True in flags else others
            if flags == [True, True]:
                parts += self._outer(list(same))
            else:
                parts.append(self._inner(list(same)))
        return self._collected(sums, others)

    def _terms(self) -> Iterator[Term]:
        for owner, found in enumerate(self.results):
            for places, c in found.items():
                flags = [place in self._batch for place in places]
                homes = [self.bank.home(place) for place in places]
                if flags == [False, True]:
                    flags, homes = flags[::-1], homes[::-1]
                yield Term(flags, homes, owner, c)

    def _inner(self, terms: Sequence[Term]) -> Part:
        """Return sums of products, one by one."""
        if not terms[0].factors:
            return self.bank.constant([term.c for term in terms]), terms
        columns = zip(*(term.factors for term in terms))
        texts = [self.bank.stack(column) for column in columns]
        if terms[0].flags == [True, False]:
            return f"{texts[0]}.sum(1) * {texts[1]}[:, 0]", terms
        text = f"({' * '.join(texts)})" if texts[1:] else texts[0]
        column = ".sum(1)" if terms[0].flags[0] else "[:, 0]"
        return text + column, terms

    def _outer(self, terms: Sequence[Term]) -> Iterator[Part]:
        """Yield sums of products of two numbers of the batch."""
        partners: dict[Home, dict[Home, Any]] = defaultdict(dict)
        for term in terms:
            left, right = term.factors
            partners[left].setdefault(right, []).append(term)
        families: dict[Any, list[Home]] = defaultdict(list)
        for left, row in partners.items():
            families[tuple(sorted(row))].append(left)
        pairs: list[Term] = []
        for rights, lefts in families.items():
            grid = [partners[i][j] for i in lefts for j in rights]
            if len(grid) == 1:
                pairs += grid[0]
            else:
                yield self._block(lefts, rights, grid)
        if pairs:
            yield self._inner(pairs)

    def _block(
        self, lefts: Sequence[Home], rights: Sequence[Home], grid: Any
    ) -> Part:
        """Return the sums of all products of some with others."""
        left, right = map(self.bank.stack, (lefts, rights))
        text = f"({left} @ {right}.T).reshape(-1)"
        cells = [k for k, cell in enumerate(grid) for _ in cell]
        chosen = [term for cell in grid for term in cell]
        return self.bank.pick(text, cells, len(grid)), chosen

    def _collected(
        self, sums: Sequence[Part], others: Sequence[Part]
    ) -> list[str]:
        """Return the lines that add up the parts of each result."""
        terms = [t for _, part in (*sums, *others) for t in part]
        where: list[list[int]] = [[] for _ in self.results]
        for position, term in enumerate(terms):
            where[term.owner].append(position)
        picks = list(zip_longest(*where, fillvalue=len(terms)))
        cs = [term.c if term.factors else 1.0 for term in terms]
        texts = [text for text, _ in others]
        lines = [f"s{i} = {text}" for i, (text, _) in enumerate(sums)]
        if sums:
            names = [f"s{i}" for i in range(len(sums))]
            lines.append(f"s = {_joined(names)} / n")
            texts.insert(0, "s")
        if len(terms) in picks[-1]:
            texts.append(self.bank.constant([0.0]))
            cs.append(1.0)
        lines.append(f"r = {self._scale(cs, 0)}{_joined(texts)}")
        results = [self.bank.pick("r", pick, len(cs)) for pick in picks]
        return [*lines, f"return {' + '.join(results)}"]


def _places(found: Sum) -> list[int]:
    return [place for factors in found for place in factors]


CONDITIONS = ("<", "<=", ">", ">=", "==", "!=", "&")
"""Operations whose results are truth values."""


def spelled(op: str, texts: Iterable[str]) -> str:
    """Return the source of one operation on arrays."""
    if op == "&":
        op = "*"  # so it is for truth values, and for 0 and 1
    if op == "**":  # a negative base needs brackets
        texts = (f"({t})" if t[0] == "-" else t for t in texts)
    if op in ARRAY:
        return ARRAY[op][0].format(*texts)
    return f"{op}({', '.join(texts)})"


@dataclass(order=True)
class Term:
    """A product in a result.

    Attributes:
        flags: For each factor, whether it has a value an example.
        factors: The homes of the factors.
        owner: Which result it is a part of.
        c: How often it is added.
    """

    flags: list[bool]
    factors: list[Home]
    owner: int
    c: float


Part = tuple[str, Sequence[Term]]
"""The source of a list of numbers, and which products these are."""


def _joined(texts: Sequence[str]) -> str:
    inside = ", ".join(texts)
    return f"concat([{inside}])" if texts[1:] else inside


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
    inside = map(_shape_of, structure.children)
    return len(structure.children), *next(inside, ())


def _without_rows(structure: Structure, shapes: list[Any]) -> Structure:
    """Return a structure with one leaf for each array."""
    if structure.kind in (None, Rows):
        shapes.append(_shape_of(structure))
        return LEAF
    inside = tuple(_without_rows(c, shapes) for c in structure.children)
    return Structure(structure.kind, structure.keys, inside)


@dataclass(frozen=True)
class Batched:
    """A program for a batch, what it takes, and what it returns.

    Attributes:
        source: The text of the program.
        run: The program: from the shared numbers, a column, and the
            batch, a column for each example, to the means.
        flags: For each array, whether it has a row an example.
        outside: The structure of the result, arrays as leaves.
        shapes: The shapes of these arrays.
    """

    source: str
    run: Function
    flags: Sequence[bool]
    outside: Structure
    shapes: Sequence[tuple[int, ...]]

    def __call__(self, xp: Any, arrays: Sequence[Any], n: int) -> Tree:
        """Return the means over n examples as a tree of arrays."""
        p, x = [xp.zeros(0)], [xp.zeros((0, n))]
        for array, is_batch in zip(arrays, self.flags):
            if is_batch:
                x.append(array.reshape(n, -1).T)
            else:
                p.append(xp.asarray(array).reshape(-1))
        means = self.run(xp.concat(p).reshape(-1, 1), xp.concat(x))
        return unflatten(self.outside, self._parts(means))

    def _parts(self, means: Any) -> Iterator[Any]:
        start = 0
        for shape in self.shapes:
            stop = start + math.prod(shape)
            part = means[start:stop].reshape(shape)
            yield part if shape else means[start]
            start = stop


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
        if any(axis not in (0, None) for axis in in_axes):
            raise ValueError(
                "batch_mean: in_axes should have a 0 or a None for "
                f"each argument, and is {in_axes!r}"
            )
        self._f = f
        self._in_axes = tuple(in_axes)
        self._compiler = compiler
        self._programs: dict[Any, Batched] = {}

    def __call__(self, *args: Tree) -> Tree:
        """Return the mean of `f` over the examples.

        Arrays come back as arrays of the same namespace, in its
        default type of floats.

        Raises:
            TypeError: `f` uses an array that is no argument, or its
                result holds what is no number.
            ValueError: The arguments have other axes than `in_axes`
                says, or different numbers of examples.
        """
        program, *rest = self._prepared(args)
        return program(*rest)

    def source(self, *args: Tree) -> str:
        """Return the source of the program for arguments like these."""
        program: Batched = self._prepared(args)[0]
        return program.source

    def _prepared(self, args: Sequence[Tree]) -> Any:
        """Return the program, and what it is to be called with."""
        if len(args) != len(self._in_axes):
            raise ValueError(
                f"batch_mean: in_axes is for {len(self._in_axes)} "
                f"arguments, and there are {len(args)}"
            )
        arrays: list[Any] = []
        flags: list[bool] = []
        structures = []
        for axis, arg in zip(self._in_axes, args):
            leaves, structure = flatten(arg)
            _require_plain(leaves)
            arrays += leaves
            flags += [axis == 0] * len(leaves)
            structures.append(structure)
        shapes = [getattr(array, "shape", ()) for array in arrays]
        n = _examples(shapes, flags)
        xp = arrays[flags.index(True)].__array_namespace__()
        inner = tuple(s[1:] if b else s for s, b in zip(shapes, flags))
        key = xp, tuple(structures), inner
        program = None if _lent else self._programs.get(key)
        if program is None:
            with collector_paused():
                program = self._build(*key, flags)
            self._programs[key] = program
        return program, xp, arrays, n

    def _build(
        self,
        xp: Any,
        structures: tuple[Structure, ...],
        shapes: Sequence[tuple[int, ...]],
        flags: Sequence[bool],
    ) -> Batched:
        trace = Trace(raises=False)
        inputs: tuple[list[int], list[int]] = ([], [])
        arrays = []
        for shape, is_batch in zip(shapes, flags):
            first = len(trace.nodes)
            places = range(first, first + math.prod(shape))
            for place in places:
                trace.node("input", place)
            symbols = (Symbol(trace, place) for place in places)
            arrays.append(_as_rows(shape, symbols))
            inputs[is_batch].extend(places)
        args = unflatten(Structure(tuple, (), structures), arrays)
        result = self._f(*args)
        numbers, outside = numbers_of("batch_mean", "result", result)
        if not numbers:
            raise ValueError("batch_mean: the result has no number")
        outputs = [place_of(trace, number) for number in numbers]
        trace, outputs = simplified(trace, outputs)
        source, constants = packed(trace, outputs, inputs)
        scope = array_scope(xp, "concat", "broadcast_to")
        for name, value in constants.items():
            scope[name] = xp.asarray(value)
        program = Program("batch", source, scope, LEAF)
        run = program.load(self._compiler)
        found: list[tuple[int, ...]] = []
        outside = _without_rows(outside, found)
        return Batched(source, run, flags, outside, found)


def _require_plain(numbers: Sequence[Any]) -> None:
    if any(isinstance(x, Value) for x in numbers):
        raise TypeError(
            "batch_mean: an argument is being differentiated; write "
            "batch_mean(grad(f)) for grad(batch_mean(f))"
        )


def _examples(shapes: Sequence[Any], flags: Sequence[bool]) -> int:
    """Return the number of examples, which must be one for all."""
    sizes = {shape[:1] for shape in compress(shapes, flags)}
    if len(sizes) != 1 or sizes & {(), (0,)}:
        raise ValueError(
            "batch_mean: where in_axes says 0 there should be arrays "
            "with one number of examples, which is not 0"
        )
    ((n,),) = sizes
    return int(n)


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

    Raises:
        TypeError: A constant is no number.
    """
    for place in live_places(trace, outputs):
        if place in trace.constants:
            constant = trace.constants[place]
            trace.constants[place] = _as_number(constant)
    packer = Packer(trace, outputs, inputs)
    lines = ["n = x.shape[1]", *packer.lines, *packer.means()]
    body = "".join(f"    {line}\n" for line in lines)
    return f"def batch(p, x):\n{body}", packer.bank.scope


def _as_number(constant: Any) -> float:
    is_array = getattr(constant, "shape", ()) != ()
    if is_array or isinstance(constant, complex):
        raise TypeError(
            "batch_mean: the function uses a constant of type "
            f"{type(constant).__name__}, which is no real number; "
            "make it an argument"
        )
    return float(constant)


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
        TypeError: When called, if `f` uses an array that is no
            argument, or the result holds what is no number.
        ValueError: There is another axis in `in_axes`; or, when
            called, the arguments have not the axes that it says.
    """
    return BatchMean(f, in_axes, compiler)
