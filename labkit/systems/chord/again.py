"""A ring whose members all died, and the way back into it.

The paper says how a node joins through a member, and nothing of a ring that has none left: nodes that only
ever join would look for one for ever. So this is the lab's rule, not Chord's: **a ring whose members all died
is founded again by the first of them that restarts**, and the others join it; and a member that is the last
alive is a ring of one, which answers for every key, though it remembers others. The lab knows which machines
are dead, which no node can; it tells a node that restarts through which members to join, and if all that live
have restarted, and say that they are members of nothing, it tells the first of them to found the ring.

What the disks kept comes back as after any restart: each node offers its copies to their owners. Until that
has happened a key that nobody has is not said to be missing; a write would begin anew with version 1.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from labkit.runtime.faults import Fault, Kill, Restart
from labkit.runtime.node import Node

from .store import SWEEP

__all__ = ["FoundedAgain"]

#: Members through which a node may join; one is enough, unless it dies.
CONTACTS = 4


class FoundedAgain:
    """Looks after the members that restart; mixed into ``Chord``."""

    if TYPE_CHECKING:
        cluster: Any
        settings: Any
        _random: Any
        nodes: Any

        async def client_reports(self, client: Node, keys: bool = False) -> dict[str, Any]: ...

    def look_after_restarts(self) -> None:
        """From now on."""
        #: Until then a key that nobody has may still come back from a disk, in seconds.
        self.returning_until = 0.0
        #: Nodes that have restarted and are not known to be members again; a dict, for its order.
        self._reborn: dict[str, None] = {}
        ring = weakref.ref(self)

        def told(fault: Fault) -> None:
            it = ring()
            if it is not None and it.settings.stabilize_every is not None:
                it._after(fault)

        self.cluster.after_fault(told)

    def _after(self, fault: Fault) -> None:
        """A machine has died or restarted: who is to join through whom?"""
        if not isinstance(fault, (Kill, Restart)):
            return
        alive = [node for node in self.nodes if node.alive]
        for node in alive if isinstance(fault, Restart) else ():
            if node.machine == fault.machine:
                self._reborn.pop(node.name, None)
                self._reborn[node.name] = None
        if alive and all(node.name in self._reborn for node in alive):
            self.cluster.submit(self._find_members)
        elif len(alive) == 1 and isinstance(fault, Kill):
            self.cluster.submit(self._found, alive[0].name)
        elif isinstance(fault, Restart):
            members = [node.name for node in alive if node.name not in self._reborn]
            self.cluster.submit(self._introduce, self._random.sample(members, min(CONTACTS, len(members))))

    async def _find_members(self, client: Node) -> None:
        """All who live have restarted: is one of them a member again? Else the first is to found the ring."""
        alive = [node.name for node in self.nodes if node.alive]
        reports = await self.client_reports(client)
        members = [name for name in alive if name in reports and reports[name]["joined"]]
        for name in members:
            self._reborn.pop(name, None)
        if not members and set(alive) <= set(reports):
            members = [name for name in self._reborn if name in reports][:1]
            self.returning_until = client.now + 2 * SWEEP * self.settings.stabilize_every
            for name in members:
                await self._found(client, name)
        await self._introduce(client, members[:CONTACTS])

    async def _found(self, client: Node, name: str) -> None:
        """This node is the only member from now on."""
        client.send(name, "found")

    async def _introduce(self, client: Node, members: list[str]) -> None:
        """Tell those who have restarted through whom to join."""
        for name in self._reborn if members else ():
            client.send(name, "meet", tuple(members))
