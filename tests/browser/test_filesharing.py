"""The panel of a file-sharing system in JupyterLab: a search by hand, and the best-connected gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

playwright_api = pytest.importorskip("playwright.sync_api")
expect = playwright_api.expect

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(1800)]

SHARE = """
# %%
from labkit import Cluster
from labkit.systems.filesharing import FileSharing
cluster = Cluster(machines=4, engine="sim", seed=1)
sharing = FileSharing(cluster, peers=30)
cluster.run(2.0)
sharing.search("moon", at=3)
sharing.panel()
"""


def peers(panel: Any, what: str) -> Any:
    return panel.locator(f".labkit-stage .lk-mark.cell.{what}")


def test_a_search_by_hand(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook(source=SHARE, width=700, dark=True)
    notebook.run(0)
    notebook.done(0)
    panel = notebook.panel()
    expect(peers(panel, "delivered").first).to_be_visible()
    reached = panel.locator('[data-number="Reached"] .lk-value')
    expect(reached).to_have_text("29 of 29")
    for width in (390, 1200, 700):
        assert notebook.misfits(width) == []
        notebook.shot(f"filesharing-{width}")
    panel.get_by_role("button", name="Stop the best-connected").click()
    expect(panel.locator('[data-number="Peers online"] .lk-value')).to_have_text("29")
    panel.get_by_label("Words").fill("mp3")
    panel.get_by_role("button", name="Search").click()
    expect(panel.get_by_role("heading", name="“mp3”:")).to_be_visible()
    overflow = panel.evaluate("element => element.scrollWidth - element.clientWidth")
    assert overflow <= 1, "nothing has to be scrolled sideways"
