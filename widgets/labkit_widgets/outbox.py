"""Which messages still have to be drawn. The browser may skip states, so each pulse is in several of them.

The browser starts a pulse of an id once; sending it again is harmless. An *epoch* is a stretch of looking
without a jump: when the person moves the scrubber a new one begins, and what still moves on stage vanishes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from .clock import Position
from .scene import Pulse

#: For how long a pulse stays in the stage's state, in seconds: several ticks.
KEPT = 0.6
#: Real machines report in batches: an event may arrive this many seconds after later ones of other machines.
LATE = 1.0


class Outbox:
    """The pulses of the last moments, and the memory of those that were sent."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, Pulse]] = []  # (when it was first sent, pulse)
        self._known: set[int] = set()
        self._until: float | None = None  # the moment of the run up to which messages were drawn
        self._epoch = -1

    def since(self, position: Position, now: float) -> float:
        """The moment after which pulses are asked for, when the frame shows `now`."""
        if self._until is None or position.epoch != self._epoch or now < self._until:
            self._waiting, self._known, self._until, self._epoch = [], set(), None, position.epoch
            return now if position.replaying else now - LATE
        return self._until if position.replaying else self._until - LATE

    def send(self, pulses: Iterable[Pulse], position: Position, now: float) -> dict[str, Any]:
        """The stage's state: what stands still at a moment of the past, or what has to move."""
        if not position.live and not position.replaying:
            return {"epoch": position.epoch, "items": [pulse.plain() for pulse in pulses]}
        found = list(pulses)
        moment = time.monotonic()
        if self._until is not None:  # at the begin of an epoch everything is old: only what comes will move
            fresh = [replace(pulse, at=None) for pulse in found if pulse.id not in self._known]
            self._waiting += [(moment, pulse) for pulse in fresh]
        self._waiting = [(sent, pulse) for sent, pulse in self._waiting if moment - sent < KEPT]
        self._known = {pulse.id for pulse in found} | {pulse.id for _, pulse in self._waiting}
        self._until = now
        return {"epoch": position.epoch, "items": [pulse.plain() for _, pulse in self._waiting]}
