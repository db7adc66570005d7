"""Blocks on an executor: levels, LRU by RDD, spill, the journal, and sizes."""

from __future__ import annotations

import sys
from typing import Any

import numpy
import pytest

from labkit.runtime.disk import MemoryFiles
from labkit.systems.spark import StorageLevel
from labkit.systems.spark.blocks import BlockStore, Journal, estimate
from tests.systems.spark.conftest import MakeContext, events


def records(count: int = 100, start: int = 0) -> list[int]:
    """Numbers too large to be shared."""
    return [10**6 + start + n for n in range(count)]


SIZE = estimate(records())


def store(blocks: float) -> BlockStore:
    """Room for this many blocks of a hundred records."""
    return BlockStore(int(blocks * SIZE), MemoryFiles())


def changes(blocks: BlockStore) -> list[Any]:
    """What the journal says, without sizes."""
    return [(what, rdd, p, rest[0]) for what, rdd, p, *rest in blocks.journal.unread()[1]]


@pytest.mark.parametrize("level", ["MEMORY_ONLY", "MEMORY_ONLY_SER", "DISK_ONLY", "MEMORY_AND_DISK"])
def test_what_is_put_can_be_read(level: str) -> None:
    blocks = store(1)
    blocks.put((3, 0), records(), getattr(StorageLevel, level))
    assert blocks.get((3, 0)) == records()
    assert blocks.get((3, 1)) is None
    assert (3, 0) in blocks
    assert changes(blocks) == [("stored", 3, 0, "disk" if level == "DISK_ONLY" else "memory")]


def test_only_live_objects_are_handed_out_as_they_are() -> None:
    blocks, kept = store(2), records()
    blocks.put((0, 0), kept, StorageLevel.MEMORY_ONLY)
    blocks.put((1, 0), kept, StorageLevel.MEMORY_ONLY_SER)
    assert blocks.get((0, 0)) is kept
    assert blocks.get((1, 0)) is not kept


def test_the_least_recently_used_rdd_makes_room() -> None:
    blocks = store(3.5)
    for rdd in (0, 1, 2):
        blocks.put((rdd, 0), records(), StorageLevel.MEMORY_ONLY)
    blocks.get((0, 0))  # now RDD 1 is the oldest
    blocks.put((3, 0), records(), StorageLevel.MEMORY_ONLY)
    assert [(rdd, 0) in blocks for rdd in range(4)] == [True, False, True, True]
    assert changes(blocks)[3:] == [("dropped", 1, 0, "evicted"), ("stored", 3, 0, "memory")]


def test_no_block_makes_room_for_another_of_its_rdd() -> None:
    """NSDI 2012, section 5.3: a scan of an RDD that is too large would drive out what comes next."""
    blocks = store(2.5)
    for p in range(4):
        blocks.put((0, p), records(), StorageLevel.MEMORY_ONLY)
    assert [(0, p) in blocks for p in range(4)] == [True, True, False, False]
    assert all(what == "stored" for what, *_ in changes(blocks))


def test_nothing_is_evicted_for_what_does_not_fit_anyway() -> None:
    blocks = store(1.5)
    blocks.put((0, 0), records(), StorageLevel.MEMORY_ONLY)
    blocks.put((1, 0), records(1000), StorageLevel.MEMORY_ONLY)
    assert (0, 0) in blocks
    assert (1, 0) not in blocks


def test_what_may_be_on_disk_is_spilled_and_read_back() -> None:
    blocks = store(1.5)
    blocks.put((0, 0), records(), StorageLevel.MEMORY_AND_DISK)
    blocks.put((1, 0), records(start=500), StorageLevel.MEMORY_ONLY)
    assert changes(blocks)[1:] == [
        ("dropped", 0, 0, "spilled"),
        ("stored", 0, 0, "disk"),
        ("stored", 1, 0, "memory"),
    ]
    assert blocks.get((0, 0)) == records()
    assert blocks.used <= blocks.memory


def test_dropping_an_rdd_frees_memory_and_disk() -> None:
    files = MemoryFiles()
    blocks = BlockStore(10 * SIZE, files)
    blocks.put((0, 0), records(), StorageLevel.MEMORY_ONLY)
    blocks.put((0, 1), records(), StorageLevel.DISK_ONLY)
    blocks.put((1, 0), records(), StorageLevel.MEMORY_ONLY)
    blocks.drop_rdd(0)
    assert files.names() == []
    assert blocks.used == SIZE
    assert changes(blocks)[3:] == [("dropped", 0, 0, "unpersisted"), ("dropped", 0, 1, "unpersisted")]


def test_the_journal_repeats_what_was_not_confirmed() -> None:
    journal = Journal()
    journal.add("a")
    journal.add("b")
    assert journal.unread() == (0, (("a",), ("b",)))
    journal.confirm(1)
    journal.add("c")
    assert journal.unread() == (1, (("b",), ("c",)))
    journal.confirm(0)  # an old confirmation that comes late
    assert journal.unread() == (1, (("b",), ("c",)))


@pytest.mark.parametrize(
    "values",
    [
        [(n, float(n)) for n in range(3000)],
        [f"word number {n}" for n in range(3000)],
        [{"key": n, "values": [n, n + 1]} for n in range(1000, 2000)],
    ],
)
def test_the_estimate_is_near_the_truth(values: list[Any]) -> None:
    def size(value: Any) -> int:
        inner = (
            value.items() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
        )
        return (
            sys.getsizeof(value) + sum(map(size, inner)) - (len(inner) * 56 if isinstance(value, dict) else 0)
        )

    assert 0.7 < estimate(values) / size(values) < 1.5


def test_arrays_count_with_their_data() -> None:
    assert 80_000 * 20 <= estimate([numpy.zeros(10_000) for _ in range(20)]) < 81_000 * 20


# --- on a cluster -----------------------------------------------------------------------------------------


def test_an_rdd_that_does_not_fit_is_partly_computed_again(sim_context: MakeContext) -> None:
    sc = sim_context(machines=2, memory=3 * SIZE)
    numbers = sc.parallelize(records(1000), 10).map(lambda x: x + 1).cache()
    assert numbers.count() == numbers.count() == 1000
    second = events(sc, "task_finished", stage=1)
    assert sum(len(each["read"]) for each in second) == 6  # two executors with room for three each
    assert sum(len(each["computed"]) for each in second) == 2 * 4


def test_spilled_blocks_are_read_and_not_computed_again(sim_context: MakeContext) -> None:
    sc = sim_context(machines=2, memory=3 * SIZE)
    numbers = sc.parallelize(records(1000), 10).map(lambda x: x + 1).persist(StorageLevel.MEMORY_AND_DISK)
    assert numbers.count() == numbers.count() == 1000
    assert {each["where"] for each in events(sc, "block_stored")} == {"memory", "disk"}
    assert [each["computed"] for each in events(sc, "task_finished", stage=1)] == [[]] * 10


def test_a_block_on_another_executor_is_fetched_from_there(sim_context: MakeContext) -> None:
    sc = sim_context(machines=2, locality_wait=0.0, seconds_per_task=0.1)
    numbers = sc.parallelize(range(100), 2).map(lambda x: x + 1).cache()
    numbers.count()
    one, two = (each["executor"] for each in events(sc, "block_stored"))
    assert one != two
    sc._driver.executors[one].slots = 0  # it is busy
    assert numbers.sum() == 5050
    sc._driver.executors[one].slots = 1
    tasks = events(sc, "task_finished", stage=1)
    assert {each["executor"] for each in tasks} == {two}
    assert [each["computed"] for each in tasks] == [[], []]
    assert sum(each["fetched_remote"] > 0 for each in tasks) == 1
