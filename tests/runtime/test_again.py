"""Begun anew in its place, and written as code."""

from __future__ import annotations

import pytest

from labkit import Cluster, Network, Node, Uniform, rpc
from labkit.runtime.again import arguments, call, literal
from labkit.systems.chord import Chord
from labkit.systems.paramserver import SSP, ParameterServer
from labkit.systems.spark import SparkContext
from tests.engines import MakeCluster


class Echo(Node):
    @rpc
    def echo(self, word: str) -> str:
        return word


def test_the_same_cluster_with_nothing_on_it(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(machines=3, seed=5, trace="messages")
    node = cluster.spawn(Echo)
    assert cluster.call(node, "echo", "a") == "a"
    cluster.kill("m2")
    before = cluster.trace
    cluster.reset()
    assert [machine.state for machine in cluster.machines] == ["alive"] * 3
    assert (cluster.nodes, len(cluster.schedule), cluster.seed, cluster.closed) == ({}, 0, 5, False)
    assert cluster.trace is not before
    assert cluster.trace.level == "messages"
    assert before.filter(kind="killed"), "whoever holds the old trace still has it"
    assert cluster.call(cluster.spawn(Echo), "echo", "b") == "b"


def test_systems_begin_anew_when_all_is_dead(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(machines=2, seed=1)
    ring = Chord(cluster, nodes=4, successors=2, replicas=2)
    ring["lecture"] = 1
    for machine in cluster.machines:
        cluster.kill(machine)
    ring.reset()
    assert (len(ring), len(ring.nodes)) == (0, 4)
    ring["lecture"] = 2
    assert ring["lecture"] == 2


def test_a_context_computes_its_rdds_again(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(machines=2, seed=1)
    sc = SparkContext(cluster)
    factor = sc.broadcast(3)
    triples = sc.range(10).map(lambda x: factor.value * x).persist()
    assert triples.sum() == 135
    cluster.kill("m1")
    sc.reset()
    assert triples.sum() == 135
    assert sc.range(3).id() > triples.id(), "numbers go on"


def test_a_parameter_server_begins_anew(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(machines=3, seed=1)
    ps = ParameterServer(cluster, servers=2, workers=1, consistency=SSP(1))
    ps.vector("w", size=4).push(None, [1.0] * 4).result()
    cluster.kill("m1")
    ps.reset()
    weights = ps.vector("w", size=4)
    assert list(weights.pull().result()) == [0.0] * 4
    assert ps.consistency == SSP(1)


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
