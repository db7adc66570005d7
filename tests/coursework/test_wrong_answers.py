"""Wrong answers that students write: each loses its task, at the latest in the hidden cases.

Beside the planted wrong solutions of an exercise (its ``.toml``), which must lose just their own tasks, these
are judged by the task that they are about only, and so cost little.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import pytest

from labkit.coursework.answers import Local
from labkit.coursework.exercises import find_tasks
from labkit.coursework.generate import copies, wrong_solutions
from labkit.coursework.handout import Handout
from labkit.coursework.taken import ANSWER, CHECK, grade_id
from labkit.coursework.tasks import hidden_seeds, judge
from tests.coursework.common import ROOT, SECRET
from tests.coursework.wrong_answers import WRONG

#: Predictions that are none.
NO_NUMBERS = [None, True, float("nan"), float("inf"), "3", [], [3], {}, -1, 10**30]


@cache
def parts(name: str) -> tuple[Handout, dict[str, str]]:
    """An exercise's handout, and the right answers."""
    student, solved = copies(ROOT / f"{name}.py")
    found = [(grade_id(cell), cell.source) for cell in solved.cells if grade_id(cell).startswith(ANSWER)]
    return Handout.of(name, student), {id.removeprefix(ANSWER): source for id, source in found}


def names_of(name: str, answers: dict[str, str], *needed: str) -> dict[str, Any]:
    """What a solved notebook defines, with these answers, and of the others only the needed ones."""
    handout, own = parts(name)
    names: dict[str, Any] = {"__name__": "__main__"}
    left_out = {answer for answer in own if answer not in (*needed, *answers)}
    for cell in handout.assembled({**own, **answers})["cells"]:
        id = grade_id(cell)
        if not id.startswith(CHECK) and id.removeprefix(ANSWER) not in left_out:
            exec(compile(cell["source"], "cell", "exec"), names)
    return names


@pytest.mark.slow
@pytest.mark.parametrize("about", WRONG, ids="/".join)
def test_a_wrong_answer_loses(about: tuple[str, str, str]) -> None:
    name, task, answer = about
    tasks = find_tasks(name)
    seeds = [*tasks[task].visible, *hidden_seeds(SECRET, tasks.drawn, "eve", task, tasks[task].hidden)]
    also = ("student", "list", "closest", "late", "join", "words")
    for source in WRONG[about]:
        answers = Local(names_of(name, {answer: source}, *also))
        assert not judge(tasks.drawn, tasks[task], answers, seeds).passed, source


@pytest.mark.parametrize("name", sorted({about[0] for about in WRONG}))
def test_a_prediction_is_a_number(name: str) -> None:
    tasks = find_tasks(name)
    (variable,) = _predicted(name)
    for guess in NO_NUMBERS:
        answers = Local({"student": "ada", variable: guess})
        assert not judge(tasks.drawn, tasks["predict"], answers, [0]).passed, guess


def _predicted(name: str) -> list[str]:
    return [each for each in names_of(name, {}, "student", "predict") if each.startswith("predicted_")]


def test_each_task_has_five() -> None:
    count = Counter({(name, task): len(sources) for (name, task, _), sources in WRONG.items()})
    for name in {name for name, _, _ in WRONG}:
        for planted in wrong_solutions(ROOT / f"{name}.py"):
            count.update((name, task) for task in planted.loses)
        assert [task for task in find_tasks(name) if task != "predict" and count[name, task] < 5] == []
