"""What of a student's notebook is run: the cells of answers, and further cells of the student's own, in the
order in which they stand there; and the handed-out ones, in particular each check, as they were handed out.

A cell is known by nbgrader's ``grade_id``, else by its id (Colab keeps that in the metadata), else by its
text. What is known as nothing that was handed out is the student's own: a helper, an import, a second try,
an answer that has lost its metadata. A check judges what stands above it in the student's notebook, and is
put off till all the answers are there that the handout has above it.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "ANSWER",
    "CHECK",
    "EXPERIMENT",
    "OWN",
    "BadSubmission",
    "Cell",
    "cells_of",
    "grade_id",
    "merged",
    "read",
]

#: How grade_ids begin; and what a cell of the student's own is called, with its number.
ANSWER, CHECK, OWN = "answer-", "check-", "your cell "

#: Cells with this tag are for looking, and are left out when a submission is graded.
EXPERIMENT = "experiment"

#: Bytes of a submission, characters of one cell and of all that are run, and cells.
MOST_BYTES, MOST_ANSWER, MOST_TEXT, MOST_CELLS = 50_000_000, 100_000, 1_000_000, 400

#: What a cell defines: functions and classes, and names that it assigns to.
_FUNCTION = re.compile(r"^(?:(?:async[ \t]+)?def|class)[ \t]+(\w+)", re.MULTILINE)
_ASSIGNED = re.compile(r"^(\w+(?:[ \t]*,[ \t]*\w+)*)[ \t]*(?::[^=\n]*)?=(?!=)", re.MULTILINE)


class BadSubmission(ValueError):
    """A file that is no submission."""


@dataclass(frozen=True)
class Cell:
    """A cell of a notebook, as far as it matters here."""

    number: int
    code: bool
    source: str
    #: What it may be known by.
    ids: tuple[str, ...] = ()
    experiment: bool = False


@dataclass
class Piece:
    """A cell that is run, or (if it has no text) only a place: ``place`` is its number in the handout."""

    id: str = ""
    source: str = ""
    place: int | None = None


def read(path: Path) -> list[Cell]:
    """The cells of a submission's file. Raises ``BadSubmission``."""
    try:
        # A pipe is not waited for, and a device not read.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            about = os.fstat(handle)
            if not stat.S_ISREG(about.st_mode):
                raise BadSubmission("it is no regular file")
            if about.st_size > MOST_BYTES:
                raise BadSubmission(f"the file has {about.st_size} bytes; {MOST_BYTES} are allowed")
            return cells_of(json.loads(file.read(MOST_BYTES)))
    except BadSubmission:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, MemoryError) as error:
        raise BadSubmission(f"the file is not a notebook ({type(error).__name__})") from None


def cells_of(notebook: Any) -> list[Cell]:
    """The cells of a notebook as it is stored, of nbformat 3 or 4."""
    sheets = notebook.get("worksheets")
    found = [cell for sheet in sheets for cell in sheet["cells"]] if sheets else notebook["cells"]
    return [_cell(number, cell) for number, cell in enumerate(found, 1) if isinstance(cell, dict)]


def _cell(number: int, cell: dict[str, Any]) -> Cell:
    source = cell.get("source", cell.get("input", ""))
    source = "".join(map(str, source)) if isinstance(source, list) else source
    source = source if isinstance(source, str) else ""
    source = source.encode("utf8", "replace").decode()  # a lone surrogate travels nowhere
    about = cell.get("metadata")
    about = about if isinstance(about, dict) else {}
    ids = (grade_id(cell), cell.get("id"), about.get("id"))
    tags = about.get("tags")
    return Cell(
        number,
        cell.get("cell_type") == "code",
        source.replace("\r\n", "\n"),
        tuple(each for each in ids if isinstance(each, str) and each),
        isinstance(tags, list) and EXPERIMENT in tags,
    )


def grade_id(cell: Any) -> str:
    """A cell's grade_id, or an empty string."""
    about = cell.get("metadata", {})
    about = about.get("nbgrader", {}) if isinstance(about, dict) else {}
    found = about.get("grade_id", "") if isinstance(about, dict) else ""
    return found if isinstance(found, str) else ""


def functions(source: str) -> set[str]:
    """The functions and classes that a cell defines."""
    return set(_FUNCTION.findall(source))


def defined(source: str) -> set[str]:
    """All names that a cell defines."""
    words = (re.split(r"[ \t]*,[ \t]*", names) for names in _ASSIGNED.findall(source))
    return functions(source).union(*words)


def merged(
    name: str, handed: Sequence[Cell], cells: Sequence[Cell]
) -> tuple[list[tuple[str, str]], list[str]]:
    """What is run of a submission to the exercise ``name``: pairs (id, source) in order, and remarks. Raises
    ``BadSubmission`` if it answers nothing.
    """
    return _Merge(name, handed, cells).result()


class _Merge:
    """One handout and one submission."""

    def __init__(self, name: str, handed: Sequence[Cell], cells: Sequence[Cell]) -> None:
        self.name = name
        self.handed = handed
        self.remarks: list[str] = []
        self.pieces: list[Piece] = []
        #: Handed-out answers that the student has changed: their cells.
        self.given: dict[int, list[int]] = {}
        if len(cells) > MOST_CELLS:
            self.remarks.append(f"it has {len(cells)} cells; the first {MOST_CELLS} were taken")
            cells = cells[:MOST_CELLS]
        left = MOST_TEXT
        for cell, place in zip(cells, self._places(cells), strict=True):
            left -= len(cell.source) if cell.code else 0
            if len(cell.source) > MOST_ANSWER or left < 0:
                if cell.code or place is not None:
                    self.remarks.append(
                        f"cell {cell.number} has {len(cell.source)} characters and was left out"
                    )
                continue
            self._take(cell, place)

    def _id(self, place: int) -> str:
        return self.handed[place].ids[0]

    def _places(self, cells: Sequence[Cell]) -> list[int | None]:
        """Which handed-out cell each of the student's is."""
        by_id = {each.ids[0]: place for place, each in enumerate(self.handed)}
        places = [next((by_id[id] for id in cell.ids if id in by_id), None) for cell in cells]
        # An id such as cell-3 may be that of another edition of the handout: then text says more.
        by_text = {each.source.strip(): place for place, each in enumerate(self.handed)}
        for number, cell in enumerate(cells):
            same = by_text.get(cell.source.strip())
            if same is not None and (places[number] is None or same not in places):
                places[number] = same
        return places

    def _take(self, cell: Cell, place: int | None) -> None:
        if place is not None:
            handed, id = self.handed[place], self._id(place)
            changed = cell.source.strip() != handed.source.strip()
            if id.startswith(ANSWER):
                self.given.setdefault(place, [])
                if changed:
                    self.given[place].append(cell.number)
                self.pieces.append(Piece(id, cell.source, place))
                return
            known = any(piece.place == place for piece in self.pieces)
            looks = handed.experiment or not handed.code or id.startswith(CHECK)
            self.pieces.append(Piece(id, "" if looks or known else handed.source, place))
            # What a student has added to a cell that was handed out; of those for looking, only what defines.
            if not changed or id.startswith(CHECK) or (handed.experiment and not defined(cell.source)):
                return
        if cell.code and cell.source.strip() and not (cell.experiment and not defined(cell.source)):
            self.pieces.append(Piece(f"{OWN}{cell.number}", cell.source))

    def result(self) -> tuple[list[tuple[str, str]], list[str]]:
        """See ``merged``."""
        there = {piece.place for piece in self.pieces}
        self._add_missing(there)
        checks = [place for place in range(len(self.handed)) if self._id(place).startswith(CHECK)]
        if any(place not in there for place in checks):
            self.remarks.append("check cells were deleted; the ones handed out were used")
        for place in reversed(checks):
            at = self._after(place)
            self.pieces.insert(at, Piece(self._id(place), self.handed[place].source))
        return [(piece.id, piece.source) for piece in self.pieces if piece.source.strip()], self.remarks

    def _own(self) -> list[tuple[int, Piece]]:
        return [each for each in enumerate(self.pieces) if each[1].id.startswith(OWN)]

    def _add_missing(self, there: set[int | None]) -> None:
        """Put the handed-out cells that are not there where they were: after what was above them."""
        lost, gone = [], []
        for place, handed in enumerate(self.handed):
            if place in there or self._id(place).startswith(CHECK):
                continue
            if self._id(place).startswith(ANSWER):
                answer = self._id(place).removeprefix(ANSWER)
                if any(defined(handed.source) & defined(piece.source) for _, piece in self._own()):
                    lost.append(answer)
                    continue
                gone.append(answer)
            above = [
                n for n, piece in enumerate(self.pieces) if piece.place is not None and piece.place < place
            ]
            source = "" if handed.experiment or not handed.code else handed.source
            self.pieces.insert(max(above, default=-1) + 1, Piece(self._id(place), source, place))
        if not self.given and not lost:
            raise BadSubmission(f"no cell of it is an answer of {self.name}")
        if lost:
            self.remarks.append(
                f"the metadata of answers are gone ({', '.join(lost)}): what cells define was taken"
            )
        self.remarks += [f"the cell of the answer {answer!r} is gone" for answer in gone]
        for place, numbers in self.given.items():
            if len(numbers) > 1:
                cells = " and ".join(map(str, numbers))
                answer = self._id(place).removeprefix(ANSWER)
                self.remarks.append(
                    f"the answer {answer!r} is in the cells {cells}: all were run, in this order; "
                    "of what is defined twice, the last counts"
                )

    def _after(self, check: int) -> int:
        """Where a check comes: where it stands, and after the answers that the handout has above it."""
        own = [n for n, piece in enumerate(self.pieces) if piece.place == check]
        below = [n for n, piece in enumerate(self.pieces) if piece.place is not None and piece.place > check]
        at = own[-1] if own else min(below, default=len(self.pieces))
        for place in range(check):
            if self._id(place).startswith(ANSWER):
                if self.given.get(place):
                    found = [n for n, piece in enumerate(self.pieces) if piece.place == place]
                else:  # perhaps a cell of the student's own is the answer: the first that defines it
                    names = functions(self.handed[place].source) or defined(self.handed[place].source)
                    found = [n for n, piece in self._own() if names & defined(piece.source)][:1]
                at = max([at, *(n + 1 for n in found)])
        return at
