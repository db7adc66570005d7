"""Each mechanism switched on and off: the same results, other bytes and records (OSDI 2014, §4)."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from labkit.parts.graphs import oracles
from labkit.parts.graphs.generate import chain, rmat
from labkit.systems.graphx import GraphX, TripletFields, arrays
from labkit.systems.graphx.bytecode import fields_read

from .graphs import column, loaded

CSR = rmat(9, 3000, seed=2)
HUB = int(CSR.out_degrees.argmax())


def components(gx: GraphX) -> Any:
    graph = loaded(gx.sc, CSR, "EdgePartition2D").connectedComponents()
    assert column(graph) == oracles.wcc(CSR).tolist()
    return gx.iterations()


def test_bytes_fall_with_components_and_do_not_without_view_maintenance(sim: Any) -> None:
    on, off = components(sim()), components(sim(incremental_view=False))
    assert list(on["active"]) == list(off["active"])
    assert on["vertex bytes"].iloc[0] == off["vertex bytes"].iloc[0]
    assert on["vertex bytes"].iloc[-1] < 0.3 * on["vertex bytes"].iloc[0]
    assert on["attributes shipped"].iloc[-1] < 0.05 * on["attributes shipped"].iloc[0]
    assert off["attributes shipped"].nunique() == 1
    assert (on["attributes shipped"].iloc[1:] < off["attributes shipped"].iloc[1:]).all()


def test_few_active_vertices_are_found_by_the_index(sim: Any) -> None:
    on, off = components(sim()), components(sim(index_scan=False))
    assert list(on["active"]) == list(off["active"])
    assert set(off["edges looked at"]) == {CSR.m}
    assert set(off["by index"]) == {0}
    assert on["by index"].iloc[0] == 0
    assert on["by index"].iloc[-1] == 4
    assert on["edges looked at"].iloc[-1] < CSR.m / 2
    assert set(components(sim(scan_below=0.0))["by index"]) == {0}


def ranks(gx: GraphX, sides: Any = None) -> Any:
    graph = loaded(gx.sc, CSR, "EdgePartition2D").cache()
    assert column(graph.staticPageRank(4, variant=VARIANT)) == pytest.approx(
        oracles.pagerank(CSR, 4, VARIANT).tolist()
    )
    return gx.iterations("pageRank-1")


VARIANT = oracles.GRAPHALYTICS


def test_join_elimination_ships_to_one_side(sim: Any) -> None:
    on, off = ranks(sim()), ranks(sim(join_elimination=False))
    assert (on["attributes shipped"] < 0.75 * off["attributes shipped"]).all()
    assert (on["vertex bytes"] < 0.75 * off["vertex bytes"]).all()
    assert list(on["messages"]) == list(off["messages"])


def test_messages_name_places_while_the_index_is_used_again(sim: Any) -> None:
    on, off = ranks(sim()), ranks(sim(index_reuse=False))
    assert (on["message bytes"] < 0.75 * off["message bytes"]).all()
    assert list(on["messages"]) == list(off["messages"])


def test_a_view_is_shipped_once(sim: Any) -> None:
    gx = sim()
    graph = loaded(gx.sc, CSR).cache()

    def shuffles() -> list[tuple[Any, ...]]:
        return [(e.data["what"], tuple(e.data["sides"])) for e in gx.cluster.trace if e.kind == "shipment"]

    graph.aggregateMessages(lambda t: t.sendToDst(t.attr), max).count()
    assert shuffles() == [("messages", (False, False))]
    for _ in range(2):
        graph.aggregateMessages(lambda t: t.sendToDst(t.srcAttr), max).count()
        graph.triplets.count()
    assert [sides for what, sides in shuffles() if what == "vertices"] == [(True, False), (True, True)]
    graph.mapVertices(lambda vertex, attr: attr + (vertex == HUB)).triplets.count()
    shipped = [e for e in gx.cluster.trace if e.kind == "shipment"][-1]
    assert shipped.data["incremental"]
    sizes = [
        e.data["bytes"]
        for e in gx.cluster.trace
        if e.kind == "outputs_stored" and e.data["shuffle"] == shipped.data["shuffle"]
    ]
    assert 0 < sum(sizes) < 2000, "of one vertex"


def test_a_loop_that_fails_is_over(sim: Any) -> None:
    gx = sim()
    graph = loaded(gx.sc, chain(6)).mapVertices(lambda vertex, _: 0)
    with pytest.raises(Exception, match="ZeroDivisionError"):
        graph.pregel(0, lambda v, a, m: a + m, lambda t: [(t.dstId, 1 // (2 - t.srcAttr) + 1)], max, 9)
    graph.triplets.count()  # is not of the loop
    view = gx.view()
    (run,) = view.runs.values()
    assert (run.why, run.end is not None, view.running, len(run.planned)) == ("an error", True, "", 3)


def test_options_are_checked(sim: Any) -> None:
    gx = sim()
    with pytest.raises(TypeError, match="GraphX has no option 'speed'; its options are incremental_view"):
        GraphX(gx.sc, speed=1)
    with pytest.raises(ValueError, match="scan_below=2: a part of the vertices"):
        GraphX(gx.sc, scan_below=2)
    with pytest.raises(
        TypeError, match=r"GraphX needs a SparkContext, GraphX\(SparkContext\(cluster\)\), not 3"
    ):
        GraphX(3)
    with pytest.raises(ValueError, match="no run is called 'x'; there are none"):
        gx.iterations("x")


# -- join elimination: what the byte code says ------------------------------------------------------------


def reads_source(t: Any) -> Any:
    return [(t.dstId, t.srcAttr)]


def generates(t: Any) -> Any:
    if t.dstAttr > 1:
        yield t.srcId, t.attr


def passes_on(t: Any) -> Any:
    return reads_source(t)


def keeps(t: Any) -> Any:
    other = t
    return other.dstAttr


def closes(t: Any) -> Any:
    return [t.attr for _ in range(3) if t.attr]


def peeks(t: Any) -> Any:
    return locals()["t"].dstAttr


def changes(t: Any) -> Any:
    t = t.srcAttr
    return t + 1


class Called:
    def __call__(self, t: Any) -> Any:
        return t.dstAttr

    def method(self, t: Any) -> Any:
        return t.srcAttr


ALL = (True, True)
NAME = "dstAttr"


@pytest.mark.parametrize(
    ("function", "sides"),
    [
        (reads_source, (True, False)), (generates, (False, True)), (lambda t: t.sendToDst(1), (False, False)),
        (lambda t: t.sendToSrc(t.srcAttr + t.dstAttr), ALL), (lambda t: t.otherVertexAttr(3), ALL),
        (passes_on, ALL), (keeps, ALL), (peeks, ALL), (changes, ALL), (Called(), (False, True)),
        (Called().method, (True, False)), (functools.partial(reads_source), ALL), (len, ALL),
        (arrays(lambda t: t.sendToDst(t.srcAttr)), (True, False)), (lambda *ts: ts[0].srcAttr, ALL),
        (lambda t: getattr(t, NAME), ALL), (lambda t: (lambda: t.srcId)(), ALL),
    ],
)  # fmt: skip
def test_what_a_function_reads(function: Any, sides: tuple[bool, bool]) -> None:
    assert fields_read(function).sides == sides


def test_a_closure_is_never_taken_for_less() -> None:
    assert fields_read(closes).sides in (ALL, (False, False))
    assert fields_read(reads_source, generates) == TripletFields(True, True, True)
