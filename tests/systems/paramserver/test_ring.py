"""The ring: every key has one master, its copies are elsewhere, and a death moves little."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.systems.paramserver.ring import WHOLE, View, cut, place
from labkit.systems.paramserver.vectors import VectorSpec

NAMES = [f"server-{number}" for number in range(6)]


@given(st.integers(1, 6), st.integers(0, 3), st.integers(1, 8))
def test_ranges_follow_one_another_and_chains_have_no_server_twice(
    servers: int, replicas: int, virtual: int
) -> None:
    ranges = place(NAMES[:servers], replicas, virtual)
    assert ranges[0].lo == 0
    assert ranges[-1].hi == WHOLE
    assert all(a.hi == b.lo and a.chain != b.chain for a, b in pairwise(ranges))
    assert all(len(set(r.chain)) == len(r.chain) == min(replicas + 1, servers) for r in ranges)


@given(st.integers(2, 6), st.integers(1, 3), st.integers(1, 8), st.integers(0, 5))
def test_the_successor_in_the_chain_is_the_next_master(
    servers: int, replicas: int, virtual: int, dead: int
) -> None:
    """What the ring wants without a server is what its chains are without it: a death moves no master."""
    names = NAMES[:servers]
    gone = names[dead % servers]
    after = place([name for name in names if name != gone], replicas, virtual)
    for range_ in place(names, replicas, virtual):
        left = tuple(name for name in range_.chain if name != gone)
        assert all(piece.chain[0] == left[0] for piece in cut(range_, after))


@given(st.integers(1, 1 << 62), st.data())
def test_every_key_is_in_one_range(size: int, data: st.DataObject) -> None:
    vector = VectorSpec("v", size)
    view = View(1, tuple(place(NAMES[:3], 1, 4)), {"v": vector})
    key = data.draw(st.integers(0, size - 1))
    holding = []
    for range_ in view.ranges:
        first, end = vector.keys_in(range_.lo, range_.hi)
        if first <= key < end:
            holding.append(range_)
    assert holding == view.covering(vector, key, key)


@pytest.mark.parametrize("virtual", [16, 64])
def test_virtual_servers_even_out_the_load(virtual: int) -> None:
    load = dict.fromkeys(NAMES, 0)
    for range_ in place(NAMES, 0, virtual):
        load[range_.chain[0]] += range_.hi - range_.lo
    assert max(load.values()) < (2.5 if virtual == 16 else 1.7) * WHOLE / len(NAMES)
