"""GraphLab: graph computations by update functions on scopes (Low et al., UAI 2010; Distributed GraphLab,
VLDB 2012).

Begin with ``model.py``, the programming model, and ``scopes.py``, what the consistency models allow;
``single.py`` executes it here (Algorithm 2). ``schedulers.py`` and ``plan.py`` are the six orders of T. The
architecture: ``run.py`` is the user's program, ``nodes/`` has the process of a machine with its two engines,
and the monitor. The mechanisms: ``atoms.py`` (cut and placement), ``local.py`` (ghosts and versions),
``locks.py``, ``lines.py`` (messages in order), ``termination.py`` (when T is empty everywhere).

Left out of the papers: a scope is what an edge joins, so tasks are too; parallel edges are one, and loops
none. The paper's snapshots are incremental; these are whole.
"""

from .model import DataGraph, Program, Sync
from .options import Options, RunCancelled, RunFailed
from .programs import ALS, Colouring, Components, PageRank, monochrome, ratings
from .run import GraphLab, Run
from .scopes import ConsistencyError, Scope
from .single import LocalRun, run_locally

__all__ = [
    "ALS",
    "Colouring",
    "Components",
    "ConsistencyError",
    "DataGraph",
    "GraphLab",
    "LocalRun",
    "Options",
    "PageRank",
    "Program",
    "Run",
    "RunCancelled",
    "RunFailed",
    "Scope",
    "Sync",
    "monochrome",
    "ratings",
    "run_locally",
]
