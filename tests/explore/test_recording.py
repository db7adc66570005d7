"""A run's own history: what recorders tell the trace, on both engines."""

from __future__ import annotations

from typing import Any

import pytest

from labkit import Cluster, Kill, LabError, Node, Schedule, Timeout, rpc
from labkit.explore.histories import (
    Operation,
    Recorder,
    Register,
    from_trace,
    linearizable,
    monotonic_reads,
    read_your_writes,
)
from labkit.runtime import gather
from labkit.runtime.errors import Definite


class Full(Definite):
    """It takes no more."""


class Box(Node):
    """One value. A cached box answers from what it saw first."""

    def __init__(self, cached: bool = False) -> None:
        self.cached = cached
        self.value: Any = None
        self.seen: Any = ...

    @rpc
    async def put(self, value: Any) -> None:
        """Keep it, a while later; nothing larger than 99."""
        if value > 99:
            raise Full("only two digits")
        await self.sleep(0.01)
        self.value = value

    @rpc
    def get(self) -> Any:
        """What is kept, or was when it was asked first."""
        if self.seen is ... or not self.cached:
            self.seen = self.value
        if self.seen is None:
            raise KeyError("nothing")
        return self.seen


async def writes(node: Node, timeout: float, *values: int) -> None:
    writer = Recorder(node, "writer")
    for value in values:
        try:
            await writer.call("write", value, node.call("box", "put", value, timeout=timeout))
        except (Timeout, Full):
            pass
        await node.sleep(0.05)


async def reads(node: Node, timeout: float, count: int) -> None:
    reader = Recorder(node)
    for _ in range(count):
        try:
            await reader.call(
                "read", None, node.call("box", "get", timeout=timeout), answers={KeyError: None}
            )
        except (Timeout, KeyError):
            pass
        await node.sleep(0.03)


def run(cluster: Any, cached: bool = False, count: int = 8, timeout: float = 0.5) -> list[Operation]:
    cluster.spawn(Box, cached, name="box", machine="m2")

    async def program(client: Node) -> None:
        await gather(writes(client, timeout, 1, 2, 100, 3), reads(client, timeout, count))

    cluster.submit(program).result()
    return from_trace(cluster.trace)


def test_a_correct_box(make_cluster: Any) -> None:
    history = run(make_cluster(machines=2), timeout=60.0)
    assert [each.argument for each in history if each.call == "write"] == [1, 2, 3], "100 did not happen"
    assert {each.client for each in history} == {"writer", "client"}
    assert all(each.answered for each in history)
    assert linearizable(history, Register()).ok is True


def test_a_cached_box_shows_stale_values() -> None:
    with Cluster(machines=2, engine="sim", seed=1) as cluster:
        history = run(cluster, cached=True)
    verdict = linearizable(history, Register())
    assert verdict.ok is False
    assert monotonic_reads(history).ok is True
    assert read_your_writes(history).ok is True
    events = list(verdict.trace)
    assert {event.kind for event in events} == {"operation_invoked", "operation_returned"}
    again = from_trace(verdict.trace)
    assert linearizable(again, Register()).ok is False
    assert len(events) == 2 * len(verdict.unplaceable)
    returned = [event for event in events if event.kind == "operation_returned"]
    assert all(event.parent is not None for event in returned)


def test_a_killed_machine_leaves_operations_unanswered() -> None:
    schedule = Schedule([(0.06, Kill("m2"))])
    with Cluster(machines=2, engine="sim", seed=1, schedule=schedule) as cluster:
        history = run(cluster, count=2)
    assert [each for each in history if not each.answered]
    assert linearizable(history, Register()).ok is True


def test_what_takes_no_time_has_an_order_too() -> None:
    """One program asks as two clients, one after the other, and virtual time stands between."""

    async def program(client: Node) -> None:
        alice, bob = Recorder(client, "alice"), Recorder(client, "bob")
        await alice.call("write", 1, client.sleep(0.1), result=None)
        await bob.call("read", None, client.sleep(0.0))

    with Cluster(machines=1, engine="sim") as cluster:
        cluster.submit(program).result()
        write, read = from_trace(cluster.trace)
    assert write.end < read.invoked
    assert linearizable([write, read], Register()).ok is False


def test_a_trace_without_operations() -> None:
    with Cluster(machines=2, engine="sim") as cluster, pytest.raises(LabError, match="Recorder"):
        from_trace(cluster.trace)


def test_a_trace_that_has_forgotten() -> None:
    cluster = Cluster(machines=2, engine="sim", trace_limit=4)
    with cluster, pytest.raises(LabError, match="has forgotten"):
        run(cluster)
