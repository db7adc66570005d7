"""Ctrl-C, and what is for the simulator alone."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labkit import (
    Cluster,
    LabError,
    Network,
    Node,
    rpc,
)
from labkit.runtime.ray_engine import RayEngine
from labkit.trace.merge import MergedTrace
from tests.runtime.nodes import Busy, Echo

Sim = Callable[..., Cluster]


class TestInterrupts:
    def test_ctrl_c_cancels_the_call_and_leaves_the_cluster_usable(self, sim: Sim) -> None:
        class Presses(Echo):
            @rpc
            async def press(self) -> str:
                await self.sleep(0.1)
                signal.raise_signal(signal.SIGINT)
                self.emit("finished_its_step")
                await self.sleep(1000)
                return "late"

        cluster = sim()
        name = cluster.spawn(Presses)
        with pytest.raises(KeyboardInterrupt):
            cluster.call(name, "press", timeout=None)
        assert cluster.trace.filter(kind="finished_its_step")  # never in the middle of a step
        assert cluster.call(name, "plain", 1) == 1
        operation = cluster.submit(lambda client: client.call(name, "press", timeout=None))
        with pytest.raises(KeyboardInterrupt):
            operation.result()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert cluster.call(name, "plain", 2) == 2

    def test_it_does_not_wait_for_many_long_computations(self, sim: Sim) -> None:
        class Computes(Node):
            @rpc
            async def for_ever(self) -> None:
                signal.raise_signal(signal.SIGINT)
                while True:
                    self.emit("tick")
                    time.sleep(0.03)
                    await self.sleep(1)

        cluster = sim()
        name = cluster.spawn(Computes)
        with pytest.raises(KeyboardInterrupt):
            cluster.call(name, "for_ever", timeout=None)
        assert len(cluster.trace.filter(kind="tick", machine="m1")) < 100

    def test_a_program_that_is_interrupted_is_cancelled(self, sim: Sim) -> None:
        cluster = sim()
        ended: list[str] = []

        async def program(client: Any) -> None:
            try:
                await client.sleep(1)
                signal.raise_signal(signal.SIGINT)
                await client.sleep(1e6)
            finally:
                ended.append("ended")

        operation = cluster.submit(program)
        name = cluster.spawn(Busy)
        cluster.submit(lambda client: client.call(name, "for_ever", timeout=None))
        with pytest.raises(KeyboardInterrupt):
            operation.result()
        cluster.run(0.01)
        assert ended == ["ended"]

    def test_it_says_which_paused_machines_it_waited_for(self, sim: Sim) -> None:
        cluster = sim(machines=2)
        name = cluster.spawn(Echo, machine="m2")

        async def program(client: Any) -> None:
            signal.raise_signal(signal.SIGINT)
            await client.call(name, "plain", 1, timeout=None)

        cluster.pause("m2")
        with pytest.raises(KeyboardInterrupt, match=r"still waiting for m2 \(paused\)") as stopped:
            cluster.submit(program).result()
        assert stopped.value._render_traceback_() == ["Interrupted: still waiting for m2 (paused)"]

    def test_a_second_ctrl_c_breaks_a_handler_that_does_not_end(self, sim: Sim) -> None:
        class Hangs(Echo):
            @rpc
            async def hang(self) -> None:
                while True:
                    signal.raise_signal(signal.SIGINT)

        cluster = sim()
        name = cluster.spawn(Hangs)
        with pytest.raises(KeyboardInterrupt):
            cluster.call(name, "hang")
        assert cluster.call(name, "plain", 1) == 1

    @pytest.mark.slow
    def test_in_a_process_of_its_own(self) -> None:
        program = textwrap.dedent(
            """
            import os, signal, threading, time
            from tests.runtime.nodes import Busy
            from labkit import Cluster
            with Cluster(1, engine="sim") as cluster:
                name = cluster.spawn(Busy)
                def press():
                    while not cluster.trace.filter(kind="tick"):
                        time.sleep(0.01)
                    os.kill(os.getpid(), signal.SIGINT)
                threading.Thread(target=press).start()
                try:
                    cluster.call(name, "for_ever", timeout=None)
                except KeyboardInterrupt:
                    cluster.run(1)
                    print("usable")
            """
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600)
        assert (done.returncode, done.stdout, done.stderr) == (0, "usable\n", "")


def test_sim_only_methods_say_so(sim: Sim, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = sim()
    name = cluster.spawn(Echo)
    monkeypatch.setattr(cluster._engine, "kind", "ray")
    with pytest.raises(
        LabError, match=r"lives in another process; read its attributes: cluster\.state\('echo-0'"
    ):
        cluster.peek(name)
    for attribute, value in (("pace", 1.0), ("paused", True)):
        with pytest.raises(LabError, match=f'{attribute} is for virtual time.*use Cluster\\(engine="sim"\\)'):
            setattr(cluster, attribute, value)


def test_in_the_middle_of_closing_ctrl_c_waits_until_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = RayEngine(0, Network(), MergedTrace(), "never-started", None, lambda: None)
    engine._disks = tmp_path / "disks"
    engine._disks.mkdir()
    monkeypatch.setattr(engine._worker, "shutdown", lambda **_: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        engine.close()
    assert not engine._disks.exists()
