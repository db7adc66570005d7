"""The operators: what they give, equal to the definitions on one thread, for every cut and random graphs."""

from __future__ import annotations

import operator
import pickle
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.systems.graphx import (
    STRATEGIES,
    Edge,
    EdgeDirection,
    EdgeTriplet,
    Graph,
    GraphLoader,
    TripletFields,
    VertexRDD,
    arrays,
)
from labkit.systems.graphx.edge_partition import edge_partition
from labkit.systems.graphx.invariants import judge
from labkit.systems.graphx.single import LocalGraph
from labkit.systems.spark import SingleContext

from .graphs import CUTS, by_vertex, column, loaded, named, numbers

some = settings(max_examples=8)


def both(sc: SingleContext, seed: int, cut: str = "", parts: int = 3) -> tuple[Graph, LocalGraph]:
    """The same graph distributed and on one thread."""
    vertices, edges = named(seed)
    graph = Graph(sc.parallelize(vertices, 2), sc.parallelize(edges, parts), "nobody")
    return graph.partitionBy(cut) if cut else graph, LocalGraph(vertices, edges, "nobody")


def rows(graph: Graph) -> list[Any]:
    return sorted((t.srcId, t.dstId, t.srcAttr, t.dstAttr, t.attr) for t in graph.triplets.collect())


@some
@given(st.integers(0, 10_000), st.sampled_from(CUTS), st.integers(1, 7))
def test_triplets_are_the_join_for_every_cut(seed: int, cut: str, parts: int) -> None:
    graph, local = both(SingleContext(2), seed, cut, parts)
    assert by_vertex(graph) == local.vertices
    assert sorted(graph.edges.collect()) == sorted(local.edges)
    assert rows(graph) == sorted(local.triplets())
    mapped = graph.mapVertices(lambda vertex, attr: attr + "!" if vertex % 2 else attr)
    again = LocalGraph([(v, a + "!" if v % 2 else a) for v, a in local.vertices.items()], local.edges)
    assert rows(mapped) == sorted(again.triplets())
    for each in (graph, mapped):
        assert judge(each) == []


def to_both(t: Any) -> list[tuple[int, int]]:
    return [(t.srcId, t.attr), (t.dstId, t.attr + len(t.srcAttr))]


@some
@given(st.integers(0, 10_000), st.sampled_from(CUTS))
def test_messages_and_pregel_are_the_definitions(seed: int, cut: str) -> None:
    graph, local = both(SingleContext(2), seed, cut)
    assert dict(graph.mapReduceTriplets(to_both, operator.add).collect()) == local.aggregate(
        to_both, operator.add
    )

    def send(t: Any) -> list[tuple[int, str]]:
        return [(t.dstId, t.srcAttr)] if len(t.srcAttr) > len(t.dstAttr) else []

    program = ("", lambda vertex, attr, told: max(attr, told, key=lambda s: (len(s), s)), send, max)
    assert by_vertex(graph.pregel(*program)) == local.pregel(*program)
    first = by_vertex(graph.pregel(*program, maxIterations=1))
    assert first == local.pregel(*program, 1)


@some
@given(st.integers(0, 10_000), st.sampled_from(CUTS))
def test_subgraph_mask_reverse_and_groups(seed: int, cut: str) -> None:
    graph, local = both(SingleContext(2), seed, cut)
    epred, vpred = (lambda t: t.attr > 2 or t.srcAttr == "nobody"), (lambda vertex, attr: attr != "v3")
    part, right = graph.subgraph(epred, vpred), local.subgraph(epred, vpred)
    assert by_vertex(part) == right.vertices
    assert rows(part) == sorted(right.triplets())
    masked = graph.mapVertices(lambda vertex, attr: attr * 2).mask(part)
    wanted = sorted(
        row for row in ((r.srcId, r.dstId, r.srcAttr * 2, r.dstAttr * 2, r.attr) for r in local.triplets())
        if row[:2] in {(r.srcId, r.dstId) for r in right.triplets()}
    )  # fmt: skip
    assert rows(masked) == wanted if cut else set(rows(masked)) <= set(wanted)
    assert rows(part.reverse()) == sorted((r[1], r[0], r[3], r[2], r[4]) for r in right.triplets())
    assert (
        by_vertex(part.reverse().pregel("", lambda v, a, b: max(a, b), lambda t: [], max)) == right.vertices
    )
    for each in (part, masked, part.reverse()):
        assert judge(each) == []
    grouped: dict[Any, int] = {}
    for source, target, attr in local.edges:
        grouped[source, target] = grouped.get((source, target), 0) + attr
    one = graph.partitionBy("EdgePartition2D").groupEdges(lambda a, b: a + b)
    assert sorted(one.edges.collect()) == sorted((*ends, total) for ends, total in grouped.items())


def test_vertices_that_only_edges_name_have_the_default_and_the_first_of_two_counts(
    sc: SingleContext,
) -> None:
    graph = Graph(sc.parallelize([(1, "a"), (1, "b"), (5, "c")]), sc.parallelize([Edge(1, 2, 0)]), "new")
    assert by_vertex(graph) == {1: "a", 2: "new", 5: "c"}
    assert by_vertex(Graph.fromEdges(sc.parallelize([(1, 2), (2, 2)]), 7)) == {1: 7, 2: 7}


@pytest.mark.parametrize("cut", CUTS)
def test_an_empty_graph_and_one_without_edges(sc: SingleContext, cut: str) -> None:
    for vertices in ([], [(3, 1.0), (4, 2.0)]):
        graph = Graph(sc.parallelize(vertices), sc.parallelize([]), 0.0)
        graph = graph.partitionBy(cut) if cut else graph
        assert (graph.numVertices, graph.numEdges, graph.triplets.collect()) == (len(vertices), 0, [])
        assert graph.degrees.collect() == []
        assert column(graph.connectedComponents()) == [vertex for vertex, _ in vertices]
        assert column(graph.staticPageRank(2)) == pytest.approx([0.15] * len(vertices))
    assert Graph(sc.emptyRDD(), sc.emptyRDD()).numEdges == 0


def test_loops_parallel_edges_and_degrees(sc: SingleContext) -> None:
    graph = Graph.fromEdges(sc.parallelize([(1, 1, "loop"), (1, 2, "a"), (1, 2, "b")]), 0)
    assert dict(graph.degrees.collect()) == {1: 4, 2: 2}
    assert dict(graph.inDegrees.collect()) == {1: 1, 2: 2}
    assert dict(graph.outDegrees.collect()) == {1: 3}
    assert dict(graph.collectNeighborIds(EdgeDirection.Either).collect()) == {1: [1, 1, 2, 2], 2: [1, 1]}
    assert dict(graph.collectNeighborIds("Out").collect())[1] == [1, 2, 2]
    named = graph.mapVertices(lambda vertex, _: f"v{vertex}")
    assert dict(named.collectNeighbors("In").collect()) == {1: [(1, "v1")], 2: [(1, "v1"), (1, "v1")]}
    unique = Graph.fromEdgeTuples(sc.parallelize([(1, 2), (1, 2), (2, 1)]), 0, "RandomVertexCut")
    assert sorted(unique.edges.collect()) == [(1, 2, 2), (2, 1, 1)]


def test_attributes_keep_their_types(sc: SingleContext) -> None:
    values = [1, 1.0, True, None, "s", (1.0, 2.0), (1, "x"), [1], {"a": 1}, 1 << 70, float("inf"), -0.0]
    graph = Graph(
        sc.parallelize(list(enumerate(values)), 3), sc.parallelize([(0, k, v) for k, v in enumerate(values)])
    )
    for found in (
        by_vertex(graph).values(),
        [edge.attr for edge in sorted(graph.edges.collect(), key=lambda e: e[1])],
    ):
        assert [(type(v), v) for v in found if v is not None] != []
        assert sorted(map(repr, found)) == sorted(map(repr, values))
    seen = graph.mapReduceTriplets(lambda t: [(t.dstId, t.dstAttr)], lambda a, b: a)
    assert sorted(map(repr, by_vertex_of(seen))) == sorted(map(repr, values))


def by_vertex_of(vertices: VertexRDD) -> list[Any]:
    return [attr for _, attr in vertices.collect()]


def test_ids_of_64_bits_and_others(sc: SingleContext) -> None:
    most = (1 << 63) - 1
    graph = Graph.fromEdges(sc.parallelize([(most, -most - 1), (0, most)]), 1)
    for cut in STRATEGIES:
        assert column(graph.partitionBy(cut, 5).connectedComponents()) == [-most - 1] * 3
    for bad, words in (
        ("a", "'a' is no vertex id"),
        (1 << 63, "does not fit 64 bits"),
        (1.5, "1.5 is no vertex id"),
    ):
        with pytest.raises(Exception, match=words):
            Graph.fromEdges(sc.parallelize([(bad, 1)]), 1).numEdges  # noqa: B018
        with pytest.raises(Exception, match=words):
            Graph(sc.parallelize([(bad, 1)]), sc.parallelize([(1, 2)])).numVertices  # noqa: B018
    with pytest.raises(Exception, match=r"7 is no edge: write Edge"):
        Graph.fromEdges(sc.parallelize([7]), 1).numEdges  # noqa: B018


def test_bad_input_is_refused(sc: SingleContext) -> None:
    graph = Graph.fromEdges(sc.parallelize([(1, 2), (1, 2)]), 1)
    for call, words in [
        (lambda: graph.groupEdges(max), "call partitionBy first"),
        (lambda: graph.partitionBy("2D"), "partitionBy\\('2D'\\): give one of RandomVertexCut"),
        (lambda: Graph([(1, 2)], [(1, 2)]), "Graph\\(\\) needs an RDD of vertices"),
        (lambda: graph.mask(graph.partitionBy("EdgePartition1D")), "two graphs whose edges lie alike"),
        (lambda: graph.mask(3), "mask\\(\\) needs a graph, not 3"),
        (lambda: graph.collectNeighborIds("Both"), "'Both' is no direction of neighbours"),
        (lambda: graph.aggregateMessages(len, max, None, (graph.vertices, "up")), "'up' is no direction"),
        (lambda: graph.joinVertices([(1, 2)], max), "joinVertices\\(\\) needs an RDD of pairs"),
        (lambda: graph.mapReduceTriplets(lambda t: t.srcId, max).count(), "returned 1 for an edge: return a"),
        (lambda: graph.mapReduceTriplets(lambda t: [(9, 1)], max).collect(), "its own two vertices only"),
        (lambda: graph.mapTriplets(lambda t: t.srcAttr, TripletFields.Dst).numEdges, "srcAttr was not"),
        (lambda: graph.mapTriplets(lambda t: t.colour).edges.collect(), "a triplet has no 'colour'"),
        (lambda: graph.mapVertices(arrays(lambda ids, attrs: ids[:0])).vertices.collect(), "gave 0 values"),
        (lambda: arrays(3), "arrays\\(\\) marks a function, not 3"),
        (lambda: Graph(sc.parallelize([]), SingleContext().parallelize([])), "of the same SparkContext"),
    ]:  # fmt: skip
        with pytest.raises(Exception, match=words):
            call()


def test_an_error_names_the_operation_and_the_line(sc: SingleContext) -> None:
    graph = Graph.fromEdges(sc.parallelize([(1, 2)]), 0)
    with pytest.raises(
        Exception, match=r"ZeroDivisionError(.|\n)*in mapVertices at test_graphs.py"
    ) as caught:
        graph.mapVertices(lambda vertex, attr: 1 // attr).vertices.collect()
    assert "1 // attr" in str(caught.value)
    with pytest.raises(Exception, match=r"in aggregateMessages at test_graphs.py"):
        graph.aggregateMessages(lambda t: t.sendToDst(1 // t.srcAttr), max).collect()


def test_a_predicate_that_fails_leaves_the_graph_as_it_is(sc: SingleContext) -> None:
    graph = Graph(sc.parallelize([(1, 0), (2, 5)]), sc.parallelize([(1, 2)]))
    for call in (
        lambda: graph.subgraph(vpred=lambda vertex, attr: 1 // attr).edges.collect(),
        lambda: graph.mask(graph.subgraph(vpred=lambda vertex, attr: 1 // attr)).edges.collect(),
        lambda: graph.aggregateMessages(
            lambda t: t.sendToDst(1), max, None, (graph.vertices.filter(lambda pair: 1 // pair[1]), "Out")
        ).collect(),
    ):
        with pytest.raises(Exception, match="ZeroDivisionError"):
            call()
        assert graph.aggregateMessages(lambda t: t.sendToDst(t.srcAttr + t.dstAttr), max).collect() == [
            (2, 5)
        ]


def test_attributes_that_a_function_changes_are_its_own(sc: SingleContext) -> None:
    graph = Graph(
        sc.parallelize([(k, [k]) for k in range(4)]), sc.parallelize([(0, 1), (0, 2), (0, 3), (1, 2)])
    ).cache()

    def spoil(t: Any) -> None:
        t.srcAttr.append("spoilt")
        t.sendToDst(t.srcAttr)

    def join(a: list[Any], b: list[Any]) -> list[Any]:
        a.extend(b)
        return a

    found = dict(graph.aggregateMessages(spoil, join).collect())
    assert found[1] == found[3] == [0, "spoilt"]
    assert sorted(map(str, found[2])) == ["0", "1", "spoilt", "spoilt"]
    assert column(graph) == [[0], [1], [2], [3]]
    spoilt = graph.mapVertices(lambda vertex, attr: attr.append(9) or attr)
    assert [t.srcAttr for t in sorted(spoilt.triplets.collect(), key=lambda t: t.dstId)] == [
        [0, 9],
        [0, 9],
        [1, 9],
        [0, 9],
    ]
    assert column(graph) == [[0], [1], [2], [3]]


def test_vertex_rdds_join_by_index_and_by_search(sc: SingleContext) -> None:
    vertices = VertexRDD.of(sc.parallelize([(k, k * 10) for k in range(10)]), 3)
    some = vertices.filter(lambda pair: pair[0] % 2 == 0)
    other = VertexRDD.of(sc.parallelize([(k, "x") for k in (1, 2, 4, 77)]), 2)
    assert sorted(vertices.innerJoin(some, lambda v, a, b: a + b).collect()) == [
        (k, k * 20) for k in range(0, 10, 2)
    ]
    assert sorted(some.innerJoin(other, lambda v, a, b: b).collect()) == [(2, "x"), (4, "x")]
    assert dict(some.leftJoin(other, lambda v, a, b: b).collect()) == {
        0: None,
        2: "x",
        4: "x",
        6: None,
        8: None,
    }
    assert sorted(vertices.minus(other).keys().collect()) == [0, 3, 5, 6, 7, 8, 9]
    assert sorted(vertices.diff(vertices.mapValues(lambda a: max(a, 40))).collect()) == [
        (k, 40) for k in range(4)
    ]
    messages = sc.parallelize([(2, 1), (2, 5), (3, 1), (99, 1)])
    assert sorted(vertices.aggregateUsingIndex(messages, operator.add).collect()) == [(2, 6), (3, 1)]
    assert sorted(some.reindex().mapValues(str).collect())[:2] == [(0, "0"), (2, "20")]
    assert some.count() == 5
    with pytest.raises(Exception, match="with the same index"):
        vertices.diff(other).collect()


@pytest.mark.parametrize("merge", [operator.add, min, max, lambda a, b: a + b, lambda a, b: min(a, b)])
@pytest.mark.parametrize("number", [int, float])
def test_arrays_and_single_triplets_give_the_same(sc: SingleContext, merge: Any, number: Any) -> None:
    graph = loaded(sc, numbers(20, 70, 2), "EdgePartition2D").mapVertices(lambda vertex, _: number(vertex))

    def send(t: Any) -> None:
        t.sendToDst(t.srcAttr * 2)
        t.sendToSrc(t.dstAttr)

    slowly = lambda a, b: [merge(a, b), None][0]  # noqa: E731  (nobody recognises that)
    right = sorted(graph.aggregateMessages(send, slowly).collect())
    for sender in (send, arrays(send)):
        found = sorted(graph.aggregateMessages(sender, merge).collect())
        assert found == right
        assert {type(message) for _, message in found} == {number}


def test_sums_beyond_64_bits_and_of_bools(sc: SingleContext) -> None:
    graph = Graph.fromEdges(sc.parallelize([(1, 2), (3, 2), (4, 2)]), 1 << 62)
    assert graph.aggregateMessages(lambda t: t.sendToDst(t.srcAttr), operator.add).collect() == [(2, 3 << 62)]
    assert graph.aggregateMessages(lambda t: t.sendToDst(True), operator.add).collect() == [(2, 3)]


@pytest.mark.parametrize("direction", ["In", "Out", "Either", "Both"])
@pytest.mark.parametrize("index", [True, False])
def test_the_active_set_by_index_and_by_scan(sc: SingleContext, direction: str, index: bool) -> None:
    graph = loaded(sc, numbers(30, 60, 4), "RandomVertexCut")
    graph._settings.options = type(graph._settings.options)(index_scan=index)
    for some in ([], [3], list(range(0, 30, 3)), list(range(30))):
        active = graph.vertices.filter(lambda pair, some=some: pair[0] in some)
        found = graph.mapReduceTriplets(
            lambda t: [(t.dstId, ((t.srcId, t.dstId),))], operator.add, (active, direction)
        )
        ends = {
            "In": lambda s, t: t,
            "Out": lambda s, t: s,
            "Either": lambda s, t: s or t,
            "Both": lambda s, t: s and t,
        }
        right = sorted(e[:2] for e in graph.edges.collect() if ends[direction](e[0] in some, e[1] in some))
        assert sorted(pair for _, pairs in found.collect() for pair in pairs) == right


def test_hand_over(sc: SingleContext, tmp_path: Any) -> None:
    text = tmp_path / "edges.txt"
    text.write_text("# from to\n2 1\n1 3\n\n3 1\n")
    graph = GraphLoader.edgeListFile(sc, str(text))
    assert sorted(graph.edges.collect()) == [(1, 3, 1), (2, 1, 1), (3, 1, 1)]
    turned = GraphLoader.edgeListFile(sc, str(text), canonicalOrientation=True)
    assert sorted(turned.edges.collect()) == [(1, 2, 1), (1, 3, 1), (1, 3, 1)]
    vertices, edges = graph.mapVertices(lambda vertex, _: float(vertex)).toPandas()
    assert vertices.to_dict("list") == {"id": [1, 2, 3], "attr": [1.0, 2.0, 3.0]}
    back = GraphLoader.fromPandas(sc, vertices, edges)
    assert (column(back), sorted(back.edges.collect())) == ([1.0, 2.0, 3.0], sorted(graph.edges.collect()))
    frame = pd.DataFrame({"src": [1], "dst": [2], "weight": [0.5]})
    assert GraphLoader.fromPandas(sc, vertices, frame).edges.collect() == [Edge(1, 2, {"weight": 0.5})]
    with pytest.raises(ValueError, match="a frame lacks src; it has dst: vertices need a column id"):
        GraphLoader.fromPandas(sc, vertices, frame[["dst"]])
    theirs = nx.path_graph(["a", "b", "c"])
    named = GraphLoader.fromNetworkX(sc, theirs)
    assert column(named) == [{"name": "a"}, {"name": "b"}, {"name": "c"}]
    assert sorted(edge[:2] for edge in named.edges.collect()) == [(0, 1), (1, 0), (1, 2), (2, 1)]
    again = GraphLoader.fromNetworkX(sc, back.toNetworkX())
    assert (by_vertex(again), sorted(again.edges.collect())) == (
        by_vertex(back),
        sorted(back.edges.collect()),
    )
    text.write_text("1 x\n")
    with pytest.raises(Exception, match="'1 x' is no edge"):
        GraphLoader.edgeListFile(sc, str(text)).numEdges  # noqa: B018
    with pytest.raises(ValueError, match="got 2 sources and 1 targets"):
        GraphLoader.fromArrays(sc, [1, 2], [1])
    assert GraphLoader.fromArrays(sc, [1, 2], [2, 3], np.array([0.5, 1.5])).edges.collect()[0].attr == 0.5


@some
@given(st.integers(0, 1000), st.integers(1, 40), st.sampled_from(sorted(STRATEGIES)))
def test_replicas_are_within_the_bound(seed: int, parts: int, name: str) -> None:
    draw = np.random.default_rng(seed)
    sources, targets = draw.integers(-(1 << 62), 1 << 62, (2, 300))
    sources[:150] = sources[0]
    targets[150:] = sources[0]
    where = STRATEGIES[name].parts(sources, targets, parts)
    assert ((where >= 0) & (where < parts)).all()
    assert len(set(where.tolist())) <= STRATEGIES[name].bound(parts)
    if name == "CanonicalRandomVertexCut":
        assert (where == STRATEGIES[name].parts(targets, sources, parts)).all()
    assert STRATEGIES[name].getPartition(int(sources[0]), int(targets[0]), parts) == where[0]


def test_triplets_read_and_compare(sc: SingleContext) -> None:
    (triplet,) = Graph(sc.parallelize([(1, "a"), (2, "b")]), sc.parallelize([(1, 2, "e")])).triplets.collect()
    assert isinstance(triplet, EdgeTriplet)
    assert triplet.toTuple() == ((1, "a"), (2, "b"), "e")
    assert (triplet.otherVertexId(1), triplet.otherVertexAttr(1), triplet.vertexAttr(2)) == (2, "b", "b")
    assert Edge(1, 2).otherVertexId(2) == 1
    assert Edge(1, 2).relativeDirection(2) == EdgeDirection.In


def test_indexes_of_the_edges_are_made_once_and_do_not_travel() -> None:
    draw = np.random.default_rng(1)
    part = edge_partition(*draw.integers(0, 50, (2, 200)), np.zeros(200))
    found = part.ends.by_target
    updated = part.receive(
        [(0, None, np.arange(float(len(part.ids))), [np.zeros(0, np.int32)])], 1, (True, True)
    )
    again = updated.with_attrs(np.ones(200))
    assert again.ends.by_target is found
    assert list(updated.scan("Either", index=True).chosen) == []
    assert "by_target" not in vars(pickle.loads(pickle.dumps(again)).ends)
    assert part.unchanging
