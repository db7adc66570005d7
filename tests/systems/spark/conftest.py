"""Shared by the tests of Spark: contexts on both engines whose traces are judged at the end of every test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from labkit import Cluster
from labkit.systems.spark import BaseContext, SingleContext, SparkContext, lost
from labkit.systems.spark.view import HANDLERS, LOSSES, LineageReducer
from tests.systems.spark.contexts import context

MakeContext = Callable[..., SparkContext]

#: Random schedules in the property tests; more with `pytest --schedules 2000`.
SCHEDULES = int(os.environ.get("LABKIT_SCHEDULES", "60"))


def predicted(trace: Iterable[Any]) -> dict[int, list[int]]:
    """The map tasks, by stage, that lineage says must run again for the first loss, when it is all told.

    Nothing that came after is looked at; tasks that were interrupted made nothing yet that could be lost.
    """
    reducer = LineageReducer()
    state = reducer.initial()
    for event in trace:
        if state.judging and event.kind in HANDLERS and event.kind not in LOSSES:
            break
        reducer.apply(state, event)
    lost.judge(state)
    found: dict[int, list[int]] = {}
    for kind, shuffle, number in sorted(state.owed.keys() - state.interrupted.keys()):
        if kind == "map":
            (stage,) = [stage.id for stage in state.stages.values() if stage.shuffle == shuffle]
            found.setdefault(stage, []).append(number)
    return found


def judge(sc: SparkContext) -> None:
    """The invariants at every instant of a run."""
    report = sc.check()
    assert report.ok, f"seed={sc.cluster.seed}\n{report}\n{sc.cluster.schedule}"


@pytest.fixture
def make_context(make_cluster: Callable[..., Cluster]) -> Iterator[MakeContext]:
    """`make_context(machines=3, seed=0, **options)` on each engine in turn; judged after the test."""
    made: list[SparkContext] = []

    def make(machines: Any = 3, seed: int = 0, **options: Any) -> SparkContext:
        made.append(SparkContext(make_cluster(machines=machines, seed=seed), **options))
        return made[-1]

    yield make
    for sc in made:
        judge(sc)


@pytest.fixture
def sim_context() -> Iterator[MakeContext]:
    """`sim_context(machines=3, seed=0, network=None, schedule=None, **options)` on the simulator; judged."""
    made: list[SparkContext] = []

    def make(
        machines: Any = 3, seed: int = 0, network: Any = None, schedule: Any = None, **options: Any
    ) -> SparkContext:
        cluster = Cluster(machines=machines, engine="sim", seed=seed, network=network, schedule=schedule)
        made.append(SparkContext(cluster, **options))
        return made[-1]

    yield make
    try:
        for sc in made:
            judge(sc)
    finally:
        for sc in made:
            sc.cluster.close()


@pytest.fixture
def oracle() -> SingleContext:
    """The same programming model on one thread."""
    return SingleContext(parallelism=4)


def events(sc: SparkContext, kind: str, **data: Any) -> list[dict[str, Any]]:
    """The data of the driver's events of a kind that agree with `data`."""
    return [
        event.data
        for event in sc.cluster.trace
        if event.kind == kind and all(event.data.get(key) == value for key, value in data.items())
    ]


@pytest.fixture(scope="module", params=["single", "sim"])
def sc(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BaseContext]:
    """On one thread, and on a simulated cluster."""
    with context(request.param) as made:
        made.setCheckpointDir(tmp_path_factory.mktemp("checkpoints"))
        yield made


@pytest.fixture
def single() -> SingleContext:
    """On one thread."""
    return SingleContext(4)
