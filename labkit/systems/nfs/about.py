"""NFS and the lecture's three questions."""

from labkit.systems.about import About

ABOUT = About(
    title="NFS",
    paper="Sandberg, Goldberg, Kleiman, Walsh, Lyon: Design and Implementation of the Sun Network "
    "Filesystem, USENIX 1985",
    work="One server keeps the files on its disk and carries out 17 small procedures; the clients do all the "
    "rest: they walk paths, remember which files are open, cache attributes, names and blocks.",
    communication="Remote procedure calls, one at a time, that say everything: which file (by a handle that "
    "only the server understands), where in it, how much, for whom. The server remembers nothing of a client "
    "between two calls.",
    failure="The server answers a change when it is on its disk, so a server that crashed needs nothing but "
    "to start again. A client repeats a call until it is answered; it cannot tell a dead server from a slow "
    "one. What is not idempotent may then be done twice, unless the server remembers its last replies.",
    lecture="nfs",
    order=11,
)
