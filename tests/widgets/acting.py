"""What tests of panels do and wait for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def eventually(true: Callable[[], Any], what: str = "") -> None:
    """Wait until something that another thread does has happened."""
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline, f"still not: {what or true}"
        time.sleep(0.005)


def acted(panel: Any) -> None:
    """Wait for the panel's worker threads, then show what they did."""
    for thread in list(panel._work.values()):
        thread.join(10)
    panel.refresh()


def states(panel: Any) -> dict[str, str]:
    return {machine["name"]: machine["state"] for machine in panel.top.machines}
