"""What a parameter server's events add up to: how each of them changes what is known of it.

The scheduler tells of runs and consistency, the workers of clocks, waiting, pushes, pulls and losses, the
servers of what they apply, the manager of key ranges. Clocks are counted per *shard*: when a worker dies, its
shard goes on at another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from labkit.trace.machines import Machines, MachineView

from .events import called

#: Reads that the panel draws, messages it can show, points of a loss curve, earlier runs kept beside it.
READS, FLOWS, POINTS, RUNS = 200, 200, 400, 3

#: Calls that wait for the slowest worker, and so time out without anything being wrong.
PATIENT = ("may_start",)

#: Kinds of consistency, as curves are coloured.
KINDS = ("BSP", "SSP", "Async")


@dataclass(frozen=True)
class Shard:
    """One worker's part of the examples, and how far it is."""

    shard: int
    worker: str
    clock: int = 0
    state: str = "computing"  # computing, waiting, done, stopped (the run was) or failed
    since: float = 0.0  # when that state began
    waits_for: tuple[str, ...] = ()
    waited: float = 0.0  # seconds in the waits that are over
    staleness: int | None = None  # of its last read
    loss: float | None = None


@dataclass(frozen=True)
class Read:
    """One pull: how many clocks the oldest update that it may lack is behind."""

    time: float
    shard: int
    staleness: int


@dataclass(frozen=True)
class Point:
    """A point of the loss curves: the mean of what the workers reported last."""

    time: float
    iteration: float  # the mean of the workers' clocks
    loss: float
    kind: str  # of the consistency then


@dataclass(frozen=True)
class Range:
    """A key range on the ring, between two fractions of the circle, and who holds it: master first."""

    low: float
    high: float
    chain: tuple[str, ...]


@dataclass(frozen=True)
class Flow:
    """A push that reached a server, or an update that a server passed on."""

    seq: int
    time: float
    source: str
    target: str
    kind: str  # push or forward


@dataclass
class StalenessState:
    """The fold behind `StalenessFrame`."""

    lab: Machines = field(default_factory=Machines)
    run: str = ""
    running: bool = False
    started: float = 0.0
    ended: float | None = None
    iterations: int = 0
    consistency: str = ""
    bound: int | None = 0
    shards: dict[int, Shard] = field(default_factory=dict)
    reads: deque[Read] = field(default_factory=lambda: deque(maxlen=READS))
    bounds: deque[tuple[float, int | None]] = field(default_factory=lambda: deque(maxlen=READS))
    points: list[Point] = field(default_factory=list)
    every: int = 1  # one in so many reports became a point
    reports: int = 0
    earlier: deque[tuple[str, tuple[Point, ...]]] = field(default_factory=lambda: deque(maxlen=RUNS))
    view: int = 0
    ranges: tuple[Range, ...] = ()
    copies: int = 0  # of a range, its master included, when all is well
    servers: dict[str, str] = field(default_factory=dict)  # name -> alive, failed or left
    flows: deque[Flow] = field(default_factory=lambda: deque(maxlen=FLOWS))
    wire: int = 0
    raw: int = 0
    resent: int = 0
    rejected: int = 0


class StalenessReducer:
    """Folds the events, beginning with machines that are known, if any."""

    def __init__(self, known: tuple[MachineView, ...] = ()) -> None:
        self.known = known

    def initial(self) -> StalenessState:
        """No server yet."""
        return StalenessState(Machines.known(self.known))

    def apply(self, state: StalenessState, event: Any) -> None:
        """Fold one event."""
        if event.kind == "timed_out" and event.data.get("method") in PATIENT:
            return  # the question is asked again and again, as long as the answer is "wait"
        state.lab.apply(event)
        handler = _HANDLERS.get(event.kind)
        if handler is not None:
            handler(state, event, event.data)


def kind_of(bound: int | None) -> str:
    """BSP, SSP or Async."""
    return "Async" if bound is None else "SSP" if bound else "BSP"


# -- the run ------------------------------------------------------------


def _training_started(state: StalenessState, event: Any, data: Mapping[str, Any]) -> None:
    if state.points:
        state.earlier.append((state.consistency, tuple(state.points)))
    state.run, state.running = str(data.get("run", "")), True
    state.started, state.ended = event.time, None
    state.iterations = int(data.get("iterations") or 0)
    workers = [str(name) for name in data.get("workers") or ()]
    count = int(data.get("shards") or len(workers)) if workers else 0
    state.shards = {k: Shard(k, workers[k % len(workers)], since=event.time) for k in range(count)}
    state.points, state.every, state.reports = [], 1, 0
    state.reads.clear()
    state.bounds.clear()
    state.wire = state.raw = 0
    _consistency(state, event, data)


def _training_finished(state: StalenessState, event: Any, data: Mapping[str, Any]) -> None:
    state.running, state.ended = False, event.time
    for shard in list(state.shards.values()):
        if shard.state not in ("done", "failed"):
            _settle(state, shard, event.time, "done" if data.get("ok", True) else "stopped")


def _consistency(state: StalenessState, event: Any, data: Mapping[str, Any]) -> None:
    state.consistency = called(data.get("consistency", ""))
    state.bound = data.get("bound")
    state.bounds.append((event.time, state.bound))


# -- workers ------------------------------------------------------------


def _shard(state: StalenessState, event: Any, data: Mapping[str, Any]) -> Shard:
    worker, number = str(data.get("worker") or event.node), int(data["shard"])
    shard = state.shards.get(number) or Shard(number, worker, since=event.time)
    return shard if shard.worker == worker else replace(shard, worker=worker)


def _settle(state: StalenessState, shard: Shard, time: float, now: str, **changes: Any) -> None:
    """Change a shard's state; a wait that ends with it is counted."""
    waited = shard.waited + (time - shard.since if shard.state == "waiting" else 0.0)
    since = shard.since if shard.state == now else time
    state.shards[shard.shard] = replace(
        shard, **{"state": now, "since": since, "waits_for": (), "waited": waited, **changes}
    )


def _clock(state: StalenessState, event: Any, data: Mapping[str, Any]) -> None:
    clock = int(data["clock"])
    done = bool(state.iterations) and clock >= state.iterations
    _settle(state, _shard(state, event, data), event.time, "done" if done else "computing", clock=clock)


def _wait_started(state: StalenessState, event: Any, data: Mapping[str, Any]) -> None:
    for_ = tuple(map(str, data.get("for") or ()))
    _settle(state, _shard(state, event, data), event.time, "waiting", waits_for=for_)


def _wait_finished(state: StalenessState, event: Any, data: Mapping[str, Any]) -> None:
    shard = _shard(state, event, data)
    if shard.state == "waiting":
        _settle(state, shard, event.time, "computing")


def _worker_failed(state: StalenessState, event: Any, data: Mapping[str, Any]) -> None:
    for shard in list(state.shards.values()):
        if shard.worker == data.get("worker") and shard.state != "done":
            _settle(state, shard, event.time, "failed")


def _reassigned(state: StalenessState, event: Any, data: Mapping[str, Any]) -> None:
    shard = state.shards.get(data.get("shard", -1))
    if shard is not None:
        _settle(state, shard, event.time, "computing", worker=str(data.get("to")))


def _pushed(state: StalenessState, event: Any, data: Mapping[str, Any]) -> None:
    state.wire += int(data.get("bytes") or 0)
    state.raw += int(data.get("raw") or 0)


def _pulled(state: StalenessState, event: Any, data: Mapping[str, Any]) -> None:
    _pushed(state, event, data)
    staleness = data.get("staleness")
    if staleness is None or data.get("shard") is None:
        return  # somebody outside of the training looks at the parameters
    shard = _shard(state, event, data)
    state.shards[shard.shard] = replace(shard, staleness=int(staleness))
    state.reads.append(Read(event.time, shard.shard, int(staleness)))


def _loss(state: StalenessState, event: Any, data: Mapping[str, Any]) -> None:
    shard = replace(_shard(state, event, data), loss=float(data["loss"]))
    state.shards[shard.shard] = shard
    state.reports += 1
    known = [s.loss for s in state.shards.values() if s.loss is not None]
    if len(known) < len(state.shards) or state.reports % state.every:
        return
    clocks = [s.clock for s in state.shards.values()]
    state.points.append(
        Point(event.time, sum(clocks) / len(clocks), sum(known) / len(known), kind_of(state.bound))
    )
    if len(state.points) > POINTS:  # every second one is as good a curve
        del state.points[1::2]
        state.every *= 2


# -- servers ------------------------------------------------------------


def _view(state: StalenessState, event: Any, data: Mapping[str, Any]) -> None:
    state.view = int(data.get("view") or 0)
    state.ranges = tuple(
        Range(float(low), float(high), tuple(map(str, chain)))
        for low, high, chain in data.get("ranges") or ()
    )
    state.copies = max([state.copies, *(len(each.chain) for each in state.ranges)])
    for each in state.ranges:
        for name in each.chain:
            state.servers.setdefault(name, "alive")


def _server(change: str) -> Any:
    def apply(state: StalenessState, event: Any, data: Mapping[str, Any]) -> None:
        state.servers[str(data.get("server") or event.node)] = change

    return apply


def _applied(state: StalenessState, event: Any, data: Mapping[str, Any]) -> None:
    worker = data.get("worker")
    if worker and event.node:
        state.flows.append(Flow(event.seq, event.time, str(worker), event.node, "push"))


def _forwarded(state: StalenessState, event: Any, data: Mapping[str, Any]) -> None:
    if data.get("to") and event.node:
        state.flows.append(Flow(event.seq, event.time, event.node, str(data["to"]), "forward"))


def _resent(state: StalenessState, event: Any, data: Mapping[str, Any]) -> None:
    state.resent += 1


def _rejected(state: StalenessState, event: Any, data: Mapping[str, Any]) -> None:
    state.rejected += 1


_HANDLERS = {
    "training_started": _training_started,
    "training_finished": _training_finished,
    "consistency_changed": _consistency,
    "clock": _clock,
    "wait_started": _wait_started,
    "wait_finished": _wait_finished,
    "worker_failed": _worker_failed,
    "shard_reassigned": _reassigned,
    "pushed": _pushed,
    "pulled": _pulled,
    "loss": _loss,
    "view": _view,
    "server_joined": _server("alive"),
    "server_failed": _server("failed"),
    "server_left": _server("left"),
    "applied": _applied,
    "forwarded": _forwarded,
    "push_resent": _resent,
    "duplicate_rejected": _rejected,
}
