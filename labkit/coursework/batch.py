"""``labkit grade`` and ``labkit validate``: from the command line to files, with a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .exercises import find_tasks
from .grade import Grader, Marks, find_submissions, read_secret
from .handout import BadHandout, Handout, exercise_of, find_handout
from .report import isolation, write_csv, write_feedback, write_junit

__all__ = ["Batch", "run_batch", "run_validate"]

Say = Callable[[str], None]


@dataclass(frozen=True)
class Batch:
    """What the command line asks for."""

    submissions: list[Path]
    exercise: str
    out: Path
    secret: Path
    jobs: int
    #: Where the exercise is; None: where those of labkit are.
    exercises: Path | None
    hidden: Path | None = None
    gradebook: str | None = None


def run_batch(batch: Batch, say: Say = print) -> int:
    """Grade them all: 0, or 1 if one could not be graded, or 2 if nothing could begin."""
    try:
        if batch.gradebook not in (None, "nbgrader"):
            raise ValueError(f'--gradebook {batch.gradebook}: there is only "nbgrader"')
        if batch.gradebook:
            from .gradebook import require

            require()
        path = find_handout(batch.exercise, batch.exercises, say)
        handout = Handout.read(path)
        names = find_tasks(handout.name, path.parent).names
        submissions = find_submissions(batch.submissions, *names)
        hidden = hidden_folder(batch.hidden, names)
        secret = read_secret(batch.secret, say)
        batch.out.mkdir(parents=True, exist_ok=True)
        options = {"checks": path.parent, "hidden_cells": hidden, "jobs": batch.jobs}
        grader = Grader(handout, secret, batch.out, **options)  # type: ignore[arg-type]
    except (BadHandout, LookupError, ValueError, ImportError, OSError) as error:
        say(str(error))
        return 2
    all_marks: list[Marks] = []
    try:
        from tqdm import tqdm

        for marks in tqdm(grader.grade_all(submissions), total=len(submissions), unit="submission"):
            all_marks.append(marks)
    except KeyboardInterrupt:
        say("interrupted: what is graded is kept; the same command goes on")
        return 130
    finally:
        if all_marks:
            write_all(batch.out, all_marks, grader)
    if batch.gradebook:
        from .gradebook import write_gradebook

        write_gradebook(batch.out / "gradebook.db", all_marks)
    return _sum_up(batch.out, all_marks, say)


def hidden_folder(folder: Path | None, names: Sequence[str]) -> Path | None:
    """Where a teacher's further judges of the exercise are, under any of its names."""
    if folder is None:
        return None
    return next((found for name in names if (found := folder / name).is_dir()), folder / names[0])


def write_all(out: Path, all_marks: list[Marks], grader: Grader) -> None:
    """Every file of a run."""
    write_csv(out / "marks.csv", all_marks)
    write_junit(out / "junit.xml", all_marks)
    (out / "feedback").mkdir(exist_ok=True)
    for marks in all_marks:
        write_feedback(out / "feedback" / f"{marks.student}.html", marks, grader.tasks)


def _sum_up(out: Path, all_marks: list[Marks], say: Say) -> int:
    troubled = [marks for marks in all_marks if marks.trouble]
    noted = [marks for marks in all_marks if marks.notes and not marks.trouble]
    for marks in sorted(noted, key=lambda marks: marks.student):
        say(f"{marks.student}: {'; '.join(marks.notes)}")
    for marks in troubled:
        say(f"NOT GRADED {marks.student}: {marks.trouble}")
    walls = next((marks.walls for marks in all_marks if marks.walls), [])
    say(isolation(walls))
    say(f"{len(all_marks) - len(troubled)} graded, {len(troubled)} not: see {out / 'marks.csv'}")
    return 1 if troubled else 0


def run_validate(notebook: Path, exercise: str | None, exercises: Path | None, say: Say = print) -> int:
    """The visible tests: 0 if all tasks pass, 1 if not, 2 if there is nothing to test.

    exercise: by default what the notebook says that it is.
    """
    try:
        path = find_handout(exercise or exercise_of(notebook), exercises, say)
        grader = Grader(Handout.read(path), None, checks=path.parent)
    except (BadHandout, LookupError) as error:
        say(str(error))
        return 2
    (marks,) = grader.grade_all({notebook.stem: notebook})
    if marks.trouble:
        say(f"could not be run, and not because of you: {marks.trouble}")
        return 2
    for name, mark in marks.tasks.items():
        say(f"{'✓' if mark.got == mark.of else '✗'} {name}: {mark.message}")
        if mark.replay:
            say(f"    to see it again: {mark.replay}")
    for cell, words in marks.raised.items():
        say(f"! {cell}: {words}")
    for note in marks.notes:
        say(f"! {note}")
    return 0 if marks.got == marks.of else 1
