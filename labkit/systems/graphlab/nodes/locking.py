"""The locking engine (VLDB 2012, §4.2.2): a readers-writer lock for each vertex, requested in a pipeline.

=========  ===================================================================================
a task is  when
=========  ===================================================================================
in T       it was added; the scheduler has it
in the     its locks were requested: the request goes along the machines of its scope in canonical
pipeline   order, each of which locks its part and tells the asker, behind the newest data
ready      all its machines have told; a worker takes it
over       its writes were pushed; then its locks are given back, and its tasks are in T
=========  ===================================================================================

While it waits for locks, up to ``pipeline`` others of this machine wait too: the network's latency is paid
once for many. Since an owner pushes each new version before it gives a lock, a scope that is locked is new.

**Snapshots.** Synchronous: the machine begins nothing more; when its pipeline is empty it says so to all
others, and when all have said so nothing is on its way. Asynchronous: Algorithm 5, an update function of its
own, which comes before all others::

    if v was already snapshotted: quit
    save D_v
    for each neighbour u that was not snapshotted: save D_u↔v; schedule u for a snapshot
    mark v as snapshotted

So a snapshot is a wave over the graph, and the marks are its front. Nothing from before it may read what lies
behind: an update that would is preceded by its own vertex's snapshot, under the same locks.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Any

from labkit.runtime.sync import Event
from labkit.trace.words import many

from ..locks import Locks, Wanted
from ..messages import Done, Flushed, Ghosts, Job, Lock, Locked, Order, Push, Token
from ..options import SYNCHRONOUS
from ..scopes import EDGE, FULL, VERTEX, Item, Record
from ..termination import Consensus
from .process import Process, Running

__all__ = ["LockingProcess"]

#: The function of a snapshot's update.
SNAPSHOT = ""


class Wave:
    """This machine's part of an asynchronous snapshot."""

    def __init__(self, number: int, own: list[int]) -> None:
        self.number = number
        self.queue: deque[int] = deque()  #: scheduled for their snapshot
        self.rest = deque(own)  #: from which it begins where no wave comes by
        self.asked: set[int] = set()  #: whose locks were requested for it
        self.records: dict[Item, Record] = {}
        self.states: dict[int, Any] = {}


class LockingProcess(Process):
    """See the module's text."""

    def _reset(self) -> None:
        self.locks = Locks()
        self.jobs: dict[Job, Running] = {}  #: the pipeline, and what is executed
        self.ready: deque[Running] = deque()
        self.work = Event()
        self.consensus = Consensus(self.number, len(self.members))
        self.wave: Wave | None = None
        self.last_wave = 0
        self.halt: Order | None = None  #: the order to stand still that was not obeyed yet
        self.suspended = False
        self.flushed: dict[int, set[str]] = {}
        self.under_way: dict[int, int] = {}  #: by vertex its updates that are not over
        self.waiting: dict[int, None] = {}  #: vertices that wait in the pipeline

    def _go(self) -> None:
        for _ in range(self.options.workers):
            self.tasks_of_epoch.append(self.spawn(self._worker()))
        self._pump()

    # the pipeline ------------------------------------------------------------

    def _pump(self) -> None:
        """Request locks for as many tasks as the pipeline holds."""
        if not self.going:
            return
        while not self.suspended and len(self.jobs) < self.options.pipeline:
            found = self._next_snapshot() or self.scheduler.pop()
            if found is None:
                break
            self._request(*found)
        if self.suspended and not self.jobs:
            self._drained()
        self._pass_token_on()

    def _request(self, v: int, function: str) -> None:
        mode = EDGE if function == SNAPSHOT else self.consistency
        run = self._run(v, function, mode)
        wanted = [Wanted(v, True)]
        if mode != VERTEX:
            wanted += [Wanted(u, mode == FULL) for u in self.local.around[v].tolist()]
        for each in sorted(wanted, key=self._canonical):
            machine = self.local.owner[each.vertex]
            run.parts[machine] = (*run.parts.get(machine, ()), each)
        run.waiting = len(run.parts)
        self.jobs[run.job] = run
        if function != SNAPSHOT:
            self.under_way[v] = self.under_way.get(v, 0) + 1
            self.waiting[v] = None
        self._forward(Lock(run.job, self.machine, v, tuple(run.parts.items())))

    def _canonical(self, wanted: Wanted) -> tuple[int, int]:
        """(owner, vertex): the same order for all, so nobody waits in a circle."""
        return self.members.index(self.local.owner[wanted.vertex]), wanted.vertex

    def _forward(self, lock: Lock) -> None:
        """To the next machine of the request."""
        machine = lock.parts[0][0]
        if machine == self.machine:
            self._lock(lock)
        else:
            self._tell(machine, lock)

    def _lock(self, lock: Lock) -> None:
        wanted = lock.parts[0][1]
        waits = partial(self._waits, lock)
        self.locks.acquire(lock.job, wanted, partial(self._locked_here, lock), waits)

    def _waits(self, lock: Lock, vertex: int) -> None:
        if self.options.log:
            holders = [list(each) for each in self.locks.held(vertex)]
            self.emit("lock_awaited", run=self.spec.name, epoch=self.lines.epoch, job=list(lock.job),
                      by=lock.vertex, vertex=vertex, holders=holders)  # fmt: skip

    def _locked_here(self, lock: Lock) -> None:
        """The callback: this machine's part is held."""
        (_, wanted), rest = lock.parts[0], lock.parts[1:]
        if self.options.log:
            self.emit("locked", run=self.spec.name, epoch=self.lines.epoch, job=list(lock.job),
                      locks={str(vertex): write for vertex, write in wanted})  # fmt: skip
        if lock.asker == self.machine:
            self._has(lock.job)
        else:
            self._tell(lock.asker, Locked(lock.job))
        if rest:
            self._forward(lock._replace(parts=rest))

    def _has(self, job: Job) -> None:
        """One machine's locks are held, and its data are here."""
        run = self.jobs[job]
        run.waiting -= 1
        if not run.waiting:
            self.ready.append(run)
            self.work.set()

    def _unlock(self, job: Job, wanted: tuple[Wanted, ...]) -> None:
        if wanted:
            if self.options.log:
                self.emit("unlocked", run=self.spec.name, epoch=self.lines.epoch, job=list(job),
                          vertices=[vertex for vertex, _ in wanted])  # fmt: skip
            self.locks.release(job, wanted)

    # executing ------------------------------------------------------------

    async def _worker(self) -> None:
        while True:
            while not self.ready:
                self.work.clear()
                await self.work.wait()
            batch = [self.ready.popleft() for _ in range(min(len(self.ready), self.options.batch))]
            for run in batch:
                if run.function == SNAPSHOT or self._behind_the_wave(run.v):
                    self._snapshot(run.v)
                if run.function != SNAPSHOT:
                    self.waiting.pop(run.v, None)
            error = await self._executed(batch, self._cost(batch))
            if error:
                self.suspended = True
                self._fail(error)
                return
            for run in batch:
                self._over(run)
            self._pump()

    def _add_task(self, v: int, priority: float) -> None:
        """Unless it waits for its locks only, and is still to see what has changed: a duplicate."""
        if v not in self.waiting:
            super()._add_task(v, priority)

    def _over(self, run: Running) -> None:
        """Write, push, give the locks back: in this order."""
        del self.jobs[run.job]
        dones: dict[str, Done] = {}
        if run.function != SNAPSHOT:
            self.under_way[run.v] -= 1
            dones = self._commit(run)
        for machine in self.members:
            done = dones.get(machine, Done(run.job, {}, (), ()))
            done = done._replace(unlock=run.parts.get(machine, ()))
            if machine == self.machine:
                self._unlock(done.job, done.unlock)
            elif done.unlock or machine in dones:
                self._tell(machine, done)

    # messages ------------------------------------------------------------

    def _tell(self, machine: str, message: Any) -> None:
        if not isinstance(message, Token):
            self.consensus.sent()
        super()._tell(machine, message)

    def _come(self, sender: str, message: Any) -> None:
        if isinstance(message, Order):
            self._ordered(message)
            return
        if isinstance(message, Token):
            self.consensus.token = message
        else:
            self.consensus.got()
        match message:
            case Lock():
                self._lock(message)
            case Locked():
                self._has(message.job)
            case Push():
                self._push(message)
                self._wave_begins(max(message.marks.values(), default=0))
            case Done():
                self._done(message)
                self._unlock(message.job, message.unlock)
                if self.wave is not None:
                    self.wave.queue.extend(message.snapshot)
            case Ghosts():
                self._ghosts(sender, message)
            case Flushed():
                self.flushed.setdefault(message.number, set()).add(sender)
        self._pump()

    # termination ------------------------------------------------------------

    def _pass_token_on(self) -> None:
        passive = not self.jobs and not len(self.scheduler) and self.wave is None and not self.suspended
        consensus = self.consensus
        if consensus.token is None or not passive:
            return
        if self.number == 0 and (len(self.members) == 1 or consensus.over()):
            consensus.token = None
            self._report("idle", f"{many(consensus.rounds, 'round')} of the token")
        else:
            self._tell(self.members[(self.number + 1) % len(self.members)], consensus.passed_on())

    # orders and snapshots ------------------------------------------------------------

    def _ordered(self, order: Order) -> None:
        if order.kind == "snapshot" and order.data[1] != SYNCHRONOUS:
            self._wave_begins(order.data[0])
        elif order.kind in ("snapshot", "finish"):
            self.halt, self.suspended, self.wave = order, True, None
        elif order.kind == "resume":
            self.suspended = False
        elif order.kind == "stop":
            self._stop()
        elif order.kind == "scheduler":
            before = self.scheduler
            self.scheduler = self._scheduler(order.data)
            for v in self.local.own:
                self.scheduler.restore(v, before.state(v))
        else:
            self._obey(order)
        self._pump()

    def _drained(self) -> None:
        """Nothing of this machine is under way: say so, and save when all have."""
        if self.halt is None:
            return
        number = self.halt.data[0]
        told = self.flushed.setdefault(number, set())
        if self.machine not in told:
            told.add(self.machine)
            for machine in self.members:
                if machine != self.machine:
                    self._tell(machine, Flushed(number))
        if len(told) == len(self.members):
            self.halt = None
            states = self._all_states()
            self.tasks_of_epoch.append(self.spawn(self._save(self.local.own_items(), states, number)))

    def _wave_begins(self, number: int) -> None:
        """The monitor has ordered it, or another machine's mark tells that it did: whichever comes first."""
        if number > self.last_wave and self.halt is None:
            self.last_wave, self.wave = number, Wave(number, self.local.own)
            if not self.local.own:
                self._wave_over(self.wave)

    def _next_snapshot(self) -> tuple[int, str] | None:
        """The next vertex that the wave has reached; where none comes by, one is begun."""
        wave = self.wave
        if wave is None:
            return None
        for queue in (wave.queue, wave.rest):
            while queue:
                v = queue.popleft()
                if not self._marked(v) and v not in wave.asked:
                    wave.asked.add(v)
                    return v, SNAPSHOT
        return None

    def _marked(self, v: int) -> bool:
        return self.wave is not None and self.local.marks.get(v) == self.wave.number

    def _behind_the_wave(self, v: int) -> bool:
        """Whether an update of v could see what lies behind the wave, though v is before it."""
        return (
            self.wave is not None
            and not self._marked(v)
            and any(self._marked(u) for u in self.local.around[v].tolist())
        )

    def _snapshot(self, v: int) -> None:
        """Algorithm 5, under v's locks."""
        wave, local = self.wave, self.local
        if wave is None or self._marked(v):
            return
        wave.records[v] = local.records[v]
        state = self.scheduler.state(v)
        wave.states[v] = 0.0 if state is None and self.under_way.get(v) else state
        to_others: dict[str, list[int]] = {}
        for u in local.around[v].tolist():
            if not self._marked(u):
                wave.records |= {edge: local.records[edge] for edge in local.edges_of(v, u)}
                to_others.setdefault(local.owner[u], []).append(u)
        local.marks[v] = wave.number
        wave.queue.extend(to_others.pop(self.machine, ()))
        for machine in local.mirrors[v]:
            self._tell(machine, Push({}, {v: wave.number}))
        for machine, vertices in to_others.items():
            self._tell(machine, Done((self.number, 0), {}, (), (), tuple(vertices)))
        if len(wave.states) == len(local.own):
            self._wave_over(wave)

    def _wave_over(self, wave: Wave) -> None:
        self.wave = None
        save = self._save(wave.records, wave.states, wave.number)
        self.tasks_of_epoch.append(self.spawn(save))
