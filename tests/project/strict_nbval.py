"""A pytest plugin for `--nbval`: what nbval lets pass, and we do not.

    pytest -p tests.project.strict_nbval --nbval notebooks/lectures

- A cell that was never run has nothing saved to compare with, so nbval runs it and passes it, whatever it
  prints: a notebook whose outputs were stripped passes as a whole. Here each code cell must have been run, in
  order, and a notebook must show something.
- An error that was saved as an output is what nbval then expects. Here it must be marked as meant.
- After a cell's timeout nbval *expects* the later cells to fail, and reports a success. Here they fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest


def complaints(notebook: Any) -> list[str]:
    """What makes this notebook worthless as a test; nothing if it can be compared."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    found = []
    unrun = [number for number, cell in enumerate(cells) if cell.execution_count is None]
    if unrun:
        found.append(f"code cells {unrun} were never run, so nothing would be compared: run `make notebooks`")
    counts = [cell.execution_count for cell in cells if cell.execution_count is not None]
    if counts != sorted(counts):
        found.append(f"its cells were run out of order ({counts}): run `make notebooks`")
    if cells and not any(cell.outputs for cell in cells):
        found.append("no cell has an output: they were stripped, or nothing is shown")
    for number, cell in enumerate(cells):
        if any(output.output_type == "error" for output in cell.outputs) and not _may_raise(cell):
            found.append(f"code cell {number} has an error saved as its output")
    return found


def _may_raise(cell: Any) -> bool:
    return bool({"raises-exception", "nbval-raises-exception"} & set(cell.metadata.get("tags", ())))


def is_cell(item: Any) -> bool:
    """Whether a test is a notebook's cell."""
    return type(item).__name__ == "IPyNbCell"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse to begin with a notebook that would pass whatever it did."""
    notebooks = sorted({Path(item.path) for item in items if is_cell(item)})
    found = [
        f"{path.name}: {complaint}"
        for path in notebooks
        for complaint in complaints(nbformat.read(path, as_version=4))
    ]
    if found:
        raise pytest.UsageError("\n".join(found))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A cell after a timeout did not succeed by failing."""
    report: Any = yield
    if is_cell(item) and hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"not judged: an earlier cell of this notebook timed out ({report.wasxfail})"
        del report.wasxfail
    return report
