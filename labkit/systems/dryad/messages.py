"""What the job manager and the daemons tell each other."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["STORE", "Cancel", "Computer", "Input", "Member", "Order", "Outcome", "Output", "Select"]

#: Beside the kinds of channels: a file of the distributed file system, the job's input or output.
STORE = "store"


class Computer(NamedTuple):
    """A computer as the name server knows it: its daemon, the life of it, and where it stands."""

    daemon: str
    life: int
    machine: str
    rack: str


class Input(NamedTuple):
    """An input port: which output it reads, and where that is."""

    kind: str
    source: int = -1
    port: int = 0
    version: int = 0
    daemon: str = ""
    life: int = 0
    machine: str = ""
    path: str = ""
    size: int = -1  #: bytes, if known: of an empty channel nothing need be read


class Output(NamedTuple):
    """An output port: who reads it, and where, if that is known before it is written."""

    kind: str
    port: int = 0
    daemon: str = ""
    life: int = 0
    machine: str = ""
    path: str = ""


class Member(NamedTuple):
    """A vertex of a process."""

    vertex: int
    stage: str
    program: int
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]


class Order(NamedTuple):
    """A process to run: vertices of one version that FIFOs join, most often only one."""

    process: int
    version: int
    members: tuple[Member, ...]
    gang: bool = False  #: whether pipes join it to others: then it waits for no slot


class Select(NamedTuple):
    """This version of a vertex counts: its outputs get their names."""

    vertex: int
    version: int


class Cancel(NamedTuple):
    """Nobody wants this process any more."""

    process: int


class Outcome(NamedTuple):
    """How a process ended: "ok", "failed", or "read_error"."""

    process: int
    result: str
    error: str = ""
    sizes: tuple[tuple[int, tuple[int, ...]], ...] = ()  #: by vertex the bytes of its output ports
    lost: tuple[tuple[int, int], ...] = ()  #: outputs that could not be read: vertex, version
