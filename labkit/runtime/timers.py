"""The timers of a loop: what is due after a delay unless something comes before, as a call's timeout.

A loop has one ``Lane`` for each delay in use.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

__all__ = ["INFINITY", "Lane", "Timer"]

INFINITY = float("inf")


class Timer:
    """A callback that is due when a lane's delay is over, unless its future is resolved by then."""

    __slots__ = ("callback", "future", "since")

    def __init__(self, future: Any, callback: Callable[[Any], None]) -> None:
        self.future = future
        self.callback = callback
        self.since = 0.0

    @property
    def _done(self) -> bool:
        return self.future._done  # type: ignore[no-any-return]

    def expire(self, after: float) -> None:
        """The time is over."""
        self.callback(self.future)


class Lane:
    """Timers that all have the same delay, oldest first; only the first stands in the heap. On a busy host a
    loop grants all of them more.

    Nearly every RPC timeout is cancelled by its answer, and nearly all have one of a few delays. In a queue
    by delay they are sorted already, and those whose call is over are dropped from its head for nothing. An
    entry has ``since``, ``_done`` and ``expire(delay)``: a ``Timer``, or a call itself.
    """

    __slots__ = ("armed", "delay", "entries", "loop")

    def __init__(self, loop: Any, delay: float) -> None:
        self.loop = loop
        self.delay = delay
        self.entries: deque[Any] = deque()
        self.armed = delay == INFINITY  # then it is never due

    def add(self, timer: Any) -> None:
        """Have ``timer.expire(delay)`` called after the delay unless it is done by then."""
        entries = self.entries
        while entries and entries[0]._done:
            entries.popleft()
        timer.since = self.loop.now
        entries.append(timer)
        if not self.armed:
            self.armed = True
            self.loop.call_at(timer.since + self.delay, self.fire)

    def fire(self, _: None) -> None:
        """The first entry is due, or was: expire what is due, and arm for the next."""
        entries, loop = self.entries, self.loop
        delay = self.delay + loop.grace(self.delay)
        while entries and (entries[0]._done or entries[0].since + delay <= loop.now):
            timer = entries.popleft()
            if not timer._done:
                timer.expire(self.delay)
        if entries:
            loop.call_at(entries[0].since + delay, self.fire)
        else:  # programs that compute their timeouts would leave one lane for each
            loop._lanes.pop(self.delay, None)
