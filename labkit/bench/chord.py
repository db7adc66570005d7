"""How quickly a ring of 10,000 Chord nodes looks keys up in the simulator, beside the bare messages of the
bench ``loop``.

A lookup is the user's call to a member, about six hops, each with its acknowledgement, and the owner's
answer. How many messages that is on average is counted on a sample with the message trace on; the rate is
then measured with the domain trace, which records every hop. The peer is the ``loop`` bench's own rate in the
same run: what the simulator carries when handlers do nothing.
"""

from __future__ import annotations

import gc
import resource
import time
from collections.abc import Iterator
from typing import Any

from labkit.bench import Row, bench, row
from labkit.bench.loop import CALLS, ours
from labkit.runtime import Cluster, gather
from labkit.runtime.copying import stream
from labkit.systems.chord import Chord

NODES = 10_000
LOOKUPS = 20_000
MACHINES = 10
#: Lookups whose messages are counted.
SAMPLE = 500
ROUNDS = 3
PEER = "loop, same trace"


def measure(trace: str, lookups: int = LOOKUPS, at_once: int = LOOKUPS) -> tuple[float, float, int]:
    """Lookups a second, bytes of memory a node, and messages sent (counted with trace="messages" only)."""
    gc.collect()
    before = resident()
    with Cluster(MACHINES, engine="sim", trace=trace, trace_limit=1_000_000) as cluster:
        ring = Chord.stable(cluster, nodes=NODES)
        gc.collect()
        memory = (resident() - before) / NODES
        random = stream(0, "bench")
        names = [node.name for node in ring.nodes]
        origins = [names[random.randrange(NODES)] for _ in range(lookups)]
        todo: Iterator[tuple[int, str]] = iter(enumerate(origins))

        async def worker(client: Any) -> None:
            for number, origin in todo:
                key = f"key-{number}"
                await client.call(origin, "lookup", key, ring.key_id(key), timeout=60.0)

        async def program(client: Any) -> None:
            await gather(*[worker(client) for _ in range(at_once)])

        begun = time.perf_counter()
        cluster.submit(program).result()
        rate = lookups / (time.perf_counter() - begun)
        return rate, memory, len(cluster.trace.filter(kind="sent"))


def resident() -> int:
    """Bytes of memory that this process has in use now."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


@bench("chord")
def chord() -> Iterator[Row]:
    """Messages of 20,000 lookups a second on 10,000 simulated Chord nodes, beside the bench `loop`."""
    _, memory, messages = measure("messages", SAMPLE, SAMPLE)
    per_lookup = messages / SAMPLE
    for at_once, must in ((LOOKUPS, 0.6), (100, None)):
        best, peer = 0.0, 0.0
        for _ in range(ROUNDS):
            best = max(best, measure("domain", LOOKUPS, at_once)[0])
            peer = max(peer, ours(at_once if at_once < CALLS else CALLS, "domain"))
        yield row(f"{at_once:,} at once", "messages/s", best * per_lookup, peer, PEER, must=must)
        yield row(f"{at_once:,} at once", "lookups/s", best)
    yield row("messages per lookup", "messages", per_lookup)
    yield row("memory per node", "kB", memory / 1000)
