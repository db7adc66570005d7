"""Delta debugging: halves are left out first, then quarters, at last each alone (Zeller, TSE 2002)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["fewest"]

Item = TypeVar("Item")


def fewest(items: list[Item], fails: Callable[[list[Item]], bool]) -> list[Item]:
    """Items of which none can be left out any more; ``fails`` holds of all of them."""
    size = max(1, len(items) // 2)
    while items:
        start, fewer = 0, False
        while start < len(items):
            some = items[:start] + items[start + size :]
            if fails(some):
                items, fewer = some, True
            else:
                start += size
        if size == 1 and not fewer:
            break
        size = max(1, size // 2)
    return items
