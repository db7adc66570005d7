"""The name server (§2.1): it enumerates the computers there are, and says where in the network each stands,
so that what is scheduled can be near its data."""

from __future__ import annotations

from labkit.runtime.node import Node, rpc

from ..events import EVENTS
from ..messages import Computer

__all__ = ["NameServer"]


class NameServer(Node):
    """Knows every computer whose daemon has registered. racks: by machine the rack that it stands in."""

    events = EVENTS

    def __init__(self, racks: dict[str, str]) -> None:
        self.racks = racks
        self.computers: dict[str, Computer] = {}

    @rpc
    def register(self, daemon: str, life: int, machine: str) -> None:
        """A daemon lives; said again and again, since a name server may restart and know nobody."""
        computer = Computer(daemon, life, machine, self.racks.get(machine, "rack-1"))
        if self.computers.get(daemon) != computer:
            self.computers[daemon] = computer
            self.emit("computer_registered", daemon=daemon, machine=machine, rack=computer.rack)

    @rpc
    def enumerate(self) -> tuple[Computer, ...]:
        """All computers, the dead ones too: who asks finds out."""
        return tuple(self.computers.values())
