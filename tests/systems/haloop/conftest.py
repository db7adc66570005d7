"""Shared by the tests of HaLoop: two loops, and what each job is compared with."""

from __future__ import annotations

import random
from typing import Any

import pytest

from labkit import Cluster
from labkit.parts.store import FileSystem
from labkit.systems.haloop import CACHES, HaLoop, LoopJob, descendants, file_of, pagerank

PAGES = 60
ALL = tuple(name.replace(" ", "_") for name in CACHES)


def graph(pages: int, links: int, files: int = 4, seed: int = 3) -> dict[str, str]:
    """Links between pages, as files."""
    draw = random.Random(seed)
    return {
        f"l{number}": file_of(
            (f"p{draw.randrange(pages)}", f"p{draw.randrange(pages)}") for _ in range(links // files)
        )
        for number in range(files)
    }


def ranks(cluster: Cluster, caches: tuple[str, ...] = ALL, iterations: int = 4, replicas: int = 2) -> HaLoop:
    """PageRank on a small graph. The masters are on the first machine."""
    fs = FileSystem(cluster, replicas=replicas, block_size=2000)
    fs.put("links", graph(PAGES, 400))
    fs.put("ranks", {"r": file_of((f"p{page}", 1 / PAGES) for page in range(PAGES))})
    loop = pagerank(cluster, fs, "links/*", "ranks/*", PAGES)
    for name in caches:
        getattr(loop, f"set_{name}_cache")()
    loop.set_max_num_of_iterations(iterations)
    loop.set_fixed_point_threshold(1e-9)
    return loop


def family(cluster: Cluster, caches: tuple[str, ...] = ALL, pages: int = 80, links: int = 120) -> HaLoop:
    """The descendants of one."""
    fs = FileSystem(cluster, replicas=2, block_size=2000)
    fs.put("edges", graph(pages, links))
    fs.put("start", {"s": file_of([("p1", 0)])})
    loop = descendants(cluster, fs, "edges/*", "start/*", "out")
    for name in caches:
        getattr(loop, f"set_{name}_cache")()
    return loop


def rows(table: Any) -> list[tuple[Any, Any]]:
    """The pairs of a table, in order."""
    return sorted(map(tuple, table.values.tolist()))


def same_as_oracle(job: LoopJob) -> None:
    """Every iteration is that of one thread, and no rule was broken."""
    local = job.program.run_locally()
    story = f"seed={job.cluster.seed}\n{job.cluster.schedule}"
    assert len(job.distances) == len(local.distances), story
    for number, wanted in enumerate(local.outputs, start=1):
        for found, right in zip(rows(job.output(number)), sorted(wanted), strict=True):
            close = found[1] == (pytest.approx(right[1]) if isinstance(right[1], float) else right[1])
            assert found[0] == right[0] and close, (number, found, right, story)  # noqa: PT018
    report = job.check()
    assert report.ok, f"{report}\n{story}"
