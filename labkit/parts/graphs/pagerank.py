"""PageRank, in the definitions that the papers use, which are not the same.

Say which one you mean: a ``PageRankVariant`` names the update rule, the start, what happens to the rank of
vertices without links (*dangling* ones) and whether ranks sum to 1 or to the number of vertices. All variants
are ``rank(v) = reset + damping · Σ rank(u) / links(u)`` over the vertices u that link to v; with
redistribution, Σ also gets each vertex's share of the dangling ranks.

``solve`` is the single-thread version in plain Python, the oracle of every distributed one.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

__all__ = [
    "COST",
    "GRAPHALYTICS",
    "GRAPHLAB",
    "GRAPHX",
    "PICCOLO",
    "POWERGRAPH",
    "PREGEL",
    "PYSPARK_EXAMPLE",
    "SPARK",
    "VARIANTS",
    "PageRankVariant",
]

V = TypeVar("V", bound=Hashable)


@dataclass(frozen=True)
class PageRankVariant:
    """One definition. source: where it stands. damping: the part of a rank that follows links.

    start: each vertex's first rank, "uniform" (the scale over n), "one" or "zero". scale: "one" if ranks sum
    to (at most) 1, "vertices" if to n. dangling: "lost" or "redistributed". self_links: whether a link to
    oneself counts.
    """

    name: str
    source: str
    damping: float = 0.85
    start: str = "uniform"
    scale: str = "one"
    dangling: str = "lost"
    self_links: bool = True

    def __post_init__(self) -> None:
        allowed = {
            "start": ("uniform", "one", "zero"),
            "scale": ("one", "vertices"),
            "dangling": ("lost", "redistributed"),
        }
        for field, values in allowed.items():
            if getattr(self, field) not in values:
                raise ValueError(f"{field} is one of {', '.join(values)}, not {getattr(self, field)!r}")
        if not 0 <= self.damping <= 1:
            raise ValueError(f"damping is a fraction, 0 <= damping <= 1, not {self.damping!r}")

    def total(self, vertices: int) -> float:
        """What the ranks sum to if none is lost."""
        return 1.0 if self.scale == "one" else float(vertices)

    def initial(self, vertices: int) -> float:
        """Each vertex's first rank."""
        return {"one": 1.0, "zero": 0.0, "uniform": self.total(vertices) / max(vertices, 1)}[self.start]

    def reset(self, vertices: int) -> float:
        """What each vertex gets whoever links to it."""
        return (1.0 - self.damping) * self.total(vertices) / vertices

    def rank(self, received: float, vertices: int, dangling: float = 0.0) -> float:
        """A vertex's next rank. received: from links to it; dangling: the sum of all dangling vertices'
        ranks.
        """
        if self.dangling == "redistributed":
            received += dangling / vertices
        return self.reset(vertices) + self.damping * received

    def links(self, edges: Iterable[tuple[V, V]], vertices: Iterable[V] = ()) -> dict[V, list[V]]:
        """Each vertex's targets, also of vertices without any; in the order of the edges."""
        links: dict[V, list[V]] = {vertex: [] for vertex in vertices}
        for source, target in edges:
            targets = links.setdefault(source, [])
            links.setdefault(target, [])
            if self.self_links or source != target:
                targets.append(target)
        return links

    def solve(self, links: Mapping[V, Sequence[V]], iterations: int) -> dict[V, float]:
        """The ranks after so many iterations, on one thread. links: of every vertex, as ``links()`` makes
        them.
        """
        n = len(links)
        ranks = dict.fromkeys(links, self.initial(n))
        for _ in range(iterations):
            received = dict.fromkeys(links, 0.0)
            dangling = 0.0
            for vertex, targets in links.items():
                if not targets:
                    dangling += ranks[vertex]
                    continue
                share = ranks[vertex] / len(targets)
                for target in targets:
                    received[target] += share
            ranks = {vertex: self.rank(received[vertex], n, dangling) for vertex in links}
        return ranks


PREGEL = PageRankVariant("Pregel", "SIGMOD 2010, Fig. 4")
SPARK = PageRankVariant("Spark", "NSDI 2012, 3.2.2; the start is not given there")
GRAPHLAB = PageRankVariant("GraphLab", "VLDB 2012, eq. 1; the start is not given there")
POWERGRAPH = PageRankVariant("PowerGraph", "OSDI 2012, Fig. 3", start="one", scale="vertices")
PYSPARK_EXAMPLE = PageRankVariant("PySpark's example", "pagerank.py of Spark", start="one", scale="vertices")
COST = PageRankVariant("COST", "HotOS 2015, Fig. 2", start="zero", scale="vertices")
PICCOLO = PageRankVariant(
    "Piccolo", "its source's example", damping=0.8, start="zero", scale="vertices", self_links=False
)
GRAPHALYTICS = PageRankVariant("Graphalytics", "LDBC", dangling="redistributed")
GRAPHX = PageRankVariant(
    "GraphX", "PageRankSuite of current Spark", start="one", scale="vertices", dangling="redistributed"
)

VARIANTS = (PREGEL, SPARK, GRAPHLAB, POWERGRAPH, PYSPARK_EXAMPLE, COST, PICCOLO, GRAPHALYTICS, GRAPHX)
