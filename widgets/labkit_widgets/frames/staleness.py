"""The frame of `StalenessPanel`: how far each worker is, what it waits for, how stale its reads are.

Nothing is asked of a node: `labkit.systems.paramserver.view` folds what they emitted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labkit.systems.paramserver.view import (
    Flow,
    Point,
    Range,
    Read,
    Shard,
    StalenessReducer,
    StalenessState,
    kind_of,
)
from labkit.trace.fold import History, fold
from labkit.trace.machines import EventLine, MachineView, natural

from ..numbers import Number

#: States of a worker in which it no longer counts.
OVER = ("done", "stopped", "failed")


@dataclass(frozen=True)
class WorkerView:
    """One shard and the worker that has it now."""

    shard: int
    name: str
    machine: str
    machine_state: str  # alive, slow, paused or dead
    clock: int
    state: str  # computing, waiting, done or failed
    waits_for: tuple[str, ...]
    waited: float  # seconds, a wait under way included
    worked: float  # seconds, since training began, not spent waiting
    staleness: int | None
    loss: float | None


@dataclass(frozen=True)
class ServerView:
    """One server and the ranges it is master of."""

    name: str
    machine: str
    state: str  # alive, slow, paused, dead, failed (the manager replaced it) or left
    share: float  # of the circle, as master


@dataclass(frozen=True)
class StalenessFrame:
    """A parameter server at one position."""

    time: float
    machines: tuple[MachineView, ...]
    workers: tuple[WorkerView, ...]
    servers: tuple[ServerView, ...]
    ranges: tuple[Range, ...]
    replicas: int  # copies that a range has beside its master, when all is well
    consistency: str
    bound: int | None
    kind: str  # BSP, SSP or Async
    running: bool
    iterations: int
    started: float
    reads: tuple[Read, ...]
    bounds: tuple[tuple[float, int | None], ...]
    points: tuple[Point, ...]
    earlier: tuple[tuple[str, tuple[Point, ...]], ...]
    flows: tuple[Flow, ...]
    numbers: tuple[Number, ...]
    lines: tuple[EventLine, ...]

    @property
    def slowest(self) -> int:
        """The clock of the slowest worker that still counts."""
        clocks = [w.clock for w in self.workers if w.state not in OVER]
        return min(clocks or [w.clock for w in self.workers], default=0)

    @property
    def fastest(self) -> int:
        """The clock of the fastest."""
        return max((w.clock for w in self.workers), default=0)


def frame(
    trace: Any, position: float | None = None, *, history: History | None = None, now: float | None = None
) -> StalenessFrame:
    """The parameter server at ``position`` seconds (None: the present, which is ``now`` if that is given)."""
    state = history.at(position) if history is not None else fold(StalenessReducer(), trace, position)
    time = position if position is not None else max(state.lab.now, now or 0.0)
    machines = {machine.name: machine for machine in state.lab.views()}
    workers = tuple(_worker(state, each, machines, time) for _, each in sorted(state.shards.items()))
    servers = tuple(
        _server(state, name, machines)
        for name in sorted(state.servers, key=natural)
        if state.servers[name] != "left"
    )
    return StalenessFrame(
        time=state.lab.now if position is None else position,
        machines=tuple(machines.values()),
        workers=workers,
        servers=servers,
        ranges=state.ranges,
        replicas=max(0, state.copies - 1),
        consistency=state.consistency,
        bound=state.bound,
        kind=kind_of(state.bound),
        running=state.running,
        iterations=state.iterations,
        started=state.started,
        reads=tuple(state.reads),
        bounds=tuple(state.bounds),
        points=tuple(state.points),
        earlier=tuple(state.earlier),
        flows=tuple(state.flows),
        numbers=_numbers(state, workers, servers),
        lines=tuple(state.lab.lines),
    )


def _worker(state: StalenessState, shard: Shard, machines: dict[str, MachineView], time: float) -> WorkerView:
    machine = state.lab.places.get(shard.worker, "")
    end = state.ended if state.ended is not None else time
    waited = shard.waited + (max(0.0, end - shard.since) if shard.state == "waiting" else 0.0)
    over = shard.since if shard.state in OVER else end
    return WorkerView(
        shard=shard.shard,
        name=shard.worker,
        machine=machine,
        machine_state=machines[machine].state if machine in machines else "alive",
        clock=shard.clock,
        state=shard.state,
        waits_for=shard.waits_for,
        waited=waited,
        worked=max(0.0, over - state.started - waited),
        staleness=shard.staleness,
        loss=shard.loss,
    )


def _server(state: StalenessState, name: str, machines: dict[str, MachineView]) -> ServerView:
    machine = state.lab.places.get(name, "")
    at = machines[machine].state if machine in machines else "alive"
    dead = name in state.lab.gone or at == "dead"
    share = sum(each.high - each.low for each in state.ranges if each.chain[:1] == (name,))
    return ServerView(name, machine, "dead" if dead else state.servers[name] if at == "alive" else at, share)


# -- the numbers that matter ------------------------------------------------------------


def _numbers(
    state: StalenessState, workers: tuple[WorkerView, ...], servers: tuple[ServerView, ...]
) -> tuple[Number, ...]:
    return (
        _spread(state, workers),
        _waiting(state, workers),
        _staleness(state),
        _losses(workers),
        _copies(state, servers),
        _traffic(state),
    )


def _spread(state: StalenessState, workers: tuple[WorkerView, ...]) -> Number:
    clocks = [w.clock for w in workers if w.state not in OVER]
    bound = "no bound" if state.bound is None else f"at most {state.bound}"
    if not clocks:
        return Number("Fastest ahead by", "0" if workers else "no run yet", bound)
    ahead = max(clocks) - min(clocks)
    return Number("Fastest ahead by", f"{ahead}", bound)


def _waiting(state: StalenessState, workers: tuple[WorkerView, ...]) -> Number:
    waited, worked = sum(w.waited for w in workers), sum(w.worked for w in workers)
    if waited + worked <= 0:
        return Number("Time waiting", "none yet", theory="0 % if Async")
    return Number("Time waiting", f"{waited / (waited + worked):.0%}", theory="0 % if Async")


def _staleness(state: StalenessState) -> Number:
    promise = "no promise" if state.bound is None else f"at most {state.bound}"
    if not state.reads:
        return Number("Staleness of reads", "none yet", promise)
    since = state.bounds[-1][0] if state.bounds else 0.0
    found = [read.staleness for read in state.reads if read.time > since] or [state.reads[-1].staleness]
    mean = sum(found) / len(found)
    return Number("Staleness of reads", f"{mean:.{1 if mean < 10 else 0}f} (max {max(found)})", promise)


def _losses(workers: tuple[WorkerView, ...]) -> Number:
    known = [w.loss for w in workers if w.loss is not None]
    if not known:
        return Number("Loss", "none yet", "mean of workers")
    return Number("Loss", f"{sum(known) / len(known):.3f}", "mean of workers")


def _copies(state: StalenessState, servers: tuple[ServerView, ...]) -> Number:
    """How many of the key ranges have a living server for every place in their chain."""
    living = {each.name for each in servers if each.state != "dead"}
    whole = sum(len(each.chain) >= state.copies and living.issuperset(each.chain) for each in state.ranges)
    if not state.ranges:
        return Number("Ranges copied", "none yet")
    if state.copies == 1:
        gone = sum(not living.issuperset(each.chain) for each in state.ranges)
        words, tone = (f"{gone} lost", "bad") if gone else ("no copies", "plain")
        return Number("Ranges copied", words, "replicas=0", tone)
    tone, value = "good" if whole == len(state.ranges) else "bad", f"{whole} of {len(state.ranges)}"
    if len(living) < state.copies:
        note = f"{len(living)} of {state.copies} servers left that it takes"
        return Number("Ranges copied", value, note, tone)
    return Number("Ranges copied", value, tone=tone, theory="all, once repaired")


def _traffic(state: StalenessState) -> Number:
    saved = 1 - state.wire / state.raw if state.raw else 0.0
    size = f"{state.wire / 1e6:.2f} MB" if state.wire < 1e8 else f"{state.wire / 1e6:,.0f} MB"
    return Number("On the wire", size, f"filters save {saved:.0%}" if saved > 0.005 else "filters save 0 %")


__all__ = ["ServerView", "StalenessFrame", "WorkerView", "frame"]
