"""Whose fault an error is, which record was in hand, and what to write instead."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from operator import add, itemgetter
from pathlib import Path
from typing import Any

import pytest

from labkit.systems.spark import RDD, BaseContext, TaskFailed
from tests.systems.spark.conftest import MakeContext


def failure(action: Callable[[], Any]) -> Any:
    """What the action raises."""
    with pytest.raises(TaskFailed) as caught:
        action()
    return caught.value.blame


# Each with one pair that is none.
NO_PAIRS: dict[str, Callable[[RDD], Any]] = {
    "mapValues": lambda rdd: rdd.mapValues(str).collect(),
    "flatMapValues": lambda rdd: rdd.flatMapValues(lambda v: [v]).collect(),
    "reduceByKey": lambda rdd: rdd.reduceByKey(add).collect(),
    "groupByKey": lambda rdd: rdd.groupByKey().collect(),
    "combineByKey": lambda rdd: rdd.combineByKey(str, add, add).collect(),
    "lookup": lambda rdd: rdd.lookup(1),
    "reduceByKeyLocally": lambda rdd: rdd.reduceByKeyLocally(add),
}


@pytest.mark.parametrize("operation", NO_PAIRS)
def test_the_record_that_is_no_pair(sc: BaseContext, operation: str) -> None:
    """Not the one before it."""
    for odd in ((3, 4, 5), 7):
        rdd = sc.parallelize([(1, 2), odd, (1, 2)], 1)
        for each in (rdd, rdd.map(lambda x: x).filter(lambda x: True)):
            found = failure(lambda each=each: NO_PAIRS[operation](each))
            assert (found.op, found.record) == (operation, repr(odd))
            assert f"{operation}() needs pairs of a key and a value: make them with" in str(found)


def test_operations_that_only_look_at_keys(sc: BaseContext) -> None:
    rdd = sc.parallelize([1, 2, 3], 2)
    for name, action in {
        "sortByKey": lambda: rdd.sortByKey().collect(),
        "partitionBy": lambda: rdd.partitionBy(2).collect(),
        "keys": lambda: rdd.keys().collect(),
        "countByKey": lambda: rdd.countByKey(),
        "join": lambda: rdd.join(rdd).collect(),
        "subtractByKey": lambda: rdd.subtractByKey(rdd).collect(),
    }.items():
        found = failure(action)
        assert found.op == name
        assert f"{name}() needs pairs" in str(found)


def test_a_function_that_raises_on_a_good_pair_gets_no_such_advice(sc: BaseContext) -> None:
    found = failure(lambda: sc.parallelize([("a", 1), ("a", "one")], 1).reduceByKey(add).collect())
    assert (found.op, found.record, found.hint) == ("reduceByKey", "('a', 'one')", None)
    found = failure(lambda: sc.parallelize([(1, 2)], 1).mapValues(len).collect())
    assert (found.op, found.hint) == ("mapValues", None)
    later = sc.parallelize([(1, 2, 3)], 1).mapValues(str).map(lambda x: x)
    assert failure(later.collect).op == "mapValues"
    assert "flatMapValues() must return a list" in str(
        failure(sc.parallelize([(1, 2)], 1).flatMapValues(lambda v: v).collect)
    )


def test_a_function_written_in_c_in_the_middle(sc: BaseContext) -> None:
    same = lambda rdd: rdd.map(lambda x: x).filter(lambda x: True)  # noqa: E731
    assert failure(lambda: same(sc.parallelize(["1", "x"], 1).map(int)).count()).op == "map"
    assert failure(lambda: same(sc.parallelize([(1, "x")], 1).mapValues(int)).sum()).op == "mapValues"
    assert failure(lambda: same(sc.parallelize([(1,)], 1).keyBy(itemgetter(1))).top(1)).op == "keyBy"
    assert failure(lambda: same(sc.parallelize(["x"], 1).filter(int)).collect()).record == "'x'"


@pytest.mark.parametrize(
    ("action", "records"),
    [
        ("sum", ["a"]),
        ("stats", ["a"]),
        ("top", [1, None]),
        ("takeOrdered", [1, None]),
        ("countByValue", [[1]]),
        ("countApproxDistinct", [[1]]),
        ("max", [1, None]),
    ],
)
def test_an_action_that_cannot_take_the_records(sc: BaseContext, action: str, records: list[Any]) -> None:
    """It is not the fault of what made them, nor of Python's library."""
    numbers = {"top": (2,), "takeOrdered": (2,)}
    found = failure(lambda: getattr(sc.parallelize(records, 1), action)(*numbers.get(action, ())))
    assert found.op == action
    assert found.site.startswith("test_blame.py")
    assert found.frames == ()


def test_what_is_returned_must_be_records(sc: BaseContext) -> None:
    rdd = sc.parallelize([1, 2], 2)
    for name, action in {
        "mapPartitions": lambda: rdd.mapPartitions(lambda part: None).count(),
        "mapPartitionsWithIndex": lambda: rdd.mapPartitionsWithIndex(lambda i, part: None).count(),
        "runJob": lambda: sc.runJob(rdd, lambda part: None),
    }.items():
        found = failure(action)
        assert found.op == name
        assert f"the function of {name}() returned None: it must return a list" in str(found)
    found = failure(lambda: rdd.flatMap(lambda x: None).collect())
    assert found.op == "flatMap"
    assert "the function of flatMap() must return a list or another iterable" in str(found)


def test_the_record_of_a_function_that_calls_itself(sc: BaseContext) -> None:
    def down(n: int) -> int:
        return down(n - 1) if n else 1 // n

    assert failure(lambda: sc.parallelize([7], 1).map(down).collect()).record == "7"


class Divide:
    """A function that is an object."""

    def __call__(self, x: int) -> float:
        return 1 / x


def test_the_record_of_an_object_that_is_called(sc: BaseContext) -> None:
    assert failure(lambda: sc.parallelize([0], 1).map(Divide()).collect()).record == "0"


def test_files_that_cannot_be_read_are_named(make_context: MakeContext, tmp_path: Path) -> None:
    sc = make_context(machines=1)
    text, packed, whole = tmp_path / "text.txt", tmp_path / "packed.gz", tmp_path / "whole.gz"
    text.write_bytes(b"no pickle, but long enough for its length to be read")
    packed.write_bytes(b"no gzip")
    whole.write_bytes(gzip.compress(b"a\nb\n")[:-9])
    for read, path in (
        (sc.pickleFile, text),
        (sc.textFile, packed),
        (sc.textFile, whole),
        (sc.wholeTextFiles, packed),
    ):
        found = failure(lambda read=read, path=path: read(path).collect())
        assert f"{path} cannot be read: " in found.text
        assert (found.op, found.frames) == (read.__name__, ())


def test_a_mark_that_says_utf8_is_no_text(sc: BaseContext, tmp_path: Path) -> None:
    """As Hadoop reads lines; whole files are read as they are."""
    path = tmp_path / "marked.txt"
    path.write_bytes("\ufeffname\nÄ\ufeff\n".encode())
    (tmp_path / "marked.gz").write_bytes(gzip.compress(path.read_bytes()))
    for name in ("marked.txt", "marked.gz"):
        for parts in (1, 3):
            assert sc.textFile(tmp_path / name, parts).collect() == ["name", "Ä\ufeff"]
    assert sc.textFile(path, use_unicode=False).first() == b"name"
    assert sc.wholeTextFiles(path).values().first().startswith("\ufeff")
