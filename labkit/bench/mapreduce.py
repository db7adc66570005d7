"""MapReduce jobs on two machines of Ray beside PySpark's ``local[2]`` doing the same from files to files;
tasks without work beside ``dask.distributed``; and how long a simulated job of the paper's size takes.

Both sides read the same bytes and write all of their output, are warmed up, and take turns; of each the best
round counts. Without PySpark and a Java, or without Dask, ours is measured alone.
"""

from __future__ import annotations

import itertools
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from operator import add
from pathlib import Path
from typing import Any

import numpy

from labkit.bench import Row, bench, row
from labkit.bench.spark import PEER, best_rounds, missing_peer, pyspark_context, write_words
from labkit.parts.store import FileSystem
from labkit.runtime import Cluster
from labkit.systems.mapreduce import MapReduce

RECORDS, RECORD = 1_000_000, 100
M, R = 8, 4
ROUNDS = 3
TASKS = 1_000
#: Seconds that the simulated job may take.
ALLOWED = 60.0


class WordCount(MapReduce):
    """The paper's (§2.1)."""

    def map(self, key: int, value: str) -> None:
        """Each word, once."""
        for word in value.split(" "):
            self.emit_intermediate(word, 1)

    def reduce(self, key: str, values: Iterator[int]) -> None:
        """Their number."""
        self.emit(sum(values))

    combine = reduce


class Sort(MapReduce):
    """The paper's (§5.3): "a 10-byte sorting key from a text line"; the order is the library's."""

    def map(self, key: int, value: str) -> None:
        """The sorting key and the line."""
        self.emit_intermediate(value[:10], value[10:])

    def partition(self, key: str, R: int) -> int:  # noqa: N803
        """ "The distribution of keys" is known: uniform."""
        return min(R - 1, int(key[:4]) * R // 10_000)


def write_records(path: Path) -> None:
    """A million lines of 100 bytes, with uniform keys of ten digits."""
    keys = numpy.random.default_rng(1).integers(0, 10**10, RECORDS)
    rest = "x" * (RECORD - 11)
    path.write_text("".join(f"{key:010}{rest}\n" for key in keys.tolist()))


def in_turn(ours: Callable[[], Any], peer: Callable[[], Any] | None) -> tuple[float, float | None]:
    """Seconds of the best round of each, warm."""
    sides = [side for side in (ours, peer) if side is not None]
    for side in sides:
        side()
    best = best_rounds(sides, ROUNDS)
    return best[0], best[1] if peer is not None else None


@bench("mapreduce")
def mapreduce() -> Iterator[Row]:
    """Word count and sort beside PySpark local[2], tasks without work beside Dask, a simulated job."""
    lacks = missing_peer()
    if lacks:
        print(f"labkit bench mapreduce: {lacks}. Ours is measured alone.", file=sys.stderr)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_words(folder / "words.txt")
        write_records(folder / "records.txt")
        cluster = stack.enter_context(Cluster(2, engine="ray", name="bench-mapreduce", address="local"))
        fs = FileSystem(cluster, replicas=1)
        for name in ("words.txt", "records.txt"):
            fs.put(name, (folder / name).read_bytes())
        peer = None if lacks else stack.enter_context(pyspark_context())
        numbers = itertools.count()

        def ours(program: type[MapReduce], path: str) -> Callable[[], Any]:
            return lambda: program(cluster, fs).run(path, f"out-{next(numbers)}", M=M, R=R, slots=2)

        def theirs(job: Callable[[Any], Any], path: str) -> Callable[[], Any] | None:
            if peer is None:
                return None

            def run() -> None:
                out = folder / f"out-{next(numbers)}"
                job(peer.textFile(str(folder / path), M)).saveAsTextFile(str(out))
                shutil.rmtree(out)

            return run

        def count(lines: Any) -> Any:
            counts = lines.flatMap(lambda line: line.split(" ")).map(lambda word: (word, 1))
            return counts.reduceByKey(add, R).map(lambda pair: f"{pair[0]}\t{pair[1]}")

        def sort(lines: Any) -> Any:
            pairs = lines.map(lambda line: (line[:10], line[10:]))
            return pairs.sortByKey(True, R).map(lambda pair: f"{pair[0]}\t{pair[1]}")

        for case, must, program, path, job in (
            ("word count, 2 M words, files to files", 1.0, WordCount, "words.txt", count),
            ("sort, 1 M records of 100 bytes", 0.8, Sort, "records.txt", sort),
        ):
            mine, other = in_turn(ours(program, path), theirs(job, path))
            yield row(case, "s", mine, other, PEER if other else "none", must, less_is_better=True)
    yield empty_tasks()
    yield simulated()


def empty_tasks() -> Row:
    """Tasks without work through the task scheduler that MapReduce and Spark share, two machines."""
    from labkit.systems.spark import SparkContext

    with ExitStack() as stack:
        cluster = stack.enter_context(Cluster(2, engine="ray", name="bench-tasks", address="local"))
        sc = stack.enter_context(SparkContext(cluster, cores=1))
        ours = sc.parallelize(range(TASKS), TASKS)
        try:
            from distributed import Client, LocalCluster
        except ImportError:
            print("labkit bench mapreduce: no Dask: pip install 'labkit[bench]'", file=sys.stderr)
            theirs = None
        else:
            dask = stack.enter_context(
                LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)  # type: ignore[no-untyped-call]
            )
            client = stack.enter_context(Client(dask))  # type: ignore[no-untyped-call]

            def theirs() -> None:
                client.gather(client.map(lambda x: None, range(TASKS), pure=False))  # type: ignore[no-untyped-call]

        mine, other = in_turn(lambda: ours.foreach(lambda x: None), theirs)
    name = "dask.distributed, 2 workers" if other else "none"
    return row("tasks without work", "tasks/s", TASKS / mine, other and TASKS / other, name, 2.0)


def simulated() -> Row:
    """The paper's sort (§5.3), 15,000 map and 4,000 reduce tasks on 1,746 workers."""
    from labkit.systems.mapreduce.experiments import sort_job

    begun = time.perf_counter()
    sort_job(scale=1.0).cluster.close()
    taken = time.perf_counter() - begun
    case = "simulated, 19,000 tasks, 1,746 workers"
    return row(case, "s", taken, ALLOWED, "allowed", 1.0, less_is_better=True)
