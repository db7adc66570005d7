"""Makes the notebooks from their sources: ``python notebooks/build.py [NAME …]``, or ``make notebooks``.

Each notebook has one source in jupytext's percent format: ``lectures/NAME.py``, or ``index.py``, the course
page. This runs it from top to bottom in a fresh kernel and writes ``NAME.ipynb`` beside it, with its outputs,
which ``make test`` compares with those of another run. Saved widget state is left out: it would make the
exported page blank, and each panel brings a static picture of itself.

``pages/NAME.py`` are pages for Voilà, which runs them itself, so they are only converted; ``lite/NAME.py``
are for the course in a browser's tab (``labkit lite build``).
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

HERE = Path(__file__).parent
#: Seconds for one cell; the first one of a Ray notebook may have to start Ray.
CELL_TIMEOUT = 300
KERNEL = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}


def build(source: Path) -> Path:
    """Run one source and write its notebook."""
    notebook = jupytext.read(source, fmt="py:percent")
    notebook.metadata = nbformat.from_dict({**KERNEL, "language_info": {"name": "python"}})
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"  # the same in every build, so that a difference is a real one
        cell.metadata.pop("lines_to_next_cell", None)
    os.environ["TQDM_DISABLE"] = "1"  # for the kernel: whether a bar appears depends on the machine
    if source.parent.name != "pages":
        NotebookClient(
            notebook,
            timeout=CELL_TIMEOUT,
            kernel_name="python3",
            resources={"metadata": {"path": str(source.parent)}},
        ).execute()
    notebook.metadata.pop("widgets", None)
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times, which differ in every build
        for output in cell.get("outputs", ()):
            output.get("metadata", {}).pop("labkit", None)  # the kernel's process, likewise
    target = source.with_suffix(".ipynb")
    nbformat.validate(notebook)
    nbformat.write(notebook, target)
    return target


def main() -> int:
    """Build the notebooks named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="such as start; all if none is given")
    names = parser.parse_args().names
    folders = ("lectures", "pages", "lite")
    sources = [HERE / "index.py", *(path for each in folders for path in sorted(HERE.glob(f"{each}/*.py")))]
    known: dict[str, list[Path]] = {}  # a lecture and a page may have the same name
    for each in sources:
        known.setdefault(each.stem, []).append(each)
    for name in names or known:
        if name not in known:
            print(f"there is no {name!r}; the sources are: {', '.join(known)}", file=sys.stderr)
            return 2
        for source in known[name]:
            try:
                print(build(source), flush=True)
            except CellExecutionError as error:
                print(f"{source.name}: {error}", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
