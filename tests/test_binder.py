"""The files for Binder do what they should, as far as a machine without Docker can tell.

repo2docker makes an environment from environment.yml, runs postBuild in the checkout, and begins every
session with `start COMMAND…`. Here: a fresh virtual environment, a copy of the checkout, and a command that
asks what a notebook would ask.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import subprocess
import sys
import time
import tomllib
import venv
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[1]
BINDER = ROOT / "binder"
#: What Binder gives a session; half of it may be used when nothing has begun yet.
POD_BYTES = 2_000_000_000

#: What JupyterLab's kernels would see: prints the memory of Ray, in bytes.
SESSION = """
import os, psutil, ray
import labkit, labkit_widgets
ray.init(log_to_driver=False, logging_level="ERROR")
assert ray.cluster_resources()["object_store_memory"] < 300e6
@ray.remote(num_cpus=0)
class Machine:
    def pid(self): return os.getpid()
machine = Machine.remote()
assert ray.get(machine.pid.remote()) != os.getpid()
me = psutil.Process()
print("bytes", sum(each.memory_full_info().uss for each in me.children(recursive=True)))
print("token", os.environ["RAY_AUTH_TOKEN_PATH"])
print("pids", *[each.pid for each in me.children(recursive=True)])
"""


def test_the_files_are_where_repo2docker_looks_and_can_be_run() -> None:
    assert (BINDER / "environment.yml").is_file()
    for name in ("postBuild", "start"):
        assert (BINDER / name).read_text().startswith("#!/bin/bash\n")
        assert (BINDER / name).stat().st_mode & stat.S_IXUSR, f"chmod +x binder/{name}"
    assert 'exec "$@"' in (BINDER / "start").read_text().splitlines()


def test_the_environment_has_a_python_that_the_project_allows() -> None:
    (minor,) = re.findall(r"python=3\.(\d+)", (BINDER / "environment.yml").read_text())
    least = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert least == ">=3.11"
    assert int(minor) >= 11


@pytest.mark.slow
def test_start_becomes_the_command_even_without_ray(tmp_path: Path) -> None:
    (tmp_path / "ray.py").write_text("raise ImportError('built for another machine')\n")
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "TMPDIR": str(tmp_path)}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    done = subprocess.run(
        [str(BINDER / "start"), "echo", "two words", "$HOME"],
        env=env,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.stdout == "two words $HOME\n"
    assert "built for another machine" in done.stderr
    assert 'Cluster(engine="sim") works all the same' in done.stderr


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(1500)
def test_a_fresh_environment_becomes_a_session_with_ray_in_2_gb(tmp_path: Path) -> None:
    checkout, environment = tmp_path / "checkout", tmp_path / "venv"
    left_out = shutil.ignore_patterns(
        ".git", ".venv*", "__pycache__", ".*_cache", ".hypothesis", "test-results"
    )
    shutil.copytree(ROOT, checkout, ignore=left_out)
    venv.create(environment, with_pip=True)
    temporary = Path("/tmp") if os.access("/tmp", os.W_OK) else tmp_path  # Ray's sockets need a short path
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RAY_", "PYTHON", "VIRTUAL_"))
    }
    env = {**clean, "PATH": f"{environment / 'bin'}{os.pathsep}{clean['PATH']}", "TMPDIR": str(temporary)}

    built = subprocess.run(
        [str(checkout / "binder/postBuild")], cwd=checkout, env=env, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stdout + built.stderr
    assert (environment / "bin/labkit").is_file()
    assert (environment / "share/jupyter/lab/settings/overrides.json").is_file()

    session = subprocess.run(
        [str(checkout / "binder/start"), "python", "-c", SESSION],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert session.returncode == 0, session.stdout + session.stderr
    answers = {name: rest for name, _, rest in (line.partition(" ") for line in session.stdout.splitlines())}
    assert int(answers["bytes"]) < POD_BYTES / 2

    # The session's end is Ray's end: in a pod for want of a pod, here because the head watches.
    processes = [psutil.Process(int(pid)) for pid in answers["pids"].split() if psutil.pid_exists(int(pid))]
    _, alive = psutil.wait_procs(processes, timeout=300)
    assert alive == []
    assert not Path(answers["token"]).exists()
    shutil.rmtree(Path(answers["token"]).parents[1])

    peak = 0
    with subprocess.Popen(
        [str(checkout / "binder/start"), "python", "tests/binder_visit.py"],
        cwd=checkout,
        env={**env, "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime")},
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=one_core,
    ) as visit:
        while visit.poll() is None:
            peak = max(peak, memory(psutil.Process(visit.pid)))
            time.sleep(0.5)
        assert visit.stdout is not None
        told = visit.stdout.read()
    assert visit.returncode == 0, told
    assert "opens lab/tree/notebooks/index.ipynb" in told
    assert "ran lectures/start" in told
    assert 500e6 < peak < POD_BYTES, f"a visit took {peak / 1e6:.0f} MB"


def one_core() -> None:
    """In the child: a pod has one."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def memory(process: psutil.Process) -> int:
    """Bytes of a process and its descendants; what several share is counted once."""
    total = 0
    for each in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            total += each.memory_full_info().pss
    return total
