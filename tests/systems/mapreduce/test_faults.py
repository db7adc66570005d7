"""Random schedules of faults, determinism, and planted mistakes."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest

from labkit import Cluster, Kill, Pause, Restart, Resume, Slow
from labkit.runtime import Duplicate, Fault, Loss
from labkit.systems.mapreduce.mistakes import MISTAKES

from .conftest import lab, same_as_oracle

#: Random schedules in the property test; more with `pytest --schedules 2000`.
SCHEDULES = int(os.environ.get("LABKIT_SCHEDULES", "200")) // 8


def disturbances(seed: int) -> list[tuple[float, Fault]]:
    """m1 has the masters; at most one other is away at a time, so that no file is lost."""
    draw = random.Random(seed)
    schedule: list[tuple[float, Fault]] = []
    if draw.random() < 0.5:
        schedule += [(1.0, Loss(0.03)), (1.0, Duplicate(0.2))]
    at = 1.5
    for _ in range(3):
        at += 1.5 * draw.random()
        machine, back = draw.choice(["m2", "m3", "m4"]), at + draw.choice([0.1, 1.0, 4.0])
        what = draw.choice(["kill", "kill", "pause", "slow"])
        if what == "kill":
            schedule += [(at, Kill(machine)), (back, Restart(machine))]
        elif what == "pause":
            schedule += [(at, Pause(machine)), (back, Resume(machine))]
        else:
            schedule += [(at, Slow(machine, 10)), (back, Slow(machine, 1))]
        at = back
    return schedule


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
    program = "from tests.systems.mapreduce.test_faults import digest; print(digest())"
    path = os.pathsep.join(filter(None, sys.path))
    environment = {**os.environ, "PYTHONHASHSEED": "4242", "PYTHONPATH": path}
    printed = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == digest()


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
