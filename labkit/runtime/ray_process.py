"""The actor that a machine of the Ray engine is: a process with a ``RayMachine``.

The client is not an actor, so nobody can call it: it keeps one ``poll`` waiting at every machine, which
returns as soon as there is a message for it, and otherwise with the machine's trace events, at most ten times
a second, or when it is asked for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from labkit.runtime import watchdog
from labkit.runtime.calls import Envelope
from labkit.runtime.copying import (
    copy_value,
    loads_anew,
)
from labkit.runtime.faults import Fault, Pause, Resume, Slow, change_network
from labkit.runtime.flight_recorder import RECORDERS, FlightRecorder, life
from labkit.runtime.host import host_identity
from labkit.runtime.message import Failure, NodeSpec
from labkit.runtime.network import Network
from labkit.runtime.packing import pack, unpack
from labkit.runtime.printed import Printed
from labkit.runtime.ray_machine import RayMachine
from labkit.runtime.real_loop import RealLoop
from labkit.runtime.shared_memory import Parcel
from labkit.runtime.surroundings import Surroundings
from labkit.trace.trace import Trace

__all__ = ["Config", "MachineProcess", "Me", "Report"]

#: Seconds between two deliveries of trace events to the client.
DRAIN_EVERY = 0.1
#: Seconds after which a poll returns with nothing.
POLL_LIMIT = 2.0


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
    events: list[bytes]  #: see ``flight_recorder.rows_of``
    crashes: list[tuple[str, Failure]]
    blocked: list[tuple[float, str]]
    until: float | None  #: the events are all there were up to this time; None: they were not collected


NOTHING = Report([], [], [], [], None)


class MachineProcess:
    """The actor. Its methods are called by the client, ``deliver`` by the other machines too."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.machine: RayMachine | None = None
        self.recorder: FlightRecorder
        self.surroundings: Surroundings | None = None  #: of the user, as far as they are known here
        self.blocked: list[tuple[float, str]] = []
        self._something = asyncio.Event()
        self._last_drain = 0.0
        self._hurried = False  #: the next report is to be whole, at once
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
        self.recorder = FlightRecorder(
            trace, Path(config.disks) / RECORDERS, life(config.name, config.incarnation)
        )
        machine.before_leaving = self.recorder.save
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
                NodeSpec(*spec) for spec in unpack((data, buffers), loads_anew)
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
        self.recorder.save()
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

    async def hurry(self) -> None:
        """Somebody waits for the events up to now."""
        self._hurried = True
        self._something.set()

    async def poll(self, awaited: bool) -> tuple[bytes, list[Any]]:
        """Wait for something to tell the client, and tell it: a ``Report``.

        ``awaited``: somebody waits to hear even that there is nothing to tell.
        """
        machine = self._of()
        until = time.monotonic() + POLL_LIMIT
        while (
            not machine.for_client
            and not self._hurried
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
        if awaited or not self.recorder.empty or machine.crashes or self.blocked:
            return min(until, self._last_drain + DRAIN_EVERY) - now
        return min(until - now, DRAIN_EVERY)

    def _report(self, machine: RayMachine) -> Report:
        """All there is to tell; events at most every ``DRAIN_EVERY`` seconds, since each report costs the
        same."""
        messages, machine.for_client = machine.for_client, []
        self.recorder.save()
        now = time.monotonic()
        if now - self._last_drain < DRAIN_EVERY and not self._hurried and not self._closing:
            return NOTHING._replace(messages=messages)
        self._last_drain, self._hurried = now, False
        machine.loop.refresh()  # no event to come is earlier than this
        crashes = [(node, Failure.of(error)) for node, error in machine.crashes]
        machine.crashes.clear()
        blocked, self.blocked = self.blocked, []
        return Report(messages, self.recorder.take(), crashes, blocked, machine.loop.now)

    async def farewell(self, forget_disk: bool) -> None:
        """The cluster is being closed: polls return at once from now on, with everything."""
        self._closing = True
        self._something.set()
        if forget_disk:  # a host whose files the client does not reach
            shutil.rmtree(self.config.disks, ignore_errors=True)

    def _note_blocked(self, seconds: float, where: str) -> None:
        self.blocked.append((seconds, where))
