"""The master (§4.2, §4.3): it has no part of the graph. It tells all workers to do the same thing, and waits
until all have; so no vertex computes superstep S+1 before all have computed S.

==============  ==========================================================================================
what happens    what follows (§4.2)
==============  ==========================================================================================
worker silent   it is marked as failed; its partitions are given to the workers there are
rollback        "all workers reload their partition state from the most recent available checkpoint", or read
                the input again if there is none
confined        only the lost partitions are loaded from the checkpoint, and compute again what has been
                since; the others answer from their logs. Those that have computed the interrupted superstep
                do not compute it again
worker appears  it gets partitions at the next recovery
code fails      the job fails: it would fail again
master dies     the job is aborted
==============  ==========================================================================================
"""

from __future__ import annotations

from typing import Any

from labkit.parts.jobs import Mastering
from labkit.parts.members import Silence
from labkit.parts.retry import comes
from labkit.parts.store import Files
from labkit.runtime.copying import loads_keeping_classes
from labkit.runtime.errors import LabError
from labkit.runtime.loop import traceback_text
from labkit.runtime.node import every, rpc
from labkit.runtime.packing import dumps
from labkit.runtime.raised import named
from labkit.runtime.sync import Signal

from ..events import EVENTS
from ..messages import Order, Outcome, Report
from ..options import CONFINED, JobSpec, young
from ..reductions import in_trace

__all__ = ["Master"]


class Lost(Exception):
    """A worker that has partitions was marked as failed."""


class Stopped(Exception):
    """The job is over."""


class Member:
    """A worker that is not marked as failed."""

    def __init__(self, life: int, machine: str, now: float) -> None:
        self.life, self.machine, self.heard = life, machine, now


class Master(Mastering):
    """See the module's text."""

    events = EVENTS

    def __init__(self, job: JobSpec, writer: bytes) -> None:
        self.job, self.options, self.writer = job, job.options, writer
        self.check_every = job.options.timeout / 5
        self.store = Files(self, job.files)
        self.members: dict[str, Member] = {}
        self.failed: set[int] = set()  #: lives that were marked as failed
        self.news = Signal()
        self.orders = 0
        self.epoch = 0
        self.places: tuple[str, ...] = ()  #: the worker of each partition
        self.recovery = job.options.recovery
        self._begin_job(job.options.call_timeout / 2)
        self._anew()

    def _anew(self) -> None:
        """Nothing is computed yet."""
        self.loaded = self.halted = False
        self.superstep = 0
        self.checkpoint: int | None = None  #: the superstep of the last one
        self.seconds, self.checkpointed = 0.0, 0.0  #: that it took, and when it was
        self.logged = False  #: whether the logs reach back to it
        self.wanted = False  #: whether somebody has asked for a checkpoint
        self.pending: set[int] = set()  #: partitions that are behind the others, in a confined recovery
        #: By superstep, since the last checkpoint: what it is told of aggregators and the number of vertices.
        self.told: dict[int, tuple[dict[str, Any], int]] = {}

    def start(self) -> None:
        """Begin the job; a master that has died has forgotten it."""
        self.silence = Silence(self.options.timeout, self.now)
        if self.disk.get("begun"):
            self.error = ("aborted", "the master died; run the job again")
            self._end("aborted")
            return
        self.disk["begun"] = True
        self.disk.sync()
        self.spawn(self._drive())

    # the job ------------------------------------------------------------

    async def _drive(self) -> None:
        """§4.1 from step 2 on."""
        options = self.options
        self.emit(
            "job_started", job=self.job.name, program=self.job.title, partitions=options.partitions,
            workers=self.job.workers, recovery=self.recovery, arrays=self.job.arrays,
            checkpoint_every=options.checkpoint_every, combine=options.combine,
        )  # fmt: skip
        try:
            self.aggregators = loads_keeping_classes(self.job.program).aggregators
            await self._some_members()
            while not self.over.is_set():
                try:
                    await self._go_on()
                except Lost:
                    continue
        except Stopped:
            pass
        except Exception as error:
            self._fail("failed", f"{named(error)}\n{traceback_text(error)}")

    async def _some_members(self) -> None:
        """All workers there were at the start; or, after a while, those there are."""
        deadline = self.now + 2 * self.options.timeout
        while len(self.members) < self.job.workers and self.now < deadline:
            await self._news(self.options.timeout)
        await self._one_member()

    async def _one_member(self) -> None:
        while not self.members:
            await self._news(self.options.timeout)

    async def _news(self, seconds: float) -> None:
        await comes(self.news.wait(), seconds)
        if self.over.is_set():
            raise Stopped

    async def _go_on(self) -> None:
        """One step of the job. Raises ``Lost`` if a worker fails meanwhile: then it goes on with the next."""
        if not self.places or any(worker not in self.members for worker in self.places):
            await self._recover() if self.places else await self._assign(None)
        elif not self.loaded:
            await self._load()
        elif self.halted:
            await self._everyone("save", path=self.job.output, aggregated=self.writer)
            self._end("ok")
        else:
            # From a failure to the end of the superstep that it has interrupted, some partitions are ahead.
            if not self.pending and self._due():
                await self._checkpoint()
            await self._superstep()

    async def _assign(self, only: tuple[int, ...] | None) -> None:
        """§4.1: "the master determines how many partitions the graph will have, and assigns one or more
        partitions to each worker". Those of living workers stay."""
        await self._one_member()
        load = dict.fromkeys(sorted(self.members), 0)
        places = [
            worker if worker in load else "" for worker in self.places or [""] * self.options.partitions
        ]
        for worker in filter(None, places):
            load[worker] += 1
        for partition, worker in enumerate(places):
            if not worker:
                places[partition] = min(load, key=lambda each: load[each])
                load[places[partition]] += 1
        self.epoch += 1
        self.places = tuple(places)
        behind = None if only is None else list(only)
        self.emit("partitions_assigned", places=list(places), epoch=self.epoch, behind=behind)
        await self._everyone("assign", places=self.places, only=only)

    async def _everyone(
        self, kind: str, own: dict[str, tuple[int, ...]] | None = None, **what: Any
    ) -> list[Outcome]:
        """Give all workers an order, and wait for all answers. own: what differs by worker. Raises
        ``Lost``."""
        answers: dict[str, Outcome] = {}
        asked = (
            dict(self.members)
            if kind == "read"
            else {name: self.members.get(name) for name in set(self.places)}
        )
        self.orders += 1
        for worker in sorted(asked):
            if (member := asked[worker]) is None:
                raise Lost
            only = what.get("only") if own is None else own.get(worker, ())
            order = Order(self.orders, self.epoch, kind, **{**what, "only": only})
            self.spawn(self._order(worker, member, order, answers))
        while len(answers) < len(asked):
            await self._news(self.options.timeout)
            if any(self.members.get(worker) is not member for worker, member in asked.items()):
                raise Lost
        for worker in sorted(answers):
            if answers[worker].result == "failed":
                self._fail("failed", f"{worker}: {answers[worker].error}")
                raise Stopped
        return [answers[worker] for worker in sorted(answers)]

    async def _order(self, worker: str, member: Member, order: Order, answers: dict[str, Outcome]) -> None:
        """Until it is answered, or is no use any more."""
        while self.members.get(worker) is member and order.number == self.orders and not self.over.is_set():
            try:
                answer = await self.call(
                    worker, "perform", member.life, order, timeout=self.options.call_timeout
                )
            except LabError:
                continue
            if answer is None:
                await self.sleep(self.options.ping_every)
            elif answer.result != "running":
                answers[worker] = answer
                self.news.fire()
                return

    async def _load(self) -> None:
        """§4.1: each worker reads a part of the input and sends the vertices to those who have them."""
        workers = sorted(set(self.places))
        own = {
            worker: tuple(range(number, len(self.job.inputs), len(workers)))
            for number, worker in enumerate(workers)
        }
        await self._everyone("read", own)
        reports = _reports(await self._everyone("build"))
        degrees = [0] * max((len(each.degrees) for each in reports), default=0)
        for report in reports:
            for bits, count in enumerate(report.degrees):
                degrees[bits] += count
        vertices = sum(each.vertices for each in reports)
        self.emit(
            "graph_loaded", vertices=vertices, edges=sum(each.edges for each in reports), degrees=degrees
        )
        self.loaded = True
        self.told = {0: ({}, vertices)}

    async def _superstep(self) -> None:
        """§4.1: "The master instructs each worker to perform a superstep"; then it is over, everywhere."""
        S = self.superstep
        self._limit(S)
        _aggregated, _vertices = self.told[S]
        self.emit("superstep_started", superstep=S, epoch=self.epoch, places=list(self.places))
        outcomes = await self._everyone("superstep", **self._step(S))
        reports = _reports(outcomes)
        self.pending.clear()
        found: dict[str, Any] = next(
            (loads_keeping_classes(each.aggregated) for each in outcomes if each.aggregated), {}
        )
        sums = {
            name: sum(getattr(each, name) for each in reports)
            for name in (
                "vertices",
                "edges",
                "computed",
                "active",
                "sent",
                "combined",
                "bytes",
                "requests",
                "missing",
            )
        }
        told = self._aggregated(S, found)
        self.told[S + 1] = (told, sums["vertices"])
        self.superstep = S + 1
        self.halted = not (sums["active"] or sums["sent"] or sums["requests"])
        shown = in_trace(told)
        self.emit("superstep_finished", superstep=S, epoch=self.epoch, aggregated=shown, **sums)

    def _step(self, S: int) -> dict[str, Any]:
        """What an order for a superstep says."""
        aggregated, vertices = self.told[S]
        return {
            "superstep": S, "aggregated": dumps(aggregated), "num_vertices": vertices,
            "log": self.logged, "keep": self.checkpoint or 0,
        }  # fmt: skip

    def _limit(self, S: int) -> None:
        if self.options.max_supersteps > S:
            return
        self._fail(
            "failed",
            f"after {S} supersteps the job has not halted: every vertex is to vote_to_halt(), and not to "
            f"send for ever; for a job that needs more, give max_supersteps={2 * S}",
        )
        raise Stopped

    def _aggregated(self, S: int, found: dict[str, Any]) -> dict[str, Any]:
        """What vertices are told in S+1 of the values that they gave in S; a sticky aggregator goes on from
        what it was (§3.3)."""
        values, before = dict(found), self.told[S][0]
        for name, aggregator in self.aggregators.items():
            if aggregator.sticky and name in before:
                values[name] = aggregator.reduce(before[name], found[name]) if name in found else before[name]
        return values

    # checkpoints ------------------------------------------------------------

    def _due(self) -> bool:
        every, S = self.options.checkpoint_every, self.superstep
        if self.wanted or (self.recovery == CONFINED and not self.logged):
            return True
        if self.checkpoint == S or every is None:
            return False
        if every == "young":
            due = self.checkpointed + young(self.seconds, self.options.mtbf)
            return self.checkpoint is None or self.now >= due
        return S > 0 and S % int(every) == 0

    async def _checkpoint(self) -> None:
        """§4.2: at the beginning of a superstep; "the master separately saves the aggregator values". It
        counts when the master's part is there."""
        S, began = self.superstep, self.now
        path = self.job.checkpoint(S)
        outcomes = await self._everyone("checkpoint", superstep=S, path=path)
        await self.store.write(f"{path}/master", dumps((S, self.told[S])))
        before, self.checkpoint = self.checkpoint, S
        self.seconds, self.checkpointed, self.wanted = self.now - began, self.now, False
        self.logged = self.recovery == CONFINED
        self.told = {S: self.told[S]}
        size = sum(each.bytes for each in outcomes)
        self.emit("checkpoint_written", superstep=S, bytes=size, seconds=self.seconds)
        if before not in (None, S):
            await self._remove(self.job.checkpoint(before))

    async def _remove(self, path: str) -> None:
        try:
            await self.store.delete(path, recursive=True)
        except (LabError, OSError):
            pass

    # recovery ------------------------------------------------------------

    async def _recover(self) -> None:
        """§4.2: "the master reassigns graph partitions to the currently available set of workers"; then the
        state of the superstep that was interrupted is made again."""
        lost = {partition for partition, worker in enumerate(self.places) if worker not in self.members}
        confined = self.recovery == CONFINED and self.logged
        S, C = self.superstep, self.checkpoint
        kind = "confined" if confined else "rollback"
        self.emit("recovery_started", kind=kind, lost=sorted(lost), superstep=S, back_to=C)
        if confined:
            self.pending |= lost
            behind = tuple(sorted(self.pending))
            await self._assign(behind)
            assert C is not None
            await self._everyone("restore", superstep=C, path=self.job.checkpoint(C), only=behind)
            for T in range(C, S):
                await self._everyone("superstep", **{**self._step(T), "only": behind})
        else:
            self.pending.clear()
            await self._assign(None)
            if C is None:
                wanted = self.wanted
                self._anew()
                self.wanted = wanted
            else:
                await self._everyone("restore", superstep=C, path=self.job.checkpoint(C))
                self.superstep, self.halted = C, False
        self.emit("recovery_finished", kind=kind, superstep=self.superstep, back_to=C, epoch=self.epoch)

    @rpc
    def set_recovery(self, recovery: str) -> None:
        """From now on. Confined recovery begins with a checkpoint, since there are no logs of before."""
        if recovery != self.recovery:
            self.recovery, self.logged = recovery, False
            self.emit("recovery_chosen", recovery=recovery)

    @rpc
    def want_checkpoint(self) -> None:
        """Before the next superstep."""
        self.wanted = True

    # workers ------------------------------------------------------------

    @rpc
    def register(self, worker: str, life: int, machine: str) -> None:
        """A worker that has begun."""
        if self.over.is_set():
            self.send(worker, "job_over")
            return
        member = self.members.get(worker)
        if member is not None and member.life != life:
            self._mark_failed(worker, "it has begun anew")
            member = None
        if member is None and life not in self.failed:
            member = self.members[worker] = Member(life, machine, self.now)
            self.emit("worker_registered", worker=worker, machine=machine)
            self.spawn(self._keep_pinging(worker, member))
            self.news.fire()

    async def _keep_pinging(self, worker: str, member: Member) -> None:
        """§4.2: "Worker failures are detected using regular ping messages that the master issues"."""
        while self.members.get(worker) is member and not self.over.is_set():
            try:
                alive = await self.call(worker, "ping", member.life, timeout=self.options.call_timeout)
            except LabError:
                continue
            if self.members.get(worker) is member:
                if not alive:
                    self._mark_failed(worker, "it has begun anew")
                    return
                member.heard = self.now
            await self.sleep(self.options.ping_every)

    @every("check_every")
    def check(self) -> None:
        """§4.2: "If the master does not hear back from a worker, the master marks that worker process as
        failed." Unless it was the master that stood still: then it could hear nobody."""
        for worker, silent in self.silence.look(self.members, self.now):
            if not self.over.is_set():
                self._mark_failed(worker, f"silent for {silent:.1f} s")

    def _mark_failed(self, worker: str, why: str) -> None:
        member = self.members.pop(worker)
        self.failed.add(member.life)
        self.places = tuple("" if each == worker else each for each in self.places)
        self.emit("worker_failed", worker=worker, machine=member.machine, why=why)
        self.news.fire()

    # the end ------------------------------------------------------------

    def _end(self, result: str) -> None:
        """§4.1: after the output is written; workers forget what they have."""
        self.over.set()
        self.news.fire()
        self.emit("job_finished", job=self.job.name, result=result, supersteps=self.superstep)
        for worker in self.members:
            self.send(worker, "job_over")
        if result == "aborted":  # its output folder may be another job's by now
            self.cleaned.set()
        else:
            self.spawn(self._clean())

    async def _clean(self) -> None:
        await self._remove(self.job.temporary)
        self.cleaned.set()

    def _told(self) -> tuple[Any, ...]:
        """The supersteps."""
        return (self.superstep,)


def _reports(outcomes: list[Outcome]) -> list[Report]:
    """Of all partitions."""
    return sorted(report for outcome in outcomes for report in outcome.reports)
