"""Whether all is over: a token that counts messages on their way (Safra's algorithm; Dijkstra, EWD 998).

An empty scheduler says nothing: a task may be on its way from another machine. The VLDB paper (§4.2.2) takes
a distributed consensus of Misra's, with markers; this one needs only that messages arrive. The machines are a
ring. Each counts the messages that it has sent, less those that it has got, and is *black* once it got one.
The token goes round through machines that are *passive*, adds up their counts and takes their colour. When it
is back at the first machine, white from white machines, and the sum is nought, then nothing was on its way
and nobody can have been woken behind its back: all is over. Else it goes round again.
"""

from __future__ import annotations

from .messages import Token

__all__ = ["Consensus"]


class Consensus:
    """One machine's part. place: in the ring of so many machines."""

    def __init__(self, place: int, machines: int) -> None:
        self.place, self.machines = place, machines
        self.count = 0
        self.black = False
        self.token: Token | None = Token(0, True) if place == 0 else None
        self.rounds = 0

    def sent(self) -> None:
        """A message that can wake somebody has left."""
        self.count += 1

    def got(self) -> None:
        """One has come."""
        self.count -= 1
        self.black = True

    def over(self) -> bool:
        """Asked of the first machine, when it is passive and has the token: whether all is over."""
        token = self.token
        white = token is not None and not token.black and not self.black
        return white and token is not None and token.on_the_way + self.count == 0 and bool(self.rounds)

    def passed_on(self) -> Token:
        """The token for the next machine, from one that is passive."""
        assert self.token is not None
        if self.place == 0:
            self.rounds += 1
            found = Token(0, False)
        else:
            found = Token(self.token.on_the_way + self.count, self.token.black or self.black)
        self.token, self.black = None, False
        return found
