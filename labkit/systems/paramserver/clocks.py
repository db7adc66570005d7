"""Range vector clocks (Li et al., OSDI 2014, Alg. 2): which pushes a server has seen, in little space.

A vector clock for each key would take a number for each (worker, key). But a worker pushes ranges, and all
keys of a range then have the same clock. So a server keeps one clock for each (worker, range), and splits a
range only where a push covers a part of it: O(m·k) numbers for m workers and k ranges, not O(m·n) for n keys.

Here they reject duplicates: a worker's pushes reach each key in the order of their timestamps, so a push
whose timestamp is not above a key's clock was seen there before.

    >>> clock = RangeVectorClock()
    >>> clock.set("worker-0", 0, 100, t=1)
    >>> clock.set("worker-0", 20, 40, t=2)          # splits [0, 100) into three
    >>> clock.ranges("worker-0")
    [(0, 20, 1), (20, 40, 2), (40, 100, 1)]
    >>> clock.behind("worker-0", 10, 50, t=2)       # where the push with timestamp 2 is still news
    [(10, 20), (40, 50)]
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable

__all__ = ["NEVER", "RangeVectorClock"]

#: The clock of a key that no push has touched; the first timestamp is 1.
NEVER = 0


class RangeVectorClock:
    """For each node: ranges of keys, and the timestamp of its latest push to each."""

    def __init__(self) -> None:
        #: By node: where ranges begin, and the clock from there on; the first begins at minus infinity.
        self._clocks: dict[Hashable, tuple[list[int], list[int]]] = {}

    def set(self, node: Hashable, lo: int, hi: int, t: int) -> None:
        """``node``'s push with timestamp ``t`` has been seen on [lo, hi). A clock never goes back."""
        if lo >= hi:
            return
        starts, times = self._clocks.setdefault(node, ([lo], [NEVER]))
        if lo < starts[0]:
            starts.insert(0, lo)
            times.insert(0, NEVER)
        first = self._split(starts, times, lo)
        end = self._split(starts, times, hi)
        for at in range(first, end):
            times[at] = max(times[at], t)
        self._join(starts, times, first, end)

    @staticmethod
    def _split(starts: list[int], times: list[int], key: int) -> int:
        """Make a range begin at ``key``; returns its index. What lies beyond the last push is never."""
        at = bisect_left(starts, key)
        if at == len(starts) or starts[at] != key:
            starts.insert(at, key)
            times.insert(at, times[at - 1] if at < len(times) else NEVER)
        return at

    @staticmethod
    def _join(starts: list[int], times: list[int], first: int, end: int) -> None:
        """Neighbours with equal clocks are one range again."""
        for at in range(min(end, len(times) - 1), max(first, 1) - 1, -1):
            if times[at] == times[at - 1]:
                del starts[at], times[at]

    def ranges(self, node: Hashable) -> list[tuple[int, int, int]]:
        """(lo, hi, timestamp) of everything that a push of the node has touched."""
        starts, times = self._clocks.get(node, ([], []))
        return [(lo, hi, t) for lo, hi, t in zip(starts, starts[1:], times, strict=False) if t != NEVER]

    def behind(self, node: Hashable, lo: int, hi: int, t: int) -> list[tuple[int, int]]:
        """The parts of [lo, hi) on which timestamp ``t`` is news."""
        seen = [(a, b) for a, b, clock in self.ranges(node) if clock >= t and a < hi and b > lo]
        news: list[tuple[int, int]] = []
        at = lo
        for a, b in seen:
            if at < a:
                news.append((at, a))
            at = max(at, b)
        if at < hi:
            news.append((at, hi))
        return news

    def get(self, node: Hashable, key: int) -> int:
        """The clock of one key."""
        starts, times = self._clocks.get(node, ([], []))
        at = bisect_right(starts, key) - 1
        return times[at] if at >= 0 else NEVER

    def cut(self, lo: int, hi: int) -> RangeVectorClock:
        """The clocks of the keys in [lo, hi) alone."""
        piece = RangeVectorClock()
        for node in self._clocks:
            for a, b, t in self.ranges(node):
                piece.set(node, max(a, lo), min(b, hi), t)
        return piece

    @property
    def size(self) -> int:
        """Clocks that are kept, over all nodes."""
        return sum(len(self.ranges(node)) for node in self._clocks)
