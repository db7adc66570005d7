"""A peer, whatever the architecture: its library, what it loads from others and they from it, its coming and
going. How it finds files is the matter of the classes that build on it."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import Any, ClassVar

from labkit.parts.retry import comes
from labkit.runtime.errors import LabError, Timeout, UnknownNode
from labkit.runtime.loop import Task
from labkit.runtime.node import Node, rpc
from labkit.runtime.sync import Signal, gather

from ..collection import PIECE, SharedFile, Tree, file_of, generated, tree_of
from ..descriptor import Hit
from ..downloads import Download, Loaded
from ..events import EVENTS
from ..index import Index
from ..options import Options, Profile, profile, servent_id

__all__ = ["Offline", "Peer", "Refused"]


class Offline(LabError):
    """The peer has left; it may come back."""


class Refused(LabError):
    """No connection: the other side is behind a firewall, or does not have what was asked for."""


class Peer(Node):
    """Shares a library. After a crash its disk still has it, and the pieces of what was being loaded."""

    events = EVENTS
    role: str = "peer"
    #: Settings that @every needs as attributes.
    ping_every: float | None
    #: How it loads a file.
    download_class: ClassVar[type[Download]] = Download

    def __init__(self, number: int, options: Options, library: tuple[SharedFile, ...] = ()) -> None:
        self.number, self.options = number, options
        self._given = library
        self.ping_every = options.ping_every
        self.online = False
        self.sent: Counter[str] = Counter()  #: messages by kind
        self.sent_bytes = 0
        self.received = 0  #: messages, without duplicates
        self.duplicates = 0
        self.uploaded = 0  #: bytes of files
        self.begun = 0.0  #: when it came
        #: Peers behind whose firewall it may be asked, since it has connected to them itself.
        self.opened: dict[str, None] = {}
        self.through: dict[str, None] = {}  #: peers behind firewalls that have connected, as asked
        self.came = Signal()  #: a peer behind a firewall has connected, or a hit has come
        self.loading: dict[bytes, Task] = {}
        self.loads: dict[bytes, Download] = {}

    @cached_property
    def host(self) -> Profile:
        """What kind of host it is."""
        return profile(self.seed, self.number, self.options.firewalled)

    @cached_property
    def servent(self) -> bytes:
        """The servent id: by it a Push finds its way."""
        return servent_id(self.options.name, self.number)

    async def start(self) -> None:
        """Take what the disk has, and come online."""
        self.library = Index(self.number, self.disk.get("library", self._given))
        self.mine = self.library.files.setdefault(self.number, {})
        await self.come(first=True)
        if self.options.session is not None:
            self.spawn(self._sessions(self.options.session))

    async def come(self, first: bool = False) -> None:
        """Be online. ``first``: with the links that it was given at the start."""
        self.online, self.begun = True, self.now
        if self.options.announced:
            self.emit("peer_online", role=self.role, files=len(self.mine))
            self.tell_of("shared", *self.mine.values())
        await self.enter(first)

    async def enter(self, first: bool) -> None:
        """Become part of the network; the architecture says how."""

    async def part(self) -> None:
        """Tell those who should know that it leaves; the architecture says whom."""

    @rpc
    async def leave(self) -> None:
        """Go offline in order."""
        if self.online:
            await self.part()
            self.online = False
            for root, download in self.loads.items():
                self.loading[root].cancel()
                download.stop("it has left")
            self.loads.clear()
            self.loading.clear()
            self.emit("peer_offline")

    @rpc
    async def return_(self) -> None:
        """Come back."""
        if not self.online:
            await self.come()

    async def _sessions(self, mean: float) -> None:
        """Churn: hosts differ, and few stay long."""
        while True:
            await self.sleep(self.random.expovariate(1 / (mean * self.host.session)))
            await self.leave()
            await self.sleep(self.random.expovariate(1 / self.options.absent))
            await self.come()

    # the library ------------------------------------------------------------

    @rpc
    async def share(self, name: str, data: bytes) -> SharedFile:
        """A file of the user's own."""
        file = file_of(name, data)
        self.disk["data", file.root] = data
        await self.have(file)
        return file

    async def have(self, file: SharedFile) -> None:
        """A file more in the library, whose bytes are on the disk."""
        self.library.add(self.number, file)
        self._write_library()
        self.tell_of("shared", file)
        await self.shares(file)

    @rpc
    async def unshare(self, root: bytes) -> bool:
        """A file less; whether it was there."""
        file = self.library.remove(self.number, root)
        if file is None:
            return False
        self._write_library()
        self.tell_of("unshared", file)
        await self.shares_no_longer(file)
        return True

    def tell_of(self, kind: str, *files: SharedFile) -> None:
        """An event about files."""
        names, roots = [file.name for file in files], [file.root.hex() for file in files]
        self.emit(kind, names=names, roots=roots)

    async def shares(self, file: SharedFile) -> None:
        """Tell those who keep an index of it."""

    async def shares_no_longer(self, file: SharedFile) -> None:
        """Tell those who keep an index of it."""

    def _write_library(self) -> None:
        self.disk["library"] = tuple(self.mine.values())
        self.disk.sync()

    def bytes_of(self, file: SharedFile) -> bytes:
        """What a file holds."""
        return generated(file.seed, file.size) if file.seed else self.disk["data", file.root]

    def hit(self, owner: int, file: SharedFile) -> Hit:
        """A file as an answer."""
        host = self.host if owner == self.number else profile(self.seed, owner, self.options.firewalled)
        servent = servent_id(self.options.name, owner)
        return Hit(owner, file.name, file.size, file.root, host.speed, host.firewalled, servent)

    # uploads: HTTP, outside of the overlay ------------------------------------------------------------

    def _asked_for(self, asker: str, root: bytes) -> SharedFile:
        if not self.online:
            raise Offline(f"{self.name} has left")
        if self.host.firewalled and asker not in self.opened:
            raise Refused(f"{self.name} is behind a firewall")
        file = self.mine.get(root)
        if file is None:
            raise Refused(f"{self.name} does not share it any more")
        return file

    @rpc
    def tree(self, asker: str, root: bytes) -> Tree:
        """The hashes of a file's pieces."""
        return tree_of(self.bytes_of(self._asked_for(asker, root)))

    @rpc
    async def piece(self, asker: str, root: bytes, number: int) -> bytes:
        """A piece of a file; it takes as long as this host's link needs."""
        file = self._asked_for(asker, root)
        data = await self.compute(
            self.cut, self.bytes_of(file), number, cost=min(PIECE, file.size) / (1000 * self.host.speed)
        )
        self.uploaded += len(data)
        return data

    def cut(self, data: bytes, number: int) -> bytes:
        """Piece ``number`` of these bytes."""
        return data[number * PIECE : (number + 1) * PIECE]

    @rpc
    def connected(self, peer: str) -> None:
        """A peer behind a firewall has connected, as a Push had asked it to (GIV)."""
        self.through[peer] = None
        self.came.fire()

    async def comes_through(self, peer: str) -> None:
        """Wait for the connection of this one; several may be asked at a time. Raises ``Refused``."""
        until = self.now + 4 * self.options.call_timeout
        while peer not in self.through and (left := until - self.now) > 1e-9:
            await comes(self.came.wait(), left)
        if self.through.pop(peer, "") == "":
            raise Refused(f"{peer} is behind a firewall, and did not connect")

    # what the user's program asks ------------------------------------------------------------

    def _check_online(self) -> None:
        if not self.online:
            raise Offline(f"{self.name} has left; search at a peer that is online, or call return_() first")

    @rpc
    async def search(
        self, text: str, ttl: int, strategy: str, wait: float
    ) -> tuple[tuple[str, ...], list[Hit]]:
        """Find files of others: the queries' ids, and hits."""
        self._check_online()
        queries, hits = await self.look(text, ttl, strategy, wait)
        hits = [hit for hit in hits if hit.peer != self.number]
        if self.options.announced:
            roots = {hit.root for hit in hits}
            self.emit("search_finished", text=text, hits=len(hits), files=len(roots), queries=queries)
        return queries, hits

    async def look(
        self, text: str, ttl: int, strategy: str, wait: float
    ) -> tuple[tuple[str, ...], list[Hit]]:
        """Search by the architecture's way; by itself a peer knows none (over Chord its user searches)."""
        raise Refused(f"{self.name} has nobody to ask")

    @rpc
    async def load(self, name: str, root: bytes, sources: list[Hit]) -> Loaded | None:
        """Load a file; None: not yet, ask again. A second call while it loads adds sources."""
        self._check_online()
        download = self.loads.get(root)
        if download is None and root in self.mine:
            return Loaded(name, root, self.mine[root].size, (), 0, "had it")
        if download is None or (download.over and download.over.result == "done" and root not in self.mine):
            download = self.loads[root] = self.download_class(self, name, root)
            self.loading[root] = self.spawn(download.run())
        download.offer(sources)
        over = await download.wait()
        if over is not None and self.loads.get(root) is download:
            del self.loads[root], self.loading[root]  # told: whoever asks again begins anew
        return over

    @rpc
    def content(self, root: bytes) -> bytes:
        """A file of this peer's library, for its user."""
        return self.bytes_of(self.mine[root])

    @rpc
    def report(self) -> dict[str, Any]:
        """What it says of itself."""
        files = [(file.name, file.root) for file in self.mine.values()]
        return {
            "online": self.online, "role": self.role, "links": self.neighbours(), "sent": dict(self.sent),
            "sent_bytes": self.sent_bytes, "received": self.received + self.duplicates,
            "duplicates": self.duplicates, "uploaded": self.uploaded, "files": files,
        }  # fmt: skip

    def neighbours(self) -> tuple[str, ...]:
        """Whom it is connected to."""
        return ()

    # connections through firewalls ------------------------------------------------------------

    async def push(self, hit: Hit) -> None:
        """Have a peer behind a firewall connect to this one; the architecture says by which way."""
        raise Refused(f"{self.options.peer(hit.peer)} is behind a firewall, and nobody hands the request on")

    async def answer_push(self, peer: str) -> None:
        """Connect to the peer that has asked for it."""
        self.opened[peer] = None
        self.emit("push_answered", to=peer)
        try:
            await self.call(peer, "connected", self.name, timeout=self.options.call_timeout)
        except (Timeout, UnknownNode):
            pass  # it has gone meanwhile

    # messages ------------------------------------------------------------

    def count(self, kind: str, size: int) -> None:
        """A message sent."""
        self.sent[kind] += 1
        self.sent_bytes += size

    async def several(self, *calls: Any) -> list[Any]:
        """Answers of some calls, or what they raised."""
        return list(await gather(*calls, return_exceptions=True))
