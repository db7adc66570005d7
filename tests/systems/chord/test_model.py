"""The facade: what it reports, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from labkit import (
    Cluster,
    Heal,
    LabError,
    MachineDead,
    MachinePaused,
    NameTaken,
    Timeout,
    UnknownMachine,
    UnknownNode,
)
from labkit.runtime.errors import Unpicklable
from labkit.runtime.loop import Loop
from labkit.systems.chord import Chord
from tests.systems.chord.conftest import MakeRing, store


def test_members_in_the_order_of_the_circle(make_ring: MakeRing) -> None:
    ring = make_ring(nodes=12, machines=4)
    assert [node.id for node in ring.nodes] == sorted(ring.ids.values())
    machines = [node.machine for node in ring.nodes]
    assert all(
        len(set(machines[i : i + 3])) == 3 for i in range(10)
    )  # so that one machine never holds all copies
    assert ring.node("chord-3").name == "chord-3"
    assert ring.owner("lecture") in ring.nodes


def test_owner_can_be_killed(make_ring: MakeRing) -> None:
    ring = make_ring(nodes=12)
    store(ring, {"lecture": b"P2"})
    ring.cluster.kill(ring.owner("lecture").machine)
    assert ring["lecture"] == b"P2"
    assert sum(not node.alive for node in ring.nodes) == 3


def test_many_at_a_time(make_ring: MakeRing) -> None:
    ring = make_ring(nodes=12, patient=True)
    stored = ring.put_many({f"k{i}": i for i in range(50)})
    assert [each.key for each in stored] == [f"k{i}" for i in range(50)]
    assert {each.replicas for each in stored} == {3}
    lookups = ring.lookup_many(f"k{i}" for i in range(50))
    assert [each.owner for each in lookups] == [each.owner for each in stored]


def test_a_stable_ring_of_many_nodes() -> None:
    with Cluster(machines=8, engine="sim", trace="off") as cluster:
        ring = Chord.stable(cluster, nodes=2000)
        assert len(ring.nodes) == 2000
        hops = [ring.lookup(f"k{i}").hops for i in range(50)]
        assert 2.0 < sum(hops) / len(hops) < 5.5
        with pytest.raises(ValueError, match="this ring has no maintenance"):
            ring.join()
        with pytest.raises(ValueError, match="settle: this ring has no maintenance"):
            ring.settle()


def test_virtual_nodes_share_the_machine_of_their_node(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=6, virtual_nodes=3)
    assert len(ring.nodes) == 18
    homes = {node.name: node.machine for node in ring.nodes}
    assert len({homes[f"chord-2.{i}"] for i in range(3)}) == 1
    assert ring.health().ideal


def test_two_rings_on_one_cluster(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=6)
    other = Chord(ring.cluster, 6, successors=4, name="second")
    ring["lecture"], other["lecture"] = 1, 2
    assert (ring["lecture"], other["lecture"]) == (1, 2)


def test_health_is_printed_and_shown(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=8)
    ring["lecture"] = 1
    health = ring.health()
    assert str(health).startswith(
        "8 members, ideal; 1 key, 0 with too few copies\n  holds   OneLiveSuccessor"
    )
    assert "<td>OneOrderedRing</td><td>✓ holds</td><td>must hold</td>" in health._repr_html_()
    ring.cluster.kill("m1")
    assert "6 members, stabilising" in str(ring.health())
    assert "to repair:" in str(ring.health())
    for machine in ring.cluster.machines:
        if machine.alive:
            ring.cluster.pause(machine)
    assert "6 members, silent" in str(ring.health())
    for machine in ring.cluster.machines:
        if machine.alive:
            ring.cluster.kill(machine)
    assert "0 members, dead" in str(ring.health())


def test_nodes_have_names_beside_their_ids(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=8, successors=2)
    first, second, third = ring.nodes[:3]
    ring.cluster.remove(second.name)
    health = ring.health()
    named = {node.name: f"{node.name} ({node.id})" for node in (first, second, third)}
    repair = next(line for line in health.differences if line.startswith(named[first.name]))
    assert repair.startswith(
        f"{named[first.name]} has successors ({named[second.name]}, {named[third.name]})"
    )


def test_repr(sim_ring: MakeRing) -> None:
    assert repr(sim_ring(nodes=8)) == "<Chord ring of 8 members (8 alive), correct, recursive>"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nodes": 0}, "nodes=0: a ring needs at least one node; write nodes=24"),
        ({"nodes": "many"}, "nodes='many': a ring needs at least one node"),
        ({"virtual_nodes": 0}, "virtual_nodes=0: each node stands for at least one"),
        ({"bits": 0}, "identifiers of 1 to 160 bits; write bits=32"),
        ({"bits": 3}, r"24 members do not fit on a circle of 2\*\*3 ids"),
        ({"maintenance": "best"}, 'write maintenance="correct" or maintenance="sigcomm2001"'),
        ({"routing": "fast"}, 'write routing="recursive" or routing="iterative"'),
        ({"successors": 0}, "a successor list has at least one entry"),
        (
            {"nodes": 8, "successors": 8},
            r"at least successors \+ 1 = 9; write successors=7",
        ),
        ({"replicas": 10}, "so there are 1 to 9; write replicas=3"),
        ({"replicas": 0}, "so there are 1 to 9; write replicas=3"),
        ({"stabilize_every": 0}, "stabilize_every=0: seconds must be positive"),
        ({"timeout": None}, "timeout=None: seconds must be positive"),
        ({"ids": [1, 2]}, "give 24 different ids"),
        ({"ids": 5}, "ids=5: give 24 different ids"),
        ({"nodes": 3, "ids": [1, 2, "3"]}, "give 3 different ids"),
        ({"nodes": 3, "ids": [1.0, 2, 3]}, "give 3 different ids"),
        ({"name": ""}, "name='': members are called after their ring"),
        ({"name": None}, 'name=None: .*; write name="chord"'),
        ({"name": "two\nlines"}, "members are called after their ring"),
        ({"machines": []}, r"machines=\[\]: a list of at least one machine; write machines=\['m1', 'm2'\]"),
        ({"machines": "m1"}, "machines='m1': a list of at least one machine"),
        ({"virtual_nodes": True}, "virtual_nodes=True: each node stands for at least one"),
        ({"successors": True}, "a successor list has at least one entry"),
        ({"attempts": 0}, "attempts=0: a whole number >= 1; write attempts=1"),
        ({"fingers_per_round": -1}, "fingers_per_round=-1: a whole number >= 0; write fingers_per_round=1"),
        ({"avoid_for": -1}, "avoid_for=-1: seconds, 0 or more"),
        ({"detours": None}, "detours=None: write detours=True or detours=False"),
        ({"sampling": "no"}, "sampling='no': write sampling=True or sampling=False"),
    ],
)
def test_options_that_cannot_work(options: dict[str, Any], message: str) -> None:
    with Cluster(machines=2, engine="sim") as cluster, pytest.raises(ValueError, match=message):
        Chord(cluster, **options)


@pytest.mark.parametrize("routing", ["recursive", "iterative"])
def test_a_ring_whose_name_has_spaces(make_ring: MakeRing, routing: str) -> None:
    ring = make_ring(nodes=12, routing=routing, name="ring ☃ of mine")
    names = {node.name for node in ring.nodes}
    for number in range(10):
        assert names.issuperset(ring.lookup(f"key {number}").path)
    assert ring.join(timeout=300).name == "ring ☃ of mine-12"
    ring.fail(ring.nodes[3])
    assert ring.settle().ideal


def test_two_rings_whose_names_begin_alike(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=8, name="a")
    other = Chord(ring.cluster, nodes=8, name="a-b")
    other.lookup("lecture")
    assert ring.check().lookups == 0
    assert other.check().lookups == 1


def test_an_option_that_does_not_exist() -> None:
    with (
        Cluster(machines=2, engine="sim") as cluster,
        pytest.raises(TypeError, match="Chord has no option 'replica'"),
    ):
        Chord(cluster, replica=3)


def test_keys_are_strings_or_bytes(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=8)
    with pytest.raises(TypeError, match=r"a key is a str or bytes, not 3 of type int; write ring\['3'\]"):
        ring[3] = 1
    with pytest.raises(TypeError, match=r"write ring\[bytes\(bytearray\(b'ab'\)\)\]"):
        ring[bytearray(b"ab")] = 1


def test_a_key_is_text_that_can_be_written_as_bytes(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=8)
    with pytest.raises(ValueError, match=r"'\\ud800' has no UTF-8 .*; write ring\[b'\\xed\\xa0\\x80'\]"):
        ring["\ud800"] = 1
    ring[b"\xed\xa0\x80"] = 1
    assert list(ring) == [b"\xed\xa0\x80"]


def test_a_value_that_cannot_be_sent_is_the_one_that_is_named(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=12)
    with pytest.raises(Unpicklable, match=r"^<generator .* of type builtins.generator cannot be sent"):
        ring["lecture"] = (number for number in range(3))
    ring["lecture"] = [0, 1, 2]
    assert ring["lecture"] == [0, 1, 2]


def test_members_that_do_not_exist(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=8)
    with pytest.raises(UnknownNode, match="'chord-99' is not a member of this ring"):
        ring.leave("chord-99")
    with pytest.raises(UnknownNode, match="is not a member of this ring"):
        ring.lookup("lecture", origin="client")
    with pytest.raises(UnknownMachine, match="there is no machine 'm77'"):
        ring.join(machine="m77")
    assert len(ring.nodes) == 8


def test_a_ring_too_small_to_leave(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=5, successors=4)
    with pytest.raises(
        ValueError, match=r"chord-0 cannot leave: 4 members would remain, .* needs 5; join others first"
    ):
        ring.leave("chord-0")


@pytest.mark.parametrize("maintenance", ["correct", "sigcomm2001"])
def test_who_is_only_joining_is_no_member_that_would_remain(sim_ring: MakeRing, maintenance: str) -> None:
    ring = sim_ring(nodes=1, successors=1, maintenance=maintenance)
    ring["lecture"] = "P2"
    ring.start_joining()
    ring.start_joining()
    with pytest.raises(ValueError, match="chord-0 cannot leave: 0 members would remain"):
        ring.leave("chord-0")
    assert ring["lecture"] == "P2"
    ring.settle()


def test_a_ring_without_members(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=2, successors=1)
    for member in ring.nodes:
        ring.fail(member)
    with pytest.raises(LabError, match=r"the ring has no member any more; start one: ring\.join\(\)"):
        ring["lecture"]
    ring.join()
    ring["lecture"] = "P2"
    assert ring["lecture"] == "P2"


def test_every_machine_dead(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=8, machines=3, name="ring")
    small = Chord(ring.cluster, 3, machines=["m2", "m3"])
    for machine in ("m2", "m3"):
        ring.cluster.kill(machine)
    with pytest.raises(MachineDead, match=r"every machine of the ring is dead; restart one: .*'m[23]'"):
        small["lecture"]
    ring.cluster.kill("m1")
    with pytest.raises(MachineDead, match="every machine of the ring is dead; restart one"):
        ring["lecture"]


def test_a_ring_that_cannot_answer_says_so(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=8, machines=2)
    ring.give_up_after = 5.0
    ring.cluster.partition(["client"], ["m1", "m2"])
    with pytest.raises(
        Timeout, match=r"the read of 'lecture' did not succeed within 5 s; the last try failed with Timeout"
    ):
        ring["lecture"]


def test_timeouts_that_last_longer_on_an_overloaded_host_leave_as_many_tries(
    sim_ring: MakeRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A silence is noticed after 44 s there, so that two tries would use up the minute."""
    ring = sim_ring(nodes=8)
    ring["lecture"] = b"P2"
    monkeypatch.setattr(Loop, "grace", lambda _, delay: 20.0)
    ring.cluster.partition(["client"], ["m1", "m2", "m3", "m4"])
    ring.cluster.play([(ring.cluster.now + 80.0, Heal())])
    assert ring["lecture"] == b"P2"


def test_a_ring_that_does_not_settle_says_what_is_wrong(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=12, successors=2, sampling=False)
    for node in ring.nodes[4:6]:
        ring.fail(node)
    with pytest.raises(Timeout, match=r"the ring is not ideal after 10 s:\n10 members, broken"):
        ring.settle(timeout=10.0)


def test_a_ring_that_could_not_start_leaves_nothing_behind(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(machines=3)
    cluster.kill("m1")
    with pytest.raises(MachineDead, match="m1 is dead"):
        Chord(cluster, 8, machines=["m1", "m2"])
    assert not cluster.nodes
    ring = Chord(cluster, 8)
    ring["lecture"] = b"P2"
    assert ring["lecture"] == b"P2"


def test_the_same_cell_twice(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=8)
    with pytest.raises(NameTaken, match="there is a ring 'chord' on this cluster already: go on with it"):
        Chord(ring.cluster, nodes=8)
    assert len(ring.nodes) == 8


def test_no_machine_to_start_on() -> None:
    with Cluster(machines=1, engine="sim") as cluster:
        cluster.kill("m1")
        with pytest.raises(MachineDead, match="every machine is dead; restart one"):
            Chord(cluster, nodes=3)


def test_a_lookup_does_not_begin_at_a_dead_member(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=8)
    origin = ring.nodes[0]
    ring.cluster.kill(origin.machine)
    with pytest.raises(
        MachineDead, match=f"{origin} is on {origin.machine}, which is dead; begin at another"
    ):
        ring.lookup("lecture", origin=origin)


def test_pairs_are_put_as_update_takes_them(sim_ring: MakeRing) -> None:
    ring = sim_ring(nodes=8)
    assert len(ring.put_many([("a", 1), ("b", 2)])) == 2
    assert ring.get_many(["a", "b"]) == {"a": 1, "b": 2}
    with pytest.raises(UnknownNode, match=r"\['chord-0'\] is not a member of this ring"):
        ring.fail(["chord-0"])  # type: ignore[arg-type]


def test_who_leaves_after_the_client_has_given_up_has_left(make_ring: MakeRing) -> None:
    ring = make_ring(nodes=12)
    store(ring, {f"key {number}": number for number in range(20)})
    ring.give_up_after = 1.0
    leaving = ring.nodes[0]
    ring.cluster.pause(leaving.machine)
    with pytest.raises(MachinePaused, match="is paused and will carry it out after"):
        ring.leave(leaving)
    ring.give_up_after = 60.0
    ring.cluster.resume(leaving.machine)

    def has_left() -> bool:
        ring.health()  # who has left says so
        return leaving.name not in [node.name for node in ring.nodes]

    ring.cluster.run_until(has_left, timeout=300)
    assert ring.settle().ideal
    assert len(ring) == 20
