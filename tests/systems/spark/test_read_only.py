"""RDDs are read-only: whatever functions do to the records that they are given, nobody else sees it."""

from __future__ import annotations

import datetime
import enum
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from labkit.systems.spark import StorageLevel
from labkit.systems.spark.kept import Copies, hand_out, keep
from tests.systems.spark.conftest import MakeContext
from tests.systems.spark.contexts import context


@dataclass
class Point:
    """A record with attributes."""

    x: int


class Colour(enum.Enum):
    """An enumeration."""

    RED = 1


def doubled(row: Any) -> Any:
    row["n"] *= 2
    return row


def extended(a: list[int], b: list[int]) -> list[int]:
    a.extend(b)
    return a


def moved(point: Any) -> Any:
    point.x += 1
    return point


def shifted(pair: Any) -> Any:
    pair[1][:] += 1
    return pair


#: Records, a function that changes them, and what it gives.
CHANGES: list[tuple[list[Any], Callable[[Any], Any], Callable[[Any], Any], list[Any]]] = [
    ([{"n": 1}, {"n": 2}], doubled, lambda row: row["n"], [2, 4]),
    ([{"n": 1, "deep": [1]}, {"n": 2}], doubled, lambda row: row["n"], [2, 4]),
    ([[1], [2]], lambda row: extended(row, [0]), len, [2, 2]),
    ([("a", [1]), ("b", [2])], lambda pair: extended(pair[1], [0]), len, [2, 2]),
    ([Point(1), Point(2)], moved, lambda point: point.x, [2, 3]),
    ([(0, np.zeros(2)), (1, np.ones(2))], shifted, lambda pair: pair[1].tolist(), [[1, 1], [2, 2]]),
]


@pytest.mark.parametrize("kind", ["single", "sim"])
@pytest.mark.parametrize("level", ["MEMORY_ONLY", "MEMORY_ONLY_SER", "MEMORY_AND_DISK", "DISK_ONLY"])
def test_a_kept_partition_has_what_it_was_given(kind: str, level: str) -> None:
    with context(kind) as sc:
        for records, change, shown, right in CHANGES:
            rdd = sc.parallelize(records, 2).map(lambda x: x).persist(getattr(StorageLevel, level))
            # First while it is being kept, then twice from where it is kept.
            assert [rdd.map(change).map(shown).collect() for _ in range(3)] == [right] * 3
            assert rdd.count() == len(records)
            assert repr(rdd.collect()) == repr(records)


def test_on_each_engine(make_context: MakeContext) -> None:
    sc = make_context(machines=2)
    words = sc.parallelize([("a", 1), ("a", 2), ("b", 3)], 2).mapValues(lambda v: [v]).cache()
    for _ in range(3):
        assert sorted(words.reduceByKey(extended).collect()) == [("a", [1, 2]), ("b", [3])]
        assert sorted(words.values().reduce(extended)) == [1, 2, 3]
        both = words.union(words).mapValues(lambda v: extended(v, [0])).values().collect()
        assert sorted(both) == [[1, 0], [1, 0], [2, 0], [2, 0], [3, 0], [3, 0]]
        assert sorted(words.values().fold([], extended)) == [1, 2, 3]
    taken = words.collect()
    taken[0][1].append("the driver's")
    groups = words.groupByKey().mapValues(list).cache()
    for _ in range(2):
        assert sorted(groups.mapValues(lambda lists: extended(lists[0], [9])).collect()) == [
            ("a", [1, 9]),
            ("b", [3, 9]),
        ]
    assert sorted(groups.collect()) == [("a", [[1], [2]]), ("b", [[3]])]


@pytest.mark.parametrize("kind", ["single", "sim"])
@pytest.mark.parametrize("value", [[], {"seen": []}, {0}, np.zeros(3), Point(0)], ids=repr)
def test_each_task_has_a_broadcast_value_of_its_own(kind: str, value: Any) -> None:
    def change(_: int) -> str:
        before = repr(shared.value)
        if isinstance(shared.value, np.ndarray):
            shared.value[0] += 1
        elif isinstance(shared.value, dict):
            shared.value["seen"].append(1)
        elif isinstance(shared.value, Point):
            shared.value.x += 1
        else:
            (shared.value.append if isinstance(shared.value, list) else shared.value.add)(1)
        return before

    with context(kind) as sc:
        given = repr(value)
        shared = sc.broadcast(value)
        for _ in range(2):
            assert set(sc.parallelize(range(4), 4).map(change).collect()) == {given}
        assert repr(shared.value) == given


@pytest.mark.parametrize("kind", ["single", "sim"])
def test_the_drivers_own_data_go_on_being_its_own(kind: str) -> None:
    with context(kind) as sc:
        rows = [[1], [2]]
        rdd = sc.parallelize(rows, 2)
        rows[0].append(5)
        assert rdd.collect() == [[1], [2]]
        assert rdd.map(lambda row: extended(row, [7])).collect() == [[1, 7], [2, 7]]
        assert rows == [[1, 5], [2]]
        assert rdd.collect() == [[1], [2]]


@pytest.mark.parametrize("kind", ["single", "sim"])
def test_a_list_that_a_function_goes_on_filling_is_not_the_kept_one(kind: str) -> None:
    with context(kind) as sc:

        def partition(records: Any) -> list[int]:
            made.extend(records)
            return made

        made: list[int] = []
        kept = sc.parallelize([1, 2], 1).mapPartitions(partition).cache()
        assert kept.mapPartitions(lambda records: [*records, "more"]).collect() == [1, 2, "more"]
        assert kept.collect() == kept.collect() == [1, 2]


@pytest.mark.parametrize(
    "records",
    [
        [],
        [1, "a", None, 2.5, b"x"],
        [(1, ("a", frozenset([2])))],
        [Decimal(1), datetime.date(2024, 1, 1), Colour.RED, np.float64(1), range(3)],
    ],
)
def test_what_cannot_change_is_handed_out_as_it_is(records: list[Any]) -> None:
    assert hand_out(keep(records)) is records


@pytest.mark.parametrize(
    "records",
    [
        [[1], [2]],
        [{"a": 1}],
        [{1}, {2}],
        [(1, np.zeros(2)), (2, np.ones(2))],
        [np.full(3, n, "i2") for n in range(200)],
        [np.zeros((2, 0)), np.zeros((2, 0))],
        [np.zeros((2, 2)), np.ones((2, 2)).T, np.ones((2, 3)), np.array(1)],
        [np.array(1), np.array(2)],
        [np.zeros(10**4)],
        [bytearray(b"x")],
        [(1, [2])],
    ],
)
def test_what_its_type_can_copy_is_copied_while_it_is_read(records: list[Any]) -> None:
    kept = keep(records)
    assert isinstance(kept, Copies)
    assert len(kept) == len(records)
    for read in (list(kept), pickle.loads(pickle.dumps(kept))):
        assert repr(read) == repr(records)
        assert all(a is not b for a, b in zip(read, records, strict=True))


@pytest.mark.parametrize("shape", [3, (2, 2), 10**4])
def test_an_array_that_is_read_is_its_readers_own(shape: Any) -> None:
    arrays = [np.zeros(shape, ">i2") for _ in range(5)]
    kept = keep(arrays)
    for reader in (list(kept), list(kept)):
        for number, array in enumerate(reader):
            assert array.dtype.str == ">i2"
            assert not array.any()
            array += number + 1
        assert [array.max() for array in reader] == [1, 2, 3, 4, 5]
    for array in arrays:
        assert not array.any()
        array += 1
    assert not any(array.any() for array in kept), "what the caller changes later is the caller's"


@pytest.mark.parametrize(
    "records",
    [
        [[[1]]],
        [Point(1)],
        [1, [2]],
        [(1, [2]), (3,)],
        [np.array([[]], dtype=object)],
        [("a", {1: []})],
        [np.zeros(1, dtype="i4,i4")[0]],
    ],
    ids=repr,
)
def test_the_rest_is_kept_as_a_pickle(records: list[Any]) -> None:
    kept = keep(records)
    assert isinstance(kept, bytes)
    assert repr(hand_out(kept)) == repr(records)


def test_what_is_one_object_stays_one() -> None:
    row = [1]
    first, second = hand_out(keep([row, row]))
    first.append(2)
    assert second == [1, 2]
    assert row == [1]


def test_reading_a_few_records_copies_a_few() -> None:
    copied: list[Any] = []
    kept = Copies(3, lambda: (copied.append(x) or list(x) for x in [[1], [2], [3]]))
    assert next(iter(kept)) == [1]
    assert copied == [[1]]
