"""The programming model of the parameter server (Li et al., OSDI 2014): vectors that many workers share.

::

    ps = ParameterServer(cluster, servers=2, workers=4, replicas=1, consistency=SSP(3))
    w = ps.vector("w", size=650)

    async def train(worker):
        for t in worker.rounds():
            weights = await worker.pull(w)
            await worker.push(w, None, -0.1 * gradient(weights, worker.shard))
            await worker.clock()

    ps.run(train, iterations=50, data=shards)
    ps.consistency = Async()                       # also while it runs

What the user is promised: a pull in iteration ``t`` sees what the consistency model says
(``consistency.py``); an acknowledged push is applied once and only once, and survives the death of
``replicas`` servers; the death of a worker does not end the run.
"""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from labkit.parts.checks import whole
from labkit.parts.system import System
from labkit.progress import Progress
from labkit.runtime.again import literal
from labkit.runtime.cluster import Cluster, Operation
from labkit.runtime.errors import LabError, MachineDead
from labkit.runtime.node import Node
from labkit.runtime.script import Made, options_of
from labkit.runtime.sync import gather
from labkit.trace.words import many

from .checkpoints import read_checkpoint, write_checkpoint
from .consistency import BSP, Consistency
from .filters import Filter
from .handles import Namespace, Pending, Vector
from .manager import Manager
from .options import KEYS, NAME, RULES, UPDATE, Options, check_run
from .ring import WHOLE, View
from .scheduler import Scheduler
from .server import Server
from .store import Contents
from .trace_checks import Report, check_trace
from .updates import Sum, Update
from .vectors import SPARSE_SIZE, VectorSpec
from .worker import Worker

__all__ = ["ParameterServer"]

#: Seconds that the nodes may take to find one another.
READY_WITHIN = 60.0


class ParameterServer(System):
    """Servers, workers, and the vectors they share, on a cluster.

    servers, workers: how many. Servers run on the first machines, workers on those that follow.
    replicas: copies of each range beside the master's.
    consistency: ``BSP()``, ``SSP(s)``, ``Async()`` or ``Bounded(tau)``; may be set again at any time.
    virtual_servers: points of the ring for each server.
    timeout: seconds of silence after which a server or a worker is taken for dead.
    on_worker_death: "reassign" its shard to another, or "ignore" it.
    name: put before the nodes' names, for a second parameter server on one cluster.
    """

    panel_class = "StalenessPanel"

    def __init__(
        self,
        cluster: Cluster,
        servers: int = 2,
        workers: int = 4,
        replicas: int = 1,
        consistency: Consistency | None = None,
        *,
        virtual_servers: int = 8,
        timeout: float = 2.0,
        on_worker_death: str = "reassign",
        name: str = "",
        read_at: str = "tail",
    ) -> None:
        machines = [machine.name for machine in cluster.machines if machine.alive]
        chosen = Options.of(
            len(machines),
            cluster.nodes,
            {
                "servers": servers,
                "workers": workers,
                "replicas": replicas,
                "virtual_servers": virtual_servers,
                "timeout": timeout,
                "on_worker_death": on_worker_death,
                "consistency": BSP() if consistency is None else consistency,
                "name": name,
                "read_at": read_at,
            },
        )
        servers, workers = chosen.servers, chosen.workers
        self.cluster = cluster
        self.prefix = chosen.prefix
        self.settings = chosen.settings
        self._vectors: dict[str, Vector] = {}
        self._started = {"server": 0, "worker": 0}
        self._told_of = 0  #: how many lost ranges its user knows of
        with cluster.all_or_none():
            first = [f"{self.prefix}server-{number}" for number in range(servers)]
            self.manager: Manager = cluster.spawn_here(
                Manager, self.settings, tuple(first), name=self.settings.manager
            )
            self.scheduler: Scheduler = cluster.spawn_here(
                Scheduler, self.settings, chosen.consistency, on_worker_death, name=self.settings.scheduler
            )
            homes = [machines[number % len(machines)] for number in range(servers + workers)]
            names = [self._next("server") for _ in range(servers)] + [
                self._next("worker") for _ in range(workers)
            ]
            kinds: list[type[Node]] = [Server] * servers + [Worker] * workers
            cluster.spawn_many(
                (kind, (self.settings,), {}, node, home)
                for kind, node, home in zip(kinds, names, homes, strict=True)
            )
            cluster.call(self.settings.manager, "ready", timeout=READY_WITHIN)
            cluster.run_until(
                lambda: len(self.scheduler.workers) >= workers, READY_WITHIN,
                what=f"the scheduler has heard of all {workers} workers",
            )  # fmt: skip
        self.shards = workers  #: of a run that is given no data
        cluster.trace.meta.update(
            system="ParameterServer", servers=servers, workers=workers, replicas=chosen.replicas
        )

    def _next(self, kind: str) -> str:
        number = self._started[kind]
        self._started[kind] += 1
        return f"{self.prefix}{kind}-{number}"

    # vectors ------------------------------------------------------------

    def vector(
        self,
        name: str,
        size: int | None = None,
        *,
        sparse: bool | None = None,
        update: Update | None = None,
        filters: Sequence[Filter] = (),
        finite: bool = True,
    ) -> Vector:
        """A vector of this name; made if there is none.

        size: keys are 0 … size-1. sparse: keep only what is pushed (default: if no size is given).
        update: the servers' user-defined function; ``Sum()`` by default. filters: see ``filters.py``.
        finite: refuse pushes, and results of ``update``, with NaN or infinity in them.
        """
        NAME("name", name, of="vector")
        sparse = size is None if sparse is None else sparse
        if name in self._vectors and size is None:
            return self._vectors[name]
        if not sparse and size is None:
            raise ValueError(
                f"vector({name!r}): a dense vector needs its size; write size=1000, or sparse=True"
            )
        size = KEYS("size", size, of=f"vector({name!r}, ") or SPARSE_SIZE
        update = UPDATE("update", Sum() if update is None else update, of=f"vector({name!r}, ")
        spec = VectorSpec(name, size, sparse, update, tuple(filters), finite)
        if name in self._vectors:
            if self._vectors[name].spec != spec:
                raise ValueError(f"there is another vector {name!r} already: {self._vectors[name]!r}")
            return self._vectors[name]
        self.cluster.call(self.settings.manager, "define", spec, timeout=READY_WITHIN)
        self._vectors[name] = Vector(self, spec)
        return self._vectors[name]

    def namespace(self, name: str) -> Namespace:
        """A namespace for vectors."""
        return Namespace(self, name)

    def table(self, name: str, rows: int, width: int = 1, **options: Any) -> Vector:
        """A vector for ``worker.table(name, width)``: ``rows`` rows of ``width`` numbers."""
        return self.vector(name, rows * width, **options)

    # running ------------------------------------------------------------

    def run(
        self, function: Callable[..., Any], iterations: int = 1, data: Sequence[Any] | None = None
    ) -> list[Any]:
        """Run ``async def function(worker)`` once for each shard and return what they return.

        data: one part for each shard; by default as many shards as workers, without data. Ctrl-C ends the
        run, not the parameter server. Raises what a worker's program raised, or ``TrainingFailed``.
        """
        with Progress("training", "iterations") as self.scheduler.bar:
            result: list[Any] = self.start(function, iterations, data).result()
        return result

    def start(
        self, function: Callable[..., Any], iterations: int = 1, data: Sequence[Any] | None = None
    ) -> Operation:
        """As ``run``, without waiting: ``.result()`` waits, ``.cancel()`` ends it."""
        check_run(function, iterations, data)
        parts = [None] * self.shards if data is None else list(data)
        scheduler = self.scheduler

        async def program(_: Node) -> list[Any]:
            return await scheduler.train(function, iterations, parts)

        return self._submit(program, "server", "worker")

    @property
    def consistency(self) -> Consistency:
        """The consistency model; set it at any time, from any thread."""
        return self.scheduler.consistency

    @consistency.setter
    def consistency(self, consistency: Consistency) -> None:
        RULES["consistency"]("consistency", consistency)
        scheduler = self.scheduler

        async def program(_: Node) -> None:
            scheduler.set_consistency(consistency)

        self.cluster.submit(program).result()

    # servers and workers ------------------------------------------------------------

    @property
    def view(self) -> View:
        """Who has which range now."""
        return self.manager.view

    @property
    def servers(self) -> list[str]:
        """The servers that the manager takes for living."""
        return sorted(self.manager.members)

    @property
    def workers(self) -> list[str]:
        """The workers that the scheduler takes for living."""
        return sorted(self.scheduler.workers)

    def machine_of(self, node: str) -> str:
        """Where a server or worker runs."""
        return self.cluster.nodes[node]

    def add_server(self, machine: Any = None, timeout: float = READY_WITHIN) -> str:
        """Start one more server and wait until it has its part of the ring."""
        name = self.cluster.spawn(Server, self.settings, name=self._next("server"), machine=machine)
        self.cluster.call(self.settings.manager, "joined", name, timeout=timeout)
        return name

    def remove_server(self, server: str, timeout: float = READY_WITHIN) -> None:
        """Have a server hand over its ranges, and end it."""
        if server not in self.manager.members:
            raise LabError(f"{server!r} is no living server; there are {', '.join(self.servers)}")
        if len(self.manager.members) == 1:
            raise LabError(f"{server!r} is the last server: its ranges would be nowhere; add another first")
        self.cluster.call(self.settings.manager, "leave", server, timeout=timeout)
        self.cluster.remove(server)

    def add_worker(self, machine: Any = None, timeout: float = READY_WITHIN) -> str:
        """Start one more worker. A run under way gives it a shard if there is one without a worker, or a
        worker with several."""
        name = self.cluster.spawn(Worker, self.settings, name=self._next("worker"), machine=machine)
        self.cluster.run_until(
            lambda: name in self.scheduler.workers, timeout, what=f"the scheduler has heard of {name}"
        )
        where = self.machine_of(name)
        scheduler = self.scheduler

        async def program(_: Node) -> None:
            scheduler.emit("worker_joined", worker=name, machine=where)

        self.cluster.submit(program).result()
        return name

    def settle(self, timeout: float = READY_WITHIN) -> None:
        """Let time pass until every range has all its copies."""
        begun = self.cluster.now
        self.cluster.run_until(
            lambda: self.manager.settled(begun), timeout, what="every range has all its copies"
        )

    # checkpoints ------------------------------------------------------------

    def checkpoint(self, path: str | Path) -> int:
        """Write all vectors to a file; returns its bytes. A run under way stands between two iterations."""
        vectors = list(self._vectors.values())
        scheduler = self.scheduler

        async def program(_: Node) -> list[list[Contents]]:
            await scheduler.quiet()
            try:
                return list(await gather(*(scheduler.client.contents(each.spec) for each in vectors)))
            finally:
                scheduler.go_on()

        parts = self._submit(program).result()
        named = {each.name: (each.spec, part) for each, part in zip(vectors, parts, strict=True)}
        size = write_checkpoint(Path(path), named)
        self._say("checkpoint_written", path=str(path), bytes=size)
        return size

    def restore(self, path: str | Path) -> None:
        """Read a checkpoint back: every entry in it is overwritten."""
        specs = {name: vector.spec for name, vector in self._vectors.items()}
        entries = list(read_checkpoint(Path(path), specs))
        scheduler = self.scheduler

        async def program(_: Node) -> None:
            for spec, contents in entries:
                await scheduler.client.assign(spec, contents)

        self._submit(program).result()
        self._say("checkpoint_restored", path=str(path))

    def _contents(self, vector: Vector) -> list[Contents]:
        scheduler = self.scheduler

        async def program(_: Node) -> list[Contents]:
            return await scheduler.client.contents(vector.spec)

        parts: list[Contents] = Pending(self, self._submit(program)).result()
        return parts

    def _submit(self, program: Callable[[Node], Awaitable[Any]], *kinds: str) -> Operation:
        """Have the client run what needs servers. It would wait for ever if none can answer: MachineDead."""
        for kind in kinds or ("server",):
            homes = {home for node, home in self.cluster.nodes.items() if self._is_a(kind, node)}
            if homes and not any(self.cluster.machine(home).alive for home in homes):
                raise MachineDead(
                    f"the machine of every {kind} is dead: {', '.join(sorted(homes))}; restart one: "
                    f"cluster.restart({min(homes)!r})"
                )
        return self.cluster.submit(program)

    def _tell_of_lost(self) -> None:
        """Parameters of which no copy was left begin at 0 again; nobody is to take that for a result."""
        lost, self._told_of = self.manager.lost[self._told_of :], len(self.manager.lost)
        if lost:
            parts = ", ".join(f"{part.lo / WHOLE:.0%} to {part.hi / WHOLE:.0%}" for part in lost)
            warnings.warn(
                f"the parameters from {parts} of the ring were lost, every server that had them died "
                f"(replicas={self.settings.replicas}): they begin at 0 again; "
                "ps.restore(path) reads a checkpoint back",
                stacklevel=3,
            )

    def _is_a(self, kind: str, node: str) -> bool:
        return node.startswith(f"{self.prefix}{kind}-")

    def _say(self, kind: str, **data: Any) -> None:
        scheduler = self.scheduler

        async def program(_: Node) -> None:
            scheduler.emit(kind, **data)

        self.cluster.submit(program).result()

    def __iter__(self) -> Iterator[Vector]:
        return iter(list(self._vectors.values()))

    def made(self) -> Made:
        """The parameter server as code."""
        options, now, notes = options_of(self), self.consistency, ()
        if now != (options.get("consistency") or BSP()):
            notes = (f"Its consistency was changed meanwhile: ps_again.consistency = {literal(now)}",)
        lacks = "your vectors and trainings"
        return Made("labkit.systems.paramserver", "ps_again", "ParameterServer", options, lacks, notes)

    def check(self) -> Report:
        """The invariants at every step so far. Raises ``LabError`` if the trace has forgotten its beginning.

        On real processes a server that dies takes along what it had not reported yet: then the run is judged
        up to that moment, and the report says so.
        """
        mine = {f"{self.prefix}{kind}-{i}" for kind, many in self._started.items() for i in range(many)}
        mine |= {None, self.settings.manager, self.settings.scheduler}
        events = [each for each in whole(self.cluster) if each.node in mine]
        servers = f"{self.prefix}server-"
        homes = {each.machine for each in events if (each.node or "").startswith(servers)}
        until, gone = self.cluster.trace.complete_until(homes)
        report = check_trace(each for each in events if each.time <= until)
        if gone and not report.suspended:
            report.suspended = f"what the servers on {gone} did after {until:.3f} s they told nobody"
        return report

    def close(self) -> None:
        """End all its nodes; the cluster goes on."""
        for node in [] if self.over else list(self.cluster.nodes):
            mine = self._is_a("server", node) or self._is_a("worker", node)
            if mine or node in (self.settings.manager, self.settings.scheduler):
                self.cluster.remove(node)

    def _in_short(self) -> str:
        return (
            f"parameter server: {many(len(self.servers), 'server')}, {many(len(self.workers), 'worker')}, "
            f"{self.consistency!r}, {many(len(self._vectors), 'vector')}"
        )
