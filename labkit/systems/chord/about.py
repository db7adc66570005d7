"""Chord and the lecture's three questions."""

from labkit.systems.about import About

ABOUT = About(
    title="Chord",
    paper="Stoica, Morris, Karger, Kaashoek, Balakrishnan: Chord, SIGCOMM 2001; Zave's corrected protocol",
    work="Keys and nodes are hashed onto one circle. A key belongs to the first node at or after"
    " it, its successor, so with N nodes each is responsible for about one key in N, and a "
    "node that joins or leaves moves keys only to or from its neighbour.",
    communication="A lookup is passed from node to node along fingers, which point a half, a quarter, an "
    "eighth … of the circle ahead: O(log N) messages, while each node knows O(log N) "
    "others. Every node keeps asking its successor who is between them (stabilize).",
    failure="Each node knows its next few successors (eight, unless the user says otherwise). When one does "
    "not answer in time, the next takes its place; lookups go round it. Values survive as copies on the "
    "nodes that follow, which the application makes: here labkit's store.",
    lecture="chord",
    order=1,
)
