"""`GraphXPanel` on the simulator: partitions on machines, what iterations ship, a loss, and the switches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from labkit import Cluster, Kill
from labkit.parts.graphs.generate import rmat
from labkit.runtime import when
from labkit.systems.graphx import GraphLoader, GraphX
from labkit.systems.graphx.view import GraphReducer
from labkit.systems.spark import SparkContext
from labkit.trace.fold import fold
from labkit_widgets import GraphXPanel, LineagePanel
from tests.widgets.acting import acted


@pytest.fixture
def gx() -> Iterator[GraphX]:
    with Cluster(4, "sim", seed=1, name="graphx") as cluster:
        yield GraphX(SparkContext(cluster, executors=["m2", "m3", "m4"], seconds_per_task=0.1))


def graph(gx: GraphX) -> Any:
    made = GraphLoader.fromGraph(gx.sc, rmat(8, 1500, seed=1), 6).partitionBy("EdgePartition2D").cache()
    made.measure()
    return made


def number(panel: GraphXPanel, label: str) -> dict[str, Any]:
    return next(n for n in panel.numbers.numbers if n["label"] == label)


def squares(panel: GraphXPanel, kind: str, state: str) -> list[str]:
    marks = panel.stage.scene["marks"]
    return [m["id"] for m in marks if m["id"].startswith(f"{kind}:") and m["state"] == state]


def test_before_and_after_a_loop(gx: GraphX) -> None:
    panel = gx.panel(live=False)
    assert isinstance(panel, GraphXPanel)
    assert (panel.error, number(panel, "Loop")["value"]) == ("", "none")
    graph(gx).connectedComponents()
    panel.refresh()
    assert panel.error == ""
    table = gx.iterations()
    assert number(panel, "Loop")["note"] == f"{len(table)} iterations: no messages"
    assert number(panel, "Replicas")["theory"] == "at most 6: EdgePartition2D"
    assert len(squares(panel, "vertices", "memory")) == len(squares(panel, "edges", "memory")) == 6
    assert [str(n) for n in table.index] == list(panel.shipped.bars.x)
    assert list(panel.shipped.bars.y[0] + panel.shipped.bars.y[1]) == list(table["bytes"])
    assert list(panel.active.bars.y[0]) == list(table["active"])
    assert len(squares(panel, "scan", "memory")) > 0, "the last iterations found edges by the index"
    panel.stage.selected = "edges:2"
    panel.refresh()
    assert panel.steps.steps["title"] == "Edge partition 2"
    assert len(panel.steps.steps["items"]) == len(table)
    assert "edges scanned" in panel.steps.steps["items"][0]["text"]
    beside = gx.sc.panel(live=False)
    assert isinstance(beside, LineagePanel)
    assert beside.error == ""


def test_a_machine_dies_in_a_loop(gx: GraphX) -> None:
    made = graph(gx)
    panel = gx.panel(live=False)
    gx.cluster.play([(when(kind="iteration_started", iteration=3), Kill("m3"))])
    made.staticPageRank(5)
    panel.refresh()
    assert panel.error == ""
    assert number(panel, "Shipped again")["value"].endswith("B")
    assert not {m["id"] for m in panel.stage.scene["marks"] if m["state"] == "lost"}
    killed = next(e.time for e in gx.cluster.trace if e.kind == "executor_lost")
    panel.act("seek", position=killed + 0.001)
    panel.refresh()
    assert panel.error == ""
    assert squares(panel, "edges", "lost"), "what m3 had of the edges"
    for position in (0.0, killed, gx.cluster.now):
        assert panel.frame(position).state == fold(GraphReducer(""), gx.cluster.trace, position)


def test_the_switches_change_what_is_planned_from_now_on(gx: GraphX) -> None:
    panel = gx.panel(live=False)
    for option in ("incremental_view", "join_elimination", "index_scan"):
        panel.act(option, False)
        acted(panel)
        assert panel.error == ""
        assert getattr(gx.options, option) is False
    graph(gx).connectedComponents()
    table = gx.iterations()
    assert table["attributes shipped"].nunique() == 1
    assert set(table["by index"]) == {0}
    panel.refresh()
    assert panel.incremental_view.value is False
    assert "join_elimination=False" in gx.code()


def test_many_partitions_are_counted(gx: GraphX) -> None:
    GraphLoader.fromGraph(gx.sc, rmat(7, 600, seed=1), 50).staticPageRank(2)
    panel = gx.panel(live=False)
    assert panel.error == ""
    assert squares(panel, "edges", "memory") == []
    assert any(box["id"].startswith("n:row:edges") for box in panel.stage.scene["boxes"])
