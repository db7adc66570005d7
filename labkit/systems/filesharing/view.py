"""What the events add up to at a position of the trace: one fold, read by panel, checks and experiments."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from labkit.trace.machines import Machines, MachineView

from .options import nodes_of

__all__ = ["DownloadView", "Move", "PeerView", "QueryView", "SharingReducer", "SharingState"]

#: Messages that are remembered, to be drawn on their way.
MOVES_KEPT = 600


@dataclass(frozen=True)
class PeerView:
    """A peer or a server."""

    name: str
    role: str = "peer"
    online: bool = True
    files: Mapping[str, str] = field(default_factory=dict)  #: names by root
    links: tuple[str, ...] = ()


@dataclass(frozen=True)
class QueryView:
    """One GUID: where it went, and what came back."""

    query: str
    text: str
    origin: str
    ttl: int
    strategy: str
    began: float
    links: int  #: of the overlay when it began
    nodes: int
    hops: Mapping[str, int] = field(
        default_factory=dict
    )  #: nodes that handled it, and their hops from the origin
    parents: Mapping[str, str] = field(default_factory=dict)  #: from whom each got it first
    messages: int = 0  #: copies of the query that were sent
    dropped: tuple[tuple[str, str], ...] = ()  #: edges over which copies came that were dropped
    answered: tuple[str, ...] = ()  #: nodes that had hits
    back: tuple[tuple[str, str], ...] = ()  #: edges that hits went over
    hits: int = 0  #: that came to the origin
    names: frozenset[str] = frozenset()  #: of files in them
    lost: int = 0  #: answers that did not
    end: float | None = None


@dataclass(frozen=True)
class DownloadView:
    """One file on its way to one peer."""

    peer: str
    file: str
    began: float
    pieces: Mapping[str, int] = field(default_factory=dict)  #: by source
    refused: int = 0
    lost: tuple[str, ...] = ()
    end: float | None = None
    done: bool = False


class Move(NamedTuple):
    """A message that arrived."""

    time: float
    seq: int
    source: str
    target: str
    kind: str  #: query, duplicate or hit
    query: str


@dataclass
class SharingState:
    """What has been told so far. Items of containers are replaced, never changed."""

    lab: Machines = field(default_factory=Machines)
    peers: dict[str, PeerView] = field(default_factory=dict)
    queries: dict[str, QueryView] = field(default_factory=dict)
    searches: dict[str, tuple[str, ...]] = field(default_factory=dict)  #: by the first GUID: all of a search
    downloads: dict[tuple[str, str], DownloadView] = field(default_factory=dict)

    moves: deque[Move] = field(default_factory=lambda: deque(maxlen=MOVES_KEPT))

    def living(self) -> dict[str, PeerView]:
        """Peers and servers that are there."""
        return {name: peer for name, peer in self.peers.items() if peer.online and name not in self.lab.gone
                and name in self.lab.places}  # fmt: skip

    def edges(self) -> list[tuple[str, str]]:
        """Links between nodes that are there, each once."""
        there = self.living()
        return sorted({(min(a, b), max(a, b)) for a, peer in there.items() for b in peer.links if b in there})

    def last(self) -> QueryView | None:
        """The latest query."""
        return next(reversed(self.queries.values()), None)


class SharingReducer:
    """Folds the events of one system, whose nodes are called after ``name``."""

    def __init__(self, name: str, known: Sequence[MachineView] = ()) -> None:
        self.own, self.known = nodes_of(name), known

    def initial(self) -> SharingState:
        """Nothing yet."""
        return SharingState(Machines.known(self.known))

    def apply(self, state: SharingState, event: Any) -> None:
        """Fold one event."""
        state.lab.apply(event)
        handler = _HANDLERS.get(event.kind)
        if handler is not None and event.node is not None and self.own.fullmatch(event.node):
            handler(state, event, event.data)


def _peer(state: SharingState, name: str, **changes: Any) -> None:
    state.peers[name] = replace(state.peers.get(name) or PeerView(name), **changes)


def _query(state: SharingState, event: Any, **changes: Any) -> None:
    found = state.queries.get(event.data["query"])
    if found is not None:
        state.queries[found.query] = replace(found, **changes)


def _move(state: SharingState, event: Any, kind: str) -> None:
    source = event.data["source"]
    state.moves.append(Move(event.time, event.seq, source, event.node, kind, event.data["query"]))


def _started(state: SharingState, event: Any, data: Any) -> None:
    if event.node in state.peers:
        _peer(state, event.node, online=False, links=(), files={})
    elif "-server-" in event.node:
        _peer(state, event.node, role="server")


def _stopped(state: SharingState, event: Any, data: Any) -> None:
    state.peers.pop(event.node, None)


def _online(state: SharingState, event: Any, data: Any) -> None:
    _peer(state, event.node, online=True, role=data["role"], links=(), files={})


def _offline(state: SharingState, event: Any, data: Any) -> None:
    _peer(state, event.node, online=False, links=())


def _role(state: SharingState, event: Any, data: Any) -> None:
    _peer(state, event.node, role=data["role"])


def _linked(state: SharingState, event: Any, data: Any) -> None:
    old = state.peers.get(event.node) or PeerView(event.node)
    if data["to"] not in old.links:
        _peer(state, event.node, links=(*old.links, data["to"]))


def _unlinked(state: SharingState, event: Any, data: Any) -> None:
    old = state.peers.get(event.node) or PeerView(event.node)
    _peer(state, event.node, links=tuple(other for other in old.links if other != data["to"]))


def _shared(state: SharingState, event: Any, data: Any) -> None:
    old = state.peers.get(event.node) or PeerView(event.node)
    fresh = dict(zip(data["roots"], data["names"], strict=True))
    _peer(state, event.node, files={**old.files, **fresh})


def _unshared(state: SharingState, event: Any, data: Any) -> None:
    old = state.peers.get(event.node) or PeerView(event.node)
    _peer(
        state, event.node, files={root: name for root, name in old.files.items() if root not in data["roots"]}
    )


def _search(state: SharingState, event: Any, data: Any) -> None:
    flood = data["strategy"] == "flood"  # who walks does not need it
    overlay = (len(state.edges()), len(state.living())) if flood else (0, 0)
    state.queries[data["query"]] = QueryView(
        data["query"], data["text"], event.node, data["ttl"], data["strategy"], event.time, *overlay,
        {event.node: 0}, {}, len(data["to"]),
    )  # fmt: skip


def _received(state: SharingState, event: Any, data: Any) -> None:
    _move(state, event, "query")
    found = state.queries.get(data["query"])
    if found is not None:
        _query(
            state, event, hops={**found.hops, event.node: data["hops"]},
            parents={**found.parents, event.node: data["source"]}, messages=found.messages + len(data["to"]),
        )  # fmt: skip


def _more(state: SharingState, event: Any, data: Any) -> None:
    found = state.queries.get(data["query"])
    if found is not None:
        _query(state, event, messages=found.messages + len(data["to"]))


def _dropped(state: SharingState, event: Any, data: Any) -> None:
    _move(state, event, "duplicate")
    found = state.queries.get(data["query"])
    if found is not None:
        _query(
            state,
            event,
            dropped=(*found.dropped, (data["source"], event.node)),
            messages=found.messages + len(data["to"]),
        )


def _made(state: SharingState, event: Any, data: Any) -> None:
    found = state.queries.get(data["query"])
    if found is not None:
        _query(
            state, event, answered=(*found.answered, event.node), back=(*found.back, (event.node, data["to"]))
        )


def _passed(state: SharingState, event: Any, data: Any) -> None:
    _move(state, event, "hit")
    found = state.queries.get(data["query"])
    if found is not None and (edge := (event.node, data["to"])) not in found.back:
        _query(state, event, back=(*found.back, edge))


def _hits(state: SharingState, event: Any, data: Any) -> None:
    found = state.queries.get(data["query"])
    if found is not None:
        _query(state, event, hits=found.hits + data["hits"], names=found.names | set(data["names"]))
        _move(state, event, "hit")


def _lost(state: SharingState, event: Any, data: Any) -> None:
    found = state.queries.get(data["query"])
    if found is not None:
        _query(state, event, lost=found.lost + 1)


def _ended(state: SharingState, event: Any, data: Any) -> None:
    for query in data["queries"]:
        if query in state.queries:
            # Its own files and those that came twice do not count; of several queries only the sum is known.
            hits = data["hits"] if len(data["queries"]) == 1 else state.queries[query].hits
            state.queries[query] = replace(state.queries[query], end=event.time, hits=hits)
    if data["queries"]:
        state.searches[data["queries"][0]] = tuple(data["queries"])


def _load(state: SharingState, event: Any, data: Any) -> None:
    state.downloads[event.node, data["file"]] = DownloadView(event.node, data["file"], event.time)


def _loading(state: SharingState, event: Any, **changes: Any) -> None:
    key = (event.node, event.data["file"])
    if key in state.downloads:
        state.downloads[key] = replace(state.downloads[key], **changes)


def _piece(state: SharingState, event: Any, data: Any) -> None:
    found = state.downloads.get((event.node, data["file"]))
    if found is not None:
        source = data["source"]
        _loading(state, event, pieces={**found.pieces, source: found.pieces.get(source, 0) + 1})


def _refused(state: SharingState, event: Any, data: Any) -> None:
    found = state.downloads.get((event.node, data["file"]))
    if found is not None:
        _loading(state, event, refused=found.refused + 1)


def _source_lost(state: SharingState, event: Any, data: Any) -> None:
    found = state.downloads.get((event.node, data["file"]))
    if found is not None:
        _loading(state, event, lost=(*found.lost, data["source"]))


_HANDLERS = {
    "node_started": _started,
    "node_stopped": _stopped,
    "peer_online": _online,
    "peer_offline": _offline,
    "role_changed": _role,
    "linked": _linked,
    "unlinked": _unlinked,
    "shared": _shared,
    "unshared": _unshared,
    "search_started": _search,
    "query_received": _received,
    "query_dropped": _dropped,
    "leaves_asked": _more,
    "query_widened": _more,
    "hits_made": _made,
    "hits_passed": _passed,
    "hits_received": _hits,
    "hits_lost": _lost,
    "search_finished": _ended,
    "download_started": _load,
    "piece_loaded": _piece,
    "piece_refused": _refused,
    "source_lost": _source_lost,
    "download_finished": lambda state, event, data: _loading(state, event, end=event.time, done=True),
    "download_failed": lambda state, event, data: _loading(state, event, end=event.time),
}
