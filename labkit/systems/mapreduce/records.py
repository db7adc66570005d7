"""Intermediate pairs as bytes: a region of a map's output, and a sorted run of the external sort.

Both are *runs*: groups (key, values) in increasing order of the keys, in frames, so that a merge has only one
frame of each run in memory. A key with many values takes several groups.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Any

from labkit.runtime.copying import dumps

__all__ = ["Group", "frames_of", "grouped", "merged", "packed", "unordered", "unpacked"]

Group = tuple[Any, list[Any]]

HEAD = struct.Struct("<I")
#: Values in one frame.
AT_ONCE = 2000

key_of = itemgetter(0)


def packed(groups: Iterable[Group]) -> Iterator[bytes]:
    """Frames."""
    frame: list[Group] = []
    count = 0
    for key, values in groups:
        for at in range(0, len(values), AT_ONCE) if len(values) > AT_ONCE else (0,):
            part = values[at : at + AT_ONCE]
            frame.append((key, part))
            count += len(part)
            if count >= AT_ONCE:
                yield _framed(frame)
                frame, count = [], 0
    if frame:
        yield _framed(frame)


def _framed(frame: list[Group]) -> bytes:
    data = dumps(frame)
    return HEAD.pack(len(data)) + data


def unpacked(data: bytes) -> Iterator[Group]:
    """The groups of frames that are one after the other."""
    at = 0
    while at < len(data):
        (size,) = HEAD.unpack_from(data, at)
        at += HEAD.size
        yield from pickle.loads(memoryview(data)[at : at + size])
        at += size


def frames_of(read: Callable[[int, int], bytes], sizes: list[int]) -> Iterator[Group]:
    """The groups of a run on the disk: ``read(start, size)``, frame after frame."""
    at = 0
    for size in sizes:
        yield from unpacked(read(at, size))
        at += size


def merged(runs: list[Iterator[Group]]) -> Iterator[Group]:
    """All groups of the runs in increasing order of the keys; of equal keys, the earlier run's first."""
    return runs[0] if len(runs) == 1 else merge(*runs, key=key_of)


def grouped(groups: Iterator[Group]) -> Iterator[tuple[Any, Iterator[Any]]]:
    """Each key once, with an iterator over all its values: "this allows us to handle lists of values that
    are too large to fit in memory" (§2.1)."""
    for key, parts in groupby(groups, key_of):
        yield key, (value for _, values in parts for value in values)


def unordered(keys: Iterable[Any], error: Exception) -> TypeError:
    """What to say when keys cannot be sorted."""
    kinds = sorted({type(key).__name__ for key in keys})
    return TypeError(
        f"intermediate keys are sorted, so all of a job must be comparable; these are {', '.join(kinds)} "
        f"({error}): emit keys of one kind, such as str(key)"
    )
