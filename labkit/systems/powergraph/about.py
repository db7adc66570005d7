"""PowerGraph and the lecture's three questions."""

from labkit.systems.about import About

ABOUT = About(
    title="PowerGraph",
    paper="Gonzalez, Low, Gu, Bickson, Guestrin: PowerGraph: Distributed Graph-Parallel Computation on "
    "Natural Graphs, OSDI 2012",
    work="Edges, not vertices, are divided among the machines: a vertex whose edges are on several machines "
    "has a replica on each, one of them its master. A vertex program is split into gather, apply and "
    "scatter, so that even one vertex of high degree is computed by many machines.",
    communication="Each mirror gathers over its own edges and sends one partial sum to the master, which "
    "applies it and sends the new value to the mirrors; then all scatter. Supersteps with barriers, "
    "asynchronously, or serializably: then adjacent vertices share a fork, and who runs holds all its forks.",
    failure="From time to time, between supersteps or when all is suspended, a snapshot is written into the "
    "file system. When a machine dies, the graph is loaded anew on those that live, and all go on from the "
    "last snapshot.",
    lecture="powergraph",
    order=9,
)
