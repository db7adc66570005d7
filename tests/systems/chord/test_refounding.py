"""Rings of which little or nothing is left, and rings that begin small."""

from __future__ import annotations

import contextlib
from random import Random

import pytest

from labkit import Cluster, LabError, MachineDead, Timeout
from labkit.systems.chord import Chord
from tests.systems.chord.conftest import MakeRing, store

VALUES = {f"module-{i}": i for i in range(30)}


def kill_all(ring: Chord) -> list[str]:
    machines = [machine.name for machine in ring.cluster.machines if machine.alive]
    for machine in machines:
        ring.cluster.kill(machine)
    return machines


@pytest.mark.parametrize("maintenance", ["correct", "sigcomm2001"])
def test_a_ring_whose_members_all_died_is_founded_again(make_ring: MakeRing, maintenance: str) -> None:
    ring = make_ring(nodes=8, machines=4, maintenance=maintenance)
    store(ring, VALUES)
    for machine in kill_all(ring):
        ring.cluster.restart(machine)
    health = ring.settle(fingers=False)
    assert (health.members, health.keys, health.scarce) == (8, len(VALUES), ())
    assert ring.get_many(VALUES) == VALUES


@pytest.mark.parametrize("maintenance", ["correct", "sigcomm2001"])
@pytest.mark.parametrize("seed", range(12))
def test_in_any_order_it_is_one_ring(sim_ring: MakeRing, seed: int, maintenance: str) -> None:
    """Restarts in any order, some at once; not all come back."""
    random = Random(seed)
    ring = sim_ring(nodes=10, machines=5, seed=seed, maintenance=maintenance)
    ring.update(VALUES)
    machines, start = kill_all(ring), ring.cluster.trace.count
    random.shuffle(machines)
    back = machines[: random.randint(1, 5)]
    for machine in back:
        ring.cluster.restart(machine)
        ring.cluster.run(random.choice([0.0, 0.0, 0.01, 0.3, 4.0]))
    ring.cluster.run(40.0)
    alive = [node for node in ring.nodes if node.alive]
    assert all(ring.cluster.peek(node.name).joined for node in alive)
    joined = [event for event in ring.cluster.trace.since(start) if event.kind == "joined"]
    assert sum(event.data["successor"] == event.node for event in joined) == 1  # one has founded it
    assert ring.settle(fingers=False).members == 2 * len(back)


@pytest.mark.parametrize("maintenance", ["correct", "sigcomm2001"])
@pytest.mark.parametrize("seed", range(8))
def test_one_machine_after_the_other(sim_ring: MakeRing, seed: int, maintenance: str) -> None:
    """A rolling restart that leaves no time for repairs, with joins and leaves: nobody is left behind."""
    random = Random(seed)
    ring = sim_ring(nodes=12, machines=4, seed=seed, successors=3, maintenance=maintenance, sampling=True)
    ring.update(VALUES)
    for machine in random.sample([machine.name for machine in ring.cluster.machines], 4):
        ring.cluster.kill(machine)
        ring.cluster.restart(machine)
        with contextlib.suppress(LabError, ValueError):  # too few have joined to leave them alone
            if random.random() < 0.5:
                ring.join(timeout=5.0)
            else:
                ring.leave(random.choice([node.name for node in ring.nodes if node.alive]))
        ring.cluster.run(random.choice([0.0, 0.1, 1.0]))
    assert ring.settle(fingers=False).members == len(ring.nodes)
    ring["after"] = 1
    assert ring["after"] == 1


def test_who_is_cut_off_from_all_keeps_what_it_knows(sim_ring: MakeRing) -> None:
    """The lab could tell it who lives, but nobody of those can be reached: it waits."""
    ring = sim_ring(nodes=8, machines=4, successors=2)
    ring.cluster.partition(["m1"], ["m2", "m3", "m4"])
    ring.cluster.run(30.0)
    alone = [node.name for node in ring.nodes if node.machine == "m1"]
    others = {node.name for node in ring.nodes} - set(alone)
    assert all({peer.name for peer in ring.cluster.peek(name).successors} for name in alone)
    ring.cluster.heal()
    ring.cluster.run(60.0)
    for name in alone:
        assert {peer.name for peer in ring.cluster.peek(name).successors} & others


def test_nobody_founds_a_ring_beside_a_member_that_is_silent(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=8, machines=4)
    ring.update(VALUES)
    ring.cluster.pause("m1")
    for machine in ("m2", "m3", "m4"):
        ring.cluster.kill(machine)
        ring.cluster.restart(machine)
    ring.cluster.run(20.0)
    assert not any(ring.cluster.peek(node.name).joined for node in ring.nodes if node.machine != "m1")
    ring.cluster.resume("m1")
    assert ring.settle(fingers=False).members == 8
    assert ring.get_many(VALUES) == VALUES


def test_a_join_that_finds_nobody_founds_the_ring_and_the_others_come_to_it(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=6, machines=3)
    ring.update(VALUES)
    kill_all(ring)
    with pytest.raises(MachineDead, match="every machine is dead; restart one"):
        ring.join()
    ring.cluster.restart("m2")
    ring.join()
    for machine in ("m1", "m3"):
        ring.cluster.restart(machine)
    assert ring.settle(fingers=False).members == 7
    assert ring.get_many(VALUES) == VALUES


def test_who_knows_only_dead_members_finds_the_ring_again(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=12, machines=12)
    lonely = ring.nodes[0]
    known = [ring.node(name).machine for name in ring.cluster.peek(lonely.name).contacts]
    for machine in (lonely.machine, *known):
        ring.cluster.kill(machine)
        ring.settle(fingers=False)
    ring.cluster.restart(lonely.machine)
    assert ring.settle(fingers=False).members == 12 - len(known)


def test_a_first_node_that_restarts_does_not_begin_a_second_ring(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=1, machines=3, successors=3, maintenance="sigcomm2001")
    for machine in ("m2", "m3"):
        ring.join(machine=machine)
    ring.settle(fingers=False)
    ring.cluster.kill("m1")
    ring.cluster.restart("m1")
    assert ring.settle(fingers=False).members == 3


def test_of_three_only_one_is_left_and_then_a_new_one(make_ring: MakeRing) -> None:
    ring = make_ring(nodes=3, machines=3, successors=2)
    store(ring, VALUES)
    for machine in ("m1", "m2"):
        ring.cluster.kill(machine)
    assert ring.get_many(VALUES) == VALUES
    assert ring.settle(fingers=False).members == 1
    ring["new"] = 1
    assert "absent" not in ring
    ring.join(timeout=300)
    assert ring.settle(fingers=False).members == 2
    assert ring.get_many(VALUES) == VALUES
    assert ring["new"] == 1


@pytest.mark.parametrize("nodes", [1, 2, 3, 8, 9, 24])
@pytest.mark.parametrize("maintenance", ["correct", "sigcomm2001"])
def test_any_number_of_nodes_will_do(nodes: int, maintenance: str) -> None:
    with Cluster(machines=3, engine="sim", seed=1) as cluster:
        ring = Chord(cluster, nodes=nodes, maintenance=maintenance)
        assert ring.settings.successors == max(1, min(8, nodes - 1))
        assert ring.health().ideal
        assert ring.health().ok
        assert ring.put("lecture", "P2").replicas == min(3, nodes)
        ring.join()
        assert ring.settle().members == nodes + 1
        assert ring["lecture"] == "P2"
        assert ring.check().ok


def test_a_full_circle_takes_nobody_in(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=4, bits=2, successors=2, replicas=2)
    with pytest.raises(ValueError, match=r"all 2\*\*2 ids of the circle are taken"):
        ring.join()
    assert len(ring.nodes) == 4


def test_a_join_that_takes_too_long_says_what_it_waited_for(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=6)
    with pytest.raises(Timeout, match=r"after 0.001 s it is still not so that the ring has taken chord-6 in"):
        ring.join(timeout=0.001)


def test_a_put_looks_the_owner_up_once(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=12, stabilize_every=None, trace="messages")
    ring["lecture"] = "P2"
    asked = [e.data["method"] for e in ring.cluster.trace.filter(kind="sent") if e.node == "client"]
    assert asked == ["lookup", "fetch", "store"]


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


@pytest.mark.slow
def test_half_of_a_thousand_machines_dead_and_no_lookup_fails() -> None:
    """Theorem 8 (SIGCOMM 2001): with lists of log N entries find_successor returns the closest living one."""
    with Cluster(machines=1000, engine="sim", seed=1, trace="off") as cluster:
        ring = Chord.stable(cluster, 1000, successors=20)
        for machine in Random(1).sample([each.name for each in cluster.machines], 500):
            cluster.kill(machine)
        alive = sorted((node.id, node.name) for node in ring.nodes if node.alive)
        for number in range(100):
            found = ring.lookup(f"key-{number}")
            right = next((name for id, name in alive if id >= found.key_id), alive[0][1])
            assert found.owner == right
