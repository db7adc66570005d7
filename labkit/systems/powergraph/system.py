"""PowerGraph as its user holds it: a graph on a cluster's machines, and a vertex program on it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from labkit.parts.graphs import Graph, only_graph
from labkit.parts.graphs.cuts import VERTEX_CUTS
from labkit.parts.jobs import Held
from labkit.parts.options import one_of, switch
from labkit.parts.store import FileSystem
from labkit.parts.system import System
from labkit.runtime.again import arguments
from labkit.runtime.cluster import Cluster
from labkit.runtime.copying import loads_keeping_classes
from labkit.runtime.errors import LabError, MachineDead, Unpicklable
from labkit.runtime.node import Node
from labkit.runtime.packing import dumps
from labkit.runtime.raised import named, short
from labkit.runtime.script import Made, variable
from labkit.trace.fold import History

from .ingress import pieces
from .invariants import Report, check
from .model import NBRS, BatchProgram, VertexProgram
from .nodes import Coordinator, GraphMachine
from .options import ENGINES, SYNCHRONOUS, ProgramFailed, Spec, given
from .view import Reducer, State

__all__ = ["PowerGraph"]

#: Vertices up to which each one's runs are logged, unless it is said otherwise.
LOGGED = 1000


class PowerGraph(Held, System):
    """A graph cut over the machines, and a program that runs on it.

    cluster: on every living machine of it there is a part. graph: a ``Graph``. program: a ``VertexProgram``.
    fs: the file system for the edges and the snapshots; one of its own unless given. coordinator: its
    machine; the first. options: see ``Options``. roles: other classes for the nodes.

    It is loaded when this returns; ``run`` begins the program. At first every vertex is active.
    """

    panel_class = "PowerGraphPanel"

    def __init__(
        self, cluster: Cluster, graph: Graph, program: VertexProgram, fs: FileSystem | None = None, *,
        coordinator: str | None = None,
        roles: tuple[type[Coordinator], type[GraphMachine]] = (Coordinator, GraphMachine), **options: Any,
    ) -> None:  # fmt: skip
        _check(cluster, graph, program, fs)
        chosen = given(options)
        log = graph.n <= LOGGED if chosen.log is None else chosen.log
        able = isinstance(program, BatchProgram)
        batch = able and not log and chosen.engine == SYNCHRONOUS if chosen.batch is None else chosen.batch
        if batch and not able:
            raise TypeError(f"batch=True: {type(program).__name__} is no BatchProgram: write batch=False")
        if batch and chosen.engine != SYNCHRONOUS:
            raise ValueError(
                f"batch=True with engine={chosen.engine!r}: arrays run on the synchronous engine"
            )
        machines = tuple(machine.name for machine in cluster.machines if machine.alive)
        if not machines:
            raise MachineDead.of_all()
        try:
            packed = dumps(program.bound(graph))
        except Exception as error:
            if isinstance(error, (KeyError, ValueError)):
                raise
            raise Unpicklable(
                f"{type(program).__name__} cannot be sent to the machines: {named(error)}"
            ) from error
        self.cluster, self.graph, self.program = cluster, graph, program
        taken = cluster.nodes
        self.name = next(
            name
            for i in itertools.count(1)
            if (name := f"powergraph-{i}") and f"{name}-coordinator" not in taken
        )
        self.fs = fs or FileSystem(cluster, name=f"{self.name}-files", block_size=4_000_000)
        inputs = tuple(f"{self.name}/edges-{k}" for k in range(len(machines)))
        contents = pieces(graph, len(machines), program.self_edges)
        self.fs.put("", dict(zip(inputs, contents, strict=True)))
        self.edges = graph.m if program.self_edges else int(np.sum(graph.sources() != graph.targets))
        self.spec = Spec(
            self.name, chosen, self.fs.settings, graph.n, self.edges, inputs, packed, machines, batch, log
        )
        home = cluster.machine(coordinator or machines[0])
        self._begun_at(home, self.spec.coordinator, chosen.call_timeout)
        self._requests = itertools.count(1)
        with cluster.all_or_none():
            cluster.spawn(roles[0], self.spec, name=self.spec.coordinator, machine=self._home)
            cluster.spawn_many((roles[1], (self.spec,), {}, self.spec.member(m), m) for m in machines)
        self._history = History(cluster.trace, Reducer(self.name))
        self._operation: Any = None
        self._values: Any = None
        self._wait_for("loaded")

    # running ------------------------------------------------------------

    def run(self, timeout: float | None = None) -> PowerGraph:
        """Begin the program, and wait until no vertex is active; returns this. See ``result``."""
        return self.start().result(timeout)

    def start(self) -> PowerGraph:
        """Begin the program; returns this at once."""
        if self._operation is None:
            self._asked = self.cluster.now
            self._order("go", None)
            self._wait()
        return self

    def result(self, timeout: float | None = None) -> PowerGraph:
        """Wait for the end; returns this. timeout: seconds. Raises ``ProgramFailed``, ``Timeout`` (it goes
        on, as it does after Ctrl-C, unless that strikes within a computation), and ``MachineDead`` if the
        coordinator's machine stays dead."""
        if self._operation is None:
            raise LabError(f"{self.name} was not begun: write run(), or start()")
        error, files = self._answer(timeout)
        if error is not None:
            raise ProgramFailed(f"{self.name}: {error}")
        if self._values is None:
            self._values = [loads_keeping_classes(self.fs.cat(path)) for path in files]
        return self

    def _may_answer(self, dead: float) -> bool:
        """The coordinator goes on from its disk; but it is not waited for without end."""
        return dead <= self.fs.settings.give_up_after

    async def _lost(self, client: Node) -> Any:
        raise MachineDead(
            f"{self.name}: the coordinator's machine has been dead for {self.fs.settings.give_up_after:g} s; "
            f"cluster.restart({self._home.name!r}), and ask again"
        ) from None

    def values(self) -> dict[Any, Any]:
        """Each vertex's value by its name: the result, or how it is now. Raises ``ProgramFailed``."""
        found: dict[Any, Any] = {}
        for part in self._parts():
            values = self._results(part)
            names = map(self.graph.name, part["gid"].tolist())
            found.update(zip(names, values.tolist() if self.spec.batch else values, strict=True))
        return dict(sorted(found.items(), key=lambda pair: self.graph.index(pair[0])))

    def array(self) -> Any:
        """The values as an array (n), in the order of the graph's vertices; of objects, if they are not
        all numbers or all texts."""
        parts = self._parts()
        if self.spec.batch:
            result = np.empty(self.graph.n, np.asarray(self._results(parts[0])).dtype)
            for part in parts:
                result[part["gid"]] = self._results(part)
            return result
        result = np.empty(self.graph.n, object)
        for part in parts:
            for gid, value in zip(part["gid"].tolist(), self._results(part), strict=True):
                result[gid] = value
        values = result.tolist()
        for kind in ((int, float, np.number, bool), (str,)):
            if all(isinstance(value, kind) for value in values):
                return np.asarray(values)
        return result

    def _results(self, part: dict[str, Any]) -> Any:
        if not self.spec.batch:
            return [self.program.result(D) for D in part["D"]]
        rows = self.program.initial_batch(part["gid"][:0], part["gid"][:0], part["gid"][:0], 0)  # type: ignore[attr-defined]
        return self.program.result(type(rows)(*part["D"]))

    def _parts(self) -> list[dict[str, Any]]:
        """Of all machines: of the result, or as they are now."""
        cluster = self.cluster  # also what is known here is asked of this run only
        if self.done:
            self.result()
            return list(self._values)
        members = self.state().members
        parts = [cluster.call(member, "values", timeout=60.0) for member in members]
        if not members or None in [part and 1 for part in parts]:
            raise LabError(f"{self.name} is loading the graph anew: ask again when it has, or call result()")
        return parts

    # changing it while it runs ------------------------------------------------------------

    def set_engine(self, engine: str) -> None:
        """synchronous, asynchronous or serializable from the next quiet moment on."""
        one_of(ENGINES)("engine", engine)
        if self.spec.batch and engine != SYNCHRONOUS:
            raise ValueError(
                f"engine={engine!r}: arrays run on the synchronous engine; make it with batch=False"
            )
        self._order("engine", engine)

    def set_delta_caching(self, on: bool) -> None:
        """Keep accumulators from now on, or no more (§4.2)."""
        self._order("delta_caching", switch("delta_caching", on))

    def set_cut(self, cut: str) -> None:
        """Cut the graph anew: a snapshot, and all machines load from it."""
        self._order("cut", one_of(tuple(VERTEX_CUTS))("cut", cut))

    def snapshot(self, wait: bool = True) -> int:
        """Write a snapshot (§4.4) at the next quiet moment; returns its number, when it is whole unless
        ``wait`` is False."""
        number = self._order("snapshot", None)
        if wait:
            self._wait_for(f"snapshot {number}")
        return number

    def _order(self, what: str, value: Any) -> int:
        cluster = self.cluster
        if self.done:
            raise LabError(f"{self.name} is over, and takes no more orders ({what}): make another PowerGraph")
        request = f"{what}-{next(self._requests)}"
        return int(cluster.submit(lambda client: self._ask(client, "order", what, value, request)).result())

    def state(self) -> Any:
        """What the coordinator says: epoch, members, whether they have loaded, what is chosen, the last
        snapshot, whether all is over."""
        return self.cluster.submit(lambda client: self._ask(client, "where")).result()

    def _wait_for(self, what: str) -> None:
        async def waits(client: Node) -> None:
            while True:
                state = await self._ask(client, "where")
                there = state.loaded if what == "loaded" else state.snapshot >= int(what.split()[1])
                if there or (state.over and what == "loaded"):
                    return
                if state.over:
                    raise LabError(f"{self.name} is over, without {what}: values() has the result")
                await client.sleep(0.02)

        self.cluster.submit(waits).result()

    # looking at it ------------------------------------------------------------

    def view(self, position: float | None = None) -> State:
        """What the trace tells of it, now or at a position in seconds."""
        state: State = self._history.read(position)
        return state

    def check(self) -> Report:
        """The invariants, judged on the trace."""
        return check(self.cluster, self.name, self.graph, self.program)

    def made(self) -> Made:
        """How it was made, as code."""
        options = {k: v for k, v in arguments(self).items() if k not in ("cluster", "graph", "program", "fs")}
        name, program = variable(self, "pg"), type(self.program).__name__
        lacks = f"the graph and the program of {name}: it is the PowerGraph in this notebook ({program})"
        extra = "".join(f", {key}={value!r}" for key, value in options.items() if key != "roles")
        then = [f"pg_again = PowerGraph(again, {name}.graph, {name}.program{extra})"]
        if self._operation is not None:
            then += [f"again.run(max(0.0, {self._asked!r} - again.now))", "pg_again = pg_again.start()"]
        return Made("labkit.systems.powergraph", "pg_again", "", {}, lacks, (), tuple(then))

    def _in_short(self) -> str:
        view = self.view()
        state = view.result or ("under way" if self._operation is not None else "loaded")
        return f"PowerGraph {self.name}: {type(self.program).__name__} on {self.graph!r}, {state}"


def _check(cluster: Any, graph: Any, program: Any, fs: Any) -> None:
    if not isinstance(cluster, Cluster):
        raise TypeError(f"cluster={short(cluster)}: write PowerGraph(cluster, graph, program), in this order")
    if fs is not None and not isinstance(fs, FileSystem):
        raise TypeError(f"fs={short(fs)}: write fs=FileSystem(cluster), or leave it out")
    if fs is not None and fs.cluster is not cluster:
        raise LabError(f"{fs!r} is not on {cluster!r}: make one with FileSystem(cluster)")
    only_graph(graph)
    if not isinstance(program, VertexProgram):
        raise TypeError(
            f"program={program!r:.80}: write an object of a subclass of VertexProgram: PageRank()"
        )
    for which in ("gather_nbrs", "scatter_nbrs"):
        if getattr(program, which) not in NBRS:
            raise ValueError(
                f"{type(program).__name__}.{which}={getattr(program, which)!r}: write one of {NBRS}"
            )
