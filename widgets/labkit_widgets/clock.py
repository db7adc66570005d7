"""Where a panel looks: now, or a position in the past. Pure state.

The panel moves it and the poller advances it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

#: Speeds a person can choose: seconds of the run per second of watching.
SPEEDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class Position:
    """`at` is None while live. A replay moves `at`; when it reaches the end the panel is live again."""

    at: float | None = None
    replaying: bool = False
    speed: float = 1.0
    epoch: int = 0  # counts jumps: what still moves on stage belongs to an older epoch and vanishes

    @property
    def live(self) -> bool:
        """Whether the panel shows the present."""
        return self.at is None

    def seek(self, at: float | None) -> Position:
        """Jump to a moment, or to the present with None."""
        return replace(self, at=at, replaying=False, epoch=self.epoch + 1)

    def play(self, now: float) -> Position:
        """Replay from here."""
        return replace(self, at=now if self.at is None else self.at, replaying=True)

    def hold(self, now: float) -> Position:
        """Stand still here."""
        return replace(self, at=now if self.at is None else self.at, replaying=False)

    def advance(self, elapsed: float, end: float) -> Position:
        """Where the replay is after `elapsed` seconds of watching."""
        if self.at is None or not self.replaying:
            return self
        at = self.at + elapsed * self.speed
        return self.seek(None) if at >= end else replace(self, at=at)
