"""The list of members that the lab keeps, in the user's process: for the two questions that no member of a
ring can answer by itself.

A node whose known members are all silent cannot tell whether they are dead or only out of reach. The papers
leave open how a ring begins ("some external mechanism" names a first contact), and they have no ring whose
members all die. **The lab's rule**: a ring of which no member is left is founded again by the first of its
nodes that restarts and asks here; the others join it, and what their disks kept returns with them. As long as
one node on a living machine does not answer, it may be a member, and everybody waits: there is never a second
ring. And with ``sampling`` a member whose last known successor is silent, while others are members, takes the
next of these: of a restart of one machine after the other, or of more failures than a list has entries, no
member is left behind that knows nobody alive.

Maintenance does not ask here: it works with what a member knows. Only a node that finds nobody to join
through, and a member whose last known successor is silent, do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labkit.runtime.node import Node, rpc
from labkit.runtime.sync import Lock, gather

from .ids import Peer
from .pointers import NotAMember

__all__ = ["Directory"]

#: Members named to a node that wants to join; one is enough, unless it dies.
CONTACTS = 4


class Directory(Node):
    """Who is in the ring, found out by asking everybody."""

    def __init__(self, living: Callable[[], list[str]], timeout: float) -> None:
        #: The nodes of the ring whose machines are not dead, members or not.
        self.living = living
        self.timeout = timeout
        #: Who was told to found the ring, until somebody has joined.
        self.founder: str | None = None
        #: One question at a time, so that two that ask at once do not both found a ring.
        self._one_at_a_time = Lock()

    @rpc
    async def whom_to_join(self, asker: str) -> list[str] | None:
        """Members to join through; an empty list: there is none, found the ring; None: wait, ask again."""
        async with self._one_at_a_time:
            joined, silent, waiting = await self._ask_all(asker)
            if joined:
                self.founder = None
                return [peer.name for peer in joined[:CONTACTS]]
            if silent:
                return None
            if self.founder in waiting:
                return [self.founder]
            self.founder = asker
            return []

    @rpc
    async def others(self, asker: str) -> list[Peer] | None:
        """The other members; an empty list: there is none; None: somebody does not answer, and may be one."""
        joined, silent, _ = await self._ask_all(asker)
        return joined if joined or not silent else None

    async def _ask_all(self, asker: str) -> tuple[list[Peer], list[str], list[str]]:
        """The others on living machines: members, those that do not answer, and those that want to join."""
        others = [name for name in self.living() if name != asker]
        calls = [self.call(name, "ping", timeout=self.timeout) for name in others]
        answers: list[Any] = await gather(*calls, return_exceptions=True)
        joined, silent, waiting = [], [], []
        for name, answer in zip(others, answers, strict=True):
            if isinstance(answer, NotAMember):
                waiting.append(name)
            elif isinstance(answer, Exception):
                silent.append(name)
            else:  # a ping's answer is the member's id
                joined.append(Peer(answer, name))
        return joined, silent, waiting
