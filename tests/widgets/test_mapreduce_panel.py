"""`MapReducePanel` of a job on the simulator: what it shows while machines die and straggle."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from labkit import Cluster
from labkit.parts.store import FileSystem
from labkit.systems.mapreduce import Job, MapReduce
from labkit.systems.mapreduce.view import JobReducer
from labkit.trace.fold import fold
from labkit.trace.words import size
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


def work_done(panel: MapReducePanel) -> None:
    for thread in list(panel._work.values()):
        thread.join(60)
    panel.refresh()


def test_outputs_die_are_run_again_and_completed_reduces_stay(cluster: Cluster) -> None:
    job = begin(cluster)
    panel = job.panel(live=False)
    cluster.run(4.2)
    panel.refresh()
    assert panel.error == ""
    assert len(cells(panel, "running")) == 8, "a map and a reduce task on each machine"
    assert len(cells(panel, "disk")) == int(number(panel, "Maps done")["value"].split()[0]) > 0
    panel.act("kill", machine="m3")
    work_done(panel)
    assert cells(panel, "lost"), "before the master has noticed"
    assert number(panel, "Maps run again")["note"] == "0 outputs lost"
    cluster.run(3.0)
    panel.refresh()
    lost = len(panel.frame(None).job.lost)
    assert lost == len(bars(panel, "gone")) > 0
    assert panel.input.y.min < 0, "the input of a lost output is taken back"
    job.result()
    panel.refresh()
    again = number(panel, "Maps run again")
    assert (again["value"], again["note"], again["tone"]) == (str(lost), f"{lost} outputs lost", "good")
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


def test_what_the_combiner_leaves_and_the_bytes_of_the_shuffle(cluster: Cluster) -> None:
    job = begin(cluster, M=4, R=2)
    job.result()
    panel = job.panel(live=False)
    kept = [each for each in job.view().executions.values() if each.kind == "map"]
    words = sum(len(text.split()) for text in TEXT.values())
    assert sum(each.emitted for each in kept) == words
    part = sum(each.pairs for each in kept) / words
    shuffled = number(panel, "Shuffled")
    assert shuffled["note"] == f"combined to {part:.0%} of the pairs"
    made = size(sum(each.bytes_out for each in kept))
    assert shuffled["value"] == made, "without failures each byte moves once"
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
    cluster.kill("m3")
    cluster.run(0.1)
    panel.refresh()
    lost = sum(each.machine == "m3" and each.kind == "map" for each in job.view().executions.values())
    assert f"✕ {lost}" in [label["text"] for label in panel.stage.scene["labels"]], "all of it, said once"


def test_the_past_equals_the_fold_from_scratch(cluster: Cluster) -> None:
    job = begin(cluster)
    panel = job.panel(live=False)
    assert panel.stage.scene["title"] == "the job has not begun yet"
    cluster.run(4.2)
    cluster.kill("m3")
    job.result()
    for position in (None, 0.1, 2.0, 4.3, 7.0, None):
        assert panel.frame(position).job == fold(JobReducer(job.name), cluster.trace, position)
    panel.act("seek", position=2.0)
    panel.refresh()
    assert number(panel, "Reduces done")["value"] == "0 of 6"
    assert "MapReduce" in panel._repr_mimebundle_()["text/html"]


def test_the_jobs_of_a_cluster_are_a_list(cluster: Cluster) -> None:
    first = begin(cluster, M=4, R=2).result()
    second = first.program.run("corpus/*", "again/", M=3, R=2)
    panel = first.panel(live=False)
    assert "wordcount-1" in panel.top.head["facts"], "the panel's own, though another one came later"
    items = panel.top.runs["items"]
    assert panel.top.runs["label"] == "Jobs"
    assert [words for _, words in items] == ["wordcount-2: done", "wordcount-1: done"]
    panel.act("seek", position=items[0][0])
    panel.refresh()
    assert "wordcount-2" in panel.top.head["facts"]
    assert number(panel, "Maps done")["value"] == "3 of 3"
    panel.act("live")
    panel.refresh()
    assert number(panel, "Maps done")["value"] == "4 of 4"
    assert second.result() is second


def test_a_dead_master_is_no_running_job(cluster: Cluster) -> None:
    job = begin(cluster)
    cluster.run(2.0)
    panel = job.panel(live=False)
    assert number(panel, "Job")["value"] == "running"
    cluster.kill("m1")
    panel.refresh()
    assert (number(panel, "Job")["value"], number(panel, "Job")["tone"]) == ("without master", "bad")


def test_reset_when_all_are_dead(cluster: Cluster) -> None:
    job = begin(cluster, M=4, R=2)
    cluster.run(1.5)
    panel = job.panel(live=False)
    for machine in cluster.machines:
        cluster.kill(machine)
    panel.refresh()
    panel.act("reset")
    work_done(panel)
    cluster.run(0.1)
    panel.refresh()
    assert panel.error == ""
    assert number(panel, "Maps done")["value"] == "0 of 4"
    assert job.result().output().equals(WordCount().run_locally(TEXT, R=2).output())
    panel.refresh()
    assert number(panel, "Job")["tone"] == "good"


def test_reset_of_a_job_that_reads_what_another_wrote(cluster: Cluster) -> None:
    fs = begin(cluster, M=4, R=2).result().fs
    job = WordCount(cluster, fs).run("out/*", "second/", M=2, R=1)
    panel = job.panel(live=False)
    panel.act("reset")
    work_done(panel)
    assert "'out/part-00000' was not put there, a job wrote it" in panel.error
    assert job.output() is not None, "nothing was begun anew"


def test_the_run_as_code_is_the_same_run(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    job = begin(cluster)
    cluster.run(4.0)
    cluster.kill("m3")
    panel = job.panel(live=False)
    monkeypatch.setattr(sys.modules["__main__"], "my_job", job, raising=False)
    cluster.run(3.0)
    panel.refresh()
    code = panel.code()
    assert "Other jobs are left out" not in code
    names: dict[str, Any] = {"WordCount": WordCount, "my_job": job}
    exec(code, names)
    with names["again"]:
        assert len(job.view().lost) > 0
        assert names["job_again"].view().executions == job.view().executions
        assert names["job_again"].result().counters == job.result().counters


def test_the_run_of_a_second_job_as_code(cluster: Cluster) -> None:
    fs = begin(cluster, M=4, R=2).result().fs
    job = WordCount(cluster, fs).start("corpus/*", "more/", master="m2", M=24, R=6, seconds_per_task=1.0)
    began = cluster.now
    cluster.run(4.0)
    cluster.kill("m3")
    code = job.panel(live=False).code()
    assert "Other jobs are left out" in code
    start = "start('corpus/*', 'more', master='m2', M=24, R=6, seconds_per_task=1.0)"
    assert f"job_again = WordCount(again, fs_again).{start}\n" in code
    names: dict[str, Any] = {"WordCount": WordCount, "job": job}
    exec(code, names)
    with names["again"] as again:
        assert not again.machine("m3").alive
        assert names["job_again"].view().began == pytest.approx(began, abs=0.05)
