"""The parameter server and the lecture's three questions."""

from labkit.systems.about import About

ABOUT = About(
    title="Parameter server",
    paper="Li et al.: Scaling Distributed Machine Learning with the Parameter Server, OSDI 2014",
    work="The training data are divided among workers, the parameters among servers: consistent "
    "hashing gives each server ranges of the keys.",
    communication="Workers pull the parameters that they need and push what they have learned, as ranges "
    "of keys, and never talk to each other. How stale a pulled value may be is a choice: "
    "sequential, bounded delay, eventual; filters leave out what is not worth sending.",
    failure="Each range is copied along a chain of servers before a push is acknowledged; when a "
    "server dies, its neighbour on the ring takes over, and vector clocks keep a repeated "
    "push from counting twice. A dead worker is replaced, or done without.",
    lecture="parameter-server",
    order=3,
)
