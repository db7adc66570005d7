"""What Spark says to mistakes, and of errors in the user's code; files and their splits."""

from __future__ import annotations

import bz2
import sys
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.runtime.errors import LabError
from labkit.systems.spark import (
    BaseContext,
    SingleContext,
    StatCounter,
    StorageLevel,
    TaskFailed,
)
from labkit.systems.spark.files import FilePartition, read_split
from tests.systems.spark.test_keys import Key

# --- files ----------------------------------------------------------------------------------------------


@settings(max_examples=100)
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
        f"in map at test_errors.py:{line} (RDD {inverse.id()} 'inverse', MapPartitionsRDD), partition 2"
        in text
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
    with pytest.raises(TaskFailed, match=r"(?s)unsupported operand.*reduceByKey at test_errors.py") as caught:
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
