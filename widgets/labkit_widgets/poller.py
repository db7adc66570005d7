"""One thread refreshes every panel of the notebook, ten times a second, and ends with the last panel.

ipywidgets has no back-pressure and the server drops messages beyond 1,000 a second, so panels never send at
the pace of the run: each tick sends the newest state, if it differs. On a busy machine a refresh takes long,
and longer still in the browser, where what is not drawn yet would queue up, and the page fall minutes behind
the run: the next one then waits for some times as long as the last one took. This thread is also the only
one that writes widgets; callbacks, which run in a subshell's thread, note what is wanted and wake it.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

#: Seconds between refreshes.
TICK = 0.1
#: So many times as long as a refresh took, but no more than so many seconds, it rests after it.
REST, LONGEST = 4.0, 2.0


class Refreshable(Protocol):
    """What the poller calls. It must not raise: a panel shows its own errors."""

    def refresh(self) -> None:
        """Show the newest state."""
        ...


class Poller:
    """The refresh thread and the panels it serves."""

    def __init__(self) -> None:
        self._panels: list[Refreshable] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, panel: Refreshable) -> None:
        """Refresh `panel` from now on."""
        with self._lock:
            self._panels.append(panel)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="labkit-panels", daemon=True)
                self._thread.start()

    def remove(self, panel: Refreshable) -> None:
        """Stop refreshing `panel`; the last one ends the thread, and this call waits for its end."""
        with self._lock:
            if panel in self._panels:
                self._panels.remove(panel)
            thread = None if self._panels else self._thread
        self._wake.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=5.0)

    def wake(self) -> None:
        """Refresh now: somebody clicked."""
        self._wake.set()

    @property
    def running(self) -> bool:
        """Whether the thread lives."""
        return self._thread is not None

    def _run(self) -> None:
        took = 0.0
        while True:
            self._wake.wait(max(TICK, min(REST * took, LONGEST)))
            self._wake.clear()
            with self._lock:
                if not self._panels:
                    self._thread = None
                    return
                panels = list(self._panels)
            begun = time.monotonic()
            for panel in panels:
                panel.refresh()
            took = time.monotonic() - begun


#: The poller of this kernel.
POLLER = Poller()
