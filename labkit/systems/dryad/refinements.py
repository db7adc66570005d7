"""Refinements of the graph while the job runs (§3.6, Figures 6 and 7): stage managers that see where data has
come to be, which nobody knew when the graph was drawn.

Both group the channels that one vertex is to read by the computer, or the rack, on which they were written,
as soon as they are: data is made smaller before it leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labkit.parts.options import number, one_of, whole

from .channels import FILE
from .model import Graph
from .plan import Link
from .stages import Refining, StageManager

__all__ = ["AggregationTree", "PartialAggregation"]

MACHINE, RACK = "machine", "rack"
Place = tuple[int, str]  #: a target, and the name of a machine or rack


class Grouping(StageManager):
    """Groups channels by their one target and by where they are. most_inputs, most_bytes: a group that has so
    many is complete. Whoever subclasses it chooses groups: ``complete``, and ``merge`` to be told of one."""

    def __init__(self, most_inputs: int = 100, most_bytes: float = 1e9) -> None:
        self.most_inputs: int = whole(2, write=100)("most_inputs", most_inputs)
        self.most_bytes: float = number(above=0, write=1e9)("most_bytes", most_bytes)
        self.groups: dict[Place, list[Link]] = {}
        self.left: dict[int, None] = {}  #: vertices that are not completed yet

    def begin(self, job: Refining, stage: str) -> None:
        """All of the stage are to come."""
        self.left = dict.fromkeys(job.vertices(stage))

    def place(self, job: Refining, vertex: int) -> str:
        """Which group a completed vertex is in."""
        return job.where(vertex)[0]

    def complete(self, job: Refining, links: Sequence[Link]) -> bool:
        """Whether a group waits for no more."""
        return len(links) >= self.most_inputs or sum(job.size(link) for link in links) >= self.most_bytes

    def merge(self, job: Refining, place: Place, links: list[Link]) -> None:
        """A group is complete, or no other vertex will come."""
        raise NotImplementedError

    def completed(self, job: Refining, vertex: int) -> None:
        """Its channels are there: add each to its group."""
        if vertex not in self.left:  # executed again: its channels have their places
            return
        del self.left[vertex]
        for link in job.links(vertex):
            if link.kind == FILE and not job.begun(link.target):
                place = link.target, self.place(job, vertex)
                self.groups.setdefault(place, []).append(link)
                if self.complete(job, self.groups[place]):
                    self.merge(job, place, self.groups.pop(place))
                if self.all_there(job, link.target):
                    self.finish(job, link.target)

    def all_there(self, job: Refining, target: int) -> bool:
        """Whether a target waits for no other vertex."""
        return not any(link.source in self.left for link in job.inputs(target))

    def finish(self, job: Refining, target: int) -> None:
        """Its groups as they are: no more will come."""
        for place in [place for place in self.groups if place[0] == target]:
            self.merge(job, place, self.groups.pop(place))


class AggregationTree(Grouping):
    """Figure 6: before a vertex reads all of a stage, an aggregating vertex reads those on one computer, then
    one reads those of a rack.

    program: a graph of one vertex which aggregates, such as ``reduce(add)``: the result must not depend on
    how inputs are grouped. levels: "machine", "rack", or both in this order.
    """

    def __init__(
        self, program: Graph, levels: Sequence[str] = (MACHINE, RACK), most_inputs: int = 100,
        most_bytes: float = 1e9,
    ) -> None:  # fmt: skip
        super().__init__(most_inputs, most_bytes)
        if not isinstance(program, Graph) or len(program) != 1 or program.vertices[0].program is None:
            raise TypeError(f"AggregationTree({program!r:.80}): a graph of one vertex; write reduce(add)")
        self.program: Any = program.vertices[0].program
        self.name = program.vertices[0].stage
        rule = one_of((MACHINE, RACK), says="levels are machine and rack")
        self.levels = [rule("levels", each) for each in levels]
        self.next: AggregationTree | None = None  #: of the vertices that this one inserts

    def begin(self, job: Refining, stage: str) -> None:
        """The level above waits for the same vertices: it is done when this one is."""
        super().begin(job, stage)
        if len(self.levels) > 1:
            self.next = AggregationTree.__new__(AggregationTree)
            vars(self.next).update(vars(self), levels=self.levels[1:], groups={}, next=None)

    def place(self, job: Refining, vertex: int) -> str:
        """By this level."""
        machine, rack = job.where(vertex)
        return machine if self.levels[0] == MACHINE else rack

    def finish(self, job: Refining, target: int) -> None:
        """If this level has nothing to insert for it, the next one may have."""
        super().finish(job, target)
        if self.next is not None and self.all_there(job, target):
            self.next.finish(job, target)

    def merge(self, job: Refining, place: Place, links: list[Link]) -> None:
        """A vertex between them and their target; one channel goes on to the next level as it is."""
        if len(links) < 2:
            if self.next is not None:
                above = place[0], self.next.place(job, links[0].source)
                self.next.groups.setdefault(above, []).append(links[0])
            return
        stage = f"{self.name}@{self.levels[0]}"
        inserted = job.insert(links, self.program, stage, self.next or StageManager())
        if self.next is not None:
            self.left[inserted] = None


class PartialAggregation(Grouping):
    """Figure 7: the vertex that would read all of a stage is replicated, and each replica reads one group.

    It must not be an output of the job: who reads it then reads all of them.
    """

    def merge(self, job: Refining, place: Place, links: list[Link]) -> None:
        """A replica for this group, unless it is the last: that one stays with the vertex itself."""
        if len(job.inputs(place[0])) > len(links):
            job.replicate(links)
