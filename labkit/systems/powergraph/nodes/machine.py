"""One machine of the graph: loads its part, runs the program on it together with its peers, and writes it
into snapshots. All of them are alike; that of rank 0 also begins the search for the end, and passes on
orders.

An *epoch* is a life of the whole: its members, and one ``_life`` task in each. What belongs to another epoch
is refused, and when the coordinator begins the next one the old task ends wherever it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labkit.parts.retry import insist
from labkit.parts.store import Files
from labkit.runtime.copying import loads_keeping_classes
from labkit.runtime.errors import LabError
from labkit.runtime.loop import Task, traceback_text
from labkit.runtime.node import Node, every, rpc
from labkit.runtime.packing import dumps
from labkit.runtime.raised import named
from labkit.runtime.sync import Signal
from labkit.trace.words import many

from ..arrays import ArrayReplicas, Batch
from ..asynchronous import Asynchronous
from ..channels import Channels, Item
from ..events import EVENTS
from ..gas import Replicas
from ..ingress import Ingress
from ..options import SERIALIZABLE, SYNCHRONOUS, Load, Plan, Spec
from ..synchronous import Synchronous

__all__ = ["GraphMachine", "Order"]

#: (number, what, value): "go", "engine", "delta_caching", "snapshot", "stop".
Order = tuple[int, str, Any]


class VertexLog:
    """Events of single vertices, where they are wanted, until their piece of work is done. Each epoch has its
    own: on real machines a piece of work of the last one may still run in its thread."""

    def __init__(self, on: bool, epoch: int) -> None:
        self.on, self.epoch = on, epoch
        self.events: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, kind: str, **data: Any) -> None:
        """Note one."""
        if self.on:
            self.events.append((kind, data | {"epoch": self.epoch}))

    def mirror(self, replicas: Replicas, u: int) -> None:
        """A replica has taken a new value."""
        if self.on and replicas.master[u] != replicas.partition.rank:
            value = replicas.program.result(replicas.D[u])
            self("mirror_updated", vertex=replicas.gid[u], version=replicas.version[u], value=value)

    def taken(self) -> list[tuple[str, dict[str, Any]]]:
        """Those that were noted; they are not there any more."""
        events, self.events = self.events, []
        return events


class GraphMachine(Node):
    """See the module's text."""

    events = EVENTS
    #: What a mistake replaces.
    ingress, replicas_of, asynchronous = Ingress, Replicas, Asynchronous

    def __init__(self, spec: Spec) -> None:
        self.spec, self.options = spec, spec.options
        self.beat_every = spec.options.beat_every
        self.store = Files(self, spec.files)
        self.plan: Any = None  #: of the epoch
        self.channels: Any = None
        self.replicas: Any = None
        self.orders: list[Order] = []
        self.last_order = 0
        self.task: Task | None = None
        self.begun = Signal()  #: an epoch has
        self.superstep = 0
        self.log = VertexLog(False, 0)

    def start(self) -> None:
        """A life: after a restart another one, with nothing."""
        self.life = self.disk["lives"] = self.disk.get("lives", 0) + 1
        self.disk.sync()

    @every(seconds="beat_every")
    async def beat(self) -> None:
        """A sign of life. Whoever hears that his epoch is over waits for the next one."""
        try:
            epoch = await self.call(
                self.spec.coordinator, "alive", self.name, self.life, timeout=self.options.call_timeout
            )
        except LabError:
            return
        if self.plan is not None and epoch > self.plan.epoch:
            self._end()

    # an epoch ------------------------------------------------------------

    @rpc
    def begin(self, life: int, plan: Plan) -> bool:
        """Take part in an epoch."""
        if life != self.life:
            return False
        if self.plan is None or plan.epoch > self.plan.epoch:
            self._end()
            self.plan, self.orders, self.last_order, self.superstep = plan, [], 0, 0
            self.log = VertexLog(self.spec.log, plan.epoch)
            rank = plan.members.index(self.name)
            self.channels = Channels(self, plan.epoch, rank, plan.members, self.options.call_timeout)
            self.task = self.spawn(self._life())
            self.begun.fire()
        return True

    def _end(self) -> None:
        if self.channels is not None:
            self.channels.closed = True
        if self.task is not None:
            self.task.cancel()
        self.task = self.replicas = None

    @rpc
    async def deliver(self, epoch: int, rank: int, number: int, packed: bytes) -> bool:
        """A batch of a peer; False: its epoch is over."""
        while self.plan is None or epoch > self.plan.epoch:  # it has not begun here yet
            await self.begun.wait()
        if epoch < self.plan.epoch or self.task is None:
            return False
        self.channels.take(rank, number, packed)
        return True

    @rpc
    async def barrier(self, epoch: int, *item: Any) -> None:
        """An item of a peer at a barrier."""
        while self.plan is None or epoch > self.plan.epoch:
            await self.begun.wait()
        if epoch == self.plan.epoch:
            self.channels.arrive(*item)

    async def _life(self) -> None:
        plan = self.plan
        try:
            await self._load(plan)
            await self._run(plan)
        except (LabError, OSError) as error:
            await self._report("failed", named(error))
        except Exception as error:  # the user's, or it would be silent for ever
            await self._report("failed", f"{named(error)}\n{traceback_text(error)}")

    async def _report(self, method: str, *what: Any) -> None:
        """Tell the coordinator, however often it must be told."""
        plan = self.plan
        await insist(
            self, self.spec.coordinator, method, plan.epoch, *what, every=self.options.call_timeout,
            wanted=lambda: self.plan is plan,
        )  # fmt: skip

    async def _load(self, plan: Plan) -> None:
        """Read, cut and exchange the edges; then take the values of the snapshot, if there is one."""
        rank, machines = self.channels.rank, len(plan.members)
        program = loads_keeping_classes(self.spec.program)
        files = [await self.store.read(path) for path in self.spec.inputs[rank::machines]]
        load = Load(plan.cut, self.options.seconds_per_edge)
        ingress = self.ingress(self, self.channels, load, self.spec.vertices, self.seed)
        partition = await ingress.partition(files)
        if self.spec.batch:
            self.replicas = await self.compute(ArrayReplicas, partition, program)
        else:
            self.replicas = await self.compute(self.replicas_of, partition, program, plan.delta_caching)
        self.replicas.activate_all()
        for path in plan.snapshot:
            self.replicas.restore(loads_keeping_classes(await self.store.read(path)))
        few = self.spec.log
        self.emit(
            "loaded", epoch=plan.epoch, rank=rank, cut=plan.cut, edges=len(partition.eid),
            vertices=partition.size, masters=len(partition.mastered), bytes=self.channels.bytes,
            gids=partition.gid.tolist() if few else None, eids=partition.eid.tolist() if few else None,
            mastered=partition.gid[partition.mastered].tolist() if few else None,
        )  # fmt: skip
        await self._report("loaded", rank, partition.size)

    async def _run(self, plan: Plan) -> None:
        """Engines, one after the other, until nobody is active any more."""
        engine, going = plan.engine, plan.going
        while True:
            if going:
                orders = await self._engine(engine).run()
            else:
                orders = await self._at_rest()
            for number, what, value in orders:
                if what == "go":
                    going = True
                elif what == "engine":
                    engine = value
                    self.replicas.set_caching(self.replicas.caching)
                elif what == "delta_caching":
                    self.replicas.set_caching(value)
                elif what == "snapshot":
                    await self._save(number)
                self.emit_once("performed", epoch=plan.epoch, number=number, what=what, value=value)
            if going and not orders:
                break
            # Nobody goes on while another still writes down what was.
            await self.exchange("rest", [None] * len(plan.members))
            if orders and self.channels is not None and self.channels.rank == 0:
                self.spawn(self._report("performed", [number for number, _, _ in orders]))
        await self.report_state()
        await self._save(0)

    async def _at_rest(self) -> list[Order]:
        """Before the program is begun: what rank 0 was ordered."""
        while self.channels.rank == 0 and not self.orders:
            await self.channels.news.wait()
        heard = await self.exchange("ordered", [self.take_orders()] * len(self.plan.members))
        return list(heard[0].what)

    def _engine(self, engine: str) -> Any:
        if engine == SYNCHRONOUS:
            return (Batch if self.spec.batch else Synchronous)(self)
        return self.asynchronous(self, engine == SERIALIZABLE)

    async def _save(self, number: int) -> None:
        """Write this machine's part of a snapshot; number 0: the result."""
        data = await self.compute(lambda: dumps(self.replicas.saved()))
        path = f"{self.spec.name}/snapshot-{self.plan.epoch}-{number}/part-{self.channels.rank}"
        await self.store.write(path, data)
        self.emit("saved", number=number, bytes=len(data), superstep=self.superstep)
        await self._report("saved", number, self.channels.rank, path)

    # what the engines use ------------------------------------------------------------

    async def exchange(self, kind: str, whats: list[Any], arrays: Any = None) -> list[Item]:
        """A barrier; see ``Channels.exchange``."""
        return await self.channels.exchange(kind, whats, arrays)

    async def work(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run a piece of an engine; in the simulator it takes as long as the calls of the program in it."""
        counts = self.replicas.counts
        log = self.log
        before, each = counts.all, self.options.seconds_per_call / (100 if self.spec.batch else 1)
        found = await self.compute(function, *args, cost=lambda _: (counts.all - before) * each)
        for kind, data in log.taken():
            self.emit(kind, **data)
        return found

    def begin_superstep(self, active: Any) -> None:
        """active: the masters that take part, or how many."""
        if self.superstep == (most := self.options.max_supersteps):
            raise LabError(
                f"after {many(most, 'superstep')} vertices are still active: some programs end only on the "
                "asynchronous engines (two neighbours that recolour themselves at once do so for ever); "
                f"for one that needs more, give max_supersteps={2 * most}"
            )
        self.superstep += 1
        self._before = (self.replicas.counts.gathers, self.channels.bytes)
        listed = isinstance(active, list)
        self.emit(
            "superstep_began", epoch=self.plan.epoch, superstep=self.superstep,
            active=len(active) if listed else active, vertices=active if listed and self.spec.log else None,
        )  # fmt: skip

    def end_superstep(self) -> None:
        """Tell what it took."""
        gathers, sent = self._before
        self.emit(
            "superstep_ended", epoch=self.plan.epoch, superstep=self.superstep,
            gathers=self.replicas.counts.gathers - gathers, bytes=self.channels.bytes - sent,
        )  # fmt: skip

    def emit_once(self, kind: str, **data: Any) -> None:
        """An event that one machine tells for all."""
        if self.channels is not None and self.channels.rank == 0:
            self.emit(kind, **data)

    async def report_state(self) -> None:
        """At the end: what was counted; and, if vertices are logged, the value of each replica, and each
        cached accumulator beside what a full gather gives."""
        replicas, channels = self.replicas, self.channels
        state: dict[str, Any] = {}
        counted = {name: getattr(replicas.counts, name) for name in ("gathers", "applies", "scatters")}
        sent = {"bytes": channels.bytes, "messages": channels.messages}
        if self.spec.log and not self.spec.batch:
            partials: list[dict[int, Any]] = [{} for _ in channels.members]
            for u, gid in enumerate(replicas.gid):
                partials[replicas.master[u]][gid] = replicas.partial(u)[0]
            heard = await self.exchange("partials", partials)
            cached = {}
            for u, acc in sorted(replicas.cache.items()):
                full = None
                for item in heard:
                    full = replicas.added(full, item.what.get(replicas.gid[u]))
                cached[replicas.gid[u]] = (acc, full)
            results = map(replicas.program.result, replicas.D)
            state = {"values": dict(zip(replicas.gid, results, strict=True)), "cached": cached}
        self.emit(
            "machine_done", epoch=self.plan.epoch, superstep=self.superstep, **counted, **sent, state=state
        )

    # orders ------------------------------------------------------------

    @rpc
    def order(self, epoch: int, order: Order) -> bool:
        """To rank 0: something that all are to do together, between two supersteps or when all is quiet."""
        if self.plan is None or epoch != self.plan.epoch or self.task is None:
            return False
        if order[0] > self.last_order:
            self.last_order = order[0]
            self.orders.append(order)
            self.channels.news.fire()
        return True

    def take_orders(self) -> list[Order]:
        """Those that were not yet taken; rank 0 has some, if there are any."""
        orders, self.orders = self.orders, []
        return orders

    @rpc
    def values(self) -> dict[str, Any] | None:
        """The masters' values, as they are now; None: there are none here."""
        return None if self.replicas is None else self.replicas.saved()
