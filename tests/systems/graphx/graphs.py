"""Graphs for the tests, and what they are compared with."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from labkit.parts.graphs import csr as arrays
from labkit.parts.graphs import oracles
from labkit.systems.graphx import Graph, GraphLoader, graphalytics

#: Beside the four strategies: the edges as they were given.
CUTS = ["", "RandomVertexCut", "EdgePartition1D", "EdgePartition2D", "CanonicalRandomVertexCut"]


def numbers(n: int, m: int, seed: int = 1, directed: bool = True) -> arrays.Graph:
    """Edges drawn alike, with weights; loops and parallel edges are among them, and vertices without
    edges."""
    draw = np.random.default_rng(seed)
    ends = draw.integers(0, n, (2, m))
    weights = draw.integers(1, 10, m).astype(float)
    return arrays.Graph.from_arrays(*ends, n=n + 2, weights=weights, directed=directed)


def loaded(sc: Any, csr: arrays.Graph, cut: str = "", parts: int = 4) -> Graph:
    """The same as a property graph, cut by a strategy."""
    graph = GraphLoader.fromGraph(sc, csr, parts)
    return graph.partitionBy(cut) if cut else graph


def named(seed: int, vertices: int = 12, edges: int = 25) -> tuple[list[Any], list[Any]]:
    """Vertices with text, some missing and some there twice; ids of 64 bits; edges with numbers."""
    draw = random.Random(seed)
    ids = [draw.choice([k, -k, k << 40, (1 << 63) - 1 - k]) for k in range(vertices)]
    given = [(vertex, f"v{k}") for k, vertex in enumerate(ids) if draw.random() < 0.7]
    given += [(vertex, "again") for vertex, _ in given[:2]]
    return given, [(draw.choice(ids), draw.choice(ids), draw.randrange(9)) for _ in range(edges)]


def by_vertex(graph: Graph) -> dict[int, Any]:
    found = graph.vertices.collect()
    assert len(dict(found)) == len(found), "an id twice"
    return dict(found)


def column(graph: Graph) -> list[Any]:
    """Attributes in the order of the vertices' numbers."""
    return [attr for _, attr in sorted(graph.vertices.collect())]


#: The six of Graphalytics: ours and the oracle's, of a property graph and its original.
SIX = {
    "bfs": (lambda g, csr: graphalytics.bfs(g, 0), lambda csr: oracles.bfs(csr, 0)),
    "pagerank": (lambda g, csr: graphalytics.pagerank(g, 6), lambda csr: oracles.pagerank(csr, 6)),
    "wcc": (lambda g, csr: graphalytics.wcc(g), oracles.wcc),
    "cdlp": (lambda g, csr: graphalytics.cdlp(g, 4, csr.directed), lambda csr: oracles.cdlp(csr, 4)),
    "lcc": (lambda g, csr: graphalytics.lcc(g), oracles.lcc),
    "sssp": (lambda g, csr: graphalytics.sssp(g, 0), lambda csr: oracles.sssp(csr, 0)),
}


def same_as_oracle(name: str, graph: Graph, csr: arrays.Graph) -> None:
    ours, oracle = SIX[name]
    assert column(ours(graph, csr)) == pytest.approx(oracle(csr).tolist(), abs=1e-12), name
