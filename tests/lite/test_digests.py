"""The same runs in WebAssembly as on CPython: Pyodide, from npm, in node."""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from labkit.lite.wheels import PYODIDE, get_pyodide

from .digests import digests, speed

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
SEEDS = 10


@pytest.fixture(scope="module")
def webassembly(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What digests.py prints there. CI has node and npm (.ci/node.sh)."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: sh .ci/node.sh, or apt-get install nodejs npm")
    pyodide = get_pyodide(tmp_path_factory.mktemp("pyodide"))
    packages = sysconfig.get_paths()["purelib"]
    command = ["node", str(HERE / "digests.mjs"), str(pyodide), str(ROOT), packages, str(SEEDS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, f"Pyodide {PYODIDE} in node: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_every_system_of_messages_makes_the_same_runs(webassembly: Any) -> None:
    """Ten seeds each, with machines killed, paused and slowed, and messages lost."""
    here = digests(SEEDS)
    assert {name: len(each) for name, each in here.items()} == dict.fromkeys(here, SEEDS)
    assert webassembly["digests"] == here


@pytest.mark.slow
def test_how_fast(webassembly: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Printed beside each other; the clock judges nothing."""
    there, here = webassembly["messages per second"], speed()
    with capsys.disabled():
        print(f"\nsimulated messages per second: {there:,.0f} in WebAssembly, {here:,.0f} on CPython")
    assert there > 0
