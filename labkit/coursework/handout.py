"""A handed-out notebook: its answer cells, its checks and their points; and a submission put into it.

Only the source of the answer cells is taken from a submission, found by nbgrader's ``grade_id``. Everything
else, in particular each check, comes from the handed-out notebook; so a test that a student edited or
deleted, and outputs that were saved, are simply not there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from .exercises import NAMES, current

__all__ = [
    "ANSWER",
    "CHECK",
    "BadHandout",
    "BadSubmission",
    "Handout",
    "exercise_of",
    "find_handout",
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

#: How grade_ids begin.
ANSWER, CHECK = "answer-", "check-"

#: Cells with this tag are for looking, and are left out when a submission is graded.
EXPERIMENT = "experiment"

#: Bytes of a submission, and characters of one answer.
MOST_BYTES, MOST_ANSWER = 50_000_000, 100_000


class BadHandout(ValueError):
    """A notebook that nothing can be graded with."""


class BadSubmission(ValueError):
    """A file that is no submission."""


def grade_id(cell: Any) -> str:
    """A cell's grade_id, or an empty string."""
    about = cell.get("metadata", {})
    about = about.get("nbgrader", {}) if isinstance(about, dict) else {}
    found = about.get("grade_id", "") if isinstance(about, dict) else ""
    return found if isinstance(found, str) else ""


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
        cells = json.loads(notebook.read_bytes())["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise LookupError(f"{notebook} is no notebook ({type(error).__name__})") from None
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

    def answers_of(self, submission: Path) -> tuple[dict[str, str], list[str]]:
        """The answers in a submission's file, and remarks. Raises ``BadSubmission`` if it has none."""
        try:
            size = submission.stat().st_size
            if size > MOST_BYTES:
                raise BadSubmission(f"the file has {size} bytes; {MOST_BYTES} are allowed")
            notebook = json.loads(submission.read_bytes())
            cells = [cell for cell in notebook["cells"] if isinstance(cell, dict)]
        except BadSubmission:
            raise
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise BadSubmission(f"the file is not a notebook ({type(error).__name__})") from None
        return self._taken(cells)

    def _taken(self, cells: list[Any]) -> tuple[dict[str, str], list[str]]:
        found: dict[str, str] = {}
        remarks = []
        for cell in cells:
            id = grade_id(cell)
            answer = id.removeprefix(ANSWER)
            if not id.startswith(ANSWER) or answer not in self.answers:
                continue
            if answer in found:
                remarks.append(f"there are two cells for the answer {answer!r}; the first one counts")
                continue
            source = cell.get("source", "")
            source = source if isinstance(source, str) else "".join(map(str, source))
            if len(source) > MOST_ANSWER:
                remarks.append(f"the answer {answer!r} has {len(source)} characters and was left out")
                continue
            found[answer] = source
        if not found:
            raise BadSubmission(f"no cell of it is an answer of {self.name}")
        checks = {CHECK + task for task in self.points}
        if checks - {grade_id(cell) for cell in cells}:
            remarks.append("check cells were deleted; the ones handed out were used")
        missing = [answer for answer in self.answers if answer not in found]
        remarks += [f"the cell of the answer {answer!r} is gone" for answer in missing]
        return found, remarks

    def assembled(self, answers: dict[str, str]) -> dict[str, Any]:
        """The notebook to run: the handout's cells with these answers, without what is there to look at."""
        cells = []
        for number, cell in enumerate(self.notebook.cells):
            if cell.cell_type != "code" or EXPERIMENT in cell.metadata.get("tags", ()):
                continue
            id = grade_id(cell)
            source = (
                answers.get(id.removeprefix(ANSWER), cell.source) if id.startswith(ANSWER) else cell.source
            )
            made = nbformat.v4.new_code_cell(source, id=f"cell-{number}")
            if id:
                made.metadata["nbgrader"] = {"grade_id": id}
            cells.append(made)
        return dict(nbformat.v4.new_notebook(cells=cells))
