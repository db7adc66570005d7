"""Killed machines, snapshots, random schedules of faults, determinism, and planted mistakes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from labkit import Cluster
from labkit.parts.graphs import generate
from labkit.runtime.errors import LabError
from labkit.systems.graphlab import (
    ALS,
    Colouring,
    Components,
    PageRank,
    Program,
    Run,
    RunFailed,
    Scope,
    ratings,
)
from labkit.systems.graphlab.messages import Begin
from labkit.systems.graphlab.mistakes import MISTAKES
from labkit.systems.graphlab.nodes import ChromaticProcess, LockingProcess, Monitor
from tests.engines import MakeCluster
from tests.systems.disturbed import digest_elsewhere, disturbances

from .conftest import GRAPH, TOLERANCE, close, judged, lab, proper

#: Random schedules in the property test; more with `pytest --schedules 2000`.
SCHEDULES = int(os.environ.get("LABKIT_SCHEDULES", "200")) // 8

SLOW: dict[str, Any] = {"seconds_per_update": 0.005, "timeout": 0.6, "ping_every": 0.1}


class Endless(PageRank):
    """Does not end before there is a file: a machine can die in the middle of a run on real processes,
    however long that takes."""

    def __init__(self, file: str, tolerance: float) -> None:
        super().__init__(tolerance=tolerance)
        self.file = file

    def update(self, v: int, scope: Scope) -> Iterable[Any]:
        time.sleep(0.01)
        tasks = super().update(v, scope)
        return tasks if os.path.exists(self.file) else [*tasks, v]


def back_to_the_snapshot(cluster: Cluster, mode: str, gate: Path) -> None:
    real = cluster.engine == "ray"
    options = {"timeout": 4.0, "ping_every": 0.3} if real else SLOW
    program = Endless(str(gate), tolerance=1e-5) if real else PageRank(tolerance=TOLERANCE)
    run = lab(cluster).start(program, GRAPH, snapshot=mode, **options)
    cluster.run_until(lambda: run.view().updates > 20, timeout=300.0, what="it works")
    epoch, _ = run.snapshot(timeout=300.0)
    victim = max(run.view().members)  # m3, unless it has come too late
    cluster.kill(victim)
    gate.touch()
    assert close(judged(run.result()))
    view = run.view()
    if real:  # one that gets no time for a while is taken for dead, too
        assert view.epoch > epoch
        assert victim not in view.members
        assert victim in [rollback[1] for rollback in view.rollbacks]
    else:
        assert view.epoch == epoch + 1
        assert view.members == ("m1", "m2")
        assert view.rollbacks[-1][1] == "m3"


def test_a_killed_machine_leads_back_to_the_last_snapshot(make_cluster: MakeCluster, tmp_path: Path) -> None:
    back_to_the_snapshot(make_cluster(machines=3, seed=3), "asynchronous", tmp_path / "gate")


def test_also_to_a_synchronous_one(tmp_path: Path) -> None:
    with Cluster(machines=3, engine="sim", seed=3) as cluster:
        back_to_the_snapshot(cluster, "synchronous", tmp_path / "gate")


def test_everything_is_killed_and_comes_back() -> None:
    with Cluster(machines=3, engine="sim", seed=2) as cluster:
        run = lab(cluster).start(PageRank(tolerance=TOLERANCE), GRAPH, snapshot_every=0.1, **SLOW)
        cluster.run(0.8)
        before = run.view().updates
        for machine in cluster.machines:
            cluster.kill(machine)
        cluster.run(0.5)
        for machine in cluster.machines:
            cluster.restart(machine)
        assert close(judged(run.result(timeout=100)))
        first = [each for each in run.view().snapshots if each.epoch == 1 and each.completed]
        assert before
        assert first
        assert run.view().epoch > 1


@pytest.mark.parametrize("engine", ["locking", "chromatic"])
def test_without_a_snapshot_it_begins_again(engine: str) -> None:
    with Cluster(machines=3, engine="sim", seed=2) as cluster:
        run = lab(cluster).start(Colouring(), GRAPH, engine=engine, **SLOW)
        cluster.run_until(lambda: run.view().updates > 10, what="it works")
        cluster.kill("m2")
        assert proper(judged(run.result()))
        assert run.view().rollbacks
        assert set(run.view().owner.values()) <= {"m1", "m2", "m3"}


def test_a_plan_goes_on_after_a_snapshot() -> None:
    with Cluster(machines=3, engine="sim", seed=2) as cluster:
        sets = [(range(GRAPH.n), "update")] * 6
        run = lab(cluster).start(Components(), GRAPH, scheduler="set", sets=sets, **SLOW)
        cluster.run_until(lambda: run.view().updates > 40, what="it works")
        run.snapshot("asynchronous")
        cluster.kill("m3")
        judged(run.result())
        assert run.values() == [0] * GRAPH.n
        again = sum(each.epoch == 2 for each in run.view().log)
        assert GRAPH.n < again < 6 * GRAPH.n


def test_what_a_snapshot_needs_is_told() -> None:
    with Cluster(machines=2, engine="sim") as cluster:
        here = lab(cluster)
        run = here.start(Colouring(), GRAPH, engine="chromatic", **SLOW)
        with pytest.raises(LabError, match="mode='synchronous'"):
            run.snapshot("asynchronous")
        assert run.snapshot() == (1, 1)
        run.result()
        with pytest.raises(LabError, match="the run is over"):
            run.snapshot("synchronous")
        loose = here.start(Colouring(), GRAPH, consistency="vertex", enforce=False, max_updates=200)
        with pytest.raises(LabError, match="needs at least edge consistency"):
            loose.snapshot()
        with pytest.raises(ValueError, match='write mode="asynchronous" or mode="synchronous"'):
            loose.snapshot("quick")


def test_a_machine_that_is_late_for_its_epoch_finds_its_snapshot_gone() -> None:
    """The others have begun another epoch without it, and a newer snapshot replaced its own."""
    with Cluster(machines=3, engine="sim", seed=2) as cluster:
        run = lab(cluster).start(PageRank(tolerance=1e-5), GRAPH, **SLOW)
        cluster.run_until(lambda: run.view().updates > 20, what="it works")
        run.snapshot()
        gone = f"{run.spec.snapshot(1, 1)}/m3"
        late = Begin(2, run.spec.folder, (gone,), run.view().place, run.view().members, "edge", None, "fifo",
                     None, {})  # fmt: skip
        cluster.kill("m2")
        cluster.run_until(lambda: run.view().running and run.view().epoch == 2, what="they go on")
        run.snapshot()
        cluster.restart("m2")
        cluster.call(run.spec.process("m2"), "begin", late)
        assert close(judged(run.result()))


class LateToTell(LockingProcess):
    """One machine's message that it has loaded is lost at first."""

    def _report(self, kind: str, data: Any = None) -> None:
        if kind == "loaded" and self.machine == "m3":
            self.spawn(self._later())
        else:
            super()._report(kind, data)

    async def _later(self) -> None:
        await self.sleep(1.0)
        super()._report("loaded")


def test_that_all_is_done_may_be_heard_before_that_all_have_loaded() -> None:
    with Cluster(machines=3, engine="sim", seed=2) as cluster:
        run = lab(cluster, roles=(Monitor, LateToTell, ChromaticProcess)).start(Colouring(), GRAPH)
        assert proper(judged(run.result(timeout=30)))


@pytest.mark.parametrize("engine", ["locking", "chromatic"])
def test_when_an_update_fails_the_others_stop(engine: str) -> None:
    class Fails(Program):
        def update(self, v: int, scope: Scope) -> list[int]:
            scope.value = (scope.value or 0) + 1
            return [v] if v or scope.value < 20 else 1 // 0  # type: ignore[return-value]

    with Cluster(machines=3, engine="sim", seed=2) as cluster:
        run = lab(cluster).start(Fails(), GRAPH, engine=engine, consistency="vertex")
        with pytest.raises(RunFailed, match="vertex 0: ZeroDivisionError"):
            run.result(timeout=30)
        cluster.run(0.5)
        before = run.view().updates
        cluster.run(1.0)
        assert run.view().updates == before


def disturbed(cluster: Cluster, seed: int) -> Run:
    """A program, engine and scheduler for each seed, and machines that die, stand still, are slow."""
    began = cluster.now
    faults = disturbances(seed, ("m2", "m3", "m4"), 0.2, 0.3)
    cluster.play([(began + at, fault) for at, fault in faults])
    options: dict[str, Any] = {**SLOW, "seconds_per_update": 0.02}
    if seed % 3 == 0:
        options |= {"engine": "chromatic", "snapshot": "synchronous"}
    else:
        options["scheduler"] = ("fifo", "priority", "splash", "round_robin")[seed % 4]
        options["consistency"] = ("edge", "full")[seed % 5 == 0]
        options["snapshot"] = ("asynchronous", "synchronous")[seed % 7 == 0]
    if seed % 2:
        options["snapshot_every"] = 0.3
    if seed % 4 == 1:
        return lab(cluster).start(ALS(d=2), ratings(10, 8, 4), **options)
    program = PageRank(tolerance=0.01) if seed % 4 == 3 else Colouring()
    return lab(cluster).start(program, GRAPH, **options)


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_any_schedule_gives_a_right_result(seed: int) -> None:
    with Cluster(machines=4, engine="sim", seed=seed, trace_limit=500_000) as cluster:
        run = judged(disturbed(cluster, seed).result(timeout=300))
        assert run.ended == "empty"
        if isinstance(run.program, Colouring):
            assert proper(run)
        if isinstance(run.program, PageRank):
            assert close(run) or max(abs(run.program.tolerance), 0) > TOLERANCE


def digest() -> str:
    found = []
    for seed in (3, 4, 5):
        with Cluster(machines=4, engine="sim", seed=seed, trace="messages", trace_limit=500_000) as cluster:
            disturbed(cluster, seed).result(timeout=300)
            found.append(str(cluster.trace.digest()))
    return " ".join(found)


def test_the_same_whatever_the_hash_seed() -> None:
    assert digest_elsewhere(__name__) == digest()


CAUGHT_BY = {
    "locks that exclude nobody": "Exclusion",
    "no order of the locks": "CanonicalOrder",
    "reads without a lock": "Serializable",
    "tasks that are forgotten": "AllExecuted",
    "ghosts that stay old": "Serializable",
    "a version made twice": "Versions",
    "an update before the wave": "SnapshotConsistent",
    "a snapshot without T": "SnapshotTasks",
    "half a snapshot": "SnapshotWhole",
    "all colours at once": "Serializable",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_planted_mistakes_are_caught(mistake: str) -> None:
    with Cluster(machines=4, engine="sim", seed=1) as cluster:
        options: dict[str, Any] = {"max_updates": 300}
        if "colour" in mistake:
            options["engine"] = "chromatic"
        if "snapshot" in mistake or "wave" in mistake:
            options["snapshot_every"] = 0.05
        ranks = any(word in mistake for word in ("wave", "T", "version"))
        program = PageRank() if ranks else Colouring()
        graph = generate.barabasi_albert(40, 2, seed=1)
        run = lab(cluster, roles=MISTAKES[mistake]).start(program, graph, **options)
        cluster.run(1.5)
        assert CAUGHT_BY[mistake] in {each.what for each in run.check().violations}, run.check()
