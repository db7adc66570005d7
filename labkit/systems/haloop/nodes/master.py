"""MapReduce's master with a loop control (§2.3) and a loop-aware scheduler (§3).

*Loop control*: when all reduce tasks of a step are completed, the next step begins; after the last step the
distance to the iteration before is known, and the master decides whether there is another iteration. The user
program hears of the end alone.

*Scheduler* (Figure 6): a task goes to the worker that had the same piece, or the same partition, in the
iteration before. If that worker is busy, the task waits for it a while (``locality_wait``), then goes to an
idle one."""

from __future__ import annotations

from dataclasses import replace
from math import fsum
from typing import Any

from labkit.parts.store.paths import matcher, normal
from labkit.parts.tasks import Group
from labkit.runtime.copying import loads_keeping_classes
from labkit.runtime.errors import LabError
from labkit.runtime.node import rpc
from labkit.runtime.raised import named
from labkit.systems.mapreduce.messages import MAP, REDUCE, Outcome, Output
from labkit.systems.mapreduce.nodes import Master
from labkit.systems.mapreduce.readers import Segment, parts_of, split

from ..events import EVENTS
from ..options import LOOP, MAPPER_INPUT, REDUCER_INPUT, STEP, Body, LoopSpec, Plan

__all__ = ["LoopMaster"]


class LoopMaster(Master):
    """See the module's text. A stage is one step of one iteration: map and reduce tasks as MapReduce's."""

    events = EVENTS

    def __init__(self, job: LoopSpec) -> None:
        super().__init__(job)
        self.body: Body = loads_keeping_classes(job.program)
        self.plan = Plan(0, 0, ())
        self.moving = False  #: between two stages
        #: Who had a partition, or a piece, last: by step and kind, and its number or its segments.
        self.homes: dict[tuple[int, str, Any], str] = {}
        #: By step and map task: the outputs of the invariant tables (§4.1).
        self.invariants: dict[int, dict[int, Output]] = {}
        self.notes: dict[int, float | None] = {}  #: by reduce task, the distance of its partition
        self.distances: list[float | None] = []  #: of each iteration

    # loop control ------------------------------------------------------------

    async def _open(self, why: str) -> None:
        await self._enter(1, 1)

    def _completed(self) -> None:
        if not self.moving:
            self.moving = True
            self.spawn(self._advance())

    async def _advance(self) -> None:
        """All tasks of a stage are completed: the next step, the next iteration, or the end."""
        iteration, step, _ = self.plan
        if step < self.body.steps:
            await self._enter(iteration, step + 1)
            return
        parts = [note for _, note in sorted(self.notes.items())]
        known = bool(parts) and None not in parts
        distance = fsum(note for note in parts if note is not None) if known else None
        self.distances.append(distance)
        over = self._over(iteration, distance)
        self.emit("iteration_finished", iteration=iteration, distance=distance, end=over)
        for each in range(1, self.body.steps):  # nobody reads them any more
            self.spawn(self._drop_output(iteration, each))
        if over:
            self._end("ok")
        else:
            await self._enter(iteration + 1, 1)

    def _over(self, iteration: int, distance: float | None) -> str:
        return self.body.over(iteration, distance)

    async def _drop_output(self, iteration: int, step: int) -> None:
        try:
            await self.store.delete(self._spec.folder(iteration, step), recursive=True)
        except (LabError, OSError):  # it has none, or the file system's master is dead
            pass

    @property
    def _spec(self) -> LoopSpec:
        assert isinstance(self.job, LoopSpec)
        return self.job

    async def _enter(self, iteration: int, step: int) -> None:
        """Begin a stage."""
        self.moving = True
        try:
            splits, tables = await self._splits(iteration, step)
        except Exception as error:  # the user's function for an input, too
            self._fail("failed", f"the input of iteration {iteration}, step {step}: {named(error)}")
            return
        if self.over.is_set():
            return
        for attempt in list(self.attempts.values()):  # of the stage before: nobody needs them
            self.cancel_attempt(attempt)
        self.stage += 1
        self.plan = Plan(iteration, step, tuple(tables))
        self.job = replace(self._spec, splits=tuple(splits), maps=len(splits))
        for kind, total in ((MAP, len(splits)), (REDUCE, self.options.R)):
            self.groups[kind] = self.ledgers[kind].groups[kind] = Group(kind, total, self.now)
        self.tally.settle()
        self.gasps, self.skip, self.notes = {}, {}, {}
        self.outputs, self.preferred = {}, [()] * len(splits)
        kept = self._keep_outputs(iteration, step)
        self.emit(
            "stage_started", iteration=iteration, step=step, M=len(splits), R=self.options.R, kept=kept,
            invariant=self.plan.invariant,
        )  # fmt: skip
        self.preferred = await self._places()
        if self.over.is_set():
            return
        self.moving = False
        for kind, group in self.groups.items():
            for task in range(group.total):
                if task not in group.done:
                    self._idle(kind, task, "first")
        self._assign()
        self._check_over()

    def _keep_outputs(self, iteration: int, step: int) -> list[int]:
        """§4.1: map tasks of invariant tables need not run again: reduce tasks have their output in a
        cache, and who has lost it finds the first iteration's outputs where they are."""
        if REDUCER_INPUT not in self.body.caches or iteration == 1:
            return []
        living = {member.life for member in self.members.values()}
        for task, output in self.invariants.get(step, {}).items():
            if output.life in living:
                self.outputs[task] = output._replace(stage=self.stage)
                self.groups[MAP].done.add(task)
                self._tell(self.outputs[task])
        return sorted(self.outputs)

    async def _splits(self, iteration: int, step: int) -> tuple[list[tuple[Segment, ...]], list[int]]:
        """What each map task reads: the invariant tables first, so that their tasks have the same numbers in
        every iteration."""
        body, splits, tables = self.body, [], []
        inputs = [(each.pattern, number) for number, each in enumerate(body.tables) if each.step == step]
        if folder := self._made_before(iteration, step):
            changing = await self._files_in(folder)
        else:
            named = body.iteration_input
            changing = await self._files(body.input if named is None else named(iteration))
        for number, (function, _) in enumerate(body.step_inputs):
            if (pattern := function(step, iteration)) is not None:
                inputs.append((pattern, STEP - number))
        found = [(await self._files(pattern), table) for pattern, table in inputs]
        for files, table in sorted([*found, (changing, LOOP)], key=lambda each: -each[1]):
            pieces = split(files, self.options.M)
            splits += pieces
            tables += [table] * len(pieces)
        return splits, tables

    def _made_before(self, iteration: int, step: int) -> str:
        """The folder of what the step or the iteration before has made, if a step reads that."""
        if step > 1:
            return self._spec.folder(iteration, step - 1)
        own = self.body.iteration_input is None and iteration > 1
        return self._spec.folder(iteration - 1, self.body.steps) if own else ""

    async def _files_in(self, folder: str) -> list[tuple[str, int]]:
        parts = set(parts_of(folder, self.options.R))
        return [(path, size) for path, size in await self.store.list(folder) if path in parts]

    async def _files(self, pattern: str) -> list[tuple[str, int]]:
        fits = matcher(normal(pattern)).fullmatch
        fixed = pattern.split("*")[0].split("?")[0].split("[")[0].rpartition("/")[0]
        found = await self.store.list(fixed)
        return [(path, size) for path, size in found if fits(path)]

    # loop-aware scheduling ------------------------------------------------------------

    async def _place(self, task: int) -> tuple[str, ...]:
        if task in self.groups[MAP].done:
            return ()
        home = self.homes.get((self.plan.step, MAP, self.job.splits[task]))
        if home is not None and MAPPER_INPUT in self.body.caches:
            return (home,)
        return await super()._place(task)

    def _near(self, kind: str, task: int) -> tuple[str, ...]:
        home = self.homes.get((self.plan.step, REDUCE, task))
        return super()._near(kind, task) if kind == MAP else () if home is None else (home,)

    def _plan(self) -> Plan:
        return self.plan

    def _judge(self, attempt: Any, member: Any, outcome: Outcome) -> None:
        kind, task = attempt.group.name, attempt.task
        new = outcome.result == "ok" and task not in attempt.group.done
        super()._judge(attempt, member, outcome)
        if not new:
            return
        self.homes[self.plan.step, kind, task if kind == REDUCE else self.job.splits[task]] = (
            attempt.worker.name
        )
        if kind == REDUCE:
            self.notes[task] = outcome.note
        elif task < self.plan.invariant:
            self.invariants.setdefault(self.plan.step, {})[task] = self.outputs[task]

    @rpc
    def iterations(self) -> list[float | None]:
        """The distance of each iteration that is completed; None where it was not measured."""
        return self.distances
