"""Jobs as a user runs them, on both engines, and the mechanisms of the paper one by one."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labkit import Cluster
from labkit.systems.mapreduce import JobAborted, JobFailed, MapReduce, Pairs
from labkit.systems.mapreduce.readers import literal

from .conftest import CORPUS, WordCount, lab, same_as_oracle


def sim(machines: int = 4, seed: int = 0) -> Cluster:
    return Cluster(machines=machines, engine="sim", seed=seed)


def test_word_count(make_cluster: Callable[..., Cluster]) -> None:
    job = lab(make_cluster(machines=3)).run("corpus/*", "out/", M=7, R=3)
    same_as_oracle(job)
    assert job.output().set_index("key").value["quick"] == sum(20 + n for n in range(4))
    assert "7 of 7 completed" in repr(job.status())
    assert (job.timeline().sum() > 0).all()
    with pytest.raises(FileExistsError, match="has the output of a job"):
        job.program.run("corpus/*", "out/", R=3)


def test_completed_maps_run_again_and_completed_reduces_stay(
    make_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    """A worker dies when its map tasks are completed and their outputs still wanted."""
    cluster, gate = make_cluster(machines=3), tmp_path / "gate"
    program = lab(cluster)
    options: dict[str, Any] = {"seconds_per_task": 1.0}
    if cluster.engine == "ray":  # the others have not completed theirs when it dies, however long that takes
        program.gate, program.but_in = str(gate), cluster.machine("m3").pid
        options = {"backup": False}
    job = program.start("corpus/*", "out/", M=9, R=4, **options)
    mine = f"{job.name}-m3"
    cluster.run_until(
        lambda: any(
            event.data["worker"] == mine and event.data["kind"] == "map"
            for event in cluster.trace.filter("task_finished")
        ),
        timeout=300.0,
        what="the worker has completed a map task",
    )
    cluster.kill("m3")
    gate.touch()
    job.result()
    same_as_oracle(job)
    again = [e for e in cluster.trace.filter("task_started") if e.data["why"] == "lost"]
    assert again
    assert all(e.data["kind"] == "map" for e in again)


def test_a_backup_task_beats_a_straggler() -> None:
    seconds = {}
    for backup in (True, False):
        with sim(5) as cluster:
            cluster.slow("m4", 20)
            job = lab(cluster).run("corpus/*", "out/", M=16, R=4, backup=backup, seconds_per_task=0.5)
            same_as_oracle(job)
            seconds[backup] = job.view().end - job.view().began  # type: ignore[operator]
            assert bool(cluster.trace.filter("backup_started")) is backup
    assert seconds[False] > 1.5 * seconds[True]


def test_spills_and_external_sort_change_nothing() -> None:
    with sim(3) as cluster:
        job = lab(cluster).run("corpus/*", "out/", M=4, R=2, memory=200)
        same_as_oracle(job)
        kinds = {event.data["kind"] for event in cluster.trace.filter("spilled")}
        assert kinds == {"map", "reduce"}


def test_the_combiner_makes_the_shuffle_smaller() -> None:
    class Plain(WordCount):
        combine = None

    moved = []
    for program in (WordCount, Plain):
        with sim(3) as cluster:
            job = lab(cluster, program, {"f": CORPUS["f0"] * 20}).run("corpus/*", "out/", M=4, R=2)
            same_as_oracle(job)
            moved.append(sum(size for _, what, size, _ in job.view().moved if what == "shuffle"))
    assert 5 * moved[0] < moved[1]


def test_a_partition_of_ones_own_and_ascending_keys() -> None:
    class ByFirst(WordCount):
        def partition(self, key: str, R: int) -> int:
            return 0 if key < "l" else 1

    with sim(3) as cluster:
        job = lab(cluster, ByFirst).run("corpus/*", "out/", M=5, R=2)
        same_as_oracle(job)
        keys = [line.split("\t")[0] for path in job.files for line in job.fs.cat(path).decode().splitlines()]
        assert keys == sorted(keys)

    class Wrong(WordCount):
        def partition(self, key: str, R: int) -> int:
            return R

    with sim(3) as cluster, pytest.raises(JobFailed, match="a whole number from 0 to 1"):
        lab(cluster, Wrong).run("corpus/*", "out/", R=2)


def test_map_tasks_run_where_their_input_is() -> None:
    with sim(6) as cluster:
        fs_program = lab(cluster)
        fs_program.run("corpus/*", "out/", M=12, R=2, seconds_per_task=0.1, locality_wait=1.0)
        where = [e.data["locality"] for e in cluster.trace.filter("task_started") if e.data["kind"] == "map"]
        assert where.count("process") >= 10


class Fragile(WordCount):
    """Cannot bear some lines."""

    def map(self, key: Any, value: str) -> None:
        if "fox 2" in value and key == 0:
            raise ValueError("a bad record")
        super().map(key, value)


def test_a_failing_program_is_told_with_its_traceback() -> None:
    with sim(3) as cluster, pytest.raises(JobFailed, match=r"(?s)failed 4 times.*a bad record.*Traceback"):
        lab(cluster, Fragile).run("corpus/*", "out/", M=4, R=2)


def test_bad_records_are_skipped_after_two_failures(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(machines=2)
    job = lab(cluster, Fragile).run("corpus/*", "out/", M=4, R=2, skip_bad_records=True)
    told = len(cluster.trace.filter("last_gasp"))
    assert 2 <= told <= 3, "an execution that was under way when the record was marked may fail on it, too"
    assert len(job.view().skipped) == 1
    whole = lab_local(CORPUS)
    assert job.counters["map_input_pairs"] == whole.counters["map_input_pairs"] - 1
    assert job.check().ok


def lab_local(corpus: Any) -> Any:
    return WordCount().run_locally(corpus)


def test_side_files_and_literals() -> None:
    class Beside(WordCount):
        writer = Pairs()

        def reduce(self, key: str, values: Any) -> None:
            self.side_file(f"side-{key[:1]}").write(f"{key}\n")
            self.emit((key, sum(values)))

        combine = None

        def partition(self, key: str, R: int) -> int:
            return ord(key[0]) % R

    with sim(3) as cluster:
        job = lab(cluster, Beside).run("corpus/*", "out/", M=3, R=2)
        same_as_oracle(job)
        assert job.fs.cat("out/side-q") == b"quick\n"

        class Again(MapReduce):
            reader = Pairs()

            def map(self, key: Any, value: Any) -> None:
                self.emit_intermediate(key, value[1])

        second = Again(cluster, job.fs).run("out/part-*", "second/", M=3, R=1)
        assert dict(second.output().values)["the"] == lab_local(CORPUS).output().set_index("key").value["the"]


def test_without_a_checkpoint_the_job_dies_with_its_master() -> None:
    with sim(4) as cluster:
        program = lab(cluster)
        job = program.start("corpus/*", "out/", M=8, R=2, master="m2", seconds_per_task=1.0)
        cluster.run(2.0)
        cluster.kill("m2")
        with pytest.raises(JobAborted, match="the master on m2 died, and had no checkpoint"):
            job.result()


def test_with_a_checkpoint_it_goes_on() -> None:
    with sim(4) as cluster:
        job = lab(cluster).start(
            "corpus/*", "out/", M=8, R=2, master="m2", seconds_per_task=1.0, checkpoint_every=0.5
        )
        cluster.run(2.5)
        cluster.kill("m2")
        cluster.run(1.0)
        cluster.restart("m2")
        job.result()
        same_as_oracle(job)
        (back,) = cluster.trace.filter("master_recovered")
        assert back.data["maps"]


def test_a_master_that_stood_still_marks_nobody_as_failed() -> None:
    with sim(4) as cluster:
        job = lab(cluster).start("corpus/*", "out/", M=8, R=2, master="m2", seconds_per_task=1.0)
        cluster.run(1.5)
        cluster.pause("m2")
        cluster.run(20.0)
        cluster.resume("m2")
        job.result()
        # Its own worker stood still with it.
        assert {e.data["worker"] for e in cluster.trace.filter("worker_failed")} <= {f"{job.name}-m2"}
        same_as_oracle(job)


def test_after_the_end_nobody_is_missed_and_no_file_is_left() -> None:
    with sim(3) as cluster:
        job = lab(cluster).run("corpus/*", "out/", M=4, R=2)
        cluster.run(10.0)
        assert cluster.trace.filter("worker_failed") == []
        assert [path for path in job.fs.glob("out/**") if "_temporary" in path] == []
        for machine in cluster.machines:
            assert cluster.peek(job.spec.worker(machine.name)).files.names() == []


@pytest.mark.parametrize("bad", [{"M": 0}, {"R": "4"}, {"timeout": 0.1}, {"backup": 3}])
def test_options_that_cannot_be(bad: dict[str, Any]) -> None:
    with sim(2) as cluster, pytest.raises(ValueError, match=next(iter(bad))):
        lab(cluster).start("corpus/*", "out/", **bad)


def test_a_literal_is_what_python_reads() -> None:
    draw = random.Random(1)
    numbers = [0, -0.0, 1e300, 5e-324, 1e16, 123456789.123, 1e-7, -7, 10**40]

    def value(depth: int) -> Any:
        kinds: list[Callable[[], Any]] = [
            lambda: draw.choice(numbers),
            lambda: draw.random() * 10 ** draw.randrange(-20, 20),
            lambda: "".join(draw.choices("ab'\"\\ \tö\n(),1.\x00", k=draw.randrange(6))),
            lambda: draw.choice([None, True, b"x'"]),
            lambda: tuple(draw.choice(numbers) for _ in range(draw.randrange(4))),
            lambda: tuple(value(depth + 1) for _ in range(draw.randrange(4))),
            lambda: [value(depth + 1) for _ in range(draw.randrange(3))],
        ]
        return draw.choice(kinds if depth < 3 else kinds[:5])()

    for _ in range(5000):
        text = repr(value(0))
        assert repr(literal(text)) == text
    for bad in ("", "01", "nan", "inf", "--1", "(1, 2", "1 2", "'a", "1e", "a"):
        with pytest.raises((ValueError, SyntaxError)):
            literal(bad)
