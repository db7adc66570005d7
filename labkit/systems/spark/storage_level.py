"""Where the partitions of a persisted RDD are kept (NSDI 2012, section 5.3; PySpark's names)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

__all__ = ["StorageLevel"]


@dataclass(frozen=True)
class StorageLevel:
    """PySpark's flags, printed as PySpark prints them, and one of ours.

    useDisk, useMemory: where. replication: on so many executors. deserialized: PySpark's flag, which says
    nothing about Python objects (they are always pickled there). ``pickled``: whether memory holds pickled
    bytes, which are smaller, or live Python objects, which need no unpickling; the plain levels hold live
    objects, as Spark's own hold Java objects, and the ``_SER`` levels hold bytes; so do the plain ones where
    only a pickle protects the records from who reads them (``kept.py``). Disk always holds bytes.
    """

    useDisk: bool
    useMemory: bool
    useOffHeap: bool
    deserialized: bool
    replication: int = 1
    pickled: bool = False

    DISK_ONLY: ClassVar[StorageLevel]
    DISK_ONLY_2: ClassVar[StorageLevel]
    DISK_ONLY_3: ClassVar[StorageLevel]
    MEMORY_AND_DISK: ClassVar[StorageLevel]
    MEMORY_AND_DISK_2: ClassVar[StorageLevel]
    MEMORY_AND_DISK_DESER: ClassVar[StorageLevel]
    MEMORY_AND_DISK_SER: ClassVar[StorageLevel]
    MEMORY_ONLY: ClassVar[StorageLevel]
    MEMORY_ONLY_2: ClassVar[StorageLevel]
    MEMORY_ONLY_SER: ClassVar[StorageLevel]
    NONE: ClassVar[StorageLevel]
    OFF_HEAP: ClassVar[StorageLevel]

    @property
    def label(self) -> str | None:
        """A few words, such as "memory+disk x2"; None if nothing is kept."""
        places = ["memory"] * self.useMemory + ["disk"] * self.useDisk
        if not places:
            return None
        times = f" x{self.replication}" if self.replication > 1 else ""
        return "+".join(places) + times

    def __repr__(self) -> str:
        flags = (self.useDisk, self.useMemory, self.useOffHeap, self.deserialized, self.replication)
        return f"StorageLevel({', '.join(map(str, flags))}{', pickled=True' if self.pickled else ''})"

    def __str__(self) -> str:
        words = ["Disk"] * self.useDisk + ["Memory"] * self.useMemory + ["OffHeap"] * self.useOffHeap
        words.append("Deserialized" if self.deserialized else "Serialized")
        return " ".join([*words, f"{self.replication}x", "Replicated"])


StorageLevel.NONE = StorageLevel(False, False, False, False)
StorageLevel.DISK_ONLY = StorageLevel(True, False, False, False)
StorageLevel.DISK_ONLY_2 = StorageLevel(True, False, False, False, 2)
StorageLevel.DISK_ONLY_3 = StorageLevel(True, False, False, False, 3)
StorageLevel.MEMORY_ONLY = StorageLevel(False, True, False, False)
StorageLevel.MEMORY_ONLY_2 = StorageLevel(False, True, False, False, 2)
StorageLevel.MEMORY_ONLY_SER = StorageLevel(False, True, False, False, pickled=True)
StorageLevel.MEMORY_AND_DISK = StorageLevel(True, True, False, False)
StorageLevel.MEMORY_AND_DISK_2 = StorageLevel(True, True, False, False, 2)
StorageLevel.MEMORY_AND_DISK_DESER = StorageLevel(True, True, False, True)
StorageLevel.MEMORY_AND_DISK_SER = StorageLevel(True, True, False, False, pickled=True)
StorageLevel.OFF_HEAP = StorageLevel(True, True, True, False, 1, pickled=True)
