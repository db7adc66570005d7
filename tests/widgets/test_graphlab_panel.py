"""`GraphLabPanel` on the simulator: what it shows while updates overlap, wait, and are snapshotted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from labkit import Cluster
from labkit.parts.graphs import generate
from labkit.parts.store import FileSystem
from labkit.systems.graphlab import Colouring, GraphLab, PageRank, Run
from labkit_widgets import GraphLabPanel


@pytest.fixture
def lab() -> Iterator[GraphLab]:
    with Cluster(4, "sim", seed=1, name="graphlab") as cluster:
        yield GraphLab(cluster, FileSystem(cluster, replicas=3))


def number(panel: GraphLabPanel, label: str) -> dict[str, Any]:
    return next(n for n in panel.numbers.numbers if n["label"] == label)


def drawn(panel: GraphLabPanel, look: str) -> list[str]:
    return [link["id"] for link in panel.stage.scene["links"] if look in link["cls"]]


def marks(panel: GraphLabPanel, state: str) -> list[str]:
    return [mark["id"] for mark in panel.stage.scene["marks"] if mark["state"] == state]


def finish(panel: GraphLabPanel) -> None:
    for thread in list(panel._work.values()):
        thread.join(60)


def test_it_goes_wrong_and_is_mended_by_the_slider(lab: GraphLab) -> None:
    run: Run = lab.start(
        Colouring(), generate.grid(4, 5), consistency="vertex", enforce=False, seconds_per_update=0.01,
        engine="chromatic",
    )  # fmt: skip
    lab.cluster.run_until(lambda: run.view().updates > 60, what="it turns round")
    panel = run.panel(live=False)
    assert panel.error == ""
    assert number(panel, "Serializable")["value"] == "NO"
    assert len(drawn(panel, "finger stale")) == int(number(panel, "Edges of one colour")["value"]) > 0
    assert drawn(panel, "arrow explains")
    panel.act("consistency", bound="edge")
    finish(panel)
    run.result()
    panel.refresh()
    assert panel.error == ""
    assert panel.control.head["place"] == 1
    assert number(panel, "Edges of one colour")["value"] == "0"
    assert number(panel, "Serializable")["value"] == "yes"  # since then
    assert number(panel, "Run")["value"] == "over"
    assert drawn(panel, "finger stale") == []
    panel.stage.selected = "3"
    panel.refresh()
    assert "vertex: read" in " ".join(item["text"] for item in panel.steps.steps["items"])


def test_locks_a_snapshot_and_another_scheduler(lab: GraphLab) -> None:
    run = lab.start(PageRank(), generate.barabasi_albert(40, 2, seed=1), seconds_per_update=0.02, batch=1)
    lab.cluster.run_until(lambda: run.view().updates > 20, what="it works")
    panel = run.panel(live=False)
    assert marks(panel, "running")
    assert marks(panel, "passed")
    view = run.view()
    assert len(drawn(panel, "wait")) == len(view.awaited) > 0
    assert number(panel, "Locks held")["value"] == str(len(view.held))
    assert number(panel, "Serializable")["value"] == "yes"
    panel.snapshot.click()
    finish(panel)
    panel.act("scheduler", "priority")
    finish(panel)
    lab.cluster.run(0.2)
    panel.refresh()
    assert panel.error == ""
    assert number(panel, "Snapshot")["value"] == "1.1"
    assert panel.scheduler.value == "priority"
    lab.cluster.kill("m4")
    lab.cluster.run(0.2)
    panel.refresh()
    assert marks(panel, "lost")


def test_a_large_graph_is_a_grid(lab: GraphLab) -> None:
    run = lab.run(Colouring(), generate.chain(900))
    panel = run.panel(live=False)
    assert panel.error == ""
    assert 0 < len(panel.stage.scene["marks"]) <= 200
    assert "228 vertices" in " ".join(label["text"] for label in panel.stage.scene["labels"])
    assert (
        "<svg" in panel._repr_mimebundle_()["text/html"]
        or "data:image" in panel._repr_mimebundle_()["text/html"]
    )
