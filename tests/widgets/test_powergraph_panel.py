"""`PowerGraphPanel` of a graph on the simulator: what it shows while the program runs and is changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from labkit import Cluster
from labkit.parts.graphs import Graph
from labkit.parts.graphs.generate import barabasi_albert
from labkit.systems.powergraph import Colouring, PageRank, PowerGraph
from labkit_widgets import PowerGraphPanel


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(3, "sim", seed=1, name="powergraph") as cluster:
        yield cluster


def begin(cluster: Cluster, program: Any, n: int = 40, **options: Any) -> PowerGraph:
    return PowerGraph(cluster, barabasi_albert(n, 2, seed=1), program, seconds_per_call=2e-3, **options)


def number(panel: PowerGraphPanel, label: str) -> dict[str, Any]:
    return next(n for n in panel.numbers.numbers if n["label"] == label)


def marks(panel: PowerGraphPanel, state: str) -> list[str]:
    return [mark["id"] for mark in panel.stage.scene["marks"] if mark["state"] == state]


def links(panel: PowerGraphPanel, cls: str) -> list[str]:
    return [link["id"] for link in panel.stage.scene["links"] if link["cls"] == cls]


def work_done(panel: PowerGraphPanel) -> None:
    for thread in list(panel._work.values()):
        thread.join(60)


def test_colouring_with_forks_conflicts_and_a_changed_engine(cluster: Cluster) -> None:
    pg = begin(cluster, Colouring(), engine="synchronous", cut="random")
    panel = pg.panel(live=False)
    assert number(panel, "Program")["value"] == "not begun"
    assert "Theorem 5.2" in number(panel, "Replicas of a vertex")["theory"]
    pg.start()
    cluster.run(1.0)
    panel.refresh()
    assert panel.error == ""
    wrong = len(links(panel, "cutoff"))
    assert wrong > 0
    assert number(panel, "Conflicts") == number(panel, "Conflicts") | {"value": f"{wrong}", "tone": "bad"}
    panel.act("engine", "serializable")
    work_done(panel)
    cluster.run_until(lambda: bool(pg.view().waits), what="somebody waits for a fork")
    panel.refresh()
    assert links(panel, "wait")
    assert marks(panel, "disk")
    panel.stage.selected = marks(panel, "disk")[0]
    panel.refresh()
    assert any("waits for the fork" in item["text"] for item in panel.steps.steps["items"])
    pg.result()
    panel.refresh()
    assert number(panel, "Conflicts")["value"] == "0"
    assert number(panel, "Program")["value"] == "done"
    assert len(marks(panel, "passed")) == 40


def test_the_cut_and_caching_are_changed_and_a_snapshot_taken(cluster: Cluster) -> None:
    pg = begin(cluster, PageRank(iterations=20), cut="random")
    panel = pg.panel(live=False)
    pg.start()
    panel.act("caching", False)
    work_done(panel)
    panel.act("snapshot")
    work_done(panel)
    panel.act("cut", "2d")
    work_done(panel)
    cluster.kill("m3")
    pg.result()
    panel.refresh()
    assert panel.error == ""
    view = pg.view()
    assert view.delta_caching is False
    assert (view.cut, set(view.factors)) == ("2d", {"random", "2d"})
    assert number(panel, "Snapshots")["value"] == f"{len(view.snapshots)}" != "0"
    assert pg.check().ok
    assert "m3" in panel.snapshot()


def test_many_vertices_are_counted(cluster: Cluster) -> None:
    pg = begin(cluster, PageRank(iterations=3), 300)
    panel = pg.panel(live=False)
    assert panel.stage.scene["marks"] == []
    assert len(panel.stage.scene["boxes"]) == 6
    words = " ".join(label["text"] for label in panel.stage.scene["labels"])
    assert "masters" in words
    assert "too many vertices" in panel.snapshot() or panel.error == ""
    with pytest.raises(Exception, match="in a cell"):
        PowerGraphPanel.setup(PowerGraph)


def test_names_of_vertices() -> None:
    with Cluster(2, "sim") as cluster:
        graph = Graph.of([("a", "b"), ("b", "c")], directed=False)
        pg = PowerGraph(cluster, graph, Colouring(), engine="serializable").run()
        panel = pg.panel(live=False)
        assert sorted(marks(panel, "passed")) == ["a", "b", "c"]
