"""`RingPanel`.

A Chord ring, a lookup hop by hop, who holds the keys, what is broken and what was repaired.
"""

from __future__ import annotations

import time
from typing import Any, ClassVar

import ipywidgets

from labkit.systems.chord.view import LookupView, RingReducer
from labkit.trace.machines import MachineView

from .base import Panel
from .charts import Loads
from .frames import ring as frames
from .scene import Pulse, Scene
from .scenes import ring_scene
from .script import Made, options_of
from .stage import update
from .story import checks, line, of_node, steps, told

#: A hop is replayed for this long: a person can follow it.
HOP_MS = 800
#: After a replay the lookup stays on stage for this long before the panel follows another one, in seconds.
REST = 3.0
#: The button while no node is selected.
LEAVE = "Let the selected node leave"
#: Maintenance protocols that can be chosen, with the words for each.
MAINTENANCE = (("correct (Zave)", "correct"), ("as published (SIGCOMM 2001, Fig. 7)", "sigcomm2001"))


class RingPanel(Panel):
    """A Chord ring on a cluster."""

    title: ClassVar[str] = "Chord ring"
    runs_are: ClassVar[str] = "Lookups"

    def __init__(self, ring: Any, **options: Any) -> None:
        self.ring = ring
        self._followed: LookupView | None = None
        self._wanted: tuple[int, float] | None = None  # the id of the key that was asked for, and when
        self._typed = ""
        self._replays = 0
        self._until = 0.0  # when the replay on stage ends, on the wall clock
        self._answer = (-1, "")  # a key's id, and what the ring said about it
        super().__init__(ring.cluster, **options)

    @property
    def system(self) -> Any:
        """The ring."""
        return self.ring

    def runs(self) -> list[tuple[float, str]]:
        """The lookups that have ended."""
        return [(view.end, line(view)) for view in self.history.at(None).lookups if view.end is not None]

    def news(self, frame: frames.RingFrame) -> str:
        """How the lookup that was asked for ended, and whether the ring is whole."""
        broken = [words for words in checks(frame) if not words["holds"]]
        state = (
            f"{broken[0]['words']} does not hold"
            if broken
            else "all invariants hold"
            if frame.verdicts
            else ""
        )
        return "; ".join(filter(None, [self._answer[1], state]))

    def forget(self) -> None:
        """No lookup is on stage."""
        self._followed, self._wanted, self._answer = None, None, (-1, "")

    # -- widgets --------------------------------------------------------

    def side(self) -> list[ipywidgets.Widget]:
        """Lookup and its steps, key load, maintenance, members."""
        self.steps = self.part("steps")
        self.node = self.part("steps")
        self.ask = self.part("ask", "lookup", head=self._question(off=False))
        self.join = ipywidgets.Button(description="Join a node", tooltip="A new node joins the ring")
        self.leave = ipywidgets.Button(
            description=LEAVE, tooltip="The selected node leaves the ring in order"
        )
        self.maintenance = ipywidgets.Dropdown(
            options=MAINTENANCE, description="Maintenance", value=getattr(self.ring, "maintenance", "correct")
        )
        self.maintenance.disabled = not hasattr(self.ring, "switch")
        self.maintenance.style.description_width = "initial"
        self.join.on_click(lambda _button: self.act("join"))
        self.leave.on_click(lambda _button: self.act("leave", node=self.stage.selected))
        self.maintenance.observe(lambda change: self.act("maintain", protocol=change["new"]), "value")
        self.loads = Loads()
        keep = self.form(self.maintenance, actions=("maintain",))
        members = self.form(self.join, self.leave, actions=("join", "leave"))
        return [self.ask, self.steps, self.node, *self.loads.widgets, keep, members]

    def _question(self, off: bool) -> dict[str, Any]:
        hint = "a key, for example lecture"
        return {"label": "Key", "hint": hint, "verb": "Lookup", "action": "lookup", "off": off}

    def below(self) -> list[ipywidgets.Widget]:
        """The ring's health against the invariants."""
        self.checks = self.part("checks")
        return [self.checks]

    # -- frame --------------------------------------------------------

    def reducer(self, known: tuple[MachineView, ...]) -> RingReducer:
        """Chord's events."""
        return RingReducer(known)

    def frame(self, position: float | None) -> frames.RingFrame:
        """The ring at a position."""
        replicas = getattr(getattr(self.ring, "settings", self.ring), "replicas", 1)
        return frames.frame(
            self.cluster.trace,
            position,
            history=self.history,
            bits=self.ring.bits,
            replicas=replicas,
            ids=dict(self.ring.ids),
        )

    def scene(self, frame: frames.RingFrame) -> Scene:
        """The circle, the fingers of the selected node, the key that is looked up."""
        view = self._followed
        key = None if view is None or time.monotonic() > self._until else (view.key, view.key_id)
        return ring_scene(frame, self.stage.selected or None, key)

    def facts(self, frame: frames.RingFrame) -> str:
        """Cluster, engine, seed, maintenance."""
        return f"{super().facts(frame)} · maintenance: {getattr(self.ring, 'maintenance', 'correct')}"

    def pulses(self, frame: frames.RingFrame, since: float, scene: Scene) -> tuple[list[Pulse], int]:
        """The hops of all lookups since the last refresh."""
        if not self.position.live and not self.position.replaying:
            return [], 0
        known = {mark.id for mark in scene.marks}
        fresh = [hop for hop in frame.hops if hop.time > since and {hop.source, hop.target} <= known]
        return [
            Pulse(
                hop.seq,
                hop.source,
                hop.target,
                "lost" if hop.timed_out else "hop",
                f"{hop.source} to {hop.target}",
            )
            for hop in fresh
        ], 0

    def caption(self, frame: frames.RingFrame, left_out: int) -> str:
        """What the moving dots are."""
        if self._followed is not None and self._followed.end is not None:
            real = 1000 * (self._followed.end - self._followed.start)
            return f"the lookup is shown hop by hop, {HOP_MS / 1000:g} s each; really it took {real:.0f} ms"
        return "dots: hops of lookups, slowed down to be seen"

    def show(self, frame: frames.RingFrame) -> None:
        """The lookup's steps, the key load, what can be clicked."""
        self._follow(frame)
        view = self._followed
        over = self.position.live and time.monotonic() > self._until
        route = told(view, self._replays, HOP_MS, not self.position.live, over) if view is not None else {}
        update(self.stage, route=route)
        key_id, answer = self._answer
        said = answer if view is not None and view.key_id == key_id else ""
        update(self.steps, steps=steps(view, frame, self._replays, said))
        update(self.checks, checks=checks(frame))
        if not self._busy("maintenance"):
            update(self.maintenance, value=getattr(self.ring, "maintenance", "correct"))
        living = [node for node in frame.nodes if node.state != "dead"]
        self.loads.show([node.own for node in living], [node.copies for node in living])
        off = not self.position.live or self._gone()
        chosen = frame.node(self.stage.selected)
        update(self.ask, head=self._question(off or self._busy("lookup")))
        update(self.join, disabled=off or self._busy("join"))
        update(self.leave, description=f"Let {chosen.name} leave" if chosen is not None else LEAVE)
        update(self.node, steps=of_node(chosen))
        update(self.leave, disabled=off or chosen is None or chosen.state == "dead" or self._busy("leave"))

    # -- which lookup is on stage --------------------------------------------------------

    def _follow(self, frame: frames.RingFrame) -> None:
        """Show the lookup that was asked for; in between, one of those that others make, each to its end."""
        now = time.monotonic()
        asked = self._asked(frame)
        if asked is not None and (
            self._followed is None or asked.number != self._followed.number or asked != self._followed
        ):
            self._take(asked, now)
            if asked.end is not None:
                self._wanted = None
        elif not self.position.live:
            past = [view for view in frame.lookups if view.end is not None]
            if past and (self._followed is None or past[-1].number != self._followed.number):
                self._take(past[-1], now)
        elif self._wanted is None and now > self._until:
            fresh = [view for view in frame.lookups if view.end is not None and view.end > frame.time - 1.0]
            fresh.sort(key=lambda view: bool(view.timeouts))  # one that was hurt tells more
            if fresh and (self._followed is None or fresh[-1].number != self._followed.number):
                self._take(fresh[-1], now)

    def _asked(self, frame: frames.RingFrame) -> LookupView | None:
        if self._wanted is None:
            return None
        key_id, since = self._wanted
        return next((v for v in reversed(frame.lookups) if v.key_id == key_id and v.start >= since), None)

    def _take(self, view: LookupView, now: float) -> None:
        if self._followed is None or self._followed.number != view.number:
            self._replays += 1
        self._followed = view
        self._until = now + len(view.hops) * HOP_MS / 1000 + REST

    def made(self) -> Made:
        """The ring as code."""
        options = options_of(self.ring)
        notes = ()
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
        self._typed = key
        self._wanted = (self.ring.key_id(key), self.cluster.now)
        self.later("lookup", lambda: self.ring.lookup(key), self._answered)

    def _answered(self, found: Any) -> None:
        home = self.cluster.nodes.get(found.owner, "?")
        self._answer = (found.key_id, f"{self._typed!r} belongs to {found.owner} on {home}")

    def on_replay(self) -> None:
        """Replay the lookup on stage."""
        if self._followed is not None:
            self._replays += 1
            self._until = time.monotonic() + len(self._followed.hops) * HOP_MS / 1000 + REST

    def on_join(self) -> None:
        """A new node joins."""
        self.later("join", self.ring.join)

    def on_leave(self, node: str) -> None:
        """The selected node leaves in order."""
        if not node:
            raise ValueError("select the node that is to leave: click it on the ring")
        self.later("leave", lambda: self.ring.leave(node))

    def on_maintain(self, protocol: str) -> None:
        """Switch the maintenance protocol."""
        if protocol == getattr(self.ring, "maintenance", None):
            return  # the panel itself set the choice, to show what the ring does
        if not hasattr(self.ring, "switch"):
            raise ValueError(
                f'this ring keeps its maintenance; make one with Chord(cluster, maintenance="{protocol}")'
            )
        self.later("maintenance", lambda: self.ring.switch(protocol))
