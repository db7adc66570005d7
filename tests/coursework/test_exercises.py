"""Each exercise: the solved copy gets all marks, the handed-out one none, and a planted wrong solution
loses just its
own.

Here the judges run in this process; ``test_grading.py`` sends both copies of each exercise through the whole
grader.
"""

from __future__ import annotations

import os
import random
import tomllib
from pathlib import Path

import nbformat
import pytest

from labkit.coursework.generate import copies, wrong_solutions
from labkit.coursework.handout import ANSWER, Handout, grade_id
from labkit.coursework.tasks import Task, hidden_seeds
from tests.coursework.common import ROOT, SECRET, SOURCES, judged_here, points_here
from tests.project.strict_nbval import complaints

#: Hidden cases that are tried here.
CASES = 3

WRONG = [(source, wrong) for source in SOURCES for wrong in wrong_solutions(source)]


def ids(value: object) -> str | None:
    if isinstance(value, Path):
        return value.stem
    return getattr(value, "name", None)


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES, ids=ids)
def test_the_solution_gets_all_marks(source: Path) -> None:
    assert points_here(source, {}, CASES) == Handout.of(source.stem, copies(source)[0]).points


#: Seeds in which only the server's machine was slow: all were late alike, and a right answer lost its marks.
UNLUCKY = [930441284918, 173465282036, 427910728487]


#: Cases of exercises whose runs take longer. A thousand of each task were tried by hand, of
#: haloop-caching two hundred.
FEWER = {
    "chord-repair": 1,
    "chord-routing": 5,
    "cost-estimate": 4,
    "dryad-refinement": 2,
    "haloop-caching": 8,
    "mapreduce-backup": 2,
    "nfs-duplicate-requests": 6,
    "spark-mapreduce": 1,
}


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES, ids=ids)
def test_no_case_takes_a_mark_from_a_right_answer(source: Path) -> None:
    """LABKIT_SCHEDULES=10000 tries many more cases, for an exercise that is new or changed."""
    more = int(os.environ.get("LABKIT_SCHEDULES", "0")) // 20
    cases = [*UNLUCKY, *[random.getrandbits(40) for _ in range(more)]]

    def seeds(task: Task) -> list[int]:
        if not task.visible:  # drawn for the name, not from a seed
            return [0]
        return [*cases, *hidden_seeds(SECRET, source.stem, "ada", task.name, FEWER.get(source.stem, 50))]

    judged = judged_here(source, {}, seeds)
    assert {task: verdict.message for task, (verdict, _) in judged.items() if not verdict.passed} == {}


@pytest.mark.slow
@pytest.mark.parametrize(("source", "wrong"), WRONG, ids=ids)
def test_a_wrong_solution_loses_its_marks_and_no_others(source: Path, wrong: object) -> None:
    got = points_here(source, wrong.answers, CASES)
    assert tuple(task for task, points in got.items() if points == 0) == tuple(
        task for task in got if task in wrong.loses
    )


@pytest.mark.parametrize("source", SOURCES, ids=ids)
def test_each_task_has_a_wrong_solution(source: Path) -> None:
    """A check that nothing fails is no check."""
    lost = {task for wrong in wrong_solutions(source) for task in wrong.loses}
    assert set(Handout.of(source.stem, copies(source)[0]).points) - {"predict"} <= lost


@pytest.mark.parametrize("source", SOURCES, ids=ids)
def test_the_generated_copies_are_those_of_the_source(source: Path) -> None:
    for made, path in zip(
        copies(source), (ROOT / f"{source.stem}.ipynb", ROOT / "solved" / f"{source.stem}.ipynb"), strict=True
    ):
        kept = nbformat.read(path, as_version=4)
        assert [(cell.cell_type, cell.source, cell.metadata) for cell in kept.cells] == [
            (cell.cell_type, cell.source, cell.metadata) for cell in made.cells
        ], f"{path.name} is not made from {source.name} as it is: labkit exercise build {source}"
        assert complaints(kept) == []


@pytest.mark.parametrize("source", SOURCES, ids=ids)
def test_students_get_no_solution_and_no_hidden_test(source: Path) -> None:
    student, solved = copies(source)
    text = "\n".join(cell.source for cell in student.cells)
    assert "SOLUTION" not in text
    assert "HIDDEN" not in text
    assert "check_hidden" not in text
    handed, right = (
        {grade_id(c): c.source for c in copy.cells if ANSWER in grade_id(c)} for copy in (student, solved)
    )
    assert all(handed[answer] != right[answer] for answer in right)


@pytest.mark.parametrize("source", SOURCES, ids=ids)
def test_cells_are_short(source: Path) -> None:
    for cell in copies(source)[1].cells:
        marks = sum(line.strip().startswith("### ") for line in cell.source.splitlines())
        assert cell.cell_type != "code" or len(cell.source.splitlines()) - marks <= 15, cell.source


@pytest.mark.parametrize("source", SOURCES, ids=ids)
def test_planted_wrong_solutions_name_answers_and_tasks_that_exist(source: Path) -> None:
    handout = Handout.of(source.stem, copies(source)[0])
    for wrong in tomllib.loads(source.with_suffix(".toml").read_text())["wrong"]:
        assert set(wrong["answers"]) <= set(handout.answers)
        assert set(wrong["loses"]) <= set(handout.points)
