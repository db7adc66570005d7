"""A machine's disk: what a crash keeps, and what it takes.

A node sees a mapping. Writes go to memory until ``sync()``; a crash loses every write since. On the simulator
the durable part is a dictionary of pickled values. On Ray it is a file of the machine, an append-only log of
pickled records that ``sync()`` forces to the medium and a restarted process reads back; a torn record at its
end (a crash in the middle of a write) is ignored.

Beside the mapping a node has ``files`` for values that are too large for it, as a shuffle's output is.
"""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import quote, unquote

from labkit.runtime.copying import copy_value, dumps, loads_anew
from labkit.trace.words import many

__all__ = ["Disk", "DiskStore", "FileStore", "Files", "FolderFiles", "MemoryFiles", "MemoryStore"]

DELETED = b""  #: a record with this value says that the key is gone; a pickle is never empty


class DiskStore:
    """Where synced records of one node are kept: key to pickled value."""

    def load(self) -> dict[Any, bytes]:
        """All records, as after a restart."""
        raise NotImplementedError

    def append(self, records: list[tuple[Any, bytes]]) -> None:
        """Make these durable, all or a prefix of them."""
        raise NotImplementedError

    def destroy(self) -> None:
        """Lose everything."""
        raise NotImplementedError


class MemoryStore(DiskStore):
    """The simulator's: survives the machine because the engine keeps it."""

    def __init__(self) -> None:
        self.records: dict[Any, bytes] = {}

    def load(self) -> dict[Any, bytes]:
        """All records."""
        return dict(self.records)

    def append(self, records: list[tuple[Any, bytes]]) -> None:
        """Merge them in."""
        for key, value in records:
            if value == DELETED:
                self.records.pop(key, None)
            else:
                self.records[key] = value

    def destroy(self) -> None:
        """Forget them."""
        self.records.clear()


class FileStore(DiskStore):
    """Ray's: one log file. before: called before it grows."""

    #: The log is rewritten when it holds this many times more records than keys, at the next start.
    COMPACT_AT = 4

    def __init__(self, path: Path, before: Callable[[], None] = lambda: None) -> None:
        self.path, self._before = path, before

    def load(self) -> dict[Any, bytes]:
        """Replay the log."""
        if not self.path.exists():
            return {}
        memory = MemoryStore()
        raw = io.BytesIO(self.path.read_bytes())
        count = good = 0
        while True:
            try:
                record = pickle.load(raw)
            except (EOFError, pickle.UnpicklingError, AttributeError, IndexError, ValueError):
                break
            memory.append([record])
            count += 1
            good = raw.tell()
        if good < len(raw.getbuffer()) or count > self.COMPACT_AT * (len(memory.records) + 1):
            self._rewrite(memory.records)
        return memory.records

    def append(self, records: list[tuple[Any, bytes]]) -> None:
        """Write at the end, and force it to the medium."""
        self._before()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as log:
            for record in records:
                pickle.dump(record, log, protocol=5)
            log.flush()
            os.fsync(log.fileno())

    def destroy(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)

    def _rewrite(self, records: dict[Any, bytes]) -> None:
        fresh = self.path.with_name(self.path.name + ".new")
        with fresh.open("wb") as log:
            for record in records.items():
                pickle.dump(record, log, protocol=5)
            log.flush()
            os.fsync(log.fileno())
        fresh.replace(self.path)


class Disk(MutableMapping[Any, Any]):
    """A node's mapping on its machine's disk. Values are copied in and out."""

    def __init__(self, store: DiskStore) -> None:
        self._store = store
        self._values: dict[Any, Any] | None = None
        self._unsynced: dict[Any, None] = {}  #: keys written since the last sync, in order

    def _all(self) -> dict[Any, Any]:
        if self._values is None:
            self._values = {key: loads_anew(value) for key, value in self._store.load().items()}
        return self._values

    @property
    def unsynced(self) -> tuple[Any, ...]:
        """The keys that a crash would take back to their last synced value."""
        return tuple(self._unsynced)

    def sync(self) -> None:
        """Make every write so far survive a crash."""
        values = self._all()
        records = [(key, dumps(values[key]) if key in values else DELETED) for key in self._unsynced]
        if records:
            self._store.append(records)
            self._unsynced.clear()

    def crash(self) -> None:
        """Lose what was not synced. What a dying handler's ``finally`` still writes is lost too."""
        self._values = None
        self._unsynced.clear()
        self._store = MemoryStore()

    def __getitem__(self, key: Any) -> Any:
        return copy_value(self._all()[key])

    def __setitem__(self, key: Any, value: Any) -> None:
        self._all()[copy_value(key)] = copy_value(value)
        self._unsynced[key] = None

    def __delitem__(self, key: Any) -> None:
        del self._all()[key]
        self._unsynced[key] = None

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._all()))

    def __len__(self) -> int:
        return len(self._all())

    def __repr__(self) -> str:
        return f"Disk({many(len(self), 'key')}, {len(self._unsynced)} unsynced)"


class Files:
    """A node's large files on its machine's disk: a name and bytes each, written whole, kept out of memory.

    A file is there once ``write`` has returned, and outlives the machine's process (not a power cut: nothing
    is forced to the medium). All methods may be called from a computation's thread.
    """

    def write(self, name: str, data: bytes) -> None:
        """Make or replace a file; a reader sees the old one or the new one, never half of it."""
        raise NotImplementedError

    def read(self, name: str, start: int = 0, size: int | None = None) -> bytes:
        """Its bytes, or ``size`` of them from ``start``; ``KeyError`` if there is none."""
        raise NotImplementedError

    def size(self, name: str) -> int:
        """How many bytes; ``KeyError`` if there is none."""
        raise NotImplementedError

    def remove(self, name: str) -> None:
        """Delete it, if it is there."""
        raise NotImplementedError

    def names(self) -> list[str]:
        """All names, sorted."""
        raise NotImplementedError

    def clear(self) -> None:
        """Delete all."""
        for name in self.names():
            self.remove(name)


class MemoryFiles(Files):
    """The simulator's: the engine keeps them while the machine is down."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}

    def write(self, name: str, data: bytes) -> None:
        """Keep a copy, unless it cannot change."""
        self._files[name] = bytes(data)

    def read(self, name: str, start: int = 0, size: int | None = None) -> bytes:
        """Its bytes."""
        data = self._files[name]
        return data[start:] if size is None else data[start : start + size]

    def size(self, name: str) -> int:
        """How many bytes."""
        return len(self._files[name])

    def remove(self, name: str) -> None:
        """Delete it, if it is there."""
        self._files.pop(name, None)

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._files)


class FolderFiles(Files):
    """Ray's: a folder of the machine's. before: called before a file is written."""

    def __init__(self, folder: Path, before: Callable[[], None] = lambda: None) -> None:
        self._folder, self._before = folder, before
        self._count = 0
        self._counting = Lock()

    def _path(self, name: str) -> Path:
        return self._folder / quote(name, safe="")

    def write(self, name: str, data: bytes) -> None:
        """Beside the old file, then in its place."""
        self._before()
        with self._counting:
            self._count += 1
            fresh = self._folder / f"+{self._count}"  # quote leaves no "+"
        self._folder.mkdir(parents=True, exist_ok=True)
        fresh.write_bytes(data)
        fresh.replace(self._path(name))

    def read(self, name: str, start: int = 0, size: int | None = None) -> bytes:
        """Its bytes; only those asked for are read."""
        try:
            with self._path(name).open("rb", buffering=0) as file:
                file.seek(start)
                return file.readall() if size is None else _exactly(file, size)
        except FileNotFoundError:
            raise KeyError(name) from None

    def size(self, name: str) -> int:
        """How many bytes."""
        try:
            return self._path(name).stat().st_size
        except FileNotFoundError:
            raise KeyError(name) from None

    def remove(self, name: str) -> None:
        """Delete it, if it is there."""
        self._path(name).unlink(missing_ok=True)

    def names(self) -> list[str]:
        """All names, sorted; a write that a crash interrupted left none."""
        if not self._folder.is_dir():
            return []
        return sorted(unquote(path.name) for path in self._folder.iterdir() if not path.name.startswith("+"))


def _exactly(file: io.FileIO, size: int) -> bytes:
    """So many bytes, or what there is: one read may return less."""
    parts: list[bytes] = []
    while size > 0 and (part := file.read(size)):
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
