"""PageRank as a loop beside the same as a chain of MapReduce jobs, on the same two machines of Ray.

Both read and write the same pairs with the same functions, and their ranks are compared. The paper has a mean
speed-up of 1.85 (VLDB 2010) over Hadoop, where a driver submits a job for each step.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator
from typing import Any

from labkit.bench import Row, bench, row
from labkit.parts.store import FileSystem
from labkit.runtime import Cluster
from labkit.systems.haloop import file_of, pagerank
from labkit.systems.haloop.programs import DAMPING
from labkit.systems.mapreduce import MapReduce, Pairs

VERTICES, EDGES, ITERATIONS = 50_000, 400_000, 10
M, R = 4, 4
PEER = "20 MapReduce jobs here"
#: Folders of the peer's iterations, a letter each, so that a pattern can name links and ranks together.
FOLDERS = "0123456789a"


class Join(MapReduce):
    """The first step: ranks and links, whichever file they are from."""

    reader = writer = Pairs()

    def map(self, key: Any, value: Any) -> None:
        """With a tag that says which table it is."""
        self.emit_intermediate(key, (self.input_file.startswith("pr/L/"), value))

    def reduce(self, key: Any, values: Iterator[Any]) -> None:
        """As ``pagerank``'s."""
        rows = list(values)
        targets = [value for is_link, value in rows if is_link]
        rank = sum(value for is_link, value in rows if not is_link)
        self.emit((rank / max(1, len(targets)), *targets))


class Aggregate(MapReduce):
    """The second step."""

    reader = writer = Pairs()

    def map(self, key: Any, value: Any) -> None:
        """By target."""
        self.emit_intermediate(key, 0.0)
        share, *targets = value
        for target in targets:
            self.emit_intermediate(target, share)

    def combine(self, key: Any, values: Iterator[Any]) -> None:
        """Partial sums."""
        self.emit(sum(values))

    def reduce(self, key: Any, values: Iterator[Any]) -> None:
        """The new rank."""
        self.emit((1 - DAMPING) / VERTICES + DAMPING * sum(values))


def ranks_of(table: Any) -> dict[Any, float]:
    """By page, to twelve digits: sums are in another order."""
    return {page: round(rank, 12) for page, rank in zip(table["key"], table["value"], strict=True)}


@bench("haloop")
def haloop() -> Iterator[Row]:
    """PageRank, 10 iterations, as a loop beside the same as 20 MapReduce jobs."""
    draw = random.Random(1)
    links = [(draw.randrange(VERTICES), draw.randrange(VERTICES)) for _ in range(EDGES)]
    with Cluster(2, engine="ray", name="bench-haloop", address="local") as cluster:
        fs = FileSystem(cluster, replicas=1)
        for part in range(M):
            fs.put(f"pr/L/{part}", file_of(links[part::M]).encode())
        fs.put("pr/0/part-00000", file_of((page, 1 / VERTICES) for page in range(VERTICES)).encode())

        loop = pagerank(cluster, fs, "pr/L/*", "pr/0/*", VERTICES)
        loop.set_reducer_input_cache()
        loop.set_max_num_of_iterations(1)
        loop.run("warm", M=M, R=R, slots=2)
        loop.set_max_num_of_iterations(ITERATIONS)
        began = time.perf_counter()
        job = loop.run("loop", M=M, R=R, slots=2)
        ours = time.perf_counter() - began

        began = time.perf_counter()
        for before, after in itertools.pairwise(FOLDERS[: ITERATIONS + 1]):
            Join(cluster, fs).run(f"pr/[L{before}]/*", f"joined-{after}", M=2 * M, R=R, slots=2)
            last = Aggregate(cluster, fs).run(f"joined-{after}/*", f"pr/{after}", M=M, R=R, slots=2)
        theirs = time.perf_counter() - began
        if ranks_of(job.output()) != ranks_of(last.output()):
            raise AssertionError("the loop and the jobs have other ranks")
        table = job.iterations()
        print(table[["seconds", "shuffled, step 1", "shuffled, step 2", "map input"]].to_string())
    case = f"PageRank, {ITERATIONS} iterations, {VERTICES:,} vertices, {EDGES:,} edges"
    yield row(case, "s", ours, theirs, PEER, 1.5, less_is_better=True)
