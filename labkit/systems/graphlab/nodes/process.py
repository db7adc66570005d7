"""A process: GraphLab on one machine. All processes are equal (VLDB §4, Figure 5b).

==============  ==========================================================================================
what happens    what follows
==============  ==========================================================================================
``begin``       an epoch: the atoms that are placed here are read, from a snapshot if there is one; the
                owners send each ghost's value; then the engine goes on (``nodes/locking``, ``chromatic``)
an update ends  its writes get versions and are pushed to the ghosts; tasks go to the vertices' owners
``Order``       the monitor's: another consistency, a snapshot, a fold, the end
silence         of the monitor or another: nothing. What was on its way is sent again, until a new epoch
==============  ==========================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from labkit.parts.store import Files
from labkit.runtime.copying import loads_keeping_classes
from labkit.runtime.errors import LabError, Timeout
from labkit.runtime.loop import Task, traceback_text
from labkit.runtime.node import Node, every, rpc
from labkit.runtime.packing import dumps
from labkit.runtime.raised import Ending, named, short
from labkit.runtime.sync import gather

from ..atoms import Atom
from ..events import EVENTS
from ..lines import Lines
from ..local import LocalGraph, shown
from ..messages import Begin, Done, Ghosts, Job, Order, Push, Report
from ..model import Program, parsed
from ..options import RunSpec
from ..plan import Plan
from ..schedulers import Scheduler, make
from ..scopes import FULL, Scope

__all__ = ["Process", "Running"]

#: Values that events show: what fits on a vertex in a picture.
PLAIN = (int, float, str, bool)


class Running:
    """A task that was taken from T."""

    __slots__ = ("function", "job", "mode", "parts", "scope", "tasks", "v", "waiting")

    def __init__(self, job: Job, v: int, function: str, mode: str) -> None:
        self.job, self.v, self.function, self.mode = job, v, function, mode
        self.parts: dict[str, tuple[Any, ...]] = {}  #: by machine its locks
        self.waiting = 0  #: machines whose locks it does not have yet
        self.scope: Scope | None = None
        self.tasks: list[tuple[int, float]] = []


class Process(Node):
    """What both engines have in common."""

    events = EVENTS

    def __init__(self, spec: RunSpec, directed: bool) -> None:
        self.spec, self.options, self.directed = spec, spec.options, directed
        self.ping_every = spec.options.ping_every
        self.store = Files(self, spec.files)
        self.lines = Lines(self, spec.options.call_timeout, self._come, self._fail)
        self.program: Program = loads_keeping_classes(spec.program)
        self.tasks_of_epoch: list[Task] = []
        self.members: tuple[str, ...] = ()
        self.updates = 0
        self.going = False  #: all ghosts are there, and the engine goes

    def start(self) -> None:
        """A new life; the monitor hears of it with the first heartbeat."""
        self.life = self.random.getrandbits(48)
        self.spawn(self.heartbeat())

    @every("ping_every")
    async def heartbeat(self) -> None:
        """A sign of life; it also says how many updates were executed."""
        try:
            about = (self.machine, self.life, self.lines.epoch, self.updates)
            await self.call(self.spec.monitor, "heartbeat", *about, timeout=self.ping_every)
        except Timeout:
            pass

    @rpc
    def deliver(self, epoch: int, sender: str, number: int, batch: list[Any]) -> bool:
        """A batch of messages: see ``lines.py``."""
        return self.lines.deliver(epoch, sender, number, batch)

    # an epoch ------------------------------------------------------------

    @rpc
    def begin(self, order: Begin) -> None:
        """Leave all that was, and load."""
        if order.epoch > self.lines.epoch:
            self._stop()
            self.lines.begin(order.epoch, open_=False)
            self.tasks_of_epoch = [self.spawn(self._load(order))]

    def _stop(self) -> None:
        """Whatever goes on."""
        for task in self.tasks_of_epoch:
            task.cancel()
        self.going = False

    async def _load(self, order: Begin) -> None:
        self.members, self.number = order.members, order.members.index(self.machine)
        self.peers = [self.spec.process(each) for each in order.members if each != self.machine]
        self.consistency, self.table = order.consistency, dict(order.table)
        self.colours = order.colours
        self.updates, self.jobs_begun, self.orders = 0, 0, 0
        mine = [a for a, machine in enumerate(order.place) if machine == self.machine]
        try:
            atoms: list[Atom] = list(await gather(*(self._read(f"{order.folder}/atom-{a}") for a in mine)))
            saved = await gather(*(self._read(path) for path in order.saved))
        except (LabError, OSError) as error:
            # In an epoch that is over: the others have gone on, and its snapshot was deleted; nobody listens.
            self._fail(f"{self.machine} cannot read its atoms: {named(error)}")
            return
        self.local = LocalGraph(self.spec.n, self.directed, self.machine, atoms, order.place)
        self.scheduler = self._scheduler(order.scheduler)
        self._restore(order, saved)
        self.missing = set(self.peers)  #: those whose ghosts' values have not come
        self.waits_for: list[Any] = []
        self._reset()
        self.lines.open = True
        states = {}
        if self.options.scheduler == "set":
            states = {v: self.scheduler.state(v) for v in self.local.own}
        ghosts = self.local.for_ghosts()
        for machine in order.members:
            if machine != self.machine:
                self._tell(machine, Ghosts(ghosts.get(machine, {}), states))
        vertices: Any = self.local.own if self.options.log else len(self.local.own)
        self.emit("loaded", run=self.spec.name, epoch=order.epoch, atoms=mine, vertices=vertices,
                  scheduled=self._waiting() if self.options.log else [])  # fmt: skip
        self._try_to_go()

    async def _read(self, path: str) -> Any:
        data = await self.store.read(path)
        assert isinstance(data, bytes)
        return loads_keeping_classes(data)

    def _scheduler(self, name: str) -> Scheduler:
        if name == "set":
            return Plan(self.local.around, sets=self.spec.sets)
        name = "round_robin" if name == "synchronous" else name
        return make(name, self.local.around, self.local.atom.__getitem__, self.options.splash)

    def _restore(self, order: Begin, saved: list[Any]) -> None:
        """Values and tasks of the snapshot; without one the user's first tasks, or all vertices."""
        local, scheduler = self.local, self.scheduler
        for records, states in saved:
            for item, record in records.items():
                if local.owner.get(item[1] if isinstance(item, tuple) else item) == self.machine:
                    local.records[item] = record
            for v, state in states.items():
                if v in local.around:
                    scheduler.restore(v, state)
        if not order.saved:
            tasks = dict.fromkeys(local.own, 0.0) if order.tasks is None else order.tasks
            for v, priority in tasks.items():
                if v in local.around:
                    scheduler.add(v, priority)

    def _ghosts(self, sender: str, message: Ghosts) -> None:
        self.local.take(message.records)
        if self.options.scheduler == "set":
            for v, state in message.states.items():
                if v in self.local.owner:
                    self.scheduler.restore(v, state)
        self.missing.discard(sender)
        self._try_to_go()

    def _try_to_go(self) -> None:
        if not self.missing and not self.going:
            self.going = True
            self._report("loaded")
            self._go()

    # what an engine says ------------------------------------------------------------

    def _reset(self) -> None:
        """Forget the engine's state of the epoch before."""
        raise NotImplementedError

    def _go(self) -> None:
        """All ghosts are there."""
        raise NotImplementedError

    def _come(self, sender: str, message: Any) -> None:
        """A message."""
        raise NotImplementedError

    # updates ------------------------------------------------------------

    def _run(self, v: int, function: str, mode: str) -> Running:
        self.jobs_begun += 1
        return Running((self.number, self.jobs_begun), v, function, mode)

    def _cost(self, batch: list[Running]) -> float:
        """Virtual seconds."""
        edges = sum(len(self.local.around[each.v]) for each in batch)
        user = sum(each.function != "" for each in batch)
        return self.options.seconds_per_update * user + self.options.seconds_per_edge * edges

    async def _executed(self, batch: list[Running], cost: float) -> str:
        """Execute updates: once more, where Ctrl-C struck in the middle, for nothing is written yet."""
        why = ""
        for _ in range(2):
            try:
                return str(await self.compute(self._execute, batch, cost=cost))
            except LabError as error:
                why = named(error)
        return why

    def _execute(self, batch: list[Running]) -> str:
        """Call the update functions, in a thread; returns the error of the one that failed."""
        for each in batch:
            if each.function == "":
                continue
            scope = each.scope = Scope(self.local, each.v, each.mode, self.options.enforce, self.table)
            try:
                found = getattr(self.program, each.function)(each.v, scope)
                planned = self.options.scheduler == "set"  # then what it returns is not looked at
                each.tasks = [] if planned else _tasks(scope, found)
            except Ending:
                raise
            except BaseException as error:
                return f"the update of vertex {each.v}: {named(error)}\n{traceback_text(error)}"
        return ""

    def _commit(self, run: Running) -> dict[str, Done]:
        """Its writes: those of own items get their versions here and go to the ghosts. Returns what is to be
        told to the owners of the others, and of the vertices to be updated, by machine."""
        scope, local = run.scope, self.local
        assert scope is not None
        self.updates += 1
        writes: dict[str, dict[Any, Any]] = {}
        for item, value in scope.writes.items():
            writes.setdefault(local.owner_of(item), {})[item] = value
        made = self._write(writes.pop(self.machine, {}))
        tasks: dict[str, list[tuple[int, float]]] = {}
        for v, priority in run.tasks:
            tasks.setdefault(local.owner[v], []).append((v, priority))
        if self.options.log and self.traced:
            value = scope.writes.get(run.v)
            self.emit(
                "updated", run=self.spec.name, epoch=self.lines.epoch, job=list(run.job), vertex=run.v,
                consistency=run.mode, function=run.function,
                reads={shown(item): record[1] for item, record in scope.reads.items()}, writes=made,
                scheduled=[v for v, _ in run.tasks], value=value if isinstance(value, PLAIN) else None,
            )  # fmt: skip
        for v, priority in tasks.pop(self.machine, ()):
            self._add_task(v, priority)
        self.scheduler.finished(run.v, run.function)
        if self.options.scheduler == "set":
            for machine in local.mirrors[run.v]:
                self._tell(machine, Push({}, {}, ((run.v, run.function),)))
        return {
            machine: Done(run.job, writes.get(machine, {}), tuple(tasks.get(machine, ())), ())
            for machine in self.members
            if machine in writes or machine in tasks
        }

    def _add_task(self, v: int, priority: float) -> None:
        self.scheduler.add(v, priority)

    def _write(self, writes: dict[Any, Any]) -> dict[str, int]:
        """New versions of own items, pushed to the ghosts; returns the versions."""
        pushes: dict[str, dict[Any, Any]] = {}
        for item, value in writes.items():
            record = self.local.write(item, value)
            for machine in self.local.ghosted_at(item):
                pushes.setdefault(machine, {})[item] = record
        for machine, records in pushes.items():
            self._tell(machine, Push(records))
        return {shown(item): self.local.records[item][1] for item in writes}

    def _done(self, message: Done) -> None:
        """Another machine's update has written own items, and returned own vertices."""
        if message.writes:
            made = self._write(message.writes)
            if self.options.log:
                self.emit("written", run=self.spec.name, epoch=self.lines.epoch, job=list(message.job),
                          writes=made)  # fmt: skip
        for v, priority in message.tasks:
            self._add_task(v, priority)

    def _push(self, message: Push) -> None:
        self.local.take(message.records)
        self.local.marks.update(message.marks)
        for v, function in message.finished:
            self.scheduler.finished(v, function)

    def _tell(self, machine: str, message: Any) -> None:
        """A message to another machine's process."""
        self.lines.post(self.spec.process(machine), message)

    def _report(self, kind: str, data: Any = None) -> None:
        self.lines.post(self.spec.monitor, Report(kind, data))

    def _fail(self, error: str) -> None:
        self._report("failed", error)

    # orders ------------------------------------------------------------

    def _obey(self, order: Order) -> None:
        """Those that both engines obey in the same way."""
        if order.kind == "consistency":
            self.consistency, self.colours = order.data
        elif order.kind == "table":
            self.table |= order.data
        elif order.kind == "fold":
            name, number = order.data
            self._report("folded", (name, number, self._fold(name)))

    def _fold(self, name: str) -> Any:
        sync = self.program.syncs()[name]
        total = sync.initial
        try:
            for v in self.local.own:
                scope = Scope(self.local, v, FULL, True, self.table)
                total = sync.fold(total, scope)
                if scope.writes:
                    raise TypeError("a fold only reads the scope: write in update()")
        except Ending:
            raise
        except Exception as error:
            self._fail(f"the sync {name!r}: {named(error)}\n{traceback_text(error)}")
        return total

    async def _save(self, records: Any, states: Any, number: int) -> None:
        """Into the file system, as this machine's part of a snapshot; number 0 is the result."""
        folder = self.spec.snapshot(self.lines.epoch, number)
        try:
            data = dumps((records, states))
        except Ending:
            raise
        except Exception as error:
            self._fail(f"a value cannot be saved, or sent to another machine: {named(error)}")
            return
        try:
            await self.store.write(f"{folder}/{self.machine}", data)
        except (LabError, OSError) as error:
            self._fail(f"{self.machine} cannot save its part of {folder!r}: {named(error)}")
            return
        if self.options.log:
            saved = {shown(item): record[1] for item, record in records.items()}
            self.emit("part_saved", run=self.spec.name, epoch=self.lines.epoch, number=number, items=saved,
                      scheduled=[v for v, state in states.items() if state is not None])  # fmt: skip
        folds = {name: self._fold(name) for name in self.program.syncs()} if number == 0 else {}
        self._report("saved", (number, folds))

    def _waiting(self) -> list[int]:
        return [v for v in self.local.own if v in self.scheduler]

    def _all_states(self) -> dict[int, Any]:
        return {v: self.scheduler.state(v) for v in self.local.own}


def _tasks(scope: Scope, returned: Any) -> list[tuple[int, float]]:
    """What an update function has returned: vertices of the scope, or (vertex, priority)."""
    if returned is None:
        return []
    if not isinstance(returned, Iterable):
        raise TypeError(
            f"update() returned {short(returned)}: return a list of tasks, [u] or [(u, priority)], or nothing"
        )
    return [(scope._in_scope(v), priority) for v, priority in map(parsed, returned)]
