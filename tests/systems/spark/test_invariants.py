"""A checker counts only once it has caught a bug: each is given a scheduler, or a store, with one planted."""

from __future__ import annotations

from collections.abc import Callable
from operator import add
from types import SimpleNamespace
from typing import Any

import pytest

from labkit import Cluster, Kill, when
from labkit.parts.tasks import Ledger
from labkit.systems.spark import SparkContext, StorageLevel, jobs, tasks
from labkit.systems.spark.blocks import BlockStore
from labkit.systems.spark.driver import Driver
from labkit.systems.spark.invariants import only_missing, pipelined
from labkit.systems.spark.jobs import ExecutorRecord, ResultStage
from labkit.systems.spark.shuffle import MapOutputs
from labkit.systems.spark.stage_code import narrow_lineage
from labkit.systems.spark.state import Parent, RddView
from labkit.systems.spark.tasks import TaskScheduler
from labkit.systems.spark.trace_checks import check_trace
from tests.systems.spark.conftest import predicted


def run(kill_at: str = "outputs_stored", count: int = 5, memory: int = 20_000) -> Any:
    """A program that uses everything the checker looks at; what the trace says of it."""
    with Cluster(machines=3, engine="sim", seed=5) as cluster:
        options = {
            "speculation": True,
            "speculation_minimum": 0.02,
            "speculation_every": 0.02,
            "stage_attempts": 50,
            "seconds_per_task": 0.02,
        }
        sc = SparkContext(cluster, memory=memory, **options)
        cluster.slow("m1", 20)
        cluster.play([(when(kill_at, count=count), Kill("m3"))])
        try:
            first = (
                sc.parallelize(range(600), 6).map(lambda n: (n % 7, n)).persist(StorageLevel.MEMORY_AND_DISK)
            )
            second = first.mapValues(lambda v: v + 1).cache()
            counts = second.reduceByKey(add, 3)
            counts.join(counts.mapValues(str)).count()
            second.count()
            first.union(second).count()
            cluster.run(3.0)
            counts.count()
        except Exception:
            pass  # a planted bug may well show in the answer, too
        return check_trace(cluster.trace, 1, memory)


def names(report: Any) -> set[str]:
    """The kinds of violations."""
    return {violation.what for violation in report.violations}


def test_the_program_itself_is_fine() -> None:
    report = run()
    assert report.ok, str(report)
    assert report.tasks > 30
    assert report.run_again
    assert str(report).endswith("0 violations")


def too_many_cores(patch: Any) -> None:
    patch.setattr(ExecutorRecord, "free", property(lambda self: 3 - len(self.attempts)))


def forgets_who_is_lost(patch: Any) -> None:
    lose = Driver.lose

    def and_keeps_it(self: Driver, executor: ExecutorRecord, why: str) -> None:
        lose(self, executor, why)
        self.tasks.ledger.join(executor)
        self.tasks.ledger.schedule()

    patch.setattr(Driver, "lose", and_keeps_it)


def takes_the_second_result_too(patch: Any) -> None:
    store = MapOutputs.store

    def always(self: MapOutputs, *args: Any) -> bool:
        store(self, *args)
        return True

    patch.setattr(MapOutputs, "store", always)
    patch.setattr(Ledger, "cancel", lambda self, attempt: None)


def starts_all_over(patch: Any) -> None:
    lose = MapOutputs.lose

    def all_of_it(self: MapOutputs, *args: Any) -> Any:
        lost = lose(self, *args)
        for shuffle in lost:
            self._outputs[shuffle] = [None] * len(self._outputs[shuffle])
        return lost

    patch.setattr(MapOutputs, "lose", all_of_it)


def reads_what_is_there(patch: Any) -> None:
    def any_output(self: MapOutputs, shuffle: int) -> bool:
        return any(output is not None for output in self._outputs.get(shuffle, []))

    def whatever(self: MapOutputs, shuffle: int) -> Any:
        found: dict[Any, list[int]] = {}
        for index, output in enumerate(self._outputs.get(shuffle, [])):
            if output is not None:
                found.setdefault(output.source, []).append(index)
        return found

    patch.setattr(MapOutputs, "sources", whatever)
    patch.setattr(MapOutputs, "complete", any_output)


def pipelines_a_shuffle(patch: Any) -> None:
    def everything(rdd: Any) -> list[Any]:
        order = narrow_lineage(rdd)
        return [parent for dep in order[0].dependencies() for parent in everything(dep.rdd)] + order

    patch.setattr(jobs, "narrow_lineage", everything)


def evicts_its_own(patch: Any) -> None:
    patch.setattr(
        BlockStore,
        "_by_age",
        lambda self, filling: [key for key, block in self._blocks.items() if block.data is not None],
    )


def never_evicts(patch: Any) -> None:
    patch.setattr(BlockStore, "_make_room", lambda self, size, filling: True)


def is_content_with_less(patch: Any) -> None:
    missing = ResultStage.missing
    patch.setattr(ResultStage, "missing", lambda self: missing(self)[: -1 if self.results else None])
    patch.setattr(ResultStage, "complete", property(lambda self: not self.missing()))


def counts_no_lives(patch: Any) -> None:
    def register(self: Driver, name: str, machine: str, life: int) -> int:
        self.emit("executor_registered", executor=name, machine=machine, cores=1, incarnation=1)
        return original(self, name, machine, life)

    original = Driver.register
    register._rpc = True  # type: ignore[attr-defined]
    patch.setitem(Driver._rpcs, "register", register)


def runs_twice(patch: Any) -> None:
    start = Ledger.start

    def and_again(self: Ledger, stage: Any, partition: int, executor: Any, *how: Any) -> None:
        start(self, stage, partition, executor, *how)
        for other in self.workers.values():
            if other.free > 0:
                start(self, stage, partition, other, *how)
                break

    patch.setattr(Ledger, "start", and_again)


def runs_what_is_done(patch: Any) -> None:
    follow = TaskScheduler.follow

    def and_once_more(self: TaskScheduler, stage: Any, attempt: Any, outcome: Any, result: str) -> None:
        follow(self, stage, attempt, outcome, result)
        if result == "ok" and attempt.task == 0 and stage.attempts[0] == 1 and stage.stage.missing():
            self.add(stage, 0, "retry")

    patch.setattr(TaskScheduler, "follow", and_once_more)


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (too_many_cores, "TooManyTasks"),
        (forgets_who_is_lost, "NoExecutor"),
        (takes_the_second_result_too, "TwiceDone"),
        (starts_all_over, "NotMissing"),
        (reads_what_is_there, "TooEarly"),
        (pipelines_a_shuffle, "WideInsideStage"),
        (evicts_its_own, "KeepsOwnRDD"),
        (never_evicts, "TooMuchMemory"),
        (is_content_with_less, "MissingResult"),
        (counts_no_lives, "TwiceRegistered"),
        (runs_twice, "TwiceRunning"),
        (runs_what_is_done, "NotWanted"),
    ],
)
def test_a_planted_bug_is_found(
    plant: Callable[[Any], None], found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    assert found in names(run()) | names(run("job_finished", 1))


def event(kind: str, /, **data: Any) -> Any:
    """One of the driver's."""
    return SimpleNamespace(kind=kind, node="driver", machine="client", seq=0, time=1.0, data=data)


def test_blocks_and_outputs_are_where_they_were_said_to_be() -> None:
    block = {"rdd": 0, "partition": 0, "executor": "e", "machine": "m1"}
    stage = {
        "stage": 0, "job": 0, "attempt": 0, "kind": "map", "rdd": 0, "rdds": [0], "shuffle": 0,
        "partitions": [0], "total": 1, "parents": [],
    }  # fmt: skip
    trace = [
        event("executor_registered", executor="e", machine="m1"),
        event("block_stored", where="memory", bytes=1, **block),
        event("block_stored", where="memory", bytes=1, **block),
        event("block_dropped", why="lost", **block),
        event("block_dropped", why="lost", **block),
        event("stage_started", **stage),
        event("outputs_stored", shuffle=0, map=0, executor="e", machine="m1"),
        event("outputs_lost", shuffle=0, maps=[0], executor="f"),
    ]
    assert [violation.what for violation in check_trace(trace).violations] == [
        "TwiceStored",
        "NotStored",
        "NotLost",
    ]


# --- the predicates ---------------------------------------------------------------------------------------


def test_a_stage_follows_narrow_dependencies_only() -> None:
    wide = {3: False, 2: True, 1: False}
    known = {n: RddView(n, "", "", "", "", 1, (Parent(n - 1, wide[n], 0),)) for n in wide}
    assert pipelined(3, [2, 3], known) is None
    assert pipelined(3, [1, 2, 3], known) == "RDDs [1] are not reached from 3 by narrow dependencies"


def test_only_what_is_missing() -> None:
    assert only_missing([2, 1], [1, 2]) is None
    assert only_missing([1, 2], [2]) == "ran [1, 2] while [2] were missing"


def test_without_a_loss_nothing_is_predicted() -> None:
    assert predicted([event("executor_registered", executor="e", machine="m1")]) == {}
    assert tasks.NO_METRICS["computed"] == []
