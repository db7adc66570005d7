"""The single-thread version against arithmetic done by hand and by walking."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.systems.chord.ids import in_half_open
from labkit.systems.chord.single import IdealRing

BITS = 8
member_ids = st.sets(st.integers(0, 2**BITS - 1), min_size=1, max_size=40)


def ring_of(ids: set[int]) -> IdealRing:
    return IdealRing([(id, f"n{id}") for id in ids], BITS)


def test_figure_3_of_the_paper() -> None:
    ring = IdealRing([(0, "a"), (1, "b"), (3, "c")], bits=3)
    assert [[finger.id for finger in ring.fingers(n)] for n in (0, 1, 3)] == [[1, 3, 0], [3, 3, 0], [0, 0, 0]]
    assert [ring.successor(key).id for key in (1, 2, 6)] == [1, 3, 0]
    assert [peer.id for peer in ring.path(3, 1)] == [3, 0]  # "node 3 … asks node 0 to find successor of 1"


@given(member_ids, st.integers(0, 2**BITS - 1))
def test_successor_is_the_first_member_met_walking(ids: set[int], key: int) -> None:
    here = key
    while here not in ids:
        here = (here + 1) % 2**BITS
    assert ring_of(ids).successor(key).id == here


@given(member_ids, st.integers(0, 2**BITS - 1), st.data())
def test_a_path_ends_at_the_predecessor_and_never_turns_back(
    ids: set[int], key: int, data: st.DataObject
) -> None:
    ring = ring_of(ids)
    origin = data.draw(st.sampled_from(sorted(ids)))
    path = [peer.id for peer in ring.path(origin, key)]
    after = ring.successor((path[-1] + 1) % 2**BITS).id
    assert path[0] == origin
    assert in_half_open(path[-1], key, after)
    assert after == ring.successor(key).id
    assert len(set(path)) == len(path) <= BITS + 1


@given(member_ids, st.integers(0, 2**BITS - 1), st.integers(1, 5))
def test_replicas_are_the_members_that_follow_the_key(ids: set[int], key: int, count: int) -> None:
    clockwise = sorted(ids, key=lambda id: (id - key) % 2**BITS)
    assert [peer.id for peer in ring_of(ids).replicas(key, count)] == clockwise[:count]


def test_no_members() -> None:
    with pytest.raises(ValueError, match="at least one member"):
        IdealRing([], bits=3)


def test_the_same_id_twice() -> None:
    with pytest.raises(ValueError, match="two members have the id 4"):
        IdealRing([(4, "a"), (4, "b")], bits=3)
