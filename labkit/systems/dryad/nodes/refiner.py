"""What stage managers may do with a job: ask about it, and change its graph (§3.6).

Only what has not begun is changed: a vertex whose inputs are files can be given others until it runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from labkit.runtime.errors import LabError

from ..channels import FILE
from ..placement import place
from ..plan import Link, Planned, packed
from ..running import At, Component, Execution, JobGraph
from ..stages import StageManager

__all__ = ["Refiner"]


class Job(Protocol):
    """What the job manager has that is asked for and changed here."""

    job: Any
    graph: JobGraph
    stage_of: dict[str, list[int]]
    programs: list[bytes]
    managers: dict[str, list[StageManager]]
    computers: dict[str, At]

    @property
    def now(self) -> float:
        """Seconds."""

    def emit(self, kind: str, /, **data: Any) -> None:
        """An event of the job manager's."""

    def names(self, vertices: Sequence[int]) -> list[str]:
        """Vertices for people."""

    def room(self, gang: bool) -> dict[str, int]:
        """Free slots by daemon."""

    def execute(self, component: Component, places: Sequence[At], why: str) -> None:
        """Begin an execution."""


class Refiner:
    """See ``stages.Refining``."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.added: dict[str, Planned] = {}  #: stages that managers have added

    @property
    def now(self) -> float:
        """Seconds since the cluster began."""
        return self._job.now

    def vertices(self, stage: str) -> list[int]:
        """All of a stage."""
        return list(self._job.stage_of.get(stage, ()))

    def links(self, vertex: int) -> Sequence[Link]:
        """Its output channels."""
        return tuple(self._job.graph.states[vertex].outputs)

    def inputs(self, vertex: int) -> Sequence[Link]:
        """Its input channels."""
        return tuple(self._job.graph.states[vertex].inputs)

    def _chosen(self, vertex: int) -> Execution:
        component = self._job.graph.states[vertex].component
        if component is None or component.chosen is None:
            raise LabError(f"{self._job.graph.states[vertex].name} is not completed")
        return component.chosen

    def size(self, link: Link) -> int:
        """Bytes of a channel."""
        return self._chosen(link.source).sizes[link.source][link.port]

    def where(self, vertex: int) -> tuple[str, str]:
        """Machine and rack."""
        computer = self._chosen(vertex).where(vertex)
        return computer.machine, computer.rack

    def begun(self, vertex: int) -> bool:
        """Whether it runs or has completed."""
        component = self._job.graph.states[vertex].component
        return component is None or bool(component.running) or component.chosen is not None

    def insert(self, links: list[Link], program: Any, stage: str, manager: StageManager) -> int:
        """A vertex between these links' sources and their one target."""
        self._refinable(links)
        if stage not in self.added:
            self._job.programs.append(packed(program, stage))
            self.added[stage] = Planned(stage, len(self._job.programs) - 1)
        if manager not in self._job.managers.setdefault(stage, []):
            self._job.managers[stage].append(manager)
        state = self._job.graph.insert(links, self.added[stage])
        self._refined("vertex_inserted", state.number, links)
        return state.number

    def replicate(self, links: list[Link]) -> int:
        """Another vertex like these links' target."""
        self._refinable(links)
        target = self._job.graph.states[links[0].target]
        if target.place is not None or not target.outputs:
            raise LabError(f"{target.name} writes an output of the job: nobody would merge several of them")
        state = self._job.graph.replicate(links)
        self._refined("vertex_replicated", state.number, links)
        return state.number

    def _refinable(self, links: list[Link]) -> None:
        targets = dict.fromkeys(link.target for link in links)
        if len(targets) != 1 or any(link.kind != FILE for link in links):
            raise LabError(f"a refinement takes files that one vertex reads, not {links!r:.200}")
        if self.begun(links[0].target):
            raise LabError(
                f"{self._job.graph.states[links[0].target].name} has begun: its inputs stay as they are"
            )

    def _refined(self, what: str, number: int, links: list[Link]) -> None:
        state = self._job.graph.states[number]
        self._job.stage_of.setdefault(state.stage, []).append(number)
        self._job.emit(
            what, job=self._job.job.name, vertex=number, stage=state.stage, name=state.name,
            sources=[link.source for link in links], target=self._job.graph.states[links[0].target].name,
            links=[tuple(link) for link in links],
            targets=[tuple(link) for link in state.outputs],
        )  # fmt: skip

    def running(self, stage: str) -> list[tuple[int, float]]:
        """Vertices with exactly one execution under way that is in one process."""
        found = []
        for vertex in self._job.stage_of.get(stage, ()):
            component = self._job.graph.states[vertex].component
            if component is not None and len(component.vertices) == len(component.running) == 1:
                found.append((vertex, self._job.now - component.running[0].began))
        return found

    def seconds(self, stage: str) -> Sequence[float]:
        """What successful executions took."""
        return self._job.graph.seconds.get(stage, ())

    def duplicate(self, vertex: int) -> bool:
        """A second execution on another computer, if one is free."""
        component = self._job.graph.states[vertex].component
        assert component is not None
        if component.missing:  # what it reads was lost meanwhile
            return False
        room = self._job.room(False)
        for execution in component.running:
            for process in execution.processes:
                room[process.at.computer.daemon] = 0
        found = place(self._job.graph, component, self._job.computers.values(), room, False)
        if found is None:
            return False
        self._job.emit(
            "duplicate_started", job=self._job.job.name, vertex=vertex, names=self._job.names([vertex])
        )
        self._job.execute(component, found, "duplicate")
        return True
