"""Numbers in containers: lists, tuples and dicts, in any nesting.

A function that is differentiated takes and returns such *trees*. They
are flattened to a list of numbers, and afterwards the numbers go back
into the same containers. The idea and the words are JAX's pytrees.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from prosegrad.elementary import Number

Tree = Any
"""A number, or a list, tuple or dict whose members are trees."""


@dataclass(frozen=True, slots=True)
class Structure:
    """What a tree is without its numbers.

    Attributes:
        kind: The type of the container, or None for a number.
        keys: The keys of a dict, in order.
        children: The structures of the members.
    """

    kind: Any = None
    keys: tuple[Any, ...] = ()
    children: tuple["Structure", ...] = ()

    def __str__(self) -> str:
        stars = str(unflatten(self, repeat("*")))
        return stars.replace("'*'", "*")


LEAF = Structure()


def flatten(tree: Tree) -> tuple[list[Number], Structure]:
    """Return the numbers of a tree, in order, and its structure."""
    leaves: list[Number] = []
    return leaves, _collect(tree, leaves)


def _collect(tree: Tree, leaves: list[Number]) -> Structure:
    if not isinstance(tree, (list, tuple, dict)):
        leaves.append(tree)
        return LEAF
    keys = tuple(tree) if isinstance(tree, dict) else ()
    members = tree.values() if isinstance(tree, dict) else tree
    children = tuple(_collect(member, leaves) for member in members)
    return Structure(type(tree), keys, children)


def unflatten(structure: Structure, leaves: Iterable[Any]) -> Tree:
    """Return the tree of this structure with these numbers."""
    return _build(structure, iter(leaves))


def _build(structure: Structure, leaves: Iterator[Any]) -> Tree:
    if structure.kind is None:
        return next(leaves)
    members = [_build(child, leaves) for child in structure.children]
    if structure.keys:
        return structure.kind(zip(structure.keys, members))
    if hasattr(structure.kind, "_make"):  # a named tuple
        return structure.kind._make(members)
    return structure.kind(members)


def paths(tree: Tree, name: str = "") -> Iterator[str]:
    """Yield what to write behind a variable to reach each number.

    `paths([1, (2, 3)], "x")` yields `x[0]`, `x[1][0]` and `x[1][1]`.
    """
    if isinstance(tree, (list, tuple, dict)):
        keys = tree if isinstance(tree, dict) else range(len(tree))
        for key in keys:
            yield from paths(tree[key], f"{name}[{key!r}]")
    else:
        yield name
