"""The user's program: Dryad on a cluster, and the jobs that are submitted to it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar

from labkit.parts.jobs import Held
from labkit.parts.options import whole
from labkit.parts.store import Files, FileSystem
from labkit.parts.store.paths import normal
from labkit.parts.system import OnCluster, System
from labkit.runtime.again import Repeatable, arguments, call, changed
from labkit.runtime.cluster import Cluster
from labkit.runtime.errors import LabError, MachineDead
from labkit.runtime.node import Node
from labkit.runtime.packing import dumps
from labkit.runtime.script import Made, options_of, variable
from labkit.trace.fold import History

from .graphs import Graphs
from .invariants import Report, check_job
from .model import Graph, Vertex
from .nodes import Daemon, JobManager, NameServer
from .options import JobCancelled, JobDeadlocked, JobFailed, JobSpec, JobTerminated, given
from .plan import plan
from .records import ITEMS, loaded, parts_of, stored, temporary
from .single import run_locally
from .stages import StageManager
from .view import JobReducer, JobState

__all__ = ["Dryad", "Job"]


class Dryad(OnCluster, Repeatable):
    """A name server, and a daemon on each machine that is alive; jobs are submitted to it.

    racks: so many, of neighbouring machines; or by machine the name of its rack.
    """

    def __init__(
        self, cluster: Cluster, fs: FileSystem, racks: int | Mapping[str, str] = 1,
        roles: tuple[type[JobManager], type[Daemon]] = (JobManager, Daemon),
    ) -> None:  # fmt: skip
        if not isinstance(cluster, Cluster) or not isinstance(fs, FileSystem):
            raise TypeError(f"Dryad(cluster, fs), in this order; not ({cluster!r}, {fs!r})")
        if fs.cluster is not cluster:
            raise LabError(f"{fs!r} is not on {cluster!r}: make one with FileSystem(cluster)")
        self.cluster, self.fs, self._roles = cluster, fs, roles
        machines = [machine.name for machine in cluster.machines if machine.alive]
        if not machines:
            raise MachineDead.of_all()
        if not isinstance(racks, Mapping):
            number = min(whole(1, write=2)("racks", racks), len(machines))
            racks = {m: f"rack-{1 + i * number // len(machines)}" for i, m in enumerate(machines)}
        self.racks = dict(racks)
        taken = cluster.nodes
        names = (f"dryad{i}" for i in itertools.count(1))
        self.name = next(name for name in names if f"{name}-names" not in taken)
        self._home = taken.get(fs.settings.master, machines[0])
        with cluster.all_or_none():
            server = cluster.spawn(NameServer, self.racks, name=f"{self.name}-names", machine=self._home)
            cluster.spawn_many(
                (roles[1], (server, fs.settings), {}, f"{self.name}-{machine}", machine)
                for machine in machines
            )

    def put(self, path: str, partitions: Sequence[Sequence[Any]]) -> Graph:
        """Keep items in the file system, a file for each partition; returns them as ``input`` does."""
        folder = normal(path, folder=True)
        for number, items in enumerate(partitions):
            self.fs.put(f"{folder}/{number:05}{ITEMS}", stored(items))
        return self.input(f"{folder}/*")

    def input(self, pattern: str, name: str = "input") -> Graph:
        """§3.1: a vertex for each file, which is an output of the graph, no input. Items of a text are
        its lines. Raises ``FileNotFoundError``."""
        found = self.fs.glob(pattern)
        if not found:
            raise FileNotFoundError(f"no file is named as {pattern!r}; fs.ls() names what there is")
        files = [Vertex(name, None, path) for path in found]
        return Graph(files, (), (), files)

    def submit(
        self, graph: Graph, *, output: str | None = None,
        channels: Mapping[tuple[str, str], str] | None = None,
        managers: Mapping[str, StageManager | Sequence[StageManager]] | None = None,
        machine: str | None = None, **options: Any,
    ) -> Job:  # fmt: skip
        """Begin a job. channels: ``{("distribute", "sort"): "pipe"}``. managers: stage managers by stage.
        output: a folder for it. machine: the job manager's. options: see ``Options``.

        Raises ``ValueError``, ``TypeError``, ``Unpicklable``, ``FileExistsError``.
        """
        return Job(self, graph, output, channels, managers, machine, **options)

    def run_locally(self, graph: Graph) -> list[list[Any]]:
        """The same on one thread, here: the items of each output."""
        files = {each.file: self._items(each.file) for each in graph.vertices if each.program is None}
        return run_locally(graph, files)

    def _items(self, path: str) -> list[Any]:
        data = self.fs.cat(path)
        return loaded(data) if path.endswith(ITEMS) else data.decode("utf8", "surrogatepass").splitlines()

    def _in_short(self) -> str:
        return f"Dryad with {len(self.racks)} computers in {len(set(self.racks.values()))} racks"


class Job(Held, System):
    """A job under way, or over."""

    panel_class = "DryadPanel"
    kinds: ClassVar[Mapping[str, type[LabError]]] = {
        "terminated": JobTerminated, "cancelled": JobCancelled, "deadlocked": JobDeadlocked,
    }  # fmt: skip
    failed = JobFailed

    def __init__(
        self, dryad: Dryad, graph: Graph, output: str | None = None,
        channels: Mapping[tuple[str, str], str] | None = None,
        managers: Mapping[str, StageManager | Sequence[StageManager]] | None = None,
        machine: str | None = None, **options: Any,
    ) -> None:  # fmt: skip
        cluster = dryad.cluster
        self.cluster, self.dryad, self.drawn = cluster, dryad, graph
        self._asked = cluster.now
        chosen = given(options)
        planned = plan(graph, channels)
        listed: dict[str, list[StageManager]] = {}
        for stage, each in (managers or {}).items():
            if stage not in graph.stages():
                raise ValueError(f"managers[{stage!r}]: the stages are {', '.join(graph.stages())}")
            listed[stage] = [each] if isinstance(each, StageManager) else list(each)
        taken = cluster.nodes
        names = (f"job{i}" for i in itertools.count(1))
        self.name = next(name for name in names if f"{name}-manager" not in taken)
        folder = normal(output or self.name, folder=True)
        files = dryad.fs._list(folder)
        if any(path.startswith(f"{folder}/part-") for path, _ in files):
            raise FileExistsError(f"{folder!r} has the output of a job: fs.rm({folder!r}, recursive=True)")
        self._claim(folder)
        self.files = parts_of(folder, len(planned.outputs))
        self.spec = JobSpec(
            self.name, chosen, planned, dryad.fs.settings, folder, f"{dryad.name}-names",
            dumps(listed) if listed else b"",
        )  # fmt: skip
        home = cluster.machine(machine or dryad._home)
        self._begun_at(home, self.spec.manager, chosen.call_timeout)
        self._history = History(cluster.trace, JobReducer(self.name))
        try:
            cluster.spawn(dryad._roles[0], self.spec, name=self.spec.manager, machine=self._home.name)
        except BaseException:
            dryad.fs.rm(temporary(folder), recursive=True)
            raise
        self._wait()

    def _claim(self, folder: str) -> None:
        """No other job may write into this folder, until this one ends."""
        try:
            with self.dryad.fs.open(f"{temporary(folder)}/job", "x") as file:
                file.write(self.name)
        except FileExistsError:
            raise FileExistsError(
                f"another job writes into {folder!r}: choose another folder; if that job is over, "
                f"fs.rm({folder!r}, recursive=True)"
            ) from None

    async def _lost(self, client: Node) -> Any:
        with suppress(LabError, OSError):
            await Files(client, self.dryad.fs.settings).delete(temporary(self.spec.output), recursive=True)
        return (("terminated", f"the job manager on {self._home.name} died; submit the job again"),)

    def result(self, timeout: float | None = None) -> Job:
        """Wait for the end; returns the job. Raises ``JobFailed`` (``JobCancelled``, ``JobDeadlocked``),
        ``JobTerminated``, ``Timeout``. Ctrl-C cancels the job."""
        try:
            self._ended(timeout)
        except KeyboardInterrupt:
            with suppress(LabError):
                self.cancel()
            raise
        return self

    def output(self) -> list[list[Any]]:
        """The items of each output, in the graph's order; waits for the end, and raises as ``result``."""
        self.result()
        return [loaded(self.dryad.fs.cat(path)) for path in self.files]

    def graph(self) -> Graphs:
        """The graph as drawn, as it ran, and its skeleton."""
        return Graphs(self.drawn, self.view())

    def view(self, position: float | None = None) -> JobState:
        """What the trace tells of it, now or at a position in seconds."""
        state: JobState = self._history.read(position)
        return state

    def check(self) -> Report:
        """The invariants, judged on the trace."""
        return check_job(self.cluster, self.name)

    def made(self) -> Made:
        """File system and Dryad as code, and how the job is begun."""
        told = arguments(self)
        options = changed(self.spec.options)
        if told.get("channels"):
            options["channels"] = told["channels"]
        if told.get("output"):
            options["output"] = told["output"]
        name = variable(self, "job")
        dryad_options = {"racks": self.dryad.racks} if len(set(self.dryad.racks.values())) > 1 else {}
        then = (
            "from labkit.systems.dryad import Dryad",
            f"fs_again.put_all_of({name}.dryad.fs)",
            f"dryad_again = {call('Dryad', dryad_options, 'again', 'fs_again')}",
            f"again.run(max(0.0, {self._asked!r} - again.now))",
            f"job_again = {call('dryad_again.submit', options, f'{name}.drawn')}",
        )
        lacks = f"your files and stage managers; {name} is the job in this notebook"
        return Made(
            "labkit.parts.store", "fs_again", "FileSystem", options_of(self.dryad.fs), lacks, (), then
        )

    def reset(self) -> None:
        """The same job once more, on the same cluster begun anew."""
        dryad = self.dryad
        dryad.fs.reset()
        dryad.__init__(*dryad._made[0], **dryad._made[1])  # type: ignore[misc]
        self.__init__(*self._made[0], **self._made[1])  # type: ignore[misc]

    def _in_short(self) -> str:
        view = self.view()
        return (
            f"job {self.name}: {view.result or 'under way'}, {view.completed_count} of {view.total} vertices"
        )
