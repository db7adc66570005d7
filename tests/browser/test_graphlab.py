"""The panel of a GraphLab run in JupyterLab: the slider mends a run that would turn round for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

playwright_api = pytest.importorskip("playwright.sync_api")
expect = playwright_api.expect

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(1800)]

COLOURING = """
# %%
from labkit import Cluster
from labkit.parts.graphs import generate
from labkit.parts.store import FileSystem
from labkit.systems.graphlab import Colouring, GraphLab, monochrome
cluster = Cluster(machines=4, engine="sim", seed=1)
lab = GraphLab(cluster, FileSystem(cluster))
graph = generate.grid(5, 6)
options = dict(consistency="vertex", enforce=False, seconds_per_update=0.01, engine="chromatic")
run = lab.start(Colouring(), graph, **options)
cluster.run_until(lambda: run.view().updates > 80)
panel = run.panel()
panel

# %%
import time
while run.consistency == "vertex":
    time.sleep(0.05)
print("edges of one colour:", len(monochrome(graph, run.result().values())))
"""


def test_the_slider_makes_it_serializable(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook(source=COLOURING, width=1200, dark=True)
    notebook.run(0)
    notebook.done(0)
    panel = notebook.panel()
    serializable = panel.locator('[data-number="Serializable"] .lk-value')
    expect(serializable).to_have_text("NO")
    notebook.shot("graphlab-wrong")
    notebook.run(1)
    panel.get_by_label("Consistency").press("ArrowRight")
    assert "edges of one colour: 0" in notebook.done(1)
    expect(panel.locator('[data-number="Edges of one colour"] .lk-value')).to_have_text("0")
    mark = panel.locator(".labkit-stage .lk-mark.cell").first
    mark.focus()
    notebook.page.keyboard.press("Enter")
    expect(panel.get_by_text("edge: read").first).to_be_visible()
    for width in (390, 1200, 700):
        assert notebook.misfits(width) == []
        notebook.shot(f"graphlab-{width}")
