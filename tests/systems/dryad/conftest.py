"""Shared by the tests of Dryad: graphs, and a lab whose jobs are judged after each test."""

from __future__ import annotations

from typing import Any

from labkit import Cluster
from labkit.parts.store import FileSystem
from labkit.systems.dryad import Dryad, Graph, Job
from labkit.systems.dryad.vertices import distribute, flat_map, reduce

WORDS = [f"the quick brown fox {n} jumps over the lazy dog" for n in range(40)]


def lab(cluster: Cluster, racks: int = 1, **options: Any) -> Dryad:
    """Dryad on a cluster; file system, job managers and name server are on the first machine."""
    fs = FileSystem(cluster, replicas=min(3, len(cluster.machines)))
    return Dryad(cluster, fs, racks=racks, **options)


def word_count(dryad: Dryad, parts: int = 4, n: int = 3) -> Graph:
    """Words of lines, counted in n vertices."""
    lines = dryad.put("lines", [WORDS[i::parts] for i in range(parts)])
    split = flat_map(lambda line: [(word, 1) for word in line.split()], "split")
    by_key = distribute(lambda pair: pair[0])
    return ((lines >= split**parts) >= by_key**parts) >> reduce(lambda a, b: a + b) ** n


def same_as_oracle(job: Job) -> None:
    """Its output is that of the execution on one thread, and no rule was broken."""
    story = f"seed={job.cluster.seed}\n{job.cluster.schedule}"
    assert job.output() == job.dryad.run_locally(job.drawn), story
    report = job.check()
    assert report.ok, f"{report}\n{story}"
