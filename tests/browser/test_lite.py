"""The course without a server, as its reader sees it: JupyterLite built here, Python in the browser's tab."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from labkit.lite.serve import page as address
from labkit.lite.serve import server
from labkit.lite.site import build, size

from .conftest import NOT_OURS, PATIENCE, ROOT, Notebook

playwright_api = pytest.importorskip("playwright.sync_api")
expect = playwright_api.expect

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(1800)]

#: The code cells of the notebook that the test has to know.
MAKE, STORE, BESIDE, BUSY, KILL_IF_NOT, SETTLE = range(6)
EXERCISE = "exercises/chord-routing.ipynb"
Open = Callable[[str], Notebook]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page, with everything in it."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: sh .ci/node.sh, or apt-get install nodejs npm")
    return build(ROOT / "notebooks", tmp_path_factory.mktemp("site"), offline=True)


@pytest.fixture
def open_page(site: Path, browser: Any) -> Iterator[Open]:
    """Opens a notebook of it. Fails if its console shows an error, or it asks for what is elsewhere."""
    errors: list[str] = []
    elsewhere: list[str] = []
    context = browser.new_context(viewport={"width": 1200, "height": 1500})
    context.set_default_timeout(PATIENCE)
    with server(site, 0) as at:
        threading.Thread(target=at.serve_forever, daemon=True).start()
        own = address(at).split("/lab/")[0]

        def pass_on(route: Any) -> None:
            if route.request.url.startswith((own, "data:", "blob:")):
                route.continue_()
            else:
                elsewhere.append(route.request.url)
                route.abort()

        def open_one(notebook: str) -> Notebook:
            page = context.new_page()
            page.on(
                "console", lambda message: errors.append(message.text) if message.type == "error" else None
            )
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.goto(address(at, notebook))
            opened = Notebook(page, notebook, lambda: page.get_by_text("| Idle").count() > 0, lambda: None)
            opened.wait_open(reloads=0)  # Python is in the page: it would start anew
            return opened

        context.route("**/*", pass_on)
        yield open_one
        context.close()
        at.shutdown()
    assert elsewhere == []
    assert [text for text in errors if not NOT_OURS.search(text)] == []


def test_a_click_kills_while_a_cell_awaits(
    site: Path, open_page: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = time.monotonic()
    notebook = open_page("start-in-a-tab.ipynb")
    shown = time.monotonic() - begun
    notebook.run(MAKE)
    panel = notebook.panel()
    first = time.monotonic() - begun
    with capsys.disabled():
        print(
            f"\nthe page: {size(site) / 1e6:.0f} MB, shown after {shown:.0f} s, first cell after {first:.0f}"
        )
    notebook.run(STORE)
    assert "all stored: True" in notebook.done(STORE)

    notebook.run(BESIDE)
    notebook.done(BESIDE)
    notebook.run(BUSY)
    beside = notebook.cell(BESIDE).locator(".labkit-panel")
    machine = beside.locator('[data-machine="m2"]').first
    machine.get_by_role("button", name="Kill m2").click()
    expect(machine).to_have_attribute("data-state", "dead")
    expect(beside.locator('.labkit-stage [data-node][data-state="dead"]')).to_have_count(6)
    assert notebook.busy(BUSY), "the panel must change while the cell awaits, not after it"
    notebook.shot("lite-killed", 1)
    assert "modules lost: []" in notebook.done(BUSY)
    notebook.run(SETTLE)
    assert "18 members, ideal" in notebook.done(SETTLE)

    # She looks back: the machine is alive in the past.
    panel.get_by_label("Position in time").fill("0")
    expect(panel.locator('[data-machine="m2"]').first).to_have_attribute("data-state", "alive")


def test_an_exercise_is_validated(site: Path, open_page: Open) -> None:
    handed_out = json.loads((site / "files" / EXERCISE).read_text())
    sources = ["".join(cell["source"]) for cell in handed_out["cells"] if cell["cell_type"] == "code"]
    assert "SOLUTION" not in "".join(sources)
    answer = next(k for k, text in enumerate(sources) if "def closest_preceding_finger" in text)
    check = next(k for k, text in enumerate(sources) if 'exercise.check("closest")' in text)
    notebook = open_page(EXERCISE)
    notebook.run(0)
    notebook.done(0)
    notebook.run(answer)
    notebook.run(check)
    assert "Wrong" in notebook.done(check), "it is not solved yet"
    right = "next((f for f in reversed(n.fingers) if between(n.id, f.id, key)), n.peer)"
    notebook.write(answer, f"def closest_preceding_finger(n, key): return {right}")
    notebook.run(answer)
    notebook.run(check)
    expect(notebook.cell(check).get_by_text("closest: right, in")).to_be_visible()
