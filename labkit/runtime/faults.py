"""Faults are data: frozen dataclasses; a ``Schedule`` says when each strikes.

A click in a panel, a call such as ``cluster.kill("m2")`` and a schedule given to a cluster all end in the
same place, ``Cluster.inject``, and are all recorded in ``cluster.schedule``, which prints as code: a run
explored by hand becomes a script.

``when`` is a time in seconds since the cluster began, or a trigger on the trace::

    Schedule([
        (2.0, Kill("m2")),
        (when("stored", count=10), Partition(["m1"], ["m3"])),   # at the tenth such event
    ])
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from labkit.runtime.errors import BadFault, BadSchedule
from labkit.runtime.network import Distribution, Network, probability

__all__ = [
    "DiskLoss",
    "Duplicate",
    "Fault",
    "Heal",
    "Kill",
    "Latency",
    "Loss",
    "Partition",
    "Pause",
    "Restart",
    "Resume",
    "Schedule",
    "Slow",
    "Trigger",
    "change_network",
    "when",
]


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong, or is mended. ``event`` is its kind in the trace."""

    event = ""

    def __post_init__(self) -> None:
        for machine in self.machines:
            if not isinstance(machine, str):
                raise ValueError(
                    f'a fault names its machine, as in {type(self).__name__}("m2"), not '
                    f"{machine!r}; a machine's name is machine.name"
                )

    @property
    def machines(self) -> tuple[str, ...]:
        """The machines it names."""
        return (self.machine,) if hasattr(self, "machine") else ()


@dataclass(frozen=True)
class Kill(Fault):
    """The machine is gone, with all its nodes and all it had not synced to its disk."""

    machine: str
    event = "killed"


@dataclass(frozen=True)
class Restart(Fault):
    """A dead machine comes back: the same nodes start again, on what its disk kept."""

    machine: str
    event = "restarted"


@dataclass(frozen=True)
class Pause(Fault):
    """The machine stands still (SIGSTOP): to its peers it looks dead, but it is not."""

    machine: str
    event = "paused"


@dataclass(frozen=True)
class Resume(Fault):
    """A paused machine goes on where it stood."""

    machine: str
    event = "resumed"


@dataclass(frozen=True)
class Slow(Fault):
    """Computation takes ``factor`` times as long, and each message is looked at later; 1 is normal speed."""

    machine: str
    factor: float = 10.0
    event = "slowed"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (isinstance(self.factor, (int, float)) and self.factor >= 1):
            raise ValueError(
                f"factor says how many times slower, a number >= 1 (1 is normal), not {self.factor!r}"
            )


@dataclass(frozen=True)
class Partition(Fault):
    """No message passes from ``a`` to ``b``, nor back unless ``oneway``."""

    a: tuple[str, ...]
    b: tuple[str, ...]
    oneway: bool = False
    event = "partitioned"

    def __init__(self, a: Iterable[str] | str, b: Iterable[str] | str, oneway: bool = False) -> None:
        for name, value in (("a", a), ("b", b)):
            object.__setattr__(self, name, (value,) if isinstance(value, str) else tuple(value))
        object.__setattr__(self, "oneway", oneway)
        self.__post_init__()
        common = sorted(set(self.a) & set(self.b))
        if common or not self.a or not self.b:
            raise ValueError(
                f"a partition needs two groups of machines with none in both, not {self.a} and {self.b}; "
                'write Partition(["m1"], ["m2", "m3"])'
            )

    @property
    def machines(self) -> tuple[str, ...]:
        """Both groups."""
        return self.a + self.b


@dataclass(frozen=True)
class Heal(Fault):
    """All partitions end."""

    event = "healed"


@dataclass(frozen=True)
class Loss(Fault):
    """From now on each message between machines is lost with this probability."""

    probability: float
    event = "loss_changed"

    def __post_init__(self) -> None:
        probability("the loss", self.probability)


@dataclass(frozen=True)
class Latency(Fault):
    """From now on messages between machines take this long."""

    distribution: Distribution
    event = "latency_changed"

    def __post_init__(self) -> None:
        if not hasattr(self.distribution, "sample"):
            raise ValueError(
                f"a latency is a distribution, not {self.distribution!r}; write Latency(Uniform(0.01, 0.02))"
            )


@dataclass(frozen=True)
class Duplicate(Fault):
    """From now on each message between machines arrives twice with this probability."""

    probability: float
    event = "duplicate_changed"

    def __post_init__(self) -> None:
        probability("the duplication", self.probability)


@dataclass(frozen=True)
class DiskLoss(Fault):
    """The machine's disk is empty, as after replacing it; only on a dead machine."""

    machine: str
    event = "disk_lost"


@dataclass(frozen=True)
class Trigger:
    """The ``count``-th event of this kind, with these data, plus ``after`` seconds."""

    kind: str
    data: tuple[tuple[str, Any], ...] = ()
    count: int = 1
    after: float = 0.0

    def matches(self, kind: str, machine: str, node: str | None, data: dict[str, Any]) -> bool:
        """Whether an event is one of those counted."""
        if kind != self.kind:
            return False
        return all(
            (machine if key == "machine" else node if key == "node" else data.get(key)) == value
            for key, value in self.data
        )

    def __repr__(self) -> str:
        words = [repr(self.kind), *(f"{key}={value!r}" for key, value in self.data)]
        words += [f"count={self.count}"] if self.count != 1 else []
        words += [f"after={self.after}"] if self.after else []
        return f"when({', '.join(words)})"


def when(kind: str, *, count: int = 1, after: float = 0.0, **data: Any) -> Trigger:
    """At the ``count``-th event of this kind whose data, ``machine`` and ``node`` are as given."""
    if count < 1:
        raise BadSchedule(f"count says which such event, 1 for the first, not {count!r}")
    if not 0 <= after < float("inf"):
        raise BadSchedule(f"after is seconds >= 0 after the event, not {after!r}")
    return Trigger(kind, tuple(data.items()), count, float(after))


Moment = float | Trigger


@dataclass
class Schedule:
    """(when, fault) pairs, in the order given. ``print(schedule)`` is code that makes an equal one."""

    entries: list[tuple[Moment, Fault]] = field(default_factory=list)

    def __post_init__(self) -> None:
        entries, self.entries = list(self.entries), []
        for entry in entries:
            if not (isinstance(entry, tuple) and len(entry) == 2):
                raise BadSchedule(
                    f'a schedule is a list of (when, fault), not {entry!r}; write (2.0, Kill("m2"))'
                )
            self.add(*entry)

    def add(self, moment: Moment, fault: Fault) -> None:
        """Append one entry."""
        if not isinstance(fault, Fault):
            raise BadSchedule(f'{fault!r} is not a fault; write for example (2.0, Kill("m2"))')
        if isinstance(moment, bool) or not isinstance(moment, (int, float, Trigger)):
            raise BadSchedule(f"{moment!r} is neither a time in seconds nor when(...)")
        if not isinstance(moment, Trigger) and not 0 <= moment < float("inf"):
            raise BadSchedule(f"a time is seconds since the cluster began, >= 0 and finite, not {moment!r}")
        self.entries.append((moment if isinstance(moment, Trigger) else float(moment), fault))

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[tuple[Moment, Fault]]:
        return iter(list(self.entries))

    def __str__(self) -> str:
        if not self.entries:
            return "Schedule([])"
        lines = "".join(f"    ({moment!r}, {fault!r}),\n" for moment, fault in self.entries)
        return f"Schedule([\n{lines}])"

    __repr__ = __str__


def change_network(network: Network, fault: Fault) -> None:
    """Faults that belong to the network, on any engine."""
    match fault:
        case Partition(a, b, oneway):
            network.partition(a, b, oneway)
        case Heal():
            network.heal()
        case Loss(probability):
            network.loss = probability
        case Duplicate(probability):
            network.duplicate = probability
        case Latency(distribution):
            network.latency = distribution
        case _:
            raise BadFault(f"no engine knows how to apply {fault!r}")
    network.changed()
