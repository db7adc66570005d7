"""A worker (§3.1 steps 3 to 6): it runs map and reduce tasks, and serves the regions of its map outputs.

A task arrives as an order and ends with a message to the master; both are repeated until they are answered,
and a repeated one changes nothing. The output of a map task stays on this machine's own disk, and dies with
this *life* of the worker: a restarted worker, or one that the master has marked as failed meanwhile, begins
anew with nothing.
"""

from __future__ import annotations

import pickle
from typing import Any

from labkit.parts.buckets import Buckets
from labkit.parts.store import Files, Modelled
from labkit.runtime.endable import Endable
from labkit.runtime.errors import Definite, LabError, Timeout
from labkit.runtime.loop import Task, traceback_text
from labkit.runtime.node import Node, every, rpc
from labkit.runtime.raised import Ending, named
from labkit.runtime.sync import Signal, gather

from ..events import EVENTS
from ..execution import Mapped, Progress, Reduced, UserFailed, run_map, run_reduce
from ..messages import MAP, Order, Outcome, Output
from ..options import JobSpec
from ..readers import Piece, Segment, parts_of, temporary
from ..sorting import ReduceSort

__all__ = ["Worker"]

#: Bytes that are read beyond a segment at first, to find the end of its last line.
BEYOND = 4096


class TaskCancelled(Ending):
    """Raised in the thread of a task that nobody wants any more."""


class Running:
    """An attempt on its worker, until the master has its outcome."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.progress = Progress()
        self.work = Endable(TaskCancelled)
        self.task: Task | None = None


class Worker(Node):
    """See the module's text."""

    events = EVENTS

    def __init__(self, job: JobSpec) -> None:
        self.job = job
        self.options = job.options
        self.look_every = job.options.timeout / 2
        self.store = Files(self, job.files)
        self.over = False
        self.life = 0
        self._empty()

    def _empty(self) -> None:
        """As new: no task, no output."""
        self.regions = Buckets(self.files, f"{self.life}-")
        self.attempts: dict[int, Running] = {}
        self.assigned: set[int] = set()  #: attempts, those that have ended included
        #: By map task: where its output is, as far as the master has told; and how much it has told.
        self.outputs: dict[int, dict[int, Output]] = {}  #: by stage
        self.told = 0
        self.news = Signal()
        self.pinged = 0.0

    # life ------------------------------------------------------------

    async def start(self) -> None:
        """Throw away what a former life has left on the disk, and register."""
        self.files.clear()
        await self._begin()

    async def _begin(self) -> None:
        self.life = self.random.getrandbits(62)
        self._empty()
        await self._register()

    async def _register(self) -> None:
        while not self.over:
            try:
                answer = await self._ask("register", self.machine)
            except LabError:
                await self.sleep(self.options.ping_every)
                continue
            self.pinged = self.now
            # A master that has restarted may know less than was told before, and says all of it again.
            self.outputs.clear()
            self.told = 0
            if answer == "over":
                self._finish()
            elif answer == "failed":
                await self._begin_anew()
            return

    async def _begin_anew(self) -> None:
        """The master has marked this life as failed, and has its tasks executed by others (§3.3)."""
        self._drop_all()
        self.emit("began_anew")
        await self._begin()

    def _ask(self, method: str, *args: Any) -> Any:
        return self.call(
            self.job.master, method, self.name, self.life, *args, timeout=self.options.call_timeout
        )

    @every("look_every")
    async def look(self) -> None:
        """Without pings for long: the master has restarted, or has marked this worker as failed."""
        if not self.over and self.now - self.pinged > self.options.timeout:
            await self._register()

    @rpc
    def ping(self, life: int, first: int, news: bytes) -> tuple[int, dict[int, dict[str, int]]] | None:
        """The master's ping (§3.3), with what is new of map outputs: "this information is pushed
        incrementally to workers that have in-progress reduce tasks" (§3.2). Answered with how much was taken
        in, and with the counters of running tasks (§4.9). None: this is another life."""
        if life != self.life:
            return None
        self.pinged = self.now
        if news and first <= self.told:
            entries = pickle.loads(news)
            for output in entries[self.told - first :]:
                self.learn(output)
            self.told = max(self.told, first + len(entries))
            self.news.fire()
        return self.told, {number: dict(each.progress.counts) for number, each in self.attempts.items()}

    def learn(self, output: Output) -> None:
        """A map output is there, or, without sizes, is not there any more."""
        outputs = self.outputs.setdefault(output.stage, {})
        if output.sizes:
            outputs[output.task] = output
        else:
            outputs.pop(output.task, None)

    @rpc
    def job_over(self) -> None:
        """The job has ended: "the intermediate files are deleted"."""
        self._finish()

    def _finish(self) -> None:
        self.over = True
        self._drop_all()

    def _drop_all(self) -> None:
        """Every task, and every file on the disk."""
        for attempt in list(self.attempts.values()):
            self._stop(attempt)
        self.files.clear()

    # tasks ------------------------------------------------------------

    @rpc
    def assign(self, life: int, order: Order) -> bool:
        """A task to run (§3.1 step 2); False: this is another life. The same order twice is one."""
        if life != self.life or self.over:
            return False
        if order.attempt not in self.assigned:
            self.assigned.add(order.attempt)
            self.prepare(order)
            running = self.attempts[order.attempt] = Running(order)
            running.task = self.spawn(self._run(running))
        return True

    def prepare(self, order: Order) -> None:
        """Before a task begins."""

    def stage_of(self, order: Order) -> JobSpec:
        """The job as it is for a task; a job of several stages has another program and output in each."""
        return self.job

    @rpc
    def cancel(self, attempt: int) -> None:
        """Another execution of this task was first."""
        if attempt in self.attempts:
            self._stop(self.attempts[attempt])

    def _stop(self, running: Running) -> None:
        self.attempts.pop(running.order.attempt, None)
        running.work.end()
        if running.task is not None:
            running.task.cancel()

    async def _run(self, running: Running) -> None:
        """Run the task, then tell the master until it has heard."""
        order = running.order
        try:
            outcome = await (self.map(running) if order.kind == MAP else self.reduce(running))
        except UserFailed as error:
            outcome = Outcome("failed", str(error))
            self._last_gasp(order, error.record)
        except (LabError, OSError) as error:
            outcome = Outcome("failed", named(error))
        except Exception as error:  # or the task would never end
            outcome = Outcome("failed", f"{named(error)}\n{traceback_text(error)}")
        life = self.life
        while order.attempt in self.attempts and life == self.life:
            try:
                known = await self._ask("completed", order.attempt, outcome)
            except LabError:
                continue
            self.attempts.pop(order.attempt, None)
            if not known:
                self.spawn(self._begin_anew())

    def _last_gasp(self, order: Order, record: int | None) -> None:
        """§4.6: "the signal handler sends a "last gasp" UDP packet that contains the sequence number to the
        MapReduce master". As UDP it is sent once, and may be lost."""
        if record is not None:
            self.emit("last_gasp", kind=order.kind, task=order.task, attempt=order.attempt, record=record)
            self.send(self.job.master, "last_gasp", order.kind, order.task, order.attempt, record)

    def _cost(self, records: float, size: float) -> float:
        options = self.options
        return (
            options.seconds_per_task + records * options.seconds_per_record + size * options.seconds_per_byte
        )

    # map ------------------------------------------------------------

    async def map(self, running: Running) -> Outcome:
        """§3.1 steps 3 and 4: read the split, call the user's ``map`` for each pair, leave R regions on the
        disk. They count when the master hears of them: "if the master receives a completion message for an
        already completed map task, it ignores the message" (§3.3)."""
        order, options = running.order, self.options
        pieces = [await self._read(segment) for segment in order.split]
        program = self.stage_of(order).program
        size = sum(len(piece.data) for piece in pieces)
        self.emit("input_read", task=order.task, attempt=order.attempt, bytes=size)
        self.emit("task_running", kind=MAP, task=order.task, attempt=order.attempt, sources=())
        name = f"map-{order.task}-{order.attempt}"

        def work() -> tuple[Mapped, list[int]]:
            with running.work.inside():
                mapped = run_map(
                    program, pieces, options.R, options.memory, self.files,
                    f"{self.life}-spill-{order.attempt}", frozenset(order.skip), running.progress,
                )  # fmt: skip
                return mapped, self.regions.write(name, mapped.regions)

        def cost(found: tuple[Mapped, list[int]]) -> float:
            return self._cost(found[0].records + sum(found[0].pairs), size + sum(found[1]))

        mapped, sizes = await self.compute(work, cost=cost)
        self._spilled(order, mapped.spills)
        await self._write_side_files(order, mapped.side_files)
        return Outcome(
            "ok", counts=running.progress.counts, sizes=tuple(sizes), pairs=tuple(mapped.pairs),
            bytes_in=size, bytes_out=sum(sizes), records=mapped.records, spills=mapped.spills,
            skipped=mapped.skipped,
        )  # fmt: skip

    async def _read(self, segment: Segment) -> Piece:
        """The lines that begin in a segment: its first is one only if a line ends before it, and the last is
        read to its end, which may be beyond (§4.4)."""
        path, start, end = segment
        begin = max(0, start - 1)  # one byte before, to see whether a line begins at ``start``
        data, beyond = await self.store.read(path, begin, end - begin), BEYOND
        if isinstance(data, Modelled):
            raise ValueError(f"{path!r} has no bytes, only their number: it is for modelled jobs")
        first = data.find(b"\n") + 1 if start else 0
        if start and not first:
            return Piece(path, end, b"")  # a line that began before goes on beyond
        at = begin + len(data)
        while not data.endswith(b"\n"):
            more = await self.store.read(path, at, beyond)
            if isinstance(more, Modelled) or not more:
                break
            cut = more.find(b"\n") + 1 or len(more)
            data, at, beyond = data + more[:cut], at + cut, 2 * beyond
        return Piece(path, begin + first, data[first:])

    @rpc
    async def fetch(self, life: int, names: tuple[str, ...], region: int) -> Any:
        """A reduce worker "uses remote procedure calls to read the buffered data from the local disks of the
        map workers" (§3.1 step 5). None: they are gone, with a former life or with the job."""
        if life != self.life or self.over:
            return None
        try:
            return await self.compute(
                self.regions.read_many, names, region,
                cost=lambda found: sum(map(len, found)) * self.options.seconds_per_byte,
            )  # fmt: skip
        except KeyError:
            return None

    # reduce ------------------------------------------------------------

    async def reduce(self, running: Running) -> Outcome:
        """§3.1 steps 5 and 6: fetch this task's region of every map output, sort, call the user's ``reduce``
        for each key, commit the output."""
        order = running.order
        program, sort = self.stage_of(order).program, self.sort_of(order)
        used, size = await self._shuffle(order, sort)
        self.emit(
            "task_running", kind=order.kind, task=order.task, attempt=order.attempt,
            sources=[used[task] for task in sorted(used)],
        )  # fmt: skip

        def work() -> Reduced:
            with running.work.inside():
                return run_reduce(program, sort, frozenset(order.skip), running.progress)

        def cost(reduced: Reduced) -> float:
            return self._cost(reduced.pairs + reduced.records, size + sort.moved + len(reduced.data))

        try:
            reduced = await self.compute(work, cost=cost)
        finally:
            sort.remove()
        self._spilled(order, reduced.spills)
        await self._write_side_files(order, reduced.side_files)
        note = await self.before_commit(order, reduced.data)
        await self.commit(order, reduced.data)
        return Outcome(
            "ok", counts=running.progress.counts, pairs=(reduced.pairs,), bytes_in=size,
            bytes_out=len(reduced.data), records=reduced.records, spills=reduced.spills,
            skipped=reduced.skipped, note=note,
        )  # fmt: skip

    def sort_of(self, order: Order) -> Any:
        """What sorts the regions that a reduce task fetches."""
        return ReduceSort(self.files, f"{self.life}-sort-{order.attempt}", self.options.memory)

    async def before_commit(self, order: Order, data: bytes) -> Any:
        """A note for the master of what a reduce task has made."""
        return None

    async def _shuffle(self, order: Order, sort: ReduceSort) -> tuple[dict[int, int], int]:
        """Fetch regions as they become known; returns by map task the attempt whose output it was, and how
        many bytes. Map outputs come while map tasks still run."""
        used: dict[int, int] = sort.known
        size, maps = 0, self.stage_of(order).maps
        while self.told < order.news:
            await self.news.wait()
        while len(used) < maps:
            ready: dict[tuple[str, int], list[Output]] = {}
            for task, output in self.outputs.get(order.stage, {}).items():
                if task not in used:
                    ready.setdefault((output.worker, output.life), []).append(output)
            if not ready:
                await self.news.wait()
                continue
            found = await gather(*(self._fetch(order, outputs) for outputs in ready.values()))
            got = [each for batch in found for each in batch]
            if not got:
                await self.sleep(self.options.ping_every)
            for output, region in got:
                used[output.task] = output.attempt
                sort.add(output.task, region)
            fetched = sum(len(region) for _, region in got)
            size += fetched
            if fetched:
                self.emit("shuffled", task=order.task, attempt=order.attempt, bytes=fetched, maps=len(got))
            if sort.full:
                await self.compute(sort.spill, cost=fetched * self.options.seconds_per_byte)
        return used, size

    async def _fetch(self, order: Order, outputs: list[Output]) -> list[tuple[Output, bytes]]:
        """Regions from one worker; none if it does not answer, or has them no longer. Then the master will
        say who has them: "any reduce task that has not already read the data from worker A will read the
        data from worker B" (§3.3)."""
        source, wanted = outputs[0], [each for each in outputs if each.sizes[order.task]]
        empty = [(each, b"") for each in outputs if not each.sizes[order.task]]
        if not wanted:
            return empty
        names = tuple(f"map-{each.task}-{each.attempt}" for each in wanted)
        try:
            regions = await self.call(
                source.worker, "fetch", source.life, names, order.task, timeout=self.options.call_timeout
            )
        except (Timeout, Definite):
            regions = None
        return empty + (list(zip(wanted, regions, strict=True)) if regions is not None else [])

    async def commit(self, order: Order, data: bytes) -> None:
        """§3.3: "When a reduce task completes, the reduce worker atomically renames its temporary output file
        to the final output file. If the same reduce task is executed on multiple machines, multiple rename
        calls will be executed for the same final output file." The first one wins."""
        path = parts_of(self.stage_of(order).output, self.options.R)[order.task]
        own = self._temporary(path.rpartition("/")[2], order)
        await self.store.write(own, data)
        self.emit("output_written", task=order.task, attempt=order.attempt, bytes=len(data))
        try:
            if not await self._may_commit(order):
                raise FileExistsError
            await self.store.rename(own, path, exclusive=True)
        except FileExistsError:
            self.emit("commit_refused", task=order.task, attempt=order.attempt, path=path)
            await self.store.delete(own)
        else:
            self.emit("reduce_committed", task=order.task, attempt=order.attempt, path=path, bytes=len(data))

    async def _may_commit(self, order: Order) -> bool:
        """Asked while the master lives, or may come back."""
        while True:
            try:
                return bool(await self._ask("may_commit", order.attempt))
            except LabError:
                continue

    # both ------------------------------------------------------------

    async def _write_side_files(self, order: Order, files: dict[str, bytes]) -> None:
        """§4.5: "Typically the application writes to a temporary file and atomically renames this file once
        it has been fully generated." Several files of a task are not there at the same instant."""
        for name, data in files.items():
            path = f"{self.stage_of(order).output}/{name}"
            own = self._temporary(name, order)
            await self.store.write(own, data)
            if not await self._may_commit(order):
                await self.store.delete(own)
                return
            await self.store.rename(own, path)
            self.emit("side_file_written", kind=order.kind, task=order.task, path=path, bytes=len(data))

    def _temporary(self, name: str, order: Order) -> str:
        return f"{temporary(self.job.output)}/{self.job.name}/{name}-{order.attempt}"

    def _spilled(self, order: Order, spills: int) -> None:
        if spills:
            self.emit("spilled", kind=order.kind, task=order.task, attempt=order.attempt, spills=spills)
