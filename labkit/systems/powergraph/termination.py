"""Termination detection (§4.3.2 names it; the algorithm is Dijkstra, Feijen and van Gasteren's, EWD 840).

A token goes round the ring of machines; only an idle one passes it on. A machine that has sent work since it
last had the token is *black*, for whoever got that work may be behind the token, and blackens it. When a
white token comes back to an idle, white machine 0, nobody has anything to do, and nothing is on its way.

EWD 840 wants messages that take no time. Here a machine is not idle before all it has sent has been received
(``Channels.empty``), and the receiver is not idle before it has looked at it: that is as good.
"""

from __future__ import annotations

__all__ = ["Ring"]


class Ring:
    """One machine's part."""

    def __init__(self, rank: int, machines: int) -> None:
        self.rank, self.machines = rank, machines
        self.black = False  #: whether this machine has sent work since it passed the token on
        self.holds = rank == 0
        self.token_black = True  #: a token that has not been round yet says nothing
        self.rounds = 0  #: probes that machine 0 has begun

    def received(self, black: bool) -> None:
        """The token is here."""
        self.holds, self.token_black = True, black

    @property
    def over(self) -> bool:
        """At machine 0, idle and with the token: whether all is quiet."""
        return self.rank == 0 and self.holds and not self.token_black and not self.black

    def pass_on(self) -> tuple[int, bool]:
        """To whom the token goes, and whether it is black. Machine 0 begins a new probe with a white one."""
        black = self.rank != 0 and (self.token_black or self.black)
        self.rounds += self.rank == 0
        self.holds = self.black = False
        return (self.rank - 1) % self.machines, black
