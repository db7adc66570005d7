"""The lineage panel in a real JupyterLab: a click kills a machine while `collect()` blocks the cell."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from tests.engines import wait_until

playwright_api = pytest.importorskip("playwright.sync_api")
expect = playwright_api.expect

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(1800)]

LECTURE = "notebooks/lectures/spark.ipynb"
#: The code cells of the lecture notebook that the test has to know.
MAKE, LOCAL, EVEN, DEBUG, COUNT, TRUTH, KINDS, LINEAGE, SLOW = range(9)

WORDS = """
# %%
from labkit import Cluster
from labkit.data import standard_library
from labkit.systems.spark import SparkContext
cluster = Cluster(machines=4, engine="sim", seed=7)
sc = SparkContext(cluster)
texts = sc.parallelize(list(standard_library().values())[:40], 8).setName("texts").persist()
counts = texts.flatMap(str.split).map(lambda word: (word, 1)).reduceByKey(lambda a, b: a + b)
panel = sc.panel()
print(counts.count() == counts.count())
panel

# %%
cluster.kill("m2")
print(counts.mapValues(lambda n: -n).sortByKey().count() == counts.count())
"""


def squares(panel: Any, what: str) -> Any:
    return panel.locator(f".labkit-stage .lk-mark.cell.{what}")


@pytest.mark.parametrize(("theme", "width"), [("light", 1200), ("dark", 700)])
def test_pictures(open_notebook: Callable[..., Any], theme: str, width: int) -> None:
    notebook = open_notebook(source=WORDS, width=width, dark=theme == "dark")
    notebook.run(0)
    assert "True" in notebook.done(0)
    panel = notebook.panel()
    notebook.run(1)
    assert "True" in notebook.done(1)
    expect(squares(panel, "again").first).to_be_visible()
    panel.locator('[data-node="block:3:0"]').click()
    expect(panel.locator(".lk-what", has_text="8 shuffle outputs (outlined)")).to_be_visible()
    notebook.shot(f"lineage-{theme}-{width}")
    box = panel.bounding_box()
    assert box["x"] + box["width"] <= width + 1, "nothing sticks out of the page"
    overflow = panel.evaluate("element => element.scrollWidth - element.clientWidth")
    assert overflow <= 1, "nothing has to be scrolled sideways"
    assert notebook.misfits(width) == []
    assert notebook.misfits(390) == []


def test_persist_and_unpersist_by_a_click(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook(source=WORDS)
    notebook.run(0)
    notebook.done(0)
    panel = notebook.panel()
    expect(squares(panel, "memory")).to_have_count(8)
    panel.locator('[data-node="r:0"]').click()
    expect(panel.get_by_text("RDD 0: texts")).to_be_visible()
    panel.get_by_role("button", name="Unpersist").click()
    expect(panel.get_by_text("RDD 0 is no longer kept").first).to_be_visible()
    expect(panel.get_by_role("button", name="Persist", exact=True)).to_be_enabled()


@pytest.mark.ray
def test_a_kill_while_collect_runs(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook(LECTURE)
    for cell in (MAKE, COUNT, TRUTH):
        notebook.run(cell)
        notebook.done(cell)
    assert "as counted here: True" in notebook.text(TRUTH)
    panel = notebook.panel()
    chip = panel.locator('[data-machine="m2"]').first
    pid = int(chip.get_attribute("title").removeprefix("process "))
    notebook.run(SLOW)
    expect(notebook.cell(SLOW).locator(".jp-InputPrompt")).to_have_text(re.compile(r"\*"))
    # Some map tasks are done, others run: the panel changes while `collect()` blocks the cell.
    expect(squares(panel, "running").first).to_be_visible()
    some = re.compile(r"▸ Stage \d+: ([4-9]|1[0-4]) of 16 map tasks done")
    expect(panel.get_by_text(some)).to_be_visible()
    chip.get_by_role("button", name="Kill m2").click()
    expect(chip).to_have_attribute("data-state", "dead")
    expect(squares(panel, "lost").first).to_be_visible()
    assert notebook.busy(SLOW), "the panel must change while the cell runs, not after it"
    wait_until(lambda: not psutil.pid_exists(pid), what="a killed machine's process is gone")
    notebook.shot("lineage-killed")
    expect(squares(panel, "again").first).to_be_visible()
    notebook.shot("lineage-again")
    assert "the same answer: True" in notebook.done(SLOW)
    tile = panel.locator('[data-number="Tasks run again"]')
    again = int(tile.locator(".lk-value").text_content())
    assert again > 0
    expect(tile.locator(".lk-theory")).to_have_text(f"lineage predicts {again}")
    notebook.shot("lineage-recovered")
