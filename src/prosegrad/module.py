"""Modules: models that find, name and restore their parameters."""

import copy
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prosegrad.elementary import Number
from prosegrad.value import Value


class Module:
    """Something with parameters to train.

    The parameters are the Values among its attributes, also inside
    lists, tuples, dicts and other Modules. The result of an
    operation is not a parameter.
    """

    def named_parameters(self) -> list[tuple[str, Any]]:
        """Return every parameter with its name, in a fixed order.

        A name is the path to the parameter, as `layers.0.weight`. The
        order is that of definition. A parameter that is used in two
        places is listed once, under its first name.

        Raises:
            ValueError: Two parameters have the same name.
        """
        return _named([m for m in _walk_members(self) if _is_own(m[1])])

    def parameters(self) -> list[Any]:
        """Return every trainable Value or Tensor, in a fixed order."""
        return [x for _, x in _walk_members(self) if _is_own(x)]

    def modules(self) -> list["Module"]:
        """Return this module and those inside it, from the outside."""
        members = [x for _, x in _walk_members(self)]
        return [x for x in members if isinstance(x, Module)]

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to zero."""
        for parameter in self.parameters():
            parameter.zero_grad()

    def __repr__(self) -> str:
        count = sum(math.prod(_shape(p)) for p in self.parameters())
        return f"{type(self).__name__}({count} parameters)"

    def state(self) -> dict[str, Number]:
        """Return a copy of the number of every parameter, by name."""
        return {
            name: copy.deepcopy(parameter.data)
            for name, parameter in self.named_parameters()
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Give every parameter a copy of the number of its name.

        Arrays may come from another library, and in another
        precision: the parameters are then of that. The gradients are
        set to zero. If anything is raised, no parameter has changed.

        Args:
            state: As `state` returns it.

        Raises:
            TypeError: It holds something other than numbers.
            ValueError: Its names are not those of the parameters, an
                array has another shape, or two names are the same.
        """
        named = dict(self.named_parameters())
        check_names("model", named, state)
        data = [_accepted(n, p, state[n]) for n, p in named.items()]
        for parameter, number in zip(named.values(), data):
            parameter.data = number
            parameter.zero_grad()


def _shape(parameter: Value) -> tuple[int, ...]:
    """Return the shape of a parameter; that of one number is `()`."""
    return tuple(getattr(parameter.data, "shape", ()))


_HOLDERS = (Value, Module, list, tuple, dict)
_Path = tuple[Any, ...]


def _walk_members(
    x: Any, path: _Path = (), seen: set[int] | None = None
) -> Iterator[tuple[_Path, Any]]:
    """Yield x and all that it holds, each once, by its first path."""
    seen = set() if seen is None else seen
    if id(x) in seen or not isinstance(x, _HOLDERS):
        return
    seen.add(id(x))
    yield path, x
    for key, member in _members(x):
        yield from _walk_members(member, (*path, key), seen)


def _is_own(x: Any) -> bool:
    """Tell whether this is a number that no operation has made."""
    return isinstance(x, Value) and not x._op


def _members(x: Any) -> Iterable[tuple[Any, Any]]:
    """Return what an object holds, each with its name or index."""
    if isinstance(x, Module):
        return vars(x).items()
    if isinstance(x, dict):
        return x.items()
    return enumerate(x) if isinstance(x, (list, tuple)) else ()


def _named(found: list[tuple[_Path, Any]]) -> list[tuple[str, Any]]:
    """Return parameters with names in place of their paths."""
    paths: dict[str, _Path] = {}
    for path, _ in found:
        name = ".".join(map(str, path))
        first = paths.setdefault(name, path)
        if first is not path:
            raise ValueError(
                f"the parameters at {[*first]} and {[*path]} would "
                f"both have the name {name!r}; rename a key"
            )
    return [(name, x) for name, (_, x) in zip(paths, found)]


def check_names(
    owner: str, own: Iterable[str], state: Iterable[str]
) -> None:
    """Raise a ValueError if a state has other names than its owner."""
    own, names = dict.fromkeys(own), dict.fromkeys(state)
    missing = [name for name in own if name not in names]
    unknown = [name for name in names if name not in own]
    if missing or unknown:
        raise ValueError(
            f"load_state: the state lacks {missing}, and the {owner} "
            f"does not know {unknown}"
        )


def _accepted(name: str, parameter: Value, given: Any) -> Number:
    """Return a copy of a number for a parameter, or raise."""
    if isinstance(given, Value):
        raise TypeError(
            f"load_state: {name} is a {type(given).__name__}; give its "
            "data"
        )
    try:
        fresh = type(parameter)(given)
    except (TypeError, ValueError) as error:
        raise type(error)(f"load_state: {name}: {error}") from None
    if _shape(fresh) != _shape(parameter):
        raise ValueError(
            f"load_state: {name} has shape {_shape(parameter)} in the "
            f"model and {_shape(fresh)} in the state"
        )
    return copy.deepcopy(fresh.data)
