"""The caches of a worker (§4): files on its own disk, which die with it.

==============  ===================================================  ===================================
cache           what is in it                                        where it is loaded from if it is gone
==============  ===================================================  ===================================
reducer input   a partition of the invariant tables, sorted and      map outputs of the first iteration
                indexed by key
reducer output  what a partition's reduce task wrote last            the file system
mapper input    a piece of which this machine has no copy            the file system
==============  ===================================================  ===================================
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Any

from labkit.runtime.copying import loads_keeping_classes
from labkit.runtime.disk import Files
from labkit.runtime.packing import dumps
from labkit.systems.mapreduce.records import Pair, columns
from labkit.systems.mapreduce.sorting import ReduceSort

__all__ = ["InputCache", "Joined"]

#: Pairs that are read at once.
BLOCK = 500


class InputCache:
    """Pairs in the order of their keys, in blocks, with an index of the blocks' first keys."""

    def __init__(self, files: Files, name: str, pairs: Iterator[Pair], known: dict[int, int]) -> None:
        self._files, self.name = files, name
        self.known = known  #: by map task of the invariant tables the attempt whose output is in it
        self.pairs = 0
        self._first: list[Any] = []
        self._places: list[tuple[int, int]] = []
        blocks, at = [], 0
        while (block := columns(islice(pairs, BLOCK)))[0]:
            blocks.append(dumps(block))
            self._first.append(block[0][0])
            self._places.append((at, len(blocks[-1])))
            at += len(blocks[-1])
            self.pairs += len(block[0])
        self.bytes = at
        files.write(name, b"".join(blocks))

    def lookup(self) -> Callable[[Any], list[Any]]:
        """For one task: a function that gives the values of a key, from the disk. Keys may come in any order;
        of increasing ones each block is read once."""
        loaded: tuple[int, tuple[list[Any], list[Any]]] = (-1, ([], []))

        def block(number: int) -> tuple[list[Any], list[Any]]:
            nonlocal loaded
            if loaded[0] != number:
                start, size = self._places[number]
                loaded = (number, loads_keeping_classes(self._files.read(self.name, start, size)))
            return loaded[1]

        def values(key: Any) -> list[Any]:
            found: list[Any] = []
            number = max(0, bisect_left(self._first, key) - 1)
            while number < len(self._first) and not key < self._first[number]:
                keys, of_keys = block(number)
                found += of_keys[bisect_left(keys, key) : bisect_right(keys, key)]
                number += 1
            return found

        return values

    def remove(self) -> None:
        """Delete the file."""
        self._files.remove(self.name)


class Joined:
    """What a reduce task of a loop sorts: the changing pairs, and beside each key its invariant values.

    invariant: how many map tasks, the first ones, read invariant tables. cache: the one that is there, or
    None; keep: the name of one to be made, or ""."""

    def __init__(
        self, files: Files, prefix: str, memory: float, invariant: int, cache: InputCache | None, keep: str
    ) -> None:
        self._files, self._invariant, self._keep = files, invariant, keep
        self._changing = ReduceSort(files, prefix, memory)
        self._fixed = ReduceSort(files, f"{prefix}-fixed", memory)
        self.cache = cache
        self.known: dict[int, int] = dict(cache.known) if cache else {}
        self.read = cache is not None
        self.fixed_bytes = 0  #: of invariant tables that were fetched

    @property
    def full(self) -> bool:
        """Whether it is time to ``spill``."""
        return self._changing.full or self._fixed.full

    @property
    def spills(self) -> list[Any]:
        """Files on the disk."""
        return [*self._changing.spills, *self._fixed.spills]

    @property
    def moved(self) -> int:
        """Bytes to the disk and back, those of the cache included."""
        cache = 0 if self.cache is None else self.cache.bytes if self.read else 2 * self.cache.bytes
        return self._changing.moved + self._fixed.moved + cache

    @property
    def pairs(self) -> int:
        """That came in, those in the cache included."""
        return self._changing.pairs + (self.cache.pairs if self.cache else self._fixed.pairs)

    def add(self, map_task: int, run: bytes) -> None:
        """A region."""
        if map_task < self._invariant:
            self.fixed_bytes += len(run)
            self._fixed.add(map_task, run)
        else:
            self._changing.add(map_task, run)

    def spill(self) -> None:
        """Write what is too much to the disk."""
        for each in (self._changing, self._fixed):
            if each.full:
                each.spill()

    def groups(self) -> Iterator[tuple[Any, Iterator[Any], list[Any]]]:
        """Each key of the changing pairs, its values, and its invariant values (§4.1: the reducer is passed
        what the cache has for the key)."""
        if self.cache is None and self._keep:
            pairs = ((key, value) for key, values in self._fixed.groups() for value in values)
            known = {task: attempt for task, attempt in self.known.items() if task < self._invariant}
            self.cache = InputCache(self._files, self._keep, pairs, known)
        fixed = self._fixed.groups() if self.cache is None else iter(())
        lookup = self.cache.lookup() if self.cache else _beside(fixed)
        for key, values in self._changing.groups():
            yield key, values, lookup(key)
        for _ in chain.from_iterable(values for _, values in fixed):
            pass  # so that all pairs are counted

    def remove(self) -> None:
        """Delete what was sorted; the cache stays."""
        self._changing.remove()
        self._fixed.remove()


def _beside(groups: Iterator[tuple[Any, Iterator[Any]]]) -> Callable[[Any], list[Any]]:
    """The same as ``InputCache.lookup``, for keys in increasing order."""
    here: list[Any] = list(islice(groups, 1))

    def values(key: Any) -> list[Any]:
        while here and here[0][0] < key:
            for _ in here[0][1]:
                pass
            here[:] = islice(groups, 1)
        return list(here[0][1]) if here and here[0][0] == key else []

    return values
