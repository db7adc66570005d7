"""Overlays of two tiers: hubs (ultrapeers of Gnutella 0.6, supernodes of FastTrack) shield leaves.

A leaf is connected to hubs alone. It takes another when one dies; a hub that has too many leaves appoints the
strongest of them, and a leaf that finds no hub after five tries becomes one itself, unless it is behind a
firewall. Promotion by bandwidth and uptime is this lab's model: FastTrack's rule was never published.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, ClassVar

from labkit.runtime.errors import LabError, UnknownNode
from labkit.runtime.node import every, rpc

from .servent import Servent

__all__ = ["TwoTier", "score"]


def score(speed: int, uptime: float) -> float:
    """How good a hub a host would be: kB/s, and how long it has been there (seconds) for a proof that it
    stays."""
    return speed * (1.0 + min(uptime, 3600.0) / 600.0)


class TwoTier(Servent):
    """A leaf or a hub."""

    #: What a hub is called.
    hub: ClassVar[str]
    failed_tries = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.introduced: set[str] = set()  #: hubs that know what this leaf has
        self.crowded = False  #: a hub that had to refuse a leaf

    @property
    def is_hub(self) -> bool:
        """Whether it shields others."""
        return self.role == self.hub

    def leaves(self) -> list[str]:
        """Leaves of this hub."""
        return [host for host, link in self.links.items() if link.role == "leaf"]

    def hubs(self) -> list[str]:
        """Neighbours that are hubs."""
        return [host for host, link in self.links.items() if link.role == self.hub]

    async def enter(self, first: bool) -> None:
        """As in one tier; then the leaf tells its hubs what it has."""
        self.introduced.clear()
        await super().enter(first)
        await self.introduce_itself()

    async def maintain(self) -> None:
        """As in one tier; a hub that did not hear what this leaf has is told again."""
        await super().maintain()
        await self.introduce_itself()

    async def introduce_itself(self) -> None:
        """Tell those hubs what it has that do not know."""
        if self.role == "leaf":
            for host in self.hubs():
                if host not in self.introduced and await self.introduce(host):
                    self.introduced.add(host)

    def accepts(self, host: str, role: str) -> bool:
        """A hub takes so many leaves, and so many hubs; a leaf nobody."""
        if not self.is_hub:
            return False
        if role == "leaf":
            self.crowded |= (full := len(self.leaves()) >= self.options.leaves)
            return not full
        return len(self.hubs()) < 2 * self.options.degree

    def lacks(self) -> int:
        """A leaf wants a hub, a hub other hubs."""
        return (1 if self.role == "leaf" else self.wants) - len(self.hubs())

    async def introduce(self, host: str) -> bool:
        """Tell a hub what this leaf has; the system says in which form. Whether it has heard."""
        raise NotImplementedError

    async def try_host(self, host: str) -> bool:
        """A handshake; then what a leaf has is told."""
        connected = await super().try_host(host)
        if connected and self.role == "leaf" and host in self.links and self.links[host].role != self.hub:
            self.close(host, "it is a leaf, too")
            return False
        self.introduced.discard(host)  # the other side has opened the link anew
        await self.introduce_itself()
        return connected

    async def seek_links(self) -> None:
        """As in one tier; a leaf without a hub becomes one after two rounds of tries in vain."""
        await super().seek_links()
        if self.role == "leaf" and self.online:
            self.failed_tries = 0 if self.hubs() else self.failed_tries + 1
            if self.failed_tries >= 2 and not self.host.firewalled:
                self.become_hub("it found none that takes it")

    def become_hub(self, why: str) -> None:
        """Shield others from now on."""
        self.role, self.wants, self.failed_tries = self.hub, self.options.degree, 0
        self.emit("role_changed", role=self.role, why=why)
        self._tell_hosts()

    @rpc
    async def promote(self, others: tuple[str, ...]) -> bool:
        """A hub that has too many leaves appoints this one."""
        if self.is_hub or self.host.firewalled or not self.online:
            return False
        before = self.hubs()
        self.become_hub("its hub has too many leaves")
        for host in before:  # the handshake anew: equals now
            self.close(host, "they are equals now")
        for host in (*before, *others):
            self.hear_of(host, self.hub)
            await self.try_host(host)
        return True

    @rpc
    def move(self, hub: str) -> None:
        """A hub sends its leaf to another."""
        if self.role == "leaf":
            self.hear_of(hub, self.hub)
            self.spawn(self.try_host(hub))

    @every("ping_every")
    async def shed(self) -> None:
        """A hub that had to refuse a leaf appoints its strongest, and sends it half the others."""
        if not self.is_hub or not self.online or not self.crowded:
            return
        self.crowded = False
        names = self.leaves()
        patience = self.options.call_timeout
        candidates = await self.several(*[self.call(leaf, "strength", timeout=patience) for leaf in names])
        strong = [
            (value, name) for value, name in zip(candidates, names, strict=True) if isinstance(value, float)
        ]
        if not strong or max(strong)[0] <= 0:
            return
        chosen = max(strong)[1]
        try:
            if not await self.call(
                chosen, "promote", tuple(self.hubs()), timeout=8 * self.options.call_timeout
            ):
                return
        except LabError:
            return
        for leaf in [leaf for leaf in self.leaves() if leaf != chosen][::2]:
            self.close(leaf, f"it is sent to {chosen}")
            with suppress(UnknownNode):
                self.send(leaf, "move", chosen)

    @rpc
    def strength(self) -> float:
        """What kind of hub it would be; 0: none."""
        if self.host.firewalled or self.role != "leaf":
            return 0.0
        return score(self.host.speed, self.now - self.begun)

    def close(self, host: str, why: str) -> None:
        """A neighbour less; of a leaf the hub forgets what it had."""
        leaf = host in self.links and self.links[host].role == "leaf"
        super().close(host, why)
        self.introduced.discard(host)
        if leaf:
            self.lost_leaf(host)

    def lost_leaf(self, leaf: str) -> None:
        """What a hub does about a leaf that is gone."""
