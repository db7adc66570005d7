"""The panel of a loop in JupyterLab: a click kills a machine, whose caches are loaded again elsewhere."""

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
from labkit.data import import_graph
from labkit.parts.store import FileSystem
from labkit.systems.haloop import file_of, pagerank
graph = import_graph()
cluster = Cluster(machines=4, engine="sim", seed=1)
fs = FileSystem(cluster, replicas=2, block_size=4000)
fs.put("links/", {"imports": file_of((a, b) for a, some in graph.items() for b in some)})
fs.put("ranks/", {"first": file_of((name, 1 / len(graph)) for name in graph)})
loop = pagerank(cluster, fs, "links/*", "ranks/*", len(graph))
loop.set_reducer_input_cache(True)
loop.set_reducer_output_cache(True)
loop.set_fixed_point_threshold(1e-9)
loop.set_max_num_of_iterations(6)
job = loop.start("out", M=8, R=8, seconds_per_task=0.5)
cluster.run_until(lambda: (job.view().iteration, job.view().step) == (3, 1))
panel = job.panel()
panel

# %%
import time
while cluster.machine("m3").alive:
    time.sleep(0.05)
print("right:", job.result().check().ok)
"""


def squares(panel: Any, kind: str, what: str) -> Any:
    return panel.locator(f".labkit-stage .lk-mark.cell.{what}[data-node^='{kind}:']")


def test_a_kill_and_the_caches(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook(source=RANKS, width=700, dark=True)
    notebook.run(0)
    notebook.done(0)
    panel = notebook.panel()
    expect(squares(panel, "cache", "disk")).to_have_count(16)
    expect(squares(panel, "part", "memory").first).to_be_visible()
    notebook.run(1)
    panel.get_by_role("button", name="Kill m3").click()
    assert "right: True" in notebook.done(1)
    expect(squares(panel, "cache", "ghost").first).to_be_visible()
    expect(panel.locator('[data-number="Loop"] .lk-value')).to_have_text("done")
    squares(panel, "part", "again").first.focus()
    notebook.page.keyboard.press("Enter")
    expect(panel.get_by_text("again, from map outputs of the first iteration").first).to_be_visible()
    overflow = panel.evaluate("element => element.scrollWidth - element.clientWidth")
    assert overflow <= 1, "nothing has to be scrolled sideways"
    for width in (390, 1200, 700):
        assert notebook.misfits(width) == []
        notebook.shot(f"haloop-{width}")
