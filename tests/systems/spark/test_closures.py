"""What a closure captures, when, and what it must not."""

from __future__ import annotations

import dataclasses
import operator
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from labkit import Cluster
from labkit.runtime.errors import LabError, Unpicklable
from labkit.systems.spark import (
    BaseContext,
    CannotCapture,
    SingleContext,
    SparkContext,
    TaskContext,
    TaskFailed,
)
from labkit.systems.spark.closures import Closure, dumps, loads
from labkit.systems.spark.inside import task_environment
from labkit.systems.spark.stage_code import dump_stage, load_stage
from tests.systems.spark.contexts import context


@pytest.fixture(params=["single", "sim"])
def sc(request: pytest.FixtureRequest) -> Iterator[BaseContext]:
    with context(request.param) as made:
        yield made


def test_values_are_captured_when_the_transformation_is_called(sc: BaseContext) -> None:
    factor = 2
    captured = [10]
    doubled = sc.parallelize([1, 2, 3]).map(lambda x: factor * x + captured[0])
    factor = 100
    captured[0] = 1000
    assert doubled.collect() == [12, 14, 16]


def test_data_is_copied_when_the_rdd_is_made(sc: BaseContext) -> None:
    data = [[1], [2]]
    rdd = sc.parallelize(data)
    data[0].append(99)
    assert rdd.collect() == [[1], [2]]


def test_results_share_nothing_with_what_is_kept(sc: BaseContext) -> None:
    rdd = sc.parallelize([[1], [2]]).cache()
    rdd.collect()[0].append(99)
    assert rdd.collect() == [[1], [2]]


def test_tasks_do_not_share_captured_values(sc: BaseContext) -> None:
    seen: list[int] = []
    lengths = sc.parallelize(range(8), 4).map(lambda x: seen.append(x) or len(seen))
    assert lengths.collect() == [1, 2] * 4
    assert seen == []


def test_zero_values_are_not_shared(sc: BaseContext) -> None:
    rdd = sc.parallelize(range(8), 4)
    collect = (lambda acc, x: acc.append(x) or acc, lambda a, b: a.extend(b) or a)
    assert rdd.aggregate([], *collect) == list(range(8))
    pairs = rdd.map(lambda x: (x % 2, x))
    assert sorted(pairs.aggregateByKey([], *collect).collect()) == [(0, [0, 2, 4, 6]), (1, [1, 3, 5, 7])]
    folded = pairs.mapValues(lambda x: [x]).foldByKey([], lambda a, b: a.extend(b) or a)
    assert sorted(folded.collect()) == [(0, [0, 2, 4, 6]), (1, [1, 3, 5, 7])]


def test_functions_of_many_kinds(sc: BaseContext) -> None:
    rdd = sc.parallelize(["1", "22"])
    assert rdd.map(int).collect() == [1, 22]
    assert rdd.map(str.upper).map(len).collect() == [1, 2]
    assert rdd.map(operator.methodcaller("rjust", 3, "0")).collect() == ["001", "022"]
    assert rdd.map(Prefixed("x")).collect() == ["x1", "x22"]
    assert rdd.map(Prefixed("y").of).collect() == ["y1", "y22"]


class Prefixed:
    """A user's class, which is no part of an installed package."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def __call__(self, text: str) -> str:
        return self.prefix + text

    def of(self, text: str) -> str:
        return self(text)


@dataclasses.dataclass(frozen=True)
class Point:
    """A user's record."""

    x: int
    y: int


def test_records_of_the_users_classes(sc: BaseContext) -> None:
    points = sc.parallelize([Point(1, 2), Point(3, 4), Point(1, 2)], 3)
    assert points.map(lambda p: isinstance(p, Point)).collect() == [True] * 3
    assert points.map(lambda p: Point(p.y, p.x)).collect()[1] == Point(4, 3)
    assert sorted(points.countByValue().items(), key=lambda item: item[0].x) == [
        (Point(1, 2), 2),
        (Point(3, 4), 1),
    ]
    assert sorted(points.distinct().map(lambda p: p.x).collect()) == [1, 3]
    assert isinstance(points.first(), Point)


def test_an_rdd_in_a_closure_is_refused_at_once(sc: BaseContext) -> None:
    numbers = sc.parallelize([1, 2])
    with pytest.raises(
        CannotCapture, match=r"variable 'numbers', which is a ParallelCollectionRDD.*collect\(\)"
    ):
        sc.parallelize([1]).map(lambda x: numbers.count() + x)


def test_a_context_in_a_closure_is_refused_at_once(sc: BaseContext) -> None:
    with pytest.raises(CannotCapture, match=r"variable 'sc', which is a .*Context.*only in the driver"):
        sc.parallelize([1]).map(lambda x: sc.parallelize([x]).count())


def test_what_hides_an_rdd_is_named(sc: BaseContext) -> None:
    model = Prefixed("x")
    model.inside = {"data": sc.parallelize([1])}

    def helper(x: Any) -> Any:
        return model.inside, x

    with pytest.raises(CannotCapture, match=r"variable 'model.inside', which is a"):
        sc.parallelize([1]).map(lambda x: helper(x))
    with pytest.raises(CannotCapture, match="cannot be used inside a task"):
        sc.parallelize([sc.parallelize([1])])


def test_cluster_and_node_in_a_closure_are_refused() -> None:
    with Cluster(machines=1, engine="sim") as cluster:
        with pytest.raises(CannotCapture, match="variable 'cluster', which is a Cluster"):
            SingleContext().parallelize([1]).map(lambda x: cluster.now + x)
        sc = SparkContext(cluster)
        driver = sc._driver
        with pytest.raises(CannotCapture, match="variable 'driver', which is a Driver"):
            sc.parallelize([1]).map(lambda x: driver.name)


def test_what_cannot_travel_is_refused_at_once() -> None:
    lock = threading.Lock()
    with pytest.raises(Unpicklable, match=r"cannot be sent to other machines.*mapPartitions"):
        SingleContext().parallelize([1]).map(lambda x: lock.locked())
    with pytest.raises(Unpicklable, match="cannot be sent"):
        SingleContext().parallelize([lock])
    with pytest.raises(TypeError, match="expected a function, not 3"):
        SingleContext().parallelize([1]).map(3)


def test_a_stage_holds_what_one_task_computes_and_no_more() -> None:
    sc = SingleContext()
    big = sc.parallelize(range(1000), 2).map(lambda x: (x % 3, x))
    reduced = big.reduceByKey(operator.add).mapValues(lambda x: -x)
    data, broadcasts = dump_stage(reduced, operator.add)
    rdd, what = load_stage(data)
    assert (rdd.id(), what, broadcasts) == (reduced.id(), operator.add, [])
    shuffled = rdd.dependencies()[0].rdd
    assert shuffled.kind == "ShuffledRDD"
    assert shuffled.dependencies()[0].rdd is None
    leaf = sc.parallelize(["x" * 100_000])
    assert len(dump_stage(leaf.map(len), operator.add)[0]) < 2000


def test_the_lineage_of_a_stage_is_small() -> None:
    """The paper: the lineage graphs of its programs are under 10 KB each (section 6)."""
    sc = SingleContext()
    points = sc.parallelize([(1.0, 2.0)], 1).cache()
    for _ in range(10):
        ranks = points.map(lambda p: (p[0], p[1])).reduceByKey(lambda a, b: a + b)
    assert len(dump_stage(ranks, operator.add)[0]) < 10_000


def test_broadcasts_of_a_stage_are_known(sc: BaseContext) -> None:
    table, other = sc.broadcast({1: "one"}), sc.broadcast([])
    named = sc.parallelize([1]).map(lambda x: table.value[x])
    assert dump_stage(named, len)[1] == [table.id]
    assert named.collect() == ["one"]
    assert other.value == []
    table.unpersist()
    assert named.collect() == ["one"]
    table.destroy()
    with pytest.raises(LabError, match="was destroyed"):
        table.value  # noqa: B018
    with pytest.raises(LabError, match="destroyed"):
        sc.parallelize([1]).map(lambda x: table.value[x])


def test_a_task_knows_itself(sc: BaseContext) -> None:
    assert TaskContext.get() is None
    assert sc.parallelize(range(3), 3).map(lambda _: TaskContext.get().partitionId()).collect() == [0, 1, 2]
    contexts = sc.parallelize(range(3), 3).map(lambda _: TaskContext.get()).collect()
    assert len({each.taskAttemptId() for each in contexts}) == 3
    assert [each.attemptNumber() for each in contexts] == [0, 0, 0]


def test_accumulators_are_not_read_in_tasks(sc: BaseContext) -> None:
    total = sc.accumulator(0)
    with pytest.raises(LabError, match="cannot be accessed inside tasks"):
        sc.parallelize([1]).map(lambda x: total.value).collect()


def test_updates_are_collected_per_task() -> None:
    sc = SingleContext()
    total = sc.accumulator(5)
    add = Closure(lambda x: total.add(x))
    with task_environment() as task:
        add(1)
        add(2)
        with task_environment() as inner:
            loads(dumps(add))(10)  # each task has its own copy of what its functions have captured
    assert (task.updates, inner.updates) == ({total.aid: 3}, {total.aid: 10})
    assert total.value == 5


def test_pickles_keep_classes() -> None:
    assert loads(dumps(Point(1, 2))) == Point(1, 2)
    assert loads(dumps([Point, len])) == [Point, len]


def test_a_function_that_cannot_be_loaded_is_an_error_like_any_other() -> None:
    sc = SingleContext()
    rdd = sc.parallelize([1], 1).map(Breaks())
    with pytest.raises(TaskFailed, match=r"(?s)RuntimeError: not here.*in map at test_closures.py"):
        rdd.collect()


class Breaks:
    """Can be pickled, and not be unpickled."""

    def __call__(self, x: int) -> int:
        return x

    def __reduce__(self) -> Any:
        return _break, ()


def _break() -> Any:
    raise RuntimeError("not here")
