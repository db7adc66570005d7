"""Blocks on a machine's disk, with checksums that find what has rotted (GFS §5.2).

A block is one file: a header (version, length, a checksum for each 64 KB, and one of the header itself), then
the bytes. The file is replaced whole, so that a crash leaves the old or the new one. A read verifies those
pieces that it touches, and returns no byte of a piece whose checksum differs.

Data may be ``Modelled``: so many bytes that nobody has, for experiments at a paper's scale. Only their header
is on the disk.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from labkit.runtime.disk import Files

__all__ = ["Blocks", "Data", "Held", "Modelled", "Rotten", "checksum", "cut", "join", "size_of"]

#: Bytes under one checksum: "Each chunk is broken up into 64 KB blocks. Each has a corresponding 32 bit
#: checksum."
PIECE = 64 * 1024
#: Of the header: its own checksum, version, length, whether it is modelled.
HEADER = struct.Struct("<IQQ?")


class Modelled(NamedTuple):
    """So many bytes, without the bytes: only how long they take to move is real."""

    size: int


Data = bytes | Modelled


class Held(NamedTuple):
    """A copy as a chunkserver has it."""

    version: int
    length: int
    modelled: bool = False


class Rotten(Exception):
    """The bytes on the disk are not those that were written."""


def size_of(data: Data) -> int:
    """How many bytes."""
    return data.size if isinstance(data, Modelled) else len(data)


def cut(data: Data, size: int) -> list[Data]:
    """Pieces of at most ``size`` bytes."""
    if isinstance(data, Modelled):
        return [Modelled(min(size, data.size - start)) for start in range(0, data.size, size)]
    return [data[start : start + size] for start in range(0, len(data), size)]


def checksum(data: Data) -> int | None:
    """CRC-32 of the bytes; None if there are none."""
    return None if isinstance(data, Modelled) else zlib.crc32(data)


def join(parts: list[Data]) -> Data:
    """One after the other; modelled if any is."""
    if any(isinstance(each, Modelled) for each in parts):
        return Modelled(sum(map(size_of, parts)))
    return b"".join(each for each in parts if not isinstance(each, Modelled))


def _sums(length: int) -> int:
    return -(-length // PIECE)


class Blocks:
    """A chunkserver's blocks among its files."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def numbers(self) -> list[int]:
        """All blocks on the disk."""
        return sorted(map(int, self._files.names()))

    def write(self, block: int, version: int, data: Data) -> Held:
        """Make or replace a copy."""
        modelled = isinstance(data, Modelled)
        held = Held(version, size_of(data), modelled)
        content = b"" if isinstance(data, Modelled) else data
        pieces = memoryview(content)
        sums = [zlib.crc32(pieces[at : at + PIECE]) for at in range(0, len(content), PIECE)]
        head = HEADER.pack(0, *held)[4:] + struct.pack(f"<{len(sums)}I", *sums)
        self._files.write(str(block), b"".join((struct.pack("<I", zlib.crc32(head)), head, content)))
        return held

    def held(self, block: int) -> Held:
        """The header; raises ``Rotten``."""
        return self._head(block)[0]

    def _head(self, block: int) -> tuple[Held, tuple[int, ...], int]:
        """The header, the checksums, and where the bytes begin."""
        raw = self._files.read(str(block), 0, HEADER.size)
        if len(raw) < HEADER.size:
            raise Rotten(f"block {block} has no header")
        check, version, length, modelled = HEADER.unpack(raw)
        count = 0 if modelled else _sums(length)
        if count > self._files.size(str(block)):  # a length that cannot be
            raise Rotten(f"block {block}: its header")
        more = self._files.read(str(block), HEADER.size, 4 * count)
        if zlib.crc32(more, zlib.crc32(raw[4:])) != check:
            raise Rotten(f"block {block}: its header")
        return Held(version, length, modelled), struct.unpack(f"<{count}I", more), HEADER.size + 4 * count

    def read(self, block: int, start: int = 0, size: int | None = None) -> Data:
        """Verified bytes; raises ``Rotten``, and ``KeyError`` if there is no such block."""
        held, sums, begin = self._head(block)
        size = held.length - start if size is None else min(size, held.length - start)
        if held.modelled:
            return Modelled(max(0, size))
        if size <= 0:
            return b""
        first, last = start // PIECE, (start + size - 1) // PIECE
        raw = self._files.read(str(block), begin + first * PIECE, (last - first + 1) * PIECE)
        view = memoryview(raw)
        for number in range(first, last + 1):
            at = (number - first) * PIECE
            if zlib.crc32(view[at : at + PIECE]) != sums[number]:
                raise Rotten(f"block {block}, bytes {number * PIECE} to {(number + 1) * PIECE}")
        return raw[start - first * PIECE : start - first * PIECE + size]

    def remove(self, block: int) -> None:
        """Delete it, if it is there."""
        self._files.remove(str(block))

    def spoil(self, block: int) -> None:
        """Flip the last bit of the copy on the disk, as a dying medium does."""
        raw = bytearray(self._files.read(str(block)))
        raw[-1] ^= 1
        self._files.write(str(block), bytes(raw))
