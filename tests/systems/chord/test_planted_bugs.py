"""A checker counts once it has caught the bug: what becomes of written values, with members that break it."""

from __future__ import annotations

from typing import Any

import pytest

from labkit import Cluster
from labkit.systems.chord import Chord
from labkit.systems.chord.store import BlockStore, Copy


def broken(ring: Chord) -> set[str]:
    return {violation.what for violation in ring.check().violations}


def overwritten(cluster: Cluster) -> Chord:
    """A ring in which a key was written twice, and its owner has died."""
    ring = Chord(cluster, nodes=12, successors=4)
    ring["lecture"] = "old"
    assert ring.put("lecture", "new").replicas == 3
    cluster.kill(ring.owner("lecture").machine)
    return ring


def test_a_replica_that_keeps_the_old_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says that it took the copy, so the owner says three, and only the owner has it."""
    merge = BlockStore._merge

    def keep_the_first(self: BlockStore, copies: Any, replica: bool) -> int:
        return merge(self, [copy for copy in copies if not (replica and copy[0] in self.copies)], replica)

    with Cluster(machines=12, engine="sim", seed=7) as cluster:
        ring = overwritten(cluster)
        assert (ring["lecture"], broken(ring)) == ("new", set())
    monkeypatch.setattr(BlockStore, "_merge", keep_the_first)
    with Cluster(machines=12, engine="sim", seed=7) as cluster:
        ring = overwritten(cluster)
        assert ring["lecture"] == "old"
        assert broken(ring) == {"FewerCopies", "KeyLost"}


def test_an_owner_that_counts_copies_it_never_made(monkeypatch: pytest.MonkeyPatch) -> None:
    async def as_many_as_wanted(self: BlockStore, copies: list[Copy]) -> int:
        return self.settings.replicas - 1

    monkeypatch.setattr(BlockStore, "_replicate", as_many_as_wanted)
    with Cluster(machines=12, engine="sim", seed=7) as cluster:
        ring = Chord(cluster, nodes=12, successors=4)
        assert ring.put("lecture", 1).replicas == 3
        assert broken(ring) == {"FewerCopies"}


def test_a_newcomer_that_brings_an_old_value_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever comes last is kept, whichever version it has."""

    def the_last_wins(self: BlockStore, copies: Any, replica: bool) -> int:
        for copy in (Copy(*each) for each in copies):
            self._refreshed[copy.key] = self._round
            self.copies[copy.key] = copy
            self.disk["copy", copy.key] = tuple(copy)
            self.emit("stored", key=copy.key, key_id=copy.key_id, replica=replica, version=copy.version)
        return len(list(copies))

    monkeypatch.setattr(BlockStore, "_merge", the_last_wins)
    with Cluster(machines=12, engine="sim", seed=7) as cluster:
        ring = Chord(cluster, nodes=12, successors=4)
        ring["lecture"] = "old"
        owner = ring.owner("lecture")
        old = tuple(cluster.state(owner.name, "copies")["copies"]["lecture"])
        assert ring.put("lecture", "new").replicas == 3
        holders = {event.node for event in cluster.trace.filter(kind="stored")}
        for name in holders:
            cluster.call(name, "take", [old], True)
        assert ring["lecture"] == "old"
        assert broken(ring) == {"KeyLost"}


def test_what_was_deleted_while_a_holder_was_dead_is_not_lost() -> None:
    """It comes back with an old copy, which is handed back and dropped: the tombstone is newer."""
    with Cluster(machines=12, engine="sim", seed=7) as cluster:
        ring = Chord(cluster, nodes=12, successors=4, stabilize_every=0.25)
        ring["lecture"] = 1
        last = list(cluster.trace.filter(kind="stored"))[-1]
        cluster.kill(cluster.nodes[last.node])
        ring.settle()
        del ring["lecture"]
        for _ in range(20):  # somebody stands between the owner and the one that was dead
            ring.join()
        ring.settle()
        cluster.restart(cluster.nodes[last.node])
        ring.settle()
        cluster.run(60)
        dropped = {event.node for event in cluster.trace.filter(kind="removed", why="handed back")}
        assert last.node in dropped
        assert "lecture" not in ring
        assert broken(ring) == set()


def test_what_is_written_again_at_once_after_a_deletion() -> None:
    """The old copies' removal is told late, when the new value is there already."""
    with Cluster(machines=12, engine="sim", seed=7) as cluster:
        ring = Chord(cluster, nodes=12, successors=4)

        async def program(client: Any) -> None:
            for number in range(20):
                await ring.client_put(client, "lecture", number)
                await ring.client_delete(client, "lecture")
            await ring.client_put(client, "lecture", "last")

        cluster.submit(program).result()
        cluster.kill(ring.owner("lecture").machine)
        assert ring["lecture"] == "last"
        assert broken(ring) == set()


def test_a_write_with_fewer_copies_promises_no_more() -> None:
    """Two of three copies were made, its writer was told so, and both holders have failed."""
    with Cluster(machines=2, engine="sim", seed=7) as cluster:
        ring = Chord(cluster, nodes=2)
        assert ring.put("lecture", 1).replicas == 2
        cluster.kill("m1")
        cluster.kill("m2")
        assert broken(ring) == set()
