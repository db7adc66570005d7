"""What SYSTEMS.md §4(e) says of floods, measured on the real protocol in the simulator."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from labkit.runtime import Network
from labkit.runtime.network import Constant, Uniform
from labkit.systems.filesharing import FileSharing
from labkit.systems.filesharing.single import everything, flood
from labkit.systems.filesharing.topology import ball, diameter, edges

from .conftest import a_word, judged

EQUAL, UNEQUAL = Constant(0.01), Uniform(0.001, 0.05)


def flooding(make_sim: Any, seed: int, latency: Any, **options: Any) -> FileSharing:
    """An overlay that stays as it is; each peer on a machine of its own, so that all links have delays."""
    peers = options.setdefault("peers", 24)
    cluster = make_sim(machines=peers + 1, seed=seed, network=Network(latency=latency))
    sharing = FileSharing(cluster, ping_every=None, files=30, search_wait=3.0, **options)
    cluster.run(0.1)
    return sharing


@pytest.mark.parametrize("latency", [EQUAL, UNEQUAL])
@pytest.mark.parametrize("topology", ["power law", "random", "ring", "tree"])
def test_messages_of_a_flood(make_sim: Any, topology: str, latency: Any) -> None:
    """Exactly 2|E| - (|V| - 1) whatever the delays are, and a peer that is there is found."""
    for seed in range(5):
        sharing = flooding(make_sim, seed, latency, topology=topology, ttl=40)
        graph, origin = sharing._plan.graph, seed % 24
        text = a_word(sharing, origin)
        search = sharing.search(text, at=origin)
        assert search.messages == 2 * edges(graph) - 23
        assert search.reached == 23
        there = {hit for hit in everything(sharing._plan.libraries, text) if hit[0] != origin}
        assert {(hit.peer, hit.root) for hit in search.hits} == there
        assert sharing.recall(search) == 1.0
        assert sum(report["duplicates"] for report in sharing.reports().values()) == search.messages - 23
        judged(sharing)
        sharing.cluster.close()


def test_reach_by_ttl_is_the_ball_under_equal_delays(make_sim: Any) -> None:
    sharing = flooding(make_sim, 3, EQUAL, peers=60, degree=3)
    graph = sharing._plan.graph
    for ttl in range(1, diameter(graph) + 1):
        wanted = flood(graph, sharing._plan.libraries, 5, "mp3", ttl)
        search = sharing.search("mp3", at=5, ttl=ttl)
        assert (search.reached, search.messages) == (len(wanted.reached), wanted.messages)
        assert {(hit.peer, hit.root) for hit in search.hits} == wanted.found
    judged(sharing)


def covered(sharing: FileSharing, ttl: int) -> set[int]:
    """Who handled a query of peer 0."""
    search = sharing.search("mp3", at=0, ttl=ttl)
    return {sharing.options.number(name) for name in sharing.view().queries[search.queries[0]].hops}


def test_a_tight_ttl_and_unequal_delays_cover_less_than_the_ball(make_sim: Any) -> None:
    """The trap, and gtk-gnutella's remedy: send a duplicate on that has a higher TTL."""
    smaller = 0
    for seed in range(12):
        options = {"peers": 40, "degree": 3, "topology": "random"}
        plain = flooding(make_sim, seed, UNEQUAL, **options)
        within = ball(plain._plan.graph, 0, 4)
        reached = covered(plain, 4)
        assert reached <= within
        smaller += reached < within
        judged(plain)
        plain.cluster.close()
        mended = flooding(make_sim, seed, UNEQUAL, reforward=True, **options)
        assert covered(mended, 4) == within
        judged(mended)
        mended.cluster.close()
    assert smaller >= 4


def test_strategies(make_sim: Any) -> None:
    """Popular files: rings and walkers find them with fewer messages; the flood alone is sure."""
    cost: dict[str, int] = {}
    for strategy in ("flood", "expanding ring", "random walk"):
        sharing = flooding(
            make_sim, 2, EQUAL, peers=80, copies=12.0, free_riders=0.0, topology="random", degree=5
        )
        search = sharing.search("mp3", at=0, strategy=strategy)
        assert len(search)
        cost[strategy] = search.messages or 0
        rare = sharing.search("no such file at all", at=0, strategy=strategy)
        assert len(rare) == 0
        judged(sharing)
        sharing.cluster.close()
    assert cost["expanding ring"] < cost["flood"] / 4


def test_pings_flood_without_a_cache(make_sim: Any) -> None:
    sent = {}
    for cached in (True, False):
        cluster = make_sim()
        sharing = FileSharing(cluster, peers=30, pong_cache=cached)
        cluster.run(12.0)
        sent[cached] = sharing.accounts().by_kind["ping"]
        heard = [len(cluster.peek(peer.name).known) for peer in sharing.peers]
        assert min(heard) >= 10  # all have learnt whom they could connect to
        cluster.close()
    assert sent[False] > 2 * sent[True]


def test_a_broken_way_back_loses_the_hits(make_sim: Any) -> None:
    """Silently: the origin does not hear of it."""
    sharing = flooding(make_sim, 1, EQUAL, peers=6, topology="tree", degree=2, copies=1.0, free_riders=0.0)
    cluster = sharing.cluster
    graph = sharing._plan.graph  # a path
    end = next(peer for peer in range(6) if len(graph[peer]) == 1)
    far = max(range(6), key=lambda peer: len(ball(graph, end, 9)) and _hops(graph, end, peer))
    middle = next(peer for peer in range(6) if _hops(graph, end, peer) == 2)
    sharing.share(far, "the one and only.mp3", b"x")
    asked = cluster.submit(
        lambda client: client.call(sharing.options.peer(end), "search", "only", 7, "flood", 2.0, timeout=9.0)
    )
    cluster.run(0.045)  # the query has passed the middle, the hits have not
    sharing.fail(middle)
    assert asked.result()[1] == []
    judged(sharing)


def _hops(graph: Any, a: int, b: int) -> int:
    from labkit.systems.filesharing.topology import distances

    return distances(graph, a)[b]


def test_a_way_back_expires(make_sim: Any) -> None:
    cluster = make_sim()
    sharing = FileSharing(cluster, peers=8, route_expiry=2.0)
    cluster.run(1.0)
    sharing.search("mp3", at=0)
    assert any(cluster.peek(peer.name).seen or cluster.peek(peer.name).seen_before for peer in sharing.peers)
    cluster.run(6.0)
    assert not any(
        cluster.peek(peer.name).seen or cluster.peek(peer.name).seen_before for peer in sharing.peers
    )


def test_ten_thousand_peers(make_sim: Any) -> None:
    """A settled overlay of 10,000: the count is exact there, too."""
    cluster = make_sim(machines=8)
    sharing = FileSharing(
        cluster, peers=10_000, files=2000, ping_every=None, ttl=30, degree=4, topology="random",
        search_wait=5.0, wanted=10**6,
    )  # fmt: skip
    graph = sharing._plan.graph
    before = sum(cluster.peek(peer.name).sent["query"] for peer in sharing.peers)
    text = Random(1).choice([file.name for library in sharing._plan.libraries for file in library])
    search = sharing.search(text, at=0)
    assert search.messages is None  # nobody could watch it
    sent = sum(cluster.peek(peer.name).sent["query"] for peer in sharing.peers) - before
    assert sent == 2 * edges(graph) - 9_999
    assert {(hit.peer, hit.root) for hit in search.hits} == {
        hit for hit in everything(sharing._plan.libraries, text) if hit[0] != 0
    }
