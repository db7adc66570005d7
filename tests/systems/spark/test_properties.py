"""Random programs under random faults: every result equals the one on a single thread, and nothing hangs.

60 schedules by default, more with `pytest --schedules 2000`. A failure prints the program and the schedule
that Hypothesis has shrunk.
"""

from __future__ import annotations

from operator import add
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labkit import Cluster
from labkit.systems.spark import SingleContext, SparkContext, StorageLevel
from tests.systems.spark.conftest import SCHEDULES, judge

pytestmark = [pytest.mark.slow, pytest.mark.timeout(max(300, 4 * SCHEDULES))]

MACHINES = ["m1", "m2", "m3", "m4"]
LEVELS = [
    StorageLevel.MEMORY_ONLY,
    StorageLevel.MEMORY_ONLY_SER,
    StorageLevel.MEMORY_AND_DISK,
    StorageLevel.MEMORY_AND_DISK_2,
    StorageLevel.DISK_ONLY,
]

#: Tasks that take a while, and jobs that give up late.
PATIENT = {
    "stage_attempts": 1000,
    "no_executor_timeout": 1e6,
    "seconds_per_task": 0.05,
    "fetch_timeout": 0.5,
}

#: What may be done to an RDD of pairs of numbers; each gives such an RDD again.
STEPS: dict[str, Any] = {
    "map": lambda rdd, n: rdd.map(lambda p: ((p[0] + n) % 11, p[1])),
    "filter": lambda rdd, n: rdd.filter(lambda p: p[1] % 3 != n % 3),
    "mapValues": lambda rdd, n: rdd.mapValues(lambda v: v + n),
    "reduceByKey": lambda rdd, n: rdd.reduceByKey(add, 1 + n % 5),
    "groupByKey": lambda rdd, n: rdd.groupByKey(1 + n % 5).mapValues(lambda values: sum(sorted(values))),
    "partitionBy": lambda rdd, n: rdd.partitionBy(1 + n % 5),
    "sortByKey": lambda rdd, n: rdd.sortByKey(numPartitions=1 + n % 4),
    "coalesce": lambda rdd, n: rdd.coalesce(1 + n % 4),
    "repartition": lambda rdd, n: rdd.repartition(1 + n % 5),
    "union": lambda rdd, n: rdd.union(rdd.mapValues(lambda v: v - n)),
    "join": lambda rdd, n: (
        rdd.reduceByKey(add, 1 + n % 5).join(rdd.reduceByKey(max, 1 + n % 3)).mapValues(lambda v: v[0] - v[1])
    ),
    "distinct": lambda rdd, n: rdd.distinct(1 + n % 4),
    "persist": lambda rdd, n: rdd.mapValues(lambda v: v + 1).persist(LEVELS[n % len(LEVELS)]),
}

step = st.tuples(st.sampled_from([*sorted(STEPS), *["persist"] * 5]), st.integers(0, 30))
program = st.lists(step, min_size=1, max_size=6)
fault = st.tuples(
    st.sampled_from(
        ["kill", "restart", "pause", "resume", "slow", "normal", "loss", "duplicate", "disk_loss"]
    ),
    st.sampled_from(MACHINES),
    st.floats(0.0, 4.0),
)


def schedules(count: int) -> Any:
    """This many examples, however long one takes."""
    return settings(max_examples=count, suppress_health_check=list(HealthCheck))


def build(sc: Any, steps: list[tuple[str, int]]) -> Any:
    """The program's RDD."""
    rdd = sc.parallelize([(n * n % 13, n) for n in range(60)], 6)
    for name, number in steps:
        rdd = STEPS[name](rdd, number)
    return rdd


def strike(cluster: Cluster, what: str, machine: str) -> None:
    """One fault, if it makes sense now. At least one machine stays."""
    handle = cluster.machine(machine)
    running = [each for each in cluster.machines if each.state in ("alive", "slow")]
    match what:
        case "kill" | "pause" if handle.state in ("alive", "slow") and len(running) > 1:
            getattr(cluster, what)(machine)
        case "restart" | "disk_loss" if not handle.alive:
            getattr(cluster, what)(machine)
        case "resume" if handle.state == "paused":
            cluster.resume(machine)
        case "slow" | "normal" if handle.state in ("alive", "slow"):
            cluster.slow(machine, 10 if what == "slow" else 1)
        case "loss":
            cluster.loss(0.0 if cluster._engine.network.loss else 0.05)
        case "duplicate":
            cluster.duplicate(0.0 if cluster._engine.network.duplicate else 0.3)


@schedules(SCHEDULES)
@given(
    st.integers(0, 2**16),
    program,
    st.lists(fault, max_size=8),
    st.sampled_from([1_500, 4_000, 100_000_000]),
    st.booleans(),
)
def test_results_are_independent_of_faults_caching_and_eviction(
    seed: int, steps: list[Any], faults: list[Any], memory: int, speculation: bool
) -> None:
    expected = sorted(build(SingleContext(4), steps).collect())
    with Cluster(machines=MACHINES, engine="sim", seed=seed) as cluster:
        options = {
            "memory": memory,
            "speculation": speculation,
            "stage_attempts": 1000,
            "no_executor_timeout": 1e6,
        }
        sc = SparkContext(cluster, cores=1 + seed % 2, seconds_per_task=0.05, fetch_timeout=0.5, **options)
        rdd = build(sc, steps)

        async def striking_program(client: Any) -> None:
            for what, machine, seconds in faults:
                await client.sleep(seconds)
                strike(cluster, what, machine)

        striking = cluster.submit(striking_program)
        for _ in range(3):  # again from what is cached and stored
            assert sorted(rdd.collect()) == expected
            assert rdd.count() == len(expected)
        striking.result()
        for machine in cluster.machines:  # and once more when all is well
            strike(
                cluster, {"dead": "restart", "paused": "resume"}.get(machine.state, "normal"), machine.name
            )
        cluster.loss(0.0)
        cluster.run(8.0)
        assert sorted(rdd.collect()) == expected
        assert len(sc._driver.executors) == len(MACHINES)
        judge(sc)
        tidy(sc)


def tidy(sc: SparkContext) -> None:
    """Nothing is left of finished jobs, and executors and driver agree on the blocks."""
    sc.cluster.run(2.0)
    driver = sc._driver
    assert not driver.tasks.stages
    assert not driver.dag.running
    believed: dict[str, set[Any]] = {name: set() for name in sc.executors}
    for key, places in driver.blocks.items():
        for name in places:
            believed[name].add(key)
    for name in sc.executors:
        executor = sc.cluster.peek(name)
        assert not driver.executors[name].attempts
        assert not executor.tasks
        assert believed[name] == set(executor.blocks._blocks)
        assert executor.blocks.used <= sc.options.memory
