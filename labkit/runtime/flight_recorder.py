"""What a machine has seen outlives it, as what an aeroplane's flight recorder holds.

A machine's process tells the client of its events ten times a second. One that is killed in between would
take along its last ones, though others have acted on what it sent them: their events would have no cause,
and a check would see a rule broken that was kept. So, as with a write-ahead log, **its events are in a file
before anything else leaves the machine**; no kill takes away what the kernel has been given. When the process
is gone the client reads the file. What a machine did after its last message nobody else can know. If a
living machine does not report while somebody waits for what it has told others, its file is read, too.

Two files take turns: whoever asks for more has what was told before, and the file that held it begins anew.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from pathlib import Path
from typing import Any

from labkit.runtime.copying import loads_keeping_classes
from labkit.runtime.packing import dumps
from labkit.runtime.raised import short
from labkit.trace.trace import Row, Trace

__all__ = ["RECORDERS", "FlightRecorder", "life", "recorded", "rows_of", "written"]

#: The folder of all recorders among a cluster's files.
RECORDERS = ".recorders"

#: Bytes before each record that say how long it is.
LENGTH = 8


class FlightRecorder:
    """Takes a machine's events out of its trace, and keeps them until they are told.

    folder: on the machine's host, for its files. name: what ``life`` gives.
    """

    def __init__(self, trace: Trace, folder: Path, name: str) -> None:
        self.trace = trace
        self._records: deque[tuple[int, bytes]] = deque()  #: rows, and their pickle; not told yet
        self._rows = 0  #: in these records
        self._files: list[int] = []  #: descriptors
        self._now = 0  #: which of them is written
        self._written = 0  #: rows in it
        self._whole = True  #: all of what it was to hold is in it
        if trace.on:
            with contextlib.suppress(OSError):  # no room: as if there were no recorder
                folder.mkdir(parents=True, exist_ok=True)
                for path in _paths(folder, name):
                    self._files.append(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))

    @property
    def empty(self) -> bool:
        """Whether there is nothing to tell."""
        return not self._records and not len(self.trace)

    def save(self) -> None:
        """Something is about to leave the machine: first all events so far."""
        if not len(self.trace):
            return
        rows = self.trace.drain()
        record = _record(rows)
        self._records.append((len(rows), record))
        self._rows += len(rows)
        limit = self.trace.limit
        while self._rows > limit and len(self._records) > 1:  # nobody asks; the client stands still
            self._rows -= self._records.popleft()[0]
        if self._written > limit:  # as many are newer than what the other file holds
            self._turn()
        self._written += len(rows)
        self._write(len(record).to_bytes(LENGTH, "big") + record)

    def take(self) -> list[bytes]:
        """All that is not told yet; what was taken before has arrived."""
        self.save()
        records = [record for _, record in self._records]
        self._records.clear()
        self._rows = 0
        self._turn()
        return records

    def _write(self, data: bytes) -> None:
        """What comes after a gap is not kept: it would be read as if nothing were missing before it."""
        if len(self._files) == 2 and self._whole:
            self._whole = False
            with contextlib.suppress(OSError):  # the disk is full
                self._whole = os.write(self._files[self._now], data) == len(data)

    def _turn(self) -> None:
        """The other file is written from now on, from its beginning."""
        if len(self._files) == 2:
            self._now, self._written, self._whole = 1 - self._now, 0, True
            with contextlib.suppress(OSError):
                os.ftruncate(self._files[self._now], 0)


def life(machine: str, incarnation: int) -> str:
    """What the files of a machine's life are called."""
    return f"{machine}.{incarnation}"


def _record(rows: list[Row]) -> bytes:
    """The events as bytes. Whatever they hold: who is about to send a message cannot do without."""
    try:
        return dumps(rows)
    except Exception:
        return dumps([row if _fits(row) else _in_words(row) for row in rows])


def _fits(value: Any) -> bool:
    try:
        dumps(value)
    except Exception:  # it could be copied once, when it was emitted, and the copy cannot
        return False
    return True


def _in_words(row: Row) -> Row:
    """An event with text in place of the values that cannot leave the process."""
    *head, data = row
    return (*head, {key: value if _fits(value) else short(value) for key, value in data.items()})


def rows_of(record: bytes) -> list[Row]:
    """The events of a record."""
    return loads_keeping_classes(record)  # type: ignore[no-any-return]


def recorded(folder: Path, name: str, living: bool = False) -> list[bytes]:
    """The records that the files of a life hold. Some of them were told. If it has ended they are removed."""
    records: list[bytes] = []
    for path in _paths(folder, name):
        with contextlib.suppress(OSError):
            content = path.read_bytes()
            while len(content) >= LENGTH:
                end = LENGTH + int.from_bytes(content[:LENGTH], "big")
                if len(content) < end:  # the kill came in the middle of it, or it is being written
                    break
                records.append(content[LENGTH:end])
                content = content[end:]
            if not living:
                path.unlink()
    return records


def written(folder: Path, name: str) -> list[tuple[int, int]]:
    """How much the files of a life hold, and since when: while it is the same, nothing was recorded."""
    found = []
    for path in _paths(folder, name):
        with contextlib.suppress(OSError):
            state = path.stat()
            found.append((state.st_size, state.st_mtime_ns))
    return found


def _paths(folder: Path, name: str) -> list[Path]:
    return [folder / f"{name}.{number}" for number in (0, 1)]
