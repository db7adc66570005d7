"""The daemon (§2.1): on each computer one, which creates processes on behalf of the job manager.

It runs processes, keeps their file channels on this machine's disk, serves them to readers, and carries pipes
to other daemons. What it has belongs to this *life*: a restarted daemon begins with nothing. When a job's
manager is silent for too long, the job is terminated, and its vertices are killed.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from labkit.parts.buckets import Buckets
from labkit.parts.retry import insist
from labkit.parts.store import Files, Settings
from labkit.runtime.copying import loads_keeping_classes
from labkit.runtime.errors import Definite, LabError, Timeout
from labkit.runtime.loop import traceback_text
from labkit.runtime.node import Node, every, rpc
from labkit.runtime.raised import named
from labkit.runtime.sync import gather, wait_for

from ..channels import FIFO, FILE, PIPE, ROOM, Channel
from ..events import EVENTS
from ..messages import STORE, Cancel, Input, Member, Order, Outcome, Output, Select
from ..options import Options
from ..process import Process, VertexFailed, joined
from ..records import items_of
from .here import JobHere, Key, Pipe, Running, Unreadable

__all__ = ["Daemon"]

#: Times that a fetch is tried before its channel counts as unreadable.
TRIES = 3
Ports = dict[int, list[Channel]]  #: by vertex the channels of its output ports
Written = tuple[int, list[bytes]]  #: a vertex, and the bytes of its output ports
Sizes = tuple[tuple[int, tuple[int, ...]], ...]
#: What ``fetch`` says of an output that will have its name in a moment.
LATER = "later"
#: What ``pipe`` says when there is no reader any more.
NOBODY = "nobody"


class Daemon(Node):
    """See the module's text."""

    events = EVENTS

    def __init__(self, name_server: str, files: Settings, register_every: float = 0.5) -> None:
        self.name_server = name_server
        self.register_every = register_every
        self.store = Files(self, files)
        self.jobs: dict[str, JobHere] = {}
        self.dropped: dict[str, None] = {}
        self.life = 0
        self.looked = 0.0

    async def start(self) -> None:
        """Throw away what a former life has left on the disk, and register."""
        self.files.clear()
        self.life, self.looked = self.random.getrandbits(62), self.now
        self.outputs = Buckets(self.files, f"{self.life}-")
        await self.register()

    @every("register_every")
    async def register(self) -> None:
        """Tell the name server that it lives; end the jobs whose manager is silent."""
        self._excuse(self.register_every)
        for job in list(self.jobs.values()):
            if self.now - job.heard > 2 * job.options.timeout:
                self.emit("job_dropped", job=job.name)
                self._drop(job)
        try:
            await self.call(self.name_server, "register", self.name, self.life, self.machine, timeout=1.0)
        except LabError:
            pass  # soon again
        self._excuse(1.0)

    def _excuse(self, usual: float) -> None:
        """A process that has itself stood still has heard no manager."""
        since, self.looked = self.looked, self.now
        if self.now - since > usual + 1.0:
            for job in self.jobs.values():
                job.heard = self.now

    # what the job manager says ------------------------------------------------------------

    @rpc
    def tell(
        self, job: str, manager: str, options: Options, output: str, life: int, number: int,
        what: tuple[Any, ...], wanted: tuple[int, ...] | None,
    ) -> bool | None:  # fmt: skip
        """Orders, selections and cancellations, in order, each message once. wanted: the processes that the
        manager knows of; others end. None: this is another life; False: the job was ended here, and if its
        manager was only silent, the first message of all begins it anew."""
        if life != self.life:
            return None
        here = self.jobs.get(job)
        if job in self.dropped or (here is None and number > 1):
            return False
        if here is None:
            here = self.jobs[job] = JobHere(job, manager, options, output, self.now)
            self.spawn(self._keep_reporting(here))
        here.heard = self.now
        if number <= here.told:
            return True
        here.told = number
        for each in what:
            if isinstance(each, Order):
                here.running[each.process] = running = Running(each)
                here.waiting.append(running)
            elif isinstance(each, Select):
                self._select(here, each)
            elif isinstance(each, Cancel):
                self._end(here, each.process)
        if wanted is not None:
            for process in [process for process in here.running if process not in wanted]:
                self._end(here, process)
        self._begin(here)
        return True

    @rpc
    def job_over(self, job: str) -> None:
        """The job has ended: channels are kept until then (§2.2)."""
        self.dropped[job] = None
        if job in self.jobs:
            self._drop(self.jobs[job])

    def _drop(self, here: JobHere) -> None:
        here.over = True
        here.reported.fire()
        for process in list(here.running):
            self._end(here, process)
        for name in self.outputs.names():
            if name.startswith(f"{here.name}/"):
                self.outputs.remove(name)
        del self.jobs[here.name]

    def _begin(self, here: JobHere) -> None:
        """Processes that wait, as far as there are slots."""
        while here.waiting and (here.active < here.options.slots or here.waiting[0].order.gang):
            running = here.waiting.popleft()
            if running.order.process in here.running:
                running.began = True
                here.active += 1
                running.task = self.spawn(self._run(here, running))

    def _end(self, here: JobHere, process: int) -> None:
        running = here.running.pop(process, None)
        if running is not None:
            here.active -= running.began
            running.work.end()
            if running.task is not None:
                running.task.cancel()
            if running.process is not None:
                running.process.close()
            self._close_pipes(here, running)
            self._begin(here)

    def _close_pipes(self, here: JobHere, running: Running) -> None:
        """Its pipes are closed, whoever still writes into them."""
        for member in running.order.members:
            for each in member.inputs:
                if each.kind == PIPE:
                    here.pipes.pop((each.source, each.port, each.version), None)
                    here.ended[each.source, each.port, each.version] = None

    def _select(self, here: JobHere, chosen: Select) -> None:
        """§3.2: the output files are renamed when the job manager has chosen this version."""
        own, final = f"{here.name}/{chosen.vertex}.{chosen.version}", f"{here.name}/{chosen.vertex}"
        if here.selected.get(chosen.vertex) == chosen.version or own not in self.outputs:
            return
        self.outputs.remove(final)
        self.outputs.rename(own, final)
        here.selected[chosen.vertex] = chosen.version
        self.emit("output_renamed", job=here.name, vertex=chosen.vertex, version=chosen.version)
        here.renamed.fire()

    async def _keep_reporting(self, here: JobHere) -> None:
        """Outcomes to the job manager, several in a message, until it has heard."""
        while not here.over:
            if not here.outcomes:
                await here.reported.wait()
                continue
            some = tuple(here.outcomes)
            try:
                await self.call(
                    here.manager, "report", self.name, self.life, some, timeout=here.options.call_timeout
                )
            except LabError:
                await self.sleep(here.options.ping_every)
                continue
            del here.outcomes[: len(some)]

    # a process ------------------------------------------------------------

    async def _run(self, here: JobHere, running: Running) -> None:
        """Read its files, run it, keep its outputs, report."""
        order = running.order
        try:
            outcome = await self._execute(here, running)
        except Unreadable as error:
            outcome = Outcome(order.process, "read_error", "", (), error.lost)
        except VertexFailed as error:
            stage = next(each.stage for each in order.members if each.vertex == error.vertex)
            where = f"in {stage}.{error.vertex}: " if len(order.members) > 1 else ""
            outcome = Outcome(order.process, "failed", f"{where}{error}")
        except (LabError, OSError) as error:
            outcome = Outcome(order.process, "failed", named(error))
        except Exception as error:  # or the process would never end
            outcome = Outcome(order.process, "failed", f"{named(error)}\n{traceback_text(error)}")
        if here.running.pop(order.process, None) is not None:
            here.active -= 1
            self._close_pipes(here, running)
            here.outcomes.append(outcome)
            here.reported.fire()
            self._begin(here)

    async def _execute(self, here: JobHere, running: Running) -> Outcome:
        order = running.order
        for member in order.members:
            await self._program(here, member)
        read, size = await self._read(here, order)
        process = running.process = Process(here.options.chunk)
        outputs = self._connect(here, running, process, read)
        reads = [
            (member.vertex, each.source, each.version, each.port, len(read[member.vertex, i]), each.machine)
            for member in order.members
            for i, each in enumerate(member.inputs)
            if each.kind in (FILE, STORE)
        ]
        self.emit("process_running", job=here.name, process=order.process, reads=reads)
        pipes = [
            self.spawn(self._pump(here, running, member, each, outputs[member.vertex][i]))
            for member in order.members
            for i, each in enumerate(member.outputs)
            if each.kind == PIPE
        ]
        try:
            written = await self._steps(here, running, process, size, outputs)
            sizes = await self._keep(here, order, written)
            await gather(*pipes)
        finally:
            for each in pipes:
                each.cancel()
        return Outcome(order.process, "ok", "", sizes)

    async def _program(self, here: JobHere, member: Member) -> None:
        """§2.1: the first time that a vertex is executed on a computer, its binary is sent to it;
        later it is executed from a cache."""
        if member.program not in here.programs:
            data = await insist(
                self, here.manager, "binary", member.program, every=here.options.call_timeout,
                wanted=lambda: not here.over,
            )  # fmt: skip
            here.programs[member.program] = loads_keeping_classes(data)
            self.emit("binary_fetched", job=here.name, stage=member.stage)

    async def _read(self, here: JobHere, order: Order) -> tuple[dict[tuple[int, int], bytes], int]:
        """The bytes of all input ports that are files; one message for all of one computer's."""
        by_source: dict[tuple[str, int], list[tuple[tuple[int, int], Input]]] = {}
        read: dict[tuple[int, int], bytes] = {}
        for member in order.members:
            for i, each in enumerate(member.inputs):
                if each.kind == STORE:
                    data = await self.store.read(each.path)
                    assert isinstance(data, bytes)
                    read[member.vertex, i] = data
                elif each.kind == FILE and not each.size:
                    read[member.vertex, i] = b""
                elif each.kind == FILE:
                    by_source.setdefault((each.daemon, each.life), []).append(((member.vertex, i), each))
        found = await gather(*(self._fetch(here, *source, some) for source, some in by_source.items()))
        lost: dict[tuple[int, int], None] = {}
        for some, parts in zip(by_source.values(), found, strict=True):
            for (place, each), part in zip(some, parts, strict=True):
                if part is None:
                    lost[each.source, each.version] = None
                else:
                    read[place] = part
        if lost:
            raise Unreadable(list(lost))
        return read, sum(map(len, read.values()))

    async def _fetch(
        self, here: JobHere, daemon: str, life: int, some: list[tuple[Any, Input]]
    ) -> list[bytes | None]:
        """Channels from one computer; None for what it has not, or if it does not answer."""
        names = tuple((each.source, each.version, each.port) for _, each in some)
        failures = 0
        while failures < TRIES:
            try:
                if daemon == self.name:
                    found = await self.fetch(here.name, life, names)
                else:
                    timeout = here.options.call_timeout
                    found = await self.call(daemon, "fetch", here.name, life, names, timeout=timeout)
            except (Timeout, Definite):
                failures += 1
                continue
            if found != LATER:
                return list(found)
        return [None] * len(some)

    @rpc
    async def fetch(self, job: str, life: int, names: tuple[Key, ...]) -> Any:
        """File channels by vertex, version and port. An output that has not got its name yet is on the way to
        it: the job manager has chosen this version before it told anybody to read it."""
        here = self.jobs.get(job)
        if life != self.life or here is None:
            return (None,) * len(names)
        for vertex, version, _ in names:
            if here.selected.get(vertex) != version and f"{job}/{vertex}.{version}" in self.outputs:
                try:
                    await wait_for(here.renamed.wait(), here.options.call_timeout / 2)
                except Timeout:
                    pass
                return LATER
        return await self.compute(
            partial(self._read_all, here, names),
            cost=lambda found: sum(len(each or b"") for each in found) * here.options.seconds_per_byte,
        )

    def _read_all(self, here: JobHere, names: tuple[Key, ...]) -> tuple[bytes | None, ...]:
        found: list[bytes | None] = []
        for vertex, version, port in names:
            there = here.selected.get(vertex) == version
            try:
                found.append(self.outputs.read(f"{here.name}/{vertex}", port) if there else None)
            except KeyError:
                found.append(None)
        return tuple(found)

    def _connect(
        self, here: JobHere, running: Running, process: Process, read: dict[tuple[int, int], bytes]
    ) -> Ports:
        """A channel at each port; a FIFO is one channel at both of its ends."""
        outputs: Ports = {}
        for member in running.order.members:
            outputs[member.vertex] = [_outgoing(each) for each in member.outputs]
        for member in running.order.members:
            inputs = []
            for i, each in enumerate(member.inputs):
                if each.kind == FIFO:
                    inputs.append(outputs[each.source][each.port])
                elif each.kind == PIPE:
                    inputs.append(self._pipe(here, (each.source, each.port, each.version)))
                else:
                    data = read[member.vertex, i]
                    channel = Channel(chunks=items_of(each.path, data) if data else ())
                    channel.closed = True
                    inputs.append(channel)
            process.add(member.vertex, here.programs[member.program], inputs, outputs[member.vertex])
        return outputs

    def _pipe(self, here: JobHere, key: Key) -> Pipe:
        if key not in here.pipes:
            here.pipes[key] = Pipe()
        return here.pipes[key]

    async def _steps(
        self, here: JobHere, running: Running, process: Process, size: int, outputs: Ports
    ) -> list[Written]:
        """Go on whenever a channel has news, until all vertices have ended; what they have written."""
        options = here.options

        def work() -> tuple[int, list[Written] | None]:
            with running.work.inside():
                items = process.step()
                return items, self._write(here, running.order, outputs) if process.done else None

        written: list[Written] | None
        start = options.seconds_per_vertex + size * options.seconds_per_byte
        while True:
            _, written = await self.compute(work, cost=partial(_cost, options, start))
            start = 0.0
            running.news.fire()
            if written is not None:
                return written
            while not process.can_go_on:
                try:
                    await wait_for(running.news.wait(), options.call_timeout)
                except Timeout:
                    if process.grow():
                        self.emit("channels_grew", job=here.name, process=running.order.process)

    def _write(self, here: JobHere, order: Order, outputs: Ports) -> list[Written]:
        """File channels to the disk, all of a vertex in one file under its version's name."""
        found = []
        for member in order.members:
            kept = [
                joined(channel) if each.kind in (FILE, STORE) else b""
                for each, channel in zip(member.outputs, outputs[member.vertex], strict=True)
            ]
            if any(each.kind == FILE for each in member.outputs):
                self.outputs.write(f"{here.name}/{member.vertex}.{order.version}", kept)
            found.append((member.vertex, kept))
        return found

    async def _keep(self, here: JobHere, order: Order, written: list[Written]) -> Sizes:
        """What is the job's output to the file system, under a name of this version; all sizes."""
        for member, (_, kept) in zip(order.members, written, strict=True):
            for each, data in zip(member.outputs, kept, strict=True):
                if each.kind == STORE:
                    await self.store.write(each.path, data)
        return tuple((vertex, tuple(map(len, kept))) for vertex, kept in written)

    # pipes ------------------------------------------------------------

    async def _pump(
        self, here: JobHere, running: Running, member: Member, output: Output, channel: Channel
    ) -> None:
        """The writer's end: chunks to the reader's daemon as they come, with one message under way."""
        key = (member.vertex, output.port, running.order.version)
        sent = size = 0
        while True:
            while not channel.chunks and not channel.closed:
                await running.news.wait()
            some = tuple(channel.chunks)[:ROOM]
            last = channel.closed and len(some) == len(channel.chunks)
            try:
                taken = await self.call(
                    output.daemon, "pipe", here.name, output.life, key, sent, some, last,
                    timeout=here.options.call_timeout,
                )  # fmt: skip
            except LabError:
                taken = None  # if its computer is dead, the job manager will end this one too
            if not taken:
                await self.sleep(here.options.ping_every / 10)
                continue
            channel.abandoned = channel.abandoned or taken == NOBODY
            for chunk in some:
                size += len(chunk)
                channel.chunks.popleft()
            sent += len(some)
            running.news.fire()
            if last:
                self.emit(
                    "pipe_closed", job=here.name, source=member.vertex, machine=output.machine,
                    port=output.port, version=running.order.version, bytes=size, chunks=sent,
                )  # fmt: skip
                return

    @rpc
    async def pipe(
        self, job: str, life: int, key: Key, sent: int, some: tuple[bytes, ...], last: bool
    ) -> bool | str:
        """Chunks of a pipe from the ``sent``-th on. False: not now; its reader is not there, or slow.
        ``NOBODY``: its reader has ended."""
        here = self.jobs.get(job)
        if life != self.life or here is None:
            return False
        if key in here.ended or (key in here.pipes and here.pipes[key].abandoned):
            return NOBODY
        reader = next((each for each in here.running.values() if _reads(each.order, key)), None)
        if reader is None:
            return False
        pipe, until = self._pipe(here, key), self.now + here.options.call_timeout / 2
        while not pipe.writable() and self.now < until:  # its writer waits for the answer, and so slows down
            try:
                await wait_for(reader.news.wait(), until - self.now)
            except Timeout:
                return False
        if sent > pipe.taken or not pipe.writable():
            return False
        for chunk in some[pipe.taken - sent :]:
            pipe.chunks.append(chunk)
            pipe.taken += 1
        pipe.closed = pipe.closed or last
        reader.news.fire()
        return True


def _cost(options: Options, start: float, stepped: tuple[int, list[Written] | None]) -> float:
    items, written = stepped
    size = sum(len(data) for _, kept in written or () for data in kept)
    return start + items * options.seconds_per_item + size * options.seconds_per_byte


def _reads(order: Order, key: Key) -> bool:
    source, port, version = key
    return order.version == version and any(
        each.kind == PIPE and each.source == source and each.port == port
        for member in order.members
        for each in member.inputs
    )


def _outgoing(output: Output) -> Channel:
    if output.kind in (FILE, STORE):
        return Channel(packed=False, room=None)
    return Channel(packed=output.kind == PIPE)
