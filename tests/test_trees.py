"""Numbers out of containers, and into them again."""

from collections import Counter, OrderedDict, defaultdict
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prosegrad import Value, grad
from prosegrad.trees import LEAF, Structure, flatten, paths, unflatten


class Pair(NamedTuple):
    """A named tuple, as a reader may have one."""

    left: Any
    right: Any


class Star:
    """A leaf that Python writes as a star."""

    def __repr__(self) -> str:
        return "*"


NUMBERS = st.integers() | st.floats(allow_nan=False) | st.fractions()
KEYS = st.text() | st.integers() | st.tuples(st.integers(), st.text())


def containers(members: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return containers of each kind, the empty ones included."""
    return (
        st.lists(members, max_size=4)
        | st.lists(members, max_size=4).map(tuple)
        | st.dictionaries(KEYS, members, max_size=4)
        | st.builds(Pair, members, members)
    )


TREES = st.recursive(NUMBERS | st.none(), containers, max_leaves=12)


def same(one: Any, other: Any) -> bool:
    """Tell whether two trees are equal in containers and order as well."""
    return type(one) is type(other) and repr(one) == repr(other)


@given(TREES)
def test_unflatten_undoes_flatten(tree: Any) -> None:
    """The containers are of the same kinds, and the leaves the same objects."""
    leaves, structure = flatten(tree)
    again = unflatten(structure, leaves)

    assert same(again, tree)
    assert all(a is b for a, b in zip(flatten(again)[0], leaves, strict=True))
    assert flatten(again)[1] == structure


@given(TREES)
def test_flatten_undoes_unflatten(tree: Any) -> None:
    """Whatever numbers are put in come out in their order."""
    leaves, structure = flatten(tree)
    others = list(range(len(leaves)))

    assert flatten(unflatten(structure, others)) == (others, structure)


@given(TREES)
def test_a_path_leads_to_its_leaf(tree: Any) -> None:
    leaves, _ = flatten(tree)
    found = [eval(path, {"tree": tree}) for path in paths(tree, "tree")]

    assert all(a is b for a, b in zip(found, leaves, strict=True))


@given(TREES)
def test_a_structure_is_written_with_stars(tree: Any) -> None:
    """It is what Python writes for the tree, with a star for each leaf."""
    leaves, structure = flatten(tree)
    starred = unflatten(structure, [Star() for _ in leaves])

    assert str(structure) == repr(starred)


@given(TREES, TREES)
def test_structures_are_equal_if_the_trees_are_alike(one: Any, other: Any) -> None:
    """And then so are their hashes."""
    (of_one, first), (of_other, second) = flatten(one), flatten(other)
    alike = same(
        unflatten(first, [0] * len(of_one)), unflatten(second, [0] * len(of_other))
    )

    assert (first == second) == alike
    assert hash(first) == hash(second) or not alike


@given(TREES)
def test_a_structure_does_not_depend_on_the_numbers(tree: Any) -> None:
    leaves, structure = flatten(tree)
    changed = flatten(unflatten(structure, [0.5] * len(leaves)))[1]

    assert changed == structure
    assert {structure: 1}[changed] == 1


@pytest.mark.parametrize(
    ("tree", "leaves", "text", "found"),
    [
        (1.5, [1.5], "*", [""]),
        (None, [None], "*", [""]),
        ("ab", ["ab"], "*", [""]),
        ([], [], "[]", []),
        ((), [], "()", []),
        ({}, [], "{}", []),
        ([[], {}], [], "[[], {}]", []),
        ((1,), [1], "(*,)", ["[0]"]),
        ([1, (2, 3)], [1, 2, 3], "[*, (*, *)]", ["[0]", "[1][0]", "[1][1]"]),
        ({"b": 1, "a": [2]}, [1, 2], "{'b': *, 'a': [*]}", ["['b']", "['a'][0]"]),
        ({"'*'": 1}, [1], """{"'*'": *}""", ["""["'*'"]"""]),
        (Pair(1, [2]), [1, 2], "Pair(left=*, right=[*])", ["[0]", "[1][0]"]),
    ],
)
def test_flatten(tree: Any, leaves: list[Any], text: str, found: list[str]) -> None:
    """Every kind of tree, written out."""
    numbers, structure = flatten(tree)

    assert numbers == leaves
    assert str(structure) == text
    assert list(paths(tree)) == found
    assert same(unflatten(structure, leaves), tree)


DIFFERENT = [
    1.0,
    [],
    (),
    {},
    [1.0],
    (1.0,),
    [1.0, 2.0],
    (1.0, 2.0),
    Pair(1.0, 2.0),
    [[1.0, 2.0]],
    [[1.0], 2.0],
    {"a": 1.0, "b": 2.0},
    {"b": 2.0, "a": 1.0},
    {"a": 1.0},
    {0: 1.0},
]


@pytest.mark.parametrize("i", range(len(DIFFERENT)))
def test_containers_of_another_kind_are_another_structure(i: int) -> None:
    """A list is no tuple, and the order of keys counts."""
    structures = [flatten(tree)[1] for tree in DIFFERENT]

    assert [j for j, other in enumerate(structures) if other == structures[i]] == [i]


def test_a_leaf_has_the_structure_of_a_leaf() -> None:
    assert flatten(3.0) == ([3.0], LEAF)
    assert Structure() == LEAF


@pytest.mark.parametrize(
    "leaf",
    [
        Value(1.0),
        {1.0, 2.0},
        range(3),
        Counter(a=2),
        OrderedDict(a=2.0),
        defaultdict(float, a=2.0),
        type("Inherits", (list,), {})([1.0]),
        type("Inherits", (tuple,), {})([1.0]),
    ],
    ids=lambda leaf: type(leaf).__name__,
)
def test_other_classes_are_leaves(leaf: Any) -> None:
    """Also those that inherit from a container: who knows how to build them?"""
    assert flatten(leaf)[0][0] is leaf
    assert flatten(leaf)[1] == LEAF
    assert list(paths(leaf, "x")) == ["x"]


@pytest.mark.parametrize("leaf", [None, "ab", {1.0}, Counter(a=2), OrderedDict(a=2.0)])
def test_a_leaf_that_is_no_number_is_refused_with_its_path(leaf: Any) -> None:
    with pytest.raises(
        TypeError, match=r"argument\[0\]\['a'\]\[1\] is .* not a number"
    ):
        grad(lambda tree: tree["a"][0])({"a": [1.0, leaf]})


def test_unflatten_takes_as_many_as_it_needs() -> None:
    """So that one iterator may feed several trees."""
    numbers = iter([1, 2, 3, 4])
    _, structure = flatten(["", ""])

    assert unflatten(structure, numbers) == [1, 2]
    assert unflatten(structure, numbers) == [3, 4]


@pytest.mark.parametrize("tree", [1.0, [1.0, 2.0], {"a": (1.0, [2.0])}])
def test_too_few_numbers_are_an_error(tree: Any) -> None:
    """Not a StopIteration, which would end the loop of a caller in silence."""
    leaves, structure = flatten(tree)

    with pytest.raises(ValueError, match="not enough numbers for"):
        unflatten(structure, leaves[1:])
