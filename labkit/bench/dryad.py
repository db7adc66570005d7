"""Dryad on two machines of Ray: vertices without work beside tasks without work of ``dask.distributed``, and
a word count over pipes beside the same over files."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from operator import add
from typing import Any

import numpy

from labkit.bench import Row, bench, row
from labkit.bench.mapreduce import in_turn
from labkit.parts.store import FileSystem
from labkit.runtime import Cluster
from labkit.systems.dryad import Dryad, Graph, encapsulate, vertex
from labkit.systems.dryad.vertices import distribute, flat_map, merge, reduce

STAGES, EACH = 3, 3_333
#: Words of the word count, different ones, and words in a line.
WORDS, DIFFERENT, LINE = 1_000_000, 50_000, 20
#: Vertices that wait at a daemon beside the one that runs.
QUEUE = 200


async def nothing(readers: Any, writers: Any) -> None:
    """A vertex without work."""


def null_graph() -> Graph:
    """Three stages, joined pointwise, and one vertex that has to wait for all."""
    a, b, c = (vertex(nothing, name) ** EACH for name in "abc")
    return ((a >= b) >= c) >> merge("end")


def dask_side(stack: ExitStack) -> Callable[[], Any] | None:
    """The same tasks, each waiting for one of the stage before."""
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        print("labkit bench dryad: no Dask: pip install 'labkit[bench]'", file=sys.stderr)
        return None
    dask = stack.enter_context(
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)  # type: ignore[no-untyped-call]
    )
    client: Any = stack.enter_context(Client(dask))  # type: ignore[no-untyped-call]

    def run() -> None:
        tasks = client.map(lambda x: None, range(EACH), pure=False)
        for _ in range(STAGES - 1):
            tasks = client.map(lambda x: None, tasks, pure=False)
        client.gather(tasks)

    return run


def word_count(dryad: Dryad, n: int = 2) -> Graph:
    """Split and count in one process for each part; sum by the hash of the word."""
    ranks = numpy.minimum(numpy.random.default_rng(1).zipf(1.2, WORDS), DIFFERENT).tolist()
    words = [f"w{rank}" for rank in ranks]
    lines = [" ".join(words[k : k + LINE]) for k in range(0, WORDS, LINE)]
    parts = dryad.put("words", [lines[i::n] for i in range(n)])
    split = flat_map(lambda line: [(word, 1) for word in line.split(" ")], "split")
    by_word = distribute(lambda pair: pair[0])
    return (parts >= encapsulate(split >= by_word, "split") ** n) >> reduce(add, "sum") ** n


@bench("dryad")
def dryad() -> Iterator[Row]:
    """10,000 vertices without work beside Dask; word count over pipes beside over files."""
    with ExitStack() as stack:
        cluster = stack.enter_context(Cluster(2, engine="ray", name="bench-dryad", address="local"))
        system = Dryad(cluster, FileSystem(cluster, replicas=1))
        graph = null_graph()
        numbers = itertools.count()

        def null() -> None:
            system.submit(graph, output=f"null-{next(numbers)}", queue=QUEUE, duplicates=False).result()

        mine, other = in_turn(null, dask_side(stack))
        total = STAGES * EACH
        name = "dask.distributed, 2 workers" if other else "none"
        yield row(
            f"{len(graph):,} vertices without work",
            "vertices/s",
            total / mine,
            other and total / other,
            name,
            1.5,
        )
        counted = word_count(system)

        def count(kind: str) -> None:
            channels = {("split", "sum"): kind}
            system.submit(counted, output=f"count-{next(numbers)}", channels=channels, slots=2).result()

        pipes, files = in_turn(lambda: count("pipe"), lambda: count("file"))
        case = f"word count, {WORDS:,} words, over pipes"
        yield row(case, "s", pipes, files, "the same over files", None, less_is_better=True)
