"""A parameter server as data for the stage, and the numbers that matter beside it. Pure functions."""

from __future__ import annotations

from labkit.systems.paramserver.view import Range, ServerView, StalenessView, WorkerView

from ..layouts.arcs import CX, CY, Part, Server, arcs
from ..layouts.lanes import LEFT, RIGHT, TOP, Runner, lanes
from ..looks import indexes
from ..numbers import Number
from ..scene import Label, Scene, scene_of

#: More ranges than this become one arc a server.
ARCS = 120


def staleness_scene(frame: StalenessView) -> Scene:
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


def _heads(frame: StalenessView) -> list[Label]:
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


def _summarised(frame: StalenessView) -> tuple[Range, ...]:
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


def _inside(frame: StalenessView) -> list[Label]:
    if not frame.ranges:
        return [Label(CX, CY + 4, "no servers yet", "hint")]
    copied = any(len(each.chain) > 1 for each in frame.ranges)
    inside = ("outside: master", "inside: copies") if copied else ("no copies",)
    first = CY + 4 - 15 * (len(inside) - 1) / 2
    notes = [Label(CX, first + 15 * k, words, "note") for k, words in enumerate(inside)]
    return [Label(CX, 24, "Key ranges", "name"), *notes]


# -- the numbers that matter ------------------------------------------------------------


def numbers(frame: StalenessView) -> tuple[Number, ...]:
    """What a run is judged by: waiting against staleness, the loss, copies, traffic."""
    promise = "no bound" if frame.bound is None else f"at most {frame.bound}"
    ahead = "0" if frame.workers else "no run yet"
    if frame.clocks:
        ahead = f"{max(frame.clocks) - min(frame.clocks)}"
    waited, worked = sum(w.waited for w in frame.workers), sum(w.worked for w in frame.workers)
    share = f"{waited / (waited + worked):.0%}" if waited + worked > 0 else "none yet"
    known = [w.loss for w in frame.workers if w.loss is not None]
    loss = f"{sum(known) / len(known):.3f}" if known else "none yet"
    saved = 1 - frame.wire / frame.raw if frame.raw else 0.0
    size = f"{frame.wire / 1e6:.2f} MB" if frame.wire < 1e8 else f"{frame.wire / 1e6:,.0f} MB"
    return (
        Number("Fastest ahead by", ahead, promise),
        Number("Time waiting", share, theory="0 % if Async"),
        _staleness(frame),
        Number("Loss", loss, "mean of workers"),
        _copies(frame),
        Number("On the wire", size, f"filters save {saved:.0%}" if saved > 0.005 else "filters save 0 %"),
    )


def _staleness(frame: StalenessView) -> Number:
    """Of the reads since the bound was changed last."""
    promise = "no promise" if frame.bound is None else f"at most {frame.bound}"
    if not frame.reads:
        return Number("Staleness of reads", "none yet", promise)
    since = frame.bounds[-1][0] if frame.bounds else 0.0
    found = [read.staleness for read in frame.reads if read.time > since] or [frame.reads[-1].staleness]
    mean = sum(found) / len(found)
    return Number("Staleness of reads", f"{mean:.{1 if mean < 10 else 0}f} (max {max(found)})", promise)


def _copies(frame: StalenessView) -> Number:
    """How many of the key ranges have a living server for every place in their chain."""
    living = {each.name for each in frame.servers if each.state != "dead"}
    whole = sum(len(each.chain) >= frame.copies and living.issuperset(each.chain) for each in frame.ranges)
    if not frame.ranges:
        return Number("Ranges copied", "none yet")
    if frame.copies == 1:
        gone = sum(not living.issuperset(each.chain) for each in frame.ranges)
        words, tone = (f"{gone} lost", "bad") if gone else ("no copies", "plain")
        return Number("Ranges copied", words, "replicas=0", tone)
    tone, value = "good" if whole == len(frame.ranges) else "bad", f"{whole} of {len(frame.ranges)}"
    if len(living) < frame.copies:
        note = f"{len(living)} of {frame.copies} servers left that it takes"
        return Number("Ranges copied", value, note, tone)
    return Number("Ranges copied", value, tone=tone, theory="all, once repaired")
