"""The chromatic engine (VLDB 2012, §4.2.1): all tasks of one colour, then a barrier, then the next colour.

Neighbours have different colours, so updates of one colour never overlap and need no locks. Writes go to the
ghosts while the step goes on, and count from its end: "a full communication barrier". Each machine says to
each other that its step is over; behind that message nothing of the step comes, and whoever has it from all
has everything. What was T at the end of a step all can add up in the same way, so all know when it is empty.

With full consistency an update writes what others own: it takes two messages, to the owner and on to the
ghosts, and so two barriers.

``scheduler="synchronous"`` is the same with one colour, in which each update sees the values of the step
before (Jacobi, as Pregel does it).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from labkit.runtime.sync import Event, Signal
from labkit.trace.words import many

from ..messages import Done, EndOfStep, Ghosts, Order, Push
from ..scopes import FULL
from .process import Process, Running

__all__ = ["ChromaticProcess"]


class ChromaticProcess(Process):
    """See the module's text."""

    def _reset(self) -> None:
        self.together = self.options.scheduler == "synchronous"
        self.step = 0
        self.ends: dict[int, dict[str, EndOfStep]] = {}
        self.ended: dict[str, int] = {}  #: by process: how many of its steps are over
        self.later: dict[int, list[tuple[str, Any]]] = {}  #: messages, by the step that they belong to
        self.news = Signal()
        self.resumed = Event()
        self.queue: list[Order] = []  #: orders that were not obeyed yet
        self.given = 0  #: tasks for others in this step
        self.waits = False  #: T is empty: nothing more happens but what the monitor orders

    def _go(self) -> None:
        self.tasks_of_epoch.append(self.spawn(self._steps()))

    # steps ------------------------------------------------------------

    async def _steps(self) -> None:
        while True:
            colours = 1 if self.together else int(np.max(self.colours, initial=0)) + 1
            before = self.colours
            for colour in range(colours):
                if not await self._colour(colour):
                    return
                active = 1
                for _ in range(2 if self.consistency == FULL else 1):
                    active = await self._barrier()
                if not active:
                    self._report_idle()
                    return
                await self._obey_all(min(end.orders for end in self._ends_of(self.step - 1)))
                if self.colours is not before:
                    break  # another consistency model, other colours

    async def _colour(self, colour: int) -> bool:
        """Execute all tasks of a colour; False if an update failed."""
        due = [v for v in sorted(self.scheduler.tasks) if self.together or self.colours[v] == colour]
        if self.options.log and due:
            self.emit("step_began", run=self.spec.name, epoch=self.lines.epoch, step=self.step, colour=colour,
                      vertices=due)  # fmt: skip
        runs = []
        for v in due:
            del self.scheduler.tasks[v]
            runs.append(self._run(v, "update", self.consistency))
        self._forget_order()
        size = self.options.batch * self.options.workers
        for at in range(0, len(runs), size):
            batch = runs[at : at + size]
            cost = self._cost(batch) / min(len(batch), self.options.workers)
            if error := await self._executed(batch, cost):
                self._fail(error)
                return False
            if not self.together:
                self._commit_all(batch)
        if self.together:
            self._commit_all(runs)
        return True

    def _forget_order(self) -> None:
        """Of the scheduler only the set is used: the colours are the order."""
        self.scheduler.order = sorted(self.scheduler.tasks)  # type: ignore[attr-defined]

    def _commit_all(self, runs: list[Running]) -> None:
        for run in runs:
            for machine, done in self._commit(run).items():
                self.given += len(done.tasks)
                self._tell(machine, done)

    # the barrier ------------------------------------------------------------

    async def _barrier(self) -> int:
        """Wait until everything of this step is here; returns how many tasks there are in the whole graph."""
        step, own = self.step, self.spec.process(self.machine)
        end = EndOfStep(step, len(self.scheduler) + self.given, self.orders)
        self.given = 0
        self.ends.setdefault(step, {})[own] = end
        for machine in self.members:
            if machine != self.machine:
                self._tell(machine, end)
        while len(self.ends[step]) < len(self.members):
            await self.news.wait()
        order = {self.spec.process(machine): i for i, machine in enumerate(self.members)}
        # Sorted, so that a step ends in the same state however its messages have come.
        for _, message in sorted(self.later.pop(step, []), key=lambda each: order[each[0]]):
            if isinstance(message, Push):
                self._push(message)
            else:
                self._done(message)
        self.step += 1
        self.ends.pop(step - 1, None)
        return sum(each.active for each in self.ends[step].values())

    def _ends_of(self, step: int) -> list[EndOfStep]:
        return list(self.ends[step].values())

    def _report_idle(self) -> None:
        self.waits = True
        if self.number == 0:
            self._report("idle", many(self.step, "step"))
        self.tasks_of_epoch.append(self.spawn(self._obey_all(len(self.queue) + self.orders)))

    # messages ------------------------------------------------------------

    def _come(self, sender: str, message: Any) -> None:
        match message:
            case Order():
                self.orders = message.number
                if message.kind == "resume":
                    self.resumed.set()
                if message.kind == "stop":
                    self._stop()
                self.queue.append(message)
                if self.waits:
                    self.tasks_of_epoch.append(self.spawn(self._obey_all(self.orders)))
            case Ghosts():
                self._ghosts(sender, message)
            case EndOfStep():
                self.ends.setdefault(message.step, {})[sender] = message
                self.ended[sender] = message.step + 1
            case Push() | Done():
                self.later.setdefault(self.ended.get(sender, 0), []).append((sender, message))
        self.news.fire()

    # orders ------------------------------------------------------------

    async def _obey_all(self, until: int) -> None:
        """Orders that all have: each machine obeys them at the same barrier."""
        while self.queue and self.queue[0].number <= until:
            order = self.queue.pop(0)
            if order.kind in ("snapshot", "finish"):
                self.resumed.clear()
                await self._save(self.local.own_items(), self._all_states(), order.data[0])
                await self.resumed.wait()
            else:
                self._obey(order)
