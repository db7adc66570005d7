"""PageRank in 20 iterations on an RMAT graph: Pregel over arrays on two machines of Ray, beside NumPy in one
thread, which adds contributions with ``np.bincount``; and vertex by vertex in the simulator.

What is compared are the iterations, with the graph in memory on both sides, and the ranks. A whole run, with
the graph put into the file system, read, sent to its partitions and sorted there, stands beside NetworkX's
``pagerank`` (SciPy), on a graph that NetworkX has room for.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from labkit.bench import Row, bench, row
from labkit.parts.graphs import generate
from labkit.parts.graphs.csr import Graph
from labkit.parts.graphs.pagerank import PREGEL
from labkit.parts.store import FileSystem
from labkit.runtime import Cluster
from labkit.systems.pregel import Job, Pregel
from labkit.systems.pregel.programs import PageRank

SCALE, EDGES, ITERATIONS, ROUNDS = 20, 8_000_000, 20, 3
#: The graph that NetworkX, with a dictionary for each edge, has room for.
SMALL_SCALE, SMALL_EDGES = 17, 1_000_000
#: The graph of ``compute``, vertex by vertex.
VERTICES, DEGREE, STEPS, MUST = 50_000, 8, 10, 300_000
PROGRAM = PageRank.having(iterations=ITERATIONS)


def in_numpy(graph: Graph, iterations: int = ITERATIONS) -> tuple[np.ndarray, float]:
    """The ranks, and the seconds of the iterations."""
    n, sources, targets = graph.n, graph.sources(), graph.targets
    degrees = np.maximum(graph.out_degrees, 1)
    ranks = np.full(n, PREGEL.initial(n))
    began = time.perf_counter()
    for _ in range(iterations):
        received = np.bincount(targets, weights=(ranks / degrees)[sources], minlength=n)
        ranks = PREGEL.reset(n) + PREGEL.damping * received
    return ranks, time.perf_counter() - began


def iterations_of(job: Job) -> float:
    """Seconds from the begin of superstep 0 to the end of the last one."""
    job.check()  # the machines have told all
    steps = job.view().supersteps
    last = steps[max(steps)].end
    assert last is not None
    return last - steps[0].began


def beside_networkx(pregel: Pregel) -> Row:
    """The whole run of both, on a graph in arrays and in dictionaries."""
    import networkx as nx

    graph = generate.rmat(SMALL_SCALE, SMALL_EDGES, seed=1)
    began = time.perf_counter()
    pregel.run(PROGRAM, graph, "small", arrays=True, partitions=2).array()
    ours = time.perf_counter() - began
    its = graph.to_networkx()
    began = time.perf_counter()
    # As many iterations: with no tolerance it goes on to the last one, and then complains.
    with contextlib.suppress(nx.PowerIterationFailedConvergence):
        nx.pagerank(its, alpha=PREGEL.damping, max_iter=ITERATIONS, tol=0.0)
    theirs = time.perf_counter() - began
    case = f"the same, {graph.n:,} vertices, {graph.m:,} edges, whole run"
    return row(case, "s", ours, theirs, "NetworkX (SciPy)", 1.0, less_is_better=True)


@bench("graphs-pregel")
def graphs_pregel() -> Iterator[Row]:
    """PageRank, 20 iterations, on two machines beside one thread of NumPy; messages a second of compute."""
    graph = generate.rmat(SCALE, EDGES, seed=1)
    case = f"PageRank{ITERATIONS}, RMAT, {graph.n:,} vertices, {graph.m:,} edges"
    ours, theirs = [], []
    with Cluster(2, engine="ray", name="bench-pregel", address="local") as cluster:
        pregel = Pregel(cluster, FileSystem(cluster, replicas=1, block_size=8_000_000))
        for number in range(ROUNDS):
            wanted, seconds = in_numpy(graph)
            theirs.append(seconds)
            job = pregel.run(PROGRAM, graph, f"ranks-{number}", arrays=True, partitions=2)
            ours.append(iterations_of(job))
            if not np.allclose(job.array(), wanted, rtol=1e-9):
                raise AssertionError("the ranks are not NumPy's")
        yield row(case, "s", min(ours), min(theirs), "NumPy, one thread", 1.0, less_is_better=True)
        yield beside_networkx(pregel)
    yield from by_vertex()


def by_vertex() -> Iterator[Row]:
    """Messages a second of ``compute``, in the simulator and on Ray."""
    random = np.random.default_rng(1)
    sources = np.repeat(np.arange(VERTICES), DEGREE)
    graph = Graph.from_arrays(sources, random.integers(0, VERTICES, len(sources)), VERTICES)
    program: Any = PageRank.having(iterations=STEPS, combiner=None)
    for engine, must in (("sim", 1.0), ("ray", None)):
        with Cluster(2, engine=engine, name=f"bench-pregel-{engine}") as cluster:
            fs = FileSystem(cluster, replicas=1, block_size=8_000_000)
            job = Pregel(cluster, fs).start(program, graph, "ranks", partitions=2)
            cluster.run_until(lambda job=job: job.view().current >= 0, what="superstep 0")
            began = time.perf_counter()
            job.result()
            rate = graph.m * STEPS / (time.perf_counter() - began)
        case = f"compute, {VERTICES:,} vertices, {engine}"
        yield row(case, "messages/s", rate, MUST, "to be reached", must)
