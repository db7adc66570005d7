"""The lineage panel on real runs of Spark in the simulator: what it shows, what a click does."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest

from labkit import Cluster
from labkit.runtime.faults import Kill
from labkit.systems.spark import SparkContext
from labkit.systems.spark.lineage import view
from labkit.systems.spark.view import LineageReducer
from labkit.trace.fold import History, fold
from labkit_widgets import LineagePanel
from tests.widgets.acting import acted

TEXT = ["to be or not to be", "that is the question"] * 40


@pytest.fixture
def sc(cluster: Cluster) -> Iterator[SparkContext]:
    with SparkContext(cluster) as context:
        yield context


def count_words(sc: SparkContext, parts: int = 8) -> Any:
    words = sc.parallelize(TEXT, parts).flatMap(str.split)
    return words.map(lambda word: (word, 1)).reduceByKey(lambda a, b: a + b)


def squares(panel: LineagePanel, state: str) -> list[str]:
    return [mark["id"] for mark in panel.stage.scene["marks"] if mark["state"] == state]


def test_a_run_is_drawn(sc: SparkContext) -> None:
    assert dict(count_words(sc).collect())["be"] == 80
    panel = LineagePanel(sc, live=False)
    assert panel.error == ""
    titles = [label["text"] for label in panel.stage.scene["labels"]]
    assert {"parallelize", "flatMap", "map", "reduceByKey", "m1", "m4"} <= set(titles)
    assert len(squares(panel, "delivered")) == 8
    assert len(squares(panel, "disk")) == 8
    assert panel.numbers.numbers[0]["value"] == "16 of 16"
    assert "4 executors" in panel.top.head["facts"]


def test_a_kill_in_the_shuffle_and_what_it_costs(sc: SparkContext, cluster: Cluster) -> None:
    counts = count_words(sc)
    counts.count()
    panel = LineagePanel(sc, live=False)
    panel.act("kill", machine="m2")
    acted(panel)
    assert squares(panel, "lost"), "before the driver has noticed"
    again = counts.map(lambda pair: pair[1]).sum()
    assert again == len(" ".join(TEXT).split())
    panel.refresh()
    failure = panel.frame(None).failure
    assert failure is not None
    assert failure.outputs + failure.interrupted == failure.tasks == failure.predicted > 0
    assert panel.cost.cost["rows"][0] == ["tasks", str(failure.tasks), str(failure.predicted)]
    assert [mark for mark in panel.stage.scene["marks"] if "again" in mark["cls"]]
    assert any(box["cls"] == "cone" for box in panel.stage.scene["boxes"])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_lineage_predicts_what_the_driver_runs_again(seed: int) -> None:
    """Whenever a machine dies in a job: as many tasks do lost work again as lineage says."""
    chance = random.Random(seed)
    with Cluster(4, "sim", seed=seed, name=f"predict-{seed}") as cluster, SparkContext(cluster) as sc:
        pairs = count_words(sc).map(lambda pair: (pair[1], pair[0])).persist()
        pairs.count()
        when = cluster.now + chance.random() * 0.05
        cluster.play([(when, Kill(chance.choice(["m1", "m2", "m3", "m4"])))])
        groups = pairs.groupByKey(6).mapValues(sorted)
        first, second = dict(groups.collect()), dict(groups.collect())
        assert first == second == {80: ["be", "to"], 40: ["is", "not", "or", "question", "that", "the"]}
        cluster.run(3.0)
        picture = view(fold(LineageReducer(), cluster.trace), None)
        assert picture.failure is not None
        assert picture.failure.tasks == picture.failure.predicted, picture.failure
        history = History(cluster.trace, LineageReducer())
        for position in (None, when, when + 0.01, 0.0):
            scratch = fold(LineageReducer(), cluster.trace, position)
            assert view(history.at(position), position) == view(scratch, position)


def test_an_rdd_is_persisted_and_unpersisted_by_a_click(sc: SparkContext, cluster: Cluster) -> None:
    points = sc.range(80, numSlices=8).map(float).setName("points")
    points.count()
    panel = LineagePanel(sc, live=False)
    assert panel.keep.disabled
    assert panel.drop.disabled
    panel.stage.selected = f"r:{points.id()}"
    panel.refresh()
    assert not panel.keep.disabled
    assert panel.steps.steps["title"] == f"RDD {points.id()}: points"
    panel.keep.click()
    acted(panel)
    assert panel.error == ""
    assert points.getStorageLevel().useMemory
    points.count()
    panel.refresh()
    assert len(squares(panel, "memory")) == 8
    assert panel.keep.disabled
    panel.drop.click()
    acted(panel)
    cluster.run(1.0)  # the executors are told, and say so with a heartbeat
    panel.refresh()
    assert panel.error == ""
    assert squares(panel, "memory") == []
    assert not points.is_cached


def test_a_checkpoint_by_a_click_cuts_the_lineage(sc: SparkContext, tmp_path: Any) -> None:
    sc.setCheckpointDir(str(tmp_path))
    base = sc.range(80, numSlices=8)
    points = base.map(float)
    panel = LineagePanel(sc, live=False)
    points.map(abs).count()
    panel.refresh()
    panel.stage.selected = f"block:{points.id()}:3"
    panel.refresh()
    panel.cut.click()
    acted(panel)
    assert panel.error == ""
    points.count()
    assert points.isCheckpointed()
    panel.refresh()
    assert panel.cut.disabled


def test_without_a_folder_checkpoint_says_why_not(sc: SparkContext) -> None:
    points = sc.range(8).map(float)
    points.count()
    panel = LineagePanel(sc, live=False)
    panel.stage.selected = f"r:{points.id()}"
    panel.refresh()
    assert panel.cut.disabled
    assert "sc.setCheckpointDir(path)" in panel.why_not.head["text"]


def test_reset_and_the_same_rdds_again(sc: SparkContext, cluster: Cluster) -> None:
    words = count_words(sc)
    before = sorted(words.collect())
    panel = LineagePanel(sc, live=False)
    assert [label for _, label in panel.top.runs["items"]] == ["job 0: collect"]
    cluster.kill("m2")
    panel.act("reset")
    acted(panel)
    assert (panel.error, panel.top.runs["items"]) == ("", [])
    assert sorted(words.collect()) == before
    panel.refresh()
    assert panel.error == ""
    assert panel.top.runs["items"]


def test_every_option_is_in_the_code(cluster: Cluster) -> None:
    with SparkContext(cluster, executors=["m1", "m2"], cores=2, speculation=True, appName="words") as sc:
        cluster.kill("m3")
        names: dict[str, Any] = {}
        exec(LineagePanel(sc, live=False).code(), names)
        with names["again"] as again:
            twin = names["sc_again"]
            assert (twin.options, twin.appName, len(twin.executors)) == (sc.options, "words", 2)
            assert again.schedule == cluster.schedule


def test_errors_of_the_buttons_are_shown(sc: SparkContext) -> None:
    sc.range(8).map(float).count()
    panel = LineagePanel(sc, live=False)
    panel.act("persist", level="MEMORY_ONLY")
    panel.refresh()
    assert "select an RDD first" in panel.error
    panel.stage.selected = "r:1"
    panel.act("unpersist")
    panel.refresh()
    assert "no variable holds RDD 1" in panel.error


def test_time_travel(sc: SparkContext, cluster: Cluster) -> None:
    count_words(sc).count()
    middle = cluster.now
    cluster.kill("m3")
    cluster.run(3.0)
    panel = LineagePanel(sc, live=False)
    assert squares(panel, "lost")
    panel.act("seek", position=middle)
    panel.refresh()
    assert squares(panel, "lost") == []
    assert len(squares(panel, "delivered")) == 8


def test_it_is_live_while_a_job_runs(sc: SparkContext) -> None:
    """Refreshing from another thread while the driver works: no error, and progress is seen."""
    panel = LineagePanel(sc, live=False)
    done: list[Any] = []
    work = threading.Thread(target=lambda: done.append(dict(count_words(sc, 40).collect())))
    work.start()
    seen = set()
    while work.is_alive():
        panel.refresh()
        seen.add(panel.numbers.numbers[0]["value"])
        assert panel.error == ""
    work.join()
    panel.refresh()
    seen.add(panel.numbers.numbers[0]["value"])
    assert done[0]["be"] == 80
    assert "80 of 80" in seen


def test_the_panel_of_a_context(sc: SparkContext) -> None:
    panel = sc.panel(live=False)
    assert isinstance(panel, LineagePanel)
    assert "no job has run yet" in panel.stage.scene["labels"][0]["text"]
    assert "sc_again = SparkContext(again)" in panel.code()


def test_unchanged_states_send_nothing(sc: SparkContext) -> None:
    count_words(sc).count()
    panel = LineagePanel(sc, live=False)
    panel.refresh()
    sent: list[str] = []
    for widget in (panel.stage, panel.numbers, panel.steps, panel.cost, panel.jobs.bars, panel.keep):
        widget.send_state = lambda key=None, _sent=sent: _sent.append(str(key))  # type: ignore[method-assign]
    panel.refresh()
    assert sent == []


def test_the_static_picture(sc: SparkContext, cluster: Cluster) -> None:
    counts = count_words(sc).persist()
    counts.count()
    cluster.kill("m2")
    panel = LineagePanel(sc, live=False)
    svg = ElementTree.fromstring(panel.snapshot())
    words = [element.text for element in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Spark", "✕ dead", "m2 ✕ dead", "Tasks over time", "reduceByKey", "computed again"} <= set(words)
    bundle = panel._repr_mimebundle_()
    assert bundle["text/plain"] == "<LineagePanel of cluster 'panels'>"
    assert "m2: ✕ dead" in bundle["text/html"]
