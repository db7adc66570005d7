"""Lookups: the path is that of the oracle, and dead nodes are walked round."""

from __future__ import annotations

import pytest

from labkit import Cluster
from labkit.runtime.copying import stream
from labkit.systems.chord import Chord, IdealRing, LookupFailed
from labkit.systems.chord.patience import PATIENCE
from labkit.systems.chord.routing import Found
from tests.systems.chord.conftest import MakeRing

KEYS = [f"key-{i}" for i in range(40)]


def oracle(ring: Chord) -> IdealRing:
    return IdealRing([(node.id, node.name) for node in ring.nodes if node.alive], ring.bits)


@pytest.mark.parametrize("routing", ["recursive", "iterative"])
def test_every_member_finds_the_owner_of_every_key(make_ring: MakeRing, routing: str) -> None:
    ring = make_ring(nodes=12, patient=True, routing=routing)
    truth = oracle(ring)
    for key, node in zip(KEYS, ring.nodes * 4, strict=False):
        found = ring.lookup(key, origin=node)
        assert found.owner == truth.successor(ring.key_id(key)).name
        assert found.path[0] == node.name
        assert found.hops == len(found.path) - 1
        assert found.timeouts == 0


@pytest.mark.parametrize("routing", ["recursive", "iterative"])
def test_with_fingers_alone_the_path_is_that_of_the_paper(sim_ring: MakeRing, routing: str) -> None:
    ring = sim_ring(nodes=64, successors=1, replicas=1, routing=routing, stabilize_every=None)
    truth = oracle(ring)
    for key, node in zip(KEYS, ring.nodes, strict=False):
        path = [peer.name for peer in truth.path(node.id, ring.key_id(key))]
        assert list(ring.lookup(key, origin=node).path) == path


def test_both_styles_visit_the_same_nodes(sim_ring: MakeRing) -> None:
    recursive, iterative = (sim_ring(nodes=40, routing=style) for style in ("recursive", "iterative"))
    for key, node in zip(KEYS, recursive.nodes, strict=False):
        assert recursive.lookup(key, origin=node).path == iterative.lookup(key, origin=node.name).path


def test_a_textbook_ring(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=3, bits=3, ids=[0, 1, 3], successors=2, replicas=1)
    assert {node.id: node.name for node in ring.nodes} == {0: "chord-0", 1: "chord-1", 3: "chord-2"}
    assert ring.health().ideal


@pytest.mark.parametrize("routing", ["recursive", "iterative"])
def test_a_dead_hop_is_walked_round(sim_ring: MakeRing, routing: str) -> None:
    ring = sim_ring(nodes=24, machines=24, routing=routing, stabilize_every=None, timeout=0.25)
    origin = ring.nodes[0]
    key = next(key for key in KEYS if ring.lookup(key, origin=origin).hops >= 1)
    ring.cluster.kill(ring.node(ring.lookup(key, origin=origin).path[1]).machine)
    again = ring.lookup(key, origin=origin)
    assert again.owner == oracle(ring).successor(ring.key_id(key)).name
    assert again.timeouts == 1
    assert again.seconds > 0.25
    assert ring.lookup(key, origin=origin).timeouts == 0  # the node remembers who was silent


@pytest.mark.parametrize("routing", ["recursive", "iterative"])
def test_a_dead_owner_is_passed_over(sim_ring: MakeRing, routing: str) -> None:
    ring = sim_ring(nodes=24, machines=24, routing=routing, stabilize_every=None, timeout=0.25)
    first, origin = ring.owner("lecture"), ring.nodes[0]
    ring.cluster.kill(first.machine)
    found = ring.lookup("lecture", origin=origin if origin != first else ring.nodes[5])
    assert found.owner == oracle(ring).successor(ring.key_id("lecture")).name
    assert found.timeouts >= 1


@pytest.mark.parametrize("routing", ["recursive", "iterative"])
def test_without_detours_a_dead_hop_fails_the_lookup(sim_ring: MakeRing, routing: str) -> None:
    ring = sim_ring(nodes=24, machines=24, routing=routing, stabilize_every=None, detours=False, attempts=1)
    victim = ring.owner("lecture")
    origin = next(node for node in ring.nodes if node != victim)
    ring.cluster.kill(victim.machine)
    with pytest.raises(LookupFailed, match="found no live way"):
        ring.cluster.call(origin.name, "find_successor", ring.key_id("lecture"))


@pytest.mark.parametrize("routing", ["recursive", "iterative"])
def test_a_lookup_with_no_live_way_ends(sim_ring: MakeRing, routing: str) -> None:
    ring = sim_ring(nodes=16, successors=1, replicas=1, routing=routing, stabilize_every=None)
    owner = ring.owner("lecture")
    asked = ring.lookup("lecture", origin=ring.nodes[ring.nodes.index(owner) - 8]).path
    assert len(asked) > 1
    ring.fail(owner)
    lookup = ring.cluster.submit(ring.client_lookup, "lecture", asked[0], False)
    with pytest.raises(LookupFailed, match=r"found no live way to \d+ in 3 attempt"):
        lookup.result()


def test_a_lookup_is_one_span_with_its_hops_in_order(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=24)
    key = next(key for key in KEYS if ring.lookup(key, origin=ring.nodes[3]).hops >= 2)
    start = ring.cluster.trace.count
    found = ring.lookup(key, origin=ring.nodes[3])
    events = [
        event for event in ring.cluster.trace.since(start) if event.node and event.node.startswith("chord")
    ]
    assert len({event.span for event in events}) == 1
    kinds = [event.kind for event in events]
    assert kinds == ["lookup_started", *["hop"] * (found.hops + 1), "lookup_finished"]
    hops = [event for event in events if event.kind == "hop"]
    assert [event.node for event in hops] == list(found.path)
    assert [event.data["n"] for event in hops] == list(range(1, found.hops + 2))
    assert [event.data["final"] for event in hops] == [False] * found.hops + [True]
    assert events[-1].data == {
        "key_id": found.key_id, "owner": found.owner, "hops": found.hops, "timeouts": 0, "path": found.path,
    }  # fmt: skip


def test_a_detour_stays_in_the_span_of_its_lookup(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=24, machines=24, stabilize_every=None)
    victim = ring.owner("lecture")
    ring.cluster.kill(victim.machine)
    start = ring.cluster.trace.count
    ring.lookup("lecture", origin=next(node for node in ring.nodes if node.alive))
    hops = [event for event in ring.cluster.trace.since(start) if event.kind in ("hop", "hop_timed_out")]
    assert "hop_timed_out" in [event.kind for event in hops]
    assert len({event.span for event in hops}) == 1


def test_a_node_that_has_left_answers_no_lookup(sim_ring: MakeRing) -> None:
    from labkit.systems.chord.pointers import NotAMember

    ring = sim_ring(nodes=12)
    node = ring.nodes[4]
    ring.cluster.call(node.name, "leave")
    with pytest.raises(NotAMember, match="is not a member of the ring"):
        ring.cluster.call(node.name, "find_successor", 1)


def test_found_reads_an_answer() -> None:
    assert Found.of((5, "chord-1", 2, "chord-0", "chord-3")) == ((5, "chord-1"), ("chord-0", "chord-3"), 2)


@pytest.mark.slow
@pytest.mark.parametrize("routing", ["recursive", "iterative"])
def test_no_lookup_fails_when_half_of_a_thousand_machines_die(routing: str) -> None:
    """Theorem 8, through the user's own call; an independent simulation counts 5.8 timeouts a lookup."""
    with Cluster(machines=1000, engine="sim", seed=2, trace="off") as cluster:
        ring = Chord.stable(cluster, 1000, successors=20, routing=routing)
        for number in stream(2, "failures").sample(range(1, 1001), 500):
            cluster.kill(f"m{number}")
        truth, found = oracle(ring), [ring.lookup(f"key-{i}") for i in range(150)]
    assert [each.owner for each in found] == [truth.successor(each.key_id).name for each in found]
    assert 4 < sum(each.timeouts for each in found) / len(found) < 7.5
    assert max(each.timeouts for each in found) > 8  # more than the client waits for without a word
    assert max(each.seconds for each in found) < 20


@pytest.mark.parametrize("routing", ["recursive", "iterative"])
def test_no_node_waits_for_one_that_was_silent_before_on_the_route(sim_ring: MakeRing, routing: str) -> None:
    ring = sim_ring(
        nodes=40, machines=40, successors=12, routing=routing, stabilize_every=None, avoid_for=0.0, attempts=1
    )
    for node in ring.nodes[1::2]:
        ring.cluster.kill(node.machine)
    origin = next(node for node in ring.nodes if node.alive)
    for key in KEYS:
        start = ring.cluster.trace.count
        ring.lookup(key, origin=origin)
        silent = [e.data["to"] for e in ring.cluster.trace.since(start) if e.kind == "hop_timed_out"]
        # a member that takes a key over makes sure itself that the one before it is silent
        assert len(silent) - len(set(silent)) <= (routing == "recursive")


def test_the_next_attempt_knows_who_was_silent(sim_ring: MakeRing) -> None:
    """One known member is dead: the first attempt ends there without detours, the second goes round it."""
    ring = sim_ring(nodes=24, machines=24, stabilize_every=None, detours=False, avoid_for=0.0, attempts=2)
    victim = ring.owner("lecture")
    origin = next(node for node in ring.nodes if node != victim)
    ring.cluster.kill(victim.machine)
    found = ring.lookup("lecture", origin=origin)
    assert found.owner == oracle(ring).successor(ring.key_id("lecture")).name


def test_a_lookup_whose_answer_is_lost_begins_anew(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=12, machines=12, stabilize_every=None, trace="messages")
    owner = ring.owner("lecture")
    origin = next(node for node in ring.nodes if ring.lookup("lecture", origin=node).hops >= 1)
    asked = ring.cluster.submit(ring.client_lookup, "lecture", origin.name)
    ring.cluster.run_until(
        lambda: any(e.data["method"] == "answer" for e in ring.cluster.trace.filter(kind="sent")[-3:]),
        every=0.001,
    )
    ring.cluster.partition([owner.machine], [origin.machine], oneway=True)
    ring.cluster.run(1.0)
    ring.cluster.heal()
    found = asked.result()
    assert found.owner == owner.name
    assert found.seconds > PATIENCE * ring.settings.timeout  # it was lost, and nobody had word of it
