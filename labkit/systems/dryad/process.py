"""A process: one vertex, or several that FIFOs join, executed in turns. No message and no clock here.

Each vertex runs until it waits for a channel, then the next one does; when all of them wait, ``step`` returns
and is to be called again when there is news. So vertices that share memory never run at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from labkit.runtime.loop import traceback_text
from labkit.runtime.packing import dumps
from labkit.runtime.raised import Ending, named, short

from .channels import Abandoned, Channel, Reader, Wait, Writer
from .plan import Inside, port_of

__all__ = ["Process", "VertexFailed", "joined"]


class VertexFailed(Exception):
    """The user's code failed; ``vertex``: which."""

    def __init__(self, vertex: Any, text: str) -> None:
        super().__init__(text)
        self.vertex = vertex


class _Member:
    """A vertex of the process, or one of a graph that it encapsulates."""

    def __init__(self, name: Any, program: Any, readers: list[Reader], writers: list[Writer]) -> None:
        self.name, self.program = name, program
        self.readers, self.writers = readers, writers
        self.running: Coroutine[Any, Any, Any] | None = None
        self.waits: Callable[[], bool] | None = None  #: until this is so
        self.done = False

    def run(self) -> None:
        """Until it waits, or has ended and all that it wrote is in its channels."""
        if self.running is None:
            self.running = self._main()
        try:
            wait = self.running.send(None)
        except (StopIteration, Abandoned):
            self.done = True
            for reader in self.readers:
                reader.channel.abandoned = True
            for writer in self.writers:
                writer.channel.closed = True
            return
        except Ending:
            raise
        except BaseException as error:
            raise VertexFailed(self.name, f"{named(error)}\n{traceback_text(error)}") from None
        if not isinstance(wait, Wait):
            raise VertexFailed(
                self.name,
                f"TypeError: a vertex awaits its readers and writers only, and this one {short(wait)}",
            )
        self.waits = wait.ready

    async def _main(self) -> None:
        """The user's ``Main``, then the rest of what it wrote."""
        await self.program(self.readers, self.writers)
        for writer in self.writers:
            await writer.flush()


class Process:
    """Vertices that run together. Ports are channels; a FIFO between two of them is one channel at both."""

    def __init__(self, size: int) -> None:
        self.size = size  #: items in a chunk
        self.members: list[_Member] = []
        self.started = False

    def add(self, name: Any, program: Any, inputs: Sequence[Channel], outputs: Sequence[Channel]) -> None:
        """A vertex with its input and output ports."""
        if not isinstance(program, Inside):
            readers, writers = (
                [Reader(each) for each in inputs],
                [Writer(each, self.size) for each in outputs],
            )
            for writer in writers:
                writer.together = writers
            self.members.append(_Member(name, program, readers, writers))
            return
        into: dict[int, list[Channel]] = {i: [] for i in range(len(program.programs))}
        out: dict[int, list[Channel]] = {i: [] for i in range(len(program.programs))}
        for source, target in program.edges:
            fifo = Channel(packed=False)
            out[source].append(fifo)
            into[target].append(fifo)
        for ends, ports, channels in ((program.inputs, into, inputs), (program.outputs, out, outputs)):
            for port, channel in enumerate(channels):
                ports[port_of(ends, port)].append(channel)
        for i, each in enumerate(program.programs):
            self.add(name, each, into[i], out[i])

    def step(self) -> int:
        """Go on as far as possible; items read and written meanwhile. Raises ``VertexFailed``."""
        before, moved = self.items, True
        while moved:
            moved = False
            for each in self.members:
                if not each.done and (each.waits is None or each.waits()):
                    each.run()
                    moved = True
        return self.items - before

    @property
    def items(self) -> int:
        """Items read and written so far."""
        return sum(
            sum(reader.items for reader in each.readers)
            + sum(writer.channel.items for writer in each.writers)
            for each in self.members
        )

    @property
    def done(self) -> bool:
        """Whether all have ended."""
        return all(each.done for each in self.members)

    @property
    def can_go_on(self) -> bool:
        """Whether some vertex need not wait any more."""
        return any(not each.done and (each.waits is None or each.waits()) for each in self.members)

    def grow(self) -> bool:
        """Give full channels twice the room; whether there were some.

        Vertices may wait for each other in a circle: one for room in a channel, whose reader wants another
        channel first. That is none in the graph, but of its bounded channels (Parks 1995: enlarge them).
        """
        writers = [writer for each in self.members if not each.done for writer in each.writers]
        full = [writer.channel for writer in writers if not writer.channel.writable()]
        for channel in full:
            assert channel.room is not None
            channel.room *= 2
        return bool(full)

    def close(self) -> None:
        """Nobody wants it any more."""
        for each in self.members:
            if each.running is not None and not each.done:
                try:
                    each.running.close()
                except (RuntimeError, ValueError):  # it catches everything, or still runs in its thread
                    pass


def joined(channel: Channel) -> bytes:
    """A channel that is closed, as the bytes of its file; nothing at all if nothing was written."""
    items = [item for chunk in channel.chunks for item in chunk]
    return dumps(items) if items else b""
