"""A checker counts once it has caught the bug: each invariant, with a server or scheduler that breaks it."""

from __future__ import annotations

from typing import Any

import pytest

from labkit import Cluster
from labkit.runtime import Constant, Network, Uniform
from labkit.runtime.errors import Definite, Timeout
from labkit.runtime.loop import Future, running_loop
from labkit.systems.paramserver import BSP, SSP, Async, ParameterServer
from labkit.systems.paramserver.chain import ReplicatedRange
from labkit.systems.paramserver.client import ParameterClient
from labkit.systems.paramserver.clocks import RangeVectorClock
from labkit.systems.paramserver.consistency import Consistency
from labkit.systems.paramserver.ring import View
from labkit.systems.paramserver.scheduler import Scheduler
from labkit.systems.paramserver.server import Server

from .conftest import build, keep_books


def broken(ps: ParameterServer) -> set[str]:
    return {violation.what for violation in ps.check().violations}


def books(cluster: Cluster, iterations: int = 20, **options: Any) -> tuple[ParameterServer, Any]:
    ps = build(cluster, **options)
    ps.vector("books", sparse=True)
    return ps, ps.start(keep_books, iterations=iterations)


def test_a_bound_that_is_off_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def one_more(self: Consistency, t: int, slowest: int) -> bool:
        return self.bound is None or slowest >= t - self.bound - 1

    with Cluster(machines=5, engine="sim") as cluster:
        ps, operation = books(cluster, consistency=SSP(2))
        cluster.slow("m5", 6)
        operation.result()
        assert broken(ps) == set()
    monkeypatch.setattr(Consistency, "may_start", one_more)
    with Cluster(machines=5, engine="sim") as cluster:
        ps, operation = books(cluster, consistency=SSP(2))
        cluster.slow("m5", 6)
        operation.result()
        assert broken(ps) == {"BoundedDelay", "ReadsSeeTheirPast"}


def test_a_round_that_is_applied_before_all_are_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard counts as finished when its pushes are kept, not when the round is applied."""

    def at_once(self: Scheduler) -> None:
        for shard in self.run.shards if self.run is not None else []:
            shard.in_round.clear()
        original(self)

    original = Scheduler._advance
    monkeypatch.setattr(Scheduler, "_advance", at_once)
    with Cluster(machines=5, engine="sim") as cluster:
        ps, operation = books(cluster, consistency=BSP())
        operation.result()
        assert broken(ps) == {"ReadsSeeTheirPast"}


@pytest.mark.parametrize(("read_at", "expected"), [("tail", set()), ("head", {"ReadsAreCommitted"})])
def test_reads_at_the_head(read_at: str, expected: set[str]) -> None:
    """A read at the head shows what the tail may never get."""
    with Cluster(machines=5, engine="sim", network=Network(latency=Uniform(0.001, 0.02))) as cluster:
        ps, operation = books(cluster, consistency=Async(), read_at=read_at)
        operation.result()
        assert broken(ps) == expected


def test_a_retry_that_is_applied_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RangeVectorClock, "behind", lambda self, node, lo, hi, t: [(lo, hi)])
    with Cluster(machines=5, engine="sim", network=Network(loss=0.1), seed=1) as cluster:
        ps, operation = books(cluster, consistency=SSP(1))
        results = operation.result()
        assert broken(ps) == {"AppliedOnce"}
        keys, values = ps.vector("books").items()
        held = dict(zip(keys.tolist(), values.tolist(), strict=True))
        assert any(held[key] > 1.0 for written in results for key in written)


def test_an_acknowledgement_before_the_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The head answers at once; when it dies, what it answered for is gone."""

    def at_once(self: ReplicatedRange, seq: int) -> Future:
        future = Future(running_loop())
        future.set_result(None)
        return future

    monkeypatch.setattr(ReplicatedRange, "until", at_once)
    with Cluster(machines=5, engine="sim", network=Network(latency=Constant(0.004))) as cluster:
        ps, operation = books(cluster, consistency=SSP(1), iterations=40)
        cluster.run_until(lambda: bool(cluster.trace.filter(kind="acknowledged")), every=0.001)
        cluster.kill("m1")
        operation.result()
        assert broken(ps) >= {"AcknowledgedIsCopied", "AcknowledgedSurvives"}


def test_a_record_that_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The head does not repeat a record whose acknowledgement is missing, and its successor takes any."""

    async def once(self: Any, copy: Any, successor: str, record: Any) -> None:
        try:
            await self.call(successor, "forward", self.name, (copy.lo, copy.hi), record, timeout=0.1)
        except (Timeout, Definite):
            pass
        copy.commit(record.last)

    async def take(self: Any, sender: str, bounds: Any, record: Any) -> None:
        copy = self.ranges[bounds]
        copy.apply_record(record)
        self.emit("copied", source=sender, range=bounds, first=record.first, last=record.last)
        self._pass_on(copy)

    monkeypatch.setattr(Server, "_send_record", once)
    monkeypatch.setitem(Server._rpcs, "forward", take)
    with Cluster(machines=5, engine="sim", network=Network(loss=0.1), seed=2) as cluster:
        ps, operation = books(cluster, consistency=SSP(1))
        operation.result()
        assert "PrefixOfPredecessor" in broken(ps)


async def push_on(worker: Any) -> None:
    """Pushes without waiting for an answer."""
    for _ in worker.rounds():
        worker.push("w", None, 1.0)
        await worker.sleep(0.02)
        await worker.clock()


@pytest.mark.slow
def test_a_server_that_does_not_look_at_its_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is cut off and replaced; a worker that has not heard of it either goes on pushing to it."""

    def deaf(self: ParameterClient, view: View) -> None:
        if self.worker != "worker-0" or self.view is None:
            see(self, view)

    def run(cluster: Cluster) -> set[str]:
        ps = build(cluster, servers=3, consistency=Async())
        ps.vector("w", 1000)
        operation = ps.start(push_on, iterations=1000)
        cluster.run(0.3)
        cluster.partition(["m1"], ["client", "m2", "m3"])
        cluster.run(1.0)
        operation.cancel()
        assert ps.servers == ["server-1", "server-2"]
        return broken(ps)

    see = ParameterClient.see
    monkeypatch.setattr(ParameterClient, "see", deaf)
    with Cluster(machines=6, engine="sim") as cluster:
        assert run(cluster) == set()
    monkeypatch.setattr(Server, "may_serve", property(lambda self: True))
    with Cluster(machines=6, engine="sim") as cluster:
        assert run(cluster) == {"OneMaster"}
