"""Fewer bytes for what is shipped (§4.7 has ids of variable length, and compression).

Which of the vertices are meant that both ends know: nothing for all of them, their numbers for a few, a bit
each otherwise. And numbers without what a pickle says around an array, which is more than a small one itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["packed", "sealed", "unpacked", "unsealed"]

Packed = np.ndarray | None


def packed(chosen: np.ndarray) -> Packed:
    """Of a bool for each."""
    count = int(np.count_nonzero(chosen))
    if count == len(chosen):
        return None
    # A number takes as much as 32 bits.
    return np.flatnonzero(chosen).astype(np.int32) if 32 * count < len(chosen) else np.packbits(chosen)


def unpacked(given: Packed, count: int) -> np.ndarray:
    """The numbers of those that were chosen among ``count``."""
    if given is None:
        return np.arange(count)
    return given if given.dtype != np.uint8 else np.flatnonzero(np.unpackbits(given, count=count))


def sealed(array: np.ndarray | None) -> Any:
    """An array to be sent: of numbers, its type, the length of its rows, and its bytes."""
    if array is None or array.dtype == object:
        return array
    return array.dtype.str, array.shape[1:], array.tobytes()


def unsealed(sent: Any) -> Any:
    """What was sealed."""
    if not isinstance(sent, tuple):
        return sent
    kind, rows, data = sent
    return np.frombuffer(data, kind).reshape(-1, *rows)
