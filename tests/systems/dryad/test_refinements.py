"""The graph changes while the job runs, and its result does not."""

from __future__ import annotations

from operator import add
from typing import Any

import pytest

from labkit import Cluster
from labkit.parts.checks import whole
from labkit.systems.dryad import (
    AggregationTree,
    Dryad,
    Graph,
    Job,
    JobFailed,
    PartialAggregation,
    StageManager,
)
from labkit.systems.dryad.invariants import _Replay
from labkit.systems.dryad.vertices import map, reduce

from .conftest import lab, same_as_oracle, word_count


def histogram(dryad: Dryad, parts: int = 24, finals: int = 1, after: bool = False) -> Graph:
    """Counts of each partition, summed in one vertex."""
    lines = dryad.put("log", [[f"q{(7 * i + k) % 40}" for i in range(120)] for k in range(parts)])
    pairs = map(lambda query: (query, 1), "query")
    count = (lines >= pairs**parts) >= reduce(add, "count") ** parts
    graph = count >> reduce(add, "sum") ** finals
    return graph >> map(lambda pair: pair, "last") if after else graph


def ran(managers: Any, machines: int = 8, after: bool = False, **options: Any) -> Job:
    with Cluster(machines=machines, engine="sim") as cluster:
        dryad = lab(cluster, racks=4)
        fifo = {("query", "count"): "fifo"}  # so that all that moves is what "sum" is to read
        graph = histogram(dryad, after=after)
        job = dryad.submit(graph, managers=managers, slots=2, channels=fifo, **options).result()
        if after:
            assert sorted(job.output()[0]) == sorted(dryad.run_locally(job.drawn)[0]) or managers
            assert job.check().ok, job.check()
        else:
            same_as_oracle(job)
        job._totals = sums(job)  # type: ignore[attr-defined]
        return job


def sums(job: Job) -> dict[str, int]:
    found: dict[str, int] = {}
    for key, value in job.output()[0]:
        found[key] = found.get(key, 0) + value
    return found


def test_an_aggregation_tree_saves_bytes_between_racks() -> None:
    tree = AggregationTree(reduce(add, "Z"), most_inputs=50)
    plain, refined = ran({}).view(), ran({"count": tree}).view()
    assert refined.bytes_between * 3 < plain.bytes_between
    stages = {stage: len(vertices) for stage, vertices in refined.stages().items()}
    assert stages["Z@machine"] >= 4
    assert 1 <= stages["Z@rack"] <= 4
    assert len(refined.inserted) == stages["Z@machine"] + stages["Z@rack"]


def test_small_groups_begin_while_the_stage_still_runs() -> None:
    job = ran(
        {"count": AggregationTree(reduce(add, "Z"), ["machine"], most_inputs=2)}, seconds_per_vertex=1.0
    )
    view = job.view()
    first = min(view.inserted.values())
    last = max(r.end or 0.0 for r in view.records.values() if view.stage_of[r.vertices[-1]] == "count")
    assert first < last


def test_partial_aggregation_replicates_the_reader() -> None:
    plain = ran({}, after=True)
    partial = ran({"count": PartialAggregation(most_inputs=6)}, after=True)
    assert len(plain.view().stages()["sum"]) == 1
    assert len(partial.view().stages()["sum"]) > 2
    assert partial._totals == plain._totals  # type: ignore[attr-defined]


def test_vertices_that_were_inserted_are_executed_again_like_others() -> None:
    with Cluster(machines=6, engine="sim", seed=3) as cluster:
        dryad = lab(cluster, racks=3)
        tree = AggregationTree(reduce(add, "Z"), most_inputs=2)
        job = dryad.submit(histogram(dryad), managers={"count": tree}, seconds_per_vertex=1.0)
        cluster.run_until(lambda: len(job.view().inserted) >= 4, what="the graph was refined")
        cluster.kill("m4")
        cluster.kill("m5")
        job.result()
        same_as_oracle(job)
        assert any(r.why == "upstream" for r in job.view().records.values())


def test_what_a_manager_may_not_do() -> None:
    class Late(StageManager):
        def completed(self, job: Any, vertex: int) -> None:
            job.replicate(list(job.links(vertex)))

    with Cluster(machines=3, engine="sim") as cluster:
        dryad = lab(cluster)
        job = dryad.submit(histogram(dryad), managers={"count": Late()})
        with pytest.raises(
            JobFailed, match=r"Late.completed of .count. failed with LabError: .*writes an output of the job"
        ):
            job.result()
    with pytest.raises(TypeError, match="a graph of one vertex"):
        AggregationTree(reduce(add) ** 2)
    with pytest.raises(ValueError, match="levels are machine and rack"):
        AggregationTree(reduce(add), ["host"])
    with pytest.raises(ValueError, match="most_inputs=1"):
        PartialAggregation(most_inputs=1)


def test_refinement_and_files_for_several_readers() -> None:
    with Cluster(machines=5, engine="sim") as cluster:
        dryad = lab(cluster, racks=2)
        tree = AggregationTree(reduce(add, "Z"), ["rack"])
        job = dryad.submit(word_count(dryad, 8, 3), managers={"distribute": tree}, slots=2).result()
        same_as_oracle(job)
        assert len(job.view().inserted) > 3


@pytest.mark.parametrize(("wrong", "broken"), [(0, "SkeletonStays"), (None, "Acyclic")])
def test_a_refinement_that_joins_other_vertices_is_caught(wrong: int | None, broken: str) -> None:
    """The trace of a run, in which an inserted vertex writes to a file's stage, or to itself."""
    with Cluster(machines=4, engine="sim") as cluster:
        dryad = lab(cluster, racks=2)
        tree = AggregationTree(reduce(add, "Z"), ["machine"])
        job = dryad.submit(histogram(dryad, 8), managers={"count": tree}).result()
        replay = _Replay(job.name)
        for event in whole(cluster):
            if event.kind == "vertex_inserted":
                ((source, port, _, kind),) = event.data["targets"]
                to = source if wrong is None else wrong
                event = event._replace(data={**event.data, "targets": [(source, port, to, kind)]})
            replay.apply(event)
        assert broken in {violation.what for violation in replay.report.violations}
