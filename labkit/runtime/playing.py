"""A simulated run played at wall speed, for people to watch: ``pace`` virtual seconds in each real one.

A thread plays, or the event loop, where there are no threads (``beside``). What waits for virtual time there
lets it pass at once: nobody else could.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

from labkit.runtime.beside import Beside, threads
from labkit.runtime.endable import Endable
from labkit.runtime.engine import CLIENT, Engine
from labkit.runtime.errors import LabError
from labkit.runtime.fair_lock import FairLock
from labkit.runtime.loop import Loop
from labkit.runtime.raised import StopSignal

__all__ = ["SLICE", "Playing"]

#: Callbacks between two looks at who else wants in, and at Ctrl-C: about 10 ms.
SLICE = 2000
#: Real seconds between two slices of the player.
FRAME = 0.02


class Playing(Engine):
    """The part of the simulator that plays. The loop is run by one thread at a time: who has ``_lock``."""

    loop: Loop
    closed: bool
    crashes: list[tuple[str, BaseException]]
    _lock: FairLock
    _watched: Any
    _blocked: tuple[float, str] | None

    def __init__(self) -> None:
        self._pace: float | None = None
        self._paused = False
        self._player: Beside | None = None
        self._played = Endable(StopSignal)  #: the computation that the player's thread is in

    @property
    def pace(self) -> float | None:
        """Virtual seconds per real second while it plays by itself; None: time passes only on demand."""
        return self._pace

    @pace.setter
    def pace(self, pace: float | None) -> None:
        if pace is not None and not (isinstance(pace, (int, float)) and pace > 0):
            raise ValueError(
                f"pace is virtual seconds per real second, > 0, or None to stop playing, not {pace!r}"
            )
        with self._lock:  # what the player is at ends first
            self._pace = pace
        if pace is not None and (self._player is None or not self._player.alive):
            self._player = Beside(_play(weakref.ref(self)), "labkit-player")
            if not threads() and not self._player.alive:
                self._pace = None
                raise LabError(
                    f"pace={pace!r} needs a thread or a running event loop, and here is neither: let time "
                    "pass by cluster.run(seconds)"
                )

    @property
    def paused(self) -> bool:
        """Whether the player stands still."""
        return self._paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        with self._lock:
            self._paused = bool(paused)

    @property
    def _playing(self) -> bool:
        return self._pace is not None and not self.closed

    @property
    def _plays(self) -> bool:
        return self._playing and not self._paused

    def stop_playing(self) -> None:
        """Wait for the player's slice, the last one."""
        self._pace = None
        if self._player is not None:
            self._player.join(timeout=5)

    def _wait_for(self, over: Callable[[], bool]) -> None:
        while self._playing and threads() and not over():
            time.sleep(0.003)
            if self._blocked is not None:
                self._warn_blocked()

    def _play_slice(self, seconds: float) -> None:
        with self._lock:
            if self._pace is None or not self._plays:
                return
            self._watched.thread = threading.get_ident()
            until = self.loop.now + seconds * self._pace
            latest = time.monotonic() + 0.1
            self.loop.guard = self._played.inside
            try:
                while self._plays and self.loop.run(until, None, SLICE) == 0 and time.monotonic() < latest:
                    self._lock.let_others_in()
            except StopSignal:  # the user waits elsewhere, and has heard of it
                pass
            finally:
                self.loop.guard = nullcontext

    def _warn_blocked(self) -> None:
        """Tell the user of a handler that blocks."""
        raise NotImplementedError


def _play(engine_of: weakref.ref[Playing]) -> Iterator[float]:
    """What plays; it ends with the engine."""
    last = time.monotonic()
    while True:
        yield FRAME
        engine = engine_of()
        if engine is None or not engine._playing:
            return
        now = time.monotonic()
        try:
            engine._play_slice(min(now - last, 0.25))
        except Exception as error:  # a watcher's or a schedule's: the user hears of it as of a crash
            engine.crashes.append((CLIENT, error))
        last = now
        del engine
