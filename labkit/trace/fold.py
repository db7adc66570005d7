"""What a trace adds up to at a position: the fold, and its memory.

Folding 100,000 events ten times a second would be too slow, so `History` remembers the fold: it applies only
the events that are new, and keeps a snapshot of the state every `BLOCK` events for going back.
"""

from __future__ import annotations

import copy
import threading
from collections import deque
from collections.abc import Iterable, Sequence
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
    """A saved state and the events that follow it, up to the next block."""

    start: int  # events folded into `state`
    state: Any
    latest: float  # the latest time among those events
    earliest: list[float]  # one item: the earliest time among the events of this block


class History:
    """The remembered fold of one trace. `at(position)` equals `fold(reducer, trace, position)`.

    Events may arrive out of order (the Ray engine drains machines in batches), so a saved state serves a
    position only if *everything* folded into it had happened by then; what follows is filtered by time.
    """

    def __init__(self, trace: Any, reducer: Reducer) -> None:
        self.trace, self.reducer = trace, reducer
        self._lock = threading.RLock()
        self._state = reducer.initial()
        self._count = 0  # events folded into _state
        self._latest = float("-inf")
        self._blocks = [_Block(0, copied(self._state), self._latest, [float("inf")])]

    def at(self, position: float | None = None) -> Any:
        """The state now (None) or at a position in seconds. Read it before the next call.

        Do not change it.
        """
        with self._lock:
            self._catch_up()
            if position is None or position >= self._latest:
                return self._state
            return self._back(position)

    @property
    def span(self) -> tuple[float, float]:
        """The times of the first and the last event."""
        with self._lock:
            self._catch_up()
            first = min(block.earliest[0] for block in self._blocks)
            return (first, self._latest) if self._count else (0.0, 0.0)

    def next_time(self, position: float) -> float | None:
        """The time of the first event after `position`, or None: where a step forward goes."""
        with self._lock:
            self._catch_up()
            found = float("inf")
            for number in range(len(self._blocks)):
                if self._latest_until(number) > position and self._blocks[number].earliest[0] < found:
                    found = min([found, *(e.time for e in self._events(number) if e.time > position)])
            return None if found == float("inf") else found

    def last_time(self, position: float) -> float | None:
        """The time of the last event before `position`, or None: where a step back goes."""
        with self._lock:
            self._catch_up()
            found = float("-inf")
            for number in range(len(self._blocks) - 1, -1, -1):
                if self._latest_until(number) <= found:
                    break  # nothing that came earlier can be later than what was found
                if self._blocks[number].earliest[0] < position:
                    found = max([found, *(e.time for e in self._events(number) if e.time < position)])
            return None if found == float("-inf") else found

    def _catch_up(self) -> None:
        self._count = max(
            self._count, self.trace.dropped
        )  # a bounded trace may have forgotten some before we came
        for event in self.trace.since(self._count):
            self.reducer.apply(self._state, event)
            self._count += 1
            self._latest = max(self._latest, event.time)
            block = self._blocks[-1]
            block.earliest[0] = min(block.earliest[0], event.time)
            if self._count - block.start >= BLOCK:
                self._blocks.append(_Block(self._count, copied(self._state), self._latest, [float("inf")]))
        while len(self._blocks) > 1 and self._blocks[1].start <= self.trace.dropped:
            del self._blocks[0]  # nobody can go back there: the events are forgotten

    def _latest_until(self, number: int) -> float:
        """The latest time among the events of blocks 0 to `number`."""
        return self._blocks[number + 1].latest if number + 1 < len(self._blocks) else self._latest

    def _events(self, number: int) -> Sequence[Any]:
        """The retained events of one block."""
        start = self._blocks[number].start
        end = self._blocks[number + 1].start if number + 1 < len(self._blocks) else self._count
        gone = self.trace.dropped
        events: Sequence[Any] = self.trace[max(0, start - gone) : max(0, end - gone)]
        return events

    def _back(self, position: float) -> Any:
        number = max(n for n, block in enumerate(self._blocks) if block.latest <= position or n == 0)
        state = copied(self._blocks[number].state)
        for later in range(number, len(self._blocks)):
            if self._blocks[later].earliest[0] <= position:
                for event in self._events(later):
                    if event.time <= position:
                        self.reducer.apply(state, event)
        return state
