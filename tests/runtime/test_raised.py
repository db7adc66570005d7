"""What a user's code raises is that code's error: it reaches the caller, and costs the runtime nothing."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import pytest

from labkit import Cluster, LabError, MachineDied, Node, NodeCrashed, rpc
from labkit.runtime import engine, sim
from labkit.runtime.raised import StopSignal, as_exception, named, short, text_of
from tests.engines import MakeCluster
from tests.runtime.raising import MAKERS, NoRepr, NoText, Own, Thrower


def test_what_cannot_be_shown_is_described() -> None:
    assert named(NoText()) == "NoText: its text cannot be made: str() of it raises RuntimeError"
    assert text_of(Own()) == "its text cannot be made: str() of it raises KeyboardInterrupt"
    assert short(NoRepr()) == "a NoRepr without a repr"
    assert short("x" * 100, 10) == "'xxxxxxxx…"
    assert str(as_exception(GeneratorExit("the end"))) == "GeneratorExit: the end"
    error = ValueError("as it is")
    assert as_exception(error) is error

    class Struck:
        def __str__(self) -> str:
            raise StopSignal

        __repr__ = __str__

    with pytest.raises(StopSignal):
        short(Struck())


def test_every_kind_of_code_may_raise_anything(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(machines=2)
    node = cluster.spawn(Thrower)
    for name in MAKERS:
        for method in ("plain", "later", "computing", "spawned", "answer"):
            with pytest.raises(Exception) as caught:
                cluster.call(node, method, name)
            described = f"{type(caught.value).__name__}: {text_of(caught.value)}"
            assert name in described or text_of(MAKERS[name]()) in described, method
        with pytest.raises(Exception) as caught:
            cluster.spawn(Thrower, name)
        assert name in f"{type(caught.value).__name__}: {text_of(caught.value)}"
    assert cluster.call(node, "fine") == "fine"


def test_what_nobody_awaits_is_a_crash_that_is_told(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(machines=1)
    node = cluster.spawn(Thrower)

    async def tell(client: Node) -> None:
        client.send(node, "plain", "Own")

    def wait() -> None:
        cluster.submit(tell).result()
        cluster.run_until(lambda: False, timeout=300)

    with pytest.raises(NodeCrashed, match="Own: its text cannot be made"):
        wait()
    assert cluster.call(node, "fine") == "fine"


def test_a_client_program_raises_what_it_raises(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(machines=1)
    node = cluster.spawn(Thrower)

    async def program(client: Node) -> None:
        await client.sleep(0.001)
        sys.exit(3)

    with pytest.raises(SystemExit):
        cluster.submit(program).result()
    assert cluster.call(node, "fine") == "fine"


class Exits(Thrower):
    """Ends its process."""

    @rpc
    async def exit(self, first: float) -> None:
        await self.sleep(first)
        sys.exit(3)


def test_sys_exit_is_the_end_of_the_machine(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(machines=2)
    for machine, first in (("m1", 0.0), ("m2", 0.001)):
        node = cluster.spawn(Exits, machine=machine)
        with pytest.raises(MachineDied):
            cluster.call(node, "exit", first, timeout=8.0)
        assert cluster.machine(machine).state == "dead"
        cluster.run_until(
            lambda name=machine: bool(cluster.trace.filter(kind="machine_died", machine=name)),  # type: ignore[misc]
            timeout=300,
        )
    cluster.restart("m2")
    assert cluster.call(node, "fine") == "fine"


# ── the stop button ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def sim_cluster() -> Any:
    with Cluster(2, engine="sim") as cluster:
        yield cluster


class Slow(Node):
    """Presses Ctrl-C in the middle of what does not end."""

    @rpc
    async def compute_for_ever(self) -> str:
        await self.compute(for_ever, press)
        return "never"

    @rpc
    async def compute_from_another_thread(self) -> str:
        await self.compute(for_ever, lambda: os.kill(os.getpid(), signal.SIGINT))
        return "never"

    @rpc
    def block(self) -> None:
        for_ever(press)

    @rpc
    async def work_on(self) -> bool:
        await self.sleep(0.001)
        return self.given_up

    @rpc
    def fine(self) -> str:
        return "fine"


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def for_ever(first: Any) -> None:
    first()
    while True:
        pass


def test_one_press_ends_a_computation(sim_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sim, "STOPS_WITHIN", 1000.0)
    node = sim_cluster.spawn(Slow)
    with pytest.raises(KeyboardInterrupt) as caught:
        sim_cluster.call(node, "compute_for_ever", timeout=None)
    assert type(caught.value) is KeyboardInterrupt
    assert sim_cluster.call(node, "fine") == "fine"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_computation_that_was_ended_is_an_error_where_it_was_awaited(sim_cluster: Cluster) -> None:
    class Awaits(Slow):
        @rpc
        async def careful(self) -> None:
            try:
                await self.compute(for_ever, press)
            except LabError as error:
                self.emit("ended", why=str(error))

    node = sim_cluster.spawn(Awaits)
    with pytest.raises(KeyboardInterrupt):
        sim_cluster.call(node, "careful", timeout=None)
    sim_cluster.run(0.1)
    (event,) = sim_cluster.trace.filter(kind="ended")
    assert event.data["why"] == "the computation was interrupted"


def test_one_press_ends_a_handler_that_blocks(sim_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sim, "STOPS_WITHIN", 0.01)
    node = sim_cluster.spawn(Slow)
    with pytest.raises(KeyboardInterrupt):
        sim_cluster.call(node, "block", timeout=None)
    assert sim_cluster.call(node, "fine") == "fine"


def test_one_press_ends_a_computation_that_is_played(sim_cluster: Cluster) -> None:
    node = sim_cluster.spawn(Slow)
    sim_cluster.pace = 100.0
    with pytest.raises(KeyboardInterrupt):
        sim_cluster.call(node, "compute_from_another_thread", timeout=None)
    assert sim_cluster.call(node, "fine") == "fine"
    sim_cluster.pace = None


def test_a_step_knows_that_its_operation_was_stopped(sim_cluster: Cluster) -> None:
    node = sim_cluster.spawn(Slow)

    async def program(client: Node) -> bool:
        return bool(await client.call(node, "work_on"))

    with sim_cluster.span("stopped") as span:
        assert sim_cluster.submit(program).result() is False
        sim_cluster._engine.give_up(span)
        assert sim_cluster.submit(program).result() is True
    with sim_cluster.span("another"):
        assert sim_cluster.submit(program).result() is False


def test_two_presses_in_a_moment_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    def second_press(seconds: float) -> None:
        press()
        waited.append(seconds)

    monkeypatch.setattr(engine, "_Stops", type("Stops", (), {"last": -1000.0}))
    monkeypatch.setattr(engine.time, "sleep", second_press)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            engine.take_as_one_press()
    assert waited == [engine.DOUBLE_PRESS, engine.HURRIED_PRESS]  # who goes on pressing is in a hurry


def test_a_press_at_the_very_end_is_not_lost() -> None:
    with pytest.raises(KeyboardInterrupt), engine.deferred_interrupt():
        press()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_without_patience_only_the_second_press_strikes() -> None:
    seen: list[bool] = []

    def press_twice() -> None:
        with engine.deferred_interrupt() as interrupted:
            press()
            seen.append(interrupted())
            press()
            seen.append(False)

    with pytest.raises(KeyboardInterrupt):
        press_twice()
    assert seen == [True]
