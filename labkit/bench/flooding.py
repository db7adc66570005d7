"""How quickly a query floods a simulated Gnutella of 10,000 peers, beside calls of the bench ``loop``.

Ours: an overlay of 10,000 servents with eight links each, and queries that reach all of them. Each message is
a real descriptor of the protocol, looked at for its GUID, answered from the library, and sent on with another
TTL. The peer: the messages of six-hop calls that ``loop`` measures, in which a node only hands a number on.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator

from labkit.bench import Row, bench, row
from labkit.bench.loop import CALLS, ours
from labkit.runtime import Cluster
from labkit.systems.filesharing import FileSharing
from labkit.systems.filesharing.topology import edges

PEERS, DEGREE, QUERIES, ROUNDS = 10_000, 8, 3, 3
PEER = "calls of the bench loop"


class Flood:
    """An overlay that stays as it is."""

    def __init__(self, cluster: Cluster, architecture: str = "gnutella") -> None:
        self.sharing = FileSharing(
            cluster, architecture=architecture, peers=PEERS, files=2000, degree=DEGREE, topology="random",
            ttl=30, ping_every=None, search_wait=1.0,
        )  # fmt: skip
        cluster.run(0.1)
        self.origin = 0

    def messages_a_second(self) -> float:
        """Of some queries, one after the other, with all that answering them takes."""
        gc.collect()
        begun = time.perf_counter()
        for _ in range(QUERIES):
            self.origin += 1
            self.sharing.search("moon river", at=self.origin)
        taken = time.perf_counter() - begun
        return QUERIES * (2 * edges(self.sharing._plan.graph) - PEERS + 1) / taken


@bench("flooding")
def flooding() -> Iterator[Row]:
    """Query messages a second in a simulated Gnutella of 10,000 peers, beside the calls of the bench loop."""
    with Cluster(10, engine="sim") as cluster:
        flood = Flood(cluster)
        mine = peer = 0.0
        for _ in range(ROUNDS):
            mine = max(mine, flood.messages_a_second())
            peer = max(peer, ours(CALLS, "domain"))
    yield row(f"{PEERS:,} peers, {DEGREE} links each", "messages/s", mine, peer, PEER, must=0.5)
