"""The outbox of a machine, with a fake in place of Ray: what leaves when, and what becomes of what cannot."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labkit import Constant, Network, Node, Unpicklable, rpc
from labkit.runtime.copying import OUT_OF_BAND_BYTES
from labkit.runtime.message import REPLY, Message, NodeSpec
from labkit.runtime.packing import pack, unpack
from labkit.runtime.ray_machine import Outbox, RayMachine
from labkit.runtime.real_loop import RealLoop
from labkit.trace.trace import Trace
from tests.engines import import_ray

ray_exceptions = import_ray().exceptions


class Peer:
    """Stands for Ray's handle of another machine: notes each batch, and answers when the test says so."""

    def __init__(self) -> None:
        self.deliver = self
        self.batches: list[list[Any]] = []
        self.answers: list[asyncio.Future[None]] = []

    def remote(self, *packed: Any) -> asyncio.Future[None]:
        self.batches.append([message.payload[0] for message in unpack(packed)])
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.answers.append(answer)
        return answer


class Talker(Node):
    @rpc
    def heard(self, what: Any) -> None:
        """Nothing to do."""


async def machine(network: Network | None = None) -> tuple[RayMachine, Node, Peer]:
    """Machine m1 with node `a`; node `b` is on m2, which is a fake."""
    loop = RealLoop(0.0)
    loop.bind(asyncio.get_running_loop())
    loop.refresh()
    made = RayMachine(
        "m1", loop, network or Network(), Trace("messages"), {"a": "m1", "b": "m2"}, 0, Path("none")
    )
    peer = made.peers["m2"] = Peer()
    node = made.start_node(NodeSpec("a", Talker, (), {}))
    loop.pump()
    return made, node, peer


async def turns(number: int = 5) -> None:
    """Let asyncio do what is ready."""
    for _ in range(number):
        await asyncio.sleep(0)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def test_a_message_alone_leaves_at_once_and_what_comes_meanwhile_is_one_batch() -> None:
    async def test() -> None:
        made, node, peer = await machine()
        node.send("b", "heard", 1)
        await turns()
        assert peer.batches == [[1]]
        for number in range(2, 7):
            node.send("b", "heard", number)
            await turns()
        assert peer.batches == [[1]], "one batch is in flight"
        peer.answers[0].set_result(None)
        await turns()
        assert peer.batches == [[1], [2, 3, 4, 5, 6]]
        assert made.batches_sent == 2

    run(test())


def test_messages_of_one_turn_share_a_batch() -> None:
    async def test() -> None:
        _, node, peer = await machine()
        for number in range(100):
            node.send("b", "heard", number)
        await turns()
        assert peer.batches == [list(range(100))]

    run(test())


def test_the_network_delays_a_message_before_it_leaves() -> None:
    async def test() -> None:
        made, node, peer = await machine(Network(latency=Constant(0.05)))
        sent = made.loop.clock()
        node.send("b", "heard", 1)
        made.loop.pump()
        await turns()
        assert peer.batches == []
        while not peer.batches:
            await asyncio.sleep(0.005)
        assert made.loop.clock() - sent >= 0.05

    run(test())


def test_what_was_sent_to_a_dead_machine_is_dropped_and_the_next_goes_on() -> None:
    async def test() -> None:
        made, node, peer = await machine()
        node.send("b", "heard", 1)
        await turns()
        peer.answers[0].set_exception(ray_exceptions.ActorDiedError())
        node.send("b", "heard", 2)
        await turns()
        (dropped,) = made.trace.filter(kind="dropped")
        assert dropped.data["reason"] == "m2 is dead (ActorDiedError)"
        del made.peers["m2"]
        peer.answers[1].set_result(None)
        node.send("b", "heard", 3)
        await turns()
        assert made.trace.filter(kind="dropped")[-1].data["reason"] == "m2 is dead"

    run(test())


def test_a_message_that_the_other_machine_cannot_read_fails_alone() -> None:
    async def test() -> None:
        made, node, peer = await machine()
        error = ray_exceptions.RayTaskError("deliver", "ModuleNotFoundError: no such", ValueError())
        calls = [node.call("b", "heard", number) for number in (1, 2)]
        await turns()
        peer.answers[0].set_exception(error)  # the batch of both
        await turns()
        assert peer.batches == [[1, 2], [1]]
        peer.answers[1].set_exception(error)
        await turns()
        assert peer.batches[2:] == [[2]]
        peer.answers[2].set_result(None)
        await turns()
        assert isinstance(calls[0].error, Unpicklable)
        assert "heard to b cannot be read on m2" in str(calls[0].error)
        assert not calls[1].done

        node.send("b", "heard", 3)  # nobody awaits a one-way message: the failure is a crash
        await turns()
        peer.answers[3].set_exception(error)
        await turns()
        assert [(name, type(crash)) for name, crash in made.crashes] == [("a", Unpicklable)]

    run(test())


def test_small_arrays_travel_in_band_and_large_ones_apart() -> None:
    small = [np.arange(10) for _ in range(1000)]
    assert pack(small)[1] == []
    large = np.zeros(OUT_OF_BAND_BYTES, dtype=np.uint8)
    data, buffers = pack([large, *small])
    assert len(buffers) == 1
    assert len(data) < 1000 * 1000
    back = unpack((data, buffers))[0]
    back[0] = 1
    assert large[0] == 0, "what arrives shares no memory with what was sent"


def test_a_read_only_array_is_not_copied_by_its_receiver() -> None:
    large = np.zeros(OUT_OF_BAND_BYTES, dtype=np.uint8)
    large.flags.writeable = False
    back = unpack(pack([large, large.copy()]))
    assert np.shares_memory(back[0], large)  # in one process; from another, it is Ray's memory
    assert [array.flags.writeable for array in back] == [False, True]


def test_a_callback_that_fails_does_not_stop_the_others() -> None:
    async def test() -> None:
        made, _, _ = await machine()
        said: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context["message"]))
        done: list[int] = []
        made.loop.call_soon(lambda _: 1 / 0)
        made.loop.call_soon(done.append, 1)
        asyncio.get_running_loop().call_soon(made.loop.pump)
        await turns()
        assert done == [1]
        assert len(said) == 1

    run(test())


def test_a_timeout_waits_longer_while_the_host_has_no_time() -> None:
    async def test() -> None:
        made, _, peer = await machine()
        made.peers["m3"] = Peer()
        loop = made.loop
        assert loop.grace(0.5) == 0.0
        slow, quick = made.outboxes["m2"], made.outboxes["m3"] = Outbox(), Outbox()
        slow.lag.add(0.4)
        assert loop.grace(0.5) == pytest.approx(0.5 * 7), "eight times as late as usual"
        quick.lag.add(0.01)
        assert loop.grace(0.5) == 0.0, "one machine that is late is that machine's matter"
        quick.lag.add(0.1)
        assert loop.grace(0.5) == pytest.approx(0.5)
        loop.late.add(0.2)
        assert loop.grace(0.5) == pytest.approx(0.5 * 3), "what this process has no time for, it did not hear"
        assert loop.grace(600.0) == 20.0
        assert peer.batches == []

    run(test())


def test_a_machine_that_is_gone_tells_nothing_about_the_host() -> None:
    async def test() -> None:
        made, node, peer = await machine()
        node.send("b", "heard", 1)
        await turns()
        await asyncio.sleep(0.1)
        peer.answers[0].set_result(None)
        await turns()
        assert made.loop.transit() >= 0.1
        node.send("b", "heard", 2)
        await turns()
        peer.answers[1].set_exception(ray_exceptions.ActorDiedError())
        await turns()
        assert made.loop.transit() == 0.0

    run(test())


def test_an_overloaded_host_makes_nobody_dead() -> None:
    """The caller's limit is over, and its question has only now been taken: it waits, and is answered."""

    async def test() -> None:
        made, node, peer = await machine()
        made.loop.late.add(1000.0)
        answer = node.call("b", "heard", 1, timeout=0.05)
        await turns()
        peer.answers[0].set_result(None)
        await asyncio.sleep(0.2)
        assert not answer.done
        made.receive([Message(REPLY, *made.pending, "b", "m2", "a", "m1", "heard", "here", None, None)])
        await turns()
        assert answer.done
        assert answer.result() == "here"

    run(test())
