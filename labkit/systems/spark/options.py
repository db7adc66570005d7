"""The numbers of a Spark cluster, and bad input to ``SparkContext(...)`` refused.

Where Spark has a setting of the same meaning its name is given, and its default where ours differs: a lab's
machines are near, its jobs last milliseconds, and somebody is watching.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, fields
from typing import Any

__all__ = ["Options", "check_options", "finite", "partition_count", "whole_number"]

MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Options:
    """All that can be chosen. Times in seconds, sizes in bytes."""

    #: Tasks that an executor runs at the same time (``spark.executor.cores``).
    cores: int = 1
    #: For cached partitions, on each executor (a part of ``spark.executor.memory``).
    memory: int = 256 * MEGABYTE

    # --- failure detection --------------------------------------------------------------------------------
    #: Between two signs of life of an executor (``spark.executor.heartbeatInterval``, 10 s).
    heartbeat_every: float = 0.25
    #: Silence after which an executor is taken for lost (``spark.network.timeout``, 120 s).
    executor_timeout: float = 3.0
    #: After which a call is repeated: the message or its answer may have been lost.
    call_timeout: float = 1.0
    #: For one attempt to fetch from another executor, and how many attempts
    #: (``spark.shuffle.io.maxRetries``).
    fetch_timeout: float = 2.0
    fetch_attempts: int = 3
    #: Without a single executor for this long, jobs fail.
    no_executor_timeout: float = 30.0

    # --- task scheduling ----------------------------------------------------------------------------------
    #: A task fails this often before its job does (``spark.task.maxFailures``).
    max_failures: int = 4
    #: A stage is tried this often in a row before its job fails (``spark.stage.maxConsecutiveAttempts``).
    stage_attempts: int = 4
    #: How long a task waits for a core near its data (delay scheduling; ``spark.locality.wait``, 3 s).
    locality_wait: float = 0.3
    #: Backup copies of stragglers (``spark.speculation``): of tasks that take ``multiplier`` times the median
    #: and at least ``minimum`` seconds, once the fraction ``quantile`` of their stage is done.
    speculation: bool = False
    speculation_every: float = 0.1
    speculation_multiplier: float = 1.5
    speculation_quantile: float = 0.75
    speculation_minimum: float = 0.1

    # --- what work costs in the simulator, where no real time passes
    # -------------------------------------------
    #: For a record in each RDD that a task computes.
    seconds_per_record: float = 2e-6
    #: For a byte that crosses the network, is read from or written to a disk, or from a text file and parsed.
    seconds_per_byte: float = 1e-8
    #: For each task, whatever it does.
    seconds_per_task: float = 1e-3


#: Options that may be 0.
MAY_BE_ZERO = (
    "locality_wait",
    "speculation_minimum",
    "seconds_per_record",
    "seconds_per_byte",
    "seconds_per_task",
)


def check_options(given: dict[str, Any]) -> Options:
    """The options, or an error that says what to write."""
    known = {field.name: field for field in fields(Options)}
    for name, value in given.items():
        if name not in known:
            raise TypeError(f"SparkContext has no option {name!r}; its options are {', '.join(known)}")
        _check(name, value, str(known[name].type))
    options = Options(**given)
    if options.executor_timeout <= 2 * options.heartbeat_every:
        raise ValueError(
            f"executor_timeout={options.executor_timeout} would take living executors for lost: give more "
            f"than twice heartbeat_every={options.heartbeat_every}"
        )
    return options


def _check(name: str, value: Any, kind: str) -> None:
    if kind == "bool":
        if not isinstance(value, bool):
            raise ValueError(f"{name} is True or False, not {value!r}")
        return
    number = isinstance(value, int if kind == "int" else (int, float)) and not isinstance(value, bool)
    zero = name in MAY_BE_ZERO
    if not number or not (value >= 0 if zero else value > 0) or value == float("inf"):
        what = "a whole number" if kind == "int" else "a number"
        raise ValueError(f"{name} is {what} {'>=' if zero else '>'} 0, not {value!r}")


def whole_number(what: str, value: Any) -> int:
    """A count or a seed that was given, NumPy's too; ``TypeError`` if it is no whole number."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{what}={value!r}: a whole number; write {what}=4") from None


def partition_count(what: str, value: Any) -> int:
    """How many partitions there shall be; ``ValueError`` if that is no whole number or none."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1:
        raise ValueError(f"{what}={value!r}: a whole number, at least one partition; write {what}=4")
    return operator.index(value)


def finite(what: str, value: Any) -> Any:
    """A probability, rate or weight that was given; ``ValueError`` if it is no finite number >= 0."""
    try:
        right = value >= 0 and math.isfinite(value)
    except TypeError:
        right = False
    if not right:
        raise ValueError(f"{what} must be nonnegative and finite, not {value!r}; write 0.5")
    return value
