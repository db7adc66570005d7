"""The face of a system."""

from __future__ import annotations

import pytest

from labkit import Cluster
from labkit.systems.filesharing import FileSharing
from labkit.systems.nfs import NFS


def test_what_cannot_be_set_is_refused_and_what_can_is_named() -> None:
    with Cluster(machines=2, engine="sim") as cluster:
        nfs = NFS(cluster, clients=1)
        nfs.consistency = "timeouts"
        with pytest.raises(
            AttributeError,
            match=r"consistancy = 'none' would change nothing: what can be set of this NFS is "
            r"consistency = …, duplicates = …, write_behind = …, set\(…\); what else was chosen stays",
        ):
            nfs.consistancy = "none"  # type: ignore[attr-defined]
        nfs._noted = 1  # type: ignore[attr-defined]  # the system's own
        nfs.reset()
        with pytest.raises(AttributeError, match="hard = False would change nothing"):
            nfs.hard = False  # type: ignore[attr-defined]


def test_a_path_is_text() -> None:
    with Cluster(machines=2, engine="sim") as cluster:
        client = NFS(cluster, clients=1).clients[0]
        with pytest.raises(TypeError, match="mkdir of None: a path is text; write '/folder/name'"):
            client.mkdir(None)  # type: ignore[arg-type]


def test_a_ttl_is_looked_at_when_it_is_set() -> None:
    with Cluster(machines=2, engine="sim") as cluster:
        sharing = FileSharing(cluster, peers=4)
        sharing.ttl = 2
        with pytest.raises(ValueError, match="ttl=-1: a TTL is a byte"):
            sharing.ttl = -1
        assert sharing.ttl == 2


def test_a_subclass_sets_what_it_likes_while_it_is_made() -> None:
    class Mine(NFS):
        def __init__(self, cluster: Cluster) -> None:
            super().__init__(cluster, clients=1)
            self.mine = 1

    with Cluster(machines=2, engine="sim") as cluster:
        nfs = Mine(cluster)
        nfs.mine = 2
        with pytest.raises(AttributeError, match="others = 3"):
            nfs.others = 3  # type: ignore[attr-defined]
