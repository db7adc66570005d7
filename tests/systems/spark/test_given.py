"""What is given to Spark's calls: numbers of all kinds, no numbers, and what belongs to another context."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from operator import add
from typing import Any

import numpy as np
import pytest

from labkit.runtime.errors import LabError
from labkit.systems.spark import BaseContext, CannotCapture, SingleContext, SparkContext, TaskFailed
from tests.systems.spark.conftest import MakeContext

# ── numbers ──────────────────────────────────────────────────────────────────────────────────────────────


def test_numbers_may_be_numpys(sc: BaseContext) -> None:
    rdd, two = sc.parallelize([(n % 3, n) for n in range(9)], np.int64(4)), np.int64(2)
    for made in (
        rdd.reduceByKey(add, two),
        rdd.sortByKey(numPartitions=two),
        rdd.repartition(two),
        rdd.coalesce(two),
        rdd.partitionBy(two),
    ):
        assert made.getNumPartitions() == 2
        assert made.glom().count() == 2
    assert rdd.sample(False, np.float64(0.5), two).collect() == rdd.sample(False, 0.5, 2).collect()
    assert rdd.takeSample(False, two, two) == rdd.takeSample(False, 2, 2)
    assert [part.collect() for part in rdd.randomSplit(np.array([1, 2]), two)] == [
        part.collect() for part in rdd.randomSplit([1, 2], 2)
    ]
    assert len(rdd.take(two)) == len(rdd.top(two)) == len(rdd.takeOrdered(two)) == 2


NO_NUMBERS: dict[str, tuple[str, Callable[[Any, Any], Any], list[Any]]] = {
    "coalesce": ("numPartitions", lambda rdd, x: rdd.coalesce(x), [0, -1, 2.0, "2", True]),
    "repartition": ("numPartitions", lambda rdd, x: rdd.repartition(x), [0, 2.0, "2"]),
    "reduceByKey": ("numPartitions", lambda rdd, x: rdd.keyBy(str).reduceByKey(add, x), [0, 2.0, "2", True]),
    "sortBy": ("numPartitions", lambda rdd, x: rdd.sortBy(str, numPartitions=x), [0, 2.0, "2"]),
    "parallelize": ("numSlices", lambda rdd, x: rdd.ctx.parallelize([1], x), [0, 2.5, "2"]),
    "take": ("num", lambda rdd, x: rdd.take(x), [2.5, "3", None]),
    "top": ("num", lambda rdd, x: rdd.top(x), [2.5, "3"]),
    "takeOrdered": ("num", lambda rdd, x: rdd.takeOrdered(x), [2.5, "3"]),
    "takeSample": ("num", lambda rdd, x: rdd.takeSample(False, x), [2.5, "3"]),
    "seed of takeSample": ("seed", lambda rdd, x: rdd.takeSample(False, 1, x), [1.5]),
    "seed of sample": ("seed", lambda rdd, x: rdd.sample(False, 0.5, x), [1.5, "a"]),
    "seed of randomSplit": ("seed", lambda rdd, x: rdd.randomSplit([1, 1], x), [1.5, "a"]),
    "sample": ("Fraction", lambda rdd, x: rdd.sample(True, x), [-1, np.nan, np.inf, "0.5", None]),
    "sampleByKey": (
        "fraction of the key",
        lambda rdd, x: rdd.keyBy(str).sampleByKey(True, {"1": x}),
        [-1, np.nan, np.inf, "0.5"],
    ),
    "randomSplit": ("Weights", lambda rdd, x: rdd.randomSplit([x, 1.0]), [-1, np.nan, np.inf, "1"]),
}


@pytest.mark.parametrize("call", NO_NUMBERS)
def test_what_is_no_number_is_refused_by_name(call: str) -> None:
    """Before a task is run: one with an infinite fraction never ended."""
    rdd = SingleContext().parallelize([1, 2, 3], 2)
    name, action, wrong = NO_NUMBERS[call]
    for value in wrong:
        with pytest.raises((TypeError, ValueError), match=f"{name}.*{re.escape(repr(value))}.*write"):
            action(rdd, value)


def test_pairs_of_endless_records(sc: BaseContext) -> None:
    endless = sc.parallelize([0], 1).flatMap(lambda _: itertools.count())
    assert endless.cartesian(sc.parallelize("ab", 1)).take(3) == [(0, "a"), (0, "b"), (1, "a")]


# ── shared variables ─────────────────────────────────────────────────────────────────────────────────────


def test_shared_variables_of_another_context_are_refused(make_context: MakeContext) -> None:
    """Numbers of broadcast variables begin at 0 in each: a function would get another value unnoticed."""
    sc, other = make_context(machines=1), SingleContext()
    assert sc.broadcast("right").id == other.broadcast("x").id
    sc.accumulator(0)
    wrong, total = other.broadcast("wrong"), other.accumulator(0)
    rdd = sc.parallelize([1, 2], 2)
    for action in (
        lambda: rdd.map(lambda x: wrong.value).collect(),
        lambda: rdd.map(lambda x: (x, wrong.value)).groupByKey().count(),
        lambda: rdd.map(lambda x: wrong.value).map(str).count(),
        lambda: rdd.foreach(lambda x: total.add(x)),
        lambda: rdd.reduce(lambda a, b: a + len(wrong.value)),
    ):
        with pytest.raises(CannotCapture, match=r"of another SparkContext.*make it anew with this one"):
            action()
    assert rdd.sum() == 3


def test_a_variable_outlives_a_reset(make_context: MakeContext) -> None:
    sc = make_context(machines=1)
    price, total = sc.broadcast(3), sc.accumulator(0)

    def cost(x: int) -> int:
        total.add(x)
        return x * price.value

    rdd = sc.parallelize([1, 2], 2).map(cost)
    assert rdd.collect() == [3, 6]
    sc.reset()
    assert rdd.collect() == [3, 6]
    assert total.value == 6


def test_a_destroyed_variable_is_named(sim_context: Any) -> None:
    sc: SparkContext = sim_context(machines=1)
    for placed in (lambda rdd: rdd, lambda rdd: rdd.keyBy(str).groupByKey()):
        price = sc.broadcast(3)
        rdd = placed(sc.parallelize([1, 2], 2).map(lambda x, price=price: x * price.value))
        price.destroy()
        with pytest.raises(LabError, match=rf"RDD\[.*broadcast variable {price.id}.*destroyed: make"):
            rdd.collect()
    assert not sc.cluster.trace.filter(kind="task_started")


@pytest.mark.parametrize("seed", range(5))
def test_a_variable_may_be_used_just_after_it_is_unpersisted(sim_context: Any, seed: int) -> None:
    """The message to drop it may come between a task's arrival and its run."""
    sc = sim_context(machines=3, seed=seed, max_failures=1)
    price = sc.broadcast(3)
    plain = sc.parallelize(range(9), 3).map(lambda x: x * price.value)
    sums = sc.parallelize(range(9), 3).keyBy(lambda x: x % 3).reduceByKey(add)
    sums = sums.mapValues(lambda x: x * price.value)
    for _ in range(4):
        assert plain.sum() == 108
        price.unpersist()
        assert sums.values().sum() == 108
        price.unpersist()


def test_a_context_in_a_task_is_refused(make_context: MakeContext) -> None:
    """Also one that a function gets hold of there, and has not captured."""
    sc = make_context(machines=1, max_failures=1)
    rdd = sc.parallelize([1], 1)
    for use in (
        lambda x: SparkContext.getOrCreate().parallelize([x]).count(),
        lambda x: SparkContext("local[1]").stop(),
        lambda x: SingleContext().range(x).count(),
    ):
        with pytest.raises(TaskFailed, match=r"SparkContext exists only in the driver.*code of a task"):
            rdd.map(use).collect()
    assert rdd.count() == 1
