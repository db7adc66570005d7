"""Algorithms equal the oracles and NetworkX, for every cut."""

from __future__ import annotations

import networkx as nx
import pytest

from labkit.parts.graphs import oracles
from labkit.parts.graphs.generate import chain, grid, star
from labkit.parts.graphs.pagerank import PICCOLO, POWERGRAPH, VARIANTS
from labkit.systems.graphx import Graph, arrays, graphalytics
from labkit.systems.spark import SingleContext

from .graphs import CUTS, SIX, column, loaded, numbers, same_as_oracle


@pytest.mark.parametrize("directed", [True, False], ids=["directed", "undirected"])
@pytest.mark.parametrize("name", SIX)
def test_the_six_of_graphalytics_for_every_cut(sc: SingleContext, name: str, directed: bool) -> None:
    first = list(SIX).index(name) + directed
    for seed, cut in [(k % len(CUTS), CUTS[k % len(CUTS)]) for k in (first, first + 2)]:
        csr = numbers(30, 90, seed, directed)
        same_as_oracle(name, loaded(sc, csr, cut, 3 + seed), csr)


@pytest.mark.parametrize("csr", [chain(7), star(12), grid(3, 3)], ids=["chain", "star", "grid"])
def test_the_six_on_graphs_with_a_shape(sc: SingleContext, csr: object) -> None:
    for name in SIX:
        same_as_oracle(name, loaded(sc, csr, "EdgePartition2D"), csr)  # type: ignore[arg-type]


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_every_definition_of_pagerank(sc: SingleContext, variant: object) -> None:
    csr = numbers(25, 70, 3)
    ranks = column(loaded(sc, csr).staticPageRank(5, variant=variant))  # type: ignore[arg-type]
    assert ranks == pytest.approx(oracles.pagerank(csr, 5, variant).tolist())  # type: ignore[arg-type]
    assert PICCOLO in VARIANTS


def test_pagerank_until_nothing_changes_much_is_powergraphs(sc: SingleContext) -> None:
    csr = numbers(12, 30, 1)
    ranks = column(loaded(sc, csr, "EdgePartition1D", 2).pageRank(0.001))
    # Each round may leave out changes of tol, so that it adds up to more than tol.
    assert ranks == pytest.approx(oracles.pagerank(csr, 100, POWERGRAPH).tolist(), abs=0.02)


def test_functions_of_arrays_are_spared_partitions_with_nothing_in_them(sc: SingleContext) -> None:
    for edges, ranks in (([(5, 6)], [0.15, 0.2775]), ([], [])):
        graph = Graph.fromEdges(sc.parallelize(edges), None)
        assert column(graph.pageRank(0.01)) == pytest.approx(ranks)
        pairs = graph.mapVertices(lambda vertex, _: (float(vertex), 1.0))
        firsts = pairs.mapVertices(arrays(lambda ids, attrs: attrs[:, 0]))
        assert column(firsts) == [float(vertex) for edge in edges for vertex in edge]
        sums = pairs.mapTriplets(arrays(lambda t: t.srcAttr[:, 0] + t.dstAttr[:, 0]))
        assert [edge.attr for edge in sums.edges.collect()] == [11.0] * len(edges)
        assert pairs.subgraph(arrays(lambda t: t.srcAttr[:, 0] > 0)).numEdges == len(edges)
        part = pairs.subgraph(vpred=arrays(lambda ids, attrs: attrs[:, 0] > 5))
        assert part.vertices.keys().collect() == [6][: len(edges)]
        joined = pairs.joinVertices(part.vertices, arrays(lambda ids, a, b: a[:, 0] + b[:, 1]))
        assert column(joined) == [(5.0, 1.0), 7.0][: 2 * len(edges)]


@pytest.mark.parametrize("cut", CUTS[:4:3])
def test_components_triangles_and_paths_are_networkxs(sc: SingleContext, cut: str) -> None:
    csr = numbers(20, 30, 7)
    graph, theirs = loaded(sc, csr, cut), nx.DiGraph()
    theirs.add_nodes_from(range(csr.n))
    theirs.add_edges_from(zip(csr.sources().tolist(), csr.targets.tolist(), strict=True))
    components = {v: min(found) for found in nx.strongly_connected_components(theirs) for v in found}
    assert column(graph.stronglyConnectedComponents()) == [components[v] for v in range(csr.n)]
    simple = nx.Graph(theirs)
    simple.remove_edges_from(list(nx.selfloop_edges(simple)))
    assert column(graph.triangleCount()) == [count for _, count in sorted(nx.triangles(simple).items())]
    back = theirs.reverse()
    hops = {mark: nx.single_source_shortest_path_length(back, mark) for mark in (0, 3)}
    for vertex, found in enumerate(column(graph.shortestPaths([0, 3]))):
        assert found == {mark: hops[mark][vertex] for mark in (0, 3) if vertex in hops[mark]}


def test_labels_of_two_cliques(sc: SingleContext) -> None:
    csr = numbers(20, 60, 11)
    assert column(loaded(sc, csr, parts=2).labelPropagation(4)) == oracles.cdlp(csr, 4).tolist()
    two = [(a, b, 1) for k in (0, 4) for a in range(k, k + 4) for b in range(k, a)]
    graph = Graph.fromEdges(sc.parallelize([*two, (3, 4, 1)], 2), None)
    assert column(graph.labelPropagation(4)) == [0] * 4 + [4] * 4


def test_iterations_can_be_limited(sc: SingleContext) -> None:
    graph = loaded(sc, chain(10), parts=2)
    assert column(graph.connectedComponents(3)) == [0, 0, 0, 0, 1, 2, 3, 4, 5, 6]
    assert column(graph.connectedComponents(0)) == list(range(10))
    assert column(graph.stronglyConnectedComponents(1)) == list(range(10))
    with pytest.raises(ValueError, match="maxIterations=-1: a whole number of iterations"):
        graph.connectedComponents(-1)
    with pytest.raises(ValueError, match=r"resetProb=1\.5: the probability of beginning anew"):
        graph.staticPageRank(3, resetProb=1.5)


def test_ways_need_numbers(sc: SingleContext) -> None:
    with pytest.raises(Exception, match=r"is None: .* graph.mapEdges\(lambda edge: 1.0\)"):
        graphalytics.sssp(Graph.fromEdges(sc.parallelize([(1, 2)]), 0), 1)
