"""The master's operation log and its checkpoint (GFS §2.6.3): what makes its metadata survive it.

"It recovers its file system state by replaying the operation log. To minimize startup time, we must keep the
log small. The master checkpoints its state whenever the log grows beyond a certain size."
"""

from __future__ import annotations

from typing import Any

from labkit.runtime.disk import Disk

__all__ = ["OperationLog"]

#: Records after which a checkpoint is due, and so many more as the state has parts: then a checkpoint, which
#: costs as much as the state has parts, costs each record the same.
CHECKPOINT_AFTER = 1000


class OperationLog:
    """Records with ascending numbers on a node's disk, after a checkpoint that holds the effect of all
    before."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._first = self._next = 0

    def recover(self) -> tuple[Any, list[Any]]:
        """The checkpoint (None: there is none) and the records since."""
        self._first, state = self._disk.get("checkpoint", (0, None))
        self._next = self._first
        records = []
        while self._next in self._disk:
            records.append(self._disk[self._next])
            self._next += 1
        return state, records

    def append(self, record: Any) -> None:
        """Durable when this returns: nobody is told of a change before (GFS §2.6.3)."""
        self._disk[self._next] = record
        self._disk.sync()
        self._next += 1

    def full(self, parts: int) -> bool:
        """Whether a checkpoint of a state of so many parts is due."""
        return self._next - self._first >= CHECKPOINT_AFTER + parts

    def checkpoint(self, state: Any) -> None:
        """The records so far are not needed any more. The checkpoint comes first: a crash in the middle
        leaves records that it includes, and it says the number of the first that it does not."""
        old = range(self._first, self._next)
        self._disk["checkpoint"] = (self._next, state)
        for number in old:
            self._disk.pop(number, None)
        self._disk.sync()
        self._first = self._next
