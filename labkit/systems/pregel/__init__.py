"""Pregel (Malewicz et al., SIGMOD 2010): large graphs, by what one vertex does in one superstep.

Begin with ``model.py``, the programming model: a class with ``compute``. What it builds on is the
architecture: ``job.py`` is the user program, ``nodes/`` has the master and the worker. ``objects.py`` is a
partition of vertices, ``arrays.py`` the same over arrays, for ``compute_batch``. The mechanisms:
``reductions.py`` (combiners and aggregators), ``mutations.py``, ``partition.py``, ``readers.py``,
``statistics.py``; checkpoints and both kinds of recovery are the master's. ``programs.py`` has the paper's
applications, ``graphalytics.py`` the six algorithms of LDBC Graphalytics, ``single.py`` one thread.
"""

from labkit.parts.store import FileSystem

from .job import Job, Pregel
from .model import Edge, Vertex
from .options import JobAborted, JobCancelled, JobFailed, Options, young
from .partition import hash_partition
from .readers import AdjacencyText, EdgeText, Reader, TextWriter, Writer
from .reductions import Aggregator, Combiner, Max, Min, Sum
from .single import run_locally

__all__ = [
    "AdjacencyText",
    "Aggregator",
    "Combiner",
    "Edge",
    "EdgeText",
    "FileSystem",
    "Job",
    "JobAborted",
    "JobCancelled",
    "JobFailed",
    "Max",
    "Min",
    "Options",
    "Pregel",
    "Reader",
    "Sum",
    "TextWriter",
    "Vertex",
    "Writer",
    "hash_partition",
    "run_locally",
    "young",
]
