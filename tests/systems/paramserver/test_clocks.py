"""Range vector clocks against a clock for every key."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from labkit.systems.paramserver.clocks import RangeVectorClock

KEYS = 30
PUSHES = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, KEYS), st.integers(0, KEYS), st.integers(1, 9)),
    max_size=15,
)


def clocks_of(pushes: list[tuple[str, int, int, int]]) -> tuple[RangeVectorClock, dict[str, list[int]]]:
    ranged = RangeVectorClock()
    by_key = {node: [0] * KEYS for node in "ab"}
    for node, lo, hi, t in pushes:
        ranged.set(node, lo, hi, t)
        for key in range(lo, hi):
            by_key[node][key] = max(by_key[node][key], t)
    return ranged, by_key


@given(PUSHES)
def test_they_say_what_a_clock_for_every_key_says(pushes: list[tuple[str, int, int, int]]) -> None:
    ranged, by_key = clocks_of(pushes)
    for node, clocks in by_key.items():
        assert [ranged.get(node, key) for key in range(KEYS)] == clocks


@given(PUSHES, st.integers(0, KEYS), st.integers(0, KEYS), st.integers(1, 9))
def test_a_push_is_news_where_the_clock_is_lower(
    pushes: list[tuple[str, int, int, int]], lo: int, hi: int, t: int
) -> None:
    ranged, by_key = clocks_of(pushes)
    news = [key for a, b in ranged.behind("a", lo, hi, t) for key in range(a, b)]
    assert news == [key for key in range(lo, hi) if by_key["a"][key] < t]


@given(PUSHES, st.integers(0, KEYS), st.integers(0, KEYS))
def test_a_part_of_the_keys_has_the_same_clocks(
    pushes: list[tuple[str, int, int, int]], lo: int, hi: int
) -> None:
    ranged, by_key = clocks_of(pushes)
    piece = ranged.cut(lo, hi)
    for node, clocks in by_key.items():
        assert [piece.get(node, key) for key in range(KEYS)] == [
            clock if lo <= key < hi else 0 for key, clock in enumerate(clocks)
        ]


def test_a_push_splits_a_range_into_three_at_most() -> None:
    clock = RangeVectorClock()
    clock.set("a", 0, 100, 1)
    clock.set("a", 20, 40, 2)
    assert clock.ranges("a") == [(0, 20, 1), (20, 40, 2), (40, 100, 1)]


def test_few_numbers_for_many_keys() -> None:
    """A thousand pushes of the same two ranges by ten workers: twenty clocks."""
    clock = RangeVectorClock()
    for t in range(1, 101):
        for worker in range(10):
            clock.set(worker, 0, 500_000, t)
            clock.set(worker, 500_000, 1_000_000, t + (worker > 100))
    assert clock.size == 10  # and neighbours with equal clocks are one range
