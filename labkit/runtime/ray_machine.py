"""A machine as a process: the part of the Ray engine that runs inside each machine's actor.

The same ``Machine`` and the same loop as in the simulator. Here the loop is driven by asyncio with the wall
clock, and ``route`` puts a message into the outbox of its destination. One batch per destination is under way
at a time; what accumulates meanwhile is the next batch. A Ray call costs about a millisecond whatever it
carries, so under load thirty messages share one; alone, a message leaves at once. Large buffers go apart, in
shared memory (``shared_memory.py``), or in Ray's object store if the other machine is on another host.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from labkit.runtime.calls import Call, Envelope
from labkit.runtime.copying import (
    OUT_OF_BAND_BYTES,
    is_frozen,
    loads_keeping_classes,
)
from labkit.runtime.disk import DiskStore, Files, FileStore, FolderFiles
from labkit.runtime.engine import CLIENT
from labkit.runtime.errors import Unpicklable
from labkit.runtime.loop import Cost, Future
from labkit.runtime.machine import Machine
from labkit.runtime.message import REQUEST
from labkit.runtime.network import Network
from labkit.runtime.packing import pack, pickled
from labkit.runtime.raised import named
from labkit.runtime.real_loop import Lag, RealLoop
from labkit.runtime.shared_memory import IDLE, Incoming, Outgoing, OutOfReach, Parcel
from labkit.trace.trace import Trace

__all__ = ["Outbox", "RayMachine", "is_gone"]

#: Buffers of at least this many bytes stay out of a pickle that goes to a machine on this host.
SHARED_BYTES = 4096


def is_gone(error: BaseException) -> bool:
    """Whether this failure of a call says that the machine's process has ended, rather than that it raised
    something."""
    from ray.exceptions import RayError, RayTaskError

    return isinstance(error, RayError) and not isinstance(error, RayTaskError)


class Outbox:
    """Messages to one machine."""

    def __init__(self) -> None:
        self.messages: list[Envelope] = []
        self.lag = Lag()  #: of its batches, until the machine has taken them
        self.flying: asyncio.Task[None] | None = None  #: sends batches until there is nothing left


class RayMachine(Machine):
    """A machine whose messages to others go through Ray; the client's process has one too."""

    loop: RealLoop

    def __init__(
        self,
        name: str,
        loop: RealLoop,
        network: Network,
        trace: Trace,
        directory: dict[str, str],
        seed: int,
        disks: Path,
    ) -> None:
        super().__init__(name, loop, network, trace, directory, seed)
        self.disks = disks
        self.peers: dict[str, Any] = {}  #: Ray's handle of each machine's actor
        self.outboxes: dict[str, Outbox] = {}
        loop.transit = self._transit
        self.batches_sent = 0  #: Ray calls that carried messages to other machines
        self.outgoing, self.incoming = Outgoing(), Incoming()
        self.apart: set[str] = set()  #: machines that do not reach this one's memory
        self._trimming: asyncio.TimerHandle | None = None
        self.for_client: list[Envelope] = []
        self.wake_client: Callable[[], None] = lambda: None
        #: Called when others, or its own next life, are about to hear of what it did.
        self.before_leaving: Callable[[], None] = lambda: None
        self._thread = threading.current_thread()

    def die(self) -> None:
        """See ``Machine``."""
        super().die()
        if self._trimming is not None:
            self._trimming.cancel()
        self.outgoing.close()
        self.incoming.close()

    def store(self, node: str) -> DiskStore:
        """A file on this host."""
        return FileStore(self.disks / self.name / f"{node}.disk", lambda: self.before_leaving())

    def file_store(self, node: str) -> Files:
        """A folder on this host."""
        return FolderFiles(self.disks / self.name / f"{node}.files", self._before_writing)

    def _before_writing(self) -> None:
        """In a computation's thread that was done when it began: the trace is the loop's."""
        if threading.current_thread() is self._thread:
            self.before_leaving()

    def exit(self, error: SystemExit) -> bool:
        """See ``Machine``."""
        if self.name == CLIENT:
            return False
        self.before_leaving()
        os._exit(error.code if isinstance(error.code, int) else 1)

    def compute(self, work: Callable[..., Any], args: tuple[Any, ...], cost: Cost) -> Future:
        """In a thread, which may write files; a slow machine takes ``factor`` times as long."""
        self.before_leaving()
        return self.loop.compute(partial(work, *args), self.factor)

    def route(self, message: Envelope) -> None:
        """Into the destination's outbox, now or after the delay that the network adds."""
        target = message.target_machine
        loop = self.loop
        if target == self.name:
            loop.call_soon(self.deliver, message)
            return
        network = self.network
        if network.drops:
            reason = network.drop_reason(self.name, target, self.network_random)
            if reason is not None:
                self.dropped(message, reason)
                return
        copies = 2 if network.duplicate and self.network_random.random() < network.duplicate else 1
        for copy in range(copies):
            if copy:  # in one batch two equal objects would arrive as one
                message = message.copied
            when = network.arrival(self.name, target, loop.now, message.payload, self.network_random)
            if when <= loop.now:
                self.post(message)
            else:
                loop.call_at(when, self.post, message)

    def post(self, message: Envelope) -> None:
        """It leaves now, or with the next batch."""
        target = message.target_machine
        if type(message) is Call:
            message = message.message
        if target == CLIENT:
            self.for_client.append(message)
            self.wake_client()
            return
        box = self.outboxes.get(target)
        if box is None:
            box = self.outboxes[target] = Outbox()
        box.messages.append(message)
        if box.flying is None:
            assert self.loop._aio is not None
            box.flying = self.loop._aio.create_task(self._ship(target, box))

    async def _ship(self, target: str, box: Outbox) -> None:
        """Send batches until the outbox is empty, one at a time."""
        try:
            while box.messages:
                batch, box.messages = box.messages, []
                self.before_leaving()
                handle = self.peers.get(target)
                if handle is None:
                    self._lost(batch, f"{target} is dead")
                else:
                    lag, left = box.lag, self.loop.clock()
                    await self._ship_batch(target, handle, batch)
                    lag.add(self.loop.clock() - left)
        finally:
            box.flying = None

    async def _ship_batch(self, target: str, handle: Any, batch: list[Envelope]) -> None:
        self.batches_sent += 1
        try:
            if target in self.apart or not await self._ship_in_memory(target, handle, batch):
                await handle.deliver.remote(*pack(batch))
        except Exception as error:
            if is_gone(error):
                self.outboxes[target].lag = Lag()
                self._lost(batch, f"{target} is dead ({type(error).__name__})")
            elif len(batch) > 1:  # one of them cannot be read there; the others are not to suffer
                for message in batch:
                    await self._ship_batch(target, handle, [message])
            else:
                self._refused(batch[0], error)

    async def _ship_in_memory(self, target: str, handle: Any, batch: list[Envelope]) -> bool:
        """Send a batch with its buffers in shared memory; False if that cannot be done."""
        data, buffers = pickled(batch, SHARED_BYTES)
        if not buffers and len(data) < OUT_OF_BAND_BYTES:
            await handle.deliver.remote(data, buffers)
            return True
        contents = [(each.raw(), not is_frozen(each)) for each in buffers]
        if len(data) >= OUT_OF_BAND_BYTES:
            contents.append((memoryview(data), False))
            data = b""
        packed = self.outgoing.pack(contents)
        if packed is None:
            return False
        self._trim_later()
        parcel, loans = packed
        try:
            await handle.deliver_in_memory.remote(data, parcel)
        except OutOfReach:
            self.apart.add(target)
            self.outgoing.lost(loans)
            return False
        except BaseException:
            self.outgoing.lost(loans)
            raise
        self.outgoing.delivered(loans)
        return True

    def take_in(self, data: bytes, parcel: Parcel) -> list[Envelope]:
        """The batch whose buffers are in shared memory."""
        buffers = self.incoming.unpack(parcel)
        self._trim_later()
        batch: list[Envelope] = loads_keeping_classes(data or bytes(buffers.pop()), buffers)
        return batch

    def _trim_later(self) -> None:
        if self._trimming is None:
            assert self.loop._aio is not None
            self._trimming = self.loop._aio.call_later(IDLE / 2, self._trim)

    def _trim(self) -> None:
        self._trimming = None
        left = [self.outgoing.trim(), self.incoming.trim()]
        if any(left):
            self._trim_later()

    def _transit(self) -> float:
        """How late the machine is that takes its messages soonest: if even that one is, it is the host."""
        return min((box.lag.seconds for box in self.outboxes.values() if box.lag.seconds), default=0.0)

    def _lost(self, batch: list[Envelope], reason: str) -> None:
        self.loop.refresh()
        for message in batch:
            self.dropped(message, reason)

    def _refused(self, message: Envelope, error: Exception) -> None:
        """The other machine cannot read it, for example for want of a module: whoever waits must hear why."""
        reason = named(error).strip().splitlines()[-1]
        self._lost([message], f"{message.target_machine} cannot read it: {reason}")
        unreadable = Unpicklable(
            f"{message.method} to {message.target} cannot be read on {message.target_machine}: {reason}. "
            "What is sent must be importable on every machine, or defined in the notebook."
        )
        call = self.pending.pop(message.number, None) if message.what == REQUEST else None
        if call is not None:
            call.set_error(unreadable)
            self.loop.pump()
        else:
            self.crashes.append((message.source, unreadable))

    def receive(self, batch: list[Envelope]) -> None:
        """A batch has arrived."""
        for message in batch:
            self.loop.call_soon(self.deliver, message)
        self.loop.pump()
