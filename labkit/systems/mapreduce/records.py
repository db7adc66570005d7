"""Intermediate pairs as bytes: a region of a map's output, and a sorted run of the external sort.

Both are *runs*: pairs in increasing order of the keys, in frames, so that a merge has only one frame of each
run in memory. A frame is two columns, its keys and their values: half the objects of a list of pairs.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

from labkit.runtime.copying import loads_keeping_classes
from labkit.runtime.packing import dumps

__all__ = [
    "Frame",
    "Pair",
    "columns",
    "frames_in",
    "frames_of",
    "grouped",
    "merged",
    "ordered",
    "packed",
    "unordered",
]

Pair = tuple[Any, Any]
Frame = tuple[list[Any], list[Any]]  #: keys, values

HEAD = struct.Struct("<I")
#: Pairs in one frame.
AT_ONCE = 2000

key_of, value_of = itemgetter(0), itemgetter(1)


def columns(pairs: Iterable[Pair]) -> Frame:
    """The keys of pairs, and their values."""
    pairs = list(pairs)
    return [key for key, _ in pairs], [value for _, value in pairs]


def packed(pairs: Iterable[Pair]) -> Iterator[tuple[bytes, int]]:
    """Frames as bytes, of pairs that are sorted, and how many pairs are in each."""
    pairs = iter(pairs)
    while (frame := columns(islice(pairs, AT_ONCE)))[0]:
        data = dumps(frame)
        yield HEAD.pack(len(data)) + data, len(frame[0])


def frames_in(data: bytes) -> Iterator[Frame]:
    """The frames that are one after the other in these bytes."""
    at, view = 0, memoryview(data)
    while at < len(data):
        (size,) = HEAD.unpack_from(data, at)
        at += HEAD.size
        yield loads_keeping_classes(bytes(view[at : at + size]))
        at += size


def frames_of(read: Callable[[int, int], bytes], sizes: list[int]) -> Iterator[Frame]:
    """The frames of a run on the disk: ``read(start, size)``, frame after frame."""
    at = 0
    for size in sizes:
        yield from frames_in(read(at, size))
        at += size


def merged(runs: Iterable[Iterator[Frame]]) -> Iterator[Pair]:
    """All pairs of the runs in increasing order of the keys; of equal keys, the earlier run's first.

    Up to the smallest of the frames' last keys, all that there is of each run is in memory. So that much is
    sorted at a time, which for a few sorted runs is a merge, and quicker than one pair after the other.
    """
    heads = [head for run in runs if (head := _Head(run)).refill()]
    while len(heads) > 1:
        bound = min(head.keys[-1] for head in heads)
        below = [pair for head in heads for pair in head.take(bisect_left(head.keys, bound, head.at))]
        below.sort(key=key_of)
        yield from below
        equal = 0
        for head in heads:  # equal keys may go on in the next frames
            while head.keys and (end := bisect_right(head.keys, bound, head.at)) > head.at:
                equal += 1
                yield from head.take(end)
                head.refill()
        if not (below or equal):
            raise TypeError(
                f"keys such as {bound!r} have no order: of two keys one must be smaller, or both equal"
            )
        heads = [head for head in heads if head.keys]
    for head in heads:
        while head.keys:
            yield from head.take(len(head.keys))
            head.refill()


class _Head:
    """A run with the frame that is being read, from ``at`` on; at its end it has no keys."""

    def __init__(self, frames: Iterator[Frame]) -> None:
        self._frames = frames
        self.keys: list[Any] = []
        self.values: list[Any] = []
        self.at = 0

    def take(self, end: int) -> Iterator[Pair]:
        """The pairs before ``end``."""
        at, self.at = self.at, end
        return zip(self.keys[at:end], self.values[at:end], strict=True)

    def refill(self) -> bool:
        """The next frame, if this one has been read; False: there is none."""
        if self.at == len(self.keys):
            self.keys, self.values = next(self._frames, ([], []))
            self.at = 0
        return bool(self.keys)


def grouped(pairs: Iterator[Pair]) -> Iterator[tuple[Any, Iterator[Any]]]:
    """Each key once, with an iterator over all its values: "this allows us to handle lists of values that
    are too large to fit in memory" (§2.1)."""
    for key, group in groupby(pairs, key_of):
        yield key, map(value_of, group)


def ordered(groups: Iterable[Any]) -> Iterator[Any]:
    """The same (key, …), whose keys increase; ``TypeError`` if they do not: then some have no order, such as
    nan and sets, and equal ones may not have come together."""
    groups = iter(groups)
    last = None
    try:
        for last, *rest in groups:
            yield last, *rest
            break
        for group in groups:
            if not last < group[0]:
                raise TypeError(f"{last!r:.40} is not less than {group[0]!r:.40}")
            last = group[0]
            yield group
    except TypeError as error:
        raise unordered([last], error) from None


def unordered(keys: Iterable[Any], error: Exception) -> TypeError:
    """What to say when keys cannot be sorted."""
    kinds = ", ".join(sorted({type(key).__name__ for key in keys}))
    return TypeError(
        f"intermediate keys are sorted, so all of a job must be comparable{kinds and f'; these are {kinds}'} "
        f"({error}): emit keys of one kind that has an order, such as str(key)"
    )
