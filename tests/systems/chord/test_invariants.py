"""Each invariant on a snapshot that breaks it, and on the ideal ring, which breaks none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.systems.chord.invariants import (
    INVARIANTS,
    Pointers,
    failure_allowed,
    ideal_snapshot,
    judge,
    not_ideal,
    principals,
    rings,
)

RING = ideal_snapshot([0, 10, 20, 30, 40], length=2)


def broken_by(changes: dict[int, tuple[int, ...]], length: int = 2) -> set[str]:
    members = {**RING, **{n: Pointers(RING[n].predecessor, successors) for n, successors in changes.items()}}
    return {verdict.name for verdict in judge(members, length) if not verdict.holds}


@given(st.sets(st.integers(0, 255), min_size=4, max_size=30), st.integers(1, 3))
def test_an_ideal_ring_breaks_nothing(ids: set[int], length: int) -> None:
    members = ideal_snapshot(ids, length)
    assert all(verdict.holds for verdict in judge(members, length))
    assert principals(members) == sorted(ids)
    assert rings(members) == [sorted(ids)]
    assert not_ideal(members, length) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({0: (99, 98)}, "OneLiveSuccessor"),
        ({0: (10, 30), 20: (30, 0), 10: (20, 40), 30: (40, 10)}, "EnoughPrincipals"),
        ({0: (20, 10)}, "OrderedSuccessorLists"),
        ({0: (10, 10)}, "NoDuplicates"),
        ({0: (20, 30), 40: (0, 20)}, "ConnectedAppendages"),
        ({0: (20, 40), 20: (0, 40), 10: (30, 40), 30: (10, 40), 40: (10, 30)}, "OneOrderedRing"),
    ],
)
def test_a_snapshot_that_breaks_it(changes: dict[int, tuple[int, ...]], expected: str) -> None:
    found = broken_by(changes)
    if expected == "ConnectedAppendages":  # 10 hangs beside the ring and still reaches it: allowed
        assert found == set()
    else:
        assert expected in found


def test_a_principal_outside_the_ring() -> None:
    members = {
        0: Pointers(20, (10,)),
        10: Pointers(0, (20,)),
        20: Pointers(10, (0,)),
        25: Pointers(20, (99,)),
    }
    verdicts = {verdict.name: verdict for verdict in judge(members, 1)}
    assert not verdicts["ConnectedAppendages"].holds
    assert "25 cannot reach the ring" in str(verdicts["ConnectedAppendages"])


def test_two_rings_are_seen() -> None:
    two = {**ideal_snapshot([0, 10, 20], 1), **ideal_snapshot([5, 15, 25], 1)}
    assert rings(two) == [[0, 10, 20], [5, 15, 25]]
    assert "2 rings" in INVARIANTS["OneOrderedRing"](two, 1)


def test_a_loop_that_goes_round_twice_is_out_of_order() -> None:
    loopy = {n: Pointers(None, (s,)) for n, s in ((0, 20), (20, 40), (40, 10), (10, 30), (30, 0))}
    assert "out of order" in INVARIANTS["OneOrderedRing"](loopy, 1)


def test_which_failures_are_allowed() -> None:
    assert failure_allowed(RING, [10], length=2)
    assert failure_allowed(RING, [10, 30], length=2)
    assert not failure_allowed(RING, [10, 20], length=2)  # 0 would know nobody
    assert not failure_allowed(RING, [10, 20, 30, 40, 0], length=2)


def test_differences_from_the_ideal_are_told_in_words() -> None:
    members = {**RING, 0: Pointers(None, (10, 30))}
    assert not_ideal(members, 2) == [
        "0 has successors (10, 30), ideal is (10, 20)",
        "0 has predecessor None, ideal is 40",
    ]
