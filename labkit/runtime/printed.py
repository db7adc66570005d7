"""What a node prints on a machine that is a process."""

from __future__ import annotations

import io
import sys
import threading

from labkit.runtime.node import Node
from labkit.runtime.ray_machine import RayMachine

__all__ = ["Printed"]


class Printed(io.TextIOBase):
    """What a node prints becomes an event: its terminal is on another machine."""

    def __init__(self, machine: RayMachine) -> None:
        self.machine = machine
        self._thread = threading.get_ident()
        self._line = ""

    def write(self, text: str) -> int:
        """Whole lines are recorded."""
        *lines, self._line = (self._line + text).split("\n")
        if threading.get_ident() == self._thread:
            self._record(lines, _printing_node())
        else:  # a computation's thread: the trace belongs to the loop's
            assert self.machine.loop._aio is not None
            self.machine.loop._aio.call_soon_threadsafe(self._record, lines, None)
        return len(text)

    def _record(self, lines: list[str], node: str | None) -> None:
        for line in lines:
            if self.machine.trace.on:
                self.machine.record(node, "printed", {"text": line})

    def writable(self) -> bool:
        """Yes."""
        return True


def _printing_node() -> str | None:
    """The name of the node whose code is being run by this thread: the nearest ``self`` that is one."""
    frame = sys._getframe(2)
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, Node):
            return owner.name
        frame = frame.f_back  # type: ignore[assignment]
    return None
