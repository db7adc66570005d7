"""The programs of Fig. 3 on every engine and cut, on both engines of the lab; and what bad input gets
told."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from labkit import Cluster
from labkit.parts.graphs import Graph
from labkit.parts.graphs.cuts import VERTEX_CUTS
from labkit.parts.graphs.generate import rmat
from labkit.parts.store import FileSystem
from labkit.runtime.errors import LabError, Unpicklable
from labkit.systems.powergraph import (
    SSSP,
    BatchProgram,
    Colouring,
    Components,
    LabelPropagation,
    PageRank,
    PowerGraph,
    ProgramFailed,
    VertexProgram,
)
from tests.engines import MakeCluster

from .conftest import ENGINES, right, small


def programs(engine: str, cut: str) -> list[VertexProgram]:
    if cut not in ("random", "coordinated"):
        return [SSSP(0)]
    synchronous = engine == "synchronous"
    fixed = [PageRank(iterations=20), LabelPropagation(5)] if synchronous else [PageRank(1e-3), Colouring()]
    return [Components(), *fixed]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("cut", VERTEX_CUTS)
def test_every_program_on_every_engine_and_cut(engine: str, cut: str) -> None:
    for caching in (True, False) if cut == "random" else (True,):
        for program in programs(engine, cut):
            with Cluster(machines=3, engine="sim", seed=3) as cluster:
                options: Any = {"engine": engine, "cut": cut, "delta_caching": caching, "batch": False}
                pg = PowerGraph(cluster, small(), program, **options).run(timeout=300.0)
                right(pg)


@pytest.mark.parametrize("program", [PageRank(iterations=20), PageRank(1e-3), SSSP(3), Components()])
def test_arrays_give_what_single_vertices_give(program: Any) -> None:
    graph = rmat(8, 2000, seed=2)
    graph = Graph.from_arrays(
        graph.sources(), graph.targets, n=graph.n, weights=np.random.default_rng(1).random(graph.m)
    )
    found = []
    for batch in (True, False):
        with Cluster(machines=3, engine="sim") as cluster:
            pg = PowerGraph(cluster, graph, program, batch=batch, cut="random", delta_caching=False).run()
            steps = {n: step.active for n, step in pg.view().steps.items()}
            found.append((pg.array(), steps, pg.view().totals.applies))
            assert pg.check().ok
    (arrays, *counts), (single, *others) = found
    assert np.allclose(arrays, single)
    assert counts == others


class Endless(PageRank):
    """Does not end before there is a file: a kill comes in the middle of it, however late."""

    def __init__(self, file: str, tolerance: float) -> None:
        super().__init__(tolerance)
        self.file = file

    def scatter(self, D_u: Any, D_uv: float, D_v: Any) -> tuple[float, float]:
        if not os.path.exists(self.file):
            self.activate()
        return super().scatter(D_u, D_uv, D_v)


def test_on_both_engines_of_the_lab_and_a_killed_process(make_cluster: MakeCluster, tmp_path: Path) -> None:
    cluster, gate = make_cluster(machines=3, seed=5), tmp_path / "gate"
    fs = FileSystem(cluster, replicas=2)
    right(PowerGraph(cluster, small(), Components(), fs, engine="asynchronous").run())
    right(PowerGraph(cluster, small(2000), Components(), fs, batch=True).run())
    graph, program = small(300), PageRank(1e-4)
    if cluster.engine == "ray":
        graph, program = small(100), Endless(str(gate), 1e-4)
    pg = PowerGraph(cluster, graph, program, fs, engine="serializable").start()
    number = pg.snapshot()
    cluster.kill("m3")
    gate.touch()
    right(pg.result())
    assert number in pg.view().snapshots


def test_on_one_machine() -> None:
    for engine in ENGINES:
        with Cluster(machines=1, engine="sim") as cluster:
            right(PowerGraph(cluster, small(), Components(), engine=engine).run())


def test_names_of_vertices_and_values_before_the_end() -> None:
    graph = Graph.of([("a", "b", 2.0), ("b", "c", 3.0), ("a", "c", 9.0)])
    with Cluster(machines=2, engine="sim") as cluster:
        pg = PowerGraph(cluster, graph, SSSP("a"))
        assert pg.values() == {"a": 0.0, "b": float("inf"), "c": float("inf")}
        assert pg.run().values() == {"a": 0.0, "b": 2.0, "c": 5.0}
        assert pg.done
        assert "Graph" in repr(pg)


class Fails(VertexProgram):
    """Divides by zero."""

    def gather(self, D_u: Any, D_uv: Any, D_v: Any) -> float:
        return 1 / 0

    def apply(self, D_u: Any, acc: Any) -> Any:
        return acc


@pytest.mark.parametrize("engine", ENGINES)
def test_the_programs_own_error_reaches_the_user(engine: str) -> None:
    with Cluster(machines=2, engine="sim") as cluster:
        pg = PowerGraph(cluster, small(), Fails(), engine=engine)
        with pytest.raises(ProgramFailed, match=r"(?s)division by zero.*in gather"):
            pg.run()
        with pytest.raises(ProgramFailed):
            pg.values()


def test_bad_input_is_told_what_to_write() -> None:
    class Locked(Colouring):
        def __init__(self) -> None:
            import threading

            self.lock = threading.Lock()

    with Cluster(machines=2, engine="sim") as cluster:
        graph = small()
        with pytest.raises(TypeError, match=r"Graph\.of"):
            PowerGraph(cluster, [(0, 1)], Colouring())  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"PageRank\(\)"):
            PowerGraph(cluster, graph, Colouring)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match='write cut="random"'):
            PowerGraph(cluster, graph, Colouring(), cut="greedy")
        with pytest.raises(TypeError, match="its options are cut, engine"):
            PowerGraph(cluster, graph, Colouring(), cuts="random")
        with pytest.raises(ValueError, match="the synchronous engine"):
            PowerGraph(cluster, graph, Components(), engine="asynchronous", batch=True)
        with pytest.raises(TypeError, match="Colouring is no BatchProgram"):
            PowerGraph(cluster, graph, Colouring(), batch=True)
        with pytest.raises(Unpicklable, match="Locked cannot be sent"):
            PowerGraph(cluster, graph, Locked())
        with pytest.raises(ValueError, match=r"timeout=0\.3"):
            PowerGraph(cluster, graph, Colouring(), timeout=0.3)
        pg = PowerGraph(cluster, graph, Colouring())
        with pytest.raises(LabError, match=r"was not begun: write run\(\)"):
            pg.result()
        with pytest.raises(ValueError, match='engine="synchronous"'):
            pg.set_engine("async")
        with pytest.raises(ValueError, match='sees the two vertices "u" and "v"'):
            pg.program.activate("w")


class Odd(VertexProgram):
    """Counts who leads to a vertex, but for what it is made with."""

    zero = 0

    def __init__(self, **instead: Any) -> None:
        self.__dict__.update(instead)

    def initial(self, vertex: Any) -> Any:
        return vertex.id

    def gather(self, D_u: Any, D_uv: Any, D_v: Any) -> Any:
        return 1

    def sum(self, a: Any, b: Any) -> Any:
        return a + b

    def apply(self, D_u: Any, acc: Any) -> Any:
        return acc


STAR = Graph.of([(0, 2), (1, 2), (3, 2), (4, 2), (2, 0)])


@pytest.mark.parametrize("engine", ENGINES[:2])
@pytest.mark.parametrize(
    ("instead", "told"),
    [
        ({"gather": lambda *_: None}, "Odd.gather returned None: return what u takes from v"),
        ({"sum": lambda a, b: None}, r"Odd.sum\(1, 1\) returned None: write return"),
        ({"apply": lambda *_: None}, "Odd.apply returned None where D_u was"),
        ({"scatter": lambda *_: None}, "Odd.scatter returned None: write return D_uv, None"),
        ({"scatter": lambda *_: (1, 2, 3)}, r"Odd.scatter returned \(1, 2, 3\)"),
        ({"scatter": lambda *_: (1, threading.Lock())}, "cannot be sent to another machine|unsupported"),
    ],
)
def test_what_a_program_may_not_return(engine: str, instead: dict[str, Any], told: str) -> None:
    with Cluster(machines=3, engine="sim", seed=1) as cluster, pytest.raises(ProgramFailed, match=told):
        PowerGraph(cluster, STAR, Odd(**instead), engine=engine).run(10)


@pytest.mark.parametrize(
    ("apply", "kind", "values"),
    [
        (lambda D_u, acc: 0.5 if D_u else 1, "f", [1, 0.5, 0.5, 0.5, 0.5]),
        (lambda D_u, acc: "ab" * D_u, "U", ["", "ab", "abab", "ababab", "abababab"]),
        (lambda D_u, acc: [acc] * acc, "O", [[1], [], [4] * 4, [], []]),
        (lambda D_u, acc: acc or "none", "O", [1, "none", 4, "none", "none"]),
    ],
)
def test_an_array_holds_the_values_of_all_machines(apply: Any, kind: str, values: list[Any]) -> None:
    with Cluster(machines=3, engine="sim", seed=1) as cluster:
        pg = PowerGraph(cluster, STAR, Odd(apply=apply)).run()
        assert pg.array().dtype.kind == kind
        assert pg.array().tolist() == values
        assert list(pg.values().values()) == values
        assert pg.check().ok


@pytest.mark.parametrize("value", [float("nan"), np.ones(2), (1, float("nan"))])
def test_the_check_knows_nan_and_arrays(value: Any) -> None:
    with Cluster(machines=3, engine="sim", seed=1) as cluster:
        assert PowerGraph(cluster, STAR, Odd(apply=lambda *_: value)).run().check().ok


def test_numbers_of_a_program_that_make_no_sense() -> None:
    for options, told in (
        ({"tolerance": float("nan")}, "tolerance=nan: a number >= 0"),
        ({"iterations": 0}, "iterations=0: a whole number >= 1"),
        ({"damping": 2}, "damping=2: a probability"),
    ):
        with pytest.raises(ValueError, match=told):
            PageRank(**options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="iterations=-1"):
        LabelPropagation(-1)
    with Cluster(machines=2, engine="sim") as cluster:
        with pytest.raises(ValueError, match=r"an edge weighs -1: .* give numbers >= 0"):
            PowerGraph(cluster, Graph.of([(0, 1, -1.0), (1, 0, 0.5)]), SSSP(0))
        with pytest.raises(TypeError, match=r"fs='x': write fs=FileSystem\(cluster\)"):
            PowerGraph(cluster, STAR, PageRank(), "x")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"write PowerGraph\(cluster, graph, program\)"):
            PowerGraph(STAR, PageRank(), cluster)  # type: ignore[arg-type]


def test_what_is_over_takes_no_more_orders() -> None:
    with Cluster(machines=2, engine="sim") as cluster:
        pg = PowerGraph(cluster, STAR, PageRank()).run()
        for change in (pg.snapshot, lambda: pg.set_engine("asynchronous"), lambda: pg.set_cut("2d")):
            with pytest.raises(LabError, match="is over, and takes no more orders"):
                change()


class One(NamedTuple):
    x: Any


class OddBatch(BatchProgram):
    """In-degrees as arrays, but for what it is made with."""

    zero = 0.0

    def __init__(self, **instead: Any) -> None:
        self.__dict__.update(instead)

    def initial_batch(self, ids: Any, in_degree: Any, out_degree: Any, vertices: int) -> Any:
        return One(np.ones(len(ids)))

    def gather_batch(self, D: Any) -> Any:
        return D.x

    def apply_batch(self, D: Any, acc: Any) -> Any:
        return One(acc)

    def changed_batch(self, D: Any) -> Any:
        return np.zeros(len(D.x), bool)

    def result(self, D_u: Any) -> Any:
        return D_u.x


@pytest.mark.parametrize(
    ("instead", "told"),
    [
        ({"initial_batch": lambda *_: None}, "initial_batch gave None: return D, a named tuple of arrays"),
        ({"initial_batch": lambda ids, *_: One(np.zeros(len(ids), int))}, "apply_batch gave float64 for x"),
        ({"gather_batch": lambda D: np.ones(1)}, "gather_batch gave array.*for each of the 3 vertices"),
        ({"apply_batch": lambda D, acc: One(1.0)}, r"apply_batch gave One\(x=1.0\)"),
        ({"changed_batch": lambda D: True}, "changed_batch gave True: return an array of booleans"),
    ],
)
def test_arrays_of_another_shape_or_kind_are_refused(instead: dict[str, Any], told: str) -> None:
    with Cluster(machines=3, engine="sim", seed=1) as cluster:
        assert PowerGraph(cluster, STAR, OddBatch(), log=False).run().array().tolist() == [1, 0, 4, 0, 0]
        with pytest.raises(ProgramFailed, match=told):
            PowerGraph(cluster, STAR, OddBatch(**instead), log=False).run()


def test_after_ctrl_c_a_result_may_be_waited_for_again() -> None:
    with Cluster(machines=2, engine="sim", seed=1) as cluster:
        pg = PowerGraph(cluster, small(12), Colouring()).start()  # which never ends on this engine
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            pg.result()
        pg.set_engine("serializable")
        try:
            right(pg.result(60))
        except ProgramFailed as error:  # it struck within a computation, which then is not whole
            assert "interrupted" in str(error)  # noqa: PT017
