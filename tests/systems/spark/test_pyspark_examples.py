"""What PySpark's documentation shows, method by method: the same calls, the same results.

Every example runs on one thread and on a simulated cluster. Partitions are four by default, as in the
documentation's own runs.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import add
from typing import Any

import pytest

from labkit.systems.spark import BaseContext


def lists(pairs: Any) -> list[Any]:
    """Sorted pairs of a key and its groups as lists."""
    return [(k, tuple(map(list, groups))) for k, groups in sorted(pairs)]


WORDS = [("a", 1), ("b", 1), ("a", 1)]
LETTERS = [("a", 1), ("b", 2), ("1", 3), ("d", 4), ("2", 5)]
LAMB = [
    ("Mary", 1),
    ("had", 2),
    ("a", 3),
    ("little", 4),
    ("lamb", 5),
    ("whose", 6),
    ("fleece", 7),
    ("was", 8),
]
LAMB.append(("white", 9))
NINE = [-5, -4, -3, -2, -1, 1, 2, 3, 4]

Example = Callable[[Any], Any]

EXAMPLES: dict[str, tuple[Example, Any]] = {
    "map": (
        lambda sc: sorted(sc.parallelize(["b", "a", "c"]).map(lambda x: (x, 1)).collect()),
        [("a", 1), ("b", 1), ("c", 1)],
    ),
    "flatMap": (
        lambda sc: sorted(sc.parallelize([2, 3, 4]).flatMap(lambda x: range(1, x)).collect()),
        [1, 1, 1, 2, 2, 3],
    ),
    "flatMap, lists": (
        lambda sc: sorted(sc.parallelize([2, 3, 4]).flatMap(lambda x: [(x, x), (x, x)]).collect()),
        [(2, 2), (2, 2), (3, 3), (3, 3), (4, 4), (4, 4)],
    ),
    "mapPartitions": (
        lambda sc: sc.parallelize([1, 2, 3, 4], 2).mapPartitions(lambda records: [sum(records)]).collect(),
        [3, 7],
    ),
    "mapPartitionsWithIndex": (
        lambda sc: sc.parallelize([1, 2, 3, 4], 4).mapPartitionsWithIndex(lambda p, _: [p]).sum(),
        6,
    ),
    "mapPartitionsWithSplit": (
        lambda sc: sc.parallelize([1, 2, 3, 4], 4).mapPartitionsWithSplit(lambda p, _: [p]).sum(),
        6,
    ),
    "getNumPartitions": (lambda sc: sc.parallelize([1, 2, 3, 4], 2).getNumPartitions(), 2),
    "filter": (lambda sc: sc.parallelize([1, 2, 3, 4, 5]).filter(lambda x: x % 2 == 0).collect(), [2, 4]),
    "distinct": (lambda sc: sorted(sc.parallelize([1, 1, 2, 3]).distinct().collect()), [1, 2, 3]),
    "sample": (lambda sc: 6 <= sc.parallelize(range(100), 4).sample(False, 0.1, 81).count() <= 14, True),
    "takeSample with replacement": (lambda sc: len(sc.parallelize(range(10)).takeSample(True, 20, 1)), 20),
    "takeSample": (lambda sc: len(sc.parallelize(range(10)).takeSample(False, 5, 2)), 5),
    "takeSample of all": (lambda sc: len(sc.parallelize(range(10)).takeSample(False, 15, 3)), 10),
    "union": (
        lambda sc: sc.parallelize([1, 1, 2, 3]).union(sc.parallelize([1, 1, 2, 3])).collect(),
        [1, 1, 2, 3, 1, 1, 2, 3],
    ),
    "+": (lambda sc: (sc.parallelize([1, 1, 2, 3]) + sc.parallelize([4])).collect(), [1, 1, 2, 3, 4]),
    "intersection": (
        lambda sc: (
            sc.parallelize([1, 10, 2, 3, 4, 5]).intersection(sc.parallelize([1, 6, 2, 3, 7, 8])).collect()
        ),
        [1, 2, 3],
    ),
    "repartitionAndSortWithinPartitions": (
        lambda sc: (
            sc.parallelize([(0, 5), (3, 8), (2, 6), (0, 8), (3, 8), (1, 3)])
            .repartitionAndSortWithinPartitions(2, lambda x: x % 2, True)
            .glom()
            .collect()
        ),
        [[(0, 5), (0, 8), (2, 6)], [(1, 3), (3, 8), (3, 8)]],
    ),
    "sortByKey, first": (lambda sc: sc.parallelize(LETTERS).sortByKey().first(), ("1", 3)),
    "sortByKey, one partition": (
        lambda sc: sc.parallelize(LETTERS).sortByKey(True, 1).collect(),
        [("1", 3), ("2", 5), ("a", 1), ("b", 2), ("d", 4)],
    ),
    "sortByKey, two": (
        lambda sc: sc.parallelize(LETTERS).sortByKey(True, 2).collect(),
        [("1", 3), ("2", 5), ("a", 1), ("b", 2), ("d", 4)],
    ),
    "sortByKey, keyfunc": (
        lambda sc: sc.parallelize(LAMB).sortByKey(True, 3, keyfunc=lambda k: k.lower()).keys().collect(),
        ["a", "fleece", "had", "lamb", "little", "Mary", "was", "white", "whose"],
    ),
    "sortBy": (
        lambda sc: sc.parallelize(LETTERS).sortBy(lambda x: x[0]).collect(),
        [("1", 3), ("2", 5), ("a", 1), ("b", 2), ("d", 4)],
    ),
    "sortBy, value": (lambda sc: sc.parallelize(LETTERS).sortBy(lambda x: x[1]).collect(), LETTERS),
    "glom": (lambda sc: sorted(sc.parallelize([1, 2, 3, 4], 2).glom().collect()), [[1, 2], [3, 4]]),
    "cartesian": (
        lambda sc: sorted(sc.parallelize([1, 2]).cartesian(sc.parallelize([1, 2])).collect()),
        [(1, 1), (1, 2), (2, 1), (2, 2)],
    ),
    "groupBy": (
        lambda sc: sorted(
            (k, sorted(group))
            for k, group in sc.parallelize([1, 1, 2, 3, 5, 8]).groupBy(lambda x: x % 2).collect()
        ),
        [(0, [2, 8]), (1, [1, 1, 3, 5])],
    ),
    "pipe": (lambda sc: sc.parallelize(["1", "2", "", "3"]).pipe("cat").collect(), ["1", "2", "", "3"]),
    "collect": (lambda sc: sc.range(5).collect(), [0, 1, 2, 3, 4]),
    "collect, strings": (lambda sc: sc.parallelize(["x", "y", "z"]).collect(), ["x", "y", "z"]),
    "reduce": (lambda sc: sc.parallelize([1, 2, 3, 4, 5]).reduce(add), 15),
    "reduce of a generator": (
        lambda sc: sc.parallelize(2 for _ in range(10)).map(lambda x: 1).cache().reduce(add),
        10,
    ),
    "treeReduce": (
        lambda sc: [sc.parallelize(NINE, 10).treeReduce(add, depth) for depth in (1, 2, 5, 10)],
        [-5, -5, -5, -5],
    ),
    "fold": (lambda sc: sc.parallelize([1, 2, 3, 4, 5]).fold(0, add), 15),
    "aggregate": (
        lambda sc: sc.parallelize([1, 2, 3, 4]).aggregate(
            (0, 0), lambda x, y: (x[0] + y, x[1] + 1), lambda x, y: (x[0] + y[0], x[1] + y[1])
        ),
        (10, 4),
    ),
    "aggregate of nothing": (
        lambda sc: sc.parallelize([]).aggregate(
            (0, 0), lambda x, y: (x[0] + y, x[1] + 1), lambda x, y: (x[0] + y[0], x[1] + y[1])
        ),
        (0, 0),
    ),
    "treeAggregate": (
        lambda sc: [sc.parallelize(NINE, 10).treeAggregate(0, add, add, depth) for depth in (1, 2, 5, 10)],
        [-5, -5, -5, -5],
    ),
    "max": (lambda sc: sc.parallelize([1.0, 5.0, 43.0, 10.0]).max(), 43.0),
    "max, key": (lambda sc: sc.parallelize([1.0, 5.0, 43.0, 10.0]).max(key=str), 5.0),
    "min": (lambda sc: sc.parallelize([2.0, 5.0, 43.0, 10.0]).min(), 2.0),
    "min, key": (lambda sc: sc.parallelize([2.0, 5.0, 43.0, 10.0]).min(key=str), 10.0),
    "sum": (lambda sc: sc.parallelize([1.0, 2.0, 3.0]).sum(), 6.0),
    "count": (lambda sc: sc.parallelize([2, 3, 4]).count(), 3),
    "histogram": (lambda sc: sc.parallelize(range(51)).histogram(2), ([0, 25, 50], [25, 26])),
    "histogram, bounds": (
        lambda sc: sc.parallelize(range(51)).histogram([0, 5, 25, 50]),
        ([0, 5, 25, 50], [5, 20, 26]),
    ),
    "histogram, even bounds": (
        lambda sc: sc.parallelize(range(51)).histogram([0, 15, 30, 45, 60]),
        ([0, 15, 30, 45, 60], [15, 15, 15, 6]),
    ),
    "histogram, strings": (
        lambda sc: sc.parallelize(["ab", "ac", "b", "bd", "ef"]).histogram(("a", "b", "c")),
        (("a", "b", "c"), [2, 2]),
    ),
    "mean": (lambda sc: sc.parallelize([1, 2, 3]).mean(), 2.0),
    "variance": (lambda sc: sc.parallelize([1, 2, 3]).variance(), pytest.approx(2 / 3)),
    "stdev": (lambda sc: sc.parallelize([1, 2, 3]).stdev(), pytest.approx((2 / 3) ** 0.5)),
    "sampleStdev": (lambda sc: sc.parallelize([1, 2, 3]).sampleStdev(), pytest.approx(1.0)),
    "sampleVariance": (lambda sc: sc.parallelize([1, 2, 3]).sampleVariance(), pytest.approx(1.0)),
    "stats, asDict": (
        lambda sc: sc.parallelize([1.0, 2.0, 3.0, 4.0]).stats().asDict(),
        pytest.approx(
            {
                "count": 4,
                "max": 4.0,
                "mean": 2.5,
                "min": 1.0,
                "stdev": 1.2909944487358056,
                "sum": 10.0,
                "variance": 1.6666666666666667,
            }
        ),
    ),
    "countByValue": (
        lambda sc: sorted(sc.parallelize([1, 2, 1, 2, 2], 2).countByValue().items()),
        [(1, 2), (2, 3)],
    ),
    "top": (lambda sc: sc.parallelize([10, 4, 2, 12, 3]).top(1), [12]),
    "top, two": (lambda sc: sc.parallelize([2, 3, 4, 5, 6], 2).top(2), [6, 5]),
    "top, key": (lambda sc: sc.parallelize([10, 4, 2, 12, 3]).top(3, key=str), [4, 3, 2]),
    "takeOrdered": (
        lambda sc: sc.parallelize([10, 1, 2, 9, 3, 4, 5, 6, 7]).takeOrdered(6),
        [1, 2, 3, 4, 5, 6],
    ),
    "takeOrdered, key": (
        lambda sc: sc.parallelize([10, 1, 2, 9, 3, 4, 5, 6, 7], 2).takeOrdered(6, key=lambda x: -x),
        [10, 9, 7, 6, 5, 4],
    ),
    "takeOrdered of nothing": (lambda sc: sc.emptyRDD().takeOrdered(3), []),
    "take": (lambda sc: sc.parallelize([2, 3, 4, 5, 6]).cache().take(2), [2, 3]),
    "take more than there are": (lambda sc: sc.parallelize([2, 3, 4, 5, 6]).take(10), [2, 3, 4, 5, 6]),
    "take from far away": (
        lambda sc: sc.parallelize(range(100), 100).filter(lambda x: x > 90).take(3),
        [91, 92, 93],
    ),
    "first": (lambda sc: sc.parallelize([2, 3, 4]).first(), 2),
    "isEmpty": (lambda sc: [sc.parallelize([]).isEmpty(), sc.parallelize([1]).isEmpty()], [True, False]),
    "collectAsMap": (lambda sc: sc.parallelize([(1, 2), (3, 4)]).collectAsMap(), {1: 2, 3: 4}),
    "keys": (lambda sc: sc.parallelize([(1, 2), (3, 4)]).keys().collect(), [1, 3]),
    "values": (lambda sc: sc.parallelize([(1, 2), (3, 4)]).values().collect(), [2, 4]),
    "reduceByKey": (
        lambda sc: sorted(sc.parallelize(WORDS).reduceByKey(add).collect()),
        [("a", 2), ("b", 1)],
    ),
    "reduceByKeyLocally": (
        lambda sc: sorted(sc.parallelize(WORDS).reduceByKeyLocally(add).items()),
        [("a", 2), ("b", 1)],
    ),
    "countByKey": (lambda sc: sorted(sc.parallelize(WORDS).countByKey().items()), [("a", 2), ("b", 1)]),
    "join": (
        lambda sc: sorted(
            sc.parallelize([("a", 1), ("b", 4)]).join(sc.parallelize([("a", 2), ("a", 3)])).collect()
        ),
        [("a", (1, 2)), ("a", (1, 3))],
    ),
    "leftOuterJoin": (
        lambda sc: sorted(
            sc.parallelize([("a", 1), ("b", 4)]).leftOuterJoin(sc.parallelize([("a", 2)])).collect()
        ),
        [("a", (1, 2)), ("b", (4, None))],
    ),
    "rightOuterJoin": (
        lambda sc: sorted(
            sc.parallelize([("a", 2)]).rightOuterJoin(sc.parallelize([("a", 1), ("b", 4)])).collect()
        ),
        [("a", (2, 1)), ("b", (None, 4))],
    ),
    "fullOuterJoin": (
        lambda sc: sorted(
            sc.parallelize([("a", 1), ("b", 4)]).fullOuterJoin(sc.parallelize([("a", 2), ("c", 8)])).collect()
        ),
        [("a", (1, 2)), ("b", (4, None)), ("c", (None, 8))],
    ),
    "partitionBy": (
        lambda sc: [
            sorted(set(part))
            for part in sc.parallelize([1, 2, 3, 4, 2, 4, 1])
            .map(lambda x: (x, x))
            .partitionBy(2)
            .glom()
            .collect()
        ],
        [[(2, 2), (4, 4)], [(1, 1), (3, 3)]],
    ),
    "combineByKey": (
        lambda sc: sorted(
            sc.parallelize([("a", 1), ("b", 1), ("a", 2)])
            .combineByKey(lambda v: [v], lambda c, v: c.append(v) or c, lambda a, b: a.extend(b) or a)
            .collect()
        ),
        [("a", [1, 2]), ("b", [1])],
    ),
    "aggregateByKey": (
        lambda sc: sorted(
            sc.parallelize([("a", 1), ("b", 1), ("a", 2)])
            .aggregateByKey(
                (0, 0), lambda x, y: (x[0] + y, x[1] + 1), lambda x, y: (x[0] + y[0], x[1] + y[1])
            )
            .collect()
        ),
        [("a", (3, 2)), ("b", (1, 1))],
    ),
    "foldByKey": (lambda sc: sorted(sc.parallelize(WORDS).foldByKey(0, add).collect()), [("a", 2), ("b", 1)]),
    "groupByKey": (
        lambda sc: sorted(sc.parallelize(WORDS).groupByKey().mapValues(len).collect()),
        [("a", 2), ("b", 1)],
    ),
    "groupByKey, lists": (
        lambda sc: sorted(sc.parallelize(WORDS).groupByKey().mapValues(list).collect()),
        [("a", [1, 1]), ("b", [1])],
    ),
    "flatMapValues": (
        lambda sc: (
            sc.parallelize([("a", ["x", "y", "z"]), ("b", ["p", "r"])]).flatMapValues(lambda x: x).collect()
        ),
        [("a", "x"), ("a", "y"), ("a", "z"), ("b", "p"), ("b", "r")],
    ),
    "mapValues": (
        lambda sc: (
            sc.parallelize([("a", ["apple", "banana", "lemon"]), ("b", ["grapes"])]).mapValues(len).collect()
        ),
        [("a", 3), ("b", 1)],
    ),
    "groupWith": (
        lambda sc: lists(
            sc.parallelize([("a", 5), ("b", 6)])
            .groupWith(
                sc.parallelize([("a", 1), ("b", 4)]), sc.parallelize([("a", 2)]), sc.parallelize([("b", 42)])
            )
            .collect()
        ),
        [("a", ([5], [1], [2], [])), ("b", ([6], [4], [], [42]))],
    ),
    "cogroup": (
        lambda sc: lists(sc.parallelize([("a", 1), ("b", 4)]).cogroup(sc.parallelize([("a", 2)])).collect()),
        [("a", ([1], [2])), ("b", ([4], []))],
    ),
    "subtractByKey": (
        lambda sc: sorted(
            sc.parallelize([("a", 1), ("b", 4), ("b", 5), ("a", 2)])
            .subtractByKey(sc.parallelize([("a", 3), ("c", None)]))
            .collect()
        ),
        [("b", 4), ("b", 5)],
    ),
    "subtract": (
        lambda sc: sorted(
            sc.parallelize([("a", 1), ("b", 4), ("b", 5), ("a", 3)])
            .subtract(sc.parallelize([("a", 3), ("c", None)]))
            .collect()
        ),
        [("a", 1), ("b", 4), ("b", 5)],
    ),
    "keyBy": (
        lambda sc: lists(
            sc.parallelize(range(3))
            .keyBy(lambda x: x * x)
            .cogroup(sc.parallelize(zip(range(5), range(5), strict=True)))
            .collect()
        ),
        [(0, ([0], [0])), (1, ([1], [1])), (2, ([], [2])), (3, ([], [3])), (4, ([2], [4]))],
    ),
    "glom of seven in four": (
        lambda sc: sorted(sc.parallelize([1, 2, 3, 4, 5, 6, 7], 4).glom().collect()),
        [[1], [2, 3], [4, 5], [6, 7]],
    ),
    "repartition": (
        lambda sc: [len(sc.parallelize(range(7), 4).repartition(n).glom().collect()) for n in (2, 10)],
        [2, 10],
    ),
    "coalesce": (
        lambda sc: sc.parallelize([1, 2, 3, 4, 5], 3).coalesce(1).glom().collect(),
        [[1, 2, 3, 4, 5]],
    ),
    "zip": (
        lambda sc: sc.parallelize(range(5)).zip(sc.parallelize(range(1000, 1005))).collect(),
        [(0, 1000), (1, 1001), (2, 1002), (3, 1003), (4, 1004)],
    ),
    "zipWithIndex": (
        lambda sc: sc.parallelize(["a", "b", "c", "d"], 3).zipWithIndex().collect(),
        [("a", 0), ("b", 1), ("c", 2), ("d", 3)],
    ),
    "zipWithUniqueId": (
        lambda sc: sc.parallelize(["a", "b", "c", "d", "e"], 3).zipWithUniqueId().collect(),
        [("a", 0), ("b", 1), ("c", 4), ("d", 2), ("e", 5)],
    ),
    "name": (lambda sc: [sc.range(5).name(), sc.range(5).setName("x").name()], [None, "x"]),
    "getStorageLevel": (
        lambda sc: [repr(sc.range(2).getStorageLevel()), str(sc.range(2).getStorageLevel())],
        ["StorageLevel(False, False, False, False, 1)", "Serialized 1x Replicated"],
    ),
    "lookup": (
        lambda sc: [
            rdd.lookup(key)
            for rdd in (lambda rdd: (rdd, rdd.sortByKey()))(sc.parallelize(((n, n) for n in range(1000)), 10))
            for key in (42, 1024)
        ],
        [[42], [], [42], []],
    ),
    "lookup of a tuple": (
        lambda sc: list(sc.parallelize([(("a", "b"), "c")]).groupByKey().lookup(("a", "b"))[0]),
        ["c"],
    ),
    "countApprox": (lambda sc: sc.parallelize(range(1000), 10).countApprox(1000, 1.0), 1000),
    "sumApprox": (
        lambda sc: float(sc.parallelize(range(1000), 10).sumApprox(1000)),
        pytest.approx(499500, rel=0.05),
    ),
    "meanApprox": (
        lambda sc: float(sc.parallelize(range(1000), 10).meanApprox(1000)),
        pytest.approx(499.5, rel=0.05),
    ),
    "countApproxDistinct": (
        lambda sc: 900 < sc.parallelize(range(1000)).map(str).countApproxDistinct() < 1100,
        True,
    ),
    "countApproxDistinct of 20": (
        lambda sc: 16 < sc.parallelize([i % 20 for i in range(1000)]).countApproxDistinct() < 24,
        True,
    ),
    "toLocalIterator": (lambda sc: list(sc.parallelize(range(10)).toLocalIterator()), list(range(10))),
    "parallelize": (
        lambda sc: sc.parallelize([0, 2, 3, 4, 6], 5).glom().collect(),
        [[0], [2], [3], [4], [6]],
    ),
    "parallelize a range": (
        lambda sc: sc.parallelize(range(0, 6, 2), 5).glom().collect(),
        [[], [0], [], [2], [4]],
    ),
    "parallelize strings": (
        lambda sc: sc.parallelize(["a", "b", "c"], 2).glom().collect(),
        [["a"], ["b", "c"]],
    ),
    "range": (
        lambda sc: [sc.range(5).collect(), sc.range(2, 4).collect(), sc.range(1, 7, 2).collect()],
        [[0, 1, 2, 3, 4], [2, 3], [1, 3, 5]],
    ),
    "emptyRDD": (lambda sc: [sc.emptyRDD().collect(), sc.emptyRDD().isEmpty()], [[], True]),
    "union of the context": (
        lambda sc: sc.union([sc.parallelize([1]), sc.parallelize([2]), sc.parallelize([3])]).collect(),
        [1, 2, 3],
    ),
    "runJob": (
        lambda sc: sc.runJob(sc.parallelize(range(6), 3), lambda part: [x * x for x in part]),
        [0, 1, 4, 9, 16, 25],
    ),
    "runJob of some": (
        lambda sc: sc.runJob(sc.parallelize(range(6), 3), lambda part: [x * x for x in part], [0, 2], True),
        [0, 1, 16, 25],
    ),
    "broadcast": (
        lambda sc: (lambda b: [b.value, sc.parallelize([0, 0]).flatMap(lambda x: b.value).collect()])(
            sc.broadcast([1, 2, 3, 4, 5])
        ),
        [[1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 1, 2, 3, 4, 5]],
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(sc: BaseContext, name: str) -> None:
    example, expected = EXAMPLES[name]
    assert example(sc) == expected
