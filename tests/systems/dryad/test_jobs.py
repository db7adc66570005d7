"""Jobs as a user runs them, on both engines, and the mechanisms of the paper one by one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labkit import Cluster
from labkit.systems.dryad import (
    Graph,
    JobCancelled,
    JobDeadlocked,
    JobFailed,
    JobTerminated,
    encapsulate,
    vertex,
)
from labkit.systems.dryad.vertices import distribute, flat_map, map, merge, merge_any, sort

from .conftest import lab, same_as_oracle, word_count


def sim(machines: int = 4, seed: int = 0, **options: Any) -> Cluster:
    return Cluster(machines=machines, engine="sim", seed=seed, **options)


def kinds(cluster: Cluster, kind: str, **data: Any) -> list[Any]:
    return [each for each in cluster.trace.filter(kind) if data.items() <= each.data.items()]


def test_word_count(make_cluster: Callable[..., Cluster]) -> None:
    dryad = lab(make_cluster(machines=3))
    job = dryad.submit(word_count(dryad))
    job.result()
    same_as_oracle(job)
    counts = dict(pair for part in job.output() for pair in part)
    assert counts["the"] == 80
    assert "11 of 11 vertices" in repr(job)
    assert job.graph().skeleton == {
        ("input", "split"): 4, ("split", "distribute"): 4, ("distribute", "reduce"): 12,
    }  # fmt: skip
    with pytest.raises(FileExistsError, match="has the output of a job"):
        dryad.submit(job.drawn, output=job.name)


# -- channels ------------------------------------------------------------


def sorted_by_pipes(dryad: Any, n: int = 2) -> Graph:
    """In-memory sort: distribute to n, merged in any order and sorted behind it."""
    inputs = dryad.put("numbers", [[(7 * i + k) % 101 for i in range(300)] for k in range(n)])
    by = distribute(by=lambda item, outputs: item * outputs // 101)
    ordered = merge_any() >= sort()
    return (inputs >= (map(lambda x: x, "X") >= by) ** n) >> ordered**n


@pytest.mark.parametrize("kind", ["fifo", "pipe"])
def test_vertices_that_wait_for_each_other_get_room(kind: str) -> None:
    """Two ways from a to c, which reads the one to its end before the other: longer than a channel is."""

    @vertex
    async def a(readers: Any, writers: Any) -> None:
        async for item in readers[0]:
            for writer in writers:
                await writer.write(item)

    @vertex
    async def c(readers: Any, writers: Any) -> None:
        count = 0
        for reader in readers:
            async for _ in reader:
                count += 1
        await writers[0].write(count)

    with sim() as cluster:
        dryad = lab(cluster)
        b = map(lambda item: item, "b")
        long = ((dryad.put("x", [list(range(20_000))]) >= a) >= b) >= c
        channels = {("a", "b"): kind, ("b", "c"): kind, ("a", "c"): kind}
        job = dryad.submit(long | (a >= c), channels=channels).result(timeout=300)
        same_as_oracle(job)
        assert job.output() == [[40_000]]
        assert kinds(cluster, "channels_grew")


@pytest.mark.parametrize("kind", ["fifo", "pipe"])
def test_who_writes_for_nobody_ends(kind: str) -> None:
    """As ``yes | head``."""

    @vertex
    async def yes(readers: Any, writers: Any) -> None:
        while True:
            await writers[0].write("y")

    @vertex
    async def head(readers: Any, writers: Any) -> None:
        for _ in range(3):
            await writers[0].write(await anext(readers[0]))

    with sim() as cluster:
        dryad = lab(cluster)
        graph = (dryad.put("x", [[1]]) >= yes) >= head
        job = dryad.submit(graph, channels={("yes", "head"): kind}).result(timeout=60)
        assert job.output() == [["y", "y", "y"]]
        assert job.check().ok


#: Nobody is taken for dead, nobody is helped, and no channel grows: each process runs once.
PATIENT: dict[str, Any] = {"timeout": 60.0, "call_timeout": 60.0, "stuck_after": 60.0, "duplicates": False}
PIPES = {("X", "distribute"): "fifo", ("distribute", "merge"): "pipe", ("merge", "sort"): "fifo"}


def test_pipes_and_fifos(make_cluster: Callable[..., Cluster]) -> None:
    """A non-deterministic merge, confined by a FIFO to the sort behind it; pipes between four processes."""
    dryad = lab(make_cluster(machines=4))
    job = dryad.submit(sorted_by_pipes(dryad), channels=PIPES, chunk=20, **PATIENT)
    job.result()
    same_as_oracle(job)
    view = job.view()
    assert len(view.records) == 4
    assert len({record.machine for record in view.records.values()}) == 4
    assert view.bytes_piped > 0


def test_a_pipe_streams_while_both_run(make_cluster: Callable[..., Cluster]) -> None:
    """The reader has seen the first item before the writer writes its last."""

    async def slow(readers: Any, writers: Any) -> None:
        for _ in range(200):  # many times what a channel holds
            time.sleep(0.001)
            await writers[0].write(time.time())

    async def stamp(readers: Any, writers: Any) -> None:
        async for written in readers[0]:
            await writers[0].write((written, time.time()))

    cluster = make_cluster(machines=2)
    dryad = lab(cluster)
    channels = {("slow", "stamp"): "pipe"}
    job = dryad.submit(vertex(slow) >= vertex(stamp), channels=channels, chunk=4, **PATIENT)
    (pairs,) = job.result().output()
    assert len(pairs) == 200
    assert pairs[0][1] < pairs[-1][0], "the first was read before the last was written"
    assert job.check().ok
    a, b = job.view().records.values()
    assert a.machine != b.machine


def test_a_pipe_needs_computers_enough() -> None:
    with sim(3) as cluster:
        dryad = lab(cluster)
        job = dryad.submit(sorted_by_pipes(dryad), channels=PIPES)
        with pytest.raises(JobDeadlocked, match=r"in 4 processes at once, and 3 computers run 3.*by files"):
            job.result()
        assert kinds(cluster, "deadlocked")
        assert job.check().ok
        same_as_oracle(dryad.submit(job.drawn, channels=PIPES, slots=2).result())
        files = dict.fromkeys(PIPES, "file")
        same_as_oracle(dryad.submit(job.drawn, channels=files).result())


def test_a_computer_that_comes_back_ends_the_deadlock() -> None:
    with sim(4) as cluster:
        dryad = lab(cluster)
        graph = sorted_by_pipes(dryad)
        cluster.kill("m3")
        job = dryad.submit(graph, channels=PIPES)
        cluster.run_until(lambda: bool(job.view().stuck), what="it is stuck")
        cluster.restart("m3")
        same_as_oracle(job.result())


def test_an_encapsulated_graph_is_one_vertex() -> None:
    with sim(2) as cluster:
        dryad = lab(cluster)
        inner = map(lambda n: -n, "negate") >= sort()
        inputs = dryad.put("numbers", [range(10), range(5, 20)])
        job = dryad.submit((inputs >= encapsulate(inner) ** 2) >> merge()).result()
        same_as_oracle(job)
        assert job.view().total == 3


def test_a_reader_that_stops_early_holds_nobody_up() -> None:
    async def first(readers: Any, writers: Any) -> None:
        await writers[0].write(await anext(readers[0]))

    async def many(readers: Any, writers: Any) -> None:
        for n in range(5_000):
            await writers[0].write(n)

    for kind in ("file", "pipe", "fifo"):
        with sim(2) as cluster:
            dryad = lab(cluster)
            job = dryad.submit(vertex(many) >= vertex(first), channels={("many", "first"): kind}, chunk=10)
            assert job.result().output() == [[0]]


# -- where a vertex runs ------------------------------------------------------------


def test_hard_constraints_and_preferences() -> None:
    with sim(4) as cluster:
        dryad = lab(cluster, racks=2)
        inputs = dryad.put("lines", [["a"], ["b"]])
        near, hard = map(str.upper, "near").near("m3") ** 2, map(str.lower, "hard").on("m4") ** 2
        job = dryad.submit((inputs >= near) >= hard, slots=2).result()
        where = {record.vertices[0]: record.machine for record in job.view().records.values()}
        assert [where[i] for i in (2, 3, 4, 5)] == ["m3", "m3", "m4", "m4"]
        nowhere = dryad.submit(inputs >= map(str.upper, "x").on("m9") ** 2, stuck_after=1.0)
        with pytest.raises(JobDeadlocked, match="x may run on m9 only"):
            nowhere.result()


def test_a_vertex_runs_where_most_of_its_input_is() -> None:
    with sim(6) as cluster:
        dryad = lab(cluster, racks=2)
        inputs = dryad.put("numbers", [list(range(500 * k, 500 * k + 500)) for k in range(12)])
        job = dryad.submit((inputs >= map(lambda x: x, "a") ** 12) >= map(lambda x: x, "b") ** 12).result()
        view = job.view()
        assert view.bytes_within > (view.bytes_in_rack + view.bytes_between)


# -- failures ------------------------------------------------------------


def test_the_binary_is_sent_once_to_each_computer() -> None:
    with sim(2) as cluster:
        dryad = lab(cluster)
        dryad.submit(dryad.put("n", [[1]] * 12) >= map(str, "text") ** 12).result()
        assert len(kinds(cluster, "binary_fetched", stage="text")) == 2


def test_upstream_is_executed_again(make_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    """A computer dies with outputs that are still wanted: who cannot read them says so."""
    cluster, gate = make_cluster(machines=3), tmp_path / "gate"
    dryad = lab(cluster)
    m2 = cluster.machine("m2").pid if cluster.engine == "ray" else None

    def add_one(item: Any) -> Any:
        """On real processes m2 waits for the kill, however long that takes, and nobody reads before it."""
        while os.getpid() == m2 and not gate.exists():
            time.sleep(0.01)
        return item + 1

    inputs = dryad.put("numbers", [[k] * 30 for k in range(9)])
    first = map(add_one, "first").on("m3", "m2") ** 9
    graph = (inputs >= first) >> map(lambda x: x, "second").on("m1") ** 2
    job = dryad.submit(graph, seconds_per_vertex=0.5, call_timeout=0.5, duplicates=m2 is None)
    cluster.run_until(
        lambda: any(e.data["machine"] == "m3" for e in kinds(cluster, "process_ended", result="ok")),
        timeout=300.0,
        what="m3 has completed a vertex",
    )
    cluster.kill("m3")
    gate.touch()
    job.result()
    same_as_oracle(job)
    assert kinds(cluster, "output_lost")
    assert kinds(cluster, "process_started", why="upstream")
    assert kinds(cluster, "process_ended", result="read_error")


def test_a_pipes_component_fails_as_a_unit() -> None:
    with sim(6) as cluster:
        dryad = lab(cluster)
        job = dryad.submit(sorted_by_pipes(dryad), channels=PIPES, seconds_per_vertex=1.0)
        cluster.run_until(lambda: len(job.view().records) == 4, what="all run")
        victim = next(r.machine for r in job.view().records.values() if r.machine != "m1")
        cluster.kill(victim)
        job.result()
        same_as_oracle(job)
        versions = [record.version for record in job.view().records.values()]
        assert versions == [1] * 4 + [2] * 4
        assert {record.result for record in list(job.view().records.values())[:4]} > {"lost", "cancelled"}
        assert {job.view().completed[vertex] for vertex in job.view().completed} == {2}


def test_code_that_fails_is_tried_again_and_then_told() -> None:
    async def bad(readers: Any, writers: Any) -> None:
        raise KeyError("no such thing")

    with sim() as cluster:
        dryad = lab(cluster)
        with pytest.raises(JobFailed, match=r"bad\.0 failed 3 times, the last time with KeyError: 'no such"):
            dryad.submit(vertex(bad), max_reruns=2).result()
        assert len(kinds(cluster, "vertex_failed")) == 3

    async def waits(readers: Any, writers: Any) -> None:
        import asyncio

        await asyncio.sleep(1)

    with (
        sim() as cluster,
        pytest.raises(JobFailed, match=r"awaits its readers and writers only|no running event"),
    ):
        lab(cluster).submit(vertex(waits), max_reruns=0).result()


def test_a_slow_vertex_gets_a_duplicate() -> None:
    seconds = {}
    for duplicates in (True, False):
        with sim(5) as cluster:
            dryad = lab(cluster)
            cluster.slow("m4", 20)
            graph = dryad.put("n", [[k] for k in range(20)]) >= map(str, "text") ** 20
            job = dryad.submit(graph, duplicates=duplicates, seconds_per_vertex=0.5).result()
            same_as_oracle(job)
            view = job.view()
            seconds[duplicates] = view.end - view.began  # type: ignore[operator]
            assert bool(kinds(cluster, "duplicate_started")) is duplicates
    assert seconds[False] > 1.5 * seconds[True]


def test_the_job_is_terminated_with_its_manager(make_cluster: Callable[..., Cluster]) -> None:
    async def forever(readers: Any, writers: Any) -> None:
        async for item in readers[0]:
            time.sleep(pause)
            await writers[0].write(item)

    cluster = make_cluster(machines=3)
    pause = 0.05 if cluster.engine == "ray" else 0.0
    dryad = lab(cluster)
    graph = dryad.put("n", [list(range(200))] * 3) >= vertex(forever) ** 3
    job = dryad.submit(graph, machine="m3", seconds_per_item=0.1, timeout=1.0, chunk=1)
    cluster.run_until(lambda: len(kinds(cluster, "process_running")) >= 2, timeout=300.0, what="vertices run")
    cluster.kill("m3")
    with pytest.raises(JobTerminated, match="the job manager on m3 died"):
        job.result()
    cluster.run_until(
        lambda: {event.machine for event in kinds(cluster, "job_dropped")} >= {"m1", "m2"},
        timeout=300.0,
        what="daemons ended its vertices",
    )


@pytest.mark.parametrize("machines", [["m1"], ["m2"], ["m1", "m2", "m3"]])
def test_a_job_whose_manager_or_computer_stood_still_goes_on(machines: list[str]) -> None:
    """The others have ended it: what is lost is executed again. Who stood still itself ends nothing."""
    ended = {"m2", "m3"} if machines == ["m1"] else set()
    with sim(3) as cluster:
        dryad = lab(cluster)
        first = map(lambda x: x + 1, "first").on("m2", "m3") ** 9
        inputs = dryad.put("numbers", [[k] * 30 for k in range(9)])
        job = dryad.submit((inputs >= first) >> map(str, "second").on("m1") ** 2, seconds_per_vertex=0.5)
        cluster.run(1.0)
        for machine in machines:
            cluster.pause(machine)
        cluster.run(6.0)
        for machine in machines:
            cluster.resume(machine)
        same_as_oracle(job.result(timeout=100))
        assert {event.machine for event in kinds(cluster, "job_dropped")} == ended


def test_what_a_computer_is_told_while_it_stands_still_is_not_lost() -> None:
    """A sign of life was on its way to it when there was an order for it, too."""
    with sim(3) as cluster:
        dryad = lab(cluster)
        inputs = dryad.put("numbers", [[k] for k in range(2)])
        first = map(lambda x: x + 1, "first").on("m1") ** 2
        graph = (inputs >= first) >> map(str, "second").on("m2") ** 1
        job = dryad.submit(graph, seconds_per_vertex=0.5)
        cluster.run_until(lambda: len(kinds(cluster, "process_ended")) == 1, what="the first half is done")
        cluster.pause("m2")
        cluster.run_until(lambda: bool(kinds(cluster, "process_started", machine="m2")), what="the order")
        cluster.run(1.2)
        cluster.resume("m2")
        same_as_oracle(job.result(timeout=30))


@pytest.mark.parametrize("stands_still", [[], ["m1"]])
def test_the_only_computer_that_may_run_it_comes_back(stands_still: list[str]) -> None:
    """It was given up, and has given up itself; and the job manager's own standstill counts for nothing."""
    with sim(3) as cluster:
        dryad = lab(cluster)
        graph = dryad.put("numbers", [[k] * 30 for k in range(3)]) >= map(str, "text").on("m2") ** 3
        job = dryad.submit(graph, seconds_per_vertex=1.0)
        cluster.run(0.5)
        cluster.partition("m2", ["m1", "m3"])
        cluster.run_until(lambda: bool(kinds(cluster, "computer_lost", machine="m2")), what="m2 is lost")
        for machine in stands_still:
            cluster.pause(machine)
            cluster.run(6.0)
            cluster.resume(machine)
        cluster.run_until(lambda: bool(kinds(cluster, "job_dropped")), what="m2 has ended it")
        cluster.run(0.5)
        cluster.heal()
        same_as_oracle(job.result(timeout=60))


def test_a_job_can_be_cancelled() -> None:
    with sim() as cluster:
        dryad = lab(cluster)
        job = dryad.submit(word_count(dryad), seconds_per_vertex=5.0)
        cluster.run(1.0)
        job.cancel()
        with pytest.raises(JobCancelled):
            job.result()
        same_as_oracle(dryad.submit(job.drawn).result())


def test_what_is_refused() -> None:
    with sim() as cluster:
        dryad = lab(cluster)
        graph = word_count(dryad)
        for wrong, error, words in (
            (lambda: dryad.submit(graph, slots=0), ValueError, "slots=0"),
            (lambda: dryad.submit(graph, spots=1), TypeError, "has no option 'spots'"),
            (lambda: dryad.submit(sort), TypeError, "a job is a Graph"),
            (lambda: dryad.submit(graph, managers={"none": ()}), ValueError, "the stages are input, split"),
            (
                lambda: dryad.submit(graph, channels={("input", "split"): "pipe"}),
                ValueError,
                "read from files",
            ),
            (lambda: dryad.input("nothing/*"), FileNotFoundError, "no file is named"),
            (lambda: dryad.submit(dryad.input("lines/*")), ValueError, "outputs are vertices that run"),
        ):
            with pytest.raises(error, match=words):
                wrong()


def test_lines_of_a_text() -> None:
    with sim() as cluster:
        dryad = lab(cluster)
        dryad.fs.put("corpus", {"a": "one two\nthree", "b": "four\n"})
        lines = dryad.input("corpus/*")
        job = dryad.submit((lines >= flat_map(str.split, "words") ** 2) >> sort()).result()
        assert job.output() == [["four", "one", "three", "two"]]
        same_as_oracle(job)


def test_the_run_as_code_and_once_more() -> None:
    with sim(3, seed=2) as cluster:
        dryad = lab(cluster, racks=2)
        job = dryad.submit(word_count(dryad), seconds_per_vertex=0.5)
        cluster.run(1.0)
        cluster.kill("m2")
        output = job.result().output()
        code = job.code().rsplit("job_again.panel()", 1)[0]
        names: dict[str, Any] = {"job": job}
        exec(code, names)
        with names["again"]:
            assert names["job_again"].view().result == "ok"
            assert names["job_again"].output() == output
        job.reset()
        assert job.result().output() == output
