"""The fault model: what each failure costs, and that it changes no result."""

from __future__ import annotations

import shutil
import time
from operator import add
from typing import Any

import pytest

from labkit import Duplicate, Kill, Loss, Network, Pause, Restart, Resume, Slow, when
from labkit.systems.spark import JobFailed, SingleContext, SparkContext, StorageLevel
from tests.systems.spark.conftest import MakeContext, events, judge, predicted


def shuffles(sc: Any, partitions: int = 6) -> Any:
    """Two shuffles in a row and a join."""
    words = sc.parallelize([f"w{n * n % 37}" for n in range(400)], partitions)
    counts = words.map(lambda w: (w, 1)).reduceByKey(add, 4)
    lengths = counts.map(lambda p: (p[1], p[0])).groupByKey(3).mapValues(sorted)
    return lengths.join(counts.map(lambda p: (p[1], len(p[0]))), 3).mapValues(repr)


EXPECTED = sorted(shuffles(SingleContext(4)).collect())


def lost_tasks(sc: SparkContext) -> dict[int, list[int]]:
    """Map tasks by stage that ran because their output was lost."""
    return {stage: sorted(maps) for stage, maps in sc.check().run_again.items()}


def there(sc: SparkContext) -> set[str]:
    """Machines of the executors that the driver takes for living."""
    return {each.machine for each in list(sc._driver.executors.values())}


# --- a machine dies -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 4, 6, 7, 9, 11, 13, 14])
def test_after_a_kill_exactly_what_lineage_says_runs_again(sim_context: MakeContext, count: int) -> None:
    """Whenever the machine dies: asserted from the trace, against a prediction from the state before."""
    sc = sim_context(machines=3)
    sc.cluster.play([(when("task_finished", count=count), Kill("m2"))])
    assert sorted(shuffles(sc).collect()) == EXPECTED
    lost = events(sc, "executor_lost")
    assert [each["machine"] for each in lost] == ["m2"]
    again = predicted(sc.cluster.trace)
    assert lost_tasks(sc) == again
    if count in (7, 14):
        assert again


def test_a_machine_dies_in_the_middle_of_a_shuffle(make_context: MakeContext) -> None:
    """When the first map stage is half done, and another when the last stage has begun to fetch."""
    sc = make_context(machines=4)
    sc.cluster.play(
        [(when("outputs_stored", count=4), Kill("m3")), (when("task_started", stage=3), Kill("m2"))]
    )
    assert sorted(shuffles(sc).collect()) == EXPECTED
    sc.cluster.run_until(lambda: there(sc) == {"m1", "m4"}, timeout=300)
    lost = [each["machine"] for each in events(sc, "executor_lost")]
    # A real process may stand still for so long that it is taken for dead, and comes back.
    assert lost == ["m3", "m2"] if sc.cluster.engine == "sim" else {"m2", "m3"} <= set(lost)
    assert sorted(shuffles(sc).collect()) == EXPECTED  # and nothing hangs afterwards


def test_lost_outputs_of_an_earlier_job_are_made_again(sim_context: MakeContext) -> None:
    sc = sim_context(machines=3)
    counts = sc.parallelize(range(90), 9).map(lambda x: (x % 5, x)).reduceByKey(add, 3)
    expected = counts.collect()
    there = {each["map"]: each["machine"] for each in events(sc, "outputs_stored")}
    sc.cluster.kill("m1")
    sc.cluster.run(4.0)
    assert counts.collect() == expected
    assert lost_tasks(sc) == {0: sorted(number for number, machine in there.items() if machine == "m1")}


def test_a_lost_cached_partition_is_computed_again_and_no_other(sim_context: MakeContext) -> None:
    sc = sim_context(machines=3, executor_timeout=1.5)
    squares = sc.parallelize(range(90), 9).map(lambda x: x * x).cache()
    assert squares.sum() == sum(x * x for x in range(90))
    held = [each["partition"] for each in events(sc, "block_stored", machine="m2")]
    before = len(events(sc, "task_finished"))
    sc.cluster.kill("m2")
    sc.cluster.run_until(lambda: bool(events(sc, "executor_lost")), timeout=300)
    assert squares.sum() == sum(x * x for x in range(90))
    after = events(sc, "task_finished")[before:]
    computed = sorted(p for each in after for rdd, p in each["computed"] if rdd == squares.id())
    assert computed == sorted(held) != []
    assert sorted(p for each in after for rdd, p in each["read"] if rdd == squares.id()) == sorted(
        set(range(9)) - set(held)
    )


def test_a_replicated_partition_survives_its_machine(sim_context: MakeContext) -> None:
    sc = sim_context(machines=3, executor_timeout=1.5)
    squares = sc.parallelize(range(90), 6).map(lambda x: x * x).persist(StorageLevel.MEMORY_ONLY_2)
    total = squares.sum()
    sc.cluster.run_until(lambda: len(events(sc, "block_stored")) == 12, timeout=300)
    for partition in range(6):  # really on two machines
        assert len({each["machine"] for each in events(sc, "block_stored", partition=partition)}) == 2
    before = len(events(sc, "task_finished"))
    sc.cluster.kill("m2")
    sc.cluster.run_until(lambda: bool(events(sc, "executor_lost")), timeout=300)
    assert squares.sum() == total
    assert [each["computed"] for each in events(sc, "task_finished")[before:]] == [[]] * 6


def test_a_restarted_machine_joins_again_and_is_empty(make_context: MakeContext) -> None:
    sc = make_context(machines=2, executor_timeout=20.0)  # that it began anew is seen without
    cached = sc.parallelize(range(40), 4).map(lambda x: (x % 3, x)).cache()
    counts = cached.reduceByKey(add, 2)
    expected = counts.collect()
    sc.cluster.kill("m1")
    sc.cluster.restart("m1")
    sc.cluster.run_until(lambda: len(events(sc, "executor_registered")) == 3, timeout=300)
    assert events(sc, "executor_registered")[-1]["incarnation"] == 2
    assert sc.cluster.state("executor-0", "lives")["lives"] == 1
    assert sc._driver.dag.outputs.missing(0) != []
    assert counts.collect() == expected
    assert cached.map(lambda p: p[1]).sum() == 780

    def both_work() -> bool:
        """At once, unless the machine that has just begun is so slow that it is taken for dead once more."""
        before = len(events(sc, "task_started"))
        assert sc.parallelize(range(40), 4).sum() == 780
        return {each["machine"] for each in events(sc, "task_started")[before:]} == {"m1", "m2"}

    sc.cluster.run_until(both_work, timeout=300)


def test_an_emptied_disk_is_noticed(sim_context: MakeContext) -> None:
    sc = sim_context(machines=2)
    squares = sc.parallelize(range(40), 4).map(lambda x: x * x).persist(StorageLevel.DISK_ONLY)
    total = squares.sum()
    assert {each["where"] for each in events(sc, "block_stored")} == {"disk"}
    for name in sc.executors:
        files = sc.cluster.peek(name).files
        for file in files.names():
            files.remove(file)
    assert squares.sum() == total
    assert len(events(sc, "block_dropped", why="lost")) == 4


def test_dying_faster_than_a_stage_can_be_computed_is_told(sim_context: MakeContext) -> None:
    """Two executors that cannot reach each other: the driver sees both, no reduce task gets all its input."""
    sc = sim_context(machines=2, fetch_timeout=0.2)
    sc.cluster.partition(["m1"], ["m2"])
    with pytest.raises(JobFailed, match="lost its input 4 times in a row"):
        shuffles(sc).collect()
    sc.cluster.heal()
    assert sorted(shuffles(sc).collect()) == EXPECTED


# --- a machine is slow, or silent for a while ---------------------------------------------------------------


def test_a_slow_executor_is_not_taken_for_dead(sim_context: MakeContext) -> None:
    sc = sim_context(machines=2)
    sc.cluster.slow("m1", 20)
    assert sorted(shuffles(sc).collect()) == EXPECTED
    sc.cluster.run(2.0)
    assert not events(sc, "executor_lost")


def test_a_pause_shorter_than_the_timeout_only_delays(sim_context: MakeContext) -> None:
    sc = sim_context(machines=3)
    sc.cluster.play([(when("task_finished", count=4), Pause("m2")), (2.0, Resume("m2"))])
    assert sorted(shuffles(sc).collect()) == EXPECTED
    assert not events(sc, "executor_lost")


def test_a_machine_that_wakes_up_after_it_was_given_up_begins_anew(make_context: MakeContext) -> None:
    sc = make_context(machines=3)
    sc.cluster.play([(when("outputs_stored", count=3), Pause("m2"))])
    assert sorted(shuffles(sc).collect()) == EXPECTED
    sc.cluster.run_until(lambda: there(sc) == {"m1", "m3"}, timeout=300)
    lost = [each["machine"] for each in events(sc, "executor_lost")]
    assert lost == ["m2"] if sc.cluster.engine == "sim" else "m2" in lost
    sc.cluster.resume("m2")
    sc.cluster.run_until(lambda: there(sc) == {"m1", "m2", "m3"}, timeout=300)
    assert len(events(sc, "executor_registered", machine="m2")) > 1

    def it_works() -> bool:
        before = len(events(sc, "task_started"))
        assert sorted(shuffles(sc).collect()) == EXPECTED
        return "m2" in {each["machine"] for each in events(sc, "task_started")[before:]}

    sc.cluster.run_until(it_works, timeout=300)


def test_a_task_that_wakes_up_late_writes_into_no_other_save(sim_context: MakeContext, tmp_path: Any) -> None:
    """Its machine was paused and given up; meanwhile the directory was removed and written anew."""
    sc = sim_context(machines=2, executor_timeout=1.0)
    out = tmp_path / "out"
    old, new = (sc.parallelize([f"{age}{n}" for n in range(4)], 2) for age in ("old", "new"))
    sc.cluster.play([(when("task_started"), Pause("m1"))])
    old.saveAsTextFile(out)
    assert sc.textFile(out).collect() == ["old0", "old1", "old2", "old3"]
    shutil.rmtree(out)
    new.saveAsTextFile(out)
    sc.cluster.resume("m1")
    sc.cluster.run(5.0)
    assert sc.textFile(out).collect() == ["new0", "new1", "new2", "new3"]
    assert sorted(each.name for each in out.iterdir()) == ["_SUCCESS", "part-00000", "part-00001"]


def test_backup_copies_beat_a_straggler(sim_context: MakeContext) -> None:
    def seconds(speculation: bool) -> float:
        sc = sim_context(machines=4, speculation=speculation, seconds_per_task=0.2)
        sc.cluster.slow("m3", 100)
        begun = sc.cluster.now
        assert sc.parallelize(range(16), 16).map(lambda x: x + 1).sum() == 136
        copies = events(sc, "task_started", speculative=True)
        assert bool(copies) == speculation
        assert all(each["machine"] != "m3" for each in copies)
        return sc.cluster.now - begun

    assert seconds(speculation=True) < seconds(speculation=False) / 5


def test_speculation_leaves_even_stages_alone(sim_context: MakeContext) -> None:
    sc = sim_context(machines=4, speculation=True, seconds_per_task=0.5)
    assert sc.parallelize(range(16), 16).sum() == 120
    assert not events(sc, "task_started", speculative=True)


# --- messages -----------------------------------------------------------------------------------------------


@pytest.fixture
def unreliable(sim_context: MakeContext) -> Any:
    """A context whose messages get lost and arrive twice."""

    def make(loss: float, duplicate: float, seed: int) -> SparkContext:
        network = Network(loss=loss, duplicate=duplicate)
        return sim_context(machines=3, seed=seed, network=network, call_timeout=0.2, fetch_timeout=0.2)

    return make


@pytest.mark.parametrize("seed", range(4))
def test_lost_and_repeated_messages_change_nothing(unreliable: Any, seed: int) -> None:
    sc = unreliable(0.1, 0.3, seed)
    cached = sc.parallelize(range(60), 6).map(lambda x: (x % 7, x)).cache()
    assert sorted(cached.reduceByKey(add, 4).collect()) == sorted((k, sum(range(k, 60, 7))) for k in range(7))
    assert cached.count() == 60
    assert sorted(shuffles(sc).collect()) == EXPECTED


def test_a_task_that_arrives_twice_runs_once(unreliable: Any) -> None:
    sc = unreliable(0.0, 1.0, 1)
    ran = sc.accumulator(0)
    sc.parallelize(range(12), 12).foreach(lambda _: ran.add(1))
    running = [event for event in sc.cluster.trace if event.kind == "task_running"]
    assert len(running) == len(events(sc, "task_started")) == ran.value == 12


def test_an_outcome_is_kept_until_the_driver_has_it(sim_context: MakeContext) -> None:
    """The answer is lost, the task is not run again, and the outcome goes once the driver has heard it."""
    sc = sim_context(machines=1)
    sc.cluster.play([(when("task_running"), Loss(1.0)), (0.2, Loss(0.0))])
    assert sc.parallelize(range(5), 1).sum() == 10
    assert len([event for event in sc.cluster.trace if event.kind == "task_running"]) == 1
    executor = sc.cluster.peek("executor-0")
    sc.cluster.run(1.0)
    assert not executor.tasks


def test_the_users_faults_by_hand(sim_context: MakeContext) -> None:
    """A bit of everything, one after the other."""
    sc = sim_context(machines=3, executor_timeout=1.5)
    faults = [Slow("m1", 3.0), Duplicate(0.2), Kill("m2"), Slow("m1", 1.0), Restart("m2"), Duplicate(0.0)]
    for fault in faults:
        sc.cluster.inject(fault)
        assert sorted(shuffles(sc).collect()) == EXPECTED
    judge(sc)


def test_a_long_task_is_no_timeout(sim_context: MakeContext) -> None:
    """A timeout in the trace means trouble: an executor says in time that a task still runs."""
    sc = sim_context(machines=2, seconds_per_task=7.0)
    assert sc.parallelize(range(4), 4).sum() == 6
    assert not [event for event in sc.cluster.trace if event.kind == "timed_out"]


def test_a_driver_that_stood_still_takes_nobody_for_dead(make_context: MakeContext) -> None:
    """It was itself paused or busy: then it has heard nobody, and that says nothing."""
    sc = make_context(machines=2, executor_timeout=6.0)
    driver, cluster = sc._driver, sc.cluster
    before, seconds = driver.now, 1.5 * sc.options.executor_timeout
    if cluster.engine == "sim":
        driver._machine.pause()
        cluster.run(seconds)
        driver._machine.resume()
    else:
        cluster._engine.do(lambda: time.sleep(seconds))
    cluster.run_until(lambda: driver.now > before + seconds + 2 * sc.options.heartbeat_every, timeout=300)
    assert not events(sc, "executor_lost")
    assert sc.parallelize(range(10), 4).sum() == 45
    cluster.kill("m1")
    cluster.run_until(lambda: bool(events(sc, "executor_lost")), timeout=300)
    assert [lost["machine"] for lost in events(sc, "executor_lost")] == ["m1"]
