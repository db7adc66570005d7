"""Pregel and the lecture's three questions."""

from labkit.systems.about import About

ABOUT = About(
    title="Pregel",
    paper="Malewicz, Austern, Bik, Dehnert, Horn, Leiser, Czajkowski: Pregel: A System for Large-Scale Graph "
    "Processing, SIGMOD 2010",
    work="Vertices are hashed to partitions, and each worker has several of them. In a superstep "
    "every active vertex runs the user's compute; a master lets the next superstep begin when all workers "
    "have ended this one.",
    communication="Vertices send messages along their edges, which arrive in the next superstep; a combiner "
    "makes one of several for the same vertex before they travel. Aggregators go up a tree to the master and "
    "come back with the next superstep.",
    failure="At the beginning of a superstep the partitions may be saved in a distributed file system. When "
    "a worker no longer answers pings, its partitions are given to others, and all return to the last "
    "checkpoint; with confined recovery only the lost partitions compute again, from messages that the "
    "others have logged.",
    lecture="pregel",
    order=7,
)
