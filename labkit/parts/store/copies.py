"""Who lives, and who has which block: what the master does not keep on its disk (GFS §2.6.2).

"It simply polls chunkservers for that information at startup", for "a chunkserver has the final word over
what chunks it does or does not have on its own disks". A chunkserver's first heartbeat brings a full report;
later ones only what has changed, and how many blocks it has: if that is not the number known here, a full
report again. So a heartbeat costs what has changed, not what there is.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Container, Iterable
from random import Random

__all__ = ["ANY", "Copies", "Server"]

#: Of a doomed copy: delete it whatever version and length it has.
ANY = (2**62, 2**62)


class Server:
    """A chunkserver that counts as living, and what it has."""

    def __init__(self, life: int, seq: int, now: float) -> None:
        self.life = life  #: differs from one start of the node to the next
        self.seq = seq  #: of its last message; an older one that comes later is not news
        self.heard = now
        self.blocks: dict[int, None] = {}
        self.promised = 0  #: blocks it was chosen for since its last heartbeat
        #: Copies it is to delete, until it says that they are gone: only if (version, length) is at most
        #: this, since an order may be late, and the copy a newer one.
        self.doomed: dict[int, tuple[int, int]] = {}


class Copies:
    """Blocks and machines, in both directions."""

    def __init__(self) -> None:
        self.servers: dict[str, Server] = {}
        self._holders: dict[int, dict[str, None]] = {}
        self._names: list[str] = []  #: the living, sorted: for a choice that depends on nothing else

    def holders(self, block: int) -> tuple[str, ...]:
        """The living machines that have a copy."""
        return tuple(self._holders.get(block, ()))

    def count(self, block: int) -> int:
        """How many living machines have a copy."""
        return len(self._holders.get(block, ()))

    def join(self, machine: str, server: Server) -> None:
        """A chunkserver lives, with nothing so far."""
        if machine not in self.servers:
            insort(self._names, machine)
        self.servers[machine] = server

    def leave(self, machine: str) -> list[int]:
        """A chunkserver is dead; returns the blocks that it had."""
        server = self.servers.pop(machine)
        self._names.remove(machine)
        for block in server.blocks:
            self._forget(block, machine)
        return list(server.blocks)

    def add(self, machine: str, block: int) -> bool:
        """A machine has a copy; False if that was known."""
        server = self.servers.get(machine)
        if server is None or block in server.blocks:
            return False
        server.blocks[block] = None
        server.doomed.pop(block, None)
        self._holders.setdefault(block, {})[machine] = None
        return True

    def drop(self, machine: str, block: int) -> bool:
        """A machine has no copy; False if that was known."""
        server = self.servers.get(machine)
        if server is None or block not in server.blocks:
            return False
        del server.blocks[block]
        self._forget(block, machine)
        return True

    def doom(self, machine: str, block: int, limit: tuple[int, int] = ANY) -> None:
        """A copy counts no more, and the machine will be told to delete it."""
        self.drop(machine, block)
        if machine in self.servers:
            self.servers[machine].doomed[block] = limit

    def _forget(self, block: int, machine: str) -> None:
        holders = self._holders[block]
        del holders[machine]
        if not holders:
            del self._holders[block]

    # choosing machines ------------------------------------------------------------

    def place(
        self, count: int, random: Random, near: str | None = None, avoid: Iterable[str] = (), block: int = -1
    ) -> tuple[str, ...]:
        """Up to ``count`` living machines for the copies of a block: ``near`` first, if that is one, since
        its bytes then cross the network once less; of the others those with the fewest blocks among a random
        few (GFS §4.1 wants below-average disks; two random choices come close, at the cost of two)."""
        taken = set(avoid)
        chosen = [near] if near is not None and near in self.servers and near not in taken else []
        taken.update(chosen)
        missing = count - len(chosen)
        few = random.sample(self._names, min(len(self._names), 2 * missing + len(taken)))
        fitting = [name for name in few if self._fits(name, taken, block)]
        if len(fitting) < missing:
            fitting = [name for name in self._names if self._fits(name, taken, block)]
        fitting.sort(key=self._load)
        chosen += fitting[:missing]
        for name in chosen:
            self.servers[name].promised += 1
        return tuple(chosen)

    def _load(self, machine: str) -> int:
        server = self.servers[machine]
        return len(server.blocks) + server.promised

    def _fits(self, machine: str, taken: Container[str], block: int) -> bool:
        return machine not in taken and block not in self.servers[machine].doomed

    def fullest(self, block: int) -> str:
        """Of the machines with a copy, the one with the most blocks."""
        return max(self._holders[block], key=lambda name: (len(self.servers[name].blocks), name))
