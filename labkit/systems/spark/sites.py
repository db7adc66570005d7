"""Which line of the user's program made an RDD, and with which operation."""

from __future__ import annotations

import linecache
import sys
from pathlib import Path
from types import FrameType

__all__ = ["Site", "call_site", "cell_number", "is_ours", "where"]

#: Packages whose operations a user calls: this one, and what is built of RDDs.
_OURS = ("labkit.systems.spark.", "labkit.systems.graphx.")
#: Modules of theirs that use it as a user does.
_USERS = ("labkit.systems.spark.experiments", "labkit.systems.spark.programs",
          "labkit.systems.graphx.experiments")  # fmt: skip

#: (operation, place): ("reduceByKey", "wordcount.py:12") or ("map", "cell 3:2").
Site = tuple[str, str]


def is_ours(module: str) -> bool:
    """Whether code of this module is Spark's own, or of what is built on it."""
    return module.startswith(_OURS) and module not in _USERS


def call_site() -> Site:
    """The outermost function of ours on the stack, and the line that called it."""
    frame: FrameType | None = sys._getframe(1)
    operation = "?"
    while frame is not None and is_ours(frame.f_globals.get("__name__", "")):
        operation = frame.f_code.co_name
        frame = frame.f_back
    return (operation, "?") if frame is None else (operation, where(frame.f_code.co_filename, frame.f_lineno))


def where(filename: str, line: int) -> str:
    """A line as a person names it."""
    cell = cell_number(filename)
    return f"{Path(filename).name}:{line}" if cell is None else f"cell {cell}:{line}"


def cell_number(filename: str) -> int | None:
    """The number of the notebook's cell that has this file name, if it is one."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    names = getattr(getattr(shell, "compile", None), "_filename_map", {})
    return names.get(filename)


def source_line(filename: str, line: int) -> str:
    """The text of a line, or an empty string."""
    return linecache.getline(filename, line).strip()
