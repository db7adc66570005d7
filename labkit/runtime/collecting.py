"""Python's garbage collector, out of the simulator's way."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["rare_collections"]

#: Objects between two garbage collections while the simulator runs. Python's 700 has it walk over every
#: waiting task and traced event again and again, which halves the speed of a run with ten thousand calls
#: under way.
COLLECT_EVERY = 1_000_000


_collecting = threading.Lock()
#: The user's threshold, once for each thread inside; it is the process's, too.
_before: list[tuple[int, int, int]] = []


@contextmanager
def rare_collections() -> Iterator[None]:
    """Collect garbage less often inside the block, unless the user has set it to be rarer, or off."""
    with _collecting:
        _before.append(_before[0] if _before else gc.get_threshold())
        if 0 < _before[0][0] < COLLECT_EVERY:
            gc.set_threshold(COLLECT_EVERY, *_before[0][1:])
    try:
        yield
    finally:
        with _collecting:
            before = _before.pop()
            if not _before:
                gc.set_threshold(*before)
