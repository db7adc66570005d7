"""What a parameter server's events add up to: how each of them changes what is known of it, and what follows.

The scheduler tells of runs and consistency, the workers of clocks, waiting, pushes, pulls and losses, the
servers of what they apply, the manager of key ranges. Clocks are counted per *shard*: when a worker dies, its
shard goes on at another. Nothing is asked of a node.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from labkit.trace.machines import EventLine, Machines, MachineView, natural

from .events import called

#: Reads that the panel draws, messages it can show, points of a loss curve, earlier runs kept beside it.
READS, FLOWS, POINTS, RUNS = 200, 200, 400, 3
#: Calls that wait for the slowest worker, and so time out without anything being wrong.
PATIENT = ("may_start",)
#: States of a worker in which it no longer counts.
OVER = ("done", "stopped", "failed")
#: Kinds of consistency, as curves are coloured.
KINDS = ("BSP", "SSP", "Async")


@dataclass(frozen=True)
class Shard:
    """One worker's part of the examples, and how far it is."""

    shard: int
    name: str  # of the worker that has it now
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


@dataclass(frozen=True)
class WorkerView(Shard):
    """A shard at one position, with its worker's machine; a wait under way counts as waited."""

    machine: str = ""
    machine_state: str = "alive"  # alive, slow, paused or dead
    worked: float = 0.0  # seconds, since training began, not spent waiting


@dataclass(frozen=True)
class ServerView:
    """One server and the ranges it is master of."""

    name: str
    machine: str
    state: str  # alive, slow, paused, dead, failed (the manager replaced it) or left
    share: float  # of the circle, as master


@dataclass(frozen=True)
class StalenessView:
    """A parameter server at one position."""

    time: float
    machines: tuple[MachineView, ...]
    workers: tuple[WorkerView, ...]
    servers: tuple[ServerView, ...]
    ranges: tuple[Range, ...]
    copies: int  # that a range has, its master included, when all is well
    consistency: str
    bound: int | None
    running: bool
    iterations: int
    started: float
    reads: tuple[Read, ...]
    bounds: tuple[tuple[float, int | None], ...]
    points: tuple[Point, ...]
    earlier: tuple[tuple[str, tuple[Point, ...]], ...]
    flows: tuple[Flow, ...]
    wire: int  # bytes, and what they would have been without filters
    raw: int
    lines: tuple[EventLine, ...]

    @property
    def clocks(self) -> list[int]:
        """Of the workers that still count."""
        return [worker.clock for worker in self.workers if worker.state not in OVER]

    @property
    def slowest(self) -> int:
        """The clock of the slowest worker that still counts."""
        return min(self.clocks or [worker.clock for worker in self.workers], default=0)

    @property
    def fastest(self) -> int:
        """The clock of the fastest."""
        return max((worker.clock for worker in self.workers), default=0)


@dataclass
class StalenessState:
    """What has been told so far."""

    lab: Machines = field(default_factory=Machines)
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
    ranges: tuple[Range, ...] = ()
    copies: int = 0  # of a range, its master included, when all is well
    servers: dict[str, str] = field(default_factory=dict)  # name -> alive, failed or left
    flows: deque[Flow] = field(default_factory=lambda: deque(maxlen=FLOWS))
    wire: int = 0
    raw: int = 0

    def view(self, position: float | None, now: float | None = None) -> StalenessView:
        """The parameter server at `position` seconds (None: the present, which is `now` if that is given)."""
        time = position if position is not None else max(self.lab.now, now or 0.0)
        machines = {machine.name: machine for machine in self.lab.views()}
        servers = sorted((name for name, state in self.servers.items() if state != "left"), key=natural)
        return StalenessView(
            time=self.lab.now if position is None else position,
            machines=tuple(machines.values()),
            workers=tuple(
                _worker_view(self, each, machines, time) for _, each in sorted(self.shards.items())
            ),
            servers=tuple(_server_view(self, name, machines) for name in servers),
            ranges=self.ranges,
            copies=self.copies,
            consistency=self.consistency,
            bound=self.bound,
            running=self.running,
            iterations=self.iterations,
            started=self.started,
            reads=tuple(self.reads),
            bounds=tuple(self.bounds),
            points=tuple(self.points),
            earlier=tuple(self.earlier),
            flows=tuple(self.flows),
            wire=self.wire,
            raw=self.raw,
            lines=tuple(self.lab.lines),
        )


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
    state.running, state.started, state.ended = True, event.time, None
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
    return shard if shard.name == worker else replace(shard, name=worker)


def _settle(state: StalenessState, shard: Shard, time: float, now: str, **changes: Any) -> None:
    """Change a shard's state; a wait that ends with it is counted."""
    waited = shard.waited + (time - shard.since if shard.state == "waiting" else 0.0)
    since = shard.since if shard.state == now else time
    changes = {"state": now, "since": since, "waits_for": (), "waited": waited, **changes}
    state.shards[shard.shard] = replace(shard, **changes)


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
        if shard.name == data.get("worker") and shard.state != "done":
            _settle(state, shard, event.time, "failed")


def _reassigned(state: StalenessState, event: Any, data: Mapping[str, Any]) -> None:
    shard = state.shards.get(data.get("shard", -1))
    if shard is not None:
        _settle(state, shard, event.time, "computing", name=str(data.get("to")))


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
    clock, loss = sum(s.clock for s in state.shards.values()) / len(known), sum(known) / len(known)
    state.points.append(Point(event.time, clock, loss, kind_of(state.bound)))
    if len(state.points) > POINTS:  # every second one is as good a curve
        del state.points[1::2]
        state.every *= 2


# -- servers ------------------------------------------------------------


def _view(state: StalenessState, event: Any, data: Mapping[str, Any]) -> None:
    told = data.get("ranges") or ()
    state.ranges = tuple(Range(float(low), float(high), tuple(map(str, chain))) for low, high, chain in told)
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
}


# -- what follows from the state ------------------------------------------------------------


def _worker_view(state: StalenessState, shard: Shard, machines: Any, time: float) -> WorkerView:
    machine = state.lab.places.get(shard.name, "")
    end = state.ended if state.ended is not None else time
    waited = shard.waited + (max(0.0, end - shard.since) if shard.state == "waiting" else 0.0)
    over = shard.since if shard.state in OVER else end
    return WorkerView(
        **{**vars(shard), "waited": waited},
        machine=machine,
        machine_state=machines[machine].state if machine in machines else "alive",
        worked=max(0.0, over - state.started - waited),
    )


def _server_view(state: StalenessState, name: str, machines: dict[str, MachineView]) -> ServerView:
    machine = state.lab.places.get(name, "")
    at = machines[machine].state if machine in machines else "alive"
    dead = name in state.lab.gone or at == "dead"
    share = sum(each.high - each.low for each in state.ranges if each.chain[:1] == (name,))
    return ServerView(name, machine, "dead" if dead else state.servers[name] if at == "alive" else at, share)
