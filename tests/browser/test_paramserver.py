"""The parameter server's panel in a real JupyterLab: the control moved and a server killed while a cell
trains, and how the panel looks in both themes and on narrow pages.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

playwright_api = pytest.importorskip("playwright.sync_api")
expect = playwright_api.expect

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(1800)]

SIM = """
# %%
from labkit import Cluster
from labkit.systems.paramserver import *
from labkit.systems.paramserver.algorithms import digits_split, shards, softmax
cluster = Cluster(machines=6, engine="sim", seed=7)
ps = ParameterServer(cluster, servers=2, workers=4, replicas=1, consistency=BSP())
training, testing = digits_split()
w = ps.vector("w", size=650, update=SGD(1.0))
panel = ps.panel()
panel

# %%
def seconds(worker):
    return 0.03 * worker.random.lognormvariate(0, 0.5) * (2.5 if worker.rank == 0 else 1)
operation = ps.start(softmax(w, cost=seconds), iterations=400, data=shards(training, 4))
for consistency in (BSP(), SSP(4), Async(), SSP(4)):
    ps.consistency = consistency
    cluster.run(3)
print("trained for a while")

# %%
cluster.kill("m1")
cluster.run(5)
cluster.slow("m4", 3)
cluster.run(1)
print(ps.servers)
"""

RAY = """
# %%
from labkit import Cluster
from labkit.systems.paramserver import *
from labkit.systems.paramserver.algorithms import accuracy, digits_split, shards
from labkit.systems.paramserver.algorithms.losses import softmax_gradient
cluster = Cluster(machines=6)
ps = ParameterServer(cluster, servers=2, workers=4, replicas=1, consistency=BSP(), virtual_servers=2)
training, testing = digits_split()
w = ps.vector("w", size=650, update=SGD(1.0))
ps.panel()

# %%
async def train(worker):
    for iteration in worker.rounds():
        weights = await worker.pull("w")
        loss, gradient = await worker.compute(softmax_gradient, weights, *worker.shard)
        await worker.sleep(0.2 if worker.rank == 0 else 0.06)     # one is slow, and a person can watch
        worker.report(loss=loss / len(worker.shard.labels))
        await worker.push("w", None, gradient / len(training.labels))
        await worker.clock()

try:
    ps.run(train, iterations=100_000, data=shards(training, 4))   # until somebody interrupts it
except KeyboardInterrupt:
    interrupted = True

# %%
print("interrupted", interrupted, "with", ps.consistency, "on", ps.servers, accuracy(w[:], *testing) > 0.5)
"""


def number(panel: Any, label: str) -> Any:
    return panel.locator(f'[data-number="{label}"] .lk-value')


def interrupt(notebook: Any, lab: Any) -> None:
    """What the stop button does."""
    headers = {"Authorization": f"token {lab.token}"}
    request = notebook.page.context.request
    for kernel in request.get(f"{lab.url}/api/kernels", headers=headers).json():
        request.post(f"{lab.url}/api/kernels/{kernel['id']}/interrupt", headers=headers)


def test_the_control_and_a_kill_while_the_cell_trains(open_notebook: Callable[..., Any], lab: Any) -> None:
    notebook = open_notebook(source=RAY)
    notebook.run(0)
    assert "Error" not in notebook.done(0)
    panel = notebook.panel()
    notebook.run(1)
    slider = panel.get_by_role("slider", name="Consistency")
    expect(panel.locator(".lk-facts").first).to_contain_text("BSP()")
    expect(number(panel, "Loss")).to_have_text(re.compile(r"[01]\.\d+"))
    expect(number(panel, "Staleness of reads")).to_have_text(re.compile(r"0\.0"))

    slider.focus()
    slider.press("End")  # as a mouse would: one message, when the hand lets go
    expect(panel.locator(".lk-facts").first).to_contain_text("Async()")
    expect(number(panel, "Fastest ahead by")).to_have_text(re.compile(r"\d\d+"))
    assert notebook.busy(1), "all this while the cell runs"

    panel.get_by_role("button", name="Kill m1").click()
    expect(panel.locator('[data-machine="m1"]').first).to_have_attribute("data-state", "dead")
    expect(panel.locator(".lk-events")).to_contain_text("server-0 is taken for dead")
    expect(panel.locator('.labkit-stage [data-node="server-0"]')).to_have_attribute("data-state", "dead")
    before = panel.locator(".lk-numbers").text_content()
    expect(panel.locator(".lk-numbers")).not_to_have_text(before)
    notebook.shot("staleness-ray")
    assert notebook.busy(1), "training goes on"
    interrupt(notebook, lab)
    notebook.run(2)
    assert "interrupted True with Async() on ['server-1'] True" in notebook.done(2)


@pytest.mark.parametrize(("theme", "width"), [("light", 1200), ("dark", 700)])
def test_pictures(open_notebook: Callable[..., Any], theme: str, width: int) -> None:
    notebook = open_notebook(source=SIM, width=width, dark=theme == "dark")
    notebook.run(0)
    notebook.done(0)
    panel = notebook.panel()
    notebook.run(1)
    notebook.done(1)
    expect(number(panel, "Loss")).to_have_text(re.compile(r"0\.\d+"))
    notebook.shot(f"staleness-{theme}-{width}")
    notebook.run(2)
    assert "['server-1']" in notebook.done(2)
    expect(panel.locator('[data-machine="m1"]').first).to_have_attribute("data-state", "dead")
    notebook.shot(f"staleness-killed-{theme}-{width}")
    box = panel.bounding_box()
    assert box["x"] + box["width"] <= width + 1, "nothing sticks out of the page"
    overflow = panel.evaluate("element => element.scrollWidth - element.clientWidth")
    assert overflow <= 1, "nothing has to be scrolled sideways"
    assert notebook.misfits(390) == []
