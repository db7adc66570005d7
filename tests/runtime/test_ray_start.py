"""Ray's import: Ctrl-C in the middle of it leaves a Ray that can be used, and a file of its name hides it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from labkit.runtime.host import end_with_us

PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from labkit.runtime.ray_start import _import_ray
try:
    _import_ray()
    print("not stopped")
except KeyboardInterrupt:
    print("stopped", _import_ray().whole)
"""


def test_ctrl_c_while_ray_is_imported_waits_until_it_is_whole(tmp_path: Path) -> None:
    (tmp_path / "ray").mkdir()
    source = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nwhole = True\n"
    (tmp_path / "ray" / "__init__.py").write_text(source)
    program = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    assert subprocess.run(program, capture_output=True, text=True).stdout == "stopped True\n"


def run(program: Path) -> str:
    program.write_text("from labkit import Cluster\nCluster(machines=1, engine='ray')\n")
    ended = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=600)
    return ended.stderr


def test_a_program_that_is_called_ray(tmp_path: Path) -> None:
    """It imported itself, and waited for ever for the lock that it held."""
    program = tmp_path / "ray.py"
    assert f"{program} is imported in place of Ray: give the file another name" in run(program)


def test_a_program_that_is_called_as_a_module_that_ray_imports(tmp_path: Path) -> None:
    """The same: Ray imports Python's debugger, and that a module cmd."""
    program = tmp_path / "cmd.py"
    said = run(program).strip().splitlines()[-1]
    assert f"importing Ray runs {program} in place of a module of that name" in said, said


def test_what_belongs_to_a_directory_ends_with_us(tmp_path: Path) -> None:
    """Processes whose numbers nobody told, too: a Ray that was just starting left its workers."""
    place = tmp_path / "place"
    place.mkdir()
    sleep = [sys.executable, "-c", "import time; time.sleep(1000)"]
    told, naming, other = (subprocess.Popen([*sleep, word]) for word in ("told", str(place), "other"))
    watcher = end_with_us(place)
    watcher.communicate(f"{told.pid}\n".encode(), timeout=600)
    assert told.wait(100) == naming.wait(100) == -9
    assert not place.exists()
    assert other.poll() is None
    other.kill()
    other.wait()
