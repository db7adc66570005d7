"""Shared by the tests of PowerGraph: graphs, and the answers of a single thread."""

from __future__ import annotations

from typing import Any

import numpy as np

from labkit.parts.graphs import Graph, oracles
from labkit.parts.graphs.generate import barabasi_albert
from labkit.parts.graphs.pagerank import POWERGRAPH
from labkit.systems.powergraph import SSSP, Colouring, Components, LabelPropagation, PageRank, PowerGraph
from labkit.systems.powergraph.invariants import conflicts

ENGINES = ("synchronous", "asynchronous", "serializable")


def small(n: int = 40, seed: int = 1) -> Graph:
    """Undirected; a few vertices have many neighbours. One vertex has none."""
    graph = barabasi_albert(n - 1, 3, seed=seed)
    return Graph.from_arrays(graph.sources(), graph.targets, n=n)


def right(pg: PowerGraph) -> None:
    """Its values are those of a single thread, and no rule was broken."""
    graph, program, values = pg.graph, pg.program, pg.array()
    story = f"seed={pg.cluster.seed}\n{pg.cluster.schedule}"
    if isinstance(program, Colouring):
        assert conflicts(graph, dict(enumerate(values.tolist()))) == [], story
    elif isinstance(program, PageRank):
        wanted = oracles.pagerank(graph, program.iterations or 100, POWERGRAPH)
        assert np.allclose(values, wanted, atol=1e-9 if program.iterations else 0.05), story
    else:
        assert values.tolist() == list(answer(graph, program)), story
    report = pg.check()
    assert report.ok, f"{report}\n{story}"


def answer(graph: Graph, program: Any) -> Any:
    """By a single thread."""
    if isinstance(program, SSSP):
        return oracles.sssp(graph, program.source)
    if isinstance(program, Components):
        return oracles.wcc(graph)
    assert isinstance(program, LabelPropagation)
    return oracles.cdlp(graph, program.iterations)
