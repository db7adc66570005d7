"""GraphLab and the lecture's three questions."""

from __future__ import annotations

from labkit.systems.about import About

ABOUT = About(
    title="GraphLab",
    paper="Low, Gonzalez, Kyrola, Bickson, Guestrin, Hellerstein: GraphLab, UAI 2010, and Distributed "
    "GraphLab, VLDB 2012",
    work="The data are a graph, cut into many atoms. An update function reads and writes the scope of one "
    "vertex and returns vertices to be updated; a scheduler holds them, and its order is the user's choice.",
    communication="By shared data: updates see their neighbours' newest values. Ghosts are copies of what "
    "other machines own, and locks or colours keep updates apart whose scopes overlap, as far as the "
    "consistency model asks for it.",
    failure="Snapshots go to a distributed file system, synchronously, or asynchronously as an update "
    "function of its own (Chandy and Lamport). When a machine dies, all go back to the last one.",
    lecture="graphlab",
    order=8,
)
