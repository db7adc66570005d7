"""GraphX's PageRank beside PageRank as joins of RDDs: on the same Spark of ours, and on PySpark's
``local[2]``.

The RDD program is the paper's own (``labkit.systems.spark.programs.page_rank``). Naive: its links have no
partitioner, so that every join sends them again; co-partitioned: they stay where they are (NSDI 2012, 6.1).
All compute the same ranks, on the same power-law graph, warm and in turn. Bytes are those of all shuffle
files."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

from labkit.bench import Row, bench, row
from labkit.bench.spark import PEER, ROUNDS, best_rounds, missing_peer, pyspark_context
from labkit.parts.graphs.generate import rmat
from labkit.parts.graphs.pagerank import POWERGRAPH
from labkit.runtime import Cluster

SCALE, EDGES, ITERATIONS, PARTITIONS = 16, 400_000, 5, 4
CUT = "EdgePartition2D"
CASE = f"PageRank, {1 << SCALE:,}/{EDGES:,}, {ITERATIONS} it."

Program = Callable[[], float]


def rdds(sc: Any, graph: Any, placed: bool) -> Program:
    """PageRank by joins. placed: whether the links are partitioned by their keys."""
    from labkit.systems.spark.programs import page_rank

    indptr, targets = graph.indptr, graph.targets
    cuts = [part * graph.n // PARTITIONS for part in range(PARTITIONS + 1)]

    def rows(part: int) -> Iterator[Any]:
        for v in range(cuts[part], cuts[part + 1]):
            yield v, targets[indptr[v] : indptr[v + 1]].tolist()

    links = sc.parallelize(range(PARTITIONS), PARTITIONS).flatMap(rows)
    links = (links.partitionBy(PARTITIONS) if placed else links).cache()
    n = links.count()
    return lambda: float(page_rank(links, ITERATIONS, POWERGRAPH, n).values().sum())


def graphs(sc: Any, graph: Any) -> Program:
    """The same with GraphX."""
    from labkit.systems.graphx import GraphLoader

    cut = GraphLoader.fromGraph(sc, graph, PARTITIONS).partitionBy(CUT).cache()
    assert cut.numEdges == graph.m
    return lambda: float(cut.staticPageRank(ITERATIONS, variant=POWERGRAPH).vertices.values().sum())


def shipped(cluster: Any, program: Program) -> float:
    """Bytes of shuffle files that an iteration of the program writes."""
    from labkit.parts.checks import whole

    before = len(whole(cluster))
    program()
    stored = [event for event in whole(cluster)[before:] if event.kind == "outputs_stored"]
    return float(sum(event.data["bytes"] for event in stored)) / ITERATIONS


@bench("graphs-graphx")
def graphx() -> Iterator[Row]:
    """PageRank as joins on a graph beside joins of RDDs, in bytes and in time."""
    from labkit.systems.graphx import GraphX
    from labkit.systems.spark import SparkContext

    graph, lacks = rmat(SCALE, EDGES, seed=1), missing_peer()
    with ExitStack() as stack:
        cluster = stack.enter_context(Cluster(2, engine="ray", name="bench-graphx", address="local"))
        sc = stack.enter_context(SparkContext(cluster, cores=2))
        GraphX(sc)
        programs = {
            "GraphX": graphs(sc, graph),
            "naive RDDs here": rdds(sc, graph, placed=False),
            "co-partitioned RDDs here": rdds(sc, graph, placed=True),
        }
        if lacks:
            print(f"labkit bench graphs-graphx: {lacks}. Ours is measured alone.", file=sys.stderr)
        else:
            peer = stack.enter_context(pyspark_context())
            programs[f"naive RDDs, {PEER}"] = rdds(peer, graph, placed=False)
        sums = {name: program() for name, program in programs.items()}
        if not all(math.isclose(each, sums["GraphX"], rel_tol=1e-9) for each in sums.values()):
            raise AssertionError(f"ranks sum to {sums}")
        best = dict(zip(programs, best_rounds(list(programs.values()), ROUNDS), strict=True))
        sizes = {
            name: shipped(cluster, program) for name, program in programs.items() if "PySpark" not in name
        }
    for name, must in (("naive RDDs here", 3.0), ("co-partitioned RDDs here", None)):
        yield row(
            f"{CASE}, bytes", "kB", sizes["GraphX"] / 1e3, sizes[name] / 1e3, name, must, less_is_better=True
        )
    for name, must in (
        ("naive RDDs here", 1.5),
        ("co-partitioned RDDs here", None),
        (f"naive RDDs, {PEER}", 2.0),
    ):
        if name in best:
            yield row(CASE, "s", best["GraphX"], best[name], name, must, less_is_better=True)
