"""Connections of the overlay: handshake, signs of life, and where to find others when some are lost.

Whom a servent could connect to it learns from pongs, which neighbours answer from a cache of what they have
heard, and from refused handshakes ("X-Try"); whoever knows nobody asks the host cache.
"""

from __future__ import annotations

from labkit.parts.members import Silence
from labkit.runtime.errors import LabError, Timeout, UnknownNode
from labkit.runtime.node import every, rpc

from ..collection import SharedFile
from ..descriptor import BYE, KINDS, PING, PONG, bye, header, pong, pong_of
from ..options import Options
from .peer import Offline, Peer, Refused

__all__ = ["Connections", "Link"]

#: Pongs that answer one ping, and hosts that are remembered (ping-pong scheme of 0.6: "about ten").
PONGS, KNOWN = 10, 60
#: Seconds between two pings that ask neighbours for hosts (the scheme's).
REFRESH_EVERY = 3.0
#: Hosts that are tried in one round (FastTrack's: five).
TRIES = 5
OK, FULL = 200, 503


class Link:
    """A neighbour."""

    __slots__ = ("heard", "patches", "role", "table")

    def __init__(self, now: float, role: str = "peer") -> None:
        self.heard = now
        self.role = role  #: of the other side: peer, leaf, ultrapeer, supernode
        self.table = b""  #: a leaf's query routing table (0.6)
        self.patches: dict[bytes, None] = {}  #: GUIDs of the messages that made it


class Connections(Peer):
    """A servent's links; what goes over them is the matter of ``Servent``."""

    def __init__(
        self, number: int, options: Options, library: tuple[SharedFile, ...] = (),
        links: tuple[tuple[str, str], ...] = (), role: str = "peer",
    ) -> None:  # fmt: skip
        """links: names and roles of the neighbours at the start."""
        super().__init__(number, options, library)
        self.role = role
        self._first_links = links
        self.links: dict[str, Link] = {}
        #: Links that it tries to have, and that it has at most.
        self.wants = sum(other != "leaf" for _, other in links) or options.degree
        self.in_vain = False  #: the last round of tries has brought nothing
        self.known: dict[str, None] = {}  #: hosts it has heard of, the last heard last
        self.refreshed = 0.0
        self.silence = Silence(options.timeout, 0.0)
        self.pings: dict[bytes, str] = {}  #: where flooded pings came from (0.4 without a cache)

    @property
    def most(self) -> int:
        """Links between equals that it has at most; hubs that were born with more keep them."""
        return max(2 * self.options.degree, len(self._first_links))

    def neighbours(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self.links)

    async def enter(self, first: bool) -> None:
        """Come with the links of the start, or find neighbours."""
        self.links.clear()
        if first and self._first_links and not self.disk.get("was here"):
            for name, role in self._first_links:
                self.links[name] = Link(self.now, role)
            if self.options.announced:
                for name in self.links:
                    self.emit("linked", to=name)
            self.disk["was here"] = True
            self.disk.sync()
        elif self.ping_every is not None:
            await self.seek_links()

    async def part(self) -> None:
        """Say Bye to all neighbours."""
        for name in list(self.links):
            self._say(name, BYE, 1, bye(OK, "leaving"))
            self.close(name, "it leaves itself")

    # handshake ------------------------------------------------------------

    def accepts(self, host: str, role: str) -> bool:
        """Whether another may connect."""
        return len(self.links) < self.most

    @rpc
    def connect(self, host: str, role: str) -> tuple[int, str, tuple[str, ...]]:
        """A handshake: 200 or 503, this side's role, and others to try."""
        if not self.online:
            raise Offline(f"{self.name} has left")
        if self.host.firewalled:
            raise Refused(f"{self.name} is behind a firewall: only it can connect to others")
        self.hear_of(host, role)
        if host in self.links and self.links[host].role == role:
            self.links[host].heard = self.now
            return OK, self.role, ()
        self.close(host, f"it is a {role} now")
        if self.accepts(host, role):
            self.open(host, role)
            return OK, self.role, ()
        return FULL, self.role, tuple(list(self.known)[-PONGS:])

    def open(self, host: str, role: str) -> None:
        """A neighbour more."""
        self.links[host] = Link(self.now, role)
        if self.options.announced:
            self.emit("linked", to=host)

    def close(self, host: str, why: str) -> None:
        """A neighbour less."""
        if self.links.pop(host, None) is not None and self.options.announced:
            self.emit("unlinked", to=host, why=why)

    def hear_of(self, host: str, role: str) -> None:
        """A host that one could connect to."""
        if host != self.name:
            self.known.pop(host, None)
            self.known[host] = None
            while len(self.known) > KNOWN:
                del self.known[next(iter(self.known))]

    # maintenance ------------------------------------------------------------

    @every("ping_every")
    async def maintain(self) -> None:
        """Give up who is silent, ping the others, find new ones."""
        if not self.online:
            return
        for host, seconds in self.silence.look(self.links, self.now):
            self.emit("neighbour_silent", to=host, seconds=seconds)
            self.close(host, "it is silent")
            self.known.pop(host, None)
        fresh = self.now - self.refreshed > REFRESH_EVERY
        for host in list(self.links):
            if not fresh:
                self._say(host, PING, 1)
        if fresh:
            self.refreshed = self.now
            guid = self.new_guid()
            self.pings[guid] = ""
            for host in list(self.links):
                self._say(host, PING, 2 if self.options.pong_cache else self.options.ttl, guid=guid)
        await self.seek_links()

    def lacks(self) -> int:
        """Links that it would like to have beside those it has."""
        return self.wants - len(self.links)

    async def seek_links(self) -> None:
        """Connect to hosts it has heard of; to those of the host cache if there are too few."""
        if self.lacks() <= 0:
            return
        if self.in_vain or len(self.known) <= len(self.links):
            try:
                for host in await self.call(self.options.hosts, "some", timeout=self.options.call_timeout):
                    self.hear_of(host, "")
            except LabError:
                pass  # it is dead; there are the hosts of the next pongs
        lacked = self.lacks()
        others = [host for host in self.known if host not in self.links]
        for host in self.random.sample(others, min(TRIES, len(others))):
            if self.lacks() <= 0:
                break
            await self.try_host(host)
        self.in_vain = self.lacks() >= lacked
        if not self.host.firewalled and self.role != "leaf":
            self._tell_hosts()

    def _tell_hosts(self) -> None:
        try:
            self.send(self.options.hosts, "came", self.name)
        except UnknownNode:
            pass

    async def try_host(self, host: str) -> bool:
        """A handshake with one."""
        try:
            code, role, others = await self.call(
                host, "connect", self.name, self.role, timeout=self.options.call_timeout
            )
        except (Timeout, LabError):
            self.known.pop(host, None)
            return False
        if code == FULL:
            self.known.pop(host, None)
        for other in others:
            self.hear_of(other, "")
        if code == OK and self.online and host not in self.links:
            self.open(host, role)
        return bool(code == OK)

    # pings and pongs ------------------------------------------------------------

    def new_guid(self) -> bytes:
        """16 random bytes; two of them as the 0.6 draft wants them (§2.4.1)."""
        made = bytearray(self.random.randbytes(16))
        made[8], made[15] = 0xFF, 0x00
        return bytes(made)

    def _say(
        self, host: str, kind: int, ttl: int, load: bytes = b"", guid: bytes = b"", hops: int = 0
    ) -> None:
        """Send a descriptor to a neighbour."""
        self.tell(host, header(guid or self.new_guid(), kind, ttl, hops, load))

    def tell(self, host: str, data: bytes) -> None:
        """Send bytes to a neighbour. One that was removed from the lab is found out as any other dead."""
        self.count(KINDS[data[16]], len(data))
        try:
            self.send(host, "descriptor", self.name, data)
        except UnknownNode:
            pass

    def _own_pong(self) -> bytes:
        return pong(self.number, len(self.mine), sum(file.size for file in self.mine.values()) // 1024)

    def on_ping(self, source: str, data: bytes) -> None:
        """Answer with a Pong; with a cache, with some of others too, without one hand the Ping on."""
        guid, ttl, hops = data[:16], data[17], data[18]
        if guid in self.pings:
            return
        self._say(source, PONG, hops + 1, self._own_pong(), guid)
        if ttl <= 1:
            return
        if self.options.pong_cache:
            for host in [host for host in reversed(self.known) if host != source][:PONGS]:
                self._say(source, PONG, 1, pong(self.options.number(host), 0, 0), guid, hops=1)
            return
        self.pings[guid] = source
        for host in self.links:
            if host != source:
                self._say(host, PING, ttl - 1, guid=guid, hops=hops + 1)

    def on_pong(self, source: str, data: bytes) -> None:
        """Remember the host; hand the Pong of a flooded Ping on."""
        self.hear_of(self.options.peer(pong_of(data[23:]).peer), "")
        back = self.pings.get(data[:16])
        if back and back in self.links and data[17] > 1:
            self._say(back, PONG, data[17] - 1, data[23:], data[:16], data[18] + 1)

    def on_bye(self, source: str, data: bytes) -> None:
        """The neighbour leaves (0.6)."""
        self.close(source, data[25:-1].decode(errors="replace"))
        self.known.pop(source, None)
