"""The lineage panel's frame and scene, from hand-written runs of Spark."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest

from labkit.systems.spark import lineage
from labkit.systems.spark.lineage import DRAWN, LineageView, sources, view
from labkit.systems.spark.rows import ROWS
from labkit.systems.spark.view import LineageReducer
from labkit.trace.fold import History, fold
from labkit_widgets.panels import stories
from labkit_widgets.panels.lineage import lineage_scene
from labkit_widgets.panels.stories import cost, told
from labkit_widgets.scene import MARKS

from .lineage_events import MACHINES, Story, iterations, word_count


def frame(trace: Any, position: float | None = None) -> LineageView:
    """The latest job at a position, from scratch."""
    return view(fold(LineageReducer(), trace, position), position)


def cells(picture: LineageView, row: str) -> list[tuple[str, str]]:
    """(machine, state) of a row's pieces, by partition; + computed again, ! to be."""
    (found,) = [each for each in picture.rows if each.id == row]
    ordered = sorted(found.cells, key=lambda cell: cell.partition)
    return [(c.machine, c.state + "+" * c.again + "!" * c.owed) for c in ordered]


def numbers(picture: LineageView) -> dict[str, tuple[str, str]]:
    return {number.label: (number.value, number.theory or number.note) for number in stories.numbers(picture)}


# -- a shuffle, and a machine that dies in it ------------------------------------------------------------


def test_no_job_yet(make_trace: Any) -> None:
    picture = frame(make_trace([]))
    assert (picture.job, picture.rows, picture.failure) == (None, (), None)
    assert lineage_scene(picture).labels[0].text.startswith("no job has run yet")


def test_stages_and_their_rdds(make_trace: Any) -> None:
    picture = frame(make_trace(word_count("maps").rows))
    assert [(band.kind, band.stage, band.state, band.done, band.total) for band in picture.bands] == [
        ("map", 0, "done", 4, 4),
        ("result", 1, "running", 0, 4),
    ]
    assert [row.id for row in picture.rows] == ["r:0", "r:1", "r:2", "s:0", "r:3"]
    assert picture.edges == (
        ("r:0", "r:1", False), ("r:1", "r:2", False), ("r:2", "s:0", False), ("s:0", "r:3", True)
    )  # fmt: skip
    assert cells(picture, "r:2") == [(machine, "passed") for machine in MACHINES]
    assert cells(picture, "s:0") == [(machine, "disk") for machine in MACHINES]
    assert cells(picture, "r:3") == [("", "todo")] * 4
    assert numbers(picture)["collect: tasks"] == ("4 of 8", "job 0 running")


def test_a_dead_machine_s_pieces_are_lost_before_anybody_notices(make_trace: Any) -> None:
    picture = frame(make_trace(word_count("killed").rows))
    assert cells(picture, "s:0")[1] == ("m2", "lost")
    assert cells(picture, "r:3") == [
        ("m1", "delivered"), ("m2", "delivered"), ("m3", "running"), ("m2", "lost!")
    ]  # fmt: skip
    assert numbers(picture)["Lost with m2"] == ("?", "not noticed yet")


def test_lineage_predicts_what_is_run_again(make_trace: Any) -> None:
    noticed = frame(make_trace(word_count("noticed").rows))
    assert (noticed.failure.outputs, noticed.failure.interrupted) == (1, 1)
    assert noticed.failure.predicted == 2, "the map task whose file is gone, and the task that ran there"
    recovering = frame(make_trace(word_count("recovering").rows))
    assert cells(recovering, "s:0")[1:3] == [("m2", "lost!"), ("m3", "running+")]
    assert cells(recovering, "r:1")[1] == ("m3", "running+")
    end = frame(make_trace(word_count().rows))
    assert (end.failure.tasks, end.failure.predicted) == (2, 2)
    assert (end.failure.records, end.failure.predicted_records) == (200, 200)
    assert (end.failure.bytes, end.failure.predicted_bytes) == (1000, 1000)
    assert numbers(end)["Tasks run again"] == ("2", "lineage predicts 2")
    assert numbers(end)["Work done again"][0] == "22%"


def test_the_recomputed_cone(make_trace: Any) -> None:
    end = frame(make_trace(word_count().rows))
    assert [cells(end, row)[1] for row in ("r:0", "r:1", "r:2")] == [("m3", "passed+")] * 3
    assert cells(end, "s:0")[1:3] == [("m2", "ghost"), ("m3", "disk+")]
    assert cells(end, "r:3") == [
        ("m1", "delivered"), ("m2", "delivered"), ("m1", "delivered"), ("m4", "delivered+")
    ]  # fmt: skip
    scene = lineage_scene(end)
    assert [box.id for box in scene.boxes if box.cls == "cone"] == [
        "cone:r:0", "cone:r:1", "cone:r:2", "cone:s:0", "cone:r:3"
    ]  # fmt: skip
    assert "again" in scene.mark("output:0:1").cls
    assert "again" not in scene.mark("output:0:0").cls


@pytest.mark.parametrize(
    ("lost", "delivered", "again"),
    [
        ({0: [1], 1: [1, 2]}, 0, {("map", 0, 1), ("map", 1, 1), ("map", 1, 2)}),
        ({0: [1]}, 0, set()),  # shuffle 1 is whole, so nobody reads shuffle 0
        ({1: [1, 2]}, 0, {("map", 1, 1), ("map", 1, 2)}),
        ({0: [1], 1: [1, 2]}, 4, set()),
    ],
)
def test_a_lost_output_is_needed_if_somebody_still_reads_its_shuffle(
    make_trace: Any, lost: dict[int, list[int]], delivered: int, again: set[Any]
) -> None:
    """Stage 2 reads shuffle 1, made by stage 1, which reads shuffle 0, made by stage 0."""
    story = Story()
    story.rdd(0, "parallelize", [])
    story.rdd(1, "reduceByKey", [[0, "wide", 0]])
    story.rdd(2, "groupByKey", [[1, "wide", 1]])
    story.tell("job_started", job=0, rdd=2, action="count", site="", stages=[0, 1, 2])
    for shuffle in (0, 1):
        story.stage(shuffle, "map", [shuffle], [0, 1, 2, 3], shuffle=shuffle)
        for p in range(4):
            story.output(shuffle, p, "m2" if p in (1, 2) else "m1")
    story.stage(2, "result", [2], [0, 1, 2, 3])
    for p in range(delivered):
        story.end(story.start(2, p, "m1"))
    story.notice("m2")
    for shuffle, maps in lost.items():
        story.lose("m2", outputs=maps, shuffle=shuffle)
    story.tell("stage_finished", stage=2, attempt=0, ok=False, error="an input was lost")
    assert set(fold(LineageReducer(), make_trace(story.rows)).owed) == again


def test_a_delivered_result_is_not_computed_again(make_trace: Any) -> None:
    """Without the reduce tasks that were still to run nobody would need the lost file."""
    story = word_count("maps")
    for p, machine in enumerate(MACHINES):
        story.end(story.start(1, p, machine), computed=[(3, p)])
    story.now = 3.0
    story.kill("m2")
    story.notice("m2")
    story.lose("m2", outputs=[1])
    story.tell("job_finished", job=0, ok=True, error=None, seconds=3.0)
    failure = frame(make_trace(story.rows)).failure
    assert (failure.outputs, failure.predicted) == (1, 0)


def test_tasks_that_have_their_inputs_need_no_lost_output(make_trace: Any) -> None:
    story = word_count("maps")
    for p, machine in enumerate(("m1", "m3", "m4")):
        story.start(1, p, machine, computing=True)
    waiting = story.start(1, 3, "m2")
    story.kill("m2")
    story.notice("m2")
    story.lose("m2", outputs=[1])
    story.end(waiting, "executor_lost")
    story.stage(0, "map", [0, 1, 2], [1], shuffle=0, attempt=1)
    assert frame(make_trace(story.rows)).failure.predicted == 2, "the interrupted task, and its lost input"
    for task in [row[4]["task"] for row in story.rows if row[3] == "task_running"][-4:-1]:
        story.end(task, computed=[])
    assert frame(make_trace(story.rows)).failure.tasks == 0


def test_what_an_interrupted_task_will_fetch_is_known_from_its_inputs(make_trace: Any) -> None:
    story = word_count("maps")
    waiting = story.start(1, 3, "m4")
    story.kill("m4")
    story.notice("m4")
    story.end(waiting, "executor_lost")
    story.start(1, 3, "m1", "retry")
    failure = frame(make_trace(story.rows)).failure
    assert (failure.predicted, failure.unknown, failure.predicted_bytes) == (1, 1, 1000)
    assert cost(frame(make_trace(story.rows)))["rows"][2] == ["records processed", "0", "not known yet"]


def test_a_copy_of_an_interrupted_task_is_not_predicted(make_trace: Any) -> None:
    story = word_count("maps")
    first = story.start(1, 0, "m2")
    story.start(1, 0, "m1", "speculative")
    story.kill("m2")
    story.notice("m2")
    story.end(first, "executor_lost")
    story.tell(
        "task_started", task=99, stage=1, partition=1, executor="executor-2", machine="m3", why="first"
    )
    assert frame(make_trace(story.rows)).failure.interrupted == 0


# -- kept partitions ------------------------------------------------------------


def test_lost_kept_partitions_are_computed_again_by_the_next_job(make_trace: Any) -> None:
    trace = make_trace(iterations().rows)
    picture = frame(trace)
    assert (picture.failure.blocks, picture.failure.partitions) == (2, 2)
    assert (picture.failure.tasks, picture.failure.predicted, picture.failure.predicted_records) == (
        2,
        2,
        200,
    )
    kept = cells(picture, "r:1")
    assert kept[1:3] == [("m2", "ghost"), ("m1", "memory+")]
    assert [state for _, state in kept].count("memory") == 6
    before = frame(trace, picture.failure.time - 0.001)
    assert {state for _, state in cells(before, "r:1")} == {"memory"}
    assert numbers(before)["Kept in memory"][0] == "16 kB"


def test_without_persist_there_is_nothing_to_lose(make_trace: Any) -> None:
    failure = frame(make_trace(iterations(storage=None).rows)).failure
    assert (failure.blocks, failure.predicted, failure.tasks) == (0, 0, 0)


def test_a_second_copy_survives(make_trace: Any) -> None:
    story = iterations(storage="memory x2", kill=False)
    for p in (1, 5):
        story.block(1, p, "m3")
    story.kill("m2")
    story.notice("m2")
    story.lose("m2", blocks=[(1, 1), (1, 5)])
    picture = frame(make_trace(story.rows))
    assert (picture.failure.blocks, picture.failure.predicted) == (0, 0)
    assert cells(picture, "r:1")[1:3] == [("m2", "ghost"), ("m3", "memory")]


def test_unpersisted_partitions_are_not_missed(make_trace: Any) -> None:
    story = iterations(kill=False)
    story.kill("m2")
    story.notice("m2")
    story.lose("m2", blocks=[(1, 1), (1, 5)])
    story.tell("rdd_storage", rdd=1, storage=None)
    for p in (0, 2, 3, 4, 6, 7):
        where = {"executor": f"executor-{p % 4}", "machine": MACHINES[p % 4]}
        story.tell("block_dropped", rdd=1, partition=p, why="unpersisted", **where)
    story.tell("job_started", job=3, rdd=4, action="reduce", site="cell 6:1", stages=[3])
    picture = frame(make_trace(story.rows))
    assert picture.failure.predicted == 0
    assert {state for _, state in cells(picture, "r:1")} == {"passed"}
    assert numbers(picture)["Kept in memory"][0] == "0 B"


def test_evicted_and_spilled_partitions_are_not_lost(make_trace: Any) -> None:
    story = iterations(kill=False)
    for p, why in ((0, "evicted"), (4, "spilled")):
        story.tell("block_dropped", rdd=1, partition=p, why=why, executor="executor-0", machine="m1")
    story.block(1, 4, "m1", "disk")
    picture = frame(make_trace(story.rows))
    assert picture.failure is None
    assert [cells(picture, "r:1")[p][1] for p in (0, 4)] == ["passed", "disk"]


def test_a_checkpoint_ends_what_has_to_be_done_again(make_trace: Any) -> None:
    story = iterations(kill=False)
    story.tell("rdd_storage", rdd=1, storage="checkpoint")
    story.kill("m2")
    story.notice("m2")
    story.lose("m2", blocks=[(1, 1), (1, 5)])
    story.tell("job_started", job=3, rdd=4, action="reduce", site="cell 6:1", stages=[3])
    assert frame(make_trace(story.rows)).failure.predicted == 0


def test_the_machine_comes_back_empty(make_trace: Any) -> None:
    story = iterations()
    story.now += 1
    where = {"executor": "executor-1", "machine": "m2"}
    story.rows.append((story.now, "m2", None, "restarted", {}))
    story.tell("executor_registered", cores=1, incarnation=2, **where)
    picture = frame(make_trace(story.rows))
    assert ("m2", "ghost") not in cells(picture, "r:1"), "its column is clean again"
    assert [what for _, _, what in picture.moments] == ["dead", "noticed", "back"]
    story.kill("m2")
    assert frame(make_trace(story.rows)).failure.number == 2, "the next death is another failure"


# -- the picture ------------------------------------------------------------


def test_squares_stand_in_their_machine_s_column_and_do_not_touch(make_trace: Any) -> None:
    for story in (word_count(), iterations()):
        scene = lineage_scene(frame(make_trace(story.rows)))
        columns = {
            box.id.removeprefix("machine:"): box for box in scene.boxes if box.cls.startswith("column")
        }
        squares = [mark for mark in scene.marks if "cell" in mark.cls and mark.state != "todo"]
        for square in squares:
            machine = next(name for name in MACHINES if name in square.tip)
            assert columns[machine].x < square.x < columns[machine].x + columns[machine].w, square
        for a, b in itertools.combinations(squares, 2):
            assert max(abs(a.x - b.x), abs(a.y - b.y)) > 1.7 * a.r, (a.id, b.id)
        assert len({mark.id for mark in scene.marks}) == len(scene.marks)


def test_the_gantt_chart(make_trace: Any) -> None:
    picture = frame(make_trace(word_count().rows))
    scene = lineage_scene(picture)
    bars = {box.id: box for box in scene.boxes if box.cls.startswith("task")}
    assert len(bars) == len(picture.bars) == 11
    assert bars["t:8"].cls == "task failed"
    assert bars["t:9"].cls == "task good again"
    assert bars["t:9"].tip == (
        "task 9: stage 0, partition 1 on m3: done, 1,000 ms, 100 records; its result was lost"
    )
    assert all(bar.x + bar.w <= scene.width for bar in bars.values())
    assert [label.text for label in scene.labels if label.cls.startswith("moment")] == ["✕ m2 dies"]
    assert [slot.machine for slot in picture.slots] == list(MACHINES)


def test_what_a_partition_was_made_from(make_trace: Any) -> None:
    history = History(make_trace(word_count().rows), LineageReducer())
    picture = view(history.at(), None)
    state = history.at()
    assert sources(state, ("block", 2, 0)) == {("block", 0, 0), ("block", 1, 0)}, "narrow: a column"
    wide = sources(state, ("block", 3, 0))
    assert {("output", 0, m) for m in range(4)} <= wide, "wide: every map output"
    assert {("block", 0, p) for p in range(4)} <= wide, "and all that they were made from"
    scene = lineage_scene(picture, "block:2:0", frozenset(sources(state, ("block", 2, 0))))
    marked = [mark.id for mark in scene.marks if "source" in mark.cls.split()]
    assert marked == ["block:0:0", "block:1:0"]
    assert "selected" in scene.mark("block:2:0").cls


def test_stories(make_trace: Any) -> None:
    history = History(make_trace(word_count().rows), LineageReducer())
    picture = view(history.at(), None)

    def story(selected: str) -> list[str]:
        found = told(history.at(), picture, selected)
        return [found["title"], *(item["text"] for item in found["items"])] if found else []

    assert story("output:0:1") == [
        "Output 1 of shuffle 0",
        "on disk on m3, 1.0 kB",
        "made by task 9 on m3 in 1,000 ms, computed again",
        "made from 3 partitions (outlined)",
    ]
    assert story("r:3") == [
        "RDD 3: reduceByKey",
        "ShuffledRDD of 4 partitions, made by reduceByKey()",
        "in cell 3:4",
        "wide: each partition needs all of RDD 2",
        "not kept: whoever needs it computes it again",
    ]
    assert story("s:0")[0] == "Shuffle 0"
    assert story("") == ["Select a partition, or the dot of an RDD, to see what it was made from"]
    assert story("block:77:0") == []


def test_the_cost_of_a_failure_in_words(make_trace: Any) -> None:
    table = cost(frame(make_trace(word_count().rows)))
    assert table["title"] == "m2 died at 2.50 s, noticed after 0.50 s"
    assert table["rows"][0] == ["tasks", "2", "2"]
    assert table["foot"] == "the last of it ended 2.50 s after the death"
    assert cost(frame(make_trace(word_count("maps").rows))) == {}


def test_the_event_list_is_for_people(make_trace: Any) -> None:
    words = [line.text for line in frame(make_trace(word_count().rows)).lines]
    assert "job 0: collect (cell 3:5)" in words
    assert "stage 0 starts: 4 map tasks" in words
    assert "m2 was killed" in words
    assert "the driver gives up executor-1 on m2 (no heartbeat)" in words
    assert "1 output of shuffle 0 lost with m2" in words
    assert "stage 0 again: 1 map task, of 4, whose outputs are missing" in words
    lost = [line.text for line in frame(make_trace(iterations().rows)).lines]
    assert "2 partitions that were kept were lost with their machine" in lost


# -- long and large ------------------------------------------------------------


def test_a_long_lineage_shows_its_end(make_trace: Any) -> None:
    story = Story()
    story.rdd(0, "parallelize", [])
    for k in range(1, 41):
        story.rdd(k, f"step{k}", [[k - 1, "wide" if k % 2 else "narrow", k if k % 2 else None]])
    story.tell("job_started", job=0, rdd=40, action="count", site="", stages=[0])
    picture = frame(make_trace(story.rows))
    assert len(picture.rows) <= ROWS
    assert picture.rows[-1].rdd.id == 40
    assert picture.hidden + sum(len(row.rdds) for row in picture.rows if row.shuffle is None) == 41
    assert f"… {picture.hidden} RDDs not shown" in [label.text for label in lineage_scene(picture).labels]


def test_narrow_rdds_of_a_long_lineage_share_a_row_up_to_a_kept_one(make_trace: Any) -> None:
    story = Story()
    story.rdd(0, "parallelize", [])
    for k in range(1, 31):
        story.rdd(k, "map", [[k - 1, "narrow", None]], storage="memory" if k == 10 else None)
    story.tell("job_started", job=0, rdd=30, action="count", site="", stages=[0])
    rows = frame(make_trace(story.rows)).rows
    assert [(row.rdds[0].id, row.rdds[-1].id) for row in rows] == [(0, 10), (11, 30)]


def test_a_join_merges_two_lanes(make_trace: Any) -> None:
    story = Story()
    for k in range(2):
        story.rdd(k, "parallelize", [])
    story.rdd(2, "join", [[0, "wide", 0], [1, "wide", 1]])
    story.tell("job_started", job=0, rdd=2, action="count", site="", stages=[0])
    picture = frame(make_trace(story.rows))
    scene = lineage_scene(picture)
    assert [row.id for row in picture.rows] == ["r:0", "s:0", "r:1", "s:1", "r:2"]
    places = {mark.id: mark.x for mark in scene.marks if "node" in mark.cls}
    assert places["s:0"] != places["s:1"]
    assert [link.id for link in scene.links if "wide" in link.cls] == ["e:s:0:r:2", "e:s:1:r:2"]


def big(partitions: int) -> Story:
    story = Story(cores=2)
    story.rdd(0, "range", [], partitions)
    story.rdd(1, "map", [[0, "narrow", None]], partitions, storage="memory")
    story.tell("job_started", job=0, rdd=1, action="count", site="", stages=[0])
    story.stage(0, "result", [0, 1], list(range(partitions)), total=partitions)
    for p in range(partitions):
        task = story.start(0, p, MACHINES[p % 4])
        story.now += 0.001
        story.block(1, p, MACHINES[p % 4])
        story.end(task, computed=[(0, p), (1, p)])
    return story


@pytest.mark.slow
def test_many_partitions_are_counted_not_drawn(make_trace: Any) -> None:
    story = big(1000)
    story.kill("m2")
    picture = frame(make_trace(story.rows))
    kept = next(row for row in picture.rows if row.id == "r:1")
    assert kept.counts == (
        ("m1", "memory", 250), ("m2", "lost", 250), ("m3", "memory", 250), ("m4", "memory", 250)
    )  # fmt: skip
    scene = lineage_scene(picture)
    assert len(scene.marks) == 2, "the two RDDs"
    assert len(scene.boxes) < MARKS
    assert "✕ 250" in [label.text for label in scene.labels]
    assert kept.rdd.partitions > DRAWN


@pytest.mark.slow
def test_counts_equal_a_count_of_the_cells(make_trace: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for story in (word_count(), word_count("recovering"), iterations(), iterations(storage=None)):
        trace = make_trace(story.rows)
        one_by_one = frame(trace)
        with monkeypatch.context() as patch:
            patch.setattr(lineage, "DRAWN", 0)
            counted = frame(trace)
        for row, other in zip(one_by_one.rows, counted.rows, strict=True):
            expected: dict[tuple[str, str], int] = {}
            for cell in row.cells:
                if cell.state not in ("running", "ghost", "todo", "lost"):
                    expected[cell.machine, cell.state] = expected.get((cell.machine, cell.state), 0) + 1
            found = {(m, s): n for m, s, n in other.counts if s not in ("running", "todo", "lost")}
            if found.keys() & {(m, "memory") for m in MACHINES} or row.shuffle is not None:
                assert found == expected, row.id


@pytest.mark.slow
def test_remembered_equals_from_scratch(make_trace: Any) -> None:
    for story in (word_count(), iterations(), big(600)):
        trace = make_trace(story.rows)
        history = History(trace, LineageReducer())
        end = max(row[0] for row in story.rows)
        for position in (None, end / 3, end, 0.0, end * 0.9, None):
            assert view(history.at(position), position) == frame(trace, position)


@pytest.mark.slow
def test_a_frame_of_a_big_job_looks_at_what_is_new_only(make_trace: Any) -> None:
    """No clock: the number of events that the fold applies for a second frame is zero."""
    trace = make_trace(big(2000).rows)
    history = History(trace, LineageReducer())
    view(history.at(), None)
    applied: list[Any] = []
    original = history.reducer.apply
    history.reducer.apply = lambda state, event: (applied.append(event), original(state, event))  # type: ignore[method-assign,func-returns-value]
    started = time.process_time()
    for _ in range(5):
        lineage_scene(view(history.at(), None))
    print(f"{200 * (time.process_time() - started):.1f} ms a frame")
    assert applied == []
