"""HaLoop and the lecture's three questions."""

from labkit.systems.about import About

ABOUT = About(
    title="HaLoop",
    paper="Bu, Howe, Balazinska, Ernst: HaLoop: Efficient Iterative Data Processing on Large Clusters, "
    "VLDB 2010",
    work="As MapReduce's, for a body of map-reduce steps that the master repeats: its loop control begins "
    "the next iteration, and its scheduler gives a task to the worker that had the same piece in the "
    "iteration before.",
    communication="As MapReduce's. What does not change from one iteration to the next stays on the "
    "workers' own disks, in caches of the reducers' input, of their output and of the mappers' input, and "
    "is not sent again.",
    failure="As MapReduce's. A cache that died with its worker, or whose task has moved, is loaded again: "
    "the reducers' input from the map outputs of the first iteration, the two others from the file system.",
    lecture="haloop",
    order=5,
)
