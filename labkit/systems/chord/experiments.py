"""The evaluation of the SIGCOMM 2001 paper (section 6), reproduced in the simulator.

Each function runs one experiment and returns a table with the paper's numbers beside ours, and those of an
independent simulation (``parts/experiments.py``). Path lengths, failures and churn go
through the real nodes and their messages; loads through the real placement of keys. Defaults take seconds;
``full=True`` uses the paper's sizes and takes minutes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from labkit.parts.experiments import beside, sweep
from labkit.runtime.cluster import Cluster
from labkit.runtime.copying import stream
from labkit.runtime.errors import LabError
from labkit.runtime.network import Exponential, Network
from labkit.runtime.node import Node
from labkit.runtime.sync import gather

from .ids import identifier
from .model import Chord
from .routing import Found
from .single import IdealRing

__all__ = [
    "churn",
    "half_failures",
    "load",
    "path_length",
    "path_length_distribution",
    "simultaneous_failures",
    "virtual_nodes",
]

#: Bits of identifiers in the experiments on placement: enough that no two of a million keys collide often.
BITS = 60

#: Lookups under way at the same time.
CONCURRENCY = 64


# --- how evenly keys are spread: Figures 8 and 9 --------------------------------------------------------


def load(
    nodes: int = 1000, keys: Iterable[int] | None = None, seed: int = 0, full: bool = False
) -> pd.DataFrame:
    """Keys per node (Fig. 8): mean, 1st and 99th percentile and maximum, for growing numbers of keys.

    The paper: with 10,000 nodes and 500,000 keys the maximum is 457 = 9.1 times the mean, the 99th percentile
    4.6 times, and some nodes have none.
    """
    nodes = 10_000 if full else nodes
    counts = list(keys) if keys is not None else [nodes * per for per in range(10, 101, 10)]
    ring = _places(f"{seed}:node-{i}" for i in range(nodes))
    everything = _places(f"{seed}:key-{i}" for i in range(max(counts)))
    table = sweep("keys", counts, lambda count: _spread(ring, np.arange(nodes), everything[:count], nodes))
    at_fifty = table["mean"] == 50
    table["paper p99/mean"] = np.where(at_fifty, 4.6, np.nan)
    table["paper max/mean"] = np.where(at_fifty, 9.1, np.nan)
    return table


def virtual_nodes(
    nodes: int = 1000,
    keys_per_node: int = 100,
    r: Sequence[int] = (1, 2, 5, 10, 20),
    seed: int = 0,
    full: bool = False,
) -> pd.DataFrame:
    """Keys per real node with r virtual nodes each (Fig. 9), as multiples of the mean.

    The paper: from r = 1 to 20 the 99th percentile falls from 4.8 to 1.6 times the mean, the 1st rises from 0
    to 0.5.
    """
    nodes = 10_000 if full else nodes
    keys = _places(f"{seed}:key-{i}" for i in range(nodes * keys_per_node))

    def run(count: int) -> dict[str, float]:
        ring = _places(f"{seed}:node-{i}.{v}" for i in range(nodes) for v in range(count))
        return _spread(ring, np.repeat(np.arange(nodes), count), keys, nodes)

    table = sweep("virtual nodes", r, run)[["p1/mean", "p99/mean"]]
    beside(table, "paper p1/mean", {1: 0.0, 20: 0.5})
    beside(table, "paper p99/mean", {1: 4.8, 20: 1.6})
    beside(table, "independent p99/mean", {1: 4.72, 2: 3.27, 5: 2.31, 10: 1.93, 20: 1.65})
    return table


def _places(names: Iterable[str]) -> np.ndarray[Any, Any]:
    return np.fromiter((identifier(name, BITS) for name in names), dtype=np.uint64)


def _spread(
    ring: np.ndarray[Any, Any], real: np.ndarray[Any, Any], keys: np.ndarray[Any, Any], nodes: int
) -> dict[str, float]:
    """Keys per real node: a key belongs to the first ring position at or after it."""
    order = np.argsort(ring)
    owners = real[order][np.searchsorted(ring[order], keys) % len(ring)]
    counts = np.bincount(owners, minlength=nodes)
    mean = counts.mean()
    p1, p99 = np.percentile(counts, [1, 99])
    return {
        "mean": mean,
        "p1": p1,
        "p99": p99,
        "max": float(counts.max()),
        "empty nodes": float((counts == 0).sum()),
        "p1/mean": p1 / mean,
        "p99/mean": p99 / mean,
        "max/mean": counts.max() / mean,
    }


# --- how long lookups are: Figure 10 --------------------------------------------------------------------


def path_length(
    exponents: Sequence[int] = (3, 5, 7, 9), lookups: int = 2000, seed: int = 0, full: bool = False
) -> pd.DataFrame:
    """Path length against the number of nodes 2**k (Fig. 10a): hops of `find_predecessor`, about ½ log₂ N."""
    exponents = range(3, 15) if full else exponents

    def run(k: int) -> dict[str, float]:
        hops = _hops(2**k, lookups, seed)
        p1, p99 = np.percentile(hops, [1, 99])
        return {"nodes": 2**k, "mean": hops.mean(), "p1": p1, "p99": p99, "½ log₂ N": k / 2}

    table = sweep("k", exponents, run)
    beside(table, "paper mean", {12: 5.9, 14: 6.9})
    beside(table, "independent mean", {5: 2.42, 7: 3.45, 9: 4.37, 10: 4.88, 12: 5.86})
    return table


def path_length_distribution(
    nodes: int = 4096, lookups: int = 5000, seed: int = 0, full: bool = False
) -> pd.DataFrame:
    """The distribution of the path length (Fig. 10b). The paper, for 2**12 nodes: a peak at 6 of about
    0.225.
    """
    hops = _hops(nodes, 100 * nodes if full else lookups, seed)
    counts = np.bincount(hops) / len(hops)
    table = pd.DataFrame({"probability": counts}, index=pd.RangeIndex(len(counts), name="hops"))
    beside(table, "paper", {6: 0.225} if nodes == 4096 else {})
    beside(table, "independent", {5: 0.207, 6: 0.232, 7: 0.190} if nodes == 4096 else {})
    return table


def _hops(nodes: int, lookups: int, seed: int) -> np.ndarray[Any, Any]:
    with Cluster(machines=8, engine="sim", seed=seed, trace="off") as cluster:
        # fingers alone, as in the paper: entries of a longer successor list would shorten the last steps
        ring = Chord.stable(cluster, nodes, successors=1, replicas=1)
        found = _look_up(ring, _random_lookups(ring, lookups, seed))
    return np.array([len(each.path) - 1 for each in found if each is not None])


def _random_lookups(ring: Chord, count: int, seed: int) -> list[tuple[str, int]]:
    """Pairs of a living origin and a key's place, both at random."""
    random = stream(seed, "lookups")
    origins = [node.name for node in ring.nodes]
    return [(origins[random.randrange(len(origins))], random.getrandbits(ring.bits)) for _ in range(count)]


def _look_up(ring: Chord, lookups: list[tuple[str, int]]) -> list[Found | None]:
    """All these lookups through the nodes' own code, many at a time; None for one that failed."""
    results: list[Found | None] = [None] * len(lookups)
    todo = iter(enumerate(lookups))

    async def worker(client: Node) -> None:
        for index, (origin, key_id) in todo:
            try:
                results[index] = Found.of(await client.call(origin, "find_successor", key_id, timeout=60.0))
            except LabError:
                results[index] = None

    async def program(client: Node) -> None:
        await gather(*[worker(client) for _ in range(CONCURRENCY)])

    ring.cluster.submit(program).result()
    return results


# --- nodes that fail at the same time: Figure 11 and Theorems 7 and 8 -----------------------------------


def simultaneous_failures(
    nodes: int = 150,
    keys: int = 1500,
    p: Sequence[float] = (0.0, 0.05, 0.1, 0.2),
    seed: int = 0,
    full: bool = False,
) -> pd.DataFrame:
    """Keys that cannot be found after a fraction p of the nodes fails at once, without replication (Fig. 11):
    just p.

    The lookups themselves do not fail: what is lost is lost with its node, and the ring repairs itself.
    """
    nodes, keys = (1000, 20_000) if full else (nodes, keys)

    def run(fraction: float) -> dict[str, float]:
        with Cluster(machines=8, engine="sim", seed=seed, trace="off") as cluster:
            ring = Chord(cluster, nodes, successors=16, replicas=1)
            names = [f"key-{i}" for i in range(keys)]
            ring.put_many({name: name for name in names})
            _fail(ring, round(fraction * nodes), seed)
            ring.settle(fingers=False)
            return {"lookups that fail": 1 - len(ring) / keys, "paper": fraction}

    return sweep("p", p, run)


def half_failures(
    nodes: int = 300,
    successors: int = 20,
    lookups: int = 1000,
    p: Sequence[float] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5),
    seed: int = 0,
    full: bool = False,
) -> pd.DataFrame:
    """Lookups after a fraction p has failed and *nothing* was repaired, with successor lists of Θ(log N)
    entries.

    Theorems 7 and 8: even at one half, `find_successor` returns the closest living successor with high
    probability, in O(log N). The paper of 2001 has no figure of this; the later journal version is said to
    report about five timeouts at one half.
    """
    nodes, lookups = (1000, 4000) if full else (nodes, lookups)

    def run(fraction: float) -> dict[str, Any]:
        with Cluster(machines=8, engine="sim", seed=seed, trace="off") as cluster:
            # every lookup meets the failures anew: nobody remembers who was silent
            ring = Chord.stable(cluster, nodes, successors=successors, replicas=1, avoid_for=0.0, timeout=0.5)
            _fail(ring, round(fraction * nodes), seed)
            asked = _random_lookups(ring, lookups, seed)
            found = _look_up(ring, asked)
            truth = IdealRing([(node.id, node.name) for node in ring.nodes], ring.bits)
        good = [
            each
            for each, (_, key) in zip(found, asked, strict=True)
            if each and each.owner == truth.successor(key)
        ]
        return {
            "mean path with last hop": np.mean([len(each.path) for each in good]),
            "mean timeouts": np.mean([each.timeouts for each in good]),
            "failed lookups": lookups - len(good),
        }

    table = sweep("p", p, run)
    known = {0.0: 0.0, 0.1: 0.60, 0.2: 1.36, 0.3: 2.26, 0.4: 3.87, 0.5: 5.79}
    beside(table, "independent timeouts (N=1000)", known)
    return table


def _fail(ring: Chord, count: int, seed: int) -> None:
    """These many nodes fail at once, at random, without a word."""
    for node in stream(seed, "failures").sample(ring.nodes, count):
        ring.fail(node)


# --- lookups while nodes come and go: Figure 12 ---------------------------------------------------------


def churn(
    rates: Sequence[float] = (0.01, 0.05, 0.1),
    nodes: int = 100,
    seconds: float = 900.0,
    lookups_per_second: float = 1.0,
    stabilize_every: float = 30.0,
    seed: int = 0,
    full: bool = False,
) -> pd.DataFrame:
    """Lookups that fail while nodes join and fail as Poisson processes of the given rates, per second and 500
    nodes (Fig. 12).

    As in the paper: one lookup per second, stabilisation every 30 s on average, which renews all fingers, no
    second try, and a lookup that meets a failed node or ends at another than the key's current successor has
    failed. With fewer than 500 nodes the rates are scaled down, so that the same fraction of nodes changes
    between two rounds.
    """
    nodes, seconds = (500, 7200.0) if full else (nodes, seconds)

    def run(rate: float) -> dict[str, float]:
        return _one_churn(rate * nodes / 500, nodes, seconds, lookups_per_second, stabilize_every, seed)

    table = sweep("joins and failures per second", rates, run)
    beside(table, "paper", {0.01: 0.003, 0.02: 0.009, 0.05: 0.024, 0.1: 0.064})
    return table


def _one_churn(
    rate: float, nodes: int, seconds: float, lookups_per_second: float, stabilize_every: float, seed: int
) -> dict[str, float]:
    network = Network(latency=Exponential(0.05))  # a wide-area network: exponential, 50 ms on average
    with Cluster(machines=8, engine="sim", seed=seed, trace="off", network=network) as cluster:
        ring = Chord(
            cluster,
            nodes,
            successors=max(8, round(2 * math.log2(nodes))),
            replicas=1,
            maintenance="sigcomm2001",
            stabilize_every=stabilize_every,
            fingers_per_round=0,
            detours=False,
            attempts=1,
            avoid_for=0.0,
        )
        driver = ChurnDriver(ring, rate, lookups_per_second, seed)
        driver.run(seconds)
        return {"failed": driver.failed / driver.done, "lookups": driver.done, "changes": driver.changes}


class ChurnDriver:
    """Poisson processes of joins, failures and lookups, run against a ring."""

    def __init__(self, ring: Chord, rate: float, lookups_per_second: float, seed: int = 0) -> None:
        self.ring = ring
        self.rates = {"join": rate, "fail": rate, "lookup": lookups_per_second}
        self.random = stream(seed, "churn")
        #: Lookups that ended, those of them that failed, and joins and failures together.
        self.done = self.failed = self.changes = 0
        self._operations: list[Any] = []

    def run(self, seconds: float) -> None:
        """Let this much time pass, with everything that happens in it, and wait for the last lookups."""
        cluster = self.ring.cluster
        end = cluster.now + seconds
        total = sum(self.rates.values())
        while True:
            gap = self.random.expovariate(total)
            if cluster.now + gap >= end:
                break
            cluster.run(gap)
            what = self.random.choices(list(self.rates), list(self.rates.values()))[0]
            getattr(self, what)()
        for operation in self._operations:
            operation.result()

    def join(self) -> None:
        """A new member."""
        self.changes += 1
        self.ring.start_joining()

    def fail(self) -> None:
        """A member fails."""
        self.changes += 1
        self.ring.fail(self.random.choice(self.ring.nodes))

    def lookup(self) -> None:
        """A lookup from a random member for a random key."""
        origin = self.random.choice(self.members()).name
        key_id = self.random.getrandbits(self.ring.bits)
        self._operations.append(self.ring.cluster.submit(self._lookup, origin, key_id))

    def members(self) -> list[Any]:
        """Those that have joined."""
        return [node for node in self.ring.nodes if self.ring.cluster.peek(node.name).joined]

    async def _lookup(self, client: Node, origin: str, key_id: int) -> None:
        try:
            answer = await client.call(origin, "find_successor", key_id, timeout=30.0)
            owner = Found.of(answer).owner.name
        except LabError:
            owner = None
        truth = IdealRing([(node.id, node.name) for node in self.members()], self.ring.bits)
        self.done += 1
        self.failed += owner != truth.successor(key_id).name
