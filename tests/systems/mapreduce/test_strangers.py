"""What strangers did: each of these gave a wrong result, no end, or an internal error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from labkit import Cluster, MachineDead
from labkit.systems.mapreduce import JobAborted, JobCancelled, JobFailed, MapReduce, Pairs

from .conftest import WordCount, lab, same_as_oracle


def sim(machines: int = 4) -> Cluster:
    return Cluster(machines=machines, engine="sim")


def emitting(*keys: Any, **attributes: Any) -> type[MapReduce]:
    class Emitting(MapReduce):
        def map(self, key: Any, value: str) -> None:
            for number, each in enumerate(keys):
                self.emit_intermediate(each, number)

    for name, value in attributes.items():
        setattr(Emitting, name, value)
    return Emitting


def test_workers_of_an_aborted_job_do_not_write_into_the_next_ones_output() -> None:
    class Twice(WordCount):
        def reduce(self, key: str, values: Any) -> None:
            self.emit(2 * sum(values))

        combine = None

    with sim() as cluster:
        program = lab(cluster)
        job = program.start("corpus/*", "out", M=4, R=12, master="m2", seconds_per_task=2.0)
        committed = cluster.trace.filter
        cluster.run_until(lambda: len(committed("reduce_committed")) >= 2, what="two outputs are there")
        cluster.kill("m2")
        with pytest.raises(JobAborted):
            job.result()
        assert "aborted" in repr(job.status())
        assert job.check().ok
        job.fs.rm("out", recursive=True)
        same_as_oracle(Twice(cluster, job.fs).run("corpus/*", "out", M=4, R=12, seconds_per_task=1.0))


def test_nobody_waits_for_ever_for_a_master_that_stays_dead() -> None:
    """Its machine may come back, and then it goes on from its checkpoint; or not."""
    with sim() as cluster:
        options = {"M": 4, "R": 2, "master": "m2", "seconds_per_task": 2.0, "checkpoint_every": 0.5}
        job = lab(cluster).start("corpus/*", "out", **options)
        cluster.run(1.0)
        cluster.kill("m2")
        for _ in range(2):
            with pytest.raises(MachineDead, match=r"cluster.restart\('m2'\), and ask for the result again"):
                job.result()
        cluster.restart("m2")
        same_as_oracle(job.result())


def test_a_job_that_is_cancelled_ends_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with sim() as cluster:
        program = lab(cluster)
        job = program.start("corpus/*", "out", M=4, R=2, seconds_per_task=2.0)
        cluster.run(1.0)
        job.cancel()
        with pytest.raises(JobCancelled, match="it was cancelled"):
            job.result()
        assert job.view().result == "cancelled"
        assert job.check().ok
        assert not job.fs.exists("out")
        job.cancel()
        same_as_oracle(done := program.run("corpus/*", "out", M=4, R=2))
        done.cancel()
        assert done.view().result == "ok"
        with monkeypatch.context() as patch:
            patch.setattr(type(done), "result", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                program.run("corpus/*", "stopped", M=4, R=2, seconds_per_task=2.0)
        assert cluster.trace.filter(kind="job_finished")[-1].data["result"] == "cancelled"


def test_lines_end_as_windows_ends_them_and_text_may_have_lone_surrogates() -> None:
    with sim() as cluster:
        program = lab(cluster)
        program.fs.put("windows.txt", b"ada bob\r\nada \xed\xb3\xbc\r\n")
        assert dict(program.run("windows.txt", "out", M=2, R=1).output().values)["ada"] == 2

        class Surrogate(WordCount):
            def map(self, key: int, value: str) -> None:
                self.emit_intermediate("\udcfc", 1)

        assert Surrogate(cluster, program.fs).run("windows.txt", "odd", R=1).output().key[0] == "\udcfc"


def test_two_jobs_do_not_share_a_folder_and_an_old_part_is_in_the_way() -> None:
    with sim() as cluster:
        program = lab(cluster)
        job = program.start("corpus/*", "out", R=2)
        with pytest.raises(FileExistsError, match="another job writes into 'out'"):
            program.start("corpus/*", "out", R=2)
        job.result()
        job.fs.put("old/part-00007", b"x")
        with pytest.raises(FileExistsError, match="has the output of a job"):
            program.start("corpus/*", "old", R=2)
        with pytest.raises(NotADirectoryError):
            program.start("corpus/*", "corpus/f0", R=2)


@pytest.mark.parametrize("checkpoint_every", [None, 0.5])
def test_a_master_that_restarts_after_the_end_begins_nothing(checkpoint_every: float | None) -> None:
    with sim() as cluster:
        program = lab(cluster)
        job = program.run("corpus/*", "out", master="m2", checkpoint_every=checkpoint_every)
        job.fs.rm("out", recursive=True)
        cluster.kill("m2")
        cluster.restart("m2")
        cluster.run(10.0)
        assert job.view().result == "ok"
        assert job.check().ok
        assert not job.fs.exists("out")


class Ordered:
    """A key with an order, and a hash of its own."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __lt__(self, other: Any) -> bool:
        return bool(self.number < other.number)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ordered) and self.number == other.number

    def __hash__(self) -> int:
        return hash(self.number)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ([1.0, float("nan"), 0.5, float("nan")], "is not less than"),
        ([frozenset("ab"), frozenset("cd"), frozenset("a")], "is not less than"),
        ([Ordered(1)], "hash differs from process to process"),
        (["two\nlines"], "would be several lines"),
    ],
)
def test_keys_that_gave_wrong_results(keys: list[Any], says: str) -> None:
    with sim(2) as cluster, pytest.raises(JobFailed, match=says):
        lab(cluster, emitting(*keys)).run("corpus/*", "out", R=1)


def returns(self: Any, key: Any, values: Any) -> Any:
    return [key]


def yields(self: Any, key: Any, values: Any) -> Any:
    yield key


@pytest.mark.parametrize("function", ["map", "reduce", "combine"])
@pytest.mark.parametrize("wrong", [returns, yields])
def test_functions_that_do_not_emit(function: str, wrong: Any) -> None:
    with sim(2) as cluster:
        program = lab(cluster, type("Wrong", (WordCount,), {function: wrong}))
        with pytest.raises(JobFailed, match=f"{function} .* where it is to emit"):
            program.run("corpus/*", "out", R=1)


def side_file(name: Any) -> Callable[..., None]:
    def write(self: Any, key: Any, value: Any) -> None:
        self.side_file(name).write("x")

    return write


@pytest.mark.parametrize("name", ["..", "", "part-00000", "_temporary/x", None])
def test_side_files_that_cannot_be(name: Any) -> None:
    with sim(2) as cluster, pytest.raises(JobFailed, match=r"side_file|names no file|above the root"):
        lab(cluster, emitting(map=side_file(name))).run("corpus/*", "out", R=1)


def test_what_is_wrong_in_a_worker_ends_the_job() -> None:
    with sim(2) as cluster:
        program = lab(cluster)
        program.fs.put_sized("large/file", 5000)
        with pytest.raises(JobFailed, match="only their number"):
            program.run("large/*", "out")
        nan = emitting(1, writer=Pairs(), reduce=lambda self, key, values: self.emit(float("nan")))
        with pytest.raises(JobFailed, match="Pairs cannot read"):
            nan(cluster, program.fs).run("corpus/*", "pairs")


def test_a_combiner_that_emits_one_object_again_and_again() -> None:
    class Reusing(WordCount):
        total: Any = None

        def combine(self, key: str, values: Any) -> None:
            self.total = self.total or [0]
            self.total[0] = sum(value[0] for value in values)
            self.emit(self.total)

        def map(self, key: Any, value: str) -> None:
            for word in value.split():
                self.emit_intermediate(word, [1])

        def reduce(self, key: str, values: Any) -> None:
            self.emit(sum(value[0] for value in values))

    with sim(2) as cluster:
        same_as_oracle(lab(cluster, Reusing).run("corpus/*", "out", M=3, R=2))


def test_inputs_and_programs_that_cannot_be() -> None:
    with sim(2) as cluster, Cluster(machines=2, engine="sim", name="other") as other:
        program = lab(cluster)
        with pytest.raises(FileNotFoundError, match=r"is a folder; for the files in it write 'corpus/\*'"):
            program.run("corpus", "out")
        with pytest.raises(FileNotFoundError):
            program.run_locally("nothing/*")
        with pytest.raises(Exception, match="is not on"):
            WordCount(other, program.fs).run("corpus/*", "out")
        with pytest.raises(TypeError, match="in this order"):
            WordCount(program.fs, cluster)  # type: ignore[arg-type]
