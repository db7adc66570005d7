"""The simulator: every machine in one process, on one loop, in virtual time.

Program, seed and faults determine every event. Time jumps from one event to the next, so an hour of a quiet
system takes milliseconds; with ``pace`` it is played at wall speed by a background thread, for people to
watch.

Only one thread at a time runs the loop. It does so in slices, and between two slices it lets in whoever else
waits: a click on *kill* takes effect in the middle of ``cluster.run(3600)``.

**Replay.** The recorded schedule of faults, given to the same program, makes the same run, down to the
trace's digest. So a click must not strike *between* events of the same time, where no time could say when it
was. It is planned for a moment of its own, and the loop is run up to that moment (``strike``): just as in the
replay, where the moment is known from the beginning.

* The moment is a ``TICK`` after the present, later by one more for everything the user did at the present; or
  the present itself, if it was reached by ``run(seconds)`` and nothing has happened at it. What else then
  happens at it, because of the fault, happens before the user's next act: in the replay it is a part of the
  run.
* A fault is the first of all events of its time, whenever it was planned (``Loop.call_first``).
* Before the user's next act whatever is planned up to that act's own tick strikes (``turn``). When it was
  recorded it did, too: the ticks tell a fault before an act from one after it, though no time has passed.
"""

from __future__ import annotations

import math
import threading
import time
import warnings
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from labkit.runtime import watchdog
from labkit.runtime.collecting import rare_collections
from labkit.runtime.copying import copy_value, seed_of_life
from labkit.runtime.disk import MemoryFiles, MemoryStore
from labkit.runtime.engine import CLIENT, Client, deferred_interrupt
from labkit.runtime.errors import BlockingHandler, ClusterClosed, Deadlock, LabError
from labkit.runtime.fair_lock import FairLock
from labkit.runtime.faults import DiskLoss, Fault, Kill, Pause, Restart, Resume, Slow, change_network
from labkit.runtime.loop import Future, Loop
from labkit.runtime.message import NodeSpec
from labkit.runtime.network import Network, Uniform
from labkit.runtime.node import Node
from labkit.runtime.playing import SLICE, Playing
from labkit.runtime.raised import Ending, as_exception
from labkit.runtime.sim_machine import SimMachine
from labkit.runtime.timers import INFINITY
from labkit.trace.trace import Trace

__all__ = ["SimEngine"]

#: One way, between machines, unless the user's network says otherwise: hosts of one data centre.
DEFAULT_LATENCY = Uniform(0.0005, 0.0015)

#: Seconds by which a fault that the user asks for comes later than the present.
TICK = 1e-9

#: Callbacks in the first slice, for who knows how long they take; and always fewer than ``SLICE`` if those
#: take longer than this.
FIRST_SLICE = 16
SLICE_SECONDS = 0.02


#: Real seconds after Ctrl-C until it strikes in the middle of a handler.
STOPS_WITHIN = 1.0


class SimEngine(Playing):
    """All machines on one loop. See the module's text."""

    kind = "sim"

    def __init__(
        self, seed: int, network: Network, trace: Trace, lost: Callable[[], Callable[[str], None] | None]
    ) -> None:
        super().__init__()
        self.seed = seed
        self._lost = lost  #: whom to tell of a machine that died by itself
        self.network = network
        self.trace = trace
        self.loop = Loop()
        self.directory: dict[str, str] = {}
        self.machines: dict[str, SimMachine] = {}
        self.stores: dict[str, MemoryStore] = {}
        self.files: dict[str, MemoryFiles] = {}
        self.specs: dict[str, dict[str, NodeSpec]] = {}
        self.incarnations: dict[str, int] = {}
        self.crashes: list[tuple[str, BaseException]] = []
        self.closed = False
        self._planned: list[
            tuple[float, int, Future]
        ] = []  #: faults to come, as a heap; resolved when they have struck
        self._plans = 0
        self._acts = 0  #: what the user has done at the time ``_acted_at``
        self._acted_at = 0.0
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

    def _boot(self, name: str, cause: int | None = None) -> SimMachine:
        incarnation = self.incarnations[name] = self.incarnations.get(name, 0) + 1
        seed = seed_of_life(self.seed, incarnation)
        machine = SimMachine(name, self.loop, self.network, self.trace, self.directory, seed)
        machine.engine = self
        machine.peers = self.machines
        machine.crashes = self.crashes
        before = self.machines.get(name)
        if before is not None:  # an answer to a call of its former life must not meet a call of this one
            machine._next_id = before._next_id
        self.machines[name] = machine
        self.specs.setdefault(name, {})
        if self.trace.on and name != CLIENT:
            self.loop.span, self.loop.cause = None, cause
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
        """Start nodes; all of them, or none."""
        with self._exclusive():
            self.turn()
            for machine, specs in batches.items():
                for spec in specs:
                    self.directory[spec.name] = machine
                    self.specs[machine][spec.name] = spec
            try:
                for machine, specs in batches.items():
                    for spec in specs:
                        self._start(self.machines[machine], spec)
            except BaseException as error:
                for machine, specs in batches.items():
                    for spec in specs:
                        self._stop(machine, spec.name, "not started: another node of the same call failed")
                        del self.directory[spec.name]
                if isinstance(error, Ending):
                    raise
                raise as_exception(error) from error.__cause__

    def spawn_here(self, spec: NodeSpec) -> Node:
        """Start a node on the client's machine."""
        with self._exclusive():
            self.turn()
            self.directory[spec.name] = CLIENT
            self.specs[CLIENT][spec.name] = spec
            return self.client_machine.start_node(spec)

    def _start(self, machine: SimMachine, spec: NodeSpec, cause: int | None = None) -> None:
        own = spec._replace(args=copy_value(spec.args), kwargs=copy_value(spec.kwargs))  # as on Ray
        machine.start_node(own, cause)

    def exited(self, machine: SimMachine, error: SystemExit) -> None:
        """A machine has ended by itself."""
        machine.die()
        if (lost := self._lost()) is not None:
            lost(machine.name)
        if self.trace.on:
            machine.record(None, "machine_died", {"pid": None, "reason": f"sys.exit({error.code!r})"})

    def remove(self, machine: str, node: str) -> None:
        """Stop one node."""
        with self._exclusive():
            self.turn()
            self._stop(machine, node, "removed")

    def _stop(self, machine: str, node: str, reason: str) -> None:
        self.specs[machine].pop(node, None)
        if node in self.machines[machine].nodes:
            self.machines[machine].stop_node(node, reason)

    def state(self, machine: str, node: str, attributes: tuple[str, ...]) -> dict[str, Any]:
        """Copies of attributes."""
        with self._exclusive():
            live = self.machines[machine].nodes[node]
            return {name: copy_value(getattr(live, name)) for name in attributes}

    def peek(self, machine: str, node: str) -> Any:
        """The live node itself."""
        return self.machines[machine].nodes[node]

    # faults ------------------------------------------------------------

    def apply(self, fault: Fault) -> None:
        """Make it so."""
        with self._exclusive(inside_is_fine=True):
            match fault:
                case Kill(name):
                    self.machines[name].die()
                case Restart(name):
                    machine = self._boot(name, cause=self.trace._seq if self.trace.on else None)
                    started = self.loop.cause  # "restarted" led to this, and this to what the nodes do
                    for spec in list(self.specs[name].values()):
                        self._start(machine, spec, started)
                    self.loop.cause = None
                case Pause(name):
                    self.machines[name].pause()
                case Resume(name):
                    self.machines[name].resume()
                case Slow(name, factor):
                    self.machines[name].factor = float(factor)
                case DiskLoss(name):
                    for node in self.specs[name]:
                        self.files.pop(node, None)
                        if node in self.stores:
                            self.stores[node].destroy()
                case _:
                    change_network(self.network, fault)

    # time ------------------------------------------------------------

    def at(self, time: float, callback: Callable[[], None]) -> None:
        """Plan it; for the next moment if that time is over."""
        with self._exclusive(inside_is_fine=True):
            begun = self.loop.steps > 0
            self._plan(time if time > self.now or not begun else self._next_moment(), callback)

    def soon(self, callback: Callable[[], None]) -> None:
        """Plan it for the next moment."""
        with self._exclusive(inside_is_fine=True):
            self._plan(self._next_moment(), callback)

    def strike(self, action: Callable[[], Any], check: Callable[[], Any]) -> None:
        """See the module's text.

        Inside of the loop (a watcher, a client program) it is part of the program, and happens at once.
        """
        failed: list[Exception] = []

        def act() -> None:
            try:
                action()
            except Ending:
                raise
            except BaseException as error:  # of a node that starts again
                failed.append(as_exception(error))

        with self._exclusive(inside_is_fine=True):
            if self.loop.busy:
                action()
                return
            self._catch_up()
            check()  # before any time passes, since what is refused is not recorded
            moment = self._next_moment()
            struck = self._plan(moment, act)
        self._drive_to(moment, struck)
        if failed:
            raise failed[0]

    def _next_moment(self) -> float:
        loop = self.loop
        acts = self._acts if self._acted_at == loop.now else 0
        if loop.quiet and not loop.busy and not acts:
            return loop.now
        return self._ticks(acts + 1)

    def _ticks(self, count: int) -> float:
        return max(self.loop.now + count * TICK, math.nextafter(self.loop.now, INFINITY))

    def _plan(self, time: float, callback: Callable[[], None]) -> Future:
        struck = Future(self.loop)
        self._plans = number = self._plans + 1
        heappush(self._planned, (time, number, struck))

        def strike(_: None) -> None:
            heappop(self._planned)  # this one: the loop calls them in the same order
            struck.set_result(None)
            callback()

        self.loop.call_first(time, strike)
        return struck

    def turn(self, waits: bool = False) -> None:
        """The user's next act: what was planned for before it strikes."""
        with self._exclusive(inside_is_fine=not waits):
            if not self.loop.busy:
                self._catch_up()
                self._acts += 1

    def _catch_up(self) -> None:
        """Up to the tick that the next act would have."""
        while True:
            if self._acted_at != self.loop.now:
                self._acted_at, self._acts = self.loop.now, 0
            if not self._planned or self._planned[0][0] > self._ticks(self._acts + 1):
                return
            moment, _, struck = self._planned[0]
            if moment == 0.0 and not self.loop.steps:  # what is planned for the beginning waits for it
                return
            self._drive_to(moment, struck)

    def _drive_to(self, moment: float, struck: Future) -> None:
        """Up to a fault, and no further. If ``run`` has reached its moment, all that the fault sets free at
        it belongs to that run, as in the replay."""
        self._drive(until=moment, stop=struck if moment > self.loop.now else None)

    def do(self, action: Callable[[], Any]) -> Any:
        """With the loop at rest."""
        with self._exclusive(inside_is_fine=True):
            self.turn()
            return action()

    def exclusively(self, action: Callable[[], Any]) -> Any:
        """With the loop at rest."""
        with self._exclusive(inside_is_fine=True):
            return action()

    def record(
        self, machine: str, node: str | None, kind: str, span: int | None, data: dict[str, Any]
    ) -> int:
        """One event of the client's."""
        with self._exclusive(inside_is_fine=True):
            self.turn()
            if not self.trace.on:
                return 0
            return self.trace.record(self.loop.now, machine, node, kind, span, None, data)

    def wait(self, future: Future) -> None:
        """Run the loop until it is resolved, or let the player do so."""
        if self._playing:
            self._wait_for(lambda: future.done or self.client_failed)
            if future.done or self.client_failed:
                return
        self._drive(stop=future)
        if not future.done and not self.client_failed:
            raise Deadlock(
                f"at {self.now:.3f} s nothing is left to happen, and the operation still "
                "waits: some message was lost and "
                "the call has timeout=None, or nobody will ever set the event, put into the "
                "queue, or release the lock"
            )

    def give_up(self, span: int | None) -> None:
        """What is on its way in its name finds that out by ``Node.given_up``."""
        if span is not None:
            self.loop.given_up.add(span)
        self._played.end()

    def run(self, seconds: float) -> None:
        """Let virtual time pass."""
        with self._exclusive():
            self.turn()  # an act, though no time may pass: a fault after ``run(0)`` is not one before it
            until = self.loop.now + seconds
        if self._playing:
            self._wait_for(lambda: self.loop.now >= until)
        if self.loop.now < until or not seconds:
            self._drive(until=until)

    def step(self, events: int) -> None:
        """Until this many more events are in the trace, or nothing is left to happen; without a trace,
        callbacks count."""
        trace = self.trace
        with self._exclusive():
            self.turn()

        def count() -> int:
            return trace.count if trace.on else self.loop.steps

        goal = count() + events
        self._drive(enough=lambda: count() >= goal)

    def _drive(
        self, until: float = INFINITY, stop: Future | None = None, enough: Callable[[], bool] | None = None
    ) -> None:
        """Run the loop until a time, a future, or (looked at after each callback) a condition."""
        size = FIRST_SLICE if enough is None else 1
        with (
            self._exclusive(),
            deferred_interrupt(lambda: self.loop.computing, STOPS_WITHIN) as interrupted,
            rare_collections(),
        ):
            self.loop.interrupted = None  # of a run that has ended in another way
            while enough is None or not enough():
                if self.closed:
                    raise ClusterClosed("the cluster was closed while this was under way")
                self._watched.thread = threading.get_ident()
                begun = time.monotonic()
                left = self.loop.run(until, stop, size)
                if enough is None:
                    size = _next_size(size, time.monotonic() - begun)
                if self._blocked is not None:
                    self._warn_blocked()
                if interrupted():
                    raise KeyboardInterrupt
                if left > 0 or (stop is not None and (stop.done or self.client_failed)):
                    return
                self._lock.let_others_in()

    def _exclusive(self, inside_is_fine: bool = False) -> FairLock:
        if self.loop.busy and not inside_is_fine and self._watched.thread == threading.get_ident():
            raise LabError(
                "a handler called the cluster that runs it; inside a node or a client "
                "program use self.call(...), "
                "self.sleep(...), and client.call(...)"
            )
        return self._lock

    # what goes wrong ------------------------------------------------------------

    def _note_blocked(self, seconds: float, where: str) -> None:
        self._blocked = (seconds, where)

    def _warn_blocked(self) -> None:
        assert self._blocked is not None
        (seconds, where), self._blocked = self._blocked, None
        warnings.warn(watchdog.blocking_text(seconds, where), BlockingHandler, stacklevel=5)

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
        watchdog.unwatch(self._watched)
        self.stop_playing()
        with self._lock:
            if not self.loop.busy:
                for machine in self.machines.values():
                    machine.die()
                self.loop._heap.clear()
                self.loop._ready.clear()


def _next_size(size: int, seconds: float) -> int:
    """How many callbacks to run at once, when the last ``size`` took so long: Ctrl-C is not to wait."""
    fitting = int(size * SLICE_SECONDS / max(seconds, 1e-9))
    return max(1, min(2 * size, SLICE, fitting))
