"""Combiners (§3.2) and aggregators (§3.3): both make one value of many, in any order and grouping.

``Sum``, ``Min`` and ``Max`` are both; over arrays they are the NumPy functions of the same name.
"""

from __future__ import annotations

import math
import operator
from typing import Any, ClassVar

import numpy as np

from labkit.runtime.packing import dumps

__all__ = ["Aggregator", "Combiner", "Max", "Min", "Sum", "in_trace", "reduced", "same"]


class Combiner:
    """Makes one message of two for the same vertex. "There are no guarantees about which (if any) messages
    are combined, the groupings presented to the combiner, or the order of combining, so combiners should only
    be enabled for commutative and associative operations" (§3.2)."""

    #: The same over arrays; None: ``compute_batch`` gets the messages one by one.
    ufunc: ClassVar[Any] = None
    #: What may be combined with any message without changing it, for ``compute_batch``.
    identity: float = 0.0

    def combine(self, one: Any, other: Any) -> Any:
        """One message in place of two."""
        raise NotImplementedError


class Aggregator:
    """Reduces what vertices give in superstep S; all see the result in S+1.

    sticky: over all supersteps so far, not only the last one. ``initial`` changes nothing that it is reduced
    with; it is what an aggregator shows to which nobody has given anything.
    """

    initial: Any = None

    def __init__(self, sticky: bool = False) -> None:
        self.sticky = sticky

    def reduce(self, one: Any, other: Any) -> Any:
        """One value in place of two; commutative and associative."""
        raise NotImplementedError


class Sum(Combiner, Aggregator):
    """The sum."""

    ufunc = np.add
    initial = 0
    combine = reduce = staticmethod(operator.add)  # type: ignore[assignment]


class Min(Combiner, Aggregator):
    """The smallest."""

    ufunc = np.minimum
    initial = identity = float("inf")
    combine = reduce = staticmethod(min)  # type: ignore[assignment]


class Max(Combiner, Aggregator):
    """The largest."""

    ufunc = np.maximum
    initial = identity = float("-inf")
    combine = reduce = staticmethod(max)  # type: ignore[assignment]


def reduced(aggregator: Aggregator, one: Any, other: Any) -> Any:
    """``reduce``, unless its ``return`` was forgotten. Raises ``TypeError``."""
    found = aggregator.reduce(one, other)
    if found is None and one is not None and other is not None:
        raise TypeError(f"{type(aggregator).__name__}.reduce returns nothing: return one value of two")
    return found


def same(one: Any, other: Any) -> bool:
    """Equal, but for the last digits of a sum; NaN is the same as NaN. What cannot be compared is."""
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        if one == other or (one != one and other != other):
            return True
        try:
            return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
        except OverflowError:  # of a whole number that no float can hold
            return False
    try:
        return dumps(one) == dumps(other) or bool(np.all(one == other))
    except Exception:
        return True


def in_trace(values: dict[str, Any]) -> dict[str, Any]:
    """What aggregators have been given, or made, as an event has it: numbers, and others' text."""
    return {
        name: value if isinstance(value, (int, float)) else repr(value)[:80] for name, value in values.items()
    }
