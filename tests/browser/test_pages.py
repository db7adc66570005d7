"""A lecture's panel as a page: Voilà runs the notebook for each visitor and shows no code."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.browser.conftest import PATIENCE
from tests.engines import wait_until

playwright_api = pytest.importorskip("playwright.sync_api")
pytest.importorskip("voila", reason="the pages need Voilà: pip install 'labkit[voila]'")
expect = playwright_api.expect

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[2]
SHOTS = ROOT / "test-results" / "screenshots"
PAGES_FOLDER = ROOT / "notebooks" / "pages"
PAGES = sorted(path.stem for path in PAGES_FOLDER.glob("*.ipynb"))


@pytest.fixture(scope="module")
def voila(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, psutil.Process]]:
    """The command that the README names: the address that it serves, and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("voila") / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "voila",
                str(ROOT / "notebooks" / "pages"),
                "--no-browser",
                f"--port={port}",
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: "is running at" in log.read_text(), PATIENCE / 1000, "Voilà is running", every=0.2)
        yield f"http://localhost:{port}", psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(timeout=600)


def test_there_is_a_page_for_each_lecture_with_a_panel() -> None:
    lectures = {path.stem for path in (ROOT / "notebooks" / "lectures").glob("*.ipynb")}
    assert set(PAGES) == lectures - {"start", "cost"}  # these are of no system


@pytest.mark.parametrize("name", PAGES)
def test_a_visitor_kills_a_machine_and_leaves(
    voila: tuple[str, psutil.Process], browser: Any, name: str
) -> None:
    address, server = voila
    context = browser.new_context(viewport={"width": 1200, "height": 1300})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(f"{address}/voila/render/{name}.ipynb")
    panel = page.locator(".labkit-panel").first
    panel.locator(".labkit-stage svg [data-node]").first.wait_for()
    assert page.locator(".jp-InputArea-editor").count() == 0, "a page shows no code"
    chip = panel.locator('[data-machine="m2"]').first
    expect(chip).to_have_attribute("data-state", "alive")
    chip.get_by_role("button", name="Kill m2").click()
    expect(chip).to_have_attribute("data-state", "dead")
    expect(panel.get_by_text("m2 was killed").first).to_be_visible()
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"page-{name}.png")
    page.goto("about:blank")
    wait_until(lambda: not server.children(), what="the kernel has ended, in which time went on")
    context.close()
