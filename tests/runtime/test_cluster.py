"""The cluster as its user holds it: machines, nodes, operations, closing, bad input."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from labkit import (
    Cluster,
    ClusterClosed,
    Deadlock,
    Event,
    LabError,
    NameTaken,
    Node,
    Timeout,
    UnknownNode,
    Unpicklable,
    rpc,
)
from labkit.runtime.errors import RunOver
from tests.runtime.nodes import Busy, Echo

Sim = Callable[..., Cluster]


class TestMaking:
    def test_all_nodes_of_a_block_or_none(self, sim: Sim) -> None:
        cluster = sim()
        cluster.spawn(Echo)

        def start() -> None:
            with cluster.all_or_none():
                cluster.spawn_many([(Echo, (), {}, None, None)] * 3)
                cluster.spawn_here(Node, name="here")
                cluster.kill("m1")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            start()
        assert list(cluster.nodes) == ["echo-0"]
        with cluster.all_or_none():
            cluster.spawn_here(Node, name="here")
        assert "here" in cluster.nodes

    def test_a_closed_cluster_shows_no_node(self, sim: Sim) -> None:
        cluster = sim()
        name = cluster.spawn(Echo)
        cluster.close()
        with pytest.raises(ClusterClosed, match="make a new one"):
            cluster.peek(name)

    def test_machines_by_number_or_by_name(self, sim: Sim) -> None:
        assert [machine.name for machine in sim(2).machines] == ["m1", "m2"]
        cluster = sim(["red", "blue"])
        assert [machine.name for machine in cluster.machines] == ["red", "blue"]
        assert cluster.machine("red") is cluster.machine(cluster.machines[0])
        assert (cluster.engine, cluster.name, cluster.seed, cluster.now) == ("sim", "sim", 0, 0.0)

    @pytest.mark.parametrize(
        ("machines", "message"),
        [
            (0, "at least one machine, not 0"),
            (True, "machines is a number >= 1 or a list of names, not True"),
            ("m1", "machines is a number >= 1 or a list of names, not 'm1'"),
            ([], "machine names are different, not empty, and not 'client'"),
            (["a", "a"], "machine names are different"),
            (["client"], "machine names are different"),
            ([1], "machine names are different"),
        ],
    )
    def test_bad_machines(self, sim: Sim, machines: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            sim(machines)

    def test_other_bad_options(self, sim: Sim) -> None:
        with pytest.raises(ValueError, match='engine is "ray"'):
            Cluster(engine="mesos")
        with pytest.raises(ValueError, match=r"seed is a whole number, not 1\.5"):
            sim(seed=1.5)
        with pytest.raises(TypeError, match="the simulator has no option address"):
            sim(address="auto")
        with pytest.raises(TypeError, match="the simulator has no option speed"):
            sim(speed=3)
        with pytest.raises(ValueError, match="pace is virtual seconds per real second, > 0, or None"):
            sim(pace=-1)

    def test_a_newer_cluster_of_the_same_name_replaces_the_older(self, sim: Sim) -> None:
        older = sim(name="ring")
        other = sim(name="other")
        newer = sim(name="ring")
        with pytest.raises(
            ClusterClosed,
            match=r"the cluster 'ring' is closed \(replaced by a newer cluster of the same name\)",
        ):
            older.run(1)
        assert not other.closed
        assert not newer.closed

    def test_one_that_is_forgotten_is_released(self) -> None:
        cluster = Cluster(2, engine="sim")
        cluster.spawn(Echo)
        cluster.run(1)
        engine = weakref.ref(cluster._engine)
        del cluster
        gc.collect()
        assert engine() is None


class TestNodes:
    def test_names_and_homes(self, sim: Sim) -> None:
        cluster = sim(2)
        names = [cluster.spawn(Echo), cluster.spawn(Echo, name="x"), cluster.spawn(Echo, machine="m1")]
        assert names == ["echo-0", "x", "echo-1"]
        assert cluster.nodes == {"echo-0": "m1", "x": "m2", "echo-1": "m1"}
        assert cluster.machine("m1").nodes == ["echo-0", "echo-1"]
        assert repr(cluster) == "<cluster 'sim': 2 machines (0 dead) on sim, 3 nodes, 0.00 s>"

    def test_a_taken_name(self, sim: Sim) -> None:
        cluster = sim()
        cluster.spawn(Echo, name="a")
        for name in ("a", "client"):
            with pytest.raises(NameTaken, match=f"a node '{name}' exists already; give another name"):
                cluster.spawn(Echo, name=name)
        with pytest.raises(NameTaken):
            cluster.spawn_many([(Echo, (), {}, "b", None), (Echo, (), {}, "a", None)])
        assert cluster.spawn(Echo, name="b") == "b"  # the failed attempt has left nothing

    def test_a_node_that_cannot_be_made_leaves_nothing(self, sim: Sim) -> None:
        class Picky(Node):
            def __init__(self, number: int) -> None:
                self.number = 1 // number

        cluster = sim(1)
        with pytest.raises(ZeroDivisionError):
            cluster.spawn_many([(Picky, (1,), {}, "good", None), (Picky, (0,), {}, "bad", None)])
        assert cluster.nodes == {}
        with pytest.raises(Unpicklable, match="cannot be sent"):
            cluster.spawn(Picky, threading.Lock())
        with pytest.raises(UnknownNode, match=r"there is no node 'good'; the nodes are: none yet"):
            cluster.call("good", "x")
        cluster.kill("m1")
        cluster.restart("m1")
        assert cluster.spawn(Picky, 1, name="bad") == "bad"

    def test_only_node_classes(self, sim: Sim) -> None:
        for wrong in (Echo(), int, "Echo"):
            with pytest.raises(
                TypeError, match=r"spawn takes a subclass of Node, not .*; write cluster\.spawn"
            ):
                sim().spawn(wrong)

    def test_removed_is_gone_for_good(self, sim: Sim) -> None:
        cluster = sim(1)
        name = cluster.spawn(Echo)
        cluster.remove(name)
        with pytest.raises(UnknownNode, match="there is no node 'echo-0'"):
            cluster.remove(name)
        cluster.kill("m1")
        cluster.restart("m1")
        cluster.run(1)
        assert [event.kind for event in cluster.trace.filter(node=name)] == ["node_started", "node_stopped"]
        assert cluster.spawn(Echo) == "echo-1"

    def test_removed_while_its_machine_is_dead(self, sim: Sim) -> None:
        cluster = sim(1)
        name = cluster.spawn(Echo)
        cluster.kill("m1")
        cluster.remove(name)
        cluster.restart("m1")
        cluster.run(1)
        assert cluster.nodes == {}
        assert len(cluster.trace.filter(kind="node_started", node=name)) == 1

    def test_nodes_start_knowing_each_other(self, sim: Sim) -> None:
        class Greets(Node):
            def __init__(self, other: str) -> None:
                self.other = other

            async def start(self) -> None:
                await self.call(self.other, "hello")

            @rpc
            def hello(self) -> None:
                self.emit("greeted")

        cluster = sim()
        cluster.spawn_many([(Greets, ("b",), {}, "a", "m1"), (Greets, ("a",), {}, "b", "m2")])
        cluster.run(1)
        assert {event.node for event in cluster.trace.filter(kind="greeted")} == {"a", "b"}

    def test_many_are_named_quickly(self, sim: Sim) -> None:
        cluster = sim()
        names = cluster.spawn_many([(Echo, (), {}, None, None)] * 5000)
        assert (len(set(names)), names[-1]) == (5000, "echo-4999")


class TestOperations:
    def test_result_done_and_repr(self, sim: Sim) -> None:
        cluster = sim()
        name = cluster.spawn(Echo)

        async def program(client: Any, value: int) -> int:
            await client.sleep(1)
            return await client.call(name, "plain", value)

        operation = cluster.submit(program, 5)
        assert (operation.done, repr(operation)) == (False, "<operation under way>")
        assert operation.result() == operation.result() == 5
        assert (operation.done, repr(operation)) == (True, "<operation done>")
        assert cluster.submit(lambda client: client.call(name, "plain", 6)).result() == 6

    def test_what_ended_in_time_can_be_asked_for_after_the_cluster(self, sim: Sim) -> None:
        cluster = sim()
        ended, going = (cluster.submit(lambda client, s=s: client.sleep(s)) for s in (1, 3))
        cluster.run(2)
        cluster.close()
        assert ended.result() is None
        with pytest.raises(ClusterClosed, match=r"close\(\) was called"):
            going.result()

    def test_what_was_under_way_when_the_cluster_was_reset(self, sim: Sim) -> None:
        cluster = sim()
        operation = cluster.submit(lambda client: client.sleep(3))
        cluster.reset()
        with pytest.raises(RunOver, match="was reset while this was under way"):
            operation.result()

    def test_one_that_is_late_goes_on(self, sim: Sim) -> None:
        cluster = sim()
        operation = cluster.submit(lambda client: client.sleep(3))
        with pytest.raises(Timeout, match="the operation is not done after 1 s; it goes on"):
            operation.result(timeout=1)
        assert operation.result(timeout=5) is None

    def test_its_error_is_raised(self, sim: Sim) -> None:
        async def program(client: Any) -> None:
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            sim().submit(program).result()

    def test_cancelled(self, sim: Sim) -> None:
        cluster = sim()

        async def program(client: Any) -> None:
            await client.sleep(100)

        operation = cluster.submit(program)
        cluster.run(1)
        operation.cancel()
        with pytest.raises(LabError, match="the operation was cancelled"):
            operation.result()

    def test_not_a_program(self, sim: Sim) -> None:
        with pytest.raises(
            TypeError, match=r"submit takes a program, async def program\(client, \.\.\.\), but .*returned 3"
        ):
            sim().submit(lambda client: 3)  # type: ignore[arg-type,return-value]

    def test_nothing_left_to_happen(self, sim: Sim) -> None:
        cluster = sim()

        async def program(client: Any) -> None:
            await Event().wait()

        with pytest.raises(
            Deadlock, match=r"at 0\.000 s nothing is left to happen, and the operation still waits"
        ):
            cluster.submit(program).result()

    def test_the_cluster_is_not_to_be_used_from_inside(self, sim: Sim) -> None:
        cluster = sim()
        name = cluster.spawn(Echo)

        class Meddler(Node):
            @rpc
            def meddle(self, what: str) -> None:
                {
                    "call": lambda: cluster.call(name, "plain", "x"),
                    "run": lambda: cluster.run(1),
                    "step": lambda: cluster.step(),
                    "spawn": lambda: cluster.spawn(Echo),
                    "state": lambda: cluster.state(name, "seen"),
                }[what]()

        meddler = cluster.spawn(Meddler)
        for what in ("call", "run", "step", "spawn", "state"):
            with pytest.raises(
                LabError, match=r"a handler called the cluster that runs it; .*use self\.call"
            ):
                cluster.call(meddler, "meddle", what)
        cluster.run(1)
        assert cluster.peek(name).seen == []


class TestTime:
    def test_run_and_run_until(self, sim: Sim) -> None:
        cluster = sim()
        cluster.run(2)
        cluster.run(0)
        assert cluster.now == 2.0
        cluster.run_until(lambda: cluster.now > 3)
        assert 3 < cluster.now < 3.1

        def never() -> bool:
            return False

        with pytest.raises(Timeout, match=r"after 1 s it is still not so that never\(\) is true"):
            cluster.run_until(never, timeout=1)
        with pytest.raises(Timeout, match="after 1 s it is still not so that w1 has finished"):
            cluster.run_until(lambda: False, timeout=1, what="w1 has finished")
        with pytest.raises(Timeout, match=r"the condition holds; name it: run_until\(\.\.\., what="):
            cluster.run_until(lambda: False, timeout=1)

    @pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan"), "1"])
    def test_bad_seconds(self, sim: Sim, seconds: Any) -> None:
        with pytest.raises(ValueError, match="seconds is a finite number >= 0, not"):
            sim().run(seconds)

    def test_step_counts_events(self, sim: Sim) -> None:
        cluster = sim(trace="messages")
        name = cluster.spawn(Echo)

        async def program(client: Any) -> None:
            await client.call(name, "plain", 1)

        cluster.submit(program)
        before = cluster.trace.count
        cluster.step()
        assert cluster.trace.count == before + 1
        cluster.step()  # looking at the request and answering it is one step of the loop
        assert cluster.trace.count == before + 3
        cluster.step(100)  # nothing is left
        assert cluster.trace.count == before + 4

    def test_step_without_a_trace_counts_callbacks(self, sim: Sim) -> None:
        cluster = sim(trace="off")
        name = cluster.spawn(Echo)
        operation = cluster.submit(lambda client: client.call(name, "plain", 1))
        steps = 0
        while not operation.done:
            cluster.step()
            steps += 1
        assert 2 <= steps < 10


class TestClosing:
    def test_a_closed_cluster_says_so_and_its_trace_stays(self, sim: Sim) -> None:
        cluster = sim()
        name = cluster.spawn(Echo)
        cluster.close()
        cluster.close()
        assert (cluster.closed, repr(cluster)) == (True, "<cluster 'sim': closed>")
        acts: list[Callable[[], Any]] = [
            lambda: cluster.call(name, "plain", 1),
            lambda: cluster.spawn(Echo),
            lambda: cluster.remove(name),
            lambda: cluster.state(name),
            lambda: cluster.run(1),
            lambda: cluster.step(),
            lambda: cluster.kill("m1"),
            lambda: cluster.play([]),
            lambda: cluster.submit(lambda client: client.sleep(1)),
            lambda: cluster.span("x").__enter__(),
            lambda: setattr(cluster, "pace", 1.0),
        ]
        for act in acts:
            with pytest.raises(
                ClusterClosed, match=r"the cluster 'sim' is closed \(close\(\) was called\); make a new one"
            ):
                act()
        assert cluster.trace.filter(kind="node_started")

    def test_with(self) -> None:
        with Cluster(1, engine="sim") as cluster:
            cluster.run(1)
        assert cluster.closed

    def test_closed_by_another_thread_in_the_middle_of_a_call(self, sim: Sim) -> None:
        cluster = sim()
        name = cluster.spawn(Busy)
        cluster.spawn(Busy)
        started = threading.Event()
        closer = threading.Thread(target=lambda: (started.wait(), cluster.close()))
        closer.start()
        cluster.trace.watch(lambda event: started.set())
        with pytest.raises(ClusterClosed, match="closed"):
            cluster.call(name, "for_ever", timeout=None)
        closer.join()
