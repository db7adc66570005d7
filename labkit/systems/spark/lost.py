"""What a failure takes, what lineage says must be done again for it, and what is done again.

A lost piece is *owed* if a job still needs it: then a task has to do its work again. `expect` walks a job's
lineage back from the partitions that are still to be delivered, as the paper's scheduler does (NSDI 2012,
Section 5.1): it stops at partitions that are kept and at shuffle outputs that are there, and goes on through
what is missing. The panel compares this prediction with the tasks that the driver really ran.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .state import Failure, JobView, LineageState, Piece, TaskView, Unit, count

#: A narrow dependency or a missing shuffle output leads further back at most this far; lineages are shorter.
DEEPEST = 10_000


def struck(state: LineageState, machine: str, now: float) -> int:
    """The number of the machine's failure; a new one unless it is known to be gone."""
    if machine not in state.current:
        number = len(state.failures) + 1
        state.failures[number] = Failure(number, machine, now)
        state.current[machine] = number
    return state.current[machine]


def noticed(state: LineageState, machine: str, now: float) -> None:
    """The driver gives the machine's executor up: from now on what it held is missing."""
    number = struck(state, machine, now)
    if state.failures[number].noticed is None:
        state.failures[number] = replace(state.failures[number], noticed=now)
    _judge_later(state, number)


def take(state: LineageState, piece: Piece, machine: str, now: float, last: bool) -> None:
    """A copy is lost with its machine; the piece itself only if this was the last copy."""
    number = struck(state, machine, now)
    state.ghosts[piece] = machine
    if not last:
        return
    if piece in state.lost:  # made again, and lost again before its task was reported
        forgive(state, piece)
    state.lost[piece] = (machine, number)
    count(state, (f"lost {piece[0]}", piece[1], machine), +1)
    failure = state.failures[number]
    if piece[0] == "block":
        state.failures[number] = replace(failure, blocks=failure.blocks + 1)
    else:
        state.failures[number] = replace(failure, outputs=failure.outputs + 1)
    _judge_later(state, number)


def interrupt(state: LineageState, task: TaskView, now: float) -> None:
    """A task's executor is gone, and nobody else is at the same work."""
    if any(other.unit == task.unit for other in state.running.values()):
        return
    number = struck(state, task.machine, now)
    state.interrupted[task.unit] = number
    failure = state.failures[number]
    state.failures[number] = replace(failure, interrupted=failure.interrupted + 1)
    _judge_later(state, number)


def found(state: LineageState, piece: Piece) -> None:
    """A lost piece is there again."""
    entry = state.lost.pop(piece, None)
    if entry is not None:
        state.ghosts[piece] = entry[0]
        state.again[piece] = entry[1]
        count(state, (f"lost {piece[0]}", piece[1], entry[0]), -1)


def forgive(state: LineageState, piece: Piece) -> None:
    """A lost piece that is no longer wanted."""
    machine, _ = state.lost.pop(piece)
    count(state, (f"lost {piece[0]}", piece[1], machine), -1)


# -- what is done again ------------------------------------------------------------


def again_for(state: LineageState, unit: Unit) -> int:
    """The failure for which this work is done again, or 0."""
    if unit in state.owed:
        return state.owed[unit]
    if unit in state.interrupted:
        return state.interrupted[unit]
    return state.lost.get(("output", *unit[1:]), ("", 0))[1] if unit[0] == "map" else 0


def paid(
    state: LineageState, task: TaskView, seconds: float, now: float, before: list[tuple[int, int]]
) -> int:
    """A task ended well. If it did lost work again: count it, and return the failure's number.

    `before`: those of its partitions that had been computed before.
    """
    blocks = [("block", rdd, p) for rdd, p in task.computed if ("block", rdd, p) in state.lost]
    number = task.again or (state.lost[blocks[0]][1] if blocks else 0)
    state.owed.pop(task.unit, None)
    interrupted = state.interrupted.pop(task.unit, None) is not None
    for piece in blocks:
        found(state, piece)
    if not number:
        return 0
    for rdd, p in task.computed if interrupted else before:
        state.again["block", rdd, p] = number
    if task.again:
        kind, ident, p = task.unit
        state.again["output" if kind == "map" else kind, ident, p] = number
    failure = state.failures[number]
    state.failures[number] = replace(
        failure,
        tasks=failure.tasks + 1,
        partitions=failure.partitions + len(blocks),
        records=failure.records + task.records,
        bytes=failure.bytes + task.bytes,
        seconds=failure.seconds + seconds,
        last=now,
    )
    return number


# -- what lineage predicts ------------------------------------------------------------


def _judge_later(state: LineageState, number: int) -> None:
    if number not in state.judging:
        state.judging = (*state.judging, number)


def judge(state: LineageState) -> None:
    """All losses of a failure are in: what has to be done again for the jobs that are under way?"""
    state.judging = ()
    for job in [job for job in state.jobs.values() if job.end is None]:
        expect(state, job)


def expect(state: LineageState, job: JobView) -> None:
    """Note the tasks in which this job has to do lost work again."""
    if not (state.lost or state.interrupted):
        return
    for unit, number, piece in _owed(state, job):
        if unit not in state.owed:
            state.owed[unit] = number
            records, size = _cost(state, unit, piece)
            failure = state.failures[number]
            state.failures[number] = replace(
                failure,
                predicted=failure.predicted + 1,
                predicted_records=failure.predicted_records + (records or 0),
                predicted_bytes=failure.predicted_bytes + size,
                unknown=failure.unknown + (records is None),
            )


def pending(state: LineageState) -> int:
    """Tasks that are owed to failures whose losses are still being told."""
    waiting = {unit for job in state.jobs.values() if job.end is None for unit, *_ in _owed(state, job)}
    return len(waiting - set(state.owed)) if state.judging else 0


def _cost(state: LineageState, unit: Unit, piece: Piece) -> tuple[int | None, int]:
    """Records (None: nobody knows) and bytes fetched of this work.

    What it took when it was done before, else what others of its kind took on average. For work that was
    interrupted the first time the sizes of its inputs are known.
    """
    maker = state.done.get(state.makers.get(piece, -1))
    if unit in state.costs:
        return state.costs[unit]
    if maker is not None:
        return maker.records, maker.bytes
    alike = [records for other, (records, _) in state.costs.items() if other[:2] == unit[:2]]
    return round(sum(alike) / len(alike)) if alike else None, _input(state, unit)


def _input(state: LineageState, unit: Unit) -> int:
    """Bytes of the shuffle outputs that a task of this unit fetches: its piece of every map output."""
    p = unit[2]
    stages = [s for s in state.stages.values() if s.unit(p) == unit]
    if not stages:
        return 0
    shuffles, _ = walk(state, stages[-1].rdd, [p])
    total = 0
    for shuffle, (mapped, _tasks) in shuffles.items():
        maps = state.rdds[mapped].partitions if mapped in state.rdds else 0
        buckets = [state.buckets.get((shuffle, m), ()) for m in range(maps)]
        total += sum(sizes[p] for sizes in buckets if p < len(sizes))
    return total


def _owed(state: LineageState, job: JobView) -> Iterator[tuple[Unit, int, Piece]]:
    """Every (work, failure, piece lost) that the job needs again, from its last stage back to its first."""
    stage = next((s for s in state.stages.values() if s.job == job.id and s.kind == "result"), None)
    rdd = state.rdds.get(job.rdd)
    if rdd is None:
        return
    wanted = stage.wanted if stage is not None else tuple(range(rdd.partitions))
    missing = [p for p in wanted if (job.id, p) not in state.results]
    waiting: list[tuple[str, int, int, list[int]]] = [("result", job.id, rdd.id, missing)]
    seen: set[int] = set()
    for kind, ident, last, parts in waiting:  # grows while it is walked
        for p in parts:
            unit = (kind, ident, p)
            if unit in state.interrupted:
                yield unit, state.interrupted[unit], unit
            elif kind == "map" and ("output", ident, p) in state.lost:
                yield unit, state.lost["output", ident, p][1], ("output", ident, p)
        have = _with_inputs(state, kind, ident)
        shuffles, blocks = walk(state, last, parts)
        for p, piece in blocks:
            if p not in have:
                yield (kind, ident, p), state.lost[piece][1], piece
        shuffles = {s: q for s, (q, needing) in shuffles.items() if any(p not in have for p in needing)}
        for shuffle, mapped in sorted(shuffles.items()):
            if shuffle in seen or len(seen) > DEEPEST or mapped not in state.rdds:
                continue
            seen.add(shuffle)
            maps = range(state.rdds[mapped].partitions)
            gone = [m for m in maps if (shuffle, m) not in state.outputs]
            if gone:
                waiting.append(("map", shuffle, mapped, gone))


def _with_inputs(state: LineageState, kind: str, ident: int) -> set[int]:
    """Partitions whose task has fetched all it needs: no loss can stop it any more."""
    return {
        task.partition for task in state.running.values() if task.unit[:2] == (kind, ident) and task.computing
    }


Shuffles = dict[int, tuple[int, list[int]]]


def walk(state: LineageState, last: int, parts: list[int]) -> tuple[Shuffles, list[tuple[int, Piece]]]:
    """What the tasks of these partitions need from before, if they run now.

    The shuffles (shuffle -> the RDD mapped, and the partitions that read it), and the partitions whose task
    has to compute a lost block again, with that block. Partitions keep their numbers along
    narrow dependencies between RDDs of one size; where sizes differ, all of the parent's are taken.
    """
    shuffles: Shuffles = {}
    blocks: list[tuple[int, Piece]] = []
    waiting: list[tuple[int, list[int], list[int]]] = [(last, parts, parts)]
    seen: set[int] = set()
    for ident, own, tasks in waiting:
        rdd = state.rdds.get(ident)
        if rdd is None or ident in seen:
            continue
        seen.add(ident)
        if rdd.storage == "checkpoint":
            continue
        if rdd.storage is not None:
            kept = [(ident, p) in state.blocks for p in own]
            for p, task in zip(own, tasks, strict=True):
                if ("block", ident, p) in state.lost and (ident, p) not in state.blocks:
                    blocks.append((task, ("block", ident, p)))
            own = [p for p, there in zip(own, kept, strict=True) if not there]
            tasks = [task for task, there in zip(tasks, kept, strict=True) if not there]
        if not own:
            continue
        for parent in rdd.parents:
            if parent.wide and parent.shuffle is not None:
                shuffles[parent.shuffle] = (parent.rdd, tasks)
            elif parent.rdd in state.rdds and state.rdds[parent.rdd].partitions == rdd.partitions:
                waiting.append((parent.rdd, own, tasks))
            elif parent.rdd in state.rdds:
                every = list(range(state.rdds[parent.rdd].partitions))
                waiting.append((parent.rdd, every, (tasks * len(every))[: len(every)]))
    return shuffles, blocks


def pipeline(state: LineageState, last: int, partition: int) -> list[int]:
    """The RDDs of which a task of this partition computes one, if it runs now: back to what is kept."""
    found: list[int] = []
    waiting = [last]
    for ident in waiting:
        rdd = state.rdds.get(ident)
        if rdd is None or ident in found or rdd.storage == "checkpoint" or (ident, partition) in state.blocks:
            continue
        if rdd.partitions <= partition:
            continue
        found.append(ident)
        waiting += [parent.rdd for parent in rdd.parents if not parent.wide]
    return found
