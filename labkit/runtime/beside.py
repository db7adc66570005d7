"""Work beside the user's own: in a daemon thread, as everywhere; and on the event loop where no thread can be
started, as in a browser's tab. There it goes on between two cells, and while one awaits.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache

__all__ = ["Beside", "start", "threads"]


@cache
def threads() -> bool:
    """Whether a thread can be started here. WebAssembly has none, unless a page asks for it."""
    try:
        threading.Thread(target=lambda: None, daemon=True).start()
    except RuntimeError:
        return False
    return True


class Beside:
    """Work in steps: each one ends by yielding the seconds until the next, which ``wake()`` cuts short.

    steps: the work, a generator; its end is the end. name: of the thread.
    """

    def __init__(self, steps: Iterator[float], name: str) -> None:
        self._steps = steps
        self._thread: threading.Thread | None = None
        self._task: asyncio.Task[None] | None = None
        if threads():
            self._woken = threading.Event()
            self._thread = threading.Thread(target=self._in_thread, name=name, daemon=True)
            self._thread.start()
        elif (loop := _running()) is not None:
            self._called = asyncio.Event()
            self._task = loop.create_task(self._on_loop(), name=name)

    def _in_thread(self) -> None:
        for seconds in self._steps:
            self._woken.wait(seconds)
            self._woken.clear()

    async def _on_loop(self) -> None:
        for seconds in self._steps:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._called.wait(), seconds)
            self._called.clear()

    @property
    def alive(self) -> bool:
        """Whether there is more to come. Never, where there is neither a thread nor an event loop."""
        if self._thread is not None:
            return self._thread.is_alive()
        return self._task is not None and not self._task.done()

    def wake(self) -> None:
        """Do the next step now."""
        if self._thread is not None:
            self._woken.set()
        elif self._task is not None:
            self._called.set()

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, unless it is this very work that asks. On the event loop nobody can wait."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)


def start(work: Callable[[], None], name: str) -> Beside:
    """Do this once, beside the caller; at once, where there is neither a thread nor an event loop."""
    steps = _once(work)
    begun = Beside(steps, name)
    if not threads() and not begun.alive:
        next(steps, None)
    return begun


def _once(work: Callable[[], None]) -> Iterator[float]:
    work()
    yield from ()


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
