"""Checkpoints: a training on disk, whole or not at all.

A checkpoint is a safetensors file, which holds arrays and nothing that
runs. It is there completely or not at all, and it is not loaded if a
single byte has changed.
"""

import hashlib
import json
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import array_api_compat
import numpy as np
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from prosegrad.saving import sync_folder, write_whole
from prosegrad.value import Value

VERSION = 1
"""The version of the format that is written, and the last one read."""


def _as_numpy(name: str, x: Any) -> Any:
    """Return a tensor, an array or a number as an array, row by row."""
    while isinstance(x, Value):
        x = x.data
    try:
        if array_api_compat.is_torch_array(x):
            x = x.detach().cpu().numpy()
        array = np.asarray(x, order="C")
    except (TypeError, ValueError) as error:
        raise TypeError(f"save_checkpoint: {name}: {error}") from None
    if array.dtype.kind not in "biufc":
        raise TypeError(
            f"save_checkpoint: {name} has dtype {array.dtype}, which "
            "a checkpoint cannot hold"
        )
    return array


_EMPTY = "0" * 64
_CHECKSUM = re.compile(rb'(?<="sha256":")[0-9a-f]{64}(?=")')


def _sealed(raw: bytes) -> bytes:
    """Return the file with its checksum in place of 64 zeros."""
    digest = hashlib.sha256(raw).hexdigest()
    return _CHECKSUM.sub(digest.encode(), raw, count=1)


def _is_sealed(raw: bytes, header: bytes) -> bool:
    """Tell whether the checksum in the header is that of the file."""
    if not (found := _CHECKSUM.search(header)):
        return False
    start, end = (8 + place for place in found.span())
    digest = hashlib.sha256(raw[:start])
    digest.update(_EMPTY.encode())
    digest.update(memoryview(raw)[end:])
    return digest.hexdigest().encode() == found.group()


def _packed(
    tensors: Mapping[str, Any], metadata: Mapping[str, Any]
) -> bytes:
    if "__metadata__" in tensors:
        raise ValueError("save_checkpoint: a tensor named __metadata__")
    arrays = {name: _as_numpy(name, x) for name, x in tensors.items()}
    about = {
        "prosegrad": str(VERSION),
        "sha256": _EMPTY,
        "metadata": _as_json(dict(metadata)),
    }
    try:
        return _sealed(safetensors.save(arrays, about))
    except SafetensorError as error:
        raise TypeError(f"save_checkpoint: {error}") from None


def _as_json(metadata: dict[str, Any]) -> str:
    """Return the text, if it comes back as what it was."""
    try:
        text = json.dumps(metadata)
    except (TypeError, ValueError) as error:
        raise TypeError(f"save_checkpoint: metadata: {error}") from None
    if json.loads(text) != metadata:
        raise TypeError(
            "save_checkpoint: metadata: JSON has text for keys, lists "
            "and no tuples, and no NaN"
        )
    return text


def save_checkpoint(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Any],
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write arrays to a file that appears whole or not at all.

    Killed at any moment, it leaves the old file or the new one, and
    perhaps a third beside it, whose name ends in `.part`. Otherwise
    the file is as `open(path, "wb")` would make it.

    Args:
        path: The file; by custom its name ends in `.safetensors`.
        tensors: Tensors, arrays of any library, and numbers, by name.
        metadata: What comes back from JSON as it was.

    Raises:
        TypeError: There is something else than numbers in `tensors`,
            or than JSON in `metadata`. No file has changed.
        ValueError: A tensor is named `__metadata__`.
        OSError: The file cannot be written. No file has changed.
    """
    write_whole(path, _packed(tensors, metadata or {}))


class CheckpointError(ValueError):
    """A file is no checkpoint, or a damaged one."""


class Checkpoint(NamedTuple):
    """What a checkpoint holds.

    Attributes:
        tensors: Arrays of NumPy, by name; a number is one of shape ().
        metadata: What was saved with them.
    """

    tensors: dict[str, Any]
    metadata: dict[str, Any]


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a file of `save_checkpoint`, if it is as it was written.

    Raises:
        CheckpointError: The file is no checkpoint, or it was cut off
            or altered.
        ValueError: It is of a newer version.
        OSError: It cannot be read.
    """
    raw = Path(path).read_bytes()
    header = _header(raw, path)
    if not _is_sealed(raw, header):
        raise CheckpointError(f"{path} was altered: {_WRONG_SUM}")
    about = json.loads(header)["__metadata__"]
    version = int(about["prosegrad"])
    if version > VERSION:
        raise ValueError(
            f"{path} is a checkpoint of version {version}; this "
            f"prosegrad reads versions up to {VERSION}"
        )
    tensors = {n: x.copy() for n, x in safetensors.load(raw).items()}
    return Checkpoint(tensors, json.loads(about["metadata"]))


_WRONG_SUM = "its contents do not have its checksum"

_OPENING = b'{"__metadata__":{'


def _header(raw: bytes, path: Any) -> bytes:
    """Return the header of a checkpoint that was not cut off."""
    end = 8 + int.from_bytes(raw[:8], "little")
    header, length = raw[8:end], max(len(raw) - 8, 0)
    is_ours = raw[8:].startswith(_OPENING[:length])
    ends = re.findall(rb'"data_offsets":\[\d+,(\d+)\]', header)
    whole = end + max(map(int, ends), default=0)
    if is_ours and len(raw) < whole:
        raise CheckpointError(
            f"{path} was cut off: it has {len(raw):,} bytes of at "
            f"least {whole:,}"
        )
    if not is_ours or b'"prosegrad":"' not in header:
        raise CheckpointError(f"{path} is no checkpoint of prosegrad")
    return header


def joined(**parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return one flat dict of several, with their names in front.

    `joined(net={"w": 1}, optimiser={})` is `{"net.w": 1}`.

    Raises:
        ValueError: A part has a dot in its name, or two of its names
            are the same as text: `part_of` could not undo it.
    """
    flat: dict[str, Any] = {}
    for part, members in parts.items():
        for name, x in members.items():
            full = f"{part}.{name}"
            if "." in part or full in flat:
                raise ValueError(
                    f"joined: {name!r} of part {part!r} would have a "
                    f"name that is not its own, {full!r}"
                )
            flat[full] = x
    return flat


def part_of(tensors: Mapping[str, Any], part: str) -> dict[str, Any]:
    """Return one of the dicts that `joined` was given."""
    start = part + "."
    return {
        name.removeprefix(start): x
        for name, x in tensors.items()
        if name.startswith(start)
    }


class Checkpoints:
    """The checkpoints of one training, in a folder of its own.

    One process at a time may save into the folder; any may read.

    Args:
        folder: Where they are. It is made if it is not there.
        keep: How many of the last ones stay.

    Raises:
        ValueError: `keep` is below 1.
    """

    def __init__(
        self, folder: str | os.PathLike[str], keep: int = 3
    ) -> None:
        if keep < 1:
            raise ValueError(f"Checkpoints: keep={keep!r} is below 1")
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        sync_folder(self.folder.resolve().parent)
        self.keep = keep

    def path(self, step: int) -> Path:
        """Return the file of a step, whether it is there or not."""
        return self.folder / f"step-{step:09d}.safetensors"

    def steps(self) -> list[int]:
        """Return the steps that have a file, from the first on."""
        found = ((_NAME.match(p.name), p) for p in _files(self.folder))
        steps = ((int(name[1]), p) for name, p in found if name)
        return sorted(n for n, path in steps if path == self.path(n))

    def save(
        self,
        step: int,
        tensors: Mapping[str, Any],
        metadata: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write the checkpoint of a step, then remove the oldest.

        None is removed before the new one is on the disk. Files of
        later steps, of a training that went back, are left alone.

        Args:
            step: A whole number, 0 or above.
            tensors: As for `save_checkpoint`.
            metadata: As for `save_checkpoint`.

        Raises:
            ValueError: `step` is negative.
            TypeError: As for `save_checkpoint`.
            OSError: As for `save_checkpoint`.
        """
        if step < 0:
            raise ValueError(f"save: step {step!r} is negative")
        for path in _files(self.folder):
            if _LEFT.fullmatch(path.name):
                path.unlink(missing_ok=True)
        path = self.path(step)
        save_checkpoint(path, tensors, metadata)
        earlier = [n for n in self.steps() if n <= step]
        for n in earlier[: -self.keep]:
            self.path(n).unlink(missing_ok=True)
        return path

    def latest(self) -> tuple[int, Checkpoint] | None:
        """Return the newest step whose file is whole, and its contents.

        A damaged file is passed over with a warning.

        Returns:
            None if there is no checkpoint.

        Raises:
            CheckpointError: There are some, and all are damaged.
            ValueError: The newest whole one is of a newer version.
        """
        steps = self.steps()
        for step in reversed(steps):
            try:
                return step, load_checkpoint(self.path(step))
            except CheckpointError as error:
                warnings.warn(f"passed over: {error}", stacklevel=2)
            except FileNotFoundError:
                return self.latest()  # removed since, by a later save
        if steps:
            raise CheckpointError(
                f"{self.folder}: all {len(steps)} checkpoints are "
                "damaged"
            )
        return None


_NAME = re.compile(r"step-([0-9]+)\.safetensors")
_LEFT = re.compile(r"step-.*\.safetensors\..*\.part")


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file()]
