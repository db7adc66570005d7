"""What of a student's notebook is run, however an editor has left it: here in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from labkit.coursework.generate import copies
from labkit.coursework.handout import Handout, exercise_of
from labkit.coursework.taken import BadSubmission, grade_id
from labkit.coursework.template import write_template

RIGHT = "def median(numbers):\n    return sorted(numbers)[len(numbers) // 2]\n"
WRONG = "def median(numbers):\n    return numbers[0]\n"
HELPER = "def middle(numbers):\n    return len(numbers) // 2\n"
CALLS = "def median(numbers):\n    return sorted(numbers)[middle(numbers)]\n"

Change = Callable[[list[dict[str, Any]]], Any]
CASES: dict[str, tuple[Change, bool, str]] = {}


def case(right: bool = True, remark: str = "") -> Callable[[Change], Change]:
    """A change of the solved notebook's cells, whether the median is right then, and what is said."""

    def keep(change: Change) -> Change:
        CASES[change.__name__.replace("_", " ")] = change, right, remark
        return change

    return keep


def at(cells: list[dict[str, Any]], id: str) -> int:
    return next(number for number, cell in enumerate(cells) if grade_id(cell) == id)


def code(source: str, **more: Any) -> dict[str, Any]:
    return {"cell_type": "code", "id": "own", "metadata": {}, "source": source, "outputs": [], **more}


@case()
def as_it_is(cells: Any) -> None: ...


@case()
def a_helper_above(cells: Any) -> None:
    place = at(cells, "answer-median")
    cells[place]["source"] = CALLS
    cells.insert(place, code(HELPER))


@case()
def an_import_in_the_first_cell(cells: Any) -> None:
    cells[at(cells, "answer-median")]["source"] = RIGHT.replace("sorted", "itertools.chain")
    cells[at(cells, "answer-median")]["source"] = RIGHT.replace("len(", "operator.length_hint(")
    first = next(cell for cell in cells if "Exercise(" in cell["source"] and cell["cell_type"] == "code")
    first["source"] = "import operator\n" + first["source"]


@case()
def the_answer_is_below(cells: Any) -> None:
    place = at(cells, "answer-median")
    cells[place]["source"] = "# see below"
    cells.insert(place + 1, code(RIGHT))


@case()
def the_answer_is_below_the_check_of_the_stub(cells: Any) -> None:
    place = at(cells, "answer-median")
    cells[place]["source"] = "def median(numbers):\n    # YOUR CODE HERE\n    raise NotImplementedError()"
    cells.insert(place + 2, code(RIGHT))


@case(remark="the answer 'median' is in the cells")
def split(cells: Any) -> None:
    place = at(cells, "answer-median")
    cells.insert(place, {**cells[place], "id": "half", "source": "import math\n"})


@case(remark="the last counts")
def an_old_try_above(cells: Any) -> None:
    place = at(cells, "answer-median")
    cells.insert(place, {**cells[place], "id": "half", "source": WRONG})


@case(remark="the last counts")
def the_better_copy_at_the_end(cells: Any) -> None:
    place = at(cells, "answer-median")
    cells.append({**cells[place], "id": "copy"})
    cells[place] = {**cells[place], "source": WRONG}


@case()
def an_experiment_at_the_end(cells: Any) -> None:
    cells.append(code(f"student = 'somebody else'\n{WRONG}"))


@case(remark="check cells were deleted")
def the_check_is_gone_and_an_experiment_at_the_end(cells: Any) -> None:
    del cells[at(cells, "check-median")]
    cells.append(code(WRONG))


@case()
def moved_to_the_end(cells: Any) -> None:
    cells.append(cells.pop(at(cells, "answer-median")))


@case()
def turned_to_markdown(cells: Any) -> None:
    cells[at(cells, "answer-median")]["cell_type"] = "markdown"


@case(remark="the metadata of answers are gone (student, median, predict)")
def stripped_and_without_ids(cells: Any) -> None:
    for cell in cells:
        cell["metadata"] = {}
        cell.pop("id", None)


@case()
def stripped_with_ids(cells: Any) -> None:
    for cell in cells:
        cell["metadata"] = {}


@case()
def as_colab_keeps_ids(cells: Any) -> None:
    for cell in cells:
        cell["metadata"] = {"id": cell.pop("id"), "outputId": "1"}


@case(remark="the metadata of answers are gone")
def all_in_one_cell(cells: Any) -> None:
    sources = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
    cells[:] = [code("\n".join(each for each in sources if ".check" not in each and "ask" not in each))]


@case(right=False)
def no_source(cells: Any) -> None:
    cells[at(cells, "answer-median")]["source"] = None


@case(right=False, remark="has 100031 characters and was left out")
def a_long_cell(cells: Any) -> None:
    cells.append(code("#" * 100_031))
    cells[at(cells, "answer-median")]["source"] = WRONG


@case()
def a_lone_surrogate(cells: Any) -> None:
    cells[at(cells, "answer-median")]["source"] += "\n# \ud800"


@case()
def lines_of_windows(cells: Any) -> None:
    for cell in cells:
        cell["source"] = cell["source"].replace("\n", "\r\n")


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> tuple[Handout, Any]:
    student, solved = copies(write_template("mini", tmp_path_factory.mktemp("mini"))[0])
    return Handout.of("mini", student), solved


def judged(handout: Handout, path: Path) -> tuple[bool, list[str]]:
    """Whether the median is right where its check stands, and the remarks."""
    notebook, remarks = handout.taken(path)
    names: dict[str, Any] = {"Exercise": None, "__name__": "__main__"}
    for cell in notebook["cells"]:
        if grade_id(cell) == "check-median":
            try:
                right = names["median"]([9, 3, 1]) == 3 and names["student"] == "ada"
            except (KeyError, NotImplementedError):
                right = False
        elif "Exercise(" not in cell["source"] and "exercise." not in cell["source"]:
            exec(cell["source"], names)
        elif "import operator" in cell["source"]:
            exec("import operator", names)
        elif "\ndef median" in cell["source"]:  # all in one cell
            exec(cell["source"].replace('Exercise("mini")', "None").split("predicted")[0], names)
    return right, remarks


@pytest.mark.parametrize("name", CASES)
def test_honest_work_counts(name: str, mini: tuple[Handout, Any], tmp_path: Path) -> None:
    change, right, remark = CASES[name]
    notebook = json.loads(nbformat.writes(mini[1]))
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
    change(notebook["cells"])
    (tmp_path / "ada.ipynb").write_text(json.dumps(notebook))
    got, remarks = judged(mini[0], tmp_path / "ada.ipynb")
    assert got == right
    assert remark in "; ".join(remarks)
    assert bool(remarks) == bool(remark), remarks


@pytest.mark.parametrize("encoding", ["utf8", "utf-8-sig", "utf-16"])
def test_notebooks_of_other_formats_are_read(
    encoding: str, mini: tuple[Handout, Any], tmp_path: Path
) -> None:
    cells = [
        {"cell_type": cell.cell_type, "metadata": cell.metadata, "source": cell.source}
        if cell.cell_type == "markdown"
        else {"cell_type": "code", "input": cell.source, "metadata": cell.metadata, "outputs": []}
        for cell in mini[1].cells
    ]
    old = {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": cells}]}
    (tmp_path / "ada.ipynb").write_bytes(json.dumps(old).encode(encoding))
    assert judged(mini[0], tmp_path / "ada.ipynb") == (True, [])
    assert exercise_of(tmp_path / "ada.ipynb") == "mini"


def test_cells_for_looking_are_left_out(mini: tuple[Handout, Any], tmp_path: Path) -> None:
    nbformat.write(mini[1], tmp_path / "in.ipynb")
    sources = [cell["source"] for cell in mini[0].taken(tmp_path / "in.ipynb")[0]["cells"]]
    assert not [source for source in sources if "reveal" in source or "ask" in source]
    checks = [number for number, source in enumerate(sources) if source.startswith("exercise.check(")]
    assert len(checks) == 2
    assert sources[checks[0] - 1].startswith("def median")


def test_a_handout_as_it_was_answers_nothing_and_is_like_nobodys(
    mini: tuple[Handout, Any], tmp_path: Path
) -> None:
    nbformat.write(mini[0].notebook, tmp_path / "in.ipynb")
    assert mini[0].text_of(mini[0].taken(tmp_path / "in.ipynb")[0]) == ""
    nbformat.write(mini[1], tmp_path / "solved.ipynb")
    assert mini[0].text_of(mini[0].taken(tmp_path / "solved.ipynb")[0]) != ""
    with pytest.raises(BadSubmission, match="is not a notebook"):
        mini[0].taken(tmp_path / "none.ipynb")
