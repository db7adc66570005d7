"""What every node of a file system is told at its start, and what they refuse one another."""

from __future__ import annotations

from typing import NamedTuple

from labkit.parts.options import Rule, number, seconds, text, whole
from labkit.runtime.errors import Definite

__all__ = ["BlockLost", "NotHere", "Settings", "TooLate", "rules"]


class BlockLost(OSError):
    """No living machine has a copy of a block."""


class NotHere(Definite):
    """This chunkserver cannot serve the block: it has no copy, an old one, or a rotten one. Ask another."""


class TooLate(Definite):
    """The master does not know these blocks as being written (any more): write them again."""


class Settings(NamedTuple):
    """One for all nodes of a file system. Times in seconds, sizes in bytes."""

    name: str = "files"
    replicas: int = 3  #: copies of a block (GFS §2.3: "By default, we store three replicas")
    block_size: int = 64 * 1024  #: at most so long; GFS has 64 MB, for files a thousand times larger
    heartbeat_every: float = 0.5
    timeout: float = 2.0  #: silence after which a chunkserver is taken for dead
    retry_after: float = 0.1  #: pause before asking again
    give_up_after: float = 60.0  #: for so long a client asks a master that does not answer
    #: A block in no file is kept so long, for those who are reading it, or still writing it (GFS §4.4.1 has
    #: three days).
    garbage_after: float = 10.0
    repairs_at_once: int = 4  #: copies under way to replace lost ones, in the whole cluster (GFS §4.3)
    #: Bytes per second through a machine's network card, for data without bytes; None: they cost nothing.
    bandwidth: float | None = None

    @property
    def master(self) -> str:
        """The master's name."""
        return f"{self.name}-master"

    def server(self, machine: str) -> str:
        """The name of a machine's chunkserver."""
        return f"{self.name}-{machine}"

    def patience(self, size: int) -> float:
        """Seconds to wait for so many bytes: eight transfers may stand in line before them."""
        return self.timeout + round(8 * size / (self.bandwidth or SLOW))


def rules(machines: int) -> dict[str, Rule]:
    """What each must be, on so many machines."""
    copies = f"copies are on different machines, 1 to {machines} of them here"
    return {
        "name": text(says="the nodes are called after it", write="files"),
        "replicas": whole(1, machines, says=copies, write=min(3, machines)),
        "block_size": whole(1, says="bytes >= 1", write=64 * 1024),
        "heartbeat_every": seconds(write=0.5),
        "timeout": seconds(write=2.0),
        "retry_after": seconds(write=0.1),
        "give_up_after": seconds(write=60.0),
        "garbage_after": seconds(0, write=10.0),
        "repairs_at_once": whole(1, write=4),
        "bandwidth": number(above=0, says="bytes per second, more than none", write=125e6).or_none(),
    }


#: Bytes per second of a transfer on a busy machine, for want of a better number.
SLOW = 40e6
