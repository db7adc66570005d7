"""The loop of a real process: driven by asyncio, on the wall clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from labkit.runtime.loop import Cost, Future, Loop
from labkit.runtime.raised import as_exception

__all__ = ["Lag", "RealLoop"]

#: Callbacks between two looks at the clock.
SLICE = 200
#: Computations that a machine's nodes may have under way at once; a thread is made when it is needed.
THREADS = 32
#: Seconds that a message may wait for its process to have time; beyond it the host counts as overloaded.
USUAL_LAG = 0.05
#: Seconds that an overloaded host adds to a timeout, at most.
MOST_GRACE = 20.0


class Lag:
    """How long something has had to wait lately: a long wait counts at once, short ones by and by."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def add(self, waited: float) -> None:
        """It has waited so many seconds; less than none says nothing."""
        if waited >= 0.0:
            self.seconds = max(waited, self.seconds + (waited - self.seconds) / 8)


class RealLoop(Loop):
    """The loop, driven by asyncio: ``pump`` runs what is due and asks to be called again when the next thing
    is."""

    def __init__(self, epoch: float) -> None:
        super().__init__()
        self.epoch = epoch  #: the cluster's time zero, in seconds since 1970
        # All processes of a host have the same monotonic clock, and nobody sets it, unlike the time of day.
        self._since_1970 = time.time() - time.monotonic()
        self._aio: asyncio.AbstractEventLoop | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self.late = Lag()  #: of this process: how long after their time its timers ring
        self.transit: Callable[[], float] = lambda: 0.0  #: how long others keep its messages waiting
        self._pool: ThreadPoolExecutor | None = None

    def bind(self, aio: asyncio.AbstractEventLoop) -> None:
        """Be driven by this asyncio loop."""
        self._aio = aio

    def clock(self) -> float:
        """Seconds since the cluster began."""
        return time.monotonic() + self._since_1970 - self.epoch

    def refresh(self) -> None:
        """Look at the clock; time never runs backwards."""
        self.now = max(self.now, self.clock())

    def grace(self, delay: float) -> float:
        """A silence says nothing of a peer while the host has no time for either: as many times as messages
        are later than usual, so many times longer a timeout waits."""
        lag = max(self.late.seconds, self.transit())
        return min(delay * max(0.0, lag / USUAL_LAG - 1.0), MOST_GRACE)

    def pump(self) -> None:
        """Run everything that is due."""
        if self.busy:
            return
        self.refresh()
        if self._alarm is not None and self._aio is not None:
            self.late.add(self._aio.time() - self._alarm.when())
        left = 0  # after a failure: look again at once, for other callbacks wait
        try:
            left = self.run(until=self.now, budget=SLICE)
        finally:
            self._set_alarm(at_once=left == 0 or bool(self._ready))

    def _set_alarm(self, at_once: bool) -> None:
        """Have ``pump`` called when the next callback is due."""
        assert self._aio is not None
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if at_once:
            self._aio.call_soon(self.pump)
        elif self._heap:
            delay = max(0.0, self._heap[0][0] - self.clock())
            self._alarm = self._aio.call_later(delay, self.pump)

    def compute(self, work: Callable[[], Any], cost: Cost) -> Future:
        """Do ``work`` in a thread. ``cost`` is how many times slower than normal this machine is: the rest of
        the time is slept."""
        assert self._aio is not None
        assert not callable(cost)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="labkit-compute")
        future, aio = Future(self), self._aio

        def in_thread() -> None:
            begun = time.monotonic()
            error: Exception | None = None
            value = None
            try:
                value = work()
            except BaseException as raised:  # sys.exit() in a thread ends nothing, but somebody waits
                error = as_exception(raised)
            extra = (time.monotonic() - begun) * (cost - 1.0)
            if extra > 0:
                time.sleep(extra)
            aio.call_soon_threadsafe(finish, value, error)

        def finish(value: Any, error: Exception | None) -> None:
            if error is None:
                future.set_result(value)
            else:
                future.set_error(error)
            self.pump()

        self._pool.submit(in_thread)
        return future

    def shut(self) -> None:
        """Let go of the threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
