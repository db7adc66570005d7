"""One thread refreshes every panel of the notebook, ten times a second, and ends with the last panel. (In a
browser's tab, which has no threads, it is a task on the kernel's event loop.)

ipywidgets has no back-pressure and the server drops messages beyond 1,000 a second, so panels never send at
the pace of the run: each tick sends the newest state, if it differs. On a busy machine a refresh takes long,
and longer still in the browser, where what is not drawn yet would queue up, and the page fall minutes behind
the run: the next one then waits for some times as long as the last one took. This thread is also the only
one that writes widgets; callbacks, which run in a subshell's thread, note what is wanted and wake it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Protocol

from labkit.runtime.beside import Beside

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
        self._refreshing: Beside | None = None

    def add(self, panel: Refreshable) -> None:
        """Refresh `panel` from now on."""
        with self._lock:
            self._panels.append(panel)
            if self._refreshing is None:
                self._refreshing = Beside(self._run(), "labkit-panels")

    def remove(self, panel: Refreshable) -> None:
        """Stop refreshing `panel`; the last one ends the thread, and this call waits for its end."""
        with self._lock:
            if panel in self._panels:
                self._panels.remove(panel)
            refreshing, last = self._refreshing, not self._panels
        if refreshing is not None:
            refreshing.wake()
            if last:
                refreshing.join(timeout=5.0)

    def wake(self) -> None:
        """Refresh now: somebody clicked."""
        refreshing = self._refreshing
        if refreshing is not None:
            refreshing.wake()

    @property
    def running(self) -> bool:
        """Whether it refreshes."""
        return self._refreshing is not None

    def _run(self) -> Iterator[float]:
        took = 0.0
        while True:
            yield max(TICK, min(REST * took, LONGEST))
            with self._lock:
                if not self._panels:
                    self._refreshing = None
                    return
                panels = list(self._panels)
            begun = time.monotonic()
            for panel in panels:
                panel.refresh()
            took = time.monotonic() - begun


#: The poller of this kernel.
POLLER = Poller()
