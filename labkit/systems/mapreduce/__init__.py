"""MapReduce (Dean and Ghemawat, OSDI 2004).

Begin with ``model.py``, the programming model: a class with ``map`` and ``reduce``. What it builds on is the
architecture: ``job.py`` is the user program, ``nodes/`` has the master and the worker. The mechanisms:
``readers.py`` (input and output types), ``partition.py``, ``sorting.py`` (combiner, spills, external sort),
``backup.py``, ``counters.py``, ``execution.py`` (user code, bad records), ``status.py``, ``single.py`` (local
execution). Which task runs where, and map outputs on disks, are shared with Spark: ``labkit/parts/tasks.py``
and ``buckets.py``.
"""

from .backup import Backup, Remaining
from .job import Job, MapReduce
from .options import JobAborted, JobCancelled, JobFailed, Options
from .readers import Pairs, TextLines, TextPairs
from .single import run_locally

__all__ = [
    "Backup",
    "Job",
    "JobAborted",
    "JobCancelled",
    "JobFailed",
    "MapReduce",
    "Options",
    "Pairs",
    "Remaining",
    "TextLines",
    "TextPairs",
    "run_locally",
]
