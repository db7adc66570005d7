"""A Ray of our own starts as long as its servers live, and ends when it is told to."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.runtime import ray_servers


def test_who_waits_for_ray_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ray_servers, "SAY_EVERY", 0.0)
    monkeypatch.setattr(ray_servers, "LOOK_EVERY", 0.0)
    monkeypatch.setattr(ray_servers, "_living_names", lambda _: {"raylet"})
    answers = iter([RuntimeError("not yet"), RuntimeError("not yet"), "here"])

    def ask(number: int) -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return f"{answer} {number}"

    assert ray_servers._patient(ask, {"raylet"}, set(), lambda: False)(7) == "here 7"
    assert ray_servers.STILL_STARTING in capsys.readouterr().err


def test_ctrl_c_ends_the_wait_for_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_servers, "_living_names", lambda _: {"raylet"})

    def ask() -> None:
        raise RuntimeError("not yet")

    with pytest.raises(KeyboardInterrupt):
        ray_servers._patient(ask, {"raylet"}, set(), lambda: True)()


def test_a_start_of_ray_that_is_interrupted_leaves_no_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ray = pytest.importorskip("ray")
    monkeypatch.setattr("os.environ", dict(os.environ))
    started: list[subprocess.Popen[bytes]] = []

    def init(**_: Any) -> None:
        started.append(subprocess.Popen(["sleep", "600"]))
        raise KeyboardInterrupt

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(KeyboardInterrupt):
        ray_servers.start_ray(tmp_path)
    assert [each.wait() for each in started] == [-signal.SIGKILL]


def test_the_ports_of_rays_agents_are_written_before_ray_waits_for_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    node = pytest.importorskip("ray._private.node")
    from ray._private.parameter import RayParams
    from ray._raylet import wait_for_persisted_port

    seen: dict[str, int] = {}

    def start(self: Any) -> None:
        for name in ray_servers.AGENT_PORTS:
            seen[name] = wait_for_persisted_port(self._session_dir, self._node_id, name, timeout_ms=1)

    monkeypatch.setattr(node.Node, "start_ray_processes", start)
    with ray_servers.waiting_for_servers(set()):
        params = RayParams(metrics_export_port=None)  # as ray.init asks for it
        node.Node.start_ray_processes(SimpleNamespace(_session_dir=str(tmp_path), _node_id="ab" * 28))
    assert seen == {name: getattr(params, name) for name in ray_servers.AGENT_PORTS}
    assert len(set(seen.values())) == len(ray_servers.AGENT_PORTS)
    assert node.Node.start_ray_processes is start


def test_the_ports_of_rays_agents_are_none_that_a_system_gives_to_others() -> None:
    given = []
    for _ in range(50):
        with socket.socket() as other:
            other.bind(("", 0))
            given.append(other.getsockname()[1])
    chosen = [port for _ in range(20) for port in ray_servers._free_ports()]
    assert max(chosen) < min(given)
    assert min(chosen) > 19_999, "Ray's own workers have 10002 to 19999"


def test_a_port_in_use_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("", ray_servers._free_ports()[0]))
        other.listen()
        taken = other.getsockname()[1]
        span = range(taken, taken + 200)
        monkeypatch.setattr(ray_servers, "_quiet_ports", lambda: span)
        assert all(taken not in ray_servers._free_ports() for _ in range(20))
