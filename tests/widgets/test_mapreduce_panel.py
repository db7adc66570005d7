"""`MapReducePanel` of a job on the simulator: what it shows while machines die and straggle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from labkit import Cluster
from labkit.parts.store import FileSystem
from labkit.systems.mapreduce import Job, MapReduce
from labkit.systems.mapreduce.view import JobReducer
from labkit.trace.fold import fold
from labkit_widgets import MapReducePanel

TEXT = {f"f{n}": "the quick brown fox\nlazy dog\n\nthe end\n" * (20 + n) for n in range(4)}


class WordCount(MapReduce):
    def map(self, key: Any, value: str) -> None:
        for word in value.split():
            self.emit_intermediate(word, 1)

    def reduce(self, key: str, values: Any) -> None:
        self.emit(sum(values))

    combine = reduce


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(4, "sim", seed=1, name="mapreduce") as cluster:
        yield cluster


def begin(cluster: Cluster, **options: Any) -> Job:
    """A job whose map tasks take a second each."""
    fs = FileSystem(cluster, replicas=3, block_size=1000)
    fs.put("corpus", TEXT)
    chosen = {"M": 24, "R": 6, "seconds_per_task": 1.0, **options}
    return WordCount(cluster, fs).start("corpus/*", "out/", **chosen)


def number(panel: MapReducePanel, label: str) -> dict[str, Any]:
    return next(n for n in panel.numbers.numbers if n["label"] == label)


def cells(panel: MapReducePanel, state: str) -> list[str]:
    return [mark["id"] for mark in panel.stage.scene["marks"] if mark["state"] == state]


def bars(panel: MapReducePanel, look: str) -> list[str]:
    return [box["id"] for box in panel.stage.scene["boxes"] if look in box["cls"].split()]


def test_outputs_die_are_run_again_and_completed_reduces_stay(cluster: Cluster) -> None:
    job = begin(cluster)
    panel = job.panel(live=False)
    cluster.run(4.2)
    panel.refresh()
    assert panel.error == ""
    assert len(cells(panel, "running")) == 8, "a map and a reduce task on each machine"
    assert len(cells(panel, "disk")) == int(number(panel, "Maps done")["value"].split()[0]) > 0
    panel.act("kill", machine="m3")
    for thread in list(panel._work.values()):
        thread.join(10)
    panel.refresh()
    assert cells(panel, "lost"), "before the master has noticed"
    assert number(panel, "Maps run again")["theory"] == "0 outputs lost"
    cluster.run(3.0)
    panel.refresh()
    lost = len(panel.frame(None).job.lost)
    assert lost == len(bars(panel, "gone")) > 0
    assert panel.input.y.min < 0, "the input of a lost output is taken back"
    job.result()
    panel.refresh()
    again = number(panel, "Maps run again")
    assert (again["value"], again["theory"], again["tone"]) == (str(lost), f"{lost} outputs lost", "good")
    assert number(panel, "Maps done")["value"] == "24 of 24"
    assert len(cells(panel, "delivered")) == 6
    assert "m3 dies" in " ".join(label["text"] for label in panel.stage.scene["labels"])
    chosen = next(name for name in cells(panel, "ghost")).partition("@")[0]
    panel.stage.selected = chosen
    panel.refresh()
    story = panel.steps.steps
    assert story["title"] == f"Map {chosen.removeprefix('map:')}: completed"
    assert any("its output died with the disk of m3" in item["text"] for item in story["items"])
    assert any("again: its output was lost" in item["text"] for item in story["items"])


def test_backups_and_what_they_beat(cluster: Cluster) -> None:
    cluster.slow("m4", 20)
    job = begin(cluster)
    job.result()
    panel = job.panel(live=False)
    backups = number(panel, "Backups")
    won, _, count, _ = backups["value"].split()
    assert int(won) > 0
    assert len(bars(panel, "speculative")) >= int(count) > 0
    assert len(bars(panel, "unneeded")) >= int(won), "the other execution came to nothing"


def test_the_combiner_s_saving_and_the_bytes_of_the_shuffle(cluster: Cluster) -> None:
    job = begin(cluster, M=4, R=2)
    job.result()
    panel = job.panel(live=False)
    words = sum(len(text.split()) for text in TEXT.values())
    saves = number(panel, "Combiner saves")
    assert saves["note"] == f"of {words} pairs"
    assert int(saves["value"].rstrip("%")) > 80
    shuffled = number(panel, "Shuffled")
    assert shuffled["theory"] == f"maps left {shuffled['value']}", "without failures each byte moves once"
    assert panel.shuffle.curve.y.sum() > 0


def test_too_many_tasks_are_counted(cluster: Cluster) -> None:
    job = begin(cluster, M=200, R=4, seconds_per_task=0.01)
    cluster.run(0.3)
    panel = job.panel(live=False)
    assert panel.stage.caption.startswith("too many tasks")
    assert not cells(panel, "disk")
    counts = bars(panel, "count")
    assert any(name.startswith("n:map:m2:disk") for name in counts)
    panel.stage.selected = "map"
    panel.refresh()
    assert panel.steps.steps["title"].startswith("Executions of map tasks")


def test_the_past_equals_the_fold_from_scratch(cluster: Cluster) -> None:
    job = begin(cluster)
    panel = job.panel(live=False)
    assert "not begun" not in panel.stage.scene["title"]
    cluster.run(4.2)
    cluster.kill("m3")
    job.result()
    for position in (None, 0.01, 2.0, 4.3, 7.0, None):
        assert panel.frame(position).job == fold(JobReducer(job.name), cluster.trace, position)
    panel.act("seek", position=2.0)
    panel.refresh()
    assert number(panel, "Reduces done")["value"] == "0 of 6"
    assert "MapReduce" in panel._repr_mimebundle_()["text/html"]


def test_the_run_as_code(cluster: Cluster) -> None:
    job = begin(cluster)
    cluster.run(2.0)
    cluster.kill("m3")
    panel = job.panel(live=False)
    code = panel.code()
    assert "Kill(machine='m3')" in code
    start = "WordCount(again, fs_again).start('corpus/*', 'out', M=24, R=6, seconds_per_task=1.0)"
    assert f"# job_again = {start}\n" in code
    names: dict[str, Any] = {"WordCount": WordCount, "TEXT": TEXT}
    exec(code.replace("# fs_again.put(…)", "fs_again.put('corpus', TEXT)").replace("# job_", "job_"), names)
    with names["again"] as again:
        assert not again.machine("m3").alive
        assert names["job_again"].spec.options == job.spec.options
        assert names["job_again"].result().counters == job.result().counters
