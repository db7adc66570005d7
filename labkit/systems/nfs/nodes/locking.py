"""The client's side of locks. A lock is also when caches are brought up to date: who has just got one reads
what the server has, and what was written under one is at the server before it is given back."""

from __future__ import annotations

from typing import Any

from labkit.parts.retry import insist
from labkit.runtime.node import Node, rpc

from ..options import Options
from .lockd import END, Held, without

__all__ = ["Locking"]

#: Seconds between two requests for a lock that another holds.
ASK_AGAIN = 0.2


class Locking(Node):
    """Advisory locks on bytes of a file; an open file is their owner."""

    options: Options
    locks: str

    def _start_locking(self) -> None:
        self.has: dict[bytes, list[Held]] = {}  #: locks of this client, by handle
        self.claimed = 0  #: of the lock service's lives, the last in which they were claimed
        self.requests = int(self.now * 1e6)  #: numbers of requests: higher than those of a former life
        if self.disk.get("locked"):
            self.spawn(self._request("client_rebooted"))

    async def _request(self, method: str, *args: Any) -> Any:
        self.requests = number = self.requests + 1
        return await insist(self, self.locks, method, self.name, number, *args, every=self.options.timeo)

    async def acquire(
        self, number: int, fh: bytes, start: int, end: float, exclusive: bool, wait: bool
    ) -> bool:
        """A lock for an open file; whether it is granted. wait: until it is."""
        if not self.disk.get("locked"):
            self.disk["locked"] = True
            self.disk.sync()
        while True:
            claimed = self.claimed
            answer = await self._request("lock", number, fh, start, end, exclusive, False)
            if answer == "granted" and claimed != self.claimed:
                continue  # the service was restarted meanwhile, and may have forgotten this lock: once more
            if answer == "granted":
                mine = Held(self.name, number, start, end, exclusive)
                self.has[fh] = [*without(self.has.get(fh, []), mine), mine]
                return True
            if not wait:
                return False
            await self.sleep(ASK_AGAIN)

    async def release(self, number: int, fh: bytes, start: int, end: float) -> None:
        """Give a lock back."""
        await self._request("unlock", number, fh, start, end)
        self._gave_back(fh, Held(self.name, number, start, end, True))

    def _gave_back(self, fh: bytes, gone: Held) -> None:
        self.has[fh] = without(self.has.get(fh, []), gone)

    async def unlock_all(self, number: int) -> None:
        """A descriptor is closed: its locks are free."""
        for fh, held in list(self.has.items()):
            if any(each.owner == number for each in held):
                self._gave_back(fh, Held(self.name, number, 0, END, True))
                await self._request("unlock", number, fh, 0, END)

    @rpc
    async def server_rebooted(self, state: int) -> None:
        """The lock service was restarted: claim what this client holds."""
        if state <= self.claimed:
            return
        self.claimed = state
        for fh, each in [(fh, each) for fh, held in self.has.items() for each in held]:
            if each not in self.has[fh]:
                continue  # it was given back meanwhile
            answer = await self._request("lock", each.owner, fh, each.start, each.end, each.exclusive, True)
            self.emit("lock_reclaimed", start=each.start, granted=answer == "granted")
            if answer != "granted":
                self._gave_back(fh, each)
