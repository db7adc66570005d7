"""A job's lineage at one position: its stages, where its partitions are, and what each was made from.

Rows are the RDDs of the job's lineage, stage by stage, and the outputs of its shuffles; each has its
partitions on the machines that computed or keep them. Who is dead is the runtime's word: what a dead machine
held is lost before the driver has noticed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from labkit.trace.machines import EventLine, MachineView

from .lost import pending, pipeline
from .rows import Band, Cell, Row, plan
from .state import Copy, Failure, JobView, LineageState, Piece, RddView, TaskView, pieces

#: More partitions than this are counted, not told one by one.
DRAWN = 200
#: Tasks of the Gantt chart, and the jobs that it may reach back to.
BARS, JOBS_BACK = 400, 12
#: Seconds between two jobs that count as one go; the chart begins after a longer pause, as between cells.
THINKING = 5.0


@dataclass(frozen=True)
class Slot:
    """A line of the Gantt chart: one task at a time."""

    executor: str
    machine: str
    index: int


@dataclass(frozen=True)
class LineageView:
    """One job at one position."""

    time: float
    machines: tuple[MachineView, ...]
    job: JobView | None
    jobs: tuple[JobView, ...]
    bands: tuple[Band, ...]
    edges: tuple[tuple[str, str, bool], ...]  # (row, row, wide)
    hidden: int  # older RDDs that are not in the picture
    failure: Failure | None
    bars: tuple[TaskView, ...]
    slots: tuple[Slot, ...]
    moments: tuple[tuple[float, str, str], ...]
    start: float  # of the Gantt chart
    memory: int  # bytes of kept partitions, and on disk
    disk: int
    back: bool  # the machine of the failure has an executor again
    lines: tuple[EventLine, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows from the first stage to the last."""
        return tuple(row for band in self.bands for row in band.rows)

    def rdd(self, number: int) -> RddView | None:
        """An RDD of the picture."""
        return next((rdd for row in self.rows for rdd in row.rdds if rdd.id == number), None)


def view(state: LineageState, position: float | None, job: int | None = None) -> LineageView:
    """The lineage of a job (None: the latest) at `position` seconds (None: now)."""
    now = state.lab.now if position is None else position
    chosen = state.jobs.get(job) if job is not None else None
    chosen = chosen or next(reversed(state.jobs.values()), None)
    bands, edges, hidden = plan(state, chosen) if chosen is not None else ((), (), 0)
    bands = _filled(state, chosen, bands) if chosen is not None else ()
    bars, start = _bars(state, chosen, now)
    failure = next(reversed(state.failures.values()), None)
    if failure is not None and failure.number in state.judging:
        failure = replace(failure, predicted=failure.predicted + pending(state))
    return LineageView(
        time=now,
        machines=state.lab.views(),
        job=chosen,
        jobs=tuple(state.jobs.values())[-JOBS_BACK:],
        bands=bands,
        edges=edges,
        hidden=hidden,
        failure=failure,
        bars=bars,
        slots=_slots(state, bars),
        moments=tuple(moment for moment in state.moments if moment[0] >= start),
        start=start,
        memory=sum(held for (where, _), held in state.sizes.items() if where == "memory"),
        disk=sum(held for (where, _), held in state.sizes.items() if where == "disk"),
        back=failure is not None and failure.machine not in state.current,
        lines=tuple(state.lab.lines),
    )


def sources(state: LineageState, piece: Piece) -> set[Piece]:
    """What a piece was made from, back to what was kept or read: the cone that its loss would light up."""
    found: set[Piece] = set()
    waiting = [piece]
    for one in waiting:
        task = state.done.get(state.makers.get(one, -1))
        stage = state.stages.get(task.stage) if task is not None else None
        if task is None or stage is None:
            continue
        near: list[Piece] = [("block", rdd, p) for rdd, p in (*task.computed, *task.read)]
        near = [other for other in near if one[0] != "block" or other[1] <= one[1]]
        for rdd, _p in task.computed:
            for parent in state.rdds[rdd].parents if rdd in state.rdds else ():
                if parent.wide and parent.shuffle is not None and (one[0] != "block" or rdd <= one[1]):
                    maps = state.rdds[parent.rdd].partitions if parent.rdd in state.rdds else 0
                    near += [("output", parent.shuffle, m) for m in range(maps)]
        for other in near:
            if other != piece and other not in found:
                found.add(other)
                if other[0] == "output":
                    waiting.append(other)
    return found


# -- cells: where the partitions are ------------------------------------------------------------


def _filled(state: LineageState, job: JobView, bands: tuple[Band, ...]) -> tuple[Band, ...]:
    rows = [row for band in bands for row in band.rows]
    one_by_one = sum(row.rdd.partitions for row in rows) <= DRAWN
    running = _running(state, job)
    latest = len(state.failures)
    dead = {machine.name for machine in state.lab.views() if machine.state == "dead"}
    filled = []
    for band in bands:
        some = []
        for row in band.rows:
            if one_by_one:
                cells = tuple(_cells(state, job, row, running, dead, latest))
                some.append(replace(row, cells=cells, again=any(c.again or c.owed for c in cells)))
            else:
                some.append(replace(row, counts=_counts(state, job, row, running, dead)))
        filled.append(_progress(state, job, replace(band, rows=tuple(some))))
    return tuple(filled)


def _progress(state: LineageState, job: JobView, band: Band) -> Band:
    stage = state.stages.get(band.stage) if band.stage is not None else None
    shuffle = band.rows[-1].shuffle if band.rows else None
    if shuffle is not None:
        done = pieces(state, "output", shuffle)
    else:
        done = pieces(state, "result", job.id)
    total = len(stage.wanted) if stage is not None and band.kind == "result" else band.total
    if stage is None:
        kind = "waiting" if job.end is None and not (shuffle is not None and done >= total) else "skipped"
    elif stage.running:
        kind = "running" if job.end is None else "failed"
    else:
        kind = "done" if stage.ok else "failed"
    return replace(band, state=kind, done=min(done, total), total=total)


def _running(state: LineageState, job: JobView) -> dict[Piece, TaskView]:
    """Partitions that are being computed, and the tasks that do it."""
    found: dict[Piece, TaskView] = {}
    for task in state.running.values():
        stage = state.stages.get(task.stage)
        if stage is None or stage.job != job.id:
            continue
        for rdd in pipeline(state, stage.rdd, task.partition):
            found["block", rdd, task.partition] = task
        if task.unit[0] == "map":
            found["output", task.unit[1], task.partition] = task
    return found


def _cells(
    state: LineageState,
    job: JobView,
    row: Row,
    running: dict[Piece, TaskView],
    dead: set[str],
    latest: int,
) -> Iterable[Cell]:
    """The partitions of a row: each where it is, or where it was lost."""
    final = row.shuffle is None and row.rdd.id == job.rdd
    for p in range(row.rdd.partitions):
        piece: Piece = ("output", row.shuffle, p) if row.shuffle is not None else ("block", row.rdd.id, p)
        unit = ("map", *piece[1:]) if row.shuffle is not None else ("result", job.id, p)
        again = state.again.get(piece) == latest > 0 or (final and state.again.get(unit) == latest > 0)
        places = _places(state, job, piece, final, dead)
        task = running.get(piece)
        if piece in state.ghosts and not any(place[0] == state.ghosts[piece] for place in places):
            yield Cell(piece, state.ghosts[piece], "ghost")
        for machine, kind, held in places:
            if kind == "lost" or task is None:
                owed = kind == "lost" and (piece in state.lost or unit in state.owed)
                yield Cell(piece, machine, kind, again and kind != "lost", owed, held)
        if task is not None:
            dying = task.machine in dead
            yield Cell(piece, task.machine, "lost" if dying else "running", bool(task.again), dying)
        elif not places:
            yield Cell(piece, "", "todo", owed=unit in state.owed)


def _places(
    state: LineageState, job: JobView, piece: Piece, final: bool, dead: set[str]
) -> list[tuple[str, str, int]]:
    """Where a piece is: (machine, state, bytes), the best knowledge only."""
    kind, ident, p = piece
    copies: tuple[Copy, ...]
    if kind == "output":
        copies = (state.outputs[ident, p],) if (ident, p) in state.outputs else ()
    else:
        copies = state.blocks.get((ident, p), ())
    if copies:
        return [(c.machine, "lost" if c.machine in dead else c.where, c.bytes) for c in copies]
    if piece in state.lost:
        return [(state.lost[piece][0], "lost", 0)]
    if kind == "output":
        return []
    if final and (job.id, p) in state.results:
        return [(state.results[job.id, p], "delivered", 0)]
    return [(state.passed[ident, p], "passed", 0)] if (ident, p) in state.passed else []


def _counts(
    state: LineageState, job: JobView, row: Row, running: dict[Piece, TaskView], dead: set[str]
) -> tuple[tuple[str, str, int], ...]:
    """How many pieces are in each state on each machine, without a look at each of them."""
    kind, ident = ("output", row.shuffle) if row.shuffle is not None else ("block", row.rdd.id)
    states = {"output": "disk"} if kind == "output" else {"memory": "memory", "disk": "disk"}
    if not any(pieces(state, what, ident) for what in (*states, f"lost {kind}")) and kind == "block":
        final = row.rdd.id == job.rdd and pieces(state, "result", job.id)
        states = {"result": "delivered"} if final else {"passed": "passed"}
        ident = job.id if final else ident
    found: dict[tuple[str, str], int] = {}
    for what, name in {**states, f"lost {kind}": "lost"}.items():
        for machine, n in state.counts.get((what, ident), {}).items():
            if n:
                key = (machine, "lost" if machine in dead and name in ("memory", "disk") else name)
                found[key] = found.get(key, 0) + n
    for piece, task in running.items():
        if piece[:2] == (kind, row.shuffle if row.shuffle is not None else row.rdd.id):
            found[task.machine, "running"] = found.get((task.machine, "running"), 0) + 1
    rest = row.rdd.partitions - sum(found.values())
    if rest > 0:
        found["", "todo"] = rest
    return tuple((machine, kind, n) for (machine, kind), n in sorted(found.items()))


# -- Gantt chart ------------------------------------------------------------


def _bars(state: LineageState, job: JobView | None, now: float) -> tuple[tuple[TaskView, ...], float]:
    """The tasks of the job and of those just before it, and when the chart begins."""
    if job is None:
        return (), 0.0
    jobs = [other for other in state.jobs.values() if other.id <= job.id][-JOBS_BACK:]
    start, end = job.start, job.end if job.end is not None else now
    for other in reversed(jobs[:-1]):
        if other.end is None or start - other.end > max(2 * (end - start), THINKING):
            break
        start = other.start
    tasks = [t for t in state.done.values() if t.end is not None and t.end >= start and t.start <= end]
    tasks += [task for task in state.running.values() if task.start <= end]
    return tuple(tasks[-BARS:]), start


def _slots(state: LineageState, bars: tuple[TaskView, ...]) -> tuple[Slot, ...]:
    """The lines of the chart, by machine: every slot of an executor, and those that were used."""
    found = {
        (machine, name, index): None
        for name, (machine, cores) in state.executors.items()
        for index in range(cores)
    }
    found.update({(task.machine, task.executor, task.slot): None for task in bars})
    order = {machine.name: n for n, machine in enumerate(state.lab.views())}
    keys = sorted(found, key=lambda key: (order.get(key[0], len(order)), key[1], key[2]))
    return tuple(Slot(name, machine, index) for machine, name, index in keys)
