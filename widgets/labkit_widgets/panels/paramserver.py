"""`StalenessPanel`: a parameter server while it trains.

Workers' clocks against the bound, how stale each read was, who waits for whom, the loss against time and
against iterations, the ring of key ranges; and one control that moves from bulk-synchronous through stale
synchronous to asynchronous.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from labkit.runtime.again import literal
from labkit.systems.paramserver.events import called, meaning
from labkit.systems.paramserver.view import KINDS, Range, StalenessReducer

from ..charts import CHARTS, Losses, Staleness, Waiting, legend
from ..frames import staleness as frames
from ..frames.staleness import ServerView, StalenessFrame, WorkerView
from ..layouts.arcs import CX, CY, Part, Server, arcs
from ..layouts.lanes import LEFT, RIGHT, TOP, Runner, lanes
from ..looks import indexes
from ..panel import Panel
from ..pieces import Chart, Plain, Slide
from ..scene import Label, Pulse, Scene, scene_of
from ..script import Made, options_of

#: Where the control can stand: from everybody waits to (almost) nobody waits. At its end stands Async.
BOUNDS = (0, 1, 2, 3, 4, 6, 8, 12, 16)
#: More ranges than this become one arc a server.
ARCS = 120
#: A colour for each kind of consistency that reads on light and on dark.
HUES = dict(zip(KINDS, (CHARTS[name] for name in ("blue", "orange", "green")), strict=True))

# -- the stage ------------------------------------------------------------


def staleness_scene(frame: StalenessFrame) -> Scene:
    """Clocks on the left, key ranges on the right."""
    colours = indexes([machine.name for machine in frame.machines])
    allowed = None
    if frame.bound is not None and frame.workers:
        tip = f"allowed by {frame.consistency}: up to {frame.bound} ahead of the slowest"
        allowed = (frame.slowest, frame.slowest + frame.bound, tip)
    high = max(frame.fastest, frame.slowest + (frame.bound or 0)) + 1
    runners = [_runner(worker, frame.workers, colours) for worker in frame.workers]
    clocks = lanes(runners, max(0, frame.slowest - 1), high, allowed, _heads(frame))
    machines = {server.name: server.machine for server in frame.servers}
    parts = [
        Part(each.low, each.high, [
            (colours.get(machines.get(name, ""), -1), _range(each, place))
            for place, name in enumerate(each.chain)
        ])
        for each in _summarised(frame)
    ]  # fmt: skip
    servers = [_server(server, colours) for server in frame.servers]
    title = "Parameter server, no training yet"
    if frame.workers:
        waiting = sum(worker.state == "waiting" for worker in frame.workers)
        at = f"workers at iterations {frame.slowest} to {frame.fastest}, {waiting} waiting"
        title = f"Parameter server, {frame.consistency}: {at}; {len(frame.servers)} servers"
    return scene_of(640.0, clocks, arcs(parts, servers, _inside(frame)), title=title, rows=True)


def _runner(worker: WorkerView, all_: tuple[WorkerView, ...], colours: dict[str, int]) -> Runner:
    """A worker in its lane; one that took over a part has two."""
    shards = {other.name: other.shard for other in reversed(all_)}
    two = sum(other.name == worker.name for other in all_) > 1
    waiting, does, total = worker.state == "waiting", _doing(worker), worker.waited + worker.worked
    cls = "holding" if waiting else "note"
    if worker.machine_state in ("dead", "paused"):
        cls = f"state {worker.machine_state}"
    elif worker.machine_state == "slow":
        cls, does = ("holding" if waiting else "state slow"), f"{does} (slow)"
    tip = f"{worker.name} on {worker.machine or '?'}, iteration {worker.clock}, {_doing(worker)}"
    tip += f"; its last read was {worker.staleness} stale" if worker.staleness is not None else ""
    tip += f"; it waited {worker.waited:.1f} s of {total:.1f} s" if total else ""
    failed = worker.state == "failed" and worker.machine_state == "alive"
    return Runner(
        id=f"shard-{worker.shard}",
        name=f"{worker.name} (part {worker.shard})" if two else worker.name,
        at=worker.clock,
        colour=colours.get(worker.machine, -1),
        state="dead" if failed else worker.machine_state,
        tip=tip,
        does=does,
        cls=cls,
        holding=waiting,
        share=f"{worker.waited / total:.0%}" if total > 0 else "",
        waits_for=tuple(
            (f"shard-{shards[name]}", f"{worker.name} waits for {name}")
            for name in (worker.waits_for if waiting else ())
            if name in shards
        ),
    )


def _doing(worker: WorkerView) -> str:
    if worker.machine_state in ("dead", "paused"):
        return worker.machine_state
    if worker.state == "waiting" and worker.waits_for:
        others = len(worker.waits_for) - 1
        return f"waits for {worker.waits_for[0]}" + (f" +{others}" if others else "")
    return {"computing": "computes", "waiting": "waits"}.get(worker.state, worker.state)


def _heads(frame: StalenessFrame) -> list[Label]:
    if not frame.workers:
        return [Label((LEFT + RIGHT) / 2, TOP + 27, "no training yet", "hint")]
    ended = "" if frame.running else ", ended"
    at = f"iteration {frame.slowest} of {frame.iterations}{ended}" if frame.iterations else ""
    bound = "no bound: nobody waits" if frame.bound is None else "green: what the bound allows"
    return [
        Label(10, 24, frame.consistency.removesuffix("()"), "big", "start"),
        Label(LEFT, 19, at, "note", "start"),
        Label(RIGHT + 14, TOP - 8, "waits", "note", "start"),
        Label(LEFT, TOP - 8, bound, "note", "start"),
    ]


def _summarised(frame: StalenessFrame) -> tuple[Range, ...]:
    """The ranges, or one arc for each master if they are too many to see."""
    if len(frame.ranges) <= ARCS:
        return frame.ranges
    found, start = [], 0.0
    for server in frame.servers:
        if server.share:
            found.append(Range(start, start + server.share, (server.name,)))
            start += server.share
    return tuple(found)


def _range(each: Range, place: int) -> str:
    role = "master" if place == 0 else f"replica {place}"
    of = f"{each.chain[place]}, {role} of {each.high - each.low:.1%} of the circle"
    return f"{of}; chain: {' → '.join(each.chain)}"


def _server(server: ServerView, colours: dict[str, int]) -> Server:
    state = {"alive": "", "failed": ", replaced"}.get(server.state, f", {server.state}")
    tip = f"{server.name} on {server.machine or '?'}{state}; master of {server.share:.0%} of the keys"
    shown = "dead" if server.state == "failed" else server.state
    return Server(server.name, colours.get(server.machine, -1), shown, tip)


def _inside(frame: StalenessFrame) -> list[Label]:
    if not frame.ranges:
        return [Label(CX, CY + 4, "no servers yet", "hint")]
    copied = any(len(each.chain) > 1 for each in frame.ranges)
    inside = ("outside: master", "inside: copies") if copied else ("no copies",)
    first = CY + 4 - 15 * (len(inside) - 1) / 2
    notes = [Label(CX, first + 15 * k, words, "note") for k, words in enumerate(inside)]
    return [Label(CX, 24, "Key ranges", "name"), *notes]


# -- the panel ------------------------------------------------------------


def _now(panel: Any, frame: StalenessFrame) -> tuple[int | None, str]:
    """What holds at the position; between runs: what the parameter server is set to."""
    if panel.position.live and not frame.running:
        return panel.ps.consistency.bound, called(panel.ps.consistency).removesuffix("()")
    return frame.bound, frame.consistency.removesuffix("()")


def _set(panel: Any, bound: int | None) -> None:
    from labkit.systems.paramserver import BSP, SSP, Async

    panel.ps.consistency = Async() if bound is None else SSP(bound) if bound else BSP()


def _losses(panel: Any, frame: StalenessFrame) -> tuple[Any, ...]:
    return frame.points, frame.started, frame.earlier[-1][1] if frame.earlier else ()


def _stale(panel: Any, frame: StalenessFrame) -> tuple[Any, ...]:
    now = frame.time if frame.running or not frame.reads else frame.reads[-1].time
    return frame.reads, frame.bounds, frame.started, now


class StalenessPanel(Panel):
    """A parameter server on a cluster."""

    title: ClassVar[str] = "Parameter server"
    named = "ps"
    noted: ClassVar[tuple[str, ...]] = ("training_started", "training_finished")
    runs_are: ClassVar[str] = "Runs"
    fold = StalenessReducer
    drawn = 40
    above = (
        Slide(
            "control", "Consistency", "consistency",
            places=lambda bound: [*sorted({*BOUNDS, *([] if bound is None else [bound])}), None],
            called=lambda bound: "Async" if bound is None else f"SSP({bound})" if bound else "BSP",
            words=meaning, now=_now, get=lambda panel: panel.ps.consistency.bound, set=_set,
        ),
    )  # fmt: skip
    side = (
        Chart(Losses, _losses, "against_time", ("Loss against seconds", "time", HUES)),
        Chart(Losses, _losses, "against_iterations", ("Loss against iterations", "iterations", HUES)),
        Plain(lambda: legend(HUES)),
    )
    below = (
        Chart(Staleness, _stale, "stale"),
        Chart(Waiting, lambda _panel, frame: (frame.workers,), "waiting"),
    )

    def runs(self) -> list[tuple[float, str]]:
        """The trainings that have ended."""
        found, begun = [], ""
        for event in self.log.noted:
            if event.kind == "training_started":
                begun = called(event.data.get("consistency")).removesuffix("()")
            else:
                words = f"run {event.data.get('run')}: {begun}, ended at {event.time:.2f} s"
                found.append((event.time, words))
        return found

    def news(self, frame: StalenessFrame) -> str:
        """Whether a training runs."""
        return "" if not frame.workers else "training" if frame.running else "the training has ended"

    def frame(self, position: float | None) -> StalenessFrame:
        """The parameter server at a position."""
        return frames.frame(self.cluster.trace, position, history=self.history, now=self._clock())

    def scene(self, frame: StalenessFrame) -> Scene:
        """Clocks and key ranges."""
        return staleness_scene(frame)

    def about(self, frame: StalenessFrame) -> str:
        """The consistency."""
        return frame.consistency or "not training"

    def flights(self, frame: StalenessFrame) -> Iterator[tuple[float, Pulse]]:
        """Pushes that reached a server, and updates passed on along a chain."""
        at = {worker.name: f"shard-{worker.shard}" for worker in reversed(frame.workers)}
        for flow in frame.flows:
            kind, tip = (
                "request" if flow.kind == "push" else "hop",
                f"{flow.kind}: {flow.source} to {flow.target}",
            )
            yield flow.time, Pulse(flow.seq, at.get(flow.source, flow.source), flow.target, kind, tip)

    def caption(self, frame: StalenessFrame, left_out: int) -> str:
        """What the moving dots are."""
        words = "dots: pushes to servers, and updates passed along a chain"
        return f"{words} ({left_out} more are not drawn)" if left_out else words

    def made(self) -> Made:
        """The parameter server as code."""
        from labkit.systems.paramserver import BSP

        options, now, notes = options_of(self.ps), self.ps.consistency, ()
        if now != (options.get("consistency") or BSP()):
            notes = (f"Its consistency was changed meanwhile: ps_again.consistency = {literal(now)}",)
        lacks = "your vectors and trainings"
        return Made("labkit.systems.paramserver", "ps_again", "ParameterServer", options, lacks, notes)
