"""Random schedules: whatever joins, leaves, dies or is cut off, the invariants hold, and no key is lost.

200 schedules by default, more with `pytest --schedules 2000`. A failure prints the schedule that Hypothesis
has shrunk.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labkit import Cluster
from labkit.systems.chord import Chord
from labkit.systems.chord.invariants import Pointers, failure_allowed
from tests.systems.chord.conftest import SCHEDULES, judge

#: However many schedules are asked for.
pytestmark = pytest.mark.timeout(max(300, 2 * SCHEDULES))

LENGTH, REPLICAS, MACHINES = 4, 3, 12
KEYS = [f"key-{i}" for i in range(12)]

position = st.integers(0, 99)
pause = st.sampled_from([0.0, 0.002, 0.05, 0.4, 1.5])
change = st.one_of(
    st.tuples(st.just("join"), position),
    st.tuples(st.just("leave"), position),
    st.tuples(st.just("kill"), position),
    st.tuples(st.just("write"), position),
    st.tuples(st.just("read"), position),
)


def schedules(count: int) -> settings:
    """This many examples, however long one takes."""
    return settings(max_examples=count, suppress_health_check=list(HealthCheck))


class World:
    """A ring, what its user has written, and the schedule's steps."""

    def __init__(self, seed: int) -> None:
        self.cluster = Cluster(machines=MACHINES, engine="sim", seed=seed)
        self.ring = Chord(self.cluster, 10, bits=16, successors=LENGTH, replicas=REPLICAS, timeout=0.25)
        self.expected: dict[str, Any] = dict.fromkeys(KEYS, 0)
        self.ring.update(self.expected)
        self.failures = 0

    def join(self, where: int) -> None:
        alive = [machine.name for machine in self.cluster.machines if machine.alive]
        if len(self.ring.nodes) < 20:
            self.ring.start_joining(machine=alive[where % len(alive)])

    def leave(self, where: int) -> None:
        members = [node for node in self.ring.nodes if node.alive and self.joined(node.name)]
        victim = members[where % len(members)]
        if self.allowed([victim]):
            self.ring.leave(victim)

    def kill(self, where: int) -> None:
        """A member stops, if theory allows it and fewer than k have failed since the last repair."""
        members = [node for node in self.ring.nodes if node.alive]
        victim = members[where % len(members)]
        if self.failures < REPLICAS - 1 and self.allowed([victim]):
            self.failures += 1
            self.ring.fail(victim)

    def write(self, where: int) -> None:
        key = KEYS[where % len(KEYS)]
        self.expected[key] += 1
        self.ring[key] = self.expected[key]

    def read(self, where: int) -> None:
        key = KEYS[where % len(KEYS)]
        assert self.ring[key] == self.expected[key]

    def joined(self, name: str) -> bool:
        return bool(self.cluster.peek(name).joined)

    def allowed(self, victims: list[Any]) -> bool:
        members = {}
        for node in self.ring.nodes:
            live = self.cluster.peek(node.name)
            if live.joined:
                before = live.predecessor.id if live.predecessor else None
                members[node.id] = Pointers(before, tuple(peer.id for peer in live.successors))
        gone = [node.id for node in victims]
        return len(members) - len(gone) > LENGTH + 1 and failure_allowed(members, gone, LENGTH)

    def finish(self) -> None:
        """After quiescence: everything exact, and every key as its user left it."""
        self.ring.settle(fingers=False)
        assert self.ring.get_many(KEYS) == self.expected
        judge(self.ring)


@pytest.mark.slow
@schedules(SCHEDULES)
@given(st.integers(0, 2**16), st.lists(st.tuples(change, pause), max_size=12))
def test_always_invariant_and_eventually_ideal(seed: int, steps: list[Any]) -> None:
    world = World(seed)
    try:
        for (what, where), seconds in steps:
            getattr(world, what)(where)
            world.cluster.run(seconds)
            if seconds > 1.0 and world.failures:
                world.ring.settle(fingers=False)
                world.failures = 0
        world.finish()
    finally:
        world.cluster.close()


@pytest.mark.slow
@schedules(max(10, SCHEDULES // 10))
@given(st.integers(0, 2**16), st.integers(1, MACHINES - 1), st.floats(0.1, 20.0), st.booleans())
def test_after_a_partition_there_is_one_ring_again(
    seed: int, size: int, seconds: float, oneway: bool
) -> None:
    world = World(seed)
    try:
        names = [machine.name for machine in world.cluster.machines]
        world.cluster.partition(names[:size], names[size:], oneway)
        world.cluster.run(seconds)
        world.cluster.heal()
        world.finish()
    finally:
        world.cluster.close()


@pytest.mark.slow
@schedules(max(10, SCHEDULES // 10))
@given(st.integers(0, 2**16), st.floats(0.0, 0.5), st.lists(st.tuples(change, pause), max_size=6))
def test_messages_that_arrive_twice_change_nothing(seed: int, twice: float, steps: list[Any]) -> None:
    world = World(seed)
    try:
        world.cluster.duplicate(twice)
        for (what, where), seconds in steps:
            getattr(world, what)(where)
            world.cluster.run(seconds)
        world.finish()
    finally:
        world.cluster.close()


@pytest.mark.slow
@schedules(max(10, SCHEDULES // 10))
@given(st.integers(0, 2**16), st.floats(0.0, 0.1), st.lists(position, max_size=8))
def test_lost_messages_look_like_failures_and_pass(seed: int, loss: float, writes: list[int]) -> None:
    """The theory wants reliable messages: a lost one makes a live node look dead, and two may own a key.

    What remains: the ring becomes ideal again, and every key has a value that was written to it.
    """
    world = World(seed)
    try:
        world.cluster.loss(loss)
        for where in writes:
            world.write(where)
            world.cluster.run(0.3)
        world.cluster.loss(0.0)
        world.ring.settle(fingers=False)
        values = world.ring.get_many(KEYS)
        assert all(0 <= values[key] <= world.expected[key] for key in KEYS)
        judge(world.ring)
    finally:
        world.cluster.close()
