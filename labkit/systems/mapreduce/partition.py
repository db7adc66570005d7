"""The partitioning function: which reduce task gets a key (§4.1).

"A default partitioning function is provided that uses hashing (e.g. hash(key) mod R)." Python's ``hash`` of
text differs from process to process, so this one does not use it. Keys that are equal have one value, also
``1`` and ``1.0``: they are one key to a dict and to a sort.
"""

from __future__ import annotations

from typing import Any
from zlib import crc32

from labkit.runtime.copying import stable_hash

__all__ = ["hash_partition", "stable"]


def stable(key: Any) -> int:
    """A number that equal keys have in common, in every process."""
    kind = type(key)
    if kind is str:
        return crc32(key.encode("utf8", "surrogatepass"))
    if kind is bytes:
        return crc32(key)
    if kind in (int, float, bool, complex):
        return hash(key)  # of numbers it is the same everywhere
    if kind is tuple:
        return crc32(repr([stable(part) for part in key]).encode())
    return stable_hash(key, bits=32)


def hash_partition(key: Any, R: int) -> int:
    """``hash(key) mod R``."""
    return stable(key) % R
