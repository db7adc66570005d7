"""A file server on Ray: small calls beside labkit's own calls between nodes, and a large file beside the same
on the local disk.

One client on a machine of its own has 16 calls under way. The file is read through the client's block cache
by a program on the client's machine, first from the server, then from the cache.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labkit.bench import Row, bench, row
from labkit.bench.ray import Talker
from labkit.runtime import Cluster
from labkit.runtime.node import rpc
from labkit.systems.nfs import NFS
from labkit.systems.nfs.nodes import ClientNode, LockManager, Server
from labkit.systems.nfs.protocol import Credentials
from labkit.systems.nfs.workload import Load

WINDOW, SECONDS, ROUNDS = 16, 2.0, 3
PIECE, BLOCK = 1 << 20, 64 * 1024
SIZE = 191 * PIECE  # 200 MB
CRED = (1000, (1000,))


class Reader(ClientNode):
    """A client on which a program writes and reads a large file."""

    @rpc
    async def large(self, path: str, size: int, write: bool) -> float:
        """Seconds of writing it, or of reading it in order."""
        flags = os.O_RDWR | os.O_CREAT
        cred, data = Credentials(*CRED), bytes(PIECE)
        number, _ = await self.sys_open(cred, path, flags, 0o644)
        began = time.perf_counter()  # not `now`, which stands while nothing is waited for
        for at in range(0, size, PIECE):
            if write:
                await self.sys_pwrite(cred, number, data, at)
            else:
                got = await self.sys_pread(cred, number, PIECE, at)
                assert len(got) == PIECE
        await self.sys_close(cred, number)
        return time.perf_counter() - began


class LargeFiles(NFS):
    """With such a client."""

    roles = (Server, Reader, LockManager)


def calls(procedure: str) -> float:
    """Calls in a second of a null procedure, or another."""
    with Cluster(2, engine="ray", name="bench-nfs", trace="domain") as cluster:
        nfs = NFS(cluster, clients=1)
        cluster.spawn(Load, nfs.server, nfs.options, name="load", machine="m2")
        return float(cluster.call("load", "repeat", procedure, "/", SECONDS, WINDOW, timeout=60.0))


def node_calls() -> float:
    """labkit's own calls in a second, with the same window."""
    with Cluster(2, engine="ray", name="bench-nfs", trace="domain") as cluster:
        one = cluster.spawn(Talker, name="one", machine="m1")
        other = cluster.spawn(Talker, name="other", machine="m2")
        return float(cluster.call(other, "talk", [one], SECONDS, WINDOW, timeout=60.0))


@bench("nfs")
def nfs() -> Iterator[Row]:
    """A file server's small calls beside labkit's own; a file of 200 MB beside the local disk."""
    found: dict[str, list[float]] = {"null": [], "getattr": [], "": []}
    for _ in range(ROUNDS):  # in turn
        found[""].append(node_calls())
        for procedure in ("null", "getattr"):
            found[procedure].append(calls(procedure))
    for procedure in ("null", "getattr"):
        ours, peer = max(found[procedure]), max(found[""])
        case = f"{procedure}, one client, window {WINDOW}"
        yield row(case, "calls/s", ours, peer, "calls of nodes", must=0.7)
    megabytes = SIZE / 1e6
    local = _local()
    with Cluster(2, engine="ray", name="bench-nfs", trace="off") as cluster:
        server = LargeFiles(cluster, clients=1, block=BLOCK, cache_bytes=2 * SIZE, read_ahead=8, biods=8)
        ask: Any = lambda write: cluster.call("nfs-1", "large", "/f", SIZE, write, timeout=600.0)  # noqa: E731
        written = ask(True)
        server.clients[0].drop_caches()
        cold = ask(False)
        warm = min(ask(False) for _ in range(ROUNDS))
    yield row("write 200 MB, behind", "MB/s", megabytes / written)
    yield row("read 200 MB from the server", "MB/s", megabytes / cold, local, "the local file")
    yield row("read 200 MB, warm cache", "MB/s", megabytes / warm, 300.0, "what was promised", must=1.0)


def _local() -> float:
    """MB in a second of a file of this computer, read in the same pieces."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f"
        path.write_bytes(bytes(SIZE))
        began = time.monotonic()
        with path.open("rb", buffering=0) as file:
            while file.read(PIECE):
                pass
        return SIZE / 1e6 / (time.monotonic() - began)
