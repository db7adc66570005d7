"""What must hold of every job, judged on its trace (SYSTEMS.md §8(f)); on both engines.

==================  ==========================================================================
Acyclic             the graph is, and stays so when it is refined
OneVersion          an output comes from one version: there is no second one while the first counts
OneName             what has its name, or is committed, is the version that was chosen
InputsReady         a vertex starts when the versions it reads have been chosen, and reads these
RunTogether         all processes of a component that pipes join run at the same time
FailTogether        when one of them fails, none of that version counts
Versions            the executions of a component have the version numbers 1, 2, 3 …
SkeletonStays       without the vertices that were inserted, the stages are joined as before
==================  ==========================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labkit.parts.checks import Findings, whole
from labkit.runtime.cluster import Cluster

from .plan import Link

__all__ = ["Report", "check_job"]


@dataclass
class Report(Findings):
    """What replaying a job found."""

    processes: int = 0
    reads: int = 0

    def __str__(self) -> str:
        return "\n".join(self.lines({"process": self.processes, "read": self.reads}))


class _Replay:
    def __init__(self, name: str) -> None:
        self.name = name
        self.report = Report()
        self.stage_of: list[str] = []
        self.files: set[int] = set()
        self.links: dict[tuple[int, int], Link] = {}
        self.group: dict[int, tuple[int, ...]] = {}  #: by vertex its component
        self.skeleton: set[tuple[str, str]] = set()
        self.inserted: set[str] = set()
        self.chosen: dict[int, int] = {}
        self.ever: dict[tuple[int, int], None] = {}  #: chosen at some time
        self.versions: dict[tuple[int, ...], int] = {}
        self.bad: dict[tuple[tuple[int, ...], int], str] = {}
        self.processes: dict[int, tuple[tuple[int, ...], int]] = {}  #: vertices, version
        self.running: dict[tuple[tuple[int, ...], int], set[int]] = {}

    def apply(self, event: Any) -> None:
        if event.node is None or event.data.get("job") != self.name:
            return
        handler = getattr(self, f"on_{event.kind}", None)
        if handler is not None:
            handler(event, event.data)

    def component(self, vertex: int) -> tuple[int, ...]:
        return self.group.get(vertex, (vertex,))

    def on_job_started(self, event: Any, data: Any) -> None:
        self.stage_of = [stage for stage, _ in data["vertices"]]
        self.files = {i for i, (_, is_file) in enumerate(data["vertices"]) if is_file}
        self.links = {(link[0], link[1]): Link(*link) for link in data["links"]}
        for some in data["components"]:
            self.group |= dict.fromkeys(some, tuple(some))
        self.skeleton = self._skeleton()
        self._acyclic(event)

    def _skeleton(self) -> set[tuple[str, str]]:
        """The stages' graph, in which an inserted stage is a way through."""
        pairs = {(self.stage_of[link.source], self.stage_of[link.target]) for link in self.links.values()}
        for stage in sorted(self.inserted):
            before = {a for a, b in pairs if b == stage and a != stage}
            after = {b for a, b in pairs if a == stage and b != stage}
            pairs = {pair for pair in pairs if stage not in pair} | {(a, b) for a in before for b in after}
        return pairs

    def _acyclic(self, event: Any) -> None:
        missing = dict.fromkeys(range(len(self.stage_of)), 0)
        after: dict[int, list[int]] = {}
        for link in self.links.values():
            missing[link.target] += 1
            after.setdefault(link.source, []).append(link.target)
        found = [each for each, count in missing.items() if not count]
        for each in found:
            for target in after.get(each, ()):
                missing[target] -= 1
                if not missing[target]:
                    found.append(target)
        if len(found) < len(self.stage_of):
            self.report.broken(event, "Acyclic", f"{len(self.stage_of) - len(found)} vertices are on a cycle")

    def on_vertex_inserted(self, event: Any, data: Any) -> None:
        self.inserted.add(data["stage"])
        self._refined(event, data)

    def on_vertex_replicated(self, event: Any, data: Any) -> None:
        self._refined(event, data)

    def _refined(self, event: Any, data: Any) -> None:
        self.stage_of.append(data["stage"])
        for link in data["links"]:
            self.links[link[0], link[1]] = Link(*link)._replace(target=data["vertex"])
        for link in data["targets"]:
            self.links[link[0], link[1]] = Link(*link)
        self._acyclic(event)
        if self._skeleton() != self.skeleton:
            self.report.broken(event, "SkeletonStays", f"{data['name']} joins other stages than before")

    def on_process_started(self, event: Any, data: Any) -> None:
        self.report.processes += 1
        vertices, version = tuple(data["vertices"]), data["version"]
        component = self.component(vertices[0])
        running = self.running.setdefault((component, version), set())
        last = self.versions.get(component, 0)
        again = any(set(self.processes[each][0]) & set(vertices) for each in running)
        if again or version not in (last, last + 1):
            self.report.broken(event, "Versions", f"{data['names']} version {version} comes after {last}")
        self.versions[component] = max(last, version)
        running.add(data["process"])
        self.processes[data["process"]] = vertices, version
        for link in self.links.values():
            outside = link.source not in component and link.source not in self.files
            if link.target in vertices and outside and link.source not in self.chosen:
                self.report.broken(
                    event, "InputsReady", f"{data['names']} begins before vertex {link.source} is completed"
                )

    def on_process_running(self, event: Any, data: Any) -> None:
        for vertex, source, version, _, _, _ in data["reads"]:
            self.report.reads += 1
            if source not in self.files and (source, version) not in self.ever:
                self.report.broken(
                    event, "InputsReady", f"vertex {vertex} reads version {version} of {source}: not chosen"
                )

    def on_process_ended(self, event: Any, data: Any) -> None:
        vertices, version = self.processes.get(data["process"], ((), 0))
        if not vertices:
            return
        component = self.component(vertices[0])
        together = self.running[component, version]
        if data["result"] != "ok":
            self.bad[component, version] = data["result"]
            if any(self.chosen.get(vertex) == version for vertex in component):
                self.report.broken(
                    event, "FailTogether", f"{data['names']} failed, and version {version} counts in part"
                )
        elif sum(len(self.processes[each][0]) for each in together) < len(component):
            self.report.broken(
                event, "RunTogether", f"{data['names']} ended before all that pipes join to it had begun"
            )

    def on_version_selected(self, event: Any, data: Any) -> None:
        version = data["version"]
        for vertex in data["vertices"]:
            if vertex in self.chosen:
                self.report.broken(
                    event,
                    "OneVersion",
                    f"vertex {vertex}: {version} chosen, and {self.chosen[vertex]} still counts",
                )
            self.chosen[vertex] = version
            self.ever[vertex, version] = None
        component = self.component(data["vertices"][0])
        if (component, version) in self.bad:
            self.report.broken(
                event, "FailTogether", f"{data['names']} version {version} counts, though a part of it failed"
            )

    def on_output_lost(self, event: Any, data: Any) -> None:
        for vertex in data["vertices"]:
            self.chosen.pop(vertex, None)

    def on_output_renamed(self, event: Any, data: Any) -> None:
        if (data["vertex"], data["version"]) not in self.ever:
            self.report.broken(
                event,
                "OneName",
                f"version {data['version']} of vertex {data['vertex']} has its name: not chosen",
            )

    def on_output_committed(self, event: Any, data: Any) -> None:
        if self.chosen.get(data["vertex"]) != data["version"]:
            self.report.broken(
                event, "OneName", f"{data['path']} is of version {data['version']}, which does not count"
            )


def check_job(cluster: Cluster, name: str) -> Report:
    """The report on a job. Raises ``LabError`` if the trace has forgotten its beginning."""
    replay = _Replay(name)
    for event in whole(cluster):
        replay.apply(event)
    return replay.report
