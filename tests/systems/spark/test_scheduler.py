"""Stages, what is skipped, where tasks run, and what the driver sends."""

from __future__ import annotations

import cProfile
import threading
from operator import add
from typing import Any

import pytest

from labkit import Cluster
from labkit.runtime.errors import LabError, MachineDead
from labkit.systems.spark import (
    JobCancelled,
    JobFailed,
    SingleContext,
    SparkContext,
    StorageLevel,
    TaskFailed,
)
from labkit.systems.spark.options import check_options
from tests.systems.spark.conftest import MakeContext, events

WORDS = ["the", "quick", "fox", "jumps", "over", "the", "lazy", "dog", "the", "end"] * 22


def counted(sc: Any, partitions: int = 6) -> Any:
    """Word count, the shuffle that most tests use."""
    return sc.parallelize(WORDS, partitions).map(lambda word: (word, 1)).reduceByKey(add, 3)


def test_word_count_equals_the_oracle(sim_context: MakeContext, oracle: SingleContext) -> None:
    assert counted(sim_context()).collect() == counted(oracle).collect()


def test_everything_together(make_context: MakeContext, oracle: SingleContext, tmp_path: Any) -> None:
    """On both engines: what most programs use."""
    sc = make_context(machines=2)
    counts = counted(sc).cache()
    assert counts.collect() == counted(oracle).collect()
    table = sc.broadcast({"the": 1000})
    seen = sc.accumulator(0)
    counts.foreach(lambda pair: seen.add(table.value.get(pair[0], 0)))
    assert seen.value == 1000
    with pytest.raises(TaskFailed, match="ZeroDivisionError"):
        counts.map(lambda pair: 1 // (pair[1] - 66)).collect()
    sc.setCheckpointDir(tmp_path)
    counts.checkpoint()
    assert counts.map(lambda pair: pair[1]).sum() == len(WORDS)
    assert counts.isCheckpointed()
    sc.cluster.kill("m2")
    assert counts.unpersist().map(lambda pair: pair[1]).sum() == len(WORDS)


def test_a_stage_ends_at_a_shuffle_and_narrow_ones_are_pipelined(sim_context: MakeContext) -> None:
    sc = sim_context()
    pairs = sc.parallelize(range(20), 4).map(lambda x: (x % 3, x)).filter(lambda p: p[1] > 2)
    pairs.reduceByKey(add, 2).mapValues(str).collect()
    first, second = events(sc, "stage_started")
    assert (first["kind"], second["kind"]) == ("map", "result")
    assert first["rdds"] == [0, 1, 2]
    assert len(second["rdds"]) == 2
    assert second["parents"] == [first["stage"]]
    assert events(sc, "job_started")[0]["stages"] == [first["stage"], second["stage"]]
    assert [len(events(sc, "task_started", stage=each["stage"])) for each in (first, second)] == [4, 2]


def test_a_map_stage_whose_outputs_are_there_is_skipped(sim_context: MakeContext) -> None:
    sc = sim_context()
    counts = counted(sc)
    counts.count()
    counts.count()
    assert [stage["kind"] for stage in events(sc, "stage_started")] == ["map", "result", "result"]


def test_independent_parents_run_at_the_same_time(sim_context: MakeContext) -> None:
    sc = sim_context(machines=4)
    left, right = (sc.parallelize([(1, side)], 2).partitionBy(2, lambda k, s=side: k + s) for side in (0, 1))
    left.join(right, 3).count()
    running = 0
    most = 0
    for event in sc.cluster.trace:
        if event.data.get("kind") == "map" or (event.kind == "stage_finished"):
            running += 1 if event.kind == "stage_started" else -1
            most = max(most, running)
    assert most == 2


def test_cached_partitions_prune_what_is_above(sim_context: MakeContext) -> None:
    sc = sim_context()
    counts = counted(sc).cache()
    counts.count()
    sc._driver.dag.outputs.lose(
        next(iter(sc._driver.executors.values())).source
    )  # nobody needs them any more
    before = len(events(sc, "stage_started"))
    assert sorted(counts.map(lambda p: p[1]).collect())[-1] == 66
    assert len(events(sc, "stage_started")) == before + 1


def test_tasks_run_where_their_cached_input_is(sim_context: MakeContext) -> None:
    sc = sim_context(machines=4)
    cached = sc.parallelize(range(80), 8).map(lambda x: x + 1).cache()
    cached.count()
    where = {each["partition"]: each["executor"] for each in events(sc, "block_stored")}
    for _ in range(3):
        assert cached.sum() == 3240
    later = [each for each in events(sc, "task_started") if each["stage"] > 0]
    assert {each["locality"] for each in later} == {"process"}
    assert all(each["executor"] == where[each["partition"]] for each in later)


def test_delay_scheduling_gives_up_after_its_wait(sim_context: MakeContext) -> None:
    """All blocks are on one executor; others take tasks only after `locality_wait`, and read remotely."""

    def localities(wait: float) -> tuple[set[str], int]:
        sc = sim_context(machines=3, locality_wait=wait, seconds_per_task=0.05)
        only = list(sc._driver.executors.values())[1:]
        held = {executor.name: executor.slots for executor in only}
        for executor in only:
            executor.slots = 0
        cached = sc.parallelize(range(60), 6).cache()
        cached.count()
        for executor in only:
            executor.slots = held[executor.name]
        assert cached.sum() == 1770
        started = events(sc, "task_started", stage=1)
        remote = sum(each["fetched_remote"] for each in events(sc, "task_finished", stage=1))
        return {each["locality"] for each in started}, remote

    assert localities(10.0) == ({"process"}, 0)
    eager, fetched = localities(0.0)
    assert eager == {"process", "any"}
    assert fetched > 0


def test_an_executor_runs_as_many_tasks_as_it_has_cores(sim_context: MakeContext) -> None:
    sc = sim_context(machines=2, cores=3, seconds_per_task=0.1)
    begun = sc.cluster.now
    sc.parallelize(range(12), 12).count()
    assert sc.defaultParallelism == 6
    assert 0.2 < sc.cluster.now - begun < 0.3


def test_the_code_of_a_stage_travels_once_to_each_executor(sim_context: MakeContext) -> None:
    sc = sim_context(machines=2)
    big = bytes(100_000)
    sent: list[int] = []
    driver = sc._driver
    call = driver.call

    def spy(ref: str, method: str, *args: Any, **kwargs: Any) -> Any:
        if method == "run_task":
            sent.append(len(args[3] or b""))
        return call(ref, method, *args, **kwargs)

    driver.call = spy  # type: ignore[method-assign]
    sc.parallelize(range(40), 20).map(lambda x: x + len(big)).count()
    assert len(sent) == 20
    assert sum(size > 100_000 for size in sent) == 2
    assert sum(size == 0 for size in sent) == 18


def test_broadcast_values_travel_once_to_each_executor(sim_context: MakeContext) -> None:
    sc = sim_context(machines=2)
    table = sc.broadcast({n: n * n for n in range(100)})
    assert sc.parallelize(range(100), 8).map(lambda n: table.value[n]).sum() == 328350
    table.unpersist()
    assert sc.parallelize(range(10), 2).map(lambda n: table.value[n]).sum() == 285
    table.destroy()
    with pytest.raises(LabError, match="destroyed"):
        sc.parallelize(range(10), 2).map(lambda n: table.value[n])


def test_accumulators_count_each_task_once(sim_context: MakeContext) -> None:
    sc = sim_context()
    seen = sc.accumulator(0)
    sc.parallelize(range(100), 7).foreach(lambda x: seen.add(x))
    assert seen.value == 4950


# --- errors -----------------------------------------------------------------------------------------------


def test_an_error_of_the_user_is_tried_again_and_raised_once(sim_context: MakeContext) -> None:
    sc = sim_context(machines=2)
    with pytest.raises(TaskFailed, match="ZeroDivisionError") as raised:
        sc.parallelize(range(4), 2).map(lambda x: 1 // (x - 3)).collect()
    assert raised.value.blame.record == "3"
    failed = events(sc, "task_finished", result="error")
    assert [each["partition"] for each in failed] == [1, 1, 1, 1]
    assert events(sc, "job_finished")[0]["ok"] is False
    assert sc.parallelize(range(4), 2).count() == 4


def test_an_error_that_passes_is_not_the_users_business(sim_context: MakeContext) -> None:
    sc = sim_context(machines=2)

    def unsteady(index: int, records: Any) -> Any:
        from labkit.systems.spark import TaskContext

        if index == 1 and TaskContext.get().attemptNumber() < 3:  # type: ignore[union-attr]
            raise OSError("a disk that is full now and then")
        return records

    assert sc.parallelize(range(10), 3).mapPartitionsWithIndex(unsteady).sum() == 45
    assert len(events(sc, "task_finished", result="error")) == 3


def test_only_one_context_on_a_cluster(sim_context: MakeContext) -> None:
    sc = sim_context()
    with pytest.raises(ValueError, match="Cannot run multiple SparkContexts at once"):
        SparkContext(sc.cluster)
    sc.stop()
    with pytest.raises(LabError, match="stopped"):
        sc.parallelize([1]).count()
    with SparkContext(sc.cluster) as second:
        assert second.parallelize([1, 2]).count() == 2
    assert not sc.cluster.nodes


def test_executors_where_the_user_wants_them(sim_context: MakeContext) -> None:
    with Cluster(machines=3, engine="sim") as cluster:
        with SparkContext(cluster, executors=["m2", "m3"]) as sc:
            assert [cluster.nodes[name] for name in sc.executors] == ["m2", "m3"]
        with SparkContext(cluster, executors=5) as sc:
            assert len(sc.executors) == 5
        for wrong in (0, "m1", [], True):
            with pytest.raises(ValueError, match="executors is how many"):
                SparkContext(cluster, executors=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"kores": 2}, TypeError, "has no option 'kores'"),
        ({"cores": 0}, ValueError, "cores=0: a whole number >= 1; write cores=1"),
        ({"cores": 1.5}, ValueError, "cores=1.5: a whole number >= 1; write cores=1"),
        ({"speculation": 1}, ValueError, "speculation=1: write speculation=True or speculation=False"),
        ({"locality_wait": -1}, ValueError, "locality_wait=-1: a number >= 0; write locality_wait=0.3"),
        ({"speculation_quantile": 1.5}, ValueError, "speculation_quantile=1.5: a fraction of a stage"),
        ({"executor_timeout": 0.3}, ValueError, "would take living executors for lost"),
    ],
)
def test_options_are_checked(given: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        check_options(given)


# --- jobs side by side ------------------------------------------------------------------------------------


def test_two_jobs_share_the_stage_that_both_need(sim_context: MakeContext) -> None:
    sc = sim_context()
    counts = counted(sc)
    from labkit.systems.spark.jobs import Job

    driver = sc._driver

    async def program(client: Any) -> Any:
        from labkit.runtime.sync import gather

        def length(index: int, records: Any) -> int:
            return len(list(records))

        jobs = [
            driver.spawn(driver.run_job(Job(n, "count", None), counts, length, [0, 1, 2], "")) for n in (7, 8)
        ]
        return await gather(*jobs)

    first, second = sc.cluster.submit(program).result()
    assert first == second
    assert [stage["kind"] for stage in events(sc, "stage_started")].count("map") == 1


def test_a_cancelled_group_ends_and_the_context_stays_usable(make_context: MakeContext) -> None:
    sc = make_context(machines=2, seconds_per_task=100.0, executor_timeout=20.0)
    failed: list[BaseException] = []

    def slowly(x: int) -> int:
        import time

        if sc_engine == "ray":
            for _ in range(3000):
                time.sleep(0.01)
        return x

    sc_engine = sc.cluster.engine

    def action() -> None:
        sc.setJobGroup("slow", "to be cancelled")
        try:
            sc.parallelize(range(4), 4).map(slowly).collect()
        except JobCancelled as error:
            failed.append(error)

    thread = threading.Thread(target=action)
    if sc.cluster.engine == "sim":
        sc.cluster.pace = 20.0
    thread.start()
    sc.cluster.run_until(lambda: bool(events(sc, "task_running")), timeout=300)
    tracker = sc.statusTracker()
    (job,) = tracker.getJobIdsForGroup("slow")
    assert tracker.getActiveJobsIds() == [job]
    info = tracker.getStageInfo(tracker.getJobInfo(job).stageIds[0])  # type: ignore[union-attr]
    assert info is not None
    assert (info.numTasks, info.numActiveTasks) == (4, 2)
    sc.cancelJobGroup("slow")
    thread.join(300)
    assert len(failed) == 1
    assert "its group 'slow' was cancelled" in str(failed[0])
    assert tracker.getJobInfo(job).status == "FAILED"  # type: ignore[union-attr]
    if sc.cluster.engine == "sim":
        sc.cluster.pace = None
    assert sc.parallelize(range(4), 4).count() == 4


def test_without_any_executor_a_job_fails_instead_of_waiting_for_ever(sim_context: MakeContext) -> None:
    sc = sim_context(machines=2, no_executor_timeout=5.0)
    sc.cluster.kill("m1")
    sc.cluster.kill("m2")
    with pytest.raises(JobFailed, match="every executor is lost; restart a machine"):
        sc.parallelize(range(4)).count()
    sc.cluster.restart("m1")
    assert sc.parallelize(range(4)).count() == 4


# --- checkpoints ------------------------------------------------------------------------------------------


def test_a_checkpoint_cuts_the_lineage(sim_context: MakeContext, tmp_path: Any) -> None:
    sc = sim_context(machines=2)
    sc.setCheckpointDir(tmp_path)
    counts = counted(sc)
    counts.checkpoint()
    total = counts.map(lambda p: p[1]).sum()
    assert counts.isCheckpointed()
    (written,) = events(sc, "checkpointed")
    assert written["rdd"] == counts.id()
    assert written["bytes"] > 0
    sc.cluster.kill("m2")
    before = len(events(sc, "stage_started"))
    assert counts.map(lambda p: p[1]).sum() == total == len(WORDS)
    stages = events(sc, "stage_started")[before:]
    assert [stage["kind"] for stage in stages] == ["result"]  # no shuffle is made again


def test_storage_is_announced(sim_context: MakeContext) -> None:
    sc = sim_context()
    numbers = sc.parallelize(range(10), 2)
    numbers.count()
    numbers.persist(StorageLevel.MEMORY_AND_DISK)
    numbers.count()
    numbers.unpersist()
    sc.cluster.run(1.0)
    assert [each["storage"] for each in events(sc, "rdd_storage")] == ["memory+disk", None]
    assert len(events(sc, "block_dropped", why="unpersisted")) == 2


def test_stopping_ends_the_jobs_of_other_threads(sim_context: MakeContext) -> None:
    sc = sim_context(machines=2, seconds_per_task=100.0)
    failed: list[BaseException] = []

    def action() -> None:
        try:
            sc.parallelize(range(4), 4).count()
        except JobCancelled as error:
            failed.append(error)

    thread = threading.Thread(target=action)
    sc.cluster.pace = 1.0
    thread.start()
    sc.cluster.run_until(lambda: bool(events(sc, "task_running")), timeout=300)
    sc.stop()
    thread.join(30)
    assert "the SparkContext was stopped" in str(failed[0])


def test_a_new_context_where_a_machine_died_while_the_old_one_stopped(sim_context: MakeContext) -> None:
    sc = sim_context(machines=2)
    remove = sc.cluster.remove

    def dies_first(name: str) -> None:
        if name == "executor-1" and sc.cluster.machine("m2").alive:
            sc.cluster.kill("m2")
            raise MachineDead("m2 died meanwhile")
        remove(name)

    sc.cluster.remove = dies_first  # type: ignore[method-assign]
    sc.stop()
    assert not sc.cluster.nodes
    with SparkContext(sc.cluster) as second:
        assert second.parallelize(range(3)).count() == 3


def test_what_cannot_be_read_over_there_fails_the_job(sim_context: MakeContext) -> None:
    class Unreadable:
        def __reduce__(self) -> Any:
            return explode, ()

    sc = sim_context(machines=2)
    with pytest.raises((JobFailed, TaskFailed), match="no such thing here"):
        sc.parallelize([Unreadable()], 1).count()
    assert sc.parallelize([1]).count() == 1


def explode() -> None:
    raise RuntimeError("no such thing here")


def test_a_job_under_a_profiler_ends(sim_context: MakeContext) -> None:
    """Interrupting tasks must leave nothing behind: CPython 3.11 would hang under a profiler."""
    sc = sim_context(machines=2)
    with cProfile.Profile():
        assert sc.parallelize(range(100), 8).map(lambda x: x + 1).sum() == 5050
