"""Spark and the lecture's three questions."""

from labkit.systems.about import About

ABOUT = About(
    title="Spark",
    paper="Zaharia et al.: Resilient Distributed Datasets, NSDI 2012",
    work="An RDD is cut into partitions. The driver cuts a job into stages where records must "
    "change places, and a stage into one task for each partition, which it sends to a "
    "machine that has the partition's data, and waits a little rather than send it "
    "elsewhere (delay scheduling).",
    communication="Where one partition needs only one other (a narrow dependency), the task just goes on."
    " Where it needs all of them (a wide one), each map task leaves its output on its own "
    "machine's disk, and each reduce task fetches its part of every output: the shuffle.",
    failure="What was lost is computed again, from the lineage: the graph of transformations that "
    "made it. Lost partitions, lost map outputs, and nothing else. Long lineages are cut by"
    " a checkpoint; slow tasks get a second copy; the driver's own failure is not survived.",
    lecture="spark",
    order=2,
)
