"""Which partition a key belongs to: by hash or by range.

Two RDDs with equal partitioners are *co-partitioned*: equal keys are in partitions of the same number, so
that a join of them moves nothing (NSDI 2012, sections 3.2.2 and 6.1).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

from labkit.parts.keys import portable_hash

from .closures import Closure, function_of
from .options import partition_count

__all__ = ["Partitioner", "RangePartitioner"]


class Partitioner:
    """Places keys by ``partitionFunc(key) % numPartitions``. Equal partitioners place equal keys equally."""

    def __init__(self, numPartitions: int, partitionFunc: Callable[[Any], int] = portable_hash) -> None:
        self.numPartitions = partition_count("numPartitions", numPartitions)
        self.partitionFunc = partitionFunc
        #: What is sent; ``partitionFunc`` itself stays here to be compared.
        self._placing = partitionFunc if partitionFunc is portable_hash else Closure(partitionFunc)

    def __getstate__(self) -> dict[str, Any]:
        return {"numPartitions": self.numPartitions, "_placing": self._placing}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.partitionFunc = self._placing

    def __call__(self, k: Any) -> int:
        """The partition of a key."""
        return self._function()(k) % self.numPartitions

    def _function(self) -> Callable[[Any], int]:
        return function_of(self._placing)

    def split(self, pairs: Iterable[tuple[Any, Any]]) -> list[list[tuple[Any, Any]]]:
        """The pairs of each partition, in order."""
        if self.numPartitions == 1 or self._function() is not portable_hash:
            return self.split_distinct(pairs)
        buckets: list[list[tuple[Any, Any]]] = [[] for _ in range(self.numPartitions)]
        append_to = _Appends(portable_hash, buckets)
        for pair in pairs:
            append_to[pair[0]](pair)
        return buckets

    def split_distinct(self, pairs: Iterable[tuple[Any, Any]]) -> list[list[tuple[Any, Any]]]:
        """As ``split``, of pairs whose keys are mostly different, or cannot be hashed."""
        count, place = self.numPartitions, self._function()
        buckets: list[list[tuple[Any, Any]]] = [[] for _ in range(count)]
        if count == 1 and place is portable_hash:
            buckets[0].extend(pairs)
            return buckets
        for pair in pairs:
            buckets[place(pair[0]) % count].append(pair)
        return buckets

    def split_sorted(
        self, pairs: list[tuple[Any, Any]], key: Callable[[Any], Any] | None, ascending: bool
    ) -> list[list[tuple[Any, Any]]]:
        """As ``split``, of pairs sorted by ``key`` of their keys, which are totally ordered."""
        return self.split(pairs)

    def __eq__(self, other: object) -> bool:
        return (
            type(other) is type(self)
            and self.numPartitions == other.numPartitions  # type: ignore[attr-defined]
            and self.partitionFunc == other.partitionFunc  # type: ignore[attr-defined]
        )

    def __hash__(self) -> int:
        return hash((self.numPartitions, self.partitionFunc))

    def __repr__(self) -> str:
        name = getattr(self.partitionFunc, "__name__", repr(self.partitionFunc))
        return f"Partitioner({self.numPartitions}, {name})"


class _Appends(dict[Any, Callable[[Any], None]]):
    """From a key to the ``append`` of its bucket, so that only a key's first pair costs a call of Python
    code.
    """

    def __init__(self, place: Callable[[Any], int], buckets: Sequence[list[Any]]) -> None:
        super().__init__()
        self._place = place
        self._appends = [bucket.append for bucket in buckets]

    def __missing__(self, key: Any) -> Callable[[Any], None]:
        append = self[key] = self._appends[self._place(key) % len(self._appends)]
        return append


class RangePartitioner(Partitioner):
    """Partition i holds the keys above ``bounds[i - 1]`` and up to ``bounds[i]``; counted from the top if
    descending.

    ``bounds`` are values of ``key`` of the keys (None: the keys themselves), sorted.
    """

    def __init__(self, bounds: Sequence[Any], key: Callable[[Any], Any] | None, ascending: bool) -> None:
        self.bounds = list(bounds)
        self.key = key
        self.ascending = ascending
        self.numPartitions = len(self.bounds) + 1

    @property
    def partitionFunc(self) -> Callable[[Any], int]:  # type: ignore[override]
        """The partition of a key."""
        return self.place

    def __getstate__(self) -> dict[str, Any]:
        return {
            "numPartitions": self.numPartitions,
            "bounds": self.bounds,
            "key": self.key,
            "up": self.ascending,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["bounds"], state["key"], state["up"])  # type: ignore[misc]

    def place(self, k: Any) -> int:
        """The partition of a key."""
        key = function_of(self.key)
        place = bisect_left(self.bounds, k if key is None else key(k))
        return place if self.ascending else self.numPartitions - 1 - place

    def _function(self) -> Callable[[Any], int]:
        return self.place

    def split_sorted(
        self, pairs: list[tuple[Any, Any]], key: Callable[[Any], Any] | None, ascending: bool
    ) -> list[list[tuple[Any, Any]]]:
        """Sorted pairs are cut at the bounds, which need few comparisons."""
        if ascending != self.ascending or key is not self.key:
            return self.split(pairs)
        by = function_of(key) or (lambda k: k)
        cuts = [0]
        for bound in self.bounds if ascending else reversed(self.bounds):
            if ascending:
                beyond = lambda pair, bound=bound: bound < by(pair[0])  # noqa: E731
            else:
                beyond = lambda pair, bound=bound: not bound < by(pair[0])  # noqa: E731
            cuts.append(bisect_left(pairs, True, key=beyond))
        cuts.append(len(pairs))
        return [pairs[begin:end] for begin, end in pairwise(cuts)]

    def __eq__(self, other: object) -> bool:
        return (
            type(other) is RangePartitioner
            and self.bounds == other.bounds
            and self.key is other.key
            and self.ascending == other.ascending
        )

    def __hash__(self) -> int:
        return hash((self.numPartitions, self.ascending))

    def __repr__(self) -> str:
        return f"RangePartitioner({self.numPartitions})"
