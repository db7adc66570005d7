"""Planted mistakes: roles that break one rule each, which ``nfs.check()`` must catch.

``mistaken("answers before it is on the disk")`` is the class of file servers that have it.
"""

from __future__ import annotations

from typing import Any

from .model import NFS
from .nodes import ClientNode, LockManager, Server
from .volume import Inode, Volume

__all__ = ["MISTAKES", "mistaken"]


class Unsynced(Volume):
    """Answers before the bytes are on the disk: fast, and what every benchmark of servers once did."""

    def _sync(self) -> None:
        pass


class KeepsGenerations(Volume):
    """The next file with an inode has the handle of the last one."""

    def _leave(self, records: Any, folder: Inode, name: str, inode: Inode, now: float) -> None:
        super()._leave(records, folder, name, inode, now)
        freed = records["inode", inode.number]
        if freed.kind == "free":
            records["inode", inode.number] = freed._replace(generation=inode.generation)


class ForgetsLinks(Volume):
    """A second name of a file is not counted."""

    def link(self, inode: Inode, folder: Inode, name: str) -> Inode:
        """The count stays."""
        linked = super().link(inode, folder, name)
        self._commit({("inode", inode.number): linked._replace(nlink=inode.nlink)})
        return linked


def _server(volume: type[Volume]) -> type[Server]:
    class Mistaken(Server):
        volume_class = volume

    return Mistaken


class AlwaysAgain(Server):
    """Has a duplicate request cache and never finds anything in it."""

    def _renew(self) -> None:
        super()._renew()
        self.replies.look = lambda key, now: None  # type: ignore[method-assign]


class TrustsItsCache(ClientNode):
    """Close-to-open without asking at open."""

    async def walk(self, path: str, cred: Any, **how: bool) -> Any:  # type: ignore[override]
        """By the name cache, always."""
        return await super().walk(path, cred, **{**how, "ask": False})


class KeepsOldBlocks(ClientNode):
    """Sees that the file has changed, and reads on from its memory."""

    def _note(self, vnode: Any, found: Any) -> None:
        vnode.attributes, vnode.asked = found, self.now


class ExcludesNobody(LockManager):
    """Keeps a list of locks, and grants what is asked for."""

    def _conflict(self, fh: bytes, wanted: Any) -> bool:
        return False


MISTAKES: dict[str, tuple[type[Server], type[ClientNode], type[LockManager]]] = {
    "answers before it is on the disk": (_server(Unsynced), ClientNode, LockManager),
    "handles without generations": (_server(KeepsGenerations), ClientNode, LockManager),
    "links are not counted": (_server(ForgetsLinks), ClientNode, LockManager),
    "changes are done twice": (AlwaysAgain, ClientNode, LockManager),
    "an open does not ask": (Server, TrustsItsCache, LockManager),
    "old blocks stay": (Server, KeepsOldBlocks, LockManager),
    "locks exclude nobody": (Server, ClientNode, ExcludesNobody),
}


def mistaken(name: str) -> type[NFS]:
    """The file servers with this mistake."""
    return type("MistakenNFS", (NFS,), {"roles": MISTAKES[name]})
