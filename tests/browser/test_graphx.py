"""The panel of a graph in JupyterLab: a click kills a machine, and a loop makes again what it had."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

playwright_api = pytest.importorskip("playwright.sync_api")
expect = playwright_api.expect

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(1800)]

RANKS = """
# %%
from labkit import Cluster
from labkit.parts.graphs.generate import imports
from labkit.systems.graphx import GraphLoader, GraphX
from labkit.systems.spark import SparkContext
cluster = Cluster(machines=4, engine="sim", seed=1)
gx = GraphX(SparkContext(cluster, executors=["m2", "m3", "m4"], seconds_per_task=0.1))
graph = GraphLoader.fromGraph(gx.sc, imports(), 6).partitionBy("EdgePartition2D").cache()
graph.measure()
graph.connectedComponents()
panel = gx.panel()
panel

# %%
import time
while cluster.machine("m3").alive:
    time.sleep(0.05)
ranks = graph.staticPageRank(6)
print("right:", gx.check().ok, len(gx.iterations()))
"""


def squares(panel: Any, kind: str, what: str) -> Any:
    return panel.locator(f".labkit-stage .lk-mark.cell.{what}[data-node^='{kind}:']")


def test_a_kill_and_what_is_shipped(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook(source=RANKS, width=700, dark=True)
    notebook.run(0)
    notebook.done(0)
    panel = notebook.panel()
    expect(squares(panel, "edges", "memory")).to_have_count(6)
    expect(squares(panel, "scan", "memory").first).to_be_visible()
    notebook.run(1)
    panel.get_by_role("button", name="Kill m3").click()
    assert "right: True 6" in notebook.done(1)
    expect(panel.locator('[data-number="Loop"] .lk-value')).to_have_text("done")
    squares(panel, "edges", "memory").first.focus()
    notebook.page.keyboard.press("Enter")
    expect(panel.get_by_text("edges scanned").first).to_be_visible()
    overflow = panel.evaluate("element => element.scrollWidth - element.clientWidth")
    assert overflow <= 1, "nothing has to be scrolled sideways"
    for width in (390, 1200, 700):
        assert notebook.misfits(width) == []
        notebook.shot(f"graphx-{width}")
