"""A graph in arrays, and what comes in and goes out of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pytest

from labkit import Cluster
from labkit.cost import baseline, hilbert
from labkit.parts.graphs import Graph, generate, oracles, readers
from labkit.systems import graphlab, graphx, powergraph
from labkit.systems.pregel import run_locally, young
from labkit.systems.pregel.programs import ShortestPaths
from labkit.systems.spark import SparkContext


def pairs(graph: Graph) -> list[tuple[int, int]]:
    return list(zip(graph.sources().tolist(), graph.targets.tolist(), strict=True))


def test_rows_keep_the_order_of_the_edges() -> None:
    graph = Graph.from_arrays([2, 0, 2, 2], [1, 2, 0, 1], weights=[0.5, 1, 2, 3])
    assert (graph.n, graph.m) == (3, 4)
    assert graph.indptr.tolist() == [0, 1, 1, 4]
    assert graph.out(2).tolist() == [1, 0, 1]
    assert graph.out_weights(2).tolist() == [0.5, 2, 3]
    assert graph.out_degrees.tolist() == [1, 0, 3]
    assert graph.in_degrees.tolist() == [1, 2, 1]
    assert pairs(graph.reversed()) == [(0, 2), (1, 2), (1, 2), (2, 0)]


def test_an_undirected_edge_is_held_both_ways_and_a_loop_once() -> None:
    graph = Graph.from_arrays([0, 1], [1, 1], directed=False)
    assert pairs(graph) == [(0, 1), (1, 1), (1, 0)]
    assert (graph.m, graph.edges) == (3, 2)
    assert repr(graph) == "<Graph, undirected: 2 vertices, 2 edges>"


@pytest.mark.parametrize("directed", [True, False])
def test_no_edges_and_no_vertices(directed: bool) -> None:
    assert (Graph.of([], directed=directed).n, Graph.from_arrays([], [], directed=directed).m) == (0, 0)
    alone = Graph.of([], ["a"], directed=directed)
    assert (alone.n, alone.m, alone.name(0), alone.edges) == (1, 0, "a", 0)


def test_names_have_their_own_order_or_that_in_which_they_come() -> None:
    graph = Graph.of([("c", "a"), ("a", "b", 2.5)])
    assert graph.ids == ["a", "b", "c"]
    assert (graph.index("c"), graph.name(2)) == (2, "c")
    assert graph.weights is not None
    assert graph.weights.tolist() == [2.5, 1.0]
    assert Graph.of([("x", 1), (None, "x")]).ids == ["x", 1, None]
    assert Graph.of([(0, 1)]).ids is None
    assert Graph.of([(0, 7)]).ids == [0, 7]
    assert pairs(Graph.of({"a": ["b", "a"], "c": []})) == [(0, 1), (0, 0)]
    assert Graph.of({"a": ["b", "a"], "c": []}).ids == ["a", "b", "c"]
    assert Graph.of([(2**63 - 1, -5)]).ids == [-5, 2**63 - 1]


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: Graph.from_arrays([0], [1, 2]), ValueError, "1 sources and 2 targets"),
        (lambda: Graph.from_arrays([0], [3], n=3), ValueError, "vertex 3 of an edge is not one of the 3"),
        (lambda: Graph.from_arrays([-1], [0]), ValueError, "vertex -1"),
        (lambda: Graph.from_arrays([0.5], [1]), TypeError, r"Graph\.of"),
        (lambda: Graph.from_arrays([0], [1], weights=[]), ValueError, "0 weights for 1 edge"),
        (lambda: Graph.of([(1,)]), ValueError, r"not \(1,\)"),
        (lambda: Graph.of([("a", "b")]).index("z"), KeyError, "no vertex 'z' among the 2"),
        (lambda: Graph.of([(0, 1)]).index(2), KeyError, "they are 0 to 1"),
        (lambda: Graph.of(["ab"]), ValueError, "not 'ab'"),
        (lambda: Graph.of([(1.0, float("nan"))]), ValueError, r"one of \(1.0, nan\) is missing"),
        (lambda: Graph.from_arrays([0], [1], ids=["a", "a"]), ValueError, "two vertices are named 'a'"),
        (lambda: Graph.from_arrays([0], [1], ids=["a"]), ValueError, "not one of the 1"),
    ],
)
def test_what_is_no_graph_is_said(make: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()


@pytest.mark.parametrize("directed", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_saved_and_loaded(tmp_path: Path, directed: bool, weighted: bool) -> None:
    edges = [("b", "a", 2.0), ("b", "c", 3.0)] if weighted else [("b", "a"), ("b", "c")]
    graph = Graph.of(edges, ["d"], directed=directed)
    Graph.of([(0, 1, 9.0)]).save(tmp_path / "g")  # saved again: nothing of the first one stays
    graph.save(tmp_path / "g")
    again = Graph.load(tmp_path / "g")
    assert isinstance(again.targets, np.memmap)
    assert (again.ids, again.directed, pairs(again)) == (graph.ids, directed, pairs(graph))
    assert (again.weights is None) == (not weighted)
    with pytest.raises(FileNotFoundError, match=r"Graph\.save"):
        Graph.load(tmp_path)
    with pytest.raises(TypeError, match="'x', 1"):
        Graph.of([(("x", 1), ("y", 2))]).save(tmp_path / "odd")


@pytest.mark.parametrize(
    "graph",
    [
        nx.DiGraph([("a", "b"), ("b", "a"), ("c", "c")]),
        nx.Graph([(3, 1), (1, 1), (5, 3)]),
        nx.MultiDiGraph([(0, 1), (0, 1)]),
        nx.MultiGraph([(0, 1), (1, 0), (0, 0)]),
        nx.path_graph(0),
    ],
)
def test_networkx_there_and_back(graph: Any) -> None:
    again = readers.from_networkx(graph).to_networkx()
    assert type(again) is type(graph)
    assert set(again.nodes) == set(graph.nodes)
    assert nx.utils.edges_equal(again.edges, graph.edges, directed=graph.is_directed())


def test_networkx_weights() -> None:
    graph = nx.Graph()
    graph.add_weighted_edges_from([("a", "b", 2.5)])
    graph.add_edge("b", "c")
    again = readers.from_networkx(graph).to_networkx()
    assert sorted(again.edges(data="weight")) == [("a", "b", 2.5), ("b", "c", 1.0)]


def test_pandas_there_and_back() -> None:
    frame = pd.DataFrame({"source": ["a", "b"], "target": ["b", "c"], "weight": [1.5, 2.0]})
    pd.testing.assert_frame_equal(readers.from_pandas(frame).to_pandas(), frame)
    assert len(readers.from_pandas(frame, directed=False).to_pandas()) == 2
    with pytest.raises(KeyError, match="no column 'from' among source, target, weight"):
        readers.from_pandas(frame, source="from")


def test_an_edge_list(tmp_path: Path) -> None:
    path = tmp_path / "e.txt"
    path.write_text("# SNAP\n% another\n0\t2\n\n2, 10 \n")
    assert readers.edge_list(path).ids == [0, 2, 10]
    path.write_text("007 1 0.5\n1 2 1.5\n")  # 007 is a name, not the number 7
    graph = readers.edge_list(path)
    assert graph.ids == ["007", "1", "2"]
    assert graph.weights is not None
    assert graph.weights.tolist() == [0.5, 1.5]
    for text, wrong in (("1 2\n3\n", "line 2"), ("1 2 heavy\n", "'heavy'")):
        path.write_text(text)
        with pytest.raises(ValueError, match=wrong):
            readers.edge_list(path)
    path.write_text("")
    assert readers.edge_list(path).n == 0


def test_ldbc(tmp_path: Path) -> None:
    (tmp_path / "g.v").write_text("1\n3\n8\n")
    (tmp_path / "g.e").write_text("1 3 0.5\n3 1 0.25\n")
    graph = readers.ldbc(tmp_path / "g")
    assert (graph.ids, pairs(graph)) == ([1, 3, 8], [(0, 1), (1, 0)])
    (tmp_path / "g.e").write_text("1 4\n")
    with pytest.raises(ValueError, match=r"vertex '4' does not stand in g\.v"):
        readers.ldbc(tmp_path / "g")


def test_matrix_market(tmp_path: Path) -> None:
    path = tmp_path / "m.mtx"
    path.write_text("%%MatrixMarket matrix coordinate pattern symmetric\n3 3 2\n2 1\n3 3\n")
    graph = readers.matrix_market(path)
    assert (graph.directed, graph.edges, graph.weights) == (False, 2, None)
    assert sorted(pairs(graph)) == [(0, 1), (1, 0), (2, 2)]
    path.write_text("%%MatrixMarket matrix coordinate real general\n2 2 1\n1 2 0.5\n")
    graph = readers.matrix_market(path)
    assert (pairs(graph), graph.weights.tolist() if graph.weights is not None else None) == ([(0, 1)], [0.5])
    path.write_text("%%MatrixMarket matrix coordinate real general\n2 3 1\n1 2 0.5\n")
    with pytest.raises(ValueError, match="2 × 3"):
        readers.matrix_market(path)


def test_a_loaded_graph_is_saved_where_it_came_from(tmp_path: Path) -> None:
    """Its arrays are mappings of the files that are written."""
    graph = generate.rmat(10, 9000, weighted=True)
    graph.save(tmp_path)
    Graph.load(tmp_path).save(tmp_path)
    again = Graph.load(tmp_path)
    assert np.array_equal(again.targets, graph.targets)
    assert np.array_equal(again.weights, graph.weights)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "graph.json", "indptr.npy", "targets.npy", "weights.npy",
    ]  # fmt: skip


def test_a_mapping_may_have_weights() -> None:
    graph = Graph.of({"a": {"b": 2.5, "c": 1}, "b": ["c"], "c": {"a": None}})
    assert (graph.ids, graph.weights.tolist()) == (["a", "b", "c"], [2.5, 1, 1, 1])  # type: ignore[union-attr]


def test_what_is_no_edge_or_weight_says_what_to_write(tmp_path: Path) -> None:
    wrong: list[tuple[Any, str]] = [
        (nx.path_graph(3), r"not 0; .*from_networkx\(graph\) and from_pandas\(frame\)"),
        ([([1], 2)], r"a vertex's name: .*unhashable.*write the tuple \(1, 2\)"),
        ([(1, 2, {"weight": 3})], "weights are numbers, one for each edge: float"),
        ([(1, 2, 3.0), (1, 2, None)], r"the weight of edge 1 is missing \(nan\): give it a number"),
        ({1: "ab"}, "the targets of 1 are a list or {target: weight}, not 'ab'"),
    ]
    for edges, words in wrong:
        with pytest.raises((TypeError, ValueError), match=words):
            Graph.of(edges)
    with pytest.raises(TypeError, match=r"from_networkx takes a graph of networkx, not \{\}"):
        readers.from_networkx({})
    file = tmp_path / "edges.csv"
    file.write_text("source,target\n1,2\n2,3\n")
    with pytest.raises(ValueError, match=r"line 1: 'source target' is no edge of numbers.*headings with #"):
        readers.edge_list(file)
    file.write_bytes(b"\xef\xbb\xbf1,2\n2,3\n")
    assert readers.edge_list(file).ids == [1, 2, 3]
    file.write_bytes(b"\x1f\x8b\x08\xff")
    with pytest.raises(ValueError, match=r"edges.csv, line 1 is no text in UTF-8: unpack the file"):
        readers.edge_list(file)


@pytest.mark.parametrize("answer", [oracles.bfs, oracles.sssp])
def test_a_source_that_is_no_vertex_is_refused(answer: Any) -> None:
    for source in (-1, 3, "a", 0.5, None):
        with pytest.raises(ValueError, match=r"vertices are numbers from 0 to 2; .*graph\.index\(name\)"):
            answer(generate.chain(3), source)


def test_what_is_no_graph_is_told_how_to_become_one() -> None:
    program: Any = graphlab.PageRank()
    words = r"is no Graph of labkit.parts.graphs: write "
    with Cluster(machines=1, engine="sim") as cluster:
        sc = SparkContext(cluster)
        uses: list[Callable[[Any], Any]] = [
            lambda graph: graphlab.run_locally(program, graph),
            graphlab.DataGraph,
            lambda graph: powergraph.PowerGraph(cluster, graph, powergraph.PageRank()),
            lambda graph: graphx.GraphLoader.fromGraph(sc, graph),
            baseline("pagerank20", "numpy"),
            hilbert.ordered,
        ]
        for use in uses:
            with pytest.raises(TypeError, match=words + r"Graph.of\(graph\)"):
                use({1: [2]})
            with pytest.raises(TypeError, match=words + r"from_networkx\(graph\)"):
                use(nx.path_graph(3))
            with pytest.raises(TypeError, match=words + r"from_pandas\(graph\)"):
                use(pd.DataFrame({"source": [1], "target": [2]}))
            with pytest.raises(TypeError, match=words + r"Graph.of\(\[\('a', 'b'\), …\]\)"):
                use("edges.txt")


def test_a_class_or_an_object_in_the_others_place() -> None:
    graph, rank, paths = Graph.of([(1, 2)]), graphlab.PageRank, ShortestPaths()
    with pytest.raises(TypeError, match=r"a program is a Program .* not <class .*PageRank'>: write PageRank"):
        graphlab.run_locally(rank, graph)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"not ShortestPaths\(\): write ShortestPaths, without \(\)"):
        run_locally(paths, {1: [2]})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="checkpoint=-1: seconds of a checkpoint; write checkpoint=120"):
        young(-1, 5)
