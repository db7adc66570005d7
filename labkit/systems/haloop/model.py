"""The programming model (§2.2, Figure 16): a loop whose body is one or more steps, each a map and a reduce.

::

    loop = HaLoop(cluster, fs)
    loop.add_map(map_rank, 1)                   # AddMap(Map_Rank, 1)
    loop.add_reduce(reduce_rank, 1)
    loop.add_map(map_aggregate, 2)
    loop.add_reduce(reduce_aggregate, 2)
    loop.set_input("ranks/*")                   # R0
    loop.add_invariant_table("links/*")         # L
    loop.set_distance_measure(difference)
    loop.set_fixed_point_threshold(0.01)
    loop.set_max_num_of_iterations(10)
    loop.set_reducer_input_cache(True)
    job = loop.run("out", M=16, R=4)

A program has the form R(i+1) = R0 ∪ (R(i) ⋈ L). ``map(task, key, value)`` and ``reduce(task, key, values,
invariant)`` are functions; ``task`` is what ``self`` is in MapReduce (``task.emit_intermediate``,
``task.emit``, ``task.counter``), and knows ``task.iteration`` and, in a map, ``task.table``: the pattern of
the invariant table that the pair is from, or "". ``reduce`` is called for each key that a map task has
emitted for a changing input; ``invariant`` is the list of values that the key has in the invariant tables.

What may be cached (§4): the partition function must be deterministic, the same in every iteration, and see
the key alone; for the reducers' output, what two iterations say of one key must come from the same
partition."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from labkit.runtime.raised import short
from labkit.systems.mapreduce.model import Program
from labkit.systems.mapreduce.readers import Pairs, Piece

__all__ = ["CombiningStep", "Step", "distance_of", "exact", "total_distance"]


class Step(Program):
    """A map-reduce pair of the loop's body. Its output is read by the next step, so it is ``Pairs``."""

    reader = Pairs()
    writer = Pairs()

    #: Of the running task: 1 for the first iteration; the pattern of the invariant table that is read, or "".
    iteration: int = 0
    table: str = ""
    #: Whether a cache depends on where keys go.
    cached: bool = False

    def __init__(
        self,
        map_function: Callable[..., Any] | None,
        reduce_function: Callable[..., Any] | None,
        combine_function: Callable[..., Any] | None = None,
        partition_function: Callable[..., Any] | None = None,
    ) -> None:
        self._functions = (map_function, reduce_function, combine_function, partition_function)

    def map(self, key: Any, value: Any) -> Any:
        """The user's function; without one a pair is handed on."""
        function = self._functions[0]
        return super().map(key, value) if function is None else function(self, key, value)

    def reduce(self, key: Any, values: Iterator[Any], invariant: Any = ()) -> Any:
        """The user's function; without one the values are handed on."""
        function = self._functions[1]
        return super().reduce(key, values) if function is None else function(self, key, values, invariant)

    def partition(self, key: Any, R: int) -> int:  # noqa: N803
        """The user's function, or a hash. With caches it must not look at the iteration: what is cached of a
        key is where the key was in the first one. Raises ``ValueError`` if it does."""
        function = self._functions[3]
        if function is None:
            return super().partition(key, R)
        region: int = function(self, key, R)
        if self.cached and self.iteration > 1:
            now, self.iteration = self.iteration, 1
            first = function(self, key, R)
            self.iteration = now
            if first != region:
                raise ValueError(
                    f"the partition of {key!r:.40} was {first} in the first iteration and is {region} in "
                    f"iteration {now}: with caches it must depend on the key alone"
                )
        return region


class CombiningStep(Step):
    """One with a combiner."""

    def combine(self, key: Any, values: Iterator[Any]) -> Any:
        """The user's function."""
        function = self._functions[2]
        assert function is not None
        return function(self, key, values)


def exact(key: Any, before: list[Any], now: list[Any]) -> float:
    """The default distance: how many keys have not the same values as before. 0: the fix point."""
    return float(sorted(before, key=repr) != sorted(now, key=repr))


def distance_of(
    before: bytes, now: bytes, measure: Callable[[Any, list[Any], list[Any]], float] | None
) -> float:
    """Between two outputs of a partition, summed over all keys: equal keys of two iterations are in the same
    partition (§4.2)."""
    return total_distance(Pairs().pairs(Piece("", 0, before)), Pairs().pairs(Piece("", 0, now)), measure)


def total_distance(
    before: Iterable[tuple[Any, Any]],
    now: Iterable[tuple[Any, Any]],
    measure: Callable[[Any, list[Any], list[Any]], float] | None,
) -> float:
    """The same of pairs."""
    tables: list[dict[Any, list[Any]]] = []
    for pairs in (before, now):
        found: dict[Any, list[Any]] = {}
        for key, value in pairs:
            found.setdefault(key, []).append(value)
        tables.append(found)
    old, new = tables
    distance = 0.0
    for key in sorted(old.keys() | new.keys()):
        was, became = old.get(key, []), new.get(key, [])
        measured = (measure or exact)(key, was, became)
        if not (isinstance(measured, (int, float)) and 0 <= measured < math.inf):
            raise ValueError(
                f"the distance of {key!r} from {short(was)} to {short(became)} is {measured!r}: it must be a "
                "finite number, at least 0"
            )
        distance += measured
    return distance
