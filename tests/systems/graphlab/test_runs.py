"""Whole runs, on both engines: programs, schedulers, consistency models, cuts; what goes wrong without."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest

from labkit import Cluster
from labkit.parts.graphs import generate
from labkit.parts.graphs.csr import Graph
from labkit.parts.graphs.oracles import wcc
from labkit.runtime.errors import LabError, Unpicklable
from labkit.systems.graphlab import (
    ALS,
    Colouring,
    Components,
    DataGraph,
    GraphLab,
    PageRank,
    Program,
    RunCancelled,
    RunFailed,
    Scope,
    Sync,
    monochrome,
    ratings,
    run_locally,
)
from tests.engines import cluster_maker

from .conftest import GRAPH, TOLERANCE, close, judged, lab, proper


@pytest.fixture(
    scope="module", params=["sim", pytest.param("ray", marks=[pytest.mark.ray, pytest.mark.slow])]
)
def here(request: pytest.FixtureRequest) -> Iterator[GraphLab]:
    """One cluster for several runs: on Ray its start is the larger part of a test."""
    head = request.getfixturevalue("ray_head") if request.param == "ray" else None
    with ExitStack() as stack:
        cluster = stack.enter_context(cluster_maker(request.param, head))(machines=3, seed=5)
        yield lab(cluster)


def test_a_program_comes_to_what_one_thread_comes_to(here: GraphLab) -> None:
    """Edge data, a table in the background, both engines, both kinds of cut."""
    rank = PageRank(tolerance=TOLERANCE)
    assert close(judged(here.run(rank, GRAPH, cut="grown")))
    assert close(judged(here.run(rank, GRAPH, engine="chromatic")))
    assert proper(judged(here.run(Colouring(), GRAPH)))
    films = ratings(12, 10, 5)
    als = judged(here.run(ALS(d=2), films, scheduler="priority"))
    assert als.table["rmse"] == pytest.approx(run_locally(ALS(d=2), films).table["rmse"], abs=0.03)
    assert als.edges() == {(u, v): w for u, v, w in films.to_pandas().itertuples(index=False)}


def test_the_consistency_is_changed_while_it_runs(here: GraphLab) -> None:
    """Two neighbours that change at the same time may do so for ever; the checker sees it."""
    run = here.start(Colouring(), generate.grid(4, 4), consistency="vertex", enforce=False,
                     seconds_per_update=0.01, engine="chromatic")  # fmt: skip
    here.cluster.run_until(lambda: run.view().updates > 60, timeout=300.0, what="it turns round")
    assert run.consistency == "vertex"
    run.consistency = "edge"
    assert proper(run.result())
    report = run.check()
    assert report.ok
    assert not report.serializable
    assert not report.promised
    assert "read" in str(report.cycle[0])
    assert run.view().changes[0][1] == "edge"


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(machines=4, engine="sim", seed=1) as found:
        yield found


WAYS: list[dict[str, Any]] = [
    {"scheduler": "fifo_partitioned", "consistency": "full"},
    {"scheduler": "priority", "pipeline": 2, "workers": 2},
    {"scheduler": "priority_approximate", "cut": "grown"},
    {"scheduler": "round_robin", "pipeline": 1, "batch": 1},
    {"scheduler": "splash", "splash": 4},
    {"engine": "chromatic", "consistency": "full"},
    {"engine": "chromatic", "cut": [v // 3 for v in range(GRAPH.n)]},
]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_ranks_components_and_colours_whatever_the_way(cluster: Cluster, way: dict[str, Any]) -> None:
    here = lab(cluster)
    assert close(judged(here.run(PageRank(tolerance=TOLERANCE), GRAPH, **way)))
    two = Graph.of([(0, 1), (1, 2), (3, 4)], vertices=range(6))
    options = {name: value for name, value in way.items() if name != "cut"}
    assert here.run(Components(), two, **options).values() == wcc(two).tolist()
    assert proper(judged(here.run(Colouring(), GRAPH, **way)))


def test_vertex_consistency_is_enough_for_what_touches_one_vertex(cluster: Cluster) -> None:
    class Count(Program):
        def update(self, v: int, scope: Scope) -> list[int]:
            scope.value = (scope.value or 0) + 1
            return [v] if scope.value < 5 else []

    here = lab(cluster)
    for engine in ("locking", "chromatic"):
        run = judged(here.run(Count(), GRAPH, consistency="vertex", engine=engine))
        assert run.values() == [5] * GRAPH.n
        report = run.check()
        assert report.serializable
        assert report.promised


def test_full_consistency_lets_neighbours_be_written(cluster: Cluster) -> None:
    class Push(Program):
        def data(self, graph: Graph) -> Any:
            return super().data(graph).__class__(graph, 1)

        def update(self, v: int, scope: Scope) -> None:
            for u in scope.out:
                scope[u] = scope[u] + 1

    here = lab(cluster)
    for engine in ("locking", "chromatic"):
        run = judged(here.run(Push(), GRAPH, consistency="full", engine=engine))
        assert run.values() == (1 + np.asarray(GRAPH.in_degrees)).tolist()


def test_the_set_scheduler_executes_its_plan(cluster: Cluster) -> None:
    """Two sweeps in opposite directions along a chain: as written, if nobody overtakes."""

    class Sweep(Program):
        def data(self, graph: Graph) -> Any:
            return super().data(graph).__class__(graph, lambda v: v)

        def even(self, v: int, scope: Scope) -> None:
            scope.value = sum(scope[u] for u in scope.neighbours)

        odd = even

    n = 12
    sets = [(range(start, n, 2), name) for _ in range(3) for start, name in ((0, "even"), (1, "odd"))]
    chain = generate.chain(n)
    run = judged(lab(cluster).run(Sweep(), chain, scheduler="set", sets=sets))
    assert run.values() == run_locally(Sweep(), chain, scheduler="set", sets=sets).values()
    assert run.view().per_vertex == dict.fromkeys(range(n), 3)


def test_colouring_never_ends_under_the_synchronous_scheduler(cluster: Cluster) -> None:
    """The papers' negative example: neighbours that change together choose the same colour."""
    run = lab(cluster).run(Colouring(), generate.grid(5, 5), engine="chromatic", scheduler="synchronous",
                           max_updates=600)  # fmt: skip
    assert run.ended == "bound"
    assert run.view().updates >= 600
    assert len(monochrome(run.data.graph, run.values())) == 40  # all of them
    report = run.check()
    assert report.ok
    assert not report.serializable


def test_what_the_consistency_does_not_give_is_an_error(cluster: Cluster) -> None:
    here = lab(cluster)
    with pytest.raises(RunFailed, match=r"(?s)vertex \d+ reads vertex .* write consistency='edge'"):
        here.run(Colouring(), GRAPH, consistency="vertex")

    class Far(Program):
        def update(self, v: int, scope: Scope) -> list[int]:
            return [(v + 2) % 12]

    with pytest.raises(RunFailed, match="is not in the scope"):
        here.run(Far(), generate.chain(12), engine="chromatic")


def test_the_table_ends_a_run(cluster: Cluster) -> None:
    class Counter(Program):
        def data(self, graph: Graph) -> Any:
            return super().data(graph).__class__(graph, 0)

        def update(self, v: int, scope: Scope) -> list[int]:
            scope.value += 1
            return [v]

        def syncs(self) -> dict[str, Sync]:
            return {"least": Sync(lambda a, s: min(a, s.value), min, 10**9, every=0.05)}

        def until(self, table: Any) -> bool:
            return bool(table["least"] > 20)

    here = lab(cluster)
    run = here.start(Counter(), GRAPH, engine="chromatic")
    cluster.run(0.1)
    assert run.sync("least") >= 1
    assert run.table["least"] >= 1
    with pytest.raises(KeyError, match="it has least"):
        run.sync("most")
    run.result()
    assert run.ended == "until"
    assert min(run.values()) == run.table["least"] > 20
    forever = here.start(Counter(), GRAPH, scheduler="round_robin")
    with pytest.raises(LabError, match="not over"):
        forever.values()
    forever.cancel()
    with pytest.raises(RunCancelled, match=r"values\(\) has what it came to"):
        forever.result()
    assert forever.values()


def test_who_wants_what_there_is_not_is_told(cluster: Cluster) -> None:
    here = lab(cluster)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"consistency": "none"}, 'write consistency="vertex"'),
        ({"engine": "chromatic", "scheduler": "priority"}, "write engine='locking'"),
        ({"scheduler": "synchronous"}, "write engine='chromatic'"),
        ({"pipeline": 0}, "write pipeline=100"),
        ({"timeout": 0.1}, "more than twice"),
        ({"scheduler": "set"}, "go together"),
        ({"scheduler": "set", "sets": [([0], "nothing")]}, "does not have"),
        ({"tasks": [99]}, "tasks has vertex 99"),
        ({"engine": "chromatic", "snapshot": "asynchronous"}, "write snapshot='synchronous'"),
    ]
    for options, words in wrong:
        with pytest.raises(ValueError, match=words):
            here.start(Colouring(), GRAPH, **options)
    with pytest.raises(TypeError, match="has no option 'speed'"):
        here.start(Colouring(), GRAPH, speed=1)
    with pytest.raises(TypeError, match="a program is a Program"):
        here.start(Colouring, GRAPH)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="in this order"):
        GraphLab(here.fs, cluster)  # type: ignore[arg-type]
    holds = Colouring()
    holds.cluster = cluster  # type: ignore[attr-defined]
    with pytest.raises(Unpicklable, match="cannot be sent to the machines"):
        here.start(holds, GRAPH)
    with pytest.raises(ValueError, match="the weights of the edges"):
        here.start(ALS(), GRAPH)


def test_the_scheduler_is_changed_while_it_runs(cluster: Cluster) -> None:
    here = lab(cluster)
    run = here.start(PageRank(tolerance=TOLERANCE), GRAPH, pipeline=2, seconds_per_update=0.01)
    for scheduler in ("priority", "splash", "round_robin"):
        cluster.run(0.3)
        run.scheduler = scheduler
    assert run.scheduler == "round_robin"
    assert close(judged(run.result()))
    with pytest.raises(ValueError, match='write scheduler="fifo"'):
        run.scheduler = "best"
    chromatic = here.run(Colouring(), GRAPH, engine="chromatic")
    with pytest.raises(LabError, match="has its own order"):
        chromatic.scheduler = "priority"


def test_the_run_as_code_and_again(cluster: Cluster) -> None:
    run = lab(cluster).run(Colouring(), GRAPH, pipeline=3)
    assert "lab_again.start(" in run.code()
    assert "pipeline=3" in run.code()
    run.reset()
    assert proper(run.result())
    assert repr(run).startswith("<GraphLab run run1: empty")


class Odd(Program):
    """Does what it is made with, once at each vertex."""

    def __init__(self, do: Any, table: Any = ()) -> None:
        self.do, self.table = do, dict(table)

    def data(self, graph: Graph) -> DataGraph:
        return DataGraph(graph, 0)

    def update(self, v: int, scope: Scope) -> Any:
        return self.do(scope)

    def syncs(self) -> dict[str, Sync]:
        return self.table


def sync(fold: Any = lambda a, s: a, merge: Any = lambda a, b: a, **more: Any) -> dict[str, Sync]:
    return {"it": Sync(fold, merge, **more)}


@pytest.mark.parametrize(
    ("program", "told"),
    [
        (Odd(lambda scope: 5), r"returned 5: return a list of tasks, \[u\]"),
        (Odd(lambda scope: ["1"]), r"'1' is no task: write a vertex's number"),
        (Odd(lambda scope: [(1, float("nan"))]), r"\(1, nan\) is no task"),
        (Odd(lambda scope: setattr(scope, "value", threading.Lock())), "a value cannot be .*sent"),
        (Odd(lambda scope: (), sync(lambda a, s: threading.Lock())), "a value cannot be sent"),
        (Odd(lambda scope: (), sync(merge=lambda a, b: 1 / 0)), "the sync 'it': ZeroDivisionError"),
        (Odd(lambda scope: (), sync(apply=lambda a: 1 / 0)), "the sync 'it': ZeroDivisionError"),
        (Odd(lambda scope: (), sync(apply=lambda a: threading.Lock())), "the sync 'it': .*pickle"),
        (Odd(lambda scope: (), sync(lambda a, s: setattr(s, "value", 1))), "a fold only reads"),
    ],
)
def test_what_a_program_may_not_return_ends_the_run(program: Program, told: str) -> None:
    with Cluster(machines=2, engine="sim", seed=1) as cluster, pytest.raises(RunFailed, match=told):
        lab(cluster).run(program, generate.chain(4))


def test_a_termination_function_that_fails_ends_the_run() -> None:
    class Until(Odd):
        def until(self, table: Any) -> bool:
            return bool(table["other"])

    program, told = Until(lambda scope: [scope.v], sync(every=0.1)), r"until\(\): KeyError: 'other'"
    with Cluster(machines=2, engine="sim", seed=1) as cluster, pytest.raises(RunFailed, match=told):
        lab(cluster).run(program, generate.chain(4))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"tasks": 5}, r"write a list of vertices, as tasks=\[0\]"),
        ({"tasks": ["a"]}, "'a' is no task"),
        ({"tasks": [1.5]}, "1.5 is no task"),
        ({"scheduler": "set", "sets": [[0, 1]]}, r"write \(vertices, name of a method\)"),
        ({"scheduler": "set", "sets": [([9], "update")]}, "sets has vertex 9"),
        ({"cut": ["a", "b", "c", "d"]}, "the atom of each vertex, as"),
        ({"cut": [0.5, 0, 0, 0]}, "the atom of each vertex, as"),
        ({"ping_every": 0}, "ping_every=0: seconds must be positive"),
        ({"call_timeout": 0}, "call_timeout=0: seconds must be positive"),
    ],
)
def test_what_cannot_be_begun_is_told_what_to_write(options: dict[str, Any], told: str) -> None:
    with Cluster(machines=2, engine="sim") as cluster, pytest.raises((TypeError, ValueError), match=told):
        lab(cluster).start(Odd(lambda scope: ()), generate.chain(4), **options)


def test_a_program_whose_data_or_table_are_none_is_refused() -> None:
    class NoData(Odd):
        def data(self, graph: Graph) -> Any:
            return None

    class List(Odd):
        def syncs(self) -> Any:
            return [1]

    def nothing(scope: Scope) -> None:
        return None

    locked = DataGraph(generate.chain(4), lambda v: threading.Lock())
    with Cluster(machines=1, engine="sim") as cluster:
        begin, graph = lab(cluster).start, generate.chain(4)
        with pytest.raises(TypeError, match="write return DataGraph"):
            begin(NoData(nothing), graph)
        with pytest.raises(TypeError, match="'name': Sync"):
            begin(List(nothing), graph)
        with pytest.raises(TypeError, match=r"'it': Sync\(fold, merge\)"):
            begin(Odd(nothing, {"it": 5}), graph)
        with pytest.raises(ValueError, match="every=0"):
            begin(Odd(nothing, sync(every=0)), graph)
        with pytest.raises(Unpicklable, match="a value of the data graph"):
            begin(Odd(nothing), locked)
        assert begin(PageRank(), Graph.of([])).result().values() == []


@pytest.mark.parametrize("engine", ["locking", "chromatic"])
def test_a_sync_may_be_asked_for_at_once_and_a_change_after_the_end_is_refused(engine: str) -> None:
    with Cluster(machines=2, engine="sim", seed=1) as cluster:
        run = lab(cluster).start(PageRank(), GRAPH, engine=engine)
        assert 0 < run.sync("total") < 2
        run.result()
        with pytest.raises(LabError, match="start another run with consistency='full'"):
            run.consistency = "full"
        if engine == "locking":
            with pytest.raises(LabError, match="start another run with scheduler='priority'"):
                run.scheduler = "priority"


def slow(scope: Scope) -> list[int]:
    time.sleep(0.02)
    return [scope.v]


@pytest.mark.parametrize("engine", ["locking", "chromatic"])
def test_ctrl_c_within_an_update_cancels_and_leaves_the_values(engine: str) -> None:
    with Cluster(machines=2, engine="sim", seed=1) as cluster:
        run = lab(cluster).start(Odd(slow), generate.chain(4), engine=engine)
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            run.result()
        with pytest.raises(RunCancelled, match="has what it came to"):
            run.result(60)
        assert run.values() == [0, 0, 0, 0]
