"""A call is repeated while nobody answers, and no longer than it is wanted."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from labkit import Cluster, Node
from labkit.parts.retry import insist
from labkit.runtime import rpc
from labkit.runtime.errors import Timeout


class Echo(Node):
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    @rpc
    def ask(self, word: str) -> tuple[str, int]:
        self.asked += 1
        if word == "raise":
            raise KeyError(word)
        return word, self.asked


def test_a_silence_is_waited_out(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(machines=2)
    echo = cluster.spawn(Echo, machine="m1")
    silences: list[float] = []

    async def program(client: Node) -> Any:
        def wanted() -> bool:
            silences.append(client.now)
            return True

        return await insist(client, echo, "ask", "hello", every=0.2, wanted=wanted, pause=0.05)

    cluster.pause("m1")
    operation = cluster.submit(program)
    cluster.run_until(lambda: len(silences) >= 3, timeout=300)
    cluster.resume("m1")
    word, asked = operation.result()
    assert word == "hello"
    assert asked >= 1
    assert min(later - earlier for earlier, later in itertools.pairwise(silences)) >= 0.25 - 1e-3


@pytest.fixture
def cluster() -> Any:
    with Cluster(machines=2, engine="sim") as cluster:
        yield cluster


def test_it_is_given_up(cluster: Cluster) -> None:
    echo = cluster.spawn(Echo, machine="m1")
    cluster.pause("m1")

    async def times(client: Node) -> Any:
        return await insist(client, echo, "ask", "hello", every=0.5, times=4)

    async def unwanted(client: Node) -> Any:
        return await insist(client, echo, "ask", "hello", every=0.5, wanted=lambda: client.now < 3.0)

    begun = cluster.now
    with pytest.raises(Timeout):
        cluster.submit(times).result()
    assert cluster.now - begun == pytest.approx(2.0)
    with pytest.raises(Timeout):
        cluster.submit(unwanted).result()
    assert 3.0 <= cluster.now < 3.6


def test_what_the_method_raises_is_an_answer(cluster: Cluster) -> None:
    echo = cluster.spawn(Echo, machine="m1")

    async def program(client: Node) -> Any:
        return await insist(client, echo, "ask", "raise", every=0.5)

    with pytest.raises(KeyError):
        cluster.submit(program).result()
    assert cluster.call(echo, "ask", "again") == ("again", 2)
