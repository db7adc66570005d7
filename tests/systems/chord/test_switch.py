"""The maintenance protocol can be switched while the ring runs; pointers and keys stay."""

import pytest

from labkit import Timeout
from labkit.systems.chord import Chord


def protocol(cluster, ring):
    return {cluster.state(node.name, "maintenance")["maintenance"] for node in ring.nodes if node.alive}


def switch(ring, maintenance):
    """As the error of a member that is slow to answer says: call switch again."""

    def switched():
        try:
            ring.switch(maintenance)
        except Timeout:
            return False
        return True

    ring.cluster.run_until(switched, timeout=300)


def test_all_members_follow_and_keep_their_keys(make_cluster):
    cluster = make_cluster(machines=3, seed=3)
    ring = Chord(cluster, nodes=9, successors=4)
    ring.update({f"key {number}": number for number in range(30)})
    ring.settle(fingers=False)
    assert protocol(cluster, ring) == {"correct"}
    switch(ring, "sigcomm2001")
    assert ring.maintenance == "sigcomm2001"
    assert protocol(cluster, ring) == {"sigcomm2001"}
    assert all(ring[f"key {number}"] == number for number in range(30))
    switch(ring, "correct")
    ring.settle(fingers=False)
    cluster.kill("m2")
    ring.settle(fingers=False)
    assert protocol(cluster, ring) == {"correct"}
    assert all(ring[f"key {number}"] == number for number in range(30))


@pytest.mark.parametrize("engine", ["sim"], indirect=True)
def test_a_restarted_member_follows_the_protocol_it_was_switched_to(make_cluster):
    cluster = make_cluster(machines=3, seed=3)
    ring = Chord(cluster, nodes=9, successors=4)
    ring.switch("sigcomm2001")
    cluster.kill("m1")
    cluster.run(5)
    cluster.restart("m1")
    cluster.run(20)
    assert protocol(cluster, ring) == {"sigcomm2001"}
    newcomer = ring.join()
    assert cluster.peek(newcomer.name).maintenance == "sigcomm2001"


@pytest.mark.parametrize("engine", ["sim"], indirect=True)
def test_unknown_protocol(make_cluster):
    ring = Chord(make_cluster(machines=1), nodes=4, successors=2)
    with pytest.raises(ValueError, match="maintenance is one of 'correct', 'sigcomm2001', not 'chord'"):
        ring.switch("chord")
    frozen = Chord(make_cluster(machines=1), nodes=4, successors=2, stabilize_every=None, name="frozen")
    with pytest.raises(ValueError, match="switch: this ring has no maintenance"):
        frozen.switch("correct")


@pytest.mark.parametrize("engine", ["sim"], indirect=True)
@pytest.mark.parametrize("there", ["correct", "sigcomm2001"])
@pytest.mark.parametrize("what", ["kill", "leave", "join"])
def test_no_round_in_progress_is_hurt(make_cluster, there, what):
    back = "sigcomm2001" if there == "correct" else "correct"
    for seed in range(20):
        cluster = make_cluster(machines=4, seed=seed)
        ring = Chord(cluster, nodes=12, successors=4, maintenance=there, timeout=0.25)
        if what == "kill":
            cluster.kill("m2")
            cluster.run(0.3)
        elif what == "leave":
            ring.leave(ring.nodes[seed % 12])
        else:
            newcomer = ring.start_joining()
            cluster.run(0.01)
        ring.switch(back)
        cluster.run(3.0)  # a crash of any node would be raised here
        assert len(protocol(cluster, ring)) == 1
        if what == "join":
            assert cluster.peek(newcomer.name).joined
        ring.switch(there)
        assert ring.settle(fingers=False).ideal


@pytest.mark.parametrize("maintenance", ["correct", "sigcomm2001"])
def test_a_switch_waits_for_the_round_in_progress(make_cluster, maintenance):
    """A machine is silent, so that rounds take long; the switch comes in the middle of them."""
    cluster = make_cluster(machines=4, seed=3)
    ring = Chord(cluster, nodes=12, successors=4, maintenance=maintenance, stabilize_every=0.2)
    cluster.kill("m2")
    other = "sigcomm2001" if maintenance == "correct" else "correct"
    for name in (other, maintenance, other):
        cluster.run(0.3)
        switch(ring, name)
    assert ring.settle(fingers=False).members == 9
    assert len(protocol(cluster, ring)) == 1
