"""`DryadPanel` of a job on the simulator: what it shows while machines die and the graph is refined."""

from __future__ import annotations

from collections.abc import Iterator
from operator import add
from typing import Any

import pytest

from labkit import Cluster
from labkit.parts.store import FileSystem
from labkit.systems.dryad import AggregationTree, Dryad, Job
from labkit.systems.dryad.queries import histogram, queries
from labkit.systems.dryad.vertices import map, merge, reduce
from labkit_widgets import DryadPanel


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(6, "sim", seed=1, name="dryad") as cluster:
        yield cluster


def begin(cluster: Cluster, parts: int = 24, **options: Any) -> Job:
    dryad = Dryad(cluster, FileSystem(cluster, replicas=3), racks=3)
    tree = AggregationTree(reduce(add, "T"))
    graph = histogram(queries(dryad, parts, 40))
    return dryad.submit(graph, managers={"Q": tree}, seconds_per_vertex=1.0, **options)


def number(panel: DryadPanel, label: str) -> dict[str, Any]:
    return next(n for n in panel.numbers.numbers if n["label"] == label)


def cells(panel: DryadPanel, state: str) -> list[str]:
    return [mark["id"] for mark in panel.stage.scene["marks"] if mark["state"] == state]


def bars(panel: DryadPanel, look: str) -> list[str]:
    return [box["id"] for box in panel.stage.scene["boxes"] if look in box["cls"].split()]


def test_a_death_upstream_again_and_a_refined_graph(cluster: Cluster) -> None:
    job = begin(cluster)
    panel = job.panel(live=False)
    cluster.run(3.2)
    panel.refresh()
    assert panel.error == ""
    assert len(cells(panel, "running")) == 6
    before = number(panel, "Vertices")
    assert before["value"].endswith(" of 25")
    panel.act("kill", machine="m4")
    for thread in list(panel._work.values()):
        thread.join(60)
    job.result()
    panel.refresh()
    view = job.view()
    assert number(panel, "Job")["value"] == "done"
    assert number(panel, "Vertices")["note"] == f"{len(view.inserted)} by refinement"
    again = sum(record.why in ("rerun", "upstream") for record in view.records.values())
    assert number(panel, "Executed again")["value"] == str(again)
    assert len(bars(panel, "gone")) == len(view.lost) > 0
    assert "T@machine" in " ".join(label["text"] for label in panel.stage.scene["labels"])
    lost = next(vertex for vertex, _ in view.lost)
    panel.stage.selected = f"v:{lost}"
    panel.refresh()
    story = " ".join(item["text"] for item in panel.steps.steps["items"])
    assert "its output could not be read" in story
    assert "this version counts" in story
    panel.stage.selected = f"v:{next(iter(view.inserted))}"
    panel.refresh()
    assert "a stage manager put it into the graph" in " ".join(i["text"] for i in panel.steps.steps["items"])


def test_the_deadlock_is_told(cluster: Cluster) -> None:
    dryad = Dryad(cluster, FileSystem(cluster, replicas=1))
    graph = (dryad.put("n", [[1]] * 4) >= map(str, "a") ** 4) >> merge("b") ** 4
    job = dryad.submit(graph, channels={("a", "b"): "pipe"}, stuck_after=60.0)
    cluster.run(2.0)
    panel = job.panel(live=False)
    assert number(panel, "Job")["value"] == "stuck"
    assert "8 processes at once, and 6 computers run 6" in panel.frame(None).job.stuck


def test_many_vertices_are_counted(cluster: Cluster) -> None:
    dryad = Dryad(cluster, FileSystem(cluster, replicas=1))
    job = dryad.submit(map(str, "a") ** 200 >= merge("b") ** 20, slots=4).result()
    panel = job.panel(live=False)
    assert not cells(panel, "delivered")
    assert "too many vertices" in panel.caption(panel.frame(None), 0)
