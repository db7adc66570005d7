"""The paper's results in the simulator's virtual time: Table 2 (the SkyServer query on one to nine computers)
and Figures 6 and 7 (bytes between racks, with and without refinement).

Vertices really run, on small generated tables. Set by us: seconds of an item and of a byte on its way to or
from a disk, so that a disk costs about as much as the work. Compared are ratios, not seconds.
"""

from __future__ import annotations

from operator import add
from typing import Any

import pandas as pd

from labkit.parts.experiments import beside, sweep
from labkit.parts.store import FileSystem
from labkit.runtime.cluster import Cluster

from .job import Dryad, Job
from .options import JobDeadlocked
from .queries import IN_MEMORY, TWO_PASS, histogram, queries, sky_query, sky_tables
from .refinements import AggregationTree, PartialAggregation
from .stages import StageManager
from .vertices import map, reduce

__all__ = ["figure_6", "sky_job", "table_2"]

#: Seconds of the paper's Table 2, by computers.
PAPER_TWO_PASS = dict(enumerate((2370.0, 1260.0, 836.0, 662.0, 523.0, 463.0, 423.0, 346.0, 321.0), 1))
PAPER_IN_MEMORY = {6: 217.0, 7: 203.0, 8: 183.0, 9: 168.0}
#: Partitions: of the two-pass runs the paper's; in memory one for each computer, but at least six. Each
#: partition needs two processes at once, one that reads, joins and distributes, and one that merges, sorts
#: and joins; and a computer runs two.
PARTITIONS, IN_MEMORY_PARTITIONS = 40, 6
OBJECTS = 4_000
COSTS: dict[str, Any] = {"seconds_per_vertex": 0.05, "seconds_per_item": 1e-3, "seconds_per_byte": 8e-5}


def sky_job(computers: int, in_memory: bool, objects: int = OBJECTS, seed: int = 0) -> Job:
    """One run, over; or given up, if it is deadlocked."""
    cluster = Cluster(machines=computers, engine="sim", seed=seed, trace_limit=2_000_000)
    fs = FileSystem(cluster, replicas=1)
    dryad = Dryad(cluster, fs)
    n = max(IN_MEMORY_PARTITIONS, computers) if in_memory else PARTITIONS
    graph = sky_query(*sky_tables(dryad, objects, n, seed), objects)
    channels = IN_MEMORY if in_memory else TWO_PASS
    job = dryad.submit(graph, channels=channels, slots=2, chunk=100, duplicates=False, **COSTS)
    try:
        job.result()
    except JobDeadlocked:
        pass
    return job


def table_2(computers: range = range(1, 10), objects: int = OBJECTS, seed: int = 0) -> pd.DataFrame:
    """By computers the seconds of both ways, how much faster each is than two-pass on one computer, and the
    paper's. NaN: it cannot run (deadlock)."""

    def seconds(number: int, in_memory: bool) -> float:
        job = sky_job(number, in_memory, objects, seed)
        view = job.view()
        job.cluster.close()
        return (view.end or 0.0) - view.began if view.result == "ok" else float("nan")

    table = sweep(
        "computers", computers,
        lambda n: {"two-pass": seconds(n, False), "in memory": seconds(n, True)},
    )  # fmt: skip
    alone = table["two-pass"].iloc[0]
    table["speed-up"] = alone / table["two-pass"]
    beside(table, "paper two-pass", PAPER_TWO_PASS)
    beside(table, "paper in memory", PAPER_IN_MEMORY)
    table["paper speed-up"] = table["paper two-pass"].iloc[0] / table["paper two-pass"]
    return table


def figure_6(
    machines: int = 12, racks: int = 4, parts: int = 96, rows: int = 300, seed: int = 0
) -> pd.DataFrame:
    """The histogram of queries without refinement, and with each: vertices, and bytes that its channels moved
    on one computer, within a rack and between racks. In the paper, for comparison: 10,405 Q wrote 153.7 GB,
    217 vertices between them and R wrote 118.4 GB, and 450 R wrote 33.4 GB."""
    runs: dict[str, StageManager | None] = {
        "as drawn": None,
        "tree, by computer": AggregationTree(reduce(add, "T"), ["machine"]),
        "tree, by computer and rack": AggregationTree(reduce(add, "T")),
        "partial aggregation": PartialAggregation(most_inputs=1000),
    }

    def run(name: str) -> dict[str, Any]:
        with Cluster(machines=machines, engine="sim", seed=seed) as cluster:
            dryad = Dryad(cluster, FileSystem(cluster, replicas=1), racks=racks)
            graph = histogram(queries(dryad, parts, rows, seed=seed)) >> map(lambda pair: pair, "out")
            manager = runs[name]
            job = dryad.submit(graph, managers={"Q": manager} if manager else {}, slots=2).result()
            view = job.view()
            return {
                "vertices": view.total,
                "seconds": (view.end or 0.0) - view.began,
                "one computer": view.bytes_within,
                "within a rack": view.bytes_in_rack,
                "between racks": view.bytes_between,
            }

    return sweep("refinement", runs, run)
