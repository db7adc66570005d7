"""What a check found, in words and as a space-time diagram."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from labkit.runtime.copying import event_value
from labkit.runtime.errors import LabError
from labkit.trace.trace import Trace

from .operations import Operation
from .recording import INVOKED, RETURNED

__all__ = ["Verdict", "drawn"]


@dataclass(frozen=True)
class Verdict:
    """``ok``: True, False, or None: unknown. In a condition an unknown history is not a good one."""

    ok: bool | None
    #: If not ok: the smallest part that shows it, by itself.
    unplaceable: list[Operation] = field(default_factory=list)
    why: str = ""
    #: Configurations tried.
    tried: int = 0
    #: If ok, and no more than one key: an order that explains the results.
    order: list[Operation] = field(default_factory=list, repr=False)

    def __bool__(self) -> bool:
        return self.ok is True

    def panel(self) -> Any:
        """The unplaceable part as a space-time diagram (needs a notebook)."""
        import labkit_widgets.panels.spacetime

        if not self.unplaceable:
            raise LabError(f"there is nothing to draw; the verdict was: {self.why}")
        times = [event.time for event in self.trace]
        window = (max(times) - min(times)) or 1.0
        return labkit_widgets.panels.spacetime.SpaceTimePanel(Asked(self.trace), window=window)

    @property
    def trace(self) -> Trace:
        """The unplaceable part as a trace: what SpaceTimePanel draws, a lane for each client."""
        return drawn(self.unplaceable)

    def __str__(self) -> str:
        head = {True: "holds", False: "BROKEN", None: "unknown"}[self.ok]
        return "\n".join([f"{head}: {self.why}", *(f"  {each}" for each in self.unplaceable)])


def drawn(operations: Sequence[Operation]) -> Trace:
    """A trace of operations: an event where each was invoked, and one where it returned."""
    moments = [(each.invoked, number, INVOKED) for number, each in enumerate(operations)]
    moments += [(each.end, number, RETURNED) for number, each in enumerate(operations) if each.answered]
    trace = Trace(limit=max(1, len(moments)))
    begun: dict[int, int] = {}
    # Of one instant, what is invoked comes first.
    for time, number, kind in sorted(moments, key=lambda at: (at[0], at[2] == RETURNED, at[1])):
        each, client = operations[number], str(operations[number].client)
        about = {"client": client, "operation": number}
        if kind == INVOKED:
            about |= {"call": each.call, "key": each.key, "argument": event_value(each.argument)}
        else:
            about["result"] = event_value(each.result)
        begun[number] = trace.record(time, client, client, kind, None, begun.get(number), about)
    return trace


@dataclass
class Asked:
    """What a panel asks of a cluster, said of a few operations: a run that is over."""

    trace: Trace
    name: str = "the operations that have no order"
    engine: str = ""
    seed: None = None
    closed: bool = True
    machines: tuple[()] = ()
    now: float = 0.0
