"""The welcome notebook, as its reader goes through it: run it, kill a machine while a cell is busy, look
back.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from tests.engines import wait_until

playwright_api = pytest.importorskip("playwright.sync_api")
expect = playwright_api.expect

pytestmark = [pytest.mark.browser, pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(1800)]

WELCOME = "notebooks/lectures/start.ipynb"
#: The code cells of the welcome notebook that the test has to know.
MAKE, STORE, BESIDE, BUSY, KILL_IF_NOT, SETTLE, WHY, AGAIN, BREAK, CLOSE = range(10)


def chip(panel: Any, machine: str) -> Any:
    return panel.locator(f'[data-machine="{machine}"]').first


def test_the_whole_story(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook(WELCOME)
    notebook.run(MAKE)
    notebook.done(MAKE)
    panel = notebook.panel()
    for machine in ("m1", "m2", "m3", "m4"):
        expect(chip(panel, machine)).to_have_attribute("data-state", "alive")
    notebook.run(STORE)
    assert "all stored: True" in notebook.done(STORE)

    # She types a key and watches the lookup.
    field = panel.get_by_label("Key", exact=True).first
    field.fill("json")
    field.press("Enter")
    expect(panel.get_by_text("Lookup of 'json'")).to_be_visible()
    expect(panel.get_by_text(re.compile("belongs to chord-23")).first).to_be_visible()
    notebook.shot("welcome-lookup")

    # She kills a machine while a cell is busy, in the small panel above it: the stage shows it before the
    # cell ends, and nothing is lost.
    notebook.run(BESIDE)
    notebook.done(BESIDE)
    beside = notebook.cell(BESIDE).locator(".labkit-panel")
    expect(beside.locator(".labkit-numbers")).to_be_hidden()
    notebook.run(BUSY)
    expect(notebook.cell(BUSY).locator(".jp-InputPrompt")).to_have_text(re.compile(r"\*"))
    pid = int(chip(beside, "m2").get_attribute("title").removeprefix("process "))
    kill = chip(beside, "m2").get_by_role("button", name="Kill m2")
    far = notebook.cell(BUSY).bounding_box()["y"] - kill.bounding_box()["y"]
    assert far < 700, "button and cell are on the screen together"
    kill.click()
    expect(chip(panel, "m2")).to_have_attribute("data-state", "dead")
    dead_nodes = beside.locator('.labkit-stage [data-node][data-state="dead"]')
    expect(dead_nodes).to_have_count(6)
    assert notebook.busy(BUSY), "the panel must change while the cell runs, not after it"
    wait_until(lambda: not psutil.pid_exists(pid), what="a killed machine's process is gone")
    notebook.shot("welcome-killed", 1)
    assert "modules lost: []" in notebook.done(BUSY)

    notebook.run(SETTLE)
    assert "18 members, ideal" in notebook.done(SETTLE)
    notebook.run(WHY)
    assert "killed" in notebook.done(WHY)
    notebook.shot("welcome-repaired")

    notebook.run(AGAIN)
    notebook.done(AGAIN)

    # She looks back: the machine is alive again in the past, and dead in the present.
    slider = panel.get_by_label("Position in time")
    slider.fill("1")
    expect(chip(panel, "m2")).to_have_attribute("data-state", "alive")
    panel.get_by_role("button", name="Back to live").click()
    expect(chip(panel, "m2")).to_have_attribute("data-state", "dead")

    notebook.run(BREAK)
    assert "sigcomm2001: at" in notebook.done(BREAK)
    notebook.run(CLOSE)
    assert "closed" in notebook.done(CLOSE)


def test_running_the_cells_again_leaks_nothing(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook(
        source="""
# %%
from labkit import Cluster
from labkit.systems.chord import Chord
cluster = Cluster(machines=2, name="again")
ring = Chord(cluster, nodes=8, successors=4)
panel = ring.panel()
panel

# %%
import threading, ipywidgets
print("pids", *(machine.pid for machine in cluster.machines))
print("widgets", len(ipywidgets.widgets.widget._instances))
print("threads", sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("labkit")))
"""
    )
    seen = []
    for _ in range(3):
        notebook.run(0)
        notebook.done(0)
        notebook.panel()
        notebook.run(1)
        playwright_api.expect(notebook.cell(1).locator(".jp-InputPrompt")).to_have_text(
            f"[{2 * len(seen) + 2}]:"
        )
        text = notebook.text(1)
        found = dict(line.split(" ", 1) for line in text.splitlines() if " " in line)
        seen.append((found["pids"].split(), found["widgets"], found["threads"]))
    (first, *_), (second, *_), (third, *_) = seen
    assert len({*first, *second, *third}) == 6, "each run has machines of its own"
    wait_until(
        lambda: not any(psutil.pid_exists(int(pid)) for pid in (*first, *second)),
        what="older machines are gone",
    )
    assert seen[0][1] == seen[1][1] == seen[2][1], "the number of widgets stays"
    assert seen[0][2] == seen[1][2] == seen[2][2], "and so do the threads"
