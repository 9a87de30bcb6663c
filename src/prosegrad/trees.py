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
        return str(unflatten(self, repeat(_Star())))


class _Star:
    def __repr__(self) -> str:
        return "*"


LEAF = Structure()
"""The structure of a number."""


def flatten(tree: Tree) -> tuple[list[Number], Structure]:
    """Return the numbers of a tree, in order, and its structure."""
    leaves: list[Number] = []
    return leaves, _collect(tree, leaves)


def _collect(tree: Tree, leaves: list[Number]) -> Structure:
    if not _is_container(tree):
        leaves.append(tree)
        return LEAF
    keys = tuple(tree) if isinstance(tree, dict) else ()
    members = tree.values() if isinstance(tree, dict) else tree
    children = tuple(_collect(member, leaves) for member in members)
    return Structure(type(tree), keys, children)


def _is_container(tree: Tree) -> bool:
    return type(tree) in (list, tuple, dict) or _is_named(type(tree))


def _is_named(kind: type) -> bool:
    return issubclass(kind, tuple) and hasattr(kind, "_make")


def unflatten(structure: Structure, leaves: Iterable[Any]) -> Tree:
    """Return the tree of this structure with these numbers.

    Raises:
        ValueError: There are fewer numbers than the tree has leaves.
    """
    try:
        return _build(structure, iter(leaves))
    except StopIteration:
        raise ValueError(
            f"unflatten: there are not enough numbers for {structure}"
        ) from None


def _build(structure: Structure, leaves: Iterator[Any]) -> Tree:
    if structure.kind is None:
        return next(leaves)
    members = [_build(child, leaves) for child in structure.children]
    if structure.kind is dict:
        return dict(zip(structure.keys, members))
    if _is_named(structure.kind):
        return structure.kind._make(members)
    return structure.kind(members)


def paths(tree: Tree, name: str = "") -> Iterator[str]:
    """Yield what to write behind a variable to reach each number.

    `paths([1, (2, 3)], "x")` yields `x[0]`, `x[1][0]` and `x[1][1]`.
    """
    if _is_container(tree):
        keys = tree if isinstance(tree, dict) else range(len(tree))
        for key in keys:
            yield from paths(tree[key], f"{name}[{key!r}]")
    else:
        yield name
