"""The panel of a Dryad job in JupyterLab: a click kills a machine, whose vertices are executed again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

playwright_api = pytest.importorskip("playwright.sync_api")
expect = playwright_api.expect

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(1800)]

HISTOGRAM = """
# %%
from operator import add
from labkit import Cluster
from labkit.parts.store import FileSystem
from labkit.systems.dryad import AggregationTree, Dryad
from labkit.systems.dryad.queries import histogram, queries
from labkit.systems.dryad.vertices import reduce
cluster = Cluster(machines=6, engine="sim", seed=1)
dryad = Dryad(cluster, FileSystem(cluster, replicas=3), racks=3)
graph = histogram(queries(dryad, 24, 40))
job = dryad.submit(graph, managers={"Q": AggregationTree(reduce(add, "T"))}, seconds_per_vertex=1.0)
cluster.run_until(lambda: job.view().completed_count >= 8)
panel = job.panel()
panel

# %%
import time
while cluster.machine("m4").alive:
    time.sleep(0.05)
print("right:", job.result().output() == dryad.run_locally(graph), job.check().ok)
"""


def test_a_kill_and_a_refined_graph(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook(source=HISTOGRAM, width=700, dark=True)
    notebook.run(0)
    notebook.done(0)
    panel = notebook.panel()
    notebook.run(1)
    panel.get_by_role("button", name="Kill m4").click()
    assert "right: True True" in notebook.done(1)
    expect(panel.locator('[data-number="Job"] .lk-value')).to_have_text("done")
    expect(panel.locator('[data-number="Vertices"]')).to_contain_text("by refinement")
    again = panel.locator(".labkit-stage .lk-mark.cell.again").first
    again.focus()
    notebook.page.keyboard.press("Enter")
    expect(panel.get_by_text("version 2:").first).to_be_visible()
    overflow = panel.evaluate("element => element.scrollWidth - element.clientWidth")
    assert overflow <= 1, "nothing has to be scrolled sideways"
    for width in (390, 1200, 700):
        assert notebook.misfits(width) == []
        notebook.shot(f"dryad-{width}")
