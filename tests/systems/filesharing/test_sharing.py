"""What a user can do with each architecture, on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from labkit import Cluster, Timeout
from labkit.runtime.network import Network, Uniform
from labkit.systems.filesharing import FileSharing, Search, SharingFailed
from labkit.systems.filesharing.collection import file_of, tree_of
from tests.engines import cluster_maker

from .conftest import ALL, OVERLAYS, a_word, found_by, judged, lab


@pytest.fixture(
    scope="module", params=["sim", pytest.param("ray", marks=[pytest.mark.ray, pytest.mark.slow])]
)
def shared_cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """One cluster for all tests of an engine: systems on it have names of their own."""
    head = request.getfixturevalue("ray_head") if request.param == "ray" else None
    with cluster_maker(str(request.param), head) as make:
        yield make(machines=3, seed=2, trace_limit=500_000)


@contextmanager
def on(cluster: Cluster, architecture: str, **options: Any) -> Iterator[FileSharing]:
    """A system on the shared cluster, which leaves room for the next."""
    # On a busy host real processes answer late, and nobody is to be given up for it.
    patient = {"call_timeout": 5.0, "timeout": 20.0, "search_wait": 0.7} if cluster.engine == "ray" else {}
    sharing = lab(cluster, architecture, 1.0, **{"peers": 12, "files": 20, **options, **patient})
    try:
        yield sharing
        judged(sharing)
    finally:
        for machine in cluster.machines:
            if not machine.alive:
                cluster.restart(machine)
        for each in [*(peer.name for peer in sharing.peers), *sharing.servers]:
            sharing.fail(each)


def everything_is_found(sharing: FileSharing, text: str) -> None:
    """Sooner or later: peers may still be on their way in."""

    def whole() -> bool:
        try:
            return (
                sharing.recall(sharing.search(text, at=0))
                == sharing.recall(sharing.search(text, at=1))
                == 1.0
            )
        except (SharingFailed, Timeout):
            return False

    sharing.cluster.run_until(whole, timeout=300.0, what="everything is found")


def search_for(sharing: FileSharing, text: str, at: int = 0, hits: int = 1) -> Search:
    """A search that finds so much. Hits that come after `search_wait` are nobody's: the next search may find
    more."""
    found: list[Search] = []

    def enough() -> bool:
        try:
            found.append(sharing.search(text, at=at))
        except (SharingFailed, Timeout):
            return False
        return len(found[-1].hits) >= hits

    sharing.cluster.run_until(enough, timeout=300.0, what=f"{hits} hits are found")
    return found[-1]


def refused(sharing: FileSharing, text: str) -> bool:
    """Whether peer 0 says that it has no server; on an overloaded host it may say nothing for too long."""
    with pytest.raises((SharingFailed, Timeout)) as caught:
        sharing.search(text, at=0)
    if isinstance(caught.value, Timeout):
        return False
    caught.match(r"no connection to server-server-0|does not answer")
    return True


@pytest.mark.parametrize("architecture", ALL)
def test_search_and_download(shared_cluster: Cluster, architecture: str) -> None:
    if shared_cluster.engine == "ray" and architecture in ("napster", "chord"):
        pytest.skip("Napster is below, and Chord has tests of its own")
    with on(shared_cluster, architecture, name=architecture, firewalled=0.3) as sharing:
        everything_is_found(sharing, a_word(sharing))
        file = search_for(sharing, a_word(sharing))[0]
        loaded = sharing.download(file, at=0)
        assert loaded.result == "done"
        assert loaded.size == file.size
        assert tree_of(sharing.content(file, at=0)).root == file.root
        # It is shared from now on, and what somebody adds is found.
        sharing.share(0, "an entirely new song.mp3", b"la" * 5000)
        everything_is_found(sharing, "entirely new")
        mine = search_for(sharing, "entirely new", at=1)
        assert [hit.peer for hit in mine.hits] == [0]
        assert sharing.download(mine[0], at=1).result == "done"
        assert sharing.content(mine[0], at=1) == b"la" * 5000


def test_napster_finds_nothing_without_its_server(shared_cluster: Cluster) -> None:
    options = {"name": "server", "ping_every": 0.3, "timeout": 1.5}
    with on(shared_cluster, "napster", **options) as sharing:
        everything_is_found(sharing, a_word(sharing))
        search = search_for(sharing, a_word(sharing))
        file = search[0]
        assert (search.messages, search.reached) == (1, 1)
        shared_cluster.kill("m1")  # the server's
        shared_cluster.run(1.0)
        shared_cluster.run_until(lambda: refused(sharing, search.text), timeout=300.0)
        assert sharing.download(file, at=0).result == "done"  # from peer to peer
        shared_cluster.restart("m1")
        everything_is_found(sharing, search.text)


def test_a_download_goes_on_from_other_peers(shared_cluster: Cluster) -> None:
    with on(shared_cluster, "gnutella", name="loads", call_timeout=0.3) as sharing:
        data = bytes(range(256)) * 500
        for peer in (1, 2, 4):  # on m3, m2 and m2
            sharing.share(peer, "the long one.mp3", data)
        search = search_for(sharing, "long one", hits=3)
        assert len(search) == 1
        shared_cluster.kill(sharing.peer(1).machine)
        loaded = sharing.download(search[0], at=0)
        assert sharing.content(search[0], at=0) == data
        assert loaded.sources
        assert all(name != "loads-1" for name, _ in loaded.sources)


def test_bad_input_says_what_to_write(shared_cluster: Cluster) -> None:
    if shared_cluster.engine == "ray":
        pytest.skip("the same on both engines")
    for options, words in (
        ({"architecture": "kazaa"}, "architecture='kazaa': write"),
        ({"peers": 1}, "write peers=24"),
        ({"ttl": 0}, "a TTL is a byte"),
        ({"timeout": 1.0}, "give more than twice ping_every=1.0"),
        ({"copies": 0.5}, "a number >= 1; write copies=2.0"),
        ({"copies": float("inf")}, "a number >= 1; write copies=2.0"),
        ({"name": "two words"}, "without spaces and quotes; write name"),
        ({"free_riders": 2}, "a probability from 0 to 1"),
        ({"topology": "star"}, "topology='star'"),
    ):
        with pytest.raises(ValueError, match=words):
            FileSharing(shared_cluster, **options)  # type: ignore[arg-type]
    sharing = lab(shared_cluster, name="bad")
    for call, words in (
        (lambda: sharing.search("…"), "write search"),
        (lambda: sharing.search("moon", ttl=300), "a TTL is a byte"),
        (lambda: sharing.search("moon", strategy="shout"), "strategy='shout'"),
        (lambda: sharing.share(0, 'a "b"', b"x"), "without quotes"),
        (lambda: sharing.attack(30), "write attack"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
    with pytest.raises(Exception, match="'peer-99' is no peer here"):
        sharing.peer("peer-99")
    with pytest.raises(TypeError, match="a file that a search has found"):
        sharing.download("moon.mp3")  # type: ignore[arg-type]


@pytest.mark.parametrize("architecture", OVERLAYS)
def test_a_peer_joins_and_leaves(make_sim: Any, architecture: str) -> None:
    sharing = lab(make_sim(), architecture, files=40, copies=1.0)
    cluster = sharing.cluster
    newcomer = sharing.join()
    cluster.run_until(
        lambda: newcomer.number in range(17) and sharing.graph()[newcomer.number], what="it has links"
    )
    cluster.run(2.0)
    text = a_word(sharing, newcomer.number)
    assert sharing.recall(sharing.search(text, at=newcomer)) == 1.0
    sharing.leave(newcomer)
    with pytest.raises(SharingFailed, match="has left"):
        sharing.search(text, at=newcomer)
    sharing.return_(newcomer)
    cluster.run(3.0)
    assert sharing.recall(sharing.search(text, at=newcomer)) == 1.0
    judged(sharing)


def test_a_search_sees_the_users_of_one_server(make_sim: Any) -> None:
    sharing = lab(make_sim(), "napster", servers=2, copies=1.0)
    search = sharing.search(a_word(sharing), at=0)
    assert all(hit.peer % 2 == 0 for hit in search.hits)
    assert (
        sharing.recall(search) < 1.0
        or not search.hits
        or all(p % 2 == 0 for p, _ in sharing.shared(search.text))
    )


def test_a_dead_supernode_takes_its_index_along_for_a_while(make_sim: Any) -> None:
    sharing = lab(make_sim(), "fasttrack", peers=20, copies=1.0, ping_every=0.5, timeout=2.0)
    cluster = sharing.cluster
    hubs = [name for name, report in sharing.reports().items() if report["role"] == "supernode"]
    victim = max(hubs, key=lambda name: len(sharing.reports()[name]["links"]))
    leaves = [n for n, r in sharing.reports().items() if r["role"] == "leaf" and r["links"] == (victim,)]
    owner = next(leaf for leaf in leaves if sharing.reports()[leaf]["files"])
    text = sharing.reports()[owner]["files"][0][0].removesuffix(".mp3")
    asker = next(hub for hub in hubs if hub != victim)
    assert sharing.recall(sharing.search(text, at=asker)) == 1.0
    sharing.fail(victim)
    assert len(sharing.search(text, at=asker)) == 0
    cluster.run(8.0)
    assert sharing.recall(sharing.search(text, at=asker)) == 1.0
    assert all(sharing.reports()[leaf]["links"] for leaf in leaves)
    judged(sharing)


def test_a_full_supernode_appoints_another(make_sim: Any) -> None:
    sharing = lab(make_sim(), "fasttrack", peers=6, leaves=6, hubs=0.1)
    for _ in range(6):
        sharing.join()
    sharing.cluster.run(15.0)
    roles = [report["role"] for report in sharing.reports().values()]
    assert roles.count("supernode") >= 2
    assert sharing.cluster.trace.filter("role_changed")
    assert sharing.recall(sharing.search(a_word(sharing, 9), at=9)) == 1.0
    judged(sharing)


def test_push_reaches_a_peer_behind_a_firewall(make_sim: Any) -> None:
    for architecture in ("napster", "gnutella", "ultrapeers", "fasttrack"):
        sharing = lab(make_sim(), architecture, firewalled=0.5, copies=1.0, files=40)
        host = {n: sharing.cluster.peek(sharing.options.peer(n)).host for n in range(16)}
        inside = next(n for n in range(16) if host[n].firewalled and sharing._plan.libraries[n])
        outside = next(n for n in range(16) if not host[n].firewalled)
        name = sharing._plan.libraries[inside][0].name
        search = sharing.search(name, at=outside)
        hit = next(hit for hit in search.hits if hit.peer == inside)
        assert hit.firewalled
        other = next(n for n in range(16) if host[n].firewalled and n != inside)
        with pytest.raises(SharingFailed, match="no source is left"):
            sharing.download(hit, at=other)
        assert any("both behind" in e.data["why"] for e in sharing.cluster.trace.filter("source_lost"))
        assert sharing.download(hit, at=outside).result == "done", architecture
        judged(sharing)


def test_pieces_on_the_disk_are_not_loaded_again(make_sim: Any) -> None:
    cluster = make_sim()
    sharing = lab(cluster, files=10, copies=1.0, peers=12)
    data = bytes(range(256)) * 1600
    sharing.share(1, "the long one.mp3", data)
    search = sharing.search("long one", at=0)
    hits = list(search[0].hits)
    cluster.submit(lambda client: client.call("peer-0", "load", search[0].name, search[0].root, hits))
    cluster.run_until(lambda: len(cluster.trace.filter("piece_loaded")) > 30, every=0.001)
    cluster.kill(sharing.peer(0).machine)
    cluster.run(0.5)
    cluster.restart(sharing.peer(0).machine)
    cluster.run(3.0)
    loaded = sharing.download(search[0], at=0)
    assert 0 < sum(pieces for _, pieces in loaded.sources) < 100 - 30
    assert sharing.content(search[0], at=0) == data
    judged(sharing)


def test_a_swarm_throws_wrong_pieces_away(make_sim: Any) -> None:
    from labkit.systems.filesharing.nodes import Servent

    class Liar(Servent):
        def cut(self, data: bytes, number: int) -> bytes:
            piece = super().cut(data, number)
            return piece[::-1] if self.number == 1 else piece

    cluster = make_sim()
    sharing = FileSharing(cluster, peer_class=Liar, peers=8, files=5)
    cluster.run(1.0)
    for peer in (1, 2):
        sharing.share(peer, "the long one.mp3", bytes(range(256)) * 200)
    loaded = sharing.download(sharing.search("long one", at=0)[0], at=0)
    assert (loaded.result, loaded.refused) == ("done", 1)
    assert [name for name, _ in loaded.sources] == ["peer-2"]


def test_the_whole_run_as_code_and_again(make_sim: Any) -> None:
    sharing = lab(make_sim(), "gnutella", ttl=3)
    code = sharing.code()
    assert "FileSharing(again, architecture='gnutella'" in code
    assert "ttl=3" in code
    compile(code, "code", "exec")
    first = str(sharing.search(a_word(sharing), at=0))
    sharing.reset()
    sharing.cluster.run(2.0)
    assert str(sharing.search(a_word(sharing), at=0)) == first
    assert "gnutella, 16 of 16 peers" in repr(sharing)


def test_whoever_leaves_loads_nothing_more_and_goes_on_later(make_sim: Any) -> None:
    sharing = lab(make_sim())
    cluster, data = sharing.cluster, bytes(range(256)) * 4000
    sharing.share(1, "the long one.mp3", data)
    file = sharing.search("long one", at=0)[0]
    asked = cluster.submit(
        lambda client: client.call("peer-0", "load", file.name, file.root, list(file.hits), timeout=9.0)
    )
    cluster.run(0.4)
    sharing.leave(0)
    came = len(cluster.trace.filter("piece_loaded"))
    asked.result()
    cluster.run(5.0)
    assert len(cluster.trace.filter("piece_loaded")) == came > 0
    assert sharing.view().downloads["peer-0", file.name].end is not None
    with pytest.raises(SharingFailed, match="has left"):
        sharing.download(file, at=0)
    assert "peer-0" not in {sharing.search("moon").origin for _ in range(40)}  # any that is online
    sharing.return_(0)
    cluster.run(2.0)
    loaded = sharing.download(file, at=0)
    assert sum(pieces for _, pieces in loaded.sources) == -(-len(data) // 4096) - came
    assert sharing.content(file, at=0) == data


def test_nobody_connects_to_a_peer_behind_a_firewall(make_sim: Any) -> None:
    sharing = lab(make_sim(), peers=24, firewalled=0.4)
    inside = {peer.name for peer in sharing.peers if sharing.cluster.peek(peer.name).host.firewalled}
    sharing.attack(0.3)
    sharing.cluster.run(15.0)
    linked = [(e.node, e.data["to"]) for e in sharing.cluster.trace.filter("linked") if e.time > 2.0]
    assert linked
    assert not [pair for pair in linked if inside.issuperset(pair)]
    judged(sharing)


@pytest.mark.parametrize("architecture", ALL)
def test_names_as_people_write_them(make_sim: Any, architecture: str) -> None:
    """Accents as one character or two (as a Mac writes them), any case; a joiner's files are found."""
    sharing = lab(make_sim(), architecture, peers=8)
    cluster = sharing.cluster
    sharing.share(4, "Beyonc\u00e9 - Stra\u00dfe.mp3", b"x")
    comer = sharing.join(files=(file_of("the newcomer's own.mp3", b"y"),))
    cluster.run(8.0)
    for text in ("Beyonc\u00e9", "beyonce\u0301", "STRASSE"):
        assert [hit.peer for hit in sharing.search(text, at=3).hits] == [4], text
    assert [hit.peer for hit in sharing.search("newcomer own", at=np.int64(3)).hits] == [comer.number]
    sharing.fail(comer)
    cluster.run(6.0)
    sharing.search("moon", at=3)
    judged(sharing)


def test_a_name_in_the_place_of_a_file_says_what_to_write(make_sim: Any) -> None:
    sharing = lab(make_sim(), "napster", peers=4)
    file = sharing.share(1, "one.mp3", b"1")
    wrong: list[tuple[Any, str]] = [
        (lambda: sharing.unshare(1, "one.mp3"), "write unshare"),
        (lambda: sharing.content("one.mp3", 1), "write content"),
        (lambda: sharing.content(file, 2), "peer-2 does not have 'one.mp3'"),
        (lambda: sharing.recall("one"), "write recall"),
        (lambda: sharing.shared(5), "write search"),
        (lambda: sharing.search("moon\ud800"), "no halves of characters"),
        (lambda: sharing.share(1, "long " * 60, b"x"), "255 bytes at most"),
        (lambda: sharing.join(files=("one.mp3",)), "write join"),
    ]
    for call, words in wrong:
        with pytest.raises((TypeError, ValueError, KeyError), match=words):
            call()
    assert len(sharing.peers) == 4


@pytest.mark.parametrize("architecture", ALL)
def test_a_download_that_cannot_be_ends(make_sim: Any, architecture: str) -> None:
    sharing = lab(make_sim(), architecture, peers=6, files=10, firewalled=1.0)
    _, file = found_by(sharing)
    with pytest.raises(SharingFailed, match="no source is left"):
        sharing.download(file, at=0)


def test_two_files_of_one_name_are_two(make_sim: Any) -> None:
    sharing = lab(make_sim())
    first, second = (sharing.share(1, "one name.mp3", data) for data in (b"1", b"2"))
    assert len(sharing.search("one name", at=2)) == 2
    sharing.unshare(1, first)
    assert [file.root for file in sharing.search("one name", at=2)] == [second.root]
    assert "one name.mp3" in sharing.view().peers["peer-1"].files.values()
    judged(sharing)


def test_a_dynamic_query_over_many_links_ends_in_time(make_sim: Any) -> None:
    """Whoever has many links does not ask over all of them while its leaf waits in vain."""
    sharing = lab(make_sim(), "ultrapeers", peers=40, hubs=0.5, degree=18, search_wait=0.2)
    leaf = next(name for name, report in sharing.reports().items() if report["role"] == "leaf")
    assert len(sharing.search("no such thing", at=leaf)) == 0
    judged(sharing)


@pytest.mark.parametrize("architecture", ["gnutella", "fasttrack"])
def test_several_sources_behind_firewalls_connect_one_after_another(architecture: str) -> None:
    network = Network(latency=Uniform(0.005, 0.3))
    with Cluster(25, engine="sim", seed=1, network=network) as cluster:
        options = {"peers": 24, "ttl": 12, "search_wait": 3.0, "call_timeout": 1.5}
        sharing = lab(cluster, architecture, 3.0, firewalled=0.6, **options)
        inside = [n for n in range(24) if cluster.peek(sharing.options.peer(n)).host.firewalled]
        outside = next(n for n in range(24) if n not in inside)
        for peer in inside[:4]:
            sharing.share(peer, "the long one.mp3", bytes(range(256)) * 800)
        cluster.run(2.0)
        _, file = found_by(sharing, outside, "long one")
        loaded = sharing.download(file, at=outside)
        assert (loaded.size, loaded.result) == (204_800, "done")  # also if it ended between two questions
        assert len(loaded.sources) > 1
        assert not [e for e in cluster.trace.filter("source_lost") if "is behind a firewall" in e.data["why"]]
