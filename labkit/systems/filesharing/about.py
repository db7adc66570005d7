"""Napster, Gnutella and FastTrack, and the lecture's three questions."""

from labkit.systems.about import About

ABOUT = About(
    title="File sharing",
    paper="Napster (OpenNap's napster.txt, 2000), the Gnutella protocol 0.4 and 0.6, FastTrack as measured "
    "by Liang, Kumar and Ross; crawls by Saroiu, Gummadi and Gribble, MMCN 2002",
    work="Every peer keeps the files that it shares; what is divided is the index. Napster's servers "
    "hold all of it, in Gnutella each peer its own part, in FastTrack a supernode that of its nodes.",
    communication="A query goes to one server (Napster), to all neighbours and on to theirs until its TTL is "
    "used up (Gnutella), or over the supernodes alone (FastTrack); hits go back the way the query came. "
    "Files go from peer to peer, pieces of one file from several peers at the same time.",
    failure="Peers come and go. Without its index server Napster finds nothing, while downloads go on; in "
    "Gnutella neighbours of the dead find others in their host caches; ordinary nodes of a dead supernode "
    "give their index to another. A download goes on from another peer.",
    lecture="filesharing",
    order=12,
)
