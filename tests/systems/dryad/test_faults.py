"""Random schedules of faults, determinism, and planted mistakes."""

from __future__ import annotations

import os
from operator import add

import pytest

from labkit import Cluster
from labkit.systems.dryad import AggregationTree, Job, JobFailed
from labkit.systems.dryad.mistakes import MISTAKES
from labkit.systems.dryad.vertices import reduce
from tests.systems.disturbed import digest_elsewhere, disturbances

from .conftest import lab, same_as_oracle, word_count
from .test_jobs import PIPES, sorted_by_pipes

#: Random schedules in the property test; more with `pytest --schedules 2000`.
SCHEDULES = int(os.environ.get("LABKIT_SCHEDULES", "200")) // 5


MACHINES = ("m2", "m3", "m4", "m5")


def disturbed(cluster: Cluster, seed: int) -> Job:
    """Over files, or over pipes."""
    dryad = lab(cluster, racks=2)
    began = cluster.now
    cluster.play([(began + at, fault) for at, fault in disturbances(seed, MACHINES, 0.5, 0.5)])
    if seed % 2:
        options = {"channels": PIPES, "seconds_per_vertex": 0.7, "seconds_per_item": 1e-3, "chunk": 30}
        return dryad.submit(sorted_by_pipes(dryad), max_reruns=20, stuck_after=20.0, **options)
    managers = {"distribute": AggregationTree(reduce(add, "Z"), most_inputs=2)} if seed % 4 else {}
    graph = word_count(dryad, 6, 4)
    return dryad.submit(graph, managers=managers, max_reruns=20, seconds_per_vertex=0.7)


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_any_schedule_gives_the_output_of_the_oracle(seed: int) -> None:
    with Cluster(machines=5, engine="sim", seed=seed) as cluster:
        job = disturbed(cluster, seed)
        job.result(timeout=300.0)
        same_as_oracle(job)


def digest(seed: int = 4) -> str:
    digests = []
    for each in (seed, seed + 1):
        with Cluster(machines=5, engine="sim", seed=each, trace="messages") as cluster:
            disturbed(cluster, each).result()
            digests.append(str(cluster.trace.digest()))
    return " ".join(digests)


def test_twice_in_one_process_and_whatever_the_hash_seed() -> None:
    assert digest() == digest() != digest(6)
    assert digest_elsewhere(__name__) == digest()


CAUGHT_BY = {
    "both duplicates count": "OneVersion",
    "started before its input": "InputsReady",
    "a component counts in part": "FailTogether",
    "renamed before it is chosen": "OneName",
    "a version number used twice": "Versions",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_planted_mistakes_are_caught(mistake: str) -> None:
    with Cluster(machines=5, engine="sim") as cluster:
        dryad = lab(cluster, roles=MISTAKES[mistake])
        if "part" in mistake:
            job = dryad.submit(sorted_by_pipes(dryad), channels=PIPES, seconds_per_item=0.01)
            cluster.run_until(
                lambda: any(r.result == "ok" for r in job.view().records.values()), what="a part is done"
            )
            cluster.kill(
                next(
                    r.machine
                    for r in job.view().records.values()
                    if r.result == "running" and r.machine != "m1"
                )
            )
        else:
            cluster.slow("m2", 8)
            job = dryad.submit(word_count(dryad, 8, 3), seconds_per_vertex=1.0)
            cluster.run(3.5)
            if "version" in mistake:
                cluster.kill("m3")
        cluster.run(12.0)
        assert CAUGHT_BY[mistake] in {violation.what for violation in job.check().violations}, job.check()


@pytest.mark.parametrize("when", [0.005, 0.02, 0.1])
def test_a_file_system_that_stays_dead_is_told(when: float) -> None:
    """Its master is on m1, the job manager on m2."""
    with Cluster(machines=4, engine="sim", seed=1) as cluster:
        dryad = lab(cluster)
        job = dryad.submit(word_count(dryad), machine="m2", seconds_per_vertex=0.03)
        cluster.run(when)
        cluster.kill("m1")
        with pytest.raises(JobFailed, match="files-master"):
            job.result(timeout=600)
