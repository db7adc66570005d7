"""Inside a task: what its code knows without being told.

A broadcast variable finds its value there, what is added to an accumulator is collected there, and
``TaskContext.get()`` says which task it is. That is known in each thread that the task's code starts (its
own, a pool's, the one that feeds the command of ``pipe``), and in those that these start. A variable that a
function has captured also remembers the task that it was unpickled in: it works in threads that several tasks
share.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Any

__all__ = ["TaskEnvironment", "current_task", "task_environment"]


class TaskEnvironment:
    """What a task knows of itself, and what it adds to accumulators."""

    def __init__(
        self, broadcasts: Mapping[int, Any], partition: int, stage: int, attempt: int, task: int
    ) -> None:
        self.broadcasts = broadcasts
        self.partition = partition
        self.stage = stage
        self.attempt = attempt
        self.task = task
        self.over = False
        #: Accumulator id to the sum of what the task added; its threads add one after the other.
        self.updates: dict[int, Any] = {}
        self._adding = threading.RLock()

    def add(
        self, accumulator: int, zero: Callable[[], Any], merge: Callable[[Any, Any], Any], term: Any
    ) -> None:
        """Add a term to an accumulator."""
        with self._adding:
            before = self.updates[accumulator] if accumulator in self.updates else zero()
            self.updates[accumulator] = merge(before, term)


_current: ContextVar[TaskEnvironment | None] = ContextVar("labkit_spark_task", default=None)


def current_task(bound: TaskEnvironment | None = None) -> TaskEnvironment | None:
    """The task that runs ``bound``, unless it is over; else the one of this thread, or None in the driver."""
    return _current.get() if bound is None or bound.over else bound


@contextmanager
def task_environment(
    broadcasts: Mapping[int, Any] | None = None,
    *,
    partition: int = 0,
    stage: int = 0,
    attempt: int = 0,
    task: int = 0,
) -> Iterator[TaskEnvironment]:
    """Inside, this thread and those that it starts run a task: broadcasts maps ids to values."""
    environment = TaskEnvironment({} if broadcasts is None else broadcasts, partition, stage, attempt, task)
    before = _current.set(environment)
    try:
        yield environment
    finally:
        environment.over = True
        _current.reset(before)


def _inheriting(start: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    """``Thread.start``, after which a thread that a task starts has the task's context.

    Python has this as ``sys.flags.thread_inherit_context`` from 3.14 on, where it is off by default.
    """

    @functools.wraps(start)
    def start_in_context(thread: threading.Thread) -> None:
        if _current.get() is not None:
            run, context = thread.run, copy_context()
            thread.run = lambda: context.run(run)  # type: ignore[method-assign]
        start(thread)

    return start_in_context


threading.Thread.start = _inheriting(threading.Thread.start)  # type: ignore[method-assign]
