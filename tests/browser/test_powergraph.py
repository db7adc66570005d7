"""PowerGraph's panel in JupyterLab: colouring does not end until another engine is chosen, by hand."""

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
from labkit.parts.graphs.generate import barabasi_albert
from labkit.systems.powergraph import Colouring, PowerGraph
cluster = Cluster(machines=4, engine="sim", seed=1)
graph = barabasi_albert(40, 2, seed=1)
pg = PowerGraph(cluster, graph, Colouring(), engine="synchronous", cut="random", seconds_per_call=2e-3)
pg.start()
cluster.run(1.0)
panel = pg.panel()
panel

# %%
import time
while pg.view().engine == "synchronous":
    cluster.run(0.2)
    time.sleep(0.02)
print("right:", pg.result().check().ok)
"""


def test_another_engine_while_a_cell_waits(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook(source=COLOURING, width=700, dark=True)
    notebook.run(0)
    notebook.done(0)
    panel = notebook.panel()
    expect(panel.locator('[data-number="Conflicts"] .lk-value')).not_to_have_text("0")
    notebook.shot("powergraph-before")
    notebook.run(1)
    panel.get_by_label("Engine").select_option("serializable")
    assert "right: True" in notebook.done(1)
    expect(panel.locator('[data-number="Program"] .lk-value')).to_have_text("done")
    expect(panel.locator('[data-number="Conflicts"] .lk-value')).to_have_text("0")
    vertex = panel.locator(".labkit-stage .lk-mark.cell").first
    vertex.focus()
    notebook.page.keyboard.press("Enter")
    expect(panel.get_by_text("master on").first).to_be_visible()
    overflow = panel.evaluate("element => element.scrollWidth - element.clientWidth")
    assert overflow <= 1, "nothing has to be scrolled sideways"
    for width in (390, 1200, 700):
        assert notebook.misfits(width) == []
        notebook.shot(f"powergraph-{width}")
