"""Snapshots and kills, changes while it runs, random schedules of faults, determinism, planted mistakes."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest

from labkit import Cluster
from labkit.parts.graphs import generate
from labkit.parts.store import FileSystem
from labkit.runtime.errors import Timeout
from labkit.systems.powergraph import SSSP, Colouring, Components, PageRank, PowerGraph, ProgramFailed
from labkit.systems.powergraph.invariants import Replay
from labkit.systems.powergraph.mistakes import MISTAKES
from tests.systems.disturbed import digest_elsewhere, disturbances

from .conftest import ENGINES, right, small

#: Random schedules in the property test; more with `pytest --schedules 2000`.
SCHEDULES = int(os.environ.get("LABKIT_SCHEDULES", "200")) // 12
#: So slow that a run lasts long enough to be disturbed.
SLOW: dict[str, Any] = {"seconds_per_call": 2e-3, "batch": False}


def lab(cluster: Cluster, program: Any, **options: Any) -> PowerGraph:
    return PowerGraph(cluster, small(), program, FileSystem(cluster, replicas=2), **SLOW | options)


def begun(pg: PowerGraph, runs: int = 60) -> PowerGraph:
    """Under way: so many runs of vertices have been."""
    pg.start()
    pg.cluster.run_until(lambda: pg.view().runs >= runs, timeout=120.0, what=f"{runs} runs")
    assert not pg.done
    return pg


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("snapshot", [True, False])
@pytest.mark.parametrize("dead", [("m2",), ("m1", "m2", "m3")])
def test_killed_machines(engine: str, snapshot: bool, dead: tuple[str, ...]) -> None:
    """With a snapshot and without one; one machine that stays dead, and all that come back."""
    with Cluster(machines=3, engine="sim", seed=1) as cluster:
        pg = begun(lab(cluster, PageRank(1e-4), engine=engine))
        if snapshot:
            assert pg.snapshot() > 0
        for machine in dead:
            cluster.kill(machine)
        if len(dead) > 1:
            cluster.run(1.0)
            for machine in dead:
                cluster.restart(machine)
        right(pg.result(timeout=600.0))
        view = pg.view()
        assert view.rollbacks == 1
        assert len(view.members) == (3 if len(dead) > 1 else 2)
        assert bool(view.snapshots) == snapshot
        begins = [event.data["snapshot"] for event in cluster.trace.filter("epoch_began")]
        assert begins == [False, snapshot]


def test_a_snapshot_is_what_a_run_goes_on_from() -> None:
    """After a rollback nothing before the snapshot is done again."""
    with Cluster(machines=3, engine="sim") as cluster:
        pg = lab(cluster, PageRank(iterations=20))
        pg.start()
        cluster.run_until(lambda: pg.view().superstep == 12, what="superstep 12")
        pg.snapshot()
        cluster.kill("m3")
        right(pg.result())
        assert pg.view().superstep <= 9


def test_regular_snapshots() -> None:
    with Cluster(machines=3, engine="sim") as cluster:
        pg = lab(cluster, PageRank(iterations=20), snapshot_every=0.3)
        right(pg.run())
        assert len(pg.view().snapshots) >= 3


@pytest.mark.parametrize("program", [PageRank(1e-4), Components(), SSSP(0)])
def test_engine_cut_and_caching_are_changed_while_it_runs(program: Any) -> None:
    with Cluster(machines=3, engine="sim") as cluster:
        pg = begun(lab(cluster, program, cut="random"), 30)
        pg.set_engine("serializable")
        pg.set_delta_caching(False)
        cluster.run_until(lambda: not pg.view().pending, what="it has changed")
        assert pg.view().engine == "serializable" or pg.done
        pg.set_cut("2d")
        pg.set_engine("asynchronous")
        right(pg.result(timeout=300.0))
        assert pg.state().chosen == {"engine": "asynchronous", "cut": "2d", "delta_caching": False}


def test_colouring_never_ends_on_the_synchronous_engine_but_does_when_the_engine_is_changed() -> None:
    with Cluster(machines=3, engine="sim") as cluster:
        pg = lab(cluster, Colouring(), engine="synchronous", seconds_per_call=1e-5)
        pg.start()
        with pytest.raises(Timeout):
            pg.result(timeout=2.0)
        assert pg.view().superstep > 50
        assert pg.view().steps[50].active > 0
        pg.set_engine("serializable")
        right(pg.result(timeout=60.0))


def test_supersteps_have_an_end_if_one_is_given() -> None:
    told = r"after 30 supersteps.*asynchronous engines.*max_supersteps=60"
    with Cluster(machines=3, engine="sim") as cluster, pytest.raises(ProgramFailed, match=told):
        lab(cluster, Colouring(), engine="synchronous", max_supersteps=30).run()
    with Cluster(machines=3, engine="sim") as cluster:
        right(lab(cluster, PageRank(iterations=20), max_supersteps=20).run())  # as many as it needs
    for batch in (False, True):
        with (
            Cluster(machines=3, engine="sim") as cluster,
            pytest.raises(ProgramFailed, match="after 19 supers"),
        ):
            lab(cluster, PageRank(iterations=20), max_supersteps=19, batch=batch, log=False).run()


def test_delta_caching_saves_gathers_and_bytes() -> None:
    totals = []
    for caching in (True, False):
        with Cluster(machines=3, engine="sim") as cluster:
            pg = lab(cluster, PageRank(iterations=20), delta_caching=caching).run()
            right(pg)
            totals.append(pg.view().totals)
    on, off = totals
    assert off.gathers == 20 * on.gathers
    assert on.bytes < off.bytes
    assert on.applies == off.applies


def test_only_async_s_is_serializable() -> None:
    cycles = {}
    for engine in ENGINES[1:]:
        with Cluster(machines=3, engine="sim", seed=2) as cluster:
            report = lab(cluster, Colouring(), engine=engine).run().check()
            cycles[engine] = report.cycle
    assert cycles["serializable"] is None
    assert cycles["asynchronous"] is not None


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_any_schedule_gives_the_answer_of_a_single_thread(seed: int) -> None:
    engine = ENGINES[seed % 3]
    programs = (Components(), SSSP(0), PageRank(1e-3)) if seed % 3 == 0 else (Colouring(), PageRank(1e-3))
    with Cluster(machines=4, engine="sim", seed=seed) as cluster:
        program = programs[seed // 3 % len(programs)]
        pg = lab(cluster, program, engine=engine, snapshot_every=1.0, seconds_per_call=5e-3)
        begin = cluster.now
        cluster.play([(begin + at, fault) for at, fault in disturbances(seed, lossy_from=0.2, begin=0.3)])
        right(pg.run(timeout=900.0))


def digest(seed: int = 5) -> str:
    with Cluster(machines=3, engine="sim", seed=seed, trace="messages") as cluster:
        pg = begun(lab(cluster, Colouring(), engine="serializable"), 10)
        cluster.kill("m2")
        pg.result()
        return str(cluster.trace.digest())


def test_twice_in_one_process_and_whatever_the_hash_seed() -> None:
    assert digest() == digest() != digest(6)
    assert digest_elsewhere(__name__) == digest()


CAUGHT_BY = {
    "an edge on two machines": ("EdgeOnce", "synchronous"),
    "vertices without edges forgotten": ("SomeReplica", "synchronous"),
    "several masters": ("OneMaster", "synchronous"),
    "mirrors not updated": ("MirrorsEqual", "synchronous"),
    "deltas added twice": ("CachedIsFull", "synchronous"),
    "no forks": ("Exclusive", "serializable"),
    "forks given away secretly": ("Exclusive", "serializable"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_planted_mistakes_are_caught(mistake: str) -> None:
    rule, engine = CAUGHT_BY[mistake]
    program = Colouring() if engine == "serializable" else PageRank(iterations=10)
    with Cluster(machines=3, engine="sim") as cluster:
        pg = lab(cluster, program, engine=engine, roles=MISTAKES[mistake], cut="random")
        pg.start()
        try:
            pg.result(timeout=30.0)
        except (Timeout, ProgramFailed) as error:  # some mistakes end the run as well
            print(error)
        assert rule in {violation.what for violation in pg.check().violations}


def test_what_a_dead_machine_ran_is_over_though_it_could_not_tell() -> None:
    graph = generate.chain(3)

    def told(*events: tuple[str, str, int]) -> list[str]:
        replay = Replay("pg", graph, Colouring())
        begun = {"epoch": 1, "members": ["m1", "m2"], "engine": "serializable", "edges": 2}
        replay.apply(
            SimpleNamespace(kind="epoch_began", node="pg-coordinator", machine="m1", data=begun, time=0)
        )
        for kind, machine, vertex in events:
            node = None if kind == "killed" else f"pg-{machine}"
            replay.apply(
                SimpleNamespace(kind=kind, node=node, machine=machine, data={"vertex": vertex}, time=1)
            )
        return [each.detail for each in replay.report.violations]

    zero, one, killed = ("vertex_gathers", "m1", 0), ("vertex_gathers", "m2", 1), ("killed", "m1", -1)
    assert told(zero, one) == ["1 runs while its neighbour 0 does"]
    assert told(zero, killed, one) == []
    assert told(zero, ("killed", "m2", -1), one) == ["1 runs while its neighbour 0 does"]
