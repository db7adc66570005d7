"""Channels as a vertex sees them: a sequence of items, whatever carries it (§2.2, Table 1).

A writer gathers items into chunks, a reader takes chunks apart. In a file and in a pipe a chunk is its
pickle; in a FIFO it is the items themselves, "shared memory". A full channel lets its writer wait, an empty
one its reader; where vertices would wait for each other for ever, full ones get more room (``Process.grow``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from typing import Any

from labkit.runtime.copying import loads_keeping_classes
from labkit.runtime.packing import dumps

__all__ = ["FIFO", "FILE", "PIPE", "Abandoned", "Channel", "Reader", "Wait", "Writer", "any_of"]

FILE, PIPE, FIFO = "file", "pipe", "fifo"
#: Chunks in a pipe or FIFO before its writer waits.
ROOM = 4


class Abandoned(BaseException):
    """Nobody reads any more what a vertex writes: it ends, as a program does whose pipe is broken."""


class Wait:
    """What a vertex awaits: gives way until ``ready()``."""

    def __init__(self, ready: Callable[[], bool]) -> None:
        self.ready = ready

    def __await__(self) -> Generator[Wait, None, None]:
        while not self.ready():
            yield self


class Channel:
    """Chunks between a writer and a reader. room: chunks that are in it at most; None: any number."""

    def __init__(self, packed: bool = True, room: int | None = ROOM, chunks: Sequence[Any] = ()) -> None:
        self.packed, self.room = packed, room
        self.chunks: deque[Any] = deque(chunks)
        self.closed = False  #: nothing more will come
        self.abandoned = False  #: its reader has ended: what is written is for nobody
        self.items = 0  #: that went in

    def put(self, items: list[Any]) -> None:
        """One chunk more."""
        self.items += len(items)
        if not self.abandoned:
            self.chunks.append(dumps(items) if self.packed else items)

    def writable(self) -> bool:
        """Whether another chunk has room."""
        return self.room is None or self.abandoned or len(self.chunks) < self.room

    def readable(self) -> bool:
        """Whether there is a chunk, or will never be another."""
        return bool(self.chunks) or self.closed


class Reader:
    """``async for item in reader``; ``await anext(reader, None)``: the next, or None at the end."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.items = 0  #: that were read
        self._left: deque[Any] = deque()

    def __aiter__(self) -> Reader:
        return self

    async def __anext__(self) -> Any:
        if not self._left and not await self._more():
            raise StopAsyncIteration
        self.items += 1
        return self._left.popleft()

    async def _more(self) -> bool:
        """Wait for items; False: this is the end."""
        while not self._left:
            await Wait(self.channel.readable)
            if not self.channel.chunks:
                return False
            chunk = self.channel.chunks.popleft()
            self._left.extend(loads_keeping_classes(chunk) if isinstance(chunk, bytes) else chunk)
        return True

    def readable(self) -> bool:
        """Whether the next item, or the end, is there."""
        return bool(self._left) or self.channel.readable()


class Writer:
    """``await writer.write(item)``."""

    def __init__(self, channel: Channel, size: int) -> None:
        self.channel, self.size = channel, size
        self.together: Sequence[Writer] = (self,)  #: all of its vertex
        self._items: list[Any] = []

    async def write(self, item: Any) -> None:
        """Add an item; waits while the channel is full."""
        self._items.append(item)
        if len(self._items) >= self.size:
            await self.flush()

    async def flush(self) -> None:
        """Let the reader have what was written so far."""
        await Wait(self.channel.writable)
        if self._items and all(each.channel.abandoned for each in self.together):
            raise Abandoned
        if self._items:
            self.channel.put(self._items)
            self._items = []


async def any_of(readers: Sequence[Reader]) -> AsyncIterator[Any]:
    """Items of several readers as they come: in no order that another execution would have too."""
    left = list(readers)
    while left:
        await Wait(lambda: any(each.readable() for each in left))
        for each in [each for each in left if each.readable()]:
            first = True
            while first or each._left:  # all that has come with it
                first = False
                try:
                    yield await anext(each)
                except StopAsyncIteration:
                    left.remove(each)
                    break
