"""PowerGraph (Gonzalez, Low, Gu, Bickson and Guestrin, OSDI 2012).

Begin with ``model.py``, the programming model, and ``programs.py``, the paper's programs. What they build on
is the architecture: ``nodes/`` has the machine, of which there is one on each, and the coordinator. A graph
comes in by ``ingress.py`` and is then a ``partition.py`` on each machine. Three engines run a program:
``synchronous.py`` (whole partitions as arrays: ``arrays.py``) and ``asynchronous.py``, with ``forks.py`` for
its serializable form and ``termination.py`` for its end; ``gas.py`` has what they share: gather, apply,
scatter and the cached accumulators. ``channels.py``: what machines tell each other arrives once and in order.
"""

from .model import ALL, IN, NONE, OUT, BatchProgram, Vertex, VertexProgram
from .options import Options, ProgramFailed
from .programs import SSSP, Colouring, Components, LabelPropagation, PageRank
from .system import PowerGraph

__all__ = [
    "ALL",
    "IN",
    "NONE",
    "OUT",
    "SSSP",
    "BatchProgram",
    "Colouring",
    "Components",
    "LabelPropagation",
    "Options",
    "PageRank",
    "PowerGraph",
    "ProgramFailed",
    "Vertex",
    "VertexProgram",
]
