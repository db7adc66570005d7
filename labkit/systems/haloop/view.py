"""What a loop's events add up to: MapReduce's view of the stage that runs, the iterations, and the caches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from labkit.systems.mapreduce.messages import MAP
from labkit.systems.mapreduce.view import JobReducer, JobState
from labkit.trace.machines import Machines

from .options import MAPPER_INPUT

__all__ = ["Cached", "Iteration", "LoopReducer", "LoopState"]


@dataclass
class Iteration:
    """One, so far."""

    number: int
    began: float
    end: float | None = None
    distance: float | None = None
    shuffled: int = 0  #: bytes that reduce tasks fetched
    by_step: dict[int, int] = field(default_factory=dict)  #: the same, by step
    read: int = 0  #: bytes that map tasks read from the file system
    cached: dict[str, int] = field(default_factory=dict)  #: bytes read from caches, by cache
    reloaded: dict[str, int] = field(default_factory=dict)  #: bytes loaded again, by cache
    #: By step and partition: the machine whose reduce task completed.
    places: dict[tuple[int, int], str] = field(default_factory=dict)
    #: By cache, step and partition (or file): who wrote, read or reloaded it, by the event's kind.
    uses: dict[tuple[str, int, Any], dict[str, str]] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """As a row of a table."""
        return {
            "iteration": self.number,
            "seconds": None if self.end is None else self.end - self.began,
            "shuffled": self.shuffled,
            **{f"shuffled, step {step}": size for step, size in sorted(self.by_step.items())},
            "map input": self.read,
            "from caches": sum(self.cached.values()),
            "loaded again": sum(self.reloaded.values()),
            "distance": self.distance,
        }


@dataclass(frozen=True)
class Cached:
    """A cache that is there."""

    machine: str
    bytes: int
    iteration: int  #: in which it was written


@dataclass
class LoopState(JobState):
    """A loop so far; tasks are those of the stage that runs, or ran last."""

    iteration: int = 0
    step: int = 0
    steps: int = 1
    iterations: list[Iteration] = field(default_factory=list)
    #: By cache, step and partition (or file).
    caches: dict[tuple[str, int, Any], Cached] = field(default_factory=dict)
    #: (when, key, cache) of each that died with its machine.
    caches_lost: list[tuple[float, tuple[str, int, Any], Cached]] = field(default_factory=list)
    stage_began: float = 0.0
    why: str = ""  #: why it ended: fix point, threshold or maximum

    @property
    def latest(self) -> Iteration | None:
        """The iteration that runs, or ran last."""
        return self.iterations[-1] if self.iterations else None


class LoopReducer(JobReducer):
    """Folds the events of the nodes of one loop."""

    def initial(self) -> LoopState:
        """Nothing yet."""
        return LoopState(Machines.known(self.known), self.prefix[:-1])

    def apply(self, state: JobState, event: Any) -> None:
        """Fold one event."""
        super().apply(state, event)
        assert isinstance(state, LoopState)
        if event.kind in ("killed", "machine_died"):
            _anew(state, event, event.data)
        handler = _HANDLERS.get(event.kind)
        if handler is not None and event.node is not None and event.node.startswith(self.prefix):
            handler(state, event, event.data)


def _stage(state: LoopState, event: Any, data: Mapping[str, Any]) -> None:
    state.iteration, state.step = data["iteration"], data["step"]
    state.steps, state.stage_began = max(state.steps, state.step), event.time
    state.M, state.R = data["M"], data["R"]
    kept = {(MAP, task): state.completed.get((MAP, task), -1) for task in data["kept"]}
    state.completed, state.committed = kept, {}
    if state.step == 1:
        state.iterations.append(Iteration(state.iteration, event.time))


def _finished(state: LoopState, event: Any, data: Mapping[str, Any]) -> None:
    if (latest := state.latest) is not None:
        latest.end, latest.distance = event.time, data["distance"]
        state.why = data["end"]


def _shuffled(state: LoopState, event: Any, data: Mapping[str, Any]) -> None:
    if (latest := state.latest) is not None:
        latest.shuffled += data["bytes"]
        latest.by_step[state.step] = latest.by_step.get(state.step, 0) + data["bytes"]


def _read(state: LoopState, event: Any, data: Mapping[str, Any]) -> None:
    if (latest := state.latest) is not None:
        latest.read += data["bytes"]


def _place(state: LoopState, event: Any, data: Mapping[str, Any]) -> None:
    if (latest := state.latest) is not None:
        latest.places[state.step, data["task"]] = event.machine


def _cache(state: LoopState, event: Any, data: Mapping[str, Any]) -> None:
    key = data["cache"], data.get("step", 0), data.get("partition", data.get("key"))
    latest = state.latest
    if latest is not None:
        latest.uses.setdefault(key, {})[event.kind] = event.machine
    if event.kind in ("cache_read", "cache_reloaded") and latest is not None:
        into = latest.cached if event.kind == "cache_read" else latest.reloaded
        into[data["cache"]] = into.get(data["cache"], 0) + data["bytes"]
        if data["cache"] == MAPPER_INPUT:  # the same bytes are told as a map task's input, too
            latest.read -= data["bytes"]
    if event.kind != "cache_read":
        state.caches[key] = Cached(event.machine, data["bytes"], data.get("iteration", state.iteration))


def _anew(state: LoopState, event: Any, data: Mapping[str, Any]) -> None:
    dead = [(event.time, key, each) for key, each in state.caches.items() if each.machine == event.machine]
    state.caches_lost += dead
    state.caches = {key: each for key, each in state.caches.items() if each.machine != event.machine}


_HANDLERS = {
    "stage_started": _stage,
    "iteration_finished": _finished,
    "shuffled": _shuffled,
    "input_read": _read,
    "reduce_committed": _place,
    "cache_written": _cache,
    "cache_read": _cache,
    "cache_reloaded": _cache,
    "began_anew": _anew,
}
