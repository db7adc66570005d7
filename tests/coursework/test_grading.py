"""The grader end to end: kernels in cages, judged from outside. Each attack costs the attacker the marks,
says so, and the batch goes on.
"""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import nbformat
import psutil
import pytest

from labkit.coursework import landlock
from labkit.coursework.batch import Batch, run_batch, run_validate
from labkit.coursework.generate import copies
from labkit.coursework.grade import Grader, Limits, Marks
from labkit.coursework.handout import ANSWER, CHECK, Handout, grade_id
from labkit.coursework.template import write_template
from tests.coursework.common import ROOT, SECRET, SOURCES, submission

pytestmark = pytest.mark.slow

LIMITS = Limits(
    question_seconds=2.0,
    task_seconds=20.0,
    cell_seconds=15.0,
    total_seconds=60.0,
    memory=2 << 30,
    output=200_000,
    processes=20,
    own_seconds=3.0,
)

RIGHT = "def median(numbers):\n    return sorted(numbers)[len(numbers) // 2]\n"
walled = pytest.mark.skipif(landlock.version() < 6, reason="this kernel has no Landlock with scopes")


# Who attacks, with what (in place of the answer), and the words by which it is told. {secret} is the
# teacher's file.
ATTACKS = {
    "exits": ("import sys\ndef median(numbers):\n    sys.exit(0)", "raised SystemExit"),
    "dies": ("import os\ndef median(numbers):\n    os._exit(0)", "the student's process ended"),
    "dies early": ("import os\nos._exit(0)", "the student's process ended"),
    "loops": ("def median(numbers):\n    while True: pass", "an endless loop"),
    "loops on": (
        "import signal\ndef median(numbers):\n    signal.signal(signal.SIGINT, signal.SIG_IGN)\n    "
        "while True: pass",
        "an endless loop that could not be interrupted",
    ),
    "forks": ("import os\nwhile True: os.fork()", "it started more than 20 processes"),
    "forks away": (
        "import subprocess, time\nmany = 'for i in $(seq 40); do sleep 60 & done; wait'\n"
        "subprocess.Popen(['sh', '-c', many], start_new_session=True)\ntime.sleep(8)",
        "it started more than 20 processes",
    ),
    "prints": ("while True: print('x' * 1000)", "Timeout: stopped after 15 s"),
    "prints at once": ("print('x' * 300_000_000)", "of what it printed only the first"),
    "prints past us": (
        "import sys\nfor _ in range(300): get_ipython().kernel.session.send("
        "get_ipython().kernel.iopub_socket, 'stream', {'name': 'stdout', 'text': 'x' * 100_000})",
        "it printed more than",
    ),
    # Of zeros that nobody writes: what counts is asked for, not paged in, however slow the machine.
    "hoards": ("kept = [bytes(1 << 28) for _ in range(9)]", "MemoryError"),
    "sleeps": ("import time\ntime.sleep(600)", "Timeout: stopped after 15 s"),
    "goes on": (
        "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\ntime.sleep(600)",
        "a cell went on for 20 s after it had been interrupted",
    ),
    "patches the check": (
        "import labkit.coursework.exercise as e\ne.Exercise.check = lambda *_: print('right')",
        r"has changed labkit itself \(labkit.coursework.exercise.Exercise.check\)",
    ),
    "patches the judge": (
        "import labkit.coursework.tasks as t\nt.judge.__code__ = (lambda *a: t.Verdict('median', "
        "True, 9)).__code__",
        r"has changed labkit itself \(labkit.coursework",
    ),
    "patches builtins": (
        "import builtins\nbuiltins.sorted = lambda x: [0] * 99",
        r"has changed labkit itself \(builtins.sorted\)",
    ),
    "replaces the exercise": (
        "class exercise:\n    check = print",
        r"the judge was never asked: is `exercise` still the exercise when its check runs\?",
    ),
    "claims": (
        "from labkit.coursework import bridge\nimport json\nfor kind in (b'A', b'V', b'C', b'H'):\n"
        "    bridge.send(bridge.here._line, kind, json.dumps({'task': 'median', 'changed': [], "
        "'passed': True,"
        " 'walls': ['all'], 'value': 50}))",
        "said something else than the answer|an endless loop",  # as it is quick or slow to ask again
    ),
    "answers much": ("def median(numbers):\n    return 'x' * 9_000_000", "8000000 are allowed"),
    "answers deep": (
        "x = []\nfor _ in range(3000): x = [x]\ndef median(numbers):\n    return x",
        "cannot be sent",
    ),
}

#: Honest work: what stands above the answer in the same cell, in a cell of its own below, the marks of three,
#: and what is said.
HONEST = {
    "runs a program": (
        "import subprocess\nassert subprocess.check_output('seq 2 2>/dev/null', shell=True) == b'1\\n2\\n'\n",
        "",
        3,
        "",
    ),
    "shell": ("!echo hello\n%pip --version\nfiles = !ls\n", "", 3, ""),
    "asks": ("", "name = input('who? ')", 3, "StdinNotImplementedError"),
    "exits kindly": ("", "exit()", 3, "SystemExit"),
    "prints a lot": ("print('x' * 3_000_000)\n", "", 3, "of what it printed only the first"),
    "shows much": (
        "from IPython.display import HTML\nfor _ in range(4): display(HTML('x' * 100_000))\n",
        "",
        3,
        "of what it printed only the first",
    ),
    "loops in a cell beside": ("", "while True: pass", 3, "Timeout: stopped after 3 s"),
    "uses Ray": ("", "from labkit import Cluster\nCluster(engine='ray')", 3, "your cell"),
    "reads a file": ("open('/etc/shadow').read()\n", "", 1, "a notebook reaches only a folder of its own"),
}

#: Attacks on what lies outside; each ends in the error that it got, as its answer's exception.
WALLS = {
    "reads the secret": "open({secret!r}).read()",
    "reads the runner": "open(f'/proc/{{os.getppid()}}/mem', 'rb').read(1)",
    "reads the job": "os.listdir('..')",
    "reads a solution": "open({solution!r}).read()",
    "kills the runner": "os.kill(os.getppid(), 9)",
    "calls home": "__import__('socket').create_connection(('127.0.0.1', 9), 1)",
    "writes elsewhere": "open('/tmp/labkit-was-here', 'w')",
}


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small exercise, as `labkit exercise new` makes it."""
    folder = tmp_path_factory.mktemp("exercises")
    source = write_template("mini", folder)[0]
    nbformat.write(copies(source)[0], folder / "mini.ipynb")
    return folder


def hand_in(folder: Path, student: str, mini: Path, **answers: str) -> Any:
    """A submission of the small exercise, written to a folder; its cells can be changed afterwards."""
    notebook = copies(mini / "mini.py")[1]
    for cell in notebook.cells:
        answer = grade_id(cell).removeprefix(ANSWER)
        if grade_id(cell).startswith(ANSWER) and answer in answers:
            cell.source = answers[answer]
    folder.mkdir(exist_ok=True)
    nbformat.write(notebook, folder / f"{student}.ipynb")
    return notebook


@pytest.fixture(scope="module")
def batch(mini: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Marks]:
    """The whole class, attackers and honest students, graded in one go: the marks by student."""
    folder = tmp_path_factory.mktemp("class")
    secret, submissions = folder / "secret.key", folder / "in"
    secret.write_bytes(SECRET)
    secret.chmod(0o600)
    for student, (source, _) in ATTACKS.items():
        hand_in(submissions, student, mini, median=f"{RIGHT}\n{source}\n")
    for student, source in WALLS.items():
        line = source.format(secret=str(secret), solution=str(ROOT / "chord-routing.py"))
        code = f"import os\ndef median(numbers):\n    return {line}\n"
        hand_in(submissions, student, mini, median=code)
    hand_in(submissions, "ada", mini)
    hand_in(submissions, "prints differently", mini, median=RIGHT.replace("return", "print(numbers); return"))
    for student, (above, beside, _, _) in HONEST.items():
        notebook = hand_in(submissions, student, mini, median=f"{above}{RIGHT}")
        if beside:
            at = next(n for n, cell in enumerate(notebook.cells) if grade_id(cell) == "answer-median")
            notebook.cells.insert(at, nbformat.v4.new_code_cell(beside))
            nbformat.write(notebook, submissions / f"{student}.ipynb")
    _cheat_with_cells(submissions, mini)
    before = set(psutil.Process().children(recursive=True))
    grader = Grader(Handout.read(mini / "mini.ipynb"), SECRET, checks=mini, limits=LIMITS, jobs=2)
    found = {path.stem: path for path in sorted(submissions.glob("*.ipynb"))}
    graded = {marks.student: marks for marks in grader.grade_all(found)}
    assert set(psutil.Process().children(recursive=True)) <= before, "a submission's process lives on"
    return graded


def _cheat_with_cells(folder: Path, mini: Path) -> None:
    wrong = "def median(numbers):\n    return 0"
    edited = hand_in(folder, "edits the test", mini, median=wrong)
    deleted = hand_in(folder, "deletes the test", mini, median=wrong)
    for notebook in (edited, deleted):
        for cell in notebook.cells:
            if grade_id(cell) == "check-median":
                cell.source = "print('median: right')"
                cell.metadata["nbgrader"]["points"] = 99
    deleted.cells = [cell for cell in deleted.cells if not grade_id(cell).startswith(CHECK)]
    saved = hand_in(folder, "saves an output", mini, median=wrong)
    for cell in saved.cells:
        if grade_id(cell).startswith(CHECK):
            cell.outputs = [nbformat.v4.new_output("stream", text="median: right, in 12 runs")]
            cell.execution_count = 1
    for student, notebook in (
        ("edits the test", edited),
        ("deletes the test", deleted),
        ("saves an output", saved),
    ):
        nbformat.write(notebook, folder / f"{student}.ipynb")
    (folder / "no notebook.ipynb").write_text("{]")
    (folder / "another notebook.ipynb").write_text('{"cells": []}')


def said(marks: Marks) -> str:
    """All that a student is told."""
    raised = [f"{cell}: {words}" for cell, words in marks.raised.items()]
    return " | ".join([marks.tasks["median"].message, *marks.notes, *raised])


def test_everybody_is_graded(batch: dict[str, Marks]) -> None:
    assert {student: marks.trouble for student, marks in batch.items() if marks.trouble} == {}
    assert len(batch) == len(ATTACKS) + len(WALLS) + len(HONEST) + 7


def test_an_honest_student_gets_the_marks(batch: dict[str, Marks]) -> None:
    assert (batch["ada"].got, batch["ada"].of, batch["ada"].notes) == (3, 3, [])
    assert "limits" in batch["ada"].walls


def test_printing_differently_costs_nothing(batch: dict[str, Marks]) -> None:
    assert batch["prints differently"].got == 3


@pytest.mark.parametrize("student", HONEST)
def test_honest_work_counts_and_what_did_not_work_is_told(batch: dict[str, Marks], student: str) -> None:
    _, _, got, words = HONEST[student]
    if student != "reads a file" or landlock.version() >= 6:
        assert (batch[student].got, words in said(batch[student])) == (got, True), batch[student]


@pytest.mark.parametrize("student", ATTACKS)
def test_an_attack_costs_the_marks_and_is_told(batch: dict[str, Marks], student: str) -> None:
    marks, words = batch[student], ATTACKS[student][1]
    assert re.search(words, said(marks)), marks
    if student not in ("hoards", "sleeps", "prints", "prints at once"):  # whose answers were right
        assert marks.tasks["median"].got == 0, marks


@walled
@pytest.mark.parametrize("student", WALLS)
def test_a_student_reaches_nothing_outside(batch: dict[str, Marks], student: str) -> None:
    marks = batch[student]
    assert marks.tasks["median"].got == 0
    # In a sandbox of bubblewrap there is not even a file to be refused.
    told = marks.tasks["median"].message
    assert "raised PermissionError" in told or "raised FileNotFoundError" in told
    assert not os.path.exists("/tmp/labkit-was-here")


@pytest.mark.parametrize("student", ["edits the test", "deletes the test", "saves an output"])
def test_only_answers_are_taken(batch: dict[str, Marks], student: str) -> None:
    marks = batch[student]
    assert (marks.tasks["median"].got, marks.of) == (0, 3)
    assert "in order they are" in marks.tasks["median"].message
    assert any("check cells were deleted" in note for note in marks.notes) == (student == "deletes the test")


def test_what_is_no_submission_gets_no_marks(batch: dict[str, Marks]) -> None:
    assert "the file is not a notebook (JSONDecodeError)" in batch["no notebook"].notes[0]
    assert "no cell of it is an answer of mini" in batch["another notebook"].notes[0]


def test_an_attack_on_one_task_leaves_the_others(batch: dict[str, Marks]) -> None:
    assert batch["loops"].tasks["predict"].got == batch["exits"].tasks["predict"].got == 1


# ── the exercises ───────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module", params=SOURCES, ids=lambda source: source.stem)
def graded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """An exercise, and the folder of what grading its solved and its handed-out copy wrote."""
    name, folder = request.param.stem, tmp_path_factory.mktemp("graded")
    (folder / "in").mkdir()
    nbformat.write(submission(name), folder / "in/ada.ipynb")
    (folder / "in/bob.ipynb").write_text((ROOT / f"{name}.ipynb").read_text())
    lines: list[str] = []
    outcome = run_batch(
        Batch([folder / "in"], name, folder / "out", folder / "key", 2, ROOT), say=lines.append
    )
    assert outcome == 0, lines
    assert "Not isolated" in "\n".join(lines)
    return name, folder / "out"


def test_the_solved_copy_gets_all_marks_and_the_handed_out_none(graded: tuple[str, Path]) -> None:
    with (graded[1] / "marks.csv").open() as file:
        ada, bob = csv.DictReader(file)
    assert ada["marks"] == ada["of"]
    assert bob["marks"] == "0"


def test_junit_and_feedback_say_the_same(graded: tuple[str, Path]) -> None:
    name, out = graded
    ada, bob = ElementTree.parse(out / "junit.xml").getroot()
    assert (ada.get("failures"), bob.get("failures")) == ("0", bob.get("tests"))
    page = (out / "feedback/bob.html").read_text()
    assert "is not written yet" in page or "there is no prediction yet" in page
    assert "Not isolated" in page
    assert "BEGIN" not in page
    assert name in page


# ── one more time ───────────────────────────────────────────────────────────────────────────────────────


def test_an_interrupted_run_goes_on_and_marks_stay(mini: Path, tmp_path: Path) -> None:
    """The first is done when the run is interrupted: later it is not run again, and its marks are the
    same."""
    failing = "def median(numbers):\n    return sorted(numbers)[0]"
    for student in ("a", "b"):
        hand_in(tmp_path / "in", student, mini, median=failing)
    submissions = {student: tmp_path / f"in/{student}.ipynb" for student in ("a", "b")}
    handout = Handout.read(mini / "mini.ipynb")
    first = Grader(handout, SECRET, tmp_path / "out", checks=mini, limits=LIMITS)
    begun = first.grade_all(submissions)
    done = next(begun)
    begun.close()
    assert [path.name for path in (tmp_path / "out/results").iterdir()] == ["a.json"]

    again = Grader(handout, SECRET, tmp_path / "out", checks=mini, limits=LIMITS)
    ran: list[str] = []
    run = again._run
    again._run = lambda student, answers: ran.append(student) or run(student, answers)  # type: ignore[method-assign]
    marks = {each.student: each for each in again.grade_all(submissions)}
    assert ran == ["b"]
    assert marks["a"] == done
    fresh = Grader(handout, SECRET, None, checks=mini, limits=LIMITS).grade("a", submissions["a"])
    assert fresh == done
    assert again._seeds("a", "median") != again._seeds("b", "median")


def test_two_graders_at_once_in_another_order_on_a_plain_terminal_give_the_same_marks(
    mini: Path, tmp_path: Path
) -> None:
    files = {"łukasz": "def median(numbers):\n    return sorted(numbers)[0]", "ada": RIGHT}
    for student, answer in files.items():
        hand_in(tmp_path / "in", student, mini, median=answer)
    paths = [str(tmp_path / f"in/{student}.ipynb") for student in files]
    (tmp_path / "key").write_bytes(SECRET)
    (tmp_path / "key").chmod(0o600)
    options = ["--exercise", "mini", "--exercises", str(mini), "--secret", str(tmp_path / "key")]
    begun = [
        subprocess.Popen(
            [sys.executable, "-m", "labkit", "grade", *order, *options, "--out", str(tmp_path / out)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONIOENCODING": "ascii"},
        )
        for out, order in (("first", paths), ("second", paths[::-1]))
    ]
    said = [each.communicate()[0].decode("ascii") for each in begun]
    assert [each.returncode for each in begun] == [0, 0], said
    first, second = (
        {
            row["student"]: row
            for row in csv.DictReader((tmp_path / out / "marks.csv").read_text("utf8").splitlines())
        }
        for out in ("first", "second")
    )
    assert first == second
    assert {student: row["median"] for student, row in first.items()} == {"łukasz": "0", "ada": "2"}


def test_a_teachers_own_judges_are_asked_too(mini: Path, tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden/negative.py").write_text(
        "from labkit.coursework import Tasks, Wrong\ntasks = Tasks('mini')\n"
        "@tasks.task('median', visible=(1,))\ndef negative(answers, case):\n"
        "    if answers.call('median', [-1, -2, -3]) != -2:\n        raise Wrong('not with negative "
        "numbers')\n"
    )
    only_positive = RIGHT.replace("sorted(numbers)", "sorted(map(abs, numbers))")
    hand_in(tmp_path / "in", "a", mini, median=only_positive)
    handout, path = Handout.read(mini / "mini.ipynb"), tmp_path / "in/a.ipynb"
    grader = Grader(handout, SECRET, checks=mini, hidden_cells=tmp_path / "hidden", limits=LIMITS)
    assert grader.grade("a", path).tasks["median"].message == "not with negative numbers"


def test_validate_says_what_is_missing(mini: Path, tmp_path: Path) -> None:
    hand_in(tmp_path / "in", "mini", mini, median="def median(numbers):\n    raise NotImplementedError()")
    lines: list[str] = []
    assert run_validate(tmp_path / "in/mini.ipynb", "mini", mini, say=lines.append) == 1
    assert "✗ median: median is not written yet" in lines
    assert "✓ predict: right, in 1 run" in lines


def test_a_kernel_that_does_not_start_is_no_mark(
    mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_in(tmp_path / "in", "a", mini)
    monkeypatch.setattr(
        "labkit.coursework.grade.clean_environment", lambda: {"PATH": "", "PYTHONPATH": "/nowhere"}
    )
    monkeypatch.setattr(sys, "executable", "/bin/false")
    grader = Grader(Handout.read(mini / "mini.ipynb"), SECRET, tmp_path / "out", checks=mini, limits=LIMITS)
    marks = grader.grade("a", tmp_path / "in/a.ipynb")
    assert marks.trouble.startswith("the runner failed")
    assert not (tmp_path / "out").exists()


def test_a_kernel_that_does_not_start_is_started_again(
    mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_in(tmp_path, "a", mini)
    submission = tmp_path / "a.ipynb"
    grader = Grader(Handout.read(mini / "mini.ipynb"), SECRET, checks=mini, limits=LIMITS)
    run, runs = grader._run, []

    def unlucky(student: str, answers: dict[str, str]) -> dict[str, Any]:
        runs.append(student)
        return run(student, answers) if len(runs) > 1 else {"trouble": "the kernel did not start: its port"}

    monkeypatch.setattr(grader, "_run", unlucky)
    marks = grader.grade("a", submission)
    assert (marks.trouble, len(runs)) == ("", 2)
    monkeypatch.setattr(grader, "_run", lambda *_: {"trouble": "the kernel did not start: never"})
    assert grader.grade("a", submission).trouble == "the kernel did not start: never"
