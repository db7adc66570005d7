"""A visitor's hour on Binder, run by ``test_binder.py`` in a session of its own, within a checkout.

JupyterLab runs, and the course page, the Chord lecture and the first cells of the welcome notebook (a panel,
and four machines on Ray) are open at the same time. Prints where JupyterLab opens, and what has run.
"""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path("notebooks")
#: Name, and how many cells of it; None: all.
OPENED = (("index", None), ("lectures/chord", None), ("lectures/start", 5))


def start_lab() -> subprocess.Popen[str]:
    """JupyterLab, once it says where it is."""
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--port=8971"]
    lab = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert lab.stderr is not None
    for line in lab.stderr:
        if found := re.search(r"http://[^/]+/(\S*)\?token=", line):
            print("opens", found[1], flush=True)
            break
    threading.Thread(target=lab.stderr.read, daemon=True).start()
    return lab


def run(name: str, cells: int | None) -> NotebookClient:
    """Run the cells in a kernel, which stays."""
    path = NOTEBOOKS / f"{name}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = notebook.cells[:cells]
    folder = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources=folder)
    client.create_kernel_manager()
    client.start_new_kernel()
    client.start_new_kernel_client()
    for number, cell in enumerate(notebook.cells):
        client.execute_cell(cell, number)
    print("ran", name, flush=True)
    return client


def main() -> None:
    """Open everything, stay a moment, leave."""
    lab = start_lab()
    opened = []
    try:
        for name, cells in OPENED:
            opened.append(run(name, cells))
        time.sleep(2)  # a few looks at the memory
    finally:
        for client in opened:
            client.km.shutdown_kernel(now=True)
        lab.terminate()
        lab.wait()


if __name__ == "__main__":
    main()
