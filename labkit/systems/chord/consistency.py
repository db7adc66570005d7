"""Is the block store linearizable? Clients that use it at the same time, judged by what they were told.

The paper leaves consistency to the layers above. What our store does is in ``store.py``: the one owner of a
key compares versions, so a write that was answered is seen by every later read, as long as a holder of a copy
lives and whoever inherits the key asks for it first. Machines that die do not change that. A network that
falls in two does: members take the others for dead, and each half has an owner of the key.

    failure = search(store_used, failures(), inconsistent)      # labkit.explore.search: None
    store_used(0, halves()).panel()                             # two owners, and a read that shows it
"""

from __future__ import annotations

from labkit.explore.histories import KeyValue, Operation, Recorder, Verdict, from_trace, linearizable
from labkit.runtime.cluster import Cluster
from labkit.runtime.errors import Timeout
from labkit.runtime.faults import Heal, Partition, Schedule
from labkit.runtime.node import Node
from labkit.runtime.sync import gather

from .model import Chord
from .scenarios import LENGTH, MEMBERS

__all__ = ["halves", "inconsistent", "mixed_use", "store_used"]

#: Clients that use the ring at the same time, their keys, and the seconds for which they do.
CLIENTS, KEYS, LASTS = 4, ("x", "y"), 10.0


def mixed_use(ring: Chord, clients: int = CLIENTS, lasts: float = LASTS) -> list[Operation]:
    """Have clients read and write a few keys for some seconds; their history. Every value is written once."""

    async def use(node: Node, number: int) -> None:
        client = Recorder(node, f"client {number}")
        written = 0
        while node.now < until:
            key = KEYS[int(node.random.random() * len(KEYS))]
            try:
                if node.random.random() < 0.5:
                    written += 1
                    value = f"{number}.{written}"
                    await client.call("put", value, ring.client_put(node, key, value), key=key, result=None)
                else:
                    missing = {KeyError: None}
                    await client.call("get", None, ring.client_get(node, key), key=key, answers=missing)
            except (KeyError, Timeout):
                pass
            await node.sleep(0.2 * node.random.random())

    async def program(node: Node) -> None:
        await gather(*[use(node, number) for number in range(1, clients + 1)])

    until = ring.cluster.now + lasts
    ring.cluster.submit(program).result()
    return from_trace(ring.cluster.trace)


def store_used(seed: int, schedule: Schedule) -> Verdict:
    """The small ring of ``scenarios.py`` with three copies of a value, used under a schedule of failures."""
    with Cluster(machines=MEMBERS, engine="sim", seed=seed) as cluster:
        ring = Chord(cluster, MEMBERS, bits=16, successors=LENGTH, replicas=LENGTH)
        cluster.play(schedule)
        return linearizable(mixed_use(ring), KeyValue())


def halves(start: float = 3.0, lasts: float = 5.0) -> Schedule:
    """Every second machine is parted from the others, for some seconds; the clients reach all."""
    machines = [f"m{i}" for i in range(1, MEMBERS + 1)]
    return Schedule([(start, Partition(machines[::2], machines[1::2])), (start + lasts, Heal())])


def inconsistent(verdict: Verdict) -> str:
    """The invariant for the search: what is wrong with the history, or nothing."""
    return str(verdict) if verdict.ok is False else ""
