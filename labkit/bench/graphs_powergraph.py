"""PageRank in 20 iterations and components on an RMAT graph: PowerGraph over arrays on two machines of Ray,
beside NumPy in one thread; and vertex by vertex in the simulator.

What is compared are the iterations, with the graph in memory on both sides, and the values. How long it takes
to load the graph stands beside it, without a peer.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from labkit.bench import Row, bench, row
from labkit.parts.graphs import Graph, generate
from labkit.parts.graphs.pagerank import POWERGRAPH
from labkit.parts.store import FileSystem
from labkit.runtime import Cluster
from labkit.systems.powergraph import Components, PageRank, PowerGraph

SCALE, EDGES, ITERATIONS, ROUNDS = 20, 8_000_000, 20, 3
#: The graph that is computed vertex by vertex.
VERTICES, DEGREE = 20_000, 8


def ranks_in_numpy(graph: Graph) -> tuple[np.ndarray, float]:
    """The ranks, and the seconds of the iterations."""
    n, sources, targets = graph.n, graph.sources().astype(np.int64), graph.targets.astype(np.int64)
    degrees, ranks = np.maximum(graph.out_degrees, 1), np.ones(n)
    began = time.perf_counter()
    for _ in range(ITERATIONS):
        received = np.bincount(targets, weights=(ranks / degrees)[sources], minlength=n)
        ranks = POWERGRAPH.reset(n) + POWERGRAPH.damping * received
    return ranks, time.perf_counter() - began


def components_in_numpy(graph: Graph) -> tuple[np.ndarray, float]:
    """The least number in each one's component, and the seconds: all edges, until nothing changes."""
    sources, targets = graph.sources().astype(np.int64), graph.targets.astype(np.int64)
    least, before = np.arange(graph.n), None
    began = time.perf_counter()
    while before is None or not np.array_equal(least, before):
        before = least.copy()
        np.minimum.at(least, targets, before[sources])
        np.minimum.at(least, sources, before[targets])
    return least, time.perf_counter() - began


def seconds(pg: PowerGraph) -> float:
    """From the first superstep to the end of the last."""
    pg.check()  # the machines have told all
    began = [event.time for event in pg.cluster.trace.filter("superstep_began")]
    ended = [event.time for event in pg.cluster.trace.filter("superstep_ended")]
    return max(ended) - min(time for time in began if time >= pg.view().began)


def on_machines(graph: Graph, program: Any) -> tuple[np.ndarray, float, float]:
    """The values, the seconds of the supersteps, and those of loading, which the client waits for."""
    with Cluster(2, engine="ray", name="bench-powergraph", address="local") as cluster:
        fs = FileSystem(cluster, replicas=1, block_size=8_000_000)
        began = time.perf_counter()
        pg = PowerGraph(cluster, graph, program, fs, cut="random", batch=True, log=False)
        loading = time.perf_counter() - began
        pg.run()
        return pg.array(), seconds(pg), loading


def vertex_by_vertex() -> Row:
    """Calls of gather, apply and scatter in the simulator, in a second of this process."""
    graph = generate.rmat(14, VERTICES * DEGREE, seed=1)
    with Cluster(2, engine="sim") as cluster:
        pg = PowerGraph(cluster, graph, PageRank(iterations=5), batch=False, log=False)
        began = time.perf_counter()
        pg.run()
        spent = time.perf_counter() - began
        totals = pg.view().totals
        calls = totals.gathers + totals.applies + totals.scatters
    return row(f"vertex by vertex, simulator, {graph.m:,} edges", "calls/s", calls / spent)


@bench("graphs-powergraph")
def graphs_powergraph() -> Iterator[Row]:
    """PageRank and components on two machines beside one thread of NumPy; calls a second vertex by vertex."""
    graph = generate.rmat(SCALE, EDGES, seed=1)
    size = f"RMAT, {graph.n:,} vertices, {graph.m:,} edges"
    cases: list[tuple[str, Any, Any, int, float | None]] = [
        (f"PageRank{ITERATIONS}", PageRank(iterations=ITERATIONS), ranks_in_numpy, ROUNDS, 1.0),
        ("components", Components(), components_in_numpy, 1, None),
    ]
    loading = 0.0
    for name, program, in_numpy, rounds, must in cases:
        ours, theirs = [], []
        for _ in range(rounds):
            wanted, spent = in_numpy(graph)
            theirs.append(spent)
            values, spent, loading = on_machines(graph, program)
            ours.append(spent)
            if not np.allclose(values, wanted, rtol=1e-9):
                raise AssertionError(f"{name}: the values are not NumPy's")
        yield row(
            f"{name}, {size}", "s", min(ours), min(theirs), "NumPy, one thread", must, less_is_better=True
        )
    yield row(f"loading it, random cut, {size}", "s", loading)
    yield vertex_by_vertex()
