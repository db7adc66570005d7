"""From a click on *Kill* to the changed stage, in a real browser, while a cell keeps the CPU busy.

What a student waits for. The way: browser → Jupyter server → the kernel's subshell thread → a worker thread
kills the machine → the poller draws the trace → Jupyter server → browser. Beside it the least that any widget
can do: a bare ipywidgets button whose callback changes a label, under the same busy cell.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from labkit.bench import Row, bench, row
from labkit.runtime.errors import LabError

__all__ = ["click"]

#: Clicks of each kind. Every one kills another machine, with the one node on it.
CLICKS = 40
#: Milliseconds that a click may take at the 95th percentile.
PROMISED = 500.0
#: What Chromium needs to run headless as root in a container.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]

NOTEBOOK = """
# %%
import ipywidgets
from labkit import Cluster
from labkit.systems.chord import Chord
cluster = Cluster(machines=41, engine="sim", seed=7)
ring = Chord(cluster, nodes=41)
cluster.run(5)
button, label = ipywidgets.Button(description="bare"), ipywidgets.Label("0")
button.on_click(lambda _: setattr(label, "value", str(int(label.value) + 1)))
display(button, label)
ring.panel()

# %%
count = 0
while True:
    count += 1
"""

#: Click an element, and resolve with the milliseconds until a condition on the page holds.
MEASURE = """
([button, selector, attribute, wanted]) => new Promise((resolve) => {
  const target = document.querySelector(selector);
  const value = () => attribute ? target.getAttribute(attribute) : target.textContent;
  const start = performance.now();
  const seen = () => {
    if (value() !== wanted) return;
    observer.disconnect();
    resolve(performance.now() - start);
  };
  const observer = new MutationObserver(seen);
  observer.observe(target, {attributes: true, childList: true, characterData: true, subtree: true});
  document.querySelector(button).click();
  seen();
})
"""


#: A node on the stage that runs on a machine.
STAGE_NODE = """
(machine) => [...document.querySelectorAll(".labkit-stage [data-node]")]
  .find((node) => node.getAttribute("aria-label").includes(` on ${machine};`)).dataset.node
"""


@bench("click")
def click() -> Iterator[Row]:
    """Milliseconds from a click on Kill to the changed stage, during a CPU-bound cell."""
    try:
        import jupytext
        import nbformat
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise LabError(
            f"the bench click needs a browser's driver ({error}): pip install 'labkit[test,bench]'"
        ) from error
    folder = Path(tempfile.mkdtemp(prefix="labkit-bench-"))
    notebook = jupytext.reads(NOTEBOOK.strip(), fmt="py:percent")
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "click.ipynb")
    server = _Lab(folder)
    try:
        with sync_playwright() as playwright:
            path = next(
                (p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None
            )
            browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
            page = browser.new_page(viewport={"width": 1200, "height": 1600})
            page.goto(server.page("click.ipynb"))
            ours, peer = _measure(page)
            browser.close()
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    for share, name in ((50, "median"), (95, "95th percentile")):
        yield row(
            f"{name} of {len(ours)} clicks",
            "ms",
            float(np.percentile(ours, share)),
            float(np.percentile(peer, share)),
            "a bare ipywidgets button",
            less_is_better=True,
        )
    yield row(
        "95th percentile, promised",
        "ms",
        float(np.percentile(ours, 95)),
        PROMISED,
        "the promise",
        must=1.0,
        less_is_better=True,
    )


def _measure(page: Any) -> tuple[list[float], list[float]]:
    """Milliseconds of each click: ours, and the bare button's, in turn."""
    page.get_by_text("| Idle").wait_for(timeout=90_000)
    page.wait_for_timeout(2000)  # a page that has just opened can lose a key
    cells = page.locator(".jp-Notebook .jp-CodeCell")
    cells.nth(0).locator(".jp-InputArea-editor").click()
    page.keyboard.press("Shift+Enter")
    page.locator(".labkit-stage svg [data-node]").first.wait_for(timeout=120_000)
    page.wait_for_timeout(1000)
    page.keyboard.press("Shift+Enter")  # the next cell is selected: it keeps the CPU busy from here on
    page.wait_for_timeout(3000)
    page.evaluate("document.querySelector('.widget-label').id = 'bare-label'")
    page.evaluate("document.querySelector('.jupyter-button').id = 'bare-button'")
    ours, peer = [], []
    for number in range(CLICKS):
        machine = f"m{number + 1}"
        button = f".labkit-panel button[aria-label='Kill {machine}']"
        node = page.evaluate(STAGE_NODE, machine)
        ours.append(
            page.evaluate(MEASURE, [button, f".labkit-stage [data-node='{node}']", "data-state", "dead"])
        )
        page.wait_for_timeout(250)
        peer.append(page.evaluate(MEASURE, ["#bare-button", "#bare-label", None, str(number + 1)]))
        page.wait_for_timeout(250)
    return ours, peer


class _Lab:
    """A JupyterLab of our own, without Ray."""

    def __init__(self, folder: Path) -> None:
        log = folder / "lab.log"
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "labkit",
                    "lab",
                    "--no-browser",
                    "--no-ray",
                    "--notebook-dir",
                    str(folder),
                ],
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        end = time.monotonic() + 120
        while not (found := re.search(r"(http://[^/\s]+)/\S*\?token=(\w+)", log.read_text())):
            if time.monotonic() > end or self.process.poll() is not None:
                self.stop()
                raise LabError(f"JupyterLab did not start:\n{log.read_text()[-1000:]}")
            time.sleep(0.2)
        self.address, self.token = found.groups()

    def page(self, notebook: str) -> str:
        """Where a notebook is shown alone."""
        return f"{self.address}/doc/tree/{notebook}?token={self.token}&reset"

    def stop(self) -> None:
        """End it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout=60)
