"""Work for a server: the mix of calls that the paper counted on one of Sun's own (Appendix 2).

1,499,688 calls on one day, 17 in a second: half of them look a name up, a third read.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

from labkit.runtime.errors import LabError
from labkit.runtime.node import Node, rpc
from labkit.runtime.sync import gather

from .nodes.rpc import RpcClient
from .options import Options
from .protocol import Credentials

__all__ = ["MIX", "Load", "sharing"]

#: Per cent of all calls (Appendix 2); the other four are not told apart there.
MIX = {"lookup": 50, "read": 30, "readlink": 7, "getattr": 5, "write": 3, "create": 1}
CRED = Credentials(1000, (1000,))
#: Files that the mix is played on, and the size of each in bytes.
FILES, SIZE = 20, 16_384


class Load(RpcClient):
    """Sends calls as they are, without a client's caches: what a server sees."""

    def __init__(self, server: str, options: Options) -> None:
        self.server, self.options, self.hard = server, options, True

    def start(self) -> None:
        """Nothing is known yet."""
        self._start_rpc()

    async def prepare(self, folder: str) -> tuple[bytes, list[bytes], bytes]:
        """A directory with files and a symbolic link: the handles."""
        root = await self.ask("mnt", CRED, "/")
        top, _ = await self.ask("mkdir", CRED, root, folder, {"mode": 0o755})
        files = []
        for number in range(FILES):
            fh, _ = await self.ask("create", CRED, top, f"f{number}", {"mode": 0o644})
            for at in range(0, SIZE, self.options.block):
                data = bytes(min(self.options.block, SIZE - at))
                await self.ask("write", CRED, fh, at, len(data), data)
            files.append(fh)
        link, _ = await self.ask("symlink", CRED, top, "link", "f0")
        return top, files, link

    @rpc
    async def mixed(self, folder: str, calls: int, window: int) -> tuple[float, dict[str, int]]:
        """So many calls of the mix, ``window`` of them under way at any time; seconds, and calls by name."""
        top, files, link = await self.prepare(folder)
        names = self.random.choices(list(MIX), list(MIX.values()), k=calls)
        began, todo = self.now, list(enumerate(names))[::-1]
        block = self.options.block

        async def worker() -> None:
            while todo:
                number, name = todo.pop()
                fh = files[self.random.randrange(FILES)]
                args: dict[str, Any] = {
                    "lookup": (top, f"f{self.random.randrange(FILES)}"),
                    "read": (fh, 0, block),
                    "readlink": (link,),
                    "getattr": (fh,),
                    "write": (fh, 0, 100, bytes(100)),
                    "create": (top, f"new{number}", {"mode": 0o644}),
                }
                await self.ask(name, CRED, *args[name])

        await gather(*(worker() for _ in range(window)))
        return self.now - began, dict(Counter(names))

    @rpc
    async def repeat(self, procedure: str, path: str, seconds: float, window: int) -> float:
        """Calls in a second of one procedure, null or one on the handle of a directory."""
        fh = await self.ask("mnt", CRED, path)
        args = () if procedure == "null" else (fh,)
        began = self.now

        async def go_on() -> int:
            count = 0
            while self.now - began < seconds:
                await self.ask(procedure, CRED, *args)
                count += 1
            return count

        counts = await gather(*(go_on() for _ in range(window)))
        return float(sum(counts) / (self.now - began))


async def sharing(
    node: Node, nfs: Any, path: str = "/notes", pause: float = 1.0, rounds: int = 1_000_000
) -> int:
    """A program for ``cluster.submit``: all clients in turn read a file, and every third time add a line;
    returns how often. Whoever is dead misses the turn."""
    done = 0
    for number in range(rounds):
        await node.sleep(pause * (0.5 + node.random.random()))
        client = nfs.clients[number % len(nfs.clients)]
        try:
            await _once(node, client.name, tuple(client.cred), path, number)
            done += 1
        except (OSError, LabError):
            continue  # the server or the client's machine is down
    return done


async def _once(node: Node, name: str, cred: Any, path: str, number: int) -> None:
    """Open, read, perhaps write, close."""
    flags = os.O_RDWR | os.O_CREAT
    file, found = await node.call(name, "sys_open", cred, path, flags, 0o666, timeout=5.0)
    await node.call(name, "sys_pread", cred, file, 1 << 16, 0, timeout=5.0)
    if number % 3 == 0:
        await node.call(name, "sys_pwrite", cred, file, b"line %d\n" % number, found.size, timeout=5.0)
    await node.call(name, "sys_close", cred, file, timeout=5.0)
