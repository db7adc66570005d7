"""A worker (§4.3): it has some partitions of the graph, computes them, and delivers their messages.

It does what the master orders, one order after the other. An order may come twice and is carried out once;
its answer says that all that the worker had to send has been delivered, so when all workers have answered,
no message is in transit. What belongs to an older *epoch*, to the time before a recovery, is void.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from labkit.parts.retry import insist
from labkit.parts.store import Files
from labkit.runtime.copying import loads_keeping_classes
from labkit.runtime.endable import Endable
from labkit.runtime.errors import LabError, Timeout
from labkit.runtime.loop import Task, traceback_text
from labkit.runtime.node import Node, every, rpc
from labkit.runtime.packing import dumps
from labkit.runtime.raised import Ending, named
from labkit.runtime.sync import Signal, gather, wait_for

from ..arrays import ArrayPartition, Layout
from ..events import EVENTS
from ..messages import READ, Batch, Order, Outcome, Report
from ..model import Vertex
from ..objects import Partition, Step, UserFailed, users
from ..options import JobSpec
from ..partition import Homes
from ..readers import vertices_of
from ..reductions import in_trace, reduced

__all__ = ["Worker"]


class NotWanted(Ending):
    """Raised in the thread of a computation that nobody wants any more."""


class Worker(Node):
    """See the module's text."""

    events = EVENTS

    def __init__(self, job: JobSpec) -> None:
        self.job, self.options = job, job.options
        self.look_every = job.options.timeout / 4
        self.store = Files(self, job.files)
        self.over = False
        self._empty()

    def _empty(self) -> None:
        self.life = 0
        self.partitions: dict[int, Any] = {}
        self.places: tuple[str, ...] = ()  #: the worker of each partition
        self.epoch = -1
        self.latest = -1  #: the number of the last order
        self.task: Task | None = None  #: that carries it out
        self.void = False  #: whether a newer epoch has begun meanwhile
        self.work = Endable(NotWanted)
        #: By superstep and partition, what came up the tree of aggregators.
        self.partial: dict[tuple[int, int], dict[str, Any]] = {}
        self.answer: tuple[int, Outcome | None] = (-1, None)  #: to the order that was carried out last
        self.came, self.ended = Signal(), Signal()  #: values up the tree; an order's answer
        self.pinged = 0.0
        self._program: type[Vertex] | None = None
        self._whereabouts: Any = None

    # life ------------------------------------------------------------

    async def start(self) -> None:
        """Throw away what a former life has left on the disk, and register."""
        await self._begin()

    async def _begin(self) -> None:
        self.files.clear()
        self._empty()
        self.life = self.random.getrandbits(62)
        await self._register()

    async def _register(self) -> None:
        life = self.life
        while not self.over and life == self.life:
            try:
                await self.call(
                    self.job.master,
                    "register",
                    self.name,
                    life,
                    self.machine,
                    timeout=self.options.call_timeout,
                )
            except LabError:
                await self.sleep(self.options.ping_every)
                continue
            self.pinged = self.now
            return

    @rpc
    def ping(self, life: int) -> bool:
        """The master's; False: this is another life."""
        if life == self.life:
            self.pinged = self.now
        return life == self.life

    @every("look_every")
    async def look(self) -> None:
        """§4.2: "If a worker does not receive a ping message after a specified interval, the worker process
        terminates." Here it begins anew, with nothing, as a worker that somebody has started again."""
        if not self.over and self.now - self.pinged > self.options.timeout:
            if self.places:
                self.emit("terminated")
                await self._stop()
                await self._begin()
            else:
                await self._register()

    async def _stop(self) -> None:
        """What it does is void."""
        self.void = True
        self.came.fire()
        self.work.end()
        if self.task is not None:
            await self.task

    @rpc
    async def job_over(self) -> None:
        """The job has ended."""
        self.over = True
        await self._stop()
        self.files.clear()
        self.partitions.clear()

    # orders ------------------------------------------------------------

    @rpc
    async def perform(self, life: int, order: Order) -> Outcome | None:
        """Carry out an order, after the one before; None: it is not for this life, or it is void; "running":
        ask again. An order of a new epoch waits only until the partition that is being computed is done."""
        if life != self.life or self.over or order.number < self.latest:
            return None
        if order.number > self.latest:
            before, self.latest = self.task, order.number
            if order.epoch > self.epoch:
                self.void = True
                self.came.fire()
            self.task = self.spawn(self._perform(order, before))
        deadline = self.now + self.options.call_timeout / 2
        while self.answer[0] != order.number:
            if self.now >= deadline:
                return Outcome("running")
            with suppress(Timeout):
                await wait_for(self.ended.wait(), deadline - self.now)
        return self.answer[1]

    async def _perform(self, order: Order, before: Task | None) -> None:
        if before is not None:
            await before
        self.answer = (order.number, await self._carried_out(order))
        self.ended.fire()

    async def _carried_out(self, order: Order) -> Outcome | None:
        if order.epoch > self.epoch:
            self.epoch, self.void = order.epoch, False
        try:
            outcome: Outcome = await getattr(self, f"_{order.kind}")(order)
        except UserFailed as error:
            return Outcome("failed", str(error))
        except (LabError, OSError) as error:
            if self.void:
                return None
            return Outcome("failed", f"{order.kind}: {named(error)}")
        except Exception as error:  # or the order would never end
            return Outcome("failed", f"{order.kind}: {named(error)}\n{traceback_text(error)}")
        return outcome

    @property
    def program(self) -> type[Vertex]:
        """The user's class."""
        if self._program is None:
            self._program = loads_keeping_classes(self.job.program)
        return self._program

    @property
    def whereabouts(self) -> Any:
        """Which partition a vertex is in: ``Homes``, or a ``Layout``."""
        if self._whereabouts is None:
            options, N = self.options, self.options.partitions
            if self.job.arrays:
                self._whereabouts = Layout(self.job.n, N, options.partitioner)
            else:
                self._whereabouts = Homes(options.partitioner, N)
        return self._whereabouts

    def _new(self, number: int) -> Any:
        kind = ArrayPartition if self.job.arrays else Partition
        return kind(number, self.program, self.whereabouts)

    def _work(self, function: Any, *args: Any, cost: Any = 0.0) -> Any:
        """In a thread that can be ended."""

        def inside() -> Any:
            with self.work.inside():
                return function(*args)

        return self.compute(inside, cost=cost)

    async def _assign(self, order: Order) -> Outcome:
        """Which worker has which partition, from now on. Partitions that are not this worker's any more, or
        are to be loaded anew, are forgotten."""
        self.places, self.partial = order.places, {}
        own = [number for number, worker in enumerate(order.places) if worker == self.name]
        kept = {} if order.only is None else self.partitions
        self.partitions = {number: kept.get(number) or self._new(number) for number in own}
        for number in order.only or ():
            if number in self.partitions:
                self.partitions[number] = self._new(number)
        return Outcome("ok")

    # the graph ------------------------------------------------------------

    async def _read(self, order: Order) -> Outcome:
        """§4.1: the worker reads its portion of the input. A vertex that belongs to another worker is sent to
        it."""
        pieces = sorted(order.only or ())
        total = 0
        for piece in pieces:
            data = await self.store.read(self.job.inputs[piece])
            batches = await self._work(
                self._divided, piece, data, cost=len(data) * self.options.seconds_per_byte
            )
            total += sum(batch.messages for batch in batches)
            await self._deliver(batches, order.epoch)
        self.emit("input_read", pieces=len(pieces), vertices=total)
        return Outcome("ok")

    def _divided(self, piece: int, data: bytes) -> list[Batch]:
        """A piece of the input, by partition."""
        reader = loads_keeping_classes(self.job.reader)
        N = self.options.partitions
        if not self.job.arrays:
            parts: dict[int, list[Any]] = {}
            with users(f"{type(reader).__name__}.read of {self.job.inputs[piece]!r}"):
                vertices = list(vertices_of(reader, data))
            with users("the partitioner"):
                for vertex in vertices:
                    parts.setdefault(self.whereabouts[vertex[0]], []).append(vertex)
            return [Batch(READ, piece, p, 0, len(parts[p]), dumps(parts[p])) for p in sorted(parts)]
        first, degrees, targets, weights = reader.read(data)
        homes = self.whereabouts.home[first : first + len(degrees)]
        by_edge = homes.repeat(degrees)
        batches = []
        for part in range(N):
            mine, edges = homes == part, by_edge == part
            payload = (
                first + mine.nonzero()[0],
                degrees[mine],
                targets[edges],
                None if weights is None else weights[edges],
            )
            batches.append(Batch(READ, piece, part, 0, int(mine.sum()), payload))
        return batches

    async def _build(self, order: Order) -> Outcome:
        """The partitions from what was read."""
        reports, plans = [], []
        for number, partition in sorted(self.partitions.items()):
            batches = partition.take(READ)
            count = sum(batch.messages for batch in batches)
            plans += await self._work(partition.build, batches, cost=count * self.options.seconds_per_vertex)
            report = partition.described()
            reports.append(report)
            self.emit("partition_built", partition=number, vertices=report.vertices, edges=report.edges)
        await self._deliver(plans, order.epoch)
        return Outcome("ok", reports=tuple(reports))

    # supersteps ------------------------------------------------------------

    async def _superstep(self, order: Order) -> Outcome:
        """Compute the partitions that have not computed this superstep, and answer for the others from the
        log: these have survived a failure that has interrupted it, or, in a confined recovery, only others
        compute (``order.only``)."""
        S = order.superstep
        step = Step(
            S, order.num_vertices, loads_keeping_classes(order.aggregated) if order.aggregated else {},
            self.job.seed, self.options.combine, self.options.batch,
        )  # fmt: skip
        self._forget_logs(order.keep)
        reports, sending = [], []
        for number, partition in sorted(self.partitions.items()):
            if self.void:
                return Outcome("void")
            if partition.next == S:
                sending += await self._compute(partition, step, order)
            elif partition.next > S:
                batches = await self.compute(self._logged, S, number, cost=self.options.seconds_per_order)
                self.emit("partition_replayed", partition=number, superstep=S, epoch=self.epoch)
                sending.append(self.spawn(self._deliver(self._wanted(batches, order), order.epoch)))
            reports.append(partition.report)
        await gather(*sending)
        aggregated = await self._aggregate(S) if order.only is None and self.program.aggregators else None
        self.emit("worker_finished", superstep=S, epoch=self.epoch)
        return Outcome("ok", reports=tuple(reports), aggregated=aggregated)

    async def _compute(self, partition: Any, step: Step, order: Order) -> list[Task]:
        """One partition; returns the deliveries that go on."""
        options, began, done = self.options, self.now, False
        log: list[Batch] = []
        sending: list[Task] = []
        per_vertex, per_message = options.seconds_per_vertex, options.seconds_per_message

        def first() -> tuple[bool, list[Batch]]:
            partition.begin(step)
            found: tuple[bool, list[Batch]] = partition.run()
            return found

        def cost(found: tuple[bool, list[Batch]]) -> float:
            computed, sent, _ = partition._computed, partition._sent, found
            seconds = (computed - before[0]) * per_vertex + (sent - before[1]) * per_message
            before[:] = [computed, sent]
            return seconds

        before = [0, 0]
        work = first
        while not done:
            done, batches = await self._work(work, cost=cost)
            work = partition.run
            log += batches
            sending.append(self.spawn(self._deliver(self._wanted(batches, order), order.epoch)))
        report: Report = partition.reported()
        if order.log:
            await self.compute(
                self._log, step.superstep, partition.number, log, cost=options.seconds_per_order
            )
        to: dict[int, int] = {}
        for batch in log:
            to[batch.target] = to.get(batch.target, 0) + batch.messages
        self.emit(
            "partition_computed", partition=partition.number, superstep=step.superstep, epoch=self.epoch,
            began=began, computed=report.computed, active=report.active, vertices=report.vertices,
            sent=report.sent, combined=report.combined, bytes=report.bytes, missing=report.missing,
            requests=report.requests, to=to, came=dict(partition.arrived), digest=partition.digest,
            given=in_trace(partition.given), seen=in_trace(step.aggregated), recovering=order.only is
            not None,
        )  # fmt: skip
        for detail in partition.wrong[:3]:
            self.emit("invariant_broken", partition=partition.number, superstep=step.superstep, detail=detail)
        return sending

    def _wanted(self, batches: list[Batch], order: Order) -> list[Batch]:
        """Those for partitions that have not got them: in a confined recovery, the lost ones."""
        return batches if order.only is None else [batch for batch in batches if batch.target in order.only]

    async def _deliver(self, batches: list[Batch], epoch: int) -> None:
        """One message for each worker, until all have it."""
        if self.void or epoch != self.epoch:
            return
        by_worker: dict[str, list[Batch]] = {}
        for batch in batches:
            by_worker.setdefault(self.places[batch.target], []).append(batch)
        for batch in by_worker.pop(self.name, ()):
            self.partitions[batch.target].put(batch)
        await gather(*(self._send(worker, each, epoch) for worker, each in by_worker.items()))

    async def _send(self, worker: str, batches: list[Batch], epoch: int) -> None:
        every, pause = self.options.call_timeout, self.options.ping_every
        while not self.void and epoch == self.epoch:
            try:
                if await insist(self, worker, "deliver", epoch, batches, every=every, times=1):
                    return
            except LabError as error:
                if isinstance(error, Timeout):
                    continue
            await self.sleep(pause)  # it is dead, and the master will say so, or it has begun anew

    @rpc
    def deliver(self, epoch: int, batches: list[Batch]) -> bool:
        """Messages from another worker's partitions; False: they are of another epoch."""
        if epoch != self.epoch or self.void:
            return False
        for batch in batches:
            if batch.target in self.partitions:
                self.partitions[batch.target].put(batch)
        return True

    # aggregators ------------------------------------------------------------

    async def _aggregate(self, S: int) -> bytes | None:
        """§4.3: "Partially reduced aggregators are further reduced up a tree" of partitions: that of p is
        (p - 1) // 2's. So the grouping does not depend on who has which partition. Returns the root's."""
        N = self.options.partitions
        for number in sorted(self.partitions, reverse=True):
            found = dict(self.partitions[number].given)
            for child in (2 * number + 1, 2 * number + 2):
                if child < N:
                    found = self._reduced(found, await self._partial(S, child))
            if number == 0:
                self.emit("aggregated", superstep=S)
                return dumps(found)
            parent = (number - 1) // 2
            if self.places[parent] == self.name:
                self.partial[S, number] = found
            else:
                await self._up(self.places[parent], S, number, dumps(found))
        return None

    def _reduced(self, one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
        aggregators = self.program.aggregators
        both = {name: reduced(aggregators[name], one[name], other[name]) for name in one if name in other}
        return {**other, **one, **both}

    async def _partial(self, S: int, child: int) -> dict[str, Any]:
        while (S, child) not in self.partial:
            if self.void:
                raise LabError("void")
            await self.came.wait()
        return self.partial[S, child]

    async def _up(self, worker: str, S: int, child: int, values: bytes) -> None:
        epoch, every = self.epoch, self.options.call_timeout
        while not self.void and epoch == self.epoch:
            try:
                if await insist(
                    self, worker, "partially_reduced", epoch, S, child, values, every=every, times=1
                ):
                    return
            except LabError:
                pass
            await self.sleep(self.options.ping_every)

    @rpc
    def partially_reduced(self, epoch: int, S: int, child: int, values: bytes) -> bool:
        """From further down the tree."""
        if epoch != self.epoch or self.void:
            return False
        self.partial = {key: each for key, each in self.partial.items() if key[0] >= S - 1}
        self.partial[S, child] = loads_keeping_classes(values)
        self.came.fire()
        return True

    # failures ------------------------------------------------------------

    def _log(self, S: int, number: int, batches: list[Batch]) -> None:
        """§4.2: "In addition to the basic checkpoints, the workers also log outgoing messages"."""
        self.files.write(f"log-{S:06}-{number:06}", dumps(batches))

    def _logged(self, S: int, number: int) -> list[Batch]:
        found: list[Batch] = loads_keeping_classes(self.files.read(f"log-{S:06}-{number:06}"))
        return found

    def _forget_logs(self, keep: int) -> None:
        for name in self.files.names():
            if int(name.split("-")[1]) < keep:
                self.files.remove(name)

    async def _checkpoint(self, order: Order) -> Outcome:
        """§4.2: "save the state of their partitions to persistent storage"."""
        total = 0
        for number, partition in sorted(self.partitions.items()):
            data = await self._work(partition.saved, cost=self.options.seconds_per_order)
            await self.store.write(f"{order.path}/partition-{number:05}", data)
            self.emit("partition_saved", partition=number, superstep=order.superstep, bytes=len(data))
            total += len(data)
        return Outcome("ok", bytes=total)

    async def _restore(self, order: Order) -> Outcome:
        """Load partitions from a checkpoint."""
        for number in sorted(
            self.partitions if order.only is None else set(order.only) & set(self.partitions)
        ):
            data = await self.store.read(f"{order.path}/partition-{number:05}")
            await self._work(
                self.partitions[number].restore, data, cost=len(data) * self.options.seconds_per_byte
            )
            self.emit("partition_restored", partition=number, superstep=order.superstep, epoch=self.epoch)
        return Outcome("ok")

    async def _save(self, order: Order) -> Outcome:
        """The output, a file for each partition: written beside it, and renamed."""
        writer = loads_keeping_classes(order.aggregated)
        for number, partition in sorted(self.partitions.items()):
            data = await self._work(_written, writer, partition, cost=self.options.seconds_per_order)
            beside = f"{self.job.temporary}/{self.name}-{number}"
            await self.store.write(beside, data)
            await self.store.rename(beside, f"{order.path}/part-{number:05}")
            self.emit("output_written", partition=number, bytes=len(data))
        return Outcome("ok")


def _written(writer: Any, partition: Any) -> bytes:
    with users(f"{type(writer).__name__}.write of partition {partition.number}"):
        data = writer.write(partition.output())
        if not isinstance(data, bytes):
            raise TypeError(f"it returns {data!r:.60}, and a file is bytes: text.encode()")
    return data
