"""Parameters on disk, as JSON that anyone can read."""

import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

from prosegrad.module import Module


def _check_numbers(numbers: list[Any], where: str) -> None:
    for i, number in enumerate(numbers):
        if type(number) is not float or not math.isfinite(number):
            raise ValueError(
                f"{where}: parameter {i} is {number!r}, "
                "not a finite float"
            )


def _write_whole(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def save_parameters(
    model: Module, path: str | os.PathLike[str]
) -> None:
    """Write the parameters of `model` to a JSON file.

    The file appears whole or not at all: it is written beside its
    place, then moved there.

    Raises:
        ValueError: A parameter is not a finite float.
    """
    numbers = [p.data for p in model.parameters()]
    _check_numbers(numbers, "save_parameters")
    text = json.dumps({"model": repr(model), "parameters": numbers})
    _write_whole(Path(path), text + "\n")


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
    if content["model"] != repr(model):
        raise ValueError(
            f"{path} holds {content['model']}, not {model!r}"
        )
    parameters = model.parameters()
    numbers = content["parameters"]
    if len(numbers) != len(parameters):
        raise ValueError(
            f"{path} holds {len(numbers)} numbers, "
            f"the model has {len(parameters)}"
        )
    _check_numbers(numbers, str(path))
    for parameter, number in zip(parameters, numbers):
        parameter.data = number
