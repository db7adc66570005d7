"""The layers of Fig. 1: a ring stands without a store, and says what becomes of its keys."""

from __future__ import annotations

from labkit import Cluster
from labkit.systems.chord.correct import Correct
from labkit.systems.chord.nodes import ChordNode, Settled
from labkit.systems.chord.options import Settings
from labkit.systems.chord.routing import Found
from labkit.systems.chord.single import IdealRing


class Ring(ChordNode):
    """A ring and nothing above it but a note of the upcalls."""

    maintained_by = Correct

    def keys_changed(self) -> None:
        self.emit("responsible", after=self.predecessor.id if self.predecessor else None)


def test_a_ring_without_a_store_says_whose_keys_have_changed() -> None:
    settings = Settings(bits=8, successors=2)
    members = IdealRing([(id, f"n{id}") for id in (10, 60, 110, 160, 210)], 8)
    with Cluster(machines=6, engine="sim") as cluster:
        for number, peer in enumerate(members.peers, 1):
            settled = Settled(
                members.predecessor(peer.id), tuple(members.successors(peer.id, 2)), (None,) * 8
            )
            cluster.spawn(Ring, peer.id, settings, settled, name=peer.name, machine=f"m{number}")
        cluster.spawn(Ring, 100, settings, None, ("n10",), name="n100", machine="m6")
        cluster.run(10)
        assert Found.of(cluster.call("n10", "find_successor", 95)).owner.name == "n100"
        cluster.kill("m2")
        cluster.run(10)
        assert Found.of(cluster.call("n10", "find_successor", 55)).owner.name == "n100"
        told = [(e.node, e.data["after"]) for e in cluster.trace.filter(kind="responsible")]
    assert [after for node, after in told if node == "n110"] == [100]
    assert [after for node, after in told if node == "n100"] == [60, None, 10]
