"""Keys and their copies: versions, tombstones, replicas, moving."""

from __future__ import annotations

import pytest

from labkit import Duplicate
from labkit.systems.chord import Chord, IdealRing, NoHeir, NotResponsible
from labkit.systems.chord.store import Copy
from tests.systems.chord.conftest import MakeRing, store


def holders(ring: Chord, key: str) -> list[str]:
    """Who holds a live copy, in the order of the circle from the key on (simulator)."""
    alive = [node for node in ring.nodes if node.alive]
    found = [node.name for node in alive if key in ring.cluster.peek(node.name).copies]
    truth = IdealRing([(node.id, node.name) for node in alive], ring.bits)
    order = [peer.name for peer in truth.replicas(ring.key_id(key), len(alive))]
    return sorted(found, key=order.index)


def test_a_dictionary(make_ring: MakeRing) -> None:
    ring = make_ring(nodes=12, patient=True)
    ring["lecture"] = b"P2"
    ring["lecture"] = {"room": 3}
    ring.update({f"k{i}": i for i in range(20)})
    assert ring["lecture"] == {"room": 3}
    assert len(ring) == 21
    assert sorted(ring) == sorted(["lecture", *(f"k{i}" for i in range(20))])
    assert ring.get_many(["k3", "k4"]) == {"k3": 3, "k4": 4}
    del ring["lecture"]
    assert "lecture" not in ring
    assert ring.get("lecture") is None
    with pytest.raises(KeyError, match="lecture"):
        ring["lecture"]
    with pytest.raises(KeyError, match="lecture"):
        del ring["lecture"]
    ring["lecture"] = "again"
    assert ring["lecture"] == "again"


def test_a_write_goes_to_the_successor_and_the_next_two(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=12, replicas=3)
    stored = ring.put("lecture", 1)
    truth = IdealRing([(node.id, node.name) for node in ring.nodes], ring.bits)
    assert (stored.replicas, stored.wanted) == (3, 3)
    assert holders(ring, "lecture") == [peer.name for peer in truth.replicas(ring.key_id("lecture"), 3)]


def test_a_write_says_when_too_few_took_it(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=5, machines=5, successors=2, replicas=3, stabilize_every=None)
    owner = ring.owner("lecture")
    for node in [node for node in ring.nodes if node != owner][:]:
        if node.name in {peer.name for peer in ring.cluster.peek(owner.name).successors[:1]}:
            ring.cluster.kill(node.machine)
    stored = ring.put("lecture", 1)
    assert (stored.replicas, stored.wanted) == (2, 3)


def test_the_larger_version_stays(sim_ring: MakeRing) -> None:
    ring = sim_ring()
    ring["lecture"] = "new"
    ring["lecture"] = "newest"
    owner = ring.owner("lecture").name
    late = Copy("lecture", ring.key_id("lecture"), "old", (1, "client:1"))
    assert ring.cluster.call(owner, "store", [late]) == [3]  # accepted, and without effect
    assert ring["lecture"] == "newest"


def test_a_late_copy_does_not_bring_a_deleted_value_back(sim_ring: MakeRing) -> None:
    ring = sim_ring()
    ring["lecture"] = "value"
    before = ring.cluster.peek(ring.owner("lecture").name).copies["lecture"]
    del ring["lecture"]
    for node in ring.nodes:
        ring.cluster.call(node.name, "take", [before], True)
    ring.cluster.run(30.0)
    assert "lecture" not in ring


def test_messages_that_arrive_twice_write_once(sim_ring: MakeRing) -> None:
    ring = sim_ring()
    ring.cluster.inject(Duplicate(0.5))
    for round in range(3):
        ring.put_many({f"k{i}": (round, i) for i in range(20)})
    ring.cluster.run(5.0)
    assert ring.get_many([f"k{i}" for i in range(20)]) == {f"k{i}": (2, i) for i in range(20)}


def test_only_the_owner_answers_for_a_key(sim_ring: MakeRing) -> None:
    ring = sim_ring()
    other = next(node for node in ring.nodes if node != ring.owner("lecture"))
    with pytest.raises(NotResponsible, match="does not own 'lecture' now; look it up again"):
        ring.cluster.call(other.name, "fetch", "lecture", ring.key_id("lecture"))


def test_a_joining_node_has_its_keys_before_anybody_is_sent_to_it(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=8, replicas=1)
    values = {f"k{i}": i for i in range(60)}
    ring.update(values)
    joined = [ring.start_joining().name for _ in range(4)]
    for _ in range(60):
        assert ring.get_many(values) == values
        ring.cluster.run(0.1)
    moved = [
        event for event in ring.cluster.trace.filter(kind="moved", why="join") if event.data["to"] in joined
    ]
    assert sum(event.data["count"] for event in moved) > 0
    assert ring.settle().keys == 60


def test_a_leaving_node_hands_its_keys_over(make_ring: MakeRing) -> None:
    # Of a key's only copy nothing is seen while its holder is taken for dead: only who stands still for long.
    ring = make_ring(nodes=8, replicas=1, timeout=5.0)
    values = {f"k{i}": i for i in range(30)}
    ring.update(values)
    leaver = ring.owner("k0")
    assert ring.leave(leaver) > 0
    assert ring.get_many(values) == values
    assert leaver.name not in [node.name for node in ring.nodes]


def test_who_finds_nobody_to_take_its_keys_stays(make_ring: MakeRing) -> None:
    ring = make_ring(nodes=5, machines=5, successors=3, replicas=1, timeout=1.5)
    values = {f"k{i}": i for i in range(30)}
    store(ring, values)
    leaver = ring.owner("k0")
    others = [machine for machine in ring.cluster.machines if machine.name != leaver.machine]
    ring.cluster.partition(leaver.machine, others)
    with pytest.raises(NoHeir, match=rf"{leaver.name} stays: no member .* taken its \d+ copies; try again"):
        ring.leave(leaver)
    ring.cluster.heal()
    assert ring.settle().keys == len(values)
    assert ring.leave(leaver) > 0
    ring.settle(fingers=False)
    assert ring.get_many(values) == values


def test_copies_that_belong_elsewhere_are_handed_back_and_dropped(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=8, replicas=2)
    ring.update({f"k{i}": i for i in range(30)})
    for _ in range(3):
        ring.join()
    ring.settle()
    ring.cluster.run(80.0)
    for i in range(30):
        assert len(holders(ring, f"k{i}")) == 2


def test_a_restarted_node_offers_what_its_disk_kept(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=6, machines=6, successors=4, replicas=1)
    ring["lecture"] = "P2"
    owner = ring.owner("lecture")
    ring.cluster.kill(owner.machine)
    ring.cluster.run(10.0)
    assert "lecture" not in ring  # one copy only, and its machine is dead
    ring.cluster.restart(owner.machine)
    ring.settle()
    assert ring["lecture"] == "P2"


def test_a_disk_that_returns_late_does_not_bring_old_values_back(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=8, machines=8, replicas=2)
    ring.update({"kept": "old", "gone": "old"})
    machine = ring.owner("kept").machine
    ring.cluster.kill(machine)
    ring["kept"] = "new"
    del ring["gone"]
    ring.settle()
    ring.cluster.restart(machine)
    ring.settle()
    ring.cluster.run(60.0)
    assert ring["kept"] == "new"
    assert "gone" not in ring


def test_a_write_is_waited_for_while_its_owner_goes_round_dead_members(sim_ring: MakeRing) -> None:
    """Eighteen of the owner's twenty successors are dead: making two copies takes nine timeouts."""
    ring = sim_ring(
        nodes=30, machines=30, successors=20, stabilize_every=None, avoid_for=0.0, trace="messages"
    )
    owner = ring.owner("lecture")
    at = ring.nodes.index(owner)
    for node in (ring.nodes * 2)[at + 1 : at + 19]:
        ring.cluster.kill(node.machine)
    assert ring.put("lecture", "P2").replicas == 3
    sent = [event.data for event in ring.cluster.trace.filter(kind="sent")]
    assert sum((each["method"], each["what"]) == ("store", "request") for each in sent) == 1
