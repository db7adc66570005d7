"""`RingPanel`: a Chord ring, a lookup hop by hop, who holds the keys, what broke and what was repaired."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from labkit.systems.chord.options import ROUTING
from labkit.systems.chord.view import LookupView, RingNode, RingReducer, RingView

from ..charts import Loads
from ..panel import Panel
from ..pieces import Button, Chart, Choice, Form, Told
from ..replay import HOP_MS, Replay
from ..scene import Pulse, Scene
from ..setup import OneOf, Whole
from ..stage import update
from .lookups import checks, line, of_node, steps, words
from .ring import numbers, ring_scene

#: Maintenance protocols that can be chosen, with the words for each.
MAINTENANCE = (("correct (Zave)", "correct"), ("as published (SIGCOMM 2001, Fig. 7)", "sigcomm2001"))


def _question(panel: Any, _frame: Any) -> dict[str, Any]:
    off = panel.off or panel.busy("lookup")
    return {
        "label": "Key",
        "hint": "a key, for example lecture",
        "verb": "Lookup",
        "action": "lookup",
        "off": off,
    }


def _chosen(panel: Any, frame: Any) -> RingNode | None:
    return frame.node(panel.stage.selected) if frame is not None else None


def _leave(panel: Any, frame: Any) -> str:
    chosen = _chosen(panel, frame)
    return f"Let {chosen.name if chosen is not None else 'the selected node'} leave"


def _cannot_leave(panel: Any, frame: Any) -> bool:
    chosen = _chosen(panel, frame)
    return chosen is None or chosen.state == "dead"


def _loads(_panel: Any, frame: Any) -> tuple[list[int], list[int]]:
    return [node.own for node in frame.living], [node.copies for node in frame.living]


class RingPanel(Panel):
    """A Chord ring on a cluster."""

    title: ClassVar[str] = "Chord ring"
    named = "ring"
    runs_are: ClassVar[str] = "Lookups"
    fold = RingReducer
    figures = staticmethod(numbers)
    drawn = 400
    parameters = (
        Whole("nodes", "Nodes", 24, 1, 400),
        Whole("replicas", "Copies", 3, 1, 16),
        Whole("successors", "Successor list", 8, 1, 64),
        OneOf("maintenance", "Maintenance", MAINTENANCE),
        OneOf("routing", "Routing", tuple((each, each) for each in ROUTING)),
    )
    side = (
        Told("ask", "ask", _question, "head", ("lookup",)),
        Told("steps", "steps", lambda panel, frame: panel.told(frame)),
        Told("node", "steps", lambda panel, frame: of_node(_chosen(panel, frame))),
        Chart(Loads, _loads),
        Form((Choice("maintenance", "Maintenance", MAINTENANCE, lambda panel: panel.maintained, "maintenance",
                     lambda panel, _frame: not hasattr(panel.ring, "switch")),)),
        Form((
            Button("join", "join", "Join a node", "A new node joins the ring",
                   lambda panel: panel.ring.join()),
            Button("leave", "leave", _leave, "The selected node leaves the ring in order", None,
                   lambda panel: {"node": panel.stage.selected}, _cannot_leave),
        )),
    )  # fmt: skip
    below = (Told("checks", "checks", lambda _panel, frame: checks(frame)),)

    def __init__(self, ring: Any, **options: Any) -> None:
        self.forget()
        super().__init__(ring, **options)

    def forget(self) -> None:
        """No lookup is on stage."""
        self.replay, self._answer = Replay(), (-1, "")  # a key's id, and what the ring said about it

    @property
    def maintained(self) -> str:
        """The protocol that keeps the ring."""
        return getattr(self.ring, "maintenance", "correct")

    def runs(self) -> list[tuple[float, str]]:
        """The lookups that have ended."""
        return [(view.end, line(view)) for view in self.history.at(None).lookups if view.end is not None]

    def news(self, frame: RingView) -> str:
        """How the lookup that was asked for ended, and whether the ring is whole."""
        broken = [check["words"] for check in checks(frame) if not check["holds"]]
        whole = "all invariants hold" if frame.verdicts else ""
        return "; ".join(filter(None, [self._answer[1], f"{broken[0]} does not hold" if broken else whole]))

    def frame(self, position: float | None) -> RingView:
        """The ring at a position."""
        replicas = getattr(getattr(self.ring, "settings", self.ring), "replicas", 1)
        found: RingView = self.history.at(position).view(position, self.ring.bits, replicas, self.ring.ids)
        return found

    def scene(self, frame: RingView) -> Scene:
        """The circle, the fingers of the selected node, the key that is looked up."""
        view = self.replay.shown
        key = None if view is None or self.replay.over else (view.key, view.key_id)
        return ring_scene(frame, self.stage.selected or None, key)

    def about(self, frame: RingView) -> str:
        """The maintenance."""
        return f"maintenance: {self.maintained}"

    def flights(self, frame: RingView) -> Iterator[tuple[float, Pulse]]:
        """The hops of all lookups."""
        for hop in frame.hops:
            kind, said = "lost" if hop.timed_out else "hop", f"{hop.source} to {hop.target}"
            yield hop.time, Pulse(hop.seq, hop.source, hop.target, kind, said)

    def caption(self, frame: RingView, left_out: int) -> str:
        """What the moving dots are."""
        view = self.replay.shown
        if view is None or view.end is None:
            return "dots: hops of lookups, slowed down to be seen"
        took = f"{1000 * (view.end - view.start):.0f} ms"
        return f"the lookup is shown hop by hop, {HOP_MS / 1000:g} s each; really it took {took}"

    def follow(self, frame: RingView) -> None:
        """Which lookup is on stage."""
        live = self.position.live
        self.replay.follow(frame.lookups, frame.time, live)
        update(self.stage, route=self.replay.route(words, not live))

    def told(self, frame: RingView) -> dict[str, Any]:
        """The lookup on stage in words."""
        view: LookupView | None = self.replay.shown
        key_id, answer = self._answer
        said = answer if view is not None and view.key_id == key_id else ""
        return steps(view, frame, self.replay.count, said)

    # -- actions --------------------------------------------------------

    def on_lookup(self, key: str) -> None:
        """Look a key up in a worker thread; the hops come from the trace."""
        key = key.strip()
        if not key:
            raise ValueError("type a key first, for example lecture")
        key_id, since = self.ring.key_id(key), self.cluster.now
        self.replay.want(lambda view: view.key_id == key_id and view.start >= since)

        def answered(found: Any) -> None:
            home = self.cluster.nodes.get(found.owner, "?")
            self._answer = (found.key_id, f"{key!r} belongs to {found.owner} on {home}")

        self.later("lookup", lambda: self.ring.lookup(key), answered)

    def on_replay(self) -> None:
        """Replay the lookup on stage."""
        self.replay.again()

    def on_leave(self, node: str) -> None:
        """The selected node leaves in order."""
        if not node:
            raise ValueError("select the node that is to leave: click it on the ring")
        self.later("leave", lambda: self.ring.leave(node))

    def on_maintenance(self, protocol: str) -> None:
        """Switch the maintenance protocol."""
        if protocol == self.maintained:
            return  # the panel itself set the choice, to show what the ring does
        if not hasattr(self.ring, "switch"):
            words = f'Chord(cluster, maintenance="{protocol}")'
            raise ValueError(f"this ring keeps its maintenance; make one with {words}")
        self.later("maintenance", lambda: self.ring.switch(protocol))
