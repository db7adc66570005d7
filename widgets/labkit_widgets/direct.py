"""A line from a panel's page to Python, for JupyterLite: it lets a widget's message wait until the cell that
runs has ended, even while that cell awaits. Page and kernel (a worker of the page) share a BroadcastChannel.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any
from uuid import uuid4

__all__ = ["Line"]


class Line:
    """Calls ``hear(content)`` for what the page says on it. Elsewhere than in a tab there is none."""

    def __init__(self, hear: Callable[[dict[str, Any]], None]) -> None:
        #: What the page opens; "" where there is no line.
        self.name = ""
        self._channel: Any = None
        if sys.platform == "emscripten":
            from js import BroadcastChannel
            from pyodide.ffi import create_proxy

            self.name = f"labkit-{uuid4()}"
            self._channel = BroadcastChannel.new(self.name)
            self._heard = create_proxy(lambda message: hear(json.loads(message.data)))
            self._channel.onmessage = self._heard

    def close(self) -> None:
        """Nobody listens any more."""
        if self._channel is not None:
            self._channel.close()
            self._heard.destroy()
            self._channel = None
