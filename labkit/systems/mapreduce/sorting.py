"""Sorting within bounded memory (§3.1).

A map task buffers its pairs; "periodically, the buffered pairs are written to local disk, partitioned into R
regions by the partitioning function" (§3.1 step 4). A reduce task sorts all that it has fetched: "if the
amount of intermediate data is too large to fit in memory, an external sort is used" (step 5). What exceeds
the memory bound is a *spill*: a sorted run in a file on the machine's own disk.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from labkit.runtime.copying import ATOMS, copy_value
from labkit.runtime.disk import Files

from .records import Frame, Pair, columns, frames_in, frames_of, grouped, merged, packed, unordered

__all__ = ["MapBuffer", "ReduceSort"]

#: Bytes that a buffered pair takes beside its key and value.
OVERHEAD = 100
#: One pair in so many is measured.
SAMPLE = 16

Combiner = Callable[[Any, Iterator[Any]], list[Any]]


class Spill:
    """A sorted run in one file; ``sizes``: of its frames."""

    def __init__(self, files: Files, name: str, pairs: Iterable[Pair]) -> None:
        frames = [frame for frame, _ in packed(pairs)]
        self._files, self.name, self.sizes = files, name, [len(frame) for frame in frames]
        files.write(name, b"".join(frames))

    @property
    def bytes(self) -> int:
        """Of the file."""
        return sum(self.sizes)

    def frames(self) -> Iterator[Frame]:
        """From the disk, one at a time."""
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
        self._keys: list[Any] = []
        self._values: list[Any] = []  #: of the keys, in the same order
        self._look_at = SAMPLE
        self._estimate = 0
        self._spilled_pairs = 0
        self.spills: list[list[Spill | None]] = []  #: by time and region; None: empty

    def add(self, key: Any, value: Any) -> None:
        """One more pair; what the program does to it afterwards does not matter."""
        keys = self._keys
        keys.append(key if type(key) in ATOMS else copy_value(key))
        self._values.append(value if type(value) in ATOMS else copy_value(value))
        if len(keys) >= self._look_at:
            self._look_at += SAMPLE
            self._estimate += SAMPLE * (OVERHEAD + _weight(key) + _weight(value))
            if self._estimate > self._memory:
                self._spill()

    @property
    def pairs(self) -> int:
        """That were added."""
        return self._spilled_pairs + len(self._keys)

    def _regions(self) -> list[list[Pair]]:
        """What is buffered, combined, by region and in the order of the keys; the buffer is empty then."""
        keys, values = self._keys, self._values
        self._spilled_pairs += len(keys)
        self._keys, self._values, self._estimate, self._look_at = [], [], 0, SAMPLE
        try:
            pairs = self._sorted(keys, values)
        except TypeError as error:
            raise unordered(keys, error) from None
        regions: list[list[Pair]] = [[] for _ in range(self._R)]
        region, last = regions[0], object()
        for key, value in pairs:
            if key != last:
                last = key
                region = regions[self._partition(key)]
            region.append((last, value))  # the same object for equal keys: a pickle writes it once
        return regions

    def _sorted(self, keys: list[Any], values: list[Any]) -> Iterable[Pair]:
        if self._combine is None:
            return [(keys[index], values[index]) for index in sorted(range(len(keys)), key=keys.__getitem__)]
        found: defaultdict[Any, list[Any]] = defaultdict(list)  # there are few keys, or why combine
        for key, value in zip(keys, values, strict=True):
            found[key].append(value)
        return self._combined((key, found[key]) for key in sorted(found))

    def _combined(self, groups: Iterable[tuple[Any, Iterable[Any]]]) -> Iterator[Pair]:
        assert self._combine is not None
        for key, values in groups:
            for value in self._combine(key, iter(values)):
                yield key, value

    def _spill(self) -> None:
        number = len(self.spills)
        self.spills.append(
            [
                Spill(self._files, f"{self._prefix}-{number}-{region}", pairs) if pairs else None
                for region, pairs in enumerate(self._regions())
            ]
        )

    def finish(self) -> tuple[list[bytes], list[int]]:
        """The R regions, each a run, and how many pairs are in each; the spills are gone then."""
        regions, counts = [], []
        for region, rest in enumerate(self._regions()):
            spills = [spill for each in self.spills if (spill := each[region]) is not None]
            pairs: Iterable[Pair] = rest
            if spills:
                pairs = merged([*(spill.frames() for spill in spills), iter([columns(rest)])])
                if self._combine is not None:  # what several spills have of a key
                    pairs = self._combined(grouped(pairs))
            frames = list(packed(pairs))
            regions.append(b"".join(data for data, _ in frames))
            counts.append(sum(count for _, count in frames))
            for spill in spills:
                spill.remove()
        return regions, counts


class ReduceSort:
    """All regions that one reduce task has fetched. ``memory``: bytes of them that are not on the disk."""

    def __init__(self, files: Files, prefix: str, memory: float) -> None:
        self._files, self._prefix, self._memory = files, prefix, memory
        self._runs: dict[int, bytes] = {}  #: by map task, so that equal runs give equal output
        self._size = 0
        self.pairs = 0  #: in all frames that ``groups`` has read
        #: Map tasks whose output is here, and the attempt that made it.
        self.known: dict[int, int] = {}
        self.spills: list[Spill] = []
        self.spilled = 0  #: bytes

    @property
    def full(self) -> bool:
        """Whether it is time to ``spill``."""
        return self._size > self._memory

    @property
    def moved(self) -> int:
        """Bytes to the disk and back."""
        return 2 * self.spilled

    def add(self, map_task: int, run: bytes) -> None:
        """A region."""
        self._runs[map_task] = run
        self._size += len(run)

    def spill(self) -> None:
        """Merge what is in memory into one run on the disk."""
        runs, self._runs, self._size = self._runs, {}, 0
        spill = Spill(self._files, f"{self._prefix}-{len(self.spills)}", merged(_in_order(runs)))
        self.spills.append(spill)
        self.spilled += spill.bytes

    def groups(self) -> Iterator[tuple[Any, Iterator[Any]]]:
        """Each key once, in increasing order (§4.2), with all its values."""
        runs = [*(spill.frames() for spill in self.spills), *_in_order(self._runs)]
        return grouped(merged(map(self._counted, runs)))

    def _counted(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        for frame in frames:
            self.pairs += len(frame[0])
            yield frame

    def remove(self) -> None:
        """Delete the files."""
        for spill in self.spills:
            spill.remove()


def _in_order(runs: dict[int, bytes]) -> Iterator[Iterator[Frame]]:
    return (frames_in(runs[map_task]) for map_task in sorted(runs))
