"""The Ray engine's lines: how the client talks to the machines' processes, and hears of their ends."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future as ThreadFuture
from operator import itemgetter
from pathlib import Path
from typing import Any

from labkit.runtime.engine import CLIENT, Engine
from labkit.runtime.errors import LabError, MachineDead
from labkit.runtime.flight_recorder import RECORDERS, life, recorded, rows_of, written
from labkit.runtime.host import HostProcess
from labkit.runtime.packing import unpack
from labkit.runtime.ray_machine import RayMachine, is_gone
from labkit.runtime.ray_process import DRAIN_EVERY, Report
from labkit.runtime.real_loop import RealLoop
from labkit.trace.merge import PATIENCE, MergedTrace
from labkit.trace.trace import Row

__all__ = ["Actor", "RayLines", "as_coroutine"]


class Actor:
    """What the client knows of one life of a machine."""

    def __init__(self, name: str, handle: Any, incarnation: int) -> None:
        self.name = name
        self.handle = handle
        self.incarnation = incarnation
        self.begun = False  #: it has been told to begin, so what it is told next comes after
        self.pid = 0
        self.process: HostProcess | None = None  #: None while unknown, and on a host that no signal reaches
        self.ray_node = ""  #: Ray's id of the host
        self.stopped = False  #: it is paused
        self.over = False  #: it was killed, or seen to be gone
        self.poller: asyncio.Task[None] | None = None
        self.told = 0  #: the number of its last event that is in our trace
        self.overheard: list[tuple[int, int]] = []  #: how much its recorder held when it was last read

    def unknown(self, rows: list[Row]) -> list[Row]:
        """Those of its events that we did not have, in their order; from now on we do."""
        new = sorted((row for row in rows if row[1] > self.told), key=itemgetter(1))
        if new:
            self.told = new[-1][1]
        return new


class RayLines(Engine):
    """One waiting poll at each machine, and questions to some or all of them, from the client's thread."""

    client_machine: RayMachine
    trace: MergedTrace
    loop: RealLoop
    closed: bool
    actors: dict[str, Actor]  #: by machine, of its present life
    crashes: list[tuple[str, BaseException]]
    blocked: deque[tuple[float, str]]
    _news: float  #: when the client last heard, or did, something that others' events can be the cause of
    _told: float  #: up to when a program that reads has waited
    _reported: asyncio.Event
    _lost: Callable[[], Callable[[str], None] | None]
    _aio: asyncio.AbstractEventLoop | None
    _thread: threading.Thread | None
    _disks: Path | None  #: the folder of the machines' files

    def _await(self, coro: Coroutine[Any, Any, Any], timeout: float | None = None) -> Any:
        """Run a coroutine in the client's thread and wait for it."""
        assert self._aio is not None
        if threading.current_thread() is self._thread:
            coro.close()
            raise LabError(
                "a client program waits with await, not with the cluster's own methods: use client.call(...)"
            )
        future: ThreadFuture[Any] = asyncio.run_coroutine_threadsafe(coro, self._aio)
        try:
            return future.result(timeout)
        except BaseException:
            future.cancel()
            raise

    def _await_machines(self, machines: Iterable[str], coro: Coroutine[Any, Any, Any]) -> Any:
        try:
            return self._await(coro)
        except Exception as error:
            if not is_gone(error):
                raise
            raise MachineDead(f"{' or '.join(machines)} died meanwhile: {type(error).__name__}") from error

    async def _poll(self, name: str, actor: Actor) -> None:
        """Take what the machine has for us, again and again, until it dies."""
        while True:
            last = self.closed
            try:
                report = Report(*unpack(await actor.handle.poll.remote(self.trace.awaited)))
                self._take(name, actor, report)
            except Exception as error:
                if is_gone(error):
                    self._gone(name, actor, error)
                    return
                # The machine lives; what it said cannot be read here, or a watcher of the trace has failed.
                # Not to be swallowed, nor repeated in a hurry.
                self.crashes.append((CLIENT, error))
                await asyncio.sleep(DRAIN_EVERY)
            if last:
                return

    def _take(self, name: str, actor: Actor, report: Report) -> None:
        """Make known what a machine has reported."""
        try:
            self._note(name, actor, report)
        finally:
            self._reported.set()
            if report.messages:
                self._news = self.now
                self.client_machine.receive(report.messages)

    def _note(self, name: str, actor: Actor, report: Report) -> None:
        events = actor.unknown(self._read(report.events))
        if actor.over:  # the last that it said
            self.trace.recovered(name, events)
        elif report.until is not None:
            self.trace.report(name, events, report.until)
        for node, failure in report.crashes:
            self.crashes.append((node, failure.to_exception()))
        for seconds, where in report.blocked:
            self.blocked.append((seconds, where))
            self.record(name, None, "blocked", None, {"seconds": round(seconds, 1), "where": where})

    def _catch_up(self, whole: bool) -> None:
        """See ``Trace.catch_up``; nobody waits in the client's own thread."""
        if self.closed or threading.current_thread() is self._thread:
            return
        if whole or self._told <= self._news:
            with contextlib.suppress(RuntimeError):  # it was closed just now
                self._told = self._await(self._all_told(self.now))

    async def _all_told(self, until: float) -> float:
        """Wait for all events up to a time. Who does not report is not waited for (``merge.PATIENCE``): what
        others can have heard of it is in its recorder."""
        self.trace.settled()  # it is asked for
        for actor in self._reachable():
            if not actor.stopped:
                actor.handle.hurry.remote()
        give_up = time.monotonic() + PATIENCE  # a clock of another host may be behind ours
        while self.trace.watermark() <= until and not self.closed and time.monotonic() < give_up:
            self._reported.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._reported.wait(), DRAIN_EVERY)
        for name in self.trace.overdue(until):
            actor = self.actors[name]
            if not actor.over:
                self._overhear(name, actor)
        self.trace.caught_up(until)
        return until

    def _overhear(self, name: str, actor: Actor) -> None:
        """What a living machine on this host has recorded and not reported: it has no time, or is paused."""
        if self._disks is None or actor.process is None:
            return
        folder, files = self._disks / RECORDERS, life(name, actor.incarnation)
        if (now := written(folder, files)) == actor.overheard:
            return
        actor.overheard = now
        rows: list[Row] = []
        for record in recorded(folder, files, living=True):
            with contextlib.suppress(Exception):  # its report will say so
                rows += rows_of(record)
        self.trace.overheard(name, actor.unknown(rows))

    def _read(self, records: Iterable[bytes]) -> list[Row]:
        """The events in these records. One that cannot be read here takes along neither the others nor the
        messages."""
        rows: list[Row] = []
        for record in records:
            try:
                rows += rows_of(record)
            except Exception as error:
                self.crashes.append((CLIENT, error))
        return rows

    def _gone(self, name: str, actor: Actor, error: Exception) -> None:
        """A machine's process ended that nobody killed: its host failed, or memory ran out."""
        self.client_machine.peers.pop(name, None)
        if actor.over or self.closed or self.actors.get(name) is not actor:
            return
        actor.over = True
        self.trace.died(name)
        self._recover(name, actor)
        lost = self._lost()
        if lost is not None:
            lost(name)
        reason = str(error).strip().split("\n")[0][:200]
        self.record(
            name,
            None,
            "machine_died",
            None,
            {"pid": actor.pid, "reason": f"{type(error).__name__}: {reason}"},
        )

    def _recover(self, name: str, actor: Actor) -> None:
        """A machine on this host is gone: what it has seen and had not told yet."""
        if self._disks is not None and actor.process is not None:
            records = recorded(self._disks / RECORDERS, life(name, actor.incarnation))
            self.trace.recovered(name, actor.unknown(self._read(records)))

    def record(
        self, machine: str, node: str | None, kind: str, span: int | None, data: dict[str, Any]
    ) -> int:
        """One event of the client's."""
        if not self.trace.on:
            return 0
        self._news = self.now
        return self.trace.record(self.now, machine, node, kind, span, None, data)

    def _reachable(self) -> list[Actor]:
        return [actor for actor in self.actors.values() if not actor.over and actor.begun]

    async def _tell(self, method: str, *args: Any, but: str = "") -> None:
        """Call a method of every machine, and wait for those that are not paused."""
        told = [
            self.actors[name]
            for name in self.actors
            if name != but and self.actors[name] in self._reachable()
        ]
        refs = [getattr(actor.handle, method).remote(*args) for actor in told]
        await asyncio.gather(*map(self._answer, told, refs), return_exceptions=True)

    async def _answer(self, actor: Actor, ref: Any, late: Callable[[Any], None] = lambda _: None) -> Any:
        """What the machine answers. If it is paused, now or meanwhile, None: it will do it when it goes on,
        and ``late`` gets the answer."""
        answer = asyncio.ensure_future(as_coroutine(ref))
        while not answer.done():
            if actor.stopped:
                answer.add_done_callback(lambda task: _unless_failed(task, late))
                return None
            await asyncio.wait({answer}, timeout=0.05)
        return answer.result()


async def as_coroutine(ref: Any) -> Any:
    return await ref


def _unless_failed(task: asyncio.Task[Any], then: Callable[[Any], None]) -> None:
    if not task.cancelled() and task.exception() is None:
        then(task.result())
