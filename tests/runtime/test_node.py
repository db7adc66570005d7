"""What a node can do, and how its class is written."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import pytest

from labkit import Cluster, Event, Lock, Node, NodeCrashed, Queue, Timeout, every, gather, rpc, timeout
from labkit.runtime.sync import sleep
from tests.runtime.nodes import Echo

Sim = Callable[..., Cluster]


class Everything(Node):
    """Uses every primitive."""

    def __init__(self, period: float | None = 1.0) -> None:
        self.period = period
        self.beats: list[float] = []

    async def start(self) -> None:
        self.started = self.now
        await self.sleep(0.5)
        self.disk.setdefault("starts", 0)
        self.disk["starts"] += 1
        self.disk.sync()

    @rpc
    def who(self) -> tuple[str, str, str]:
        return self.name, self.ref, self.machine

    @rpc
    def draw(self, count: int) -> list[float]:
        return [self.random.random() for _ in range(count)]

    @rpc
    async def work(self, cost: float) -> tuple[int, float]:
        begun = self.now
        value = await self.compute(pow, 2, 10, cost=cost)
        return value, self.now - begun

    @rpc
    async def bad_work(self) -> None:
        await self.compute(int, "x")

    @rpc
    async def both(self) -> list[str]:
        async def after(seconds: float, what: str) -> str:
            await sleep(seconds)
            return what

        return await gather(self.spawn(after(0.2, "a")), after(0.1, "b"))

    @rpc
    async def limited(self) -> str:
        try:
            async with timeout(0.5):
                await self.sleep(9)
        except Timeout:
            return "late"
        return "in time"

    @rpc
    async def together(self) -> list[int]:
        queue, lock, event, out = Queue(), Lock(), Event(), []

        async def worker() -> None:
            await event.wait()
            while True:
                item = await queue.get()
                async with lock:
                    await self.sleep(0.1)
                    out.append(item)

        workers = [self.spawn(worker()) for _ in range(2)]
        for item in range(4):
            await queue.put(item)
        event.set()
        await self.sleep(1)
        for each in workers:
            each.cancel()
        return out

    @every("period", jitter=0.0)
    def beat(self) -> None:
        self.beats.append(self.now)


def test_who_where_and_when(sim: Sim) -> None:
    cluster = sim()
    name = cluster.spawn(Everything, machine="m2")
    assert cluster.call(name, "who") == (name, name, "m2")
    assert cluster.peek(name).started == 0.0
    assert repr(cluster.peek(name)) == "<Everything everything-0>"
    assert repr(Everything()) == "<Everything not started>"


def test_the_sync_primitives_work_in_handlers(sim: Sim) -> None:
    cluster = sim()
    name = cluster.spawn(Everything)
    assert cluster.call(name, "both") == ["a", "b"]
    assert cluster.call(name, "limited") == "late"
    assert cluster.call(name, "together") == [0, 1, 2, 3]


def test_compute_costs_time_and_more_on_a_slow_machine(sim: Sim) -> None:
    cluster = sim(machines=1)
    name = cluster.spawn(Everything)
    assert cluster.call(name, "work", 0.5) == (1024, pytest.approx(0.5))
    cluster.slow("m1", 3)
    assert cluster.call(name, "work", 0.5) == (1024, pytest.approx(1.5))
    with pytest.raises(ValueError, match="invalid literal"):
        cluster.call(name, "bad_work")


class TestRandom:
    def test_each_node_has_a_stream_of_its_own(self, sim: Sim) -> None:
        def draws(names: list[str], seed: int) -> dict[str, list[float]]:
            cluster = sim(seed=seed)
            for name in names:
                cluster.spawn(Everything, name=name)
            return {name: cluster.call(name, "draw", 3) for name in names}

        alone, both = draws(["a"], 1), draws(["b", "a"], 1)
        assert both["a"] == alone["a"]  # one more node changes nothing for the others
        assert both["a"] != both["b"]
        assert draws(["a"], 2)["a"] != alone["a"]

    def test_a_restarted_node_draws_anew(self, sim: Sim) -> None:
        cluster = sim(machines=1)
        name = cluster.spawn(Everything)
        first = cluster.call(name, "draw", 3)
        cluster.kill("m1")
        cluster.restart("m1")
        assert cluster.call(name, "draw", 3) != first


class TestEvery:
    def test_again_and_again_from_a_random_phase(self, sim: Sim) -> None:
        cluster = sim()
        a, b = cluster.spawn(Everything), cluster.spawn(Everything)
        cluster.run(10.5)
        beats = cluster.peek(a).beats
        assert len(beats) in (9, 10)
        assert all(later - earlier == pytest.approx(1.0) for earlier, later in itertools.pairwise(beats))
        assert cluster.peek(b).beats[0] != beats[0]

    def test_none_means_never(self, sim: Sim) -> None:
        cluster = sim()
        name = cluster.spawn(Everything, None)
        cluster.run(10)
        assert cluster.peek(name).beats == []

    def test_the_period_may_change(self, sim: Sim) -> None:
        cluster = sim()
        name = cluster.spawn(Everything)
        cluster.run(3)
        cluster.peek(name).period = 0.1
        before = len(cluster.peek(name).beats)
        cluster.run(3)
        assert len(cluster.peek(name).beats) > before + 15

    @pytest.mark.parametrize("period", [0, -1.0, "often"])
    def test_a_wrong_period_in_the_attribute_is_a_crash(self, sim: Sim, period: Any) -> None:
        cluster = sim()
        cluster.spawn(Everything, period)
        with pytest.raises(NodeCrashed, match=r"@every\('period'\) of everything-0 needs seconds > 0, not"):
            cluster.run(2)

    @pytest.mark.parametrize("seconds", [0, -1, None])
    def test_a_wrong_period_in_the_class(self, seconds: Any) -> None:
        with pytest.raises(ValueError, match="needs a number > 0 or an attribute's name, not"):
            every(seconds)

    @pytest.mark.parametrize("jitter", [-0.1, 1.0])
    def test_a_wrong_jitter(self, jitter: float) -> None:
        with pytest.raises(ValueError, match="jitter is a fraction of the period, 0 <= jitter < 1, not"):
            every(1.0, jitter=jitter)


def test_subclasses_inherit_and_override_handlers(sim: Sim) -> None:
    class Louder(Echo):
        @rpc
        def plain(self, value: Any) -> Any:
            return [value, "!"]

    cluster = sim()
    name = cluster.spawn(Louder)
    assert cluster.call(name, "plain", 1) == [1, "!"]
    assert cluster.call(name, "slowly", 1) == 1


class TestAfterDeath:
    def test_a_dying_handlers_finally_can_do_nothing(self, sim: Sim) -> None:
        class Clings(Echo):
            @rpc
            async def cling(self, to: str) -> None:
                disk = self.disk
                try:
                    await self.sleep(100)
                finally:
                    self.emit("from_beyond")
                    self.send(to, "plain", "from beyond")
                    self.disk["x"] = disk["x"] = 1
                    disk.sync()
                    self.disk.sync()
                    await self.call(to, "plain", "from beyond")

        cluster = sim()
        a, b = cluster.spawn(Clings, machine="m1"), cluster.spawn(Echo, machine="m2")

        async def program(client: Any) -> None:
            client.send(a, "cling", b)

        cluster.submit(program).result()
        cluster.run(1)
        cluster.kill("m1")
        cluster.restart("m1")
        cluster.run(1)
        assert cluster.trace.filter(kind="from_beyond") == []
        assert cluster.peek(b).seen == []
        assert dict(cluster.peek(a).disk) == {}

    def test_a_removed_node_is_silent(self, sim: Sim) -> None:
        cluster = sim(trace="messages")
        a, b = cluster.spawn(Echo), cluster.spawn(Echo)
        operation = cluster.submit(lambda client: client.call(a, "patient", b, 0.5))
        cluster.run(0.1)
        cluster.remove(b)
        with pytest.raises(Timeout, match="echo-1 on m2 did not answer"):
            operation.result()
        assert cluster.nodes == {a: "m1"}


def test_what_blocks_real_time_costs_no_virtual_time(sim: Sim) -> None:
    class Sleepy(Echo):
        @rpc
        def nap(self) -> None:
            time.sleep(0.01)

    cluster = sim()
    name = cluster.spawn(Sleepy)
    cluster.call(name, "nap")
    assert cluster.now < 0.01


# ── names ───────────────────────────────────────────────────────────────────────────────────────────────


class Untidy:
    def _remember(self, task: Any) -> None:
        """Not what a node's tasks ask for."""


@pytest.mark.parametrize("name", ["_forget", "_task_failed", "_machine", "_tasks", "_alive", "_rpcs"])
def test_a_private_name_of_node_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match=f"Mine defines {name}, which Node uses itself"):
        type("Mine", (Node,), {"__qualname__": "Mine", name: None})


def test_nor_can_it_be_mixed_in_or_defined_further_down() -> None:
    with pytest.raises(TypeError, match="Untidy defines _remember"):

        class Mixed(Untidy, Node):
            pass

    class Fine(Node):
        def _mine(self) -> None:
            """A private name of its own."""

    class Finer(Fine):
        def _mine(self) -> None:
            """It may override what is the user's."""

    with pytest.raises(TypeError, match="Last defines _forget"):
        type("Last", (Finer,), {"__qualname__": "Last", "_forget": None})
