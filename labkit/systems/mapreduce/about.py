"""MapReduce and the lecture's three questions."""

from labkit.systems.about import About

ABOUT = About(
    title="MapReduce",
    paper="Dean, Ghemawat: MapReduce: Simplified Data Processing on Large Clusters, OSDI 2004",
    work="The input is cut into M pieces, a map task each; the intermediate keys are divided among R reduce "
    "tasks. A master gives idle workers one task at a time, a map task near a copy of its piece.",
    communication="Map tasks leave R regions each on their worker's own disk; the master tells the reduce "
    "workers where, and they fetch, sort and merge them. Input and output are files of a distributed file "
    "system.",
    failure="The master pings the workers. What a silent one had in progress is done again elsewhere, and so "
    "are its completed map tasks, since their output died with its disk; completed reduce tasks stay. Near "
    "the end, backup tasks race with stragglers. If the master dies, the job is aborted.",
    lecture="mapreduce",
    order=4,
)
