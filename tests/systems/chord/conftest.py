"""What the tests of Chord share: rings on both engines whose traces are judged at the end of every test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from labkit import Cluster
from labkit.systems.chord import Chord

MakeRing = Callable[..., Chord]

#: Random schedules in the property tests; more with `pytest --schedules 2000`.
SCHEDULES = int(os.environ.get("LABKIT_SCHEDULES", "200"))


def judge(ring: Chord) -> None:
    """The invariants at every instant of a run on the correct protocol; the simulator's traces are in causal
    order.
    """
    if ring.cluster.engine == "sim" and ring.maintenance == "correct" and ring.settings.announce:
        report = ring.check()
        assert report.ok, f"seed={ring.cluster.seed}\n{report}\n{ring.cluster.schedule}"


@pytest.fixture
def make_ring(make_cluster: Callable[..., Cluster]) -> Iterator[MakeRing]:
    """`make_ring(nodes=12, machines=4, seed=0, **options)` on each engine in turn; judged after the test.

    Real processes may stand still for seconds, and are then taken for dead. `patient`: nobody is to be, as
    nobody fails in the test.
    """
    rings: list[Chord] = []

    def make(
        nodes: int = 12, machines: Any = 4, seed: int = 0, patient: bool = False, **options: Any
    ) -> Chord:
        cluster = make_cluster(machines=machines, seed=seed)
        options.setdefault("successors", 4)
        options.setdefault("stabilize_every", 0.25)
        options.setdefault("timeout", 0.25 if cluster.engine == "sim" else 20.0 if patient else 0.5)
        ring = Chord(cluster, nodes, **options)
        rings.append(ring)
        return ring

    yield make
    for ring in rings:
        judge(ring)


def store(ring: Chord, values: Mapping[str, Any]) -> None:
    """Write them, and wait until every copy is where it belongs: a member that was taken for dead meanwhile
    has none of its own."""
    ring.update(values)
    ring.settle(fingers=False)


@pytest.fixture
def sim_ring() -> Iterator[MakeRing]:
    """`sim_ring(nodes=12, machines=4, seed=0, **options)` on the simulator only; judged after the test."""
    rings: list[Chord] = []

    def make(
        nodes: int = 12, machines: Any = 4, seed: int = 0, trace: str = "domain", **options: Any
    ) -> Chord:
        cluster = Cluster(machines=machines, engine="sim", seed=seed, trace=trace)
        options.setdefault("successors", 4)
        ring = Chord(cluster, nodes, **options)
        rings.append(ring)
        return ring

    yield make
    try:
        for ring in rings:
            judge(ring)
    finally:
        for ring in rings:
            ring.cluster.close()
