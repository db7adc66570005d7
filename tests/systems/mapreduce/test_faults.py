"""Random schedules of faults, determinism, and planted mistakes."""

from __future__ import annotations

import os

import pytest

from labkit import Cluster
from labkit.systems.mapreduce.mistakes import MISTAKES
from tests.systems.disturbed import digest_elsewhere, disturbances

from .conftest import lab, same_as_oracle

#: Random schedules in the property test; more with `pytest --schedules 2000`.
SCHEDULES = int(os.environ.get("LABKIT_SCHEDULES", "200")) // 8


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_any_schedule_gives_the_output_of_the_oracle(seed: int) -> None:
    with Cluster(machines=4, engine="sim", seed=seed) as cluster:
        program = lab(cluster)
        began = cluster.now
        cluster.play([(began + at, fault) for at, fault in disturbances(seed)])
        job = program.start("corpus/*", "out/", M=10, R=4, seconds_per_task=0.7)
        job.result(timeout=200.0)
        same_as_oracle(job)


def digest(seed: int = 5) -> str:
    with Cluster(machines=4, engine="sim", seed=seed, trace="messages") as cluster:
        program = lab(cluster)
        cluster.play([(cluster.now + at, fault) for at, fault in disturbances(seed)])
        program.start("corpus/*", "out/", M=10, R=4, seconds_per_task=0.7).result()
        return str(cluster.trace.digest())


def test_twice_in_one_process_and_whatever_the_hash_seed() -> None:
    assert digest() == digest() != digest(6)
    assert digest_elsewhere(__name__) == digest()


CAUGHT_BY = {
    "no atomic rename": "CommittedOnce",
    "counters counted twice": "CountedOnce",
    "a completed reduce run again": "CompletedReduceStays",
    "lost output read": "EveryPairArrives",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_planted_mistakes_are_caught(mistake: str) -> None:
    with Cluster(machines=4, engine="sim") as cluster:
        program = lab(cluster)
        job = program.start(
            "corpus/*", "out/", M=9, R=8, seconds_per_task=1.0, roles=MISTAKES[mistake], backup=False
        )
        wanted = "reduce" if "reduce" in mistake else "map"
        worker = f"{job.name}-m3"
        cluster.run_until(
            lambda: any(
                event.data["worker"] == worker and event.data["kind"] == wanted
                for event in cluster.trace.filter("task_finished")
            ),
            what=f"the worker has completed a {wanted} task",
        )
        cluster.kill("m3")
        job.result()
        assert CAUGHT_BY[mistake] in {violation.what for violation in job.check().violations}
