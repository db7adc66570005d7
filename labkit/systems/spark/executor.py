"""An executor: it runs tasks on its machine, keeps blocks and shuffle outputs, and tells the driver that it
lives.

A task arrives as one message and leaves as one answer. In between the executor *fetches* what the task needs
from other executors (buckets of a shuffle, cached blocks), *computes* in a thread, so that its heartbeats go
on and it serves others meanwhile, and, for a replicated storage level, *copies* new blocks to another
executor.

Messages may be lost or arrive twice. So a task has a number: ``run_task`` of a number that is known runs
nothing again, and an outcome is kept until the driver no longer asks for it.

Everything here is lost with the machine. After a restart the executor begins empty and registers as a new
one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from labkit.parts.retry import insist
from labkit.runtime.copying import loads_anew
from labkit.runtime.errors import LabError, Timeout
from labkit.runtime.loop import Cancelled, Future
from labkit.runtime.node import Node, every, rpc
from labkit.runtime.raised import Ending, named
from labkit.runtime.sync import Signal, gather, wait_for

from .blocks import BlockStore, Key
from .closures import dumps, loads
from .events import EVENTS
from .kept import Kept, keep
from .options import Options
from .shuffle import ShuffleFiles, Source
from .task_run import (
    FetchFailed,
    Outcome,
    Running,
    TaskCancelled,
    TaskDescription,
    TaskRun,
    patient_collector,
)

__all__ = ["NOT_ME", "SEND_STAGE", "STILL_RUNNING", "UNKNOWN_TASK", "Executor"]

#: Stages whose code an executor keeps; that of an older one is sent again when it is needed.
STAGES_KEPT = 64

#: Answers to the driver that are no outcome: this life of the executor is over; it was never told of the
#: task; it does not have the code of the stage; the task goes on, ask again.
NOT_ME, UNKNOWN_TASK, SEND_STAGE, STILL_RUNNING = "not me", "unknown task", "send stage", "still running"


class Executor(Node):
    """See the module's text."""

    events = EVENTS

    lives = 0  #: how often it has begun in this process

    def __init__(self, driver: str, options: Options) -> None:
        self.driver = driver
        self.options = options
        self.heartbeat_every = options.heartbeat_every
        self.begin_empty()

    def begin_empty(self) -> None:
        """As new: no blocks, no outputs, no tasks."""
        #: Which life this is, as the driver counts; None until it has said so.
        self.incarnation: int | None = None
        self.lives += 1  # what a computation of the former life still writes is nobody's
        self.blocks = BlockStore(self.options.memory, self.files, prefix=f"{self.lives}-")
        self.shuffles = ShuffleFiles(self.files, prefix=f"{self.lives}-")
        self.tasks: dict[int, Running] = {}
        #: The code of stages, and what wakes those who wait for one.
        self.stages: dict[int, bytes] = {}
        self.stage_arrived = Signal()
        self.broadcasts: dict[int, Kept] = {}
        #: Executors that the driver has given up, and the requests that wait for each of the others.
        self.lost: dict[Source, None] = {}
        self.asked: dict[Source, dict[Future, None]] = {}

    # --- life ---------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Throw away what a former life has left on the disk, and register."""
        self.files.clear()
        life = self.random.getrandbits(62)
        while self.incarnation is None:  # until the driver has answered
            self.incarnation = await insist(
                self, self.driver, "register", self.name, self.machine, life, every=self.options.call_timeout
            )
            if self.incarnation is None:  # the driver is of a later context: nobody wants this executor
                await self.sleep(self.options.no_executor_timeout)

    @every(seconds="heartbeat_every")
    async def heartbeat(self) -> None:
        """Alive, and what became of blocks since the driver last heard of them."""
        first, entries = self.blocks.journal.unread()
        try:
            answer = await self.call(
                self.driver,
                "heartbeat",
                self.name,
                self.incarnation,
                first,
                entries,
                timeout=self.options.call_timeout,
            )
        except LabError:
            return
        if answer is None:
            await self.begin_anew()
        else:
            confirmed, newest, wanted = answer
            self.blocks.journal.confirm(confirmed)
            self.drop_outcomes(newest, wanted)

    async def begin_anew(self) -> None:
        """The driver took this executor for lost and has forgotten it: it lives on as a new one."""
        for task in self.tasks.values():
            task.cancel()
        self.begin_empty()
        await self.start()

    def drop_outcomes(self, newest: int, wanted: tuple[int, ...]) -> None:
        """Of the tasks up to ``newest`` the driver waits for those in ``wanted`` only."""
        done = [
            number for number, task in self.tasks.items() if number <= newest and task.outcome is not None
        ]
        for number in done:
            if number not in wanted:
                del self.tasks[number]

    @rpc
    def executor_lost(self, executor: str, incarnation: int) -> None:
        """The driver has given another executor up: waiting for it is in vain."""
        source = Source(executor, incarnation)
        self.lost[source] = None
        for request in list(self.asked.get(source, ())):
            request.abandon()

    # --- tasks --------------------------------------------------------------------------------------------

    @rpc
    async def run_task(self, incarnation: int, task: int, stage: int, code: bytes | None, told: bytes) -> Any:
        """Run a task, or wait for it if it runs already; its outcome, and the journal of the blocks."""
        if incarnation != self.incarnation:
            return NOT_ME
        if code is not None:
            self.learn_stage(stage, code)
        elif stage not in self.stages and not await self.stage_comes(stage):
            return SEND_STAGE
        if task not in self.tasks:  # else the message has arrived twice
            self.tasks[task] = Running()
            self.spawn(self.run(loads_anew(told), self.stages[stage], self.tasks[task]))
        return await self.outcome_of(task)

    @rpc
    async def await_task(self, incarnation: int, task: int, wanted: bool) -> Any:
        """The outcome of a task whose answer is late; one that is not ``wanted`` any more is to end early."""
        if incarnation != self.incarnation:
            return NOT_ME
        if task not in self.tasks:
            return UNKNOWN_TASK
        if not wanted:
            self.tasks[task].cancel()
        return await self.outcome_of(task)

    @rpc
    def cancel_task(self, task: int) -> None:
        """Nobody wants its result any more."""
        if task in self.tasks:
            self.tasks[task].cancel()

    async def outcome_of(self, task: int) -> Any:
        """Its pickled outcome, and with it the journal; of a long task, after a while, that it still runs."""
        running, store = self.tasks[task], self.blocks
        try:
            await wait_for(running.done.wait(), self.options.call_timeout / 2)
        except Timeout:
            return STILL_RUNNING
        return running.outcome, *store.journal.unread()

    def learn_stage(self, stage: int, code: bytes) -> None:
        """Keep a stage's code."""
        self.stages[stage] = code
        if len(self.stages) > STAGES_KEPT:
            del self.stages[next(iter(self.stages))]
        self.stage_arrived.fire()

    async def stage_comes(self, stage: int) -> bool:
        """The message with the stage's code may have been overtaken; whether it is here now."""
        try:
            while stage not in self.stages:
                await wait_for(self.stage_arrived.wait(), self.options.call_timeout / 2)
        except Timeout:
            return False
        return True

    async def run(self, told: TaskDescription, code: bytes, running: Running) -> None:
        """Fetch, compute, copy."""
        try:
            task = TaskRun(told, code, self.blocks, self.shuffles)
            broadcasts = await self.fetch_broadcasts(told.broadcasts)
            await self.fetch_inputs(task)
            self.emit("task_running", task=told.task, stage=told.stage, partition=told.partition)
            if self.given_up:
                running.cancel()
            outcome = await self.compute(
                in_thread, task, running, broadcasts, cost=lambda _: task.cost(self.options)
            )
            if told.copy_to is not None and task.to_copy:
                await self.copy_blocks(task.to_copy, told.copy_to)
        except FetchFailed as error:
            outcome = dumps(Outcome("fetch_failed", error=str(error), failed=error.failed))
        except Ending:
            raise
        except BaseException as error:  # a stage that cannot be loaded, a broadcast variable that is gone
            what = "cancelled" if running.cancelled or self.given_up else "error"
            outcome = dumps(Outcome(what, error=named(error)))
        running.finish(outcome)

    # --- fetching -----------------------------------------------------------------------------------------

    async def fetch_broadcasts(self, wanted: Iterable[int]) -> dict[int, Kept]:
        """The values that a task needs; those that are not here yet come from the driver, once.

        They are the task's, whatever is unpersisted before it runs: the message may have been sent long ago.
        """
        found: dict[int, Kept] = {}
        for number in wanted:
            if number not in self.broadcasts:
                data = await self.ask(self.driver, "get_broadcast", number)
                found[number] = await self.compute(_kept_value, data, cost=self.transfer(data))
                self.broadcasts[number] = found[number]
            else:
                found[number] = self.broadcasts[number]
        return found

    @rpc
    def drop_broadcast(self, number: int) -> None:
        """It was unpersisted or destroyed."""
        self.broadcasts.pop(number, None)

    async def fetch_inputs(self, task: TaskRun) -> None:
        """Everything from other executors that the computation will read."""
        blocks = [self.fetch_block(task, key, where) for key, where in task.remote_blocks()]
        if blocks:
            await gather(*blocks)
        needed = task.shuffles_needed()
        for shuffle, _ in needed:
            if task.told.inputs.get(shuffle) is None:
                raise FetchFailed(shuffle, None)
        task.expect_buckets(needed)
        buckets = [
            self.fetch_buckets(task, shuffle, reduce_task, source, maps)
            for shuffle, reduce_task in needed
            for source, maps in (task.told.inputs[shuffle] or {}).items()
        ]
        if buckets:
            await gather(*buckets)

    async def fetch_block(self, task: TaskRun, key: Key, where: str) -> None:
        """A cached partition from another executor; without it the task computes the partition again."""
        try:
            data = await self.ask(where, "get_block", *key)
        except LabError:
            return
        if data is not None:
            task.fetched_blocks[key] = data

    async def fetch_buckets(
        self, task: TaskRun, shuffle: int, reduce_task: int, source: Source, maps: list[int]
    ) -> None:
        """A reduce task's buckets from all map tasks that ran on one executor."""
        here = source == (self.name, self.incarnation)
        if here:
            buckets = await self.compute(self.read_buckets, shuffle, reduce_task, maps)
        else:
            buckets = await self.ask_source(source, shuffle, reduce_task, tuple(maps))
        if buckets is None:
            raise FetchFailed(shuffle, source, maps)
        task.take_buckets(shuffle, reduce_task, maps, buckets, here)

    async def ask_source(self, source: Source, *what: Any) -> tuple[bytes, ...] | None:
        """Ask for buckets until there is an answer, too many attempts, or the driver has given it up."""
        for _ in range(self.options.fetch_attempts):
            if source in self.lost:
                return None
            request = self.call(
                source.executor, "fetch", source.incarnation, *what, timeout=self.options.fetch_timeout
            )
            waiting = self.asked.setdefault(source, {})
            waiting[request] = None
            try:
                buckets: tuple[bytes, ...] | None = await request
                return buckets
            except (Timeout, Cancelled):
                continue
            finally:
                waiting.pop(request, None)
        return None

    async def ask(self, node: str, method: str, *args: Any) -> Any:
        """A call that may be repeated."""
        every, times = self.options.fetch_timeout, self.options.fetch_attempts
        return await insist(self, node, method, *args, every=every, times=times)

    # --- serving ------------------------------------------------------------------------------------------

    @rpc
    def fetch(self, incarnation: int, shuffle: int, reduce_task: int, maps: tuple[int, ...]) -> Any:
        """A reduce task on another executor wants its buckets; None: they are not here, or not any more."""
        if incarnation != self.incarnation:
            return None
        return self.compute(self.read_buckets, shuffle, reduce_task, maps, cost=self.transfer)

    def read_buckets(self, shuffle: int, reduce_task: int, maps: Iterable[int]) -> tuple[bytes, ...] | None:
        """From this machine's disk."""
        try:
            return self.shuffles.read(shuffle, reduce_task, maps)
        except KeyError:
            return None

    @rpc
    def get_block(self, rdd: int, partition: int) -> Any:
        """A task on another executor wants a cached partition; None: it is not here, or not any more."""
        return self.compute(self.blocks.packed, (rdd, partition), cost=self.transfer)

    def transfer(self, data: Any) -> float:
        """Seconds to move these bytes, in the simulator."""
        size = sum(map(len, data)) if isinstance(data, tuple) else len(data or b"")
        return size * self.options.seconds_per_byte

    # --- blocks -------------------------------------------------------------------------------------------

    async def copy_blocks(self, blocks: Iterable[tuple[Key, Any]], peer: str) -> None:
        """Put copies of new blocks on another executor; if that is gone, one copy is what there is."""
        for key, level in blocks:
            data = await self.compute(self.blocks.packed, key, cost=self.transfer)
            if data is not None:
                try:
                    await self.ask(peer, "put_block", *key, dumps(level), data)
                except LabError:
                    return

    @rpc
    def put_block(self, rdd: int, partition: int, level: bytes, data: bytes) -> Any:
        """Keep a copy of another executor's block."""
        store = self.blocks
        return self.compute(
            lambda: store.put((rdd, partition), loads(data), loads(level)), cost=self.transfer(data)
        )

    @rpc
    def drop_rdd(self, rdd: int) -> None:
        """It was unpersisted; the next heartbeat says so."""
        self.blocks.drop_rdd(rdd)

    @rpc
    def drop_shuffle(self, shuffle: int) -> None:
        """No RDD can read it any more."""
        self.shuffles.remove(shuffle)


def _kept_value(data: bytes) -> Kept:
    return keep([loads(data)])


def in_thread(task: TaskRun, running: Running, broadcasts: dict[int, Kept]) -> bytes:
    """The computation of a task; its pickled outcome."""
    with patient_collector():
        try:
            with running.interruptible():
                return dumps(task.compute(broadcasts))
        except TaskCancelled:
            return dumps(Outcome("cancelled", metrics=task.metrics()))
