"""Planted mistakes: roles that break one rule of the paper each, which ``job.check()`` must catch.

``Dryad(cluster, fs, roles=MISTAKES["both duplicates count"])``
"""

from __future__ import annotations

from collections.abc import Sequence

from .messages import Input, Order, Outcome, Select
from .nodes import Daemon, JobManager
from .nodes.daemon import Sizes, Written
from .nodes.here import JobHere
from .plan import Link
from .running import At, Component, Execution, JobGraph, ProcessRecord

__all__ = ["MISTAKES"]


class BothCount(JobManager):
    """A second execution that succeeds counts, too."""

    def _cancel(self, execution: Execution, result: str = "cancelled") -> None:
        """Leaves duplicates running."""
        if (
            execution.component.chosen is None
            and execution.state == "running"
            and not self._any_failed(execution)
        ):
            return
        super()._cancel(execution, result)

    def _any_failed(self, execution: Execution) -> bool:
        return all(each.number not in self.processes for each in execution.processes)

    def _succeeded(self, process: ProcessRecord, outcome: Outcome) -> None:
        execution = process.execution
        chosen = execution.component.chosen
        if chosen is None:
            super()._succeeded(process, outcome)
            return
        execution.sizes.update(outcome.sizes)
        execution.component.running.remove(execution)
        self._ended(process, "ok")
        self._selected(execution)


class Impatient(JobGraph):
    """Takes what runs for completed."""

    def judge(self, component: Component) -> None:
        """Ready when all that it reads has at least begun."""
        sources = [self.states[link.source].component for link in self.outside(component)]
        if all(each is None or each.chosen or each.running for each in sources):
            missing, component.missing = component.missing, 0
            super().judge(component)
            component.missing = missing
        else:
            super().judge(component)


class StartsEarly(JobManager):
    """A vertex starts while a file that it reads is still being written."""

    async def start(self) -> None:
        """With the other graph."""
        self.graph = Impatient(self.job.plan)
        await super().start()

    def execute(self, component: Component, places: Sequence[At], why: str) -> None:
        """And look at its readers."""
        super().execute(component, places, why)
        for reader in self.graph.readers(component):
            self.graph.judge(reader)

    def _input(self, link: Link, execution: Execution) -> Input:
        source = self.graph.states[link.source].component
        if source is not None and source.chosen is None:
            before = source.running[-1]
            where = before.where(link.source)
            return Input(
                "file", link.source, link.port, before.version, where.daemon, where.life, where.machine
            )
        return super()._input(link, execution)


class CountsInPart(JobManager):
    """Each process of a component counts by itself, though pipes join them."""

    def _succeeded(self, process: ProcessRecord, outcome: Outcome) -> None:
        if len(process.execution.processes) > 1:
            self.emit(
                "version_selected", job=self.job.name, vertices=process.vertices, names=[],
                version=process.execution.version, bytes=0,
            )  # fmt: skip
        super()._succeeded(process, outcome)


class RenamesAtOnce(Daemon):
    """An output gets its name when it is written, before the job manager has chosen."""

    async def _keep(self, here: JobHere, order: Order, written: list[Written]) -> Sizes:
        sizes = await super()._keep(here, order, written)
        for member in order.members:
            self._select(here, Select(member.vertex, order.version))
        return sizes


class SameVersion(JobManager):
    """An execution that is done again has the number of the one before."""

    def _failed(self, process: ProcessRecord, result: str, error: str) -> None:
        process.execution.component.versions -= 1
        super()._failed(process, result, error)


MISTAKES: dict[str, tuple[type[JobManager], type[Daemon]]] = {
    "both duplicates count": (BothCount, Daemon),
    "started before its input": (StartsEarly, Daemon),
    "a component counts in part": (CountsInPart, Daemon),
    "renamed before it is chosen": (JobManager, RenamesAtOnce),
    "a version number used twice": (SameVersion, Daemon),
}
