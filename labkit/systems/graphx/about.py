"""GraphX and the lecture's three questions."""

from labkit.systems.about import About

ABOUT = About(
    title="GraphX",
    paper="Gonzalez, Xin, Dave, Crankshaw, Franklin, Stoica: GraphX: Graph Processing in a Distributed "
    "Dataflow Framework, OSDI 2014",
    work="A graph is two RDDs: vertices, placed by a hash of their ids, and edges, placed by a vertex cut. "
    "The work on edges is done where the edges are, that on vertices where the vertices are.",
    communication="A routing table says which edge partitions need a vertex. Its attribute is shipped there, "
    "joined with the edges, and messages come back, combined by target: two shuffles of Spark's in an "
    "iteration. What has not changed, and what the function does not read, is not shipped.",
    failure="As Spark's: what a machine had of the graph is computed again from the lineage, "
    "from shuffle outputs that others still have.",
    lecture="graphx",
    order=10,
)
