"""How a system starts: who shares what, who is whose neighbour, who is a hub, and on which machine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from labkit.runtime.cluster import Cluster
from labkit.runtime.copying import stream
from labkit.runtime.node import Node

from .collection import SharedFile, collection
from .nodes import FastTrackPeer, HostCache, IndexServer, NapsterPeer, Peer, Servent, Ultrapeer
from .nodes.twotier import score
from .options import Options, profile
from .topology import Graph, generate

__all__ = ["PEERS", "Plan", "planned", "start"]

#: The class of an architecture's peers.
PEERS: dict[str, type[Peer]] = {
    "napster": NapsterPeer,
    "gnutella": Servent,
    "ultrapeers": Ultrapeer,
    "fasttrack": FastTrackPeer,
    "chord": Peer,
}
#: Ultrapeers or supernodes that a leaf is connected to at the start.
HUBS_OF_A_LEAF = {"ultrapeers": 2, "fasttrack": 1}


class Plan:
    """Who is who at the start, which follows from options and seed alone."""

    def __init__(self, options: Options, seed: int) -> None:
        self.options, self.seed = options, seed
        self.libraries = collection(seed, options.peers, options.files, options.copies, options.free_riders)
        self.roles = ["peer"] * options.peers
        self.graph: Graph = [[] for _ in range(options.peers)]
        if options.architecture == "gnutella":
            self.graph = generate(options.topology, options.peers, options.degree, seed)
        elif options.two_tier:
            self._two_tiers()

    def _two_tiers(self) -> None:
        """The strongest hosts that anybody can connect to are hubs; leaves take those with most room."""
        options, seed = self.options, self.seed
        hub = "ultrapeer" if options.architecture == "ultrapeers" else "supernode"
        hosts = [profile(seed, number, options.firewalled) for number in range(options.peers)]
        open_hosts = [number for number, host in enumerate(hosts) if not host.firewalled] or [0]
        strongest = sorted(open_hosts, key=lambda number: (-score(hosts[number].speed, 0.0), number))
        least = -(-options.peers // (options.leaves + 1))
        hubs = strongest[: max(1, least, round(options.peers * options.hubs))]
        overlay = generate(options.topology, len(hubs), options.degree, seed)
        self.roles = ["leaf"] * options.peers
        links: list[set[int]] = [set() for _ in range(options.peers)]
        for at, number in enumerate(hubs):
            self.roles[number] = hub
            links[number] |= {hubs[other] for other in overlay[at]}
        room = dict.fromkeys(hubs, options.leaves)
        random = stream(seed, "leaves")
        for number in range(options.peers):
            if self.roles[number] == "leaf":
                free = [each for each in hubs if room[each] > 0] or hubs
                for chosen in random.sample(free, min(HUBS_OF_A_LEAF[options.architecture], len(free))):
                    room[chosen] -= 1
                    links[number].add(chosen)
                    links[chosen].add(number)
        self.graph = [sorted(each) for each in links]

    def peer(self, number: int, machine: str, cls: type[Peer]) -> tuple[Any, ...]:
        """What ``spawn_many`` needs for one."""
        options = self.options
        more: tuple[Any, ...] = ()
        if issubclass(cls, Servent):
            links = tuple((options.peer(other), self.roles[other]) for other in self.graph[number])
            more = (links, self.roles[number])
        args = (number, options, self.libraries[number], *more)
        return cls, args, {}, options.peer(number), machine


def planned(options: Options, seed: int) -> Plan:
    """The plan. Whether the trace hears of queries is settled now: later peers must not change it."""
    return Plan(replace(options, announce=options.announced), seed)


def start(cluster: Cluster, plan: Plan, cls: type[Peer] | None, server: type[Node] = IndexServer) -> None:
    """Start servers and peers. The servers have the first machine for themselves, if there is another."""
    options = plan.options
    machines = [machine.name for machine in cluster.machines if machine.alive]
    first, others = machines[0], machines[1:] or machines
    if options.architecture == "napster":
        cluster.spawn_many(
            (server, (options,), {}, options.server(number), first) for number in range(options.servers)
        )
    elif options.architecture != "chord":
        known = tuple(options.peer(n) for n in range(options.peers) if plan.roles[n] != "leaf")
        cluster.spawn(HostCache, known, name=options.hosts, machine=first)
    cls = cls or PEERS[options.architecture]
    cluster.spawn_many(
        plan.peer(number, others[number % len(others)], cls) for number in range(options.peers)
    )


def joining(options: Options, number: int, files: tuple[SharedFile, ...], cls: type[Peer]) -> tuple[Any, ...]:
    """Arguments of a peer that comes later: it has to find its neighbours itself."""
    more = ((), "leaf") if options.two_tier else ()
    return (number, options, files, *more) if issubclass(cls, Servent) else (number, options, files)
