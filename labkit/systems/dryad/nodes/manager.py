"""The job manager (§2.1, §3.2): it holds the graph, and says which vertex runs where. Data never flows
through it.

====================  ====================================================================================
what happens          what follows
====================  ====================================================================================
all inputs are there  a vertex is executed on a free computer, near them; vertices that pipes join all at once
an execution succeeds its version is chosen, and the outputs get their names; others of it are cancelled
it fails, or its      the whole component is executed again, with the next version; too often: the job has
computer is silent    failed
an input is gone      the version that had written it has failed, too: it is executed again first
a vertex is slow      a duplicate, by its stage's manager
pipes need more       nothing starts: the job is stuck, and given up after a while
computers
the manager dies      the job is terminated: daemons that do not hear from it kill their vertices
====================  ====================================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labkit.parts.jobs import Mastering
from labkit.parts.members import Silence
from labkit.parts.store import Files
from labkit.runtime.copying import loads_keeping_classes
from labkit.runtime.errors import LabError, Timeout
from labkit.runtime.loop import traceback_text
from labkit.runtime.node import every, rpc
from labkit.runtime.raised import named
from labkit.runtime.sync import wait_for

from ..channels import FIFO, FILE, PIPE
from ..events import EVENTS
from ..messages import STORE, Cancel, Computer, Input, Member, Order, Outcome, Output, Select
from ..options import JobSpec
from ..placement import hindrance, place
from ..plan import Link
from ..records import parts_of, temporary
from ..running import At, Component, Execution, JobGraph, ProcessRecord
from ..stages import Duplicates, StageManager
from .refiner import Refiner

__all__ = ["JobManager"]

#: Messages that a daemon gets at once at most.
BATCH = 200


class JobManager(Mastering):
    """See the module's text."""

    events = EVENTS

    def __init__(self, job: JobSpec) -> None:
        self.job, self.options = job, job.options
        self.check_every = job.options.timeout / 5
        self.graph = JobGraph(job.plan)
        self.programs = list(job.plan.programs)
        self.stage_of: dict[str, list[int]] = {}
        self.computers: dict[str, At] = {}
        self.processes: dict[int, ProcessRecord] = {}  #: that run
        self.numbers = 0
        self.joined = 0
        self.managers: dict[str, list[StageManager]] = {}
        self.refiner = Refiner(self)
        self.committing = 0
        self.stuck: float | None = None  #: since when nothing can begin
        self.judged = 0.0  #: when that was last looked at
        self.store = Files(self, job.files)
        self._begin_job(job.options.call_timeout / 2)

    async def start(self) -> None:
        """Begin; but a job whose manager has died is terminated."""
        if self.disk.get("began"):
            self.error = ("terminated", "its job manager died")
            self.over.set()
            self.cleaned.set()
            return
        self.disk["began"] = True
        self.disk.sync()
        states = self.graph.states
        for state in states:
            self.stage_of.setdefault(state.stage, []).append(state.number)
        self.silence = Silence(self.options.timeout, self.now)
        self.managers = self.chosen_managers()
        self.emit(
            "job_started", job=self.job.name, output=self.job.output, stages=list(self.stage_of),
            vertices=[(state.stage, state.planned.program < 0) for state in states],
            links=[tuple(link) for state in states for link in state.outputs],
            outputs=[state.number for state in states if state.place is not None],
            components=[each.vertices for each in self.graph.components if len(each.vertices) > 1],
        )  # fmt: skip
        try:
            await self._find_files()
        except (LabError, OSError) as error:
            self._fail("failed", f"its input cannot be located: {named(error)}")
            return
        for stage in list(self.managers):
            self._call(stage, "begin", stage)
        self.spawn(self._keep_enumerating())

    def chosen_managers(self) -> dict[str, list[StageManager]]:
        """By stage: duplicates, and those that the user gave."""
        given = loads_keeping_classes(self.job.managers) if self.job.managers else {}
        rule = self.options.rule
        usual = {stage: [Duplicates(rule)] if rule is not None else [] for stage in self.stage_of}
        return {stage: [*usual[stage], *given.get(stage, ())] for stage in self.stage_of}

    async def _find_files(self) -> None:
        """Where the partitions of the input are: a preference of those who read them."""
        for state in self.graph.states:
            if state.component is None:
                for part in await self.store.locations(state.planned.file):
                    for machine in part.machines:
                        state.held[machine] = state.held.get(machine, 0) + part.length

    def _call(self, stage: str, what: str, *args: Any) -> None:
        """Tell a stage's managers; the job fails with one that does."""
        for manager in self.managers.get(stage, ()):
            try:
                getattr(manager, what)(self.refiner, *args)
            except Exception as error:
                text = f"{named(error)}\n{traceback_text(error)}"
                self._fail("failed", f"{type(manager).__name__}.{what} of {stage!r} failed with {text}")

    # computers ------------------------------------------------------------

    async def _keep_enumerating(self) -> None:
        """Ask the name server which computers there are."""
        while not self.over.is_set():
            try:
                found = await self.call(self.job.name_server, "enumerate", timeout=self.options.call_timeout)
            except LabError:
                found = ()
            for computer in found:
                known = self.computers.get(computer.daemon)
                if known is not None and known.computer.life != computer.life:
                    self._lost(known, "it has restarted")
                    known = None
                if known is None:
                    self._join(computer)
            self._schedule()
            await self.sleep(self.options.ping_every)

    def _join(self, computer: Computer) -> None:
        at = self.computers[computer.daemon] = At(computer, self.now, self.joined)
        self.joined += 1
        self._joined(computer)
        self.spawn(self._keep_telling(at))

    def _joined(self, computer: Computer) -> None:
        where = {"machine": computer.machine, "rack": computer.rack}
        self.emit("computer_joined", job=self.job.name, daemon=computer.daemon, **where)

    async def _keep_telling(self, at: At) -> None:
        """One message after the other to each daemon: all that there is to say, or nothing, as a sign of
        life. One that is not answered is said again as it was: the daemon may have heard it."""
        name, options = at.computer.daemon, self.options
        said: tuple[Any, ...] | None = None
        while self.computers.get(name) is at and not self.over.is_set():
            if said is None:
                batch = tuple(at.outbox[:BATCH])
                del at.outbox[:BATCH]
                said = batch, None if batch else tuple(at.running)
            try:
                answer = await self.call(
                    name, "tell", self.job.name, self.name, options, self.job.output, at.computer.life,
                    at.sent + 1, *said, timeout=options.call_timeout,
                )  # fmt: skip
            except LabError:
                await self.sleep(options.ping_every / 10)
                continue
            if self.computers.get(name) is not at:
                return
            if not answer:
                self._lost(at, "it has restarted" if answer is None else "it has ended the job")
                return
            at.heard = self.now
            at.sent += 1
            said = None
            if at.lost:
                at.lost = False
                self._joined(at.computer)
                self._schedule()
            if not at.outbox:
                try:
                    await wait_for(at.wake.wait(), options.ping_every)
                except Timeout:
                    pass

    def _tell(self, at: At, what: Any) -> None:
        at.outbox.append(what)
        at.wake.fire()

    @every("check_every")
    def check(self) -> None:
        """Who is silent; what has become slow; whether nothing can go on."""
        living = {name: at for name, at in self.computers.items() if not at.lost}
        silent = self.silence.look(living, self.now)
        if self.over.is_set() or not self.managers:
            return
        for name, seconds in silent:
            self._lost(self.computers[name], f"silent for {seconds:.1f} s")
        for stage in list(self.managers):
            self._call(stage, "timer")
        self._schedule()

    def _lost(self, at: At, why: str) -> None:
        """What runs there has failed. What it has written may be there still: who cannot read it will say
        so."""
        name = at.computer.daemon
        known = self.computers.get(name) is at
        if known and "silent" not in why:
            del self.computers[name]  # it can join again
        if at.lost or self.over.is_set():
            return
        at.lost = True
        if known:
            self.emit("computer_lost", job=self.job.name, daemon=name, machine=at.machine, why=why)
        at.outbox.clear()
        for process in list(at.running.values()):
            if process.number in self.processes:
                self._failed(process, "lost", why)

    # executions ------------------------------------------------------------

    def room(self, gang: bool) -> dict[str, int]:
        """Free slots by daemon, for a component that pipes join or for one vertex."""
        room = self.options.slots + (0 if gang else self.options.queue)
        return {name: 0 if at.lost else room - len(at.running) for name, at in self.computers.items()}

    def _schedule(self) -> None:
        """Start what is ready, as far as there is room: first what can run where it would best run."""
        if self.over.is_set():
            return
        for picky in (True, False):
            room = {False: self.room(False), True: self.room(True)}
            for component in list(self.graph.ready.values()):
                gang = len(component.processes) > 1
                if not any(free > 0 for free in room[gang].values()):
                    if gang:
                        continue
                    break
                found = place(self.graph, component, self.computers.values(), room[gang], picky)
                if found is not None:
                    self.execute(component, found, component.why)
                    for at in found:
                        for each in room.values():
                            each[at.computer.daemon] -= 1
        self._judge_stuck()

    def _judge_stuck(self) -> None:
        """The deadlock that pipes bring: something is ready, nothing runs, and nothing can. A time in which
        the job manager itself stood still does not count: it has heard of no computer."""
        since, self.judged = self.judged, self.now
        if self.stuck is not None and self.now - since > self.options.timeout / 2:
            self.stuck += self.now - since
        if self.processes or self.committing or not self.graph.ready:
            self.stuck = None
            return
        component = next(iter(self.graph.ready.values()))
        living = [at for at in self.computers.values() if not at.lost]
        why = hindrance(self.graph, component, living, self.options.slots)
        if self.stuck is None:
            self.stuck = self.now
            if living:
                self.emit("deadlocked", job=self.job.name, vertices=component.vertices, why=why)
        elif self.now - self.stuck > self.options.stuck_after:
            more = "give more computers or slots, or carry some of these channels by files"
            self._fail("deadlocked", f"nothing can begin: {why}; {more}")

    def execute(self, component: Component, places: Sequence[At], why: str) -> None:
        """A new execution record, with the next version number."""
        component.versions += 1
        execution = Execution(component, component.versions, why, self.now)
        component.running.append(execution)
        self.graph.judge(component)
        for vertices, at in zip(component.processes, places, strict=True):
            self.numbers += 1
            process = ProcessRecord(self.numbers, execution, vertices, at)
            execution.processes.append(process)
            self.processes[process.number] = at.running[process.number] = process
        for process in execution.processes:
            self.emit(
                "process_started", job=self.job.name, process=process.number, vertices=process.vertices,
                names=self.names(process.vertices), version=execution.version, why=why,
                machine=process.at.machine, rack=process.at.computer.rack,
            )  # fmt: skip
            members = tuple(self._member(vertex, execution) for vertex in process.vertices)
            gang = len(execution.processes) > 1
            self._tell(process.at, Order(process.number, execution.version, members, gang))

    def names(self, vertices: Sequence[int]) -> list[str]:
        """Vertices for people."""
        return [self.graph.states[vertex].name for vertex in vertices]

    def _member(self, vertex: int, execution: Execution) -> Member:
        state = self.graph.states[vertex]
        inputs = tuple(self._input(link, execution) for link in state.inputs)
        outputs = [self._output(link, execution) for link in state.outputs]
        if state.place is not None:
            outputs.append(Output(STORE, len(outputs), path=self._own_path(vertex, execution.version)))
        return Member(vertex, state.stage, state.planned.program, inputs, tuple(outputs))

    def _input(self, link: Link, execution: Execution) -> Input:
        source = self.graph.states[link.source]
        if source.component is None:
            return Input(STORE, link.source, link.port, path=source.planned.file)
        if link.kind != FILE:
            return Input(link.kind, link.source, link.port, execution.version)
        chosen = source.component.chosen
        assert chosen is not None, f"{source.name} is read before it is completed"
        where, size = chosen.where(link.source), chosen.sizes[link.source][link.port]
        return Input(
            FILE, link.source, link.port, chosen.version, where.daemon, where.life, where.machine, size=size
        )

    def _output(self, link: Link, execution: Execution) -> Output:
        if link.kind == PIPE:
            where = execution.where(link.target)
            return Output(PIPE, link.port, where.daemon, where.life, where.machine)
        return Output(FIFO if link.kind == FIFO else FILE, link.port)

    def _own_path(self, vertex: int, version: int) -> str:
        return f"{temporary(self.job.output)}/{vertex}.{version}"

    @rpc
    def binary(self, program: int) -> bytes:
        """A vertex's program, for a daemon that runs it for the first time."""
        return self.programs[program]

    @rpc
    def report(self, daemon: str, life: int, outcomes: tuple[Outcome, ...]) -> bool:
        """How processes ended."""
        at = self.computers.get(daemon)
        if self.over.is_set() or at is None or at.computer.life != life:
            return True
        for outcome in outcomes:
            process = self.processes.get(outcome.process)
            if process is None:
                continue  # not wanted any more, or heard before
            if outcome.result == "ok":
                self._succeeded(process, outcome)
            else:
                if outcome.result == "read_error":
                    self._unreadable(outcome.lost)
                self._failed(process, outcome.result, outcome.error)
        self._schedule()
        self._check_over()
        return True

    def _ended(self, process: ProcessRecord, result: str) -> None:
        del self.processes[process.number]
        process.at.running.pop(process.number, None)
        self.emit(
            "process_ended", job=self.job.name, process=process.number, vertices=process.vertices,
            names=self.names(process.vertices), version=process.execution.version, result=result,
            machine=process.at.machine, why=process.execution.why,
        )  # fmt: skip

    def _succeeded(self, process: ProcessRecord, outcome: Outcome) -> None:
        """When all processes of an execution have, its version is chosen, and the others are cancelled."""
        execution, process.done = process.execution, True
        execution.sizes.update(outcome.sizes)
        self._ended(process, "ok")
        if not all(each.done for each in execution.processes):
            return
        component = execution.component
        for other in [each for each in component.running if each is not execution]:
            self._cancel(other)
        self.graph.choose(execution, self.now)
        self._selected(execution)
        for vertex in component.vertices:
            if self.graph.states[vertex].place is not None:
                self.committing += 1
                self.spawn(self._commit(vertex, execution.version))
        for vertex in component.vertices:
            self._call(self.graph.states[vertex].stage, "completed", vertex)

    def _selected(self, execution: Execution) -> None:
        vertices = execution.component.vertices
        self.emit(
            "version_selected", job=self.job.name, vertices=vertices, version=execution.version,
            names=self.names(vertices), bytes=sum(map(sum, execution.sizes.values())),
        )  # fmt: skip
        for process in execution.processes:
            for vertex in process.vertices:
                if any(link.kind == FILE for link in self.graph.states[vertex].outputs):
                    self._tell(process.at, Select(vertex, execution.version))

    async def _commit(self, vertex: int, version: int) -> None:
        """An output of the job gets its name in the file system."""
        place = self.graph.states[vertex].place
        assert place is not None
        path = parts_of(self.job.output, place + 1)[place]
        try:
            await self.store.rename(self._own_path(vertex, version), path, exclusive=True)
        except FileExistsError:
            pass  # the answer to a first rename was lost
        except (LabError, OSError) as error:
            self._fail("failed", f"{path} does not get its name: {named(error)}")
            return
        self.emit("output_committed", job=self.job.name, vertex=vertex, version=version, path=path)
        self.committing -= 1
        self._check_over()

    # failures ------------------------------------------------------------

    def _cancel(self, execution: Execution, result: str = "cancelled") -> None:
        """Nobody wants its processes any more."""
        execution.state = "cancelled"
        execution.component.running.remove(execution)
        for process in execution.processes:
            if process.number in self.processes:
                self._tell(process.at, Cancel(process.number))
                self._ended(process, result)

    def _failed(self, process: ProcessRecord, result: str, error: str) -> None:
        """§3.2: a vertex has failed, and with it all that pipes and FIFOs join to it."""
        execution = process.execution
        component = execution.component
        first = (error.splitlines() or ["?"])[0]
        if result == "failed":
            names = "+".join(self.names(process.vertices))
            self.emit("vertex_failed", job=self.job.name, name=names, version=execution.version, error=first)
        self._ended(process, result)
        self._cancel(execution)
        execution.state = "failed"
        for vertex in component.vertices:
            self._call(self.graph.states[vertex].stage, "failed", vertex)
        if result != "read_error":  # that is the fault of what it reads
            component.failures += 1
        component.why = "rerun"
        if component.failures > self.options.max_reruns:
            all_of_it = self.names(component.vertices)
            what = "+".join(all_of_it[:3])
            what += f" and {len(all_of_it) - 3} more joined to them" if all_of_it[3:] else ""
            times = f"{component.failures} times" if component.failures > 1 else "once"
            self._fail("failed", f"{what} failed {times}, the last time with {error}")
            return
        self.graph.judge(component)

    def _unreadable(self, lost: Sequence[tuple[int, int]]) -> None:
        """§3.2: a channel could not be read: the version that had written it has failed, and is executed
        again; whether its own inputs are still there, it will find out."""
        for vertex, version in lost:
            component = self.graph.states[vertex].component
            if component is None or component.chosen is None or component.chosen.version != version:
                continue
            self.emit(
                "output_lost", job=self.job.name, vertex=vertex, vertices=component.vertices,
                name=self.graph.states[vertex].name, version=version,
            )  # fmt: skip
            component.failures += 1
            self.graph.unchoose(component)
            if component.failures > self.options.max_reruns:
                name = self.graph.states[vertex].name
                self._fail("failed", f"the output of {name} was lost {component.failures} times")

    # the end ------------------------------------------------------------

    def _check_over(self) -> None:
        if not self.graph.left and not self.committing and not self.over.is_set():
            self._end("ok")

    def _end(self, result: str) -> None:
        for process in list(self.processes.values()):
            self._ended(process, "cancelled")
        self.over.set()
        self.emit("job_finished", job=self.job.name, result=result)
        for name in self.computers:
            self.send(name, "job_over", self.job.name)
        self.spawn(self._clean())

    async def _clean(self) -> None:
        try:
            await self.store.delete(temporary(self.job.output), recursive=True)
        except (LabError, OSError):  # there is none, or nobody who could
            pass
        self.cleaned.set()
