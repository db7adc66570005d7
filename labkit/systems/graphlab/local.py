"""A machine's part of the data graph: what it owns, its ghosts, and who has ghosts of its own (VLDB §4.1).

"Ghosts are used as local caches for their true counterparts across the network; cache coherence is managed
using a simple versioning system." The owner makes an item's versions, one after the other, and pushes each
new one to the machines that have a ghost of it; a ghost only ever becomes newer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .atoms import Atom
from .scopes import Item, Record

__all__ = ["LocalGraph", "shown"]


def shown(item: Item) -> str:
    """An item as events name it: ``7``, or ``7→8`` for an edge."""
    return f"{item[0]}→{item[1]}" if isinstance(item, tuple) else str(item)


class LocalGraph:
    """See the module's text; a ``Store`` for scopes."""

    def __init__(self, n: int, directed: bool, machine: str, atoms: Iterable[Atom], place: tuple[str, ...]):
        self.n, self.directed, self.machine = n, directed, machine
        self.out: dict[int, Any] = {}
        self.into: dict[int, Any] = {}
        self.around: dict[int, Any] = {}  #: by own vertex its neighbours, sorted
        self.records: dict[Item, Record] = {}  #: own items and ghosts
        self.owner: dict[int, str] = {}
        self.atom: dict[int, int] = {}  #: of own vertices
        self.degrees: dict[int, int] = {}
        self.marks: dict[int, int] = {}  #: by vertex, ghosts too: the last snapshot that it is in
        for atom in atoms:
            self.out |= atom.out
            self.into |= atom.into
            self.degrees |= atom.degrees
            self.owner |= {u: place[a] for u, a in atom.ghosts.items()}
            self.owner |= dict.fromkeys(atom.vertices, machine)
            self.atom |= dict.fromkeys(atom.vertices, atom.number)
            self.records |= {v: (value, 0) for v, value in atom.vertices.items()}
            self.records |= {edge: (value, 0) for edge, value in atom.edges.items()}
        self.own = sorted(self.out)
        for v in self.own:
            self.around[v] = np.union1d(self.out[v], self.into[v]).astype(np.int64)
            self.degrees[v] = len(self.out[v])
        #: By own vertex the machines that have a ghost of it.
        self.mirrors = {
            v: tuple(sorted({self.owner[u] for u in near.tolist()} - {machine}))
            for v, near in self.around.items()
        }

    def record(self, item: Item) -> Record:
        """Value and version."""
        return self.records[item]

    def degree(self, u: int) -> int:
        """Edges that go out of a vertex or ghost."""
        return self.degrees[u]

    def owner_of(self, item: Item) -> str:
        """The machine whose item it is."""
        return self.owner[item[1] if isinstance(item, tuple) else item]

    def ghosted_at(self, item: Item) -> tuple[str, ...]:
        """The machines that have a ghost of an own item."""
        if isinstance(item, tuple):
            other = self.owner[item[0]]
            return () if other == self.machine else (other,)
        return self.mirrors[item]

    def edges_of(self, v: int, u: int) -> list[Item]:
        """The edges between two vertices that have data."""
        return [each for each in ((v, u), (u, v)) if each in self.records]

    def write(self, item: Item, value: Any) -> Record:
        """A new version of an own item."""
        found = self.records[item] = (value, self.records[item][1] + 1)
        return found

    def take(self, records: Mapping[Item, Record]) -> None:
        """What an owner has pushed, unless the ghost is as new."""
        for item, record in records.items():
            before = self.records.get(item)
            if before is None or record[1] > before[1]:
                self.records[item] = record

    def own_items(self) -> dict[Item, Record]:
        """All that a snapshot saves."""
        mine = self.machine
        return {item: record for item, record in self.records.items() if self.owner_of(item) == mine}

    def for_ghosts(self) -> dict[str, dict[Item, Record]]:
        """By machine what it has ghosts of."""
        found: dict[str, dict[Item, Record]] = {}
        for item, record in self.own_items().items():
            for machine in self.ghosted_at(item):
                found.setdefault(machine, {})[item] = record
        return found
