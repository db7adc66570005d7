"""The fault model, one scripted scenario for each row of its table."""

from __future__ import annotations

import pytest

from labkit.systems.chord import Chord
from tests.systems.chord.conftest import MakeRing, store

VALUES = {f"module-{i}": i for i in range(40)}


def stop_neighbours(ring: Chord, first: int, count: int) -> list[str]:
    """Fail members that follow one another on the circle."""
    victims = ring.nodes[first : first + count]
    for node in victims:
        ring.fail(node)
    return [node.name for node in victims]


def test_join_sets_the_successor_and_stabilize_does_the_rest(make_ring: MakeRing) -> None:
    ring = make_ring(nodes=8)
    store(ring, VALUES)
    new = ring.join(timeout=300)
    assert ring.settle(fingers=False).members == 9
    assert ring.get_many(VALUES) == VALUES
    assert new.name in [node.name for node in ring.nodes]


def test_voluntary_leave_hands_keys_over_and_is_then_a_failure(make_ring: MakeRing) -> None:
    ring = make_ring(nodes=8)
    store(ring, VALUES)
    ring.leave(ring.nodes[3])
    assert ring.get_many(VALUES) == VALUES
    assert ring.settle(fingers=False).members == 7


def test_a_node_failure_is_taken_over_by_the_successor_list(make_ring: MakeRing) -> None:
    ring = make_ring(nodes=12)
    store(ring, VALUES)
    dead = ring.owner("module-0")
    ring.cluster.kill(dead.machine)
    assert ring.get_many(VALUES) == VALUES  # timeouts, detours, and nothing lost
    health = ring.settle(fingers=False)
    assert health.keys == len(VALUES)
    assert not health.scarce
    assert "dead_seen" in {event.kind for event in ring.cluster.trace}


def test_as_many_consecutive_failures_as_a_list_has_entries_break_the_ring(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=12, successors=3, sampling=False)
    stop_neighbours(ring, 4, 3)
    health = ring.health()
    assert not health.ok
    assert next(verdict.name for verdict in health.verdicts if not verdict.holds) == "OneLiveSuccessor"
    detail = next(verdict.detail for verdict in health.verdicts if not verdict.holds)
    assert detail == f"{ring.nodes[3]} ({ring.nodes[3].id}) knows no live successor"
    assert "one too many" in ring.check().suspended
    ring.cluster.run(60.0)
    assert not ring.health().ok  # stabilize alone never finds the way back


def test_one_failure_fewer_does_not(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=12, successors=4)
    stop_neighbours(ring, 4, 3)
    assert ring.health().ok
    assert ring.settle().members == 9


def test_a_long_partition_leaves_two_rings_that_stabilize_cannot_join(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=12, machines=2, successors=4, sampling=False)
    ring.cluster.partition(["m1"], ["m2"])
    ring.cluster.run(60.0)
    ring.cluster.heal()
    ring.cluster.run(60.0)
    broken = {verdict.name: verdict.detail for verdict in ring.health().verdicts if not verdict.holds}
    assert broken["OneOrderedRing"].startswith("2 rings")


def test_sampling_joins_the_two_rings_again(make_ring: MakeRing) -> None:
    ring = make_ring(nodes=12, machines=2, successors=4)
    store(ring, VALUES)
    ring.cluster.partition(["m1"], ["m2"])
    ring.cluster.run(8.0)
    ring.cluster.heal()
    assert ring.settle(fingers=False).members == 12
    assert ring.get_many(VALUES) == VALUES


def test_a_loopy_ring_is_mended_by_sampling(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=12, successors=1, replicas=1, announce=False)
    nodes = [ring.cluster.peek(node.name) for node in ring.nodes]
    for index, node in enumerate(nodes):  # every pointer skips one member: once round is twice round
        node.successors, node.predecessor = (nodes[(index + 2) % 12].peer,), nodes[index - 2].peer
        node._distances = None
    for index in (10, 11):
        nodes[index].successors = (nodes[(index + 3) % 12 if index == 10 else (index + 1) % 12].peer,)
    ring.cluster.run(1.0)
    assert ring.settle(fingers=False).ideal


@pytest.mark.parametrize("replicas", [2, 3])
def test_fewer_failures_than_replicas_lose_no_key(sim_ring: MakeRing, replicas: int) -> None:
    ring = sim_ring(nodes=14, successors=4, replicas=replicas)
    ring.update(VALUES)
    for first in (2, 6):
        stop_neighbours(ring, first, replicas - 1)
        assert ring.get_many(VALUES) == VALUES
        assert not ring.settle(fingers=False).scarce


def test_as_many_failures_as_replicas_lose_keys(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=14, successors=4, replicas=2)
    ring.update(VALUES)
    stop_neighbours(ring, 3, 2)
    ring.settle(fingers=False)
    assert 0 < len(ring) < len(VALUES)


def test_a_paused_node_is_taken_for_dead_and_comes_back(make_ring: MakeRing) -> None:
    ring = make_ring(nodes=8)
    store(ring, VALUES)
    ring.cluster.pause("m2")
    assert ring.get_many(VALUES) == VALUES
    ring["module-0"] = "written meanwhile"
    ring.cluster.resume("m2")
    ring.settle(fingers=False)
    assert ring.get_many(VALUES) == {**VALUES, "module-0": "written meanwhile"}


def test_a_restarted_machine_rejoins(make_ring: MakeRing) -> None:
    ring = make_ring(nodes=8)
    store(ring, VALUES)
    ring.cluster.kill("m1")
    ring["module-1"] = "written meanwhile"
    ring.cluster.restart("m1")
    assert ring.settle(fingers=False).members == 8
    assert ring.get_many(VALUES) == {**VALUES, "module-1": "written meanwhile"}


def test_lost_messages_delay_and_do_not_break(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=8)
    ring.cluster.loss(0.05)
    ring.update(VALUES)
    assert ring.get_many(VALUES) == VALUES
    ring.cluster.run(30.0)
    ring.cluster.loss(0.0)
    assert ring.settle(fingers=False).keys == len(VALUES)


def test_machine_failure_in_the_middle_of_a_busy_client(make_ring: MakeRing) -> None:
    """The story of the first lecture: a machine dies while every key is being looked up."""
    ring = make_ring(nodes=12)
    store(ring, VALUES)

    async def program(client):  # type: ignore[no-untyped-def]
        return [await ring.client_get(client, key) for key in VALUES]

    reading = ring.cluster.submit(program)
    ring.cluster.run(0.02)
    ring.cluster.kill("m3")
    assert reading.result() == list(VALUES.values())
