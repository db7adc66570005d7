"""The paper's results in the simulator: real bytes, virtual seconds.

The paper's figures are of 16 machines and graphs of billions of edges, so shapes are to be compared. What
Fig. 4 shows was read off a plot.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from labkit.parts.experiments import beside, sweep
from labkit.parts.graphs.generate import rmat
from labkit.parts.graphs.pagerank import POWERGRAPH
from labkit.runtime import when
from labkit.runtime.cluster import Cluster
from labkit.runtime.faults import Kill
from labkit.systems.spark import SparkContext
from labkit.systems.spark.programs import page_rank

from .context import GraphX
from .model import Graph
from .readers import GraphLoader
from .strategies import STRATEGIES

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["cuts", "join_elimination", "partitions", "rdds", "recovery", "scans", "shipping"]

#: Fig. 4, Twitter, read off the plot: GB that an iteration ships, by iteration.
PAPER_COMPONENTS = {1: 7.3, 7: 0.0}
PAPER_PAGERANK = {1: 5.9, 20: 4.3}
#: Fig. 10, uk-2007-05: seconds of 20 iterations with a kill in the 11th, beside those without.
PAPER_RECOVERY, PAPER_RESTART = 760 / 557, 948 / 557


@contextmanager
def lab(
    scale: int = 11, edges: int = 12_000, cut: str = "EdgePartition2D", parts: int = 8, **options: Any
) -> Iterator[tuple[GraphX, Graph]]:
    """A power-law graph on four executors; the driver's machine has none."""
    with Cluster(machines=5, engine="sim", seed=1) as cluster:
        # A task takes long beside what waits for the driver, as on large graphs.
        waits = {"seconds_per_task": 0.2, "locality_wait": 0.01, "heartbeat_every": 0.05}
        sc = SparkContext(cluster, executors=["m2", "m3", "m4", "m5"], **waits)
        gx = GraphX(sc, **options)
        graph = GraphLoader.fromGraph(sc, rmat(scale, edges, seed=1), parts).partitionBy(cut).cache()
        graph.measure()
        yield gx, graph


def _loop(program: str, tol: float = 0.01, **options: Any) -> pd.DataFrame:
    with lab(**options) as (gx, graph):
        if program == "components":
            graph.connectedComponents()
        elif program == "PageRank":
            graph.pageRank(tol)
        else:
            graph.staticPageRank(6)
        return gx.iterations()


def shipping(program: str = "components", tol: float = 0.01) -> pd.DataFrame:
    """By iteration: bytes of attributes with incremental view maintenance, and without (Fig. 4).

    program: "components", where less and less changes, or "PageRank" up to the tolerance."""
    on, off = _loop(program, tol), _loop(program, tol, incremental_view=False)
    table = on[["active", "vertex bytes"]].rename(columns={"vertex bytes": "incremental"})
    table["all"], table["ratio"] = off["vertex bytes"], on["vertex bytes"] / off["vertex bytes"]
    beside(table, "paper GB", PAPER_COMPONENTS if program == "components" else PAPER_PAGERANK)
    return table


def join_elimination() -> pd.DataFrame:
    """By iteration of PageRank: bytes of attributes shipped to sources, and to both sides (§4.5.2; the
    paper's traffic is about halved)."""
    on, off = _loop("static"), _loop("static", join_elimination=False)
    table = on[["vertex bytes"]].rename(columns={"vertex bytes": "eliminated"})
    table["both sides"], table["ratio"] = off["vertex bytes"], on["vertex bytes"] / off["vertex bytes"]
    return table


def scans() -> pd.DataFrame:
    """By iteration of components: edges that are looked at with the index, and without (§4.5.3, Fig. 5)."""
    on, off = _loop("components"), _loop("components", index_scan=False)
    table = on[["active", "edges looked at", "by index"]].copy()
    table["scan"], table["ratio"] = off["edges looked at"], on["edges looked at"] / off["edges looked at"]
    return table


def cuts() -> pd.DataFrame:
    """By vertex cut: replicas of a vertex, the most of one, the strategy's bound, bytes of an iteration."""

    def run(cut: str) -> dict[str, Any]:
        with lab(cut=cut, parts=16) as (gx, graph):
            graph.staticPageRank(2)
            found = gx.view().cut
            assert found is not None
            return {
                "replicas": found.replication, "most": found.most, "bound": STRATEGIES[cut].bound(16),
                "bytes": gx.iterations()["bytes"].iloc[-1],
            }  # fmt: skip

    return sweep("cut", STRATEGIES, run)


def partitions() -> pd.DataFrame:
    """By number of partitions: bytes of an iteration (in the paper, from 16 to 128 partitions: about
    twice)."""

    def run(parts: int) -> dict[str, Any]:
        return {"bytes": _loop("static", parts=parts)["bytes"].iloc[-1]}

    table = sweep("partitions", [4, 16], run)
    table["ratio"] = table["bytes"] / table["bytes"].iloc[0]
    return table


def rdds() -> pd.DataFrame:
    """PageRank in bytes an iteration: GraphX, and joins of RDDs, naive and co-partitioned (SYSTEMS.md §15(e):
    more than 3 beside naive ones)."""
    graph = rmat(11, 12_000, seed=1)
    links = [(v, graph.out(v).tolist()) for v in range(graph.n)]

    def run(how: str) -> dict[str, Any]:
        if how == "GraphX":
            return {"bytes": _loop("static")["bytes"].iloc[-1]}
        with Cluster(machines=4, engine="sim", seed=1) as cluster, SparkContext(cluster) as sc:
            rdd = sc.parallelize(links, 8)
            rdd = (rdd if how == "naive RDDs" else rdd.partitionBy(8)).cache()
            rdd.count()
            before = len(cluster.trace)
            page_rank(rdd, 6, POWERGRAPH, graph.n).count()
            stored = [event for event in list(cluster.trace)[before:] if event.kind == "outputs_stored"]
            return {"bytes": sum(event.data["bytes"] for event in stored) / 6}

    table = sweep("program", ["GraphX", "naive RDDs", "co-partitioned RDDs"], run)
    table["ratio"] = table["bytes"] / table["bytes"].iloc[0]
    return table


def recovery(iterations: int = 12, kill_in: int = 7) -> pd.DataFrame:
    """Seconds of PageRank: without a failure, with a kill recovered by lineage, and begun anew (Fig. 10).

    From the moment of the kill; a failure is noticed after ``executor_timeout``, which is left out."""

    def run(how: str) -> dict[str, Any]:
        with lab() as (gx, graph):
            cluster = gx.cluster
            if how == "recomputed":
                cluster.play([(when(kind="iteration_started", iteration=kill_in), Kill("m3"))])
            began = cluster.now
            graph.staticPageRank(iterations)
            took = cluster.now - began
            if how == "recomputed":
                took -= gx.sc.options.executor_timeout
            table = gx.iterations()
            if how == "begun anew":
                took += table["seconds"].iloc[: kill_in - 1].sum()
            return {
                "seconds": took,
                "again": sum(each.again_bytes for each in gx.view().runs["pageRank-1"].iterations),
            }

    table = sweep("failure", ["none", "recomputed", "begun anew"], run)
    table["ratio"] = table["seconds"] / table["seconds"].iloc[0]
    beside(table, "paper ratio", {"none": 1.0, "recomputed": PAPER_RECOVERY, "begun anew": PAPER_RESTART})
    return table
