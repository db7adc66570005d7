"""The synchronous engine for whole partitions as arrays: the same minor-steps, one array for each pair of
machines in each.

Who sends what to whom in which order is settled when the graph is loaded (``Partition.mirrors`` and
``held``): partial sums for k mirrors are k numbers. Where most vertices run, all edges are gathered in the
order of their targets and summed by ``ufunc.reduceat``; where few run, only theirs.

Who runs, and who is activated, is often the same as in the superstep before: then it is not told again, and
what follows from it is not computed again (``Told``).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from labkit.runtime.raised import short

from .gas import Counts
from .model import ALL, IN, NONE, OUT, BatchProgram
from .partition import Partition, expanded

__all__ = ["ArrayReplicas", "Batch"]

#: Below this part of the vertices only the edges of those concerned are looked at.
FEW = 0.2


class Rows:
    """Edges in the order of the vertex at one end: ``near``, the one that gathers; ``far``, the other."""

    def __init__(self, grouped: tuple[Any, Any], far: Any, weight: Any) -> None:
        order, self.begins = grouped
        self.far = far[order]
        self.weight = weight[order]
        self.rows = np.flatnonzero(np.diff(self.begins))  #: those that have edges
        self.starts = self.begins[self.rows]
        self.buffers: dict[Any, Any] = {}

    def reduced(self, offered: Any, along: Any, ufunc: Any, acc: Any, who: Any, first: bool) -> int:
        """Add to acc (k), for each vertex, what its neighbours offer (k). who: booleans (k), those that need
        it; the others may get it too. first: acc has nothing but zeros yet. Returns how many edges were
        looked at."""
        few = np.count_nonzero(who) < FEW * len(who)
        if few:
            rows = self.rows[who[self.rows]]
            edges = expanded(self.begins, rows)
            values, far, weight = None, self.far[edges], self.weight[edges] if along is not None else None
            starts = np.concatenate([[0], np.cumsum(self.begins[rows + 1] - self.begins[rows])[:-1]])
        else:  # the same memory each time: a page's first touch costs more than what is done with it
            values = self.buffers.get(offered.dtype)
            if values is None:
                values = self.buffers[offered.dtype] = np.empty(len(self.far), offered.dtype)
            rows, far, weight, starts = self.rows, self.far, self.weight, self.starts
        if not len(rows):
            return 0
        values = np.take(offered, far, out=values, mode="clip")
        if along is not None:
            along(values, weight, out=values)
        found = ufunc.reduceat(values, starts)
        acc[rows] = found if first else ufunc(acc[rows], found)
        return len(values)


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
        nothing = [None for _ in self.ranks]
        while True:
            active = int(np.count_nonzero(replicas.active))
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
            heard = await machine.exchange("scatter", nothing, reached)
            await machine.work(self._commit, heard)
            machine.end_superstep()

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
        if len(who) < FEW * len(changed):
            for rows in replicas.scattered:
                edges = expanded(rows.begins, who)
                reached[rows.far[edges]] = True
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
