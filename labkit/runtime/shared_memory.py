"""Large buffers between two processes of one host, through memory that both have mapped.

Ray's object store takes a copy in the sender and a round of its own server; what is left of a message, a few
hundred bytes, is all that Ray has to carry when the sender puts the buffers into a *segment* of its own, an
anonymous file (``memfd_create``), which the receiver maps too. There is one copy, and it is into memory that
has been used before: where a virtual machine must fetch each page from its host, a page's first touch costs
as much as copying it four times.

A large buffer has a segment to itself and is *lent*: the receiver's array lies in it, and when the last array
is gone the receiver marks the segment as free and the sender uses it again. Small buffers share a segment and
are copied out at once, for an array of a few bytes is not to hold megabytes.

Nothing has to be cleaned up: an anonymous file ends with the last process that has mapped it, however that
process ends. A receiver that cannot reach the sender's memory says so (``OutOfReach``); the sender then uses
Ray's store.
"""

from __future__ import annotations

import mmap
import os
import time
import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from labkit.runtime.host import host_identity

__all__ = ["Incoming", "OutOfReach", "Outgoing", "Parcel", "Piece"]

#: Bytes before the content: a word that says whether the receiver still reads, and the segment's token.
HEAD = 64
FREE, LENT = bytes(8), b"\1" + bytes(7)  # what the word says
#: Buffers of at least this many bytes are lent.
LEND_FROM = 256 * 1024
#: Small buffers begin at multiples of this, as NumPy wants it.
ALIGN = 64
#: Segments are as large as a multiple of this.
GRAIN = 64 * 1024
#: Seconds after which a segment that nobody uses is given back to the system, and after which the sender
#: forgets one that the receiver keeps: it is the receiver's from then on.
IDLE, KEPT = 10.0, 30.0
#: Segments that a sender may have lent, and that a receiver keeps; beyond that the one uses Ray's store and
#: the other takes a copy. Each segment takes two file descriptors in the sender and one in the receiver.
MOST_LENT, MOST_KEPT = 100, 200
#: All pages at once rather than each at its first use, where the system can.
POPULATED = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)


class OutOfReach(Exception):
    """The receiver cannot map the sender's memory."""


class Piece(NamedTuple):
    """Where a buffer lies."""

    segment: int  #: which of the parcel's
    start: int
    size: int
    writable: bool


class Parcel(NamedTuple):
    """What is sent in place of buffers."""

    host: str
    pid: int
    segments: tuple[tuple[int, bytes], ...]  #: file descriptor in the sender's process, and token
    pieces: tuple[Piece, ...]


class Segment:
    """Memory that another process can map."""

    def __init__(self, size: int) -> None:
        self.size = -(-(HEAD + size) // GRAIN) * GRAIN - HEAD
        self.token = os.urandom(8)
        self.map: mmap.mmap | None = None
        self.descriptor = -1
        self.descriptor = os.memfd_create("labkit", os.MFD_CLOEXEC)
        os.ftruncate(self.descriptor, HEAD + self.size)
        self.map = mmap.mmap(self.descriptor, HEAD + self.size, flags=POPULATED)
        self.map[8:16] = self.token
        self.loans = 0  #: how often it has been lent
        self.received = False  #: the receiver has mapped it
        self.used_at = time.monotonic()

    def put(self, start: int, content: memoryview) -> None:
        """Copy a buffer into it."""
        assert self.map is not None
        np.frombuffer(self.map, np.uint8, len(content), HEAD + start)[:] = content

    @property
    def free(self) -> bool:
        """Whether the receiver has done with it."""
        assert self.map is not None
        return self.map[:8] == FREE

    def lend(self) -> Loan:
        """To a receiver."""
        assert self.map is not None
        self.map[:8], self.received, self.used_at = LENT, False, time.monotonic()
        self.loans += 1
        return Loan(self, self.loans)

    def close(self) -> None:
        """Forget it; where it is still mapped it lives on."""
        self.map = None
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    __del__ = close


class Loan(NamedTuple):
    """One use of a segment."""

    segment: Segment
    number: int

    @property
    def current(self) -> bool:
        """Whether the segment has not come back since."""
        return self.segment.loans == self.number and self.segment.map is not None and not self.segment.free


class Outgoing:
    """A sender's segments."""

    def __init__(self) -> None:
        self.available = hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd")
        self._free: list[Segment] = []
        self._lent: list[Segment] = []

    def pack(self, buffers: Sequence[tuple[memoryview, bool]]) -> tuple[Parcel, list[Loan]] | None:
        """The buffers, each with whether the receiver's is to be writable, in segments.

        None if there cannot be any more of them. The loans are for ``delivered`` or ``lost``.
        """
        self._collect()
        if not self.available:
            return None
        used: list[Loan] = []
        pieces: list[Piece] = []
        try:
            small = sum(_aligned(len(each)) for each, _ in buffers if len(each) < LEND_FROM)
            if small:
                used.append(self._take(small))
            end = 0
            for each, writable in buffers:
                if len(each) < LEND_FROM:
                    where, start = 0, end
                    end += _aligned(len(each))
                else:
                    where, start = len(used), 0
                    used.append(self._take(len(each)))
                used[where].segment.put(start, each)
                pieces.append(Piece(where, start, len(each), writable))
        except OSError:  # no memory, or no descriptor
            self.lost(used)
            return None
        names = tuple((each.descriptor, each.token) for each, _ in used)
        return Parcel(_HOST, os.getpid(), names, tuple(pieces)), used

    def _take(self, size: int) -> Loan:
        fitting = [each for each in self._free if size <= each.size <= 2 * size + GRAIN]
        if fitting:
            segment = min(fitting, key=lambda each: each.size)
            self._free.remove(segment)
        elif len(self._lent) >= MOST_LENT:
            raise OSError("too many segments are lent")
        else:
            segment = Segment(size)
        self._lent.append(segment)
        return segment.lend()

    def _collect(self) -> None:
        back = [each for each in self._lent if each.free]
        if back:
            self._lent = [each for each in self._lent if each not in back]
            self._free += back

    def delivered(self, loans: list[Loan]) -> None:
        """The receiver has them."""
        for each in loans:
            if each.current:
                each.segment.received = True

    def lost(self, loans: list[Loan]) -> None:
        """Nobody will say that they are free."""
        for each in loans:
            if each.current:
                self._lent.remove(each.segment)
                each.segment.close()

    def trim(self) -> bool:
        """Let go of what is idle; whether anything is left."""
        self._collect()
        now = time.monotonic()
        for each in list(self._free):
            if now - each.used_at > IDLE:
                self._free.remove(each)
                each.close()
        for each in list(self._lent):
            if each.received and now - each.used_at > KEPT:
                self._lent.remove(each)
                each.close()
        return bool(self._free or self._lent)

    def close(self) -> None:
        """Let go of everything."""
        for each in (*self._free, *self._lent):
            each.close()
        self._free, self._lent = [], []


class Mapped:
    """A segment of another process."""

    def __init__(self, pid: int, descriptor: int, token: bytes) -> None:
        try:
            file = os.open(f"/proc/{pid}/fd/{descriptor}", os.O_RDWR | os.O_CLOEXEC)
            try:
                self.map = mmap.mmap(file, os.fstat(file).st_size, flags=POPULATED)
            finally:
                os.close(file)
        except (OSError, ValueError) as error:
            raise OutOfReach(f"the memory of process {pid} cannot be mapped: {error}") from error
        if self.map[8:16] != token:
            raise OutOfReach(f"descriptor {descriptor} of process {pid} is another file")
        self.used_at = time.monotonic()
        self._lent: weakref.ref[np.ndarray] | None = None

    def lend(self, piece: Piece) -> Any:
        """The whole of it, until the last array in it is gone."""
        memory = memoryview(self.map)
        lent = np.frombuffer(memory if piece.writable else memory.toreadonly(), np.uint8, piece.size, HEAD)
        self._lent = weakref.ref(lent, self.release)
        return lent

    def copy(self, piece: Piece) -> bytes | bytearray:
        """A small buffer."""
        begin = HEAD + piece.start
        content = memoryview(self.map)[begin : begin + piece.size]
        return bytearray(content) if piece.writable else bytes(content)

    def release(self, _: Any = None) -> None:
        """The sender may use it again."""
        self._lent = None
        self.map[:8] = FREE
        self.used_at = time.monotonic()

    @property
    def idle(self) -> bool:
        """Whether nothing in it is used here, and nothing has come in it for a while."""
        return self._lent is None and time.monotonic() - self.used_at > IDLE


class Incoming:
    """A receiver's maps of others' segments."""

    def __init__(self) -> None:
        self._maps: dict[tuple[int, int, bytes], Mapped] = {}

    def unpack(self, parcel: Parcel) -> list[Any]:
        """The buffers. Raises ``OutOfReach``, and then nothing was received."""
        if parcel.host != _HOST:
            raise OutOfReach(f"another host: {parcel.host}, not {_HOST}")
        maps = [self._mapped(parcel.pid, *name) for name in parcel.segments]
        crowded = len(self._maps) > MOST_KEPT
        copied: set[Mapped] = set()
        buffers: list[Any] = []
        for piece in parcel.pieces:
            segment = maps[piece.segment]
            if piece.size >= LEND_FROM and not crowded:
                buffers.append(segment.lend(piece))
            else:
                buffers.append(segment.copy(piece))
                copied.add(segment)
        for segment in copied:
            segment.release()
        return buffers

    def _mapped(self, pid: int, descriptor: int, token: bytes) -> Mapped:
        key = (pid, descriptor, token)
        if key not in self._maps:
            self._maps[key] = Mapped(*key)
        return self._maps[key]

    def trim(self) -> bool:
        """Unmap what is idle; whether anything is left."""
        self._maps = {key: each for key, each in self._maps.items() if not each.idle}
        return bool(self._maps)

    def close(self) -> None:
        """Unmap everything that no array lies in."""
        self._maps = {}


def _aligned(size: int) -> int:
    return -(-size // ALIGN) * ALIGN


_HOST = host_identity()
