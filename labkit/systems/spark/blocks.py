"""Where an executor keeps the partitions of persisted RDDs (NSDI 2012, section 5.3).

A block is one partition of one RDD. Blocks are kept as live objects, pickled, or on disk, as the RDD's
storage level says, and read by many tasks, none of which can change them for the others (``kept.py``).

When a new block does not fit into memory, the least recently used *RDD* gives up its blocks, unless it is the
one that the new block belongs to: then the new block is not kept in memory, for a scan of an RDD that is
larger than the memory would otherwise drive out each block just before it is needed. What the level allows to
be on disk is spilled there; the rest is dropped and computed again when somebody needs it.

Every change is numbered in a ``Journal``, so that the driver hears of each exactly once, in order, whatever
happens to the messages that carry it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from labkit.runtime.disk import Files

from .closures import dumps
from .kept import Copies, Kept, hand_out, keep
from .storage_level import StorageLevel

__all__ = ["Block", "BlockStore", "Journal", "estimate"]

#: Records that are measured to estimate a partition's size.
SAMPLE = 50
#: How deep the measuring looks into a record.
DEPTH = 4

Key = tuple[int, int]  #: (RDD, partition)


class Journal:
    """Numbered changes, kept until the reader has confirmed them."""

    def __init__(self) -> None:
        self._entries: list[tuple[Any, ...]] = []
        self._first = 0  #: the number of the oldest entry

    def add(self, *entry: Any) -> None:
        """One more change."""
        self._entries.append(entry)

    def unread(self) -> tuple[int, tuple[tuple[Any, ...], ...]]:
        """The number of the first entry that was not confirmed, and all from there on."""
        return self._first, tuple(self._entries)

    def confirm(self, count: int) -> None:
        """The reader has the first ``count`` entries."""
        read = count - self._first
        if read > 0:
            del self._entries[:read]
            self._first = count


@dataclass
class Block:
    """One kept partition: its records or their pickle; None while it is on disk only."""

    level: StorageLevel
    size: int  #: bytes
    data: Kept | None


class BlockStore:
    """An executor's blocks. All methods may be called from several computations at once."""

    def __init__(self, memory: int, files: Files, prefix: str = "") -> None:
        self.memory = memory  #: bytes for blocks
        self.used = 0  #: bytes of them in memory; never more than ``memory``
        self.journal = Journal()
        self._files = files
        self._prefix = prefix  #: of the names of its files
        self._blocks: dict[Key, Block] = {}
        #: RDDs with blocks in memory, least recently used first.
        self._recent: dict[int, None] = {}
        self._lock = threading.RLock()

    def __contains__(self, key: Key) -> bool:
        return key in self._blocks

    def get(self, key: Key) -> list[Any] | Copies | None:
        """The records of a block, or None. Records that can be changed are the caller's own."""
        data = self._find(key)
        return None if data is None else hand_out(data)

    def packed(self, key: Key) -> bytes | None:
        """The pickle of a block's records, for another executor."""
        data = self._find(key)
        return data if data is None or isinstance(data, bytes) else dumps(data)

    def _find(self, key: Key) -> Kept | None:
        with self._lock:
            block = self._blocks.get(key)
            if block is None:
                return None
            self._touch(key[0])
            data = block.data
        if data is None:
            try:
                data = self._files.read(self._file(key))
            except KeyError:
                self.drop(key, "lost")  # the disk was emptied
        return data

    def put(self, key: Key, records: list[Any], level: StorageLevel) -> None:
        """Keep a partition as its level says, as far as it fits. The caller may change its records later."""
        with self._lock:
            if key in self._blocks:
                return
        data = keep(records) if level.useMemory and not level.pickled else dumps(records)
        size = len(data) if isinstance(data, bytes) else estimate(records)
        with self._lock:
            if key in self._blocks:
                return
            if level.useMemory and self._make_room(size, key[0]):
                self._blocks[key] = Block(level, size, data)
                self.used += size
                self._touch(key[0])
                self.journal.add("stored", *key, "memory", size)
            elif level.useDisk:
                self._to_disk(key, Block(level, size, data))

    def _make_room(self, size: int, filling: int) -> bool:
        """Evict until ``size`` bytes are free, least recently used RDD first; False, and nothing, if that
        cannot be."""
        victims, free = [], self.memory - self.used
        for key in self._by_age(filling):
            if free >= size:
                break
            victims.append(key)
            free += self._blocks[key].size
        if free < size:
            return False
        for key in victims:
            self._evict(key)
        return True

    def _by_age(self, filling: int) -> Iterator[Key]:
        """The blocks that may go, in the order in which they should; none of the RDD that is being filled."""
        for rdd in self._recent:
            if rdd != filling:
                yield from (
                    key for key, block in self._blocks.items() if key[0] == rdd and block.data is not None
                )

    def _evict(self, key: Key) -> None:
        block = self._blocks.pop(key)
        self.used -= block.size
        self.journal.add("dropped", *key, "spilled" if block.level.useDisk else "evicted")
        if block.level.useDisk:
            self._to_disk(key, block)

    def _to_disk(self, key: Key, block: Block) -> None:
        assert block.data is not None
        data = block.data if isinstance(block.data, bytes) else dumps(block.data)
        self._files.write(self._file(key), data)
        self._blocks[key] = Block(block.level, len(data), None)
        self.journal.add("stored", *key, "disk", len(data))

    def drop(self, key: Key, why: str) -> None:
        """Forget a block."""
        with self._lock:
            block = self._blocks.pop(key, None)
            if block is None:
                return
            if block.data is None:
                self._files.remove(self._file(key))
            else:
                self.used -= block.size
            self.journal.add("dropped", *key, why)

    def drop_rdd(self, rdd: int) -> None:
        """Forget all blocks of an RDD: it was unpersisted."""
        for key in [key for key in list(self._blocks) if key[0] == rdd]:
            self.drop(key, "unpersisted")
        self._recent.pop(rdd, None)

    def _file(self, key: Key) -> str:
        return f"{self._prefix}block-{key[0]}-{key[1]}"

    def _touch(self, rdd: int) -> None:
        self._recent.pop(rdd, None)
        self._recent[rdd] = None


def estimate(records: Sequence[Any]) -> int:
    """Bytes that the records take in memory, from a sample of them."""
    if not records:
        return sys.getsizeof(records)
    step = max(1, len(records) // SAMPLE)
    sample = records[::step]
    return sys.getsizeof(records) + sum(_size(each, DEPTH) for each in sample) * len(records) // len(sample)


def _size(value: Any, depth: int) -> int:
    size = sys.getsizeof(value)
    array = getattr(value, "nbytes", None)
    if isinstance(array, int):
        return max(size, array)
    if depth == 0:
        return size
    if isinstance(value, (tuple, list, set, frozenset)):
        return size + _sampled(list(value), depth)
    if isinstance(value, dict):
        return size + _sampled([each for pair in value.items() for each in pair], depth)
    inner = getattr(value, "__dict__", None)
    return size if inner is None else size + _size(inner, depth - 1)


def _sampled(items: list[Any], depth: int) -> int:
    """As for the records themselves: a long value is measured by a few of its items."""
    if not items:
        return 0
    sample = items[:: max(1, len(items) // SAMPLE)]
    return sum(_size(each, depth - 1) for each in sample) * len(items) // len(sample)
