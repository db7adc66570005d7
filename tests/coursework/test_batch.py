"""What a batch writes and says: whole tables, remarks, who is like whom, and no line of a student's."""

from __future__ import annotations

import csv
import signal
from pathlib import Path
from typing import Any

import nbformat
import pytest

from labkit.coursework.answers import Local, Wrong
from labkit.coursework.batch import Batch, note_alike, run_batch, write_all
from labkit.coursework.generate import copies
from labkit.coursework.grade import Grader, Mark, Marks
from labkit.coursework.handout import Handout
from labkit.coursework.report import write_csv, write_feedback
from labkit.coursework.tasks import Case, Task, judge, judge_prediction, same
from labkit.coursework.template import write_template
from labkit.coursework.words import in_a_line, printable, shown

EVIL = "x\x1b]0;owned\x07\x1b[2J\x9b2J\nada: 0 marks, cheated\u202e\u2028bob: 0 marks\r!"


def one(student: str, **more: Any) -> Marks:
    return Marks(student, "mini", {"median": Mark(1, 2)}, **more)


@pytest.fixture
def grader(tmp_path: Path) -> Grader:
    source = write_template("mini", tmp_path)[0]
    nbformat.write(copies(source)[0], tmp_path / "mini.ipynb")
    return Grader(Handout.read(tmp_path / "mini.ipynb"), b"a secret of these tests", checks=tmp_path)


def test_what_is_shown_is_one_line_without_control_sequences() -> None:
    assert in_a_line(EVIL).isprintable()
    assert "\\x1b[2J" in printable(EVIL)
    assert len(printable("x" * 10_000)) < 2050
    assert len(shown([0] * 2_000_000)) < 90


def test_a_student_writes_no_line_of_the_report(grader: Grader, tmp_path: Path) -> None:
    outcome = {
        "ended": EVIL,
        "trouble": EVIL,
        "changed": [EVIL],
        "cells": {"answer-median": [False, EVIL]},
        "verdicts": {"median": {"passed": False, "message": EVIL, "replay": EVIL, "cases": 1}},
    }
    for changed in ([EVIL], []):
        marks = grader._marks("eve", {**outcome, "changed": changed}, [EVIL])
        write_csv(tmp_path / "marks.csv", [marks])
        write_feedback(tmp_path / "eve.html", marks, grader.tasks)
        table = (tmp_path / "marks.csv").read_text("utf8")
        assert len(table.splitlines()) == 2
        assert all(c.isprintable() or c in "\r\n" for c in table)
        page = (tmp_path / "eve.html").read_text("utf8")
        assert all(c.isprintable() or c in "\n\t" for c in page)


def test_like_submissions_are_named_for_the_teacher_only(grader: Grader, tmp_path: Path) -> None:
    ada, bob = one("ada", text="1", drawn_for="ada"), one("bob", text="1", drawn_for="Ada ")
    many = [one(f"s{number}", text="2", drawn_for=str(number)) for number in range(6)]
    zoe, empty = one("zoe", text="3", drawn_for="zoe"), one("empty")
    note_alike([ada, bob, zoe, empty, one("also empty"), *many])
    assert ada.alike == ["the same text as bob", "questions drawn for the same name as those of bob"]
    assert (zoe.alike, empty.alike) == ([], [])
    assert many[0].alike == ["the same text as s1, s2, s3 and 2 more"]
    write_csv(tmp_path / "marks.csv", [ada])
    (row,) = csv.DictReader((tmp_path / "marks.csv").read_text().splitlines())
    assert row["remarks"].startswith("the same text as bob")
    write_feedback(tmp_path / "ada.html", ada, grader.tasks)
    assert "bob" not in (tmp_path / "ada.html").read_text()


def test_a_full_disk_keeps_the_old_tables_and_is_told(
    grader: Grader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = Batch([], "mini", tmp_path / "out", tmp_path / "key", 1, tmp_path)
    batch.out.mkdir()
    grader.out = batch.out
    assert write_all(batch, [one("ada")], grader) == []
    before = (batch.out / "marks.csv").read_text()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    grader._keep("ada", "key", one("ada"))
    problems = write_all(batch, [one("ada"), one("bob")], grader)
    assert len(problems) == 5  # the outcome, the table, JUnit's, two pages
    assert all("No space left on device" in problem for problem in problems)
    assert (batch.out / "marks.csv").read_text() == before
    assert [path.name for path in batch.out.rglob("*.part")] == []


def test_one_failure_of_the_grader_is_one_students(
    grader: Grader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def grade(student: str, submission: Any) -> Marks:
        if student == "eve":
            raise ZeroDivisionError("of ours")
        return one(student)

    monkeypatch.setattr(grader, "grade", grade)
    found = {marks.student: marks for marks in grader.grade_all(dict.fromkeys(("ada", "eve"), tmp_path))}
    assert (found["ada"].got, found["ada"].trouble) == (1, "")
    assert found["eve"].trouble == "the grader failed: ZeroDivisionError: of ours"


def test_an_interrupted_run_writes_a_whole_table(
    grader: Grader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    for student in ("ada", "bob"):
        (tmp_path / f"in/{student}.ipynb").write_text("{}")

    def grade_all(self: Grader, submissions: Any) -> Any:
        yield one("ada")
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Grader, "grade_all", grade_all)
    batch = Batch([tmp_path / "in"], "mini", tmp_path / "out", tmp_path / "key", 1, tmp_path)
    lines: list[str] = []
    assert run_batch(batch, lines.append) == 130
    table = (tmp_path / "out/marks.csv").read_text().splitlines()
    rows = {row["student"]: row for row in csv.DictReader(table)}
    assert rows["bob"]["remarks"] == "NOT GRADED: interrupted"
    assert set(rows) == {"ada", "bob"}


# ── what judges compare ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("got", "wanted"),
    [(float("nan"), 3), (True, 1), ("3", 3), (None, 3), ([3], 3), ((1, 2), [1, 2]), ([1], [1, 2]), ({3}, 3)],
)
def test_nonsense_is_not_the_same(got: Any, wanted: Any) -> None:
    assert not same(got, wanted)


def test_arrays_are_no_numbers_and_numbers_are() -> None:
    import numpy as np

    assert not same(np.array([3]), 3)
    assert not same([np.array([])], [3])
    assert not same(np.array([]), 3)
    assert same(3.0, 3)
    assert same([1, 2.0], [1, 2])


@pytest.mark.parametrize("guess", [[1, 2, 3], (1, 2, 3)])
def test_a_prediction_may_be_a_list_or_a_tuple(guess: Any) -> None:
    answers = Local({"student": "ada", "predicted": guess})
    judge_prediction(answers, "predicted", lambda student: ("", "", [1, 2, 3]))
    assert answers.values["student"] == "ada"
    with pytest.raises(Wrong, match="predicted"):
        judge_prediction(answers, "predicted", lambda student: ("", "", [1, 2, 4]))


def test_a_judges_long_message_is_cut() -> None:
    def wordy(answers: Any, case: Case) -> None:
        raise Wrong("x" * 9_000_000)

    assert len(judge("x", Task("wordy", "", wordy, (1,), 0), Local({}), [1]).message) <= 2000
