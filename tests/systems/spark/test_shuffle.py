"""The shuffle's files and the driver's table of them, and how much a job moves."""

from __future__ import annotations

from operator import add
from typing import Any

import pytest

from labkit.runtime.disk import MemoryFiles
from labkit.systems.spark.closures import loads
from labkit.systems.spark.shuffle import MapOutputs, Output, ShuffleFiles, Source
from tests.systems.spark.conftest import MakeContext, events

ONE, TWO = Source("executor-0", 1), Source("executor-1", 1)


def output(source: Source) -> Output:
    """An empty one."""
    return Output(source, "m1", (0,))


def test_a_bucket_is_read_without_the_others() -> None:
    files = MemoryFiles()
    shuffle = ShuffleFiles(files)
    sizes = shuffle.write(4, 0, [[("a", 1)], [], [("b", 2), ("c", 3)]])
    shuffle.write(4, 1, [[], [("d", 4)], []])
    assert len(files.names()) == 2
    assert sizes[1] == 0
    first, second = shuffle.read(4, 2, [0, 1])
    assert loads(first) == [("b", 2), ("c", 3)]
    assert len(first) == sizes[2]
    assert second == b""
    with pytest.raises(KeyError):
        shuffle.read(4, 0, [2])


def test_what_plain_pickle_cannot_take_travels_by_value() -> None:
    shuffle = ShuffleFiles(MemoryFiles())
    shuffle.write(0, 0, [[("f", lambda: 42)]])
    ((_, function),) = loads(shuffle.read(0, 0, [0])[0])
    assert function() == 42


def test_the_table_knows_what_is_missing_and_where_the_rest_is() -> None:
    table = MapOutputs()
    table.add_shuffle(0, 3)
    assert table.missing(0) == [0, 1, 2]
    assert table.store(0, 0, output(ONE))
    assert not table.store(0, 0, output(TWO))  # a copy that came second
    table.store(0, 1, output(TWO))
    assert table.sources(0) is None
    table.store(0, 2, output(ONE))
    assert table.complete(0)
    assert table.sources(0) == {ONE: [0, 2], TWO: [1]}


def test_losing_an_executor_loses_what_it_had_and_no_more() -> None:
    table = MapOutputs()
    for shuffle in (0, 1):
        table.add_shuffle(shuffle, 2)
        table.store(shuffle, 0, output(ONE))
        table.store(shuffle, 1, output(TWO))
    assert table.lose(ONE) == {0: [0], 1: [0]}
    assert table.lose(TWO, 0, [0, 1]) == {0: [1]}
    assert table.lose(TWO, 0, [1]) == {}  # told twice
    assert table.lose(Source("executor-1", 2)) == {}  # another life
    assert table.missing(1) == [0]


def test_map_side_combine_moves_less(sim_context: MakeContext) -> None:
    sc = sim_context(machines=2)
    pairs = sc.parallelize([(n % 3, n) for n in range(3000)], 4)

    def moved(rdd: Any) -> int:
        before = len(events(sc, "outputs_stored"))
        rdd.count()
        return sum(each["bytes"] for each in events(sc, "outputs_stored")[before:])

    assert 20 * moved(pairs.reduceByKey(add, 2)) < moved(pairs.groupByKey(2))


def test_a_join_of_co_partitioned_rdds_moves_nothing(sim_context: MakeContext) -> None:
    """NSDI 2012, section 6.1: only the ranks are shuffled, never the links."""
    sc = sim_context(machines=3)
    links = sc.parallelize([(n, [n + 1, n + 2]) for n in range(30)], 4).partitionBy(3).cache()
    ranks = links.mapValues(lambda _: 1.0)
    links.count()
    before = len(events(sc, "outputs_stored"))
    for _ in range(3):
        contributions = links.join(ranks, 3).flatMap(lambda p: [(to, p[1][1] / 2) for to in p[1][0]])
        ranks = contributions.reduceByKey(add, 3)
    assert ranks.count() == 29
    stored = events(sc, "outputs_stored")[before:]
    assert len({each["shuffle"] for each in stored}) == 3  # one for each iteration: that of the contributions
    fetched = [
        shuffle for each in events(sc, "task_finished") if each["stage"] > 1 for shuffle, _ in each["fetched"]
    ]
    assert 0 not in fetched  # links were read from memory


def test_bytes_are_counted_where_they_come_from(sim_context: MakeContext) -> None:
    sc = sim_context(machines=2)
    sc.parallelize([(n, n) for n in range(400)], 4).partitionBy(2).count()
    stored = sum(each["bytes"] for each in events(sc, "outputs_stored"))
    reduce_tasks = [each for each in events(sc, "task_finished") if each["fetched"]]
    local = sum(each["fetched_local"] for each in reduce_tasks)
    remote = sum(each["fetched_remote"] for each in reduce_tasks)
    assert local + remote == stored
    assert min(local, remote) > 0.3 * stored
    assert sum(each["written"] for each in events(sc, "task_finished")) == stored
