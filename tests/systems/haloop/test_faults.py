"""Random schedules of faults, determinism, and planted mistakes."""

from __future__ import annotations

import os

import pytest

from labkit import Cluster
from labkit.systems.haloop.mistakes import MISTAKES
from tests.systems.disturbed import digest_elsewhere, disturbances

from .conftest import family, ranks, same_as_oracle

#: Random schedules in the property test; more with `pytest --schedules 2000`.
SCHEDULES = int(os.environ.get("LABKIT_SCHEDULES", "200")) // 12


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_any_schedule_gives_the_ranks_of_one_thread(seed: int) -> None:
    with Cluster(machines=4, engine="sim", seed=seed) as cluster:
        loop = (ranks if seed % 2 else family)(cluster)
        began = cluster.now
        cluster.play([(began + at, fault) for at, fault in disturbances(seed)])
        job = loop.start("out", M=3, R=4, seconds_per_task=0.2)
        job.result(timeout=400.0)
        same_as_oracle(job)


def digest(seed: int = 5) -> str:
    with Cluster(machines=4, engine="sim", seed=seed, trace="messages") as cluster:
        loop = ranks(cluster)
        cluster.play([(cluster.now + at, fault) for at, fault in disturbances(seed)])
        loop.start("out", M=3, R=4, seconds_per_task=0.2).result()
        return str(cluster.trace.digest())


def test_the_same_seed_is_the_same_run_in_every_process() -> None:
    assert digest_elsewhere(__name__) == digest()


@pytest.mark.parametrize(
    ("mistake", "rule"),
    [
        ("partitions move", "SameNode"),
        ("invariant tables read again", "ReadOnce"),
        ("a lost cache is an empty one", "RightCache"),
        ("a wrong distance", "RightDistance"),
        ("an iteration too many", "EndsRight"),
    ],
)
def test_a_planted_mistake_is_caught(mistake: str, rule: str) -> None:
    assert len(MISTAKES) == 5
    with Cluster(machines=4, engine="sim", seed=1) as cluster:
        job = ranks(cluster).start("out", M=3, R=4, roles=MISTAKES[mistake], seconds_per_task=0.5)
        if "lost" in mistake:
            cluster.run_until(lambda: len(job.view().iterations) >= 3, what="the third iteration")
            cluster.kill("m3")
        job.result()
        found = {each.what for each in job.check().violations}
        assert rule in found
