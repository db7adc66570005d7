"""The numbers of a Spark cluster, and bad input to ``SparkContext(...)`` refused.

Where Spark has a setting of the same meaning its name is given, and its default where ours differs: a lab's
machines are near, its jobs last milliseconds, and somebody is watching.
"""

from __future__ import annotations

from dataclasses import Field, dataclass, fields
from typing import Any

from labkit.parts.options import Rule, checked, number, probability, switch, whole

__all__ = ["RULES", "Options", "check_options", "finite", "partition_count", "whole_number"]

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


def _rule(field: Field[Any]) -> Rule:
    if field.type == "bool":
        return switch
    if field.type == "int":
        return whole(1, write=field.default)
    if field.name in MAY_BE_ZERO:
        return number(0, write=field.default)
    return number(above=0, write=field.default)


#: What each must be by itself.
RULES = {field.name: _rule(field) for field in fields(Options)}
RULES["speculation_quantile"] = probability(says="a fraction of a stage, from 0 to 1", write=0.75)

#: What is given to operations.
whole_number = whole(write=4)._replace(error=TypeError)
partition_count = whole(1, says="a whole number, at least one partition", write=4)
finite = number(0, says="must be nonnegative and finite", write=0.5)


def check_options(given: dict[str, Any]) -> Options:
    """The options, or an error that says what to write."""
    options = Options(**checked("SparkContext", given, RULES))
    if options.executor_timeout <= 2 * options.heartbeat_every:
        raise ValueError(
            f"executor_timeout={options.executor_timeout} would take living executors for lost: give more "
            f"than twice heartbeat_every={options.heartbeat_every}"
        )
    return options
