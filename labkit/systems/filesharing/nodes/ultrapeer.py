"""Gnutella 0.6: ultrapeers, which hand a query on to a leaf only if its query routing table has all words,
and search for their leaves link by link (dynamic query) instead of flooding.

The figures are gtk-gnutella's: three links with TTL 2 as a probe, then one link after another, with a TTL
that the hits so far make sensible; 150 hits are enough, 50 for a leaf.
"""

from __future__ import annotations

from typing import Any, ClassVar

from labkit.runtime.errors import LabError
from labkit.runtime.node import rpc

from ..collection import SharedFile
from ..descriptor import BYE, QRP, QUERY, Hit, header, query
from ..qrp import may_have, patches, reset, table_of, updated
from .peer import Refused
from .servent import Question
from .twotier import TwoTier

__all__ = ["Ultrapeer", "horizon"]

#: Links of the probe and its TTL; hits that are enough for a leaf.
PROBED, PROBE_TTL, FOR_A_LEAF = 3, 2, 50
#: A search goes on over more links for so many times its wait; a leaf gives up after eight.
LASTS = 6
#: Messages of a leaf's table that are known again.
REMEMBERED = 100
#: At most, of one link (X-Max-TTL).
MAX_TTL = 4


def horizon(degree: int, ttl: int) -> int:
    """Ultrapeers that a query over one link reaches at most: the sum of (degree - 1)^i for i < TTL."""
    return sum((degree - 1) ** hop for hop in range(ttl))


class Ultrapeer(TwoTier):
    """An ultrapeer or a leaf of one."""

    hub: ClassVar[str] = "ultrapeer"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.told: dict[str, bytes] = {}  #: a leaf's table as each of its ultrapeers has it

    # query routing tables ------------------------------------------------------------

    async def introduce(self, host: str) -> bool:
        """RESET and PATCH: the words of this leaf's files."""
        self.told.pop(host, None)
        return await self._update(host)

    async def _update(self, host: str) -> bool:
        """What has changed since the last time. Each message is acknowledged before the next, since a PATCH
        must not overtake its RESET (over TCP it does not)."""
        table = table_of(file.name for file in self.mine.values())
        before = self.told.get(host)
        loads = [] if before is not None else [reset()]
        loads += patches(before or bytes(len(table)), table)
        for load in loads:
            data = header(self.new_guid(), QRP, 1, 0, load)
            self.count("qrp", len(data))
            try:
                if not await self.call(
                    host, "descriptor", self.name, data, timeout=self.options.call_timeout
                ):
                    return False
            except LabError:
                self.told.pop(host, None)
                self.introduced.discard(host)
                return False
        self.told[host] = table
        return True

    async def shares(self, file: SharedFile) -> None:
        """A patch to each ultrapeer."""
        if self.role == "leaf":
            for host in self.hubs():
                await self._update(host)

    shares_no_longer = shares

    def on_table(self, source: str, data: bytes) -> None:
        """A leaf's RESET or PATCH, once: the lab's network may deliver it twice, and flips must not be."""
        link = self.links[source]
        if data[:16] in link.patches:
            return
        link.patches[data[:16]] = None
        if len(link.patches) > REMEMBERED:
            del link.patches[next(iter(link.patches))]
        link.table = updated(link.table, data[23:])

    # queries ------------------------------------------------------------

    def onward_to(self, source: str, data: bytes, text: str) -> list[str]:
        """To the other ultrapeers; to leaves in ``on_query``."""
        return [host for host in self.hubs() if host != source]

    def on_query(self, source: str, data: bytes, link: Any) -> None:
        """As in 0.4, and to the leaves that may have it, whatever the TTL: they are the last hop."""
        if self.is_hub and link.role == "leaf":
            self._say(source, BYE, 1)  # a leaf asks by ``ask_for``
            return
        super().on_query(source, data, link)
        if self.is_hub:
            self.ask_leaves(
                source, header(data[:16], QUERY, 1, data[18] + 1, data[23:]), data[25:-1].decode()
            )

    def ask_leaves(self, source: str, data: bytes, text: str) -> None:
        """The query to those leaves whose tables have all words."""
        to = [
            host for host, link in self.links.items()
            if link.role == "leaf" and host != source and link.table and may_have(link.table, text)
        ]  # fmt: skip
        if to and self.announced:
            self.emit("leaves_asked", query=data[:16].hex()[:12], to=to)
        self.hand_on(to, data)

    # searches ------------------------------------------------------------

    async def look(
        self, text: str, ttl: int, strategy: str, wait: float
    ) -> tuple[tuple[str, ...], list[Hit]]:
        """An ultrapeer searches itself; for a leaf its ultrapeer does."""
        if self.is_hub:
            return await self._dynamic(text, min(ttl, MAX_TTL), self.options.wanted, wait)
        for host in self.hubs():
            try:
                queries, hits = await self.call(host, "ask_for", self.name, text, ttl, timeout=8 * wait)
            except LabError:
                continue
            for hit in hits:
                self.pushes[Hit(*hit).servent] = host  # a Push goes over the ultrapeer
            return tuple(queries), [Hit(*hit) for hit in hits]
        raise Refused(f"{self.name} has no ultrapeer at the moment; let time pass, and search again")

    @rpc
    async def ask_for(self, leaf: str, text: str, ttl: int) -> tuple[tuple[str, ...], list[Hit]]:
        """Search on a leaf's behalf."""
        if not self.is_hub or leaf not in self.links:
            raise Refused(f"{self.name} is not the ultrapeer of {leaf}")
        wanted = min(FOR_A_LEAF, self.options.wanted)
        return await self._dynamic(text, min(ttl, MAX_TTL), wanted, self.options.search_wait, leaf)

    async def _dynamic(
        self, text: str, most: int, wanted: int, wait: float, leaf: str = ""
    ) -> tuple[tuple[str, ...], list[Hit]]:
        """The own leaves, a probe, then link after link; one GUID for all."""
        guid, question, until = self.new_guid(), Question(wanted), self.now + LASTS * wait
        self.questions[guid] = question
        self.seen[guid] = "", most
        links = self.hubs()
        self.random.shuffle(links)
        if self.announced:
            self.emit("search_started", query=guid.hex()[:12], text=text, ttl=most, strategy="dynamic query",
                      to=links[:PROBED], leaf=leaf)  # fmt: skip
        mine = [] if leaf == "" else self.answers(text)  # to a leaf, this ultrapeer's own files are another's
        question.hits.update({(hit.peer, hit.root): hit for hit in mine})
        self.heard_hits(guid.hex()[:12], mine, self.name)
        load = query(text)
        self.ask_leaves(leaf, header(guid, QUERY, 1, 0, load), text)
        probe = min(PROBE_TTL, most)
        self.hand_on(links[:PROBED], header(guid, QUERY, probe, 0, load))
        reached = len(links[:PROBED]) * horizon(self.options.degree, probe)
        await self.wait_for_hits(question, min(wait, self.options.hop_wait * (probe + 1)))
        for host in links[PROBED:]:
            if question.enough or self.now >= until:
                break
            ttl = self.next_ttl(len(question.hits), reached, wanted, most)
            self.hand_on([host], header(guid, QUERY, ttl, 0, load))
            reached += horizon(self.options.degree, ttl)
            if self.announced:
                self.emit("query_widened", query=guid.hex()[:12], to=[host], ttl=ttl, hits=len(question.hits))
            await self.wait_for_hits(question, min(wait, self.options.hop_wait * (ttl + 1)))
        self.questions.pop(guid, None)
        return (guid.hex()[:12],), list(question.hits.values())

    def next_ttl(self, hits: int, reached: int, wanted: int, most: int) -> int:
        """The smallest TTL whose horizon should have the hits that are missing."""
        if not hits:
            return most
        needed = (wanted - hits) * reached / hits
        return next((ttl for ttl in range(1, most) if horizon(self.options.degree, ttl) >= needed), most)
