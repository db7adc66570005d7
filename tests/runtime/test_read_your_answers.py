"""Who has been answered finds in the trace, at once, all that the answer comes from."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from labkit import Cluster, Node, rpc
from labkit.trace.fold import History

TIMES = 20


class Relay(Node):
    """Works, and lets the next one work before it answers."""

    def __init__(self, next_one: str = "") -> None:
        self.next_one = next_one

    @rpc
    async def work(self, number: int) -> int:
        self.emit("worked", number=number)
        if self.next_one:
            await self.call(self.next_one, "work", number)
        return number

    @rpc
    def stand_still(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass
class Worked:
    numbers: list[int] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)


class Reducer:
    def initial(self) -> Worked:
        return Worked()

    def apply(self, state: Worked, event: Any) -> None:
        if event.kind == "worked":
            state.numbers.append(event.data["number"])
        elif event.kind == "killed":
            state.killed.append(event.machine)


def relays(cluster: Cluster) -> None:
    cluster.spawn(Relay, name="last", machine="m2")
    cluster.spawn(Relay, "last", name="first", machine="m1")


def test_a_call(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(machines=3)
    relays(cluster)
    history = History(cluster.trace, Reducer())
    for number in range(TIMES):
        assert cluster.call("first", "work", number) == number
        if number % 2:
            assert len(cluster.trace.filter("worked", number=number)) == 2
        assert history.read().numbers == [each for each in range(number + 1) for _ in (1, 2)]
    cluster.kill("m3")
    assert history.read().killed == ["m3"]


def test_a_program_of_the_client_and_what_was_kept_of_the_trace(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(machines=3)
    relays(cluster)
    trace = cluster.trace

    async def program(client: Any) -> int:
        for number in range(TIMES):
            await client.call("first", "work", number)
        return len(list(trace))  # here nobody can wait

    operation = cluster.submit(program)
    assert operation.result() <= len(trace)
    assert len(trace.filter("worked")) == 2 * TIMES


@pytest.mark.filterwarnings("ignore::labkit.BlockingHandler")
def test_who_does_not_report_is_not_waited_for(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(machines=3)
    relays(cluster)
    cluster.spawn(Relay, name="third", machine="m3")
    cluster.pause("m3")
    assert cluster.call("first", "work", 0) == 0
    assert len(cluster.trace.filter("worked")) == 2
    cluster.resume("m3")
    if cluster.engine == "ray":
        operation = cluster.submit(lambda client: client.call("third", "stand_still", 30.0, timeout=None))
        assert cluster.call("first", "work", 2) == 2
        assert len(cluster.trace.filter("worked")) == 4, "it does not report for 30 s"
        assert not operation.done
        cluster.kill("m3")
        operation.cancel()
    else:
        cluster.kill("m3")
    assert cluster.call("first", "work", 1) == 1
    assert len(cluster.trace.filter("worked")) == 2 + 2 * (1 + (cluster.engine == "ray"))


def test_who_is_paused_after_its_answer(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(machines=2)
    relays(cluster)
    history = History(cluster.trace, Reducer())
    for number in range(TIMES // 4):
        assert cluster.call("first", "work", number) == number
        cluster.pause("m2")
        assert len(cluster.trace.filter("worked", number=number)) == 2
        assert history.read().numbers == [each for each in range(number + 1) for _ in (1, 2)]
        cluster.resume("m2")


@pytest.mark.parametrize("engine", [pytest.param("ray", marks=[pytest.mark.ray, pytest.mark.slow])])
def test_who_gets_no_time_after_its_answer(ray_head: Any, make_cluster: Callable[..., Cluster]) -> None:
    """Its process is stopped, and nobody has told the cluster."""
    cluster = make_cluster(machines=2)
    relays(cluster)
    history = History(cluster.trace, Reducer())
    pid = cluster.machine("m2").pid
    assert pid is not None
    for number in range(3):
        assert cluster.call("first", "work", number) == number
        os.kill(pid, signal.SIGSTOP)
        try:
            assert history.read().numbers == [each for each in range(number + 1) for _ in (1, 2)]
            assert len(cluster.trace.filter("worked", number=number)) == 2
        finally:
            os.kill(pid, signal.SIGCONT)
