"""``labkit grade`` and ``labkit validate``: from the command line to files, with a progress bar."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from labkit.lab.processes import Stopped, stop_signals

from .exercises import find_tasks
from .folders import file_name, find_submissions
from .grade import Grader, Marks, read_secret
from .handout import BadHandout, Handout, exercise_of, find_handout
from .report import isolation, write_csv, write_feedback, write_junit
from .words import in_a_line

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
        say(in_a_line(str(error)))
        return 2
    all_marks: list[Marks] = []
    begun = time.monotonic()
    try:
        from tqdm import tqdm

        with stop_signals(), closing(grader.grade_all(submissions)) as graded:
            for marks in tqdm(graded, total=len(submissions), unit="submission"):
                all_marks.append(marks)
    except Stopped as stopped:
        done = {marks.student for marks in all_marks}
        left = [grader.none(student, trouble="interrupted") for student in submissions if student not in done]
        write_all(batch, [*all_marks, *left], grader)
        say(f"interrupted by {stopped}: what is graded is kept; the same command goes on")
        return 128 + stopped.signal
    note_alike(all_marks)
    problems = write_all(batch, all_marks, grader)
    return max(
        _sum_up(batch.out, all_marks, time.monotonic() - begun, say),
        *(_told(problem, say) for problem in problems),
        0,
    )


def _told(problem: str, say: Say) -> int:
    say(f"NOT WRITTEN {in_a_line(problem)}")
    return 1


def note_alike(all_marks: Sequence[Marks]) -> None:
    """Say of each submission which others have the same text, or questions that were drawn for the same name:
    for the teacher, who judges what that means."""
    for words, key in (
        ("the same text as {}", lambda marks: marks.text),
        (
            "questions drawn for the same name as those of {}",
            lambda marks: marks.drawn_for.strip().casefold(),
        ),
    ):
        groups: dict[str, list[Marks]] = defaultdict(list)
        for marks in all_marks:
            groups[key(marks)].append(marks)
        for found, group in groups.items():
            for marks in group if found else ():
                others = sorted(each.student for each in group if each is not marks)
                more = f" and {len(others) - 3} more" if len(others) > 3 else ""
                if others:
                    marks.alike.append(words.format(", ".join(others[:3]) + more))


def hidden_folder(folder: Path | None, names: Sequence[str]) -> Path | None:
    """Where a teacher's further judges of the exercise are, under any of its names."""
    if folder is None:
        return None
    return next((found for name in names if (found := folder / name).is_dir()), folder / names[0])


def write_all(batch: Batch, all_marks: list[Marks], grader: Grader) -> list[str]:
    """Every file of a run, each whole or not at all: what could not be written, and why."""
    pages = batch.out / "feedback"
    files: list[tuple[Path, Callable[[Path], None]]] = [
        (batch.out / "marks.csv", partial(write_csv, all_marks=all_marks)),
        (batch.out / "junit.xml", partial(write_junit, all_marks=all_marks)),
        (pages, partial(Path.mkdir, exist_ok=True)),
    ]
    for marks in all_marks:
        page = partial(write_feedback, marks=marks, tasks=grader.tasks)
        files.append((pages / file_name(marks.student, ".html"), page))
    if batch.gradebook:
        from .gradebook import write_gradebook

        files.append((batch.out / "gradebook.db", partial(write_gradebook, all_marks=all_marks)))
    problems = [grader.not_kept] if grader.not_kept else []
    for path, write in files:
        try:
            write(path)
        except Exception as error:  # of the disk, or of nbgrader's database
            problems.append(f"{path}: {getattr(error, 'strerror', None) or error}; what was there stays")
    return problems


def _sum_up(out: Path, all_marks: list[Marks], seconds: float, say: Say) -> int:
    troubled = [marks for marks in all_marks if marks.trouble]
    for marks in sorted(all_marks, key=lambda marks: marks.student):
        if (marks.notes or marks.alike) and not marks.trouble:
            say(f"{marks.student}: {in_a_line('; '.join([*marks.notes, *marks.alike]))}")
    for marks in troubled:
        say(f"NOT GRADED {marks.student}: {in_a_line(marks.trouble)}")
    walls = next((marks.walls for marks in all_marks if marks.walls), [])
    say(isolation(walls))
    count = f"{len(all_marks) - len(troubled)} graded, {len(troubled)} not"
    say(f"{count}, in {seconds:.0f} s: see {out / 'marks.csv'}")
    return 1 if troubled else 0


def run_validate(notebook: Path, exercise: str | None, exercises: Path | None, say: Say = print) -> int:
    """The visible tests: 0 if all tasks pass, 1 if not, 2 if there is nothing to test.

    exercise: by default what the notebook says that it is.
    """
    try:
        path = find_handout(exercise or exercise_of(notebook), exercises, say)
        grader = Grader(Handout.read(path), None, checks=path.parent)
    except (BadHandout, LookupError) as error:
        say(in_a_line(str(error)))
        return 2
    try:
        with stop_signals():
            (marks,) = grader.grade_all({notebook.stem: notebook})
    except Stopped as stopped:
        say(f"interrupted by {stopped}")
        return 128 + stopped.signal
    if marks.trouble:
        say(f"could not be run, and not because of you: {marks.trouble}")
        return 2
    right, wrong = ("✓", "✗") if can_print("✓✗") else ("right", "WRONG")
    for name, mark in marks.tasks.items():
        say(f"{right if mark.got == mark.of else wrong} {name}: {mark.message}")
        if mark.replay:
            say(f"    to see it again: {mark.replay}")
    for cell, words in marks.raised.items():
        say(f"! {cell}: {words}")
    for note in marks.notes:
        say(f"! {note}")
    return 0 if marks.got == marks.of else 1


def can_print(text: str) -> bool:
    """Whether the terminal has these characters."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeError, LookupError):
        return False
    return True


def say_anyhow(text: str) -> None:
    """Print a line, with "?" for what the terminal cannot show."""
    encoding = sys.stdout.encoding or "ascii"
    print(text.encode(encoding, "replace").decode(encoding), flush=True)
