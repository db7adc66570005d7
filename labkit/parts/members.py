"""Who lives: members give signs of life, and one who is silent for too long counts as dead.

A silence is only as telling as the ears: a process that was itself paused or busy has heard nobody, and on a
host that has no time for its processes nobody can speak.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from labkit.runtime.loop import running_loop

__all__ = ["Silence"]

#: Standstills of the listener, one after the other, that excuse one member's silence: a process that never
#: has time would otherwise never find anybody dead.
EXCUSED = 4


class Member(Protocol):
    """What is known of one."""

    heard: float  #: when its last sign of life came


class Silence:
    """Notices who has been silent for too long.

    timeout: seconds of silence after which a member counts as dead; who looks, looks several times in these.
    now: the time at which its life begins.
    """

    def __init__(self, timeout: float, now: float) -> None:
        self.timeout = timeout
        self.stood_still = False  #: at the last look: this very process had not looked for so long
        self._looked = now
        self._excused: dict[str, tuple[float, int]] = {}  #: by name: until when, and how often in a row

    def look(self, members: Mapping[str, Member], now: float) -> list[tuple[str, float]]:
        """Who counts as dead, and the seconds of silence. After a standstill of this process the silence
        until then is excused; on an overloaded host it may last longer, as every timeout does."""
        self.stood_still, self._looked = now - self._looked > self.timeout / 2, now
        if self.stood_still:
            excused = {}
            for name, member in members.items():
                until, times = self._excused.get(name, (member.heard - 1.0, 0))
                times = times + 1 if member.heard == until else 1
                if times <= EXCUSED:
                    member.heard = until = now
                excused[name] = until, times
            self._excused = excused
        patience = self.timeout + running_loop().grace(self.timeout)
        return [
            (name, now - member.heard) for name, member in members.items() if now - member.heard > patience
        ]
