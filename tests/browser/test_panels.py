"""Panels in a real JupyterLab, on the simulator: keyboard, themes, narrow pages, and what stays of them on
paper.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

playwright_api = pytest.importorskip("playwright.sync_api")
expect = playwright_api.expect

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(1800)]

RING = """
# %%
from labkit import Cluster
from labkit.systems.chord import Chord
cluster = Cluster(machines=4, engine="sim", seed=7)
ring = Chord(cluster, nodes=24, replicas=3)
ring.update({f"key {number}": number for number in range(200)})
cluster.run(5)
panel = ring.panel()
panel

# %%
cluster.kill("m2")
cluster.run(10)
print(ring.lookup("lecture").owner)

# %%
import time
while cluster.machine("m3").alive:        # busy, until somebody clicks
    for _ in range(1000):
        pass
print("m3 is dead")
"""


@pytest.mark.parametrize("width", [1200, 700])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pictures(open_notebook: Callable[..., Any], theme: str, width: int) -> None:
    notebook = open_notebook(source=RING, width=width, dark=theme == "dark")
    notebook.run(0)
    notebook.done(0)
    panel = notebook.panel()
    notebook.run(1)
    notebook.done(1)
    expect(panel.locator('.labkit-stage [data-node][data-state="dead"]')).to_have_count(6)
    notebook.shot(f"ring-{theme}-{width}")
    box = panel.bounding_box()
    assert box["x"] + box["width"] <= width + 1, "nothing sticks out of the page"
    overflow = panel.evaluate("element => element.scrollWidth - element.clientWidth")
    assert overflow <= 1, "nothing has to be scrolled sideways"
    assert notebook.misfits(width) == []
    assert notebook.misfits(390) == []


def test_a_click_during_a_cpu_bound_cell(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook(source=RING)
    notebook.run(0)
    notebook.done(0)
    panel = notebook.panel()
    notebook.run(2)
    expect(notebook.cell(2).locator(".jp-InputPrompt")).to_have_text(re.compile(r"\*"))
    panel.get_by_role("button", name="Kill m3").click()
    assert "m3 is dead" in notebook.done(2)
    expect(panel.locator('[data-machine="m3"]').first).to_have_attribute("data-state", "dead")
    notebook.page.wait_for_timeout(3_000)  # the picture of what is seen is kept every two seconds
    notebook.save()
    notebook.page.reload()
    notebook.wait_open()
    expect(notebook.panel().locator('[data-machine="m3"]').first).to_have_attribute("data-state", "dead")
    notebook.end_kernel()
    notebook.page.reload()
    notebook.wait_open()
    picture = notebook.cell(0).locator("img[alt^='Chord ring, ']")
    expect(picture).to_be_visible()
    expect(notebook.cell(0).get_by_text("m3: ✕ dead, 6 nodes")).to_be_visible()
    expect(notebook.page.get_by_text("model not found")).to_have_count(0)


def test_a_panel_that_is_replaced_becomes_its_picture(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook(source=RING)
    notebook.run(0)
    notebook.done(0)
    notebook.panel()
    notebook.write(1, "panel = ring.panel()\npanel")
    notebook.run(1)
    notebook.done(1)
    expect(notebook.cell(1).locator(".labkit-panel .lk-chip").first).to_be_visible()
    expect(notebook.cell(0).get_by_text("This panel moved to cell [2].")).to_be_visible()
    expect(notebook.cell(0).locator("img[alt^='Chord ring, ']")).to_be_visible()
    notebook.write(2, "panel.close()")
    notebook.run(2)
    notebook.done(2)
    expect(notebook.cell(1).locator("img[alt^='Chord ring, ']")).to_be_visible()


def test_the_keyboard_reaches_the_controls(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook(source=RING)
    notebook.run(0)
    notebook.done(0)
    panel = notebook.panel()
    names: list[str] = []
    panel.get_by_role("button", name="Kill m1").focus()
    for _ in range(40):
        names.append(
            notebook.page.evaluate(
                "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent"
            )
        )
        notebook.page.keyboard.press("Tab")
    for wanted in ("Kill m1", "Kill m4", "Position in time"):
        assert wanted in names, f"Tab does not reach {wanted}: {names}"
    panel.get_by_role("button", name="Kill m4").focus()
    notebook.page.keyboard.press("Enter")
    expect(panel.locator('[data-machine="m4"]').first).to_have_attribute("data-state", "dead")
    # On the stage, arrows move from node to node.
    panel.locator(".labkit-stage [data-node]").first.focus()
    before = notebook.page.evaluate("document.activeElement.dataset.node")
    notebook.page.keyboard.press("ArrowRight")
    after = notebook.page.evaluate("document.activeElement.dataset.node")
    assert before != after, "an arrow key moves to another node"
    assert after
    _no_key_leaves_the_panel(notebook, panel)


def _no_key_leaves_the_panel(notebook: Any, panel: Any) -> None:
    """Whatever has the focus: the notebook keeps its cells, its selection, and its place on the page."""
    keyboard = notebook.page.keyboard
    slider = panel.get_by_label("Position in time")
    for control in (
        slider,
        panel.get_by_label("Speed"),
        panel.locator(".lk-button.play"),
        panel.locator(".lk-events"),
        panel.locator(".widget-dropdown select"),
        panel.get_by_role("button", name="Join a node"),
        panel.locator(".lk-input"),
        panel.locator(".labkit-stage [data-node]").first,
    ):
        control.focus()
        state = _notebook_state(notebook)
        for key in (
            "ArrowLeft",
            "ArrowUp",
            "ArrowDown",
            "x",
            "d",
            "d",
            "0",
            "0",
            "z",
            "m",
            "b",
            "Shift+Enter",
        ):
            keyboard.press(key)
            assert _notebook_state(notebook) == state, f"{key} on {control} reaches the notebook"
    slider.focus()
    keyboard.press("End")
    before = float(slider.input_value())
    for _ in range(3):
        keyboard.press("ArrowLeft")
    expect(panel.locator(".lk-live")).to_contain_text("past")
    assert float(slider.input_value()) < before
    keyboard.press("End")
    expect(panel.locator(".lk-live")).not_to_contain_text("past")


def _notebook_state(notebook: Any) -> list[Any]:
    """The cells, which of them is selected, and what is run."""
    return notebook.page.evaluate(  # type: ignore[no-any-return]
        """[...document.querySelectorAll('.jp-Notebook .jp-Cell')].map((cell) =>
          [cell.className, cell.querySelector('.jp-InputPrompt')?.textContent])"""
    )


def test_cluster_and_space_time_panels(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook(
        source="""
# %%
from labkit import Cluster
from labkit.systems.chord import Chord
cluster = Cluster(machines=3, engine="sim", seed=1, trace="messages")
ring = Chord(cluster, nodes=6, successors=3)
cluster.run(2)
cluster.panel()

# %%
from labkit_widgets import SpaceTimePanel
with cluster.span("lookup") as span:
    ring.lookup("lecture")
SpaceTimePanel(cluster, span=span)
"""
    )
    notebook.run(0)
    notebook.done(0)
    panel = notebook.panel()
    panel.get_by_role("button", name="Kill m1").click()
    expect(panel.locator('[data-machine="m1"]').first).to_have_attribute("data-state", "dead")
    notebook.shot("cluster")
    notebook.run(1)
    notebook.done(1)
    second = notebook.page.locator(".labkit-panel").nth(1)
    second.locator(".labkit-stage svg").first.wait_for()
    notebook.shot("spacetime", 1)
