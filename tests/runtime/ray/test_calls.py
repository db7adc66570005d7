"""Calls, computations, prints and failures, between real processes."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import psutil
import pytest

from labkit import (
    BlockingHandler,
    Cluster,
    LabError,
    Node,
    NodeCrashed,
    NotAnRpc,
    RemoteError,
    Timeout,
    UnknownMachine,
    UnknownMethod,
    UnknownNode,
    Unpicklable,
    every,
    gather,
    rpc,
)
from tests.engines import wait_until

pytestmark = [pytest.mark.ray, pytest.mark.slow]


class Worker(Node):
    """Does what a test asks for."""

    def __init__(self, greeting: str = "hello") -> None:
        self.greeting = greeting
        self.heard: list[Any] = []
        self.computing = False
        self.table = np.zeros(200_000)

    @rpc
    def greet(self, name: str) -> str:
        return f"{self.greeting} {name} from {self.machine}"

    @rpc
    def hear(self, what: Any) -> None:
        self.heard.append(what)

    @rpc
    def echo(self, value: Any) -> Any:
        return value

    @rpc
    def add_one_in_place(self, array: Any) -> Any:
        array += 1
        return array

    @rpc
    def add_one_in_place_to_each(self, arrays: list[Any]) -> list[Any]:
        for array in arrays:
            array += 1
        return arrays

    @rpc
    async def arrays_by_way_of(self, other: str, sizes: list[int], seed: int) -> tuple[list[Any], list[str]]:
        """Random arrays, to each of which another has added 1; and who does not reach our memory."""
        random = np.random.default_rng(seed)
        sent = [random.random(size) for size in sizes]
        back = await self.call(other, "add_one_in_place_to_each", sent, timeout=60.0)
        return back, sorted(self._machine.apart)

    @rpc
    def move_elsewhere(self) -> None:
        """From now on this machine is on another host, as far as its memory is concerned."""
        from labkit.runtime import shared_memory

        shared_memory._HOST = "elsewhere"

    @rpc
    async def ask(self, other: str, name: str) -> str:
        return f"{self.name} heard: {await self.call(other, 'greet', name)}"

    @rpc
    async def ask_many(self, other: str, count: int) -> tuple[int, int]:
        """(answers, Ray calls that carried the questions)."""
        before = self._machine.batches_sent  # type: ignore[attr-defined]
        calls = [self.call(other, "greet", str(number), timeout=60.0) for number in range(count)]
        answers = await gather(*calls)
        return len(set(answers)), self._machine.batches_sent - before  # type: ignore[attr-defined]

    @rpc
    async def fail(self, text: str) -> None:
        await self.sleep(0.01)
        raise ValueError(text)

    @rpc
    async def fail_through(self, other: str) -> None:
        await self.call(other, "fail", "far away")

    @rpc
    def fail_unpicklably(self) -> None:
        raise Unsendable(threading.Lock())

    @rpc
    def answer_unpicklably(self) -> Any:
        return threading.Lock()

    @rpc
    async def fail_later(self) -> None:
        async def fail() -> None:
            await self.sleep(0.01)
            raise ValueError("nobody listens")

        self.spawn(fail())

    @rpc
    def say(self, text: str) -> None:
        print(text)
        print("half a li", end="")
        print("ne")

    @rpc
    async def block(self, seconds: float) -> None:
        time.sleep(seconds)

    @rpc
    async def compute_until(self, file: str) -> str:
        self.computing = True
        return await self.compute(_busy, Path(file))

    @rpc
    async def compute_long(self) -> None:
        await self.compute(time.sleep, 20.0)  # longer than a timeout grows on a busy machine

    @rpc
    async def compute_badly(self, how: str) -> None:
        await self.compute(_fail, how)

    def secret(self) -> None:
        """Not an rpc."""


class Heart(Node):
    """Beats."""

    @every(seconds=0.05)
    def beat(self) -> None:
        self.emit("beat")


class Unsendable(Exception):
    """Cannot be pickled."""


def _busy(until_there_is: Path) -> str:
    while not until_there_is.exists():
        sum(range(1000))
    print("computed")
    return "done"


def _fail(how: str) -> None:
    raise SystemExit(3) if how == "exit" else KeyError(how)


# ── calls ────────────────────────────────────────────────────────────────────────────────────────────────


def test_nodes_run_in_processes_of_their_own_and_call_each_other(cluster: Cluster) -> None:
    a = cluster.spawn(Worker, "good day", machine="m1")
    b = cluster.spawn(Worker, machine="m2")
    assert cluster.call(a, "greet", "Ada") == "good day Ada from m1"
    assert cluster.call(b, "ask", a, "Bob") == f"{b} heard: good day Bob from m1"
    pids = [machine.pid for machine in cluster.machines]
    assert len(set(pids)) == 3
    assert all(pid and psutil.pid_exists(pid) for pid in pids)
    assert cluster.nodes == {a: "m1", b: "m2"}
    begun = {event.machine: event.data["pid"] for event in cluster.trace.filter(kind="machine_started")}
    assert begun == {machine.name: machine.pid for machine in cluster.machines}


def test_a_message_is_a_copy(cluster: Cluster) -> None:
    node = cluster.spawn(Worker)
    mine = [1, {"two": 2}]
    cluster.call(node, "hear", mine)
    mine.append(3)
    assert cluster.state(node, "heard", "greeting") == {"heard": [[1, {"two": 2}]], "greeting": "hello"}


def test_one_way_messages_arrive(cluster: Cluster) -> None:
    node = cluster.spawn(Worker, machine="m3")

    async def tell(client: Node) -> None:
        for number in range(50):
            client.send(node, "hear", number)

    cluster.submit(tell).result()
    wait_until(lambda: len(cluster.state(node, "heard")["heard"]) == 50, what="50 messages heard")


def test_a_client_program_has_many_calls_under_way(cluster: Cluster) -> None:
    nodes = [cluster.spawn(Worker, machine=machine) for machine in cluster.machines]

    async def ask(client: Node) -> list[str]:
        calls = [client.call(node, "greet", str(n), timeout=60.0) for n in range(100) for node in nodes]
        return await gather(*calls)

    assert len(set(cluster.submit(ask).result())) == 300


def test_messages_in_flight_share_ray_calls(cluster: Cluster) -> None:
    a = cluster.spawn(Worker, machine="m1")
    b = cluster.spawn(Worker, machine="m2")
    answers, batches = cluster.call(a, "ask_many", b, 2000, timeout=60)
    assert answers == 2000
    assert batches < 100, "far fewer Ray calls than messages"


def test_calls_from_several_threads(cluster: Cluster) -> None:
    node = cluster.spawn(Worker, machine="m1")
    answers: list[str] = []

    def ask(thread: int) -> None:
        for number in range(20):
            answers.append(cluster.call(node, "greet", f"{thread}.{number}", timeout=60))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(answers)) == 160


def test_large_arrays_are_writable_and_nobody_elses(cluster: Cluster) -> None:
    node = cluster.spawn(Worker)
    array = np.arange(500_000.0)
    back = cluster.call(node, "add_one_in_place", array)
    assert back[0] == 1
    assert array[0] == 0
    back += 1
    assert np.array_equal(back, array + 2)
    table = cluster.state(node, "table")["table"]
    table += 1  # a copy, and one's own
    assert cluster.state(node, "table")["table"].sum() == 0


@pytest.mark.parametrize("reached", [True, False])
def test_buffers_of_all_sizes_between_machines(cluster: Cluster, reached: bool) -> None:
    """Through memory that both have mapped, and, if the other machine cannot map it, through Ray's store."""
    sender, receiver = (cluster.spawn(Worker, machine=machine) for machine in ("m1", "m2"))
    if not reached:
        cluster.call(sender, "move_elsewhere")
    sizes = [0, 1, 1000, 10_000, 100_000, 1_000_000]
    for seed in range(3):
        back, apart = cluster.call(sender, "arrays_by_way_of", receiver, sizes, seed, timeout=60)
        assert apart == ([] if reached else ["m2"])
        assert [len(array) for array in back] == sizes
        random = np.random.default_rng(seed)
        assert all(np.array_equal(array, random.random(len(array)) + 1) for array in back)
    if not reached:
        for machine in ("m1", "m2"):
            cluster.kill(machine)
            cluster.restart(machine)


def test_a_hundred_thousand_small_arrays(cluster: Cluster) -> None:
    node = cluster.spawn(Worker)
    arrays = [np.full(10, number) for number in range(100_000)]
    back = cluster.call(node, "echo", arrays, timeout=100)
    assert len(back) == 100_000
    assert back[-1][0] == 99_999


# ── failures ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_handlers_exception_comes_back_as_itself_with_the_remote_traceback(cluster: Cluster) -> None:
    a, b = (cluster.spawn(Worker, machine=machine) for machine in ("m1", "m2"))
    with pytest.raises(ValueError, match="no good") as caught:
        cluster.call(a, "fail", "no good")
    assert "raise ValueError(text)" in str(caught.value.__cause__)
    with pytest.raises(ValueError, match="far away") as caught:
        cluster.call(a, "fail_through", b)
    assert "one call nearer" in str(caught.value.__cause__)
    assert "in fail\n" in str(caught.value.__cause__)
    with pytest.raises(RemoteError, match="Unsendable"):
        cluster.call(a, "fail_unpicklably")


def test_what_cannot_be_sent_is_refused(cluster: Cluster) -> None:
    node = cluster.spawn(Worker)
    with pytest.raises(Unpicklable, match=r"lock.*cannot be sent"):
        cluster.call(node, "hear", threading.Lock())
    with pytest.raises(Unpicklable, match=r"lock.*cannot be sent"):
        cluster.call(node, "answer_unpicklably")
    assert cluster.call(node, "echo", 1) == 1


def test_a_class_that_a_machine_cannot_import(cluster: Cluster, monkeypatch: Any) -> None:
    only_here = ModuleType("only_here")  # in no file, so that the user's module search path does not help
    exec("class Thing: pass", vars(only_here))
    monkeypatch.setitem(sys.modules, "only_here", only_here)
    node = cluster.spawn(Worker)
    with pytest.raises(Unpicklable, match=r"hear to worker-\d+ cannot be read on m1.*only_here"):
        cluster.call(node, "hear", only_here.Thing())
    assert cluster.call(node, "echo", 1) == 1


def test_wrong_names(cluster: Cluster) -> None:
    node = cluster.spawn(Worker)
    with pytest.raises(UnknownMachine, match="no machine 'm9'"):
        cluster.spawn(Worker, machine="m9")
    with pytest.raises(UnknownNode, match="nobody"):
        cluster.call("nobody", "greet", "Ada")
    with pytest.raises(UnknownMethod, match=r"it offers: .*greet"):
        cluster.call(node, "great", "Ada")
    with pytest.raises(NotAnRpc, match="mark it @rpc"):
        cluster.call(node, "secret")
    with pytest.raises(UnknownNode, match="no node 'nobody'"):
        cluster.call(node, "ask", "nobody", "Ada")


def test_nodes_that_cannot_start_leave_nothing(cluster: Cluster) -> None:
    with pytest.raises(TypeError, match="positional argument"):
        cluster.spawn_many([(Worker, (), {}, "one", "m1"), (Worker, (1, 2, 3), {}, "two", "m2")])
    assert cluster.nodes == {}
    with pytest.raises(UnknownNode, match="one"):
        cluster.call("one", "greet", "Ada")
    one = cluster.spawn(Worker, name="one", machine="m1")
    assert cluster.call(one, "greet", "Ada") == "hello Ada from m1"


def test_an_exception_that_nobody_awaits_reaches_the_user(cluster: Cluster) -> None:
    node = cluster.spawn(Worker, machine="m2")

    def fail() -> None:
        cluster.call(node, "fail_later")
        wait_until(lambda: cluster.run(0.05), what="the failure")

    with pytest.raises(NodeCrashed, match=r"worker-\d+ failed.*ValueError: nobody listens") as caught:
        fail()
    assert caught.value.node == node
    assert "crash" in caught.value.story
    (crash,) = cluster.trace.filter(kind="crash", node=node)[-1:]
    assert "raise ValueError" in crash.data["traceback"]


def test_prints_become_events(cluster: Cluster) -> None:
    node = cluster.spawn(Worker, machine="m2")
    cluster.call(node, "say", "one\ntwo")
    cluster.call(node, "compute_until", "/")

    def texts() -> list[tuple[str | None, str]]:
        return [(e.node, e.data["text"]) for e in cluster.trace.filter(kind="printed", machine="m2")][-4:]

    said = [(node, "one"), (node, "two"), (node, "half a line"), (None, "computed")]
    wait_until(lambda: texts() == said, what="four lines")


# ── computations ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_computation_lets_the_other_nodes_of_its_machine_go_on(cluster: Cluster, tmp_path: Path) -> None:
    node = cluster.spawn(Worker, machine="m1")
    heart = cluster.spawn(Heart, machine="m1")
    over = tmp_path / "over"

    async def compute(client: Node) -> str:
        return str(await client.call(node, "compute_until", str(over), timeout=None))

    computing = cluster.submit(compute)
    wait_until(lambda: cluster.state(node, "computing")["computing"], what="it computes")
    begun = cluster.now

    def beats() -> int:
        return len([e for e in cluster.trace.filter(kind="beat", node=heart) if e.time > begun])

    wait_until(lambda: beats() >= 3, what="beats meanwhile")
    assert not computing.done
    over.touch()
    assert computing.result() == "done"


def test_a_computation_that_fails(cluster: Cluster) -> None:
    node = cluster.spawn(Worker)
    with pytest.raises(KeyError, match="why"):
        cluster.call(node, "compute_badly", "why")
    with pytest.raises(LabError, match=r"SystemExit: 3"):
        cluster.call(node, "compute_badly", "exit")


def block(cluster: Cluster, node: str) -> None:
    """Once more, if who watches had no time to see it."""

    def seen() -> bool:
        cluster.call(node, "block", 2.5, timeout=60)
        reports = cluster.trace.filter(kind="blocked", machine="m3")
        return any(report.data["where"].startswith("block (") for report in reports)

    wait_until(seen, what="the report of it")
    cluster.run(0.01)


def test_a_handler_that_blocks_its_machine_is_warned_of(cluster: Cluster) -> None:
    node = cluster.spawn(Worker, machine="m3")
    with pytest.warns(BlockingHandler, match=r"in block \(.*test_calls.py.*self.compute"):
        block(cluster, node)


def test_a_call_that_takes_too_long(cluster: Cluster) -> None:
    node = cluster.spawn(Worker, machine="m3")
    with pytest.raises(Timeout, match=r"not answer compute_long within 0.2 s; it may have carried it out"):
        cluster.call(node, "compute_long", timeout=0.2)


def test_step_is_not_for_real_processes(cluster: Cluster) -> None:
    with pytest.raises(LabError, match='engine="sim"'):
        cluster.step()


def test_a_client_program_cannot_wait_as_a_cell_does(cluster: Cluster) -> None:
    node = cluster.spawn(Worker)

    async def wrong(client: Node) -> Any:
        return cluster.call(node, "greet", "Ada")

    with pytest.raises(LabError, match=r"client\.call"):
        cluster.submit(wrong).result()
