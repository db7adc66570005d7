"""`FileSharingPanel`: the overlay, a query that spreads, hits on their way back, what it cost and found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from labkit.systems.filesharing.layout import Place, force_layout
from labkit.systems.filesharing.options import STRATEGIES
from labkit.systems.filesharing.topology import TOPOLOGIES
from labkit.systems.filesharing.view import SharingReducer, SharingState
from labkit.trace.words import many

from ..charts import Iterations
from ..panel import Panel
from ..pieces import Button, Chart, Choice, Form, Slide, Told
from ..scene import Pulse, Scene
from ..setup import OneOf, Whole
from .overlay import SharingFrame, by_hops, numbers, scene, summary, told, too_many

#: What a message that moves looks like.
KINDS = {"query": "request", "duplicate": "lost", "hit": "reply"}
NAMES = {"napster": "Napster", "gnutella": "Gnutella 0.4", "ultrapeers": "Gnutella 0.6 (ultrapeers)",
         "fasttrack": "FastTrack", "chord": "Chord"}  # fmt: skip


def _question(panel: Any, _frame: Any) -> dict[str, Any]:
    return {"label": "Words", "hint": "words of a name, as moon", "verb": "Search", "action": "lookup",
            "off": panel.off or panel.busy("lookup")}  # fmt: skip


class FileSharingPanel(Panel):
    """Peers that share files, on a cluster."""

    title: ClassVar[str] = "File sharing"
    named = "sharing"
    runs_are: ClassVar[str] = "Searches"
    fold = staticmethod(lambda known: SharingReducer("", known))
    figures = staticmethod(numbers)
    drawn = 300
    parameters = (
        OneOf(
            "architecture",
            "Architecture",
            tuple((NAMES[a], a) for a in ("gnutella", "napster", "ultrapeers", "fasttrack")),
        ),
        Whole("peers", "Peers", 24, 2, 200),
        Whole("ttl", "TTL", 7, 1, 255),
        OneOf("topology", "Overlay", tuple((each, each) for each in TOPOLOGIES)),
    )
    side = (
        Told("ask", "ask", _question, "head", ("lookup",)),
        Told("steps", "steps", lambda panel, frame: told(frame, panel.stage.selected)),
        Slide(
            "ttl", "TTL", "ttl", places=lambda now: sorted({1, 2, 3, 4, 5, 7, 10, now}), called=str,
            words=lambda ttl: f"the next query is handed on over {many(ttl, 'hop')} at most",
            now=lambda panel, frame: (panel.sharing.ttl, str(panel.sharing.ttl)),
            get=lambda panel: panel.sharing.ttl, set=lambda panel, ttl: setattr(panel.sharing, "ttl", ttl),
        ),
        Form((
            Choice("strategy", "Search by", STRATEGIES, lambda panel: panel.sharing.strategy, "strategy",
                   lambda panel, _: panel.off or panel.sharing.architecture != "gnutella"),
            Button("load", "load", "Download", "The selected peer, or who asked, loads what most peers have",
                   None, lambda panel: {"peer": panel.stage.selected}, lambda panel, _: panel.found is None),
        )),
        Form((
            Button("best", "best", "Stop the best-connected", "4 % of the peers, at least one, for good",
                   lambda panel: panel.stop(best=True)),
            Button("some", "some", "Stop 30 % at random", "for good", lambda panel: panel.stop(best=False)),
            Button("server", "server", "Stop the index server", "Napster's",
                   lambda panel: panel.sharing.fail(panel.sharing.servers[0]),
                   off=lambda panel, _: not panel.sharing.servers),
        )),
        Chart(Iterations, lambda _, frame: by_hops(frame), "hops", ("Nodes reached, by hops",)),
    )  # fmt: skip

    def __init__(self, sharing: Any, **options: Any) -> None:
        self.forget()
        super().__init__(sharing, **options)

    def forget(self) -> None:
        """Nothing was asked for yet."""
        self.found: Any = None  #: what the panel's last search has found
        self._drawn: tuple[Any, dict[str, Place]] = (None, {})

    def frame(self, position: float | None) -> SharingFrame:
        """The system at a position."""
        state: SharingState = self.run_of(self.sharing.name, SharingReducer).at(position)
        peers = max(len(state.peers), len(self.sharing.numbers))
        many_peers = peers > 200
        places = {} if many_peers else self._places(state)
        return SharingFrame(state, *self.seen(state.lab, position), state.last(), places, peers)

    def _places(self, state: SharingState) -> dict[str, Place]:
        """Where the peers stand: computed anew only when links have changed."""
        key = tuple(sorted(state.peers)), tuple(state.edges())
        if self._drawn[0] != key:
            self._drawn = key, force_layout(key[0], key[1], self._drawn[1])
        return self._drawn[1]

    def scene(self, frame: SharingFrame) -> Scene:
        """The overlay; of many peers, a query by hops."""
        return summary(frame) if too_many(frame) else scene(frame, self.stage.selected)

    def flights(self, frame: SharingFrame) -> Iterator[tuple[float, Pulse]]:
        """Copies of queries, and hits."""
        for move in frame.state.moves:
            said = f"{move.kind} from {move.source} to {move.target}"
            yield move.time, Pulse(move.seq, move.source, move.target, KINDS[move.kind], said)

    def runs(self) -> list[tuple[float, str]]:
        """The searches that have ended."""
        queries = self.run_of(self.sharing.name, SharingReducer).at(None).queries.values()
        return [
            (q.end, f"“{q.text}”, TTL {q.ttl}: {many(q.hits, 'hit')}") for q in queries if q.end is not None
        ]

    def about(self, frame: SharingFrame) -> str:
        """The architecture."""
        return NAMES[self.sharing.architecture]

    def news(self, frame: SharingFrame) -> str:
        """What the last search has found."""
        query = frame.query
        return f"“{query.text}”: {many(query.hits, 'hit')}" if query and query.end is not None else ""

    def caption(self, frame: SharingFrame, left_out: int) -> str:
        """How to read it."""
        if too_many(frame):
            return "a bar: nodes that the query reached after so many hops; full: those that answered"
        return (
            "full: the query came; ✓: it answered; thick: the way of the hits; red: copies that were dropped"
        )

    # -- actions --------------------------------------------------------

    def on_lookup(self, key: str) -> None:
        """Search at the selected peer, or any."""
        words, sharing = key.strip(), self.sharing
        if not words:
            raise ValueError("type some words first, for example moon")
        chosen = self.stage.selected
        at = chosen if chosen in {peer.name for peer in sharing.peers} else None
        self.later(
            "lookup", lambda: sharing.search(words, at=at), lambda found: setattr(self, "found", found)
        )

    def on_load(self, peer: str) -> None:
        """Download what was found."""
        found = self.found
        if found is None or not len(found):
            raise ValueError("search first, for something that is there")
        at = peer if peer in {each.name for each in self.sharing.peers} else found.origin
        self.later("load", lambda: self.sharing.download(found[0], at=at))

    def on_strategy(self, strategy: str) -> None:
        """Another way to search."""
        self.sharing.strategy = strategy

    def stop(self, best: bool) -> None:
        """Some peers are gone."""
        count = len(self.sharing.peers)
        self.sharing.attack(max(1 / count, 0.04) if best else 0.3, best=best)
