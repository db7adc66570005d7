"""Which partition a key belongs to: by hash or by range.

Two RDDs with equal partitioners are *co-partitioned*: equal keys are in partitions of the same number, so
that a join of them moves nothing (NSDI 2012, sections 3.2.2 and 6.1).
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import sys
import uuid
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any
from zlib import crc32

from labkit.runtime.errors import LabError

from .closures import Closure, function_of

__all__ = ["Partitioner", "RangePartitioner", "UnstableKey", "portable_hash"]


class UnstableKey(LabError, TypeError):
    """A key without a hash that every process agrees on."""


def portable_hash(x: Any) -> int:
    """A key's hash, the same in every process and on every run.

    As PySpark's for None, numbers and tuples. Python salts its own hash of strings in each process, so str
    and bytes use CRC-32 (PySpark needs PYTHONHASHSEED for that). Equal keys have equal hashes: 1, 1.0 and
    True.
    """
    kind = type(x)
    if kind is str:
        return crc32(x.encode("utf-8", "surrogatepass"))
    if kind is int:
        return hash(x)
    if kind is tuple:
        return _hash_of_tuple(x)
    return _hash_of_others(x)


def _hash_of_tuple(x: tuple[Any, ...]) -> int:
    # The mixing of PySpark's portable_hash, so that tuples of numbers are placed as there.
    h = 0x345678
    for item in x:
        h ^= portable_hash(item)
        h *= 1000003
        h &= sys.maxsize
    h ^= len(x)
    return -2 if h == -1 else h


def _hash_of_others(x: Any) -> int:
    match x:
        case None:
            return 0
        case float() if x != x:
            return 0  # nan: Python hashes its address
        case bool() | int() | float() | complex() | Decimal() | Fraction() | uuid.UUID() | range():
            return hash(x)
        case str():
            return portable_hash(str(x))
        case bytes():
            return crc32(x)
        case enum.Enum():
            return crc32(f"{type(x).__qualname__}.{x.name}".encode())
        case tuple():
            return _hash_of_tuple(x)
        case frozenset():
            # Any order of the elements gives the same.
            return sum(_hash_of_tuple((item,)) for item in x) & sys.maxsize
        case datetime.datetime() if x.tzinfo is not None:
            return portable_hash(x.astimezone(datetime.UTC).replace(tzinfo=None))
        case datetime.datetime():
            return _hash_of_tuple((x.toordinal(), x.hour, x.minute, x.second, x.microsecond))
        case datetime.date():
            return x.toordinal()
        case datetime.timedelta():
            return _hash_of_tuple((x.days, x.seconds, x.microseconds))
    parameters = getattr(type(x), "__dataclass_params__", None)
    if parameters is not None and parameters.eq and type(x).__hash__ is not None:
        # Two are equal if these fields are.
        return _hash_of_tuple(tuple(getattr(x, each.name) for each in dataclasses.fields(x) if each.compare))
    if type(x).__module__ == "numpy" and getattr(x, "ndim", None) == 0:
        return portable_hash(x.item())
    raise _unstable(x)


def _unstable(x: Any) -> UnstableKey:
    kind = type(x).__name__
    try:
        hash(x)
    except TypeError:
        better = {"list": "tuple(key)", "set": "frozenset(key)", "dict": "tuple(sorted(key.items()))"}
        return UnstableKey(
            f"a key must be hashable, and {x!r:.80} of type {kind} is not; "
            f"write {better.get(kind, 'a tuple of its fields')} instead"
        )
    return UnstableKey(
        f"{x!r:.80} of type {kind} cannot be a key: its hash differs from process to process. Use a str, "
        "a number, a tuple or a frozen dataclass of these, or give a partitionFunc"
    )


class Partitioner:
    """Places keys by ``partitionFunc(key) % numPartitions``. Equal partitioners place equal keys equally."""

    def __init__(self, numPartitions: int, partitionFunc: Callable[[Any], int] = portable_hash) -> None:
        if isinstance(numPartitions, bool) or not isinstance(numPartitions, int) or numPartitions < 1:
            raise ValueError(
                f"numPartitions={numPartitions!r}: at least one partition; write numPartitions=4"
            )
        self.numPartitions = numPartitions
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
        """As ``split``, of pairs sorted by ``key`` of their keys."""
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
                beyond = lambda pair, bound=bound: by(pair[0]) > bound  # noqa: E731
            else:
                beyond = lambda pair, bound=bound: by(pair[0]) <= bound  # noqa: E731
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
