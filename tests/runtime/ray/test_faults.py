"""Faults are real: a killed machine's process is gone, a paused one is stopped by the kernel."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import time
from typing import Any

import pytest

from labkit import (
    BadFault,
    Cluster,
    Constant,
    Kill,
    Loss,
    MachineDead,
    MachineDied,
    MachinePartitioned,
    MachinePaused,
    Node,
    NodeCrashed,
    Restart,
    Timeout,
    every,
    rpc,
    when,
)
from labkit.runtime.host import HostProcess
from tests.engines import MakeCluster, wait_until

pytestmark = [pytest.mark.ray, pytest.mark.slow]


#: Seconds in which a call that ends its own machine has done so, and the client has heard of it.
NOTICED_WITHIN = 8.0


class Keeper(Node):
    """Keeps what it is told, on disk if asked to."""

    async def start(self) -> None:
        self.found = dict(self.disk)
        self.count = 0

    @rpc
    def write(self, key: str, value: Any, sync: bool) -> None:
        self.disk[key] = value
        if sync:
            self.disk.sync()

    @rpc
    def read(self) -> dict[str, Any]:
        return self.found

    @rpc
    def add(self) -> int:
        self.count += 1
        return self.count

    @rpc
    async def wait(self, seconds: float) -> str:
        self.emit("waits", seconds=seconds)
        await self.sleep(seconds)
        return "awake"

    @rpc
    async def ask(self, other: str, timeout: float = 60.0) -> int:
        return await self.call(other, "add", timeout=timeout)

    @rpc
    def exit(self, how: str) -> None:
        if how == "sys.exit":
            sys.exit(3)
        os._exit(3)

    @rpc
    async def emit_and_die(self) -> None:
        self.emit("last_words")
        os.kill(os.getpid(), signal.SIGKILL)

    @rpc
    async def keep_and_die(self, how: str) -> None:
        self.emit("kept", how=how)
        if how == "disk":
            self.disk["how"] = how
            self.disk.sync()
        else:
            self.files.write("how", how.encode())
        self.emit("last_words")
        os.kill(os.getpid(), signal.SIGKILL)

    @rpc
    def emit_what_is_here_only(self) -> None:
        self.emit("unreadable", value=Here(os.getpid()))


class Here:
    """Can be read in its own process only."""

    def __init__(self, pid: int) -> None:
        if pid != os.getpid():
            raise RuntimeError("somewhere else")
        self.pid = pid

    def __reduce__(self) -> tuple[type[Here], tuple[int]]:
        return Here, (self.pid,)


class Pinger(Node):
    """Says what number it sends, and sends it; the other says what it has heard."""

    @rpc
    def begin(self, other: str) -> None:
        self.spawn(self._send_to(other))

    async def _send_to(self, other: str) -> None:
        for number in itertools.count():
            self.emit("sending", number=number)
            await self.call(other, "hear", number, timeout=None)

    @rpc
    def hear(self, number: int) -> None:
        self.emit("heard", number=number)


class Ticker(Node):
    """Emits `tick` with a number."""

    async def start(self) -> None:
        self.number = 0

    @every(seconds=0.05, jitter=0.0)
    def tick(self) -> None:
        self.number += 1
        self.emit("tick", number=self.number)


def process_of(cluster: Cluster, machine: str) -> HostProcess:
    pid = cluster.machine(machine).pid
    assert pid is not None
    return HostProcess.of(pid)


def gone(process: HostProcess) -> None:
    """It has ended; a Ray without time takes note of it later."""
    assert not process.exists()
    wait_until(lambda: not process.exists(zombie=True), what="Ray has taken note of its end")


# ── killed and restarted ─────────────────────────────────────────────────────────────────────────────────


def test_killed_means_gone(cluster: Cluster) -> None:
    node = cluster.spawn(Keeper, machine="m2")
    process = process_of(cluster, "m2")
    before = cluster.now
    cluster.kill("m2")
    gone(process)
    assert cluster.machine("m2").state == "dead"
    assert cluster.machine("m2").pid is None
    killed, died = cluster.trace.filter(machine="m2", kind=("killed", "machine_died"))[-2:]
    assert (killed.kind, died.kind) == ("killed", "machine_died")
    assert before <= killed.time <= died.time <= cluster.now
    assert died.data == {"pid": process.pid, "reason": "killed"}
    with pytest.raises(MachineDead, match="m2 is dead; restart it"):
        cluster.call(node, "add")
    with pytest.raises(MachineDead, match="m2 is dead"):
        cluster.spawn(Keeper, machine="m2")
    with pytest.raises(MachineDead, match="m2 is dead"):
        cluster.state(node, "count")
    with pytest.raises(BadFault, match="m2 is dead"):
        cluster.kill("m2")


def test_a_call_under_way_when_its_machine_dies(cluster: Cluster) -> None:
    node = cluster.spawn(Keeper, machine="m2")
    asker = cluster.spawn(Keeper, machine="m1")
    outcome: list[BaseException] = []

    async def wait(client: Node) -> None:
        try:
            await client.call(node, "wait", 30.0, timeout=1.0)
        except Timeout as error:
            outcome.append(error)

    waiting = cluster.submit(wait)
    cluster.play([(when(kind="waits", node=node, seconds=60.0), Kill("m2"))])
    with pytest.raises(MachineDied, match="m2 died while the call was under way"):
        cluster.call(node, "wait", 60.0, timeout=NOTICED_WITHIN)
    waiting.result()
    assert len(outcome) == 1
    with pytest.raises(Timeout, match="m2 did not answer add"):  # a node knows nothing of m2's death
        cluster.call(asker, "ask", node, 0.5, timeout=60.0)
    # The client cannot have heard of all events yet that m1 will report.
    wait_until(lambda: cluster.trace.filter(kind="timed_out", node=asker), what="m1's report")
    why = str(cluster.trace.why(cluster.trace.filter(kind="timed_out", node=asker)[-1]))
    assert "killed" in why


def test_a_restarted_machine_finds_its_disk_and_nothing_else(cluster: Cluster) -> None:
    node = cluster.spawn(Keeper, machine="m2")
    cluster.call(node, "write", "kept", {"a": [1]}, True)
    cluster.call(node, "write", "lost", 2, False)
    cluster.call(node, "add")
    process = process_of(cluster, "m2")
    cluster.kill("m2")
    cluster.restart("m2")
    assert cluster.machine("m2").pid not in (None, process.pid)
    assert cluster.machine("m2").incarnation > 1
    assert cluster.call(node, "read") == {"kept": {"a": [1]}}
    assert cluster.call(node, "add") == 1
    assert cluster.call(cluster.spawn(Keeper, machine="m1"), "ask", node) == 2, (
        "its peers know the new process"
    )


def test_a_restarted_machine_knows_the_nodes_that_began_meanwhile(cluster: Cluster) -> None:
    node = cluster.spawn(Keeper, machine="m2")
    cluster.kill("m2")
    later = cluster.spawn(Keeper, machine="m3")
    cluster.restart("m2")
    assert cluster.call(node, "ask", later) == 1


def test_a_lost_disk(cluster: Cluster) -> None:
    node = cluster.spawn(Keeper, machine="m3")
    cluster.call(node, "write", "kept", 1, True)
    cluster.kill("m3")
    cluster.disk_loss("m3")
    cluster.restart("m3")
    assert cluster.call(node, "read") == {}


@pytest.mark.parametrize("how", ["os._exit", "sys.exit"])
def test_a_machine_that_ends_by_itself(cluster: Cluster, how: str) -> None:
    node = cluster.spawn(Keeper, machine="m2")
    process = process_of(cluster, "m2")
    with pytest.raises(MachineDied):
        cluster.call(node, "exit", how, timeout=NOTICED_WITHIN)
    wait_until(lambda: cluster.machine("m2").state == "dead", what="m2 dead")
    wait_until(lambda: cluster.trace.filter(kind="machine_died", machine="m2"), what="the event")
    died = cluster.trace.filter(kind="machine_died", machine="m2")[-1]
    assert died.data["pid"] == process.pid
    assert died.data["reason"] != "killed"
    cluster.restart("m2")
    assert cluster.call(node, "add") == 1


def test_a_machine_killed_from_outside_loses_the_events_it_had_not_told(cluster: Cluster) -> None:
    node = cluster.spawn(Keeper, machine="m3")
    cluster.run(0.3)
    with pytest.raises(Timeout):
        cluster.call(node, "emit_and_die", timeout=2.0)
    wait_until(lambda: cluster.machine("m3").state == "dead", what="m3 dead")
    assert cluster.trace.filter(kind="last_words", node=node) == []
    with pytest.raises(MachineDead, match="m3 is dead"):
        cluster.call(node, "add")


def test_what_its_next_life_finds_a_killed_machine_has_told(cluster: Cluster) -> None:
    node = cluster.spawn(Keeper, machine="m3")
    for how in ("disk", "files"):
        with pytest.raises(Timeout):
            cluster.call(node, "keep_and_die", how, timeout=2.0)
        wait_until(lambda: cluster.machine("m3").state == "dead", what="m3 dead")
        assert len(cluster.trace.filter(kind="kept", node=node, how=how)) == 1
        cluster.restart("m3")
    assert cluster.trace.filter(kind="last_words", node=node) == []


def test_an_event_that_cannot_be_read_here_does_not_make_the_machine_dumb(cluster: Cluster) -> None:
    node = cluster.spawn(Keeper, machine="m2")

    def emit() -> None:
        cluster.call(node, "emit_what_is_here_only")
        wait_until(lambda: cluster.run(0.05), what="the failure to read it")

    with pytest.raises(NodeCrashed, match="somewhere else"):
        emit()
    assert cluster.call(node, "add") == 1


def test_what_others_have_heard_of_a_killed_machine_it_has_told(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(machines=2)
    hearer = cluster.spawn(Pinger, machine="m2")
    for _ in range(4):
        pinger = cluster.spawn(Pinger, machine="m1")
        cluster.call(pinger, "begin", hearer)
        heard = len(cluster.trace.filter(kind="heard"))
        cluster.run_until(lambda: len(cluster.trace.filter(kind="heard")) > heard, timeout=300.0)  # noqa: B023
        cluster.kill("m1")
        (killed,) = cluster.trace.filter(kind="killed")[-1:]
        sent = cluster.trace.filter(kind="sending", node=pinger)
        assert [event.data["number"] for event in sent] == list(range(len(sent))), "each once"
        assert all(event.time <= killed.time for event in sent)
        cluster.run(0.3)
        last = cluster.trace.filter(kind="heard")[-1]
        assert last.data["number"] <= len(sent) - 1
        cluster.restart("m1")
        cluster.remove(pinger)


# ── paused and slow ──────────────────────────────────────────────────────────────────────────────────────


def test_paused_means_stopped_by_the_kernel(cluster: Cluster) -> None:
    node = cluster.spawn(Keeper, machine="m2")
    asker = cluster.spawn(Keeper, machine="m1")
    process = process_of(cluster, "m2")
    cluster.pause("m2")
    wait_until(lambda: process.stopped, what="SIGSTOP")
    with pytest.raises(MachinePaused, match=r"will carry it out after cluster\.resume"):
        cluster.call(node, "add", timeout=0.3)
    with pytest.raises(Timeout, match="did not answer"):
        cluster.call(asker, "ask", node, 0.5, timeout=60.0)
    with pytest.raises(MachinePaused, match="nothing can be read"):
        cluster.state(node, "count")
    late = cluster.spawn(Keeper, name="late", machine="m2")
    cluster.loss(0)  # a change that every machine is told; nobody waits for the paused one
    cluster.resume("m2")
    assert not process.stopped
    wait_until(lambda: cluster.state(node, "count")["count"] == 2, what="what it was asked meanwhile is done")
    assert cluster.call(late, "add") == 1
    assert [e.kind for e in cluster.trace.filter(machine="m2", kind=("paused", "resumed"))][-2:] == [
        "paused",
        "resumed",
    ]


def test_a_paused_machine_can_be_killed(cluster: Cluster) -> None:
    process = process_of(cluster, "m2")
    cluster.pause("m2")
    cluster.kill("m2")
    gone(process)


def test_a_slow_machine_takes_longer(cluster: Cluster) -> None:
    node = cluster.spawn(Keeper, machine="m2")
    cluster.slow("m2", 200)
    begun = time.monotonic()
    cluster.call(node, "add")
    assert time.monotonic() - begun > 0.19  # a factor of 200 on a millisecond
    assert cluster.machine("m2").state == "slow"
    cluster.pause("m2")
    cluster.resume("m2")
    assert cluster.machine("m2").state == "slow"
    cluster.slow("m2", 1)
    assert cluster.machine("m2").state == "alive"


# ── the network ──────────────────────────────────────────────────────────────────────────────────────────


def test_partitions(cluster: Cluster) -> None:
    a, b, c = (cluster.spawn(Keeper, machine=machine) for machine in ("m1", "m2", "m3"))
    cluster.partition(["m1"], ["m2"])
    for one, other in ((a, b), (b, a)):
        with pytest.raises(Timeout):
            cluster.call(one, "ask", other, 0.2)
    assert cluster.call(a, "ask", c) == 1
    cluster.heal()
    assert cluster.call(a, "ask", b) == 1

    cluster.partition("m1", "m2", oneway=True)
    with pytest.raises(Timeout):
        cluster.call(a, "ask", b, 0.2)  # the question is lost
    assert cluster.state(b, "count") == {"count": 1}
    with pytest.raises(Timeout):
        cluster.call(b, "ask", a, 0.2)  # the answer is lost, and it was done
    wait_until(lambda: cluster.state(a, "count") == {"count": 1}, what="it was done")
    cluster.heal()

    cluster.partition("client", "m1")
    with pytest.raises(MachinePartitioned, match="a partition separates you from m1"):
        cluster.call(a, "add", timeout=0.2)
    assert cluster.call(b, "ask", a) == 2


def test_loss_latency_and_duplicates(cluster: Cluster) -> None:
    a, b = (cluster.spawn(Keeper, machine=machine) for machine in ("m1", "m2"))
    cluster.loss(1.0)
    with pytest.raises(Timeout):
        cluster.call(a, "add", timeout=0.2)
    cluster.loss(0.0)
    cluster.latency(Constant(0.1))
    begun = time.monotonic()
    cluster.call(a, "add")
    assert time.monotonic() - begun >= 0.2
    cluster.latency(Constant(0.0))
    cluster.duplicate(1.0)
    cluster.call(b, "add")
    wait_until(lambda: cluster.state(b, "count")["count"] == 2, what="it arrived twice")
    dropped = cluster.trace.filter(kind="dropped", machine="client")
    assert dropped[-1].data["reason"] == "loss"


# ── schedules ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_schedule_with_times_and_triggers(make: MakeCluster) -> None:
    cluster = make(
        machines=2,
        schedule=[
            (0.5, Loss(0.1)),
            (when(kind="tick", number=5), Kill("m1")),
            (when(kind="killed", machine="m1", after=0.2), Restart("m1")),
            (0.6, Restart("m2")),  # makes no sense: it lives
        ],
    )
    node = cluster.spawn(Ticker, machine="m1")
    wait_until(lambda: len(cluster.trace.filter(kind="node_started", node=node)) == 2, what="m1 again")
    wait_until(lambda: cluster.trace.filter(kind="fault_skipped"), what="the skipped fault")
    # A fault is told of when it is over: the restarted machine's own events may come first.
    wait_until(lambda: len(list(cluster.schedule)) == 3, what="all faults are told of")
    cluster.run(0)
    ticks = [e.data["number"] for e in cluster.trace.filter(kind="tick", node=node)]
    assert ticks[:5] == [1, 2, 3, 4, 5]
    kinds = [type(fault).__name__ for _, fault in cluster.schedule]
    assert sorted(kinds) == ["Kill", "Loss", "Restart"]
    assert cluster.machine("m1").incarnation == 2
    (skipped,) = cluster.trace.filter(kind="fault_skipped")
    assert "m2 is alive" in skipped.data["reason"]


def test_a_fault_during_a_fault_waits(cluster: Cluster) -> None:
    """A widget's click while a cell strikes: both happen, one after the other."""
    import threading

    threads = [threading.Thread(target=cluster.kill, args=(name,)) for name in ("m1", "m2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [machine.state for machine in cluster.machines] == ["dead", "dead", "alive"]
