"""How many copies a block has, and the copying that mends it where they are too few (GFS §4.3).

"Each chunk that needs to be re-replicated is prioritized based on several factors. One is how far it is from
its replication goal": the block with the fewest copies comes first. "To keep cloning traffic from
overwhelming client traffic, the master limits the numbers of active clone operations".
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from labkit.runtime.errors import LabError
from labkit.runtime.node import Node

from .copies import Copies
from .namespace import Block, Namespace
from .settings import Settings

__all__ = ["Repair"]


class Repair:
    """What the master knows of blocks with too few copies, and the copies under way.

    ``revoke``: called when the copies of a block are others than before. ``copied``: called with a machine, a
    block and its copy's version and length.
    """

    def __init__(
        self,
        node: Node,
        settings: Settings,
        namespace: Namespace,
        copies: Copies,
        revoke: Callable[[int], None],
        copied: Callable[[str, int, int, int], None],
    ) -> None:
        self.node = node
        self.settings = settings
        self.namespace = namespace
        self.copies = copies
        self.revoke = revoke
        self.copied = copied
        self.begun = False  #: all chunkservers have reported: what has no copy now has none
        self._queue: list[tuple[int, int]] = []  #: (copies when it was put in, block)
        self.under_way: dict[int, str] = {}  #: block and the machine that is to get a copy
        self.short: dict[int, None] = {}  #: blocks with too few copies that no other machine can take
        self.lost: dict[int, None] = {}  #: blocks of files without any copy
        self.rotten: dict[int, str] = {}  #: blocks of which a copy was rotten and is not replaced, and where

    def begin(self) -> None:
        """From now on what is missing is missed."""
        if not self.begun:
            self.begun = True
            for block in list(self.namespace.blocks):
                self.review(block)

    def forget(self, block: int) -> None:
        """No file has it any more."""
        tables: tuple[dict[int, Any], ...] = (self.rotten, self.short, self.lost)
        for table in tables:
            table.pop(block, None)

    def review(self, block: int) -> None:
        """The copies of a block are others than before, so nobody may go on appending to those; and are there
        too few, or too many?"""
        self.revoke(block)
        if block not in self.namespace.blocks:
            return
        count = self.copies.count(block)
        path = self.namespace.homes[block].path
        if count > self.settings.replicas:
            server = self.copies.fullest(block)
            self.copies.doom(server, block)
            self.node.emit("copy_trimmed", path=path, block=block, server=server)
        if count >= self.settings.replicas:
            self.rotten.pop(block, None)
        if count and block in self.lost:
            del self.lost[block]
            self.node.emit("block_found", path=path, block=block)
        if not self.begun:
            return
        if not count and block not in self.lost:
            self.lost[block] = None
            self.node.emit("block_lost", path=path, block=block)
        if count < self.settings.replicas:
            heappush(self._queue, (count, block))
            self.advance()

    def retry_short(self) -> None:
        """There is one more machine."""
        short, self.short = self.short, {}
        for block in short:
            self.review(block)

    def advance(self) -> None:
        """Begin as many copies as may be under way."""
        while self._queue and len(self.under_way) < self.settings.repairs_at_once:
            copies, block = heappop(self._queue)
            known = self.namespace.blocks.get(block)
            if known is None or not copies or copies != self.copies.count(block) or block in self.under_way:
                continue  # put in again since, or looked at again later; without a copy none can be made
            holders = self.copies.holders(block)
            target = self.copies.place(1, self.node.random, avoid=holders, block=block)
            if not target:
                self.short[block] = None
                continue
            self.under_way[block] = target[0]
            self.node.spawn(self._copy(block, known, self.node.random.choice(holders), target[0]))

    async def _copy(self, block: int, known: Block, source: str, target: str) -> None:
        """Have ``target`` fetch the block from ``source``."""
        settings = self.settings
        wait = 2 * settings.patience(known.length)
        try:
            order = (block, known.version, settings.server(source))
            held = await self.node.call(settings.server(target), "fetch_block", *order, timeout=wait)
        except LabError:
            await self.node.sleep(settings.retry_after)
        else:
            self.copied(target, block, *held)
            if block in self.namespace.blocks and target in self.copies.holders(block):
                self.node.emit(
                    "block_replicated", path=self.namespace.homes[block].path, block=block, source=source,
                    target=target, copies=self.copies.count(block),
                )  # fmt: skip
        del self.under_way[block]
        self.review(block)
        self.advance()
