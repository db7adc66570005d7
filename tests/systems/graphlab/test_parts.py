"""Schedulers, plan, locks, termination, atoms and scopes, each alone."""

from __future__ import annotations

from typing import NamedTuple

import networkx as nx
import numpy as np
import pandas as pd
import pytest

from labkit.parts.graphs import generate
from labkit.parts.graphs.csr import Graph
from labkit.parts.graphs.pagerank import GRAPHALYTICS
from labkit.systems.graphlab import ConsistencyError, DataGraph, PageRank, Program, Scope, Sync
from labkit.systems.graphlab.atoms import AtomIndex, colouring, cut_of, cut_up, place
from labkit.systems.graphlab.local import LocalGraph
from labkit.systems.graphlab.locks import Locks, Wanted
from labkit.systems.graphlab.plan import Plan
from labkit.systems.graphlab.schedulers import make
from labkit.systems.graphlab.single import Whole, run_locally
from labkit.systems.graphlab.termination import Consensus

from .conftest import GRAPH

LINE = {0: [1], 1: [0, 2], 2: [1, 3], 3: [2]}


def order(name: str, tasks: list[tuple[int, float]], size: int = 10) -> list[int]:
    scheduler = make(name, LINE, lambda v: v % 2, size, tasks)
    found = []
    while (task := scheduler.pop()) is not None:
        found.append(task[0])
    return found


TASKS = [(2, 1.0), (0, 5.0), (3, 2.0), (2, 9.0), (1, 3.0)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fifo", [2, 0, 3, 1]),
        ("priority", [2, 0, 1, 3]),
        ("round_robin", [0, 1, 2, 3]),
        ("fifo_partitioned", [3, 2, 1, 0]),
        ("priority_approximate", [1, 2, 3, 0]),
    ],
)
def test_each_scheduler_has_its_order_and_takes_a_duplicate_once(name: str, expected: list[int]) -> None:
    assert order(name, TASKS) == expected


def test_round_robin_goes_on_where_it_was() -> None:
    scheduler = make("round_robin", LINE, lambda v: 0, 10, [(1, 0.0)])
    assert scheduler.pop() == (1, "update")
    scheduler.add(0)
    scheduler.add(3)
    assert [scheduler.pop(), scheduler.pop(), scheduler.pop()] == [(3, "update"), (0, "update"), None]


def test_a_splash_goes_from_the_leaves_to_the_root_and_back() -> None:
    assert order("splash", [(1, 1.0)], 4) == [3, 2, 0, 1, 0, 2, 3]
    assert order("splash", [(1, 1.0)], 1) == [1]


def test_a_splash_forgets_no_task() -> None:
    scheduler = make("splash", LINE, lambda v: 0, 2, [(v, float(v)) for v in LINE])
    assert scheduler.pop() == (2, "update")  # the leaf of the tree 3, 2
    assert [scheduler.state(v) for v in LINE] == [0.0, 1.0, 2.0, 3.0]
    assert len(scheduler) == 4


def test_a_plan_lets_sets_run_into_each_other() -> None:
    """{0, 3} then {0, 1, 3}: 3 need not wait for 0, nor 0 for 3."""
    plan = Plan(LINE, sets=[((0, 3), "f"), ((0, 1, 3), "g")])
    assert [plan.pop(), plan.pop(), plan.pop()] == [(0, "f"), (3, "f"), None]
    plan.finished(3, "f")
    assert [plan.pop(), plan.pop()] == [(3, "g"), None]
    plan.finished(0, "f")
    assert {plan.pop(), plan.pop()} == {(0, "g"), (1, "g")}
    assert not len(plan)


def test_a_plan_hears_of_executions_elsewhere() -> None:
    plan = Plan({1: [0, 2]}, sets=[((0,), "f"), ((1,), "g")])
    assert plan.pop() is None
    plan.finished(0, "f")
    assert plan.pop() == (1, "g")


def test_locks_go_to_whoever_came_first() -> None:
    locks, log = Locks(), []
    for who, write in (("a", False), ("b", False), ("c", True), ("d", False)):
        locks.acquire(who, [Wanted(7, write)], lambda who=who: log.append(who))
    assert log == ["a", "b"]
    locks.release("a", [Wanted(7, False)])
    assert log == ["a", "b"]
    locks.release("b", [Wanted(7, False)])
    assert log == ["a", "b", "c"]
    locks.release("c", [Wanted(7, True)])
    assert log == ["a", "b", "c", "d"]
    locks.release("d", [Wanted(7, False)])
    assert not locks.locks


def test_locks_of_a_scope_are_taken_one_after_the_other() -> None:
    locks, log, waits = Locks(), [], []
    locks.acquire("a", [Wanted(2, True)], lambda: None)
    locks.acquire(
        "b", [Wanted(1, True), Wanted(2, True), Wanted(3, True)], lambda: log.append("b"), waits.append
    )
    assert (locks.held(1), locks.held(3), waits) == (("b",), (), [2])
    locks.release("a", [Wanted(2, True)])
    assert log == ["b"]
    assert locks.held(3) == ("b",)


def test_the_token_sees_a_message_on_its_way() -> None:
    a, b = Consensus(0, 2), Consensus(1, 2)
    b.sent()
    b.token = a.passed_on()
    a.token = b.passed_on()
    assert not a.over()
    a.got()
    assert not a.over()  # it was woken behind the token's back
    b.token = a.passed_on()
    a.token = b.passed_on()
    assert a.over()


def test_atoms_hold_each_vertex_and_edge_once() -> None:
    data = DataGraph(GRAPH, 0, lambda u, v: (u, v))
    atoms, index = cut_up(data, cut_of(data, "hashed", 8), 8)
    assert sorted(v for atom in atoms for v in atom.vertices) == list(range(GRAPH.n))
    edges = [edge for atom in atoms for edge in atom.edges]
    assert len(edges) == len(set(edges)) == GRAPH.edges
    assert sum(index.weights) == GRAPH.n + GRAPH.m
    grown = cut_up(data, cut_of(data, "grown", 8), 8)[1]
    assert grown.cut < index.cut


def test_atoms_go_where_their_neighbours_are_if_there_is_room() -> None:
    index = AtomIndex((10, 10, 10, 10), {(0, 2): 5, (1, 3): 5})
    where = place(index, ["m1", "m2"])
    assert where[0] == where[2] != where[1] == where[3]


@pytest.mark.parametrize("consistency", ["edge", "full"])
def test_colours_keep_scopes_apart(consistency: str) -> None:
    colours = colouring(DataGraph(GRAPH), consistency)
    graph = GRAPH.to_networkx()
    if consistency == "full":
        graph = nx.power(graph, 2)
    assert all(colours[u] != colours[v] for u, v in graph.edges)
    assert colouring(DataGraph(GRAPH), "vertex").max() == 0


def test_a_ghost_only_becomes_newer() -> None:
    data = DataGraph(Graph.of([(0, 1)]), 5, 7)
    atoms, _ = cut_up(data, np.array([0, 1]), 2)
    local = LocalGraph(2, True, "m1", atoms[:1], ("m1", "m2"))
    local.take({1: ("new", 3), (0, 1): (8, 1)})
    local.take({1: ("old", 2)})
    assert local.record(1) == ("new", 3)
    assert local.write(0, 6) == (6, 1)
    assert (local.ghosted_at(0), local.for_ghosts()) == (("m2",), {"m2": {0: (6, 1)}})


def scope(consistency: str, enforce: bool = True) -> Scope:
    graph = Graph.of([(0, 1), (1, 2), (2, 3)])
    return Scope(Whole(DataGraph(graph, list("abcd"), lambda u, v: f"{u}{v}")), 1, consistency, enforce)


def test_a_scope_gives_what_its_model_allows() -> None:
    full, edge, vertex = scope("full"), scope("edge"), scope("vertex")
    full[0] = "x"
    assert (full[0], edge[2], edge.edge(1, 2), vertex.value) == ("x", "c", "12", "b")
    edge.set_edge(0, 1, "y")
    assert edge.writes == {(0, 1): "y"}
    with pytest.raises(ConsistencyError, match=r"writes vertex 0.*write consistency='full'"):
        edge[0] = "x"
    with pytest.raises(ConsistencyError, match=r"reads vertex 2.*write consistency='edge'"):
        vertex[2]
    with pytest.raises(ConsistencyError, match="reads edge 1 → 2"):
        vertex.edge(1, 2)
    with pytest.raises(ConsistencyError, match="vertex 3 is not in the scope of 1"):
        full[3]
    with pytest.raises(ConsistencyError, match="edge 2 → 3 is not adjacent"):
        full.edge(2, 3)
    assert scope("vertex", enforce=False)[2] == "c"


def test_a_value_that_is_changed_in_place_is_refused_by_numpy() -> None:
    here = scope("edge")
    here.value = np.zeros(2)
    with pytest.raises(ValueError, match="read-only"):
        here.value += 1


def test_a_data_graph_says_what_it_wants() -> None:
    with pytest.raises(TypeError, match="is no Graph of labkit"):
        DataGraph([(0, 1)])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="2 values, and the graph 24 vertices"):
        DataGraph(GRAPH, [1, 2])
    with pytest.raises(TypeError, match=r"vertices=lambda v: values\[v\]"):
        DataGraph(GRAPH, {0: 1.0})
    with pytest.raises(KeyError, match=r"no value for \(0, 1\)"):
        DataGraph(Graph.of([(0, 1)]), 0, {(1, 0): 5}).edge(0, 1)
    point = NamedTuple("point", [("x", int)])(7)
    assert DataGraph(Graph.of([], [0]), point).vertex(0) is point
    assert DataGraph(Graph.of([(0, 1)]), pd.Series([3, 4])).vertex(1) == 4
    with pytest.raises(NotImplementedError, match="has no update"):
        run_locally(Program(), GRAPH)
    with pytest.raises(ValueError, match="beyond any scope"):
        PageRank(GRAPHALYTICS)
    with pytest.raises(ValueError, match="write 'hashed', 'grown'"):
        cut_of(DataGraph(GRAPH), "metis", 4)
    with pytest.raises(ValueError, match="one for each of the 24 vertices"):
        cut_of(DataGraph(GRAPH), [0, 1], 4)


def test_loops_and_parallel_edges_are_none() -> None:
    data = DataGraph(Graph.of([(0, 0), (0, 1), (0, 1)]), 0)
    out, into = data.neighbours()
    assert [list(each) for each in (*out, *into)] == [[1], [], [], [0]]


@pytest.mark.parametrize(
    "scheduler", ["fifo", "fifo_partitioned", "priority", "priority_approximate", "round_robin", "splash",
                  "synchronous"]
)  # fmt: skip
def test_on_one_thread_each_scheduler_comes_to_networkx_ranks(scheduler: str) -> None:
    run = run_locally(PageRank(tolerance=1e-9), GRAPH, scheduler=scheduler)
    expected = nx.pagerank(GRAPH.to_networkx(), tol=1e-12, max_iter=500)
    assert max(abs(value - expected[v]) for v, value in enumerate(run.values())) < 1e-9


def test_a_sync_folds_on_one_thread() -> None:
    class Count(Program):
        def update(self, v: int, scope: Scope) -> None:
            scope.value = v

        def syncs(self) -> dict[str, Sync]:
            return {"sum": Sync(lambda a, s: a + s.value, lambda a, b: a + b, 0, lambda a: f"Σ {a}")}

    assert run_locally(Count(), generate.chain(4)).table == {"sum": "Σ 6"}
