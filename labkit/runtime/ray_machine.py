"""A machine as a process: the part of the Ray engine that runs inside each machine's actor.

The same ``Machine`` and the same loop as in the simulator. Here the loop is driven by asyncio with the wall
clock, and ``route`` puts a message into the outbox of its destination. One batch per destination is under way
at a time; what accumulates meanwhile is the next batch. A Ray call costs about a millisecond whatever it
carries, so under load thirty messages share one; alone, a message leaves at once. Large buffers go apart, in
shared memory (``shared_memory.py``), or in Ray's object store if the other machine is on another host.

The client is not an actor, so nobody can call it: it keeps one ``poll`` waiting at every machine, which
returns as soon as there is a message for it, and otherwise with the machine's trace events, at most ten times
a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import pickle
import shutil
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from labkit.runtime import watchdog
from labkit.runtime.copying import (
    OUT_OF_BAND_BYTES,
    copy_value,
    is_frozen,
    loads_keeping_classes,
)
from labkit.runtime.disk import DiskStore, Files, FileStore, FolderFiles
from labkit.runtime.engine import CLIENT
from labkit.runtime.errors import Unpicklable
from labkit.runtime.faults import Fault, Pause, Resume, Slow, change_network
from labkit.runtime.host import host_identity
from labkit.runtime.loop import Cost, Future
from labkit.runtime.machine import Call, Envelope, Machine
from labkit.runtime.message import REQUEST, Failure, NodeSpec
from labkit.runtime.network import Network
from labkit.runtime.node import Node
from labkit.runtime.packing import pack, pickled, unpack
from labkit.runtime.raised import named
from labkit.runtime.real_loop import Lag, RealLoop
from labkit.runtime.shared_memory import IDLE, Incoming, Outgoing, OutOfReach, Parcel
from labkit.runtime.surroundings import Surroundings
from labkit.trace.trace import Trace

__all__ = ["Config", "MachineProcess", "RayMachine"]

#: Buffers of at least this many bytes stay out of a pickle that goes to a machine on this host.
SHARED_BYTES = 4096
#: Seconds between two deliveries of trace events to the client.
DRAIN_EVERY = 0.1
#: Seconds after which a poll returns with nothing.
POLL_LIMIT = 2.0


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

    def die(self) -> None:
        """See ``Machine``."""
        super().die()
        if self._trimming is not None:
            self._trimming.cancel()
        self.outgoing.close()
        self.incoming.close()

    def store(self, node: str) -> DiskStore:
        """A file on this host."""
        return FileStore(self.disks / self.name / f"{node}.disk")

    def file_store(self, node: str) -> Files:
        """A folder on this host."""
        return FolderFiles(self.disks / self.name / f"{node}.files")

    def exit(self, error: SystemExit) -> bool:
        """See ``Machine``."""
        if self.name == CLIENT:
            return False
        os._exit(error.code if isinstance(error.code, int) else 1)

    def compute(self, work: Callable[..., Any], args: tuple[Any, ...], cost: Cost) -> Future:
        """In a thread; a slow machine takes ``factor`` times as long."""
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


class Config(NamedTuple):
    """What a machine's process is told when it begins."""

    name: str
    seed: int
    network: Network
    level: str
    limit: int
    first_seq: int
    incarnation: int
    disks: str
    surroundings: Surroundings


class Me(NamedTuple):
    """Which process a machine is."""

    pid: int
    host: str  #: see ``host_identity``
    ray_node: str  #: Ray's id of the host
    clock: float  #: the cluster's time, as this process sees it


class Report(NamedTuple):
    """What a poll brings to the client."""

    messages: list[Envelope]
    events: list[tuple[Any, ...]]
    crashes: list[tuple[str, Failure]]
    blocked: list[tuple[float, str]]
    until: float | None  #: the events are all there were up to this time; None: they were not collected


NOTHING = Report([], [], [], [], None)


class MachineProcess:
    """The actor. Its methods are called by the client, ``deliver`` by the other machines too."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.machine: RayMachine | None = None
        self.surroundings: Surroundings | None = None  #: of the user, as far as they are known here
        self.blocked: list[tuple[float, str]] = []
        self._something = asyncio.Event()
        self._last_drain = 0.0
        self._closing = False

    async def ready(self) -> None:
        """The process is there."""

    async def begin(self, peers: dict[str, Any], directory: dict[str, str], epoch: float) -> Me:
        """Start the machine; ``epoch`` is the cluster's time zero."""
        import ray

        config = self.config
        await self.surround(config.surroundings)
        loop = RealLoop(epoch)
        loop.bind(asyncio.get_running_loop())
        loop.refresh()
        trace = Trace(config.level, config.limit, config.first_seq)
        machine = RayMachine(
            config.name, loop, config.network, trace, directory, config.seed, Path(config.disks)
        )
        machine.peers = peers
        machine._next_id = (config.incarnation - 1) << 40  # an answer for its former life must find no call
        machine.wake_client = self._something.set
        self.machine = machine
        watchdog.watch(loop, self._note_blocked).thread = threading.get_ident()
        sys.stdout = Printed(machine)
        if trace.on:
            machine.record(None, "machine_started", {"pid": os.getpid(), "incarnation": config.incarnation})
        return Me(os.getpid(), host_identity(), ray.get_runtime_context().get_node_id(), loop.clock())

    async def surround(self, surroundings: Surroundings) -> None:
        """The user has these around them, and so has the user's code here."""
        surroundings.adopt(self.surroundings)
        self.surroundings = surroundings

    def _of(self) -> RayMachine:
        assert self.machine is not None, "begin comes first"
        self.machine.loop.refresh()
        return self.machine

    async def deliver(self, data: bytes, buffers: list[Any]) -> None:
        """A batch of messages from another machine."""
        self._of().receive(unpack((data, buffers)))

    async def deliver_in_memory(self, data: bytes, parcel: Parcel) -> None:
        """As ``deliver``, with the buffers in memory that the sender shares."""
        machine = self._of()
        machine.receive(machine.take_in(data, parcel))

    async def connect(self, peers: dict[str, Any]) -> None:
        """Other machines have started, or started again."""
        self._of().peers.update(peers)

    async def learn(self, directory: dict[str, str]) -> None:
        """Names of nodes that are about to start, and the machines they are on."""
        machine = self._of()
        machine.directory.update(directory)
        for node, home in directory.items():
            if home == machine.name:
                machine.coming.setdefault(node, [])

    async def spawn(self, data: bytes, buffers: list[Any]) -> Failure | None:
        """Start nodes, all or none; the failure of the first that cannot be made."""
        machine = self._of()
        names: list[str] = []
        try:
            for spec in [
                NodeSpec(*spec) for spec in unpack((data, buffers), pickle.loads)
            ]:  # a class as it is now
                names.append(spec.name)
                machine.start_node(spec)
        except BaseException as error:
            for name in names:
                if name in machine.nodes:
                    machine.stop_node(name, "another could not start")
            return Failure.of(error)
        finally:
            machine.loop.pump()
        return None

    async def remove(self, node: str) -> None:
        """Stop one node."""
        machine = self._of()
        if node in machine.nodes:
            machine.stop_node(node, "removed")

    async def state(self, node: str, attributes: tuple[str, ...]) -> Any:
        """Copies of a node's attributes, or the failure to read them."""
        machine = self._of()
        try:
            live = machine.nodes[node]
            # Copied now: Ray reads the buffers in another thread, while the node goes on.
            return pack({name: copy_value(getattr(live, name)) for name in attributes})
        except BaseException as error:
            return Failure.of(error)

    async def apply(self, fault: Fault) -> None:
        """A change of the network, of this machine's speed, or (where no signal reaches this process) a
        pause."""
        machine = self._of()
        match fault:
            case Slow(_, factor):
                machine.factor = float(factor)
            case Pause():
                machine.pause()
            case Resume():
                machine.resume()
                machine.loop.pump()
            case _:
                change_network(machine.network, fault)

    async def poll(self, awaited: bool) -> tuple[bytes, list[Any]]:
        """Wait for something to tell the client, and tell it: a ``Report``.

        ``awaited``: somebody waits to hear even that there is nothing to tell.
        """
        machine = self._of()
        until = time.monotonic() + POLL_LIMIT
        while (
            not machine.for_client
            and not self._closing
            and (wait := self._patience(machine, until, awaited)) > 0
        ):
            self._something.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._something.wait(), wait)
        return pack(tuple(self._report(machine)))

    def _patience(self, machine: RayMachine, until: float, awaited: bool) -> float:
        """Seconds that a poll may still wait for a message."""
        now = time.monotonic()
        if awaited or machine.trace._rows or machine.crashes or self.blocked:
            return min(until, self._last_drain + DRAIN_EVERY) - now
        return min(until - now, DRAIN_EVERY)

    def _report(self, machine: RayMachine) -> Report:
        """All there is to tell; events at most every ``DRAIN_EVERY`` seconds, since each report costs the
        same."""
        messages, machine.for_client = machine.for_client, []
        now = time.monotonic()
        if now - self._last_drain < DRAIN_EVERY and not self._closing:
            return NOTHING._replace(messages=messages)
        self._last_drain = now
        machine.loop.refresh()  # no event to come is earlier than this
        crashes = [(node, Failure.of(error)) for node, error in machine.crashes]
        machine.crashes.clear()
        blocked, self.blocked = self.blocked, []
        return Report(messages, machine.trace.drain(), crashes, blocked, machine.loop.now)

    async def farewell(self, forget_disk: bool) -> None:
        """The cluster is being closed: polls return at once from now on, with everything."""
        self._closing = True
        self._something.set()
        if forget_disk:  # a host whose files the client does not reach
            shutil.rmtree(self.config.disks, ignore_errors=True)

    def _note_blocked(self, seconds: float, where: str) -> None:
        self.blocked.append((seconds, where))


class Printed(io.TextIOBase):
    """What a node prints becomes an event: its terminal is on another machine."""

    def __init__(self, machine: RayMachine) -> None:
        self.machine = machine
        self._thread = threading.get_ident()
        self._line = ""

    def write(self, text: str) -> int:
        """Whole lines are recorded."""
        *lines, self._line = (self._line + text).split("\n")
        if threading.get_ident() == self._thread:
            self._record(lines, _printing_node())
        else:  # a computation's thread: the trace belongs to the loop's
            assert self.machine.loop._aio is not None
            self.machine.loop._aio.call_soon_threadsafe(self._record, lines, None)
        return len(text)

    def _record(self, lines: list[str], node: str | None) -> None:
        for line in lines:
            if self.machine.trace.on:
                self.machine.record(node, "printed", {"text": line})

    def writable(self) -> bool:
        """Yes."""
        return True


def _printing_node() -> str | None:
    """The name of the node whose code is being run by this thread: the nearest ``self`` that is one."""
    frame = sys._getframe(2)
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, Node):
            return owner.name
        frame = frame.f_back  # type: ignore[assignment]
    return None
