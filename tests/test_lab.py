"""`labkit lab`: two programs that start together, and of which nothing is left, however the end comes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from labkit.lab import head, server
from labkit.lab.processes import Group, Stopped, signals_ignored, stop_signals
from labkit.runtime import ray_servers
from tests.engines import wait_until

pytestmark = pytest.mark.slow
linux = pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted on Linux only")

#: Starts a child that ignores requests to end, prints its process id, and waits.
STUBBORN_PARENT = """
import signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c",
    "import signal, time; [signal.signal(s, signal.SIG_IGN) for s in (2, 15)]; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


def words(process: psutil.Process) -> list[str]:
    """A process's command line; none if it has just ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def running(process: psutil.Process) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# ── a group of programs ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def group() -> Iterator[Group]:
    """A group that has stopped when the test ends."""
    group = Group()
    yield group
    group.stop(grace=0)
    group.close()


def start_python(group: Group, code: str, log: Path, name: str = "program") -> subprocess.Popen[bytes]:
    """A Python program in the group, whose output goes to `log`."""
    with open(log, "wb") as output:
        return group.start(name, [sys.executable, "-c", code], dict(os.environ), output)


def stubborn_child(group: Group, log: Path) -> psutil.Process:
    """A grandchild of ours that no SIGTERM ends."""
    start_python(group, STUBBORN_PARENT, log)
    return psutil.Process(int(wait_until(log.read_text)))


@linux
@pytest.mark.parametrize("how", ["asked to end", "killed"])
def test_a_program_leaves_no_orphan(group: Group, tmp_path: Path, how: str) -> None:
    child = stubborn_child(group, tmp_path / "log")
    if how == "killed":
        group.programs["program"].kill()
    group.stop()
    assert not running(child)
    assert group.programs == {}


def test_a_program_that_does_not_end_when_asked_is_killed(group: Group, tmp_path: Path) -> None:
    code = (
        "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"
    )
    process = start_python(group, code, tmp_path / "log")
    wait_until((tmp_path / "log").read_text)
    group.stop(grace=0.2)
    assert process.returncode == -signal.SIGKILL


def test_the_first_program_that_ends_is_named(group: Group, tmp_path: Path) -> None:
    start_python(group, "import time; time.sleep(600)", tmp_path / "long", "long")
    assert group.ended() is None
    start_python(group, "", tmp_path / "short", "short")
    assert group.wait() == "short"


def test_what_ran_before_the_group_is_not_its_to_end(tmp_path: Path) -> None:
    earlier = Group()
    try:
        bystander = stubborn_child(earlier, tmp_path / "log")
        later = Group()
        later.close()
        assert running(bystander)
        assert earlier.ended() is None
    finally:
        earlier.stop(grace=0)
        earlier.close()


@linux
def test_a_program_ends_when_whoever_started_it_is_killed(tmp_path: Path) -> None:
    starter = (
        "import os, sys, time; from labkit.lab.processes import Group\n"
        "sleeper = [sys.executable, '-c', 'import time; time.sleep(600)']\n"
        "print(Group().start('sleeper', sleeper, os.environ).pid, flush=True)\n"
        "time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", starter], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        program = psutil.Process(int(process.stdout.readline()))
        process.kill()
    wait_until(lambda: not running(program))


# ── signals ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_once_and_its_repetition_is_ignored(number: signal.Signals) -> None:
    before = signal.getsignal(number)

    def an_impatient_user() -> None:
        with stop_signals():
            try:
                signal.raise_signal(number)
            finally:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(Stopped, match=number.name):
        an_impatient_user()
    assert signal.getsignal(number) is before
    with signals_ignored():
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


# ── the command line of JupyterLab ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("notebook", "page"),
    [
        ("notebooks/lectures/start.ipynb", "/lab/tree/notebooks/lectures/start.ipynb"),
        ("start.ipynb", "/lab/tree/start.ipynb"),
        ("mine.ipynb", "/lab"),
    ],
)
def test_it_opens_on_the_welcome_notebook(tmp_path: Path, notebook: str, page: str) -> None:
    (tmp_path / notebook).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / notebook).touch()
    assert server.start_page(tmp_path) == page
    command = server.jupyter_command(server.LabOptions(tmp_path, browser=False))
    assert f"--LabApp.default_url={page}" in command
    assert "--no-browser" in command


def test_without_a_folder_it_shows_the_notebooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (server.default_folder() / "labkit").is_dir()  # the checkout, which has the welcome notebook
    (tmp_path / "start.ipynb").touch()
    assert server.default_folder() == tmp_path


def test_jupyters_own_token_is_kept(tmp_path: Path) -> None:
    command = server.jupyter_command(server.LabOptions(tmp_path))
    assert not any(".token=" in word or "password" in word for word in command)


# ── the head's files ─────────────────────────────────────────────────────────────────────────────────────


def test_a_secret_is_its_owners_only_from_the_first_moment(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        ray_servers.write_secret(tmp_path / "token", "s")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600
    with pytest.raises(FileExistsError, match="token"):
        ray_servers.write_secret(tmp_path / "token", "another")


def test_the_environment_survives_a_shell(tmp_path: Path) -> None:
    assert head.read_environment(tmp_path) is None
    folder = tmp_path / "a folder; with $signs"
    folder.mkdir()
    head.write_environment(folder, "10.0.0.1:6379")
    variables = head.read_environment(folder)
    assert variables == ray_servers.environment(folder, "10.0.0.1:6379")
    script = f". {str(folder / 'environment')!r}; printenv RAY_AUTH_TOKEN_PATH"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == f"{folder}/token\n"


#: A Ray that does not start at first, and leaves a server behind when it fails.
MOODY_RAY = """
import pathlib, subprocess, sys
tries = pathlib.Path(__file__).with_name("tries")
def init(**_):
    server = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    with tries.open("a") as file: print(server.pid, file=file)
    if len(tries.read_text().split()) < NEEDED: raise RuntimeError("timed out during startup")
"""
#: A Ray whose second server takes its time to register with the first, or has ended.
SLOW_RAY = """
import pathlib, subprocess
from ray._private import services
tries = pathlib.Path(__file__).with_name("tries")
def init(**_):
    here = pathlib.Path(__file__).parent
    servers = [subprocess.Popen([here / name, "600"]) for name in ("gcs_server", "raylet")]
    with tries.open("a") as file: print(*[server.pid for server in servers], file=file)
    if ENDED: servers[1].kill()
    services.get_node("address", "id")
"""
REST = """
def get_runtime_context():
    class Context: gcs_address = "10.0.0.1:6379"
    return Context
def shutdown(): pass
"""
SERVICES = """
import itertools
asked = itertools.count(1)
def get_node(address, id):
    if next(asked) < 20: raise RuntimeError("timed out during startup")
"""


def make_ray(folder: Path, source: str) -> dict[str, str]:
    """A package `ray` with this source; the environment in which it is found."""
    private = folder / "ray" / "_private"
    private.mkdir(parents=True)
    (private.parent / "__init__.py").write_text(source + REST)
    (private / "__init__.py").touch()
    (private.parent / "_raylet.py").write_text("def persist_port(*_): pass\n")
    node = "def wait_for_persisted_port(): pass\nclass Node:\n    def start_ray_processes(self): pass\n"
    (private / "node.py").write_text(node)
    (private / "parameter.py").write_text("class RayParams:\n    def __init__(self, **_): pass\n")
    (private / "services.py").write_text(SERVICES)
    for name in ("gcs_server", "raylet"):  # a process has the name of its program's file
        shutil.copy(str(shutil.which("sleep")), private.parent / name)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *filter(None, sys.path)])}


@pytest.mark.parametrize(("needed", "starts"), [(1, True), (3, True), (4, False)])
def test_the_head_tries_again_and_leaves_no_server(tmp_path: Path, needed: int, starts: bool) -> None:
    said, servers = head_with(tmp_path, MOODY_RAY.replace("NEEDED", str(needed)), starts)
    assert ("timed out during startup" in said) is not starts
    assert len(servers) == min(needed, ray_servers.START_ATTEMPTS)


@linux
@pytest.mark.parametrize("ended", [False, True])
def test_the_head_waits_for_a_server_as_long_as_it_lives(tmp_path: Path, ended: bool) -> None:
    said, servers = head_with(tmp_path, SLOW_RAY.replace("ENDED", str(ended)), starts=not ended)
    assert ("timed out during startup" in said) is ended
    assert len(servers) == 2 * (ray_servers.START_ATTEMPTS if ended else 1)


def head_with(folder: Path, ray: str, starts: bool) -> tuple[str, list[int]]:
    """A head with this Ray starts or not, and ends: what it said, and the servers, of which none is left."""
    env, home = make_ray(folder, ray), folder / "home"
    command = [sys.executable, "-m", "labkit.lab.head", str(home)]
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until(lambda: head.read_environment(home) or process.poll() is not None)
            assert (process.poll() is None) is starts
        finally:
            process.terminate()
        said = process.communicate()[1]
    assert process.returncode == (0 if starts else 1)
    servers = [int(pid) for pid in (folder / "ray" / "tries").read_text().split()]
    assert not any(map(psutil.pid_exists, servers))
    assert not (home / "token").exists()
    return said, servers


# ── the real thing ───────────────────────────────────────────────────────────────────────────────────────


class Lab:
    """A running `labkit lab`, as its user sees it."""

    def __init__(self, *words: str, **env: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "labkit", "lab", "--no-browser", "--port", str(port), *words]
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RAY_", "JUPYTER_TOKEN"))
        }
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**clean, "PYTHONUNBUFFERED": "1", **env},
            start_new_session=True,
        )
        self.output = ""
        self.seen: list[psutil.Process] = []

    def read_until(self, pattern: str) -> re.Match[str]:
        """The first match of `pattern` in what it prints."""
        assert self.process.stdout is not None
        while (match := re.search(pattern, self.output)) is None:
            line = self.process.stdout.readline()
            assert line, f"ended before {pattern!r}:\n{self.output}"
            self.output += line
        return match

    def api(self, path: str, body: Any = None, token: bool = True) -> Any:
        """What JupyterLab's REST interface answers."""
        base, secret = self.read_until(r"(http://\S+?/)lab\S*\?token=(\w+)").groups()
        request = urllib.request.Request(
            base + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {secret}"} if token else {},
        )
        with urllib.request.urlopen(request, timeout=300) as answer:
            return json.loads(answer.read() or "null")

    def descendants(self) -> list[psutil.Process]:
        """Every process below it; all that were ever asked for are checked at the end."""
        now = psutil.Process(self.process.pid).children(recursive=True)
        self.seen += [each for each in now if each not in self.seen]
        return now

    def jupyter(self) -> psutil.Process:
        """JupyterLab's process."""
        return next(each for each in self.descendants() if "jupyterlab" in words(each))

    def head(self) -> psutil.Process:
        """The process that holds Ray."""
        return next(each for each in self.descendants() if "labkit.lab.head" in words(each))

    def end(self) -> tuple[int, str]:
        """Its exit status and what it printed last, when all its processes are gone."""
        rest = self.process.communicate(timeout=600)[0]
        self.output += rest
        wait_until(lambda: not any(map(running, self.seen)))
        return self.process.returncode, rest


@pytest.fixture
def lab() -> Iterator[Callable[..., Lab]]:
    """Start `labkit lab`; whatever a failed test leaves is killed."""
    labs: list[Lab] = []

    def start(*words: str, **env: str) -> Lab:
        labs.append(Lab(*words, **env))
        return labs[-1]

    yield start
    for each in labs:
        if each.process.poll() is None:
            each.descendants()
            each.process.kill()
        each.process.communicate()
        for process in filter(running, each.seen):
            process.kill()


ATTACH = """
import os, ray
ray.init(log_to_driver=False, logging_level="ERROR")
@ray.remote(num_cpus=0)
class Machine:
    def name(self): return "machine"
print(ray.get(Machine.remote().name.remote()))
"""


@pytest.mark.ray
def test_one_ray_for_all_notebooks_behind_a_token_and_nothing_left_after_ctrl_c(
    lab: Callable[..., Lab],
) -> None:
    running_lab = lab()
    assert "version" in running_lab.api("api")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        running_lab.api("api/contents", token=False)

    assert running_lab.api("api/kernels", {"name": "python3"})["name"] == "python3"
    kernel = wait_until(
        lambda: [each for each in running_lab.descendants() if "ipykernel_launcher" in words(each)]
    )
    env = kernel[0].environ()
    ray = {name: value for name, value in env.items() if name.startswith("RAY_")}
    assert ray["RAY_AUTH_MODE"] == "token"
    token = Path(ray["RAY_AUTH_TOKEN_PATH"])
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert stat.S_IMODE(token.parent.stat().st_mode) == 0o700
    assert token.read_text() not in running_lab.output

    attached = subprocess.run(
        [sys.executable, "-c", ATTACH], env={**os.environ, **ray}, capture_output=True, text=True, timeout=600
    )
    assert attached.stdout == "machine\n", attached.stderr

    assert len(running_lab.descendants()) > 8  # Ray's servers are among them
    running_lab.process.send_signal(signal.SIGINT)
    status, rest = running_lab.end()
    assert (status, "nothing is left running" in rest) == (0, True)
    assert not token.exists()


@linux
@pytest.mark.ray
def test_a_killed_ray_takes_jupyterlab_along_and_leaves_no_agent(lab: Callable[..., Lab]) -> None:
    running_lab = lab()
    running_lab.read_until("JupyterLab: ")
    running_lab.head().kill()
    status, rest = running_lab.end()
    assert (status, "Ray ended by itself (exit status -9)" in rest) == (1, True)


@linux
@pytest.mark.ray
def test_killed_itself_it_leaves_nothing_running(lab: Callable[..., Lab]) -> None:
    running_lab = lab()
    running_lab.read_until("JupyterLab: ")
    home = Path(running_lab.head().cmdline()[3])
    running_lab.process.kill()
    assert running_lab.end()[0] == -signal.SIGKILL
    assert not (home / "token").exists()
    shutil.rmtree(home.parent)  # nobody was left to remove the logs


def test_a_killed_jupyterlab_ends_the_command(lab: Callable[..., Lab]) -> None:
    running_lab = lab("--no-ray")
    running_lab.read_until("JupyterLab: ")
    running_lab.jupyter().kill()
    status, rest = running_lab.end()
    assert (status, "JupyterLab ended by itself" in rest) == (1, True)


def test_shut_down_from_the_menu_is_a_good_end(lab: Callable[..., Lab]) -> None:
    running_lab = lab("--no-ray")
    running_lab.api("api/shutdown", {})
    status, rest = running_lab.end()
    assert (status, "JupyterLab was shut down" in rest) == (0, True)


def test_the_ray_that_the_environment_names_is_used(lab: Callable[..., Lab]) -> None:
    running_lab = lab(RAY_ADDRESS="10.9.8.7:6379")
    running_lab.read_until(r"Using the Ray at 10\.9\.8\.7:6379")
    running_lab.read_until("JupyterLab: ")
    assert running_lab.jupyter().environ()["RAY_ADDRESS"] == "10.9.8.7:6379"
    running_lab.process.terminate()
    assert running_lab.end()[0] == 0


def test_where_ray_does_not_start_jupyterlab_does(lab: Callable[..., Lab], tmp_path: Path) -> None:
    (tmp_path / "ray.py").write_text("raise ImportError('built for another machine')\n")
    running_lab = lab(PYTHONPATH=f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    running_lab.read_until("Ray did not start: ImportError: built for another machine")
    running_lab.read_until(r'Cluster\(engine="sim"\) works all the same')
    running_lab.read_until("JupyterLab: ")
    assert "RAY_ADDRESS" not in running_lab.jupyter().environ()
    running_lab.process.send_signal(signal.SIGHUP)  # the terminal was closed
    assert running_lab.end()[0] == 0


def test_where_jupyterlab_does_not_start_it_says_what_jupyterlab_said(
    lab: Callable[..., Lab], tmp_path: Path
) -> None:
    (tmp_path / "jupyterlab.py").write_text("raise SystemExit('no JupyterLab today')\n")
    running_lab = lab("--no-ray", PYTHONPATH=f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    status, rest = running_lab.end()
    assert status == 1
    assert "JupyterLab did not start:\n  no JupyterLab today" in rest
