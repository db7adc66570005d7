"""What a user's code does inside a task: the threads that it starts, and what it raises."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from labkit.runtime.endable import Endable
from labkit.runtime.loop import Cancelled
from labkit.runtime.raised import text_of
from labkit.systems.spark import (
    AccumulatorParam,
    JobFailed,
    SparkContext,
    StorageLevel,
    TaskContext,
    TaskFailed,
)
from labkit.systems.spark.operations import Pipe
from tests.runtime.raising import MAKERS, Raising, throw
from tests.systems.spark.conftest import MakeContext

# ── threads ──────────────────────────────────────────────────────────────────────────────────────────────


def test_threads_of_a_task_know_what_it_knows(make_context: MakeContext) -> None:
    sc = make_context(machines=2, cores=2)
    price = sc.broadcast({"tea": 3, "salt": 1})
    seen = sc.accumulator(0)

    def look(word: str) -> tuple[str, int, int]:
        seen.add(1)
        context = TaskContext.get()
        assert context is not None
        return word, price.value[word], context.partitionId()

    def in_thread(word: str) -> tuple[str, int, int]:
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(look(word)))
        thread.start()
        thread.join()
        return found[0]  # type: ignore[no-any-return]

    def in_thread_of_thread(word: str) -> tuple[str, int, int]:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(in_thread, word).result()

    def in_pool(words: Iterable[str]) -> Iterator[tuple[str, int, int]]:
        with ThreadPoolExecutor(2) as pool:
            yield from pool.map(look, words)

    words = sc.parallelize(["tea", "salt", "tea", "salt"], 4)
    expected = [("tea", 3, 0), ("salt", 1, 1), ("tea", 3, 2), ("salt", 1, 3)]
    assert words.map(in_thread).collect() == expected
    assert words.map(in_thread_of_thread).collect() == expected
    assert words.mapPartitions(in_pool).collect() == expected
    piped = words.map(lambda word: f"{word} {look(word)[1]}").pipe("cat")
    assert piped.collect() == ["tea 3", "salt 1", "tea 3", "salt 1"]
    assert seen.value == 16


POOL = ThreadPoolExecutor(1, thread_name_prefix="shared-by-tasks")


def test_a_thread_that_tasks_share(make_context: MakeContext) -> None:
    """It was started by the first, and works for all; so does a generator that is resumed there."""
    sc = make_context(machines=1)
    price = sc.broadcast({"tea": 3})
    seen = sc.accumulator(0)

    def look(word: str) -> int:
        import tests.systems.spark.test_user_code as here

        def work() -> int:
            seen.add(1)
            return price.value[word]

        return here.POOL.submit(work).result()

    def generate(words: Iterable[str]) -> Iterator[int]:
        for word in words:
            seen.add(1)
            yield price.value[word]

    def resume(words: Iterable[str]) -> list[int]:
        import tests.systems.spark.test_user_code as here

        generated = generate(words)
        first = next(generated)
        return [first, *here.POOL.submit(list, generated).result()]

    assert sc.parallelize(["tea"] * 4, 4).map(look).collect() == [3] * 4
    assert sc.parallelize(["tea"] * 4, 2).mapPartitions(resume).collect() == [3] * 4
    assert seen.value == 8


def test_threads_that_add_at_the_same_time_lose_nothing(sim_context: Any) -> None:
    sc = sim_context(machines=1)

    class Slow(AccumulatorParam[int]):
        def zero(self, value: int) -> int:
            return 0

        def addInPlace(self, value1: int, value2: int) -> int:  # noqa: N802
            import time

            time.sleep(0)  # another thread's turn
            return value1 + value2

    total = sc.accumulator(0, Slow())

    def add(numbers: Iterable[int]) -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(total.add, numbers))

    sc.parallelize([1] * 400, 2).foreachPartition(add)
    assert total.value == 400


# ── exceptions ───────────────────────────────────────────────────────────────────────────────────────────


class BadKey:
    """A key whose methods raise."""

    def __init__(self, method: str, error: str) -> None:
        self.method, self.error = method, error

    def __hash__(self) -> int:
        return throw(self.error) if self.method == "hash" else 1  # type: ignore[no-any-return]

    def __eq__(self, other: object) -> bool:
        return throw(self.error) if self.method == "eq" else self is other  # type: ignore[no-any-return]

    def __lt__(self, other: object) -> bool:
        return throw(self.error)  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return str(throw(self.error))


class BadSum(AccumulatorParam[int]):
    """Adds nothing."""

    def zero(self, value: int) -> int:
        return 0

    def addInPlace(self, value1: int, value2: int) -> int:  # noqa: N802
        return throw("Own") if TaskContext.get() is not None else 0  # type: ignore[no-any-return]


def described(error: BaseException) -> str:
    return f"{type(error).__name__}: {text_of(error)}"


def check_usable(sc: SparkContext) -> None:
    """Every core takes tasks."""
    assert sc.parallelize(range(8), 8).map(lambda x: x + 1).sum() == 36


def test_an_action_names_what_a_function_raised_and_its_line(make_context: MakeContext) -> None:
    sc = make_context(machines=2, max_failures=2)
    for name in MAKERS:
        with pytest.raises(TaskFailed) as caught:
            sc.parallelize([name], 1).map(lambda name: throw(name)).collect()
        message = str(caught.value)
        assert name in message
        assert "in map at test_user_code.py" in message
        assert "in throw" in message or name == "StopIteration"  # which map itself would take for its end
    check_usable(sc)


@pytest.mark.parametrize("name", ["NoText", "Own", "CancelledError", "KeyboardInterrupt"])
def test_in_whatever_place_of_a_task(sim_context: Any, name: str) -> None:
    sc = sim_context(machines=2, max_failures=2)
    bad = sc.accumulator(0, BadSum())
    rows = sc.parallelize(range(4), 2)

    def add(x: int) -> None:
        bad.add(x)

    places = {
        "sortBy": lambda: rows.sortBy(lambda x: throw(name)).collect(),
        "compared": lambda: rows.sortBy(lambda x: BadKey("lt", name)).collect(),
        "hash": lambda: rows.map(lambda x: (BadKey("hash", name), x)).reduceByKey(max).collect(),
        "eq": lambda: rows.map(lambda x: (BadKey("eq", name), x)).partitionBy(2, lambda _: 0)
            .groupByKey(2, lambda _: 0).collect(),
        "partitioner": lambda: rows.map(lambda x: (x, x)).partitionBy(2, lambda key: throw(name)).collect(),
        "combiner": lambda: rows.map(lambda x: (0, x)).reduceByKey(lambda a, b: throw(name)).collect(),
        "result": lambda: rows.map(lambda x: Raising(name)).collect(),
        "shuffled": lambda: rows.map(lambda x: (x, Raising(name))).groupByKey().collect(),
        "cached": lambda: rows.map(lambda x: Raising(name)).persist(StorageLevel.DISK_ONLY).count(),
        "piped": lambda: rows.map(lambda x: throw(name)).pipe("cat").collect(),
        "thread": lambda: rows.mapPartitions(lambda part: ThreadPoolExecutor(1).map(throw, [name])).collect(),
        "foreach": lambda: rows.foreach(lambda x: throw(name)),
    }  # fmt: skip
    for place, action in places.items():
        kinds: tuple[Any, ...] = (TaskFailed, JobFailed)
        if place == "compared":  # where ranges are divided, which the driver does
            kinds += (type(MAKERS[name]()),)
        with pytest.raises(kinds) as caught:
            action()
        assert name in described(caught.value), place
        check_usable(sc)
    with pytest.raises(TaskFailed, match="Own"):
        rows.foreach(add)
    check_usable(sc)


def test_a_function_or_value_that_cannot_be_sent_is_refused(sim_context: Any) -> None:
    sc = sim_context(machines=1)
    bad = Raising("Own")
    with pytest.raises(Exception, match="Own"):
        sc.parallelize([1]).map(lambda x: bad)
    with pytest.raises(Exception, match="Own"):
        sc.broadcast(bad)
    check_usable(sc)


# ── the stop button ──────────────────────────────────────────────────────────────────────────────────────


def test_a_job_that_was_stopped_computes_nothing_more(sim_context: Any) -> None:
    sc = sim_context(machines=2, cores=2)
    for rdd in (sc.parallelize(range(8), 8), sc.parallelize(range(8), 8).keyBy(lambda x: x).groupByKey()):
        started.clear()
        with pytest.raises(KeyboardInterrupt):
            rdd.map(lambda x: here().slow_of(x)).collect()
        check_usable(sc)
        assert len(started) == 1


started: list[int] = []


def here() -> Any:
    import tests.systems.spark.test_user_code as module

    return module


def slow_of(x: Any) -> None:
    started.append(x)
    signal.raise_signal(signal.SIGINT)
    while True:
        pass


def test_a_task_that_waits_for_its_command_can_be_ended() -> None:
    """And with it the thread that feeds the command with what never comes."""
    before = set(threading.enumerate())
    begun = threading.Event()

    def endless() -> Iterator[str]:
        begun.set()
        while True:
            pass
        yield ""

    work = Endable(Cancelled)
    ended: list[BaseException] = []

    def task() -> None:
        try:
            with work.inside():
                list(Pipe(["cat"], {}, check=True)(0, endless()))
        except Cancelled as error:
            ended.append(error)

    thread = threading.Thread(target=task)
    thread.start()
    begun.wait()
    work.end()
    thread.join()
    assert len(ended) == 1
    for each in set(threading.enumerate()) - before:
        each.join()


def test_pipe_gives_each_line_whatever_the_size(sim_context: Any) -> None:
    sc = sim_context(machines=1)
    lines = ["", "x" * 200_000, "ä", ""]
    assert sc.parallelize(lines, 1).pipe("cat").collect() == lines
    assert sc.parallelize(["no end"], 1).pipe("printf 'a\\nb'").collect() == ["a", "b"]
