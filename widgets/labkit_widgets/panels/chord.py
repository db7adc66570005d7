"""`RingPanel`: a Chord ring, a lookup hop by hop, who holds the keys, what broke and what was repaired."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from labkit.systems.chord.view import LookupView, RingReducer
from labkit.trace.words import many

from ..charts import Loads
from ..frames import ring as frames
from ..frames.ring import RingFrame, RingNode
from ..layouts.circle import CX, CY, HEIGHT, WIDTH, Spot, Way, circle, crowded, summary
from ..looks import indexes
from ..panel import Panel
from ..pieces import Button, Chart, Choice, Form, Told
from ..replay import HOP_MS, Replay
from ..scene import Label, Pulse, Scene
from ..script import Made, options_of
from ..stage import update
from .lookups import checks, line, of_node, steps, words

#: Maintenance protocols that can be chosen, with the words for each.
MAINTENANCE = (("correct (Zave)", "correct"), ("as published (SIGCOMM 2001, Fig. 7)", "sigcomm2001"))
#: What is drawn of the selected node.
SELECTED = ("lines: its fingers", "green rings: its successor list", "dashed ring: its predecessor")


def ring_scene(frame: RingFrame, selected: str | None = None, key: tuple[str, int] | None = None) -> Scene:
    """The ring, with the fingers and successors of the selected node, and the place of a key (name, id)."""
    colours = indexes([machine.name for machine in frame.machines])
    chosen = frame.node(selected) if selected else None
    size = 2**frame.bits
    spots = [
        Spot(
            node.name,
            node.id / size,
            colours.get(node.machine, -1),
            node.state,
            tip(node),
            _relation(node, chosen),
            (("own", node.own), ("copies", node.copies)) if node.state != "dead" else (),
            f"{node.name}: {_held(node)}",
        )
        for node in frame.nodes
    ]
    dead = len(frame.nodes) - frame.living
    title = f"Chord ring of {many(frame.living, 'living node')}" + (f" and {dead} dead" if dead else "")
    if crowded(spots):
        note = f"{dead:,} dead; summarised: each bar counts one arc"
        return summary(spots, f"{many(frame.living, 'node')} alive", note, title)
    named = (chosen.name, *chosen.successors[:1]) if chosen is not None else ()
    tick = (key[0], key[1] / size) if key is not None else None
    ways = [*_pointers(frame), *_fingers(frame, chosen)]
    return circle(spots, ways, title, tick=tick, heads=_heads(frame, chosen), named=named)


def tip(node: RingNode) -> str:
    """A node in one sentence: tooltip, and name for those who cannot see."""
    state = "" if node.state == "alive" else f", {node.state}"
    problem = f"; {node.problem}" if node.problem else ""
    return f"{node.name} on {node.machine or '?'}{state}; {_held(node)}{problem}"


def _held(node: RingNode) -> str:
    return f"{many(node.own, 'key')}, {many(node.copies, 'copy')}"


def _relation(node: RingNode, chosen: RingNode | None) -> str:
    """What the node is to the selected one."""
    if chosen is None:
        return "" if node.right else "wrong"
    if node.name == chosen.name:
        return "selected"
    fingered = any(node.name == name for _, name in chosen.fingers)
    parts = (
        "listed" if node.name in chosen.successors else "",
        "predecessor" if node.name == chosen.predecessor else "",
        "fingered" if fingered else "",
    )
    return " ".join(filter(None, parts))


def _pointers(frame: RingFrame) -> Iterator[Way]:
    """Each living node's first successor: an arc of the ring if it is right, a warning if not."""
    for node in frame.nodes:
        if node.state != "dead" and node.successors:
            ends = f"s:{node.name}", node.name, node.successors[0]
            yield Way(*ends, "succ") if node.right else Way(*ends, "succ wrong", -0.25, node.problem)


def _fingers(frame: RingFrame, chosen: RingNode | None) -> Iterator[Way]:
    """From the selected node to its fingers, once for each node they lead to."""
    reasons: dict[str, list[int]] = {}
    for k, name in chosen.fingers if chosen is not None else ():
        reasons.setdefault(name, []).append(k)
    for name, which in reasons.items():
        target = frame.node(name)
        if chosen is not None and target is not None and name != chosen.name:
            cls = "finger stale" if target.state == "dead" else "finger"
            said = f"finger {which[0]}" if len(which) == 1 else f"fingers {which[0]} to {which[-1]}"
            yield Way(f"f:{name}", chosen.name, name, cls, 0.35, f"{said}: {name}")


def _heads(frame: RingFrame, chosen: RingNode | None) -> Iterator[Label]:
    """Whether the ring is whole, and how to read the picture."""
    if not frame.nodes:
        yield Label(CX, CY, "no node has joined yet", "hint")
        return
    wrong = sum(not node.right for node in frame.nodes if node.state != "dead")
    whole = f"! {many(wrong, 'successor')} to repair" if wrong else "✓ ring whole"
    whole = whole if frame.living else "✕ no member left"
    yield Label(12, 20, whole, "good" if frame.living and not wrong else "bad", "start")
    if frame.keys:
        yield Label(12, HEIGHT - 10, "bars inwards: keys owned, paler: copies", "note", "start")
    asked, hints = ("note", SELECTED) if chosen else ("note ask", ("select a node to see its fingers",))
    for k, hint in enumerate(hints):
        yield Label(WIDTH - 12, 20 + 15 * k, hint, asked, "end")


# -- the panel ------------------------------------------------------------


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
    living = [node for node in frame.nodes if node.state != "dead"]
    return [node.own for node in living], [node.copies for node in living]


class RingPanel(Panel):
    """A Chord ring on a cluster."""

    title: ClassVar[str] = "Chord ring"
    named = "ring"
    runs_are: ClassVar[str] = "Lookups"
    fold = RingReducer
    drawn = 400
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

    def news(self, frame: RingFrame) -> str:
        """How the lookup that was asked for ended, and whether the ring is whole."""
        broken = [check["words"] for check in checks(frame) if not check["holds"]]
        whole = "all invariants hold" if frame.verdicts else ""
        return "; ".join(filter(None, [self._answer[1], f"{broken[0]} does not hold" if broken else whole]))

    def frame(self, position: float | None) -> RingFrame:
        """The ring at a position."""
        replicas = getattr(getattr(self.ring, "settings", self.ring), "replicas", 1)
        known = {"bits": self.ring.bits, "replicas": replicas, "ids": dict(self.ring.ids)}
        return frames.frame(self.cluster.trace, position, history=self.history, **known)

    def scene(self, frame: RingFrame) -> Scene:
        """The circle, the fingers of the selected node, the key that is looked up."""
        view = self.replay.shown
        key = None if view is None or self.replay.over else (view.key, view.key_id)
        return ring_scene(frame, self.stage.selected or None, key)

    def about(self, frame: RingFrame) -> str:
        """The maintenance."""
        return f"maintenance: {self.maintained}"

    def flights(self, frame: RingFrame) -> Iterator[tuple[float, Pulse]]:
        """The hops of all lookups."""
        for hop in frame.hops:
            kind, said = "lost" if hop.timed_out else "hop", f"{hop.source} to {hop.target}"
            yield hop.time, Pulse(hop.seq, hop.source, hop.target, kind, said)

    def caption(self, frame: RingFrame, left_out: int) -> str:
        """What the moving dots are."""
        view = self.replay.shown
        if view is None or view.end is None:
            return "dots: hops of lookups, slowed down to be seen"
        took = f"{1000 * (view.end - view.start):.0f} ms"
        return f"the lookup is shown hop by hop, {HOP_MS / 1000:g} s each; really it took {took}"

    def follow(self, frame: RingFrame) -> None:
        """Which lookup is on stage."""
        live = self.position.live
        self.replay.follow(frame.lookups, frame.time, live)
        update(self.stage, route=self.replay.route(words, not live))

    def told(self, frame: RingFrame) -> dict[str, Any]:
        """The lookup on stage in words."""
        view: LookupView | None = self.replay.shown
        key_id, answer = self._answer
        said = answer if view is not None and view.key_id == key_id else ""
        return steps(view, frame, self.replay.count, said)

    def made(self) -> Made:
        """The ring as code."""
        options, notes = options_of(self.ring), ()
        if self.ring.maintenance != options.get("maintenance", "correct"):
            notes = (f"Its maintenance was changed meanwhile: ring_again.switch({self.ring.maintenance!r})",)
        lacks = "what you stored and looked up, and which nodes joined or left"
        return Made("labkit.systems.chord", "ring_again", "Chord", options, lacks, notes)

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
