"""Parameters on disk, as JSON that anyone can read."""

import contextlib
import inspect
import json
import math
import os
import secrets
import stat
from collections.abc import Iterator
from numbers import Number as PythonNumber
from pathlib import Path
from typing import Any

from prosegrad.module import Module, _walk_members
from prosegrad.value import namespace


def _check_numbers(parameters: list[Any], where: str) -> None:
    for i, parameter in enumerate(parameters):
        for number in _leaves(parameter):
            if type(number) is not float or not math.isfinite(number):
                raise ValueError(
                    f"{where}: parameter {i} is {number!r}, "
                    "not a finite float"
                )


def _leaves(x: Any) -> Iterator[Any]:
    """Yield what is in lists of lists, or the one number."""
    if not isinstance(x, list):
        yield x
        return
    for member in x:
        yield from _leaves(member)


def _as_lists(data: Any) -> Any:
    """Return an array as lists of lists, and a number as it is."""
    return data.tolist() if hasattr(data, "tolist") else data


def write_whole(path: str | os.PathLike[str], raw: bytes) -> None:
    """Put a file in its place at once, and on the disk.

    It has the rights that `open(path, "wb")` would leave, and is
    where that would put it. Killed at any moment, it leaves the old
    file or the new one, and perhaps a third beside it, whose name
    ends in `.part`.
    """
    place = Path(path)
    if place.is_symlink():
        place = Path(os.path.realpath(place))
    try:
        handle = os.open(place, os.O_WRONLY | _BINARY)
    except FileNotFoundError:
        _replace(place, raw, None)
        return
    with open(handle, "wb") as file:
        old = os.fstat(handle)
        if not stat.S_ISREG(old.st_mode):
            file.write(raw)
            return
    _replace(place, raw, old)


_BINARY = getattr(os, "O_BINARY", 0)  # Windows would change line ends
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY


def _replace(
    place: Path, raw: bytes, old: os.stat_result | None
) -> None:
    name = f"{place.name[:40]}.{secrets.token_hex(6)}.part"
    part = place.with_name(name)
    handle = os.open(part, _NEW, 0o666)
    try:
        with open(handle, "wb") as file:
            file.write(raw)
            file.flush()
            if old is not None:
                _like_old(part, old)
            os.fsync(handle)
        os.replace(part, place)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
        raise
    sync_folder(place.parent)


def _like_old(part: Path, old: os.stat_result) -> None:
    """Give a file the owner, if one may, and the rights of another."""
    if hasattr(os, "chown"):
        with contextlib.suppress(PermissionError):
            os.chown(part, old.st_uid, old.st_gid)
    os.chmod(part, stat.S_IMODE(old.st_mode))


def sync_folder(folder: Path) -> None:
    """Put the names of a folder on the disk, where that is possible."""
    if os.name != "posix":
        return  # elsewhere a folder cannot be opened
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


_PLAIN = (str, int, float, bool, type(None))


def _description(model: Module) -> str:
    """Return what a model is made of, without its numbers."""
    text = repr(model)
    if type(model).__repr__ is not Module.__repr__:
        name = type(model).__name__
        is_named = text.startswith(f"{name}(")
        return text if is_named else f"{name}: {text}"
    inside = [
        f"{'.'.join(map(str, path))} {_settings(x)}".strip()
        for path, x in _walk_members(model)
        if isinstance(x, Module)
    ]
    return f"{text}: {'; '.join(inside)}"


def _settings(module: Module) -> str:
    """Return the class and the plain arguments that it has kept."""
    found = []
    for name in inspect.signature(type(module)).parameters:
        x = vars(module).get(name, _settings)
        parts = x if isinstance(x, tuple) else (x,)
        if all(isinstance(part, _PLAIN) for part in parts):
            found.append(f"{name}={x!r}")
    return f"{type(module).__name__}({', '.join(found)})"


def save_parameters(
    model: Module, path: str | os.PathLike[str]
) -> None:
    """Write the parameters of `model` to a JSON file.

    The file appears whole or not at all: it is written beside its
    place, then moved there. Otherwise it is as `open(path, "w")`
    would make it.

    Args:
        model: Any Module; its parameters are floats, or arrays of
            any library.
        path: The file.

    Raises:
        ValueError: A number is not a finite float, or two parameters
            have the same name.
    """
    named = model.named_parameters()
    numbers = [_as_lists(p.data) for _, p in named]
    _check_numbers(numbers, "save_parameters")
    content = {"model": _description(model), "parameters": numbers}
    write_whole(path, (json.dumps(content) + "\n").encode())


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    match content:
        case {"model": str(), "parameters": list()}:
            return dict(content)
    raise ValueError(f"{path} does not hold saved parameters")


def load_parameters(
    model: Module, path: str | os.PathLike[str]
) -> None:
    """Read a JSON file of `save_parameters` into `model`.

    Raises:
        ValueError: The file is not such a file, holds another model,
            or numbers that are not finite. No parameter has changed.
    """
    content = _read(Path(path))
    own = _description(model)
    if content["model"] != own:
        raise ValueError(f"{path} holds {content['model']}, not {own}")
    named = model.named_parameters()
    numbers = content["parameters"]
    if len(numbers) != len(named):
        raise ValueError(
            f"{path} holds {len(numbers)} parameters, "
            f"the model has {len(named)}"
        )
    _check_numbers(numbers, str(path))
    try:
        state = {
            name: _like_own(p.data, x)
            for (name, p), x in zip(named, numbers)
        }
        model.load_state(state)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None


def _like_own(data: Any, x: Any) -> Any:
    """Return numbers of a file as the array that is there now."""
    if not hasattr(data, "dtype"):
        return x
    xp, device = namespace(data), getattr(data, "device", None)
    found = xp.asarray(x, dtype=data.dtype, device=device)
    if not bool(xp.all(abs(found) < math.inf)):
        raise ValueError(f"a number is too large for {data.dtype}")
    return found[()] if isinstance(data, PythonNumber) else found
