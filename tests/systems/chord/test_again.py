"""Rings that lose all members, or all but one, and come back; protocols changed in the middle of a round;
clients that wait as long as the ring needs."""

from __future__ import annotations

import random

import pytest

from labkit import Cluster, Timeout
from labkit.systems.chord import Chord
from tests.systems.chord.conftest import MakeRing

VALUES = {f"module-{i}": i for i in range(30)}
MACHINES = ("m1", "m2", "m3", "m4")


def kill_all(ring: Chord) -> None:
    for machine in MACHINES:
        ring.cluster.kill(machine)


def test_a_ring_whose_members_all_died_is_founded_again_and_its_keys_return(make_ring: MakeRing) -> None:
    ring = make_ring(nodes=12)
    ring.update(VALUES)
    ring.settle(fingers=False)
    kill_all(ring)
    for machine in ("m3", "m1", "m4", "m2"):
        ring.cluster.restart(machine)
    assert ring.get_many(VALUES) == VALUES
    health = ring.settle(fingers=False)
    assert (health.members, health.keys, health.scarce) == (12, len(VALUES), ())


@pytest.mark.slow
@pytest.mark.parametrize("maintenance", ["correct", "sigcomm2001"])
@pytest.mark.parametrize("seed", range(5))
def test_in_any_order_and_any_number_they_make_one_ring(maintenance: str, seed: int) -> None:
    choose = random.Random(seed)
    with Cluster(machines=4, engine="sim", seed=seed) as cluster:
        ring = Chord(cluster, nodes=12, successors=4, maintenance=maintenance)
        ring.update(VALUES)
        cluster.run(3)
        for machine in choose.sample(MACHINES, 4):
            cluster.kill(machine)
        assert ring.health().keys == 0, "nobody lives who could say what the disks hold"
        back = choose.sample(MACHINES, choose.choice([2, 3, 4]))
        for machine in back:
            cluster.restart(machine)
            cluster.run(choose.choice([0, 0, 0.2, 5]))
        health = ring.settle(fingers=False)
        assert health.members == 3 * len(back)
        if len(back) > 2:  # of three copies on three machines one is left
            assert ring.get_many(VALUES) == VALUES


def test_what_the_disks_hold_is_counted_before_there_is_a_ring(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=12)
    ring.update(VALUES)
    ring.cluster.run(3)
    kill_all(ring)
    ring.cluster.restart("m1")
    health = ring.health()
    assert health.keys > 0
    assert not health.ideal


def test_a_founder_that_dies_is_replaced(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=12)
    ring.update(VALUES)
    ring.cluster.run(3)
    kill_all(ring)
    ring.cluster.restart("m1")
    ring.cluster.restart("m2")
    ring.cluster.kill("m1")
    ring.cluster.restart("m3")
    assert ring.settle(fingers=False).members == 6


def test_a_node_that_restarts_joins_though_all_whom_it_knew_are_dead(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=16, machines=16, successors=4)
    home = ring.nodes[0].machine
    ring.cluster.kill(home)
    ring.settle(fingers=False)
    contacts = ring.cluster.state(ring.nodes[1].name, "contacts")["contacts"]
    assert contacts, "they are given at the start"
    for node in ring.nodes[1:12:2]:
        ring.cluster.kill(node.machine)
        ring.settle(fingers=False)
    ring.cluster.restart(home)
    assert ring.settle(fingers=False).members == 10


def test_the_last_of_all_answers_for_every_key_and_takes_in_others(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=3, machines=3, successors=2)
    ring.update(VALUES)
    ring.cluster.run(5)
    ring.cluster.kill("m1")
    ring.cluster.kill("m2")
    assert ring.get_many(VALUES) == VALUES
    ring.join()
    ring.cluster.restart("m1")
    assert ring.settle(fingers=False).members == 3
    assert ring.get_many(VALUES) == VALUES


@pytest.mark.parametrize("seed", range(20))
def test_a_protocol_can_be_changed_while_a_round_is_under_way(seed: int) -> None:
    with Cluster(machines=4, engine="sim", seed=seed) as cluster:
        ring = Chord(cluster, nodes=16, successors=4, maintenance=("correct", "sigcomm2001")[seed % 2])
        if seed % 3:
            cluster.kill("m2")
        else:
            ring.leave(ring.nodes[seed % 16])
        cluster.run(0.3)
        ring.switch(("sigcomm2001", "correct")[seed % 2])
        cluster.run(3)  # a crash of any node would be raised here
        ring.switch(("correct", "sigcomm2001")[seed % 2])
        assert ring.settle(fingers=False).members == (12 if seed % 3 else 15)


@pytest.mark.slow
def test_half_of_a_thousand_machines_dead_and_no_lookup_fails() -> None:
    """Theorem 8 (SIGCOMM 2001): with lists of log N entries find_successor returns the closest living one."""
    with Cluster(machines=1000, engine="sim", seed=1, trace="off") as cluster:
        ring = Chord.stable(cluster, 1000, successors=20)
        for machine in random.Random(1).sample([each.name for each in cluster.machines], 500):
            cluster.kill(machine)
        alive = sorted((node.id, node.name) for node in ring.nodes if node.alive)
        for number in range(100):
            found = ring.lookup(f"key-{number}")
            right = next((name for id, name in alive if id >= found.key_id), alive[0][1])
            assert found.owner == right


def test_a_write_looks_the_owner_up_once(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=12)
    ring["lecture"] = b"P2"
    assert len(ring.cluster.trace.filter(kind="lookup_started")) == 1


@pytest.mark.parametrize(("nodes", "successors", "replicas"), [(2, 1, 2), (3, 2, 3), (8, 7, 3), (24, 8, 3)])
def test_small_rings_have_lists_that_fit(nodes: int, successors: int, replicas: int) -> None:
    with Cluster(machines=2, engine="sim") as cluster:
        ring = Chord(cluster, nodes=nodes)
        assert (ring.settings.successors, ring.settings.replicas) == (successors, replicas)


def test_a_full_circle_takes_nobody_in(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=4, bits=2, successors=2, replicas=2)
    with pytest.raises(ValueError, match=r"chord-4 cannot join: all 2\*\*2 ids of the circle are taken"):
        ring.join()
    assert len(ring.nodes) == 4


def test_a_join_that_takes_too_long_says_what_was_waited_for(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=12)
    ring.cluster.partition(["m1"], ["m2", "m3", "m4", "client"])
    with pytest.raises(Timeout, match="after 2 s that the ring has taken chord-12 in is still not so"):
        ring.join("m1", timeout=2)
