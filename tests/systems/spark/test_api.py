"""The programming model beyond PySpark's examples: lineage, partitioning, files, errors, limits."""

from __future__ import annotations

import bz2
import sys
from collections.abc import Iterator
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.runtime.errors import LabError
from labkit.systems.spark import (
    RDD,
    BaseContext,
    Partitioner,
    SingleContext,
    StatCounter,
    StorageLevel,
    TaskFailed,
    UnstableKey,
    portable_hash,
)
from labkit.systems.spark.dependencies import OneToOneDependency, ShuffleDependency
from labkit.systems.spark.files import FilePartition, read_split
from tests.systems.spark.contexts import context
from tests.systems.spark.test_keys import Key


@pytest.fixture
def single() -> SingleContext:
    return SingleContext(4)


@pytest.fixture(scope="module", params=["single", "sim"])
def sc(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BaseContext]:
    with context(request.param) as made:
        made.setCheckpointDir(tmp_path_factory.mktemp("checkpoints"))
        yield made


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


@settings(max_examples=60, deadline=None)
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


# --- files ----------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("ab\r", max_size=8)), st.booleans(), st.integers(1, 9))
def test_every_line_is_in_exactly_one_split(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], ended: bool, goal: int
) -> None:
    data = "\n".join(lines).encode() + b"\n" * ended
    path = tmp_path_factory.mktemp("split") / "file.txt"
    path.write_bytes(data)
    found: list[bytes] = []
    for index, start in enumerate(range(0, max(1, len(data)), goal)):
        found += read_split(FilePartition(index, str(path), start, min(goal, len(data) - start)))
    assert found == data.splitlines()


def test_text_files_are_split(sc: BaseContext, tmp_path: Path) -> None:
    path = tmp_path / "numbers.txt"
    path.write_text("\n".join(map(str, range(1000))))
    rdd = sc.textFile(path, 5)
    assert rdd.kind == "HadoopRDD"
    assert rdd.getNumPartitions() == 5
    assert rdd.map(int).collect() == list(range(1000))
    assert sc.textFile(path).getNumPartitions() == sc.defaultMinPartitions == 2
    assert sc.textFile(path, use_unicode=False).first() == b"0"
    (tmp_path / "packed.bz2").write_bytes(bz2.compress(b"x\ny\n"))
    assert sc.textFile(f"file://{tmp_path}/packed.bz2", 9).glom().collect() == [["x", "y"]]
    assert sc.textFile(str(tmp_path / "*.txt")).count() == 1000
    assert dict(sc.binaryFiles(tmp_path).collect())[f"file:{path}"] == path.read_bytes()
    with pytest.raises(FileNotFoundError, match="Input path does not exist"):
        sc.textFile(tmp_path / "missing")


def test_an_output_directory_is_not_overwritten(sc: BaseContext, tmp_path: Path) -> None:
    sc.parallelize([1, 2], 2).save(tmp_path / "out")
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == [
        "_SUCCESS",
        "part-00000",
        "part-00001",
    ]
    with pytest.raises(FileExistsError, match="already exists"):
        sc.parallelize([1]).saveAsTextFile(tmp_path / "out")
    with pytest.raises(ValueError, match="GzipCodec"):
        sc.parallelize([1]).saveAsTextFile(tmp_path / "other", "LzoCodec")


def test_pipe(sc: BaseContext) -> None:
    words = sc.parallelize(["b", "a", "c"], 1)
    assert words.pipe("sort -r").collect() == ["c", "b", "a"]
    assert words.pipe("sh -c 'echo $GREETING'", {"GREETING": "hello"}).collect() == ["hello"]
    assert sc.parallelize(range(100_000), 1).pipe("head -n 2").collect() == ["0", "1"]
    assert words.pipe("sh -c 'exit 3'").collect() == []
    with pytest.raises(TaskFailed, match="ended with status 3"):
        words.pipe("sh -c 'exit 3'", checkCode=True).collect()
    with pytest.raises(TaskFailed, match="ZeroDivisionError"):
        words.map(lambda _: 1 / 0).pipe("cat").collect()


# --- errors in the user's code --------------------------------------------------------------------------


def test_an_error_names_rdd_line_partition_and_record(sc: BaseContext) -> None:
    line = sys._getframe().f_lineno + 1
    inverse = sc.parallelize(range(-5, 5), 5).map(lambda x: 1 / x)
    with pytest.raises(TaskFailed) as caught:
        inverse.setName("inverse").filter(lambda x: x > 0).count()
    text = str(caught.value)
    assert "ZeroDivisionError: division by zero" in text
    assert (
        f"in map at test_api.py:{line} (RDD {inverse.id()} 'inverse', MapPartitionsRDD), partition 2" in text
    )
    assert "record: 0" in text
    assert "lambda x: 1 / x" in text
    assert len(text.splitlines()) <= 6
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def helper(x: Any) -> Any:
    return deeper(x)


def deeper(x: Any) -> Any:
    raise KeyError(x)


def test_an_error_deep_in_the_users_code_names_the_record(sc: BaseContext) -> None:
    rdd = sc.parallelize(["fine", "bad"], 1).map(lambda word: word if word == "fine" else helper(word + "!"))
    with pytest.raises(
        TaskFailed, match=r"(?s)KeyError: 'bad!'.*in map at .*record: 'bad'.*in helper: .*in deeper: "
    ):
        rdd.collect()


@pytest.mark.parametrize(
    ("operation", "run"),
    [
        ("map", lambda rdd: rdd.map(int).collect()),
        ("flatMap", lambda rdd: rdd.flatMap(lambda x: [int(x)]).collect()),
        ("filter", lambda rdd: rdd.filter(int).collect()),
        ("keyBy", lambda rdd: rdd.keyBy(int).collect()),
        ("mapValues", lambda rdd: rdd.map(lambda x: (x, x)).mapValues(int).collect()),
        ("flatMapValues", lambda rdd: rdd.map(lambda x: (x, x)).flatMapValues(lambda v: [int(v)]).collect()),
        ("foreach", lambda rdd: rdd.foreach(int)),
        ("reduce", lambda rdd: rdd.reduce(lambda a, b: int(b))),
    ],
)
def test_the_operation_at_fault(single: SingleContext, operation: str, run: Any) -> None:
    rdd = single.parallelize(["1", "x", "3"], 1)
    with pytest.raises(TaskFailed, match=r"invalid literal for int\(\) with base 10: 'x'") as caught:
        run(rdd)
    assert caught.value.blame.op == operation
    assert caught.value.blame.record == ("'1'" if operation == "reduce" else "'x'")


def test_an_error_in_a_combining_function(single: SingleContext) -> None:
    rdd = single.parallelize([("a", 1), ("a", "one")], 1).reduceByKey(add)
    with pytest.raises(TaskFailed, match=r"(?s)unsupported operand.*reduceByKey at test_api.py") as caught:
        rdd.collect()
    assert caught.value.blame.record == "('a', 'one')"


def test_stop_iteration_does_not_end_a_partition(sc: BaseContext) -> None:
    def stops(x: int) -> int:
        if x == 2:
            raise StopIteration
        return x

    rdd = sc.parallelize([1, 2, 3], 1)
    for wrong in (rdd.map(stops), rdd.filter(stops), rdd.flatMap(lambda x: [stops(x)])):
        with pytest.raises(TaskFailed, match="StopIteration"):
            wrong.collect()
    with pytest.raises(TaskFailed, match="StopIteration"):
        sc.parallelize([1, 2], 1).map(stops).collect()
    assert sc.parallelize([1, 3], 1).map(stops).take(1) == [1]


# --- limits and mistakes --------------------------------------------------------------------------------


def test_mistakes_are_explained(single: SingleContext) -> None:
    rdd = single.parallelize([1, 2, 3], 2)
    other = SingleContext().parallelize([1])
    with pytest.raises(TypeError, match=r"union\(\) needs an RDD, not \[1\].*parallelize"):
        rdd.union([1])
    with pytest.raises(ValueError, match="same SparkContext"):
        rdd.union(other)
    with pytest.raises(TypeError, match="can be added to an RDD"):
        rdd + [1]  # noqa: RUF005
    with pytest.raises(ValueError, match="at least one RDD"):
        single.union([])
    with pytest.raises(TypeError, match=r"sc\.union\(\[first, second\]\)"):
        single.union(rdd)
    with pytest.raises(TypeError, match=r"union\(\) needs an RDD, not \[1\]"):
        single.union([[1], [2]])
    assert single.union(each for each in [rdd, rdd]).count() == 6
    with pytest.raises(TypeError, match=r"list or another iterable of records, not 5"):
        single.parallelize(5)
    with pytest.raises(TypeError, match=r"list or another iterable of records, not ParallelCollectionRDD"):
        single.parallelize(rdd)
    with pytest.raises(ValueError, match="same number of partitions: 2 and 3"):
        rdd.zip(single.parallelize([1, 2, 3], 3))
    with pytest.raises(TaskFailed, match="same number of elements in each partition: the second has fewer"):
        rdd.zip(single.parallelize([1, 2], 2)).collect()
    with pytest.raises(ValueError, match="numPartitions=0: a whole number, at least one"):
        rdd.coalesce(0)
    with pytest.raises(ValueError, match="numSlices=0"):
        single.parallelize([1], 0)
    with pytest.raises(TypeError, match="is not a StorageLevel"):
        rdd.persist("memory")
    with pytest.raises(ValueError, match="Depth cannot be smaller than 1"):
        rdd.treeReduce(add, 0)
    with pytest.raises(ValueError, match="Depth cannot be smaller than 1"):
        rdd.treeAggregate(0, add, add, 0)
    with pytest.raises(ValueError, match="Cannot reduce empty RDD"):
        single.parallelize([], 2).treeReduce(add)
    with pytest.raises(ValueError, match="Sample size cannot be negative"):
        rdd.takeSample(False, -1)
    with pytest.raises(ValueError, match="top N cannot be negative"):
        rdd.takeOrdered(-1)
    with pytest.raises(IndexError, match="partitions 0 to 1, not 7"):
        single.runJob(rdd, list, [7])
    with pytest.raises(ValueError, match="relativeSD"):
        rdd.countApproxDistinct(0.000001)
    with pytest.raises(TypeError, match="Can only merge StatCounter"):
        StatCounter().mergeStats(1)
    single.stop()
    with pytest.raises(LabError, match="was stopped"):
        rdd.count()
    with pytest.raises(LabError, match="was stopped"):
        single.parallelize([1])


def test_histogram_mistakes(single: SingleContext) -> None:
    rdd = single.parallelize([1.0, None, float("nan"), 4.0])
    assert rdd.histogram(3) == ([1.0, 2.0, 3.0, 4.0], [1, 0, 1])
    assert rdd.histogram(1) == ([1.0, 4.0], [2])
    assert single.parallelize([3, 3]).histogram(5) == ([3, 3], [2])
    for wrong, error, why in [
        (0, ValueError, "must be >= 1"),
        ([1], ValueError, "more than one value"),
        ([1, None], ValueError, "None or NaN"),
        ([2, 1], ValueError, "sorted"),
        ([1, 1], ValueError, "duplicated"),
        ("ab", TypeError, "list or tuple or number"),
    ]:
        with pytest.raises(error, match=why):
            rdd.histogram(wrong)
    with pytest.raises(ValueError, match="empty RDD"):
        single.parallelize([]).histogram(2)
    with pytest.raises(ValueError, match="infinite"):
        single.parallelize([1.0, float("inf")]).histogram(2)
    with pytest.raises(TypeError, match="non-number"):
        single.parallelize(["a", "b"]).histogram(2)


def test_statistics_of_arrays_and_of_nothing(single: SingleContext) -> None:
    stats = single.parallelize([np.array([1.0, 4.0]), np.array([3.0, 2.0])], 2).stats()
    assert (stats.mean() == [2.0, 3.0]).all()
    assert (stats.max() == [3.0, 4.0]).all()
    empty = single.parallelize([]).stats()
    assert (empty.count(), empty.mean()) == (0, 0.0)
    assert np.isnan([empty.variance(), empty.sampleVariance()]).all()
    for order in ([1.0, np.nan, 3.0], [np.nan, 1.0, 3.0], [3.0, 1.0, np.nan]):
        for slices in (1, 3):
            with_nan = single.parallelize(order, slices).stats()
            assert np.isnan([with_nan.min(), with_nan.max(), with_nan.mean()]).all()
    counter = StatCounter([1, 2, 3])
    assert repr(counter.copy().mergeStats(counter)).startswith("(count: 6, mean: 2.0, stdev: 0.81")


def test_take_looks_at_few_partitions(single: SingleContext) -> None:
    rdd = single.parallelize(range(100), 50)
    assert rdd.take(3) == [0, 1, 2]
    assert {p for _, p in single.computed} == {0, 1}
    assert rdd.take(0) == []
    assert list(rdd.toLocalIterator(prefetchPartitions=True)) == list(range(100))


def test_repartition_is_even(sc: BaseContext) -> None:
    rdd = sc.parallelize(range(1000), 3)
    sizes = [len(part) for part in rdd.repartition(7).glom().collect()]
    assert sum(sizes) == 1000
    assert max(sizes) - min(sizes) <= 3
    assert sorted(rdd.repartition(7).collect()) == list(range(1000))
    assert rdd.coalesce(10).getNumPartitions() == 3
    assert sc.parallelize(range(10), 10).coalesce(3).glom().collect() == [[0, 1, 2], [3, 4, 5], [6, 7, 8, 9]]
    assert sc.emptyRDD().coalesce(2).collect() == []


def test_storage_levels() -> None:
    assert StorageLevel.MEMORY_AND_DISK_2.label == "memory+disk x2"
    assert StorageLevel.NONE.label is None
    assert StorageLevel.MEMORY_ONLY != StorageLevel.MEMORY_ONLY_SER
    assert repr(StorageLevel.MEMORY_ONLY_SER) == "StorageLevel(False, True, False, False, 1, pickled=True)"


def test_hand_over_to_pandas(sc: BaseContext) -> None:
    frame = sc.parallelize([("a", 1), ("b", 2)], 2).toDF(["word", "count"])
    assert frame.to_dict("list") == {"word": ["a", "b"], "count": [1, 2]}
    assert list(sc.parallelize([(1, 2)]).toDF().columns) == ["_1", "_2"]
    assert list(sc.parallelize([Key("k", 1)]).toDF().columns) == ["name", "number"]
    assert sc.parallelize([1, 2]).toDF().to_dict("list") == {"value": [1, 2]}
    assert sc.parallelize([{"x": 1}]).toDF().to_dict("list") == {"x": [1]}
    assert list(sc.parallelize([]).toDF(["x"]).columns) == ["x"]
    with pytest.raises(ValueError, match="names 1 columns; records have 2"):
        sc.parallelize([(1, 2)]).toDF(["x"])


def test_the_papers_names(single: SingleContext) -> None:
    rdd = single.parallelize([(2, "b"), (1, "a")], 2)
    assert rdd.sort().collect() == [(1, "a"), (2, "b")]
    assert rdd.sort(lambda k: -k).collect() == [(2, "b"), (1, "a")]
    assert rdd.crossProduct(rdd).count() == 4
    assert rdd.sortBy(lambda pair: pair[1], ascending=False).first() == (2, "b")
