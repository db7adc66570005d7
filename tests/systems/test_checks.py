"""What `check()` of every system promises besides its invariants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from labkit import Cluster, LabError
from labkit.systems.chord import Chord
from labkit.systems.paramserver import ParameterServer
from labkit.systems.spark import SparkContext

SYSTEMS: dict[str, Callable[[Cluster], Any]] = {
    "chord": lambda cluster: Chord(cluster, nodes=6, successors=3),
    "paramserver": lambda cluster: ParameterServer(cluster, servers=2, workers=2),
    "spark": SparkContext,
}


@pytest.mark.parametrize("make", SYSTEMS.values(), ids=SYSTEMS)
def test_a_trace_without_its_beginning_is_not_judged(make: Callable[[Cluster], Any]) -> None:
    """Half a run would be full of violations that never happened."""
    with Cluster(machines=3, engine="sim", trace="messages", trace_limit=500) as cluster:
        system = make(cluster)
        assert system.check().ok
        while not cluster.trace.dropped:
            cluster.run(5)
        with pytest.raises(LabError, match=r"first \d+ events are forgotten.*trace_limit=\d+"):
            system.check()


def test_a_context_is_not_judged_by_what_an_earlier_one_did() -> None:
    """Its executors had more memory, or more cores."""
    with Cluster(machines=3, engine="sim") as cluster:
        large = SparkContext(cluster, memory=100_000)
        numbers = large.parallelize(range(3000), 3).cache()
        assert numbers.count() == 3000
        assert large.check().tasks == 3
        large.stop()
        small = SparkContext(cluster, memory=1000)
        assert small.parallelize(range(10), 2).count() == 10
        report = small.check()
        assert (report.ok, report.tasks) == (True, 2), report
