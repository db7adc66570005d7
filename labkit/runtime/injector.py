"""Faults: which makes sense in which state; one is made real, now or when it is due."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

from labkit.runtime.engine import CLIENT, Engine
from labkit.runtime.errors import BadFault, BadSchedule
from labkit.runtime.faults import (
    DiskLoss,
    Duplicate,
    Fault,
    Kill,
    Latency,
    Loss,
    Partition,
    Pause,
    Restart,
    Resume,
    Schedule,
    Slow,
    Trigger,
)
from labkit.runtime.handles import MachineHandle, find
from labkit.trace.event import MESSAGE_KEYS, Event
from labkit.trace.trace import LEVELS

__all__ = ["Injector"]

#: What may be done to a machine in each state, and the state it is in afterwards. ``Slow`` with factor 1
#: makes it alive.
LIFECYCLE: dict[str, dict[type[Fault], str]] = {
    "alive": {Kill: "dead", Pause: "paused", Slow: "slow"},
    "slow": {Kill: "dead", Pause: "paused", Slow: "slow"},
    "paused": {Kill: "dead", Resume: "alive"},
    "dead": {Restart: "alive", DiskLoss: "dead"},
}


class Injector:
    """Strikes the machines of one cluster, and keeps the state that each is in."""

    def __init__(self, engine: Engine, handles: Mapping[str, MachineHandle]) -> None:
        self._engine = engine
        self._handles = handles
        self.schedule = Schedule()  #: every fault so far, with its time

    def inject(self, fault: Fault) -> None:
        """Make it happen now; raises ``BadFault`` if it makes no sense in the present state."""
        if not isinstance(fault, Fault):
            raise BadFault(f'{fault!r} is not a fault; write for example cluster.inject(Kill("m2"))')
        self._engine.strike(lambda: self._strike(fault), check=lambda: self._check_fault(fault))

    def play(self, schedule: Schedule) -> None:
        """Have these faults strike when they are due."""
        self.check(schedule)
        for moment, fault in schedule:
            if isinstance(moment, Trigger):
                self._arm(moment, fault)
            else:
                self._engine.at(moment, self._strike_later(fault))

    def check(self, schedule: Schedule) -> None:
        """Raises if it names machines that there are not, or waits for events that are not traced."""
        for moment, fault in schedule:
            if isinstance(moment, Trigger):
                level = "messages" if moment.kind in MESSAGE_KEYS else "domain"
                if LEVELS.index(self._engine.trace.level) < LEVELS.index(level):
                    raise BadSchedule(
                        f"{moment!r} waits for events that this trace does not hold: make the "
                        f'cluster with trace="{level}", '
                        f"not {self._engine.trace.level!r}"
                    )
            for machine in fault.machines:
                if machine != CLIENT:
                    find(self._handles, machine)

    def _strike_later(self, fault: Fault) -> Callable[[], None]:
        """What the engine calls when the fault is due.

        It does not keep alive a cluster that its user has forgotten.
        """
        reference = weakref.ref(self)

        def strike() -> None:
            injector = reference()
            if injector is not None:
                injector._strike_or_skip(fault)

        return strike

    def _arm(self, trigger: Trigger, fault: Fault) -> None:
        engine, strike = self._engine, self._strike_later(fault)
        seen = 0

        def look(event: Event) -> None:
            nonlocal seen
            if not trigger.matches(event.kind, event.machine, event.node, event.data):
                return
            seen += 1
            if seen == trigger.count:
                engine.trace.unwatch(look)
                if trigger.after:
                    engine.at(event.time + trigger.after, strike)
                else:
                    engine.soon(strike)

        self._engine.trace.watch(look)

    def _strike_or_skip(self, fault: Fault) -> None:
        try:
            self._engine.exclusively(lambda: self._strike(fault))
        except BadFault as error:
            self._record("fault_skipped", {"fault": repr(fault), "reason": str(error)})

    def _strike(self, fault: Fault) -> None:
        """Check, make it real, record it; in this order, so that the trace never tells of what did not
        happen."""
        after = self._check_fault(fault)
        where = fault.machines[0] if after is not None else CLIENT
        data = _told(fault)
        handle = self._handles.get(where)
        if handle is not None and after is not None:
            before = handle.state
            handle.state = after
            if isinstance(fault, Restart):
                handle.incarnation += 1
            if isinstance(fault, Slow):
                handle.factor = float(fault.factor)
            elif isinstance(fault, (Kill, Restart)):
                handle.factor = 1.0
        moment = self._engine.now
        if isinstance(fault, Restart):  # before the nodes' own events, which it causes
            self._record(fault.event, data, where)
        try:
            self._engine.apply(fault)
        except BaseException:
            if handle is not None and after is not None:
                handle.state = before
            raise
        if not isinstance(fault, Restart):
            self._record(fault.event, data, where)
        self._engine.struck(fault)
        self.schedule.add(max(0.0, moment), fault)

    def _check_fault(self, fault: Fault) -> str | None:
        """The state that the machine will be in, or None if the fault is not about one machine's state."""
        if isinstance(fault, Partition):
            for name in fault.machines:
                if name != CLIENT:
                    find(self._handles, name)
            return None
        if not fault.machines:
            return None
        handle = find(self._handles, fault.machines[0])
        allowed = LIFECYCLE[handle.state]
        if type(fault) not in allowed:
            names = ", ".join(kind.__name__ for kind in allowed)
            raise BadFault(f"{fault!r}: {handle.name} is {handle.state}; what can be done to it now: {names}")
        if isinstance(fault, Slow) and fault.factor == 1:
            return "alive"
        if isinstance(fault, Resume) and handle.factor > 1:
            return "slow"
        return allowed[type(fault)]

    def _record(self, kind: str, data: dict[str, Any], machine: str = CLIENT) -> None:
        self._engine.record(machine, None, kind, None, data)


def _told(fault: Fault) -> dict[str, Any]:
    data: dict[str, Any] = {"fault": repr(fault)}
    match fault:
        case Slow(_, factor):
            data["factor"] = factor
        case Partition(a, b, oneway):
            data.update(a=list(a), b=list(b), oneway=oneway)
        case Loss(probability) | Duplicate(probability):
            data["probability"] = probability
        case Latency(distribution):
            data["latency"] = str(distribution)
    return data
