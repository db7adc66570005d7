"""Overlays: generators, and what can be said of a graph exactly.

A graph is a list of sorted neighbour lists; peer ``n`` is ``graph[n]``. Edges are undirected, without loops.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from random import Random

from labkit.runtime.copying import stream

__all__ = ["TOPOLOGIES", "Graph", "ball", "components", "crawled", "diameter", "edges",
           "flood_messages", "generate",
           "power_law", "random_graph", "ring", "survivors", "tree", "tree_reach"]  # fmt: skip

Graph = list[list[int]]


def _graph(size: int, pairs: Iterable[tuple[int, int]]) -> Graph:
    neighbours: list[set[int]] = [set() for _ in range(size)]
    for a, b in pairs:
        if a != b:
            neighbours[a].add(b)
            neighbours[b].add(a)
    return [sorted(each) for each in neighbours]


def power_law(size: int, degree: int, random: Random) -> Graph:
    """Barabási and Albert's: each comer links to about ``degree / 2`` others, the more likely the more links
    they have."""
    links = max(1, degree // 2)
    core = min(size, links + 1)
    pairs = [(a, b) for a in range(core) for b in range(a)]
    ends = [end for pair in pairs for end in pair] or [0]
    for comer in range(core, size):
        chosen: set[int] = set()
        some = links + (degree > 1 and degree % 2 and comer % 2)  # an odd mean: every second has one more
        while len(chosen) < min(some, comer):
            chosen.add(ends[int(random.random() * len(ends))])
        for other in sorted(chosen):
            pairs.append((comer, other))
            ends += (comer, other)
    return _graph(size, pairs)


def crawled(size: int, degree: int, random: Random) -> Graph:
    """Links as in crawls of 2001: of ``k`` links with a probability of k^-2.3, so most peers have one, and a
    few have hundreds. ``degree`` counts for nothing: the exponent says all (Saroiu et al., remembered)."""
    most = max(2, size // 8)
    wanted = random.choices(range(1, most + 1), [k**-2.3 for k in range(1, most + 1)], k=size)
    ends = [peer for peer, links in enumerate(wanted) for _ in range(links)]
    random.shuffle(ends)
    graph = _graph(size, zip(ends[::2], ends[1::2], strict=False))
    whole, *parts = components(graph)
    core = [end for end in ends if end in whole] or sorted(whole)  # who has most links is drawn most often
    pairs = [(peer, other) for peer, links in enumerate(graph) for other in links]
    return _graph(size, pairs + [(min(part), random.choice(core)) for part in parts])


def random_graph(size: int, degree: int, random: Random) -> Graph:
    """All peers have about as many links: a random tree, so that it is connected, and random edges."""
    pairs = [(peer, int(random.random() * peer)) for peer in range(1, size)]
    wanted = min(size * degree // 2, size * (size - 1) // 2)
    there = set(pairs)
    while len(there) < wanted:
        a, b = random.sample(range(size), 2)
        there.add((max(a, b), min(a, b)))
    return _graph(size, sorted(there))


def ring(size: int, degree: int, random: Random) -> Graph:
    """A circle in which each knows the ``degree / 2`` peers on either side: the largest diameter of all."""
    near = max(1, degree // 2)
    return _graph(size, ((peer, (peer + step) % size) for peer in range(size) for step in range(1, near + 1)))


def tree(size: int, degree: int, random: Random) -> Graph:
    """Every inner peer has ``degree`` links, and there is no circle: no duplicate ever."""
    pairs, free = [], deque([(0, degree)])
    for comer in range(1, size):
        parent, room = free.popleft()
        pairs.append((comer, parent))
        if room > 1:
            free.appendleft((parent, room - 1))
        free.append((comer, max(1, degree - 1)))
    return _graph(size, pairs)


TOPOLOGIES = {"power law": power_law, "crawled": crawled, "random": random_graph, "ring": ring, "tree": tree}


def generate(topology: str, size: int, degree: int, seed: int) -> Graph:
    """The overlay of this kind."""
    return TOPOLOGIES[topology](size, degree, stream(seed, "topology", topology))


# what can be counted ------------------------------------------------------------


def edges(graph: Graph) -> int:
    """|E|."""
    return sum(map(len, graph)) // 2


def distances(graph: Graph, origin: int, ttl: int | None = None) -> dict[int, int]:
    """Hops from the origin to every peer within ``ttl``."""
    found, queue = {origin: 0}, deque([origin])
    while queue:
        peer = queue.popleft()
        if ttl is not None and found[peer] == ttl:
            continue
        for other in graph[peer]:
            if other not in found:
                found[other] = found[peer] + 1
                queue.append(other)
    return found


def ball(graph: Graph, origin: int, ttl: int) -> set[int]:
    """The peers within ``ttl`` hops, the origin included: nobody else can see its query."""
    return set(distances(graph, origin, ttl))


def diameter(graph: Graph) -> int:
    """The largest distance; of a connected graph."""
    return max(max(distances(graph, peer).values()) for peer in range(len(graph)))


def flood_messages(graph: Graph, origin: int, ttl: int) -> int:
    """Query messages of a flood under equal delays. With a TTL above all distances 2|E| - (|V| - 1), whatever
    the delays are: the origin sends on all its links, every other on all but one."""
    found = distances(graph, origin, ttl)
    return sum(len(graph[peer]) - (peer != origin) for peer, hops in found.items() if hops < ttl)


def tree_reach(degree: int, ttl: int) -> int:
    """Peers that a flood reaches in an endless tree: the sum of n (n-1)^(i-1) for i = 1 … TTL."""
    return sum(degree * (degree - 1) ** (hop - 1) for hop in range(1, ttl + 1))


def components(graph: Graph, without: Iterable[int] = ()) -> list[set[int]]:
    """Connected components, the largest first, after some peers are gone."""
    gone, parts = set(without), []
    left = [[other for other in each if other not in gone] for each in graph]
    seen = set(gone)
    for peer in range(len(graph)):
        if peer not in seen:
            part = set(distances(left, peer))
            seen |= part
            parts.append(part)
    return sorted(parts, key=len, reverse=True)


def survivors(graph: Graph, part: float, best: bool, random: Random) -> tuple[list[int], float]:
    """Take out a part of the peers, the best-connected or random ones: who they are, and which part of the
    others is in the largest component."""
    count = round(part * len(graph))
    order: Sequence[int] = sorted(range(len(graph)), key=lambda peer: (-len(graph[peer]), peer))
    gone = list(order[:count]) if best else random.sample(range(len(graph)), count)
    parts = components(graph, gone)
    return gone, len(parts[0]) / max(1, len(graph) - count) if parts else 0.0
