"""What a user does to a cluster: every fault as a method."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from labkit.runtime.faults import (
    DiskLoss,
    Duplicate,
    Fault,
    Heal,
    Kill,
    Latency,
    Loss,
    Partition,
    Pause,
    Restart,
    Resume,
    Schedule,
    Slow,
)
from labkit.runtime.handles import MachineHandle, machine_name, machine_names_of
from labkit.runtime.injector import Injector
from labkit.runtime.network import Distribution

__all__ = ["Faults"]


class Faults:
    """A part of ``Cluster``: what goes wrong, now (``inject``) or when it is due (``play``)."""

    _injector: Injector

    def kill(self, machine: str | MachineHandle) -> None:
        """The machine dies: its process is gone when this returns."""
        self.inject(Kill(machine_name(machine)))

    def restart(self, machine: str | MachineHandle) -> None:
        """A dead machine starts again, with its nodes, on what its disk kept."""
        self.inject(Restart(machine_name(machine)))

    def pause(self, machine: str | MachineHandle) -> None:
        """The machine stands still (SIGSTOP)."""
        self.inject(Pause(machine_name(machine)))

    def resume(self, machine: str | MachineHandle) -> None:
        """A paused machine goes on."""
        self.inject(Resume(machine_name(machine)))

    def slow(self, machine: str | MachineHandle, factor: float = 10.0) -> None:
        """The machine becomes ``factor`` times slower; 1 makes it normal."""
        self.inject(Slow(machine_name(machine), factor))

    def partition(
        self,
        a: Iterable[str | MachineHandle] | str | MachineHandle,
        b: Iterable[str | MachineHandle] | str | MachineHandle,
        oneway: bool = False,
    ) -> None:
        """No message passes from machines ``a`` to machines ``b``, nor back unless ``oneway``."""
        self.inject(Partition(machine_names_of(a), machine_names_of(b), oneway))

    def heal(self) -> None:
        """All partitions end."""
        self.inject(Heal())

    def loss(self, probability: float) -> None:
        """Messages between machines are lost with this probability."""
        self.inject(Loss(probability))

    def latency(self, distribution: Distribution) -> None:
        """Messages between machines take this long."""
        self.inject(Latency(distribution))

    def duplicate(self, probability: float) -> None:
        """Messages between machines arrive twice with this probability."""
        self.inject(Duplicate(probability))

    def disk_loss(self, machine: str | MachineHandle) -> None:
        """A dead machine's disk is emptied."""
        self.inject(DiskLoss(machine_name(machine)))

    def inject(self, fault: Fault) -> None:
        """Make a fault happen now; raises ``BadFault`` if it makes no sense in the present state."""
        self._check_open()
        self._injector.inject(fault)

    def play(self, schedule: Schedule | Iterable[tuple[Any, Fault]]) -> None:
        """Have these faults strike when they are due.

        One that makes no sense by then is skipped, and the trace says so.
        """
        self._check_open()
        self._injector.play(schedule if isinstance(schedule, Schedule) else Schedule(list(schedule)))

    def _check_open(self) -> None:
        """What ``Cluster`` brings."""
        raise NotImplementedError
