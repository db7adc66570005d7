"""The cluster: the one object a user holds. Machines to run nodes on, calls into them, faults, time, and the
trace.

::

    with Cluster(machines=4) as cluster:                 # four real processes; engine="sim", seed=7 replays
        name = cluster.spawn(Chatterbox, machine="m1")
        cluster.call(name, "greet", "Ada")
        cluster.kill("m1")

Every method may be called from any thread, in particular from a widget's callback while a cell is busy.
Ctrl-C, or the notebook's stop button, cancels the call that is under way and leaves the cluster usable.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from labkit.runtime.again import Repeatable, arguments
from labkit.runtime.cluster_calls import Calls
from labkit.runtime.cluster_faults import Faults
from labkit.runtime.engine import CLIENT
from labkit.runtime.errors import (
    ClusterClosed,
    LabError,
    MachineDead,
    NameTaken,
    NodeCrashed,
    Timeout,
    UnknownNode,
)
from labkit.runtime.faults import (
    Fault,
    Schedule,
)
from labkit.runtime.handles import MachineHandle, Operation, find
from labkit.runtime.injector import Injector
from labkit.runtime.message import NodeSpec
from labkit.runtime.network import Network
from labkit.runtime.node import Node
from labkit.runtime.open_clusters import (
    by_name,
    clusters,
    defaults,
    machine_names,
    make_engine,
    numbers,
    opened,
)
from labkit.runtime.playing import FRAME
from labkit.runtime.raised import named
from labkit.trace.trace import DEFAULT_LIMIT, Trace
from labkit.trace.words import many

__all__ = ["Cluster", "MachineHandle", "Operation", "clusters", "defaults"]


class Cluster(Calls, Faults, Repeatable):
    """Machines, and what one can do with them.

    machines: how many (they are called m1, m2, …), or their names.
    engine: ``"ray"``: a process each, real time. ``"sim"``: one process, virtual time, deterministic. Unless
        given, the notebook's ``%engine``, else the variable ``LABKIT_ENGINE``, else ``"ray"``.
    seed: of every random stream in it; unless given, the notebook's ``%seed``, else 0.
    network: latency, bandwidth, loss; see ``Network``.
    trace: ``"off"``, ``"domain"`` (what nodes emit, faults, timeouts) or ``"messages"`` (each message too);
        ``trace_limit`` events are kept.
    schedule: faults to come.
    name: a cluster of the same name is closed first. On Ray every cluster has a name, ``"lab"`` unless given.
    address: of a running Ray; by default ``RAY_ADDRESS``, else the Ray this process is connected to, else a
        new small one.
    pace: simulator only: play virtual time at this many seconds per real second.
    """

    def __init__(
        self,
        machines: int | Iterable[str] = 4,
        engine: str | None = None,
        *,
        seed: int | None = None,
        network: Network | None = None,
        trace: str = "domain",
        trace_limit: int = DEFAULT_LIMIT,
        schedule: Schedule | Iterable[tuple[Any, Fault]] | None = None,
        name: str | None = None,
        address: str | None = None,
        pace: float | None = None,
        **engine_options: Any,
    ) -> None:
        names = machine_names(machines)
        engine = defaults.engine if engine is None else engine
        seed = defaults.seed if seed is None else seed
        if not isinstance(seed, int):
            raise ValueError(f"seed is a whole number, not {seed!r}")
        self.name = name or ("lab" if engine == "ray" else "sim")
        self.seed = seed
        self.closed = False
        self.run_number = next(numbers)  #: of this process; another one after ``reset``
        self._closing = threading.Lock()
        self._spans = itertools.count(1)  #: whose next() is one step for any thread
        self._thread = threading.local()
        self._names: dict[str, int] = {}
        self._numbers: dict[str, int] = {}  #: the next number to try for a class
        if engine == "ray" or name is not None:
            older = by_name.get(self.name)
            if older is not None:
                older._close("replaced by a newer cluster of the same name")
        own = replace(network, blocked=set(network.blocked)) if network is not None else Network()
        self._engine = make_engine(
            engine, seed, own, (trace, trace_limit), self.name, weakref.WeakMethod(self._machine_lost),
            address, engine_options,
        )  # fmt: skip
        self._handles = {machine: MachineHandle(self, machine) for machine in names}
        self._injector = Injector(self._engine, self._handles)
        self._engine.trace.meta.update(engine=self._engine.kind, seed=seed, machines=names, name=self.name)
        planned = schedule if isinstance(schedule, Schedule) else Schedule(list(schedule or ()))
        self._injector.check(planned)
        self._engine.start(names)
        if engine == "ray" or name is not None:
            by_name[self.name] = self
        opened.add(self)
        self._finalizer = weakref.finalize(
            self, self._engine.close
        )  # for a cluster that is forgotten, not closed
        try:
            if planned:
                self.play(planned)
            if pace is not None:
                self.pace = pace
        except BaseException:
            self.close()
            raise

    # what there is ------------------------------------------------------------

    @property
    def engine(self) -> str:
        """``"sim"`` or ``"ray"``."""
        return self._engine.kind

    @property
    def machines(self) -> list[MachineHandle]:
        """All machines, dead ones too."""
        return list(self._handles.values())

    def machine(self, name: str | MachineHandle) -> MachineHandle:
        """The machine of this name; raises ``UnknownMachine``."""
        return find(self._handles, name)

    @property
    def nodes(self) -> dict[str, str]:
        """Every node that was started and not removed, and its machine."""
        return {
            name: m
            for name, m in list(self._engine.directory.items())
            if name != CLIENT and name in self._names
        }

    @property
    def schedule(self) -> Schedule:
        """Every fault injected so far, with its time."""
        return self._injector.schedule

    @property
    def trace(self) -> Trace:
        """What happened so far."""
        return self._engine.trace

    @property
    def now(self) -> float:
        """Seconds since the cluster began."""
        return self._engine.now

    def __repr__(self) -> str:
        if self.closed:
            return f"<cluster {self.name!r}: closed>"
        dead = sum(not machine.alive for machine in self.machines)
        return (
            f"<cluster {self.name!r}: {many(len(self.machines), 'machine')} ({dead} dead) on {self.engine}, "
            f"{many(len(self.nodes), 'node')}, {self.now:.2f} s>"
        )

    # nodes ------------------------------------------------------------

    def spawn(
        self,
        cls: type[Node],
        *args: Any,
        name: str | None = None,
        machine: str | MachineHandle | None = None,
        **kwargs: Any,
    ) -> str:
        """Start a node of this class and return its name, by which others call it.

        ``machine`` defaults to the living machine with the fewest nodes. Raises ``NameTaken``,
        ``MachineDead``, ``UnknownMachine``.
        """
        return self.spawn_many([(cls, args, kwargs, name, machine)])[0]

    def spawn_here(self, cls: type[Node], *args: Any, name: str | None = None) -> Any:
        """Start a node in your own process, beside your program, and return the node itself.

        For the part of a system that lives with the user's program, such as Spark's driver. Its arguments
        are not copied, other nodes call it by its name, no machine's fault strikes it, and ``remove`` ends
        it.
        """
        self._check_open()
        self._engine.turn(waits=True)
        name = name or self._fresh_name(cls)
        if name in self._names or name == CLIENT:
            raise NameTaken(f"a node {name!r} exists already; give another name, or remove it first")
        self._names[name] = 1
        try:
            return self._engine.spawn_here(NodeSpec(name, cls, args, {}))
        except BaseException:
            self._names.pop(name, None)
            raise

    def spawn_many(self, nodes: Iterable[tuple[Any, ...]]) -> list[str]:
        """Start many nodes at once: (class, args, kwargs, name or None, machine or None) each; returns
        their names."""
        self._check_open()
        self._engine.turn(waits=True)
        batches: dict[str, list[NodeSpec]] = {}
        load = {machine.name: 0 for machine in self.machines if machine.alive}
        for home in self._names_to_machines():
            if home in load:
                load[home] += 1
        names: list[str] = []
        try:
            for cls, args, kwargs, name, machine in nodes:
                if not (isinstance(cls, type) and issubclass(cls, Node)):
                    raise TypeError(
                        f"spawn takes a subclass of Node, not {cls!r}; write cluster.spawn(MyNode, argument)"
                    )
                if machine is None:
                    if not load:
                        raise MachineDead.of_all()
                    home = min(load, key=load.__getitem__)
                else:
                    home = self.machine(machine).name
                    self._check_alive(home)
                load[home] = load.get(home, 0) + 1
                name = name or self._fresh_name(cls)
                if name in self._names or name == CLIENT:
                    raise NameTaken(f"a node {name!r} exists already; give another name, or remove it first")
                self._names[name] = 1
                names.append(name)
                batches.setdefault(home, []).append(NodeSpec(name, cls, tuple(args), dict(kwargs)))
            self._engine.spawn(batches)
        except BaseException:
            for name in names:
                self._names.pop(name, None)
            raise
        return names

    @contextmanager
    def all_or_none(self) -> Iterator[None]:
        """If the block fails, the nodes that it has started are removed again, so that it can be tried anew.

        For the start of a system that consists of several kinds of nodes.
        """
        before = set(self._names)
        try:
            yield
        except BaseException:
            for name in [name for name in self._names if name not in before]:
                with suppress(LabError):  # the cluster was closed, or a machine has died meanwhile
                    self.remove(name)
            raise

    def _names_to_machines(self) -> Iterator[str]:
        directory = self._engine.directory
        for name in self._names:
            if name in directory:
                yield directory[name]

    def _fresh_name(self, cls: type[Node]) -> str:
        base = cls.__name__.lower()
        number = self._numbers.get(base, 0)
        while f"{base}-{number}" in self._names:
            number += 1
        self._numbers[base] = number + 1
        return f"{base}-{number}"

    def remove(self, node: str) -> None:
        """Stop one node for good, at once, telling nobody: to its peers it has crashed. No other gets its
        name unless you give it."""
        self._check_open()
        self._engine.turn(waits=True)
        home = self._home(node)
        if home == CLIENT or self._handles[home].alive:
            self._engine.remove(home, node)
        else:
            self._engine.forget(home, node)
        self._names.pop(node)

    def state(self, node: str, *attributes: str) -> dict[str, Any]:
        """Copies of a node's attributes, for looking and checking; nodes themselves only exchange
        messages."""
        self._check_open()
        self._engine.turn(waits=True)
        home = self._home(node)
        self._check_alive(home)
        return self._engine.state(home, node, attributes)

    def peek(self, node: str) -> Any:
        """The live node object. Simulator only; look, do not touch."""
        self._check_open()
        if self.engine != "sim":
            raise LabError(
                f"the node {node} lives in another process; read its attributes: cluster.state({node!r}, ...)"
            )
        home = self._home(node)
        self._check_alive(home)
        return self._engine.peek(home, node)  # type: ignore[attr-defined]

    def _home(self, node: str) -> str:
        if node not in self._names:
            known = list(self._names)
            raise UnknownNode(
                f"there is no node {node!r}; the nodes are: {', '.join(known[:8]) or 'none yet'}"
                + (f" and {len(known) - 8} more" if len(known) > 8 else "")
            )
        return self._engine.directory[node]

    # time ------------------------------------------------------------

    def run(self, seconds: float) -> None:
        """Let this much time pass: virtual in the simulator, real on Ray."""
        self._check_open()
        self._check_seconds(seconds)
        self._engine.run(seconds)
        self._raise_crash()

    async def arun(self, seconds: float) -> None:
        """As ``run``, at wall speed (the simulator: at ``pace``, or 1), and the notebook goes on meanwhile:
        ``await cluster.arun(10)``. In a browser's tab, which has one thread, panels move and clicks act while
        a cell awaits; elsewhere during any cell."""
        self._check_open()
        self._check_seconds(seconds)
        until, last = self.now + seconds, time.monotonic()
        while self.now < until and not self.closed:
            await asyncio.sleep(FRAME)
            now = time.monotonic()
            if self.engine == "sim" and self.pace is None and not self.closed:
                self.run(min(now - last, until - self.now))
            last = now
        self._check_open()
        self._raise_crash()

    @staticmethod
    def _check_seconds(seconds: float) -> None:
        if not (isinstance(seconds, (int, float)) and 0 <= seconds < float("inf")):
            raise ValueError(f"seconds is a finite number >= 0, not {seconds!r}")

    def run_until(
        self, predicate: Callable[[], bool], timeout: float = 60.0, every: float = 0.05, what: str = ""
    ) -> None:
        """Let time pass until ``predicate()``, looked at ``every`` seconds; raises ``Timeout`` after
        ``timeout`` seconds. ``what``: the condition in words, for that error."""
        deadline = self.now + timeout
        while not predicate():
            if self.now >= deadline:
                raise Timeout(f"after {timeout:g} s it is still not so that {what or _in_words(predicate)}")
            self.run(min(every, max(deadline - self.now, 1e-9)))

    def step(self, events: int = 1) -> None:
        """Simulator: let things happen until this many more events are in the trace."""
        self._check_open()
        self._engine.step(events)
        self._raise_crash()

    @property
    def pace(self) -> float | None:
        """Simulator: virtual seconds per real second while it plays by itself; None: time passes only on
        demand."""
        return getattr(self._engine, "pace", None)

    @pace.setter
    def pace(self, pace: float | None) -> None:
        self._check_open()
        self._need_sim("pace")
        self._engine.pace = pace  # type: ignore[attr-defined]

    @property
    def paused(self) -> bool:
        """Simulator: whether the playing stands still."""
        return getattr(self._engine, "paused", False)

    @paused.setter
    def paused(self, paused: bool) -> None:
        self._need_sim("paused")
        self._engine.paused = paused  # type: ignore[attr-defined]

    def _need_sim(self, what: str) -> None:
        if self.engine != "sim":
            raise LabError(
                f"{what} is for virtual time: real processes run at their own speed; use "
                'Cluster(engine="sim")'
            )

    def _machine_lost(self, name: str) -> None:
        """The engine saw a machine die that nobody killed."""
        handle = self._handles.get(name)
        if handle is not None:
            handle.state = "dead"

    # crashes, closing ------------------------------------------------------------

    def _raise_crash(self) -> None:
        """An exception that nobody awaited reaches the user here."""
        crashes = self._engine.take_crashes()
        if crashes:
            node, error = crashes[0]
            others = f" ({len(crashes) - 1} more crashes are in the trace)" if len(crashes) > 1 else ""
            story = self.trace.story(node, last=12)
            raise NodeCrashed(
                f"{node} failed, and nobody awaited it: {named(error)}{others}\n"
                f"What it did last (engine={self.engine!r}, seed={self.seed}):\n{story}",
                node,
                story,
            ) from error

    def _check_open(self) -> None:
        if self.closed:
            raise ClusterClosed(
                f"the cluster {self.name!r} is closed ({self._closed_because}); make a new "
                "one with Cluster(...), and what runs on it"
            )

    _closed_because = "close() was called"

    def close(self) -> None:
        """Release every process and thread. The trace stays readable."""
        self._close("close() was called")

    def _close(self, because: str) -> None:
        with self._closing:
            if self.closed:
                return
            self._closed_because = because
            self.closed = True
        self._engine.close()
        opened.discard(self)
        if by_name.get(self.name) is self:
            del by_name[self.name]
        for node, error in self._engine.take_crashes():
            warnings.warn(f"{node} failed, and nobody awaited it: {named(error)}", stacklevel=3)

    def reset(self) -> None:
        """Close it and begin the same cluster anew in its place, with its options, seed and planned faults;
        nothing is on it, and its trace is empty. A system does this for itself: ``ring.reset()``.
        """
        given = arguments(self) | {"engine": self.engine, "seed": self.seed}
        self._close("it was reset")
        self._finalizer.detach()
        self.__init__(**given)  # type: ignore[misc]

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # a person watching ------------------------------------------------------------

    def panel(self, **options: Any) -> Any:
        """Machines, messages and faults to look at and click (needs a notebook)."""
        from labkit_widgets.panels.cluster import ClusterPanel

        return ClusterPanel(self, **options)


def _in_words(predicate: Callable[[], bool]) -> str:
    name = getattr(predicate, "__name__", repr(predicate))
    if name == "<lambda>":
        return 'the condition holds; name it: run_until(..., what="worker-1 has finished")'
    return f"{name}() is true"
