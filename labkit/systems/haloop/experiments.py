"""The paper's results in the simulator: real bytes, virtual seconds.

The paper's figures are of clusters of 50 and 90 computers and of graphs of millions of vertices; ours are
of a few machines and a random graph, so shapes are to be compared, not seconds."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from labkit.parts.experiments import sweep
from labkit.parts.store import FileSystem
from labkit.runtime.cluster import Cluster

from .job import HaLoop, LoopJob
from .options import CACHES
from .programs import descendants, file_of, kmeans, pagerank

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["caching", "descendant_query", "fix_point_step", "kmeans_input", "shuffled"]

#: Of the paper: bytes of the join step beside Hadoop's; how many times as fast all iterations are.
PAPER_SHUFFLE, PAPER_SPEED_UP = 0.04, 1.85
#: Ours: a slow network and slow disks beside the work of a record, as on a cluster of that time.
OPTIONS = {"M": 6, "R": 6, "seconds_per_byte": 1e-5, "seconds_per_record": 2e-5, "seconds_per_task": 0.05}


@contextmanager
def lab(files: dict[str, dict[str, str]], replicas: int = 2) -> Iterator[tuple[Cluster, FileSystem]]:
    """A cluster of six machines and a file system with these files."""
    with Cluster(machines=6, engine="sim", seed=1) as cluster:
        fs = FileSystem(cluster, replicas=replicas, block_size=20_000)
        for folder, contents in files.items():
            fs.put(folder, contents)
        yield cluster, fs


def random_graph(vertices: int, edges: int, seed: int = 1) -> dict[str, str]:
    """Edges between vertices that are drawn alike, in six files."""
    draw = random.Random(seed)
    pairs = [(draw.randrange(vertices), draw.randrange(vertices)) for _ in range(edges)]
    return {f"e{part}": file_of(pairs[part::6]) for part in range(6)}


def tree(vertices: int) -> dict[str, str]:
    """Edges from each vertex to two children: nobody is reached twice."""
    pairs = [(child // 2, child) for child in range(2, vertices)]
    return {f"e{part}": file_of(pairs[part::6]) for part in range(6)}


def turned_on(loop: HaLoop, caches: tuple[str, ...]) -> HaLoop:
    """The same loop with these caches and no others."""
    switches = loop.set_reducer_input_cache, loop.set_reducer_output_cache, loop.set_mapper_input_cache
    for name, switch in zip(CACHES, switches, strict=True):
        switch(name in caches)
    return loop


def ranked(
    caches: tuple[str, ...], vertices: int, edges: int, iterations: int
) -> tuple[LoopJob, pd.DataFrame]:
    """PageRank on a random graph."""
    ranks = {"r": file_of((vertex, 1 / vertices) for vertex in range(vertices))}
    with lab({"links": random_graph(vertices, edges), "ranks": ranks}) as (cluster, fs):
        loop = turned_on(pagerank(cluster, fs, "links/*", "ranks/*", vertices), caches)
        loop.set_max_num_of_iterations(iterations)
        loop.set_fixed_point_threshold(0)
        job = loop.run("out", **OPTIONS)
        return job, job.iterations()


def shuffled(vertices: int = 200, edges: int = 6000, iterations: int = 10) -> pd.DataFrame:
    """By iteration: bytes that the join step shuffles and seconds, without caches and with the reducer input
    cache, and the ratio."""
    _, without = ranked((), vertices, edges, iterations)
    _, cached = ranked(("reducer input",), vertices, edges, iterations)
    step = "shuffled, step 1"
    table = without[[step, "seconds"]].rename(columns={step: "bytes", "seconds": "seconds"})
    table["bytes, cached"], table["seconds, cached"] = cached[step], cached["seconds"]
    table["ratio"] = table["bytes, cached"] / table["bytes"]
    table["paper ratio"] = [float("nan"), *[PAPER_SHUFFLE] * (len(table) - 1)]
    return table


def caching(vertices: int = 200, edges: int = 6000, iterations: int = 5) -> pd.DataFrame:
    """By set of caches: seconds of all iterations, of the first one, and the speed-up."""
    sets = {"none": (), **{name: (name,) for name in CACHES}, "all": CACHES}

    def run(name: str) -> dict[str, Any]:
        _, table = ranked(sets[name], vertices, edges, iterations)
        return {
            "seconds": table["seconds"].sum(), "first": table["seconds"].iloc[0],
            "shuffled": table["shuffled"].sum(),
        }  # fmt: skip

    table = sweep("caches", sets, run)
    table["speed-up"] = table["seconds"].iloc[0] / table["seconds"]
    table["paper speed-up"] = [float("nan")] * (len(sets) - 1) + [PAPER_SPEED_UP]
    return table


def fix_point_step(vertices: int = 3000, edges: int = 6000) -> pd.DataFrame:
    """Without and with the reducer output cache: bytes of the iteration before that come from the file
    system, and those that come from the own disk."""

    def run(name: str) -> dict[str, Any]:
        job, table = ranked(() if name == "none" else (name,), vertices, edges, 4)
        again = sum(event.data["bytes"] for event in job.cluster.trace.filter("output_read_again"))
        return {"from the file system": again, "from the cache": int(table["from caches"].sum()),
                "seconds": table["seconds"].sum()}  # fmt: skip

    return sweep("caches", ["none", "reducer output"], run)


def descendant_query(vertices: int = 1024, dense: int = 40) -> pd.DataFrame:
    """A tree, and a graph with ``dense`` edges for each vertex: what the reducer input cache saves.

    Which of the two gains more depends on their sizes and on the rates: the tree has many iterations, the
    dense graph a large table. The paper's dense graph gained least, since eliminating duplicates dominated.
    """

    def run(kind: str) -> dict[str, Any]:
        graph = tree(vertices) if kind == "tree" else random_graph(vertices // 8, vertices // 8 * dense)
        sizes = {}
        for caches in ((), ("reducer input",)):
            with lab({"edges": graph, "start": {"s": file_of([(1, 0)])}}) as (cluster, fs):
                loop = turned_on(descendants(cluster, fs, "edges/*", "start/*", "out"), caches)
                job = loop.run("out", **OPTIONS)
                sizes[caches] = job.iterations()
        without, cached = sizes.values()
        return {
            "iterations": len(cached), "bytes": without["shuffled"].sum(),
            "bytes, cached": cached["shuffled"].sum(),
            "speed-up": without["seconds"].sum() / cached["seconds"].sum(),
            "duplicate elimination": cached["shuffled, step 2"].sum() / cached["shuffled"].sum(),
        }  # fmt: skip

    return sweep("graph", ["tree", "dense"], run)


def kmeans_input(points: int = 1200, iterations: int = 4) -> pd.DataFrame:
    """Without and with the mapper input cache: bytes that map tasks read from the file system, and
    seconds."""
    draw = random.Random(2)
    rows = [(n, (draw.gauss(n % 3 * 8, 1), draw.gauss(n % 3 * 5, 1))) for n in range(points)]
    files = {
        "points": {f"p{part}": file_of(rows[part::6]) for part in range(6)},
        "centres": {"c": file_of((n, rows[n][1]) for n in range(3))},
    }

    def run(name: str) -> dict[str, Any]:
        caches = () if name == "none" else (name,)
        with lab(files) as (cluster, fs):
            loop = turned_on(kmeans(cluster, fs, "points/*", "centres/*"), caches)
            loop.set_max_num_of_iterations(iterations)
            table = loop.run("out", **OPTIONS).iterations()
            return {"map input": table["map input"].sum(), "from caches": table["from caches"].sum(),
                    "seconds": table["seconds"].sum()}  # fmt: skip

    table = sweep("caches", ["none", "mapper input"], run)
    table["speed-up"] = table["seconds"].iloc[0] / table["seconds"]
    return table
