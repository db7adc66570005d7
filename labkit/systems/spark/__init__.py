"""Spark: resilient distributed datasets (Zaharia et al., NSDI 2012), with PySpark's programming model.

Begin with ``model.py`` and ``rdd.py``, the programming model: contexts make RDDs, transformations make RDDs
of RDDs, actions compute. A program for PySpark's RDD API runs with only its import changed.

====================  ====================================================================================
``rdd.py``            an RDD: the five-method interface, and what every RDD can do
``pairs.py``          what RDDs of pairs can do; ``statistics.py``: of numbers; ``actions.py``: what computes
``kinds.py``          the kinds of RDD; ``files.py``: those of files; ``operations.py``: what tasks do
``dependencies.py``   narrow and wide dependencies; ``partitioners.py``: by hash and by range
``closures.py``       the user's functions on their way to executors; ``shared.py``: broadcast, accumulators
``evaluate.py``       computing one partition inside a task; ``blame.py``: whose fault an error is
``single.py``         the same on one thread: the oracle
====================  ====================================================================================

Then the architecture; read ``driver.py`` with the paper's section 5 open:

====================  ====================================================================================
``context.py``        ``SparkContext``: starts driver and executors, hands actions to the driver
``driver.py``         the driver: who lives, who has what, what is lost; jobs
``dag.py``            the DAG scheduler: stages, and what to compute again after a loss
``tasks.py``          the task scheduler: locality, retries, backup copies
``executor.py``       an executor: tasks, fetching, serving; ``task_run.py``: one attempt at a task
``blocks.py``         cached partitions: LRU by RDD, spill; ``shuffle.py``: map outputs
``view.py``           what the events add up to; ``lost.py``: losses; ``lineage.py``, ``rows.py``: a job then
``invariants.py``     what must hold, as predicates; ``trace_checks.py`` applies them to a recorded run
``options.py``        all numbers, and bad input refused; ``conf.py``: PySpark's settings and master URLs
====================  ====================================================================================
"""

from labkit.parts.keys import UnstableKey, portable_hash

from .closures import CannotCapture
from .conf import SparkConf
from .context import SparkContext
from .errors import JobCancelled, JobFailed, TaskFailed
from .model import BaseContext
from .pairs import ResultIterable
from .partitioners import Partitioner
from .rdd import RDD
from .shared import Accumulator, AccumulatorParam, Broadcast, TaskContext
from .single import SingleContext
from .statistics import BoundedFloat, StatCounter
from .storage_level import StorageLevel

__all__ = [
    "RDD",
    "Accumulator",
    "AccumulatorParam",
    "BaseContext",
    "BoundedFloat",
    "Broadcast",
    "CannotCapture",
    "JobCancelled",
    "JobFailed",
    "Partitioner",
    "ResultIterable",
    "SingleContext",
    "SparkConf",
    "SparkContext",
    "StatCounter",
    "StorageLevel",
    "TaskContext",
    "TaskFailed",
    "UnstableKey",
    "portable_hash",
]
