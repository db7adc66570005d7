"""Ctrl-C while a job is waited for: it ends the waiting; what becomes of the job, each system says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from labkit import Cluster, LabError
from labkit.parts.graphs import generate
from labkit.parts.jobs import Held
from labkit.parts.store import FileSystem
from labkit.systems.dryad import JobCancelled
from labkit.systems.graphlab import RunCancelled
from labkit.systems.pregel import Pregel
from labkit.systems.pregel.programs import PageRank

from .dryad.conftest import lab as dryad_lab
from .dryad.conftest import word_count
from .graphlab.conftest import lab as graphlab_lab
from .haloop.conftest import ranks
from .mapreduce.conftest import lab as mapreduce_lab

GRAPH = generate.barabasi_albert(60, 2, seed=1)
LINKS = {v: GRAPH.out(v).tolist() for v in range(GRAPH.n)}


def mapreduce(cluster: Cluster) -> Any:
    return mapreduce_lab(cluster).start("corpus/*", "out", M=4, R=2, seconds_per_task=1.0)


def haloop(cluster: Cluster) -> Any:
    return ranks(cluster).start("out")


def dryad(cluster: Cluster) -> Any:
    lab = dryad_lab(cluster)
    return lab.submit(word_count(lab))


def pregel(cluster: Cluster) -> Any:
    return Pregel(cluster, FileSystem(cluster)).start(PageRank.having(iterations=5), LINKS, "out")


def graphlab(cluster: Cluster) -> Any:
    from labkit.systems.graphlab.programs import PageRank as Ranks

    return graphlab_lab(cluster).start(Ranks(), GRAPH)


def powergraph(cluster: Cluster) -> Any:
    from labkit.systems.powergraph import PageRank as Ranks
    from labkit.systems.powergraph import PowerGraph

    return PowerGraph(cluster, GRAPH, Ranks(iterations=5), FileSystem(cluster)).start()


GOES_ON = [mapreduce, haloop, pregel, powergraph]
CANCELS = [dryad, graphlab]


@pytest.fixture
def cluster() -> Any:
    with Cluster(machines=3, engine="sim", seed=1) as made:
        yield made


def press(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next wait is interrupted."""
    engine = cluster._engine
    wait = engine.wait

    def strike(future: Any) -> None:
        monkeypatch.setattr(engine, "wait", wait)
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "wait", strike)


def interrupted(begin: Callable[[Cluster], Any], cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A job that was begun, and whose user has stopped to wait for it."""
    job = begin(cluster)
    press(cluster, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        job.result()
    return job


@pytest.mark.parametrize("begin", GOES_ON)
def test_the_job_goes_on_and_can_be_waited_for_again(
    begin: Callable[[Cluster], Any], cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = interrupted(begin, cluster, monkeypatch)
    assert not job.done
    job.result()
    assert job.done
    assert job.check().ok


@pytest.mark.parametrize("begin", GOES_ON)
def test_after_it_the_job_can_still_be_cancelled(
    begin: Callable[[Cluster], Any], cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = interrupted(begin, cluster, monkeypatch)
    job.cancel()
    with pytest.raises(LabError, match="it was cancelled"):
        job.result()
    assert job.done
    assert job.view().result in ("cancelled", "failed")


@pytest.mark.parametrize("begin", CANCELS)
def test_the_job_is_cancelled(
    begin: Callable[[Cluster], Any], cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = interrupted(begin, cluster, monkeypatch)
    with pytest.raises((JobCancelled, RunCancelled)):
        job.result()
    assert job.view().result == "cancelled"


def run_mapreduce(cluster: Cluster) -> Any:
    return mapreduce_lab(cluster).run("corpus/*", "words", M=4, R=2, seconds_per_task=1.0)


def run_haloop(cluster: Cluster) -> Any:
    return ranks(cluster).run("ranked")


def run_pregel(cluster: Cluster) -> Any:
    return Pregel(cluster, FileSystem(cluster)).run(PageRank.having(iterations=5), LINKS, "paged")


@pytest.mark.parametrize("run", [run_mapreduce, run_haloop, run_pregel])
def test_run_cancels_what_it_began(
    run: Callable[[Cluster], Any], cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = Held._wait

    def waits(job: Held) -> None:
        wait(job)
        monkeypatch.setattr(Held, "_wait", wait)
        press(cluster, monkeypatch)

    monkeypatch.setattr(Held, "_wait", waits)
    with pytest.raises(KeyboardInterrupt):
        run(cluster)
    cluster.run(5.0)
    (over,) = cluster.trace.filter(kind="job_finished")
    assert over.data["result"] == "cancelled"
