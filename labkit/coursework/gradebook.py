"""nbgrader's gradebook, where nbgrader is installed: the same marks, for those whose course runs on it."""

from __future__ import annotations

import os
import sysconfig
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .grade import Marks
from .handout import CHECK

__all__ = ["require", "write_gradebook"]


@contextmanager
def _own_programs() -> Iterator[None]:
    """Inside, nbgrader finds ``alembic`` beside this Python, also where the environment was not activated: it
    makes a gradebook with it."""
    before = os.environ.get("PATH", os.defpath)
    os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), before])
    try:
        yield
    finally:
        os.environ["PATH"] = before


@contextmanager
def _quiet() -> Iterator[None]:
    """Inside, SQLAlchemy does not comment on how nbgrader uses it: no teacher can mend that."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def require() -> Any:
    """nbgrader's ``Gradebook``. Raises ``ImportError`` that says what to do."""
    try:
        with _quiet():
            from nbgrader.api import Gradebook  # type: ignore[import-not-found]
    except ImportError as error:
        raise ImportError(f"--gradebook nbgrader needs nbgrader ({error}): pip install nbgrader") from None
    return Gradebook


def write_gradebook(path: Path, all_marks: Sequence[Marks]) -> None:
    """Add the marks to the gradebook in this file, or make it."""
    with _quiet(), _own_programs(), require()(f"sqlite:///{path.absolute()}") as book:
        for marks in all_marks:
            if marks.trouble:
                continue
            name = marks.exercise
            book.update_or_create_assignment(name)
            book.update_or_create_notebook(name, name)
            for task, mark in marks.tasks.items():
                options = {"max_score": mark.of, "cell_type": "code"}
                book.update_or_create_grade_cell(CHECK + task, name, name, **options)
            book.update_or_create_student(marks.student)
            book.update_or_create_submission(name, marks.student)
            for task, mark in marks.tasks.items():
                grade = book.find_grade(CHECK + task, name, name, marks.student)
                grade.auto_score, grade.needs_manual_grade = mark.got, False
        book.db.commit()
