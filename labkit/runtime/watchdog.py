"""Sees that a handler blocks its machine: the loop's step counter stands still while a callback is being run.

One daemon thread per process looks at all loops a few times a second. What blocks is found in the stack of
the thread that runs the loop. Where there is only one thread, nobody can look while it is kept busy.

On a busy computer, or after a pause, the whole process had no time, and no handler is to blame: when the one
who looks comes late, and nothing was computed here meanwhile, that time is not counted.
"""

from __future__ import annotations

import inspect
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator

from labkit.runtime import beside
from labkit.runtime.loop import Loop

__all__ = ["blocking_text", "unwatch", "watch"]

#: Real seconds that one callback may take.
PATIENCE = 1.0
LOOK_EVERY = 0.25

Report = Callable[[float, str], None]


class _Watched:
    def __init__(self, loop: Loop, report: Report) -> None:
        self.loop = weakref.ref(loop)
        #: Weakly, if it is a method: being watched must not keep an engine alive that everybody else has
        #: forgotten.
        self.report = weakref.WeakMethod(report) if inspect.ismethod(report) else lambda: report
        self.thread = 0
        self.steps = -1
        self.since = 0.0
        self.reported = -1


_watched: list[_Watched] = []
_lock = threading.Lock()
_looking: beside.Beside | None = None


def watch(loop: Loop, report: Report) -> _Watched:
    """Call ``report(seconds, where)``, from the watchdog's thread, once per callback of this loop that does
    not return.

    Set ``.thread`` of the result to the identity of the thread that runs the loop.
    """
    global _looking
    watched = _Watched(loop, report)
    if not beside.threads():
        return watched
    with _lock:
        _watched.append(watched)
        if _looking is None or not _looking.alive:
            _looking = beside.Beside(_look(), "labkit-watchdog")
    return watched


def unwatch(watched: _Watched) -> None:
    """Stop watching."""
    with _lock:
        if watched in _watched:
            _watched.remove(watched)
        if not _watched and _looking is not None:
            _looking.wake()


def _look() -> Iterator[float]:
    global _looking
    while True:
        before, used = time.monotonic(), time.process_time()
        yield LOOK_EVERY
        now = time.monotonic()
        stood_still = _stood_still(now - before, time.process_time() - used)
        with _lock:
            if not _watched:
                _looking = None
                return
            watched = list(_watched)
        for one in watched:
            _look_at(one, now, stood_still)


def _stood_still(passed: float, used: float) -> float:
    """Seconds in which the process had no time, of those that have passed between two looks. used: seconds of
    computing here."""
    return max(0.0, passed - LOOK_EVERY - used)


def _look_at(one: _Watched, now: float, stood_still: float = 0.0) -> None:
    """stood_still: seconds since the last look in which the process had no time."""
    one.since += stood_still
    loop = one.loop()
    if loop is None:
        unwatch(one)
    elif not loop.busy or loop.computing or loop.steps != one.steps:
        one.steps, one.since = loop.steps, now
    elif now - one.since > PATIENCE and one.reported != one.steps:
        one.reported = one.steps
        report = one.report()
        if report is not None:
            report(now - one.since, _where(one.thread))


def _where(thread: int) -> str:
    """The innermost frame outside this package that the thread is in."""
    frame = sys._current_frames().get(thread)
    # Not by ``traceback``: it reads source files, which takes long while the other thread is busy.
    while frame is not None:
        code = frame.f_code
        if "labkit/runtime" not in code.co_filename.replace("\\", "/"):
            return f"{code.co_name} ({code.co_filename}:{frame.f_lineno})"
        frame = frame.f_back
    return "somewhere"


def blocking_text(seconds: float, where: str) -> str:
    """What a student reads."""
    return (
        f"a handler has kept its machine busy for {seconds:.1f} s, in {where}: meanwhile no "
        "other node on that machine can answer, "
        "and its peers will take it for dead. Write: result = await self.compute(function, *args)"
    )
