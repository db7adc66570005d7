"""The reference answers, beside NetworkX's."""

from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest

from labkit.parts.graphs import Graph, generate, oracles
from labkit.parts.graphs.pagerank import GRAPHALYTICS, VARIANTS, PageRankVariant


def some(directed: bool) -> Graph:
    """40 vertices, of which some have no edges; with weights."""
    random = np.random.default_rng(5)
    pairs = {(int(u), int(v)) for u, v in random.integers(0, 36, (70, 2)) if u < v or (directed and u != v)}
    u, v = zip(*sorted(pairs), strict=True)
    return Graph.from_arrays(u, v, 40, random.random(len(u)) + 0.1, directed=directed)


both = pytest.mark.parametrize("directed", [True, False])


@both
def test_breadth_first(directed: bool) -> None:
    graph = some(directed)
    lengths = nx.single_source_shortest_path_length(graph.to_networkx(), 0)
    assert oracles.bfs(graph, 0).tolist() == [lengths.get(v, oracles.FAR) for v in range(graph.n)]


@both
def test_shortest_paths(directed: bool) -> None:
    graph = some(directed)
    lengths = nx.single_source_dijkstra_path_length(graph.to_networkx(), 0)
    assert oracles.sssp(graph, 0).tolist() == pytest.approx(
        [lengths.get(v, math.inf) for v in range(graph.n)]
    )
    with pytest.raises(ValueError, match="-1"):
        oracles.sssp(Graph.of([(0, 1, -1.0)]), 0)


@both
def test_components(directed: bool) -> None:
    graph = some(directed)
    found = oracles.wcc(graph)
    parts = nx.connected_components(graph.to_networkx().to_undirected())
    assert dict(enumerate(found.tolist())) == {v: min(part) for part in parts for v in part}


@both
def test_pagerank_converges_to_networkx(directed: bool) -> None:
    graph = some(directed)
    expected = nx.pagerank(graph.to_networkx(), weight=None, tol=1e-12, max_iter=500)
    assert oracles.pagerank(graph, 100).tolist() == pytest.approx(
        [expected[v] for v in range(graph.n)], abs=1e-9
    )


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_every_definition_over_arrays_and_in_plain_python(variant: PageRankVariant) -> None:
    graph = generate.rmat(5, 120, seed=2)
    pairs = zip(graph.sources().tolist(), graph.targets.tolist(), strict=True)
    plain = variant.solve(variant.links(pairs, range(graph.n)), 7)
    assert oracles.pagerank(graph, 7, variant).tolist() == pytest.approx([plain[v] for v in range(graph.n)])


def test_of_a_graph_without_vertices() -> None:
    nothing = Graph.of([])
    found = (
        oracles.pagerank(nothing, 3),
        oracles.wcc(nothing),
        oracles.cdlp(nothing, 3),
        oracles.lcc(nothing),
    )
    assert [each.shape for each in found] == [(0,)] * 4


def test_pagerank_by_graphalytics_sums_to_one() -> None:
    assert oracles.pagerank(generate.star(6), 30, GRAPHALYTICS).sum() == pytest.approx(1)


@both
def test_clustering(directed: bool) -> None:
    graph = some(directed)
    found = oracles.lcc(graph)
    if not directed:
        expected = nx.clustering(graph.to_networkx())
        assert found.tolist() == pytest.approx([expected[v] for v in range(graph.n)])
    triangle = Graph.of(
        [(0, 1), (1, 2), (2, 0)]
    )  # directed: of the two pairs of 0's neighbours one is joined
    assert oracles.lcc(triangle).tolist() == [0.5, 0.5, 0.5]
    assert oracles.lcc(Graph.of([(0, 1), (1, 0), (0, 0)])).tolist() == [0, 0]


def test_label_propagation_by_hand() -> None:
    """Ties go to the smallest label; a neighbour in both directions counts twice; all change at once."""
    assert oracles.cdlp(Graph.of([(0, 1), (1, 2)], directed=False), 1).tolist() == [1, 0, 1]
    assert oracles.cdlp(Graph.of([(0, 1), (1, 2)], directed=False), 2).tolist() == [0, 1, 0]
    assert oracles.cdlp(Graph.of([(0, 3), (1, 3), (3, 1)]), 1).tolist() == [2, 2, 1]  # 3 is the third name
    assert oracles.cdlp(Graph.of([], [0, 1]), 5).tolist() == [0, 1]
