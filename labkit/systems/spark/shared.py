"""Variables that tasks share with the driver: broadcast variables (read) and accumulators (add)."""

from __future__ import annotations

from copy import copy
from typing import Any, Generic, TypeVar
from weakref import ref

from labkit.runtime.errors import LabError

from .above import BaseContext
from .inside import TaskEnvironment, current_task

__all__ = ["Accumulator", "AccumulatorParam", "AddingAccumulatorParam", "Broadcast", "TaskContext"]

T = TypeVar("T")


class Broadcast(Generic[T]):
    """A value that travels to each executor once. ``value`` reads it, in tasks and in the driver."""

    def __init__(self, context: BaseContext, number: int, value: T) -> None:
        self._context: BaseContext | None = context
        self._task: TaskEnvironment | None = None  #: in which it was unpickled
        self.id = number
        self._value = [value]
        self._gone = False

    @property
    def value(self) -> T:
        """The value. Each task has its own: what it changes, no other sees."""
        if self._gone:
            raise LabError(
                f"the broadcast variable {self.id} was destroyed; make a new one with sc.broadcast(...)"
            )
        if not self._value:
            task = current_task(self._task)
            if task is None or self.id not in task.broadcasts:
                raise LabError(f"the broadcast variable {self.id} is not on this executor: it was destroyed")
            self._value.append(task.broadcasts[self.id])
        return self._value[0]

    def unpersist(self, blocking: bool = False) -> None:
        """Remove it from the executors; it travels again if it is used again."""
        if self._context is not None:
            self._context._drop_broadcast(self.id, forever=False)

    def destroy(self, blocking: bool = False) -> None:
        """Remove it everywhere; it cannot be used again."""
        if self._context is not None:
            self._context._drop_broadcast(self.id, forever=True)
        self._gone = True
        self._value.clear()

    def _be_noted(self, pickler: Any) -> None:
        pickler.broadcasts[self.id] = None
        if self._context is not None:
            pickler.owners[ref(self._context)] = None

    def __reduce__(self) -> tuple[Any, ...]:
        if self._gone:
            raise LabError(
                f"the broadcast variable {self.id} was destroyed; make a new one with sc.broadcast(...)"
            )
        return _arrived_broadcast, (self.id,)

    def __repr__(self) -> str:
        return f"<Broadcast {self.id}>"


def _arrived_broadcast(number: int) -> Broadcast[Any]:
    broadcast: Broadcast[Any] = object.__new__(Broadcast)
    broadcast._context, broadcast.id, broadcast._value, broadcast._gone = None, number, [], False
    broadcast._task = current_task()
    return broadcast


class AccumulatorParam(Generic[T]):
    """What it means to add: override both methods to accumulate values of your own type."""

    def zero(self, value: T) -> T:
        """A neutral element of the same kind as ``value``."""
        raise NotImplementedError

    def addInPlace(self, value1: T, value2: T) -> T:
        """The sum of both; it may change and return the first."""
        raise NotImplementedError


class AddingAccumulatorParam(AccumulatorParam[Any]):
    """Adds with ``+=``."""

    def __init__(self, zero_value: Any) -> None:
        self.zero_value = zero_value

    def zero(self, value: Any) -> Any:
        """The neutral element."""
        return self.zero_value

    def addInPlace(self, value1: Any, value2: Any) -> Any:
        """The sum."""
        value1 += value2
        return value1


class Accumulator(Generic[T]):
    """A variable that tasks only add to, and only the driver reads.

    What a task adds counts once if the task belongs to an action (``foreach``); inside transformations a task
    that runs again adds again, as in Spark.
    """

    def __init__(
        self, number: int, value: T, accum_param: AccumulatorParam[T], context: BaseContext | None = None
    ) -> None:
        self._context = context
        self.aid = number
        self.accum_param = accum_param
        self._value = value
        self._in_task = False
        self._task: TaskEnvironment | None = None  #: in which it was unpickled

    @property
    def value(self) -> T:
        """The sum so far; only in the driver."""
        if self._in_task:
            raise RuntimeError("Accumulator.value cannot be accessed inside tasks")
        return self._value

    @value.setter
    def value(self, value: T) -> None:
        if self._in_task:
            raise RuntimeError("Accumulator.value cannot be accessed inside tasks")
        self._value = value

    def add(self, term: T) -> None:
        """Add a term."""
        task = current_task(self._task) if self._in_task else None
        if task is not None:
            task.add(self.aid, self._zero, self.accum_param.addInPlace, term)
        else:
            self._value = self.accum_param.addInPlace(self._value, term)

    def _be_noted(self, pickler: Any) -> None:
        if self._context is not None:
            pickler.owners[ref(self._context)] = None

    def _zero(self) -> T:
        # Its own for each task: addInPlace may change it.
        return copy(self.accum_param.zero(self._value))

    def __iadd__(self, term: T) -> Accumulator[T]:
        self.add(term)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived_accumulator, (self.aid, self.accum_param.zero(self._value), self.accum_param)

    def __str__(self) -> str:
        return str(self._value)

    def __repr__(self) -> str:
        return f"Accumulator<id={self.aid}, value={self._value}>"


def _arrived_accumulator(number: int, zero: Any, accum_param: AccumulatorParam[Any]) -> Accumulator[Any]:
    accumulator = Accumulator(number, zero, accum_param)
    accumulator._in_task = True
    accumulator._task = current_task()
    return accumulator


def param_of(value: Any, given: AccumulatorParam[Any] | None) -> AccumulatorParam[Any]:
    """How to add values like this one."""
    if given is not None:
        return given
    for kind, zero in ((int, 0), (float, 0.0), (complex, 0.0j)):
        if isinstance(value, kind):
            return AddingAccumulatorParam(zero)
    raise TypeError(
        f"No default accumulator param for type {type(value)}: give sc.accumulator(value, param) "
        "an AccumulatorParam"
    )


class TaskContext:
    """What a task may ask about itself: ``TaskContext.get()``; None in the driver."""

    def __init__(self, partition: int, stage: int, attempt: int, task: int) -> None:
        self._partition, self._stage, self._attempt, self._task = partition, stage, attempt, task

    @classmethod
    def get(cls) -> TaskContext | None:
        """The task that this thread runs."""
        task = current_task()
        return None if task is None else cls(task.partition, task.stage, task.attempt, task.task)

    def partitionId(self) -> int:
        """The number of the partition that it computes."""
        return self._partition

    def stageId(self) -> int:
        """The stage that it belongs to."""
        return self._stage

    def attemptNumber(self) -> int:
        """How often this partition's task was tried before."""
        return self._attempt

    def taskAttemptId(self) -> int:
        """The number of this attempt, unique in its context."""
        return self._task
