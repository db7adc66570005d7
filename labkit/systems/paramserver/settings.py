"""What the nodes of a parameter server are told at their start."""

from __future__ import annotations

from typing import NamedTuple

from labkit.runtime.errors import Definite

__all__ = ["Moved", "Settings"]


class Moved(Definite):
    """The server is not responsible, or not now: ask again with the manager's latest view."""


class Settings(NamedTuple):
    """One for all nodes. Times in seconds."""

    manager: str = "manager"
    scheduler: str = "scheduler"
    replicas: int = 1  #: copies of a range beside the master's
    virtual_servers: int = 8  #: points of the ring for each server
    heartbeat_every: float = 0.2
    timeout: float = 2.0  #: silence after which a server or worker is taken for dead
    resend_after: float = 1.0  #: silence after which a message is sent again
    retry_after: float = 0.05  #: pause before asking again a server that had to refuse
    read_at: str = "tail"  #: "head" is a bug to be caught
    #: Pushes of one worker on their way when nobody waits for them (Async).
    outstanding: int = 64

    @property
    def lease(self) -> float:
        """How long a server may serve after it *sent* a heartbeat that the manager answered.

        Shorter than ``timeout``, which the manager counts from when it *received* it: whoever is replaced
        has stopped before, even if it was paused and knows nothing.
        """
        return 0.8 * self.timeout

    @property
    def copy_within(self) -> float:
        """Time for a message that carries a whole range."""
        return max(10.0, self.timeout)
