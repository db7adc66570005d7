"""What a cluster gives into its user's hands: its machines, and programs that are under way."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

from labkit.runtime.errors import Timeout, UnknownMachine
from labkit.runtime.loop import Future, Task
from labkit.trace.words import many

__all__ = ["MachineHandle", "Operation", "find", "machine_name", "machine_names_of"]


class MachineHandle:
    """One machine as the user sees it."""

    def __init__(self, cluster: Any, name: str) -> None:
        self._cluster: Callable[[], Any] = weakref.ref(cluster)
        self.name = name
        self.state = "alive"  #: "alive", "slow", "paused" or "dead"
        self.factor = 1.0  #: how many times slower than normal
        self.incarnation = 1  #: one more with each restart

    @property
    def alive(self) -> bool:
        """Whether it is not dead (it may be paused or slow)."""
        return self.state != "dead"

    @property
    def nodes(self) -> list[str]:
        """The names of its nodes, running or to be started again with it."""
        cluster = self._cluster()
        return (
            []
            if cluster is None
            else [node for node, machine in cluster.nodes.items() if machine == self.name]
        )

    @property
    def pid(self) -> int | None:
        """Its process (Ray), or None (simulator, or dead)."""
        cluster = self._cluster()
        return None if cluster is None or not self.alive else cluster._engine.pid(self.name)

    def __repr__(self) -> str:
        pid = f", pid {self.pid}" if self.pid else ""
        return f"<machine {self.name}: {self.state}, {many(len(self.nodes), 'node')}{pid}>"


class Operation:
    """A client program under way."""

    def __init__(self, cluster: Any, future: Future) -> None:
        self._cluster = cluster
        self._future = future

    @property
    def future(self) -> Future:
        """For a program that waits for it: ``await operation.future``."""
        return self._future

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._future.done

    def result(self, timeout: float | None = None) -> Any:
        """What the program returned; waits for it, at most ``timeout`` seconds of the cluster's time.

        Raises what the program raised, or ``Timeout``; after a timeout the program goes on.
        """
        if timeout is not None and not self.done:
            try:
                self._cluster.run_until(lambda: self.done, timeout=timeout, every=min(0.05, timeout))
            except Timeout:
                if not self.done:
                    raise Timeout(f"the operation is not done after {timeout} s; it goes on") from None
        return self._cluster._finish(self._future)

    def cancel(self) -> None:
        """End it where it waits."""
        if isinstance(self._future, Task):
            task = self._future
            self._cluster._engine.do(task.cancel)

    def __repr__(self) -> str:
        return f"<operation {'done' if self.done else 'under way'}>"


def find(handles: Mapping[str, MachineHandle], machine: str | MachineHandle) -> MachineHandle:
    """The machine of this name; raises ``UnknownMachine``."""
    name = machine_name(machine)
    if name not in handles:
        raise UnknownMachine(f"there is no machine {name!r}; the machines are: {', '.join(handles)}")
    return handles[name]


def machine_name(machine: str | MachineHandle) -> str:
    """Of a machine, or of its handle."""
    return machine.name if isinstance(machine, MachineHandle) else machine


def machine_names_of(machines: Any) -> tuple[str, ...]:
    """Of one or several."""
    if isinstance(machines, (str, MachineHandle)):
        machines = [machines]
    return tuple(machine_name(machine) for machine in machines)
