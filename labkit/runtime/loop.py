"""The event loop: a heap of (time, sequence, callback, argument) and a queue of what is ready now.

One loop serves both engines. The simulator runs it on virtual time: ``now`` jumps to the next entry of the
heap. On Ray every machine drives the same loop with the wall clock (``RealLoop`` in ``real_loop.py``
overrides where time comes from, and nothing else). Names follow asyncio, so a reader who knows one knows the
other; asyncio itself with a virtual clock was four times slower.

Three rules keep it deterministic and flat:

* Ties in time are broken by a sequence number that belongs to the loop.
* Resolving a future never runs its waiter; it appends to the ready queue. A chain of a million futures uses
  no stack.
* The context of a step (which span, which event led here) is part of the task and is restored before each
  step.
"""

from __future__ import annotations

import threading
import traceback
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextlib import AbstractContextManager, nullcontext
from heapq import heappop, heappush
from typing import Any

from labkit.runtime.errors import LabError
from labkit.runtime.raised import Ending, StopSignal, as_exception
from labkit.runtime.timers import INFINITY, Lane, Timer
from labkit.runtime.unawaited import Unawaited, explain

__all__ = ["Cancelled", "Cost", "Future", "Loop", "Owner", "Task", "running_loop"]

#: What a computation costs in the simulator: seconds of virtual time, or a function of its result.
Cost = float | Callable[[Any], float]

_running = threading.local()  # which loop this *thread* is running, as asyncio keeps it; no run's state


class Cancelled(Ending):
    """Thrown into a task that is cancelled.

    Not an ``Exception``, so that ``except Exception`` lets it pass.
    """

    #: Of two that are due in the same step the lower one is thrown: the outermost of nested ``timeout``
    #: blocks.
    order = 0


def running_loop() -> Loop:
    """The loop whose callback is being run by this thread."""
    loop: Loop | None = getattr(_running, "loop", None)
    if loop is None:
        raise LabError(
            "gather, timeout and the other waiting primitives work inside a node's handler "
            "or a client program; "
            "here no loop is running. Write: cluster.submit(program), where program is an async function."
        )
    return loop


class Future(Unawaited):
    """A value that will be there later: pending, then a result or an error, once."""

    __slots__ = ("_done", "_error", "_value", "_waiters", "cause", "loop")

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self._done = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._waiters: Any = None  #: None, one callable, or a list of them
        self.cause: int | None = (
            None  #: the trace event that resolved it, for the causal chain of whoever waits
        )

    def as_written(self) -> str:
        """See ``Unawaited``: whoever made it did not say for what."""
        return "what gave this future (self.sleep(...), self.compute(...), queue.get(), ...)"

    @property
    def done(self) -> bool:
        """Whether it has a result or an error."""
        return self._done

    @property
    def error(self) -> BaseException | None:
        """The error it was resolved with, if any."""
        return self._error

    def result(self) -> Any:
        """The value; raises the error it was resolved with, or ``LabError`` while it is pending."""
        if self._error is not None:
            raise self._error
        if not self._done:
            raise LabError("this future has no result yet: await it")
        return self._value

    def set_result(self, value: Any) -> None:
        """Resolve it; does nothing if it was resolved before (a late answer after a timeout)."""
        if not self._done:
            self._done = True
            self._value = value
            if self._waiters is not None:
                self._wake()

    def set_error(self, error: BaseException) -> None:
        """Fail it; does nothing if it was resolved before."""
        if not self._done:
            self._done = True
            self._error = error
            if self._waiters is not None:
                self._wake()

    def add_done(self, callback: Callable[[Future], None]) -> None:
        """Have ``callback(self)`` run from the ready queue once this future is resolved."""
        if self._done:
            self.loop.call_soon(callback, self)
        elif self._waiters is None:
            self._waiters = callback
        elif type(self._waiters) is list:
            self._waiters.append(callback)
        else:
            self._waiters = [self._waiters, callback]

    @property
    def awaited(self) -> bool:
        """Whether anybody waits for it now."""
        return self._waiters is not None

    def abandon(self) -> None:
        """Its only waiter was cancelled, so nobody wants it any more: a queue or a lock must not hand it
        anything."""
        self.set_error(Cancelled())

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, None
        if type(waiters) is list:
            for waiter in waiters:
                self.loop._ready.append((waiter, self))
        else:
            self.loop._ready.append((waiters, self))

    def __await__(self) -> Generator[Future, None, Any]:
        if not self._done:
            yield self
        if self._error is not None:
            raise self._error
        return self._value


class Owner:
    """What a task belongs to: it can be gone (the task ends) or held (the task waits).

    A node is one. This base class is the owner of tasks that belong to nobody, such as those of a test.
    """

    #: False once the owner is gone: none of its tasks takes another step.
    _alive = True
    #: While its machine is paused, the steps that would have been taken, in order.
    _held: Any = None

    def _task_failed(self, task: Task, error: BaseException) -> None:
        """Called for a task that failed while nobody awaited it."""
        raise error

    def _remember(self, task: Task) -> None:
        """The task is waiting for something."""

    def _forget(self, task: Task) -> None:
        """The task has ended."""


NOBODY = Owner()


class Task(Future):
    """A coroutine that is being run; as a future, it is resolved with what the coroutine returns."""

    __slots__ = ("_cancelling", "_waiting_for", "coro", "owner", "span")

    def __init__(self, loop: Loop, coro: Coroutine[Any, Any, Any], owner: Owner = NOBODY) -> None:
        self.loop = loop
        self._done = False
        self._value = None
        self._error = None
        self._waiters = None
        self.coro = coro
        self.owner = owner
        self.span = loop.span
        self.cause = loop.cause
        self._waiting_for: Future | None = None
        self._cancelling: BaseException | None = None

    # A task is kept, to be cancelled or looked for in a list: it can be compared, and asked whether it is
    # there.
    __eq__ = object.__eq__
    __ne__ = object.__ne__
    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        return True

    def as_written(self) -> str:
        """See ``Unawaited``."""
        return f"the task of {getattr(self.coro, '__name__', self.coro)}(...)"

    def start(self) -> Task:
        """Take the first step from the ready queue."""
        self.owner._remember(self)
        self.loop._ready.append((self.step, None))
        return self

    def cancel(self, error: BaseException | None = None) -> None:
        """Throw ``error`` (``Cancelled`` if none) into the coroutine where it waits."""
        if self._done:
            return
        error = error or Cancelled()
        before = self._cancelling
        if before is None:
            self._cancelling = error
            self.loop._ready.append((self.step, None))
        elif getattr(error, "order", 0) < getattr(before, "order", 0):
            self._cancelling = error

    def abandon(self) -> None:
        """As in asyncio: whoever waits for a task and is cancelled takes the task along."""
        self.cancel()

    def close(self) -> None:
        """End it here and now, without a further step: what a crash does."""
        if not self._done:
            self._done = True
            self._error = Cancelled()
            try:
                self.coro.close()
            except StopSignal:
                raise
            except BaseException:
                pass  # a ``finally`` that awaits or raises: the dead do not finish their sentences

    def step(self, resolved: Future | None) -> None:
        """Run the coroutine to its next ``await`` of something unresolved."""
        if self._done:
            return
        owner = self.owner
        if not owner._alive:
            self.close()
            return
        held = owner._held
        if held is not None:
            held.append((self.step, resolved))
            return
        cancelling = self._cancelling
        if resolved is not self._waiting_for and cancelling is None:
            return  # it no longer waits for that one, or was woken for a cancellation that was taken back
        loop = self.loop
        outer = loop.current
        loop.current = self
        loop.span = self.span
        loop.cause = self.cause if resolved is None or resolved.cause is None else resolved.cause
        try:
            if cancelling is None:
                awaited = self.coro.send(None)
            else:
                self._cancelling = None
                self._abandon()
                awaited = self.coro.throw(cancelling)
        except StopIteration as stop:
            self.cause = loop.cause
            owner._forget(self)
            self.finish(stop.value, None)
        except Cancelled as error:
            owner._forget(self)
            self.cancelled(error)
        except Ending:  # Ctrl-C, in the middle of the step: there is no going on
            owner._forget(self)
            self.set_error(Cancelled())
            raise
        except BaseException as error:
            explain(error)
            self.cause = loop.cause
            owner._forget(self)
            self.finish(None, error)
        else:
            self.cause = loop.cause
            if not isinstance(awaited, Future):
                self._waiting_for = None
                self.cancel(
                    TypeError(
                        f"a handler can await labkit's futures only, not {awaited!r}; "
                        "write await self.sleep(...), await self.call(...), or await gather(...)"
                    )
                )
                return
            self._waiting_for = awaited
            if awaited._waiters is None and not awaited._done:
                awaited._waiters = self.step
            else:
                awaited.add_done(self.step)
        finally:
            loop.current = outer

    def _abandon(self) -> None:
        """It will not see what it waited for."""
        waited, self._waiting_for = self._waiting_for, None
        if waited is not None and (waited._waiters is None if waited._done else waited._waiters == self.step):
            waited._waiters = None
            waited.abandon()

    def cancelled(self, error: Cancelled) -> None:
        """The coroutine has let a cancellation pass."""
        self.set_error(error)

    def finish(self, value: Any, error: BaseException | None) -> None:
        """The coroutine has returned or raised."""
        if error is None:
            self.set_result(value)
        else:
            unheard = self._waiters is None
            self.set_error(error)
            if unheard:
                self.owner._task_failed(self, error)


class Loop:
    """Callbacks in order of time. ``now`` is in seconds since the run began."""

    def __init__(self) -> None:
        self.now = 0.0
        self.steps = 0  #: callbacks run so far; a watchdog sees from it that one does not return
        self.busy = False  #: a callback is being run
        self.computing = False  #: … and it is a declared computation, which may take its time
        self.interrupted: StopSignal | None = None  #: Ctrl-C has ended a computation, and not yet the run
        self.guard: Callable[[], AbstractContextManager[None]] = nullcontext  #: around each computation
        self.given_up: set[int] = set()  #: spans of operations that the user has stopped
        self.quiet = False  #: ``now`` was reached by waiting, and nothing has happened at it
        self.current: Task | None = None
        self.span: int | None = None  #: the span of the step being run
        self.cause: int | None = None  #: the trace event that led to the step being run
        self._heap: list[tuple[float, int, Callable[[Any], None], Any]] = []
        self._ready: deque[tuple[Callable[[Any], None], Any]] = deque()
        self._sequence = 0
        self._first = -(1 << 62)
        self._lanes: dict[float, Lane] = {}

    def call_soon(self, callback: Callable[[Any], None], argument: Any = None) -> None:
        """Run ``callback(argument)`` now, after what is ready already."""
        self._ready.append((callback, argument))

    def call_at(self, when: float, callback: Callable[[Any], None], argument: Any = None) -> None:
        """Run ``callback(argument)`` at time ``when``."""
        self._sequence = sequence = self._sequence + 1
        heappush(self._heap, (when, sequence, callback, argument))

    def call_first(self, when: float, callback: Callable[[Any], None], argument: Any = None) -> None:
        """As ``call_at``, before everything else that is due at that time: so that it makes no difference
        when it was planned."""
        self._first = sequence = self._first + 1
        heappush(self._heap, (when, sequence, callback, argument))

    def call_later(self, delay: float, callback: Callable[[Any], None], argument: Any = None) -> None:
        """Run ``callback(argument)`` ``delay`` seconds from now."""
        self.call_at(self.now + max(0.0, delay), callback, argument)

    def expire(self, delay: float, future: Future, callback: Callable[[Any], None]) -> None:
        """Call ``callback(future)`` after ``delay`` seconds unless the future is resolved before."""
        self.lane(delay).add(Timer(future, callback))

    def grace(self, delay: float) -> float:
        """Seconds that a timeout of so many waits on top; in virtual time, none."""
        return 0.0

    def lane(self, delay: float) -> Lane:
        """The lane for this delay."""
        delay = max(0.0, delay)
        lane = self._lanes.get(delay)
        if lane is None:
            lane = self._lanes[delay] = Lane(self, delay)
        return lane

    def sleep(self, delay: float) -> Future:
        """A future that is resolved ``delay`` seconds from now."""
        future = Future(self)
        when = self.now + max(0.0, delay)
        if when < INFINITY:  # else for ever
            self.call_at(when, future.set_result)
        return future

    def compute(self, work: Callable[[], Any], cost: Cost) -> Future:
        """Do ``work`` here and now; its result is there after ``cost`` seconds of virtual time. A failure is
        there at once if the cost depends on the result. Ctrl-C may strike in the middle: what is computed is
        nobody's state yet."""
        future = Future(self)
        self.computing = True
        try:
            with self.guard():
                value = work()
            seconds = cost(value) if callable(cost) else cost
        except StopSignal as error:
            self.interrupted = error
            self._ready.appendleft((self._end_interrupted, None))
            future.set_error(LabError("the computation was interrupted"))
        except BaseException as error:
            self.call_later(0.0 if callable(cost) else cost, future.set_error, as_exception(error))
        else:
            self.call_later(seconds, future.set_result, value)
        finally:
            self.computing = False
        return future

    def _end_interrupted(self, _: None) -> None:
        """Between two callbacks, the run ends as the computation in the last one did."""
        error, self.interrupted = self.interrupted, None
        if error is not None:
            raise error

    def spawn(self, coro: Coroutine[Any, Any, Any], owner: Owner = NOBODY) -> Task:
        """Run a coroutine as a task."""
        return Task(self, coro, owner).start()

    def run(self, until: float = INFINITY, stop: Future | None = None, budget: int = 1 << 62) -> int:
        """Run callbacks up to time ``until``, until ``stop`` is resolved, or ``budget`` of them; returns the
        budget left.

        With budget left, nothing more is due: ``now`` has moved to ``until`` if that is finite and ``stop``
        is not done.
        """
        heap, ready = self._heap, self._ready
        outer = getattr(_running, "loop", None)
        _running.loop = self
        self.busy = True
        begun = self.steps
        waited = False
        try:
            for left in range(budget, 0, -1):
                if stop is not None and stop._done:
                    return left
                if ready:
                    callback, argument = ready.popleft()
                elif heap and heap[0][0] <= until:
                    when, _, callback, argument = heappop(heap)
                    if (
                        when > self.now
                    ):  # on the wall clock a callback may be late, and time never runs backwards
                        self.now = when
                else:
                    if until != INFINITY and until > self.now:
                        self.now = until
                        waited = True
                    return left
                self.steps += 1
                # Whoever belongs to a span, or has a cause, says so: what the last callback was about is
                # nobody's, and how many of them there are in one run depends on the machine's speed.
                self.span = self.cause = None
                callback(argument)
            return 0
        finally:
            self.quiet = waited or (self.quiet and self.steps == begun)
            self.busy = False
            self.span = self.cause = None
            _running.loop = outer

    @property
    def next_time(self) -> float:
        """When the next callback is due; infinity if none is."""
        if self._ready:
            return self.now
        return self._heap[0][0] if self._heap else INFINITY


def traceback_text(error: BaseException) -> str:
    """The traceback as Python prints it, without the loop's own frames."""
    frames = traceback.extract_tb(error.__traceback__)
    here = __file__
    kept = [frame for frame in frames if frame.filename != here]
    lines = ["Traceback (most recent call last):\n", *traceback.format_list(kept)]
    return "".join([*lines, *traceback.format_exception_only(error)])
