"""What a user asks of a cluster's nodes: calls, client programs, and the spans that hold calls together."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from labkit.runtime.copying import event_value
from labkit.runtime.engine import CLIENT, Engine, take_as_one_press
from labkit.runtime.errors import (
    Interrupted,
    LabError,
    MachineDead,
    MachineDied,
    MachinePartitioned,
    MachinePaused,
    RunOver,
    Timeout,
)
from labkit.runtime.handles import MachineHandle, Operation
from labkit.runtime.loop import Cancelled, Future, Task
from labkit.runtime.node import DEFAULT_TIMEOUT
from labkit.runtime.raised import named

__all__ = ["Calls"]


class Calls:
    """A part of ``Cluster``: all that waits for an answer."""

    _engine: Engine
    closed: bool
    name: str
    _handles: dict[str, MachineHandle]
    _spans: itertools.count[int]
    _thread: threading.local

    def call(self, node: str, method: str, *args: Any, timeout: float | None = DEFAULT_TIMEOUT) -> Any:
        """Call a node from here and wait for the answer.

        Raises ``UnknownNode``, ``NotAnRpc``, ``UnknownMethod``, ``Unpicklable``, ``MachineDead`` (definite:
        it did not happen); ``Timeout`` and its kinds (it may have happened); and whatever the handler raised,
        with the remote traceback as its cause.
        """
        self._check_open()
        self._engine.turn(waits=True)
        home = self._home(node)
        self._check_alive(home)
        engine = self._engine
        span, own = self._current_span(), None
        if span is None:
            span = own = self._open_span(method, {"to": node})
        incarnation = 0 if home == CLIENT else self._handles[home].incarnation

        def begin() -> Future:
            engine.client_machine.loop.span = span
            try:
                return engine.client.call(node, method, *args, timeout=timeout)
            finally:
                engine.client_machine.loop.span = None

        failed: BaseException | None = None
        try:
            return self._finish(engine.do(begin))
        except Timeout as error:
            failed = error
            raise self._diagnose(error, node, home, incarnation) from error.__cause__
        except BaseException as error:
            failed = error
            raise
        finally:
            if own is not None:
                self._close_span(own, method, failed)

    def submit(self, program: Callable[..., Awaitable[Any]], *args: Any) -> Operation:
        """Run ``async def program(client, *args)`` at the client, beside everything else; ``client`` is a
        node, with its ``call``, ``sleep``, ``now`` …"""
        self._check_open()
        engine = self._engine
        span = self._current_span()

        def begin() -> Future:
            loop = engine.client_machine.loop
            loop.span = span
            try:
                begun = program(engine.client, *args)
                if not isinstance(begun, (Coroutine, Future)):
                    raise TypeError(
                        "submit takes a program, async def program(client, ...), but "
                        f"{program!r} returned {begun!r}"
                    )
                future = begun if isinstance(begun, Future) else Task(loop, begun, engine.client).start()
            finally:
                loop.span = None
            future.add_done(_heard)
            return future

        return Operation(self, engine.do(begin))

    def do(self, action: Callable[[], Any]) -> Any:
        """Run ``action`` where the nodes of your own process run (``spawn_here``), between two of their
        steps, and return what it returns. From any thread."""
        return self._engine.do(action)

    def _finish(self, future: Future) -> Any:
        """Wait for a future of the client and return its result."""
        if not future.done:
            self._check_run_of(future)
        try:
            if not (self.closed and future.done):  # what ended before the cluster did is there
                self._engine.wait(future)
        except KeyboardInterrupt:
            self._engine.give_up(self._current_span())
            if isinstance(future, Task):
                self._engine.do(future.cancel)
            take_as_one_press()
            paused = [machine.name for machine in self._handles.values() if machine.state == "paused"]
            if paused:
                raise Interrupted(f"still waiting for {', '.join(paused)} (paused)") from None
            raise
        if not future.done and isinstance(future, Task):  # a node of this process has failed
            self._engine.do(future.cancel)
        self._raise_crash()
        try:
            return future.result()
        except Cancelled:
            self._check_run_of(future)
            raise LabError("the operation was cancelled") from None

    def _check_run_of(self, future: Future) -> None:
        """What was under way when its run was ended never comes."""
        self._check_open()
        if future.loop is not self._engine.client_machine.loop:
            raise RunOver(f"the cluster {self.name!r} was reset while this was under way")

    def _diagnose(self, error: Timeout, node: str, home: str, incarnation: int) -> Timeout:
        """A client knows more than a node: why nobody answered."""
        if home == CLIENT:
            return error
        handle, network = self._handles[home], self._engine.network
        if handle.state == "dead" or handle.incarnation != incarnation:
            return MachineDied(f"{error}: {home} died while the call was under way")
        if handle.state == "paused":
            return MachinePaused(
                f"{error}: {home} is paused and will carry it out after cluster.resume({home!r})"
            )
        if network.blocks(CLIENT, home) or network.blocks(home, CLIENT):
            return MachinePartitioned(
                f"{error}: a partition separates you from {home}; end it with cluster.heal()"
            )
        return error

    @contextmanager
    def span(self, name: str, **data: Any) -> Iterator[int]:
        """All calls of this thread inside the block belong to one operation: events carry its number.

        Inside another ``span`` they belong to the outer one.
        """
        self._check_open()
        outer = self._current_span()
        if outer is not None:
            yield outer
            return
        number = self._open_span(name, data)
        self._thread.span = number
        failed: BaseException | None = None
        try:
            yield number
        except BaseException as error:
            failed = error
            raise
        finally:
            self._thread.span = outer
            self._close_span(number, name, failed)

    def _current_span(self) -> int | None:
        return getattr(self._thread, "span", None)

    def _open_span(self, name: str, data: dict[str, Any]) -> int:
        number = next(self._spans)
        self._record("span_started", number, {"name": name, **event_value(data)})
        return number

    def _close_span(self, number: int, name: str, failed: BaseException | None) -> None:
        data = {"name": name} if failed is None else {"name": name, "error": named(failed)}
        self._record("span_finished", number, data)

    def _record(self, kind: str, span: int | None, data: dict[str, Any], machine: str = CLIENT) -> None:
        node = CLIENT if machine == CLIENT and span is not None else None
        self._engine.record(machine, node, kind, span, data)

    def _check_alive(self, name: str) -> None:
        if name != CLIENT and not self._handles[name].alive:
            raise MachineDead(f"{name} is dead; restart it: cluster.restart({name!r})")

    # what the other parts of ``Cluster`` bring

    def _home(self, node: str) -> str:
        raise NotImplementedError

    def _check_open(self) -> None:
        raise NotImplementedError

    def _raise_crash(self) -> None:
        raise NotImplementedError


def _heard(_: Future) -> None:
    """The operation object holds the result, so its failure is not unheard."""
