"""How quickly the simulator carries calls, beside SimPy processing bare timeouts.

Ours: 1,000 nodes on 10 machines and 20,000 calls of six hops. Each hop is a real call of one node by another,
    with a timeout of
5 s and a random latency each way, so a call is twelve messages. SimPy: as many processes, each of twelve
timeouts as long as our latencies, and nothing else: no message, no copy, no answer, no trace.

How many are under way at the same time matters as much as anything: a heap of 20,000 entries and what they
    refer to do not
fit a processor's cache, and both become slower. The promise is about 20,000; with 100 the comparison is
printed as well.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from labkit.bench import Row, bench, row
from labkit.runtime import Cluster, Node, gather, rpc
from labkit.runtime.collecting import rare_collections
from labkit.runtime.sim import DEFAULT_LATENCY

NODES = 1_000
MACHINES = 10
CALLS = 20_000
HOPS = 6
MESSAGES = CALLS * HOPS * 2
#: Each measurement is repeated in turn with the others, and the best of each counts: the one that was
#: disturbed least.
ROUNDS = 5
PEER = "SimPy, bare timeouts"


class Hop(Node):
    """Asks on, until no hop is left."""

    def __init__(self, number: int) -> None:
        self.number = number

    def _next(self, key: int) -> str:
        return f"hop-{(self.number * 7 + key) % NODES}"

    @rpc
    def ask(self, key: int, hops: int) -> Any:
        """A plain handler that hands on the answer of the next node."""
        if hops == 1:
            return self.number
        return self.call(self._next(key), "ask", key, hops - 1, timeout=5.0)

    @rpc
    async def ask_and_wait(self, key: int, hops: int) -> int:
        """The same as a coroutine, which could do something with the answer."""
        if hops == 1:
            return self.number
        return await self.call(self._next(key), "ask_and_wait", key, hops - 1, timeout=5.0)


def ours(at_once: int, trace: str, method: str = "ask") -> float:
    """Messages a second."""
    with Cluster(MACHINES, engine="sim", trace=trace) as cluster:
        cluster.spawn_many((Hop, (n,), {}, f"hop-{n}", f"m{1 + n % MACHINES}") for n in range(NODES))

        async def one_after_another(client: Any, worker: int) -> None:
            for number in range(CALLS // at_once):
                key = worker * 31 + number
                await client.call(f"hop-{key % NODES}", method, key, HOPS, timeout=5.0)

        async def program(client: Any) -> None:
            await gather(*[one_after_another(client, worker) for worker in range(at_once)])

        return _rate(lambda: cluster.submit(program).result())


def simpy_timeouts(at_once: int) -> float:
    """Timeouts a second."""
    import simpy

    environment = simpy.Environment()
    random = Random(0)

    def process() -> Iterator[Any]:
        for _ in range(MESSAGES // at_once):
            yield environment.timeout(random.uniform(DEFAULT_LATENCY.low, DEFAULT_LATENCY.high))

    for _ in range(at_once):
        environment.process(process())
    return _rate(environment.run)


def simpy_collecting_rarely(at_once: int) -> float:
    """The same while Python's garbage collector runs as rarely as under our simulator."""
    with rare_collections():
        return simpy_timeouts(at_once)


def _rate(work: Callable[[], Any]) -> float:
    gc.collect()
    begun = time.perf_counter()
    work()
    return MESSAGES / (time.perf_counter() - begun)


@bench("loop")
def loop() -> Iterator[Row]:
    """Messages of six-hop calls a second in the simulator, beside SimPy processing bare timeouts."""
    for at_once in (CALLS, 100):
        measured = _in_turn(
            {
                PEER: lambda n=at_once: simpy_timeouts(n),
                "domain": lambda n=at_once: ours(n, "domain"),
                "messages": lambda n=at_once: ours(n, "messages"),
                "rarely": lambda n=at_once: simpy_collecting_rarely(n),
                "domain, async": lambda n=at_once: ours(n, "domain", "ask_and_wait"),
                "messages, async": lambda n=at_once: ours(n, "messages", "ask_and_wait"),
            }
        )
        promised = {"domain": 0.8, "messages": 0.4} if at_once == CALLS else {}
        peer, rarely = measured[PEER], measured["rarely"]
        for trace in ("domain", "messages"):
            case = f"{at_once:,} at once, {trace} trace"
            yield row(case, "messages/s", measured[trace], peer, PEER, must=promised.get(trace))
        for trace in ("domain", "messages"):
            case = f"{at_once:,} at once, {trace}, async"
            yield row(case, "messages/s", measured[f"{trace}, async"], peer, PEER)
        yield row(
            f"{at_once:,} at once, domain trace",
            "messages/s",
            measured["domain"],
            rarely,
            "SimPy, collecting rarely",
        )


def _in_turn(measurements: dict[str, Callable[[], float]]) -> dict[str, float]:
    best = dict.fromkeys(measurements, 0.0)
    for _ in range(ROUNDS):
        for name, measure in measurements.items():
            best[name] = max(best[name], measure())
    return best
