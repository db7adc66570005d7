"""Sorting within bounded memory (§3.1).

A map task buffers its pairs; "periodically, the buffered pairs are written to local disk, partitioned into R
regions by the partitioning function" (§3.1 step 4). A reduce task sorts all that it has fetched: "if the
amount of intermediate data is too large to fit in memory, an external sort is used" (step 5). What exceeds
the memory bound is a *spill*: a sorted run in a file on the machine's own disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Any

from labkit.runtime.copying import ATOMS, copy_value
from labkit.runtime.disk import Files

from .records import Group, frames_of, grouped, merged, packed, unordered, unpacked

__all__ = ["MapBuffer", "ReduceSort"]

#: Bytes that a buffered pair takes beside its key and value.
OVERHEAD = 100
#: One pair in so many is measured.
SAMPLE = 16

Combiner = Callable[[Any, Iterator[Any]], list[Any]]


class Spill:
    """A sorted run in one file; ``sizes``: of its frames."""

    def __init__(self, files: Files, name: str, groups: Iterator[Group]) -> None:
        frames = list(packed(groups))
        self._files, self.name, self.sizes = files, name, [len(frame) for frame in frames]
        files.write(name, b"".join(frames))

    @property
    def bytes(self) -> int:
        """Of the file."""
        return sum(self.sizes)

    def groups(self) -> Iterator[Group]:
        """From the disk, a frame at a time."""
        return frames_of(lambda start, size: self._files.read(self.name, start, size), self.sizes)

    def remove(self) -> None:
        """Delete the file."""
        self._files.remove(self.name)


def _weight(value: Any) -> int:
    if isinstance(value, (str, bytes)):
        return len(value)
    return 8 + sum(map(_weight, value)) if isinstance(value, (tuple, list)) else 32


class MapBuffer:
    """The pairs of one map task. ``memory``: bytes, as estimated, after which it spills.

    ``combine``: what becomes of a key's values, or None (§4.3). ``partition(key)``: the region.
    """

    def __init__(
        self, files: Files, prefix: str, memory: float, R: int, partition: Callable[[Any], int],
        combine: Combiner | None,
    ) -> None:  # fmt: skip
        self._files, self._prefix, self._memory = files, prefix, memory
        self._R, self._partition, self._combine = R, partition, combine
        self._values: dict[Any, list[Any]] = {}
        self._estimate = 0
        self.pairs = 0  #: that were added
        self.spills: list[list[Spill | None]] = []  #: by time and region; None: empty

    def add(self, key: Any, value: Any) -> None:
        """One more pair; what the program does to it afterwards does not matter."""
        if type(value) not in ATOMS:
            value = copy_value(value)
        values = self._values
        if key in values:
            values[key].append(value)
        else:
            values[copy_value(key)] = [value]
        self.pairs = pairs = self.pairs + 1
        if not pairs % SAMPLE:
            self._estimate += SAMPLE * (OVERHEAD + _weight(key) + _weight(value))
            if self._estimate > self._memory:
                self._spill()

    def _regions(self) -> list[list[Group]]:
        """What is buffered, combined, by region and in the order of the keys; the buffer is empty then."""
        values, self._values, self._estimate = self._values, {}, 0
        try:
            items = sorted(values.items(), key=itemgetter(0))
        except TypeError as error:
            raise unordered(values, error) from None
        regions: list[list[Group]] = [[] for _ in range(self._R)]
        combine = self._combine
        for key, found in items:
            if combine is not None and len(found) > 1:
                found = combine(key, iter(found))
            regions[self._partition(key)].append((key, found))
        return regions

    def _spill(self) -> None:
        number = len(self.spills)
        self.spills.append(
            [
                Spill(self._files, f"{self._prefix}-{number}-{region}", iter(groups)) if groups else None
                for region, groups in enumerate(self._regions())
            ]
        )

    def finish(self) -> tuple[list[bytes], list[int]]:
        """The R regions, each a run, and how many pairs are in each; the spills are gone then."""
        regions, counts = [], []
        for region, rest in enumerate(self._regions()):
            spills = [spill for each in self.spills if (spill := each[region]) is not None]
            groups: Iterator[Group] = iter(rest)
            if spills:
                groups = self._again(merged([*(spill.groups() for spill in spills), iter(rest)]))
            count = 0

            def counted(groups: Iterator[Group]) -> Iterator[Group]:
                nonlocal count
                for group in groups:
                    count += len(group[1])
                    yield group

            regions.append(b"".join(packed(counted(groups))))
            counts.append(count)
            for spill in spills:
                spill.remove()
        return regions, counts

    def _again(self, groups: Iterator[Group]) -> Iterator[Group]:
        """Combine what several spills have of a key."""
        if self._combine is None:
            yield from groups
            return
        for key, values in grouped(groups):
            yield key, self._combine(key, values)


class ReduceSort:
    """All regions that one reduce task has fetched. ``memory``: bytes of them that are not on the disk."""

    def __init__(self, files: Files, prefix: str, memory: float) -> None:
        self._files, self._prefix, self._memory = files, prefix, memory
        self._runs: dict[int, bytes] = {}  #: by map task, so that equal runs give equal output
        self._size = 0
        self.spills: list[Spill] = []
        self.spilled = 0  #: bytes

    @property
    def full(self) -> bool:
        """Whether it is time to ``spill``."""
        return self._size > self._memory

    def add(self, map_task: int, run: bytes) -> None:
        """A region."""
        self._runs[map_task] = run
        self._size += len(run)

    def spill(self) -> None:
        """Merge what is in memory into one run on the disk."""
        runs, self._runs, self._size = self._runs, {}, 0
        spill = Spill(self._files, f"{self._prefix}-{len(self.spills)}", self._merge(runs, []))
        self.spills.append(spill)
        self.spilled += spill.bytes

    def groups(self) -> Iterator[tuple[Any, Iterator[Any]]]:
        """Each key once, in increasing order (§4.2), with all its values."""
        return grouped(self._merge(self._runs, self.spills))

    @staticmethod
    def _merge(runs: dict[int, bytes], spills: list[Spill]) -> Iterator[Group]:
        found = [spill.groups() for spill in spills]
        found += [unpacked(runs[map_task]) for map_task in sorted(runs)]
        return merged(found) if found else iter(())

    def remove(self) -> None:
        """Delete the files."""
        for spill in self.spills:
            spill.remove()
