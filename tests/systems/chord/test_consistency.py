"""The store as its clients see it: linearizable while machines die, not when the network falls in two."""

from __future__ import annotations

from typing import Any

import pytest

from labkit import Cluster, Kill, Schedule
from labkit.explore import search
from labkit.explore.histories import KeyValue, Operation, linearizable, monotonic_reads, read_your_writes
from labkit.systems.chord import Chord
from labkit.systems.chord.consistency import halves, inconsistent, mixed_use, store_used
from labkit.systems.chord.scenarios import failures
from labkit.systems.chord.store import BlockStore


def test_failures_leave_the_store_linearizable() -> None:
    assert search(store_used, failures(), inconsistent, limit=5) is None


def test_two_halves_have_two_owners() -> None:
    verdict = store_used(0, halves())
    assert verdict.ok is False
    assert len(verdict.unplaceable) <= 6
    assert verdict.unplaceable[-1].call == "get"
    assert inconsistent(verdict).startswith("BROKEN")


def history(schedule: Schedule, seed: int = 7) -> list[Operation]:
    with Cluster(machines=8, engine="sim", seed=seed) as cluster:
        ring = Chord(cluster, 8, bits=16, successors=3, replicas=3)
        cluster.play(schedule)
        return mixed_use(ring, lasts=6.0)


def judged(found: list[Operation]) -> tuple[bool | None, bool | None, bool | None]:
    reads = [each for each in found if each.call in ("get", "put")]
    return linearizable(found, KeyValue()).ok, read_your_writes(reads).ok, monotonic_reads(reads).ok


def test_replicas_that_keep_the_old_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: they say that they took the copy. When the owners die, old values come back."""
    merge = BlockStore._merge

    def keep_the_first(self: BlockStore, copies: Any, replica: bool) -> int:
        return merge(self, [copy for copy in copies if not (replica and copy[0] in self.copies)], replica)

    kills = Schedule([(3.0, Kill("m1")), (3.5, Kill("m2")), (4.0, Kill("m4"))])
    assert judged(history(kills)) == (True, True, True)
    monkeypatch.setattr(BlockStore, "_merge", keep_the_first)
    assert judged(history(kills))[0] is False


def test_an_owner_that_answers_before_it_has_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: a write is acknowledged, and made a moment later."""

    merge = BlockStore._merge

    async def later(self: BlockStore, copies: list[Any]) -> None:
        await self.sleep(0.05)
        merge(self, copies, replica=False)

    def at_once(self: BlockStore, copies: Any, replica: bool) -> int:
        self.spawn(later(self, list(copies)))
        return 1

    monkeypatch.setattr(BlockStore, "_merge", at_once)
    assert judged(history(Schedule([])))[:2] == (False, False)
