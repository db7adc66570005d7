"""MapReduce's worker with the three caches (§4); see ``caches.py``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from labkit.parts.store import Modelled
from labkit.runtime.copying import loads_keeping_classes
from labkit.systems.mapreduce.messages import Order, Outcome
from labkit.systems.mapreduce.nodes import Worker
from labkit.systems.mapreduce.nodes.worker import Running
from labkit.systems.mapreduce.options import JobSpec
from labkit.systems.mapreduce.readers import Pairs, Piece, Segment, parts_of

from ..caches import InputCache, Joined
from ..events import EVENTS
from ..model import distance_of
from ..options import LOOP, MAPPER_INPUT, REDUCER_INPUT, REDUCER_OUTPUT, STEP, Body, LoopSpec, Plan

__all__ = ["LoopWorker"]


class LoopWorker(Worker):
    """See the module's text."""

    events = EVENTS

    def __init__(self, job: LoopSpec) -> None:
        self.body: Body = loads_keeping_classes(job.program)
        super().__init__(job)

    def _empty(self) -> None:
        super()._empty()
        self.stage = 0
        self.specs: dict[tuple[int, int], JobSpec] = {}
        self.kept: set[str] = set()  #: map outputs of invariant tables
        self.sorts: dict[int, Joined] = {}
        self.inputs: dict[tuple[int, int], InputCache] = {}  #: by step and partition
        self.outputs_kept: dict[int, tuple[int, str]] = {}  #: by partition: iteration, file
        self.pieces: dict[Segment, tuple[Piece, str]] = {}  #: without their bytes, and the file

    # stages ------------------------------------------------------------

    def prepare(self, order: Order) -> None:
        """The outputs of a former stage are not needed any more, but those of invariant tables (§4.1)."""
        if order.stage > self.stage:
            self.stage = order.stage
            for name in self.regions.names():
                if name not in self.kept:
                    self.regions.remove(name)

    def stage_of(self, order: Order) -> JobSpec:
        """With the program, the number of map tasks and the folder of its step."""
        plan: Plan = order.plan
        key = plan.iteration, plan.step
        if key not in self.specs:
            assert isinstance(self.job, LoopSpec)
            program, folder = self.job.steps[plan.step - 1], self.job.folder(*key)
            self.specs[key] = replace(self.job, program=program, maps=len(plan.tables), output=folder)
        return self.specs[key]

    # map ------------------------------------------------------------

    async def map(self, running: Running) -> Outcome:
        """As MapReduce's, of the table that the piece is from."""
        order, plan = running.order, running.order.plan
        number = plan.tables[order.task]
        table = self.body.tables[number].pattern if number >= 0 else ""
        running.progress.given = {
            "iteration": plan.iteration,
            "table": table,
            "reader": self._reader(plan, number),
            "cached": bool(self.body.caches & {REDUCER_INPUT, REDUCER_OUTPUT}),
        }
        if number >= 0:
            self.kept.add(f"map-{order.task}-{order.attempt}")
        return await super().map(running)

    def _reader(self, plan: Plan, number: int) -> Any:
        if number >= 0:
            return self.body.tables[number].reader
        if number <= STEP:
            return self.body.step_inputs[STEP - number][1]
        own = self.body.iteration_input is None and plan.iteration > 1
        return Pairs() if number == LOOP and (plan.step > 1 or own) else self.body.reader

    async def _read(self, segment: Segment) -> Piece:
        """§4.3: the mapper input cache spares the later iterations what was read from another machine: what
        no copy of the file system has on this machine is kept here."""
        if (found := self.pieces.get(segment)) is not None:
            piece, name = found
            data = await self.compute(self.files.read, name, cost=0.0)
            self.emit("cache_read", cache=MAPPER_INPUT, key=segment.path, bytes=len(data))
            return piece._replace(data=data)
        piece = await super()._read(segment)
        if MAPPER_INPUT in self.body.caches and not segment.path.startswith(f"{self.job.output}/"):
            parts = await self.store.locations(segment.path, segment.start, segment.end - segment.start)
            if not all(self.machine in part.machines for part in parts) and not isinstance(
                piece.data, Modelled
            ):
                name = f"{self.life}-piece-{len(self.pieces)}"
                self.files.write(name, piece.data)
                self.pieces[segment] = piece._replace(data=b""), name
                self.emit("cache_written", cache=MAPPER_INPUT, key=segment.path, bytes=len(piece.data))
        return piece

    # reduce ------------------------------------------------------------

    async def reduce(self, running: Running) -> Outcome:
        """As MapReduce's, with the invariant values of each key."""
        running.progress.given = {"iteration": running.order.plan.iteration}
        try:
            return await super().reduce(running)
        finally:
            self.sorts.pop(running.order.attempt, None)

    def sort_of(self, order: Order) -> Joined:
        """§4.1: with this partition of the invariant tables, from the cache if it is there."""
        plan: Plan = order.plan
        cached = REDUCER_INPUT in self.body.caches and plan.invariant > 0
        cache = self.inputs.get((plan.step, order.task)) if cached else None
        keep = f"{self.life}-input-{plan.step}-{order.task}-{order.attempt}" if cached else ""
        self.sorts[order.attempt] = sort = Joined(
            self.files, f"{self.life}-sort-{order.attempt}", self.options.memory, plan.invariant, cache, keep
        )
        if cache is not None:
            self._tell("cache_read", REDUCER_INPUT, order, cache.bytes)
        return sort

    async def before_commit(self, order: Order, data: bytes) -> float | None:
        """The caches of what was read and made; the distance of this partition to the iteration before."""
        plan, sort = order.plan, self.sorts[order.attempt]
        if sort.cache is not None and not sort.read:
            self.inputs[plan.step, order.task] = sort.cache
            self._written(REDUCER_INPUT, order, sort.cache.bytes, sort.fixed_bytes)
        if plan.step < self.body.steps or not self.body.measured:
            return None
        distance = None
        if plan.iteration > 1:
            before = await self._previous(order)
            distance = await self.compute(
                distance_of, before, data, self.body.distance,
                cost=(len(before) + len(data)) * self.options.seconds_per_byte,
            )  # fmt: skip
        if REDUCER_OUTPUT in self.body.caches:
            self._keep_output(order, data)
        return distance

    async def _previous(self, order: Order) -> bytes:
        """§4.2: the reducer output cache has what this worker wrote last; without it the file system has
        the output, too."""
        plan: Plan = order.plan
        iteration, name = self.outputs_kept.get(order.task, (0, ""))
        if iteration == plan.iteration - 1:
            data: bytes = self.files.read(name)
            self._tell("cache_read", REDUCER_OUTPUT, order, len(data))
            return data
        assert isinstance(self.job, LoopSpec)
        folder = self.job.folder(plan.iteration - 1, plan.step)
        read = await self.store.read(parts_of(folder, self.options.R)[order.task])
        assert not isinstance(read, Modelled)
        kind = "cache_reloaded" if REDUCER_OUTPUT in self.body.caches else "output_read_again"
        self._tell(kind, REDUCER_OUTPUT, order, len(read))
        return read

    def _keep_output(self, order: Order, data: bytes) -> None:
        old = self.outputs_kept.get(order.task)
        name = f"{self.life}-output-{order.task}-{order.attempt}"
        self.files.write(name, data)
        self.outputs_kept[order.task] = order.plan.iteration, name
        if old is not None and old[1] != name:
            self.files.remove(old[1])
        self._tell("cache_written", REDUCER_OUTPUT, order, len(data))

    def _written(self, cache: str, order: Order, size: int, fetched: int) -> None:
        """A cache that is made after the first iteration is one that was lost, or that was elsewhere."""
        kind = "cache_written" if order.plan.iteration == 1 else "cache_reloaded"
        self._tell(kind, cache, order, size if kind == "cache_written" else fetched)

    def _tell(self, kind: str, cache: str, order: Order, size: int) -> None:
        plan: Plan = order.plan
        self.emit(
            kind, cache=cache, step=plan.step, partition=order.task, iteration=plan.iteration, bytes=size,
            attempt=order.attempt,
        )  # fmt: skip
