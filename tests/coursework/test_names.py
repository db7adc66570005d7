"""Exercises by name: the one of today, and the one that each had before."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from typer.testing import CliRunner

from labkit.cli import app
from labkit.coursework import Exercise
from labkit.coursework.exercises import NAMES, find_tasks
from labkit.coursework.handout import find_handout
from labkit.systems.about import catalogue
from tests.coursework.common import ROOT, submission


def test_an_exercise_that_had_another_name_is_found_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        tasks = find_tasks(name)
        assert tasks.exercise == name
        if not tasks.formerly:
            continue
        assert find_tasks(tasks.formerly) is tasks
        assert Exercise(tasks.formerly).name == name
        assert find_handout(tasks.formerly).samefile(ROOT / f"{name}.ipynb")
        assert f"{tasks.formerly} is called {name} now" in capsys.readouterr().out


@pytest.mark.parametrize("file", ["ada/01-chord-routing/01-chord-routing.ipynb", "ada.ipynb"])
def test_a_submission_with_the_old_name_is_graded_as_ever(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = submission("chord-routing")
    for cell in notebook.cells:
        cell.source = cell.source.replace("chord-routing", "01-chord-routing")
    path = tmp_path / "in" / file
    path.parent.mkdir(parents=True)
    nbformat.write(notebook, path)
    monkeypatch.chdir(tmp_path)
    run = CliRunner()
    for name in ("01-chord-routing", "chord-routing"):
        found = run.invoke(app, ["grade", "in", "--exercise", name, "--out", name])
        assert found.exit_code == 0, found.output
        assert ("01-chord-routing is called chord-routing now" in found.output) is (name[0] == "0")
        (graded,) = csv.DictReader((tmp_path / name / "marks.csv").read_text().splitlines())
        assert (graded["student"], graded["marks"]) == ("ada", graded["of"]), graded


def test_the_commands_take_the_old_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for ending in ("py", "toml"):
        shutil.copy(ROOT / f"chord-routing.{ending}", tmp_path)
    monkeypatch.chdir(tmp_path)
    run = CliRunner()
    made = run.invoke(app, ["exercise", "new", "01-chord-routing", "--folder", "."])
    assert "01-chord-routing is called chord-routing now" in made.output
    assert (made.exit_code, "exists already" in made.output) == (2, True)
    built = run.invoke(app, ["exercise", "build", "01-chord-routing.py"])
    assert built.exit_code == 0, built.output
    assert "wrote chord-routing.ipynb" in built.output
    notebook = nbformat.read(tmp_path / "chord-routing.ipynb", as_version=4)
    notebook.cells = [
        nbformat.from_dict({**cell, "source": cell.source.replace("chord-routing", "01-chord-routing")})
        for cell in notebook.cells
    ]
    nbformat.write(notebook, tmp_path / "mine.ipynb")
    assert (
        "01-chord-routing is called chord-routing now" in run.invoke(app, ["validate", "mine.ipynb"]).output
    )


def test_the_course_page_has_the_order_of_the_exercises_and_the_lectures() -> None:
    page = (ROOT.parent / "index.py").read_text()
    lectures = [about.lecture for about in catalogue().values()]
    found = list(dict.fromkeys(re.findall(r"lectures/([\w-]+)\.ipynb", page)))
    assert found == ["start", *lectures, "cost"]  # the first and the last are of no system
    exercises = re.findall(r"\(exercises/([\w-]+)\.ipynb", page)
    assert exercises == sorted(NAMES, key=lambda name: find_tasks(name).order)


def test_a_question_that_stands_with_the_judges_is_refused(tmp_path: Path) -> None:
    """The kernel could not be started, and did not say why."""
    (tmp_path / "my_own_checks.py").write_text(
        "from labkit.coursework import Tasks\n"
        "def ask(stepper, asked):\n    return 1\n"
        'tasks = Tasks("my-own", questions={"ask": ask})\n'
    )
    with pytest.raises(ValueError, match="'ask' of my-own: ask stands in my_own_checks, with the judges"):
        find_tasks("my-own", tmp_path)
