"""The simulator: every machine in one process, on one loop, in virtual time.

Program, seed and faults determine every event. Time jumps from one event to the next, so an hour of a quiet system takes
milliseconds; with ``pace`` it is played at wall speed by a background thread, for people to watch.

Only one thread at a time runs the loop. It does so in slices, and between two slices it lets in whoever else waits: a click on *kill*
takes effect in the middle of ``cluster.run(3600)``.
"""

from __future__ import annotations

import gc
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from heapq import heappush
from typing import Any

from labkit.runtime import watchdog
from labkit.runtime.copying import copy_value
from labkit.runtime.disk import DiskStore, MemoryStore
from labkit.runtime.engine import CLIENT, Client, Engine, deferred_interrupt
from labkit.runtime.errors import BlockingHandler, Deadlock, LabError
from labkit.runtime.faults import DiskLoss, Fault, Kill, Pause, Restart, Resume, Slow, change_network
from labkit.runtime.loop import INFINITY, Future, Loop
from labkit.runtime.machine import Machine, Message, NodeSpec
from labkit.runtime.network import LOCAL_LATENCY, Network, Uniform
from labkit.runtime.trace import Trace

__all__ = ["SimEngine", "SimMachine"]

#: One way, between machines, unless the user's network says otherwise: hosts of one data centre.
DEFAULT_LATENCY = Uniform(0.0005, 0.0015)

#: Callbacks between two looks at who else wants in: about 10 ms.
SLICE = 2000


class FairLock:
    """A re-entrant lock whose holder can let in those who wait."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._count = threading.Lock()
        self._waiting = 0

    def __enter__(self) -> None:
        if self._lock.acquire(blocking=False):
            return
        with self._count:
            self._waiting += 1
        try:
            self._lock.acquire()
        finally:
            with self._count:
                self._waiting -= 1

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def let_others_in(self) -> None:
        """Give way to everybody who waits now. Call it with the lock held once."""
        if self._waiting:
            self._lock.release()
            try:
                deadline = time.monotonic() + 0.05
                while self._waiting and time.monotonic() < deadline:
                    time.sleep(0.0002)
            finally:
                self._lock.acquire()


class SimMachine(Machine):
    """A machine of the simulator: sending means putting the delivery into the loop's heap."""

    engine: SimEngine
    peers: dict[str, SimMachine]  #: all machines by name; a restart replaces the object

    def route(self, message: Message) -> None:
        """Through the simulated network, or to a neighbour on the same machine."""
        loop = self.loop
        source, target_name = message.source_machine, message.target_machine
        target = self.peers[target_name]
        if source == target_name:
            when = loop.now + LOCAL_LATENCY
        else:
            network = self.network
            if network.drops:
                reason = network.drop_reason(source, target_name, self.network_random)
                if reason is not None:
                    self.dropped(message, reason)
                    return
            if network.plain:
                when = loop.now + network.sample(self.network_random)
            else:
                when = network.arrival(source, target_name, loop.now, message.payload, self.network_random)
            if network.duplicate and self.network_random.random() < network.duplicate:
                again = network.arrival(source, target_name, loop.now, message.payload, self.network_random)
                loop.call_at(again, target.deliver, message)
        loop._sequence = sequence = loop._sequence + 1
        heappush(loop._heap, (when, sequence, target.deliver, message))

    def store(self, node: str) -> DiskStore:
        """Kept by the engine, so that it survives the machine."""
        return self.engine.stores.setdefault(node, MemoryStore())


class SimEngine(Engine):
    """All machines on one loop. See the module's text."""

    kind = "sim"

    def __init__(self, seed: int, network: Network, trace: Trace) -> None:
        self.seed = seed
        self.network = network
        self.trace = trace
        self.loop = Loop()
        self.directory: dict[str, str] = {}
        self.machines: dict[str, SimMachine] = {}
        self.stores: dict[str, MemoryStore] = {}
        self.specs: dict[str, dict[str, NodeSpec]] = {}
        self.incarnations: dict[str, int] = {}
        self.crashes: list[tuple[str, BaseException]] = []
        self.closed = False
        self._pace: float | None = None
        self._paused = False
        self._player: threading.Thread | None = None
        self._lock = FairLock()
        self._blocked: tuple[float, str] | None = None
        self._watched = watchdog.watch(self.loop, self._note_blocked)
        network.use_default_latency(DEFAULT_LATENCY)

    def start(self, machines: list[str]) -> None:
        """Make the machines and the client."""
        for name in [CLIENT, *machines]:
            self._boot(name)
        self.client_machine = self.machines[CLIENT]
        self.directory[CLIENT] = CLIENT
        self.client = self.client_machine.start_node(NodeSpec(CLIENT, Client, (), {}))

    def _boot(self, name: str) -> SimMachine:
        incarnation = self.incarnations[name] = self.incarnations.get(name, 0) + 1
        seed = self.seed if incarnation == 1 else hash_seed(self.seed, incarnation)
        machine = SimMachine(name, self.loop, self.network, self.trace, self.directory, seed)
        machine.engine = self
        machine.peers = self.machines
        machine.crashes = self.crashes
        self.machines[name] = machine
        self.specs.setdefault(name, {})
        if self.trace.on and name != CLIENT:
            machine.record(None, "machine_started", {"pid": None, "incarnation": incarnation})
        return machine

    @property
    def now(self) -> float:
        """Virtual seconds."""
        return self.loop.now

    def pid(self, machine: str) -> int | None:
        """None: its machines are objects."""
        return None

    def spawn(self, batches: dict[str, list[NodeSpec]]) -> None:
        """Start nodes."""
        with self._exclusive():
            for machine, specs in batches.items():
                for spec in specs:
                    self.directory[spec.name] = machine
                    self.specs[machine][spec.name] = spec
            for machine, specs in batches.items():
                for spec in specs:  # as on Ray: the arguments are a copy
                    own = spec._replace(args=copy_value(spec.args), kwargs=copy_value(spec.kwargs))
                    self.machines[machine].start_node(own)

    def remove(self, machine: str, node: str) -> None:
        """Stop one node."""
        with self._exclusive():
            self.specs[machine].pop(node, None)
            if node in self.machines[machine].nodes:
                self.machines[machine].stop_node(node, "removed")

    def state(self, machine: str, node: str, attributes: tuple[str, ...]) -> dict[str, Any]:
        """Copies of attributes."""
        with self._exclusive():
            live = self.machines[machine].nodes[node]
            return {name: copy_value(getattr(live, name)) for name in attributes}

    def peek(self, machine: str, node: str) -> Any:
        """The live node itself."""
        return self.machines[machine].nodes[node]

    # faults ----------------------------------------------------------------------------------------------------

    def apply(self, fault: Fault) -> None:
        """Make it so."""
        with self._exclusive(inside_is_fine=True):
            match fault:
                case Kill(name):
                    self.machines[name].die()
                case Restart(name):
                    machine = self._boot(name)
                    for spec in self.specs[name].values():
                        machine.start_node(spec._replace(args=copy_value(spec.args), kwargs=copy_value(spec.kwargs)))
                case Pause(name):
                    self.machines[name].pause()
                case Resume(name):
                    self.machines[name].resume()
                case Slow(name, factor):
                    self.machines[name].factor = float(factor)
                case DiskLoss(name):
                    for node in self.specs[name]:
                        if node in self.stores:
                            self.stores[node].destroy()
                case _:
                    change_network(self.network, fault)

    # time ------------------------------------------------------------------------------------------------------

    def at(self, time: float, callback: Callable[[], None]) -> None:
        """Put it into the heap."""
        with self._exclusive(inside_is_fine=True):
            self.loop.call_at(max(time, self.loop.now), lambda _: callback())

    def soon(self, callback: Callable[[], None]) -> None:
        """Into the ready queue."""
        self.loop.call_soon(lambda _: callback())

    def do(self, action: Callable[[], Any]) -> Any:
        """With the loop at rest."""
        with self._exclusive(inside_is_fine=True):
            return action()

    def exclusively(self, action: Callable[[], Any]) -> Any:
        """With the loop at rest."""
        return self.do(action)

    def record(self, machine: str, node: str | None, kind: str, span: int | None, data: dict[str, Any]) -> int:
        """One event of the client's."""
        with self._exclusive(inside_is_fine=True):
            if not self.trace.on:
                return 0
            return self.trace.record(self.loop.now, machine, node, kind, span, None, data)

    def wait(self, future: Future) -> None:
        """Run the loop until it is resolved, or let the player do so."""
        if self._playing:
            self._wait_for(lambda: future.done)
            if future.done:
                return
        self._drive(stop=future)
        if not future.done:
            raise Deadlock(
                f"at {self.now:.3f} s nothing is left to happen, and the operation still waits: some message was lost and "
                "the call has timeout=None, or nobody will ever set the event, put into the queue, or release the lock"
            )

    def run(self, seconds: float) -> None:
        """Let virtual time pass."""
        until = self.loop.now + seconds
        if self._playing:
            self._wait_for(lambda: self.loop.now >= until)
        if self.loop.now < until:
            self._drive(until=until)

    def step(self, events: int) -> None:
        """Until this many more events are in the trace, or nothing is left to happen."""
        with self._exclusive():
            goal = self.trace.count + events
            while self.trace.count < goal and self.loop.run(budget=1) == 0:
                pass

    def _drive(self, until: float = INFINITY, stop: Future | None = None) -> None:
        with self._exclusive(), deferred_interrupt() as interrupted, rare_collections():
            self._watched.thread = threading.get_ident()
            while True:
                left = self.loop.run(until, stop, SLICE)
                if self._blocked is not None:
                    self._warn_blocked()
                if interrupted():
                    raise KeyboardInterrupt
                if left > 0 or (stop is not None and stop.done) or self.closed:
                    return
                self._lock.let_others_in()

    def _exclusive(self, inside_is_fine: bool = False) -> FairLock:
        if self.loop.busy and not inside_is_fine and self._watched.thread == threading.get_ident():
            raise LabError(
                "a handler called the cluster that runs it; inside a node or a client program use self.call(...), "
                "self.sleep(...), and client.call(...)"
            )
        return self._lock

    # playing at wall speed -------------------------------------------------------------------------------------

    @property
    def pace(self) -> float | None:
        """Virtual seconds per real second while a background thread plays; None: time passes only on demand."""
        return self._pace

    @pace.setter
    def pace(self, pace: float | None) -> None:
        if pace is not None and not (isinstance(pace, (int, float)) and pace > 0):
            raise ValueError(f"pace is virtual seconds per real second, > 0, or None to stop playing, not {pace!r}")
        self._pace = pace
        if pace is not None and (self._player is None or not self._player.is_alive()):
            self._player = threading.Thread(
                target=_play, args=(weakref.ref(self),), name="labkit-player", daemon=True
            )
            self._player.start()

    @property
    def paused(self) -> bool:
        """Whether the player stands still."""
        return self._paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        self._paused = bool(paused)

    @property
    def _playing(self) -> bool:
        return self._pace is not None and not self.closed

    def _wait_for(self, over: Callable[[], bool]) -> None:
        while self._playing and not over():
            time.sleep(0.003)
            if self._blocked is not None:
                self._warn_blocked()

    def _play_slice(self, seconds: float) -> None:
        with self._lock:
            if self._paused or self._pace is None or self.closed:
                return
            self._watched.thread = threading.get_ident()
            until = self.loop.now + seconds * self._pace
            begun = time.monotonic()
            while self.loop.run(until, None, SLICE) == 0 and time.monotonic() - begun < 0.1:
                self._lock.let_others_in()

    # what goes wrong -------------------------------------------------------------------------------------------

    def _note_blocked(self, seconds: float, where: str) -> None:
        self._blocked = (seconds, where)

    def _warn_blocked(self) -> None:
        assert self._blocked is not None
        (seconds, where), self._blocked = self._blocked, None
        warnings.warn(blocking_text(seconds, where), BlockingHandler, stacklevel=5)

    def take_crashes(self) -> list[tuple[str, BaseException]]:
        """Hand them over."""
        taken = list(self.crashes)
        del self.crashes[: len(taken)]
        return taken

    def close(self) -> None:
        """Stop the player and let go of the machines."""
        if self.closed:
            return
        self.closed = True
        self._pace = None
        watchdog.unwatch(self._watched)
        if self._player is not None and self._player is not threading.current_thread():
            self._player.join(timeout=5)
        with self._lock:
            if not self.loop.busy:
                for machine in self.machines.values():
                    machine.die()
                self.loop._heap.clear()
                self.loop._ready.clear()


#: Objects between two garbage collections while the simulator runs. Python's 700 has it walk over every waiting task and
#: traced event again and again, which halves the speed of a run with ten thousand calls under way.
COLLECT_EVERY = 400_000


@contextmanager
def rare_collections() -> Iterator[None]:
    """Collect garbage less often inside the block, unless the user has set it to be rarer, or off."""
    before = gc.get_threshold()
    if 0 < before[0] < COLLECT_EVERY:
        gc.set_threshold(COLLECT_EVERY, before[1], before[2])
    try:
        yield
    finally:
        gc.set_threshold(*before)


#: Real seconds between two slices of the player.
FRAME = 0.02


def _play(engine_of: weakref.ref[SimEngine]) -> None:
    """The player's thread; it ends with the engine."""
    last = time.monotonic()
    while True:
        time.sleep(FRAME)
        engine = engine_of()
        if engine is None or not engine._playing:
            return
        now = time.monotonic()
        try:
            engine._play_slice(min(now - last, 0.25))
        except Exception as error:  # a watcher's or a schedule's: the user hears of it as of a crash
            engine.crashes.append((CLIENT, error))
        last = now
        del engine


def hash_seed(seed: int, incarnation: int) -> int:
    """The seed of a restarted machine: other draws than in its first life."""
    from labkit.runtime.copying import stable_hash

    return stable_hash(seed, "incarnation", incarnation)


def blocking_text(seconds: float, where: str) -> str:
    """What a student reads."""
    return (
        f"a handler has kept its machine busy for {seconds:.1f} s, in {where}: meanwhile no other node on that machine can answer, "
        "and its peers will take it for dead. Write: result = await self.compute(function, *args)"
    )
