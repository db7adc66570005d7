"""A worker: it runs the user's program on its shards of the data, and counts its clock.

The program is an async function. It gets a ``WorkerTask``, through which it reads and writes the parameters::

    async def train(worker):
        for t in worker.rounds():
            weights = await worker.pull(w)
            gradient = await worker.compute(gradient_of, weights, worker.shard)
            await worker.push(w, None, -0.1 * gradient)
            await worker.clock()
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from random import Random
from types import CoroutineType
from typing import Any

from labkit.parts.retry import insist
from labkit.runtime.copying import copy_value, stream
from labkit.runtime.errors import Definite, LabError, Timeout
from labkit.runtime.loop import Future, Task
from labkit.runtime.message import Failure
from labkit.runtime.node import Node, every, rpc
from labkit.runtime.raised import Ending
from labkit.runtime.sync import Event, gather

from .chain import Round
from .client import ParameterClient
from .events import EVENTS
from .options import no_program
from .ring import View, no_such_vector
from .scheduler import Grant, Order, Superseded
from .settings import Settings
from .tables import Table
from .updates import Array
from .vectors import VectorSpec, as_keys, as_push

__all__ = ["Worker", "WorkerTask"]


class Pulling(Task):
    """Awaited for its values: unlike a task that is kept for itself, it is no truth and equals nothing."""

    __bool__ = Future.__bool__  # type: ignore[attr-defined]
    __eq__ = Future.__eq__
    __ne__ = Future.__ne__
    __hash__ = Future.__hash__

    def as_written(self) -> str:
        """See ``Unawaited``."""
        return "worker.pull(...)"


class WorkerTask:
    """What a program sees: one shard of the data, and the parameters."""

    def __init__(self, node: Worker, order: Order, view: View | None) -> None:
        self._node = node
        self._order = order
        self._client = ParameterClient(node, node.settings, order.source, node.name, order.shard)
        if view is not None:
            self._client.see(view)
        self._pushes: list[Future] = []  #: of this iteration
        self._tables: dict[str, Table] = {}
        self._reported = Event()
        self._acknowledged = order.start  #: iterations whose pushes are acknowledged
        #: The iteration under way: 0, 1, … . A shard taken over from a dead worker begins where that one was.
        self.iteration = order.start
        #: Different for every shard and life, the same in every run of the simulator.
        self.random: Random = stream(node.seed, "shard", order.source)

    @property
    def rank(self) -> int:
        """The number of this shard."""
        return self._order.shard

    @property
    def shard(self) -> Any:
        """This shard's data."""
        return self._order.data

    @property
    def workers(self) -> int:
        """How many shards there are."""
        return self._order.workers

    @property
    def iterations(self) -> int:
        """How many iterations the run has."""
        return self._order.iterations

    @property
    def name(self) -> str:
        """The worker that runs the shard now."""
        return self._node.name

    @property
    def now(self) -> float:
        """Seconds since the cluster began."""
        return self._node.now

    def rounds(self) -> Iterator[int]:
        """The iterations that are left: ``for t in worker.rounds(): …; await worker.clock()``."""
        while self.iteration < self.iterations:
            before = self.iteration
            yield before
            if self.iteration == before:
                raise LabError(
                    "the loop over worker.rounds() did not end its iteration: write await worker.clock() as "
                    "its last line"
                )

    # parameters ------------------------------------------------------------

    def pull(self, vector: VectorSpec | str, keys: Any = None, after: Iterable[Future] = ()) -> Task:
        """Await it: the values, in the order of ``keys`` (None: all); the array is the program's own.

        ``after``: pushes or pulls that must be done before this one begins.
        """
        spec = self._spec(vector)
        wanted, in_order = as_keys(spec, keys)
        return Pulling(
            self._node._machine.loop, self._pull(spec, wanted, in_order, _several(after)), self._node
        ).start()

    async def _pull(
        self, spec: VectorSpec, keys: Any, in_order: Callable[[Array], Any], after: list[Future]
    ) -> Any:
        values = await self._client.pull(spec, keys, self.iteration, self.staleness, after)
        return in_order(values)

    def push(
        self, vector: VectorSpec | str, keys: Any, values: Any = None, after: Iterable[Future] = ()
    ) -> Future:
        """Await it, or keep it: resolved when every copy has the push. ``push(w, None, values)``: all keys.

        ``after``: pushes or pulls that must be done before this one begins.
        """
        spec = self._spec(vector)
        wanted, numbers = as_push(spec, keys, values)
        future = self._client.push(
            spec, wanted, numbers, self._round(), self.iteration, self._grant.share, _several(after)
        )
        self._pushes.append(future)
        return future

    def table(self, name: str | VectorSpec, width: int | None = None) -> Table:
        """A table's rows, with a cache: ``get``, ``inc`` (Ho et al., NIPS 2013)."""
        key = name if isinstance(name, str) else name.name
        if key not in self._tables:
            self._tables[key] = Table(self, self._spec(name), width)
        return self._tables[key]

    def _spec(self, vector: VectorSpec | str) -> VectorSpec:
        if isinstance(vector, VectorSpec):
            return vector
        spec = getattr(vector, "spec", None)
        if isinstance(spec, VectorSpec):
            return spec
        view = self._client.view
        if view is None or vector not in view.vectors:
            raise no_such_vector(vector, view)
        return view.vectors[vector]

    def _round(self) -> Round | None:
        return (self._order.run, self.iteration) if self._grant.consistency.rounds else None

    @property
    def staleness(self) -> int:
        """How many iterations of the slowest a pull may miss now; 0: as fresh as bulk-synchronous."""
        return max(0, self.iteration - min(self._grant.finished, default=self.iteration))

    # clock ------------------------------------------------------------

    async def clock(self) -> None:
        """End this iteration; returns when the next one may begin."""
        for table in self._tables.values():
            table.flush()
        pushes, self._pushes = self._pushes, []
        self.iteration += 1
        t = self.iteration
        if self._grant.consistency.reads_own_writes or t >= self.iterations:
            await self._report(t, pushes)
        else:
            self._node.spawn(self._report_later(t, pushes))
            while len(self._client.unfinished) > self._node.settings.outstanding:
                self._reported.clear()
                await self._reported.wait()
        if t < self.iterations:
            await self._enter(t)

    async def _report_later(self, t: int, pushes: list[Future]) -> None:
        try:
            await self._report(t, pushes)
        except Exception as error:  # an update function's: the program has gone on, and is to end with it
            self._node.fail(self._order.source, error)

    async def _report(self, t: int, pushes: list[Future]) -> None:
        """Once these pushes, and all before them, are acknowledged, the scheduler hears of it."""
        await gather(*pushes)
        while self._acknowledged < t - 1:
            self._reported.clear()
            await self._reported.wait()
        try:
            await self._node.insist("finished", self._order.source, t)
        except Superseded:
            return  # the program hears of it when it asks for the next iteration
        finally:
            self._acknowledged = max(self._acknowledged, t)
            self._reported.set()

    async def _enter(self, t: int) -> None:
        self._grant: Grant = await self._node.insist("may_start", self._order.source, t)
        self._node.emit(
            "clock", worker=self.name, shard=self.rank, clock=self.iteration, source=self._order.source,
            bound=self._grant.consistency.bound,
        )  # fmt: skip

    async def run(self) -> Any:
        """The program, from its first iteration here to its end, all pushes acknowledged."""
        await self._enter(self.iteration)
        running = self._order.function(self)
        if not isinstance(running, (Future, CoroutineType)):
            raise no_program(self._order.function)
        result = await running
        for table in self._tables.values():
            table.flush()
        if self._pushes:  # of an iteration that no clock() has ended
            pushes, self._pushes = self._pushes, []
            self.iteration += 1
            await self._report(self.iteration, pushes)
        while self._acknowledged < self.iteration:
            self._reported.clear()
            await self._reported.wait()
        return result

    # work ------------------------------------------------------------

    def compute(self, work: Callable[..., Any], *args: Any, cost: Any = 0.0) -> Future:
        """Await ``work(*args)``; heartbeats go on meanwhile. ``cost``: its seconds in the simulator."""
        return self._node.compute(work, *args, cost=cost)

    def sleep(self, seconds: float) -> Future:
        """Await it: ``seconds`` pass."""
        return self._node.sleep(seconds)

    def report(self, **numbers: float) -> None:
        """Say how good the parameters are: ``worker.report(loss=0.3)`` is an event of the trace."""
        self._node.emit(
            "loss", worker=self.name, shard=self.rank, iteration=self.iteration,
            **{name: float(number) for name, number in numbers.items()},
        )  # fmt: skip


class Worker(Node):
    """Runs the programs of its shards; usually there is one."""

    events = EVENTS

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def start(self) -> None:
        """Without a shard; the scheduler hears of this worker by its first heartbeat."""
        self.heartbeat_every = self.settings.heartbeat_every
        self.incarnation = self.random.getrandbits(48)
        self.tasks: dict[str, tuple[WorkerTask, Task]] = {}  #: by source

    @every("heartbeat_every")
    def heartbeat(self) -> None:
        """Tell the scheduler that this worker lives."""
        self.spawn(self._beat())

    async def _beat(self) -> None:
        try:
            unwanted = await self.call(
                self.settings.scheduler, "heartbeat", self.name, self.incarnation, list(self.tasks),
                timeout=self.settings.timeout,
            )  # fmt: skip
        except (Timeout, Definite):
            return
        for source in unwanted:
            self._end(source)

    @rpc
    def start_task(self, order: Order, view: View | None) -> None:
        """Run a shard's program from now on."""
        if order.source in self.tasks:
            return
        self.send(self.settings.manager, "listen", self.name)
        task = WorkerTask(self, order, view)
        self.tasks[order.source] = (task, self.spawn(self._run(order.source, task)))

    @rpc
    def view_changed(self, view: View) -> None:
        """The manager has a new view."""
        for task, _ in self.tasks.values():
            task._client.see(view)

    async def _run(self, source: str, task: WorkerTask) -> None:
        result: Any = None
        failure: Failure | None = None
        try:
            result = copy_value(await task.run())  # what cannot be sent is the program's error, too
        except Superseded:
            self._end(source)
            return
        except Ending:
            raise
        except BaseException as raised:
            failure = Failure.of(raised)
        try:
            await self.insist("ended", source, result, failure)
        except Superseded:
            pass
        self._end(source)

    def fail(self, source: str, error: Exception) -> None:
        """A shard's program ends with this error, wherever it is."""
        _, running = self.tasks.get(source, (None, None))
        if running is not None:
            running.cancel(error)

    def _end(self, source: str) -> None:
        task, running = self.tasks.pop(source, (None, None))
        if task is not None and running is not None:
            task._client.closed = True
            running.cancel()

    async def insist(self, method: str, *args: Any) -> Any:
        """The scheduler's answer, however often it has to be asked."""
        return await insist(self, self.settings.scheduler, method, *args, every=self.settings.resend_after)


def _several(after: Any) -> list[Future]:
    return [after] if isinstance(after, Future) else list(after)
