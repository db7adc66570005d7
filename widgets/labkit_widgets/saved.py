"""What stays of a panel in the notebook's file.

A live panel is a widget, which dies with its kernel. Each output that shows it carries the panel's picture
beside the widget, and becomes that picture alone when the panel is closed or replaced. While the panel lives,
its newest picture is kept in a file of Jupyter's runtime folder; `labkit.lab.pictures`, in the server, puts
it into the notebook when that is saved, and takes the widget out of one that is opened without its kernel.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Seconds between two pictures of a panel that changes.
EVERY = 2.0


class Outputs:
    """The outputs of the notebook that show one panel."""

    def __init__(self) -> None:
        self._shown: list[Any] = []
        self._file: Path | None = None
        self._kept = ""
        self._next = 0.0

    def show(self, bundle: dict[str, Any], model: str) -> None:
        """Show the panel in the cell that runs."""
        from IPython.display import display

        handle = display(bundle, raw=True, display_id=True, metadata={"labkit": {"pid": os.getpid()}})
        if handle is not None:
            self._shown.append(handle)
            with contextlib.suppress(ModuleNotFoundError):  # in a browser's tab there is no server to read it
                self._file = _folder() / f"{model}.html"

    def keep(self, page: Callable[[], str]) -> None:
        """Keep the panel's picture for the next time that the notebook is saved."""
        if self._file is None or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + EVERY
        picture = page()
        if picture != self._kept:
            with contextlib.suppress(OSError):  # a full disk: the file keeps an older picture
                part = self._file.with_suffix(".part")
                part.write_text(picture, encoding="utf8")
                part.replace(self._file)
                self._kept = picture

    def become(self, bundle: dict[str, Any]) -> None:
        """Show this instead of the panel, for good."""
        for handle in self._shown:
            handle.update(bundle, raw=True, metadata={})
        self._shown = []
        if self._file is not None:
            self._file.unlink(missing_ok=True)
            self._file = None


def _folder() -> Path:
    from jupyter_core.paths import jupyter_runtime_dir

    folder = Path(jupyter_runtime_dir()) / "labkit-pictures"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
