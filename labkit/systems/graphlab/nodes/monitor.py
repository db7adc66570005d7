"""The monitor (VLDB 2012, Figure 5a): places atoms, watches the machines, orders snapshots, ends the run.

No data pass through it, and no update waits for it. That T is empty the processes find out among themselves;
they tell it only once.

==============  ==========================================================================================
what happens    what follows
==============  ==========================================================================================
machine silent  a new *epoch*: the atoms are placed on the machines that live, and all begin from the last
                complete snapshot; from the start if there is none
machine back    if it was a member, it has forgotten everything: a new epoch. Else it waits for the next one
monitor dies    when its machine is back, it begins a new epoch; epoch and snapshot are on its disk
T empty         the synchronous snapshot with the number 0 is the result
==============  ==========================================================================================
"""

from __future__ import annotations

from typing import Any

from labkit.parts.members import Silence
from labkit.parts.retry import comes, insist
from labkit.parts.store import Files
from labkit.runtime.copying import loads_keeping_classes
from labkit.runtime.errors import Definite, LabError, Timeout
from labkit.runtime.loop import Task, traceback_text
from labkit.runtime.node import Node, every, rpc
from labkit.runtime.packing import dumps
from labkit.runtime.raised import Ending, named
from labkit.runtime.sync import Event, Signal

from ..atoms import AtomIndex, place
from ..events import EVENTS
from ..lines import Lines
from ..messages import Begin, Order, Report
from ..model import Program, Sync
from ..options import ASYNCHRONOUS, CHROMATIC, RunSpec
from ..scopes import VERTEX

__all__ = ["Monitor"]


class Member:
    """A machine's process that gives signs of life."""

    def __init__(self, life: int, now: float) -> None:
        self.life, self.heard = life, now
        self.epoch, self.updates = 0, 0


class Monitor(Node):
    """See the module's text."""

    events = EVENTS

    def __init__(self, spec: RunSpec, index: AtomIndex, colours: Any, tasks: Any) -> None:
        self.spec, self.options, self.index, self.tasks = spec, spec.options, index, tasks
        #: Consistency, the colours that it asks for, scheduler: what may be changed.
        self.settings = (spec.options.consistency, colours, str(spec.options.scheduler))
        self.check_every = spec.options.ping_every
        self.lines = Lines(self, spec.options.call_timeout, self._come, self._failed)
        self.store = Files(self, spec.files)
        self.known: dict[str, Member] = {}
        self.members: tuple[str, ...] = ()
        self.table: dict[str, Any] = {}
        self.over = Event()
        self.outcome_: Any = None
        self.ending = ""  #: why the run is to end
        self.news = Signal()
        self.folds = 0
        self.senders: list[Task] = []

    async def start(self) -> None:
        """Begin, or go on after a death."""
        program: Program = loads_keeping_classes(self.spec.program)
        self.program, self.syncs = program, dict(program.syncs())
        self.silence = Silence(self.options.timeout, self.now)
        self.epoch = self.disk.get("epoch", 0)
        self.settings = self.disk.get("settings", self.settings)
        self.ending = self.disk.get("ending", "")
        #: Epoch, number and members of the last complete snapshot, and the table then.
        self.last: tuple[int, int, tuple[str, ...], dict[str, Any]] | None = self.disk.get("last")
        if "ended" in self.disk:
            self.outcome_, self.table = self.disk["ended"]
            self.over.set()
            return
        self._clear()
        begun = self.now
        while len(self.known) < len(self.spec.machines) and self.now - begun < self.options.timeout:
            await self.sleep(self.options.ping_every / 5)
        self._new_epoch("it begins" if not self.epoch else "the monitor was away")
        for name, sync in self.syncs.items():
            if sync.every is not None:
                self.spawn(self._in_background(name, sync.every))
        if self.options.snapshot_every is not None:
            self.spawn(self._snapshots(self.options.snapshot_every))

    # who lives ------------------------------------------------------------

    @rpc
    def heartbeat(self, machine: str, life: int, epoch: int, updates: int) -> None:
        """A process's sign of life."""
        member = self.known.get(machine)
        if member is None or member.life != life:
            again = member is not None or machine in self.members
            self.known[machine] = Member(life, self.now)
            if again and machine in self.members:
                self._new_epoch(f"{machine} has begun a new life", machine)
            return
        member.heard, member.epoch, member.updates = self.now, epoch, updates

    @every("check_every")
    def check(self) -> None:
        """Who is silent; whether there were enough updates."""
        if self.over.is_set() or not self.members:
            return
        for machine, seconds in self.silence.look(self.known, self.now):
            del self.known[machine]
            if machine in self.members:
                self._new_epoch(f"{machine} is silent for {seconds:.1f} s", machine)
        most = self.options.max_updates
        done = sum(each.updates for each in self.known.values() if each.epoch == self.epoch)
        if most is not None and done >= most:
            self._end("bound")

    def _clear(self) -> None:
        """What belongs to an epoch."""
        self.loaded: set[str] = set()
        self.idle = False  #: T is empty; a report of this may overtake that another machine has loaded
        self.number = 0  #: of orders
        self.snapshot_number = 0
        self.snapshot_mode = ""  #: of the one that is under way
        self.parts: dict[int, dict[str, Any]] = {}  #: by snapshot what the machines have said of their part
        self.folded: dict[int, dict[str, Any]] = {}
        self.ordered_end = False

    def _new_epoch(self, why: str, machine: str = "") -> None:
        """Roll back (§4.3): all machines that live begin from the last snapshot."""
        members = tuple(each for each in self.spec.machines if each in self.known)
        if not members or self.over.is_set():
            self.members = ()
            return
        for task in self.senders:
            task.cancel()
        self._clear()
        self.members = members
        self.epoch += 1
        self.disk["epoch"] = self.epoch
        self.disk.sync()
        self.lines.begin(self.epoch)
        saved: tuple[str, ...] = ()
        self.table = {}
        if self.last is not None:
            epoch, number, had, self.table = self.last
            saved = tuple(f"{self.spec.snapshot(epoch, number)}/{each}" for each in had)
        placed = place(self.index, members)
        self.emit("epoch_began", run=self.spec.name, epoch=self.epoch, members=list(members), why=why,
                  lost=machine, snapshot=list(self.last[:2]) if self.last else None,
                  consistency=self.settings[0], scheduler=self.settings[2], place=list(placed),
                  synchronous=self.options.scheduler == "synchronous")  # fmt: skip
        begin = Begin(
            self.epoch, self.spec.folder, saved, placed, members, *self.settings, self.tasks, self.table
        )
        self.senders = [self.spawn(self._tell_to_begin(each, begin)) for each in members]
        self.news.fire()

    async def _tell_to_begin(self, machine: str, begin: Begin) -> None:
        try:
            await insist(self, self.spec.process(machine), "begin", begin, every=self.options.call_timeout,
                         wanted=lambda: self.epoch == begin.epoch)  # fmt: skip
        except (Timeout, Definite):
            pass  # the silence of that machine will be noticed

    # orders and reports ------------------------------------------------------------

    def _order(self, kind: str, data: Any = None) -> None:
        self.number += 1
        for machine in self.members:
            self.lines.post(self.spec.process(machine), Order(self.number, kind, data))

    @rpc
    def deliver(self, epoch: int, sender: str, number: int, batch: list[Any]) -> bool:
        """Reports of a process."""
        return self.lines.deliver(epoch, sender, number, batch)

    def _come(self, sender: str, report: Report) -> None:
        machine = sender.removeprefix(self.spec.process(""))
        if machine not in self.members:
            return
        if report.kind == "loaded":
            self.loaded.add(machine)
            if len(self.loaded) == len(self.members):
                self.emit("epoch_runs", run=self.spec.name, epoch=self.epoch)
                if self.ending or self.idle:
                    self._end(self.ending or "empty")
        elif report.kind == "idle":
            self.emit("all_idle", run=self.spec.name, epoch=self.epoch, after=report.data)
            self.idle = True
            self._end("empty")
        elif report.kind == "saved":
            number, folds = report.data
            parts = self.parts.setdefault(number, {})
            parts[machine] = folds
            if len(parts) == len(self.members):
                self._saved(number, parts)
        elif report.kind == "folded":
            name, number, total = report.data
            totals = self.folded.setdefault(number, {})
            totals[machine] = total
            if len(totals) == len(self.members):
                self._merged(name, self.folded.pop(number))
        elif report.kind == "failed":
            self._failed(report.data)
        self.news.fire()

    # the end ------------------------------------------------------------

    def _end(self, reason: str) -> None:
        """Stand still and save the result; a snapshot that is under way is first finished or forgotten."""
        if reason != "empty":
            self.ending = self.disk["ending"] = reason
            self.disk.sync()
        if not self.ordered_end and len(self.loaded) == len(self.members):
            self.ordered_end, self.reason = True, reason
            if self.snapshot_mode == "":
                self._order("finish", (0, ""))

    def _ended(self, kind: str, text: str = "") -> None:
        if not self.over.is_set():
            folder = self.spec.snapshot(self.epoch, 0)
            updates = sum(each.updates for each in self.known.values() if each.epoch == self.epoch)
            self.outcome_ = (kind, text, folder, list(self.members))
            self.disk["ended"] = (self.outcome_, self.table)
            self.disk.sync()
            self.emit("run_finished", run=self.spec.name, result=kind, epoch=self.epoch, updates=updates,
                      error=text)  # fmt: skip
            self.over.set()

    def _failed(self, error: str) -> None:
        self._ended("failed", error)
        self._order("stop")

    @rpc
    async def outcome(self) -> Any:
        """How it has ended: kind, error, folder of the result, its parts; None: not yet, ask again."""
        if not await comes(self.over.wait(), self.options.call_timeout / 2):
            return None
        return self.outcome_

    @rpc
    def cancel(self) -> None:
        """End it now; what it has come to is the result."""
        self._end("cancelled")

    # snapshots ------------------------------------------------------------

    async def _snapshots(self, seconds: float) -> None:
        while not self.over.is_set():
            await self.sleep(seconds)
            if not self.snapshot_mode and not self.ordered_end and self._all_loaded():
                self._snapshot(str(self.options.snapshot))

    def _all_loaded(self) -> bool:
        return bool(self.members) and len(self.loaded) == len(self.members)

    def _snapshot(self, mode: str) -> int:
        self.snapshot_number += 1
        self.snapshot_mode = mode
        self.emit("snapshot_began", run=self.spec.name, epoch=self.epoch, number=self.snapshot_number,
                  mode=mode)  # fmt: skip
        self._order("snapshot", (self.snapshot_number, mode))
        return self.snapshot_number

    @rpc
    async def snapshot(self, mode: str) -> tuple[int, int]:
        """Take one and wait until it is complete; answers epoch and number. Raises ``LabError``."""
        if mode == ASYNCHRONOUS and self.options.engine == CHROMATIC:
            raise LabError("the chromatic engine takes synchronous ones: write snapshot(mode='synchronous')")
        if mode == ASYNCHRONOUS and self.settings[0] == VERTEX:
            raise LabError(
                "an asynchronous snapshot needs at least edge consistency of all updates (Algorithm 5): "
                "write snapshot(mode='synchronous'), or run.consistency = 'edge' before"
            )
        number, epoch = 0, 0
        while not self.over.is_set():
            if number and (epoch != self.epoch or self.last_is(epoch, number)):
                if self.last_is(epoch, number):
                    return epoch, number
                number = 0  # a machine died meanwhile: take another one
            if not number and self._all_loaded() and not self.snapshot_mode and not self.ordered_end:
                number, epoch = self._snapshot(mode), self.epoch
            await self.news.wait()
        raise LabError("the run is over: its result is saved, and there is nothing more to be snapshotted")

    def last_is(self, epoch: int, number: int) -> bool:
        """Whether this snapshot is the last complete one."""
        return self.last is not None and self.last[:2] == (epoch, number)

    def _saved(self, number: int, parts: dict[str, Any]) -> None:
        """All parts are in the file system: it is complete."""
        if number == 0:
            for name, sync in self.syncs.items():
                self._set(name, sync, [parts[each][name] for each in self.members])
            self._ended(self.reason)
            return
        before, self.last = self.last, (self.epoch, number, self.members, dict(self.table))
        self.disk["last"] = self.last
        self.disk.sync()
        self.emit("snapshot_completed", run=self.spec.name, epoch=self.epoch, number=number,
                  mode=self.snapshot_mode)  # fmt: skip
        self.snapshot_mode = ""
        if before is not None:
            self.spawn(self._delete(self.spec.snapshot(*before[:2])))
        self._order("resume")
        if self.ordered_end:
            self._order("finish", (0, ""))

    async def _delete(self, folder: str) -> None:
        try:
            await self.store.delete(folder, recursive=True)
        except (LabError, OSError):
            pass  # it costs room, no more

    # consistency and the shared data table ------------------------------------------------------------

    @rpc
    def change(self, consistency: str, colours: Any) -> None:
        """Another consistency model, from now on. Raises ``LabError`` while Algorithm 5 is at work."""
        if consistency == VERTEX and self.snapshot_mode == ASYNCHRONOUS:
            raise LabError("an asynchronous snapshot is under way, which needs edge consistency: try again")
        self.settings = self.disk["settings"] = (consistency, colours, self.settings[2])
        self.disk.sync()
        self.emit("consistency_changed", run=self.spec.name, epoch=self.epoch, consistency=consistency)
        self._order("consistency", (consistency, colours))

    @rpc
    def reorder(self, scheduler: str) -> None:
        """Another scheduler, from now on, with the same T."""
        self.settings = self.disk["settings"] = (*self.settings[:2], scheduler)
        self.disk.sync()
        self.emit("scheduler_changed", run=self.spec.name, epoch=self.epoch, scheduler=scheduler)
        self._order("scheduler", scheduler)

    @rpc
    async def sync(self, name: str) -> Any:
        """Fold now; answers what the table then holds."""
        if name not in self.syncs:
            raise KeyError(f"the program has no sync {name!r}; it has {', '.join(self.syncs) or 'none'}")
        epoch, number = 0, 0
        while not self.over.is_set():
            if epoch != self.epoch and self._all_loaded() and not self.ordered_end:
                epoch, number = self.epoch, self._fold(name)
            if number and epoch == self.epoch and number not in self.folded:
                return self.table[name]
            await self.news.wait()
        if name not in self.table:
            raise LabError("the run has ended before: result() tells why")
        return self.table[name]

    def _fold(self, name: str) -> int:
        self.folds += 1
        self.folded[self.folds] = {}
        self._order("fold", (name, self.folds))
        return self.folds

    def _merged(self, name: str, totals: dict[str, Any]) -> None:
        self._set(name, self.syncs[name], [totals[each] for each in self.members])
        if self.over.is_set():
            return
        self._order("table", {name: self.table[name]})
        try:
            enough = self.program.until(dict(self.table))
        except Ending:
            raise
        except Exception as error:
            self._failed(f"until(): {named(error)}\n{traceback_text(error)}")
            return
        if enough:
            self._end("until")

    def _set(self, name: str, sync: Sync, totals: list[Any]) -> None:
        total = totals[0]
        try:
            for each in totals[1:]:
                total = sync.merge(total, each)
            value = sync.apply(total)
            dumps(value)  # it goes to all machines
        except Ending:
            raise
        except Exception as error:
            self._failed(f"the sync {name!r}: {named(error)}\n{traceback_text(error)}")
            return
        self.table[name] = value
        self.emit("synced", run=self.spec.name, epoch=self.epoch, name=name,
                  value=value if isinstance(value, (int, float, str, bool)) else None)  # fmt: skip

    async def _in_background(self, name: str, seconds: float) -> None:
        while not self.over.is_set():
            await self.sleep(seconds)
            if self._all_loaded() and not self.ordered_end and not self.folded:
                self._fold(name)

    @rpc
    def contents(self) -> dict[str, Any]:
        """The shared data table."""
        return dict(self.table)
