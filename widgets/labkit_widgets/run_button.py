"""A button that runs something slow beside the panel that shows it: for pages without code (Voilà)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets

from labkit.runtime.beside import start as start_beside

__all__ = ["run_button"]


def run_button(label: str, action: Callable[[], Any]) -> ipywidgets.HBox:
    """A button that runs ``action()`` in a thread of its own, and what it returned or raised, as text.

    While it runs, the button cannot be pressed again.
    """
    button = ipywidgets.Button(description=label, layout=ipywidgets.Layout(width="auto"))
    said = ipywidgets.Label()

    def run() -> None:
        said.value = "running …"
        try:
            outcome = action()
            said.value = "" if outcome is None else str(outcome)
        except Exception as error:
            said.value = f"{type(error).__name__}: {error}"
        finally:
            button.disabled = False

    def start(_: ipywidgets.Button) -> None:
        if not button.disabled:
            button.disabled = True
            start_beside(run, "labkit-run-button")

    button.on_click(start)
    return ipywidgets.HBox([button, said])
