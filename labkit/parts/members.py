"""Who lives: members give signs of life, and one who is silent for too long counts as dead.

A silence is only as telling as the ears: a process that was itself paused or busy has heard nobody.
"""

from __future__ import annotations

__all__ = ["Standstill"]


class Standstill:
    """Notices that this very process stood still.

    timeout: seconds of silence after which a member counts as dead; who asks, asks several times in these.
    now: the time at which its life begins.
    """

    def __init__(self, timeout: float, now: float) -> None:
        self._limit = timeout / 2
        self._asked = now

    def noticed(self, now: float) -> bool:
        """Whether so much time has gone since the last question that nobody's silence means anything."""
        before, self._asked = self._asked, now
        return now - before > self._limit
