"""Graphs: what Pregel, GraphLab, PowerGraph, GraphX and a single thread compute on.

csr         a graph in NumPy arrays, on disk memory-mapped
readers     edge lists, LDBC, Matrix Market, NetworkX, pandas
generate    graphs with a seed, and small ones of a known shape
cuts        which machine gets which vertex (edge cut) or edge (vertex cut), and what a cut costs
pagerank    the definitions of PageRank, which are not the same
oracles     the six algorithms of LDBC Graphalytics on one thread
"""

from labkit.parts.graphs.csr import Graph, only_graph

__all__ = ["Graph", "only_graph"]
