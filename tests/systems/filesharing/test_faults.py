"""Random schedules of faults, churn, determinism, and planted mistakes."""

from __future__ import annotations

import os
from random import Random
from typing import Any

import pytest

from labkit import Cluster
from labkit.runtime import MachineDead, Timeout
from labkit.systems.filesharing import FileSharing, SharingFailed
from labkit.systems.filesharing.descriptor import KINDS, header, pong, push, query
from labkit.systems.filesharing.mistakes import MISTAKES
from tests.systems.disturbed import digest_elsewhere, disturbances

from .conftest import a_word, judged, lab

#: Random schedules in the property test; more with `pytest --schedules 2000`.
SCHEDULES = int(os.environ.get("LABKIT_SCHEDULES", "200")) // 16
ARCHITECTURES = ("napster", "gnutella", "ultrapeers", "fasttrack")


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_any_schedule_keeps_the_rules_and_heals(seed: int) -> None:
    """Nothing wrong is ever answered or loaded; when all are back, everything is found again."""
    architecture = ARCHITECTURES[seed % 4]
    with Cluster(machines=4, engine="sim", seed=seed, trace_limit=500_000) as cluster:
        sharing = FileSharing(cluster, architecture=architecture, peers=12, files=20, reforward=seed % 3 == 0)
        cluster.run(1.0)
        cluster.play([(cluster.now + at, fault) for at, fault in disturbances(seed)])
        text = a_word(sharing)
        for _ in range(8):
            at = next(peer for peer in sharing.peers if peer.alive)
            try:
                search = sharing.search(text, at=at)
                if len(search):
                    sharing.download(search[0], at=at)
            except SharingFailed:
                pass
            except (Timeout, MachineDead):
                pass  # its machine has died just then
            cluster.run(0.7)
        cluster.loss(0.0)
        cluster.run(15.0)
        search = sharing.search("mp3", at=0)
        assert sharing.recall(search) >= 0.99, f"{search}\nseed={seed}\n{cluster.schedule}"
        judged(sharing)


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, "chord"])
def test_churn(architecture: str) -> None:
    with Cluster(machines=4, engine="sim", seed=3, trace_limit=500_000) as cluster:
        sharing = lab(cluster, architecture, peers=20, session=20.0, absent=10.0)
        recalls = []
        for _ in range(6):
            cluster.run(10.0)
            there = [n for n, r in sharing.reports().items() if r["online"] and r["role"] != "server"]
            assert 3 < len(there) < 20
            try:
                recalls.append(sharing.recall(sharing.search("mp3", at=there[0])))
            except SharingFailed:
                recalls.append(0.0)
        assert sum(recalls) / 6 > 0.5, recalls
        judged(sharing)


def digest(seed: int = 5) -> str:
    with Cluster(machines=4, engine="sim", seed=seed, trace="messages", trace_limit=10**6) as cluster:
        for architecture in ARCHITECTURES:
            sharing = lab(cluster, architecture, name=architecture, peers=6)
            search = sharing.search("moon", at=1)
            if len(search):
                sharing.download(search[0], at=1)
        cluster.play([(cluster.now + at, fault) for at, fault in disturbances(seed)])
        cluster.run(6.0)
        return str(cluster.trace.digest())


def test_twice_in_one_process_and_whatever_the_hash_seed() -> None:
    assert digest() == digest() != digest(6)
    assert digest_elsewhere(__name__) == digest()


CAUGHT_BY = {
    "no GUID cache": "HandledOnce",
    "sent back to its sender": "NeverBack",
    "TTL not lowered": "TTLPlusHops",
    "header left as it is": "TTLPlusHops",
    "own query forgotten": "HandledOnce",
    "hits by another way": "ReversePath",
    "answers what it does not share": "ReallyShared",
    "hashes not checked": "Intact",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_planted_mistakes_are_caught(mistake: str) -> None:
    with Cluster(machines=4, engine="sim") as cluster:
        peers = 24 if mistake == "own query forgotten" else 10  # a copy must come back to the origin
        sharing = FileSharing(cluster, peer_class=MISTAKES[mistake], peers=peers, files=20, ttl=4)
        cluster.run(1.0)
        sharing.share(3, "moon over the lab.mp3", bytes(9000))
        search = sharing.search("moon over lab", at=0)
        if mistake == "hashes not checked":
            sharing.download(search[0], at=0)
        found: Any = {violation.what for violation in sharing.check().violations}
        assert CAUGHT_BY[mistake] in found


@pytest.mark.parametrize("architecture", ["gnutella", "ultrapeers", "fasttrack"])
def test_no_bytes_of_a_neighbour_make_a_peer_fail(architecture: str) -> None:
    """Whatever comes is understood, or the connection is closed; also what has a right header."""
    random = Random(1)
    loads = [b"", b"\0\0\xff\xff\0", query("moon"), push(bytes(16), 1, 2), bytes(27), b"\0\xff\xff\xff\xff\1",
             b"\1\1\2\1\1 no zlib", b"\0\0", pong(3, 1, 1), bytes(14)]  # fmt: skip
    with Cluster(machines=3, engine="sim", seed=1) as cluster:
        sharing = FileSharing(cluster, architecture=architecture, peers=6, files=10)
        cluster.run(1.0)
        degree = {name: len(report["links"]) for name, report in sharing.reports().items()}
        peer: Any = cluster.peek(max(sorted(degree), key=degree.__getitem__))
        other = next(iter(peer.links))
        for number in range(600):
            kind = random.choice([*KINDS, 0x99])
            load = random.choice([*loads, random.randbytes(random.randint(0, 60))])
            ttl, hops = random.choice([(1, 0), (7, 0), (0, 3), (2, 255), (255, 255), (200, 54)])
            data = header(bytes([number % 256] * 16), kind, ttl, hops, load)
            if random.random() < 0.1:
                data = data[: random.randrange(len(data))]
            if other not in peer.links:
                peer.open(other, random.choice(["leaf", peer.role]))
            peer.descriptor(other, data)
        cluster.run(5.0)


def test_a_header_that_lies_reaches_who_is_too_far(make_sim: Any) -> None:
    sharing = FileSharing(
        make_sim(), peer_class=MISTAKES["header left as it is"], peers=12, topology="ring", degree=2
    )
    sharing.cluster.run(1.0)
    sharing.search("mp3", at=0, ttl=3)
    far = [each for each in sharing.check().violations if each.what == "WithinTTL"]
    assert far
    assert "after 4 of 3 hops" in str(far[0])


def test_two_files_of_one_name_and_two_systems_of_like_names(make_sim: Any) -> None:
    """Each system sees its own nodes; a name is shared until the last file of it is gone."""
    cluster = make_sim()
    sharing = lab(cluster)
    other = lab(cluster, name="peer-2", peers=4)
    assert set(sharing.view().peers) == {peer.name for peer in sharing.peers}
    assert set(other.view().peers) == {peer.name for peer in other.peers}
    first = sharing.share(5, "same song.mp3", b"1")
    second = sharing.share(5, "same song.mp3", b"2")
    sharing.unshare(5, first)
    assert [hit.root for hit in sharing.search("same song", at=3).hits] == [second.root]
    sharing.share(5, "new name.mp3", b"2")
    assert not sharing.search("same song", at=3).hits
    assert "same song.mp3" not in sharing.view().peers["peer-5"].files.values()
    judged(sharing)
    judged(other)
