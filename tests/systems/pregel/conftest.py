"""Shared by the tests of Pregel: graphs, and what each job is compared with."""

from __future__ import annotations

import math
import random
from typing import Any

from labkit import Cluster
from labkit.parts.graphs.csr import Graph
from labkit.parts.store import FileSystem
from labkit.systems.pregel import Job, Pregel, Vertex, run_locally


def sim(machines: int = 4, seed: int = 0, **more: Any) -> Cluster:
    return Cluster(machines=machines, engine="sim", seed=seed, **more)


def pregel(cluster: Cluster, replicas: int = 2) -> Pregel:
    """The masters are on the first machine."""
    return Pregel(cluster, FileSystem(cluster, replicas=replicas))


def links(n: int = 60, seed: int = 3, most: int = 6) -> dict[int, list[int]]:
    """A graph by vertex; some have no edges, some the same edge twice."""
    draw = random.Random(seed)
    return {v: [draw.randrange(n) for _ in range(draw.randrange(most))] for v in range(n)}


def weighted(n: int = 60, seed: int = 3, directed: bool = True) -> Graph:
    """The same in arrays, with weights."""
    draw = random.Random(seed)
    edges = [(u, v, float(draw.randint(1, 9))) for u, targets in links(n, seed).items() for v in targets]
    return Graph.of(edges, vertices=range(n), directed=directed)


def same(one: Any, other: Any) -> bool:
    """Equal; sums but for their last digits."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9) or one == other
    return bool(one == other)


def right(job: Job, program: type[Vertex], graph: Any) -> None:
    """The values are those of one thread, and no rule was broken."""
    story = f"seed={job.cluster.seed}\n{job.cluster.schedule}"
    found, wanted = dict(job.output()), run_locally(program, graph)
    assert found.keys() == wanted.keys(), story
    wrong = {v: (found[v], wanted[v]) for v in wanted if not same(found[v], wanted[v])}
    assert not wrong, (wrong, story)
    report = job.check()
    assert report.ok, f"{report}\n{story}"
    assert report.computations
