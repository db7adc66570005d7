"""``system.code()``: the run so far as a cell, for every system; run, it is the same run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from labkit.parts.system import System
from labkit.runtime.cluster import Cluster
from labkit.systems.chord import Chord
from labkit.systems.paramserver import SSP, ParameterServer
from labkit.systems.spark import SparkContext


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda cluster: Chord(cluster, 6, successors=3), "ring_again"),
        (lambda cluster: SparkContext(cluster, executors=2), "sc_again"),
        (lambda cluster: ParameterServer(cluster, replicas=1, consistency=SSP(2)), "ps_again"),
    ],
    ids=["chord", "spark", "paramserver"],
)
def test_the_code_of_a_run_is_that_run(make: Callable[[Cluster], System], name: str) -> None:
    with Cluster(3, "sim", seed=5) as cluster:
        system = make(cluster)
        cluster.run(2.0)
        cluster.kill("m3")
        cluster.run(1.5)
        cluster.restart("m3")
        cluster.run(4.0)
        names: dict[str, Any] = {}
        run, _, shown = system.code().removesuffix("\n").rpartition("\n")
        assert shown == f"{name}.panel()"
        exec(run, names)
        with names["again"] as again:
            assert type(names[name]) is type(system)
            assert again.now == pytest.approx(cluster.now)
            assert again.trace.digest() == cluster.trace.digest()
        exec(system.code(until=3.0).replace(shown, ""), names)
        with names["again"] as again:
            assert again.now == pytest.approx(3.0)
            assert not again.machine("m3").alive
