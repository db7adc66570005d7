"""The paper's results in shape, and what the lab adds: calls per open, and what write-behind is worth.

The paper's absolute numbers are of a Sun-2 of 1985; a ratio or a count is what can be compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd

from labkit.parts.experiments import sweep
from labkit.runtime.cluster import Cluster

from .model import NFS
from .workload import MIX, Load

__all__ = ["call_mix", "calls_per_open", "reads_and_writes"]

#: Kilobytes in a second that the paper gives for a file read and written in order.
PAPER = {"read": 250.0, "write": 60.0}
FILE = 400_000


@contextmanager
def server(seed: int = 0, clients: int = 1, **options: Any) -> Iterator[NFS]:
    """One for an experiment, in the simulator; events are not kept."""
    with Cluster(machines=clients + 1, engine="sim", seed=seed, trace="off") as cluster:
        yield NFS(cluster, clients, **options)


def calls_per_open(depths: tuple[int, ...] = (1, 2, 4, 8), seed: int = 0) -> pd.DataFrame:
    """Calls that ``open`` of a path of so many names costs: without a name cache, with it under
    close-to-open, and with it while attributes are good. The first column is d, the others do not grow."""

    def run(depth: int) -> dict[str, int]:
        with server(seed) as nfs:
            (one,) = nfs.clients
            path = "/" + "/".join(f"d{n}" for n in range(depth - 1)) + "/f" if depth > 1 else "/f"
            one.makedirs(path.rpartition("/")[0] or "/", exist_ok=True)
            one.write_text(path, "x")

            def opening(**choices: Any) -> int:
                nfs.set(**choices)
                one.open(path, "rb", 0)  # whatever may be cached is, now
                before = sum(one.calls.values())
                one.open(path, "rb", 0)
                return sum(one.calls.values()) - before

            return {
                "no name cache": opening(name_cache=False),
                "close-to-open": opening(name_cache=True),
                "timeouts": opening(consistency="timeouts"),
            }

    return sweep("depth", depths, run)


def reads_and_writes(seed: int = 0) -> pd.DataFrame:
    """kB in a second of a file read in order, and written in order with each write waiting for the disk, or
    behind the program's back; and how many times slower than reading (the paper: 250 and 60, a factor of 4).
    """

    def run(how: str) -> dict[str, float]:
        with server(seed, write_behind=how == "write behind") as nfs:
            (one,) = nfs.clients
            data, clock = b"x" * 8192, nfs.cluster
            if how == "read":
                one.write_bytes("/f", b"x" * FILE)
                one.drop_caches()
            began = clock.now
            with one.open("/f", "rb" if how == "read" else "wb", 0) as file:
                for _ in range(FILE // len(data)):
                    file.read(len(data)) if how == "read" else file.write(data)
            return {"kB/s": FILE / 1000 / (clock.now - began)}

    table = sweep("how", ("read", "write, waiting", "write behind"), run)
    table["times slower"] = table["kB/s"]["read"] / table["kB/s"]
    return table


def call_mix(calls: int = 2_000, window: int = 4, seed: int = 0) -> pd.DataFrame:
    """The mix of Appendix 2, played against a server: per cent that were sent, and those of the paper."""
    with server(seed) as nfs:
        nfs.cluster.spawn(Load, nfs.server, nfs.options, name="load", machine="m2")
        seconds, counts = nfs.cluster.call("load", "mixed", "mix", calls, window, timeout=1e6)
    rows = {name: {"sent %": 100 * counts.get(name, 0) / calls, "paper %": MIX[name]} for name in MIX}
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.attrs["calls a second"] = calls / seconds
    return table
