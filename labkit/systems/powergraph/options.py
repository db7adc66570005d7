"""What can be chosen, and what the nodes are told."""

from __future__ import annotations

from dataclasses import Field, dataclass, fields
from typing import Any, NamedTuple

from labkit.parts.graphs.cuts import VERTEX_CUTS
from labkit.parts.options import Rule, checked, number, one_of, outlasts, seconds, settle, switch, whole
from labkit.parts.store import Settings as FileSettings
from labkit.runtime.errors import LabError

__all__ = [
    "ASYNCHRONOUS", "ENGINES", "SERIALIZABLE", "SYNCHRONOUS", "Load", "Options", "Plan", "ProgramFailed",
    "Spec", "given",
]  # fmt: skip

#: §4.3: Sync, Async, and Async+S.
ENGINES = SYNCHRONOUS, ASYNCHRONOUS, SERIALIZABLE = "synchronous", "asynchronous", "serializable"


class ProgramFailed(LabError):
    """The user's program raised an exception; the text has its traceback."""


@dataclass(frozen=True)
class Options:
    """All that can be chosen. Times in seconds."""

    cut: str = "coordinated"  #: which machine gets an edge (§5.2): see ``labkit.parts.graphs.cuts``
    engine: str = SYNCHRONOUS  #: synchronous, asynchronous or serializable (§4.3)
    delta_caching: bool = True  #: whether accumulators are kept (§4.2); of arrays they never are
    #: Whether whole partitions are computed as arrays; None: if the program can, and the graph has more
    #: vertices than are logged one by one.
    batch: bool | None = None
    #: Whether each vertex's runs, versions and values are events, which checks and panel need; None: up to
    #: 1000 vertices.
    log: bool | None = None
    snapshot_every: float | None = None  #: between two snapshots; None: only when asked for (§4.4)
    #: Of the synchronous engine, >= 1: a program that has not ended then has failed; None: it goes on.
    max_supersteps: int | None = None
    in_flight: int = 32  #: vertices that a machine runs at the same time on the asynchronous engines, >= 1
    beat_every: float = 0.25  #: between two signs of life of a machine
    timeout: float = 2.0  #: silence after which a machine counts as dead; > 2 signs of life
    call_timeout: float = 1.0  #: after which a message is taken for lost and sent again
    #: Virtual seconds, in the simulator, of reading and placing an edge, and of one call of gather, apply or
    #: scatter (an array's: a hundredth). About what this code needs.
    seconds_per_edge: float = 2e-6
    seconds_per_call: float = 2e-6

    def __post_init__(self) -> None:
        settle(self, RULES)
        outlasts(self.timeout, "beat_every", self.beat_every, "take living machines for dead")


def _rule(field: Field[Any]) -> Rule:
    if field.name in ("batch", "log"):
        return switch.or_none()
    if field.name == "snapshot_every":
        return seconds().or_none()
    if field.name == "max_supersteps":
        return whole(1, write=100).or_none()
    return whole(1, write=32) if field.type == "int" else number(0, write=field.default)


#: What each must be by itself.
RULES = {field.name: _rule(field) for field in fields(Options)}
RULES["cut"] = one_of(tuple(VERTEX_CUTS))
RULES["engine"] = one_of(ENGINES)
RULES["delta_caching"] = switch
RULES["beat_every"], RULES["call_timeout"] = seconds(write=0.25), seconds(write=1.0)


class Load(NamedTuple):
    """How a graph is loaded."""

    cut: str
    seconds_per_edge: float


@dataclass(frozen=True)
class Spec:
    """One for all nodes."""

    name: str  #: before the names of its nodes
    options: Options
    files: FileSettings  #: of the file system
    vertices: int
    edges: int
    inputs: tuple[str, ...]  #: the files with the edges
    program: bytes  #: the user's ``VertexProgram``, pickled
    machines: tuple[str, ...]
    batch: bool
    log: bool

    @property
    def coordinator(self) -> str:
        """Its name."""
        return f"{self.name}-coordinator"

    def member(self, machine: str) -> str:
        """The name of a machine's node."""
        return f"{self.name}-{machine}"


class Plan(NamedTuple):
    """An epoch: who takes part, and from where. Every loss of a machine begins another."""

    epoch: int
    members: tuple[str, ...]  #: nodes, by rank
    cut: str
    engine: str
    delta_caching: bool
    going: bool  #: whether the program was begun
    snapshot: tuple[str, ...]  #: files to begin from


def given(options: dict[str, Any]) -> Options:
    """Options by name; raises ``TypeError`` naming those there are, ``ValueError``."""
    return Options(**checked("PowerGraph", options, RULES))
