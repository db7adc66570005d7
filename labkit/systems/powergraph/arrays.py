"""The synchronous engine for whole partitions as arrays: the same minor-steps, one array for each pair of
machines in each.

Who sends what to whom in which order is settled when the graph is loaded (``Partition.mirrors`` and
``held``): partial sums for k mirrors are k numbers. Where most vertices run, all edges are gathered and
summed (``Rows``); where few run, only theirs.

Who runs, and who is activated, is often the same as in the superstep before: then it is not told again, and
what follows from it is not computed again (``Told``). If nobody anywhere is activated who was not before, all
know who is active, and the next superstep begins without a barrier.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from labkit.runtime.raised import short

from .gas import Counts
from .model import ALL, IN, NONE, OUT, BatchProgram
from .partition import Partition

__all__ = ["ArrayReplicas", "Batch"]

#: Below this part of the vertices only the edges of those concerned are looked at.
FEW = 0.2
#: Vertices with up to so many edges are summed together: most of them, where degrees follow a power law.
SMALL = 16


class Rows:
    """The edges of each vertex at one end, the one that gathers; ``far`` is at the other.

    Vertices with equally many edges, if these are few, are together: first the first edge of each, then the
    second of each … Their sums are a few sums of arrays, which is quicker than many of a few numbers. The
    edges of the others stand one vertex after the other.
    """

    def __init__(self, grouped: tuple[Any, Any], far: Any, weight: Any) -> None:
        order, begins = grouped
        self.degrees = np.diff(begins)
        #: Where each vertex's first edge is, and how far it is from one edge to its next.
        self.first, self.step = np.zeros_like(self.degrees), np.ones_like(self.degrees)
        self.groups: list[tuple[int, int]] = []  #: degree, vertices
        rows, edges, at = [], [], 0
        for degree in range(1, SMALL + 1):
            rows.append(np.flatnonzero(self.degrees == degree))
            edges.append((begins[rows[-1]] + np.arange(degree)[:, None]).ravel())
            self.groups.append((degree, len(rows[-1])))
            self.first[rows[-1]], self.step[rows[-1]] = at + np.arange(len(rows[-1])), len(rows[-1])
            at += len(edges[-1])
        large = np.flatnonzero(self.degrees > SMALL)
        rows.append(large)
        edges.append(_places(begins[large], self.step[large], self.degrees[large]))
        self.starts = _starts(self.degrees[large])  #: counted from the first edge of these
        self.first[large] = at + self.starts
        self.rows = np.concatenate(rows)  #: those that have edges
        order = order[np.concatenate(edges)]
        #: Those at the far ends, each once; ``far`` are places in it: what is read at random is small.
        self.ends, self.far = distinct(far[order], len(self.degrees))
        self.weight = weight[order]
        self.buffers: dict[Any, Any] = {}

    def buffer(self, dtype: Any) -> Any:
        """Memory for a value of each edge, the same each time: a page's first touch costs more than what is
        done with it."""
        found = self.buffers.get(dtype)
        if found is None:
            found = self.buffers[dtype] = np.empty(len(self.far), dtype)
            found.fill(0)
        return found

    def edges(self, rows: Any) -> Any:
        """The places of the edges of some vertices, one vertex after the other."""
        return _places(self.first[rows], self.step[rows], self.degrees[rows])

    def reduced(self, offered: Any, along: Any, ufunc: Any, acc: Any, who: Any, first: bool) -> int:
        """Add to acc (k), for each vertex, what its neighbours offer (k). who: booleans (k), those that need
        it; the others may get it too. first: acc has nothing but zeros yet. Returns how many edges were
        looked at."""
        rows, far, weight, values = self.rows, self.far, self.weight, None
        few = np.count_nonzero(who) < FEW * len(who)
        if few:
            rows = rows[who[rows]]
            edges = self.edges(rows)
            far, weight = far[edges], weight[edges] if along is not None else None
        else:
            values = self.buffer(offered.dtype)
        if not len(rows):
            return 0
        values = np.take(offered[self.ends], far, out=values, mode="clip")
        if along is not None:
            along(values, weight, out=values)
        found = ufunc.reduceat(values, _starts(self.degrees[rows])) if few else self._sums(values, ufunc)
        acc[rows] = found if first else ufunc(acc[rows], found)
        return len(values)

    def _sums(self, values: Any, ufunc: Any) -> Any:
        """Of each vertex's values, in the order of ``rows``."""
        found = np.empty(len(self.rows), ufunc.reduce(values[:1]).dtype)
        row = at = 0
        for degree, count in self.groups:
            block = values[at : at + degree * count].reshape(degree, count)
            ufunc.reduce(block, axis=0, out=found[row : row + count])
            row, at = row + count, at + degree * count
        if len(self.starts):
            ufunc.reduceat(values[at:], self.starts, out=found[row:])
        return found


def _starts(lengths: Any) -> Any:
    """Where each of some pieces begins that stand one after the other."""
    return np.cumsum(lengths) - lengths


def _places(first: Any, step: Any, counts: Any) -> Any:
    """The places first, first + step, … of each of some vertices, so many of each; one vertex after the
    other."""
    within = np.arange(counts.sum()) - np.repeat(_starts(counts), counts)
    return np.repeat(first, counts) + within * np.repeat(step, counts)


def distinct(numbers: Any, count: int) -> tuple[Any, Any]:
    """Which of the numbers 0 to count - 1 there are, ascending; and for each number (m) its place among
    them."""
    there = np.zeros(count, bool)
    there[numbers] = True
    return np.flatnonzero(there), (np.cumsum(there) - 1)[numbers]


def reduced(several: list[Rows], offered: Any, along: Any, ufunc: Any, acc: Any, who: Any) -> int:
    """``Rows.reduced`` for all of them, into an acc of nothing but zeros."""
    return sum(rows.reduced(offered, along, ufunc, acc, who, rows is several[0]) for rows in several)


class ArrayReplicas:
    """All replicas of a machine, as arrays (k) over its vertices."""

    caching = False

    def __init__(self, partition: Partition, program: BatchProgram) -> None:
        self.partition, self.program = partition, program
        self.D = program.initial_batch(
            partition.gid, partition.in_degree, partition.out_degree, partition.vertices
        )
        _refuse_unless(_fields(self.D, partition.size), program, "initial_batch", self.D, partition.size)
        self.D = type(self.D)(*(np.array(field) for field in self.D))
        self.master = np.zeros(partition.size, bool)
        self.master[partition.mastered] = True
        self.active = np.zeros(partition.size, bool)  #: of masters
        into = Rows(partition.by_target, partition.source, partition.weight)
        outof = Rows(partition.by_source, partition.target, partition.weight)
        self.gathered = _rows(program.gather_nbrs, into, outof)
        self.scattered = _rows(program.scatter_nbrs, into, outof)
        self.activated = _rows(_BACK[program.scatter_nbrs], into, outof)  #: as seen by the neighbour
        for rows in self.gathered:
            rows.buffer(np.dtype(float))  # before the first superstep
        self.counts = Counts()

    def activate_all(self) -> None:
        """Every master runs."""
        self.active[self.master] = True

    def set_caching(self, on: bool) -> None:
        """Accumulators of arrays are not kept."""

    def saved(self) -> dict[str, Any]:
        """What a snapshot has of this machine."""
        masters = self.partition.mastered
        fields = tuple(field[masters] for field in self.D)
        return {"gid": self.partition.gid[masters], "D": fields, "active": self.active[masters]}

    def restore(self, saved: dict[str, Any]) -> None:
        """Take what concerns the replicas here from one file of a snapshot."""
        gid = self.partition.gid
        there = np.isin(saved["gid"], gid)
        here = np.searchsorted(gid, saved["gid"][there])
        for field, values in zip(self.D, saved["D"], strict=True):
            field[here] = values[there]
        self.active[here] = saved["active"][there] & self.master[here]


_BACK = {NONE: NONE, IN: OUT, OUT: IN, ALL: ALL}


def _rows(nbrs: str, into: Rows, outof: Rows) -> list[Rows]:
    return {NONE: [], IN: [into], OUT: [outof], ALL: [into, outof]}[nbrs]


def _entries(found: Any, size: int) -> bool:
    return isinstance(found, np.ndarray) and found.shape == (size,)


def _fields(D: Any, size: int) -> bool:
    return hasattr(D, "_fields") and all(_entries(field, size) for field in D)


def _refuse_unless(right: bool, program: BatchProgram, method: str, found: Any, size: int) -> None:
    """NumPy would stretch or cut what has another shape, without a word."""
    if not right:
        wanted = {"gather_batch": "an array", "changed_batch": "an array of booleans"}.get(
            method, "D, a named tuple of arrays"
        )
        raise TypeError(
            f"{type(program).__name__}.{method} gave {short(found)}: return {wanted}, with an entry for each "
            f"of the {size} vertices"
        )


class Told:
    """Booleans (k) of which each peer hears its part at every superstep, unless all are as they were."""

    def __init__(self, peers: int) -> None:
        self.said: Any = None
        self.heard: list[Any] = [None] * peers  #: by rank, what it said last

    def say(self, now: Any, parts: list[Any]) -> list[tuple[Any, ...]]:
        """By rank what it is told. parts: by rank, the vertices that it hears of."""
        if self.said is not None and np.array_equal(now, self.said):
            return [()] * len(parts)
        self.said = now.copy()
        return [(now[each],) for each in parts]

    def hear(self, items: list[Any]) -> bool:
        """Whether anything is not as it was, here or there."""
        for rank, item in enumerate(items):
            if item.arrays:
                self.heard[rank] = np.array(item.arrays[0])
        return any(item.arrays for item in items)


class Batch:
    """One machine's part. ``machine``: the node, with its channels and replicas."""

    def __init__(self, machine: Any) -> None:
        self.machine, self.replicas = machine, machine.replicas
        self.partition: Partition = machine.replicas.partition
        self.program: BatchProgram = machine.replicas.program
        self.ranks = range(len(machine.plan.members))
        self.acc = np.empty(self.partition.size)
        self.running: Any = None  #: which replicas take part: booleans (k)
        self.who: Any = None  #: the masters among them; and by rank the mirrors whose master is there, and
        self.mine: list[Any] = []  #: the masters with a mirror there
        self.theirs: list[Any] = []
        self._changed: Any = None  #: who scattered in the last superstep, and who was activated by that
        self._reached: Any = None
        self._active: Any = None  #: the masters that were activated in the last superstep
        self._told_active, self._told_reached = Told(len(self.ranks)), Told(len(self.ranks))

    async def run(self) -> list[Any]:
        """Supersteps until nobody is active; then []; or until something is ordered: the orders."""
        machine, replicas, held = self.machine, self.replicas, self.partition.held
        nothing, known = [None for _ in self.ranks], False
        while True:
            active, news = int(np.count_nonzero(replicas.active)), False
            if not known:
                said = [(active, machine.take_orders())] * len(self.ranks)
                heard = await machine.exchange("begin", said, self._told_active.say(replicas.active, held))
                news = self._told_active.hear(heard)
                if (orders := heard[0].what[1]) or not sum(item.what[0] for item in heard):
                    return list(orders)
            machine.begin_superstep(active)
            partials = await machine.work(self._gather, news)
            heard = await machine.exchange("gather", nothing, partials)
            names, values = await machine.work(self._apply, heard)
            heard = await machine.exchange("apply", [names] * len(self.ranks), values)
            reached = await machine.work(self._scatter, heard)
            said = [(not any(reached), machine.take_orders())] * len(self.ranks)
            heard = await machine.exchange("scatter", said, reached)
            self._commit(heard)
            machine.end_superstep()
            if orders := heard[0].what[1]:
                return list(orders)
            known = all(item.what[0] for item in heard)

    def _begin(self) -> None:
        """Others take part than in the superstep before."""
        replicas, partition = self.replicas, self.partition
        running = self.running = replicas.active.copy()
        for mirrors, active in zip(partition.mirrors, self._told_active.heard, strict=True):
            running[mirrors] = active
        self.who = np.flatnonzero(running & replicas.master)
        self.mine = [mirrors[running[mirrors]] for mirrors in partition.mirrors]
        self.theirs = [held[running[held]] for held in partition.held]

    def _gather(self, news: bool) -> list[tuple[Any, ...]]:
        """By rank the partial sums of the running mirrors whose master is there. news: others run than did
        before."""
        replicas, program = self.replicas, self.program
        if news:
            self._begin()
        replicas.active[:] = False
        self.acc.fill(program.zero)
        offered = program.gather_batch(replicas.D) if replicas.gathered else None
        size = self.partition.size
        if replicas.gathered:
            _refuse_unless(_entries(offered, size), program, "gather_batch", offered, size)
        replicas.counts.gathers += reduced(
            replicas.gathered, offered, program.along, program.sum_batch, self.acc, self.running
        )
        return [(self.acc[each],) for each in self.mine]

    def _apply(self, heard: list[Any]) -> tuple[list[int], list[tuple[Any, ...]]]:
        """Which fields of D have new values; and by rank those of the running masters with a mirror there."""
        replicas, program = self.replicas, self.program
        for vertices, item in zip(self.theirs, heard, strict=True):
            self.acc[vertices] = program.sum_batch(self.acc[vertices], item.arrays[0])
        who = self.who
        replicas.counts.applies += len(who)
        before = type(replicas.D)(*(field[who] for field in replicas.D))
        after = program.apply_batch(before, self.acc[who])
        right = _fields(after, len(who)) and len(after) == len(before)
        _refuse_unless(right, program, "apply_batch", after, len(who))
        for name, old, new in zip(before._fields, before, after, strict=True):
            if not np.can_cast(new.dtype, old.dtype, "same_kind"):
                raise TypeError(
                    f"{type(program).__name__}.apply_batch gave {new.dtype} for {name}, which is "
                    f"{old.dtype} from initial_batch on: let initial_batch make it {new.dtype} too"
                )
        names = [i for i, (old, new) in enumerate(zip(before, after, strict=True)) if new is not old]
        for i in names:
            replicas.D[i][who] = after[i]
        return names, [tuple(replicas.D[i][each] for i in names) for each in self.theirs]

    def _scatter(self, heard: list[Any]) -> list[tuple[Any, ...]]:
        """All take the new values. By rank which mirrors of its vertices were activated: booleans."""
        replicas = self.replicas
        for mine, item in zip(self.mine, heard, strict=True):
            for i, values in zip(item.what, item.arrays, strict=True):
                replicas.D[i][mine] = values
        changed = self.program.changed_batch(replicas.D)
        size = self.partition.size
        right = _entries(changed, size) and changed.dtype == bool
        _refuse_unless(right, self.program, "changed_batch", changed, size)
        changed = self.running & changed
        if self._changed is None or not np.array_equal(changed, self._changed):
            self._changed, self._reached = changed, self._activated(changed)
        return self._told_reached.say(self._reached, self.partition.mirrors)

    def _activated(self, changed: Any) -> Any:
        """Who has a neighbour that scatters to it: booleans (k)."""
        replicas, reached = self.replicas, np.zeros(len(changed), bool)
        who = np.flatnonzero(changed)
        if len(who) == len(changed):
            for rows in replicas.activated:
                reached[rows.rows] = True
                replicas.counts.scatters += len(rows.far)
        elif len(who) < FEW * len(changed):
            for rows in replicas.scattered:
                edges = rows.edges(who)
                reached[rows.ends[rows.far[edges]]] = True
                replicas.counts.scatters += len(edges)
        else:
            everyone = np.ones(len(changed), bool)
            replicas.counts.scatters += reduced(
                replicas.activated, changed, None, np.logical_or, reached, everyone
            )
        return reached

    def _commit(self, heard: list[Any]) -> None:
        replicas = self.replicas
        if self._told_reached.hear(heard):
            self._active = self._reached & replicas.master
            for held, reached in zip(self.partition.held, self._told_reached.heard, strict=True):
                self._active[held] |= reached
        replicas.active[:] = self._active
