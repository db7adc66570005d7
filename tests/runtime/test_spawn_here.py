"""A node in the user's own process: the part of a system that lives with the user's program."""

from __future__ import annotations

from typing import Any

import pytest

from labkit import NameTaken, Node, NodeCrashed, rpc
from tests.engines import MakeCluster


class Master(Node):
    """Holds what cannot be sent, and hears from workers."""

    def __init__(self, unsendable: Any) -> None:
        self.unsendable = unsendable
        self.heard: list[str] = []

    @rpc
    def register(self, worker: str) -> str:
        self.heard.append(worker)
        self.emit("registered", worker=worker)
        return f"welcome {worker}"

    async def count(self, workers: list[str]) -> list[str]:
        return [await self.call(worker, "which") for worker in workers]


class Worker(Node):
    """Registers with the master as soon as it starts."""

    def __init__(self, master: str) -> None:
        self.master = master

    async def start(self) -> None:
        self.greeting = await self.call(self.master, "register", self.name)

    @rpc
    def which(self) -> str:
        return self.machine


def test_workers_find_the_master_before_and_after_a_restart(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(machines=2)
    unsendable = (each for each in [1])
    master = cluster.spawn_here(Master, unsendable, name="master")
    assert master.unsendable is unsendable  # it is not copied, let alone pickled
    workers = [cluster.spawn(Worker, "master", machine=machine) for machine in ("m1", "m2")]
    cluster.run_until(lambda: len(master.heard) == 2, timeout=300)
    assert cluster.state(workers[0], "greeting") == {"greeting": f"welcome {workers[0]}"}

    async def program(client: Node) -> list[str]:
        return await master.spawn(master.count(workers))

    assert cluster.submit(program).result(timeout=300) == ["m1", "m2"]
    cluster.kill("m1")
    cluster.restart("m1")
    cluster.run_until(lambda: len(master.heard) == 3, timeout=300)
    assert [event.machine for event in cluster.trace.filter(kind="registered")] == ["client"] * 3
    assert cluster.call("master", "register", "me") == "welcome me"
    assert cluster.nodes["master"] == "client"
    assert master.name not in [node for machine in cluster.machines for node in machine.nodes]


def test_its_name_is_its_own_until_it_is_removed(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(machines=1)
    cluster.spawn_here(Master, None, name="master")
    with pytest.raises(NameTaken, match="master"):
        cluster.spawn_here(Master, None, name="master")
    with pytest.raises(NameTaken, match="master"):
        cluster.spawn(Master, None, name="master")
    cluster.remove("master")
    assert "master" not in cluster.nodes
    assert cluster.spawn_here(Master, 2, name="master").unsendable == 2


def test_its_failure_ends_a_wait_that_would_never_end(make_cluster: MakeCluster) -> None:
    class Fails(Master):
        @rpc
        async def never(self) -> None:
            self.spawn(self.fail())
            await self.sleep(1e9)

        async def fail(self) -> None:
            await self.sleep(0.2)
            raise ZeroDivisionError("on purpose")

    class Beats(Node):
        async def start(self) -> None:
            while True:  # so that time goes on
                await self.sleep(0.01)

    cluster = make_cluster(machines=1)
    cluster.spawn(Beats)
    cluster.spawn_here(Fails, None, name="master")
    with pytest.raises(NodeCrashed, match="master failed, and nobody awaited it: ZeroDivisionError"):
        cluster.call("master", "never", timeout=None)
    assert cluster.call("master", "register", "me") == "welcome me"

    async def program(client: Node) -> None:
        await client.call("master", "never", timeout=None)

    operation = cluster.submit(program)
    with pytest.raises(NodeCrashed):
        operation.result()
    cluster.run_until(lambda: operation.done, timeout=300, what="it was cancelled")
