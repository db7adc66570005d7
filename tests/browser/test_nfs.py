"""The file server's panel in JupyterLab: a stale read is marked; a click kills the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

playwright_api = pytest.importorskip("playwright.sync_api")
expect = playwright_api.expect

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(1800)]

SHARED = """
# %%
from labkit import Cluster
from labkit.systems.nfs import NFS
cluster = Cluster(machines=3, engine="sim", seed=1)
nfs = NFS(cluster, block=1024, consistency="none")
one, other = nfs.clients
one.mkdir("/course")
one.write_bytes("/course/plan.txt", b"x" * 5000)
nfs.settle()
other.read_bytes("/course/plan.txt")
with one.open("/course/plan.txt", "r+b", 0) as file:
    file.write(b"changed")
nfs.settle()
one.write_text("/notes", "not yet written")
panel = nfs.panel()
panel

# %%
import time
while cluster.machine("m1").alive:
    time.sleep(0.05)
cluster.restart("m1")
print("right:", other.exists("/course/plan.txt"), nfs.check().ok)
"""


def squares(panel: Any, what: str, kind: str = "cache") -> Any:
    return panel.locator(f".labkit-stage .lk-mark.cell.{what}[data-node^='{kind}:']")


def test_stale_blocks_and_a_dead_server(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook(source=SHARED, width=700, dark=True)
    notebook.run(0)
    notebook.done(0)
    panel = notebook.panel()
    expect(squares(panel, "lost")).to_have_count(1)
    expect(squares(panel, "running")).to_have_count(1)
    panel.get_by_role("button", name="Read at the last").click()  # /notes, which the server has not got yet
    squares(panel, "lost").first.focus()
    notebook.page.keyboard.press("Enter")
    expect(panel.get_by_text("nfs-2 has").first).to_be_visible()
    panel.get_by_role("button", name="Read at the last").click()
    expect(panel.locator('[data-number="Stale reads"] .lk-value')).to_have_text("1")
    notebook.run(1)
    panel.get_by_role("button", name="Kill m1").click()
    assert "right: True True" in notebook.done(1)
    overflow = panel.evaluate("element => element.scrollWidth - element.clientWidth")
    assert overflow <= 1, "nothing has to be scrolled sideways"
    for width in (390, 1200, 700):
        assert notebook.misfits(width) == []
        notebook.shot(f"nfs-{width}")
