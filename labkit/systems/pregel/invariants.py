"""What must hold of every job, judged on its trace (SYSTEMS.md §13(f)); on both engines.

================  ==========================================================================================
Barrier           no partition computes superstep S+1 before all have computed S
DeliveredOnce     what a partition reads in S+1 is what the others have sent to it in S, each message once
NextSuperstep     an aggregator shows in S+1 what the values given in S reduce to
Deterministic     a superstep that is computed again sends what it has sent before
Program           what the program's ``holds`` says of a value and the one before; a combiner commutes
================  ==========================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labkit.parts.checks import Findings, whole
from labkit.runtime.cluster import Cluster

from .reductions import Aggregator, same

__all__ = ["Replay", "Report", "check_job"]


@dataclass
class Report(Findings):
    """What replaying a job found."""

    supersteps: int = 0
    computations: int = 0

    def __str__(self) -> str:
        return "\n".join(self.lines({"superstep": self.supersteps, "computation": self.computations}))


class Replay:
    """Judges the events of one job, in their order."""

    def __init__(self, name: str, aggregators: dict[str, Aggregator]) -> None:
        self.prefix, self.aggregators = f"{name}-", aggregators
        self.report = Report()
        self.partitions = 0
        #: By partition and superstep, as computed last: messages by partition, digest, values given.
        self.sent: dict[tuple[int, int], dict[int, int]] = {}
        self.digests: dict[tuple[int, int], int] = {}
        self.given: dict[tuple[int, int], dict[str, Any]] = {}
        self.next: dict[int, int] = {}  #: by partition: the superstep that it computes next
        self.epoch = 0
        self.places: list[str] = []
        self.kept: set[int] = set()

    def apply(self, event: Any) -> None:
        """One event."""
        if event.node is not None and event.node.startswith(self.prefix):
            handler = getattr(self, f"on_{event.kind}", None)
            if handler is not None:
                handler(event, event.data)

    def on_job_started(self, event: Any, data: Any) -> None:
        """How many partitions there are."""
        self.partitions = data["partitions"]
        self.next = dict.fromkeys(range(self.partitions), 0)

    def on_partitions_assigned(self, event: Any, data: Any) -> None:
        """From now on what is older counts only in partitions that stay as they are."""
        self.epoch, self.places = data["epoch"], data["places"]
        behind = range(self.partitions) if data["behind"] is None else data["behind"]
        self.kept = set(range(self.partitions)) - set(behind)

    def on_partition_restored(self, event: Any, data: Any) -> None:
        """It goes on from a checkpoint."""
        if self._is_where_it_belongs(event, data):
            self.next[data["partition"]] = data["superstep"]

    def on_partition_built(self, event: Any, data: Any) -> None:
        """It begins, for the first time or once more."""
        if self._is_where_it_belongs(event, data):
            self.next[data["partition"]] = 0

    def _is_where_it_belongs(self, event: Any, data: Any) -> bool:
        """A worker that has stood still, and counts as failed, goes on with what it was doing: void."""
        return bool(event.node == self.places[data["partition"]])

    def on_partition_computed(self, event: Any, data: Any) -> None:
        """One superstep of a partition."""
        self.report.computations += 1
        p, S = data["partition"], data["superstep"]
        late = data["epoch"] < self.epoch
        if late and (p not in self.kept or event.node != self.places[p]):
            return  # void: its worker has not heard yet that all go back, or that it counts as failed
        behind = [each for each, superstep in self.next.items() if superstep < S]
        if behind and not late:
            told = f"partition {p} computed superstep {S}, and partition {behind[0]} had not computed {S - 1}"
            self.report.broken(event, "Barrier", told)
        if S > 0:
            due = {
                source: sent[p]
                for source in range(self.partitions)
                if (sent := self.sent.get((source, S - 1))) and sent.get(p)
            }
            came = {source: count for source, count in data["came"].items() if count}
            if came != due:
                told = f"partition {p} read {came} messages by partition in superstep {S}; {due} were sent"
                self.report.broken(event, "DeliveredOnce", told)
        before = self.digests.setdefault((p, S), data["digest"])
        if before != data["digest"]:
            told = f"partition {p} sent something else when it computed superstep {S} again"
            self.report.broken(event, "Deterministic", told)
        self.next[p] = max(self.next.get(p, 0), S + 1)
        self.sent[p, S] = dict(data["to"])
        self.given[p, S] = data["given"]
        if S > 0:
            self._told(event, data, S)

    def _told(self, event: Any, data: Any, S: int) -> None:
        """What it was told of aggregators is what was given in the superstep before."""
        for name, aggregator in self.aggregators.items():
            if aggregator.sticky:
                continue
            given = [g[name] for p in range(self.partitions) if name in (g := self.given.get((p, S - 1), {}))]
            if not given or not all(isinstance(each, (int, float)) for each in given):
                continue
            wanted = given[0]
            for each in given[1:]:
                wanted = aggregator.reduce(wanted, each)
            seen = data["seen"].get(name)
            if not isinstance(seen, (int, float)) or not same(seen, wanted):
                told = f"partition {data['partition']} saw {name} = {seen} in superstep {S}, not {wanted}"
                self.report.broken(event, "NextSuperstep", told)

    def on_superstep_finished(self, event: Any, data: Any) -> None:
        """Counted."""
        self.report.supersteps += 1

    def on_invariant_broken(self, event: Any, data: Any) -> None:
        """What workers have seen."""
        where = f"partition {data['partition']}, superstep {data['superstep']}"
        self.report.broken(event, "Program", f"{where}: {data['detail']}")


def check_job(cluster: Cluster, name: str, aggregators: dict[str, Aggregator]) -> Report:
    """The report on a job. Raises ``LabError`` if the trace has forgotten its beginning."""
    replay = Replay(name, aggregators)
    for event in whole(cluster):
        replay.apply(event)
    return replay.report
