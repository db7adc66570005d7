"""`PregelPanel` of a job on the simulator: partitions, the barrier, a recovery, and its two controls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from labkit import Cluster
from labkit.parts.store import FileSystem
from labkit.runtime.errors import LabError
from labkit.systems.pregel import Job, Pregel
from labkit.systems.pregel.programs import PageRank
from labkit.systems.pregel.view import PregelReducer
from labkit.trace.fold import fold
from labkit_widgets import PregelPanel

GRAPH = {v: [(v * 7 + k) % 60 for k in range(4)] for v in range(60)}


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(4, "sim", seed=1, name="pregel") as cluster:
        yield cluster


def begin(cluster: Cluster, **options: Any) -> Job:
    """PageRank; a vertex takes a twentieth of a second."""
    fs = FileSystem(cluster, replicas=2)
    given = {"partitions": 8, "seconds_per_vertex": 0.05, "checkpoint_every": 4, **options}
    return Pregel(cluster, fs).start(PageRank.having(iterations=10), GRAPH, "out", **given)


def until(job: Job, superstep: int) -> None:
    job.cluster.run_until(lambda: job.view().current >= superstep)


def number(panel: PregelPanel, label: str) -> dict[str, Any]:
    return next(n for n in panel.numbers.numbers if n["label"] == label)


def squares(panel: PregelPanel, kind: str, state: str, *words: str) -> list[str]:
    found = [m for m in panel.stage.scene["marks"] if m["id"].startswith(f"{kind}:") and m["state"] == state]
    return [mark["id"] for mark in found if set(words) <= set(mark["cls"].split())]


def texts(panel: PregelPanel) -> str:
    return " ".join(label["text"] for label in panel.stage.scene["labels"])


def test_a_kill_in_superstep_7_and_what_confined_recovery_does(cluster: Cluster) -> None:
    job = begin(cluster, recovery="confined")
    panel = job.panel(live=False)
    assert isinstance(panel, PregelPanel)
    until(job, 7)
    panel.refresh()
    assert panel.error == ""
    assert len(squares(panel, "partition", "running")) == 8
    assert len(squares(panel, "done", "passed")) == 40, "five supersteps of eight partitions"
    assert number(panel, "Checkpoint")["value"] == "superstep 4"
    assert number(panel, "Messages")["note"] == "of 240 before the combiner"
    assert "m1, m2, m3" in number(panel, "Waits for")["value"]
    cluster.kill("m3")
    panel.refresh()
    assert len(squares(panel, "partition", "lost")) == 2
    cluster.run_until(lambda: job.view().recovering is not None)
    panel.refresh()
    assert "Recovery, confined, from 4" in texts(panel)
    job.result()
    panel.refresh()
    assert panel.error == ""
    assert number(panel, "Job") | {"theory": "", "note": ""} == {
        "label": "Job", "value": "done", "note": "", "tone": "good", "theory": "",
    }  # fmt: skip
    assert number(panel, "Computed again")["note"] == "2 partitions lost"
    again = squares(panel, "done", "memory", "again")
    lost = set(job.view().recoveries[0].lost)
    assert {int(name.split(":")[2]) for name in again} <= lost


def test_a_partition_tells_its_story(cluster: Cluster) -> None:
    job = begin(cluster, recovery="confined")
    until(job, 6)
    cluster.kill("m3")
    job.result()
    lost = job.view().recoveries[0].lost[0]
    panel = job.panel(live=False)
    panel.stage.selected = f"partition:{lost}"
    panel.refresh()
    told = panel.steps.steps
    assert told["title"].startswith(f"Partition {lost}, on m")
    words = [item["text"] for item in told["items"]]
    assert any("lost in superstep 6" in text for text in words)
    assert any("superstep 4" in text and "(again)" in text for text in words)


def test_its_controls(cluster: Cluster) -> None:
    job = begin(cluster, checkpoint_every=None)
    panel = job.panel(live=False)
    until(job, 2)
    panel.act("checkpoint")
    panel._work["checkpoint"].join()
    panel.act("recovery", "confined")
    panel._work["recovery"].join()
    until(job, 4)
    panel.refresh()
    assert panel.error == ""
    assert job.recovery == panel.recovery.value == "confined"
    assert number(panel, "Checkpoint")["value"] == "superstep 3"
    job.result()
    panel.refresh()
    assert panel.checkpoint.disabled
    assert panel.recovery.disabled


def test_the_past_equals_the_fold_from_scratch(cluster: Cluster) -> None:
    job = begin(cluster)
    panel = job.panel(live=False)
    until(job, 5)
    cluster.kill("m3")
    job.result()
    for position in (None, 0.1, 3.0, cluster.now / 2, cluster.now, None):
        assert panel.frame(position).job == fold(PregelReducer(job.name), cluster.trace, position)
    panel.act("seek", position=0.3)
    panel.refresh()
    assert panel.error == ""
    with pytest.raises(LabError, match=r"job\.panel\(\) shows it"):
        PregelPanel.setup(job)
