"""The paper's two jobs, on generated data: the SkyServer query Q18 (§2.3, §6.2), and the histogram of queries
in a log (§6.3).

**Q18** finds pairs of neighbouring objects with similar colours. The tables are drawn so that each step keeps
the part that it kept in the paper: of 2,803,165,372 rows of ``neighbors`` the first join keeps 932,820,679,
of these the second keeps 83,798, and 83,050 are distinct.

**The histogram** reads queries whose popularity falls as Zipf's law has it, and counts each.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import add
from random import Random
from typing import Any

from labkit.parts.options import whole

from .channels import Reader, Writer
from .job import Dryad
from .model import Graph, compose, encapsulate, vertex
from .vertices import distribute, map, merge_any, reduce, sort

__all__ = ["IN_MEMORY", "TWO_PASS", "histogram", "queries", "sky_query", "sky_tables"]

#: Rows of the paper's tables and intermediate results.
PHOTOS, NEIGHBORS, JOINED, SIMILAR, DISTINCT = 354_254_163, 2_803_165_372, 932_820_679, 83_798, 83_050
#: So many neighbours has an object, and this part of the rows is there twice.
PER_OBJECT, TWICE = NEIGHBORS / PHOTOS, 1 - DISTINCT / SIMILAR
#: Four colours, uniform from 0 to 1, differ by less than this with the probability SIMILAR / JOINED.
CLOSE = 1 - (1 - (SIMILAR / JOINED) ** 0.25) ** 0.5
#: Of three classes the query wants one: JOINED / NEIGHBORS is 0.333.
CLASSES = 3

#: How channels carry Q18. Two-pass: by files, but for the merge, which is confined to the sort behind it.
TWO_PASS = {("M", "S"): "fifo"}
#: In memory: pipes between computers, FIFOs within, and nothing on a disk before the end.
IN_MEMORY = {
    ("X", "D"): "fifo", ("D", "M"): "pipe", ("M", "S"): "fifo", ("S", "Y"): "fifo",
}  # fmt: skip

Photo = tuple[int, int, tuple[float, ...]]  #: object, class, colours


def sky_tables(
    dryad: Dryad, objects: int, n: int, seed: int = 0, close: float = CLOSE
) -> tuple[Graph, Graph]:
    """The tables ugriz and neighbors as partitioned files, by ranges of the object's number."""
    random = Random(seed)
    whole(n, write=1000)("objects", objects)
    photos: list[Photo] = [
        (i, random.randrange(CLASSES), tuple(random.random() for _ in range(4))) for i in range(objects)
    ]
    pairs = []
    for i in range(objects):
        for _ in range(int(PER_OBJECT) + (random.random() < PER_OBJECT % 1)):
            pair = i, random.randrange(objects)
            pairs += [pair] * (1 + (random.random() < TWICE))
    share = -(-objects // n)
    ugriz = dryad.put("ugriz", [photos[k * share : (k + 1) * share] for k in range(n)])
    parts: list[list[Any]] = [[] for _ in range(n)]
    for pair in pairs:
        parts[pair[0] // share].append(pair)
    return ugriz, dryad.put("neighbors", parts)


def sky_query(ugriz: Graph, neighbors: Graph, objects: int, spread: int = 1, close: float = CLOSE) -> Graph:
    """Figure 2 as a graph: X joins, D distributes by ranges, M merges, S sorts, Y joins again, H is distinct.

    ugriz, neighbors: n partitions each. spread: sorts for each range (the paper has 4).
    """
    n = len(ugriz)

    async def x(readers: Sequence[Reader], writers: Sequence[Writer]) -> None:
        wanted = {photo: colours async for photo, kind, colours in readers[0] if kind == 0}
        async for photo, other in readers[1]:
            if photo in wanted:
                await writers[0].write((other, photo, wanted[photo]))

    async def y(readers: Sequence[Reader], writers: Sequence[Writer]) -> None:
        photos = {photo: colours async for photo, _, colours in readers[0]}
        for reader in readers[1:]:
            async for other, photo, colours in reader:
                theirs = photos[other]
                if all(abs(a - b) < close for a, b in zip(colours, theirs, strict=True)):
                    await writers[0].write((photo, other))

    share = -(-objects // n)

    def sort_of(row: tuple[int, ...], outputs: int) -> int:
        """Which sort: the partition of ugriz that has this object, and which part of it."""
        return row[0] // share * spread + row[0] % share * spread // share

    by_range = distribute(by=sort_of, name="D")
    first, second = vertex(x, "X") ** n, vertex(y, "Y") ** n
    merges, sorts = merge_any("M") ** (n * spread), sort(name="S") ** (n * spread)
    into_x = (ugriz >= first) | (neighbors >= first)
    into_y = ugriz >= second
    x_to_s = ((first >= by_range**n) >> merges) >= sorts
    s_to_y = compose(sorts, second, [(i, i // spread) for i in range(n * spread)])
    return into_x | into_y | x_to_s | s_to_y | (second >> sort(distinct=True, name="H"))


def queries(dryad: Dryad, parts: int, rows: int, distinct: int = 200, seed: int = 0) -> Graph:
    """A log in partitions: lines with a time and a query. distinct: how many there are."""
    random = Random(seed)
    weights = [1 / (rank + 1) for rank in range(distinct)]
    drawn = iter(random.choices(range(distinct), weights, k=parts * rows))
    lines = [[f"{k} query-{next(drawn)}" for k in range(rows)] for _ in range(parts)]
    return dryad.put("log", lines)


def histogram(log: Graph, finals: int = 1) -> Graph:
    """Q counts the queries of a partition, in one process; R sums. finals: so many R, by the query's hash."""
    n = len(log)
    parse = map(lambda line: (line.split(" ", 1)[1], 1), "parse")
    count = reduce(add, "count")
    if finals == 1:
        return (log >= encapsulate(parse >= count, "Q") ** n) >> reduce(add, "R")
    inside = (parse >= count) >= distribute(lambda pair: pair[0], name="by")
    return (log >= encapsulate(inside, "Q") ** n) >> reduce(add, "R") ** finals
