"""One range of keys as a server holds it, and chain replication (van Renesse and Schneider, OSDI 2004).

The copies of a range form a chain. Pushes go to its head, pulls to its tail; the head tells its successor
what has changed, that one the next, and the acknowledgement travels back from the tail. With ``Hist`` the
changes that a server has applied and ``Sent`` those that it has passed on but not had acknowledged:

* i nearer to the head than j: ``Hist_j`` is a prefix of ``Hist_i`` (Update Propagation Invariant);
* ``Hist_i = Hist_j + Sent_i`` for i's successor j (In-process Requests Invariant).

*Replication after aggregation* (Li et al., OSDI 2014, section 4.3): while one record is on its way down the
chain, further pushes are applied at the head, and the next record carries their outcome together: the new
values, not the pushes. Replicas overwrite, so they need not know the update function.

This module is the state and its transitions; ``server.py`` sends the messages.
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import numpy as np

from labkit.runtime.loop import Future, running_loop

from .clocks import RangeVectorClock
from .filters import Keys
from .ring import KeyRange
from .store import Contents, Store, cut_contents, new_store
from .updates import Array
from .vectors import VectorSpec, count, overlap, part_of, span_of

__all__ = ["Buffered", "Identity", "Record", "ReplicatedRange", "Round", "Snapshot"]

#: (run, iteration): pushes that are applied together.
Round = tuple[int, int]


class Identity(NamedTuple):
    """Which push, and the part of it that lies in one range of keys [first, end)."""

    vector: str
    source: str  #: who pushed: different for every life of a shard's program
    timestamp: int  #: 1, 2, … for each source
    first: int
    end: int
    worker: str = ""
    shard: int | None = None
    clock: int | None = None  #: the iteration it was pushed in


class Buffered(NamedTuple):
    """A push that waits for its round."""

    identity: Identity
    keys: Keys
    pushed: Array


class Record(NamedTuple):
    """What a server tells its successor: the outcome of the changes ``first`` … ``last``."""

    first: int
    last: int
    pushes: tuple[Identity, ...]  #: those applied, or buffered, by these changes
    contents: tuple[tuple[str, Contents], ...]  #: by vector: the entries that have changed
    buffered: tuple[tuple[Round, Buffered], ...]
    closed: tuple[tuple[Round, tuple[str, ...] | None], ...]  #: rounds, and the sources applied (None: all)


class Snapshot(NamedTuple):
    """A range's whole state, or what has changed in it, for a server that is to hold it."""

    seq: int
    contents: tuple[tuple[str, Contents], ...]
    clocks: dict[str, RangeVectorClock]
    rounds: dict[Round, list[Buffered]]


class ReplicatedRange:
    """A server's copy of the range [lo, hi) of the ring. ``vectors``: the specification of each vector."""

    def __init__(self, lo: int, hi: int, vectors: dict[str, VectorSpec]) -> None:
        self.lo = lo
        self.hi = hi
        self.vectors = vectors
        #: Length of Hist: changes applied here.
        self.seq = 0
        #: Changes that every copy down the chain has; never more than ``seq``.
        self.committed = 0
        #: Passed on and not acknowledged, in order: committed + 1 … .
        self.sent: deque[Record] = deque()
        self.stores: dict[str, Store] = {}
        self.clocks: dict[str, RangeVectorClock] = {}
        #: Pushes that wait for the end of their round.
        self.rounds: dict[Round, list[Buffered]] = {}
        #: The view in which a push is refused, since the range is moving; see ``Server.hand_over``.
        self.frozen_in = -1
        #: While a copy is made: entries that changed since, and the view in which it was begun.
        self.dirty: list[tuple[str, Keys]] | None = None
        self.dirty_since = -1
        self.sending = False  #: a task passes records on
        self._waiting: deque[tuple[int, Future]] = deque()
        self._fresh_record()

    def _fresh_record(self) -> None:
        self._pushes: list[Identity] = []
        self._changed: list[tuple[str, Keys]] = []
        self._buffered: list[tuple[Round, Buffered]] = []
        self._closed: list[tuple[Round, tuple[str, ...] | None]] = []
        self._first = self.seq + 1

    # the state ------------------------------------------------------------

    def store(self, vector: str) -> Store:
        """This range's part of a vector; all zero until something is pushed."""
        store = self.stores.get(vector)
        if store is None:
            spec = self.vectors[vector]
            store = self.stores[vector] = new_store(spec, *spec.keys_in(self.lo, self.hi))
        return store

    def news(self, identity: Identity) -> list[tuple[int, int]]:
        """The parts of a push that have not been seen; empty: it is a duplicate."""
        clock = self.clocks.get(identity.vector)
        span = (identity.first, identity.end)
        return [span] if clock is None else clock.behind(identity.source, *span, identity.timestamp)

    def _see(self, identity: Identity) -> None:
        clock = self.clocks.setdefault(identity.vector, RangeVectorClock())
        clock.set(identity.source, identity.first, identity.end, identity.timestamp)

    # changes at the head ------------------------------------------------------------

    def push(
        self,
        identity: Identity,
        news: list[tuple[int, int]],
        keys: Keys,
        pushed: Array,
        round_: Round | None,
        share: float,
    ) -> None:
        """Apply a push, or keep it for its round: those parts of it that are ``news``."""
        if news != [(identity.first, identity.end)]:
            parts = [(part, pushed[where]) for part, where in overlap(keys, news)]
        else:
            parts = [(keys, pushed)]
        for part, numbers in parts:
            if round_ is not None:
                waiting = Buffered(identity, part, numbers)
                self.rounds.setdefault(round_, []).append(waiting)
                self._buffered.append((round_, waiting))
            else:
                self.store(identity.vector).apply(part, numbers, share)
                self._touch(identity.vector, part)
        self._see(identity)
        self._pushes.append(identity)
        self.seq += 1

    def close_round(
        self, round_: Round, sources: tuple[str, ...], share: float, last: bool
    ) -> list[Buffered]:
        """Apply a round's pushes: first their sum, in the order of ``sources``, then one update.

        ``last``: nobody else will be added to the round, so what is left of it (from a worker that died, and
        whose iteration was done again) is thrown away. Returns what was applied.
        """
        waiting = self.rounds.get(round_, [])
        order = {source: number for number, source in enumerate(sources)}
        applied = [each for each in waiting if each.identity.source in order]
        applied.sort(key=lambda each: (order[each.identity.source], each.identity.timestamp))
        left = [] if last else [each for each in waiting if each.identity.source not in order]
        if len(left) == len(waiting):
            return []  # closed before, or never pushed to
        for vector in sorted({each.identity.vector for each in applied}):
            parts = [(each.keys, each.pushed) for each in applied if each.identity.vector == vector]
            keys, total = add_up(parts)
            self.store(vector).apply(keys, total, share)
            self._touch(vector, keys)
        self._drop(round_, left)
        self._closed.append((round_, None if last else sources))
        self.seq += 1
        return applied

    def assign(self, identity: Identity, contents: Contents) -> None:
        """Overwrite entries: a checkpoint is read back."""
        self.store(identity.vector).put(contents)
        self._touch(identity.vector, contents.keys)
        self._see(identity)
        self._pushes.append(identity)
        self.seq += 1

    def _drop(self, round_: Round, left: list[Buffered]) -> None:
        if left:
            self.rounds[round_] = left
        else:
            self.rounds.pop(round_, None)

    def _touch(self, vector: str, keys: Keys) -> None:
        self._changed.append((vector, keys))
        if self.dirty is not None:
            self.dirty.append((vector, keys))

    # records ------------------------------------------------------------

    @property
    def drained(self) -> bool:
        """Whether every copy has every change."""
        return self.committed == self.seq

    def aggregate(self) -> Record | None:
        """The outcome of all changes since the last record, as one; None if there were none."""
        if self._first > self.seq:
            return None
        contents = tuple((vector, self.store(vector).take(keys)) for vector, keys in union(self._changed))
        record = Record(
            self._first, self.seq, tuple(self._pushes), contents, tuple(self._buffered), tuple(self._closed)
        )
        self._fresh_record()
        self.sent.append(record)
        return record

    def forget_changes(self) -> None:
        """There is nobody to tell: what has been applied here is safe as it can be."""
        self._fresh_record()
        self.commit(self.seq)

    def apply_record(self, record: Record) -> None:
        """At a replica: do as the head did. The caller has checked that it is the next one."""
        for vector, contents in record.contents:
            self.store(vector).put(contents)
            if self.dirty is not None:
                self.dirty.append((vector, contents.keys))
        for round_, waiting in record.buffered:
            self.rounds.setdefault(round_, []).append(waiting)
        for round_, sources in record.closed:
            waiting_now = self.rounds.get(round_, [])
            left = [] if sources is None else [b for b in waiting_now if b.identity.source not in sources]
            self._drop(round_, left)
        for identity in record.pushes:
            self._see(identity)
        self.seq = record.last
        self._first = self.seq + 1
        self.sent.append(record)

    def commit(self, seq: int) -> None:
        """Every copy has the changes up to ``seq``: answer those who wait for it."""
        self.committed = max(self.committed, seq)
        while self.sent and self.sent[0].last <= self.committed:
            self.sent.popleft()
        while self._waiting and self._waiting[0][0] <= self.committed:
            self._waiting.popleft()[1].set_result(None)

    def until(self, seq: int) -> Future:
        """Resolved when every copy has the changes up to ``seq``."""
        future = Future(running_loop())
        if seq <= self.committed:
            future.set_result(None)
        else:
            self._waiting.append((seq, future))
        return future

    # moving ------------------------------------------------------------

    def begin_copy(self, view: int) -> None:
        """From now on remember what changes. Asked twice in one view, it forgets nothing."""
        if self.dirty_since != view:
            self.dirty, self.dirty_since = [], view

    def snapshot(self, lo: int, hi: int) -> Snapshot:
        """The state of the part [lo, hi) of this range."""
        contents = tuple(
            (name, cut_contents(store.all(), *store.vector.keys_in(lo, hi)))
            for name, store in self.stores.items()
        )
        return self._moving(lo, hi, contents)

    def delta(self, lo: int, hi: int) -> Snapshot:
        """What has changed in the part [lo, hi) since ``dirty`` was begun."""
        contents = []
        for vector, keys in union(self.dirty or []):
            part, _ = part_of(keys, *self.vectors[vector].keys_in(lo, hi))
            if count(part):
                contents.append((vector, self.store(vector).take(part)))
        return self._moving(lo, hi, tuple(contents))

    def _moving(self, lo: int, hi: int, contents: tuple[tuple[str, Contents], ...]) -> Snapshot:
        clocks = {name: clock.cut(*self.vectors[name].keys_in(lo, hi)) for name, clock in self.clocks.items()}
        rounds = {round_: self._cut_round(waiting, lo, hi) for round_, waiting in self.rounds.items()}
        return Snapshot(self.seq, contents, clocks, rounds)

    def _cut_round(self, waiting: list[Buffered], lo: int, hi: int) -> list[Buffered]:
        pieces = []
        for identity, keys, pushed in waiting:
            first, end = self.vectors[identity.vector].keys_in(lo, hi)
            part, where = part_of(keys, first, end)
            if count(part):
                cut = identity._replace(first=max(identity.first, first), end=min(identity.end, end))
                pieces.append(Buffered(cut, part, pushed[where]))
        return pieces

    def install(self, snapshot: Snapshot) -> None:
        """Take over a state, or what has changed since the last time. An older one arrives too late."""
        if snapshot.seq < self.seq:
            return
        for vector, contents in snapshot.contents:
            self.store(vector).put(contents)
        self.clocks = snapshot.clocks
        self.rounds = snapshot.rounds
        self.seq = self.committed = snapshot.seq
        self._fresh_record()

    def cut(self, lo: int, hi: int) -> ReplicatedRange:
        """A part of this range as a range of its own. Only when it is ``drained``."""
        piece = ReplicatedRange(lo, hi, self.vectors)
        piece.install(self.snapshot(lo, hi))
        return piece

    def bounds(self) -> KeyRange:
        """[lo, hi) without a chain."""
        return KeyRange(self.lo, self.hi, ())


def add_up(parts: list[tuple[Keys, Array]]) -> tuple[Keys, Array]:
    """The sum of pushes, added in the order given, and the keys it touches."""
    if len({part[0] if isinstance(part[0], tuple) else None for part in parts}) == 1 and isinstance(
        parts[0][0], tuple
    ):
        total = np.zeros_like(parts[0][1])
        for _, pushed in parts:
            total += pushed
        return parts[0][0], total
    lists = [np.arange(*keys, dtype=np.int64) if isinstance(keys, tuple) else keys for keys, _ in parts]
    keys = np.unique(np.concatenate(lists))
    total = np.zeros((len(keys), *parts[0][1].shape[1:]))
    for own, (_, pushed) in zip(lists, parts, strict=True):
        total[np.searchsorted(keys, own)] += pushed
    return keys, total


def union(changes: list[tuple[str, Keys]]) -> list[tuple[str, Keys]]:
    """The same changes with nothing twice: ranges joined, lists of keys merged, by vector."""
    merged: list[tuple[str, Keys]] = []
    for vector in sorted({vector for vector, _ in changes}):
        of_it = [keys for name, keys in changes if name == vector and count(keys)]
        ranges: list[tuple[int, int]] = []
        for lo, hi in sorted(keys for keys in of_it if isinstance(keys, tuple)):
            if ranges and lo <= ranges[-1][1]:
                ranges[-1] = (ranges[-1][0], max(hi, ranges[-1][1]))
            else:
                ranges.append((lo, hi))
        lists: list[Any] = [keys for keys in of_it if not isinstance(keys, tuple)]
        if lists:
            keys = lists[0] if len(lists) == 1 else np.unique(np.concatenate(lists))
            lo, hi = span_of(keys)
            for a, b in ranges:
                if a < hi and b > lo:
                    keys = keys[(keys < a) | (keys >= b)]
            lists = [keys] if len(keys) else []
        merged += [(vector, keys) for keys in [*ranges, *lists]]
    return merged
