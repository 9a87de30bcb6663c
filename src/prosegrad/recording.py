"""A compiler for functions of whole arrays.

`jit_arrays(f)` calls `f` once with arrays that write down what is done
to them, and runs that, as straight-line source, from then on. So the
graph, the closures and the walk back are paid for once.

The list of operations and the writer are those of `prosegrad.jit`.
"""

import ast
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any, NoReturn

import numpy as np

from prosegrad import tensor
from prosegrad.arrays import (
    Array,
    Shape,
    constant_like,
    is_kind,
    library,
    shape_of,
)
from prosegrad.compiler import (
    STRANGERS,
    Compiled,
    Program,
    array_scope,
    write,
)
from prosegrad.derivatives import Function, numbers_of
from prosegrad.elementary import Number
from prosegrad.operations import Trace
from prosegrad.symbol import (
    OPERATORS,
    Symbol,
    TracingError,
    _where_asked,
    place_of,
)
from prosegrad.trees import Tree, flatten, unflatten
from prosegrad.value import Value
from prosegrad.writer import (
    ARRAY,
    ATOM,
    CHOICE,
    COMPARISON,
    NEGATIVE,
    PRODUCT,
    Form,
)

ONLY_ARRAYS: dict[str, Form] = {
    "~": ("~{}", NEGATIVE, ATOM),
    "//": ("{} // {}", PRODUCT, ATOM),
    "%": ("{} % {}", PRODUCT, ATOM),
    "|": ("{} | {}", COMPARISON, PRODUCT),
    "^": ("{} ^ {}", COMPARISON, PRODUCT),
}
"""How the operations are spelled that a Symbol has not."""


class Recording(Trace):
    """Operations on arrays, and how they are spelled.

    Args:
        xp: The functions of the library of the arrays.

    Attributes:
        forms: The spelling of each operation.
        made: For each place, an example of what the source will have
            there. It may be smaller than the array it stands for.
    """

    def __init__(self, xp: Any) -> None:
        super().__init__(raises=False)
        self.xp = xp
        self.forms = ARRAY | ONLY_ARRAYS
        self.made: dict[int, Any] = {}
        self._copies: dict[int, tuple[Array, int]] = {}

    def keeps_type(self, place: int, x: int) -> bool:
        """Tell whether a product is of the type of its factor x."""
        if not self.made.keys() >= {place, x}:
            return False
        found = [dtype_of(self.made[i]) for i in (place, x)]
        return bool(found[0] == found[1])

    def compute(self, op: str, operands: Sequence[Number]) -> Any:
        """Return what an operation makes of numbers and arrays."""
        function = OPERATORS.get(op) or getattr(self.xp, op)
        return function(*operands)

    def copy(self, place: int) -> int:
        """Return the place of a new copy of an array."""
        form = "asarray({}, copy=True)"
        self.forms[form] = form, ATOM, CHOICE
        self.nodes.append((form, place))
        return len(self.nodes) - 1

    def constant(self, value: Any) -> int:
        """Return the place of a constant; of an array, a copy."""
        if dtype_of(value) is not None:
            return self._copied(value)
        if type(value) is int:
            return self._kept(value, (int, value))
        place = super().constant(value)
        self.made[place] = self.constants[place]
        return place

    def _copied(self, array: Array) -> int:
        known = self._copies.get(id(array))
        if known and _is_same(array, self.constants[known[1]]):
            return known[1]
        copy = library(array).asarray(array, copy=True)
        place = self._kept(copy, id(copy))
        self._copies[id(array)] = array, place
        return place

    def _kept(self, value: Any, key: Any) -> int:
        place = self.node("constant", key)
        self.constants[place] = self.made[place] = value
        return place


def _is_same(x: Array, y: Array) -> bool:
    return bool(library(x).all(x == y))


class ArraySymbol(Symbol):
    """An array that is not there yet, and an example of it.

    Args:
        trace: The list of operations.
        place: Where in the list the array comes about.
        example: What it was while the function was traced.
    """

    __slots__ = ("example",)
    trace: Recording

    def __init__(
        self, trace: Recording, place: int, example: Array
    ) -> None:
        super().__init__(trace, place)
        self.example = example

    @property
    def shape(self) -> Shape:
        """The lengths of the axes."""
        return shape_of(self.example)

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return int(np.prod(self.shape, dtype=int))

    @property
    def dtype(self) -> Any:
        """The type of the numbers."""
        return self.example.dtype

    @property
    def device(self) -> Any:
        """Where the array is."""
        return self.example.device

    @property
    def first_gradient(self) -> Number:
        """Zero, which Tensors need not add."""
        return 0

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("an array of shape () has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __array_namespace__(self, *, api_version: Any = None) -> Any:
        return Functions(self.trace)

    def _apply(self, op: str, *operands: Number) -> Any:
        if any(isinstance(x, Value) for x in operands):
            return NotImplemented
        trace = self.trace
        examples = [example_of(x) for x in operands]
        example = trace.compute(op, examples)
        if any(map(_is_floating, [example, *examples])):
            operands = tuple(map(_as_float, operands))
        places = [place_in(trace, x) for x in operands]
        if all(map(trace.is_plain, places)):
            return filled(trace, example)
        if trace.constants.keys() >= {*places}:
            return fixed(trace, example)
        place = _operation(trace, op, places, operands, example)
        return ArraySymbol(trace, place, example)

    def __floordiv__(self, other: Number) -> Any:
        return self._apply("//", self, other)

    def __rfloordiv__(self, other: Number) -> Any:
        return self._apply("//", other, self)

    def __mod__(self, other: Number) -> Any:
        return self._apply("%", self, other)

    def __rmod__(self, other: Number) -> Any:
        return self._apply("%", other, self)

    def __or__(self, other: Number) -> Any:
        return self._apply("|", self, other)

    def __ror__(self, other: Number) -> Any:
        return self._apply("|", other, self)

    def __xor__(self, other: Number) -> Any:
        return self._apply("^", self, other)

    def __rxor__(self, other: Number) -> Any:
        return self._apply("^", other, self)

    def __invert__(self) -> Any:
        return self._apply("~", self)

    def maximum(self, other: Number) -> Any:
        """Return the larger; one of the two is not there yet."""
        if isinstance(self, Symbol):
            return Symbol.maximum(self, other)
        return Symbol.maximum(other, self)

    def minimum(self, other: Number) -> Any:
        """Return the smaller; one of the two is not there yet."""
        if isinstance(self, Symbol):
            return Symbol.minimum(self, other)
        return Symbol.minimum(other, self)

    def __matmul__(self, other: Array) -> Any:
        return record("{} @ {}", operator.matmul, self, other)

    def __rmatmul__(self, other: Array) -> Any:
        return record("{} @ {}", operator.matmul, other, self)

    def sum(self, axis: Any = None, keepdims: bool = False) -> Any:
        """Return the sum along axes, or of all."""
        return _reduced("sum", self, axis, keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Any:
        """Return the mean along axes, or of all."""
        return _reduced("mean", self, axis, keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Any:
        """Return the largest along axes, or of all."""
        return _reduced("max", self, axis, keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Any:
        """Return the smallest along axes, or of all."""
        return _reduced("min", self, axis, keepdims)

    def argmax(self, axis: Any = None, keepdims: bool = False) -> Any:
        """Return where the largest stands along an axis."""
        return _reduced("argmax", self, axis, keepdims)

    def isfinite(self) -> Any:
        """Return where the numbers are neither infinite nor NaN."""
        return record("isfinite({})", self.trace.xp.isfinite, self)

    def astype(self, dtype: Any) -> Any:
        """Return the numbers as another type."""
        return self if dtype == self.dtype else _cast(self, dtype)

    def asarray(self, *, dtype: Any = None, copy: Any = None) -> Any:
        """Return this array, of a type."""
        return self if dtype is None else self.astype(dtype)

    def _moved(self, form: str, move: Callable[[Array], Array]) -> Any:
        """Write down a move; an array of one number stays one."""
        if not self.trace.is_plain(self.place):
            return record(form, move, self)
        example = move(self.example)
        return ArraySymbol(self.trace, self.place, example)

    def reshape(self, *shape: Any) -> Any:
        """Return the numbers, in order, in another shape."""
        lengths = shape if isinstance(shape[0], int) else shape[0]
        example = self.trace.xp.reshape(self.example, tuple(lengths))
        full, x = shape_of(example), _unshaped(self)
        if full == x.shape:
            return x
        return x._moved(f"reshape({{}}, {full})", lambda x: example)

    def permute_dims(self, axes: Sequence[int]) -> Any:
        """Return the array with its axes in another order."""
        order, xp = tuple(axes), self.trace.xp
        return self._moved(
            f"permute_dims({{}}, {order})",
            lambda x: xp.permute_dims(x, order),
        )

    @property
    def T(self) -> Any:
        """The array with its axes in reverse order."""
        return self.permute_dims(range(self.ndim)[::-1])

    @property
    def mT(self) -> Any:
        """Each matrix, the last two axes, transposed."""
        return self._moved("{}.mT", operator.attrgetter("mT"))

    def broadcast_to(self, shape: Shape) -> Any:
        """Return the array stretched, which the source leaves out."""
        example = self.trace.xp.broadcast_to(self.example, shape)
        return ArraySymbol(self.trace, self.place, example)

    def zeros_like(self) -> Any:
        """Return zeros of this shape, in the source one number."""
        zeros = self.trace.xp.zeros_like(self.example)
        return filled(self.trace, zeros)

    def ones_like(self) -> Any:
        """Return ones of this shape, in the source one number."""
        ones = self.trace.xp.ones_like(self.example)
        return filled(self.trace, ones)

    def __getitem__(self, key: Any) -> Any:
        key = tensor._key(key)
        arrays, text = spelled(key, "{0}:{1}:{2}")
        _refuse_masks(arrays)

        def part(x: Array, *found: Array) -> Array:
            return x[filled_in(key, iter(found))]

        if not arrays:
            return self._moved(f"{{}}[{text}]", part)
        return record(f"{{}}[{text}]", part, self, *arrays)

    @staticmethod
    def add_at(shape: Shape, key: Any, values: Any) -> Any:
        """Return zeros, and at `key` the sum of `values`."""
        arrays, text = spelled(key, "slice({0}, {1}, {2})")
        xp = library(example_of(values))

        def added(*found: Array) -> Array:
            places = filled_in(key, iter(found))
            return xp.add_at(shape, places, found[-1])

        form = f"add_at({shape}, {text}, {{}})"
        return record(form, added, *arrays, values)

    @property
    def at(self) -> Any:
        """What `x.at[key].add(values)` needs, as in JAX."""
        return _At(self)

    @staticmethod
    def concat(arrays: Sequence[Any], axis: int = 0) -> Any:
        """Return arrays one after another along an axis."""
        return _listed("concat", arrays, axis)

    @staticmethod
    def stack(arrays: Sequence[Any], axis: int = 0) -> Any:
        """Return arrays side by side along a new axis."""
        return _listed("stack", arrays, axis)

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        _refuse(
            "a trace has no numbers to look at; use the functions of "
            "prosegrad.tensor, or methods of the array"
        )

    def __bool__(self) -> NoReturn:
        _refuse(
            "a trace has no numbers to decide by; write "
            "where(condition, x, y), or x.maximum(y)"
        )

    def __float__(self) -> NoReturn:
        _refuse(
            "a trace has no numbers to convert; return the array, and "
            "convert it outside"
        )

    __int__ = __float__

    def __index__(self) -> NoReturn:
        _refuse(
            "a trace has no numbers to count by; fix the count "
            "outside, as in jit_arrays(lambda x: f(x, 3))"
        )

    def __setitem__(self, key: Any, value: Any) -> NoReturn:
        _refuse(
            "no array is changed in place in a trace; write "
            "where(mask, new, old)"
        )


def example_of(x: Number) -> Any:
    """Return the example of an array that is not there yet."""
    return x.example if isinstance(x, ArraySymbol) else x


def place_in(trace: Recording, x: Number) -> int:
    """Return the place of an operand, which may be a constant."""
    if isinstance(x, Symbol):
        return place_of(trace, x)
    return trace.constant(x)


def dtype_of(x: Number) -> Any:
    """Return the type of an array; None for a number of Python."""
    return getattr(x, "dtype", None)


def _is_floating(x: Number) -> bool:
    if dtype_of(x) is None:
        return isinstance(x, float)
    return is_kind(x, "real floating")


def _as_float(x: Number) -> Number:
    return float(x) if type(x) is int and abs(x) < 2**53 else x


def filled(trace: Recording, example: Array) -> ArraySymbol:
    """Return an array of one number, which the source has once."""
    if not _is_floating(example):
        return fixed(trace, example)
    members = trace.xp.reshape(example, (-1,))
    number = float(members[0]) if len(members) else 0.0
    return ArraySymbol(trace, trace.constant(number), example)


def fixed(trace: Recording, example: Array) -> ArraySymbol:
    """Return an array that is the same in each call."""
    return ArraySymbol(trace, trace.constant(example), example)


def _operation(
    trace: Recording,
    op: str,
    places: list[int],
    operands: Sequence[Number],
    example: Array,
) -> int:
    """Return the place of an operation, of the type of the example."""
    if op == "where" and all(map(trace.is_plain, places[1:])):
        places[2] = typed(trace, places[2], operands[2])
    made = trace.compute(op, [trace.made[i] for i in places])
    if dtype_of(made) != dtype_of(example):
        places = [typed(trace, *p) for p in zip(places, operands)]
        made = trace.compute(op, [trace.made[i] for i in places])
    if dtype_of(made) != dtype_of(example):
        places = [  # of full shape, and then each has a say
            i if dtype_of(example_of(x)) is None else whole(trace, x)
            for i, x in zip(places, operands)
        ]
        made = trace.compute(op, [trace.made[i] for i in places])
    place = _simplest(trace, op, places, example)
    trace.made.setdefault(place, made)
    return place


def typed(trace: Recording, place: int, x: Number) -> int:
    """Return the place of an array, where a number stood for it."""
    if not trace.is_plain(place) or dtype_of(example_of(x)) is None:
        return place
    number = np.asarray(trace.constants[place])
    return trace.constant(constant_like(number, x))


def _simplest(
    trace: Recording, op: str, places: list[int], example: Array
) -> int:
    """Simplify what has one type; a change of type is no 1 * x."""
    numbers = places[1:] if op == "where" else places
    types = {dtype_of(trace.made[i]) for i in numbers}
    if _is_floating(example) and types <= {None, dtype_of(example)}:
        return trace.add(op, *places)
    return trace.node(op, *places)


def record(
    form: str, function: Callable[..., Any], *operands: Any
) -> Any:
    """Write down a function of whole arrays.

    Args:
        form: How it is spelled, with {} for each array.
        function: What it does.
        operands: The arrays, of which one is not there yet.
    """
    if any(isinstance(x, Value) for x in operands):
        return NotImplemented
    trace = next(
        x.trace for x in operands if isinstance(x, ArraySymbol)
    )
    example = function(*map(example_of, operands))
    places = {place_in(trace, x) for x in operands}
    if trace.constants.keys() >= places:
        return fixed(trace, example)
    wholes = [whole(trace, x) for x in operands]
    return ArraySymbol(
        trace, noted(trace, form, wholes, example), example
    )


def noted(
    trace: Recording, form: str, places: Sequence[int], made: Array
) -> int:
    """Return the place of a function of whole arrays.

    Args:
        trace: The list of operations.
        form: How it is spelled, with {} for each array.
        places: The places of the arrays.
        made: An example of the result.
    """
    binding = PRODUCT if "@" in form else ATOM
    least = ATOM if form[0] == "{" else CHOICE
    trace.forms[form] = (form, binding, least)
    place = trace.node(form, *places)
    trace.made[place] = made
    return place


def whole(trace: Recording, x: Number) -> int:
    """Return a place where the array has its full shape."""
    example = example_of(x)
    place = typed(trace, place_in(trace, x), x)
    shape = shape_of(example)
    if shape_of(trace.made[place]) == shape:
        return place
    form = f"broadcast_to({{}}, {shape})"
    return noted(trace, form, [place], example)


def _reduced(name: str, x: Any, axis: Any, keepdims: bool) -> Any:
    if isinstance(axis, tuple) and len(axis) == 1:
        axis = axis[0]
    named = {} if axis is None else {"axis": axis}
    named |= {"keepdims": True} if keepdims else {}
    texts = "".join(f", {key}={named[key]}" for key in named)
    function = getattr(x.trace.xp, name)
    return record(
        f"{name}({{}}{texts})", lambda x: function(x, **named), x
    )


TYPES = ("bool", "int32", "int64", "float16", "float32", "float64")
"""What the source calls by its name; other types are constants."""


def _cast(x: Any, dtype: Any) -> Any:
    function = x.trace.xp.astype
    dtype = function(x.example, dtype).dtype
    name = str(dtype).split(".")[-1]
    if name not in TYPES:
        return record("astype({}, {})", function, x, dtype)
    return record(
        f"astype({{}}, {name})", lambda x: function(x, dtype), x
    )


def _unshaped(x: ArraySymbol) -> ArraySymbol:
    """Return what an array was before it was reshaped."""
    op, *operands = x.trace.nodes[x.place]
    stretched = shape_of(x.trace.made[x.place]) != x.shape
    if stretched or not str(op).startswith("reshape({}"):
        return x
    place = operands[0]
    return ArraySymbol(x.trace, place, x.trace.made[place])


def spelled(key: Any, slices: str) -> tuple[list[Any], str]:
    """Return the arrays of a key, and its text with {} for them."""
    if not isinstance(key, tuple):
        return _spelled_part(key, slices)
    parts = [_spelled_part(part, slices) for part in key]
    arrays = [x for found, _ in parts for x in found]
    text = ", ".join(text for _, text in parts)
    if text and slices[0] != "s":
        return arrays, text
    return arrays, f"({text},)" if text else "()"


def _spelled_part(part: Any, slices: str) -> tuple[list[Any], str]:
    if isinstance(part, slice):
        return [], _spelled_slice(part, slices)
    if part is None or part is ... or isinstance(part, int):
        return [], "..." if part is ... else repr(part)
    return [part], "{}"


def _spelled_slice(part: slice, slices: str) -> str:
    ends = [
        end if end is None else operator.index(end)
        for end in (part.start, part.stop, part.step)
    ]
    if slices[0] == "s":
        return slices.format(*ends)
    shown = ["" if end is None else end for end in ends]
    return slices.format(*shown).removesuffix(":")


def filled_in(key: Any, arrays: Iterator[Array]) -> Any:
    """Return a key with arrays in the places of its arrays."""
    if isinstance(key, tuple):
        return tuple(filled_in(part, arrays) for part in key)
    static = key is None or key is ... or isinstance(key, (int, slice))
    return key if static else next(arrays)


def _refuse_masks(arrays: Sequence[Any]) -> None:
    for x in arrays:
        if isinstance(x, ArraySymbol) and is_kind(x, "bool"):
            raise TracingError(
                f"jit_arrays: {_where_asked(3)}: how much a mask "
                "leaves is not known in a trace; write "
                "where(mask, x, 0)"
            )


class _At:
    def __init__(self, x: ArraySymbol, key: Any = None) -> None:
        self._x, self._key = x, key

    def __getitem__(self, key: Any) -> "_At":
        return _At(self._x, key)

    def add(self, values: Array) -> Any:
        added = ArraySymbol.add_at(self._x.shape, self._key, values)
        return self._x + added


def _listed(name: str, arrays: Sequence[Any], axis: int) -> Any:
    xp = library(example_of(arrays[0]))
    function = getattr(xp, name)
    texts = ", ".join(["{}"] * len(arrays))
    return record(
        f"{name}([{texts}], axis={axis})",
        lambda *found: function(list(found), axis=axis),
        *arrays,
    )


def _refuse(problem: str) -> NoReturn:
    raise TracingError(f"jit_arrays: {_where_asked(3)}: {problem}")


class Functions:
    """The namespace of arrays that are not there yet.

    What is asked with such an array is written down; the library of
    the arrays answers the rest.

    Args:
        trace: The list of operations.
    """

    def __init__(self, trace: Recording) -> None:
        self._trace = trace

    def __getattr__(self, name: str) -> Any:
        ours = getattr(ArraySymbol, name, None)
        theirs = getattr(self._trace.xp, name)
        if ours is None:
            return theirs

        def function(*args: Any, **kwargs: Any) -> Any:
            kinds = map(type, flatten(args)[0])
            traced = ArraySymbol in kinds
            return (ours if traced else theirs)(*args, **kwargs)

        return function

    def zeros(self, shape: Shape, **kwargs: Any) -> Any:
        """Return zeros of a shape, in the source one number."""
        zeros = self._trace.xp.zeros(shape, **kwargs)
        return filled(self._trace, zeros)


VIEWS = ("reshape", "permute_dims", "broadcast_to", "{}[", "{}.mT")
"""What may return the memory of its argument."""


def _is_held(trace: Recording, place: int) -> bool:
    op = str(trace.nodes[place][0])
    return op.startswith(("input", "constant", *VIEWS))


def _with_own_results(f: Function, trace: Recording) -> Function:
    """Return the function with results that nothing else holds."""

    @wraps(f)
    def owning(*args: Tree) -> Tree:
        result = f(*args)
        leaves, structure = numbers_of("jit_arrays", "result", result)
        taken: set[int] = set()
        owned = [_owned(trace, x, taken) for x in leaves]
        return unflatten(structure, owned)

    return owning


def _owned(trace: Recording, x: Number, taken: set[int]) -> Number:
    """Return a result of full shape, as an array of its own."""
    if isinstance(x, Value) or dtype_of(example_of(x)) is None:
        return x
    place, example = whole(trace, x), example_of(x)
    if place in taken or _is_held(trace, place):
        place = trace.copy(place)
    elif isinstance(example, np.generic):
        place = noted(trace, "asarray({})", [place], example)
    taken.add(place)
    return ArraySymbol(trace, place, example)


MANY_BYTES = 2**20


def _freeing(program: Program, trace: Recording) -> Program:
    """Return a program that holds no large array for too long."""
    total = sum(getattr(x, "nbytes", 0) for x in trace.made.values())
    if total < MANY_BYTES:
        return program
    return replace(program, source=with_deletions(program.source))


def with_deletions(source: str) -> str:
    """Return the source of a function that deletes what it has used.

    Args:
        source: A function: assignments, one on a line, and a return.
    """
    (function,) = ast.parse(source).body
    assert isinstance(function, ast.FunctionDef)
    ends = _last_uses(function.body)
    lines = source.splitlines()
    for statement in function.body[-2::-1]:
        names = ends.get(statement.lineno)
        if names:
            line = f"    del {', '.join(names)}"
            lines.insert(statement.lineno, line)
    return "\n".join([*lines, ""])


def _last_uses(body: Sequence[ast.stmt]) -> dict[int, list[str]]:
    """Return, by line, what is used there for the last time."""
    made: dict[str, int] = {}
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and (
                isinstance(node.ctx, ast.Store) or node.id in made
            ):
                made[node.id] = statement.lineno
    ends: dict[int, list[str]] = {}
    for name, line in made.items():
        ends.setdefault(line, []).append(name)
    return ends


class CompiledArrays(Compiled):
    """A function of arrays that is traced once for their shapes.

    Args:
        f: A function of trees of arrays that returns such a tree.
        compiler: What to do with the code, such as `jax.jit`.
    """

    _name = "jit_arrays"

    def _key_of(self, args: Sequence[Tree]) -> Any:
        return tuple(map(_key, args))

    def _program(self, args: Sequence[Tree]) -> Function | None:
        if any(isinstance(x, STRANGERS) for x in flatten(args)[0]):
            return None
        return self._build(args)

    def _write(self, args: Sequence[Tree]) -> Program:
        leaves, _ = numbers_of("jit_arrays", "argument", args)
        arrays = [x for x in leaves if dtype_of(x) is not None]
        if not arrays:
            raise TracingError(
                "jit_arrays: there is no array among the arguments; "
                "jit compiles functions of numbers"
            )
        xp = library(arrays[0])
        trace, scope = Recording(xp), array_scope(xp, *CALLED)
        f = _with_own_results(self._f, trace)
        program = write(f, args, trace.forms, scope, trace, _input)
        return _freeing(program, trace)


REDUCTIONS = ("sum", "mean", "max", "min", "argmax")

MOVES = ("reshape", "permute_dims", "broadcast_to", "concat", "stack")

OTHERS = ("isfinite", "astype", "add_at", "asarray")

CALLED = (*REDUCTIONS, *MOVES, *OTHERS, *TYPES)
"""What the source may call, beside what every jit calls."""


def _input(trace: Recording, place: int, x: Number) -> ArraySymbol:
    trace.made[place] = x
    return ArraySymbol(trace, place, x)


def _key(tree: Tree) -> Any:
    """Return what decides which code serves a tree, hashable."""
    kind = type(tree)
    if kind is np.ndarray:
        return tree.shape, tree.dtype
    if kind is list or kind is tuple:
        return kind, tuple(map(_key, tree))
    if kind is dict:
        return kind, tuple(tree), tuple(map(_key, tree.values()))
    if isinstance(tree, tuple):
        return kind, tuple(map(_key, tree))
    dtype = dtype_of(tree)
    if dtype is None:
        return kind
    return kind, tree.shape, dtype, getattr(tree, "device", None)


def jit_arrays(f: Function, *, compiler: Any = None) -> CompiledArrays:
    """Return a function that does what `f` does, as plain code.

    `f` is called once for each combination of shapes and types. What
    it does then is what will be done: branches, loops and random
    numbers are decided while tracing.

    Args:
        f: A function of trees of arrays that returns such a tree.
            `jit_arrays(value_and_grad(loss))` compiles a gradient,
            and the step of an optimiser may go in as well.
        compiler: What to do with the code, such as `jax.jit`.

    Raises:
        TracingError: When called, if `f` asks what the numbers are.
        TypeError: When called, if no argument is an array, or an
            argument or the result holds what is no number.
    """
    return CompiledArrays(f, compiler)
