"""Ray's import: Ctrl-C in the middle of it leaves a Ray that can be used, and a file of its name hides it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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


def test_a_program_that_is_called_ray(tmp_path: Path) -> None:
    """It imported itself, and waited for ever for the lock that it held."""
    program = tmp_path / "ray.py"
    program.write_text("from labkit import Cluster\nCluster(machines=1, engine='ray')\n")
    ended = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=100)
    assert f"{program} is imported in place of Ray: give the file another name" in ended.stderr
