"""A history out of a run: a program on a client tells the trace what it asks and what it is told."""

from __future__ import annotations

from collections.abc import Awaitable, Hashable, Iterable, Mapping
from dataclasses import replace
from math import inf, nextafter
from typing import Any

from labkit.runtime.copying import event_value
from labkit.runtime.errors import Definite, LabError
from labkit.runtime.node import Node
from labkit.trace.event import Event
from labkit.trace.trace import Trace

from .operations import Operation

__all__ = ["Recorder", "from_trace"]

INVOKED, RETURNED, FAILED = "operation_invoked", "operation_returned", "operation_failed"


class Recorder:
    """One client of a history, whose operations go into the trace of the node that runs it.

        async def program(client):
            alice = Recorder(client, "alice")
            await alice.call("put", 1, ring.client_put(client, "x", 1), key="x")
            await alice.call("get", None, ring.client_get(client, "x"), key="x", answers={KeyError: None})

    What a call says nothing about, as when it ran into a timeout, stays unanswered.
    """

    def __init__(self, node: Node, client: str | None = None) -> None:
        self.node = node
        self.client = node.name if client is None else client
        self._count = 0

    async def call(
        self,
        call: str,
        argument: Any,
        work: Awaitable[Any],
        *,
        key: Hashable = None,
        answers: Mapping[Any, Any] | None = None,
        result: Any = ...,
    ) -> Any:
        """Await the work as one operation, and return or raise what it does.

        ``answers``: exceptions that are an answer, and the result that they stand for; any other, but for
        ``Definite`` (it did not happen), leaves the operation unanswered. ``result``: recorded instead of the
        one returned.
        """
        self._count += 1
        about = {"client": self.client, "operation": self._count}
        self.node.emit(INVOKED, **about, call=call, key=key, argument=event_value(argument))
        try:
            found = await work
        except Exception as error:
            for kind, stands_for in (answers or {}).items():
                if isinstance(error, kind):
                    self.node.emit(RETURNED, **about, result=stands_for)
                    break
            else:
                if isinstance(error, Definite):
                    self.node.emit(FAILED, **about)
            raise
        self.node.emit(RETURNED, **about, result=event_value(found if result is ... else result))
        return found


def from_trace(trace: Trace | Iterable[Event]) -> list[Operation]:
    """The operations that recorders told the trace, in the order of their beginnings.

    In the simulator much takes no time. What happened at one instant keeps the trace's order, by the least
    difference of two numbers.

    Raises ``LabError`` if there are none, or if the trace has forgotten some.
    """
    if getattr(trace, "dropped", 0):
        raise LabError(
            f"the trace has forgotten its first {getattr(trace, 'dropped', 0)} events, perhaps operations; "
            "make the cluster with a larger trace_limit="
        )
    found: dict[tuple[Any, ...], Operation] = {}
    begun: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    now = -inf
    for number, event in enumerate(trace):
        if event.kind not in (INVOKED, RETURNED, FAILED):
            continue
        now = max(event.time, nextafter(now, inf))
        data = event.data
        who = (event.node, data["client"], data["operation"])
        if event.kind == INVOKED:  # the same number again: its node began anew, and the earlier stays open
            begun[who] = (number, *who)
            found[begun[who]] = Operation(
                data["client"], data["call"], data["argument"], None, now, None, data["key"]
            )
        elif event.kind == FAILED:
            found.pop(begun[who], None)
        elif begun[who] in found:
            here = begun[who]
            found[here] = replace(found[here], result=data["result"], returned=now)
    if not found:
        raise LabError(
            "no operation was recorded in this trace; have the clients' programs use a Recorder, and the "
            'cluster a trace (trace="domain")'
        )
    return list(found.values())
