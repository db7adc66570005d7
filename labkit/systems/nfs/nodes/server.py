"""The server: nfsd and the mount daemon. It knows nothing of its clients between two calls.

A call is a datagram, and so is its reply: either may be lost, come twice, or come late. What the server has
answered is on its disk; after a crash it starts and goes on, and nobody has to be told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from labkit.runtime.node import Node, rpc
from labkit.runtime.sync import Lock

from ..duplicates import DROP, DuplicateRequestCache
from ..events import EVENTS
from ..options import Options
from ..protocol import OK, NfsError
from ..volume import Volume
from .procedures import Caller, MountProgram, NfsProgram

__all__ = ["Server"]

#: Files that a server names after a restart, for the check that nothing acknowledged was lost.
NAMED = 500


class Server(MountProgram, NfsProgram, Node):
    """See the module's text."""

    events = EVENTS
    volume_class = Volume

    def __init__(self, options: Options) -> None:
        self.options = options

    def start(self) -> None:
        """What the disk has is the file system; no client is asked anything."""
        options = self.options
        self.volume = self.volume_class(self.disk, options.block, options.capacity, lambda: self.now)
        for export in self.options.exports:
            self.volume.make_folders(export.path)
        self.arm = Lock()  # of the disk: one change at a time
        #: A choice that may be changed is kept, so that a restart does not change it back.
        self.remembers = self.disk.get("duplicates", self.options.duplicates)
        self._renew()
        self.unlucky: Counter[str] = Counter()  # replies to be lost, by procedure
        inodes = [each for each in self.volume.inodes.values() if each.kind != "free"]
        self.emit(
            "server_started", state=self.volume.state, files=len(inodes), used=self.volume.used,
            duplicates=self.remembers, block=self.options.block, window=self.options.window,
            window_seconds=self.options.window_seconds,
            changes={each.number: (each.generation, each.change) for each in inodes[:NAMED]},
        )  # fmt: skip

    def _renew(self) -> None:
        self.replies = DuplicateRequestCache(self.options.window, self.options.window_seconds)

    # serving ------------------------------------------------------------

    def serve(self, method: Callable[..., Any], xid: int, caller: Caller, args: Any) -> None:
        """Carry out what changes nothing, and answer."""
        status, value = self.carry_out(method, caller, args)
        if self.unlucky and self._is_lost(method.__name__, xid, caller):
            return
        self.send(caller.client, "reply", xid, status, value)

    async def serve_change(self, method: Callable[..., Any], xid: int, caller: Caller, args: Any) -> None:
        """Carry out a change, once if replies are remembered; answer when it is on the disk."""
        name = method.__name__
        key = (caller.client, xid, name)
        if self.remembers:
            known = self.replies.look(key, self.now)
            if known is DROP:
                self.emit("duplicate_dropped", client=caller.client, xid=xid, procedure=name)
                return
            if known is not None:
                self.emit("answered_again", client=caller.client, xid=xid, procedure=name)
                self.send(caller.client, "reply", xid, *known)
                return
        async with self.arm:
            if self.options.disk_seconds:
                await self.compute(int, cost=self.options.disk_seconds)
            status, value = self.carry_out(method, caller, args)  # no await in it: whole or not at all
            self.emit("executed", client=caller.client, xid=xid, procedure=name, status=status,
                      remembered=self.remembers)  # fmt: skip
            if self.remembers:
                self.replies.keep(key, (status, value), self.now)
        if not self._is_lost(name, xid, caller):
            self.send(caller.client, "reply", xid, status, value)

    def carry_out(self, method: Callable[..., Any], caller: Caller, args: Any) -> tuple[str, Any]:
        """Status and value; a call that makes no sense is EINVAL, for nobody's program may stop a server."""
        try:
            return OK, method(self, caller, *args)
        except NfsError as error:
            return error.status, None
        except (TypeError, ValueError, AttributeError, KeyError, OverflowError) as error:
            self.emit("call_refused", client=caller.client, procedure=method.__name__, error=repr(error))
            return "EINVAL", None

    def _is_lost(self, name: str, xid: int, caller: Caller) -> bool:
        if not self.unlucky[name]:
            return False
        self.unlucky[name] -= 1
        self.emit("reply_lost", client=caller.client, xid=xid, procedure=name)
        return True

    # for the lab ------------------------------------------------------------

    @rpc
    def lose_reply(self, procedure: str, times: int) -> None:
        """A fault: the next replies to this procedure are lost on their way."""
        self.unlucky[procedure] += times

    @rpc
    def remember(self, on: bool) -> None:
        """The duplicate request cache on or off from now on, and empty."""
        self.remembers = self.disk["duplicates"] = on
        self.disk.sync()
        self._renew()
        self.emit("duplicates_set", on=on)

    @rpc
    def audit(self) -> list[str]:
        """What is wrong with the file system: link counts, entries, the tree (I6)."""
        return self.volume.audit()
