"""From an exercise's one source to what is handed out, and to the solved copy.

The source is jupytext's percent format with nbgrader's marks, and two short notes on cells that become
nbgrader's metadata (schema 3)::

    # %% answer="closest"
    def closest_preceding_finger(n, key):
        ### BEGIN SOLUTION
        …
        ### END SOLUTION

    # %% check="closest" points=3
    exercise.check("closest")
    ### BEGIN HIDDEN TESTS
    exercise.check_hidden("closest")
    ### END HIDDEN TESTS

Beside ``NAME.py`` stands ``NAME.toml`` with planted wrong solutions and the tasks that each must lose.
Generated are ``NAME.ipynb`` for students and ``solved/NAME.ipynb``, which keeps the marks and so is a
source for nbgrader too. Both are run, and their outputs saved, for plain nbval to compare.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from .handout import ANSWER, CHECK, Handout

__all__ = ["Wrongly", "build", "copies", "execute", "wrong_solutions"]

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}

_SOLUTION = re.compile(r"^([ \t]*)### BEGIN SOLUTION\n.*?^[ \t]*### END SOLUTION$", re.DOTALL | re.MULTILINE)
_HIDDEN = re.compile(
    r"^[ \t]*### BEGIN HIDDEN TESTS\n.*?^[ \t]*### END HIDDEN TESTS\n?", re.DOTALL | re.MULTILINE
)

#: Seconds that a cell may take while a copy is run.
CELL_TIMEOUT = 120


@dataclass(frozen=True)
class Wrongly:
    """A planted wrong solution."""

    name: str
    #: The tasks that it must lose, and no others.
    loses: tuple[str, ...]
    #: Answers that replace the right ones.
    answers: dict[str, str]


def copies(source: Path) -> tuple[Any, Any]:
    """The student's notebook and the solved one, not run yet."""
    import jupytext

    notebook = jupytext.read(source, fmt="py:percent")
    student, solved = _bare(), _bare()
    for number, cell in enumerate(notebook.cells):
        about = _metadata(cell)
        id = about.get("nbgrader", {}).get("grade_id", f"cell-{number}")
        for copy, text in ((student, _without_solution(cell.source)), (solved, cell.source)):
            make = (
                nbformat.v4.new_markdown_cell if cell.cell_type == "markdown" else nbformat.v4.new_code_cell
            )
            made = make(text, id=id[:64], metadata=nbformat.from_dict(about))
            if copy is student and "nbgrader" in about and id.startswith(CHECK):
                made.metadata["tags"] = [*made.metadata.get("tags", ()), "raises-exception"]
            copy.cells.append(made)
    return student, solved


def _bare() -> Any:
    return nbformat.v4.new_notebook(metadata={"kernelspec": KERNEL, "language_info": {"name": "python"}})


def _metadata(cell: Any) -> dict[str, Any]:
    about = {key: value for key, value in cell.metadata.items() if key == "tags"}
    common = {"schema_version": 3, "task": False, "cell_type": "code"}
    if "answer" in cell.metadata:
        id = ANSWER + cell.metadata["answer"]
        about["nbgrader"] = {"grade": False, "grade_id": id, "locked": False, "solution": True, **common}
    if "check" in cell.metadata:
        id, points = CHECK + cell.metadata["check"], cell.metadata["points"]
        about["nbgrader"] = {"grade": True, "grade_id": id, "locked": True, "solution": False, **common}
        about["nbgrader"]["points"] = points
    return about


def _without_solution(text: str) -> str:
    def stub(found: re.Match[str]) -> str:
        indent = found[1]
        if not indent:
            return "# YOUR ANSWER HERE"
        return f"{indent}# YOUR CODE HERE\n{indent}raise NotImplementedError()"

    return _HIDDEN.sub("", _SOLUTION.sub(stub, text)).rstrip("\n")


def execute(notebook: Any, folder: Path) -> Any:
    """Run a notebook from top to bottom, with its outputs kept."""
    from nbclient import NotebookClient

    client = NotebookClient(
        notebook, timeout=CELL_TIMEOUT, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    notebook.metadata.pop("widgets", None)
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times, which differ in every build
        if cell.cell_type == "code":
            cell.outputs = joined(cell.outputs)
        for output in cell.get("outputs", ()):
            if output.output_type == "error":
                output["traceback"] = [f"{output.ename}: {output.evalue}"]
    nbformat.validate(notebook)
    return notebook


def joined(outputs: list[Any]) -> list[Any]:
    """The outputs, with text that came in pieces (when it is sent depends on the machine) in one."""
    made: list[Any] = []
    for output in outputs:
        last = made[-1] if made else {}
        if output.output_type == "stream" == last.get("output_type") and output.name == last.name:
            last.text += output.text
        else:
            made.append(output)
    return made


def build(source: Path) -> list[Path]:
    """Write both copies of a source, run."""
    student, solved = copies(source)
    Handout.of(source.stem, student)
    targets = [source.with_suffix(".ipynb"), source.parent / "solved" / f"{source.stem}.ipynb"]
    targets[1].parent.mkdir(exist_ok=True)
    for notebook, target in zip((student, solved), targets, strict=True):
        nbformat.write(execute(notebook, source.parent), target)
    return targets


def wrong_solutions(source: Path) -> list[Wrongly]:
    """The planted wrong solutions that stand beside a source."""
    found = tomllib.loads(source.with_suffix(".toml").read_text())
    return [Wrongly(each["name"], tuple(each["loses"]), dict(each["answers"])) for each in found["wrong"]]
