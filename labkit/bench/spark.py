"""The same RDD programs on our Spark, two machines of Ray, and on PySpark's ``local[2]``, in turn.

Both sides get the same functions, the same data and the same number of partitions, are warmed up, and then
take turns; of each the best round counts. The data is made in tasks and cached where the program says so, so
that no side pays for its way from the driver. Memory is the most that all processes of a side but the shared
driver had of their own (USS) at any moment.

Needs PySpark and Java 17 or later; without them ours is measured alone.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from operator import add
from pathlib import Path
from random import Random
from typing import Any

import numpy
import psutil

from labkit.bench import Row, bench, row
from labkit.runtime import Cluster

WORDS = 2_000_000
POINTS, FEATURES = 400_000, 10
VERTICES, EDGES, ITERATIONS = 50_000, 400_000, 5
PAIRS = 1_000_000
PARTITIONS = 4
ROUNDS = 3
TRIVIAL_ROUNDS = 15
PEER = "PySpark local[2]"
#: Seconds before each round: what the other side tidies up after its own must not be charged to this one.
SETTLE = 0.3
#: Seconds between two looks at the memory.
LOOK_EVERY = 0.1

Program = Callable[[], Any]


# --- the programs: from a context to something to run again and again -----------------------------------


def trivial(sc: Any) -> Program:
    """Ten numbers in four partitions, doubled."""
    numbers = sc.parallelize(range(10), PARTITIONS)
    return lambda: numbers.map(lambda x: 2 * x).collect()


def word_count(sc: Any, path: str) -> Program:
    """The ten most frequent words of a text file."""

    def run() -> Any:
        words = sc.textFile(path, PARTITIONS).flatMap(lambda line: line.split(" "))
        counts = words.map(lambda word: (word, 1)).reduceByKey(add)
        return counts.takeOrdered(10, key=lambda pair: (-pair[1], pair[0]))

    return run


def logistic_regression(sc: Any) -> Program:
    """One step of gradient descent over cached points, each an array (NSDI 2012, 3.2.1)."""

    def points(part: int) -> Iterator[Any]:
        random = numpy.random.default_rng(part)
        for _ in range(POINTS // PARTITIONS):
            label = 1.0 if random.random() < 0.5 else -1.0
            yield label, random.normal(0.3 * label, 1.0, FEATURES)

    cached = sc.parallelize(range(PARTITIONS), PARTITIONS).flatMap(points).cache()
    cached.count()
    weights = numpy.zeros(FEATURES)

    def step() -> Any:
        nonlocal weights
        w = weights

        def gradient(point: Any) -> Any:
            y, x = point
            return x * ((1.0 / (1.0 + numpy.exp(-y * w.dot(x))) - 1.0) * y)

        weights = w - cached.map(gradient).reduce(add) * (4.0 / POINTS)
        return None

    return step


def page_rank(sc: Any) -> Program:
    """Five iterations over co-partitioned, cached links (NSDI 2012, 3.2.2)."""

    def edges(part: int) -> Iterator[Any]:
        random = Random(part)
        for _ in range(EDGES // PARTITIONS):
            yield random.randrange(VERTICES), int(VERTICES * random.random() ** 2)

    links = sc.parallelize(range(PARTITIONS), PARTITIONS).flatMap(edges).groupByKey(PARTITIONS)
    links = links.mapValues(list).cache()
    links.count()

    def contributions(item: Any) -> Any:
        _, (targets, rank) = item
        share = rank / len(targets)
        return [(target, share) for target in targets]

    def run() -> Any:
        ranks = links.mapValues(lambda _: 1.0)
        for _ in range(ITERATIONS):
            received = links.join(ranks).flatMap(contributions).reduceByKey(add, PARTITIONS)
            ranks = received.mapValues(lambda total: 0.15 + 0.85 * total)
        return round(ranks.values().sum(), 3)

    return run


def sort_by_key(sc: Any) -> Program:
    """A million cached pairs, sorted."""

    def pairs(part: int) -> Iterator[Any]:
        random = Random(part)
        for number in range(PAIRS // PARTITIONS):
            yield random.randrange(1 << 30), number

    cached = sc.parallelize(range(PARTITIONS), PARTITIONS).flatMap(pairs).cache()
    cached.count()
    return lambda: cached.sortByKey(True, PARTITIONS).count()


def write_words(path: Path) -> None:
    """Two million words, a tenth of a million different ones, by Zipf's law."""
    random = numpy.random.default_rng(1)
    ranks = numpy.minimum(random.zipf(1.2, WORDS), 100_000)
    words = [f"w{rank}" for rank in ranks.tolist()]
    lines = (" ".join(words[start : start + 20]) for start in range(0, WORDS, 20))
    path.write_text("\n".join(lines) + "\n")


# --- the two sides --------------------------------------------------------------------------------------


def missing_peer() -> str | None:
    """What PySpark lacks here, or None."""
    try:
        import pyspark  # noqa: F401
    except ImportError:
        return "PySpark is not installed: pip install 'labkit[bench]'"
    java = os.environ.get("JAVA_HOME")
    if not (shutil.which("java") or (java and Path(java, "bin", "java").exists())):
        return "PySpark needs Java 17 or later, and there is no java on the PATH nor JAVA_HOME"
    return None


def pyspark_context() -> Any:
    """PySpark in this process, with two threads, quiet."""
    from pyspark import SparkConf, SparkContext

    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    conf = SparkConf().setMaster("local[2]").setAppName("labkit bench")
    conf.set("spark.ui.enabled", "false").set("spark.driver.host", "127.0.0.1")
    conf.set("spark.driver.bindAddress", "127.0.0.1").set("spark.ui.showConsoleProgress", "false")
    context = SparkContext(conf=conf)
    context.setLogLevel("OFF")
    return context


class PeakMemory:
    """The most bytes that the processes of each side had at any moment inside the ``with``.

    It looks from a thread, and costs time: what is measured must not run meanwhile.
    """

    def __init__(self) -> None:
        self.ours = 0
        self.peer = 0

    def __enter__(self) -> PeakMemory:
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(LOOK_EVERY):
            sides = {False: 0, True: 0}
            for child in psutil.Process().children():
                theirs = _is_java(child)
                sides[theirs] += _private(child) + sum(map(_private, _descendants(child)))
            self.ours = max(self.ours, sides[False])
            self.peer = max(self.peer, sides[True])


def _is_java(process: psutil.Process) -> bool:
    try:
        return "java" in process.name() or any("java" in child.name() for child in process.children())
    except psutil.Error:
        return False


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _private(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().uss)
    except psutil.Error:
        return 0


# --- the bench ------------------------------------------------------------------------------------------

#: Name, unit, seconds a unit, the promise, rounds.
CASES: list[tuple[str, str, float, float, int]] = [
    ("trivial job", "ms", 1e3, 20.0, TRIVIAL_ROUNDS),
    (f"word count, {WORDS // 1_000_000} M words", "s", 1.0, 1.8, ROUNDS),
    (f"logistic regression, {POINTS:,}, iteration", "s", 1.0, 2.0, ROUNDS),
    (f"PageRank, {VERTICES:,}/{EDGES:,}, {ITERATIONS} it.", "s", 1.0, 2.0, ROUNDS),
    (f"sortByKey, {PAIRS // 1_000_000} M pairs", "s", 1.0, 1.2, ROUNDS),
]


@bench("spark")
def spark() -> Iterator[Row]:
    """RDD programs on two machines beside PySpark local[2], warm and in turn.

    Two task slots on each machine spare small jobs a second wave; they are threads of one Python process, so
    both sides have two CPUs.
    """
    from labkit.systems.spark import SparkContext

    lacks = missing_peer()
    if lacks:
        print(f"labkit bench spark: {lacks}. Ours is measured alone.", file=sys.stderr)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        text = directory / "words.txt"
        write_words(text)
        # A Ray of our own, below this process, so that its memory can be counted.
        cluster = stack.enter_context(Cluster(2, engine="ray", name="bench-spark", address="local"))
        ours = stack.enter_context(SparkContext(cluster, cores=2))
        peer = None if lacks else stack.enter_context(pyspark_context())
        memory = PeakMemory()
        programs = [
            trivial,
            lambda sc: word_count(sc, str(text)),
            logistic_regression,
            page_rank,
            sort_by_key,
        ]
        for (case, unit, scale, must, rounds), program in zip(CASES, programs, strict=True):
            mine, theirs = measure(program, ours, peer, rounds, memory)
            if theirs is None:
                yield row(case, unit, mine * scale, peer_name=f"none: {lacks.split(':')[0] if lacks else ''}")
            else:
                yield row(case, unit, mine * scale, theirs * scale, PEER, must, less_is_better=True)
    yield row("peak memory", "MB", memory.ours / 1e6, memory.peer / 1e6 or None, PEER, less_is_better=True)


def best_rounds(programs: Sequence[Program], rounds: int) -> list[float]:
    """Seconds of the best round of each, run in turn."""
    seconds: list[list[float]] = [[] for _ in programs]
    for _ in range(rounds):
        for program, taken in zip(programs, seconds, strict=True):
            time.sleep(SETTLE)
            begun = time.perf_counter()
            program()
            taken.append(time.perf_counter() - begun)
    return [min(taken) for taken in seconds]


def measure(
    make: Callable[[Any], Program], ours: Any, peer: Any, rounds: int, memory: PeakMemory
) -> tuple[float, float | None]:
    """Seconds of the best round of ours and of the peer's, run in turn.

    One more round is watched for its memory. Raises if the two do not come to the same result.
    """
    programs = [make(sc) for sc in (ours, peer) if sc is not None]
    results = [program() for program in programs]
    if len(results) == 2 and results[0] != results[1]:
        raise AssertionError(f"ours gave {results[0]!r:.300}, PySpark {results[1]!r:.300}")
    best = best_rounds(programs, rounds)
    with memory:
        for program in programs:
            program()
    return best[0], best[1] if len(best) == 2 else None
