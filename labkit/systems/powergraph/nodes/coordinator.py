"""The coordinator: who lives, in which epoch they are, which snapshot is whole. It computes nothing.

==================  ======================================================================================
what happens        what follows (§4.4)
==================  ======================================================================================
a machine is lost   a new epoch: those that live load the graph anew, and begin from the last snapshot that
                    is whole; from the beginning, if there is none
one comes back      it takes part from the next epoch on
all are killed      as they come back they form a new epoch
the coordinator is  the others go on; when it is back it knows epoch and snapshot from its disk, and begins a
                    new epoch
a part is missing   a snapshot is whole when every machine has written its part; until then the older one
                    counts
==================  ======================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from labkit.parts.members import Silence
from labkit.parts.retry import comes, insist
from labkit.parts.store import Files
from labkit.runtime.errors import LabError
from labkit.runtime.node import Node, every, rpc
from labkit.runtime.sync import Event

from ..events import EVENTS
from ..options import Plan, Spec

__all__ = ["Coordinator"]

#: Orders that stay in force in later epochs.
KEPT = ("engine", "delta_caching", "cut")


@dataclass
class Member:
    """A machine that has been heard of."""

    life: int
    heard: float


class State(NamedTuple):
    """What the coordinator answers."""

    epoch: int
    members: tuple[str, ...]  #: nodes, by rank
    loaded: bool  #: whether all of them have their part of the graph
    chosen: dict[str, Any]  #: cut, engine, delta_caching
    snapshot: int  #: the number of the last one that is whole; 0: none
    over: bool


class Coordinator(Node):
    """See the module's text."""

    events = EVENTS

    def __init__(self, spec: Spec) -> None:
        self.spec, self.options = spec, spec.options
        self.check_every = spec.options.timeout / 5
        self.store = Files(self, spec.files)
        self.members: dict[str, Member] = {}
        self.plan: Any = None  #: a ``Plan``, while there is an epoch
        self.lives: dict[str, int] = {}  #: of the members of the epoch
        self.loaded_by: dict[int, int] = {}  #: by rank, its replicas
        self.saved_by: dict[int, dict[int, str]] = {}  #: by snapshot: rank to file
        self.grouping = False
        self.over = Event()
        self.error: str | None = None
        self.results: tuple[str, ...] = ()

    def start(self) -> None:
        """Begin, or go on where the former life was."""
        self.snapshot: tuple[str, ...] = self.disk.get("snapshot", ())
        self.epoch = self.disk.get("epoch", 0)
        self.number = self.disk.get("number", 0)
        self.going = self.disk.get("going", False)
        self.orders = self.disk.get("orders", [])  #: (number, what, value), not yet performed
        self.whole = self.disk.get("whole", 0)  #: the number of the last snapshot that is
        kept = {"engine": self.options.engine, "cut": self.options.cut}
        self.chosen = self.disk.get("chosen", {**kept, "delta_caching": self.options.delta_caching})
        self.silence = Silence(self.options.timeout, self.now)
        if "ended" in self.disk:
            self.error, self.results = self.disk["ended"]
            self.over.set()
            return
        self._regroup("the coordinator is back" if self.epoch else "")

    def _note(self, **state: Any) -> None:
        self.disk.update(state)
        self.disk.sync()

    # who lives ------------------------------------------------------------

    @rpc
    def alive(self, name: str, life: int) -> int:
        """A sign of life. Returns the epoch."""
        member = self.members.get(name)
        if member is None or member.life != life:
            self.members[name] = Member(life, self.now)
            self.emit("machine_registered", member=name, life=life)
            if self.lives.get(name, life) != life:
                self._regroup(f"{name} was restarted")
        else:
            member.heard = self.now
        # Who does not take part in this epoch takes part in none.
        return self.epoch if name in self.lives else self.epoch + 1

    @every(seconds="check_every")
    def check(self) -> None:
        """Who has been silent for too long is dead."""
        for name, silent in self.silence.look(self.members, self.now):
            del self.members[name]
            self.emit("machine_lost", member=name, silent=silent)
            if name in self.lives:
                self._regroup(f"{name} is silent")

    # epochs ------------------------------------------------------------

    def _regroup(self, why: str) -> None:
        """Begin a new epoch soon, with those that live then."""
        if not self.grouping and not self.over.is_set():
            self.grouping = True
            self.lives = {}
            self.plan = None
            self.spawn(self._group(why))

    async def _group(self, why: str) -> None:
        expected = {self.spec.member(machine) for machine in self.spec.machines}
        deadline = self.now + self.options.timeout
        while not self.members or (self.now < deadline and self.members.keys() != expected):
            await self.sleep(self.check_every / 4)
        self.grouping = False
        self.epoch += 1
        self._note(epoch=self.epoch)
        self.lives = {name: self.members[name].life for name in sorted(self.members)}
        plan = self.plan = Plan(
            self.epoch, tuple(self.lives), self.chosen["cut"], self.chosen["engine"],
            self.chosen["delta_caching"], self.going, self.snapshot,
        )  # fmt: skip
        self.loaded_by, self.saved_by = {}, {}
        self.emit(
            "epoch_began", epoch=self.epoch, members=list(plan.members), cut=plan.cut, engine=plan.engine,
            delta_caching=plan.delta_caching, snapshot=bool(self.snapshot), going=self.going, why=why,
            vertices=self.spec.vertices, edges=self.spec.edges, batch=self.spec.batch,
        )  # fmt: skip
        for name in plan.members:
            self.spawn(self._begin(plan, name))

    async def _begin(self, plan: Plan, name: str) -> None:
        try:
            known = await insist(
                self, name, "begin", self.lives[name], plan, every=self.options.call_timeout,
                wanted=lambda: self.plan is plan,
            )  # fmt: skip
        except LabError:
            return  # whoever is silent is found
        if not known and self.plan is plan:
            self._regroup(f"{name} has begun anew")

    @rpc
    def loaded(self, epoch: int, rank: int, replicas: int) -> None:
        """A machine has its part of the graph."""
        if not self._current(epoch):
            return
        self.loaded_by[rank] = replicas
        if len(self.loaded_by) == len(self.plan.members):
            total = sum(self.loaded_by.values())
            factor = total / max(1, self.spec.vertices)
            self.emit("graph_loaded", epoch=epoch, cut=self.plan.cut, replication=factor)
            for order in self.orders:
                self.spawn(self._pass_on(order))

    def _current(self, epoch: int) -> bool:
        return self.plan is not None and epoch == self.plan.epoch

    # orders ------------------------------------------------------------

    @rpc
    def order(self, what: str, value: Any, request: str) -> int:
        """A user's: "go", "engine", "delta_caching", "cut" or "snapshot". request: names it, should it come
        twice. Returns its number."""
        requests = self.disk.get("requests", {})
        if request in requests:
            return int(requests[request])
        self.number += 1
        self._note(number=self.number, requests={**requests, request: self.number})
        self.emit("ordered", number=self.number, what=what, value=value)
        if what in KEPT:
            self.chosen[what] = value
            self._note(chosen=self.chosen)
        # Another cut needs another loading: from a snapshot of this moment.
        order = (self.number, "snapshot" if what == "cut" else what, value)
        if what == "go":
            self._note(going=True)
        self._note(orders=[*self.orders, order])
        self.orders = self.disk["orders"]
        if self.plan is not None and len(self.loaded_by) == len(self.plan.members):
            self.spawn(self._pass_on(order))
        return self.number

    async def _pass_on(self, order: tuple[int, str, Any]) -> None:
        """To the machine of rank 0."""
        plan = self.plan
        if plan is None:
            return  # as soon as the next epoch has loaded
        try:
            await insist(
                self, plan.members[0], "order", plan.epoch, order, every=self.options.call_timeout,
                wanted=lambda: self.plan is plan,
            )  # fmt: skip
        except LabError:
            return

    @rpc
    def performed(self, epoch: int, numbers: list[int]) -> None:
        """What was ordered has been done by all."""
        if self._current(epoch):
            done = [order for order in self.orders if order[0] in numbers]
            self.orders = [order for order in self.orders if order[0] not in numbers]
            self._note(orders=self.orders)
            self.going |= any(what == "go" for _, what, _ in done)
            if self.plan is not None and self.plan.cut != self.chosen["cut"]:
                self._regroup(f"the cut is to be {self.chosen['cut']}")

    # snapshots and the end ------------------------------------------------------------

    @rpc
    def saved(self, epoch: int, number: int, rank: int, path: str) -> None:
        """A machine has written its part of a snapshot; of number 0: of the result."""
        if not self._current(epoch) or self.over.is_set() or 0 < number <= self.whole:
            return
        parts = self.saved_by.setdefault(number, {})
        parts[rank] = path
        if len(parts) < len(self.plan.members):
            return
        files, old = tuple(parts[rank] for rank in sorted(parts)), self.snapshot
        if number:
            self.snapshot, self.whole = files, number
            self._note(snapshot=files, whole=number)
            self.emit("snapshot_taken", number=number, parts=len(files))
            self.spawn(self._delete(old))
        else:
            self._finish(None, files)

    async def _delete(self, files: tuple[str, ...]) -> None:
        for path in files:
            try:
                await self.store.delete(path)
            except (LabError, OSError):
                continue

    @rpc
    def failed(self, epoch: int, error: str) -> None:
        """The program raised an exception, or the file system has lost what is needed."""
        if self._current(epoch):
            self._finish(error, ())

    @rpc
    def cancel(self) -> None:
        """Its user wants it no more."""
        self._finish("it was cancelled", ())

    def _finish(self, error: str | None, files: tuple[str, ...]) -> None:
        if not self.over.is_set():
            self.error, self.results = error, files
            self._note(ended=(error, files))
            self.over.set()
            if error:
                self.lives = {}  # the machines hear that their epoch is over
            self.emit("finished", result="failed" if error else "ok", error=error)

    @every(seconds="snapshot_wait")
    def snapshot_now_and_then(self) -> None:
        """§4.4: snapshots "in regular intervals"."""
        running = self.going and self._current(self.epoch) and not self.over.is_set()
        if self.options.snapshot_every is not None and running and not self.orders:
            self.order("snapshot", None, f"timer-{self.epoch}-{self.now:.6f}")

    @property
    def snapshot_wait(self) -> float | None:
        """Seconds between two; None: never."""
        return self.options.snapshot_every

    @rpc
    async def outcome(self) -> tuple[str | None, tuple[str, ...]] | None:
        """How it ended, and the files of the result; None: it has not ended yet, ask again."""
        if not await comes(self.over.wait(), self.options.call_timeout / 2):
            return None
        return self.error, self.results

    @rpc
    def where(self) -> State:
        """How things are."""
        members = self.plan.members if self.plan is not None else ()
        loaded = bool(members) and len(self.loaded_by) == len(members)
        return State(self.epoch, members, loaded, dict(self.chosen), self.whole, self.over.is_set())
