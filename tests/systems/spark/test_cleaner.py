"""What the program has let go of is forgotten by the driver and deleted by the executors."""

from __future__ import annotations

from typing import Any

from labkit.systems.spark import SparkContext
from tests.systems.spark.conftest import MakeContext


def files(sc: SparkContext) -> list[str]:
    """The names of all files of all executors."""
    return [name for each in sc.executors for name in sc.cluster.peek(each).files.names()]


def test_a_loop_of_shuffles_keeps_only_what_it_can_still_read(sim_context: MakeContext) -> None:
    sc = sim_context(machines=3)
    pairs = sc.parallelize([(n % 7, n) for n in range(100)], 4).cache()
    kept: list[int] = []
    for step in range(12):
        moved = pairs.map(lambda pair: (pair[0], pair[1] + 1))  # map forgets the partitioner
        pairs = moved.reduceByKey(lambda a, b: a + b, 4)
        del moved
        assert pairs.count() == 7
        kept.append(len(files(sc)))
        if step % 4 == 3:
            pairs = sc.parallelize(pairs.collect(), 4)  # a lineage of its own
            sc.cluster.run(2)
    assert len(sc._driver.dag.map_stages) == 0
    assert max(kept) <= 4 * 4
    assert files(sc) == []
    assert len(sc.cluster.trace.filter(kind="shuffle_cleaned")) == 12


def test_what_can_still_be_read_stays(sim_context: MakeContext) -> None:
    sc = sim_context(machines=3)
    counts = sc.parallelize([(n % 7, n) for n in range(100)], 4).reduceByKey(lambda a, b: a + b, 4)
    again = counts.map(lambda pair: pair[1])
    expected = sorted(again.collect())
    del counts
    sc.cluster.run(2)
    tasks = len(sc.cluster.trace.filter(kind="task_started"))
    assert sorted(again.collect()) == expected
    assert len(sc.cluster.trace.filter(kind="task_started")) == tasks + 4, "the map stage is skipped"
    sc.cluster.kill("m1")
    assert sorted(again.collect()) == expected


def test_kept_partitions_go_with_their_rdd(sim_context: MakeContext) -> None:
    sc = sim_context(machines=2)
    rdd: Any = sc.parallelize(range(100), 4).map(lambda x: x * 2).cache()
    assert rdd.sum() == 9900
    assert len(sc._driver.blocks) == 4
    del rdd
    sc.cluster.run(2)
    assert sc._driver.blocks == {}
    assert all(sc.cluster.peek(each).blocks.used == 0 for each in sc.executors)


def test_results_and_old_jobs_are_not_kept(sim_context: MakeContext) -> None:
    sc = sim_context(machines=1, seconds_per_task=0.0)
    rdd = sc.parallelize(range(4), 1)
    for _ in range(3):
        rdd.collect()
    assert [job.run for job in sc._driver.jobs.values()] == [None] * 3
    assert [job.stages for job in sc._driver.jobs.values()] == [{}] * 3
