"""What can be chosen, and what every node is told."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, NamedTuple

from labkit.parts.options import (
    Rule,
    checked,
    number,
    one_of,
    outlasts,
    probability,
    seconds,
    settle,
    switch,
    whole,
)
from labkit.runtime.copying import stable_hash, stream

from .topology import TOPOLOGIES

__all__ = ["ARCHITECTURES", "STRATEGIES", "Options", "Profile", "given", "nodes_of", "profile", "servent_id"]

#: "gnutella" is 0.4, "ultrapeers" is Gnutella 0.6.
ARCHITECTURES = ("napster", "gnutella", "ultrapeers", "fasttrack", "chord")
STRATEGIES = ("flood", "expanding ring", "random walk")
#: Above this many peers nothing of single queries and links is told in the trace: nobody could watch it.
ANNOUNCED_UP_TO = 1000


@dataclass(frozen=True)
class Options:
    """All that can be chosen. Times in seconds."""

    architecture: str = "gnutella"  #: one of ``ARCHITECTURES``
    peers: int = 24  #: at the start, >= 2
    files: int = 60  #: different ones in the collection, >= 1
    copies: float = 2.0  #: of each on average, >= 1; the popular ones have most
    free_riders: float = 0.26  #: part of the peers that share nothing (Saroiu et al., as reported)
    firewalled: float = 0.0  #: part of the peers to which nobody can connect
    topology: str = "power law"  #: of the overlay at the start: one of ``TOPOLOGIES``
    degree: int = 4  #: links of a peer on average, >= 1, and what it tries to have later
    ttl: int = 7  #: of a query, 1 to 255 (0.4's usual)
    strategy: str = "flood"  #: how Gnutella 0.4 searches: one of ``STRATEGIES``
    walkers: int = 8  #: of a random walk, 1 to 1,000
    walk_ttl: int = 64  #: of each walker, 1 to 255
    wanted: int = 150  #: hits at which a search ends before its time (0.6: 150, and 50 for a leaf)
    search_wait: float = 1.0  #: for hits; of an expanding ring, for each ring
    hop_wait: float = 0.1  #: of a dynamic query (0.6), for each hop of the TTL (gtk-gnutella waits 2.4)
    pong_cache: bool = True  #: answer pings from a cache; False: pings flood as queries do (0.4)
    reforward: bool = False  #: send a duplicate on that has a higher TTL (gtk-gnutella)
    route_expiry: float = 60.0  #: a GUID and its way back are remembered for so long at least
    servers: int = 1  #: index servers of Napster, >= 1; a search sees the users of one
    hubs: float = 0.2  #: part of the peers that are ultrapeers or supernodes at the start
    leaves: int = 8  #: that one of them takes at most (0.6: 10 to 100), >= 1
    ping_every: float | None = 1.0  #: between two signs of life; None: no maintenance at all
    timeout: float = 4.0  #: silence after which a neighbour or a user is given up; > 2 pings
    call_timeout: float = 0.5  #: for an answer
    session: float | None = None  #: a peer stays for so long on average, some far longer; None: for ever
    absent: float = 30.0  #: and is away for so long on average
    sources: int = 4  #: from which one file is loaded at the same time, >= 1
    announce: bool | None = None  #: tell the trace of queries and links; unless given, up to 1,000 peers
    name: str = "peer"  #: before the numbers of the peers

    def __post_init__(self) -> None:
        settle(self, RULES)
        if self.ping_every is not None:
            outlasts(self.timeout, "ping_every", self.ping_every, "give up neighbours that are there")

    @property
    def announced(self) -> bool:
        """Whether the trace hears of queries and links."""
        return self.peers <= ANNOUNCED_UP_TO if self.announce is None else self.announce

    @property
    def hosts(self) -> str:
        """The name of the host cache."""
        return f"{self.name}-hosts"

    @property
    def two_tier(self) -> bool:
        """Whether some peers shield others."""
        return self.architecture in ("ultrapeers", "fasttrack")

    def peer(self, number: int) -> str:
        """A peer's name."""
        return f"{self.name}-{number}"

    def server(self, number: int) -> str:
        """The name of the index server that this peer logs in at."""
        return f"{self.name}-server-{number % self.servers}"

    def number(self, peer: str) -> int:
        """A peer's number."""
        return int(peer.removeprefix(f"{self.name}-"))


def _word(value: Any) -> str:
    """A name that Napster's messages, which are words, can hold. Raises ``ValueError``."""
    if not isinstance(value, str) or not value.isprintable() or value.split() != [value] or '"' in value:
        raise ValueError
    return value


#: What each must be by itself.
RULES: dict[str, Rule] = {
    "architecture": one_of(ARCHITECTURES),
    "peers": whole(2, 2**24 - 1, says="from 2 peers to 2**24 - 1, as many as have an address", write=24),
    "files": whole(1, write=60),
    "copies": number(1, says="a number >= 1", write=2.0),
    "free_riders": probability(),
    "firewalled": probability(),
    "topology": one_of(tuple(TOPOLOGIES)),
    "degree": whole(1, write=4),
    "ttl": whole(1, 255, says="a TTL is a byte, from 1 to 255", write=7),
    "strategy": one_of(STRATEGIES),
    "walkers": whole(1, 1000, write=8),
    "walk_ttl": whole(1, 255, says="a TTL is a byte, from 1 to 255", write=64),
    "wanted": whole(1, write=150),
    "search_wait": seconds(),
    "hop_wait": seconds(write=0.1),
    "pong_cache": switch,
    "reforward": switch,
    "route_expiry": seconds(write=60.0),
    "servers": whole(1, write=1),
    "hubs": probability(says="a part of the peers, from 0 to 1", write=0.2),
    "leaves": whole(1, write=8),
    "ping_every": seconds().or_none(),
    "timeout": seconds(write=4.0),
    "call_timeout": seconds(write=0.5),
    "session": seconds(write=60.0).or_none(),
    "absent": seconds(write=30.0),
    "sources": whole(1, write=4),
    "announce": switch.or_none(),
    "name": Rule(_word, "peers are called after it: text without spaces and quotes", ("peer",)),
}


def given(options: dict[str, Any]) -> Options:
    """Options by name; raises ``TypeError`` naming those there are, ``ValueError``."""
    return Options(
        **checked("FileSharing", options, {field.name: RULES[field.name] for field in fields(Options)})
    )


def nodes_of(system: str) -> re.Pattern[str]:
    """Names of a system's peers and servers: ``peer-2-0`` is one of "peer-2", not of "peer"."""
    return re.compile(rf"{re.escape(system)}-(server-)?\d+")


@lru_cache(maxsize=65536)
def servent_id(system: str, number: int) -> bytes:
    """The 16 bytes by which a peer is known in hits and pushes."""
    return stable_hash("servent", system, number, bits=128).to_bytes(16, "little")


class Profile(NamedTuple):
    """What kind of host a peer is."""

    speed: int  #: kB/s, up and down
    firewalled: bool
    session: float  #: how much longer than on average it stays


#: Modem, ISDN, DSL, cable, campus: kB/s, and how many of 100 peers. Shaped as Saroiu's figures, not taken
#: from them.
SPEEDS = ((7, 20), (16, 10), (64, 30), (128, 30), (1250, 10))


@lru_cache(maxsize=65536)
def profile(seed: int, number: int, firewalled: float) -> Profile:
    """The host of a peer: the same for whoever asks. Few stay long: Pareto's, with a mean of 1."""
    random = stream(seed, "profile", number)
    speed = random.choices([speed for speed, _ in SPEEDS], [share for _, share in SPEEDS])[0]
    return Profile(speed, random.random() < firewalled, random.paretovariate(1.5) / 3)
