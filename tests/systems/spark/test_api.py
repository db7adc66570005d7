"""The programming model beyond PySpark's examples: lineage, partitioning, files, errors, limits."""

from __future__ import annotations

import sys
from operator import add
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.systems.spark import (
    RDD,
    BaseContext,
    Partitioner,
    SingleContext,
    TaskFailed,
    UnstableKey,
    portable_hash,
)
from labkit.systems.spark.dependencies import OneToOneDependency, ShuffleDependency


def kinds(rdd: RDD) -> list[str]:
    """The kinds of an RDD and its first ancestors, nearest first."""
    found = [rdd.kind]
    while rdd.dependencies():
        rdd = rdd.dependencies()[0].rdd
        found.append(rdd.kind)
    return found


# --- the lineage ----------------------------------------------------------------------------------------


def test_kinds_and_dependencies(single: SingleContext) -> None:
    pairs = single.parallelize([(1, 2)], 3).map(lambda x: x)
    assert kinds(pairs.reduceByKey(add)) == ["ShuffledRDD", "MapPartitionsRDD", "ParallelCollectionRDD"]
    assert kinds(pairs.sample(False, 0.5)) == ["PartitionwiseSampledRDD", *kinds(pairs)]
    assert pairs.union(pairs).kind == "UnionRDD"
    assert pairs.cartesian(pairs).getNumPartitions() == 9
    assert [dep.parents(5) for dep in pairs.cartesian(pairs).dependencies()] == [(1,), (2,)]
    assert [list(dep.parents(4)) for dep in pairs.union(pairs).dependencies()] == [[], [1]]
    assert isinstance(pairs.groupByKey().dependencies()[0].rdd.dependencies()[0], ShuffleDependency)
    with pytest.raises(NotImplementedError):
        RDD(single, [], 1).iterator(RDD(single, [], 1).partitions()[0], [])


def test_which_transformations_keep_the_partitioner(single: SingleContext) -> None:
    pairs = single.parallelize([(n % 7, n) for n in range(50)], 3).partitionBy(4)
    keeping = [
        pairs.mapValues(str),
        pairs.flatMapValues(lambda v: [v]),
        pairs.filter(lambda pair: pair[1]),
        pairs.reduceByKey(add, 4),
        pairs.groupByKey(4),
        pairs.join(pairs),
        pairs.union(pairs),
        pairs.subtractByKey(pairs),
        pairs.mapPartitions(lambda it: it, preservesPartitioning=True),
        pairs.sample(False, 0.5),
    ]
    assert [rdd.partitioner for rdd in keeping] == [Partitioner(4)] * len(keeping)
    dropping = [pairs.map(lambda x: x), pairs.keys(), pairs.mapPartitions(lambda it: it), pairs.coalesce(2)]
    assert [rdd.partitioner for rdd in dropping] == [None] * len(dropping)
    assert pairs.partitionBy(4) is pairs
    assert pairs.partitionBy(5) is not pairs


def test_co_partitioned_rdds_are_joined_without_a_shuffle(single: SingleContext) -> None:
    left = single.parallelize([(n % 5, n) for n in range(20)]).partitionBy(3)
    right = single.parallelize([(n, -n) for n in range(5)]).reduceByKey(add, 3)
    dependencies = left._cogroup([right]).dependencies()
    assert [type(dep) for dep in dependencies] == [OneToOneDependency, OneToOneDependency]
    shuffled = left._cogroup([right.map(lambda x: x)]).dependencies()
    assert sorted(type(dep).__name__ for dep in shuffled) == ["ShuffleDependency", "ShuffleDependency"]
    once = left._cogroup([right.map(lambda x: x)], 3).dependencies()
    assert [type(dep).__name__ for dep in once] == ["OneToOneDependency", "ShuffleDependency"]
    expected = sorted((n % 5, (n, -(n % 5))) for n in range(20))
    assert sorted(left.join(right).collect()) == expected
    # Nothing of the shuffles that made them was computed twice, and no other was.
    assert {shuffle for shuffle, _ in single.outputs} == {0, 1}


def test_each_rdd_knows_its_line(single: SingleContext) -> None:
    rdd = single.parallelize([(1, 1)])
    line = sys._getframe().f_lineno + 1
    reduced = rdd.distinct()
    assert (reduced.op, reduced.site) == ("distinct", f"test_api.py:{line}")
    assert reduced.dependencies()[0].rdd.op == "distinct"
    assert repr(reduced) == f"MapPartitionsRDD[3] at distinct at test_api.py:{line}"
    assert reduced.setName("unique").description() == {
        "rdd": 3,
        "kind": "MapPartitionsRDD",
        "name": "unique",
        "op": "distinct",
        "site": f"test_api.py:{line}",
        "partitions": 4,
        "parents": [[2, "narrow", None]],
        "storage": None,
    }
    text = reduced.cache().toDebugString().decode()
    assert text.splitlines()[0] == f"(4) unique {repr(reduced).removeprefix('unique ')} [{reduced.storage}]"
    assert "+-(4) MapPartitionsRDD[1]" in text
    assert single.rdd(3) is reduced
    assert single.rdd(99) is None


def test_a_persisted_rdd_is_computed_once(single: SingleContext) -> None:
    rdd = single.parallelize(range(6), 3).map(lambda x: x * x).cache()
    assert rdd.count() == rdd.count() == 6
    assert [block for block in single.computed if block[0] == rdd.id()] == [(rdd.id(), p) for p in range(3)]
    rdd.unpersist()
    rdd.count()
    assert len([block for block in single.computed if block[0] == rdd.id()]) == 6


def test_a_shuffle_is_computed_once(single: SingleContext) -> None:
    pairs = single.parallelize([(n % 3, n) for n in range(9)], 3)
    reduced = pairs.reduceByKey(add)
    reduced.collect()
    single.computed.clear()
    reduced.mapValues(str).collect()
    assert pairs.id() not in {rdd for rdd, _ in single.computed}


def test_a_checkpoint_cuts_the_lineage(single: SingleContext, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="setCheckpointDir"):
        single.range(3).checkpoint()
    single.setCheckpointDir(tmp_path)
    rdd = single.parallelize([(n % 3, n) for n in range(9)], 3).reduceByKey(add)
    rdd.checkpoint()
    below = rdd.mapValues(lambda x: -x)
    assert sorted(below.collect()) == [(0, -9), (1, -12), (2, -15)]
    assert kinds(below) == ["MapPartitionsRDD", "ShuffledRDD", "CheckpointRDD"]
    single.outputs.clear()
    single.computed.clear()
    assert sorted(below.collect()) == [(0, -9), (1, -12), (2, -15)]
    assert {rdd for rdd, _ in single.computed} == {below.id(), rdd.id(), rdd.dependencies()[0].rdd.id()}
    assert rdd.getCheckpointFile() == str(tmp_path / "context-1" / f"rdd-{rdd.id()}")


def test_a_local_checkpoint_that_is_lost_says_so(single: SingleContext) -> None:
    rdd = single.parallelize(range(4), 2).map(lambda x: x + 1)
    rdd.localCheckpoint()
    assert rdd.first() == 1
    assert rdd.isCheckpointed()
    assert rdd.collect() == [1, 2, 3, 4]
    with pytest.raises(ValueError, match="all there is of it"):
        rdd.unpersist()
    single.blocks.clear()
    with pytest.raises(TaskFailed, match="partition 0 of RDD 1 was lost"):
        rdd.collect()


def test_a_long_lineage_is_no_problem(single: SingleContext) -> None:
    rdd = single.parallelize([0], 1)
    for _ in range(400):
        rdd = rdd.map(lambda x: x + 1)
    assert rdd.collect() == [400]
    for _ in range(60):
        rdd = rdd.map(lambda x: (x, 1)).reduceByKey(add, 2).keys()
    assert rdd.collect() == [400]


# --- partitioners and keys ------------------------------------------------------------------------------


class ById:
    """Equal only to itself, and different in each process."""


def test_keys_without_a_stable_hash_are_refused(sc: BaseContext) -> None:
    with pytest.raises(UnstableKey, match=r"differs from process to process.*partitionFunc"):
        portable_hash(ById())
    with pytest.raises(
        UnstableKey, match=r"must be hashable, and \[1\] of type list is not; write tuple\(key\)"
    ):
        portable_hash([1])
    with pytest.raises(TaskFailed, match=r"(?s)UnstableKey.*ById.*partitionBy at test_api.py"):
        sc.parallelize([(n, 1) for n in range(4)]).map(lambda p: (ById(), 1)).partitionBy(2).collect()
    with pytest.raises(TaskFailed, match=r"(?s)unhashable.*reduceByKey at test_api.py.*record: \(\[1\], 2\)"):
        sc.parallelize([([1], 2)], 1).reduceByKey(add).collect()


def test_placing_by_a_function_of_ones_own(sc: BaseContext) -> None:
    rdd = sc.parallelize([(n, n) for n in range(10)], 3).partitionBy(3, lambda k: k // 4)
    assert [sorted(k for k, _ in part) for part in rdd.glom().collect()] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9],
    ]
    assert rdd.lookup(5) == [5]
    with pytest.raises(ValueError, match="at least one partition"):
        rdd.partitionBy(0)


def test_lookup_computes_one_partition(single: SingleContext) -> None:
    rdd = single.parallelize([(n, -n) for n in range(20)]).partitionBy(5)
    rdd.count()
    single.computed.clear()
    assert rdd.lookup(7) == [-7]
    assert single.computed == [(rdd.id(), 2)]
    assert sorted(single.parallelize([("a", 1), ("b", 2), ("a", 3)]).lookup("a")) == [1, 3]


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(-5, 5)), max_size=20),
    st.lists(st.tuples(st.sampled_from("cdef"), st.integers(-5, 5)), max_size=20),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_joins_are_those_of_plain_python(
    left: list[tuple[str, int]], right: list[tuple[str, int]], slices: int, partitions: int
) -> None:
    sc = SingleContext()
    a, b = sc.parallelize(left, slices), sc.parallelize(right, slices)
    inner = [(k, (v, w)) for k, v in left for j, w in right if j == k]
    only_left = [(k, (v, None)) for k, v in left if k not in dict(right)]
    only_right = [(k, (None, w)) for k, w in right if k not in dict(left)]

    def found(rdd: RDD) -> list[Any]:
        return sorted(rdd.collect(), key=repr)

    for n in (None, partitions):
        assert found(a.join(b, n)) == sorted(inner, key=repr)
        assert found(a.leftOuterJoin(b, n)) == sorted(inner + only_left, key=repr)
        assert found(a.rightOuterJoin(b, n)) == sorted(inner + only_right, key=repr)
        assert found(a.fullOuterJoin(b, n)) == sorted(inner + only_left + only_right, key=repr)
        assert found(a.subtractByKey(b, n)) == sorted(
            (pair for pair in left if pair[0] not in dict(right)), key=repr
        )
    assert found(a.intersection(b)) == sorted(set(left) & set(right), key=repr)
    assert found(a.subtract(b)) == sorted((pair for pair in left if pair not in right), key=repr)
    assert found(a.reduceByKey(add)) == sorted(
        ((k, sum(v for j, v in left if j == k)) for k in dict(left)), key=repr
    )


def test_a_union_of_co_partitioned_rdds_stays_so(single: SingleContext) -> None:
    one = single.parallelize([(n, 1) for n in range(6)]).partitionBy(3)
    both = one.union(one.mapValues(lambda v: -v))
    assert both.kind == "PartitionerAwareUnionRDD"
    assert both.getNumPartitions() == 3
    assert both.reduceByKey(add, 3).kind == "MapPartitionsRDD"
    assert sorted(both.reduceByKey(add, 3).collect()) == [(n, 0) for n in range(6)]


# --- sampling -------------------------------------------------------------------------------------------


def test_samples_are_deterministic(sc: BaseContext) -> None:
    rdd = sc.parallelize(range(1000), 4)
    for sampled in (rdd.sample(False, 0.1), rdd.sample(True, 0.3), rdd.sample(False, 0.1, 7)):
        assert sampled.collect() == sampled.collect()
    assert rdd.sample(False, 0.1, 7).collect() == rdd.sample(False, 0.1, 7).collect()
    assert rdd.sample(False, 0.1).collect() != rdd.sample(False, 0.1).collect()
    assert 200 < rdd.sample(True, 0.3, 1).count() < 400
    assert 24_000 < rdd.sample(True, 25.0, 1).count() < 26_000
    assert rdd.sample(False, 0.0).collect() == []
    with pytest.raises(ValueError, match="nonnegative"):
        rdd.sample(False, -0.1)
    with pytest.raises(ValueError, match=r"Weights=.*must be nonnegative"):
        rdd.randomSplit([1, -1])
    with pytest.raises(ValueError, match="positive"):
        rdd.randomSplit([0, 0])
    with pytest.raises(ValueError, match=r"fraction of the key 'a'=.*must be nonnegative"):
        rdd.keyBy(str).sampleByKey(False, {"a": -1})


def test_samples_are_pysparks(sc: BaseContext) -> None:
    """Recorded from PySpark 4.3, local[4], with the same seeds."""
    rdd = sc.parallelize(range(100), 4)
    assert rdd.sample(False, 0.1, 81).collect() == [4, 26, 39, 41, 42, 52, 63, 76, 80, 86, 97]
    assert rdd.sample(True, 0.1, 81).collect() == [8, 8, 17, 25, 27, 30, 33, 68, 70, 73, 95, 98, 98]
    first, second = sc.parallelize(range(20), 2).randomSplit([1, 2], 5)
    assert first.collect() == [2, 3, 6, 11, 13, 18]
    assert sorted(first.collect() + second.collect()) == list(range(20))
    pairs = sc.parallelize([(i % 2, i) for i in range(30)], 3).sampleByKey(False, {0: 0.3, 1: 0.6}, 9)
    assert pairs.values().collect() == [2, 3, 5, 7, 8, 9, 11, 13, 17, 20, 21, 25]
