"""Which operation is on stage, hop by hop: the one that was asked for, else those of others, each to its end.

An operation has a `number`, `start`, `end` (None: under way), `hops`, and `timeouts`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

#: A hop is replayed for this long: a person can follow it.
HOP_MS = 800
#: After a replay the operation stays on stage for this long before another one may come, in seconds.
REST = 3.0


class Replay:
    """The operation on stage."""

    def __init__(self) -> None:
        self.shown: Any = None
        self.count = 0  # of replays
        self._wanted: Callable[[Any], bool] | None = None
        self._until = 0.0  # when the replay on stage ends, on the wall clock

    @property
    def over(self) -> bool:
        """Whether it has been replayed to its end."""
        return time.monotonic() > self._until

    def want(self, fits: Callable[[Any], bool]) -> None:
        """Wait for the operation that fits; no other one comes on stage before."""
        self._wanted = fits

    def again(self) -> None:
        """From the first hop."""
        if self.shown is not None:
            self.count += 1
            self._take(self.shown)

    def follow(self, operations: Sequence[Any], now: float, live: bool) -> None:
        """Turn to the operation that belongs on stage at a moment of the run."""
        wanted = self._wanted
        asked = next((o for o in reversed(operations) if wanted(o)), None) if wanted is not None else None
        if asked is not None and asked != self.shown:
            self._turn(asked)
            if asked.end is not None:
                self._wanted = None
            return
        ended = [o for o in operations if o.end is not None]
        if live and (self._wanted is not None or not self.over):
            return
        if live:
            ended = [o for o in ended if o.end > now - 1.0]
            ended.sort(key=lambda o: bool(o.timeouts))  # one that was hurt tells more
        if ended and (self.shown is None or ended[-1].number != self.shown.number):
            self._turn(ended[-1])

    def _turn(self, operation: Any) -> None:
        if self.shown is None or self.shown.number != operation.number:
            self.count += 1
        self._take(operation)

    def _take(self, operation: Any) -> None:
        self.shown = operation
        self._until = time.monotonic() + len(operation.hops) * HOP_MS / 1000 + REST

    def route(self, words: Callable[[int, Any], str], standing: bool) -> dict[str, Any]:
        """What the stage replays, one entry a hop; `standing`: all of them at once."""
        shown = self.shown
        if shown is None:
            return {}
        return {
            "id": f"{shown.number}.{self.count}",
            "ms": HOP_MS,
            "standing": standing,
            "over": not standing and self.over,
            "owner": shown.owner,
            "hops": [
                {"source": h.source, "target": h.target, "lost": h.timed_out, "text": words(number, h)}
                for number, h in enumerate(shown.hops, 1)
            ],
        }
