"""Waiting for several things, for a limited time, or for one another; named as in asyncio.

All of them are futures of the loop that runs the caller, so they work in a node's handler and in a client
program, on both engines. They are local to a machine: nodes on different machines have only messages.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any

from labkit.runtime.errors import LabError, Timeout
from labkit.runtime.loop import NOBODY, Cancelled, Future, Loop, Owner, Task, running_loop

__all__ = ["Barrier", "Event", "Lock", "Queue", "Signal", "gather", "sleep", "timeout", "wait_for"]


def _owner() -> Owner:
    current = running_loop().current
    return current.owner if current is not None else NOBODY


def ensure_future(awaitable: Awaitable[Any]) -> Future:
    """The future itself, or a task of the caller's node that runs the coroutine."""
    if isinstance(awaitable, Future):
        return awaitable
    if isinstance(awaitable, Coroutine):
        return Task(running_loop(), awaitable, _owner()).start()
    raise TypeError(f"cannot wait for {awaitable!r}: give a future (self.call(...)) or a coroutine")


def sleep(seconds: float) -> Future:
    """Resolved ``seconds`` from now."""
    return running_loop().sleep(seconds)


class Combined(Future):
    """A future made of others; whoever gives it up gives them up."""

    __slots__ = ("parts",)

    def __init__(self, loop: Loop, parts: list[Future]) -> None:
        super().__init__(loop)
        self.parts = parts

    def abandon(self) -> None:
        """As in asyncio: the tasks among its parts are cancelled, a queue's item or a lock goes back."""
        self.set_error(Cancelled())
        for part in self.parts:
            part.abandon()


def gather(*awaitables: Awaitable[Any], return_exceptions: bool = False) -> Future:
    """All results in order. The first error ends the waiting, unless errors are asked for as results."""
    futures = [ensure_future(awaitable) for awaitable in awaitables]
    everything = Combined(running_loop(), futures)
    missing = len(futures)

    def one_more(future: Future) -> None:
        nonlocal missing
        missing -= 1
        if everything._done:
            return
        if future._error is not None and not return_exceptions:
            everything.cause = future.cause
            everything.set_error(future._error)
        elif missing == 0:
            everything.cause = future.cause
            everything.set_result([f._value if f._error is None else f._error for f in futures])

    for future in futures:
        future.add_done(one_more)
    if not futures:
        everything.set_result([])
    return everything


class timeout:  # noqa: N801 - named as in asyncio
    """``async with timeout(2.0):`` raises ``Timeout`` in the block when it takes longer."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._block: Future | None = None
        self._task: Task | None = None
        self._mark: Cancelled | None = None

    async def __aenter__(self) -> timeout:
        loop = running_loop()
        task = loop.current
        if task is None:
            raise LabError("timeout works in an async handler or program: async with timeout(2.0): ...")
        self._block = Future(loop)
        self._task = task
        mark = self._mark = Cancelled()
        mark.order = loop._sequence = loop._sequence + 1  # more than that of the blocks around it
        loop.expire(self.seconds, self._block, lambda _: task.cancel(mark))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._block is not None
        assert self._task is not None
        self._block.set_result(None)
        if self._task._cancelling is self._mark:
            self._task._cancelling = None  # the time ran out in the very step that ended the block
        if error is not None and error is self._mark:
            raise Timeout(f"the block took longer than {self.seconds} s") from None


def wait_for(awaitable: Awaitable[Any], seconds: float) -> Future:
    """The result, or ``Timeout`` after ``seconds``; a task that is late is cancelled."""
    future = ensure_future(awaitable)
    loop = running_loop()
    outcome = Combined(loop, [future])

    def copy(done: Future) -> None:
        if outcome._done:
            return
        outcome.cause = done.cause
        if done._error is not None:
            outcome.set_error(done._error)
        else:
            outcome.set_result(done._value)

    def late(_: Future) -> None:
        outcome.set_error(Timeout(f"no result within {seconds} s"))
        future.abandon()

    future.add_done(copy)
    loop.expire(seconds, outcome, late)
    return outcome


class Handed(Future):
    """What a queue or a lock hands to one waiter; if the waiter is cancelled before it has seen it, it
    goes back."""

    __slots__ = ("give_back",)

    def __init__(self, loop: Loop, give_back: Callable[[Any], None]) -> None:
        super().__init__(loop)
        self.give_back = give_back

    def abandon(self) -> None:
        """Take it back, or never hand it over."""
        if not self._done:
            self.set_error(Cancelled())
        elif self._error is None:
            self._error = Cancelled()
            self.give_back(self._value)


def _next_waiting(waiting: deque[Future]) -> Future | None:
    """The first that has not given up."""
    while waiting:
        future = waiting.popleft()
        if not future.done:
            return future
    return None


class Event:
    """A flag to wait for."""

    def __init__(self) -> None:
        self._set = False
        self._waiting: list[Future] = []

    def is_set(self) -> bool:
        """Whether the flag is up."""
        return self._set

    def set(self) -> None:
        """Raise the flag and wake everybody who waits."""
        self._set = True
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            future.set_result(True)

    def clear(self) -> None:
        """Lower the flag."""
        self._set = False

    def wait(self) -> Future:
        """Resolved when the flag is up."""
        future = Future(running_loop())
        if self._set:
            future.set_result(True)
        else:
            while self._waiting and self._waiting[-1]._done:  # those who gave up, as far as it costs nothing
                self._waiting.pop()
            self._waiting.append(future)
        return future


class Signal(Event):
    """Something has changed, once more: those who wait now are woken, those who come later wait for the
    next time."""

    def fire(self) -> None:
        """Wake everybody who waits now."""
        self.set()
        self.clear()


class Queue:
    """First in, first out; ``put`` waits while ``maxsize`` items are in it (0: no bound)."""

    def __init__(self, maxsize: int = 0) -> None:
        self.maxsize = maxsize
        self._items: deque[Any] = deque()
        self._getting: deque[Future] = deque()
        self._putting: deque[tuple[Future, Any]] = deque()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Any) -> Future:
        """Resolved when the item is in."""
        future = Future(running_loop())
        getting = _next_waiting(self._getting)
        if getting is not None:
            getting.set_result(item)
        elif self.maxsize and len(self._items) >= self.maxsize:
            self._putting.append((future, item))
            return future
        else:
            self._items.append(item)
        future.set_result(None)
        return future

    def get(self) -> Future:
        """Resolved with the oldest item."""
        future = Handed(running_loop(), self._put_back)
        if not self._items:
            self._getting.append(future)
            return future
        future.set_result(self._items.popleft())
        while self._putting:
            putting, item = self._putting.popleft()
            if not putting.done:
                self._items.append(item)
                putting.set_result(None)
                break
        return future

    def _put_back(self, item: Any) -> None:
        """The item's getter was cancelled: it is the oldest again."""
        getting = _next_waiting(self._getting)
        if getting is not None:
            getting.set_result(item)
        else:
            self._items.appendleft(item)


class Lock:
    """``async with lock:`` lets one task at a time in, in order of arrival."""

    def __init__(self) -> None:
        self._locked = False
        self._waiting: deque[Future] = deque()

    def locked(self) -> bool:
        """Whether somebody is in."""
        return self._locked

    def acquire(self) -> Future:
        """Resolved when the caller is in."""
        future = Handed(running_loop(), lambda _: self.release())
        if self._locked:
            self._waiting.append(future)
        else:
            self._locked = True
            future.set_result(None)
        return future

    def release(self) -> None:
        """Let the next one in."""
        if not self._locked:
            raise LabError("release of a lock that nobody holds: await lock.acquire() first")
        waiting = _next_waiting(self._waiting)
        if waiting is not None:
            waiting.set_result(None)
        else:
            self._locked = False

    async def __aenter__(self) -> Lock:
        await self.acquire()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.release()


class Barrier:
    """``await barrier.wait()`` returns for all once ``parties`` tasks wait; then it starts anew."""

    def __init__(self, parties: int) -> None:
        if parties < 1:
            raise ValueError(f"a barrier needs at least one party, not {parties}")
        self.parties = parties
        self._waiting: list[Future] = []

    def wait(self) -> Future:
        """Resolved with the order of arrival, 0 for the first, when all are here."""
        future = Future(running_loop())
        self._waiting = [one for one in self._waiting if not one.done]  # those who gave up are not parties
        self._waiting.append(future)
        if len(self._waiting) == self.parties:
            waiting, self._waiting = self._waiting, []
            for order, one in enumerate(waiting):
                one.set_result(order)
        return future
