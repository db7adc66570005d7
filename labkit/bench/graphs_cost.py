"""The COST of Pregel and PowerGraph over arrays: PageRank20 of the COST paper on one and two machines,
beside one thread in NumPy, and compiled by numba (the fair one, where ``labkit[cost]`` is installed).

As in the other benches of graphs the iterations are measured, with the graph in memory on both sides.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from labkit.bench import Row, bench, row
from labkit.bench.graphs_powergraph import seconds as supersteps_of
from labkit.bench.graphs_pregel import EDGES, SCALE, iterations_of
from labkit.cost import CostReport, baseline
from labkit.cost.report import hardware, same_result
from labkit.parts.graphs import Graph, generate
from labkit.parts.store import FileSystem
from labkit.runtime import Cluster
from labkit.systems.powergraph import PowerGraph
from labkit.systems.powergraph.programs import PageRank, Rank
from labkit.systems.pregel import Pregel, Sum, Vertex

CORES = (1, 2)
ITERATIONS, ROUNDS = 20, 2


class FromZero(Vertex):
    """PageRank by the COST paper's Figure 2, whose ranks start at 0, as a vertex program over arrays."""

    combiner = Sum()
    initial = 0.0

    def compute_batch(self, values: Any, messages: Any, out_edges: Any) -> None:
        """A superstep of a partition."""
        if self.superstep:
            values[:] = 0.15 + messages.combined
        if self.superstep < ITERATIONS:
            out_edges.send(0.85 * values / out_edges.degrees.clip(1))
        else:
            self.vote_to_halt()


class GatheredFromZero(PageRank):
    """The same as gather, apply and scatter."""

    def initial_batch(self, ids: Any, in_degree: Any, out_degree: Any, vertices: int) -> Rank:
        """All ranks 0."""
        return super().initial_batch(ids, in_degree, out_degree, vertices)._replace(rank=np.zeros(len(ids)))


def pregel(graph: Graph, cores: int) -> tuple[Any, list[float]]:
    """The ranks, and the seconds of each round."""
    with Cluster(cores, engine="ray", name=f"cost-pregel-{cores}", address="local") as cluster:
        system = Pregel(cluster, FileSystem(cluster, replicas=1, block_size=8_000_000))
        jobs = [
            system.run(FromZero, graph, f"ranks-{number}", arrays=True, partitions=cores)
            for number in range(ROUNDS)
        ]
        return jobs[-1].array(), [iterations_of(job) for job in jobs]


def powergraph(graph: Graph, cores: int) -> tuple[Any, list[float]]:
    """The same."""
    found = []
    for _ in range(ROUNDS):
        with Cluster(cores, engine="ray", name=f"cost-powergraph-{cores}", address="local") as cluster:
            fs = FileSystem(cluster, replicas=1, block_size=8_000_000)
            program = GatheredFromZero(iterations=ITERATIONS)
            pg = PowerGraph(cluster, graph, program, fs, cut="random", batch=True, log=False).run()
            values = pg.array()
            found.append(supersteps_of(pg))
    return values, found


SYSTEMS: dict[str, Callable[[Graph, int], tuple[Any, list[float]]]] = {
    "Pregel": pregel,
    "PowerGraph": powergraph,
}


@bench("graphs-cost")
def graphs_cost() -> Iterator[Row]:
    """The COST of Pregel and PowerGraph: seconds on one and two machines beside one thread, NumPy and
    numba.
    """
    graph = generate.rmat(SCALE, EDGES, seed=1)
    kinds = ["numpy"] + ["numba"] * (importlib.util.find_spec("numba") is not None)
    alone: dict[str, list[float]] = {}
    expected: Any = None
    for kind in kinds:
        one_thread = baseline("pagerank20", kind)
        one_thread.warm()
        for _ in range(ROUNDS):
            began = time.perf_counter()
            expected = one_thread(graph)
            alone.setdefault(kind, []).append(time.perf_counter() - began)
    for system, run in SYSTEMS.items():
        measured = {}
        for cores in CORES:
            values, measured[cores] = run(graph, cores)
            same_result(values, expected, f"{system} on {cores} machines")
        for kind in kinds:
            who = str(baseline("pagerank20", kind))
            report = CostReport(system, who, hardware(), measured, alone[kind])
            best = min(measured[CORES[-1]])
            case = f"{system}, {CORES[-1]} machines; COST {report.in_words().partition(':')[0]}"
            yield row(case, "s", best, min(alone[kind]), kind, less_is_better=True)
