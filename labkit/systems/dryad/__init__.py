"""Dryad (Isard et al., EuroSys 2007).

Begin with ``model.py``, the programming model: graphs that are composed by operators. ``vertices.py`` has the
library's vertices, ``channels.py`` what a vertex reads and writes, ``single.py`` executes a graph here.
The architecture: ``job.py`` is the user's program, ``nodes/`` has the job manager, the name server and the
daemon. The mechanisms: ``plan.py`` (ports and components), ``running.py`` (execution records with versions),
``placement.py`` (locality), ``process.py`` (vertices in one process, FIFOs), ``stages.py`` and
``refinements.py`` (stage managers, which change the graph while the job runs).
"""

from . import vertices
from .channels import any_of
from .job import Dryad, Job
from .model import Graph, compose, encapsulate, vertex
from .options import JobCancelled, JobDeadlocked, JobFailed, JobTerminated, Options
from .refinements import AggregationTree, PartialAggregation
from .single import run_locally
from .stages import StageManager

__all__ = [
    "AggregationTree",
    "Dryad",
    "Graph",
    "Job",
    "JobCancelled",
    "JobDeadlocked",
    "JobFailed",
    "JobTerminated",
    "Options",
    "PartialAggregation",
    "StageManager",
    "any_of",
    "compose",
    "encapsulate",
    "run_locally",
    "vertex",
    "vertices",
]
