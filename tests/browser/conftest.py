"""A real JupyterLab, started as a student starts it, and a headless Chromium that looks at it.

`lab` is the one `labkit lab` of the whole run, with a Ray beside it. `open_notebook` gives a page with a
notebook in it; when the test is over the kernel is ended, and the test fails if the page's console has shown
an error.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest

playwright_api = pytest.importorskip(
    "playwright.sync_api", reason="the browser tests need playwright: make test"
)

ROOT = Path(__file__).parents[2]
SHOTS = ROOT / "test-results" / "screenshots"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

#: Milliseconds that a page may take to show something, or to take a click: a limit against a hang, not
#: against a slow machine.
PATIENCE = 300_000
playwright_api.expect.set_options(timeout=PATIENCE)

#: Seconds that a kernel is idle while a cell waits for it, after which its request is taken for lost.
LOST_AFTER = 10.0

#: Controls and words that stand out of a panel, words of its picture below 10.4 px, buttons below 24 px,
#: and on a page of 700 px or more a picture that one must scroll.
MISFITS = """(panel) => {
  const frame = panel.getBoundingClientRect(), found = [];
  const name = (e) => (e.getAttribute("aria-label") || e.textContent).slice(0, 40);
  const controls = "button, select, input, output, [role=heading], .labkit-heading, .lk-value";
  for (const e of panel.querySelectorAll(controls)) {
    const box = e.getBoundingClientRect();
    const inside = box.left >= frame.left - 1 && box.right <= frame.right + 1;
    if (box.width && !inside && !e.classList.contains("lk-tick")) found.push(["outside", name(e)]);
  }
  for (const e of panel.querySelectorAll(".labkit-stage text")) {
    const size = parseFloat(getComputedStyle(e).fontSize) * e.getScreenCTM().a;
    if (size < 10.4) found.push(["small", e.textContent, size]);
  }
  for (const e of panel.querySelectorAll(".labkit-part button")) {
    if (e.offsetHeight && e.offsetHeight < 24) found.push(["low", name(e), e.offsetHeight]);
  }
  for (const e of innerWidth < 700 ? [] : panel.querySelectorAll(".labkit-stage")) {
    if (e.scrollWidth > e.clientWidth + 1) found.push(["wide", e.scrollWidth, e.clientWidth]);
  }
  return found;
}"""

#: Noise of JupyterLab's own, seen with an empty notebook too.
NOT_OURS = re.compile(
    r"favicon|ResizeObserver loop|status of 404|api/contents/.*checkpoints|/lsp/|Failed to load resource"
    # A busy machine has not read a module within anywidget's own 2 s, or shows an output before its model, or
    # what a reloaded page remembers before the kernel answers. What is not there in the end the tests miss.
    r"|\[anywidget\] Failed to initialize model|widget model not found"
    r"|Comm not found for comm id"  # what kernel and page close at the same moment; no message is lost
    r"|preload|Autofocus|third-party cookie|Canceled|websocket.*closed|WebSocket connection"
)


def chromium_path() -> str | None:
    """The browser to use, found as `.ci/browser.sh` finds it; None: Playwright's own."""
    named = os.environ.get("LABKIT_CHROMIUM")
    if named == "none":
        pytest.skip("LABKIT_CHROMIUM=none")
    for name in (named, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if name and shutil.which(name):
            return shutil.which(name)
    return None


class Lab:
    """A running `labkit lab`."""

    def __init__(self, folder: Path, url: str, process: subprocess.Popen[str]) -> None:
        self.folder = folder
        self.url, _, self.token = url.partition("?token=")
        self.url = self.url.split("/lab")[0]
        self.process = process

    def page_of(self, notebook: str) -> str:
        """Where one notebook is shown alone. `reset` forgets the layout of an earlier test."""
        return f"{self.url}/doc/tree/{notebook}?token={self.token}&reset"


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab and Ray, from the command that the README names."""
    folder = tmp_path_factory.mktemp("course")
    shutil.copytree(ROOT / "notebooks" / "lectures", folder / "notebooks" / "lectures")
    log = folder / "lab.log"
    environment = {**os.environ, "JUPYTER_CONFIG_DIR": str(folder / ".config"), "PYTHONUNBUFFERED": "1"}
    for name in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_TOKEN"):
        environment.pop(name, None)
    with log.open("w") as output:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "labkit",
                "lab",
                "--no-browser",
                "--port",
                "8950",
                "--notebook-dir",
                str(folder),
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            text=True,
        )
    try:
        url = _wait_for(
            lambda: re.search(r"http://\S+?token=\w+", log.read_text()), PATIENCE / 1000, process, log
        )
        yield Lab(folder, url.group(0), process)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=600)


def _wait_for(look: Callable[[], Any], seconds: float, process: subprocess.Popen[str], log: Path) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        if process.poll() is not None:
            break
        time.sleep(0.2)
    raise AssertionError(f"`labkit lab` did not come up:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One headless Chromium. Not for the whole session: while it is open, an asyncio loop runs in this
    thread, and tests elsewhere want to run their own.
    """
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=FLAGS)
        yield browser
        browser.close()


class Notebook:
    """A notebook in a page, as a person handles it."""

    def __init__(
        self, page: Any, name: str, idle: Callable[[], bool], end_kernel: Callable[[], None]
    ) -> None:
        self.page = page
        self.name = name
        self.idle = idle  #: whether the server says that the kernel does nothing
        self.end_kernel = end_kernel
        self.errors: list[str] = []

    def wait_open(self, reloads: int = 3) -> None:
        """Until the page shows its cells and a kernel that waits for them.

        A page can lose what its kernel says of itself, and then shows no "Idle" for ever. As a person would,
        reload it: the kernel stays.
        """
        for left in range(reloads, -1, -1):
            self.page.locator(".jp-Notebook .jp-Cell").first.wait_for()
            try:
                self.page.get_by_text("| Idle").wait_for(timeout=PATIENCE / (reloads + 1))
                return
            except playwright_api.TimeoutError:
                if not left:
                    raise
                self.page.reload()

    def run(self, number: int) -> None:
        """Select the `number`-th code cell (0 is the first) and press Shift+Enter.

        As a person would, press again if nothing happens: a page that has just opened can lose a key. Not
        while the kernel works: it may be with this cell already, and would run it twice.
        """
        prompt = self.cell(number).locator(".jp-InputPrompt")
        before = prompt.text_content()
        for _ in range(5):
            self.cell(number).locator(".jp-InputArea-editor").click()
            self.page.keyboard.press("Shift+Enter")
            if before == "[*]:":  # it is run again, for its request was lost
                return
            try:
                playwright_api.expect(prompt).not_to_have_text(before, timeout=5_000)
            except AssertionError:
                if self.idle():
                    continue
                playwright_api.expect(prompt).not_to_have_text(before)
            return
        pytest.fail(f"cell {number} of {self.name} does not run; its prompt stays {before!r}")

    def cell(self, number: int) -> Any:
        """The `number`-th code cell."""
        return self.page.locator(".jp-Notebook .jp-CodeCell").nth(number)

    def done(self, number: int, timeout: float = PATIENCE / 1000) -> str:
        """Wait until a cell has run; its text output.

        JupyterLab can lose the request of a page that has just opened, or its answer: the cell then waits for
        ever, and the kernel is idle. As a person would, run it again, and if that is of no use, reload first.
        """
        prompt = self.cell(number).locator(".jp-InputPrompt")
        end, idle_since, lost = time.monotonic() + timeout, None, 0
        while not re.search(r"\[\d+\]:", prompt.text_content() or ""):
            now = time.monotonic()
            if now > end:
                status = self.page.locator("#jp-main-statusbar").text_content(timeout=1_000)
                pytest.fail(
                    f"cell {number} of {self.name} has not run after {timeout:.0f} s; the page says "
                    f"{status!r}, the server {'idle' if self.idle() else 'not idle'}; lost {lost} times"
                )
            idle_since = (idle_since or now) if self.idle() else None
            if idle_since is not None and now - idle_since > LOST_AFTER:
                lost += 1
                if lost > 1:
                    self.page.reload()
                    self.wait_open()
                self.run(number)
                idle_since = None
            self.page.wait_for_timeout(500)
        return self.text(number)

    def busy(self, number: int) -> bool:
        """Whether a cell is being run, or waits to be."""
        return "*" in (self.cell(number).locator(".jp-InputPrompt").text_content() or "")

    def text(self, number: int) -> str:
        """What a cell has printed so far."""
        return "\n".join(self.cell(number).locator(".jp-OutputArea-output pre").all_text_contents())

    def write(self, number: int, source: str) -> None:
        """Put other code into a cell."""
        self.cell(number).locator(".jp-InputArea-editor").click()
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.insert_text(source)

    def save(self) -> None:
        """Save it, and wait until the page says so."""
        self.cell(0).locator(".jp-InputArea-prompt").click()
        with self.page.expect_response(lambda answer: answer.request.method == "PUT") as answer:
            self.page.keyboard.press("ControlOrMeta+s")
        assert answer.value.ok

    def panel(self) -> Any:
        """The first panel, once its stage shows nodes."""
        self.page.locator(".labkit-panel .labkit-stage svg [data-node]").first.wait_for()
        return self.page.locator(".labkit-panel").first

    def misfits(self, width: int) -> list[Any]:
        """What cannot be reached, read or hit in the first panel on a page of this width."""
        self.page.set_viewport_size({"width": width, "height": 2600})
        self.page.wait_for_timeout(500)  # charts follow a page's width after a while
        return self.page.locator(".labkit-panel").first.evaluate(MISFITS)  # type: ignore[no-any-return]

    def shot(self, name: str, number: int = 0) -> None:
        """A picture of the `number`-th panel, in test-results/screenshots.

        Cut out of the page: a picture of the element would wait until it stands still, which a panel beside
        busy machines may not do.
        """
        SHOTS.mkdir(parents=True, exist_ok=True)
        panel = self.page.locator(".labkit-panel").nth(number)
        panel.evaluate("element => element.scrollIntoView()")
        box = panel.bounding_box()
        self.page.screenshot(path=SHOTS / f"{name}.png", clip=box)


@pytest.fixture
def open_notebook(lab: Lab, browser: Any) -> Iterator[Callable[..., Notebook]]:
    """`open_notebook("notebooks/lectures/start.ipynb")`, or `open_notebook(source="# %%\\n...")`."""
    opened: list[Notebook] = []
    contexts: list[Any] = []

    def open_one(path: str = "", source: str = "", width: int = 1200, dark: bool = False) -> Notebook:
        if source:
            path = f"scratch-{len(list(lab.folder.glob('scratch-*')))}.ipynb"
            made = jupytext.reads(source.strip(), fmt="py:percent")
            made.metadata["kernelspec"] = {
                "name": "python3",
                "display_name": "Python 3",
                "language": "python",
            }
            nbformat.write(made, lab.folder / path)
        context = browser.new_context(
            # A narrow panel is a tall one, and a picture of it shows what the window shows.
            viewport={"width": width, "height": 1500 if width > 800 else 2600},
            color_scheme="dark" if dark else "light",
        )
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        notebook = Notebook(
            page, path, lambda: _kernels_are_idle(context, lab), lambda: _end_kernels(context, lab)
        )
        page.on("dialog", lambda dialog: dialog.accept())  # yes, leave the page
        page.on("console", lambda message: _note(notebook, message.type, message.text))
        page.on("pageerror", lambda error: _note(notebook, "error", f"page error: {error}"))
        _set_theme(context, lab, dark)
        page.goto(lab.page_of(path))
        notebook.wait_open()
        opened.append(notebook)
        return notebook

    yield open_one
    for context in contexts:
        _end_kernels(context, lab)
        context.close()
    for notebook in opened:
        assert not notebook.errors, f"the console of {notebook.name} shows errors: {notebook.errors[:5]}"


def _note(notebook: Notebook, kind: str, text: str) -> None:
    if kind == "error" and not NOT_OURS.search(text):
        notebook.errors.append(text)


def _api(context: Any, lab: Lab, verb: str, path: str, **options: Any) -> Any:
    return context.request.fetch(
        f"{lab.url}{path}", method=verb, headers={"Authorization": f"token {lab.token}"}, **options
    )


def _kernels_are_idle(context: Any, lab: Lab) -> bool:
    return all(each["execution_state"] == "idle" for each in _api(context, lab, "GET", "/api/kernels").json())


def _set_theme(context: Any, lab: Lab, dark: bool) -> None:
    theme = "JupyterLab Dark" if dark else "JupyterLab Light"
    raw = f'{{"theme": "{theme}"}}'
    _api(context, lab, "PUT", "/lab/api/settings/@jupyterlab/apputils-extension:themes", data={"raw": raw})


def _end_kernels(context: Any, lab: Lab) -> None:
    for session in _api(context, lab, "GET", "/api/sessions").json():
        _api(context, lab, "DELETE", f"/api/sessions/{session['id']}")
