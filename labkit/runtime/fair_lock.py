"""The lock around a simulated cluster: a run holds it for long, and lets in whoever clicks meanwhile."""

from __future__ import annotations

import threading
import time

__all__ = ["FairLock"]


class FairLock:
    """A re-entrant lock whose holder can let in those who wait."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._count = threading.Lock()
        self._waiting = 0

    def __enter__(self) -> None:
        if self._lock.acquire(blocking=False):
            return
        with self._count:
            self._waiting += 1
        try:
            self._lock.acquire()
        finally:
            with self._count:
                self._waiting -= 1

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def let_others_in(self) -> None:
        """Give way to everybody who waits now. Call it with the lock held once."""
        if self._waiting:
            self._lock.release()
            try:
                deadline = time.monotonic() + 0.05
                while self._waiting and time.monotonic() < deadline:
                    time.sleep(0.0002)
            finally:
                self._lock.acquire()
