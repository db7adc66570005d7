"""The rows of a job's lineage: its RDDs from the first stage to the last, and its shuffles.

Stages are found as Spark finds them: from the last RDD back, cut at wide dependencies (NSDI 2012, Section
5.1).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .state import JobView, LineageState, Piece, RddView

#: A longer lineage leaves rows out.
ROWS = 16


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


def plan(state: LineageState, job: JobView) -> tuple[tuple[Band, ...], tuple[Any, ...], int]:
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
