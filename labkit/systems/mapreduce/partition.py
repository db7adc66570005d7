"""The partitioning function: which reduce task gets a key (§4.1).

"A default partitioning function is provided that uses hashing (e.g. hash(key) mod R)." Python's ``hash`` of
text differs from process to process, so this one does not use it. Keys that are equal have one value, also
``1`` and ``1.0``: they are one key to a dict and to a sort.
"""

from __future__ import annotations

from typing import Any

from labkit.parts.keys import portable_hash

__all__ = ["hash_partition"]


def hash_partition(key: Any, R: int) -> int:
    """``hash(key) mod R``; raises ``UnstableKey`` for what has no hash that every process agrees on."""
    return portable_hash(key) % R
