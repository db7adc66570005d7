"""Delay, loss, duplication, bandwidth, order and partitions."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import (
    Cluster,
    Constant,
    Exponential,
    LogNormal,
    MachinePartitioned,
    Network,
    Timeout,
    Uniform,
)
from labkit.runtime.network import LOCAL_LATENCY, size_of
from tests.runtime.nodes import Echo

Sim = Callable[..., Cluster]


@pytest.mark.parametrize(
    ("distribution", "median", "least"),
    [
        (Constant(0.2), 0.2, 0.2),
        (Uniform(0.1, 0.3), 0.2, 0.1),
        (Exponential(0.1, minimum=0.05), 0.05 + 0.1 * 0.693, 0.05),
        (LogNormal(0.2, 0.5), 0.2, 0.0),
    ],
)
def test_distributions_are_what_they_say(distribution: Any, median: float, least: float) -> None:
    random = Random(1)
    samples = [distribution.sample(random) for _ in range(4000)]
    assert statistics.median(samples) == pytest.approx(median, rel=0.05)
    assert min(samples) >= least
    assert eval(repr(distribution)) == distribution


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Constant(-1), "seconds is a number of seconds >= 0, not -1"),
        (lambda: Uniform(-1, 1), "low is a number of seconds >= 0, not -1"),
        (lambda: Uniform(0, float("inf")), "high is a number of seconds >= 0, not inf"),
        (lambda: Uniform(2, 1), "low <= high is needed, not low=2, high=1"),
        (lambda: Exponential(0), "mean is a number of seconds > 0, not 0"),
        (lambda: Exponential(1, -1), "minimum is a number of seconds >= 0, not -1"),
        (lambda: LogNormal(0), "median is a number of seconds > 0, not 0"),
        (lambda: LogNormal(1, "x"), "sigma is a number of seconds >= 0, not 'x'"),  # type: ignore[arg-type]
        (lambda: Network(loss=1.5), "loss is a probability between 0 and 1, not 1.5"),
        (lambda: Network(duplicate=-1), "duplicate is a probability between 0 and 1, not -1"),
        (lambda: Network(bandwidth=0), "bandwidth is bytes per second > 0, or None for unlimited, not 0"),
    ],
)
def test_numbers_that_make_no_sense(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        make()


@given(st.integers(0, 2**32), st.floats(0, 10), st.floats(0, 10))
def test_uniform_stays_inside(seed: int, low: float, width: float) -> None:
    assert low <= Uniform(low, low + width).sample(Random(seed)) <= low + width


class TestDelay:
    def test_bandwidth_makes_big_messages_slow_and_queues_them(self) -> None:
        network, payload = Network(latency=Constant(1.0), bandwidth=1000.0), b"x" * 2000
        size = size_of(payload)
        first = network.arrival("a", "b", 0.0, payload, Random(0))
        second = network.arrival("a", "b", 0.0, payload, Random(0))
        other = network.arrival("b", "a", 0.0, payload, Random(0))
        assert (first, second, other) == (1 + size / 1000, 1 + 2 * size / 1000, 1 + size / 1000)

    def test_size_counts_large_buffers(self) -> None:
        import numpy

        assert size_of(numpy.zeros(1000)) > 8000
        assert size_of(None) < 20

    def test_bandwidth_in_a_cluster(self, sim: Sim) -> None:
        cluster = sim(network=Network(latency=Constant(0.1), bandwidth=10_000))
        name = cluster.spawn(Echo)
        cluster.call(name, "plain", b"x" * 10_000, timeout=60)
        assert 2.2 < cluster.now < 2.3

    @pytest.mark.parametrize("fifo", [True, False])
    def test_fifo_keeps_the_order_of_a_link(self, sim: Sim, fifo: bool) -> None:
        cluster = sim(network=Network(latency=Uniform(0, 1), fifo=fifo))
        a, b = cluster.spawn(Echo, machine="m1"), cluster.spawn(Echo, machine="m2")

        async def program(client: Any) -> None:
            for number in range(20):
                client.send(a, "tell", b, number)

        cluster.submit(program).result()
        cluster.run(3)
        seen = cluster.peek(b).seen
        assert sorted(seen) == list(range(20))
        assert (seen == list(range(20))) is fifo

    def test_neighbours_on_a_machine_need_no_network(self, sim: Sim) -> None:
        cluster = sim(network=Network(latency=Constant(0.25), loss=0.0))
        a, b = cluster.spawn(Echo, machine="m1"), cluster.spawn(Echo, machine="m1")
        cluster.call(a, "ask", b, "plain", 1)
        assert cluster.now == pytest.approx(0.5 + 2 * LOCAL_LATENCY)
        assert cluster.now > 0.5


class TestFaults:
    def count(self, cluster: Cluster, to: str, calls: int = 200) -> int:
        async def program(client: Any) -> None:
            for number in range(calls):
                client.send(to, "plain", number)

        before = len(cluster.peek(to).seen)
        cluster.submit(program).result()
        cluster.run(1)
        return len(cluster.peek(to).seen) - before

    def test_loss(self, sim: Sim) -> None:
        cluster = sim(trace="messages")
        name = cluster.spawn(Echo)
        cluster.run(0.1)
        assert self.count(cluster, name) == 200
        cluster.loss(0.3)
        arrived = self.count(cluster, name)
        assert 110 < arrived < 170
        assert len(cluster.trace.filter(kind="dropped", reason="loss")) == 200 - arrived
        cluster.loss(1.0)
        assert self.count(cluster, name) == 0
        cluster.loss(0.0)
        assert self.count(cluster, name) == 200

    def test_a_lost_answer_is_a_timeout_of_something_that_happened(self, sim: Sim) -> None:
        cluster = sim(trace="messages")
        name = cluster.spawn(Echo, machine="m1")
        cluster.partition("m1", "client", oneway=True)
        with pytest.raises(Timeout):
            cluster.call(name, "plain", "done")
        assert cluster.peek(name).seen == ["done"]
        (lost,) = cluster.trace.filter(kind="dropped")
        assert (lost.node, lost.machine, lost.data["to"], lost.data["what"]) == (
            name,
            "m1",
            "client",
            "reply",
        )

    def test_duplication(self, sim: Sim) -> None:
        cluster = sim()
        name = cluster.spawn(Echo)
        cluster.run(0.1)
        cluster.duplicate(0.25)
        assert 220 < self.count(cluster, name) < 280
        cluster.duplicate(0.0)
        assert self.count(cluster, name) == 200

    def test_latency(self, sim: Sim) -> None:
        cluster = sim()
        name = cluster.spawn(Echo)
        cluster.latency(Constant(0.5))
        cluster.call(name, "plain", 1)
        assert cluster.now == pytest.approx(1.0)

    @pytest.mark.parametrize("oneway", [False, True])
    def test_partitions(self, sim: Sim, oneway: bool) -> None:
        cluster = sim(trace="messages")
        a, b, c = (cluster.spawn(Echo, machine=machine) for machine in ("m1", "m2", "m3"))
        cluster.partition("m1", ["m2"], oneway=oneway)

        def hears(source: str, target: str) -> bool:
            cluster.call(source, "tell", target, (source, cluster.now))
            cluster.run(0.1)
            return any(value[0] == source for value in cluster.peek(target).seen)

        assert not hears(a, b)
        assert hears(b, a) is oneway
        assert hears(a, c)
        assert hears(c, b)
        assert {event.data["reason"] for event in cluster.trace.filter(kind="dropped")} == {"partition"}
        cluster.heal()
        assert hears(a, b)
        assert hears(b, a)

    def test_the_client_may_be_cut_off_too(self, sim: Sim) -> None:
        cluster = sim()
        a = cluster.spawn(Echo, machine="m1")
        cluster.partition(["client"], ["m1", "m2"])
        with pytest.raises(
            MachinePartitioned, match=r"a partition separates you from m1; end it with cluster\.heal"
        ):
            cluster.call(a, "plain", 1)
        cluster.heal()
        assert cluster.call(a, "plain", 1) == 1

    def test_a_cluster_changes_its_own_copy_of_the_network(self, sim: Sim) -> None:
        network = Network(loss=0.0, blocked={("m1", "m2")})
        cluster = sim(network=network)
        cluster.heal()
        cluster.loss(0.5)
        assert (network.loss, network.blocked) == (0.0, {("m1", "m2")})


def test_a_link_carries_what_only_cloudpickle_takes() -> None:
    assert size_of(lambda: 1) > 0
