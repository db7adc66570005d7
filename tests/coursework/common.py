"""What the tests of coursework share: exercises, and submissions made from their solved copies."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import nbformat

from labkit.coursework.answers import Local
from labkit.coursework.exercises import find_tasks
from labkit.coursework.generate import copies
from labkit.coursework.handout import ANSWER, Handout, grade_id
from labkit.coursework.tasks import hidden_seeds, judge

ROOT = Path(__file__).parents[2] / "notebooks" / "exercises"
SOURCES = [path.with_suffix(".py") for path in sorted(ROOT.glob("*.toml"))]
SECRET = b"a secret of the tests, not of a teacher"


def submission(name: str, answers: dict[str, str] | None = None) -> Any:
    """The solved notebook of an exercise, with some answers replaced."""
    notebook = copy.deepcopy(nbformat.read(ROOT / "solved" / f"{name}.ipynb", as_version=4))
    for cell in notebook.cells:
        answer = grade_id(cell).removeprefix(ANSWER)
        if grade_id(cell).startswith(ANSWER) and answer in (answers or {}):
            cell.source = answers[answer]
    return notebook


def points_here(source: Path, answers: dict[str, str], cases: int) -> dict[str, float]:
    """The marks that answers get from the same judges in this process, by visible and hidden cases."""
    student, solved = copies(source)
    handout = Handout.of(source.stem, student)
    own = {
        grade_id(cell).removeprefix(ANSWER): cell.source for cell in solved.cells if ANSWER in grade_id(cell)
    }
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in handout.assembled({**own, **answers})["cells"]:
        if not grade_id(cell).startswith("check-"):
            exec(compile(cell["source"], "cell", "exec"), names)
    tasks, got = find_tasks(source.stem), {}
    for task, points in handout.points.items():
        hidden = hidden_seeds(SECRET, tasks.drawn, "test", task, min(cases, tasks[task].hidden))
        verdict = judge(tasks.drawn, tasks[task], Local(names), [*tasks[task].visible, *hidden])
        got[task] = points if verdict.passed else 0.0
    return got
