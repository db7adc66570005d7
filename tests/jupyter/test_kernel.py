"""The kernel "labkit": offered by Jupyter, with its magics, and with the Ray of a running lab."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from jupyter_client.manager import KernelManager, start_new_kernel
from typer.testing import CliRunner

from labkit.cli import app
from labkit.jupyter import kernelspec
from labkit.jupyter.kernel import join_lab
from labkit.lab import head

ROOT = Path(__file__).parents[2]


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where Jupyter looks first, and nothing else is."""
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share" / "jupyter"))
    return tmp_path


def test_it_is_installed_found_and_removed(prefix: Path) -> None:
    done = CliRunner().invoke(app, ["kernel", "install", "--prefix", str(prefix)])
    assert done.exit_code == 0, done.output
    spec = KernelSpecManager().get_kernel_spec("labkit")
    assert Path(spec.resource_dir).is_relative_to(prefix)
    assert spec.argv[0] == sys.executable
    assert spec.display_name == "labkit (Python 3)"
    assert (Path(spec.resource_dir) / "logo-svg.svg").is_file()
    done = CliRunner().invoke(app, ["kernel", "remove"])
    assert (done.exit_code, str(prefix) in done.output) == (0, True)
    with pytest.raises(NoSuchKernel):
        KernelSpecManager(kernel_dirs=[str(prefix / "share/jupyter/kernels")]).get_kernel_spec("labkit")


def test_user_and_prefix_exclude_each_other() -> None:
    done = CliRunner().invoke(app, ["kernel", "install", "--user", "--prefix", "/x"])
    assert done.exit_code == 2
    assert "not both" in done.output


@pytest.mark.slow
def test_a_notebook_on_it_has_the_magics_at_once(prefix: Path) -> None:
    kernelspec.install(prefix=str(prefix))
    paths = os.pathsep.join([str(ROOT), str(ROOT / "widgets"), os.environ.get("PYTHONPATH", "")])
    manager: KernelManager
    manager, client = start_new_kernel(
        kernel_name="labkit", startup_timeout=60, env={**os.environ, "PYTHONPATH": paths}
    )
    try:
        heard: list[str] = []

        def hear(message: dict) -> None:  # type: ignore[type-arg]
            content = message["content"]
            heard.append(content.get("text", "") + "\n".join(content.get("traceback", [])))

        code = "%engine sim\nfrom labkit import Cluster\ncluster = Cluster(machines=2)\n%kill m2"
        reply = client.execute_interactive(code, timeout=60, output_hook=hear)
        assert reply["content"]["status"] == "ok", heard
        assert "<machine m2: dead" in "".join(heard)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_it_finds_the_newest_lab_that_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    assert join_lab() is None, "nothing was announced"

    home = tmp_path / "lab"
    home.mkdir()
    note = head.announce(home)
    assert (note.stat().st_mode & 0o777, note.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert join_lab() is None, "Ray is not ready yet"

    head.write_environment(home, "10.0.0.1:6379")
    over = subprocess.Popen([sys.executable, "-c", "pass"])
    over.wait()
    (note.parent / str(over.pid)).write_text(str(home))  # of a head that was killed
    assert join_lab() == "10.0.0.1:6379"
    assert os.environ["RAY_AUTH_TOKEN_PATH"] == str(home / "token")

    os.environ["RAY_ADDRESS"] = "elsewhere:1"
    assert join_lab() == "elsewhere:1", "what the user has set counts more"


@pytest.mark.slow
def test_the_wheel_brings_the_kernel(tmp_path: Path) -> None:
    build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    with zipfile.ZipFile(tmp_path / done.stdout.strip().splitlines()[-1]) as wheel:
        (name,) = [each for each in wheel.namelist() if each.endswith("kernels/labkit/kernel.json")]
        assert ".data/data/share/jupyter/kernels/labkit/" in name
        spec = json.loads(wheel.read(name))
    assert spec["argv"] == ["python", "-m", "labkit.jupyter.kernel", "-f", "{connection_file}"]
