"""The walls round a submission: what is closed to it, what it may not call, and whose fault an end is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labkit.coursework import closed, grade, sandbox, seccomp
from labkit.coursework.answers import Local
from labkit.coursework.exercises import NAMES, find_tasks
from labkit.coursework.grade import Grader, Marks
from labkit.coursework.handout import Handout
from tests.coursework.common import ROOT, SECRET, submission
from tests.coursework.test_grading import LIMITS

IMPORTS = (
    "from labkit.coursework.exercises.chord_routing import expected_finger\n"
    "closest_preceding_finger = expected_finger"
)
READS = (
    "from pathlib import Path\nimport labkit.runtime\n"
    "root = Path(labkit.runtime.__file__).parents[1]\n"
    "text = (root / 'coursework/exercises/chord_routing.py').read_text()\n"
    "def closest_preceding_finger(n, key):\n    raise ValueError(len(text))"
)
ASKS = "def closest_preceding_finger(n, key):\n    return exercise.tasks['closest']"
KILLED = "import os\nos.kill(os.getpid(), 9)"


@pytest.mark.parametrize("name", NAMES)
def test_no_judge_and_no_invariant_is_open(name: str) -> None:
    opens = find_tasks(name).opens
    judges = f"labkit.coursework.exercises.{name.replace('-', '_')}"
    for module in (judges, "labkit.systems.chord.invariants", "labkit.systems.paramserver", "labkit.explore"):
        assert not closed.is_open(module, opens)
        assert not any(module.replace(".", "/") in str(path) for path in closed.files(opens))


def test_a_closed_import_says_so_and_a_door_offers_what_is_open() -> None:
    code = (
        "import sys\nfrom labkit.coursework.closed import Closed\n"
        "sys.meta_path.insert(0, Closed('chord-routing', ['labkit.systems.chord.ids']))\n"
        "from labkit.systems.chord import Peer\nprint(Peer(1, 'a'))\n"
        "try:\n    from labkit.systems.chord import Chord\nexcept ImportError as error:\n    print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT.parents[1])
    assert said.stdout.splitlines() == [
        "Peer(id=1, name='a')",
        "labkit.systems.chord.Chord is closed while chord-routing is graded: answer without it",
    ]


@pytest.mark.skipif(not seccomp.available(), reason="no such filter here")
def test_a_process_without_new_sockets_still_works() -> None:
    code = (
        "import asyncio, os, socket, subprocess\nfrom labkit.coursework import seccomp\n"
        "if not seccomp.give_up(): print('none'); raise SystemExit\n"
        "for make in (socket.socket, lambda: socket.socket(socket.AF_UNIX), lambda: os.memfd_create('x'),\n"
        "             lambda: socket.socketpair(type=socket.SOCK_DGRAM)):\n"
        "    try: make(); print('made')\n    except PermissionError: pass\n"
        "asyncio.run(asyncio.sleep(0))\nprint(subprocess.run(['echo', 'well'], capture_output=True).stdout)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT.parents[1])
    if said.stdout == "none\n":
        pytest.skip("this machine refuses the filter")
    assert said.stdout == "b'well\\n'\n", said.stderr


def test_not_a_number_is_no_answer() -> None:
    for value in (float("nan"), {1: float("nan")}, np.array([1.0, np.nan])):
        with pytest.raises(Exception, match="not a number"):
            Local({"x": value}).value("x")
    assert Local({"x": float("inf")}).value("x") == float("inf")


def test_a_long_folder_for_temporary_files_is_not_used_for_sockets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("x" * 100)))
    assert grade.short_folder() == "/tmp"
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    assert grade.short_folder() == "/tmp"


def test_runs_have_users_of_their_own() -> None:
    if not os.path.exists("/proc/self/uid_map"):
        pytest.skip("no /proc")
    assert sandbox.own_user(1000) != sandbox.own_user(1001)


def graded(tmp_path: Path, answer: str, **options: Any) -> Marks:
    import nbformat

    path = tmp_path / "eve.ipynb"
    nbformat.write(submission("chord-routing", {"closest": answer}), path)
    handout = Handout.read(ROOT / "chord-routing.ipynb")
    return Grader(handout, SECRET, tmp_path / "out", checks=ROOT, limits=LIMITS).grade("eve", path)


@pytest.mark.slow
@pytest.mark.parametrize("answer", [IMPORTS, READS, ASKS], ids=["imports", "reads", "asks"])
def test_the_judges_are_not_in_reach(tmp_path: Path, answer: str) -> None:
    marks = graded(tmp_path, answer)
    if answer is READS and not {"files", "namespaces"} & set(marks.walls):
        pytest.skip("this machine has no wall round files")
    assert marks.trouble == ""
    assert marks.tasks["closest"].got == 0
    assert "ValueError" not in marks.tasks["closest"].message


@pytest.mark.slow
def test_a_killed_kernel_is_no_mark(tmp_path: Path) -> None:
    marks = graded(tmp_path, KILLED)
    assert "the kernel was ended by SIGKILL" in marks.trouble
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_without_bubblewrap_the_other_walls_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grade, "namespaces", tuple)
    marks = graded(tmp_path, submission_source())
    assert (marks.trouble, marks.got) == ("", marks.of)
    assert "namespaces" not in marks.walls


def submission_source() -> str:
    """The solved answer."""
    for cell in submission("chord-routing").cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") == "answer-closest":
            return str(cell.source)
    raise LookupError("closest")
