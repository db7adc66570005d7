"""`check()` judges runs of both engines; of real processes as far as the dead have told what they did."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from labkit import Cluster
from labkit.systems.paramserver import BSP, SSP
from labkit.systems.paramserver.consistency import Consistency

from .conftest import MakePs, build, keep_books


def books(ps: Any, iterations: int = 15) -> Any:
    ps.vector("books", sparse=True)
    return ps.start(keep_books, iterations=iterations, data=[0.02] * 3)


def test_a_run_without_faults_is_judged_whole(sim_ps: MakePs) -> None:
    ps = sim_ps()
    books(ps).result()
    report = ps.check()
    assert report.ok, report
    assert min(report.pushes, report.reads) > 0
    assert report.clocks >= 3 * 15
    assert report.suspended == ""


def test_what_the_dead_have_told(make_ps: MakePs) -> None:
    ps = make_ps(servers=2, replicas=1)
    trace = ps.cluster.trace
    operation = books(ps, 40)
    ps.cluster.run_until(lambda: len(trace.filter(kind="clock")) > 30, timeout=300)
    home = ps.machine_of("server-0")
    ps.cluster.kill(home)
    operation.result()
    report = ps.check()
    assert report.ok, report
    assert report.pushes > 0
    assert (f"what the servers on {home} did after" in str(report)) is (ps.cluster.engine == "ray")


def test_who_has_not_heard_that_its_run_was_cancelled_does_not_run_ahead_in_the_next(sim_ps: MakePs) -> None:
    ps = sim_ps(consistency=BSP())
    for number in range(40):
        operation = books(ps)
        ps.cluster.run(0.03 + 0.0007 * number)
        operation.cancel()
    books(ps, 3).result()


def test_a_planted_bug_is_caught(
    make_cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scheduler, which is in the user's process on both engines, lets a shard start one too early."""

    def one_more(self: Consistency, t: int, slowest: int) -> bool:
        return self.bound is None or slowest >= t - self.bound - 1

    monkeypatch.setattr(Consistency, "may_start", one_more)
    cluster = make_cluster(machines=5)
    ps = build(cluster, consistency=SSP(1), timeout=20.0)
    ps.vector("books", sparse=True)
    cluster.slow(ps.machine_of("worker-2"), 50)  # so that the others would run ahead, if they may
    ps.start(keep_books, iterations=8, data=[0.02, 0.02, 0.2]).result()
    assert "BoundedDelay" in {violation.what for violation in ps.check().violations}


def test_a_paused_server_has_not_told_either(make_ps: MakePs) -> None:
    ps = make_ps(servers=2, replicas=1, timeout=20.0)
    ps.vector("w", 10).push(None, 1.0).result()
    home = ps.machine_of("server-0")
    ps.cluster.pause(home)
    paused = str(ps.check())
    assert (f"what the servers on {home} did after" in paused) is (ps.cluster.engine == "ray")
    ps.cluster.resume(home)
    assert ps.check().suspended == ""
