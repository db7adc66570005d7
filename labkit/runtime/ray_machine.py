"""A machine as a process: the part of the Ray engine that runs inside each machine's actor.

The same ``Machine`` and the same loop as in the simulator. Here the loop is driven by asyncio with the wall clock, and ``route`` puts a message into
the outbox of its destination. One batch per destination is under way at a time; what accumulates meanwhile is the next batch. A Ray call
costs about a millisecond whatever it carries, so under load thirty messages share one; alone, a message leaves at once.

The client is not an actor, so nobody can call it: it keeps one ``poll`` waiting at every machine, which returns as soon as there is a message
for it, and otherwise with the machine's trace events, at most ten times a second.
"""

from __future__ import annotations

import asyncio
import io
import os
import pickle
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cloudpickle

from labkit.runtime import watchdog
from labkit.runtime.disk import DiskStore, FileStore
from labkit.runtime.engine import CLIENT
from labkit.runtime.faults import Fault, Pause, Resume, Slow, change_network
from labkit.runtime.loop import Future, Loop
from labkit.runtime.machine import Failure, Machine, Message, NodeSpec
from labkit.runtime.network import Network
from labkit.runtime.trace import Trace

__all__ = ["Config", "MachineProcess", "RayMachine", "RealLoop", "pack", "unpack"]

#: Buffers of at least this many bytes travel out of band, where Ray does not copy them into a pickle. Ray spends about 25 µs on each, so
#: small ones go in band.
OUT_OF_BAND_BYTES = 64 * 1024
#: Callbacks between two looks at the clock.
SLICE = 200
#: Seconds between two deliveries of trace events to the client.
DRAIN_EVERY = 0.1
#: Seconds after which a poll returns with nothing.
POLL_LIMIT = 2.0


def pack(value: Any, by_value: bool) -> tuple[bytes, list[pickle.PickleBuffer]]:
    """A pickle, and its large buffers apart. ``by_value`` for what may hold classes from a notebook."""
    buffers: list[pickle.PickleBuffer] = []

    def keep_in_band(buffer: pickle.PickleBuffer) -> bool:
        if buffer.raw().nbytes < OUT_OF_BAND_BYTES:
            return True
        buffers.append(buffer)
        return False

    if not by_value:
        try:
            return pickle.dumps(value, protocol=5, buffer_callback=keep_in_band), buffers
        except Exception:  # a class of the user's notebook, which came here by value
            buffers.clear()
    return cloudpickle.dumps(value, protocol=5, buffer_callback=keep_in_band), buffers


def unpack(packed: tuple[bytes, list[Any]]) -> Any:
    """The value. Its arrays are writable and its own, as in the simulator."""
    data, buffers = packed
    return pickle.loads(data, buffers=[bytearray(buffer) for buffer in buffers])


class RealLoop(Loop):
    """The loop, driven by asyncio: ``pump`` runs what is due and asks to be called again when the next thing is."""

    def __init__(self, epoch: float) -> None:
        super().__init__()
        self.epoch = epoch  #: the cluster's time zero, in seconds since 1970
        self._aio: asyncio.AbstractEventLoop | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._pool: ThreadPoolExecutor | None = None

    def bind(self, aio: asyncio.AbstractEventLoop) -> None:
        """Be driven by this asyncio loop."""
        self._aio = aio

    def clock(self) -> float:
        """Seconds since the cluster began."""
        return time.time() - self.epoch

    def refresh(self) -> None:
        """Look at the clock; time never runs backwards, even if the host's clock is set."""
        self.now = max(self.now, self.clock())

    def pump(self) -> None:
        """Run everything that is due."""
        assert self._aio is not None
        if self.busy:
            return
        self.refresh()
        left = self.run(until=self.now, budget=SLICE)
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if left == 0 or self._ready:
            self._aio.call_soon(self.pump)
        elif self._heap:
            delay = max(0.0, self._heap[0][0] - self.clock())
            self._alarm = self._aio.call_later(delay, self.pump)

    def compute(self, work: Callable[[], Any], cost: float) -> Future:
        """Do ``work`` in a thread. ``cost`` is how many times slower than normal this machine is: the rest of the time is slept."""
        assert self._aio is not None
        if self._pool is None:
            self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="labkit-compute")
        future, aio = Future(self), self._aio

        def in_thread() -> None:
            begun = time.monotonic()
            error: Exception | None = None
            value = None
            try:
                value = work()
            except Exception as raised:
                error = raised
            extra = (time.monotonic() - begun) * (cost - 1.0)
            if extra > 0:
                time.sleep(extra)
            aio.call_soon_threadsafe(finish, value, error)

        def finish(value: Any, error: Exception | None) -> None:
            if error is None:
                future.set_result(value)
            else:
                future.set_error(error)
            self.pump()

        self._pool.submit(in_thread)
        return future

    def shut(self) -> None:
        """Let go of the threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


class Outbox:
    """Messages to one machine. ``flying``: a batch is under way."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.flying = False


class RayMachine(Machine):
    """A machine whose messages to others go through Ray; the client's process has one too."""

    loop: RealLoop

    def __init__(
        self, name: str, loop: RealLoop, network: Network, trace: Trace, directory: dict[str, str], seed: int, disks: Path
    ) -> None:
        super().__init__(name, loop, network, trace, directory, seed)
        self.disks = disks
        self.peers: dict[str, Any] = {}  #: Ray's handle of each machine's actor
        self.outboxes: dict[str, Outbox] = {}
        self.for_client: list[Message] = []
        self.wake_client: Callable[[], None] = lambda: None

    def store(self, node: str) -> DiskStore:
        """A file on this host."""
        return FileStore(self.disks / self.name / f"{node}.disk")

    def compute(self, work: Callable[..., Any], args: tuple[Any, ...], cost: float) -> Future:
        """In a thread; a slow machine takes ``factor`` times as long."""
        return self.loop.compute(partial(work, *args), self.factor)

    def route(self, message: Message) -> None:
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
        for _ in range(copies):
            when = network.arrival(self.name, target, loop.now, message.payload, self.network_random)
            if when <= loop.now:
                self.post(message)
            else:
                loop.call_at(when, self.post, message)

    def post(self, message: Message) -> None:
        """It leaves now, or with the next batch."""
        target = message.target_machine
        if target == CLIENT:
            self.for_client.append(message)
            self.wake_client()
            return
        box = self.outboxes.get(target)
        if box is None:
            box = self.outboxes[target] = Outbox()
        box.messages.append(message)
        if not box.flying:
            box.flying = True
            assert self.loop._aio is not None
            self.loop._aio.create_task(self._ship(target, box))

    async def _ship(self, target: str, box: Outbox) -> None:
        """Send batches until the outbox is empty, one at a time."""
        try:
            while box.messages:
                batch, box.messages = box.messages, []
                handle = self.peers.get(target)
                if handle is None:
                    self._lost(batch, f"{target} is dead")
                    continue
                try:
                    await handle.deliver.remote(*pack(batch, by_value=self.name == CLIENT))
                except Exception as error:  # Ray's: the actor has died, or its node
                    self._lost(batch, f"{target} is dead ({type(error).__name__})")
        finally:
            box.flying = False

    def _lost(self, batch: list[Message], reason: str) -> None:
        self.loop.refresh()
        for message in batch:
            self.dropped(message, reason)

    def receive(self, batch: list[Message]) -> None:
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
    directory: dict[str, str]


class Report(NamedTuple):
    """What a poll brings to the client."""

    messages: list[Message]
    events: list[tuple[Any, ...]]
    crashes: list[tuple[str, Failure]]
    blocked: list[tuple[float, str]]


class MachineProcess:
    """The actor. Its methods are called by the client, ``deliver`` by the other machines too."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.machine: RayMachine | None = None
        self.blocked: list[tuple[float, str]] = []
        self._something = asyncio.Event()
        self._last_drain = 0.0
        self._thawed = asyncio.Event()
        self._thawed.set()

    async def ready(self) -> None:
        """The process is there."""

    async def begin(self, peers: dict[str, Any], epoch: float) -> tuple[int, str]:
        """Start the machine; ``epoch`` is the cluster's time zero. Its pid and host."""
        config = self.config
        loop = RealLoop(epoch)
        loop.bind(asyncio.get_running_loop())
        loop.refresh()
        trace = Trace(config.level, config.limit, config.first_seq)
        machine = RayMachine(
            config.name, loop, config.network, trace, dict(config.directory), config.seed, Path(config.disks)
        )
        machine.peers = peers
        machine.wake_client = self._something.set
        self.machine = machine
        watchdog.watch(loop, self._note_blocked).thread = threading.get_ident()
        sys.stdout = Printed(machine)  # type: ignore[assignment]
        if trace.on:
            machine.record(None, "machine_started", {"pid": os.getpid(), "incarnation": config.incarnation})
        return os.getpid(), host_identity()

    def _of(self) -> RayMachine:
        assert self.machine is not None, "begin comes first"
        self.machine.loop.refresh()
        return self.machine

    async def deliver(self, data: bytes, buffers: list[Any]) -> None:
        """A batch of messages from another machine."""
        self._of().receive(unpack((data, buffers)))

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
        """Start nodes; the failure of the first that cannot be made."""
        machine = self._of()
        specs = [NodeSpec(*spec) for spec in unpack((data, buffers))]
        try:
            for spec in specs:
                machine.start_node(spec)
        except Exception as error:
            return Failure.of(error)
        finally:
            for spec in specs:
                machine.coming.pop(spec.name, None)
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
            return pack({name: getattr(live, name) for name in attributes}, by_value=False)
        except Exception as error:
            return Failure.of(error)

    async def apply(self, fault: Fault) -> None:
        """A change of the network, of this machine's speed, or (where no signal reaches this process) a pause."""
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

    async def poll(self) -> tuple[bytes, list[Any]]:
        """Wait for something to tell the client, and tell it: a ``Report``."""
        machine = self._of()
        trace = machine.trace
        until = time.monotonic() + POLL_LIMIT
        while not machine.for_client and time.monotonic() < until:
            wait = until - time.monotonic()
            if trace._rows or machine.crashes or self.blocked:
                wait = min(wait, self._last_drain + DRAIN_EVERY - time.monotonic())
                if wait <= 0:
                    break
            else:
                wait = min(wait, DRAIN_EVERY)
            self._something.clear()
            try:
                await asyncio.wait_for(self._something.wait(), wait)
            except TimeoutError:
                pass
        messages, machine.for_client = machine.for_client, []
        events: list[tuple[Any, ...]] = []
        if time.monotonic() - self._last_drain >= DRAIN_EVERY:
            self._last_drain = time.monotonic()
            events = trace.drain()
        crashes = [(node, Failure.of(error)) for node, error in machine.crashes]
        machine.crashes.clear()
        blocked, self.blocked = self.blocked, []
        return pack(tuple(Report(messages, events, crashes, blocked)), by_value=False)

    async def flush(self) -> tuple[bytes, list[Any]]:
        """All events so far, at once (before the end)."""
        return pack(self._of().trace.drain(), by_value=False)

    def _note_blocked(self, seconds: float, where: str) -> None:
        self.blocked.append((seconds, where))


class Printed(io.TextIOBase):
    """What a node prints becomes an event: its terminal is on another machine."""

    def __init__(self, machine: RayMachine) -> None:
        self.machine = machine
        self._line = ""

    def write(self, text: str) -> int:
        """Whole lines are recorded."""
        *lines, self._line = (self._line + text).split("\n")
        current = self.machine.loop.current
        node = getattr(current.owner, "name", None) if current is not None else None
        for line in lines:
            if self.machine.trace.on:
                self.machine.record(node, "printed", {"text": line})
        return len(text)

    def writable(self) -> bool:
        """Yes."""
        return True


def host_identity() -> str:
    """Equal for two processes exactly if a signal from one can reach the other."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        boot = space = ""
    return f"{socket.gethostname()} {boot} {space}"
