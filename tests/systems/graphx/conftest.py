"""Shared by the tests of GraphX: contexts on both engines, whose traces and graphs are judged after every
test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from labkit import Cluster
from labkit.systems.graphx import GraphX
from labkit.systems.spark import SingleContext, SparkContext

MakeGraphX = Callable[..., GraphX]


def judge(gx: GraphX) -> None:
    report = gx.check()
    assert report.ok, f"seed={gx.cluster.seed}\n{report}\n{gx.cluster.schedule}"


@pytest.fixture
def sim() -> Iterator[MakeGraphX]:
    """`sim(machines=3, seed=0, spark={}, **options)`: a GraphX on the simulator; judged."""
    made: list[GraphX] = []

    def make(machines: int = 3, seed: int = 0, spark: Any = None, **options: Any) -> GraphX:
        cluster = Cluster(machines=machines, engine="sim", seed=seed)
        made.append(GraphX(SparkContext(cluster, **(spark or {})), **options))
        return made[-1]

    yield make
    try:
        for gx in made:
            if not gx.over:
                judge(gx)
    finally:
        for gx in made:
            gx._cluster.close()


@pytest.fixture
def sc() -> SingleContext:
    """On one thread."""
    return SingleContext(4)
