"""A handed-out notebook: its answer cells, its checks and their points; and a submission put into it.

Of a submission the sources of cells are taken (``taken.py``): answers, and what else the student has added.
What was handed out, in particular each check, comes from the handed-out notebook; so a test that a student
edited or deleted, and outputs that were saved, are simply not there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import nbformat

from .exercises import NAMES, current
from .taken import ANSWER, CHECK, BadSubmission, Cell, cells_of, grade_id, merged, read

__all__ = [
    "ANSWER",
    "CHECK",
    "BadHandout",
    "BadSubmission",
    "Handout",
    "exercise_of",
    "find_handout",
    "grade_id",
    "renamed",
]

#: Where handouts are: below the folder that one works in, in labkit's checkout, in a wheel.
FOLDERS = (
    Path("notebooks/exercises"),
    Path(__file__).parents[2] / "notebooks" / "exercises",
    Path(__file__).with_name("handouts"),
)

#: How a notebook says which exercise it is.
_SAYS = re.compile(r"""^[^#\n]*\bExercise\(\s*["']([\w-]+)["']""", re.MULTILINE)


class BadHandout(ValueError):
    """A notebook that nothing can be graded with."""


def find_handout(name: str, folder: Path | None = None, say: Callable[[str], None] = print) -> Path:
    """The notebook that is handed out, in this folder or in those of labkit; for a name that an exercise of
    labkit had once, the one of today, which is said. Raises ``LookupError``.
    """
    found = [
        path for each in ((folder,) if folder else FOLDERS) if (path := each / f"{name}.ipynb").is_file()
    ]
    if not found:
        if (today := renamed(name, say)) != name:
            return find_handout(today, folder, say)
        known, there = ", ".join(NAMES), folder or FOLDERS[0]
        raise LookupError(
            f"there is no exercise {name!r}: labkit has {known}, and {there} has no {name}.ipynb; "
            "--exercises names the folder of one of your own"
        )
    return found[0]


def renamed(name: str, say: Callable[[str], None]) -> str:
    """What an exercise is called today; if that is another name, it is said."""
    today = name if name in NAMES else current(name)
    if today != name:
        say(f"{name} is called {today} now")
    return today


def exercise_of(notebook: Path) -> str:
    """The exercise that a notebook says it is, whatever its file is called. Raises ``LookupError``."""
    try:
        sources = [cell.source for cell in read(notebook) if cell.code]
    except BadSubmission as bad:
        raise LookupError(f"{notebook} is no notebook: {bad}") from None
    said = sorted({name for source in sources for name in _SAYS.findall(source)})
    if len(said) != 1:
        what = f"says that it is {' and '.join(said)}" if said else 'makes no Exercise("…")'
        one = said[0] if said else NAMES[0]
        raise LookupError(f"{notebook} {what}: say which exercise it is, for example --exercise {one}")
    return said[0]


@dataclass
class Handout:
    """The notebook as students got it."""

    name: str
    notebook: Any
    #: Task to points, in the notebook's order.
    points: dict[str, float] = field(default_factory=dict)
    #: Answer (without its prefix) to the source handed out.
    answers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Handout:
        """The handout of this file. Raises ``BadHandout``."""
        try:
            notebook = nbformat.read(path, as_version=4)
        except Exception as error:
            raise BadHandout(f"{path} is not a notebook: {error}") from None
        return cls.of(path.stem, notebook)

    @classmethod
    def of(cls, name: str, notebook: Any) -> Handout:
        """The handout that a notebook is."""
        found = cls(name, notebook)
        for cell in notebook.cells:
            id = grade_id(cell)
            if id.startswith(ANSWER):
                found.answers[id.removeprefix(ANSWER)] = cell.source
            elif id.startswith(CHECK):
                found.points[id.removeprefix(CHECK)] = float(cell.metadata["nbgrader"]["points"])
        if not found.points or not found.answers:
            raise BadHandout(
                f"{name} has {len(found.answers)} answers and {len(found.points)} checks: there is "
                f"nothing to grade; "
                "its cells need nbgrader's metadata, which `labkit exercise build` writes"
            )
        return found

    def taken(self, submission: Path) -> tuple[dict[str, Any], list[str]]:
        """The notebook to run for a submission's file, and remarks. Raises ``BadSubmission`` if it has no
        answer.
        """
        pieces, remarks = merged(self.name, self._cells(), read(submission))
        return _notebook(pieces), remarks

    def text_of(self, notebook: dict[str, Any]) -> str:
        """A hash of what a student has written, without the name; nothing, if that is nothing."""
        handed = {cell.source.strip() for cell in self._cells()}
        written = [
            "".join(cell["source"].split())
            for cell in notebook["cells"]
            if grade_id(cell) != f"{ANSWER}student" and cell["source"].strip() not in handed
        ]
        return hashlib.sha256("\n".join(written).encode()).hexdigest()[:16] if written else ""

    def assembled(self, answers: dict[str, str]) -> dict[str, Any]:
        """The notebook to run: the handout's cells with these answers, without what is there to look at."""
        given = {ANSWER + answer: source for answer, source in answers.items()}
        pieces = [(cell.ids[0], given.get(cell.ids[0], cell.source)) for cell in self._cells() if cell.code]
        looks = {cell.ids[0] for cell in self._cells() if cell.experiment}
        return _notebook([each for each in pieces if each[0] not in looks])

    def _cells(self) -> list[Cell]:
        """The cells, each known by its grade_id, or else its id."""
        found = cells_of(self.notebook)
        return [replace(cell, ids=(*cell.ids, f"cell-{cell.number - 1}")) for cell in found]


def _notebook(pieces: list[tuple[str, str]]) -> dict[str, Any]:
    made = [
        nbformat.v4.new_code_cell(source, id=f"cell-{number}", metadata={"nbgrader": {"grade_id": id}})
        for number, (id, source) in enumerate(pieces)
    ]
    return dict(nbformat.v4.new_notebook(cells=made))
