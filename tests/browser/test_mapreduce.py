"""The panel of a MapReduce job in JupyterLab: a click kills a machine while a cell waits for the job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

playwright_api = pytest.importorskip("playwright.sync_api")
expect = playwright_api.expect

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(1800)]

COUNT = """
# %%
from labkit import Cluster
from labkit.data import standard_library
from labkit.parts.store import FileSystem
from labkit.systems.mapreduce import MapReduce
class WordCount(MapReduce):
    def map(self, key, value):
        for word in value.split():
            self.emit_intermediate(word, 1)
    def reduce(self, key, values):
        self.emit(sum(values))
    combine = reduce
cluster = Cluster(machines=4, engine="sim", seed=1)
fs = FileSystem(cluster, replicas=3)
fs.put("corpus", dict(list(standard_library().items())[:20]))
job = WordCount(cluster, fs).start("corpus/*", "out", M=16, R=10, seconds_per_task=1.0)
cluster.run_until(lambda: job.view().done("reduce") >= 2)
panel = job.panel()
panel

# %%
import time
while cluster.machine("m3").alive:
    time.sleep(0.05)
print("right:", job.result().output().equals(WordCount().run_locally(fs.given, R=10).output()))
"""


def squares(panel: Any, what: str) -> Any:
    return panel.locator(f".labkit-stage .lk-mark.cell.{what}")


def test_a_kill_while_the_cell_waits(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook(source=COUNT, width=700, dark=True)
    notebook.run(0)
    notebook.done(0)
    panel = notebook.panel()
    expect(squares(panel, "delivered").first).to_be_visible()
    notebook.run(1)
    panel.get_by_role("button", name="Kill m3").click()
    assert "right: True" in notebook.done(1)
    expect(squares(panel, "again").first).to_be_visible()
    expect(panel.locator('[data-number="Job"] .lk-value')).to_have_text("done")
    again = panel.locator('[data-number="Maps run again"]')
    assert f"{again.locator('.lk-value').text_content()} outputs lost" in again.text_content()
    squares(panel, "ghost").first.focus()
    notebook.page.keyboard.press("Enter")
    expect(panel.get_by_text("its output died with the disk of m3")).to_be_visible()
    overflow = panel.evaluate("element => element.scrollWidth - element.clientWidth")
    assert overflow <= 1, "nothing has to be scrolled sideways"
    for width in (390, 1200, 700):
        assert notebook.misfits(width) == []
        notebook.shot(f"mapreduce-{width}")
