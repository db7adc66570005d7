"""The task scheduler: who may begin which iteration, and what becomes of a dead worker's data.

Training is split into *shards*, one for each worker. A shard's program says when it has ended an iteration
(its pushes acknowledged) and asks for the next; the answer waits until the consistency model allows it. The
model may change at any moment: all who wait are looked at again.

In rounds (bulk-synchronous, bounded delay) the pushes of an iteration wait at the servers. When every shard
has ended the iteration the scheduler has the servers apply it, shard after shard in a fixed order, and only
then counts it as finished.

A worker that is silent for ``timeout`` is taken for dead, and its shard is given to a living one, which calls
the program anew from the first iteration that was not ended. If the dead one was only paused, what it still
pushes in a round is not part of it.

The scheduler lives in the user's own process. Its failure is not survived.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from labkit.parts.members import Silence
from labkit.progress import Progress
from labkit.runtime.errors import Definite, LabError, Timeout
from labkit.runtime.loop import Future, running_loop
from labkit.runtime.message import Failure
from labkit.runtime.node import Node, every, rpc
from labkit.runtime.sync import Event

from .client import ParameterClient
from .consistency import Consistency
from .events import EVENTS
from .ring import View
from .settings import Settings

__all__ = ["Grant", "Order", "Scheduler", "Superseded", "TrainingFailed"]


class Superseded(Definite):
    """The shard was given to another worker, or its run is over: stop."""


class TrainingFailed(LabError):
    """A run cannot be finished."""


class Grant(NamedTuple):
    """Leave to begin an iteration."""

    consistency: Consistency
    finished: tuple[int, ...]  #: iterations that each living shard has finished
    share: float  #: which part of the living shards one is


class Order(NamedTuple):
    """A shard's program, for the worker that is to run it."""

    run: int
    shard: int
    source: str
    function: Callable[..., Any]
    data: Any
    start: int
    iterations: int
    workers: int


class Shard:
    """How far one shard's program is."""

    def __init__(self, number: int, data: Any) -> None:
        self.number = number
        self.data = data
        self.worker: str | None = None  #: who runs it
        self.source = ""  #: who it is to the servers, in its present life
        self.lives = 0
        self.acknowledged = 0  #: iterations ended, their pushes acknowledged
        self.finished = 0  #: iterations ended and visible to all
        self.started = 0  #: the iteration it is in
        self.grant: Grant | None = None  #: its leave for that iteration; asked twice, the same
        #: By iteration that may be in a round: the source that pushed it.
        self.in_round: dict[int, str] = {}
        self.over = False  #: the program has returned, or was given up
        self.waiting_since: float | None = None
        self.result: Any = None
        self.moving = False  #: to be given to another worker at the next clock


class Run:
    """One call of ``ParameterServer.run``."""

    def __init__(self, number: int, function: Callable[..., Any], iterations: int, over: Future) -> None:
        self.number = number
        self.function = function
        self.iterations = iterations
        self.over = over
        self.shards: list[Shard] = []
        self.closing = False  #: a round is being applied

    @property
    def living(self) -> list[Shard]:
        """Shards that have not ended."""
        return [shard for shard in self.shards if not shard.over]

    @property
    def slowest(self) -> int:
        """Iterations that every living shard has finished."""
        return min((shard.finished for shard in self.living), default=self.iterations)


class Attendance:
    """A worker that counts as living."""

    def __init__(self, incarnation: int, now: float) -> None:
        self.incarnation = incarnation
        self.heard = now


class Scheduler(Node):
    """See the module's text. ``on_worker_death``: "reassign" its shard, or "ignore" it."""

    events = EVENTS

    def __init__(self, settings: Settings, consistency: Consistency, on_worker_death: str) -> None:
        self.settings = settings
        self.consistency = consistency
        self.on_worker_death = on_worker_death
        self.workers: dict[str, Attendance] = {}
        self.run: Run | None = None
        self.runs = 0
        self.hold = False  #: no iteration begins: somebody wants to look at the parameters
        self.bar: Progress | None = None  #: where a user who waits sees how far the run is
        #: Reads and writes for the user, and closes rounds.
        self.client = ParameterClient(self, settings, "client", worker="client")
        self.check_every = settings.timeout / 5

    async def start(self) -> None:
        """Hear of every view from now on."""
        self.progress = Event()
        self.silence = Silence(self.settings.timeout, self.now)
        view = await self.call(self.settings.manager, "listen", self.name)
        if view is not None:
            self.client.see(view)

    @rpc
    def view_changed(self, view: View) -> None:
        """The manager has a new view."""
        self.client.see(view)

    @rpc
    def manager_failed(self, why: str) -> None:
        """Nobody looks after the ranges any more."""
        self._fail(TrainingFailed(f"the server manager has failed: {why}"))

    @rpc
    def range_lost(self, lo: float, hi: float) -> None:
        """More servers have died than a range has copies."""
        self._fail(
            TrainingFailed(
                f"the parameters from {lo:.0%} to {hi:.0%} of the ring are lost: every server that had them "
                f"died (replicas={self.settings.replicas}). Read a checkpoint back, ps.restore(path), and "
                "run again."
            )
        )

    # workers ------------------------------------------------------------

    @rpc
    def heartbeat(self, worker: str, incarnation: int, sources: Sequence[str]) -> list[str]:
        """A worker lives, and runs the programs of these sources; the answer: those that it is to end."""
        known = self.workers.get(worker)
        if known is not None and known.incarnation != incarnation:
            self._worker_failed(worker, "it has restarted")
            known = None
        if known is None:
            self.workers[worker] = Attendance(incarnation, self.now)
            self.progress.set()
            self._place_orphans()
        else:
            known.heard = self.now
        valid = [shard.source for shard in self.run.living] if self.run is not None else []
        return [source for source in sources if source not in valid]

    @every("check_every")
    def check(self) -> None:
        """Who has been silent for too long?"""
        for worker, silent in self.silence.look(self.workers, self.now):
            self._worker_failed(worker, f"silent for {silent:.2f} s")

    def _worker_failed(self, worker: str, why: str) -> None:
        self.workers.pop(worker, None)
        self.emit("worker_failed", worker=worker, why=why)
        if self.run is None:
            return
        for shard in self.run.living:
            if shard.worker == worker:
                shard.worker = None
                shard.source = ""
                if self.on_worker_death == "ignore":
                    self._give_up(shard)
                else:
                    self._reassign(self.run, shard, worker)
        self._advance()

    def _reassign(self, run: Run, shard: Shard, before: str | None) -> None:
        """Give a shard to the living worker that has the fewest."""
        load = dict.fromkeys(self.workers, 0)
        for each in run.living:
            if each.worker in load:
                load[each.worker] += 1
        if not load:
            return  # the next worker that appears gets it
        worker = min(load, key=lambda name: load[name])
        self.emit("shard_reassigned", shard=shard.number, **{"from": before, "to": worker})
        self._begin(run, shard, worker)

    def _place_orphans(self) -> None:
        """A worker has appeared: it gets what nobody has, or one of several that another has."""
        if self.run is None:
            return
        for shard in self.run.living:
            if shard.worker is None:
                self._reassign(self.run, shard, None)
        counts: dict[str, list[Shard]] = {name: [] for name in self.workers}
        for shard in self.run.living:
            if shard.worker in counts:
                counts[shard.worker].append(shard)
        idle = [name for name, shards in counts.items() if not shards]
        busy = [shards for shards in counts.values() if len(shards) > 1]
        for _, shards in zip(idle, busy, strict=False):
            shards[-1].moving = True

    # a run ------------------------------------------------------------

    async def train(self, function: Callable[..., Any], iterations: int, data: Sequence[Any]) -> list[Any]:
        """Run a program for each shard and return what they return, in the order of the shards."""
        if self.run is not None:
            raise TrainingFailed("a run is under way: wait for it, or cancel it")
        await self.client.known_view()
        while not self.workers:
            await self.next_progress()
        self.runs += 1
        run = self.run = Run(self.runs, function, iterations, Future(running_loop()))
        run.shards = [Shard(number, part) for number, part in enumerate(data)]
        workers = sorted(self.workers, key=_number_of)
        self.emit(
            "training_started", run=run.number, workers=workers, shards=len(run.shards),
            iterations=iterations, consistency=repr(self.consistency), bound=self.consistency.bound,
        )  # fmt: skip
        for shard in run.shards:
            self._begin(run, shard, workers[shard.number % len(workers)])
        ok = False
        try:
            await run.over
            ok = True
        finally:
            self.emit("training_finished", run=run.number, ok=ok)
            self.run = None
            self.progress.set()
        return [shard.result for shard in run.shards]

    def next_progress(self) -> Future:
        """Resolved at the next change of anything that somebody may wait for."""
        if self.progress.is_set():
            self.progress.clear()
        return self.progress.wait()

    def _begin(self, run: Run, shard: Shard, worker: str) -> None:
        shard.lives += 1
        shard.worker = worker
        shard.source = f"run-{run.number}/shard-{shard.number}/{shard.lives}"
        shard.moving = False
        shard.started = shard.acknowledged - 1  # it has to ask even for its first iteration
        shard.waiting_since = None
        order = Order(
            run.number, shard.number, shard.source, run.function, shard.data, shard.acknowledged,
            run.iterations, len(run.shards),
        )  # fmt: skip
        self.spawn(self._start(run, shard, order))

    async def _start(self, run: Run, shard: Shard, order: Order) -> None:
        """Repeat the order until the worker has it, or nobody wants it any more."""
        while not run.over.done and shard.source == order.source and shard.worker in self.workers:
            try:
                await self.call(
                    shard.worker, "start_task", order, self.client.view, timeout=self.settings.resend_after
                )
                return
            except Timeout:
                continue
            except Definite as error:
                self._fail(TrainingFailed(f"{shard.worker} cannot run the program: {error}"))

    @rpc
    def ended(self, source: str, result: Any, failure: Failure | None) -> None:
        """A shard's program has returned, or raised."""
        shard = self._shard_of(source)
        if failure is not None:
            self._fail(failure.to_exception())
            return
        shard.result = result
        self._give_up(shard)
        self._advance()

    def _give_up(self, shard: Shard) -> None:
        """Nobody waits for this shard any more."""
        shard.over = True
        self.emit("shard_over", worker=shard.worker, shard=shard.number)

    def _fail(self, error: BaseException) -> None:
        if self.run is not None:
            self.run.over.set_error(error)

    def _shard_of(self, source: str) -> Shard:
        for shard in self.run.living if self.run is not None else []:
            if shard.source == source:
                return shard
        raise Superseded(f"{source} is not wanted any more")

    # clocks ------------------------------------------------------------

    @rpc
    def finished(self, source: str, iterations: int) -> None:
        """All pushes of a shard's first ``iterations`` iterations are acknowledged."""
        shard = self._shard_of(source)
        if iterations > shard.acknowledged:
            shard.acknowledged = iterations
            self._advance()

    @rpc
    async def may_start(self, source: str, t: int) -> Grant:
        """Answered when the shard may begin iteration ``t``."""
        shard = self._shard_of(source)
        while not self._allowed(shard, t):
            assert self.run is not None
            if shard.waiting_since is None:
                shard.waiting_since = self.now
                self._emit_wait(self.run, shard, t)
            await self.next_progress()
            shard = self._shard_of(source)
        assert self.run is not None
        if shard.moving and shard.acknowledged >= t:
            self._reassign(self.run, shard, shard.worker)
            raise Superseded("the shard was given to a worker that has joined")
        if shard.waiting_since is not None:
            seconds = self.now - shard.waiting_since
            shard.waiting_since = None
            self.emit("wait_finished", worker=shard.worker, shard=shard.number, clock=t, seconds=seconds)
        if t > shard.started:
            shard.started = t
            self._note_round(shard)
            shard.grant = self._grant(self.run)
        assert shard.grant is not None
        return shard.grant

    def _emit_wait(self, run: Run, shard: Shard, t: int) -> None:
        slowest = run.slowest
        waited_for = [each for each in run.living if each.finished == slowest]
        self.emit(
            "wait_started", worker=shard.worker, shard=shard.number, clock=t, bound=self.consistency.bound,
            slowest=slowest, **{"for": [each.worker for each in waited_for]},
            shards=[each.number for each in waited_for],
        )  # fmt: skip

    def _allowed(self, shard: Shard, t: int) -> bool:
        assert self.run is not None
        if t <= shard.started:
            return True  # asked again, since the answer was lost
        # Its own round is not applied yet, and it is to see what it has pushed.
        own = self.consistency.reads_own_writes and t - 1 in shard.in_round and shard.finished < t
        return not (self.hold or own) and self.consistency.may_start(t, self.run.slowest)

    def _grant(self, run: Run) -> Grant:
        living = run.living
        return Grant(self.consistency, tuple(shard.finished for shard in living), 1 / max(1, len(living)))

    def _note_round(self, shard: Shard) -> None:
        if self.consistency.rounds:
            shard.in_round[shard.started] = shard.source
        else:
            shard.in_round.pop(shard.started, None)

    def _advance(self) -> None:
        """A shard has ended an iteration, or is no more: what follows?"""
        run = self.run
        if run is None:
            return
        for shard in run.shards:
            while shard.finished < shard.acknowledged and shard.finished not in shard.in_round:
                self._finish(shard, shard.source)
        if not run.closing:
            self._close_next(run)
        if not run.closing and not run.living:
            run.over.set_result(None)
        self.progress.set()

    def _finish(self, shard: Shard, source: str) -> None:
        shard.finished += 1
        if self.run is not None and self.bar is not None and self.bar.due:
            done = sum(each.finished for each in self.run.shards)
            self.bar.show(done, self.run.iterations * len(self.run.shards))
        self.emit(
            "iteration_finished", worker=shard.worker, shard=shard.number, iterations=shard.finished,
            source=source,
        )  # fmt: skip

    def _close_next(self, run: Run) -> None:
        """Have a round applied, if one is complete; or, if rounds are not wanted any more, what there is of
        it."""
        ready = [shard for shard in run.shards if shard.finished < shard.acknowledged]
        if not ready:
            return
        t = min(shard.finished for shard in ready)
        complete = all(shard.acknowledged > t for shard in run.living)
        if complete or not self.consistency.rounds:
            members = [shard for shard in ready if shard.finished == t]
            run.closing = True
            self.spawn(self._close(run, t, members, complete))

    async def _close(self, run: Run, t: int, members: list[Shard], last: bool) -> None:
        try:
            await self._close_round(run, t, members, last)
        except Exception as error:
            if self.run is not run:
                raise
            self._fail(error)  # whoever waits for the run hears of it

    async def _close_round(self, run: Run, t: int, members: list[Shard], last: bool) -> None:
        sources = tuple(shard.in_round[t] for shard in members)
        share = 1.0 if last else len(members) / max(1, len(run.living))
        await self.client.close_round((run.number, t), sources, share, last)
        for shard in members:
            self._finish(shard, shard.in_round.pop(t))
        run.closing = False
        if self.run is run:
            self._advance()

    # what a user asks for ------------------------------------------------------------

    def set_consistency(self, consistency: Consistency) -> None:
        """From now on; who waits is looked at again."""
        self.consistency = consistency
        self.emit("consistency_changed", consistency=repr(consistency), bound=consistency.bound)
        self._advance()
        self.progress.set()

    async def quiet(self) -> None:
        """Have no iteration begin, and wait until none is under way."""
        self.hold = True
        while self.run is not None and any(
            shard.worker is not None and shard.waiting_since is None and shard.finished <= shard.started
            for shard in self.run.living
        ):
            await self.next_progress()

    def go_on(self) -> None:
        """The opposite of ``quiet``."""
        self.hold = False
        self.progress.set()


def _number_of(worker: str) -> tuple[str, int]:
    base, _, number = worker.rpartition("-")
    return base, int(number) if number.isdigit() else 0
