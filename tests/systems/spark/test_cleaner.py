"""What the program has let go of is forgotten by the driver and deleted by the executors."""

from __future__ import annotations

import gc
from operator import add
from typing import Any

import pytest

from labkit.systems.spark import RDD, JobCancelled, SparkContext
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


def stop_unheard(sc: SparkContext, sums: RDD, seconds: float = 0.0) -> None:
    """Stop a job in its map stage, while no message arrives (for so long): its tasks do not hear of it."""

    async def stop(client: Any) -> None:
        await client.sleep(0.5)
        sc.cluster.loss(1.0)
        sc._driver.cancel_jobs(None, "enough")
        await client.sleep(seconds)
        sc.cluster.loss(0.0)

    stopping = sc.cluster.submit(stop)
    with pytest.raises(JobCancelled):
        sums.collect()
    stopping.result()


def test_an_output_that_nobody_can_read_any_more_is_dropped(sim_context: MakeContext) -> None:
    """A job is stopped and its RDDs are gone when its map tasks, which did not hear of it, succeed."""
    sc = sim_context(machines=2, seconds_per_task=1.0, executor_timeout=60.0)
    stop_unheard(sc, sc.parallelize([(1, 1)] * 4, 2).reduceByKey(add, 2), 2.0)
    gc.collect()
    sc.cluster.run(10)
    assert len(sc.cluster.trace.filter(kind="shuffle_cleaned")) == 1
    finished = sc.cluster.trace.filter(kind="task_finished")
    assert [event.data["result"] for event in finished] == ["too_late"] * 2
    assert files(sc) == []
    assert sc.parallelize(range(4), 4).sum() == 6


def test_a_stopped_stage_may_run_again_beside_what_is_left_of_it(sim_context: MakeContext) -> None:
    """Its old tasks succeed first, and the new ones are too late for partitions that nobody waits for."""
    sc = sim_context(machines=2, cores=2, seconds_per_task=2.0, executor_timeout=60.0)
    sums = sc.parallelize([(1, 1)] * 4, 2).reduceByKey(add, 2)
    stop_unheard(sc, sums)
    assert sums.collect() == [(1, 4)]
