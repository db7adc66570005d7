"""A servent of Gnutella 0.4: client, server and router.

A query is handed on to all neighbours but the one it came from, while its TTL lasts; a GUID that was seen is
not handled again. Hits go back along the way that the query came, and a Push along the way of the hits. Each
servent knows of that way one step: from whom the GUID came first.
"""

from __future__ import annotations

from typing import Any, ClassVar

from labkit.parts.retry import comes
from labkit.runtime.errors import UnknownNode
from labkit.runtime.node import every, rpc
from labkit.runtime.sync import Signal

from ..collection import SharedFile
from ..descriptor import (
    BYE,
    FLAGS,
    MOST_HITS,
    PING,
    PONG,
    PUSH,
    QRP,
    QUERY,
    QUERY_HIT,
    WALKER,
    BadDescriptor,
    Hit,
    bye,
    header,
    hits_of,
    onward,
    payload,
    push,
    push_of,
    query,
    query_hit,
    query_of,
)  # fmt: skip
from ..options import Options
from .connections import Connections
from .peer import Refused

__all__ = ["Question", "Servent"]

#: Hits of one servent for one query, at most.
ANSWERS = 64


class Question:
    """A search of this servent: its GUIDs, and the hits so far."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.hits: dict[tuple[int, bytes], Hit] = {}
        self.changed = Signal()

    @property
    def enough(self) -> bool:
        """Whether it may end before its time."""
        return len(self.hits) >= self.wanted


class Servent(Connections):
    """Floods queries."""

    route_expiry: float

    def __init__(
        self, number: int, options: Options, library: tuple[SharedFile, ...] = (),
        links: tuple[tuple[str, str], ...] = (), role: str = "peer",
    ) -> None:  # fmt: skip
        super().__init__(number, options, library, links, role)
        self.route_expiry = options.route_expiry if options.ping_every is not None else None  # type: ignore[assignment]
        #: GUID of a query: from whom it came first ("": from here), and the TTL that it had.
        self.seen: dict[bytes, tuple[str, int]] = {}
        self.seen_before: dict[bytes, tuple[str, int]] = {}
        #: Servent id: from whom its hits came.
        self.pushes: dict[bytes, str] = {}
        self.questions: dict[bytes, Question] = {}
        self.announced = options.announced
        self.reforward = options.reforward
        #: Duplicates need no second look: nobody watches them, and none is sent on.
        usual = type(self).on_duplicate is Servent.on_duplicate
        self.quick = usual and not (options.announced or options.reforward)

    @every("route_expiry", jitter=0.0)
    def forget(self) -> None:
        """GUIDs are forgotten one or two periods after they were seen; what comes back later is lost."""
        self.seen_before, self.seen = self.seen, {}
        self.pings.clear()

    # what arrives ------------------------------------------------------------

    @rpc
    def descriptor(self, source: str, data: bytes) -> bool:
        """A descriptor; whether it comes from a neighbour. Whoever is none hears Bye: the two disagree."""
        if (
            self.quick
            and len(data) > 24
            and data[16] == QUERY
            and data[:16] in self.seen
            and not data[23] & WALKER
        ):
            self.duplicates += 1  # most of all messages of a flood: no step more than needed
            return True
        link = self.links.get(source)
        if link is None:
            if self.online and data[16:17] != bytes([BYE]):
                self._say(source, BYE, 1, bye(400, "no connection"))
            return False
        link.heard = self.now
        try:
            guid, kind, *_, load = payload(data)
            if kind != QUERY:
                self.received += 1
                self._handlers[kind](self, source, data)
            elif len(load) > 1 and (seen := self.seen.get(guid) or self.seen_before.get(guid)):
                self.on_duplicate(source, data, seen)
            else:
                self.on_query(source, data, link)
        except BadDescriptor as error:
            self._say(source, BYE, 1, bye(400, str(error)))
            self.close(source, f"no descriptor: {error}")
        return True

    # queries ------------------------------------------------------------

    def on_query(self, source: str, data: bytes, link: Any) -> None:
        """A query that is new here: answer it, and hand it on."""
        self.received += 1
        guid, ttl = data[:16], data[17]
        text = query_of(data[23:]).text
        self.seen[guid] = source, ttl
        to = self.onward_to(source, data, text) if ttl > 1 else []
        if self.announced:
            self.emit(
                "query_received", query=guid.hex()[:12], source=source, hops=data[18] + 1, ttl=ttl - 1, to=to
            )
        hits = self.answers(text)
        if hits:
            self._answer(guid, source, data[18] + 1, hits)
        if to:
            self.hand_on(to, onward(data))

    def hand_on(self, to: list[str], data: bytes) -> None:
        """A query to some neighbours: ``tell`` for many, since nothing is done as often."""
        self.sent["query"] += len(to)
        self.sent_bytes += len(to) * len(data)
        for host in to:
            try:
                self.send(host, "descriptor", self.name, data)
            except UnknownNode:
                pass

    def onward_to(self, source: str, data: bytes, text: str) -> list[str]:
        """To whom a query goes: all neighbours but the sender; a random walker to one of them."""
        others = [host for host in self.links if host != source]
        if data[23] & WALKER and data[24] & (FLAGS >> 8):
            return [others[int(self.random.random() * len(others))]] if others else []
        return others

    def on_duplicate(self, source: str, data: bytes, seen: tuple[str, int]) -> None:
        """A query seen before is not handled again. A walker walks on; with ``reforward``, so does a query
        that has come with a higher TTL, since it reaches peers that the first copy could not."""
        self.duplicates += 1
        ttl = data[17]
        walker = data[23] & WALKER and data[24] & (FLAGS >> 8)
        to: list[str] = []
        if ttl > 1 and (walker or (self.reforward and ttl > seen[1] and seen[0] != "")):
            if not walker:
                self.seen[data[:16]] = seen[0], ttl
            to = [host for host in self.onward_to(source, data, "") if walker or host != seen[0]]
        if self.announced:
            why = "it was here before" if not to else "it was here before, and goes on"
            self.emit("query_dropped", query=data[:16].hex()[:12], source=source, hops=data[18] + 1,
                      ttl=ttl - 1, why=why, to=to)  # fmt: skip
        if to:
            self.hand_on(to, onward(data))

    def answers(self, text: str) -> list[Hit]:
        """Files that fit, of this servent."""
        if not self.mine:
            return []
        return [self.hit(owner, file) for owner, file in self.library.find(text, ANSWERS)]

    def _answer(self, guid: bytes, source: str, hops: int, hits: list[Hit]) -> None:
        """Hits go back the way that the query came, a descriptor for each peer that has some."""
        if self.announced:
            owners = [self.options.peer(hit.peer) for hit in hits]
            names, roots = [hit.name for hit in hits], [hit.root.hex() for hit in hits]
            short = guid.hex()[:12]
            self.emit("hits_made", query=short, names=names, roots=roots, owners=owners, to=source)
        by_peer: dict[int, list[Hit]] = {}
        for hit in hits:
            by_peer.setdefault(hit.peer, []).append(hit)
        for some in by_peer.values():
            for at in range(0, len(some), MOST_HITS):
                self.answer_to(
                    source,
                    header(guid, QUERY_HIT, min(255, hops + 1), 0, query_hit(some[at : at + MOST_HITS])),
                )

    def answer_to(self, source: str, data: bytes) -> None:
        """One QueryHit on its first step back."""
        self.tell(source, data)

    def on_hit(self, source: str, data: bytes) -> None:
        """Hits on their way back: to whom the query came from, if that one is still a neighbour."""
        guid = data[:16]
        hits = hits_of(data[23:])
        self.pushes[hits[0].servent] = source
        seen = self.seen.get(guid) or self.seen_before.get(guid)
        short = guid.hex()[:12]
        question = self.questions.get(guid)
        if question is not None:
            for hit in hits:
                question.hits.setdefault((hit.peer, hit.root), hit)
            self.heard_hits(short, hits, source)
            question.changed.fire()
        elif seen is None or seen[0] == "":
            self._lose(short, "its way back is forgotten" if seen is None else "the search is over")
        elif seen[0] not in self.links:
            self._lose(short, f"the way back led over {seen[0]}, which is gone")
        elif data[17] > 1:
            if self.announced:
                self.emit("hits_passed", query=short, source=source, to=seen[0], hits=len(hits))
            self.tell(seen[0], onward(data))

    def heard_hits(self, query: str, hits: list[Hit], source: str) -> None:
        """Hits have come to their origin; source: this servent itself, for those of its own index."""
        if self.announced and hits:
            names = [hit.name for hit in hits]
            self.emit("hits_received", query=query, hits=len(hits), source=source, names=names)

    def _lose(self, query: str, why: str) -> None:
        if self.announced:
            self.emit("hits_lost", query=query, why=why)

    # searches of this servent's user ------------------------------------------------------------

    async def look(
        self, text: str, ttl: int, strategy: str, wait: float
    ) -> tuple[tuple[str, ...], list[Hit]]:
        """Flood, in rings that grow, or by walkers."""
        question = Question(self.options.wanted)
        guids: list[bytes] = []
        try:
            for step in self.steps(ttl, strategy):
                fresh = [
                    self.new_guid() for _ in range(self.options.walkers if strategy == "random walk" else 1)
                ]
                guids += fresh
                for guid in fresh:
                    self.questions[guid] = question
                    self.ask(guid, text, step, strategy)
                await self.wait_for_hits(question, wait)
                if question.enough or (strategy == "expanding ring" and question.hits):
                    break
        finally:
            for guid in guids:
                self.questions.pop(guid, None)
        return tuple(guid.hex()[:12] for guid in guids), list(question.hits.values())

    def steps(self, ttl: int, strategy: str) -> list[int]:
        """The TTLs of its queries: of an expanding ring 1, 3, 5 … (Lv et al., ICS 2002, steps by two)."""
        if strategy == "random walk":
            return [self.options.walk_ttl]
        return [*range(1, ttl, 2), ttl] if strategy == "expanding ring" else [ttl]

    def ask(self, guid: bytes, text: str, ttl: int, strategy: str) -> None:
        """One query, to all neighbours or, a walker, to one."""
        walker = strategy == "random walk"
        data = header(guid, QUERY, ttl, 0, query(text, FLAGS | WALKER if walker else 0))
        to = self.onward_to("", data, text)
        self.seen[guid] = "", ttl
        if self.announced:
            self.emit("search_started", query=guid.hex()[:12], text=text, ttl=ttl, strategy=strategy, to=to)
        self.hand_on(to, data)

    async def wait_for_hits(self, question: Question, seconds: float) -> None:
        """Until there are enough, at most so long."""
        until = self.now + seconds
        while not question.enough and (left := until - self.now) > 1e-9:
            await comes(question.changed.wait(), left)

    # pushes ------------------------------------------------------------

    async def push(self, hit: Hit) -> None:
        """A Push, along the way of the hits; then wait for the connection."""
        peer = self.options.peer(hit.peer)
        if self.host.firewalled:
            raise Refused(f"{peer} and {self.name} are both behind firewalls")
        way = self.pushes.get(hit.servent)
        if way is None or way not in self.links:
            raise Refused(f"{peer} is behind a firewall, and the way to it is forgotten")
        self.emit("push_sent", to=peer)
        self.through.pop(peer, None)
        self._say(way, PUSH, self.options.ttl, push(hit.servent, 0, self.number))
        await self.comes_through(peer)

    def on_push(self, source: str, data: bytes) -> None:
        """For this servent, or to be handed on along the way of its hits."""
        wanted = push_of(data[23:])
        if wanted.servent == self.servent:
            self.spawn(self.answer_push(self.options.peer(wanted.peer)))
            return
        way = self.pushes.get(wanted.servent)
        if way in self.links and data[17] > 1:
            self.tell(way, onward(data))

    def on_table(self, source: str, data: bytes) -> None:
        """A query routing table: 0.4 knows none."""

    _handlers: ClassVar[dict[int, Any]] = {
        PING: lambda self, source, data: self.on_ping(source, data),
        PONG: lambda self, source, data: self.on_pong(source, data),
        BYE: lambda self, source, data: self.on_bye(source, data),
        QRP: lambda self, source, data: self.on_table(source, data),
        PUSH: lambda self, source, data: self.on_push(source, data),
        QUERY_HIT: lambda self, source, data: self.on_hit(source, data),
    }
