"""The distributed data graph (VLDB 2012, §4.1): atoms, their index, and where they are placed.

The graph is *over-partitioned* into k atoms, many more than there are machines, once. Each atom is a file:
its own vertices and edges, and the *ghosts*, the neighbours that other atoms own. The *atom index* is the
meta-graph: an atom's weight, and how many edges lead from one to another. To place atoms on any number of
machines only the index is looked at; so when a machine is gone, its atoms go to others, and nothing is
partitioned anew.

An edge u→v belongs to the owner of v; the owner of u has a ghost of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from labkit.parts.graphs import cuts
from labkit.runtime.raised import short

from .model import DataGraph
from .scopes import FULL, VERTEX, Item

__all__ = ["Atom", "AtomIndex", "colouring", "cut_of", "cut_up", "place"]


class Atom(NamedTuple):
    """What is in an atom's file."""

    number: int
    vertices: dict[int, Any]  #: own vertices and their values
    edges: dict[Item, Any]  #: own edges and their values
    out: dict[int, Any]  #: by own vertex
    into: dict[int, Any]
    ghosts: dict[int, int]  #: vertices of others next to its own, and their atoms
    degrees: dict[int, int]  #: of the ghosts: how many edges go out of them


class AtomIndex(NamedTuple):
    """The meta-graph."""

    weights: tuple[int, ...]  #: of each atom: vertices and edges
    links: dict[tuple[int, int], int]  #: edges between two atoms, the smaller first

    @property
    def cut(self) -> int:
        """Edges between atoms."""
        return sum(self.links.values())


def cut_of(data: DataGraph, cut: Any, atoms: int) -> Any:
    """The atom of each vertex. cut: "hashed", "grown", or one number for each vertex."""
    n = data.graph.n
    if isinstance(cut, str):
        if cut == "hashed":
            return np.asarray(cuts.hashed(n, atoms))
        if cut == "grown":
            return _grown(data, atoms)
        raise ValueError(f"cut={cut!r}: write 'hashed', 'grown', or the atom of each vertex as a sequence")
    found = np.asarray(cut)
    if found.dtype.kind not in "iu" and n:
        raise TypeError(
            f"cut={short(cut)}: write 'hashed', 'grown', or the atom of each vertex, as [0, 1, 0]"
        )
    if found.shape != (n,) or (n and (found.min() < 0 or found.max() >= atoms)):
        raise ValueError(
            f"cut= has {found.shape} numbers up to {found.max() if found.size else 'none'}: give one for "
            f"each of the {n} vertices, from 0 to {atoms - 1} (machines × atoms - 1)"
        )
    return found


def _grown(data: DataGraph, atoms: int) -> Any:
    """Pieces that hang together: vertices breadth first, cut into runs of equal length. A heuristic, for
    graphs with few long edges; the paper takes one of ParMetis."""
    out, into = data.neighbours()
    order: list[int] = []
    seen = np.zeros(data.graph.n, bool)
    for root in range(data.graph.n):
        if not seen[root]:
            seen[root] = True
            at = len(order)
            order.append(root)
            while at < len(order):
                for u in np.union1d(out[order[at]], into[order[at]]):
                    if not seen[u]:
                        seen[u] = True
                        order.append(int(u))
                at += 1
    found = np.empty(data.graph.n, np.int64)
    found[order] = np.arange(len(order)) * atoms // max(len(order), 1)
    return found


def cut_up(data: DataGraph, atom_of: Any, atoms: int) -> tuple[list[Atom], AtomIndex]:
    """All atoms, and the index."""
    out, into = data.neighbours()
    directed = data.graph.directed
    found = [Atom(a, {}, {}, {}, {}, {}, {}) for a in range(atoms)]
    weights = [0] * atoms
    links: dict[tuple[int, int], int] = {}
    for v in range(data.graph.n):
        a = int(atom_of[v])
        atom = found[a]
        atom.vertices[v], atom.out[v], atom.into[v] = data.vertex(v), out[v], into[v]
        weights[a] += 1 + len(into[v])
        for u in into[v].tolist():
            if data.edges is not None and (directed or u < v):
                atom.edges[u, v] = data.edge(u, v)
        for u in np.union1d(out[v], into[v]).tolist():
            b = int(atom_of[u])
            if a != b:
                atom.ghosts[u], atom.degrees[u] = b, len(out[u])
                if a < b:
                    links[a, b] = links.get((a, b), 0) + 1
    return found, AtomIndex(tuple(weights), links)


def place(index: AtomIndex, machines: Sequence[str]) -> tuple[str, ...]:
    """The machine of each atom: the heaviest first, to where most of its edges lead, unless that machine has
    its share already."""
    atoms = range(len(index.weights))
    load = dict.fromkeys(machines, 0)
    share = sum(index.weights) / len(machines)
    near: dict[int, dict[int, int]] = {a: {} for a in atoms}
    for (a, b), number in sorted(index.links.items()):
        near[a][b] = near[b][a] = number
    found: dict[int, str] = {}
    for a in sorted(atoms, key=lambda a: (-index.weights[a], a)):
        pull = dict.fromkeys(machines, 0)
        for b, number in near[a].items():
            if b in found:
                pull[found[b]] += number
        room = [m for m in machines if load[m] + index.weights[a] <= share * 1.05 or not load[m]]
        best = max(room, key=lambda m: (pull[m], -load[m])) if room else min(load, key=load.__getitem__)
        found[a] = best
        load[best] += index.weights[a]
    return tuple(found[a] for a in atoms)


def colouring(data: DataGraph, consistency: str) -> Any:
    """A colour for each vertex, so that vertices of one colour may be updated at the same time (VLDB §4.2.1):
    for edge consistency neighbours differ, for full consistency also neighbours of neighbours, and for vertex
    consistency all have the same. Greedy, the vertices in order."""
    n = data.graph.n
    colours = np.zeros(n, np.int32)
    if consistency == VERTEX:
        return colours
    out, into = data.neighbours()
    around: Mapping[int, Any] = {v: np.union1d(out[v], into[v]) for v in range(n)}
    for v in range(n):
        near = around[v]
        if consistency == FULL and len(near):
            near = np.unique(np.concatenate([near, *(around[u] for u in near.tolist())]))
        taken = set(colours[near[near < v]].tolist())
        colours[v] = next(c for c in range(len(taken) + 1) if c not in taken)
    return colours
