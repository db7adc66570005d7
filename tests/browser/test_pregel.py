"""The panel of a Pregel job in JupyterLab: a click kills a machine, another chose what is done then."""

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
from labkit.systems.pregel import FileSystem, Pregel
from labkit.systems.pregel.programs import PageRank
cluster = Cluster(machines=4, engine="sim", seed=1)
job = Pregel(cluster, FileSystem(cluster, replicas=2)).start(
    PageRank.having(iterations=12), import_graph(), "ranks", partitions=8, seconds_per_vertex=0.01)
cluster.run_until(lambda: job.view().current == 3)
panel = job.panel()
panel

# %%
import time
while job.recovery != "confined":
    time.sleep(0.05)
cluster.run_until(lambda: job.view().current == 7)
while cluster.machine("m3").alive:
    time.sleep(0.05)
print("right:", job.result().check().ok)
"""


def squares(panel: Any, kind: str, what: str) -> Any:
    return panel.locator(f".labkit-stage .lk-mark.cell.{what}[data-node^='{kind}:']")


def test_recovery_is_chosen_and_a_machine_killed(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook(source=RANKS, width=700, dark=True)
    notebook.run(0)
    notebook.done(0)
    panel = notebook.panel()
    expect(squares(panel, "partition", "running").first).to_be_visible()
    notebook.run(1)
    panel.get_by_label("Recovery").select_option("only lost ones (confined)")
    expect(panel.get_by_text("Superstep 7").first).to_be_visible()
    panel.get_by_role("button", name="Kill m3").click()
    assert "right: True" in notebook.done(1)
    expect(panel.locator('[data-number="Job"] .lk-value')).to_have_text("done")
    expect(panel.locator('[data-number="Computed again"]')).to_contain_text("2 partitions lost")
    squares(panel, "partition", "memory").first.focus()
    notebook.page.keyboard.press("Enter")
    expect(panel.get_by_text("superstep 12 on").first).to_be_visible()
    overflow = panel.evaluate("element => element.scrollWidth - element.clientWidth")
    assert overflow <= 1, "nothing has to be scrolled sideways"
    for width in (390, 1200, 700):
        assert notebook.misfits(width) == []
        notebook.shot(f"pregel-{width}")
