"""What a user holds: GraphLab on a cluster, and the runs that are started on it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from labkit.parts.graphs.csr import Graph
from labkit.parts.jobs import Held
from labkit.parts.options import one_of, seconds
from labkit.parts.store import FileSystem
from labkit.parts.system import OnCluster, System
from labkit.runtime.again import Repeatable, arguments, call, changed
from labkit.runtime.cluster import Cluster
from labkit.runtime.copying import loads_keeping_classes
from labkit.runtime.errors import LabError, MachineDead, Unpicklable
from labkit.runtime.node import Node
from labkit.runtime.packing import dumps
from labkit.runtime.raised import named, short
from labkit.runtime.script import Made, options_of, variable
from labkit.trace.fold import History
from labkit.trace.words import many

from .atoms import colouring, cut_of, cut_up
from .invariants import Report, check_run
from .model import DataGraph, Program, Sync, data_of, parsed
from .nodes import ChromaticProcess, LockingProcess, Monitor
from .options import ASYNCHRONOUS, CHROMATIC, SYNCHRONOUS, RunCancelled, RunFailed, RunSpec, given
from .schedulers import SCHEDULERS
from .scopes import MODELS, Item
from .single import LocalRun, run_locally
from .view import RunReducer, RunState

__all__ = ["GraphLab", "Run"]

#: The roles by engine; a planted mistake has others.
ROLES = (Monitor, LockingProcess, ChromaticProcess)


class GraphLab(OnCluster, Repeatable):
    """GraphLab on a cluster, with a file system for atoms and snapshots."""

    def __init__(self, cluster: Cluster, fs: FileSystem, roles: Sequence[type[Node]] = ROLES) -> None:
        if not isinstance(cluster, Cluster) or not isinstance(fs, FileSystem):
            raise TypeError(f"GraphLab(cluster, fs), in this order; not ({cluster!r}, {fs!r})")
        if fs.cluster is not cluster:
            raise LabError(f"{fs!r} is not on {cluster!r}: make one with FileSystem(cluster)")
        self.cluster, self.fs, self.roles = cluster, fs, tuple(roles)

    def run(self, program: Program, graph: Graph | DataGraph, **options: Any) -> Run:
        """Start it and wait: ``start(...).result()``; Ctrl-C cancels it."""
        return self.start(program, graph, **options).result()

    def start(
        self, program: Program, graph: Graph | DataGraph, *, tasks: Iterable[Any] | None = None,
        sets: Sequence[tuple[Iterable[int], str]] = (), cut: Any = "hashed", **options: Any,
    ) -> Run:  # fmt: skip
        """Cut the graph into atoms, store them, and begin. tasks: the first T, vertices or (vertex,
        priority); all vertices unless given. sets: of ``scheduler="set"``: (vertices, a method of the
        program) each. cut: ``"hashed"``, ``"grown"``, or the atom of each vertex. options: see ``Options``.

        Raises ``ValueError``, ``TypeError``, ``Unpicklable``.
        """
        return Run(self, program, graph, tasks, sets, cut, **options)

    def run_locally(self, program: Program, graph: Graph | DataGraph, **options: Any) -> LocalRun:
        """The same on one thread, here (Algorithm 2)."""
        return run_locally(program, graph, **options)

    def _in_short(self) -> str:
        return f"GraphLab on {many(len(self.cluster.machines), 'machine')}"


def _first(tasks: Any, n: int, what: str = "tasks") -> dict[int, float] | None:
    if tasks is None:
        return None
    if not isinstance(tasks, Iterable):
        raise TypeError(f"{what}={short(tasks)}: write a list of vertices, as {what}=[0]")
    found = {}
    for task in tasks:
        v, priority = parsed(task)
        if not 0 <= v < n:
            raise ValueError(f"{what} has vertex {v!r}, and the graph has 0 to {n - 1}")
        found[v] = priority
    return found


def _planned(sets: Any, program: Program, n: int) -> tuple[tuple[tuple[int, ...], str], ...]:
    """The sets of ``scheduler="set"``, looked through."""
    found = []
    for each in sets:
        pair = isinstance(each, (tuple, list)) and len(each) == 2 and isinstance(each[1], str)
        if not pair or not isinstance(each[0], Iterable):
            raise TypeError(
                f"sets has {short(each)}: write (vertices, name of a method), as ([0, 1], 'update')"
            )
        if not callable(getattr(program, each[1], None)):
            raise ValueError(f"sets names {each[1]!r}, which {type(program).__name__} does not have")
        found.append((tuple(_first(each[0], n, "sets") or ()), each[1]))
    return tuple(found)


def _syncs(program: Program) -> None:
    """Refuse a table that is none."""
    syncs, of = program.syncs(), type(program).__name__
    if not isinstance(syncs, Mapping):
        raise TypeError(f"{of}.syncs() gives {short(syncs)}: write return {{'name': Sync(fold, merge)}}")
    for name, sync in syncs.items():
        if not isinstance(sync, Sync):
            raise TypeError(f"{of}.syncs() has {name!r}: {short(sync)}; write {name!r}: Sync(fold, merge)")
        seconds(write=1.0).or_none()("every", sync.every)


class Run(Held, System):
    """A run under way, or over."""

    panel_class = "GraphLabPanel"

    def __init__(
        self, lab: GraphLab, program: Program, graph: Graph | DataGraph, tasks: Iterable[Any] | None = None,
        sets: Sequence[tuple[Iterable[int], str]] = (), cut: Any = "hashed", **options: Any,
    ) -> None:  # fmt: skip
        cluster = lab.cluster
        self.cluster, self.lab, self.program = cluster, lab, program
        self.data = data_of(program, graph)
        _syncs(program)
        self._asked = cluster.now
        chosen = given(options)
        if (chosen.scheduler == "set") != bool(sets):
            raise ValueError("scheduler='set' and sets=[(vertices, 'update'), …] go together: give both")
        machines = tuple(machine.name for machine in cluster.machines if machine.alive)
        if not machines:
            raise MachineDead.of_all()
        taken = cluster.nodes
        names = (f"run{i}" for i in itertools.count(1))
        self.name = next(name for name in names if f"{name}-monitor" not in taken)
        data, n = self.data, self.data.graph.n
        atoms, index = cut_up(
            data, cut_of(data, cut, chosen.atoms * len(machines)), chosen.atoms * len(machines)
        )
        self.index = index
        self.spec = RunSpec(
            self.name, chosen, lab.fs.settings, self._pickled(program, type(program).__name__), n, machines,
            _planned(sets, program, n),
        )  # fmt: skip
        for atom in atoms:
            lab.fs.put(
                f"{self.spec.folder}/atom-{atom.number}", self._pickled(atom, "a value of the data graph")
            )
        home = cluster.machine(taken.get(lab.fs.settings.master, machines[0]))
        self._begun_at(home, self.spec.monitor, chosen.call_timeout)
        self._history = History(cluster.trace, RunReducer(self.name))
        monitor, *engines = lab.roles
        engine = engines[chosen.engine == CHROMATIC]
        with cluster.all_or_none():
            cluster.spawn(
                monitor, self.spec, index, self._colours(chosen.consistency), _first(tasks, n),
                name=self.spec.monitor, machine=self._home,
            )  # fmt: skip
            cluster.spawn_many(
                (engine, (self.spec, data.graph.directed), {}, self.spec.process(m), m) for m in machines
            )
        self._end: Any = None
        self._wait()

    def _pickled(self, value: Any, what: str) -> bytes:
        try:
            return dumps(value)
        except Exception as error:
            raise Unpicklable(
                f"{what} cannot be sent to the machines: {named(error)}. Neither its "
                "attributes nor what its functions use may be a lock, an open file or a cluster"
            ) from error

    def _colours(self, consistency: str) -> Any:
        if self.spec.options.engine != CHROMATIC or self.spec.options.scheduler == SYNCHRONOUS:
            return None
        return colouring(self.data, consistency)

    def _may_answer(self, dead: float) -> bool:
        """However long the monitor's machine is away."""
        return True

    # the run ------------------------------------------------------------

    def result(self, timeout: float | None = None) -> Run:
        """Wait for the end; returns the run. Raises ``RunFailed`` (``RunCancelled``), ``Timeout``. Ctrl-C
        cancels it. Killed machines are not waited for; the monitor's must come back."""
        try:
            self._end = self._answer(timeout)
        except KeyboardInterrupt:
            with suppress(LabError):
                self.cancel()
            raise
        kind, text = self._end[:2]
        if kind in ("failed", "cancelled"):
            error = RunFailed if kind == "failed" else RunCancelled
            raise error(f"{self.name}: {text or 'cancelled; values() has what it came to'}")
        return self

    @property
    def ended(self) -> str:
        """Why: empty, until, bound, cancelled or failed; "" while it runs."""
        if self._end is None and self.done:
            self._end = self._operation.result()
        return self._end[0] if self._end else ""

    def values(self) -> list[Any]:
        """D_v of all vertices, when it is over; ``data.graph.name(v)`` says whose. Raises ``LabError``."""
        items = self._items()
        return [items[v] for v in range(self.data.graph.n)]

    def edges(self) -> dict[tuple[int, int], Any]:
        """D_u→v of all edges that have data, when it is over. Raises ``LabError``."""
        items = self._items().items()
        return dict(sorted((item, value) for item, value in items if isinstance(item, tuple)))

    def _items(self) -> dict[Item, Any]:
        if self.ended in ("", "failed"):
            state = "failed" if self.ended else "not over"
            raise LabError(f"{self.name} is {state}: result() waits for its end; while it runs, ask a sync")
        _, _, folder, members = self._end
        found: dict[Item, Any] = {}
        for machine in members:
            records, _ = loads_keeping_classes(self.lab.fs.cat(f"{folder}/{machine}"))
            found |= {item: value for item, (value, _) in records.items()}
        return found

    # while it runs ------------------------------------------------------------

    @property
    def consistency(self) -> str:
        """full, edge or vertex. Set it, also while it runs."""
        return self.view().consistency or self.spec.options.consistency

    @consistency.setter
    def consistency(self, consistency: str) -> None:
        consistency = one_of(MODELS)("consistency", consistency)
        self._changeable("consistency", consistency)
        self.cluster.call(self.spec.monitor, "change", consistency, self._colours(consistency))

    @property
    def scheduler(self) -> str:
        """See ``schedulers.py``. Set it, also while it runs on the locking engine; T stays."""
        return self.view().scheduler or str(self.spec.options.scheduler)

    @scheduler.setter
    def scheduler(self, scheduler: str) -> None:
        fixed = self.spec.options.engine == CHROMATIC or self.spec.options.scheduler == "set"
        if fixed:
            what = "a plan" if self.spec.options.scheduler == "set" else "the chromatic engine"
            raise LabError(f"{what} has its own order; start a run with engine='locking', scheduler='fifo'")
        chosen = one_of(tuple(each for each in SCHEDULERS if each != "set"))("scheduler", scheduler)
        self._changeable("scheduler", chosen)
        self.cluster.call(self.spec.monitor, "reorder", chosen)

    def _changeable(self, name: str, value: str) -> None:
        if self.done:
            raise LabError(f"{self.name} is over: start another run with {name}={value!r}")

    def snapshot(self, mode: str | None = None, timeout: float = 60.0) -> tuple[int, int]:
        """Take one, ``"asynchronous"`` or ``"synchronous"``, and wait until it is complete; its epoch and
        number. Raises ``LabError``, ``Timeout``."""
        mode = one_of((ASYNCHRONOUS, SYNCHRONOUS)).or_none()("mode", mode) or str(self.spec.options.snapshot)
        found: tuple[int, int] = self.cluster.call(self.spec.monitor, "snapshot", mode, timeout=timeout)
        return found

    def sync(self, name: str, timeout: float = 60.0) -> Any:
        """Compute an entry of the shared data table now, and return it."""
        return self.cluster.call(self.spec.monitor, "sync", name, timeout=timeout)

    @property
    def table(self) -> Mapping[str, Any]:
        """The shared data table."""
        found: Mapping[str, Any] = self.cluster.call(self.spec.monitor, "contents")
        return found

    # what every system has ------------------------------------------------------------

    def view(self, position: float | None = None) -> RunState:
        """What the trace tells of it, now or at a position in seconds."""
        state: RunState = self._history.read(position)
        return state

    def check(self) -> Report:
        """The invariants, and whether the run was serializable, judged on the trace."""
        return check_run(self.cluster, self.name)

    def made(self) -> Made:
        """File system and GraphLab as code, and how the run is begun."""
        told, name = arguments(self), variable(self, "run")
        options = changed(self.spec.options)
        options |= {each: told[each] for each in ("tasks", "sets") if told.get(each)}
        then = (
            "from labkit.systems.graphlab import GraphLab",
            "lab_again = GraphLab(again, fs_again)",
            f"again.run(max(0.0, {self._asked!r} - again.now))",
            f"run_again = {call('lab_again.start', options, f'{name}.program', f'{name}.data')}",
        )
        lacks = f"program and graph; {name} is the run in this notebook"
        changes = self.cluster.trace.filter(kind="consistency_changed")
        notes = tuple(
            f"At {event.time:.3f} s the consistency was changed to {event.data['consistency']}."
            for event in changes
            if event.data["run"] == self.name
        )
        fs = options_of(self.lab.fs)
        return Made("labkit.parts.store", "fs_again", "FileSystem", fs, lacks, notes, then)

    def reset(self) -> None:
        """The same run once more, on the same cluster begun anew."""
        lab = self.lab
        lab.fs.reset()
        lab.__init__(*lab._made[0], **lab._made[1])  # type: ignore[misc]
        self.__init__(*self._made[0], **self._made[1])  # type: ignore[misc]

    def _in_short(self) -> str:
        view = self.view()
        state = view.result or "under way"
        return (
            f"GraphLab run {self.name}: {state}, {view.updates:,} updates of {self.data.graph.n:,} vertices"
        )
