"""Sorting, also of keys that have no order."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.systems.spark import BaseContext, SingleContext
from labkit.systems.spark.partitioners import RangePartitioner


@settings(max_examples=60)
@given(st.lists(st.integers(-20, 20)), st.integers(1, 5), st.integers(1, 6), st.booleans(), st.booleans())
def test_sorting(
    numbers: list[int], slices: int, partitions: int, ascending: bool, reverse_key: bool
) -> None:
    sc = SingleContext()
    pairs = [(n, index) for index, n in enumerate(numbers)]
    key = (lambda k: -k) if reverse_key else None
    rdd = sc.parallelize(pairs, slices).sortByKey(ascending, partitions, key)
    wanted = sorted(pairs, key=lambda pair: (key or (lambda k: k))(pair[0]), reverse=not ascending)
    parts = rdd.glom().collect()
    # Python's sort is stable, and so is ours: also pairs of equal keys are in the order of the input.
    assert [pair for part in parts for pair in part] == wanted
    for n in set(numbers):
        assert sorted(rdd.lookup(n)) == sorted(index for m, index in pairs if m == n)


NAN = float("nan")
PARTLY_ORDERED = {
    "nan": [NAN if n % 3 == 0 else float(n * 37 % 101) for n in range(1, 200)],
    "nan in tuples": [(NAN if n % 3 == 0 else float(n * 37 % 101), n) for n in range(1, 200)],
    "sets": [frozenset({n % 5, n * 7 % 6}) for n in range(200)],
    "nan only": [NAN] * 8,
}


@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize("name", PARTLY_ORDERED)
def test_keys_without_an_order_are_sorted_somehow_and_none_is_lost(
    sc: BaseContext, name: str, ascending: bool
) -> None:
    keys = PARTLY_ORDERED[name]
    pairs = sc.parallelize([(k, n) for n, k in enumerate(keys)], 4).sortByKey(ascending, 5)
    assert sorted(pairs.values().collect()) == list(range(len(keys)))
    if name == "nan":  # the others are in the partitions where they would be without it
        assert pairs.lookup(37.0) == [keys.index(37.0)]
        tops = [max(k for k in part if k == k) for part in pairs.keys().glom().collect()]
        assert tops == sorted(tops, reverse=not ascending)


class Less:
    """Has no more than what sorting needs."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __lt__(self, other: Less) -> bool:
        return self.n < other.n


def test_keys_that_only_know_which_is_less(sc: BaseContext) -> None:
    numbers = [n * 7 % 20 for n in range(20)]
    for ascending in (True, False):
        rdd = sc.parallelize(numbers, 3).sortBy(Less, ascending, 4)
        assert rdd.collect() == sorted(numbers, reverse=not ascending)


def test_keys_that_cannot_be_compared_are_told_what_to_do(sc: BaseContext) -> None:
    rdd = sc.parallelize([3, None, 1], 2)
    with pytest.raises(TypeError, match=r"'<' not supported.*\(x is None, x\)"):
        rdd.sortBy(lambda x: x)
    assert rdd.sortBy(lambda x: (x is None, x)).collect() == [1, 3, None]
    with pytest.raises(ValueError, match="numPartitions=0"):
        rdd.sortBy(str, numPartitions=0)


def test_a_range_partitioner_cuts_sorted_pairs_as_it_places_single_ones() -> None:
    random = Random(3)
    for ascending in (True, False):
        for _ in range(50):
            bounds = sorted(random.randrange(10) for _ in range(random.randrange(5)))
            partitioner = RangePartitioner(bounds, None, ascending)
            pairs = sorted(((random.randrange(12), 0) for _ in range(20)), reverse=not ascending)
            wanted: list[list[Any]] = [[] for _ in range(len(bounds) + 1)]
            for pair in pairs:
                wanted[partitioner(pair[0])].append(pair)
            assert partitioner.split_sorted(pairs, None, ascending) == wanted
