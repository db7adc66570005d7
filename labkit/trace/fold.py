"""What a trace adds up to at a position: the fold, and its memory.

Folding 100,000 events ten times a second would be too slow, so `History` remembers the fold: it applies only
the events that are new, and keeps a snapshot of the state every `BLOCK` events for going back.
"""

from __future__ import annotations

import copy
import math
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, Protocol

__all__ = ["History", "Reducer", "copied", "fold"]

#: A state is saved every so many events: a step back costs one copy and at most this many events.
BLOCK = 1000


class Reducer(Protocol):
    """How one kind of frame folds events. A state's containers are copied at a snapshot.

    Their items never change.
    """

    def initial(self) -> Any:
        """The state before the first event."""
        ...

    def apply(self, state: Any, event: Any) -> None:
        """Change `state` by one event."""
        ...


def copied(state: Any) -> Any:
    """A state that can be changed without touching the original: fields that are containers are copied."""
    twin = copy.copy(state)
    for each in fields(state):
        value = getattr(state, each.name)
        if isinstance(value, (dict, list, set, deque)):
            setattr(twin, each.name, copy.copy(value))
        elif hasattr(value, "__dataclass_fields__") and not type(value).__dataclass_params__.frozen:
            setattr(twin, each.name, copied(value))
    return twin


def fold(reducer: Reducer, events: Iterable[Any], position: float | None = None) -> Any:
    """The state after `events`, or after those that had happened at `position` seconds. The definition."""
    state = reducer.initial()
    for event in events:
        if position is None or event.time <= position:
            reducer.apply(state, event)
    return state


@dataclass(frozen=True)
class _Block:
    """A saved state: what the first ``start`` events add up to."""

    start: int
    state: Any


class History:
    """The remembered fold of one trace. `at(position)` equals `fold(reducer, trace, position)`.

    It reads only as far as the order of the events is final. Should one come later than that all the same,
    the fold goes back to before it and on from there.
    """

    def __init__(self, trace: Any, reducer: Reducer) -> None:
        self.trace, self.reducer = trace, reducer
        self._lock = threading.RLock()
        self._state = reducer.initial()
        self._count = 0  # events folded into _state
        self._rewritten = len(trace.rewritten)  # late events that have been heeded
        self._blocks = [_Block(0, copied(self._state))]

    def at(self, position: float | None = None) -> Any:
        """The state now (None) or at a position in seconds. Read it before the next call.

        Do not change it.
        """
        with self._lock:
            self._catch_up()
            count = self._count if position is None else min(self._count, self.trace.upto(position))
            return self._state if count == self._count else self._back(count)

    def read(self, position: float | None = None) -> Any:
        """As `at`, for a program: what its answers come from is in it (`Trace.catch_up`)."""
        self.trace.catch_up()
        return self.at(position)

    @property
    def span(self) -> tuple[float, float]:
        """The times of the first and the last event."""
        with self._lock:
            self._catch_up()
            first, last = self._time(self.trace.dropped), self._time(self._count - 1)
            return (first or 0.0, last or 0.0)

    def next_time(self, position: float) -> float | None:
        """The time of the first event after `position`, or None: where a step forward goes."""
        with self._lock:
            self._catch_up()
            return self._time(self.trace.upto(position))

    def last_time(self, position: float) -> float | None:
        """The time of the last event before `position`, or None: where a step back goes."""
        with self._lock:
            self._catch_up()
            before = math.nextafter(position, -math.inf)
            return self._time(min(self.trace.upto(before), self._count) - 1)

    def _time(self, number: int) -> float | None:
        """When the event of this number happened; None if it is not kept, or not yet folded."""
        found = self.trace.since(number, number + 1) if self.trace.dropped <= number < self._count else ()
        return found[0].time if found else None

    def _catch_up(self) -> None:
        begin, events, rewritten = self.trace.fresh(self._count, self._rewritten)
        while begin < self._count:
            self._rewind(begin)
            begin, events, rewritten = self.trace.fresh(self._count, rewritten)
        self._rewritten = rewritten
        self._count = max(self._count, begin)  # the trace may have forgotten some before we came
        for event in events:
            self.reducer.apply(self._state, event)
            self._count += 1
            if self._count - self._blocks[-1].start >= BLOCK:
                self._blocks.append(_Block(self._count, copied(self._state)))
        while len(self._blocks) > 1 and self._blocks[1].start <= self.trace.dropped:
            del self._blocks[0]  # nobody can go back there: the events are forgotten

    def _rewind(self, count: int) -> None:
        """Go back to a saved state in which no event after the first ``count`` is."""
        while len(self._blocks) > 1 and self._blocks[-1].start > count:
            self._blocks.pop()
        self._count, self._state = self._blocks[-1].start, copied(self._blocks[-1].state)

    def _back(self, count: int) -> Any:
        """What the first ``count`` events add up to."""
        block = next((each for each in reversed(self._blocks) if each.start <= count), self._blocks[0])
        state = copied(block.state)
        for event in self.trace.since(block.start, count):
            self.reducer.apply(state, event)
        return state
