"""What the tests of coursework share: exercises, and submissions made from their solved copies."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat

from labkit.coursework.answers import Local
from labkit.coursework.exercises import find_tasks
from labkit.coursework.generate import copies
from labkit.coursework.handout import ANSWER, Handout, grade_id
from labkit.coursework.tasks import Task, Verdict, hidden_seeds, judge

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


def judged_here(
    source: Path, answers: dict[str, str], seeds: Callable[[Task], list[int]]
) -> dict[str, tuple[Verdict, float]]:
    """What the same judges say of answers in this process, in these cases of each task, and its points."""
    student, solved = copies(source)
    handout = Handout.of(source.stem, student)
    own = {
        grade_id(cell).removeprefix(ANSWER): cell.source for cell in solved.cells if ANSWER in grade_id(cell)
    }
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in handout.assembled({**own, **answers})["cells"]:
        if not grade_id(cell).startswith("check-"):
            exec(compile(cell["source"], "cell", "exec"), names)
    tasks = find_tasks(source.stem)
    return {
        task: (judge(tasks.drawn, tasks[task], Local(names), seeds(tasks[task])), points)
        for task, points in handout.points.items()
    }


def points_here(source: Path, answers: dict[str, str], cases: int) -> dict[str, float]:
    """The marks that answers get, by visible and hidden cases."""
    drawn = find_tasks(source.stem).drawn

    def seeds(task: Task) -> list[int]:
        hidden = hidden_seeds(SECRET, drawn, "test", task.name, min(cases, task.hidden))
        return [*task.visible, *hidden]

    judged = judged_here(source, answers, seeds)
    return {task: points if verdict.passed else 0.0 for task, (verdict, points) in judged.items()}
