"""What real processes cost: messages between them, their start, their memory.

Beside each figure stands what a program would get that uses Ray without labkit, measured in the same Ray, in
turn with ours. The Ray is the one of RAY_ADDRESS, or one of our own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil

from labkit.bench import Row, bench, row
from labkit.lab.head import read_environment
from labkit.runtime import Cluster, Node, gather, ray_start, rpc

MACHINES = 4

# ── messages ─────────────────────────────────────────────────────────────────────────────────────────────

#: Calls that each machine has under way at any moment, and how long it goes on.
IN_FLIGHT = 250
SECONDS = 3.0
ROUNDS = 3


class Talker(Node):
    """Calls its peers in turn, and answers them."""

    @rpc
    def echo(self, value: int) -> int:
        return value

    @rpc
    async def talk(self, peers: list[str], seconds: float, in_flight: int) -> float:
        """Calls a second."""
        begun = self.now

        async def go_on(first: int) -> int:
            calls = first
            while self.now - begun < seconds:
                await self.call(peers[calls % len(peers)], "echo", calls, timeout=60.0)
                calls += 1
            return calls - first

        counts = await gather(*(go_on(number) for number in range(in_flight)))
        return sum(counts) / (self.now - begun)


class BareTalker:
    """The same as an actor: each message is a call of Ray's."""

    async def echo(self, value: int) -> int:
        return value

    async def talk(self, peers: list[Any], seconds: float, in_flight: int) -> float:
        """Calls a second."""
        begun = time.monotonic()

        async def go_on(first: int) -> int:
            calls = first
            while time.monotonic() - begun < seconds:
                await peers[calls % len(peers)].echo.remote(calls)
                calls += 1
            return calls - first

        counts = await asyncio.gather(*(go_on(number) for number in range(in_flight)))
        return sum(counts) / (time.monotonic() - begun)


def node_calls() -> float:
    """Calls a second between nodes, each on a machine of its own."""
    with Cluster(MACHINES, name="bench", trace="domain") as cluster:
        nodes = [cluster.spawn(Talker, machine=machine) for machine in cluster.machines]

        async def all_talk(client: Node) -> float:
            peers = [[other for other in nodes if other != node] for node in nodes]
            talks = [
                client.call(node, "talk", others, SECONDS, IN_FLIGHT, timeout=60.0 + SECONDS)
                for node, others in zip(nodes, peers, strict=True)
            ]
            return float(sum(await gather(*talks)))

        return float(cluster.submit(all_talk).result())


def ray_calls() -> float:
    """Calls a second between bare actors."""
    ray = ray_start.attach(None)
    with _actors(BareTalker) as actors:
        peers = [[other for other in actors if other is not actor] for actor in actors]
        talks = [
            actor.talk.remote(others, SECONDS, IN_FLIGHT) for actor, others in zip(actors, peers, strict=True)
        ]
        return float(sum(ray.get(talks)))


@bench("messages")
def messages() -> Iterator[Row]:
    """Messages a second between Ray machines under load, beside one Ray call per message."""
    ours, peer = _in_turn(node_calls, ray_calls, ROUNDS)
    # A node's call is two messages, the question and the answer. Without batches each would be a call of
    # Ray's.
    yield row(
        "4 machines, 1,000 calls in flight",
        "messages/s",
        2 * max(ours),
        max(peer),
        "one Ray call for each",
        must=8.0,
    )
    yield row("the same, by calls answered", "calls/s", max(ours), max(peer), "Ray actors' own calls")


# ── start ────────────────────────────────────────────────────────────────────────────────────────────────

STARTS = 7
#: A promise about time, turned round: at most 1.3 times as long.
AT_LEAST_AS_QUICK = 1 / 1.3


class BareActor:
    """Does nothing."""

    async def nothing(self) -> None:
        """Nothing."""


def cluster_start() -> float:
    """Seconds until four machines are there."""
    begun = time.monotonic()
    cluster = Cluster(MACHINES, name="bench")
    took = time.monotonic() - begun
    cluster.close()
    return took


def actors_start() -> float:
    """Seconds until four actors have answered."""
    ray = ray_start.attach(None)
    begun = time.monotonic()
    with _actors(BareActor) as actors:
        ray.get([actor.nothing.remote() for actor in actors])
        return time.monotonic() - begun


@bench("startup")
def startup() -> Iterator[Row]:
    """Seconds until a cluster of four machines is there, with Ray running, beside four bare actors."""
    ours, peer = _in_turn(cluster_start, actors_start, STARTS)
    yield row(
        "4 machines, median",
        "s",
        statistics.median(ours),
        statistics.median(peer),
        "4 bare async actors",
        must=AT_LEAST_AS_QUICK,
        less_is_better=True,
    )


# ── memory ───────────────────────────────────────────────────────────────────────────────────────────────

MB = 1e6
#: A pod of Binder has 2 GB, of which JupyterLab, the browser's connection and the student's own data need
#: their part.
LIMIT = 1_100.0
NODES, KEYS = 24, 2_000
HEAD_STARTS_WITHIN = 180.0
CELL_WITHIN = 300.0

CELL = f"""
from labkit import Cluster
from labkit.systems.chord import Chord
cluster = Cluster(machines={MACHINES})
ring = Chord(cluster, nodes={NODES}, replicas=3)
for number in range({KEYS}):
    ring[f"key {{number}}"] = number
assert all(ring[f"key {{number}}"] == number for number in range(0, {KEYS}, 100))
print([machine.pid for machine in cluster.machines])
"""


@bench("memory")
def memory() -> Iterator[Row]:
    """Private memory of Ray, four machines and a notebook's kernel with a ring of 24 nodes and 2,000 keys."""
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="labkit-bench-"))
        head, environment = stack.enter_context(_head(Path(directory)))
        alone = _private(head)
        kernel, run = stack.enter_context(_kernel(environment))
        machines = [psutil.Process(int(pid)) for pid in run(CELL).strip("[]\n").split(",")]
        at_machines = sum(each.memory_full_info().uss for each in machines) / MB
        at_ray = _private(head) - at_machines
        at_kernel = _private(kernel)
    total = at_ray + at_machines + at_kernel
    yield row("all together", "MB", total, LIMIT, "the limit", must=1.0, less_is_better=True)
    yield row("Ray before there is a cluster", "MB", alone)
    yield row("Ray beside the cluster", "MB", at_ray)
    yield row("4 machines", "MB", at_machines)
    yield row("the notebook's kernel", "MB", at_kernel)


def _private(process: psutil.Process) -> float:
    """Megabytes that a process and its descendants have for themselves (USS)."""
    total = 0
    for each in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += each.memory_full_info().uss
    return total / MB


@contextlib.contextmanager
def _head(directory: Path) -> Iterator[tuple[psutil.Process, dict[str, str]]]:
    """A Ray as `labkit lab` starts it: its process, and the variables to reach it by."""
    process = subprocess.Popen([sys.executable, "-m", "labkit.lab.head", str(directory)])
    try:
        give_up = time.monotonic() + HEAD_STARTS_WITHIN
        while (environment := read_environment(directory)) is None:
            if process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f"Ray did not start (exit status {process.returncode})")
            time.sleep(0.2)
        yield psutil.Process(process.pid), environment
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def _kernel(environment: dict[str, str]) -> Iterator[tuple[psutil.Process, Callable[[str], str]]]:
    """A notebook's kernel: its process, and a function that runs a cell and returns what it prints."""
    from jupyter_client.manager import KernelManager

    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env={**os.environ, **environment})
    client = manager.client()
    client.start_channels()
    printed: list[str] = []

    def run(cell: str) -> str:
        printed.clear()
        reply = client.execute_interactive(cell, timeout=CELL_WITHIN, output_hook=hear)
        if reply["content"]["status"] != "ok":
            raise RuntimeError("\n".join(reply["content"].get("traceback", [])))
        return "".join(printed)

    def hear(message: dict[str, Any]) -> None:
        if message["header"]["msg_type"] == "stream":
            printed.append(message["content"]["text"])

    try:
        client.wait_for_ready(timeout=CELL_WITHIN)
        yield psutil.Process(manager.provisioner.pid), run
    finally:
        client.stop_channels()
        manager.shutdown_kernel()


# ── what they share ──────────────────────────────────────────────────────────────────────────────────────


def _in_turn(
    ours: Callable[[], float], peer: Callable[[], float], rounds: int
) -> tuple[list[float], list[float]]:
    """Both measured so many times, each first as often as second; one round before does not count."""
    ours(), peer()
    found: dict[Callable[[], float], list[float]] = {ours: [], peer: []}
    for number in range(rounds):
        for measure in (ours, peer) if number % 2 else (peer, ours):
            found[measure].append(measure())
    return found[ours], found[peer]


@contextlib.contextmanager
def _actors(cls: type) -> Iterator[list[Any]]:
    """Four of them, which are gone afterwards: what is measured next must not share the processor with their
    end."""
    ray = ray_start.attach(None)
    remote = ray.remote(cls)
    actors = [remote.options(num_cpus=0, max_concurrency=1000).remote() for _ in range(MACHINES)]
    try:
        yield actors
    finally:
        pids = ray.get([actor.__ray_call__.remote(lambda _: os.getpid()) for actor in actors])
        for actor in actors:
            ray.kill(actor)
        _wait_gone(pids)


def _wait_gone(pids: Iterable[int]) -> None:
    while any(map(psutil.pid_exists, pids)):
        time.sleep(0.01)
