"""Machines die: Spark computes again what is lost. Random schedules, planted mistakes, determinism."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from labkit import Cluster, Kill
from labkit.parts.graphs import oracles
from labkit.parts.graphs.pagerank import POWERGRAPH
from labkit.runtime import when
from labkit.runtime.errors import RunOver
from labkit.systems.graphx import Graph, GraphX
from labkit.systems.graphx.mistakes import MISTAKES, planted
from labkit.systems.spark import JobFailed, SparkContext
from tests.systems.disturbed import digest_elsewhere, disturbances

from .conftest import judge
from .graphs import SIX, column, loaded, numbers, same_as_oracle

#: Random schedules in the property test; more with `pytest --schedules 2000`.
SCHEDULES = int(os.environ.get("LABKIT_SCHEDULES", "60")) // 8


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_any_schedule_gives_what_one_thread_does(seed: int) -> None:
    csr = numbers(25, 60, seed, directed=bool(seed % 2))
    with Cluster(machines=4, engine="sim", seed=seed) as cluster:
        gx = GraphX(SparkContext(cluster, executors=["m2", "m3", "m4"], seconds_per_task=0.02))
        began = cluster.now
        schedule = [(began + at / 4, fault) for at, fault in disturbances(seed, lossy_from=0.2, begin=0.4)]
        cluster.play(schedule)
        graph = loaded(gx.sc, csr, "EdgePartition2D").cache()
        same_as_oracle(list(SIX)[seed % len(SIX)], graph, csr)
        judge(gx)


def kill_in_iteration(gx: GraphX, graph: Graph, iteration: int, machine: str) -> list[Any]:
    """PageRank, with a kill when that iteration begins."""
    gx.cluster.play([(when(kind="iteration_started", iteration=iteration), Kill(machine))])
    return column(graph.staticPageRank(6))


def test_a_kill_in_an_iteration_is_recovered_by_lineage(sim: Any) -> None:
    csr = numbers(40, 200, 3)
    gx = sim(machines=4, spark={"executors": ["m2", "m3", "m4"]})
    ranks = kill_in_iteration(gx, loaded(gx.sc, csr, "EdgePartition2D").cache(), 4, "m3")
    assert ranks == pytest.approx(oracles.pagerank(csr, 6, POWERGRAPH).tolist())
    table = gx.iterations()
    assert len(table) == 6
    assert any(each.again_bytes for each in gx.view().run.iterations), (
        "shuffle files of m3 were written again"
    )
    assert gx.sc.check().run_again


def test_a_checkpoint_cuts_the_lineage(sim: Any, tmp_path: Any) -> None:
    csr = numbers(40, 200, 3)
    gx = sim(machines=4, spark={"executors": ["m2", "m3", "m4"]}, checkpoint_every=2)
    gx.sc.setCheckpointDir(tmp_path)
    ranks = kill_in_iteration(gx, loaded(gx.sc, csr).cache(), 6, "m3")
    assert ranks == pytest.approx(oracles.pagerank(csr, 6, POWERGRAPH).tolist())
    assert len(gx.cluster.trace.filter(kind="checkpointed")) >= 6


def test_with_all_executors_dead_it_says_so() -> None:
    with Cluster(machines=3, engine="sim", seed=1) as cluster:
        gx = GraphX(SparkContext(cluster, executors=["m2", "m3"], no_executor_timeout=2.0))
        graph = loaded(gx.sc, numbers(20, 40, 1)).cache()
        assert graph.numVertices == 22
        cluster.kill("m2")
        cluster.kill("m3")
        with pytest.raises(JobFailed, match="executor"):
            graph.connectedComponents()
        cluster.restart("m2")
        assert column(graph.connectedComponents()) == oracles.wcc(numbers(20, 40, 1)).tolist()


def test_the_same_program_twice_and_reset(sim: Any) -> None:
    gx = sim()
    csr = numbers(20, 40, 1)
    graph = loaded(gx.sc, csr)
    assert (
        column(graph.connectedComponents())
        == column(graph.connectedComponents())
        == oracles.wcc(csr).tolist()
    )
    assert list(gx.view().runs) == ["connectedComponents-1", "connectedComponents-2"]
    assert "GraphX(sc_again)" in gx.code()
    gx.reset()
    assert column(loaded(gx.sc, csr).connectedComponents()) == oracles.wcc(csr).tolist()
    assert list(gx.view().runs) == ["connectedComponents-1"]
    gx.cluster.reset()
    for call in (gx.check, lambda: loaded(gx.sc, csr).numEdges):
        with pytest.raises(RunOver):
            call()
    assert "that is over" in repr(gx)


@pytest.fixture(scope="module")
def small() -> Any:
    return numbers(40, 160, 6)


@pytest.mark.parametrize(
    ("mistake", "rule"),
    [
        ("a changed vertex is not shipped", "ExactJoin"),
        ("a vertex is left out of the routing table", "Routed"),
        ("edges are placed by no rule", "ReplicaBound"),
        ("a subgraph keeps edges with one end", "Subgraph"),
        ("a mask keeps all edges", "MaskOfBoth"),
        ("Pregel goes on without messages", "EndsRight"),
    ],
)
def test_a_planted_mistake_is_caught(mistake: str, rule: str, small: Any) -> None:
    assert len(MISTAKES) == 6
    with Cluster(machines=3, engine="sim", seed=1) as cluster, planted(mistake):
        gx = GraphX(SparkContext(cluster))
        graph = loaded(gx.sc, small, "EdgePartition2D", 16 if rule == "ReplicaBound" else 4)
        if rule != "Routed":
            labels = graph.connectedComponents(None if rule == "EndsRight" else 2)
        part = graph.subgraph(vpred=lambda vertex, attr: vertex % 3 != 0)
        few = graph.subgraph(epred=lambda t: t.attr < 4)
        masked = graph.mask(few) if rule == "MaskOfBoth" else None
        if rule == "ExactJoin":
            labels.triplets.count()
        found = {each.what for each in gx.check().violations}
        assert rule in found
        assert (part, masked, few) is not None


def test_the_right_one_is_not_blamed(small: Any) -> None:
    with Cluster(machines=3, engine="sim", seed=1) as cluster:
        gx = GraphX(SparkContext(cluster))
        graph = loaded(gx.sc, small, "EdgePartition2D", 7)
        labels = graph.connectedComponents()
        labels.triplets.count()
        part = graph.subgraph(lambda t: t.attr < 4, lambda vertex, attr: vertex % 3 != 0)
        kept = [labels, part, graph.mask(part), part.reverse()]
        report = gx.check()
        assert report.ok, str(report)
        assert report.graphs >= len(kept)
        assert str(report).startswith(f"{report.graphs} graphs, 1 loop and")


def digest(seed: int = 5) -> str:
    with Cluster(machines=4, engine="sim", seed=seed, trace="messages") as cluster:
        gx = GraphX(SparkContext(cluster, executors=["m2", "m3", "m4"], seconds_per_task=0.02))
        cluster.play(
            [(cluster.now + at / 4, fault) for at, fault in disturbances(seed, lossy_from=0.2, begin=0.4)]
        )
        graph = loaded(gx.sc, numbers(25, 60, seed), "EdgePartition2D")
        graph.labelPropagation(2).vertices.collect()
        graph.pageRank(0.1).vertices.collect()
        return str(cluster.trace.digest())


def test_the_same_seed_is_the_same_run_in_every_process() -> None:
    assert digest_elsewhere("tests.systems.graphx.test_faults") == digest()


# -- both engines ------------------------------------------------------------------------------------------


@pytest.fixture
def gx(make_cluster: Any) -> Iterator[GraphX]:
    """On each engine in turn, judged at the end."""
    made = GraphX(SparkContext(make_cluster(machines=3, seed=1), cores=2))
    yield made
    judge(made)


def test_a_graph_a_loop_and_a_kill_on_both_engines(gx: GraphX) -> None:
    csr = numbers(60, 240, 2)
    graph = loaded(gx.sc, csr, "EdgePartition2D").cache()
    told = graph.measure()
    assert (told["vertices"], told["edges"]) == (csr.n, csr.m)
    assert told["most"] <= 4
    for name in ("wcc", "pagerank"):
        same_as_oracle(name, graph, csr)
    gx.cluster.kill("m3")
    for name in ("sssp", "lcc"):
        same_as_oracle(name, graph, csr)
    table = gx.iterations("sssp-1")
    assert (table["vertex bytes"] > 0).all()
    assert table["active"].iloc[-1] == 0
    part = graph.subgraph(lambda t: t.attr > 2, lambda vertex, attr: vertex < 50)
    assert part.numEdges == sum(1 for e in graph.edges.collect() if e.attr > 2 and max(e[:2]) < 50)
    assert gx.view().cut.strategy == "EdgePartition2D"
