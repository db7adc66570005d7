"""Checkpoints: all vectors in one file of NumPy's, on the user's own disk.

What the update functions keep beside the values is in it too. While a run is on, no iteration is under way
while the parameters are read: the checkpoint is as between two iterations.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from labkit.runtime.errors import LabError

from .store import Contents
from .updates import all_finite
from .vectors import VectorSpec, count, span_of

__all__ = ["NotACheckpoint", "read_checkpoint", "write_checkpoint"]

#: What the file says it is.
FORMAT = "labkit parameter server 1"


class NotACheckpoint(LabError):
    """The file is not a checkpoint, or of other vectors."""


def write_checkpoint(path: Path, vectors: Mapping[str, tuple[VectorSpec, Iterable[Contents]]]) -> int:
    """Write it, whole or not at all; returns its bytes. In the place of a file, and of nothing else."""
    if path.exists() and not path.is_file():
        raise FileExistsError(f"{str(path)!r} is no file that a checkpoint could replace; name another")
    arrays: dict[str, np.ndarray] = {}
    table: list[list[object]] = []
    for name, (spec, parts) in vectors.items():
        for contents in parts:
            keys, number = contents.keys, len(table)
            table.append([name, spec.size, list(keys) if isinstance(keys, tuple) else None])
            arrays[f"{number}.values"] = contents.values
            if not isinstance(keys, tuple):
                arrays[f"{number}.keys"] = keys
            arrays.update({f"{number}.extra.{extra}": array for extra, array in contents.extras.items()})
    header = json.dumps(
        {"format": FORMAT, "vectors": {n: s.size for n, (s, _) in vectors.items()}, "parts": table}
    )
    fresh = path.with_name(path.name + ".new")
    try:
        with fresh.open("wb") as file:
            np.savez(file, header=np.frombuffer(header.encode(), np.uint8), **arrays)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    return path.stat().st_size


def read_checkpoint(path: Path, known: Mapping[str, VectorSpec]) -> Iterator[tuple[VectorSpec, Contents]]:
    """The entries, in parts. Raises ``NotACheckpoint`` before the first if they do not fit ``known``."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        header = json.loads(arrays["header"].tobytes())
        assert header["format"] == FORMAT
        sizes = dict(header["vectors"])
        parts = [
            (name, _part(arrays, number, sizes[name], bounds))
            for number, (name, _, bounds) in enumerate(header["parts"])
        ]
    except FileNotFoundError:
        raise
    except Exception as error:
        raise NotACheckpoint(f"{path} is not a checkpoint of a parameter server: {error!r}") from error
    for name, size in sizes.items():
        if name not in known or known[name].size != size:
            there = ", ".join(f"{spec.name} ({spec.size})" for spec in known.values()) or "none"
            raise NotACheckpoint(
                f"{path} holds a vector {name!r} with {size} keys; make it first: "
                f"ps.vector({name!r}, {size}). There are: {there}"
            )
    for name, contents in parts:
        spec = known[name]
        if unknown := ", ".join(contents.extras.keys() - set(spec.update.extras)):
            raise NotACheckpoint(
                f"{path} holds the {unknown} of another update function than that of {name!r}, "
                f"{spec.update!r}; make the vector with the one that it had"
            )
        if spec.finite and not all_finite(contents.values):
            raise NotACheckpoint(
                f"{path} holds numbers of {name!r} that are not finite; make the vector with finite=False"
            )
        yield spec, contents


def _part(arrays: Mapping[str, np.ndarray], number: int, size: int, bounds: list[int] | None) -> Contents:
    """One entry of the table; raises anything for one that no ``write_checkpoint`` has made."""
    keys = arrays[f"{number}.keys"] if bounds is None else (int(bounds[0]), int(bounds[1]))
    prefix = f"{number}.extra."
    extras = {key[len(prefix) :]: array for key, array in arrays.items() if key.startswith(prefix)}
    values = arrays[f"{number}.values"]
    if count(keys):
        first, end = span_of(keys)
        assert 0 <= first < end <= size
    assert all(array.shape == (count(keys),) for array in (values, *extras.values()))
    return Contents(keys, values, extras)
