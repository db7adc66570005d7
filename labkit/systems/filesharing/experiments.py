"""What is known of these systems, reproduced in the simulator; each figure with where others' come from.

Columns named ``independent …`` are counted exactly, or from few seeds. The resilience of 1,771 peers in a
crawl by Saroiu et al. is remembered, not read; that later overlays withstand attacks is of the
abstract of Stutzbach et al., IMC 2005.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from labkit.parts.experiments import beside, sweep
from labkit.runtime.cluster import Cluster
from labkit.runtime.network import Constant, Network, Uniform

from .model import FileSharing
from .options import ARCHITECTURES
from .results import SharingFailed
from .topology import ball, edges, generate, survivors, tree_reach

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["attacks", "columns", "floods", "reach", "strategies", "tight_ttl"]

#: Peers of the crawl of 2001 (Saroiu et al.).
CRAWLED = 1771


BETTER = "better copies sent on"


def _still(seed: int, latency: Any, **options: Any) -> FileSharing:
    """An overlay that stays as it is, each peer on a machine of its own, so that all links have delays."""
    peers = options.setdefault("peers", 24)
    cluster = Cluster(peers + 1, engine="sim", seed=seed, network=Network(latency=latency))
    options = {"ping_every": None, "files": 30, "search_wait": 3.0, "announce": True, **options}
    sharing = FileSharing(cluster, **options)
    cluster.run(0.1)
    return sharing


def columns(peers: int = 60, searches: int = 10, seed: int = 0) -> pd.DataFrame:
    """The same collection and queries under each architecture: messages of a query, nodes that it came to,
    recall; and recall of the same queries just after the most important node has stopped."""

    def run(architecture: str) -> dict[str, float]:
        with Cluster(5, engine="sim", seed=seed) as cluster:
            sharing = FileSharing(cluster, architecture=architecture, peers=peers, files=2 * peers, ttl=12)
            cluster.run(2.0)
            random = Random(seed)
            files = [file.name for library in sharing._plan.libraries for file in library]
            queries = [" ".join(random.choice(files).split()[:2]) for _ in range(searches)]
            asked = [(query, random.randrange(peers)) for query in queries]
            found = [sharing.search(query, at=at) for query, at in asked]
            recall = sum(map(sharing.recall, found)) / searches
            _stop_the_most_important(sharing)
            after = sum(_recall(sharing, query, at) for query, at in asked) / searches
            return {
                "messages": sum(each.messages or 0 for each in found) / searches,
                "nodes reached": sum(each.reached or 0 for each in found) / searches,
                "recall": recall,
                "recall after its death": after,
            }

    return sweep("architecture", ARCHITECTURES, run)


def _stop_the_most_important(sharing: FileSharing) -> None:
    """The index server; else the peer with most links."""
    if sharing.servers:
        sharing.fail(sharing.servers[0])
        return
    degree = {name: len(report["links"]) for name, report in sharing.reports().items()}
    sharing.fail(max(sorted(degree), key=degree.__getitem__))


def _recall(sharing: FileSharing, query: str, at: int) -> float:
    """Of one query, at the peer or, if that has stopped, the next."""
    there = [peer.number for peer in sharing.peers]
    origin = at if at in there else there[at % len(there)]
    try:
        return sharing.recall(sharing.search(query, at=origin))
    except SharingFailed:
        return 0.0


def floods(seeds: Sequence[int] = range(10), peers: int = 40) -> pd.DataFrame:
    """Messages of a flood with an ample TTL, beside 2|E| - (|V| - 1): the same whatever the delays are."""

    def run(seed: int) -> dict[str, float]:
        found = {}
        for name, latency in (("equal delays", Constant(0.01)), ("unequal delays", Uniform(0.001, 0.05))):
            sharing = _still(seed, latency, peers=peers, ttl=peers)
            found[name] = sharing.search("mp3", at=0).messages
            found["independent 2|E| - (|V| - 1)"] = 2 * edges(sharing._plan.graph) - peers + 1
            sharing.cluster.close()
        return found  # type: ignore[return-value]

    return sweep("seed", seeds, run)


def reach(degree: int = 4, ttls: Sequence[int] = range(1, 5)) -> pd.DataFrame:
    """Peers that a query reaches in a tree, by TTL: n (n-1)^(i-1) more in hop i."""
    peers = 1 + tree_reach(degree, max(ttls))
    sharing = _still(0, Constant(0.01), peers=peers, degree=degree, topology="tree", files=5)

    def run(ttl: int) -> dict[str, float]:
        return {"reached": sharing.search("mp3", at=0, ttl=ttl).reached or 0}

    table = sweep("TTL", ttls, run)
    beside(table, "independent", {ttl: tree_reach(degree, ttl) for ttl in ttls})
    sharing.cluster.close()
    return table


def tight_ttl(runs: int = 50, peers: int = 40, ttl: int = 4) -> pd.DataFrame:
    """How often a flood with a tight TTL covers less than all within it, and what sending late but better
    copies on costs. Independent, on other graphs: 35 of 50 runs."""

    def run(what: str) -> dict[str, float]:
        smaller = messages = 0
        for seed in range(runs):
            latency = Constant(0.01) if what == "equal delays" else Uniform(0.001, 0.05)
            sharing = _still(
                seed,
                latency,
                peers=peers,
                degree=3,
                topology="random",
                reforward=what == BETTER,
            )
            search = sharing.search("mp3", at=0, ttl=ttl)
            messages += search.messages or 0
            smaller += (search.reached or 0) < len(ball(sharing._plan.graph, 0, ttl)) - 1
            sharing.cluster.close()
        return {"runs that covered less": smaller, "messages": messages / runs}

    return sweep("flood", ["equal delays", "unequal delays", BETTER], run)


def attacks(peers: int = CRAWLED, seed: int = 0) -> pd.DataFrame:
    """The part of the peers left that is in one piece, when some are gone: of an overlay as crawls of 2001
    saw it, of Barabási and Albert's with three links each on average, and of one in which all have about 30,
    as ultrapeers have."""
    overlays = {
        "crawled": generate("crawled", peers, 3, seed),
        "power law": generate("power law", peers, 3, seed),
        "ultrapeers": generate("random", peers, 30, seed),
    }

    cases = {
        "4% at random": (0.04, False),
        "30% at random": (0.3, False),
        "the best-connected 4%": (0.04, True),
        "the best-connected 10%": (0.1, True),
    }

    def run(case: str) -> dict[str, float]:
        return {name: survivors(graph, *cases[case], Random(seed))[1] for name, graph in overlays.items()}

    return sweep("gone", cases, run)


def strategies(peers: int = 200, seed: int = 1) -> pd.DataFrame:
    """Messages of a search for something popular and something rare, by way of looking for it."""

    def run(strategy: str) -> dict[str, float]:
        found: dict[str, float] = {}
        for what, text in (("popular", "mp3"), ("rare", "the only one")):
            sharing = _still(
                seed, Constant(0.01), peers=peers, copies=8.0, topology="random", degree=5, ttl=9
            )
            far = max(range(peers), key=lambda peer: -len(ball(sharing._plan.graph, peer, 2)))
            sharing.share(far, "the only one.mp3", b"x")
            search = sharing.search(text, at=0, strategy=strategy)
            found |= {f"{what}: messages": search.messages or 0, f"{what}: found": len(search)}
            sharing.cluster.close()
        return found

    return sweep("strategy", ["flood", "expanding ring", "random walk"], run)
