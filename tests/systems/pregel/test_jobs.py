"""Jobs as a user runs them, on both engines, and the mechanisms of the paper one by one."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from labkit import Cluster
from labkit.parts.store import FileSystem
from labkit.systems.pregel import (
    AdjacencyText,
    Aggregator,
    EdgeText,
    JobFailed,
    Max,
    Min,
    Pregel,
    Sum,
    TextWriter,
    Vertex,
    hash_partition,
    run_locally,
    young,
)
from labkit.systems.pregel.programs import PageRank, ShortestPaths

from .conftest import links, pregel, right, sim, weighted

SLOW: dict[str, Any] = {"seconds_per_vertex": 2e-3, "partitions": 7}


class Ranks(PageRank):
    """PageRank, whose sum is known."""

    aggregators: ClassVar[dict[str, Aggregator]] = {
        "total": Sum(),
        "largest": Max(),
        "ever": Sum(sticky=True),
    }
    iterations = 8
    gate = ""  #: a file without which no superstep beyond the sixth ends

    def compute(self, messages: Sequence[float]) -> None:
        while self.gate and self.superstep > 6 and not os.path.exists(self.gate):
            time.sleep(0.01)
        super().compute(messages)
        self.aggregate("total", self.value)
        self.aggregate("largest", self.value)
        self.aggregate("ever", 1)


def test_a_kill_in_each_of_three_jobs(make_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    """The ranks are those of one thread, though a machine dies in superstep 5 or soon after: with either
    recovery, by vertex and over arrays."""
    cluster, graph, arrays = make_cluster(machines=3), links(300), weighted(300)
    P = pregel(cluster)
    cases: list[tuple[str, Any, Any, bool]] = [
        ("rollback", Ranks, graph, False),
        ("confined", Ranks, graph, False),
        ("confined", PageRank.having(iterations=9), arrays, True),
    ]
    for number, (recovery, program, over, batch) in enumerate(cases):
        gate = tmp_path / str(number)
        held = cluster.engine == "ray" and not batch
        if held:  # it is not over when the kill comes, however late that is
            program = program.having(gate=str(gate))
        job = P.start(
            program, over, f"ranks-{number}", recovery=recovery, checkpoint_every=3, partitions=6,
            arrays=batch, seconds_per_vertex=2e-3,
        )  # fmt: skip
        cluster.run_until(lambda: job.view().current >= 5, timeout=300.0, what="superstep 5")  # noqa: B023
        before = cluster.now
        assigned = cluster.trace.filter("partitions_assigned", node=f"{job.name}-master")[-1].data["places"]
        cluster.kill("m3")
        gate.touch()
        job.result()
        right(job, program, over)
        view = job.view()
        # On a busy computer a worker may seem to have failed before, even before the first checkpoint.
        assert {each.kind for each in view.recoveries if each.time > before} <= {recovery}
        if held and f"{job.name}-m3" in assigned:
            assert [each for each in view.recoveries if each.time > before]
        assert view.checkpoints
        cluster.restart("m3")


def test_confined_recovery_computes_the_lost_partitions_only() -> None:
    """The work of a recovery, in calls of compute: about the lost fraction of a rollback's."""
    again, graph = {}, links(400)
    for recovery in ("rollback", "confined"):
        with sim() as cluster:
            job = pregel(cluster).start(
                Ranks,
                graph,
                "r",
                recovery=recovery,
                checkpoint_every=50,
                partitions=8,
                seconds_per_vertex=2e-3,
            )
            job.checkpoint()
            cluster.run_until(lambda: job.view().current >= 6, what="superstep 6")  # noqa: B023
            cluster.kill("m3")
            job.result()
            right(job, Ranks, graph)
            work = job.view().work()
            again[recovery] = work["computed"] - work["needed"]
            lost = job.view().recoveries[0].lost
            if recovery == "confined":
                recomputed = {each.partition for each in job.view().computations if each.recovering}
                assert recomputed == set(lost)
                assert cluster.trace.filter("partition_replayed")
    fraction = len(lost) / 8
    assert 0.5 * fraction < again["confined"] / again["rollback"] < 1.8 * fraction


def test_recovery_is_chosen_while_it_runs() -> None:
    graph = links(300)
    with sim() as cluster:
        job = pregel(cluster).start(Ranks, graph, "r", checkpoint_every=100, **SLOW)
        cluster.run_until(lambda: job.view().current >= 2, what="superstep 2")
        job.set_recovery("confined")
        cluster.run_until(lambda: job.view().current >= 5, what="superstep 5")
        assert [superstep for _, superstep, *_ in job.view().checkpoints] == [3]
        assert job.recovery == "confined"
        cluster.kill("m3")
        cluster.run_until(lambda: bool(job.view().recoveries), what="a recovery")
        job.set_recovery("rollback")
        cluster.kill("m4")
        job.result()
        right(job, Ranks, graph)
        assert [each.kind for each in job.view().recoveries] == ["confined", "rollback"]
        with pytest.raises(ValueError, match='write recovery="rollback" or recovery="confined"'):
            job.set_recovery("none")


def test_without_a_checkpoint_the_input_is_read_again() -> None:
    graph = links()
    with sim() as cluster:
        job = pregel(cluster).start(Ranks, graph, "r", **SLOW)
        cluster.run_until(lambda: job.view().current >= 4, what="superstep 4")
        cluster.kill("m2")
        job.result()
        right(job, Ranks, graph)
        (recovery,) = job.view().recoveries
        assert recovery.back_to is None
        assert len(cluster.trace.filter("graph_loaded")) == 2


def test_what_a_worker_builds_that_counts_as_failed_is_void() -> None:
    """It stood still while it loaded, and goes on with that when the others compute."""
    graph = links(300)
    with Cluster(machines=3, engine="sim", seed=1) as cluster:
        job = pregel(cluster).start(
            PageRank.having(iterations=8), graph, "r", partitions=6, seconds_per_vertex=2e-3
        )
        cluster.run(0.05)
        cluster.pause("m2")
        cluster.run(5.0)
        assert job.view().current > 0
        cluster.resume("m2")
        job.result()
        last = [each for each in cluster.trace.filter("partition_built") if each.machine == "m2"][-1]
        assert last.time > cluster.trace.filter("superstep_started")[1].time
        right(job, PageRank.having(iterations=8), graph)


def test_youngs_formula_is_the_interval() -> None:
    year = 365 * 86400
    assert young(120, year / 64) == pytest.approx(3.02 * 3600, rel=0.01)
    counts = []
    for mtbf in (1e-3, 1e6):
        with sim() as cluster:
            job = pregel(cluster).run(Ranks, links(), "r", checkpoint_every="young", mtbf=mtbf, **SLOW)
            counts.append(len(job.view().checkpoints))
    assert counts[0] > 5
    assert counts[1] == 1


def test_aggregators_show_the_superstep_before() -> None:
    class Counts(Vertex):
        """What it has seen, in its value."""

        aggregators: ClassVar[dict[str, Aggregator]] = {
            "sum": Sum(), "least": Min(), "most": Max(), "ever": Sum(sticky=True), "mine": Longest()
        }  # fmt: skip

        def compute(self, messages: Sequence[Any]) -> None:
            seen = tuple(self.aggregated(name) for name in ("sum", "least", "most", "ever", "mine"))
            self.value = [*(self.value or []), seen]
            for name in ("sum", "least", "most", "ever"):
                self.aggregate(name, self.vertex_id + self.superstep)
            if self.superstep == 1:
                self.aggregate("mine", "x" * self.vertex_id)
            if self.superstep == 3:
                self.vote_to_halt()

    with sim() as cluster:
        job = pregel(cluster).run(Counts, {v: [] for v in range(10)}, "out", partitions=7)
        seen = job.output()[0]
        assert seen[0] == (0, float("inf"), float("-inf"), 0, "")
        assert seen[1] == (45, 0, 9, 45, "")
        assert seen[2] == (55, 1, 10, 100, "x" * 9)
        assert seen[3] == (65, 2, 11, 165, "")
        assert job.check().ok
        assert run_locally(Counts, {v: [] for v in range(10)})[0] == seen


class Longest(Aggregator):
    """One of the user's own."""

    initial = ""

    def reduce(self, one: Any, other: Any) -> Any:
        return max(one, other, key=len)


def test_combiners_make_fewer_messages_and_the_same_values() -> None:
    graph = {v: [(v + k) % 5 for k in range(5)] for v in range(300)}
    travelled = {}
    for combine in (True, False):
        with sim() as cluster:
            job = pregel(cluster).run(Ranks, graph, "r", combine=combine, partitions=4)
            right(job, Ranks, graph)
            table = job.statistics().table
            travelled[combine] = table.travelled[1]
            assert table.messages[1] == 1500
    assert travelled == {True: 20, False: 1500}


def test_messages_leave_in_batches() -> None:
    graph = links(300)
    with sim() as cluster:
        job = pregel(cluster).run(Ranks, graph, "r", batch=10, combine=False, **SLOW)
        right(job, Ranks, graph)
    with sim() as cluster:
        right(pregel(cluster).run(Ranks, graph, "r", batch=1, **SLOW), Ranks, graph)


def test_a_partition_is_where_the_id_says() -> None:
    def ends(vertex_id: Any, partitions: int) -> int:
        return int(vertex_id) % 10 % partitions

    graph = links(50)
    with sim() as cluster:
        job = pregel(cluster).run(Ranks, graph, "r", partitioner=ends, partitions=3)
        right(job, Ranks, graph)
        built = {e.data["partition"]: e.data["vertices"] for e in cluster.trace.filter("partition_built")}
        assert built == {0: 20, 1: 15, 2: 15}
        with pytest.raises(JobFailed, match=r"partitioner\(.*returned 'x', not a whole number from 0 to 2"):
            pregel_again(job).run(Ranks, graph, "s", partitioner=lambda v, N: "x", partitions=3)
        for arrays in (False, True):
            with pytest.raises(JobFailed, match="depend on the id alone"):
                pregel_again(job).run(
                    PageRank, weighted(), f"t-{arrays}", arrays=arrays, partitioner=lambda v, N: moody(N)
                )
    assert hash_partition(3, 8) == hash_partition(3.0, 8)
    assert 0 <= hash_partition(("a", 1), 8) < 8


def moody(partitions: int) -> int:
    """Another one each time, for each worker: no partitioner."""
    return random.randrange(partitions)


def pregel_again(job: Any) -> Pregel:
    return Pregel(job.cluster, job.fs)


def test_readers_and_writers() -> None:
    with sim() as cluster:
        fs = FileSystem(cluster)
        fs.put("in", {"a": "# nothing\n1 2:0.5 3\n2\n", "b": "3 1:4\n\n1 4:9\n4\n"})
        job = Pregel(cluster, fs).run(
            ShortestPaths.having(source=1), "in/*", "out", reader=AdjacencyText(), writer=TextWriter()
        )
        assert dict(job.output()) == {1: 0.0, 2: 0.5, 3: 1.0, 4: 9.0}
        lines = b"".join(fs.cat(path) for path in fs.glob("out/part-*")).decode().splitlines()
        assert sorted(lines) == ["1\t0.0", "2\t0.5", "3\t1.0", "4\t9.0"]
        fs.put("edges", {"a": "x y 2\ny z\n"})
        job = Pregel(cluster, fs).run(
            ShortestPaths.having(source="z"), "edges/*", "back", reader=EdgeText(directed=False)
        )
        assert dict(job.output()) == {"x": 3.0, "y": 1.0, "z": 0.0}
        with pytest.raises(FileNotFoundError, match="no file is named as 'none"):
            Pregel(cluster, fs).run(Ranks, "none/*", "n", reader=EdgeText())
        with pytest.raises(TypeError, match=r"give reader=AdjacencyText\(\) or EdgeText\(\)"):
            Pregel(cluster, fs).run(Ranks, "in/*", "n")
        with pytest.raises(TypeError, match="a reader is for files"):
            Pregel(cluster, fs).run(Ranks, {1: []}, "n", reader=EdgeText())
        assert not fs.glob("out/_temporary/*")


def test_statistics() -> None:
    with sim() as cluster:
        job = pregel(cluster).run(Ranks, links(), "r", partitions=3)
        page = job.statistics()
        assert "60 vertices" in repr(page)
        assert sum(page.degrees().values()) == 60
        assert list(page.table.index) == list(range(9))
        assert page.table.total[0] == pytest.approx(1.0)
        assert "<table" in page._repr_html_()
