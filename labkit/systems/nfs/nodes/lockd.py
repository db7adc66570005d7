"""The lock service: what the stateless server cannot have. It is a service of its own, and stateful.

Who holds which lock is in memory only; on the disk is the status monitor's list of the clients that have
some. After a crash the service asks these to claim their locks again, and for a *grace period* gives away no
others: a new owner must not take what an old one still believes to hold. When a client restarts, its locks
are free.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labkit.runtime.node import Node, rpc

from ..events import EVENTS
from ..options import Options

__all__ = ["END", "Held", "LockManager", "without"]

#: To the end of the file, however far that is.
END = float("inf")


@dataclass(frozen=True)
class Held:
    """A lock on bytes ``start`` to ``end`` of a file."""

    client: str
    owner: Any
    start: int
    end: float
    exclusive: bool

    def against(self, other: Held) -> bool:
        """Whether both cannot be held."""
        overlap = self.start < other.end and other.start < self.end
        return overlap and (self.exclusive or other.exclusive) and self.who != other.who

    @property
    def who(self) -> Any:
        """Locks of one owner do not exclude one another."""
        return self.client, self.owner


class LockManager(Node):
    """lockd and statd on the server's machine."""

    events = EVENTS

    def __init__(self, options: Options) -> None:
        self.options = options

    def start(self) -> None:
        """Ask those who had locks to claim them."""
        self.held: dict[bytes, list[Held]] = {}
        #: By client, owner and handle: the highest number of a request; what comes with a lower one is late.
        self.numbers: dict[tuple[str, Any, bytes], int] = {}
        self.monitored: set[str] = set(self.disk.get("monitored", ()))
        self.state = self.disk["state"] = self.disk.get("state", 0) + 1
        self.disk.sync()
        self.graceful_until = self.now + self.options.grace if self.monitored else self.now
        if self.monitored:
            self.emit("grace_began", clients=sorted(self.monitored), seconds=self.options.grace)
            self.spawn(self._notify())

    async def _notify(self) -> None:
        """Until each has heard of it, or it is too late: the messages may be lost."""
        while self.now < self.graceful_until:
            for client in sorted(self.monitored):
                self.send(client, "server_rebooted", self.state)
            await self.sleep(max(0.1, self.options.grace / 5))
        self.emit("grace_ended")

    def _late(self, client: str, number: int, owner: Any, fh: bytes) -> bool:
        """Whether the same owner has asked for something since: a copy of a request may come at any time."""
        latest = self.numbers.get((client, owner, fh), number)
        self.numbers[client, owner, fh] = max(latest, number)
        return number < latest

    @rpc
    def lock(
        self, client: str, number: int, owner: Any, fh: bytes, start: int, end: float, exclusive: bool,
        reclaim: bool,
    ) -> str:  # fmt: skip
        """ "granted", "denied" (somebody has it), or "grace" (ask again later)."""
        if self._late(client, number, owner, fh):
            return "denied"
        if (self.now < self.graceful_until) != reclaim:
            return "grace" if not reclaim else "denied"
        wanted = Held(client, owner, start, end, exclusive)
        if self._conflict(fh, wanted):
            return "denied"
        self.held[fh] = [*without(self.held.get(fh, []), wanted), wanted]
        if client not in self.monitored:
            self.monitored.add(client)
            self._save()
        self._tell("lock_granted", client, fh, reclaim=reclaim)
        return "granted"

    def _conflict(self, fh: bytes, wanted: Held) -> bool:
        return any(wanted.against(each) for each in self.held.get(fh, []))

    @rpc
    def unlock(self, client: str, number: int, owner: Any, fh: bytes, start: int, end: float) -> None:
        """These bytes are free; done twice it is as good."""
        if self._late(client, number, owner, fh):
            return
        gone = Held(client, owner, start, end, True)
        self.held[fh] = without(self.held.get(fh, []), gone)
        self._tell("lock_released", client, fh)

    def _tell(self, kind: str, client: str, fh: bytes, **data: Any) -> None:
        held = [(each.client, each.owner, each.start, each.end, each.exclusive) for each in self.held[fh]]
        self.emit(kind, client=client, fh=fh.hex(), held=held, **data)

    @rpc
    def client_rebooted(self, client: str, number: int) -> None:
        """It does not know any more of the locks that it asked for before this number."""

        def keeps(fh: bytes, each: Held) -> bool:
            return each.client != client or self.numbers[client, each.owner, fh] > number

        before = sum(map(len, self.held.values()))
        self.held = {fh: [each for each in held if keeps(fh, each)] for fh, held in self.held.items()}
        lost = before - sum(map(len, self.held.values()))
        if client in self.monitored and not any(e.client == client for h in self.held.values() for e in h):
            self.monitored.discard(client)
            self._save()
        if lost:
            self.emit("locks_freed", client=client, locks=lost)

    def _save(self) -> None:
        self.disk["monitored"] = sorted(self.monitored)
        self.disk.sync()


def without(held: list[Held], gone: Held) -> list[Held]:
    """What is left when an owner's bytes are taken out; a lock may fall into two."""
    left = []
    for each in held:
        if each.who != gone.who or each.end <= gone.start or gone.end <= each.start:
            left.append(each)
            continue
        if each.start < gone.start:
            left.append(Held(each.client, each.owner, each.start, gone.start, each.exclusive))
        if gone.end < each.end:
            left.append(Held(each.client, each.owner, int(gone.end), each.end, each.exclusive))
    return left
