"""The Ray engine: a process for every machine, and real time.

The client's side. A background thread runs an asyncio loop, which drives the client's own ``Machine`` and
keeps one poll waiting at each machine's actor. Nothing here knows about nodes' classes; what happens inside a
machine is in ``ray_machine.py``; how the machines' processes begin and end, in ``ray_lives.py``.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import shutil
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from labkit.runtime import ray_start, watchdog
from labkit.runtime.engine import CLIENT, Client, deferred_interrupt
from labkit.runtime.errors import (
    BlockingHandler,
    ClusterClosed,
    EngineUnavailable,
    LabError,
    MachinePaused,
)
from labkit.runtime.faults import DiskLoss, Fault, Kill, Pause, Restart, Resume, Slow, change_network
from labkit.runtime.loop import Future
from labkit.runtime.message import Failure, NodeSpec
from labkit.runtime.network import Network
from labkit.runtime.node import Node
from labkit.runtime.packing import pack, unpack
from labkit.runtime.ray_lines import Actor, as_coroutine
from labkit.runtime.ray_lives import START_WITHIN, RayLives
from labkit.runtime.ray_machine import RayMachine
from labkit.runtime.ray_process import MachineProcess
from labkit.runtime.real_loop import RealLoop
from labkit.runtime.surroundings import Surroundings
from labkit.trace.merge import MergedTrace

__all__ = ["RayEngine"]

#: Seconds for which the user waits until all machines have their new surroundings.
FOLLOW_WITHIN = 1.0
#: Seconds that a machine gets, when the cluster is closed, to tell its last events. It may be blocked.
LAST_WORDS_WITHIN = 1.0
#: Seconds in which the events are read of those that could not tell.
LAST_EVENTS_WITHIN = 30.0


class RayEngine(RayLives):
    """See the module's text. Options: ``cpus_per_machine``, the share of a CPU that Ray reserves for each (0:
    none)."""

    kind = "ray"

    def __init__(
        self,
        seed: int,
        network: Network,
        trace: MergedTrace,
        name: str,
        address: str | None,
        lost: Callable[[], Callable[[str], None] | None],
        cpus_per_machine: float = 0.0,
    ) -> None:
        self.seed = seed
        self.network = network
        self.trace = trace
        self.name = name
        self.address = address
        self.cpus_per_machine = cpus_per_machine
        self.directory: dict[str, str] = {}
        self.specs: dict[str, dict[str, NodeSpec]] = {}
        self.actors: dict[str, Actor] = {}
        self.incarnations: dict[str, int] = {}
        self.crashes: list[tuple[str, BaseException]] = []
        self.blocked: deque[tuple[float, str]] = deque()
        self.closed = False
        self.epoch = time.time()
        self.loop = RealLoop(self.epoch)
        self._surroundings = Surroundings.here()  #: as the machines know them
        self._news = self._told = 0.0
        self._reported = asyncio.Event()
        trace.before_reading = self._catch_up
        self._lost = lost
        self._ended: float | None = None  #: the cluster's time when it was closed
        self._processes = 0
        self._waiting: dict[threading.Event, Future] = {}  #: what the user's threads wait for
        self._closing = threading.Lock()
        self._striking = threading.RLock()
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="labkit-faults")
        self._aio: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._disks: Path | None = None
        self._ray: Any = None
        self._remote: Any = None  #: the actor's class, as Ray knows it
        self._hosts: list[str] = []  #: Ray's ids of the hosts there were at the beginning
        self._watched: Any = None

    # beginning and end
    # -----------------------------------------------------------------------------------------

    def start(self, machines: list[str]) -> None:
        """Attach to Ray or start one, then start the machines' processes, all at once."""
        self._ray = ray_start.attach(self.address)
        # Ray has just registered its own end; what is registered later runs sooner.
        atexit.register(self.close)
        try:
            self._disks = ray_start.temporary(self.name)
            self._remote = self._ray.remote(MachineProcess)
            self._hosts = [host["NodeID"] for host in self._ray.nodes() if host["Alive"]]
            self._begin_thread()
            share = f", or has no {self.cpus_per_machine:g} CPU free" if self.cpus_per_machine else ""
            starting = ray_start.saying_so(self._start(machines), f"this computer is busy{share}")
            self._await(starting, START_WITHIN)
        except BaseException as error:
            self.close()
            if isinstance(error, LabError) or not isinstance(error, Exception):
                raise
            why = f"{type(error).__name__}: {error}"
            if isinstance(error, TimeoutError):
                why = f"they are not there after {START_WITHIN:.0f} s"
            raise EngineUnavailable(
                f"Ray is there, but the machines' processes did not start: {why}. Is there memory for them "
                f"(about 90 MB each), and a share of {self.cpus_per_machine:g} CPU? "
                'Cluster(engine="sim") needs none.'
            ) from error

    def _begin_thread(self) -> None:
        ready = threading.Event()

        def serve() -> None:
            aio = asyncio.new_event_loop()
            asyncio.set_event_loop(aio)
            self._aio = aio
            self.loop.bind(aio)
            self._watched = watchdog.watch(self.loop, self._note_blocked)
            self._watched.thread = threading.get_ident()
            aio.call_soon(ready.set)
            aio.run_forever()
            aio.close()
            self.loop.shut()

        self._thread = threading.Thread(target=serve, name=f"labkit-client-{self.name}", daemon=True)
        self._thread.start()
        ready.wait()

    def _note_blocked(self, seconds: float, where: str) -> None:
        self.blocked.append((seconds, where))

    async def _start(self, machines: list[str]) -> None:
        assert self._disks is not None
        for name in machines:
            self.specs[name] = {}
            self._create(name)
        await asyncio.gather(*(self.actors[name].handle.ready.remote() for name in machines))
        self.epoch = self.loop.epoch = time.time()  # the cluster begins when its machines are there
        self.client_machine = RayMachine(
            CLIENT, self.loop, self.network, self.trace, self.directory, self.seed, self._disks
        )
        self.client_machine.crashes = self.crashes
        self.directory[CLIENT] = CLIENT
        self.client = self.client_machine.start_node(NodeSpec(CLIENT, Client, (), {}))
        self.loop.pump()
        await asyncio.gather(*(self._begin(name) for name in machines))

    def close(self) -> None:
        """End every process, the thread, and the disks. Ctrl-C waits: nobody closes what is half closed."""
        with self._closing:
            if self.closed:
                return
            self._ended = self.now
            self.closed = True
        with deferred_interrupt():
            self._end()

    def _end(self) -> None:
        atexit.unregister(self.close)
        self._worker.shutdown(wait=False, cancel_futures=True)
        if self._thread is not None and self._thread.is_alive():
            with contextlib.suppress(Exception):
                self._await(self._last_words(), LAST_WORDS_WITHIN + 1.0)
            with self._striking:
                living = [actor for actor in self.actors.values() if not actor.over]
                for actor in living:
                    self._kill_process(actor)
                for actor in living:
                    with contextlib.suppress(LabError):
                        self._wait_gone(actor)
                with contextlib.suppress(Exception):
                    self._await(self._all_last_events(living), LAST_EVENTS_WITHIN)
            assert self._aio is not None
            asyncio.run_coroutine_threadsafe(self._end_thread(), self._aio)
            if threading.current_thread() is not self._thread:
                self._thread.join(timeout=5)
        if self._watched is not None:
            watchdog.unwatch(self._watched)
        if self._disks is not None:
            shutil.rmtree(self._disks, ignore_errors=True)

    async def _last_words(self) -> None:
        """What the machines have not yet told: their polls return at once, with all of it."""
        speaking = [actor for actor in self._reachable() if not actor.stopped and actor.poller is not None]
        for actor in speaking:
            actor.handle.farewell.remote(forget_disk=actor.process is None)
        if speaking:
            await asyncio.wait(
                [actor.poller for actor in speaking if actor.poller], timeout=LAST_WORDS_WITHIN
            )

    async def _all_last_events(self, killed: list[Actor]) -> None:
        """Of the machines that could not tell: they were blocked, or stood still."""
        await asyncio.gather(*(self._last_events(actor.name, actor) for actor in killed))

    async def _end_thread(self) -> None:
        if CLIENT in self.directory:  # it is not if the machines did not start
            self.client_machine.die()
        for future in list(self._waiting.values()):
            future.set_error(ClusterClosed(f"the cluster {self.name!r} was closed while this was under way"))
        self.loop.refresh()
        self.loop.run(until=self.loop.now, budget=10_000)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        asyncio.get_running_loop().stop()

    def _follow_the_user(self) -> None:
        """Before the user's next act: the machines are where the user is. One that is busy hears of it when
        it has time, which is before it hears of what comes now."""
        here = Surroundings.here()
        if here != self._surroundings:
            self._surroundings = here
            with contextlib.suppress(TimeoutError):
                self._await(self._tell("surround", here), FOLLOW_WITHIN)

    # Engine
    # ----------------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Seconds since the cluster began; it stands still once the cluster is closed."""
        return self._ended if self._ended is not None else max(self.loop.now, self.loop.clock())

    def pid(self, machine: str) -> int | None:
        """The process of the machine's present life."""
        actor = self.actors.get(machine)
        return actor.pid if actor is not None and not actor.over else None

    def spawn(self, batches: dict[str, list[NodeSpec]]) -> None:
        """Start nodes; every machine knows their names first. On a paused machine they start when it goes
        on."""
        names = {spec.name: machine for machine, specs in batches.items() for spec in specs}
        packed = {machine: pack([tuple(spec) for spec in specs]) for machine, specs in batches.items()}

        def late(failure: Failure | None) -> None:
            if failure is not None:
                self.crashes.append((CLIENT, failure.to_exception()))

        self._follow_the_user()

        async def run() -> list[Failure | None]:
            self.directory.update(names)
            await self._tell("learn", names)
            actors = [self.actors[machine] for machine in packed]
            refs = [
                actor.handle.spawn.remote(*data) for actor, data in zip(actors, packed.values(), strict=True)
            ]
            failures = await asyncio.gather(*map(partial(self._answer, late=late), actors, refs))
            if any(failures):  # all of them, or none
                for name, machine in names.items():
                    self.actors[machine].handle.remove.remote(name)
                    self.directory.pop(name, None)
            return failures

        for failure in self._await_machines(batches, run()):
            if failure is not None:
                raise failure.to_exception()
        for machine, specs in batches.items():
            for spec in specs:
                self.specs[machine][spec.name] = spec

    def spawn_here(self, spec: NodeSpec) -> Node:
        """Start a node in this process, in the client's thread."""

        async def run() -> None:
            self.directory[spec.name] = CLIENT
            await self._tell("learn", {spec.name: CLIENT})

        self._await(run())
        self.specs.setdefault(CLIENT, {})[spec.name] = spec
        return self.do(lambda: self.client_machine.start_node(spec))  # type: ignore[no-any-return]

    def remove(self, machine: str, node: str) -> None:
        """Stop one node."""
        self.specs[machine].pop(node, None)
        if machine == CLIENT:
            self.do(lambda: self.client_machine.stop_node(node, "removed"))
            return

        async def run() -> None:
            actor = self.actors[machine]
            await self._answer(actor, actor.handle.remove.remote(node))

        self._await_machines([machine], run())

    def state(self, machine: str, node: str, attributes: tuple[str, ...]) -> dict[str, Any]:
        """Copies of attributes. Raises ``MachinePaused``: a process that stands still shows nothing."""
        actor = self.actors[machine]

        async def run() -> Any:
            return await self._answer(actor, actor.handle.state.remote(node, attributes))

        found = None if actor.stopped else self._await_machines([machine], run())
        if found is None:
            raise MachinePaused(
                f"{machine} is paused, so nothing can be read of {node}; first: cluster.resume({machine!r})"
            )
        if isinstance(found, Failure):
            raise found.to_exception()
        return unpack(found)  # type: ignore[no-any-return]

    def at(self, time: float, callback: Callable[[], None]) -> None:
        """A timer of the client's loop; the callback runs in a thread of its own, since a fault takes a
        while."""
        self.do(lambda: self.loop.call_at(time, lambda _: self._submit(callback)))

    def soon(self, callback: Callable[[], None]) -> None:
        """In the thread for faults."""
        self._submit(callback)

    def _submit(self, callback: Callable[[], None]) -> None:
        def run() -> None:
            try:
                callback()
            except Exception as error:
                if not self.closed:
                    self.crashes.append((CLIENT, error))

        with contextlib.suppress(RuntimeError):  # the engine was closed
            self._worker.submit(run)

    def do(self, action: Callable[[], Any]) -> Any:
        """In the client's thread."""
        if threading.current_thread() is self._thread:
            return action()
        self._follow_the_user()

        async def run() -> Any:
            self.loop.refresh()
            try:
                return action()
            finally:
                self.loop.pump()

        return self._await(run())

    def exclusively(self, action: Callable[[], Any]) -> Any:
        """One fault at a time, in the caller's thread. Ctrl-C waits until the fault is real and recorded:
        half a kill would be a machine of which nobody knows whether it lives."""
        with self._striking, deferred_interrupt() as interrupted:
            result = action()
        if interrupted():
            raise KeyboardInterrupt
        return result

    def wait(self, future: Future) -> None:
        """Until it is resolved."""
        if threading.current_thread() is self._thread:
            raise LabError(
                "a client program waits with await: use client.call(...) instead of cluster.call(...)"
            )
        over = threading.Event()

        def ask() -> None:
            self._waiting[over] = future
            future.add_done(lambda _: over.set())

        self.do(ask)
        try:
            while not over.wait(0.5) and not self.client_failed:
                self._warn_blocked()
        finally:
            self._waiting.pop(over, None)
        self._warn_blocked()

    def run(self, seconds: float) -> None:
        """Sleep."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.5))
            self._warn_blocked()

    def step(self, events: int) -> None:
        """Not for real processes."""
        raise LabError(
            'step is for virtual time: real processes cannot be stepped; use Cluster(engine="sim")'
        )

    def _warn_blocked(self) -> None:
        while self.blocked:
            try:
                seconds, where = self.blocked.popleft()
            except IndexError:  # another thread of the user's took it
                return
            warnings.warn(watchdog.blocking_text(seconds, where), BlockingHandler, stacklevel=5)

    def take_crashes(self) -> list[tuple[str, BaseException]]:
        """Hand them over."""
        taken = list(self.crashes)
        del self.crashes[: len(taken)]
        return taken

    # faults
    # ----------------------------------------------------------------------------------------------------

    def apply(self, fault: Fault) -> None:
        """Make it real."""
        match fault:
            case Kill(name):
                actor = self.actors[name]
                self._kill_process(actor)
                self._wait_gone(actor)
                self._await(self._last_events(name, actor))
                self.client_machine.peers.pop(name, None)
            case Restart(name):
                self._restart(name)
            case Pause(name):
                self._pause(self.actors[name])
            case Resume(name):
                self._resume(self.actors[name])
            case Slow(name):
                self._await_machines([name], as_coroutine(self.actors[name].handle.apply.remote(fault)))
            case DiskLoss(name):
                assert self._disks is not None
                shutil.rmtree(self._disks / name, ignore_errors=True)
            case _:
                change_network(self.network, fault)
                self._await(self._tell("apply", fault))

    def struck(self, fault: Fault) -> None:
        """After a kill is in the trace: that the process was seen to be gone."""
        if isinstance(fault, Kill):
            pid = self.actors[fault.machine].pid
            self.record(fault.machine, None, "machine_died", None, {"pid": pid, "reason": "killed"})
