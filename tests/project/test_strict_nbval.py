"""Our nbval plugin refuses what nbval would let pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from tests.project.strict_nbval import complaints

ROOT = Path(__file__).parents[2]


def cell(source: str, text: str | None = None, count: int | None = 1, **metadata: Any) -> Any:
    """A code cell that printed `text` when it was run as number `count`."""
    outputs = [] if text is None else [new_output("stream", name="stdout", text=text)]
    return new_code_cell(source, outputs=outputs, execution_count=count, metadata=metadata)


def error(source: str, **metadata: Any) -> Any:
    """A code cell that raised."""
    raised = new_output("error", ename="ValueError", evalue="no", traceback=[])
    return new_code_cell(source, outputs=[raised], execution_count=1, metadata=metadata)


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([cell("x = 1"), cell("print(x)", "1\n", 2)], None),
        ([cell("x = 1"), cell("print(x)", None, None)], r"code cells \[1\] were never run"),
        ([cell("x = 1", None, 2), cell("print(x)", "1\n", 1)], r"out of order \(\[2, 1\]\)"),
        ([cell("print(1)")], "no cell has an output"),
        ([cell("print(1)", "1\n"), error("f()")], "code cell 1 has an error saved as its output"),
        ([cell("print(1)", "1\n"), error("f()", tags=["raises-exception"])], None),
        ([], None),
    ],
)
def test_what_makes_a_notebook_worthless_as_a_test(cells: list[Any], words: str | None) -> None:
    found = complaints(new_notebook(cells=cells))
    if words is None:
        assert found == []
    else:
        with pytest.raises(AssertionError, match=words):
            assert not found, found


@pytest.fixture
def nbval(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a notebook of these cells through nbval and our plugin: the result."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def run(*cells: Any, timeout: int = 30) -> pytest.RunResult:
        nbformat.write(new_notebook(cells=list(cells)), pytester.path / "lecture.ipynb")
        options = ("--nbval", "--nbval-cell-timeout", str(timeout), "--nbval-current-env")
        return pytester.runpytest_subprocess("-p", "tests.project.strict_nbval", *options, "lecture.ipynb")

    return run


@pytest.mark.slow
def test_equal_outputs_pass_and_others_fail(nbval: Any) -> None:
    result = nbval(cell("print(1 + 1)", "2\n"), cell("print(2 + 2)", "5\n", 2))
    result.assert_outcomes(passed=1, failed=1)


@pytest.mark.slow
def test_a_stripped_notebook_is_refused_before_it_runs(nbval: Any) -> None:
    result = nbval(cell("print(1 + 1)", None, None))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*lecture.ipynb: code cells [[]0[]] were never run*"])


@pytest.mark.slow
def test_a_timeout_fails_the_rest_of_the_notebook(nbval: Any) -> None:
    result = nbval(cell("import time; time.sleep(60)"), cell("print(1)", "1\n", 2), timeout=1)
    outcomes = result.parseoutcomes()
    assert (outcomes.get("failed"), outcomes.get("xfailed"), outcomes.get("xpassed")) == (2, None, None)
    result.stdout.fnmatch_lines(["*an earlier cell of this notebook timed out*"])
