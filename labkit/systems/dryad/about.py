"""Dryad and the lecture's three questions."""

from labkit.systems.about import About

ABOUT = About(
    title="Dryad",
    paper="Isard, Budiu, Yu, Birrell, Fetterly: Dryad: Distributed Data-Parallel Programs from Sequential "
    "Building Blocks, EuroSys 2007",
    work="A job is an acyclic graph that its user composes: sequential programs are the vertices. A job "
    "manager starts each vertex whose inputs are there on a free computer, near its data, and may "
    "change the graph while the job runs.",
    communication="The edges are channels of items: files on the producer's disk, pipes between two running "
    "vertices, or queues in the memory of one process. Data never flows through the job manager.",
    failure="A vertex that fails is executed again, as a new version; if what it was to read is gone, so "
    "is the vertex that had written it. Vertices joined by pipes fail together, and slow ones get "
    "duplicates. If the job manager dies, the job is terminated.",
    lecture="dryad",
    order=6,
)
