"""FastTrack (KaZaA): supernodes keep the index of their ordinary nodes, and flood queries among themselves.

The protocol was encrypted and never published; roles, index and flooding are as Liang, Kumar and Ross
measured them, messages and their sizes are this lab's.
"""

from __future__ import annotations

from typing import Any, ClassVar

from labkit.runtime.errors import LabError
from labkit.runtime.node import rpc

from ..collection import SharedFile
from ..descriptor import PUSH, Hit, push_of
from ..index import Index
from ..options import servent_id
from .peer import Refused
from .servent import ANSWERS, Question
from .twotier import TwoTier

__all__ = ["FastTrackPeer"]

#: Bytes that a file's metadata need beside its name: size, hash, bit rate and so on.
METADATA = 40


class FastTrackPeer(TwoTier):
    """An ordinary node ("leaf") or a supernode."""

    hub: ClassVar[str] = "supernode"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.index = Index()  #: of the ordinary nodes

    # the index ------------------------------------------------------------

    async def introduce(self, host: str) -> bool:
        """Upload the metadata of what this node shares."""
        files = list(self.mine.values())
        self.count("metadata", sum(len(file.name) + METADATA for file in files))
        try:
            heard = await self.call(host, "upload", self.name, files, timeout=self.options.call_timeout)
        except LabError:
            return False
        if heard and self.options.announced:
            self.emit("index_uploaded", to=host, files=len(files))
        return bool(heard)

    @rpc
    def upload(self, leaf: str, files: list[SharedFile]) -> bool:
        """The metadata of an ordinary node, all or more."""
        if leaf not in self.links:
            return False
        for file in files:
            self.index.add(self.options.number(leaf), SharedFile(*file))
        return True

    @rpc
    def withdraw(self, leaf: str, root: bytes) -> None:
        """A file less."""
        self.index.remove(self.options.number(leaf), root)

    def lost_leaf(self, leaf: str) -> None:
        """Its files are not found here any more."""
        self.index.drop(self.options.number(leaf))

    async def shares(self, file: SharedFile) -> None:
        """A leaf tells its supernode."""
        if self.role == "leaf":
            for host in self.hubs():
                await self.several(
                    self.call(host, "upload", self.name, [file], timeout=self.options.call_timeout)
                )

    async def shares_no_longer(self, file: SharedFile) -> None:
        """A leaf tells its supernode."""
        if self.role == "leaf":
            for host in self.hubs():
                await self.several(
                    self.call(host, "withdraw", self.name, file.root, timeout=self.options.call_timeout)
                )

    def become_hub(self, why: str) -> None:
        """With an empty index."""
        self.index = Index()
        super().become_hub(why)

    # queries ------------------------------------------------------------

    def onward_to(self, source: str, data: bytes, text: str) -> list[str]:
        """Among supernodes; an ordinary node asks its supernode."""
        return [host for host in self.hubs() if host != source]

    def answers(self, text: str) -> list[Hit]:
        """From the index of the ordinary nodes, and of its own files."""
        found = super().answers(text)
        if self.is_hub:
            found += [self.hit(owner, file) for owner, file in self.index.find(text, ANSWERS)]
        return found

    async def look(
        self, text: str, ttl: int, strategy: str, wait: float
    ) -> tuple[tuple[str, ...], list[Hit]]:
        """One query to the supernode, which answers and floods it; a supernode begins with its own index."""
        if not self.hubs() and not self.is_hub:
            raise Refused(f"{self.name} has no supernode at the moment; let time pass, and search again")
        question, guid = Question(self.options.wanted), self.new_guid()
        self.questions[guid] = question
        self.ask(guid, text, ttl, "flood")
        if self.is_hub:
            mine = [hit for hit in self.answers(text) if hit.peer != self.number]
            question.hits.update({(hit.peer, hit.root): hit for hit in mine})
            self.heard_hits(guid.hex()[:12], mine, self.name)
        await self.wait_for_hits(question, wait)
        self.questions.pop(guid, None)
        return (guid.hex()[:12],), list(question.hits.values())

    # pushes ------------------------------------------------------------

    def on_push(self, source: str, data: bytes) -> None:
        """A supernode hands a Push to its ordinary node, whose hits it made itself."""
        wanted = push_of(data[23:])
        for leaf in self.leaves():
            if servent_id(self.options.name, self.options.number(leaf)) == wanted.servent:
                self._say(leaf, PUSH, 1, data[23:])
                return
        super().on_push(source, data)
