"""Shared by the tests of GraphLab: a small graph, a lab, and what every run is judged by."""

from __future__ import annotations

from typing import Any

import numpy as np

from labkit import Cluster
from labkit.parts.graphs import generate
from labkit.parts.graphs.csr import Graph
from labkit.parts.graphs.pagerank import GRAPHLAB
from labkit.parts.store import FileSystem
from labkit.systems.graphlab import GraphLab, Run, monochrome

#: Undirected, with a hub; every test takes it unless it says otherwise.
GRAPH = generate.barabasi_albert(24, 2, seed=1)
TOLERANCE = 1e-3


def lab(cluster: Cluster, **options: Any) -> GraphLab:
    """GraphLab on a cluster; the file system's master and the monitor are on the first machine."""
    return GraphLab(cluster, FileSystem(cluster, replicas=min(3, len(cluster.machines))), **options)


def ranks(graph: Graph = GRAPH) -> Any:
    """PageRank by power iteration, variant GRAPHLAB."""
    links = {v: graph.out(v).tolist() for v in range(graph.n)}
    found = GRAPHLAB.solve(links, 200)
    return np.array([found[v] for v in range(graph.n)])


def close(run: Run) -> bool:
    """Whether ranks are those of the power iteration, as far as the tolerance of changes lets one ask."""
    error = np.abs(np.array(run.values()) - ranks(run.data.graph)).max() * run.data.graph.n
    return bool(error < 30 * TOLERANCE)


def judged(run: Run) -> Run:
    """No rule was broken."""
    report = run.check()
    assert report.ok, f"{report}\nseed={run.cluster.seed}\n{run.cluster.schedule}"
    return run


def proper(run: Run) -> bool:
    """Whether no edge has the same colour at both ends."""
    return not monochrome(run.data.graph, run.values())
