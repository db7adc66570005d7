"""Begun anew in its place, and written as code."""

from __future__ import annotations

import pytest

from labkit import Cluster, Network, Node, Uniform, rpc
from labkit.runtime.again import arguments, call, literal
from labkit.systems.paramserver import SSP


class Echo(Node):
    @rpc
    def echo(self, word: str) -> str:
        return word


def test_the_same_cluster_with_nothing_on_it() -> None:
    with Cluster(machines=3, engine="sim", seed=5, trace="messages") as cluster:
        node = cluster.spawn(Echo)
        assert cluster.call(node, "echo", "a") == "a"
        cluster.kill("m2")
        before = cluster.trace
        cluster.reset()
        assert [machine.state for machine in cluster.machines] == ["alive"] * 3
        assert (cluster.now, cluster.nodes, len(cluster.schedule), cluster.seed) == (0.0, {}, 0, 5)
        assert cluster.trace is not before
        assert cluster.trace.level == "messages"
        assert before.filter(kind="killed"), "whoever holds the old trace still has it"
        assert cluster.call(cluster.spawn(Echo), "echo", "b") == "b"


def test_arguments_are_named_as_given() -> None:
    with Cluster(2, "sim", seed=1) as cluster:
        assert arguments(cluster) == {"machines": 2, "engine": "sim", "seed": 1}


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (SSP(3), "SSP(staleness=3)"),
        (
            Network(latency=Uniform(0.1, 0.2), loss=0.5),
            "Network(latency=Uniform(low=0.1, high=0.2), loss=0.5)",
        ),
        (["m1", "m2"], "['m1', 'm2']"),
    ],
)
def test_values_as_code(value: object, code: str) -> None:
    assert literal(value) == code


def test_a_call_as_code() -> None:
    assert (
        call("Chord", {"nodes": 8, "routing": "iterative"}, "cluster")
        == "Chord(cluster, nodes=8, routing='iterative')"
    )
