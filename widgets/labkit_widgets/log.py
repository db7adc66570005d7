"""What a panel remembers of a trace beside its frame: the faults, and what else it asks for.

The time line marks them, and the event list keeps them, however much has happened since.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from labkit.trace.machines import EventLine
from labkit.trace.words import RUNTIME, describe, many, tone

#: What is marked on the time line.
MARKED = frozenset(
    {
        "killed", "machine_died", "restarted", "paused", "resumed", "slowed", "partitioned", "healed",
        "loss_changed", "latency_changed", "duplicate_changed", "disk_lost", "crash",
    }
)  # fmt: skip
#: Events of each sort that are remembered, and faults that are kept at the end of the event list.
REMEMBERED, KEPT = 300, 12


class Log:
    """A reducer that notes what it is given for the first time, and leaves the rest to another."""

    def __init__(self, reducer: Any, kinds: Iterable[str] = ()) -> None:
        self._reducer = reducer
        self._kinds = frozenset(kinds)
        self._latest = (float("-inf"), 0)  # the place of the newest event; before it is a look back
        self._dead: set[str] = set()
        self.marks: list[EventLine] = []
        self.noted: list[Any] = []

    def initial(self) -> Any:
        """The state before the first event."""
        return self._reducer.initial()

    def apply(self, state: Any, event: Any) -> None:
        """Change `state` by one event."""
        self._reducer.apply(state, event)
        if (event.time, event.seq) <= self._latest:
            return
        self._latest = (event.time, event.seq)
        if event.kind in self._kinds:
            self.noted = [*self.noted[1 - REMEMBERED :], event]
        if event.kind in MARKED and self._is_news(event):
            words = RUNTIME[event.kind]
            line = EventLine(event.time, event.seq, describe(event, words), tone(words))
            self.marks = [*self.marks[1 - REMEMBERED :], line]

    def _is_news(self, event: Any) -> bool:
        """A killed machine is seen to be gone as well: one death, one mark."""
        died = event.kind in ("killed", "machine_died")
        known = died and event.machine in self._dead
        if died:
            self._dead.add(event.machine)
        elif event.kind == "restarted":
            self._dead.discard(event.machine)
        return not known


def listed(lines: Sequence[EventLine], marks: Sequence[EventLine], count: int, now: float) -> list[EventLine]:
    """The event list, newest first: one line for each silent node, and no fault pushed out by noise."""
    shown = _gathered(lines)[:count]
    there = {line.seq for line in lines}
    missing = [mark for mark in marks if mark.time <= now and mark.seq not in there]
    return shown + missing[: -KEPT - 1 : -1]


def _gathered(lines: Sequence[EventLine]) -> list[EventLine]:
    """Newest first. Of a node that does not answer the newest line tells all, up to a repair."""
    found: list[EventLine] = []
    places: dict[str, int] = {}
    for line in reversed(lines):
        if line.tone == "repair" and not line.about:
            places.clear()
        if line.about in places:
            at = places[line.about]
            total = found[at].total + line.total
            name = line.about.partition(" ")[2]
            words = f"{name} does not answer: {many(total, 'call')} to it timed out since {line.time:.2f} s"
            found[at] = replace(found[at], text=words, total=total)
            continue
        if line.about.startswith("silent "):
            places[line.about] = len(found)
        found.append(line)
    return found
