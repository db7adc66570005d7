"""Lineages that are very long, and RDDs in which there is nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import add
from pathlib import Path
from typing import Any

import pytest

from labkit.runtime.errors import LabError
from labkit.systems.spark import RDD, BaseContext
from tests.systems.spark.conftest import MakeContext
from tests.systems.spark.contexts import context

#: More steps than Python's recursion may be deep.
LONG = 1100


@pytest.fixture(params=["single", "sim"])
def sc(request: pytest.FixtureRequest) -> Iterator[BaseContext]:
    """On one thread, and on a simulated cluster."""
    with context(request.param) as made:
        yield made


def repeated(rdd: RDD, times: int, step: Callable[[RDD], RDD]) -> RDD:
    for _ in range(times):
        rdd = step(rdd)
    return rdd


@pytest.mark.parametrize(
    "step",
    [
        lambda rdd: rdd.mapValues(lambda v: v + 1),
        lambda rdd: rdd.mapPartitions(lambda pairs: ((k, v + 1) for k, v in pairs)),
        lambda rdd: rdd.mapValues(lambda v: v + 1).coalesce(1),
        lambda rdd: rdd.zip(rdd.ctx.parallelize([1], 1)).map(lambda two: (two[0][0], two[0][1] + two[1])),
        lambda rdd: rdd.cartesian(rdd.ctx.parallelize([1], 1)).map(
            lambda two: (two[0][0], two[0][1] + two[1])
        ),
    ],
    ids=["mapValues", "mapPartitions", "coalesce", "zip", "cartesian"],
)
def test_a_long_chain_of_narrow_steps(sc: BaseContext, step: Callable[[RDD], RDD]) -> None:
    last = repeated(sc.parallelize([("a", 0)], 1), LONG, step)
    assert last.collect() == [("a", LONG)]
    assert last.toDebugString().count(b"\n") >= LONG
    assert last.cache().count() == 1
    assert last.collect() == [("a", LONG)]


def test_unions_one_by_one(sc: BaseContext) -> None:
    whole = repeated(sc.parallelize([(0, 1)], 1), 400, lambda rdd: rdd.union(sc.parallelize([(0, 1)], 1)))
    assert sc.runJob(whole, list, [0, 400]) == [(0, 1), (0, 1)]
    assert whole.coalesce(1).count() == 401


def test_unions_of_co_partitioned_rdds_and_narrow_joins(sc: BaseContext) -> None:
    links = sc.parallelize([(0, 1), (1, 1)], 2).partitionBy(2).cache()
    whole = repeated(links, LONG, lambda rdd: rdd.union(links).filter(lambda pair: pair[1] > 0))
    assert sorted(whole.countByKey().items()) == [(0, LONG + 1), (1, LONG + 1)]
    joined = repeated(links, LONG, lambda rdd: rdd.join(links).mapValues(sum))
    assert joined.lookup(1) == [LONG + 1]


def test_many_shuffles_one_after_the_other(sc: BaseContext) -> None:
    step = lambda rdd: rdd.map(lambda pair: (pair[0] + 1, pair[1])).reduceByKey(add, 1)  # noqa: E731
    last = repeated(sc.parallelize([(0, 1), (0, 2)], 2), LONG // 2, step)
    assert last.collect() == [(LONG // 2, 3)]
    assert last.count() == 1


def test_a_long_chain_with_checkpoints(sc: BaseContext, tmp_path: Path) -> None:
    sc.setCheckpointDir(tmp_path)
    rdd = sc.parallelize([0], 1)
    for _ in range(5):
        rdd = repeated(rdd, LONG // 4, lambda rdd: rdd.map(lambda x: x + 1))
        rdd.checkpoint()
        rdd.count()
    assert rdd.toDebugString().count(b"\n") == 1
    assert rdd.collect() == [5 * (LONG // 4)]


def test_records_that_are_nested_too_deeply(sc: BaseContext) -> None:
    one = sc.parallelize([1], 1)
    deep = repeated(one, LONG, lambda rdd: rdd.zip(one))
    with pytest.raises(LabError, match=r"nested too deeply.*flatten it"):
        deep.collect()


def test_endless_records_stay_lazy(sc: BaseContext) -> None:
    endless = sc.parallelize([0], 1).flatMap(lambda _: iter(int, 1))
    assert repeated(endless, 50, lambda rdd: rdd.map(lambda x: x + 1)).take(2) == [50, 50]


NOTHING: dict[str, Callable[[RDD, RDD], Any]] = {
    "reduceByKey": lambda none, some: none.reduceByKey(add).collect(),
    "groupByKey": lambda none, some: none.groupByKey().collect(),
    "combineByKey": lambda none, some: none.combineByKey(int, add, add).collect(),
    "aggregateByKey": lambda none, some: none.aggregateByKey(0, add, add).collect(),
    "foldByKey": lambda none, some: none.foldByKey(0, add).collect(),
    "distinct": lambda none, some: none.distinct().collect(),
    "sortByKey": lambda none, some: none.sortByKey().collect(),
    "sortBy": lambda none, some: none.sortBy(lambda x: x).collect(),
    "groupBy": lambda none, some: none.groupBy(len).collect(),
    "partitionBy": lambda none, some: none.partitionBy(2).collect(),
    "partitionBy by default": lambda none, some: none.partitionBy(None).collect(),
    "repartition": lambda none, some: none.repartition(3).collect(),
    "coalesce": lambda none, some: none.coalesce(3).collect(),
    "repartitionAndSort": lambda none, some: none.repartitionAndSortWithinPartitions().collect(),
    "join": lambda none, some: some.join(none).collect() + none.join(some).collect(),
    "join of nothing": lambda none, some: none.join(none).collect(),
    "rightOuterJoin": lambda none, some: some.rightOuterJoin(none).collect(),
    "cogroup": lambda none, some: none.cogroup(none).collect(),
    "subtract": lambda none, some: none.subtract(some).collect() + none.subtract(none).collect(),
    "subtractByKey": lambda none, some: none.subtractByKey(some).collect(),
    "intersection": lambda none, some: none.intersection(none).collect(),
    "cartesian": lambda none, some: none.cartesian(some).collect(),
    "zip": lambda none, some: none.zip(none).collect(),
    "zipWithIndex": lambda none, some: none.zipWithIndex().collect(),
    "lookup": lambda none, some: none.lookup(1) + none.reduceByKey(add).lookup(1),
    "countByKey": lambda none, some: list(none.countByKey()),
    "countByValue": lambda none, some: list(none.countByValue()),
    "takeOrdered": lambda none, some: none.takeOrdered(2),
    "reduceByKey after it": lambda none, some: none.reduceByKey(add).mapValues(str).groupByKey().collect(),
    "cached": lambda none, some: none.reduceByKey(add).cache().union(none).collect(),
}


@pytest.mark.parametrize("name", NOTHING)
def test_nothing_comes_of_nothing(sc: BaseContext, tmp_path: Path, name: str) -> None:
    some = sc.parallelize([(1, 2)], 2)
    for none in (sc.emptyRDD(), sc.textFile(str(tmp_path))):
        assert NOTHING[name](none, some) == []


def test_something_beside_nothing(make_context: MakeContext) -> None:
    sc = make_context(machines=2)
    none, some = sc.emptyRDD(), sc.parallelize([(1, 2)], 2)
    assert some.leftOuterJoin(none).collect() == [(1, (2, None))]
    assert some.subtractByKey(none).collect() == [(1, 2)]
    assert sc.union([none, some]).reduceByKey(add).collect() == [(1, 2)]
    assert none.reduceByKey(add).collect() == []


ROWS = [["b", 2], ["a", 9], ["a", 1], ["c", 0], ["b", 1]]


def test_keys_without_a_hash_where_none_is_needed(sc: BaseContext) -> None:
    pairs = sc.parallelize([(row, None) for row in ROWS], 2)
    placed = pairs.partitionBy(2, lambda k: k[1])
    assert sorted(placed.keys().collect()) == sorted(ROWS)
    for p, keys in enumerate(placed.keys().glom().collect()):
        assert {key[1] % 2 for key in keys} == {p}
    within = pairs.repartitionAndSortWithinPartitions(2, lambda k: k[1])
    assert within.keys().glom().collect() == [[["b", 2], ["c", 0]], [["a", 1], ["a", 9], ["b", 1]]]
    assert pairs.sortByKey().keys().collect() == sorted(ROWS)
    assert placed.lookup(["a", 9]) == [None]


def test_a_partition_function_is_asked_for_each_key(sc: BaseContext) -> None:
    """Keys that are equal may be of different types, which a function of the user's can tell apart."""
    placed = sc.parallelize([(1, 0), (1.0, 0), (True, 0)], 1)
    placed = placed.partitionBy(3, lambda k: [int, float, bool].index(type(k)))
    assert [list(map(type, keys)) for keys in placed.keys().glom().collect()] == [[int], [float], [bool]]
