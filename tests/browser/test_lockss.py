"""LOCKSS's panel in JupyterLab: a bit is flipped by hand, and a poll's votes repair it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

playwright_api = pytest.importorskip("playwright.sync_api")
expect = playwright_api.expect

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(1800)]

LIBRARIES = """
# %%
from labkit import Cluster
from labkit.systems.lockss import Lockss, Stealth
cluster = Cluster(machines=4, engine="sim", seed=1, trace_limit=1_000_000)
archive = Lockss(cluster, rot=0.0, adversary=Stealth(0.2))
archive.run(0.3)
panel = archive.panel()
panel

# %%
import time
while not archive.damaged():
    time.sleep(0.02)
cluster.run_until(lambda: archive.view().repairs == 1, what="it is repaired")
print("right:", archive.check().ok, archive.damaged())
"""


def test_a_bit_is_flipped_by_hand_while_a_cell_waits(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook(source=LIBRARIES, width=700, dark=True)
    notebook.run(0)
    notebook.done(0)
    panel = notebook.panel()
    damaged = panel.locator('[data-number="Replicas damaged"] .lk-value')
    expect(damaged).to_have_text("0 of 19")
    loyal = panel.locator(".labkit-stage .lk-mark[aria-label*='lockss-1-3 ']").first
    loyal.focus()
    notebook.page.keyboard.press("Enter")
    expect(panel.get_by_text("knows 15 peers").first).to_be_visible()
    notebook.run(1)
    panel.get_by_role("button", name="Flip a bit").click()
    assert "right: True {}" in notebook.done(1)
    expect(panel.get_by_text("repaired, and tallied again").first).to_be_visible()
    expect(panel.locator('[data-number="Repaired"] .lk-value')).to_have_text("1")
    overflow = panel.evaluate("element => element.scrollWidth - element.clientWidth")
    assert overflow <= 1, "nothing has to be scrolled sideways"
    for width in (390, 1200, 700):
        assert notebook.misfits(width) == []
        notebook.shot(f"lockss-{width}")
