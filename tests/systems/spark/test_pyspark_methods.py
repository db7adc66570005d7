"""What PySpark's documentation says beyond its examples: randomness, checkpoints, files, accumulators."""

from __future__ import annotations

import gzip
import sys
from operator import add
from pathlib import Path

import pytest

from labkit.systems.spark import AccumulatorParam, BaseContext, StorageLevel


def test_random_split(sc: BaseContext) -> None:
    first, second = sc.parallelize(range(500), 1).randomSplit([2, 3], 17)
    assert sorted(first.collect() + second.collect()) == list(range(500))
    assert 150 < first.count() < 250
    assert 250 < second.count() < 350


def test_sample_by_key(sc: BaseContext) -> None:
    fractions = {"a": 0.2, "b": 0.1}
    rdd = sc.parallelize(fractions.keys()).cartesian(sc.parallelize(range(1000)))
    sample = dict(rdd.sampleByKey(False, fractions, 2).groupByKey().collect())
    assert 100 < len(sample["a"]) < 300
    assert 50 < len(sample["b"]) < 150
    assert all(0 <= value <= 999 for key in sample for value in sample[key])


def test_too_large_a_sample_is_refused(sc: BaseContext) -> None:
    with pytest.raises(ValueError, match="Sample size cannot be greater than"):
        sc.range(0, 10).takeSample(False, sys.maxsize)


def test_nothing_to_reduce_and_no_first(sc: BaseContext) -> None:
    with pytest.raises(ValueError, match=r"Can not reduce\(\) empty RDD"):
        sc.parallelize([]).reduce(add)
    with pytest.raises(ValueError, match="RDD is empty"):
        sc.parallelize([]).first()


def test_storage_levels(sc: BaseContext) -> None:
    rdd = sc.parallelize(["b", "a", "c"])
    assert rdd.persist().is_cached
    assert str(rdd.getStorageLevel()) == "Memory Serialized 1x Replicated"
    assert rdd.cache() is rdd
    with pytest.raises(ValueError, match="unpersist"):
        rdd.persist(StorageLevel.MEMORY_ONLY_2)
    assert not rdd.unpersist().is_cached
    rdd.persist(StorageLevel.MEMORY_AND_DISK_2)
    assert str(rdd.getStorageLevel()) == "Disk Memory Serialized 2x Replicated"
    assert sorted(rdd.collect()) == ["a", "b", "c"]


def test_checkpoint(sc: BaseContext) -> None:
    rdd = sc.range(5)
    assert (rdd.is_checkpointed, rdd.getCheckpointFile()) == (False, None)
    rdd.checkpoint()
    assert (rdd.is_checkpointed, rdd.getCheckpointFile()) == (True, None)
    assert rdd.count() == 5
    assert rdd.is_checkpointed
    assert rdd.getCheckpointFile() is not None
    assert rdd.collect() == [0, 1, 2, 3, 4]


def test_local_checkpoint(sc: BaseContext) -> None:
    rdd = sc.range(5)
    assert not rdd.isLocallyCheckpointed()
    rdd.localCheckpoint()
    assert rdd.isLocallyCheckpointed()
    assert rdd.collect() == [0, 1, 2, 3, 4]


def test_text_files(sc: BaseContext, tmp_path: Path) -> None:
    sc.parallelize(range(10)).saveAsTextFile(tmp_path / "ten")
    parts = sorted((tmp_path / "ten").glob("part-0000*"))
    assert "".join(part.read_text() for part in parts) == "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n"
    sc.parallelize(["", "foo", "", "bar", ""]).saveAsTextFile(tmp_path / "foo")
    assert sorted(sc.textFile(tmp_path / "foo").collect()) == ["", "", "", "bar", "foo"]
    sc.parallelize(["foo", "bar"]).saveAsTextFile(tmp_path / "gz", "org.apache.hadoop.io.compress.GzipCodec")
    packed = b"".join(
        gzip.decompress(part.read_bytes()) for part in sorted((tmp_path / "gz").glob("part*.gz"))
    )
    assert packed == b"foo\nbar\n"
    assert sorted(sc.textFile(tmp_path / "gz").collect()) == ["bar", "foo"]
    both = sc.textFile(f"{tmp_path / 'ten'},{tmp_path / 'foo'}")
    assert both.count() == 15


def test_pickle_files(sc: BaseContext, tmp_path: Path) -> None:
    sc.parallelize(range(10)).saveAsPickleFile(tmp_path / "pickles", 3)
    assert sorted(sc.pickleFile(tmp_path / "pickles", 3).collect()) == list(range(10))


def test_whole_text_files(sc: BaseContext, tmp_path: Path) -> None:
    (tmp_path / "1.txt").write_text("1")
    (tmp_path / "2.txt").write_text("2")
    found = sorted(sc.wholeTextFiles(tmp_path).collect())
    assert found == [(f"file:{tmp_path}/1.txt", "1"), (f"file:{tmp_path}/2.txt", "2")]


class Vectors(AccumulatorParam):
    """Lists, added entry by entry."""

    def zero(self, value: list[float]) -> list[float]:
        return [0.0] * len(value)

    def addInPlace(self, value1: list[float], value2: list[float]) -> list[float]:  # noqa: N802
        for index, each in enumerate(value2):
            value1[index] += each
        return value1


def test_accumulators(sc: BaseContext) -> None:
    total = sc.accumulator(1)
    total.value = 2
    total += 5
    rdd = sc.parallelize([1, 2, 3])

    def f(x: int) -> None:
        nonlocal total
        total += x

    rdd.foreach(f)
    assert total.value == 13
    vector = sc.accumulator([1.0, 2.0, 3.0], Vectors())
    rdd.foreach(lambda x: vector.add([x] * 3))
    assert vector.value == [7.0, 8.0, 9.0]
    with pytest.raises(TypeError, match="AccumulatorParam"):
        sc.accumulator("no number")
