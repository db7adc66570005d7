"""What happens to a message: `machine.py`, the simulator's way of carrying it, and what a node sees of it."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest

from labkit import (
    Cluster,
    Constant,
    Definite,
    LabError,
    NodeCrashed,
    NotAnRpc,
    RemoteError,
    Timeout,
    UnknownMethod,
    UnknownNode,
    Unpicklable,
    gather,
    rpc,
)
from labkit.runtime.calls import Call
from labkit.runtime.errors import RemoteTraceback
from labkit.runtime.message import Failure, Message
from tests.runtime.nodes import Echo

Sim = Callable[..., Cluster]


def kinds(cluster: Cluster, *wanted: str) -> list[str]:
    return [event.kind for event in cluster.trace if event.kind in wanted]


def test_plain_async_and_forwarding_handlers_answer(sim: Sim) -> None:
    cluster = sim()
    a, b = cluster.spawn(Echo), cluster.spawn(Echo)
    assert cluster.call(a, "plain", 1) == 1
    assert cluster.call(a, "slowly", 2) == 2
    assert cluster.call(a, "forward", b, 3) == 3
    assert cluster.call(a, "ask", b, "plain", 4) == 4
    assert cluster.call(a, "tell", b, 5) is None
    cluster.run(1)
    assert cluster.state(b, "seen") == {"seen": [3, 4, 5]}


def test_a_message_takes_the_latency_there_and_back(sim: Sim) -> None:
    from labkit import Network

    cluster = sim(network=Network(latency=Constant(0.25)))
    a = cluster.spawn(Echo)
    cluster.call(a, "plain", 1)
    assert cluster.now == 0.5


class TestCopies:
    def test_arguments_and_answers_are_copies(self, sim: Sim) -> None:
        cluster = sim()
        a = cluster.spawn(Echo)
        mine = [7]
        answer = cluster.call(a, "mutate", mine)
        assert (mine, answer) == ([7], [7, 0])
        answer.append("mine")
        mine.append("mine")
        assert cluster.peek(a).seen == [[7, 0]]

    def test_nested_in_a_tuple_too(self, sim: Sim) -> None:
        cluster = sim()
        a = cluster.spawn(Echo)
        inner: list[int] = [1]
        cluster.call(a, "plain", (1, (inner,)))
        inner.append(2)
        assert cluster.peek(a).seen == [(1, ([1],))]

    def test_the_two_copies_of_a_duplicated_message_share_nothing(self, sim: Sim) -> None:
        cluster = sim()
        a = cluster.spawn(Echo)
        cluster.duplicate(1.0)
        assert cluster.call(a, "mutate", []) == [0]
        cluster.run(1)
        assert cluster.peek(a).seen == [[0], [1]]

    def test_one_way_messages_too(self, sim: Sim) -> None:
        cluster = sim()
        a, b = cluster.spawn(Echo, machine="m1"), cluster.spawn(Echo, machine="m2")
        cluster.duplicate(1.0)
        cluster.call(a, "tell", b, [1])
        cluster.run(1)
        first, second, *_ = cluster.peek(b).seen
        assert first == second == [1]
        assert first is not second

    def test_nodes_get_copies_of_their_arguments(self, sim: Sim) -> None:
        cluster = sim()
        peers = ["x"]
        a = cluster.spawn(Echo, peers)  # type: ignore[arg-type]
        peers.append("y")
        assert cluster.peek(a).peers == (["x"],)

    def test_state_is_a_copy(self, sim: Sim) -> None:
        cluster = sim()
        a = cluster.spawn(Echo)
        cluster.run(0.1)
        cluster.state(a, "seen")["seen"].append(1)
        assert cluster.peek(a).seen == []

    def test_what_cannot_be_copied_is_not_sent(self, sim: Sim) -> None:
        cluster = sim(trace="messages")
        a = cluster.spawn(Echo)
        with pytest.raises(Unpicklable, match=r"of type _thread\.lock cannot be sent.*Send plain data"):
            cluster.call(a, "plain", threading.Lock())
        assert kinds(cluster, "sent") == []

    def test_an_answer_that_cannot_be_copied_is_the_callers_error(self, sim: Sim) -> None:
        class Locked(Echo):
            @rpc
            def lock(self) -> Any:
                return threading.Lock()

        cluster = sim()
        with pytest.raises(Unpicklable, match="cannot be sent"):
            cluster.call(cluster.spawn(Locked), "lock")


class TestErrors:
    def test_a_handlers_exception_comes_back_as_itself(self, sim: Sim) -> None:
        cluster = sim()
        a = cluster.spawn(Echo)
        for method in ("fail", "fail_later"):
            with pytest.raises(ZeroDivisionError, match="on purpose") as caught:
                cluster.call(a, method)
            assert isinstance(caught.value.__cause__, RemoteTraceback)
            assert "raise ZeroDivisionError" in str(caught.value.__cause__)
            assert "loop.py" not in str(caught.value.__cause__)

    def test_the_traceback_of_each_call_on_the_way_is_kept(self, sim: Sim) -> None:
        cluster = sim()
        a, b = cluster.spawn(Echo), cluster.spawn(Echo)
        with pytest.raises(ZeroDivisionError) as caught:
            cluster.call(a, "ask", b, "fail")
        assert "one call nearer" in str(caught.value.__cause__)
        with pytest.raises(ZeroDivisionError):
            cluster.call(a, "ask", b, "fail_later")

    def test_an_exception_that_cannot_be_sent_is_told(self, sim: Sim) -> None:
        class Odd(Exception):
            def __init__(self, one: int, two: int) -> None:
                super().__init__(f"{one} and {two}")

        class Oddly(Echo):
            @rpc
            def odd(self) -> None:
                raise Odd(1, 2)

        cluster = sim()
        with pytest.raises(RemoteError, match="Odd: 1 and 2"):
            cluster.call(cluster.spawn(Oddly), "odd")
        assert isinstance(Failure(b"no pickle", "text", "Odd: x").to_exception(), RemoteError)

    def test_unknown_names(self, sim: Sim) -> None:
        cluster = sim()
        a = cluster.spawn(Echo)
        with pytest.raises(UnknownMethod, match=r"Echo echo-0 has no method 'plane'; it offers: .*plain"):
            cluster.call(a, "plane")
        with pytest.raises(NotAnRpc, match=r"Echo\.hidden is not an rpc: mark it @rpc"):
            cluster.call(a, "hidden")
        with pytest.raises(UnknownNode, match=r"there is no node 'nobody'; the nodes are: echo-0"):
            cluster.call("nobody", "plain")
        for method in ("ask", "forward"):
            with pytest.raises(
                UnknownNode, match=r"no node 'nobody' in this cluster; its nodes are:.*echo-0"
            ):
                cluster.call(a, method, "nobody", "plain")
        with pytest.raises(UnknownNode, match="'nobody'"):
            cluster.call(a, "tell", "nobody", 1)
        for kind in (UnknownMethod, NotAnRpc, UnknownNode, Unpicklable):
            assert issubclass(kind, Definite)

    def test_many_nodes_are_not_all_listed(self, sim: Sim) -> None:
        cluster = sim()
        cluster.spawn_many([(Echo, (), {}, None, None)] * 20)
        with pytest.raises(UnknownNode, match=r"echo-7 and 12 more"):
            cluster.call("nobody", "plain")

    def test_wrong_arguments_are_a_type_error(self, sim: Sim) -> None:
        cluster = sim()
        with pytest.raises(TypeError, match="positional argument"):
            cluster.call(cluster.spawn(Echo), "plain")

    def test_a_handler_that_is_cancelled_from_within_still_answers(self, sim: Sim) -> None:
        class Careless(Echo):
            @rpc
            async def careless(self) -> None:
                task = self.spawn(self.slowly(1))
                await self.sleep(0.1)
                task.cancel()
                await task

        cluster = sim()
        with pytest.raises(LabError, match="careless of careless-0 awaited something that was cancelled"):
            cluster.call(cluster.spawn(Careless), "careless")


class TestTimeouts:
    def test_a_late_answer_is_a_timeout_that_says_it_may_have_happened(self, sim: Sim) -> None:
        cluster = sim()
        a = cluster.spawn(Echo)
        with pytest.raises(
            Timeout, match=r"echo-0 on m1 did not answer slowly within 0\.5 s; it may have carried it out"
        ):
            cluster.call(a, "slowly", "x", timeout=0.5)
        cluster.run(1)
        assert cluster.peek(a).seen == ["x"]

    def test_none_waits_for_ever_and_so_does_infinity(self, sim: Sim) -> None:
        cluster = sim()
        a = cluster.spawn(Echo)
        for timeout in (None, float("inf")):
            assert cluster.call(a, "slowly", "x", 1000.0, timeout=timeout) == "x"

    @pytest.mark.parametrize("timeout", [0, -1.0])
    def test_no_time_at_all(self, sim: Sim, timeout: float) -> None:
        cluster = sim()
        a = cluster.spawn(Echo)
        cluster.run(5)
        with pytest.raises(Timeout, match="did not answer"):
            cluster.call(a, "plain", 1, timeout=timeout)
        assert cluster.now == 5

    def test_a_node_sees_a_plain_timeout(self, sim: Sim) -> None:
        cluster = sim()
        a, b = cluster.spawn(Echo, machine="m1"), cluster.spawn(Echo, machine="m2")
        cluster.kill("m2")
        with pytest.raises(Timeout, match="echo-1 on m2 did not answer slowly") as caught:
            cluster.call(a, "patient", b, 0.5)
        assert type(caught.value) is Timeout

    def test_the_event_belongs_to_the_span_of_its_call(self, sim: Sim) -> None:
        cluster = sim()
        a, b = cluster.spawn(Echo, machine="m1"), cluster.spawn(Echo, machine="m2")
        cluster.kill("m2")
        with cluster.span("asking") as span, pytest.raises(Timeout):
            cluster.call(a, "patient", b, 0.5)
        (event,) = cluster.trace.filter(kind="timed_out")
        assert (event.span, event.node, event.data["to"], event.data["after"]) == (span, a, b, 0.5)

    def test_nothing_is_left_of_calls_that_were_given_up(self, sim: Sim) -> None:
        from labkit.runtime.sync import wait_for

        cluster = sim()
        a = cluster.spawn(Echo)

        async def program(client: Any) -> None:
            for _ in range(3):
                with pytest.raises(Timeout):
                    await wait_for(client.call(a, "slowly", 1, 10.0, timeout=None), 0.1)

        cluster.submit(program).result()
        cluster.run(20)
        engine: Any = cluster._engine
        assert all(not machine.pending for machine in engine.machines.values())


class TestCrashes:
    def test_what_nobody_awaits_reaches_the_user_with_the_story(self, sim: Sim) -> None:
        cluster = sim(seed=3)
        a = cluster.spawn(Echo)
        cluster.call(a, "note", "was_here", {"x": 1})
        cluster.call(a, "fail_behind")
        with pytest.raises(
            NodeCrashed, match=r"echo-0 failed, and nobody awaited it: ZeroDivisionError.*later"
        ) as caught:
            cluster.run(1)
        assert "engine='sim', seed=3" in str(caught.value)
        assert "was_here" in caught.value.story
        assert caught.value.node == a
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        (crash,) = cluster.trace.filter(kind="crash")
        assert "raise ZeroDivisionError" in crash.data["traceback"]
        cluster.run(1)  # told once

    def test_in_one_way_messages_and_in_start(self, sim: Sim) -> None:
        class Stillborn(Echo):
            def start(self) -> None:
                raise ValueError("no start")

        cluster = sim()
        a, b = cluster.spawn(Echo), cluster.spawn(Echo)

        async def program(client: Any) -> None:
            client.send(a, "fail")
            client.send(b, "fail_later")

        cluster.submit(program).result()
        with pytest.raises(NodeCrashed, match=r"echo-0 failed.*\(1 more crashes are in the trace\)"):
            cluster.run(1)
        cluster.spawn(Stillborn)
        with pytest.raises(NodeCrashed, match="no start"):
            cluster.run(1)

    def test_at_the_end_it_is_a_warning(self, sim: Sim) -> None:
        cluster = sim()
        a = cluster.spawn(Echo)
        cluster.call(a, "fail_behind")
        engine: Any = cluster._engine
        engine.loop.run(until=1.0)
        with pytest.warns(UserWarning, match="echo-0 failed, and nobody awaited it: ZeroDivisionError"):
            cluster.close()


class TestEnvelope:
    def test_a_call_becomes_a_message_where_it_leaves_the_process(self, sim: Sim) -> None:
        cluster = sim()
        cluster.spawn(Echo)
        engine: Any = cluster._engine
        call: Call = engine.do(lambda: engine.client.call("echo-0", "plain", [1]))
        there = pickle.loads(pickle.dumps(call.message))
        assert there == Message("request", 1, "client", "client", "echo-0", "m1", "plain", ([1],), None, None)

    def test_an_answer_for_a_former_life_meets_no_call_of_the_next(self, sim: Sim) -> None:
        class Asker(Echo):
            async def start(self) -> None:
                self.seen = []
                self.seen.append(await self.call("slow", "slowly", f"life {self.now:.0f}", 2.0))

        cluster = sim()
        cluster.spawn(Echo, name="slow", machine="m1")
        a = cluster.spawn(Asker, machine="m2")
        cluster.run(1)
        cluster.kill("m2")
        cluster.restart("m2")
        cluster.run(1.5)
        assert cluster.peek(a).seen == []
        cluster.run(1.5)
        assert cluster.peek(a).seen == ["life 1"]

    @pytest.mark.parametrize("duplicate", [0.0, 1.0])
    def test_message_events_tell_both_ends(self, sim: Sim, duplicate: float) -> None:
        cluster = sim(trace="messages")
        a = cluster.spawn(Echo)
        cluster.duplicate(duplicate)
        cluster.call(a, "plain", 1)
        cluster.run(1)
        copies = 2 if duplicate else 1
        requests = cluster.trace.filter(kind="delivered", what="request")
        replies = cluster.trace.filter(kind="delivered", what="reply")
        assert (len(requests), len(replies)) == (copies, copies * copies)
        assert {event.node for event in requests} == {a}
        assert {event.node for event in replies} == {"client"}
        assert requests[0].data == {
            "message": 1, "from": "client", "from_machine": "client", "method": "plain", "what": "request",
        }  # fmt: skip
        assert replies[0].data["from"] == a
        by_seq = {event.seq: event for event in cluster.trace}
        assert all(by_seq[event.parent or 0].kind == "sent" for event in requests + replies)


def test_calls_may_be_awaited_together(sim: Sim) -> None:
    cluster = sim()
    names = cluster.spawn_many([(Echo, (), {}, None, None)] * 5)

    async def program(client: Any, factor: int) -> list[int]:
        return await gather(
            *[client.call(name, "slowly", factor * number) for number, name in enumerate(names)]
        )

    assert cluster.submit(program, 10).result() == [0, 10, 20, 30, 40]
    assert cluster.now < 1.1
