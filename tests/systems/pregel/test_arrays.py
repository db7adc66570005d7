"""Programs over whole partitions as arrays, and the algorithms beside their oracles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pytest

from labkit.parts.graphs import generate, oracles
from labkit.parts.graphs.csr import Graph
from labkit.parts.graphs.pagerank import PREGEL
from labkit.runtime.errors import LabError
from labkit.systems.pregel import Aggregator, Combiner, JobFailed, Max, Sum, Vertex, run_locally
from labkit.systems.pregel import graphalytics as ldbc
from labkit.systems.pregel.arrays import Layout, Plan
from labkit.systems.pregel.partition import hash_partition, partitions_of
from labkit.systems.pregel.programs import Components, PageRank, SemiClustering, ShortestPaths

from .conftest import pregel, right, sim, weighted


def test_a_machine_dies_under_arrays() -> None:
    graph = generate.rmat(9, 3000, seed=2)
    with sim() as cluster:
        P = pregel(cluster)
        job = P.start(
            PageRank.having(iterations=40), graph, "r", arrays=True, recovery="confined", checkpoint_every=5,
            seconds_per_vertex=1e-3, partitions=5,
        )  # fmt: skip
        cluster.run_until(lambda: job.view().current >= 7, what="superstep 7")
        cluster.kill("m2")
        wanted = oracles.pagerank(graph, 40, PREGEL)
        np.testing.assert_allclose(job.array(), wanted, rtol=1e-9)
        assert job.check().ok, job.check()
        assert job.view().recoveries[0].kind == "confined"


@pytest.mark.parametrize("directed", [True, False])
def test_the_six_of_graphalytics(directed: bool) -> None:
    """By object and, where there is one, over arrays."""
    graph = weighted(directed=directed)
    both = ldbc.both_ways(graph) if directed else graph
    cases: list[tuple[Any, Any, Any]] = [
        (ldbc.BFS.having(source=3), oracles.bfs(graph, 3), graph),
        (ldbc.PageRank, oracles.pagerank(graph, 10), graph),
        (ldbc.WCC.having(directed=directed), oracles.wcc(graph), None),
        (ldbc.CDLP.having(directed=directed), oracles.cdlp(graph, 10), both),
        (ldbc.LCC.having(directed=directed), oracles.lcc(graph), None),
        (ldbc.SSSP.having(source=3), oracles.sssp(graph, 3), graph),
    ]
    with sim(3) as cluster:
        P = pregel(cluster)
        for program, wanted, batch in cases:
            for arrays in (False, True) if batch is not None else (False,):
                name = f"{program.__name__}-{arrays}"
                job = P.run(program, batch if arrays else graph, name, arrays=arrays, partitions=5)
                found = job.output()
                assert list(found.index) == list(range(graph.n))
                np.testing.assert_allclose(np.asarray(found, float), np.asarray(wanted, float), err_msg=name)
                assert job.check().ok, name
        job = P.run(Components, both, "components", arrays=True)
        np.testing.assert_array_equal(job.array(), oracles.wcc(graph))


@pytest.mark.parametrize("seed", range(4))
def test_batches_do_what_compute_does(seed: int) -> None:
    """The same values, messages and active vertices in every superstep."""
    graph = weighted(n=70, seed=seed)
    for program in (
        PageRank.having(iterations=5),
        ShortestPaths.having(source=seed),
        ldbc.PageRank,
        ldbc.BFS,
    ):
        for combine in (True, False):
            found = []
            for arrays in (False, True):
                with sim(3) as cluster:
                    job = pregel(cluster).run(
                        program, graph, "r", arrays=arrays, partitions=5, combine=combine
                    )
                    table = job.statistics().table[["computed", "active", "messages", "travelled"]]
                    found.append((job.output(), table))
                    assert job.check().ok
            np.testing.assert_allclose(np.asarray(found[0][0], float), np.asarray(found[1][0], float))
            assert found[0][1].equals(found[1][1]), f"{program.__name__}\n{found[0][1]}\n{found[1][1]}"


def test_a_batch_program_sees_what_the_paper_says() -> None:
    class Sees(Vertex):
        combiner: ClassVar[Any] = Max()
        aggregators: ClassVar[dict[str, Aggregator]] = {"sum": Sum()}
        initial: ClassVar[Any] = -1.0

        def compute_batch(self, values: Any, messages: Any, out_edges: Any) -> None:
            if self.superstep == 0:
                self.aggregate("sum", len(values))
                self.send_message_to(np.zeros(len(values), int), self.vertex_id)
                self.vote_to_halt(self.vertex_id != 1)
            elif self.superstep == 1:
                assert self.aggregated("sum") == self.num_vertices == 10
                assert set(self.vertex_id[self.active]) <= {0, 1}
                values[:] = np.where(messages.arrived, messages.combined, -2.0)
                self.vote_to_halt()

    graph = Graph.from_arrays([], [], 10, ids=list("abcdefghij"))
    with sim(3) as cluster:
        job = pregel(cluster).run(Sees, graph, "out", partitions=4)
        assert dict(job.output()) == {**dict.fromkeys("cdefghij", -1.0), "a": 9.0, "b": -2.0}
        assert job.view().supersteps[1].computed == 2


def test_what_is_wrong_over_arrays_is_said() -> None:
    class Breaks(Vertex):
        combiner: ClassVar[Any] = Sum()

        def compute_batch(self, values: Any, messages: Any, out_edges: Any) -> None:
            if self.superstep == 1:
                self.send_message_to([99], 1.0)

    class Changes(Vertex):
        def compute_batch(self, values: Any, messages: Any, out_edges: Any) -> None:
            self.request_add_vertex(3)

    class Returns(Vertex):
        def compute_batch(self, values: Any, messages: Any, out_edges: Any) -> Any:
            return values + 1

    class Pairs(Returns):
        combiner: ClassVar[Any] = Combiner()

    graph = Graph.of([(0, 1), (1, 2)])
    with sim(2) as cluster:
        P = pregel(cluster)
        with pytest.raises(
            JobFailed, match=r"compute_batch of partition \d in superstep 1: ValueError: .* no vertex 99"
        ):
            P.run(Breaks, graph, "a")
        with pytest.raises(JobFailed, match="over arrays the graph does not change; write compute"):
            P.run(Changes, graph, "b")
        with pytest.raises(JobFailed, match="compute_batch returns something"):
            P.run(Returns, graph, "c")
        with pytest.raises(JobFailed, match="Combiner has no ufunc: over arrays a combiner needs one"):
            P.run(Pairs, graph, "d")
        with pytest.raises(LabError, match=r"array\(\) is for jobs over arrays"):
            P.run(PageRank, graph, "e").array()
        empty = P.run(PageRank, Graph.of([]), "f", arrays=True)
        assert len(empty.array()) == 0
        chosen = P.run(PageRank, graph, "g", arrays=True, partitioner=lambda v, N: v % N, partitions=2)
        np.testing.assert_allclose(chosen.array(), oracles.pagerank(graph, 30, PREGEL))


def test_a_plan_has_the_edges_by_partition_and_vertex() -> None:
    layout = Layout(100, 4, hash_partition)
    assert partitions_of(100, 4).tolist() == [hash_partition(v, 4) for v in range(100)]
    rng = np.random.default_rng(1)
    sources, targets = np.sort(rng.integers(0, 25, 300)), rng.integers(0, 100, 300)
    plan = Plan.of(sources, targets, layout)
    assert np.array_equal(plan.order[plan.rank], np.arange(300))
    for partition in range(4):
        for slot in range(plan.bounds[partition], plan.bounds[partition + 1]):
            vertex = layout.members[partition][plan.dests[slot]]
            edges = plan.order[plan.slots == slot]
            assert set(targets[edges]) == {vertex}
    assert len(np.unique(targets)) == len(plan.dests)


def test_semi_clusters_of_two_cliques() -> None:
    """Two cliques of four with one edge between them: the best cluster of each vertex is its clique."""
    cliques = [range(4), range(4, 8)]
    edges = [(a, b) for clique in cliques for a in clique for b in clique if a < b] + [(3, 4)]
    graph = Graph.of(edges, directed=False)
    with sim(3) as cluster:
        job = pregel(cluster).run(SemiClustering, graph, "out", partitions=3)
        right(job, SemiClustering, graph)
        for vertex, value in job.output().items():
            score, members = value[0]
            if vertex in (3, 4):
                continue
            assert set(members) <= set(cliques[vertex // 4])
            assert score == 1.0
        inside = (6 - 0.2 * 1) / 6
        everything = {members: score for value in job.output() for score, members in value}
        assert everything.get((0, 1, 2, 3), inside) == pytest.approx(inside)


def test_components_of_names() -> None:
    graph = Graph.of([("b", "a"), ("c", "b"), ("y", "z")], directed=False)
    with sim(2) as cluster:
        job = pregel(cluster).run(NamedComponents, graph, "out")
        assert dict(job.output()) == {"a": "a", "b": "a", "c": "a", "y": "y", "z": "y"}
        assert dict(job.output()) == run_locally(NamedComponents, graph)


class NamedComponents(Components):
    """Of text: before superstep 0 a vertex has the largest text there is."""

    initial = "\U0010ffff"

    def compute(self, messages: Sequence[Any]) -> None:
        super().compute(messages)
