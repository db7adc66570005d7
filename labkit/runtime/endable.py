"""Work in a thread that another thread can end."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from labkit.runtime.raised import Ending

__all__ = ["Endable"]

#: Jumps after which an exception that another thread has ordered is certainly raised.
SETTLE = 100


class Endable:
    """``end()`` raises the signal in the thread that is ``inside()``, at its next line of Python code."""

    def __init__(self, signal: type[Ending]) -> None:
        self._signal = signal
        #: The thread that works, while it does; guarded by the lock, so that no other work is struck.
        self._thread: int | None = None
        self._lock = threading.Lock()
        self._struck = False

    @contextmanager
    def inside(self) -> Iterator[None]:
        """This thread works."""
        with self._lock:
            self._thread, self._struck = threading.get_ident(), False
        try:
            yield
        finally:
            with self._lock:
                self._thread = None
            if self._struck:
                for _ in range(SETTLE):  # an exception that is on its way is raised here, not in other work
                    pass

    def end(self) -> None:
        """Strike, if somebody else works. Code that catches everything goes on until it is struck again."""
        with self._lock:
            if self._thread is not None and self._thread != threading.get_ident():
                self._struck = True
                # Never with NULL, to take one back: CPython 3.11 then checks for it at every jump, for ever.
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._thread), ctypes.py_object(self._signal)
                )
