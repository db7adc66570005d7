"""Dryad (Isard et al., EuroSys 2007).

Begin with ``model.py``, the programming model: graphs that are composed by operators. ``vertices.py`` has the
library's vertices, ``channels.py`` what a vertex reads and writes, ``single.py`` executes a graph here.
"""

from . import vertices
from .channels import any_of
from .model import Graph, compose, encapsulate, vertex
from .single import run_locally

__all__ = ["Graph", "any_of", "compose", "encapsulate", "run_locally", "vertex", "vertices"]
