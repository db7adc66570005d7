"""How the members of a ring start: who they are, which id and which machine each gets, and what it knows."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.runtime.cluster import Cluster
from labkit.runtime.errors import MachineDead

from .correct import CorrectChordNode
from .directory import CONTACTS, Directory
from .ids import Peer, identifier
from .nodes import ChordNode, Settled
from .options import Settings
from .sigcomm2001 import Sigcomm2001ChordNode
from .single import IdealRing

__all__ = ["PROTOCOLS", "NodeHandle", "Starting"]

#: Maintenance protocols by name.
PROTOCOLS: dict[str, type[ChordNode]] = {"correct": CorrectChordNode, "sigcomm2001": Sigcomm2001ChordNode}


@dataclass(frozen=True)
class NodeHandle:
    """A member of the ring as the user sees it."""

    name: str
    id: int
    machine: str
    alive: bool = True

    def __str__(self) -> str:
        return self.name


class Starting:
    """Placing members; mixed into ``Chord``, whose attributes it uses."""

    cluster: Cluster
    settings: Settings
    maintenance: str
    virtual_nodes: int
    name: str
    #: Identifier of every member that was started and has not left, dead ones included.
    ids: dict[str, int]
    _started: int
    _directory: str | None
    _machines: list[str] | None

    if TYPE_CHECKING:

        @property
        def nodes(self) -> list[NodeHandle]: ...

    def _start(self, nodes: int, chosen: list[int] | None) -> None:
        """Start the first members as a settled ring; neighbours on the circle live on different machines."""
        groups = []
        for _ in range(nodes):
            groups.append(self._names_for_next())
            self._started += 1
        names = [name for group in groups for name in group]
        for index, name in enumerate(names):
            self.ids[name] = self._fresh_id(name) if chosen is None else chosen[index]
        ring = IdealRing([(id, name) for name, id in self.ids.items()], self.settings.bits)
        homes = self._homes(ring, groups)
        self._start_directory()
        cls = PROTOCOLS[self.maintenance]
        self.cluster.spawn_many(
            (
                cls,
                (
                    peer.id,
                    self.settings,
                    self._settled(ring, peer),
                    self._contacts(ring, peer),
                    self._directory,
                ),
                {},
                peer.name,
                homes[peer.name],
            )
            for peer in ring.peers
        )
        if self.cluster.engine == "sim":
            self.cluster.run(1e-6)  # the members' first step

    def _start_directory(self) -> None:
        """Where maintenance repairs nothing, nobody asks for it."""
        if self.settings.stabilize_every is None:
            return
        known = weakref.ref(self.cluster)  # it must not keep a cluster that its user has forgotten
        ids = self.ids

        def living() -> list[str]:
            cluster = known()
            homes = {} if cluster is None else cluster.nodes
            return [name for name in list(ids) if name in homes and cluster.machine(homes[name]).alive]

        self._directory = f"directory-{self.name}"
        self.cluster.spawn_here(Directory, living, self.settings.timeout, name=self._directory)

    def _settled(self, ring: IdealRing, peer: Peer) -> Settled:
        if len(ring) == 1:
            return Settled(None, (), (None,) * self.settings.bits)
        fingers = tuple(None if finger == peer else finger for finger in ring.fingers(peer.id))
        return Settled(
            ring.predecessor(peer.id), tuple(ring.successors(peer.id, self.settings.successors)), fingers
        )

    def _contacts(self, ring: IdealRing, peer: Peer) -> tuple[str, ...]:
        """Whom to ask for readmission after a crash: members spread over the circle."""
        if self.settings.stabilize_every is None or len(ring) == 1:
            return ()
        here, step = (
            ring.ids.index(peer.id) if len(ring) <= 64 else ring.at_or_after(peer.id),
            max(1, len(ring) // CONTACTS),
        )
        others = [ring.peers[(here + 1 + i * step) % len(ring)].name for i in range(CONTACTS)]
        return tuple(dict.fromkeys(name for name in others if name != peer.name))

    def _homes(self, ring: IdealRing, groups: list[list[str]]) -> dict[str, str]:
        machines = self._machines or [machine.name for machine in self.cluster.machines if machine.alive]
        if self.virtual_nodes == 1:
            return {peer.name: machines[i % len(machines)] for i, peer in enumerate(ring.peers)}
        return {name: machines[i % len(machines)] for i, group in enumerate(groups) for name in group}

    def _home_for(self, id: int) -> str:
        """For a new member: the machine with the fewest of its neighbours, then the fewest nodes."""
        load = {machine.name: [0, 0] for machine in self.cluster.machines if machine.alive}
        if not load:
            raise MachineDead.of_all()
        nodes = [node for node in self.nodes if node.alive]
        if nodes:
            ring = IdealRing([(node.id, node.name) for node in nodes], self.settings.bits)
            reach = max(1, self.settings.replicas - 1)
            at = ring.at_or_after(id)
            near = {ring.peers[(at + i) % len(ring)].name for i in range(-reach, reach)}
            for node in nodes:
                load[node.machine][0] += node.name in near
                load[node.machine][1] += 1
        return min(load, key=lambda machine: load[machine])

    def _names_for_next(self) -> list[str]:
        base = f"{self.name}-{self._started}"
        return [base] if self.virtual_nodes == 1 else [f"{base}.{i}" for i in range(self.virtual_nodes)]

    def _fresh_id(self, name: str) -> int:
        """SHA-1 of the name; should two names collide on a small circle, of the name with a number."""
        taken = (
            set(self.ids.values()) if self.settings.bits < 24 or len(self.ids) > 5000 else self.ids.values()
        )
        id, salt = identifier(name, self.settings.bits), 0
        while id in taken:
            salt += 1
            id = identifier(f"{name}#{salt}", self.settings.bits)
        return id
