"""The host cache: where who knows nobody asks (as gnutellahosts.com, and the GWebCaches later)."""

from __future__ import annotations

from labkit.runtime.node import Node, rpc

from ..events import EVENTS

__all__ = ["HostCache"]

#: Hosts that are remembered, and that one answer has.
KEPT, TOLD = 500, 20


class HostCache(Node):
    """Remembers who has come last; it does not look whether they are still there."""

    events = EVENTS

    def __init__(self, hosts: tuple[str, ...] = ()) -> None:
        self.hosts = dict.fromkeys(hosts[-KEPT:])
        self.asked = 0

    @rpc
    def came(self, host: str) -> None:
        """Somebody to whom others may connect."""
        self.hosts.pop(host, None)
        self.hosts[host] = None
        while len(self.hosts) > KEPT:
            del self.hosts[next(iter(self.hosts))]

    @rpc
    def some(self) -> tuple[str, ...]:
        """A few hosts, any of those it knows."""
        self.asked += 1
        return tuple(self.random.sample(list(self.hosts), min(TOLD, len(self.hosts))))
