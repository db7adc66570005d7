"""Map outputs on a machine's own disk: one file for each map task, its buckets one after the other.

A map task divides its records into one bucket for each reduce task (OSDI 2004, section 3.1; NSDI 2012,
section 5.1). A reader gets one bucket without the others. Bytes go in and come out; who may read them, and
how long they are kept, is the system's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate

from labkit.runtime.disk import Files

__all__ = ["Buckets"]


class Buckets:
    """The map outputs of one life of a node. prefix: of the names of its files, to tell its lives apart.

    All methods may be called from a computation's thread.
    """

    def __init__(self, files: Files, prefix: str = "") -> None:
        self._files = files
        self._prefix = prefix
        #: Name of an output to the offsets of its buckets in its file.
        self._offsets: dict[str, list[int]] = {}
        self._stored: dict[str, str] = {}  #: names that were given later, and the files' own

    def write(self, name: str, buckets: Sequence[bytes]) -> list[int]:
        """Make an output, or the same one again; returns the sizes of its buckets."""
        sizes = [len(each) for each in buckets]
        if any(sizes):  # nothing needs no file
            self._files.write(self._prefix + name, b"".join(buckets))
        self._offsets[name] = list(accumulate(sizes, initial=0))
        return sizes

    def read(self, name: str, bucket: int) -> bytes:
        """One bucket; ``KeyError`` if this life has no such output."""
        offsets = self._offsets[name]
        start, end = offsets[bucket], offsets[bucket + 1]
        return self._files.read(self._file(name), start, end - start) if end > start else b""

    def _file(self, name: str) -> str:
        return self._prefix + self._stored.get(name, name)

    def read_many(self, names: Iterable[str], bucket: int) -> tuple[bytes, ...]:
        """The same bucket of several outputs; ``KeyError`` if one is not there."""
        return tuple([self.read(name, bucket) for name in names])

    def __contains__(self, name: str) -> bool:
        return name in self._offsets

    def names(self) -> list[str]:
        """Of all outputs that are there, in the order in which they were first written."""
        return list(self._offsets)

    def rename(self, name: str, new: str) -> None:
        """Give an output another name, under which no other is there; ``KeyError`` if there is none. The old
        name is not to be used again."""
        self._stored[new] = self._stored.pop(name, name)
        self._offsets[new] = self._offsets.pop(name)

    def remove(self, name: str) -> None:
        """Delete an output, if it is there."""
        if self._offsets.pop(name, None) is not None:
            self._files.remove(self._file(name))
            self._stored.pop(name, None)
