"""GraphX (Gonzalez et al., OSDI 2014): graphs as two RDDs of labkit's Spark.

Begin with ``model.py``, the programming model: graphs, and what can be done with them.

=======================  =================================================================================
``triplets.py``          what the user's functions see: edges, triplets, or all of them as arrays
``strategies.py``        vertex cuts
``vertex_partition.py``  vertices with index, bits and routing table
``edge_partition.py``    edges clustered by source, and replicas of their vertices
``rdds.py``              the two RDDs; ``columns.py``: attributes in arrays; ``structure.py``: on edges
``replicated.py``        the triplets join: vertices to the edges, messages back
``routing.py``           which vertices go to which edges
``bytecode.py``          join elimination; ``merging.py``: combining messages; ``packing.py``: fewer bytes
``pregel.py``            the loop; ``algorithms.py``: PageRank, components …; ``graphalytics.py``: LDBC's six
``context.py``           ``GraphX``: the switches, and what is told to the trace
``view.py``              what that adds up to; ``invariants.py``: what must hold
=======================  =================================================================================

All else is ``labkit.systems.spark``: placement, shuffles, caching, and what is done when a machine dies.
"""

from .context import GraphX
from .model import Graph
from .rdds import EdgeRDD, VertexRDD
from .readers import GraphLoader
from .strategies import (
    STRATEGIES,
    CanonicalRandomVertexCut,
    EdgePartition1D,
    EdgePartition2D,
    PartitionStrategy,
    RandomVertexCut,
)
from .triplets import Edge, EdgeContext, EdgeDirection, EdgeTriplet, TripletFields, arrays

__all__ = [
    "STRATEGIES", "CanonicalRandomVertexCut", "Edge", "EdgeContext", "EdgeDirection", "EdgePartition1D",
    "EdgePartition2D", "EdgeRDD", "EdgeTriplet", "Graph", "GraphLoader", "GraphX", "PartitionStrategy",
    "RandomVertexCut", "TripletFields", "VertexRDD", "arrays",
]  # fmt: skip
