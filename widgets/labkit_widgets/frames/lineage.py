"""The frame of `LineagePanel`: the lineage of one job, where its partitions are, and what a failure costs.

Rows are the RDDs of the job's lineage, stage by stage, and the outputs of its shuffles; each has its
partitions on the machines that computed or keep them. Nothing is asked of the context: `lineagefold.py` folds
its events. Who is dead is the runtime's word: what a dead machine held is drawn as lost before the driver has
noticed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from .common import EventLine, History, MachineView, Number, fold
from .lineagefold import LineageReducer
from .lineagelost import pending, pipeline
from .lineagestate import Copy, Failure, JobView, LineageState, Piece, RddView, TaskView

#: More partitions than this are counted, not drawn one by one.
DRAWN = 200
#: A longer lineage loses its oldest rows.
ROWS = 16
#: Bars of the Gantt chart, and the jobs that it may reach back to.
BARS, JOBS_BACK = 400, 12
#: Seconds between two jobs that count as one go; the chart begins after a longer pause, as between cells.
THINKING = 5.0


@dataclass(frozen=True)
class Cell:
    """One partition, or one shuffle output, at one place."""

    piece: Piece
    machine: str  # "" if it is nowhere yet
    state: str  # todo, running, passed, memory, disk, delivered, lost or ghost
    again: bool = False  # it was computed again, or is being
    owed: bool = False  # lineage says that it must be
    bytes: int = 0

    @property
    def partition(self) -> int:
        """Its number."""
        return self.piece[2]


@dataclass(frozen=True)
class Row:
    """One RDD, several that are computed in one go, or the outputs of one shuffle."""

    rdds: tuple[RddView, ...]  # the last one has the partitions
    shuffle: int | None = None  # set: the outputs of this shuffle
    cells: tuple[Cell, ...] = ()
    counts: tuple[tuple[str, str, int], ...] = ()  # (machine, state, pieces) if there are too many cells
    again: bool = False  # part of the recomputed cone

    @property
    def rdd(self) -> RddView:
        """The RDD whose partitions stand in this row."""
        return self.rdds[-1]

    @property
    def id(self) -> str:
        """A name for the picture."""
        return f"s:{self.shuffle}" if self.shuffle is not None else f"r:{self.rdd.id}"


@dataclass(frozen=True)
class Band:
    """The rows of one stage."""

    kind: str  # map or result
    rows: tuple[Row, ...]
    stage: int | None  # its number, if it was started for this job
    state: str  # running, done, failed, skipped or waiting
    done: int
    total: int


@dataclass(frozen=True)
class Slot:
    """A line of the Gantt chart: one task at a time."""

    executor: str
    machine: str
    index: int


@dataclass(frozen=True)
class LineageFrame:
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
    numbers: tuple[Number, ...]
    lines: tuple[EventLine, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows from the first stage to the last."""
        return tuple(row for band in self.bands for row in band.rows)

    def rdd(self, number: int) -> RddView | None:
        """An RDD of the picture."""
        return next((rdd for row in self.rows for rdd in row.rdds if rdd.id == number), None)


def frame(
    trace: Any, position: float | None = None, *, history: History | None = None, job: int | None = None
) -> LineageFrame:
    """The lineage of a job (None: the latest) at `position` seconds (None: now)."""
    state = history.at(position) if history is not None else fold(LineageReducer(), trace, position)
    now = state.lab.now if position is None else position
    chosen = state.jobs.get(job) if job is not None else None
    chosen = chosen or next(reversed(state.jobs.values()), None)
    bands, edges, hidden = _plan(state, chosen) if chosen is not None else ((), (), 0)
    bands = _filled(state, chosen, bands) if chosen is not None else ()
    bars, start = _bars(state, chosen, now)
    failure = next(reversed(state.failures.values()), None)
    if failure is not None and failure.number in state.judging:
        failure = replace(failure, predicted=failure.predicted + pending(state))
    return LineageFrame(
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
        numbers=_numbers(state, chosen, bands, failure),
        lines=tuple(state.lab.lines),
    )


# -- rows: from the last RDD back ------------------------------------------------------------


def _plan(state: LineageState, job: JobView) -> tuple[tuple[Band, ...], tuple[Any, ...], int]:
    """The job's stages with their RDDs, and the dependencies between them; planned anew after changes."""
    known = (state.changes, job.id)
    if state.memo.get("known") != known:
        state.memo.update(known=known, plan=_planned(state, job))
    found: tuple[tuple[Band, ...], tuple[Any, ...], int] = state.memo["plan"]
    return found


def _planned(state: LineageState, job: JobView) -> tuple[tuple[Band, ...], tuple[Any, ...], int]:
    groups = _groups(state, job.rdd)
    stages = [stage for stage in state.stages.values() if stage.job == job.id]
    long = sum(len(rdds) + (shuffle is not None) for _, shuffle, rdds in groups) > ROWS
    bands = []
    for last, shuffle, rdds in groups:
        rows = [Row(tuple(some)) for some in (_merged(rdds, last) if long else [[rdd] for rdd in rdds])]
        if shuffle is not None:
            rows.append(Row((state.rdds[last],), shuffle))
        kind = "result" if shuffle is None else "map"
        stage = next((s for s in reversed(stages) if s.kind == kind and s.shuffle == shuffle), None)
        bands.append(Band(kind, tuple(rows), stage.id if stage else None, "", 0, state.rdds[last].partitions))
    shown, hidden = _fitting(bands)
    return shown, _edges(shown), hidden


def _groups(state: LineageState, final: int) -> list[tuple[int, int | None, list[RddView]]]:
    """The stages of a lineage, first ones first: (last RDD, shuffle it is mapped for, its RDDs).

    An RDD that several stages compute stands in the first of them. Ids grow from parent to child, so sorting
    by them puts parents first.
    """
    ends: dict[int | None, int] = {None: final}
    members: dict[int | None, list[int]] = {}
    waiting: list[int | None] = [None]
    for shuffle in waiting:
        found = [ends[shuffle]]
        for ident in found:
            for parent in state.rdds[ident].parents if ident in state.rdds else ():
                if parent.rdd not in state.rdds:
                    continue
                if not parent.wide:
                    found += [parent.rdd] if parent.rdd not in found else []
                elif parent.shuffle not in ends:
                    ends[parent.shuffle] = parent.rdd
                    waiting.append(parent.shuffle)
        members[shuffle] = [ident for ident in found if ident in state.rdds]
    order = sorted(ends, key=lambda shuffle: (shuffle is None, ends[shuffle], shuffle or 0))
    seen: set[int] = set()
    groups = []
    for shuffle in order:
        own = sorted(ident for ident in members[shuffle] if ident not in seen)
        seen.update(own)
        groups.append((ends[shuffle], shuffle, [state.rdds[ident] for ident in own]))
    return [group for group in groups if group[0] in state.rdds]


def _merged(rdds: list[RddView], last: int) -> list[list[RddView]]:
    """RDDs that are computed in one go share a row, up to one that is kept."""
    rows: list[list[RddView]] = [[]]
    for rdd in rdds:
        rows[-1].append(rdd)
        if rdd.storage is not None and rdd.id != last:
            rows.append([])
    return [row for row in rows if row]


def _fitting(bands: list[Band]) -> tuple[tuple[Band, ...], int]:
    """The stages that fit, and how many RDDs are left out.

    First the last stage, then those that keep something, then the newest.
    """
    newest = range(len(bands) - 1, -1, -1)
    keeping = [k for k in newest if any(rdd.storage for row in bands[k].rows for rdd in row.rdds)]
    chosen: set[int] = set()
    for k in (*newest[:1], *keeping[:2], *newest):
        if not chosen or sum(len(bands[j].rows) for j in {*chosen, k}) <= ROWS:
            chosen.add(k)
    left_out = [band for k, band in enumerate(bands) if k not in chosen]
    hidden = sum(len(row.rdds) for band in left_out for row in band.rows if row.shuffle is None)
    return tuple(bands[k] for k in sorted(chosen)), hidden


def _edges(bands: Iterable[Band]) -> tuple[tuple[str, str, bool], ...]:
    """Dependencies between rows; a wide one leads through its shuffle's row."""
    rows = [row for band in bands for row in band.rows]
    home = {rdd.id: row.id for row in rows if row.shuffle is None for rdd in row.rdds}
    outputs = {row.shuffle: row.id for row in rows if row.shuffle is not None}
    found: dict[tuple[str, str, bool], None] = {}
    for row in rows:
        if row.shuffle is not None:
            if row.rdd.id in home:
                found[home[row.rdd.id], row.id, False] = None
            continue
        for parent in (parent for rdd in row.rdds for parent in rdd.parents):
            source = outputs.get(parent.shuffle) if parent.wide else home.get(parent.rdd)
            if source is not None and source != row.id:
                found[source, row.id, parent.wide] = None
    return tuple(found)


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
        done = _sum(state, "output", shuffle)
    else:
        done = _sum(state, "result", job.id)
    total = len(stage.wanted) if stage is not None and band.kind == "result" else band.total
    if stage is None:
        kind = "waiting" if job.end is None and not (shuffle is not None and done >= total) else "skipped"
    elif stage.running:
        kind = "running" if job.end is None else "failed"
    else:
        kind = "done" if stage.ok else "failed"
    return replace(band, state=kind, done=min(done, total), total=total)


def _sum(state: LineageState, what: str, ident: int) -> int:
    return sum(state.counts.get((what, ident), {}).values())


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
        for machine, kind, size in places:
            if kind == "lost" or task is None:
                owed = kind == "lost" and (piece in state.lost or unit in state.owed)
                yield Cell(piece, machine, kind, again and kind != "lost", owed, size)
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
    if not any(_sum(state, what, ident) for what in (*states, f"lost {kind}")) and kind == "block":
        final = row.rdd.id == job.rdd and _sum(state, "result", job.id)
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


# -- numbers ------------------------------------------------------------


def _numbers(
    state: LineageState, job: JobView | None, bands: tuple[Band, ...], failure: Failure | None
) -> tuple[Number, ...]:
    now = Number("Job", "none yet", "an action starts one")
    if job is not None:
        counted = [band for band in bands if band.state != "skipped"]
        done, total = sum(band.done for band in counted), sum(band.total for band in counted)
        words = {None: "running", True: "done", False: "failed"}[job.ok]
        tone = {None: "plain", True: "good", False: "bad"}[job.ok]
        now = Number(f"{job.action}: tasks", f"{done:,} of {total:,}", f"job {job.id} {words}", tone)
    memory = sum(size for (where, _), size in state.sizes.items() if where == "memory")
    disk = sum(size for (where, _), size in state.sizes.items() if where == "disk")
    kept = Number("Kept in memory", amount(memory), f"and {amount(disk)} on disk" if disk else "by persist()")
    return (now, kept, *_losses(state, failure, job))


def _losses(state: LineageState, failure: Failure | None, job: JobView | None) -> tuple[Number, ...]:
    if failure is None:
        return (
            Number("Lost", "nothing", "no executor has died"),
            Number("Tasks run again", "0", "lineage predicts 0"),
            Number("Work done again", "0 %", "of the job"),
        )
    gone = [
        count(failure.blocks, "partition"),
        count(failure.outputs, "output"),
        count(failure.interrupted, "task"),
    ]
    told = [words for words in gone if not words.startswith("0 ")]
    told = ["memory, disk, tasks"] if len(told) > 2 else told
    value = str(failure.blocks + failure.outputs + failure.interrupted)
    if failure.noticed is None:
        lost = Number(f"Lost with {failure.machine}", "?", "not noticed yet", "bad")
    else:
        what = ", ".join(told) or "nothing that is kept"
        back = failure.machine not in state.current
        lost = Number(f"Lost with {failure.machine}", value, what, "plain" if back else "bad")
    running = job is not None and job.end is None
    equal = failure.tasks == failure.predicted
    tone = ("good" if failure.tasks else "plain") if equal else "plain" if running else "bad"
    part = job.again_seconds / job.seconds if job is not None and job.seconds else 0.0
    return (
        lost,
        Number("Tasks run again", f"{failure.tasks}", f"lineage predicts {failure.predicted}", tone),
        Number("Work done again", f"{part:.0%}", "of this job's time"),
    )


def count(number: int, noun: str) -> str:
    """`1 task`, `2 tasks`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def amount(size: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 10 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


# -- one partition, or one RDD, in words ------------------------------------------------------------


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
