"""The paper's results (§6, and §3.2 on combiners) in the simulator: real messages, virtual seconds.

The paper's clusters have 300 computers and graphs of a billion vertices; ours are a few machines and some
thousand vertices, so shapes are to be compared: how seconds grow with the graph and fall with the workers,
how many messages a combiner spares, and how much work a recovery is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from labkit.parts.experiments import beside, sweep
from labkit.parts.graphs import generate
from labkit.parts.store import FileSystem
from labkit.runtime.cluster import Cluster

from .job import Job, Pregel
from .programs import PageRank, ShortestPaths

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["combiners", "graph_sizes", "log_normal_graphs", "recoveries", "workers"]

#: Seconds of the paper's Figure 7 (a billion vertices, a binary tree) by workers; its text has both ends.
PAPER_WORKERS = {50: 174.0, 800: 17.3}
#: "Over fourfold" (§3.2): how many times fewer messages with the combiner.
PAPER_COMBINER = 4.0
#: Set by us: a vertex and a message cost so much that the work counts, not the barrier.
COSTS: dict[str, Any] = {"seconds_per_vertex": 1e-3, "seconds_per_message": 1e-3}


def paths(machines: int, graph: Any, **options: Any) -> Job:
    """Shortest paths from vertex 0 over arrays; a run that is over. A partition for each worker and core."""
    with Cluster(machines=machines, engine="sim", seed=1) as cluster:
        fs = FileSystem(cluster, replicas=1, block_size=1_000_000)
        given = {"arrays": True, "partitions": 4 * machines, **COSTS, **options}
        job = Pregel(cluster, fs).run(ShortestPaths.having(source=0), graph, "out", **given)
        job.view()  # while the cluster is there
        return job


def figures(job: Job) -> dict[str, Any]:
    """Supersteps, messages, seconds from the first superstep to the last."""
    steps = [each for _, each in sorted(job.view().supersteps.items())]
    seconds = (steps[-1].end or 0.0) - steps[0].began
    sent, travelled = sum(each.sent for each in steps), sum(each.combined for each in steps)
    return {"supersteps": len(steps), "seconds": seconds, "messages": sent, "travelled": travelled}


def workers(numbers: Sequence[int] = (1, 2, 4, 8, 16), depth: int = 12) -> pd.DataFrame:
    """Figure 7: shortest paths in a binary tree, by workers; the speed-up over the fewest. The paper: from 50
    to 800 workers, 16 times as many, about 10 times as fast."""
    tree = generate.binary_tree(depth)
    table = sweep("workers", numbers, lambda number: figures(paths(number, tree)))
    table["speed-up"] = table["seconds"].iloc[0] / table["seconds"]
    first = min(PAPER_WORKERS)
    speed_ups = {numbers[0] * n // first: PAPER_WORKERS[first] / s for n, s in PAPER_WORKERS.items()}
    beside(table, "paper speed-up", speed_ups)
    return table


def graph_sizes(depths: Sequence[int] = (8, 10, 12, 13), machines: int = 4) -> pd.DataFrame:
    """Figure 8: shortest paths in binary trees of several sizes; supersteps are depth + 1, and seconds grow
    with the vertices. The paper: 50 times as many vertices, 40.6 times as long."""
    table = sweep("depth", depths, lambda depth: figures(paths(machines, generate.binary_tree(depth))))
    table["vertices"] = [2 ** (depth + 1) - 1 for depth in depths]
    table["seconds per 1,000 vertices"] = table["seconds"] / table["vertices"] * 1000
    return table


def log_normal_graphs(sizes: Sequence[int] = (250, 500, 1000), machines: int = 4) -> pd.DataFrame:
    """Figure 9: shortest paths in graphs whose out-degrees are log-normal (μ = 4, σ = 1.3; 127.1 on the
    average), "close to linear" in the vertices."""

    def run(n: int) -> dict[str, Any]:
        graph = generate.log_normal(n, seed=1)
        found = figures(paths(machines, graph))
        return {
            "mean degree": graph.m / n,
            **found,
            "seconds per 1,000 edges": found["seconds"] / graph.m * 1000,
        }

    return sweep("vertices", sizes, run)


def combiners(n: int = 600, machines: int = 4) -> pd.DataFrame:
    """§3.2: the messages of shortest paths that travel, without a combiner and with one, by graph; a
    partition for each worker. The paper: "more than fourfold" fewer."""
    graphs = {
        "binary tree": generate.binary_tree(9),
        "log-normal": generate.log_normal(n, seed=1),
        "power law": generate.rmat(10, 20 * n, seed=1),
    }

    def run(name: str) -> dict[str, Any]:
        runs = (paths(machines, graphs[name], combine=each, partitions=machines) for each in (False, True))
        without, combined = map(figures, runs)
        fewer = without["travelled"] / max(1, combined["travelled"])
        return {"without": without["travelled"], "with": combined["travelled"], "times fewer": fewer}

    table = sweep("graph", graphs, run)
    table["paper"] = PAPER_COMBINER
    return table


def recoveries(machines: int = 4, partitions: int = 16, superstep: int = 7, back_to: int = 2) -> pd.DataFrame:
    """§4.2: a worker of so many dies in a superstep, and the last checkpoint is that of ``back_to``. How
    much is computed again, by recovery; expected: the supersteps between for all partitions, or for the lost
    ones."""
    graph = generate.rmat(9, 4000, seed=1)

    def run(recovery: str) -> dict[str, Any]:
        with Cluster(machines=machines, engine="sim", seed=1) as cluster:
            fs = FileSystem(cluster, replicas=2)
            job = Pregel(cluster, fs).start(
                PageRank.having(iterations=10), graph, "out", arrays=True, partitions=partitions,
                recovery=recovery, seconds_per_vertex=5e-3,
            )  # fmt: skip
            for at in (back_to, superstep):
                cluster.run_until(lambda at=at: job.view().current >= at - (at == back_to))
                if at == back_to:
                    job.checkpoint()
            cluster.kill(f"m{machines}")
            job.result()
            work, view = job.view().work(), job.view()
            (each,) = view.recoveries
            again = work["computed"] - work["needed"]
            lost = len(each.lost) / partitions
            expected = (superstep - (each.back_to or 0)) * graph.n * (lost if recovery == "confined" else 1.0)
            seconds = (
                view.supersteps[superstep].end or 0.0
            ) - each.time  # until all is as if nothing had been
            return {"lost": lost, "computed again": again, "expected": expected, "seconds lost": seconds}

    return sweep("recovery", ("rollback", "confined"), run)
