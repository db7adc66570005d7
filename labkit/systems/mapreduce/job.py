"""The user program (§3.1): it splits the input, starts a master and workers, and waits for the master."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar

from labkit.parts.jobs import Held, waited_for
from labkit.parts.store import Files, FileSystem
from labkit.parts.store.paths import normal
from labkit.parts.system import System
from labkit.runtime.again import arguments, call, changed
from labkit.runtime.cluster import Cluster
from labkit.runtime.errors import LabError, MachineDead, Unpicklable
from labkit.runtime.node import Node
from labkit.runtime.packing import dumps
from labkit.runtime.raised import named
from labkit.runtime.script import Made, options_of, variable
from labkit.trace.fold import History

from .invariants import Report, check_job
from .model import Program
from .nodes import Master, Worker
from .options import JobAborted, JobCancelled, JobFailed, JobSpec, given
from .readers import parts_of, split, temporary
from .single import LocalJob, run_locally
from .status import Status, timeline
from .view import JobReducer, JobState

__all__ = ["Job", "MapReduce", "place_of"]


def _pickled(program: MapReduce) -> bytes:
    try:
        return dumps(program)
    except Exception as error:
        raise Unpicklable(
            f"{type(program).__name__} cannot be sent to the workers: {named(error)}. Neither its attributes "
            "nor what its functions use from outside may be a lock, an open file, a cluster or file system"
        ) from error


def place_of(program: Any) -> tuple[Cluster, FileSystem]:
    """Where a program runs. Raises ``LabError`` if it was not told, or told of two places."""
    cluster, fs, name = program.cluster, program.fs, type(program).__name__
    if cluster is None or fs is None:
        raise LabError(f"{name}() has no cluster: write {name}(cluster, fs)")
    if fs.cluster is not cluster:
        raise LabError(f"{fs!r} is not on {cluster!r}: make one with FileSystem(cluster)")
    return cluster, fs


class MapReduce(Program):
    """A program, and where it runs. See ``model.py`` for what it consists of."""

    def __init__(self, cluster: Cluster | None = None, fs: FileSystem | None = None) -> None:
        if not isinstance(cluster, Cluster | None) or not isinstance(fs, FileSystem | None):
            raise TypeError(f"{type(self).__name__}(cluster, fs), in this order; not ({cluster!r}, {fs!r})")
        self.cluster, self.fs = cluster, fs

    def run(self, inputs: str, output: str, **options: Any) -> Job:
        """Run it and wait: ``start(...).result()``; Ctrl-C cancels it."""
        return waited_for(self.start(inputs, output, **options))

    def start(
        self, inputs: str, output: str, *, master: str | None = None,
        roles: tuple[type[Master], type[Worker]] = (Master, Worker), **options: Any,
    ) -> Job:  # fmt: skip
        """Begin a job. inputs: the pattern of its files. output: a folder, which must not hold part files.

        master: its machine; the one of the file system's master unless given. options: see ``Options``.
        roles: other classes for the nodes. Raises ``FileNotFoundError``, ``FileExistsError``, ``ValueError``.
        """
        cluster, fs = place_of(self)
        asked = cluster.now
        chosen = given(type(self).__name__, options)
        folder = normal(output, folder=True)
        part = parts_of(folder, 1)[0].removesuffix("00000").lstrip("/")
        if any(path.startswith(part) for path, _ in fs._list(folder)):
            raise FileExistsError(f"{output!r} has the output of a job: fs.rm({output!r}, recursive=True)")
        files = [(path, fs.du(path)) for path in self._named(inputs)]
        return Job(self, cluster, fs, files, folder, master, roles, chosen, inputs, asked)

    def run_locally(self, inputs: str | Mapping[str, bytes | str], R: int = 1) -> LocalJob:
        """Execute it here, sequentially (§4.7). inputs: a pattern of files, or files by name."""
        if isinstance(inputs, str):
            if self.fs is None:
                raise LabError("a pattern names files of a file system; give files by name, or fs")
            inputs = {path: self.fs.cat(path) for path in self._named(inputs)}
        return run_locally(self, inputs, R)

    def _named(self, inputs: str) -> list[str]:
        """The files of a pattern, of which there is at least one."""
        assert self.fs is not None
        if not isinstance(inputs, str):
            raise TypeError(f'inputs are a pattern such as "corpus/*", not {inputs!r:.80}')
        if found := self.fs.glob(inputs.rstrip("/") or "*"):
            return found
        better = f"{inputs.rstrip('/')}/*"
        if self.fs.glob(better):
            raise FileNotFoundError(f"{inputs!r} is a folder; for the files in it write {better!r}")
        raise FileNotFoundError(f"no file is named as {inputs!r}; fs.ls() names what there is")


class Job(Held, System):
    """A job under way, or over."""

    panel_class = "MapReducePanel"
    kinds: ClassVar[Mapping[str, type[LabError]]] = {"aborted": JobAborted, "cancelled": JobCancelled}
    failed = JobFailed
    #: To whom its master has died.
    advice = "run the job again, or give checkpoint_every=1.0 and restart its machine"
    #: What folds its events.
    fold = JobReducer

    def __init__(
        self, program: MapReduce, cluster: Cluster, fs: FileSystem, files: list[tuple[str, int]],
        output: str, master: str | None, roles: tuple[type[Master], type[Worker]], options: Any,
        inputs: str = "", asked: float = 0.0,
    ) -> None:  # fmt: skip
        self.cluster, self.fs, self.program = cluster, fs, program
        base = type(program).__name__.lower()
        taken = cluster.nodes
        numbers = itertools.count(1)
        self.name = next(n for i in numbers if f"{(n := f'{base}-{i}')}-master" not in taken)
        machines = [machine.name for machine in cluster.machines if machine.alive]
        if not machines:
            raise MachineDead.of_all()
        home = master or taken.get(fs.settings.master, machines[0])
        splits = tuple(split(files, options.M))
        self.spec = self._spec(options, splits, output, len(machines))
        self._begun_at(cluster.machine(home), self.spec.master, options.call_timeout)
        self._claim()
        try:
            with cluster.all_or_none():
                cluster.spawn(roles[0], self.spec, name=self.spec.master, machine=home)
                told = replace(self.spec, splits=())
                cluster.spawn_many((roles[1], (told,), {}, told.worker(m), m) for m in machines)
        except BaseException:
            fs.rm(temporary(output), recursive=True)
            raise
        self._history = History(cluster.trace, self.fold(self.name))
        self._wait()

    def _spec(self, options: Any, splits: Any, output: str, workers: int) -> JobSpec:
        """What its nodes are told."""
        return JobSpec(
            self.name, options, self.fs.settings, len(splits), splits, output, _pickled(self.program), workers
        )

    def _claim(self) -> None:
        """No other job may write into this folder, until this one ends or is aborted."""
        try:
            with self.fs.open(f"{temporary(self.spec.output)}/job", "x") as file:
                file.write(self.name)
        except FileExistsError:
            raise FileExistsError(
                f"another job writes into {self.spec.output!r}: choose another folder; if that job is over, "
                f"fs.rm({self.spec.output!r}, recursive=True)"
            ) from None

    def _may_answer(self, dead: float) -> bool:
        """§3.3: a master that lives, or can go on from a checkpoint once its machine is back."""
        may = self._same_life or self.spec.options.checkpoint_every is not None
        return may and dead <= self.fs.settings.give_up_after

    async def _lost(self, client: Node) -> Any:
        if self._may_answer(0.0):
            raise MachineDead(
                f"{self.name}: the master's machine has been dead for {self.fs.settings.give_up_after:g} s; "
                f"there is a checkpoint: cluster.restart({self._home.name!r}), and ask for the result again"
            ) from None
        with suppress(LabError, OSError):
            await Files(client, self.fs.settings).delete(temporary(self.spec.output), recursive=True)
        raise JobAborted(
            f"{self.name}: the master on {self._home.name} died, and had no checkpoint; {self.advice}"
        ) from None

    def result(self, timeout: float | None = None) -> Job:
        """Wait for the end; returns the job, which goes on after Ctrl-C. Raises ``JobFailed``
        (``JobCancelled``), ``JobAborted``, ``Timeout``; and ``MachineDead`` if the master's machine stays
        dead, though there is a checkpoint."""
        self._ended(timeout)
        return self

    @property
    def counters(self) -> dict[str, int]:
        """Counters by name: final ones, or those so far (§4.9)."""
        if self.done:
            (found,) = self._heard or self._operation.result()[1:]
        else:
            found = self.cluster.call(self.spec.master, "counters")
        return dict(found)

    @property
    def files(self) -> list[str]:
        """The names of the R output files."""
        return parts_of(self.spec.output, self.spec.options.R)

    def output(self) -> Any:
        """The pairs of all output files as a DataFrame."""
        return self.program.writer.frame(self.fs.cat(path) for path in self.files)

    def view(self, position: float | None = None) -> JobState:
        """What the trace tells of it, now or at a position in seconds."""
        state: JobState = self._history.read(position)
        return state

    def timeline(self, every: float | None = None) -> Any:
        """Figure 3: bytes per second of input, shuffle and output over time, as a DataFrame."""
        return timeline(self.view(), self.cluster.now, every)

    def status(self) -> Status:
        """The status page (§4.8)."""
        view = self.view()
        try:
            counters = self.counters
        except LabError:  # the master is dead
            counters = view.counters
        if self.done and not view.result:
            view = replace(view, result="aborted")
        return Status(view, self.cluster.now, counters)

    def check(self) -> Report:
        """The invariants, judged on the trace."""
        return check_job(self.cluster, self.name, self.fs.settings.master)

    def made(self) -> Made:
        """The file system as code, what is in it, and how the job is begun."""
        given, name = arguments(self), variable(self, "job")
        options = {"master": given["master"]} if given["master"] else {}
        options |= changed(self.spec.options)
        program = type(self.program).__name__
        files = repr(given["inputs"]), repr(given["output"])
        then = (
            f"fs_again.put_all_of({name}.fs)",
            f"again.run(max(0.0, {given['asked']!r} - again.now))",
            f"job_again = {call(f'{program}(again, fs_again).start', options, *files)}",
        )
        lacks = f"the class {program} and your files; {name} is the job in this notebook"
        begun = self.cluster.trace.filter(kind="job_started")
        others = any(event.data["job"] != self.name for event in begun)
        notes = ("Other jobs are left out, so tasks may be on other machines.",) if others else ()
        return Made("labkit.parts.store", "fs_again", "FileSystem", options_of(self.fs), lacks, notes, then)

    def reset(self) -> None:
        """The same job once more, on the same cluster begun anew, with what was put into its file system."""
        made = [path for path, _ in arguments(self)["files"] if path not in self.fs.given]
        if made:
            raise LabError(f"{made[0]!r} was not put there, a job wrote it; run the cells that make it again")
        self.fs.reset()
        self.__init__(*self._made[0], **self._made[1])  # type: ignore[misc]

    def _in_short(self) -> str:
        view = self.view()
        state = view.result or "under way"
        maps, reduces = f"{view.done('map')}/{view.M}", f"{view.done('reduce')}/{view.R}"
        return f"job {self.name}: {state}, {maps} maps, {reduces} reduces"
