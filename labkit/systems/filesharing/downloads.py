"""Loading one file from several peers at the same time (a *swarm*).

The sources take turns at the pieces that are missing; a piece whose hash is another is thrown away, with the
source that sent it. A source that falls silent is given up, and what it was to send is asked of another; when
none is left, the peer searches again, since others may have come. Pieces are on the disk as soon as they are
there: after a crash the download goes on from them.

Modelled after FastTrack's swarm downloads and Gnutella's later clients. Left out: queues of uploads.
"""

from __future__ import annotations

import hashlib
from collections import deque
from typing import Any, NamedTuple

from labkit.parts.retry import comes
from labkit.runtime.errors import LabError, Timeout
from labkit.runtime.sync import Event, gather

from .collection import SharedFile, Tree, tree_of
from .descriptor import Hit

__all__ = ["Download", "Loaded"]

#: Searches for other sources before a download is given up.
SEARCHES = 2
#: Seconds after which the asker is told "not yet".
ANSWER_WITHIN = 0.4


class Loaded(NamedTuple):
    """How a download ended. ``sources``: names of peers and pieces that came from each."""

    name: str
    root: bytes
    size: int
    sources: tuple[tuple[str, int], ...]
    refused: int  #: pieces with a wrong hash
    result: str  #: "done", "had it", or why it failed


class Download:
    """One file on its way to one peer, ``node``."""

    def __init__(self, node: Any, name: str, root: bytes) -> None:
        self.node, self.name, self.root = node, name, root
        self.sources: dict[int, Hit] = {}
        self.lost: set[int] = set()
        self.tree: Tree | None = None
        self.missing: deque[int] = deque()
        self.under_way = 0
        self.came: dict[str, int] = {}
        self.refused = 0
        self.over: Loaded | None = None
        self._over = Event()

    def offer(self, hits: list[Hit]) -> None:
        """Peers that have it."""
        for hit in hits:
            if hit.root == self.root and hit.peer != self.node.number:
                self.sources.setdefault(hit.peer, hit)

    async def wait(self) -> Loaded | None:
        """The end, or None after a while."""
        await comes(self._over.wait(), ANSWER_WITHIN)
        return self.over

    async def run(self) -> None:
        """Load all pieces; whatever happens, who waits hears of the end."""
        try:
            await self._load()
        finally:
            if self.over is None:
                self._end("the download failed")

    async def _load(self) -> None:
        node = self.node
        node.emit("download_started", file=self.name, sources=len(self.sources), root=self.root.hex())
        for again in range(SEARCHES + 1):
            if again:
                self.offer(await self._others())
            while useful := [hit for peer, hit in self.sources.items() if peer not in self.lost]:
                some = useful[: node.options.sources]
                if self.tree is None:
                    await self._fetch_tree(some[0])
                else:
                    await gather(*[self._from(hit) for hit in some])
                if self.tree is not None and not self.missing:
                    await self._finish()
                    return
        self._fail("no source is left" if self.sources else "nobody shares it")

    def stop(self, why: str) -> None:
        """Load nothing more; what has come stays on the disk."""
        if self.over is None:
            self._fail(why)

    def _fail(self, why: str) -> None:
        total = len(self.tree.pieces) if self.tree is not None else 0
        pieces = total - len(self.missing)
        self.node.emit("download_failed", file=self.name, pieces=pieces, total=total, why=why)
        self._end(f"{pieces} of {total} pieces: {why}")

    async def _others(self) -> list[Hit]:
        """Search again. Peers that were given up may be back."""
        options = self.node.options
        self.lost.clear()
        try:
            _, hits = await self.node.look(self.name, options.ttl, "flood", options.search_wait)
        except LabError:  # no index server, no neighbour
            return []
        self.sources = {}
        return list(hits)

    async def _fetch_tree(self, hit: Hit) -> None:
        """The hashes of the pieces; they are right if their hash is the root."""
        tree = await self._ask(hit, "tree", self.node.name, self.root)
        if tree is None:
            return
        tree = Tree(*tree)
        if tree.root != self.root:
            self._give_up(hit, "its hashes are not those of the file")
            return
        self.tree = tree
        disk = self.node.disk
        self.missing.extend(
            number for number in range(len(tree.pieces)) if ("piece", self.root, number) not in disk
        )

    async def _from(self, hit: Hit) -> None:
        """Load pieces from one source until none is missing."""
        node, peer = self.node, self.node.options.peer(hit.peer)
        while self.missing:
            number = self.missing.popleft()
            data = None
            try:
                data = await self._ask(hit, "piece", node.name, self.root, number)
            finally:
                if data is None:
                    self.missing.appendleft(number)
            if data is None:
                return
            if not self.right(number, data):
                self.missing.appendleft(number)
                self.refused += 1
                node.emit("piece_refused", file=self.name, piece=number, source=peer)
                self._give_up(hit, "a piece of it was wrong")
                return
            node.disk["piece", self.root, number] = data
            node.disk.sync()
            self.came[peer] = self.came.get(peer, 0) + 1
            if node.options.announced:
                node.emit("piece_loaded", file=self.name, piece=number, source=peer)

    def right(self, number: int, data: bytes) -> bool:
        """Whether a piece is what the tree says."""
        assert self.tree is not None
        return hashlib.sha1(data).digest() == self.tree.pieces[number]

    async def _ask(self, hit: Hit, method: str, *args: Any) -> Any:
        """What a source answers; None: it is given up. A peer behind a firewall is asked to connect first."""
        node, peer = self.node, self.node.options.peer(hit.peer)
        # A piece takes as long as the source's link needs, several at a time longer.
        patience = node.options.call_timeout + 20.0 / hit.speed
        pushed = False
        while True:
            try:
                return await node.call(peer, method, *args, timeout=patience)
            except Timeout:
                self._give_up(hit, "it does not answer")
            except LabError as error:
                if hit.firewalled and not pushed and "firewall" in str(error):
                    pushed = True
                    try:
                        await node.push(hit)
                        continue
                    except LabError as failed:
                        error = failed
                self._give_up(hit, str(error))
            return None

    def _give_up(self, hit: Hit, why: str) -> None:
        self.lost.add(hit.peer)
        self.node.emit("source_lost", file=self.name, source=self.node.options.peer(hit.peer), why=why)

    async def _finish(self) -> None:
        """All pieces are there: a file of the library, for others to load."""
        node, disk, tree = self.node, self.node.disk, self.tree
        assert tree is not None
        data = b"".join(disk["piece", self.root, number] for number in range(len(tree.pieces)))
        disk["data", self.root] = data
        for number in range(len(tree.pieces)):
            del disk["piece", self.root, number]
        file = SharedFile(self.name, len(data), self.root)
        node.emit(
            "download_finished", file=self.name, sources=len(self.came), root=self.root.hex(),
            right=tree_of(data).root == self.root,
        )  # fmt: skip
        await node.have(file)
        self._end("done")

    def _end(self, result: str) -> None:
        size = self.tree.size if self.tree is not None else 0
        sources = tuple(sorted(self.came.items()))
        self.over = Loaded(self.name, self.root, size, sources, self.refused, result)
        self._over.set()
