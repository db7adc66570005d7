"""A progress bar for calls that take long: an action of Spark, a training. Short calls show none.

It is tqdm's: a widget in a notebook, a line in a terminal. The variable ``TQDM_DISABLE=1`` turns it off, as
for notebooks whose outputs are compared; it is read here, since tqdm's own bar for notebooks does not look
at it.
Whoever does the work asks ``due`` first, which costs next to nothing.
"""

from __future__ import annotations

import os
import time
from types import TracebackType
from typing import Any

__all__ = ["Progress"]

#: Seconds after which a call counts as long.
AFTER = 2.0
#: Seconds between two changes of the bar.
EVERY = 0.2


class Progress:
    """As a context manager: the bar is gone at the end, also after an error or Ctrl-C."""

    def __init__(self, label: str, unit: str) -> None:
        self.label = label
        self.unit = unit
        self._next = time.monotonic() + AFTER
        self._bar: Any = None
        self._over = os.environ.get("TQDM_DISABLE", "") not in ("", "0")

    @property
    def due(self) -> bool:
        """Whether it is time to show where the work stands."""
        return time.monotonic() >= self._next and not self._over

    def show(self, done: int, total: int) -> None:
        """``done`` of ``total`` units are done."""
        self._next = time.monotonic() + EVERY
        if self._bar is None:
            from tqdm.auto import tqdm

            self._bar = tqdm(desc=self.label, unit=f" {self.unit}", total=total, leave=False)
        self._bar.total = total
        self._bar.n = done
        self._bar.refresh()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        if self._bar is not None:
            self._bar.close()
