"""Runs with faults of every system that needs no NumPy, and the speed of the simulator: printed as JSON.

``python -m tests.lite.digests 10`` is what the test compares: here, and in WebAssembly.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module

from labkit import Cluster
from labkit.systems.chord import Chord

#: Where each system's tests make a run with faults from a seed; ``digest(seed)`` is the digest of its trace.
RUNS = {
    "chord": "tests.systems.chord.test_determinism",
    "dryad": "tests.systems.dryad.test_faults",
    "filesharing": "tests.systems.filesharing.test_faults",
    "haloop": "tests.systems.haloop.test_faults",
    "lockss": "tests.systems.lockss.test_faults",
    "mapreduce": "tests.systems.mapreduce.test_faults",
    "nfs": "tests.systems.nfs.test_faults",
}


def digests(seeds: int) -> dict[str, list[str]]:
    """System to the digests of its runs."""
    return {
        name: [import_module(module).digest(seed) for seed in range(seeds)] for name, module in RUNS.items()
    }


def speed(lookups: int = 400) -> float:
    """Messages per second of lookups in a ring of 100 nodes."""
    with Cluster(machines=4, engine="sim", trace="messages") as cluster:
        ring = Chord(cluster, nodes=100)
        before, begun = cluster.trace.count, time.perf_counter()
        for number in range(lookups):
            ring.lookup(f"key {number}")
        events = list(cluster.trace)[-(cluster.trace.count - before) :]
        return sum(event.kind == "delivered" for event in events) / (time.perf_counter() - begun)


def main(seeds: int) -> None:
    """Print it."""
    print(json.dumps({"digests": digests(seeds), "messages per second": round(speed())}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
