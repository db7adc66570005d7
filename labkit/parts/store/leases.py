"""Who orders the appends to a block (GFS §3.1).

"The master grants a chunk lease to one of the replicas, which we call the primary. The primary picks a serial
order for all mutations to the chunk." Each lease has a version of the block; a copy that misses it, since its
machine is down or was passed over, is stale from then on (GFS §4.5).

In the paper a lease ends after 60 seconds and the primary alone says what has happened. Here the master
counts each record, if the lease under which it was applied is still the last one; so a lease needs no clock,
a record that was applied on some copies only does not count, and the next lease has it cut off.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labkit.runtime.loop import Task
from labkit.runtime.node import Node
from labkit.runtime.sync import gather

from .copies import ANY, Copies
from .namespace import Namespace
from .settings import NotHere, Settings

__all__ = ["Lease", "Leases"]

#: The version it goes with, and the machines that have it, the primary first.
Lease = tuple[int, tuple[str, ...]]


class Leases:
    """The leases in force. ``change``: the master's, logged; ``stale``: called with the machine, the block
    and the (version, length) of a copy that does not count any more."""

    def __init__(
        self,
        node: Node,
        settings: Settings,
        namespace: Namespace,
        copies: Copies,
        change: Callable[..., Any],
        stale: Callable[[str, int, tuple[int, int]], None],
    ) -> None:
        self.node = node
        self.settings = settings
        self.namespace = namespace
        self.copies = copies
        self.change = change
        self.stale = stale
        self._leases: dict[int, Lease] = {}
        self.granting: dict[int, Task] = {}

    def revoke(self, block: int) -> None:
        """No record under the lease so far counts from now on."""
        self._leases.pop(block, None)

    def counts(self, block: int, version: int) -> bool:
        """Whether that is the version of the lease in force."""
        return block in self._leases and self._leases[block][0] == version

    async def grant(self, block: int, failed: int) -> Lease:
        """The lease in force, or if there is none, or it has version ``failed``, a new one."""
        lease = self._leases.get(block)
        if lease is not None and lease[0] != failed:
            return lease
        if block not in self.granting:
            self.granting[block] = self.node.spawn(self._grant_anew(block))
        granted: Lease = await self.granting[block]
        return granted

    async def _grant_anew(self, block: int) -> Lease:
        """A new version, on all copies that can be reached: "the master increases the chunk version number
        and informs the up-to-date replicas. The master and these replicas all record the new version number
        in their persistent state … before any client is notified" (GFS §4.5)."""
        self.revoke(block)
        try:
            version, length, _ = self.namespace.blocks[block]
            holders = self.copies.holders(block)
            order, timeout = (block, version + 1, length), self.settings.timeout
            calls = [
                self.node.call(self.settings.server(machine), "set_version", *order, timeout=timeout)
                for machine in holders
            ]
            outcomes = await gather(*calls, return_exceptions=True)
        finally:
            del self.granting[block]
        chain = tuple(m for m, o in zip(holders, outcomes, strict=True) if not isinstance(o, Exception))
        if not chain or block not in self.namespace.blocks:
            raise NotHere(f"nobody has block {block} to append to; ask again")
        self.change(None, "grant", block, version + 1)
        for machine in holders:
            if machine not in chain:
                self.stale(machine, block, (version, ANY[1]))
        lease = self._leases[block] = (version + 1, chain)
        path = self.namespace.homes[block].path
        self.node.emit(
            "lease_granted", path=path, block=block, version=version + 1, primary=chain[0], chain=list(chain)
        )
        return lease
