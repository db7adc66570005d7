"""The job manager's graph (§3.2): the state and history of every vertex, as its executions come and go.

A *component* is what is executed together, and fails together: the vertices that pipes and FIFOs join, most
often one. Each try is an *execution* with a version number, and consists of *processes*, one for all vertices
that FIFOs join. Among several executions of a component one is chosen.

=================  ================================================================================
a component is     when
=================  ================================================================================
waiting            ``missing`` > 0: some of its input files are not there
ready              all are there, and it neither runs nor is chosen
running            it has executions that run
chosen             one has succeeded; ``unchoose``: its outputs are gone, it is ready or waiting again
=================  ================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from labkit.runtime.sync import Signal

from .channels import FIFO, PIPE
from .messages import Computer
from .plan import Link, Plan, Planned, groups

__all__ = ["At", "Component", "Execution", "JobGraph", "ProcessRecord", "State"]


class At:
    """A computer as the job manager knows it."""

    def __init__(self, computer: Computer, now: float, number: int) -> None:
        self.computer, self.heard, self.number = computer, now, number
        self.running: dict[int, ProcessRecord] = {}
        self.outbox: list[Any] = []  #: messages that it has not taken yet
        self.sent = 0  #: the number of the last message
        self.lost = False
        self.wake = Signal()  #: there is something to tell it

    @property
    def machine(self) -> str:
        """Its machine."""
        return self.computer.machine


class State:
    """A vertex."""

    def __init__(self, number: int, planned: Planned) -> None:
        self.number, self.planned = number, planned
        self.inputs: list[Link] = []
        self.outputs: list[Link] = []
        self.place: int | None = None  #: of an output of the job: which
        self.component: Component | None = None  #: None: it is a file
        self.held: dict[str, int] = {}  #: of a file: bytes by machine
        self.inserted = False  #: by a stage manager, while the job ran

    @property
    def stage(self) -> str:
        """Its stage."""
        return self.planned.stage

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.stage}.{self.number}"


class ProcessRecord:
    """Some vertices of an execution, in one process on a computer."""

    def __init__(self, number: int, execution: Execution, vertices: list[int], at: At) -> None:
        self.number, self.execution, self.vertices, self.at = number, execution, vertices, at
        self.computer = at.computer  #: in the life in which it began
        self.done = False


class Execution:
    """An execution record: one version of a component."""

    def __init__(self, component: Component, version: int, why: str, now: float) -> None:
        self.component, self.version, self.why, self.began = component, version, why, now
        self.processes: list[ProcessRecord] = []
        self.sizes: dict[int, tuple[int, ...]] = {}
        self.state = "running"  #: or succeeded, failed, cancelled

    def where(self, vertex: int) -> Computer:
        """On which computer a vertex of it ran."""
        return next(each.computer for each in self.processes if vertex in each.vertices)


class Component:
    """See the module's text."""

    def __init__(self, number: int, vertices: list[int], processes: list[list[int]]) -> None:
        self.number, self.vertices, self.processes = number, vertices, processes
        self.running: list[Execution] = []
        self.chosen: Execution | None = None
        self.versions = 0
        self.failures = 0
        self.missing = 0
        self.why = "first"  #: of its next execution


class JobGraph:
    """All vertices, links and components; which are ready."""

    def __init__(self, plan: Plan) -> None:
        self.states = [State(number, planned) for number, planned in enumerate(plan.vertices)]
        for link in plan.links:
            self.states[link.source].outputs.append(link)
            self.states[link.target].inputs.append(link)
        for place, vertex in enumerate(plan.outputs):
            self.states[vertex].place = place
        self.components: list[Component] = []
        self.ready: dict[int, Component] = {}  #: by number, in the order in which they became so
        self.seconds: dict[str, list[float]] = {}  #: by stage, of successful executions
        self.left = 0  #: components that are not chosen
        run = [state.number for state in self.states if state.planned.program >= 0]
        for some in groups(run, plan.links, (PIPE, FIFO)):
            own = [link for vertex in some for link in self.states[vertex].outputs] if len(some) > 1 else ()
            self._component(some, groups(some, own, (FIFO,)))
        for component in self.components:
            self.count(component)

    def _component(self, vertices: list[int], processes: list[list[int]]) -> Component:
        component = Component(len(self.components), vertices, processes)
        self.components.append(component)
        self.left += 1
        for vertex in vertices:
            self.states[vertex].component = component
        return component

    # what is ready ------------------------------------------------------------

    def outside(self, component: Component) -> Iterable[Link]:
        """Its input links that come from other components: files, all of them."""
        for vertex in component.vertices:
            for link in self.states[vertex].inputs:
                if self.states[link.source].component is not component:
                    yield link

    def count(self, component: Component) -> None:
        """Count what it lacks, anew: the graph has changed around it."""
        sources = (self.states[link.source].component for link in self.outside(component))
        component.missing = sum(source is not None and source.chosen is None for source in sources)
        self.judge(component)

    def judge(self, component: Component) -> None:
        """Whether it is ready."""
        if component.missing or component.chosen is not None or component.running:
            self.ready.pop(component.number, None)
        else:
            self.ready.setdefault(component.number, component)

    def readers(self, component: Component) -> Iterable[Component]:
        """The components that its links lead to, once for each link."""
        for vertex in component.vertices:
            for link in self.states[vertex].outputs:
                reader = self.states[link.target].component
                if reader is not None and reader is not component:
                    yield reader

    def choose(self, execution: Execution, now: float) -> None:
        """This version counts."""
        component = execution.component
        component.chosen, execution.state = execution, "succeeded"
        component.running.remove(execution)
        self.left -= 1
        stage = self.states[component.vertices[0]].stage
        self.seconds.setdefault(stage, []).append(now - execution.began)
        self.judge(component)
        for reader in self.readers(component):
            reader.missing -= 1
            self.judge(reader)

    def unchoose(self, component: Component) -> None:
        """What its chosen version has written is gone."""
        assert component.chosen is not None
        component.chosen.state, component.chosen = "failed", None
        component.why = "upstream"
        self.left += 1
        self.judge(component)
        for reader in self.readers(component):
            reader.missing += 1
            self.judge(reader)

    # refinement ------------------------------------------------------------

    def add(self, planned: Planned) -> State:
        """A vertex more, without edges."""
        state = State(len(self.states), planned)
        state.inserted = True
        self.states.append(state)
        self._component([state.number], [[state.number]])
        return state

    def insert(self, links: list[Link], planned: Planned) -> State:
        """A vertex between some sources and the one target of these links: it reads what the target would
        have read, and the target reads it instead, at the place of the first."""
        target = self.states[links[0].target]
        state = self.add(planned)
        into = [link._replace(target=state.number) for link in links]
        out = Link(state.number, 0, target.number, links[0].kind)
        for old, new in zip(links, into, strict=True):
            outputs = self.states[old.source].outputs
            outputs[outputs.index(old)] = new
        state.inputs, state.outputs = into, [out]
        at = target.inputs.index(links[0])
        target.inputs[at] = out
        target.inputs = [link for link in target.inputs if link not in links[1:]]
        self._recount(state, target)
        return state

    def replicate(self, links: list[Link]) -> State:
        """Another vertex like the one target of these links: it takes them over, and writes to all that the
        target writes to."""
        target = self.states[links[0].target]
        state = self.add(target.planned)
        into = [link._replace(target=state.number) for link in links]
        for old, new in zip(links, into, strict=True):
            outputs = self.states[old.source].outputs
            outputs[outputs.index(old)] = new
        target.inputs = [link for link in target.inputs if link not in links]
        state.inputs = into
        state.outputs = [link._replace(source=state.number) for link in target.outputs]
        for link in state.outputs:
            self.states[link.target].inputs.append(link)
        self._recount(state, target, *(self.states[link.target] for link in state.outputs))
        return state

    def _recount(self, *states: State) -> None:
        for state in states:
            assert state.component is not None
            self.count(state.component)
