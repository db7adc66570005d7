"""The parts of coursework, one at a time, in this process."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from labkit import Timeout
from labkit.coursework import Exercise, Wrong, cli, landlock
from labkit.coursework.answers import AnswerRaised, Local, NotWritten
from labkit.coursework.cage import changes_since, snapshot
from labkit.coursework.exercises import find_tasks
from labkit.coursework.exercises.chord_routing import peers_of
from labkit.coursework.generate import copies, joined
from labkit.coursework.grade import Mark, Marks, read_secret
from labkit.coursework.handout import (
    BadHandout,
    BadSubmission,
    Handout,
    exercise_of,
    find_handout,
    grade_id,
)
from labkit.coursework.report import isolation, write_csv, write_feedback, write_junit
from labkit.coursework.tasks import Case, Task, Verdict, hidden_seeds, judge
from labkit.coursework.template import write_template
from labkit.coursework.values import NotPlain, decode, encode
from labkit.systems.chord import Peer
from tests.coursework.common import ROOT, SECRET

PLAIN = [
    None,
    [1, 2.5, "x", True],
    (1, (2,), [(3,)]),
    {1, 2, 3},
    b"\x00\xff",
    {"a": 1, (1, 2): "tuple"},
    {"$tuple": 1},
    Peer(3, "chord-1"),
    10**30,
]


# ── values ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_plain_data_comes_back_as_it_was(value: Any) -> None:
    found = decode(encode(value))
    assert found == value
    assert type(found) is type(value)


def test_arrays_come_back_as_they_were() -> None:
    numbers = np.arange(6.0).reshape(2, 3)
    assert (decode(encode(numbers)) == numbers).all()
    assert decode(encode(np.float64(2.5))) == 2.5


@pytest.mark.parametrize("value", [object(), print, open, Exercise])
def test_what_is_no_data_is_refused(value: Any) -> None:
    with pytest.raises(NotPlain, match="is not plain data; give numbers"):
        encode(value)


@pytest.mark.parametrize(
    "text",
    [
        "{]",
        "[" * 100_000,
        '{"$peer": [1]}',
        '{"$array": ["|O", [1], ""]}',
        '{"$array": ["<f8", [9999999], ""]}',
    ],
)
def test_what_a_student_sends_is_read_with_care(text: str) -> None:
    with pytest.raises(NotPlain):
        decode(text)


# ── answers ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_function_is_asked() -> None:
    answers = Local({"double": lambda n: 2 * n, "five": 5})
    assert (answers.call("double", 4), answers.value("five")) == (8, 5)


def test_the_arguments_are_copies() -> None:
    given = [1]
    Local({"spoil": lambda numbers: numbers.append(2)}).call("spoil", given)
    assert given == [1]


def test_errors_say_where() -> None:
    def missing(n: int) -> int:
        raise NotImplementedError

    answers = Local({"missing": missing, "wrong": lambda n: n.nothing, "odd": lambda n: object()})
    with pytest.raises(NotWritten, match="missing is not written yet"):
        answers.call("missing", 1)
    with pytest.raises(
        AnswerRaised, match="wrong raised AttributeError: 'int' object has no attribute 'nothing'"
    ):
        answers.call("wrong", 1)
    with pytest.raises(AnswerRaised, match="there is no other; run the cell that defines it"):
        answers.call("other")
    with pytest.raises(AnswerRaised, match="is not plain data"):
        answers.call("odd", 1)


def test_a_handler_is_run_step_by_step() -> None:
    async def handler(n: Any, key: int) -> Any:
        n.count = n.count + 1
        try:
            reply = await n.call(Peer(1, "other"), "find", key)
        except Timeout:
            n.send("other", "notify", n.count)
            reply = None
        return reply

    answers = Local({"handler": handler})
    number, first = answers.start("handler", {"count": 1}, 7)
    assert first == {"request": ["call", "other", "find", 7], "state": {"count": 2}, "effects": []}
    assert answers.resume("handler", number, {"count": 2}, "found", None)["value"] == "found"
    number, _ = answers.start("handler", {"count": 1}, 7)
    last = answers.resume("handler", number, {"count": 5}, None, ["Timeout", "silent"])
    assert last == {"value": None, "state": {"count": 5}, "effects": [["send", "other", "notify", 5]]}


def test_a_handler_awaits_nothing_else() -> None:
    import asyncio

    async def handler(n: Any) -> None:
        await asyncio.sleep(0)

    with pytest.raises(AnswerRaised, match=r"a handler awaits n\.call"):
        Local({"handler": handler}).start("handler", {})


@pytest.mark.parametrize("value", [None, [1], [("x", 1)], [Peer(1, "a")] * 9])
def test_pointers_are_checked(value: Any) -> None:
    with pytest.raises(Wrong, match=r"must be|entries"):
        peers_of(value, "n.successors", most=8)


# ── tasks and secrets ───────────────────────────────────────────────────────────────────────────────────


def test_hidden_seeds_are_each_students_own() -> None:
    def seeds(*about: str, secret: bytes = SECRET) -> list[int]:
        return hidden_seeds(secret, *about, 3)

    own = seeds("exercise", "ada", "task")
    assert own == seeds("exercise", "ada", "task")
    others = [
        seeds("exercise", "bob", "task"),
        seeds("exercise", "ada", "other"),
        seeds("other", "ada", "task"),
        seeds("exercise", "ada", "task", secret=b"another secret, as long"),
    ]
    assert len({*own, *(seed for each in others for seed in each)}) == 15
    with pytest.raises(ValueError, match="the secret is empty"):
        hidden_seeds(b"", "exercise", "ada", "task", 1)


def test_the_first_failing_case_is_told() -> None:
    def odd(answers: Any, case: Case) -> None:
        if case.seed % 2:
            raise Wrong(f"{case.seed} is odd")

    task = Task("even", "", odd, (), 0)
    assert judge("x", task, Local({}), [2, 4, 5, 7]) == Verdict(
        "even", False, 3, "5 is odd", "exercise.check('even', seed=5)"
    )
    assert judge("x", task, Local({}), [2, 4]).passed


def test_a_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    path, said = tmp_path / "keys/secret.key", []
    secret = read_secret(path, said.append)
    assert read_secret(path, said.append) == secret
    assert len(said) == 1
    assert path.stat().st_mode & 0o077 == 0
    path.chmod(0o644)
    with pytest.raises(ValueError, match="others may read"):
        read_secret(path)
    path.write_text("short")
    with pytest.raises(ValueError, match="has 5 characters; write 16 or more"):
        read_secret(path)


def test_unknown_names_are_told() -> None:
    with pytest.raises(LookupError, match="there is no exercise 'none': labkit has chord-break"):
        find_tasks("none")
    with pytest.raises(LookupError, match="has no task 'nothing'; its tasks are closest"):
        Exercise("chord-routing").check("nothing")


# ── notebooks ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def mini(tmp_path: Path) -> Path:
    return write_template("mini", tmp_path)[0]


@pytest.mark.slow
def test_a_new_exercise_works_as_it_is(mini: Path) -> None:
    student, solved = copies(mini)
    assert Handout.of("mini", student).points == {"median": 2, "predict": 1}
    assert "raise NotImplementedError()" in "".join(cell.source for cell in student.cells)
    assert "### BEGIN HIDDEN TESTS" in "".join(cell.source for cell in solved.cells)
    about = {grade_id(cell): dict(cell.metadata["nbgrader"]) for cell in solved.cells if grade_id(cell)}
    common = {"schema_version": 3, "task": False, "cell_type": "code"}
    answer = {"grade": False, "grade_id": "answer-median", "locked": False, "solution": True}
    check = {"grade": True, "grade_id": "check-median", "locked": True, "solution": False, "points": 2}
    assert about["answer-median"] == {**answer, **common}
    assert about["check-median"] == {**check, **common}


@pytest.mark.parametrize("name", ["Mini", "a b", "../x", "-a"])
def test_a_new_exercise_needs_a_plain_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="small letters, digits and single dashes"):
        write_template(name, tmp_path)


def test_a_new_exercise_overwrites_nothing(mini: Path) -> None:
    with pytest.raises(FileExistsError, match="exists already; choose another name"):
        write_template("mini", mini.parent)


def test_a_notebook_without_checks_is_no_handout(tmp_path: Path) -> None:
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / "empty.ipynb")
    with pytest.raises(BadHandout, match="empty has 0 answers and 0 checks: there is nothing to grade"):
        Handout.read(tmp_path / "empty.ipynb")
    (tmp_path / "none.ipynb").write_text("?")
    with pytest.raises(BadHandout, match="is not a notebook"):
        Handout.read(tmp_path / "none.ipynb")


@pytest.mark.parametrize("text", ["", "[]", '{"cells": 3}', '{"cells": [{"metadata": 3}, 4]}', "[" * 9999])
def test_a_file_that_is_no_submission(text: str, mini: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.ipynb").write_text(text)
    with pytest.raises(BadSubmission, match=r"is not a notebook|no cell of it"):
        Handout.of("mini", copies(mini)[0]).taken(tmp_path / "bad.ipynb")


# ── what is written ─────────────────────────────────────────────────────────────────────────────────────


def marks(student: str, message: str = "") -> Marks:
    return Marks(student, "mini", {"median": Mark(0, 2, message, "run = 1")}, ["a <note>"], walls=["limits"])


def test_reports_take_any_text(tmp_path: Path) -> None:
    odd = marks("=cmd()", "<script>alert(1)</script>\x00\ud800")
    write_csv(tmp_path / "marks.csv", [odd])
    assert "'=cmd()" in (tmp_path / "marks.csv").read_text()
    write_junit(tmp_path / "junit.xml", [odd])
    write_feedback(tmp_path / "odd.html", odd, find_tasks("chord-routing"))
    page = (tmp_path / "odd.html").read_text()
    assert "<script>" not in page
    assert "a &lt;note&gt;" in page
    assert "run = 1" in page


def test_a_table_has_no_remark_where_there_is_none(tmp_path: Path) -> None:
    write_csv(tmp_path / "marks.csv", [Marks("ada", "mini", {"median": Mark(2, 2, "", "")})])
    assert (tmp_path / "marks.csv").read_text().splitlines()[1] == "ada,mini,2,2,2,"


def test_missing_walls_are_told() -> None:
    assert "NO wall round files" in isolation(["limits"])
    assert "NO wall round UDP" in isolation(["limits", "files", "user"])
    assert "NO wall" not in isolation(["limits", "files", "user", "calls"])
    assert "Not isolated" in isolation(["limits", "files", "user"])


def test_the_gradebook_says_what_it_needs() -> None:
    from labkit.coursework import gradebook

    if importlib.util.find_spec("nbgrader"):
        pytest.skip("nbgrader is installed")
    with pytest.raises(ImportError, match="pip install nbgrader"):
        gradebook.require()


def test_marks_go_to_nbgraders_gradebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("nbgrader")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # the environment was not activated
    from labkit.coursework.gradebook import require, write_gradebook

    graded = Marks("ada", "mini", {"median": Mark(2, 2), "predict": Mark(0, 1)})
    for _ in range(2):
        write_gradebook(tmp_path / "book.db", [graded])
    # In the tests a warning is an error, so none of SQLAlchemy's gets through.
    with require()(f"sqlite:///{tmp_path / 'book.db'}") as book:
        assert book.find_submission("mini", "ada").score == 2


# ── walls ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(landlock.version() == 0, reason="this kernel has no Landlock")
@pytest.mark.slow
def test_behind_the_wall_other_files_are_gone(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "outside").write_text("secret")
    code = (
        "import sys; from labkit.coursework import landlock\n"
        f"landlock.restrict([({str(tmp_path / 'inside')!r}, landlock.WRITE)])\n"
        f"open({str(tmp_path / 'inside/new')!r}, 'w').write('x')\n"
        f"try: open({str(tmp_path / 'outside')!r})\nexcept PermissionError: print('refused')"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert found.stdout == "refused\n"


def test_a_change_of_labkit_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = changes_since(snapshot())
    assert changes() == []
    monkeypatch.setattr("labkit.coursework.exercise.Exercise.check", print)
    monkeypatch.setattr("builtins.abs", lambda n: 0)
    assert changes() == ["builtins.abs", "labkit.coursework.exercise.Exercise.check"]


# ── commands ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    cli.register(app)
    return app


@pytest.mark.slow
def test_the_commands_say_what_is_wrong(app: typer.Typer, tmp_path: Path) -> None:
    run = CliRunner()
    made = run.invoke(app, ["exercise", "new", "mini", "--folder", str(tmp_path)])
    assert made.exit_code == 0
    assert f"labkit exercise build {tmp_path}/mini.py" in made.output
    assert run.invoke(app, ["exercise", "new", "mini", "--folder", str(tmp_path)]).exit_code == 2
    assert run.invoke(app, ["exercise", "new", "Not This"]).exit_code == 2
    options = [
        "--exercises",
        str(tmp_path),
        "--out",
        str(tmp_path / "out"),
        "--secret",
        str(tmp_path / "key"),
    ]
    found = run.invoke(app, ["grade", str(tmp_path), "--exercise", "mini", *options])
    assert found.exit_code == 2
    assert "there is no exercise 'mini'" in found.output
    assert "has no mini.ipynb; --exercises names the folder" in found.output
    nbformat.write(copies(tmp_path / "mini.py")[0], tmp_path / "mini.ipynb")
    found = run.invoke(app, ["grade", str(tmp_path / "none"), "--exercise", "mini", *options])
    assert (found.exit_code, "there is no notebook at" in found.output) == (2, True)
    found = run.invoke(app, ["grade", str(tmp_path), "--exercise", "mini", *options, "--gradebook", "other"])
    assert (found.exit_code, 'there is only "nbgrader"' in found.output) == (2, True)
    (tmp_path / "other.ipynb").write_text(json.dumps({"cells": []}))
    assert run.invoke(app, ["validate", str(tmp_path / "other.ipynb"), *options[:2]]).exit_code == 2


# ── which exercise a notebook is ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["chord-routing (1).ipynb", "ada.ipynb", "chord-repair.ipynb"])
def test_a_notebook_says_which_exercise_it_is(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes((ROOT / "chord-routing.ipynb").read_bytes())
    assert exercise_of(tmp_path / name) == "chord-routing"
    assert find_handout("chord-routing").samefile(ROOT / "chord-routing.ipynb")


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([], r'one\.ipynb makes no Exercise\("…"\): .* --exercise chord-break'),
        (['# Exercise("paramserver-ssp")', "exercise = Exercise(NAME)"], "makes no Exercise"),
        (
            ['a = Exercise("spark-lineage")', "b = Exercise('paramserver-ssp')"],
            "is paramserver-ssp and spark-lineage: .* --exercise paramserver",
        ),
    ],
)
def test_a_notebook_that_does_not_say_it(tmp_path: Path, cells: list[str], message: str) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in cells])
    nbformat.write(notebook, tmp_path / "one.ipynb")
    with pytest.raises(LookupError, match=message):
        exercise_of(tmp_path / "one.ipynb")
    (tmp_path / "one.ipynb").write_text("no JSON")
    with pytest.raises(LookupError, match="is no notebook"):
        exercise_of(tmp_path / "one.ipynb")


def test_text_that_came_in_pieces_is_saved_as_one() -> None:
    def said(text: str, name: str = "stdout") -> Any:
        return nbformat.v4.new_output("stream", name=name, text=text)

    picture = nbformat.v4.new_output("display_data", data={"text/plain": "x"})
    given = [said("a"), said("\n"), said("e", "stderr"), picture, said("b"), said("c")]
    assert joined(given) == [said("a\n"), said("e", "stderr"), picture, said("bc")]


def test_what_a_submissions_process_imports_is_open() -> None:
    """A module that its own code needs and that is closed would keep every kernel from starting."""
    program = (
        "import sys, labkit.coursework.cage\n"
        "from labkit.coursework.closed import is_open\n"
        "ours = [name for name in sys.modules if name.split('.')[0] in ('labkit', 'labkit_widgets')]\n"
        "print([name for name in ours if not is_open(name, [])])"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
