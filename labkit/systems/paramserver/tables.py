"""SSP tables (Ho et al., NIPS 2013): rows of numbers, read from a cache that may be a few clocks old.

``get`` answers from the worker's cache if that is fresh enough for the run's staleness, else from the
servers; ``inc`` only notes a change, which ``clock`` writes back. A worker always sees its own changes.

A row is ``width`` neighbouring keys of a vector: row ``r`` has keys ``r·width … (r+1)·width - 1``.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from labkit.runtime.loop import Task
from labkit.runtime.node import Node

from .updates import Array
from .vectors import VectorSpec, as_numbers

__all__ = ["Table"]


class Reader(Protocol):
    """What a table asks of the program that it belongs to: a ``WorkerTask`` has it."""

    iteration: int
    _node: Node
    _grant: Any

    def pull(self, vector: Any, keys: Any = None) -> Any:
        """Await it: values of keys."""

    def push(self, vector: Any, keys: Any, values: Any) -> Any:
        """Send changes."""


class Table:
    """A worker's view of a table."""

    def __init__(self, task: Reader, vector: VectorSpec, width: int | None) -> None:
        width = width or getattr(vector, "width", 0) or 1
        if vector.size % width:
            raise ValueError(f"{vector.name!r} has {vector.size} keys, which is no number of rows of {width}")
        self.task = task
        self.vector = vector
        self.width = width
        #: Rows as last read, each with the number of iterations of every shard that it is known to contain.
        self._cache: dict[int, tuple[int, Array]] = {}
        #: Own changes that are not written back.
        self._changes: dict[int, Array] = {}

    def get(self, row: int) -> Task:
        """Await it: the row as the staleness allows, with all own changes; the array is the program's own."""
        return self.task._node.spawn(self._get([self._row(row)], single=True))

    def get_many(self, rows: Any) -> Task:
        """Await it: several rows, one below the other, with one message to each server."""
        return self.task._node.spawn(self._get([self._row(row) for row in rows], single=False))

    def _row(self, row: Any) -> int:
        rows = self.vector.size // self.width
        if isinstance(row, bool) or not isinstance(row, (int, np.integer)) or not 0 <= row < rows:
            raise IndexError(f"{self.vector.name!r} has rows 0 to {rows - 1}, not {row!r}")
        return int(row)

    async def _get(self, rows: list[int], single: bool) -> Array:
        task = self.task
        bound = task._grant.consistency.bound
        oldest = None if bound is None else task.iteration - bound
        missing = sorted({row for row in rows if not self._fresh(row, oldest)})
        if missing:
            keys = np.concatenate([np.arange(r * self.width, (r + 1) * self.width) for r in missing])
            contains = min(task._grant.finished, default=task.iteration)
            values = await task.pull(self.vector, keys)
            for row, numbers in zip(missing, values.reshape(-1, self.width), strict=True):
                self._cache[row] = (contains, numbers)
        found = np.stack([self._cache[row][1] for row in rows])
        for number, row in enumerate(rows):
            if row in self._changes:
                found[number] += self._changes[row]
        return found[0] if single else found

    def _fresh(self, row: int, oldest: int | None) -> bool:
        if row not in self._cache:
            return False
        return oldest is not None and self._cache[row][0] >= oldest

    def inc(self, row: int, delta: Any) -> None:
        """Add ``delta`` (one number, or one for each column) to a row."""
        row, numbers = self._row(row), as_numbers(self.vector, delta, "inc of")
        if numbers.shape not in ((), (self.width,)):
            raise ValueError(
                f"inc of {self.vector.name!r}: a row has {self.width} numbers, not shape {numbers.shape}"
            )
        numbers = np.broadcast_to(numbers, (self.width,))
        if row in self._changes:
            self._changes[row] += numbers
        else:
            self._changes[row] = numbers.copy()

    def flush(self) -> None:
        """Write the changes back; ``clock`` does."""
        if not self._changes:
            return
        rows = sorted(self._changes)
        keys = np.concatenate([np.arange(r * self.width, (r + 1) * self.width) for r in rows])
        self.task.push(self.vector, keys, np.concatenate([self._changes[row] for row in rows]))
        for row in rows:  # so that the cached row goes on containing them
            if row in self._cache:
                self._cache[row][1][:] += self._changes[row]
        self._changes.clear()
