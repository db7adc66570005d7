"""An overlay of peers as data for the stage: peers in the places of a force layout, links, and a query on its
way; of many peers, how many are how far. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from labkit.systems.filesharing.collection import fits
from labkit.systems.filesharing.layout import Place
from labkit.systems.filesharing.view import PeerView, QueryView, SharingState
from labkit.trace.machines import EventLine, MachineView, short
from labkit.trace.words import many

from ..looks import indexes, outline
from ..numbers import Number
from ..pieces import story
from ..scene import MARKS, Box, Label, Link, Mark, Scene, line

WIDTH, HEIGHT, EDGE = 570.0, 500.0, 34.0
HUBS = ("server", "ultrapeer", "supernode")
#: Up to so many peers each has its number beside it.
NUMBERED = 60
HINT = "Select a peer to see its files, or search"


class SharingFrame(NamedTuple):
    """A system at a position."""

    state: SharingState
    machines: tuple[MachineView, ...]
    lines: tuple[EventLine, ...]
    time: float
    query: QueryView | None
    places: Mapping[str, Place]
    peers: int  #: that were started, whether the trace tells of them or not


def living(frame: SharingFrame) -> dict[str, PeerView]:
    return frame.state.living()


def scene(frame: SharingFrame, selected: str) -> Scene:
    """Every peer; links; the edges that the query came over first, those of dropped copies, and of hits."""
    query, alive = frame.query, living(frame)
    colours = indexes([machine.name for machine in frame.machines])
    marks = []
    for name, (x, y) in frame.places.items():
        peer, home = frame.state.peers[name], frame.state.lab.places.get(name, "")
        state, words = _state(name, peer, alive, query)
        r = 10.0 if peer.role in HUBS else 6.5
        colour, label = colours.get(home, -1), short(name) if len(frame.places) <= NUMBERED else ""
        px, py = _at((x, y))
        cls = "cell selected" if name in (selected, query.origin if query else "") else "cell"
        tip = f"{name}, {peer.role} on {home}: {many(len(peer.files), 'file')}, {words}"
        marks.append(
            Mark(name, px, py, r, outline(colour), colour, state, label, px, py - r - 3, "middle", tip, cls)
        )
    links = tuple(_links(frame))
    title = f"{many(len(alive), 'node')} and {many(len(frame.state.edges()), 'link')}"
    head = (Label(10, 20, f"“{query.text}”, {query.strategy}", "note", "start"),) if query else ()
    return Scene(WIDTH, HEIGHT, tuple(marks), links, head, title=title, centre=(WIDTH / 2, HEIGHT / 2))


def _at(place: Place) -> tuple[float, float]:
    return EDGE + place[0] * (WIDTH - 2 * EDGE), EDGE + place[1] * (HEIGHT - 2 * EDGE)


def _state(
    name: str, peer: PeerView, alive: Mapping[str, PeerView], query: QueryView | None
) -> tuple[str, str]:
    """How a peer looks, and the words for it."""
    if name not in alive:
        return "ghost", "it is not there"
    if query is None:
        return "memory", "no query yet"
    if name == query.origin:
        return "running", "the query began here"
    if name in query.answered:
        return "delivered", f"{many(query.hops.get(name, 0), 'hop')} away; it answered"
    if name in query.hops:
        return "memory", f"the query came after {many(query.hops[name], 'hop')}"
    return "todo", "the query has not come"


def _links(frame: SharingFrame) -> Iterator[Link]:
    places, query = {name: _at(place) for name, place in frame.places.items()}, frame.query
    first = {(parent, child) for child, parent in query.parents.items()} if query else set()
    back = {(b, a) for a, b in query.back} if query else set()

    def link(what: str, a: str, b: str, cls: str, tip: str = "") -> Iterator[Link]:
        if a in places and b in places:
            yield Link(f"{what}:{a}-{b}", line(*places[a], *places[b]), cls, tip=tip)

    for a, b in frame.state.edges():
        yield from link("l", a, b, "link")
    for a, b in sorted(set(query.dropped) if query else ()):
        if (b, a) not in first:
            yield from link("d", a, b, "arrow lost", f"{b} dropped a copy from {a}")
    for a, b in sorted(first - back):
        yield from link("q", a, b, "finger", f"the query came from {a} to {b}")
    for a, b in sorted(back):
        yield from link("h", a, b, "arrow explains", f"hits went from {b} to {a}")


def summary(frame: SharingFrame) -> Scene:
    """Too many to draw: how many handled the query after how many hops."""
    query = frame.query
    if query is None:
        words = Label(WIDTH / 2, 60, f"{frame.peers:,} peers: too many to draw each", "big")
        note = Label(WIDTH / 2, 84, "search, and see how many are how far", "note")
        return Scene(WIDTH, 120, labels=(words, note), title=words.text)
    counts = Counter(query.hops.values())
    answered = Counter(query.hops[name] for name in query.answered if name in query.hops)
    most, labels, boxes = (
        max(counts.values()),
        [Label(10, 22, f"“{query.text}” from {query.origin}", "name", "start")],
        [],
    )
    for row, hops in enumerate(sorted(counts)):
        y = 40.0 + 28 * row
        labels.append(Label(10, y + 14, f"{hops} hops", "note", "start"))
        wide = 400.0 * counts[hops] / most
        boxes.append(Box(f"h{hops}", 70, y, wide, 18, "count passed", 0, many(counts[hops], "node")))
        boxes.append(Box(f"a{hops}", 70, y, wide * answered[hops] / counts[hops], 18, "count", 0))
        labels.append(
            Label(76 + wide, y + 14, f"{counts[hops]:,} ({answered[hops]:,} answered)", "tiny", "start")
        )
    return Scene(
        WIDTH, 60 + 28.0 * len(counts), labels=tuple(labels), boxes=tuple(boxes), title="a query by hops"
    )


def too_many(frame: SharingFrame) -> bool:
    """Whether peers are counted instead of drawn."""
    return frame.peers > MARKS


# -- what stands beside it ------------------------------------------------------------


def numbers(frame: SharingFrame) -> tuple[Number, ...]:
    """Who is there; what the last query cost, and what it found."""
    state, query, alive = frame.state, frame.query, living(frame)
    peers = [peer for peer in alive.values() if peer.role != "server"]
    sharing = sum(bool(peer.files) for peer in peers)
    free = f"{1 - sharing / len(peers):.0%} share nothing" if peers else ""
    there = Number("Peers online", f"{len(peers):,}", free, "plain" if peers else "bad")
    if query is None:
        return (there, Number("Links", f"{len(state.edges()):,}"))
    wanted = {
        f for n, p in alive.items() if n != query.origin for f in p.files.values() if fits(query.text, f)
    }
    recall = len(wanted & query.names) / len(wanted) if wanted else 1.0
    lost = f"{many(query.lost, 'answer')} lost on the way" if query.lost else ""
    tone = "plain" if query.end is None else "bad" if recall < 1 else "good"
    far = f"{max(query.hops.values())} hops at most"
    return (
        there,
        Number("Query messages", f"{query.messages:,}", theory=_theory(frame)),
        Number("Duplicates", f"{len(query.dropped):,}", "copies that were dropped"),
        Number("Reached", f"{len(query.hops) - 1:,} of {len(alive) - 1:,}", far),
        Number("Recall", f"{recall:.0%}", lost or f"of {many(len(wanted), 'file')} that fit", tone),
    )  # fmt: skip


def _theory(frame: SharingFrame) -> str:
    """What a flood costs whose TTL is ample."""
    query = frame.query
    if (
        query is None
        or query.strategy != "flood"
        or "supernode" in {p.role for p in frame.state.peers.values()}
    ):
        return ""
    if query.strategy == "flood" and max(query.hops.values()) < query.ttl:
        return f"ample TTL: 2|E| − (|V| − 1) = {2 * query.links - query.nodes + 1:,}"
    return ""


def by_hops(frame: SharingFrame) -> tuple[list[int], list[float]]:
    """How many nodes handled the query after how many hops."""
    counts = Counter(frame.query.hops.values()) if frame.query else Counter()
    return sorted(counts), [float(counts[hops]) for hops in sorted(counts)]


def told(frame: SharingFrame, selected: str) -> dict[str, Any]:
    """The files of a selected peer; else the last query and download in words."""
    peer = frame.state.peers.get(selected)
    if peer is not None:
        lines = [("■", name) for name in list(peer.files.values())[:8]] or [("·", "it shares nothing")]
        if len(peer.files) > 8:
            lines.append(("·", f"{len(peer.files) - 8} more"))
        return story(selected, f"{selected}, {peer.role}: {many(len(peer.links), 'link')}", lines)
    query = frame.query
    if query is None:
        return story("", HINT, [])
    lines = [("→", f"{query.origin} asked, TTL {query.ttl}: {many(query.messages, 'message')} in all")]
    lines += [
        ("⇐", f"{name} answered after {many(query.hops.get(name, 0), 'hop')}") for name in query.answered[:5]
    ]
    lines += [("✕", f"{many(query.lost, 'answer')} lost on the way back")] if query.lost else []
    for load in list(frame.state.downloads.values())[-2:]:
        ended = "has" if load.done else "gave up" if load.end is not None else "loads"
        parts = ", ".join(f"{count} from {source}" for source, count in load.pieces.items())
        lines.append(
            ("■" if load.done else "·", f"{load.peer} {ended} {load.file}: pieces {parts or 'none yet'}")
        )
        lines += [("✕", f"{source} was given up") for source in load.lost[-2:]]
    return story("", f"“{query.text}”: {many(query.hits, 'hit')}", lines)
